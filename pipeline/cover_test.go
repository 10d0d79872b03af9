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
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/testclock"
	"weir/schemas"
	"weir/sinks"
	"weir/sources"
)

// What a run covers, from where the last one ended, and the holes it leaves.
func TestPlanCover(t *testing.T) {
	t.Parallel()
	once := func(id string) sources.Lane { return sources.Lane{ID: id, Once: true} }
	parked := LaneState{Lane: once("p"), Status: LaneParked, Class: "bad_data", Error: "no gzip"}
	waiting := LaneState{Lane: once("w"), Class: "throttled", Error: "429"}
	began := func(s int64) *time.Time { v := at(s); return &v }
	known := func(l LaneState, s Span, state HoleState) Hole {
		return Hole{Key: LaneHole(l.Lane), Span: s, State: state, Class: l.Class, Reason: "x"}
	}
	f := func(name string, in coverInput, spans []Span, holes map[string]Span, states ...HoleState) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if in.to.IsZero() {
				in.started, in.now, in.to = at(1000), at(1010), at(990)
			}
			p := planCover(in)
			require.Equal(t, spans, p.spans)
			got := map[string]Span{}
			for i, h := range p.holes {
				got[h.Key] = h.Span
				require.Equal(t, states[i], h.State)
				require.NotEmpty(t, h.Reason)
				require.NotEmpty(t, h.Class)
			}
			if holes == nil {
				holes = map[string]Span{}
			}
			require.Equal(t, holes, got)
			require.Equal(t, later(in.frontier, in.to), p.frontier)
		})
	}
	from := func(s int64) []Span { return []Span{span(s, 990)} }
	f("the first run, from the beginning", coverInput{}, []Span{{Beginning, at(990)}}, nil)
	f("the first run, as far as the listing goes", coverInput{since: at(100)}, from(100), nil)
	f("the first run, from where the lane was begun", coverInput{began: began(100)}, from(100), nil)
	f("the first run, where a part is kept for less", coverInput{began: began(100), info: sources.StreamInfo{WholeFor: 600 * time.Second}}, from(400), nil)
	f("joins what the last covered", coverInput{frontier: at(500), since: at(100), first: at(100)}, from(500), nil)
	f("the vendor's clock stood still", coverInput{frontier: at(990)}, nil, nil)
	f("began again behind", coverInput{frontier: at(500), began: began(400)}, from(500), nil)
	f("began again later", coverInput{frontier: at(500), began: began(600)}, from(600), map[string]Span{"expired:500000": span(500, 600)}, HoleOpen)
	f("down for less than the retention", coverInput{frontier: at(500), info: sources.StreamInfo{Retention: 600 * time.Second}}, from(500), nil)
	f("down for longer", coverInput{frontier: at(500), info: sources.StreamInfo{Retention: 300 * time.Second}}, from(700), map[string]Span{"retention:500000": span(500, 700)}, HoleLost)
	f("down for longer than a part is kept", coverInput{frontier: at(500), info: sources.StreamInfo{Retention: 600 * time.Second, WholeFor: 100 * time.Second}},
		from(900), map[string]Span{"retention:500000": span(500, 900)}, HoleLost)
	f("the configuration asks for more", coverInput{frontier: at(500), since: at(50), first: at(100)}, []Span{span(50, 100), span(500, 990)}, nil)
	f("an object is parked", coverInput{frontier: at(500), unread: []LaneState{parked}}, nil, map[string]Span{LaneHole(parked.Lane): span(500, 1010)}, HoleOpen)
	f("a lane waits, throttled: nothing has failed, and yet it is unread", coverInput{frontier: at(500), unread: []LaneState{waiting}}, nil,
		map[string]Span{LaneHole(waiting.Lane): span(500, 1010)}, HoleOpen)
	f("an object is still parked", coverInput{frontier: at(900), unread: []LaneState{parked}, holes: []Hole{{Key: LaneHole(parked.Lane), Span: span(500, 910), State: HoleOpen, Class: "bad_data", Reason: "p parked: no gzip"}}},
		from(910), nil)
	f("an object that was waited for is parked", coverInput{frontier: at(900), unread: []LaneState{parked}, holes: []Hole{known(parked, span(500, 910), HoleOpen)}},
		from(910), map[string]Span{LaneHole(parked.Lane): span(500, 910)}, HoleOpen)
	f("an object was read after all", coverInput{frontier: at(900), holes: []Hole{known(parked, span(500, 910), HoleOpen)}}, from(500), nil)
	f("read, but another hole is there", coverInput{frontier: at(900), holes: []Hole{known(parked, span(500, 910), HoleOpen), {Key: "expired:1", Span: span(600, 700), State: HoleClosing}}},
		[]Span{span(500, 600), span(700, 990)}, nil)
	f("dropped, or collected in another way", coverInput{frontier: at(900), unread: []LaneState{parked}, holes: []Hole{known(parked, span(500, 910), HoleClosed)}}, from(900), nil)
	f("its name tells what it holds", coverInput{frontier: at(500), unread: []LaneState{parked}, span: func(sources.Lane) (schemas.Time, schemas.Time) { return 600_000, 700_000 }},
		[]Span{span(500, 600), span(700, 990)}, map[string]Span{LaneHole(parked.Lane): span(600, 700)}, HoleOpen)
	f("a lane without end fails: its hole grows", coverInput{
		frontier: at(900), unread: []LaneState{{Lane: sources.Lane{ID: "d"}, Class: "transient", Error: "502"}},
		holes: []Hole{{Key: LaneHole(sources.Lane{ID: "d"}), Span: span(500, 910), State: HoleOpen, Class: ClassUnread}},
	},
		nil, map[string]Span{LaneHole(sources.Lane{ID: "d"}): span(500, 1010)}, HoleOpen)
	f("an open hole is lost in the end", coverInput{frontier: at(900), info: sources.StreamInfo{Retention: 300 * time.Second}, holes: []Hole{{Key: "expired:1", Span: span(500, 600), State: HoleOpen, Class: ClassExpired, Reason: "x"}}},
		from(900), map[string]Span{"expired:1": span(500, 600)}, HoleLost)

	// A log begun within the time that events may come late covers nothing yet,
	// and never what was before its beginning.
	p := planCover(coverInput{started: at(1000), now: at(1010), to: at(500), began: began(900)})
	require.Empty(t, p.spans)
	require.Equal(t, at(900), p.frontier)
	p = planCover(coverInput{started: at(1100), now: at(1110), to: at(600), frontier: p.frontier, since: at(900), first: at(900)})
	require.Empty(t, p.spans, "between the ends of two runs, before the beginning, nothing was collected")
	p = planCover(coverInput{started: at(1500), now: at(1510), to: at(1000), frontier: p.frontier, since: at(900), first: at(900)})
	require.Equal(t, []Span{span(900, 1000)}, p.spans)

	// What was covered and is in a hole now is taken back.
	p = planCover(coverInput{
		started: at(1000), now: at(1010), to: at(990), frontier: at(900), unread: []LaneState{parked}, covered: []Span{span(100, 900)},
		span: func(sources.Lane) (schemas.Time, schemas.Time) { return 600_000, 700_000 },
	})
	require.Equal(t, []Span{span(600, 700)}, p.back)
	require.Equal(t, from(900), p.spans)
	// But not what of an old hole was collected since.
	p = planCover(coverInput{
		started: at(1000), now: at(1010), to: at(990), frontier: at(900), unread: []LaneState{parked}, covered: []Span{span(100, 600), span(650, 900)},
		holes: []Hole{known(parked, span(600, 700), HoleOpen)},
	})
	require.Empty(t, p.back)
	require.Equal(t, from(900), p.spans)
}

