// Package sourcetest is the suite that every connector must pass. A connector is
// held against the sandbox, which another hand has written from the same notes:
// what it collects must equal what is true.
package sourcetest

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/agent"
	"weir/configs"
	"weir/internal/rowtest"
	"weir/internal/sandbox"
	"weir/internal/testclock"
	"weir/pipeline"
	"weir/schemas"
	sinkregistry "weir/sinks/registry"
	"weir/sources"
)

// Site is an installation: a sandbox, and an agent that collects one of its
// tenants into Parquet. Both live on one clock, which runs fast.
type Site struct {
	t       testing.TB
	f       *Fixture
	Clock   *testclock.Clock
	Sandbox *sandbox.Server
	Tenant  *sandbox.Tenant
	URL     string // of the sandbox
	dir     string
	tenant  string
	config  string // YAML lines of the instance: of the fixture or the sandbox
	extra   string // and more of them
	debug   bool
	log     syncBuffer
	dump    syncBuffer
	wrap    atomic.Value // func(http.Handler) http.Handler
}

// SiteOptions says what a site is like.
type SiteOptions struct {
	People   int
	Files    int     // 0 the sandbox's default
	Scenario string  // name of a built-in one; "" none
	Events   float64 // a person's, a day; 0 the sandbox's default
	History  time.Duration
	Speed    int // of the clock; 0: 600
	Extra    string
	Tenant   string            // name; "": acme
	Vendor   sandbox.Vendor    // another rendering than the fixture's
	Replay   map[string]string // as in sandbox.Options
	// Wrap changes what passes between agent and sandbox.
	Wrap func(http.Handler) http.Handler
}

// start is a Wednesday.
var start = time.Date(2026, 10, 14, 11, 0, 0, 0, time.UTC)

// NewSite starts a sandbox. Life there has stopped: what is true does not change.
func (f *Fixture) NewSite(t testing.TB, o SiteOptions) *Site {
	t.Helper()
	if o.Speed == 0 {
		o.Speed = 600
	}
	if o.History == 0 {
		o.History = 3 * 24 * time.Hour
	}
	if o.Vendor.App == "" {
		o.Vendor = f.Vendor
	}
	s := &Site{t: t, f: f, Clock: testclock.Fast(start, o.Speed), dir: t.TempDir(), tenant: cmp.Or(o.Tenant, "acme"), extra: o.Extra}
	scenario, err := sandbox.LoadScenario(cmp.Or(o.Scenario, "none"))
	require.NoError(t, err)
	s.Sandbox, err = sandbox.New(sandbox.Options{
		Vendors: []sandbox.Vendor{o.Vendor}, Clock: s.Clock, Seed: 7, People: o.People, Files: o.Files, History: o.History, EventsPerDay: o.Events,
		Scenario: scenario, Tenants: []string{s.tenant}, Replay: o.Replay,
	})
	require.NoError(t, err)
	s.Wrap(o.Wrap)
	vendors := http.Handler(s.Sandbox)
	if f.Wrap != nil {
		vendors = f.Wrap(vendors)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.wrap.Load().(func(http.Handler) http.Handler)(vendors).ServeHTTP(w, r)
	}))
	t.Cleanup(s.Sandbox.Close)
	t.Cleanup(server.Close)
	s.URL = server.URL
	s.Tenant, err = s.Sandbox.Tenant(f.Connector.App, s.tenant, s.URL)
	require.NoError(t, err)
	s.Tenant.World.Freeze()
	s.config = s.Tenant.Handler().Config(s.Tenant.Base)
	if f.Settings != nil {
		s.config = f.Settings(t, s.Tenant)
	}
	return s
}

// Wrap changes what passes between agent and sandbox, from now on.
func (s *Site) Wrap(wrap func(http.Handler) http.Handler) {
	if wrap == nil {
		wrap = func(h http.Handler) http.Handler { return h }
	}
	s.wrap.Store(wrap)
}

// Instance is the name of the agent's instance.
func (s *Site) Instance() string { return s.tenant + "-" + s.f.Connector.App }

// Config writes the agent's configuration and loads it. sinks are names of
// Parquet lakes.
func (s *Site) Config(lakes ...string) *configs.Config {
	s.t.Helper()
	if len(lakes) == 0 {
		lakes = []string{"lake"}
	}
	var b strings.Builder
	key := filepath.Join(s.dir, "key") // of the vault
	require.NoError(s.t, os.WriteFile(key, []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600))
	fmt.Fprintf(&b, "agent:\n  key: \"${file:%s}\"\n  data_dir: %q\n  listen: \"\"\n  min_free: 1MB\n  drain_timeout: 1h\nsinks:\n", key, filepath.Join(s.dir, "data"))
	for _, l := range lakes {
		fmt.Fprintf(&b, "  %s: {type: parquet, path: %q}\n", l, s.Lake(l))
	}
	fmt.Fprintf(&b, "instances:\n  %s:\n", s.Instance())
	settings := s.config + "\n" + s.f.Config + "\n" + s.extra
	for line := range strings.Lines(settings) {
		if strings.TrimSpace(line) != "" {
			fmt.Fprintf(&b, "    %s\n", strings.TrimRight(line, "\n"))
		}
	}
	name := filepath.Join(s.dir, "weir.yaml")
	require.NoError(s.t, os.WriteFile(name, []byte(b.String()), 0o600))
	cfg, err := configs.Load(name, nil, []*sources.Connector{s.f.Connector}, sinkregistry.All)
	require.NoError(s.t, err, b.String())
	return cfg
}

