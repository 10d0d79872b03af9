package microsoft365

import (
	"net/http"
	"slices"
	"strings"

	"weir/internal/sandbox/org"
)

// Permissions that writes to the directory need (3.6), those of members and of
// roles by the vendor's reference.
var (
	enableUsers  = []string{"User.EnableDisableAccount.All"}
	setPasswords = []string{"User-PasswordProfile.ReadWrite.All"}
	endSessions  = []string{"User.RevokeSessions.All"}
	writeMembers = []string{"GroupMember.ReadWrite.All"}
	writeRoles   = []string{"RoleManagement.ReadWrite.Directory"}
	writeGrants  = []string{"DelegatedPermissionGrant.ReadWrite.All"}
	writeAppRole = []string{"AppRoleAssignment.ReadWrite.All"}
	writeApps    = []string{"Application.ReadWrite.All"}
	restoreUsers = []string{"User.DeleteRestore.All"}
)

func directoryWrites() []route {
	on := func(method, pattern string, roles []string, serve func(*call) *failure) route {
		return route{method, segments(pattern), bucketDirectory, 1, roles, serve}
	}
	return []route{
		on(http.MethodPatch, "users/*", slices.Concat(enableUsers, setPasswords), (*call).patchUser),
		on(http.MethodPost, "users/*/revokeSignInSessions", endSessions, (*call).revokeSessions),
		on(http.MethodDelete, "groups/*/members/*/$ref", writeMembers, (*call).removeMember),
		on(http.MethodPost, "groups/*/members/$ref", writeMembers, (*call).addMember),

		on(http.MethodGet, "roleManagement/directory/roleAssignments/*", readRoles, (*call).roleAssignment),
		on(http.MethodDelete, "roleManagement/directory/roleAssignments/*", writeRoles, (*call).removeRole),
		on(http.MethodPost, "roleManagement/directory/roleAssignments", writeRoles, (*call).assignRole),

		on(http.MethodDelete, "oauth2PermissionGrants/*", writeGrants, (*call).deleteGrant),
		on(http.MethodPatch, "oauth2PermissionGrants/*", writeGrants, (*call).patchGrant),
		on(http.MethodPost, "oauth2PermissionGrants", writeGrants, (*call).addGrant),
		on(http.MethodDelete, "servicePrincipals/*/appRoleAssignedTo/*", writeAppRole, (*call).deleteAppRole),
		on(http.MethodPost, "servicePrincipals/*/appRoleAssignedTo", writeAppRole, (*call).addAppRole),
		on(http.MethodPatch, "servicePrincipals/*", writeApps, (*call).patchApp),
		on(http.MethodDelete, "servicePrincipals/*", writeApps, (*call).deleteApp),

		on(http.MethodGet, "directory/deletedItems/microsoft.graph.servicePrincipal", readApps, (*call).deletedApps),
		on(http.MethodGet, "directory/deletedItems/graph.servicePrincipal", readApps, (*call).deletedApps),
		on(http.MethodGet, "directory/deletedItems/*", slices.Concat(readUsers, readApps), (*call).deletedItem),
		on(http.MethodPost, "directory/deletedItems/*/restore", slices.Concat(restoreUsers, writeApps), (*call).restoreDeleted),
	}
}

