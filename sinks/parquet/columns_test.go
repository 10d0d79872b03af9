package parquet

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	other "github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"weir/schemas"
	"weir/sinks"
)

// Every table, read back by two libraries, holds what was written.
func TestReadBack(t *testing.T) {
	t.Parallel()
	for _, table := range schemas.Tables() {
		t.Run(table.Name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(7, 7))
			b := newBuilder(t, table.Name, 1, "")
			for range 3 {
				rows := &schemas.Rows{}
				fill(r, rows, table, 700)
				for i := range rows.Activities {
					rows.Activities[i].Time = firstDay + schemas.Time(i)
				}
				for i := range rows.CollectionRuns {
					rows.CollectionRuns[i].StartedAt, rows.CollectionRuns[i].FinishedAt = firstDay+schemas.Time(i), 1
				}
				for i := range rows.ActionLog {
					rows.ActionLog[i].At = firstDay + schemas.Time(i)
				}
				b.add("aws", rows)
			}
			root := t.TempDir()
			s := newSink(Config{Path: root, RawColumns: true}, sinks.Env{})
			require.NoError(t, s.Prepare(t.Context(), schemas.Tables()))
			deliver(t, s, &b.part)
			marks, err := ReadMarks(root, table.Name)
			require.NoError(t, err)
			require.Len(t, marks[0].Files, 1)
			content, err := os.ReadFile(filepath.Join(root, marks[0].Files[0].Path))
			require.NoError(t, err)

			got := readArrow(t, content)
			defer got.Release()
			// Reading gives other names to the items of lists, nothing else.
			for i, f := range table.Arrow().Fields() {
				require.Equal(t, f.Name, got.Schema().Field(i).Name)
				require.Equal(t, f.Nullable, got.Schema().Field(i).Nullable, f.Name)
			}
			compare(t, &b.part, got, content)
		})
	}
}

