package microsoft365

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/schemas"
)

// write sends a change below version 1.0, or to a whole address.
func (r *rig) write(method, what string, body any, head ...string) answer {
	r.Helper()
	if !strings.HasPrefix(what, "http") {
		what = r.base + "/graph/v1.0/" + what
	}
	raw, isText := body.(string)
	if !isText && body != nil {
		b, err := json.Marshal(body)
		require.NoError(r.T, err)
		raw = string(b)
	}
	return r.do(method, what, strings.NewReader(raw), append([]string{"Content-Type", "application/json"}, head...)...)
}

// user returns an account that fits.
func (r *rig) user(fits func(s *org.State, a *org.Account) bool) (id string, n int) {
	r.Helper()
	n = -1
	r.state(func(s *org.State) {
		for _, a := range s.Accounts[org.Microsoft365] {
			if p := s.People[a.Person]; n < 0 && a.Status == org.Active && !p.Outside && !p.Service && !a.Synced && fits(s, a) {
				n = a.N
			}
		}
	})
	require.GreaterOrEqual(r.T, n, 0)
	return r.h.accountID(n), n
}

func plainUser(s *org.State, a *org.Account) bool { return !adminsOf(s)[ref(org.AccountRef, a.N)] }

// lastAudit is the newest entry of the directory's log.
func (r *rig) lastAudit() object {
	r.Helper()
	r.h.SetFaults(Faults{Units: -1, Reports: -1})
	return r.get("auditLogs/directoryAudits?$top=1").value()[0]
}

// byApp requires that the log tells a change as the agent's doing.
func (r *rig) byApp(action string) object {
	r.Helper()
	a := r.lastAudit()
	require.Equal(r.T, action, a["activityDisplayName"])
	app := a["initiatedBy"].(object)["app"].(object)
	require.Equal(r.T, ClientID, app["appId"])
	require.Equal(r.T, r.h.servicePrincipalID(org.AgentApp), app["servicePrincipalId"])
	require.True(r.T, slices.ContainsFunc(r.truth().Activities, func(x schemas.Activity) bool {
		return x.EventID == a["id"] && x.ActorID == app["servicePrincipalId"] && x.ActorKind == "service"
	}))
	return a
}

func (r *rig) truth() *schemas.Rows { return r.s.Truth(org.Microsoft365, "acme") }

func (r *rig) frozen() *rig {
	r.h.t.World.Freeze()
	return r
}

