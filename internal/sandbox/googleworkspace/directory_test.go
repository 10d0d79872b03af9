package googleworkspace

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
)

// Users are listed by pages in order of their addresses, deleted ones apart (5.1).
func TestUsers(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 120})
	a := r.get("users")
	require.Equal(t, 400, a.status, "customer or domain is needed")
	require.Len(t, r.get("users?customer=my_customer").list("users"), 100, "by default")
	require.Greater(t, len(r.get("users?customer=my_customer&maxResults=9999").list("users")), 100, "more than the most is the most")
	require.Equal(t, 400, r.get("users?customer=my_customer&maxResults=0").status)
	all := r.all("users?customer="+r.h.customer+"&maxResults=17&projection=full&orderBy=email", "users")
	var emails []string
	seen := map[string]int{}
	for _, u := range all {
		emails = append(emails, strings.ToLower(u["primaryEmail"].(string)))
		require.NotContains(t, u, "deletionTime")
		switch {
		case is(u, "archived"):
			seen["archived"]++
		case is(u, "suspended"):
			seen["suspended "+u["suspensionReason"].(string)]++
		case !is(u, "agreedToTerms"):
			seen["invited"]++
			require.Equal(t, "1970-01-01T00:00:00.000Z", u["lastLoginTime"])
		}
		for _, flag := range []string{"isAdmin", "isDelegatedAdmin", "isGuestUser"} {
			if is(u, flag) {
				seen[flag]++
			}
		}
		if list, _ := u["aliases"].([]any); len(list) > 0 {
			seen["aliases"]++
		}
	}
	require.True(t, slices.IsSorted(emails))
	for _, what := range []string{"archived", "suspended ADMIN", "suspended ABUSE", "invited", "isAdmin", "isDelegatedAdmin", "isGuestUser", "aliases"} {
		require.Positive(t, seen[what], what)
	}
	deleted := r.all("users?customer=my_customer&showDeleted=true", "users")
	require.NotEmpty(t, deleted)
	for _, u := range deleted {
		require.Contains(t, u, "deletionTime")
		require.NotContains(t, u, "isAdmin")
		require.NotContains(t, emails, strings.ToLower(u["primaryEmail"].(string)))
		require.Equal(t, 404, r.get("users/"+u["id"].(string)).status)
	}
	down := r.all("users?customer=my_customer&maxResults=17&sortOrder=DESCENDING", "users")
	require.Len(t, down, len(all))
	require.Equal(t, all[0]["id"], down[len(down)-1]["id"])

	one := all[3]
	for _, key := range []string{one["id"].(string), one["primaryEmail"].(string), strings.ToUpper(one["primaryEmail"].(string))} {
		require.Equal(t, one["id"], r.get("users/" + key).body["id"])
	}
	a = r.get("users/none@elsewhere.example")
	require.Equal(t, 404, a.status)
	require.Equal(t, "Resource Not Found: userKey", a.body["error"].(object)["message"])
	r.s.NoViolations()
}

// What query= and fields= select.
func TestSelect(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 60})
	for _, u := range r.all("users?customer=my_customer&query="+url.QueryEscape("isSuspended=true"), "users") {
		require.Equal(t, true, u["suspended"])
	}
	require.Equal(t, 400, r.get("users?customer=my_customer&query="+url.QueryEscape("shoeSize=44")).status)
	some := r.accounts(func(_ *org.State, a *org.Account) bool { return len(a.Aliases) > 0 && listed(a) })[0]
	found := r.all("users?customer=my_customer&query="+url.QueryEscape("email:"+some.Aliases[0]), "users")
	require.Len(t, found, 1)
	require.Equal(t, r.h.userID(some.N), r.get("users/" + some.Aliases[0]).body["id"])
	require.Empty(t, r.get("users?domain=labs.acme.example").list("users"))
	require.NotContains(t, r.get("users?domain=labs.acme.example").body, "users", "an empty list is left out")
	require.Equal(t, 404, r.get("users?domain=elsewhere.example").status)

	a := r.get("users?customer=my_customer&maxResults=2&fields=" + url.QueryEscape("nextPageToken,users(id,name/fullName,emails(address))"))
	require.NotEmpty(t, a.next())
	for _, u := range a.list("users") {
		require.Len(t, u, 3)
		require.Len(t, u["name"], 1)
	}
	require.NotContains(t, a.body, "kind")
	require.Equal(t, 400, r.get("users?customer=my_customer&fields=users(").status)
	_, f := parseFields("a/b(c,d/e),f,*")
	require.True(t, f)
}

// Page tokens are good for their list alone, for some days, and not for ever.
func TestPageTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 60})
	a := r.get("users?customer=my_customer&maxResults=10")
	next := "&pageToken=" + url.QueryEscape(a.next())
	require.Equal(t, 200, r.get("users?customer=my_customer&maxResults=10"+next).status)
	b := r.get("users?customer=my_customer&maxResults=10&showDeleted=true" + next)
	require.Equal(t, 400, b.status)
	require.Equal(t, "invalid", b.reason())
	r.s.NoViolations()
	require.Equal(t, 400, r.get("users?customer=my_customer&pageToken=abc").status)
	require.Len(t, r.s.Violations(), 1)
	r.s.Fake.Advance(61 * time.Minute)
	r.bearer = r.as(r.h.Subject())
	b = r.get("users?customer=my_customer&maxResults=10" + next)
	require.Equal(t, 503, b.status, "the chain took too long")
	require.Equal(t, "backendError", b.reason())
	r.s.Fake.Advance(72 * time.Hour)
	r.bearer = r.as(r.h.Subject())
	require.Equal(t, 400, r.get("users?customer=my_customer&maxResults=10"+next).status)
}

