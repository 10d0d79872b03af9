package pipeline

import (
	"context"
	"slices"
	"strconv"
	"time"

	"weir/internal/fault"
)

const (
	keepGone     = 90 * 24 * time.Hour // what is remembered of an instance that is not configured any more
	forgetAtOnce = 10_000              // rows, in one transaction
)

// forgetInstances forgets, now and then, the cursors, lanes, ids and baselines of
// instances that have not been in the configuration for keepGone. One that comes
// back before goes on where it was.
func (p *Pipeline) forgetInstances(ctx context.Context, update func(context.Context, func(Tx) error) error) error {
	p.goneMu.Lock()
	defer p.goneMu.Unlock()
	now := p.clock.Now()
	if p.instances == nil || !elapsed(now, p.gone, upkeepEvery) {
		return nil
	}
	p.gone = now
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
			if since == "" {
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
		if now.Sub(time.UnixMilli(ms)) < keepGone {
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
	return nil
}
