package parquet

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/sinks"
)

// A day's file is replaced whole, and is as readable as the rest.
func TestMarkDay(t *testing.T) {
	t.Parallel()
	for _, group := range []bool{false, true} {
		root := filepath.Join(t.TempDir(), "lake")
		s := newSink(Config{Path: root, GroupReadable: group}, sinks.Env{})
		require.NoError(t, s.Prepare(t.Context(), nil))
		d := sinks.DayMark{
			Date: "2026-03-01", ClosedAt: time.Date(2026, 3, 2, 0, 20, 0, 0, time.UTC),
			Instances: map[string]map[string]string{"github": {"activities": "open: parked"}}, LastParts: map[string]string{"activities": "p1"},
		}
		require.NoError(t, s.MarkDay(t.Context(), d))
		d.Complete, d.Instances["github"]["activities"], d.LastParts["activities"] = true, "covered", "p2"
		require.NoError(t, s.MarkDay(t.Context(), d))
		entries, err := os.ReadDir(filepath.Join(root, "_weir", "days"))
		require.NoError(t, err)
		require.Len(t, entries, 1)
		name := filepath.Join(root, "_weir", "days", "2026-03-01.json")
		b, err := os.ReadFile(name)
		require.NoError(t, err)
		var got sinks.DayMark
		require.NoError(t, json.Unmarshal(b, &got))
		require.Equal(t, d, got)
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, map[bool]os.FileMode{false: 0o600, true: 0o640}[group], info.Mode().Perm())
		left, err := filepath.Glob(filepath.Join(root, tmpDir, "*"))
		require.NoError(t, err)
		require.Empty(t, left)
	}
}
