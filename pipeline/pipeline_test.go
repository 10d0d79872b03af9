package pipeline

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
	"weir/sources"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("database/sql.(*DB).connectionOpener"))
}

// memorySink keeps the rows it is given, by part.
type memorySink struct {
	mu     sync.Mutex
	owner  sinks.Owner
	parts  map[string][]string // event ids by part
	order  []string
	fail   func(attempt int) error // asked before and after a part is stored
	tries  int
	gate   chan struct{} // when set, commits wait for it
	prevOK bool
}

func newMemorySink() *memorySink { return &memorySink{parts: map[string][]string{}, prevOK: true} }

func (s *memorySink) Prepare(context.Context, []*schemas.Table) error { return nil }
func (s *memorySink) Close() error                                    { return nil }

func (s *memorySink) Owner(context.Context) (sinks.Owner, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owner, nil
}

func (s *memorySink) SetOwner(_ context.Context, old, new sinks.Owner) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.owner.Equal(old) {
		return sinks.ErrOwnerChanged
	}
	s.owner = new
	return nil
}

func (s *memorySink) Stage(_ context.Context, p *sinks.Part) (sinks.Staged, error) {
	var ids []string
	if p.Table.Name == schemas.TableActivities {
		for _, b := range p.Batches {
			e, err := b.Load()
			if err != nil {
				return nil, err
			}
			rec, err := schemas.Decode(p.Table, e)
			if err != nil {
				return nil, err
			}
			col := rec.Column(rec.Schema().FieldIndices("event_id")[0]).(*array.String)
			for i := range col.Len() {
				ids = append(ids, col.Value(i))
			}
			rec.Release()
		}
	}
	return &memoryPart{s, p, ids}, nil
}

type memoryPart struct {
	s   *memorySink
	p   *sinks.Part
	ids []string
}

func (m *memoryPart) Discard() error { return nil }

func (m *memoryPart) Commit(ctx context.Context) (sinks.Receipt, error) {
	if m.s.gate != nil {
		select {
		case <-m.s.gate:
		case <-ctx.Done():
			return sinks.Receipt{}, ctx.Err()
		}
	}
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.s.tries++
	if m.s.fail != nil {
		if err := m.s.fail(m.s.tries); err != nil {
			return sinks.Receipt{}, err
		}
	}
	if _, ok := m.s.parts[m.p.ID]; !ok && m.p.Table.Name == schemas.TableActivities {
		last := ""
		if len(m.s.order) > 0 {
			last = m.s.order[len(m.s.order)-1]
		}
		m.s.prevOK = m.s.prevOK && m.p.Previous == last
		m.s.order = append(m.s.order, m.p.ID)
		m.s.parts[m.p.ID] = m.ids
	}
	m.s.tries++
	if m.s.fail != nil {
		return sinks.Receipt{}, m.s.fail(m.s.tries)
	}
	return sinks.Receipt{}, nil
}

func (s *memorySink) counts() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]int{}
	for _, ids := range s.parts {
		for _, id := range ids {
			out[id]++
		}
	}
	return out
}

// fakeLanes is a stream of Once lanes with pages of events "lane-page-row".
type fakeLanes struct {
	lanes, pages, rows int
	at                 func(lane, page, row int) time.Time
	id                 func(lane, page, row int) string
	fault              func(lane, page int) error
}

func (f fakeLanes) stream() sources.Stream {
	return sources.Stream{
		Info: sources.StreamInfo{Name: "activities", Tables: []string{"activities"}, Keep: time.Hour},
		Lanes: func(context.Context, sources.Cursor) iter.Seq2[*sources.LanePage, error] {
			return func(yield func(*sources.LanePage, error) bool) {
				p := &sources.LanePage{Complete: true, CoveredTo: 1}
				for i := range f.lanes {
					p.Lanes = append(p.Lanes, sources.Lane{ID: fmt.Sprint(i), Hint: "h", Once: true})
				}
				yield(p, nil)
			}
		},
		Read: func(_ context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
			return func(yield func(*sources.Page, error) bool) {
				var lane, from int
				_, _ = fmt.Sscan(l.ID, &lane)
				_, _ = fmt.Sscan(string(c), &from)
				var rows schemas.Rows
				for p := from; p < f.pages; p++ {
					if f.fault != nil {
						if err := f.fault(lane, p); err != nil {
							yield(nil, err)
							return
						}
					}
					rows.Reset()
					for r := range f.rows {
						id, at := fmt.Sprintf("%d-%d-%d", lane, p, r), time.Now()
						if f.id != nil {
							id = f.id(lane, p, r)
						}
						if f.at != nil {
							at = f.at(lane, p, r)
						}
						rows.Activities = append(rows.Activities, schemas.Activity{EventID: id, Time: schemas.Time(at.UnixMilli()), Raw: id})
					}
					if !yield(&sources.Page{Rows: &rows, Next: sources.Cursor(fmt.Sprint(p + 1)), More: p+1 < f.pages}, nil) {
						return
					}
				}
			}
		},
	}
}