func readArrow(t *testing.T, content []byte) arrow.Table {
	tbl, err := pqarrow.ReadTable(t.Context(), bytes.NewReader(content), parquet.NewReaderProperties(nil), pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	require.NoError(t, err)
	return tbl
}

// compare checks both readers' values against the batches, column by column.
func compare(t *testing.T, p *sinks.Part, got arrow.Table, content []byte) {
	t.Helper()
	leaves := readOther(t, content)
	require.EqualValues(t, p.Rows, got.NumRows())
	for c, field := range p.Table.Arrow().Fields() {
		var want, inArrow, inOther []any
		for i := range p.Batches {
			rec, err := load(p, i)
			require.NoError(t, err)
			want = append(want, values(rec.Column(c))...)
			rec.Release()
		}
		for _, chunk := range got.Column(c).Data().Chunks() {
			inArrow = append(inArrow, values(chunk)...)
		}
		require.Equal(t, want, inArrow, "%s, by arrow-go", field.Name)
		for _, row := range leaves[c] {
			inOther = append(inOther, valueOf(field.Type, row))
		}
		require.Equal(t, want, inOther, "%s, by parquet-go", field.Name)
	}
}

// values turns an array into plain Go values; nil is null.
func values(a arrow.Array) []any {
	out := make([]any, a.Len())
	for i := range out {
		if a.IsNull(i) {
			continue
		}
		switch a := a.(type) {
		case *array.String:
			out[i] = strings.Clone(a.Value(i))
		case *array.Int32:
			out[i] = a.Value(i)
		case *array.Int64:
			out[i] = a.Value(i)
		case *array.Boolean:
			out[i] = a.Value(i)
		case *array.Timestamp:
			out[i] = int64(a.Value(i))
		case *array.List:
			from, to := a.ValueOffsets(i)
			items := make([]string, 0, to-from)
			for j := from; j < to; j++ {
				items = append(items, strings.Clone(a.ListValues().(*array.String).Value(int(j))))
			}
			out[i] = items
		default:
			panic(a.DataType().String())
		}
	}
	return out
}

func valueOf(dt arrow.DataType, row []other.Value) any {
	if dt.ID() == arrow.LIST {
		items := make([]string, 0, len(row))
		for _, v := range row {
			if v.DefinitionLevel() > 0 {
				items = append(items, string(v.ByteArray()))
			}
		}
		return items
	}
	v := row[0]
	if v.IsNull() {
		return nil
	}
	switch v.Kind() { //nolint:exhaustive // no column has another
	case other.ByteArray:
		return string(v.ByteArray())
	case other.Int32:
		return v.Int32()
	case other.Boolean:
		return v.Boolean()
	}
	return v.Int64()
}

// readOther reads with parquet-go: by column, by row, the values.
func readOther(t *testing.T, content []byte) (out [][][]other.Value) {
	f, err := other.OpenFile(bytes.NewReader(content), int64(len(content)))
	require.NoError(t, err)
	out = make([][][]other.Value, len(f.Schema().Columns()))
	for _, g := range f.RowGroups() {
		rows := g.Rows()
		buf := make([]other.Row, 64)
		for {
			n, err := rows.ReadRows(buf)
			for _, row := range buf[:n] {
				row.Clone().Range(func(c int, v []other.Value) bool {
					out[c] = append(out[c], v)
					return true
				})
			}
			if err != nil {
				break
			}
		}
		require.NoError(t, rows.Close())
	}
	return out
}

func TestRowGroups(t *testing.T) {
	t.Parallel()
	if testing.Short() || raceEnabled {
		t.Skip("encodes much")
	}
	f := func(batches, rows, rawSize int, want ...int64) {
		t.Helper()
		b := newBuilder(t, "groups", 1, "")
		raw := strings.Repeat("r", rawSize)
		for range batches {
			r := &schemas.Rows{Groups: make([]schemas.Group, rows)}
			for i := range r.Groups {
				r.Groups[i].Raw = raw
			}
			b.add("aws", r)
		}
		var got []int64
		m := fileMeta(t, b)
		for g := range m.NumRowGroups() {
			got = append(got, m.RowGroup(g).NumRows())
		}
		require.Equal(t, want, got)
	}
	f(3, 40_000, 0, 80_000, 40_000)
	f(1, groupRows+1, 0, groupRows+1)
	f(7, 20, 1<<20, 120, 20) // 128 MiB hold six batches of 20 MiB
}

func fileMeta(t *testing.T, b *builder) *metadata.FileMetaData {
	root := t.TempDir()
	deliver(t, open(t, root), &b.part)
	marks, err := ReadMarks(root, b.table.Name)
	require.NoError(t, err)
	content, err := os.ReadFile(filepath.Join(root, marks[0].Files[0].Path))
	require.NoError(t, err)
	r, err := file.NewParquetReader(bytes.NewReader(content))
	require.NoError(t, err)
	return r.MetaData()
}

func TestColumnSettings(t *testing.T) {
	t.Parallel()
	rows := events(1, 200, 0)
	for i := range rows.Activities {
		rows.Activities[i].Raw = strings.Repeat("x", 4000)
		rows.Activities[i].UserAgent = strings.Repeat("agent", 100)
		rows.Activities[i].Action = []string{"a", "b"}[i%2]
	}
	m := fileMeta(t, newBuilder(t, "activities", 1, "").add("aws", rows))
	column := func(name string) *metadata.ColumnChunkMetaData {
		i := m.Schema.ColumnIndexByName(name)
		require.GreaterOrEqual(t, i, 0, name)
		c, err := m.RowGroup(0).ColumnChunk(i)
		require.NoError(t, err)
		require.Equal(t, "ZSTD", c.Compression().String())
		return c
	}
	require.NotContains(t, column("raw").Encodings(), parquet.Encodings.RLEDict)
	require.Contains(t, column("action").Encodings(), parquet.Encodings.RLEDict)
	require.Contains(t, column("target_kinds.list.element").Encodings(), parquet.Encodings.RLEDict)
	require.Contains(t, column("time").Encodings(), parquet.Encodings.DeltaBinaryPacked)
	set, err := column("raw").StatsSet()
	require.NoError(t, err)
	require.False(t, set, "no minima and maxima of long text")
	st, err := column("user_agent").Statistics()
	require.NoError(t, err)
	require.False(t, st != nil && st.HasMinMax(), "no minima and maxima of long text")
	st, err = column("action").Statistics()
	require.NoError(t, err)
	require.True(t, st.HasMinMax())
	require.Equal(t, "TIMESTAMP", strings.ToUpper(m.Schema.Column(m.Schema.ColumnIndexByName("time")).LogicalType().String()[:9]))
	require.EqualValues(t, 0, m.Schema.Column(m.Schema.ColumnIndexByName("time")).MaxDefinitionLevel(), "never null")
	require.EqualValues(t, 1, m.Schema.Column(m.Schema.ColumnIndexByName("mfa")).MaxDefinitionLevel(), "may be null")
}

func TestWithoutRaw(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	s := newSink(Config{Path: root}, sinks.Env{})
	require.NoError(t, s.Prepare(t.Context(), schemas.Tables()))
	deliver(t, s, &newBuilder(t, "activities", 1, "").add("aws", events(1, 5, 0)).part)
	deliver(t, s, &newBuilder(t, "group_members", 1, "").add("aws", &schemas.Rows{GroupMembers: make([]schemas.GroupMember, 2)}).part)
	content, err := os.ReadFile(filepath.Join(root, "activities", "app=aws", "dt="+day(0), partID(1)+fileSuffix))
	require.NoError(t, err)
	got := readArrow(t, content)
	defer got.Release()
	require.EqualValues(t, len(schemas.ByName("activities").Columns)-1, got.NumCols())
	require.Empty(t, got.Schema().FieldIndices("raw"))
	require.NotEmpty(t, got.Schema().FieldIndices("status_id"))
}

// Slices of a batch, and lists at their edges, keep their own rows.
func TestSlicesOfBatches(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	rows := &schemas.Rows{}
	lists := [][]string{{}, {"a"}, {}, {"b", "c"}, {"d"}, {}, {}, {"e", "", "f"}, {}}
	for i, l := range lists {
		rows.Activities = append(rows.Activities, schemas.Activity{Time: firstDay + schemas.Time(i/3*dayMillis), TargetIDs: l, MFA: schemas.Opt[bool]{Known: i%2 == 0, Value: true}})
	}
	deliver(t, open(t, root), &newBuilder(t, "activities", 1, "").add("aws", rows).part)
	for d := range 3 {
		content, err := os.ReadFile(filepath.Join(root, "activities", "app=aws", "dt="+day(d), partID(1)+fileSuffix))
		require.NoError(t, err)
		got := readArrow(t, content)
		column := func(name string) []any { return values(got.Column(got.Schema().FieldIndices(name)[0]).Data().Chunk(0)) }
		require.Equal(t, []any{lists[3*d], lists[3*d+1], lists[3*d+2]}, column("target_ids"))
		for i, v := range column("mfa") {
			require.Equal(t, []any{true, nil}[(3*d+i)%2], v)
		}
		got.Release()
	}
}
