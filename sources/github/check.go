package github

import (
	"context"
	"maps"
	"net/url"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/internal/setting"
	"weir/sources"
	"weir/sources/auth"
	"weir/sources/httpx"
)

// Names of parts of streams.
const (
	partGit         = "activities/git"
	partMFA         = "accounts/mfa"
	partSSO         = "accounts/sso"
	partOutside     = "accounts/outside"
	partInvitations = "accounts/invitations"
	partRoles       = "repositories/roles"
	partAccess      = "repositories/access"
	partTrees       = "repositories/trees"
	partCredentials = "app_grants/credentials"
	partPATs        = "app_grants/pats"
)

const (
	whereToGrant = "App: Permissions & events of its settings; OAuth app: weir connect again; token: its own settings"
	enterprise   = "GitHub Enterprise Cloud or Server"
	withSAML     = "GitHub Enterprise Cloud, with SAML single sign-on"
)

var capabilities = []sources.Capability{
	{
		Name: streamActivities, Doc: "audit log: web events",
		Scopes: []string{"OAuth or classic token scope read:audit_log, of an owner, or of a member with a role that has read_audit_logs", "App permission organization_administration: read"},
		Where:  whereToGrant, Edition: enterprise,
	},
	{
		Name: partGit, Doc: "audit log: clones, fetches and pushes",
		Scopes: []string{"as activities"}, Where: whereToGrant, Edition: enterprise,
	},
	{
		Name: streamAccounts, Doc: "members",
		Scopes: []string{"OAuth or classic token scopes read:org, read:user, user:email", "App permission members: read"}, Where: whereToGrant,
	},
	{
		Name: partMFA, Doc: "who has a second factor",
		Scopes: []string{"OAuth or classic token scope read:org, of an owner", "App permission members: read"}, Where: whereToGrant,
	},
	{
		Name: partSSO, Doc: "members' addresses as single sign-on knows them",
		Scopes: []string{"OAuth or classic token scope read:org or admin:org, of an owner", "App permission members: read"}, Where: whereToGrant, Edition: withSAML,
	},
	{
		Name: partOutside, Doc: "outside collaborators",
		Scopes: []string{"OAuth or classic token scope read:org, of an owner", "App permission members: read"}, Where: whereToGrant,
	},
	{
		Name: partInvitations, Doc: "pending and failed invitations",
		Scopes: []string{"OAuth or classic token scope read:org, of an owner", "App permission members: read"}, Where: whereToGrant,
	},
	{
		Name: streamGroups, Doc: "teams and their members",
		Scopes: []string{"OAuth or classic token scope read:org", "App permission members: read"}, Where: whereToGrant,
	},
	{
		Name: streamRepositories, Doc: "owners, base permission, and the repositories",
		Scopes: []string{"OAuth or classic token scopes read:org, and repo for private repositories", "App permissions members: read, organization_administration: read, metadata: read"}, Where: whereToGrant,
	},
	{
		Name: partRoles, Doc: "organization roles and who has them",
		Scopes: []string{"OAuth or classic token scope admin:org, of an owner", "App permissions organization_custom_org_roles: read, members: read"}, Where: whereToGrant, Edition: enterprise,
	},
	{
		Name: partAccess, Doc: "collaborators, teams, invitations and deploy keys of each repository",
		Scopes: []string{"OAuth or classic token scopes repo and read:org, of an owner", "App permissions administration: read, members: read"}, Where: whereToGrant,
	},
	{
		Name: partTrees, Doc: "files of each repository's default branch (files.trees)",
		Scopes: []string{"OAuth or classic token scope repo", "App permission contents: read"}, Where: whereToGrant,
	},
	{
		Name: streamGrants, Doc: "GitHub Apps installed in the organization",
		Scopes: []string{"OAuth or classic token scope read:org, of an owner", "App permission organization_administration: read"}, Where: whereToGrant,
	},
	{
		Name: partCredentials, Doc: "tokens and keys that members have authorized for single sign-on",
		Scopes: []string{"OAuth or classic token scope read:org, of an owner", "App permission organization_administration: read"}, Where: whereToGrant, Edition: withSAML,
	},
	{
		Name: partPATs, Doc: "fine-grained personal access tokens: for GitHub Apps only",
		Scopes: []string{"App permission organization_personal_access_tokens: read"}, Where: whereToGrant,
	},
}

