package pipeline

import (
	"context"
	"fmt"
	"iter"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/clickhousetest"
	"weir/internal/fault"
	"weir/internal/rowtest"
	"weir/schemas"
	"weir/sinks"
	"weir/sinks/clickhouse"
	"weir/sinks/parquet"
	"weir/sources"
)

func openParquet(t *testing.T, path string) sinks.Sink {
	t.Helper()
	c := parquet.Driver.Config().(*parquet.Config)
	c.Path = path
	s, err := parquet.Driver.Open(t.Context(), sinks.Env{Name: "lake", Version: "test", Clock: clockwork.NewRealClock()}, c)
	require.NoError(t, err)
	return s
}

func openClickHouse(t *testing.T, server *clickhousetest.Server, database string) sinks.Sink {
	t.Helper()
	c := clickhouse.Driver.Config().(*clickhouse.Config)
	c.URL, c.Database, c.Timeout = server.URL(), database, 10*time.Second
	s, err := clickhouse.Driver.Open(t.Context(), sinks.Env{Name: "warehouse", Version: "test", Clock: clockwork.NewRealClock()}, c)
	require.NoError(t, err)
	return s
}

// lakeIDs returns how often each event is in a lake.
func lakeIDs(t *testing.T, path string) map[string]int {
	t.Helper()
	rows, err := rowtest.LakeLog(t.Context(), path, schemas.ByName("activities"), "")
	require.NoError(t, err)
	out := map[string]int{}
	for _, r := range rows {
		out[r["event_id"].(string)]++
	}
	return out
}

func once(t *testing.T, got map[string]int, n int) {
	t.Helper()
	require.Len(t, got, n)
	for id, c := range got {
		require.Equal(t, 1, c, id)
	}
}

// slowLake stops a fill in its middle.
type slowLake struct {
	sinks.Sink
	left atomic.Int64 // parts that may be read
}

func (s *slowLake) Parts(ctx context.Context, t *schemas.Table) ([]string, error) {
	return s.Sink.(sinks.Lake).Parts(ctx, t)
}

func (s *slowLake) ReadPart(ctx context.Context, t *schemas.Table, part string, yield func(string, *schemas.Chunk) error) error {
	if s.left.Add(-1) < 0 {
		<-ctx.Done()
		return ctx.Err()
	}
	return s.Sink.(sinks.Lake).ReadPart(ctx, t, part, yield)
}

