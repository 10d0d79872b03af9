// Package sinktest is the suite that every sink must pass. A sink's own test is
// one call of Run; what it is exempt from is printed with the reason.
package sinktest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"weir/internal/fault"
	"weir/internal/rowtest"
	"weir/schemas"
	"weir/sinks"
)

// Place is somewhere a sink can write to: fresh, and a test's own.
type Place interface {
	// Open opens a sink on the place, as another process would.
	Open(t testing.TB) sinks.Sink
	// Read returns all rows of a table that a reader of the place sees.
	Read(t testing.TB, table *schemas.Table) []rowtest.Row
	// Break makes the place refuse everything; mend undoes that.
	Break(t testing.TB) (mend func())
}

// Fixture is what the suite needs of a sink.
type Fixture struct {
	New  func(t testing.TB) Place
	Skip map[string]string // reasons, by the name of a test
	// Own are goroutines that belong to the place, not to the sink.
	Own []goleak.Option
}

// Run runs the suite.
func Run(t *testing.T, f Fixture) {
	tests := map[string]func(*testing.T, Place){
		"prepare is cheap to repeat":                     prepareTwice,
		"every table and type arrives unchanged":         allTypes,
		"a part written again is there once":             again,
		"another process writes a part again":            againElsewhere,
		"a discarded part leaves nothing":                discarded,
		"parts of several tables at the same time":       manyTables,
		"down at start, up later":                        downAtStart,
		"down midway, up later":                          downMidway,
		"the owner record is compared and set":           owner,
		"a cancelled write is not half there":            cancelled,
		"batches of an older schema version":             olderVersion,
		"a batch that the spool cannot give is an error": badBatch,
		"an empty place has no owner":                    noOwner,
	}
	names := make([]string, 0, len(tests))
	for name := range tests {
		names = append(names, name)
	}
	slices.Sort(names)
	for name, reason := range f.Skip {
		require.Contains(t, names, name, "no such test to skip")
		require.NotEmpty(t, reason)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			if reason, ok := f.Skip[name]; ok {
				t.Skip("exempt: " + reason)
			}
			before := append([]goleak.Option{goleak.IgnoreCurrent()}, f.Own...)
			t.Cleanup(func() { goleak.VerifyNone(t, before...) }) // the last: sinks are closed before it
			tests[name](t, f.New(t))
		})
	}
}

const day = schemas.Time(1_789_000_000_000) / 86_400_000 * 86_400_000 // 2026-09-10

// made is a part with the rows it holds.
type made struct {
	*sinks.Part
	rows []rowtest.Row
}

// part makes a part of some batches of random rows.
func part(t testing.TB, table *schemas.Table, n int, previous string, batches, rows int) made {
	t.Helper()
	r := rand.New(rand.NewPCG(uint64(n), 7))
	p := made{Part: &sinks.Part{ID: fmt.Sprintf("01999999-0000-7000-8000-%012d", n), Previous: previous, Table: table, SchemaVersion: schemas.Version}}
	for b := range batches {
		in := &schemas.Rows{}
		rowtest.Fill(r, table, in, rows, day+schemas.Time(b)*86_400_000, false)
		env := schemas.Envelope{
			App: "aws", Instance: fmt.Sprintf("one-%d", b), Tenant: "t", ObservedAt: day + 1, Version: int64(n)*1_000_000 + int64(b)*10_000,
			BatchID: fmt.Sprintf("01999999-0000-7000-9000-%06d%06d", n, b),
		}
		e, err := schemas.NewBuilder(table).Encode(env, in, nil)
		require.NoError(t, err)
		batch := sinks.Batch{ID: env.BatchID, App: env.App, Instance: env.Instance, Rows: int64(rows), Bytes: int64(len(e.Head) + len(e.Body))}
		for i, row := range rowtest.List(table, in) {
			at := in.Time(table, i)
			if at == 0 {
				at = env.ObservedAt
			}
			if i == 0 || at < batch.MinTime {
				batch.MinTime = at
			}
			batch.MaxTime = max(batch.MaxTime, at)
			row["app"], row["instance"], row["tenant"], row["observed_at"] = env.App, env.Instance, env.Tenant, int64(env.ObservedAt)
			row["version"], row["batch_id"] = env.Version+int64(i), env.BatchID
			p.rows = append(p.rows, row)
		}
		batch.Load = func() (schemas.Encoded, error) { return e, nil }
		if b == 0 {
			p.MinTime = batch.MinTime
		}
		p.MinTime, p.MaxTime = min(p.MinTime, batch.MinTime), max(p.MaxTime, batch.MaxTime)
		p.Batches = append(p.Batches, batch)
		p.Rows += batch.Rows
	}
	return p
}

