package agent

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/configs"
	"weir/pipeline"
)

func TestControlSocket(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := ScanDecision{Instance: "acme", Stream: "accounts", Decision: pipeline.Accept}
	require.ErrorIs(t, DecideScan(t.Context(), dir, d), ErrNoAgent)
	require.NoError(t, os.WriteFile(filepath.Join(dir, ControlSocket), nil, 0o600)) // of an agent that was killed
	a := &Agent{Options: Options{Config: &configs.Config{Agent: configs.Agent{DataDir: dir}}, Log: slog.New(slog.DiscardHandler)}}
	stop, err := a.serveControl()
	require.NoError(t, err)
	info, err := os.Stat(filepath.Join(dir, ControlSocket))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	require.ErrorContains(t, control(t.Context(), dir, "/scan", []byte(`{"who": "me"}`)), "the request is no decision")
	require.ErrorContains(t, control(t.Context(), dir, "/else", nil), "not found")
	require.NoError(t, stop())
	require.ErrorIs(t, DecideScan(t.Context(), dir, d), ErrNoAgent)
}
