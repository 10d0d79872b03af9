package parquet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"weir/internal/fault"
)

// readMarked reads a file of a marked part once it is proved to be the one that its
// mark tells of.
func (s *sink) readMarked(ctx context.Context, f MarkFile, columns []string, atOnce int64, each func(arrow.RecordBatch) error) error {
	if err := check(s.file(f), f); err != nil {
		return err
	}
	n := int64(0)
	err := readFile(ctx, s.file(f), columns, atOnce, func(rec arrow.RecordBatch) error {
		n += rec.NumRows()
		return each(rec)
	})
	if err == nil && n != f.Rows {
		err = fault.New(fault.Permanent, "it holds %d rows, its mark says %d", n, f.Rows)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w", s.file(f), err)
	}
	return nil
}

// readFile reads a file, so many rows at once: of the columns named those that it
// has, or all for nil. A record is valid during each only.
func readFile(ctx context.Context, name string, columns []string, atOnce int64, each func(arrow.RecordBatch) error) (err error) {
	defer func() {
		if v := recover(); v != nil { // arrow-go panics on some damage
			err = fault.New(fault.Permanent, "it is damaged: %v", v)
		}
	}()
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	props := parquet.NewReaderProperties(memory.DefaultAllocator)
	props.BufferedStreamEnabled = true // not whole columns of a row group
	pf, err := file.NewParquetReader(in, file.WithReadProps(props))
	if err != nil {
		return errors.Join(err, in.Close())
	}
	defer func() { err = errors.Join(err, pf.Close()) }()
	r, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{BatchSize: atOnce}, memory.DefaultAllocator)
	if err != nil {
		return err
	}
	var indices []int
	for _, c := range columns {
		if i := pf.MetaData().Schema.ColumnIndexByName(c); i >= 0 {
			indices = append(indices, i)
		}
	}
	rr, err := r.GetRecordReader(ctx, indices, nil)
	if err != nil {
		return err
	}
	defer rr.Release()
	for rr.Next() {
		if err := each(rr.RecordBatch()); err != nil {
			return err
		}
	}
	if err := rr.Err(); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return ctx.Err()
}
