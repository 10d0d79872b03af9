package okta

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

func userBody(ids ...int) string {
	var b []string
	for _, i := range ids {
		b = append(b, fmt.Sprintf(`{"id":"00u%d","status":"ACTIVE","profile":{"login":"u%d@acme.example","email":"u%d@acme.example"}}`, i, i, i))
	}
	return "[" + strings.Join(b, ",") + "]"
}

func refuse(code string) answer { return answer{status: 403, body: `{"errorCode":"` + code + `"}`} }

// The plain list hides deprovisioned users: they are asked for too. The delta
// begins when the round began.
func TestAccountsRound(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(r *http.Request) answer {
		q := r.URL.Query()
		switch {
		case r.URL.Path == pathAssignees && q.Get("after") == "":
			return answer{body: `{"value":[{"id":"00u1"}],"_links":{"next":{"href":"https://x.example/api/v1/iam/assignees/users?limit=100&after=2"}}}`}
		case r.URL.Path == pathAssignees:
			return answer{body: `{"value":[{"id":"00u9"}]}`}
		case q.Get("filter") == `status eq "DEPROVISIONED"`:
			return answer{body: strings.Replace(userBody(9), "ACTIVE", "DEPROVISIONED", 1)}
		case strings.HasPrefix(q.Get("filter"), "lastUpdated gt"):
			return answer{body: userBody(2)}
		case q.Get("after") == "p2":
			return answer{body: userBody(3)}
		}
		return answer{body: userBody(1, 2), next: "https://login.acme.example/api/v1/users?after=p2&limit=200"}
	})
	st := stream(t, v.open(nil), "accounts")
	var cursors []sources.Cursor
	var ids []string
	var last sources.Page
	for page, err := range st.Read(t.Context(), sources.Lane{}, "") {
		require.NoError(t, err)
		for _, a := range page.Rows.Accounts {
			ids = append(ids, a.AccountID)
			require.Equal(t, schemas.Some(a.AccountID == "00u1" || a.AccountID == "00u9"), a.IsAdmin)
			require.Empty(t, a.NotAsked) // factors are switched off: unknown, but not for want of an answer
			require.False(t, a.MFAEnabled.Known)
		}
		cursors, last = append(cursors, page.Next), *page
	}
	require.Equal(t, []string{"00u1", "00u2", "00u3", "00u9"}, ids)
	require.False(t, last.More)
	require.Equal(t, []string{
		"/api/v1/iam/assignees/users limit=100", "/api/v1/iam/assignees/users limit=100&after=2",
		"/api/v1/users limit=200", "/api/v1/users after=p2&limit=200", `/api/v1/users filter=status eq "DEPROVISIONED"&limit=200`,
	}, v.requests())
	// A round that was cut short goes on where it was, and knows when it began.
	rows, again := read(t, st.Read(t.Context(), sources.Lane{}, cursors[0]))
	require.Equal(t, last.Delta, again.Delta)
	require.Equal(t, "00u3", rows.Accounts[0].AccountID)
	require.Equal(t, schemas.Some(false), rows.Accounts[0].IsAdmin) // who is an administrator is asked again
	v.requests()

	rows, delta := read(t, st.Delta(t.Context(), sources.Lane{}, last.Delta))
	require.Len(t, rows.Accounts, 1)
	asked := v.requests()
	require.Regexp(t, `^/api/v1/users filter=lastUpdated gt "2026-10-01T1[12]:5\d:\d\d\.\d{3}Z"&limit=200$`, asked[len(asked)-1])
	at, err := parseCursor(last.Delta)
	require.NoError(t, err)
	require.Contains(t, asked[len(asked)-1], formatTime(noon.Add(0))[:11])
	next, err := parseCursor(delta.Next)
	require.NoError(t, err)
	require.GreaterOrEqual(t, next.Time, at.Time)
	require.Empty(t, next.At)
}

