//go:build failpoint

// Package crash kills the agent at every durable step, a thousand times over,
// and compares what the sinks hold with what is true. The agent is a child
// process, killed as by kill -9; the sandbox that it collects from lives in the
// test, and both on one clock, which runs fast.
package crash

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/agent"
	"weir/configs"
	"weir/internal/clickhousetest"
	"weir/internal/rowtest"
	"weir/internal/sandbox"
	"weir/internal/sandbox/github"
	"weir/internal/sandbox/okta"
	"weir/internal/sandbox/org"
	"weir/internal/testclock"
	"weir/pipeline"
	sinkregistry "weir/sinks/registry"
	sourceregistry "weir/sources/registry"
)

const (
	childEnv = "WEIR_CRASH_CHILD"
	speed    = 600 // of the clock: ten minutes a second
)

var start = time.Date(2026, 10, 14, 11, 0, 0, 0, time.UTC) // a Wednesday

// order is what a child process is to do.
type order struct {
	Do     string // once, run, past, decide, rotate
	Config string // file
	Data   string
	Began  int64 // of the clock, by the real one, in nanoseconds
	Skip   time.Duration
	Speed  int
	Stream pipeline.StreamID // decide, past
	Task   int64             // past: one to be resumed; 0: of From to To
	From   time.Time
	To     time.Time
	Token  string // rotate: URL of the token endpoint
}

