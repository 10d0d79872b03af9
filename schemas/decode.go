package schemas

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/klauspost/compress/zstd"

	"weir/internal/fault"
)

// maxHead bounds a Head before compression, in bytes.
const maxHead = 64 << 10

var (
	decompressHead = must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxHead)))
	decompressBody = must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxBody)))
)

// Decode returns a batch in today's schema: columns that it lacks hold their
// defaults, columns that are no longer declared are left out. Damaged input is
// a permanent error, and what is returned can be read without a panic. The
// caller releases the record.
func Decode(t *Table, e Encoded) (arrow.RecordBatch, error) {
	rec, err := decode(t, e)
	if err != nil {
		return nil, fault.New(fault.Permanent, "decoding a batch of %s: %w", t.Name, err)
	}
	return rec, nil
}

func decode(t *Table, e Encoded) (rec arrow.RecordBatch, err error) {
	defer func() {
		if v := recover(); v != nil { // arrow-go panics on some malformed input
			rec, err = nil, fmt.Errorf("malformed: %v", v)
		}
	}()
	head, err := decompressHead.DecodeAll(e.Head, nil)
	if err != nil {
		return nil, fmt.Errorf("its schema: %w", err)
	}
	body, err := decompressBody.DecodeAll(e.Body, nil)
	if err != nil {
		return nil, err
	}
	r, err := ipc.NewReaderFromMessageReader(&messages{left: [][]byte{head, body}}, ipc.WithAllocator(noMemory{}))
	if err != nil {
		return nil, fmt.Errorf("its schema: %w", err)
	}
	defer r.Release()
	if err := checkHead(t, r.Schema()); err != nil {
		return nil, err
	}
	if !r.Next() {
		if r.Err() != nil {
			return nil, r.Err()
		}
		return nil, errors.New("no rows in it")
	}
	old := r.RecordBatch()
	// Every row takes some bytes, so that defaults cannot outgrow the input.
	if old.NumRows() > int64(len(body)) {
		return nil, fmt.Errorf("%d rows in %d bytes", old.NumRows(), len(body))
	}
	return today(t, old)
}

func checkHead(t *Table, s *arrow.Schema) error {
	meta := s.Metadata()
	if name, _ := meta.GetValue(metaTable); name != t.Name {
		return fmt.Errorf("it is of table %q", name)
	}
	v, _ := meta.GetValue(metaVersion)
	version, err := strconv.Atoi(v)
	if err != nil {
		return fmt.Errorf("schema version %q", v)
	}
	if version > Version {
		return fmt.Errorf("it has schema version %d, this Weir knows %d: run the newer version that wrote it", version, Version)
	}
	return nil
}

// today brings a record of any earlier schema into today's, checked.
func today(t *Table, rec arrow.RecordBatch) (arrow.RecordBatch, error) {
	columns := make([]arrow.Array, 0, len(t.Columns))
	defer func() {
		for _, c := range columns {
			c.Release()
		}
	}()
	for i, c := range t.Columns {
		want := t.arrow.Field(i).Type
		old := rec.Schema().FieldIndices(c.Name)
		if len(old) == 0 {
			columns = append(columns, defaults(c, want, int(rec.NumRows())))
			continue
		}
		col := rec.Column(old[0])
		if err := checkColumn(c, want, col); err != nil {
			return nil, fmt.Errorf("column %s %w", c.Name, err)
		}
		col.Retain()
		columns = append(columns, col)
	}
	return array.NewRecordBatch(t.arrow, columns, rec.NumRows()), nil
}

// checkColumn sees to it that nobody who reads the column finds an offset
// beyond its data, or a NULL where none can be.
func checkColumn(c Column, want arrow.DataType, col arrow.Array) error {
	if !arrow.TypeEqual(col.DataType(), want) {
		return fmt.Errorf("is a %s, today's is a %s", col.DataType(), want)
	}
	if err := array.ValidateFull(col); err != nil {
		return fmt.Errorf("is damaged: %w", err)
	}
	nulls := 0
	if !c.Nullable {
		nulls = col.NullN()
	}
	if list, ok := col.(*array.List); ok {
		nulls += list.ListValues().NullN()
	}
	if nulls != 0 {
		return fmt.Errorf("holds %d NULLs, and may hold none", nulls)
	}
	return nil
}

// defaults is a column that nothing is known of.
func defaults(c Column, dt arrow.DataType, n int) arrow.Array {
	b := array.NewBuilder(memory.DefaultAllocator, dt)
	defer b.Release()
	if c.Nullable {
		b.AppendNulls(n)
	} else {
		b.AppendEmptyValues(n)
	}
	return b.NewArray()
}

// HeadColumns returns the names of an encoded batch's columns.
func HeadColumns(head []byte) ([]string, error) {
	names, err := headColumns(head)
	if err != nil {
		return nil, fault.New(fault.Permanent, "reading a schema: %w", err)
	}
	return names, nil
}

func headColumns(head []byte) (names []string, err error) {
	defer func() {
		if v := recover(); v != nil {
			names, err = nil, fmt.Errorf("malformed: %v", v)
		}
	}()
	plain, err := decompressHead.DecodeAll(head, nil)
	if err != nil {
		return nil, err
	}
	r, err := ipc.NewReaderFromMessageReader(&messages{left: [][]byte{plain}}, ipc.WithAllocator(noMemory{}))
	if err != nil {
		return nil, err
	}
	defer r.Release()
	for _, f := range r.Schema().Fields() {
		names = append(names, f.Name)
	}
	return names, nil
}