// With real sinks: a row that a CONSTRAINT refuses is set aside by itself, and
// there once when it is replayed; a ClickHouse sink that was added later is
// filled from the lake, ended in the middle and gone on with, and counts exactly
// without FINAL; what it was given itself is not there twice.
func TestRealSinks(t *testing.T) {
	server := clickhousetest.Start(t)
	dir := t.TempDir()
	lakeDir := filepath.Join(dir, "lake")
	lake := &slowLake{}
	var p *Pipeline
	open := func(left int64, names ...string) {
		lake.Sink = openParquet(t, lakeDir)
		lake.left.Store(left)
		o := Options{}
		for _, name := range names {
			few := sinks.Batching{TargetSize: 1 << 20, MaxDelay: time.Second, LateDelay: time.Hour}
			o.Sinks = append(o.Sinks, SinkOptions{Name: name, Sink: openClickHouse(t, server, name), Batching: few})
		}
		p = openOn(t, filepath.Join(dir, "data"), clockwork.NewRealClock(), o, map[string]sinks.Sink{"lake": lake})
	}
	count := func(database string) string {
		return server.Query(t, "SELECT count(), uniqExact(event_id), uniqExact(version) FROM "+database+".activities")
	}
	collect := func(prefix string, lanes int) {
		at := time.Now().Add(-time.Hour)
		f := fakeLanes{lanes: lanes, pages: 3, rows: 30, at: func(int, int, int) time.Time { return at }}
		f.id = func(l, p, r int) string { return fmt.Sprintf("%s-%d-%d-%d", prefix, l, p, r) }
		_, err := runOnce(t, p, relist(f.stream(), prefix))
		require.NoError(t, err)
		require.NoError(t, p.Drain(t.Context()))
		for _, s := range p.sinks {
			s.flush(false)
		}
	}

	open(0, "main")
	collect("a", 2)
	server.Query(t, "ALTER TABLE main.activities ADD CONSTRAINT nice CHECK event_id NOT IN ('b-0-1-7', 'b-2-0-29')")
	collect("b", 3)
	require.Equal(t, "448\t448\t448", count("main"))
	once(t, lakeIDs(t, lakeDir), 450)
	ids, letters := parked(t, p, DeadFilter{Sink: "main"})
	require.Equal(t, []string{"b-0-1-7", "b-2-0-29"}, ids)
	require.Contains(t, letters[0].Reason, "VIOLATED_CONSTRAINT")
	server.Query(t, "ALTER TABLE main.activities DROP CONSTRAINT nice")
	_, err := p.ActOnDead(t.Context(), Replay, DeadFilter{Sink: "main"}, nil)
	require.NoError(t, err)
	require.NoError(t, p.Drain(t.Context()))
	require.Equal(t, "450\t450\t450", count("main"))
	require.NoError(t, p.Close())

	// The new sink gets what comes from now on, and the rest by a fill.
	open(3, "main", "late")
	collect("c", 1)
	require.Equal(t, "90\t90\t90", count("late"))
	_, err = p.StartFill(t.Context(), FillRequest{Sink: "main", Source: "lake"})
	require.ErrorContains(t, err, "nothing to copy")
	_, err = p.StartFill(t.Context(), FillRequest{Sink: "late", Source: "main"})
	require.ErrorContains(t, err, "cannot be read")
	f, err := p.StartFill(t.Context(), FillRequest{Sink: "late", Source: "lake", Since: time.Now().Add(-24 * time.Hour)})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return lake.left.Load() < 0 }, 2*time.Minute, 5*time.Millisecond)
	require.NoError(t, p.Close())

	open(1_000, "main", "late")
	fill := func() Fill {
		fills, err := p.State().Fills(t.Context(), "late")
		require.NoError(t, err)
		return fills[len(fills)-1]
	}
	require.Eventually(t, func() bool { return !fill().Ended.IsZero() }, 2*time.Minute, 5*time.Millisecond)
	require.Equal(t, f.ID, fill().ID)
	require.NoError(t, p.Drain(t.Context()))
	require.Equal(t, "540\t540\t540", count("late"))
	require.Equal(t, "540\t540\t540", count("main"))
	require.Equal(t, server.Query(t, "SELECT sum(cityHash64(event_id, version, raw, time)) FROM main.activities"), server.Query(t, "SELECT sum(cityHash64(event_id, version, raw, time)) FROM late.activities"))

	// Once more, further back: what is there stays there once.
	_, err = p.StartFill(t.Context(), FillRequest{Sink: "late", Source: "lake", Since: time.Now().Add(-240 * time.Hour)})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return !fill().Ended.IsZero() }, 2*time.Minute, 5*time.Millisecond)
	require.Zero(t, fill().Rows)
	require.NoError(t, p.Drain(t.Context()))
	require.Equal(t, "540\t540\t540", count("late"))

	// A state that knows of no fill can tell that there was one.
	gaps, err := p.State().Gaps(t.Context(), "late")
	require.NoError(t, err)
	filled := func(batches ...string) int64 {
		q := sinks.HeldQuery{Table: schemas.ByName("activities"), AfterVersion: time.Now().UnixMicro(), Gaps: gaps, Batches: batches}
		held, err := p.sinkOf("late").sink.(sinks.Holder).Held(t.Context(), q, func(sinks.HeldRow) error { return nil })
		require.NoError(t, err)
		return held.Filled
	}
	require.EqualValues(t, 450, filled())
	rows, id, found := strings.Cut(server.Query(t, "SELECT count(), batch_id FROM late.activities WHERE event_id LIKE 'a-%' GROUP BY batch_id LIMIT 1"), "\t")
	require.True(t, found)
	n, err := strconv.ParseInt(rows, 10, 64)
	require.NoError(t, err)
	require.Equal(t, 450-n, filled(id))
	require.NoError(t, p.Close())
}