func TestAccountsDeltaResumes(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(r *http.Request) answer {
		q := r.URL.Query()
		switch {
		case r.URL.Path == pathAssignees:
			return refuse("E0000006")
		case q.Get("after") == "d2":
			return answer{body: userBody(2)}
		}
		return answer{body: userBody(1), next: "/api/v1/users?after=d2"}
	})
	st := stream(t, v.open(nil), "accounts")
	start := cursor{Time: noon.UnixMilli()}.String()
	var first sources.Cursor
	for page, err := range st.Delta(t.Context(), sources.Lane{}, start) {
		require.NoError(t, err)
		require.Equal(t, []string{"is_admin"}, page.Rows.Accounts[0].NotAsked)
		require.False(t, page.Rows.Accounts[0].IsAdmin.Known)
		first = page.Next
		break
	}
	v.requests()
	rows, last := read(t, st.Delta(t.Context(), sources.Lane{}, first))
	require.Equal(t, "00u2", rows.Accounts[0].AccountID)
	require.Equal(t, []string{"/api/v1/iam/assignees/users limit=100", "/api/v1/users after=d2"}, v.requests())
	a, _ := parseCursor(first)
	b, _ := parseCursor(last.Next)
	require.Equal(t, a.Time, b.Time)
}

func TestAccountsFactors(t *testing.T) {
	t.Parallel()
	f := func(mode string, users int, factors answer, check func(a *schemas.Account)) {
		t.Helper()
		v := newVendor(t, func(r *http.Request) answer {
			q := r.URL.Query()
			switch {
			case strings.HasSuffix(r.URL.Path, "/factors"):
				return factors
			case r.URL.Path == pathAssignees:
				return answer{body: `{"value":[]}`}
			case q.Get("filter") != "":
				return answer{}
			}
			n := 1
			if q.Get("after") != "" {
				_, _ = fmt.Sscan(q.Get("after"), &n)
			}
			ids := []int{}
			for i := n; i <= min(n+1999, users); i++ {
				ids = append(ids, i)
			}
			a := answer{body: userBody(ids...)}
			if n+2000 <= users {
				a.next = fmt.Sprintf("/api/v1/users?after=%d", n+2000)
			}
			return a
		})
		rows, _ := read(t, stream(t, v.open(func(c *Config) { c.Accounts.Factors = mode }), "accounts").Read(t.Context(), sources.Lane{}, ""))
		if len(rows.Accounts) == 0 {
			check(nil)
			return
		}
		check(&rows.Accounts[0])
	}
	good := answer{body: `[{"factorType":"question","status":"ACTIVE"},{"factorType":"push","status":"ACTIVE"}]`}
	f("on", 1, good, func(a *schemas.Account) {
		require.Equal(t, schemas.Some(true), a.MFAEnabled)
		require.Equal(t, `{"user":`+strings.Trim(userBody(1), "[]")+`,"mfa":`+good.body+`}`, a.Raw)
	})
	f("auto", 2, answer{body: `[{"type":"email","status":"ACTIVE"},{"factorType":"push","status":"PENDING_ACTIVATION"}]`}, func(a *schemas.Account) {
		require.Equal(t, schemas.Some(false), a.MFAEnabled)
	})
	f("auto", 5001, good, func(a *schemas.Account) {
		require.False(t, a.MFAEnabled.Known)
		require.Empty(t, a.NotAsked)
	})
	f("on", 2, refuse("E0000006"), func(a *schemas.Account) {
		require.False(t, a.MFAEnabled.Known)
		require.Equal(t, []string{"mfa_enabled"}, a.NotAsked)
	})
	f("on", 1, answer{status: 404, body: `{"errorCode":"E0000007"}`}, func(a *schemas.Account) { require.Nil(t, a) })
}

