package auth

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jonboulle/clockwork"
	"golang.org/x/oauth2"

	"weir/internal/fault"
	"weir/sources/httpx"
)

// Consent is how a person grants access in a browser: OAuth 2.0 authorization
// code with PKCE (RFC 7636), or an administrator's consent to what a client may
// do by itself.
type Consent struct {
	AuthorizeURL string
	TokenURL     string
	ClientID     string
	ClientSecret func() (string, error) // nil: a public client
	Scopes       []string
	Params       map[string]string // further parameters of the authorize request
	// RedirectURL is where the vendor sends the browser back, for vendors that
	// know one exactly: http://127.0.0.1:PORT/PATH or http://localhost:PORT/PATH.
	// "": http://127.0.0.1:PORT/callback, on any free port.
	RedirectURL string
	// Basic sends the client's id and secret in the Authorization header
	// instead of the body.
	Basic bool
	// Hint is what the person should know before consenting, in a sentence or
	// two: who must do it, and signed in where.
	Hint string
	// Admin makes it an administrator's consent: the vendor sends the browser
	// back without a code, with admin_consent=True, and the client's own
	// credentials have the rights from then on. It judges what came back, and
	// returns what is granted now. Nothing is exchanged or kept, and TokenURL
	// and ClientSecret are not used.
	Admin func(ctx context.Context, back url.Values) (Grant, error)
}

// tokensName is the name of the granted tokens in the vault.
const tokensName = "oauth"

// granted is what the vault keeps. It is one JSON object, version 1.
type granted struct {
	Version  int       `json:"version"`
	ClientID string    `json:"client_id"`
	TokenURL string    `json:"token_url"`
	Access   string    `json:"access_token"`
	Type     string    `json:"token_type"`
	Refresh  string    `json:"refresh_token,omitempty"`
	Expires  time.Time `json:"expires_at,omitzero"` // zero: it does not end by time
	Scopes   []string  `json:"scopes"`
	Obtained time.Time `json:"obtained_at"`
}

func (g *granted) token() Token {
	return Token{Access: g.Access, Type: g.Type, Expires: g.Expires, Scopes: g.Scopes}
}

// newGranted makes a record of an answer; before is the record that it follows,
// nil for none.
func newGranted(c *Consent, a answer, before *granted, now time.Time) *granted {
	g := &granted{
		Version: 1, ClientID: c.ClientID, TokenURL: c.TokenURL, Obtained: now,
		Access: a.access, Type: "Bearer", Refresh: a.refresh, Scopes: a.scopes,
	}
	if a.life > 0 {
		g.Expires = now.Add(a.life)
	}
	if g.Scopes == nil { // RFC 6749 section 5.1: the same as asked for
		g.Scopes = slices.Sorted(slices.Values(c.Scopes))
		if before != nil {
			g.Scopes = before.Scopes
		}
	}
	if g.Refresh == "" && before != nil {
		g.Refresh = before.Refresh // it stays the same
	}
	return g
}

// Consented gives what NewConsented needs.
type Consented struct {
	Instance string // for the advice to run `weir connect`
	Vault    Vault
	Consent  *Consent
	HTTP     *httpx.Base
	Clock    clockwork.Clock
}

// NewConsented returns an authorizer that uses the tokens of Connect. It
// refreshes them where the vendor gave a refresh token; the new pair is durable
// before it is used, and no other process spends a refresh token at the same
// time. It makes no request and does not look into the vault yet.
func NewConsented(c Consented) (*Tokens, error) {
	ep, err := newEndpoint(c.HTTP, c.Consent.TokenURL)
	if err != nil {
		return nil, err
	}
	k := &keeper{Consented: c, endpoint: ep}
	return Cached(k.mint, CacheOptions{Clock: c.Clock, Finish: true}), nil
}

// keeper keeps the tokens that a person granted.
type keeper struct {
	Consented
	endpoint *endpoint

	mu   sync.Mutex
	used string // the access token handed out last
	// A pair that the vendor gave and the vault did not take: it replaces the
	// record whose refresh token was spent for it.
	unsaved *granted
	spent   string
}

