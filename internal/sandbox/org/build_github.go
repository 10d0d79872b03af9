package org

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

func (b *builder) makeGitHub() {
	b.githubAccounts()
	b.teams()
	b.githubRoles()
	b.githubIntegrations()
	members := b.members()
	for range b.people/10 + 5 {
		b.repository(members)
	}
	b.Repos[0].Visibility, b.Repos[0].Archived = "public", false
	if n := len(b.Repos); n > 3 { // one of each that is easily forgotten
		b.Repos[1].Archived = true
		b.Repos[2].Files, b.Repos[2].Pushed = nil, time.Time{}
	}
	b.githubGrants()
}

func (b *builder) githubAccounts() {
	weight := map[string]float64{}
	for _, d := range departments {
		weight[d.name] = d.engineers
	}
	made := 0
	for _, p := range b.People {
		switch {
		case (p.Service || p.Outside) && p.N%2 == 0:
			continue
		case !p.Service && !p.Outside && p.N > 3 && !b.chance(weight[p.Department]):
			continue
		}
		a := b.newAccount(GitHub, p, b.handle(b.rand, p), b.before(p.Joined))
		a.LastLogin = b.recent(a.Created, 30*24*time.Hour)
		a.PublicEmail = b.chance(0.3)
		if !b.chance(0.05) {
			a.Factors = []string{"token:software:totp"}
		}
		switch {
		case !p.Left.IsZero():
			a.Created, a.Gone = p.Joined, p.Left
			a.LastLogin = p.Joined
		case p.Outside:
			a.Outside = true
		case p.Service:
			a.Factors = nil
		default:
			made++
			a.Owner = made <= 2 || made < 5 && b.people > 100
			if made == 6 {
				a.Factors = nil
			}
			if made == 7 || made > 7 && b.chance(0.015) {
				a.Status, a.Factors, a.LastLogin, a.Activated = Invited, nil, time.Time{}, time.Time{}
				a.Created = b.recent(p.Joined, 6*24*time.Hour)
			}
		}
		if a.Status == Active {
			a.Activated = a.Created
		}
		a.Modified, a.StatusChanged = a.Created, a.Created
	}
}

// handle returns a login that nobody has or had.
func (s *State) handle(r *rand.Rand, p *Person) string {
	local, _, _ := strings.Cut(p.Email, "@")
	local, _, _ = strings.Cut(local, "+")
	given, family, ok := strings.Cut(local, ".")
	base := strings.ReplaceAll(local, ".", "-")
	if ok {
		switch r.IntN(3) {
		case 0:
			base = given[:1] + family
		case 1:
			base = given + family[:1]
		}
	}
	if p.Service {
		base = s.Name + "-" + strings.TrimPrefix(base, "svc-") + "-bot"
	}
	for i := 1; ; i++ {
		h := base
		if i > 1 {
			h += fmt.Sprint(i)
		}
		if !s.journal.handles[h] {
			s.journal.handles[h] = true
			return h
		}
	}
}

// members are the accounts that may be in teams.
func (b *builder) members() (out []*Account) {
	for _, a := range b.Accounts[GitHub] {
		if a.Gone.IsZero() && !a.Outside && a.Status == Active {
			out = append(out, a)
		}
	}
	return out
}

func (b *builder) teams() {
	members := b.members()
	parents := 0
	for _, d := range departments[:5] {
		g := b.addGroup(GitHub, d.name, "All of "+d.name, "closed", b.before(b.Born))
		parents++
		for _, a := range members {
			if b.People[a.Person].Department == d.name {
				b.joinTeam(g, a, len(g.Members) == 0)
			}
		}
	}
	for i := range len(members)/8 + 3 {
		n := len(words)
		name := words[i%n] + " " + purposes[(i*5+i/n)%len(purposes)]
		if round := i / (n * len(purposes)); round > 0 {
			name += fmt.Sprintf(" %d", round+1)
		}
		kind := "closed"
		if i%7 == 3 {
			kind = "secret"
		}
		g := b.addGroup(GitHub, name, "", kind, b.before(b.Born))
		if kind == "closed" && i%4 != 0 { // a secret team cannot be nested
			g.Parent = b.rand.IntN(parents)
			g.Created = later(g.Created, b.Groups[GitHub][g.Parent].Created)
			g.Modified, g.MembersModified = g.Created, g.Created
		}
		if i == 2 {
			continue // an empty team
		}
		for j := range min(len(members), 2+b.rand.IntN(9)) {
			b.joinTeam(g, pick(b.rand, members), j == 0)
		}
	}
}

func (b *builder) joinTeam(g *Group, a *Account, maintainer bool) {
	role := "member"
	if maintainer {
		role = "maintainer"
	}
	g.join(a.N, role, b.before(later(g.Created, a.Created)))
}

