package org

import (
	"math/rand/v2"
	"strconv"
	"time"
)

// life decides what happens. It draws everything in the order of virtual time,
// so that it makes no difference in how many steps the time passes.
type life struct {
	*State
	rand     *rand.Rand
	equal    float64
	sessions []session // by person

	// Actions are what people do all day; changes are what alters the
	// organization. Both come at random (Poisson), at their highest rate, and
	// are dropped where the one to act is asleep.
	action, change         float64 // milliseconds between two, on average, at the highest rate
	nextAction, nextChange int64
	later                  queue[func()] // what follows from what happened
}

// session is a person's open session at the identity provider.
type session struct {
	id     string
	until  int64
	client *Client
	mfa    bool
}

const (
	never         = int64(1) << 62
	changesPerDay = 0.05 // by person, on a working day
	// Of the sum of wakefulness over a day, in milliseconds.
	wakingDay = 9.9 * 3600_000
	// How many events an action makes, on average. Measured, see TestRate.
	eventsPerAction = 1.2
)

func newLife(s *State, o Options) *life {
	l := &life{State: s, rand: source(o, "life"), equal: o.Log.Equal, nextAction: never, nextChange: never}
	if o.EventsPerDay < 0 {
		return l
	}
	n := float64(max(o.People, 1))
	l.action = wakingDay / (n * o.EventsPerDay / eventsPerAction)
	l.change = wakingDay / (n * changesPerDay)
	start := s.Since.UnixMilli()
	s.journal.now = start
	l.nextAction, l.nextChange = start+l.gap(l.action), start+l.gap(l.change)
	l.planStories(start)
	l.planCloud(source(o, "cloud life"), start, o.EventsPerDay)
	l.planEntra(source(o, "entra life"), start, o.EventsPerDay)
	l.planOffice(source(o, "office life"), start, o.EventsPerDay)
	l.planGoogle(source(o, "google life"), start, o.EventsPerDay)
	l.planDocs(source(o, "docs life"), start, o.EventsPerDay)
	return l
}

// advance lets everything happen that is due until now, and shows it.
func (l *life) advance(now time.Time) {
	limit := now.UnixMilli()
	for {
		at := min(l.nextAction, l.nextChange)
		queued := len(l.later.heap) > 0 && l.later.heap[0].at <= at
		if queued {
			at = l.later.heap[0].at
		}
		if at > limit {
			break
		}
		l.State.flush(at)
		switch {
		case queued:
			l.later.pop()()
		case at == l.nextAction:
			l.act()
			if l.equal == 0 || l.rand.Float64() >= l.equal {
				l.nextAction = at + l.gap(l.action)
			}
		default:
			l.alter()
			l.nextChange = at + l.gap(l.change)
		}
	}
	l.State.flush(limit)
	l.Now = time.UnixMilli(limit).UTC()
}

// wait lets time pass without anything happening: all that was to come comes
// so much later.
func (l *life) wait(now time.Time) {
	passed := now.Sub(l.Now).Milliseconds()
	l.nextAction += passed
	l.nextChange += passed
	for i := range l.later.heap { // by the same amount, so the order stays
		l.later.heap[i].at += passed
	}
	l.State.flush(now.UnixMilli())
	l.Now = time.UnixMilli(now.UnixMilli()).UTC()
}

func (l *life) flush() { l.State.flush(l.Now.UnixMilli()) }

func (l *life) gap(mean float64) int64 { return int64(l.rand.ExpFloat64()*mean + 0.5) }

func (l *life) chance(p float64) bool { return l.rand.Float64() < p }

// at is the virtual time.
func (l *life) at() time.Time { return time.UnixMilli(l.journal.now).UTC() }

// after lets something happen between from and to from now.
func (l *life) after(from, to time.Duration, do func()) {
	d := from.Milliseconds() + l.rand.Int64N(max(1, (to-from).Milliseconds()))
	l.later.push(l.journal.now+d, do)
}

