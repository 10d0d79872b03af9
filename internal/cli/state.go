package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/jedib0t/go-pretty/v6/table"

	"weir/agent"
	"weir/configs"
	"weir/internal/vault"
	"weir/pipeline"
)

type stateCmd struct {
	Check     stateCheckCmd     `cmd:"" help:"Look for damage in the state and its spool, also while an agent runs."`
	Size      stateSizeCmd      `cmd:"" help:"Print what data_dir holds, by kind."`
	Export    stateExportCmd    `cmd:"" help:"Write a copy of the state, what it owes and the sealed secrets to a file, also while an agent runs."`
	Import    stateImportCmd    `cmd:"" help:"Unpack such a file into an empty data_dir."`
	Reconcile stateReconcileCmd `cmd:"" help:"Make a state that was put back from a copy fit to go on, by asking the sinks for what it has forgotten."`
	Rename    stateRenameCmd    `cmd:"" help:"Give what is remembered of an instance the name it has in the configuration now."`
}

type stateCheckCmd struct{ configFlag }

// Run implements the command.
func (r *stateCheckCmd) Run(c *console) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	ctx, stop := c.signals()
	defer stop()
	found, err := pipeline.CheckState(ctx, cfg.Agent.DataDir)
	if err != nil {
		return err
	}
	for _, f := range found {
		fmt.Fprintln(c.out, f)
	}
	if len(found) > 0 {
		return fmt.Errorf("%d things are damaged: docs/state.md says what to do with each", len(found))
	}
	_, err = fmt.Fprintln(c.out, "state and spool are whole")
	return err
}

type stateSizeCmd struct{ configFlag }

// Run implements the command.
func (r *stateSizeCmd) Run(c *console) error {
	ctx := context.Background() //nolint:forbidigo // this is the root
	cfg, st, err := r.state(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	kinds, err := st.Size(ctx)
	if err != nil {
		return err
	}
	t := newTable(c.out, "in the state", "count", "size")
	for _, k := range kinds {
		t.AppendRow(table.Row{k.Kind, k.Rows, size(k.Bytes)})
	}
	t.Render()
	files, err := pipeline.DataFiles(cfg.Agent.DataDir)
	if err != nil {
		return err
	}
	fmt.Fprintln(c.out)
	t = newTable(c.out, "in data_dir", "files", "size")
	for _, k := range files {
		t.AppendRow(table.Row{k.Kind, k.Rows, size(k.Bytes)})
	}
	t.Render()
	return nil
}

type stateExportCmd struct {
	configFlag
	File string `arg:"" help:"File to write; it holds what was collected and not delivered: keep it safe."`
}

// Run implements the command.
func (r *stateExportCmd) Run(c *console) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	if _, err := os.Stat(r.File); err == nil {
		return usageError{fmt.Errorf("%s is there already", r.File)}
	}
	ctx, stop := c.signals()
	defer stop()
	out, err := pipeline.Export(ctx, cfg.Agent.DataDir, r.File)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "state %s, generation %d: %d spool segments, %d files of dead letters, %d secrets, %s, in %s\nThe secrets are sealed: they need the agent's key, which is not in the file.\n",
		out.StateID, out.Generation, out.Segments, out.Letters, out.Secrets, size(out.Bytes), r.File)
	return err
}

type stateImportCmd struct {
	configFlag
	File string `arg:"" help:"A file that weir state export wrote."`
}

// Run implements the command.
func (r *stateImportCmd) Run(c *console) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	ctx, stop := c.signals()
	defer stop()
	out, err := pipeline.Import(ctx, r.File, cfg.Agent.DataDir)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "state %s, generation %d: %d spool segments, %d files of dead letters and %d secrets are in %s\n"+
		"If an agent has delivered anything since the export, weir run refuses to start and names weir state reconcile; else it goes on. Governance stays paused until a person resumes it.\n",
		out.StateID, out.Generation, out.Segments, out.Letters, out.Secrets, cfg.Agent.DataDir)
	return err
}

type stateReconcileCmd struct {
	configFlag
	TakeOver bool `help:"The sinks were written by another state, which is lost: begin anew with this one."`
	Stopped  bool `help:"No agent runs on a newer copy of this state, for certain: do not wait for its last sign of life to be two minutes old."`
}

// Run implements the command.
func (r *stateReconcileCmd) Run(c *console) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	ctx, stop := c.signals()
	defer stop()
	limitMemory(int64(cfg.Agent.MaxMemory))
	a, err := agent.New(ctx, agent.Options{Config: cfg, Clock: c.clock, Log: c.logger(cfg.Agent), Once: true, TakeOver: r.TakeOver})
	if err != nil {
		return err
	}
	out, err := a.Pipeline.Reconcile(ctx, streamTables(cfg), r.Stopped)
	if err := errors.Join(err, a.Pipeline.Close()); err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, `the sinks were asked for %d rows; the state is at generation %d now
  %d events that every sink has are known again
  %d events that some sinks have will go to the others, when they are collected again
  %d rows of entities were unknown; the next complete rounds send every entity as snapshot
  %d batches that were still owed had been delivered
Governance stays paused until a person resumes it. Start weir run.
`, out.Rows, out.Generation, out.Known, out.Partly, out.Entities, out.Delivered)
	return err
}

// streamTables says which tables the configured streams fill.
func streamTables(cfg *configs.Config) (out []pipeline.StreamTables) {
	for _, inst := range cfg.Instances {
		for _, info := range inst.Connector.Streams {
			out = append(out, pipeline.StreamTables{StreamID: pipeline.StreamID{Instance: inst.Name, Stream: info.Name}, Tables: info.Tables, Mapping: info.Mapping})
		}
	}
	return out
}

type stateRenameCmd struct {
	configFlag
	Old string `arg:"" help:"The name it had."`
	New string `arg:"" help:"The name it has in the configuration."`
}

// Run implements the command.
func (r *stateRenameCmd) Run(c *console) error {
	cfg, err := r.load()
	if err != nil {
		return err
	}
	found := false
	for _, inst := range cfg.Instances {
		if inst.Name == r.Old {
			return usageError{fmt.Errorf("%s still has an instance %q: rename it there first", cfg.Path, r.Old)}
		}
		found = found || inst.Name == r.New
	}
	if !found {
		return usageError{fmt.Errorf("%s has no instance %q: rename it there first", cfg.Path, r.New)}
	}
	ctx, stop := c.signals()
	defer stop()
	var key func() (string, error)
	if k := cfg.Agent.Key; !k.IsZero() {
		key = k.Value
	}
	moved := 0
	err = pipeline.RenameInstance(ctx, cfg.Agent.DataDir, r.Old, r.New, func() (err error) {
		if moved, err = vault.New(cfg.Agent.DataDir, key, c.clock).Rename(ctx, r.Old, r.New); err != nil {
			return fmt.Errorf("the secrets of %s could not be moved, and nothing else was: give the command again when that is mended: %w", r.Old, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(c.out, "%s is %s now, with its cursors, ids and baselines, and %d secrets.\n"+
		"Rows delivered, and batches on their way, keep the old name; the next complete rounds send every entity under the new one, as snapshot. Under the old name nothing is removed.\n", r.Old, r.New, moved)
	return err
}