func (b *builder) githubRoles() {
	at := b.before(b.Born)
	b.RoleDefs[GitHub] = []*RoleDef{
		{N: 0, Name: "auditor", Description: "Reads the audit log", Permits: []string{"read_audit_logs"}, Created: at, Modified: at},
		{N: 1, Name: "hook-keeper", Description: "Looks after webhooks", Permits: []string{"manage_organization_webhooks"}, Created: at, Modified: at},
	}
	members := b.members()
	for i := range min(len(members), 2+b.people/200) {
		a := members[len(members)-1-i]
		b.addRole(GitHub, Ref{Kind: AccountRef, N: a.N}, b.RoleDefs[GitHub][i%2].Name, i%2, -1, b.before(a.Created))
	}
	for _, g := range b.Groups[GitHub] {
		if g.Name == "Security" {
			b.addRole(GitHub, Ref{Kind: GroupRef, N: g.N}, "auditor", 0, -1, b.before(g.Created))
		}
	}
}

var installations = []struct {
	name   string
	scopes []string
}{
	{"ci-runner", []string{"checks:write", "contents:read", "metadata:read"}},
	{"dependency-watch", []string{"contents:write", "metadata:read", "pull_requests:write"}},
	{"code-metrics", []string{"contents:read", "metadata:read"}},
	{"chat-notifier", []string{"issues:read", "metadata:read", "pull_requests:read"}},
	{"deploy-train", []string{"administration:write", "contents:write", "metadata:read"}},
	{"org-audit", []string{"members:read", "metadata:read", "organization_administration:read"}},
}

func (b *builder) githubIntegrations() {
	for i := range 6 + min(b.people/100, 60) {
		c := installations[i%len(installations)]
		name := c.name
		if i >= len(installations) {
			name = fmt.Sprintf("%s-%d", c.name, i/len(installations)+1)
		}
		at := b.before(b.Born)
		in := &Integration{
			N: i, Name: name, Label: name, Kind: "github_app", Publisher: c.name + ".example", Active: true, Scopes: c.scopes,
			Selected: i%3 == 1, Created: at, Modified: b.before(at),
		}
		if i == 3 {
			in.Active, in.SuspendedAt = false, b.before(in.Modified)
			in.Modified = in.SuspendedAt
		}
		b.Integrations[GitHub] = append(b.Integrations[GitHub], in)
	}
}

// repository adds a repository with all that may reach it.
func (b *builder) repository(members []*Account) {
	r := b.newRepo(b.rand, b.before(b.Born))
	r.Modified = b.before(r.Created)
	r.Pushed = b.recent(r.Created, 200*24*time.Hour)
	r.Archived = b.chance(0.08)
	switch d := b.rand.Float64(); {
	case d < 0.12:
		r.Visibility = "internal"
	case d < 0.2:
		r.Visibility = "public"
	}
	for range 4 + b.rand.IntN(40) {
		r.put(newBlob(b.rand))
	}
	teams := b.Groups[GitHub]
	for i := range 1 + b.rand.IntN(3) {
		r.let(Access{Holder: Ref{Kind: GroupRef, N: pick(b.rand, teams).N}, Role: []string{"write", "read", "maintain"}[i], Since: b.before(r.Created)})
	}
	for i := range b.rand.IntN(4) {
		a := pick(b.rand, members)
		r.let(Access{Holder: Ref{Kind: AccountRef, N: a.N}, Role: []string{"admin", "write", "triage"}[i], Since: b.before(later(r.Created, a.Created))})
	}
	for _, a := range b.Accounts[GitHub] {
		if a.Outside && a.Gone.IsZero() && (r.N%7 == a.N%7 && b.chance(4/float64(b.people/10+5)) || r.N == 3+a.N%max(1, b.people/10)) {
			r.let(Access{Holder: Ref{Kind: AccountRef, N: a.N}, Role: pick(b.rand, []string{"read", "write"}), Outside: true, Since: b.before(later(r.Created, a.Created))})
		}
	}
	if b.chance(0.06) || r.N == 4 {
		for _, a := range b.Accounts[GitHub] {
			if a.Outside && r.let(Access{Holder: Ref{Kind: AccountRef, N: a.N}, Role: "read", Outside: true, Invited: true, N: b.journal.invitations, Since: b.recent(later(r.Created, a.Created), 6*24*time.Hour)}) {
				b.journal.invitations++
				break
			}
		}
	}
	if b.chance(0.2) || r.N == 0 {
		a := pick(b.rand, members)
		k := DeployKey{Title: pick(b.rand, []string{"deploy", "mirror", "build server"}), ReadOnly: b.chance(0.6), AddedBy: a.N, Created: b.before(later(r.Created, a.Created))}
		if b.chance(0.7) {
			k.LastUsed = b.before(k.Created)
		}
		b.addKey(r, k)
	}
}

