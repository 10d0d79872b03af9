//go:build failpoint

package crash

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"weir/agent"
	"weir/configs"
	"weir/internal/clickhousetest"
	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/pipeline"
	"weir/schemas"
	sinkregistry "weir/sinks/registry"
	sourceregistry "weir/sources/registry"
)

// logBuffer is what an agent logs.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) tail() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := l.b.String()
	return text[max(0, len(text)-4000):]
}

// agent runs an agent in this process. stop ends it as SIGTERM would.
func (s *site) agent(once bool) (log *logBuffer, stop func() error) {
	s.t.Helper()
	cfg, err := configs.Load(s.config(), nil, sourceregistry.All, sinkregistry.All)
	require.NoError(s.t, err)
	log = &logBuffer{}
	a, err := agent.New(s.t.Context(), agent.Options{Config: cfg, Clock: s.clock, Wall: clockwork.NewRealClock(), Log: slog.New(slog.NewTextHandler(log, nil)), Once: once})
	require.NoError(s.t, err)
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	ended := sync.OnceValue(func() error {
		defer cancel()
		return <-done
	})
	s.t.Cleanup(func() {
		cancel()
		_ = ended() // of a test that has failed
	})
	return log, func() error {
		if !once {
			cancel()
		}
		return ended()
	}
}

// once collects all there is, in this process.
func (s *site) once() error {
	_, stop := s.agent(true)
	return stop()
}

// delivered returns the ids of the activities that a sink has.
func (s *site) delivered() map[string]bool {
	out := map[string]bool{}
	for instance, rows := range s.read(schemas.ByName(schemas.TableActivities)) {
		for _, r := range rows {
			out[instance+" "+r["event_id"].(string)] = true
		}
	}
	return out
}

// happened returns the ids of all activities that vendors tell of.
func (s *site) happened() map[string]bool {
	out := map[string]bool{}
	for _, t := range s.tenants {
		for _, a := range s.sandbox.Truth(t).Activities {
			out[t.Instance()+" "+a.EventID] = true
		}
	}
	return out
}

// catchUp waits until all that has happened by now is delivered, and returns how
// long that took, by the agent's clock.
func (s *site) catchUp(log *logBuffer) time.Duration {
	s.t.Helper()
	want, began, deadline := s.happened(), s.clock.Now(), time.Now().Add(2*time.Minute)
	for {
		have := s.delivered()
		missing := 0
		for id := range want {
			if !have[id] {
				missing++
			}
		}
		if missing == 0 {
			return s.clock.Since(began)
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("%d of %d events have not come after %s:\n%s", missing, len(want), s.clock.Since(began), log.tail())
		}
		<-s.clock.After(time.Duration(s.speed) * 50 * time.Millisecond)
	}
}

// A sink or a vendor is down for six hours of the agent's time: nobody touches
// the agent, and afterwards all is there, once, and known to be complete.
func TestOutage(t *testing.T) {
	down := func(status int64) func(*site, time.Duration) {
		return func(s *site, d time.Duration) {
			s.down.Store(status)
			<-s.clock.After(d)
			s.down.Store(0)
		}
	}
	for i, c := range []struct {
		name   string
		outage func(*site, time.Duration)
	}{
		{"sink cannot be written", func(s *site, d time.Duration) {
			away := s.lake() + ".away"
			require.NoError(s.t, os.Rename(s.lake(), away))
			require.NoError(s.t, os.WriteFile(s.lake(), nil, 0o600))
			<-s.clock.After(d)
			require.NoError(s.t, os.Remove(s.lake()))
			require.NoError(s.t, os.Rename(away, s.lake()))
		}},
		{"sink is not mounted", func(s *site, d time.Duration) {
			away := s.lake() + ".away"
			require.NoError(s.t, os.Mkdir(away, 0o700)) // the mount point
			swap := func() error {
				return unix.Renameat2(unix.AT_FDCWD, s.lake(), unix.AT_FDCWD, away, unix.RENAME_EXCHANGE)
			}
			require.NoError(s.t, swap())
			<-s.clock.After(d)
			require.NoError(s.t, swap())
			require.NoError(s.t, filepath.WalkDir(away, func(name string, d fs.DirEntry, err error) error {
				require.NotEqual(s.t, ".parquet", filepath.Ext(name), "nothing is delivered to a mount point")
				return err
			}))
		}},
		{"vendor answers 503", down(http.StatusServiceUnavailable)},
		{"vendor cannot be reached", down(-1)},
	} {
		t.Run(c.name, func(t *testing.T) {
			if i%2 == 0 && os.Getenv("WEIR_OUTAGES") != "all" {
				t.Skip("of its kind another is tried; all with WEIR_OUTAGES=all")
			}
			t.Parallel()
			s := newSite(t, siteOptions{seed: 5, people: 30, events: 20, history: 12 * time.Hour, speed: 1800})
			s.delay = "10m"
			log, stop := s.agent(false)
			usual := s.catchUp(log)
			usual = max(usual, s.catchUp(log))
			from := s.clock.Now()
			c.outage(s, 6*time.Hour)
			to := s.clock.Now()
			after := s.catchUp(log)
			then := s.catchUp(log)
			t.Logf("%s for %s: all that had happened was delivered %s after its end; usual is %s, and was %s again", c.name, to.Sub(from).Round(time.Minute), after.Round(time.Second), usual.Round(time.Second), then.Round(time.Second))
			require.Less(t, then, 3*usual+time.Hour, "the lag is as before")
			require.NoError(t, stop(), log.tail())
			s.settle()
			s.complete(pipeline.NewSpan(from, to))
		})
	}
}

