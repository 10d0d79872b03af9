package schemas

import (
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"
)

func TestWriteRowsJSON(t *testing.T) {
	t.Parallel()
	r := &Rows{
		Activities: []Activity{{EventID: "1\"\n", Time: 1788350400123, TargetIDs: []string{"a", "é"}, TargetCount: 2, ASN: Some(int64(64496)), MFA: Some(false)}, {EventID: "2\xff"}},
		Accounts:   []Account{{AccountID: "a", Raw: "{}"}},
	}
	lines := func(table string, skip ...string) (out []map[string]any) {
		var b strings.Builder
		require.NoError(t, WriteRowsJSON(&b, ByName(table), r, "okta", "acme-okta", skip...))
		for line := range strings.Lines(b.String()) {
			var m map[string]any
			require.NoError(t, json.Unmarshal([]byte(line), &m), line)
			out = append(out, m)
		}
		return out
	}
	a := lines(TableActivities)
	require.Len(t, a, 2)
	require.Equal(t, "1\"\n", a[0]["event_id"])
	require.Equal(t, "2\uFFFD", a[1]["event_id"])
	require.Equal(t, "2026-09-02T12:00:00.123Z", a[0]["time"])
	require.Equal(t, []any{"a", "é"}, a[0]["target_ids"])
	require.Equal(t, []any{}, a[1]["target_ids"])
	require.Equal(t, float64(2), a[0]["target_count"])
	require.Equal(t, float64(64496), a[0]["asn"])
	require.Equal(t, false, a[0]["mfa"])
	for _, unknown := range []string{"asn", "mfa", "time"} {
		v, there := a[1][unknown]
		require.True(t, there)
		require.Nil(t, v)
	}
	// Every declared column stands in every row.
	for _, c := range ByName(TableActivities).Columns[len(envelope):] {
		require.Contains(t, a[0], c.Name)
	}
	require.Len(t, a[0], len(ByName(TableActivities).Columns)-len(envelope)+2)
	b := lines("accounts", "raw", "change")
	require.Len(t, b, 1)
	require.Equal(t, "okta", b[0]["app"])
	require.Equal(t, "acme-okta", b[0]["instance"])
	require.NotContains(t, b[0], "raw")
	require.NotContains(t, b[0], "change")
	require.Empty(t, lines("groups"))
	require.ErrorContains(t, WriteRowsJSON(broken{}, ByName("accounts"), r, "", ""), "broken")
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken") }
