package schemas

import (
	"bytes"
	"fmt"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/klauspost/compress/zstd"
)

// Encoded is one batch as an Arrow IPC stream in pieces, each a zstd frame: Head
// holds the schema message, Body one record batch message without dictionaries.
// A Head, any number of Bodies made under it, and EOS, one after the other, are
// a zstd-compressed Arrow stream.
//
// One frame a piece, rather than Arrow's own compression of every buffer: it
// is twice as fast and a third smaller on audit logs, and what was spooled can be
// sent as it is under Content-Encoding: zstd.
type Encoded struct {
	Head, Body []byte
	Plain      int64 // bytes of Body before compression; 0 when unknown
}

// maxBody bounds a Body before compression, in bytes.
const maxBody = 1 << 30

var (
	compress = must(zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(2), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false)))

	// EOS ends a stream.
	EOS = compress.EncodeAll([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, nil)
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func encodeHead(s *arrow.Schema) []byte {
	p := ipc.GetSchemaPayload(s, memory.DefaultAllocator)
	defer p.Release()
	var buf bytes.Buffer
	if _, err := p.WritePayload(&buf); err != nil {
		panic(err) // a bytes.Buffer takes everything
	}
	return compress.EncodeAll(buf.Bytes(), nil)
}

// Builder makes batches of one table. It keeps its buffers between batches and
// is not for concurrent use.
type Builder struct {
	t       *Table
	scratch []columnScratch
	plain   bytes.Buffer
}

// columnScratch is the memory of one column.
type columnScratch struct {
	valid   []byte
	offsets []int32 // of a list: where each row's items begin
	inner   []int32 // of strings: where each value begins
	data    []byte
}

// NewBuilder returns a builder for a table.
func NewBuilder(t *Table) *Builder {
	return &Builder{t: t, scratch: make([]columnScratch, len(t.Columns))}
}

// Encode builds a batch of the rows named by index, in its order; nil means
// all. Text that is not UTF-8 has its bad bytes replaced. The result owns its
// memory.
func (b *Builder) Encode(env Envelope, rows *Rows, index []int32) (Encoded, error) {
	return b.encode(rows, index, func(c int, s *columnScratch, index []int32) (*array.Data, bool) {
		if c >= len(envelope) {
			return nil, false
		}
		return envelopeColumn(s, &b.t.Columns[c], env, len(index)), true
	})
}

// encode builds a batch, of whose columns head makes those of the envelope.
func (b *Builder) encode(rows *Rows, index []int32, head func(c int, s *columnScratch, index []int32) (*array.Data, bool)) (Encoded, error) {
	base, have := rows.slice(b.t)
	if index == nil {
		index = make([]int32, have)
		for i := range index {
			index[i] = int32(i)
		}
	}
	for _, i := range index {
		if int(i) >= have || i < 0 {
			return Encoded{}, fmt.Errorf("encoding %s: no row %d among %d", b.t.Name, i, have)
		}
	}
	n := len(index)
	columns := make([]arrow.Array, len(b.t.Columns))
	for c := range b.t.Columns {
		s := &b.scratch[c]
		s.reset()
		data, ok := head(c, s, index)
		if !ok {
			var err error
			if data, err = b.column(c, s, base, index); err != nil {
				return Encoded{}, fmt.Errorf("encoding %s.%s: %w", b.t.Name, b.t.Columns[c].Name, err)
			}
		}
		columns[c] = array.MakeFromData(data)
		data.Release()
	}
	rec := array.NewRecordBatch(b.t.arrow, columns, int64(n))
	defer func() {
		rec.Release()
		for _, c := range columns {
			c.Release()
		}
	}()
	payload, err := ipc.GetRecordBatchPayload(rec)
	if err != nil {
		return Encoded{}, fmt.Errorf("encoding %s: %w", b.t.Name, err)
	}
	defer payload.Release()
	b.plain.Reset()
	if _, err := payload.WritePayload(&b.plain); err != nil {
		return Encoded{}, fmt.Errorf("encoding %s: %w", b.t.Name, err)
	}
	if b.plain.Len() > maxBody { // nobody could decode it
		return Encoded{}, fmt.Errorf("encoding %s: a batch of %d bytes is over the limit of %d: make smaller pages", b.t.Name, b.plain.Len(), maxBody)
	}
	body := compress.EncodeAll(b.plain.Bytes(), make([]byte, 0, b.plain.Len()/6))
	return Encoded{Head: b.t.head, Body: body, Plain: int64(b.plain.Len())}, nil
}

// maxText bounds the text of one column of one batch: Arrow's offsets are int32.
const maxText = 1<<31 - 1

func (s *columnScratch) reset() {
	s.valid, s.offsets, s.inner, s.data = s.valid[:0], s.offsets[:0], s.inner[:0], s.data[:0]
}

func (b *Builder) column(c int, s *columnScratch, base unsafe.Pointer, index []int32) (*array.Data, error) {
	col, n, size := &b.t.Columns[c], len(index), b.t.rowSize
	switch col.Type {
	case String:
		s.inner = append(s.inner, 0)
		for _, i := range index {
			if err := s.text(*at[string](base, size, col.offset, int(i))); err != nil {
				return nil, err
			}
		}
		return s.strings(n), nil
	case List:
		s.inner, s.offsets = append(s.inner, 0), append(s.offsets, 0)
		items := int32(0)
		for _, i := range index {
			list := *at[[]string](base, size, col.offset, int(i))
			for _, v := range list {
				if err := s.text(v); err != nil {
					return nil, err
				}
			}
			items += int32(len(list))
			s.offsets = append(s.offsets, items)
		}
		inner := s.strings(int(items))
		defer inner.Release()
		return array.NewData(col.Type.arrow(), n, []*memory.Buffer{nil, buffer(s.offsets)}, []arrow.ArrayData{inner}, 0, 0), nil
	case Int32:
		for _, i := range index {
			s.inner = append(s.inner, *at[int32](base, size, col.offset, int(i)))
		}
		return array.NewData(col.Type.arrow(), n, []*memory.Buffer{nil, buffer(s.inner)}, nil, 0, 0), nil
	case Int64:
		if col.Nullable {
			for k, i := range index {
				v := at[Opt[int64]](base, size, col.offset, int(i))
				s.int64(v.Value)
				s.mark(k, v.Known)
			}
		} else {
			for _, i := range index {
				s.int64(*at[int64](base, size, col.offset, int(i)))
			}
		}
		return s.fixed(col, n), nil
	case Millis:
		for k, i := range index {
			v := *at[Time](base, size, col.offset, int(i))
			s.int64(int64(v))
			if col.Nullable {
				s.mark(k, v != 0)
			}
		}
		return s.fixed(col, n), nil
	case Bool:
		for k, i := range index {
			v := at[Opt[bool]](base, size, col.offset, int(i))
			if k%8 == 0 {
				s.data = append(s.data, 0)
			}
			if v.Value {
				s.data[k/8] |= 1 << (k % 8)
			}
			s.mark(k, v.Known)
		}
		return s.fixed(col, n), nil
	}
	return nil, fmt.Errorf("no encoding for %s", col.Type)
}

func envelopeColumn(s *columnScratch, col *Column, env Envelope, n int) *array.Data {
	switch col.Name {
	case "observed_at":
		for range n {
			s.int64(int64(env.ObservedAt))
		}
		return s.fixed(col, n)
	case "version":
		for i := range n {
			s.int64(env.Version + int64(i))
		}
		return s.fixed(col, n)
	}
	v := map[string]string{"app": env.App, "instance": env.Instance, "tenant": env.Tenant, "batch_id": env.BatchID}[col.Name]
	v = strings.ToValidUTF8(v, "\ufffd")
	s.inner = append(s.inner, 0)
	for range n {
		s.data = append(s.data, v...)
		s.inner = append(s.inner, int32(len(s.data)))
	}
	return s.strings(n)
}

func (s *columnScratch) text(v string) error {
	if !utf8.ValidString(v) {
		v = strings.ToValidUTF8(v, "\ufffd")
	}
	if len(s.data)+len(v) > maxText {
		return fmt.Errorf("more than %d bytes of text in one batch", maxText)
	}
	s.data = append(s.data, v...)
	s.inner = append(s.inner, int32(len(s.data)))
	return nil
}

func (s *columnScratch) int64(v int64) {
	s.data = append(s.data, unsafe.Slice((*byte)(unsafe.Pointer(&v)), 8)...)
}

func (s *columnScratch) mark(k int, valid bool) {
	if k%8 == 0 {
		s.valid = append(s.valid, 0)
	}
	if valid {
		s.valid[k/8] |= 1 << (k % 8)
	}
}

func (s *columnScratch) strings(n int) *array.Data {
	return array.NewData(arrow.BinaryTypes.String, n, []*memory.Buffer{nil, buffer(s.inner), memory.NewBufferBytes(s.data)}, nil, 0, 0)
}

func (s *columnScratch) fixed(col *Column, n int) *array.Data {
	var valid *memory.Buffer
	nulls := 0
	if col.Nullable {
		valid, nulls = memory.NewBufferBytes(s.valid), array.UnknownNullCount
	}
	return array.NewData(col.Type.arrow(), n, []*memory.Buffer{valid, memory.NewBufferBytes(s.data)}, nil, nulls, 0)
}

func buffer(v []int32) *memory.Buffer {
	return memory.NewBufferBytes(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), 4*len(v)))
}
