package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

// A part never spans more than partSpan of row time: sinks partition by month,
// and refuse too many partitions at once.
const (
	partSpan       = 40 * 30 * 24 * time.Hour
	maxPartBatches = 4096
)

// delivery brings one table to one sink. Two goroutines share it: one plans and
// stages parts, the other commits them, in order.
type delivery struct {
	p     *Pipeline
	sink  *sinkRun
	table *schemas.Table
	wake  chan struct{}
	gate  gate // held while a part is written

	mu       sync.Mutex
	totals   [2]Totals // unplanned batches: on time, late
	open     int       // parts planned and not delivered
	last     string    // id of the newest planned part
	n        int64     // and its number
	flushing bool
	breaker  breaker
}

func lateIndex(late bool) int {
	if late {
		return 1
	}
	return 0
}

// add counts new batches of this delivery's table.
func (d *delivery) add(batches []spooled) {
	d.mu.Lock()
	for _, b := range batches {
		if b.Table != d.table.Name || !b.goesTo(d.sink.name) {
			continue
		}
		t := &d.totals[lateIndex(b.Late)]
		if t.Batches == 0 {
			t.Oldest = b.Created
		}
		t.Batches++
		t.Rows += b.Rows
		t.Plain += b.Batch.Plain
	}
	d.mu.Unlock()
	d.poke()
}

func (d *delivery) poke() {
	select {
	case d.wake <- struct{}{}:
	default:
	}
}

// flush has everything waiting made into parts now, and from now on.
func (d *delivery) flush(on bool) {
	d.mu.Lock()
	d.flushing = on
	d.mu.Unlock()
	d.poke()
}

// waiting returns how much this delivery has still to bring.
func (d *delivery) waiting() (t Totals, parts int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	t = d.totals[0]
	t.Batches += d.totals[1].Batches
	t.Rows += d.totals[1].Rows
	t.Plain += d.totals[1].Plain
	if t.Oldest.IsZero() || (d.totals[1].Batches > 0 && d.totals[1].Oldest.Before(t.Oldest)) {
		t.Oldest = d.totals[1].Oldest
	}
	return t, d.open
}

// stagedPart is a part on its way: planned, and being staged.
type stagedPart struct {
	plan   PartState
	part   *sinks.Part
	staged chan sinks.Staged // gets the staged part, or nil when that was given up
	err    error             // why, once staged has delivered
}

// run delivers until ctx ends.
func (d *delivery) run(ctx context.Context) error {
	if err := d.loadBreaker(ctx); err != nil {
		return err
	}
	if !d.breaker.open() { // a breaker that closed may have been killed before this
		if err := d.bringAgain(ctx); err != nil {
			return err
		}
	}
	for {
		if err := d.carryOut(ctx); !errors.Is(err, errReplan) || ctx.Err() != nil {
			return err
		}
	}
}

// carryOut delivers until ctx ends, or the plan has changed: errReplan. While one
// part is committed the next is staged, so that two cores can encode.
func (d *delivery) carryOut(ctx context.Context) error {
	whole := ctx
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan *stagedPart)
	done := make(chan error, 1)
	go func() {
		defer close(next)
		done <- d.stageAll(ctx, whole, next)
	}()
	var err error
	var refused *stagedPart
	for s := range next {
		staged := <-s.staged
		switch {
		case staged == nil && err == nil:
			err = s.err
		case staged == nil:
			continue
		case err != nil:
			_ = staged.Discard()
			continue
		default:
			err = d.commit(ctx, s.part, staged)
		}
		if err != nil {
			if fault.Of(err) == fault.BadData {
				refused = s
			}
			cancel(err)
		}
	}
	if ended := <-done; refused == nil || whole.Err() != nil {
		return errors.Join(err, ended)
	}
	return d.refused(whole, refused.plan, err)
}

