// Package googleworkspace connects Google Workspace and Cloud Identity, one
// customer with all its domains: accounts, groups and their members, admin
// roles, apps and what was granted to them; the audit logs of the Reports API;
// drives and files.
//
// Sources: the discovery documents of the Admin SDK (Directory, Reports, Data
// Transfer), Drive v3 and IAM Credentials as google.golang.org/api v0.311.0
// carries them, and the guides beside them.
package googleworkspace

import (
	"context"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"weir/internal/fault"
	"weir/internal/secret"
	"weir/internal/setting"
	"weir/sources"
	"weir/sources/auth"
	"weir/sources/httpx"
)

const day = 24 * time.Hour

// Connector is the Google Workspace connector.
var Connector = &sources.Connector{
	App:          "google_workspace",
	Title:        "Google Workspace",
	Streams:      slices.Concat(directoryInfos, activityInfos, fileInfos),
	Capabilities: slices.Concat(directoryCapabilities, activityCapabilities, fileCapabilities),
	Hosts: []sources.Host{
		{Name: "oauth2.googleapis.com", For: "tokens"},
		{Name: "admin.googleapis.com", For: "the Admin SDK: directory, reports, data transfer"},
		{Name: "www.googleapis.com", For: "Drive"},
		{Name: "alertcenter.googleapis.com", For: "alerts"},
		{Name: "accounts.google.com", For: "with client_secret: consent in a browser, by weir connect"},
		{Name: "iamcredentials.googleapis.com", For: "with service_account: signatures without a key"},
		{Name: "sts.googleapis.com, metadata.google.internal", For: "with service_account: the identity of the machine or workload"},
	},
	Actions: actions,
	Limits:  slices.Concat(limits, activityLimits, fileLimits),
	Config:  func() setting.Struct { return defaults() },
	Open:    open,
	Adjust:  adjust,
	Mapper:  newRemapper,
	Consent: consent,

	Notifies: notifies,
}

// Config is the google_workspace part of an instance.
type Config struct {
	Customer string `key:"customer" doc:"the customer's id, as under Account > Account settings, or my_customer: that of the subject; the instance is pinned to it" example:"C03az79cb"`
	Domain   string `key:"domain" doc:"list users and groups of this domain alone, instead of all the customer's" example:"example.com"`

	BaseURL               string `key:"base_url" doc:"where all requests go instead of Google's hosts, with the same paths"`
	AdminBaseURL          string `key:"admin_base_url" doc:"where the Admin SDK's requests go instead of https://admin.googleapis.com"`
	AlertsBaseURL         string `key:"alerts_base_url" doc:"where the Alert Center's requests go instead of https://alertcenter.googleapis.com"`
	DriveBaseURL          string `key:"drive_base_url" doc:"where Drive's requests and uploads go instead of https://www.googleapis.com"`
	TokenBaseURL          string `key:"token_base_url" doc:"where token requests go instead of https://oauth2.googleapis.com"`
	AccountsBaseURL       string `key:"accounts_base_url" doc:"where consent is given instead of https://accounts.google.com"`
	IAMCredentialsBaseURL string `key:"iamcredentials_base_url" doc:"where signatures are asked for instead of https://iamcredentials.googleapis.com"`

	MetadataBaseURL string `key:"metadata_base_url" doc:"where the metadata server is instead of http://metadata.google.internal"`

	Activities ActivitySettings `key:"activities" doc:"the audit logs"`
	Files      FileSettings     `key:"files" doc:"how files are read"`
	Auth       Auth             `key:"auth,required" doc:"credentials: a service account with domain-wide delegation, by its key or without one, or a client to which an administrator grants access"`
	Actions    Actions          `key:"actions" doc:"what actions (governance) need to know"`
}

// Auth holds one of three kinds of credentials.
type Auth struct {
	Credentials    secret.Secret `key:"credentials,chosen" doc:"a service account's key: the JSON that Google gives out" example:"${file:/etc/weir/google.json}"`
	Subject        string        `key:"subject,chosen" doc:"e-mail address of the administrator as whom the directory and the logs are read; none where the service account itself holds an admin role" example:"weir@example.com"`
	ServiceAccount string        `key:"service_account,instead" doc:"e-mail address of a service account that has no key: Google signs for it, by the rights of this machine or workload (federation)" example:"weir@acme.iam.gserviceaccount.com"`
	Federation     secret.Secret `key:"federation,instead" doc:"with service_account: the credential configuration of Workload Identity Federation, JSON; none: the metadata server's identity" example:"${file:/etc/weir/federation.json}"`
	ClientID       string        `key:"client_id,instead" doc:"id of an OAuth client; an administrator then grants access with weir connect, and files of others are not read"`
	ClientSecret   secret.Secret `key:"client_secret,instead" doc:"the OAuth client's secret" example:"${env:GOOGLE_CLIENT_SECRET}"`
	RedirectURL    string        `key:"redirect_url" doc:"for weir connect: the redirect URI registered with the client, on this machine"`
	Manage         bool          `key:"manage" doc:"with client_id: ask for the scopes that actions need, too"`
}

func defaults() *Config {
	return &Config{
		Customer: myCustomer, Auth: Auth{RedirectURL: "http://127.0.0.1:8765/callback"},
		Activities: defaultActivities(), Files: defaultFiles(), Actions: defaultActions(),
	}
}

// myCustomer stands for the customer of whoever asks.
const myCustomer = "my_customer"

