package github

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/secret"
	"weir/sources"
	"weir/sources/httpx"
)

// As a GitHub App: its installation is found, its token used, and its
// permissions are its roles.
func TestGitHubApp(t *testing.T) {
	t.Parallel()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "app.pem")
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(block), 0o600))

	v := newVendor(t)
	v.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", v.clock.Now().UTC().Format(http.TimeFormat))
		asJWT := strings.Count(r.Header.Get("Authorization"), ".") == 2
		switch r.Method + " " + r.URL.Path {
		case "GET /api/v3/orgs/octo-corp/installation":
			require.True(t, asJWT)
			_, _ = io.WriteString(w, `{"id":77,"permissions":{"members":"read"},"suspended_at":null}`)
		case "POST /api/v3/app/installations/77/access_tokens":
			require.True(t, asJWT)
			w.WriteHeader(201)
			_, _ = io.WriteString(w, `{"token":"sandbox-token","expires_at":"2024-03-01T13:00:00Z","permissions":{"metadata":"read","members":"read"},"repository_selection":"all"}`)
		default:
			v.serve(w, r)
		}
	})
	s := v.open(t, func(c *Config) {
		c.Auth = Auth{ClientID: "Iv1.0000", PrivateKey: secret.New("${file:" + file + "}")}
	})
	id, err := s.Identity(t.Context())
	require.NoError(t, err)
	require.Equal(t, sources.Identity{ID: "Iv1.0000", Name: "GitHub App Iv1.0000", Kind: sources.IdentityApp, Roles: []string{"members:read", "metadata:read", "repository_selection:all"}}, id)
	tenant, err := s.Tenant(t.Context())
	require.NoError(t, err)
	require.Equal(t, "6811672", tenant)
	require.Equal(t, []string{"installations", "credentials", "pats"}, listLanes(t, s.grantLanes(t.Context(), "")))
	// An App that lacks a permission gets 403: 404 is that there is no such thing.
	r, err := readAll(s.readAccounts(t.Context(), sources.Lane{ID: laneInvitations}, ""))
	require.NoError(t, err)
	require.True(t, r.whole)
}

// With an OAuth app nothing is sent before somebody has consented.
func TestOAuthAppWithoutConsent(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	cfg := newConfig()
	cfg.Org, cfg.BaseURL, cfg.Auth = "octo-corp", v.base(), Auth{ClientID: "Iv1.0000", ClientSecret: secret.New("sandbox-secret")}
	base, err := httpx.New(httpx.Options{Instance: "acme", Clock: v.clock, UserAgent: "weir/test"})
	require.NoError(t, err)
	s, err := Connector.Open(t.Context(), sources.Env{Instance: "acme", Clock: v.clock, HTTP: base, Vault: noVault{}}, cfg)
	require.NoError(t, err)
	_, err = s.Tenant(t.Context())
	require.Equal(t, fault.Auth, fault.Of(err))
	require.ErrorContains(t, err, "weir connect acme")
	require.Empty(t, v.requests())
}

// noVault is a vault that holds nothing.
type noVault struct{}

func (noVault) Load(context.Context, string) ([]byte, error) { return nil, nil }
func (noVault) Save(context.Context, string, []byte) error   { return nil }
func (noVault) Update(_ context.Context, _ string, change func([]byte) ([]byte, error)) error {
	_, err := change(nil)
	return err
}
