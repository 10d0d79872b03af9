package pipeline

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	mathrand "math/rand/v2"
	"strconv"
	"strings"
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

var pastStart = time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)

// logEvent is one of a fake log: it happened at, and appears at seen.
type logEvent struct {
	id       string
	at, seen time.Time
}

// fakeLog is a log whose live cursor is a time: what appears behind it is only
// found by looking back.
type fakeLog struct {
	clock *testclock.Clock
	info  sources.StreamInfo
	page  int

	mu     sync.Mutex
	events []logEvent
	since  time.Time // of the live cursor's beginning
	asked  []Span    // windows
	read   int       // events told by past lanes
	fault  func(lane string, page int) error
}

func (f *fakeLog) between(from, to time.Time) (out []logEvent) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock.Now()
	for _, e := range f.events {
		if !e.at.Before(from) && e.at.Before(to) && !e.seen.After(now) {
			out = append(out, e)
		}
	}
	return out
}

func pageOf(events []logEvent) *schemas.Rows {
	rows := &schemas.Rows{}
	for _, e := range events {
		rows.Activities = append(rows.Activities, schemas.Activity{EventID: e.id, Time: schemas.Time(e.at.UnixMilli()), Raw: e.id})
	}
	return rows
}

func (f *fakeLog) stream() sources.Stream {
	return sources.Stream{
		Info: f.info,
		Past: func(_ context.Context, from, to time.Time, _ sources.Cursor) iter.Seq2[*sources.LanePage, error] {
			return func(yield func(*sources.LanePage, error) bool) {
				f.mu.Lock()
				f.asked = append(f.asked, Span{from, to})
				f.mu.Unlock()
				middle := from.Add(to.Sub(from) / 2).Truncate(time.Millisecond)
				for i, w := range []Span{{middle, to}, {from, middle}} {
					id := fmt.Sprintf("%s%d-%d", sources.PastLane, w.From.UnixMilli(), w.To.UnixMilli())
					if !yield(&sources.LanePage{Lanes: []sources.Lane{{ID: id, Once: true}}, Complete: i == 1}, nil) {
						return
					}
				}
			}
		},
		Read: func(_ context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
			return func(yield func(*sources.Page, error) bool) {
				span, past := strings.CutPrefix(l.ID, sources.PastLane)
				if !past {
					from, since := f.since, schemas.Time(f.since.UnixMilli())
					if ms, err := strconv.ParseInt(string(c), 10, 64); err == nil {
						from, since = time.UnixMilli(ms), 0
					}
					now := f.clock.Now()
					events := f.between(from, now)
					yield(&sources.Page{Rows: pageOf(events), Next: sources.Cursor(fmt.Sprint(now.UnixMilli())), Since: since, Watermark: schemas.Time(now.UnixMilli())}, nil)
					return
				}
				var a, b int64
				_, _ = fmt.Sscanf(span, "%d-%d", &a, &b)
				events := f.between(time.UnixMilli(a), time.UnixMilli(b))
				at, _ := strconv.Atoi(string(c))
				for {
					if f.fault != nil {
						if err := f.fault(l.ID, at); err != nil {
							yield(nil, err)
							return
						}
					}
					rest := events[min(at*f.page, len(events)):]
					more := len(rest) > f.page
					rest = rest[:min(len(rest), f.page)]
					f.mu.Lock()
					f.read += len(rest)
					f.mu.Unlock()
					at++
					if !yield(&sources.Page{Rows: pageOf(rest), Next: sources.Cursor(strconv.Itoa(at)), More: more}, nil) || !more {
						return
					}
				}
			}
		},
	}
}

// pastSite is a pipeline on a fast clock with one sink.
type pastSite struct {
	t     *testing.T
	dir   string
	clock *testclock.Clock
	sink  *memorySink
	p     *Pipeline
	log   *fakeLog
}

func newPastSite(t *testing.T, info sources.StreamInfo) *pastSite {
	info.Name, info.Shape, info.Tables, info.Back = "activities", sources.Log, []string{schemas.TableActivities}, true
	s := &pastSite{t: t, dir: t.TempDir(), clock: testclock.Fast(pastStart, 500), sink: newMemorySink()}
	s.log = &fakeLog{clock: s.clock, info: info, page: 40, since: pastStart.Add(-time.Hour)}
	s.open()
	return s
}

