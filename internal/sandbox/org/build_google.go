package org

import (
	"fmt"
	"strings"
	"time"
)

// makeGoogle makes a customer of Google Workspace.
func (b *builder) makeGoogle() {
	b.googleUnits()
	b.googleAccounts()
	b.googleApps()
	b.googleGroups()
	b.googleRoles()
	b.googleGrants()
}

// googleUnits are the organizational units: the resource sets of Google. The first
// is the root.
func (b *builder) googleUnits() {
	names := []string{"/"}
	for _, d := range departments {
		names = append(names, "/"+d.name)
	}
	for i, name := range append(names, "/Engineering/Contractors", "/Suspended") {
		b.ResourceSets[GoogleWorkspace] = append(b.ResourceSets[GoogleWorkspace], &ResourceSet{N: i, Name: name, Description: "", Created: b.Born, Modified: b.Born})
	}
}

// googleUnit is the unit of a person.
func (s *State) googleUnit(p *Person) int {
	name := "/" + p.Department
	if p.Outside {
		name = "/Engineering/Contractors"
	}
	for _, u := range s.ResourceSets[GoogleWorkspace] {
		if u.Name == name {
			return u.N
		}
	}
	return 0
}

// googleLogin is a person's primary address: a guest's is made from the address
// that they have elsewhere.
func (s *State) googleLogin(p *Person) string {
	if strings.HasSuffix(p.Email, "@"+s.Domain) {
		return p.Email
	}
	return strings.ReplaceAll(p.Email, "@", "_") + "@guests." + s.Domain
}

func (b *builder) googleAccounts() {
	left := 0
	for i, p := range b.People {
		if p.Service && i%2 == 0 || b.googleKeepsOut(p) {
			continue
		}
		a := b.newAccount(GoogleWorkspace, p, b.googleLogin(p), p.Joined)
		a.Outside = a.Login != p.Email
		a.OrgUnit = b.googleUnit(p)
		a.PasswordChanged = b.before(p.Joined)
		a.LastLogin = b.recent(p.Joined, 21*24*time.Hour)
		if !p.Service && !b.chance(0.1) {
			a.Factors, a.BackupCodes = pick(b.rand, googleFactors), 10
		}
		if b.chance(0.25) && !a.Outside {
			local, _, _ := strings.Cut(p.Email, "@")
			a.Aliases = append(a.Aliases, fmt.Sprintf("%s%d@%s", strings.ReplaceAll(local, ".", "-"), a.N, b.Domain))
			if b.chance(0.3) {
				a.Aliases = append(a.Aliases, strings.ReplaceAll(local, ".", "_")+"@labs."+b.Domain)
			}
		}
		if i == 15 || p.Outside && b.chance(0.1) || b.chance(0.01) {
			a.LastLogin = time.Time{} // never, but the terms were accepted
		}
		switch {
		case !p.Left.IsZero():
			b.googleLeft(a, p, left)
			left++
		case i < 9: // the chief and who reports to them stay as they are
		case i == 10:
			a.suspend(b.recent(p.Joined, 60*24*time.Hour), SuspendedByAdmin)
		case i == 11:
			a.suspend(b.recent(p.Joined, 60*24*time.Hour), SuspendedByGoogle)
		case i == 12 || b.chance(0.02):
			a.Status, a.Activated, a.LastLogin, a.PasswordChanged, a.Factors, a.BackupCodes = Invited, time.Time{}, time.Time{}, time.Time{}, nil, 0
		case i == 13 || b.chance(0.01):
			a.Status, a.StatusChanged = Archived, b.recent(p.Joined, 90*24*time.Hour)
		case i == 14 || b.chance(0.02):
			a.MustChange = true
		case b.chance(0.02):
			a.suspend(b.recent(p.Joined, 60*24*time.Hour), SuspendedByAdmin)
		}
		a.Modified = later(a.Created, a.StatusChanged)
	}
}

// googleKeepsOut says who of another company has no account: those with an address
// of this one do, and every second of the others, as guests.
func (b *builder) googleKeepsOut(p *Person) bool {
	return p.Outside && !strings.HasSuffix(p.Email, "@"+b.Domain) && p.N%2 == 1
}

// googleLeft is what became of the account of one who left.
func (b *builder) googleLeft(a *Account, p *Person, n int) {
	a.LastLogin, a.PasswordChanged, a.Factors = p.Joined, p.Joined, nil
	switch n % 4 {
	case 0: // deleted, and can be restored for a while
		a.Status, a.StatusChanged = Deprovisioned, b.recent(p.Joined, GoogleDeletedKept-24*time.Hour)
	case 1:
		a.Status, a.StatusChanged = Archived, p.Left
	case 2:
		a.suspend(p.Left, SuspendedByAdmin)
	default:
		a.Status, a.StatusChanged, a.Gone = Deprovisioned, p.Left, later(p.Left, b.Since.Add(-GoogleDeletedKept))
	}
}

