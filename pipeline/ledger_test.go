package pipeline

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/sources"
)

const testHour = 3600

// testLog is a stream with an hour of lateness, polled each minute: it should be
// complete up to an hour and 18 minutes ago.
var testLog = LedgerStream{ID: testStream, Info: sources.StreamInfo{Shape: sources.Log, Lateness: time.Hour}, Every: time.Minute}

func TestLedger(t *testing.T) {
	t.Parallel()
	const h = testHour
	now := at(100 * h)
	f := func(name string, covered []Span, holes []Hole, upTo time.Time, trouble *Trouble, asked Span, missing []LedgerHole, open Span) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := ledgerOf(testLog, time.Time{}, covered, holes, upTo, trouble, asked, now)
			require.Equal(t, len(missing) == 0, l.Complete)
			for i := range l.Missing {
				require.NotEmpty(t, l.Missing[i].Reason)
				require.NotEmpty(t, l.Missing[i].Does)
				l.Missing[i] = LedgerHole{Span: l.Missing[i].Span, Class: l.Missing[i].Class, State: l.Missing[i].State}
			}
			require.Equal(t, missing, l.Missing)
			require.Equal(t, open, l.Open)
			// Nothing asked for is left unsaid.
			said := []Span{l.Open}
			for _, m := range l.Missing {
				said = append(said, m.Span)
			}
			require.Equal(t, Union([]Span{l.Asked}), Union(l.Covered, said))
			require.Empty(t, Intersect(l.Covered, said))
		})
	}
	fresh := at(100*h - h - 60)
	whole := []Span{{at(10 * h), fresh}}
	f("all is well", whole, nil, fresh, nil, Span{}, nil, Span{fresh, now})
	f("nothing is missing between two times", whole, nil, fresh, nil, span(20*h, 30*h), nil, Span{})
	f("asked of the future", whole, nil, fresh, nil, span(20*h, 300*h), nil, Span{fresh, now})
	f("asked of before", whole, nil, fresh, nil, span(5*h, 30*h), []LedgerHole{{Span: span(5*h, 10*h), Class: ClassBefore, State: HoleOpen}}, Span{})
	f("asked of long before", whole, nil, fresh, nil, span(5*h, 6*h), []LedgerHole{{Span: span(5*h, 6*h), Class: ClassBefore, State: HoleOpen}}, Span{})
	f("behind", []Span{span(10*h, 90*h)}, nil, at(90*h), nil, Span{}, []LedgerHole{{Span: Span{at(90 * h), now}, Class: ClassBehind, State: HoleOpen}}, Span{})
	f("behind, but not of what is asked", []Span{span(10*h, 90*h)}, nil, at(90*h), nil, span(10*h, 80*h), nil, Span{})
	f("nothing yet", nil, nil, time.Time{}, &Trouble{Class: fault.Auth, Error: "401"}, span(10*h, 20*h), []LedgerHole{{Span: span(10*h, 20*h), Class: ClassBehind, State: HoleOpen}}, Span{})
	gap := []Span{span(10*h, 40*h), {at(50 * h), fresh}}
	f("a hole", gap, []Hole{{Key: "x", Span: span(40*h, 50*h), State: HoleLost, Class: ClassRetention, Reason: "r"}}, fresh, nil, Span{},
		[]LedgerHole{{Span: span(40*h, 50*h), Class: ClassRetention, State: HoleLost}}, Span{fresh, now})
	f("a hole that is not asked for", gap, []Hole{{Key: "x", Span: span(40*h, 50*h), State: HoleOpen, Reason: "r"}}, fresh, nil, span(10*h, 40*h), nil, Span{})
	f("a gap that no hole explains", gap, nil, fresh, nil, span(45*h, 60*h), []LedgerHole{{Span: span(45*h, 50*h), Class: ClassUnknown, State: HoleOpen}}, Span{})
	f("two holes in one gap", gap, []Hole{
		{Key: "x", Span: span(40*h, 45*h), State: HoleOpen, Class: "a", Reason: "r"}, {Key: LaneHole(sources.Lane{ID: "l"}), Span: span(42*h, 50*h), State: HoleClosing, Class: "b", Reason: "r", Tries: 2},
	}, fresh, nil, Span{}, []LedgerHole{{Span: span(40*h, 45*h), Class: "a", State: HoleOpen}, {Span: span(42*h, 50*h), Class: "b", State: HoleClosing}}, Span{fresh, now})
}

