package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/agent"
	"weir/configs"
	"weir/internal/clickhousetest"
	"weir/internal/sandbox"
	"weir/internal/sandbox/microsoft365"
	"weir/schemas"
	sinkregistry "weir/sinks/registry"
	sourceregistry "weir/sources/registry"
)

// What changes in a drive, and is told by a notification, is in ClickHouse within
// seconds, though nothing is due for a day.
func TestNotificationLatency(t *testing.T) {
	s := listening(t, microsoft365.Vendor(), "privileges", "apps", "directory_audits", "sign_ins", "activities")
	token := graphToken(t, s.own)
	require.Eventually(t, func() bool { return subscriptions(t, token, s.own) >= len(s.drives()) }, 2*time.Minute, 50*time.Millisecond)
	s.measure("a notification", func(f *schemas.File, content string) bool {
		drive, item, _ := strings.Cut(f.FileID, "/")
		status := graph(t, token, s.own, http.MethodPut, "/v1.0/drives/"+url.PathEscape(drive)+"/items/"+url.PathEscape(item)+"/content", content)
		if status != http.StatusLocked {
			require.Equal(t, 200, status)
		}
		return status == http.StatusOK
	})
}

// listener is an agent with a hook, between a sandbox and a ClickHouse. It has read
// all there is, and nothing is due for a day.
type listener struct {
	*testing.T
	tenant    *sandbox.Tenant
	own       string // the vendor's settings
	truth     *schemas.Rows
	warehouse *clickhousetest.Server
}

// listening starts a listener to a small organization at a vendor, without the
// streams in off.
func listening(t *testing.T, v sandbox.Vendor, off ...string) *listener {
	t.Helper()
	warehouse := clickhousetest.Start(t)
	warehouse.Query(t, "CREATE DATABASE notified")
	vendor, err := sandbox.New(sandbox.Options{Vendors: []sandbox.Vendor{v}, Seed: 5, People: 12, History: time.Hour, EventsPerDay: -1, Clock: clockwork.NewRealClock()})
	require.NoError(t, err)
	server := httptest.NewServer(vendor)
	t.Cleanup(func() {
		server.Close()
		vendor.Close()
	})
	tenant, err := vendor.Tenant(v.App, "acme", server.URL)
	require.NoError(t, err)

	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	hooks := l.Addr().String()
	require.NoError(t, l.Close())
	dir := t.TempDir()
	own := tenant.Handler().Config(tenant.Base)
	text := fmt.Sprintf("agent: {data_dir: %q, listen: \"\", min_free: 1MB}\nhooks: {listen: %q, public_url: \"http://%s/hooks\"}\n"+
		"sinks:\n  warehouse: {type: clickhouse, url: %q, database: notified, max_delay: 200ms}\ninstances:\n  acme:\n    hooks: true\n    streams:\n",
		filepath.Join(dir, "data"), hooks, hooks, warehouse.URL())
	for _, s := range off {
		text += "      " + s + ": {enabled: false}\n"
	}
	for _, s := range []string{"accounts", "groups", "files"} {
		text += "      " + s + ": {every: 1d, full_every: 2d}\n"
	}
	for line := range strings.Lines(own) {
		text += "    " + line
	}
	name := filepath.Join(dir, "weir.yaml")
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	cfg, err := configs.Load(name, nil, sourceregistry.All, sinkregistry.All)
	require.NoError(t, err)
	var log bytes.Buffer
	start := func(once bool) *agent.Agent {
		a, err := agent.New(t.Context(), agent.Options{Config: cfg, Clock: clockwork.NewRealClock(), Log: slog.New(slog.NewTextHandler(&log, nil)), Once: once})
		require.NoError(t, err)
		return a
	}
	// The first round is there, so that the drives are known when the agent starts.
	require.NoError(t, start(true).Run(t.Context()), &log)
	truth := vendor.Truth(tenant)
	require.Equal(t, fmt.Sprint(len(truth.Files)), warehouse.Query(t, "SELECT count() FROM notified.files"))
	a := start(false)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended, &log)
		require.Empty(t, vendor.Violations())
		if t.Failed() {
			t.Log(log.String())
		}
	})
	return &listener{T: t, tenant: tenant, own: own, truth: truth, warehouse: warehouse}
}

