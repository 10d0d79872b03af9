package googleworkspace

import (
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"weir/internal/sandbox/org"
)

// groups answers GET /groups (5.2).
func (c *call) groups() *failure {
	domain, f := c.inDomains()
	if f != nil {
		return f
	}
	member := c.q.Get("userKey")
	fits, f := c.groupQuery(&member)
	if f != nil {
		return f
	}
	in := func(*org.Group) bool { return true }
	if member != "" {
		a, r, ok := c.memberByKey(member)
		if !ok {
			return notFound("userKey")
		}
		in = func(g *org.Group) bool { return a != nil && g.Has(a.N) || a == nil && slices.Contains(g.Others, r) }
	}
	var all []*org.Group
	for _, g := range c.s.Groups[app] {
		if g.Gone.IsZero() && (domain == "" || domain == c.s.Domain) && in(g) && fits(g) {
			all = append(all, g)
		}
	}
	key := func(g *org.Group) string { return groupEmail(c.s, g) + "\x00" + c.h.groupID(g.N) }
	slices.SortFunc(all, func(a, b *org.Group) int { return cmp.Compare(key(a), key(b)) })
	l := &listing{name: "groups", size: c.h.facts.Groups, sizeName: "maxResults", chain: c.h.facts.ChainLife}
	page, next, f := list(c, l, all, key, c.groupView)
	if f != nil {
		return f
	}
	return c.send(c.put(object{"kind": "admin#directory#groups", "etag": c.h.etag("groups", c.now)}, "groups", page, next))
}

// memberByKey finds an account, or else what can be a member.
func (c *call) memberByKey(key string) (*org.Account, org.Ref, bool) {
	if a := c.h.accountByKey(c.s, key); a != nil {
		return a, org.Ref{}, true
	}
	r, ok := c.other(key)
	return nil, r, ok
}

// groupQuery reads query=; member gets the member that it names.
func (c *call) groupQuery(member *string) (func(*org.Group) bool, *failure) {
	var prefix, name string
	for _, term := range strings.Fields(c.q.Get("query")) {
		switch k, v, _ := strings.Cut(strings.Replace(term, "=", ":", 1), ":"); k {
		case "email":
			prefix = strings.ToLower(strings.TrimSuffix(v, "*"))
		case "name":
			name = strings.ToLower(strings.TrimSuffix(v, "*"))
		case "memberKey":
			*member = v
		default:
			return nil, invalid("Invalid Input: query")
		}
	}
	return func(g *org.Group) bool {
		return strings.HasPrefix(groupEmail(c.s, g), prefix) && strings.HasPrefix(strings.ToLower(g.Name), name)
	}, nil
}

func (c *call) groupView(g *org.Group) object {
	v := object{
		"kind": "admin#directory#group", "id": c.h.groupID(g.N), "etag": c.h.etag("group", g.N, g.Modified, g.MembersModified), "email": groupEmail(c.s, g), "name": g.Name,
		"description": g.Description, "directMembersCount": itoa(len(g.Members) + len(g.Others)), "adminCreated": true,
	}
	if list := groupAliases(c.s, g); list != nil {
		v["aliases"] = list
	}
	v["nonEditableAliases"] = []string{groupEmail(c.s, g) + ".test-google-a.com"}
	return v
}

// theGroup is the group that the path names.
func (c *call) theGroup() (*org.Group, *failure) {
	if g := c.h.group(c.s, c.args[0]); g != nil {
		return g, nil
	}
	return nil, notFound("groupKey")
}

func (c *call) oneGroup() *failure {
	g, f := c.theGroup()
	if f != nil {
		return f
	}
	return c.send(c.groupView(g))
}

// membership is one member of a group, in what way.
type membership struct {
	ref  org.Ref
	role string
}

// members are a group's: accounts that are not deleted, groups, addresses of others,
// everybody.
func members(s *org.State, g *org.Group) (out []membership) {
	for _, m := range g.Members {
		if listed(s.Accounts[app][m.Account]) {
			out = append(out, membership{org.Ref{Kind: org.AccountRef, N: m.Account}, m.Role})
		}
	}
	for _, r := range g.Others {
		if r.Kind != org.GroupRef || s.Groups[app][r.N].Gone.IsZero() {
			out = append(out, membership{r, org.GroupMember})
		}
	}
	return out
}

// memberID is the id of a member.
func (h *Handler) memberID(r org.Ref) string {
	switch r.Kind {
	case org.AccountRef:
		return h.userID(r.N)
	case org.GroupRef:
		return h.groupID(r.N)
	case org.ContactRef:
		return h.contactID(r.N)
	default:
	}
	return h.customer
}

func (h *Handler) memberEmail(s *org.State, r org.Ref) string {
	switch r.Kind {
	case org.AccountRef:
		return s.Accounts[app][r.N].Login
	case org.GroupRef:
		return groupEmail(s, s.Groups[app][r.N])
	case org.ContactRef:
		return r.Name
	default:
	}
	return ""
}

func (c *call) memberView(m membership) object {
	f := &c.h.facts
	v := object{
		"kind": "admin#directory#member", "id": c.h.memberID(m.ref), "etag": c.h.etag("member", m), f.MemberType: f.TypeUser,
		f.MemberRole: map[string]string{org.GroupOwner: f.RoleOwner, org.GroupManager: f.RoleManager, org.GroupMember: f.RoleMember}[m.role],
	}
	if e := c.h.memberEmail(c.s, m.ref); e != "" {
		v["email"] = e
	}
	switch m.ref.Kind {
	case org.AccountRef:
		v["status"] = "ACTIVE"
		switch c.s.Accounts[app][m.ref.N].Status {
		case org.Suspended:
			v["status"] = "SUSPENDED"
		case org.Archived:
			v["status"] = "ARCHIVED"
		default:
		}
	case org.GroupRef:
		v[f.MemberType], v["status"] = f.TypeGroup, "ACTIVE"
	case org.OrgRef:
		v[f.MemberType], v["status"] = f.TypeCustomer, "ACTIVE"
	default: // somebody of another company: without a status
	}
	return v
}

