package okta

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// userFilterable are the attributes that the filter of users takes; all but
// lastUpdated with eq only.
var userFilterable = []string{"status", "lastUpdated", "id", "profile.login", "profile.email", "profile.firstName", "profile.lastName"}

func (h *Handler) allowUserFilter(attr, op string) bool {
	if attr == h.facts.LastUpdated {
		return op == "eq" || op == "gt" || op == "ge" || op == "lt" || op == "le"
	}
	return op == "eq" && slices.Contains(userFilterable, attr)
}

// allowUserSearch: search takes any property, and more operators.
func (h *Handler) allowUserSearch(_, op string) bool {
	return op == "eq" || op == "gt" || op == "ge" || op == "lt" || op == "le" || op == "sw" || op == "co" || op == "pr"
}

func (h *Handler) users(c *call) {
	f := &h.facts
	accounts := c.s.Accounts[org.Okta]
	show := func(*org.Account) bool { return true }
	search, filter := c.query.Get("search"), c.query.Get("filter")
	switch {
	case search != "" && filter != "":
		h.fail(c, http.StatusBadRequest, f.ErrFilter, "Invalid search criteria.")
		return
	case search != "", filter != "":
		allow, text := h.allowUserFilter, filter
		lag := time.Duration(0)
		if search != "" {
			allow, text = h.allowUserSearch, search
			lag = h.Faults().SearchLag
		}
		e, err := parseFilter(text, allow)
		if err != nil {
			h.fail(c, http.StatusBadRequest, f.ErrFilter, "Invalid search criteria.", err.Error())
			return
		}
		show = func(a *org.Account) bool {
			if a.Status == org.Deprovisioned && !f.FilterShowsHidden {
				return false
			}
			old := a.Modified.After(c.now.Add(-lag)) // the index has not seen what changed
			if old && a.Created.After(c.now.Add(-lag)) {
				return false
			}
			return e.holds(func(attr string) []string { return h.userValues(c, a, attr, old) })
		}
	default:
		q := strings.ToLower(c.query.Get("q"))
		show = func(a *org.Account) bool {
			if a.Status == org.Deprovisioned && f.PlainHidesDeprovisioned {
				return false
			}
			p := c.s.People[a.Person]
			return q == "" || slices.ContainsFunc([]string{p.Given, p.Family, p.Email}, func(s string) bool { return strings.HasPrefix(strings.ToLower(s), q) })
		}
	}
	omit := strings.Contains(c.r.Header.Get("Content-Type"), "omitCredentials")
	h.list(c, f.Users, len(accounts), func(b []byte, i int) []byte {
		a := accounts[i]
		if !a.Gone.IsZero() || !show(a) {
			return b
		}
		return h.appendUser(b, c, a, omit)
	})
}

func (h *Handler) userValues(c *call, a *org.Account, attr string, old bool) []string {
	p := c.s.People[a.Person]
	switch attr {
	case "status":
		if old && a.StatusChanged.Equal(a.Modified) {
			return []string{h.facts.Status[org.Active]}
		}
		return []string{h.facts.Status[a.Status]}
	case h.facts.LastUpdated:
		if old {
			return []string{stamp(a.Created)}
		}
		return []string{stamp(a.Modified)}
	case "id":
		return []string{id(c.seed, kindUser, a.N)}
	case "created":
		return []string{stamp(a.Created)}
	case "lastLogin":
		return []string{stamp(a.LastLogin)}
	case "profile.login":
		return []string{a.Login}
	case "profile.email":
		return []string{p.Email}
	case "profile.firstName":
		return []string{p.Given}
	case "profile.lastName":
		return []string{p.Family}
	case "profile.department":
		return []string{p.Department}
	}
	return nil
}

// appendUser appends a User. Null properties are left out for every third.
func (h *Handler) appendUser(b []byte, c *call, a *org.Account, omitCredentials bool) []byte {
	f := &h.facts
	p := c.s.People[a.Person]
	optional := func(name string, t time.Time) {
		if !t.IsZero() || a.N%3 != 0 {
			b = appendTimeMember(b, name, t)
		}
	}
	b = appendIDMember(append(b, '{'), "id", c.seed, kindUser, a.N)
	b = appendMember(b, "status", f.Status[a.Status])
	b = appendTimeMember(b, "created", a.Created)
	optional("activated", a.Activated)
	optional("statusChanged", a.StatusChanged)
	optional(f.LastLogin, a.LastLogin)
	b = appendTimeMember(b, f.LastUpdated, a.Modified)
	optional("passwordChanged", a.PasswordChanged)
	b = append(appendName(b, "type"), '{')
	b = append(appendIDMember(b, "id", c.seed, kindUserType, 0), '}')
	b = append(appendName(b, "profile"), '{')
	b = appendMember(b, "firstName", p.Given)
	b = appendMember(b, "lastName", p.Family)
	b = appendMember(b, "login", a.Login)
	b = appendMember(b, "email", p.Email)
	if name, ok := shownName(p); ok {
		b = appendMember(b, "displayName", name)
	}
	if p.Title != "" {
		b = appendMember(b, "title", p.Title)
	}
	if p.Department != "" {
		b = appendMember(b, "department", p.Department)
	}
	if m := managerOf(c.s, p); m >= 0 {
		b = appendIDMember(b, f.ManagerID, c.seed, kindUser, m)
	}
	if !p.Outside {
		b = appendMember(b, "organization", c.s.Domain)
	}
	b = append(appendMember(b, "userType", userType(p)), '}')
	if !omitCredentials {
		b = append(appendName(b, "credentials"), `{"provider":{"type":"OKTA","name":"OKTA"}}`...)
	}
	b = append(appendName(b, "_links"), `{"self":`...)
	b = h.appendHref(b, "/api/v1/users/", c.seed, kindUser, a.N, "")
	return append(b, '}', '}')
}

