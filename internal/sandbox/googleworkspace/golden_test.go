package googleworkspace

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

var rewrite = flag.Bool("update", false, "write the golden files")

// fixture is an organization made by hand, so that golden files do not follow what
// org makes up.
func fixture() *org.State {
	now := time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)
	at := func(days int) time.Time { return now.Add(-time.Duration(days) * day) }
	client := org.Client{IP: "198.51.100.7", CountryCode: "DE", ASN: 64498, UserAgent: "Mozilla/5.0"}
	s := &org.State{
		Name: "acme", Domain: "acme.example", Seed: 3, Born: at(900), Since: at(30), Now: now,
		Accounts: map[string][]*org.Account{}, Groups: map[string][]*org.Group{}, Roles: map[string][]*org.RoleGrant{}, RoleDefs: map[string][]*org.RoleDef{},
		ResourceSets: map[string][]*org.ResourceSet{}, Integrations: map[string][]*org.Integration{}, Grants: map[string][]*org.Grant{}, Events: map[string][]*org.Event{},
		Docs: &org.Docs{},
	}
	for i, name := range []string{"Owens", "Miller", "Guest", "Waiting", "Late"} {
		p := &org.Person{N: i, Given: string(rune('A' + i)), Family: name, Email: string(rune('a'+i)) + "@acme.example", Title: "Engineer", Department: "Platform", Manager: -1, Joined: at(800), Home: client}
		s.People = append(s.People, p)
		s.Accounts[app] = append(s.Accounts[app], &org.Account{
			N: i, Person: i, Login: p.Email, Status: org.Active, Created: at(700 - i), Activated: at(700 - i), StatusChanged: at(700 - i), Modified: at(10), LastLogin: at(1), Factors: []string{"totp"}, OrgUnit: 1,
		})
	}
	a := s.Accounts[app]
	a[1].Aliases = []string{"bo@acme.example"}
	s.People[2].Email, a[2].Login, a[2].Outside = "c@partner.example", "c_partner.example@guests.acme.example", true
	a[3].Status, a[3].Activated, a[3].LastLogin, a[3].Factors = org.Invited, time.Time{}, time.Time{}, nil
	a[4].Status, a[4].StatusChanged = org.Deprovisioned, at(3)
	s.ResourceSets[app] = []*org.ResourceSet{{N: 0, Name: "/"}, {N: 1, Name: "/Platform"}, {N: 2, Name: "/Platform/Build"}}
	for i, name := range org.GoogleRoles {
		s.RoleDefs[app] = append(s.RoleDefs[app], &org.RoleDef{N: i, Name: name, Permits: []string{"00haapch16h1ysv USERS_ALL"}})
	}
	s.Groups[app] = []*org.Group{
		{N: 0, Name: "all", Slug: "all", Kind: org.GoogleGroup, Parent: -1, Others: []org.Ref{{Kind: org.OrgRef}}, Created: at(500)},
		{
			N: 1, Name: "build", Slug: "build", Description: "Builds", Kind: org.GoogleGroup, Parent: -1, Members: []org.Member{{Account: 0, Role: org.GroupOwner}, {Account: 1, Role: org.GroupManager}},
			Others: []org.Ref{{Kind: org.GroupRef, N: 0}, {Kind: org.ContactRef, N: 1, Name: org.GoogleContact(1)}}, Created: at(400),
		},
	}
	s.Integrations[app] = []*org.Integration{
		{N: 0, Name: "security-agent", Label: "Security Agent", Kind: org.ServiceAccount, Active: true},
		{N: 1, Name: "hr-sync", Label: "HR Sync", Kind: org.ServiceAccount, Active: true},
		{N: 2, Name: "48-wiki.apps.googleusercontent.com", Label: "Wiki", Kind: org.WebClient, Active: true},
		{N: 3, Name: "anonymous-mail", Label: "Anonymous", Kind: org.AnonymousApp, Active: true},
	}
	ref := func(kind org.RefKind, n int) org.Ref { return org.Ref{Kind: kind, N: n} }
	s.Roles[app] = []*org.RoleGrant{
		{N: 0, Holder: ref(org.AccountRef, 0), Role: org.GoogleRoles[0], RoleN: 0, ScopeN: -1, Assigned: at(100)},
		{N: 1, Holder: ref(org.GroupRef, 1), Role: org.GoogleRoles[3], RoleN: 3, ScopeN: 2, Assigned: at(100)},
		{N: 2, Holder: ref(org.IntegrationRef, 1), Role: org.GoogleRoles[2], RoleN: 2, ScopeN: -1, Assigned: at(100), Until: now.AddDate(1, 0, 0)},
	}
	s.Grants[app] = []*org.Grant{
		{N: 0, Kind: org.GrantConsent, Account: 1, Integration: 2, Scopes: []string{"openid", scopeURL("drive")}, Created: at(80)},
		{N: 1, Kind: org.GrantConsent, Account: 1, Integration: 3, Scopes: []string{"openid"}, Created: at(80)},
		{N: 2, Kind: org.GrantAppPassword, Name: "Scanner", Account: 0, Integration: -1, Created: at(80)},
		{N: 3, Kind: org.GrantAppPassword, Name: "Phone", Account: 0, Integration: -1, Created: at(80), LastUsed: at(2)},
	}
	s.Events[app] = fixtureEvents(s, &client, at(2))
	return s
}

