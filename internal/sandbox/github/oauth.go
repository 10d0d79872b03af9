package github

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The OAuth app that every tenant knows.
const (
	OAuthClientID     = "sandbox-client"
	OAuthClientSecret = "sandbox-secret"
)

// consent is a code that waits to be exchanged.
type consent struct {
	redirect, challenge string
	scopes              []string
	expires             time.Time
	login               string
}

// oauth is the consent page and the token endpoint.
func (h *Handler) oauth(c *call) {
	switch {
	case c.r.URL.Path == "/login/oauth/authorize" && c.r.Method == http.MethodGet:
		c.authorize()
	case c.r.URL.Path == "/login/oauth/access_token" && c.r.Method == http.MethodPost:
		c.accessToken()
	default:
		c.notFound()
	}
}

// authorize shows the consent page: an owner who consents at once. The answer
// may be asked for with decision=deny, and fewer scopes with granted=.
func (c *call) authorize() {
	q := c.query
	if q.Get("client_id") != OAuthClientID {
		c.notFound()
		return
	}
	redirect, err := url.Parse(q.Get("redirect_uri"))
	if err != nil || redirect.Host == "" {
		c.fail(http.StatusBadRequest, "redirect_uri is missing")
		return
	}
	back := redirect.Query()
	if state := q.Get("state"); state != "" {
		back.Set("state", state)
	}
	challenge := q.Get("code_challenge")
	switch {
	case challenge != "" && q.Get("code_challenge_method") != "S256":
		back.Set("error", "invalid_request")
		back.Set("error_description", "only S256 is supported as code_challenge_method")
	case q.Get("decision") == "deny":
		back.Set("error", "access_denied")
		back.Set("error_description", "The user has denied your application access.")
	default:
		scopes := strings.Fields(q.Get("scope"))
		if q.Has("granted") { // a person may edit them
			scopes = strings.Fields(q.Get("granted"))
		}
		h := c.h
		h.mu.Lock()
		h.minted++
		code := "sandbox-code-" + strconv.Itoa(h.minted)
		h.codes[code] = consent{redirect: q.Get("redirect_uri"), challenge: challenge, scopes: scopes, expires: c.now.Add(h.facts.CodeLife), login: q.Get("login")}
		h.mu.Unlock()
		back.Set("code", code)
	}
	redirect.RawQuery = back.Encode()
	c.Header().Set("Location", redirect.String())
	c.status = http.StatusFound
}

// accessToken exchanges a code. Errors come with status 200.
func (c *call) accessToken() {
	body, err := io.ReadAll(http.MaxBytesReader(c, c.r.Body, 64<<10))
	form, bad := url.ParseQuery(string(body))
	if err != nil || bad != nil {
		c.oauthError("bad_verification_code", "The body cannot be read.")
		return
	}
	if !strings.Contains(c.r.Header.Get("Accept"), "json") {
		c.h.violate("accept", c.r.URL.Path)
	}
	if form.Get("client_id") != OAuthClientID || form.Get("client_secret") != OAuthClientSecret {
		c.oauthError("incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect.")
		return
	}
	h := c.h
	h.mu.Lock()
	defer h.mu.Unlock()
	code := form.Get("code")
	got, ok := h.codes[code]
	delete(h.codes, code) // single use, also when what follows fails
	sum := sha256.Sum256([]byte(form.Get("code_verifier")))
	switch {
	case !ok || !c.now.Before(got.expires):
		c.oauthError("bad_verification_code", "The code passed is incorrect or expired.")
		return
	case form.Get("redirect_uri") != got.redirect:
		c.oauthError("redirect_uri_mismatch", "The redirect_uri MUST match the registered callback URL for this application.")
		return
	case got.challenge != "" && base64.RawURLEncoding.EncodeToString(sum[:]) != got.challenge:
		c.oauthError("bad_verification_code", "The code_verifier does not match the code_challenge.")
		return
	}
	slices.Sort(got.scopes)
	p := &principal{kind: oauthToken, login: got.login, scopes: got.scopes, grant: got.login + "\x00" + strings.Join(got.scopes, " ")}
	h.minted++
	token := "sandbox-oauth-" + strconv.Itoa(h.minted)
	h.evict(p.grant)
	h.tokens[token] = p
	c.object("", func() {
		c.str("access_token", token)
		c.str("scope", strings.Join(got.scopes, h.facts.ScopeSeparator))
		c.str("token_type", "bearer")
	})
}

// evict ends the oldest token of a user, app and set of scopes when there are
// as many as there may be.
func (h *Handler) evict(grant string) {
	oldest, count, first := "", 0, 0
	for value, p := range h.tokens {
		if p.kind != oauthToken || p.grant != grant {
			continue
		}
		count++
		n, _ := strconv.Atoi(value[strings.LastIndexByte(value, '-')+1:]) // our own number
		if oldest == "" || n < first {
			oldest, first = value, n
		}
	}
	if count >= h.facts.TokensPerApp {
		delete(h.tokens, oldest)
	}
}

func (c *call) oauthError(code, description string) {
	c.status, c.b = c.h.facts.OAuthErrorStatus, c.b[:0]
	c.object("", func() {
		c.str("error", code)
		c.str("error_description", description)
		c.str("error_uri", "https://docs.github.com/apps/oauth-apps/maintaining-oauth-apps/troubleshooting-oauth-app-access-token-request-errors/#"+code)
	})
}
