package microsoft365

import (
	"slices"

	"weir/internal/sandbox/org"
)

// holderRoutes list what users and service principals are in, and what roles of
// apps they hold. Of what they are in, the sandbox tells groups alone.
func holderRoutes() []route {
	return []route{
		get("users/*/memberOf", 1, readUsers, userGroups(false)),
		get("users/*/transitiveMemberOf", 1, readUsers, userGroups(true)),
		get("servicePrincipals/*/memberOf", 1, readApps, appGroups(false)),
		get("servicePrincipals/*/transitiveMemberOf", 1, readApps, appGroups(true)),
		get("servicePrincipals/*/appRoleAssignments", 1, readApps, (*call).appRoleAssignments),
	}
}

func userGroups(through bool) func(*call) *failure {
	return func(c *call) *failure {
		a := c.findAccount(c.args[0])
		if a == nil {
			return c.notFound(c.args[0])
		}
		return c.groupsOf(ref(org.AccountRef, a.N), through)
	}
}

func appGroups(through bool) func(*call) *failure {
	return func(c *call) *failure {
		in, f := c.appOf()
		if f != nil {
			return f
		}
		return c.groupsOf(ref(org.IntegrationRef, in.N), through)
	}
}

// groupsOf lists the groups that somebody is in: itself, or through groups too.
func (c *call) groupsOf(who org.Ref, through bool) *failure {
	groups := c.s.Groups[org.Microsoft365]
	return c.list(c.h.facts.Members, len(groups), func(i int) object {
		g := groups[i]
		if !g.Gone.IsZero() {
			return nil
		}
		in := slices.Contains(membersOf(c.s, g, "member"), who)
		if !in && !(through && slices.Contains(transitive(c.s, g), who)) {
			return nil
		}
		return c.objectView(ref(org.GroupRef, i))
	})
}
