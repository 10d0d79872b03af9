package configs

import (
	"strings"
	"time"

	"weir/internal/secret"
	"weir/internal/setting"
	"weir/sinks"
	"weir/sources"
)

// A connector and two drivers that use all there is to declare.

type fakeApp struct {
	Trail fakeTrail `key:"trail,required" doc:"where the logs are"`
	Auth  *fakeAuth `key:"auth" doc:"who asks"`
	Org   string    `key:"org" doc:"name of the organization"`
}

type fakeTrail struct {
	URL      string        `key:"url,required" doc:"place of the logs" example:"s3://acme/logs"`
	Since    string        `key:"since" doc:"oldest day | or age" example:"90d"`
	Settle   time.Duration `key:"settle" doc:"how long to wait"`
	Recurse  bool          `key:"recurse" doc:"below folders too"`
	Records  int64         `key:"records" doc:"per page"`
	Accounts []string      `key:"accounts" doc:"only these"`
	Mode     string        `key:"mode" enum:"fast safe" doc:"how"`
}

type fakeAuth struct {
	ClientID     string        `key:"client_id,required" doc:"client" example:"weir"`
	ClientSecret secret.Secret `key:"client_secret,required" doc:"its secret" example:"${env:CLIENT_SECRET}"`
	Token        secret.Secret `key:"token" doc:"token"`
}

func (c *fakeApp) Validate() (errs []setting.KeyError) {
	if u := c.Trail.URL; u != "" && !strings.HasPrefix(u, "s3://") {
		errs = append(errs, setting.KeyError{Key: "trail.url", Found: u, Accepted: "s3://bucket/prefix"})
	}
	for _, a := range c.Trail.Accounts {
		if strings.Trim(a, "0123456789") != "" {
			errs = append(errs, setting.KeyError{Key: "trail.accounts", Found: a, Accepted: "digits"})
		}
	}
	if c.Auth != nil {
		if v, err := c.Auth.ClientSecret.Value(); err == nil && len(v) < 8 { // a connector that shows a secret
			errs = append(errs, setting.KeyError{Key: "auth.client_secret", Found: v, Accepted: "8 letters or more"})
		}
	}
	return errs
}

var fakeConnector = &sources.Connector{
	App: "fake", Title: "Fake",
	Streams: []sources.StreamInfo{
		{Name: "activities", Every: time.Minute, Doc: "what happened"},
		{Name: "files", Every: 12 * time.Hour, Doc: "what there is"},
	},
	Config: func() setting.Struct {
		return &fakeApp{Trail: fakeTrail{Settle: 2 * time.Second, Recurse: true, Records: 1000, Mode: "safe"}}
	},
}

type filesConfig struct {
	Path  string         `key:"path,required" doc:"directory" example:"/srv/lake"`
	Parts sinks.Batching `key:",inline"`
}

func (c *filesConfig) Batching() sinks.Batching { return c.Parts }
func (c *filesConfig) Validate() []setting.KeyError {
	errs := c.Parts.Validate()
	if c.Path != "" && c.Path[0] != '/' {
		errs = append(errs, setting.KeyError{Key: "path", Found: c.Path, Accepted: "an absolute directory"})
	}
	return errs
}

type tableConfig struct {
	URL      string        `key:"url,required" doc:"address" example:"http://127.0.0.1:8123"`
	Password secret.Secret `key:"password" doc:"password"`
	Rows     int           `key:"rows" doc:"rows"`
	Parts    sinks.Batching
}

func (c *tableConfig) Batching() sinks.Batching     { return c.Parts }
func (c *tableConfig) Validate() []setting.KeyError { return nil }

var fakeDrivers = []*sinks.Driver{
	{Type: "files", Doc: "a directory of files", Config: func() sinks.Config {
		return &filesConfig{Parts: sinks.Batching{TargetSize: 128e6, MaxDelay: 5 * time.Minute, LateDelay: time.Hour}}
	}},
	{Type: "table", Doc: "a server's tables", Config: func() sinks.Config { return &tableConfig{Rows: 10} }},
}

var fakeApps = []*sources.Connector{fakeConnector}
