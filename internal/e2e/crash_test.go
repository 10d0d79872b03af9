package e2e

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/clickhousetest"
	"weir/internal/failpoint"
)

var points = []string{
	failpoint.Listing, failpoint.Fetch, failpoint.SpoolWrite, failpoint.SpoolSync, failpoint.SpoolRename, failpoint.StateCommit, failpoint.StateDone,
	failpoint.PartPlan, failpoint.PartWrite, failpoint.PartSync, failpoint.PartRename, failpoint.PartMark, failpoint.PartAck, failpoint.SpoolFree,
}

// kill -9 inside every durable step, three times each, then one clean run: both
// sinks are exact.
func TestKilledAtEveryStep(t *testing.T) {
	server := clickhousetest.Start(t)
	histogram := map[string]int{}
	for i, point := range points {
		t.Run(point, func(t *testing.T) {
			s := newSite(t)
			s.clickhouse, s.database = server, fmt.Sprintf("kill_%d", i)
			for _, hit := range []int{1, 2, 1} {
				s.addFile(700)
				s.addFile(700)
				o := s.run(fmt.Sprintf("%s=kill@%d", point, hit))
				require.True(t, o.killed, "not killed at hit %d: exit %d\n%s", hit, o.code, o.stderr)
				histogram[point]++
			}
			s.clean()
			s.check()
			s.clean()
			s.check()
		})
	}
	var b strings.Builder
	for _, p := range points {
		fmt.Fprintf(&b, "%-14s %d\n", p, histogram[p])
		require.GreaterOrEqual(t, histogram[p], 3)
	}
	t.Logf("kills by point:\n%s", b.String())
	if f := os.Getenv("WEIR_HISTOGRAM"); f != "" {
		require.NoError(t, os.WriteFile(f, []byte(b.String()), 0o600))
	}
}

// A failing write, fsync or rename, and a full disk, once: the same run gets
// over it.
func TestDiskFailsOnce(t *testing.T) {
	for _, point := range diskPoints() {
		for _, effect := range []string{"error", "full"} {
			t.Run(point+"="+effect, func(t *testing.T) {
				t.Parallel()
				s := newSite(t)
				s.addFile(700)
				s.addFile(700)
				o := s.run(point + "=" + effect)
				require.Zero(t, o.code, o.stdout+o.stderr)
				require.Contains(t, o.stderr, "failpoint "+point, "the point was not hit")
				s.check()
			})
		}
	}
}

// The same for as long as the run lasts: it gives up, says so, and harms
// nothing.
func TestDiskFailsForGood(t *testing.T) {
	for _, point := range diskPoints() {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.extra = "  drain_timeout: 1s\n"
			s.addFile(700)
			o := s.run(point + "=full@1+")
			require.Equal(t, 1, o.code, o.stdout+o.stderr)
			require.Contains(t, o.stderr, "no space left on device")
			s.extra = ""
			s.clean()
			s.check()
		})
	}
}

func diskPoints() []string {
	not := []string{failpoint.Listing, failpoint.Fetch, failpoint.StateDone, failpoint.SpoolFree}
	return slices.DeleteFunc(slices.Clone(points), func(p string) bool { return slices.Contains(not, p) })
}