// fixtureEvents has an event of each kind.
func fixtureEvents(s *org.State, client *org.Client, at time.Time) (out []*org.Event) {
	ref := func(kind org.RefKind, n int) org.Ref { return org.Ref{Kind: kind, N: n} }
	boss, one, grant := ref(org.AccountRef, 0), ref(org.AccountRef, 1), ref(org.GrantRef, 0)
	add := func(e org.Event) {
		e.N, e.At = len(out), at.Add(time.Duration(len(out))*time.Minute)
		if e.Seen = e.At; e.Client == nil {
			e.Client = client
		}
		out = append(out, &e)
	}
	add(org.Event{Verb: org.SignIn, Actor: one, Targets: []org.Ref{one}, MFA: true})
	add(org.Event{Verb: org.SignIn, Actor: one, Targets: []org.Ref{one}, Failed: true, Reason: "login_failure_invalid_password", Client: &org.Client{IP: "2001:db8::1"}})
	add(org.Event{Verb: org.SignIn, Actor: one, Targets: []org.Ref{one}, Risk: "high"})
	add(org.Event{Verb: org.SignIn, Actor: one, Targets: []org.Ref{one}, Risk: "medium"})
	add(org.Event{Verb: org.ThreatDetected, Actor: org.Ref{Kind: org.SystemRef}, Targets: []org.Ref{one}, Reason: "suspicious_login"})
	for _, v := range []org.Verb{
		org.SignOut, org.PasswordChange, org.MFAEnroll, org.AccountCreate, org.AccountSuspend, org.AccountUnsuspend, org.AccountArchive, org.AccountUnarchive, org.AccountRemove, org.AccountRestore, org.PasswordReset,
		org.SessionsClear, org.BackupCodesEnd, org.SecondFactorsEnd,
	} {
		add(org.Event{Verb: v, Actor: boss, Targets: []org.Ref{one}})
	}
	add(org.Event{Verb: org.AccountSuspend, Actor: org.Ref{Kind: org.SystemRef}, Targets: []org.Ref{one}, Client: &org.Client{}})
	add(org.Event{Verb: org.PasswordForce, Actor: boss, Targets: []org.Ref{one}, Changes: []org.Change{{Name: "changePasswordAtNextLogin", Old: "false", New: "true"}}, Via: ref(org.IntegrationRef, 0)})
	add(org.Event{Verb: org.OrgUnitMove, Actor: boss, Targets: []org.Ref{one}, Changes: []org.Change{{Name: "orgUnit", Old: "/", New: "/Platform"}}})
	add(org.Event{Verb: org.AccountUpdate, Actor: ref(org.IntegrationRef, 1), Targets: []org.Ref{one}, Changes: []org.Change{{Name: "title", Old: "A", New: "B"}, {Name: "department", Old: "C", New: "D"}}, Client: &org.Client{}})
	for _, v := range []org.Verb{org.GroupCreate, org.GroupDelete} {
		add(org.Event{Verb: v, Actor: boss, Targets: []org.Ref{ref(org.GroupRef, 1)}})
	}
	add(org.Event{Verb: org.GroupUpdate, Actor: boss, Targets: []org.Ref{ref(org.GroupRef, 1)}, Changes: []org.Change{{Name: "description", Old: "", New: "Builds"}}})
	add(org.Event{Verb: org.GroupAddMember, Actor: boss, Targets: []org.Ref{one, ref(org.GroupRef, 1)}, Text: org.GroupMember})
	add(org.Event{Verb: org.GroupAddMember, Actor: boss, Targets: []org.Ref{one, ref(org.GroupRef, 1)}, Text: org.GroupManager})
	add(org.Event{Verb: org.GroupRemoveMember, Actor: boss, Targets: []org.Ref{s.Groups[app][1].Others[1], ref(org.GroupRef, 1)}})
	for i, r := range s.Roles[app] {
		for _, v := range []org.Verb{org.RoleGrantVerb, org.RoleRevokeVerb} {
			add(org.Event{Verb: v, Actor: boss, Targets: []org.Ref{r.Holder, ref(org.RoleRef, i)}})
		}
	}
	scopes := org.Change{Name: "scope", Old: "openid", New: "openid " + scopeURL("drive")}
	add(org.Event{Verb: org.GrantIssue, Actor: one, Targets: []org.Ref{grant, one}, Changes: []org.Change{scopes}})
	add(org.Event{Verb: org.GrantRevoke, Actor: one, Targets: []org.Ref{grant, one}, Changes: []org.Change{scopes}})
	add(org.Event{Verb: org.GrantRevoke, Actor: boss, Targets: []org.Ref{grant, one}, Changes: []org.Change{scopes}})
	add(org.Event{Verb: org.GrantRevoke, Actor: boss, Targets: []org.Ref{ref(org.GrantRef, 2), boss}, Changes: []org.Change{scopes}, Via: ref(org.IntegrationRef, 0)})
	add(org.Event{Verb: org.PolicyUpdate, Actor: boss, Targets: []org.Ref{{Kind: org.PolicyRef, N: 1}}, Changes: []org.Change{{Name: "SHARING_OUTSIDE_DOMAIN", Old: "ALLOWED", New: "DENIED"}}})
	add(org.Event{Verb: org.Reported, Actor: one, Report: &org.Report{App: "chat", Failed: "Blocked by a rule", Events: []org.ReportEvent{{Type: "user_action", Name: "attachment_upload", Params: []org.Param{
		{Name: "text", Value: "x"},
		{Name: "number", Value: int64(-7)},
		{Name: "flag", Value: false},
		{Name: "texts", Value: []string{"a", "b"}},
		{Name: "numbers", Value: []int64{1, 2}},
		{Name: "none"},
		{Name: "message", Value: []org.Param{{Name: "inner", Value: "y"}}},
		{Name: "messages", Value: [][]org.Param{{{Name: "inner", Value: true}}}},
	}}}}})
	return out
}

