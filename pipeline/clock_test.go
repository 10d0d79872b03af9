package pipeline

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/testclock"
	"weir/schemas"
	"weir/sinks"
	"weir/sources"
)

const month = 30 * 24 * time.Hour

// trailing is a log of one lane that shows its last events again at every poll.
type trailing struct {
	mu    sync.Mutex
	clock *testclock.Clock // the vendor's
	log   []schemas.Activity
}

func (v *trailing) happen() {
	v.mu.Lock()
	defer v.mu.Unlock()
	id := strconv.Itoa(len(v.log))
	v.log = append(v.log, schemas.Activity{EventID: id, Time: schemas.Time(v.clock.Now().UnixMilli()), Raw: "raw " + id})
}

func (v *trailing) stream() sources.Stream {
	return sources.Stream{
		Info: sources.StreamInfo{Name: "activities", Shape: sources.Log, Tables: []string{"activities"}, Keep: 7 * 24 * time.Hour, Retention: 7 * 24 * time.Hour},
		Read: func(context.Context, sources.Lane, sources.Cursor) iter.Seq2[*sources.Page, error] {
			return func(yield func(*sources.Page, error) bool) {
				v.mu.Lock()
				rows := &schemas.Rows{Activities: append([]schemas.Activity(nil), v.log[max(0, len(v.log)-10):]...)}
				p := &sources.Page{Rows: rows, Next: sources.Cursor(strconv.Itoa(len(v.log))), Since: schemas.Time(v.clock.Now().Add(-24 * time.Hour).UnixMilli()), Watermark: schemas.Time(v.clock.Now().UnixMilli())}
				v.mu.Unlock()
				yield(p, nil)
			}
		},
	}
}

// The agent's clock is set a month ahead, and back: while it runs, or between
// two runs. Nothing is lost, sent twice, forgotten, waited for, or said to be
// lost.
func TestClockSet(t *testing.T) {
	t.Parallel()
	for _, restart := range []bool{false, true} {
		for name, files := range map[string]bool{"one lane": false, "files": true} {
			t.Run(fmt.Sprintf("%s, restart %t", name, restart), func(t *testing.T) {
				t.Parallel()
				clockSet(t, restart, files)
			})
		}
	}
}

func clockSet(t *testing.T, restart, files bool) {
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clock, theirs := testclock.Fast(begin, 50), testclock.Fast(begin, 50)
	log := &trailing{clock: theirs}
	objects := &vendor{clock: theirs, since: begin.Add(-time.Hour), fail: map[string]error{}, keep: 7 * 24 * time.Hour}
	stream := log.stream()
	if files {
		stream = objects.stream()
		stream.Info.Keep = 7 * 24 * time.Hour
	}
	dir, sink := t.TempDir(), newMemorySink()
	var p *Pipeline
	var run *StreamRun
	open := func() {
		var err error
		p, err = Open(t.Context(), Options{
			DataDir: dir, Clock: clock, Rand: rand.Reader, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
			Tables: []*schemas.Table{schemas.ByName("activities"), schemas.ByName("collection_runs")},
			Sinks:  []SinkOptions{{Name: "lake", Sink: sink, Batching: sinks.Batching{TargetSize: 1 << 20, MaxDelay: 20 * time.Millisecond, LateDelay: time.Hour}}},
		})
		require.NoError(t, err)
		require.NoError(t, p.Start(t.Context()))
		run, err = p.NewStreamRun(StreamOptions{ID: testStream, App: "aws", Stream: stream, Every: time.Minute, Parallel: 2})
		require.NoError(t, err)
		require.NoError(t, run.takeUpLedger(t.Context()))
	}
	events := 0
	live := func(rounds int) {
		for range rounds {
			log.happen()
			objects.mu.Lock()
			objects.lanes = append(objects.lanes, sources.Lane{ID: strconv.Itoa(events), Hint: "h", Once: true})
			objects.mu.Unlock()
			events++
			require.NoError(t, run.round(t.Context()))
			p.committer.flush()
			require.NoError(t, run.settle(t.Context()))
			clock.Skip(2 * time.Hour)
			theirs.Skip(2 * time.Hour)
		}
		got := int(run.Stats.Rows.Load())
		if !restart {
			require.Equal(t, events, got, "what has happened is read at once")
		}
	}
	set := func(d time.Duration) {
		if restart {
			require.NoError(t, p.Drain(t.Context()))
			require.NoError(t, p.Close())
		}
		clock.Skip(d)
		if restart {
			open()
		}
	}
	open()
	live(3)
	set(month)
	live(3)
	set(-month)
	live(3)
	holes, err := p.state.Holes(t.Context(), testStream)
	require.NoError(t, err)
	require.Empty(t, holes)
	covered, err := p.state.Coverage(t.Context(), testStream, Span{})
	require.NoError(t, err)
	require.Len(t, covered, 1, "without a gap")
	require.WithinDuration(t, theirs.Now(), covered[0].To, 3*time.Hour)
	require.NoError(t, p.Drain(t.Context()))
	require.NoError(t, p.Close())
	requireExact(t, sink, events)
}

