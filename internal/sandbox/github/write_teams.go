package github

import (
	"net/http"
	"slices"

	"weir/internal/sandbox/org"
)

// pathTeam returns the path's team, which the token's user may change: an owner,
// or its maintainer. It returns nil after it has answered.
func (c *call) pathTeam(write bool) *org.Group {
	if !c.orgIs(c.path("org")) {
		return nil
	}
	g := c.team(c.path("team"))
	if g == nil {
		c.notFound()
		return nil
	}
	a := c.account()
	if write && a != nil && !c.owner() && memberRole(g, a) != "maintainer" {
		c.fail(http.StatusForbidden, "Must be an organization owner or a team maintainer")
		return nil
	}
	return g
}

// memberRole returns an account's role in a team itself; "" none.
func memberRole(g *org.Group, a *org.Account) string {
	for _, m := range g.Members {
		if m.Account == a.N {
			return m.Role
		}
	}
	return ""
}

// teamMembership is GET /orgs/{org}/teams/{team}/memberships/{username}. Who is
// in a team below belongs to it.
func (c *call) teamMembership() {
	g := c.pathTeam(false)
	if g == nil {
		return
	}
	a := c.find(c.path("username"))
	for _, b := range c.effective(g) {
		if b.account == a {
			c.teamMembershipOf(g, a, b.role)
			return
		}
	}
	if a == nil || memberRole(g, a) == "" {
		c.notFound()
		return
	}
	c.teamMembershipOf(g, a, memberRole(g, a))
}

func (c *call) teamMembershipOf(g *org.Group, a *org.Account, role string) {
	if a.Owner && isMember(c.s, a) {
		role = c.h.facts.Maintainer
	}
	state := "active"
	if isInvited(c.s, a) {
		state = "pending"
	}
	c.object("", func() {
		c.str("url", c.api()+"/organizations/"+itoa(c.orgID())+"/team/"+itoa(c.h.id(kindTeam, g.N))+"/memberships/"+shown(a))
		c.str("role", role)
		c.str("state", state)
	})
}

// synced tells whether the identity provider decides who is in teams; it has
// answered then.
func (c *call) synced() bool {
	if c.trouble.TeamSync {
		c.fail(http.StatusForbidden, "This team's membership is managed by your identity provider.")
	}
	return c.trouble.TeamSync
}

// setTeamMembership is PUT /orgs/{org}/teams/{team}/memberships/{username}.
func (c *call) setTeamMembership() {
	var body struct{ Role string }
	g := c.pathTeam(true)
	if g == nil || c.synced() || !c.sent(&body) {
		return
	}
	a, role := c.find(c.path("username")), firstOf(body.Role, "member")
	switch {
	case role != "member" && role != "maintainer":
		c.invalid("TeamMember", "role", "invalid", "role is not one of member, maintainer")
		return
	case a == nil, a.Outside:
		c.notFound()
		return
	}
	c.settle(0, func(x *org.Act) {
		if here(a, c.s) && !a.Outside && alive(g.Created, g.Gone, c.s) && !c.s.AddMember(org.GitHub, x, g, a, role) {
			c.s.SetTeamRole(x, g, a, role)
		}
	})
	c.teamMembershipOf(g, a, role)
}

// leaveTeam is DELETE /orgs/{org}/teams/{team}/memberships/{username}.
func (c *call) leaveTeam() {
	g := c.pathTeam(true)
	if g == nil || c.synced() {
		return
	}
	a := c.find(c.path("username"))
	if a == nil || memberRole(g, a) == "" {
		c.notFound()
		return
	}
	c.settle(0, func(x *org.Act) { c.s.RemoveMember(org.GitHub, x, g, a) })
	c.done()
}

// setTeamRepo is PUT /orgs/{org}/teams/{team}/repos/{owner}/{repo}.
func (c *call) setTeamRepo() {
	var body struct{ Permission string }
	g := c.pathTeam(false)
	if g == nil {
		return
	}
	r := c.repoTo("admin")
	if r == nil || !c.sent(&body) {
		return
	}
	role, ok := roleOf(firstOf(body.Permission, "pull"))
	if !ok {
		c.invalid("Team", "permission", "invalid", "permission is not one of pull, triage, push, maintain, admin")
		return
	}
	c.grantAccess(r, org.Access{Holder: org.Ref{Kind: org.GroupRef, N: g.N}, Role: role})
	c.done()
}

// grantAccess lets somebody into a repository, or changes what they may do.
func (c *call) grantAccess(r *org.Repo, a org.Access) {
	c.settle(0, func(x *org.Act) {
		if alive(r.Created, r.Gone, c.s) && !c.s.AddAccess(x, r, a) {
			c.s.SetAccess(x, r, a.Holder, a.Role)
		}
	})
}

// removeTeamRepo is DELETE /orgs/{org}/teams/{team}/repos/{owner}/{repo}.
func (c *call) removeTeamRepo() {
	g := c.pathTeam(true)
	if g == nil {
		return
	}
	r := c.pathRepo()
	if r == nil {
		return
	}
	team := org.Ref{Kind: org.GroupRef, N: g.N}
	if !slices.ContainsFunc(r.Access, func(a org.Access) bool { return a.Holder == team }) {
		c.again(http.StatusNoContent, http.StatusNotFound)
		return
	}
	c.settle(0, func(x *org.Act) { c.s.RemoveAccess(x, r, team) })
	c.done()
}

// roleHolder returns the number of the path's role and whom the path names; nil
// after it has answered.
func (c *call) roleHolder() (int, *org.Account) {
	if c.flavour.Free {
		c.invalid("Organization", "organization_roles", "unprocessable", "Custom roles are not available for this organization.")
		return 0, nil
	}
	role := c.role()
	if role < 0 {
		return 0, nil
	}
	a := c.known(c.path("username"))
	if a == nil {
		c.notFound()
	}
	return role, a
}

// direct returns the grant by which an account itself holds a role.
func (c *call) direct(role int, a *org.Account) *org.RoleGrant {
	for _, g := range c.s.Roles[org.GitHub] {
		if roleNumber(g) == role && g.Holder == (org.Ref{Kind: org.AccountRef, N: a.N}) && alive(g.Assigned, g.Gone, c.s) {
			return g
		}
	}
	return nil
}

// assignRole is PUT /orgs/{org}/organization-roles/users/{username}/{role}.
func (c *call) assignRole() {
	role, a := c.roleHolder()
	if a == nil {
		return
	}
	if !isMember(c.s, a) {
		c.invalid("OrganizationRole", "user", "unprocessable", "The user is not a member of the organization.")
		return
	}
	like := orgRoles(c.s)[slices.IndexFunc(orgRoles(c.s), func(r orgRole) bool { return r.n == role })]
	def := like.n
	if like.source == "Predefined" {
		def = -1
	}
	c.settle(0, func(x *org.Act) {
		if isMember(c.s, a) && c.direct(role, a) == nil {
			c.s.AssignRole(org.GitHub, x, org.Ref{Kind: org.AccountRef, N: a.N}, like.name, def, -1)
		}
	})
	c.done()
}

// revokeRole is DELETE /orgs/{org}/organization-roles/users/{username}/{role}.
func (c *call) revokeRole() {
	role, a := c.roleHolder()
	if a == nil {
		return
	}
	c.settle(0, func(x *org.Act) {
		if g := c.direct(role, a); g != nil {
			c.s.RevokeRole(org.GitHub, x, g)
		}
	})
	c.done()
}
