package googleworkspace

import (
	"context"
	"slices"

	"weir/internal/fault"
	"weir/sources"
)

var _ sources.Governor = (*session)(nil)

// before is the state that an action changes.
type before struct {
	Suspended *bool           `json:"suspended,omitempty"`
	MustReset *bool           `json:"change_password_at_next_login,omitempty"`
	Super     bool            `json:"super_admin,omitempty"`
	Members   []govMember     `json:"members,omitempty"` // of those the action is about
	Roles     []govAssignment `json:"roles,omitempty"`
	Grants    []string        `json:"grants,omitempty"`
	InEffect  []string        `json:"in_effect,omitempty"` // steps that an undoing finds still in effect
}

// Plan implements sources.Governor.
func (s *session) Plan(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	info := Connector.Action(r.Action)
	if info == nil {
		return nil, fault.New(fault.BadData, "google_workspace has no action %s", r.Action)
	}
	if err := info.Check(&r); err != nil {
		return nil, err
	}
	switch {
	case r.Kind == sources.TargetFile:
		return s.planFile(ctx, r)
	case r.Kind == sources.TargetCredential:
		return s.planGrant(ctx, r)
	case r.Kind == sources.TargetAccount:
		return s.planAccount(ctx, r)
	}
	return nil, fault.New(fault.BadData, "google_workspace: %s takes no %s", r.Action, r.Kind)
}

// Do implements sources.Governor. Of answers nothing is kept.
func (s *session) Do(ctx context.Context, st sources.Step) (sources.Receipt, error) {
	if isFileStep(st) {
		return s.doFile(ctx, st)
	}
	a, o, err := decodeStep(st)
	if err != nil {
		return sources.Receipt{}, err
	}
	r, err := o.do(ctx, s, a)
	return r, refusedWrite(err, o.scope)
}

// Check implements sources.Governor.
func (s *session) Check(ctx context.Context, st sources.Step, r sources.Receipt) (sources.Outcome, error) {
	if isFileStep(st) {
		return s.checkFile(ctx, st, r)
	}
	a, o, err := decodeStep(st)
	if err != nil {
		return sources.Unknown, err
	}
	out, err := o.check(ctx, s, a)
	switch {
	case isGone(err):
		return sources.Unknown, nil // what it was done to is gone
	case err != nil:
		return sources.Unknown, err
	}
	return out, nil
}

// Undo implements sources.Governor. Each step that took effect is taken back,
// the last one first, unless somebody has done that already.
func (s *session) Undo(ctx context.Context, e sources.Effect) (*sources.Plan, error) {
	r := e.Request
	info := Connector.Action(r.Action)
	if info == nil || info.NoUndo != "" {
		return nil, fault.New(fault.Permanent, "google_workspace: %s cannot be undone", r.Action)
	}
	if r.Kind == sources.TargetFile {
		return s.undoFile(ctx, e)
	}
	h, err := s.holder(ctx, r.Target)
	if err != nil {
		return nil, err
	}
	p := &sources.Plan{Target: h.subject, Limits: h.limits}
	if r.Action != sources.UnsuspendUser {
		p.Target.LastAdmin = false // whatever is given back takes no administrator away
	}
	var b before
	for _, done := range slices.Backward(e.Steps) {
		a, o, err := decodeStep(done.Step)
		if err != nil {
			return nil, err
		}
		if o.undo == nil {
			return nil, fault.New(fault.Permanent, "google_workspace: %s cannot be undone", a.Op)
		}
		back, err := o.undo(ctx, s, a, h)
		if err != nil {
			return nil, err
		}
		out, err := opOf(back.Op).check(ctx, s, back)
		if err != nil && !isGone(err) {
			return nil, err
		}
		if err == nil && out == sources.Done {
			continue
		}
		b.InEffect = append(b.InEffect, done.Step.Name)
		st := step("undo:"+done.Step.Name, *back)
		p.Diff = append(p.Diff, sources.Change{What: st.Doc + " (" + done.Step.Name + ")", After: "as before " + string(r.Action)})
		p.Steps = append(p.Steps, st)
	}
	if g := r.Params["group"]; g != "" {
		group, err := s.group(ctx, g)
		if err != nil {
			return nil, err
		}
		p.Also = []sources.Subject{h.groupSubject(group)}
	}
	p.Before = encode(b)
	return p, nil
}
