package org

import (
	"math/rand/v2"
	"slices"
	"time"
)

// entraLife is what happens in the directory of Microsoft 365. It draws from a
// source of its own, so that the other apps' life is the same without it.
type entraLife struct {
	*life
	r *rand.Rand
}

// syncEvery is how often the directory learns of who came and who left.
const syncEvery = 30 * time.Minute

// planEntra lets people and machines sign in, and administrators change things.
func (l *life) planEntra(r *rand.Rand, start int64, perDay float64) {
	e := &entraLife{l, r}
	n := float64(min(len(l.Accounts[Microsoft365]), 4000)) // more people do not make the logs longer
	e.repeat(start, wakingDay/(n*min(perDay, 8)/2), e.use)
	e.repeat(start, wakingDay/(8+n*changesPerDay), e.change)
	var again func()
	again = func() {
		e.sync()
		l.later.push(l.journal.now+syncEvery.Milliseconds(), again)
	}
	l.later.push(start+r.Int64N(syncEvery.Milliseconds()), again)
}

// repeat has something done at random, in working hours, so many milliseconds
// apart on average at the busiest.
func (e *entraLife) repeat(start int64, mean float64, do func()) {
	next := func() int64 { return int64(e.r.ExpFloat64()*mean + 1) }
	var again func()
	again = func() {
		if e.r.Float64() < wakeful(e.journal.now, 0) {
			do()
		}
		e.later.push(e.journal.now+next(), again)
	}
	e.later.push(start+next(), again)
}

// use is one sign-in.
func (e *entraLife) use() {
	apps := e.Integrations[Microsoft365]
	if e.r.IntN(6) == 0 {
		if in := apps[DirectorySync+e.r.IntN(len(apps)-DirectorySync)]; in.Gone.IsZero() {
			x := Act{At: e.at(), Actor: inst(in), Client: &e.People[0].Home}
			ev := x.event(AppSignIn)
			if ev.Failed = !in.Active || e.r.IntN(25) == 0; ev.Failed {
				ev.Reason = "INVALID_SECRET"
			}
			e.record(Microsoft365, &ev)
		}
		return
	}
	list := e.Accounts[Microsoft365]
	a := list[e.r.IntN(len(list))]
	p := e.People[a.Person]
	if !here(a) || a.Status == Deprovisioned || !p.Left.IsZero() {
		return
	}
	x := Act{At: e.at(), Actor: acct(a), Client: &p.Home, MFA: len(a.Factors) > 0}
	if p.Phone.IP != "" && e.r.IntN(5) == 0 {
		x.Client = &p.Phone
	}
	ev := x.event(SignIn)
	to := e.r.IntN(len(apps))
	for !apps[to].Gone.IsZero() { // the vendor's own, the first, never are
		to = (to + 1) % len(apps)
	}
	if ev.Via = inst(apps[to]); a.Status == Active && !p.Service && e.r.IntN(3) == 0 {
		ev.Verb, ev.MFA = TokenRefresh, false
	}
	switch d := e.r.IntN(200); {
	case a.Status == Suspended:
		ev.Failed, ev.Reason = true, "ACCOUNT_DISABLED"
	case a.Status == Invited:
		return
	case ev.Verb == TokenRefresh:
		a.Silent = x.At
	case d < 8:
		ev.Failed, ev.Reason = true, "INVALID_CREDENTIALS"
	case d < 12:
		ev.Failed, ev.Reason = true, "MFA_REQUIRED" // an interruption
	case d < 14:
		ev.Failed, ev.Reason, ev.Actor, ev.Text = true, "UNKNOWN_USER", Ref{Kind: AnonymousRef}, "nobody."+a.Login
	case d < 17: // the risk is known later: the vendor writes the record again
		ev.Risk, ev.RiskAt = []string{"low", "medium", "high"}[d-14], x.At.Add(time.Duration(5+e.r.IntN(80))*time.Minute)
		a.LastLogin = x.At
	default:
		a.LastLogin = x.At
	}
	if ev.Actor.Kind == AccountRef {
		e.record(Microsoft365, &ev, acct(a))
		return
	}
	e.record(Microsoft365, &ev)
}

