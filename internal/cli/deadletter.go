package cli

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"weir/agent"
	"weir/configs"
	"weir/pipeline"
)

type deadletterCmd struct {
	List      deadletterListCmd      `cmd:"" help:"List dead letters, the newest first."`
	Show      deadletterShowCmd      `cmd:"" help:"Show one, whole."`
	Replay    deadletterReplayCmd    `cmd:"" help:"Take dead letters up again: map a record anew, read an object on, bring rows to the sink that refused them."`
	Drop      deadletterDropCmd      `cmd:"" help:"Give dead letters up. collection_runs says so."`
	Recollect deadletterRecollectCmd `cmd:"" help:"Read the objects of dead letters, or of dropped ones, again from their start."`
}

// deadFilter are the flags that choose dead letters.
type deadFilter struct {
	IDs      []string `arg:"" optional:"" name:"id" help:"Ids; without any, all that the flags choose."`
	Instance string   `help:"Of this instance."`
	Stream   string   `help:"Of this stream."`
	Sink     string   `help:"Refused by this sink."`
	Table    string   `help:"Rows of this table, refused by a sink."`
	Kind     string   `enum:"row,object,part," default:"" help:"row (a record that cannot be mapped), object (a file that cannot be read) or part (rows that a sink refuses)."`
	Since    string   `help:"Not older: a time, a day, or how long ago, such as 2d."`
}

func (f deadFilter) filter(now time.Time) (pipeline.DeadFilter, error) {
	out := pipeline.DeadFilter{IDs: f.IDs, Instance: f.Instance, Stream: f.Stream, Sink: f.Sink, Table: f.Table, Kind: f.Kind}
	var err error
	if f.Since != "" {
		out.Since, err = parseWhen("--since", f.Since, now)
	}
	return out, err
}

// chosen reports whether anything was said of which letters are meant.
func (f deadFilter) chosen() bool {
	return len(f.IDs) > 0 || f.Instance+f.Stream+f.Sink+f.Table+f.Kind+f.Since != ""
}

type deadletterListCmd struct {
	configFlag
	deadFilter
	Dropped bool `help:"List what was dropped instead, for 90 days."`
	Limit   int  `default:"50" help:"At most so many (${default})."`
	JSON    bool `name:"json" help:"One JSON object a line."`
}

// deadJSON is a dead letter for other programs.
type deadJSON struct {
	ID       string    `json:"id"`
	At       time.Time `json:"at"`
	Kind     string    `json:"kind"`
	Instance string    `json:"instance,omitempty"`
	Stream   string    `json:"stream,omitempty"`
	Object   string    `json:"object,omitempty"`
	Hint     string    `json:"hint,omitempty"`
	Ref      string    `json:"ref,omitempty"`
	Sink     string    `json:"sink,omitempty"`
	Table    string    `json:"table,omitempty"`
	Rows     int64     `json:"rows,omitempty"`
	Class    string    `json:"class,omitempty"`
	Reason   string    `json:"reason"`
	Schema   int       `json:"schema_version,omitempty"`
	Mapping  int       `json:"mapping_version,omitempty"`
	Weir     string    `json:"weir_version,omitempty"`
	Bytes    int64     `json:"bytes"`
	Proved   bool      `json:"proved"`
}

func deadToJSON(d pipeline.DeadLetter) deadJSON {
	return deadJSON{
		d.ID, d.At, d.Kind, d.Instance, d.Stream, d.Lane, d.Hint, d.Ref, d.Sink, d.Table, d.Rows, d.Class, d.Reason,
		d.SchemaVersion, d.Mapping, d.Weir, d.Bytes, d.Proof == pipeline.Proved,
	}
}

