package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/secret"
	"weir/sinks"
)

const minimal = `sinks:
  my-lake: {type: files, path: /srv/lake}
instances:
  acme-trail:
    app: fake
    trail: {url: "s3://acme/logs"}
`

func load(t *testing.T, text string, env ...string) *Config {
	t.Helper()
	cfg, err := parse("weir.yaml", []byte(text), env, fakeApps, fakeDrivers)
	require.NoError(t, err)
	return cfg
}

func TestLoad(t *testing.T) {
	t.Parallel()
	const path = "testdata/good.yaml"
	cfg, err := Load(path, []string{"LAKE=/srv/lake"}, fakeApps, fakeDrivers)
	require.NoError(t, err)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	sum := sha256.Sum256(data)

	batching := sinks.Batching{TargetSize: 128e6, MaxDelay: 5 * time.Minute, LateDelay: time.Hour}
	trail := fakeTrail{
		URL: "s3://acme/logs?region=eu-central-1", Since: "2026-01-31", Records: 5000,
		Accounts: []string{"111111111111", "000000000001"}, Mode: "fast",
	}
	other := trail
	other.URL, other.Accounts = "s3://other/logs", []string{}
	standard := map[string]StreamSettings{"activities": {Enabled: true, Every: time.Minute}, "files": {Enabled: true, Every: 12 * time.Hour}}
	want := &Config{
		Path: path, SHA256: hex.EncodeToString(sum[:]),
		Agent: Agent{
			DataDir: "/srv/weir", SpoolLimit: 1 << 40, DeadLimit: 1 << 30, MaxMemory: 256 << 20, DrainTimeout: 90 * time.Second,
			LogLevel: "debug", LogFormat: "json",
		},
		Governance: newGovernance(),
		Sinks: []Sink{
			{"lake", fakeDrivers[0], &filesConfig{"/srv/lake", sinks.Batching{TargetSize: 64 << 20, MaxDelay: time.Minute, LateDelay: 36 * time.Hour}}, SinkCommon{}},
			{"lake-copy", fakeDrivers[0], &filesConfig{"/srv/copy", batching}, SinkCommon{}},
			{"warehouse", fakeDrivers[1], &tableConfig{URL: "http://127.0.0.1:8123", Password: secret.New("${file:/etc/weir/password}"), Rows: 20}, SinkCommon{}},
		},
		Instances: []Instance{
			{
				Name: "acme", Connector: fakeConnector, Common: Common{Enabled: true, Parallel: 16, Raw: "drop", Governance: newGoverned()},
				Config: &fakeApp{
					Trail: trail, Org: "0123",
					Auth: &fakeAuth{ClientID: "weir", ClientSecret: secret.New("${env:CLIENT_SECRET}")},
				},
				Streams: map[string]StreamSettings{"activities": {Every: 6*24*time.Hour + 12*time.Hour}, "files": {Enabled: true, Every: 12 * time.Hour}},
			},
			{Name: "empty_sections", Connector: fakeConnector, Common: newCommon(), Config: &fakeApp{Trail: trail}, Streams: standard},
			{
				Name: "merged", Connector: fakeConnector, Common: Common{Parallel: 4, Raw: "keep", Governance: newGoverned()},
				Config:  &fakeApp{Trail: other, Auth: &fakeAuth{ClientID: "weir", ClientSecret: secret.New("not-a-reference")}},
				Streams: standard,
			},
		},
	}
	cfg.secrets = nil
	require.Equal(t, want, cfg)
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	cfg := load(t, minimal)
	require.Equal(t, Agent{
		DataDir: "/var/lib/weir", Listen: "127.0.0.1:8480", SpoolLimit: 10 << 30, DeadLimit: 1 << 30, MinFree: 2 << 30, MaxMemory: 160 << 20,
		DrainTimeout: 30 * time.Second, LogLevel: "info", LogFormat: "auto",
	}, cfg.Agent)
	require.Equal(t, &fakeApp{Trail: fakeTrail{URL: "s3://acme/logs", Settle: 2 * time.Second, Recurse: true, Records: 1000, Mode: "safe"}}, cfg.Instances[0].Config)
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	lake := func(c *Config) *filesConfig { return c.Sinks[0].Config.(*filesConfig) }
	app := func(c *Config) *fakeApp { return c.Instances[0].Config.(*fakeApp) }
	for _, tc := range []struct {
		env  []string
		got  func(*Config) any
		want any
	}{
		{[]string{"WEIR_AGENT__DATA_DIR=/data"}, func(c *Config) any { return c.Agent.DataDir }, "/data"},
		{[]string{"WEIR_AGENT__LISTEN="}, func(c *Config) any { return c.Agent.Listen }, ""},
		{[]string{"WEIR_SINKS__MY_LAKE__PATH=/a=b"}, func(c *Config) any { return lake(c).Path }, "/a=b"},
		{[]string{"WEIR_SINKS__MY_LAKE__PATH=${env:LAKE}", "LAKE=/from/env"}, func(c *Config) any { return lake(c).Path }, "/from/env"},
		{[]string{"WEIR_SINKS__MY_LAKE__MAX_DELAY=1m"}, func(c *Config) any { return lake(c).Parts.MaxDelay }, time.Minute},
		{[]string{"WEIR_SINKS__MY_LAKE__TARGET_SIZE=1000000000"}, func(c *Config) any { return int64(lake(c).Parts.TargetSize) }, int64(1e9)},
		{[]string{"WEIR_INSTANCES__ACME_TRAIL__TRAIL__URL=s3://b"}, func(c *Config) any { return app(c).Trail.URL }, "s3://b"},
		{[]string{"WEIR_INSTANCES__ACME_TRAIL__TRAIL__RECURSE=false"}, func(c *Config) any { return app(c).Trail.Recurse }, false},
		{[]string{"WEIR_INSTANCES__ACME_TRAIL__TRAIL__RECORDS=7"}, func(c *Config) any { return app(c).Trail.Records }, int64(7)},
		{[]string{"WEIR_INSTANCES__ACME_TRAIL__TRAIL__ACCOUNTS=1, 2,3"}, func(c *Config) any { return app(c).Trail.Accounts }, []string{"1", "2", "3"}},
		{[]string{"WEIR_INSTANCES__ACME_TRAIL__TRAIL__ACCOUNTS="}, func(c *Config) any { return app(c).Trail.Accounts }, []string{}},
		{[]string{"WEIR_INSTANCES__ACME_TRAIL__ORG=true"}, func(c *Config) any { return app(c).Org }, "true"},
		{[]string{"WEIR_INSTANCES__ACME_TRAIL__PARALLEL=9"}, func(c *Config) any { return c.Instances[0].Parallel }, 9},
		{[]string{"WEIR_INSTANCES__ACME_TRAIL__ENABLED=false"}, func(c *Config) any { return c.Instances[0].Enabled }, false},
		{[]string{"WEIR_INSTANCES__ACME_TRAIL__STREAMS__FILES__EVERY=1d"}, func(c *Config) any { return c.Instances[0].Streams["files"].Every }, 24 * time.Hour},
		{
			[]string{"WEIR_INSTANCES__ACME_TRAIL__AUTH__CLIENT_ID=a", "WEIR_INSTANCES__ACME_TRAIL__AUTH__CLIENT_SECRET=${env:S}"},
			func(c *Config) any { return *app(c).Auth },
			fakeAuth{ClientID: "a", ClientSecret: secret.New("${env:S}")},
		},
		// These are for others.
		{[]string{"WEIR_FAILPOINT=x", "WEIR_CONFIG=y", "WEIR_TESTDATA=z", "NOT_WEIR_AGENT__LISTEN=q", "=x", "broken"}, func(c *Config) any { return c.Agent }, newAgent()},
	} {
		t.Run(tc.env[0], func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tc.want, tc.got(load(t, minimal, tc.env...)))
		})
	}
}

