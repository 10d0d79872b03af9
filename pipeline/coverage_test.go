package pipeline

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/sources"
)

func at(s int64) time.Time     { return time.Unix(s, 0).UTC() }
func span(from, to int64) Span { return Span{From: at(from), To: at(to)} }

func randomSpans(r *rand.Rand) (spans []Span) {
	for range r.IntN(8) {
		from := r.Int64N(60)
		spans = append(spans, span(from, from+r.Int64N(12))) // empty ones too
	}
	return spans
}

// set is the second way to tell what spans hold: second by second.
func set(spans []Span) (s [80]bool) {
	for _, v := range spans {
		for i := v.From.Unix(); i < v.To.Unix(); i++ {
			s[i] = true
		}
	}
	return s
}

// requireCanonical checks that spans are in order, and neither empty nor touching.
func requireCanonical(t *testing.T, spans []Span) {
	t.Helper()
	for i, s := range spans {
		require.False(t, s.Empty(), "%v", spans)
		require.True(t, i == 0 || spans[i-1].To.Before(s.From), "%v", spans)
	}
}

func TestSpans(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		a, b := randomSpans(r), randomSpans(r)
		inA, inB := set(a), set(b)
		var union, less, both [80]bool
		for i := range inA {
			union[i], less[i], both[i] = inA[i] || inB[i], inA[i] && !inB[i], inA[i] && inB[i]
		}
		for _, f := range []struct {
			name string
			got  []Span
			want [80]bool
		}{{"union", Union(a, b), union}, {"subtract", Subtract(a, b), less}, {"intersect", Intersect(a, b), both}} {
			requireCanonical(t, f.got)
			require.Equal(t, f.want, set(f.got), "%s of %v and %v", f.name, a, b)
		}
	}
}

// The state's coverage is the union of what was covered, in whatever order.
func TestCoverageIsKept(t *testing.T) {
	t.Parallel()
	st, err := OpenState(t.Context(), t.TempDir())
	require.NoError(t, err)
	defer st.Close()
	r := rand.New(rand.NewPCG(3, 4))
	id, other := StreamID{"acme", "activities"}, StreamID{"acme", "other"}
	require.NoError(t, st.Update(t.Context(), func(tx Tx) error { return tx.Cover(other, span(1, 2), at(0)) }))
	for range 60 {
		var all []Span
		for range 6 {
			more := randomSpans(r)
			all = append(all, more...)
			require.NoError(t, st.Update(t.Context(), func(tx Tx) error {
				for _, s := range more {
					if err := tx.Cover(id, s, at(0)); err != nil {
						return err
					}
				}
				return nil
			}))
			got, err := st.Coverage(t.Context(), id, Span{})
			require.NoError(t, err)
			require.Equal(t, Union(all), Union(got))
			requireCanonical(t, got)
			from := r.Int64N(60)
			hole := span(from, from+1+r.Int64N(9))
			require.NoError(t, st.Update(t.Context(), func(tx Tx) error { return tx.Uncover(id, hole) }))
			all = Subtract(all, []Span{hole})
			got, err = st.Coverage(t.Context(), id, Span{})
			require.NoError(t, err)
			require.Equal(t, Union(all), Union(got))
			requireCanonical(t, got)
			cut := span(20, 40)
			got, err = st.Coverage(t.Context(), id, cut)
			require.NoError(t, err)
			require.Equal(t, Intersect(all, []Span{cut}), Union(got))
		}
		for more := true; more; {
			require.NoError(t, st.Update(t.Context(), func(tx Tx) (err error) {
				more, err = tx.ForgetInstance("none", 10)
				return err
			}))
		}
		require.NoError(t, st.Update(t.Context(), func(tx Tx) error {
			return tx.(*sqliteTx).exec(`DELETE FROM coverage WHERE stream = ?`, id.Stream)
		}))
	}
	got, err := st.Coverage(t.Context(), other, Span{})
	require.NoError(t, err)
	require.Equal(t, []Span{span(1, 2)}, got)
	require.NoError(t, st.Update(t.Context(), func(tx Tx) error {
		_, err := tx.ForgetInstance("acme", 10)
		return err
	}))
	ids, err := st.CoveredStreams(t.Context())
	require.NoError(t, err)
	require.Empty(t, ids)
}

