package github

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

// A team is one lane, teamLane and its id: its own row, its place in its
// parent, its members. A renamed team is the same lane.
const teamLane = "team/"

var allTeams = url.Values{"team_type": {"all"}}

func (s *session) teamsPath() httpx.Path { return httpx.P("/orgs/{org}/teams", s.cfg.Org) }

// groupLanes implements sources.Stream.Lanes.
func (s *session) groupLanes(ctx context.Context, c sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return s.laneList(c, func(at place) (*sources.LanePage, list, error) {
		l, err := s.page(ctx, s.teamsPath(), allTeams, at.Link)
		if err != nil {
			return nil, list{}, err
		}
		p := &sources.LanePage{}
		for _, e := range l.elements {
			var t wireTeam
			if err := decode(e, &t); err != nil || t.ID == "" || t.Slug == "" {
				l.strange++
				continue
			}
			s.remember(s.teams, string(t.ID), t.Slug)
			p.Lanes = append(p.Lanes, sources.Lane{ID: teamLane + string(t.ID)})
		}
		return p, l, nil
	})
}

// laneList yields the pages of a listing of lanes. read returns a page's lanes
// and where the next is. With elements that are not understood the listing shows
// the others, but does not complete: what is not in it may exist.
func (s *session) laneList(c sources.Cursor, read func(at place) (*sources.LanePage, list, error)) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		at, err := parsePlace(c)
		if err != nil {
			yield(nil, err)
			return
		}
		for {
			p, l, err := read(at)
			if err != nil {
				yield(nil, err)
				return
			}
			at = place{Link: l.link, N: at.N + l.strange}
			strange := l.link == "" && at.N > 0
			if p.Complete = l.link == "" && !strange; l.link != "" {
				p.Next = at.cursor()
			}
			if !yield(p, nil) || p.Complete {
				return
			}
			if strange {
				yield(nil, fault.New(fault.Transient, "%d elements of the list are not what they should be: nothing is removed", at.N))
				return
			}
		}
	}
}

// remember keeps the name that the API knows a team or repository by. Lanes go
// by ids, which stay.
func (s *session) remember(names map[string]string, id, name string) {
	s.mu.Lock()
	names[id] = name
	s.mu.Unlock()
}

func (s *session) forget(names map[string]string, id string) {
	s.mu.Lock()
	delete(names, id)
	s.mu.Unlock()
}

// name returns what an id's name is. After a restart, and when a name is not
// good any more, all are listed again; an id that is not there then has gone:
// "".
func (s *session) name(ctx context.Context, names map[string]string, id string, list func(context.Context, sources.Cursor) iter.Seq2[*sources.LanePage, error]) (string, error) {
	known := func() string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return names[id]
	}
	if n := known(); n != "" {
		return n, nil
	}
	select { // one listing serves all lanes that wait for it
	case s.listing <- struct{}{}:
		defer func() { <-s.listing }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if n := known(); n != "" {
		return n, nil
	}
	for _, err := range list(ctx, "") {
		if err != nil {
			return "", err
		}
	}
	return known(), nil
}

// Phases of a team's lane.
const (
	teamDetail = iota
	teamMembers
	teamMaintainers // of servers that do not tell the role, a list for each
	teamPlain
)

// readGroup implements sources.Stream.Read.
func (s *session) readGroup(ctx context.Context, lane sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	id, ok := strings.CutPrefix(lane.ID, teamLane)
	if !ok {
		return fails(noLane(lane))
	}
	return s.scan(c, func(page *sources.Page, at place) (place, bool, error) {
		slug, err := s.name(ctx, s.teams, id, s.groupLanes)
		if err != nil {
			return at, false, err
		}
		if slug == "" {
			return at, true, nil // deleted since it was listed
		}
		next, done, err := s.teamPage(ctx, page, at, id, slug)
		if statusOf(err) == 404 {
			s.forget(s.teams, id) // renamed or deleted: the next attempt finds out
			err = fault.New(fault.Transient, "team %s: %w", slug, err)
		}
		return next, done, err
	})
}

func (s *session) teamPage(ctx context.Context, page *sources.Page, at place, id, slug string) (place, bool, error) {
	if at.Phase == teamDetail {
		return place{Phase: teamMembers}, false, s.teamDetail(ctx, page, slug)
	}
	role := [...]string{teamMembers: "all", teamMaintainers: "maintainer", teamPlain: "member"}
	if at.Phase < teamMembers || at.Phase > teamPlain {
		return at, false, fault.New(fault.Expired, "the team's place is unknown: it is read anew")
	}
	l, err := s.page(ctx, httpx.P("/orgs/{org}/teams/{team_slug}/members", s.cfg.Org, slug), url.Values{"role": {role[at.Phase]}}, at.Link)
	if err != nil {
		return at, false, err
	}
	listRole := role[at.Phase]
	if at.Phase == teamMembers {
		listRole = ""
	}
	roleless := false
	each(l, page, "a team's member", func(w *wireUser, _ string) string {
		if w.Inherited { // a child team's: written there
			return ""
		}
		var m schemas.GroupMember
		if reason := mapTeamMember(&m, w, id, listRole); reason != "" {
			return reason
		}
		roleless = roleless || m.Role == ""
		page.Rows.GroupMembers = append(page.Rows.GroupMembers, m)
		return ""
	})
	switch {
	case roleless:
		page.Rows.Reset()
		page.Rejected = nil
		return place{Phase: teamMaintainers}, false, nil
	case l.link != "":
		return place{Phase: at.Phase, Link: l.link}, false, nil
	case at.Phase == teamMaintainers:
		return place{Phase: teamPlain}, false, nil
	}
	return at, true, nil
}

// teamDetail reads the team itself.
func (s *session) teamDetail(ctx context.Context, page *sources.Page, slug string) error {
	r, err := s.rest.Do(ctx, &httpx.Request{Path: httpx.P("/orgs/{org}/teams/{team_slug}", s.cfg.Org, slug)})
	if err != nil {
		return err
	}
	var w wireTeam
	if err := httpx.Decode(r, &w); err != nil {
		return err
	}
	o, err := s.organization(ctx, orgFresh)
	if err != nil {
		return err
	}
	var g schemas.Group
	if reason := mapTeam(&g, &w, o.Login, string(r.Body)); reason != "" {
		return fault.New(fault.BadData, "%s: %s", r.Endpoint, reason)
	}
	page.Rows.Groups = append(page.Rows.Groups, g)
	if w.Parent != nil && w.Parent.ID != "" {
		page.Rows.GroupMembers = append(page.Rows.GroupMembers, schemas.GroupMember{
			GroupID: string(w.Parent.ID), MemberID: g.GroupID, MemberKind: "group", Role: "member",
		})
	}
	return nil
}
