package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/clickhousetest"
	"weir/internal/s3test"
	"weir/internal/shareddata"
)

// The real logs through a real S3 server, into both sinks.
func TestRealLogsFromS3(t *testing.T) {
	dir := shareddata.Dir(t, "cloudtrail")
	server := s3test.Start(t)
	s := newSite(t)
	s.clickhouse = clickhousetest.Start(t)
	require.NoError(t, os.CopyFS(s.logs, os.DirFS(dir)))
	s.loadTruth()
	upload := func() {
		require.NoError(t, filepath.Walk(s.logs, func(p string, info os.FileInfo, err error) error {
			if err != nil || info.IsDir() {
				return err
			}
			b, err := os.ReadFile(p)
			require.NoError(t, err)
			rel, err := filepath.Rel(s.logs, p)
			require.NoError(t, err)
			return server.Put(t.Context(), filepath.ToSlash(rel), b)
		}))
	}
	upload()
	t.Setenv("AWS_ACCESS_KEY_ID", server.AccessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", server.SecretKey)
	s.url = server.URL("")
	s.clean()
	s.check()
	require.Len(t, s.truth, 2900)
	o := s.clean()
	require.Contains(t, o.stdout, " 0  0 ", "nothing new")
	s.check()
	s.addFile(17)
	upload()
	s.clean()
	s.check()
	require.False(t, strings.Contains(o.stderr, server.SecretKey))

	t.Setenv("AWS_SECRET_ACCESS_KEY", "wrong")
	o = s.run("")
	require.Equal(t, 1, o.code)
	require.Contains(t, o.stderr, "SignatureDoesNotMatch")
	require.False(t, bytes.Contains([]byte(o.stderr), []byte(server.SecretKey)))
}