// consent implements sources.Connector.Consent: nil unless an OAuth app is
// configured.
func consent(_ sources.Env, c setting.Struct) (*auth.Consent, error) {
	cfg, ok := c.(*Config)
	if !ok {
		return nil, fault.New(fault.Permanent, "github: configuration of type %T", c)
	}
	if cfg.Auth.way() != wayOAuth {
		return nil, nil //nolint:nilnil // the contract's way to say that no consent is needed
	}
	web := cfg.urls().web
	return &auth.Consent{
		AuthorizeURL: web + "/login/oauth/authorize", TokenURL: web + "/login/oauth/access_token",
		ClientID: cfg.Auth.ClientID, ClientSecret: cfg.Auth.ClientSecret.Value, Scopes: append(slices.Clone(readScopes), cfg.furtherScopes()...),
		Params: map[string]string{"allow_signup": "false", "prompt": "select_account"},
		Hint: "Consent as an owner of the organization. If it uses single sign-on, sign in at " + web + "/orgs/" + cfg.Org +
			"/sso first: otherwise the token does not reach what single sign-on protects.",
	}, nil
}

// furtherScopes are those of the streams that GitHub has no read-only scope for,
// and of actions.
func (c *Config) furtherScopes() (scopes []string) {
	if c.Files.Private || c.Files.Trees || c.Actions.Manage {
		scopes = append(scopes, "repo")
	}
	if c.Actions.Manage {
		scopes = append(scopes, "admin:org")
	}
	return scopes
}

// Identity implements sources.Session.
func (s *session) Identity(ctx context.Context) (sources.Identity, error) {
	if s.cfg.Auth.way() == wayApp {
		return s.appIdentity(ctx)
	}
	r, err := s.rest.Do(ctx, &httpx.Request{Path: httpx.P("/user")})
	if err != nil {
		return sources.Identity{}, err
	}
	var u wireUser
	if err := httpx.Decode(r, &u); err != nil {
		return sources.Identity{}, err
	}
	id := sources.Identity{ID: string(u.ID), Name: u.Login, Kind: sources.IdentityPerson, Roles: scopesOf(r)}
	if u.Type == "Bot" {
		id.Kind = sources.IdentityService
	}
	m, _, err := s.membership(ctx)
	switch {
	case err == nil && m.State == "active":
		id.Roles = append(id.Roles, "org:"+m.Role)
	case err != nil && fault.Of(err) != fault.Forbidden: // a fine-grained token may not ask
		return sources.Identity{}, err
	}
	slices.Sort(id.Roles)
	return id, nil
}

func (s *session) appIdentity(ctx context.Context) (sources.Identity, error) {
	tokens, ok := s.auth.(*auth.Tokens)
	if !ok {
		return sources.Identity{}, fault.New(fault.Permanent, "github: no installation")
	}
	t, err := tokens.Renew(ctx) // rights may have changed since the present one
	if err != nil {
		return sources.Identity{}, err
	}
	name := first(s.cfg.Auth.ClientID, s.cfg.Auth.AppID)
	id := sources.Identity{ID: name, Name: "GitHub App " + name, Kind: sources.IdentityApp}
	for _, p := range slices.Sorted(maps.Keys(t.Permissions)) {
		id.Roles = append(id.Roles, p+":"+t.Permissions[p])
	}
	return id, nil
}

// scopesOf are the scopes that GitHub says were granted; nil for credentials
// that have none.
func scopesOf(r *httpx.Response) (out []string) {
	for scope := range strings.SplitSeq(r.Header.Get("X-Oauth-Scopes"), ",") {
		if scope = strings.TrimSpace(scope); scope != "" {
			out = append(out, scope)
		}
	}
	return out
}

type wireMembership struct {
	State string   `json:"state"` // active pending
	Role  string   `json:"role"`  // admin member
	User  wireUser `json:"user"`
}

// membership is the token's user's own in the organization.
func (s *session) membership(ctx context.Context) (m wireMembership, scopes []string, err error) {
	r, err := s.rest.Do(ctx, &httpx.Request{Path: httpx.P("/user/memberships/orgs/{org}", s.cfg.Org)})
	if err != nil {
		return m, nil, err
	}
	err = httpx.Decode(r, &m)
	return m, scopesOf(r), err
}

// mayOwn reports whether the credentials have all that an owner's listing
// needs: GitHub answers 404 both when they do not and when there is no such
// thing. Scopes are alternatives. Apps and fine-grained tokens that lack a
// permission get 403, never 404.
func (s *session) mayOwn(ctx context.Context, scopes ...string) (bool, error) {
	if s.cfg.Auth.way() == wayApp {
		return true, nil
	}
	m, granted, err := s.membership(ctx)
	switch {
	case err != nil && fault.Of(err) == fault.Forbidden:
		return false, nil
	case err != nil:
		return false, err
	case m.State != "active" || m.Role != "admin":
		return false, nil
	}
	return len(granted) == 0 || slices.ContainsFunc(scopes, func(s string) bool { return slices.Contains(granted, s) }), nil
}

// Scopes of which one is enough to see the organization's people, or its
// administration.
var (
	orgScopes   = []string{"read:org", "write:org", "admin:org"}
	adminScopes = []string{"admin:org"}
)