func prepared(t testing.TB, place Place) sinks.Sink {
	t.Helper()
	s := place.Open(t)
	require.NoError(t, s.Prepare(t.Context(), schemas.Tables()))
	return s
}

// write writes a part as the pipeline does, which tries again what may pass.
func write(t testing.TB, s sinks.Sink, p *sinks.Part) sinks.Receipt {
	t.Helper()
	var r sinks.Receipt
	require.Eventually(t, func() bool {
		staged, err := s.Stage(t.Context(), p)
		if err == nil {
			if r, err = staged.Commit(t.Context()); err != nil {
				_ = staged.Discard()
			}
		}
		require.NotEqual(t, fault.Permanent, fault.Of(err), "%v", err)
		return err == nil
	}, 30*time.Second, 10*time.Millisecond)
	return r
}

// holds requires that a reader sees exactly these parts.
func holds(t testing.TB, place Place, table *schemas.Table, parts ...made) {
	t.Helper()
	want := map[int64]rowtest.Row{}
	for _, p := range parts {
		for _, r := range p.rows {
			want[r["version"].(int64)] = r
		}
	}
	got := place.Read(t, table)
	require.Len(t, got, len(want), table.Name)
	for _, g := range got {
		w, ok := want[g["version"].(int64)]
		require.True(t, ok, "%s: a row that nobody wrote: %v", table.Name, g)
		for _, c := range table.Columns {
			require.Equal(t, w[c.Name], g[c.Name], "%s.%s of version %d", table.Name, c.Name, g["version"])
		}
	}
}

var accounts = schemas.ByName("accounts")

func prepareTwice(t *testing.T, place Place) {
	s := prepared(t, place)
	for range 3 {
		require.NoError(t, s.Prepare(t.Context(), schemas.Tables()))
	}
	require.NoError(t, prepared(t, place).Prepare(t.Context(), schemas.Tables()))
}

func allTypes(t *testing.T, place Place) {
	s := prepared(t, place)
	for i, table := range schemas.Tables() {
		p := part(t, table, i+1, "", 2, 60)
		r := write(t, s, p.Part)
		require.Positive(t, r.Bytes, table.Name)
		require.False(t, r.Repeat)
		holds(t, place, table, p)
	}
}

func again(t *testing.T, place Place) {
	s := prepared(t, place)
	one := part(t, accounts, 1, "", 2, 50)
	write(t, s, one.Part)
	write(t, s, one.Part)
	two := part(t, accounts, 2, one.ID, 1, 30)
	write(t, s, two.Part)
	write(t, s, two.Part)
	holds(t, place, accounts, one, two)
}

func againElsewhere(t *testing.T, place Place) {
	one := part(t, accounts, 1, "", 2, 50)
	write(t, prepared(t, place), one.Part)
	require.True(t, write(t, prepared(t, place), one.Part).Repeat)
	holds(t, place, accounts, one)
}

func discarded(t *testing.T, place Place) {
	s := prepared(t, place)
	one := part(t, accounts, 1, "", 2, 50)
	staged, err := s.Stage(t.Context(), one.Part)
	require.NoError(t, err)
	holds(t, place, accounts)
	require.NoError(t, staged.Discard())
	holds(t, place, accounts)
	write(t, s, one.Part)
	holds(t, place, accounts, one)
}

func manyTables(t *testing.T, place Place) {
	s := prepared(t, place)
	var wg sync.WaitGroup
	errs := make([]error, len(schemas.Tables()))
	parts := make([][]made, len(schemas.Tables()))
	for i, table := range schemas.Tables() {
		previous := ""
		for n := range 3 {
			p := part(t, table, 100*i+n+1, previous, 1, 40)
			parts[i], previous = append(parts[i], p), p.ID
		}
	}
	for i := range parts {
		wg.Go(func() {
			for _, p := range parts[i] {
				staged, err := s.Stage(t.Context(), p.Part)
				if err == nil {
					_, err = staged.Commit(t.Context())
				}
				errs[i] = errors.Join(errs[i], err)
			}
		})
	}
	wg.Wait()
	require.NoError(t, errors.Join(errs...))
	for i, table := range schemas.Tables() {
		holds(t, place, table, parts[i]...)
	}
}

func downAtStart(t *testing.T, place Place) {
	mend := place.Break(t)
	s := place.Open(t)
	err := s.Prepare(t.Context(), schemas.Tables())
	require.Error(t, err)
	require.NotEqual(t, fault.Permanent, fault.Of(err), "being down may pass")
	mend()
	require.NoError(t, s.Prepare(t.Context(), schemas.Tables()))
	one := part(t, accounts, 1, "", 1, 50)
	write(t, s, one.Part)
	holds(t, place, accounts, one)
}

