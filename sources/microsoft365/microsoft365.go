// Package microsoft365 connects Microsoft 365 and Microsoft Entra: accounts,
// groups and their members, directory roles, apps and what was granted to them;
// Entra's audit log and sign-ins; the unified audit log of Office 365 by the
// Management Activity API; sites, drives and files.
//
// Sources: the Microsoft Graph reference and metadata (v1.0), its permission map
// of 2026-08, the concepts on throttling, delta queries, batches and national
// clouds, and the identity platform's reference of the client credentials flow.
package microsoft365

import (
	"context"
	"slices"
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
	tableAccounts = "accounts"
	tableGroups   = "groups"
	tableMembers  = "group_members"
)

var (
	infoAccounts = sources.StreamInfo{
		Name: "accounts", Shape: sources.Scan, Tables: []string{tableAccounts},
		Every: 15 * time.Minute, FullEvery: day, Disjoint: true, Mapping: 1,
		Doc: "users, deleted ones that can still be restored, and service principals; in between what changed",
	}
	infoGroups = sources.StreamInfo{
		Name: "groups", Shape: sources.Scan, Tables: []string{tableGroups, tableMembers},
		Every: 15 * time.Minute, FullEvery: day, Mapping: 1,
		Doc: "groups, their members and owners; in between what changed",
	}
	infoPrivileges = sources.StreamInfo{
		Name: "privileges", Shape: sources.Scan, Tables: []string{"privileges"},
		Every: time.Hour, Disjoint: true, Mapping: 1,
		Doc: "directory roles of users, groups and service principals: assigned and, with Privileged Identity Management, eligible",
	}
	infoAudits = lateLog(sources.StreamInfo{
		Name: streamAudits, Shape: sources.Log, Tables: []string{schemas.TableActivities}, Every: 5 * time.Minute,
		Doc: "Entra's audit log: who changed users, groups, roles, apps, policies and settings",
	}, usualLateness, logRetention)
	infoSignIns = lateLog(sources.StreamInfo{
		Name: streamSignIns, Shape: sources.Log, Tables: []string{schemas.TableActivities}, Every: 5 * time.Minute, Mutable: true,
		Doc: "Entra's sign-ins: of people, at a screen or by an app of theirs, of service principals and managed identities",
	}, usualLateness, logRetention)
	infoApps = sources.StreamInfo{
		Name: "apps", Shape: sources.Scan, Tables: []string{"apps", "app_grants"},
		Every: time.Hour, Disjoint: true, Mapping: 1,
		Doc: "service principals, and the delegated and application permissions granted to them",
	}
)

// Connector is the Microsoft 365 connector.
var Connector = &sources.Connector{
	App:   "microsoft365",
	Title: "Microsoft 365",
	Streams: []sources.StreamInfo{
		infoAccounts,
		infoGroups,
		infoPrivileges,
		infoAudits,
		infoSignIns,
		infoApps,
		infoActivities,
		infoFiles,
	},
	Capabilities: slices.Concat(capabilities, logCapabilities, officeCapabilities),
	Hosts: []sources.Host{
		{Name: "login.microsoftonline.com, or that of the cloud", For: "tokens, and administrators' consent"},
		{Name: "graph.microsoft.com, or that of the cloud", For: "Microsoft Graph"},
		{Name: "manage.office.com, or that of the cloud", For: "the Management Activity API"},
		{Name: "*.sharepoint.com, or those of the cloud", For: "actions on files: how copies get on, the recycle bin and inheritance"},
	},
	Actions: actions,
	Limits:  slices.Concat(limits, officeLimits),
	Config:  func() setting.Struct { return defaults() },
	Open:    open,
	Adjust:  adjust,
	Mapper:  newRemapper,
	Consent: consent,

	Notifies: notifies,
}

