package github

import (
	"cmp"
	"slices"
	"strings"

	"weir/internal/sandbox/org"
)

// team returns the team of a slug; nil when there is none.
func (c *call) team(slug string) *org.Group {
	for _, g := range c.s.Groups[org.GitHub] {
		if strings.EqualFold(g.Slug, slug) && alive(g.Created, g.Gone, c.s) {
			return g
		}
	}
	return nil
}

// teamOf returns the team of a number; nil when there is none.
func (c *call) teamOf(n int) *org.Group { return teamOf(c.s, n) }

func teamOf(s *org.State, n int) *org.Group {
	all := s.Groups[org.GitHub]
	if n < 0 || n >= len(all) || !alive(all[n].Created, all[n].Gone, s) {
		return nil
	}
	return all[n]
}

// parentOf returns a team's parent; nil when it has none.
func parentOf(s *org.State, g *org.Group) *org.Group { return teamOf(s, g.Parent) }

func (c *call) liveTeams() []*org.Group {
	var all []*org.Group
	for _, g := range c.s.Groups[org.GitHub] {
		if alive(g.Created, g.Gone, c.s) {
			all = append(all, g)
		}
	}
	return all
}

// teams is GET /orgs/{org}/teams.
func (c *call) teams() {
	if !c.orgIs(c.path("org")) {
		return
	}
	var all []*org.Group
	if c.query.Get("team_type") != "enterprise" { // there are none
		all = c.liveTeams()
	}
	c.open('[')
	for _, g := range page(c, all) {
		c.object0(func() {
			c.teamSimple(g, "pull")
			c.str("access_source", "direct")
			c.teamParent(g)
			if c.h.facts.TeamTimesInList {
				c.time("created_at", g.Created)
				c.time("updated_at", g.Modified)
			}
		})
	}
	c.close(']')
}

func (c *call) teamParent(g *org.Group) {
	p := parentOf(c.s, g)
	if p == nil {
		c.null("parent")
		return
	}
	c.object("parent", func() { c.teamSimple(p, "pull") })
}

// teamSimple appends a team's members but for parent.
func (c *call) teamSimple(g *org.Group, permission string) {
	id := c.h.id(kindTeam, g.N)
	url := c.api() + "/organizations/" + itoa(c.orgID()) + "/team/" + itoa(id)
	c.str("name", g.Name)
	c.int("id", id)
	c.str("node_id", c.h.nodeID("T", id))
	c.str("slug", g.Slug)
	c.text("description", g.Description)
	c.str("privacy", privacy(g))
	c.str("notification_setting", "notifications_enabled")
	c.str("url", url)
	c.str("html_url", c.web()+"/orgs/"+c.s.Name+"/teams/"+g.Slug)
	c.cat("members_url", url, "/members{/member}")
	c.cat("repositories_url", url, "/repos")
	c.str("permission", permission)
	c.str("type", "organization")
	c.int("organization_id", c.orgID())
}

func privacy(g *org.Group) string {
	if g.Kind == "secret" {
		return "secret"
	}
	return "closed"
}

// teamDetail is GET /orgs/{org}/teams/{team}.
func (c *call) teamDetail() {
	if !c.orgIs(c.path("org")) {
		return
	}
	g := c.team(c.path("team"))
	if g == nil {
		c.notFound()
		return
	}
	repos := 0
	for _, r := range c.s.Repos {
		if alive(r.Created, r.Gone, c.s) && slices.ContainsFunc(r.Access, func(a org.Access) bool { return a.Holder.Kind == org.GroupRef && a.Holder.N == g.N }) {
			repos++
		}
	}
	c.object("", func() {
		c.teamSimple(g, "pull")
		c.teamParent(g)
		c.int("members_count", int64(len(c.effective(g))))
		c.int("repos_count", int64(repos))
		c.time("created_at", g.Created)
		c.time("updated_at", g.Modified)
		c.object("organization", c.fullOrg)
	})
}

// belongs is one account's belonging to a team.
type belongs struct {
	account   *org.Account
	role      string
	inherited bool
}

// effective returns a team's members and those of the teams below it, each once.
func (c *call) effective(g *org.Group) []belongs {
	var out []belongs
	seen := map[int]bool{}
	add := func(g *org.Group, inherited bool) {
		for _, m := range g.Members {
			a := c.s.Accounts[org.GitHub][m.Account]
			if seen[m.Account] || !here(a, c.s) || a.Status == org.Invited {
				continue
			}
			seen[m.Account] = true
			role := "member"
			if m.Role == "maintainer" && !inherited {
				role = c.h.facts.Maintainer
			}
			out = append(out, belongs{a, role, inherited})
		}
	}
	add(g, false)
	if c.h.facts.InheritedListed {
		var below func(g *org.Group, depth int)
		below = func(g *org.Group, depth int) {
			for _, child := range c.s.Groups[org.GitHub] {
				if child.Parent == g.N && child.N != g.N && depth < 16 && alive(child.Created, child.Gone, c.s) {
					add(child, true)
					below(child, depth+1)
				}
			}
		}
		below(g, 0)
	}
	slices.SortFunc(out, func(a, b belongs) int { return cmp.Compare(a.account.N, b.account.N) })
	return out
}

// teamMembers is GET /orgs/{org}/teams/{team}/members.
func (c *call) teamMembers() {
	if !c.orgIs(c.path("org")) {
		return
	}
	g := c.team(c.path("team"))
	if g == nil {
		c.notFound()
		return
	}
	all := c.effective(g)
	switch role := c.query.Get("role"); role {
	case "", "all":
	case "member", "maintainer":
		all = slices.DeleteFunc(all, func(b belongs) bool { return (b.role == c.h.facts.Maintainer) != (role == "maintainer") })
	default:
		c.invalid("Team", "role", "invalid", "role is not one of member, maintainer, all")
		return
	}
	c.open('[')
	for _, b := range page(c, all) {
		c.object0(func() {
			c.user(b.account)
			if c.h.facts.TeamRole && !c.flavour.OldGHES {
				c.str("role", b.role)
				c.bool(c.h.facts.InheritedField, b.inherited)
			}
		})
	}
	c.close(']')
}

// teamInvitations is GET /orgs/{org}/teams/{team}/invitations.
func (c *call) teamInvitations() {
	if !c.orgIs(c.path("org")) {
		return
	}
	g := c.team(c.path("team"))
	if g == nil {
		c.notFound()
		return
	}
	var all []*org.Account
	for _, m := range g.Members {
		if a := c.s.Accounts[org.GitHub][m.Account]; isInvited(c.s, a) {
			all = append(all, a)
		}
	}
	c.listInvitations(all)
}
