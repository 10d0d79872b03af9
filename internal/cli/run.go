package cli

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"weir/agent"
	"weir/configs"
)

type runCmd struct {
	configFlag
	Once     bool   `help:"Collect until every lane says caught up, deliver, and exit: 0, or 1 with what is missing."`
	TakeOver bool   `help:"Write to sinks that another state has written. What that state delivered will be delivered again."`
	Role     string `enum:"all,collect,govern" default:"all" help:"What to do: all; collect, which changes nothing at a vendor; or govern, which collects nothing, so that only its host holds rights to write."`

	DebugHTTP debugHTTP `name:"debug-http" placeholder:"[=FILE]" help:"Write every HTTP exchange with a vendor to a file only its owner reads, secrets removed (debug-http.log in data_dir); it is bounded."`
}

// Run implements the command.
func (r *runCmd) Run(c *console) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	ctx, stop := c.signals()
	defer stop()
	dump, err := r.DebugHTTP.open(cfg.Agent.DataDir, c.err)
	if err != nil {
		return err
	}
	o := agent.Options{Once: r.Once, TakeOver: r.TakeOver, Role: agent.Role(r.Role)}
	if dump != nil {
		defer dump.Close()
		o.DebugHTTP = dump
	}
	return c.run(ctx, cfg, o)
}

const (
	barEvery  = 200 * time.Millisecond
	lineEvery = 10 * time.Second
)

// run has an agent do what the options say, with the configuration and the
// console's own clock and log.
func (c *console) run(ctx context.Context, cfg *configs.Config, o agent.Options) error {
	limitMemory(int64(cfg.Agent.MaxMemory))
	log := c.logger(cfg.Agent)
	o.Config, o.Clock, o.Log = cfg, c.clock, log
	once := o.Once
	a, err := agent.New(ctx, o)
	if err != nil {
		return err
	}
	started := c.clock.Now()
	log.Info("weir starts", "config", cfg.Path, "config_sha256", cfg.SHA256, "data_dir", cfg.Agent.DataDir, "generation", a.Pipeline.State().Generation())
	shown := make(chan struct{})
	watch, unwatch := context.WithCancel(ctx)
	go func() {
		defer close(shown)
		c.progress(watch, a, once)
	}()
	err = a.Run(ctx)
	unwatch()
	<-shown
	if once {
		c.summary(a, c.clock.Since(started))
	}
	if err != nil && once {
		return fmt.Errorf("something is missing:\n%w", err)
	}
	return err
}

// progress shows that work goes on: a moving line on a terminal during a single
// run, else a log line now and then.
func (c *console) progress(ctx context.Context, a *agent.Agent, once bool) {
	if once && isTerminal(c.err) {
		c.bar(ctx, a)
		return
	}
	for {
		select {
		case <-c.clock.After(lineEvery):
			t := totals(a)
			a.Log.Info("progress", "rows", t.rows, "duplicates", t.duplicates, "rejected", t.rejected, "bytes_received", t.bytesIn,
				"lanes_read", t.lanes, "spool_bytes", a.Pipeline.SpoolBytes(), "rows_delivered", t.delivered)
		case <-ctx.Done():
			return
		}
	}
}

func (c *console) bar(ctx context.Context, a *agent.Agent) {
	p := mpb.New(mpb.WithOutput(c.err), mpb.WithRefreshRate(barEvery))
	started := c.clock.Now()
	b := p.New(0, mpb.SpinnerStyle(), mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
		t := totals(a)
		return fmt.Sprintf("%d of %d files or lanes, %d rows, %s/s, %d delivered ", t.lanes, t.listed, t.rows, rate(t.rows, c.clock.Since(started)), t.delivered)
	})), mpb.BarRemoveOnComplete())
	<-ctx.Done()
	b.Abort(true)
	p.Wait()
}

type sums struct{ rows, duplicates, rejected, bytesIn, lanes, listed, delivered int64 }

func totals(a *agent.Agent) (t sums) {
	for _, s := range a.Streams() {
		if run := s.Running(); run != nil {
			t.rows += run.Stats.Rows.Load()
			t.duplicates += run.Stats.Duplicates.Load()
			t.rejected += run.Stats.Rejected.Load()
			t.bytesIn += run.Stats.Bytes.Load()
			t.lanes += run.Stats.LanesRead.Load()
			t.listed += run.Stats.Listed.Load()
		}
	}
	for _, s := range a.Pipeline.SinkStatus() {
		t.delivered += s.Rows
	}
	return t
}

// summary prints what a single run did.
func (c *console) summary(a *agent.Agent, took time.Duration) {
	t := newTable(c.out, "instance", "stream", "rows", "duplicates", "rejected", "parked", "sec", "rows/s", "in", "out")
	for _, s := range a.Streams() {
		run := s.Running()
		if run == nil {
			t.AppendRow(table.Row{s.ID.Instance, s.ID.Stream, "not opened"})
			continue
		}
		secs := s.Ended().Sub(s.Started)
		st := &run.Stats
		t.AppendRow(table.Row{
			s.ID.Instance, s.ID.Stream, st.Rows.Load(), st.Duplicates.Load(), st.Rejected.Load(), st.LanesParked.Load(),
			seconds(secs), rate(st.Rows.Load(), secs), size(st.Bytes.Load()), size(st.BytesOut.Load()),
		})
	}
	for _, s := range a.Pipeline.SinkStatus() {
		t.AppendRow(table.Row{"sink " + s.Name, "", s.Rows, "", "", "", seconds(took), rate(s.Rows, took), "", size(s.Bytes)})
	}
	t.Render()
}

func newTable(out io.Writer, header ...any) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(out)
	t.SetStyle(table.StyleLight)
	t.Style().Options.SeparateColumns = false
	t.Style().Options.DrawBorder = false
	t.AppendHeader(table.Row(header))
	return t
}

// seconds words how long something took, in at most six characters.
func seconds(d time.Duration) string {
	if d >= 100*time.Second {
		return fmt.Sprintf("%.0f", d.Seconds())
	}
	return fmt.Sprintf("%.2f", d.Seconds())
}

func rate(n int64, d time.Duration) string {
	if d <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f", float64(n)/d.Seconds())
}

func size(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}