// relist gives a stream's lanes names of their own.
func relist(s sources.Stream, prefix string) sources.Stream {
	lanes, read := s.Lanes, s.Read
	s.Lanes = func(ctx context.Context, c sources.Cursor) iter.Seq2[*sources.LanePage, error] {
		return func(yield func(*sources.LanePage, error) bool) {
			for p, err := range lanes(ctx, c) {
				for i := range p.Lanes {
					p.Lanes[i].ID = prefix + p.Lanes[i].ID
				}
				if !yield(p, err) {
					return
				}
			}
		}
	}
	s.Read = func(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
		l.ID = strings.TrimPrefix(l.ID, prefix)
		return read(ctx, l, c)
	}
	return s
}

// pickyLake is a Parquet sink that refuses an event.
type pickyLake struct {
	sinks.Sink
	refuse string
}

func (s pickyLake) Stage(ctx context.Context, p *sinks.Part) (sinks.Staged, error) {
	for i := range p.Batches {
		if p.Table.Name != "activities" || s.refuse == "" {
			break
		}
		e, err := p.Batches[i].Load()
		if err != nil {
			return nil, err
		}
		c, err := schemas.DecodeChunk(p.Table, e)
		if err != nil {
			return nil, err
		}
		b, err := c.JSON()
		c.Release()
		if err != nil {
			return nil, err
		}
		if strings.Contains(string(b), strconv.Quote(s.refuse)) {
			return nil, fault.New(fault.BadData, "no %s", s.refuse)
		}
	}
	return s.Sink.Stage(ctx, p)
}

// Halves in a lake: the marks form one chain and name what is in their files,
// also when the sink gets another name at the same place.
func TestRefusedByLake(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lakeDir, data := filepath.Join(dir, "lake"), filepath.Join(dir, "data")
	for i, name := range []string{"lake", "renamed"} {
		picky := pickyLake{openParquet(t, lakeDir), []string{"0-1-7", ""}[i]}
		p := openOn(t, data, clockwork.NewRealClock(), Options{}, map[string]sinks.Sink{name: struct {
			sinks.Sink
			sinks.Chained
		}{picky, picky.Sink.(sinks.Chained)}})
		f := fakeLanes{lanes: 2, pages: 2, rows: 40}
		f.id = func(l, p, r int) string { return fmt.Sprintf("%d-%d-%d", l+10*i, p, r) }
		_, err := runOnce(t, p, relist(f.stream(), name))
		require.NoError(t, err)
		require.NoError(t, p.Drain(t.Context()))
		ids, _ := parked(t, p, DeadFilter{})
		require.Equal(t, []string{"0-1-7"}, ids)
		m, _, err := p.State().SinkMark(t.Context(), name)
		require.NoError(t, err)
		require.Equal(t, i == 1, m.Used, "a place that was written before cannot be filled")
		require.NoError(t, p.Close())
	}
	once(t, lakeIDs(t, lakeDir), 319)
	marks, err := parquet.ReadMarks(lakeDir, "activities")
	require.NoError(t, err)
	rows := int64(0)
	for i, m := range marks {
		rows += m.Rows
		require.Equal(t, i == 0, m.Previous == "", "one chain")
	}
	require.EqualValues(t, 319, rows)
}

