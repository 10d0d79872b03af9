package googleworkspace

import (
	"context"
	"iter"
	"net/url"
	"strings"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// role is what assignments tell nothing of.
type role struct {
	name          string
	system, super bool
}

// roles returns the customer's admin roles, by id.
func (s *session) roles(ctx context.Context) (map[string]role, error) {
	out := map[string]role{}
	err := s.each(ctx, listing{
		client: s.admin(scopeRoles), path: httpx.P(pathRoles, s.cfg.Customer), query: url.Values{"maxResults": {"100"}},
		kind: "admin#directory#roles", member: "items",
	}, func(raw []byte) error {
		var r wireRole
		if decode(raw, &r) != nil {
			return nil // what it is called, and may do, is not known
		}
		out[strings.Clone(string(r.ID))] = role{strings.Clone(string(r.Name)), r.System.on, r.Super.on}
		return nil
	})
	return out, err
}

func (s *session) assignments(query url.Values) listing {
	query.Set("maxResults", "200")
	return listing{
		client: s.admin(scopeRoles), path: httpx.P(pathAssignments, s.cfg.Customer), query: query,
		kind: "admin#directory#roleAssignments", member: "items",
	}
}

// Lanes of privileges: what they come from, whose scopes differ.
const (
	laneAssignments = "assignments"
	laneSuperAdmins = "super_admins"
)

func privilegeLanes(context.Context, sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return lanes(laneAssignments, laneSuperAdmins)
}

// readPrivileges lists the assignments of roles, or the super administrators
// whom none covers.
func (s *session) readPrivileges(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		roles, err := s.roles(ctx)
		if err != nil {
			yield(nil, err)
			return
		}
		switch l.ID {
		case laneAssignments:
			who, err := s.people(ctx)
			if err != nil {
				yield(nil, err)
				return
			}
			s.list(ctx, c, addAssignment(roles, who), s.assignments(url.Values{}))(yield)
		case laneSuperAdmins:
			s.list(ctx, c, addSuperAdmin(roles), s.superAdmins())(yield)
		default:
			yield(nil, fault.New(fault.Permanent, "google_workspace has no lane %q of privileges", l.ID))
		}
	}
}

// superAdmins lists the users who are super administrators.
func (s *session) superAdmins() listing {
	l := s.users("")
	l.query.Set("query", "isAdmin=true")
	return l
}

func addAssignment(roles map[string]role, who *people) mapElement {
	return func(_ context.Context, w *walk, raw []byte) (reason string, err error) {
		var a wireAssignment
		if err := decode(raw, &a); err != nil {
			return err.Error(), nil
		}
		if a.ID == "" || a.AssignedTo == "" {
			return "the assignment has no id, or is nobody's", nil
		}
		row := schemas.Privilege{Raw: alias(raw)}
		mapAssignment(&row, &a, roles, who)
		w.page.Rows.Privileges = append(w.page.Rows.Privileges, row)
		return "", nil
	}
}

// addSuperAdmin adds a super administrator, unless an assignment says as much,
// to the user or to a group that the user is in.
func addSuperAdmin(roles map[string]role) mapElement {
	return func(ctx context.Context, w *walk, raw []byte) (reason string, err error) {
		var u wireUser
		if err := decode(raw, &u); err != nil {
			return err.Error(), nil
		}
		if u.ID == "" {
			return "the user has no id", nil
		}
		if !u.IsAdmin.on {
			return "", nil
		}
		covered, err := w.s.hasSuperRole(ctx, string(u.ID), roles)
		if isGone(err) {
			return "", nil
		}
		if err != nil || covered {
			return "", err
		}
		id, name := superAdmin, superAdmin
		for k, r := range roles {
			if r.super {
				id, name = k, r.name
			}
		}
		row := schemas.Privilege{Raw: alias(raw)}
		mapSuperAdmin(&row, string(u.ID), id, name)
		w.page.Rows.Privileges = append(w.page.Rows.Privileges, row)
		return "", nil
	}
}

// hasSuperRole tells whether the role of super administrators is assigned to a
// user, or to a group that the user is in.
func (s *session) hasSuperRole(ctx context.Context, user string, roles map[string]role) (has bool, err error) {
	err = s.each(ctx, s.assignments(url.Values{"userKey": {user}, "includeIndirectRoleAssignments": {"true"}}), func(raw []byte) error {
		var a wireAssignment
		has = has || decode(raw, &a) == nil && roles[string(a.RoleID)].super
		return nil
	})
	return has, err
}

// askPrivilege asks for one assignment. Of a super administrator without one
// only the listing tells.
func (s *session) askPrivilege(ctx context.Context, table string, key []string) (sources.Answer, error) {
	if !known(table, key, tablePrivileges) || strings.Trim(key[0], "0123456789") != "" {
		return sources.Unsure, nil
	}
	answer, err := s.ask(ctx, s.admin(scopeRoles), httpx.P(pathAssignment, s.cfg.Customer, key[0]))
	if fault.Of(err) == fault.BadData {
		return sources.Unsure, nil
	}
	return answer, err
}
