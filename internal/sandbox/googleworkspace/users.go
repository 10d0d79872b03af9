package googleworkspace

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/sandbox/org"
)

// users answers GET /users (5.1).
func (c *call) users() *failure {
	domain, f := c.inDomains()
	if f != nil {
		return f
	}
	fits, f := userQuery(c.s, c.q.Get("query"))
	if f != nil {
		return f
	}
	for name, words := range map[string]string{"orderBy": "email familyName givenName", "sortOrder": "ASCENDING DESCENDING", "projection": "basic custom full", "viewType": "admin_view domain_public"} {
		if v := c.q.Get(name); v != "" && !slices.Contains(strings.Fields(words), v) && !slices.Contains(strings.Fields(strings.ToLower(words)), v) {
			return invalid("Invalid Input: %s", name)
		}
	}
	deleted := strings.EqualFold(c.q.Get("showDeleted"), "true")
	var all []*org.Account
	for _, a := range c.s.Accounts[app] {
		switch gone := !listed(a); {
		case !a.Gone.IsZero() || gone != deleted && (c.h.facts.DeletedOnly || !deleted):
		case domain != "" && !strings.HasSuffix(a.Login, "@"+domain), !fits(a):
		default:
			all = append(all, a)
		}
	}
	key := userOrder(c.s, c.q.Get("orderBy"))
	slices.SortFunc(all, func(a, b *org.Account) int { return cmp.Compare(key(a), key(b)) })
	l := &listing{name: "users", size: c.h.facts.Users, sizeName: "maxResults", life: c.h.facts.UsersTokenLife, chain: c.h.facts.ChainLife}
	if strings.EqualFold(c.q.Get("sortOrder"), "DESCENDING") {
		slices.Reverse(all)
		places := map[*org.Account]string{}
		for i, a := range all {
			places[a] = fmt.Sprintf("%09d", i)
		}
		key = func(a *org.Account) string { return places[a] }
	}
	page, next, f := list(c, l, all, key, c.listedUser)
	if f != nil {
		return f
	}
	return c.send(c.put(object{"kind": "admin#directory#users", "etag": c.h.etag("users", c.now)}, "users", page, next))
}

// stale are users as lists still show them.
type stale struct {
	mu    sync.Mutex
	users map[int]staleUser
}

type staleUser struct {
	until time.Time
	view  object
}

// listedUser is a user as lists tell: for a while as before the last write.
func (c *call) listedUser(a *org.Account) object {
	c.h.stale.mu.Lock()
	defer c.h.stale.mu.Unlock()
	if x, ok := c.h.stale.users[a.N]; ok && c.now.Before(x.until) {
		return x.view
	}
	return c.h.userView(c.s, a)
}

// lag has lists show a user as it is now for a while, where a fault says so.
func (c *call) lag(a *org.Account) {
	d := max(c.h.Faults().ListsLag, c.h.t.Lag(c.r))
	if d <= 0 {
		return
	}
	view := c.listedUser(a)
	c.h.stale.mu.Lock()
	defer c.h.stale.mu.Unlock()
	if c.h.stale.users == nil {
		c.h.stale.users = map[int]staleUser{}
	}
	c.h.stale.users[a.N] = staleUser{c.now.Add(d), view}
}

// userOrder is a unique key that a list of users is put in order by.
func userOrder(s *org.State, by string) func(*org.Account) string {
	return func(a *org.Account) string {
		p, key := s.People[a.Person], strings.ToLower(a.Login)
		switch by {
		case "familyName":
			key = strings.ToLower(p.Family) + "\x00" + key
		case "givenName":
			key = strings.ToLower(p.Given) + "\x00" + key
		}
		return key
	}
}

// userQuery reads query=: terms that all must fit.
func userQuery(s *org.State, text string) (func(*org.Account) bool, *failure) {
	var terms []func(*org.Account) bool
	for _, term := range strings.Fields(text) {
		name, value, exact := strings.Cut(term, "=")
		if !exact {
			name, value, _ = strings.Cut(term, ":")
		}
		value = strings.ToLower(strings.Trim(value, `'"`))
		is := func(v func(*org.Account) bool) func(*org.Account) bool {
			return func(a *org.Account) bool { return v(a) == (value == "true") }
		}
		switch name {
		case "isSuspended":
			terms = append(terms, is(func(a *org.Account) bool { return a.Status == org.Suspended }))
		case "isArchived":
			terms = append(terms, is(func(a *org.Account) bool { return a.Status == org.Archived }))
		case "isAdmin":
			terms = append(terms, is(func(a *org.Account) bool { super, _ := s.GoogleAdmin(a); return super }))
		case "isDelegatedAdmin":
			terms = append(terms, is(func(a *org.Account) bool { _, some := s.GoogleAdmin(a); return some }))
		case "isEnrolledIn2Sv":
			terms = append(terms, is(func(a *org.Account) bool { return len(a.Factors) > 0 }))
		case "orgUnitPath":
			terms = append(terms, func(a *org.Account) bool {
				at := strings.ToLower(s.ResourceSets[app][a.OrgUnit].Name)
				return at == value || strings.HasPrefix(at, strings.TrimSuffix(value, "/")+"/")
			})
		case "email":
			terms = append(terms, func(a *org.Account) bool {
				return slices.ContainsFunc(addresses(a), func(e string) bool {
					e = strings.ToLower(e)
					return e == value || strings.HasSuffix(value, "*") && strings.HasPrefix(e, strings.TrimSuffix(value, "*"))
				})
			})
		default:
			return nil, invalid("Invalid Input: query")
		}
	}
	return func(a *org.Account) bool {
		return !slices.ContainsFunc(terms, func(t func(*org.Account) bool) bool { return !t(a) })
	}, nil
}

