package pipeline

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strconv"
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
	"weir/sources"
)

var scanStream = StreamID{Instance: "acme-okta", Stream: "accounts"}

// entry of a table as a sink has it.
type entityRow struct {
	table, key, login, change, reason, scan string
	fields                                  []string
	version                                 int64
}

// entitySink keeps the rows of accounts that it is given, in order.
type entitySink struct {
	memorySink
	log  []entityRow
	drop bool // keep nothing
}

func (s *entitySink) Stage(_ context.Context, p *sinks.Part) (sinks.Staged, error) {
	part := &entityPart{s: s}
	for _, b := range p.Batches {
		if s.drop || !strings.HasPrefix(p.Table.Name, "accounts") {
			continue
		}
		e, err := b.Load()
		if err != nil {
			return nil, err
		}
		rec, err := schemas.Decode(p.Table, e)
		if err != nil {
			return nil, err
		}
		text := func(name string, i int) string {
			return strings.Clone(rec.Column(rec.Schema().FieldIndices(name)[0]).(*array.String).Value(i))
		}
		fields := rec.Column(rec.Schema().FieldIndices("changed_fields")[0]).(*array.List)
		versions := rec.Column(rec.Schema().FieldIndices("version")[0]).(*array.Int64)
		for i := range int(rec.NumRows()) {
			r := entityRow{table: p.Table.Name, key: text("account_id", i), login: text("login", i), change: text("change", i), reason: text("removed_reason", i), scan: text("scan_id", i), version: versions.Value(i)}
			from, to := fields.ValueOffsets(i)
			for k := from; k < to; k++ {
				r.fields = append(r.fields, strings.Clone(fields.ListValues().(*array.String).Value(int(k))))
			}
			part.rows = append(part.rows, r)
		}
		rec.Release()
	}
	return part, nil
}

type entityPart struct {
	s    *entitySink
	rows []entityRow
}

func (m *entityPart) Discard() error { return nil }

func (m *entityPart) Commit(context.Context) (sinks.Receipt, error) {
	m.s.mu.Lock()
	defer m.s.mu.Unlock()
	m.s.log = append(m.s.log, m.rows...)
	return sinks.Receipt{}, nil
}

// take returns the rows of a table that came since the last take, by key.
func (s *entitySink) take(table string) map[string]entityRow {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := map[string]entityRow{}
	for _, r := range s.log {
		if r.table == table {
			out[r.key] = r
		}
	}
	s.log = slices.DeleteFunc(s.log, func(r entityRow) bool { return r.table == table })
	return out
}

// fold returns the current state that the log tells.
func (s *entitySink) fold() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := map[string]entityRow{}
	for _, r := range s.log {
		if r.table == "accounts" && r.version > newest[r.key].version {
			newest[r.key] = r
		}
	}
	out := map[string]string{}
	for k, r := range newest {
		if r.change != changeRemoved {
			out[k] = r.login
		}
	}
	return out
}

// world is what a pretended vendor has: lanes of accounts, by id.
type world struct {
	mu       sync.Mutex
	lanes    map[string]map[string]string
	log      []event // what changed, for the delta
	pageSize int
	reads    map[string]int

	fault func(what, lane, at string) error // asked before each page, with its cursor
	show  func(lane, key string) bool       // what the listing does not skip
	raw   string
	more  func(*sources.Page) // changes a page before it is yielded
	ids   map[string]sources.Answer
	asked []string
}

type event struct {
	lane, key string
	gone      bool
}

func newWorld() *world {
	return &world{lanes: map[string]map[string]string{}, pageSize: 3, reads: map[string]int{}}
}

func (w *world) set(lane, key, login string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lanes[lane] == nil {
		w.lanes[lane] = map[string]string{}
	}
	w.lanes[lane][key] = login
	w.log = append(w.log, event{lane, key, false})
}

func (w *world) del(lane, key string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.lanes[lane], key)
	w.log = append(w.log, event{lane, key, true})
}

func (w *world) dropLane(lane string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.lanes, lane)
}

