package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/agent"
)

// trail writes CloudTrail files of five events a day into dir, for days before
// now, and a configuration that collects the newest two days of them live.
func trail(t *testing.T, days int) (config string) {
	t.Helper()
	dir := t.TempDir()
	for d := range days {
		at := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -d)
		var records []map[string]any
		for i := range 5 {
			records = append(records, map[string]any{
				"eventVersion": "1.08", "eventID": fmt.Sprintf("event-%d-%d", d, i), "eventTime": at.Add(time.Minute).Format(time.RFC3339),
				"eventName": "ConsoleLogin", "eventSource": "signin.amazonaws.com", "awsRegion": "us-east-1", "recipientAccountId": "111111111111",
				"userIdentity": map[string]any{"type": "Root", "accountId": "111111111111"},
			})
		}
		b, err := json.Marshal(map[string]any{"Records": records})
		require.NoError(t, err)
		name := filepath.Join(dir, "trail/AWSLogs/111111111111/CloudTrail/us-east-1", at.Format("2006/01/02"), "111111111111_CloudTrail_us-east-1_"+at.Add(5*time.Minute).Format("20060102T1504Z")+"_x.json")
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		require.NoError(t, os.WriteFile(name, b, 0o600))
	}
	config = filepath.Join(dir, "weir.yaml")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `agent: {data_dir: %q, listen: "", min_free: 1MB}
sinks: {lake: {type: parquet, path: %q, max_delay: 1s, late_delay: 1s}}
instances: {acme: {app: aws, cloudtrail: {url: "file://%s/trail/AWSLogs", since: 1d, settle: 0s}}}
`, filepath.Join(dir, "data"), filepath.Join(dir, "lake"), dir), 0o600))
	return config
}

func TestBackfill(t *testing.T) {
	t.Parallel()
	config := trail(t, 12)
	weir := func(want int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		require.Equal(t, want, Main(append(args, "-c", config), &out, &errs), "%s\n%s", out.String(), errs.String())
		return out.String() + errs.String()
	}
	f := func(want string, args ...string) {
		t.Helper()
		require.Contains(t, weir(exitUsage, append([]string{"backfill"}, args...)...), want)
	}
	f("no instance is called", "nobody", "--stream", "activities", "--from", "9d")
	f("has none of that name", "acme", "--stream", "files", "--from", "9d")
	f("want a date", "acme", "--stream", "activities", "--from", "lately")
	f("is not before", "acme", "--stream", "activities", "--from", "3d", "--to", "4d")
	f("missing flags: --from", "acme", "--stream", "activities")
	f("no agent runs", "acme", "--stream", "activities", "--from", "9d", "--detach")
	weir(exitOK, "run", "--once")

	// Here: what the live stream does not hold.
	ago := func(days int) string {
		return time.Now().UTC().AddDate(0, 0, -days).Format(time.DateOnly)
	}
	text := weir(exitOK, "backfill", "acme", "--stream", "activities", "--from", ago(5))
	require.Contains(t, text, "20 rows")
	text = weir(exitOK, "backfill", "acme", "--stream", "activities", "--from", "4d", "--to", "2d")
	require.Contains(t, text, "nothing to collect")
	require.Contains(t, weir(exitOK, "backfill", "list"), "done")
	require.Contains(t, weir(exitFailed, "backfill", "stop", "1"), "is done")
	require.Contains(t, weir(exitFailed, "backfill", "resume", "1"), "is done")
	require.Contains(t, weir(exitFailed, "backfill", "drop", "77"), "no task")

	// By the agent.
	cfg, err := configFlag{Config: config}.load()
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	c := &console{out: &bytes.Buffer{}, err: &bytes.Buffer{}, clock: clockwork.NewRealClock()}
	go func() { done <- c.run(ctx, cfg, agent.Options{}) }()
	require.Eventually(t, func() bool {
		_, err := os.Stat(filepath.Join(cfg.Agent.DataDir, agent.ControlSocket))
		return err == nil
	}, 20*time.Second, 10*time.Millisecond)
	text = weir(exitOK, "backfill", "acme", "--stream", "activities", "--from", ago(20))
	require.Contains(t, text, "30 rows")
	text = weir(exitOK, "backfill", "acme", "--stream", "activities", "--from", "4d", "--to", "2d")
	require.Contains(t, text, "nothing to collect")
	require.Contains(t, weir(exitOK, "backfill", "acme", "--stream", "activities", "--from", "60d", "--to", "30d", "--detach"), "task 3")
	require.Contains(t, weir(exitOK, "backfill", "drop", "3"), "forgotten")
	require.Equal(t, 2, strings.Count(weir(exitOK, "backfill", "list"), "backfill"))
	stop()
	require.NoError(t, <-done)
}
