package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a newcomer runs first works in an empty directory, and again.
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 2 {
		cmd := exec.Command(binary(t), "demo")
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		for _, want := range []string{
			"1 damaged file was parked", "1. Which administrators", "2. What is shared", "3. Which powerful tokens", "4. Who has left",
			"5. Which addresses", "cat weir-demo/sql/{duckdb,5-addresses}.sql | duckdb", "iam:CreateAccessKey", "weir status -c weir-demo/weir.yaml",
		} {
			require.Contains(t, string(out), want)
		}
	}
	status := exec.Command(binary(t), "status", "-c", "weir-demo/weir.yaml")
	status.Dir = dir
	out, err := status.CombinedOutput()
	require.NoError(t, err, "%s", out)
	for _, table := range []string{"activities", "accounts", "privileges", "file_permissions", "app_grants"} {
		files, err := filepath.Glob(filepath.Join(dir, "weir-demo", "lake", table, "app=*", "dt=*", "*.parquet"))
		require.NoError(t, err)
		require.NotEmpty(t, files, table)
	}
}