// shownName is the display name a person chose, as every other has.
func shownName(p *org.Person) (string, bool) {
	if p.N%2 == 0 {
		return "", false
	}
	return p.Given + " " + p.Family, true
}

// fullName is the name that the log shows.
func fullName(p *org.Person) string {
	if p.Family == "" {
		return p.Given
	}
	return p.Given + " " + p.Family
}

func userType(p *org.Person) string {
	switch {
	case p.Service:
		return "Service"
	case p.Outside:
		return "Contractor"
	}
	return "Employee"
}

// managerOf returns the manager's account; -1 when there is none.
func managerOf(s *org.State, p *org.Person) int {
	if p.Manager < 0 {
		return -1
	}
	if a := s.AccountOf(org.Okta, p.Manager); a != nil {
		return a.N
	}
	return -1
}

func (h *Handler) appendHref(b []byte, path string, seed uint64, k kind, n int, rest string) []byte {
	b = append(append(append(b, `{"href":"`...), h.links...), path...)
	b = appendID(b, seed, k, n)
	return append(append(b, rest...), '"', '}')
}

// account returns the account that a path names by its id or login, or answers.
func (h *Handler) account(c *call, name string) *org.Account {
	accounts := c.s.Accounts[org.Okta]
	if name == "me" && c.who != nil && c.who.user >= 0 {
		return accounts[c.who.user]
	}
	if n, ok := number(c.seed, kindUser, name); ok && n < len(accounts) && accounts[n].Gone.IsZero() {
		return accounts[n]
	}
	if strings.Contains(name, "@") {
		for _, a := range accounts {
			if a.Gone.IsZero() && strings.EqualFold(a.Login, name) {
				return a
			}
		}
	}
	h.notFound(c, name+" (User)")
	return nil
}

func (h *Handler) user(c *call) {
	if a := h.account(c, c.args[0]); a != nil {
		c.body = h.appendUser(c.body[:0], c, a, false)
	}
}

func (h *Handler) userFactors(c *call) {
	a := h.account(c, c.args[0])
	if a == nil {
		return
	}
	// A question and e-mail are no second factor of anybody's account: those
	// who have none have them.
	factors := a.Factors
	if len(factors) == 0 && a.Status == org.Active && a.N%2 == 0 {
		factors = []string{"question", "email"}
	}
	h.whole(c, len(factors)+1, func(b []byte, i int) []byte {
		kind, status := "sms", "PENDING_ACTIVATION"
		if i < len(factors) {
			kind, status = factors[i], "ACTIVE"
		} else if a.N%5 != 0 {
			return b
		}
		b = appendIDMember(append(b, '{'), "id", c.seed, kindFactor, a.N*16+i)
		b = appendMember(b, "factorType", kind)
		provider := "OKTA"
		if kind == "webauthn" {
			provider = "FIDO"
		}
		b = appendMember(b, "provider", provider)
		b = appendMember(b, "vendorName", provider)
		b = appendMember(b, "status", status)
		b = appendTimeMember(b, "created", a.Created)
		return append(appendTimeMember(b, "lastUpdated", a.Created), '}')
	})
}

func (h *Handler) userTypes(c *call) {
	h.whole(c, 1, func(b []byte, _ int) []byte {
		b = appendIDMember(append(b, '{'), "id", c.seed, kindUserType, 0)
		b = appendMember(b, "name", "user")
		b = appendMember(b, "displayName", "User")
		b = appendMember(b, "description", "Okta user profile template with default permission settings")
		b = append(appendName(b, "default"), "true"...)
		b = appendTimeMember(b, "created", c.s.Born)
		b = appendTimeMember(b, "lastUpdated", c.s.Born)
		return append(b, '}')
	})
}

func (h *Handler) org(c *call) {
	b := appendIDMember(append(c.body[:0], '{'), "id", c.seed, kindOrg, 0)
	b = appendMember(b, "subdomain", c.s.Name)
	b = appendMember(b, "companyName", c.s.Name)
	b = appendMember(b, "status", "ACTIVE")
	b = appendTimeMember(b, "created", c.s.Born)
	b = appendTimeMember(b, "lastUpdated", c.s.Born)
	b = appendMember(b, "website", "https://"+c.s.Domain)
	c.set(append(b, '}'))
}
