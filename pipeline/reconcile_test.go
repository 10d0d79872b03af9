package pipeline

import (
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"weir/internal/rowtest"
	"weir/schemas"
	"weir/sinks"
	"weir/sinks/parquet"
	"weir/sources"
)

// logbook is a vendor's audit trail: one lane, whose cursor is a position.
type logbook struct {
	mu     sync.Mutex
	events []schemas.Activity
}

func (l *logbook) add(id, raw string, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, schemas.Activity{EventID: id, Raw: raw, Time: schemas.Time(at.UnixMilli())})
}

func (l *logbook) stream(name string) sources.Stream {
	return sources.Stream{
		Info: sources.StreamInfo{Name: name, Shape: sources.Log, Tables: []string{"activities"}, Keep: 10 * 24 * time.Hour},
		Read: func(_ context.Context, _ sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
			return func(yield func(*sources.Page, error) bool) {
				at, _ := strconv.Atoi(string(c))
				for {
					l.mu.Lock()
					end := min(at+50, len(l.events))
					rows := &schemas.Rows{Activities: append([]schemas.Activity{}, l.events[at:end]...)}
					more := end < len(l.events)
					l.mu.Unlock()
					at = end
					if !yield(&sources.Page{Rows: rows, Next: sources.Cursor(strconv.Itoa(at)), More: more}, nil) || !more {
						return
					}
				}
			}
		},
	}
}

// lakes is a pipeline over Parquet sinks on real files.
type lakes struct {
	t     testing.TB
	dir   string
	clock clockwork.Clock
	raw   map[string]bool // whether a lake keeps raw
	o     Options
}

func (l *lakes) data() string            { return filepath.Join(l.dir, "data") }
func (l *lakes) path(name string) string { return filepath.Join(l.dir, name) }

// open opens a pipeline over the named lakes. The slow ones get their rows at
// Drain only.
func (l *lakes) open(names []string, slow ...string) (*Pipeline, error) {
	o := l.o
	o.DataDir, o.Clock, o.Rand, o.Metrics = l.data(), l.clock, rand.Reader, prometheus.NewRegistry()
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Tables = []*schemas.Table{schemas.ByName("activities"), schemas.ByName("accounts"), schemas.ByName("collection_runs")}
	for _, name := range names {
		c := parquet.Driver.Config().(*parquet.Config)
		c.Path = l.path(name)
		if keep, ok := l.raw[name]; ok {
			c.RawColumns = keep
		}
		sink, err := parquet.Driver.Open(l.t.Context(), sinks.Env{Name: name, Version: "test", Clock: l.clock}, c)
		require.NoError(l.t, err)
		so := SinkOptions{Name: name, Sink: sink, Batching: sinks.Batching{TargetSize: 1 << 20, MaxDelay: 10 * time.Millisecond, LateDelay: 10 * time.Millisecond}}
		for _, s := range slow {
			if s == name {
				so.Batching.MaxDelay, so.Batching.LateDelay = 24*time.Hour, 24*time.Hour
			}
		}
		o.Sinks = append(o.Sinks, so)
	}
	return Open(l.t.Context(), o)
}

// run collects once, and delivers all if drain.
func (l *lakes) run(names []string, slow []string, drain bool, streams ...sources.Stream) {
	l.t.Helper()
	p, err := l.open(names, slow...)
	require.NoError(l.t, err)
	require.NoError(l.t, p.Start(l.t.Context()))
	for _, s := range streams {
		run, err := p.NewStreamRun(StreamOptions{ID: StreamID{"acme", s.Info.Name}, App: "okta", Stream: s, Every: 20 * time.Millisecond, Parallel: 2, Once: true})
		require.NoError(l.t, err)
		require.NoError(l.t, run.Run(l.t.Context()))
	}
	if drain {
		require.NoError(l.t, p.Drain(l.t.Context()))
	} else {
		for { // the quick lakes have everything
			waiting := int64(0)
			for _, s := range p.sinks {
				t, parts := s.waiting()
				if s.batching.MaxDelay < time.Hour {
					waiting += t.Batches + int64(parts)
				}
			}
			if waiting == 0 {
				break
			}
			<-l.clock.After(5 * time.Millisecond)
		}
	}
	require.NoError(l.t, p.Close())
}

// requireEvents compares a lake with the truth: each event in each of its
// versions, once.
func (l *lakes) requireEvents(name string, truth map[string]int) {
	l.t.Helper()
	rows, err := rowtest.LakeLog(l.t.Context(), l.path(name), schemas.ByName("activities"), "acme")
	require.NoError(l.t, err)
	got := map[string]int{}
	for _, r := range rows {
		raw, _ := r["raw"].(string)
		if raw == "" {
			raw = r["event_id"].(string)
		}
		got[raw]++
	}
	require.Equal(l.t, truth, got, name)
	_, err = parquet.ReadMarks(l.path(name), "activities")
	require.NoError(l.t, err)
}

func copyDir(t testing.TB, from, to string) {
	t.Helper()
	require.NoError(t, os.RemoveAll(to))
	require.NoError(t, os.CopyFS(to, os.DirFS(from)))
}