func (s *pastSite) open() {
	s.t.Helper()
	p, err := Open(s.t.Context(), Options{
		DataDir: s.dir, Clock: s.clock, Rand: rand.Reader, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
		Tables: []*schemas.Table{schemas.ByName(schemas.TableActivities), schemas.ByName(schemas.TableCollectionRuns)},
		Sinks:  []SinkOptions{{Name: "lake", Sink: s.sink, Batching: sinks.Batching{TargetSize: 1 << 16, MaxDelay: time.Second, LateDelay: time.Second}}},
	})
	require.NoError(s.t, err)
	require.NoError(s.t, p.Start(s.t.Context()))
	s.p = p
}

func (s *pastSite) close() {
	s.t.Helper()
	require.NoError(s.t, s.p.Drain(s.t.Context()))
	require.NoError(s.t, s.p.Close())
}

func (s *pastSite) run(once bool) *StreamRun {
	s.t.Helper()
	r, err := s.p.NewStreamRun(StreamOptions{ID: testStream, App: "aws", Stream: s.log.stream(), Every: time.Minute, Parallel: 8, Once: once})
	require.NoError(s.t, err)
	return r
}

// exact requires that every event of a span is in the sink, once.
func (s *pastSite) exact(span Span) {
	s.t.Helper()
	counts := s.sink.counts()
	for id, n := range counts {
		require.Equal(s.t, 1, n, "times that %s was delivered", id)
	}
	for _, e := range s.log.events {
		if !e.at.Before(span.From) && e.at.Before(span.To) {
			require.Equal(s.t, 1, counts[e.id], "%s at %s, seen at %s", e.id, e.at, e.seen)
		}
	}
}

// happen adds an event every interval of a span, late by up to late.
func (s *pastSite) happen(span Span, every, late time.Duration) {
	rng := mathrand.New(mathrand.NewPCG(1, 2)) //nolint:gosec // the same each time
	for at := span.From; at.Before(span.To); at = at.Add(every) {
		e := logEvent{id: fmt.Sprintf("e%d", len(s.log.events)), at: at, seen: at}
		if late > 0 {
			e.seen = at.Add(time.Duration(rng.Int64N(int64(late))))
		}
		s.log.events = append(s.log.events, e)
	}
}

func (s *pastSite) task(id int64) PastTask {
	s.t.Helper()
	t, ok, err := s.p.State().PastTask(s.t.Context(), id)
	require.NoError(s.t, err)
	require.True(s.t, ok)
	return t
}

// Events that come up to 72 h late all arrive, once, and the log is read again
// twice at most.
func TestSweepsFindWhatComesLate(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	const late = 72 * time.Hour
	s := newPastSite(t, sources.StreamInfo{Lateness: late, Keep: 8 * pastDay})
	span := Span{pastStart.Add(-2 * time.Hour), pastStart.Add(3 * pastDay)}
	s.happen(span, 10*time.Minute, late)
	s.log.since = span.From
	r := s.run(true)
	for s.clock.Now().Before(span.To.Add(late + 26*time.Hour)) {
		require.NoError(t, r.Run(t.Context()))
		s.clock.Skip(90 * time.Minute)
	}
	s.close()
	s.exact(span)
	require.Len(t, s.sink.counts(), len(s.log.events))
	require.LessOrEqual(t, s.log.read, 2*len(s.log.events), "each event is read again at two ages")
	s.open()
	tasks, err := s.p.State().PastTasks(t.Context(), testStream)
	require.NoError(t, err)
	require.Empty(t, tasks, "sweeps that are done leave nothing")
	s.close()
}

