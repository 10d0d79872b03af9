package pipeline

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"weir/sinks/parquet"
	"weir/sources"
)

// fillAfter opens the lakes "lake" and "late", asks for a fill of the one from
// the other, and sees it through.
func (l *lakes) fillAfter(ask bool) error {
	l.t.Helper()
	p, err := l.open([]string{"lake", "late"})
	require.NoError(l.t, err)
	require.NoError(l.t, p.Start(l.t.Context()))
	var refused error
	if ask {
		_, refused = p.StartFill(l.t.Context(), FillRequest{Sink: "late", Source: "lake"})
	}
	require.Eventually(l.t, func() bool { return p.filling.Load() == 0 }, time.Minute, 5*time.Millisecond)
	require.NoError(l.t, p.Drain(l.t.Context()))
	require.NoError(l.t, p.Close())
	return refused
}

func (l *lakes) reconcile(names []string) (out Reconciled) {
	l.t.Helper()
	p, err := l.open(names)
	require.NoError(l.t, err)
	out, err = p.Reconcile(l.t.Context(), []StreamTables{{StreamID: StreamID{"acme", "activities"}, Tables: []string{"activities"}}}, true)
	require.NoError(l.t, err)
	require.NoError(l.t, p.Close())
	return out
}

// A restored state may not know what a fill has copied since. One that it thinks
// is under way has ended; one that copied nothing is taken up by another, and
// into a sink that got rows no other is begun.
func TestReconcileEndsFills(t *testing.T) {
	t.Parallel()
	for name, forgotten := range map[string]bool{"nothing was copied since": false, "rows were copied since": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := &lakes{t: t, dir: t.TempDir(), clock: clockwork.NewRealClock()}
			book := &logbook{}
			truth := map[string]int{}
			for i := range 120 {
				book.add(fmt.Sprint(i), fmt.Sprint("raw ", i), time.Now().Add(-time.Hour))
				truth[fmt.Sprint("raw ", i)]++
			}
			l.run([]string{"lake"}, nil, true, book.stream("activities"))
			l.run([]string{"lake", "late"}, nil, true)
			under := Fill{ID: "under way", Sink: "late", Source: "lake", Started: time.Now().UTC()}
			set := func(f Fill) {
				st, err := OpenState(t.Context(), l.data())
				require.NoError(t, err)
				require.NoError(t, st.Update(t.Context(), func(tx Tx) error { return tx.SetFill(f) }))
				require.NoError(t, st.Close())
			}
			set(under)
			copyDir(t, l.data(), filepath.Join(l.dir, "snapshot"))
			if forgotten {
				require.NoError(t, l.fillAfter(false))
				l.requireEvents("late", truth)
			}
			copyDir(t, filepath.Join(l.dir, "snapshot"), l.data())
			l.reconcile([]string{"lake", "late"})

			st, err := ReadState(t.Context(), l.data())
			require.NoError(t, err)
			fills, err := st.Fills(t.Context(), "late")
			require.NoError(t, err)
			require.NoError(t, st.Close())
			require.Len(t, fills, 1)
			require.False(t, fills[0].Ended.IsZero())
			require.Contains(t, fills[0].Error, "restored from a copy")
			require.NoError(t, l.fillAfter(false))
			if forgotten {
				l.requireEvents("late", truth)
				require.ErrorContains(t, l.fillAfter(true), "does not know of")
			} else {
				l.requireEvents("late", map[string]int{})
				fills[0].Source = "third"
				set(fills[0])
				require.ErrorContains(t, l.fillAfter(true), "fill it from there")
				fills[0].Source = "lake"
				set(fills[0])
				require.NoError(t, l.fillAfter(true))
			}
			l.requireEvents("late", truth)
			l.requireEvents("lake", truth)
		})
	}
}

