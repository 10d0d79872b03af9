package e2e

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	pq "github.com/parquet-go/parquet-go"
	"github.com/stretchr/testify/require"

	"weir/internal/clickhousetest"
	"weir/internal/remap"
	"weir/sinks/parquet"
)

// remapped runs `weir remap` with a fail point's rule.
func (w *world) remapped(rule string, args ...string) outcome {
	w.t.Helper()
	var env []string
	if rule != "" {
		env = []string{"WEIR_FAILPOINT=" + rule}
	}
	cmd := w.command(env, append([]string{"remap", "-c", w.config}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	o := outcome{stdout: out.String(), stderr: errs.String(), code: cmd.ProcessState.ExitCode()}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		ws, ok := exit.Sys().(syscall.WaitStatus)
		o.killed = ok && ws.Signaled() && ws.Signal() == syscall.SIGKILL
	}
	return o
}

// keys are the warehouse's rows, whatever a mapping makes of them.
func (w *world) keys() string {
	return w.clickhouse.Query(w.t, "SELECT count(), uniqExact(event_id), sum(cityHash64(app, instance, tenant, event_id, version, batch_id, delivered_at, observed_at, raw)) FROM weir.activities")
}

// Killed at each step, the table holds every row once, and the next call ends
// what was begun.
func TestRemapKilled(t *testing.T) {
	w := newWorld(t, clickhousetest.Start(t))
	w.add(len(w.left))
	w.collect(true)
	keys := w.keys()
	w.clickhouse.Query(t, "CREATE TABLE weir.old AS weir.activities")
	for _, p := range strings.Fields(w.clickhouse.Query(t, "SELECT DISTINCT _partition_id FROM weir.activities")) {
		w.clickhouse.Query(t, "ALTER TABLE weir.old ATTACH PARTITION ID '"+p+"' FROM weir.activities")
	}
	mapped := func() string {
		return w.clickhouse.Query(t, "SELECT countIf(startsWith(action, 'old.')), countIf(actor_id = 'somebody') FROM weir.activities")
	}
	old := mapped()
	for _, rule := range []string{
		"remap.table=kill@2", "remap.copy=kill@3", "remap.write=kill@2", "remap.attach=kill@2", "remap.swap=kill", "remap.drop=kill@3", "remap.done=kill", "remap.write=error",
	} {
		o := w.remapped(rule, "--sink", "warehouse")
		require.Equal(t, strings.Contains(rule, "kill"), o.killed, "%s: %s", rule, o.stderr)
		require.Equal(t, keys, w.keys(), "%s", rule)
		require.Contains(t, []string{old, "0\t0"}, mapped(), "%s: neither the old rows nor the new ones", rule)
		if strings.HasPrefix(rule, "remap.drop") || strings.HasPrefix(rule, "remap.done") {
			require.Equal(t, "0\t0", mapped(), "%s comes after the swap", rule)
			o = w.remapped("", "--sink", "warehouse", "--from", "2023-01-01", "--to", "2023-01-02") // of another span
			require.Zero(t, o.code, o.stderr)
			w.checkRemapped()
			// The old rows again, for the next point.
			w.clickhouse.Query(t, "TRUNCATE TABLE weir.activities")
			for _, p := range strings.Fields(w.clickhouse.Query(t, "SELECT DISTINCT _partition_id FROM weir.old")) {
				w.clickhouse.Query(t, "ALTER TABLE weir.activities ATTACH PARTITION ID '"+p+"' FROM weir.old")
			}
		}
	}
	o := w.remapped("", "--sink", "warehouse", "--diff", "2")
	require.Zero(t, o.code, o.stderr)
	require.Contains(t, o.stdout, "action")
	require.Contains(t, o.stdout, "    + ")
	require.Equal(t, keys, w.keys())
	w.clickhouse.Query(t, "DROP TABLE weir.old")
	w.checkRemapped()
}

type remapRow struct {
	EventID   string   `parquet:"event_id"`
	Action    string   `parquet:"action"`
	Service   string   `parquet:"service"`
	ActorID   string   `parquet:"actor_id"`
	TargetID  string   `parquet:"target_id"`
	Time      int64    `parquet:"time"`
	TargetIDs []string `parquet:"target_ids,list"`
	Raw       string   `parquet:"raw"`
}

// The lake goes into another root, through kills, and the sink moves there.
func TestRemapLake(t *testing.T) {
	w := newWorld(t, nil)
	w.add(30)
	w.collect(true)
	to := filepath.Join(w.dir, "lake.r2")
	before := treeOf(t, w.lake())

	o := w.remapped("", "--sink", "lake")
	require.Equal(t, 1, o.code)
	require.Contains(t, o.stderr, "--to-path")
	o = w.remapped("", "--sink", "lake", "--dry-run")
	require.Zero(t, o.code, o.stderr)
	require.Contains(t, o.stdout, "would change")
	require.NoDirExists(t, to)

	kills := 0
	for i, rule := range []string{"remap.write=kill", "part.write=kill", "part.sync=kill@3", "part.rename=kill@2", "part.mark=kill", "part.mark=kill@2", "part.rename=kill@9", "part.sync=kill@12"} {
		if o := w.remapped(rule, "--sink", "lake", "--to-path", to); o.killed {
			kills++
		} else {
			require.Zero(t, o.code, "%d %s: %s", i, rule, o.stderr)
		}
	}
	require.GreaterOrEqual(t, kills, 4)
	// While an agent runs, the sink stays where it is.
	stop := w.collect(false)
	meanwhile := filepath.Join(w.dir, "lake.meanwhile") // the other may be whole by now, and the sink's
	o = w.remapped("", "--sink", "lake", "--to-path", meanwhile)
	require.Zero(t, o.code, o.stderr)
	require.Contains(t, o.stderr, "The agent is running")
	require.NoFileExists(t, filepath.Join(meanwhile, "_weir", "owner.json"))
	w.add(5)
	require.Eventually(t, func() bool { return w.lakeRows() == len(w.truth) }, 30*time.Second, 50*time.Millisecond)
	stop()
	o = w.remapped("", "--sink", "lake", "--to-path", to)
	require.Zero(t, o.code, o.stderr)
	w.checkRoot(to)
	for name, sum := range before {
		if strings.HasSuffix(name, ".parquet") {
			require.Equal(t, sum, treeOf(t, w.lake())[name], "old files are not edited")
		}
	}

	// The agent goes on in the new root, under the same sink's name.
	b, err := os.ReadFile(w.config)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(w.config, bytes.ReplaceAll(b, []byte(fmt.Sprintf("path: %q", w.lake())), []byte(fmt.Sprintf("path: %q", to))), 0o600))
	w.add(len(w.left))
	w.collect(true)
	marks, err := parquet.ReadMarks(to, "activities")
	require.NoError(t, err)
	first := 0
	for _, m := range marks {
		if m.Previous == "" {
			first++
		}
	}
	require.Equal(t, 1, first, "one chain")

	j := w.job("lake")
	j.Path = filepath.Join(w.dir, "lake.r3")
	_, err = remap.Run(t.Context(), j)
	require.NoError(t, err)
	w.checkRoot(j.Path)
	require.Len(t, w.truth, 2900)
}

