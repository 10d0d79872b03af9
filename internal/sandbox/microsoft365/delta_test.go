package microsoft365

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/schemas"
)

// mirror is what a client holds that applies deltas.
type mirror struct {
	objects map[string]object
	members map[string]bool // group, member and role
	removed map[string]string
}

func (m *mirror) apply(list []object) {
	for _, v := range list {
		id := v["id"].(string)
		if x, ok := v["@removed"].(object); ok {
			delete(m.objects, id)
			m.removed[id] = x["reason"].(string)
			continue
		}
		m.objects[id] = v
		for _, name := range []string{"members", "owners"} {
			entries, _ := v[name+"@delta"].([]any)
			for _, e := range entries {
				k := id + " " + e.(object)["id"].(string) + " " + name[:len(name)-1]
				if e.(object)["@removed"] != nil {
					delete(m.members, k)
					continue
				}
				m.members[k] = true
			}
		}
	}
}

// Deltas, applied one after the other, give what is true: of users, groups with
// their members, apps and grants.
func TestDeltas(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 90, EventsPerDay: 3})
	r.unlimited()
	r.h.facts.DeltaPage, r.h.facts.DeltaMembers = 20, 15
	lists := map[string]string{
		"users": "users/delta?$select=displayName,accountEnabled,jobTitle,department", "groups": "groups/delta?$select=displayName,description,members,owners",
		"apps": "servicePrincipals/delta?$select=displayName,accountEnabled", "grants": "oauth2PermissionGrants/delta",
	}
	mirrors := map[string]*mirror{}
	for k := range lists {
		mirrors[k] = &mirror{map[string]object{}, map[string]bool{}, map[string]string{}}
	}
	check := func() {
		truth := r.s.Truth(org.Microsoft365, "acme")
		want := map[string]bool{}
		for _, a := range truth.Accounts {
			if a.Kind != "service" || a.Email != "" {
				want["users "+a.AccountID] = a.Status != "deleted"
			}
		}
		for _, g := range truth.Groups {
			want["groups "+g.GroupID] = true
		}
		for _, a := range truth.Apps {
			want["apps "+a.AppID] = true
		}
		for _, g := range truth.AppGrants {
			want["grants "+g.GrantID] = g.Kind == "consent"
		}
		n := 0
		for k, is := range want {
			if is {
				n++
			}
			kind, id := k[:len(k)-37], k[len(k)-36:]
			require.Equal(t, is, mirrors[kind].objects[id] != nil, k)
		}
		for _, m := range mirrors {
			n -= len(m.objects)
		}
		require.Zero(t, n)
		for _, a := range truth.Accounts {
			if u := mirrors["users"].objects[a.AccountID]; u != nil {
				require.Equal(t, a.Department, u["department"])
				require.Equal(t, a.Title, u["jobTitle"])
				require.Equal(t, a.Status != "suspended", u["accountEnabled"])
				require.NotContains(t, u, "mail")
			}
		}
		for _, m := range truth.GroupMembers {
			require.True(t, mirrors["groups"].members[m.GroupID+" "+m.MemberID+" "+m.Role], "%+v", m)
			n++
		}
		for k := range mirrors["groups"].members {
			if mirrors["groups"].objects[k[:36]] != nil {
				n--
			}
		}
		require.Zero(t, n)
	}
	for round := range 16 {
		r.login()
		for k, from := range lists {
			list, delta := r.all(from)
			require.NotEmpty(t, delta)
			mirrors[k].apply(list)
			lists[k] = delta
		}
		if check(); round < 15 {
			r.s.Fake.Advance(44 * time.Hour)
		}
	}
	reasons := map[string]bool{}
	for k, m := range mirrors {
		for _, why := range m.removed {
			reasons[k+" "+why] = true
		}
	}
	require.True(t, reasons["users changed"] && reasons["groups changed"] && reasons["groups deleted"] && reasons["grants deleted"], reasons)
	r.s.NoViolations()
}

// What the vendor does with deltas beside telling of changes.
func TestDeltaTokens(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 60})
	r.unlimited()
	r.h.facts.DeltaPage = 15
	users := map[any]int{}
	empty := false
	next, delta := "users/delta?$select=displayName", ""
	for next != "" {
		a := r.get(next)
		empty = empty || len(a.value()) == 0 && a.next() != ""
		for _, u := range a.value() {
			users[u["id"]]++
		}
		next, delta = a.next(), a.delta()
	}
	require.True(t, empty, "an empty page with a link to the next")
	latest := r.get("users/delta?$deltatoken=latest")
	require.Empty(t, latest.value())
	require.Empty(t, r.get(latest.delta()).value())
	for _, bad := range []string{"$top=5", "$expand=manager", "$orderby=displayName", "$select=id,signInActivity", "$filter=displayName eq 'x'"} {
		require.Equal(t, 400, r.get("users/delta?"+bad).status, bad)
	}
	some := ""
	for id := range users {
		some = id.(string)
	}
	list, _ := r.all("users/delta?$filter=id eq '" + some + "'")
	require.Len(t, list, 1)
	require.Equal(t, some, list[0]["id"])
	r.s.NoViolations()

	require.Equal(t, 400, r.get("users/delta?$deltatoken=abcdefghijkl").status)
	require.Len(t, r.s.Violations(), 1)

	r.s.Fake.Advance(7*day + time.Hour)
	r.login()
	a := r.get(delta)
	require.Equal(t, http.StatusGone, a.status)
	require.Equal(t, "syncStateNotFound", a.code())
	again, _ := r.all(a.head.Get("Location"))
	require.GreaterOrEqual(t, len(again), len(users))
	require.NotContains(t, again[0], "mail", "what was selected stays so")
	r.h.SetFaults(Faults{PlainStale: true})
	a = r.get(delta)
	require.Equal(t, 400, a.status)
	require.Equal(t, "syncStateNotFound", a.code())
	require.Empty(t, a.head.Get("Location"))
}

// A large organization is listed within seconds.
func TestManyUsers(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 3000, EventsPerDay: -1})
	r.unlimited()
	began := time.Now()
	list, _ := r.all("users?$top=999&$select=id,userPrincipalName,mail,displayName,accountEnabled,userType,department,jobTitle&$expand=manager($select=id)")
	require.Greater(t, len(list), 2900)
	require.Less(t, time.Since(began), 20*time.Second)
	changed, _ := r.all("users/delta?$select=displayName")
	require.GreaterOrEqual(t, len(changed), len(list))
	var rows schemas.Rows
	r.state(func(s *org.State) { r.h.Truth(s, &rows) })
	require.Greater(t, len(rows.Accounts), len(list))
}
