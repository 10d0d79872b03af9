package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestValue(t *testing.T) {
	t.Setenv("WEIR_TEST_SECRET", "from env")
	t.Setenv("WEIR_TEST_EMPTY", "")
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
		return "${file:" + path + "}"
	}
	for ref, want := range map[string]string{
		"":                            "",
		"literal":                     "literal",
		"$literal":                    "$literal",
		"${env:WEIR_TEST_SECRET}":     "from env",
		"${env:WEIR_TEST_EMPTY}":      "",
		file("plain", "from file"):    "from file",
		file("breaks", "a\nb \r\n\n"): "a\nb ",
		file("with space", "x"):       "x",
		file("limit", strings.Repeat("x", maxFile)): strings.Repeat("x", maxFile),
	} {
		got, err := New(ref).Value()
		require.NoError(t, err, ref)
		require.Equal(t, want, got, ref)
	}
	for ref, want := range map[string]string{
		"${env:WEIR_TEST_UNSET}":                      "${env:WEIR_TEST_UNSET}: environment variable WEIR_TEST_UNSET is not set",
		"${file:" + dir + "/none}":                    "no such file",
		"${file:" + dir + "}":                         "is a directory",
		file("large", strings.Repeat("x", maxFile+1)): "file is larger than 65536 bytes",
		file("empty", "\n"):                           "file is empty",
		"${env:}":                                     "want ${env:NAME} or ${file:/path}",
		"${file:relative}":                            "want ${env:NAME} or ${file:/path}",
		"${env:A}${env:B}":                            "want ${env:NAME} or ${file:/path}",
		"hunter2${env:A}":                             "want ${env:NAME} or ${file:/path}",
	} {
		_, err := New(ref).Value()
		require.ErrorContains(t, err, want, ref)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

// A rotated file is picked up.
func TestValueIsReadAfresh(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	s := New("${file:" + path + "}")
	for _, want := range []string{"first", "second"} {
		require.NoError(t, os.WriteFile(path, []byte(want), 0o600))
		got, err := s.Value()
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	s := struct{ Password Secret }{New("hunter2")}
	j, err := json.Marshal(s)
	require.NoError(t, err)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", s.Password, "all", s)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s.Password, "all", s)
	for _, shown := range []string{
		string(j), log.String(), s.Password.String(), fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q", s, s, s, s, s), fmt.Sprintf("%v %+v %#v %s", &s, &s, &s, &s),
	} {
		require.NotContains(t, shown, "hunter2")
		require.Contains(t, shown, "***")
	}
}

func TestKinds(t *testing.T) {
	t.Parallel()
	require.True(t, New("").IsZero())
	require.False(t, New("").IsLiteral())
	require.True(t, New("x").IsLiteral())
	require.False(t, New("${env:X}").IsLiteral())
	for _, ok := range []string{"${env:X}", "${env:_x1}", "${file:/a}", "${file:/a b/c.pem}"} {
		require.True(t, IsReference(ok), ok)
	}
	for _, no := range []string{"", "x", "${env:}", "${env:1}", "${env:A-B}", "${file:a}", "${file:/a}x", " ${env:X}", "${env:X", "${ENV:X}", "${env:A}${env:B}", "${file:/a}${file:/b}", "${file:/a\n}", "${env:X}\n", "${vault:x}"} {
		require.False(t, IsReference(no), no)
	}
}

func FuzzExpand(f *testing.F) {
	for _, s := range []string{"${env:X}", "${file:/nonexistent}", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		if strings.HasPrefix(ref, "${file:") {
			ref = strings.Replace(ref, "${file:/", "${file:/nonexistent/", 1)
		}
		v, err := Expand(ref, func(string) (string, bool) { return "v", true })
		require.Equal(t, err == nil, v == "v")
	})
}
