package org

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Kinds of Entra's groups.
const (
	Unified      = "microsoft365"
	Security     = "security"
	MailSecurity = "mail_security"
	Distribution = "distribution"
)

// IsEntraKind says whether a kind is one of Entra's groups.
func IsEntraKind(kind string) bool {
	return kind == Unified || kind == Security || kind == MailSecurity || kind == Distribution
}

// hasSite says whether a group has a site of its own.
func hasSite(g *Group) bool { return g.Kind == Unified }

// Integrations of Microsoft 365 that every tenant has, by number: the APIs that
// others are let into, and what keeps accounts as the company's own directory has
// them.
const (
	GraphAPI = iota
	SharePointAPI
	ManagementAPI
	DirectorySync
	AgentApp // what reads logs and carries out decisions for the company
	firstApp
)

// DelegatedScopes and AppRoles are what integrations may be given at Graph.
var (
	DelegatedScopes = []string{"User.Read", "openid", "profile", "offline_access", "Mail.Read", "Files.ReadWrite.All", "Calendars.Read", "Directory.Read.All", "User.ReadBasic.All"}
	AppRoles        = map[int][]string{
		GraphAPI:      {"User.Read.All", "Group.ReadWrite.All", "Mail.Read", "AuditLog.Read.All", "Directory.ReadWrite.All", "Reports.Read.All"},
		SharePointAPI: {"Sites.FullControl.All", "Sites.Read.All"},
		ManagementAPI: {"ActivityFeed.Read", "ServiceHealth.Read"},
	}
)

// EntraRoles are the roles of the directory. The first is what an administrator
// has who may do all.
var EntraRoles = []string{
	"Global Administrator", "User Administrator", "Global Reader", "Security Reader", "Helpdesk Administrator", "Application Administrator", "Exchange Administrator", "Reports Reader",
	"Directory Synchronization Accounts",
}

// makeEntra makes the directory of Microsoft 365.
func (b *builder) makeEntra() {
	b.entraApps()
	b.entraAccounts()
	b.entraGroups()
	b.entraRoles()
	b.entraGrants()
}

func (b *builder) entraApps() {
	add := func(name, label, kind, publisher string) *Integration {
		at := b.before(b.Born)
		in := &Integration{N: len(b.Integrations[Microsoft365]), Name: name, Label: label, Kind: kind, Publisher: publisher, Active: true, Created: at, Modified: at}
		b.Integrations[Microsoft365] = append(b.Integrations[Microsoft365], in)
		return in
	}
	for _, x := range [][2]string{{"graph", "Microsoft Graph"}, {"sharepoint", "Office 365 SharePoint Online"}, {"management", "Office 365 Management APIs"}} {
		add(x[0], x[1], "Application", "Microsoft").Created = b.Born
	}
	add("directory-sync", "Directory Synchronization", "Application", b.Domain)
	add("security-agent", "Security Agent", "Application", b.Domain)
	for i := range min(8+b.people/50, 150) {
		c := catalog[i%len(catalog)]
		name, label := c.name, c.label
		if round := i / len(catalog); round > 0 {
			name, label = fmt.Sprintf("%s-%d", c.name, round+1), fmt.Sprintf("%s %d", c.label, round+1)
		}
		switch in := add(name, label, "Application", c.name+".example"); {
		case i%5 == 3:
			in.Kind, in.Publisher, in.Label = "ManagedIdentity", b.Domain, "id-"+name
		case i%5 == 4:
			in.Publisher = b.Domain // the company's own
			in.RedirectURIs = []string{"https://" + name + "." + b.Domain + "/signin-oidc"}
		case i == 1 || b.chance(0.05):
			in.Active = false
		default:
			in.RedirectURIs = []string{"https://" + name + ".example/callback", "https://" + name + ".example/reply"}
		}
	}
}