// stageAll first takes up the parts planned earlier, then plans new ones. What it
// tells the state it tells within whole, so that it learns whether that stands.
func (d *delivery) stageAll(ctx, whole context.Context, next chan<- *stagedPart) error {
	open, err := d.p.state.OpenParts(ctx, d.sink.name, d.table.Name)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		var ps PartState
		if i < len(open) {
			ps = open[i]
		} else if ps, err = d.plan(ctx, whole); err != nil {
			return err
		}
		part, err := d.part(ctx, ps)
		if err != nil {
			return err
		}
		s := &stagedPart{plan: ps, part: part, staged: make(chan sinks.Staged, 1)}
		go func() {
			var staged sinks.Staged
			s.part, s.err = d.whole(ctx, part, func(part *sinks.Part) error {
				return d.sink.persevere(ctx, d.table, "staging", func() (err error) {
					staged, err = d.sink.sink.Stage(ctx, part)
					return err
				})
			})
			if s.err != nil {
				staged = nil
			}
			s.staged <- staged
		}()
		select {
		case next <- s:
		case <-ctx.Done():
			if staged := <-s.staged; staged != nil {
				err = staged.Discard()
			}
			return errors.Join(context.Cause(ctx), err)
		}
	}
}

// plan waits until a part is due and makes its list durable.
func (d *delivery) plan(ctx, whole context.Context) (PartState, error) {
	for {
		late, wait, due := d.due(d.p.clock.Now())
		if !due {
			var timer <-chan time.Time
			if wait > 0 {
				timer = d.p.clock.After(wait)
			}
			select {
			case <-d.wake:
			case <-timer:
			case <-ctx.Done():
				return PartState{}, context.Cause(ctx)
			}
			continue
		}
		batches, err := d.p.state.Pending(ctx, Queue{d.sink.name, d.table.Name, late}, maxPartBatches)
		if err != nil {
			return PartState{}, err
		}
		if len(batches) == 0 {
			return PartState{}, fmt.Errorf("planning %s for sink %s: batches were counted that the state does not hold", d.table.Name, d.sink.name)
		}
		batches = d.choose(batches)
		ps := d.describe(batches)
		err = d.p.committer.update(whole, func(tx Tx) error {
			if err := failpoint.Hit(failpoint.PartPlan); err != nil {
				return err
			}
			return tx.AddPart(ps, batches)
		})
		if err != nil {
			return PartState{}, err
		}
		d.planned(whole, late, batches, ps)
		return ps, nil
	}
}

// due says whether a part should close now, of which queue, and if not, when
// to look again (0: when woken).
func (d *delivery) due(now time.Time) (late bool, wait time.Duration, due bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	b := d.sink.batching
	for i, delay := range []time.Duration{b.MaxDelay, b.LateDelay} {
		t := &d.totals[i]
		if t.Batches == 0 {
			continue
		}
		if t.Oldest.After(now) {
			t.Oldest = now // of a clock that was ahead
		}
		left := delay - now.Sub(t.Oldest)
		if t.Plain >= int64(b.TargetSize) || t.Batches >= maxPartBatches || left <= 0 || d.flushing {
			return i == 1, 0, true
		}
		if wait == 0 || left < wait {
			wait = left
		}
	}
	return false, wait, false
}

// choose takes batches from the front: of one schema version, up to the target
// size, spanning at most partSpan.
func (d *delivery) choose(batches []Batch) []Batch {
	lo, hi, bytes, limit := batches[0].MinTime, batches[0].MaxTime, int64(0), d.limit()
	for i, b := range batches {
		lo, hi = min(lo, b.MinTime), max(hi, b.MaxTime)
		tooWide := int64(hi-lo) > partSpan.Milliseconds()
		tooBig := bytes+b.Plain > limit
		if i > 0 && (tooWide || tooBig || b.SchemaVersion != batches[0].SchemaVersion) {
			return batches[:i]
		}
		bytes += b.Plain
	}
	return batches
}

// limit is the size of the next part. The last of what there is to flush is cut
// in two, for the two to be encoded side by side.
func (d *delivery) limit() int64 {
	const leastHalf = 16 << 20
	d.mu.Lock()
	defer d.mu.Unlock()
	limit := int64(d.sink.batching.TargetSize)
	if d.flushing {
		limit = min(limit, max(leastHalf, (d.totals[0].Plain+d.totals[1].Plain)/2))
	}
	return limit
}