// A part that the restored state still plans was parted since, and another has
// its place in the chain: its batches are told apart, none comes twice, and the
// chain stays one.
func TestReconcilePartedPart(t *testing.T) {
	t.Parallel()
	l := &lakes{t: t, dir: t.TempDir(), clock: clockwork.NewRealClock()}
	book := &logbook{}
	truth := map[string]int{}
	add := func(from, to int) {
		for i := from; i < to; i++ {
			book.add(fmt.Sprint(i), fmt.Sprint("raw ", i), time.Now().Add(-time.Minute))
			truth[fmt.Sprint("raw ", i)]++
		}
	}
	both := []string{"lake", "slow"}
	add(0, 50)
	l.run(both, nil, true, book.stream("activities"))
	add(50, 250) // four pages
	l.run(both, []string{"slow"}, false, book.stream("activities"))

	// A part of all that slow is owed is planned, and the state is copied.
	p, err := l.open(both, "slow")
	require.NoError(t, err)
	batches, err := p.state.Pending(t.Context(), Queue{Sink: "slow", Table: "activities"}, 100)
	require.NoError(t, err)
	require.Greater(t, len(batches), 1)
	require.NoError(t, p.sinks[1].load(t.Context()))
	var d *delivery
	for _, d = range p.sinks[1].deliveries {
		if d.table.Name == "activities" {
			break
		}
	}
	planned := d.describe(batches)
	require.NoError(t, p.state.Update(t.Context(), func(tx Tx) error { return tx.AddPart(planned, batches) }))
	require.NoError(t, p.Close())
	copyDir(t, l.data(), filepath.Join(l.dir, "snapshot"))

	// It is parted; the first half is delivered, the second never is.
	p, err = l.open(both, "slow")
	require.NoError(t, err)
	require.NoError(t, p.sinks[1].load(t.Context()))
	n := len(batches) / 2
	half := func(i int, previous string, of []Batch) PartState {
		h := PartState{ID: p.ids.New(), Previous: previous, Sink: "slow", Table: "activities", N: planned.N + int64(i), SchemaVersion: planned.SchemaVersion}
		for _, b := range of {
			h.Rows += b.Rows
		}
		return h
	}
	first := half(0, planned.Previous, batches[:n])
	second := half(1, first.ID, batches[n:])
	require.NoError(t, p.state.Update(t.Context(), func(tx Tx) error {
		return tx.SplitPart(planned, [2]PartState{first, second}, [2][]Batch{batches[:n], batches[n:]})
	}))
	for _, d = range p.sinks[1].deliveries {
		if d.table.Name == "activities" {
			break
		}
	}
	part, err := d.part(t.Context(), first)
	require.NoError(t, err)
	staged, err := p.sinks[1].sink.Stage(t.Context(), part)
	require.NoError(t, err)
	_, err = staged.Commit(t.Context())
	require.NoError(t, err)
	require.NoError(t, p.Close())

	copyDir(t, filepath.Join(l.dir, "snapshot"), l.data())
	out := l.reconcile(both)
	require.EqualValues(t, n, out.Delivered)
	add(250, 260)
	l.run(both, nil, true, book.stream("activities"))
	l.requireEvents("slow", truth)
	l.requireEvents("lake", truth)
	marks, err := parquet.ReadMarks(l.path("slow"), "activities")
	require.NoError(t, err)
	for i, m := range marks {
		require.Equal(t, i == 0, m.Previous == "", "one chain")
	}
}

// A part that was set aside is nobody's newest, and the sink's forgotten rows of
// events that only some sinks have go with the sink.
func TestSetAsideIsNobodysNewest(t *testing.T) {
	t.Parallel()
	st, err := OpenState(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = st.Close() })
	newest := func() (last, delivered, day string) {
		last, _, err := st.LastPart(t.Context(), "lake", "activities")
		require.NoError(t, err)
		delivered, err = st.LastDelivered(t.Context(), "lake", "activities")
		require.NoError(t, err)
		days, err := st.DeliveredParts(t.Context(), "lake")
		require.NoError(t, err)
		return last, delivered, days["activities"]
	}
	add := func(id, previous string, n int64, end func(Tx, PartState) error) {
		p := PartState{ID: id, Previous: previous, Sink: "lake", Table: "activities", N: n, Created: time.Now()}
		require.NoError(t, st.Update(t.Context(), func(tx Tx) error {
			if err := tx.AddPart(p, nil); err != nil {
				return err
			}
			return end(tx, p)
		}))
	}
	aside := func(tx Tx, p PartState) error {
		_, err := tx.SetAside(p)
		return err
	}
	add("refused first", "", 1, aside)
	last, delivered, day := newest()
	require.Equal(t, []string{"", "", ""}, []string{last, delivered, day})
	days, err := st.DeliveredParts(t.Context(), "lake")
	require.NoError(t, err)
	require.Empty(t, days)
	add("taken", "", 2, func(tx Tx, p PartState) error {
		_, err := tx.FinishPart(p.ID, time.Now())
		return err
	})
	add("refused", "taken", 3, aside)
	add("refused too", "taken", 4, aside)
	for range 2 {
		last, delivered, day = newest()
		require.Equal(t, []string{"taken", "taken", "taken"}, []string{last, delivered, day})
		require.NoError(t, st.Update(t.Context(), func(tx Tx) error { return tx.ForgetParts(time.Now().Add(time.Hour)) }))
	}
}

