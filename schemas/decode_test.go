package schemas

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
)

// A batch spooled by an earlier version is delivered in today's schema.
func TestDecodeOlderSchema(t *testing.T) {
	t.Parallel()
	table := ByName(TableActivities)
	older := func(version string, fields ...arrow.Field) Encoded {
		meta := arrow.NewMetadata([]string{metaTable, metaVersion}, []string{table.Name, version})
		schema := arrow.NewSchema(fields, &meta)
		rb := array.NewRecordBuilder(memory.DefaultAllocator, schema)
		defer rb.Release()
		for i, f := range fields {
			switch f.Type.ID() {
			case arrow.STRING:
				rb.Field(i).(*array.StringBuilder).Append("v")
			default:
				rb.Field(i).(*array.Int64Builder).Append(7)
			}
		}
		rec := rb.NewRecordBatch()
		defer rec.Release()
		payload, err := ipc.GetRecordBatchPayload(rec)
		require.NoError(t, err)
		defer payload.Release()
		var body strings.Builder
		_, err = payload.WritePayload(&body)
		require.NoError(t, err)
		return Encoded{Head: encodeHead(schema), Body: compress.EncodeAll([]byte(body.String()), nil)}
	}
	text := arrow.BinaryTypes.String
	rec, err := Decode(table, older("0", arrow.Field{Name: "gone", Type: text}, arrow.Field{Name: "event_id", Type: text}))
	require.NoError(t, err)
	require.True(t, rec.Schema().Equal(table.Arrow()))
	require.Equal(t, "v", rec.Column(rec.Schema().FieldIndices("event_id")[0]).(*array.String).Value(0))
	require.Equal(t, "", rec.Column(rec.Schema().FieldIndices("raw")[0]).(*array.String).Value(0))
	require.True(t, rec.Column(rec.Schema().FieldIndices("mfa")[0]).IsNull(0))
	rec.Release()

	_, err = Decode(table, older("0", arrow.Field{Name: "event_id", Type: arrow.PrimitiveTypes.Int64}))
	require.ErrorContains(t, err, "column event_id is a int64, today's is a utf8")
	_, err = Decode(table, older(fmt.Sprint(Version+1), arrow.Field{Name: "event_id", Type: text}))
	require.ErrorContains(t, err, "run the newer version")
	_, err = Decode(ByName("files"), older("0", arrow.Field{Name: "event_id", Type: text}))
	require.ErrorContains(t, err, `it is of table "activities"`)
}

// pieces returns a small batch, decompressed.
func pieces(t testing.TB) (head, body []byte) {
	t.Helper()
	rows := &Rows{Activities: []Activity{
		{EventID: "a", Time: 1, MFA: Some(true), TargetIDs: []string{"t", ""}, Raw: "{}"},
		{EventID: "b", Time: 2, ASN: Some(int64(1))},
	}}
	e, err := NewBuilder(ByName(TableActivities)).Encode(testEnvelope, rows, nil)
	require.NoError(t, err)
	head, err = decompressHead.DecodeAll(e.Head, nil)
	require.NoError(t, err)
	body, err = decompressBody.DecodeAll(e.Body, nil)
	require.NoError(t, err)
	return head, body
}

func pack(head, body []byte) Encoded {
	return Encoded{Head: compress.EncodeAll(head, nil), Body: compress.EncodeAll(body, nil)}
}

func TestDecodeDamage(t *testing.T) {
	t.Parallel()
	head, body := pieces(t)
	put := func(b []byte, at int, v uint32) []byte {
		b = bytes.Clone(b)
		binary.LittleEndian.PutUint32(b[at:], v)
		return b
	}
	whole := pack(head, body)
	for name, c := range map[string]struct {
		e    Encoded
		want string
	}{
		"nothing":              {Encoded{}, "its schema: "},
		"no body":              {Encoded{Head: whole.Head}, "0 bytes that are no Arrow message"},
		"not zstd":             {Encoded{Head: whole.Head, Body: body}, "magic number mismatch"},
		"half a frame":         {Encoded{Head: whole.Head, Body: whole.Body[:len(whole.Body)/2]}, "unexpected EOF"},
		"half a message":       {pack(head, body[:len(body)/2]), "an Arrow message"},
		"two batches":          {pack(head, slices.Concat(body, body)), "an Arrow message with a body of"},
		"a byte too many":      {pack(head, append(bytes.Clone(body), 0)), "an Arrow message with a body of"},
		"schema as rows":       {pack(head, head), "invalid message type"},
		"rows as schema":       {pack(body, body), "its schema: "},
		"metadata of 2 GB":     {pack(head, put(body, 4, 1<<31-1)), "an Arrow message of 2147483647 bytes in"},
		"negative metadata":    {pack(head, put(body, 4, 1<<32-1)), "an Arrow message of 4294967295 bytes in"},
		"no continuation mark": {pack(head, put(body, 0, 4)), "no Arrow message"},
		"schema of 2 MB":       {Encoded{Head: compress.EncodeAll(make([]byte, 2<<20), nil), Body: whole.Body}, "its schema: "},
	} {
		rec, err := Decode(ByName(TableActivities), c.e)
		require.ErrorContains(t, err, c.want, name)
		require.ErrorContains(t, err, "decoding a batch of activities: ", name)
		require.Equal(t, fault.Permanent, fault.Of(err), name)
		require.Nil(t, rec, name)
	}
	for name, b := range map[string][]byte{"nothing": nil, "rows": whole.Body, "half": whole.Head[:len(whole.Head)/2]} {
		_, err := HeadColumns(b)
		require.ErrorContains(t, err, "reading a schema: ", name)
	}
}

