package okta

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/secret"
	"weir/sources"
)

func TestProbe(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(r *http.Request) answer {
		switch {
		case r.URL.Path == pathApps && r.URL.Query().Get("filter") != "":
			return answer{body: `[{"id":"0oa1","signOnMode":"SAML_2_0"},{"id":"0oa2","signOnMode":"OPENID_CONNECT"}]`}
		case r.URL.Path == pathAssignees:
			return refuse("E0000006")
		case r.URL.Path == pathIntegrations:
			return answer{status: 401, body: `{"errorCode":"E0000015"}`}
		case r.URL.Path == "/api/v1/apps/0oa2/grants":
			return answer{status: 403, header: map[string]string{"WWW-Authenticate": `Bearer error="insufficient_scope"`}, body: "{}"}
		}
		return answer{body: "{}"}
	})
	s := v.open(nil)
	got := map[string]string{}
	for _, c := range Connector.Capabilities {
		err := s.Probe(t.Context(), c.Name)
		got[c.Name] = "works"
		if err != nil {
			got[c.Name] = string(fault.Of(err))
		}
		require.NotEmpty(t, c.Scopes)
		require.NotEmpty(t, c.Where)
		require.NotEmpty(t, v.requests())
	}
	require.Equal(t, map[string]string{
		"organization": "works", "activities": "works", "accounts": "works", "accounts/is_admin": "forbidden", "groups": "works", "privileges": "forbidden",
		"apps": "works", "apps/integrations": "not_licensed", "app_grants": "works", "app_grants/scopes": "forbidden", "app_grants/api_tokens": "works", "app_grants/integrations": "not_licensed",
	}, got)
	require.Equal(t, fault.Permanent, fault.Of(s.Probe(t.Context(), "files")))
	for _, st := range s.Streams() {
		require.Contains(t, got, st.Info.Name)
	}
}

func TestTenantAndToken(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(r *http.Request) answer {
		require.Equal(t, "application/json", r.Header.Get("Accept"))
		switch r.Header.Get("Authorization") {
		case "SSWS sandbox-token", "SSWS another-token":
			return answer{body: `{"id":"00o1","subdomain":"acme"}`}
		}
		return answer{status: 401, body: `{"errorCode":"E0000011"}`}
	})
	s := v.open(nil)
	for range 2 {
		id, err := s.Tenant(t.Context())
		require.NoError(t, err)
		require.Equal(t, "00o1", id)
	}
	require.Len(t, v.requests(), 1)
	a, err := s.Identity(t.Context())
	require.NoError(t, err)
	require.Equal(t, sources.IdentityUnknown, a.Kind)
	b, err := v.open(func(c *Config) { c.Auth.Token = secret.New("another-token") }).Identity(t.Context())
	require.NoError(t, err)
	require.NotEqual(t, a.ID, b.ID)
	require.NotContains(t, a.ID, "sandbox")
	_, err = v.open(func(c *Config) { c.Auth.Token = secret.New("wrong-token") }).Identity(t.Context())
	require.Equal(t, fault.Auth, fault.Of(err))
}

// A service app signs an assertion for the token endpoint below its base URL,
// and is told what it may do.
func TestServiceApp(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	var asked string
	v := newVendor(t, func(r *http.Request) answer {
		switch {
		case strings.HasSuffix(r.URL.Path, "/oauth2/v1/token"):
			require.NoError(t, r.ParseForm())
			asked = r.PostForm.Get("scope")
			require.Equal(t, "client_credentials", r.PostForm.Get("grant_type"))
			return answer{body: `{"token_type":"Bearer","expires_in":3600,"access_token":"sandbox-access","scope":"okta.users.read okta.logs.read"}`}
		case strings.HasSuffix(r.URL.Path, "/roles"):
			require.Equal(t, "Bearer sandbox-access", r.Header.Get("Authorization"))
			return answer{body: `[{"id":"1","type":"READ_ONLY_ADMIN"},{"id":"2","type":"CUSTOM","role":"cr1"}]`}
		}
		return answer{status: 500}
	})
	s := v.open(func(c *Config) {
		c.BaseURL += "/t/acme"
		c.Auth = Auth{ClientID: "0oa9", PrivateKey: secret.New(text), KeyID: "kid", DPoP: "auto"}
	})
	id, err := s.Identity(t.Context())
	require.NoError(t, err)
	require.Equal(t, sources.Identity{ID: "0oa9", Kind: sources.IdentityApp, Roles: []string{"READ_ONLY_ADMIN", "cr1", "okta.logs.read", "okta.users.read"}}, id)
	require.Equal(t, strings.Join(scopes, " "), asked)
	require.Equal(t, []string{"/t/acme/oauth2/v1/token ", "/t/acme/oauth2/v1/clients/0oa9/roles "}, v.requests())
}

func TestConsent(t *testing.T) {
	t.Parallel()
	cfg := defaults()
	cfg.BaseURL, cfg.Auth.Token = "https://acme.okta.com", secret.New("sandbox-token")
	c, err := Connector.Consent(sources.Env{}, cfg)
	require.NoError(t, err)
	require.Nil(t, c)
	cfg.Auth = Auth{ClientID: "0oa9", ClientSecret: secret.New("sandbox-secret"), RedirectURL: "http://127.0.0.1:8765/callback"}
	c, err = Connector.Consent(sources.Env{}, cfg)
	require.NoError(t, err)
	require.Equal(t, "https://acme.okta.com/oauth2/v1/authorize", c.AuthorizeURL)
	require.Contains(t, c.Scopes, "offline_access")
	require.Contains(t, c.Scopes, "okta.logs.read")
}
