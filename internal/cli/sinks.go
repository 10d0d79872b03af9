package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"weir/agent"
	"weir/configs"
	"weir/pipeline"
)

type sinksCmd struct {
	List   sinksListCmd   `cmd:"" help:"List sinks: what they are owed, what has stopped, what they never got."`
	Resync sinksResyncCmd `cmd:"" help:"Have a sink get every row of the entity tables again."`
	Fill   sinksFillCmd   `cmd:"" help:"Copy history of the log tables from a Parquet sink into another sink."`
	Retry  sinksRetryCmd  `cmd:"" help:"Try a sink's tables that stopped because it refused rows."`
	Forget sinksForgetCmd `cmd:"" help:"Give up what a sink is owed that is gone from the configuration."`
}

type sinksListCmd struct {
	configFlag
	JSON bool `name:"json" help:"One JSON object a line."`
}

// sinkJSON is a sink for other programs.
type sinkJSON struct {
	Name        string              `json:"name"`
	Configured  bool                `json:"configured"`
	Detached    time.Time           `json:"detached,omitzero"`
	Since       time.Time           `json:"since,omitzero"`
	RowsOwed    int64               `json:"rows_owed"`
	Oldest      time.Time           `json:"oldest,omitzero"` // of the rows owed
	Stopped     []pipeline.Refusals `json:"stopped,omitempty"`
	DeadLetters int                 `json:"dead_letters"`
	Synced      int64               `json:"synced"` // tables by instance that had every row
	SyncedOf    int64               `json:"synced_of"`
	Gaps        int                 `json:"gaps"`
	Fills       []pipeline.Fill     `json:"fills,omitempty"`
}

