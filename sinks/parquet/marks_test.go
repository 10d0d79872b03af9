package parquet

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadMarks(t *testing.T) {
	t.Parallel()
	f := func(name, wantErr string, wantOrder []int, links ...[2]int) { // part, previous; 0 is none
		t.Helper()
		root := t.TempDir()
		dir := filepath.Join(root, weirDir, "parts", "groups")
		require.NoError(t, os.MkdirAll(dir, 0o700))
		id := func(n int) string {
			if n == 0 {
				return ""
			}
			return partID(n)
		}
		for _, l := range links {
			b, err := json.Marshal(Mark{Part: id(l[0]), Previous: id(l[1]), Table: "groups"})
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(filepath.Join(dir, id(l[0])+markSuffix), b, 0o600))
		}
		require.NoError(t, os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600))
		marks, err := ReadMarks(root, "groups")
		if wantErr != "" {
			require.ErrorContains(t, err, wantErr, name)
			return
		}
		require.NoError(t, err, name)
		var order []string
		for _, m := range marks {
			order = append(order, m.Part)
		}
		var want []string
		for _, n := range wantOrder {
			want = append(want, id(n))
		}
		require.Equal(t, want, order, name)
	}
	f("empty", "", nil)
	f("one", "", []int{1}, [2]int{1, 0})
	f("a chain", "", []int{1, 2, 3}, [2]int{1, 0}, [2]int{2, 1}, [2]int{3, 2})
	f("by links, not by names", "", []int{5, 2, 9}, [2]int{2, 5}, [2]int{5, 0}, [2]int{9, 2})
	f("another state took over", "", []int{1, 2, 5, 6}, [2]int{5, 0}, [2]int{6, 5}, [2]int{1, 0}, [2]int{2, 1})
	f("a gap", "the mark of part "+partID(2)+" of groups is missing: part "+partID(3), nil, [2]int{1, 0}, [2]int{3, 2})
	f("the first is missing", "the mark of part "+partID(1)+" of groups is missing", nil, [2]int{2, 1}, [2]int{3, 2})
	f("a fork", "parts "+partID(2)+" and "+partID(3)+" of groups both follow", nil, [2]int{1, 0}, [2]int{2, 1}, [2]int{3, 1})
	f("a circle", "in a circle", nil, [2]int{1, 0}, [2]int{2, 3}, [2]int{3, 2})
	f("itself", "is damaged", nil, [2]int{1, 1})

	marks, err := ReadMarks(t.TempDir(), "groups")
	require.NoError(t, err)
	require.Empty(t, marks)
}

func TestReadMarksDamaged(t *testing.T) {
	t.Parallel()
	good := fmt.Sprintf(`{"part":%q,"table":"groups","rows":1,"files":[{"rows":1}],"batches":[{"rows":1}]}`, partID(1))
	for content, wantErr := range map[string]string{
		good: "",
		"":   "is damaged",
		fmt.Sprintf(`{"part":%q,"table":"groups","rows":2,"files":[{"rows":1}],"batches":[{"rows":2}]}`, partID(1)): "2 rows, 1 in its files",
		fmt.Sprintf(`{"part":%q,"table":"groups"}`, partID(2)):                                                      "is of part",
		fmt.Sprintf(`{"part":%q,"table":"files"}`, partID(1)):                                                       "of files",
	} {
		root := t.TempDir()
		dir := filepath.Join(root, weirDir, "parts", "groups")
		require.NoError(t, os.MkdirAll(dir, 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(dir, partID(1)+markSuffix), []byte(content), 0o600))
		_, err := ReadMarks(root, "groups")
		if wantErr == "" {
			require.NoError(t, err)
		} else {
			require.ErrorContains(t, err, wantErr)
		}
	}
}

// A reader that follows the marks while parts are delivered sees each part
// once, in order, and its files whole.
func TestFollowMarks(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	const parts = 15
	done := make(chan struct{})
	go func() {
		defer close(done)
		s := open(t, root)
		previous := ""
		for n := range parts {
			p := &newBuilder(t, "activities", n+1, previous).add("aws", events(uint64(n), 5, n%3)).part
			deliver(t, s, p)
			previous = p.ID
		}
	}()
	var seen []string
	for len(seen) < parts {
		marks, err := ReadMarks(root, "activities")
		require.NoError(t, err)
		require.GreaterOrEqual(t, len(marks), len(seen))
		for i, m := range marks {
			if i < len(seen) {
				require.Equal(t, seen[i], m.Part)
				continue
			}
			seen = append(seen, m.Part)
			for _, f := range m.Files {
				info, err := os.Stat(filepath.Join(root, f.Path))
				require.NoError(t, err)
				require.Equal(t, f.Bytes, info.Size())
			}
		}
	}
	<-done
	require.Equal(t, partID(parts), seen[parts-1])
}

func FuzzMark(f *testing.F) {
	f.Add([]byte(`{"part":"a","previous":"","table":"t","schema_version":1,"rows":2,"files":[{"path":"t/x","rows":2}],"batches":[{"id":"b","instance":"i","rows":2}]}`))
	f.Add([]byte(`{"part":"a","rows":-1,"files":null}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMark(b)
		if err != nil {
			return
		}
		again, err := json.Marshal(m)
		require.NoError(t, err)
		n, err := parseMark(again)
		require.NoError(t, err)
		require.True(t, m.samePart(n))
	})
}