// drives are those with files: a change before one is watched would not be told.
func (l *listener) drives() map[string]bool {
	out := map[string]bool{}
	for _, f := range l.truth.Files {
		if f.Kind == "file" {
			out[f.ContainerID] = true
		}
	}
	return out
}

// measure gives ten files other content, and wants that in ClickHouse within
// seconds. change returns false for a file that is closed to it.
func (l *listener) measure(by string, change func(f *schemas.File, content string) bool) {
	l.Helper()
	var took []time.Duration
	for i := range l.truth.Files {
		f := &l.truth.Files[i]
		if f.Kind != "file" || len(took) == 10 {
			continue
		}
		began := time.Now()
		content := strings.Repeat("x", 100+i)
		if !change(f, content) {
			continue
		}
		require.Eventually(l, func() bool {
			return l.warehouse.Query(l.T, fmt.Sprintf("SELECT size FROM notified.files WHERE file_id = '%s'", f.FileID)) == fmt.Sprint(len(content))
		}, time.Minute, 20*time.Millisecond)
		took = append(took, time.Since(began))
	}
	require.Len(l, took, 10)
	slices.Sort(took)
	l.Logf("from a change at the vendor to its row in ClickHouse, told by %s: p50 %s, at most %s", by, took[5].Round(time.Millisecond), took[9].Round(time.Millisecond))
	require.Less(l, took[5], 3*time.Second)
}

// settings are those of the vendor that a test reads.
type settings struct {
	Tenant string `yaml:"tenant_id"`
	Login  string `yaml:"login_base_url"`
	Graph  string `yaml:"graph_base_url"`
	Auth   struct {
		ID     string `yaml:"client_id"`
		Secret string `yaml:"client_secret"`
	} `yaml:"auth"`
}

func settingsOf(t *testing.T, config string) (s settings) {
	t.Helper()
	require.NoError(t, yaml.Unmarshal([]byte(config), &s))
	return s
}

func graphToken(t *testing.T, config string) string {
	t.Helper()
	s := settingsOf(t, config)
	return tokenOf(t, s.Login+"/"+s.Tenant+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {s.Auth.ID}, "client_secret": {s.Auth.Secret}, "scope": {"https://graph.microsoft.com/.default"},
	})
}

// tokenOf is what a token endpoint gives.
func tokenOf(t *testing.T, address string, form url.Values) string {
	t.Helper()
	answer := person(t, http.MethodPost, address, form.Encode(), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
	defer answer.Body.Close()
	var body struct {
		Token string `json:"access_token"`
	}
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&body))
	require.NotEmpty(t, body.Token)
	return body.Token
}

// person sends a request that is not the agent's.
func person(t *testing.T, method, address, body string, header http.Header) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	require.NoError(t, err)
	r.Header = header
	r.Header.Set("User-Agent", "a person (gzip)")
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	return answer
}

func graphDo(t *testing.T, token, config, method, path, body string) *http.Response {
	t.Helper()
	return person(t, method, settingsOf(t, config).Graph+path, body, http.Header{"Authorization": {"Bearer " + token}})
}

func graph(t *testing.T, token, config, method, path, body string) int {
	t.Helper()
	answer := graphDo(t, token, config, method, path, body)
	require.NoError(t, answer.Body.Close())
	return answer.StatusCode
}

// subscriptions counts those to drives.
func subscriptions(t *testing.T, token, config string) (n int) {
	t.Helper()
	answer := graphDo(t, token, config, http.MethodGet, "/v1.0/subscriptions", "")
	defer answer.Body.Close()
	var body struct{ Value []struct{ Resource string } }
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&body))
	for _, s := range body.Value {
		if strings.HasPrefix(s.Resource, "drives/") {
			n++
		}
	}
	return n
}
