// Package sourcetest is the suite that every connector must pass. A connector is
// held against the sandbox: what it collects must equal what is true.
package sourcetest

import (
	"context"
	"fmt"
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

// Truth puts one table's rows by key. It reports keys that occur twice.
func Truth(t *schemas.Table, rows *schemas.Rows) (Table, error) {
	out := Table{}
	all := reflect.ValueOf(rows).Elem()
	for i := range all.NumField() {
		if slices.Index(schemas.Tables(), t) != i {
			continue
		}
		f := all.Field(i)
		for k := range f.Len() {
			row := Row{}
			fields(row, f.Index(k))
			if err := out.add(t, row); err != nil {
				return nil, err
			}
		}
	}
	return out, nil
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
	key := keyOf(s, row)
	if _, ok := t[key]; ok {
		return fmt.Errorf("%s: the key %q is there twice", s.Name, strings.Split(key, keySep))
	}
	t[key] = row
	return nil
}

func keyOf(s *schemas.Table, row Row) string {
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
// there twice is an error.
func Lake(ctx context.Context, dir string, t *schemas.Table, instance string) (Table, error) {
	log, err := LakeLog(ctx, dir, t, instance)
	if err != nil {
		return nil, err
	}
	out := Table{}
	for _, row := range log {
		key := keyOf(t, row)
		old, ok := out[key]
		switch {
		case !ok || row["version"].(int64) > old["version"].(int64):
			out[key] = row
		}
		if ok && !t.Entity {
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
	say := func(format string, args ...any) {
		if n++; n <= most {
			out = append(out, t.Name+": "+fmt.Sprintf(format, args...))
		}
	}
	for _, key := range sortedKeys(want) {
		g, ok := got[key]
		if !ok {
			say("%q is missing: %v", strings.Split(key, keySep), brief(want[key]))
			continue
		}
		w := want[key]
		for i := range t.Columns {
			c := &t.Columns[i]
			if ours(t, c.Name) || sameValue(t, c, w[c.Name], g[c.Name]) {
				continue
			}
			say("%q: %s is %#v, want %#v", strings.Split(key, keySep), c.Name, g[c.Name], w[c.Name])
		}
	}
	for _, key := range sortedKeys(got) {
		if _, ok := want[key]; !ok {
			say("%q is too many: %v", strings.Split(key, keySep), brief(got[key]))
		}
	}
	if n > most {
		out = append(out, fmt.Sprintf("%s: and %d more differences, of %d rows wanted, %d got", t.Name, n-most, len(want), len(got)))
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
