//go:build failpoint

package parquet

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

// TestChild delivers one part to the directory named by the environment, as the
// pipeline does: a failed attempt is discarded and the part staged again. It is
// run by the other tests, in a process with fail points.
func TestChild(t *testing.T) {
	root := os.Getenv("WEIR_TEST_ROOT")
	if root == "" {
		t.Skip("run by other tests")
	}
	s, p := open(t, root), threeDays(t, 1, "")
	for range 3 {
		err := attempt(s, p)
		if err == nil {
			return
		}
		require.Equal(t, fault.Transient, fault.Of(err), "%v", err)
		fmt.Println(err)
		left, e := os.ReadDir(filepath.Join(root, tmpDir))
		require.NoError(t, e)
		require.Empty(t, left, "nothing stays aside")
	}
	t.Fatal("still failing")
}

func attempt(s *sink, p *sinks.Part) error {
	staged, err := s.Stage(context.Background(), p)
	if err != nil {
		return err
	}
	if _, err = staged.Commit(context.Background()); err != nil {
		if e := staged.Discard(); e != nil {
			return e
		}
	}
	return err
}

func child(t *testing.T, root, rule string) (out string, err error) {
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestChild$", "-test.v")
	cmd.Env = append(os.Environ(), "WEIR_TEST_ROOT="+root, "WEIR_FAILPOINT="+rule)
	b, err := cmd.CombinedOutput()
	return string(b), err
}

// At every durable step: kill -9, an I/O error, a full disk. What is visible
// afterwards is whole, and the next attempt completes it, byte for byte, without
// touching it.
func TestFailPoints(t *testing.T) {
	t.Parallel()
	whole := t.TempDir()
	deliver(t, open(t, whole), threeDays(t, 1, ""))
	want := visible(t, whole)
	hits := map[string]int{failpoint.PartWrite: 5, failpoint.PartSync: 5, failpoint.PartRename: 5, failpoint.PartMark: 1, failpoint.MarkSync: 1, failpoint.MarkRename: 1}
	for point, n := range hits {
		for _, effect := range []string{"kill", "error", "full"} {
			for hit := range n {
				rule := fmt.Sprintf("%s=%s@%d", point, effect, hit+1)
				t.Run(rule, func(t *testing.T) {
					t.Parallel()
					root := t.TempDir()
					out, err := child(t, root, rule)
					if effect != "kill" {
						require.NoError(t, err, out)
						require.Contains(t, out, "failpoint "+point)
						require.Equal(t, want, tree(t, root))
						return
					}
					require.ErrorContains(t, err, "killed", out)
					before := visible(t, root)
					nodes := inodes(t, root)
					require.Less(t, len(before), len(want))
					for name, content := range before {
						require.Equal(t, want[name], content, "%s is not whole", name)
					}
					out, err = child(t, root, "")
					require.NoError(t, err, out)
					require.Equal(t, want, tree(t, root))
					after := inodes(t, root)
					for name := range before {
						require.Equal(t, nodes[name], after[name], "%s was written again", name)
					}
				})
			}
		}
	}
}

// A disk that stays full leaves nothing behind, whole or half.
func TestDiskStaysFull(t *testing.T) {
	t.Parallel()
	for _, point := range []string{failpoint.PartWrite, failpoint.PartSync, failpoint.PartRename} {
		root := t.TempDir()
		out, err := child(t, root, point+"=full@1+")
		require.Error(t, err, out)
		require.Contains(t, out, "no space left on device")
		require.Contains(t, out, "still failing")
		require.Empty(t, tree(t, root))
		marks, err := ReadMarks(root, schemas.TableActivities)
		require.NoError(t, err)
		require.Empty(t, marks)
	}
}
