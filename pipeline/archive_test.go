package pipeline

import (
	"archive/tar"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
)

// tree is the content of all files below a directory, but for the lock.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() == "lock" {
			return err
		}
		if d.IsDir() {
			out[name] = "a directory"
			return nil
		}
		b, err := os.ReadFile(name)
		out[name] = string(b)
		return err
	}))
	return out
}

// ends are the offsets in an archive behind each of its files.
func ends(t *testing.T, file string) (out []int64) {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	t.Cleanup(func() { _ = f.Close() })
	for r := tar.NewReader(f); ; {
		_, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, r)
		require.NoError(t, err)
		at, err := f.Seek(0, io.SeekCurrent)
		require.NoError(t, err)
		out = append(out, (at+511)/512*512)
	}
}

// A copy takes the files of dead letters along. One that was cut short, wherever,
// or damaged, is refused, and what was in the data directory is still there. A
// whole one is put beside it, and governance is paused.
func TestImport(t *testing.T) {
	t.Parallel()
	l := &lakes{t: t, dir: t.TempDir(), clock: clockwork.NewRealClock()}
	book := &logbook{}
	truth := map[string]int{}
	for i := range 50 {
		book.add(fmt.Sprint(i), fmt.Sprint("raw ", i), time.Now())
		truth[fmt.Sprint("raw ", i)]++
	}
	both := []string{"lake", "slow"}
	l.run(both, []string{"slow"}, false, book.stream("activities"))
	p, err := l.open(both)
	require.NoError(t, err)
	big := strings.Repeat(rand.Text(), 2000)
	letter := DeadLetter{ID: p.ids.New(), At: time.Now(), Kind: DeadRow, StreamID: StreamID{"acme", "activities"}, Reason: "it is bad", Raw: big}
	require.NoError(t, p.dead.keep(&letter))
	require.NotEmpty(t, letter.File)
	require.NoError(t, p.state.Update(t.Context(), func(tx Tx) error {
		return errors.Join(tx.AddDeadLetter(letter), tx.SetMeta(MetaGovernancePaused, GovernanceResumed))
	}))
	require.NoError(t, p.Close())
	require.NoError(t, os.MkdirAll(filepath.Join(l.data(), "vault", "acme"), 0o700))
	for _, name := range []string{"token", "other"} {
		require.NoError(t, os.WriteFile(filepath.Join(l.data(), "vault", "acme", name), []byte("exported"), 0o600))
	}
	killed := filepath.Join(l.data(), "export-KILLED") // of a process that was killed
	require.NoError(t, os.Mkdir(killed, 0o700))
	file := filepath.Join(l.dir, "state.tar")
	out, err := Export(t.Context(), l.data(), file)
	require.NoError(t, err)
	require.Equal(t, 1, out.Letters)
	require.Equal(t, 2, out.Secrets)
	require.Positive(t, out.Segments)
	require.NoDirExists(t, killed)
	whole, err := os.ReadFile(file)
	require.NoError(t, err)

	// What an agent left that lost its state.
	require.NoError(t, os.RemoveAll(l.data()))
	for name, content := range map[string]string{
		"spool/0190b2c0-0000-7000-8000-000000000000.seg": "a segment", "dead/0190b2c0-0000-7000-8000-000000000000.zst": "a letter",
		"vault/acme/token": "newer", "state.db-wal": "a journal", "state.db": "",
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(l.data(), filepath.Dir(name)), 0o700))
		require.NoError(t, os.WriteFile(filepath.Join(l.data(), name), []byte(content), 0o600))
	}
	before := tree(t, l.data())
	refused := func(what string, archive []byte) {
		require.NoError(t, os.WriteFile(file+".bad", archive, 0o600))
		_, err := Import(t.Context(), file+".bad", l.data())
		require.Error(t, err, what)
		require.Equal(t, before, tree(t, l.data()), what)
	}
	behind := ends(t, file)
	require.Len(t, behind, 1+out.Segments+out.Letters+out.Secrets+1)
	for i, at := range behind {
		refused(fmt.Sprintf("cut in file %d", i), whole[:at-600])
		if i < len(behind)-1 {
			refused(fmt.Sprintf("cut behind file %d", i), whole[:at])
		}
		flipped := append([]byte{}, whole...)
		flipped[at-700] ^= 1
		refused(fmt.Sprintf("a bit flipped in file %d, or its header", i), flipped)
	}
	refused("empty", nil)

	_, err = Import(t.Context(), file, l.data())
	require.NoError(t, err)
	left, err := filepath.Glob(filepath.Join(l.data(), "import-*"))
	require.NoError(t, err)
	require.Empty(t, left)
	after := tree(t, l.data())
	for name, content := range before {
		if !strings.Contains(name, StateFile) {
			require.Equal(t, content, after[name], name)
		}
	}
	require.Equal(t, "exported", after[filepath.Join(l.data(), "vault", "acme", "other")])
	st, err := ReadState(t.Context(), l.data())
	require.NoError(t, err)
	got, err := LoadDead(t.Context(), st, l.data(), letter.ID)
	require.NoError(t, err)
	require.Equal(t, big, got.Raw)
	paused, err := st.Meta(t.Context(), MetaGovernancePaused)
	require.NoError(t, err)
	require.Contains(t, paused, "imported from a copy")
	require.NoError(t, st.Close())
	l.run(both, nil, true, book.stream("activities"))
	l.requireEvents("lake", truth)
	l.requireEvents("slow", truth)
}
