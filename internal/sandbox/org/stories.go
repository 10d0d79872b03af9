package org

import (
	"fmt"
	"time"
)

// Stories are what a detection should find. Each comes again, at times of its
// own.
func (l *life) planStories(start int64) {
	for _, s := range []struct {
		first, every time.Duration
		tell         func()
	}{
		{14 * time.Hour, 80 * time.Hour, l.spray},
		{37 * time.Hour, 130 * time.Hour, l.impossibleTravel},
		{50 * time.Hour, 170 * time.Hour, l.oldToken},
	} {
		var again func()
		again = func() {
			s.tell()
			l.after(s.every*3/4, s.every*5/4, again)
		}
		l.later.push(start+s.first.Milliseconds()+l.rand.Int64N(3600_000), again)
	}
}

// stranger is a client from where nobody works.
func (l *life) stranger() *Client {
	p := elsewhere[l.rand.IntN(len(elsewhere))]
	return &Client{IP: fmt.Sprintf("%s%d", p.office, 1+l.rand.IntN(250)), Country: p.country, City: p.city, CountryCode: p.code, ASN: p.asn, UserAgent: scriptAgent, Device: "Computer"}
}

// spray is one client that tries a password on many accounts, and names that do
// not exist. Now and then it is right.
func (l *life) spray() {
	c := l.stranger()
	n := 10 + l.rand.IntN(min(50, 10+len(l.People)))
	for i := range n {
		l.after(time.Duration(i)*4*time.Second, time.Duration(i+1)*4*time.Second, func() {
			x := Act{At: l.at(), Actor: Ref{Kind: AnonymousRef}, Client: c}
			a := l.person(Okta)
			if a == nil || l.chance(0.3) {
				e := x.event(SignIn)
				e.Failed, e.Reason = true, "VERIFICATION_ERROR"
				e.Text = pick(l.rand, givenNames).plain + "." + pick(l.rand, familyNames).plain + "@" + l.Domain
				l.record(Okta, &e)
				return
			}
			x.Actor = acct(a)
			switch {
			case l.chance(0.02):
				l.signIn(l.People[a.Person], a, c)
			case l.chance(0.03):
				l.SignInFailed(Okta, &x, a, "INVALID_CREDENTIALS")
				system := Act{At: x.At, Actor: Ref{Kind: SystemRef}, Client: c}
				l.SetStatus(Okta, &system, a, Locked, AccountLock)
				l.after(10*time.Minute, 3*time.Hour, func() {
					if here(a) && a.Status == Locked {
						x := l.admin(Okta)
						l.SetStatus(Okta, &x, a, Active, AccountUnlock)
					}
				})
			default:
				l.SignInFailed(Okta, &x, a, "INVALID_CREDENTIALS")
			}
		})
	}
	l.after(time.Duration(n)*4*time.Second, time.Duration(n)*5*time.Second, func() {
		x := Act{At: l.at(), Actor: Ref{Kind: SystemRef}, Client: c}
		e := x.event(ThreatDetected)
		e.Text = "Password Spray"
		l.record(Okta, &e)
	})
}

// impossibleTravel is a sign-in at home, and one from far away within the hour.
func (l *life) impossibleTravel() {
	a := l.person(Okta)
	if a == nil {
		return
	}
	p := l.People[a.Person]
	l.signIn(p, a, &p.Home)
	c := l.stranger()
	l.after(20*time.Minute, time.Hour, func() {
		if !live(a) {
			return
		}
		l.signIn(p, a, c)
		x := l.session(p, a)
		l.do(Okta, &x, SSO, inst(l.target(a)))
	})
}

// oldToken is a credential of a member, long unused, that clones repository
// after repository from far away.
func (l *life) oldToken() {
	g := some(l, l.Grants[GitHub], func(g *Grant) bool {
		return g.Kind == GrantCredential && g.Gone.IsZero() && live(l.Accounts[GitHub][g.Account]) && (g.Expires.IsZero() || g.Expires.After(l.at()))
	})
	if g == nil {
		return
	}
	c := l.stranger()
	c.UserAgent = botAgent
	a := l.Accounts[GitHub][g.Account]
	for i := range 5 + l.rand.IntN(20) {
		l.after(time.Duration(i)*20*time.Second, time.Duration(i+1)*20*time.Second, func() {
			if !live(a) || !g.Gone.IsZero() {
				return
			}
			if r := l.repoOf(a); r != nil {
				g.LastUsed = l.at()
				x := Act{At: l.at(), Actor: acct(a), Client: c, Via: grantRef(g)}
				l.do(GitHub, &x, GitClone, repoRef(r))
			}
		})
	}
}
