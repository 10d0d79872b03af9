package auth

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
)

// google is a token endpoint that knows one service account.
type google struct {
	t     *testing.T
	clock clockwork.Clock
	url   string

	mu     sync.Mutex
	claims []jwt.MapClaims
	kids   []any
	life   int
	refuse func(claims jwt.MapClaims) (status int, code, description string)
}

func newGoogle(t *testing.T, clock clockwork.Clock) *google {
	g := &google{t: t, clock: clock, life: 3599}
	g.url = serve(t, g.serve).URL
	return g
}

func (g *google) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Date", g.clock.Now().UTC().Format(http.TimeFormat))
	if r.URL.Path != "/token" || r.FormValue("grant_type") != jwtBearer {
		refuse(w, http.StatusBadRequest, "unsupported_grant_type", "")
		return
	}
	claims := jwt.MapClaims{}
	token, err := jwt.ParseWithClaims(r.FormValue("assertion"), claims, func(*jwt.Token) (any, error) { return &rsaKey().PublicKey, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithAudience(g.url+"/token"), jwt.WithIssuedAt(), jwt.WithExpirationRequired(), jwt.WithTimeFunc(g.clock.Now))
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil {
		refuse(w, http.StatusBadRequest, "invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.")
		return
	}
	g.claims, g.kids = append(g.claims, claims), append(g.kids, token.Header["kid"])
	if g.refuse != nil {
		if status, code, description := g.refuse(claims); code != "" {
			refuse(w, status, code, description)
			return
		}
	}
	reply(w, http.StatusOK, object{"access_token": fmt.Sprintf("token-%d", len(g.claims)), "expires_in": g.life, "token_type": "Bearer"})
}

func (g *google) asked() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.claims)
}

func serviceJSON(t testing.TB, tokenURI string) string {
	b, err := json.Marshal(map[string]string{
		"type": "service_account", "private_key_id": "k1", "private_key": pkcs8(t, rsaKey()), "client_email": "weir@acme.iam.gserviceaccount.com",
		"client_id": "1001", "token_uri": tokenURI,
	})
	require.NoError(t, err)
	return string(b)
}

func delegation(t *testing.T, g *google, clock clockwork.Clock) *Delegation {
	d, err := NewDelegation(ServiceAccount{HTTP: newBase(t, clock), Clock: clock, Key: constant(serviceJSON(t, g.url+"/token"))})
	require.NoError(t, err)
	return d
}

func TestDelegation(t *testing.T) {
	t.Parallel()
	clock := fakeClock()
	g := newGoogle(t, clock)
	d := delegation(t, g, clock)

	tok, err := d.For("ana@acme.example", "b", "a").Token(t.Context())
	require.NoError(t, err)
	require.Equal(t, "token-1", tok.Access)
	require.Equal(t, []string{"a", "b"}, tok.Scopes)
	require.Equal(t, clock.Now().Add(3599*time.Second), tok.Expires)
	require.Equal(t, "k1", g.kids[0])
	claims := g.claims[0]
	require.Equal(t, "weir@acme.iam.gserviceaccount.com", claims["iss"])
	require.Equal(t, "ana@acme.example", claims["sub"])
	require.Equal(t, "a b", claims["scope"])
	require.InDelta(t, 3600, claims["exp"].(float64)-claims["iat"].(float64), 0)

	again, err := d.For("ana@acme.example", "a", "b").Token(t.Context())
	require.NoError(t, err)
	require.Equal(t, tok.Access, again.Access, "one subject's token for the same scopes is asked for once")
	_, err = d.For("ana@acme.example", "a").Token(t.Context())
	require.NoError(t, err)
	_, err = d.For("", "a").Token(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, g.asked())
	require.NotContains(t, g.claims[2], "sub", "as itself")

	clock.Advance(3599*time.Second - 4*time.Minute)
	renewed, err := d.For("ana@acme.example", "a", "b").Token(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, tok.Access, renewed.Access, "it is renewed before it ends")
}

// Many who want one subject's token at the same time cause one request.
func TestDelegationIsAskedOnce(t *testing.T) {
	t.Parallel()
	clock := fakeClock()
	g := newGoogle(t, clock)
	d := delegation(t, g, clock)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			_, err := d.For("ana@acme.example", "a").Token(t.Context())
			require.NoError(t, err)
		})
	}
	wg.Wait()
	require.Equal(t, 1, g.asked())
}