func startPipeline(t *testing.T, dir string, o Options, named map[string]*memorySink) *Pipeline {
	t.Helper()
	o.DataDir, o.Clock, o.Rand, o.Metrics = dir, clockwork.NewRealClock(), rand.Reader, prometheus.NewRegistry()
	o.Log = slog.New(slog.DiscardHandler)
	o.Tables = []*schemas.Table{schemas.ByName("activities"), schemas.ByName("collection_runs")}
	for name, s := range named {
		o.Sinks = append(o.Sinks, SinkOptions{Name: name, Sink: s, Batching: sinks.Batching{TargetSize: 1 << 14, MaxDelay: 20 * time.Millisecond, LateDelay: time.Hour}})
	}
	p, err := Open(t.Context(), o)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context()))
	return p
}

func runOnce(t *testing.T, p *Pipeline, s sources.Stream) (*StreamRun, error) {
	t.Helper()
	run, err := p.NewStreamRun(StreamOptions{ID: testStream, App: "aws", Stream: s, Every: time.Minute, Parallel: 4, Once: true})
	require.NoError(t, err)
	return run, run.Run(t.Context())
}

func requireExact(t *testing.T, s *memorySink, n int) {
	t.Helper()
	counts := s.counts()
	require.Len(t, counts, n)
	for id, c := range counts {
		require.Equal(t, 1, c, id)
	}
	require.True(t, s.prevOK, "each part names the one before")
}

// A sink that fails before and after storing, at random: every event once, the
// parts in order.
func TestFlakySink(t *testing.T) {
	t.Parallel()
	flaky, good := newMemorySink(), newMemorySink()
	flaky.fail = func(n int) error {
		if n%9 == 0 || n%14 == 0 {
			return errors.New("flaky")
		}
		return nil
	}
	p := startPipeline(t, t.TempDir(), Options{}, map[string]*memorySink{"flaky": flaky, "good": good})
	run, err := runOnce(t, p, fakeLanes{lanes: 8, pages: 4, rows: 40}.stream())
	require.NoError(t, err)
	require.EqualValues(t, 8*4*40, run.Stats.Rows.Load())
	require.NoError(t, p.Drain(t.Context()))
	require.NoError(t, p.Close())
	requireExact(t, flaky, 8*4*40)
	requireExact(t, good, 8*4*40)
	require.Greater(t, len(good.order), 3)
}

// Lanes read at the same time hold the same events: each is sent once.
func TestDuplicatesInFlight(t *testing.T) {
	t.Parallel()
	sink := newMemorySink()
	p := startPipeline(t, t.TempDir(), Options{}, map[string]*memorySink{"lake": sink})
	same := fakeLanes{lanes: 8, pages: 5, rows: 50, id: func(_, p, r int) string { return fmt.Sprintf("%d-%d", p, r) }}
	at := time.Now()
	same.at = func(int, int, int) time.Time { return at }
	run, err := runOnce(t, p, same.stream())
	require.NoError(t, err)
	require.EqualValues(t, 250, run.Stats.Rows.Load())
	require.EqualValues(t, 7*250, run.Stats.Duplicates.Load())
	require.NoError(t, p.Drain(t.Context()))
	require.NoError(t, p.Close())
	requireExact(t, sink, 250)
}

// A dead sink stops no other; at the spool's limit sources pause and nothing is
// dropped.
func TestDeadSinkAndFullSpool(t *testing.T) {
	t.Parallel()
	dead, good := newMemorySink(), newMemorySink()
	dead.gate = make(chan struct{})
	p := startPipeline(t, t.TempDir(), Options{SpoolLimit: 20_000}, map[string]*memorySink{"dead": dead, "good": good})
	done := make(chan error, 1)
	go func() {
		_, err := runOnce(t, p, fakeLanes{lanes: 40, pages: 4, rows: 50}.stream())
		done <- err
	}()
	require.Eventually(t, func() bool { return p.Waiting() != "" }, 2*time.Minute, 5*time.Millisecond)
	before := p.SpoolBytes()
	require.Eventually(t, func() bool { return len(good.counts()) > 0 }, 2*time.Minute, 5*time.Millisecond, "the other sink goes on")
	require.Less(t, before, int64(20_000+40*20_000), "what was under way is bounded")
	select {
	case err := <-done:
		t.Fatal("sources went on: ", err)
	default:
	}
	close(dead.gate)
	require.NoError(t, <-done)
	require.NoError(t, p.Drain(t.Context()))
	require.NoError(t, p.Close())
	requireExact(t, dead, 40*4*50)
	requireExact(t, good, 40*4*50)
}

