package govern

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/configs"
	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/pipeline"
	"weir/sources"
)

// Waits and bounds of an execution.
const (
	leastSettle = 30 * time.Second // after a request of unknown outcome, before the vendor's word is taken
	maxTries    = 3                // attempts at one step, all but the first after a check
	firstWait   = 2 * time.Second  // before something is tried again; doubles
	mostWait    = 10 * time.Minute
	maxFails    = 20               // of checks in a row, before the outcome is called unknown
	readBack    = 2 * time.Minute  // beyond the declared delay, until an effect that does not show is missing
	maxPending  = 24 * time.Hour   // that a vendor's job may take
	doTime      = 2 * time.Minute  // one call of a session
	coolest     = 15 * time.Second // between looks at something that waits
)

// advance takes an action as far as it goes now. Of those on one target, and on
// administrators of an instance, one runs at a time. Its error is of the state,
// not of the action.
func (r *Runner) advance(ctx context.Context, id string) error {
	for {
		a, ok, err := r.locked(ctx, id)
		if err != nil || !ok || a.Done || a.Due.After(r.o.Clock.Now()) {
			return err
		}
		var again bool
		switch a.State {
		case Received:
			again, err = r.plan(ctx, a)
		case Awaiting:
			err = r.expire(ctx, a)
		case Approved:
			if ofPerson(a.Request.Action) {
				again, err = r.beginBundle(ctx, a)
			} else {
				again, err = r.begin(ctx, a)
			}
		case Executing, PendingVendor, Unsure:
			if ofPerson(a.Request.Action) {
				err = r.gather(ctx, a)
			} else {
				again, err = r.execute(ctx, a)
			}
		case Succeeded:
			err = r.verify(ctx, a)
		default:
			err = fmt.Errorf("action %s: state %q is not known: the state was written by another version", id, a.State)
		}
		if err != nil || !again || ctx.Err() != nil {
			return err
		}
	}
}

func (r *Runner) locked(ctx context.Context, id string) (*Action, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.load(ctx, id)
}

// save commits an action's change, unless somebody has decided on it meanwhile:
// then the change is dropped, and what was decided holds. Once it has begun,
// nobody can.
func (r *Runner) save(ctx context.Context, a *Action, e event) (bool, error) {
	ctx = context.WithoutCancel(ctx) // what has happened is written down
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok, err := r.current(ctx, a); err != nil || !ok {
		return false, err
	}
	return true, r.commit(ctx, a, e)
}

// current reports whether nobody has decided on an action since it was loaded.
// The caller holds r.mu.
func (r *Runner) current(ctx context.Context, a *Action) (bool, error) {
	now, ok, err := r.load(ctx, a.Row.ID)
	if err != nil || !ok || now.Decisions != a.Decisions {
		return false, err
	}
	a.Conflicts, a.Heard, a.Ignored = now.Conflicts, now.Heard, now.Ignored
	return true, nil
}

// wait puts an action off, with the reason to show. Waiting for the same reason
// is no entry of the log.
func (r *Runner) wait(ctx context.Context, a *Action, d time.Duration, why string) error {
	ctx = context.WithoutCancel(ctx)
	a.Due = r.o.Clock.Now().Add(d)
	if limit, has := r.deadline(a); has && a.Due.After(limit) {
		a.Due = limit
	}
	if a.Note == why {
		r.mu.Lock()
		defer r.mu.Unlock()
		if ok, err := r.current(ctx, a); err != nil || !ok {
			return err
		}
		return r.put(ctx, a)
	}
	a.Note = why
	_, err := r.save(ctx, a, event{Event: "waiting", Detail: why})
	return err
}

// deadline is when an action that has not begun ends.
func (r *Runner) deadline(a *Action) (time.Time, bool) {
	if len(a.Steps) > 0 {
		return time.Time{}, false
	}
	limit := received(a).Add(r.config.MaxAge)
	if a.Row.NotAfter != 0 && instant(a.Row.NotAfter).Before(limit) {
		limit = instant(a.Row.NotAfter)
	}
	return limit, true
}

func backoff(fails int) time.Duration {
	return min(firstWait<<min(fails, 10), mostWait)
}

