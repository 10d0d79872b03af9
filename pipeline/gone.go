package pipeline

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"weir/internal/fault"
)

const (
	keepGone     = 90 * 24 * time.Hour // what is remembered of an instance that is not configured any more
	keepParts    = 7 * 24 * time.Hour  // once delivered
	forgetAtOnce = 10_000              // rows, in one transaction
	goneUpkeep   = "*"                 // in place of a stream, of which none is called so
)

// tidy keeps the state small, now and then.
func (p *Pipeline) tidy(ctx context.Context, update func(context.Context, func(Tx) error) error) error {
	p.tidyMu.Lock()
	defer p.tidyMu.Unlock()
	now := p.clock.Now()
	if !elapsed(now, p.tidied, upkeepEvery) {
		return nil
	}
	p.tidied = now
	err := update(ctx, func(tx Tx) error {
		return errors.Join(tx.ForgetParts(now.Add(-keepParts)), tx.ForgetHoles(now.Add(-keepHoles)))
	})
	if err == nil && p.instances != nil {
		err = p.forgetInstances(ctx, now, update)
	}
	if err != nil {
		return err
	}
	return update(ctx, Tx.Shrink)
}

// forgetInstances forgets the cursors, lanes, ids and baselines of instances
// that have not been in the configuration for keepGone. One that comes back
// before goes on where it was.
func (p *Pipeline) forgetInstances(ctx context.Context, now time.Time, update func(context.Context, func(Tx) error) error) error {
	by, kept := now, func(Tx) error { return nil }
	if p.patience == 0 { // single runs believe the clock
		var err error
		if by, kept, err = p.forgetBy(ctx, goneUpkeep, upkeepEvery); err != nil {
			return err
		}
	}
	known, err := p.state.Instances(ctx)
	if err != nil {
		return err
	}
	for _, name := range known {
		since, err := p.state.Meta(ctx, metaGone+name)
		if err != nil {
			return err
		}
		mark := ""
		if !slices.Contains(p.instances, name) {
			mark = since
			if ms, err := strconv.ParseInt(since, 10, 64); since == "" || err == nil && ms > now.UnixMilli() { // the clock was ahead
				mark = strconv.FormatInt(now.UnixMilli(), 10)
				p.log.Info("instance is gone from the configuration: its cursors stay, for when it comes back", "instance", name, "for", keepGone)
			}
		}
		if mark != since {
			if err := update(ctx, func(tx Tx) error { return tx.SetMeta(metaGone+name, mark) }); err != nil {
				return err
			}
		}
		if mark == "" {
			continue
		}
		ms, err := strconv.ParseInt(mark, 10, 64)
		if err != nil {
			return fault.New(fault.Permanent, "state: since when %s is gone, %q, is no number: %w", name, mark, err)
		}
		if by.Sub(time.UnixMilli(ms)) < keepGone {
			continue
		}
		p.log.Info("instance has been gone from the configuration for long: forgotten", "instance", name)
		for more := true; more; {
			err := update(ctx, func(tx Tx) (err error) {
				more, err = tx.ForgetInstance(name, forgetAtOnce)
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return update(ctx, kept)
}
