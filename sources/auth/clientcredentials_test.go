package auth

import (
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
)

// issuer is a token endpoint that checks as connectors/okta.md 3.1 and 3.2 say.
type issuer struct {
	t     *testing.T
	clock clockwork.Clock
	url   string // of the endpoint

	mu       sync.Mutex
	granted  []string
	dpop     bool
	nonce    string // wanted; "": none
	seen     map[string]bool
	asked    [][]string // scopes of each request
	answers  int        // tokens given
	once     string     // an error code to answer with once
	lifetime int
	status   int // of an answer that is no OAuth answer
}

func newIssuer(t *testing.T, clock clockwork.Clock, granted ...string) *issuer {
	i := &issuer{t: t, clock: clock, granted: granted, seen: map[string]bool{}, lifetime: 3600}
	i.url = serve(t, i.token).URL + "/oauth2/v1/token"
	return i
}

func (i *issuer) token(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.status != 0 {
		w.WriteHeader(i.status)
		_, _ = w.Write([]byte("<html>proxy</html>"))
		return
	}
	if r.Method != http.MethodPost || r.URL.Path != "/oauth2/v1/token" || r.Header.Get("Accept") != "application/json" || r.FormValue("grant_type") != "client_credentials" {
		refuse(w, 400, "invalid_request", "not a token request")
		return
	}
	if r.FormValue("client_assertion") != "" {
		if err := i.assertion(r); err != nil {
			refuse(w, 401, "invalid_client", err.Error())
			return
		}
	} else if id, secret, basic := r.BasicAuth(); basic && secret != "hunter2%26%3D" || !basic && (r.FormValue("client_id") != "weir" || r.FormValue("client_secret") != "hunter2&=") {
		refuse(w, 401, "invalid_client", "wrong secret "+secret+r.FormValue("client_secret")+" of "+id)
		return
	}
	if i.once != "" {
		code := i.once
		i.once = ""
		refuse(w, 401, code, "once")
		return
	}
	if i.dpop {
		proof := r.Header.Get("DPoP")
		if proof == "" {
			refuse(w, 400, "invalid_dpop_proof", "The DPoP proof JWT header is missing.")
			return
		}
		claims, err := i.proof(proof, http.MethodPost, i.url)
		if err != nil {
			refuse(w, 400, "invalid_dpop_proof", err.Error())
			return
		}
		if i.nonce != "" && claims["nonce"] != i.nonce {
			w.Header().Set("dpop-nonce", i.nonce)
			refuse(w, 400, "use_dpop_nonce", "Authorization server requires nonce in DPoP proof.")
			return
		}
	}
	scopes := strings.Fields(r.FormValue("scope"))
	i.asked = append(i.asked, scopes)
	for _, s := range scopes {
		if !slices.Contains(i.granted, s) {
			refuse(w, 400, "invalid_scope", "One or more scopes are not configured")
			return
		}
	}
	i.answers++
	kind := "Bearer"
	if i.dpop {
		kind = "DPoP"
	}
	reply(w, 200, object{"access_token": fmt.Sprintf("token-%d", i.answers), "token_type": kind, "expires_in": i.lifetime, "scope": strings.Join(scopes, " ")})
}