// runsSink is a sink that keeps the spans of collection_runs, in order.
type runsSink struct {
	*memorySink
	runs []toldRun
	days map[string]sinks.DayMark
}

type toldRun struct {
	Span
	ok bool
}

func (s *runsSink) Stage(ctx context.Context, p *sinks.Part) (sinks.Staged, error) {
	if p.Table.Name == schemas.TableCollectionRuns {
		for _, b := range p.Batches {
			e, err := b.Load()
			if err != nil {
				return nil, err
			}
			rec, err := schemas.Decode(p.Table, e)
			if err != nil {
				return nil, err
			}
			column := func(name string) int { return rec.Schema().FieldIndices(name)[0] }
			from, to := rec.Column(column("covered_from")).(*array.Timestamp), rec.Column(column("covered_to")).(*array.Timestamp)
			for i := range to.Len() {
				if !to.IsNull(i) {
					// A span from the beginning has a null there.
					start := Beginning
					if !from.IsNull(i) {
						start = time.UnixMilli(int64(from.Value(i))).UTC()
					}
					outcome := fmt.Sprint(rec.Column(column("outcome")).ValueStr(i))
					s.mu.Lock()
					s.runs = append(s.runs, toldRun{Span{start, time.UnixMilli(int64(to.Value(i))).UTC()}, outcome != "failure"})
					s.mu.Unlock()
				}
			}
			rec.Release()
		}
	}
	return s.memorySink.Stage(ctx, p)
}

