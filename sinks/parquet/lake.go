package parquet

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"

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
		err := s.readMarked(ctx, f, nil, readRows, func(rec arrow.RecordBatch) error {
			c, err := schemas.NewChunk(t, rec)
			if err != nil {
				return err
			}
			defer c.Release()
			return yield(app, c)
		})
		if err != nil {
			return err
		}
	}
	return nil
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
