package cli

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"weir/agent"
	"weir/configs"
	"weir/internal/setting"
	"weir/pipeline"
	"weir/sources"
)

type backfillCmd struct {
	Start  backfillStartCmd  `cmd:"" default:"withargs" help:"Collect a stretch of a stream's past, as far as it is not collected yet."`
	List   backfillListCmd   `cmd:"" help:"List what of the past is being read: backfills, sweeps, and holes that are collected again."`
	Stop   backfillStopCmd   `cmd:"" help:"Stop a task; what it has delivered stays."`
	Resume backfillResumeCmd `cmd:"" help:"Have a task that was stopped go on."`
	Drop   backfillDropCmd   `cmd:"" help:"Forget a task; what it has delivered stays."`
}

type backfillStartCmd struct {
	configFlag
	Instance string `arg:"" help:"The instance."`
	Stream   string `required:"true" placeholder:"NAME" help:"Its stream, such as activities."`
	From     string `required:"true" placeholder:"TIME" help:"Where to begin: a date, an RFC 3339 time, or a time back from now such as 90d."`
	To       string `placeholder:"TIME" help:"Where to end; without it, now."`
	Detach   bool   `help:"Return at once: the running agent does the work."`
}

// Run implements the command.
func (r *backfillStartCmd) Run(c *console) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	id := pipeline.StreamID{Instance: r.Instance, Stream: r.Stream}
	if err := looksBack(cfg, id); err != nil {
		return usageError{err}
	}
	now := c.clock.Now().UTC()
	b := agent.Backfill{Instance: r.Instance, Stream: r.Stream, To: now}
	if b.From, err = timeArg("--from", r.From, now); err != nil {
		return usageError{err}
	}
	if r.To != "" {
		if b.To, err = timeArg("--to", r.To, now); err != nil {
			return usageError{err}
		}
	}
	if !b.From.Before(b.To) || !b.From.Before(now) {
		return usageError{fmt.Errorf("--from %s is not before --to %s and now", b.From.Format(time.RFC3339), b.To.Format(time.RFC3339))}
	}
	ctx, stop := c.signals()
	defer stop()
	t, err := agent.AskBackfill(ctx, cfg.Agent.DataDir, b)
	switch {
	case errors.Is(err, agent.ErrNoAgent) && r.Detach:
		return usageError{errors.New("--detach: no agent runs with this data_dir; start `weir run`, or leave --detach out")}
	case errors.Is(err, agent.ErrNoAgent):
		err = c.backfillHere(ctx, cfg, &agent.PastJob{Of: id, New: &b})
	case err == nil:
		err = c.attach(ctx, cfg, t, r.Detach)
	}
	if errors.Is(err, pipeline.ErrPastHeld) {
		_, err = fmt.Fprintln(c.out, err)
	}
	return err
}

// looksBack refuses what cannot be backfilled.
func looksBack(cfg *configs.Config, id pipeline.StreamID) error {
	for _, inst := range cfg.Instances {
		if inst.Name != id.Instance {
			continue
		}
		for _, info := range inst.Connector.Streams {
			switch {
			case info.Name != id.Stream:
			case info.Shape != sources.Log:
				return fmt.Errorf("%s is a scan: it lists what exists now", id)
			case !info.Back:
				return fmt.Errorf("%s cannot be asked for the past", id)
			case !inst.Enabled || !inst.Streams[info.Name].Enabled:
				return fmt.Errorf("%s is disabled in the configuration", id)
			default:
				return nil
			}
		}
		return fmt.Errorf("--stream %s: %s has none of that name", id.Stream, inst.Connector.Title)
	}
	return fmt.Errorf("no instance is called %q", id.Instance)
}

// timeArg reads a date, a time, or a time back from now.
func timeArg(name, s string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	if d, err := setting.ParseDuration(s); err == nil && d > 0 {
		return now.Add(-d), nil
	}
	return time.Time{}, fmt.Errorf("%s %q: want a date such as 2026-01-31, a time such as 2026-01-31T12:00:00Z, or a time back from now such as 90d", name, s)
}