// Rows of old days wait by themselves; a restart delivers what was waiting.
func TestLateRowsWaitAndSurvive(t *testing.T) {
	t.Parallel()
	dir, sink := t.TempDir(), newMemorySink()
	p := startPipeline(t, dir, Options{}, map[string]*memorySink{"lake": sink})
	now := time.Now()
	mixed := fakeLanes{lanes: 1, pages: 1, rows: 10, at: func(_, _, r int) time.Time { return now.AddDate(0, 0, -r%2*900*(1+r/4)) }}
	run, err := runOnce(t, p, mixed.stream())
	require.NoError(t, err)
	require.EqualValues(t, 5, run.Stats.Late.Load())
	require.Eventually(t, func() bool { return len(sink.counts()) == 5 }, 2*time.Minute, 5*time.Millisecond)
	require.NoError(t, p.Close())
	requireExact(t, sink, 5)

	p = startPipeline(t, dir, Options{}, map[string]*memorySink{"lake": sink})
	require.NoError(t, p.Drain(t.Context()))
	require.NoError(t, p.Close())
	requireExact(t, sink, 10)
}

// A bad file is parked, a panicking connector parks its lane, a failing lane is
// tried again: the others go on.
func TestFailingLanes(t *testing.T) {
	t.Parallel()
	sink := newMemorySink()
	p := startPipeline(t, t.TempDir(), Options{}, map[string]*memorySink{"lake": sink})
	var mu sync.Mutex
	failures := 0
	f := fakeLanes{lanes: 6, pages: 3, rows: 10, fault: func(lane, page int) error {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case lane == 1 && page == 2:
			return fault.New(fault.BadData, "damaged")
		case lane == 2 && page == 1:
			panic("a bug")
		case lane == 3 && page == 1 && failures < 2:
			failures++
			return errors.New("connection reset")
		}
		return nil
	}}
	run, err := runOnce(t, p, f.stream())
	require.NoError(t, err)
	require.EqualValues(t, 2, run.Stats.LanesParked.Load())
	require.EqualValues(t, 2, run.Stats.LanesFailed.Load())
	dead, err := p.State().DeadLetters(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, dead, 2)
	require.NoError(t, p.Drain(t.Context()))
	require.NoError(t, p.Close())
	requireExact(t, sink, 6*30-10-20)
}

func TestStreamFaults(t *testing.T) {
	t.Parallel()
	for _, class := range []fault.Class{fault.Auth, fault.Forbidden} {
		p := startPipeline(t, t.TempDir(), Options{}, map[string]*memorySink{"lake": newMemorySink()})
		_, err := runOnce(t, p, fakeLanes{lanes: 3, pages: 2, rows: 2, fault: func(int, int) error { return fault.New(class, "no") }}.stream())
		require.Equal(t, class, fault.Of(err))
		require.NoError(t, p.Close())
	}
}

