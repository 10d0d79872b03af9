package auth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"

	"weir/internal/fault"
	"weir/sources/httpx"
)

// ClientSecret is the client credentials grant with a secret (RFC 6749 section
// 4.4).
type ClientSecret struct {
	HTTP     *httpx.Base
	Clock    clockwork.Clock
	TokenURL string
	ClientID string
	Secret   func() (string, error) // resolved at each token request
	// Basic sends id and secret in the Authorization header (section 2.3.1)
	// instead of the body.
	Basic  bool
	Scopes []string          // all that may be of use; those not granted are left out
	Params map[string]string // further parameters of the token request
	Early  time.Duration     // as in CacheOptions
}

// NewClientSecret returns an authorizer. It makes no request.
func NewClientSecret(c ClientSecret) (*Tokens, error) {
	ep, err := newEndpoint(c.HTTP, c.TokenURL)
	if err != nil {
		return nil, err
	}
	g := &grant{endpoint: ep, clock: c.Clock, scopes: c.Scopes, params: c.Params}
	g.authenticate = func(form url.Values, header http.Header, _ time.Duration) ([]string, error) {
		return addSecret(form, header, c.ClientID, c.Secret, c.Basic)
	}
	return Cached(g.mint, CacheOptions{Clock: c.Clock, Early: c.Early}), nil
}

// addSecret adds a client's id and secret to a token request, and returns what
// of it is secret.
func addSecret(form url.Values, header http.Header, id string, resolve func() (string, error), basic bool) ([]string, error) {
	secret, err := resolve()
	if err != nil {
		return nil, fault.New(fault.Auth, "the client secret: %w", err)
	}
	if basic {
		r := http.Request{Header: header}
		r.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
	} else {
		form.Set("client_id", id)
		form.Set("client_secret", secret)
	}
	return []string{secret}, nil
}

// PrivateKeyJWT is the client credentials grant with a signed assertion
// (private_key_jwt: RFC 7523 section 2.2), as connectors/okta.md 3.1 has it.
type PrivateKeyJWT struct {
	HTTP     *httpx.Base
	Clock    clockwork.Clock
	TokenURL string // exact: it is also the assertion's audience
	ClientID string
	// Key returns the private key, resolved at each token request: RSA or EC,
	// as PEM (PKCS #1, PKCS #8, SEC 1) or as a JWK.
	Key   func() (string, error)
	KeyID string // the assertion's kid; "": the JWK's, or none
	// Certificate returns the key's certificate as PEM, for vendors that know a
	// key by that: the assertion names its hash (x5t#S256). nil: none.
	Certificate func() (string, error)
	// Alg is the signature algorithm; "": the JWK's, else RS256 for RSA keys,
	// and the curve's for EC keys.
	Alg string
	// Scopes are all that may be of use. Those that the vendor does not grant
	// are left out, and asked for again now and then (Token.Scopes has what was
	// granted).
	Scopes []string
	Params map[string]string // further parameters of the token request
	// DPoP binds tokens to a key from the first request on. Without it, that is
	// done when the vendor asks for it.
	DPoP  bool
	Early time.Duration // as in CacheOptions
}

const (
	assertionLife = 5 * time.Minute
	skewMatters   = 5 * time.Second // by which clocks must differ to be the reason of a refusal
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
)

// NewPrivateKeyJWT returns an authorizer. It makes no request, but reads the
// key, so that a wrong one shows at once.
func NewPrivateKeyJWT(c PrivateKeyJWT) (*Tokens, error) {
	ep, err := newEndpoint(c.HTTP, c.TokenURL)
	if err != nil {
		return nil, err
	}
	if _, err := c.load(); err != nil {
		return nil, err
	}
	g := &grant{endpoint: ep, clock: c.Clock, scopes: c.Scopes, params: c.Params, signed: true, bound: c.DPoP}
	g.authenticate = func(form url.Values, _ http.Header, skew time.Duration) ([]string, error) {
		key, err := c.load()
		if err != nil {
			return nil, err
		}
		now := c.Clock.Now().Add(skew)
		claims := jwt.MapClaims{
			"iss": c.ClientID, "sub": c.ClientID, "aud": c.TokenURL,
			"iat": now.Unix(), "exp": now.Add(assertionLife).Unix(), "jti": uuid.NewString(),
		}
		if key.thumbprint != "" {
			claims["nbf"] = now.Unix() // which Entra documents for assertions that a certificate signs
		}
		assertion, err := key.sign(c.KeyID, claims)
		if err != nil {
			return nil, err
		}
		form.Set("client_id", c.ClientID)
		form.Set("client_assertion_type", assertionType)
		form.Set("client_assertion", assertion)
		return []string{assertion}, nil
	}
	return Cached(g.mint, CacheOptions{Clock: c.Clock, Early: c.Early}), nil
}

// load reads the key and, where it has one, its certificate.
func (c *PrivateKeyJWT) load() (*signingKey, error) {
	key, err := loadKey(c.Key, c.Alg)
	if err == nil && c.Certificate != nil {
		key.thumbprint, err = loadThumbprint(c.Certificate, key.key)
	}
	return key, err
}

