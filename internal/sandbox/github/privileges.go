package github

import (
	"cmp"
	"slices"
	"time"

	"weir/internal/sandbox/org"
)

// orgRole is a definition of an organization role.
type orgRole struct {
	n                 int
	name, description string
	permits           []string
	source            string
	created, modified time.Time
}

// orgRoles returns the definitions: the organization's own, and those of
// GitHub's that somebody holds.
func orgRoles(s *org.State) []orgRole {
	var out []orgRole
	for _, d := range s.RoleDefs[org.GitHub] {
		if !d.Created.After(s.Now) {
			out = append(out, orgRole{d.N, d.Name, d.Description, d.Permits, "Organization", d.Created, d.Modified})
		}
	}
	for _, g := range s.Roles[org.GitHub] {
		n := roleNumber(g)
		if slices.ContainsFunc(out, func(r orgRole) bool { return r.n == n }) {
			continue
		}
		r := orgRole{n: n, name: g.Role, permits: g.Permits, source: "Organization", created: s.Born, modified: s.Born}
		if g.RoleN < 0 {
			r.source = "Predefined"
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b orgRole) int { return cmp.Compare(a.n, b.n) })
	return out
}

// roles is GET /orgs/{org}/organization-roles. It has no pages.
func (c *call) roles() {
	if !c.orgIs(c.path("org")) {
		return
	}
	if c.flavour.Free {
		c.invalid("Organization", "organization_roles", "unprocessable", "Custom roles are not available for this organization.")
		return
	}
	all := orgRoles(c.s)
	c.object("", func() {
		c.int("total_count", int64(len(all)))
		c.list(c.h.facts.RolesField, func() {
			for _, r := range all {
				c.object0(func() {
					c.int("id", c.h.id(kindRole, r.n))
					c.str("name", r.name)
					c.text("description", r.description)
					c.null("base_role")
					c.str("source", r.source)
					c.strs("permissions", r.permits)
					if r.source == "Predefined" {
						c.null("organization")
					} else {
						c.object("organization", c.orgAsUser)
					}
					c.time("created_at", r.created)
					c.time("updated_at", r.modified)
				})
			}
		})
	})
}

// role returns the number of the path's role; -1 after it has answered.
func (c *call) role() int {
	if !c.orgIs(c.path("org")) {
		return -1
	}
	for _, r := range orgRoles(c.s) {
		if itoa(c.h.id(kindRole, r.n)) == c.path("role") {
			return r.n
		}
	}
	c.notFound()
	return -1
}

// holds is how somebody holds an organization role.
type holds struct {
	account *org.Account
	direct  bool
	teams   []*org.Group // that give it
}

func (h holds) assignment() string {
	switch {
	case h.direct && len(h.teams) > 0:
		return "mixed"
	case h.direct:
		return "direct"
	default:
		return "indirect"
	}
}

// holders returns who holds a role, themselves or through teams.
func (c *call) holders(role int) []holds {
	byAccount := map[int]*holds{}
	at := func(a *org.Account) *holds {
		if byAccount[a.N] == nil {
			byAccount[a.N] = &holds{account: a}
		}
		return byAccount[a.N]
	}
	for _, g := range c.s.Roles[org.GitHub] {
		if roleNumber(g) != role || !alive(g.Assigned, g.Gone, c.s) {
			continue
		}
		switch g.Holder.Kind {
		case org.AccountRef:
			if a := c.s.Accounts[org.GitHub][g.Holder.N]; here(a, c.s) && a.Status != org.Invited {
				at(a).direct = true
			}
		case org.GroupRef:
			team := c.teamOf(g.Holder.N)
			if team == nil {
				continue
			}
			for _, b := range c.effective(team) {
				if h := at(b.account); !slices.Contains(h.teams, team) {
					h.teams = append(h.teams, team)
				}
			}
		default: // integrations hold no organization roles
		}
	}
	out := make([]holds, 0, len(byAccount))
	for _, h := range byAccount {
		out = append(out, *h)
	}
	slices.SortFunc(out, func(a, b holds) int { return cmp.Compare(a.account.N, b.account.N) })
	return out
}

// roleUsers is GET /orgs/{org}/organization-roles/{role}/users.
func (c *call) roleUsers() {
	role := c.role()
	if role < 0 {
		return
	}
	c.open('[')
	for _, h := range page(c, c.holders(role)) {
		c.object0(func() {
			c.user(h.account)
			c.str(c.h.facts.AssignmentField, h.assignment())
			c.list("inherited_from", func() {
				for _, g := range h.teams {
					c.object0(func() { c.teamSimple(g, "pull") })
				}
			})
		})
	}
	c.close(']')
}

// roleTeams is GET /orgs/{org}/organization-roles/{role}/teams.
func (c *call) roleTeams() {
	role := c.role()
	if role < 0 {
		return
	}
	var all []*org.Group
	for _, g := range c.s.Roles[org.GitHub] {
		if roleNumber(g) != role || g.Holder.Kind != org.GroupRef || !alive(g.Assigned, g.Gone, c.s) {
			continue
		}
		if team := c.teamOf(g.Holder.N); team != nil && !slices.Contains(all, team) {
			all = append(all, team)
		}
	}
	c.open('[')
	for _, g := range page(c, all) {
		c.object0(func() {
			c.str(c.h.facts.AssignmentField, "direct")
			c.teamSimple(g, "pull")
			c.teamParent(g)
		})
	}
	c.close(']')
}

// customRepoRoles is GET /orgs/{org}/custom-repository-roles: there are none.
func (c *call) customRepoRoles() {
	if !c.orgIs(c.path("org")) {
		return
	}
	c.object("", func() {
		c.int("total_count", 0)
		c.list("custom_roles", func() {})
	})
}
