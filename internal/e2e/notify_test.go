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
	sinkregistry "weir/sinks/registry"
	sourceregistry "weir/sources/registry"
)

// What changes in a drive, and is told by a notification, is in ClickHouse within
// seconds, though nothing is due for a day.
func TestNotificationLatency(t *testing.T) {
	warehouse := clickhousetest.Start(t)
	warehouse.Query(t, "CREATE DATABASE notified")
	vendor, err := sandbox.New(sandbox.Options{Vendors: []sandbox.Vendor{microsoft365.Vendor()}, Seed: 5, People: 12, History: time.Hour, EventsPerDay: -1, Clock: clockwork.NewRealClock()})
	require.NoError(t, err)
	server := httptest.NewServer(vendor)
	t.Cleanup(func() {
		server.Close()
		vendor.Close()
	})
	tenant, err := vendor.Tenant("microsoft365", "acme", server.URL)
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
	for _, s := range []string{"privileges", "apps", "directory_audits", "sign_ins", "activities"} {
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
		require.NoError(t, <-ended)
	})
	token := graphToken(t, own)
	require.Eventually(t, func() bool { return subscriptions(t, token, own) >= 2 }, 2*time.Minute, 50*time.Millisecond)
	var took []time.Duration
	for i := range truth.Files {
		f := &truth.Files[i]
		drive, item, _ := strings.Cut(f.FileID, "/")
		if f.Kind != "file" || len(took) == 10 {
			continue
		}
		began := time.Now()
		body := strings.Repeat("x", 100+i)
		status := graph(t, token, own, http.MethodPut, "/v1.0/drives/"+url.PathEscape(drive)+"/items/"+url.PathEscape(item)+"/content", body)
		if status == http.StatusLocked {
			continue
		}
		require.Equal(t, 200, status)
		require.Eventually(t, func() bool {
			return warehouse.Query(t, fmt.Sprintf("SELECT size FROM notified.files WHERE file_id = '%s'", f.FileID)) == fmt.Sprint(len(body))
		}, time.Minute, 20*time.Millisecond)
		took = append(took, time.Since(began))
	}
	require.Len(t, took, 10)
	slices.Sort(took)
	t.Logf("from a change at the vendor to its row in ClickHouse, told by a notification: p50 %s, at most %s", took[5].Round(time.Millisecond), took[9].Round(time.Millisecond))
	require.Less(t, took[5], 3*time.Second)
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
	answer, err := http.PostForm(s.Login+"/"+s.Tenant+"/oauth2/v2.0/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {s.Auth.ID}, "client_secret": {s.Auth.Secret}, "scope": {"https://graph.microsoft.com/.default"},
	})
	require.NoError(t, err)
	defer answer.Body.Close()
	var body struct {
		Token string `json:"access_token"`
	}
	require.NoError(t, json.NewDecoder(answer.Body).Decode(&body))
	require.NotEmpty(t, body.Token)
	return body.Token
}

func graphDo(t *testing.T, token, config, method, path, body string) *http.Response {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, settingsOf(t, config).Graph+path, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("User-Agent", "a person")
	answer, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	return answer
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
