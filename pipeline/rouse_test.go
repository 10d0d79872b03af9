package pipeline

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// daemon runs a stream until the test ends.
func daemon(t *testing.T, p *Pipeline, o StreamOptions) *StreamRun {
	t.Helper()
	run, err := p.NewStreamRun(o)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.NoError(t, p.Close())
	})
	return run
}

// A scan whose deltas are due in days reads one lane's now when it is roused,
// and no other's; one that is roused while it is read is read once more.
func TestRousedDelta(t *testing.T) {
	t.Parallel()
	s, w := newScanSite(t, "one"), newWorld()
	people(w, "a", 5)
	people(w, "b", 5)
	var deltas atomic.Int64
	hold, held := make(chan struct{}), make(chan struct{})
	w.fault = func(what, lane, _ string) error {
		switch {
		case what == "delta" && lane == "b":
			return fault.New(fault.Permanent, "nobody roused this one")
		case what == "delta" && deltas.Add(1) == 2:
			close(held)
			<-hold
		}
		return nil
	}
	run := daemon(t, s.open(), StreamOptions{ID: scanStream, App: "okta", Stream: w.stream(sources.StreamInfo{FullEvery: 30 * 24 * time.Hour}, "deltas"), Every: 10 * 24 * time.Hour, Parallel: 2})
	is := func() {
		t.Helper()
		require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Equal(c, w.all(), s.sinks["one"].fold()) }, time.Minute, 10*time.Millisecond)
	}
	is()
	rouse := func(lanes ...string) { require.NoError(t, run.Rouse(t.Context(), lanes)) }
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		sc, err := run.p.State().Scan(t.Context(), scanStream)
		assert.NoError(c, err)
		assert.False(c, sc.Open)
	}, time.Minute, 10*time.Millisecond)
	require.Zero(t, deltas.Load())

	w.set("a", "a-new", "x")
	rouse("a", "not known")
	is()

	// The second reading has begun, and what it will show is decided: what
	// happens now is seen by a third.
	rouse("a")
	<-held
	rouse("a")
	close(hold)
	require.Eventually(t, func() bool { return deltas.Load() == 3 }, time.Minute, time.Millisecond)
	w.set("a", "a-newer", "y")
	rouse("a")
	is()
}

// A scan without deltas that is roused begins its next round early.
func TestRousedRound(t *testing.T) {
	t.Parallel()
	const every = 10 * time.Minute // 12 seconds of the tests
	s, w := newScanSite(t, "one"), newWorld()
	people(w, "a", 5)
	run := daemon(t, s.open(), StreamOptions{ID: scanStream, App: "okta", Stream: w.stream(sources.StreamInfo{}), Every: every, Parallel: 2})
	is := func(within time.Duration) {
		t.Helper()
		require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Equal(c, w.all(), s.sinks["one"].fold()) }, within, 10*time.Millisecond)
	}
	is(time.Minute)
	w.set("a", "a-new", "x")
	require.NoError(t, run.Rouse(t.Context(), []string{""}))
	is(7 * time.Second)
}

// A log of one lane is polled at once when it is roused; a lane that fails keeps
// waiting.
func TestRousedLog(t *testing.T) {
	t.Parallel()
	sink := newMemorySink()
	p := startPipeline(t, t.TempDir(), Options{}, map[string]*memorySink{"one": sink})
	var reads atomic.Int64
	var failing atomic.Bool
	stream := sources.Stream{
		Info: sources.StreamInfo{Name: "activities", Tables: []string{"activities"}, Keep: time.Hour},
		Read: func(_ context.Context, _ sources.Lane, _ sources.Cursor) iter.Seq2[*sources.Page, error] {
			return func(yield func(*sources.Page, error) bool) {
				n := reads.Add(1)
				if failing.Load() {
					yield(nil, fault.After(fault.Transient, 24*time.Hour, "down"))
					return
				}
				id := fmt.Sprint(n)
				yield(&sources.Page{Rows: &schemas.Rows{Activities: []schemas.Activity{{EventID: id, Time: schemas.Time(time.Now().UnixMilli()), Raw: id}}}, Next: sources.Cursor(id)}, nil)
			}
		},
	}
	run := daemon(t, p, StreamOptions{ID: testStream, App: "aws", Stream: stream, Every: 24 * time.Hour, Parallel: 1})
	for n := range 3 {
		require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Len(c, sink.counts(), n+1) }, time.Minute, time.Millisecond)
		failing.Store(n == 2)
		require.NoError(t, run.Rouse(t.Context(), []string{""}))
	}
	require.Eventually(t, func() bool { return run.Stats.LanesFailed.Load() == 1 }, time.Minute, time.Millisecond)
	run.p.committer.flush()
	require.NoError(t, run.p.committer.update(t.Context(), func(Tx) error { return nil }))
	require.NoError(t, run.Rouse(t.Context(), []string{""}))
	require.Never(t, func() bool { return reads.Load() > 4 }, 100*time.Millisecond, 10*time.Millisecond)
}

// However a change falls into a reading of its lane, what rouses the lane then has
// it read once more.
func TestRousedAmidReadings(t *testing.T) {
	t.Parallel()
	s, w := newScanSite(t, "one"), newWorld()
	people(w, "a", 5)
	run := daemon(t, s.open(), StreamOptions{ID: scanStream, App: "okta", Stream: w.stream(sources.StreamInfo{FullEvery: 3000 * 24 * time.Hour}, "deltas"), Every: 1000 * 24 * time.Hour, Parallel: 2})
	seen := func() bool { return maps.Equal(w.all(), s.sinks["one"].fold()) }
	require.Eventually(t, seen, time.Minute, time.Millisecond)
	for i := range 300 {
		for j := range 3 {
			w.set("a", "a-new", fmt.Sprint(i, j))
			require.NoError(t, run.Rouse(t.Context(), []string{"a"}))
			for range (i * 37) % 200 {
				runtime.Gosched()
			}
		}
		require.Eventually(t, seen, time.Minute, time.Millisecond, "%d", i)
	}
}