func (w *world) all() map[string]string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := map[string]string{}
	for _, l := range w.lanes {
		maps.Copy(out, l)
	}
	return out
}

func (w *world) hint(lane string) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(w.lanes[lane])) {
		b.WriteString(k + w.lanes[lane][k])
	}
	return b.String()
}

func (w *world) page(lane, after string) ([]schemas.Account, sources.Cursor, bool) {
	var rows []schemas.Account
	keys := slices.Sorted(maps.Keys(w.lanes[lane]))
	last := after
	for _, k := range keys {
		if k <= after {
			continue
		}
		if len(rows) == w.pageSize {
			return rows, sources.Cursor(last), true
		}
		last = k
		if w.show == nil || w.show(lane, k) {
			rows = append(rows, schemas.Account{AccountID: k, Login: w.lanes[lane][k], Raw: w.raw + w.lanes[lane][k]})
		}
	}
	return rows, sources.Cursor(last), false
}

func (w *world) failing(what, lane, at string) error {
	w.mu.Lock()
	fails := w.fault
	w.mu.Unlock()
	if fails == nil {
		return nil
	}
	return fails(what, lane, at)
}

// stream is the world as a connector's stream. kinds: hints, deltas, ask.
func (w *world) stream(info sources.StreamInfo, kinds ...string) sources.Stream {
	info.Name, info.Shape, info.Tables = "accounts", sources.Scan, []string{"accounts"}
	s := sources.Stream{Info: info}
	s.Lanes = func(_ context.Context, c sources.Cursor) iter.Seq2[*sources.LanePage, error] {
		return func(yield func(*sources.LanePage, error) bool) {
			for {
				if err := w.failing("list", "", string(c)); err != nil {
					yield(nil, err)
					return
				}
				w.mu.Lock()
				names := slices.Sorted(maps.Keys(w.lanes))
				p := &sources.LanePage{Next: c, Complete: true}
				for _, n := range names {
					if n <= string(c) {
						continue
					}
					if len(p.Lanes) == 2 {
						p.Complete = false
						break
					}
					l := sources.Lane{ID: n}
					if slices.Contains(kinds, "hints") {
						l.Hint = w.hint(n)
					}
					p.Lanes, p.Next = append(p.Lanes, l), sources.Cursor(n)
				}
				w.mu.Unlock()
				c = p.Next
				if !yield(p, nil) || p.Complete {
					return
				}
			}
		}
	}
	s.Read = func(_ context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
		return func(yield func(*sources.Page, error) bool) {
			for {
				if err := w.failing("read", l.ID, string(c)); err != nil {
					yield(nil, err)
					return
				}
				w.mu.Lock()
				w.reads[l.ID]++
				rows, next, more := w.page(l.ID, string(c))
				p := &sources.Page{Rows: &schemas.Rows{Accounts: rows}, Next: next, More: more}
				if !more && slices.Contains(kinds, "deltas") {
					p.Delta = sources.Cursor(strconv.Itoa(len(w.log)))
				}
				if w.more != nil {
					w.more(p)
				}
				w.mu.Unlock()
				c = next
				if !yield(p, nil) || !more {
					return
				}
			}
		}
	}
	if slices.Contains(kinds, "deltas") {
		s.Delta = func(_ context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
			return func(yield func(*sources.Page, error) bool) {
				if err := w.failing("delta", l.ID, string(c)); err != nil {
					yield(nil, err)
					return
				}
				w.mu.Lock()
				from, _ := strconv.Atoi(string(c))
				p := &sources.Page{Rows: &schemas.Rows{}, Next: sources.Cursor(strconv.Itoa(len(w.log)))}
				touched := map[string]bool{}
				for _, e := range w.log[from:] {
					touched[e.key] = touched[e.key] || e.lane == l.ID
				}
				for k, mine := range touched {
					if login, ok := w.lanes[l.ID][k]; ok && mine {
						p.Rows.Accounts = append(p.Rows.Accounts, schemas.Account{AccountID: k, Login: login, Raw: w.raw + login})
					} else if mine {
						p.Gone = append(p.Gone, sources.Gone{Table: "accounts", Key: []string{k}, Reason: "deleted"})
					}
				}
				w.mu.Unlock()
				yield(p, nil)
			}
		}
	}
	if slices.Contains(kinds, "ask") {
		s.Ask = func(_ context.Context, table string, key []string) (sources.Answer, error) {
			if err := w.failing("ask", key[0], ""); err != nil {
				return "", err
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			w.asked = append(w.asked, key[0])
			if a, ok := w.ids[key[0]]; ok {
				return a, nil
			}
			for _, l := range w.lanes {
				if _, ok := l[key[0]]; ok {
					return sources.Exists, nil
				}
			}
			return sources.Deleted, nil
		}
	}
	return s
}

// scanSite is an installation that scans a world.
type scanSite struct {
	t     testing.TB
	dir   string
	clock clockwork.Clock
	p     *Pipeline
	sinks map[string]*entitySink
	every time.Duration // of snapshots, for the sink "lake"
	poll  time.Duration // 0: an hour
	id    sources.Identity
	who   func() error // fails the question whom the vendor takes the credentials for; nil: never
	filt  string
}

func newScanSite(t testing.TB, names ...string) *scanSite {
	s := &scanSite{t: t, dir: t.TempDir(), clock: testclock.Fast(time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC), 50), sinks: map[string]*entitySink{}}
	s.add(names...)
	return s
}