// A detached sink is owed nothing and holds nothing up; attached again, it gets
// what comes, and a fill brings exactly what it missed: what had left the queue
// and what came meanwhile.
func TestDetached(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data, lakeDir, otherDir := filepath.Join(dir, "data"), filepath.Join(dir, "lake"), filepath.Join(dir, "other")
	var p *Pipeline
	open := func(detached bool) {
		big := sinks.Batching{TargetSize: 1 << 20, MaxDelay: 20 * time.Millisecond, LateDelay: time.Hour}
		o := Options{Sinks: []SinkOptions{{Name: "lake", Sink: openParquet(t, lakeDir), Batching: big}, {Name: "other", Detached: detached, Batching: big}}}
		if !detached {
			o.Sinks[1].Sink = openParquet(t, otherDir)
		}
		p = openOn(t, data, clockwork.NewRealClock(), o, nil)
	}
	collect := func(prefix string, old int) {
		at := time.Now()
		f := fakeLanes{lanes: 2, pages: 2, rows: 20, at: func(_, _, r int) time.Time { return at.AddDate(0, 0, -old*(r%2)) }}
		f.id = func(l, p, r int) string { return fmt.Sprintf("%s-%d-%d-%d", prefix, l, p, r) }
		_, err := runOnce(t, p, relist(f.stream(), prefix))
		require.NoError(t, err)
	}
	open(false)
	collect("a", 10) // half of them late: they wait in the queue of both
	rest := func(sink string) bool {
		parts, err := p.State().OpenParts(t.Context(), sink, "")
		require.NoError(t, err)
		waiting, err := p.State().PendingTotals(t.Context())
		require.NoError(t, err)
		return len(parts) == 0 && waiting[Queue{sink, "activities", false}].Rows == 0 && waiting[Queue{sink, "collection_runs", false}].Rows == 0
	}
	require.Eventually(t, func() bool { return rest("lake") && rest("other") }, 2*time.Minute, 10*time.Millisecond)
	once(t, lakeIDs(t, otherDir), 40)
	require.NoError(t, p.Close())

	open(true)
	owed, err := p.State().Owed(t.Context(), "other")
	require.NoError(t, err)
	require.Empty(t, owed)
	collect("b", 0)
	require.NoError(t, p.Drain(t.Context()))
	once(t, lakeIDs(t, lakeDir), 160)
	require.NoError(t, p.Close())
	files, err := filepath.Glob(filepath.Join(data, "spool", "*"+segmentSuffix))
	require.NoError(t, err)
	require.Empty(t, files)

	open(false)
	collect("c", 0)
	require.NoError(t, p.Drain(t.Context()))
	once(t, lakeIDs(t, otherDir), 120)
	_, err = p.StartFill(t.Context(), FillRequest{Sink: "other", Source: "lake", Since: time.Now().AddDate(0, 0, -30)})
	require.NoError(t, err)
	require.Eventually(t, func() bool { return p.filling.Load() == 0 }, 2*time.Minute, 10*time.Millisecond)
	require.NoError(t, p.Drain(t.Context()))
	once(t, lakeIDs(t, otherDir), 240)
	once(t, lakeIDs(t, lakeDir), 240)
	require.NoError(t, p.Close())
}

// A sink that is gone and owed something stops the start until it is forgotten.
func TestForgetSink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	gone := &pickySink{memorySink: newMemorySink(), refuse: func(string) bool { return true }}
	lake := newMemorySink()
	p := openOn(t, dir, clockwork.NewRealClock(), Options{}, map[string]sinks.Sink{"lake": lake, "gone": gone})
	_, err := runOnce(t, p, fakeLanes{lanes: 2, pages: 2, rows: 20}.stream())
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(lake.counts()) == 80 }, 2*time.Minute, 5*time.Millisecond)
	require.NoError(t, p.Close())

	_, err = Open(t.Context(), testOptions(dir, map[string]sinks.Sink{"lake": lake}))
	require.ErrorIs(t, err, ErrSinkOwed)
	require.ErrorContains(t, err, "weir sinks forget gone")
	require.NoError(t, ForgetSink(t.Context(), testOptions(dir, nil), "gone"))
	p = openOn(t, dir, clockwork.NewRealClock(), Options{}, map[string]sinks.Sink{"lake": lake})
	require.NoError(t, p.Drain(t.Context()))
	letters, err := p.State().FindDead(t.Context(), DeadFilter{})
	require.NoError(t, err)
	require.Empty(t, letters)
	require.NoError(t, p.Close())
	requireExact(t, lake, 80)
}
