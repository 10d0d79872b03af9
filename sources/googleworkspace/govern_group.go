package googleworkspace

import (
	"context"
	"slices"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

const pathMember = pathMembers + "/{memberKey}"

// Ops on memberships.
const (
	opLeave = "leave_group"
	opJoin  = "join_group"
)

// govMember is a member of a group: the body by which it is added again.
type govMember struct {
	ID       string `json:"id,omitempty"`
	Email    string `json:"email,omitempty"`
	Role     string `json:"role,omitempty"`
	Delivery string `json:"delivery_settings,omitempty"`
}

func memberOp(name string) *op {
	switch name {
	case opLeave:
		return &op{"remove from the group", scopeMembers, func(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
			return govRemove(ctx, s.admin(scopeMembers), httpx.P(pathMember, a.Group, a.User))
		}, isMember(false), rejoin}
	case opJoin:
		return &op{"add to the group", scopeMembers, func(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
			body := *a.Member
			body.ID = ""
			return govWrite(ctx, s.admin(scopeMembers), post(httpx.P(pathMembers, a.Group), body))
		}, isMember(true), toggled(opLeave)}
	}
	return nil
}

// member reads a direct member of a group; nil: it is none. (hasMember tells of
// those in nested groups, too.)
func (s *session) member(ctx context.Context, group, id string) (*govMember, error) {
	m := &govMember{}
	err := govGet(ctx, s.admin(scopeGroups), &httpx.Request{Path: httpx.P(pathMember, group, id)}, m)
	switch {
	case isGone(err):
		return nil, nil //nolint:nilnil // no member is an answer
	case err != nil:
		return nil, naming(err, scopeGroups)
	case m.ID != id:
		return nil, fault.New(fault.BadData, "google_workspace returned member %.80q for %q", m.ID, id)
	}
	return m, nil
}

func isMember(want bool) func(context.Context, *session, *args) (sources.Outcome, error) {
	return func(ctx context.Context, s *session, a *args) (sources.Outcome, error) {
		m, err := s.member(ctx, a.Group, a.User)
		return doneIf(err == nil && (m != nil) == want, err)
	}
}

// rejoin adds a member again as it was, unless somebody has done so in another
// role.
func rejoin(ctx context.Context, s *session, a *args, h *holder) (*args, error) {
	m, err := s.member(ctx, a.Group, a.User)
	if err != nil {
		return nil, err
	}
	if m != nil && a.Member != nil && m.Role != a.Member.Role {
		return nil, fault.New(fault.Permanent, "google_workspace: the account is in the group again, as %.20q: it is left alone", m.Role)
	}
	back := *a
	back.Op = opJoin
	if a.Member != nil { // its address may have changed
		again := *a.Member
		again.Email = h.user.Email
		back.Member = &again
	}
	return &back, nil
}

func (s *session) group(ctx context.Context, id string) (*govGroup, error) {
	g := &govGroup{}
	if err := govGet(ctx, s.admin(scopeGroups), &httpx.Request{Path: httpx.P(pathGroup, id)}, g); err != nil {
		return nil, naming(err, scopeGroups)
	}
	if g.ID != id {
		return nil, fault.New(fault.BadData, "google_workspace returned group %.80q for %q", g.ID, id)
	}
	return g, nil
}

// groupSubject is a group that an account is in; it is privileged where the
// account holds a role through it.
func (h *holder) groupSubject(g *govGroup) sources.Subject {
	held := slices.ContainsFunc(h.roles, func(r govAssignment) bool { return r.AssignedTo == g.ID })
	return sources.Subject{Kind: sources.TargetGroup, ID: g.ID, Name: g.Name, Aliases: g.emails(), Emails: g.emails(), Privileged: held}
}

// planLeave plans the end of a direct membership.
func (s *session) planLeave(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	id := r.Params["group"]
	h, err := s.holder(ctx, r.Target)
	if err != nil {
		return nil, err
	}
	g, err := s.group(ctx, id)
	if err != nil {
		return nil, err
	}
	m, err := s.member(ctx, id, r.Target)
	if err != nil {
		return nil, err
	}
	p := &sources.Plan{Target: h.subject, Also: []sources.Subject{h.groupSubject(g)}, Limits: h.limits}
	if m == nil {
		p.Before = encode(before{})
		if slices.Contains(h.subject.Groups, id) {
			return nil, fault.New(fault.Permanent, "google_workspace: the account is in %q through another group: take it out of that", g.Name)
		}
		return p, nil
	}
	p.Before = encode(before{Members: []govMember{*m}})
	p.Diff = []sources.Change{{What: "membership of " + h.subject.Name + " in " + g.Email, Before: m.Role, After: "none"}}
	p.Steps = []sources.Step{step(opLeave, args{Op: opLeave, User: h.user.ID, Group: id, Member: m})}
	return p, nil
}
