package github

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// An account by its id: users/get-by-id of GitHub's OpenAPI description, which
// the tests hold every request against.
const (
	pathUserByID    = "/user/{account_id}"
	pathUserByLogin = "/users/{username}"
)

// wireProfile is an account as GET /user/{account_id} and /users/{username}
// have it.
type wireProfile struct {
	ID        scalar `json:"id"`
	Login     string `json:"login"`
	NodeID    string `json:"node_id"`
	Type      string `json:"type"` // User Bot Organization
	Name      string `json:"name"`
	Email     string `json:"email"` // the public one
	SiteAdmin bool   `json:"site_admin"`
	// SuspendedAt is null of who is not suspended. GitHub.com does not tell.
	SuspendedAt jsontext.Value `json:"suspended_at"`
}

// profile reads an account.
func (s *session) profile(ctx context.Context, path httpx.Path) (*wireProfile, error) {
	r, err := s.rest.Do(ctx, &httpx.Request{Path: path})
	if statusOf(err) == http.StatusNotFound {
		return nil, fault.New(fault.BadData, "github: there is no such account, or it is out of sight: %w", err)
	}
	if err != nil {
		return nil, err
	}
	u := &wireProfile{}
	if err := httpx.Decode(r, u); err != nil {
		return nil, err
	}
	if u.ID == "" || u.Login == "" {
		return nil, fault.New(fault.BadData, "%s: the account has no id or login", r.Endpoint)
	}
	return u, nil
}

// person is an account with all that a rule of protection may name it by.
type person struct {
	wireProfile
	subject     sources.Subject
	state, role string // of the membership in the organization: active or pending, admin or member; "" none
	roles       []heldRole
	emails      []string
}

// heldRole is an organization role that a member has.
type heldRole struct {
	wireRole
	assignment string
	from       []wireTeam
}

// direct reports whether the role is assigned to the member, also where a team
// gives it as well.
func (r *heldRole) direct() bool { return r.assignment != "indirect" }

// personByID reads an account by its id, which stays when its login changes.
func (s *session) personByID(ctx context.Context, id string) (*person, error) {
	u, err := s.profile(ctx, httpx.P(pathUserByID, id))
	if err != nil {
		return nil, err
	}
	if string(u.ID) != id {
		return nil, fault.New(fault.BadData, "github returned account %q for %q", u.ID, id)
	}
	return s.person(ctx, u)
}

// personByLogin reads an account that a listing names by its login alone.
func (s *session) personByLogin(ctx context.Context, login string) (*person, error) {
	u, err := s.profile(ctx, httpx.P(pathUserByLogin, login))
	if err != nil {
		return nil, err
	}
	if !strings.EqualFold(u.Login, login) {
		return nil, fault.New(fault.BadData, "github returned account %q for %q", u.Login, login)
	}
	return s.person(ctx, u)
}

// person reads all that may protect an account. What cannot be read fails the
// plan: who is not known to be unprotected is not acted on.
func (s *session) person(ctx context.Context, u *wireProfile) (*person, error) {
	p := &person{wireProfile: *u, subject: sources.Subject{
		Kind: sources.TargetAccount, ID: string(u.ID), Name: u.Login, Aliases: compact(u.Login, u.NodeID), Logins: []string{u.Login},
	}}
	own, err := s.ownID(ctx)
	if err != nil {
		return nil, err
	}
	p.subject.Self = own != "" && own == string(u.ID)
	m, err := s.membershipOf(ctx, u.Login)
	if err != nil {
		return nil, err
	}
	if m.State != "" && m.User.ID != u.ID {
		return nil, fault.New(fault.Transient, "github: the membership of %s is that of another account: it is read anew", u.Login)
	}
	p.state, p.role = m.State, m.Role
	if err := s.knownBy(ctx, p); err != nil {
		return nil, fault.New(fault.Of(err), "what protects account %s cannot be read: %w", u.ID, err)
	}
	if p.state == "active" {
		if err := s.rolesOf(ctx, p); err != nil {
			return nil, fault.New(fault.Of(err), "what protects account %s cannot be read: %w", u.ID, err)
		}
	}
	p.subject.Privileged = u.SiteAdmin || p.role == "admin" || len(p.roles) > 0
	if p.state == "active" && p.role == "admin" {
		p.subject.LastAdmin, err = s.lastOwner(ctx, string(u.ID))
	}
	return p, err
}