func TestAsk(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(r *http.Request) answer {
		switch {
		case strings.HasSuffix(r.URL.Path, "/gone"):
			return answer{status: 404, body: `{"errorCode":"E0000007"}`}
		case strings.HasSuffix(r.URL.Path, "/page"):
			return answer{status: 404, body: `<html>`}
		}
		return answer{body: `{}`}
	})
	s := v.open(nil)
	for stream, table := range map[string]string{"accounts": tableAccounts, "groups": tableGroups} {
		ask := func(table string, key ...string) (sources.Answer, error) {
			for _, st := range s.Streams() {
				if st.Info.Name == stream {
					return st.Ask(t.Context(), table, key)
				}
			}
			return "", nil
		}
		got, err := ask(table, "00x1")
		require.NoError(t, err)
		require.Equal(t, sources.Exists, got)
		got, err = ask(table, "gone")
		require.NoError(t, err)
		require.Equal(t, sources.Deleted, got)
		got, err = ask(table, "page")
		require.Error(t, err)
		require.Equal(t, sources.Unsure, got)
		got, err = ask("group_members", "a", "b", "member")
		require.NoError(t, err)
		require.Equal(t, sources.Unsure, got)
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(r *http.Request) answer {
		q := r.URL.Query()
		switch {
		case r.URL.Path == pathGroups && q.Get("after") == "":
			return answer{body: fixture(t, "groups"), next: "https://acme.okta.com/api/v1/groups?after=g&limit=200"}
		case r.URL.Path == pathGroups:
			return answer{body: `[{"id":"00g3","type":"APP_GROUP","lastMembershipUpdated":"2026-03-01T00:00:00.000Z","profile":{"name":"x"}}]`}
		case r.URL.Path == "/api/v1/groups/00g1/users" && q.Get("after") == "":
			return answer{body: userBody(1, 2), next: "/api/v1/groups/00g1/users?limit=200&after=3"}
		case r.URL.Path == "/api/v1/groups/00g1/users":
			return answer{body: userBody(3)}
		case r.URL.Path == "/api/v1/groups/00g1/owners":
			return answer{body: `[{"id":"00u1","type":"USER"},{"id":"00g2","type":"GROUP"}]`}
		case r.URL.Path == "/api/v1/groups/00g2/owners":
			return refuse("E0000006")
		}
		return answer{status: 404, body: `{"errorCode":"E0000007"}`}
	})
	st := stream(t, v.open(nil), "groups")
	var lanes []sources.Lane
	var pages []*sources.LanePage
	for page, err := range st.Lanes(t.Context(), "") {
		require.NoError(t, err)
		lanes, pages = append(lanes, page.Lanes...), append(pages, page)
	}
	require.Equal(t, []bool{false, true}, []bool{pages[0].Complete, pages[1].Complete})
	require.Equal(t, []sources.Lane{
		{ID: "groups"},
		{ID: "members/00g1", Hint: "2026-02-01T00:00:00.000Z"},
		{ID: "owners/00g1", Hint: "2026-02-01T00:00:00.000Z"},
		{ID: "members/00g2"},
		{ID: "owners/00g2"},
		{ID: "members/00g3", Hint: "2026-03-01T00:00:00.000Z"},
		{ID: "owners/00g3", Hint: "2026-03-01T00:00:00.000Z"},
	}, lanes)
	rest := 0
	for page, err := range st.Lanes(t.Context(), pages[0].Next) {
		require.NoError(t, err)
		rest += len(page.Lanes)
	}
	require.Equal(t, 2, rest)

	rows, _ := read(t, st.Read(t.Context(), lanes[0], ""))
	require.Len(t, rows.Groups, 3)
	rows, _ = read(t, st.Read(t.Context(), lanes[1], ""))
	require.Equal(t, []schemas.GroupMember{
		{GroupID: "00g1", MemberID: "00u1", MemberKind: "account", Role: "member"}, {GroupID: "00g1", MemberID: "00u2", MemberKind: "account", Role: "member"}, {GroupID: "00g1", MemberID: "00u3", MemberKind: "account", Role: "member"},
	}, rows.GroupMembers)
	rows, _ = read(t, st.Read(t.Context(), lanes[2], ""))
	require.Equal(t, []schemas.GroupMember{
		{GroupID: "00g1", MemberID: "00u1", MemberKind: "account", Role: "owner"}, {GroupID: "00g1", MemberID: "00g2", MemberKind: "group", Role: "owner"},
	}, rows.GroupMembers)
	require.Equal(t, fault.Forbidden, fault.Of(firstError(st.Read(t.Context(), lanes[4], ""))))
	rows, last := read(t, st.Read(t.Context(), sources.Lane{ID: "members/gone"}, "")) // deleted since it was listed
	require.Empty(t, rows.GroupMembers)
	require.False(t, last.More)
	require.Error(t, firstError(st.Read(t.Context(), sources.Lane{ID: "other"}, "")))
	require.Error(t, firstError(st.Read(t.Context(), sources.Lane{ID: "members/.."}, "")))
	require.Equal(t, fault.Expired, fault.Of(firstError(st.Read(t.Context(), lanes[0], "x"))))
}

