package parquet

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	"github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"golang.org/x/sync/errgroup"

	"weir/schemas"
)

// Names in a file's footer.
const (
	metaPart = "weir.part"
	metaRows = "weir.rows"
)

const (
	groupRows    = 100_000   // of a row group
	groupBytes   = 128 << 20 // of a row group, as Arrow
	pageBytes    = 1 << 20   // of a data page, uncompressed
	pageCheck    = 256       // values written between two looks at the page's size
	dictionary   = 256 << 10 // of a dictionary; beyond, the column goes on plain
	maxStatBytes = 128       // longer minima and maxima are left out
	writers      = 2         // columns of a file written at once
)

// plainColumns hold text that hardly repeats: a dictionary would be built in
// vain, and no reader can skip anything by their minima and maxima.
var plainColumns = map[string]bool{"raw": true, "event_id": true, "request_id": true, "reason": true}

// columnWriter writes one file, column by column. pqarrow's own writer takes the
// columns one after the other; here two go on at once, which takes a part a
// third less time: nearly as long as for all others together goes into raw.
type columnWriter struct {
	fields []int // of the table, by column of the file
	schema *arrow.Schema
	file   *file.Writer
	group  file.BufferedRowGroupWriter
	rows   int64 // of the group
	bytes  int64 // of the group
	total  int64
	levels [writers]levels
}

func newColumnWriter(w io.Writer, t *schemas.Table, raw bool, version string) (*columnWriter, error) {
	var fields []int
	var kept []arrow.Field
	for i, f := range t.Arrow().Fields() {
		if f.Name != "raw" || raw {
			fields, kept = append(fields, i), append(kept, f)
		}
	}
	tableMeta := t.Arrow().Metadata()
	s := arrow.NewSchema(kept, &tableMeta)
	props := properties(t, version)
	ps, err := pqarrow.ToParquet(s, props, pqarrow.DefaultWriterProps())
	if err != nil {
		return nil, err
	}
	var meta metadata.KeyValueMetadata
	for i, key := range tableMeta.Keys() {
		if err := meta.Append(key, tableMeta.Values()[i]); err != nil {
			return nil, err
		}
	}
	fw, err := file.NewParquetWriterWithError(w, ps.Root(), file.WithWriterProps(props), file.WithWriteMetadata(meta))
	if err != nil {
		return nil, err
	}
	return &columnWriter{fields: fields, schema: s, file: fw}, nil
}

func properties(t *schemas.Table, version string) *parquet.WriterProperties {
	o := []parquet.WriterProperty{
		parquet.WithCompression(compress.Codecs.Zstd), parquet.WithCompressionLevel(1),
		parquet.WithDictionaryDefault(true), parquet.WithDictionaryPageSizeLimit(dictionary),
		parquet.WithDataPageSize(pageBytes), parquet.WithBatchSize(pageCheck),
		parquet.WithMaxStatsSize(maxStatBytes), parquet.WithVersion(parquet.V2_LATEST), parquet.WithCreatedBy("weir version " + version),
	}
	for _, c := range t.Columns {
		if plainColumns[c.Name] {
			o = append(o, parquet.WithDictionaryFor(c.Name, false), parquet.WithStatsFor(c.Name, false))
		}
		if c.Name == "version" || c.Name == t.DateColumn {
			o = append(o, parquet.WithDictionaryFor(c.Name, false), parquet.WithEncodingFor(c.Name, parquet.Encodings.DeltaBinaryPacked))
		}
	}
	return parquet.NewWriterProperties(o...)
}

// write appends a record that takes so many bytes.
func (w *columnWriter) write(ctx context.Context, rec arrow.RecordBatch, bytes int64) (err error) {
	if w.group == nil || w.rows > 0 && (w.rows+rec.NumRows() > groupRows || w.bytes+bytes > groupBytes) {
		if w.group, err = w.file.AppendBufferedRowGroupChecked(); err != nil {
			return err
		}
		w.rows, w.bytes = 0, 0
	}
	w.rows += rec.NumRows()
	w.bytes += bytes
	w.total += rec.NumRows()
	var g errgroup.Group
	var next atomic.Int64
	columns := int64(len(w.fields))
	for i := range writers {
		g.Go(func() error {
			// The last column, raw, is the largest: it is taken first.
			for c := columns - next.Add(1); c >= 0; c = columns - next.Add(1) {
				if err := w.column(ctx, int(c), rec.Column(w.fields[c]), &w.levels[i]); err != nil {
					return fmt.Errorf("column %s: %w", w.schema.Field(int(c)).Name, err)
				}
			}
			return nil
		})
	}
	return g.Wait()
}

// column appends an array to one column of the row group.
func (w *columnWriter) column(ctx context.Context, c int, a arrow.Array, l *levels) (err error) {
	defer func() {
		if v := recover(); v != nil { // arrow-go panics on some errors
			err = fmt.Errorf("%v", v)
		}
	}()
	cw, err := w.group.Column(c)
	if err != nil {
		return err
	}
	switch field := w.schema.Field(c); {
	case field.Type.ID() == arrow.LIST:
		values := l.ofList(a.(*array.List))
		defer values.Release()
		return pqarrow.WriteArrowToColumn(ctx, cw, values, l.def, l.rep, false)
	case field.Nullable:
		l.ofNullable(a)
		return pqarrow.WriteArrowToColumn(ctx, cw, a, l.def, nil, true)
	}
	return pqarrow.WriteArrowToColumn(ctx, cw, a, nil, nil, false)
}

// levels are Parquet's definition and repetition levels of one array.
type levels struct{ def, rep []int16 }

// ofNullable: 1 is a value, 0 is null.
func (l *levels) ofNullable(a arrow.Array) {
	l.def = l.def[:0]
	for i := range a.Len() {
		v := int16(0)
		if a.IsValid(i) {
			v = 1
		}
		l.def = append(l.def, v)
	}
}

// ofList: an empty list is one entry without a value; in another, each item is
// an entry, and the first one begins the row. It returns the items.
func (l *levels) ofList(a *array.List) arrow.Array {
	l.def, l.rep = l.def[:0], l.rep[:0]
	if a.Len() == 0 {
		return array.NewSlice(a.ListValues(), 0, 0)
	}
	first, _ := a.ValueOffsets(0)
	_, last := a.ValueOffsets(a.Len() - 1)
	for i := range a.Len() {
		from, to := a.ValueOffsets(i)
		if from == to {
			l.def, l.rep = append(l.def, 0), append(l.rep, 0)
			continue
		}
		l.def, l.rep = append(l.def, 1), append(l.rep, 0)
		for range to - from - 1 {
			l.def, l.rep = append(l.def, 1), append(l.rep, 1)
		}
	}
	return array.NewSlice(a.ListValues(), first, last)
}

// close writes the footer.
func (w *columnWriter) close(part string) error {
	for _, kv := range [][2]string{{metaPart, part}, {metaRows, strconv.FormatInt(w.total, 10)}} {
		if err := w.file.AppendKeyValueMetadata(kv[0], kv[1]); err != nil {
			return err
		}
	}
	return w.file.Close()
}
