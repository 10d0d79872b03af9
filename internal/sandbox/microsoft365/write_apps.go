package microsoft365

import (
	"net/http"
	"slices"
	"strings"

	"weir/internal/sandbox/org"
)

// assignmentOf returns the role that the path names, if it is held.
func (c *call) assignmentOf() (*org.RoleGrant, *failure) {
	roles := c.s.Roles[org.Microsoft365]
	n := c.h.number("role assignment", c.args[0], len(roles), c.h.assignmentID)
	if n < 0 || !roleHeld(c.s, roles[n]) || roles[n].Eligible {
		return nil, c.notFound(c.args[0])
	}
	return roles[n], nil
}

func (c *call) roleAssignment() *failure {
	r, f := c.assignmentOf()
	if f != nil {
		return f
	}
	return c.one(c.roleView(c.args[0], r.Holder, r))
}

func (c *call) removeRole() *failure {
	r, f := c.assignmentOf()
	if f != nil {
		return f
	}
	c.settle(func(x *org.Act) {
		if r.Gone.IsZero() {
			c.s.RevokeRole(org.Microsoft365, x, r)
		}
	})
	return c.done()
}

// holderOf finds a user, group or app by its id.
func (c *call) holderOf(id string) (org.Ref, bool) {
	for kind, n := range map[org.RefKind]int{org.AccountRef: c.h.accountN(c.s, id), org.GroupRef: c.h.groupN(c.s, id), org.IntegrationRef: c.h.servicePrincipalN(c.s, id)} {
		if n >= 0 && there(c.s, ref(kind, n)) {
			return ref(kind, n), true
		}
	}
	return org.Ref{}, false
}

func (c *call) assignRole() *failure {
	var in struct{ PrincipalID, RoleDefinitionID, DirectoryScopeID string }
	if f := c.sent(&in); f != nil {
		return f
	}
	holder, ok := c.holderOf(in.PrincipalID)
	role := slices.IndexFunc(org.EntraRoles, func(name string) bool { return c.h.roleID(name) == in.RoleDefinitionID })
	scope := -1
	if in.DirectoryScopeID == "/administrativeUnits/"+c.h.guid("administrative unit", 0) {
		scope = 0
	}
	switch {
	case !ok:
		return c.notFound(in.PrincipalID)
	case role < 0:
		return c.notFound(in.RoleDefinitionID)
	case scope < 0 && in.DirectoryScopeID != "/":
		return c.notFound(in.DirectoryScopeID)
	}
	for _, r := range c.s.Roles[org.Microsoft365] {
		if roleHeld(c.s, r) && !r.Eligible && r.Holder == holder && r.Role == org.EntraRoles[role] && r.ScopeN == scope {
			return c.bad("A conflicting object with one or more of the specified property values is present in the directory.")
		}
	}
	r := c.s.GrantEntraRole(c.h.act(c.s, c.who, c.r), holder, org.EntraRoles[role], scope)
	return c.made(c.roleView(c.h.assignmentID(r.N), holder, r))
}

// grantOf returns the grant of a kind that has an id, if it holds.
func (c *call) grantOf(id, kind string) (*org.Grant, *failure) {
	grants := c.s.Grants[org.Microsoft365]
	n := c.h.number("grant", id, len(grants), c.h.grantID)
	if n < 0 || grants[n].Kind != kind || !holds(c.s, grants[n]) {
		return nil, c.notFound(id)
	}
	return grants[n], nil
}

// revoke ends a grant.
func (c *call) revoke(g *org.Grant) *failure {
	c.settle(func(x *org.Act) {
		if g.Gone.IsZero() {
			c.s.RevokeGrant(org.Microsoft365, x, g)
		}
	})
	return c.done()
}

func (c *call) deleteGrant() *failure {
	g, f := c.grantOf(c.args[0], org.GrantConsent)
	if f != nil {
		return f
	}
	return c.revoke(g)
}

