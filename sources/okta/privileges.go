package okta

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

// Lanes of privileges: whose roles they list.
const (
	laneRoleUsers   = "users"
	laneRoleGroups  = "groups"
	laneRoleClients = "clients"
)

var (
	assignees  = listing{path: httpx.P(pathAssignees), query: url.Values{"limit": {"100"}}, inBody: true}
	allClients = listing{path: httpx.P(pathClients), query: url.Values{"limit": {"200"}}}
)

// heldRole is a role that a principal holds, and its record.
type heldRole struct {
	wire wireRole
	raw  string
}

func (s *session) privilegeLanes(context.Context, sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return lanes(laneRoleUsers, laneRoleGroups, laneRoleClients)
}

// lanes lists lanes that do not change.
func lanes(ids ...string) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		page := &sources.LanePage{Complete: true}
		for _, id := range ids {
			page.Lanes = append(page.Lanes, sources.Lane{ID: id})
		}
		yield(page, nil)
	}
}

// readPrivileges lists principals, and asks for the roles of each. The vendor
// lists the users that hold roles; of groups and clients each is asked.
func (s *session) readPrivileges(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	h := &roleReader{s: s, custom: map[string]schemas.Opt[bool]{}}
	switch l.ID {
	case laneRoleUsers:
		return s.list(ctx, assignees, c, h.of(pathUserRoles, "account"))
	case laneRoleGroups:
		return s.list(ctx, allGroups, c, h.of(pathGroupRoles, "group"))
	case laneRoleClients:
		return s.list(ctx, allClients, c, h.of(pathClientRoles, "app"))
	}
	return failed(fault.New(fault.Permanent, "okta has no lane %q of privileges", l.ID))
}

// roleReader gathers roles in one reading of a lane.
type roleReader struct {
	s      *session
	custom map[string]schemas.Opt[bool] // custom roles seen, and whether they allow more than reading
}

// of asks for the roles of each principal of a listing. One who is gone by now
// has none.
func (h *roleReader) of(path, principalKind string) mapElement {
	return func(ctx context.Context, w *walk, raw []byte) (reason string, err error) {
		id := elementID(raw)
		if id == "" {
			return "the principal has no id", nil
		}
		roles, err := h.s.roles(ctx, path, id, path != pathClientRoles)
		if isGone(err) {
			return "", nil
		}
		if err != nil {
			return "", err
		}
		return "", h.add(ctx, w, principalKind, id, roles)
	}
}

func (h *roleReader) add(ctx context.Context, w *walk, principalKind, id string, roles []heldRole) (err error) {
	for i := range roles {
		r := &roles[i]
		if r.wire.Type == "" {
			w.page.Rejected = append(w.page.Rejected, sources.Reject{Ref: "a role of " + id, Reason: "the role has no type", Raw: r.raw})
			continue
		}
		row := schemas.Privilege{PrincipalID: id, PrincipalKind: principalKind, Raw: r.raw}
		mapRole(&row, &r.wire)
		if r.wire.Type == "CUSTOM" {
			if row.Privileged, err = h.customRole(ctx, row.RoleID); err != nil {
				return err
			}
			if !row.Privileged.Known {
				row.NotAsked = append(row.NotAsked, "privileged")
			}
		}
		w.page.Rows.Privileges = append(w.page.Rows.Privileges, row)
	}
	return nil
}

// customRole tells whether a custom role allows more than reading; unknown when
// that may not be asked.
func (h *roleReader) customRole(ctx context.Context, id string) (more schemas.Opt[bool], err error) {
	if known, ok := h.custom[id]; ok || id == "" {
		return known, nil
	}
	var body wirePermissions
	_, err = h.s.get(ctx, httpx.P(pathPermissions, id), nil, &body)
	switch {
	case err == nil:
		more = schemas.Some(false)
		for _, p := range body.Permissions {
			if !strings.HasSuffix(string(p.Label), ".read") {
				more = schemas.Some(true)
			}
		}
	case !denied(err) && !isGone(err):
		return more, err
	}
	h.custom[id] = more
	return more, nil
}

// roles asks for the roles that a principal holds, with what they are limited
// to: the vendor shows groups or apps in one answer, not both.
func (s *session) roles(ctx context.Context, path, id string, expand bool) ([]heldRole, error) {
	var query url.Values
	if expand {
		query = url.Values{"expand": {"targets/groups"}}
	}
	roles, err := s.rolesOnce(ctx, path, id, query)
	if err != nil || !expand {
		return roles, err
	}
	for i := range roles {
		if roles[i].wire.Type != "APP_ADMIN" {
			continue
		}
		byApps, err := s.rolesOnce(ctx, path, id, url.Values{"expand": {"targets/catalog/apps"}})
		if err != nil {
			return nil, err
		}
		for _, r := range byApps {
			for j := range roles {
				if r.wire.Type == "APP_ADMIN" && r.wire.ID == roles[j].wire.ID && r.wire.AssignmentType == roles[j].wire.AssignmentType {
					roles[j] = r
				}
			}
		}
		break
	}
	return roles, nil
}

func (s *session) rolesOnce(ctx context.Context, path, id string, query url.Values) (roles []heldRole, err error) {
	resp, err := s.client.Do(ctx, &httpx.Request{Path: httpx.P(path, id), Query: query})
	if err != nil {
		return nil, err
	}
	for raw, err := range httpx.Elements(resp) {
		if err != nil {
			return nil, err
		}
		r := heldRole{raw: alias(raw)}
		if decode(raw, &r.wire) != nil {
			r.wire = wireRole{} // which add rejects
		}
		roles = append(roles, r)
	}
	return roles, nil
}