func downMidway(t *testing.T, place Place) {
	s := prepared(t, place)
	one, two := part(t, accounts, 1, "", 1, 50), part(t, accounts, 2, "01999999-0000-7000-8000-000000000001", 1, 50)
	write(t, s, one.Part)
	staged, err := s.Stage(t.Context(), two.Part)
	require.NoError(t, err)
	mend := place.Break(t)
	_, err = staged.Commit(t.Context())
	require.Error(t, err)
	require.NotEqual(t, fault.Permanent, fault.Of(err), "being down may pass")
	_ = staged.Discard() // it may be unable to
	mend()
	require.NoError(t, s.Prepare(t.Context(), schemas.Tables()))
	write(t, s, two.Part)
	holds(t, place, accounts, one, two)
}

func noOwner(t *testing.T, place Place) {
	o, err := prepared(t, place).Owner(t.Context())
	require.NoError(t, err)
	require.Equal(t, sinks.Owner{}, o)
}

func owner(t *testing.T, place Place) {
	s := prepared(t, place)
	none, err := s.Owner(t.Context())
	require.NoError(t, err)
	require.Equal(t, sinks.Owner{}, none)
	at := time.UnixMilli(int64(day)).UTC()
	mine := sinks.Owner{SinkID: "s", StateID: "one", Generation: 1, Heartbeat: at}
	require.NoError(t, s.SetOwner(t.Context(), sinks.Owner{}, mine))
	other := prepared(t, place)
	got, err := other.Owner(t.Context())
	require.NoError(t, err)
	require.True(t, mine.Equal(got), "%+v", got)
	theirs := sinks.Owner{SinkID: "s", StateID: "two", Generation: 4, Heartbeat: at.Add(time.Minute), Parts: 3}
	require.NoError(t, other.SetOwner(t.Context(), mine, theirs))
	require.ErrorIs(t, s.SetOwner(t.Context(), mine, sinks.Owner{SinkID: "s", StateID: "one", Generation: 2, Heartbeat: at}), sinks.ErrOwnerChanged)
	got, err = s.Owner(t.Context())
	require.NoError(t, err)
	require.True(t, theirs.Equal(got), "%+v", got)
}

// A write whose caller gave up is there wholly or not at all once it is tried
// again.
func cancelled(t *testing.T, place Place) {
	s := prepared(t, place)
	previous, parts := "", []made{}
	for n := range 5 {
		p := part(t, accounts, n+1, previous, 2, 200)
		ctx, cancel := context.WithCancel(t.Context())
		staged, err := s.Stage(ctx, p.Part)
		if err == nil {
			time.AfterFunc(time.Duration(n)*time.Millisecond, cancel)
			if _, err = staged.Commit(ctx); err != nil {
				_ = staged.Discard()
			}
		}
		cancel()
		write(t, s, p.Part)
		previous, parts = p.ID, append(parts, p)
		holds(t, place, accounts, parts...)
	}
}

// Batches that an older Weir has spooled know fewer columns.
func olderVersion(t *testing.T, place Place) {
	if schemas.Version == 1 {
		t.Skip("exempt: version 1 of the schema has no older one")
	}
	s := prepared(t, place)
	one := part(t, accounts, 1, "", 1, 50)
	one.SchemaVersion = schemas.Version - 1
	write(t, s, one.Part)
	holds(t, place, accounts, one)
}

func badBatch(t *testing.T, place Place) {
	s := prepared(t, place)
	one := part(t, accounts, 1, "", 1, 50)
	load := one.Batches[0].Load
	one.Batches[0].Load = func() (schemas.Encoded, error) { return schemas.Encoded{}, errors.New("checksum") }
	staged, err := s.Stage(t.Context(), one.Part)
	if err == nil {
		_, err = staged.Commit(t.Context())
		_ = staged.Discard()
	}
	require.ErrorContains(t, err, "checksum")
	holds(t, place, accounts)
	one.Batches[0].Load = func() (schemas.Encoded, error) {
		e, err := load()
		e.Body = []byte(strings.Repeat("no frame", 10))
		return e, err
	}
	staged, err = s.Stage(t.Context(), one.Part)
	if err == nil {
		_, err = staged.Commit(t.Context())
		_ = staged.Discard()
	}
	require.Error(t, err)
	holds(t, place, accounts)
	one.Batches[0].Load = load
	write(t, s, one.Part)
	holds(t, place, accounts, one)
}