// unlicensed tells whether a 404 is for want of the plan.
func (s *session) unlicensed(ctx context.Context, err error) error {
	o, orgErr := s.organization(ctx, 0)
	if orgErr != nil {
		return orgErr
	}
	switch o.Plan.Name {
	case "free", "team":
		return fault.New(fault.NotLicensed, "the organization's plan, %s, does not have it: %w", o.Plan.Name, err)
	}
	return err
}

// Probe implements sources.Session.
func (s *session) Probe(ctx context.Context, capability string) error {
	if action, ok := strings.CutPrefix(capability, sources.CapabilityActions); ok {
		return s.probeAction(ctx, sources.Action(action))
	}
	one := url.Values{"per_page": {"1"}}
	get := func(path httpx.Path, more ...string) error {
		q := url.Values{"per_page": {"1"}}
		for i := 0; i+1 < len(more); i += 2 {
			q.Set(more[i], more[i+1])
		}
		_, err := s.rest.Do(ctx, &httpx.Request{Path: path, Query: q})
		return err
	}
	switch capability {
	case streamActivities, partGit:
		include := "web"
		if capability == partGit {
			include = "git"
		}
		err := get(s.auditPath(), "include", include)
		if statusOf(err) == 404 {
			return s.unlicensed(ctx, err)
		}
		return err
	case streamAccounts:
		var into membersAnswer
		nulls, err := s.query(ctx, membersQuery, map[string]any{"org": s.cfg.Org, "first": 1}, &into)
		if err == nil {
			err = nulls["membersWithRole"]
		}
		return err
	case partMFA:
		err := get(httpx.P("/orgs/{org}/members", s.cfg.Org), "filter", "2fa_disabled")
		if statusOf(err) == 422 {
			return fault.New(fault.Forbidden, "only owners may ask who has a second factor: %w", err)
		}
		return err
	case partSSO:
		return s.probeSSO(ctx)
	case partOutside:
		return get(httpx.P("/orgs/{org}/outside_collaborators", s.cfg.Org))
	case partInvitations:
		return s.unlessAbsent(ctx, get(httpx.P("/orgs/{org}/invitations", s.cfg.Org)), orgScopes...)
	case streamGroups:
		return get(httpx.P("/orgs/{org}/teams", s.cfg.Org))
	case streamRepositories:
		return get(httpx.P("/orgs/{org}/repos", s.cfg.Org))
	case partRoles:
		err := get(httpx.P("/orgs/{org}/organization-roles", s.cfg.Org))
		switch statusOf(err) {
		case 422:
			return fault.New(fault.NotLicensed, "organization roles are off: %w", err)
		case 404:
			return s.unlicensed(ctx, err)
		}
		return err
	case partAccess, partTrees:
		return s.probeRepository(ctx, capability, one)
	case streamGrants:
		return get(httpx.P("/orgs/{org}/installations", s.cfg.Org))
	case partCredentials:
		err := get(httpx.P("/orgs/{org}/credential-authorizations", s.cfg.Org))
		if statusOf(err) == 404 {
			return s.unlicensed(ctx, err)
		}
		return err
	case partPATs:
		if s.cfg.Auth.way() != wayApp {
			return fault.New(fault.Forbidden, "GitHub lists fine-grained tokens for GitHub Apps only: configure auth.private_key")
		}
		return get(httpx.P("/orgs/{org}/personal-access-tokens", s.cfg.Org))
	}
	return fault.New(fault.Permanent, "github has no capability %q", capability)
}

// unlessAbsent is nil where a 404 means that there is no such thing.
func (s *session) unlessAbsent(ctx context.Context, err error, scopes ...string) error {
	absent, askErr := s.absent(ctx, err, scopes...)
	switch {
	case askErr != nil:
		return askErr
	case absent:
		return nil
	}
	return err
}

// probeRepository asks for one repository's access, or tree.
func (s *session) probeRepository(ctx context.Context, capability string, one url.Values) error {
	r, err := s.rest.Do(ctx, &httpx.Request{Path: httpx.P("/orgs/{org}/repos", s.cfg.Org), Query: one})
	if err != nil {
		return err
	}
	var repos []wireRepo
	if err := httpx.Decode(r, &repos); err != nil || len(repos) == 0 {
		return err
	}
	owner, name, _ := strings.Cut(repos[0].FullName, "/")
	if capability == partTrees {
		_, err = s.rest.Do(ctx, &httpx.Request{Path: httpx.P(treePath, owner, name, first(repos[0].DefaultBranch, "HEAD"))})
		if statusOf(err) == 409 { // it is empty
			return nil
		}
		return err
	}
	for _, l := range repoListings {
		q := url.Values{"per_page": {"1"}}
		maps.Copy(q, l.query)
		if _, err := s.rest.Do(ctx, &httpx.Request{Path: httpx.P(l.template, owner, name), Query: q}); err != nil {
			return err
		}
	}
	return nil
}
