package microsoft365

import (
	"context"
	"encoding/base64"
	"net/url"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"weir/internal/fault"
	"weir/internal/setting"
	"weir/sources"
	"weir/sources/auth"
	"weir/sources/httpx"
)

const (
	where = "Entra admin center: App registrations > the app > API permissions > Add a permission > Application permissions, then Grant admin consent (or weir connect)"

	premium    = "Entra ID P1 or P2"
	governance = "Entra ID P2 or Governance"
)

// capability declares one by the application permissions of Microsoft Graph that
// it needs.
func capability(name, doc, edition string, permissions ...string) sources.Capability {
	c := sources.Capability{Name: name, Doc: doc, Where: where, Edition: edition}
	for _, p := range permissions {
		c.Scopes = append(c.Scopes, "Microsoft Graph application permission "+p)
	}
	return c
}

var capabilities = []sources.Capability{
	capability("accounts", "users, deleted ones too", "", "User.Read.All"),
	capability("accounts/service_principals", "service principals as accounts", "", "Application.Read.All"),
	capability("accounts/is_admin", "who is an administrator; without it is_admin is unknown", "", "RoleManagement.Read.Directory, and GroupMember.Read.All where groups hold roles"),
	capability("accounts/mfa_enabled", "who has registered a second factor; without it mfa_enabled is unknown", premium, "AuditLog.Read.All"),
	capability("accounts/last_login_at", "when users signed in last; without it last_login_at is unknown", premium, "AuditLog.Read.All"),
	capability("groups", "groups, members and owners", "", "GroupMember.Read.All"),
	capability("privileges", "directory roles", "", "RoleManagement.Read.Directory"),
	capability("privileges/scheduled", "since when and until when roles are assigned, and those held through groups", governance, "RoleAssignmentSchedule.Read.Directory"),
	capability("privileges/eligible", "roles that can be activated", governance, "RoleEligibilitySchedule.Read.Directory"),
	capability("apps", "service principals, and application permissions granted to them", "", "Application.Read.All"),
	capability("apps/delegated", "delegated permissions granted to apps", "", "Directory.Read.All"),
}

// probes are the listings whose first element shows that a capability works.
var probes = map[string]listing{
	"accounts":                    {path: httpx.P(pathUsers), query: probe("id")},
	"accounts/service_principals": {path: httpx.P(pathServices), query: probe("id")},
	"accounts/is_admin":           {path: httpx.P(pathAssignments)},
	"accounts/mfa_enabled":        {path: httpx.P(pathRegistrations), query: url.Values{"$top": {"1"}}},
	"accounts/last_login_at":      {path: httpx.P(pathUsers), query: probe("id,signInActivity")},
	"groups":                      {path: httpx.P(pathGroups), query: probe("id")},
	"privileges":                  {path: httpx.P(pathAssignments)},
	"privileges/scheduled":        {path: httpx.P(pathActive)},
	"privileges/eligible":         {path: httpx.P(pathEligible)},
	"apps":                        {path: httpx.P(pathServices), query: probe("id")},
	"apps/delegated":              {path: httpx.P(pathDelegated), query: url.Values{"$top": {"1"}}},
}

func probe(columns string) url.Values { return url.Values{"$select": {columns}, "$top": {"1"}} }

var limits = []string{
	"A deleted user can be listed for 30 days. After that, and where a user was deleted for good at once, only the absence shows.",
	"Deltas show neither managers, nor when users signed in last, nor second factors: those are right to a day. The vendor itself tells last sign-ins up to 24 hours late.",
	"The report on second factors leaves out disabled users; their mfa_enabled is unknown.",
	"Of service principals the vendor does not tell when they were used last.",
	"The vendor lists grants with some delay. That a person or a group may use an app is no grant, and is not collected.",
	"Roles of Exchange and site administrators of SharePoint are in no listing of Microsoft Graph v1.0.",
	"Entra keeps its audit log for 30 days, or 7 without a licence of Entra ID P1 or P2 (then set directory_audits.retention: 7d), and sign-ins for 30; without the licence it gives out no sign-ins.",
	"Sign-ins other than those of people at a screen are listed by the vendor's beta interface alone.",
	"A sign-in that is written anew later than sign_ins.lateness after it happened, as when a risk is found after days, keeps its first form.",
	"The lists of logs and reports take 5 requests in 10 seconds of an app in a tenant: the report on second factors takes 2 seconds for each 999 users.",
}

