package org

import (
	"math/rand/v2"
	"strings"
	"time"
)

// googleLife is what happens in Google Workspace. It draws from a source of its
// own, so that the other apps' life is the same without it.
type googleLife struct {
	*life
	r *rand.Rand
}

// Of what follows from a person's coming and leaving.
const (
	googleSyncEvery = 40 * time.Minute
	googleKeptLeft  = 3 * 24 * time.Hour // suspended, then deleted or archived
)

// planGoogle lets people sign in and work, and administrators change things.
func (l *life) planGoogle(r *rand.Rand, start int64, perDay float64) {
	e := &googleLife{l, r}
	n := float64(min(len(l.Accounts[GoogleWorkspace]), 4000)) // more people do not make the logs longer
	e.repeat(start, wakingDay/(n*min(perDay, 8)/2), e.use)
	e.repeat(start, wakingDay/(8+n*changesPerDay), e.change)
	var again func()
	again = func() {
		e.sync()
		l.later.push(l.journal.now+googleSyncEvery.Milliseconds(), again)
	}
	l.later.push(start+r.Int64N(googleSyncEvery.Milliseconds()), again)
}

// repeat has something done at random, as entraLife's does.
func (e *googleLife) repeat(start int64, mean float64, do func()) {
	(&entraLife{e.life, e.r}).repeat(start, mean, do)
}

// use is something that a person does.
func (e *googleLife) use() {
	list := e.Accounts[GoogleWorkspace]
	a := list[e.r.IntN(len(list))]
	p := e.People[a.Person]
	if !here(a) || a.Status == Deprovisioned || a.Status == Archived {
		return
	}
	x := Act{At: e.at(), Actor: acct(a), Client: &p.Home, MFA: len(a.Factors) > 0}
	if p.Phone.IP != "" && e.r.IntN(5) == 0 {
		x.Client = &p.Phone
	}
	if a.Status != Active {
		if a.Status == Suspended && e.r.IntN(3) == 0 {
			e.SignInFailed(GoogleWorkspace, &x, a, "login_failure_account_disabled")
		}
		return
	}
	switch d := e.r.IntN(100); {
	case d < 24:
		e.signIn(&x, a)
	case d < 28:
		e.do(GoogleWorkspace, &x, SignOut, acct(a))
	case d < 42:
		e.useToken(&x, a)
	default:
		e.useOther(&x, a)
	}
}

func (e *googleLife) signIn(x *Act, a *Account) {
	ev := x.event(SignIn)
	switch d := e.r.IntN(60); {
	case d < 4:
		ev.Failed, ev.Reason, ev.MFA = true, "login_failure_invalid_password", false
	case d < 6:
		ev.Failed, ev.Reason, ev.MFA = true, "login_failure_invalid_second_factor", false
	case d < 8: // the vendor asks for more, or sees something odd
		ev.Risk = []string{"medium", "high"}[d-6]
		a.LastLogin = x.At
	default:
		a.LastLogin = x.At
	}
	e.record(GoogleWorkspace, &ev, acct(a))
	if ev.Risk == "high" { // noticed an hour later, about then
		y := *x
		e.later.push(e.journal.now+time.Hour.Milliseconds(), func() { // an hour of life, which may have stood still
			ev := Event{At: e.at().Add(-time.Hour), Verb: ThreatDetected, Actor: Ref{Kind: SystemRef}, Client: y.Client, Reason: "suspicious_login"}
			e.record(GoogleWorkspace, &ev, acct(a))
		})
	}
}

// useToken is a call that a client makes for an account.
func (e *googleLife) useToken(x *Act, a *Account) {
	for _, g := range e.Grants[GoogleWorkspace] {
		if g.Gone.IsZero() && g.Account == a.N {
			g.LastUsed = x.At
			if g.Kind == GrantConsent {
				e.TokenUsed(x, g)
			}
			return
		}
	}
}

// TokenUsed tells that a client called an API with what a person let it do.
func (s *State) TokenUsed(x *Act, g *Grant) {
	in := s.Integrations[GoogleWorkspace][g.Integration]
	g.LastUsed = x.At
	s.Report(x, "token", []ReportEvent{{"activity", "activity", []Param{
		{"client_id", in.Name}, {"app_name", in.Label}, {"client_type", "WEB"}, {"api_name", "drive"}, {"method_name", "drive.files.list"}, {"num_response_bytes", int64(1024 + g.N)},
	}}}, grantRef(g), inst(in))
}

// someone returns an active account of an employee, but not of the first few.
func (e *googleLife) someone() *Account {
	return one(e.r, e.Accounts[GoogleWorkspace], func(a *Account) bool {
		p := e.People[a.Person]
		return live(a) && a.Person > 8 && !p.Outside && !p.Service && p.Left.IsZero()
	})
}

