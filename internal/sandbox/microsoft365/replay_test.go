package microsoft365

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// writeRecords makes a directory to replay.
func writeRecords(t *testing.T, files map[string]string) string {
	dir := t.TempDir()
	for name, text := range files {
		f, err := os.Create(filepath.Join(dir, name))
		require.NoError(t, err)
		z := gzip.NewWriter(f)
		_, err = io.WriteString(z, text)
		require.NoError(t, err)
		require.NoError(t, z.Close())
		require.NoError(t, f.Close())
	}
	return dir
}

func TestOpenRecording(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range recordsPerBlob + 1 {
		lines = append(lines, `{"Id":"`+strconv.Itoa(i)+`", "Url":"a\/b"}`)
	}
	r, err := openRecording(writeRecords(t, map[string]string{
		contentGeneral + recordSuffix: strings.Join(lines, "\n") + "\n\n",
		contentDLP + recordSuffix:     `{"Id":"x"}`,
		"notes.txt":                   "not a record",
	}))
	require.NoError(t, err)
	require.Len(t, r.blobs[contentGeneral], 2)
	first, err := io.ReadAll(r.open(r.blobs[contentGeneral][0]))
	require.NoError(t, err)
	require.Equal(t, "["+strings.Join(lines[:recordsPerBlob], ",")+"]", string(first), "byte for byte")
	second, err := io.ReadAll(r.open(r.blobs[contentGeneral][1]))
	require.NoError(t, err)
	require.Equal(t, "["+lines[recordsPerBlob]+"]", string(second))
	leak, err := io.ReadAll(r.open(r.blobs[contentDLP][0]))
	require.NoError(t, err)
	require.Equal(t, `[{"Id":"x"}]`, string(leak))
}

func TestOpenRecordingRefuses(t *testing.T) {
	t.Parallel()
	refuses := func(dir, want string) {
		t.Helper()
		_, err := openRecording(dir)
		require.ErrorContains(t, err, want)
	}
	refuses(filepath.Join(t.TempDir(), "none"), "want a directory")
	refuses(t.TempDir(), "no records in")
	refuses(writeRecords(t, map[string]string{contentGeneral + recordSuffix: "\n"}), "no records in")
	refuses(writeRecords(t, map[string]string{"Audit.Teams" + recordSuffix: "{}"}), `"Audit.Teams" is no content type`)
	refuses(writeRecords(t, map[string]string{contentGeneral + recordSuffix: "{}\n[1]\n"}), ".gz:2: want a JSON object")
	refuses(writeRecords(t, map[string]string{contentGeneral + recordSuffix: `{"a":`}), ".gz:1: want a JSON object")
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, contentGeneral+recordSuffix), []byte("{}"), 0o600))
	refuses(dir, "want gzip")
}
