package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/pipeline"
)

// weir ledger answers from the state: yes or no, with an exit code, in words and
// as JSON.
func TestLedgerCommand(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	data, file := filepath.Join(dir, "data"), filepath.Join(dir, "weir.yaml")
	require.NoError(t, os.Mkdir(data, 0o700))
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil, "agent: {data_dir: %q}\ninstances:\n  trail: {app: aws, cloudtrail: {url: \"file:///logs\"}}\nsinks:\n  lake: {type: parquet, path: %q}\n", data, filepath.Join(dir, "lake")), 0o600))
	id := pipeline.StreamID{Instance: "trail", Stream: "activities"}
	base := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -30)
	day := func(d int) time.Time { return base.AddDate(0, 0, d) }
	date := func(d int) string { return day(d).Format(time.DateOnly) }
	st, err := pipeline.OpenState(t.Context(), data)
	require.NoError(t, err)
	require.NoError(t, st.Update(t.Context(), func(tx pipeline.Tx) error {
		for _, s := range []pipeline.Span{{From: day(1), To: day(3)}, {From: day(4), To: day(6)}} {
			if err := tx.Cover(id, s, day(6)); err != nil {
				return err
			}
		}
		return tx.Hole(id, pipeline.Hole{Key: "x", Span: pipeline.Span{From: day(3), To: day(4)}, Class: "bad_data", Reason: "no gzip"}, day(6))
	}))
	require.NoError(t, st.Close())
	run := func(args ...string) (int, string) {
		var out, errs bytes.Buffer
		code := Main(append([]string{"ledger", "-c", file}, args...), &out, &errs)
		if code == exitUsage {
			return code, errs.String()
		}
		return code, out.String()
	}
	f := func(code int, want []string, args ...string) {
		t.Helper()
		got, out := run(args...)
		require.Equal(t, code, got, out)
		for _, w := range want {
			require.Contains(t, out, w)
		}
	}
	f(exitOK, []string{"NO: nothing is missing in 1 streams\n"}, "--from", date(1), "--to", date(3))
	f(exitFailed, []string{"YES: something is missing, or may be: 1 spans in 1 of 1 streams\n", "missing     " + date(3) + "T00:00:00Z to " + date(4) + "T00:00:00Z: no gzip"}, "trail", "--from", date(1), "--to", date(5)+"T12:00:00Z")
	f(exitFailed, []string{"YES:", "not collected yet"})
	f(exitUsage, []string{"--from is \"yesterday\""}, "--from", "yesterday")
	f(exitUsage, []string{"not before the end"}, "--from", date(4), "--to", date(3))
	f(exitUsage, []string{"no such stream"}, "nobody")
	f(exitFailed, []string{date(3), "open: no gzip", "yes"}, "--closed", "--from", date(1), "--to", date(5))
	f(exitOK, []string{date(2)}, "--closed", "--from", date(1), "--to", date(3))

	_, out := run("--from", date(1), "--to", date(5), "--json")
	var got ledgerJSON
	require.NoError(t, json.Unmarshal([]byte(out), &got))
	require.True(t, got.Missing)
	require.Len(t, got.Streams, 1)
	require.Equal(t, []spanJSON{{day(1), day(3)}, {day(4), day(5)}}, got.Streams[0].Covered)
	require.Len(t, got.Streams[0].Holes, 1)
	require.Equal(t, "no gzip", got.Streams[0].Holes[0].Reason)
	_, out = run("--closed", "--from", date(2), "--to", date(4), "--json")
	var days []pipeline.Day
	require.NoError(t, json.Unmarshal([]byte(out), &days))
	require.Len(t, days, 2)
	require.True(t, days[0].Complete)
	require.False(t, days[1].Complete)
}