func (s *runsSink) MarkDay(_ context.Context, d sinks.DayMark) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.days[d.Date] = d
	return nil
}

// covered is what the rows of collection_runs say.
func (s *runsSink) covered() (out []Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.runs {
		if r.ok {
			out = Union(out, []Span{r.Span})
		} else {
			out = Subtract(out, []Span{r.Span})
		}
	}
	return out
}

// vendor is a stream whose lanes come and fail as a test wants.
type vendor struct {
	mu    sync.Mutex
	clock *testclock.Clock
	lanes []sources.Lane
	fail  map[string]error
	since time.Time
	keep  time.Duration
}

func (v *vendor) stream() sources.Stream {
	return sources.Stream{
		Info: sources.StreamInfo{Name: "activities", Shape: sources.Log, Tables: []string{"activities"}, Keep: 1000 * time.Hour, Retention: v.keep},
		Lanes: func(context.Context, sources.Cursor) iter.Seq2[*sources.LanePage, error] {
			return func(yield func(*sources.LanePage, error) bool) {
				v.mu.Lock()
				p := &sources.LanePage{Lanes: v.lanes, Complete: true, Since: schemas.Time(v.since.UnixMilli()), CoveredTo: schemas.Time(v.clock.Now().Add(-time.Minute).UnixMilli())}
				v.mu.Unlock()
				yield(p, nil)
			}
		},
		Read: func(_ context.Context, l sources.Lane, _ sources.Cursor) iter.Seq2[*sources.Page, error] {
			return func(yield func(*sources.Page, error) bool) {
				v.mu.Lock()
				err := v.fail[l.ID]
				v.mu.Unlock()
				if err != nil {
					yield(nil, err)
					return
				}
				rows := &schemas.Rows{Activities: []schemas.Activity{{EventID: l.ID + l.Hint, Time: schemas.Time(v.clock.Now().UnixMilli()), Raw: l.ID}}}
				yield(&sources.Page{Rows: rows, Next: "end"}, nil)
			}
		},
	}
}