// Arrow's own compression of buffers is refused: its lengths are not bounded.
func TestDecodeCompressedBuffers(t *testing.T) {
	t.Parallel()
	table := ByName("group_members")
	b := array.NewRecordBuilder(memory.DefaultAllocator, table.Arrow())
	defer b.Release()
	for _, f := range b.Fields() {
		f.AppendEmptyValue()
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	var stream bytes.Buffer
	w := ipc.NewWriter(&stream, ipc.WithSchema(rec.Schema()), ipc.WithZstd())
	require.NoError(t, w.Write(rec))
	head, err := decompressHead.DecodeAll(table.head, nil)
	require.NoError(t, err)
	_, err = Decode(table, pack(head, stream.Bytes()[len(head):]))
	require.ErrorContains(t, err, "a compressed buffer")
}

// Only what this package makes, or made once, reaches arrow-go.
func TestDecodeForeignSchema(t *testing.T) {
	t.Parallel()
	text := arrow.BinaryTypes.String
	many := make([]arrow.Field, maxColumns+1)
	for i := range many {
		many[i] = arrow.Field{Name: "c", Type: text}
	}
	entries := make([]string, maxMeta+1)
	meta := arrow.NewMetadata(entries, entries)
	for want, c := range map[string]struct {
		fields []arrow.Field
		meta   *arrow.Metadata
	}{
		"a field with a dictionary":              {fields: []arrow.Field{{Name: "c", Type: &arrow.DictionaryType{IndexType: arrow.PrimitiveTypes.Int32, ValueType: text}}}},
		"a field of Arrow type 13":               {fields: []arrow.Field{{Name: "c", Type: arrow.StructOf(many[0])}}},
		"a schema with 1 fields in one place":    {fields: []arrow.Field{{Name: "c", Type: arrow.ListOf(arrow.ListOf(text))}}},
		"a schema with 1001 fields in one place": {fields: many},
		"a schema with 17 entries of metadata":   {meta: &meta},
		"a field with 17 entries of metadata":    {fields: []arrow.Field{{Name: "c", Type: text, Metadata: meta}}},
	} {
		_, err := HeadColumns(encodeHead(arrow.NewSchema(c.fields, c.meta)))
		require.ErrorContains(t, err, want)
	}
}

// A column that was nullable once cannot bring its NULLs.
func TestDecodeNulls(t *testing.T) {
	t.Parallel()
	table := ByName("group_members")
	meta := arrow.NewMetadata([]string{metaTable, metaVersion}, []string{table.Name, "0"})
	schema := arrow.NewSchema([]arrow.Field{{Name: "group_id", Type: arrow.BinaryTypes.String, Nullable: true}}, &meta)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	b.Field(0).AppendNull()
	rec := b.NewRecordBatch()
	defer rec.Release()
	payload, err := ipc.GetRecordBatchPayload(rec)
	require.NoError(t, err)
	defer payload.Release()
	var body bytes.Buffer
	_, err = payload.WritePayload(&body)
	require.NoError(t, err)
	_, err = Decode(table, Encoded{Head: encodeHead(schema), Body: compress.EncodeAll(body.Bytes(), nil)})
	require.ErrorContains(t, err, "column group_id holds 1 NULLs")
}

// Whatever Decode lets through can be read. It gets what lies within the zstd
// frames: the fuzzer would not get through their format.
func FuzzDecode(f *testing.F) {
	head, body := pieces(f)
	f.Add(head, body)
	f.Add(head, body[:len(body)/2])
	f.Add(body, head)
	for i := 3; i < len(body); i += 97 {
		damaged := bytes.Clone(body)
		damaged[i] ^= 0x80
		f.Add(head, damaged)
	}
	for i := 3; i < len(head); i += 97 {
		damaged := bytes.Clone(head)
		damaged[i] ^= 0x80
		f.Add(damaged, body)
	}
	table := ByName(TableActivities)
	f.Fuzz(func(t *testing.T, head, body []byte) {
		e := pack(head, body)
		_, _ = HeadColumns(e.Head)
		rec, err := Decode(table, e)
		if err != nil {
			return
		}
		defer rec.Release()
		require.True(t, rec.Schema().Equal(table.Arrow()))
		for _, c := range rec.Columns() {
			for i := range c.Len() {
				_ = c.ValueStr(i)
			}
		}
	})
}

func FuzzDecodeFrames(f *testing.F) {
	e := pack(pieces(f))
	f.Add(e.Head, e.Body)
	f.Add(e.Body, e.Head)
	f.Fuzz(func(_ *testing.T, head, body []byte) {
		_, _ = HeadColumns(head)
		if rec, err := Decode(ByName(TableActivities), Encoded{Head: head, Body: body}); err == nil {
			rec.Release()
		}
	})
}
