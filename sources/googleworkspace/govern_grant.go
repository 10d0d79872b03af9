package googleworkspace

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

const (
	pathToken    = pathTokens + "/{clientId}"
	pathPassword = pathPasswords + "/{codeId}"
)

// Ops on grants.
const (
	opRevoke   = "revoke"
	opPassword = "delete_app_password"
)

// govGrant is what a user has granted to an app, or an app password.
type govGrant struct {
	Client string   `json:"clientId"`
	App    string   `json:"displayText"`
	Scopes []string `json:"scopes"`
	Code   text     `json:"codeId"`
	Name   string   `json:"name"`
}

// password tells an app password from what was granted.
func (g *govGrant) password() bool { return g.Client == "" }

func (g *govGrant) code() string { return string(g.Code) }

// id is the grant's app_grants.grant_id.
func (g *govGrant) id(user string) string {
	if g.password() {
		return grantID(user, passwordPrefix+g.code())
	}
	return grantID(user, g.Client)
}

func grantOp(name string) *op {
	switch name {
	case opRevoke:
		return &op{"revoke what was granted", scopeSecurity, func(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
			return govRemove(ctx, s.admin(scopeSecurity), httpx.P(pathToken, a.User, a.Client))
		}, revoked(func(g *govGrant, a *args) bool { return !g.password() && g.Client == a.Client }), nil}
	case opPassword:
		return &op{"delete the app password", scopeSecurity, func(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
			return govRemove(ctx, s.admin(scopeSecurity), httpx.P(pathPassword, a.User, a.Code))
		}, revoked(func(g *govGrant, a *args) bool { return g.password() && g.code() == a.Code }), nil}
	}
	return nil
}

// grants reads what a user has granted, and the app passwords.
func (s *session) grants(ctx context.Context, user string) ([]govGrant, error) {
	c := s.admin(scopeSecurity)
	tokens, err := govList[govGrant](ctx, s, listing{client: c, path: httpx.P(pathTokens, user), kind: "admin#directory#tokenList", member: "items"})
	if err != nil {
		return nil, naming(err, scopeSecurity)
	}
	tokens = slices.DeleteFunc(tokens, func(g govGrant) bool { return g.Client == "" })
	passwords, err := govList[govGrant](ctx, s, listing{client: c, path: httpx.P(pathPasswords, user), kind: "admin#directory#aspList", member: "items"})
	if err != nil {
		return nil, naming(err, scopeSecurity)
	}
	for i := range passwords {
		passwords[i].Client = ""
	}
	return append(tokens, passwords...), nil
}

// revoked tells whether a grant is listed no more. Of a suspended account none is
// listed, nor in force.
func revoked(is func(*govGrant, *args) bool) func(context.Context, *session, *args) (sources.Outcome, error) {
	return func(ctx context.Context, s *session, a *args) (sources.Outcome, error) {
		all, err := s.grants(ctx, a.User)
		if err != nil {
			if u, errUser := s.govUser(ctx, a.User); errUser == nil && u.Suspended {
				return sources.Unknown, nil
			}
			return sources.Unknown, err
		}
		return doneIf(!slices.ContainsFunc(all, func(g govGrant) bool { return is(&g, a) }), nil)
	}
}

// grantsOf reads the grants of an account that Google shows them of.
func (s *session) grantsOf(ctx context.Context, h *holder) ([]govGrant, error) {
	if h.user.Suspended {
		return nil, fault.New(fault.Permanent, "google_workspace: the account is suspended: Google shows and revokes no grants of it, and none is in force; let it in again first")
	}
	return s.grants(ctx, h.user.ID)
}

// planGrant plans the end of one grant, whose id is made of its user and app.
func (s *session) planGrant(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	account := r.Params["account"]
	if account == "" {
		return nil, fault.New(fault.BadData, "google_workspace: params.account must say whose grant it is: app_grants.principal_id")
	}
	h, err := s.holder(ctx, account)
	if err != nil {
		return nil, err
	}
	all, err := s.grantsOf(ctx, h)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all, func(g govGrant) bool { return g.id(account) == r.Target })
	if i < 0 {
		return nil, fault.New(fault.BadData, "google_workspace: account %s has no grant %s", account, r.Target)
	}
	g := &all[i]
	h.subject.LastAdmin = false // who stays one without the grant
	p := &sources.Plan{
		Target: sources.Subject{Kind: r.Kind, ID: r.Target, Name: cmp.Or(g.App, g.Name, g.Client), Self: s.isOwnClient(g.Client) && h.subject.Self},
		Also:   append([]sources.Subject{h.subject}, s.appOf(g)...), Limits: h.limits, Before: encode(before{Grants: []string{g.words()}}),
	}
	p.Also[0].Self = p.Target.Self
	s.revoke(p, h, g)
	return p, nil
}

// planAllGrants plans the end of all that a user has granted, and of all app
// passwords.
func (s *session) planAllGrants(ctx context.Context, p *sources.Plan, h *holder) error {
	all, err := s.grantsOf(ctx, h)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b govGrant) int {
		return cmp.Or(strings.Compare(a.Client, b.Client), strings.Compare(a.code(), b.code()))
	})
	if more := len(all) - sources.MaxSteps; more > 0 {
		all = all[:sources.MaxSteps]
		p.Limits = append(p.Limits, fmt.Sprintf("There are %d more: ask again when these are revoked.", more))
	}
	var b before
	for i := range all {
		g := &all[i]
		b.Grants = append(b.Grants, govCut(g.words(), 200))
		p.Also = append(p.Also, s.appOf(g)...)
		s.revoke(p, h, g)
	}
	govSorted(p)
	slices.SortFunc(p.Also, func(a, b sources.Subject) int { return strings.Compare(a.ID, b.ID) })
	slices.Sort(b.Grants)
	p.Before = encode(b)
	return nil
}

// revoke adds the end of a grant to a plan.
func (s *session) revoke(p *sources.Plan, h *holder, g *govGrant) {
	a := args{Op: opRevoke, User: h.user.ID, Client: g.Client}
	what, name := "grant of "+h.subject.Name+" to "+govCut(cmp.Or(g.App, g.Client), 200), opRevoke+":"+g.Client
	if g.password() {
		a = args{Op: opPassword, User: h.user.ID, Code: g.code()}
		what, name = "app password "+govCut(g.Name, 200)+" of "+h.subject.Name, opPassword+":"+g.code()
	}
	p.Diff = append(p.Diff, sources.Change{What: what, Before: govCut(g.words(), 1000), After: "revoked"})
	p.Steps = append(p.Steps, step(name, a))
}

// words tell what a grant allows.
func (g *govGrant) words() string {
	if g.password() {
		return "app password " + g.code()
	}
	scopes := slices.Clone(g.Scopes)
	slices.Sort(scopes)
	return strings.Join(append([]string{g.Client}, scopes...), " ")
}

// appOf is the app that something was granted to.
func (s *session) appOf(g *govGrant) []sources.Subject {
	if g.password() {
		return nil
	}
	return []sources.Subject{{Kind: sources.TargetApp, ID: g.Client, Name: g.App}}
}

// isOwnClient tells whether a client is the one that the session's own
// credentials were granted to.
func (s *session) isOwnClient(client string) bool {
	return client != "" && client == s.cfg.Auth.ClientID
}