func (i *issuer) assertion(r *http.Request) error {
	if r.FormValue("client_assertion_type") != assertionType {
		return fmt.Errorf("no assertion type")
	}
	claims := jwt.MapClaims{}
	tok, err := jwt.ParseWithClaims(r.FormValue("client_assertion"), claims, func(*jwt.Token) (any, error) { return &rsaKey().PublicKey, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience(i.url), jwt.WithIssuer("weir"), jwt.WithSubject("weir"),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(i.clock.Now))
	if err != nil {
		return err
	}
	if tok.Header["kid"] != "key-1" {
		return fmt.Errorf("unknown kid")
	}
	exp, _ := claims.GetExpirationTime()
	if exp.Sub(i.clock.Now()) > time.Hour {
		return fmt.Errorf("lives too long")
	}
	return i.unseen(claims)
}

func (i *issuer) unseen(claims jwt.MapClaims) error {
	id, _ := claims["jti"].(string)
	if id == "" || i.seen[id] {
		return fmt.Errorf("jti %q was seen", id)
	}
	i.seen[id] = true
	return nil
}

// proof checks a DPoP proof (RFC 9449 section 4.3).
func (i *issuer) proof(proof, method, url string) (jwt.MapClaims, error) {
	claims := jwt.MapClaims{}
	_, err := jwt.ParseWithClaims(proof, claims, func(tok *jwt.Token) (any, error) {
		if tok.Header["typ"] != "dpop+jwt" {
			return nil, fmt.Errorf("typ")
		}
		jwk, _ := tok.Header["jwk"].(map[string]any)
		if len(jwk) != 3 || jwk["kty"] != "RSA" {
			return nil, fmt.Errorf("jwk")
		}
		n, e1 := base64.RawURLEncoding.DecodeString(jwk["n"].(string))
		e, e2 := base64.RawURLEncoding.DecodeString(jwk["e"].(string))
		if e1 != nil || e2 != nil {
			return nil, fmt.Errorf("jwk numbers")
		}
		key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
		if key.Equal(&rsaKey().PublicKey) {
			return nil, fmt.Errorf("the client's own key")
		}
		return key, nil
	}, jwt.WithValidMethods([]string{"RS256"}))
	if err != nil {
		return nil, err
	}
	iat, err := claims.GetIssuedAt()
	if err != nil || i.clock.Since(iat.Time).Abs() > 5*time.Minute {
		return nil, fmt.Errorf("too old")
	}
	if claims["htm"] != method || claims["htu"] != url {
		return nil, fmt.Errorf("htm %v htu %v", claims["htm"], claims["htu"])
	}
	return claims, i.unseen(claims)
}

func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func signed(t *testing.T, clock clockwork.Clock, i *issuer, scopes ...string) *Tokens {
	t.Helper()
	a, err := NewPrivateKeyJWT(PrivateKeyJWT{
		HTTP: newBase(t, clock), Clock: clock, TokenURL: i.url, ClientID: "weir", Key: constant(rsaPEM()), KeyID: "key-1", Scopes: scopes,
	})
	require.NoError(t, err)
	return a
}

func TestClientSecret(t *testing.T) {
	t.Parallel()
	for _, basic := range []bool{false, true} {
		clock := fakeClock()
		i := newIssuer(t, clock, "a", "b")
		a, err := NewClientSecret(ClientSecret{
			HTTP: newBase(t, clock), Clock: clock, TokenURL: i.url, ClientID: "weir", Secret: constant("hunter2&="), Basic: basic, Scopes: []string{"b", "a"},
		})
		require.NoError(t, err)
		tok, err := a.Token(t.Context())
		require.NoError(t, err)
		require.Equal(t, Token{Access: "token-1", Type: "Bearer", Expires: start.Add(time.Hour), Scopes: []string{"a", "b"}}, tok)

		a, err = NewClientSecret(ClientSecret{
			HTTP: newBase(t, clock), Clock: clock, TokenURL: i.url, ClientID: "weir", Secret: constant("swordfish"), Basic: basic,
		})
		require.NoError(t, err)
		_, err = a.Token(t.Context())
		requireAuth(t, err, "invalid_client: wrong secret ***")
		require.NotContains(t, err.Error(), "swordfish")
	}
}

func TestPrivateKeyJWT(t *testing.T) {
	t.Parallel()
	clock := fakeClock()
	i := newIssuer(t, clock, "okta.logs.read")
	a := signed(t, clock, i, "okta.logs.read")
	require.Equal(t, "Bearer token-1", authorized(t, a, "https://acme.example/api").Header.Get("Authorization"))
	i.set(func() { i.once = "invalid_client" })
	clock.Advance(time.Hour)
	require.Equal(t, "Bearer token-2", authorized(t, a, "https://acme.example/api").Header.Get("Authorization"), "one more assertion")
	require.Len(t, i.seen, 3)

	wrong, err := NewPrivateKeyJWT(PrivateKeyJWT{HTTP: newBase(t, clock), Clock: clock, TokenURL: i.url, ClientID: "weir", Key: constant(rsaPEM()), KeyID: "key-2"})
	require.NoError(t, err)
	_, err = wrong.Token(t.Context())
	requireAuth(t, err, "invalid_client: unknown kid")

	_, err = NewPrivateKeyJWT(PrivateKeyJWT{HTTP: newBase(t, clock), Clock: clock, TokenURL: i.url, ClientID: "weir", Key: constant("hunter2")})
	requireAuth(t, err, wantKey)
}

func TestTokenEndpointFaults(t *testing.T) {
	t.Parallel()
	clock := fakeClock()
	f := func(status int, body string, class fault.Class, want string) {
		t.Helper()
		s := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		})
		a, err := NewPrivateKeyJWT(PrivateKeyJWT{HTTP: newBase(t, clock), Clock: clock, TokenURL: s.URL + "/token", ClientID: "weir", Key: constant(rsaPEM())})
		require.NoError(t, err)
		_, err = a.Token(t.Context())
		require.ErrorContains(t, err, want)
		require.Equal(t, class, fault.Of(err), err)
	}
	f(200, `<html>sign in</html>`, fault.Transient, "no token")
	f(200, `{"access_token":"a b"}`, fault.Transient, "no token")
	f(200, `{"access_token":""}`, fault.Transient, "no token")
	f(200, `{"access_token":"x"`, fault.Transient, "no token")
	f(200, `{"error":"bad_verification_code","error_description":"The code\nis bad"}`, fault.Auth, "bad_verification_code: The code is bad")
	f(400, `{"error":"temporarily_unavailable"}`, fault.Transient, "temporarily_unavailable")
	f(400, `{"error":"slow_down"}`, fault.Throttled, "slow_down")
	f(400, `{"error":"invalid_scope"}`, fault.Auth, "invalid_scope")
	f(401, `nothing`, fault.Auth, "HTTP 401")
	f(404, `nothing`, fault.Permanent, "HTTP 404")
	f(500, `{"error":"server_error"}`, fault.Transient, "500")
	f(200, `{"access_token":"x","token_type":"DPoP"}`, fault.Permanent, "without a proof")
	for _, bad := range []string{"", "host/path", "https://host/path?x=1", "https://user:word@host/path", "https://host/{path}", "::"} {
		_, err := NewPrivateKeyJWT(PrivateKeyJWT{HTTP: newBase(t, clock), Clock: clock, TokenURL: bad, Key: constant(rsaPEM())})
		require.ErrorContains(t, err, "token endpoint")
	}
}