// What a backfill has covered of the time before does not make the time between
// a hole, unless it is asked for.
func TestLedgerBegins(t *testing.T) {
	t.Parallel()
	const h = testHour
	now, fresh := at(100*h), at(100*h-h-60)
	covered := []Span{span(10*h, 20*h), {at(50 * h), fresh}}
	l := ledgerOf(testLog, at(50*h), covered, nil, fresh, nil, Span{}, now)
	require.True(t, l.Complete)
	require.Equal(t, at(50*h), l.Asked.From)
	l = ledgerOf(testLog, at(50*h), covered, nil, fresh, nil, span(10*h, 60*h), now)
	require.Len(t, l.Missing, 1)
	require.Equal(t, ClassBefore, l.Missing[0].Class)
	require.Equal(t, span(20*h, 50*h), l.Missing[0].Span)
	require.True(t, ledgerOf(testLog, at(50*h), covered, nil, fresh, nil, span(10*h, 20*h), now).Complete)
}

func TestDays(t *testing.T) {
	t.Parallel()
	const day = 24 * testHour
	now := at(10*day + 6*testHour)
	fresh := now.Add(-time.Hour)
	other := LedgerStream{ID: StreamID{"other", "activities"}, Info: testLog.Info, Every: time.Minute}
	days := Days([]DayLedger{
		{LedgerStream: testLog, Covered: []Span{{at(5*day + 60), fresh}}, UpTo: fresh},
		{LedgerStream: other, Covered: []Span{span(7*day, 8*day), {at(8*day + 1), at(9*day + 100)}}, Holes: []Hole{{Key: "x", Span: span(8*day, 8*day+1), Reason: "parked", State: HoleOpen}}, UpTo: at(9*day + 100)},
	}, now, 100)
	word := func(i int, instance string) string { return days[i].Streams[instance]["activities"] }
	require.Len(t, days, 5)
	require.Equal(t, "1970-01-06", days[0].Date)
	require.False(t, days[0].Complete)
	require.True(t, days[0].Closed)
	require.Contains(t, word(0, testStream.Instance), "the collection began at")
	require.True(t, days[1].Complete && days[1].Closed)
	require.NotContains(t, days[1].Streams, "other", "its collection had not begun")
	require.True(t, days[2].Complete && days[2].Closed)
	require.Equal(t, DayCovered, word(2, "other"))
	require.False(t, days[3].Complete)
	require.True(t, days[3].Closed, "nothing more is awaited")
	require.Equal(t, "open: parked", word(3, "other"))
	require.False(t, days[4].Closed, "one stream has not come so far")
	require.Equal(t, "not collected yet", word(4, "other"))
	require.Equal(t, DayCovered, word(4, testStream.Instance))
	require.Len(t, Days(nil, now, 10), 0)

	days = Days([]DayLedger{{LedgerStream: testLog, Covered: []Span{span(0, 8*day)}, UpTo: at(8 * day)}}, now, 3)
	require.Len(t, days, 3)
	require.True(t, days[1].Closed, "a day whose stream is far behind closes as it is")
	require.False(t, days[1].Complete)
	require.False(t, days[2].Closed)
}

