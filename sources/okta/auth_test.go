package okta_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/sandbox"
	sandboxokta "weir/internal/sandbox/okta"
	"weir/internal/sourcetest"
	"weir/sources"
)

// appKey is the key of the tests' service app.
var appKey = sync.OnceValues(func() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) })

const appClientID = "0oaSandboxService000"

// allScopes are those of everything that can be read.
var allScopes = []string{
	"okta.logs.read", "okta.users.read", "okta.groups.read", "okta.roles.read", "okta.apps.read", "okta.appGrants.read",
	"okta.apiTokens.read", "okta.oauthIntegrations.read", "okta.orgs.read",
}

// asService registers a service app, and returns the settings of an instance
// that connects as it.
func asService(c sandboxokta.Client) func(testing.TB, *sandbox.Tenant) string {
	return func(t testing.TB, tenant *sandbox.Tenant) string {
		key, err := appKey()
		require.NoError(t, err)
		c.ID, c.Keys = appClientID, []sandboxokta.Key{{ID: "weir-1", Public: key.Public()}}
		tenant.Handler().(*sandboxokta.Handler).AddClient(c)
		der, err := x509.MarshalPKCS8PrivateKey(key)
		require.NoError(t, err)
		text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
		return fmt.Sprintf("app: okta\nbase_url: %q\nservice_user_types: [Service]\nauth: {client_id: %s, key_id: weir-1, private_key: %q}\n", tenant.Base, appClientID, text)
	}
}

// withKey connects as a service app with a key.
func withKey() sourcetest.Fixture {
	f := fixture()
	f.Settings = asService(sandboxokta.Client{Scopes: allScopes})
	return f
}

// withProof connects as a service app whose tokens are bound by DPoP.
func withProof() sourcetest.Fixture {
	f := fixture()
	f.Settings = asService(sandboxokta.Client{Scopes: allScopes, DPoP: true})
	return f
}

func TestSuiteWithKey(t *testing.T) {
	sourcetest.Run(t, withKey(),
		"collects the truth, and nothing the second time",
		"a scope taken away stops its stream alone, removes nobody, and comes back")
}

func TestSuiteWithProof(t *testing.T) {
	sourcetest.NotUnderRace(t)
	sourcetest.Run(t, withProof(), "the truth under expired_token", "secrets stay secret")
}

// withConsent connects as a web app that an administrator has yet to consent to.
func withConsent(t *testing.T) sourcetest.Fixture {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	redirect := "http://" + l.Addr().String() + "/callback"
	require.NoError(t, l.Close())
	f := fixture()
	f.Settings = func(_ testing.TB, tenant *sandbox.Tenant) string {
		tenant.Handler().(*sandboxokta.Handler).AddClient(sandboxokta.Client{
			ID: webClientID, Secret: webSecret, Scopes: allScopes, RedirectURIs: []string{redirect}, Rotate: true,
		})
		return fmt.Sprintf("app: okta\nbase_url: %q\nservice_user_types: [Service]\nauth: {client_id: %s, client_secret: %s, redirect_url: %q}\n", tenant.Base, webClientID, webSecret, redirect)
	}
	return f
}

const (
	webClientID = "0oaSandboxWeb0000000"
	webSecret   = "sandbox-web-secret"
)

// An administrator consents once; refresh tokens are replaced when they are
// used, and a spent one would end the whole consent.
func TestConsentEndToEnd(t *testing.T) {
	t.Parallel()
	f := withConsent(t)
	site := f.NewSite(t, sourcetest.SiteOptions{People: 30, Speed: 20}) // codes last a minute
	require.ErrorContains(t, site.Run(t.Context(), site.Config(), true), "weir connect", "nobody has consented yet")

	_, err := site.Consent(site.Clock, func(q url.Values) { q.Del("code_challenge") })
	require.Equal(t, fault.Auth, fault.Of(err))
	require.ErrorContains(t, err, "PKCE")

	grant, err := site.Consent(site.Clock, func(url.Values) {})
	require.NoError(t, err)
	require.Empty(t, grant.Missing)
	require.True(t, grant.Renews)
	tokens := map[string]bool{}
	for range 3 {
		site.Once()
		site.Equal("lake")
		kept, err := site.Env().Vault.Load(t.Context(), "oauth")
		require.NoError(t, err)
		require.False(t, tokens[string(kept)], "the pair was replaced, and kept")
		tokens[string(kept)] = true
		site.Clock.Skip(2 * time.Hour) // the access token has ended
	}
	id, err := site.Session().Identity(t.Context())
	require.NoError(t, err)
	require.Equal(t, sources.IdentityPerson, id.Kind)

	// One scope less stops one stream alone.
	site.Tenant.TakeScopes("okta.apiTokens.read")
	err = site.Run(t.Context(), site.Config(), true)
	require.ErrorContains(t, err, site.Instance()+"/app_grants")
	for _, other := range []string{"activities", "accounts", "groups", "privileges", "apps"} {
		require.NotContains(t, err.Error(), site.Instance()+"/"+other+":")
	}
	site.Tenant.TakeScopes()

	// A secret that is no longer the app's.
	site.Tenant.Handler().(*sandboxokta.Handler).AddClient(sandboxokta.Client{ID: webClientID, Secret: "sandbox-other-secret"})
	site.Clock.Skip(2 * time.Hour)
	err = site.Run(t.Context(), site.Config(), true)
	require.Equal(t, fault.Auth, fault.Of(err), "%v", err)
	require.NotContains(t, err.Error(), webSecret)
}

// Tokens end in the middle of listings, as often as it may be. A vendor that
// told so otherwise would be noticed.
func TestTokensEndInTheMiddle(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]sourcetest.Fixture{"bearer": withKey(), "bound": withProof()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site, minted := ending(t, f, sandboxokta.Default())
			site.Once()
			site.Equal("lake")
			require.Empty(t, site.Sandbox.Violations())
			require.Greater(t, minted(), int64(4))

			facts := sandboxokta.Default()
			facts.StatusUnauthorized = http.StatusForbidden
			site, _ = ending(t, f, facts)
			require.Error(t, site.Run(t.Context(), site.Config(), true))
		})
	}
}

// ending is a site whose access tokens all end at every fortieth request, which
// comes minutes after the last one. minted counts requests for tokens.
func ending(t *testing.T, f sourcetest.Fixture, facts sandboxokta.Facts) (site *sourcetest.Site, minted func() int64) {
	var requests, tokens atomic.Int64
	site = f.NewSite(t, sourcetest.SiteOptions{People: 60, Vendor: vendor(facts)})
	site.Wrap(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/oauth2/v1/token") {
				tokens.Add(1)
			} else if requests.Add(1)%40 == 0 {
				site.Clock.Skip(2 * time.Minute)
				site.Tenant.Handler().(*sandboxokta.Handler).ExpireTokens()
			}
			h.ServeHTTP(w, r)
		})
	})
	return site, tokens.Load
}