func TestDisableUser(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{}).frozen()
	id, n := r.user(plainUser)
	status := func() string {
		for _, a := range r.truth().Accounts {
			if a.AccountID == id {
				return a.Status
			}
		}
		return ""
	}
	for range 2 { // again is the same
		require.Equal(t, 204, r.write(http.MethodPatch, "users/"+id, object{"accountEnabled": false}).status)
	}
	r.byApp("Disable account")
	require.Equal(t, false, r.get("users/" + id + "?$select=accountEnabled").body["accountEnabled"])
	require.Equal(t, "suspended", status())
	require.Equal(t, 204, r.write(http.MethodPatch, "users/"+id, object{"accountEnabled": true}).status)
	r.byApp("Enable account")
	require.Equal(t, "active", status())

	a := r.write(http.MethodPost, "users/"+id+"/revokeSignInSessions", nil)
	require.Equal(t, 200, a.status)
	require.Equal(t, true, a.body["value"])
	r.byApp("Update StsRefreshTokenValidFrom Timestamp")
	r.state(func(s *org.State) {
		require.Equal(t, stamp(s.Now), r.get("users/" + id + "?$select=signInSessionsValidFromDateTime").body["signInSessionsValidFromDateTime"])
	})
	r.s.Fake.Advance(time.Minute)
	require.Equal(t, 204, r.write(http.MethodPatch, "users/"+id, object{"passwordProfile": object{"forceChangePasswordNextSignIn": true, "password": "tr0ub4dor-three"}}).status)
	r.byApp("Reset user password")
	r.state(func(s *org.State) { require.Equal(t, s.Now, s.Accounts[org.Microsoft365][n].PasswordChanged) })
	profile := func() any { return r.get("users/" + id + "?$select=passwordProfile").body["passwordProfile"] }
	require.Equal(t, true, profile().(object)["forceChangePasswordNextSignIn"])
	r.h.t.World.Change(func(s *org.State) { s.Accounts[org.Microsoft365][n].PasswordForced = false })
	require.Nil(t, profile())
	require.Equal(t, 204, r.write(http.MethodPatch, "users/"+id, object{"passwordProfile": object{"forceChangePasswordNextSignIn": true}}).status)
	r.byApp("Update user")
	require.Equal(t, true, profile().(object)["forceChangePasswordNextSignIn"])
	require.Equal(t, 400, r.write(http.MethodPatch, "users/"+id, object{"jobTitle": "none"}).status)
	require.Equal(t, 404, r.write(http.MethodPatch, "users/"+r.h.guid("nobody", 0), object{"accountEnabled": false}).status)
	require.Len(t, r.s.Violations(), 1)

	// Administrators want a role of the app's own.
	admin, _ := r.user(func(s *org.State, a *org.Account) bool {
		return slices.ContainsFunc(s.Roles[org.Microsoft365], func(g *org.RoleGrant) bool {
			return g.Holder == ref(org.AccountRef, a.N) && privileged[g.Role] && roleHeld(s, g) && !g.Eligible
		})
	})
	require.Equal(t, "Authorization_RequestDenied", r.write(http.MethodPatch, "users/"+admin, object{"accountEnabled": false}).code())
	made := r.write(http.MethodPost, "roleManagement/directory/roleAssignments", object{"principalId": r.h.servicePrincipalID(org.AgentApp), "roleDefinitionId": r.h.roleID("Global Administrator"), "directoryScopeId": "/"})
	require.Equal(t, 201, made.status, made.text)
	r.byApp("Add member to role")
	require.Equal(t, 204, r.write(http.MethodPatch, "users/"+admin, object{"accountEnabled": false}).status)
	role := "roleManagement/directory/roleAssignments/" + made.body["id"].(string)
	require.Equal(t, 200, r.get(role).status)
	require.Equal(t, 204, r.write(http.MethodDelete, role, nil).status)
	r.byApp("Remove member from role")
	require.Equal(t, 404, r.write(http.MethodDelete, role, nil).status)
	require.Equal(t, 404, r.get(role).status)
}

// Each write wants its permission, and is counted under its own name.
func TestWritePermissions(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{}).frozen()
	id, _ := r.user(plainUser)
	r.h.AddClient(Client{ID: ClientID, Secret: ClientSecret, Roles: map[string][]string{apiGraph: {"User.Read.All", "Files.Read.All", "Application.Read.All", "Directory.Read.All"}}})
	r.login()
	for _, w := range [][2]string{
		{"PATCH", "users/" + id},
		{"POST", "users/" + id + "/revokeSignInSessions"},
		{"DELETE", "oauth2PermissionGrants/x"},
		{"DELETE", "servicePrincipals/x"},
		{"DELETE", "groups/x/members/y/$ref"},
		{"DELETE", "roleManagement/directory/roleAssignments/x"},
		{"DELETE", "servicePrincipals/x/appRoleAssignedTo/y"},
		{"DELETE", "drives/x/items/y"},
		{"PUT", "drives/x/items/y/content"},
		{"POST", "directory/deletedItems/x/restore"},
	} {
		a := r.write(w[0], w[1], object{"accountEnabled": false})
		require.Equal(t, 403, a.status, w)
		require.Equal(t, "Authorization_RequestDenied", a.code())
	}
	require.True(t, slices.ContainsFunc(r.s.Requests(), func(e sandbox.Endpoint) bool {
		return e.Endpoint == "DELETE /graph/v1.0/groups/*/members/*/$ref" && e.Status == 403 && e.Count == 1
	}))
	require.Empty(t, r.s.Violations())
	require.Equal(t, 404, r.write(http.MethodPost, "users/"+id+"/assignLicense", object{}).status)
	require.Len(t, r.s.Violations(), 1)
}

