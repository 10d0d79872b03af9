package github

import (
	"net/http"

	"weir/internal/sandbox/org"
)

// lastOwner tells whether nobody would own the organization without an account.
func (c *call) lastOwner(a *org.Account) bool {
	if !a.Owner || !isMember(c.s, a) {
		return false
	}
	for _, o := range c.s.Accounts[org.GitHub] {
		if o != a && o.Owner && isMember(c.s, o) && o.Status == org.Active {
			return false
		}
	}
	return true
}

// asked tells whether an outside collaborator is invited to become a member.
func asked(s *org.State, a *org.Account) bool { return isOutside(s, a) && a.Asked != "" }

// setMembership is PUT /orgs/{org}/memberships/{username}. Who is no member is
// invited; only managed users are added without being asked.
func (c *call) setMembership() {
	var body struct{ Role string }
	if !c.orgIs(c.path("org")) || !c.sent(&body) {
		return
	}
	a, owner := c.known(c.path("username")), body.Role == c.h.facts.OwnerRole
	switch {
	case !owner && body.Role != "" && body.Role != "member":
		c.invalid("OrganizationMember", "role", "invalid", "role is not one of admin, member")
		return
	case a == nil:
		c.notFound()
		return
	case a.Blocked:
		c.invalid("OrganizationMember", "user", "unprocessable", "The user is blocked by the organization.")
		return
	case !owner && c.lastOwner(a):
		c.fail(http.StatusForbidden, "You cannot demote the last owner of the organization.")
		return
	}
	after := *a // what the answer shows
	after.Owner, after.Outside = owner, false
	switch {
	case isMember(c.s, a):
		c.settle(0, func(x *org.Act) {
			if isMember(c.s, a) && a.Owner != owner {
				c.s.SetOwner(x, a, owner)
			}
		})
	case c.flavour.EMU:
		after.Status = org.Active
		c.settle(0, func(x *org.Act) {
			if !isMember(c.s, a) {
				c.s.Readmit(x, a, owner)
			}
		})
	default:
		after.Status = org.Invited
		c.settle(0, func(x *org.Act) {
			if role := invitedRole(a) == "admin"; !isMember(c.s, a) && (role != owner || !isInvited(c.s, a) && !asked(c.s, a)) {
				c.s.Invite(x, a, owner)
			}
		})
	}
	c.membershipOf(&after)
}

// removeMembership is DELETE /orgs/{org}/memberships/{username}: of a member, or
// of somebody who is invited.
func (c *call) removeMembership() {
	if !c.orgIs(c.path("org")) {
		return
	}
	switch a := c.find(c.path("username")); {
	case a == nil, isInvited(c.s, a) && invitedByEmail(a):
		c.notFound()
	case isInvited(c.s, a), asked(c.s, a):
		c.cancelInvite(a)
	case !isMember(c.s, a):
		c.notFound()
	default:
		c.remove(a)
	}
}

// removeMember is DELETE /orgs/{org}/members/{username}.
func (c *call) removeMember() {
	if !c.orgIs(c.path("org")) {
		return
	}
	if a := c.find(c.path("username")); a == nil || !isMember(c.s, a) {
		c.again(http.StatusNotFound, http.StatusForbidden)
	} else {
		c.remove(a)
	}
}

func (c *call) remove(a *org.Account) {
	if c.lastOwner(a) {
		c.fail(http.StatusForbidden, "You cannot remove the last owner of the organization.")
		return
	}
	c.settle(0, func(x *org.Act) {
		if isMember(c.s, a) {
			c.s.Remove(org.GitHub, x, a)
		}
	})
	c.done()
}

func (c *call) cancelInvite(a *org.Account) {
	c.settle(0, func(x *org.Act) {
		if isInvited(c.s, a) || asked(c.s, a) {
			c.s.CancelInvite(x, a)
		}
	})
	c.done()
}

// cancelInvitation is DELETE /orgs/{org}/invitations/{id}.
func (c *call) cancelInvitation() {
	if !c.orgIs(c.path("org")) {
		return
	}
	if c.flavour.EMU {
		c.notFound()
		return
	}
	for _, a := range c.s.Accounts[org.GitHub] {
		if (isInvited(c.s, a) || asked(c.s, a)) && itoa(c.h.id(kindInvitation, a.N)) == c.path("id") {
			c.cancelInvite(a)
			return
		}
	}
	c.notFound()
}

