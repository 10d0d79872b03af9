package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A disk that is full, really, or takes no writes: the agent says so, waits, loses
// nothing, and goes on by itself once it can.
func TestDiskTakesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		mount func(*site) string
		stop  func(t *testing.T, dir string) (again func() error)
		says  string
	}{
		"data, little room": {(*site).data, fill(512 << 10), "min_free"},
		"data, full":        {(*site).data, fill(0), "full"},
		"sink, full":        {(*site).lake, fill(0), "no space left on device"},
		"sink, read-only":   {(*site).lake, readOnly, "read-only file system"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t)
			s.addFile(100)
			dir := c.mount(s)
			require.NoError(t, os.MkdirAll(dir, 0o700))
			if err := syscall.Mount("none", dir, "tmpfs", 0, "size=8m"); err != nil {
				t.Skipf("needs to mount a file system: %v", err)
			}
			defer func() { require.NoError(t, syscall.Unmount(dir, syscall.MNT_DETACH)) }()
			s.clean()
			cmd := s.command([]string{"WEIR_INSTANCES__TRAIL__STREAMS__ACTIVITIES__EVERY=1s", "WEIR_SINKS__LAKE__MAX_DELAY=1s", "WEIR_SINKS__LAKE__LATE_DELAY=1s"}, "run", "-c", s.config())
			log, err := os.Create(filepath.Join(s.dir, "log"))
			require.NoError(t, err)
			defer log.Close()
			cmd.Stderr = log
			require.NoError(t, cmd.Start())
			defer func() { _ = cmd.Process.Kill() }()
			said := func() string {
				b, err := os.ReadFile(log.Name())
				require.NoError(t, err)
				return string(b)
			}
			s.addToday(1, 100)
			require.Eventually(t, func() bool { return s.lakeRows() == len(s.truth) }, 60*time.Second, 50*time.Millisecond)
			again := c.stop(t, dir)
			for i := range 6 {
				s.addToday(2+i, 700)
			}
			require.Eventually(t, func() bool { return strings.Contains(said(), c.says) }, 60*time.Second, 50*time.Millisecond, "%v", deferred(said))
			require.Less(t, s.lakeRows(), len(s.truth))
			require.NoError(t, again())
			require.Eventually(t, func() bool { return s.lakeRows() == len(s.truth) }, 60*time.Second, 50*time.Millisecond, "%v", deferred(said))
			require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
			require.NoError(t, cmd.Wait())
			s.clean()
			s.check()
		})
	}
}

// fill leaves so much of a disk.
func fill(left int64) func(*testing.T, string) func() error {
	return func(t *testing.T, dir string) func() error {
		name := filepath.Join(dir, "ballast")
		require.ErrorIs(t, os.WriteFile(name, make([]byte, 16<<20), 0o600), syscall.ENOSPC)
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.NoError(t, os.Truncate(name, info.Size()-left))
		return func() error { return os.Remove(name) }
	}
}

func readOnly(t *testing.T, dir string) func() error {
	const size = "size=8m"
	require.Eventually(t, func() bool { // while nothing is being written
		return syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, size) == nil
	}, 30*time.Second, time.Millisecond)
	return func() error { return syscall.Mount("none", dir, "tmpfs", syscall.MS_REMOUNT, size) }
}

// A data directory that takes no writes is refused at the start.
func TestDataReadOnly(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	require.NoError(t, os.MkdirAll(s.data(), 0o700))
	if err := syscall.Mount("none", s.data(), "tmpfs", 0, "size=8m"); err != nil {
		t.Skipf("needs to mount a file system: %v", err)
	}
	defer func() { require.NoError(t, syscall.Unmount(s.data(), syscall.MNT_DETACH)) }()
	s.addFile(100)
	s.clean()
	again := readOnly(t, s.data())
	s.addFile(100)
	o := s.run("")
	require.Equal(t, 1, o.code, o.stderr)
	require.Contains(t, o.stderr, s.data())
	require.Contains(t, o.stderr, "read-only file system")
	require.NoError(t, again())
	s.clean()
	s.check()
}

// A damaged owner record of a sink is refused, saying what to do, which works.
func TestOwnerDamaged(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.addFile(100)
	s.clean()
	owner := filepath.Join(s.lake(), "_weir", "owner.json")
	require.NoError(t, os.WriteFile(owner, nil, 0o600))
	s.addFile(100)
	o := s.run("")
	require.Equal(t, 1, o.code, o.stderr)
	require.Contains(t, o.stderr, "owner.json is damaged")
	require.Contains(t, o.stderr, "move it away and run `weir state reconcile --take-over`")
	require.NoError(t, os.Rename(owner, owner+".damaged"))
	require.NoError(t, os.Rename(s.lake(), s.lake()+".away"))
	out, err := s.command(nil, "state", "reconcile", "--take-over", "-c", s.config()).CombinedOutput()
	require.Error(t, err, "an empty place is another one: "+string(out))
	require.NoError(t, os.RemoveAll(s.lake()))
	require.NoError(t, os.Rename(s.lake()+".away", s.lake()))
	out, err = s.command(nil, "state", "reconcile", "--take-over", "-c", s.config()).CombinedOutput()
	require.NoError(t, err, string(out))
	s.clean()
	s.check()
}

// deferred is a text that is asked for when it is printed.
type deferred func() string

func (d deferred) String() string { return d() }