// end closes an action.
func (r *Runner) end(ctx context.Context, a *Action, s State, why string) error {
	a.State, a.Note, a.Done = s, why, true
	r.watchFrom(a)
	_, err := r.save(ctx, a, event{Event: string(s), Detail: why})
	return err
}

// expire closes an action that nobody has approved in time.
func (r *Runner) expire(ctx context.Context, a *Action) error {
	if why := r.tooOld(a, r.o.Clock.Now()); why != nil {
		return r.end(ctx, a, Expired, why.Error())
	}
	limit, _ := r.deadline(a)
	return r.wait(ctx, a, limit.Sub(r.o.Clock.Now()), a.Note)
}

// failed deals with an error of reading from the vendor: what may pass is tried
// again, anything else ends the action, which has written nothing.
func (r *Runner) failed(ctx context.Context, a *Action, what string, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	why := what + ": " + text(err.Error())
	switch fault.Of(err) {
	case fault.Throttled:
		return r.wait(ctx, a, max(fault.RetryAfter(err), firstWait), "the vendor asks to wait")
	case fault.BadData:
		return r.end(ctx, a, Rejected, why)
	case fault.Permanent, fault.Forbidden, fault.NotLicensed:
		return r.end(ctx, a, Failed, why)
	case fault.Transient, fault.Auth, fault.Expired: // credentials can be renewed
	}
	a.Fails++
	return r.wait(ctx, a, max(backoff(a.Fails), fault.RetryAfter(err)), why)
}

// plan makes an action's first plan.
func (r *Runner) plan(ctx context.Context, a *Action) (bool, error) {
	if why := r.tooOld(a, r.o.Clock.Now()); why != nil {
		return false, r.end(ctx, a, Expired, why.Error())
	}
	plan, err := r.makePlan(ctx, a)
	if err != nil {
		return false, r.failed(ctx, a, "planning", err)
	}
	return r.planned(ctx, a, plan, "")
}

// planned takes over a plan, and asks for the approvals it needs.
func (r *Runner) planned(ctx context.Context, a *Action, plan *sources.Plan, why string) (bool, error) {
	a.Plan, a.PlanHash, a.PlannedAt, a.Fails = plan, PlanHash(plan), r.o.Clock.Now(), 0
	a.Privileged = privileged(plan)
	a.Due, a.Note = r.o.Clock.Now(), ""
	switch {
	case r.dryRun(a):
		a.State, a.Done, a.Note = Planned, true, dryNote
	case r.missing(a) > 0:
		a.State = Awaiting
		a.Note = fmt.Sprintf("%d approvals are needed", r.missing(a))
		a.Due, _ = r.deadline(a)
	default:
		a.State = Approved
	}
	ok, err := r.save(ctx, a, event{Event: "planned", Detail: strings.Join(slices.DeleteFunc([]string{why, a.Note}, func(s string) bool { return s == "" }), "; ")})
	return ok && a.State == Approved, err
}

// makePlan asks the vendor for a plan and applies the belts to it. What they
// refuse is of class Permanent or BadData.
func (r *Runner) makePlan(ctx context.Context, a *Action) (*sources.Plan, error) {
	if ofPerson(a.Request.Action) {
		plan, _, err := r.makeBundle(ctx, a)
		return plan, err
	}
	if why := r.forbidden(a); why != "" {
		return nil, fault.New(fault.Permanent, "%s", why)
	}
	ctx, cancel := r.limited(ctx)
	defer cancel()
	s, err := r.o.Open(ctx, a.Row.Instance)
	if err != nil {
		return nil, err
	}
	plan, err := r.read(ctx, s, a)
	if err != nil {
		return nil, err
	}
	return plan, r.guard(ctx, s, r.instance(a.Row.Instance), plan)
}

// read has the vendor's part of a plan made.
func (r *Runner) read(ctx context.Context, s Session, a *Action) (plan *sources.Plan, err error) {
	if a.Undoes == "" {
		plan, err = s.Plan(ctx, a.Request)
	} else {
		of, ok, e := r.locked(ctx, a.Undoes)
		if e != nil || !ok {
			return nil, orError(e, fault.New(fault.Permanent, "action %s is gone from the state", a.Undoes))
		}
		if of.State == Undone && of.UndoneBy != a.Row.ID {
			return nil, fault.New(fault.Permanent, "action %s has been undone by %s", a.Undoes, of.UndoneBy)
		}
		plan, err = s.Undo(ctx, of.effect())
	}
	if err == nil {
		err = plan.Validate(a.Request)
	}
	return plan, err
}