func (a *Account) suspend(at time.Time, reason string) {
	a.Status, a.StatusChanged, a.Reason = Suspended, at, reason
}

var googleFactors = [][]string{{"google_prompt"}, {"google_prompt", "totp"}, {"security_key"}, {"passkey"}, {"idv_preregistered_phone"}}

func (b *builder) googleApps() {
	add := func(name, label, kind, publisher string) *Integration {
		at := b.before(b.Born)
		in := &Integration{N: len(b.Integrations[GoogleWorkspace]), Name: name, Label: label, Kind: kind, Publisher: publisher, Active: true, Created: at, Modified: at}
		b.Integrations[GoogleWorkspace] = append(b.Integrations[GoogleWorkspace], in)
		return in
	}
	add("security-agent", "Security Agent", ServiceAccount, b.Domain)
	add("hr-sync", "HR Sync", ServiceAccount, b.Domain)
	for i := range min(googleClients+b.people/40, 150) {
		c := catalog[i%len(catalog)]
		label := c.label
		if round := i / len(catalog); round > 0 {
			label = fmt.Sprintf("%s %d", c.label, round+1)
		}
		kind, name := WebClient, b.googleClientID(i)
		switch i % 5 {
		case 2:
			kind = NativeClient
		case 4:
			kind, name, label = AnonymousApp, "anonymous-"+c.name, "Anonymous"
			if i >= len(catalog) {
				name += fmt.Sprint("-", i)
			}
		}
		add(name, label, kind, c.name+".example")
	}
}

// googleClientID makes the id of an OAuth client.
func (b *builder) googleClientID(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	out := []byte(fmt.Sprintf("%d-", 480000000000+int64(n)*7919+b.rand.Int64N(1000)))
	for range 24 {
		out = append(out, letters[b.rand.IntN(len(letters))])
	}
	return string(out) + ".apps.googleusercontent.com"
}

func (b *builder) googleGroups() {
	var usable []*Account
	for _, a := range b.Accounts[GoogleWorkspace] {
		if here(a) && a.Status != Deprovisioned {
			usable = append(usable, a)
		}
	}
	const app = GoogleWorkspace
	all := b.addGroup(app, "all-employees", "Everybody", GoogleGroup, b.before(b.Born))
	all.Others = []Ref{{Kind: OrgRef}}
	all.join(usable[0].N, GroupOwner, all.Created)
	for i := range departments {
		if i >= 3 && i > b.people/10 {
			break
		}
		g := b.addGroup(app, "team-"+slug(departments[i].name), departments[i].name, GoogleGroup, b.before(b.Born))
		for _, a := range usable {
			if p := b.People[a.Person]; p.Department == departments[i].name && !a.Outside {
				role := GroupMember
				if len(g.Members) == 0 {
					role = GroupManager
				}
				g.join(a.N, role, b.before(later(g.Created, a.Created)))
			}
		}
	}
	for i := range b.people/15 + 8 {
		name := fmt.Sprintf("%s-%d", words[i%len(words)], i)
		g := b.addGroup(app, name, "", GoogleGroup, b.before(b.Born))
		if b.chance(0.6) {
			g.Description = "For " + words[i%len(words)]
		}
		if i == 4 {
			continue // nobody is in it
		}
		for j := range min(len(usable), 2+b.rand.IntN(20)) {
			a, role := pick(b.rand, usable), GroupMember
			switch {
			case j == 0:
				role = GroupOwner
			case j == 1 && i%3 == 0:
				role = GroupManager
			}
			g.add(a.N, role, b.before(later(g.Created, a.Created)))
		}
		switch i % 4 {
		case 1:
			g.Others = append(g.Others, Ref{Kind: GroupRef, N: g.N - 1})
		case 2:
			g.Others = append(g.Others, googleContact(i), googleContact(i+3))
		}
	}
}

func googleContact(n int) Ref {
	n %= GoogleContacts
	return Ref{Kind: ContactRef, N: n, Name: GoogleContact(n)}
}

// add makes an account a member in one role, if it is none yet.
func (g *Group) add(account int, role string, at time.Time) bool {
	return !g.Has(account) && g.join(account, role, at)
}

// googleRoleGroup is the group that holds a role.
const googleRoleGroup = 2

