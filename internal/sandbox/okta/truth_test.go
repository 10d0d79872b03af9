package okta

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

func TestTruth(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.clock.Advance(3 * day)
	r.get("/api/v1/org")
	var rows schemas.Rows
	r.state(func(s *org.State) { r.h.Truth(s, &rows) })
	require.Empty(t, rows.Files)
	require.Empty(t, rows.FilePermissions)

	// Keys are unique.
	unique := func(n int, key func(i int) string) map[string]int {
		t.Helper()
		m := map[string]int{}
		for i := range n {
			k := key(i)
			require.False(t, has(m, k), k)
			m[k] = i
		}
		require.NotEmpty(t, m)
		return m
	}
	accounts := unique(len(rows.Accounts), func(i int) string { return rows.Accounts[i].AccountID })
	groups := unique(len(rows.Groups), func(i int) string { return rows.Groups[i].GroupID })
	members := unique(len(rows.GroupMembers), func(i int) string {
		m := rows.GroupMembers[i]
		return m.GroupID + "/" + m.MemberID + "/" + m.Role
	})
	privileges := unique(len(rows.Privileges), func(i int) string { return rows.Privileges[i].PrivilegeID })
	apps := unique(len(rows.Apps), func(i int) string { return rows.Apps[i].AppID })
	grants := unique(len(rows.AppGrants), func(i int) string { return rows.AppGrants[i].GrantID })
	events := unique(len(rows.Activities), func(i int) string { return rows.Activities[i].EventID })

	// What the API lists is what is true.
	seen := map[string]bool{}
	for _, path := range []string{"/api/v1/users", "/api/v1/users?filter=" + q(`status eq "DEPROVISIONED"`)} {
		list, _ := r.walk(path)
		for _, u := range list {
			row := rows.Accounts[accounts[u["id"].(string)]]
			seen[row.AccountID] = true
			p := u["profile"].(map[string]any)
			require.Equal(t, p["login"], row.Login)
			require.Equal(t, p["firstName"].(string)+" "+p["lastName"].(string), row.DisplayName)
			require.Equal(t, p["managerId"], orNil(row.ManagerID))
			require.Equal(t, u["lastLogin"], orNil(format(row.LastLoginAt)))
			require.Equal(t, u["lastUpdated"], format(row.ModifiedAt))
			active := slices.ContainsFunc(r.get("/api/v1/users/"+row.AccountID+"/factors").list(t), func(f map[string]any) bool {
				return f["status"] == "ACTIVE" && f["factorType"] != "question" && f["factorType"] != "email"
			})
			require.Equal(t, schemas.Some(active), row.MFAEnabled)
		}
	}
	require.Len(t, seen, len(accounts))

	list, _ := r.walk("/api/v1/groups")
	require.Len(t, list, len(groups))
	n, held := 0, 0
	for _, g := range list {
		gid := g["id"].(string)
		for _, role := range []string{"users", "owners"} {
			users, _ := r.walk("/api/v1/groups/" + gid + "/" + role)
			for _, u := range users {
				require.True(t, has(members, gid+"/"+u["id"].(string)+"/"+map[string]string{"users": "member", "owners": "owner"}[role]))
				n++
			}
		}
		for _, role := range r.get("/api/v1/groups/" + gid + "/roles").list(t) {
			require.True(t, has(privileges, privilegeOf(gid, role, "direct", "")), role)
			held++
		}
	}
	require.Len(t, members, n)
	for _, u := range r.get("/api/v1/iam/assignees/users").object(t)["value"].([]any) {
		uid := u.(map[string]any)["id"].(string)
		require.True(t, rows.Accounts[accounts[uid]].IsAdmin.Value)
		for _, role := range r.get("/api/v1/users/" + uid + "/roles").list(t) {
			via, group := "direct", ""
			if role["assignmentType"] == "GROUP" {
				href := role["_links"].(map[string]any)["assignee"].(map[string]any)["href"].(string)
				via, group = "group", href[strings.LastIndexByte(href, '/')+1:]
			}
			key := privilegeOf(uid, role, via, group)
			require.True(t, has(privileges, key), role)
			require.Equal(t, role["label"], rows.Privileges[privileges[key]].RoleName)
			held++
		}
	}
	clients, _ := r.walk("/oauth2/v1/clients")
	for _, c := range clients {
		held += len(r.get("/oauth2/v1/clients/" + c["client_id"].(string) + "/roles").list(t))
	}
	require.Len(t, privileges, held)

	listed := map[string]bool{}
	note := func(prefix string, list []map[string]any) {
		t.Helper()
		for _, g := range list {
			require.True(t, has(grants, prefix+g["id"].(string)))
			listed[prefix+g["id"].(string)] = true
		}
	}
	found, _ := r.walk("/api/v1/apps")
	for _, a := range found {
		require.True(t, has(apps, a["id"].(string)))
		note("consent:", r.get("/api/v1/apps/"+a["id"].(string)+"/grants").list(t))
		tokens, _ := r.walk("/api/v1/apps/" + a["id"].(string) + "/tokens")
		note("token:", tokens)
	}
	for uid := range seen {
		consents, _ := r.walk("/api/v1/users/" + uid + "/grants")
		note("consent:", consents)
	}
	note("api_key:", r.get("/api/v1/api-tokens").list(t))
	services, _ := r.walk("/integrations/api/v1/api-services")
	note("installation:", services)
	require.Len(t, listed, len(grants))
	require.Len(t, apps, len(found)+len(services))

	path := "/api/v1/logs?since=" + q(stamp(start.Add(-90*day))) + "&limit=1000"
	told := map[string]bool{}
	for {
		a := r.get(path)
		page := a.list(t)
		for _, e := range page {
			row := rows.Activities[events[e["uuid"].(string)]]
			require.Equal(t, e["eventType"], row.Action)
			require.Equal(t, e["published"], format(row.Time))
			if e["client"] != nil {
				ip, err := netip.ParseAddr(e["client"].(map[string]any)["ipAddress"].(string))
				require.NoError(t, err)
				require.Equal(t, ip.String(), row.SrcIP)
			}
			targets, _ := e["target"].([]any)
			n := 0
			for _, x := range targets {
				x := x.(map[string]any)
				if x["type"] == typeAppUser {
					continue // stands for the account, which is named once
				}
				n++
				require.True(t, slices.ContainsFunc(row.TargetIDs, func(id string) bool {
					return strings.HasSuffix(id, x["id"].(string))
				}), "%s of %s", x["id"], e["eventType"])
			}
			require.GreaterOrEqual(t, len(row.TargetIDs), n)
			require.LessOrEqual(t, len(row.TargetIDs), len(targets))
			told[row.EventID] = true
		}
		if path = a.next(); len(page) < 1000 {
			break
		}
	}
	require.Len(t, told, len(events))

	// Everything that exists as an entity joins it.
	gone := map[string]bool{}
	r.state(func(s *org.State) {
		for _, a := range s.Accounts[org.Okta] {
			gone[id(seedOf(s), kindUser, a.N)] = !a.Gone.IsZero()
		}
		for _, g := range s.Groups[org.Okta] {
			gone[id(seedOf(s), kindGroup, g.N)] = !g.Gone.IsZero()
		}
		for _, in := range s.Integrations[org.Okta] {
			gone[id(seedOf(s), kindApp, in.N)] = !in.Gone.IsZero()
		}
		for _, g := range s.Grants[org.Okta] {
			gone[id(seedOf(s), grantKind(g), g.N)] = !live(s, g)
		}
	})
	kinds := map[string]int{}
	for _, a := range rows.Activities {
		kinds[a.Kind]++
		require.NotEmpty(t, a.Action)
		require.NotEqual(t, verbUnknown.event, a.Action)
		if a.ActorKind == "human" {
			require.True(t, gone[a.ActorID] || has(accounts, a.ActorID))
		}
		for i, k := range a.TargetKinds {
			x := a.TargetIDs[i]
			_, raw, _ := strings.Cut(x, ":")
			switch k {
			case "account":
				require.True(t, gone[x] || has(accounts, x))
			case "group":
				require.True(t, gone[x] || has(groups, x))
			case "app":
				require.True(t, gone[x] || has(apps, x))
			case "credential":
				require.True(t, gone[raw] || has(grants, x), "%s of %s", x, a.Action)
			}
		}
	}
	require.Len(t, kinds, 4, "signin admin user alert: %v", kinds)
}