func TestMembers(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{}).frozen()
	var g *org.Group
	var member int
	r.state(func(s *org.State) {
		for _, x := range s.Groups[org.Microsoft365] {
			if x.Kind == org.Security && x.Rule == "" && !x.Synced && len(membersOf(s, x, "member")) > 0 && x.Gone.IsZero() {
				g, member = x, membersOf(s, x, "member")[0].N
			}
		}
	})
	group, user := "groups/"+r.h.groupID(g.N)+"/members/", r.h.accountID(member)
	has := func() bool {
		return slices.ContainsFunc(r.truth().GroupMembers, func(m schemas.GroupMember) bool {
			return m.GroupID == r.h.groupID(g.N) && m.MemberID == user && m.Role == "member"
		})
	}
	list, _ := r.all("groups/delta")
	require.NotEmpty(t, list)
	_, link := r.all("groups/delta?$deltatoken=latest")
	r.s.Fake.Advance(time.Minute)
	require.True(t, has())
	require.Equal(t, 204, r.write(http.MethodDelete, group+user+"/$ref", nil).status)
	r.byApp("Remove member from group")
	require.False(t, has())
	require.Equal(t, 404, r.write(http.MethodDelete, group+user+"/$ref", nil).status)
	changed, _ := r.all(link)
	require.Contains(t, changed[0]["members@delta"].([]any)[0], "@removed")
	add := object{"@odata.id": "https://graph.microsoft.com/v1.0/directoryObjects/" + user}
	require.Equal(t, 204, r.write(http.MethodPost, group+"$ref", add).status)
	r.byApp("Add member to group")
	require.True(t, has())
	require.Equal(t, 400, r.write(http.MethodPost, group+"$ref", add).status)
	require.Equal(t, 400, r.write(http.MethodPost, "groups/"+r.h.groupID(0)+"/members/$ref", add).status, "a dynamic group")
	require.Empty(t, r.s.Violations())
}

func TestGrantWrites(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{}).frozen()
	has := func(id string) (found *schemas.AppGrant) {
		for _, g := range r.truth().AppGrants {
			if g.GrantID == id {
				found = &g
			}
		}
		return found
	}
	grant := r.get("oauth2PermissionGrants").value()[0]
	path := "oauth2PermissionGrants/" + grant["id"].(string)
	require.Equal(t, 204, r.write(http.MethodPatch, path, object{"scope": "User.Read"}).status)
	require.Equal(t, []string{"User.Read"}, has(grant["id"].(string)).Scopes)
	before := r.byApp("Add delegated permission grant")
	require.Equal(t, 204, r.write(http.MethodDelete, path, nil).status)
	r.byApp("Remove delegated permission grant")
	require.Nil(t, has(grant["id"].(string)))
	require.Equal(t, 404, r.get(path).status)
	require.Equal(t, 404, r.write(http.MethodDelete, path, nil).status)
	body := object{"clientId": grant["clientId"], "consentType": grant["consentType"], "principalId": grant["principalId"], "resourceId": grant["resourceId"], "scope": grant["scope"]}
	made := r.write(http.MethodPost, "oauth2PermissionGrants", body)
	require.Equal(t, 201, made.status, made.text)
	require.NotNil(t, has(made.body["id"].(string)))
	require.Equal(t, 409, r.write(http.MethodPost, "oauth2PermissionGrants", body).status)
	audits := r.get("auditLogs/directoryAudits?$top=5").value()
	require.Contains(t, audits, before, "what was logged stays as it was")

	resource := "servicePrincipals/" + r.h.servicePrincipalID(org.GraphAPI) + "/appRoleAssignedTo"
	role := r.get(resource).value()[0]
	require.Equal(t, 204, r.write(http.MethodDelete, resource+"/"+role["id"].(string), nil).status)
	r.byApp("Remove app role assignment from service principal")
	require.Nil(t, has(role["id"].(string)))
	body = object{"principalId": role["principalId"], "resourceId": role["resourceId"], "appRoleId": role["appRoleId"]}
	made = r.write(http.MethodPost, resource, body)
	require.Equal(t, 201, made.status, made.text)
	require.NotNil(t, has(made.body["id"].(string)))
	require.Equal(t, 400, r.write(http.MethodPost, resource, body).status)

	client := role["principalId"].(string)
	app := "servicePrincipals/" + client
	require.Equal(t, 204, r.write(http.MethodPatch, app, object{"accountEnabled": false}).status)
	r.byApp("Update service principal")
	require.Equal(t, false, r.get(app).body["accountEnabled"])
	require.Equal(t, 204, r.write(http.MethodPatch, app, object{"accountEnabled": true}).status)
	_, link := r.all("oauth2PermissionGrants/delta?$deltatoken=latest")
	require.Equal(t, 204, r.write(http.MethodDelete, app, nil).status)
	r.byApp("Remove service principal")
	require.Equal(t, 404, r.get(app).status)
	require.Equal(t, 404, r.write(http.MethodDelete, app, nil).status)
	require.Nil(t, has(made.body["id"].(string)))
	require.Equal(t, 200, r.get("directory/deletedItems/"+client).status)
	restored := r.write(http.MethodPost, "directory/deletedItems/"+client+"/restore", object{})
	require.Equal(t, 200, restored.status, restored.text)
	r.byApp("Restore service principal")
	require.NotNil(t, has(made.body["id"].(string)), "what it was granted is there again")
	r.all(link)
	require.Equal(t, 404, r.write(http.MethodPost, "directory/deletedItems/"+client+"/restore", object{}).status)
	require.Empty(t, r.s.Violations())
}