// A backfill reads only what the ledger does not hold, the newest first; killed
// anywhere and resumed, with a vendor that fails at times, it delivers
// everything once, and live rounds know nothing of it.
func TestBackfill(t *testing.T) {
	t.Parallel()
	s := newPastSite(t, sources.StreamInfo{Lateness: time.Hour, Keep: 8 * pastDay, ShowsLate: true})
	span := Span{pastStart.Add(-10 * pastDay), pastStart}
	held := Span{pastStart.Add(-5 * pastDay), pastStart.Add(-3*pastDay - 7*time.Hour)}
	s.happen(span, 11*time.Minute, 0)
	for _, e := range s.log.between(held.From, held.To) { // as if another had delivered it
		s.sink.parts["before/"+e.id] = []string{e.id}
	}
	require.NoError(t, s.p.committer.update(t.Context(), func(tx Tx) error { return tx.Cover(testStream, held, pastStart) }))
	require.NoError(t, s.run(true).Run(t.Context()), "the live stream begins an hour ago")

	task, err := s.p.AddBackfill(t.Context(), testStream, s.log.info, span)
	require.NoError(t, err)
	require.Equal(t, days(Subtract([]Span{span}, []Span{held})), task.Windows)
	_, err = s.p.AddBackfill(t.Context(), testStream, s.log.info, Span{span.From, span.From.Add(time.Hour)})
	require.ErrorContains(t, err, "resume or drop it")
	rng := mathrand.New(mathrand.NewPCG(3, 4)) //nolint:gosec // the same each time
	kills := 0
	for s.task(task.ID).Status != PastDone {
		ctx, kill := context.WithCancel(t.Context())
		n, last := 0, 3+rng.IntN(12)
		s.log.fault = func(string, int) error {
			s.log.mu.Lock()
			defer s.log.mu.Unlock()
			if n++; n == last {
				kill()
			}
			if n%4 == 0 {
				return fault.New(fault.Transient, "no answer")
			}
			return nil
		}
		if err := s.run(false).RunPast(ctx, task.ID); ctx.Err() != nil && errors.Is(err, context.Canceled) {
			kills++
			require.Equal(t, PastStopped, s.task(task.ID).Status)
		} else {
			require.NoError(t, err)
		}
		kill()
		live, err := s.p.State().LaneCounts(t.Context(), testStream)
		require.NoError(t, err)
		require.Equal(t, LaneCounts{Open: 1}, live, "the live stream's lane alone")
		s.close()
		s.open()
		if s.task(task.ID).Status == PastStopped {
			_, err := s.p.TellPast(t.Context(), task.ID, PastResume)
			require.NoError(t, err)
		}
	}
	require.Greater(t, kills, 3)
	s.log.fault = nil
	done := s.task(task.ID)
	require.Equal(t, done.Windows, done.Done)
	require.Zero(t, done.Parked)
	for i := 1; i < len(s.log.asked); i++ {
		require.False(t, s.log.asked[i].To.After(s.log.asked[i-1].To), "the newest first")
		require.Empty(t, Intersect([]Span{held}, []Span{s.log.asked[i]}))
	}
	lanes, err := s.p.State().LaneCounts(t.Context(), done.lanesKey())
	require.NoError(t, err)
	require.Zero(t, lanes, "windows that are done leave no lanes")
	covered, err := s.p.State().Coverage(t.Context(), testStream, span)
	require.NoError(t, err)
	require.Equal(t, span.From, covered[0].From)
	require.Len(t, covered, 1)

	// The last hour may still get late events: it is not covered, and a second
	// backfill reads it alone.
	again, err := s.p.AddBackfill(t.Context(), testStream, s.log.info, span)
	if err == nil {
		require.Equal(t, covered[0].To, Subtract([]Span{again.Span}, covered)[0].From)
		s.log.asked = nil
		require.NoError(t, s.run(false).RunPast(t.Context(), again.ID))
		require.Len(t, s.log.asked, 1)
	}
	_, err = s.p.AddBackfill(t.Context(), testStream, s.log.info, Span{span.From, span.To.Add(-2 * time.Hour)})
	require.ErrorIs(t, err, ErrPastHeld)
	s.close()
	s.exact(span)
}

