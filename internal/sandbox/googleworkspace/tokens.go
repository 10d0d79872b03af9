package googleworkspace

import (
	"net/http"
	"strings"

	"weir/internal/sandbox/org"
)

// grantsOf are what an account has given out of a kind, in the order in which it
// did.
func (h *Handler) grantsOf(s *org.State, a *org.Account, kind string) (out []*org.Grant) {
	for _, n := range h.givenOut(s, a.N) {
		if g := s.Grants[app][n]; g.Gone.IsZero() && g.Kind == kind {
			out = append(out, g)
		}
	}
	return out
}

// readable refuses to tell the tokens of who is suspended or deleted (5.6).
func (c *call) readable() (*org.Account, *failure) {
	a, f := c.target()
	if f != nil {
		if d := c.h.account(c.s, c.args[0]); d != nil && d.Gone.IsZero() {
			return nil, badCredentials()
		}
		return nil, f
	}
	if a.Status == org.Suspended {
		f := badCredentials()
		f.status = c.h.facts.SuspendedTokens
		return nil, f
	}
	return a, nil
}

func (c *call) tokenView(a *org.Account, g *org.Grant) object {
	in := c.s.Integrations[app][g.Integration]
	return object{
		"kind": "admin#directory#token", "etag": c.h.etag("token", g.N, g.Scopes), c.h.facts.ClientID: c.h.clientID(in), c.h.facts.DisplayText: in.Label, "anonymous": in.Kind == org.AnonymousApp,
		"nativeApp": in.Kind == org.NativeClient, "userKey": c.h.userID(a.N), c.h.facts.Scopes: scopeURLs(g.Scopes),
	}
}

func scopeURLs(list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = scopeURL(s)
	}
	return out
}

// tokens answers GET /users/{userKey}/tokens.
func (c *call) tokens() *failure {
	a, f := c.readable()
	if f != nil {
		return f
	}
	var out []object
	for _, g := range c.h.grantsOf(c.s, a, org.GrantConsent) {
		out = append(out, c.tokenView(a, g))
	}
	return c.send(c.put(object{"kind": "admin#directory#tokenList", "etag": c.h.etag("tokens", a.N, len(out))}, "items", out, ""))
}

// theToken is the token that the path names.
func (c *call) theToken(a *org.Account) *org.Grant {
	for _, g := range c.h.grantsOf(c.s, a, org.GrantConsent) {
		if c.h.clientID(c.s.Integrations[app][g.Integration]) == c.args[1] {
			return g
		}
	}
	return nil
}

func (c *call) oneToken() *failure {
	a, f := c.readable()
	if f != nil {
		return f
	}
	g := c.theToken(a)
	if g == nil {
		return notFound("clientId")
	}
	return c.send(c.tokenView(a, g))
}

// deleteToken answers DELETE /users/{userKey}/tokens/{clientId}.
func (c *call) deleteToken() *failure {
	a, f := c.securing()
	if f != nil {
		return f
	}
	if _, f := c.readable(); f != nil {
		return f
	}
	g := c.theToken(a)
	if g == nil {
		return notFound("clientId")
	}
	c.s.RevokeGrant(app, c.act(), g)
	return c.empty()
}

func (c *call) aspView(a *org.Account, g *org.Grant) object {
	used := "0"
	if !g.LastUsed.IsZero() {
		used = itoa(g.LastUsed.Unix())
	}
	f := &c.h.facts
	return object{
		"kind": "admin#directory#asp", "etag": c.h.etag("asp", g.N), f.CodeID: g.N + 1, "name": g.Name, f.AspCreated: itoa(g.Created.Unix()), f.AspLastUsed: used, "userKey": c.h.userID(a.N),
	}
}

// asps answers GET /users/{userKey}/asps.
func (c *call) asps() *failure {
	a, f := c.readable()
	if f != nil {
		return f
	}
	var out []object
	for _, g := range c.h.grantsOf(c.s, a, org.GrantAppPassword) {
		out = append(out, c.aspView(a, g))
	}
	return c.send(c.put(object{"kind": "admin#directory#aspList", "etag": c.h.etag("asps", a.N, len(out))}, "items", out, ""))
}

func (c *call) theAsp(a *org.Account) *org.Grant {
	for _, g := range c.h.grantsOf(c.s, a, org.GrantAppPassword) {
		if itoa(g.N+1) == c.args[1] {
			return g
		}
	}
	return nil
}

func (c *call) asp() *failure {
	a, f := c.readable()
	if f != nil {
		return f
	}
	g := c.theAsp(a)
	if g == nil {
		return notFound("codeId")
	}
	return c.send(c.aspView(a, g))
}

func (c *call) deleteAsp() *failure {
	a, f := c.securing()
	if f != nil {
		return f
	}
	if _, f := c.readable(); f != nil {
		return f
	}
	g := c.theAsp(a)
	if g == nil {
		return notFound("codeId")
	}
	c.s.RevokeGrant(app, c.act(), g)
	return c.empty()
}

// codes answers GET /users/{userKey}/verificationCodes: numbers that are none.
func (c *call) codes() *failure {
	a, f := c.target()
	if f != nil {
		return f
	}
	var out []object
	for i := range a.BackupCodes {
		out = append(out, object{"kind": "admin#directory#verificationCode", "etag": c.h.etag("code", a.N, i), "userId": c.h.userID(a.N), "verificationCode": strings.Repeat(itoa(i%10), 8)})
	}
	return c.send(c.put(object{"kind": "admin#directory#verificationCodesList", "etag": c.h.etag("codes", a.N)}, "items", out, ""))
}

// securing is the user whose sessions, tokens or codes are to end: over an
// administrator only one who may do all has power (7).
func (c *call) securing() (*org.Account, *failure) {
	a, f := c.target()
	if f != nil {
		return nil, f
	}
	if !c.may(a, "USER_SECURITY_ALL") || c.above(a) {
		return nil, notAuthorized()
	}
	return a, nil
}

// above says whether a user is an administrator over whom who calls has no power.
func (c *call) above(a *org.Account) bool {
	super, some := c.s.GoogleAdmin(a)
	return (super || some) && !c.super()
}

func (c *call) signOut() *failure {
	a, f := c.securing()
	if f != nil {
		return f
	}
	c.s.EndGoogleSessions(c.act(), a)
	return c.empty()
}

func (c *call) endCodes() *failure {
	a, f := c.securing()
	if f != nil {
		return f
	}
	c.s.EndBackupCodes(c.act(), a)
	return c.empty()
}

func (c *call) endFactors() *failure {
	a, f := c.securing()
	if f != nil {
		return f
	}
	if len(a.Factors) == 0 {
		return refuse(http.StatusBadRequest, "invalid", "2-Step Verification is not turned on for the user.")
	}
	c.s.EndSecondFactors(c.act(), a)
	return c.empty()
}
