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
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

// Names in a file's footer.
const (
	metaPart = "weir.part"
	metaRows = "weir.rows"
)

const (
	groupRows    = 100_000   // of a row group
	pageBytes    = 512 << 10 // of a data page, uncompressed
	dictionary   = 256 << 10 // of a dictionary page; beyond, a column is written plain
	maxStatBytes = 128       // longer minima and maxima are left out
)

// plainColumns hold text that hardly repeats: a dictionary would be built in
// vain, and statistics help no reader.
var plainColumns = map[string]bool{"raw": true, "event_id": true, "request_id": true, "reason": true}

func properties(t *schemas.Table, version string) *parquet.WriterProperties {
	o := []parquet.WriterProperty{
		parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1),
		parquet.WithDictionaryDefault(true), parquet.WithDictionaryPageSizeLimit(dictionary),
		parquet.WithDataPageSize(pageBytes), parquet.WithMaxRowGroupLength(groupRows),
		parquet.WithMaxStatsSize(maxStatBytes), parquet.WithVersion(parquet.V2_LATEST), parquet.WithCreatedBy("weir " + version),
	}
	for _, c := range t.Columns {
		if plainColumns[c.Name] {
			o = append(o, parquet.WithDictionaryFor(c.Name, false), parquet.WithStatsFor(c.Name, c.Name == "event_id"))
		}
		if c.Name == "version" || c.Name == t.DateColumn {
			o = append(o, parquet.WithDictionaryFor(c.Name, false), parquet.WithEncodingFor(c.Name, parquet.Encodings.DeltaBinaryPacked))
		}
	}
	return parquet.NewWriterProperties(o...)
}

// encode writes the rows of one file, batch after batch, and tells the mark
// about it.
func encode(ctx context.Context, w io.Writer, version string, p *sinks.Part, sl fileSlice, mf *MarkFile) error {
	out := &counter{w: w, sum: sha256.New()}
	fw, err := pqarrow.NewFileWriter(p.Table.Arrow(), out, properties(p.Table, version), pqarrow.DefaultWriterProps())
	if err != nil {
		return err
	}
	if err := encodeRows(ctx, fw, p, sl, mf); err != nil {
		return err
	}
	for _, kv := range [][2]string{{metaPart, p.ID}, {metaRows, strconv.FormatInt(sl.rows, 10)}} {
		if err := fw.AppendKeyValueMetadata(kv[0], kv[1]); err != nil {
			return err
		}
	}
	if err := fw.Close(); err != nil {
		return err
	}
	if n := int64(fw.NumRows()); n != sl.rows {
		return fault.New(fault.Permanent, "%d rows were written, the plan has %d", n, sl.rows)
	}
	mf.Bytes, mf.SHA256 = out.n, hex.EncodeToString(out.sum.Sum(nil))
	return nil
}

func encodeRows(ctx context.Context, fw *pqarrow.FileWriter, p *sinks.Part, sl fileSlice, mf *MarkFile) (err error) {
	var rec arrow.RecordBatch
	loaded := -1
	release := func() {
		if rec != nil {
			rec.Release()
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
		part := rec.NewSlice(sp.from, sp.to)
		err := fw.WriteBuffered(part)
		mf.cover(p.Table, part)
		part.Release()
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
		rec.Release()
		return nil, fault.New(fault.Permanent, "batch %s holds %d rows, the state says %d", b.ID, rec.NumRows(), b.Rows)
	}
	return rec, nil
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

// verify checks that a visible file is the one this part would write.
func verify(name, part string, mf *MarkFile) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	sum := sha256.New()
	if mf.Bytes, err = io.Copy(sum, f); err != nil {
		return err
	}
	mf.SHA256 = hex.EncodeToString(sum.Sum(nil))
	foreign := func(why any) error {
		return fault.New(fault.Permanent, "%s is there already and is not the file of part %s: %v. Somebody else writes this directory", name, part, why)
	}
	r, err := file.NewParquetReader(f)
	if err != nil {
		return foreign(err)
	}
	defer r.Close()
	meta := r.MetaData().KeyValueMetadata()
	got, rows := meta.FindValue(metaPart), meta.FindValue(metaRows)
	if got == nil || rows == nil || *got != part || *rows != strconv.FormatInt(mf.Rows, 10) || r.NumRows() != mf.Rows {
		return foreign("its footer says otherwise")
	}
	t := schemas.ByName(mf.table())
	for g := range r.NumRowGroups() {
		if err := mf.coverStatistics(t, r.RowGroup(g).MetaData()); err != nil {
			return foreign(err)
		}
	}
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
