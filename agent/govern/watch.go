package govern

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// Bounds of looking at what is final.
const (
	leastWatch   = time.Minute // between two looks at one action
	maxReapplied = 3           // times that one effect is given back
	settleFor    = 24 * time.Hour
)

// watchFrom has a final action looked at again where something may follow.
func (r *Runner) watchFrom(a *Action) {
	inst := r.instance(a.Row.Instance)
	switch {
	case a.State == Unsure:
		a.Watch = r.o.Clock.Now().Add(leastWatch)
	case a.State == Verified && a.Undoes == "" && len(a.Steps) > 0 && inst != nil && inst.Governance.Watch > 0:
		a.Watch = r.o.Clock.Now().Add(min(watchEvery(inst.Governance.Watch), inst.Governance.Watch))
	default:
		a.Watch = time.Time{}
	}
}

func watchEvery(watch time.Duration) time.Duration { return min(max(watch/60, leastWatch), mostWait) }

// watchAll looks at what is final and due. It only reads at the vendor, and goes
// on while governance is paused.
func (r *Runner) watchAll(ctx context.Context, instance string) error {
	due, err := r.o.Store.WatchedActions(ctx, instance, r.o.Clock.Now(), dueAtOnce)
	if err != nil {
		return err
	}
	for _, rec := range due {
		if ctx.Err() != nil {
			return nil
		}
		a, ok, err := r.locked(ctx, rec.ID)
		switch {
		case err != nil:
			return err
		case ok && a.State == Verified:
			err = r.watch(ctx, a)
		case ok && a.State == Unsure && a.Done:
			err = r.clarify(ctx, a)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// look puts the next look at an action off, without an entry of the log.
func (r *Runner) look(ctx context.Context, a *Action, at time.Time) error {
	ctx = context.WithoutCancel(ctx)
	a.Watch = at
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok, err := r.current(ctx, a); err != nil || !ok {
		return err
	}
	return r.put(ctx, a)
}

// watch looks whether what an action did still stands.
func (r *Runner) watch(ctx context.Context, a *Action) error {
	inst, info := r.declared(a)
	if inst == nil || inst.Governance.Watch == 0 {
		return r.look(ctx, a, time.Time{})
	}
	gone, err := r.gone(ctx, a)
	now := r.o.Clock.Now()
	next, end := now.Add(watchEvery(inst.Governance.Watch)), a.Finished.Add(inst.Governance.Watch)
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		a.Fails++
		next = now.Add(max(next.Sub(now), backoff(a.Fails), fault.RetryAfter(err)))
	case gone != "" && a.Doubts == 0: // vendors may show, for a while, what was
		a.Doubts++
		return r.look(ctx, a, now.Add(max(info.Delay, leastSettle)))
	case gone != "":
		return r.reverted(ctx, a, gone)
	default:
		a.Fails, a.Doubts = 0, 0
	}
	switch {
	case now.Before(end) && next.After(end):
		next = end // a last look
	case !now.Before(end):
		next = time.Time{}
	}
	return r.look(ctx, a, next)
}

// gone returns the first step of an action that is not in effect any more.
func (r *Runner) gone(ctx context.Context, a *Action) (string, error) {
	for i, step := range a.Plan.Steps {
		outcome, err := r.check(ctx, a, i)
		if err != nil {
			return "", err
		}
		if outcome == sources.NotDone {
			return step.Name, nil
		}
	}
	return "", nil
}

// reverted ends the watch over an effect that does not stand.
func (r *Runner) reverted(ctx context.Context, a *Action, step string) error {
	a.Watch, a.Doubts = time.Time{}, 0
	others, err := r.on(ctx, a, 0)
	if err != nil {
		return err
	}
	if i := slices.IndexFunc(others, func(o *Action) bool { return !o.Started.Before(a.Started) && earlier(a, o) && opposite(o, a) }); i >= 0 {
		a.Note = fmt.Sprintf("step %s is not in effect any more: %s has changed that", step, others[i].Row.ID)
		_, err := r.save(ctx, a, event{Event: "superseded", Detail: a.Note})
		return err
	}
	note := fmt.Sprintf("step %s is not in effect any more, and no action of Weir's has changed that", step)
	if a.Reapply {
		again, err := r.reapply(ctx, a)
		if err != nil {
			return err
		}
		note += "; " + again
	}
	a.State, a.Note = Reverted, note
	_, err = r.save(ctx, a, event{Event: string(Reverted), Detail: note})
	return err
}

// reapply asks for a reverted effect once more, in the name of who asked first.
// It is a request of its own: planned on what is there now, approved by another
// person, capped, and watched. What happens twice, after a crash, is one.
func (r *Runner) reapply(ctx context.Context, of *Action) (note string, err error) {
	if of.Round >= maxReapplied {
		return fmt.Sprintf("it has been re-applied %d times, and is not again", of.Round), nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.o.Clock.Now()
	a := &Action{Row: of.Row, Via: of.Via, Principal: of.Principal, State: Received, Due: now, Reapplies: cmp.Or(of.Reapplies, of.Row.ID), Round: of.Round + 1}
	a.Row.ID = "again-" + sum("weir action again 1", a.Reapplies, strconv.Itoa(a.Round))[:32]
	a.Row.ReceivedAt, a.Row.NotBefore, a.Row.Signature = schemas.Time(now.UnixMilli()), 0, "" // that was over another id
	a.RequestHash = RequestHash(a.Row, a.Via)
	note = "re-applied by " + a.Row.ID
	if _, known, err := r.load(ctx, a.Row.ID); err != nil || known {
		return note, err
	}
	e := event{Event: string(Received), Detail: fmt.Sprintf("re-applies %s, which was reverted: %d of at most %d times", a.Reapplies, a.Round, maxReapplied)}
	if why := r.accept(ctx, a, Caller{Principal: a.Principal, DBUser: a.Row.DBUser, Via: a.Via}); why != nil {
		if fault.Of(why) != fault.BadData {
			return "", why
		}
		a.State, a.Note, a.Done = Rejected, why.Error(), true
		e = event{Event: string(Rejected), Detail: a.Note}
	}
	return note, r.commit(ctx, a, e)
}

// clarify asks the vendor what became of the steps of an action that ended
// unknown. Nothing is carried out: what had not begun does not begin.
func (r *Runner) clarify(ctx context.Context, a *Action) error {
	_, info := r.declared(a)
	now := r.o.Clock.Now()
	if info == nil {
		return r.look(ctx, a, time.Time{}) // nobody can be asked
	}
	open, last := false, time.Time{}
	for i := range a.Steps {
		p := &a.Steps[i]
		if p.Phase == Made || p.Phase == Refused || p.Phase == Waiting {
			continue
		}
		last = p.At
		outcome, err := r.check(ctx, a, i)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil && outcome == sources.Done:
			p.Phase = Made
		case err == nil && outcome == sources.NotDone && now.Sub(p.At) > info.Delay+readBack:
			p.Phase = Refused
		default:
			open = true
		}
	}
	switch {
	case open && now.Sub(last) > settleFor:
		a.Watch, a.Note = time.Time{}, a.Note+"; it is not asked any more"
		_, err := r.save(ctx, a, event{Event: string(Unsure), Detail: a.Note})
		return err
	case open:
		return r.look(ctx, a, now.Add(min(max(leastWatch, now.Sub(last)/4), time.Hour)))
	}
	a.Finished = now
	made := func(p Progress) bool { return p.Phase == Made }
	switch {
	case !slices.ContainsFunc(a.Steps, func(p Progress) bool { return !made(p) }):
		return r.verified(ctx, a, "the vendor shows it after all")
	case slices.ContainsFunc(a.Steps, made):
		return r.end(ctx, a, Partial, "the vendor shows, after all, that some steps took effect and the others did not")
	}
	return r.end(ctx, a, Failed, "the vendor shows, after all, that nothing took effect")
}
