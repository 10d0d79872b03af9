package org

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// builder makes the organization as it is before the first event.
type builder struct {
	*State
	rand   *rand.Rand
	names  map[string]bool // of repositories
	people int             // employees wanted
}

func build(s *State, o Options) {
	b := &builder{State: s, rand: source(o, "build"), names: map[string]bool{}, people: max(o.People, 1)}
	s.Born = s.Since.AddDate(-4-b.rand.IntN(5), -b.rand.IntN(12), 0).Truncate(time.Second)
	b.makePeople()
	b.makeOkta()
	b.makeGitHub()
	b.rand = source(o, "requests") // of its own: the others stay as they are
	b.githubRequests()
	b.rand = source(o, "cloud")
	b.makeCloud()
	b.rand = source(o, "entra")
	b.makeEntra()
	b.rand = source(o, "office")
	b.makeOffice(o.Files)
	b.rand = source(o, "google")
	b.makeGoogle()
	b.rand = source(o, "docs")
	b.makeDocs(o.Files)
}

// before returns a time between from and the first event, to the second.
func (b *builder) before(from time.Time) time.Time {
	span := b.Since.Add(-time.Minute).Sub(from)
	if span <= time.Second {
		return b.Since.Add(-time.Minute)
	}
	return from.Add(time.Duration(b.rand.Int64N(int64(span)))).Truncate(time.Second)
}

// recent returns a time within the span before the first event, but not before
// from.
func (b *builder) recent(from time.Time, span time.Duration) time.Time {
	if start := b.Since.Add(-span); start.After(from) {
		from = start
	}
	return b.before(from)
}

func (b *builder) chance(p float64) bool { return b.rand.Float64() < p }

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func (b *builder) makePeople() {
	for i := range b.people {
		p := b.newPerson(b.rand, b.before(b.Born))
		switch { // a tree with about eight below each
		case i == 0:
			p.Title, p.Department, p.Manager = "Chief Executive", "People", -1
		case i < 9:
			p.Manager = 0
		default:
			p.Manager = b.rand.IntN(max(1, i/8))
		}
	}
	// People who have left.
	for range max(1, b.people/15) {
		p := b.newPerson(b.rand, b.before(b.Born))
		p.Left = b.before(p.Joined)
	}
	for range b.people/20 + 2 {
		p := b.newPerson(b.rand, b.before(b.Born))
		p.Outside, p.Title = true, "Consultant"
		if b.chance(0.5) { // with an address of their own company
			b.address(p, strings.ToLower(pick(b.rand, words))+"-consulting.example", "")
		} else {
			b.address(p, b.Domain, "+contractor")
		}
	}
	for i := range 2 + min(b.people/50, 60) {
		name := []string{"ci", "backup", "deploy", "scanner", "reports", "sync"}[i%6]
		if i >= 6 {
			name += fmt.Sprint(i/6 + 1)
		}
		p := b.newPerson(b.rand, b.before(b.Born))
		p.Service, p.Given, p.Family, p.Title, p.Department = true, "svc", name, "Service account", "Platform"
		p.Phone = Client{}
		p.Home.IP, p.Home.UserAgent, p.Home.Device = fmt.Sprintf("203.0.113.%d", 200+i%50), botAgent, "Computer"
		p.Email = "svc-" + name + "@" + b.Domain
	}
}

// newPerson adds a person, who has no accounts yet.
func (s *State) newPerson(r *rand.Rand, joined time.Time) *Person {
	at := weighted(r, len(places), func(i int) int { return places[i].weight })
	pl := &places[at]
	d := &departments[weighted(r, len(departments), func(i int) int { return departments[i].weight })]
	given, family := pick(r, givenNames), pick(r, familyNames)
	n := len(s.People)
	p := &Person{N: n, Given: given.name, Family: family.name, Department: d.name, Title: pick(r, d.titles), Manager: -1, Joined: joined, UTCOffset: pl.offset}
	p.Email = s.freeAddress(given.plain, family.plain, s.Domain, "")
	p.Home = Client{IP: homeAddress(r, pl, n), Country: pl.country, City: pl.city, CountryCode: pl.code, ASN: pl.asn, UserAgent: pick(r, browsers), Device: "Computer"}
	if r.Float64() < 0.6 {
		p.Phone = p.Home
		p.Phone.UserAgent, p.Phone.Device, p.Phone.ASN = phoneBrowser, "Mobile", pl.asn+5
		p.Phone.IP = fmt.Sprintf("198.19.%d.%d", n>>8&255, n&255)
	}
	s.People = append(s.People, p)
	for app := range s.accountOf {
		s.accountOf[app] = append(s.accountOf[app], -1)
	}
	return p
}

func homeAddress(r *rand.Rand, pl *place, n int) string {
	switch d := r.Float64(); {
	case d < 0.5:
		return pl.office
	case d < 0.6:
		return fmt.Sprintf("2001:db8:%x:%x::%x", pl.asn&0xffff, n>>8, n&255+1)
	}
	return fmt.Sprintf("198.18.%d.%d", n>>8&255, n&255)
}

// address gives a person another address.
func (b *builder) address(p *Person, domain, suffix string) {
	local, _, _ := strings.Cut(p.Email, "@")
	given, family, _ := strings.Cut(local, ".")
	delete(b.journal.emails, p.Email)
	p.Email = b.freeAddress(given, strings.TrimRight(family, "0123456789"), domain, suffix)
}

// freeAddress returns an e-mail address that nobody has or had.
func (s *State) freeAddress(given, family, domain, suffix string) string {
	for i := 1; ; i++ {
		local := given + "." + family
		if i > 1 {
			local += fmt.Sprint(i)
		}
		if a := local + suffix + "@" + domain; !s.journal.emails[a] {
			s.journal.emails[a] = true
			return a
		}
	}
}

// weighted returns one of n by weight.
func weighted(r *rand.Rand, n int, weight func(int) int) int {
	sum := 0
	for i := range n {
		sum += weight(i)
	}
	x := r.IntN(sum)
	for i := range n {
		if x -= weight(i); x < 0 {
			return i
		}
	}
	return n - 1
}

// newAccount adds an account of a person.
func (s *State) newAccount(app string, p *Person, login string, at time.Time) *Account {
	a := &Account{N: len(s.Accounts[app]), Person: p.N, Login: login, Status: Active, Created: at, Activated: at, StatusChanged: at, Modified: at}
	s.Accounts[app] = append(s.Accounts[app], a)
	s.accountOf[app][p.N] = int32(a.N)
	return a
}

// AccountOf returns a person's account in an app, or nil. It may be Gone.
func (s *State) AccountOf(app string, person int) *Account {
	if n := s.accountOf[app][person]; n >= 0 {
		return s.Accounts[app][n]
	}
	return nil
}

// join makes an account a member without an event.
func (g *Group) join(account int, role string, at time.Time) bool {
	for i := range g.Members {
		if m := &g.Members[i]; m.Account == account && (m.Role == role || m.Role != "owner" && role != "owner") {
			return false
		}
	}
	g.Members = append(g.Members, Member{Account: account, Role: role, Since: at})
	if at.After(g.MembersModified) {
		g.MembersModified = at
	}
	return true
}