// Members are of all kinds (5.3).
func TestMembers(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 60})
	kinds := map[string]int{}
	for _, g := range r.all("groups?customer=my_customer", "groups") {
		members := r.all("groups/"+g["id"].(string)+"/members?maxResults=7", "members")
		require.Equal(t, g["directMembersCount"], itoa(len(members)))
		for _, m := range members {
			what := m["type"].(string) + " " + m["role"].(string)
			if _, ok := m["status"]; !ok {
				what = "outside"
				require.Contains(t, m["email"], "@partner.example")
			}
			kinds[what]++
			if m["type"] == "CUSTOMER" {
				require.Equal(t, r.h.customer, m["id"])
				require.NotContains(t, m, "email")
			}
		}
		if len(members) == 0 {
			kinds["empty"]++
		}
		if nested := slices.IndexFunc(members, func(m object) bool { return m["type"] == "GROUP" }); nested >= 0 {
			require.Greater(t, len(r.all("groups/"+g["id"].(string)+"/members?includeDerivedMembership=true", "members")), len(members)-1)
		}
	}
	for _, what := range []string{"USER MEMBER", "USER OWNER", "USER MANAGER", "GROUP MEMBER", "CUSTOMER MEMBER", "outside", "empty"} {
		require.Positive(t, kinds[what], "%s of %v", what, kinds)
	}
	a := r.get("groups/none@acme.example/members")
	require.Equal(t, 404, a.status)
	require.Equal(t, "notFound", a.reason())
	one := r.plain()
	for _, g := range r.all("groups?userKey="+url.QueryEscape(one.Login), "groups") {
		require.Equal(t, true, r.get("groups/" + g["id"].(string) + "/hasMember/" + r.h.userID(one.N)).body["isMember"])
	}
	require.NotEmpty(t, r.all("groups?customer=my_customer&query="+url.QueryEscape("email:team-*"), "groups"))
}

// Roles are held by users, groups and service accounts, everywhere or in a unit;
// numbers are text (5.4).
func TestRoles(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 60})
	names := map[string]string{}
	system := 0
	for _, d := range r.all("customer/my_customer/roles?maxResults=3", "items") {
		names[d["roleId"].(string)] = d["roleName"].(string)
		if is(d, "isSystemRole") {
			system++
		}
		require.NotEmpty(t, d["rolePrivileges"])
	}
	require.Equal(t, len(org.GoogleRoles), system)
	require.Greater(t, len(names), system)
	seen := map[string]int{}
	for _, x := range r.all("customer/my_customer/roleassignments?maxResults=2", "items") {
		require.NotEmpty(t, names[x["roleId"].(string)])
		require.Regexp(t, `^\d+$`, x["roleAssignmentId"])
		seen[x["scopeType"].(string)]++
		seen[strings.ToLower(x["assigneeType"].(string))]++
		if x["scopeType"] == "ORG_UNIT" {
			require.NotEmpty(t, x["orgUnitId"])
		}
		if r.get("users/"+x["assignedTo"].(string)).status == 404 && strings.EqualFold(x["assigneeType"].(string), "user") {
			seen["service account"]++
		}
	}
	for _, what := range []string{"CUSTOMER", "ORG_UNIT", "user", "group", "service account"} {
		require.Positive(t, seen[what], "%s of %v", what, seen)
	}
	require.Equal(t, 400, r.get("customer/my_customer/roleassignments?includeIndirectRoleAssignments=true").status)
	require.NotEmpty(t, r.get("customer/my_customer/roles/ALL/privileges").list("items"))
	require.Equal(t, 403, r.get("customer/C0other00/roles").status)
	require.NotEmpty(t, r.get("customer/my_customer/orgunits?type=all").list("organizationUnits"))
	require.Len(t, r.get("customer/my_customer/domains").list("domains"), 3)
	require.Equal(t, r.h.customer, r.get("customers/my_customer").body["id"])
}

// Tokens and app passwords of each user; not of who is suspended (5.6).
func TestTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 60})
	seen := map[string]int{}
	for _, a := range r.accounts(func(_ *org.State, a *org.Account) bool { return a.Gone.IsZero() }) {
		path := "users/" + r.h.userID(a.N)
		if a.Status == org.Suspended || a.Status == org.Deprovisioned {
			require.Equal(t, 401, r.get(path+"/tokens").status)
			require.Equal(t, 401, r.get(path+"/asps").status)
			seen["none told"]++
			continue
		}
		list := r.get(path + "/tokens")
		require.Equal(t, 200, list.status)
		if len(list.list("items")) == 0 {
			require.NotContains(t, list.body, "items")
		}
		for _, x := range list.list("items") {
			seen["token"]++
			require.Equal(t, r.h.userID(a.N), x["userKey"])
			require.NotEmpty(t, x["scopes"])
			for _, flag := range []string{"anonymous", "nativeApp"} {
				if is(x, flag) {
					seen[flag]++
				}
			}
			require.Equal(t, x["clientId"], r.get(path + "/tokens/" + x["clientId"].(string)).body["clientId"])
		}
		for _, x := range r.get(path + "/asps").list("items") {
			seen["asp"]++
			if x["lastTimeUsed"] == "0" {
				seen["never used"]++
			}
		}
	}
	for _, what := range []string{"none told", "token", "anonymous", "nativeApp", "asp"} {
		require.Positive(t, seen[what], "%s of %v", what, seen)
	}
}