// guard returns why a plan must not be carried out on whom it hits.
func (r *Runner) guard(ctx context.Context, s Session, inst *configs.Instance, plan *sources.Plan) error {
	self, err := s.Identity(ctx)
	if err != nil {
		return fmt.Errorf("asking who Weir is: %w", err)
	}
	if why := protected(plan, self, inst.Governance.Protect); why != "" {
		return fault.New(fault.BadData, "protected: %s", why)
	}
	return nil
}

// forbidden says why the configuration does not let an action be carried out;
// "" it does.
func (r *Runner) forbidden(a *Action) string {
	inst, _ := r.declared(a)
	switch {
	case inst == nil:
		return fmt.Sprintf("the configuration has %s no more, or its connector the action", a.Row.Instance)
	case !slices.Contains(inst.Governance.Allow, string(a.Request.Action)):
		return fmt.Sprintf("%s is not allowed on %s any more", a.Request.Action, inst.Name)
	}
	if _, err := r.signature(a); err != nil {
		return err.Error()
	}
	return ""
}

// dryRun reports whether an action is only to be planned.
func (r *Runner) dryRun(a *Action) bool {
	inst := r.instance(a.Row.Instance)
	return dry(a) || inst != nil && inst.Governance.DryRun
}

const dryNote = "a dry run: nothing is written"

// limited bounds a call of a session.
func (r *Runner) limited(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	timer := r.o.Clock.AfterFunc(doTime, cancel)
	return ctx, func() {
		timer.Stop()
		cancel()
	}
}

// begin checks everything once more, plans anew, and makes the execution
// durable before its first write.
func (r *Runner) begin(ctx context.Context, a *Action) (bool, error) {
	now := r.o.Clock.Now()
	if why := r.tooOld(a, now); why != nil {
		return false, r.end(ctx, a, Expired, why.Error())
	}
	if why := r.PausedOn(a.Row.Instance); why != "" {
		return false, r.wait(ctx, a, coolest, "governance is paused: "+why)
	}
	wait, why, err := r.gate(ctx, a)
	if err != nil || why != "" {
		if err != nil {
			return false, err
		}
		return false, r.wait(ctx, a, wait, why)
	}
	if r.o.Control != nil {
		ran, err := r.o.Control.Ran(ctx, a.Row.ID, r.o.Store.ID(), r.seq())
		if err != nil {
			return false, r.wait(ctx, a, coolest, "the sink cannot be asked whether it ran before: "+text(err.Error()))
		}
		if ran {
			if err := r.Pause(ctx, Caller{}, "the sink's action log knows more than this state, which is an older copy: see weir actions audit"); err != nil {
				return false, err
			}
			return false, r.end(ctx, a, Rejected, "the sink's action log has steps of it that this state does not know of")
		}
	}
	plan, err := r.makePlan(ctx, a)
	if err != nil {
		return false, r.failed(ctx, a, "planning again", err)
	}
	if r.dryRun(a) { // it has been switched on since
		return false, r.end(ctx, a, Planned, dryNote)
	}
	if moved(a, plan) || privileged(plan) && !a.Privileged {
		a.Approvals = nil
		return r.planned(ctx, a, plan, "the target has changed since it was planned: approvals have lapsed")
	}
	if r.missing(a) > 0 { // the configuration has changed
		return r.planned(ctx, a, plan, "")
	}
	if len(plan.Steps) == 0 {
		return false, r.end(ctx, a, Verified, "nothing was to be done: the target was so already")
	}
	a.Plan = plan
	wait, why, ok, err := r.start(ctx, a)
	if err != nil || why == "" {
		return ok, err
	}
	return false, r.wait(ctx, a, wait, why)
}