// user answers GET /users/{userKey}. Everybody may see themselves.
func (c *call) user() *failure {
	a, f := c.target()
	if f != nil {
		return f
	}
	if !c.may(a, mayReadUsers...) && c.who.subject != a.N {
		return notAuthorized()
	}
	return c.send(c.h.userView(c.s, a))
}

// target is the user that the path names.
func (c *call) target() (*org.Account, *failure) {
	if a := c.h.accountByKey(c.s, c.args[0]); a != nil {
		return a, nil
	}
	return nil, notFound("userKey")
}

// userView is a user as the directory tells.
func (h *Handler) userView(s *org.State, a *org.Account) object {
	f, p := &h.facts, s.People[a.Person]
	name := object{"givenName": p.Given, "familyName": p.Family, f.FullName: p.Given + " " + p.Family}
	if a.N%5 == 1 && !p.Service {
		name["displayName"] = p.Given + " " + p.Family[:1] + "."
	}
	last := f.Never
	if !a.LastLogin.IsZero() {
		last = stamp(a.LastLogin)
	}
	v := object{
		"kind": "admin#directory#user", f.UserID: h.userID(a.N), f.PrimaryEmail: a.Login, "name": name, f.LastLogin: last, f.Created: stamp(a.Created),
		f.OrgUnitPath: s.ResourceSets[app][a.OrgUnit].Name, "customerId": h.customer,
	}
	if a.Outside {
		v[f.GuestUser], v["guestAccountInfo"] = true, object{"primaryGuestEmail": p.Email}
	}
	if !listed(a) {
		v[f.Deleted] = stamp(a.StatusChanged)
		v["etag"] = h.etag("user", a.N, a.StatusChanged)
		return v
	}
	super, some := s.GoogleAdmin(a)
	v[f.IsAdmin], v[f.Delegated] = super, some
	v[f.AgreedToTerms] = a.Status != org.Invited && !a.Activated.IsZero()
	v[f.Suspended], v[f.Archived] = a.Status == org.Suspended, a.Status == org.Archived
	if a.Status == org.Suspended {
		v["suspensionReason"], v["suspensionTime"] = a.Reason, stamp(a.StatusChanged)
		if a.Reason == org.SuspendedByAdmin {
			v["suspensionReason"] = f.SuspendedByAdmin
		}
	}
	if a.Status == org.Archived {
		v["archivalTime"] = stamp(a.StatusChanged)
	}
	v["changePasswordAtNextLogin"], v["ipWhitelisted"], v["includeInGlobalAddressList"] = a.MustChange, false, true
	v[f.Enrolled], v["isEnforcedIn2Sv"] = len(a.Factors) > 0, super
	v["isMailboxSetup"] = !a.Outside && a.N%17 != 4
	emails := []object{{"address": a.Login, "primary": true}}
	for _, e := range a.Aliases {
		emails = append(emails, object{"address": e})
	}
	if len(a.Aliases) > 0 {
		v["aliases"] = a.Aliases
	}
	if e := testAddress(s, a); e != "" {
		v["nonEditableAliases"] = []string{e}
		emails = append(emails, object{"address": e})
	}
	v["emails"] = emails
	if orgs := organizations(p, a.N); len(orgs) > 0 {
		v[f.Organizations] = orgs
	}
	if m := h.manager(s, p); m != nil {
		v[f.Relations] = []object{{"value": m.Login, "type": "manager"}}
		if a.N%7 == 2 {
			v[f.Relations] = []object{{"value": "helper@" + s.Domain, "type": "assistant"}, {"value": m.Login, "type": "manager"}}
		}
	}
	if a.N%9 == 5 && !p.Service {
		v["recoveryEmail"], v["recoveryPhone"] = strings.ToLower("me."+slugOf(p.Family))+"@home.example", "+15550100"
	}
	v["etag"] = h.etag("user", a.N, v)
	return v
}