// entraLogin is a person's user principal name: that of a guest is made from the
// address that they have elsewhere.
func (s *State) entraLogin(p *Person) string {
	if p.Outside {
		return strings.ReplaceAll(p.Email, "@", "_") + "#EXT#@" + s.Name + ".onmicrosoft.example"
	}
	return p.Email
}

func (b *builder) entraAccounts() {
	for i, p := range b.People {
		if p.Outside && b.chance(0.3) || p.Service && i%2 == 1 {
			continue
		}
		a := b.newAccount(Microsoft365, p, b.entraLogin(p), p.Joined)
		a.Synced = !p.Outside && !p.Service && i%3 == 0
		a.PasswordChanged = b.before(p.Joined)
		a.LastLogin = b.recent(p.Joined, 21*24*time.Hour)
		if b.chance(0.7) {
			a.Silent = b.recent(p.Joined, 14*24*time.Hour)
		}
		if !p.Service && !b.chance(0.08) {
			a.Factors = pick(b.rand, entraFactors)
		}
		switch {
		case !p.Left.IsZero():
			a.Created, a.LastLogin, a.Silent, a.PasswordChanged = p.Joined, p.Joined, time.Time{}, p.Joined
			a.Status, a.Factors = Deprovisioned, nil
			a.StatusChanged = p.Left
			if b.Since.Sub(p.Left) > DeletedKept {
				a.Gone = p.Left.Add(DeletedKept)
			}
			if i%5 == 0 { // a few who can be restored
				a.Gone, a.StatusChanged = time.Time{}, b.recent(p.Joined, 20*24*time.Hour)
			}
			a.Modified = a.StatusChanged
		case p.Outside && (i%4 == 0 || b.chance(0.2)):
			a.Status, a.Activated, a.LastLogin, a.Silent, a.Factors = Invited, time.Time{}, time.Time{}, time.Time{}, nil
		case i > 8 && (i == 10 || b.chance(0.02)):
			a.Status, a.StatusChanged = Suspended, b.recent(p.Joined, 60*24*time.Hour)
			a.Modified = a.StatusChanged
		case i == 12:
			a.LastLogin, a.Silent = time.Time{}, time.Time{} // never
		}
	}
}

var entraFactors = [][]string{{"microsoftAuthenticatorPush"}, {"microsoftAuthenticatorPush", "softwareOneTimePasscode"}, {"mobilePhone"}, {"fido2SecurityKey"}}

// DeletedKept is how long a deleted account or group can be restored.
const DeletedKept = 30 * 24 * time.Hour

func (b *builder) entraGroups() {
	var usable []*Account
	for _, a := range b.Accounts[Microsoft365] {
		if here(a) && a.Status != Deprovisioned {
			usable = append(usable, a)
		}
	}
	all := b.addGroup(Microsoft365, "All employees", "Everybody who works here", Security, b.before(b.Born))
	all.Rule = `(user.userType -eq "Member")`
	for _, a := range usable {
		if !b.People[a.Person].Outside {
			all.join(a.N, "member", later(a.Created, all.Created))
		}
	}
	for i := range b.people/15 + 8 {
		word, purpose := words[i%len(words)], purposes[i/len(words)%len(purposes)]
		name := word + " " + purpose
		if i >= len(words)*len(purposes) {
			name += fmt.Sprint(" ", i)
		}
		kind := []string{Unified, Security, Distribution, MailSecurity, Unified}[i%5]
		g := b.addGroup(Microsoft365, name, "", kind, b.before(b.Born))
		if b.chance(0.6) {
			g.Description = "For " + word
		}
		g.Synced = i%5 == 3 || i%7 == 1
		if i == 4 {
			continue // nobody is in it
		}
		for j := range min(len(usable), 2+b.rand.IntN(24)) {
			a := pick(b.rand, usable)
			at := b.before(later(g.Created, a.Created))
			if g.join(a.N, "member", at) && j == 0 && kind != MailSecurity {
				g.join(a.N, "owner", at)
			}
		}
		switch {
		case i == 0: // an owner who is no member
			g.join(usable[0].N, "owner", g.MembersModified)
		case i%10 == 9: // dynamic
			g.Rule = fmt.Sprintf(`(user.department -eq %q)`, word)
		case i%5 == 1: // others than people
			if !slices.Contains(roleGroups, g.N) { // a group that holds a role cannot have groups in it
				g.Others = append(g.Others, Ref{Kind: GroupRef, N: g.N - 1})
			}
			g.Others = append(g.Others, Ref{Kind: IntegrationRef, N: DirectorySync}, Ref{Kind: DeviceRef, N: i})
		case i%5 == 2:
			g.Others = append(g.Others, Ref{Kind: ContactRef, N: i}, Ref{Kind: GroupRef, N: g.N - 1})
		}
	}
}