func TestEnvironmentAddsToAnEmptySection(t *testing.T) {
	t.Parallel()
	for _, head := range []string{"", "agent:\n", "agent: {}\n", "agent: {listen: null}\n"} {
		cfg := load(t, head+minimal, "WEIR_AGENT__LISTEN=127.0.0.1:1")
		require.Equal(t, "127.0.0.1:1", cfg.Agent.Listen, head)
	}
}

func TestUnresolved(t *testing.T) {
	t.Setenv("WEIR_TEST_SET", "x")
	cfg := load(t, `sinks:
  a: {type: table, url: u, password: "${env:WEIR_TEST_SET}"}
  b: {type: table, url: u, password: "${env:WEIR_TEST_UNSET}"}
  c: {type: table, url: u, password: open}
  d: {type: table, url: u, password: ""}
  e: {type: table, url: u, password: "${file:/nonexistent/password}"}
instances:
  off:
    app: fake
    enabled: false
    trail: {url: "s3://acme/logs"}
    auth: {client_id: weir, client_secret: "${env:WEIR_TEST_UNSET}", token: open}
`, "WEIR_SINKS__C__ROWS=1", "WEIR_SINKS__D__PASSWORD=${env:WEIR_TEST_UNSET_TOO}")
	var got []string
	for _, err := range cfg.Unresolved() {
		got = append(got, err.Error())
	}
	require.Equal(t, []string{
		"weir.yaml:3: sinks.b.password: ${env:WEIR_TEST_UNSET}: environment variable WEIR_TEST_UNSET is not set",
		"WEIR_SINKS__D__PASSWORD: sinks.d.password: ${env:WEIR_TEST_UNSET_TOO}: environment variable WEIR_TEST_UNSET_TOO is not set",
		"weir.yaml:6: sinks.e.password: ${file:/nonexistent/password}: open /nonexistent/password: no such file or directory",
	}, got)
	require.Equal(t, []string{"sinks.c.password"}, cfg.Literals())
}

func TestLoadRefusesTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := Load(filepath.Join(dir, "none.yaml"), nil, fakeApps, fakeDrivers)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Load(dir, nil, fakeApps, fakeDrivers)
	require.ErrorContains(t, err, "reading the configuration")
	large := filepath.Join(dir, "large.yaml")
	require.NoError(t, os.WriteFile(large, []byte(minimal+strings.Repeat("# filler\n", maxFile/9)), 0o600))
	_, err = Load(large, nil, fakeApps, fakeDrivers)
	require.ErrorContains(t, err, "is larger than 1048576 bytes")
}

func TestErrorsCarryTheirParts(t *testing.T) {
	t.Parallel()
	_, err := parse("weir.yaml", []byte("agent:\n  drain_timeout: soon\n"+minimal), []string{"WEIR_AGENT__LISTEN=x"}, fakeApps, fakeDrivers)
	require.Equal(t, Errors{
		{
			File: "weir.yaml", Line: 2, Column: 3, Key: "agent.drain_timeout", Found: "soon", Accepted: "a duration such as 30s, 5m, 1h or 7d",
			Message: `found "soon", want a duration such as 30s, 5m, 1h or 7d`,
		},
		{
			File: "weir.yaml", Env: "WEIR_AGENT__LISTEN", Key: "agent.listen", Found: "x", Accepted: "an address and port such as 127.0.0.1:8480",
			Message: `found "x", want an address and port such as 127.0.0.1:8480`,
		},
	}, err)
}

func TestWindowsFile(t *testing.T) {
	t.Parallel()
	cfg := load(t, "\ufeff"+strings.ReplaceAll(minimal, "\n", "\r\n"))
	require.Equal(t, "/srv/lake", cfg.Sinks[0].Config.(*filesConfig).Path)
}

func TestManyInstances(t *testing.T) {
	t.Parallel()
	const n = 3000
	var b strings.Builder
	b.WriteString("sinks: {lake: {type: files, path: /srv/lake}}\ninstances:\n")
	for i := range n {
		fmt.Fprintf(&b, "  i%d:\n    app: fake\n    trail: {url: \"s3://acme/%d\"}\n    streams:\n      activities: {every: 5m}\n", i, i)
	}
	start := time.Now()
	cfg := load(t, b.String(), "WEIR_INSTANCES__I2999__RAW=drop")
	require.Len(t, cfg.Instances, n)
	require.Less(t, time.Since(start), 20*time.Second) // about 0.3 s without the race detector
	t.Log(time.Since(start))
}
