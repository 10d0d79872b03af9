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

const (
	where = "Admin console: Security > Access and data control > API controls > Domain-wide delegation (scopes, for the service account's client id) and Account > Admin roles (privileges, for the subject)"
)

// capability declares one by the scope and by the privilege of the subject's
// admin role that it needs.
func capability(name, doc, privilege string, scopes ...string) sources.Capability {
	needs := "OAuth scope " + strings.Join(scopes, " and ")
	if privilege != "" {
		needs += ", and the privilege " + privilege
	}
	return sources.Capability{Name: name, Doc: doc, Where: where, Scopes: []string{needs}}
}

var directoryCapabilities = []sources.Capability{
	capability(sources.CapabilityOrganization, "the customer's id, which is the tenant and pins the instance to it; without it a user's record tells", "", scopeCustomer),
	capability("accounts", "users, deleted ones too", "Users > Read", scopeUsers),
	capability("groups", "groups and their members", "Groups > Read", scopeGroups),
	capability("groups/external", "which members are outside of the customer's domains; without it all are taken for accounts", "Domain Settings", scopeDomains),
	capability("privileges", "admin roles", "of a super administrator (whether a lesser one may read roles is not documented)", scopeRoles),
	capability("privileges/super_admins", "super administrators who have no assignment", "Users > Read", scopeUsers, scopeRoles),
	capability("apps", "what users allowed apps, and app passwords", "User Security Management, and Users > Read", scopeSecurity, scopeUsers),
}

var limits = []string{
	"A user who was deleted can be listed for 20 days, with few of the fields. After that only the absence shows.",
	"The vendor has no feed of changes: users, groups, members, roles and tokens are listed anew in every round. A list may be some minutes behind.",
	"When a user was changed, and when a password was, is not told. Neither is when a group was made or changed.",
	"Tokens have no times: when an app was allowed, and when it was used last, is in the log of the application token.",
	"What suspended users allowed is not shown, and is not in app_grants until they are let in again. Tokens and app passwords take two requests for each user: 20,000 users take half an hour.",
	"Apps are known by the tokens of users alone: an app that nobody allowed has no row, and domain-wide delegations are in the log of the application admin alone.",
	"Directory requests of one administrator are limited to 2,400 a minute in a project; the connector takes about that much at most.",
}

// Tenant implements sources.Session: the customer's id, as the vendor tells it.
func (s *session) Tenant(ctx context.Context) (string, error) {
	if id := s.customer.Load(); id != nil {
		return *id, nil
	}
	id, err := s.askCustomer(ctx)
	if err != nil || id == "" {
		return "", err
	}
	if want := s.cfg.Customer; want != myCustomer && !strings.EqualFold(want, id) {
		return "", fault.New(fault.Permanent, "the credentials are of the customer %s, and not of %s as customer has it", id, want)
	}
	s.customer.Store(&id)
	return id, nil
}

// askCustomer asks for the customer itself or, where the scope for that is
// missing, for one of its users.
func (s *session) askCustomer(ctx context.Context) (string, error) {
	var customer struct {
		ID string `json:"id"`
	}
	err := s.get(ctx, s.admin(scopeCustomer), httpx.P(pathCustomer, s.cfg.Customer), nil, &customer)
	if err == nil && customer.ID == "" {
		return "", fault.New(fault.Transient, "GET %s: the answer holds no id", pathCustomer)
	}
	if !denied(err) {
		return customer.ID, err
	}
	l := s.users("users(customerId)")
	l.query.Set("maxResults", "1")
	var page struct {
		Users []struct {
			CustomerID string `json:"customerId"`
		} `json:"users"`
	}
	switch err := s.get(ctx, l.client, l.path, l.query, &page); {
	case denied(err) || err == nil && len(page.Users) == 0:
		return "", nil
	case err != nil:
		return "", err
	}
	return page.Users[0].CustomerID, nil
}

// get decodes the answer to one request.
func (s *session) get(ctx context.Context, client *httpx.Client, path httpx.Path, query url.Values, into any) error {
	resp, err := client.Do(ctx, &httpx.Request{Path: path, Query: query})
	if err != nil {
		return err
	}
	return httpx.Decode(resp, into)
}

