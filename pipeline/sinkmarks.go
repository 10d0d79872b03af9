package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

// What was never meant for a sink is kept as gaps of row versions: a row's
// version is its own within a state, grows with every commit, and stays with the
// row whatever carries it. A new sink has the gap up to the version that was
// highest when it came; one that is detached has another from then until it is
// attached again, and one for each batch that left its queue.

// markSinks notes which sinks have come, were detached, or were attached again.
// It runs before anything is queued.
func (p *Pipeline) markSinks(ctx context.Context, options []SinkOptions, known []SinkState) error {
	seq, err := p.state.LastBatch(ctx)
	if err != nil {
		return err
	}
	now, high := p.clock.Now().UTC(), p.versions.high()
	for _, o := range options {
		m, marked, err := p.state.SinkMark(ctx, o.Name)
		if err != nil {
			return err
		}
		var apply []func(Tx) error
		if !marked {
			m = SinkMark{Created: now, Version: high, Seq: seq}
			m.Known = slices.ContainsFunc(known, func(s SinkState) bool { return s.Name == o.Name })
			if !m.Known && high > 0 {
				apply = append(apply, func(tx Tx) error { return tx.AddGap(o.Name, Gap{Lo: 0, Hi: high}) })
			}
		}
		var freed []string
		switch {
		case o.Detached && m.Detached.IsZero():
			left, err := p.leave(ctx, o.Name)
			if err != nil {
				return err
			}
			m.Detached = now
			apply = append(apply, func(tx Tx) (err error) {
				for _, g := range append(left, Gap{Lo: high, Hi: OpenGap}) {
					if err := tx.AddGap(o.Name, g); err != nil {
						return err
					}
				}
				freed, err = tx.Unqueue(o.Name, false)
				return err
			})
			p.log.Info("sink is detached: it gets nothing from now on, and what it was owed has left the spool", "sink", o.Name, "batches", len(left))
		case !o.Detached && !m.Detached.IsZero():
			m.Detached = time.Time{}
			apply = append(apply, func(tx Tx) error {
				return errors.Join(tx.CloseGaps(o.Name, high), tx.ForgetSynced(o.Name, ""))
			})
			p.log.Info("sink is attached again: entities come with the next complete rounds; `weir sinks fill` brings the log since it was detached", "sink", o.Name)
		case marked:
			continue
		}
		err = p.state.Update(ctx, func(tx Tx) error {
			for _, fn := range apply {
				if err := fn(tx); err != nil {
					return err
				}
			}
			return tx.SetSinkMark(o.Name, m)
		})
		if err != nil {
			return err
		}
		if err := p.spool.free(freed); err != nil {
			return err
		}
	}
	return nil
}

// leave returns the versions of the rows in a sink's unplanned batches. What is
// in a part stays: it may be in the sink already.
func (p *Pipeline) leave(ctx context.Context, sink string) (gaps []Gap, err error) {
	batches, err := p.state.Unplanned(ctx, sink)
	if err != nil {
		return nil, err
	}
	before, err := p.state.Gaps(ctx, sink)
	if err != nil {
		return nil, err
	}
	for i := range batches {
		b := &batches[i]
		g, err := p.versionsOf(b)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(before, func(old Gap) bool { return old.Lo <= g.Lo && g.Hi <= old.Hi }) {
			return nil, fault.New(fault.Permanent, "sink %q cannot be detached before it has the rows that were copied for it: take `detached` out, or give it up with `weir sinks forget %s`", sink, sink)
		}
		if n := len(gaps); n > 0 && gaps[n-1].Hi == g.Lo {
			gaps[n-1].Hi = g.Hi
			continue
		}
		gaps = append(gaps, g)
	}
	return gaps, nil
}

func (p *Pipeline) versionsOf(b *Batch) (g Gap, err error) {
	e, err := p.spool.load(b)
	if err != nil {
		return g, err
	}
	t := tableOf(b.Table)
	if t == nil {
		return g, fault.New(fault.Permanent, "batch %s is of table %q, which is not declared", b.ID, b.Table)
	}
	c, err := schemas.DecodeChunk(t, e)
	if err != nil {
		return g, err
	}
	defer c.Release()
	g = Gap{Lo: c.Version(0) - 1, Hi: c.Version(0)}
	for i := range c.Len() {
		g.Lo, g.Hi = min(g.Lo, c.Version(i)-1), max(g.Hi, c.Version(i))
	}
	return g, nil
}

// usedPlace notes that the place of a sink that is new here had been written.
func (p *Pipeline) usedPlace(ctx context.Context, name string, old sinks.Owner) error {
	m, ok, err := p.state.SinkMark(ctx, name)
	written := old.Parts > 0 || old.StateID != "" && old.StateID != p.state.ID()
	if err != nil || !ok || m.Used || m.Known || !written {
		return err
	}
	m.Used = true
	return p.state.Update(ctx, func(tx Tx) error { return tx.SetSinkMark(name, m) })
}

// goOn has the chain of parts of a sink that is new under this name go on where
// the place's chain ends.
func (s *sinkRun) goOn(ctx context.Context) error {
	chained, ok := s.sink.(sinks.Chained)
	if !ok {
		return nil
	}
	for _, d := range s.deliveries {
		d.mu.Lock()
		fresh := d.n == 0
		d.mu.Unlock()
		if !fresh {
			continue
		}
		last, err := chained.LastPart(ctx, d.table)
		if err != nil {
			return err
		}
		d.mu.Lock()
		d.last = last
		d.mu.Unlock()
	}
	return nil
}

// Resync has a sink get every row of an entity table, or of all, again: with the
// next complete round of each stream.
func (p *Pipeline) Resync(ctx context.Context, sink, table string) error {
	if !slices.Contains(p.sinkNames, sink) {
		return fmt.Errorf("sink %q is not in the configuration, or is detached", sink)
	}
	if t := schemas.ByName(table); table != "" && (t == nil || !t.Entity) {
		return fmt.Errorf("%q is no table of entities: only those have rounds that bring every row", table)
	}
	return p.do(ctx, &change{apply: func(tx Tx) error { return tx.ForgetSynced(sink, table) }})
}

// ResyncOffline is Resync for a data directory on which no agent runs.
func ResyncOffline(ctx context.Context, o Options, sinkNames []string, sink, table string) error {
	return offline(ctx, o, func(p *Pipeline) error {
		p.sinkNames = sinkNames
		return p.Resync(ctx, sink, table)
	})
}

// ForgetSink drops what a sink that is not configured any more is owed, and all
// that is known of it.
func ForgetSink(ctx context.Context, o Options, sink string) error {
	return offline(ctx, o, func(p *Pipeline) error {
		var freed []string
		letters, err := p.state.FindDead(ctx, DeadFilter{Sink: sink})
		if err != nil {
			return err
		}
		err = p.do(ctx, &change{apply: func(tx Tx) (err error) {
			if freed, err = tx.Unqueue(sink, true); err != nil {
				return err
			}
			return tx.ForgetSinkWhole(sink, p.clock.Now())
		}})
		if err != nil {
			return err
		}
		var errs []error
		for _, d := range letters {
			errs = append(errs, p.dead.gone(d))
		}
		return errors.Join(append(errs, p.spool.free(freed))...)
	})
}