func firstError(seq func(func(*sources.Page, error) bool)) (first error) {
	for _, err := range seq {
		if err != nil {
			return err
		}
	}
	return nil
}

// A place in a listing that the vendor no longer takes has the lane read anew.
func TestPlaceRefused(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(*http.Request) answer { return answer{status: 400, body: `{"errorCode":"E0000031"}`} })
	s := v.open(nil)
	at := cursor{At: "/api/v1/groups?after=x"}.String()
	require.Equal(t, fault.Expired, fault.Of(firstError(stream(t, s, "groups").Read(t.Context(), sources.Lane{ID: laneGroups}, at))))
	require.Equal(t, fault.BadData, fault.Of(firstError(stream(t, s, "groups").Read(t.Context(), sources.Lane{ID: laneGroups}, ""))))
}

func TestPrivileges(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(r *http.Request) answer {
		switch {
		case r.URL.Path == pathAssignees:
			return answer{body: `{"value":[{"id":"00u1"},{"id":"gone"}]}`}
		case r.URL.Path == "/api/v1/users/00u1/roles":
			role := `{"id":"ra1","type":"APP_ADMIN","label":"App","status":"ACTIVE","assignmentType":"USER"%s}`
			if r.URL.Query().Get("expand") == "targets/catalog/apps" {
				return answer{body: "[" + fmt.Sprintf(role, `,"_embedded":{"targets":{"catalog":{"apps":[{"name":"salesforce"},{"id":"0oa1","name":"x"}]}}}`) + "]"}
			}
			return answer{body: "[" + fmt.Sprintf(role, "") + `,{"id":"ra2","type":"CUSTOM","role":"cr1","resource-set":"iam1","label":"c","assignmentType":"USER"},{"id":"ra3","type":"CUSTOM","role":"cr1","resource-set":"iam2","label":"c","assignmentType":"USER"}]`}
		case r.URL.Path == pathGroups:
			return answer{body: `[{"id":"00g1"}]`}
		case r.URL.Path == "/api/v1/groups/00g1/roles":
			return answer{body: `[{"id":"ga1","type":"USER_ADMIN","label":"u","status":"ACTIVE","assignmentType":"GROUP","_links":{"assignee":{"href":"https://x/api/v1/groups/00g1"}}}]`}
		case r.URL.Path == "/api/v1/iam/roles/cr1/permissions":
			return refuse("E0000006")
		case r.URL.Path == pathClients:
			return refuse("E0000006")
		}
		return answer{status: 404, body: `{"errorCode":"E0000007"}`}
	})
	st := stream(t, v.open(nil), "privileges")
	rows, _ := read(t, st.Read(t.Context(), sources.Lane{ID: laneRoleUsers}, ""))
	require.Len(t, rows.Privileges, 3)
	p := rows.Privileges[0]
	require.Equal(t, []string{"0oa1,salesforce", "app", "direct"}, []string{p.Scope, p.ScopeKind, p.Via})
	for _, c := range rows.Privileges[1:] {
		require.Equal(t, []string{"privileged"}, c.NotAsked)
		require.Equal(t, "cr1", c.RoleID)
	}
	asked := v.requests()
	require.Equal(t, 1, count(asked, "/api/v1/iam/roles/cr1/permissions ")) // once a reading
	require.Contains(t, asked, "/api/v1/users/00u1/roles expand=targets/catalog/apps")

	rows, _ = read(t, st.Read(t.Context(), sources.Lane{ID: laneRoleGroups}, ""))
	p = rows.Privileges[0]
	require.Equal(t, []string{"00g1", "group", "direct", ""}, []string{p.PrincipalID, p.PrincipalKind, p.Via, p.ViaID})
	require.Equal(t, fault.Forbidden, fault.Of(firstError(st.Read(t.Context(), sources.Lane{ID: laneRoleClients}, ""))))
}

