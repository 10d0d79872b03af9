package org

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// alterations are what changes the organization, by how often. Their order
// matters to what a seed gives.
var alterations = []struct {
	weight int
	do     func(*life)
}{
	{40, (*life).joiner},
	{30, (*life).leaver},
	{140, (*life).profile},
	{160, (*life).groupAdd},
	{100, (*life).groupRemove},
	{20, (*life).groupCreate},
	{10, (*life).groupDescribe},
	{6, (*life).groupDelete},
	{20, (*life).roleGrant},
	{16, (*life).roleRevoke},
	{100, (*life).password},
	{50, (*life).enroll},
	{40, (*life).status},
	{80, (*life).assign},
	{10, (*life).policy},
	{8, (*life).integrationAdd},
	{8, (*life).integrationWiden},
	{12, (*life).integrationEnd},
	{30, (*life).tokenIssue},
	{100, (*life).consent},
	{40, (*life).grantRevoke},
	{30, (*life).repoCreate},
	{8, (*life).repoVisibility},
	{10, (*life).repoEnd},
	{60, (*life).accessAdd},
	{40, (*life).accessRemove},
	{10, (*life).key},
	{8, (*life).hook},
	{8, (*life).teamCreate},
	{50, (*life).teamAdd},
	{30, (*life).teamRemove},
	{40, (*life).pat},
	{6, (*life).owner},
	{12, (*life).protection},
}

func alterationWeight(i int) int { return alterations[i].weight }

// alter changes the organization, in the working hours of those who do it.
func (l *life) alter() {
	if l.chance(wakeful(l.journal.now, 0)) {
		alterations[weighted(l.rand, len(alterations), alterationWeight)].do(l)
	}
}

// some returns a random entry that fits; the zero T if a few tries find none.
func some[T any](l *life, list []T, fits func(T) bool) (none T) {
	if len(list) == 0 {
		return none
	}
	for range 16 {
		if v := list[l.rand.IntN(len(list))]; fits(v) {
			return v
		}
	}
	return none
}

// person returns an active account in an app whose owner is an employee.
func (l *life) person(app string) *Account {
	return some(l, l.Accounts[app], func(a *Account) bool {
		p := l.People[a.Person]
		return live(a) && !a.Outside && !p.Outside && !p.Service && p.Left.IsZero()
	})
}

// admin is somebody who may change the app: with the session they have.
func (l *life) admin(app string) Act {
	if app == Okta {
		r := some(l, l.Roles[Okta], func(r *RoleGrant) bool {
			return r.Gone.IsZero() && r.Holder.Kind == AccountRef && live(l.Accounts[Okta][r.Holder.N])
		})
		a := l.Accounts[Okta][0] // the chief, who stays
		if r != nil {
			a = l.Accounts[Okta][r.Holder.N]
		}
		return l.session(l.People[a.Person], a)
	}
	a := l.Accounts[GitHub][0]
	if o := some(l, l.Accounts[GitHub][:min(len(l.Accounts[GitHub]), 16)], func(a *Account) bool { return live(a) && a.Owner }); o != nil {
		a = o
	}
	return Act{At: l.at(), Actor: acct(a), Client: &l.People[a.Person].Home}
}

// self is a person acting for themselves.
func (l *life) self(app string, a *Account) Act {
	if app == Okta {
		return l.session(l.People[a.Person], a)
	}
	return Act{At: l.at(), Actor: acct(a), Client: &l.People[a.Person].Home}
}

// joiner is somebody new, with what they need in their first days.
func (l *life) joiner() {
	p := l.newPerson(l.rand, l.at())
	for range 8 {
		if boss := l.People[l.rand.IntN(max(1, len(l.People)/8))]; boss.Left.IsZero() && !boss.Outside && !boss.Service {
			p.Manager = boss.N
			break
		}
	}
	if p.Manager < 0 {
		p.Manager = 0
	}
	x := l.admin(Okta)
	a := l.Create(Okta, &x, p, p.Email, Invited)
	l.after(time.Minute, 2*time.Hour, func() {
		if !here(a) || a.Status != Invited {
			return
		}
		x := Act{At: l.at(), Actor: acct(a), Client: &p.Home}
		l.SetStatus(Okta, &x, a, Active, AccountActivate)
		a.PasswordChanged = x.At
		x = l.admin(Okta)
		for _, g := range l.Groups[Okta] {
			if g.Name == "dept-"+slug(p.Department) && g.Gone.IsZero() {
				l.AddMember(Okta, &x, g, a, "member")
			}
		}
		if !l.chance(0.05) {
			l.after(time.Minute, time.Hour, func() {
				if live(a) {
					x := l.session(p, a)
					l.Enroll(&x, a, pick(l.rand, factorSets)[0])
				}
			})
		}
	})
	for _, d := range departments {
		if d.name == p.Department && l.chance(d.engineers) {
			l.after(3*time.Hour, 30*time.Hour, func() { l.invite(p) })
		}
	}
}

