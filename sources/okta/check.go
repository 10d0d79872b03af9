package okta

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/internal/setting"
	"weir/sources"
	"weir/sources/auth"
	"weir/sources/httpx"
)

const (
	where = "Admin Console: Applications > the app > Okta API Scopes (scopes) and > Admin roles (role); Security > Administrators (role of an API token's owner)"

	readOnly  = "Read-Only Administrator"
	viewRoles = "Super Administrator, or a custom role with okta.iam.read (Read-Only Administrator may not be enough)"
)

// capability declares one by the scope and the role that it needs: both for an
// app, the role alone for the owner of an API token.
func capability(name, doc, scope, role string) sources.Capability {
	return sources.Capability{
		Name: name, Doc: doc, Where: where,
		Scopes: []string{"to an app, the OAuth scope " + scope + " and the role " + role, "to the owner of an API token, that role"},
	}
}

var capabilities = []sources.Capability{
	capability("organization", "the organization's id, which is the tenant and pins the instance to it", "okta.orgs.read", readOnly),
	capability("activities", "the System Log", "okta.logs.read", readOnly+" or Report Administrator"),
	capability("accounts", "users", "okta.users.read", readOnly+", or a custom one with okta.users.read on all users"),
	capability("accounts/is_admin", "who is an administrator; without it is_admin is unknown", "okta.roles.read", viewRoles),
	capability("groups", "groups, members and owners", "okta.groups.read", readOnly+", or a custom one with okta.groups.read"),
	capability("privileges", "administrator roles", "okta.roles.read", viewRoles),
	capability("apps", "applications", "okta.apps.read", readOnly+", or a custom one with okta.apps.read"),
	capability("apps/integrations", "API service integrations", "okta.oauthIntegrations.read", "Super Administrator (a lesser one may be enough)"),
	capability("app_grants", "refresh tokens issued to apps", "okta.apps.read", readOnly+", or a custom one with okta.apps.read"),
	capability("app_grants/scopes", "Okta API scopes granted to apps", "okta.appGrants.read, with okta.apps.read,", "Super Administrator (a lesser one may not be enough)"),
	capability("app_grants/api_tokens", "API tokens (SSWS)", "okta.apiTokens.read", "Super Administrator, or a custom one with okta.users.apitokens.read"),
	capability("app_grants/integrations", "API service integrations", "okta.oauthIntegrations.read", "Super Administrator (a lesser one may be enough)"),
}

var limits = []string{
	"Okta keeps the System Log for 90 days; what an agent that stood still for longer has missed is gone.",
	"Events are listed in the order in which Okta stored them, so late ones are collected too. How late they may be is not stated; covered_to assumes an hour.",
	"An API token or OAuth client gets half of each of the organization's rate limits by default: of /api/v1/logs 60 requests, 60,000 events, a minute. The connector rests when a tenth of a limit is left.",
	"Users deleted for good are found by their absence from complete rounds. A sign-in alone may not update a user: last_login_at is right to a day.",
	"is_admin of a user who was not updated otherwise, owners of groups whose members stayed the same, and mfa_enabled are right to a day too.",
	"mfa_enabled takes a request for each user. By default organizations of more than 5,000 users are not asked, and it is unknown.",
	"Access tokens that were issued without a refresh token cannot be listed. When an API token was last used is derived from when it ends.",
	"Okta has no files: the streams files and file_permissions do not exist.",
}

// scopes are what a token is asked for; those that are not granted are left out.
var scopes = []string{
	"okta.logs.read", "okta.users.read", "okta.groups.read", "okta.roles.read", "okta.apps.read",
	"okta.appGrants.read", "okta.apiTokens.read", "okta.oauthIntegrations.read", "okta.orgs.read",
}

func (c *Config) scopes() []string {
	if c.Auth.Manage {
		return slices.Concat(scopes, manageScopes)
	}
	return scopes
}

// newAuthorizer returns the configured kind of credentials; tokens is nil with
// an API token.
func newAuthorizer(env sources.Env, cfg *Config) (a httpx.Authorizer, tokens *auth.Tokens, err error) {
	switch {
	case !cfg.Auth.Token.IsZero():
		return auth.Static("Authorization", "SSWS ", cfg.Auth.Token.Value), nil, nil
	case !cfg.Auth.PrivateKey.IsZero():
		tokens, err = auth.NewPrivateKeyJWT(auth.PrivateKeyJWT{
			HTTP: env.HTTP, Clock: env.Clock, TokenURL: cfg.BaseURL + "/oauth2/v1/token", ClientID: cfg.Auth.ClientID,
			Key: cfg.Auth.PrivateKey.Value, KeyID: cfg.Auth.KeyID, Scopes: cfg.scopes(), DPoP: cfg.Auth.DPoP == "on",
		})
	default:
		c, e := consent(env, cfg)
		if e != nil {
			return nil, nil, e
		}
		tokens, err = auth.NewConsented(auth.Consented{Instance: env.Instance, Vault: env.Vault, Consent: c, HTTP: env.HTTP, Clock: env.Clock})
	}
	if err != nil {
		return nil, nil, err
	}
	return tokens, tokens, nil
}