// wakeful is how likely a person at an offset from UTC works at a time, against
// the busiest hour.
func wakeful(ms int64, offset int) float64 {
	hours := ms/3600_000 + int64(offset)
	switch day := (hours/24 + 4) % 7; day { // 1970-01-01 was a Thursday
	case 0, 6:
		return 0.04
	}
	switch h := hours % 24; {
	case h >= 9 && h < 17:
		return 1
	case h == 8 || h == 17:
		return 0.5
	case h == 7 || h == 18 || h == 19:
		return 0.2
	}
	return 0.03
}

// act lets somebody do something.
func (l *life) act() {
	p := l.People[l.rand.IntN(len(l.People))]
	if !p.Left.IsZero() {
		return
	}
	if p.Service {
		if l.chance(0.5) {
			l.serve(p)
		}
		return
	}
	if d := l.rand.Float64(); d >= wakeful(l.journal.now, p.UTCOffset) {
		return
	}
	code := l.AccountOf(GitHub, p.N)
	if d := l.rand.Float64(); d < 0.65 && live(code) {
		l.code(p, code)
		return
	}
	a := l.AccountOf(Okta, p.N)
	if !here(a) {
		return
	}
	if a.Status != Active {
		if a.Status == Locked || a.Status == PasswordExpired || a.Status == Suspended {
			x := Act{At: l.at(), Actor: acct(a), Client: &p.Home}
			l.SignInFailed(Okta, &x, a, "LOCKED_OUT")
		}
		return
	}
	switch d := l.rand.Float64(); {
	case d < 0.03:
		l.mistype(p, a)
	case d < 0.05:
		l.signOut(p, a)
	default:
		x := l.session(p, a)
		l.do(Okta, &x, SSO, inst(l.target(a)))
	}
}

// target is an app a person opens: mostly one of their few.
func (l *life) target(a *Account) *Integration {
	list := l.Integrations[Okta]
	for range 8 {
		i := (a.N*7 + l.rand.IntN(5)) % len(list)
		if l.rand.IntN(10) == 0 {
			i = l.rand.IntN(len(list))
		}
		if in := list[i]; in.Active && in.Kind != "API_SERVICE" {
			return in
		}
	}
	return list[0]
}

// session returns what a person does now with: their open session, or a new one.
func (l *life) session(p *Person, a *Account) Act {
	for len(l.sessions) < len(l.People) {
		l.sessions = append(l.sessions, session{})
	}
	s := &l.sessions[p.N]
	if s.until <= l.journal.now {
		client := &p.Home
		if p.Phone.IP != "" && l.chance(0.15) {
			client = &p.Phone
		}
		l.signIn(p, a, client)
	}
	return Act{At: l.at(), Actor: acct(a), Client: s.client, Session: s.id, MFA: s.mfa}
}

// signIn starts a session.
func (l *life) signIn(p *Person, a *Account, client *Client) {
	for len(l.sessions) < len(l.People) {
		l.sessions = append(l.sessions, session{})
	}
	s := &l.sessions[p.N]
	*s = session{id: l.text(20), until: l.journal.now + 8*3600_000, client: client}
	x := Act{At: l.at(), Actor: acct(a), Client: client, Session: s.id}
	if len(a.Factors) > 0 && l.chance(0.9) {
		s.mfa = true
		e := x.event(MFAVerify)
		e.Text, e.MFA = a.Factors[0], true
		l.record(Okta, &e, acct(a))
	}
	x.MFA = s.mfa
	l.SignedIn(Okta, &x, a)
	// Refresh tokens and consents of the person are used along with it.
	if l.chance(0.2) {
		l.use(Okta, GrantRefresh, a)
	}
}

func (l *life) signOut(p *Person, a *Account) {
	if p.N < len(l.sessions) && l.sessions[p.N].until > l.journal.now {
		x := l.session(p, a)
		l.do(Okta, &x, SignOut, acct(a))
		l.sessions[p.N].until = 0
	}
}

// mistype is a failed sign-in or two, mostly followed by a right one.
func (l *life) mistype(p *Person, a *Account) {
	x := Act{At: l.at(), Actor: acct(a), Client: &p.Home}
	l.SignInFailed(Okta, &x, a, "INVALID_CREDENTIALS")
	if l.chance(0.7) {
		l.after(5*time.Second, 60*time.Second, func() {
			if live(a) {
				l.signIn(p, a, &p.Home)
			}
		})
	}
}