// A stream lives through days: the state's coverage, the rows of collection_runs
// and what days are told agree all along.
func TestLedgerOfALife(t *testing.T) {
	t.Parallel()
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	clock := testclock.Fast(begin, 50)
	dir, sink := t.TempDir(), &runsSink{memorySink: newMemorySink(), days: map[string]sinks.DayMark{}}
	v := &vendor{clock: clock, since: begin.Add(-40 * time.Hour), fail: map[string]error{}, keep: 10 * 24 * time.Hour}
	log := LedgerStream{ID: testStream, Info: v.stream().Info, Every: time.Minute}
	p, err := Open(t.Context(), Options{
		DataDir: dir, Clock: clock, Rand: rand.Reader, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler), Logs: []LedgerStream{log},
		Tables: []*schemas.Table{schemas.ByName("activities"), schemas.ByName("collection_runs")},
		Sinks:  []SinkOptions{{Name: "lake", Sink: sink, Batching: sinks.Batching{TargetSize: 1 << 14, MaxDelay: 20 * time.Millisecond, LateDelay: time.Hour}}},
	})
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context()))
	round := func(lanes ...string) {
		v.mu.Lock()
		for _, l := range lanes {
			v.lanes = append(v.lanes, sources.Lane{ID: l, Hint: "1", Once: true})
		}
		v.mu.Unlock()
		// Not StreamOptions.Once, which would wait for failing lanes.
		run, err := p.NewStreamRun(StreamOptions{ID: testStream, App: "aws", Stream: v.stream(), Every: time.Minute, Parallel: 2})
		require.NoError(t, err)
		require.NoError(t, run.takeUpLedger(t.Context()))
		require.NoError(t, run.round(t.Context()))
		p.committer.flush()
		require.NoError(t, run.settle(t.Context()))
	}
	holes := func() (missing []Hole) {
		all, err := p.state.Holes(t.Context(), testStream)
		require.NoError(t, err)
		for _, h := range all {
			if h.Missing() {
				missing = append(missing, h)
			}
		}
		return missing
	}
	covered := func() []Span {
		c, err := p.state.Coverage(t.Context(), testStream, Span{})
		require.NoError(t, err)
		return c
	}
	agree := func() {
		t.Helper()
		require.Eventually(t, func() bool { return fmt.Sprint(covered()) == fmt.Sprint(sink.covered()) }, 2*time.Minute, 5*time.Millisecond, "state and collection_runs")
	}

	round("a", "b")
	require.Len(t, covered(), 1)
	require.Equal(t, v.since, covered()[0].From, "it begins where the stream does")
	require.Empty(t, holes())
	agree()

	// One object is bad, another waits: neither's span is claimed; the next run
	// goes on behind it.
	clock.Skip(time.Hour)
	v.fail["bad"], v.fail["slow"] = fault.New(fault.BadData, "no gzip"), fault.After(fault.Throttled, 30*time.Minute, "later")
	before := covered()
	round("bad", "slow")
	require.Equal(t, before, covered())
	require.Len(t, holes(), 2)
	clock.Skip(time.Hour)
	delete(v.fail, "slow")
	round()
	require.Len(t, holes(), 1)
	require.Equal(t, "bad_data", holes()[0].Class)
	require.Len(t, covered(), 2)
	require.Equal(t, []Span{holes()[0].Span}, Subtract([]Span{{covered()[0].From, covered()[1].To}}, covered()))
	agree()
	l, err := Ledger(t.Context(), p.state, log, Span{}, clock.Now())
	require.NoError(t, err)
	require.False(t, l.Complete)
	require.Len(t, l.Missing, 1)
	l, err = Ledger(t.Context(), p.state, log, Span{From: begin.Add(-time.Hour), To: begin.Add(-2 * time.Minute)}, clock.Now())
	require.NoError(t, err)
	require.True(t, l.Complete)

	// Another version of the object comes, and is read.
	v.mu.Lock()
	delete(v.fail, "bad")
	v.lanes[2].Hint = "2"
	v.mu.Unlock()
	round()
	require.Empty(t, holes())
	require.Len(t, covered(), 1)
	agree()

	// Three days of absence leave no hole where the vendor has all; twenty do.
	clock.Skip(72 * time.Hour)
	round("c")
	require.Empty(t, holes())
	require.Len(t, covered(), 1)
	require.Eventually(t, func() bool {
		clock.Skip(dayEvery)
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return len(sink.days) >= 5
	}, 2*time.Minute, 20*time.Millisecond)
	clock.Skip(20 * 24 * time.Hour)
	round("d")
	require.Len(t, holes(), 1)
	require.Equal(t, HoleLost, holes()[0].State)
	require.Equal(t, ClassRetention, holes()[0].Class)
	agree()
	owedNow, err := Owed(t.Context(), p.state, testStream, v.keep, clock.Now())
	require.NoError(t, err)
	require.Empty(t, owedNow, "what is lost is not asked for")

	require.NoError(t, p.Drain(t.Context()))
	lag := p.lags.stats(testStream)
	require.NoError(t, p.Close())
	require.Positive(t, lag.Rows)
	require.Less(t, lag.P50, time.Minute)
	st, err := ReadState(t.Context(), dir)
	require.NoError(t, err)
	defer st.Close()
	kept, err := ReadLag(t.Context(), st, testStream)
	require.NoError(t, err)
	require.Positive(t, kept.Rows, "it outlives the process")
	require.False(t, sink.days["2026-02-27"].Complete, "collection began within it")
	for _, dt := range []string{"2026-02-28", "2026-03-01", "2026-03-02", "2026-03-03"} {
		d := sink.days[dt]
		require.True(t, d.Complete, dt)
		require.Equal(t, map[string]map[string]string{testStream.Instance: {testStream.Stream: DayCovered}}, d.Instances)
		require.NotEmpty(t, d.LastParts["activities"])
		require.NotEmpty(t, d.LastParts["collection_runs"])
	}
}

// A failing listing covers nothing, and is told with its reason until it ends.
func TestTroubleIsKept(t *testing.T) {
	t.Parallel()
	p := startPipeline(t, t.TempDir(), Options{}, map[string]*memorySink{"lake": newMemorySink()})
	s := fakeLanes{lanes: 1, pages: 1, rows: 1}.stream()
	list := s.Lanes
	var failure error
	s.Lanes = func(ctx context.Context, c sources.Cursor) iter.Seq2[*sources.LanePage, error] {
		if failure != nil {
			return func(yield func(*sources.LanePage, error) bool) { yield(nil, failure) }
		}
		return list(ctx, c)
	}
	for _, failure = range []error{errors.New("502"), fault.New(fault.Auth, "401"), nil} {
		_, err := runOnce(t, p, s)
		require.Equal(t, failure == nil, err == nil)
		trouble, err := ReadTrouble(t.Context(), p.state, testStream)
		require.NoError(t, err)
		require.Equal(t, failure == nil, trouble == nil)
		if trouble != nil {
			require.Equal(t, fault.Of(failure), trouble.Class)
			require.Equal(t, fault.Of(failure) == fault.Auth, trouble.Stops())
		}
	}
	require.NoError(t, p.Drain(t.Context()))
	require.NoError(t, p.Close())
}
