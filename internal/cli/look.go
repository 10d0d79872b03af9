package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"weir/configs"
	"weir/pipeline"
	"weir/schemas"
)

// state opens the configured state for reading.
func (f configFlag) state(ctx context.Context) (*configs.Config, pipeline.State, error) {
	cfg, err := f.load()
	if err != nil {
		return nil, nil, err
	}
	st, err := pipeline.ReadState(ctx, cfg.Agent.DataDir)
	return cfg, st, err
}

type statusCmd struct{ configFlag }

// Run implements the command.
func (r *statusCmd) Run(c *console) error {
	ctx := context.Background() //nolint:forbidigo // this is the root
	cfg, st, err := r.state(ctx)
	if err != nil {
		return err
	}
	defer st.Close()
	fmt.Fprintf(c.out, "state %s, generation %d, in %s\n\n", st.ID(), st.Generation(), cfg.Agent.DataDir)

	if err := c.health(ctx, cfg, st); err != nil {
		return err
	}
	t := newTable(c.out, "instance", "stream", "lanes open", "done", "parked", "failing", "complete up to")
	for _, inst := range cfg.Instances {
		for _, info := range inst.Connector.Streams {
			id := pipeline.StreamID{Instance: inst.Name, Stream: info.Name}
			n, err := st.LaneCounts(ctx, id)
			if err != nil {
				return err
			}
			covered, err := pipeline.CoveredTo(ctx, st, id)
			if err != nil {
				return err
			}
			upTo := "not yet"
			if !covered.IsZero() {
				upTo = covered.Format(time.RFC3339)
			}
			t.AppendRow(table.Row{inst.Name, info.Name, n.Open, n.Done, n.Parked, n.Failing, upTo})
		}
	}
	t.Render()
	fmt.Fprintln(c.out)
	if err := c.skews(ctx, cfg, st); err != nil {
		return err
	}
	if err := c.scans(ctx, cfg, st); err != nil {
		return err
	}

	waiting, err := st.PendingTotals(ctx)
	if err != nil {
		return err
	}
	t = newTable(c.out, "sink", "table", "rows waiting", "batches waiting", "parts open")
	for _, s := range cfg.Sinks {
		for _, tbl := range withSnapshots(schemas.Tables()) {
			on, late := waiting[pipeline.Queue{Sink: s.Name, Table: tbl.Name}], waiting[pipeline.Queue{Sink: s.Name, Table: tbl.Name, Late: true}]
			parts, err := st.OpenParts(ctx, s.Name, tbl.Name)
			if err != nil {
				return err
			}
			if on.Batches+late.Batches > 0 || len(parts) > 0 {
				t.AppendRow(table.Row{s.Name, tbl.Name, on.Rows + late.Rows, on.Batches + late.Batches, len(parts)})
			}
		}
	}
	if t.Length() == 0 {
		fmt.Fprintln(c.out, "every sink has everything")
	} else {
		t.Render()
	}
	fmt.Fprintln(c.out)

	if err := c.breakers(ctx, st); err != nil {
		return err
	}
	lanes, err := st.LaneErrors(ctx, 20)
	if err != nil {
		return err
	}
	for _, l := range lanes {
		word := "failing"
		switch {
		case l.Status == pipeline.LaneParked:
			word = "parked"
		case l.NotLicensed():
			word = "not licensed"
		}
		fmt.Fprintf(c.out, "%s %s %s: %s: %s\n", word, l.StreamID, l.Lane.ID, l.Class, l.Error)
	}
	sizes, err := st.Size(ctx)
	if err != nil {
		return err
	}
	t = newTable(c.out, "kept in the state", "count", "size")
	for _, k := range sizes {
		if k.Bytes == 0 || k.Rows == 0 {
			continue
		}
		t.AppendRow(table.Row{k.Kind, k.Rows, size(k.Bytes)})
	}
	t.Render()
	return nil
}

// withSnapshots adds the tables of snapshots.
func withSnapshots(tables []*schemas.Table) (out []*schemas.Table) {
	for _, t := range tables {
		out = append(out, t)
		if s := t.Snapshot(); s != nil {
			out = append(out, s)
		}
	}
	return out
}

type schemaCmd struct {
	DDL  schemaDDLCmd  `cmd:"" name:"ddl" help:"Print the ClickHouse statements."`
	JSON schemaJSONCmd `cmd:"" name:"json" help:"Print the tables as JSON."`
	Docs schemaDocsCmd `cmd:"" name:"docs" help:"Print the reference as Markdown."`
}

type schemaDDLCmd struct {
	Database string `default:"weir" help:"Database (${default})."`
	Grants   bool   `help:"Print the roles of governance and what they may do, instead of the tables."`
}

// Run implements the command.
func (r *schemaDDLCmd) Run(c *console) error {
	if r.Grants {
		return schemas.WriteClickHouseGrants(c.out, r.Database)
	}
	return schemas.WriteClickHouse(c.out, r.Database)
}

type schemaJSONCmd struct{}

// Run implements the command.
func (schemaJSONCmd) Run(c *console) error { return schemas.WriteJSON(c.out) }

type schemaDocsCmd struct{}

// Run implements the command.
func (schemaDocsCmd) Run(c *console) error { return schemas.WriteMarkdown(c.out) }

// skews tells of vendors whose clocks differ much from this machine's.
func (c *console) skews(ctx context.Context, cfg *configs.Config, st pipeline.State) error {
	for _, inst := range cfg.Instances {
		for _, info := range inst.Connector.Streams {
			skew, err := pipeline.VendorSkew(ctx, st, pipeline.StreamID{Instance: inst.Name, Stream: info.Name})
			if err != nil {
				return err
			}
			if skew != 0 {
				fmt.Fprintf(c.out, "the clock of %s is %s: set this machine's\n", inst.Name, pipeline.SkewText(skew))
				break
			}
		}
	}
	return nil
}
