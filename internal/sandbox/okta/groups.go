package okta

import (
	"net/http"
	"slices"
	"strings"

	"weir/internal/sandbox/org"
)

func (h *Handler) allowGroupFilter(attr, op string) bool {
	switch attr {
	case "id", "type":
		return op == "eq"
	case h.facts.LastUpdated, h.facts.MembershipUpdated:
		return op == "eq" || op == "gt" || op == "ge" || op == "lt" || op == "le"
	}
	return false
}

func (h *Handler) allowGroupSearch(attr, op string) bool {
	return h.allowGroupFilter(attr, op) || strings.HasPrefix(attr, "profile.") && (op == "eq" || op == "sw" || op == "co")
}

func (h *Handler) groups(c *call) {
	f := &h.facts
	groups := c.s.Groups[org.Okta]
	show := func(*org.Group) bool { return true }
	text, allow := c.query.Get("filter"), h.allowGroupFilter
	if s := c.query.Get("search"); s != "" {
		text, allow = s, h.allowGroupSearch
	}
	if text != "" {
		e, err := parseFilter(text, allow)
		if err != nil {
			h.fail(c, http.StatusBadRequest, f.ErrFilter, "Invalid search criteria.", err.Error())
			return
		}
		show = func(g *org.Group) bool {
			return e.holds(func(attr string) []string {
				switch attr {
				case "id":
					return []string{id(c.seed, kindGroup, g.N)}
				case "type":
					return []string{g.Kind}
				case "profile.name":
					return []string{g.Name}
				case f.LastUpdated:
					return []string{stamp(g.Modified)}
				case f.MembershipUpdated:
					return []string{stamp(g.MembersModified)}
				}
				return nil
			})
		}
	} else if q := strings.ToLower(c.query.Get("q")); q != "" {
		show = func(g *org.Group) bool { return strings.HasPrefix(strings.ToLower(g.Name), q) }
	}
	h.list(c, f.Groups, len(groups), func(b []byte, i int) []byte {
		if g := groups[i]; g.Gone.IsZero() && show(g) {
			return h.appendGroup(b, c, g)
		}
		return b
	})
}

func (h *Handler) appendGroup(b []byte, c *call, g *org.Group) []byte {
	b = appendIDMember(append(b, '{'), "id", c.seed, kindGroup, g.N)
	b = appendTimeMember(b, "created", g.Created)
	b = appendTimeMember(b, h.facts.LastUpdated, g.Modified)
	b = appendTimeMember(b, h.facts.MembershipUpdated, g.MembersModified)
	b = append(appendName(b, "objectClass"), `["okta:user_group"]`...)
	b = appendMember(b, "type", h.groupKind(g))
	b = append(appendName(b, "profile"), '{')
	b = appendMember(b, "name", g.Name)
	if g.Description != "" {
		b = appendMember(b, "description", g.Description)
	}
	b = append(b, '}')
	if strings.Contains(c.query.Get("expand"), "stats") {
		b = append(appendName(b, "_embedded"), `{"stats":{"usersCount":`...)
		b = append(appendInt(b, int64(len(h.members(c.s, g, "member")))), '}', '}')
	}
	b = append(appendName(b, "_links"), `{"users":`...)
	b = h.appendHref(b, "/api/v1/groups/", c.seed, kindGroup, g.N, "/users")
	return append(b, '}', '}')
}

func (h *Handler) groupKind(g *org.Group) string {
	if g.Kind == "BUILT_IN" {
		return h.facts.Everyone
	}
	return g.Kind
}

// groupOf returns the group that a path names, or answers.
func (h *Handler) groupOf(c *call) *org.Group {
	groups := c.s.Groups[org.Okta]
	if n, ok := number(c.seed, kindGroup, c.args[0]); ok && n < len(groups) && groups[n].Gone.IsZero() {
		return groups[n]
	}
	h.notFound(c, c.args[0]+" (UserGroup)")
	return nil
}

func (h *Handler) group(c *call) {
	if g := h.groupOf(c); g != nil {
		c.body = h.appendGroup(c.body[:0], c, g)
	}
}

// members returns a group's accounts with a role, by number.
func (h *Handler) members(s *org.State, g *org.Group, role string) []int {
	var list []int
	for _, m := range g.Members {
		if (m.Role == role || role == "member" && h.facts.OwnersInUsers) && s.Accounts[org.Okta][m.Account].Gone.IsZero() {
			list = append(list, m.Account)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// groupUsers and groupOwners page by account number: memberships that change
// meanwhile move nobody to another page.
func (h *Handler) groupUsers(c *call) {
	g := h.groupOf(c)
	if g == nil {
		return
	}
	h.byNumber(c, h.facts.GroupUsers, h.members(c.s, g, "member"), func(b []byte, n int) []byte {
		return h.appendUser(b, c, c.s.Accounts[org.Okta][n], false)
	})
}

func (h *Handler) groupOwners(c *call) {
	g := h.groupOf(c)
	if g == nil {
		return
	}
	h.byNumber(c, h.facts.GroupOwners, h.members(c.s, g, "owner"), func(b []byte, n int) []byte {
		p := c.s.People[c.s.Accounts[org.Okta][n].Person]
		b = appendIDMember(append(b, '{'), "id", c.seed, kindUser, n)
		b = appendMember(b, "type", "USER")
		b = append(appendName(b, "resolved"), "true"...)
		b = appendMember(b, "originType", "OKTA_DIRECTORY")
		return append(appendMember(b, "displayName", fullName(p)), '}')
	})
}

// byNumber pages over sorted numbers; the cursor is the next number itself.
func (h *Handler) byNumber(c *call, p Page, list []int, write func(b []byte, n int) []byte) {
	end := 0
	if len(list) > 0 {
		end = list[len(list)-1] + 1
	}
	i := 0
	h.list(c, p, end, func(b []byte, n int) []byte {
		for i < len(list) && list[i] < n {
			i++
		}
		if i < len(list) && list[i] == n {
			return write(b, n)
		}
		return b
	})
}
