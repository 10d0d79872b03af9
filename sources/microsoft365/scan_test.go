package microsoft365

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// pages answers by path; a page of a delta's beginning is empty.
func pages(bodies map[string]string) func(*http.Request) answer {
	return func(r *http.Request) answer {
		body, ok := bodies[strings.TrimPrefix(r.URL.Path, "/v1.0")]
		switch {
		case r.URL.Query().Get("$deltatoken") == "latest":
			return answer{body: `{"value":[],"@odata.deltaLink":"` + base + r.URL.Path + `?$deltatoken=t0"}`}
		case strings.HasPrefix(body, "!"):
			return answer{status: 403, body: `{"error":{"code":"` + body[1:] + `","message":"no"}}`}
		case ok:
			return answer{body: `{"value":[` + body + `]}`}
		}
		return answer{}
	}
}

// readStream reads all lanes of a stream.
func readStream(t *testing.T, s *session, name string) (rows schemas.Rows) {
	t.Helper()
	st := stream(t, s, name)
	all := []sources.Lane{{}}
	if st.Lanes != nil {
		all = nil
		for page, err := range st.Lanes(t.Context(), "") {
			require.NoError(t, err)
			all = append(all, page.Lanes...)
		}
	}
	for _, l := range all {
		got, last := read(t, st.Read(t.Context(), l, ""))
		require.Empty(t, last.Rejected)
		require.False(t, last.More)
		rows.Accounts, rows.Groups, rows.GroupMembers = append(rows.Accounts, got.Accounts...), append(rows.Groups, got.Groups...), append(rows.GroupMembers, got.GroupMembers...)
		rows.Privileges, rows.Apps, rows.AppGrants = append(rows.Privileges, got.Privileges...), append(rows.Apps, got.Apps...), append(rows.AppGrants, got.AppGrants...)
	}
	return rows
}