// What was known of a forgotten sink does not hold for another that gets its name,
// and fills from it end.
func TestForgottenSinkHasNothing(t *testing.T) {
	t.Parallel()
	st, err := OpenState(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = st.Close() })
	id, now := StreamID{"acme", "activities"}, time.Now().UTC().Truncate(time.Second)
	for name, forget := range map[string]func(Tx, string, time.Time) error{"gone": Tx.ForgetSink, "given up": Tx.ForgetSinkWhole} {
		require.NoError(t, st.Update(t.Context(), func(tx Tx) error {
			return errors.Join(
				tx.AddSeenPartly(id, 7, "other", []byte("other")),
				tx.AddSeenPartly(id, 7, name, []byte("gone")),
				tx.SetFill(Fill{ID: "into " + name, Sink: name, Source: "other"}),
				tx.SetFill(Fill{ID: "from " + name, Sink: "other", Source: name}),
				tx.SetFill(Fill{ID: "third " + name, Sink: "other", Source: "third"}),
				forget(tx, name, now))
		}))
		got, err := st.SeenPartly(t.Context(), id, 7)
		require.NoError(t, err)
		require.Equal(t, map[string][][]byte{"other": {[]byte("other")}}, got, name)
		fills, err := st.Fills(t.Context(), "")
		require.NoError(t, err)
		ended := map[string]time.Time{}
		for _, f := range fills {
			ended[f.ID] = f.Ended
		}
		require.NotContains(t, ended, "into "+name)
		require.Equal(t, now, ended["from "+name])
		require.Zero(t, ended["third "+name])
	}
}

// An instance that is gone is forgotten by the time that has passed, and not by a
// clock that was set ahead.
func TestGoneByTheClock(t *testing.T) {
	t.Parallel()
	dir, clock := t.TempDir(), clockwork.NewFakeClock()
	o := testOptions(dir, nil)
	o.Clock, o.Instances = clock, []string{"other"}
	open := func() *Pipeline {
		o.Metrics = prometheus.NewRegistry()
		p, err := Open(t.Context(), o)
		require.NoError(t, err)
		return p
	}
	p := open()
	require.NoError(t, p.state.Update(t.Context(), func(tx Tx) error {
		return tx.AddLanes(StreamID{"acme", "activities"}, []sources.Lane{{ID: "lane"}}, clock.Now())
	}))
	require.NoError(t, p.Close())
	known := func() []string {
		p := open()
		names, err := p.state.Instances(t.Context())
		require.NoError(t, err)
		require.NoError(t, p.Close())
		return names
	}
	require.Equal(t, []string{"acme"}, known())
	clock.Advance(100 * 24 * time.Hour) // set ahead
	require.Equal(t, []string{"acme"}, known())
	clock.Advance(-50 * 24 * time.Hour) // and back
	require.Equal(t, []string{"acme"}, known())

	// An agent that has looked all the time.
	clock.Advance(150 * 24 * time.Hour)
	st, err := OpenState(t.Context(), dir)
	require.NoError(t, err)
	require.NoError(t, st.Update(t.Context(), func(tx Tx) error { return tx.SetMeta(metaUpkeep+goneUpkeep, formatMS(clock.Now())) }))
	require.NoError(t, st.Close())
	require.Empty(t, known())
}

// A dead letter's file that is missing is damage.
func TestCheckDeadLetters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	o := testOptions(dir, nil)
	p, err := Open(t.Context(), o)
	require.NoError(t, err)
	d := DeadLetter{ID: p.ids.New(), Kind: DeadRow, StreamID: testStream, Raw: strings.Repeat("0123456789abcdef", 4<<10)}
	require.NoError(t, p.dead.keep(&d))
	require.NoError(t, p.state.Update(t.Context(), func(tx Tx) error { return tx.AddDeadLetter(d) }))
	require.NoError(t, p.Close())
	found, err := CheckState(t.Context(), dir)
	require.NoError(t, err)
	require.Empty(t, found)
	require.NoError(t, os.Truncate(filepath.Join(dir, deadDir, d.File), 9))
	found, err = CheckState(t.Context(), dir)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Contains(t, found[0], d.ID)
}
