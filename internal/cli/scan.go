package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"weir/agent"
	"weir/configs"
	"weir/pipeline"
	"weir/sources"
)

type scanCmd struct {
	List   scanListCmd   `cmd:"" help:"List scans, and removals that are held."`
	Accept scanAcceptCmd `cmd:"" help:"Let the held removals of a stream be carried out."`
	Reject scanRejectCmd `cmd:"" help:"Keep the rows whose removal is held, as if they had been seen."`
}

// held words a stream's holds.
func held(st pipeline.ScanState) string {
	if len(st.Holds) == 0 {
		return "-"
	}
	text := ""
	for _, t := range slices.Sorted(maps.Keys(st.Holds)) {
		h := st.Holds[t]
		why := ""
		if h.Sight {
			why = ", out of sight"
		}
		text += fmt.Sprintf("%d of %d %s%s since %s\n", h.Rows, h.Total, t, why, h.Since.Format(time.RFC3339))
	}
	return text[:len(text)-1]
}

// scans prints how each scan stands; nothing where there are none.
func (c *console) scans(ctx context.Context, cfg *configs.Config, st pipeline.State) error {
	t := newTable(c.out, "instance", "scan", "last complete round", "rows", "round under way", "removals held")
	for _, inst := range cfg.Instances {
		for _, info := range inst.Connector.Streams {
			if info.Shape != sources.Scan {
				continue
			}
			sc, err := st.Scan(ctx, pipeline.StreamID{Instance: inst.Name, Stream: info.Name})
			if err != nil {
				return err
			}
			last, rows, open := "none yet", int64(0), "-"
			if sc.Last != nil {
				last, rows = sc.Last.Ended.Format(time.RFC3339), sc.Last.Rows
			}
			if sc.Open {
				open = "since " + sc.Started.Format(time.RFC3339)
			}
			t.AppendRow(table.Row{inst.Name, info.Name, last, rows, open, held(sc)})
		}
	}
	if t.Length() > 0 {
		t.Render()
		fmt.Fprintln(c.out)
	}
	return nil
}

type scanListCmd struct{ configFlag }

// Run implements the command.
func (r *scanListCmd) Run(c *console) error {
	ctx := context.Background() //nolint:forbidigo // this is the root
	cfg, st, err := r.state(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	return c.scans(ctx, cfg, st)
}

type scanDecision struct {
	configFlag
	Instance string `arg:"" help:"The instance."`
	Stream   string `arg:"" help:"Its stream."`
}

type scanAcceptCmd struct{ scanDecision }

// Run implements the command.
func (r *scanAcceptCmd) Run(c *console) error { return r.decide(c, pipeline.Accept) }

type scanRejectCmd struct{ scanDecision }

// Run implements the command.
func (r *scanRejectCmd) Run(c *console) error { return r.decide(c, pipeline.Reject) }

// decide tells the running agent, or the state where none runs.
func (r *scanDecision) decide(c *console, d pipeline.Decision) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	ctx, stop := c.signals()
	defer stop()
	id := pipeline.StreamID{Instance: r.Instance, Stream: r.Stream}
	err = agent.DecideScan(ctx, cfg.Agent.DataDir, agent.ScanDecision{Instance: id.Instance, Stream: id.Stream, Decision: d})
	when := "now"
	if errors.Is(err, agent.ErrNoAgent) {
		when = "at the next start of weir run"
		err = pipeline.DecideOffline(ctx, cfg.Agent.DataDir, id, d)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s: %s is carried out %s\n", id, d, when)
	return err
}
