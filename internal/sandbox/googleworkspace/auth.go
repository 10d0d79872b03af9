package googleworkspace

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"weir/internal/sandbox/org"
)

// What people consent to with: the client that every customer knows.
const (
	OAuthClientID     = "480000000000-sandbox.apps.googleusercontent.com"
	OAuthClientSecret = "sandbox-secret"
)

// delegated are the scopes that the administrator has authorized for the agent's
// service account (3.5).
var delegated = []string{
	"admin.directory.user.readonly", "admin.directory.user", "admin.directory.user.security", "admin.directory.orgunit.readonly", "admin.directory.domain.readonly",
	"admin.directory.customer.readonly", "admin.directory.group.readonly", "admin.directory.group.member.readonly", "admin.directory.group.member", "admin.directory.rolemanagement.readonly",
	"admin.directory.rolemanagement", "admin.reports.audit.readonly", "admin.reports.usage.readonly", "drive.metadata.readonly", "drive.readonly", "drive", "apps.alerts", "admin.datatransfer",
}

// authority gives tokens and knows them.
type authority struct {
	h *Handler

	mu      sync.Mutex
	tokens  map[string]*access
	refresh map[string]*consent
	codes   map[string]*consent
	serial  int
}

// access is what a token allows.
type access struct {
	client  string // id of the client
	service int    // number of the service account; -1 none
	subject int    // number of the account that it acts as; -1 the service account itself
	scopes  []string
	until   time.Time
	dead    bool
}

func newAuthority(h *Handler) *authority {
	return &authority{h: h, tokens: map[string]*access{}, refresh: map[string]*consent{}, codes: map[string]*consent{}}
}

// expire ends all tokens.
func (a *authority) expire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, t := range a.tokens {
		t.dead = true
	}
}

// life is how long a token lasts.
func (a *authority) life() time.Duration {
	if f := a.h.Faults().TokenLife; f > 0 {
		return f
	}
	return a.h.facts.TokenLife
}

// issue makes a token. The caller holds the authority.
func (a *authority) issue(x access) string {
	now := a.h.t.Clock.Now()
	x.until = now.Add(a.life())
	a.serial++
	text := "sandbox-access-" + itoa(a.serial) + letters(a.h.hash("token", a.serial), 24)
	if a.serial%512 == 0 {
		for k, t := range a.tokens {
			if now.Sub(t.until) > day {
				delete(a.tokens, k)
			}
		}
	}
	a.tokens[text] = &x
	return text
}

// check returns what the token of a request allows now.
func (a *authority) check(r *http.Request) (*access, *failure) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.tokens[token]
	if t == nil || !strings.EqualFold(scheme, "Bearer") {
		return nil, badCredentials()
	}
	if a.h.t.TokenExpired(r) {
		t.dead = true
	}
	if t.dead || !a.h.t.Clock.Now().Before(t.until) {
		return nil, badCredentials()
	}
	x := *t
	if missing := a.missing(r); len(missing) > 0 {
		x.scopes = slices.DeleteFunc(slices.Clone(t.scopes), func(s string) bool { return slices.Contains(missing, s) })
	}
	return &x, nil
}

// missing are scopes that are not granted any more.
func (a *authority) missing(r *http.Request) []string {
	list := slices.Concat(a.h.t.MissingScopes(r), a.h.Faults().Unauthorized)
	for i := range list {
		list[i] = scopeName(list[i])
	}
	return list
}

// need refuses a token without any of some scopes.
func (c *call) need(scopes ...string) *failure {
	for _, s := range scopes {
		if slices.Contains(c.who.scopes, s) {
			return nil
		}
	}
	return insufficientScope(scopes)
}

// enabled refuses when an API is not enabled in the project.
func (c *call) enabled(api string) *failure {
	if !slices.Contains(c.h.Faults().Disabled, api) {
		return nil
	}
	f := refuse(http.StatusForbidden, "accessNotConfigured", "%s API has not been used in project 480000000000 before or it is disabled. Enable it by visiting https://console.developers.google.com/apis/api/%s.googleapis.com/overview?project=480000000000 then retry.", api, api)
	f.domain, f.info = "usageLimits", "SERVICE_DISABLED"
	return f
}

// subject is the account that the call acts as; nil: a service account itself.
func (c *call) subject() *org.Account {
	if c.who.subject < 0 {
		return nil
	}
	return c.s.Accounts[app][c.who.subject]
}

// holder is who the call acts as.
func (c *call) holder() org.Ref {
	if c.who.subject < 0 {
		return org.Ref{Kind: org.IntegrationRef, N: c.who.service}
	}
	return org.Ref{Kind: org.AccountRef, N: c.who.subject}
}

// act is what the call does, in the organization's terms.
func (c *call) act() *org.Act {
	x := &org.Act{At: c.s.Now, Actor: c.holder(), Client: &org.Client{IP: agentIP, UserAgent: c.r.UserAgent()}}
	if c.who.service >= 0 {
		x.Via = org.Ref{Kind: org.IntegrationRef, N: c.who.service}
	}
	return x
}

// agentIP is where the agent's requests come from, as the audit log tells.
const agentIP = "192.0.2.10"

// may says whether who calls has any of some privileges, over a user if one is
// given: by a role for the whole customer or, of a user, for its unit.
func (c *call) may(over *org.Account, privileges ...string) bool {
	taken := c.h.Faults().NoPrivilege
	for _, r := range c.s.Roles[app] {
		if !r.Gone.IsZero() || !c.holds(r.Holder) {
			continue
		}
		if r.ScopeN > 0 && (over == nil || !within(c.s, over.OrgUnit, r.ScopeN)) {
			continue
		}
		for _, p := range privileges {
			if slices.Contains(taken, p) {
				continue
			}
			if r.RoleN == org.GoogleSuperAdmin || slices.ContainsFunc(r.Permits, func(x string) bool { return strings.HasSuffix(x, " "+p) }) {
				return true
			}
		}
	}
	return false
}

// super says whether who calls may do all.
func (c *call) super() bool {
	return slices.ContainsFunc(c.s.Roles[app], func(r *org.RoleGrant) bool {
		return r.Gone.IsZero() && r.RoleN == org.GoogleSuperAdmin && c.holds(r.Holder)
	})
}

func (c *call) holds(holder org.Ref) bool {
	if holder == c.holder() {
		return true
	}
	return holder.Kind == org.GroupRef && c.who.subject >= 0 && c.s.Groups[app][holder.N].Gone.IsZero() && c.s.Groups[app][holder.N].Has(c.who.subject)
}

// within says whether a unit is another or below it.
func within(s *org.State, unit, other int) bool {
	units := s.ResourceSets[app]
	return unit == other || strings.HasPrefix(units[unit].Name, units[other].Name+"/")
}