var tenant = map[string]string{
	"/users": `{"id":"u1","userPrincipalName":"Ada@contoso.com","mail":"Ada@Contoso.com","displayName":"Ada","accountEnabled":true,"userType":"Member","createdDateTime":"2020-01-02T03:04:05Z","lastPasswordChangeDateTime":"2021-01-02T03:04:05Z","department":"R&D","jobTitle":"Engineer","companyName":"Contoso","manager":{"id":"u2"},"signInActivity":{"lastSignInDateTime":"2026-09-30T10:00:00Z","lastSuccessfulSignInDateTime":"2026-09-29T10:00:00Z"}},
		{"id":"u2","userPrincipalName":"bob@contoso.com","accountEnabled":false,"userType":"Member","onPremisesDistinguishedName":"CN=Bob,DC=contoso","signInActivity":{"lastSignInDateTime":"2026-09-28T10:00:00Z","lastNonInteractiveSignInDateTime":"2026-09-28T11:00:00Z"}},
		{"id":"u3","userPrincipalName":"eve_fabrikam.com#EXT#@contoso.com","mail":"eve@fabrikam.com","accountEnabled":true,"userType":"Guest","externalUserState":"PendingAcceptance"}`,
	"/directory/deletedItems/microsoft.graph.user":           `{"id":"u4","userPrincipalName":"old@contoso.com","accountEnabled":true,"deletedDateTime":"2026-09-20T00:00:00Z"}`,
	"/reports/authenticationMethods/userRegistrationDetails": `{"id":"u1","isAdmin":true,"isMfaRegistered":true},{"id":"u3","isAdmin":false,"isMfaRegistered":false}`,
	"/servicePrincipals": `{"id":"s1","appId":"a1","displayName":"Backup","servicePrincipalType":"Application","accountEnabled":true,"appOwnerOrganizationId":"11111111-2222-3333-4444-555555555555","createdDateTime":"2022-01-01T00:00:00Z","verifiedPublisher":{"displayName":"Vendor Inc","verifiedPublisherId":"7"},"publisherName":"Other","replyUrls":["https://backup.example/cb"],"passwordCredentials":[{"keyId":"k1","endDateTime":"2027-01-01T00:00:00Z"}],"keyCredentials":[{"keyId":"k2","endDateTime":null}]},
		{"id":"s2","appId":"00000003-0000-0000-c000-000000000000","displayName":"Microsoft Graph","servicePrincipalType":"Application","accountEnabled":true,"appOwnerOrganizationId":"f8cdef31-a31e-4b4a-93e4-5f571e91255a","appRoles":[{"id":"r1","value":"Mail.Read"},{"id":"r2","value":"User.ReadBasic.All"}]},
		{"id":"s3","appId":"a3","servicePrincipalType":"ManagedIdentity","accountEnabled":false,"appOwnerOrganizationId":"` + testTenant + `"}`,
	"/roleManagement/directory/roleDefinitions":                  `{"id":"rd1","displayName":"Global Administrator","isBuiltIn":true},{"id":"rd2","displayName":"Security Reader","isBuiltIn":true},{"id":"rd3","displayName":"Ours","isBuiltIn":false}`,
	"/roleManagement/directory/roleAssignments":                  `{"id":"ra1","principalId":"u1","roleDefinitionId":"rd1","directoryScopeId":"/","principal":{"@odata.type":"#microsoft.graph.user","id":"u1"}},{"id":"ra2","principalId":"g1","roleDefinitionId":"rd2","directoryScopeId":"/administrativeUnits/au1","principal":{"@odata.type":"#microsoft.graph.group","id":"g1"}},{"id":"ra3","principalId":"s1","roleDefinitionId":"rd3","directoryScopeId":"/x","condition":"@c","principal":{"@odata.type":"#microsoft.graph.servicePrincipal","id":"s1"}}`,
	"/roleManagement/directory/roleAssignmentScheduleInstances":  `{"id":"ra1","principalId":"u1","roleDefinitionId":"rd1","directoryScopeId":"/","startDateTime":"2026-01-01T00:00:00Z","endDateTime":"2026-12-31T00:00:00Z","memberType":"Direct"},{"id":"si2","roleAssignmentOriginId":"ra2","principalId":"u3","roleDefinitionId":"rd2","directoryScopeId":"/administrativeUnits/au1","memberType":"Group","startDateTime":"2026-02-01T00:00:00Z","principal":{"@odata.type":"#microsoft.graph.user","id":"u3"}}`,
	"/roleManagement/directory/roleEligibilityScheduleInstances": `{"id":"e1","principalId":"u2","roleDefinitionId":"rd1","directoryScopeId":"/","startDateTime":"2026-03-01T00:00:00Z","principal":{"@odata.type":"#microsoft.graph.user","id":"u2"}}`,
	"/groups":                                 `{"id":"g1","displayName":"Readers","description":"d","mail":"Readers@contoso.com","mailEnabled":true,"securityEnabled":true,"groupTypes":[],"createdDateTime":"2020-05-05T00:00:00Z"},{"id":"g2","displayName":"Team","mailEnabled":true,"securityEnabled":false,"groupTypes":["Unified","DynamicMembership"]},{"id":"g3","displayName":"List","mailEnabled":true,"securityEnabled":false},{"id":"g4","displayName":"Sec","securityEnabled":true}`,
	"/groups/g1/members":                      `{"@odata.type":"#microsoft.graph.user","id":"u3"},{"@odata.type":"#microsoft.graph.group","id":"g4"},{"@odata.type":"#microsoft.graph.servicePrincipal","id":"s1"},{"@odata.type":"#microsoft.graph.orgContact","id":"c1"},{"@odata.type":"#microsoft.graph.device","id":"d1"}`,
	"/groups/g1/owners":                       `{"@odata.type":"#microsoft.graph.user","id":"u1"}`,
	"/groups/g1/transitiveMembers":            `{"@odata.type":"#microsoft.graph.user","id":"u3"}`,
	"/oauth2PermissionGrants":                 `{"id":"dg1","clientId":"s1","consentType":"AllPrincipals","principalId":null,"resourceId":"s2","scope":" Files.ReadWrite.All User.Read"},{"id":"dg2","clientId":"s9","consentType":"Principal","principalId":"u2","resourceId":"s2","scope":"User.Read"}`,
	"/servicePrincipals/s2/appRoleAssignedTo": `{"id":"ar1","appRoleId":"r1","createdDateTime":"2023-01-01T00:00:00Z","principalId":"s1","principalType":"ServicePrincipal","principalDisplayName":"Backup","resourceId":"s2","resourceDisplayName":"Microsoft Graph"},{"id":"ar2","appRoleId":"r2","principalId":"s3","principalType":"ServicePrincipal"},{"id":"ar3","appRoleId":"zz","principalId":"s3","principalType":"ServicePrincipal"},{"id":"ar4","appRoleId":"r1","principalId":"u1","principalType":"User"}`,
}