// A change lags behind its answer, if the scenario has it so.
func TestWriteLag(t *testing.T) {
	t.Parallel()
	scenario, err := sandbox.ParseScenario("lag", []byte("faults: [{kind: lag, for: 30s}]\n"))
	require.NoError(t, err)
	r := newRig(t, sandbox.Options{Scenario: scenario}).frozen()
	id, _ := r.user(plainUser)
	require.Equal(t, 204, r.write(http.MethodPatch, "users/"+id, object{"accountEnabled": false}).status)
	require.Equal(t, true, r.get("users/" + id).body["accountEnabled"])
	r.s.Fake.Advance(31 * time.Second)
	require.Equal(t, false, r.get("users/" + id).body["accountEnabled"])
}

// What comes from the company's own directory is as it is there again soon; who is
// deleted can be brought back.
func TestDirectoryOfTheCompany(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{}).frozen()
	var synced, gone string
	r.state(func(s *org.State) {
		for _, a := range s.Accounts[org.Microsoft365] {
			switch {
			case a.Synced && a.Status == org.Active && plainUser(s, a):
				synced = r.h.accountID(a.N)
			case a.Gone.IsZero() && a.Status == org.Deprovisioned:
				gone = r.h.accountID(a.N)
			}
		}
	})
	require.Equal(t, 400, r.write(http.MethodPatch, "users/"+synced, object{"passwordProfile": object{"forceChangePasswordNextSignIn": true}}).status)
	require.Equal(t, 204, r.write(http.MethodPatch, "users/"+synced, object{"accountEnabled": false}).status)
	require.Equal(t, false, r.get("users/" + synced).body["accountEnabled"])
	r.s.Fake.Advance(31 * time.Minute)
	require.Equal(t, true, r.get("users/" + synced).body["accountEnabled"])
	require.Equal(t, "Directory Synchronization", r.lastAudit()["initiatedBy"].(object)["app"].(object)["displayName"])

	require.Equal(t, 404, r.get("users/"+gone).status)
	require.Equal(t, 200, r.write(http.MethodPost, "directory/deletedItems/"+gone+"/restore", object{}).status)
	r.byApp("Restore user")
	require.Equal(t, 200, r.get("users/"+gone).status)
	require.Equal(t, 404, r.write(http.MethodPost, "directory/deletedItems/"+gone+"/restore", object{}).status)
	require.Empty(t, r.s.Violations())
}

// The Management API tells what the app did in the directory too.
func TestTwinOfAppsWork(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{}).frozen()
	id, _ := r.user(plainUser)
	require.Equal(t, 204, r.write(http.MethodPatch, "users/"+id, object{"accountEnabled": false}).status)
	r.state(func(s *org.State) {
		line := s.Timeline[org.Microsoft365]
		e := logged{org.Microsoft365, line[len(line)-1]}
		require.Equal(t, contentEntra, contentOf(e))
		v := r.h.record(s, &r.h.facts.OfficeFacts, e)
		require.Equal(t, "Disable account.", v["Operation"])
		require.Equal(t, "ServicePrincipal_"+r.h.servicePrincipalID(org.AgentApp), v["UserId"])
		a := (&truth{r.h, s, nil}).entraActivity(e)
		require.Equal(t, r.h.servicePrincipalID(org.AgentApp), a.ActorID)
	})
}