// mint returns the vault's token, or, if that has been used up, another.
func (k *keeper) mint(ctx context.Context) (Token, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var use *granted
	err := k.Vault.Update(ctx, tokensName, func(secret []byte) ([]byte, error) {
		have, err := k.read(secret)
		if err != nil {
			return nil, err
		}
		if k.unsaved != nil && have.Refresh == k.spent {
			use = k.unsaved
			return json.Marshal(use)
		}
		k.unsaved = nil
		ended := !have.Expires.IsZero() && !k.Clock.Now().Before(have.Expires.Add(-min(defaultEarly, have.Expires.Sub(have.Obtained)/10)))
		if have.Access != k.used && !ended {
			use = have // granted anew, or refreshed by another process
			return nil, nil
		}
		if have.Refresh == "" {
			return nil, k.advise("the vendor does not take the token any more, or it ended, and there is no refresh token")
		}
		next, err := k.refresh(ctx, have)
		if err != nil {
			return nil, err
		}
		use, k.unsaved, k.spent = next, next, have.Refresh
		return json.Marshal(next)
	})
	if err != nil {
		return Token{}, err
	}
	k.unsaved, k.used = nil, use.Access
	return use.token(), nil
}

// read decodes the vault's record.
func (k *keeper) read(secret []byte) (*granted, error) {
	if secret == nil {
		return nil, k.advise("nobody has granted access yet")
	}
	g := &granted{}
	if json.Unmarshal(secret, g) != nil || g.Version != 1 || g.Access == "" {
		return nil, k.advise("the tokens in the vault are of no version that this Weir knows")
	}
	k.HTTP.Redact(g.Access, g.Refresh)
	if g.ClientID != k.Consent.ClientID || g.TokenURL != k.Consent.TokenURL {
		return nil, k.advise("the tokens in the vault were granted to another client, or by another vendor's host")
	}
	return g, nil
}

func (k *keeper) advise(why string) error {
	return fault.New(fault.Auth, "%s: %s: run `weir connect %s`", k.Instance, why, k.Instance)
}

// refresh spends the refresh token (RFC 6749 section 6).
func (k *keeper) refresh(ctx context.Context, have *granted) (*granted, error) {
	form, header := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {have.Refresh}}, http.Header{}
	secrets, err := k.Consent.authenticate(form, header)
	if err != nil {
		return nil, err
	}
	a, err := k.endpoint.ask(ctx, form, header, false, append(secrets, have.Refresh, have.Access))
	if err != nil {
		if refusalCode(err) == "invalid_grant" || refusalCode(err) == "bad_refresh_token" {
			return nil, k.advise("the refresh token has ended or was revoked (" + err.Error() + ")")
		}
		return nil, err
	}
	return newGranted(k.Consent, a, have, k.Clock.Now()), nil
}

// authenticate adds the client's own credentials to a token request. It
// returns the secrets among them.
func (c *Consent) authenticate(form url.Values, header http.Header) ([]string, error) {
	if c.ClientSecret == nil {
		form.Set("client_id", c.ClientID)
		return nil, nil
	}
	return addSecret(form, header, c.ClientID, c.ClientSecret, c.Basic)
}

// authorizeURL is where the person's browser goes.
func (c *Consent) authorizeURL(redirect, state, verifier string) string {
	if c.Admin != nil {
		q := url.Values{"client_id": {c.ClientID}, "redirect_uri": {redirect}, "state": {state}, "scope": {strings.Join(c.Scopes, " ")}}
		for k, v := range c.Params {
			q.Set(k, v)
		}
		return c.AuthorizeURL + "?" + q.Encode()
	}
	conf := oauth2.Config{ClientID: c.ClientID, RedirectURL: redirect, Scopes: c.Scopes, Endpoint: oauth2.Endpoint{AuthURL: c.AuthorizeURL}}
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(verifier)}
	for k, v := range c.Params {
		options = append(options, oauth2.SetAuthURLParam(k, v))
	}
	return conf.AuthCodeURL(state, options...)
}

// exchange spends the authorization code (RFC 6749 section 4.1.3).
func (c *Consent) exchange(ctx context.Context, ep *endpoint, redirect, code, verifier string, now func() time.Time) (*granted, error) {
	form, header := url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {redirect}, "code_verifier": {verifier},
	}, http.Header{}
	secrets, err := c.authenticate(form, header)
	if err != nil {
		return nil, err
	}
	a, err := ep.ask(ctx, form, header, false, append(secrets, code, verifier))
	if err != nil {
		return nil, err
	}
	if a.typ != "" && !strings.EqualFold(a.typ, "Bearer") {
		return nil, fault.New(fault.Permanent, "%s: the token is of a kind that cannot be used here: %s", c.TokenURL, clean(a.typ, secrets))
	}
	return newGranted(c, a, nil, now()), nil
}