// start makes the execution durable before its first write. The belts are
// asked again: of all instances' actions one starts at a time.
func (r *Runner) start(ctx context.Context, a *Action) (wait time.Duration, why string, ok bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok, err := r.current(ctx, a); err != nil || !ok {
		return 0, "", false, err
	}
	if why := r.pausedOn(a.Row.Instance); why != "" {
		return coolest, "governance is paused: " + why, false, nil
	}
	if why := r.forbidden(a); why != "" || r.dryRun(a) {
		return firstWait, "the configuration has changed", false, nil // the next look ends it
	}
	if wait, why, err := r.gate(ctx, a); err != nil || why != "" {
		return wait, why, false, err
	}
	now := r.o.Clock.Now()
	a.State, a.Note, a.Fails = Executing, "", 0
	a.Steps, a.Started, a.Due = make([]Progress, len(a.Plan.Steps)), now, now
	return 0, "", true, r.commit(ctx, a, event{Event: "executing", Detail: fmt.Sprintf("%d steps", len(a.Plan.Steps))})
}

func (r *Runner) seq() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.head.Seq
}

// execute carries out the next steps of an action.
func (r *Runner) execute(ctx context.Context, a *Action) (bool, error) {
	_, info := r.declared(a)
	if info == nil {
		return false, r.wait(ctx, a, mostWait, "the configuration has the instance, or its connector the action, no more")
	}
	i := slices.IndexFunc(a.Steps, func(p Progress) bool { return p.Phase != Made })
	if i < 0 {
		a.State, a.Note, a.Fails, a.Finished, a.Due = Succeeded, "", 0, r.o.Clock.Now(), r.o.Clock.Now()
		return false, r.accepted(ctx, a)
	}
	switch p := &a.Steps[i]; p.Phase {
	case Waiting:
		return r.do(ctx, a, i)
	case Refused:
		return false, r.stop(ctx, a, p.Error)
	case Begun, Unclear, Denied, Held, Sent:
		return r.settle(ctx, a, i, info)
	default:
		return false, fmt.Errorf("action %s: phase %q of a step is not known", a.Row.ID, p.Phase)
	}
}

// accepted tells that every step was, and has it read back at once.
func (r *Runner) accepted(ctx context.Context, a *Action) error {
	ok, err := r.save(ctx, a, event{Event: "succeeded"})
	if err != nil || !ok {
		return err
	}
	return r.verify(ctx, a)
}

// stop ends an execution that cannot go on.
func (r *Runner) stop(ctx context.Context, a *Action, why string) error {
	if slices.ContainsFunc(a.Steps, func(p Progress) bool { return p.Phase == Made }) {
		return r.end(ctx, a, Partial, why)
	}
	return r.end(ctx, a, Failed, why)
}

// do begins a step: first in the state, then at the vendor.
func (r *Runner) do(ctx context.Context, a *Action, i int) (bool, error) {
	if why := r.PausedOn(a.Row.Instance); why != "" {
		return false, r.wait(ctx, a, coolest, "governance is paused: "+why)
	}
	if why := r.tooOld(a, r.o.Clock.Now()); why != nil {
		if a.wrote() {
			return false, r.stop(ctx, a, "not gone on with: "+why.Error())
		}
		return false, r.end(ctx, a, Expired, why.Error())
	}
	why := r.forbidden(a)
	if why == "" && r.dryRun(a) {
		why = "dry_run has been switched on"
	}
	if why != "" {
		return false, r.stop(ctx, a, "not gone on with: "+why)
	}
	s, err := r.o.Open(ctx, a.Row.Instance)
	if err != nil {
		a.Fails++
		return false, r.wait(ctx, a, backoff(a.Fails), "connecting: "+text(err.Error()))
	}
	p, step := &a.Steps[i], a.Plan.Steps[i]
	p.Phase, p.Tries, p.At, p.Error = Begun, p.Tries+1, r.o.Clock.Now(), ""
	if ok, err := r.save(ctx, a, event{Event: "step_begun", Step: step.Name, Detail: step.Doc}); err != nil || !ok {
		return false, err
	}
	if err := failpoint.Hit(failpoint.StepSend); err != nil {
		return false, err
	}
	limited, cancel := r.limited(ctx)
	receipt, err := s.Do(limited, step)
	cancel()
	if err := failpoint.Hit(failpoint.StepSent); err != nil {
		return false, err
	}
	if ctx.Err() != nil && err != nil {
		return false, nil // the next start asks what became of it
	}
	if err != nil {
		return r.doFailed(ctx, a, i, err)
	}
	p.Receipt, p.Phase, a.Fails = bounded(receipt), Made, 0
	e := event{Event: "step_done", Step: step.Name, Ref: receipt.Ref, Detail: receipt.Note}
	if receipt.Pending {
		p.Phase, e.Event, a.State = Sent, "step_accepted", PendingVendor
		a.Due = r.o.Clock.Now().Add(firstWait)
	}
	ok, err := r.save(ctx, a, e)
	return ok && !receipt.Pending, err
}