// A scan goes on at once after the clock was set back, and sees what changed and
// what is gone.
func TestClockSetScan(t *testing.T) {
	t.Parallel()
	w := newWorld()
	people(w, "a", 5)
	people(w, "b", 5)
	site := newScanSite(t, "one")
	clock, ok := site.clock.(*testclock.Clock)
	require.True(t, ok)
	stream := w.stream(sources.StreamInfo{FullEvery: 6 * time.Hour}, "hints")
	var run *StreamRun
	open := func() {
		site.p = site.open()
		var err error
		run, err = site.p.NewStreamRun(StreamOptions{ID: scanStream, App: "okta", Stream: stream, Every: time.Hour, Parallel: 3})
		require.NoError(t, err)
		require.NoError(t, run.scan.load(t.Context()))
	}
	live := func(rounds int) {
		for range rounds {
			next, err := run.scan.pass(t.Context())
			require.NoError(t, err)
			require.WithinRange(t, next, clock.Now().Add(-time.Minute), clock.Now().Add(2*time.Hour))
			clock.Skip(time.Hour)
		}
	}
	restart := func(d time.Duration) {
		require.NoError(t, site.p.Drain(t.Context()))
		require.NoError(t, site.p.Close())
		clock.Skip(d)
		open()
	}
	open()
	live(2)
	restart(month)
	w.set("a", "a-new", "x")
	live(2)
	require.Contains(t, site.deliveredAccounts(), "a-new")
	restart(-month)
	w.set("a", "a-000", "changed")
	w.del("b", "b-001")
	live(4)
	require.NoError(t, site.p.Drain(t.Context()))
	require.NoError(t, site.p.Close())
	require.Equal(t, w.all(), site.sinks["one"].fold())
	require.Empty(t, site.state().Holds)
}

// deliveredAccounts drains, and returns the keys that the first sink was given.
func (s *scanSite) deliveredAccounts() map[string]string {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return len(s.sinks["one"].fold()) > 10 }, 10*time.Second, time.Millisecond)
	return s.sinks["one"].fold()
}

// The vendor's clock is shown where it differs much; where it differs more, no
// window counts as complete, and what was read is delivered.
func TestSkewedVendor(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	log := &trailing{clock: testclock.Fast(begin, 1)}
	sink := newMemorySink()
	p := startPipeline(t, t.TempDir(), Options{}, map[string]*memorySink{"lake": sink})
	run, err := p.NewStreamRun(StreamOptions{ID: testStream, App: "okta", Stream: log.stream(), Every: time.Hour, Parallel: 1})
	require.NoError(t, err)
	f := func(skew, kept time.Duration, complete bool) {
		t.Helper()
		log.happen()
		require.NoError(t, p.state.Update(t.Context(), func(tx Tx) error { return tx.SetLane(LaneState{StreamID: testStream}) })) // due now
		run.caller.Skew.Store(int64(skew))
		err := run.round(t.Context())
		if complete {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, "nothing counts as complete; set this machine's clock")
			require.Equal(t, fault.Transient, fault.Of(err))
		}
		got, err := VendorSkew(t.Context(), p.state, testStream)
		require.NoError(t, err)
		require.Equal(t, kept, got)
	}
	f(time.Minute, 0, true)
	f(-3*time.Minute, -3*time.Minute, true)
	covered, err := p.state.Coverage(t.Context(), testStream, Span{})
	require.NoError(t, err)
	f(11*time.Minute, 11*time.Minute, false)
	after, err := p.state.Coverage(t.Context(), testStream, Span{})
	require.NoError(t, err)
	require.Equal(t, covered, after)
	f(0, 0, true)
	require.NoError(t, p.Drain(t.Context()))
	require.NoError(t, p.Close())
	requireExact(t, sink, 4)
	require.Equal(t, "11m behind", SkewText(-11*time.Minute))
}

// Where rounds take longer than upkeep should come apart, what is old is forgotten
// all the same.
func TestForgetKeepsUp(t *testing.T) {
	t.Parallel()
	clock := testclock.Fast(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), 36_000) // an hour in 100 ms
	p := openOn(t, t.TempDir(), clock, Options{}, map[string]sinks.Sink{"lake": newMemorySink()})
	upkeep := func() time.Duration {
		by, kept, err := p.forgetBy(t.Context(), "slow", time.Minute)
		require.NoError(t, err)
		require.NoError(t, p.state.Update(t.Context(), kept))
		return clock.Since(by)
	}
	upkeep()
	for range 3 {
		for passed := p.hours.Load() + 10; p.hours.Load() < passed; {
			<-clock.After(time.Minute)
		}
		require.Less(t, upkeep(), time.Hour)
	}
	clock.Skip(month)
	require.Greater(t, upkeep(), month-24*time.Hour, "a clock that is set is not believed")
	require.NoError(t, p.Close())
}