// Run implements the command.
func (r *deadletterListCmd) Run(c *console) error {
	ctx := context.Background() //nolint:forbidigo // this is the root
	f, err := r.filter(c.clock.Now())
	if err != nil {
		return usageError{err}
	}
	f.Limit = r.Limit
	_, st, err := r.state(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	find := st.FindDead
	if r.Dropped {
		find = st.FindDropped
	}
	dead, err := find(ctx, f)
	if err != nil {
		return err
	}
	if r.JSON {
		enc := json.NewEncoder(c.out)
		for _, d := range dead {
			if err := enc.Encode(deadToJSON(d)); err != nil {
				return err
			}
		}
		return nil
	}
	if len(dead) == 0 {
		_, err = fmt.Fprintln(c.out, "no dead letters")
		return err
	}
	t := newTable(c.out, "id", "at", "kind", "stream", "what", "reason")
	t.SetColumnConfigs([]table.ColumnConfig{{Name: "what", WidthMax: 60}, {Name: "reason", WidthMax: 80}})
	for _, d := range dead {
		stream := d.StreamID.String()
		if d.Kind == pipeline.DeadPart {
			stream = d.Instance
		}
		kind := d.Kind
		if d.Proof != pipeline.Proved {
			kind += ", unproved"
		}
		t.AppendRow(table.Row{d.ID, d.At.Format(time.RFC3339), kind, stream, d.Describe(), d.Reason})
	}
	t.Render()
	return nil
}

type deadletterShowCmd struct {
	configFlag
	ID   string `arg:"" help:"Its id."`
	JSON bool   `name:"json" help:"As one JSON object, with the bytes in raw, or the rows in row."`
}

// Run implements the command.
func (r *deadletterShowCmd) Run(c *console) error {
	ctx := context.Background() //nolint:forbidigo // this is the root
	cfg, st, err := r.state(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	d, err := pipeline.LoadDead(ctx, st, cfg.Agent.DataDir, r.ID)
	if err != nil {
		return err
	}
	raw, rows := d.Raw, json.RawMessage(nil)
	if d.Kind == pipeline.DeadPart {
		raw = ""
		if rows, err = pipeline.DeadRows(d); err != nil {
			return err
		}
	}
	if r.JSON {
		return json.NewEncoder(c.out).Encode(struct {
			deadJSON
			Raw string          `json:"raw,omitempty"`
			Row json.RawMessage `json:"row,omitempty"`
		}{deadToJSON(d), raw, rows})
	}
	fmt.Fprintf(c.out, "id:      %s\nat:      %s\nkind:    %s\n", d.ID, d.At.Format(time.RFC3339), d.Kind)
	if d.Kind == pipeline.DeadPart {
		fmt.Fprintf(c.out, "sink:    %s\ntable:   %s\ninstance: %s\n", d.Sink, d.Table, d.Instance)
	} else {
		fmt.Fprintf(c.out, "stream:  %s\nobject:  %s\netag:    %s\n", d.StreamID, d.Lane, d.Hint)
	}
	fmt.Fprintf(c.out, "where:   %s\nclass:   %s\nreason:  %s\nschema:  %d\nmapping: %d\nweir:    %s\n", d.Ref, d.Class, d.Reason, d.SchemaVersion, d.Mapping, d.Weir)
	if rows != nil {
		_, err = fmt.Fprintf(c.out, "rows:\n%s\n", rows)
	} else if raw != "" {
		_, err = fmt.Fprintf(c.out, "raw:\n%s\n", raw)
	}
	return err
}

type deadletterReplayCmd struct {
	configFlag
	deadFilter
	All  bool `help:"All dead letters, when nothing else says which."`
	JSON bool `name:"json" help:"One JSON object a line."`
}

// Run implements the command.
func (r *deadletterReplayCmd) Run(c *console) error {
	return r.act(c, r.configFlag, pipeline.Replay, r.All, true, r.JSON)
}

type deadletterDropCmd struct {
	configFlag
	deadFilter
	All  bool `help:"All dead letters, when nothing else says which."`
	Yes  bool `help:"Do it. Without it, only what would be dropped is told."`
	JSON bool `name:"json" help:"One JSON object a line."`
}

// Run implements the command.
func (r *deadletterDropCmd) Run(c *console) error {
	return r.act(c, r.configFlag, pipeline.Drop, r.All, r.Yes, r.JSON)
}

type deadletterRecollectCmd struct {
	configFlag
	deadFilter
	All  bool `help:"All dead letters and all that were dropped, when nothing else says which."`
	JSON bool `name:"json" help:"One JSON object a line."`
}

// Run implements the command.
func (r *deadletterRecollectCmd) Run(c *console) error {
	return r.act(c, r.configFlag, pipeline.Recollect, r.All, true, r.JSON)
}

// act tells the running agent, or works on the state where none runs. It fails
// when one letter did.
func (f deadFilter) act(c *console, conf configFlag, action pipeline.DeadAction, all, yes, asJSON bool) error {
	filter, err := f.filter(c.clock.Now())
	if err != nil {
		return usageError{err}
	}
	if !f.chosen() && !all {
		return usageError{errors.New("say which dead letters: their ids, flags that choose them, or --all")}
	}
	ctx, stop := c.signals()
	defer stop()
	cfg, ids, err := f.ids(ctx, conf, action, filter)
	if err != nil {
		return err
	}
	if !yes {
		fmt.Fprintf(c.out, "%d dead letters would be dropped for good; `weir deadletter list` shows them. Say --yes to do it\n", len(ids))
		return usageError{errors.New("nothing was dropped")}
	}
	failed := 0
	for chunk := range slices.Chunk(ids, agent.MaxDead) {
		filter := pipeline.DeadFilter{IDs: chunk}
		done, err := agent.ActOnDead(ctx, cfg.Agent.DataDir, agent.DeadRequest{Action: action, Filter: filter})
		if errors.Is(err, agent.ErrNoAgent) {
			done, err = pipeline.ActOnDeadOffline(ctx, offlineOptions(c, cfg), action, filter, attached(cfg))
		}
		if err != nil {
			return err
		}
		for _, d := range done {
			if d.Error != "" {
				failed++
			}
			if err := tellDead(c, d, asJSON); err != nil {
				return err
			}
		}
	}
	if len(ids) == 0 && !asJSON {
		fmt.Fprintln(c.out, "no dead letters")
	}
	if failed > 0 {
		return fmt.Errorf("%d of %d dead letters stay", failed, len(ids))
	}
	return nil
}

// ids resolves a filter.
func (f deadFilter) ids(ctx context.Context, conf configFlag, action pipeline.DeadAction, filter pipeline.DeadFilter) (*configs.Config, []string, error) {
	cfg, st, err := conf.state(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer st.Close()
	letters, err := st.FindDead(ctx, filter)
	if err != nil {
		return nil, nil, err
	}
	if action == pipeline.Recollect {
		dropped, err := st.FindDropped(ctx, filter)
		if err != nil {
			return nil, nil, err
		}
		letters = append(letters, dropped...)
	}
	ids := make([]string, len(letters))
	for i, d := range letters {
		ids[i] = d.ID
	}
	for _, id := range f.IDs {
		if !slices.Contains(ids, id) {
			return nil, nil, fmt.Errorf("no dead letter has the id %q: see `weir deadletter list`", id)
		}
	}
	slices.Sort(ids) // the oldest first
	return cfg, ids, nil
}

func tellDead(c *console, d pipeline.DeadResult, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(c.out).Encode(d)
	}
	text := d.Done
	if d.Error != "" {
		text = "not done: " + d.Error
	}
	_, err := fmt.Fprintf(c.out, "%s %s: %s\n", d.ID, d.Kind, text)
	return err
}

// offlineOptions is what work on a data directory needs where no agent runs.
func offlineOptions(c *console, cfg *configs.Config) pipeline.Options {
	return pipeline.Options{DataDir: cfg.Agent.DataDir, Clock: c.clock, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler), DeadLimit: int64(cfg.Agent.DeadLimit)}
}

// attached are the names of the sinks that get rows.
func attached(cfg *configs.Config) (names []string) {
	for _, s := range cfg.Sinks {
		if !s.Detached {
			names = append(names, s.Name)
		}
	}
	return names
}