// Lake is the directory of a lake.
func (s *Site) Lake(name string) string { return filepath.Join(s.dir, name) }

// Run runs the agent: once, until every lane is caught up, or until ctx ends.
func (s *Site) Run(ctx context.Context, cfg *configs.Config, once bool) error {
	s.t.Helper()
	log := slog.New(slog.NewJSONHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	o := agent.Options{Config: cfg, Clock: s.Clock, Wall: clockwork.NewRealClock(), Log: log, Once: once}
	if s.debug {
		o.DebugHTTP = &s.dump
	}
	a, err := agent.New(ctx, o)
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

// Once collects all there is into one lake, which must succeed.
func (s *Site) Once() {
	s.t.Helper()
	require.NoError(s.t, s.Run(s.t.Context(), s.Config(), true), "%s", s.tail())
}

// Session opens the connector's session as the agent does.
func (s *Site) Session() sources.Session {
	s.t.Helper()
	cfg := s.Config()
	session, err := agent.OpenSession(s.t.Context(), agent.SessionOptions{Config: cfg, Instance: cfg.Instances[0], Clock: s.Clock, Wall: clockwork.NewRealClock()})
	require.NoError(s.t, err)
	return session
}

// Truth is what is true now.
func (s *Site) Truth() *schemas.Rows {
	return s.Sandbox.Truth(s.Tenant)
}

// Compare returns how a lake differs from the truth, table by table.
func (s *Site) Compare(lake string) (out []string) {
	s.t.Helper()
	truth := s.Truth()
	for _, t := range s.f.tables() {
		want, err := rowtest.ByKey(t, truth)
		require.NoError(s.t, err, "the sandbox's truth")
		got, err := rowtest.Lake(s.t.Context(), s.Lake(lake), t, s.Instance())
		if err != nil {
			out = append(out, err.Error())
			continue
		}
		if n := len(s.Log(lake, t.Name)); !t.Entity && n > len(got) && !slices.ContainsFunc(s.f.Connector.Streams, func(i sources.StreamInfo) bool { return i.Mutable }) {
			out = append(out, fmt.Sprintf("%s: %d rows of %d events, of a vendor that rewrites none", t.Name, n, len(got)))
		}
		out = append(out, rowtest.Diff(t, want, got, 30)...)
	}
	return out
}

// Equal requires that a lake holds the truth.
func (s *Site) Equal(lake string) {
	s.t.Helper()
	if diff := s.Compare(lake); len(diff) > 0 {
		s.t.Fatalf("what was collected is not what is true:\n%s\n\n%s", strings.Join(diff, "\n"), s.tail())
	}
}

// Log returns all changes of a table in a lake, in no order.
func (s *Site) Log(lake, table string) []rowtest.Row {
	s.t.Helper()
	rows, err := rowtest.LakeLog(s.t.Context(), s.Lake(lake), schemas.ByName(table), s.Instance())
	require.NoError(s.t, err)
	return rows
}

// changes counts the rows of all entity tables in a lake, by change. A row told
// again because something had not been asked for before is no snapshot: it is
// counted as "asked".
func (s *Site) changes(lake string) map[string]int {
	n := map[string]int{}
	for _, t := range s.f.tables() {
		if !t.Entity {
			continue
		}
		rows, partly := s.Log(lake, t.Name), map[string]bool{}
		for _, r := range rows {
			if missing, ok := r["not_asked"].([]string); ok && len(missing) > 0 {
				partly[rowtest.Key(t, r)] = true
			}
		}
		for _, r := range rows {
			change := r["change"].(string)
			if change == "snapshot" && partly[rowtest.Key(t, r)] {
				change = "asked"
			}
			n[change]++
		}
	}
	return n
}

// polite requires that the agent has broken no rule of the vendor's.
func (s *Site) polite() {
	s.t.Helper()
	v := s.Sandbox.Violations()
	if len(v) > 0 {
		s.t.Errorf("%d violations of the vendor's rules, the first: %+v", len(v), v[0])
	}
}

// DeadLetters are what could not be taken.
func (s *Site) DeadLetters() []pipeline.DeadLetter {
	s.t.Helper()
	st, err := pipeline.ReadState(s.t.Context(), filepath.Join(s.dir, "data"))
	require.NoError(s.t, err)
	defer st.Close()
	dead, err := st.DeadLetters(s.t.Context(), 1000)
	require.NoError(s.t, err)
	return dead
}

// tail is the end of the agent's log, for messages.
func (s *Site) tail() string {
	text := s.log.String()
	return text[max(0, len(text)-4000):]
}

// syncBuffer is a buffer for several writers.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

var _ io.Writer = (*syncBuffer)(nil)

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