func (l *life) invite(p *Person) {
	if !p.Left.IsZero() || l.AccountOf(GitHub, p.N) != nil {
		return
	}
	x := l.admin(GitHub)
	a := l.Create(GitHub, &x, p, l.handle(l.rand, p), Invited)
	l.after(10*time.Minute, 40*time.Hour, func() {
		if here(a) && a.Status == Invited && l.chance(0.95) {
			x := Act{At: l.at(), Actor: acct(a), Client: &p.Home}
			a.Factors = []string{"token:software:totp"}
			l.SetStatus(GitHub, &x, a, Active, AccountActivate)
		}
	})
}

// leaver goes: first from the directory, hours or days later from the code.
func (l *life) leaver() {
	a := some(l, l.Accounts[Okta], func(a *Account) bool {
		p := l.People[a.Person]
		return here(a) && a.Status != Deprovisioned && p.N > 8 && !p.Service && p.Left.IsZero() && (p.Outside || l.at().Sub(p.Joined) > 20*24*time.Hour)
	})
	if a == nil {
		return
	}
	p := l.People[a.Person]
	x := l.admin(Okta)
	if x.Actor == acct(a) {
		return // nobody dismisses themselves
	}
	p.Left = x.At
	for _, r := range l.People {
		if r.Manager == p.N && r.Left.IsZero() {
			if b := l.AccountOf(Okta, r.N); here(b) && b.Status != Deprovisioned {
				l.SetManager(&x, b, max(p.Manager, 0))
			} else {
				r.Manager = max(p.Manager, 0)
			}
		}
	}
	l.Remove(Okta, &x, a)
	if p.N < len(l.sessions) {
		l.sessions[p.N].until = 0
	}
	if code := l.AccountOf(GitHub, p.N); here(code) {
		l.after(time.Hour, 72*time.Hour, func() {
			if here(code) {
				x := l.admin(GitHub)
				l.Remove(GitHub, &x, code)
			}
		})
	}
	if l.chance(0.3) {
		l.after(5*24*time.Hour, 30*24*time.Hour, func() {
			if here(a) && a.Status == Deprovisioned {
				x := l.admin(Okta)
				l.Delete(Okta, &x, a)
			}
		})
	}
}

func (l *life) profile() {
	a := l.person(Okta)
	if a == nil {
		return
	}
	p := l.People[a.Person]
	x := l.admin(Okta)
	if l.chance(0.1) {
		d := departments[l.rand.IntN(len(departments))]
		t := pick(l.rand, d.titles)
		l.Update(Okta, &x, a, Change{"department", p.Department, d.name}, Change{"title", p.Title, t})
		return
	}
	t := strings.TrimPrefix("Senior "+p.Title, "Senior Senior ")
	if t == p.Title {
		t = "Lead " + strings.TrimPrefix(p.Title, "Senior ")
	}
	if len(t) > 40 {
		t = "Manager"
	}
	l.Update(Okta, &x, a, Change{"title", p.Title, t})
}

func (l *life) oktaGroup() *Group {
	return some(l, l.Groups[Okta], func(g *Group) bool { return g.Gone.IsZero() && g.Kind == "OKTA_GROUP" })
}

func (l *life) groupAdd() {
	if a, g := l.person(Okta), l.oktaGroup(); a != nil && g != nil {
		x := l.admin(Okta)
		l.AddMember(Okta, &x, g, a, "member")
	}
}

func (l *life) groupRemove() {
	if g := l.oktaGroup(); g != nil && len(g.Members) > 1 {
		x := l.admin(Okta)
		l.RemoveMember(Okta, &x, g, l.Accounts[Okta][pick(l.rand, g.Members).Account])
	}
}

func (l *life) groupCreate() {
	x := l.admin(Okta)
	n := len(l.Groups[Okta])
	g := l.CreateGroup(Okta, &x, fmt.Sprintf("proj-%s-%d", words[n%len(words)], n), "OKTA_GROUP", -1)
	for range 2 + l.rand.IntN(6) {
		if a := l.person(Okta); a != nil {
			l.AddMember(Okta, &x, g, a, "member")
		}
	}
}

func (l *life) groupDescribe() {
	if g := l.oktaGroup(); g != nil {
		x := l.admin(Okta)
		l.DescribeGroup(Okta, &x, g, "Works on "+pick(l.rand, words))
	}
}

