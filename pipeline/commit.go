package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"weir/internal/failpoint"
	"weir/internal/fault"
)

// Group commit: what gathers within gatherTime, up to gatherOps or gatherBytes,
// shares one segment, its fsyncs, and one transaction. Changes that only move a
// cursor wait for company, at most lazyTime.
const (
	gatherTime  = 10 * time.Millisecond
	gatherOps   = 64
	gatherBytes = 4 << 20
	lazyTime    = 30 * time.Second
	lazyOps     = 64
)

// change is one caller's part of a commit.
type change struct {
	batches []spooled
	apply   func(Tx) error
	lazy    bool
	done    func(error) // called once, when durable or given up
}

// declined is why a change cannot be made, now or later. It alone is given up: the
// others of its group go on.
type declined struct {
	error

	change *change // set by the committer
}

func (d *declined) Unwrap() error { return d.error }

func decline(format string, args ...any) error { return &declined{error: fmt.Errorf(format, args...)} }

func isDeclined(err error) bool {
	_, ok := errors.AsType[*declined](err)
	return ok
}

// also adds to what the change does to the state.
func (c *change) also(fn func(Tx) error) {
	first := c.apply
	c.apply = func(tx Tx) error {
		if first != nil {
			if err := first(tx); err != nil {
				return err
			}
		}
		return fn(tx)
	}
}

func (c *change) bytes() (n int) {
	for _, b := range c.batches {
		n += len(b.Head) + len(b.Body)
	}
	return n
}

// committer is the one writer of spool and state.
type committer struct {
	p     *Pipeline
	queue chan *change
	hurry chan struct{} // asks for the lazy changes to be committed now
}

func newCommitter(p *Pipeline) *committer {
	return &committer{p: p, queue: make(chan *change, gatherOps), hurry: make(chan struct{}, 1)}
}

// submit queues a change. Its done is called in any case.
func (c *committer) submit(ctx context.Context, ch *change) {
	select {
	case c.queue <- ch:
	case <-ctx.Done():
		ch.done(context.Cause(ctx))
	case <-c.p.failure.Done():
		ch.done(context.Cause(c.p.failure))
	}
}

// update submits a change and waits until it is durable.
func (c *committer) update(ctx context.Context, fn func(Tx) error) error {
	result := make(chan error, 1)
	c.submit(ctx, &change{apply: fn, done: func(err error) { result <- err }})
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.p.failure.Done():
		return context.Cause(c.p.failure)
	}
}

// flush has lazy changes committed now.
func (c *committer) flush() {
	select {
	case c.hurry <- struct{}{}:
	default:
	}
}

// run commits until ctx ends, then commits what is already queued.
func (c *committer) run(ctx context.Context) error {
	var held []*change
	lazy := c.p.clock.NewTimer(lazyTime)
	defer lazy.Stop()
	for {
		var group []*change
		urgent := false
		select {
		case ch := <-c.queue:
			group, urgent = c.gather(ch)
		case <-c.hurry:
			urgent = true
		case <-lazy.Chan():
			urgent = true
		case <-ctx.Done():
			for len(c.queue) > 0 {
				group = append(group, <-c.queue)
			}
			held = append(held, group...)
			if len(held) == 0 {
				return nil
			}
			return c.commit(context.WithoutCancel(ctx), ctx, held)
		}
		held = append(held, group...)
		if len(held) == 0 {
			lazy.Reset(lazyTime)
			continue
		}
		if !urgent && len(held) < lazyOps {
			continue
		}
		if err := c.commit(ctx, ctx, held); err != nil {
			return err
		}
		held = nil
		lazy.Reset(lazyTime)
	}
}

// gather collects what arrives within the gathering time.
func (c *committer) gather(first *change) (group []*change, urgent bool) {
	group, urgent = []*change{first}, !first.lazy
	bytes := first.bytes()
	timer := c.p.clock.NewTimer(gatherTime)
	defer timer.Stop()
	for len(group) < gatherOps && bytes < gatherBytes {
		select {
		case ch := <-c.queue:
			group = append(group, ch)
			urgent = urgent || !ch.lazy
			bytes += ch.bytes()
		case <-timer.Chan():
			return group, urgent
		}
	}
	return group, urgent
}

// commit makes a group durable, trying again until it succeeds, stop ends, or
// the pipeline's patience does. An error means that the state may no longer be
// written by this process.
func (c *committer) commit(ctx, stop context.Context, group []*change) error {
	var batches []spooled
	for _, ch := range group {
		batches = append(batches, ch.batches...)
	}
	err := c.p.persist(ctx, stop, "committing", func() error { return c.try(ctx, group, batches) })
	if d, ok := errors.AsType[*declined](err); ok {
		d.change.done(d)
		return c.commit(ctx, stop, slices.DeleteFunc(group, func(ch *change) bool { return ch == d.change }))
	}
	if err == nil && len(batches) > 0 {
		c.p.deliverable(batches)
	}
	for _, ch := range group {
		ch.done(err)
	}
	return err
}

func (c *committer) try(ctx context.Context, group []*change, batches []spooled) error {
	segment, size := "", int64(0)
	if len(batches) > 0 {
		segment = c.p.ids.New()
		var err error
		if size, err = c.p.spool.write(segment, batches); err != nil {
			return err
		}
	}
	err := c.p.state.Update(ctx, func(tx Tx) error {
		if len(batches) > 0 {
			if err := tx.AddSegment(segment, size); err != nil {
				return err
			}
			if err := tx.SetMeta(metaVersion, strconv.FormatInt(c.p.versions.high(), 10)); err != nil {
				return err
			}
		}
		for _, b := range batches {
			to := b.to
			if to == nil {
				to = c.p.sinkNames
			}
			if err := tx.AddBatch(b.Batch, to); err != nil {
				return err
			}
		}
		for _, ch := range group {
			if ch.apply == nil {
				continue
			}
			if err := ch.apply(tx); err != nil {
				if d, ok := errors.AsType[*declined](err); ok {
					d.change = ch
				}
				return err
			}
		}
		return failpoint.Hit(failpoint.StateCommit)
	})
	if err != nil {
		if segment != "" && !errors.Is(err, errUnclear) {
			err = errors.Join(err, c.p.spool.remove(segment))
		}
		return err
	}
	if segment != "" {
		c.p.spool.added(segment, size)
	}
	_ = failpoint.Hit(failpoint.StateDone) // a point to be killed at: the commit stands
	return nil
}

// persist repeats a step that writes to this machine's disk until it succeeds.
// It gives up when stop ends, when the error says that no retry can help, or,
// if the pipeline is impatient, after its patience.
func (p *Pipeline) persist(ctx, stop context.Context, what string, step func() error) error {
	var since time.Time
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := step()
		if isDeclined(err) {
			return err
		}
		if err == nil {
			if !since.IsZero() {
				p.log.Info("the disk takes writes again", "step", what)
			}
			return nil
		}
		now := p.clock.Now()
		if since.IsZero() {
			since = now
		}
		p.metrics.diskErrors.Inc()
		p.log.Error("cannot write to the data directory; trying again", "step", what, "error", err)
		switch {
		case errors.Is(err, errUnclear):
			return fault.New(fault.Permanent, "%s: %w: it is not known what the disk holds; start again to read it back", what, err)
		case fault.Of(err) == fault.Permanent:
			return err
		case p.patience > 0 && now.Sub(since) >= p.patience:
			return fmt.Errorf("%s: gave up after %s: %w", what, p.patience, err)
		}
		select {
		case <-p.clock.After(wait):
		case <-stop.Done():
			return err
		case <-ctx.Done():
			return err
		}
	}
}
