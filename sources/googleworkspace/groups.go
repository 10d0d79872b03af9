package googleworkspace

import (
	"context"
	"iter"
	"net/url"
	"strings"
	"time"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// Lanes of groups: the list of them, and for each group its members.
const (
	laneGroups  = "groups"
	laneMembers = "members/"
)

// groupLanes lists the groups.
func (s *session) groupLanes(ctx context.Context, c sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return s.lanesOf(ctx, c, s.groups("groups(id)"), []sources.Lane{{ID: laneGroups}}, func(raw []byte) (string, bool) {
		var g wireGroup
		if decode(raw, &g) != nil || g.ID == "" {
			return "", false
		}
		return laneMembers + string(g.ID), true
	})
}

// lanesOf lists lanes of the elements of a listing, after those that are always
// there. With an element that is none the listing is not complete: it may hide
// one. Of an element that needs no lane the id is "".
func (s *session) lanesOf(ctx context.Context, c sources.Cursor, l listing, always []sources.Lane, lane func(raw []byte) (id string, ok bool)) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		at, err := parseCursor(c)
		for err == nil {
			page := &sources.LanePage{}
			if at.At == "" {
				page.Lanes = append(page.Lanes, always...)
			}
			if at.Began == 0 {
				at.Began = s.env.Clock.Now().UnixMilli()
			}
			var resp *httpx.Response
			if resp, at.At, err = s.fetch(ctx, l, at.At, time.UnixMilli(at.Began)); err != nil {
				break
			}
			for raw, e := range httpx.ElementsIf(resp, l.member) {
				if err = e; err != nil {
					break
				}
				switch id, ok := lane(raw); {
				case !ok || len(id) > sources.MaxLaneID/2:
					at.Strange++
				case id != "":
					page.Lanes = append(page.Lanes, sources.Lane{ID: id})
				}
			}
			if err != nil {
				break
			}
			last := at.At == ""
			if page.Complete = last && at.Strange == 0; !last {
				page.Next = at.String()
			}
			if !yield(page, nil) || page.Complete {
				return
			}
			if last {
				err = fault.New(fault.Transient, "%d elements of %s are none: nothing is removed", at.Strange, resp.Endpoint)
			}
		}
		yield(nil, err)
	}
}

// readGroups reads one lane.
func (s *session) readGroups(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	if l.ID == laneGroups {
		return s.list(ctx, c, addGroup, s.groups(""))
	}
	group, ok := strings.CutPrefix(l.ID, laneMembers)
	if !ok {
		return failed(fault.New(fault.Permanent, "google_workspace has no lane %q of groups", l.ID))
	}
	return func(yield func(*sources.Page, error) bool) {
		inside, err := s.domains(ctx)
		var who *people
		if err == nil {
			who, err = s.people(ctx)
		}
		if err != nil {
			yield(nil, err)
			return
		}
		s.list(ctx, c, addMember(group, who, inside), listing{
			client: s.admin(scopeGroups), path: httpx.P(pathMembers, group), query: url.Values{"maxResults": {"200"}},
			kind: "admin#directory#members", member: "members",
		})(yield)
	}
}

func addGroup(_ context.Context, w *walk, raw []byte) (reason string, err error) {
	var g wireGroup
	if err := decode(raw, &g); err != nil {
		return err.Error(), nil
	}
	if g.ID == "" {
		return "the group has no id", nil
	}
	row := schemas.Group{Raw: alias(raw)}
	mapGroup(&row, &g)
	w.page.Rows.Groups = append(w.page.Rows.Groups, row)
	return "", nil
}

func addMember(group string, who *people, inside domains) mapElement {
	return func(_ context.Context, w *walk, raw []byte) (reason string, err error) {
		var m wireMember
		if err := decode(raw, &m); err != nil {
			return err.Error(), nil
		}
		if m.ID == "" {
			return "the member has no id", nil
		}
		row := schemas.GroupMember{GroupID: group}
		mapMember(&row, &m, who, inside)
		w.page.Rows.GroupMembers = append(w.page.Rows.GroupMembers, row)
		return "", nil
	}
}

// askGroup asks for one group. Memberships cannot be asked for one by one:
// members of groups in the group answer, too.
func (s *session) askGroup(ctx context.Context, table string, key []string) (sources.Answer, error) {
	if !known(table, key, tableGroups) {
		return sources.Unsure, nil
	}
	return s.ask(ctx, s.admin(scopeGroups), httpx.P(pathGroup, key[0]))
}