// privilegeOf is the id of a role as the API lists it.
func privilegeOf(principal string, role map[string]any, via, group string) string {
	what, scope := role["type"].(string), "org"
	if what == "CUSTOM" {
		what, scope = role["role"].(string), role["resource-set"].(string)
	}
	return schemas.HashID(principal, what, scope, via, group, "")
}

func has(m map[string]int, k string) bool { _, ok := m[k]; return ok }

func format(x schemas.Time) string {
	if x == 0 {
		return ""
	}
	return stamp(time.UnixMilli(int64(x)))
}

func orNil(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// BenchmarkLogs renders pages of 1,000 events.
func BenchmarkLogs(b *testing.B) {
	w := org.New(org.Options{Name: "acme", Seed: 7, People: 2000, Now: start, History: 5 * day})
	f := Default()
	b.ReportAllocs()
	w.View(func(s *org.State) {
		r := renderer{f: &f, s: s}
		events := s.Events[org.Okta]
		require.Greater(b, len(events), 1000)
		buf := make([]byte, 0, 2<<20)
		n, i := 0, 0
		for b.Loop() {
			buf = buf[:0]
			for range 1000 {
				buf = r.append(buf, events[i%len(events)])
				i++
			}
			n += 1000
			b.SetBytes(int64(len(buf)))
		}
		b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
	})
}