// Config is the microsoft365 part of an instance.
type Config struct {
	TenantID          string           `key:"tenant_id,required" doc:"the tenant's id, a GUID; the instance is pinned to it" example:"5f1e7c52-93d0-4a8e-b6f4-0f3d2a91c7be"`
	Cloud             string           `key:"cloud" enum:"worldwide gcc gcc_high dod china" doc:"the deployment that the tenant is in: it decides the hosts, and whom tokens are for"`
	LoginBaseURL      string           `key:"login_base_url" doc:"where token requests go instead of the cloud's host"`
	GraphBaseURL      string           `key:"graph_base_url" doc:"where Microsoft Graph's requests go instead of the cloud's host"`
	ManageBaseURL     string           `key:"manage_base_url" doc:"where the Management Activity API's requests go instead of the cloud's host"`
	SharePointBaseURL string           `key:"sharepoint_base_url" doc:"where SharePoint's own requests go instead of the host of each site"`
	DirectoryAudits   DirectoryAudits  `key:"directory_audits" doc:"Entra's audit log"`
	SignIns           SignIns          `key:"sign_ins" doc:"Entra's sign-ins"`
	Activities        ActivitySettings `key:"activities" doc:"what of the unified audit log is collected"`
	Files             FileSettings     `key:"files" doc:"how files are read"`
	Auth              Auth             `key:"auth,required" doc:"credentials of an app registration: a secret, or a certificate and its private key"`

	Actions Actions `key:"actions" doc:"what actions (governance) need to know"`
}

// Auth holds one of two kinds of credentials.
type Auth struct {
	ClientID     string        `key:"client_id,required" doc:"application (client) id of the app registration, a GUID" example:"0c9d7a34-6b1f-4e52-8f0a-7d3b5c2e9a16"`
	ClientSecret secret.Secret `key:"client_secret,chosen" doc:"a client secret of it" example:"${env:MICROSOFT365_CLIENT_SECRET}"`
	Certificate  secret.Secret `key:"certificate,instead" doc:"a certificate registered with it, PEM" example:"${file:/etc/weir/microsoft365.crt}"`
	PrivateKey   secret.Secret `key:"private_key,instead" doc:"the certificate's private key, PEM, RSA" example:"${file:/etc/weir/microsoft365.pem}"`
	RedirectURL  string        `key:"redirect_url" doc:"for weir connect: the redirect URI registered with the app, on this machine"`
}

func defaults() *Config {
	return &Config{
		Cloud: "worldwide", Auth: Auth{RedirectURL: "http://localhost:8765/callback"},
		DirectoryAudits: defaultAudits(), SignIns: defaultSignIns(), Activities: ActivitySettings{Since: manageRetention},
	}
}

// Validate implements setting.Struct.
func (c *Config) Validate() (errs []setting.KeyError) {
	bad := func(key, found, accepted string) {
		errs = append(errs, setting.KeyError{Key: key, Found: found, Accepted: accepted})
	}
	if c.TenantID != "" && !isGUID(c.TenantID) {
		bad("tenant_id", c.TenantID, "the tenant's GUID, from Entra admin center > Overview; no domain, and not common or organizations")
	}
	for _, b := range [][2]string{
		{"login_base_url", c.LoginBaseURL}, {"graph_base_url", c.GraphBaseURL}, {"manage_base_url", c.ManageBaseURL}, {"sharepoint_base_url", c.SharePointBaseURL},
	} {
		if b[1] == "" {
			continue
		}
		if err := checkBaseURL(b[1]); err != nil {
			bad(b[0], b[1], err.Error())
		}
	}
	errs = append(errs, c.Actions.validate()...)
	errs = append(errs, c.Activities.validate("activities")...)
	a := &c.Auth
	if a.ClientID != "" && !isGUID(a.ClientID) {
		bad("auth.client_id", a.ClientID, "the application (client) id, a GUID")
	}
	switch password, cert, key := !a.ClientSecret.IsZero(), !a.Certificate.IsZero(), !a.PrivateKey.IsZero(); {
	case password && (cert || key):
		bad("auth", "", "one of: client_secret; certificate and private_key")
	case !password && !cert && !key:
		bad("auth", "", "client_secret; or certificate and private_key")
	case !password && !key:
		bad("auth.private_key", "", "the certificate's private key")
	case !password && !cert:
		bad("auth.certificate", "", "the private key's certificate, as it is registered with the app")
	}
	return slices.Concat(errs, c.DirectoryAudits.validate(), c.SignIns.validate())
}

