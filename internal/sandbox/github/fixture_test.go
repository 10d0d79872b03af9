package github

import (
	"fmt"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
)

// fixture is an organization made by hand, so that golden files do not follow
// what org makes up.
func fixture() *org.State {
	at := func(days int) time.Time { return start.Add(-time.Duration(days) * day) }
	client := &org.Client{IP: "198.51.100.7", Country: "Germany", City: "Berlin", CountryCode: "DE", UserAgent: "Mozilla/5.0"}
	s := &org.State{
		Name: "acme", Domain: "acme.example", Seed: 3, Born: at(900), Since: at(30), Now: start,
		Accounts: map[string][]*org.Account{}, Groups: map[string][]*org.Group{}, Roles: map[string][]*org.RoleGrant{}, RoleDefs: map[string][]*org.RoleDef{},
		Integrations: map[string][]*org.Integration{}, Grants: map[string][]*org.Grant{}, Timeline: map[string][]*org.Event{},
	}
	for i, name := range []string{"Ada Owens", "Bo Miller", "Cy Guest", "Di Waiting", "Ed Late"} {
		var given, family string
		_, _ = fmt.Sscan(name, &given, &family)
		s.People = append(s.People, &org.Person{N: i, Given: given, Family: family, Email: string(rune('a'+i)) + "@acme.example", Manager: -1, Outside: i == 2, Joined: at(800), Home: *client})
		s.Accounts[org.GitHub] = append(s.Accounts[org.GitHub], &org.Account{
			N: i, Person: i, Login: given + "-acme", Status: org.Active, Created: at(700 - i), Modified: at(10), StatusChanged: at(700 - i),
			Factors: []string{"token:software:totp"}, PublicEmail: i == 1, Owner: i == 0, Outside: i == 2,
		})
	}
	accounts := s.Accounts[org.GitHub]
	accounts[1].Factors = nil
	accounts[3].Status, accounts[3].Created, accounts[3].StatusChanged = org.Invited, at(2), at(2)
	accounts[4].Status, accounts[4].Created, accounts[4].StatusChanged = org.Invited, at(20), at(20)
	s.Groups[org.GitHub] = []*org.Group{
		{N: 0, Name: "Platform", Slug: "platform", Description: "All of it", Kind: "closed", Parent: -1, Members: []org.Member{{Account: 0, Role: "maintainer"}}, Created: at(600), Modified: at(60)},
		{N: 1, Name: "Build & run", Slug: "build-run", Kind: "closed", Parent: 0, Members: []org.Member{{Account: 1, Role: "member"}}, Created: at(500), Modified: at(50)},
	}
	s.RoleDefs[org.GitHub] = []*org.RoleDef{{N: 0, Name: "auditor", Permits: []string{"read_audit_logs"}, Created: at(400), Modified: at(400)}}
	s.Roles[org.GitHub] = []*org.RoleGrant{
		{N: 0, Holder: org.Ref{Kind: org.GroupRef, N: 0}, Role: "auditor", RoleN: 0, Assigned: at(100)},
		{N: 1, Holder: org.Ref{Kind: org.AccountRef, N: 1}, Role: "auditor", RoleN: 0, Assigned: at(100)},
	}
	s.Integrations[org.GitHub] = []*org.Integration{
		{N: 0, Name: "ci-runner", Label: "ci-runner", Kind: "github_app", Active: true, Scopes: []string{"contents:read", "metadata:read"}, Selected: true, Created: at(300), Modified: at(200)},
		{N: 1, Name: "old-bot", Kind: "github_app", Scopes: []string{"members:read"}, Created: at(300), Modified: at(90), SuspendedAt: at(90)},
		{N: 2, Name: "editor", Kind: "oauth_app", Created: at(300), Modified: at(200)},
	}
	s.Grants[org.GitHub] = []*org.Grant{
		{N: 0, Kind: org.GrantPAT, Name: "script", Account: 1, Integration: -1, Scopes: []string{"members:read", "contents:write"}, Created: at(80), LastUsed: at(1), Expires: at(-30)},
		{N: 1, Kind: org.GrantCredential, Name: "laptop", Credential: "SSH key", Account: 1, Integration: -1, Created: at(80), LastUsed: at(3)},
		{N: 2, Kind: org.GrantCredential, Name: "", Credential: "personal access token", Account: 0, Integration: -1, Scopes: []string{"repo"}, Created: at(80), Expires: at(5)},
	}
	s.Repos = []*org.Repo{
		{N: 0, Name: "site", Visibility: "public", Branch: "main", Description: `says "hi"`, Created: at(500), Modified: at(40), Pushed: at(4), Files: []org.Blob{{Path: "README.md", Size: 12, Mode: "100644", Hash: "00112233445566778899aabbccddeeff00112233"}}},
		{
			N: 1, Name: "core", Visibility: "private", Branch: "trunk", Created: at(400), Modified: at(30), Pushed: at(2),
			Access: []org.Access{
				{Holder: org.Ref{Kind: org.GroupRef, N: 1}, Role: "write", Since: at(300)},
				{Holder: org.Ref{Kind: org.AccountRef, N: 2}, Role: "read", Outside: true, Since: at(200)},
			},
			Keys: []org.DeployKey{{N: 0, Title: "deploy", ReadOnly: true, AddedBy: 0, Created: at(100)}},
		},
	}
	ref := func(k org.RefKind, n int) org.Ref { return org.Ref{Kind: k, N: n} }
	ada, bo, guest := ref(org.AccountRef, 0), ref(org.AccountRef, 1), ref(org.AccountRef, 2)
	site, core, team := ref(org.RepoRef, 0), ref(org.RepoRef, 1), ref(org.GroupRef, 1)
	add := func(verb org.Verb, actor org.Ref, targets ...org.Ref) *org.Event {
		n := len(s.Timeline[org.GitHub])
		e := &org.Event{N: n, At: start.Add(-day + time.Duration(n)*time.Minute + 7*time.Millisecond), Verb: verb, Actor: actor, Targets: targets, Client: client, Outside: actor == guest}
		s.Timeline[org.GitHub] = append(s.Timeline[org.GitHub], e)
		return e
	}
	add(org.SignIn, ada, ada)
	add(org.SignIn, bo, bo).Failed = true
	stranger := add(org.SignIn, org.Ref{Kind: org.AnonymousRef})
	stranger.Failed, stranger.Text = true, "root"
	for _, v := range []org.Verb{org.MemberInvite, org.AccountActivate, org.AccountUpdate, org.AccountRemove} {
		add(v, ada, bo)
	}
	add(org.OutsideRemove, ada, guest)
	add(org.MemberRole, ada, bo).Changes = []org.Change{{Name: "role", Old: "member", New: "admin"}}
	for _, v := range []org.Verb{org.GroupCreate, org.GroupUpdate, org.GroupDelete} {
		add(v, ada, team)
	}
	for _, v := range []org.Verb{org.GroupAddMember, org.GroupRemoveMember} {
		add(v, ada, bo, team)
	}
	add(org.RoleGrantVerb, ada, ref(org.GroupRef, 0), ref(org.RoleRef, 0))
	add(org.RoleRevokeVerb, ada, bo, ref(org.RoleRef, 1))
	for _, v := range []org.Verb{org.IntegrationAdd, org.IntegrationUpdate, org.IntegrationSuspend, org.IntegrationRemove} {
		add(v, ada, ref(org.IntegrationRef, 0))
		add(v, ada, ref(org.IntegrationRef, 2))
	}
	for i, of := range []org.Ref{bo, bo, ada} {
		add(org.GrantIssue, of, ref(org.GrantRef, i), of)
		add(org.GrantRevoke, ada, ref(org.GrantRef, i), of)
	}
	for _, v := range []org.Verb{org.RepoCreate, org.RepoDelete, org.RepoArchive, org.RepoDownload, org.HookCreate} {
		add(v, ada, core)
	}
	add(org.RepoVisibility, ada, core).Changes = []org.Change{{Name: "visibility", Old: "private", New: "internal"}}
	for _, holder := range []org.Ref{guest, team} {
		add(org.RepoAddAccess, ada, core, holder).Changes = []org.Change{{Name: "permission", New: "write"}}
		add(org.RepoRemoveAccess, ada, core, holder)
	}
	add(org.BranchProtection, ada, core).Text = "trunk"
	add(org.KeyAdd, ada, core, org.Ref{Kind: org.KeyRef, N: 1, Name: "deploy"})
	add(org.HookCreate, ada, ref(org.OrgRef, 0))
	add(org.GitClone, bo, core).Via = ref(org.GrantRef, 1)
	add(org.GitFetch, bo, core).Via = ref(org.GrantRef, 0)
	add(org.GitPush, guest, core).Via = ref(org.GrantRef, 2)
	add(org.GitPush, ref(org.IntegrationRef, 0), core)
	add(org.GitPush, bo, core).Failed = true
	for range 5 { // some by strangers
		add(org.GitClone, bo, site)
	}
	add(org.PullRequestMerge, ref(org.IntegrationRef, 0), core).Text = "17"
	add(org.TwoFactorRequired, ada, ref(org.OrgRef, 0))
	add(org.HookCreate, org.Ref{Kind: org.SystemRef}, ref(org.OrgRef, 0))
	return s
}

func fixtureRig(t testing.TB) *rig {
	s := fixture()
	r := &rig{t: t, clock: clockwork.NewFakeClockAt(start), token: "sandbox-token"}
	tenant := &sandbox.Tenant{App: org.GitHub, Name: "acme", Base: "http://127.0.0.1:1/github/acme", Clock: r.clock}
	r.h = newHandler(tenant, Default(), func(fn func(*org.State)) { fn(s) })
	r.h.violate = func(string, string) {}
	return r
}
