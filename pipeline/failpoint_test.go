//go:build failpoint

package pipeline

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"weir/internal/failpoint"
	"weir/internal/rowtest"
	"weir/schemas"
	"weir/sinks"
	"weir/sinks/parquet"
	"weir/sources"
)

// TestScanChild scans the world in the folder named by the environment, once,
// into Parquet. It is run by the test below, in a process with fail points.
func TestScanChild(t *testing.T) {
	dir := os.Getenv("WEIR_TEST_SCAN")
	if dir == "" {
		t.Skip("run by another test")
	}
	w := newWorld()
	b, err := os.ReadFile(filepath.Join(dir, "world.json"))
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &w.lanes))
	clock := clockwork.NewRealClock()
	o := Options{DataDir: filepath.Join(dir, "data"), Clock: clock, Rand: rand.Reader, Metrics: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler)}
	o.Tables = []*schemas.Table{schemas.ByName("accounts"), schemas.ByName("collection_runs")}
	for _, name := range []string{"lake", "copy"} {
		c := parquet.Driver.Config().(*parquet.Config)
		c.Path = filepath.Join(dir, name)
		sink, err := parquet.Driver.Open(t.Context(), sinks.Env{Name: name, Version: "test", Clock: clock}, c)
		require.NoError(t, err)
		if _, err := os.Stat(filepath.Join(dir, "with-"+name)); err != nil {
			require.NoError(t, sink.Close())
			continue
		}
		o.Sinks = append(o.Sinks, SinkOptions{Name: name, Sink: sink, SnapshotEvery: time.Nanosecond, Batching: sinks.Batching{TargetSize: 1 << 20, MaxDelay: 10 * time.Millisecond, LateDelay: time.Hour}})
	}
	p, err := Open(t.Context(), o)
	require.NoError(t, err)
	require.NoError(t, p.Start(t.Context()))
	run, err := p.NewStreamRun(StreamOptions{ID: scanStream, App: "okta", Stream: w.stream(sources.StreamInfo{Keyset: true}), Every: time.Hour, Parallel: 2, Once: true})
	require.NoError(t, err)
	require.NoError(t, run.Run(t.Context()))
	require.NoError(t, p.Drain(context.WithoutCancel(t.Context())))
	require.NoError(t, p.Close())
}

// kill -9 inside every durable step of rounds that add, change and remove: the
// log of each sink, folded, is what is true, and so is the newest snapshot.
func TestScanKilledAtEveryStep(t *testing.T) {
	t.Parallel()
	points := []string{
		failpoint.Listing, failpoint.Fetch, failpoint.ScanBegin, failpoint.ScanRemove, failpoint.ScanEnd, failpoint.SpoolWrite, failpoint.SpoolSync, failpoint.SpoolRename,
		failpoint.StateCommit, failpoint.StateDone, failpoint.PartPlan, failpoint.PartWrite, failpoint.PartMark, failpoint.PartAck, failpoint.SpoolFree,
	}
	for _, point := range points {
		t.Run(point, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			w := newWorld()
			run := func(rule string) (killed bool) {
				b, err := json.Marshal(w.lanes)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(dir, "world.json"), b, 0o600))
				cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestScanChild$", "-test.v")
				cmd.Env = append(os.Environ(), "WEIR_TEST_SCAN="+dir, "WEIR_FAILPOINT="+rule)
				out, err := cmd.CombinedOutput()
				if err != nil && cmd.ProcessState.ExitCode() != -1 {
					t.Fatalf("%v: %s", err, out)
				}
				return err != nil
			}
			with := func(sink string) { require.NoError(t, os.WriteFile(filepath.Join(dir, "with-"+sink), nil, 0o600)) }
			with("lake")
			kills := 0
			for step, hit := range []int{1, 2, 1, 3, 1} {
				for i := range 12 {
					w.set([]string{"a", "b", "c"}[i%3], fmt.Sprintf("k%d-%d", step, i), "x")
				}
				if step > 0 {
					w.del("a", fmt.Sprintf("k%d-0", step-1))
					w.set("b", fmt.Sprintf("k%d-1", step-1), "changed")
				}
				if step == 2 {
					with("copy")
				}
				if run(fmt.Sprintf("%s=kill@%d", point, hit)) {
					kills++
				}
			}
			require.GreaterOrEqual(t, kills, 1, "never killed")
			require.False(t, run(""))
			require.False(t, run(""))
			for _, sink := range []string{"lake", "copy"} {
				got, err := rowtest.Lake(t.Context(), filepath.Join(dir, sink), schemas.ByName("accounts"), "acme-okta")
				require.NoError(t, err)
				is := map[string]string{}
				for k, row := range got {
					is[k] = row["login"].(string)
				}
				require.Equal(t, w.all(), is, sink)
				snapshot(t, filepath.Join(dir, sink), w.all())
			}
		})
	}
}

// snapshot reads the newest whole snapshot as the docs say.
func snapshot(t *testing.T, lake string, want map[string]string) {
	runs, err := rowtest.LakeLog(t.Context(), lake, schemas.ByName(schemas.TableCollectionRuns), "")
	require.NoError(t, err)
	rows, err := rowtest.LakeLog(t.Context(), lake, schemas.ByName("accounts_snapshot"), "")
	require.NoError(t, err)
	newest, claimed := "", int64(0)
	for _, r := range runs {
		if id := r["run_id"].(string); r["stream"] == "accounts_snapshot" && r["outcome"] == "success" && id > newest {
			newest, claimed = id, r["rows"].(int64)
		}
	}
	require.NotEmpty(t, newest)
	is, n := map[string]string{}, int64(0)
	for _, r := range rows {
		if r["scan_id"] == newest {
			is[r["account_id"].(string)] = r["login"].(string)
			n++
		}
	}
	require.Equal(t, claimed, n)
	require.Equal(t, want, is)
}