func (s *scanSite) add(names ...string) {
	for _, n := range names {
		s.sinks[n] = &entitySink{memorySink: *newMemorySink()}
	}
}

func (s *scanSite) open() *Pipeline {
	o := Options{DataDir: s.dir, Clock: s.clock, Rand: rand.Reader, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)}
	o.Tables = []*schemas.Table{schemas.ByName("accounts"), schemas.ByName("collection_runs")}
	for _, name := range slices.Sorted(maps.Keys(s.sinks)) {
		so := SinkOptions{Name: name, Sink: s.sinks[name], Batching: sinks.Batching{TargetSize: 1 << 20, MaxDelay: 20 * time.Millisecond, LateDelay: time.Hour}}
		if name == "lake" {
			so.SnapshotEvery = s.every
		}
		o.Sinks = append(o.Sinks, so)
	}
	p, err := Open(s.t.Context(), o)
	require.NoError(s.t, err)
	require.NoError(s.t, p.Start(s.t.Context()))
	return p
}

// once opens everything, runs one round, delivers and closes.
func (s *scanSite) once(stream sources.Stream) (*StreamRun, error) {
	s.t.Helper()
	s.p = s.open()
	run, err := s.p.NewStreamRun(StreamOptions{
		ID: scanStream, App: "okta", Stream: stream, Every: cmp.Or(s.poll, time.Hour), Parallel: 3, Once: true, Filter: s.filt,
		Identity: func(context.Context) (sources.Identity, error) {
			if s.who != nil {
				return s.id, s.who()
			}
			return s.id, nil
		},
	})
	require.NoError(s.t, err)
	err = run.Run(s.t.Context())
	require.NoError(s.t, s.p.Drain(s.t.Context()))
	require.NoError(s.t, s.p.Close())
	return run, err
}

func (s *scanSite) round(stream sources.Stream) *StreamRun {
	s.t.Helper()
	run, err := s.once(stream)
	require.NoError(s.t, err)
	return run
}

func (s *scanSite) state() ScanState {
	s.t.Helper()
	st, err := ReadState(s.t.Context(), s.dir)
	require.NoError(s.t, err)
	defer st.Close()
	sc, err := st.Scan(s.t.Context(), scanStream)
	require.NoError(s.t, err)
	return sc
}

func changes(rows map[string]entityRow) map[string]string {
	out := map[string]string{}
	for k, r := range rows {
		out[k] = r.change
		if r.reason != "" {
			out[k] += " " + r.reason
		}
		if len(r.fields) > 0 {
			out[k] += " " + strings.Join(r.fields, ",")
		}
	}
	return out
}