// A running stream takes a backfill up at once, and lets itself be told to stop
// in the middle of a window, to resume and to drop.
func TestBackfillIsTold(t *testing.T) {
	t.Parallel()
	s := newPastSite(t, sources.StreamInfo{Keep: 8 * pastDay, ShowsLate: true, Retention: 30 * pastDay})
	span := Span{pastStart.Add(-40 * pastDay), pastStart.Add(-20 * pastDay)}
	s.happen(span, time.Hour, 0)
	reached, gate := make(chan string, 1), make(chan struct{})
	s.log.fault = func(lane string, page int) error {
		select {
		case reached <- lane:
		default:
		}
		<-gate
		return nil
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	r := s.run(false)
	go func() { done <- r.Run(ctx) }()
	task, err := s.p.AddBackfill(t.Context(), testStream, s.log.info, span)
	require.NoError(t, err)
	require.WithinDuration(t, s.clock.Now().Add(-30*pastDay), task.Span.From, time.Hour, "what the vendor has no longer is not asked for")
	<-reached
	_, err = s.p.TellPast(t.Context(), task.ID, PastStop)
	require.NoError(t, err)
	close(gate)
	require.Eventually(t, func() bool { return s.task(task.ID).Took > 0 }, 2*time.Minute, 20*time.Millisecond)
	require.Equal(t, PastStopped, s.task(task.ID).Status)
	require.Less(t, s.task(task.ID).Done, 2)
	_, err = s.p.TellPast(t.Context(), task.ID, PastResume)
	require.NoError(t, err)
	require.Eventually(t, func() bool { return s.task(task.ID).Status == PastDone }, 2*time.Minute, 20*time.Millisecond)
	_, err = s.p.TellPast(t.Context(), task.ID, PastStop)
	require.ErrorContains(t, err, "is done")
	_, err = s.p.TellPast(t.Context(), task.ID, PastDrop)
	require.NoError(t, err)
	_, err = s.p.TellPast(t.Context(), task.ID, PastDrop)
	require.ErrorContains(t, err, "no task has the number")
	stop()
	require.ErrorIs(t, <-done, context.Canceled)
	s.close()
	s.exact(Span{task.Span.From.Add(pastDay), task.Span.To}) // its first hours have gone meanwhile
}

// A hole is collected again by itself; while it cannot be, it waits longer each
// time.
func TestRepair(t *testing.T) {
	t.Parallel()
	s := newPastSite(t, sources.StreamInfo{Keep: 8 * pastDay, ShowsLate: true})
	hole := Span{pastStart.Add(-30 * time.Hour), pastStart.Add(-26 * time.Hour)}
	s.happen(hole, 10*time.Minute, 0)
	bad := true
	s.log.fault = func(string, int) error {
		if bad {
			return fault.New(fault.BadData, "damaged")
		}
		return nil
	}
	require.NoError(t, s.p.committer.update(t.Context(), func(tx Tx) error {
		return errors.Join(
			tx.Cover(testStream, Span{pastStart.Add(-300 * pastDay), pastStart.Add(-299 * pastDay)}, pastStart), // of a backfill: what follows is no hole
			tx.Cover(testStream, Span{pastStart.Add(-10 * pastDay), hole.From}, pastStart), tx.Cover(testStream, Span{hole.To, pastStart.Add(-time.Hour)}, pastStart),
			tx.Hole(testStream, Hole{Span: hole, Class: ClassExpired, Reason: "a test", State: HoleOpen}, pastStart.Add(-time.Hour)))
	}))
	r := s.run(true)
	asked := func() int {
		require.NoError(t, r.Run(t.Context()))
		defer func() { s.log.asked = nil }()
		return len(s.log.asked)
	}
	require.Equal(t, 1, asked())
	holes, err := s.p.State().Holes(t.Context(), testStream)
	require.NoError(t, err)
	require.Len(t, holes, 1)
	require.Equal(t, HoleOpen, holes[0].State)
	require.Equal(t, hole, holes[0].Span)
	require.Zero(t, asked(), "it waits")
	s.clock.Skip(30 * time.Minute)
	bad = false
	require.Equal(t, 1, asked())
	holes, err = s.p.State().Holes(t.Context(), testStream)
	require.NoError(t, err)
	require.Equal(t, HoleClosed, holes[0].State)
	s.clock.Skip(pastDay)
	require.Zero(t, asked())
	s.close()
	s.exact(hole)
}

func TestLastDay(t *testing.T) {
	t.Parallel()
	day := func(d, h int) time.Time { return time.Date(2026, 1, d, h, 0, 0, 0, time.UTC) }
	f := func(s, want Span, n int) {
		t.Helper()
		require.Equal(t, want, lastDay(s))
		require.Equal(t, n, days([]Span{s}))
	}
	f(Span{day(1, 0), day(3, 0)}, Span{day(2, 0), day(3, 0)}, 2)
	f(Span{day(1, 5), day(1, 6)}, Span{day(1, 5), day(1, 6)}, 1)
	f(Span{day(1, 5), day(3, 6)}, Span{day(3, 0), day(3, 6)}, 3)
}