// Validate implements setting.Struct.
func (c *Config) Validate() (errs []setting.KeyError) {
	bad := func(key, found, accepted string) {
		errs = append(errs, setting.KeyError{Key: key, Found: found, Accepted: accepted})
	}
	if c.Customer != "" && c.Customer != myCustomer && !validCustomer.MatchString(c.Customer) {
		bad("customer", c.Customer, "my_customer, or the customer's id, C and letters and digits, from Admin console > Account > Account settings")
	}
	if c.Domain != "" && !validDomain.MatchString(c.Domain) {
		bad("domain", c.Domain, "a domain's name, such as example.com")
	}
	for _, b := range [][2]string{
		{"base_url", c.BaseURL},
		{"admin_base_url", c.AdminBaseURL}, {"alerts_base_url", c.AlertsBaseURL}, {"drive_base_url", c.DriveBaseURL}, {"token_base_url", c.TokenBaseURL},
		{"accounts_base_url", c.AccountsBaseURL}, {"iamcredentials_base_url", c.IAMCredentialsBaseURL},
	} {
		if b[1] == "" {
			continue
		}
		if err := checkBaseURL(b[1]); err != nil {
			bad(b[0], b[1], err.Error())
		}
	}
	if u, err := url.Parse(c.MetadataBaseURL); err != nil || c.MetadataBaseURL != "" && (u.Host == "" || u.Path != "" && !loopback(u.Hostname()) || u.User != nil) {
		bad("metadata_base_url", c.MetadataBaseURL, "http:// and a host")
	}
	errs = append(errs, c.Auth.validate(c.Customer)...)
	return slices.Concat(errs, c.Activities.validate(), c.Files.validate(), c.Actions.validate())
}

func (a *Auth) validate(customer string) (errs []setting.KeyError) {
	bad := func(key, found, accepted string) {
		errs = append(errs, setting.KeyError{Key: key, Found: found, Accepted: accepted})
	}
	kinds := 0
	for _, chosen := range []bool{!a.Credentials.IsZero(), a.ServiceAccount != "", a.ClientID != "" || !a.ClientSecret.IsZero()} {
		if chosen {
			kinds++
		}
	}
	const one = "one of: credentials and subject; service_account and subject; client_id and client_secret"
	switch consented := a.ClientID != "" || !a.ClientSecret.IsZero(); {
	case kinds != 1:
		bad("auth", "", one)
	case consented && a.ClientID == "":
		bad("auth.client_id", "", "the OAuth client's id")
	case consented && a.ClientSecret.IsZero():
		bad("auth.client_secret", "", "the OAuth client's secret")
	case consented && a.Subject != "":
		bad("auth.subject", a.Subject, "none with client_id: whoever grants access is who asks")
	case !consented && a.Subject == "" && customer == myCustomer:
		bad("auth.subject", "", "an administrator's e-mail address; or none, and the customer's id in customer: a service account has no customer of its own")
	}
	if a.Subject != "" && !validEmail.MatchString(a.Subject) {
		bad("auth.subject", a.Subject, "an e-mail address")
	}
	if a.ServiceAccount != "" && !validEmail.MatchString(a.ServiceAccount) {
		bad("auth.service_account", a.ServiceAccount, "the service account's e-mail address")
	}
	if !a.Federation.IsZero() && a.ServiceAccount == "" {
		bad("auth.federation", "", "service_account beside it: whom to act as")
	}
	return errs
}

// session is one open customer.
type session struct {
	env   sources.Env
	cfg   *Config
	hosts hosts

	delegation *auth.Delegation // nil: somebody granted access (weir connect)
	granted    *auth.Tokens     // what they granted; nil with a delegation
	adminAPI   *httpx.Client    // of the Admin SDK, without credentials
	driveAPI   *httpx.Client    // of Drive, without credentials
	alertAPI   *httpx.Client    // of the Alert Center, without credentials

	customer  atomic.Pointer[string] // its id, once it was told
	directory directoryState         // what is known of the directory, to look up
	activity  activityState
	files     fileState
	gov       governing
}

func open(_ context.Context, env sources.Env, c setting.Struct) (sources.Session, error) {
	cfg, ok := c.(*Config)
	if !ok {
		return nil, fault.New(fault.Permanent, "google_workspace: settings are a %T", c)
	}
	s := &session{env: env, cfg: cfg, hosts: cfg.hosts()}
	if err := s.authenticate(); err != nil {
		return nil, err
	}
	// Google compresses for who says gzip in both headers.
	header := map[string][]string{"Accept": {"application/json"}, "User-Agent": {env.HTTP.UserAgent() + " (gzip)"}}
	var err error
	if s.adminAPI, err = env.HTTP.Client(httpx.Config{
		BaseURL: s.hosts.admin, Header: header, Bucket: bucketOf, Buckets: buckets, Classify: classify, Personal: personal,
	}); err != nil {
		return nil, err
	}
	if s.driveAPI, err = env.HTTP.Client(httpx.Config{
		BaseURL: s.hosts.drive, Header: header, Buckets: driveBuckets, Classify: classify, Personal: personal,
	}); err != nil {
		return nil, err
	}
	if s.alertAPI, err = env.HTTP.Client(httpx.Config{
		BaseURL: s.hosts.alerts, Header: header, Buckets: alertBuckets, Classify: classify, Personal: personal,
	}); err != nil {
		return nil, err
	}
	s.init()
	return s, nil
}

// init prepares what the parts keep.
func (s *session) init() {
	s.directory.init()
	s.activity.init()
	s.files.init()
	s.gov.init()
}

// Streams implements sources.Session.
func (s *session) Streams() []sources.Stream {
	return slices.Concat(s.directoryStreams(), s.activityStreams(), s.fileStreams())
}