func people(w *world, lane string, n int) {
	for i := range n {
		w.set(lane, fmt.Sprintf("%s-%03d", lane, i), fmt.Sprintf("login%d", i))
	}
}

// A vendor that asks to wait is waited for, also by a single run.
func TestAskedToWait(t *testing.T) {
	t.Parallel()
	w := newWorld()
	people(w, "a", 3)
	s := newScanSite(t, "one")
	asked := 0
	s.who = func() error {
		if asked++; asked <= 2*onceAttempts {
			return fault.After(fault.Throttled, time.Second, "quota: the next request can be sent in 1s")
		}
		return nil
	}
	s.round(w.stream(sources.StreamInfo{}))
	require.Equal(t, w.all(), s.sinks["one"].fold())
}

func TestRounds(t *testing.T) {
	t.Parallel()
	w := newWorld()
	people(w, "a", 7)
	people(w, "b", 2)
	people(w, "c", 0)
	w.set("c", "c-000", "x")
	s := newScanSite(t, "one", "two")
	stream := w.stream(sources.StreamInfo{})
	got := func(want map[string]string) {
		t.Helper()
		for _, sink := range s.sinks {
			require.Equal(t, want, changes(sink.take("accounts")))
		}
	}
	first := s.round(stream)
	require.EqualValues(t, 10, first.Stats.Rows.Load())
	added := map[string]string{}
	for k := range w.all() {
		added[k] = "added"
	}
	got(added)

	run := s.round(stream)
	require.Zero(t, run.Stats.Rows.Load(), "nothing has changed")
	require.EqualValues(t, 10, run.Stats.Seen.Load())
	got(map[string]string{})

	w.set("a", "a-001", "renamed")
	w.set("b", "b-new", "hello")
	w.del("a", "a-002")
	s.round(stream)
	got(map[string]string{"a-001": "updated login", "b-new": "added"})
	s.round(stream)
	got(map[string]string{"a-002": "removed unknown"})
	s.round(stream)
	got(map[string]string{})
	w.set("a", "a-002", "login2")
	s.round(stream)
	got(map[string]string{"a-002": "added"})

	w.del("a", "a-003")
	s.round(stream)
	w.set("a", "a-003", "login3")
	s.round(stream)
	w.del("a", "a-003")
	s.round(stream)
	got(map[string]string{})
	s.round(stream)
	got(map[string]string{"a-003": "removed unknown"})

	w.dropLane("b")
	w.set("a", "b-000", "moved")
	s.round(stream)
	got(map[string]string{"b-000": "updated login"})
	s.round(stream)
	got(map[string]string{"b-001": "removed unknown", "b-new": "removed unknown"})
	require.Equal(t, int64(8), s.state().Last.Rows)
}

func TestKeysetAndAsk(t *testing.T) {
	t.Parallel()
	w := newWorld()
	people(w, "a", 9)
	s := newScanSite(t, "one")
	stream := w.stream(sources.StreamInfo{Keyset: true}, "ask")
	s.round(stream)
	s.sinks["one"].take("accounts")
	w.del("a", "a-001")
	w.del("a", "a-002")
	w.del("a", "a-003")
	w.show = func(_, k string) bool { return k != "a-004" } // exists, and is not listed
	w.ids = map[string]sources.Answer{"a-002": sources.SoftDeleted, "a-003": sources.Unsure}
	s.round(stream)
	require.Equal(t, map[string]string{"a-001": "removed deleted", "a-002": "removed soft_deleted", "a-003": "removed unknown"}, changes(s.sinks["one"].take("accounts")))
	require.ElementsMatch(t, []string{"a-001", "a-002", "a-003", "a-004"}, w.asked)

	w.fault = func(what, _, _ string) error {
		if what == "ask" {
			return fault.New(fault.Forbidden, "no")
		}
		return nil
	}
	s.round(stream)
	require.Empty(t, s.sinks["one"].take("accounts"), "forbidden says nothing about the row")
	require.Equal(t, int64(1), s.state().Last.Waiting)
}

