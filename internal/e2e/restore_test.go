package e2e

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/clickhousetest"
)

// weir runs a command that is no run, and returns its output.
func (s *site) weir(code int, args ...string) string {
	s.t.Helper()
	cmd := s.command(nil, append(args, "-c", s.config())...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run()
	require.Equal(s.t, code, cmd.ProcessState.ExitCode(), out.String())
	return out.String()
}

// data_dir is put back from a copy after both sinks got more, ClickHouse less
// than Parquet: refused in words, reconciled, and in both every event is there
// once, ClickHouse counted without FINAL.
func TestRestoredState(t *testing.T) {
	s := newSite(t)
	s.clickhouse = clickhousetest.Start(t)
	s.addFile(900)
	s.clean()
	archive := filepath.Join(s.dir, "state.tar")
	s.weir(0, "state", "export", archive)

	s.addFile(800)
	s.clean()
	s.addFile(700)
	s.clickhouse.Kill()
	s.extra = "  drain_timeout: 2s\n"
	require.Equal(t, 1, s.run("").code, "ClickHouse is down")
	s.extra = ""
	s.clickhouse.Restart(t)
	s.addFile(600)

	require.Contains(t, s.weir(1, "state", "import", archive), "holds a state already")
	copyTree(t, t.TempDir(), s.data())
	s.weir(0, "state", "import", archive)
	o := s.run("")
	require.Equal(t, 1, o.code, o.stderr)
	require.Contains(t, o.stderr, "this state is older than the sink")
	require.Contains(t, o.stderr, "weir state reconcile")
	require.Contains(t, s.weir(1, "state", "reconcile"), "--stopped")
	out := s.weir(0, "state", "reconcile", "--stopped")
	require.Contains(t, out, "800 events that every sink has are known again")
	require.Contains(t, out, "700 events that some sinks have")
	s.clean()
	s.check()
	s.clean()
	s.check()
	require.Contains(t, s.weir(0, "state", "check"), "state and spool are whole")
	require.Contains(t, s.weir(0, "state", "size"), "seen ids")
}
