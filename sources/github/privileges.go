package github

import (
	"context"
	"iter"
	"net/url"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// One stream fills privileges, files and file_permissions: a repository's
// collaborators and teams are rows of two of them, and are listed once.
//
// Lanes of it: the organization's owners and base permission; its roles; each
// repository, by id; with files.trees also each repository's tree, which is
// read again when something has been pushed.
const (
	laneOrg   = "organization"
	laneRoles = "roles"
	repoLane  = "repository/"
	treeLane  = "tree/"
)

// readRepositories implements sources.Stream.Read.
func (s *session) readRepositories(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	switch l.ID {
	case laneOrg:
		return s.scan(c, s.ownerPages(ctx))
	case laneRoles:
		return s.scan(c, s.rolePages(ctx))
	}
	if id, ok := strings.CutPrefix(l.ID, repoLane); ok {
		return s.scan(c, s.repoPages(ctx, id))
	}
	if id, ok := strings.CutPrefix(l.ID, treeLane); ok {
		return s.readTree(ctx, id, c)
	}
	return fails(noLane(l))
}

// ownerPages reads the organization's base permission, then its owners.
func (s *session) ownerPages(ctx context.Context) step {
	path := httpx.P("/orgs/{org}/members", s.cfg.Org)
	return func(page *sources.Page, at place) (place, bool, error) {
		if at.Phase == 0 {
			o, err := s.organization(ctx, 0)
			if err != nil {
				return at, false, err
			}
			if p, ok := basePrivilege(o, ""); ok {
				page.Rows.Privileges = append(page.Rows.Privileges, p)
			}
			return place{Phase: 1}, false, nil
		}
		l, err := s.page(ctx, path, url.Values{"role": {"admin"}}, at.Link)
		if err != nil {
			return at, false, err
		}
		o, err := s.organization(ctx, orgFresh)
		if err != nil {
			return at, false, err
		}
		each(l, page, "an owner", func(w *wireUser, raw string) string {
			if w.ID == "" {
				return "an owner without id"
			}
			page.Rows.Privileges = append(page.Rows.Privileges, ownerPrivilege(w, o.Login, raw))
			return ""
		})
		return place{Phase: 1, Link: l.link}, l.link == "", nil
	}
}

// rolePages reads the organization's roles, in the order of their ids: the
// users that have one, then its teams.
func (s *session) rolePages(ctx context.Context) step {
	var roles []wireRole
	return func(page *sources.Page, at place) (place, bool, error) {
		if roles == nil {
			var err error
			if roles, err = s.roles(ctx); err != nil {
				return at, false, part(partRoles, err)
			}
		}
		if at.ID == "" {
			if len(roles) == 0 {
				return at, true, nil
			}
			at.ID = string(roles[0].ID)
		}
		i, ok := slices.BinarySearchFunc(roles, at.ID, func(r wireRole, id string) int { return strings.Compare(string(r.ID), id) })
		if ok {
			link, err := s.rolePage(ctx, page, &roles[i], at)
			switch {
			case err != nil:
				return at, false, part(partRoles, err)
			case link != "":
				return place{ID: at.ID, Phase: at.Phase, Link: link}, false, nil
			case at.Phase == 0:
				return place{ID: at.ID, Phase: 1}, false, nil
			}
			i++
		}
		if i == len(roles) {
			return at, true, nil
		}
		return place{ID: string(roles[i].ID)}, false, nil
	}
}

// roles lists the organization's roles; none where they are off, or unknown.
func (s *session) roles(ctx context.Context) ([]wireRole, error) {
	r, err := s.rest.Do(ctx, &httpx.Request{Path: httpx.P("/orgs/{org}/organization-roles", s.cfg.Org)})
	if statusOf(err) == 422 {
		return []wireRole{}, nil
	}
	if err != nil {
		return []wireRole{}, s.unlessAbsent(ctx, err, adminScopes...)
	}
	var body struct {
		Roles []wireRole `json:"roles"`
	}
	if err := httpx.Decode(r, &body); err != nil {
		return nil, err
	}
	roles := append([]wireRole{}, body.Roles...)
	slices.SortFunc(roles, func(a, b wireRole) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return roles, nil
}

// rolePage reads a page of the users, or teams, that have a role.
func (s *session) rolePage(ctx context.Context, page *sources.Page, role *wireRole, at place) (link string, err error) {
	path, what, kind := httpx.P("/orgs/{org}/organization-roles/{role_id}/users", s.cfg.Org, string(role.ID)), "a role's user", "account"
	if at.Phase == 1 {
		path, what, kind = httpx.P("/orgs/{org}/organization-roles/{role_id}/teams", s.cfg.Org, string(role.ID)), "a role's team", "group"
	}
	l, err := s.page(ctx, path, nil, at.Link)
	if err != nil {
		return "", err
	}
	o, err := s.organization(ctx, orgFresh)
	if err != nil {
		return "", err
	}
	each(l, page, what, func(w *struct {
		ID            scalar     `json:"id"`
		Assignment    string     `json:"assignment"`
		InheritedFrom []wireTeam `json:"inherited_from"`
	}, raw string,
	) string {
		if w.ID == "" {
			return what + " without id"
		}
		page.Rows.Privileges = append(page.Rows.Privileges, rolePrivileges(role, o.Login, string(w.ID), kind, w.Assignment, w.InheritedFrom, raw)...)
		return ""
	})
	return l.link, nil
}

// askRepositories implements sources.Stream.Ask: repositories can be asked for
// by id. That one is not found proves something only if the credentials see
// all repositories.
func (s *session) askRepositories(ctx context.Context, table string, key []string) (sources.Answer, error) {
	id, ok := strings.CutSuffix(strings.Join(key, "/"), ":")
	if table != "files" || !ok || !digits.MatchString(id) {
		return sources.Unsure, nil
	}
	_, err := s.rest.Do(ctx, &httpx.Request{Path: httpx.P("/repositories/{id}", id)})
	switch {
	case err == nil:
		return sources.Exists, nil
	case statusOf(err) == 410:
		return sources.Deleted, nil
	case statusOf(err) != 404:
		return sources.Unsure, err
	}
	m, granted, err := s.membership(ctx)
	switch {
	case s.cfg.Auth.way() == wayApp: // it may only have lost the repository
		return sources.Unsure, nil
	case err != nil && fault.Of(err) != fault.Forbidden:
		return sources.Unsure, err
	case err == nil && m.State == "active" && m.Role == "admin" && slices.Contains(granted, "repo"):
		return sources.Deleted, nil
	}
	return sources.Unsure, nil
}