// roleGroups are the groups that hold roles.
var roleGroups = []int{2, 7}

func (b *builder) entraRoles() {
	accounts := b.Accounts[Microsoft365]
	add := func(h Ref, role int, from time.Time) *RoleGrant {
		b.addRole(Microsoft365, h, EntraRoles[role], -1, -1, b.before(from))
		return b.Roles[Microsoft365][len(b.Roles[Microsoft365])-1]
	}
	add(acct(accounts[0]), 0, accounts[0].Created)
	admins := 0
	for _, a := range accounts[1:] {
		p := b.People[a.Person]
		if !live(a) || p.Outside || p.Service || admins >= 4+b.people/100 {
			continue
		}
		admins++
		r := add(acct(a), admins%(len(EntraRoles)-1), a.Created)
		switch admins % 4 {
		case 1:
			r.Scope, r.ScopeN = "administrative unit", 0
		case 2:
			r.Until = b.Since.AddDate(1, 0, 0)
		case 3:
			e := add(acct(a), 0, a.Created)
			e.Eligible, e.Until = true, b.Since.AddDate(1, 0, 0)
		}
	}
	for _, g := range b.Groups[Microsoft365] {
		if slices.Contains(roleGroups, g.N) {
			add(groupRef(g), 2+g.N%3, g.Created)
		}
	}
	sync, agent := b.Integrations[Microsoft365][DirectorySync], b.Integrations[Microsoft365][AgentApp]
	add(inst(sync), len(EntraRoles)-1, sync.Created)
	add(inst(agent), 1, agent.Created)
}

func (b *builder) entraGrants() {
	apps := b.Integrations[Microsoft365]
	var people []*Account
	for _, a := range b.Accounts[Microsoft365] {
		if live(a) && !b.People[a.Person].Service {
			people = append(people, a)
		}
	}
	for i, in := range apps[firstApp:] {
		if i%2 == 0 {
			g := b.addGrant(Microsoft365, GrantConsent, -1, in.N, b.before(in.Created))
			g.Scopes = append([]string{"User.Read"}, DelegatedScopes[1+i%(len(DelegatedScopes)-1)])
		}
		if i%3 != 1 {
			for resource := range 1 + i%3 {
				g := b.addGrant(Microsoft365, GrantAppRole, -1, in.N, b.before(in.Created))
				g.Resource, g.Scopes = resource, []string{pick(b.rand, AppRoles[resource])}
			}
		}
		if i%4 == 0 {
			g := b.addGrant(Microsoft365, GrantAppRole, pick(b.rand, people).N, -1, b.before(in.Created))
			g.Resource = in.N
			g = b.addGrant(Microsoft365, GrantAppRole, -1, -1, b.before(in.Created))
			g.Resource, g.Holder = in.N, groupRef(b.Groups[Microsoft365][i%len(b.Groups[Microsoft365])])
		}
	}
	for range b.people/3 + 4 {
		a, in := pick(b.rand, people), pick(b.rand, apps[firstApp:])
		g := b.addGrant(Microsoft365, GrantConsent, a.N, in.N, b.before(later(a.Created, in.Created)))
		g.Scopes = append([]string{"User.Read"}, pick(b.rand, DelegatedScopes[1:]))
	}
}