// checkRoot compares a root with the truth.
func (w *world) checkRoot(root string) {
	w.t.Helper()
	marks, err := parquet.ReadMarks(root, "activities")
	require.NoError(w.t, err)
	want, seen := w.want(), map[string]bool{}
	for _, m := range marks {
		for _, f := range m.Files {
			rows, err := pq.ReadFile[remapRow](filepath.Join(root, f.Path))
			require.NoError(w.t, err)
			require.Len(w.t, rows, int(f.Rows))
			for _, r := range rows {
				require.False(w.t, seen[r.EventID], "%s is there twice", r.EventID)
				seen[strings.Clone(r.EventID)] = true
				expect := want[r.EventID]
				require.Equal(w.t, []any{expect.Action, expect.Service, expect.ActorID, expect.TargetID, expect.Time, expect.Raw}, []any{r.Action, r.Service, r.ActorID, r.TargetID, r.Time, r.Raw}, r.EventID)
				require.ElementsMatch(w.t, expect.TargetIDs, r.TargetIDs)
				require.Contains(w.t, f.Path, "dt=2023-07-10", "the day is the new time's")
			}
		}
	}
	require.Len(w.t, seen, len(want))
}

// treeOf is what lies in a directory: sizes by name.
func treeOf(t testing.TB, dir string) map[string]string {
	out := map[string]string{}
	require.NoError(t, filepath.Walk(dir, func(p string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			b, err := os.ReadFile(p)
			require.NoError(t, err)
			out[p] = fmt.Sprintf("%x", sha256.Sum256(b))
		}
		return err
	}))
	return out
}
