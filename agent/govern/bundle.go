package govern

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/configs"
	"weir/internal/fault"
	"weir/pipeline"
	"weir/sources"
)

// A bundle is what is done to a person: actions on every account that a verified
// address of theirs names, on every instance, with one plan, one approval and
// one report. Its parts are actions like others, with every belt, and approved
// with it; the bundle itself writes nothing.

// everywhere is the instance of a bundle: none.
const everywhere = ""

// inBundle is what contain_user does to each account, in this order, but for what
// a connector must do first: nobody signs in again after the sessions have ended.
var inBundle = []sources.Action{sources.SuspendUser, sources.SignOutUser, sources.RevokeGrant}

// orderAt is inBundle in the order that a connector needs.
func orderAt(c *sources.Connector) []sources.Action {
	return slices.SortedStableFunc(slices.Values(inBundle), func(a, b sources.Action) int {
		return first(c, b) - first(c, a)
	})
}

func first(c *sources.Connector, a sources.Action) int {
	if info := c.Action(a); info != nil && info.First {
		return 1
	}
	return 0
}

func ofPerson(a sources.Action) bool {
	return a == sources.ContainUser || a == sources.ReleaseUser
}

// address is an e-mail address that nothing can hide in.
var address = regexp.MustCompile(`\A[a-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?\z`)

// person reads whom a bundle is about.
func (r *Runner) person(ctx context.Context, a *Action) error {
	row := &a.Row
	word := sources.Action(row.Action)
	if row.Instance != everywhere || row.Params != "" {
		return fault.New(fault.BadData, "%s is for all instances, and takes no instance and no params", word)
	}
	a.Request = sources.ActionRequest{ID: row.ID, Action: word, Kind: sources.TargetPerson}
	if word == sources.ContainUser {
		a.Request.Target = strings.ToLower(row.TargetID)
		if row.TargetKind != string(sources.TargetPerson) || !address.MatchString(a.Request.Target) {
			return fault.New(fault.BadData, "%s %s: want target_kind %s and an e-mail address", quoted(row.TargetKind), quoted(row.TargetID), sources.TargetPerson)
		}
		return nil
	}
	of, ok, err := r.load(ctx, row.TargetID)
	switch {
	case err != nil:
		return err
	case row.TargetKind != undoKind || !ok || of.Request.Action != sources.ContainUser:
		return fault.New(fault.BadData, "%s: want target_kind %s and the id of a %s", quoted(row.TargetID), undoKind, sources.ContainUser)
	case of.State == Undone:
		return fault.New(fault.BadData, "action %s has been undone by %s", of.Row.ID, of.UndoneBy)
	case !of.Done || len(of.Parts) == 0:
		return fault.New(fault.BadData, "action %s has had no effect that could be undone: it is %s", of.Row.ID, of.State)
	}
	a.Request.Target, a.Undoes = of.Request.Target, of.Row.ID
	return nil
}

// strictest is what the instances with governance ask for, together.
func (r *Runner) strictest() (g configs.Governed) {
	for _, inst := range r.o.Config.Instances {
		if inst.Enabled && len(inst.Governance.Allow) > 0 {
			g.ChangeRef = g.ChangeRef || inst.Governance.ChangeRef
			g.Approvals = max(g.Approvals, inst.Governance.Approvals)
			g.RequireSignature = g.RequireSignature || inst.Governance.RequireSignature
			g.CoolDown = max(g.CoolDown, inst.Governance.CoolDown)
		}
	}
	return g
}

// bundle is a plan over many instances in the making.
type bundle struct {
	of    *Action
	parts []*Action
	notes []string // what is not done, and why
}

func (b *bundle) note(instance, format string, args ...any) {
	b.notes = append(b.notes, instance+": "+fmt.Sprintf(format, args...))
}

