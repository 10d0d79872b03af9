package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	"github.com/stretchr/testify/require"
)

func TestDebugHTTPFlag(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]debugHTTP{
		"run":                              {},
		"run --debug-http":                 {on: true},
		"run --debug-http --once":          {on: true},
		"run --debug-http=/tmp/x.log":      {on: true, file: "/tmp/x.log"},
		"run --once --debug-http=x.log -c": {on: true, file: "x.log"},
	} {
		var cmd struct {
			Run runCmd `cmd:""`
		}
		parser, err := kong.New(&cmd)
		require.NoError(t, err)
		list := strings.Fields(args)
		if list[len(list)-1] == "-c" {
			list = append(list, "weir.yaml")
		}
		_, err = parser.Parse(list)
		require.NoError(t, err, args)
		require.Equal(t, want, cmd.Run.DebugHTTP, args)
	}
}

func TestDebugHTTPFile(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	var said bytes.Buffer
	f, err := (&debugHTTP{}).open(dir, &said)
	require.NoError(t, err)
	require.Nil(t, f)
	require.NoDirExists(t, dir)

	name := filepath.Join(dir, "debug-http.log")
	f, err = (&debugHTTP{on: true}).open(dir, &said)
	require.NoError(t, err)
	require.Contains(t, said.String(), name)
	require.NoError(t, os.Chmod(name, 0o644))
	require.NoError(t, f.Close())
	f, err = (&debugHTTP{on: true}).open(dir, &said)
	require.NoError(t, err)
	info, err := os.Stat(name)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())

	f.limit = 100
	for _, c := range "abcdefg" {
		_, err := f.Write([]byte(strings.Repeat(string(c), 60)))
		require.NoError(t, err)
	}
	kept, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("g", 60), string(kept))
	kept, err = os.ReadFile(name + ".1")
	require.NoError(t, err)
	require.Equal(t, strings.Repeat("f", 60), string(kept))
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 2)
	require.NoError(t, f.Close())

	said.Reset()
	for range 3 {
		_, err = f.Write([]byte("x"))
		require.Error(t, err)
	}
	require.Equal(t, 1, strings.Count(said.String(), "\n"), "said once")
	_, err = (&debugHTTP{on: true, file: filepath.Join(dir, "none", "x")}).open(dir, &said)
	require.Error(t, err)
}
