package okta

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// scopes that the organization's authorization server knows.
var knownScopes = func() []string {
	list := []string{"openid", "profile", "email", "offline_access", "groups"}
	for _, s := range []string{"apiTokens", "appGrants", "apps", "clients", "eventHooks", "groups", "logs", "oauthIntegrations", "orgs", "roles", "sessions", "userTypes", "users"} {
		list = append(list, "okta."+s+".read", "okta."+s+".manage")
	}
	return list
}()

// code is an authorization code: good once, for a minute.
type code struct {
	client, redirect, challenge string
	scopes                      []string
	until                       time.Time
}

// refreshToken belongs to a family: all that were made from one consent.
type refreshToken struct {
	client   string
	scopes   []string
	family   int
	replaced time.Time // zero: it is the family's youngest
}

// token serves the token endpoint.
func (h *Handler) token(c *call) {
	a := h.auth
	raw, err := io.ReadAll(io.LimitReader(c.r.Body, 1<<20))
	form, err2 := url.ParseQuery(string(raw))
	if err != nil || err2 != nil || !strings.HasPrefix(c.r.Header.Get("Content-Type"), "application/x-www-form-urlencoded") {
		a.oauthError(c, http.StatusBadRequest, "invalid_request", "The body must be form-encoded.")
		return
	}
	client, problem := a.client(c, form)
	if problem != "" {
		a.oauthError(c, http.StatusUnauthorized, "invalid_client", problem)
		return
	}
	jkt := ""
	if client.DPoP || len(c.r.Header.Values("DPoP")) > 0 {
		if jkt, problem = a.proof(c, "", func(n string) bool { return h.nonceOK(c, n) }); problem != "" {
			what := "invalid_dpop_proof"
			if problem == useNonce {
				what = "use_dpop_nonce"
				c.w.Header().Set(h.facts.NonceHeader, h.nonce(c, c.now))
			}
			a.oauthError(c, http.StatusBadRequest, what, problem)
			return
		}
	}
	switch form.Get("grant_type") {
	case "client_credentials":
		if form.Get("client_assertion") == "" {
			a.oauthError(c, http.StatusUnauthorized, "invalid_client", "Client credentials need a client assertion.")
			return
		}
		if scopes, ok := a.scopes(c, client, form.Get("scope")); ok {
			a.issue(c, client, scopes, jkt, "")
		}
	case "authorization_code":
		a.byCode(c, client, form, jkt)
	case "refresh_token":
		a.byRefresh(c, client, form, jkt)
	default:
		a.oauthError(c, http.StatusBadRequest, "unsupported_grant_type", "The grant type is not supported.")
	}
}

// client authenticates the client, by an assertion or its secret.
func (a *authority) client(c *call, form url.Values) (*Client, string) {
	f := &a.h.facts
	if s := form.Get("client_assertion"); s != "" {
		if form.Get("client_assertion_type") != f.AssertionType {
			return nil, "The client_assertion_type is invalid."
		}
		j, err := parseJWS(s)
		if err != nil {
			return nil, "The client_assertion is not a valid JWT."
		}
		cl := &j.claims
		client := a.registered(cl.Iss)
		switch {
		case client == nil || cl.Sub != cl.Iss:
			return nil, "The issuer and subject claims must be the client_id of a client."
		case j.audience() != a.h.t.Base+f.AudiencePath:
			return nil, "The audience claim for client_assertion must be the endpoint invoked for the request."
		case cl.Exp == nil || !c.now.Before(time.Unix(int64(*cl.Exp), 0)):
			return nil, "The client_assertion token is expired."
		case time.Unix(int64(*cl.Exp), 0).Sub(c.now) > f.AssertionMax:
			return nil, "The client_assertion token has an expiration too far into the future."
		case cl.Iat != nil && time.Unix(int64(*cl.Iat), 0).After(c.now.Add(time.Second)):
			return nil, "The client_assertion token was issued in the future."
		}
		i := slices.IndexFunc(client.Keys, func(k Key) bool { return k.ID == j.header.Kid })
		if i < 0 || j.verify(client.Keys[i].Public) != nil {
			return nil, "The client_assertion signature is invalid."
		}
		if cl.JTI != "" && f.JTIOnce && !a.once("jti/"+client.ID+"/"+cl.JTI, c.now) {
			return nil, "The client_assertion token has been used."
		}
		return client, ""
	}
	name, secret, ok := c.r.BasicAuth()
	if !ok {
		name, secret = form.Get("client_id"), form.Get("client_secret")
	}
	client := a.registered(name)
	if client == nil || client.Secret != secret || secret == "" && len(client.Keys) > 0 {
		return nil, "The client id or secret is invalid."
	}
	return client, ""
}

