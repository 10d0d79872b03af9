// Package github connects GitHub: GitHub.com, data residency on GHE.com, and
// GitHub Enterprise Server. One instance is one organization; with an
// enterprise's slug its activities are the whole enterprise's.
//
// Source of every path, parameter and field: GitHub's REST and GraphQL
// references as of API version 2022-11-28.
package github

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/fault"
	"weir/internal/secret"
	"weir/internal/setting"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// Connector is the GitHub connector.
var Connector = &sources.Connector{
	App:   "github",
	Title: "GitHub",
	Streams: []sources.StreamInfo{
		{
			Name: streamActivities, Shape: sources.Log, Tables: []string{schemas.TableActivities},
			Every: time.Minute, Lateness: 2 * sweepEvery, Keep: gitKept + 24*time.Hour, Retention: webKept, WholeFor: gitKept,
			Back: true, ShowsLate: true,
			Doc: "the organization's audit log, or the enterprise's: web and Git events",
		},
		{
			Name: streamAccounts, Shape: sources.Scan, Tables: []string{"accounts"},
			Every: 6 * time.Hour, Mapping: 1,
			Doc: "members, outside collaborators, pending and failed invitations, with the addresses their single sign-on tells",
		},
		{
			Name: streamGroups, Shape: sources.Scan, Tables: []string{"groups", "group_members"},
			Every: 6 * time.Hour, Disjoint: true, Mapping: 1,
			Doc: "teams, their own members and their child teams",
		},
		{
			Name: streamRepositories, Shape: sources.Scan, Tables: []string{"privileges", "files", "file_permissions"},
			Every: 12 * time.Hour, FullEvery: 7 * 24 * time.Hour, Disjoint: true, Mapping: 1,
			Doc: "who may do what: owners, base permission and roles of the organization; repositories with their collaborators, teams and deploy keys; with files.trees also their files",
		},
		{
			Name: streamGrants, Shape: sources.Scan, Tables: []string{"apps", "app_grants"},
			Every: 6 * time.Hour, Disjoint: true, Mapping: 1,
			Doc: "GitHub Apps installed, credentials authorized for single sign-on, fine-grained personal access tokens",
		},
	},
	Capabilities: capabilities,
	Hosts: []sources.Host{
		{Name: "api.github.com", For: "GitHub.com: REST and GraphQL"},
		{Name: "github.com", For: "GitHub.com: consent of an OAuth app, once"},
		{Name: "api.SUBDOMAIN.ghe.com, SUBDOMAIN.ghe.com", For: "the same with data residency"},
		{Name: "the server's own host", For: "the same with GitHub Enterprise Server"},
	},
	Limits: []string{
		"The audit log API exists with GitHub Enterprise (Cloud or Server) only.",
		"GitHub keeps web events for 180 days and Git events for 7: an outage longer than that loses Git events.",
		"Git operations that GitHub does on behalf of its web pages or API (the merge button, say) appear in no audit log.",
		"GitHub adds events late and gives no bound: each poll looks back audit.overlap, and once a day audit.lateness and a day; what is added later than that is missed.",
		"Source addresses appear only when an owner has enabled source IP disclosure.",
		"There are no sign-ins of personal accounts: only single sign-on responses, and on Enterprise Server sign-ins.",
		"There is no list of the OAuth apps that members have authorized: apps are the GitHub Apps installed. Authorizations show as activities and, with SAML, as authorized credentials.",
		"Fine-grained personal access tokens are listed for GitHub Apps only.",
		"With GitHub Enterprise Server, tokens and keys that only a site administrator may list are not collected.",
		"With Enterprise Server, whether an account is suspended is not told by the lists; versions that do not tell a team member's role count inherited members as the team's own.",
		"Accounts' suspension with Enterprise Managed Users lives in SCIM, which is not read: such accounts leave the members' list.",
		"A team's inherited members are written once, at the child team that they belong to.",
	},
	Actions: actions,
	Config:  func() setting.Struct { return newConfig() },
	Open:    open,
	Adjust:  adjust,
	Mapper:  newRemapper,
	Consent: consent,
}

