package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/schemas"
)

// A sink that refuses a part's data (fault.BadData) is not believed at once. The
// part is halved, batches first, then the rows of its last batch, until the
// refused rows are found; every halving is in the state before a half is
// written. A single row that is refused is set aside as a dead letter, and the
// rest goes on. While no part of the table has been taken since, the refusal is
// unproved.
//
// Many refusals open the table's breaker: those of a day beyond the allowance,
// or maxUnproved in a row. Then the first part is tried now and then; as long as
// there is an allowance, what is refused is still halved, one step a try. The
// breaker closes with the first part that is taken, and brings what was set
// aside without proof once more.
const (
	allowedRows  = 100   // rows of a table that may be set aside a day,
	allowedShare = 0.001 // or this share of those taken
	maxUnproved  = 10    // rows in a row
	probeEvery   = time.Minute
	maxProbe     = 10 * time.Minute
)

// errReplan says that the state holds another plan than was being carried out.
var errReplan = errors.New("the plan has changed")

// breaker is how the refusals of a delivery stand. Its delivery alone changes
// it, but for close.
type breaker struct {
	Refusals
	pause time.Duration // before the next try
	wake  chan struct{} // a person asks for a try at once
}

func (b *breaker) open() bool { return !b.Opened.IsZero() }

// roll begins a new day.
func (b *breaker) roll(now time.Time) {
	if day := now.UTC().Format(time.DateOnly); b.Day != day {
		b.Day, b.Parked, b.Taken = day, 0, 0
	}
}

// spent reports whether no more rows may be set aside today.
func (b *breaker) spent(allowed int64) bool {
	return b.Parked >= max(allowed, int64(allowedShare*float64(b.Taken)))
}

// loadBreaker reads how the refusals stood.
func (d *delivery) loadBreaker(ctx context.Context) error {
	all, err := d.p.state.Refusals(ctx, d.sink.name, d.table.Name)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.breaker.Refusals = Refusals{Sink: d.sink.name, Table: d.table.Name}
	if len(all) == 1 {
		d.breaker.Refusals = all[0]
	}
	if d.breaker.open() {
		d.p.metrics.breakers.WithLabelValues(d.sink.name, d.table.Name).Set(1)
	}
	return nil
}

// refused takes the sink's refusal of a part. Unless ctx ends, or a single run's
// patience does, it returns errReplan once the next step is in the state and
// its time has come.
func (d *delivery) refused(ctx context.Context, ps PartState, cause error) error {
	batches, err := d.p.state.PartBatches(ctx, ps.ID)
	if err != nil {
		return err
	}
	now := d.p.clock.Now()
	d.mu.Lock()
	d.breaker.roll(now)
	b := d.breaker.Refusals
	spent := d.breaker.spent(d.p.allowed)
	d.mu.Unlock()
	full := d.p.dead.full()
	switch {
	case full != nil:
		err = d.openBreaker(ctx, b, fmt.Sprintf("%v; %v", full, cause))
	case spent:
		err = d.openBreaker(ctx, b, fmt.Sprintf("it has refused %d rows today, too many to set more aside: %v", b.Parked, cause))
	case len(batches) == 1 && batches[0].Rows == 1:
		err = d.setAside(ctx, ps, &batches[0], b, cause)
	default:
		err = d.halve(ctx, ps, batches)
	}
	if err != nil {
		return err
	}
	if err := d.reload(ctx); err != nil {
		return err
	}
	d.p.changed()
	if err := d.rest(ctx, cause); err != nil {
		return err
	}
	return errReplan
}

// openBreaker makes it durable that the breaker is open.
func (d *delivery) openBreaker(ctx context.Context, b Refusals, reason string) error {
	first := b.Opened.IsZero()
	if first {
		b.Opened = d.p.clock.Now().UTC()
	}
	b.Reason = fmt.Sprintf("%.1000s", reason)
	if err := d.p.committer.update(ctx, func(tx Tx) error { return tx.SetRefusals(b) }); err != nil {
		return err
	}
	d.mu.Lock()
	d.breaker.Refusals = b
	if first {
		d.breaker.pause = probeEvery
	}
	d.mu.Unlock()
	if first {
		d.p.metrics.breakers.WithLabelValues(d.sink.name, d.table.Name).Set(1)
		d.p.log.Error("breaker opened: the sink's table has stopped, nothing is lost; it is tried now and then, and by `weir sinks retry`", "sink", d.sink.name, "table", d.table.Name, "reason", b.Reason)
	}
	return nil
}