// makeBundle plans each part, and makes one plan of them. What cannot be done to
// one account is noted, and the others are gone on with; a vendor that does not
// answer is asked again later, and whoever is protected is protected from the
// whole.
func (r *Runner) makeBundle(ctx context.Context, a *Action) (*sources.Plan, []*Action, error) {
	b := &bundle{of: a}
	if _, err := r.signature(a); err != nil {
		return nil, nil, err
	}
	var err error
	if a.Undoes == "" {
		err = r.contain(ctx, b)
	} else {
		err = r.release(ctx, b)
	}
	if err != nil {
		return nil, nil, err
	}
	if len(b.parts) == 0 {
		return nil, nil, fault.New(fault.BadData, "nothing can be done: %s", strings.Join(append(b.notes, "no account with this verified address was found otherwise"), "; "))
	}
	p := &sources.Plan{Target: sources.Subject{Kind: a.Request.Kind, ID: a.Request.Target, Name: a.Request.Target}, Limits: b.notes}
	for i, part := range b.parts {
		part.Part = i + 1
		part.Row.ID = "part-" + sum("weir action part 1", a.Row.ID, strconv.Itoa(part.Part))[:32]
		if part.Undoes == "" {
			part.Request.ID = part.Row.ID
		}
		if _, taken, err := r.locked(ctx, part.Row.ID); err != nil || taken {
			return nil, nil, orError(err, fault.New(fault.Permanent, "an action %s is there already", part.Row.ID))
		}
		args, err := json.Marshal(map[string]string{"part": part.Row.ID, "plan_hash": part.PlanHash})
		if err != nil {
			return nil, nil, err
		}
		where := fmt.Sprintf("%s: %s of %s %s", part.Row.Instance, part.Row.Action, part.Request.Kind, part.Request.Target)
		p.Steps = append(p.Steps, sources.Step{Name: where, Doc: part.Plan.Steps[0].Doc, Args: args})
		p.Also = append(append(p.Also, part.Plan.Target), part.Plan.Also...)
		for _, c := range part.Plan.Diff {
			p.Diff = append(p.Diff, sources.Change{What: part.Row.Instance + ": " + c.What, Before: c.Before, After: c.After})
		}
		_, info := r.declared(part)
		for _, l := range limits(info, part.Plan) {
			if l = part.Row.Instance + ": " + string(part.Request.Action) + ": " + l; !slices.Contains(p.Limits, l) {
				p.Limits = append(p.Limits, l)
			}
		}
	}
	if err := p.Validate(a.Request); err != nil {
		return nil, nil, err
	}
	return p, b.parts, nil
}

