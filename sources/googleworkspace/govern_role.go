package googleworkspace

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

const pathMakeAdmin = pathUser + "/makeAdmin"

// Words of privileges.scope.
const (
	atCustomer = "customer"
	atUnit     = "orgunit:"
)

// Ops on roles.
const (
	opUnassign = "unassign_role"
	opAssign   = "assign_role"
	opNoAdmin  = "unmake_admin"
	opAdmin    = "make_admin"
)

// govAssignment is a role that somebody holds: the body by which it is given
// again.
type govAssignment struct {
	ID         string `json:"roleAssignmentId,omitempty"`
	Role       string `json:"roleId"`
	AssignedTo string `json:"assignedTo"`
	ScopeType  string `json:"scopeType,omitempty"`
	OrgUnit    string `json:"orgUnitId,omitempty"`
	Condition  string `json:"condition,omitempty"`
	Expires    struct {
		Time string `json:"expireTime,omitempty"`
	} `json:"expirationDetails,omitzero"`
}

// scope is what privileges.scope has for an assignment.
func (r *govAssignment) scope() string {
	if r.ScopeType == "ORG_UNIT" {
		return atUnit + r.OrgUnit
	}
	return atCustomer
}

func (r *govAssignment) same(o *govAssignment) bool {
	return r.Role == o.Role && r.AssignedTo == o.AssignedTo && r.scope() == o.scope() && r.Condition == o.Condition
}

func roleOp(name string) *op {
	switch name {
	case opUnassign:
		return &op{"take the role away", scopeRolesWrite, unassign, holdsRole(false), toggled(opAssign)}
	case opAssign:
		return &op{"assign the role", scopeRolesWrite, func(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
			customer, err := s.customerID(ctx)
			if err != nil {
				return sources.Receipt{}, err
			}
			body := *a.Role
			body.ID = ""
			return govWrite(ctx, s.admin(scopeRolesWrite), post(httpx.P(pathAssignments, customer), body))
		}, holdsRole(true), toggled(opUnassign)}
	case opNoAdmin:
		return &op{"make the user no super administrator", scopeUsersWrite, makeAdmin(false), isSuper(false), toggled(opAdmin)}
	case opAdmin:
		return &op{"make the user a super administrator", scopeUsersWrite, makeAdmin(true), isSuper(true), toggled(opNoAdmin)}
	}
	return nil
}

func makeAdmin(to bool) func(context.Context, *session, *args) (sources.Receipt, error) {
	return func(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
		return govWrite(ctx, s.admin(scopeUsersWrite), post(httpx.P(pathMakeAdmin, a.User), map[string]bool{"status": to}))
	}
}

func isSuper(want bool) func(context.Context, *session, *args) (sources.Outcome, error) {
	return func(ctx context.Context, s *session, a *args) (sources.Outcome, error) {
		u, err := s.govUser(ctx, a.User)
		return doneIf(err == nil && u.IsAdmin == want, err)
	}
}

// held are the assignments there are now in a step's place.
func (s *session) held(ctx context.Context, a *args) ([]govAssignment, error) {
	all, err := govList[govAssignment](ctx, s, s.assignments(url.Values{"userKey": {a.User}}))
	return slices.DeleteFunc(all, func(r govAssignment) bool { return !r.same(a.Role) }), naming(err, scopeRoles)
}

func holdsRole(want bool) func(context.Context, *session, *args) (sources.Outcome, error) {
	return func(ctx context.Context, s *session, a *args) (sources.Outcome, error) {
		held, err := s.held(ctx, a)
		return doneIf(err == nil && len(held) > 0 == want, err)
	}
}

// unassign removes the assignment that there is now: one that was given back has
// another id.
func unassign(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	held, err := s.held(ctx, a)
	if err != nil {
		return sources.Receipt{}, err
	}
	if len(held) == 0 {
		return sources.Receipt{}, fault.New(fault.BadData, "google_workspace: the role is not assigned any more")
	}
	customer, err := s.customerID(ctx)
	if err != nil {
		return sources.Receipt{}, err
	}
	return govRemove(ctx, s.admin(scopeRolesWrite), httpx.P(pathAssignment, customer, held[0].ID))
}

// customerID is the customer's own id, which writes of roles ask for.
func (s *session) customerID(ctx context.Context) (string, error) {
	id, err := s.Tenant(ctx)
	return cmp.Or(id, s.cfg.Customer), err
}

// planUnassign plans the end of a role that a user holds directly. The role of
// super administrators is a flag of the user's, whether or not it shows as an
// assignment, too.
func (s *session) planUnassign(ctx context.Context, p *sources.Plan, h *holder, role, scope string) error {
	if h.unread != nil {
		return h.unread
	}
	var b before
	through := ""
	u := &h.user
	names := h.names
	if names == nil {
		var err error
		if names, err = s.roles(ctx); err != nil {
			return naming(err, scopeRoles)
		}
	}
	if (role == superAdmin || names[role].super) && u.IsAdmin && (scope == "" || scope == atCustomer) && !h.onlyThrough(role) {
		b.Super = true
		p.Diff = append(p.Diff, sources.Change{What: "role of " + h.subject.Name + " at " + atCustomer, Before: "super administrator", After: "none"})
		p.Steps = append(p.Steps, step(opNoAdmin, args{Op: opNoAdmin, User: u.ID}))
		p.Before = encode(b)
		return nil
	}
	for i := range h.roles {
		r := &h.roles[i]
		if r.Role != role || scope != "" && r.scope() != scope {
			continue
		}
		if r.AssignedTo != u.ID {
			through = r.AssignedTo
			continue
		}
		if r.Expires.Time != "" {
			p.NoUndo = "the assignment ends at a time, and would be given back without an end"
		}
		kept := *r
		b.Roles = append(b.Roles, kept)
		what := strings.TrimSpace(r.scope() + " " + r.Condition)
		p.Diff = append(p.Diff, sources.Change{What: "role of " + h.subject.Name + " at " + govCut(what, 1000), Before: cmp.Or(names[role].name, role), After: "none"})
		p.Steps = append(p.Steps, step(opUnassign+":"+r.ID, args{Op: opUnassign, User: u.ID, Role: &kept}))
	}
	if len(p.Steps) == 0 && through != "" {
		return fault.New(fault.Permanent, "google_workspace: the role is held through group %s: take the account out of that", through)
	}
	if len(p.Steps) > 0 {
		p.Limits = append(p.Limits, "A role that is given back has another assignment id.")
	}
	govSorted(p)
	slices.SortFunc(b.Roles, func(a, b govAssignment) int { return strings.Compare(a.ID, b.ID) })
	p.Before = encode(b)
	return nil
}

// onlyThrough tells whether an account holds a role through a group alone.
func (h *holder) onlyThrough(role string) bool {
	through := false
	for i := range h.roles {
		if r := &h.roles[i]; r.Role == role {
			if r.AssignedTo == h.user.ID {
				return false
			}
			through = true
		}
	}
	return through
}

// govSorted puts steps and diff in an order of their own.
func govSorted(p *sources.Plan) {
	slices.SortFunc(p.Steps, func(a, b sources.Step) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(p.Diff, func(a, b sources.Change) int { return strings.Compare(a.What, b.What) })
}
