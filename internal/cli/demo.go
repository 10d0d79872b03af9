package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"weir/agent"
	"weir/configs"
	"weir/internal/demodata"
	"weir/internal/lakesql"
	"weir/internal/sandbox"
	sinkregistry "weir/sinks/registry"
	sourceregistry "weir/sources/registry"
)

type demoCmd struct {
	Dir string `default:"weir-demo" help:"Directory to make (${default}); an earlier demo's is made anew."`
}

// demoHead marks a directory as the demo's own.
const demoHead = "# Weir's demo: this directory is removed when the demo runs again.\n"

const demoConfig = demoHead + `# Its vendors ended with it: weir sandbox serves them again, at an address of its own.
agent:
  data_dir: %[1]q
  log_level: error
  min_free: 100MB
sinks:
  lake: {type: parquet, path: %[2]q}
instances:
  demo-trail:
    app: aws
    cloudtrail: {url: %[3]q, settle: 0s}
%[4]s`

// demoPlace is where the demo's files are; given is the directory as it was named.
type demoPlace struct{ given, config, logs, lake, data, sql string }

// Run implements the command.
func (r *demoCmd) Run(c *console) error {
	ctx, stop := c.signals()
	defer stop()
	s, err := demoSandbox(c.clock)
	if err != nil {
		return err
	}
	return c.demo(ctx, r.Dir, s)
}

// demo writes a trail's log files, serves the vendors of a pretend organization,
// collects all of it, and looks into what was delivered.
func (c *console) demo(ctx context.Context, given string, s *sandbox.Server) error {
	dir, err := filepath.Abs(given)
	if err != nil {
		return err
	}
	p := demoPlace{given, filepath.Join(dir, "weir.yaml"), filepath.Join(dir, "bucket"), filepath.Join(dir, "lake"), filepath.Join(dir, "data"), filepath.Join(dir, "sql")}
	if err := clearDemo(dir, p.config); err != nil {
		return err
	}
	stats, err := demodata.Write(p.logs, 1, c.clock.Now())
	if err != nil {
		return fmt.Errorf("writing the sample logs: %w", err)
	}
	fmt.Fprintf(c.out, `An invented organization: its CloudTrail logs of three days (%d files, %d records), and a GitHub, a
Google Workspace, a Microsoft 365 (its logs for the last hours) and an Okta that the sandbox plays
for %d people and %d days. All of it is collected into Parquet files in %s/lake, as weir run --once
does.

`, stats.LogFiles, stats.Records, demoPeople, demoDays, given)
	if err := c.demoCollect(ctx, p, s); err != nil {
		return err
	}
	fmt.Fprintf(c.out, "\nRecords that came twice were delivered once, and %d damaged file was parked:\n\n", stats.Damaged)
	if err := c.demoParked(ctx, p); err != nil {
		return err
	}
	lake, err := lakesql.Open(ctx, p.lake)
	if err != nil {
		return err
	}
	defer lake.Close()
	if err := c.demoCollected(ctx, lake); err != nil {
		return err
	}
	if err := c.demoQuestions(ctx, p, lake); err != nil {
		return err
	}
	if err := c.demoStory(ctx, lake, stats.Story); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, `
Look further:
  weir status -c %[1]s/weir.yaml
  cat %[1]s/sql/duckdb.sql - | duckdb: the tables, for questions of your own
  weir sandbox: the same vendors, to try configurations on
  docs/schema.md tells what each column means, docs/architecture.md how it got there.
Your own apps: copy configs/weir.example.yaml, then weir check --connect.
`, given)
	return err
}

// demoCollect collects everything once, while the sandbox serves the vendors.
func (c *console) demoCollect(ctx context.Context, p demoPlace, s *sandbox.Server) error {
	instances, stop, err := serveDemo(ctx, s)
	if err != nil {
		return err
	}
	defer stop()
	yaml := fmt.Sprintf(demoConfig, p.data, p.lake, "file://"+p.logs, instances)
	if err := os.WriteFile(p.config, []byte(yaml), 0o600); err != nil {
		return err
	}
	cfg, err := configs.Load(p.config, nil, sourceregistry.All, sinkregistry.All)
	if err != nil {
		return err
	}
	return c.run(ctx, cfg, agent.Options{Once: true})
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