func (c *call) patchGrant() *failure {
	g, f := c.grantOf(c.args[0], org.GrantConsent)
	if f != nil {
		return f
	}
	var in struct{ Scope *string }
	if f := c.sent(&in); f != nil {
		return f
	}
	if in.Scope == nil || strings.TrimSpace(*in.Scope) == "" {
		return c.bad("Property scope is invalid.")
	}
	scopes := strings.Fields(*in.Scope)
	c.settle(func(x *org.Act) {
		if g.Gone.IsZero() && !slices.Equal(scopes, g.Scopes) {
			c.s.SetGrantScopes(x, g, scopes)
		}
	})
	return c.done()
}

// conflict refuses what is there already.
func conflict(what string) *failure {
	return refuse(http.StatusConflict, "Request_MultipleObjectsWithSameKeyValue", "%s already exists.", what)
}

func (c *call) addGrant() *failure {
	var in struct{ ClientID, ConsentType, PrincipalID, ResourceID, Scope string }
	if f := c.sent(&in); f != nil {
		return f
	}
	f := &c.h.facts
	client, isClient := c.holderOf(in.ClientID)
	resource, isResource := c.holderOf(in.ResourceID)
	g := org.Grant{Kind: org.GrantConsent, Account: -1, Integration: client.N, Resource: resource.N, Scopes: strings.Fields(in.Scope)}
	switch {
	case !isClient || client.Kind != org.IntegrationRef:
		return c.notFound(in.ClientID)
	case !isResource || resource.Kind != org.IntegrationRef:
		return c.notFound(in.ResourceID)
	case in.ConsentType == "Principal":
		a := c.findAccount(in.PrincipalID)
		if a == nil {
			return c.notFound(in.PrincipalID)
		}
		g.Account = a.N
	case in.ConsentType != f.AllPrincipals || in.PrincipalID != "":
		return c.bad("Property consentType is invalid.")
	}
	for _, old := range c.s.Grants[org.Microsoft365] {
		if old.Kind == g.Kind && holds(c.s, old) && old.Account == g.Account && old.Integration == g.Integration && old.Resource == g.Resource {
			return conflict("Permission entry")
		}
	}
	return c.made(c.grantView(c.s.IssueGrant(org.Microsoft365, c.h.act(c.s, c.who, c.r), g)))
}

func (c *call) deleteAppRole() *failure {
	in, f := c.appOf()
	if f != nil {
		return f
	}
	g, f := c.grantOf(c.args[1], org.GrantAppRole)
	if f != nil {
		return f
	}
	if g.Resource != in.N {
		return c.notFound(c.args[1])
	}
	return c.revoke(g)
}

func (c *call) addAppRole() *failure {
	resource, f := c.appOf()
	if f != nil {
		return f
	}
	var in struct{ PrincipalID, ResourceID, AppRoleID string }
	if f := c.sent(&in); f != nil {
		return f
	}
	holder, ok := c.holderOf(in.PrincipalID)
	if !ok {
		return c.notFound(in.PrincipalID)
	}
	g := org.Grant{Kind: org.GrantAppRole, Account: -1, Integration: -1, Resource: resource.N}
	switch holder.Kind {
	case org.AccountRef:
		g.Account = holder.N
	case org.IntegrationRef:
		g.Integration = holder.N
	default:
		g.Holder = holder
	}
	roles := org.AppRoles[resource.N]
	i := slices.IndexFunc(roles, func(value string) bool { return c.h.appRoleID(resource.N, value) == in.AppRoleID })
	switch {
	case in.ResourceID != c.h.servicePrincipalID(resource.N):
		return c.bad("Property resourceId is invalid.")
	case i >= 0:
		g.Scopes = []string{roles[i]}
	case in.AppRoleID != noRole:
		return c.bad("Permission being assigned was not found on application '%s'.", c.h.appID(resource.N))
	}
	for _, old := range c.s.Grants[org.Microsoft365] {
		if old.Kind == g.Kind && holds(c.s, old) && old.Account == g.Account && old.Integration == g.Integration && old.Holder == g.Holder && old.Resource == g.Resource && slices.Equal(old.Scopes, g.Scopes) {
			return c.bad("Permission being assigned already exists on the object.")
		}
	}
	made := c.s.IssueGrant(org.Microsoft365, c.h.act(c.s, c.who, c.r), g)
	return c.made(c.appRoleView(resource, made))
}