// A vendor that gives the same page for ever fails its lane.
func TestSamePageForEver(t *testing.T) {
	t.Parallel()
	p := startPipeline(t, t.TempDir(), Options{}, map[string]*memorySink{"lake": newMemorySink()})
	stuck := fakeLanes{lanes: 1, pages: 1, rows: 1}.stream()
	stuck.Read = func(context.Context, sources.Lane, sources.Cursor) iter.Seq2[*sources.Page, error] {
		return func(yield func(*sources.Page, error) bool) {
			for yield(&sources.Page{Rows: &schemas.Rows{}, Next: "here", More: true}, nil) {
			}
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	run, err := p.NewStreamRun(StreamOptions{ID: testStream, App: "aws", Stream: stuck, Every: time.Minute, Parallel: 1})
	require.NoError(t, err)
	require.ErrorIs(t, run.Run(ctx), context.DeadlineExceeded)
	require.Less(t, run.Stats.Pages.Load(), int64(10))
	require.Positive(t, run.Stats.LanesFailed.Load())
	require.NoError(t, p.Close())
}

func TestTenantIsPinned(t *testing.T) {
	t.Parallel()
	p := startPipeline(t, t.TempDir(), Options{}, map[string]*memorySink{"lake": newMemorySink()})
	for _, step := range []struct{ tenant, want, refused string }{
		{"", "", ""}, {"o-1", "o-1", ""}, {"", "o-1", ""}, {"o-1", "o-1", ""}, {"o-2", "", "belonged to organization o-1 and now reaches o-2"},
	} {
		got, err := p.PinTenant(t.Context(), "trail", step.tenant)
		if step.refused != "" {
			require.ErrorContains(t, err, step.refused)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, step.want, got)
	}
	require.NoError(t, p.Close())
}

func TestOwners(t *testing.T) {
	t.Parallel()
	sink := newMemorySink()
	dir := t.TempDir()
	p := startPipeline(t, dir, Options{}, map[string]*memorySink{"lake": sink})
	first := sink.owner
	require.NotEmpty(t, first.SinkID)
	// Somebody else takes the sink while we run.
	sink.mu.Lock()
	sink.owner.Generation++
	sink.mu.Unlock()
	require.ErrorIs(t, p.sinks[0].beat(t.Context()), sinks.ErrOwnerChanged)
	require.NoError(t, p.Close())

	open := func(dir string, o Options, owner sinks.Owner) error {
		s := newMemorySink()
		s.owner = owner
		o.DataDir, o.Clock, o.Rand, o.Metrics, o.Log = dir, clockwork.NewRealClock(), rand.Reader, prometheus.NewRegistry(), slog.New(slog.DiscardHandler)
		o.Sinks = []SinkOptions{{Name: "lake", Sink: s}}
		p, err := Open(t.Context(), o)
		require.NoError(t, err)
		err = p.Start(t.Context())
		require.NoError(t, p.Close())
		return err
	}
	later := first
	later.Generation = 100
	require.ErrorContains(t, open(dir, Options{}, later), "this state is older than the sink")
	more := first
	more.Parts = 1000
	require.ErrorContains(t, open(dir, Options{}, more), "this state is older than the sink")
	require.NoError(t, open(dir, Options{}, first))
	require.ErrorContains(t, open(dir, Options{}, sinks.Owner{}), "Is its volume mounted?")
	foreign := sinks.Owner{SinkID: "s", StateID: "other", Generation: 1, Heartbeat: time.Now()}
	require.ErrorContains(t, open(t.TempDir(), Options{}, foreign), "another agent writes this sink")
	require.ErrorContains(t, open(t.TempDir(), Options{TakeOver: true}, foreign), "another agent writes this sink")
	foreign.Heartbeat = time.Now().Add(-time.Hour)
	require.ErrorContains(t, open(t.TempDir(), Options{}, foreign), "--take-over")
	require.NoError(t, open(t.TempDir(), Options{TakeOver: true}, foreign))
}

func TestVersionsGrow(t *testing.T) {
	t.Parallel()
	clock := clockwork.NewFakeClock()
	v := &versions{clock: clock, last: clock.Now().UnixMicro() + 10}
	a := v.take(5)
	require.Equal(t, clock.Now().UnixMicro()+11, a)
	require.Equal(t, a+5, v.take(1), "though the clock stands")
	clock.Advance(time.Hour)
	require.Equal(t, clock.Now().UnixMicro(), v.take(1))
}

// A vendor that asks to wait, wherever it is asked, is waited for by a single
// run: a lane that goes on for ever is not caught up before.
func TestThrottledOnce(t *testing.T) {
	t.Parallel()
	asked := fault.After(fault.Throttled, time.Millisecond, "quota: the next request can be sent in 1ms")
	for _, c := range []struct {
		name  string
		lanes bool
	}{{"one lane", false}, {"listed lanes", true}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			sink := newMemorySink()
			p := startPipeline(t, t.TempDir(), Options{}, map[string]*memorySink{"lake": sink})
			refused, listings := 0, 0
			s := fakeLanes{lanes: 1, pages: 3, rows: 10, fault: func(_, page int) error {
				if page == 1 && refused < 2*onceAttempts {
					refused++
					return asked
				}
				return nil
			}}.stream()
			list := s.Lanes
			s.Lanes = func(ctx context.Context, cur sources.Cursor) iter.Seq2[*sources.LanePage, error] {
				if listings++; listings > 2*onceAttempts {
					return list(ctx, cur)
				}
				return func(yield func(*sources.LanePage, error) bool) { yield(nil, asked) }
			}
			if !c.lanes {
				s.Lanes = nil
			}
			_, err := runOnce(t, p, s)
			require.NoError(t, err)
			require.NoError(t, p.Drain(t.Context()))
			require.NoError(t, p.Close())
			requireExact(t, sink, 30)
			require.Equal(t, 2*onceAttempts, refused)
		})
	}
}