// session is one open tenant.
type session struct {
	env    sources.Env
	cfg    *Config
	hosts  hosts
	tenant string // its GUID, lower case

	graph  *httpx.Client
	tokens *tenantTokens // for Microsoft Graph
	manage *httpx.Client // of the Management Activity API; nil: the cloud has none
	gov    governing     // what actions keep
}

func open(_ context.Context, env sources.Env, c setting.Struct) (sources.Session, error) {
	cfg, ok := c.(*Config)
	if !ok {
		return nil, fault.New(fault.Permanent, "microsoft365: settings are a %T", c)
	}
	s := &session{env: env, cfg: cfg, hosts: cfg.hosts(), tenant: lower(cfg.TenantID)}
	var err error
	if s.tokens, err = newTokens(env, cfg, s.hosts.graphAudience); err != nil {
		return nil, err
	}
	if s.graph, err = env.HTTP.Client(httpx.Config{
		BaseURL: s.hosts.graph, Aliases: []string{s.hosts.graphAudience}, Header: jsonHeader, Auth: s.tokens,
		Bucket: bucketOf, Buckets: buckets, Quota: quota, Classify: classify,
	}); err != nil {
		return nil, err
	}
	if s.hosts.manage == "" {
		return s, nil
	}
	tokens, err := newTokens(env, cfg, s.hosts.manageAudience)
	if err != nil {
		return nil, err
	}
	s.manage, err = env.HTTP.Client(httpx.Config{
		BaseURL: s.hosts.manage, Aliases: []string{s.hosts.manageAudience}, Header: jsonHeader, Auth: tokens,
		Buckets: manageBuckets, Quota: quota, Classify: classify,
	})
	return s, err
}

var jsonHeader = map[string][]string{"Accept": {"application/json"}, "Content-Type": {"application/json"}}

// newTokens returns the app's tokens for one audience: a token is for one alone.
func newTokens(env sources.Env, cfg *Config, audience string) (*tenantTokens, error) {
	h, tenant := cfg.hosts(), lower(cfg.TenantID)
	tokenURL, scopes := h.login+"/"+tenant+"/oauth2/v2.0/token", []string{audience + "/.default"}
	var tokens *auth.Tokens
	var err error
	if cfg.Auth.ClientSecret.IsZero() {
		tokens, err = auth.NewPrivateKeyJWT(auth.PrivateKeyJWT{
			HTTP: env.HTTP, Clock: env.Clock, TokenURL: tokenURL, ClientID: cfg.Auth.ClientID, Alg: "PS256",
			Key: cfg.Auth.PrivateKey.Value, Certificate: cfg.Auth.Certificate.Value, Scopes: scopes,
		})
	} else {
		tokens, err = auth.NewClientSecret(auth.ClientSecret{
			HTTP: env.HTTP, Clock: env.Clock, TokenURL: tokenURL, ClientID: cfg.Auth.ClientID, Secret: cfg.Auth.ClientSecret.Value, Scopes: scopes,
		})
	}
	if err != nil {
		return nil, err
	}
	return &tenantTokens{Tokens: tokens, tenant: tenant, further: audience != h.graphAudience}, nil
}

// Streams implements sources.Session.
func (s *session) Streams() []sources.Stream {
	return append([]sources.Stream{
		{Info: infoAccounts, Lanes: s.accountLanes, Read: s.readAccounts, Delta: s.deltaAccounts, Ask: s.askAccount},
		{Info: infoGroups, Read: s.readGroups, Delta: s.deltaGroups, Ask: s.askGroup},
		{Info: infoPrivileges, Lanes: s.privilegeLanes, Read: s.readPrivileges},
		s.directoryAuditsStream(),
		s.signInsStream(),
		{Info: infoApps, Lanes: s.appLanes, Read: s.readApps},
	}, s.office()...)
}