// Of very many subjects the last used have a token at hand.
func TestDelegationIsBounded(t *testing.T) {
	t.Parallel()
	clock := fakeClock()
	g := newGoogle(t, clock)
	d := delegation(t, g, clock)
	d.most = 10
	for i := range 30 {
		_, err := d.For(fmt.Sprintf("p%d@acme.example", i), "a").Token(t.Context())
		require.NoError(t, err)
		_, err = d.For("p0@acme.example", "a").Token(t.Context())
		require.NoError(t, err)
	}
	require.Equal(t, 30, g.asked())
	require.Len(t, d.of, 10)
	require.Equal(t, 10, d.used.Len())
	_, err := d.For("p5@acme.example", "a").Token(t.Context())
	require.NoError(t, err)
	require.Equal(t, 31, g.asked())
}

// A scope that is not authorized fails its own token alone, and is asked for
// again when it is wanted again.
func TestDelegationRefusesAScope(t *testing.T) {
	t.Parallel()
	clock := fakeClock()
	g := newGoogle(t, clock)
	g.refuse = func(c jwt.MapClaims) (int, string, string) {
		if strings.Contains(c["scope"].(string), "reports") {
			return http.StatusUnauthorized, "unauthorized_client", "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested."
		}
		return 0, "", ""
	}
	d := delegation(t, g, clock)
	_, err := d.For("ana@acme.example", "reports").Token(t.Context())
	code, _ := RefusalOf(err)
	require.Equal(t, "unauthorized_client", code)
	_, err = d.For("ana@acme.example", "users").Token(t.Context())
	require.NoError(t, err)
	g.refuse = nil
	_, err = d.For("ana@acme.example", "reports").Token(t.Context())
	require.NoError(t, err)
}

// Where clocks differ the assertion is made again by the vendor's.
func TestDelegationByTheVendorsClock(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{-2 * time.Hour, 2 * time.Hour} {
		clock := fakeClock()
		g := newGoogle(t, clockwork.NewFakeClockAt(start.Add(ahead)))
		_, err := delegation(t, g, clock).For("ana@acme.example", "a").Token(t.Context())
		require.NoError(t, err)
	}
}

func TestDelegationErrorsHoldNoKey(t *testing.T) {
	t.Parallel()
	clock := fakeClock()
	key := serviceJSON(t, "https://oauth2.googleapis.com/token")
	for name, text := range map[string]string{
		"no JSON":     "x" + key,
		"cut":         key[:len(key)/2],
		"of a person": strings.Replace(key, "service_account", "authorized_user", 1),
		"no PEM":      strings.Replace(key, "BEGIN PRIVATE", "BEGIN", 1),
		"nothing":     "",
	} {
		_, err := NewDelegation(ServiceAccount{HTTP: newBase(t, clock), Clock: clock, Key: constant(text)})
		require.Equal(t, fault.Auth, fault.Of(err), name)
		require.NotContains(t, err.Error(), "MII", name)
	}
	_, err := NewDelegation(ServiceAccount{HTTP: newBase(t, clock), Clock: clock})
	require.Equal(t, fault.Permanent, fault.Of(err))
}

