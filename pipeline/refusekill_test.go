//go:build failpoint

package pipeline

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/failpoint"
	"weir/schemas"
	"weir/sinks"
)

// TestRefusalChild collects into a lake that refuses a row, and fills another
// from a third. It is run by the test below, in a process with fail points.
func TestRefusalChild(t *testing.T) {
	dir := os.Getenv("WEIR_TEST_REFUSAL")
	if dir == "" {
		t.Skip("run by another test")
	}
	picky := pickyLake{openParquet(t, filepath.Join(dir, "picky")), "0-1-7"}
	named := map[string]sinks.Sink{"lake": openParquet(t, filepath.Join(dir, "lake")), "picky": picky}
	_, err := os.Stat(filepath.Join(dir, "third"))
	third := err == nil
	if third {
		named["new"] = openParquet(t, filepath.Join(dir, "new"))
	}
	p := openOn(t, filepath.Join(dir, "data"), clockwork.NewRealClock(), Options{}, named)
	at := time.Date(2026, 9, 1, 0, 0, 0, 0, time.UTC)
	_, err = runOnce(t, p, fakeLanes{lanes: 2, pages: 2, rows: 20, at: func(int, int, int) time.Time { return at }}.stream())
	require.NoError(t, err)
	if third {
		if fills, err := p.State().Fills(t.Context(), "new"); err != nil || len(fills) == 0 {
			require.NoError(t, err)
			_, err := p.StartFill(t.Context(), FillRequest{Sink: "new", Source: "lake", Since: at.Add(-time.Hour)})
			require.NoError(t, err)
		}
		require.Eventually(t, func() bool { return p.filling.Load() == 0 }, 2*time.Minute, 5*time.Millisecond)
	}
	require.NoError(t, p.Drain(t.Context()))
	require.NoError(t, p.Close())
}

// kill -9 at each step of halving, setting aside and filling: every row is where
// it belongs, once.
func TestRefusalKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, point := range []string{failpoint.PartHalve, failpoint.PartAside, failpoint.FillPart, failpoint.StateDone} {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			kills := 0
			run := func(rule string) {
				cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRefusalChild$", "-test.v")
				cmd.Env = append(os.Environ(), "WEIR_TEST_REFUSAL="+dir, "WEIR_FAILPOINT="+rule)
				out, err := cmd.CombinedOutput()
				switch {
				case err != nil && cmd.ProcessState.ExitCode() == -1:
					kills++
				case err != nil:
					t.Fatalf("%v: %s", err, out)
				}
			}
			for hit := range 4 {
				run(fmt.Sprintf("%s=kill@%d", point, hit+1))
			}
			run("")
			require.NoError(t, os.WriteFile(filepath.Join(dir, "third"), nil, 0o600))
			for hit := range 3 {
				run(fmt.Sprintf("%s=kill@%d", point, hit+1))
			}
			run("")
			require.Positive(t, kills, "never killed")
			once(t, lakeIDs(t, filepath.Join(dir, "lake")), 80)
			once(t, lakeIDs(t, filepath.Join(dir, "picky")), 79)
			once(t, lakeIDs(t, filepath.Join(dir, "new")), 80)
			st, err := ReadState(t.Context(), filepath.Join(dir, "data"))
			require.NoError(t, err)
			letters, err := st.FindDead(t.Context(), DeadFilter{})
			require.NoError(t, err)
			require.Len(t, letters, 1)
			require.Equal(t, schemas.TableActivities, letters[0].Table)
			require.NoError(t, st.Close())
		})
	}
}