// one returns a random entry that fits; the zero T if a few tries find none.
func one[T any](r *rand.Rand, list []T, fits func(T) bool) (none T) {
	for range 16 {
		if v := list[r.IntN(len(list))]; fits(v) {
			return v
		}
	}
	return none
}

// someone returns an active account of an employee, but not the first of all.
func (e *entraLife) someone() *Account {
	return one(e.r, e.Accounts[Microsoft365], func(a *Account) bool {
		p := e.People[a.Person]
		return live(a) && a.N > 0 && !p.Outside && !p.Service && p.Left.IsZero()
	})
}

func (e *entraLife) group() *Group {
	return one(e.r, e.Groups[Microsoft365][1:], func(g *Group) bool { return g.Gone.IsZero() && g.Rule == "" })
}

// admin acts for the company.
func (e *entraLife) admin() Act {
	a := e.Accounts[Microsoft365][0]
	if r := one(e.r, e.Roles[Microsoft365], func(r *RoleGrant) bool {
		return r.Gone.IsZero() && r.Holder.Kind == AccountRef && live(e.Accounts[Microsoft365][r.Holder.N])
	}); r != nil {
		a = e.Accounts[Microsoft365][r.Holder.N]
	}
	return Act{At: e.at(), Actor: acct(a), Client: &e.People[a.Person].Home}
}

// change alters the directory.
func (e *entraLife) change() {
	x, a, g := e.admin(), e.someone(), e.group()
	if a == nil || g == nil {
		return
	}
	const app = Microsoft365
	switch d := e.r.IntN(100); {
	case d < 25:
		e.AddMember(app, &x, g, a, "member")
	case d < 40:
		if len(g.Members) > 0 {
			e.RemoveMember(app, &x, g, e.Accounts[app][g.Members[e.r.IntN(len(g.Members))].Account])
		}
	case d < 45:
		e.AddMember(app, &x, g, a, "owner")
	case d < 55:
		v := PasswordReset
		if e.r.IntN(2) == 0 {
			v, x.Actor, x.Client = PasswordChange, acct(a), &e.People[a.Person].Home
		}
		e.SetEntraPassword(&x, a, v)
	case d < 60:
		e.suspend(&x, a)
	case d < 65:
		e.roles(&x, a)
	case d < 75:
		in := one(e.r, e.Integrations[app][firstApp:], func(in *Integration) bool { return in.Gone.IsZero() && in.Active })
		if in != nil {
			x.Actor, x.Client = acct(a), &e.People[a.Person].Home
			e.IssueGrant(app, &x, Grant{Kind: GrantConsent, Account: a.N, Integration: in.N, Scopes: []string{"User.Read", pick(e.r, DelegatedScopes[1:])}})
		}
	case d < 80:
		if gr := one(e.r, e.Grants[app], func(gr *Grant) bool { return gr.Gone.IsZero() && gr.Holder.Kind == "" && gr.of().N >= 0 }); gr != nil {
			e.RevokeGrant(app, &x, gr)
		}
	case d < 84:
		e.CreateGroup(app, &x, pick(e.r, words)+" "+pick(e.r, purposes)+" team", []string{Unified, Security}[e.r.IntN(2)], -1)
	case d < 88:
		e.DescribeGroup(app, &x, g, "Works on "+pick(e.r, words))
	case d < 90:
		if g.N > 8 {
			e.DeleteGroup(app, &x, g)
		}
	case d < 94:
		c := pick(e.r, catalog)
		in := e.AddIntegration(app, &x, Integration{Name: c.name, Label: c.label, Kind: "Application", Publisher: c.name + ".example", RedirectURIs: []string{"https://" + c.name + ".example/new"}})
		role := pick(e.r, AppRoles[GraphAPI])
		e.IssueGrant(app, &x, Grant{Kind: GrantAppRole, Account: -1, Integration: in.N, Resource: GraphAPI, Scopes: []string{role}})
	case d < 97:
		in := one(e.r, e.Integrations[app][firstApp:], func(in *Integration) bool { return in.Gone.IsZero() })
		if in != nil {
			e.EnableIntegration(&x, in, !in.Active)
		}
	case d < 98:
		in := one(e.r, e.Integrations[app][firstApp:], func(in *Integration) bool { return in.Gone.IsZero() && in.N > firstApp+4 })
		if in != nil {
			e.RemoveIntegration(app, &x, in)
		}
	default:
		ev := x.event(PolicyUpdate)
		ev.Changes = []Change{{Name: "State", Old: "disabled", New: "enabled"}}
		e.record(app, &ev, Ref{Kind: PolicyRef, N: e.r.IntN(4), Name: "Require MFA for " + pick(e.r, words)})
	}
}