// scopesAgain is how long a token without all scopes is used: then what was
// missing is asked for again.
const scopesAgain = 15 * time.Minute

// grant mints tokens by the client credentials grant.
type grant struct {
	endpoint *endpoint
	clock    clockwork.Clock
	scopes   []string
	params   map[string]string
	signed   bool // by an assertion, which is good for one request
	// authenticate adds the client's authentication to a token request, for a
	// vendor's clock that is ahead by skew. It returns the secrets it added.
	authenticate func(form url.Values, header http.Header, skew time.Duration) ([]string, error)

	mu      sync.Mutex
	missing []string // scopes that were not granted last time
	bound   bool     // tokens are bound by DPoP
	nonce   string   // the token endpoint's, for DPoP
}

// mint asks for a token with all scopes. If one of them is refused, it asks for
// each alone, and then for those that are granted.
func (g *grant) mint(ctx context.Context) (Token, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	tok, err := g.request(ctx, g.scopes)
	if err == nil {
		g.missing = nil
		return tok, nil
	}
	if !scopeRefused(err) || len(g.scopes) < 2 {
		return Token{}, err
	}
	// What was refused last time is likely to be refused again, and the rest to
	// be granted.
	missing, known := g.missing, len(g.missing) > 0
	if known {
		if missing, err = g.probe(ctx, g.missing); err != nil {
			return Token{}, err
		}
		tok, err = g.request(ctx, without(g.scopes, missing))
	}
	if !known || scopeRefused(err) {
		if missing, err = g.probe(ctx, g.scopes); err != nil {
			return Token{}, err
		}
		if len(missing) == len(g.scopes) {
			return Token{}, fault.New(fault.Auth, "%s: none of the scopes %s is granted to the client: grant them at the vendor", g.endpoint.url, strings.Join(g.scopes, ", "))
		}
		tok, err = g.request(ctx, without(g.scopes, missing))
	}
	if err != nil {
		return Token{}, err
	}
	g.missing = missing
	tok.renew = g.clock.Now().Add(scopesAgain)
	return tok, nil
}

// probe returns those of the scopes that are refused.
func (g *grant) probe(ctx context.Context, scopes []string) (refused []string, err error) {
	for _, s := range scopes {
		_, err := g.request(ctx, []string{s})
		switch {
		case scopeRefused(err):
			refused = append(refused, s)
		case err != nil:
			return nil, err
		}
	}
	return refused, nil
}

// scopeRefused reports whether a token request failed for its scopes
// (connectors/okta.md 7).
func scopeRefused(err error) bool {
	code := refusalCode(err)
	return code == "invalid_scope" || code == "consent_required"
}

// request asks for a token, and again where the protocol wants that: with a
// proof, with a nonce, with a new assertion.
func (g *grant) request(ctx context.Context, scopes []string) (Token, error) {
	var key *dpopKey
	var skew time.Duration
	reminted, learned := false, 0
	for {
		form, header := url.Values{"grant_type": {"client_credentials"}}, http.Header{}
		for k, v := range g.params {
			form.Set(k, v)
		}
		if len(scopes) > 0 {
			form.Set("scope", strings.Join(scopes, " "))
		}
		secrets, err := g.authenticate(form, header, skew)
		if err != nil {
			return Token{}, err
		}
		if g.bound {
			if key == nil {
				if key, err = newDPoPKey(); err != nil {
					return Token{}, err
				}
			}
			key.skew = skew
			proof, err := key.tokenProof(g.endpoint.target, g.nonce, g.clock.Now())
			if err != nil {
				return Token{}, err
			}
			header.Set("DPoP", proof)
		}
		a, err := g.endpoint.ask(ctx, form, header, !g.signed && !g.bound, secrets)
		e, refused := errors.AsType[*endpointError](err)
		switch {
		case err == nil:
			return g.token(a, scopes, key)
		case !refused:
			return Token{}, err
		case e.code == "invalid_dpop_proof" && !g.bound:
			g.bound = true
		case e.code == "invalid_dpop_proof" && skew == 0 && e.skew.Abs() >= skewMatters:
			skew = e.skew // the proof looked old, or of the future
		case e.code == "use_dpop_nonce" && e.nonce != "" && learned < 2:
			g.bound, g.nonce = true, e.nonce
			learned++
		case e.code == "invalid_client" && g.signed && !reminted:
			// The assertion may have been taken for used, or for not valid yet.
			reminted, skew = true, e.skew
		default:
			return Token{}, err
		}
	}
}

func (g *grant) token(a answer, asked []string, key *dpopKey) (Token, error) {
	tok := Token{Access: a.access, Type: "Bearer", Scopes: a.scopes}
	if tok.Scopes == nil {
		tok.Scopes = slices.Sorted(slices.Values(asked)) // section 5.1: the same as asked for
	}
	if a.life > 0 {
		tok.Expires = g.clock.Now().Add(a.life)
	}
	if strings.EqualFold(a.typ, "DPoP") {
		if key == nil {
			return Token{}, fault.New(fault.Permanent, "%s: a token bound by DPoP came without a proof having been sent", g.endpoint.url)
		}
		tok.Type, tok.dpop = "DPoP", key
	}
	return tok, nil
}
