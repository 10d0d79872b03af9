package microsoft365

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/schemas"
)

func text0(v any) string { s, _ := v.(string); return s }

func when(v any) schemas.Time {
	if v == nil {
		return 0
	}
	t, err := time.Parse(time.RFC3339Nano, v.(string))
	if err != nil {
		panic(err)
	}
	return schemas.Time(t.UnixMilli())
}

// keyed puts rows under their keys, which are unique.
func keyed[T any](t *testing.T, rows []T, key func(*T) string) map[string]*T {
	t.Helper()
	m := map[string]*T{}
	for i := range rows {
		k := key(&rows[i])
		require.NotContains(t, m, k)
		m[k] = &rows[i]
	}
	require.NotEmpty(t, m)
	return m
}

// What a client reads is what is true, for all that the directory holds.
func TestDirectoryIsTheTruth(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 120, History: 6 * day})
	r.unlimited()
	truth := r.s.Truth(org.Microsoft365, "acme")

	accounts := keyed(t, truth.Accounts, func(a *schemas.Account) string { return a.AccountID })
	users, _ := r.all("users?$top=50&$expand=manager($select=id)")
	seen := map[string]int{}
	for _, u := range users {
		a := accounts[u["id"].(string)]
		require.NotNil(t, a)
		seen[a.Status]++
		manager, _ := u["manager"].(object)
		require.Equal(t, a.ManagerID, text0(manager["id"]))
		require.Equal(t, a.Login, u["userPrincipalName"])
		require.Equal(t, a.Kind == "guest", u["userType"] == "Guest")
		require.Equal(t, a.Status == "invited", u["externalUserState"] == "PendingAcceptance")
		require.Equal(t, a.Status != "suspended", u["accountEnabled"])
		require.Equal(t, a.CreatedAt, when(u["createdDateTime"]))
		require.Equal(t, a.OrgUnit, text0(u["companyName"])+text0(u["onPremisesDistinguishedName"]))
	}
	deleted, _ := r.all("directory/deletedItems/microsoft.graph.user")
	for _, u := range deleted {
		require.Equal(t, "deleted", accounts[u["id"].(string)].Status)
		require.NotNil(t, u["deletedDateTime"])
	}
	apps, _ := r.all("servicePrincipals?$top=7")
	require.Len(t, accounts, len(users)+len(deleted)+len(apps))
	for _, k := range []string{"active", "suspended", "invited"} {
		require.NotZero(t, seen[k], k)
	}
	require.NotEmpty(t, deleted)

	active, _ := r.all("users?$select=id,signInActivity&$top=120")
	require.Len(t, active, len(users))
	never := 0
	for _, u := range active {
		require.LessOrEqual(t, len(u), 2)
		x, _ := u["signInActivity"].(object)
		last := when(x["lastSuccessfulSignInDateTime"])
		if last == 0 {
			last = max(when(x["lastSignInDateTime"]), when(x["lastNonInteractiveSignInDateTime"]))
		}
		require.Equal(t, accounts[u["id"].(string)].LastLoginAt, last)
		if last == 0 {
			never++
		}
	}
	require.NotZero(t, never)

	details, _ := r.all("reports/authenticationMethods/userRegistrationDetails")
	for _, d := range details {
		a := accounts[d["id"].(string)]
		require.Equal(t, schemas.Some(d["isMfaRegistered"].(bool)), a.MFAEnabled)
		require.Equal(t, schemas.Some(d["isAdmin"].(bool)), a.IsAdmin)
		delete(seen, "")
		seen["told"]++
	}
	for _, a := range accounts {
		if a.MFAEnabled.Known {
			seen["told"]--
		}
	}
	require.Zero(t, seen["told"])

	groups := keyed(t, truth.Groups, func(g *schemas.Group) string { return g.GroupID })
	members := keyed(t, truth.GroupMembers, func(m *schemas.GroupMember) string { return m.GroupID + m.MemberID + m.Role })
	list, _ := r.all("groups?$top=5")
	require.Len(t, list, len(groups))
	kinds, n := map[string]bool{}, 0
	for _, g := range list {
		row := groups[g["id"].(string)]
		kinds[row.Kind] = true
		require.Equal(t, strings.HasPrefix(row.Kind, "microsoft365"), slices.Contains(g["groupTypes"].([]any), any("Unified")))
		require.Equal(t, strings.HasSuffix(row.Kind, "_dynamic"), g["membershipRule"] != nil)
		require.Equal(t, row.Email, text0(g["mail"]))
		for _, role := range []string{"member", "owner"} {
			in, _ := r.all("groups/" + row.GroupID + "/" + role + "s?$select=id&$top=9")
			for _, m := range in {
				x := members[row.GroupID+m["id"].(string)+role]
				require.NotNil(t, x)
				require.Equal(t, x.MemberKind, map[string]string{
					"user": "account", "group": "group", "servicePrincipal": "service", "device": "", "orgContact": "external",
				}[strings.TrimPrefix(m["@odata.type"].(string), "#microsoft.graph.")])
				require.Len(t, m, 2)
				n++
			}
		}
	}
	require.Len(t, members, n)
	for _, k := range []string{"microsoft365", "security", "distribution", "mail_security", "security_dynamic"} {
		require.True(t, kinds[k], k)
	}

	privileges := keyed(t, truth.Privileges, func(p *schemas.Privilege) string { return p.PrivilegeID })
	held := map[string]bool{}
	names := map[any]any{}
	definitions, _ := r.all("roleManagement/directory/roleDefinitions?$select=id,displayName")
	for _, d := range definitions {
		names[d["id"]] = d["displayName"]
	}
	assigned, _ := r.all("roleManagement/directory/roleAssignments?$expand=principal")
	for _, a := range assigned {
		row := privileges[a["id"].(string)]
		held[row.PrivilegeID] = true
		require.Equal(t, row.PrincipalID, a["principalId"])
		require.Equal(t, row.PrincipalID, a["principal"].(object)["id"])
		require.Equal(t, row.Scope, a["directoryScopeId"])
		require.Equal(t, row.RoleName, names[a["roleDefinitionId"]])
	}
	instances, _ := r.all("roleManagement/directory/roleAssignmentScheduleInstances")
	eligible, _ := r.all("roleManagement/directory/roleEligibilityScheduleInstances")
	for _, x := range append(instances, eligible...) {
		id := x["id"].(string)
		if privileges[id] == nil {
			id = x["roleAssignmentOriginId"].(string)
		}
		held[id] = true
		require.Equal(t, privileges[id].AssignedAt, when(x["startDateTime"]))
		require.Equal(t, privileges[id].ExpiresAt, when(x["endDateTime"]))
	}
	require.Len(t, held, len(privileges))
	require.NotEmpty(t, eligible)

	rows := keyed(t, truth.Apps, func(a *schemas.App) string { return a.AppID })
	require.Len(t, rows, len(apps))
	grants := keyed(t, truth.AppGrants, func(g *schemas.AppGrant) string { return g.GrantID })
	delegated, _ := r.all("oauth2PermissionGrants?$top=20")
	n = len(delegated)
	for _, g := range delegated {
		row := grants[g["id"].(string)]
		require.Equal(t, row.Scopes, strings.Fields(g["scope"].(string)))
		require.Equal(t, row.Consent == "admin", g["consentType"] == "AllPrincipals")
		require.Equal(t, row.AppID, g["clientId"])
	}
	for _, in := range apps {
		require.Equal(t, rows[in["id"].(string)].OwnerTenant, in["appOwnerOrganizationId"])
		roles := map[any]any{}
		for _, x := range in["appRoles"].([]any) {
			roles[x.(object)["id"]] = x.(object)["value"]
		}
		to, _ := r.all("servicePrincipals/" + in["id"].(string) + "/appRoleAssignedTo")
		for _, g := range to {
			if g["principalType"] == "ServicePrincipal" {
				require.Equal(t, grants[g["id"].(string)].Scopes, []string{roles[g["appRoleId"]].(string)})
				n++
			} else {
				seen[g["principalType"].(string)]++
			}
		}
	}
	require.Len(t, grants, n)
	require.NotZero(t, seen["User"])
	require.NotZero(t, seen["Group"])
	r.s.NoViolations()
}