func count(list []string, s string) (n int) {
	for _, l := range list {
		if l == s {
			n++
		}
	}
	return n
}

// Ids of inherited and of type-only assignments name more than one assignment.
func TestPrivilegeIDs(t *testing.T) {
	t.Parallel()
	id := func(principal, kind string, w wireRole) string {
		p := schemas.Privilege{PrincipalID: principal, PrincipalKind: kind}
		mapRole(&p, &w)
		return p.PrivilegeID
	}
	inherited := wireRole{ID: "ra1", Type: "USER_ADMIN", AssignmentType: "GROUP"}
	inherited.Links.Assignee.Href = "https://x/api/v1/groups/00g1"
	other := inherited
	other.Links.Assignee.Href = "https://x/api/v1/groups/00g2"
	all := []string{
		id("00u1", "account", inherited), id("00u2", "account", inherited), id("00u1", "account", other),
		id("00u1", "account", wireRole{ID: "KVJUKUS7IFCE2SKO", Type: "USER_ADMIN"}), id("00u2", "account", wireRole{ID: "KVJUKUS7IFCE2SKO", Type: "USER_ADMIN"}), id("00u3", "account", wireRole{Type: "USER_ADMIN"}),
	}
	slices.Sort(all)
	require.Len(t, slices.Compact(all), 6)
}

func TestGrants(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(r *http.Request) answer {
		q := r.URL.Query()
		switch {
		case r.URL.Path == pathApps:
			require.Equal(t, `status eq "ACTIVE"`, q.Get("filter"))
			return answer{body: `[{"id":"0oa1","signOnMode":"SAML_2_0"},{"id":"0oa2","label":"two","name":"oidc_client","signOnMode":"OPENID_CONNECT"},{"id":"0oa3","signOnMode":"OPENID_CONNECT"}]`}
		case r.URL.Path == "/api/v1/apps/0oa2/tokens" && q.Get("after") == "":
			return answer{body: `[{"id":"oar1","userId":"00u1","status":"ACTIVE"}]`, next: "/api/v1/apps/0oa2/tokens?after=2"}
		case r.URL.Path == "/api/v1/apps/0oa2/tokens":
			return answer{body: `[{"id":"oar2","userId":"00u1","status":"REVOKED"},{"userId":"no id"}]`}
		case r.URL.Path == "/api/v1/apps/0oa2/grants":
			return refuse("E0000006")
		}
		return answer{status: 404, body: `{"errorCode":"E0000007"}`}
	})
	s := v.open(nil)
	st := stream(t, s, "app_grants")
	var ids []string
	for page, err := range st.Lanes(t.Context(), "") {
		require.NoError(t, err)
		for _, l := range page.Lanes {
			ids = append(ids, l.ID)
		}
	}
	require.Equal(t, []string{laneTokens, laneScopes, laneAPITokens, laneIntegrations}, ids) // consents only if asked for
	rows, last := read(t, st.Read(t.Context(), sources.Lane{ID: laneTokens}, ""))
	require.Len(t, rows.AppGrants, 2)
	require.Len(t, last.Rejected, 1)
	require.Equal(t, []string{"token:oar1", "two", "oidc_client", "0oa2", "active"}, []string{rows.AppGrants[0].GrantID, rows.AppGrants[0].AppName, rows.AppGrants[0].Publisher, rows.AppGrants[0].AppID, rows.AppGrants[0].Status})
	// Sources do not stop one another.
	require.Equal(t, fault.Forbidden, fault.Of(firstError(st.Read(t.Context(), sources.Lane{ID: laneScopes}, ""))))
}
