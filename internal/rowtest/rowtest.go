// Package rowtest has rows of any table as plain values, so that tests can
// compare what was collected, what a sink holds, and what is true.
package rowtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"weir/schemas"
)

// Row is a row by column name. Values are string, []string, bool, int64 (times
// too, in milliseconds), or nil where unknown.
type Row map[string]any

// Table is rows by key: the key columns after instance, joined.
type Table map[string]Row

const keySep = "\x1f"

// ours are columns that the pipeline fills, or that the truth cannot know.
func ours(t *schemas.Table, column string) bool {
	switch column {
	case "app", "instance", "tenant", "observed_at", "version", "batch_id", "raw",
		"change", "changed_fields", "removed_reason", "not_asked", "scan_id":
		return true
	}
	return t.Column(column) == nil
}

// List returns one table's rows.
func List(t *schemas.Table, rows *schemas.Rows) (out []Row) {
	f := slice(t, rows)
	for k := range f.Len() {
		row := Row{}
		fields(row, f.Index(k))
		out = append(out, row)
	}
	return out
}

// ByKey puts one table's rows by key. A key that occurs twice is an error.
func ByKey(t *schemas.Table, rows *schemas.Rows) (Table, error) {
	out := Table{}
	for _, row := range List(t, rows) {
		if err := out.add(t, row); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// slice is the field of rows that holds a table's: the order of the fields is
// that of the tables.
func slice(t *schemas.Table, rows *schemas.Rows) reflect.Value {
	return reflect.ValueOf(rows).Elem().Field(slices.Index(schemas.Tables(), t))
}

// awkward texts break encoders.
var awkward = []string{"", "", "plain", `{"a": "\u0000", "b": [1, 2]}`, "\x00", "日本語", "\ufffd", "a'b\"c\\d\te", strings.Repeat("0123456789abcde\n", 1024)}

// Fill gives a table n random rows. Times are within the day that begins at day,
// or unknown where they may be; the text of a few is not UTF-8 if bad.
func Fill(r *rand.Rand, t *schemas.Table, rows *schemas.Rows, n int, day schemas.Time, bad bool) {
	f := slice(t, rows)
	f.Set(reflect.MakeSlice(f.Type(), n, n))
	for j := range n {
		fillRow(r, t, f.Index(j), j, day, bad)
	}
}

func fillRow(r *rand.Rand, t *schemas.Table, v reflect.Value, n int, day schemas.Time, bad bool) {
	text := func() string {
		if bad && r.IntN(20) == 0 {
			return "ab\xc3"
		}
		return awkward[r.IntN(len(awkward))]
	}
	for i := range v.NumField() {
		f, sf := v.Field(i), v.Type().Field(i)
		name, _, _ := strings.Cut(sf.Tag.Get("col"), ",")
		c := t.Column(name)
		switch p := f.Addr().Interface().(type) {
		case *string:
			switch {
			case c.Key:
				*p = fmt.Sprintf("%s %d", text(), n)
			case len(c.Enum) > 0:
				*p = c.Enum[r.IntN(len(c.Enum))]
			default:
				*p = text()
			}
		case *[]string:
			size := r.IntN(4)
			if strings.HasPrefix(name, "target_") || strings.HasPrefix(name, "change_") {
				size = n % 3 // lists that must be of one length
			}
			for range size {
				*p = append(*p, text())
			}
		case *int32:
			*p = int32(r.IntN(5) - 1)
		case *int64:
			*p = r.Int64() - 1<<62
		case *schemas.Time:
			if !c.Nullable || r.IntN(3) > 0 {
				*p = day + schemas.Time(r.Int64N(dayMS))
			}
		case *schemas.Opt[bool]:
			*p = schemas.Opt[bool]{Value: r.IntN(2) == 0, Known: r.IntN(3) > 0}
		case *schemas.Opt[int64]:
			*p = schemas.Opt[int64]{Value: r.Int64(), Known: r.IntN(3) > 0}
		default:
			fillRow(r, t, f, n, day, bad) // Diff
		}
	}
}

func fields(row Row, v reflect.Value) {
	for i := range v.NumField() {
		f, sf := v.Field(i), v.Type().Field(i)
		if sf.Anonymous {
			fields(row, f)
			continue
		}
		name, _, _ := strings.Cut(sf.Tag.Get("col"), ",")
		switch x := f.Interface().(type) {
		case schemas.Time:
			row[name] = nil
			if x != 0 {
				row[name] = int64(x)
			}
		case schemas.Opt[bool]:
			row[name] = nil
			if x.Known {
				row[name] = x.Value
			}
		case schemas.Opt[int64]:
			row[name] = nil
			if x.Known {
				row[name] = x.Value
			}
		case []string:
			row[name] = append([]string{}, x...)
		case string:
			row[name] = strings.Clone(x)
		case int32:
			row[name] = int64(x)
		case int64:
			row[name] = x
		}
	}
}

func (t Table) add(s *schemas.Table, row Row) error {
	key := Key(s, row)
	if _, ok := t[key]; ok {
		return fmt.Errorf("%s: the key %q is there twice", s.Name, strings.Split(key, keySep))
	}
	t[key] = row
	return nil
}

// Key is the key of a row, after instance.
func Key(s *schemas.Table, row Row) string {
	var parts []string
	for _, c := range s.Key {
		if c != "instance" {
			parts = append(parts, fmt.Sprint(row[c]))
		}
	}
	return strings.Join(parts, keySep)
}

// Lake folds an instance's rows of a table in a Parquet lake: of rows with one
// key the highest version holds, and removed rows are gone. An event that is
// there twice from the same record is an error.
func Lake(ctx context.Context, dir string, t *schemas.Table, instance string) (Table, error) {
	log, err := LakeLog(ctx, dir, t, instance)
	if err != nil {
		return nil, err
	}
	out := Table{}
	for _, row := range log {
		key := Key(t, row)
		old, ok := out[key]
		if !ok || row["version"].(int64) > old["version"].(int64) {
			out[key] = row
		}
		if ok && !t.Entity && row["raw"] == old["raw"] {
			return nil, fmt.Errorf("%s: %q was delivered twice", t.Name, key)
		}
	}
	for key, row := range out {
		if row["change"] == "removed" {
			delete(out, key)
		}
	}
	return out, nil
}

// LakeLog returns all rows of a table in a Parquet lake, in no order.
func LakeLog(ctx context.Context, dir string, t *schemas.Table, instance string) ([]Row, error) {
	files, err := filepath.Glob(filepath.Join(dir, t.Name, "app=*", "dt=*", "*.parquet"))
	if err != nil {
		return nil, err
	}
	var out []Row
	for _, name := range files {
		rows, err := readParquet(ctx, name)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", name, err)
		}
		for _, r := range rows {
			if instance == "" || r["instance"] == instance {
				out = append(out, r)
			}
		}
	}
	return out, nil
}

func readParquet(ctx context.Context, name string) ([]Row, error) {
	f, err := file.OpenParquetFile(name, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r, err := pqarrow.NewFileReader(f, pqarrow.ArrowReadProperties{BatchSize: 1 << 14}, memory.DefaultAllocator)
	if err != nil {
		return nil, err
	}
	tbl, err := r.ReadTable(ctx)
	if err != nil {
		return nil, err
	}
	defer tbl.Release()
	out := make([]Row, tbl.NumRows())
	for i := range out {
		out[i] = Row{}
	}
	for c := range int(tbl.NumCols()) {
		column, at := tbl.Column(c), 0
		for _, chunk := range column.Data().Chunks() {
			for i := range chunk.Len() {
				out[at][column.Name()] = value(chunk, i)
				at++
			}
		}
	}
	return out, nil
}

func value(a arrow.Array, i int) any {
	if a.IsNull(i) {
		return nil
	}
	switch a := a.(type) {
	case *array.String:
		return strings.Clone(a.Value(i))
	case *array.Dictionary:
		return value(a.Dictionary(), a.GetValueIndex(i))
	case *array.Boolean:
		return a.Value(i)
	case *array.Int32:
		return int64(a.Value(i))
	case *array.Int64:
		return a.Value(i)
	case *array.Timestamp:
		return int64(a.Value(i))
	case *array.List:
		from, to := a.ValueOffsets(i)
		out := []string{}
		for k := from; k < to; k++ {
			out = append(out, fmt.Sprint(value(a.ListValues(), int(k))))
		}
		return out
	}
	return fmt.Sprintf("%s of type %T", a.ValueStr(i), a)
}

// Diff words how got differs from want, at most so many differences a table.
// Lists of entities are sets; volatile columns are compared at day precision.
func Diff(t *schemas.Table, want, got Table, most int) (out []string) {
	n := 0
	kinds := map[string]int{} // differences by column; a few of each are shown
	say := func(kind, format string, args ...any) {
		n++
		if kinds[kind]++; kinds[kind] <= 2 && len(out) < most {
			out = append(out, t.Name+": "+fmt.Sprintf(format, args...))
		}
	}
	for _, key := range sortedKeys(want) {
		g, ok := got[key]
		if !ok {
			say("missing", "%q is missing: %v", strings.Split(key, keySep), brief(want[key]))
			continue
		}
		w := want[key]
		for i := range t.Columns {
			c := &t.Columns[i]
			if ours(t, c.Name) || sameValue(t, c, w[c.Name], g[c.Name]) {
				continue
			}
			say(c.Name, "%q: %s is %#v, want %#v", strings.Split(key, keySep), c.Name, g[c.Name], w[c.Name])
		}
	}
	for _, key := range sortedKeys(got) {
		if _, ok := want[key]; !ok {
			say("too many", "%q is too many: %v", strings.Split(key, keySep), brief(got[key]))
		}
	}
	if n > len(out) {
		out = append(out, fmt.Sprintf("%s: %d differences in all: %v; %d rows wanted, %d got", t.Name, n, kinds, len(want), len(got)))
	}
	return out
}

const dayMS = 86_400_000

func sameValue(t *schemas.Table, c *schemas.Column, w, g any) bool {
	switch w := w.(type) {
	case []string:
		g, ok := g.([]string)
		if !ok || len(w) != len(g) {
			return false
		}
		if t.Entity {
			w, g = slices.Sorted(slices.Values(w)), slices.Sorted(slices.Values(g))
		}
		return slices.Equal(w, g)
	case int64:
		if g, ok := g.(int64); ok && c.Volatile && c.Type == schemas.Millis {
			return w/dayMS == g/dayMS
		}
	}
	return reflect.DeepEqual(w, g)
}

func brief(r Row) string {
	var b strings.Builder
	for _, k := range sortedKeys(r) {
		switch v := r[k].(type) {
		case nil:
		case string:
			if v != "" && k != "raw" {
				fmt.Fprintf(&b, " %s=%.60s", k, v)
			}
		case []string:
			if len(v) > 0 {
				fmt.Fprintf(&b, " %s=%.60v", k, v)
			}
		default:
			fmt.Fprintf(&b, " %s=%v", k, v)
		}
	}
	return b.String()
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
