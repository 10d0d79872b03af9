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

// Lanes of groups: the list of them, and for each group its members and its
// owners, which are asked for apart so that the refusal of one leaves the other
// alone.
const (
	laneGroups  = "groups"
	laneMembers = "members/"
	laneOwners  = "owners/"
)

var allGroups = listing{path: httpx.P(pathGroups), query: url.Values{"limit": {"200"}}}

// groupLanes lists the groups. Their hint is when membership was last updated:
// a group for which that has not changed is not read again. With an element
// that is no group the listing is not complete: it may hide one.
func (s *session) groupLanes(ctx context.Context, c sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		at, err := parseCursor(c)
		for err == nil {
			page := &sources.LanePage{}
			if at.At == "" {
				page.Lanes = append(page.Lanes, sources.Lane{ID: laneGroups})
			}
			var resp *httpx.Response
			if resp, at.At, err = s.fetch(ctx, allGroups, at.At); err != nil {
				break
			}
			for raw, e := range httpx.Elements(resp) {
				if err = e; err != nil {
					break
				}
				var g wireGroup
				if decode(raw, &g) != nil || g.ID == "" || len(g.ID) > sources.MaxLaneID/2 {
					at.Strange++ // the lane of the list rejects it
					continue
				}
				hint := cut(string(g.LastMembershipUpdated), 64)
				page.Lanes = append(page.Lanes, sources.Lane{ID: laneMembers + string(g.ID), Hint: hint}, sources.Lane{ID: laneOwners + string(g.ID), Hint: hint})
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
				err = fault.New(fault.Transient, "%d elements of the list of groups are none: nothing is removed", at.Strange)
			}
		}
		yield(nil, err)
	}
}

// readGroups reads one lane.
func (s *session) readGroups(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	if l.ID == laneGroups {
		return s.list(ctx, allGroups, c, addGroup)
	}
	if id, ok := strings.CutPrefix(l.ID, laneMembers); ok {
		return s.list(ctx, listing{path: httpx.P(pathGroupUsers, id), query: url.Values{"limit": {"200"}}}, c, addMember(id, "member"))
	}
	if id, ok := strings.CutPrefix(l.ID, laneOwners); ok {
		return s.list(ctx, listing{path: httpx.P(pathGroupOwners, id)}, c, addMember(id, "owner"))
	}
	return failed(fault.New(fault.Permanent, "okta has no lane %q of groups", l.ID))
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

// addMember maps members, or owners, of a group.
func addMember(group, role string) mapElement {
	return func(_ context.Context, w *walk, raw []byte) (reason string, err error) {
		var m wireOwner
		if err := decode(raw, &m); err != nil {
			return err.Error(), nil
		}
		if m.ID == "" {
			return "the member has no id", nil
		}
		row := schemas.GroupMember{GroupID: group, MemberID: string(m.ID), MemberKind: "account", Role: role}
		if role == "owner" && m.Type == "GROUP" {
			row.MemberKind = "group"
		}
		w.page.Rows.GroupMembers = append(w.page.Rows.GroupMembers, row)
		return "", nil
	}
}

// askGroup asks for one group. Memberships cannot be asked for one by one.
func (s *session) askGroup(ctx context.Context, table string, key []string) (sources.Answer, error) {
	if table != tableGroups || len(key) != 1 {
		return sources.Unsure, nil
	}
	return s.ask(ctx, httpx.P(pathGroup, key[0]))
}

func failed(err error) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) { yield(nil, err) }
}