// setAside makes the only row of a part a dead letter.
func (d *delivery) setAside(ctx context.Context, ps PartState, b *Batch, r Refusals, cause error) error {
	e, err := d.load(b)
	if err != nil {
		return err
	}
	dead := DeadLetter{
		ID: d.p.ids.New(), At: d.p.clock.Now().UTC(), Kind: DeadPart, StreamID: StreamID{Instance: b.Instance}, Ref: "part " + ps.ID + ", batch " + b.ID,
		Class: string(fault.BadData), Reason: fmt.Sprintf("%.1000s", cause), Raw: packDead(e),
		Sink: ps.Sink, Table: ps.Table, App: b.App, Batch: b.ID, Rows: b.Rows, MinTime: b.MinTime, MaxTime: b.MaxTime, Proof: Unproved,
	}
	if err := d.p.persist(ctx, ctx, "keeping a dead letter", func() error { return d.p.dead.keep(&dead) }); err != nil {
		return err
	}
	r.Parked++
	r.Unproved++
	var freed []string
	err = d.p.committer.update(ctx, func(tx Tx) (err error) {
		if err := failpoint.Hit(failpoint.PartAside); err != nil {
			return err
		}
		if freed, err = tx.SetAside(ps); err != nil {
			return err
		}
		return errors.Join(tx.AddDeadLetter(dead), tx.SetRefusals(r))
	})
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.breaker.Refusals = r
	d.mu.Unlock()
	d.p.metrics.setAside.WithLabelValues(d.sink.name, d.table.Name).Inc()
	d.p.log.Warn("sink refuses a row: set aside, the rest goes on; see `weir deadletter list`", "sink", d.sink.name, "table", d.table.Name, "letter", dead.ID, "error", cause)
	if err := d.p.spool.free(freed); err != nil {
		d.p.log.Warn("could not remove spool segments; they are removed at the next start", "error", err)
	}
	if r.Unproved >= maxUnproved {
		return d.openBreaker(ctx, r, fmt.Sprintf("it has refused %d rows, and taken none since: %v", r.Unproved, cause))
	}
	return nil
}

// halve replaces a part by two.
func (d *delivery) halve(ctx context.Context, ps PartState, batches []Batch) error {
	halves := [2][]Batch{}
	if n := len(batches); n > 1 {
		halves = [2][]Batch{batches[:n/2], batches[n/2:]}
	} else {
		var err error
		if halves[0], halves[1], err = d.cut(batches[0]); err != nil {
			return err
		}
	}
	parts := [2]PartState{}
	previous := ps.Previous
	for i, half := range halves {
		p := PartState{
			ID: d.p.ids.New(), Previous: previous, Sink: ps.Sink, Table: ps.Table, N: ps.N + int64(i),
			SchemaVersion: half[0].SchemaVersion, Created: ps.Created,
		}
		for k, b := range half {
			if k == 0 {
				p.MinTime, p.MaxTime = b.MinTime, b.MaxTime
			}
			p.Rows += b.Rows
			p.Bytes += b.Plain
			p.MinTime, p.MaxTime = min(p.MinTime, b.MinTime), max(p.MaxTime, b.MaxTime)
		}
		parts[i], previous = p, p.ID
	}
	return d.p.committer.update(ctx, func(tx Tx) error {
		if err := failpoint.Hit(failpoint.PartHalve); err != nil {
			return err
		}
		return tx.SplitPart(ps, parts, halves)
	})
}

// cut makes two batches of the rows of one. They lie where it lies.
func (d *delivery) cut(b Batch) (first, second []Batch, err error) {
	e, err := d.load(&b)
	if err != nil {
		return nil, nil, err
	}
	c, err := schemas.DecodeChunk(d.table, e)
	if err != nil {
		return nil, nil, err
	}
	defer c.Release()
	if int64(c.Len()) != b.Rows {
		return nil, nil, fault.New(fault.Permanent, "batch %s holds %d rows, the state has %d: the state is damaged", b.ID, c.Len(), b.Rows)
	}
	half := func(from, to int) []Batch {
		h := b
		h.Seq, h.ID, h.Cut, h.First, h.Rows = 0, d.p.ids.New(), true, b.First+int64(from), int64(to-from)
		h.Plain = b.Plain * h.Rows / b.Rows
		h.SchemaVersion = schemas.Version // as load will encode it
		h.MinTime, h.MaxTime = c.Time(from), c.Time(from)
		for i := from; i < to; i++ {
			h.MinTime, h.MaxTime = min(h.MinTime, c.Time(i)), max(h.MaxTime, c.Time(i))
		}
		return []Batch{h}
	}
	middle := c.Len() / 2
	return half(0, middle), half(middle, c.Len()), nil
}