// Without a key Google signs, by the rights of the metadata server's identity.
func TestDelegationWithoutAKey(t *testing.T) {
	t.Parallel()
	clock := fakeClock()
	g := newGoogle(t, clock)
	signing := 0
	cloud := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/computeMetadata/v1/instance/service-accounts/default/token" && r.Header.Get("Metadata-Flavor") == "Google":
			w.Header().Set("Metadata-Flavor", "Google")
			reply(w, http.StatusOK, object{"access_token": "machine", "expires_in": 1000, "token_type": "Bearer"})
		case r.URL.Path == "/v1/projects/-/serviceAccounts/weir@acme.iam.gserviceaccount.com:signJwt" && r.Header.Get("Authorization") == "Bearer machine":
			var body struct {
				Payload   string   `json:"payload"`
				Delegates []string `json:"delegates"`
			}
			require.NoError(t, json.UnmarshalRead(r.Body, &body))
			claims := jwt.MapClaims{}
			require.NoError(t, json.Unmarshal([]byte(body.Payload), (*map[string]any)(&claims)))
			signed, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(rsaKey())
			require.NoError(t, err)
			signing++
			reply(w, http.StatusOK, object{"keyId": "k2", "signedJwt": signed})
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	})
	base := newBase(t, clock)
	machine, err := NewMetadata(base, clock, cloud.URL)
	require.NoError(t, err)
	signer, err := NewRemoteSigner(base, cloud.URL, "weir@acme.iam.gserviceaccount.com", machine)
	require.NoError(t, err)
	d, err := NewDelegation(ServiceAccount{HTTP: base, Clock: clock, TokenURL: g.url + "/token", Signer: signer})
	require.NoError(t, err)
	tok, err := d.For("ana@acme.example", "a").Token(t.Context())
	require.NoError(t, err)
	require.Equal(t, "token-1", tok.Access)
	require.Equal(t, "ana@acme.example", g.claims[0]["sub"])
	require.Equal(t, 1, signing)

	other, err := NewRemoteSigner(base, cloud.URL, "other@acme.iam.gserviceaccount.com", machine)
	require.NoError(t, err)
	d, err = NewDelegation(ServiceAccount{HTTP: base, Clock: clock, TokenURL: g.url + "/token", Signer: other})
	require.NoError(t, err)
	_, err = d.For("", "a").Token(t.Context())
	require.Equal(t, fault.Auth, fault.Of(err))
	require.ErrorContains(t, err, "roles/iam.serviceAccountTokenCreator")
}

// A token of another issuer's is exchanged, and that for a service account's.
func TestFederation(t *testing.T) {
	t.Parallel()
	clock := fakeClock()
	var s *httptest.Server
	s = serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", clock.Now().Format(http.TimeFormat))
		switch r.URL.Path {
		case "/issuer":
			require.Equal(t, "yes", r.Header.Get("X-Identity"))
			require.Equal(t, "aud=x", r.URL.RawQuery)
			reply(w, http.StatusOK, object{"id_token": "outside"})
		case "/v1/token":
			require.Equal(t, "outside", r.FormValue("subject_token"))
			require.Equal(t, "//iam.example/pool", r.FormValue("audience"))
			reply(w, http.StatusOK, object{"access_token": "exchanged", "expires_in": 3600, "token_type": "Bearer"})
		case "/v1/projects/-/serviceAccounts/base@acme.iam.gserviceaccount.com:generateAccessToken":
			require.Equal(t, "Bearer exchanged", r.Header.Get("Authorization"))
			reply(w, http.StatusOK, object{"accessToken": "impersonated", "expireTime": clock.Now().Add(time.Hour).Format(time.RFC3339)})
		default:
			w.WriteHeader(http.StatusTeapot)
		}
	})
	config := func(impersonate string) string {
		return fmt.Sprintf(`{"type":"external_account","audience":"//iam.example/pool","subject_token_type":"urn:ietf:params:oauth:token-type:jwt","token_url":"%[1]s/v1/token",
			"service_account_impersonation_url":%[2]q,"credential_source":{"url":"%[1]s/issuer?aud=x","headers":{"X-Identity":"yes"},"format":{"type":"json","subject_token_field_name":"id_token"}}}`, s.URL, impersonate)
	}
	for impersonate, want := range map[string]string{"": "exchanged", s.URL + "/v1/projects/-/serviceAccounts/base@acme.iam.gserviceaccount.com:generateAccessToken": "impersonated"} {
		f, err := NewFederation(Federation{HTTP: newBase(t, clock), Clock: clock, Config: constant(config(impersonate))})
		require.NoError(t, err)
		tok, err := f.Token(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, tok.Access)
		require.Equal(t, clock.Now().Add(time.Hour).Unix(), tok.Expires.Unix())
	}
	for _, bad := range []string{"", "{}", `{"type":"external_account","audience":"a","subject_token_type":"t","token_url":"https://sts.example/token","credential_source":{"environment_id":"aws1"}}`} {
		_, err := NewFederation(Federation{HTTP: newBase(t, clock), Clock: clock, Config: constant(bad)})
		require.Equal(t, fault.Auth, fault.Of(err))
	}
}
