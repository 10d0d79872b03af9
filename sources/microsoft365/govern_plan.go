package microsoft365

import (
	"context"
	"slices"

	"weir/internal/fault"
	"weir/sources"
)

var (
	_ sources.Governor = (*session)(nil)
	_ sources.Finder   = (*session)(nil)
)

// before is the state that an action changes.
type before struct {
	Enabled  *bool      `json:"enabled,omitempty"`
	Was      string     `json:"was,omitempty"`
	Groups   []string   `json:"groups,omitempty"` // of those the action is about
	Roles    []string   `json:"roles,omitempty"`
	Grants   []govGrant `json:"grants,omitempty"`
	File     *fileState `json:"file,omitempty"`
	InEffect []string   `json:"in_effect,omitempty"` // steps that an undoing finds still in effect
}

// Plan implements sources.Governor.
func (s *session) Plan(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	info := Connector.Action(r.Action)
	if info == nil {
		return nil, fault.New(fault.BadData, "microsoft365 has no action %s", r.Action)
	}
	if err := info.Check(&r); err != nil {
		return nil, err
	}
	p, err := s.plan(ctx, r)
	if err != nil {
		return nil, err
	}
	return p, s.mayWrite(ctx, p)
}

func (s *session) plan(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	switch {
	case r.Kind == sources.TargetAccount:
		return s.planAccount(ctx, r)
	case r.Kind == sources.TargetApp:
		return s.planApp(ctx, r)
	case r.Kind == sources.TargetCredential:
		return s.planGrant(ctx, r)
	case r.Kind == sources.TargetFile:
		return s.planFile(ctx, r)
	}
	return nil, fault.New(fault.BadData, "microsoft365: %s takes no %s", r.Action, r.Kind)
}

// mayWrite tells which application permission the token lacks for a plan. A
// token that says nothing of them is no reason to refuse.
func (s *session) mayWrite(ctx context.Context, p *sources.Plan) error {
	var needed []string
	for _, st := range p.Steps {
		_, o, err := decodeStep(st)
		if err != nil {
			return err
		}
		needed = append(needed, o.permissions...)
	}
	return s.lacks(ctx, needed)
}

// lacks names the permissions that are missing in the token for Graph.
func (s *session) lacks(ctx context.Context, needed []string) error {
	claims, err := s.claims(ctx)
	if err != nil || len(claims.Roles) == 0 {
		return err
	}
	var missing []string
	for _, want := range needed {
		role := bare(want)
		if role != "" && !slices.Contains(missing, want) && !slices.ContainsFunc(append(wider[role], role), func(r string) bool { return slices.Contains(claims.Roles, r) }) {
			missing = append(missing, want)
		}
	}
	if len(missing) > 0 {
		return naming(fault.New(fault.Forbidden, "microsoft365: the app's token lacks a permission"), missing...)
	}
	return nil
}

// Undo implements sources.Governor. Each step that took effect is taken back,
// the last one first, unless somebody has done that already.
func (s *session) Undo(ctx context.Context, e sources.Effect) (*sources.Plan, error) {
	r := e.Request
	info := Connector.Action(r.Action)
	if info == nil || info.NoUndo != "" {
		return nil, fault.New(fault.Permanent, "microsoft365: %s cannot be undone", r.Action)
	}
	p := &sources.Plan{}
	if err := s.undoSubject(ctx, p, e); err != nil {
		return nil, err
	}
	var b before
	opposites := 0
	for _, done := range slices.Backward(e.Steps) {
		a, o, err := decodeStep(done.Step)
		if err != nil {
			return nil, err
		}
		back, note, err := o.undo(ctx, s, a, decodeAnswer(done.Receipt))
		if err != nil {
			return nil, err
		}
		if note != "" {
			p.Limits = append(p.Limits, note+".")
		}
		if back == nil {
			continue
		}
		opposites++
		out, err := opOf(back.Op).check(ctx, s, back, &kept{}, false)
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
	if opposites == 0 && len(p.Limits) > 0 {
		return nil, fault.New(fault.Permanent, "microsoft365: it cannot be undone: %s", p.Limits[0])
	}
	p.Before = encode(b)
	return p, s.mayWrite(ctx, p)
}

// undoSubject reads the target again. Of a grant that is revoked, and a file in
// the trash, nothing is left to read: what stands beside it is.
func (s *session) undoSubject(ctx context.Context, p *sources.Plan, e sources.Effect) error {
	r := e.Request
	p.Target = sources.Subject{Kind: r.Kind, ID: r.Target}
	switch r.Kind {
	case sources.TargetAccount:
		h, err := s.holder(ctx, r.Target)
		if err != nil {
			return err
		}
		p.Target = h.subject
	case sources.TargetApp:
		sp, err := s.servicePrincipal(ctx, r.Target)
		if err != nil {
			return err
		}
		p.Target = s.appOf(sp)
	case sources.TargetFile:
		return s.undoFile(ctx, p, e)
	default:
		for _, done := range e.Steps {
			a, _, err := decodeStep(done.Step)
			if err != nil || a.Grant == nil {
				continue
			}
			for _, id := range nonEmpty(a.Grant.ClientID, a.Grant.PrincipalID, a.Grant.ResourceID) {
				app, err := s.appSubject(ctx, id) // of a person's id only that is kept
				if err != nil {
					return err
				}
				app.Self = app.Self && id != a.Grant.ResourceID
				p.Also = append(p.Also, app)
			}
		}
	}
	return nil
}
