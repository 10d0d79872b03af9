package github

import (
	"net/http"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// user appends the members of a simple-user object.
func (c *call) user(a *org.Account) { c.simpleUser(c.h.id(kindAccount, a.N), shown(a), userType(a)) }

func userType(a *org.Account) string {
	if strings.HasSuffix(a.Login, "[bot]") {
		return "Bot"
	}
	return "User"
}

func (c *call) orgAsUser() { c.simpleUser(c.orgID(), c.s.Name, "Organization") }

func (c *call) simpleUser(id int64, login, kind string) {
	url := c.api() + "/users/" + login
	c.str("login", login)
	c.int("id", id)
	c.str("node_id", c.h.nodeID(userPrefix(kind), id))
	c.str("avatar_url", c.web()+"/avatars/u/"+itoa(id)+"?v=4")
	c.str("gravatar_id", "")
	c.str("url", url)
	c.str("html_url", c.web()+"/"+login)
	c.cat("followers_url", url, "/followers")
	c.cat("following_url", url, "/following{/other_user}")
	c.cat("gists_url", url, "/gists{/gist_id}")
	c.cat("starred_url", url, "/starred{/owner}{/repo}")
	c.cat("subscriptions_url", url, "/subscriptions")
	c.cat("organizations_url", url, "/orgs")
	c.cat("repos_url", url, "/repos")
	c.cat("events_url", url, "/events{/privacy}")
	c.cat("received_events_url", url, "/received_events")
	c.str("type", kind)
	c.str("user_view_type", "public")
	c.bool("site_admin", false)
}

// userPrefix begins the node ids of a type of user.
func userPrefix(kind string) string {
	switch kind {
	case "Organization":
		return "O"
	case "Bot":
		return "BOT"
	default:
		return "U"
	}
}

// profile appends what a user's page shows beside the simple user.
func (c *call) profile(a *org.Account) {
	p := c.s.People[a.Person]
	c.text("name", name(p))
	c.text("company", company(c.s, a))
	c.null("blog")
	c.null("location")
	c.text("email", publicEmail(c.s, a))
	c.null("hireable")
	c.null("bio")
	c.null("twitter_username")
	c.int("public_repos", 0)
	c.int("public_gists", 0)
	c.int("followers", 0)
	c.int("following", 0)
	c.time("created_at", a.Created)
	c.time("updated_at", a.Modified)
	if c.flavour.GHES && a.Status == org.Suspended {
		c.time("suspended_at", a.StatusChanged) // the lists do not tell
	}
}

func name(p *org.Person) string { return strings.TrimSpace(p.Given + " " + p.Family) }

// company is what the profile says: half of the people fill it in.
func company(s *org.State, a *org.Account) string {
	_, domain, _ := strings.Cut(s.People[a.Person].Email, "@")
	if a.N%2 == 0 || domain == "" {
		return ""
	}
	label, _, _ := strings.Cut(domain, ".")
	return "@" + label
}

func publicEmail(s *org.State, a *org.Account) string {
	if !a.PublicEmail {
		return ""
	}
	return s.People[a.Person].Email
}

// Whom the organization's lists show.

// isMember: a member of the organization, in any state but invited.
func isMember(s *org.State, a *org.Account) bool {
	return here(a, s) && !a.Outside && a.Status != org.Invited
}

func isOutside(s *org.State, a *org.Account) bool {
	return here(a, s) && a.Outside && a.Status != org.Invited
}

func isInvited(s *org.State, a *org.Account) bool { return here(a, s) && a.Status == org.Invited }

// invitedByEmail: the invitation went to an address, not to a login.
func invitedByEmail(a *org.Account) bool { return a.N%2 == 1 && a.Asked == "" }

func (h *Handler) expired(s *org.State, a *org.Account) bool {
	return s.Over(invitedAt(a).Add(h.facts.InvitationLife))
}

func invitedAt(a *org.Account) time.Time {
	if a.StatusChanged.After(a.Created) {
		return a.StatusChanged
	}
	return a.Created
}

// find returns the account of a login; nil when there is none.
func (c *call) find(login string) *org.Account {
	for _, a := range c.s.Accounts[org.GitHub] {
		if strings.EqualFold(shown(a), login) && here(a, c.s) {
			return a
		}
	}
	return nil
}

// byID returns the account with an id, also of somebody who is not in the
// organization any more; nil when there is no such user.
func (c *call) byID(id string) *org.Account {
	for _, a := range c.s.Accounts[org.GitHub] {
		if !a.Created.After(c.s.Now) && itoa(c.h.id(kindAccount, a.N)) == id {
			return a
		}
	}
	return nil
}

// self is GET /user.
func (c *call) self() {
	a := c.account()
	if a == nil {
		c.fail(http.StatusUnauthorized, "Bad credentials")
		return
	}
	c.object("", func() {
		c.user(a)
		c.profile(a)
	})
}

// userDetail is GET /users/{username}, and GET /user/{id}.
func (c *call) userDetail(a *org.Account) {
	if a == nil || isInvited(c.s, a) && invitedByEmail(a) {
		c.notFound()
		return
	}
	c.object("", func() {
		c.user(a)
		c.profile(a)
	})
}

// filtered returns the accounts that pass, and the filters that the client asks
// for. It answers itself when a filter is not allowed.
func (c *call) filtered(pass func(*org.State, *org.Account) bool) ([]*org.Account, bool) {
	filter, role := c.query.Get("filter"), c.query.Get("role")
	switch filter {
	case "", "all":
	case "2fa_disabled", "2fa_insecure":
		if !c.owner() && c.who.kind != installation {
			c.invalid("Organization", "filter", "invalid", "Only owners can use this filter.")
			return nil, false
		}
	default:
		c.invalid("Organization", "filter", "invalid", "filter is not one of all, 2fa_disabled, 2fa_insecure")
		return nil, false
	}
	var out []*org.Account
	for _, a := range c.s.Accounts[org.GitHub] {
		if !pass(c.s, a) ||
			filter == "2fa_disabled" && len(a.Factors) > 0 ||
			filter == "2fa_insecure" && !insecure(a) ||
			role == c.h.facts.OwnerRole && !a.Owner ||
			role == "member" && a.Owner {
			continue
		}
		out = append(out, a)
	}
	return out, true
}

// insecure: the only second factor is text messages.
func insecure(a *org.Account) bool { return len(a.Factors) == 1 && a.Factors[0] == "sms" }

func (c *call) listUsers(all []*org.Account) {
	c.open('[')
	for _, a := range page(c, all) {
		c.object0(func() { c.user(a) })
	}
	c.close(']')
}

// members is GET /orgs/{org}/members.
func (c *call) members() {
	if !c.orgIs(c.path("org")) {
		return
	}
	pass := isMember
	if c.h.facts.OutsideInMember {
		pass = func(s *org.State, a *org.Account) bool { return isMember(s, a) || isOutside(s, a) }
	}
	if all, ok := c.filtered(pass); ok {
		c.listUsers(all)
	}
}

// outsideCollaborators is GET /orgs/{org}/outside_collaborators.
func (c *call) outsideCollaborators() {
	if !c.orgIs(c.path("org")) {
		return
	}
	if all, ok := c.filtered(isOutside); ok {
		c.listUsers(all)
	}
}

// invitations is GET /orgs/{org}/invitations, or failed_invitations.
func (c *call) invitations(failed bool) {
	if !c.orgIs(c.path("org")) {
		return
	}
	if c.flavour.EMU {
		c.fail(c.h.facts.InvitationsEMU, "Not Found")
		return
	}
	role := c.query.Get("role")
	var all []*org.Account
	for _, a := range c.s.Accounts[org.GitHub] {
		if (isInvited(c.s, a) || asked(c.s, a)) && c.h.expired(c.s, a) == failed && (role == "" || role == "all" || role == invitedRole(a)) {
			all = append(all, a)
		}
	}
	c.listInvitations(all)
}

func (c *call) listInvitations(all []*org.Account) {
	c.open('[')
	for _, a := range page(c, all) {
		c.object0(func() { c.invitation(a) })
	}
	c.close(']')
}

func invitedRole(a *org.Account) string {
	if a.Owner || a.Asked == "admin" {
		return "admin"
	}
	return "direct_member"
}

func (c *call) invitation(a *org.Account) {
	id := c.h.id(kindInvitation, a.N)
	login, email := shown(a), ""
	if invitedByEmail(a) {
		login, email = "", c.s.People[a.Person].Email
	}
	at := invitedAt(a)
	c.int("id", id)
	c.text("login", login)
	c.text("email", email)
	c.str("role", invitedRole(a))
	c.time("created_at", at)
	if c.h.expired(c.s, a) {
		c.time("failed_at", at.Add(c.h.facts.InvitationLife))
		c.str("failed_reason", "Invitation expired. User did not accept this invite for 7 days.")
	} else {
		c.null("failed_at")
		c.null("failed_reason")
	}
	c.object("inviter", func() {
		if owner := c.firstOwner(); owner != nil {
			c.user(owner)
		} else {
			c.orgAsUser()
		}
	})
	c.int("team_count", 0)
	c.str("node_id", c.h.nodeID("OI", id))
	c.str("invitation_teams_url", c.api()+"/organizations/"+itoa(c.orgID())+"/invitations/"+itoa(id)+"/teams")
	c.str("invitation_source", "member")
}

func (c *call) firstOwner() *org.Account {
	for _, a := range c.s.Accounts[org.GitHub] {
		if a.Owner && isMember(c.s, a) {
			return a
		}
	}
	return nil
}

// ownMembership is GET /user/memberships/orgs/{org}.
func (c *call) ownMembership() {
	a := c.account()
	if a == nil || !c.orgIs(c.path("org")) {
		c.notFound()
		return
	}
	c.membershipOf(a)
}

// membership is GET /orgs/{org}/memberships/{username}.
func (c *call) membership() {
	if !c.orgIs(c.path("org")) {
		return
	}
	switch a := c.find(c.path("username")); {
	case a != nil && asked(c.s, a):
		after := *a
		after.Status, after.Owner = org.Invited, a.Asked == "admin"
		c.membershipOf(&after)
	case a == nil, a.Outside:
		c.notFound()
	default:
		c.membershipOf(a)
	}
}

func (c *call) membershipOf(a *org.Account) {
	state, role := "active", "member"
	if a.Status == org.Invited {
		state = "pending"
	}
	if a.Owner {
		role = c.h.facts.OwnerRole
	}
	c.object("", func() {
		c.str("url", c.api()+"/orgs/"+c.s.Name+"/memberships/"+shown(a))
		c.str("state", state)
		c.str("role", role)
		c.str("organization_url", c.api()+"/orgs/"+c.s.Name)
		c.object("organization", c.simpleOrg)
		c.object("user", func() { c.user(a) })
	})
}

func (c *call) simpleOrg() {
	url := c.api() + "/orgs/" + c.s.Name
	c.str("login", c.s.Name)
	c.int("id", c.orgID())
	c.str("node_id", c.h.nodeID("O", c.orgID()))
	c.str("url", url)
	c.cat("repos_url", url, "/repos")
	c.cat("events_url", url, "/events")
	c.cat("hooks_url", url, "/hooks")
	c.cat("issues_url", url, "/issues")
	c.cat("members_url", url, "/members{/member}")
	c.cat("public_members_url", url, "/public_members{/member}")
	c.str("avatar_url", c.web()+"/avatars/u/"+itoa(c.orgID())+"?v=4")
	c.str("description", "")
}

// orgDetail is GET /orgs/{org}.
func (c *call) orgDetail() {
	if !c.orgIs(c.path("org")) {
		return
	}
	c.object("", func() {
		c.fullOrg()
		if c.owner() || c.who.may("organization_administration:read") {
			c.str("default_repository_permission", c.h.facts.BasePermission)
			c.bool("two_factor_requirement_enabled", false)
			plan := "enterprise"
			if c.flavour.Free {
				plan = "free"
			}
			seats := 0
			for _, a := range c.s.Accounts[org.GitHub] {
				if isMember(c.s, a) {
					seats++
				}
			}
			c.object("plan", func() {
				c.str("name", plan)
				c.int("space", 976562499)
				c.int("private_repos", 999999)
				c.int("filled_seats", int64(seats))
				c.int("seats", int64(seats))
			})
		}
	})
}

func (c *call) fullOrg() {
	c.simpleOrg()
	c.str("name", c.s.Name)
	c.bool("has_organization_projects", true)
	c.bool("has_repository_projects", true)
	c.int("public_repos", 0)
	c.int("public_gists", 0)
	c.int("followers", 0)
	c.int("following", 0)
	c.str("html_url", c.web()+"/"+c.s.Name)
	c.time("created_at", c.s.Born)
	c.time("updated_at", c.s.Born)
	c.null("archived_at")
	c.str("type", "Organization")
}