func (a *authority) registered(name string) *Client {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.clients[name]
}

// scopes returns what was asked for, or answers when that cannot be had.
func (a *authority) scopes(c *call, client *Client, asked string) ([]string, bool) {
	list := strings.Fields(asked)
	missing := slices.Concat(a.h.Faults().MissingScopes, a.h.t.MissingScopes(c.r))
	var unknown, refused int
	for _, s := range list {
		switch {
		case !slices.Contains(knownScopes, s):
			unknown++
		case !slices.Contains(client.Scopes, s) || slices.Contains(missing, s):
			refused++
		}
	}
	switch {
	case len(list) == 0, unknown > 0:
		a.oauthError(c, http.StatusBadRequest, "invalid_scope", "One or more scopes are not configured for the authorization server resource.")
	case refused == len(list):
		a.oauthError(c, http.StatusBadRequest, "consent_required", "The client is not allowed any of the requested scopes.")
	case refused > 0:
		a.oauthError(c, http.StatusBadRequest, "invalid_scope", "One or more scopes are not granted to the client.")
	default:
		return list, true
	}
	return nil, false
}

// issue answers with a new access token.
func (a *authority) issue(c *call, client *Client, scopes []string, jkt, refresh string) {
	f := &a.h.facts
	a.mu.Lock()
	a.serial++
	token := fmt.Sprintf("sandbox-access-%s-%d", check(c.seed, client.ID, fmt.Sprint(a.serial)), a.serial)
	for k, t := range a.access {
		if c.now.Sub(t.until) > day {
			delete(a.access, k)
		}
	}
	a.access[token] = &access{client: client.ID, scopes: scopes, until: c.now.Add(f.TokenLife), jkt: jkt}
	a.mu.Unlock()

	kind := "Bearer"
	if jkt != "" {
		kind = "DPoP"
	}
	b := appendMember(append(c.body[:0], '{'), "token_type", kind)
	b = appendInt(appendName(b, "expires_in"), int64(f.TokenLife/time.Second))
	b = appendMember(b, "access_token", token)
	b = appendMember(b, "scope", strings.Join(scopes, " "))
	if refresh != "" {
		b = appendMember(b, "refresh_token", refresh)
	}
	c.set(append(b, '}'))
	c.w.Header().Set("Cache-Control", "no-store")
}

// nonce is that of a day: it needs not be kept.
func (h *Handler) nonce(c *call, at time.Time) string {
	n := at.Unix() / int64(h.facts.NonceLife/time.Second)
	return fmt.Sprintf("nonce-%s-%d", check(c.seed, "nonce", fmt.Sprint(n)), n)
}

func (h *Handler) nonceOK(c *call, n string) bool {
	for age := time.Duration(0); age <= h.facts.NonceKeep; age += h.facts.NonceLife {
		if n == h.nonce(c, c.now.Add(-age)) {
			return true
		}
	}
	return false
}

// authorize serves the page where a person consents: here it consents at once.
func (h *Handler) authorize(c *call) {
	a, q := h.auth, c.query
	client := a.registered(q.Get("client_id"))
	if client == nil || !slices.Contains(client.RedirectURIs, q.Get("redirect_uri")) {
		a.oauthError(c, http.StatusBadRequest, "invalid_request", "The client_id or redirect_uri is invalid.")
		return
	}
	back, err := url.Parse(q.Get("redirect_uri"))
	if err != nil {
		a.oauthError(c, http.StatusBadRequest, "invalid_request", "The redirect_uri is invalid.")
		return
	}
	answer := url.Values{}
	scopes := strings.Fields(q.Get("scope"))
	offered := append(slices.Clone(client.Scopes), "openid", "offline_access")
	switch {
	case q.Get("state") == "":
		answer.Set("error", "invalid_request")
		answer.Set("error_description", "The state is missing.")
	case q.Get("response_type") != "code":
		answer.Set("error", "unsupported_response_type")
	case q.Get("code_challenge") == "" || q.Get("code_challenge_method") != "S256":
		answer.Set("error", "invalid_request")
		answer.Set("error_description", "PKCE code challenge is required.")
	case len(scopes) == 0 || slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(offered, s) }):
		answer.Set("error", "invalid_scope")
	default:
		a.mu.Lock()
		a.serial++
		name := fmt.Sprintf("sandbox-code-%s-%d", check(c.seed, "code", fmt.Sprint(a.serial)), a.serial)
		a.codes[name] = &code{client: client.ID, redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"), scopes: scopes, until: c.now.Add(time.Minute)}
		a.mu.Unlock()
		answer.Set("code", name)
	}
	if s := q.Get("state"); s != "" {
		answer.Set("state", s)
	}
	back.RawQuery = answer.Encode()
	c.w.Header().Set("Location", back.String())
	c.status = http.StatusFound
}

