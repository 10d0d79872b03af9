package okta

import (
	"slices"

	"weir/internal/sandbox/org"
)

// roleLabels are the standard roles' names.
var roleLabels = map[string]string{
	"SUPER_ADMIN": "Super Administrator", "ORG_ADMIN": "Organizational Administrator", "APP_ADMIN": "Application Administrator",
	"USER_ADMIN": "Group Administrator", "HELP_DESK_ADMIN": "Help Desk Administrator", "READ_ONLY_ADMIN": "Read-Only Administrator",
	"REPORT_ADMIN": "Report Administrator", "API_ACCESS_MANAGEMENT_ADMIN": "API Access Management Administrator",
	"GROUP_MEMBERSHIP_ADMIN": "Group Membership Administrator", "ACCESS_CERTIFICATIONS_ADMIN": "Access Certifications Administrator",
	"ACCESS_REQUESTS_ADMIN": "Access Requests Administrator", "WORKFLOWS_ADMIN": "Workflows Administrator",
}

// custom is the type of all roles that an organization made itself.
const custom = "CUSTOM"

func roleLabel(s *org.State, r *org.RoleGrant) string {
	if defs := s.RoleDefs[org.Okta]; r.RoleN >= 0 && r.RoleN < len(defs) {
		return defs[r.RoleN].Name
	}
	if l := roleLabels[r.Role]; l != "" {
		return l
	}
	return r.Role
}

// held is a role as somebody holds it: itself, or through a group.
type held struct {
	grant *org.RoleGrant
	group int // -1: itself
}

// rolesOf returns the roles of an account, direct ones first.
func rolesOf(s *org.State, account int) []held {
	var list []held
	for _, r := range s.Roles[org.Okta] {
		if !r.Gone.IsZero() {
			continue
		}
		switch r.Holder.Kind {
		case org.AccountRef:
			if r.Holder.N == account {
				list = append(list, held{r, -1})
			}
		case org.GroupRef:
			if g := s.Groups[org.Okta][r.Holder.N]; g.Gone.IsZero() && isMember(g, account) {
				list = append(list, held{r, g.N})
			}
		default:
		}
	}
	return list
}

func isMember(g *org.Group, account int) bool {
	return slices.ContainsFunc(g.Members, func(m org.Member) bool { return m.Account == account && m.Role == "member" })
}