// convertMember is PUT /orgs/{org}/outside_collaborators/{username}.
func (c *call) convertMember() {
	var body struct{ Async bool }
	if !c.orgIs(c.path("org")) || !c.sent(&body) {
		return
	}
	a := c.known(c.path("username"))
	switch {
	case a == nil:
		c.notFound()
		return
	case !isMember(c.s, a):
		c.fail(http.StatusForbidden, "The user is not a member of the organization.")
		return
	case c.lastOwner(a):
		c.fail(http.StatusForbidden, "The last owner of the organization cannot be converted to an outside collaborator.")
		return
	}
	after := Settle
	if c.done(); !body.Async {
		after = 0
	} else {
		c.accepted(func() {})
	}
	c.settle(after, func(x *org.Act) {
		if isMember(c.s, a) && !c.lastOwner(a) {
			c.s.Convert(x, a)
		}
	})
}

// removeOutside is DELETE /orgs/{org}/outside_collaborators/{username}.
func (c *call) removeOutside() {
	if !c.orgIs(c.path("org")) {
		return
	}
	switch a := c.known(c.path("username")); {
	case a == nil:
		c.notFound()
	case isMember(c.s, a):
		c.fail(http.StatusUnprocessableEntity, "You cannot specify an organization member to remove as an outside collaborator.")
	case !isOutside(c.s, a):
		c.again(http.StatusNoContent, http.StatusNotFound)
	default:
		c.settle(0, func(x *org.Act) {
			if isOutside(c.s, a) {
				c.s.Remove(org.GitHub, x, a)
			}
		})
		c.done()
	}
}

// blockable returns whom the path names, where the organization can block
// anybody; nil after it has answered. Managed users are nobody's to block.
func (c *call) blockable() *org.Account {
	if !c.orgIs(c.path("org")) {
		return nil
	}
	a := c.known(c.path("username"))
	if a == nil || c.flavour.EMU {
		c.notFound()
		return nil
	}
	return a
}

// blocks is GET /orgs/{org}/blocks.
func (c *call) blocks() {
	if !c.orgIs(c.path("org")) {
		return
	}
	if c.flavour.EMU {
		c.notFound()
		return
	}
	var all []*org.Account
	for _, a := range c.s.Accounts[org.GitHub] {
		if a.Blocked {
			all = append(all, a)
		}
	}
	c.listUsers(all)
}

// isBlocked is GET /orgs/{org}/blocks/{username}.
func (c *call) isBlocked() {
	a := c.blockable()
	switch {
	case a == nil:
	case a.Blocked:
		c.done()
	default:
		c.notFound()
	}
}

// block is PUT /orgs/{org}/blocks/{username}. A member must be removed first.
func (c *call) block() {
	a := c.blockable()
	switch {
	case a == nil:
	case isMember(c.s, a):
		c.invalid("UserBlock", "blocked_user", "unprocessable", "A member of the organization cannot be blocked.")
	case a.Blocked:
		c.again(http.StatusUnprocessableEntity, http.StatusNoContent)
	default:
		c.settle(0, func(x *org.Act) {
			if !a.Blocked && !isMember(c.s, a) {
				c.s.Block(x, a)
			}
		})
		c.done()
	}
}

// unblock is DELETE /orgs/{org}/blocks/{username}.
func (c *call) unblock() {
	if a := c.blockable(); a != nil {
		c.settle(0, func(x *org.Act) {
			if a.Blocked {
				c.s.Unblock(x, a)
			}
		})
		c.done()
	}
}

// suspend is PUT or DELETE /users/{username}/suspended, on Enterprise Server.
func (c *call) suspend(on bool) {
	var body struct{ Reason string }
	if !c.sent(&body) {
		return
	}
	a := c.known(c.path("username"))
	switch {
	case a == nil:
		c.notFound()
	case c.trouble.LDAPSync:
		c.fail(http.StatusForbidden, "Users managed by an external account cannot be suspended via the API.")
	case on && a == c.account():
		c.fail(http.StatusForbidden, "You cannot suspend yourself.")
	case on == (a.Status == org.Suspended):
		c.again(http.StatusNoContent, http.StatusUnprocessableEntity)
	default:
		c.setActive(a, !on, "")
		c.done()
	}
}

// setActive suspends an account, under which login it is then shown ("": its
// own), or lets it in again.
func (c *call) setActive(a *org.Account, active bool, alias string) {
	c.settle(0, func(x *org.Act) {
		switch {
		case active && a.Status == org.Suspended:
			a.Alias = ""
			c.s.SetStatus(org.GitHub, x, a, org.Active, org.AccountUnsuspend)
		case !active && a.Status == org.Active:
			a.Alias = alias
			c.s.SetStatus(org.GitHub, x, a, org.Suspended, org.AccountSuspend)
		}
	})
}
