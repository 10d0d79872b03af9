package pipeline

import (
	"context"
	"crypto/rand"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/testclock"
	"weir/schemas"
	"weir/sinks"
)

// pickySink refuses parts that hold events it does not like, and keeps the
// others with the chain of parts that they make.
type pickySink struct {
	*memorySink
	mu     sync.Mutex
	refuse func(id string) bool
	asked  int
}

func (s *pickySink) Stage(ctx context.Context, p *sinks.Part) (sinks.Staged, error) {
	staged, err := s.memorySink.Stage(ctx, p)
	if err != nil || p.Table.Name != schemas.TableActivities {
		return staged, err
	}
	return &pickyPart{s, staged.(*memoryPart)}, nil
}

type pickyPart struct {
	s *pickySink
	*memoryPart
}

func (p *pickyPart) Commit(ctx context.Context) (sinks.Receipt, error) {
	p.s.mu.Lock()
	p.s.asked++
	bad := slices.IndexFunc(p.ids, p.s.refuse)
	p.s.mu.Unlock()
	if bad >= 0 {
		return sinks.Receipt{}, fault.New(fault.BadData, "constraint violated by %s", p.ids[bad])
	}
	return p.memoryPart.Commit(ctx)
}

func (s *pickySink) set(refuse func(id string) bool) {
	s.mu.Lock()
	s.refuse = refuse
	s.mu.Unlock()
}

func nothing(string) bool { return false }

func refusing(ids ...string) func(string) bool {
	return func(id string) bool { return slices.Contains(ids, id) }
}

// testOptions are a pipeline's over sinks of any kind.
func testOptions(dir string, named map[string]sinks.Sink) Options {
	o := Options{DataDir: dir, Clock: clockwork.NewRealClock(), Rand: rand.Reader, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)}
	o.Tables = []*schemas.Table{schemas.ByName("activities"), schemas.ByName("collection_runs")}
	for name, s := range named {
		o.Sinks = append(o.Sinks, SinkOptions{Name: name, Sink: s, Batching: sinks.Batching{TargetSize: 1 << 14, MaxDelay: 20 * time.Millisecond, LateDelay: time.Hour}})
	}
	return o
}

// openOn opens a pipeline and starts it.
func openOn(t *testing.T, dir string, clock clockwork.Clock, o Options, named map[string]sinks.Sink) *Pipeline {
	t.Helper()
	all := testOptions(dir, named)
	all.Clock, all.DeadLimit, all.Sinks = clock, o.DeadLimit, append(all.Sinks, o.Sinks...)
	p, err := Open(t.Context(), all)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context()))
	return p
}

// parked returns the event ids in the dead letters of a sink.
func parked(t *testing.T, p *Pipeline, f DeadFilter) (ids []string, letters []DeadLetter) {
	t.Helper()
	f.Kind = DeadPart
	letters, err := p.State().FindDead(t.Context(), f)
	require.NoError(t, err)
	for i, l := range letters {
		whole, err := LoadDead(t.Context(), p.State(), p.dataDir, l.ID)
		require.NoError(t, err)
		letters[i] = whole
		e, err := unpackDead(whole.Raw)
		require.NoError(t, err)
		rec, err := schemas.Decode(schemas.ByName(l.Table), e)
		require.NoError(t, err)
		col := rec.Column(rec.Schema().FieldIndices("event_id")[0]).(*array.String)
		for i := range col.Len() {
			ids = append(ids, col.Value(i))
		}
		rec.Release()
	}
	slices.Sort(ids)
	return ids, letters
}

// A few rows that a sink refuses are found and set aside; all others are there
// once, in a chain without a gap; the other sink has everything. Replayed once
// the sink takes them, they are there once, too.
func TestPoisonedRows(t *testing.T) {
	t.Parallel()
	dir, bad := t.TempDir(), []string{"0-0-0", "1-1-17", "1-1-18", "3-2-39"}
	picky, good := &pickySink{memorySink: newMemorySink(), refuse: refusing(bad...)}, newMemorySink()
	p := openOn(t, dir, clockwork.NewRealClock(), Options{}, map[string]sinks.Sink{"picky": picky, "good": good})
	_, err := runOnce(t, p, fakeLanes{lanes: 4, pages: 3, rows: 40}.stream())
	require.NoError(t, err)
	require.NoError(t, p.Drain(t.Context()))
	requireExact(t, good, 480)
	requireExact(t, picky.memorySink, 476)
	ids, letters := parked(t, p, DeadFilter{Sink: "picky"})
	require.Equal(t, bad, ids)
	for _, l := range letters {
		require.Contains(t, l.Reason, "constraint violated")
		require.Equal(t, "activities", l.Table)
		require.EqualValues(t, 1, l.Rows)
	}

	picky.set(nothing)
	got, err := p.ActOnDead(t.Context(), Replay, DeadFilter{Sink: "picky"}, nil)
	require.NoError(t, err)
	require.Len(t, got, 4)
	for _, r := range got {
		require.Empty(t, r.Error)
	}
	require.NoError(t, p.Drain(t.Context()))
	require.NoError(t, p.Close())
	requireExact(t, picky.memorySink, 480)
	requireExact(t, good, 480)

	p = openOn(t, dir, clockwork.NewRealClock(), Options{}, map[string]sinks.Sink{"picky": picky, "good": good})
	ids, _ = parked(t, p, DeadFilter{})
	require.Empty(t, ids)
	require.NoError(t, p.Close())
	files, err := filepath.Glob(filepath.Join(dir, "spool", "*"+segmentSuffix))
	require.NoError(t, err)
	require.Empty(t, files, "halving leaves nothing in the spool")
}