func (l *life) groupDelete() {
	if g := l.oktaGroup(); g != nil && strings.HasPrefix(g.Name, "proj-") {
		x := l.admin(Okta)
		l.DeleteGroup(Okta, &x, g)
	}
}

func (l *life) roleGrant() {
	x := l.admin(Okta)
	a := l.person(Okta)
	if a == nil {
		return
	}
	role, def := pick(l.rand, []string{"HELP_DESK_ADMIN", "READ_ONLY_ADMIN", "APP_ADMIN", "CUSTOM", "USER_ADMIN", "SUPER_ADMIN"}), -1
	if role == "CUSTOM" {
		def = l.rand.IntN(len(l.RoleDefs[Okta]))
	}
	for _, r := range l.Roles[Okta] {
		if r.Gone.IsZero() && r.Holder == acct(a) && r.Role == role && r.RoleN == def {
			return
		}
	}
	l.GrantRole(Okta, &x, acct(a), role, def)
}

func (l *life) roleRevoke() {
	r := some(l, l.Roles[Okta], func(r *RoleGrant) bool { return r.Gone.IsZero() && r.Holder.Kind == AccountRef && r.Holder.N != 0 })
	if r != nil {
		x := l.admin(Okta)
		l.RevokeRole(Okta, &x, r)
	}
}

func (l *life) password() {
	a := l.person(Okta)
	if a == nil {
		return
	}
	if l.chance(0.8) {
		x := l.session(l.People[a.Person], a)
		l.SetPassword(&x, a, PasswordChange)
		return
	}
	x := l.admin(Okta)
	l.SetPassword(&x, a, PasswordReset)
	l.after(time.Minute, 6*time.Hour, func() {
		if here(a) && a.Status == Recovery {
			x := Act{At: l.at(), Actor: acct(a), Client: &l.People[a.Person].Home}
			l.SetPassword(&x, a, PasswordChange)
		}
	})
}

func (l *life) enroll() {
	if a := l.person(Okta); a != nil {
		x := l.session(l.People[a.Person], a)
		l.Enroll(&x, a, pick(l.rand, factorSets)[0])
	}
}

// status suspends somebody, or lets somebody in again.
func (l *life) status() {
	x := l.admin(Okta)
	a := some(l, l.Accounts[Okta], func(a *Account) bool { return here(a) && (a.Status == Suspended || a.Status == Locked) })
	switch {
	case a != nil && a.Status == Suspended && l.chance(0.5): // it lasts
	case a != nil && a.Status == Locked:
		l.SetStatus(Okta, &x, a, Active, AccountUnlock)
	case a != nil:
		l.SetStatus(Okta, &x, a, Active, AccountUnsuspend)
	default:
		if a := l.person(Okta); a != nil && a.N > 8 && acct(a) != x.Actor {
			l.SetStatus(Okta, &x, a, Suspended, AccountSuspend)
			l.after(time.Hour, 100*time.Hour, func() {
				if here(a) && a.Status == Suspended {
					x := l.admin(Okta)
					l.SetStatus(Okta, &x, a, Active, AccountUnsuspend)
				}
			})
		}
	}
}

func (l *life) assign() {
	a := l.person(Okta)
	in := some(l, l.Integrations[Okta], func(in *Integration) bool { return in.Active && in.Kind != "API_SERVICE" })
	if a == nil || in == nil {
		return
	}
	x := l.admin(Okta)
	v := AppAssign
	if l.chance(0.3) {
		v = AppUnassign
	}
	l.do(Okta, &x, v, acct(a), inst(in))
}

func (l *life) policy() {
	x := l.admin(Okta)
	n := l.rand.IntN(4)
	name := []string{"Default sign-on", "Admin sign-on", "Password", "Enrollment"}[n]
	e := x.event(PolicyUpdate)
	e.Text = name
	l.record(Okta, &e, Ref{Kind: PolicyRef, N: n, Name: name})
}