func TestHealth(t *testing.T) {
	t.Parallel()
	now := at(1000 * testHour)
	f := func(name string, want Color, reason string, change func(*HealthInput)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := HealthInput{Info: testLog.Info, Every: time.Minute, CompleteTo: now.Add(-time.Hour - time.Minute), Lag: LagStats{Rows: 1, P99: 10 * time.Minute}}
			change(&h)
			got := h.Judge(now)
			require.Equal(t, want, got.Color, got.Reason)
			require.Contains(t, got.Reason, reason)
			require.Equal(t, want == Green, got.Reason == "")
		})
	}
	age := func(d time.Duration) func(*HealthInput) { return func(h *HealthInput) { h.CompleteTo = now.Add(-d) } }
	f("fresh", Green, "", func(*HealthInput) {})
	// Lateness 1h + 3 polls + 15m; and 3 polls + 15m + 10m learned on top.
	f("at the edge of green", Green, "", age(78*time.Minute))
	f("late", Yellow, "complete up to", age(78*time.Minute+time.Second))
	f("at the edge of yellow", Yellow, "complete up to", age(106*time.Minute))
	f("too late, though no call failed", Red, "complete up to", age(106*time.Minute+time.Second))
	f("events of this stream come late", Yellow, "complete up to", func(h *HealthInput) {
		h.Lag.P99 = 5 * time.Hour
		h.CompleteTo = now.Add(-6 * time.Hour)
	})
	f("what is learned counts for a day at most", Red, "complete up to", func(h *HealthInput) {
		h.Lag.P99 = 1000 * time.Hour
		h.CompleteTo = now.Add(-27 * time.Hour)
	})
	f("stopped", Red, "401", func(h *HealthInput) { h.Trouble = &Trouble{Since: now, Class: fault.Auth, Error: "401"} })
	f("retrying", Yellow, "502", func(h *HealthInput) { h.Trouble = &Trouble{Since: now, Class: fault.Transient, Error: "502"} })
	f("nothing yet", Yellow, "nothing complete yet", func(h *HealthInput) { h.CompleteTo = time.Time{} })
	f("nothing yet, for long", Red, "502", func(h *HealthInput) {
		h.CompleteTo, h.Trouble = time.Time{}, &Trouble{Since: now.Add(-2 * time.Hour), Class: fault.Transient, Error: "502"}
	})
	f("parked", Yellow, "1 objects are parked", func(h *HealthInput) { h.Lanes.Parked = 1 })
	f("failing", Yellow, "2 lanes are failing", func(h *HealthInput) { h.Lanes.Failing = 2 })
	f("a hole", Yellow, "may miss events", func(h *HealthInput) { h.Holes = []Hole{{State: HoleClosing}} })
	f("lost", Yellow, "lost", func(h *HealthInput) { h.Holes = []Hole{{State: HoleLost, Since: now.Add(-6 * 24 * time.Hour)}} })
	f("lost long ago", Green, "", func(h *HealthInput) {
		h.Holes = []Hole{{State: HoleLost, Since: now.Add(-8 * 24 * time.Hour)}, {State: HoleClosed}}
	})
	scan := func(d time.Duration, more func(*HealthInput)) func(*HealthInput) {
		return func(h *HealthInput) {
			h.Info.Shape, h.FullEvery, h.CompleteTo = sources.Scan, 6*time.Hour, now.Add(-d)
			more(h)
		}
	}
	none := func(*HealthInput) {}
	f("a scan", Green, "", scan(13*time.Hour, none))
	f("a late scan", Yellow, "the last complete round ended", scan(13*time.Hour+time.Second, none))
	f("a scan that is too late", Red, "the last complete round ended", scan(19*time.Hour+time.Second, none))
	f("held", Yellow, "removals", scan(time.Hour, func(h *HealthInput) { h.Held = 1 }))
}

// The quantiles are right within a bucket, which is half as wide as it is high
// at most; old lags fade.
func TestLagIsLearned(t *testing.T) {
	t.Parallel()
	last := int64(0)
	for b := range lagBuckets {
		top := lagTop(b)
		require.Greater(t, top, last)
		require.Equal(t, b, lagBucket(top-1), "%d", b)
		if b+1 < lagBuckets {
			require.Equal(t, b+1, lagBucket(top), "%d", b)
		}
		last = top
	}
	require.Equal(t, 0, lagBucket(-5))
	require.Equal(t, lagBuckets-1, lagBucket(1<<60))

	r := rand.New(rand.NewPCG(5, 6))
	l := newLags(1)
	var exact []int64
	now := at(1_000_000)
	for batch := range 200 {
		counts := &lagCounts{}
		for range 50 {
			ms := int64(r.ExpFloat64() * 60_000)
			exact = append(exact, ms+5000)
			counts.add(ms)
		}
		b := &Batch{ID: string(rune(batch)), Created: now}
		l.collected(b, testStream, counts)
		l.delivered(b.ID, now.Add(5*time.Second))
		l.delivered(b.ID, now.Add(time.Hour)) // not twice
	}
	require.Empty(t, l.pending)
	slices.Sort(exact)
	s := l.stats(testStream)
	require.EqualValues(t, len(exact), s.Rows)
	for q, got := range map[float64]time.Duration{0.5: s.P50, 0.99: s.P99} {
		want := float64(exact[int(float64(len(exact))*q)])
		require.InEpsilon(t, want, float64(got.Milliseconds()), 0.5, "%v", q)
		require.GreaterOrEqual(t, float64(got.Milliseconds()), want*0.8)
	}
	require.Equal(t, 2, testutil.CollectAndCount(lagsCollector{l}, "weir_stream_lag_seconds"))
	registry := prometheus.NewPedanticRegistry()
	require.NoError(t, registry.Register(lagsCollector{l}))
	_, err := registry.Gather()
	require.NoError(t, err)

	for i := range 40 { // what is now outweighs what was
		counts := &lagCounts{}
		counts[lagBucket(1000)] = lagMemory / 8
		b := &Batch{ID: string(rune(i)), Created: now}
		l.collected(b, testStream, counts)
		l.delivered(b.ID, now)
	}
	require.Less(t, l.stats(testStream).P99, 3*time.Second)
	require.Less(t, l.stats(testStream).Rows, int64(2*lagMemory))

	for i := range maxLagPending + 10 { // a sink that takes nothing costs no memory
		l.collected(&Batch{ID: string(rune(i))}, testStream, &lagCounts{})
	}
	require.LessOrEqual(t, len(l.pending), maxLagPending)
}
