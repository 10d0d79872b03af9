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
	"weir/internal/setting"
	"weir/sources"
)

// plan adds the tasks that nobody has to ask for: sweeps that are due, and
// holes to be collected again.
func (b *pastRun) plan(ctx context.Context, tasks []PastTask) (added []PastTask, err error) {
	r, now := b.r, b.r.p.clock.Now().UTC()
	for _, age := range r.sweepAges() {
		t, err := b.sweep(ctx, tasks, age, now)
		if err != nil {
			return nil, err
		}
		if t != nil {
			added = append(added, *t)
		}
	}
	if !b.repaired.IsZero() && !elapsed(now, b.repaired, repairEvery) {
		return added, nil
	}
	b.repaired = now
	repairs, err := b.repairs(ctx, tasks, now)
	if err != nil {
		return nil, err
	}
	return append(added, repairs...), b.tidy(ctx, tasks, now)
}

// sweepAges are the ages at which windows are read again, in order.
func (r *StreamRun) sweepAges() []time.Duration { return SweepAges(r.Stream.Info, r.Sweep) }

// SweepAges returns the ages at which a stream's windows are read again, given
// those of the configuration; nil stands for the usual ones: an hour, and when
// nothing can come any more. None: it cannot look back, or need not.
func SweepAges(info sources.StreamInfo, configured []time.Duration) (ages []time.Duration) {
	if !info.Back || info.ShowsLate || info.Lateness <= 0 {
		return nil
	}
	if configured == nil {
		configured = []time.Duration{time.Hour, info.Lateness}
	}
	for _, a := range configured {
		ages = append(ages, min(a, info.Lateness))
	}
	slices.Sort(ages)
	return slices.Compact(ages)
}

// sweepSpan is how much time gathers before it is swept: windows are as long as
// they are old, at most a day.
func sweepSpan(age time.Duration) time.Duration {
	return min(max(age, 15*time.Minute), pastDay)
}

func sweptKey(id StreamID, age time.Duration) string {
	return metaSwept + id.String() + "/" + age.String()
}

func formatMS(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

// sweep makes the sweep of an age, if one is due. The first begins that far
// before the stream was first seen: what was read then may have lacked what came
// late.
func (b *pastRun) sweep(ctx context.Context, tasks []PastTask, age time.Duration, now time.Time) (*PastTask, error) {
	r := b.r
	if slices.ContainsFunc(tasks, func(t PastTask) bool { return t.Mode == PastSweep && t.Age == age }) {
		return nil, nil
	}
	v, err := r.p.state.Meta(ctx, sweptKey(r.ID, age))
	if err != nil {
		return nil, err
	}
	if v == "" {
		return nil, r.p.committer.update(ctx, func(tx Tx) error { return tx.SetMeta(sweptKey(r.ID, age), formatMS(now.Add(-age))) })
	}
	ms, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return nil, fault.New(fault.Permanent, "state: until when %s was swept, %q, is no number: %w", r.ID, v, err)
	}
	span := NewSpan(time.UnixMilli(ms), now.Add(-age-pastSlack))
	if span.Duration() < sweepSpan(age) {
		return nil, nil
	}
	t := PastTask{StreamID: r.ID, Mode: PastSweep, Status: PastOpen, Span: span, Left: span.To, Created: now, Windows: days([]Span{span}), Age: age}
	err = r.p.committer.update(ctx, func(tx Tx) error {
		if err := failpoint.Hit(failpoint.PastAdd); err != nil {
			return err
		}
		return tx.AddPast(&t)
	})
	return &t, err
}

// repairs makes tasks of the holes that the ledger wants collected again. What
// lies between a backfill of long ago and the stream's beginning is no hole:
// nobody has asked for it.
func (b *pastRun) repairs(ctx context.Context, tasks []PastTask, now time.Time) (added []PastTask, err error) {
	r := b.r
	holes, err := r.p.state.Holes(ctx, r.ID)
	if err != nil || !slices.ContainsFunc(holes, Hole.Missing) {
		return nil, err
	}
	owed, err := Owed(ctx, r.p.state, r.ID, r.Stream.Info.Retention, now)
	if err != nil {
		return nil, err
	}
	var missing, busy []Span
	for _, h := range holes {
		if h.Missing() {
			missing = append(missing, h.Span)
		}
	}
	for _, t := range tasks {
		if t.Mode == PastRepair || t.Mode == PastBackfill && t.Status == PastOpen {
			busy = append(busy, Span{From: t.Span.From, To: t.Left})
		}
	}
	owed = Subtract(Intersect(owed, missing), busy)
	if owed = owed[max(0, len(owed)-maxPastTasks):]; len(owed) == 0 {
		return nil, nil
	}
	err = r.p.committer.update(ctx, func(tx Tx) error {
		if err := failpoint.Hit(failpoint.PastAdd); err != nil {
			return err
		}
		added = added[:0]
		for _, span := range owed {
			t := PastTask{StreamID: r.ID, Mode: PastRepair, Status: PastOpen, Span: span, Left: span.To, Created: now, Windows: days([]Span{span})}
			if err := tx.AddPast(&t); err != nil {
				return err
			}
			added = append(added, t)
		}
		for _, h := range holes {
			if h.Missing() && h.State != HoleLost && slices.ContainsFunc(owed, h.Overlaps) {
				h.State, h.Tries, h.Tried = HoleClosing, h.Tries+1, now
				if err := tx.Hole(r.ID, h, now); err != nil {
					return err
				}
			}
		}
		return nil
	})
	return added, err
}