func TestMain(m *testing.M) {
	if text := os.Getenv(childEnv); text != "" {
		var o order
		if err := json.Unmarshal([]byte(text), &o); err != nil {
			panic(err)
		}
		if err := o.obey(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, "failed:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// obey is the child process.
func (o order) obey(ctx context.Context) error {
	clock := testclock.Join(start, time.Unix(0, o.Began), o.Speed)
	clock.Skip(o.Skip)
	switch o.Do {
	case "decide":
		return pipeline.DecideOffline(ctx, o.Data, o.Stream, pipeline.Accept)
	case "rotate":
		return rotate(ctx, o, clock)
	}
	cfg, err := configs.Load(o.Config, nil, sourceregistry.All, sinkregistry.All)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	opts := agent.Options{Config: cfg, Clock: clock, Wall: clockwork.NewRealClock(), Log: log, Once: o.Do == "once"}
	if o.Do == "past" {
		opts.Past = &agent.PastJob{Of: o.Stream, Resume: o.Task}
		if o.Task == 0 {
			opts.Past.New = &agent.Backfill{Instance: o.Stream.Instance, Stream: o.Stream.Stream, From: o.From, To: o.To}
		}
	}
	a, err := agent.New(ctx, opts)
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

// site is an installation whose agent is killed again and again.
type site struct {
	t          testing.TB
	rand       *rand.Rand
	clock      *testclock.Clock
	began      time.Time
	skipped    time.Duration
	speed      int
	sandbox    *sandbox.Server
	world      *org.World
	tenants    []*sandbox.Tenant
	url        string
	dir        string
	clickhouse *clickhousetest.Server
	database   string
	damage     atomic.Int64             // so many pages of the log get a record that cannot be mapped
	down       atomic.Int64             // status of every answer; -1: no answer; 0: as usual
	delay      string                   // of parts for Parquet
	instances  map[string]string        // further lines of an app's instance
	sections   string                   // further sections of the configuration
	told       map[string]rowtest.Table // activities that vendors told of, and may tell of no longer, by instance
	tokens     tokenServer
}

// vendors are those whose every table is rebuilt from crashes.
var vendors = []sandbox.Vendor{github.Vendor(), okta.Vendor()}

// siteOptions says what a site is like.
type siteOptions struct {
	scenario   string // YAML
	seed       uint64
	speed      int // of the clock; 0: speed
	people     int
	events     float64
	history    time.Duration // 0: the usual
	clickhouse *clickhousetest.Server
	database   string
}

func newSite(t testing.TB, o siteOptions) *site {
	scenario, err := sandbox.ParseScenario("crash", []byte(o.scenario))
	require.NoError(t, err)
	s := &site{t: t, rand: rand.New(rand.NewPCG(o.seed, 1)), began: time.Now(), speed: speed, delay: "30s", told: map[string]rowtest.Table{}, dir: t.TempDir(), clickhouse: o.clickhouse, database: o.database}
	if o.speed > 0 {
		s.speed = o.speed
	}
	if o.history == 0 {
		o.history = history
	}
	s.clock = testclock.Join(start, s.began, s.speed)
	s.sandbox, err = sandbox.New(sandbox.Options{
		Vendors: vendors, Clock: s.clock, Seed: o.seed, People: o.people, History: o.history, EventsPerDay: o.events, Scenario: scenario, Tenants: []string{"acme"},
	})
	require.NoError(t, err)
	server := httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.sandbox.Close)
	t.Cleanup(server.Close)
	s.url = server.URL
	for _, v := range vendors {
		tenant, err := s.sandbox.Tenant(v.App, "acme", s.url)
		require.NoError(t, err)
		s.tenants = append(s.tenants, tenant)
	}
	s.world = s.tenants[0].World
	require.NoError(t, os.WriteFile(filepath.Join(s.dir, "key"), []byte(base64.StdEncoding.EncodeToString(make([]byte, 32))), 0o600))
	return s
}

// serve is the sandbox, and what is done to it.
func (s *site) serve(w http.ResponseWriter, r *http.Request) {
	switch status := s.down.Load(); {
	case r.URL.Path == "/token":
		s.tokens.ServeHTTP(w, r)
		return
	case status < 0:
		panic(http.ErrAbortHandler)
	case status > 0:
		http.Error(w, "down", int(status))
		return
	}
	if strings.HasSuffix(r.URL.Path, "/api/v1/logs") && s.damage.Load() > 0 {
		answer := httptest.NewRecorder()
		s.sandbox.ServeHTTP(answer, r)
		for k, v := range answer.Header() {
			w.Header()[k] = v
		}
		body := answer.Body.Bytes()
		if rest, ok := bytes.CutPrefix(body, []byte("[{")); ok && answer.Code == http.StatusOK {
			s.damage.Add(-1)
			body = append([]byte(`[{"uuid":"","note":"this is no event"},{`), rest...)
			w.Header().Del("Content-Length")
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(body)
		return
	}
	s.sandbox.ServeHTTP(w, r)
}

// skip lets time pass at once. No child runs.
func (s *site) skip(d time.Duration) {
	s.skipped += d
	s.clock.Skip(d)
}

func (s *site) data() string { return filepath.Join(s.dir, "data") }
func (s *site) lake() string { return filepath.Join(s.dir, "lake") }

// config writes the agent's configuration.
func (s *site) config() string {
	var b strings.Builder
	fmt.Fprintf(&b, "agent:\n  key: \"${file:%s}\"\n  data_dir: %q\n  listen: \"\"\n  min_free: 1MB\n  drain_timeout: 1h\nsinks:\n", filepath.Join(s.dir, "key"), s.data())
	if s.clickhouse == nil {
		fmt.Fprintf(&b, "  lake: {type: parquet, path: %q, max_delay: %s, late_delay: 15m, snapshot_every: 24h}\n", s.lake(), s.delay)
	} else {
		fmt.Fprintf(&b, "  warehouse: {type: clickhouse, url: %q, database: %s, max_delay: 1s, late_delay: 1m}\n", s.clickhouse.URL(), s.database)
	}
	b.WriteString(s.sections + "instances:\n")
	for _, t := range s.tenants {
		fmt.Fprintf(&b, "  %s:\n", t.Instance())
		for line := range strings.Lines(t.Handler().Config(t.Base) + s.instances[t.App]) {
			b.WriteString("    " + line)
		}
	}
	name := filepath.Join(s.dir, "weir.yaml")
	require.NoError(s.t, os.WriteFile(name, []byte(b.String()), 0o600))
	return name
}

// outcome is how a child process ended.
type outcome struct {
	killed bool // by itself, at a fail point
	ended  bool // by the test, when its time was up
	err    error
	log    string
}

// child runs a child process until it ends, or for so long.
func (s *site) child(o order, rule string, limit time.Duration) outcome {
	s.t.Helper()
	o.Config, o.Data, o.Began, o.Skip, o.Speed = s.config(), s.data(), s.began.UnixNano(), s.skipped, s.speed
	text, err := json.Marshal(o)
	require.NoError(s.t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(text), "WEIR_FAILPOINT="+rule)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log bytes.Buffer
	cmd.Stderr, cmd.Stdout = &log, &log
	require.NoError(s.t, cmd.Start())
	var ended atomic.Bool
	timer := time.AfterFunc(limit, func() {
		ended.Store(true)
		_ = cmd.Process.Kill()
	})
	err = cmd.Wait()
	timer.Stop()
	out := outcome{ended: ended.Load(), err: err, log: log.String()}
	var exit *exec.ExitError
	if errors.As(err, &exit) && !out.ended {
		ws, ok := exit.Sys().(syscall.WaitStatus)
		out.killed = ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL
	}
	return out
}

// tokenServer hands out tokens whose refresh token is spent by its use, with
// the leeway that vendors give: the one before still works until the new one
// has been used.
type tokenServer struct {
	mu        sync.Mutex
	n         int
	now, last string
	spent     int
}

func (s *tokenServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	switch r.FormValue("refresh_token") {
	case s.now:
		s.last = s.now
	case s.last:
	default:
		s.spent++
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error": "invalid_grant"}`))
		return
	}
	s.n++
	s.now = fmt.Sprintf("refresh-%d", s.n)
	fmt.Fprintf(w, `{"access_token": "access-%d", "token_type": "Bearer", "expires_in": 3600, "refresh_token": %q}`, s.n, s.now)
}