// patchUser takes what the actions of section 9 change of a user, and nothing
// else.
func (c *call) patchUser() *failure {
	var in struct {
		AccountEnabled  *bool
		PasswordProfile *struct {
			ForceChangePasswordNextSignIn *bool
			Password                      string
		}
	}
	fields := map[string]any{}
	if f := c.sent(&fields); f != nil {
		return f
	}
	if f := c.sent(&in); f != nil {
		return f
	}
	for name := range fields {
		if name != "accountEnabled" && name != "passwordProfile" {
			c.h.t.Violate("no such property to write", c.path+" "+name)
			return c.bad("The sandbox changes accountEnabled and passwordProfile of a user, not %s.", name)
		}
	}
	a := c.findAccount(c.args[0])
	switch {
	case a == nil:
		return c.notFound(c.args[0])
	case in.AccountEnabled == nil && in.PasswordProfile == nil:
		return c.bad("Empty Payload. JSON content expected.")
	case in.AccountEnabled != nil && !c.mayAny(enableUsers), in.PasswordProfile != nil && !c.mayAny(setPasswords), !c.mayAny(readUsers):
		return refuse(http.StatusForbidden, c.h.facts.NoPermission, "Insufficient privileges to complete the operation.")
	case in.PasswordProfile != nil && a.Synced:
		return c.bad("Unable to update the specified properties for on-premises mastered Directory Sync objects or objects currently undergoing migration.")
	case in.PasswordProfile != nil && in.PasswordProfile.Password != "" && len(in.PasswordProfile.Password) < 8:
		return c.bad("The specified password does not comply with password complexity requirements. Please provide a different password.")
	}
	if f := c.mayActOn(a, c.h.act(c.s, c.who, c.r), in.PasswordProfile != nil); f != nil {
		return f
	}
	c.settle(func(x *org.Act) {
		if !present(a) {
			return
		}
		enabled := a.Status == org.Active || a.Status == org.Invited
		switch e := in.AccountEnabled; {
		case e == nil || *e == enabled:
		case *e:
			c.s.Enable(x, a)
		default:
			c.s.Disable(x, a)
		}
		switch p := in.PasswordProfile; {
		case p == nil:
		case p.Password != "":
			c.s.SetEntraPassword(x, a, org.PasswordReset)
		case p.ForceChangePasswordNextSignIn != nil && *p.ForceChangePasswordNextSignIn:
			c.s.ForcePasswordChange(x, a)
		}
	})
	return c.done()
}

func (c *call) revokeSessions() *failure {
	a := c.findAccount(c.args[0])
	if a == nil {
		return c.notFound(c.args[0])
	}
	c.settle(func(x *org.Act) {
		if present(a) {
			c.s.EndEntraSessions(x, a)
		}
	})
	c.send(object{"@odata.context": c.h.graphBase() + "/v1.0/$metadata#Edm.Boolean", "value": true})
	return nil
}

// groupToChange returns the group that the path names, whose members are its
// owners' to decide.
func (c *call) groupToChange() (*org.Group, *failure) {
	g, f := c.groupOf()
	switch {
	case f != nil:
		return nil, f
	case g.Rule != "":
		return nil, c.bad("Cannot Update a dynamic membership group's members.")
	case g.Synced:
		return nil, c.bad("Unable to update the specified properties for on-premises mastered Directory Sync objects or objects currently undergoing migration.")
	case g.Kind == org.Distribution || g.Kind == org.MailSecurity:
		return nil, c.bad("Cannot Update a mail-enabled security groups and or distribution list.")
	}
	return g, nil
}

func isMember(g *org.Group, account int) bool {
	for _, m := range g.Members {
		if m.Account == account && m.Role == "member" {
			return true
		}
	}
	return false
}

// removeMember ends a person's membership.
func (c *call) removeMember() *failure {
	g, f := c.groupToChange()
	if f != nil {
		return f
	}
	n := c.h.accountN(c.s, c.args[1])
	if n < 0 || !isMember(g, n) {
		return c.notFound(c.args[1])
	}
	a := c.s.Accounts[org.Microsoft365][n]
	c.settle(func(x *org.Act) { c.s.LeaveGroup(org.Microsoft365, x, g, a) })
	return c.done()
}

// addMember makes a person a member, whom the body names by address.
func (c *call) addMember() *failure {
	g, f := c.groupToChange()
	if f != nil {
		return f
	}
	var in struct {
		ID string `json:"@odata.id"`
	}
	if f := c.sent(&in); f != nil {
		return f
	}
	id := in.ID[strings.LastIndexByte(in.ID, '/')+1:]
	a := c.findAccount(id)
	switch {
	case a == nil:
		return c.notFound(id)
	case isMember(g, a.N):
		return c.bad("One or more added object references already exist for the following modified properties: 'members'.")
	}
	c.settle(func(x *org.Act) { c.s.AddMember(org.Microsoft365, x, g, a, "member") })
	return c.done()
}
