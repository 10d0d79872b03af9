package googleworkspace

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// govUser is a user as actions read it.
type govUser struct {
	ID               string   `json:"id"`
	Email            string   `json:"primaryEmail"`
	Aliases          []string `json:"aliases"`
	FixedAliases     []string `json:"nonEditableAliases"`
	Emails           []email  `json:"emails"`
	Recovery         string   `json:"recoveryEmail"`
	IsAdmin          bool     `json:"isAdmin"` // a super administrator
	IsDelegatedAdmin bool     `json:"isDelegatedAdmin"`
	Suspended        bool     `json:"suspended"`
	SuspensionReason string   `json:"suspensionReason"`
	Archived         bool     `json:"archived"`
	MustReset        bool     `json:"changePasswordAtNextLogin"`
	LastLogin        string   `json:"lastLoginTime"`
	IsGuest          bool     `json:"isGuestUser"`
	Guest            struct {
		Email string `json:"primaryGuestEmail"`
	} `json:"guestAccountInfo"`
}

type email struct {
	Address string `json:"address"`
}

// own are the addresses that administrators alone set, lower-case, the primary
// one first.
func (u *govUser) own() (out []string) {
	for _, a := range slices.Concat([]string{u.Email}, u.Aliases, u.FixedAliases) {
		if a != "" && !slices.Contains(out, strings.ToLower(a)) {
			out = append(out, strings.ToLower(a))
		}
	}
	return out
}

// all are those that somebody may have typed, too, sorted.
func (u *govUser) all() []string {
	out := u.own()
	for _, e := range u.Emails {
		out = append(out, strings.ToLower(e.Address))
	}
	out = append(out, strings.ToLower(u.Recovery), strings.ToLower(u.Guest.Email))
	out = slices.DeleteFunc(out, func(s string) bool { return s == "" })
	slices.Sort(out)
	return slices.Compact(out)
}

// govGroup is a group as actions read it.
type govGroup struct {
	ID      string   `json:"id"`
	Email   string   `json:"email"`
	Name    string   `json:"name"`
	Aliases []string `json:"aliases"`
}

func (g *govGroup) emails() (out []string) {
	for _, e := range append([]string{g.Email}, g.Aliases...) {
		if e != "" {
			out = append(out, strings.ToLower(e))
		}
	}
	return out
}

// holder is an account with all that a rule of protection may name it by.
type holder struct {
	user    govUser
	subject sources.Subject
	roles   []govAssignment // also through groups
	names   map[string]role
	unread  error // why roles could not be read
	limits  []string
}

// govUser reads a user by id. The vendor takes addresses, too: another id is
// refused.
func (s *session) govUser(ctx context.Context, id string) (*govUser, error) {
	u := &govUser{}
	if err := govGet(ctx, s.admin(scopeUsers), &httpx.Request{Path: httpx.P(pathUser, id)}, u); err != nil {
		return nil, naming(err, scopeUsers)
	}
	if u.ID != id {
		return nil, fault.New(fault.BadData, "google_workspace returned user %.80q for %q", u.ID, id)
	}
	return u, nil
}

