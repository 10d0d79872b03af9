package schemas

import (
	"bytes"
	"fmt"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"

	"weir/internal/fault"
)

// Chunk is rows that were encoded once, in today's schema: they can be looked
// at, and some of them encoded again under another batch id. Everything else
// stays as it is, versions included.
type Chunk struct {
	table    *Table
	rec      arrow.RecordBatch
	version  *array.Int64
	times    *array.Timestamp
	instance *array.String
}

// NewChunk takes a record that has the columns of a table, or those that it had
// under an earlier schema. Release it.
func NewChunk(t *Table, rec arrow.RecordBatch) (*Chunk, error) {
	now, err := today(t, rec)
	if err != nil {
		return nil, fault.New(fault.Permanent, "rows of %s: %w", t.Name, err)
	}
	return newChunk(t, now)
}

// DecodeChunk is Decode for a Chunk. Release it.
func DecodeChunk(t *Table, e Encoded) (*Chunk, error) {
	rec, err := Decode(t, e)
	if err != nil {
		return nil, err
	}
	return newChunk(t, rec)
}

func newChunk(t *Table, rec arrow.RecordBatch) (*Chunk, error) {
	c := &Chunk{table: t, rec: rec}
	column := func(name string) arrow.Array { return rec.Column(rec.Schema().FieldIndices(name)[0]) }
	var a, b, d bool
	c.version, a = column("version").(*array.Int64)
	c.times, b = column(t.DateColumn).(*array.Timestamp)
	c.instance, d = column("instance").(*array.String)
	if !a || !b || !d {
		rec.Release()
		return nil, fault.New(fault.Permanent, "rows of %s: the envelope has other types", t.Name)
	}
	return c, nil
}

// Release gives the rows up.
func (c *Chunk) Release() { c.rec.Release() }

// Len returns the number of rows.
func (c *Chunk) Len() int { return int(c.rec.NumRows()) }

// Version returns a row's version.
func (c *Chunk) Version(i int) int64 { return c.version.Value(i) }

// Time returns a row's time, by the table's date column.
func (c *Chunk) Time(i int) Time { return Time(c.times.Value(i)) }

// Instance returns a row's instance.
func (c *Chunk) Instance(i int) string { return c.instance.Value(i) }

// JSON returns all rows as a JSON array of objects, by column.
func (c *Chunk) JSON() ([]byte, error) { return c.rec.MarshalJSON() }

// Encode makes a batch of the given rows, in that order.
func (c *Chunk) Encode(batchID string, rows []int) (Encoded, error) {
	columns := make([]arrow.Array, 0, len(c.table.Columns))
	defer func() {
		for _, col := range columns {
			col.Release()
		}
	}()
	for i, col := range c.rec.Columns() {
		b := array.NewBuilder(memory.DefaultAllocator, c.table.arrow.Field(i).Type)
		err := pick(b, col, rows, c.table.Columns[i].Name == "batch_id", batchID)
		if err == nil {
			columns = append(columns, b.NewArray())
		}
		b.Release()
		if err != nil {
			return Encoded{}, fmt.Errorf("encoding %s.%s: %w", c.table.Name, c.table.Columns[i].Name, err)
		}
	}
	rec := array.NewRecordBatch(c.table.arrow, columns, int64(len(rows)))
	defer rec.Release()
	payload, err := ipc.GetRecordBatchPayload(rec)
	if err != nil {
		return Encoded{}, fmt.Errorf("encoding %s: %w", c.table.Name, err)
	}
	defer payload.Release()
	var plain bytes.Buffer
	if _, err := payload.WritePayload(&plain); err != nil {
		return Encoded{}, fmt.Errorf("encoding %s: %w", c.table.Name, err)
	}
	if plain.Len() > maxBody {
		return Encoded{}, fmt.Errorf("encoding %s: a batch of %d bytes is over the limit of %d", c.table.Name, plain.Len(), maxBody)
	}
	return Encoded{Head: c.table.head, Body: compress.EncodeAll(plain.Bytes(), nil), Plain: int64(plain.Len())}, nil
}

// pick appends the given rows of a column, or the batch id in their place.
func pick(to array.Builder, from arrow.Array, rows []int, isBatch bool, batchID string) error {
	for _, i := range rows {
		if i < 0 || i >= from.Len() {
			return fmt.Errorf("no row %d among %d", i, from.Len())
		}
		if from.IsNull(i) {
			to.AppendNull()
			continue
		}
		switch b := to.(type) {
		case *array.StringBuilder:
			if isBatch {
				b.Append(batchID)
				continue
			}
			b.Append(from.(*array.String).Value(i)) //nolint:forcetypeassert // both are of the table's type
		case *array.Int64Builder:
			b.Append(from.(*array.Int64).Value(i)) //nolint:forcetypeassert // as above
		case *array.Int32Builder:
			b.Append(from.(*array.Int32).Value(i)) //nolint:forcetypeassert // as above
		case *array.BooleanBuilder:
			b.Append(from.(*array.Boolean).Value(i)) //nolint:forcetypeassert // as above
		case *array.TimestampBuilder:
			b.Append(from.(*array.Timestamp).Value(i)) //nolint:forcetypeassert // as above
		case *array.ListBuilder:
			list := from.(*array.List)                            //nolint:forcetypeassert // as above
			items := list.ListValues().(*array.String)            //nolint:forcetypeassert // lists are of text
			values, ok := b.ValueBuilder().(*array.StringBuilder) // as above
			if !ok {
				return fmt.Errorf("a list of %T", b.ValueBuilder())
			}
			b.Append(true)
			lo, hi := list.ValueOffsets(i)
			for k := lo; k < hi; k++ {
				values.Append(items.Value(int(k)))
			}
		default:
			return fmt.Errorf("no copy of a %T", to)
		}
	}
	return nil
}

// RowRange returns the numbers from, from+1, …: n of them.
func RowRange(from, n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = from + i
	}
	return out
}