// Names of the streams, and of their capabilities.
const (
	streamActivities   = "activities"
	streamAccounts     = "accounts"
	streamGroups       = "groups"
	streamRepositories = "repositories"
	streamGrants       = "app_grants"
)

// Config is the github part of an instance.
type Config struct {
	Org        string `key:"org,required" doc:"the organization's login name" example:"acme"`
	Enterprise string `key:"enterprise" doc:"slug of the enterprise, to collect its audit log in place of the organization's; not for GitHub Apps" example:"acme-inc"`
	BaseURL    string `key:"base_url" doc:"the REST API: https://api.github.com, https://api.SUBDOMAIN.ghe.com, or https://HOST/api/v3" example:"https://github.acme.example/api/v3"`
	GraphQLURL string `key:"graphql_url" doc:"the GraphQL API; follows from base_url"`
	WebURL     string `key:"web_url" doc:"where people sign in; follows from base_url"`
	Auth       Auth   `key:"auth,required" doc:"exactly one way: a GitHub App, an OAuth app, or a personal token"`
	Audit      Audit  `key:"audit" doc:"what of the audit log is collected"`
	Files      Files  `key:"files" doc:"what of the repositories is collected"`
	Actions    Writes `key:"actions" doc:"what some actions need beside the credentials"`
}

// Writes is what some actions need beside the credentials.
type Writes struct {
	Manage       bool   `key:"manage" doc:"OAuth app: also ask for the scopes admin:org and repo, which may write; then run weir connect again"`
	SCIM         bool   `key:"scim" doc:"suspend accounts by SCIM: of Enterprise Managed Users, with enterprise and a token of the setup user, or of a server with SCIM. GitHub warns that writes beside the identity provider break provisioning: who sets this accepts that"`
	Enterprise   string `key:"enterprise,instead" doc:"GitHub App: slug of the enterprise that the App is installed on, too, to uninstall others" example:"acme-inc"`
	Installation string `key:"enterprise_installation_id,instead" doc:"GitHub App: id of its installation on the enterprise" example:"7654321"`
}

// Auth is one of three ways to authenticate.
type Auth struct {
	AppID          string        `key:"app_id,instead" doc:"GitHub App: its id, where client_id is not given" example:"123456"`
	ClientID       string        `key:"client_id,instead" doc:"GitHub App or OAuth app: its client id" example:"Iv23liAbCdEf"`
	InstallationID string        `key:"installation_id,instead" doc:"GitHub App: the installation's id; without it, the organization's installation" example:"1234567"`
	PrivateKey     secret.Secret `key:"private_key,instead" doc:"GitHub App: its private key, PEM" example:"${file:/etc/weir/github.pem}"`
	ClientSecret   secret.Secret `key:"client_secret,instead" doc:"OAuth app: its client secret; then run weir connect" example:"${env:GITHUB_CLIENT_SECRET}"`
	Token          secret.Secret `key:"token,chosen" doc:"personal access token" example:"${env:GITHUB_TOKEN}"`
}

// Audit says what of the audit log is collected.
type Audit struct {
	Include  string        `key:"include" enum:"all web git" doc:"which events: of the web, of Git, or all"`
	Since    time.Duration `key:"since" doc:"how far back the first poll goes; GitHub has web events of 180 days and Git events of 7"`
	Overlap  time.Duration `key:"overlap" doc:"how far each poll looks back for events that GitHub added late"`
	Lateness time.Duration `key:"lateness" doc:"how late an event may be added and still be collected: once a day as much of the log, and a day, is read again"`
}

// Files says what of the repositories is collected.
type Files struct {
	Trees   bool `key:"trees" doc:"collect the files of each default branch, not only the repositories"`
	Private bool `key:"private" doc:"OAuth app: also ask for the scope repo, without which private repositories are not seen; GitHub has no read-only one"`
}

const (
	defaultAPI = "https://api.github.com"
	defaultWeb = "https://github.com"
	serverPath = "/api/v3" // of GitHub Enterprise Server

	webKept = 180 * 24 * time.Hour
	gitKept = 7 * 24 * time.Hour
)