// complete requires that the ledger comes to know a span as complete, with no
// hole in any log, once the streams' lateness has passed.
func (s *site) complete(span pipeline.Span) {
	s.t.Helper()
	var wrong []string
	for range 8 {
		if wrong = s.incomplete(span); len(wrong) == 0 {
			return
		}
		s.skip(12 * time.Hour)
		require.NoError(s.t, s.child(order{Do: "once"}, "", 2*time.Minute).err)
	}
	s.t.Fatalf("the ledger does not say that %v is complete:\n%s", span, strings.Join(wrong, "\n"))
}

// incomplete words what the ledger lacks of a span.
func (s *site) incomplete(span pipeline.Span) (wrong []string) {
	s.t.Helper()
	st, err := pipeline.ReadState(s.t.Context(), s.data())
	require.NoError(s.t, err)
	defer st.Close()
	for _, t := range s.tenants {
		id := pipeline.StreamID{Instance: t.Instance(), Stream: "activities"}
		have, err := st.Coverage(s.t.Context(), id, span)
		require.NoError(s.t, err)
		if rest := pipeline.Subtract([]pipeline.Span{span}, have); len(rest) > 0 {
			wrong = append(wrong, fmt.Sprintf("%s: %v is not covered", id, rest))
		}
		holes, err := st.Holes(s.t.Context(), id)
		require.NoError(s.t, err)
		for _, h := range holes {
			if h.Missing() {
				wrong = append(wrong, fmt.Sprintf("%s: a hole: %+v", id, h))
			}
		}
	}
	return wrong
}

// Half of all events appear up to three days late, uniformly: all are
// collected, once.
func TestLate72h(t *testing.T) {
	s := newSite(t, siteOptions{scenario: "log: {late: 0.5, late_max: 72h, late_evenly: true}\n", seed: 6, people: 30, events: 20, history: time.Hour})
	s.instances = map[string]string{"github": "audit: {lateness: 72h}\n"}
	late := func() (n int, latest time.Duration) {
		s.world.View(func(st *org.State) {
			for app := range st.Events {
				for _, e := range st.Events[app] {
					if d := e.Seen.Sub(e.At); d > time.Hour && e.At.After(start) {
						n++
						latest = max(latest, d)
					}
				}
			}
		})
		return n, latest
	}
	for range 4 { // a day, in which they happen
		require.NoError(t, s.once())
		s.skip(6 * time.Hour)
	}
	s.world.Freeze()
	for range 13 { // and three and a quarter, in which they appear
		require.NoError(t, s.once())
		s.skip(6 * time.Hour)
	}
	n, latest := late()
	require.Greater(t, n, 100)
	require.Greater(t, latest, 60*time.Hour)
	s.settle()
	t.Logf("%d of %d events appeared more than an hour late, the latest after %s: all were delivered, once", n, len(s.happened()), latest.Round(time.Hour))
}

// Events that appear at once reach ClickHouse within seconds, with a poll a
// second. Everything runs on the real clock.
func TestLatency(t *testing.T) {
	s := newSite(t, siteOptions{seed: 7, people: 200, events: 2000, history: time.Hour, speed: 1, clickhouse: clickhousetest.Start(t), database: "latency"})
	s.tenants = slices.DeleteFunc(s.tenants, func(t *sandbox.Tenant) bool { return t.App != org.Okta })
	s.instances = map[string]string{"okta": "streams: {activities: {every: 1s}, accounts: {enabled: false}, groups: {enabled: false}, privileges: {enabled: false}, apps: {enabled: false}, app_grants: {enabled: false}}\n"}
	log, stop := s.agent(false)
	s.catchUp(log)
	from := s.clock.Now()
	seen := map[string]bool{}
	var took []time.Duration
	for s.clock.Since(from) < 15*time.Second {
		for _, row := range s.newest(from) {
			if !seen[row.id] {
				seen[row.id] = true
				took = append(took, s.clock.Now().Sub(row.at))
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	require.NoError(t, stop(), log.tail())
	slices.Sort(took)
	require.Greater(t, len(took), 20)
	p50, p99 := took[len(took)/2], took[len(took)*99/100]
	t.Logf("%d events, from when they happened to when ClickHouse had them: p50 %s, p99 %s, most %s", len(took), p50.Round(time.Millisecond), p99.Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	require.Less(t, p50, 5*time.Second)
}

type arrival struct {
	id string
	at time.Time
}

// newest returns the events in ClickHouse that have happened since a time.
func (s *site) newest(since time.Time) (out []arrival) {
	rows := s.clickhouse.Query(s.t, fmt.Sprintf("SELECT event_id, toUnixTimestamp64Milli(time) FROM %s.activities WHERE time >= fromUnixTimestamp64Milli(%d)", s.database, since.UnixMilli()))
	for line := range bytes.Lines([]byte(rows)) {
		var a arrival
		var ms int64
		if _, err := fmt.Sscan(string(line), &a.id, &ms); err == nil {
			a.at = time.UnixMilli(ms)
			out = append(out, a)
		}
	}
	return out
}
