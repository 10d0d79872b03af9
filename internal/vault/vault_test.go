package vault

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"weir/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func constant(s string) func() (string, error) { return func() (string, error) { return s, nil } }

var testKey = strings.Repeat("k", MinKey)

func open(dir, key string) *Vault { return New(dir, constant(key), clockwork.NewRealClock()) }

func TestVault(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	s := open(dir, testKey).Of("acme")
	got, err := s.Load(t.Context(), "oauth")
	require.NoError(t, err)
	require.Nil(t, got)
	require.NoDirExists(t, dir, "looking makes nothing")

	for _, secret := range []string{"first secret", "", strings.Repeat("x", 100_000)} {
		require.NoError(t, s.Save(t.Context(), "oauth", []byte(secret)))
		got, err = open(dir, testKey).Of("acme").Load(t.Context(), "oauth")
		require.NoError(t, err)
		require.NotNil(t, got)
		require.Equal(t, secret, string(got))
	}
	file := filepath.Join(dir, "vault", "acme", "oauth")
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotContains(t, string(data), "xxxx")
	for name, mode := range map[string]os.FileMode{file: 0o600, filepath.Dir(file): 0o700, filepath.Join(dir, "vault"): 0o700, dir: 0o700} {
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, mode, info.Mode().Perm(), name)
	}
	require.NoError(t, s.Save(t.Context(), "oauth", []byte(strings.Repeat("x", 100_000))))
	again, err := os.ReadFile(file)
	require.NoError(t, err)
	require.NotEqual(t, data, again, "another nonce")
	require.ErrorContains(t, s.Save(t.Context(), "oauth", make([]byte, maxFile)), "too large")

	other, err := open(dir, testKey).Of("globex").Load(t.Context(), "oauth")
	require.NoError(t, err)
	require.Nil(t, other)
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	s := open(t.TempDir(), testKey).Of("acme")
	update := func(next []byte, e error, want []byte) error {
		return s.Update(t.Context(), "oauth", func(have []byte) ([]byte, error) {
			require.Equal(t, want, have)
			return next, e
		})
	}
	require.NoError(t, update(nil, nil, nil))
	require.NoError(t, update([]byte("one"), nil, nil))
	stop := errors.New("stop")
	require.Equal(t, stop, update([]byte("two"), stop, []byte("one")))
	require.NoError(t, update(nil, nil, []byte("one")))
	require.NoError(t, update([]byte("two"), nil, []byte("one")))
	require.NoError(t, update(nil, nil, []byte("two")))
}

// Writers of separate vaults stand for processes.
func TestConcurrentWriters(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s := open(dir, testKey).Of("acme")
			for range 5 {
				err := s.Update(t.Context(), "n", func(have []byte) ([]byte, error) {
					n, _ := strconv.Atoi(string(have))
					return []byte(strconv.Itoa(n + 1)), nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	got, err := open(dir, testKey).Of("acme").Load(t.Context(), "n")
	require.NoError(t, err)
	require.Equal(t, "40", string(got))
}

func TestWaitingForTheLockEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	err := open(dir, testKey).Of("acme").Update(t.Context(), "n", func([]byte) ([]byte, error) {
		cancel()
		return nil, open(dir, testKey).Of("acme").Save(ctx, "n", []byte("x"))
	})
	require.ErrorIs(t, err, context.Canceled)
}

func TestKeyFaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, open(dir, testKey).Of("acme").Save(t.Context(), "oauth", []byte("secret-token")))
	f := func(v *Vault, want string) {
		t.Helper()
		s := v.Of("acme")
		_, err := s.Load(t.Context(), "oauth")
		require.ErrorContains(t, err, want)
		require.Equal(t, fault.Auth, fault.Of(err))
		require.NotContains(t, err.Error(), "secret-token")
		require.NotContains(t, err.Error(), "kkkk")
		require.ErrorContains(t, s.Update(t.Context(), "oauth", func([]byte) ([]byte, error) { return []byte("new"), nil }), want)
	}
	f(New(dir, nil, clockwork.NewRealClock()), "openssl rand -base64 32")
	f(open(dir, testKey[1:]), "has 31 characters, and needs 32")
	f(open(dir, strings.Repeat("l", MinKey)), "another key than the agent's")
	f(New(dir, func() (string, error) { return "", errors.New("no such file") }, clockwork.NewRealClock()), "the agent's key: no such file")

	none := New(t.TempDir(), nil, clockwork.NewRealClock()).Of("acme")
	got, err := none.Load(t.Context(), "oauth")
	require.NoError(t, err, "who keeps nothing needs no key")
	require.Nil(t, got)
	require.ErrorContains(t, none.Save(t.Context(), "oauth", []byte("x")), `key: "${file:/etc/weir/key}"`)

	got, err = open(dir, testKey).Of("acme").Load(t.Context(), "oauth")
	require.NoError(t, err)
	require.Equal(t, "secret-token", string(got))
}