func newConfig() *Config {
	return &Config{BaseURL: defaultAPI, Audit: Audit{Include: "all", Since: webKept, Overlap: 30 * time.Minute, Lateness: 24 * time.Hour}}
}

var (
	loginName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}$`)
	digits    = regexp.MustCompile(`^[0-9]{1,19}$`)
)

// Validate implements setting.Struct.
func (c *Config) Validate() (errs []setting.KeyError) {
	bad := func(key, found, accepted string) {
		errs = append(errs, setting.KeyError{Key: key, Found: found, Accepted: accepted})
	}
	if c.Org != "" && !loginName.MatchString(c.Org) {
		bad("org", c.Org, "an organization's login name, as in its page's address")
	}
	if c.Enterprise != "" && !loginName.MatchString(c.Enterprise) {
		bad("enterprise", c.Enterprise, "an enterprise's slug, as in its page's address")
	}
	for key, v := range map[string]string{"base_url": c.BaseURL, "graphql_url": c.GraphQLURL, "web_url": c.WebURL} {
		if v != "" && !goodURL(v) {
			bad(key, v, "https://host, and a path if there is one; http only for this machine itself")
		}
	}
	if accepted := c.Auth.fault(); accepted != "" {
		bad("auth", "", accepted)
	}
	if c.Actions.Enterprise != "" && !loginName.MatchString(c.Actions.Enterprise) {
		bad("actions.enterprise", c.Actions.Enterprise, "an enterprise's slug, as in its page's address")
	}
	if (c.Actions.Enterprise == "") != (c.Actions.Installation == "") || c.Actions.Enterprise != "" && (c.Auth.way() != wayApp || c.urls().server) {
		bad("actions", "", "enterprise and enterprise_installation_id both, beside auth of a GitHub App and not for a server, or neither")
	}
	if c.Actions.SCIM && (c.Auth.way() != wayToken || c.Enterprise == "" && !c.urls().server) {
		bad("actions.scim", "true", "beside auth.token and, but for a server, enterprise")
	}
	for key, v := range map[string]string{"auth.app_id": c.Auth.AppID, "auth.installation_id": c.Auth.InstallationID, "actions.enterprise_installation_id": c.Actions.Installation} {
		if v != "" && !digits.MatchString(v) {
			bad(key, v, "a number")
		}
	}
	if c.Enterprise != "" && c.Auth.way() == wayApp {
		bad("enterprise", c.Enterprise, "a personal token or an OAuth app of an enterprise owner beside it: GitHub Apps cannot read an enterprise's audit log")
	}
	if s := c.Audit.Since; s < time.Hour || s > 10*365*24*time.Hour {
		bad("audit.since", setting.FormatDuration(s), "a duration from 1h to 3650d")
	}
	if o := c.Audit.Overlap; o < 0 || o > 24*time.Hour {
		bad("audit.overlap", setting.FormatDuration(o), "a duration from 0s to 24h")
	}
	if l := c.Audit.Lateness; l < c.Audit.Overlap || l > maxLateness {
		bad("audit.lateness", setting.FormatDuration(l), "a duration from audit.overlap to 5d")
	}
	slices.SortFunc(errs, func(a, b setting.KeyError) int { return strings.Compare(a.Key, b.Key) })
	return errs
}

// goodURL reports whether s can be a base URL that credentials are sent to.
func goodURL(s string) bool {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(s, "{}") {
		return false
	}
	if u.Scheme == "http" {
		ip := net.ParseIP(u.Hostname())
		return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
	}
	return u.Scheme == "https"
}

// urls are where an instance's requests go.
type urls struct {
	api, graphql, web string
	server            bool // GitHub Enterprise Server
	residency         bool // GHE.com, where all accounts are managed users
}

// urls derives what is not configured from the base URL.
func (c *Config) urls() urls {
	u := urls{api: strings.TrimSuffix(c.BaseURL, "/"), graphql: strings.TrimSuffix(c.GraphQLURL, "/"), web: strings.TrimSuffix(c.WebURL, "/")}
	if u.api == "" {
		u.api = defaultAPI
	}
	root, server := strings.CutSuffix(u.api, serverPath)
	u.server = server
	if at, err := url.Parse(root); err == nil {
		u.residency = strings.HasSuffix(at.Hostname(), ".ghe.com")
	}
	if u.graphql == "" {
		u.graphql = u.api + "/graphql"
		if server {
			u.graphql = root + "/api/graphql"
		}
	}
	if u.web == "" {
		switch scheme, host, _ := strings.Cut(root, "://"); {
		case u.api == defaultAPI:
			u.web = defaultWeb
		case strings.HasPrefix(host, "api."):
			u.web = scheme + "://" + strings.TrimPrefix(host, "api.")
		default:
			u.web = root
		}
	}
	return u
}

// Quota buckets (GitHub's rate limits): the audit log has 1,750 requests an
// hour, everything else 5,000 or more, which the headers tell, and 900 a
// minute.
const (
	bucketCore  = "core"
	bucketAudit = "audit_log"
	bucketWrite = "write"
)

func bucket(r *httpx.Request) string {
	switch {
	case r.Method != "" && r.Method != http.MethodGet:
		return bucketWrite
	case strings.HasSuffix(r.Path.String(), "/audit-log"):
		return bucketAudit
	}
	return bucketCore
}

// buckets are the limits of GitHub.com and GHE.com. Enterprise Server has none
// unless its administrator sets some, which the headers tell.
var buckets = map[string]httpx.Limit{
	bucketAudit: {PerSecond: 1690. / 3600, Burst: 60, Concurrency: 1},
	bucketCore:  {PerSecond: 14, Burst: 40, Concurrency: 4},
	bucketWrite: {PerSecond: 1, Burst: 5, Concurrency: 1},
}

// serverBuckets: writes go one at a time there, too. Two commits to one branch
// would be in each other's way.
var serverBuckets = map[string]httpx.Limit{bucketWrite: {Concurrency: 1}}

// session is one instance's connection.
type session struct {
	env   sources.Env
	cfg   *Config
	urls  urls
	auth  httpx.Authorizer
	rest  *httpx.Client
	graph *httpx.Client

	// The App's installation on the enterprise, for what only that may do; nil:
	// none is configured.
	enterprise     *httpx.Client
	enterpriseAuth httpx.Authorizer

	graphPath httpx.Path

	listing chan struct{} // held by who lists teams or repositories for their names

	mu    sync.Mutex
	org   *wireOrg // as last seen
	orgAt time.Time
	teams map[string]string // slugs by id
	repos map[string]string // full names by id
	own   string            // id of the credentials' user, once it is known
}

func open(_ context.Context, env sources.Env, c setting.Struct) (sources.Session, error) {
	cfg, ok := c.(*Config)
	if !ok {
		return nil, fault.New(fault.Permanent, "github: configuration of type %T", c)
	}
	s := &session{env: env, cfg: cfg, urls: cfg.urls(), teams: map[string]string{}, repos: map[string]string{}, listing: make(chan struct{}, 1)}
	var err error
	if s.auth, err = newAuthorizer(env, cfg, s.urls); err != nil {
		return nil, err
	}
	header := http.Header{"Accept": {mediaType}, apiVersionHeader: {apiVersion}}
	limits := buckets
	if s.urls.server {
		limits = serverBuckets
	}
	if s.rest, err = env.HTTP.Client(httpx.Config{
		BaseURL: s.urls.api, Header: header, Auth: s.auth,
		Bucket: bucket, Buckets: limits, Quota: quota, Classify: classify,
	}); err != nil {
		return nil, err
	}
	if err := s.openEnterprise(env, header, limits); err != nil {
		return nil, err
	}
	base, last := splitLast(s.urls.graphql)
	s.graphPath = httpx.P(last)
	if s.graph, err = env.HTTP.Client(httpx.Config{
		BaseURL: base, Header: header, Auth: s.auth,
		Bucket: func(*httpx.Request) string { return "graphql" }, Buckets: graphLimits(s.urls.server), Quota: quota, Classify: classify,
	}); err != nil {
		return nil, err
	}
	return s, nil
}

// openEnterprise makes the client that speaks for the App's installation on the
// enterprise, where one is configured.
func (s *session) openEnterprise(env sources.Env, header http.Header, limits map[string]httpx.Limit) (err error) {
	if s.cfg.Actions.Enterprise == "" {
		return nil
	}
	cfg := *s.cfg
	cfg.Auth.InstallationID = cfg.Actions.Installation
	if s.enterpriseAuth, err = newAuthorizer(env, &cfg, s.urls); err != nil {
		return err
	}
	s.enterprise, err = env.HTTP.Client(httpx.Config{
		BaseURL: s.urls.api, Header: header, Auth: s.enterpriseAuth,
		Bucket: bucket, Buckets: limits, Quota: quota, Classify: classify,
	})
	return err
}

// splitLast cuts the last segment off a URL.
func splitLast(u string) (base, last string) {
	_, after, _ := strings.Cut(u, "://")
	if !strings.Contains(after, "/") {
		return u, "/"
	}
	i := strings.LastIndexByte(u, '/')
	return u[:i], u[i:]
}

// graphLimits keeps below GitHub's 2,000 points a minute; our queries cost one.
func graphLimits(server bool) map[string]httpx.Limit {
	if server {
		return nil
	}
	return map[string]httpx.Limit{"graphql": {PerSecond: 10, Burst: 10, Concurrency: 2}}
}

const (
	mediaType        = "application/vnd.github+json"
	apiVersionHeader = "X-Github-Api-Version" // in http.Header's own spelling
	apiVersion       = "2022-11-28"
)

// Streams implements sources.Session.
func (s *session) Streams() []sources.Stream {
	info := Connector.Streams
	return []sources.Stream{
		{Info: adjust(s.cfg, info[0]), Read: s.readStream, Past: pastLanes},
		{Info: info[1], Lanes: s.accountLanes, Read: s.readAccounts},
		{Info: info[2], Lanes: s.groupLanes, Read: s.readGroup},
		{Info: info[3], Lanes: s.repositoryLanes, Read: s.readRepositories, Ask: s.askRepositories},
		{Info: info[4], Lanes: s.grantLanes, Read: s.readGrants},
	}
}

// adjust is how an instance of a configuration has a stream: the audit log's
// bounds follow from what of it is collected.
func adjust(c setting.Struct, info sources.StreamInfo) sources.StreamInfo {
	if info.Name != streamActivities {
		return info
	}
	audit := c.(*Config).Audit
	info.Lateness = audit.lateness()
	switch audit.Include {
	case "web":
		info.WholeFor = 0
	case "git":
		info.Retention, info.WholeFor = gitKept, 0
	}
	return info
}

// Tenant implements sources.Session: the organization's numeric id, which
// stays when its login changes.
func (s *session) Tenant(ctx context.Context) (string, error) {
	o, err := s.organization(ctx, 0)
	if err != nil {
		return "", err
	}
	return string(o.ID), nil
}

// orgFresh is how old what is known of the organization may be where its login
// or base permission are used beside other things.
const orgFresh = 10 * time.Minute

// organization returns the organization, at most so old.
func (s *session) organization(ctx context.Context, maxAge time.Duration) (*wireOrg, error) {
	s.mu.Lock()
	o, at := s.org, s.orgAt
	s.mu.Unlock()
	if o != nil && s.env.Clock.Since(at) < maxAge {
		return o, nil
	}
	r, err := s.rest.Do(ctx, &httpx.Request{Path: httpx.P("/orgs/{org}", s.cfg.Org)})
	if err != nil {
		return nil, err
	}
	o = &wireOrg{}
	if err := httpx.Decode(r, o); err != nil {
		return nil, err
	}
	if o.ID == "" {
		return nil, fault.New(fault.BadData, "%s: the answer holds no id", r.Endpoint)
	}
	o.Login = first(o.Login, s.cfg.Org)
	s.mu.Lock()
	s.org, s.orgAt = o, s.env.Clock.Now()
	s.mu.Unlock()
	return o, nil
}