// A copy of data_dir is put back after more was collected and delivered, by one
// sink more than by the other: refused in words; reconciled, nothing is lost and
// nothing delivered twice, in either.
func TestReconcileRestoredState(t *testing.T) {
	t.Parallel()
	l := &lakes{t: t, dir: t.TempDir(), clock: clockwork.NewRealClock()}
	book, w := &logbook{}, newWorld()
	now := time.Now()
	truth := map[string]int{}
	add := func(from, to int) {
		for i := from; i < to; i++ {
			id := fmt.Sprintf("e%04d", i)
			book.add(id, "raw of "+id, now.Add(-time.Duration(i%100)*time.Hour))
			truth["raw of "+id]++
		}
	}
	both, streams := []string{"lake", "copy"}, []sources.Stream{book.stream("activities"), w.stream(sources.StreamInfo{Keyset: true})}
	add(0, 300)
	for i := range 20 {
		w.set([]string{"a", "b"}[i%2], fmt.Sprintf("k%d", i), "first")
	}
	l.run(both, []string{"copy"}, false, streams...) // copy is owed what lake has
	copyDir(t, l.data(), filepath.Join(l.dir, "snapshot"))

	add(300, 600)
	book.add("e0005", "another raw of e0005", now.Add(-5*time.Hour))
	truth["another raw of e0005"]++
	book.add("year0", "raw of year0", time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)) // an impossible time
	truth["raw of year0"]++
	w.set("a", "k0", "changed after the copy")
	w.set("a", "late", "added after the copy, and gone before it is put back")
	w.set("b", "late2", "added after the copy")
	l.run(both, nil, true, streams...)
	w.del("a", "late")
	w.del("b", "k1")
	add(600, 800)
	book.add("e0310", "another raw of e0310", now.Add(-10*time.Hour))
	truth["another raw of e0310"]++
	l.run(both, []string{"copy"}, false, streams[:1]...)

	copyDir(t, filepath.Join(l.dir, "snapshot"), l.data())
	add(800, 900)
	p, err := l.open(both)
	require.NoError(t, err)
	err = p.Start(t.Context())
	require.ErrorContains(t, err, "this state is older than the sink")
	require.ErrorContains(t, err, "weir state reconcile")
	require.NoError(t, p.Close())

	p, err = l.open(both)
	require.NoError(t, err)
	fills := []StreamTables{{StreamID: StreamID{"acme", "activities"}, Tables: []string{"activities"}}, {StreamID: StreamID{"acme", "accounts"}, Tables: []string{"accounts"}}}
	_, err = p.Reconcile(t.Context(), fills, false)
	require.ErrorContains(t, err, "an agent may still be running")
	out, err := p.Reconcile(t.Context(), fills, true)
	require.NoError(t, err)
	require.NoError(t, p.Close())
	t.Logf("%+v", out)
	require.EqualValues(t, 302, out.Known, "what came after the copy, and a rewritten one; the impossible one counts in two hours; one is in two versions")
	require.EqualValues(t, 201, out.Partly)
	require.Positive(t, out.Delivered)

	l.run(both, nil, true, streams...)
	l.run(both, nil, true, streams...) // and nothing more later
	for _, name := range both {
		l.requireEvents(name, truth)
		got, err := rowtest.Lake(t.Context(), l.path(name), schemas.ByName("accounts"), "acme")
		require.NoError(t, err)
		is := map[string]string{}
		for k, row := range got {
			is[k] = row["login"].(string)
		}
		require.Equal(t, w.all(), is, name)
	}
	st, err := ReadState(t.Context(), l.data())
	require.NoError(t, err)
	paused, err := st.Meta(t.Context(), MetaGovernancePaused)
	require.NoError(t, err)
	require.Contains(t, paused, "restored from a copy")
	require.NoError(t, st.Close())
}

// A state that is gone altogether begins anew: the sinks tell what they have, one
// of them without raw.
func TestReconcileFromNothing(t *testing.T) {
	t.Parallel()
	l := &lakes{t: t, dir: t.TempDir(), clock: clockwork.NewRealClock(), raw: map[string]bool{"slim": false}}
	book := &logbook{}
	truth, slim := map[string]int{}, map[string]int{}
	add := func(from, to int) {
		for i := from; i < to; i++ {
			id := fmt.Sprintf("e%04d", i)
			book.add(id, "raw of "+id, time.Now().Add(-time.Duration(i)*time.Minute))
			truth["raw of "+id]++
			slim[id]++
		}
	}
	both := []string{"lake", "slim"}
	add(0, 300)
	l.run(both, nil, true, book.stream("activities"))
	require.NoError(t, os.RemoveAll(l.data()))
	add(300, 400)
	p, err := l.open(both)
	require.NoError(t, err)
	fills := []StreamTables{{StreamID: StreamID{"acme", "activities"}, Tables: []string{"activities"}}}
	_, err = p.Reconcile(t.Context(), fills, true)
	require.ErrorContains(t, err, "--take-over")
	require.NoError(t, p.Close())
	l.o.TakeOver = true
	p, err = l.open(both)
	require.NoError(t, err)
	out, err := p.Reconcile(t.Context(), fills, true)
	require.NoError(t, err)
	require.EqualValues(t, 300, out.Known)
	require.NoError(t, p.Close())
	l.o.TakeOver = false
	l.run(both, nil, true, book.stream("activities"))
	l.requireEvents("lake", truth)
	l.requireEvents("slim", slim)
}