func golden(t *testing.T, name string, v any) {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	require.NoError(t, e.Encode(v))
	file := filepath.Join("testdata", name+".golden")
	if *rewrite {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(file, b.Bytes(), 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String())
}

func goldenHandler() *Handler {
	h := &Handler{facts: Default(), seed: 7, known: map[string]map[string]int{}, reports: newReports(), began: time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)}
	h.customer = "C0" + letters(h.hash("customer", 0), 7)
	return h
}

// What the directory tells of an organization made by hand, and what is true of it.
func TestGoldenDirectory(t *testing.T) {
	t.Parallel()
	h, s := goldenHandler(), fixture()
	c := &call{h: h, s: s, q: url.Values{}, now: s.Now}
	var users, groups, all, tokens []object
	for _, a := range s.Accounts[app] {
		users = append(users, h.userView(s, a))
		for _, g := range h.grantsOf(s, a, org.GrantConsent) {
			tokens = append(tokens, c.tokenView(a, g))
		}
		for _, g := range h.grantsOf(s, a, org.GrantAppPassword) {
			tokens = append(tokens, c.aspView(a, g))
		}
	}
	for _, g := range s.Groups[app] {
		groups = append(groups, c.groupView(g))
		for _, m := range members(s, g) {
			all = append(all, c.memberView(m))
		}
	}
	var assignments []object
	for _, r := range s.Roles[app] {
		assignments = append(assignments, c.assignmentView(r))
	}
	golden(t, "directory", object{"users": users, "groups": groups, "members": all, "role": c.roleView(s.RoleDefs[app][0]), "roleassignments": assignments, "tokens": tokens})

	rows := &schemas.Rows{}
	tr := &truth{h, s, rows}
	tr.accounts()
	tr.groups()
	tr.privileges()
	tr.apps()
	tr.grants()
	golden(t, "truth", object{"accounts": rows.Accounts, "groups": rows.Groups, "group_members": rows.GroupMembers, "privileges": rows.Privileges, "apps": rows.Apps, "app_grants": rows.AppGrants})
}

// What the reports tell of one event of each kind, and what is true of it.
func TestGoldenActivities(t *testing.T) {
	t.Parallel()
	h, s := goldenHandler(), fixture()
	var out []object
	n := 0
	for _, e := range s.Events[app] {
		for i, it := range h.items(s, e) {
			x := &entry{e: e, n: i}
			var rows []schemas.Activity
			for j := range it.events {
				rows = append(rows, (&truth{h, s, nil}).activity(x, &it, j))
			}
			out = append(out, object{"record": h.activityView(s, x, it), "rows": rows})
			n++
		}
	}
	require.Greater(t, n, len(s.Events[app]), "twins")
	golden(t, "activities", out)
}