func TestDamage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v := open(dir, testKey)
	s := v.Of("acme")
	require.NoError(t, s.Save(t.Context(), "oauth", []byte("secret-token")))
	file := filepath.Join(dir, "vault", "acme", "oauth")
	good, err := os.ReadFile(file)
	require.NoError(t, err)
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 1
		require.NoError(t, os.WriteFile(file, bad, 0o600))
		_, err := s.Load(t.Context(), "oauth")
		want := "damaged"
		if i >= len(magic) && i < len(magic)+idLen {
			want = "another key"
		}
		require.ErrorContains(t, err, want, "byte %d", i)
		require.NoError(t, os.WriteFile(file, good[:i], 0o600))
		_, err = s.Load(t.Context(), "oauth")
		require.ErrorContains(t, err, "damaged", "cut at %d", i)
	}
	require.NoError(t, os.WriteFile(file, append(bytes.Clone(good), 0), 0o600))
	_, err = s.Load(t.Context(), "oauth")
	require.ErrorContains(t, err, "damaged")
	require.NoError(t, os.WriteFile(file, make([]byte, maxFile+1), 0o600))
	_, err = s.Load(t.Context(), "oauth")
	require.ErrorContains(t, err, "larger than")

	// One secret's file does not pass for another's.
	require.NoError(t, v.Of("globex").Save(t.Context(), "oauth", []byte("x")))
	for _, to := range []string{filepath.Join("globex", "oauth"), filepath.Join("acme", "other")} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, "vault", to), good, 0o600))
		_, err = v.Of(filepath.Dir(to)).Load(t.Context(), filepath.Base(to))
		require.ErrorContains(t, err, "another secret's file", to)
	}
}

func TestFailingWriteKeepsTheOldSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(dir, testKey).Of("acme")
	require.NoError(t, s.Save(t.Context(), "oauth", []byte("old")))
	// A folder where the file would be written aside.
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "vault", "acme", "oauth.tmp", "x"), 0o700))
	err := s.Save(t.Context(), "oauth", []byte("new"))
	require.Error(t, err)
	require.Equal(t, fault.Transient, fault.Of(err))
	got, err := s.Load(t.Context(), "oauth")
	require.NoError(t, err)
	require.Equal(t, "old", string(got))
	require.NoError(t, os.RemoveAll(filepath.Join(dir, "vault", "acme", "oauth.tmp")))
	// What an interrupted write left there.
	require.NoError(t, os.WriteFile(filepath.Join(dir, "vault", "acme", "oauth.tmp"), []byte("half"), 0o600))
	require.NoError(t, s.Save(t.Context(), "oauth", []byte("new")))
	got, err = s.Load(t.Context(), "oauth")
	require.NoError(t, err)
	require.Equal(t, "new", string(got))
}

func TestNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, n := range []string{"", ".", "..", "../x", "a/b", "A", ".lock", "a.tmp", "a\x00b"} {
		require.ErrorContains(t, open(dir, testKey).Of("acme").Save(t.Context(), n, []byte("x")), "is no name")
		require.ErrorContains(t, open(dir, testKey).Of(n).Update(t.Context(), "a", nil), "is no name")
		_, err := open(dir, testKey).Of(n).Load(t.Context(), "a")
		require.ErrorContains(t, err, "is no name")
	}
}

func TestMisplaced(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	data := filepath.Join(root, "data")
	write := func(name string, mode os.FileMode) string {
		file := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(testKey), 0o600))
		require.NoError(t, os.Chmod(file, mode))
		return file
	}
	require.Contains(t, Misplaced(write("key", 0o600), data), "same volume", "data_dir is not made yet")
	require.Contains(t, Misplaced(write("data/deep/key", 0o600), data), "is inside data_dir")
	require.Contains(t, Misplaced(write("..key", 0o600), data), "same volume")
	require.Contains(t, Misplaced(write("open", 0o640), data), "chmod 600")
	require.NoError(t, os.Symlink(filepath.Join(data, "deep", "key"), filepath.Join(root, "link")))
	require.Contains(t, Misplaced(filepath.Join(root, "link"), data), "is inside data_dir")
	require.Empty(t, Misplaced(filepath.Join(root, "none"), data))
	if shm, err := os.MkdirTemp("/dev/shm", "weir"); err == nil {
		defer func() { _ = os.RemoveAll(shm) }()
		file := filepath.Join(shm, "key")
		require.NoError(t, os.WriteFile(file, []byte(testKey), 0o600))
		if !sameVolume(t, shm, root) {
			require.Empty(t, Misplaced(file, data))
		}
	}
}

func sameVolume(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y unix.Stat_t
	require.NoError(t, unix.Stat(a, &x))
	require.NoError(t, unix.Stat(b, &y))
	return x.Dev == y.Dev
}

func FuzzOpen(f *testing.F) {
	k, err := newKeys(testKey)
	require.NoError(f, err)
	sealed, err := k.seal([]byte("secret-token"), "acme", "oauth")
	require.NoError(f, err)
	f.Add(sealed)
	f.Add(sealed[:20])
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		secret, err := k.open(data, "acme", "oauth")
		if (secret == nil) != (err != nil) {
			t.Fatalf("%v with %v", secret, err)
		}
		if err == nil && !bytes.Equal(data, sealed) {
			t.Fatal("a forged file opens")
		}
	})
}
