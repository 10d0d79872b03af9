// Package okta connects Okta organizations, workforce and customer identity:
// activities (the System Log), accounts, groups and their members, admin roles,
// apps, and what was granted to them.
//
// Sources: Okta's System Log query guide, Management and OAuth API references
// (specification 2026.06.3), rate limit and error code references.
package okta

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/fault"
	"weir/internal/secret"
	"weir/internal/setting"
	"weir/schemas"
	"weir/sources"
	"weir/sources/auth"
	"weir/sources/httpx"
)

const day = 24 * time.Hour

// Tables of entities.
const (
	tableAccounts   = "accounts"
	tableGroups     = "groups"
	tableMembers    = "group_members"
	tablePrivileges = "privileges"
	tableApps       = "apps"
	tableAppGrants  = "app_grants"
)

var (
	infoActivities = sources.StreamInfo{
		Name: "activities", Shape: sources.Log, Tables: []string{schemas.TableActivities},
		Every: time.Minute, Lateness: logLateness, Keep: retention + day, Retention: retention,
		Back: true, ShowsLate: true,
		Doc: "the System Log: sign-ins, administration, what people do, and threats",
	}
	infoAccounts = sources.StreamInfo{
		Name: "accounts", Shape: sources.Scan, Tables: []string{tableAccounts},
		Every: 10 * time.Minute, FullEvery: day, Mapping: 1,
		Doc: "users, deprovisioned ones too; in between what was updated",
	}
	infoGroups = sources.StreamInfo{
		Name: "groups", Shape: sources.Scan, Tables: []string{tableGroups, tableMembers},
		Every: 30 * time.Minute, FullEvery: day, Disjoint: true, Mapping: 1,
		Doc: "groups, their members and owners; members are read again when a group's membership changed",
	}
	infoPrivileges = sources.StreamInfo{
		Name: "privileges", Shape: sources.Scan, Tables: []string{tablePrivileges},
		Every: time.Hour, Disjoint: true, Mapping: 1,
		Doc: "administrator roles of users, groups and OAuth clients, directly or by a group",
	}
	infoApps = sources.StreamInfo{
		Name: "apps", Shape: sources.Scan, Tables: []string{tableApps},
		Every: time.Hour, Disjoint: true, Mapping: 1,
		Doc: "applications, active or not, and API service integrations",
	}
	infoAppGrants = sources.StreamInfo{
		Name: "app_grants", Shape: sources.Scan, Tables: []string{tableAppGrants},
		Every: 6 * time.Hour, Disjoint: true, Mapping: 1,
		Doc: "scopes granted to apps, refresh tokens, API tokens, API service integrations and, if asked for, consents of users",
	}
)

// Connector is the Okta connector.
var Connector = &sources.Connector{
	App:          "okta",
	Title:        "Okta",
	Streams:      []sources.StreamInfo{infoActivities, infoAccounts, infoGroups, infoPrivileges, infoApps, infoAppGrants},
	Capabilities: capabilities,
	Hosts: []sources.Host{
		{Name: "<sub>.okta.com, <sub>.okta-emea.com, <sub>.oktapreview.com, <sub>.okta-gov.com, <sub>.okta.mil, or a custom domain: the host of base_url", For: "everything: the API and its tokens"},
	},
	Limits:  limits,
	Actions: actions,
	Config:  func() setting.Struct { return defaults() },
	Open:    open,
	Mapper:  newRemapper,
	Consent: consent,
}

// Config is the okta part of an instance.
type Config struct {
	BaseURL          string   `key:"base_url,required" doc:"the organization's URL, or its custom domain: https and a host, without a path; not the -admin one" example:"https://acme.okta.com"`
	Auth             Auth     `key:"auth,required" doc:"credentials: an API token, or a service app's key, or a web app's secret (with weir connect)"`
	Logs             Logs     `key:"logs" doc:"the System Log"`
	Accounts         Accounts `key:"accounts" doc:"users"`
	Grants           Grants   `key:"grants" doc:"what was granted to apps"`
	ServiceUserTypes []string `key:"service_user_types" doc:"values of a user's userType, or ids of user types, that mark service accounts; * stands for anything" example:"[service*]"`
}

// Auth holds one of three kinds of credentials.
type Auth struct {
	Token        secret.Secret `key:"token,chosen" doc:"API token (SSWS)" example:"${env:OKTA_TOKEN}"`
	ClientID     string        `key:"client_id,instead" doc:"client id of a service app (with private_key) or of a web app (with client_secret)" example:"0oa1b2c3d4e5f6g7h8i9"`
	PrivateKey   secret.Secret `key:"private_key,instead" doc:"the service app's private key, PEM or JWK" example:"${file:/etc/weir/okta.pem}"`
	KeyID        string        `key:"key_id,instead" doc:"id (kid) under which its public key is registered" example:"weir-1"`
	DPoP         string        `key:"dpop" enum:"auto on" doc:"proof of possession (RFC 9449): auto uses it when the app requires it, on always"`
	Manage       bool          `key:"manage" doc:"with an app: ask for the scopes that actions need too (okta.users.manage and the like), as far as they are granted; an API token needs none"`
	ClientSecret secret.Secret `key:"client_secret,instead" doc:"the web app's secret; a super administrator then grants access with weir connect"`
	RedirectURL  string        `key:"redirect_url" doc:"with client_secret: the sign-in redirect URI registered with the web app, on this machine"`
}

// Logs is about the System Log.
type Logs struct {
	Since time.Duration `key:"since" doc:"how far back the first collection goes; Okta keeps 90 days"`
}

// Accounts is about users.
type Accounts struct {
	Factors string `key:"factors" enum:"auto on off" doc:"ask for each user's factors, a request each, to know mfa_enabled; auto: in organizations of up to 5,000 users"`
}