func bounded(rc sources.Receipt) sources.Receipt {
	rc.Ref, rc.Note = text(rc.Ref), text(rc.Note)
	if len(rc.Data) > sources.MaxStepArgs {
		rc.Data = nil
	}
	return rc
}

// doFailed notes what an error of Do means. None says for certain that nothing
// happened: the vendor is asked before anything follows from it.
func (r *Runner) doFailed(ctx context.Context, a *Action, i int, err error) (bool, error) {
	p, e := &a.Steps[i], event{Event: "step_failed", Step: a.Plan.Steps[i].Name}
	p.Error = text(err.Error())
	e.Detail = p.Error
	again := false
	switch fault.Of(err) {
	case fault.Throttled:
		p.Phase, e.Event, p.Tries = Held, "step_held", p.Tries-1
		a.Due = r.o.Clock.Now().Add(max(fault.RetryAfter(err), firstWait))
	case fault.Auth, fault.Forbidden, fault.NotLicensed, fault.BadData, fault.Permanent:
		p.Phase, e.Event = Denied, "step_refused"
		a.Due, again = r.o.Clock.Now(), true
		if p.Tries > 1 { // what refuses may be what an earlier attempt did
			_, info := r.declared(a)
			p.Phase, p.Tries, again = Unclear, maxTries, false
			a.Due = a.Due.Add(max(info.Delay, leastSettle))
		}
	default:
		p.Phase = Unclear
		_, info := r.declared(a)
		a.Due = r.o.Clock.Now().Add(max(info.Delay, leastSettle, fault.RetryAfter(err)))
	}
	ok, err := r.save(ctx, a, e)
	return ok && again, err
}

// settle asks the vendor what became of a step.
func (r *Runner) settle(ctx context.Context, a *Action, i int, info *sources.ActionInfo) (bool, error) {
	p, step, now := &a.Steps[i], a.Plan.Steps[i], r.o.Clock.Now()
	if p.Phase == Begun || p.Phase == Unclear {
		// After a crash the request may still be on its way, and a vendor may show
		// the state before.
		if until := p.At.Add(max(info.Delay, leastSettle)); now.Before(until) {
			return false, r.wait(ctx, a, until.Sub(now), "its outcome is not known yet: the vendor is asked when it can tell")
		}
	}
	outcome, err := r.check(ctx, a, i)
	switch {
	case ctx.Err() != nil:
		return false, nil
	case err != nil && fault.Of(err) == fault.Throttled:
		return false, r.wait(ctx, a, max(fault.RetryAfter(err), firstWait), "the vendor asks to wait")
	case err != nil:
		if a.Fails++; a.Fails >= maxFails {
			return false, r.end(ctx, a, Unsure, "step "+step.Name+": the vendor does not tell whether it took effect: "+text(err.Error()))
		}
		a.State = Unsure
		return false, r.wait(ctx, a, max(backoff(a.Fails), fault.RetryAfter(err)), "asking what became of step "+step.Name+": "+text(err.Error()))
	}
	a.Fails = 0
	switch outcome {
	case sources.Done:
		p.Phase, a.State, a.Due, a.Note = Made, Executing, now, ""
		ok, err := r.save(ctx, a, event{Event: "step_done", Step: step.Name, Detail: "the vendor shows it", Ref: p.Receipt.Ref})
		return ok, err
	case sources.Pending:
		if now.Sub(p.At) > maxPending {
			return false, r.end(ctx, a, Unsure, "step "+step.Name+" has been under way at the vendor for "+maxPending.String())
		}
		p.Phase, a.State = Sent, PendingVendor
		return false, r.wait(ctx, a, min(firstWait+now.Sub(p.At)/4, time.Minute), "step "+step.Name+" is under way at the vendor")
	case sources.NotDone:
		return r.notDone(ctx, a, i, info)
	case sources.Unknown:
	}
	if p.Phase == Denied {
		return r.notDone(ctx, a, i, info)
	}
	return false, r.end(ctx, a, Unsure, "step "+step.Name+": the vendor cannot tell whether it took effect; it is not repeated")
}