func (d *delivery) describe(batches []Batch) PartState {
	d.mu.Lock()
	defer d.mu.Unlock()
	ps := PartState{
		ID: d.p.ids.New(), Previous: d.last, Sink: d.sink.name, Table: d.table.Name, N: d.n + 1,
		SchemaVersion: batches[0].SchemaVersion, MinTime: batches[0].MinTime, MaxTime: batches[0].MaxTime,
		Created: d.p.clock.Now().UTC(),
	}
	for _, b := range batches {
		ps.Rows += b.Rows
		ps.Bytes += b.Plain
		ps.MinTime, ps.MaxTime = min(ps.MinTime, b.MinTime), max(ps.MaxTime, b.MaxTime)
	}
	return ps
}

func (d *delivery) planned(ctx context.Context, late bool, batches []Batch, ps PartState) {
	oldest := time.Time{}
	if rest, err := d.p.state.Pending(ctx, Queue{d.sink.name, d.table.Name, late}, 1); err == nil && len(rest) > 0 {
		oldest = rest[0].Created
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.last, d.n = ps.ID, ps.N
	d.open++
	t := &d.totals[lateIndex(late)]
	t.Batches -= int64(len(batches))
	t.Rows -= ps.Rows
	t.Plain -= ps.Bytes
	if t.Oldest = oldest; oldest.IsZero() && t.Batches > 0 {
		t.Oldest = d.p.clock.Now()
	}
}

// part gathers what a sink needs to write a planned part.
func (d *delivery) part(ctx context.Context, ps PartState) (*sinks.Part, error) {
	batches, err := d.p.state.PartBatches(ctx, ps.ID)
	if err != nil {
		return nil, err
	}
	part := &sinks.Part{
		ID: ps.ID, Previous: ps.Previous, Table: d.table, SchemaVersion: ps.SchemaVersion,
		Rows: ps.Rows, MinTime: ps.MinTime, MaxTime: ps.MaxTime,
	}
	var rows int64
	for i := range batches {
		b := &batches[i]
		rows += b.Rows
		part.Batches = append(part.Batches, sinks.Batch{
			ID: b.ID, App: b.App, Instance: b.Instance, Rows: b.Rows, Bytes: b.Bytes(), MinTime: b.MinTime, MaxTime: b.MaxTime,
			Load: func() (schemas.Encoded, error) { return d.load(b) },
		})
	}
	if rows != ps.Rows {
		return nil, fault.New(fault.Permanent, "part %s of %s: its batches hold %d rows, its plan %d: the state is damaged", ps.ID, ps.Table, rows, ps.Rows)
	}
	return part, nil
}

// commit makes a staged part visible and tells the state.
func (d *delivery) commit(ctx context.Context, part *sinks.Part, staged sinks.Staged) error {
	var receipt sinks.Receipt
	started := d.p.clock.Now()
	part, err := d.whole(ctx, part, func(part *sinks.Part) error {
		return d.sink.persevere(ctx, d.table, "writing", func() (err error) {
			if err := d.gate.enter(ctx); err != nil {
				return err
			}
			defer d.gate.leave()
			if staged == nil {
				if staged, err = d.sink.sink.Stage(ctx, part); err != nil {
					return err
				}
			}
			if receipt, err = staged.Commit(ctx); err != nil {
				err = errors.Join(err, staged.Discard())
				staged = nil
			}
			return err
		})
	})
	if err != nil {
		return err
	}
	var freed []string
	accept, accepted := d.accepted(part.Rows)
	err = d.p.committer.update(ctx, func(tx Tx) (err error) {
		if err := failpoint.Hit(failpoint.PartAck); err != nil {
			return err
		}
		freed, err = tx.FinishPart(part.ID, d.p.clock.Now())
		return errors.Join(err, accept(tx))
	})
	if err != nil {
		return err
	}
	if err := accepted(ctx); err != nil { // before the part counts as done: it may queue more
		return err
	}
	d.mu.Lock()
	d.open--
	d.mu.Unlock()
	d.sink.delivered(part, receipt, d.p.clock.Since(started))
	if d.table.Name == schemas.TableActivities {
		for _, b := range part.Batches {
			d.p.lags.delivered(b.ID, d.p.clock.Now())
		}
	}
	if err := d.p.spool.free(freed); err != nil {
		d.p.log.Warn("could not remove delivered spool segments; they are removed at the next start", "error", err)
	}
	d.p.changed()
	return nil
}