// attach shows how the agent's task gets on, and stops it at Ctrl-C.
func (c *console) attach(ctx context.Context, cfg *configs.Config, t pipeline.PastTask, detach bool) error {
	fmt.Fprintf(c.err, "task %d: %s, %s to %s, %d windows\n", t.ID, t.StreamID, t.Span.From.Format(time.RFC3339), t.Span.To.Format(time.RFC3339), t.Windows)
	if detach {
		return nil
	}
	st, err := pipeline.ReadState(ctx, cfg.Agent.DataDir)
	if err != nil {
		return err
	}
	defer st.Close()
	last, err := c.follow(ctx, st, t)
	if ctx.Err() != nil && last.Status == pipeline.PastOpen {
		if last, err = agent.TellPast(context.WithoutCancel(ctx), cfg.Agent.DataDir, agent.PastOrder{Task: t.ID, Verb: pipeline.PastStop}); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	return c.backfilled(last)
}

// backfillHere does the work in this process.
func (c *console) backfillHere(ctx context.Context, cfg *configs.Config, job *agent.PastJob) error {
	limitMemory(int64(cfg.Agent.MaxMemory))
	log := c.logger(cfg.Agent)
	a, err := agent.New(ctx, agent.Options{Config: cfg, Clock: c.clock, Log: log, Past: job})
	if err != nil {
		return err
	}
	st := a.Pipeline.State()
	begun := make(chan pipeline.PastTask, 1)
	shown := make(chan struct{})
	watch, unwatch := context.WithCancel(ctx)
	job.Started = func(t pipeline.PastTask) { begun <- t }
	go func() {
		defer close(shown)
		select {
		case t := <-begun:
			fmt.Fprintf(c.err, "task %d: %s, %s to %s, %d windows\n", t.ID, t.StreamID, t.Span.From.Format(time.RFC3339), t.Span.To.Format(time.RFC3339), t.Windows)
			if _, err := c.follow(watch, st, t); err != nil && watch.Err() == nil {
				log.Warn("the task's progress cannot be read", "error", err)
			}
		case <-watch.Done():
		}
	}()
	id := int64(0)
	started := job.Started
	job.Started = func(t pipeline.PastTask) { id = t.ID; started(t) }
	err = a.Run(ctx)
	unwatch()
	<-shown
	if id == 0 {
		return err
	}
	rd, rerr := pipeline.ReadState(context.WithoutCancel(ctx), cfg.Agent.DataDir)
	if rerr != nil {
		return errors.Join(err, rerr)
	}
	defer rd.Close()
	last, _, rerr := rd.PastTask(context.WithoutCancel(ctx), id)
	if ctx.Err() != nil {
		err = nil // it was stopped, which backfilled tells
	}
	return errors.Join(err, rerr, c.backfilled(last))
}

// backfilled tells how a task ended.
func (c *console) backfilled(t pipeline.PastTask) error {
	fmt.Fprintf(c.out, "%d windows read, %d rows, %d events were known\n", t.Done, t.Rows, t.Duplicates)
	switch {
	case t.Status == pipeline.PastDone && t.Parked > 0:
		return fmt.Errorf("done, but for %d objects that cannot be read: see `weir deadletter list`; their days stay open in the ledger", t.Parked)
	case t.Status == pipeline.PastDone:
		return nil
	}
	return fmt.Errorf("task %d was stopped; `weir backfill resume %d` has it go on", t.ID, t.ID)
}

const followEvery = 500 * time.Millisecond

// follow shows a task's progress until it ends, is stopped, or ctx ends.
func (c *console) follow(ctx context.Context, st pipeline.State, t pipeline.PastTask) (pipeline.PastTask, error) {
	show, end := c.lines()
	if isTerminal(c.err) {
		show, end = c.pastBar(t)
	}
	defer end()
	for {
		now, ok, err := st.PastTask(context.WithoutCancel(ctx), t.ID)
		if err != nil {
			return t, err
		}
		if !ok {
			t.Status = pipeline.PastStopped // it was dropped
			return t, nil
		}
		t = now
		show(t)
		if t.Status != pipeline.PastOpen {
			return t, nil
		}
		select {
		case <-c.clock.After(followEvery):
		case <-ctx.Done():
			return t, nil
		}
	}
}

func (c *console) pastBar(t pipeline.PastTask) (show func(pipeline.PastTask), end func()) {
	p := mpb.New(mpb.WithOutput(c.err), mpb.WithRefreshRate(barEvery))
	var text atomic.Value
	text.Store(progressOf(t))
	b := p.AddBar(int64(max(t.Windows, 1)), mpb.BarRemoveOnComplete(), mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return fmt.Sprint(" ", text.Load()) })))
	return func(t pipeline.PastTask) {
			text.Store(progressOf(t))
			b.SetCurrent(int64(min(t.Done, max(t.Windows-1, 0)))) // the last step is end's
		}, func() {
			b.Abort(true)
			p.Wait()
		}
}

// lines writes a line whenever a window is done, and now and then.
func (c *console) lines() (show func(pipeline.PastTask), end func()) {
	last, at := "", time.Time{}
	return func(t pipeline.PastTask) {
		text := progressOf(t)
		if now := c.clock.Now(); text != last && now.Sub(at) >= lineEvery || t.Status != pipeline.PastOpen {
			fmt.Fprintln(c.err, text)
			last, at = text, now
		}
	}, func() {}
}