// holder reads an account by its id.
func (s *session) holder(ctx context.Context, id string) (*holder, error) {
	u, err := s.govUser(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.holderOf(ctx, u)
}

// subjectOf is an account that is known by an address: of a file's owner. A
// stranger's is the address alone.
func (s *session) subjectOf(ctx context.Context, address string) (sources.Subject, error) {
	u := &govUser{}
	err := govGet(ctx, s.admin(scopeUsers), &httpx.Request{Path: httpx.P(pathUser, address)}, u)
	switch {
	case isGone(err):
		return sources.Subject{Kind: sources.TargetAccount, ID: address, Name: address, Emails: []string{strings.ToLower(address)}}, nil
	case err != nil:
		return sources.Subject{}, naming(err, scopeUsers)
	}
	h, err := s.holderOf(ctx, u)
	if err != nil {
		return sources.Subject{}, err
	}
	return h.subject, nil
}

func (s *session) holderOf(ctx context.Context, u *govUser) (*holder, error) {
	h := &holder{user: *u}
	own := u.own()
	h.subject = sources.Subject{Kind: sources.TargetAccount, ID: u.ID, Name: u.Email, Logins: own, Emails: u.all(), Privileged: u.IsAdmin || u.IsDelegatedAdmin}
	h.subject.Self = slices.ContainsFunc(s.ownAddresses(), func(a string) bool { return slices.Contains(own, a) || a == u.ID })
	if err := s.groupsInto(ctx, h); err != nil {
		return nil, err
	}
	if err := s.rolesInto(ctx, h); err != nil {
		return nil, err
	}
	if u.IsAdmin {
		h.subject.Roles = append(h.subject.Roles, superAdmin, "super_admin")
		last, err := s.lastAdmin(ctx, u.ID)
		if err != nil {
			return nil, err
		}
		h.subject.LastAdmin = last
	}
	h.subject.Roles = govUnique(h.subject.Roles)
	return h, nil
}

// ownAddresses are those of the users that Weir itself acts as.
func (s *session) ownAddresses() []string {
	var out []string
	for _, a := range []string{s.cfg.Auth.Subject, s.cfg.Actions.Quarantine.User} {
		if a != "" {
			out = append(out, strings.ToLower(a))
		}
	}
	return out
}

// groupsInto reads the groups that an account is in, also through groups.
func (s *session) groupsInto(ctx context.Context, h *holder) error {
	seen := map[string]bool{}
	for of := []string{h.user.ID}; len(of) > 0; of = of[1:] {
		groups, err := govList[govGroup](ctx, s, listing{
			client: s.admin(scopeGroups), path: httpx.P(pathGroups), query: url.Values{"userKey": {of[0]}, "maxResults": {"200"}},
			kind: "admin#directory#groups", member: "groups",
		})
		if err != nil {
			return naming(err, scopeGroups)
		}
		for _, g := range groups {
			if g.ID == "" || seen[g.ID] {
				continue
			}
			seen[g.ID] = true
			of = append(of, g.ID)
			h.subject.Groups = append(h.subject.Groups, append(g.emails(), g.ID, g.Name)...)
		}
	}
	h.subject.Groups = govUnique(h.subject.Groups)
	return nil
}

// rolesInto reads the roles that an account holds, also through groups. Where
// they may not be read, the user's own flags tell who is an administrator.
func (s *session) rolesInto(ctx context.Context, h *holder) error {
	roles, err := govList[govAssignment](ctx, s, s.assignments(url.Values{"userKey": {h.user.ID}, "includeIndirectRoleAssignments": {"true"}}))
	if err == nil && len(roles) > 0 {
		h.roles, h.subject.Privileged = roles, true
		h.names, err = s.roles(ctx)
	}
	switch {
	case fault.Of(err) == fault.Forbidden && err != nil && !h.subject.Privileged:
		h.subject.Privileged, h.unread = true, naming(err, scopeRoles)
		h.limits = []string{"Which admin roles the account holds could not be read: it takes the scope " + scopeRoles + ", and a subject who may read admin roles."}
		return nil
	case err != nil:
		return naming(err, scopeRoles)
	}
	for _, r := range roles {
		h.subject.Roles = append(h.subject.Roles, r.Role)
		if name := h.names[r.Role].name; name != "" {
			h.subject.Roles = append(h.subject.Roles, name)
		}
	}
	return nil
}

// lastAdmin tells whether no other super administrator can sign in. The list may
// be minutes behind: each is asked for.
func (s *session) lastAdmin(ctx context.Context, id string) (bool, error) {
	admins, err := s.usersWhere(ctx, "isAdmin=true")
	if err != nil {
		return true, err
	}
	for _, listed := range admins {
		if listed.ID == id || listed.ID == "" {
			continue
		}
		u, err := s.govUser(ctx, listed.ID)
		if err != nil && !isGone(err) {
			return true, err
		}
		if err == nil && u.IsAdmin && !u.Suspended && !u.Archived {
			return false, nil
		}
	}
	return true, nil
}

// usersWhere lists the customer's users that a query finds.
func (s *session) usersWhere(ctx context.Context, query string) ([]govUser, error) {
	users, err := govList[govUser](ctx, s, listing{
		client: s.admin(scopeUsers), path: httpx.P(pathUsers), query: url.Values{"customer": {s.cfg.Customer}, "query": {query}, "maxResults": {"500"}},
		kind: "admin#directory#users", member: "users",
	})
	return users, naming(err, scopeUsers)
}

func govUnique(in []string) []string {
	slices.Sort(in)
	return slices.Compact(in)
}