// At most 200 absent rows are asked for in a round, the rest in the next.
func TestAskIsBounded(t *testing.T) {
	notUnderRace(t)
	t.Parallel()
	w := newWorld()
	w.pageSize = 1000
	people(w, "a", 999)
	for i := range 9_000 {
		w.set("b", fmt.Sprintf("b-%05d", i), "x")
	}
	s := newScanSite(t, "one")
	stream := w.stream(sources.StreamInfo{Keyset: true}, "ask")
	s.round(stream)
	s.sinks["one"].take("accounts")
	for i := range 300 {
		w.del("a", fmt.Sprintf("a-%03d", i))
	}
	s.round(stream)
	require.Len(t, s.sinks["one"].take("accounts"), 200)
	require.Equal(t, int64(100), s.state().Last.Waiting)
	s.round(stream)
	require.Len(t, s.sinks["one"].take("accounts"), 100)
	require.Equal(t, w.all(), func() map[string]string { s.round(stream); return w.all() }())
}

func TestGuard(t *testing.T) {
	t.Parallel()
	w := newWorld()
	people(w, "a", 200)
	people(w, "b", 30)
	s := newScanSite(t, "one")
	stream := w.stream(sources.StreamInfo{Keyset: true})
	take := func() map[string]entityRow { return s.sinks["one"].take("accounts") }
	s.round(stream)
	take()
	for i := range 30 {
		w.del("a", fmt.Sprintf("a-%03d", i))
	}
	for range 3 {
		run := s.round(stream)
		require.Empty(t, take(), "30 of 230 are too many")
		require.EqualValues(t, 30, run.Stats.Held.Load())
	}
	hold := s.state().Holds["accounts"]
	require.Equal(t, int64(30), hold.Rows)
	require.Equal(t, int64(230), hold.Total)

	// One comes back; the others are accepted. New ones are removed with them.
	w.set("a", "a-007", "login7")
	require.ErrorContains(t, DecideOffline(t.Context(), s.dir, StreamID{"x", "y"}, Accept), "no removals of x/y are held")
	s.round(stream)
	require.Equal(t, int64(29), s.state().Holds["accounts"].Rows)
	require.NoError(t, DecideOffline(t.Context(), s.dir, scanStream, Accept))
	s.round(stream)
	got := take()
	require.Len(t, got, 29)
	require.NotContains(t, got, "a-007")
	require.Empty(t, s.state().Holds)

	// Rejected: as if seen.
	for i := 50; i < 80; i++ {
		w.del("a", fmt.Sprintf("a-%03d", i))
	}
	s.round(stream)
	require.Equal(t, int64(30), s.state().Holds["accounts"].Rows)
	for i := 50; i < 75; i++ {
		w.set("a", fmt.Sprintf("a-%03d", i), fmt.Sprintf("login%d", i))
	}
	require.NoError(t, DecideOffline(t.Context(), s.dir, scanStream, Reject))
	s.round(stream)
	require.Len(t, take(), 5, "still absent, and few")

	// A removed lane's children are not counted.
	w.dropLane("b")
	s.round(stream)
	require.Len(t, take(), 30)
}

// A listing cut short, or a lane that fails, removes nothing, however often.
func TestCutShort(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for _, l := range []string{"a", "b", "c", "d", "e"} {
		people(w, l, 4)
	}
	s := newScanSite(t, "one")
	stream := w.stream(sources.StreamInfo{Keyset: true})
	s.round(stream)
	s.sinks["one"].take("accounts")
	w.del("a", "a-000")
	for _, fails := range []func(what, lane, at string) error{
		func(what, _, at string) error {
			if what == "list" && at != "" {
				return fault.New(fault.Transient, "cut")
			}
			return nil
		},
		func(what, lane, at string) error {
			if what == "read" && lane == "c" && at != "" {
				return fault.New(fault.Transient, "cut")
			}
			return nil
		},
		func(what, lane, at string) error {
			if what == "read" && lane == "c" && at != "" {
				return fault.New(fault.Forbidden, "not any more")
			}
			return nil
		},
	} {
		w.fault = fails
		_, err := s.once(stream)
		require.Error(t, err)
		require.Empty(t, s.sinks["one"].take("accounts"))
	}
	w.fault = nil
	s.round(stream)
	require.Equal(t, map[string]string{"a-000": "removed unknown"}, changes(s.sinks["one"].take("accounts")))
}