func (l *life) integrationAdd() {
	if l.chance(0.6) {
		x := l.admin(Okta)
		c := catalog[l.rand.IntN(len(catalog))]
		n := len(l.Integrations[Okta])
		name := fmt.Sprintf("%s-%d", c.name, n)
		in := Integration{Name: name, Label: fmt.Sprintf("%s %d", c.label, n), Kind: "SAML_2_0", Publisher: c.name + ".example"}
		if l.chance(0.5) {
			in.Kind, in.RedirectURIs = "OPENID_CONNECT", []string{"https://" + name + "." + l.Domain + "/callback"}
			if l.chance(0.4) {
				in.Scopes = []string{pick(l.rand, []string{"okta.users.read", "okta.groups.read", "okta.users.manage"})}
			}
		}
		l.AddIntegration(Okta, &x, in)
		return
	}
	x := l.admin(GitHub)
	c := installations[l.rand.IntN(len(installations))]
	name := fmt.Sprintf("%s-%d", c.name, len(l.Integrations[GitHub]))
	l.AddIntegration(GitHub, &x, Integration{Name: name, Label: name, Kind: "github_app", Publisher: c.name + ".example", Scopes: c.scopes, Selected: l.chance(0.4)})
}

func (l *life) integrationWiden() {
	in := some(l, l.Integrations[Okta], func(in *Integration) bool { return in.Active && in.Kind != "SAML_2_0" })
	if in != nil {
		x := l.admin(Okta)
		l.WidenIntegration(Okta, &x, in, pick(l.rand, []string{"okta.groups.read", "okta.apps.read", "okta.users.manage", "okta.logs.read"}))
	}
}

func (l *life) integrationEnd() {
	app := Okta
	if l.chance(0.4) {
		app = GitHub
	}
	if len(l.Integrations[app]) < 6 {
		return
	}
	in := some(l, l.Integrations[app][5:], func(in *Integration) bool { return in.Active && in.Kind != "API_SERVICE" })
	if in == nil {
		return
	}
	x := l.admin(app)
	if l.chance(0.5) {
		l.SuspendIntegration(app, &x, in)
		return
	}
	l.RemoveIntegration(app, &x, in)
}

func (l *life) tokenIssue() {
	x := l.admin(Okta)
	l.IssueGrant(Okta, &x, Grant{Kind: GrantAPIToken, Account: x.Actor.N, Integration: -1, Name: pick(l.rand, []string{"terraform", "test", "import", "cleanup"}), Expires: x.At.Add(tokenWindow)})
}

func (l *life) consent() {
	a := l.person(Okta)
	in := some(l, l.Integrations[Okta], func(in *Integration) bool { return in.Active && in.Kind == "OPENID_CONNECT" })
	if a == nil || in == nil {
		return
	}
	x := l.session(l.People[a.Person], a)
	if l.chance(0.3) {
		l.IssueGrant(Okta, &x, Grant{Kind: GrantConsent, Account: a.N, Integration: in.N, Scopes: []string{pick(l.rand, []string{"profile", "email", "groups"})}})
		return
	}
	l.IssueGrant(Okta, &x, Grant{Kind: GrantRefresh, Account: a.N, Integration: in.N, Scopes: []string{"offline_access", "openid"}, Expires: x.At.Add(180 * 24 * time.Hour), LastUsed: x.At})
}

func (l *life) grantRevoke() {
	app := Okta
	if l.chance(0.4) {
		app = GitHub
	}
	g := some(l, l.Grants[app], func(g *Grant) bool { return g.Gone.IsZero() && g.Kind != GrantScope })
	if g != nil {
		x := l.admin(app)
		l.RevokeGrant(app, &x, g)
	}
}

func (l *life) repo() *Repo {
	return some(l, l.Repos, func(r *Repo) bool { return r.Gone.IsZero() && !r.Archived })
}

func (l *life) repoCreate() {
	a := l.person(GitHub)
	if a == nil {
		return
	}
	x := l.self(GitHub, a)
	r := l.newRepo(l.rand, x.At)
	l.do(GitHub, &x, RepoCreate, repoRef(r))
	l.AddAccess(&x, r, Access{Holder: acct(a), Role: "admin"})
	l.after(time.Minute, 5*time.Hour, func() {
		if !live(a) || !r.Gone.IsZero() {
			return
		}
		files := make([]Blob, 3+l.rand.IntN(8))
		for i := range files {
			files[i] = newBlob(l.rand)
		}
		x := l.self(GitHub, a)
		l.Push(&x, r, files...)
	})
}

func (l *life) repoVisibility() {
	r := l.repo()
	if r == nil {
		return
	}
	x := l.admin(GitHub)
	to := pick(l.rand, []string{"public", "internal", "private"})
	if to != r.Visibility {
		l.SetVisibility(&x, r, to)
	}
}

func (l *life) repoEnd() {
	r := l.repo()
	if r == nil || r.N == 0 {
		return
	}
	x := l.admin(GitHub)
	if l.chance(0.6) {
		l.Archive(&x, r)
		return
	}
	l.DeleteRepo(&x, r)
}