// ownID is the id of the credentials' user; "" an App's belong to none. It does
// not change: it is asked once a session.
func (s *session) ownID(ctx context.Context) (string, error) {
	if s.cfg.Auth.way() == wayApp {
		return "", nil
	}
	s.mu.Lock()
	id := s.own
	s.mu.Unlock()
	if id != "" {
		return id, nil
	}
	u, err := s.profile(ctx, httpx.P("/user"))
	if err != nil {
		return "", fault.New(fault.Of(err), "whose the agent's own credentials are: %w", err)
	}
	s.mu.Lock()
	s.own = string(u.ID)
	s.mu.Unlock()
	return string(u.ID), nil
}

// membershipOf is an account's membership in the organization; the zero value:
// it has none.
func (s *session) membershipOf(ctx context.Context, login string) (m wireMembership, err error) {
	r, err := s.rest.Do(ctx, &httpx.Request{Path: httpx.P(pathMembership, s.cfg.Org, login)})
	switch {
	case statusOf(err) == http.StatusNotFound:
		return m, nil
	case err != nil:
		return m, err
	}
	err = httpx.Decode(r, &m)
	return m, err
}

// personQuery asks for what no REST call tells of one account: its teams, and
// the addresses that single sign-on and verified domains know. Query.user,
// Organization.teams(userLogins) and externalIdentities(login) are of GitHub's
// public GraphQL schema.
const personQuery = `query($org:String!,$login:String!,$after:String){user(login:$login){databaseId email organizationVerifiedDomainEmails(login:$org)} organization(login:$org){teams(first:100,after:$after,userLogins:[$login]){pageInfo{hasNextPage endCursor} nodes{id databaseId slug name}} samlIdentityProvider{externalIdentities(first:100,login:$login){nodes{guid samlIdentity{nameId username emails{value}} scimIdentity{username emails{value}} user{login databaseId}}}}}}`

type personAnswer struct {
	User         *memberNode `json:"user"`
	Organization struct {
		Teams struct {
			PageInfo pageInfo `json:"pageInfo"`
			Nodes    []struct {
				NodeID string `json:"id"`
				ID     scalar `json:"databaseId"`
				Slug   string `json:"slug"`
				Name   string `json:"name"`
			} `json:"nodes"`
		} `json:"teams"`
		Provider *struct {
			Identities struct {
				Nodes []wireIdentity `json:"nodes"`
			} `json:"externalIdentities"`
		} `json:"samlIdentityProvider"`
	} `json:"organization"`
}

// knownBy reads the addresses and teams of an account.
func (s *session) knownBy(ctx context.Context, p *person) error {
	known := []string{p.Email}
	for after := ""; ; {
		vars := map[string]any{"org": s.cfg.Org, "login": p.Login}
		if after != "" {
			vars["after"] = after
		}
		var answer personAnswer
		nulls, err := s.query(ctx, personQuery, vars, &answer)
		if err != nil {
			return err
		}
		for _, err := range nulls {
			return err
		}
		if answer.User == nil || answer.User.DatabaseID != p.ID {
			return fault.New(fault.Transient, "github: GraphQL knows %s as another account: it is read anew", p.Login)
		}
		o := &answer.Organization
		if after == "" {
			known = append(append(known, answer.User.VerifiedEmails...), answer.User.Email)
			if o.Provider != nil {
				for i := range o.Provider.Identities.Nodes {
					if user, id := identityOf(&o.Provider.Identities.Nodes[i]); user == string(p.ID) {
						known = append(known, id.emails...)
					}
				}
			}
		}
		for _, t := range o.Teams.Nodes {
			p.subject.Groups = append(p.subject.Groups, compact(string(t.ID), t.Slug, t.Name, t.NodeID)...)
		}
		next, more := o.Teams.PageInfo.next()
		if !more {
			break
		}
		after = next
	}
	slices.Sort(p.subject.Groups)
	p.emails = addresses(known...)
	slices.Sort(p.emails)
	p.subject.Emails = p.emails
	return nil
}

