package pipeline

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"weir/internal/fault"
	"weir/internal/setting"
)

// A clock may be set, forward or back, while an agent runs or between two. What
// is kept as a time then says more, or less, than it meant.

const (
	// leastFar is how far ahead a time may at least be before it is taken for one
	// of a clock that was ahead: more than vendors ask to wait.
	leastFar = 2 * time.Hour
	// distrust is how much further than a stream's lateness the vendor's time may
	// lag before the agent's clock is not believed about what the vendor still keeps.
	distrust = 24 * time.Hour

	skewShown = 2 * time.Minute
	skewStops = 10 * time.Minute

	metaUpkeep = "upkeep/" // and the stream: the time by which old things were last forgotten, in milliseconds
	metaSkew   = "skew/"   // and the stream: how far the vendor's clock is ahead, in milliseconds, where that is much
)

// far is how long a stream waits for anything at most. What is due later is due
// now: the clock was set back.
func (r *StreamRun) far() time.Duration {
	return max(leastFar, 2*r.Every, 2*r.FullEvery, 2*r.Stream.Info.FullEvery)
}

// elapsed says whether d has passed since a time; or the clock was set back
// behind it, and nobody knows.
func elapsed(now, since time.Time, d time.Duration) bool {
	return now.Sub(since) >= d || now.Before(since)
}

// forgetBy is the time by which things are old enough to be forgotten: the
// clock's, but each upkeep takes it on by half as much again as upkeep comes
// apart, at most: by the configuration, or by timers, which do not care what the
// clock is set to. A clock set far ahead and back makes nothing forgotten that
// vendors show again; after a long rest things are kept somewhat longer.
func (p *Pipeline) forgetBy(ctx context.Context, key string, every time.Duration) (time.Time, func(Tx) error, error) {
	now, hours, passed := p.clock.Now(), p.hours.Load(), time.Duration(0)
	if last, ok := p.upkeeps.Swap(key, hours); ok {
		passed = time.Duration(hours-last.(int64)) * upkeepEvery
	}
	v, err := p.state.Meta(ctx, metaUpkeep+key)
	if err != nil {
		return now, nil, err
	}
	by := now
	if v != "" {
		ms, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return now, nil, fault.New(fault.Permanent, "state: when %s was last tidied, %q, is no number: %w", key, v, err)
		}
		every = max(every, upkeepEvery, passed)
		if limit := time.UnixMilli(ms).Add(every + every/2); limit.Before(by) {
			by = limit
		}
	}
	return by, func(tx Tx) error { return tx.SetMeta(metaUpkeep+key, formatMS(by)) }, nil
}

// countHours counts the hours that the pipeline runs, until ctx ends.
func (p *Pipeline) countHours(ctx context.Context) error {
	tick := p.clock.NewTicker(upkeepEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.Chan():
			p.hours.Add(1)
		case <-ctx.Done():
			return nil
		}
	}
}

// VendorSkew returns how far a stream's vendor's clock is ahead of the agent's,
// as last kept; 0 where that is little.
func VendorSkew(ctx context.Context, s State, id StreamID) (time.Duration, error) {
	v, err := s.Meta(ctx, metaSkew+id.String())
	if err != nil || v == "" {
		return 0, err
	}
	ms, err := strconv.ParseInt(v, 10, 64)
	return time.Duration(ms) * time.Millisecond, err
}

// checkSkew compares the vendor's clock with the agent's, after a round. A large
// difference is logged and kept. One so large that no window of time means the
// same to both is an error: what was read is delivered, but nothing is said to
// be complete.
func (r *StreamRun) checkSkew(ctx context.Context) error {
	skew := time.Duration(r.caller.Skew.Load()).Round(time.Second)
	keep := ""
	if skew.Abs() > skewShown {
		keep = strconv.FormatInt(skew.Milliseconds(), 10)
	}
	known, err := VendorSkew(ctx, r.p.state, r.ID)
	if err != nil {
		return err
	}
	if (known == 0) != (keep == "") || (known-skew).Abs() > time.Minute && keep != "" {
		if keep != "" {
			r.p.log.Warn("the vendor's clock and this machine's differ: see that both are set", "instance", r.ID.Instance, "stream", r.ID.Stream, "vendor", SkewText(skew))
		}
		if err := r.p.committer.update(ctx, func(tx Tx) error { return tx.SetMeta(metaSkew+r.ID.String(), keep) }); err != nil {
			return err
		}
	}
	if r.scan == nil && skew.Abs() > skewStops {
		return fault.New(fault.Transient, "the vendor's clock is %s: what is read is delivered, but nothing counts as complete; set this machine's clock", SkewText(skew))
	}
	return nil
}

// SkewText words a difference of clocks.
func SkewText(skew time.Duration) string {
	word := "ahead"
	if skew < 0 {
		word = "behind"
	}
	return fmt.Sprintf("%s %s", setting.FormatDuration(skew.Abs().Round(time.Second)), word)
}
