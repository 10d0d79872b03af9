package microsoft365

import (
	"slices"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// groupMail is a group's address; "": it has none.
func groupMail(s *org.State, g *org.Group) string {
	if g.Kind == org.Security {
		return ""
	}
	return strings.ReplaceAll(g.Slug, " ", "-") + "." + string(rune('a'+g.N%26)) + "@" + s.Domain
}

func (c *call) groupView(g *org.Group) object {
	f := &c.h.facts
	types := []string{}
	if g.Kind == org.Unified {
		types = append(types, f.Unified)
	}
	if g.Rule != "" {
		types = append(types, f.Dynamic)
	}
	v := object{
		f.ID: c.h.groupID(g.N), "displayName": g.Name, "description": text(g.Description), "mail": text(groupMail(c.s, g)), "mailEnabled": g.Kind != org.Security,
		"securityEnabled": g.Kind == org.Security || g.Kind == org.MailSecurity, f.GroupTypes: types, "membershipRule": text(g.Rule), "visibility": nil, "isAssignableToRole": nil,
		"createdDateTime": stamp(g.Created), "renewedDateTime": stamp(g.Created), "onPremisesSyncEnabled": nil, "deletedDateTime": stamp(g.Gone),
	}
	if g.Synced {
		v["onPremisesSyncEnabled"] = true
	}
	if g.Kind == org.Unified {
		v["visibility"] = "Private"
	}
	if slices.ContainsFunc(c.s.Roles[org.Microsoft365], func(r *org.RoleGrant) bool { return r.Holder == ref(org.GroupRef, g.N) }) {
		v["isAssignableToRole"] = true
	}
	return v
}

func (c *call) groups() *failure {
	keep, f := c.idFilter("$filter")
	if f != nil {
		return f
	}
	groups := c.s.Groups[org.Microsoft365]
	return c.list(c.h.facts.Groups, len(groups), func(i int) object {
		if !groups[i].Gone.IsZero() || keep != nil && !keep[c.h.groupID(i)] {
			return nil
		}
		return c.groupView(groups[i])
	})
}

// restorable says whether a deleted group can be brought back: those with a
// mailbox and a site can, for a while.
func restorable(s *org.State, g *org.Group) bool {
	return !g.Gone.IsZero() && g.Kind == org.Unified && s.Now.Sub(g.Gone) < org.DeletedKept
}

func (c *call) deletedGroups() *failure {
	groups := c.s.Groups[org.Microsoft365]
	return c.list(c.h.facts.Groups, len(groups), func(i int) object {
		if !restorable(c.s, groups[i]) {
			return nil
		}
		return c.groupView(groups[i])
	})
}

// groupOf returns the group that the path names.
func (c *call) groupOf() (*org.Group, *failure) {
	groups := c.s.Groups[org.Microsoft365]
	if n := c.h.groupN(c.s, c.args[0]); n >= 0 && groups[n].Gone.IsZero() {
		return groups[n], nil
	}
	return nil, c.notFound(c.args[0])
}

func (c *call) group() *failure {
	g, f := c.groupOf()
	if f != nil {
		return f
	}
	return c.one(c.groupView(g))
}

func ref(kind org.RefKind, n int) org.Ref { return org.Ref{Kind: kind, N: n} }

// membersOf are who is in a group by a role, in an order that stays the same while
// others come and go. What a group has beside accounts are members.
func membersOf(s *org.State, g *org.Group, role string) []org.Ref {
	var list []org.Ref
	for _, m := range g.Members {
		if m.Role == role && present(s.Accounts[org.Microsoft365][m.Account]) {
			list = append(list, ref(org.AccountRef, m.Account))
		}
	}
	if role == "member" {
		for _, o := range g.Others {
			if there(s, o) {
				list = append(list, o)
			}
		}
	}
	return list
}

// there says whether a group or an app still exists.
func there(s *org.State, r org.Ref) bool {
	switch r.Kind {
	case org.GroupRef:
		return s.Groups[org.Microsoft365][r.N].Gone.IsZero()
	case org.IntegrationRef:
		return s.Integrations[org.Microsoft365][r.N].Gone.IsZero()
	case org.AccountRef:
		return present(s.Accounts[org.Microsoft365][r.N])
	default:
		return true
	}
}

// objectID is the id of something in the directory, and its type.
func (h *Handler) objectID(r org.Ref) (id, kind string) {
	switch r.Kind {
	case org.AccountRef:
		return h.accountID(r.N), "user"
	case org.GroupRef:
		return h.groupID(r.N), "group"
	case org.IntegrationRef:
		return h.servicePrincipalID(r.N), "servicePrincipal"
	case org.DeviceRef:
		return h.guid("device", r.N), "device"
	default:
		return h.guid("contact", r.N), "orgContact"
	}
}

// objectView is something in the directory as lists of all kinds have it.
func (c *call) objectView(r org.Ref) object {
	id, kind := c.h.objectID(r)
	v := object{}
	switch r.Kind {
	case org.AccountRef:
		v = c.userView(c.s.Accounts[org.Microsoft365][r.N])
	case org.GroupRef:
		v = c.groupView(c.s.Groups[org.Microsoft365][r.N])
	case org.IntegrationRef:
		v = c.appView(c.s.Integrations[org.Microsoft365][r.N])
	default:
		v["displayName"] = kind
	}
	v["@odata.type"], v[c.h.facts.ID] = c.h.facts.TypePrefix+kind, id
	return v
}

func (c *call) groupMembers() *failure    { return c.membership("member") }
func (c *call) groupOwners() *failure     { return c.membership("owner") }
func (c *call) groupTransitive() *failure { return c.membership("") }

func (c *call) membership(role string) *failure {
	g, f := c.groupOf()
	if f != nil {
		return f
	}
	if role == "" {
		list := transitive(c.s, g)
		return c.list(c.h.facts.Members, len(list), func(i int) object { return c.objectView(list[i]) })
	}
	// Pages are by the accounts' numbers: who leaves meanwhile moves nobody to
	// another page.
	in, accounts := map[org.Ref]bool{}, len(c.s.Accounts[org.Microsoft365])
	for _, r := range membersOf(c.s, g, role) {
		in[r] = true
	}
	return c.list(c.h.facts.Members, accounts+len(g.Others), func(i int) object {
		r := ref(org.AccountRef, i)
		if i >= accounts {
			r = g.Others[i-accounts]
		}
		if !in[r] {
			return nil
		}
		return c.objectView(r)
	})
}

// transitive are the members of a group, and those of groups in it.
func transitive(s *org.State, g *org.Group) (list []org.Ref) {
	seen := map[org.Ref]bool{ref(org.GroupRef, g.N): true}
	var walk func(*org.Group)
	walk = func(g *org.Group) {
		for _, m := range membersOf(s, g, "member") {
			if seen[m] {
				continue
			}
			seen[m] = true
			list = append(list, m)
			if m.Kind == org.GroupRef {
				walk(s.Groups[org.Microsoft365][m.N])
			}
		}
	}
	walk(g)
	return list
}

// groupsDelta tells of groups that changed, with who came and who left: a large
// group several times.
func (c *call) groupsDelta() *failure {
	f := &c.h.facts
	groups := c.s.Groups[org.Microsoft365]
	return c.changed(&changes{
		n: len(groups), id: c.h.groupID,
		at: func(i int) time.Time {
			t := latest(groups[i].Modified, groups[i].MembersModified, groups[i].Gone)
			for _, o := range groups[i].Others {
				t = latest(t, c.goneAt(o))
			}
			return t
		},
		gone: func(i int) string {
			switch g := groups[i]; {
			case restorable(c.s, g):
				return f.SoftDeleted
			case !g.Gone.IsZero():
				return f.HardDeleted
			}
			return ""
		},
		rows: func(i int, since time.Time) []object {
			g := groups[i]
			members, owners := c.moved(g, "member", since), c.moved(g, "owner", since)
			var rows []object
			for first := true; first || len(members) > 0 || len(owners) > 0; first = false {
				v := c.groupView(g)
				for name, list := range map[string]*[]object{"members": &members, "owners": &owners} {
					if n := min(len(*list), f.DeltaMembers); n > 0 {
						v[name+f.MembersDelta] = (*list)[:n]
						*list = (*list)[n:]
					}
				}
				rows = append(rows, v)
			}
			return rows
		},
	})
}

// moved are who came into a group since a time, and who left it.
func (c *call) moved(g *org.Group, role string, since time.Time) (list []object) {
	f := &c.h.facts
	entry := func(r org.Ref) object {
		id, kind := c.h.objectID(r)
		return object{"@odata.type": f.TypePrefix + kind, f.ID: id}
	}
	for _, r := range membersOf(c.s, g, role) {
		if r.Kind == org.AccountRef && !slices.ContainsFunc(g.Members, func(m org.Member) bool { return m.Account == r.N && m.Role == role && !m.Since.Before(since) }) {
			continue
		}
		if r.Kind != org.AccountRef && since.UnixMilli() > 0 {
			continue
		}
		list = append(list, entry(r))
	}
	for _, o := range g.Others {
		if at := c.goneAt(o); role == "member" && since.UnixMilli() > 0 && !at.IsZero() && !at.Before(since) {
			list = append(list, c.left(entry(o)))
		}
	}
	for _, m := range g.Left {
		in := slices.ContainsFunc(g.Members, func(n org.Member) bool { return n.Account == m.Account && n.Role == role })
		if m.Role != role || since.UnixMilli() == 0 || m.Since.Before(since) || in {
			continue
		}
		list = append(list, c.left(entry(ref(org.AccountRef, m.Account))))
	}
	return list
}

// left marks a member who left.
func (c *call) left(v object) object {
	v[c.h.facts.Removed] = object{"reason": "deleted"}
	return v
}

// goneAt is when a group or an app that was in a group was deleted.
func (c *call) goneAt(r org.Ref) time.Time {
	switch r.Kind {
	case org.GroupRef:
		return c.s.Groups[org.Microsoft365][r.N].Gone
	case org.IntegrationRef:
		return c.s.Integrations[org.Microsoft365][r.N].Gone
	default:
		return time.Time{}
	}
}