func (c *call) patchApp() *failure {
	app, f := c.appOf()
	if f != nil {
		return f
	}
	fields := map[string]any{}
	if f := c.sent(&fields); f != nil {
		return f
	}
	on, ok := fields[c.h.facts.Enabled].(bool)
	if !ok || len(fields) != 1 {
		c.h.t.Violate("no such property to write", c.path)
		return c.bad("The sandbox changes accountEnabled of a service principal, and nothing else.")
	}
	c.settle(func(x *org.Act) {
		if app.Gone.IsZero() && app.Active != on {
			c.s.EnableIntegration(x, app, on)
		}
	})
	return c.done()
}

func (c *call) deleteApp() *failure {
	app, f := c.appOf()
	if f != nil {
		return f
	}
	if app.Publisher == "Microsoft" {
		return refuse(http.StatusForbidden, c.h.facts.NoPermission, "Insufficient privileges to complete the operation.")
	}
	c.settle(func(x *org.Act) {
		if app.Gone.IsZero() {
			c.s.DeleteIntegration(x, app)
		}
	})
	return c.done()
}

// deleted says whether an app was deleted and can be restored.
func deletedApp(s *org.State, in *org.Integration) bool {
	return !in.Gone.IsZero() && s.Now.Sub(in.Gone) < org.DeletedKept
}

func (c *call) deletedAppView(in *org.Integration) object {
	v := c.appView(in)
	v["deletedDateTime"] = stamp(in.Gone)
	return v
}

func (c *call) deletedApps() *failure {
	apps := c.s.Integrations[org.Microsoft365]
	return c.list(c.h.facts.Apps, len(apps), func(i int) object {
		if !deletedApp(c.s, apps[i]) {
			return nil
		}
		return c.deletedAppView(apps[i])
	})
}

// deletedOf returns the user or app that the path names, if it is deleted and can
// be restored.
func (c *call) deletedOf() (*org.Account, *org.Integration, *failure) {
	if n := c.h.accountN(c.s, c.args[0]); n >= 0 {
		if a := c.s.Accounts[org.Microsoft365][n]; a.Gone.IsZero() && a.Status == org.Deprovisioned {
			return a, nil, nil
		}
	}
	if n := c.h.servicePrincipalN(c.s, c.args[0]); n >= 0 {
		if in := c.s.Integrations[org.Microsoft365][n]; deletedApp(c.s, in) {
			return nil, in, nil
		}
	}
	return nil, nil, c.notFound(c.args[0])
}

func (c *call) deletedItem() *failure {
	a, in, f := c.deletedOf()
	switch {
	case f != nil:
		return f
	case a != nil:
		return c.one(c.userView(a))
	}
	return c.one(c.deletedAppView(in))
}

func (c *call) restoreDeleted() *failure {
	a, in, f := c.deletedOf()
	if f != nil {
		return f
	}
	need := writeApps
	if a != nil {
		need = restoreUsers
	}
	if !c.mayAny(need) {
		return refuse(http.StatusForbidden, c.h.facts.NoPermission, "Insufficient privileges to complete the operation.")
	}
	x := c.h.act(c.s, c.who, c.r)
	if a != nil {
		c.s.RestoreAccount(x, a)
		return c.one(c.userView(a))
	}
	c.s.RestoreIntegration(x, in)
	return c.one(c.appView(in))
}