// consent implements Connector.Consent.
func consent(_ sources.Env, c setting.Struct) (*auth.Consent, error) {
	cfg, ok := c.(*Config)
	if !ok {
		return nil, fault.New(fault.Permanent, "okta: settings are a %T", c)
	}
	if cfg.Auth.ClientSecret.IsZero() {
		return nil, nil
	}
	return &auth.Consent{
		AuthorizeURL: cfg.BaseURL + "/oauth2/v1/authorize", TokenURL: cfg.BaseURL + "/oauth2/v1/token",
		ClientID: cfg.Auth.ClientID, ClientSecret: cfg.Auth.ClientSecret.Value, Basic: true, RedirectURL: cfg.Auth.RedirectURL,
		Scopes: append([]string{"offline_access"}, cfg.scopes()...),
		Hint:   "Sign in to " + cfg.BaseURL + " as an administrator whose roles the agent shall use; what that person may not see is not collected.",
	}, nil
}

// Tenant implements sources.Session. The organization's id does not change: it
// is asked once a session. It is unknown while the scope for it is missing,
// which is no reason to collect nothing.
func (s *session) Tenant(ctx context.Context) (string, error) {
	if id := s.org.Load(); id != nil {
		return *id, nil
	}
	var org struct {
		ID string `json:"id"`
	}
	_, err := s.get(ctx, httpx.P(pathOrg), nil, &org)
	if denied(err) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	if org.ID == "" {
		return "", fault.New(fault.Transient, "GET %s: the answer holds no id", pathOrg)
	}
	s.org.Store(&org.ID)
	return org.ID, nil
}

// Identity implements sources.Session.
func (s *session) Identity(ctx context.Context) (sources.Identity, error) {
	if s.tokens == nil {
		token, err := s.cfg.Auth.Token.Value()
		if err != nil {
			return sources.Identity{}, fault.New(fault.Auth, "the token: %w", err)
		}
		if _, err := s.Tenant(ctx); err != nil { // whether it is good at all
			return sources.Identity{}, err
		}
		// The vendor does not tell whose token it is. Another token may see
		// other things, so the identity tells tokens apart.
		sum := sha256.Sum256([]byte("weir okta token " + token))
		return sources.Identity{ID: "token-" + hex.EncodeToString(sum[:4]), Name: "owner of the API token", Kind: sources.IdentityUnknown}, nil
	}
	token, err := s.tokens.Token(ctx)
	if err != nil {
		return sources.Identity{}, err
	}
	id := sources.Identity{ID: s.cfg.Auth.ClientID, Kind: sources.IdentityApp, Roles: slices.Clone(token.Scopes)}
	if !s.cfg.Auth.ClientSecret.IsZero() {
		id.Name, id.Kind = "whoever granted access with weir connect", sources.IdentityPerson
		return id, nil
	}
	roles, err := s.roles(ctx, pathClientRoles, id.ID, false)
	if err != nil && !denied(err) && !isGone(err) {
		return sources.Identity{}, err
	}
	for _, r := range roles {
		id.Roles = append(id.Roles, first(string(r.wire.Role), string(r.wire.Type)))
	}
	slices.Sort(id.Roles)
	id.Roles = slices.Compact(id.Roles)
	return id, nil
}

// Probe implements sources.Session.
func (s *session) Probe(ctx context.Context, capability string) error {
	if action, ok := strings.CutPrefix(capability, sources.CapabilityActions); ok {
		return s.probeAction(ctx, sources.Action(action))
	}
	one := url.Values{"limit": {"1"}}
	path := ""
	switch capability {
	case "organization":
		path, one = pathOrg, nil
	case "activities":
		path = pathLogs
	case "accounts":
		path = pathUsers
	case "groups":
		path = pathGroups
	case "privileges", "accounts/is_admin":
		path = pathAssignees
	case "apps":
		path = pathApps
	case "app_grants", "app_grants/scopes":
		return s.probeApp(ctx, capability)
	case "app_grants/api_tokens":
		path, one = pathAPITokens, nil
	case "apps/integrations", "app_grants/integrations":
		path, one = pathIntegrations, nil
	default:
		return fault.New(fault.Permanent, "okta has no capability %q", capability)
	}
	_, err := s.client.Do(ctx, &httpx.Request{Path: httpx.P(path), Query: one})
	return err
}

// probeApp asks for what was granted to some app; where there is none, that apps
// can be listed has to do.
func (s *session) probeApp(ctx context.Context, capability string) error {
	var apps []wireApp
	if _, err := s.get(ctx, httpx.P(pathApps), activeApps, &apps); err != nil {
		return err
	}
	for _, a := range apps {
		if a.SignOnMode != openID {
			continue
		}
		path, query := pathAppTokens, url.Values{"limit": {"1"}}
		if capability == "app_grants/scopes" {
			path, query = pathAppGrants, nil
		}
		_, err := s.client.Do(ctx, &httpx.Request{Path: httpx.P(path, string(a.ID)), Query: query})
		return err
	}
	return nil
}
