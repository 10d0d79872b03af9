package pipeline

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/sources"
)

// Whatever happens to the world, to its vendor and to the agent: in the end every
// sink tells what is true, and nothing that exists was ever told to be gone.
func TestRandomWorlds(t *testing.T) {
	t.Parallel()
	kinds := [][]string{nil, {"hints"}, {"ask"}, {"deltas"}, {"hints", "ask"}}
	for seed := range uint64(10) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			w := newWorld()
			s := newScanSite(t, "one", "lake")
			s.every = time.Hour
			info := sources.StreamInfo{Keyset: seed%2 == 0, FullEvery: time.Duration(seed%3) * 1000 * time.Hour}
			stream := w.stream(info, kinds[seed%5]...)
			lanes := []string{"a", "b", "c", "d"}
			deleted := map[string]bool{}
			for i := range 60 {
				w.set(lanes[i%4], fmt.Sprintf("%s-%02d", lanes[i%4], i), "first")
			}
			s.round(stream)
			for step := range 14 {
				for range r.IntN(4) { // few enough to pass the guard
					lane := lanes[r.IntN(4)]
					key := fmt.Sprintf("%s-%02d", lane, r.IntN(80)/4*4+r.IntN(4))
					if r.IntN(3) == 0 {
						w.del(lane, key)
						deleted[key] = true
					} else {
						w.set(lane, key, fmt.Sprint("step", step))
					}
				}
				if r.IntN(6) == 0 {
					s.add(fmt.Sprint("later", step))
				}
				w.fault = nil
				if r.IntN(2) == 0 {
					what := []string{"list", "read", "read", "read"}[r.IntN(4)]
					class := []fault.Class{fault.Transient, fault.Auth, fault.Forbidden, fault.Expired, fault.BadData}[r.IntN(5)]
					lane, left := lanes[r.IntN(4)], r.IntN(12)
					w.fault = func(op, l, at string) error {
						if w.mu.Lock(); op != what || op == "read" && l != lane || at == "" && left%2 == 0 {
							w.mu.Unlock()
							return nil
						}
						defer w.mu.Unlock()
						if left--; left < 0 {
							return nil
						}
						return fault.New(class, "step %d", step)
					}
				}
				_, _ = s.once(stream) // failing is part of it
			}
			w.fault = nil
			for range 3 {
				s.round(stream)
			}
			for name, sink := range s.sinks {
				require.Equal(t, w.all(), sink.fold(), "sink %s, holds %v", name, s.state().Holds)
				for _, row := range sink.log {
					require.False(t, row.change == changeRemoved && !deleted[row.key], "%s was never deleted, and %s was told so", row.key, name)
				}
			}
		})
	}
}

// A daemon follows deltas between rounds; a delta that cannot go on has its lane
// read anew.
func TestDeltas(t *testing.T) {
	t.Parallel()
	w := newWorld()
	people(w, "a", 5)
	people(w, "b", 5)
	s := newScanSite(t, "one")
	stream := w.stream(sources.StreamInfo{Keyset: true, FullEvery: 10_000 * time.Hour}, "deltas")
	p := s.open()
	run, err := p.NewStreamRun(StreamOptions{ID: scanStream, App: "okta", Stream: stream, Every: 10 * time.Second, Parallel: 2})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run.Run(ctx) }()
	is := func() {
		t.Helper()
		require.EventuallyWithT(t, func(c *assert.CollectT) { assert.Equal(c, w.all(), s.sinks["one"].fold()) }, 2*time.Minute, 20*time.Millisecond)
	}
	is()
	w.set("a", "a-001", "new")
	w.del("b", "b-003")
	w.set("b", "b-new", "x")
	is()
	reads := w.reads["a"]
	expired := false
	w.mu.Lock()
	w.fault = func(what, lane, _ string) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		if what == "delta" && lane == "a" && !expired {
			expired = true
			return fault.New(fault.Expired, "too old")
		}
		return nil
	}
	w.mu.Unlock()
	w.set("a", "a-002", "newer")
	is()
	require.Eventually(t, func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return expired && w.reads["a"] > reads
	}, 2*time.Minute, 10*time.Millisecond)
	w.set("a", "a-004", "newest")
	is()
	st, err := p.State().Scan(t.Context(), scanStream)
	require.NoError(t, err)
	require.Equal(t, int64(1), st.Round, "no second round was needed")
	run.Wake()
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.NoError(t, p.Close())
}