// assigned returns the accounts that hold any role, by number.
func assigned(s *org.State) []int {
	var list []int
	add := func(n int) {
		if s.Accounts[org.Okta][n].Gone.IsZero() {
			list = append(list, n)
		}
	}
	for _, r := range s.Roles[org.Okta] {
		if !r.Gone.IsZero() {
			continue
		}
		switch r.Holder.Kind {
		case org.AccountRef:
			add(r.Holder.N)
		case org.GroupRef:
			if g := s.Groups[org.Okta][r.Holder.N]; g.Gone.IsZero() {
				for _, m := range g.Members {
					if m.Role == "member" {
						add(m.Account)
					}
				}
			}
		default:
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (h *Handler) assignees(c *call) {
	list := assigned(c.s)
	end, i := 0, 0
	if len(list) > 0 {
		end = list[len(list)-1] + 1
	}
	h.inBody(c, h.facts.Assignees, "value", end, func(b []byte, n int) []byte {
		for i < len(list) && list[i] < n {
			i++
		}
		if i >= len(list) || list[i] != n {
			return b
		}
		b = appendIDMember(append(b, '{'), "id", c.seed, kindUser, n)
		b = append(appendName(b, "orn"), `"orn:okta:directory:`...)
		b = append(appendID(b, c.seed, kindOrg, 0), `:users:`...)
		b = append(appendID(b, c.seed, kindUser, n), '"')
		b = append(appendName(b, "_links"), `{"self":`...)
		b = h.appendHref(b, "/api/v1/users/", c.seed, kindUser, n, "")
		b = h.appendHref(append(b, `,"roles":`...), "/api/v1/users/", c.seed, kindUser, n, "/roles")
		return append(b, '}', '}')
	})
}

// assignmentID is the id of an assignment. Standard roles of groups have the
// same id in every group.
func assignmentID(seed uint64, r *org.RoleGrant) string {
	switch {
	case r.Holder.Kind != org.GroupRef:
		return id(seed, kindAssignment, r.N)
	case r.RoleN < 0:
		return groupRoleID(r.Role)
	default:
		return id(seed, kindGroupAssign, r.N)
	}
}

func (h *Handler) appendRole(b []byte, c *call, r held) []byte {
	f := &h.facts
	g := r.grant
	b = appendMember(append(b, '{'), "id", assignmentID(c.seed, g))
	if g.RoleN >= 0 {
		b = appendIDMember(b, f.CustomRole, c.seed, kindRole, g.RoleN)
		if g.ScopeN >= 0 {
			b = appendIDMember(b, f.ResourceSet, c.seed, kindResourceSet, g.ScopeN)
		}
		b = appendMember(b, "type", custom)
	} else {
		b = appendMember(b, "type", g.Role)
	}
	b = appendMember(b, "label", roleLabel(c.s, g))
	b = appendMember(b, "status", "ACTIVE")
	b = appendTimeMember(b, "created", g.Assigned)
	b = appendTimeMember(b, "lastUpdated", g.Assigned)
	switch {
	case g.Holder.Kind == org.GroupRef:
		b = appendMember(b, f.AssignmentType, f.ByGroup)
		b = append(appendName(b, "_links"), `{"assignee":`...)
		b = h.appendHref(b, "/api/v1/groups/", c.seed, kindGroup, g.Holder.N, "")
	case g.Holder.Kind == org.IntegrationRef:
		b = appendMember(b, f.AssignmentType, "CLIENT")
		b = append(appendName(b, "_links"), `{"assignee":`...)
		b = h.appendHref(b, "/oauth2/v1/clients/", c.seed, kindApp, g.Holder.N, "")
	default:
		b = appendMember(b, f.AssignmentType, f.ByUser)
		b = append(appendName(b, "_links"), `{"assignee":`...)
		b = h.appendHref(b, "/api/v1/users/", c.seed, kindUser, g.Holder.N, "")
	}
	return append(b, '}', '}')
}

func (h *Handler) userRoles(c *call) {
	if a := h.account(c, c.args[0]); a != nil {
		list := rolesOf(c.s, a.N)
		h.whole(c, len(list), func(b []byte, i int) []byte { return h.appendRole(b, c, list[i]) })
	}
}

func (h *Handler) groupRoles(c *call) {
	if g := h.groupOf(c); g != nil {
		h.rolesOfHolder(c, org.Ref{Kind: org.GroupRef, N: g.N})
	}
}

func (h *Handler) clientRoles(c *call) {
	if in := h.clientOf(c, c.args[0]); in != nil {
		h.rolesOfHolder(c, org.Ref{Kind: org.IntegrationRef, N: in.N})
	}
}

func (h *Handler) rolesOfHolder(c *call, holder org.Ref) {
	roles := c.s.Roles[org.Okta]
	h.whole(c, len(roles), func(b []byte, i int) []byte {
		r := roles[i]
		if r.Holder.Kind != holder.Kind || r.Holder.N != holder.N || !r.Gone.IsZero() {
			return b
		}
		return h.appendRole(b, c, held{r, -1})
	})
}

func (h *Handler) customRoles(c *call) {
	defs := c.s.RoleDefs[org.Okta]
	h.inBody(c, h.facts.IAM, "roles", len(defs), func(b []byte, i int) []byte { return h.appendCustomRole(b, c, defs[i]) })
}

func (h *Handler) customRole(c *call) {
	if d := h.roleDefOf(c, c.args[0]); d != nil {
		c.body = h.appendCustomRole(c.body[:0], c, d)
	}
}

func (h *Handler) appendCustomRole(b []byte, c *call, d *org.RoleDef) []byte {
	b = appendIDMember(append(b, '{'), "id", c.seed, kindRole, d.N)
	b = appendMember(b, "label", d.Name)
	b = appendMember(b, "description", d.Description)
	b = appendTimeMember(b, "created", d.Created)
	b = appendTimeMember(b, "lastUpdated", d.Modified)
	b = append(appendName(b, "_links"), `{"permissions":`...)
	b = h.appendHref(b, "/api/v1/iam/roles/", c.seed, kindRole, d.N, "/permissions")
	b = h.appendHref(append(b, `,"self":`...), "/api/v1/iam/roles/", c.seed, kindRole, d.N, "")
	return append(b, '}', '}')
}

// roleDefOf returns the custom role that a path names by id or label, or answers.
func (h *Handler) roleDefOf(c *call, name string) *org.RoleDef {
	defs := c.s.RoleDefs[org.Okta]
	if n, ok := number(c.seed, kindRole, name); ok && n < len(defs) {
		return defs[n]
	}
	for _, d := range defs {
		if d.Name == name {
			return d
		}
	}
	h.notFound(c, name+" (CustomRole)")
	return nil
}

func (h *Handler) permissions(c *call) {
	d := h.roleDefOf(c, c.args[0])
	if d == nil {
		return
	}
	h.whole(c, len(d.Permits), func(b []byte, i int) []byte {
		b = appendMember(append(b, '{'), "label", d.Permits[i])
		b = appendTimeMember(b, "created", d.Created)
		return append(appendTimeMember(b, "lastUpdated", d.Modified), '}')
	})
	c.body = append(append([]byte(`{"permissions":`), c.body...), '}')
}

func (h *Handler) resourceSets(c *call) {
	sets := c.s.ResourceSets[org.Okta]
	h.inBody(c, h.facts.IAM, "resource-sets", len(sets), func(b []byte, i int) []byte { return h.appendResourceSet(b, c, sets[i]) })
}

func (h *Handler) resourceSet(c *call) {
	if d := h.resourceSetOf(c); d != nil {
		c.body = h.appendResourceSet(c.body[:0], c, d)
	}
}

func (h *Handler) appendResourceSet(b []byte, c *call, d *org.ResourceSet) []byte {
	b = appendIDMember(append(b, '{'), "id", c.seed, kindResourceSet, d.N)
	b = appendMember(b, "label", d.Name)
	b = appendMember(b, "description", d.Description)
	b = appendTimeMember(b, "created", d.Created)
	b = appendTimeMember(b, "lastUpdated", d.Modified)
	b = append(appendName(b, "_links"), `{"self":`...)
	b = h.appendHref(b, "/api/v1/iam/resource-sets/", c.seed, kindResourceSet, d.N, "")
	b = h.appendHref(append(b, `,"bindings":`...), "/api/v1/iam/resource-sets/", c.seed, kindResourceSet, d.N, "/bindings")
	return append(b, '}', '}')
}

func (h *Handler) resourceSetOf(c *call) *org.ResourceSet {
	sets := c.s.ResourceSets[org.Okta]
	if n, ok := number(c.seed, kindResourceSet, c.args[0]); ok && n < len(sets) {
		return sets[n]
	}
	h.notFound(c, c.args[0]+" (ResourceSet)")
	return nil
}

func (h *Handler) bindings(c *call) {
	set := h.resourceSetOf(c)
	if set == nil {
		return
	}
	defs := c.s.RoleDefs[org.Okta]
	h.inBody(c, h.facts.IAM, "roles", len(defs), func(b []byte, i int) []byte {
		if len(bound(c.s, set.N, i)) == 0 {
			return b
		}
		b = appendIDMember(append(b, '{'), "id", c.seed, kindRole, i)
		b = append(appendName(b, "_links"), `{"members":`...)
		rest := "/bindings/" + id(c.seed, kindRole, i) + "/members"
		return append(h.appendHref(b, "/api/v1/iam/resource-sets/", c.seed, kindResourceSet, set.N, rest), '}', '}')
	})
}

// bound returns the assignments of a custom role on a resource set.
func bound(s *org.State, set, role int) []*org.RoleGrant {
	var list []*org.RoleGrant
	for _, r := range s.Roles[org.Okta] {
		if r.Gone.IsZero() && r.RoleN == role && r.ScopeN == set {
			list = append(list, r)
		}
	}
	return list
}

func (h *Handler) bindingMembers(c *call) {
	set := h.resourceSetOf(c)
	if set == nil {
		return
	}
	d := h.roleDefOf(c, c.args[1])
	if d == nil {
		return
	}
	list := bound(c.s, set.N, d.N)
	h.inBody(c, h.facts.IAM, "members", len(list), func(b []byte, i int) []byte {
		r := list[i]
		path, k := "/api/v1/users/", kindUser
		switch r.Holder.Kind {
		case org.GroupRef:
			path, k = "/api/v1/groups/", kindGroup
		case org.IntegrationRef:
			path, k = "/oauth2/v1/clients/", kindApp
		default:
		}
		b = appendMember(append(b, '{'), "id", assignmentID(c.seed, r))
		b = appendTimeMember(b, "created", r.Assigned)
		b = appendTimeMember(b, "lastUpdated", r.Assigned)
		b = append(appendName(b, "_links"), `{"self":`...)
		return append(h.appendHref(b, path, c.seed, k, r.Holder.N, ""), '}', '}')
	})
}