// use picks a grant and notes that it is used, which no log tells.
func (l *life) use(app, kind string, a *Account) *Grant {
	list := l.Grants[app]
	if len(list) == 0 {
		return nil
	}
	at := l.rand.IntN(len(list))
	for i := range min(len(list), 64) {
		g := list[(at+i)%len(list)]
		if g.Kind == kind && g.Account == a.N && g.Gone.IsZero() && (g.Expires.IsZero() || g.Expires.After(l.at())) {
			g.LastUsed = l.at()
			if kind == GrantAPIToken {
				g.Expires = g.LastUsed.Add(tokenWindow)
			}
			return g
		}
	}
	return nil
}

// code is what a developer does with repositories.
func (l *life) code(p *Person, a *Account) {
	r := l.repoOf(a)
	if r == nil {
		return
	}
	x := Act{At: l.at(), Actor: acct(a), Client: &p.Home}
	d := l.rand.Float64()
	if d < 0.75 {
		if g := l.use(GitHub, GrantCredential, a); g != nil {
			x.Via = grantRef(g)
		}
	}
	switch {
	case d < 0.45:
		l.do(GitHub, &x, GitFetch, repoRef(r))
	case d < 0.55 || r.Archived:
		l.do(GitHub, &x, GitClone, repoRef(r))
	case d < 0.75:
		l.push(&x, r)
	case d < 0.85 && !r.Pushed.IsZero():
		e := x.event(PullRequestMerge)
		e.Text = strconv.Itoa(1 + l.rand.IntN(4000))
		r.Pushed = x.At
		l.record(GitHub, &e, repoRef(r))
	case d < 0.86:
		l.do(GitHub, &x, RepoDownload, repoRef(r))
	default:
		if okta := l.AccountOf(Okta, p.N); live(okta) && !a.Outside {
			x = l.session(p, okta)
			x.Actor, x.Session = acct(a), ""
		}
		l.SignedIn(GitHub, &x, a)
	}
}

func (l *life) push(x *Act, r *Repo) {
	if len(r.Files) > 0 && l.chance(0.7) {
		f := r.Files[l.rand.IntN(len(r.Files))]
		f.Hash, f.Text = newHash(l.rand), ""
		if f.Mode == "100644" {
			f.Size += int64(l.rand.IntN(200))
		}
		l.Push(x, r, f)
		return
	}
	l.Push(x, r, newBlob(l.rand))
}

// repoOf returns a repository that an account works on: a member's any, an
// outside collaborator's their own.
func (l *life) repoOf(a *Account) *Repo {
	for range 8 {
		r := l.Repos[(a.N*5+l.rand.IntN(6))%len(l.Repos)]
		if l.rand.IntN(8) == 0 {
			r = l.Repos[l.rand.IntN(len(l.Repos))]
		}
		if !r.Gone.IsZero() || r.Archived {
			continue
		}
		if !a.Outside {
			return r
		}
		if i := r.access(acct(a)); i >= 0 {
			x := Act{At: l.at(), Actor: acct(a), Client: &l.People[a.Person].Home}
			l.Accept(&x, r, a)
			return r
		}
	}
	return nil
}

// serve is what a service identity does, around the clock.
func (l *life) serve(p *Person) {
	if a := l.AccountOf(GitHub, p.N); live(a) {
		if r := l.repoOf(a); r != nil {
			x := Act{At: l.at(), Actor: acct(a), Client: &p.Home}
			l.do(GitHub, &x, GitFetch, repoRef(r))
			for i := range r.Keys {
				if l.chance(0.5) {
					r.Keys[i].LastUsed = x.At
				}
			}
		}
		return
	}
	if a := l.AccountOf(Okta, p.N); live(a) {
		l.use(Okta, GrantAPIToken, a)
		if l.chance(0.3) {
			x := l.session(p, a)
			l.do(Okta, &x, SSO, inst(l.target(a)))
		}
	}
}

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

func (l *life) text(n int) string {
	out := make([]byte, n)
	for i := range out {
		out[i] = alphabet[l.rand.IntN(len(alphabet))]
	}
	return string(out)
}
