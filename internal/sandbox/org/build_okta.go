package org

import (
	"fmt"
	"time"
)

func (b *builder) makeOkta() {
	b.oktaAccounts()
	b.oktaIntegrations()
	b.oktaGroups()
	b.oktaRoles()
	b.oktaGrants()
}

var factorSets = [][]string{{"push"}, {"push", "webauthn"}, {"webauthn"}, {"token:software:totp"}, {"push", "sms"}, {"sms"}}

func (b *builder) oktaAccounts() {
	var active []*Account
	for _, p := range b.People {
		if p.Outside && b.chance(0.25) || p.Service && p.N%3 == 2 {
			continue
		}
		a := b.newAccount(Okta, p, p.Email, p.Joined)
		a.PasswordChanged = b.before(p.Joined)
		a.LastLogin = b.recent(p.Joined, 21*24*time.Hour)
		a.Modified = b.before(p.Joined)
		if !p.Service && !b.chance(0.06) {
			a.Factors = pick(b.rand, factorSets)
		}
		if !p.Left.IsZero() {
			a.Status, a.StatusChanged, a.Modified = Deprovisioned, p.Left, p.Left
			a.LastLogin, a.PasswordChanged = p.Joined, p.Joined
			if b.chance(0.3) { // deleted for good
				a.Gone = p.Left
			}
			continue
		}
		if !p.Service && p.N > 8 {
			active = append(active, a)
		}
	}
	// A few of each status; and some who have no second factor.
	b.rand.Shuffle(len(active), func(i, j int) { active[i], active[j] = active[j], active[i] })
	n := len(active)
	for _, st := range []struct {
		status Status
		n      int
	}{{Invited, n / 80}, {Provisioned, n / 100}, {Suspended, n / 100}, {Locked, n / 200}, {PasswordExpired, n / 100}, {Recovery, n / 200}, {Active, n / 50}} {
		for range max(1, st.n) {
			if len(active) < 3 {
				return
			}
			a := active[0]
			active = active[1:]
			a.Status, a.StatusChanged = st.status, b.recent(a.Created, 60*24*time.Hour)
			switch st.status {
			case Active:
				a.Factors = nil
			case Invited:
				a.Activated, a.LastLogin, a.PasswordChanged, a.Factors = time.Time{}, time.Time{}, time.Time{}, nil
				a.Created = a.StatusChanged
				b.People[a.Person].Joined = a.Created
			case Provisioned:
				a.LastLogin, a.PasswordChanged, a.Factors = time.Time{}, time.Time{}, nil
			default:
				a.LastLogin = b.recent(a.Created, 90*24*time.Hour)
				if a.LastLogin.After(a.StatusChanged) {
					a.LastLogin = a.StatusChanged
				}
			}
			a.Modified = later(a.Modified, a.StatusChanged)
		}
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (b *builder) oktaIntegrations() {
	for i := range min(10+b.people/40, 200) {
		c := catalog[i%len(catalog)]
		name, label := c.name, c.label
		if i >= len(catalog) {
			name, label = fmt.Sprintf("%s-%d", c.name, i/len(catalog)+1), fmt.Sprintf("%s %d", c.label, i/len(catalog)+1)
		}
		at := b.before(b.Born)
		in := &Integration{N: i, Name: name, Label: label, Kind: "SAML_2_0", Publisher: c.name + ".example", Active: !b.chance(0.05), Created: at, Modified: b.before(at)}
		if i%3 == 1 {
			in.Kind = "OPENID_CONNECT"
			in.RedirectURIs = []string{"https://" + name + "." + b.Domain + "/callback"}
			if i%2 == 0 {
				in.RedirectURIs = append(in.RedirectURIs, "http://localhost:8080/callback")
			}
			if b.chance(0.3) {
				in.Scopes = []string{"okta.users.read"}
			}
		}
		b.Integrations[Okta] = append(b.Integrations[Okta], in)
	}
	for _, x := range []struct {
		name, label string
		scopes      []string
	}{
		{"siem-export", "Log Export", []string{"okta.logs.read"}},
		{"hr-sync", "HR Sync", []string{"okta.users.manage", "okta.groups.manage"}},
		{"access-review", "Access Review", []string{"okta.users.read", "okta.groups.read", "okta.roles.read", "okta.apps.read"}},
	} {
		at := b.before(b.Born)
		b.Integrations[Okta] = append(b.Integrations[Okta], &Integration{
			N: len(b.Integrations[Okta]), Name: x.name, Label: x.label, Kind: "API_SERVICE",
			Publisher: b.Domain, Active: true, Scopes: x.scopes, Created: at, Modified: at,
		})
	}
}

func (b *builder) oktaGroups() {
	everyone := b.addGroup(Okta, "Everyone", "All users in your organization", "BUILT_IN", b.Born)
	byDepartment := map[string]*Group{}
	for _, d := range departments {
		byDepartment[d.name] = b.addGroup(Okta, "dept-"+slug(d.name), "Everybody in "+d.name, "OKTA_GROUP", b.before(b.Born))
	}
	var usable []*Account
	for _, a := range b.Accounts[Okta] {
		if a.Status == Deprovisioned || !a.Gone.IsZero() {
			continue
		}
		usable = append(usable, a)
		everyone.Members = append(everyone.Members, Member{Account: a.N, Role: "member", Since: a.Created})
		everyone.MembersModified = later(everyone.MembersModified, a.Created)
		if p := b.People[a.Person]; !p.Service {
			byDepartment[p.Department].join(a.N, "member", later(a.Created, byDepartment[p.Department].Created))
		}
	}
	want := b.people/12 + 8
	for i := range max(0, want-8) + 3 {
		name := fmt.Sprintf("proj-%s-%s", words[i%len(words)], purposes[i/len(words)%len(purposes)])
		if i >= len(words)*len(purposes) {
			name += fmt.Sprint(i)
		}
		kind := "OKTA_GROUP"
		if i%5 == 4 {
			in := b.Integrations[Okta][i%len(b.Integrations[Okta])]
			kind, name = "APP_GROUP", fmt.Sprintf("%s-users-%d", in.Name, i)
		}
		g := b.addGroup(Okta, name, "", kind, b.before(b.Born))
		if b.chance(0.7) {
			g.Description = "Works on " + words[i%len(words)]
		}
		if i == 1 {
			continue // an empty group
		}
		owned := kind == "OKTA_GROUP" && b.chance(0.6)
		for j := range min(len(usable), 3+b.rand.IntN(30)) {
			a := pick(b.rand, usable)
			if g.join(a.N, "member", b.before(later(g.Created, a.Created))) && owned && j == 0 {
				g.join(a.N, "owner", g.Members[0].Since)
			}
		}
		if owned && i%2 == 0 { // an owner need not be a member
			g.join(usable[i*7%len(usable)].N, "owner", g.MembersModified)
		}
	}
}

func (b *builder) addGroup(app, name, description, kind string, at time.Time) *Group {
	g := &Group{N: len(b.Groups[app]), Name: name, Slug: slug(name), Description: description, Kind: kind, Parent: -1, Created: at, Modified: at, MembersModified: at}
	b.Groups[app] = append(b.Groups[app], g)
	return g
}

// slug is a name as it stands in an address.
func slug(name string) string {
	out := make([]byte, 0, len(name))
	for _, c := range []byte(name) {
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c >= 'a' && c <= 'z' || c >= '0' && c <= '9':
		default:
			c = '-'
		}
		out = append(out, c)
	}
	return string(out)
}

func (b *builder) oktaRoles() {
	b.RoleDefs[Okta] = []*RoleDef{
		{N: 0, Name: "Account support", Description: "Suspends people and resets passwords", Permits: []string{"okta.users.read", "okta.users.lifecycle.suspend", "okta.users.lifecycle.unsuspend", "okta.users.credentials.expirePassword"}},
		{N: 1, Name: "Auditor", Description: "Looks at who may do what", Permits: []string{"okta.users.read", "okta.groups.read", "okta.iam.read"}},
	}
	b.ResourceSets[Okta] = []*ResourceSet{
		{N: 0, Name: "Support scope", Description: "All users"},
		{N: 1, Name: "Whole directory", Description: "All users and groups"},
	}
	for i := range 2 {
		at := b.before(b.Born)
		b.RoleDefs[Okta][i].Created, b.RoleDefs[Okta][i].Modified = at, at
		b.ResourceSets[Okta][i].Created, b.ResourceSets[Okta][i].Modified = at, at
	}
	first := func(department string, skip int) *Account {
		var last *Account
		for _, a := range b.Accounts[Okta] {
			p := b.People[a.Person]
			if a.Status != Active || p.Outside || p.Service || p.N == 0 {
				continue
			}
			if last = a; p.Department == department {
				if skip == 0 {
					return a
				}
				skip--
			}
		}
		return last
	}
	grant := func(h Ref, role string, def, set int, from time.Time) {
		b.addRole(Okta, h, role, def, set, b.before(from))
	}
	boss := b.Accounts[Okta][0]
	grant(Ref{Kind: AccountRef, N: boss.N}, "SUPER_ADMIN", -1, -1, boss.Created)
	for i := range 1 + min(b.people/100, 3) {
		if a := first("IT", i); a != nil && a != boss {
			grant(Ref{Kind: AccountRef, N: a.N}, []string{"SUPER_ADMIN", "ORG_ADMIN", "APP_ADMIN", "USER_ADMIN"}[i], -1, -1, a.Created)
		}
	}
	if a := first("Security", 0); a != nil {
		grant(Ref{Kind: AccountRef, N: a.N}, "CUSTOM", 1, 1, a.Created)
		grant(Ref{Kind: AccountRef, N: a.N}, "READ_ONLY_ADMIN", -1, -1, a.Created)
	}
	for _, g := range b.Groups[Okta] {
		switch g.Name {
		case "dept-it":
			grant(Ref{Kind: GroupRef, N: g.N}, "HELP_DESK_ADMIN", -1, -1, g.Created)
		case "dept-support":
			grant(Ref{Kind: GroupRef, N: g.N}, "CUSTOM", 0, 0, g.Created)
		}
	}
	for _, in := range b.Integrations[Okta] {
		switch in.Name {
		case "siem-export", "access-review":
			grant(Ref{Kind: IntegrationRef, N: in.N}, "READ_ONLY_ADMIN", -1, -1, in.Created)
		case "hr-sync":
			grant(Ref{Kind: IntegrationRef, N: in.N}, "ORG_ADMIN", -1, -1, in.Created)
		}
	}
}

func (b *builder) addRole(app string, h Ref, role string, def, set int, at time.Time) {
	g := &RoleGrant{N: len(b.Roles[app]), Holder: h, Role: role, RoleN: def, ScopeN: set, Assigned: at}
	if def >= 0 {
		g.Permits = b.RoleDefs[app][def].Permits
		g.Assigned = later(at, b.RoleDefs[app][def].Created)
	}
	if set >= 0 {
		g.Scope = b.ResourceSets[app][set].Name
	}
	b.Roles[app] = append(b.Roles[app], g)
}

func (b *builder) oktaGrants() {
	var admins []*Account
	for _, r := range b.Roles[Okta] {
		if r.Holder.Kind == AccountRef {
			admins = append(admins, b.Accounts[Okta][r.Holder.N])
		}
	}
	for _, a := range b.Accounts[Okta] {
		if b.People[a.Person].Service {
			admins = append(admins, a)
		}
	}
	for i := range 3 + min(b.people/60, 40) {
		a := admins[i%len(admins)]
		g := b.addGrant(Okta, GrantAPIToken, a.N, -1, b.recent(a.Created, 400*24*time.Hour))
		g.Name = []string{"terraform", "backup job", "old script", "onboarding", "reporting"}[i%5]
		if i%3 != 2 {
			g.LastUsed = b.recent(g.Created, 25*24*time.Hour)
			g.Expires = g.LastUsed.Add(tokenWindow)
		} else {
			g.Expires = g.Created.Add(tokenWindow) // never used: some have expired
		}
	}
	var clients []*Integration
	for _, in := range b.Integrations[Okta] {
		for _, sc := range in.Scopes {
			b.addGrant(Okta, GrantScope, -1, in.N, in.Created).Scopes = []string{sc}
		}
		if in.Kind == "OPENID_CONNECT" {
			clients = append(clients, in)
		}
	}
	for range b.people/4 + 2 {
		a, in := pick(b.rand, b.Accounts[Okta]), pick(b.rand, clients)
		if a.Status != Active || !a.Gone.IsZero() || b.People[a.Person].Service {
			continue
		}
		g := b.addGrant(Okta, GrantConsent, a.N, in.N, b.before(later(a.Created, in.Created)))
		g.Scopes = []string{pick(b.rand, []string{"profile", "email", "groups", "okta.users.read.self"})}
	}
	for range b.people/3 + 2 {
		a, in := pick(b.rand, b.Accounts[Okta]), pick(b.rand, clients)
		if a.Status != Active || !a.Gone.IsZero() || b.People[a.Person].Service {
			continue
		}
		g := b.addGrant(Okta, GrantRefresh, a.N, in.N, b.recent(later(a.Created, in.Created), 120*24*time.Hour))
		g.Scopes = pick(b.rand, [][]string{{"offline_access", "openid", "profile"}, {"offline_access", "openid"}, {"offline_access", "okta.users.manage"}})
		g.Expires = g.Created.Add(180 * 24 * time.Hour)
		if b.chance(0.7) {
			b.used(g)
		}
	}
}

// used notes that a grant was used, while it could be.
func (b *builder) used(g *Grant) {
	g.LastUsed = b.before(g.Created)
	if !g.Expires.IsZero() && g.LastUsed.After(g.Expires) {
		g.LastUsed = g.Expires
	}
}

// tokenWindow is how long an API token works without being used.
const tokenWindow = 30 * 24 * time.Hour

func (b *builder) addGrant(app, kind string, account, integration int, at time.Time) *Grant {
	g := &Grant{N: len(b.Grants[app]), Kind: kind, Account: account, Integration: integration, Created: at}
	b.Grants[app] = append(b.Grants[app], g)
	return g
}
