package parquet

import (
	"context"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/cespare/xxhash/v2"

	"weir/schemas"
	"weir/sinks"
)

var _ sinks.Holder = (*sink)(nil)

const heldRows = 8192 // read at a time

// Held implements sinks.Holder: it follows the chain of marks.
func (s *sink) Held(ctx context.Context, q sinks.HeldQuery, visit func(sinks.HeldRow) error) (h sinks.Held, err error) {
	marks, err := ReadMarks(s.root, q.Table.Name)
	if err != nil {
		return h, err
	}
	from := 0
	for i, m := range marks {
		if m.Part == q.AfterPart {
			from = i + 1
		}
		h.LastPart = m.Part
	}
	h.Batches = map[string]int64{}
	asked := map[string]bool{}
	for _, b := range q.Batches {
		asked[b] = true
	}
	for _, m := range marks { // a batch may have gone out with any part that the asker has not heard of
		for _, b := range m.Batches {
			if asked[b.ID] {
				h.Batches[b.ID] += b.Rows
			}
		}
	}
	want := append([]string{"instance", "batch_id", "version", "observed_at", q.Table.DateColumn}, q.Columns...)
	if q.Table.Name == schemas.TableActivities {
		want = append(want, "raw")
	}
	filled := func(row *sinks.HeldRow) bool { return !asked[row.BatchID] && sinks.Within(q.Gaps, row.Version) }
	for _, m := range marks[from:] {
		h.Parts++
		h.After = append(h.After, m.Part)
		for _, f := range m.Files {
			err := s.readMarked(ctx, f, want, heldRows, func(rec arrow.RecordBatch) error {
				return heldRecord(rec, q, func(row *sinks.HeldRow) error {
					h.MaxVersion = max(h.MaxVersion, row.Version)
					if filled(row) {
						h.Filled++
					}
					return visit(*row)
				})
			})
			if err != nil {
				return h, err
			}
		}
	}
	return h, nil
}

func heldRecord(rec arrow.RecordBatch, q sinks.HeldQuery, visit func(*sinks.HeldRow) error) error {
	column := func(name string) arrow.Array {
		if i := rec.Schema().FieldIndices(name); len(i) > 0 {
			return rec.Column(i[0])
		}
		return nil
	}
	text := func(name string) (func(int) string, error) {
		switch a := column(name).(type) {
		case nil:
			return func(int) string { return "" }, nil
		case *array.String:
			return a.Value, nil
		case *array.Dictionary:
			if d, ok := a.Dictionary().(*array.String); ok {
				return func(i int) string { return d.Value(a.GetValueIndex(i)) }, nil
			}
		}
		return nil, fmt.Errorf("column %s is no text", name)
	}
	number := func(name string) (func(int) int64, error) {
		switch a := column(name).(type) {
		case *array.Int64:
			return a.Value, nil
		case *array.Timestamp:
			return func(i int) int64 { return int64(a.Value(i)) }, nil
		}
		return nil, fmt.Errorf("column %s is no number", name)
	}
	var texts []func(int) string
	for _, name := range append([]string{"instance", "batch_id", "raw"}, q.Columns...) {
		fn, err := text(name)
		if err != nil {
			return err
		}
		texts = append(texts, fn)
	}
	var numbers []func(int) int64
	for _, name := range []string{"version", "observed_at", q.Table.DateColumn} {
		fn, err := number(name)
		if err != nil {
			return err
		}
		numbers = append(numbers, fn)
	}
	row := sinks.HeldRow{Values: make([]string, len(q.Columns))}
	for i := range int(rec.NumRows()) {
		row.Instance, row.BatchID, row.Content = texts[0](i), texts[1](i), 0
		if raw := texts[2](i); raw != "" {
			row.Content = xxhash.Sum64String(raw)
		}
		for k := range q.Columns {
			row.Values[k] = texts[3+k](i)
		}
		row.Version, row.ObservedAt, row.Time = numbers[0](i), schemas.Time(numbers[1](i)), schemas.Time(numbers[2](i))
		if err := visit(&row); err != nil {
			return err
		}
	}
	return nil
}