// rolesOf reads the roles of a member.
func (s *session) rolesOf(ctx context.Context, p *person) error {
	switch p.role {
	case "admin":
		p.subject.Roles = []string{"admin", "org:admin", "owner"}
	default:
		p.subject.Roles = []string{"member"}
	}
	roles, err := s.roles(ctx)
	if err != nil {
		return err
	}
	for i := range roles {
		u, err := s.roleUser(ctx, string(roles[i].ID), string(p.ID))
		if err != nil {
			return err
		}
		if u == nil {
			continue
		}
		p.roles = append(p.roles, heldRole{roles[i], u.Assignment, u.InheritedFrom})
		p.subject.Roles = append(p.subject.Roles, compact(prefixRole+string(roles[i].ID), roles[i].Name)...)
	}
	slices.Sort(p.subject.Roles)
	return nil
}

// roleUser finds an account among those that have a role; nil: it has not.
func (s *session) roleUser(ctx context.Context, role, account string) (*wireUser, error) {
	return find(ctx, s, httpx.P(pathRoleUsers, s.cfg.Org, role), nil, func(u *wireUser) bool { return string(u.ID) == account })
}

// lastOwner tells whether the organization has no other owner.
func (s *session) lastOwner(ctx context.Context, id string) (bool, error) {
	other, err := find(ctx, s, httpx.P("/orgs/{org}/members", s.cfg.Org), url.Values{"role": {"admin"}}, func(u *wireUser) bool {
		return u.ID != "" && string(u.ID) != id
	})
	return other == nil, err
}

// find returns the first element of a listing that is it; nil: none is.
func find[T any](ctx context.Context, s *session, path httpx.Path, query url.Values, is func(*T) bool) (*T, error) {
	for link := ""; ; {
		l, err := s.page(ctx, path, query, link)
		if err != nil {
			return nil, err
		}
		for _, e := range l.elements {
			v := new(T)
			if err := decode(e, v); err != nil {
				return nil, fault.New(fault.BadData, "%s: an element has an unexpected shape: %w", path, err)
			}
			if is(v) {
				return v, nil
			}
		}
		if link = l.link; link == "" {
			return nil, nil //nolint:nilnil // none is it
		}
	}
}

// ofOrganization fails for an account that the organization has nothing to do
// with: neither a member, nor invited, nor an outside collaborator.
func (s *session) ofOrganization(ctx context.Context, p *person) error {
	if p.state != "" {
		return nil
	}
	out, err := s.outside(ctx, string(p.ID))
	if err == nil && !out {
		err = fault.New(fault.BadData, "github: account %s (%s) is no member of the organization, and no outside collaborator", p.ID, p.Login)
	}
	return err
}

func (s *session) outside(ctx context.Context, id string) (bool, error) {
	u, err := find(ctx, s, httpx.P("/orgs/{org}/outside_collaborators", s.cfg.Org), nil, func(u *wireUser) bool { return string(u.ID) == id })
	return u != nil, err
}

// team reads a team by what never changes of it. GitHub knows it by its slug,
// so that is looked up first.
func (s *session) team(ctx context.Context, id string) (*wireTeam, error) {
	slug, err := s.name(ctx, s.teams, id, s.groupLanes)
	if err != nil {
		return nil, err
	}
	if slug == "" {
		return nil, fault.New(fault.BadData, "github: the organization has no team %s", id)
	}
	r, err := s.rest.Do(ctx, &httpx.Request{Path: httpx.P(pathTeam, s.cfg.Org, slug)})
	if err != nil {
		if statusOf(err) == http.StatusNotFound {
			s.forget(s.teams, id)
			err = fault.New(fault.Transient, "%w", err)
		}
		return nil, err
	}
	t := &wireTeam{}
	if err := httpx.Decode(r, t); err != nil {
		return nil, err
	}
	if string(t.ID) != id || t.Slug == "" { // another team has the slug now
		s.forget(s.teams, id)
		return nil, fault.New(fault.Transient, "team %s is another than it was: it is looked up anew", slug)
	}
	return t, nil
}

func teamSubject(t *wireTeam, org string) sources.Subject {
	return sources.Subject{Kind: sources.TargetGroup, ID: string(t.ID), Name: t.Name, Aliases: compact(t.Slug, org+"/"+t.Slug, t.NodeID)}
}
