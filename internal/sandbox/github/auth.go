package github

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// tokenKind is a sort of credential.
type tokenKind int

const (
	classic tokenKind = iota
	oauthToken
	fineGrained
	installation
	userOfApp
	appJWT
)

// Token is a personal access token that a tenant accepts.
type Token struct {
	Value   string
	Account string            // login; "": the first owner's
	Scopes  []string          // of a classic token
	Fine    map[string]string // permissions of a fine-grained one, "members": "read"; Scopes are not looked at
}

// allScopes reach everything that is read and written.
func (h *Handler) allScopes() []string {
	out := []string{"admin:org", "read:audit_log", "read:user", "user:email", "repo", "workflow", "admin:enterprise", "scim:enterprise"}
	if h.flavour.GHES {
		out = append(out, "site_admin")
	}
	return out
}

// implied lists the scopes that a classic scope contains.
var implied = map[string][]string{
	"admin:org":        {"write:org", "read:org", "admin:read"},
	"write:org":        {"read:org"},
	"user":             {"read:user", "user:email"},
	"admin:enterprise": {"read:enterprise"},
}

// principal is whom a credential stands for.
type principal struct {
	kind    tokenKind
	login   string            // of the account; "": the first owner
	scopes  []string          // classic scopes
	perms   map[string]string // permissions of an App or a fine-grained token
	app     *App
	grant   string // user, app and scopes: at most Facts.TokensPerApp live
	expires time.Time
	used    int // requests
	dead    bool
	cut     bool // not authorized for single sign-on any more
}

