package pipeline

import (
	"context"
	"fmt"
	"time"

	"weir/internal/fault"
	"weir/sinks"
)

// gate is passed by whoever writes a sink's table, one at a time.
type gate chan struct{}

func newGate() gate { return make(gate, 1) }

func (g gate) enter(ctx context.Context) error {
	select {
	case g <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g gate) leave() { <-g }

// Hold keeps this pipeline from writing a sink's table until release is called.
// When it returns, nothing of it is on its way to the sink, and what was last
// written is known, or will be looked up.
func (p *Pipeline) Hold(ctx context.Context, sink, table string) (release func(), err error) {
	for _, s := range p.sinks {
		for _, d := range s.deliveries {
			if s.name != sink || d.table.Name != table {
				continue
			}
			if err := d.gate.enter(ctx); err != nil {
				return nil, err
			}
			p.log.Info("deliveries are held", "sink", sink, "table", table)
			return func() {
				d.gate.leave()
				p.log.Info("deliveries go on", "sink", sink, "table", table)
			}, nil
		}
	}
	return nil, fmt.Errorf("this agent writes no table %s to a sink %s", table, sink)
}

// HoldOffline keeps agents from starting on a data directory, where none runs.
func HoldOffline(dir string) (release func() error, err error) { return lockDir(dir) }

// CheckHeld refuses a sink that another state's agent is writing: holding the
// agent of dir does not hold that one.
func CheckHeld(ctx context.Context, dir string, sink sinks.Sink, now time.Time) (err error) {
	owner, err := sink.Owner(ctx)
	if err != nil {
		return err
	}
	if owner.StateID == "" || now.Sub(owner.Heartbeat) > ownerAlive {
		return nil
	}
	st, err := ReadState(ctx, dir)
	if err != nil {
		return err
	}
	mine := st.ID()
	if err := st.Close(); err != nil {
		return err
	}
	if owner.StateID != mine {
		return fault.New(fault.Permanent, "another agent writes this sink: that of state %s, alive at %s; data_dir %s has state %s. Run this where that agent runs, with its configuration",
			owner.StateID, owner.Heartbeat.Format(time.RFC3339), dir, mine)
	}
	return nil
}