func TestLongDescriptionsAreCut(t *testing.T) {
	t.Parallel()
	require.Equal(t, strings.Repeat("é", 300)+"…", clean(strings.Repeat("é", 400), nil))
	require.Equal(t, "a *** b", clean("a hunter2\x00\r\n b", []string{"", "hunter2"}))
}

func TestScopesThatAreNotGranted(t *testing.T) {
	t.Parallel()
	clock := fakeClock()
	i := newIssuer(t, clock, "a", "c")
	a := signed(t, clock, i, "a", "b", "c", "d")
	scopes := func() []string {
		t.Helper()
		tok, err := a.Token(t.Context())
		require.NoError(t, err)
		return tok.Scopes
	}
	asked := func() (all []string) {
		i.set(func() {
			for _, s := range i.asked {
				all = append(all, strings.Join(s, "+"))
			}
			i.asked = nil
		})
		return all
	}
	require.Equal(t, []string{"a", "c"}, scopes())
	require.Equal(t, []string{"a+b+c+d", "a", "b", "c", "d", "a+c"}, asked())
	clock.Advance(scopesAgain - time.Second)
	scopes()
	require.Empty(t, asked(), "it is remembered")

	clock.Advance(time.Second)
	require.Equal(t, []string{"a", "c"}, scopes())
	require.Equal(t, []string{"a+b+c+d", "b", "d", "a+c"}, asked())

	i.set(func() { i.granted = []string{"a", "b", "c"} }) // b is granted
	clock.Advance(scopesAgain)
	require.Equal(t, []string{"a", "b", "c"}, scopes())

	i.set(func() { i.granted = []string{"b", "c"} }) // a is taken away
	clock.Advance(scopesAgain)
	require.Equal(t, []string{"b", "c"}, scopes())

	i.set(func() { i.granted = []string{"a", "b", "c", "d"} })
	clock.Advance(scopesAgain)
	require.Equal(t, []string{"a", "b", "c", "d"}, scopes())
	asked()
	clock.Advance(54 * time.Minute)
	require.Equal(t, []string{"a", "b", "c", "d"}, scopes())
	require.Empty(t, asked(), "a whole token lasts")
	tok, err := a.Token(t.Context())
	require.NoError(t, err)
	require.True(t, tok.Has("c"))
	require.False(t, tok.Has("e"))

	i.set(func() { i.granted = nil })
	clock.Advance(time.Hour)
	_, err = a.Token(t.Context())
	requireAuth(t, err, "none of the scopes a, b, c, d is granted")
}