// suspend disables an account, and soon enables it again, most times.
func (e *entraLife) suspend(x *Act, a *Account) {
	e.SetStatus(Microsoft365, x, a, Suspended, AccountSuspend)
	if e.r.IntN(4) > 0 {
		e.later.push(e.journal.now+(time.Duration(10+e.r.IntN(600))*time.Minute).Milliseconds(), func() {
			if here(a) && a.Status == Suspended {
				x := e.admin()
				e.SetStatus(Microsoft365, &x, a, Active, AccountUnsuspend)
			}
		})
	}
}

func (e *entraLife) roles(x *Act, a *Account) {
	if e.r.IntN(2) == 0 {
		e.GrantRole(Microsoft365, x, acct(a), EntraRoles[1+e.r.IntN(len(EntraRoles)-2)], -1)
		return
	}
	list := e.Roles[Microsoft365]
	if r := one(e.r, list, func(r *RoleGrant) bool { return r.N > 0 && r.Gone.IsZero() && r.Holder.Kind == AccountRef }); r != nil {
		e.RevokeRole(Microsoft365, x, r)
	}
}

// sync makes accounts for those who came, deletes those of who left, and lets go
// of what was deleted 30 days ago.
func (e *entraLife) sync() {
	in := e.Integrations[Microsoft365][DirectorySync]
	x := Act{At: e.at(), Actor: inst(in), Client: &Client{}}
	for _, p := range e.People {
		a := e.AccountOf(Microsoft365, p.N)
		switch {
		case a == nil && p.Left.IsZero() && p.Joined.After(e.Since):
			a = e.Create(Microsoft365, &x, p, e.entraLogin(p), Active)
			a.Synced = true
			e.AddMember(Microsoft365, &x, e.Groups[Microsoft365][0], a, "member")
		case a != nil && here(a) && a.Status != Deprovisioned && !p.Left.IsZero():
			e.Remove(Microsoft365, &x, a)
		case a != nil && here(a) && a.Status == Deprovisioned && x.At.Sub(a.StatusChanged) > DeletedKept:
			e.Delete(Microsoft365, &x, a)
		}
	}
}

// SetEntraPassword changes or resets a password.
func (s *State) SetEntraPassword(x *Act, a *Account, v Verb) {
	a.PasswordChanged, a.PasswordForced = x.At, v == PasswordReset
	a.touch(x)
	s.do(Microsoft365, x, v, acct(a))
}

// EnableIntegration lets an app be used, or not.
func (s *State) EnableIntegration(x *Act, in *Integration, on bool) {
	e := x.event(IntegrationUpdate)
	e.Changes = []Change{{Name: "AccountEnabled", Old: word(in.Active), New: word(on)}}
	in.Active, in.Modified = on, x.At
	s.record(Microsoft365, &e, inst(in))
}

// RestoreAccount brings a deleted account back.
func (s *State) RestoreAccount(x *Act, a *Account) {
	s.SetStatus(Microsoft365, x, a, Active, AccountRestore)
}

func word(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

// mirror has the directories of Microsoft 365 and Google take over what changed
// about a person elsewhere.
func (s *State) mirror(x *Act, p *Person, changes []Change) {
	s.mirrorGoogle(x, p, changes)
	a := s.AccountOf(Microsoft365, p.N)
	if !here(a) || a.Status == Deprovisioned {
		return
	}
	y := Act{At: x.At, Actor: inst(s.Integrations[Microsoft365][DirectorySync]), Client: &Client{}}
	a.touch(&y)
	e := y.event(AccountUpdate)
	e.Changes = slices.Clone(changes)
	s.record(Microsoft365, &e, acct(a))
}
