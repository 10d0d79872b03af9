package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	pq "github.com/parquet-go/parquet-go"

	"weir/agent"
	"weir/configs"
	"weir/internal/demodata"
	sinkregistry "weir/sinks/registry"
	sourceregistry "weir/sources/registry"
)

type demoCmd struct {
	Dir string `default:"weir-demo" help:"Directory to make (${default}); an earlier demo's is made anew."`
}

// demoHead marks a directory as the demo's own.
const demoHead = "# Weir's demo: this directory is removed when the demo runs again.\n"

const demoConfig = demoHead + `agent:
  data_dir: %[1]q
  log_level: error
  min_free: 100MB
sinks:
  lake: {type: parquet, path: %[2]q}
instances:
  demo-trail:
    app: aws
    cloudtrail: {url: %[3]q, settle: 0s}
`

// Run implements the command: it writes a trail's log files, collects them, and
// looks into what was delivered.
func (r *demoCmd) Run(c *console) error {
	dir, err := filepath.Abs(r.Dir)
	if err != nil {
		return err
	}
	config := filepath.Join(dir, "weir.yaml")
	if err := clearDemo(dir, config); err != nil {
		return err
	}
	logs, lake := filepath.Join(dir, "bucket"), filepath.Join(dir, "lake")
	stats, err := demodata.Write(logs, 1, c.clock.Now())
	if err != nil {
		return fmt.Errorf("writing the sample logs: %w", err)
	}
	yaml := fmt.Sprintf(demoConfig, filepath.Join(dir, "data"), lake, "file://"+logs)
	if err := os.WriteFile(config, []byte(yaml), 0o600); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "An invented organization's CloudTrail logs of three days: %d files, %d records, in\n  %s\n\nCollecting them into Parquet: weir run --once -c %s\n\n", stats.LogFiles, stats.Records, logs, config)
	cfg, err := configs.Load(config, nil, sourceregistry.All, sinkregistry.All)
	if err != nil {
		return err
	}
	ctx, stop := c.signals()
	defer stop()
	if err := c.run(ctx, cfg, agent.Options{Once: true}); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "\nRecords that came twice were delivered once, and %d damaged file was parked:\n\n", stats.Damaged)
	list := deadletterListCmd{configFlag: configFlag{Config: config}, Limit: 10}
	if err := list.Run(c); err != nil {
		return err
	}
	if err := c.demoStory(lake, stats); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, `
Look further:
  weir status -c %[1]s
  duckdb -c "SELECT action, outcome, count(*) FROM '%[2]s/activities/**/*.parquet' GROUP BY ALL ORDER BY 3 DESC"
  clickhouse local -q "SELECT actor_name, src_ip, count() FROM file('%[2]s/activities/**/*.parquet') WHERE outcome = 'failure' GROUP BY ALL ORDER BY 3 DESC"
  docs/schema.md tells what each column means, docs/architecture.md how it got there.
Your own logs: copy configs/weir.example.yaml, set cloudtrail.url, and weir check.
`, config, lake)
	return err
}

// clearDemo removes an earlier demo, and nothing else.
func clearDemo(dir, config string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return os.MkdirAll(dir, 0o700)
	}
	if err != nil || len(entries) == 0 {
		return err
	}
	b, err := os.ReadFile(config)
	if err != nil || !strings.HasPrefix(string(b), demoHead) {
		return usageError{fmt.Errorf("%s is not empty and not an earlier demo's: choose another with --dir", dir)}
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.MkdirAll(dir, 0o700)
}

type demoRow struct {
	Time    int64  `parquet:"time"`
	Action  string `parquet:"action"`
	Outcome string `parquet:"outcome"`
	Actor   string `parquet:"actor_name"`
	SrcIP   string `parquet:"src_ip"`
	Target  string `parquet:"target_name"`
	Access  string `parquet:"access"`
}

// demoStory reads the delivered Parquet back and prints what one address did.
func (c *console) demoStory(lake string, stats demodata.Stats) error {
	files, err := filepath.Glob(filepath.Join(lake, "activities", "*", "*", "*.parquet"))
	if err != nil {
		return err
	}
	t := newTable(c.out, "time (UTC)", "actor", "action", "outcome", "target")
	rows, shown := 0, 0
	for _, f := range files {
		part, err := pq.ReadFile[demoRow](f)
		if err != nil {
			return fmt.Errorf("reading %s back: %w", f, err)
		}
		rows += len(part)
		for _, r := range part {
			if r.SrcIP == stats.Story.IP && (r.Access == "write" || r.Outcome == "failure" || strings.HasPrefix(r.Action, "signin:")) && shown < 20 {
				t.AppendRow([]any{time.UnixMilli(r.Time).UTC().Format("01-02 15:04:05"), r.Actor, r.Action, r.Outcome, r.Target})
				shown++
			}
		}
	}
	fmt.Fprintf(c.out, "\n%d activities are in %s/activities. One address, %s, is worth a look:\n\n", rows, lake, stats.Story.IP)
	t.SortBy([]tableSort{{Name: "time (UTC)"}})
	t.Render()
	return nil
}
