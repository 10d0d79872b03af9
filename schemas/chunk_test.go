package schemas

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Rows picked from a batch are those rows, but for the batch id.
func TestChunkPicksRows(t *testing.T) {
	t.Parallel()
	table := ByName(TableActivities)
	rows := &Rows{Activities: []Activity{
		{EventID: "a", Time: 10, MFA: Some(true), TargetIDs: []string{"t", ""}, Raw: "{}"},
		{EventID: "b", Time: 20, ASN: Some(int64(1))},
		{EventID: "c", Time: 30, TargetIDs: []string{"x"}, MFA: Some(false)},
	}}
	e, err := NewBuilder(table).Encode(testEnvelope, rows, nil)
	require.NoError(t, err)
	c, err := DecodeChunk(table, e)
	require.NoError(t, err)
	defer c.Release()
	require.Equal(t, 3, c.Len())
	require.Equal(t, Time(20), c.Time(1))
	require.Equal(t, testEnvelope.Version+2, c.Version(2))

	picked, err := c.Encode("other", []int{2, 0})
	require.NoError(t, err)
	got, err := Decode(table, picked)
	require.NoError(t, err)
	defer got.Release()
	env := testEnvelope
	env.BatchID = "other"
	whole, err := NewBuilder(table).Encode(env, rows, nil)
	require.NoError(t, err)
	want, err := Decode(table, whole)
	require.NoError(t, err)
	defer want.Release()
	for i, col := range got.Columns() {
		for k, row := range []int{2, 0} {
			require.Equal(t, want.Column(i).ValueStr(row), col.ValueStr(k), got.ColumnName(i))
		}
	}
	_, err = c.Encode("other", []int{3})
	require.ErrorContains(t, err, "no row 3 among 3")
}