// notDone decides on a step that the vendor shows as not done.
func (r *Runner) notDone(ctx context.Context, a *Action, i int, info *sources.ActionInfo) (bool, error) {
	p, step, now := &a.Steps[i], a.Plan.Steps[i], r.o.Clock.Now()
	switch {
	case p.Phase == Sent && now.Sub(p.At) < info.Delay+readBack:
		return false, r.wait(ctx, a, firstWait, "step "+step.Name+" was accepted and does not show yet")
	case p.Phase == Sent:
		p.Phase, p.Error = Refused, "the vendor accepted step "+step.Name+" and did not carry it out"
	case p.Phase == Denied, p.Tries >= maxTries:
		p.Phase = Refused
	default:
		p.Phase = Waiting
	}
	a.State, a.Due, a.Note = Executing, now, ""
	ok, err := r.save(ctx, a, event{Event: "step_not_done", Step: step.Name, Detail: p.Error})
	return ok, err
}

func (r *Runner) check(ctx context.Context, a *Action, i int) (sources.Outcome, error) {
	ctx, cancel := r.limited(ctx)
	defer cancel()
	s, err := r.o.Open(ctx, a.Row.Instance)
	if err != nil {
		return sources.Unknown, err
	}
	return s.Check(ctx, a.Plan.Steps[i], a.Steps[i].Receipt)
}

// verify reads back the effect of an action whose steps were all accepted.
func (r *Runner) verify(ctx context.Context, a *Action) error {
	_, info := r.declared(a)
	if info == nil {
		return r.wait(ctx, a, mostWait, "the configuration has the instance, or its connector the action, no more")
	}
	now := r.o.Clock.Now()
	late := now.Sub(a.Finished) > info.Delay+readBack
	var missing []string
	for i, step := range a.Plan.Steps {
		outcome, err := r.check(ctx, a, i)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			if a.Fails++; a.Fails >= maxFails {
				return r.end(ctx, a, Succeeded, "it cannot be read back: "+text(err.Error()))
			}
			return r.wait(ctx, a, max(backoff(a.Fails), fault.RetryAfter(err)), "reading back: "+text(err.Error()))
		case outcome == sources.Unknown:
			return r.end(ctx, a, Succeeded, "every step was accepted; the vendor shows no effect that could be read back")
		case outcome == sources.Done:
		case !late:
			return r.wait(ctx, a, min(firstWait, max(info.Delay/4, 500*time.Millisecond)), "step "+step.Name+" was accepted and does not show yet")
		default:
			a.Steps[i].Phase = Refused
			missing = append(missing, step.Name)
		}
	}
	if len(missing) > 0 {
		return r.stop(ctx, a, fmt.Sprintf("the vendor accepted %v, and %s later does not show it", missing, now.Sub(a.Finished).Round(time.Second)))
	}
	return r.verified(ctx, a, "")
}

// verified ends an action whose effect the vendor shows; one that undoes
// another ends that, too.
func (r *Runner) verified(ctx context.Context, a *Action, why string) error {
	if err := r.end(ctx, a, Verified, why); err != nil || a.Undoes == "" {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	of, ok, err := r.load(ctx, a.Undoes)
	if err != nil || !ok {
		return err
	}
	of.State, of.Done, of.UndoneBy, of.Note, of.Watch = Undone, true, a.Row.ID, "undone by "+a.Row.ID, time.Time{}
	return r.commit(ctx, of, event{Event: "undone", Detail: of.Note})
}

// put writes an action without an entry of the log.
func (r *Runner) put(ctx context.Context, a *Action) error {
	rec, err := a.record()
	if err != nil {
		return err
	}
	return r.o.Commit(ctx, "", "", nil, func(tx pipeline.Tx) error { return tx.PutAction(rec) })
}