func (a *authority) byCode(c *call, client *Client, form url.Values, jkt string) {
	a.mu.Lock()
	k := a.codes[form.Get("code")]
	delete(a.codes, form.Get("code"))
	a.mu.Unlock()
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	if k == nil || k.client != client.ID || k.redirect != form.Get("redirect_uri") || !c.now.Before(k.until) ||
		base64.RawURLEncoding.EncodeToString(sum[:]) != k.challenge {
		a.oauthError(c, http.StatusBadRequest, "invalid_grant", "The authorization code is invalid or has expired, or the PKCE verifier is wrong.")
		return
	}
	refresh := ""
	if slices.Contains(k.scopes, "offline_access") {
		a.mu.Lock()
		refresh = a.newRefresh(c, &refreshToken{client: client.ID, scopes: k.scopes, family: a.serial + 1})
		a.mu.Unlock()
	}
	a.issue(c, client, k.scopes, jkt, refresh)
}

func (a *authority) byRefresh(c *call, client *Client, form url.Values, jkt string) {
	name := form.Get("refresh_token")
	a.mu.Lock()
	t := a.refresh[name]
	ok := t != nil && t.client == client.ID && !a.families[t.family]
	if ok && !t.replaced.IsZero() && c.now.Sub(t.replaced) > a.h.facts.RotationLeeway {
		a.families[t.family] = true // somebody else has it
		ok = false
	}
	if !ok {
		a.mu.Unlock()
		a.oauthError(c, http.StatusBadRequest, "invalid_grant", "The refresh token is invalid or expired.")
		return
	}
	scopes := t.scopes
	if asked := strings.Fields(form.Get("scope")); len(asked) > 0 {
		scopes = asked
	}
	subset := !slices.ContainsFunc(scopes, func(s string) bool { return !slices.Contains(t.scopes, s) })
	if client.Rotate && subset {
		if t.replaced.IsZero() {
			t.replaced = c.now
		}
		name = a.newRefresh(c, &refreshToken{client: client.ID, scopes: t.scopes, family: t.family})
	}
	a.mu.Unlock()
	if !subset {
		a.oauthError(c, http.StatusBadRequest, "invalid_scope", "The scopes must be a subset of those granted.")
		return
	}
	a.issue(c, client, scopes, jkt, name)
}

// newRefresh makes a refresh token's name; a.mu is held.
func (a *authority) newRefresh(c *call, t *refreshToken) string {
	a.serial++
	name := fmt.Sprintf("sandbox-refresh-%s-%d", check(c.seed, "refresh", fmt.Sprint(a.serial)), a.serial)
	a.refresh[name] = t
	return name
}

// metadata serves the discovery document.
func (h *Handler) metadata(c *call) {
	b := appendMember(append(c.body[:0], '{'), "issuer", h.t.Base)
	for _, m := range [][2]string{
		{"authorization_endpoint", "/oauth2/v1/authorize"}, {"token_endpoint", h.facts.TokenPath}, {"jwks_uri", "/oauth2/v1/keys"},
	} {
		b = appendMember(b, m[0], h.t.Base+m[1])
	}
	b = appendStrings(appendName(b, "token_endpoint_auth_methods_supported"), []string{"client_secret_basic", "client_secret_post", "private_key_jwt"})
	b = appendStrings(appendName(b, "dpop_signing_alg_values_supported"), []string{"RS256", "RS384", "RS512", "ES256", "ES384", "ES512"})
	c.set(append(b, '}'))
}

// keys serves the organization's own keys: access tokens are opaque, so there
// are none.
func (h *Handler) keys(c *call) { c.body = append(c.body[:0], `{"keys":[]}`...) }