// A process that ends while a part is being halved goes on with the halves: at
// whatever step, every row is delivered once or set aside once.
func TestKilledWhileHalving(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bad := refusing("0-0-3", "1-0-30", "2-1-9")
	picky := &pickySink{memorySink: newMemorySink(), refuse: bad}
	var p *Pipeline
	open := func() { p = openOn(t, dir, clockwork.NewRealClock(), Options{}, map[string]sinks.Sink{"picky": picky}) }
	open()
	stop := make(chan struct{}, 1)
	asked := 0
	counted := func(id string) bool {
		if asked++; asked%70 == 0 { // in the middle of some part
			select {
			case stop <- struct{}{}:
			default:
			}
		}
		return bad(id)
	}
	picky.set(counted)
	_, err := runOnce(t, p, fakeLanes{lanes: 3, pages: 2, rows: 40}.stream())
	require.NoError(t, err)
	restarts := 0
	for deadline := time.Now().Add(20 * time.Second); len(picky.counts()) < 237 || len(stop) > 0; {
		require.True(t, time.Now().Before(deadline), "%d rows", len(picky.counts()))
		select {
		case <-stop:
			require.NoError(t, p.Close()) // cancels whatever is under way
			open()
			restarts++
		case <-time.After(20 * time.Millisecond):
		}
	}
	require.Greater(t, restarts, 3)
	require.NoError(t, p.Drain(t.Context()))
	requireExact(t, picky.memorySink, 237)
	ids, _ := parked(t, p, DeadFilter{})
	require.Equal(t, []string{"0-0-3", "1-0-30", "2-1-9"}, ids)
	require.NoError(t, p.Close())
}

// A sink that refuses everything is not believed: its breaker opens after a few
// rows, other sinks go on, and when it takes rows again, by itself or after
// weir sinks retry, every row is there once and no dead letter is left.
func TestBreaker(t *testing.T) {
	t.Parallel()
	for name, retry := range map[string]bool{"by itself": false, "retry": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var c clockwork.Clock = clockwork.NewRealClock()
			if !retry {
				c = testclock.Fast(time.Now(), 600) // a minute in 0.1 s
			}
			dir := t.TempDir()
			everything := func(string) bool { return true }
			picky, good := &pickySink{memorySink: newMemorySink(), refuse: everything}, newMemorySink()
			p := openOn(t, dir, c, Options{}, map[string]sinks.Sink{"picky": picky, "good": good})
			_, err := runOnce(t, p, fakeLanes{lanes: 4, pages: 2, rows: 40, at: func(int, int, int) time.Time { return c.Now() }}.stream())
			require.NoError(t, err)
			opened := func() []Refusals {
				all, err := p.State().Refusals(t.Context(), "picky", "")
				require.NoError(t, err)
				return slices.DeleteFunc(all, func(r Refusals) bool { return r.Opened.IsZero() })
			}
			require.Eventually(t, func() bool { return len(opened()) == 1 }, 2*time.Minute, 5*time.Millisecond)
			require.Contains(t, opened()[0].Reason, "taken none since")
			require.Eventually(t, func() bool { return len(good.counts()) == 320 }, 2*time.Minute, 5*time.Millisecond, "the other sink goes on")
			require.Eventually(t, func() bool {
				return slices.ContainsFunc(p.SinkStatus(), func(s SinkStatus) bool {
					return s.Name == "picky" && s.Error != nil && strings.Contains(s.Error.Error(), "breaker is open")
				})
			}, 2*time.Minute, 5*time.Millisecond, "it is red, in words")
			require.Empty(t, picky.counts())

			picky.set(nothing)
			if retry {
				require.Eventually(t, func() bool {
					n, err := p.Retry("picky")
					return err == nil && n == 1
				}, 2*time.Minute, 5*time.Millisecond)
			}
			require.Eventually(t, func() bool { return len(picky.counts()) == 320 && len(opened()) == 0 }, 2*time.Minute, 5*time.Millisecond)
			require.NoError(t, p.Drain(t.Context()))
			requireExact(t, picky.memorySink, 320)
			ids, _ := parked(t, p, DeadFilter{})
			require.Empty(t, ids)
			require.NoError(t, p.Close())
		})
	}
}