// addKey gives a repository a deploy key, whose number is unique over all.
func (s *State) addKey(r *Repo, k DeployKey) {
	k.N = s.journal.keys
	s.journal.keys++
	r.Keys = append(r.Keys, k)
}

// newRepo adds an empty private repository that nobody can reach.
func (s *State) newRepo(rnd *rand.Rand, at time.Time) *Repo {
	name := pick(rnd, words) + "-" + pick(rnd, purposes)
	for i := 2; s.journal.repos[name]; i++ {
		base := strings.TrimRight(name, "0123456789")
		if i == 2 {
			base += "-"
		}
		name = base + fmt.Sprint(i)
	}
	s.journal.repos[name] = true
	r := &Repo{N: len(s.Repos), Name: name, Visibility: "private", Branch: "main", Created: at, Modified: at}
	if rnd.IntN(10) == 0 {
		r.Branch = "master"
	}
	if rnd.IntN(4) > 0 {
		r.Description = "The " + strings.ReplaceAll(name, "-", " ")
	}
	s.Repos = append(s.Repos, r)
	return r
}

// let gives access, unless the holder has some already.
func (r *Repo) let(a Access) bool {
	if r.access(a.Holder) >= 0 {
		return false
	}
	r.Access = append(r.Access, a)
	return true
}

func (r *Repo) access(h Ref) int {
	return slices.IndexFunc(r.Access, func(a Access) bool { return a.Holder.Kind == h.Kind && a.Holder.N == h.N })
}

// put adds or replaces a file.
func (r *Repo) put(f Blob) {
	i, found := slices.BinarySearchFunc(r.Files, f, func(a, b Blob) int { return strings.Compare(a.Path, b.Path) })
	if found {
		r.Files[i] = f
		return
	}
	r.Files = slices.Insert(r.Files, i, f)
}

func newBlob(r *rand.Rand) Blob {
	f := Blob{Path: pick(r, fileDirs) + pick(r, words) + pick(r, fileExts), Size: int64(r.ExpFloat64() * 6000), Mode: "100644", Hash: newHash(r)}
	switch d := r.IntN(100); {
	case d < 5:
		f.Mode = "100755"
	case d < 7:
		f.Path, f.Mode, f.Size = "links/"+pick(r, words), "120000", int64(5+r.IntN(30))
	case d < 9:
		f.Path, f.Mode, f.Size = "third_party/"+pick(r, words), "160000", 0
	}
	return f
}

func newHash(r *rand.Rand) string {
	var raw [20]byte
	for i := range raw {
		raw[i] = byte(r.Uint32())
	}
	return hex.EncodeToString(raw[:])
}

func (b *builder) githubGrants() {
	members := b.members()
	pat := func(a *Account) *Grant {
		g := b.addGrant(GitHub, GrantPAT, a.N, -1, b.recent(a.Created, 300*24*time.Hour))
		g.Name = pick(b.rand, []string{"laptop", "release script", "metrics", "mirror", "notebook"})
		g.Scopes = pick(b.rand, [][]string{{"contents:read", "metadata:read"}, {"contents:write", "metadata:read", "pull_requests:write"}, {"administration:write", "contents:write", "metadata:read"}})
		if !b.chance(0.15) {
			g.Expires = g.Created.Add(time.Duration(30+b.rand.IntN(336)) * 24 * time.Hour)
		}
		return g
	}
	for i := range len(members)/3 + 2 {
		if g := pat(pick(b.rand, members)); i%4 != 1 {
			b.used(g)
		}
	}
	for i := range len(members)/2 + 3 {
		a := pick(b.rand, members)
		g := b.addGrant(GitHub, GrantCredential, a.N, -1, b.recent(a.Created, 500*24*time.Hour))
		g.Credential = []string{"personal access token", "SSH key", "SSH key", "OAuth app token", "GitHub app token"}[i%5]
		g.Name = pick(b.rand, []string{"work laptop", "build box", "old laptop", "editor"})
		if g.Credential != "SSH key" {
			g.Scopes = pick(b.rand, [][]string{{"repo"}, {"read:org", "repo"}, {"admin:org", "repo", "workflow"}})
		}
		if g.Credential == "personal access token" && b.chance(0.5) {
			g.Expires = g.Created.Add(90 * 24 * time.Hour)
		}
		if i%3 != 2 {
			b.used(g)
		}
	}
}

// githubRequests are tokens that wait for an owner to approve of them.
func (b *builder) githubRequests() {
	members := b.members()
	for i := range 2 + min(b.people/100, 20) {
		a := pick(b.rand, members)
		at := b.recent(a.Created, 10*24*time.Hour)
		b.Requests = append(b.Requests, &Request{
			N: i, Account: a.N, Name: pick(b.rand, []string{"migration", "report", "mirror"}), Reason: "for the release", Scopes: []string{"contents:read", "metadata:read"},
			Created: at, Expires: at.Add(90 * 24 * time.Hour),
		})
	}
}
