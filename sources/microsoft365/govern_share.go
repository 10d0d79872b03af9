package microsoft365

import (
	"context"
	"slices"
	"strings"
	"time"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

const (
	govShares = "/v1.0/drives/{drive}/items/{item}/permissions"
	govShare  = "/v1.0/drives/{drive}/items/{item}/permissions/{permission}"
	govInvite = "/v1.0/drives/{drive}/items/{item}/invite"
	govLink   = "/v1.0/drives/{drive}/items/{item}/createLink"
)

// Ops on sharing.
const (
	opUnshare = "remove_permission"
	opShare   = "invite"
	opLink    = "create_link"
	opBreak   = "break_inheritance"
	opInherit = "inherit_again"
)

// Values of the parameter who.
const (
	whoPublic   = "public"
	whoExternal = "external"
	whoAll      = "all"
)

// Kinds of grantees.
const (
	kindLink   = "link"
	kindUser   = "user"
	kindGroup  = "group"
	kindSite   = "site_group" // known to the site alone
	kindApp    = "app"
	kindNobody = "unknown"
)

func shareOp(name string) *op {
	switch name {
	case opUnshare:
		return &op{"remove the permission", []string{mayFiles}, func(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
			return s.graphWrite(ctx, remove(httpx.P(govShare, a.Drive, a.Item, a.ID)))
		}, func(ctx context.Context, s *session, a *args, _ *kept, _ bool) (sources.Outcome, error) {
			all, err := s.shares(ctx, a.Drive, a.Item)
			return doneIf(err == nil && !slices.ContainsFunc(all, func(o share) bool { return o.ID == a.ID }), err)
		}, reshare}
	case opShare:
		return &op{"give the permission back", []string{mayFiles}, invite, shared, stays("a permission is removed by remove_sharing")}
	case opLink:
		return &op{"make a link of the same kind", []string{mayFiles}, makeLink, shared, stays("a link is removed by remove_sharing")}
	case opBreak:
		return &op{"have the file inherit no permissions", nil, inheritance(spBreak), hasInherited(false), toggled(opInherit)}
	case opInherit:
		return &op{"have the file inherit permissions again", nil, inheritance(spReset), hasInherited(true), toggled(opBreak)}
	}
	return nil
}

// share is a permission on a file, without its link's address, which is a secret.
type share struct {
	ID        string   `json:"id"`
	Kind      string   `json:"kind"`
	Grantee   string   `json:"grantee,omitempty"`
	Email     string   `json:"email,omitempty"`
	Name      string   `json:"name,omitempty"`
	Roles     []string `json:"roles,omitempty"`
	Link      string   `json:"link,omitempty"`
	Scope     string   `json:"scope,omitempty"`
	People    []string `json:"people,omitempty"` // of a link for some people
	Expires   string   `json:"expires,omitempty"`
	Password  bool     `json:"password,omitempty"`
	Inherited bool     `json:"inherited,omitempty"`
	Guest     bool     `json:"guest,omitempty"`
}

// govPermission is a permission as it is listed.
type govPermission struct {
	ID         string             `json:"id"`
	Roles      []string           `json:"roles"`
	To         *govGrantees       `json:"grantedToV2"`
	Old        *govGrantees       `json:"grantedTo"`
	Many       []govGrantees      `json:"grantedToIdentitiesV2"`
	Link       *govPermissionLink `json:"link"`
	Invitation *struct {
		Email string `json:"email"`
	} `json:"invitation"`
	Inherited *struct{} `json:"inheritedFrom"`
	Expires   string    `json:"expirationDateTime"`
	Password  bool      `json:"hasPassword"`
}

type govPermissionLink struct {
	Type  string `json:"type"`
	Scope string `json:"scope"`
}

type govGrantees struct {
	User      *govIdentity `json:"user"`
	Group     *govIdentity `json:"group"`
	SiteUser  *govIdentity `json:"siteUser"`
	SiteGroup *govIdentity `json:"siteGroup"`
	App       *govIdentity `json:"application"`
}

// who tells the grantee, by what the directory knows before what the site does.
func (g *govGrantees) who() (govIdentity, string) {
	for _, c := range []struct {
		i    *govIdentity
		kind string
	}{{g.User, kindUser}, {g.Group, kindGroup}, {g.SiteUser, kindUser}, {g.App, kindApp}, {g.SiteGroup, kindSite}} {
		if c.i != nil {
			i := *c.i
			if c.i == g.SiteUser {
				i.ID = "" // the site's number
			}
			return i, c.kind
		}
	}
	return govIdentity{}, kindNobody
}

// address is what an identity is reached by.
func (i *govIdentity) address() string {
	for _, s := range []string{i.Email, i.UPN, i.Login} {
		if s = s[strings.LastIndexByte(s, '|')+1:]; strings.Contains(s, "@") { // i:0#.f|membership|ada@contoso.com
			return lower(s)
		}
	}
	return ""
}

// guest tells whether an identity's name is that of a guest.
func (i *govIdentity) guest() bool {
	for _, s := range []string{i.Email, i.UPN, i.Login} {
		if l := lower(s); strings.Contains(l, "#ext#") || strings.Contains(l, "urn:spo:guest") {
			return true
		}
	}
	return false
}

func (w *govPermission) share() share {
	p := share{ID: w.ID, Roles: w.Roles, Password: w.Password, Inherited: w.Inherited != nil, Expires: w.Expires}
	if t, err := time.Parse(time.RFC3339, w.Expires); err != nil || t.Year() < 1970 {
		p.Expires = "" // the year 0001: none
	}
	to := first2(w.To, w.Old)
	who, kind := to.who()
	p.Kind, p.Grantee, p.Name, p.Email, p.Guest = kind, who.ID, who.Name, who.address(), who.guest()
	if w.Invitation != nil && kind == kindNobody {
		p.Kind, p.Email = kindUser, lower(w.Invitation.Email)
	}
	if w.Link != nil {
		p.Kind, p.Link, p.Scope = kindLink, w.Link.Type, w.Link.Scope
		for i := range w.Many {
			one, _ := w.Many[i].who()
			p.People = append(p.People, nonEmpty(first(one.address(), one.ID))...)
			p.Guest = p.Guest || one.guest()
		}
		p.People = sortedUnique(p.People)
	}
	return p
}

func first2(a, b *govGrantees) *govGrantees {
	if a != nil {
		return a
	}
	if b != nil {
		return b
	}
	return &govGrantees{}
}

// shares lists a file's permissions.
func (s *session) shares(ctx context.Context, drive, item string) (out []share, err error) {
	all, err := govList[govPermission](ctx, s.graph, &httpx.Request{Path: httpx.P(govShares, drive, item)})
	for i := range all {
		out = append(out, all[i].share())
	}
	slices.SortFunc(out, func(a, b share) int { return strings.Compare(a.ID, b.ID) })
	return out, naming(err, "Sites.FullControl.All")
}

// owner tells what belongs to who owns the file, and is never removed.
func (p *share) owner() bool {
	return slices.Contains(p.Roles, "owner") && p.Kind != kindLink || p.Kind == kindApp || p.Scope == "existingAccess"
}

// outside tells whether a permission reaches beyond the organization: all its
// people are not known to be within.
func (p *share) outside(domains []string) bool {
	if p.Guest || p.Scope == "anonymous" {
		return true
	}
	for _, e := range append([]string{p.Email}, p.People...) {
		if _, domain, ok := strings.Cut(e, "@"); ok && len(domains) > 0 && !slices.Contains(domains, domain) {
			return true
		}
	}
	return false
}

// words tell a permission in a plan's diff.
func (p *share) words() string {
	w := strings.Join(p.Roles, " ")
	if p.Kind == kindLink {
		w = strings.TrimSpace(p.Scope + " link to " + p.Link + " " + strings.Join(p.People, " "))
	}
	if p.Expires != "" {
		w += " until " + p.Expires
	}
	return w
}

// same tells whether a permission gives the same to the same.
func (p *share) same(o *share) bool {
	if p.Kind == kindLink || o.Kind == kindLink {
		return p.Kind == o.Kind && p.Link == o.Link && p.Scope == o.Scope && p.Expires == o.Expires && slices.Equal(p.People, o.People)
	}
	who := p.Grantee != "" && p.Grantee == o.Grantee || p.Email != "" && p.Email == o.Email
	return who && !o.Inherited && slices.Equal(p.Roles, o.Roles) && p.Expires == o.Expires
}

// back returns the op that gives a permission back; "" and why there is none.
func (p *share) back() (name, why string) {
	switch {
	case p.Kind == kindLink && p.Password:
		return "", "a link with a password is not made again, for nobody knows the password"
	case p.Kind == kindLink && p.Scope == "users":
		return "", "a link for some people is not made again: invite them"
	case p.Kind == kindLink && (p.Scope == "anonymous" || p.Scope == "organization"):
		return opLink, "The link that is made again has a new address"
	case (p.Kind == kindUser || p.Kind == kindGroup) && p.Grantee+p.Email != "" && restorable(p.Roles):
		return opShare, "The permission that is given back has another id"
	}
	return "", "what a site's own group, or a custom role, allowed is not given back"
}

// restorable tells whether an invitation can give roles.
func restorable(roles []string) bool {
	return len(roles) > 0 && !slices.ContainsFunc(roles, func(r string) bool { return r != "read" && r != "write" })
}

func reshare(_ context.Context, _ *session, a *args, _ *kept) (*args, string, error) {
	name, why := a.Share.back()
	if name == "" {
		return nil, strings.ToUpper(why[:1]) + why[1:], nil
	}
	return &args{Op: name, Drive: a.Drive, Item: a.Item, Share: a.Share}, why, nil
}

func shared(ctx context.Context, s *session, a *args, _ *kept, _ bool) (sources.Outcome, error) {
	all, err := s.shares(ctx, a.Drive, a.Item)
	return doneIf(err == nil && slices.ContainsFunc(all, func(o share) bool { return a.Share.same(&o) }), err)
}

// invite gives a permission without a message to its grantee.
func invite(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	type recipient struct {
		ObjectID string `json:"objectId,omitempty"`
		Email    string `json:"email,omitempty"`
	}
	body := struct {
		Recipients []recipient `json:"recipients"`
		Roles      []string    `json:"roles"`
		SignIn     bool        `json:"requireSignIn"`
		Send       bool        `json:"sendInvitation"`
		Expires    string      `json:"expirationDateTime,omitempty"`
	}{Recipients: []recipient{{Email: a.Share.Email}}, Roles: a.Share.Roles, SignIn: true, Expires: a.Share.Expires}
	if a.Share.Email == "" {
		body.Recipients[0].ObjectID = a.Share.Grantee
	}
	return s.graphWrite(ctx, post(httpx.P(govInvite, a.Drive, a.Item), body))
}

// makeLink makes a link whose address nobody here looks at.
func makeLink(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	return s.graphWrite(ctx, post(httpx.P(govLink, a.Drive, a.Item), struct {
		Type    string `json:"type"`
		Scope   string `json:"scope"`
		Expires string `json:"expirationDateTime,omitempty"`
	}{a.Share.Link, a.Share.Scope, a.Share.Expires}))
}

func inheritance(template string) doing {
	return func(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
		receipt, _, err := s.siteWrite(ctx, a.Site, nil, template, quoted(a.Site.Path))
		return receipt, err
	}
}

// hasInherited tells whether some permission comes from above. When all is the
// owner's, none does: the vendor leaves out where a permission comes from.
func hasInherited(want bool) checking {
	return func(ctx context.Context, s *session, a *args, _ *kept, _ bool) (sources.Outcome, error) {
		all, err := s.shares(ctx, a.Drive, a.Item)
		return doneIf(err == nil && slices.ContainsFunc(all, func(p share) bool { return p.Inherited }) == want, err)
	}
}

// unshare plans the end of permissions.
func (p *filePlan) unshare(ctx context.Context) error {
	who, one := p.r.Params["who"], p.r.Params["permission"]
	if p.r.Action == sources.MakePrivate {
		who = whoAll
	}
	all, err := p.s.shares(ctx, p.d.ID, p.n.ID)
	if err != nil {
		return err
	}
	domains := p.domains()
	hit := func(o *share) bool {
		switch {
		case one != "":
			return o.ID == one
		case o.owner():
			return false
		}
		return who == whoAll || who == whoPublic && o.Scope == "anonymous" || who == whoExternal && o.outside(domains)
	}
	if one != "" {
		i := slices.IndexFunc(all, func(o share) bool { return o.ID == one })
		switch {
		case i < 0: // gone, or never there: an id of nobody proves nothing
			return fault.New(fault.BadData, "microsoft365: %q has no permission %.100q", p.n.Name, one)
		case all[i].owner():
			return fault.New(fault.Permanent, "microsoft365: permission %.100q is the owner's, or an app's: it is left alone", one)
		}
	}
	return p.drop(all, hit, p.r.Action == sources.MakePrivate)
}

// drop adds the end of permissions to a plan. Those that the file inherits end
// by its inheriting no more, where that is wanted.
func (p *filePlan) drop(all []share, hit func(*share) bool, cutOff bool) error {
	var above []string
	for i := range all {
		o := &all[i]
		if !hit(o) {
			continue
		}
		if o.Inherited {
			above = append(above, first(o.Email, o.Name, o.Scope, o.Grantee, o.ID))
			continue
		}
		p.state.Shares = append(p.state.Shares, *o)
		a := p.at(opUnshare)
		a.ID, a.Share = o.ID, o
		p.add(opUnshare+":"+o.ID, a, sources.Change{What: "permission of " + first(o.Email, o.Name, o.Grantee, o.Kind) + " on " + p.n.Name + " (" + o.ID + ")", Before: o.words(), After: "none"})
		if name, why := o.back(); name == "" {
			p.Limits = append(p.Limits, "Undone: "+why+".")
		} else {
			p.Limits = append(p.Limits, why+".")
		}
	}
	p.Limits = sortedUnique(p.Limits)
	if len(above) == 0 {
		return nil
	}
	site := p.site()
	if cutOff && p.s.certified() && site != nil {
		a := p.at(opBreak)
		a.Site = site
		p.add(opBreak, a, sources.Change{What: "inherited permissions on " + p.n.Name, Before: strings.Join(above, ", "), After: "none"})
		return nil
	}
	words := "shared through its folder, library or site with " + cut(strings.Join(above, ", "))
	if p.r.Action == sources.MakePrivate {
		return fault.New(fault.Permanent, "microsoft365: %q is %s: to end that takes SharePoint's REST API, and so auth.certificate", p.n.Name, words)
	}
	p.Limits = append(p.Limits, "The file stays "+words+".")
	return nil
}

// domains are the organization's own: those of the configuration, or else as far
// as the drive's owner tells.
func (p *filePlan) domains() []string {
	if own := p.s.cfg.Files.Domains; len(own) > 0 {
		return own
	}
	if _, domain, ok := strings.Cut(lower(p.d.Owner.User.Email), "@"); ok {
		return []string{domain}
	}
	return nil
}