// Rows that a sink refuses beyond the day's allowance stay in their parts.
func TestAllowance(t *testing.T) {
	t.Parallel()
	half := func(id string) bool { return strings.HasSuffix(id, "1") || strings.HasSuffix(id, "3") }
	picky := &pickySink{memorySink: newMemorySink(), refuse: half}
	p := openOn(t, t.TempDir(), clockwork.NewRealClock(), Options{}, map[string]sinks.Sink{"picky": picky})
	const allowed = 12
	p.allowed = allowed
	_, err := runOnce(t, p, fakeLanes{lanes: 4, pages: 1, rows: 40}.stream())
	require.NoError(t, err)
	var r []Refusals
	require.Eventually(t, func() bool {
		r, err = p.State().Refusals(t.Context(), "picky", "activities")
		require.NoError(t, err)
		return len(r) == 1 && !r[0].Opened.IsZero()
	}, 2*time.Minute, 5*time.Millisecond)
	ids, _ := parked(t, p, DeadFilter{})
	require.Len(t, ids, allowed)
	require.Contains(t, r[0].Reason, "too many")
	taken := len(picky.counts())
	picky.set(nothing)
	require.Eventually(t, func() bool {
		n, err := p.Retry("picky")
		return err == nil && n == 1
	}, 2*time.Minute, 5*time.Millisecond)
	require.NoError(t, p.Drain(t.Context()))
	requireExact(t, picky.memorySink, 160-allowed)
	require.Less(t, taken, 160-allowed)
	require.NoError(t, p.Close())
}

// What cannot be taken waits while dead letters take as much as they may.
func TestDeadLimit(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	big := strings.Repeat("0123456789abcdef", 4<<10)
	sink := newMemorySink()
	p := openOn(t, dir, clockwork.NewRealClock(), Options{DeadLimit: 1 << 20}, map[string]sinks.Sink{"lake": sink})
	d := DeadLetter{ID: p.ids.New(), Kind: DeadRow, StreamID: testStream, Lane: "l", Raw: big}
	require.NoError(t, p.dead.keep(&d))
	require.NoError(t, p.state.Update(t.Context(), func(tx Tx) error { return tx.AddDeadLetter(d) }))
	require.NotEmpty(t, d.File)
	info, err := os.Stat(filepath.Join(dir, deadDir, d.File))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	whole, err := LoadDead(t.Context(), p.state, dir, d.ID)
	require.NoError(t, err)
	require.Equal(t, big, whole.Raw)

	p.dead.add(1 << 20)
	lost := DeadLetter{ID: p.ids.New(), Raw: big}
	require.ErrorContains(t, p.dead.keep(&lost), "dead_limit")
	require.NoError(t, os.WriteFile(filepath.Join(dir, deadDir, "orphan"+deadSuffix), nil, 0o600))
	require.NoError(t, p.Close())

	p = openOn(t, dir, clockwork.NewRealClock(), Options{DeadLimit: 1 << 20}, map[string]sinks.Sink{"lake": sink})
	got, err := p.ActOnDead(t.Context(), Drop, DeadFilter{Kind: DeadRow}, nil)
	require.NoError(t, err)
	require.Len(t, got, 1)
	require.Empty(t, got[0].Error)
	left, err := os.ReadDir(filepath.Join(dir, deadDir))
	require.NoError(t, err)
	require.Empty(t, left)
	gone, err := p.State().FindDropped(t.Context(), DeadFilter{Instance: testStream.Instance})
	require.NoError(t, err)
	require.Len(t, gone, 1)
	require.NoError(t, p.Drain(t.Context()))
	require.NoError(t, p.Close())
}

// A parked object is read on when it is replayed, and again from its start when
// it is collected again; nothing is there twice.
func TestReplayObject(t *testing.T) {
	t.Parallel()
	sink := newMemorySink()
	p := openOn(t, t.TempDir(), clockwork.NewRealClock(), Options{}, map[string]sinks.Sink{"lake": sink})
	at := time.Now()
	f := fakeLanes{lanes: 3, pages: 3, rows: 10, at: func(int, int, int) time.Time { return at }, fault: func(lane, page int) error {
		if lane == 1 && page == 1 {
			return fault.New(fault.BadData, "damaged")
		}
		return nil
	}}
	_, err := runOnce(t, p, f.stream())
	require.NoError(t, err)
	require.NoError(t, p.Drain(t.Context()))
	requireExact(t, sink, 70)
	act := func(a DeadAction) {
		got, err := p.ActOnDead(t.Context(), a, DeadFilter{Instance: testStream.Instance, Kind: DeadObject}, nil)
		require.NoError(t, err)
		require.Len(t, got, 1)
		require.Empty(t, got[0].Error)
		_, err = runOnce(t, p, f.stream())
		require.NoError(t, err)
	}
	act(Replay) // damaged still
	act(Drop)
	f.fault = nil
	_, err = runOnce(t, p, f.stream())
	require.NoError(t, err)
	require.NoError(t, p.Drain(t.Context()))
	requireExact(t, sink, 70)
	act(Recollect)
	require.NoError(t, p.Drain(t.Context()))
	requireExact(t, sink, 90)
	require.NoError(t, p.Close())
}