// Pages committed before the process ended are not read again.
func TestRoundResumes(t *testing.T) {
	t.Parallel()
	w := newWorld()
	people(w, "a", 12)
	people(w, "b", 3)
	s := newScanSite(t, "one")
	stream := w.stream(sources.StreamInfo{Keyset: true})
	w.fault = func(what, lane, at string) error {
		if what == "read" && lane == "a" && at == "a-005" {
			return fault.New(fault.Auth, "expired")
		}
		return nil
	}
	_, err := s.once(stream)
	require.ErrorContains(t, err, "expired")
	id := s.state().ID
	w.fault, w.reads = nil, map[string]int{}
	s.round(stream)
	require.Equal(t, id, s.state().Last.ID)
	require.Equal(t, 2, w.reads["a"], "two of four pages")
	require.Equal(t, w.all(), s.sinks["one"].fold())
	w.del("a", "a-000")
	s.round(stream)
	require.Equal(t, w.all(), s.sinks["one"].fold())
}

// Whoever looks sees less for a while: nobody is removed. What is really gone is
// found once all is in sight again.
func TestSight(t *testing.T) {
	t.Parallel()
	w := newWorld()
	people(w, "a", 12)
	s := newScanSite(t, "one")
	s.id = sources.Identity{ID: "app", Roles: []string{"read", "admin"}}
	stream := w.stream(sources.StreamInfo{Keyset: true})
	take := func() map[string]string { return changes(s.sinks["one"].take("accounts")) }
	s.round(stream)
	take()
	s.id.Roles = []string{"read"}
	w.show = func(_, k string) bool { return k > "a-003" }
	for range 4 {
		s.round(stream)
		require.Empty(t, take())
	}
	hold := s.state().Holds["accounts"]
	require.True(t, hold.Sight)
	require.Equal(t, int64(4), hold.Rows)
	w.del("a", "a-009")
	s.round(stream)
	require.Equal(t, map[string]string{"a-009": "removed unknown"}, take(), "in sight, and gone")

	w.del("a", "a-001")
	s.id.Roles, w.show = []string{"admin", "more", "read"}, nil
	s.round(stream)
	require.Empty(t, take(), "nothing in the round that sees something new")
	require.Empty(t, s.state().Holds)
	s.round(stream)
	require.Equal(t, map[string]string{"a-001": "removed unknown"}, take())

	s.filt = "only a-00[5-9]"
	w.show = func(_, k string) bool { return k >= "a-005" }
	s.round(stream)
	s.round(stream)
	require.Empty(t, take())
	require.NoError(t, DecideOffline(t.Context(), s.dir, scanStream, Accept))
	s.round(stream)
	require.Equal(t, map[string]string{"a-000": "removed access_lost", "a-002": "removed access_lost", "a-003": "removed access_lost", "a-004": "removed access_lost"}, take())
}

func TestHints(t *testing.T) {
	t.Parallel()
	w := newWorld()
	people(w, "a", 4)
	people(w, "b", 4)
	s := newScanSite(t, "one")
	stream := w.stream(sources.StreamInfo{Keyset: true, FullEvery: 1000 * time.Hour}, "hints")
	s.round(stream)
	s.sinks["one"].take("accounts")
	w.reads = map[string]int{}
	w.del("a", "a-001")
	s.round(stream)
	require.Equal(t, map[string]int{"a": 1}, w.reads)
	require.Equal(t, map[string]string{"a-001": "removed unknown"}, changes(s.sinks["one"].take("accounts")))
	s.add("new")
	s.round(stream)
	require.Equal(t, map[string]int{"a": 2, "b": 2}, w.reads, "a new sink needs every row")
	require.Equal(t, w.all(), s.sinks["new"].fold())
}