// with returns the tenant's pages with some of them changed.
func with(changes map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range []map[string]string{tenant, changes} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// Every kind of record, read through the streams and mapped. Batches answer
// nothing here, so that each of their requests is made alone.
func TestMapGolden(t *testing.T) {
	t.Parallel()
	s := newVendor(t, func(r *http.Request) answer {
		if r.URL.Path == pathBatch {
			return answer{body: `{"responses":[{"id":"1","status":429,"headers":{"Retry-After":"2.1"},"body":{}},{"id":"77","status":200},{"id":"x"}]}`}
		}
		return pages(tenant)(r)
	}).open(nil)
	for name, tables := range map[string][]string{"accounts": {"accounts"}, "groups": {"groups", "group_members"}, "privileges": {"privileges"}, "apps": {"apps", "app_grants"}} {
		rows := readStream(t, s, name)
		for _, table := range tables {
			require.NotZero(t, rows.Len(schemas.ByName(table)))
			golden(t, table, table, &rows)
		}
	}
}

// What is refused beside the listing leaves its columns not asked.
func TestRefusedSides(t *testing.T) {
	t.Parallel()
	s := newVendor(t, func(r *http.Request) answer {
		if strings.Contains(r.URL.Query().Get("$select"), "signInActivity") {
			return answer{status: 403, body: `{"error":{"code":"Authentication_RequestFromNonPremiumTenantOrB2CTenant","message":"Neither tenant is B2C or tenant doesn't have premium license"}}`}
		}
		return pages(with(map[string]string{
			"/reports/authenticationMethods/userRegistrationDetails":    "!Authorization_RequestDenied",
			"/roleManagement/directory/roleAssignmentScheduleInstances": "!AadPremiumLicenseRequired",
		}))(r)
	}).open(nil)
	rows, _ := read(t, stream(t, s, "accounts").Read(t.Context(), sources.Lane{ID: laneUsers}, ""))
	require.Len(t, rows.Accounts, 4)
	require.Equal(t, []string{"mfa_enabled", "last_login_at"}, rows.Accounts[0].NotAsked)
	require.Equal(t, schemas.Some(true), rows.Accounts[0].IsAdmin)
	require.Equal(t, schemas.Some(true), rows.Accounts[2].IsAdmin, "by a group")
	privileges := stream(t, s, "privileges")
	rows, _ = read(t, privileges.Read(t.Context(), sources.Lane{ID: laneAssigned}, ""))
	require.Equal(t, []string{"assigned_at", "expires_at"}, rows.Privileges[0].NotAsked)
	for _, err := range privileges.Read(t.Context(), sources.Lane{ID: laneScheduled}, "") {
		require.Equal(t, fault.NotLicensed, fault.Of(err))
	}
	require.Equal(t, fault.Forbidden, fault.Of(s.Probe(t.Context(), "accounts/mfa_enabled")))
	require.Equal(t, fault.NotLicensed, fault.Of(s.Probe(t.Context(), "accounts/last_login_at")))
	require.Equal(t, fault.NotLicensed, fault.Of(s.Probe(t.Context(), "privileges/scheduled")))
	for _, c := range capabilities {
		_, ok := probes[c.Name]
		require.True(t, ok || c.Name == streamSignIns, c.Name)
	}
	require.Equal(t, fault.Permanent, fault.Of(s.Probe(t.Context(), "dreams")))
}

// The contract's sample page of a delta, byte for byte.
func TestUsersDelta(t *testing.T) {
	t.Parallel()
	sample := fixture(t, "users_delta")
	v := newVendor(t, func(r *http.Request) answer {
		switch {
		case r.URL.Path == pathUsersDelta && r.URL.RawQuery == "$deltatoken=t0":
			return answer{body: sample}
		case r.URL.Path == pathUsersDelta && r.URL.RawQuery == "$skiptoken=opaque1":
			return answer{body: `{"value":[{"id":"9","@removed":{"reason":"deleted"}}],"@odata.deltaLink":"` + base + pathUsersDelta + `?$deltatoken=t1"}`}
		case r.URL.Path == pathUsersDelta && r.URL.RawQuery == "$deltatoken=t1":
			return answer{status: 410, body: `{"error":{"code":"syncStateNotFound"}}`}
		}
		return pages(with(map[string]string{"/directory/deletedItems/microsoft.graph.user": `{"id":"7f31c2d0-…","displayName":"Gone","deletedDateTime":"2026-09-20T00:00:00Z"}`}))(r)
	})
	st, lane := stream(t, v.open(nil), "accounts"), sources.Lane{ID: laneUsers}
	_, last := read(t, st.Read(t.Context(), lane, ""))
	var gone []sources.Gone
	var rows []schemas.Account
	next := last.Delta
	for page, err := range st.Delta(t.Context(), lane, last.Delta) {
		require.NoError(t, err)
		gone, rows, next = append(gone, page.Gone...), append(rows, page.Rows.Accounts...), page.Next
	}
	require.Equal(t, []sources.Gone{{Table: tableAccounts, Key: []string{"9"}, Reason: "deleted"}}, gone)
	require.Len(t, rows, 2)
	require.Equal(t, []string{"26be570a-…", "Ada", "active", "human"}, []string{rows[0].AccountID, rows[0].DisplayName, rows[0].Status, rows[0].Kind})
	require.ElementsMatch(t, []string{"manager_id", "mfa_enabled", "last_login_at"}, rows[0].NotAsked)
	require.Equal(t, []string{"7f31c2d0-…", "deleted"}, []string{rows[1].AccountID, rows[1].Status})
	for _, err := range st.Delta(t.Context(), lane, next) {
		require.Equal(t, fault.Expired, fault.Of(err))
	}
	for _, err := range st.Delta(t.Context(), lane, "") {
		require.Equal(t, fault.Expired, fault.Of(err))
	}
}

// A large group comes in several elements; the last word on a member counts.
func TestGroupsDelta(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(*http.Request) answer {
		return answer{body: `{"@odata.deltaLink":"` + base + pathGroupsDelta + `?$deltatoken=t1","value":[
			{"id":"g1","displayName":"One","securityEnabled":true,"members@delta":[{"@odata.type":"#microsoft.graph.user","id":"u1"},{"@odata.type":"#microsoft.graph.user","id":"u2","@removed":{"reason":"deleted"}}]},
			{"id":"g1","members@delta":[{"@odata.type":"#microsoft.graph.user","id":"u1","@removed":{"reason":"deleted"}},{"@odata.type":"#microsoft.graph.user","id":"u2"}],"owners@delta":[{"@odata.type":"#microsoft.graph.user","id":"u2","@removed":{"reason":"deleted"}}]},
			{"id":"g2","@removed":{"reason":"changed"}}]}`}
	})
	rows, last := read(t, stream(t, v.open(nil), "groups").Delta(t.Context(), sources.Lane{}, cursor{At: pathGroupsDelta + "?$deltatoken=t0"}.String()))
	require.Len(t, rows.Groups, 1)
	require.Equal(t, "security", rows.Groups[0].Kind)
	require.Equal(t, []schemas.GroupMember{{GroupID: "g1", MemberID: "u2", MemberKind: "account", Role: "member"}}, rows.GroupMembers)
	require.ElementsMatch(t, []sources.Gone{
		{Table: tableMembers, Key: []string{"g1", "u1", "member"}, Reason: "deleted"},
		{Table: tableMembers, Key: []string{"g1", "u2", "owner"}, Reason: "deleted"},
		{Table: tableGroups, Key: []string{"g2"}, Reason: "soft_deleted"},
	}, last.Gone)
}