// members answers GET /groups/{groupKey}/members (5.3).
func (c *call) members() *failure {
	g, f := c.theGroup()
	if f != nil {
		return f
	}
	all := members(c.s, g)
	if c.q.Get("includeDerivedMembership") == "true" {
		all = c.derived(g)
	}
	if roles := c.q.Get("roles"); roles != "" {
		all = slices.DeleteFunc(all, func(m membership) bool { return !slices.Contains(strings.Split(roles, ","), strings.ToUpper(m.role)) })
	}
	key := func(m membership) string { return c.h.memberID(m.ref) }
	slices.SortFunc(all, func(a, b membership) int { return cmp.Compare(key(a), key(b)) })
	l := &listing{name: "members", size: c.h.facts.Members, sizeName: "maxResults", chain: c.h.facts.ChainLife}
	page, next, f := list(c, l, all, key, c.memberView)
	if f != nil {
		return f
	}
	return c.send(c.put(object{"kind": "admin#directory#members", "etag": c.h.etag("members", g.N, g.MembersModified)}, "members", page, next))
}

// derived are the members of a group and of all groups in it, each once.
func (c *call) derived(g *org.Group) (out []membership) {
	seen := map[org.Ref]bool{}
	var walk func(*org.Group)
	walk = func(g *org.Group) {
		for _, m := range members(c.s, g) {
			if seen[m.ref] {
				continue
			}
			seen[m.ref] = true
			out = append(out, m)
			if m.ref.Kind == org.GroupRef {
				walk(c.s.Groups[app][m.ref.N])
			}
		}
	}
	walk(g)
	return out
}

// findMember finds a direct member of a group by its id or address.
func (c *call) findMember(g *org.Group, key string) *membership {
	for _, m := range members(c.s, g) {
		if c.h.memberID(m.ref) == key || strings.EqualFold(c.h.memberEmail(c.s, m.ref), key) {
			return &m
		}
		if m.ref.Kind == org.AccountRef && slices.Contains(c.s.Accounts[app][m.ref.N].Aliases, strings.ToLower(key)) {
			return &m
		}
	}
	return nil
}

func (c *call) member() *failure {
	g, f := c.theGroup()
	if f != nil {
		return f
	}
	m := c.findMember(g, c.args[1])
	if m == nil {
		return notFound("memberKey")
	}
	return c.send(c.memberView(*m))
}

// hasMember tells of direct members and of those through groups in the group.
func (c *call) hasMember() *failure {
	g, f := c.theGroup()
	if f != nil {
		return f
	}
	is := slices.ContainsFunc(c.derived(g), func(m membership) bool {
		return c.h.memberID(m.ref) == c.args[1] || strings.EqualFold(c.h.memberEmail(c.s, m.ref), c.args[1])
	})
	return c.send(object{"isMember": is})
}

// insertMember answers POST /groups/{groupKey}/members.
func (c *call) insertMember() *failure {
	g, f := c.theGroup()
	if f != nil {
		return f
	}
	var in struct{ Email, ID, Role string }
	if f := c.read(&in); f != nil {
		return f
	}
	role := strings.ToLower(in.Role)
	if role == "" {
		role = org.GroupMember
	}
	key := cmp.Or(in.ID, in.Email)
	if key == "" || role != org.GroupMember && role != org.GroupManager && role != org.GroupOwner {
		return invalid("Missing required field: member")
	}
	if c.findMember(g, key) != nil {
		return refuse(http.StatusConflict, "duplicate", "Member already exists.")
	}
	var m membership
	if a := c.h.accountByKey(c.s, key); a != nil {
		c.s.JoinGoogle(c.act(), g, a, role)
		m = membership{org.Ref{Kind: org.AccountRef, N: a.N}, role}
	} else {
		r, ok := c.other(key)
		if !ok {
			return notFound("memberKey")
		}
		c.s.JoinOther(c.act(), g, r)
		m = membership{r, org.GroupMember}
	}
	return c.send(c.memberView(m))
}

// other is a member that is no account: a group, somebody elsewhere, everybody.
func (c *call) other(key string) (org.Ref, bool) {
	if g := c.h.group(c.s, key); g != nil {
		return org.Ref{Kind: org.GroupRef, N: g.N}, true
	}
	if key == c.h.customer {
		return org.Ref{Kind: org.OrgRef}, true
	}
	for n := range org.GoogleContacts {
		if strings.EqualFold(org.GoogleContact(n), key) || c.h.contactID(n) == key {
			return org.Ref{Kind: org.ContactRef, N: n, Name: org.GoogleContact(n)}, true
		}
	}
	return org.Ref{}, false
}

// deleteMember answers DELETE /groups/{groupKey}/members/{memberKey}.
func (c *call) deleteMember() *failure {
	g, f := c.theGroup()
	if f != nil {
		return f
	}
	m := c.findMember(g, c.args[1])
	if m == nil {
		return notFound("memberKey")
	}
	if m.ref.Kind == org.AccountRef {
		c.s.RemoveMember(app, c.act(), g, c.s.Accounts[app][m.ref.N])
	} else {
		c.s.LeaveOther(c.act(), g, m.ref)
	}
	return c.empty()
}

// number reads an int64 that came as text or as a number.
func numeral(raw json.RawMessage) string { return strings.Trim(string(raw), `" `) }