// reopen has the holes that a repair could not close wait for the next.
func reopen(tx Tx, t *PastTask, holes []Hole, now time.Time) error {
	for _, h := range holes {
		if h.State == HoleClosing && h.Overlaps(t.Span) {
			h.State = HoleOpen
			if err := tx.Hole(t.StreamID, h, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// tidy forgets backfills that were done long ago.
func (b *pastRun) tidy(ctx context.Context, tasks []PastTask, now time.Time) error {
	for _, t := range tasks {
		if t.Status == PastDone && now.Sub(t.Ended) > keepPast {
			if err := b.r.p.committer.update(ctx, func(tx Tx) error { return tx.DropPast(t) }); err != nil {
				return err
			}
		}
	}
	return nil
}

// AddBackfill makes a task of what the ledger does not hold of a span. Its work
// begins at once where the stream runs.
func (p *Pipeline) AddBackfill(ctx context.Context, id StreamID, info sources.StreamInfo, span Span) (PastTask, error) {
	t, err := newBackfill(ctx, p.state, id, info, span, p.clock.Now().UTC())
	if err != nil {
		return t, err
	}
	err = p.committer.update(ctx, func(tx Tx) error {
		if err := failpoint.Hit(failpoint.PastAdd); err != nil {
			return err
		}
		return tx.AddPast(&t)
	})
	poke(p.past.wake(id))
	return t, err
}

func newBackfill(ctx context.Context, st State, id StreamID, info sources.StreamInfo, span Span, now time.Time) (t PastTask, err error) {
	if !info.Back {
		return t, fault.New(fault.Permanent, "%s cannot be asked for the past", id)
	}
	if now.Before(span.To) {
		span.To = NewSpan(now, now).From
	}
	if kept := info.Retention; kept > 0 {
		if oldest := NewSpan(now.Add(-kept), now).From; span.From.Before(oldest) {
			span.From = oldest
		}
		if span.Empty() {
			return t, fault.New(fault.Permanent, "%s: the vendor keeps events for %s: it has nothing of that span any more", id, setting.FormatDuration(kept))
		}
	}
	if span.Empty() {
		return t, fault.New(fault.Permanent, "%s: the span is empty, or to come", id)
	}
	covered, err := st.Coverage(ctx, id, span)
	if err != nil {
		return t, err
	}
	owed := Subtract([]Span{span}, covered)
	tasks, err := st.PastTasks(ctx, id)
	if err != nil {
		return t, err
	}
	if len(owed) == 0 {
		return t, fmt.Errorf("%s, %s to %s: %w", id, span.From.Format(time.RFC3339), span.To.Format(time.RFC3339), ErrPastHeld)
	}
	for _, o := range tasks {
		if o.Mode == PastBackfill && o.Status != PastDone && o.Span.Overlaps(span) {
			return t, fault.New(fault.Permanent, "%s: backfill %d, of %s to %s, is %s and has time in common with this: resume or drop it", id, o.ID,
				o.Span.From.Format(time.RFC3339), o.Span.To.Format(time.RFC3339), o.Status)
		}
	}
	if len(tasks) >= maxPastTasks {
		return t, fault.New(fault.Permanent, "%s has %d tasks: drop some", id, len(tasks))
	}
	return PastTask{StreamID: id, Mode: PastBackfill, Status: PastOpen, Span: span, Left: span.To, Created: now, Windows: days(owed)}, nil
}

// PastVerb is what a person may tell a task.
type PastVerb string

// Verbs.
const (
	PastStop   PastVerb = "stop"
	PastResume PastVerb = "resume"
	PastDrop   PastVerb = "drop"
)

// TellPast stops, resumes or drops a task of a running pipeline. What a stopped
// or dropped task has delivered stays, and stays covered.
func (p *Pipeline) TellPast(ctx context.Context, id int64, verb PastVerb) (PastTask, error) {
	t, err := tellPast(ctx, p.state, p.committer.update, id, verb, p.clock.Now())
	if err != nil {
		return t, err
	}
	if verb != PastResume {
		p.past.stop(id)
	}
	poke(p.past.wake(t.StreamID))
	return t, nil
}

// TellPastOffline does so where no agent runs.
func TellPastOffline(ctx context.Context, dataDir string, id int64, verb PastVerb, now time.Time) (t PastTask, err error) {
	unlock, err := lockDir(dataDir)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	st, err := OpenState(ctx, dataDir)
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	return tellPast(ctx, st, st.Update, id, verb, now)
}

func tellPast(ctx context.Context, st State, update func(context.Context, func(Tx) error) error, id int64, verb PastVerb, now time.Time) (PastTask, error) {
	t, ok, err := st.PastTask(ctx, id)
	if err != nil {
		return t, err
	}
	if !ok {
		return t, fault.New(fault.Permanent, "no task has the number %d: see `weir backfill list`", id)
	}
	holes, err := st.Holes(ctx, t.StreamID)
	if err != nil {
		return t, err
	}
	done := t.Status == PastDone
	err = update(ctx, func(tx Tx) error {
		switch verb {
		case PastStop, PastResume:
			to := PastStopped
			if verb == PastResume {
				to = PastOpen
			}
			found, err := tx.SetPastStatus(id, to)
			done, t.Status = !found, to
			return err
		case PastDrop:
			done = false
			if t.Mode == PastRepair {
				if err := reopen(tx, &t, holes, now); err != nil {
					return err
				}
			}
			return tx.DropPast(t)
		}
		return fault.New(fault.Permanent, "a task cannot be told to %q", verb)
	})
	if err == nil && done {
		err = fault.New(fault.Permanent, "task %d is done", id)
	}
	return t, err
}

func (p *Pipeline) setPastStatus(ctx context.Context, id int64, to PastStatus) (found bool, err error) {
	err = p.committer.update(ctx, func(tx Tx) error {
		found, err = tx.SetPastStatus(id, to)
		return err
	})
	return found, err
}