func (l *life) accessAdd() {
	r := l.repo()
	if r == nil {
		return
	}
	x := l.admin(GitHub)
	switch d := l.rand.Float64(); {
	case d < 0.4:
		if g := some(l, l.Groups[GitHub], func(g *Group) bool { return g.Gone.IsZero() }); g != nil {
			l.AddAccess(&x, r, Access{Holder: groupRef(g), Role: pick(l.rand, []string{"read", "write", "maintain"})})
		}
	case d < 0.75:
		if a := l.person(GitHub); a != nil {
			l.AddAccess(&x, r, Access{Holder: acct(a), Role: pick(l.rand, []string{"read", "triage", "write", "admin"})})
		}
	default:
		a := some(l, l.Accounts[GitHub], func(a *Account) bool { return live(a) && a.Outside })
		if a != nil && l.AddAccess(&x, r, Access{Holder: acct(a), Role: pick(l.rand, []string{"read", "write"}), Outside: true, Invited: true}) {
			l.after(time.Hour, 60*time.Hour, func() {
				if live(a) && r.Gone.IsZero() {
					x := l.self(GitHub, a)
					l.Accept(&x, r, a)
				}
			})
		}
	}
}

func (l *life) accessRemove() {
	if r := l.repo(); r != nil && len(r.Access) > 1 {
		x := l.admin(GitHub)
		l.RemoveAccess(&x, r, pick(l.rand, r.Access).Holder)
	}
}

func (l *life) key() {
	if r, a := l.repo(), l.person(GitHub); r != nil && a != nil {
		x := l.self(GitHub, a)
		l.AddKey(&x, r, pick(l.rand, []string{"deploy", "mirror", "build server"}), l.chance(0.5), a)
	}
}

func (l *life) hook() {
	x := l.admin(GitHub)
	if r := l.repo(); r != nil && l.chance(0.7) {
		l.do(GitHub, &x, HookCreate, repoRef(r))
		return
	}
	l.do(GitHub, &x, HookCreate, Ref{Kind: OrgRef})
}

func (l *life) teamCreate() {
	a := l.person(GitHub)
	if a == nil {
		return
	}
	x := l.self(GitHub, a)
	n := len(l.Groups[GitHub])
	g := l.CreateGroup(GitHub, &x, fmt.Sprintf("%s crew %d", words[n%len(words)], n), pick(l.rand, []string{"closed", "closed", "secret"}), -1)
	l.AddMember(GitHub, &x, g, a, "maintainer")
}

func (l *life) team() *Group {
	return some(l, l.Groups[GitHub], func(g *Group) bool { return g.Gone.IsZero() })
}

func (l *life) teamAdd() {
	if g, a := l.team(), l.person(GitHub); g != nil && a != nil {
		x := l.admin(GitHub)
		l.AddMember(GitHub, &x, g, a, "member")
	}
}

func (l *life) teamRemove() {
	if g := l.team(); g != nil && len(g.Members) > 1 {
		x := l.admin(GitHub)
		l.RemoveMember(GitHub, &x, g, l.Accounts[GitHub][pick(l.rand, g.Members).Account])
	}
}

func (l *life) pat() {
	a := l.person(GitHub)
	if a == nil {
		return
	}
	x := l.self(GitHub, a)
	if l.chance(0.4) {
		l.IssueGrant(GitHub, &x, Grant{Kind: GrantCredential, Account: a.N, Integration: -1, Name: "new laptop", Credential: pick(l.rand, []string{"SSH key", "personal access token"}), Scopes: slices.Clone([]string{"repo"})})
		return
	}
	l.IssueGrant(GitHub, &x, Grant{
		Kind: GrantPAT, Account: a.N, Integration: -1, Name: pick(l.rand, []string{"laptop", "script", "notebook"}),
		Scopes: pick(l.rand, [][]string{{"contents:read", "metadata:read"}, {"contents:write", "metadata:read"}}), Expires: x.At.Add(time.Duration(7+l.rand.IntN(90)) * 24 * time.Hour),
	})
}

// owner makes a member an owner for a while.
func (l *life) owner() {
	a := l.person(GitHub)
	if a == nil || a.Owner {
		return
	}
	x := l.admin(GitHub)
	l.SetOwner(&x, a, true)
	l.after(time.Hour, 20*24*time.Hour, func() {
		if live(a) && a.Owner {
			x := l.admin(GitHub)
			l.SetOwner(&x, a, false)
		}
	})
}

func (l *life) protection() {
	if r := l.repo(); r != nil {
		x := l.admin(GitHub)
		e := x.event(BranchProtection)
		e.Text = r.Branch
		l.record(GitHub, &e, repoRef(r))
	}
}
