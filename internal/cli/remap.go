package cli

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"golang.org/x/sys/unix"

	"weir/internal/remap"
	"weir/schemas"
	"weir/sources/httpx"
)

type remapCmd struct {
	configFlag
	Table    string `default:"activities" help:"The table (${default}); only activities are made of records."`
	From     string `placeholder:"T" help:"First time, as a date or RFC 3339; without it, the oldest."`
	To       string `placeholder:"T" help:"Time before which to stop; without it, the newest is the last."`
	Instance string `placeholder:"NAME" help:"Only this instance's rows."`
	Sink     string `placeholder:"NAME" help:"The sink, where there are several."`
	ToPath   string `placeholder:"DIR" type:"path" help:"Of a Parquet sink: the new directory, which gets everything."`
	DryRun   bool   `help:"Only say what would change."`
	Diff     int    `placeholder:"N" help:"Show N of the rows that change, column by column."`
}

// Run implements the command.
func (r *remapCmd) Run(c *console) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	limitMemory(int64(cfg.Agent.MaxMemory))
	j := remap.Job{
		Config: cfg, Clock: c.clock, Sink: r.Sink, Only: r.Instance, Path: r.ToPath, DryRun: r.DryRun, Examples: r.Diff,
		Log: func(format string, args ...any) { fmt.Fprintf(c.err, format+"\n", args...) },
	}
	if r.Table != schemas.TableActivities {
		return usageError{fmt.Errorf("weir: --table %s: only %s can be made anew: other tables' rows depend on more than their record; the next scan brings them up to date", r.Table, schemas.TableActivities)}
	}
	if j.From, err = parseTime("from", r.From); err != nil {
		return err
	}
	if j.To, err = parseTime("to", r.To); err != nil {
		return err
	}
	if !j.To.IsZero() && !j.From.Before(j.To) {
		return usageError{errors.New("weir: --from must be before --to")}
	}
	if !r.DryRun {
		unlock, err := lockRemap(cfg.Agent.DataDir)
		if err != nil {
			return err
		}
		defer unlock()
	}
	ctx, stop := c.signals()
	defer stop()
	started := c.clock.Now()
	report, err := remap.Run(ctx, j)
	if report != nil && report.Rows > 0 {
		printRemap(c.out, report, r.DryRun, c.clock.Since(started))
	}
	if errors.Is(err, remap.ErrUsage) {
		return usageError{fmt.Errorf("weir: %w", err)}
	}
	return err
}

func parseTime(flag, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usageError{fmt.Errorf("weir: --%s %q: want a date such as 2026-01-31, or a time such as 2026-01-31T08:00:00Z", flag, s)}
}

// lockRemap keeps two re-mappings apart.
func lockRemap(dataDir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dataDir, "remap.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(errors.New("another weir remap is running"), f.Close())
	}
	return func() { _ = f.Close() }, nil
}

func printRemap(w io.Writer, r *remap.Report, dry bool, took time.Duration) {
	verb := "were changed"
	if dry {
		verb = "would change"
	}
	fmt.Fprintf(w, "%d rows looked at in %s (%.0f a second): %d made anew, of which %d %s\n", r.Rows, took.Round(time.Millisecond), float64(r.Rows)/max(took.Seconds(), 1e-9), r.Mapped, r.Changed, verb)
	if r.Moved > 0 {
		fmt.Fprintf(w, "%d of them belong to another month now\n", r.Moved)
	}
	if r.NewID > 0 {
		fmt.Fprintf(w, "%d of them would get another event_id: they keep theirs\n", r.NewID)
	}
	if len(r.Columns) > 0 {
		t := newTable(w, "column", "rows that differ")
		for _, name := range r.TopColumns() {
			t.AppendRow(table.Row{name, r.Columns[name]})
		}
		t.Render()
	}
	if len(r.Carried) > 0 {
		t := newTable(w, "left as they are, because", "rows")
		for _, why := range r.Reasons() {
			t.AppendRow(table.Row{why, r.Carried[why]})
		}
		t.Render()
	}
	for _, s := range r.Samples {
		fmt.Fprintf(w, "\n%s %s\n", s.Instance, httpx.RedactText(s.Key))
		for _, f := range s.Fields {
			fmt.Fprintf(w, "  %s\n    - %s\n    + %s\n", f.Column, show(f.Old), show(f.New))
		}
	}
}

// show bounds a value and removes secrets from it.
func show(v string) string {
	const most = 500
	v = httpx.RedactText(v)
	if len(v) > most {
		v = strings.ToValidUTF8(v[:most], "") + "..."
	}
	return v
}