// load reads a batch from the spool; of one that was cut, its rows.
func (d *delivery) load(b *Batch) (schemas.Encoded, error) {
	e, err := d.p.spool.load(b)
	if err != nil || !b.Cut {
		return e, err
	}
	c, err := schemas.DecodeChunk(d.table, e)
	if err != nil {
		return e, err
	}
	defer c.Release()
	return c.Encode(b.ID, schemas.RowRange(int(b.First), int(b.Rows)))
}

// reload reads from the state what is planned.
func (d *delivery) reload(ctx context.Context) error {
	open, err := d.p.state.OpenParts(ctx, d.sink.name, d.table.Name)
	if err != nil {
		return err
	}
	last, n, err := d.p.state.LastPart(ctx, d.sink.name, d.table.Name)
	if err != nil {
		return err
	}
	d.mu.Lock()
	d.open, d.last, d.n = len(open), last, n
	d.mu.Unlock()
	return nil
}

// rest waits for the next try, while the breaker is open.
func (d *delivery) rest(ctx context.Context, cause error) error {
	d.mu.Lock()
	b, pause := d.breaker.Refusals, d.breaker.pause
	d.breaker.pause = min(2*max(pause, probeEvery/2), maxProbe)
	d.mu.Unlock()
	if b.Opened.IsZero() {
		return nil
	}
	d.sink.note(fmt.Errorf("table %s has stopped, its breaker is open: %s", d.table.Name, b.Reason))
	if p := d.p.patience; p > 0 {
		if d.p.clock.Since(b.Opened) >= p {
			return fmt.Errorf("gave up after %s with the breaker of %s open: %w", p, d.table.Name, cause)
		}
		pause = min(pause, p)
	}
	select {
	case <-d.p.clock.After(pause):
	case <-d.breaker.wake:
		return d.allow(ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// accepted words, for the transaction that ends a part, what its success means:
// it proves refusals, or closes the breaker.
func (d *delivery) accepted(rows int64) (apply func(Tx) error, after func(context.Context) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.breaker.roll(d.p.clock.Now())
	d.breaker.Taken += rows
	r := d.breaker.Refusals
	if r.Unproved == 0 && r.Opened.IsZero() {
		return func(Tx) error { return nil }, func(context.Context) error { return nil }
	}
	was := r
	r.Unproved, r.Opened, r.Reason = 0, time.Time{}, ""
	apply = func(tx Tx) error {
		to := Proved
		if !was.Opened.IsZero() {
			to = Again
		}
		n, err := tx.SetProof(r.Sink, r.Table, Unproved, to)
		if to == Again {
			r.Parked = max(0, was.Parked-n)
		}
		return errors.Join(err, tx.SetRefusals(r))
	}
	after = func(ctx context.Context) error {
		d.mu.Lock()
		d.breaker.Refusals, d.breaker.pause = r, 0
		d.mu.Unlock()
		if was.Opened.IsZero() {
			return nil
		}
		d.p.metrics.breakers.WithLabelValues(d.sink.name, d.table.Name).Set(0)
		d.p.log.Info("breaker closed: the sink takes the table's rows again", "sink", d.sink.name, "table", d.table.Name)
		return d.bringAgain(ctx)
	}
	return apply, after
}

// bringAgain queues what was set aside while the sink took nothing.
func (d *delivery) bringAgain(ctx context.Context) error {
	again := Again
	letters, err := d.p.state.FindDead(ctx, DeadFilter{Sink: d.sink.name, Table: d.table.Name, Kind: DeadPart, Proof: &again})
	if err != nil {
		return err
	}
	for _, l := range letters {
		if err := d.p.replayPart(ctx, l.ID); err != nil && !isDeclined(err) { // else a person has just taken it up
			return err
		}
	}
	return nil
}

// allow begins the day's allowance anew.
func (d *delivery) allow(ctx context.Context) error {
	d.mu.Lock()
	d.breaker.Parked, d.breaker.pause = 0, probeEvery
	r := d.breaker.Refusals
	d.mu.Unlock()
	return d.p.committer.update(ctx, func(tx Tx) error { return tx.SetRefusals(r) })
}

// Retry has the tables of a sink that stopped tried at once, for a person who
// says that it takes their rows now; as many refusals are allowed as at a day's
// beginning. It returns how many tables had stopped.
func (p *Pipeline) Retry(sink string) (stopped int, err error) {
	for _, s := range p.sinks {
		if s.name != sink {
			continue
		}
		for _, d := range s.deliveries {
			d.mu.Lock()
			open := d.breaker.open()
			d.mu.Unlock()
			if !open {
				continue
			}
			stopped++
			select {
			case d.breaker.wake <- struct{}{}:
			default:
			}
		}
		return stopped, nil
	}
	return 0, fmt.Errorf("there is no sink %q", sink)
}
