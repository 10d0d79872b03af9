package schemas

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
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
		AppGrants: make([]AppGrant, 9), CollectionRuns: make([]CollectionRun, 9), ActionLog: make([]ActionLogRow, 9),
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

// What a batch costs in allocations does not grow with its rows. Not parallel:
// it counts the allocations of the process.
func TestEncodeAllocations(t *testing.T) {
	rows, builder := benchRows(), NewBuilder(ByName(TableActivities))
	all := make([]int32, len(rows.Activities))
	for i := range all {
		all[i] = int32(i)
	}
	count := func(n int) float64 {
		return testing.AllocsPerRun(20, func() {
			_, err := builder.Encode(testEnvelope, rows, all[:n])
			require.NoError(t, err)
		})
	}
	many, few := count(1000), count(100)
	require.Less(t, many, few+50, "allocations a row")
	require.Less(t, few, 600.0)
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