// What the two logs tell is what happened.
func TestLogsAreTheTruth(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 60, History: 8 * day})
	r.unlimited()
	logs := new(schemas.Rows)
	r.s.World("acme").View(func(s *org.State) { (&truth{r.h, s, logs}).directoryLogs() })
	rows := keyed(t, logs.Activities, func(a *schemas.Activity) string { return a.EventID })
	told, _ := r.all("auditLogs/directoryAudits?$orderby=activityDateTime&$top=50")
	actions := map[string]bool{}
	for i, e := range told {
		a := rows[e["id"].(string)]
		actions[a.Action] = true
		require.Equal(t, a.Action, e["activityDisplayName"])
		require.Equal(t, a.Time, when(e["activityDateTime"]))
		require.Equal(t, a.Kind, map[bool]string{true: "user", false: "admin"}[a.Action == "Change user password"])
		require.True(t, i == 0 || e["activityDateTime"].(string) >= told[i-1]["activityDateTime"].(string))
		require.NotZero(t, a.ClassUID, a.Action)
		by := e["initiatedBy"].(object)
		if u, ok := by["user"].(object); ok {
			require.Equal(t, a.ActorID, u["id"])
		} else {
			require.Equal(t, a.ActorID, by["app"].(object)["servicePrincipalId"])
		}
		require.Len(t, a.TargetIDs, len(e["targetResources"].([]any)))
	}
	require.Greater(t, len(actions), 15)

	const kinds = "(signInEventTypes/any(t: t eq 'interactiveUser' or t eq 'nonInteractiveUser' or t eq 'servicePrincipal' or t eq 'managedIdentity'))"
	signed, _ := r.all("beta/auditLogs/signIns?$filter=" + kinds + "&$orderby=createdDateTime&$top=40")
	require.Len(t, rows, len(told)+len(signed))
	types, outcomes := map[string]int{}, map[string]bool{}
	for _, e := range signed {
		a := rows[e["id"].(string)]
		types[a.Action]++
		outcomes[a.Outcome] = true
		require.Equal(t, a.Action, e["signInEventTypes"].([]any)[0])
		require.Equal(t, a.Outcome == "success", e["status"].(object)["errorCode"] == float64(0))
		require.Equal(t, a.ActorID, text0(e["userId"])+text0(e["servicePrincipalId"]))
	}
	require.Len(t, types, 4)
	require.Len(t, outcomes, 3)
	plain, _ := r.all("auditLogs/signIns")
	require.Len(t, plain, types[interactive])
	require.GreaterOrEqual(t, plain[0]["createdDateTime"], plain[len(plain)-1]["createdDateTime"], "newest first")
	beta, _ := r.all("beta/auditLogs/signIns")
	require.Len(t, beta, types[interactive])

	// Windows include both ends, and know no other operators.
	mid := told[len(told)/2]["activityDateTime"].(string)
	before, _ := r.all("auditLogs/directoryAudits?$filter=activityDateTime le " + mid)
	after, _ := r.all("auditLogs/directoryAudits?$filter=activityDateTime ge " + mid)
	same, _ := r.all("auditLogs/directoryAudits?$filter=activityDateTime eq " + mid)
	require.Len(t, told, len(before)+len(after)-len(same))
	for _, bad := range []string{"activityDateTime gt " + mid, "activityDateTime lt " + mid, "result eq 'success'", "nonsense"} {
		require.Equal(t, 400, r.get("auditLogs/directoryAudits?$filter="+bad).status, bad)
	}
	require.Equal(t, 400, r.get("auditLogs/signIns?$filter="+kinds).status, "in version 1.0")
	r.s.NoViolations()
}

// A sign-in's risk becomes known later, under the same id.
func TestSignInsAreRewritten(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 80, History: day})
	r.unlimited()
	level := map[any]any{}
	rewritten := false
	for range 40 {
		since := r.s.Clock.Now().Add(-3 * time.Hour).Format(time.RFC3339)
		list, _ := r.all("auditLogs/signIns?$filter=createdDateTime ge " + since)
		for _, e := range list {
			if old, ok := level[e["id"]]; ok && old != e["riskLevelDuringSignIn"] {
				require.Equal(t, "none", old)
				rewritten = true
			}
			level[e["id"]] = e["riskLevelDuringSignIn"]
		}
		r.login()
		r.s.Fake.Advance(30 * time.Minute)
	}
	require.True(t, rewritten)
}