// contain finds the accounts of a person, and what to do to them.
func (r *Runner) contain(ctx context.Context, b *bundle) error {
	for _, inst := range r.o.Config.Instances {
		if !inst.Enabled || !slices.ContainsFunc(inBundle, func(a sources.Action) bool { return slices.Contains(inst.Governance.Allow, string(a)) }) {
			continue
		}
		if inst.Governance.DryRun {
			b.note(inst.Name, "dry_run: nothing is done there")
			continue
		}
		s, err := r.o.Open(ctx, inst.Name)
		if err != nil {
			return fmt.Errorf("%s: %w", inst.Name, err)
		}
		finder, ok := s.Governor.(sources.Finder)
		if !ok {
			b.note(inst.Name, "%s does not tell accounts by address: nothing is done there", inst.Connector.Title)
			continue
		}
		limited, cancel := r.limited(ctx)
		found, err := finder.FindAccounts(limited, b.of.Request.Target)
		cancel()
		if err != nil {
			return fmt.Errorf("%s: looking for accounts: %w", inst.Name, err)
		}
		slices.SortFunc(found, func(a, b sources.Found) int { return strings.Compare(a.ID, b.ID) })
		for _, f := range found {
			if !f.Verified {
				b.note(inst.Name, "account %s has the address, which is not known to be verified: nothing is done to it", f.ID)
				continue
			}
			for _, word := range orderAt(inst.Connector) {
				if err := r.addPart(ctx, b, s, &inst, word, f.ID); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (r *Runner) addPart(ctx context.Context, b *bundle, s Session, inst *configs.Instance, word sources.Action, account string) error {
	info := inst.Connector.Action(word)
	switch {
	case info == nil || !slices.ContainsFunc(info.Targets, func(t sources.ActionTarget) bool { return t.Kind == sources.TargetAccount }):
		return nil
	case !slices.Contains(inst.Governance.Allow, string(word)):
		b.note(inst.Name, "%s is not allowed", word)
		return nil
	}
	part := b.part(inst.Name, string(word), string(sources.TargetAccount), account)
	part.Request = sources.ActionRequest{ID: b.of.Row.ID, Action: word, Kind: sources.TargetAccount, Target: account}
	if err := info.Check(&part.Request); err != nil {
		return err
	}
	return r.planPart(ctx, b, s, inst, part)
}

// release finds what a bundle did that can be undone, the last first.
func (r *Runner) release(ctx context.Context, b *bundle) error {
	contained, ok, err := r.locked(ctx, b.of.Undoes)
	if err != nil || !ok {
		return orError(err, fault.New(fault.Permanent, "action %s is gone from the state", b.of.Undoes))
	}
	for _, id := range slices.Backward(contained.Parts) {
		of, ok, err := r.locked(ctx, id)
		if err != nil || !ok {
			return orError(err, fault.New(fault.Permanent, "action %s is gone from the state", id))
		}
		inst, info := r.declared(of)
		what := fmt.Sprintf("%s of %s", of.Request.Action, of.Request.Target)
		switch {
		case inst == nil || !slices.Contains(inst.Governance.Allow, string(of.Request.Action)):
			b.note(of.Row.Instance, "%s is not allowed any more", what)
			continue
		case inst.Governance.DryRun:
			b.note(of.Row.Instance, "dry_run: %s is not undone", what)
			continue
		case of.Plan == nil || len(of.effect().Steps) == 0 || of.State == Undone || of.State == Reverted:
			b.note(of.Row.Instance, "%s is %s: nothing is to be undone", what, of.State)
			continue
		case info.NoUndo != "" || of.Plan.NoUndo != "":
			b.note(of.Row.Instance, "%s cannot be undone: %s", what, orNone(info.NoUndo+of.Plan.NoUndo))
			continue
		}
		s, err := r.o.Open(ctx, inst.Name)
		if err != nil {
			return fmt.Errorf("%s: %w", inst.Name, err)
		}
		part := b.part(inst.Name, UndoAction, undoKind, of.Row.ID)
		part.Request, part.Undoes = of.Request, of.Row.ID
		if err := r.planPart(ctx, b, s, inst, part); err != nil {
			return err
		}
	}
	return nil
}

// part begins a part: a request like the bundle's, of one thing.
func (b *bundle) part(instance, action, kind, target string) *Action {
	a := &Action{Row: b.of.Row, Via: b.of.Via, Principal: b.of.Principal, State: Approved, Bundle: b.of.Row.ID, BundleWord: b.of.Request.Action}
	a.Row.Instance, a.Row.Action, a.Row.TargetKind, a.Row.TargetID = instance, action, kind, target
	a.Row.Signature = "" // it is the bundle's
	return a
}

// planPart plans a part, and adds it where something is to be done.
func (r *Runner) planPart(ctx context.Context, b *bundle, s Session, inst *configs.Instance, part *Action) error {
	limited, cancel := r.limited(ctx)
	defer cancel()
	plan, err := r.read(limited, s, part)
	if err == nil {
		// Whoever is protected may be aimed at by an address: nothing is done at all.
		if err := r.guard(limited, s, inst, plan); err != nil {
			return fmt.Errorf("%s: %w", inst.Name, err)
		}
	}
	what := fmt.Sprintf("%s of %s", part.Row.Action, part.Row.TargetID)
	switch {
	case err == nil && len(plan.Steps) == 0:
		b.note(inst.Name, "%s: it is so already", what)
	case err == nil:
		part.Plan, part.PlanHash, part.PlannedAt, part.Privileged = plan, PlanHash(plan), r.o.Clock.Now(), privileged(plan)
		b.parts = append(b.parts, part)
	case ctx.Err() == nil && slices.Contains([]fault.Class{fault.BadData, fault.Permanent, fault.Forbidden, fault.NotLicensed}, fault.Of(err)):
		b.note(inst.Name, "%s is not done: %s", what, text(err.Error()))
	default:
		return fmt.Errorf("%s: %s: %w", inst.Name, what, err)
	}
	return nil
}

// beginBundle plans everything once more, and makes the parts durable, approved
// as the bundle is. Each is looked at once more when it begins.
func (r *Runner) beginBundle(ctx context.Context, a *Action) (bool, error) {
	now := r.o.Clock.Now()
	if why := r.tooOld(a, now); why != nil {
		return false, r.end(ctx, a, Expired, why.Error())
	}
	if at := instant(a.Row.NotBefore); a.Row.NotBefore != 0 && now.Before(at) {
		return false, r.wait(ctx, a, at.Sub(now), "not_before "+at.Format(time.RFC3339))
	}
	if why := r.Paused(); why != "" {
		return false, r.wait(ctx, a, coolest, "governance is paused: "+why)
	}
	plan, parts, err := r.makeBundle(ctx, a)
	if err != nil {
		return false, r.failed(ctx, a, "planning again", err)
	}
	if moved(a, plan) || privileged(plan) && !a.Privileged {
		a.Approvals = nil
		return r.planned(ctx, a, plan, "what it hits has changed since it was planned: approvals have lapsed")
	}
	if r.missing(a) > 0 { // the configuration has changed
		return r.planned(ctx, a, plan, "")
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if ok, err := r.current(ctx, a); err != nil || !ok {
		return false, err
	}
	var records []pipeline.ActionRecord
	for _, part := range parts {
		if _, taken, err := r.load(ctx, part.Row.ID); err != nil || taken {
			return false, err // the next look ends it
		}
		part.RequestHash, part.Due = RequestHash(part.Row, part.Via), now
		for _, o := range a.Approvals {
			part.Approvals = append(part.Approvals, Approval{Principal: o.Principal, PlanHash: part.PlanHash, At: o.At})
		}
		rec, err := part.record()
		if err != nil {
			return false, err
		}
		records, a.Parts = append(records, rec), append(a.Parts, part.Row.ID)
	}
	a.Plan, a.State, a.Note, a.Fails, a.Due = plan, Executing, "", 0, now
	a.Steps = make([]Progress, len(parts))
	e := event{Event: string(Executing), Detail: fmt.Sprintf("%d actions: %s", len(parts), strings.Join(a.Parts, " "))}
	return false, r.commit(ctx, a, e, func(tx pipeline.Tx) error {
		for _, rec := range records {
			if err := tx.PutAction(rec); err != nil {
				return err
			}
		}
		return nil
	})
}

// gather ends a bundle when its parts have ended, and says how.
func (r *Runner) gather(ctx context.Context, a *Action) error {
	count, wrote := map[State]int{}, false
	for i, id := range a.Parts {
		part, ok, err := r.locked(ctx, id)
		if err != nil || !ok {
			return orError(err, fmt.Errorf("action %s: its part %s is gone from the state", a.Row.ID, id))
		}
		if !part.Done {
			return r.wait(ctx, a, firstWait, "")
		}
		count[part.State]++
		wrote = wrote || part.wrote()
		if a.Steps[i].Phase = Refused; part.State == Verified || part.State == Succeeded {
			a.Steps[i].Phase = Made
		}
	}
	var words []string
	for state, n := range count {
		words = append(words, fmt.Sprintf("%d %s", n, state))
	}
	slices.Sort(words)
	note := fmt.Sprintf("%d actions: %s", len(a.Parts), strings.Join(words, ", "))
	a.Finished = r.o.Clock.Now()
	switch {
	case count[Verified] == len(a.Parts):
		return r.verified(ctx, a, note)
	case count[Verified]+count[Succeeded] == len(a.Parts):
		return r.end(ctx, a, Succeeded, note)
	case wrote:
		return r.end(ctx, a, Partial, note)
	}
	return r.end(ctx, a, Failed, note)
}