func (b *builder) googleRoles() {
	const app = GoogleWorkspace
	for i, name := range GoogleRoles {
		b.RoleDefs[app] = append(b.RoleDefs[app], &RoleDef{N: i, Name: name, Description: "Google " + strings.ReplaceAll(strings.Trim(name, "_"), "_", " "), Permits: googlePrivileges[i], Created: b.Born, Modified: b.Born})
	}
	for i, name := range []string{"Security Auditor", "Support Desk"} {
		at := b.before(b.Born)
		b.RoleDefs[app] = append(b.RoleDefs[app], &RoleDef{N: len(b.RoleDefs[app]), Name: name, Description: "Own role", Permits: googlePrivileges[GoogleAuditor+i], Created: at, Modified: at})
	}
	grant := func(h Ref, def, unit int, from time.Time) {
		b.addRole(app, h, b.RoleDefs[app][def].Name, def, unit, b.before(from))
	}
	accounts := b.Accounts[app]
	grant(acct(accounts[0]), GoogleSuperAdmin, -1, accounts[0].Created)
	admins := 0
	for _, a := range accounts[1:] {
		if p := b.People[a.Person]; !live(a) || p.Outside || p.Service || admins >= 5+b.people/100 {
			continue
		}
		admins++
		switch admins % 6 {
		case 1:
			grant(acct(a), GoogleUserAdmin, -1, a.Created)
		case 2:
			grant(acct(a), GoogleSupport, max(a.OrgUnit, 1), a.Created)
		case 3:
			grant(acct(a), GoogleAuditor, -1, a.Created)
			grant(acct(a), GoogleHelpDesk, max(a.OrgUnit, 1), a.Created)
		case 4:
			grant(acct(a), GoogleSuperAdmin, -1, a.Created)
		default:
			grant(acct(a), 1+admins%(len(GoogleRoles)-1), -1, a.Created)
			b.Roles[app][len(b.Roles[app])-1].Until = b.Since.AddDate(1, 0, 0)
		}
	}
	g := b.Groups[app][googleRoleGroup]
	grant(groupRef(g), GoogleHelpDesk, -1, g.Created)
	hr := b.Integrations[app][GoogleHRSync]
	grant(inst(hr), GoogleUserAdmin, -1, hr.Created)
}

// googlePrivileges are what roles hold, as service and privilege.
var googlePrivileges = [][]string{
	{"00haapch16h1ysv ADMIN_DASHBOARD", "00haapch16h1ysv USERS_ALL", "00haapch16h1ysv GROUPS_ALL", "00haapch16h1ysv REPORTS_ACCESS", "00haapch16h1ysv USER_SECURITY_ALL"},
	{"00haapch16h1ysv GROUPS_ALL", "00haapch16h1ysv ADMIN_DASHBOARD"},
	{"00haapch16h1ysv USERS_ALL", "00haapch16h1ysv USER_SECURITY_ALL", "00haapch16h1ysv ORGANIZATION_UNITS_RETRIEVE"},
	{"00haapch16h1ysv USERS_RETRIEVE", "00haapch16h1ysv USERS_RESET_PASSWORD", "00haapch16h1ysv USERS_FORCE_PASSWORD_CHANGE"},
	{"01ci93xb3tmzyin SERVICES_ALL", "00haapch16h1ysv ADMIN_DASHBOARD"},
	{"02afmg282jiquyg MOBILE_ALL"},
	{"00haapch16h1ysv USERS_RETRIEVE", "00haapch16h1ysv GROUPS_RETRIEVE", "00haapch16h1ysv REPORTS_ACCESS", "00haapch16h1ysv ORGANIZATION_UNITS_RETRIEVE"},
	{"00haapch16h1ysv USERS_RETRIEVE", "00haapch16h1ysv USERS_RESET_PASSWORD", "00haapch16h1ysv USERS_SUSPEND"},
}

func (b *builder) googleGrants() {
	const app = GoogleWorkspace
	clients := b.Integrations[app][googleFirst:]
	for _, a := range b.Accounts[app] {
		p := b.People[a.Person]
		if !here(a) || a.Status == Deprovisioned || a.Status == Invited || p.Service {
			continue
		}
		seen := map[int]bool{}
		for range b.rand.IntN(3) {
			in := pick(b.rand, clients)
			if seen[in.N] {
				continue
			}
			seen[in.N] = true
			g := b.addGrant(app, GrantConsent, a.N, in.N, b.before(later(a.Created, in.Created)))
			g.Scopes = b.googleScopes(b.rand.IntN(3))
		}
		if a.N == 3 || b.chance(0.08) {
			for i := range 1 + b.rand.IntN(2) {
				g := b.addGrant(app, GrantAppPassword, a.N, -1, b.before(a.Created))
				if g.Name = []string{"Mail on the phone", "Scanner"}[i]; i == 0 {
					g.LastUsed = b.recent(g.Created, 30*24*time.Hour)
				}
			}
		}
	}
}

// googleScopes are the identity's and so many more.
func (b *builder) googleScopes(n int) []string {
	list := []string{GoogleScopes[0], GoogleScopes[1]}
	for range n {
		sc := pick(b.rand, GoogleScopes[2:])
		if list[len(list)-1] != sc {
			list = append(list, sc)
		}
	}
	return list
}

// googleToken is what an account lets a client do now; nil: nothing.
func (s *State) googleToken(account, client int) *Grant {
	for _, g := range s.Grants[GoogleWorkspace] {
		if g.Gone.IsZero() && g.Kind == GrantConsent && g.Account == account && g.Integration == client {
			return g
		}
	}
	return nil
}
