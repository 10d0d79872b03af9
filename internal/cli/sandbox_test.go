package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/sandbox/all"
)

func TestSandboxPrintConfig(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	require.Equal(t, exitOK, Main([]string{"sandbox", "--print-config", "--tenants", "acme,beta", "--people", "5", "--listen", "127.0.0.1:9999"}, &out, &errs), errs.String())
	require.Contains(t, out.String(), "data_dir: ")
	require.Contains(t, out.String(), "type: parquet")
	for _, v := range all.Vendors {
		require.Contains(t, out.String(), "  acme-"+v.App+":\n    app: "+v.App+"\n")
		require.Contains(t, out.String(), "  beta-"+v.App+":\n")
		require.Contains(t, out.String(), "http://127.0.0.1:9999/"+v.App+"/acme")
	}
	name := filepath.Join(t.TempDir(), "weir.yaml")
	require.NoError(t, os.WriteFile(name, out.Bytes(), 0o600))
	require.Equal(t, exitOK, Main([]string{"check", "-c", name}, &out, &errs), "what it prints is a configuration: %s", errs.String())
}

func TestSandboxRefuses(t *testing.T) {
	t.Parallel()
	f := func(want string, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		require.Equal(t, exitUsage, Main(append([]string{"sandbox", "--print-config"}, args...), &out, &errs))
		require.Contains(t, errs.String(), want)
	}
	f("--allow-remote", "--listen", "0.0.0.0:8490")
	f("--allow-remote", "--listen", ":8490")
	f("want HOST:PORT", "--listen", "8490")
	f("--people", "--people", "0")
	f("--history", "--history", "month")
	f("storm429", "--scenario", "nowhere")
	f("--now", "--now", "yesterday")
	f("--speed", "--clock", "fake", "--speed", "2")
	f("--speed", "--speed=-1")
	f("tenant", "--tenants", "Acme")
	f("--events-per-day", "--events-per-day", "1e9")
	f("--files", "--files=-1")
	f("no such app", "--replay", "nowhere=.")
	f("replays no records of this app", "--replay", "okta=.")
}

func TestFastClock(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	real := clockwork.NewFakeClockAt(start.Add(-time.Hour))
	c, err := (&sandboxCmd{Clock: "real", Speed: 60, Now: "2026-09-01T12:00:00Z"}).clock(real)
	require.NoError(t, err)
	real.Advance(time.Minute)
	require.Equal(t, start.Add(time.Hour), c.Now())
	require.Equal(t, time.Hour, c.Since(start))
	require.Equal(t, time.Hour, c.Until(start.Add(2*time.Hour)))
}