// A single run reads a lane that stands by its delta, whenever that is due, and
// others in whole: once, though they are due again before the run ends.
func TestSingleRunReadsDeltas(t *testing.T) {
	t.Parallel()
	w := newWorld()
	people(w, "a", 4)
	people(w, "b", 4)
	s := newScanSite(t, "one")
	s.poll = time.Millisecond
	stream := w.stream(sources.StreamInfo{FullEvery: 1000 * time.Hour}, "deltas")
	list := stream.Lanes
	stream.Lanes = func(ctx context.Context, c sources.Cursor) iter.Seq2[*sources.LanePage, error] {
		return func(yield func(*sources.LanePage, error) bool) {
			for p, err := range list(ctx, c) {
				for i := range p.Lanes {
					p.Lanes[i].Hint = map[string]string{"a": "where it is"}[p.Lanes[i].ID]
				}
				if !yield(p, err) {
					return
				}
			}
		}
	}
	var mu sync.Mutex
	deltas := map[string]int{}
	w.fault = func(what, lane, _ string) error {
		if what == "delta" {
			mu.Lock()
			defer mu.Unlock()
			deltas[lane]++
		}
		return nil
	}
	s.round(stream)
	require.Empty(t, deltas)
	for range 2 {
		clear(deltas)
		w.reads = map[string]int{}
		w.set("a", "a-001", "renamed"+w.lanes["a"]["a-001"])
		w.set("b", "b-001", "renamed"+w.lanes["b"]["b-001"])
		w.del("a", "a-000")
		s.round(stream)
		require.Equal(t, map[string]int{"b": 2}, w.reads)
		require.Equal(t, map[string]int{"a": 1}, deltas)
		require.Equal(t, w.all(), s.sinks["one"].fold())
	}
}

func TestLaterSink(t *testing.T) {
	t.Parallel()
	w := newWorld()
	people(w, "a", 8)
	s := newScanSite(t, "one")
	stream := w.stream(sources.StreamInfo{})
	s.round(stream)
	s.sinks["one"].take("accounts")
	s.add("later")
	w.set("a", "a-001", "renamed")
	s.round(stream)
	require.Equal(t, map[string]string{"a-001": "updated login"}, changes(s.sinks["one"].take("accounts")))
	got := s.sinks["later"].take("accounts")
	require.Len(t, got, 8)
	require.Equal(t, "snapshot", got["a-000"].change)
	require.Equal(t, "updated", got["a-001"].change)
	s.round(stream)
	require.Empty(t, s.sinks["later"].take("accounts"))
	w.set("a", "a-002", "too")
	s.round(stream)
	require.Len(t, s.sinks["later"].take("accounts"), 1)
}

// What many lanes show alike goes to each sink once a round.
func TestShownByManyLanes(t *testing.T) {
	t.Parallel()
	w := newWorld()
	for i := range 5 {
		lane := strconv.Itoa(i)
		w.set(lane, "own"+lane, "login")
		w.set(lane, "shared", "login")
	}
	s := newScanSite(t, "one")
	stream := w.stream(sources.StreamInfo{})
	s.round(stream)
	s.add("later")
	s.round(stream)
	for _, sink := range []string{"one", "later"} {
		require.Equal(t, w.all(), s.sinks[sink].fold())
		require.Len(t, s.sinks[sink].log, 6, "%s", sink)
	}
	w.del("0", "shared")
	s.round(stream)
	s.round(stream)
	require.Equal(t, w.all(), s.sinks["one"].fold(), "the others still show it")
	require.Len(t, s.sinks["one"].log, 6)
}

