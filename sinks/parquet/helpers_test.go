package parquet

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/schemas"
	"weir/sinks"
)

const firstDay = schemas.Time(1_789_000_000_000) / dayMillis * dayMillis // 2026-09-10

const dayMillis = 86_400_000

// fill puts random values into the rows of a table.
func fill(r *rand.Rand, rows *schemas.Rows, t *schemas.Table, n int) {
	for i, name := range []string{"activities", "accounts", "groups", "group_members", "privileges", "files", "file_permissions", "apps", "app_grants", "collection_runs", "action_log"} {
		if name == t.Name {
			f := reflect.ValueOf(rows).Elem().Field(i)
			f.Set(reflect.MakeSlice(f.Type(), n, n))
			for j := range n {
				fillRow(r, f.Index(j))
			}
		}
	}
}

func fillRow(r *rand.Rand, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Field(i)
		switch p := f.Addr().Interface().(type) {
		case *string:
			*p = text(r)
		case *[]string:
			for range r.IntN(4) {
				*p = append(*p, text(r))
			}
		case *int32:
			*p = int32(r.IntN(5) - 1)
		case *int64:
			*p = r.Int64N(1000)
		case *schemas.Time:
			if r.IntN(3) > 0 {
				*p = firstDay + schemas.Time(r.Int64N(dayMillis))
			}
		case *schemas.Opt[bool]:
			*p = schemas.Opt[bool]{Value: r.IntN(2) == 0, Known: r.IntN(3) > 0}
		case *schemas.Opt[int64]:
			*p = schemas.Opt[int64]{Value: r.Int64(), Known: r.IntN(3) > 0}
		default:
			fillRow(r, f) // Diff
		}
	}
}

func text(r *rand.Rand) string {
	switch r.IntN(10) {
	case 0, 1, 2:
		return ""
	case 3:
		return strings.Repeat("é\x00", r.IntN(300))
	}
	return fmt.Sprintf("text %d", r.IntN(1000))
}

// builder makes parts as the pipeline does: batches in a spool.
type builder struct {
	t     testing.TB
	table *schemas.Table
	part  sinks.Part
}

func newBuilder(t testing.TB, table string, n int, previous string) *builder {
	id := partID(n)
	return &builder{t: t, table: schemas.ByName(table), part: sinks.Part{ID: id, Previous: previous, Table: schemas.ByName(table), SchemaVersion: schemas.Version}}
}

func partID(n int) string { return fmt.Sprintf("01999999-0000-7000-8000-%012d", n) }

// add makes the rows a batch.
func (b *builder) add(app string, rows *schemas.Rows) *builder {
	n := len(b.part.Batches)
	env := schemas.Envelope{App: app, Instance: "one-" + app, Tenant: "t", ObservedAt: firstDay + 1, Version: int64(n) * 10_000, BatchID: fmt.Sprintf("%s-batch-%d", b.part.ID[30:], n)}
	e, err := schemas.NewBuilder(b.table).Encode(env, rows, nil)
	require.NoError(b.t, err)
	batch := sinks.Batch{ID: env.BatchID, App: app, Instance: env.Instance, Rows: int64(rows.Len(b.table)), Bytes: int64(len(e.Head) + len(e.Body))}
	for i := range rows.Len(b.table) {
		at := rows.Time(b.table, i)
		if at == 0 {
			at = env.ObservedAt
		}
		if i == 0 || at < batch.MinTime {
			batch.MinTime = at
		}
		batch.MaxTime = max(batch.MaxTime, at)
	}
	batch.Load = func() (schemas.Encoded, error) { return e, nil }
	if n == 0 {
		b.part.MinTime = batch.MinTime
	}
	b.part.MinTime, b.part.MaxTime = min(b.part.MinTime, batch.MinTime), max(b.part.MaxTime, batch.MaxTime)
	b.part.Batches = append(b.part.Batches, batch)
	b.part.Rows += batch.Rows
	return b
}

// events makes activities, so many on each of the days, clustered by day.
func events(seed uint64, perDay int, days ...int) *schemas.Rows {
	r := rand.New(rand.NewPCG(seed, 1))
	rows := &schemas.Rows{}
	fill(r, rows, schemas.ByName("activities"), perDay*len(days))
	for i := range rows.Activities {
		a := &rows.Activities[i]
		a.EventID = fmt.Sprintf("event-%d-%d", seed, i)
		a.Time = firstDay + schemas.Time(days[i/perDay]*dayMillis) + schemas.Time(r.IntN(dayMillis))
	}
	return rows
}

// threeDays is a part of two apps and three days: five files.
func threeDays(t testing.TB, n int, previous string) *sinks.Part {
	b := newBuilder(t, "activities", n, previous)
	b.add("aws", events(uint64(n)*10+1, 40, 0)).add("aws", events(uint64(n)*10+2, 30, 1, 2)).add("okta", events(uint64(n)*10+3, 20, 0, 1)).add("aws", events(uint64(n)*10+4, 10, 2))
	return &b.part
}

func open(t testing.TB, root string) *sink {
	s := newSink(Config{Path: root, RawColumns: true}, sinks.Env{Name: "lake", Version: "1.2.3"})
	require.NoError(t, s.Prepare(t.Context(), schemas.Tables()))
	return s
}

func deliver(t testing.TB, s *sink, p *sinks.Part) sinks.Receipt {
	t.Helper()
	staged, err := s.Stage(context.Background(), p)
	require.NoError(t, err)
	r, err := staged.Commit(context.Background())
	require.NoError(t, err)
	return r
}

// tree reads every file below a folder, by its path.
func tree(t testing.TB, root string) map[string]string {
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(p)
		rel, _ := filepath.Rel(root, p)
		out[rel] = string(b)
		return err
	}))
	return out
}

// visible is the tree without what lies aside.
func visible(t testing.TB, root string) map[string]string {
	out := tree(t, root)
	for name := range out {
		if strings.HasPrefix(name, tmpDir) {
			delete(out, name)
		}
	}
	return out
}

func day(n int) string {
	return time.UnixMilli(int64(firstDay)).UTC().AddDate(0, 0, n).Format(time.DateOnly)
}