func TestScopesAreNotJudgedByAnOutage(t *testing.T) {
	t.Parallel()
	clock := fakeClock()
	down := false
	var asked []string
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		scope := r.FormValue("scope")
		asked = append(asked, scope)
		switch {
		case down && scope == "b":
			w.WriteHeader(503)
		case strings.Contains(scope, "a"):
			refuse(w, 400, "consent_required", "not allowed any of the requested scopes")
		default:
			reply(w, 200, object{"access_token": "x", "expires_in": "3600"})
		}
	})
	a, err := NewPrivateKeyJWT(PrivateKeyJWT{HTTP: newBase(t, clock), Clock: clock, TokenURL: s.URL + "/token", ClientID: "weir", Key: constant(rsaPEM()), Scopes: []string{"a", "b"}})
	require.NoError(t, err)
	down = true
	_, err = a.Token(t.Context())
	require.Equal(t, fault.Transient, fault.Of(err), err)
	down = false
	tok, err := a.Token(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"b"}, tok.Scopes, "an answer without scope means those asked for")
	require.Equal(t, start.Add(time.Hour), tok.Expires)
	require.Equal(t, []string{"a b", "a", "b", "a b", "a", "b", "b"}, asked)
}

func TestDPoP(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{false, true} {
		clock := fakeClock()
		i := newIssuer(t, clock, "s")
		i.dpop, i.nonce = true, "n1"
		a, err := NewPrivateKeyJWT(PrivateKeyJWT{
			HTTP: newBase(t, clock), Clock: clock, TokenURL: i.url, ClientID: "weir", Key: constant(rsaPEM()), KeyID: "key-1", Scopes: []string{"s"}, DPoP: told,
		})
		require.NoError(t, err)

		check := func(r *http.Request, target, token, nonce string) {
			t.Helper()
			require.Equal(t, "DPoP "+token, r.Header.Get("Authorization"))
			claims, err := i.proof(r.Header.Get("DPoP"), http.MethodGet, target)
			require.NoError(t, err)
			hash := sha256.Sum256([]byte(token))
			require.Equal(t, b64(hash[:]), claims["ath"])
			if nonce == "" {
				require.NotContains(t, claims, "nonce")
			} else {
				require.Equal(t, nonce, claims["nonce"])
			}
		}
		r := authorized(t, a, "https://acme.example/api/v1/logs?after=x%2Fy&limit=2#f")
		check(r, "https://acme.example/api/v1/logs", "token-1", "")
		check(authorized(t, a, "https://acme.example/api/v1/a%2Fb?"), "https://acme.example/api/v1/a%2Fb", "token-1", "") // a new jti
		requests := len(i.asked)
		require.Equal(t, 1, requests, "what came before was refused for the proof")

		// The nonce is kept for the next token, and another one learned.
		i.set(func() { i.seen = map[string]bool{} })
		clock.Advance(time.Hour)
		check(authorized(t, a, "https://acme.example/"), "https://acme.example/", "token-2", "")
		require.Len(t, i.seen, 3, "one assertion, one proof, and the check's")
		i.set(func() { i.nonce = "n2" })
		clock.Advance(time.Hour)
		r = authorized(t, a, "https://acme.example/")
		check(r, "https://acme.example/", "token-3", "")

		// The API may ask for a nonce too.
		again, err := a.Refused(t.Context(), r, refusal("DPoP-Nonce", "api-1"))
		require.NoError(t, err)
		require.True(t, again)
		r = authorized(t, a, "https://acme.example/")
		check(r, "https://acme.example/", "token-3", "api-1")
		again, err = a.Refused(t.Context(), r, refusal("DPoP-Nonce", "api-1"))
		require.NoError(t, err)
		require.True(t, again, "the nonce is known: it is the token that is refused")
		check(authorized(t, a, "https://acme.example/"), "https://acme.example/", "token-4", "")
	}
}

func TestDPoPGivesUp(t *testing.T) {
	t.Parallel()
	clock := fakeClock()
	n := 0
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		w.Header().Set("DPoP-Nonce", fmt.Sprint("n", n))
		refuse(w, 400, "use_dpop_nonce", "always another")
	})
	a, err := NewPrivateKeyJWT(PrivateKeyJWT{HTTP: newBase(t, clock), Clock: clock, TokenURL: s.URL + "/token", ClientID: "weir", Key: constant(rsaPEM())})
	require.NoError(t, err)
	_, err = a.Token(t.Context())
	requireAuth(t, err, "use_dpop_nonce")
	require.Equal(t, 3, n)
}
