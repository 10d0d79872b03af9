package parquet

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	c, ok := Driver.Config().(*Config)
	require.True(t, ok)
	require.Empty(t, c.Validate(), "the defaults are right")
	require.Equal(t, sinks.Batching{TargetSize: 128e6, MaxDelay: 5 * time.Minute, LateDelay: time.Hour}, c.Batching())
	c.Path, c.Parts.TargetSize = "lake", 1
	var keys []string
	for _, e := range c.Validate() {
		keys = append(keys, e.Key)
	}
	require.ElementsMatch(t, []string{"path", "target_size"}, keys)
	c.Path = t.TempDir()
	s, err := Driver.Open(t.Context(), sinks.Env{Name: "lake"}, c)
	require.NoError(t, err)
	require.NoError(t, s.Close())
}

func TestPrepareTwice(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "a", "lake")
	s := open(t, root)
	staged, err := s.Stage(t.Context(), threeDays(t, 1, ""))
	require.NoError(t, err)
	require.NoError(t, s.Prepare(t.Context(), schemas.Tables()), "a part that is staged is not touched")
	_, err = staged.Commit(t.Context())
	require.NoError(t, err)
}

func TestPrepareRemovesLeftovers(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	first := open(t, root)
	_, err := first.Stage(t.Context(), threeDays(t, 1, ""))
	require.NoError(t, err)
	foreign := filepath.Join(root, tmpDir, "somebody's.parquet")
	require.NoError(t, os.WriteFile(foreign, nil, 0o600))
	entries, err := os.ReadDir(filepath.Join(root, tmpDir))
	require.NoError(t, err)
	require.Len(t, entries, 6)

	open(t, root)
	entries, err = os.ReadDir(filepath.Join(root, tmpDir))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.FileExists(t, foreign)
}

func TestPrepareRefusesForeignFiles(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(root, "activities"), 0o700))
	s := newSink(Config{Path: root}, sinks.Env{})
	require.NoError(t, s.SetOwner(t.Context(), sinks.Owner{}, sinks.Owner{StateID: "a"}))
	require.NoError(t, os.WriteFile(filepath.Join(root, "activities", "x.parquet"), nil, 0o600))
	err := s.Prepare(t.Context(), schemas.Tables())
	require.ErrorContains(t, err, "Weir did not write them")
	require.Equal(t, fault.Permanent, fault.Of(err))
}

func TestOwner(t *testing.T) {
	t.Parallel()
	s := newSink(Config{Path: filepath.Join(t.TempDir(), "lake")}, sinks.Env{})
	o, err := s.Owner(t.Context())
	require.NoError(t, err)
	require.Zero(t, o, "nobody owns what is not there")
	a := sinks.Owner{SinkID: "s", StateID: "a", Generation: 1, Heartbeat: time.Now().UTC().Truncate(time.Millisecond), Parts: 3}
	require.NoError(t, s.SetOwner(t.Context(), sinks.Owner{}, a))
	o, err = s.Owner(t.Context())
	require.NoError(t, err)
	require.True(t, a.Equal(o))
	require.ErrorIs(t, s.SetOwner(t.Context(), sinks.Owner{}, a), sinks.ErrOwnerChanged)
	b := a
	b.Generation++
	require.NoError(t, s.SetOwner(t.Context(), a, b))
	require.ErrorIs(t, s.SetOwner(t.Context(), a, b), sinks.ErrOwnerChanged)

	require.NoError(t, os.WriteFile(s.ownerFile(), []byte("{"), 0o600))
	_, err = s.Owner(t.Context())
	require.ErrorContains(t, err, "is damaged")
	require.Equal(t, fault.Permanent, fault.Of(err))
}

// Of many that replace the same record, one succeeds; each has its own
// descriptor of the lock, as processes have.
func TestOwnerRace(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	old := sinks.Owner{}
	for round := range 5 {
		var won atomic.Int64
		var winner atomic.Value
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				s := newSink(Config{Path: root}, sinks.Env{})
				mine := sinks.Owner{StateID: string(rune('a' + i)), Generation: int64(round + 1)}
				if err := s.SetOwner(t.Context(), old, mine); err == nil {
					won.Add(1)
					winner.Store(mine)
				} else if err != sinks.ErrOwnerChanged { //nolint:errorlint // exactly that
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, won.Load())
		now, err := newSink(Config{Path: root}, sinks.Env{}).Owner(t.Context())
		require.NoError(t, err)
		require.Equal(t, winner.Load(), now)
		old = now
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	for _, group := range []bool{false, true} {
		parent := t.TempDir()
		require.NoError(t, os.Chmod(parent, 0o750|fs.ModeSetgid))
		s := newSink(Config{Path: filepath.Join(parent, "lake"), GroupReadable: group}, sinks.Env{})
		require.NoError(t, s.Prepare(t.Context(), schemas.Tables()))
		deliver(t, s, threeDays(t, 1, ""))
		files, dirs := fs.FileMode(0o600), fs.FileMode(0o700)
		if group {
			files, dirs = 0o640, 0o750
		}
		require.NoError(t, filepath.WalkDir(parent, func(p string, d fs.DirEntry, err error) error {
			require.NoError(t, err)
			info, err := d.Info()
			require.NoError(t, err)
			switch {
			case p == parent:
			case d.IsDir():
				require.Equal(t, dirs, info.Mode().Perm(), p)
				require.NotZero(t, info.Mode()&fs.ModeSetgid, p)
			default:
				require.Equal(t, files, info.Mode().Perm(), p)
			}
			return nil
		}))
	}
}
