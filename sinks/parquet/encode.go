package parquet

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet/file"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

// encode writes the rows of one file, batch after batch, and tells the mark
// about it.
func (s *sink) encode(ctx context.Context, w io.Writer, p *sinks.Part, sl fileSlice, mf *MarkFile) error {
	out := &counter{w: w, sum: sha256.New()}
	cw, err := newColumnWriter(out, p.Table, s.config.RawColumns, s.version)
	if err != nil {
		return err
	}
	if err := encodeRows(ctx, cw, p, sl, mf); err != nil {
		return err
	}
	if err := cw.close(p.ID); err != nil {
		return err
	}
	if cw.total != sl.rows {
		return fault.New(fault.Permanent, "%d rows were written, the plan has %d", cw.total, sl.rows)
	}
	mf.Bytes, mf.SHA256 = out.n, hex.EncodeToString(out.sum.Sum(nil))
	return nil
}

// encodeRows holds one batch at a time.
func encodeRows(ctx context.Context, cw *columnWriter, p *sinks.Part, sl fileSlice, mf *MarkFile) (err error) {
	var rec arrow.RecordBatch
	loaded := -1
	release := func() {
		if rec != nil {
			rec.Release()
			rec = nil
		}
	}
	defer func() { release() }()
	for _, sp := range sl.spans {
		if err := ctx.Err(); err != nil {
			return err
		}
		if loaded != sp.batch {
			release()
			if rec, err = load(p, sp.batch); err != nil {
				return err
			}
			loaded = sp.batch
		}
		rows := rec.NewSlice(sp.from, sp.to)
		err := cw.write(ctx, rows, size(rec)*(sp.to-sp.from)/rec.NumRows())
		mf.cover(p.Table, rows)
		rows.Release()
		if err != nil {
			return err
		}
	}
	return nil
}

// load decodes a batch and checks it against the plan.
func load(p *sinks.Part, batch int) (arrow.RecordBatch, error) {
	b := p.Batches[batch]
	e, err := b.Load()
	if err != nil {
		return nil, err
	}
	rec, err := schemas.Decode(p.Table, e)
	if err != nil {
		return nil, fmt.Errorf("batch %s: %w", b.ID, err)
	}
	if rec.NumRows() != b.Rows {
		defer rec.Release()
		return nil, fault.New(fault.Permanent, "batch %s holds %d rows, the state says %d", b.ID, rec.NumRows(), b.Rows)
	}
	return rec, nil
}

// size returns the bytes of a whole record.
func size(rec arrow.RecordBatch) (n int64) {
	for _, c := range rec.Columns() {
		n += int64(c.Data().SizeInBytes())
	}
	return n
}

// times returns the column that says which day a row belongs to.
func times(t *schemas.Table, rec arrow.RecordBatch) *array.Timestamp {
	return rec.Column(rec.Schema().FieldIndices(t.DateColumn)[0]).(*array.Timestamp)
}

// splitDays finds the days of a batch that has several. Its rows are clustered
// by day.
func splitDays(p *sinks.Part, batch int, add func(b int, day, from, to int64)) error {
	rec, err := load(p, batch)
	if err != nil {
		return err
	}
	defer rec.Release()
	col := times(p.Table, rec)
	from := int64(0)
	for i := int64(1); i <= rec.NumRows(); i++ {
		day := dayOf(schemas.Time(col.Value(int(from))))
		if i == rec.NumRows() || dayOf(schemas.Time(col.Value(int(i)))) != day {
			add(batch, day, from, i)
			from = i
		}
	}
	return nil
}

// verify checks that a visible file is the one this part would write, and tells
// the mark about it. Without such a file the error is fs.ErrNotExist.
func verify(name, part string, mf *MarkFile) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	bytes, err := io.Copy(sum, f)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	foreign := func(why any) error {
		return fault.New(fault.Permanent, "%s is there already and is not the file of part %s: %v. Somebody else writes this directory; move that file away", name, part, why)
	}
	r, err := file.NewParquetReader(f)
	if err != nil {
		return foreign(err)
	}
	defer r.Close()
	meta := r.MetaData().KeyValueMetadata()
	got, rows := meta.FindValue(metaPart), meta.FindValue(metaRows)
	if got == nil || rows == nil || *got != part || *rows != strconv.FormatInt(mf.Rows, 10) || r.NumRows() != mf.Rows {
		return foreign("its footer names another part or other rows")
	}
	found := MarkFile{Path: mf.Path, Rows: mf.Rows, Bytes: bytes, SHA256: hex.EncodeToString(sum.Sum(nil))}
	for g := range r.NumRowGroups() {
		if err := found.coverStatistics(r.RowGroup(g).MetaData()); err != nil {
			return foreign(err)
		}
	}
	*mf = found
	return nil
}

type counter struct {
	w   io.Writer
	sum interface {
		io.Writer
		Sum([]byte) []byte
	}
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	_, _ = c.sum.Write(p[:n]) // a hash never fails
	return n, err
}