// Grants is about what was granted to apps.
type Grants struct {
	PerUser bool `key:"per_user" doc:"ask for each user's consents, a request each"`
}

func defaults() *Config {
	return &Config{Auth: Auth{DPoP: "auto", RedirectURL: "http://127.0.0.1:8765/callback"}, Logs: Logs{Since: retention}, Accounts: Accounts{Factors: "auto"}}
}

// Validate implements setting.Struct.
func (c *Config) Validate() (errs []setting.KeyError) {
	bad := func(key, found, accepted string) {
		errs = append(errs, setting.KeyError{Key: key, Found: found, Accepted: accepted})
	}
	if c.BaseURL != "" {
		if _, err := parseBaseURL(c.BaseURL); err != nil {
			bad("base_url", c.BaseURL, err.Error())
		}
	}
	a := &c.Auth
	switch token, key, password := !a.Token.IsZero(), !a.PrivateKey.IsZero(), !a.ClientSecret.IsZero(); {
	case token && (key || password || a.ClientID != "" || a.KeyID != ""), key && password:
		bad("auth", "", "exactly one of: token; client_id, private_key and key_id; client_id and client_secret")
	case token:
	case !key && !password:
		bad("auth", "", "token; or client_id, private_key and key_id; or client_id and client_secret")
	case a.ClientID == "":
		bad("auth.client_id", "", "the client id of the app")
	case key && a.KeyID == "":
		bad("auth.key_id", "", "the kid under which the public key is registered with the app")
	}
	if c.Logs.Since <= 0 {
		bad("logs.since", setting.FormatDuration(c.Logs.Since), "a time back from now, such as 90d")
	}
	for _, pattern := range c.ServiceUserTypes {
		if _, err := path.Match(pattern, ""); err != nil || pattern == "" {
			bad("service_user_types", pattern, "a userType or the id of a user type, in which * stands for anything")
		}
	}
	return errs
}

var vendorDomains = []string{".okta.com", ".okta-emea.com", ".oktapreview.com", ".okta-gov.com", ".okta.mil"}

// parseBaseURL checks the organization's URL. http, and a path below which the
// API is, are for loopback only.
func parseBaseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return nil, fmt.Errorf("https:// and a host, such as https://acme.okta.com")
	}
	host := strings.ToLower(u.Hostname())
	loop := loopback(host)
	if u.Scheme != "https" && (u.Scheme != "http" || !loop) {
		return nil, fmt.Errorf("https (http only to this machine itself)")
	}
	if strings.HasSuffix(u.Path, "/") || strings.HasSuffix(u.Path, "/api/v1") || strings.Contains(u.Path, "//") || u.RawPath != "" {
		return nil, fmt.Errorf("no slash and no /api/v1 at the end")
	}
	if u.Path != "" && !loop {
		return nil, fmt.Errorf("no path after the host")
	}
	if strings.HasSuffix(host, ".com.com") {
		return nil, fmt.Errorf("a host that does not end in .com.com")
	}
	for _, domain := range vendorDomains {
		if sub, ok := strings.CutSuffix(host, domain); ok {
			if plain, isConsole := strings.CutSuffix(sub, "-admin"); isConsole {
				return nil, fmt.Errorf("the organization's own host and not the admin console's: https://%s%s", plain, domain)
			}
			if sub == "" || strings.Contains(sub, ".") {
				return nil, fmt.Errorf("one name before %s", domain)
			}
		}
	}
	return u, nil
}

func loopback(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback()
	}
	return host == "localhost"
}

// session is one open organization.
type session struct {
	env    sources.Env
	cfg    *Config
	client *httpx.Client
	tokens *auth.Tokens // nil with an API token
	base   string       // base URL
	prefix string       // its path; "" but in a sandbox

	org      atomic.Pointer[string] // the organization's id, once it was told
	own      atomic.Pointer[string] // the user that the credentials belong to, once it was told
	logPages sync.Pool              // of *logPage
}

func open(_ context.Context, env sources.Env, c setting.Struct) (sources.Session, error) {
	cfg, ok := c.(*Config)
	if !ok {
		return nil, fault.New(fault.Permanent, "okta: settings are a %T", c)
	}
	u, err := parseBaseURL(cfg.BaseURL)
	if err != nil {
		return nil, fault.New(fault.Permanent, "okta: base_url %q: want %w", cfg.BaseURL, err)
	}
	authorizer, tokens, err := newAuthorizer(env, cfg)
	if err != nil {
		return nil, err
	}
	client, err := env.HTTP.Client(httpx.Config{
		BaseURL: cfg.BaseURL,
		Header:  map[string][]string{"Accept": {"application/json"}, "Content-Type": {"application/json"}},
		Auth:    authorizer, Bucket: bucketOf, Buckets: buckets, Quota: quota, Classify: classify,
	})
	if err != nil {
		return nil, err
	}
	s := &session{env: env, cfg: cfg, client: client, tokens: tokens, base: cfg.BaseURL, prefix: u.Path}
	s.logPages.New = func() any { return newLogPage() }
	return s, nil
}

// Streams implements sources.Session.
func (s *session) Streams() []sources.Stream {
	return []sources.Stream{
		{Info: infoActivities, Read: s.readActivities, Past: pastLanes},
		{Info: infoAccounts, Read: s.readAccounts, Delta: s.deltaAccounts, Ask: s.askAccount},
		{Info: infoGroups, Lanes: s.groupLanes, Read: s.readGroups, Ask: s.askGroup},
		{Info: infoPrivileges, Lanes: s.privilegeLanes, Read: s.readPrivileges},
		{Info: infoApps, Lanes: s.appLanes, Read: s.readApps},
		{Info: infoAppGrants, Lanes: s.grantLanes, Read: s.readGrants},
	}
}