// Answers of a batch come in any order, with links that go on outside it.
func TestBatch(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(r *http.Request) answer {
		switch {
		case r.URL.Path == pathBatch:
			return answer{body: `{"responses":[
				{"id":"2","status":200,"body":{"value":[{"@odata.type":"#microsoft.graph.user","id":"u9"}]}},
				{"id":"1","status":200,"body":{"value":[{"@odata.type":"#microsoft.graph.user","id":"u1"}],"@odata.nextLink":"` + base + `/v1.0/groups/g1/members?$skiptoken=x"}}]}`}
		case r.URL.RawQuery == "$skiptoken=x":
			return answer{body: `{"value":[{"@odata.type":"#microsoft.graph.user","id":"u2"}]}`}
		}
		return pages(map[string]string{"/groups": `{"id":"g1","displayName":"One"}`})(r)
	})
	rows, last := read(t, stream(t, v.open(nil), "groups").Read(t.Context(), sources.Lane{}, ""))
	var got []string
	for _, m := range rows.GroupMembers {
		got = append(got, m.MemberID+" "+m.Role)
	}
	require.Equal(t, []string{"u1 member", "u2 member", "u9 owner"}, got)
	require.Equal(t, cursor{At: pathGroupsDelta + "?$deltatoken=t0"}.String(), last.Delta)
	require.Len(t, v.requests(), 4, "the delta's beginning, the list, a batch, the second page of members")
}

