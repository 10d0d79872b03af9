package auth

import (
	"container/list"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
	"github.com/jonboulle/clockwork"

	"weir/internal/fault"
	"weir/sources/httpx"
)

// ServiceAccount is a Google service account: it has tokens for itself, and by
// domain-wide delegation for users (connectors/google_workspace.md 3.1, 3.2).
type ServiceAccount struct {
	HTTP  *httpx.Base
	Clock clockwork.Clock
	// TokenURL is where assertions are exchanged, and their audience; "": what
	// the key says, or else Google's own.
	TokenURL string
	// Key returns the account's key as Google gives it out, JSON, resolved at
	// each token request. nil: Signer signs.
	Key func() (string, error)
	// Signer has Google sign instead, so that there is no key.
	Signer *RemoteSigner
}

const (
	googleTokenURL = "https://oauth2.googleapis.com/token"
	jwtBearer      = "urn:ietf:params:oauth:grant-type:jwt-bearer"

	delegationLife = time.Hour        // of an assertion: the longest that Google takes
	delegationBack = 10 * time.Second // iat lies back, for clocks that differ

	// maxDelegated bounds how many pairs of subject and scopes have a token at
	// hand: some 16 MiB of them.
	maxDelegated = 20_000
)

// Delegation gives the tokens of a service account, by subject and scopes. It
// keeps those that were used last.
type Delegation struct {
	c        ServiceAccount
	endpoint *endpoint

	mu   sync.Mutex
	most int
	of   map[string]*list.Element // of *delegated
	used *list.List               // the last used first
}

type delegated struct {
	key    string
	tokens *Tokens
}

// NewDelegation makes no request, but reads the key, so that a wrong one shows
// at once.
func NewDelegation(c ServiceAccount) (*Delegation, error) {
	if c.Key == nil && c.Signer == nil {
		return nil, fault.New(fault.Permanent, "a service account needs a key, or somebody who signs for it")
	}
	if c.Key != nil {
		key, err := loadServiceKey(c.Key)
		if err != nil {
			return nil, err
		}
		if c.TokenURL == "" {
			c.TokenURL = key.TokenURI
		}
	}
	if c.TokenURL == "" {
		c.TokenURL = googleTokenURL
	}
	ep, err := newEndpoint(c.HTTP, c.TokenURL)
	if err != nil {
		return nil, err
	}
	return &Delegation{c: c, endpoint: ep, most: maxDelegated, of: map[string]*list.Element{}, used: list.New()}, nil
}

// Account returns the service account's e-mail address and numeric id, "" where
// that is not known, as in delegation's set-up.
func (d *Delegation) Account() (email, clientID string) {
	if d.c.Key == nil {
		return d.c.Signer.Email, ""
	}
	key, err := loadServiceKey(d.c.Key)
	if err != nil {
		return "", ""
	}
	return key.Email, key.ClientID
}

// For returns the tokens for these scopes, all of which must be granted, with
// which the account acts as subject; "" as itself.
func (d *Delegation) For(subject string, scopes ...string) *Tokens {
	scopes = slices.Clone(scopes)
	slices.Sort(scopes)
	scope := strings.Join(slices.Compact(scopes), " ")
	key := subject + "\x00" + scope
	d.mu.Lock()
	defer d.mu.Unlock()
	if e, ok := d.of[key]; ok {
		d.used.MoveToFront(e)
		return e.Value.(*delegated).tokens //nolint:forcetypeassert // nothing else is put in
	}
	for d.used.Len() >= d.most {
		last := d.used.Back()
		delete(d.of, d.used.Remove(last).(*delegated).key) //nolint:forcetypeassert // nothing else is put in
	}
	tokens := Cached(func(ctx context.Context) (Token, error) { return d.mint(ctx, subject, scope) }, CacheOptions{Clock: d.c.Clock})
	d.of[key] = d.used.PushFront(&delegated{key, tokens})
	return tokens
}

// mint exchanges an assertion. One that was refused is made again by the
// vendor's clock, where that differs.
func (d *Delegation) mint(ctx context.Context, subject, scope string) (Token, error) {
	for skew := time.Duration(0); ; {
		assertion, err := d.assert(ctx, subject, scope, skew)
		if err != nil {
			return Token{}, err
		}
		a, err := d.endpoint.ask(ctx, url.Values{"grant_type": {jwtBearer}, "assertion": {assertion}}, http.Header{}, true, []string{assertion})
		if e, refused := errors.AsType[*endpointError](err); refused && e.code == "invalid_grant" && skew == 0 && e.skew.Abs() >= skewMatters {
			skew = e.skew
			continue
		}
		if err != nil {
			return Token{}, err
		}
		tok := Token{Access: a.access, Type: "Bearer", Scopes: a.scopes, Expires: d.c.Clock.Now().Add(time.Hour)}
		if a.life > 0 {
			tok.Expires = d.c.Clock.Now().Add(a.life)
		}
		if tok.Scopes == nil {
			tok.Scopes = splitScopes(scope) // all, or none would have been granted
		}
		return tok, nil
	}
}

// assert returns a signed assertion.
func (d *Delegation) assert(ctx context.Context, subject, scope string, skew time.Duration) (string, error) {
	now := d.c.Clock.Now().Add(skew - delegationBack)
	claims := jwt.MapClaims{"scope": scope, "aud": d.c.TokenURL, "iat": now.Unix(), "exp": now.Add(delegationLife).Unix()}
	if subject != "" {
		claims["sub"] = subject
	}
	if d.c.Key == nil {
		claims["iss"] = d.c.Signer.Email
		return d.c.Signer.sign(ctx, claims)
	}
	key, err := loadServiceKey(d.c.Key)
	if err != nil {
		return "", err
	}
	claims["iss"] = key.Email
	return key.signing.sign(key.ID, claims)
}

// serviceKey is a service account's key file.
type serviceKey struct {
	Type     string `json:"type"`
	ID       string `json:"private_key_id"`
	Private  string `json:"private_key"`
	Email    string `json:"client_email"`
	ClientID string `json:"client_id"`
	TokenURI string `json:"token_uri"`

	signing *signingKey
}

// loadServiceKey reads a key file. Its errors hold nothing of it.
func loadServiceKey(load func() (string, error)) (*serviceKey, error) {
	text, err := load()
	if err != nil {
		return nil, fault.New(fault.Auth, "the service account's key: %w", err)
	}
	key := &serviceKey{}
	if json.Unmarshal([]byte(text), key) != nil || key.Type != "service_account" || key.Email == "" || key.Private == "" {
		return nil, fault.New(fault.Auth, `the service account's key: want the JSON that Google gives out, with "type":"service_account", client_email and private_key`)
	}
	if key.signing, err = parseKey(key.Private, "RS256"); err != nil {
		return nil, fault.New(fault.Auth, "the service account's key: private_key: %w", err)
	}
	return key, nil
}