func TestPeriodicSnapshots(t *testing.T) {
	t.Parallel()
	w := newWorld()
	people(w, "a", 8)
	s := newScanSite(t, "one", "lake")
	s.every = 24 * time.Hour
	stream := w.stream(sources.StreamInfo{})
	s.round(stream)
	got := s.sinks["lake"].take("accounts_snapshot")
	require.Len(t, got, 8)
	require.Equal(t, "snapshot", got["a-000"].change)
	require.Equal(t, s.state().Last.ID, got["a-000"].scan)
	require.Empty(t, s.sinks["one"].take("accounts_snapshot"))
	s.round(stream)
	require.Empty(t, s.sinks["lake"].take("accounts_snapshot"), "not due")
}

func TestComparison(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.set("a", "k", "login")
	w.set("a", "other", "o")
	s := newScanSite(t, "one")
	info := sources.StreamInfo{Mapping: 1}
	edit := func(*schemas.Account) {}
	w.more = func(p *sources.Page) {
		for i := range p.Rows.Accounts {
			if p.Rows.Accounts[i].AccountID == "k" {
				edit(&p.Rows.Accounts[i])
			}
		}
	}
	is := func(want string, fn func(*schemas.Account)) {
		t.Helper()
		edit = fn
		run := s.round(w.stream(info))
		require.Zero(t, run.Stats.Conflicts.Load())
		require.Equal(t, want, changes(s.sinks["one"].take("accounts"))["k"])
	}
	yes, no := schemas.Some(true), schemas.Some(false)
	is("added", func(a *schemas.Account) { a.IsAdmin, a.Emails = yes, []string{"x", "y"} })
	is("", func(a *schemas.Account) { a.IsAdmin, a.Emails = yes, []string{"y", "x"} })
	is("", func(a *schemas.Account) { a.NotAsked, a.Emails = []string{"is_admin"}, []string{"y", "x"} })
	is("updated login", func(a *schemas.Account) {
		a.NotAsked, a.Emails, a.Login = []string{"is_admin"}, []string{"y", "x"}, "new"
	})
	is("snapshot", func(a *schemas.Account) { a.IsAdmin, a.Emails, a.Login = yes, []string{"x", "y"}, "new" })
	is("", func(a *schemas.Account) { a.IsAdmin, a.Emails, a.Login = yes, []string{"x", "y"}, "new" })
	is("updated is_admin", func(a *schemas.Account) { a.IsAdmin, a.Emails, a.Login = no, []string{"x", "y"}, "new" })
	is("", func(a *schemas.Account) { a.IsAdmin, a.Emails, a.Login, a.Raw = no, []string{"x", "y"}, "new", "{}" }) // sent today already
	info.Mapping = 2
	is("", func(a *schemas.Account) { a.IsAdmin, a.Emails, a.Login = no, []string{"x", "y"}, "new" })
	info.Mapping = 3
	is("remapped login,title", func(a *schemas.Account) {
		a.IsAdmin, a.Emails, a.Login, a.Title = no, []string{"x", "y"}, "N", "Dr"
	})
	s.clock = testclock.Fast(time.Date(2026, 10, 2, 1, 0, 0, 0, time.UTC), 50)
	is("updated raw", func(a *schemas.Account) {
		a.IsAdmin, a.Emails, a.Login, a.Title, a.Raw = no, []string{"x", "y"}, "N", "Dr", "{}"
	})
	is("", func(a *schemas.Account) {
		a.IsAdmin, a.Emails, a.Login, a.Title, a.Raw = no, []string{"x", "y"}, "N", "Dr", "{ }"
	})

	// The same key twice: the last wins. A row without a key is kept aside.
	edit = func(*schemas.Account) {}
	w.more = func(p *sources.Page) {
		p.Rows.Accounts = []schemas.Account{{AccountID: "k", Login: "1"}, {Login: "nobody"}, {AccountID: "k", Login: "2"}, {AccountID: "other", Login: "o"}, {AccountID: "other", Login: "o"}}
	}
	run := s.round(w.stream(info))
	require.EqualValues(t, 1, run.Stats.Conflicts.Load())
	require.EqualValues(t, 1, run.Stats.Rejected.Load())
	require.Equal(t, "2", s.sinks["one"].take("accounts")["k"].login)
}
