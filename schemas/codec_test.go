package schemas

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

var testEnvelope = Envelope{App: "aws", Instance: "trail", Tenant: "111111111111", ObservedAt: 1_700_000_000_000, Version: 1_000, BatchID: "b1"}

func TestEncodeDecode(t *testing.T) {
	t.Parallel()
	rows := &Rows{Activities: []Activity{
		{EventID: "a", Time: 1_689_000_000_000, MFA: Some(true), TargetIDs: []string{"x", "", "z"}, ASN: Some(int64(64500)), TargetCount: 3, Raw: `{"a":1}`},
		{EventID: "b", Time: 1_689_000_000_001, MFA: Some(false)},
		{EventID: "c\xff", Time: 1_689_000_000_002, Raw: strings.Repeat("é", 40_000)},
	}}
	table := ByName(TableActivities)
	b := NewBuilder(table)
	for range 2 { // a builder keeps nothing of the batch before
		e, err := b.Encode(testEnvelope, rows, []int32{2, 0, 1})
		require.NoError(t, err)
		rec, err := Decode(table, e)
		require.NoError(t, err)
		require.True(t, rec.Schema().Equal(table.Arrow()))
		require.EqualValues(t, 3, rec.NumRows())
		get := func(name string) arrow.Array { return rec.Column(rec.Schema().FieldIndices(name)[0]) }
		require.Equal(t, "c\ufffd", get("event_id").(*array.String).Value(0))
		require.Equal(t, "a", get("event_id").(*array.String).Value(1))
		require.Equal(t, rows.Activities[2].Raw, get("raw").(*array.String).Value(0))
		require.Equal(t, "trail", get("instance").(*array.String).Value(2))
		version := get("version").(*array.Int64)
		require.Equal(t, []int64{1000, 1001, 1002}, version.Int64Values())
		mfa := get("mfa").(*array.Boolean)
		require.True(t, mfa.IsNull(0))
		require.True(t, mfa.Value(1))
		require.False(t, mfa.Value(2))
		require.False(t, mfa.IsNull(2))
		require.True(t, get("asn").IsNull(0))
		require.EqualValues(t, 64500, get("asn").(*array.Int64).Value(1))
		lists := get("target_ids").(*array.List)
		from, to := lists.ValueOffsets(1)
		require.EqualValues(t, 3, to-from)
		require.Equal(t, "z", lists.ListValues().(*array.String).Value(int(to)-1))
		require.EqualValues(t, 0, get("target_count").(*array.Int32).Value(2))
		require.EqualValues(t, 1_689_000_000_000, get("time").(*array.Timestamp).Value(1))
		rec.Release()
	}
}

func TestEncodeEveryTable(t *testing.T) {
	t.Parallel()
	rows := &Rows{
		Activities: make([]Activity, 9), Accounts: make([]Account, 9), Groups: make([]Group, 9), GroupMembers: make([]GroupMember, 9),
		Privileges: make([]Privilege, 9), Files: make([]File, 9), FilePermissions: make([]FilePermission, 9), Apps: make([]App, 9),
		AppGrants: make([]AppGrant, 9), CollectionRuns: make([]CollectionRun, 9),
	}
	for _, table := range Tables() {
		require.Equal(t, 9, rows.Len(table))
		e, err := NewBuilder(table).Encode(testEnvelope, rows, nil)
		require.NoError(t, err)
		rec, err := Decode(table, e)
		require.NoError(t, err, table.Name)
		require.EqualValues(t, 9, rec.NumRows())
		names, err := HeadColumns(e.Head)
		require.NoError(t, err)
		require.Len(t, names, len(table.Columns))
		rec.Release()

		empty, err := NewBuilder(table).Encode(testEnvelope, &Rows{}, nil)
		require.NoError(t, err)
		_, err = Decode(table, empty)
		require.NoError(t, err)
	}
	rows.Reset()
	require.Zero(t, rows.Len(ByName("files")))
}

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

func FuzzDecode(f *testing.F) {
	table := ByName(TableActivities)
	e, err := NewBuilder(table).Encode(testEnvelope, &Rows{Activities: []Activity{{EventID: "a", TargetIDs: []string{"t"}}}}, nil)
	require.NoError(f, err)
	plain, err := decompress.DecodeAll(e.Body, nil)
	require.NoError(f, err)
	f.Add(plain)
	f.Add(plain[:len(plain)/2])
	enc, err := zstd.NewWriter(nil)
	require.NoError(f, err)
	f.Fuzz(func(_ *testing.T, body []byte) {
		rec, err := Decode(table, Encoded{Head: e.Head, Body: enc.EncodeAll(body, nil)})
		if err == nil {
			rec.Release()
		}
	})
}

func benchRows() *Rows {
	rows := &Rows{}
	for i := range 1000 {
		rows.Activities = append(rows.Activities, Activity{
			EventID: fmt.Sprintf("6b54e0ad-c23c-4850-b896-%012d", i), Time: Time(1_689_000_000_000 + i), Kind: "admin", Action: "ec2:DescribeInstances",
			Access: "read", Outcome: "success", ActorID: "AIDAEXAMPLE", ActorName: "demo-user", ActorKind: "human", SrcIP: "192.0.2.1", IPs: []string{"192.0.2.1"},
			UserAgent: "aws-cli/2.17", Service: "ec2.amazonaws.com", Region: "us-east-1", ScopeID: "111111111111",
			TargetIDs: []string{"t"}, TargetNames: []string{"n"}, TargetKinds: []string{"other"}, TargetCount: 1,
			Raw: fmt.Sprintf(`{"eventVersion":"1.08","eventID":"%d","pad":"%s"}`, i*7919, strings.Repeat(fmt.Sprintf("k%d:", i%97), 300)),
		})
	}
	return rows
}

func BenchmarkEncode(b *testing.B) {
	rows := benchRows()
	builder := NewBuilder(ByName(TableActivities))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := builder.Encode(testEnvelope, rows, nil); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/row")
}

func BenchmarkDecode(b *testing.B) {
	table := ByName(TableActivities)
	e, err := NewBuilder(table).Encode(testEnvelope, benchRows(), nil)
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		rec, err := Decode(table, e)
		if err != nil {
			b.Fatal(err)
		}
		rec.Release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/row")
}
