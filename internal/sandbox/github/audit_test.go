package github

import (
	"encoding/base64"
	"net/url"
	"sort"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

func auditURL(phrase, rest string) string {
	return "/orgs/acme/audit-log?phrase=" + url.QueryEscape(phrase) + "&" + rest
}

func TestAuditPages(t *testing.T) {
	t.Parallel()
	r := newRig(t, "acme", 60, nil, org.Log{Equal: 0.3})
	var web, git int
	r.view(func(s *org.State) {
		for _, e := range s.Timeline[org.GitHub] {
			switch {
			case !isGit(e):
				web++
			case !e.At.Before(s.Now.Add(-7 * day)):
				git++
			}
		}
	})
	require.Greater(t, git, 100)
	f := func(params string, want int) {
		t.Helper()
		for _, order := range []string{"asc", "desc"} {
			all, _ := r.walk("/orgs/acme/audit-log?" + params + "&order=" + order)
			require.Len(t, all, want)
			require.True(t, sort.SliceIsSorted(all, func(i, j int) bool {
				a, b := all[i]["@timestamp"].(float64), all[j]["@timestamp"].(float64)
				return order == "asc" && a < b || order == "desc" && a > b
			}))
			seen := map[any]bool{}
			for _, row := range all {
				if id := row["_document_id"]; id != nil {
					require.False(t, seen[id])
					seen[id] = true
				}
			}
		}
	}
	f("include=web&per_page=7", web)
	f("include=git&per_page=100", git)
	f("include=all&per_page=33", web+git)
	f("per_page=100", web)
	require.Empty(t, r.violations)
	require.Equal(t, 422, r.get("/orgs/acme/audit-log?include=nothing").Code)
	require.Equal(t, 422, r.get("/orgs/acme/audit-log?order=up").Code)
}

func TestAuditRows(t *testing.T) {
	t.Parallel()
	r := newRig(t, "acme", 60, func(f *Facts) { f.NoIDEvery = 50 }, org.Log{})
	all, _ := r.walk("/orgs/acme/audit-log?include=all&per_page=100")
	noID, noActor := 0, 0
	for _, row := range all {
		git := strings.HasPrefix(row["action"].(string), "git.")
		require.Equal(t, !git, row["created_at"] != nil)
		require.Equal(t, git, row["repository"] != nil)
		if row["_document_id"] == nil {
			noID++
		} else {
			require.Len(t, row["_document_id"], 22)
		}
		if row["actor"] == nil {
			noActor++
			require.Nil(t, row["actor_ip"])
		}
		if yes(row["repository_public"]) {
			require.Nil(t, row["actor_ip"])
		}
	}
	require.Positive(t, noID)
	require.Positive(t, noActor)
}

func TestAuditCursor(t *testing.T) {
	t.Parallel()
	r := newRig(t, "acme", 60, func(f *Facts) { f.EmptyPageEvery = 0 }, org.Log{})
	first := r.ok("/orgs/acme/audit-log?include=all&order=asc&per_page=10")
	u, err := url.Parse(next(first))
	require.NoError(t, err)
	require.Contains(t, u.Path, "/organizations/")
	require.Contains(t, u.RawQuery, "&before=")
	cursor, err := base64.StdEncoding.DecodeString(u.Query().Get("after"))
	require.NoError(t, err)
	require.Regexp(t, `^1\.\d{12}e\+12\|[A-Za-z0-9_-]{22}$`, string(cursor))
	second := r.ok(next(first))
	require.Equal(t, first.Body.String(), r.ok(rel(second, "prev")).Body.String())
	require.Equal(t, first.Body.String(), r.ok(rel(second, "first")).Body.String())

	// A page may be empty though rows follow.
	with := newRig(t, "acme", 60, func(f *Facts) { f.EmptyPageEvery = 3 }, org.Log{})
	all, pages := r.walk("/orgs/acme/audit-log?include=all&order=asc&per_page=10")
	same, more := with.walk("/orgs/acme/audit-log?include=all&order=asc&per_page=10")
	require.Equal(t, all, same)
	require.Greater(t, more, pages)
	require.Empty(t, with.violations)

	r.h.SetTrouble(Trouble{CursorsExpired: true})
	require.Equal(t, 422, r.get(next(first)).Code)
}

// A row that appears late stands behind a parked cursor, and in front of one
// that is asked for again from before its time.
func TestAuditLateRows(t *testing.T) {
	t.Parallel()
	r := newRig(t, "acme", 60, func(f *Facts) { f.EmptyPageEvery, f.NoIDEvery = 0, 0 }, org.Log{Late: 0.2, LateMax: 6 * time.Hour})
	from := start.Add(-6 * time.Hour).Format(time.RFC3339)
	target := auditURL("created:>="+from, "include=all&order=asc&per_page=5")
	known := map[any]bool{}
	parked := target
	for u := target; u != ""; {
		parked = u
		w := r.ok(u)
		for _, row := range decode[[]object](t, w) {
			known[row["_document_id"]] = true
		}
		u = next(w)
	}
	r.clock.Advance(day)
	r.world.Advance(r.clock.Now())
	for u := parked; u != ""; {
		w := r.ok(u)
		for _, row := range decode[[]object](t, w) {
			known[row["_document_id"]] = true
		}
		u = next(w)
	}
	all, _ := r.walk(target)
	missed := 0
	for _, row := range all {
		if !known[row["_document_id"]] {
			missed++
		}
	}
	require.Positive(t, missed)
	require.Less(t, missed, len(all)/2)
}

func TestAuditPhrase(t *testing.T) {
	t.Parallel()
	r := small(t, nil)
	everything, _ := r.walk("/orgs/acme/audit-log?include=all&per_page=100")
	f := func(phrase string, keep func(object) bool) {
		t.Helper()
		var want []object
		for _, row := range everything {
			if keep(row) {
				want = append(want, row)
			}
		}
		require.NotEmpty(t, want, phrase)
		got, _ := r.walk(auditURL(phrase, "include=all&per_page=50"))
		require.Equal(t, want, got, phrase)
	}
	action := func(row object) string { return row["action"].(string) }
	at := func(row object) time.Time { return time.UnixMilli(int64(row["@timestamp"].(float64))).UTC() }
	actor, _ := everything[0]["actor"].(string)
	f("action:team", func(o object) bool { return strings.HasPrefix(action(o), "team.") })
	f("action:org.sso_response", func(o object) bool { return action(o) == "org.sso_response" })
	f("-action:git", func(o object) bool { return !strings.HasPrefix(action(o), "git.") })
	f("action:git -action:git.clone", func(o object) bool {
		return strings.HasPrefix(action(o), "git.") && action(o) != "git.clone"
	})
	f("actor:"+actor, func(o object) bool { return o["actor"] == actor })
	f(`actor:"`+actor+`" action:git`, func(o object) bool { return o["actor"] == actor && strings.HasPrefix(action(o), "git.") })
	cut := at(everything[len(everything)/2]).Truncate(time.Second)
	f("created:>="+cut.Format(time.RFC3339), func(o object) bool { return !at(o).Before(cut) })
	f("created:<"+cut.Format(time.RFC3339), func(o object) bool { return at(o).Before(cut) })
	f("created:>="+cut.In(time.FixedZone("", 3600)).Format(time.RFC3339), func(o object) bool { return !at(o).Before(cut) })
	f("created:<="+cut.Format(time.RFC3339), func(o object) bool { return at(o).Before(cut.Add(time.Second)) })
	f("created:"+cut.Format(time.DateOnly), func(o object) bool { return at(o).Format(time.DateOnly) == cut.Format(time.DateOnly) })
	f("created:"+cut.Add(-day).Format(time.DateOnly)+".."+cut.Format(time.DateOnly), func(o object) bool {
		d := at(o).Format(time.DateOnly)
		return d >= cut.Add(-day).Format(time.DateOnly) && d <= cut.Format(time.DateOnly)
	})
	require.Equal(t, 422, r.get(auditURL("created:yesterday", "")).Code)
	require.Equal(t, 422, r.get(auditURL("action:", "")).Code)
	// A plus that is not escaped is a space: the time has no zone then.
	require.Equal(t, 422, r.get("/orgs/acme/audit-log?phrase=created:>=2026-03-01T00:00:00+00:00").Code)
}

func TestAuditRetention(t *testing.T) {
	t.Parallel()
	r := newRig(t, "acme", 20, nil, org.Log{})
	before := len(decode[[]object](t, r.ok("/orgs/acme/audit-log?include=git")))
	require.Positive(t, before)
	f := func(after time.Duration, phrase string, found bool) {
		t.Helper()
		// The world stands still: only the clock of its state goes on.
		h := newHandler(r.h.tenant, r.h.facts, func(fn func(*org.State)) {
			r.world.View(func(s *org.State) {
				later := *s
				later.Now = s.Now.Add(after)
				fn(&later)
			})
		})
		x := &rig{t: t, h: h, token: "sandbox-token"}
		require.Equal(t, found, len(decode[[]object](t, x.ok(auditURL(phrase, "include=web")))) > 0)
	}
	f(60*day, "", true)
	f(100*day, "", false)
	f(100*day, "created:>=2025-01-01", true)
	f(181*day, "created:>=2025-01-01", false)
}

func TestAuditPlans(t *testing.T) {
	t.Parallel()
	free := newRig(t, "free-acme", 20, nil, org.Log{})
	require.Equal(t, 404, free.get("/orgs/free-acme/audit-log").Code)
	require.Equal(t, "free", decode[struct{ Plan object }](t, free.ok("/orgs/free-acme")).Plan["name"])
	r := small(t, nil)
	all, _ := r.walk("/enterprises/acme-enterprise/audit-log?include=all&per_page=100")
	require.NotEmpty(t, all)
	require.NotEmpty(t, decode[[]object](t, r.ok("/enterprises/acme-enterprise/audit-log?include=all&page=2")))
	require.Empty(t, r.violations)
	require.Equal(t, 404, r.get("/enterprises/other/audit-log").Code)
}

// Rows do not change as life goes on.
func TestAuditRowsStay(t *testing.T) {
	t.Parallel()
	r := small(t, nil)
	target := auditURL("created:<="+start.Format(time.RFC3339)+" created:>"+start.Add(-5*day).Format(time.RFC3339), "include=all&per_page=100")
	before, _ := r.walk(target)
	require.NotEmpty(t, before)
	r.clock.Advance(2 * day)
	r.world.Advance(r.clock.Now())
	after, _ := r.walk(target)
	require.Equal(t, before, after)
}

// Truth and API are of one mind about what there is.
func TestTruth(t *testing.T) {
	t.Parallel()
	r := newRig(t, "acme", 200, nil, org.Log{})
	var rows schemas.Rows
	r.h.SetFlavour(Flavour{Trees: true})
	r.view(func(s *org.State) { r.h.Truth(s, &rows) })
	all, _ := r.walk("/orgs/acme/audit-log?include=all&order=asc&per_page=100")
	require.Len(t, rows.Activities, len(all))
	for i, row := range all {
		id, _ := row["_document_id"].(string)
		if id == "" {
			require.Len(t, rows.Activities[i].EventID, 32)
		} else {
			require.Equal(t, id, rows.Activities[i].EventID)
		}
		require.Equal(t, row["action"], rows.Activities[i].Action)
	}
	members, _ := r.walk("/orgs/acme/members?per_page=100")
	outside, _ := r.walk("/orgs/acme/outside_collaborators?per_page=100")
	invited, _ := r.walk("/orgs/acme/invitations?per_page=100")
	failed, _ := r.walk("/orgs/acme/failed_invitations?per_page=100")
	require.Len(t, rows.Accounts, len(members)+len(outside)+len(invited)+len(failed))
	repos, _ := r.walk("/orgs/acme/repos?per_page=100")
	containers := 0
	known := map[string]bool{}
	for _, f := range rows.Files {
		if f.Kind == "container" {
			containers++
		}
		known[f.FileID] = true
		for _, a := range f.AliasIDs {
			known[a] = true
		}
	}
	require.Equal(t, len(repos), containers)
	require.Greater(t, len(rows.Files), 10*containers)
	for _, f := range rows.Files {
		require.True(t, f.ParentID == "" || known[f.ParentID], f.ParentID)
	}

	// Keys are keys.
	keys := map[string]bool{}
	once := func(key string) {
		t.Helper()
		require.False(t, keys[key], key)
		keys[key] = true
	}
	for _, a := range rows.Accounts {
		once("account " + a.AccountID)
		known[a.AccountID] = true
		for _, alias := range a.AliasIDs {
			known[alias] = true
		}
	}
	for _, g := range rows.Groups {
		once("group " + g.GroupID)
		known[g.GroupID], known[g.AliasIDs[0]] = true, true
	}
	for _, m := range rows.GroupMembers {
		once("member " + m.GroupID + " " + m.MemberID + " " + m.Role)
		require.True(t, known[m.GroupID] && known[m.MemberID])
	}
	known[itoa(r.h.id(kindAccount, orgNumber))] = true // all members
	for _, p := range rows.Privileges {
		once("privilege " + p.PrivilegeID)
		once(strings.Join([]string{p.PrincipalID, p.RoleID, p.Scope, p.Via, p.ViaID}, " "))
		require.True(t, known[p.PrincipalID])
	}
	for _, p := range rows.FilePermissions {
		once(p.FileID + " " + p.PermissionID)
		require.True(t, known[p.FileID])
	}
	for _, g := range rows.AppGrants {
		once(g.GrantID)
	}

	// What activities name exists, unless it is gone.
	gone := map[string]bool{}
	r.view(func(s *org.State) {
		for _, a := range s.Accounts[org.GitHub] {
			if !here(a, s) || a.Status == org.Invited {
				gone[itoa(r.h.id(kindAccount, a.N))] = true
			}
		}
		for _, g := range s.Groups[org.GitHub] {
			if !g.Gone.IsZero() {
				gone["acme/"+g.Slug] = true
			}
		}
		for _, x := range s.Repos {
			if !x.Gone.IsZero() {
				gone[itoa(r.h.id(kindRepo, x.N))], gone["acme/"+x.Name] = true, true
			}
		}
	})
	for _, a := range rows.Activities {
		if a.ActorID != "" && a.ActorKind != "bot" {
			require.True(t, known[a.ActorID] || gone[a.ActorID], "%+v", a)
		}
		for i, id := range a.TargetIDs {
			switch a.TargetKinds[i] {
			case "account", "group", "repository":
				require.True(t, known[id] || gone[id], "%s %s", a.Action, id)
			}
		}
	}
}

func FuzzPhrase(f *testing.F) {
	for _, s := range []string{"action:team created:>=2024-01-31T10:00:00Z", `actor:"a b" -action:git`, "created:..", "created:*..2024-01-01", ":", `"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePhrase(s, time.Second)
		if err == nil && p.created && p.from == 0 && p.to == 0 {
			t.Skip()
		}
		readCursor(s)
	})
}

func BenchmarkAuditPage(b *testing.B) {
	r := newRig(b, "acme", 200, func(f *Facts) {
		f.EmptyPageEvery, f.AuditPerHour, f.SecondaryPerMinute = 0, 1<<60, 1<<60
	}, org.Log{})
	target := auditURL("created:>=2026-02-01", "include=all&order=asc&per_page=100")
	rows := 0
	b.ReportAllocs()
	u := target
	for b.Loop() {
		w := r.get(u)
		rows += strings.Count(w.Body.String(), `"action":`)
		if u = next(w); u == "" {
			u = target
		}
	}
	b.ReportMetric(float64(rows)/b.Elapsed().Seconds(), "rows/s")
}
