package microsoft365

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// Lanes of privileges.
const (
	laneAssigned  = "assigned"
	laneScheduled = "scheduled" // what Privileged Identity Management shows beside: held through groups
	laneEligible  = "eligible"
)

// memberOfGroup is the memberType of what somebody has through a group.
const memberOfGroup = "Group"

var expandPrincipal = url.Values{"$expand": {"principal"}}

var (
	roleDefinitions = listing{path: httpx.P(pathRoles), query: url.Values{"$select": {"id,displayName,isBuiltIn,isEnabled,templateId"}}}
	assignments     = listing{path: httpx.P(pathAssignments), query: expandPrincipal}
	activeRoles     = listing{path: httpx.P(pathActive), query: expandPrincipal}
	eligibleRoles   = listing{path: httpx.P(pathEligible), query: expandPrincipal}
)

func (s *session) privilegeLanes(context.Context, sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return lanes(laneAssigned, laneScheduled, laneEligible)
}

// readPrivileges reads one lane.
func (s *session) readPrivileges(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		r := &roleReader{}
		from, f, gather := assignments, r.assigned, r.schedules
		switch l.ID {
		case laneAssigned:
		case laneScheduled:
			from, f, gather = activeRoles, r.scheduled, r.assignments
		case laneEligible:
			from, f, gather = eligibleRoles, r.eligible, func(context.Context, *session) error { return nil }
		default:
			yield(nil, fault.New(fault.Permanent, "microsoft365 has no lane %q of privileges", l.ID))
			return
		}
		var err error
		if err = r.define(ctx, s); err == nil {
			err = gather(ctx, s)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		for page, err := range s.list(ctx, from, c, f) {
			if l.ID != laneAssigned {
				err = unlicensed(err)
			}
			if !yield(page, err) {
				return
			}
		}
	}
}

// unlicensed classes what tenants without Privileged Identity Management answer
// to whoever asks for it: another refusal than that of a missing permission.
func unlicensed(err error) error {
	status, class := httpx.StatusOf(err), codes[httpx.CodeOf(err)]
	if status == http.StatusBadRequest || status == http.StatusForbidden && class != fault.Forbidden && class != fault.Throttled {
		return fault.New(fault.NotLicensed, "privileged Identity Management needs Entra ID P2 or Governance: %w", err)
	}
	return err
}

// roleReader gathers roles in one reading of a lane.
type roleReader struct {
	definitions map[string]wireRole
	undefined   bool // some definitions could not be understood
	known       bool // the other list was not refused, and all of it understood
	// others are, beside assignments, schedule instances, and the other way
	// round: by all keys.
	others map[string]wireAssignment
}

// define gathers the roles' definitions.
func (r *roleReader) define(ctx context.Context, s *session) error {
	r.definitions = map[string]wireRole{}
	return s.each(ctx, roleDefinitions, func(raw []byte) error {
		var role wireRole
		if decode(raw, &role) != nil || role.ID == "" {
			r.undefined = true // it may be any
			return nil
		}
		r.definitions[string(role.ID)] = role
		return nil
	})
}

// schedules gathers since when and until when assignments are in force, which
// only Privileged Identity Management tells.
func (r *roleReader) schedules(ctx context.Context, s *session) error {
	all, err := r.gather(ctx, s, activeRoles)
	ok, err := known(unlicensed(err))
	r.known = ok && all
	return err
}

func (r *roleReader) assignments(ctx context.Context, s *session) (err error) {
	r.known, err = r.gather(ctx, s, assignments)
	return err
}

// gather reads the other list, and tells whether all of it was understood.
func (r *roleReader) gather(ctx context.Context, s *session, l listing) (all bool, err error) {
	r.others, all = map[string]wireAssignment{}, true
	return all, s.each(ctx, l, func(raw []byte) error {
		var a wireAssignment
		if decode(raw, &a) != nil || a.ID == "" {
			all = false // its own lane rejects it
			return nil
		}
		for _, key := range a.keys() {
			r.others[key] = a
		}
		return nil
	})
}

// keys are by what an assignment and a schedule instance of the same are known
// to be that: their id, or what they assign to whom. What a member has through a
// group is no assignment, though the instance names the group's.
func (a *wireAssignment) keys() (keys []string) {
	if a.MemberType == memberOfGroup {
		return []string{string(a.ID)}
	}
	for _, id := range []text{a.ID, a.Origin} {
		if id != "" {
			keys = append(keys, string(id))
		}
	}
	return append(keys, strings.Join([]string{string(a.PrincipalID), string(a.RoleID), string(a.DirectoryScope), string(a.AppScope)}, " "))
}

func (r *roleReader) other(a *wireAssignment) (o wireAssignment, ok bool) {
	for _, key := range a.keys() {
		if o, ok = r.others[key]; ok {
			break
		}
	}
	return o, ok
}

// assigned maps an assignment, with the schedule instance that shows the same.
func (r *roleReader) assigned(_ context.Context, w *walk, raw []byte) (reason string, err error) {
	return r.add(w, raw, "active", func(a *wireAssignment, row *schemas.Privilege) bool {
		if i, ok := r.other(a); ok {
			a.Start, a.End, a.MemberType = i.Start, i.End, i.MemberType
		} else if !r.known {
			row.NotAsked = append(row.NotAsked, "assigned_at", "expires_at")
		}
		return true
	})
}

// scheduled maps a schedule instance that is no assignment's: a role held through
// a group, by a member of it.
func (r *roleReader) scheduled(_ context.Context, w *walk, raw []byte) (reason string, err error) {
	return r.add(w, raw, "active", func(a *wireAssignment, row *schemas.Privilege) bool {
		if group, ok := r.others[string(a.Origin)]; ok && a.MemberType == memberOfGroup && group.Principal.Type == typeGroup {
			row.ViaID = string(group.PrincipalID)
		}
		_, ok := r.other(a)
		return !ok && (r.known || a.MemberType == memberOfGroup) // or it may be that of one which was not understood
	})
}

func (r *roleReader) eligible(_ context.Context, w *walk, raw []byte) (reason string, err error) {
	return r.add(w, raw, "eligible", func(*wireAssignment, *schemas.Privilege) bool { return true })
}

// add maps an assignment that complete, which may change it, wants.
func (r *roleReader) add(w *walk, raw []byte, state string, complete func(*wireAssignment, *schemas.Privilege) bool) (reason string, err error) {
	var a wireAssignment
	if err := decode(raw, &a); err != nil {
		return err.Error(), nil
	}
	if a.ID == "" || a.PrincipalID == "" {
		return "the assignment has no id, or no principal", nil
	}
	row := schemas.Privilege{Raw: alias(raw), State: state}
	if complete(&a, &row) {
		mapPrivilege(&row, &a, r.definitions)
		if _, ok := r.definitions[row.RoleID]; !ok && r.undefined {
			row.NotAsked = append(row.NotAsked, "role_name", "privileged")
		}
		w.page.Rows.Privileges = append(w.page.Rows.Privileges, row)
	}
	return "", nil
}