// progressOf words how far a task is.
func progressOf(t pipeline.PastTask) string {
	text := fmt.Sprintf("%d of %d windows, %d rows, %d known", t.Done, max(t.Windows, t.Done), t.Rows, t.Duplicates)
	if !t.Window.Empty() {
		text += ", reading " + t.Window.From.Format(time.DateOnly)
	}
	if eta := t.ETA(); eta > 0 {
		text += ", " + eta.Round(time.Second).String() + " to go"
	}
	if t.Error != "" {
		text += ", waiting: " + t.Error
	}
	return text
}

type backfillListCmd struct{ configFlag }

// Run implements the command.
func (r *backfillListCmd) Run(c *console) error {
	ctx := context.Background() //nolint:forbidigo // this is the root
	cfg, st, err := r.state(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	tasks, err := st.PastTasks(ctx, pipeline.StreamID{})
	if err != nil {
		return err
	}
	if len(tasks) == 0 {
		_, err = fmt.Fprintln(c.out, "nothing of the past is being read")
		return err
	}
	t := newTable(c.out, "task", "instance", "stream", "mode", "status", "from", "to", "windows", "rows", "known", "to go", "")
	for _, p := range tasks {
		note := p.Error
		if p.Parked > 0 {
			note = fmt.Sprintf("%d objects cannot be read %s", p.Parked, note)
		}
		if err := looksBack(cfg, p.StreamID); err != nil && p.Status == pipeline.PastOpen {
			note = "waits: " + err.Error()
		}
		eta := "-"
		if d := p.ETA(); d > 0 && p.Status != pipeline.PastDone {
			eta = d.Round(time.Second).String()
		}
		t.AppendRow(table.Row{
			p.ID, p.Instance, p.Stream, p.Mode, p.Status, p.Span.From.Format(time.RFC3339), p.Span.To.Format(time.RFC3339),
			fmt.Sprintf("%d of %d", p.Done, max(p.Windows, p.Done)), p.Rows, p.Duplicates, eta, note,
		})
	}
	t.Render()
	return nil
}

type pastOrderCmd struct {
	configFlag
	Task int64 `arg:"" help:"The task's number, as weir backfill list shows it."`
}

type backfillStopCmd struct{ pastOrderCmd }

// Run implements the command.
func (r *backfillStopCmd) Run(c *console) error { return r.tell(c, pipeline.PastStop, "stopped") }

type backfillDropCmd struct{ pastOrderCmd }

// Run implements the command.
func (r *backfillDropCmd) Run(c *console) error { return r.tell(c, pipeline.PastDrop, "forgotten") }

// tell tells the running agent, or the state where none runs.
func (r *pastOrderCmd) tell(c *console, verb pipeline.PastVerb, done string) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	ctx, stop := c.signals()
	defer stop()
	_, err = agent.TellPast(ctx, cfg.Agent.DataDir, agent.PastOrder{Task: r.Task, Verb: verb})
	if errors.Is(err, agent.ErrNoAgent) {
		_, err = pipeline.TellPastOffline(ctx, cfg.Agent.DataDir, r.Task, verb, c.clock.Now())
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "task %d is %s; what it has delivered stays\n", r.Task, done)
	return err
}

type backfillResumeCmd struct {
	pastOrderCmd
	Detach bool `help:"Return at once: the running agent does the work."`
}

// Run implements the command.
func (r *backfillResumeCmd) Run(c *console) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	ctx, stop := c.signals()
	defer stop()
	t, err := agent.TellPast(ctx, cfg.Agent.DataDir, agent.PastOrder{Task: r.Task, Verb: pipeline.PastResume})
	if err == nil {
		return c.attach(ctx, cfg, t, r.Detach)
	}
	if !errors.Is(err, agent.ErrNoAgent) {
		return err
	}
	if r.Detach {
		return usageError{errors.New("--detach: no agent runs with this data_dir; start `weir run`, or leave --detach out")}
	}
	st, err := pipeline.ReadState(ctx, cfg.Agent.DataDir)
	if err != nil {
		return err
	}
	t, ok, err := st.PastTask(ctx, r.Task)
	if err := errors.Join(err, st.Close()); err != nil {
		return err
	}
	if !ok || t.Status == pipeline.PastDone {
		return fmt.Errorf("task %d is done, or there is none: see `weir backfill list`", r.Task)
	}
	if err := looksBack(cfg, t.StreamID); err != nil {
		return usageError{err}
	}
	return c.backfillHere(ctx, cfg, &agent.PastJob{Of: t.StreamID, Resume: t.ID})
}