// Links lead nowhere but to the base URL.
func TestForeignLinks(t *testing.T) {
	t.Parallel()
	for _, link := range []string{"https://evil.example/v1.0/groups?$skiptoken=1", "//evil.example/x", "http://u:p@graph.example/", base + "/../x"} {
		v := newVendor(t, func(r *http.Request) answer {
			return answer{body: `{"value":[],"@odata.nextLink":"` + link + `"}`}
		})
		for _, err := range stream(t, v.open(nil), "privileges").Read(t.Context(), sources.Lane{ID: laneEligible}, "") {
			require.Equal(t, fault.BadData, fault.Of(err), link)
		}
	}
}

func TestAsk(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(r *http.Request) answer {
		if strings.HasSuffix(r.URL.Path, "/servicePrincipals/s1") || strings.HasSuffix(r.URL.Path, "/users/u1") {
			return answer{body: `{"id":"x"}`}
		}
		return answer{status: 404, body: `{"error":{"code":"Request_ResourceNotFound","message":"Resource does not exist","innerError":{"code":"x"}}}`}
	})
	s := v.open(nil)
	for id, want := range map[string]sources.Answer{"u1": sources.Exists, "s1": sources.Exists, "u9": sources.Deleted} {
		got, err := stream(t, s, "accounts").Ask(t.Context(), tableAccounts, []string{id})
		require.NoError(t, err)
		require.Equal(t, want, got, id)
	}
	got, err := stream(t, s, "groups").Ask(t.Context(), tableGroups, []string{"g"})
	require.NoError(t, err)
	require.Equal(t, sources.Deleted, got)
	got, err = stream(t, s, "groups").Ask(t.Context(), tableMembers, []string{"g", "u", "member"})
	require.NoError(t, err)
	require.Equal(t, sources.Unsure, got)
}

// A group of many is yielded in parts, each with a place to go on from: wherever
// a reader stops, nobody is missing and the groups around it are whole.
func TestManyMembers(t *testing.T) {
	t.Parallel()
	const perPage, perGroup = 999, 13
	member := func(page int) string {
		var b strings.Builder
		for i := range perPage {
			fmt.Fprintf(&b, `,{"@odata.type":"#microsoft.graph.user","id":"u%d"}`, page*perPage+i)
		}
		return b.String()[1:]
	}
	usual := pages(with(map[string]string{"/groups/g1/members": member(perGroup), "/groups/g1/owners": ""}))
	s := newVendor(t, func(r *http.Request) answer {
		if r.URL.Path == pathBatch {
			return answer{body: `{"responses":[]}`}
		}
		at, many := r.URL.Query().Get("$skiptoken"), strings.HasPrefix(r.URL.Path, "/v1.0/groups/g2/")
		if !many {
			return usual(r)
		}
		n, _ := strconv.Atoi(at)
		next := ""
		if n+1 < perGroup {
			next = fmt.Sprintf(`,"@odata.nextLink":"%s%s?$skiptoken=%d"`, base, r.URL.Path, n+1)
		}
		return answer{body: `{"value":[` + member(n) + `]` + next + `}`}
	}).open(nil)
	groups := stream(t, s, "groups")
	all, _ := read(t, groups.Read(t.Context(), sources.Lane{}, ""))
	require.Len(t, all.GroupMembers, perPage*(1+2*perGroup))

	var before schemas.Rows
	seen, cursor := map[sources.Cursor]bool{}, sources.Cursor("")
	for more := true; more; { // one page each time, then stopped
		for page, err := range groups.Read(t.Context(), sources.Lane{}, cursor) {
			require.NoError(t, err)
			before.GroupMembers = append(before.GroupMembers, page.Rows.GroupMembers...)
			before.Groups = append(before.Groups, page.Rows.Groups...)
			require.Less(t, len(page.Rows.GroupMembers), maxRows+2*perPage)
			require.False(t, page.More && seen[page.Next], "the cursor moves")
			seen[page.Next] = true
			cursor, more = page.Next, page.More
			break
		}
	}
	require.Greater(t, len(seen), 5)
	key := func(m schemas.GroupMember) string { return m.GroupID + m.MemberID + m.Role }
	had := map[string]bool{}
	for _, m := range before.GroupMembers {
		had[key(m)] = true
	}
	require.Len(t, had, len(all.GroupMembers))
	require.Less(t, len(before.GroupMembers), len(all.GroupMembers)*3/2, "it goes on where it was")
	names := map[string]bool{}
	for _, g := range before.Groups {
		names[g.GroupID] = true
	}
	require.Len(t, names, len(all.Groups))
}