func slugOf(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, name)
}

// testAddress is one that the vendor gives to the users of the primary domain.
func testAddress(s *org.State, a *org.Account) string {
	if !strings.HasSuffix(a.Login, "@"+s.Domain) {
		return ""
	}
	return a.Login + ".test-google-a.com"
}

// organizations are where a person works: for some the primary is not the first,
// for some none is.
func organizations(p *org.Person, n int) []object {
	if p.Title == "" && p.Department == "" {
		return nil
	}
	now := object{"title": p.Title, "department": p.Department, "primary": true, "customType": ""}
	switch n % 6 {
	case 2:
		delete(now, "primary")
	case 4:
		return []object{{"title": "Volunteer", "department": "Elsewhere", "primary": false}, now}
	}
	return []object{now}
}

// manager is a person's, if the directory has their account.
func (h *Handler) manager(s *org.State, p *org.Person) *org.Account {
	if p.Manager < 0 {
		return nil
	}
	if m := s.AccountOf(app, p.Manager); m != nil && listed(m) {
		return m
	}
	return nil
}

// units answers GET /customer/{customerId}/orgunits (5.5).
func (c *call) units() *failure {
	if f := c.ofCustomer(c.args[0]); f != nil {
		return f
	}
	var out []object
	for _, u := range c.s.ResourceSets[app] {
		if u.N == 0 {
			continue // the root is in no list
		}
		parent := 0
		for _, other := range c.s.ResourceSets[app] {
			if other.N > 0 && other.N != u.N && strings.HasPrefix(u.Name, other.Name+"/") {
				parent = other.N
			}
		}
		if parent > 0 && c.q.Get("type") != "all" && c.q.Get("type") != "allIncludingParent" {
			continue
		}
		at := strings.LastIndexByte(u.Name, '/')
		out = append(out, object{
			"kind": "admin#directory#orgUnit", "etag": c.h.etag("unit", u.N), "name": u.Name[at+1:], "description": u.Description, "orgUnitPath": u.Name, "orgUnitId": c.h.unitID(u.N),
			"parentOrgUnitPath": c.s.ResourceSets[app][parent].Name, "parentOrgUnitId": c.h.unitID(parent), "blockInheritance": false,
		})
	}
	return c.send(c.put(object{"kind": "admin#directory#orgUnits", "etag": c.h.etag("units", len(out))}, "organizationUnits", out, ""))
}

// domains answers GET /customer/{customer}/domains.
func (c *call) domains() *failure {
	if f := c.ofCustomer(c.args[0]); f != nil {
		return f
	}
	var out []object
	for i, d := range domains(c.s) {
		v := object{"kind": "admin#directory#domain", "etag": c.h.etag("domain", d), "domainName": d, "isPrimary": i == 0, "verified": true, "creationTime": itoa(c.s.Born.UnixMilli())}
		if i == 0 {
			v["domainAliases"] = c.h.aliasViews(c.s)
		}
		out = append(out, v)
	}
	return c.send(object{"kind": "admin#directory#domains", "etag": c.h.etag("domains"), "domains": out})
}

// domainAliases answers GET /customer/{customer}/domainaliases.
func (c *call) domainAliases() *failure {
	if f := c.ofCustomer(c.args[0]); f != nil {
		return f
	}
	return c.send(object{"kind": "admin#directory#domainAliases", "etag": c.h.etag("aliases"), "domainAliases": c.h.aliasViews(c.s)})
}

func (h *Handler) aliasViews(s *org.State) []object {
	return []object{{
		"kind": "admin#directory#domainAlias", "etag": h.etag("alias", 0), "domainAliasName": "mail." + s.Domain, "parentDomainName": s.Domain, "verified": true, "creationTime": itoa(s.Born.UnixMilli()),
	}}
}

// self answers GET /customers/{customerKey}.
func (c *call) self() *failure {
	if f := c.ofCustomer(c.args[0]); f != nil {
		return f
	}
	if c.who.subject >= 0 && !c.may(nil, "ADMIN_DASHBOARD", "REPORTS_ACCESS", "USERS_RETRIEVE", "USERS_ALL", "GROUPS_ALL") {
		return notAuthorized()
	}
	return c.send(object{
		"kind": "admin#directory#customer", "etag": c.h.etag("customer"), "id": c.h.customer, "customerDomain": c.s.Domain, "alternateEmail": "owner@home.example",
		"customerCreationTime": stamp(c.s.Born), "language": "en", "phoneNumber": "", "postalAddress": object{"organizationName": c.s.Name, "countryCode": "US"},
	})
}
