package microsoft365

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

func displayName(p *org.Person) string { return strings.TrimSpace(p.Given + " " + p.Family) }

// displayName is the name that an account's holder is shown by.
func (h *Handler) displayName(s *org.State, a *org.Account) string {
	return displayName(s.People[a.Person])
}

// mailOf is an account's address; "": it has none, as some that are no people's.
func mailOf(p *org.Person) string {
	if p.Service && p.N%4 == 0 {
		return ""
	}
	return p.Email
}

// place is where an account of the company's own directory is in it.
func place(s *org.State, a *org.Account) string {
	p := s.People[a.Person]
	return "CN=" + displayName(p) + ",OU=" + p.Department + ",DC=" + s.Name + ",DC=example"
}

// company that an account's holder works for, as it says; "": it does not.
func company(s *org.State, a *org.Account) string {
	if p := s.People[a.Person]; p.Outside {
		_, domain, _ := strings.Cut(p.Email, "@")
		return domain
	} else if !a.Synced {
		return s.Name
	}
	return ""
}

// text is a property that may be null.
func text(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// userView is a user with all that can be selected, but for its activity.
func (c *call) userView(a *org.Account) object {
	f, p := &c.h.facts, c.s.People[a.Person]
	v := object{
		f.ID: c.h.accountID(a.N), f.PrincipalName: a.Login, "mail": text(mailOf(p)), "displayName": displayName(p), f.Enabled: a.Status == org.Active || a.Status == org.Invited,
		f.UserType: "Member", f.External: nil, "creationType": nil, "createdDateTime": stamp(a.Created), "deletedDateTime": nil, "department": text(p.Department), "jobTitle": text(p.Title),
		"companyName": text(company(c.s, a)), "officeLocation": text(p.Home.City), "employeeId": nil, "employeeType": nil, "onPremisesSyncEnabled": nil, "onPremisesDistinguishedName": nil,
		"lastPasswordChangeDateTime": stamp(a.PasswordChanged), "signInSessionsValidFromDateTime": stamp(latest(a.PasswordChanged, a.SessionsFrom)), "isManagementRestricted": nil,
		"givenName": text(p.Given), "surname": text(p.Family),
	}
	v["passwordProfile"] = nil
	if a.PasswordForced {
		v["passwordProfile"] = object{"password": nil, "forceChangePasswordNextSignIn": true, "forceChangePasswordNextSignInWithMfa": false}
	}
	if p.Outside {
		v[f.UserType], v[f.External], v["creationType"] = f.Guest, "Accepted", "Invitation"
		if a.Status == org.Invited {
			v[f.External] = f.Pending
		}
	} else if !p.Service {
		v["employeeType"] = "Employee"
	}
	if a.Synced {
		v["onPremisesSyncEnabled"], v["onPremisesDistinguishedName"] = true, place(c.s, a)
	}
	if a.Status == org.Deprovisioned {
		v["deletedDateTime"] = stamp(a.StatusChanged)
	}
	return v
}

// activity is when somebody signed in. The last success is told since a year ago
// only, attempts since ever.
func (c *call) activity(a *org.Account) any {
	f := &c.h.facts
	if a.LastLogin.IsZero() && a.Silent.IsZero() {
		return nil
	}
	v := object{f.LastAttempt: stamp(a.LastLogin), f.LastSilent: stamp(a.Silent), f.LastSuccess: nil}
	if last := lastLogin(a); tellsSuccess(a) {
		v[f.LastSuccess] = stamp(last)
	}
	return v
}

func lastLogin(a *org.Account) time.Time {
	if a.Silent.After(a.LastLogin) {
		return a.Silent
	}
	return a.LastLogin
}

func tellsSuccess(a *org.Account) bool { return a.N%4 != 3 }

// managerOf returns the account of somebody's manager; nil: there is none.
func managerOf(s *org.State, p *org.Person) *org.Account {
	if p.Manager < 0 {
		return nil
	}
	if m := s.AccountOf(org.Microsoft365, p.Manager); m != nil && present(m) {
		return m
	}
	return nil
}

// users lists those that are not deleted.
func (c *call) users() *failure {
	selected := c.option("$select")
	page := c.h.facts.Users
	activity := slices.Contains(selected, "signInActivity")
	if activity {
		if f := c.premium(); f != nil {
			return f
		}
		if !c.mayAny(readAuditLogs) {
			return refuse(http.StatusForbidden, c.h.facts.NoReportPermission, "Calling principal does not have required MSGraph permissions AuditLog.Read.All")
		}
		if n := c.h.facts.ActivityUsers; page.Max > n {
			page = Page{min(page.Default, n), n}
		}
		if c.q.Get("$filter") != "" {
			return refuse(http.StatusBadRequest, c.h.facts.BadRequest, "signInActivity cannot be combined with a filter.")
		}
	}
	keep, f := c.idFilter("$filter")
	if f != nil {
		return f
	}
	manager, f := c.expands("manager")
	if f != nil {
		return f
	}
	accounts := c.s.Accounts[org.Microsoft365]
	return c.list(page, len(accounts), func(i int) object {
		a := accounts[i]
		if !present(a) || keep != nil && !keep[c.h.accountID(i)] {
			return nil
		}
		v := c.chosen(c.userView(a), selected)
		if activity {
			v[c.h.facts.Activity] = c.activity(a)
		}
		if m := managerOf(c.s, c.s.People[a.Person]); manager && m != nil {
			v["manager"] = object{"@odata.type": c.h.facts.TypePrefix + "user", c.h.facts.ID: c.h.accountID(m.N)}
		}
		return v
	}, "manager", "signInActivity")
}

// premium refuses what a tenant without the licence cannot have.
func (c *call) premium() *failure {
	if c.h.free() {
		return refuse(http.StatusForbidden, c.h.facts.NoPremium, "Neither tenant is B2C or tenant doesn't have premium license")
	}
	return nil
}

// expands says whether a property is asked for with the objects; only one can be.
func (c *call) expands(name string) (bool, *failure) {
	switch e := c.q.Get("$expand"); {
	case e == "":
		return false, nil
	case e == name || strings.HasPrefix(e, name+"("):
		return true, nil
	default:
		return false, refuse(http.StatusBadRequest, c.h.facts.BadRequest, "Could not find a property named '%s'.", e)
	}
}

// idFilter reads a filter by ids, the only one that the sandbox takes of
// directory objects; nil: there is none.
func (c *call) idFilter(option string) (map[string]bool, *failure) {
	s := c.q.Get(option)
	if s == "" {
		return nil, nil
	}
	keep := map[string]bool{}
	for _, part := range strings.Split(s, " or ") {
		id, ok := strings.CutPrefix(strings.TrimSpace(part), "id eq '")
		if !ok || !strings.HasSuffix(id, "'") {
			return nil, refuse(http.StatusBadRequest, c.h.facts.BadRequest, "Unsupported Query.")
		}
		keep[strings.TrimSuffix(id, "'")] = true
	}
	if len(keep) > 50 {
		return nil, refuse(http.StatusBadRequest, c.h.facts.BadRequest, "Too many child clauses specified in search filter expression.")
	}
	return keep, nil
}

func (c *call) user() *failure {
	a := c.findAccount(c.args[0])
	if a == nil {
		return c.notFound(c.args[0])
	}
	v := c.userView(a)
	if slices.Contains(c.option("$select"), "signInActivity") {
		if strings.Contains(c.args[0], "@") {
			return refuse(http.StatusBadRequest, c.h.facts.BadRequest, "Get By Key only supports UserId and the key has to be a valid Guid")
		}
		if f := c.premium(); f != nil {
			return f
		}
		v[c.h.facts.Activity] = c.activity(a)
	}
	return c.one(v)
}

func (c *call) manager() *failure {
	a := c.findAccount(c.args[0])
	if a == nil {
		return c.notFound(c.args[0])
	}
	m := managerOf(c.s, c.s.People[a.Person])
	if m == nil {
		return c.notFound("manager")
	}
	return c.one(c.userView(m))
}

func (c *call) deletedUsers() *failure {
	accounts := c.s.Accounts[org.Microsoft365]
	return c.list(c.h.facts.Users, len(accounts), func(i int) object {
		if a := accounts[i]; a.Gone.IsZero() && a.Status == org.Deprovisioned {
			return c.userView(a)
		}
		return nil
	})
}

// usersDelta tells of users that changed. A deleted one may be restored; one that
// is gone may not.
func (c *call) usersDelta() *failure {
	accounts := c.s.Accounts[org.Microsoft365]
	return c.changed(&changes{
		n: len(accounts),
		at: func(i int) time.Time {
			a := accounts[i]
			return latest(a.Created, a.Modified, a.StatusChanged, a.PasswordChanged, a.Gone)
		},
		id: c.h.accountID,
		gone: func(i int) string {
			switch a := accounts[i]; {
			case !a.Gone.IsZero():
				return c.h.facts.HardDeleted
			case a.Status == org.Deprovisioned:
				return c.h.facts.SoftDeleted
			}
			return ""
		},
		rows: func(i int, _ time.Time) []object { return []object{c.userView(accounts[i])} },
	})
}

func latest(times ...time.Time) (t time.Time) {
	for _, x := range times {
		if x.After(t) {
			t = x
		}
	}
	return t
}

// registrationDetails tells who has enrolled which factors; those that are
// disabled are left out.
func (c *call) registrationDetails() *failure {
	if f := c.premium(); f != nil {
		return f
	}
	f := &c.h.facts
	accounts := c.s.Accounts[org.Microsoft365]
	admins := adminsOf(c.s)
	return c.list(f.Details, len(accounts), func(i int) object {
		a := accounts[i]
		if !registers(a) {
			return nil
		}
		p := c.s.People[a.Person]
		kind := "member"
		if p.Outside {
			kind = "guest"
		}
		methods := a.Factors
		if methods == nil {
			methods = []string{}
		}
		return object{
			f.ID: c.h.accountID(i), f.PrincipalName: a.Login, "userDisplayName": displayName(p), "userType": kind, "isAdmin": admins[ref(org.AccountRef, i)],
			f.Registered: len(a.Factors) > 0, "isMfaCapable": len(a.Factors) > 0, "methodsRegistered": methods, "lastUpdatedDateTime": stamp(latest(a.Modified, a.Created)),
		}
	})
}

// registers says whether an account is in the report of factors.
func registers(a *org.Account) bool {
	return a.Gone.IsZero() && (a.Status == org.Active || a.Status == org.Invited)
}
