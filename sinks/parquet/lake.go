package parquet

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

var (
	_ sinks.Lake    = (*sink)(nil)
	_ sinks.Chained = (*sink)(nil)
)

const readRows = 16 << 10 // of a chunk

// Parts implements sinks.Lake.
func (s *sink) Parts(_ context.Context, t *schemas.Table) ([]string, error) {
	marks, err := ReadMarks(s.root, t.Name)
	if err != nil {
		return nil, err
	}
	out := make([]string, len(marks))
	for i, m := range marks {
		out[i] = m.Part
	}
	return out, nil
}

// ReadPart implements sinks.Lake. Files of the part that somebody removed are an
// error: what they held is not known.
func (s *sink) ReadPart(ctx context.Context, t *schemas.Table, part string, yield func(string, *schemas.Chunk) error) error {
	m, err := readMark(s.markFile(t.Name, part))
	if err != nil {
		return err
	}
	for _, f := range m.Files {
		app, ok := strings.CutPrefix(path.Base(path.Dir(path.Dir(f.Path))), "app=")
		if !ok {
			return fault.New(fault.Permanent, "mark of part %s: %q is no path of ours", part, f.Path)
		}
		n, err := s.readFile(ctx, t, f, func(c *schemas.Chunk) error { return yield(app, c) })
		if err == nil && n != f.Rows {
			err = fault.New(fault.Permanent, "it holds %d rows, its mark says %d", n, f.Rows)
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", s.file(f), err)
		}
	}
	return nil
}

func (s *sink) readFile(ctx context.Context, t *schemas.Table, f MarkFile, yield func(*schemas.Chunk) error) (rows int64, err error) {
	pf, err := file.OpenParquetFile(s.file(f), false, file.WithReadProps(parquet.NewReaderProperties(memory.DefaultAllocator)))
	if err != nil {
		return 0, err
	}
	defer pf.Close()
	r, err := pqarrow.NewFileReader(pf, pqarrow.ArrowReadProperties{BatchSize: readRows}, memory.DefaultAllocator)
	if err != nil {
		return 0, err
	}
	rr, err := r.GetRecordReader(ctx, nil, nil)
	if err != nil {
		return 0, err
	}
	defer rr.Release()
	for rr.Next() {
		c, err := schemas.NewChunk(t, rr.RecordBatch())
		if err != nil {
			return rows, err
		}
		rows += int64(c.Len())
		err = yield(c)
		c.Release()
		if err != nil {
			return rows, err
		}
	}
	return rows, rr.Err()
}

// LastPart implements sinks.Chained. Marks may be gone that somebody removed
// with old days: then the newest part is the one with the highest id.
func (s *sink) LastPart(_ context.Context, t *schemas.Table) (string, error) {
	if marks, err := ReadMarks(s.root, t.Name); err == nil {
		if len(marks) == 0 {
			return "", nil
		}
		return marks[len(marks)-1].Part, nil
	}
	entries, err := os.ReadDir(s.marksDir(t.Name))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	last := ""
	for _, e := range entries {
		if part, ok := strings.CutSuffix(e.Name(), markSuffix); ok {
			last = max(last, part)
		}
	}
	return last, nil
}