func (e *googleLife) group() *Group {
	return one(e.r, e.Groups[GoogleWorkspace][1:], func(g *Group) bool { return g.Gone.IsZero() })
}

// admin acts for the company.
func (e *googleLife) admin() Act {
	a := e.Accounts[GoogleWorkspace][0]
	if r := one(e.r, e.Roles[GoogleWorkspace], func(r *RoleGrant) bool {
		return r.Gone.IsZero() && r.Holder.Kind == AccountRef && live(e.Accounts[GoogleWorkspace][r.Holder.N])
	}); r != nil {
		a = e.Accounts[GoogleWorkspace][r.Holder.N]
	}
	return Act{At: e.at(), Actor: acct(a), Client: &e.People[a.Person].Home}
}

// change alters the directory.
func (e *googleLife) change() {
	const app = GoogleWorkspace
	x, a, g := e.admin(), e.someone(), e.group()
	if a == nil || g == nil {
		return
	}
	self := Act{At: x.At, Actor: acct(a), Client: &e.People[a.Person].Home}
	switch d := e.r.IntN(100); {
	case d < 16:
		e.JoinGoogle(&x, g, a, []string{GroupMember, GroupMember, GroupManager}[e.r.IntN(3)])
	case d < 28:
		if len(g.Members) > 0 {
			e.RemoveMember(app, &x, g, e.Accounts[app][g.Members[e.r.IntN(len(g.Members))].Account])
		}
	case d < 31:
		if r := googleContact(e.r.IntN(GoogleContacts)); !e.JoinOther(&x, g, r) {
			e.LeaveOther(&x, g, r)
		}
	case d < 40:
		e.SetGooglePassword(&self, a, PasswordChange)
	case d < 44:
		e.SetGooglePassword(&x, a, PasswordReset)
		e.ForceGooglePassword(&x, a, true)
	case d < 48:
		e.EnrollGoogle(&self, a, pick(e.r, googleFactors)[0])
	case d < 54:
		e.suspend(&x, a)
	case d < 60:
		e.roles(&x, a)
	case d < 72:
		in := pick(e.r, e.Integrations[app][googleFirst:])
		e.LetIn(&self, a, in, (&builder{State: e.State, rand: e.r}).googleScopes(e.r.IntN(3)))
	case d < 78:
		e.endGrant(&x)
	case d < 80:
		e.IssueGrant(app, &self, Grant{Kind: GrantAppPassword, Account: a.N, Integration: -1, Name: "Mail on the laptop"})
	case d < 83:
		e.CreateGroup(app, &x, pick(e.r, words)+"-"+pick(e.r, purposes)+"-"+word36(len(e.Groups[app])), GoogleGroup, -1)
	case d < 87:
		e.DescribeGroup(app, &x, g, "Works on "+pick(e.r, words))
	case d < 88:
		if g.N > 8 {
			e.leaveEverywhere(&x, groupRef(g))
			e.DeleteGroup(app, &x, g)
		}
	case d < 91:
		e.MoveToUnit(&x, a, 1+e.r.IntN(len(departments)))
	case d < 93:
		e.EndGoogleSessions(&x, a)
	case d < 95:
		e.archive(&x, a)
	default:
		ev := x.event(PolicyUpdate)
		ev.Text = pick(e.r, []string{"SHARING_OUTSIDE_DOMAIN", "TWO_STEP_VERIFICATION", "LESS_SECURE_APPS"})
		ev.Changes = []Change{{Name: ev.Text, Old: "ALLOWED", New: "DENIED"}}
		e.record(app, &ev, Ref{Kind: PolicyRef, N: e.r.IntN(4), Name: ev.Text})
	}
}

func word36(n int) string {
	const digits = "0123456789abcdefghijklmnopqrstuvwxyz"
	if n < 36 {
		return digits[n : n+1]
	}
	return word36(n/36) + digits[n%36:n%36+1]
}

// leaveEverywhere takes what is no account out of all groups.
func (e *googleLife) leaveEverywhere(x *Act, r Ref) {
	for _, g := range e.Groups[GoogleWorkspace] {
		if g.Gone.IsZero() {
			e.LeaveOther(x, g, r)
		}
	}
}

// suspend suspends an account, and soon lets it in again, most times. Now and then
// Google does it. What somebody suspended has given out cannot be listed: so that
// all can tell what is true, it is somebody who has given nothing out.
func (e *googleLife) suspend(x *Act, a *Account) {
	for _, g := range e.Grants[GoogleWorkspace] {
		if g.Gone.IsZero() && g.Account == a.N {
			return
		}
	}
	if e.r.IntN(5) == 0 {
		e.SuspendGoogle(&Act{At: x.At, Actor: Ref{Kind: SystemRef}, Client: &Client{}}, a, SuspendedByGoogle)
	} else {
		e.SuspendGoogle(x, a, SuspendedByAdmin)
	}
	if e.r.IntN(4) > 0 {
		e.later.push(e.journal.now+(time.Duration(10+e.r.IntN(600))*time.Minute).Milliseconds(), func() {
			if here(a) && a.Status == Suspended {
				x := e.admin()
				e.UnsuspendGoogle(&x, a)
			}
		})
	}
}