// consent implements Connector.Consent: an administrator grants the app the
// permissions that its registration lists.
func consent(env sources.Env, c setting.Struct) (*auth.Consent, error) {
	cfg, ok := c.(*Config)
	if !ok {
		return nil, fault.New(fault.Permanent, "microsoft365: settings are a %T", c)
	}
	h, tenant := cfg.hosts(), lower(cfg.TenantID)
	return &auth.Consent{
		AuthorizeURL: h.login + "/" + tenant + "/v2.0/adminconsent", ClientID: cfg.Auth.ClientID, RedirectURL: cfg.Auth.RedirectURL,
		Scopes: []string{h.graphAudience + "/.default"},
		Hint:   "Sign in as an administrator of the tenant " + tenant + " who may grant application permissions (Privileged Role Administrator). What is granted is what the app's registration lists.",
		Admin: func(ctx context.Context, back url.Values) (auth.Grant, error) {
			if got := lower(back.Get("tenant")); got != tenant {
				return auth.Grant{}, fault.New(fault.Auth, "consent was given in the tenant %.64q, and not in tenant_id %s: sign in there", got, tenant)
			}
			tokens, err := newTokens(env, cfg, h.graphAudience)
			if err != nil {
				return auth.Grant{}, err
			}
			token, err := tokens.Token(ctx)
			if err != nil {
				return auth.Grant{}, err
			}
			claims, err := readClaims(token.Access, tenant)
			return auth.Grant{Scopes: claims.Roles, Expires: token.Expires, Renews: true}, err
		},
	}, nil
}

// claims are what is read of a token; all else in it is the vendor's.
type claims struct {
	Tenant string   `json:"tid"`
	Roles  []string `json:"roles"` // sorted
}

// readClaims reads a token, which must be for the tenant. One that cannot be
// read says nothing.
func readClaims(token, tenant string) (c claims, err error) {
	_, rest, _ := strings.Cut(token, ".")
	body, _, ok := strings.Cut(rest, ".")
	raw, bad := base64.RawURLEncoding.DecodeString(strings.TrimRight(body, "="))
	if !ok || bad != nil || json.Unmarshal(raw, &c, decodeOptions) != nil {
		return claims{}, nil
	}
	if c.Tenant != "" && lower(c.Tenant) != tenant {
		return claims{}, fault.New(fault.Auth, "the token is for the tenant %.64q, and not for tenant_id %s", c.Tenant, tenant)
	}
	slices.Sort(c.Roles)
	return c, nil
}

func (s *session) claims(ctx context.Context) (claims, error) {
	token, err := s.tokens.Token(ctx)
	if err != nil {
		return claims{}, err
	}
	return readClaims(token.Access, s.tenant)
}

// Tenant implements sources.Session: the configured one, for which the token
// must be.
func (s *session) Tenant(ctx context.Context) (string, error) {
	if _, err := s.claims(ctx); err != nil {
		return "", err
	}
	return s.tenant, nil
}

// Identity implements sources.Session: the app, and the permissions in its
// token.
func (s *session) Identity(ctx context.Context) (sources.Identity, error) {
	c, err := s.claims(ctx)
	return sources.Identity{ID: s.cfg.Auth.ClientID, Kind: sources.IdentityApp, Roles: c.Roles}, err
}

// Probe implements sources.Session.
func (s *session) Probe(ctx context.Context, capability string) error {
	if action, ok := strings.CutPrefix(capability, sources.CapabilityActions); ok {
		return s.probeAction(ctx, sources.Action(action))
	}
	switch capability {
	case streamActivities, partDLP, streamFiles:
		return s.probeOffice(ctx, capability)
	}
	if ok, err := s.probeLogs(ctx, capability); ok {
		return err
	}
	l, ok := probes[capability]
	if !ok {
		return fault.New(fault.Permanent, "microsoft365 has no capability %q", capability)
	}
	_, _, err := s.fetch(ctx, l, "")
	if l.path.String() == pathActive || l.path.String() == pathEligible {
		err = unlicensed(err)
	}
	return err
}