// Identity implements sources.Session: the subject, the scopes that are
// authorized, and the subject's admin roles, as far as they can be read.
func (s *session) Identity(ctx context.Context) (sources.Identity, error) {
	id := sources.Identity{ID: s.cfg.Auth.Subject, Kind: sources.IdentityService}
	if s.granted != nil {
		token, err := s.granted.Token(ctx)
		if err != nil {
			return sources.Identity{}, err
		}
		id.ID, id.Name, id.Kind, id.Roles = s.cfg.Auth.ClientID, "whoever granted access with weir connect", sources.IdentityPerson, slices.Clone(token.Scopes)
		return id, nil
	}
	account, _ := s.delegation.Account()
	if id.Name = account; id.ID == "" {
		id.ID = account
	}
	for _, scope := range consentScopes {
		a := s.delegated(s.cfg.Auth.Subject, scope)
		_, err := a.tokens.Token(ctx)
		switch err = a.explain(err); {
		case err == nil:
			id.Roles = append(id.Roles, scope)
		case !denied(err):
			return sources.Identity{}, err
		}
	}
	roles, err := s.ownRoles(ctx)
	if err != nil && !denied(err) && fault.Of(err) != fault.BadData {
		return sources.Identity{}, err
	}
	id.Roles = append(id.Roles, roles...)
	slices.Sort(id.Roles)
	return id, nil
}

// ownRoles are the ids of the roles that the subject holds, by groups too.
func (s *session) ownRoles(ctx context.Context) (ids []string, err error) {
	if s.cfg.Auth.Subject == "" {
		return nil, nil
	}
	err = s.each(ctx, s.assignments(url.Values{"userKey": {s.cfg.Auth.Subject}, "includeIndirectRoleAssignments": {"true"}}), func(raw []byte) error {
		var a wireAssignment
		if err := decode(raw, &a); err != nil {
			return err
		}
		ids = append(ids, "role "+string(a.RoleID))
		return nil
	})
	slices.Sort(ids)
	return slices.Compact(ids), err
}

// Probe implements sources.Session.
func (s *session) Probe(ctx context.Context, capability string) error {
	if action, ok := strings.CutPrefix(capability, sources.CapabilityActions); ok {
		return s.probeAction(ctx, sources.Action(action))
	}
	if ok, err := s.probeActivities(ctx, capability); ok {
		return err
	}
	if ok, err := s.probeFiles(ctx, capability); ok {
		return err
	}
	var l listing
	switch capability {
	case sources.CapabilityOrganization:
		l = listing{client: s.admin(scopeCustomer), path: httpx.P(pathCustomer, s.cfg.Customer), kind: "admin#directory#customer"}
	case "accounts":
		l = one(s.users("users(id)"))
	case "groups":
		l = one(s.groups("groups(id)"))
	case "groups/external":
		l = listing{client: s.admin(scopeDomains), path: httpx.P(pathDomains, s.cfg.Customer), kind: "admin#directory#domains"}
	case "privileges":
		l = one(s.assignments(url.Values{}))
	case "privileges/super_admins":
		if err := s.Probe(ctx, "privileges"); err != nil {
			return err
		}
		l = one(s.superAdmins())
	case "apps":
		return s.probeApps(ctx)
	default:
		return fault.New(fault.Permanent, "google_workspace has no capability %q", capability)
	}
	_, _, err := s.fetch(ctx, l, "", s.env.Clock.Now())
	return needing(err, capability)
}

// one asks for one element of a listing.
func one(l listing) listing {
	l.query.Set("maxResults", "1")
	return l
}

// probeApps asks for the tokens of the subject or, where there is none, of some
// user.
func (s *session) probeApps(ctx context.Context) error {
	user := s.cfg.Auth.Subject
	if user == "" {
		l := one(s.users("users(id)"))
		var page struct {
			Users []struct {
				ID string `json:"id"`
			} `json:"users"`
		}
		if err := s.get(ctx, l.client, l.path, l.query, &page); err != nil || len(page.Users) == 0 {
			return needing(err, "apps")
		}
		user = page.Users[0].ID
	}
	_, _, err := s.fetch(ctx, s.tokensOf(user), "", s.env.Clock.Now())
	return needing(err, "apps")
}

// needing adds to a refusal what the capability needs.
func needing(err error, capability string) error {
	if !denied(err) {
		return err
	}
	for _, c := range directoryCapabilities {
		if c.Name == capability {
			return fault.New(fault.Of(err), "%w; it needs the %s", err, strings.Join(c.Scopes, "; "))
		}
	}
	return err
}
