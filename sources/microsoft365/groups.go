package microsoft365

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

const (
	selectGroup = "id,displayName,description,mail,mailEnabled,securityEnabled,groupTypes,membershipRule,visibility,isAssignableToRole," +
		"createdDateTime,renewedDateTime,onPremisesSyncEnabled"
	selectGroupDelta = selectGroup + ",members,owners"
)

// Types of directory objects.
const (
	typeUser    = "#microsoft.graph.user"
	typeGroup   = "#microsoft.graph.group"
	typeService = "#microsoft.graph.servicePrincipal"
	typeContact = "#microsoft.graph.orgContact"
)

var allGroups = listing{path: httpx.P(pathGroups), query: selected(selectGroup)}

// readGroups lists the groups and, ten groups a batch, the members and owners of
// each.
func (s *session) readGroups(ctx context.Context, _ sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		at, err := parseCursor(c)
		if err == nil && c == "" {
			at.Delta, err = s.now(ctx, pathGroupsDelta, selectGroupDelta)
		}
		w := newWalk(s, at, yield)
		for err == nil {
			var next string
			if next, err = w.groups(ctx); err != nil {
				break
			}
			if w.at.At, w.at.Done = next, ""; next == "" {
				w.end()
				return
			}
			if !w.flush(true) {
				return
			}
		}
		w.fail(err)
	}
}

// groups maps one page of the list of groups, and what is in them.
func (w *walk) groups(ctx context.Context) (next string, err error) {
	resp, to, all, from, err := w.fetch(ctx, allGroups)
	if err != nil {
		return "", err
	}
	for start := from; start < len(all); start += maxBatch / 2 {
		part := all[start:min(start+maxBatch/2, len(all))]
		var groups []schemas.Group
		var asked []listing // two of each group
		for i, raw := range part {
			row, reason := groupRow(raw)
			if reason != "" {
				w.reject(fmt.Sprintf("record %d of %s", start+i+1, resp.Endpoint), reason, raw)
				continue
			}
			groups = append(groups, row)
			asked = append(asked, membersOf(pathMembers, row.GroupID), membersOf(pathOwners, row.GroupID))
		}
		if err := w.withMembers(ctx, groups, asked); err != nil {
			return "", err
		}
		w.at.Done = elementID(part[len(part)-1])
		if start+len(part) < len(all) && !w.makeRoom() {
			return "", errStop
		}
	}
	return to.next, nil
}

func membersOf(path, id string) listing {
	return listing{path: httpx.P(path, id), query: selected("id")}
}

// withMembers adds groups, and all who are in them.
func (w *walk) withMembers(ctx context.Context, groups []schemas.Group, asked []listing) error {
	if len(groups) == 0 {
		return nil
	}
	pages, err := w.s.batch(ctx, httpx.P(pathBatch), asked)
	if err != nil {
		return err
	}
	for i, g := range groups {
		w.page.Rows.Groups = append(w.page.Rows.Groups, g)
		for j, role := range []string{"member", "owner"} {
			if j == 0 && w.resumes(asked[2*i+1]) {
				continue // the members are done
			}
			if err := w.members(ctx, asked[2*i+j], pages[2*i+j], g.GroupID, role); err != nil {
				return err
			}
		}
		w.at.Done = g.GroupID
	}
	return nil
}

// members adds who is in a group. The group may be gone by now.
func (w *walk) members(ctx context.Context, l listing, page *httpx.Response, group, role string) error {
	err := w.within(ctx, l, page, func(raw []byte) error {
		var o wireObject
		if decode(raw, &o) != nil || o.ID == "" {
			w.reject("a "+role+" of "+group, "it is no object with an id", raw)
			return nil
		}
		w.page.Rows.GroupMembers = append(w.page.Rows.GroupMembers, schemas.GroupMember{GroupID: group, MemberID: string(o.ID), MemberKind: memberKind(o.Type), Role: role})
		return nil
	})
	if isGone(err) {
		return nil
	}
	return err
}

func groupRow(raw []byte) (row schemas.Group, reason string) {
	var g wireGroup
	if err := decode(raw, &g); err != nil {
		return row, err.Error()
	}
	if g.ID == "" {
		return row, "the group has no id"
	}
	row.Raw = alias(raw)
	mapGroup(&row, &g)
	return row, ""
}

// deltaGroups reads which groups changed, and who joined and left.
func (s *session) deltaGroups(ctx context.Context, _ sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return s.delta(ctx, pathGroupsDelta, c, groupChange)
}

// groupChange maps an element of the delta. A large group comes in several,
// which may show members alone: those say nothing of the group itself.
func groupChange(_ context.Context, w *walk, raw []byte) (reason string, err error) {
	var g wireGroup
	if err := decode(raw, &g); err != nil {
		return err.Error(), nil
	}
	id := string(g.ID)
	switch {
	case id == "":
		return "the group has no id", nil
	case g.Removed != nil:
		w.gone(tableGroups, g.Removed.reason(), id)
		return "", nil
	case g.DisplayName != "":
		row := schemas.Group{Raw: alias(raw)}
		mapGroup(&row, &g)
		w.page.Rows.Groups = append(w.page.Rows.Groups, row)
	}
	for _, m := range g.Members {
		w.member(id, "member", m)
	}
	for _, m := range g.Owners {
		w.member(id, "owner", m)
	}
	return "", nil
}

// member takes in one change of a membership. Of several in one page the last
// counts.
func (w *walk) member(group, role string, m wireObject) {
	id := string(m.ID)
	if id == "" {
		return
	}
	rows := &w.page.Rows.GroupMembers
	*rows = slices.DeleteFunc(*rows, func(r schemas.GroupMember) bool { return r.GroupID == group && r.MemberID == id && r.Role == role })
	w.page.Gone = slices.DeleteFunc(w.page.Gone, func(g sources.Gone) bool {
		return g.Table == tableMembers && slices.Equal(g.Key, []string{group, id, role})
	})
	if m.Removed != nil {
		w.gone(tableMembers, "deleted", group, id, role)
		return
	}
	*rows = append(*rows, schemas.GroupMember{GroupID: group, MemberID: id, MemberKind: memberKind(m.Type), Role: role})
}

// memberKind tells what a member is; "" of a device, which no table has.
func memberKind(t text) string {
	switch t {
	case typeUser:
		return "account"
	case typeGroup:
		return "group"
	case typeService:
		return "service"
	case typeContact:
		return "external"
	}
	return ""
}

// askGroup asks for one group. Memberships cannot be asked for one by one.
func (s *session) askGroup(ctx context.Context, table string, key []string) (sources.Answer, error) {
	if table != tableGroups || len(key) != 1 {
		return sources.Unsure, nil
	}
	return s.ask(ctx, httpx.P(pathGroup, key[0]))
}