func (e *googleLife) archive(x *Act, a *Account) {
	e.ArchiveGoogle(x, a, true)
	e.later.push(e.journal.now+(time.Duration(2+e.r.IntN(100))*time.Hour).Milliseconds(), func() {
		if here(a) && a.Status == Archived {
			x := e.admin()
			e.ArchiveGoogle(&x, a, false)
		}
	})
}

func (e *googleLife) roles(x *Act, a *Account) {
	list := e.Roles[GoogleWorkspace]
	if e.r.IntN(2) == 0 {
		def, unit := 1+e.r.IntN(len(e.RoleDefs[GoogleWorkspace])-1), -1
		if def == GoogleHelpDesk || def == GoogleSupport {
			unit = max(1, a.OrgUnit)
		}
		e.GrantGoogleRole(x, acct(a), def, unit)
		return
	}
	if r := one(e.r, list, func(r *RoleGrant) bool {
		return r.N > 0 && r.Gone.IsZero() && r.Holder.Kind == AccountRef && e.Accounts[GoogleWorkspace][r.Holder.N].Person > 8
	}); r != nil {
		e.RevokeRole(GoogleWorkspace, x, r)
	}
}

// endGrant ends what a client may do: by the person, or an administrator.
func (e *googleLife) endGrant(x *Act) {
	if len(e.Grants[GoogleWorkspace]) == 0 {
		return
	}
	g := one(e.r, e.Grants[GoogleWorkspace], func(g *Grant) bool { return g.Gone.IsZero() })
	if g == nil {
		return
	}
	if a := e.Accounts[GoogleWorkspace][g.Account]; e.r.IntN(2) == 0 && live(a) {
		x = &Act{At: x.At, Actor: acct(a), Client: &e.People[a.Person].Home}
	}
	e.RevokeGrant(GoogleWorkspace, x, g)
}

// sync makes accounts for those who came, suspends those of who left, deletes them
// some days later, and lets go of what was deleted 20 days ago.
func (e *googleLife) sync() {
	const app = GoogleWorkspace
	x := Act{At: e.at(), Actor: inst(e.Integrations[app][GoogleHRSync]), Client: &Client{}}
	if a := e.someone(); a != nil && e.r.IntN(9) == 0 { // what is kept of them there alone
		n := e.r.IntN(90)
		e.Update(app, &x, a, Change{Name: "costCenter", Old: "CC-" + word36(n), New: "CC-" + word36(n+1)})
	}
	for _, p := range e.People {
		a := e.AccountOf(app, p.N)
		switch {
		case a == nil && p.Left.IsZero() && p.Joined.After(e.Since) && !e.googleOutsider(p):
			a = e.Create(app, &x, p, e.googleLogin(p), Invited)
			e.welcome(a)
		case a == nil || !here(a) || p.Left.IsZero() && a.Status != Deprovisioned:
		case a.Status == Active || a.Status == Invited:
			for _, g := range e.Grants[app] {
				if g.Gone.IsZero() && g.Account == a.N {
					e.RevokeGrant(app, &x, g)
				}
			}
			e.SuspendGoogle(&x, a, SuspendedByAdmin)
		case a.Status == Suspended && x.At.Sub(p.Left) > googleKeptLeft && p.Left.After(e.Since):
			if a.N%4 == 3 {
				e.ArchiveGoogle(&x, a, true)
			} else {
				e.Remove(app, &x, a)
			}
		case a.Status == Deprovisioned && x.At.Sub(a.StatusChanged) > GoogleDeletedKept:
			e.Delete(app, &x, a)
		}
	}
}

func (s *State) googleOutsider(p *Person) bool { return !strings.HasSuffix(p.Email, "@"+s.Domain) }

// welcome has a new account put where it belongs, and used, soon.
func (e *googleLife) welcome(a *Account) {
	p := e.People[a.Person]
	a.OrgUnit, a.MustChange = e.googleUnit(p), true
	e.later.push(e.journal.now+(time.Duration(10+e.r.IntN(900))*time.Minute).Milliseconds(), func() {
		if !here(a) || a.Status != Invited {
			return
		}
		x := Act{At: e.at(), Actor: acct(a), Client: &p.Home}
		a.Status, a.Activated, a.LastLogin = Active, x.At, x.At
		e.SignedIn(GoogleWorkspace, &x, a)
		e.SetGooglePassword(&x, a, PasswordChange)
		if e.r.IntN(10) > 0 {
			e.EnrollGoogle(&x, a, pick(e.r, googleFactors)[0])
		}
	})
}