// AddToken registers a personal access token.
func (h *Handler) AddToken(t Token) {
	p := &principal{kind: classic, login: t.Account, scopes: t.Scopes}
	if t.Fine != nil {
		p.kind, p.perms, p.scopes = fineGrained, t.Fine, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.tokens[t.Value] = p
}

// authenticate finds whose request it is; else it answers 401.
func (c *call) authenticate() bool {
	scheme, value, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	switch {
	case value == "":
		c.fail(http.StatusUnauthorized, "Requires authentication")
		return false
	case !strings.EqualFold(scheme, "bearer") && !strings.EqualFold(scheme, "token"):
		c.fail(c.h.facts.BadCredentials, "Bad credentials")
		return false
	case strings.Count(value, ".") == 2:
		app, problem := c.h.verify(value, c.now)
		if problem != "" {
			c.fail(c.h.facts.BadCredentials, problem)
			return false
		}
		c.who = &principal{kind: appJWT, app: app}
		return true
	}
	h := c.h
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.tokens[value]
	if p == nil || p.dead || !p.expires.IsZero() && !c.now.Before(p.expires) {
		c.fail(h.facts.BadCredentials, "Bad credentials")
		return false
	}
	p.used++
	// Of all tokens, only an installation's ends by itself.
	if n := c.trouble.TokenRequests; p.kind == installation && (n > 0 && p.used > n || h.tenant.TokenExpired(c.r)) {
		p.dead = true
		c.fail(h.facts.BadCredentials, "Bad credentials")
		return false
	}
	c.token = p
	// A copy without what the scenario takes away.
	who := *p
	who.scopes = slices.DeleteFunc(expand(p.scopes), func(s string) bool { return slices.Contains(c.trouble.MissingScopes, s) })
	who.perms = lessen(p.perms, c.trouble.MissingScopes)
	c.who = &who
	if who.kind == classic || who.kind == oauthToken {
		c.Header()["X-Oauth-Scopes"] = []string{strings.Join(granted(p.scopes, c.trouble.MissingScopes), ", ")}
	}
	return true
}

// lessen returns permissions without the missing ones.
func lessen(perms map[string]string, missing []string) map[string]string {
	out := maps.Clone(perms)
	for _, s := range missing {
		name, level, _ := strings.Cut(s, ":")
		if level == "write" && out[name] == "write" {
			out[name] = "read"
		} else {
			delete(out, name)
		}
	}
	return out
}

// granted are the scopes as they were granted, less what is missing. When a
// contained scope is missing, the containing one is not shown.
func granted(scopes, missing []string) []string {
	var out []string
	for _, s := range scopes {
		all := expand([]string{s})
		kept := slices.DeleteFunc(slices.Clone(all), func(x string) bool { return slices.Contains(missing, x) })
		if len(kept) == len(all) {
			out = append(out, s)
		} else {
			out = append(out, kept...)
		}
	}
	return slices.DeleteFunc(out, func(s string) bool { return slices.Contains(missing, s) })
}

func expand(scopes []string) []string {
	var out []string
	for _, s := range scopes {
		out = append(out, s)
		out = append(out, implied[s]...)
	}
	return out
}

// account returns the account behind a user's token; nil for Apps.
func (c *call) account() *org.Account {
	if c.who.kind == installation || c.who.kind == appJWT {
		return nil
	}
	for _, a := range c.s.Accounts[org.GitHub] {
		if !here(a, c.s) {
			continue
		}
		if c.who.login == "" && a.Owner && a.Status == org.Active || c.who.login != "" && strings.EqualFold(a.Login, c.who.login) {
			return a
		}
	}
	return nil
}

// owner tells whether the token is an organization owner's.
func (c *call) owner() bool {
	a := c.account()
	return a != nil && a.Owner && !a.Outside
}

func (p *principal) has(scopes ...string) bool {
	for _, s := range scopes {
		if slices.Contains(p.scopes, s) {
			return true
		}
	}
	return len(scopes) == 0
}

// may tells whether an App's or fine-grained token's permission is enough.
func (p *principal) may(perm string) bool {
	name, level, _ := strings.Cut(perm, ":")
	got := p.perms[name]
	return got == level || got == "write" && level == "read" || got == "admin"
}

// need is what an endpoint asks of the credential.
type need struct {
	scopes   []string // any of these, of classic tokens
	perm     string   // of Apps and fine-grained tokens, "members:read"; "": they cannot call it
	owner    bool     // a user must be an organization owner
	hide     bool     // refused with 404
	cloud    bool     // not on Enterprise Server
	server   bool     // on Enterprise Server alone
	paid     bool     // not on plan Free
	appOnly  bool     // only with an App's token
	jwt      bool     // only with an App's own assertion
	anybody  bool     // no condition at all
	personal bool     // about the token's user: not for Apps' installations
}

// allow tells whether the call may go on; else it has answered.
func (c *call) allow(n need) bool {
	if n.jwt != (c.who.kind == appJWT) {
		if n.jwt {
			c.fail(http.StatusUnauthorized, "A JSON web token could not be decoded")
		} else {
			c.fail(http.StatusForbidden, "Resource not accessible by integration")
		}
		return false
	}
	if n.anybody || n.jwt {
		return true
	}
	user := c.who.kind == classic || c.who.kind == oauthToken
	if user {
		c.Header()["X-Accepted-Oauth-Scopes"] = []string{strings.Join(n.scopes, ", ")}
	} else if n.perm != "" {
		c.Header()["X-Accepted-Github-Permissions"] = []string{strings.Replace(n.perm, ":", "=", 1)}
	}
	t := c.trouble
	switch {
	case n.personal:
	case t.IPBlocked:
		c.fail(http.StatusForbidden, c.ipMessage())
		return false
	case (t.SAML || c.who.cut) && user:
		c.fail(http.StatusForbidden, c.requireSSO())
		return false
	case t.OAuthBlocked && c.who.kind == oauthToken:
		c.fail(http.StatusForbidden, c.oauthMessage())
		return false
	}
	if a := c.account(); a != nil && a.Status == org.Suspended {
		c.fail(http.StatusForbidden, "Sorry. Your account was suspended.")
		return false
	}
	if n.cloud && c.flavour.GHES || n.server && !c.flavour.GHES {
		c.notFound()
		return false
	}
	if n.paid && c.flavour.Free {
		c.fail(c.h.facts.AuditUnlicensed, "Not Found")
		return false
	}
	switch {
	case user && n.appOnly && c.h.facts.PATsAppOnly, n.appOnly && c.h.facts.PATsAppOnly && c.who.kind == fineGrained:
		c.fail(http.StatusForbidden, "Resource not accessible by personal access token")
		return false
	case n.personal && !user && c.who.kind == installation:
		c.fail(http.StatusForbidden, "Resource not accessible by integration")
		return false
	case user && !c.who.has(n.scopes...):
		c.refuse(n, "Must have admin rights")
		return false
	case !user && !n.personal && (n.perm == "" || !c.who.may(n.perm)):
		by := "integration"
		if c.who.kind == fineGrained {
			by = "personal access token"
		}
		c.refuse(n, "Resource not accessible by "+by)
		return false
	case n.owner && c.who.kind != installation && !c.owner():
		c.refuse(n, "Must be an organization owner")
		return false
	}
	return true
}

func (c *call) ipMessage() string {
	return "Although you appear to have the correct authorization credentials, the `" + c.s.Name + "` organization has an IP allow list enabled, and your IP address is not permitted to access this resource."
}

func (c *call) oauthMessage() string {
	return "Although you appear to have the correct authorization credentials, the `" + c.s.Name + "` organization has enabled OAuth App access restrictions, meaning that data access to third-parties is limited."
}

// requireSSO tells where to authorize the token for single sign-on.
func (c *call) requireSSO() string {
	c.Header()["X-Github-Sso"] = []string{"required; url=" + c.web() + "/orgs/" + c.s.Name + "/sso?authorization_request=sandbox"}
	return "Resource protected by organization SAML enforcement. You must grant your Personal Access token access to this organization."
}

func (c *call) refuse(n need, message string) {
	if n.hide {
		c.notFound()
		return
	}
	c.fail(http.StatusForbidden, message)
}