// Run implements the command.
func (r *sinksListCmd) Run(c *console) error {
	ctx := context.Background() //nolint:forbidigo // this is the root
	cfg, st, err := r.state(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	all, err := sinksOf(ctx, cfg, st)
	if err != nil {
		return err
	}
	if r.JSON {
		enc := json.NewEncoder(c.out)
		for _, s := range all {
			if err := enc.Encode(s); err != nil {
				return err
			}
		}
		return nil
	}
	t := newTable(c.out, "sink", "since", "rows owed", "oldest", "entity tables synced", "dead letters", "condition")
	for _, s := range all {
		condition := "ok"
		switch {
		case !s.Configured:
			condition = "not in the configuration"
		case !s.Detached.IsZero():
			condition = "detached since " + s.Detached.Format(time.RFC3339)
		case len(s.Stopped) > 0:
			condition = "stopped: " + strings.Join(tablesOf(s.Stopped), ", ")
		}
		t.AppendRow(table.Row{s.Name, stamp(s.Since), s.RowsOwed, stamp(s.Oldest), fmt.Sprintf("%d of %d", s.Synced, s.SyncedOf), s.DeadLetters, condition})
	}
	t.Render()
	for _, s := range all {
		for _, f := range s.Fills {
			end := "under way"
			switch {
			case f.Error != "" && f.Ended.IsZero():
				end = "failing: " + f.Error
			case f.Error != "":
				end = "ended " + stamp(f.Ended) + " before its end: " + f.Error
			case !f.Ended.IsZero():
				end = "ended " + stamp(f.Ended)
			}
			fmt.Fprintf(c.out, "fill %s of %s from %s since %s: %d rows of %d parts, %s\n", f.ID, f.Sink, f.Source, stamp(f.Since), f.Rows, f.Parts, end)
		}
	}
	return c.breakers(ctx, st)
}

func tablesOf(rs []pipeline.Refusals) (out []string) {
	for _, r := range rs {
		out = append(out, r.Table)
	}
	return out
}

// sinksOf gathers what is known of the sinks configured, and of those that are
// gone.
func sinksOf(ctx context.Context, cfg *configs.Config, st pipeline.State) (out []sinkJSON, err error) {
	known, err := st.Sinks(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, s := range cfg.Sinks {
		names = append(names, s.Name)
	}
	configured := len(names)
	for _, s := range known {
		if !slices.Contains(names, s.Name) {
			names = append(names, s.Name)
		}
	}
	for i, name := range names {
		s := sinkJSON{Name: name, Configured: i < configured}
		mark, _, err := st.SinkMark(ctx, name)
		if err != nil {
			return nil, err
		}
		s.Since, s.Detached = mark.Created, mark.Detached
		owed, err := st.Owed(ctx, name)
		if err != nil {
			return nil, err
		}
		for _, o := range owed {
			s.RowsOwed += o.Rows
			if s.Oldest.IsZero() || o.From.Before(s.Oldest) {
				s.Oldest = o.From
			}
		}
		refusals, err := st.Refusals(ctx, name, "")
		if err != nil {
			return nil, err
		}
		s.Stopped = slices.DeleteFunc(refusals, func(r pipeline.Refusals) bool { return r.Opened.IsZero() })
		letters, err := st.FindDead(ctx, pipeline.DeadFilter{Sink: name})
		if err != nil {
			return nil, err
		}
		s.DeadLetters = len(letters)
		if s.Synced, s.SyncedOf, err = st.SyncedTables(ctx, name); err != nil {
			return nil, err
		}
		gaps, err := st.Gaps(ctx, name)
		if err != nil {
			return nil, err
		}
		s.Gaps = len(gaps)
		if s.Fills, err = st.Fills(ctx, name); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// breakers tells which tables have stopped; nothing where none has.
func (c *console) breakers(ctx context.Context, st pipeline.State) error {
	all, err := st.Refusals(ctx, "", "")
	if err != nil {
		return err
	}
	for _, r := range all {
		if !r.Opened.IsZero() {
			fmt.Fprintf(c.out, "stopped sink %s table %s since %s: %s; nothing is lost, it is tried now and then, and by `weir sinks retry %s`\n", r.Sink, r.Table, stamp(r.Opened), r.Reason, r.Sink)
		}
	}
	return nil
}

type sinksResyncCmd struct {
	configFlag
	Name  string `arg:"" help:"The sink."`
	Table string `help:"Only this table."`
}

// Run implements the command.
func (r *sinksResyncCmd) Run(c *console) error {
	return r.command(c, agent.SinkCommand{Do: "resync", Sink: r.Name, Table: r.Table}, func(ctx context.Context, cfg *configs.Config) error {
		return pipeline.ResyncOffline(ctx, offlineOptions(c, cfg), attached(cfg), r.Name, r.Table)
	})
}

// command tells the running agent, or does offline where none runs.
func (f configFlag) command(c *console, cmd agent.SinkCommand, offline func(context.Context, *configs.Config) error) error {
	cfg, err := f.load()
	if err != nil {
		return err
	}
	ctx, stop := c.signals()
	defer stop()
	answer, err := agent.CommandSink(ctx, cfg.Agent.DataDir, cmd)
	if errors.Is(err, agent.ErrNoAgent) {
		answer, err = "noted: it is carried out by the next weir run", offline(ctx, cfg)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s: %s\n", cmd.Sink, answer)
	return err
}

type sinksFillCmd struct {
	configFlag
	Name  string `arg:"" help:"The sink to copy into."`
	From  string `required:"true" placeholder:"SINK" help:"The Parquet sink to copy from."`
	Since string `required:"true" help:"From when on: a time, a day, or how long ago, such as 90d."`
	Until string `help:"Until when; without it, all."`
}

// Run implements the command.
func (r *sinksFillCmd) Run(c *console) error {
	req := pipeline.FillRequest{Sink: r.Name, Source: r.From}
	var err error
	if req.Since, err = parseWhen("--since", r.Since, c.clock.Now()); err != nil {
		return usageError{err}
	}
	if r.Until != "" {
		if req.Until, err = parseWhen("--until", r.Until, c.clock.Now()); err != nil {
			return usageError{err}
		}
	}
	return r.command(c, agent.SinkCommand{Do: "fill", Sink: r.Name, Fill: req}, func(context.Context, *configs.Config) error {
		return errors.New("a fill is begun by the running agent: start `weir run`, then give this command again")
	})
}

type sinksRetryCmd struct {
	configFlag
	Name string `arg:"" help:"The sink."`
}

// Run implements the command.
func (r *sinksRetryCmd) Run(c *console) error {
	return r.command(c, agent.SinkCommand{Do: "retry", Sink: r.Name}, func(context.Context, *configs.Config) error {
		return errors.New("no agent is running: the next `weir run` tries at once")
	})
}

type sinksForgetCmd struct {
	configFlag
	Name string `arg:"" help:"The sink."`
	Yes  bool   `help:"Do it. Without it, only what would be lost is told."`
}

// Run implements the command.
func (r *sinksForgetCmd) Run(c *console) error {
	ctx, stop := c.signals()
	defer stop()
	cfg, st, err := r.state(ctx)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(cfg.Sinks, func(s configs.Sink) bool { return s.Name == r.Name }) {
		return errors.Join(usageError{fmt.Errorf("sink %q is in the configuration: take it out first", r.Name)}, st.Close())
	}
	owed, err := st.Owed(ctx, r.Name)
	letters, err2 := st.FindDead(ctx, pipeline.DeadFilter{Sink: r.Name})
	known, err3 := st.Sinks(ctx)
	_, marked, err4 := st.SinkMark(ctx, r.Name)
	if err := errors.Join(err, err2, err3, err4, st.Close()); err != nil {
		return err
	}
	if len(owed)+len(letters) == 0 && !marked && !slices.ContainsFunc(known, func(s pipeline.SinkState) bool { return s.Name == r.Name }) {
		return fmt.Errorf("the state knows no sink %q", r.Name)
	}
	for _, o := range owed {
		fmt.Fprintf(c.out, "%s: %d rows of %s in %d batches, from %s to %s, are lost to sink %s\n", o.Instance, o.Rows, o.Table, o.Batches, stamp(o.From), stamp(o.To), r.Name)
	}
	if len(letters) > 0 {
		fmt.Fprintf(c.out, "%d dead letters of rows that it refused are dropped with it\n", len(letters))
	}
	if len(owed)+len(letters) == 0 {
		fmt.Fprintln(c.out, "it is owed nothing")
	}
	if !r.Yes {
		return usageError{errors.New("nothing was given up: say --yes to do it. Other sinks keep what they have")}
	}
	if err := pipeline.ForgetSink(ctx, offlineOptions(c, cfg), r.Name); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "sink %s is forgotten\n", r.Name)
	return err
}