func TestHolesAreKept(t *testing.T) {
	t.Parallel()
	st, err := OpenState(t.Context(), t.TempDir())
	require.NoError(t, err)
	defer st.Close()
	id := StreamID{"acme", "activities"}
	update := func(fn func(tx Tx) error) { require.NoError(t, st.Update(t.Context(), fn)) }
	holes := func() []Hole {
		h, err := st.Holes(t.Context(), id)
		require.NoError(t, err)
		return h
	}
	lane := sources.Lane{ID: "file", Hint: "1"}
	h := Hole{Key: LaneHole(lane), Span: span(10, 20), Class: "bad_data", Reason: "no gzip"}
	require.True(t, h.OfLane())
	update(func(tx Tx) error { return tx.Hole(id, h, at(30)) })
	update(func(tx Tx) error { return tx.Hole(id, Hole{Span: span(40, 50), Class: ClassExpired}, at(60)) })
	got := holes()
	require.Len(t, got, 2)
	want := h
	want.State, want.Since = HoleOpen, at(30)
	require.Equal(t, want, got[0])
	require.False(t, got[1].OfLane())

	h = got[0]
	h.State, h.Tries, h.Tried = HoleClosing, 1, at(70)
	update(func(tx Tx) error { return tx.Hole(id, h, at(70)) })
	require.Equal(t, h, holes()[0], "since stays")
	update(func(tx Tx) error { return tx.Cover(id, span(10, 19), at(80)) })
	require.True(t, holes()[0].Missing(), "a part of it is still missing")
	update(func(tx Tx) error { return tx.Cover(id, span(19, 21), at(90)) })
	h.State, h.Closed = HoleClosed, at(90)
	require.Equal(t, h, holes()[0])
	update(func(tx Tx) error { return tx.CloseHole(id, holes()[1].Key, "read after all", at(95)) })
	require.Equal(t, "read after all", holes()[1].Reason)
	require.Equal(t, at(95), holes()[1].Closed)

	// A hole that is closed is forgotten in time, unless its lane is still parked.
	update(func(tx Tx) error {
		if err := tx.AddLanes(id, []sources.Lane{{ID: lane.ID, Hint: lane.Hint, Once: true}}, at(0)); err != nil {
			return err
		}
		return tx.SetLane(LaneState{StreamID: id, Lane: lane, Status: LaneParked, Due: at(0)})
	})
	update(func(tx Tx) error { return tx.ForgetHoles(at(100)) })
	require.Len(t, holes(), 1)
	update(func(tx Tx) error {
		return tx.SetLane(LaneState{StreamID: id, Lane: lane, Status: LaneDone, Due: at(0)})
	})
	update(func(tx Tx) error { return tx.ForgetHoles(at(100)) })
	require.Empty(t, holes())
}

func TestOwed(t *testing.T) {
	t.Parallel()
	const hour, day = 3600, 86400
	now := at(100 * day)
	from := func(a, b int64) Span { return span(a*day, b*day) }
	f := func(name string, covered []Span, holes []Hole, retention time.Duration, want ...Span) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, want, owed(covered, holes, retention, now))
		})
	}
	hole := func(s Span, h Hole) Hole { h.Span, h.Since = s, now.Add(-day*time.Second); return h }
	f("nothing known", nil, nil, 0)
	f("all covered", []Span{from(1, 99)}, nil, 0)
	two := []Hole{hole(from(10, 12), Hole{State: HoleOpen}), hole(from(20, 30), Hole{State: HoleOpen})}
	f("the newest first", []Span{from(1, 10), from(12, 20), from(30, 99)}, two, 0, from(20, 30), from(10, 12))
	f("what the vendor still has", []Span{from(1, 10), from(12, 20), from(30, 99)}, two, 75*day*time.Second, from(25, 30))
	f("a part of a hole is covered", []Span{from(1, 10), from(12, 20), from(25, 99)}, two[1:], 0, from(20, 25))
	f("a gap that is no hole", []Span{from(1, 10), from(12, 99)}, nil, 0)
	f("before the first coverage", []Span{from(50, 99)}, []Hole{hole(from(40, 50), Hole{State: HoleOpen})}, 0, from(40, 50))
	f("lost", []Span{from(1, 40), from(50, 99)}, []Hole{hole(from(40, 50), Hole{State: HoleLost})}, 0)
	f("closed by hand", []Span{from(1, 99)}, []Hole{hole(from(40, 50), Hole{State: HoleClosed})}, 0)
	f("tried a moment ago", []Span{from(1, 40), from(50, 99)}, []Hole{hole(from(40, 50), Hole{State: HoleOpen, Tries: 1, Tried: now.Add(-time.Minute)})}, 0)
	f("tried long ago", []Span{from(1, 40), from(50, 99)}, []Hole{hole(from(40, 50), Hole{State: HoleOpen, Tries: 9, Tried: now.Add(-13 * hour * time.Second)})}, 0, from(40, 50))
	f("a lane that the stream reads itself", []Span{from(1, 40), from(50, 99)},
		[]Hole{hole(from(40, 50), Hole{Key: LaneHole(sources.Lane{ID: "a"}), Class: ClassUnread, State: HoleOpen})}, 0)
	f("a parked lane", []Span{from(1, 40), from(50, 99)},
		[]Hole{hole(from(40, 50), Hole{Key: LaneHole(sources.Lane{ID: "a"}), Class: "bad_data", State: HoleOpen})}, 0, from(40, 50))
}

func TestLostHoles(t *testing.T) {
	t.Parallel()
	now := at(1000)
	holes := []Hole{{Span: span(1, 10), State: HoleOpen}, {Span: span(1, 10), State: HoleClosing}, {Span: span(1, 901), State: HoleOpen}}
	require.Empty(t, lostHoles(holes, 0, now))
	got := lostHoles(holes, 100*time.Second, now)
	require.Len(t, got, 1)
	require.Equal(t, HoleLost, got[0].State)
}
