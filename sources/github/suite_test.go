package github_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	sandboxgithub "weir/internal/sandbox/github"
	"weir/internal/sourcetest"
	"weir/sources/github"
)

// appKey is the key of the tests' GitHub App.
var appKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

const (
	appID       = 4242
	appClientID = "Iv1.sandbox"
)

// asApp installs a GitHub App with all permissions that reading needs, and
// returns the settings of an instance that connects as it.
func asApp(t testing.TB, tenant *sandbox.Tenant) string {
	return asAppWith(t, tenant, sandboxgithub.AppPermissions())
}

func asAppWith(t testing.TB, tenant *sandbox.Tenant, may map[string]string) string {
	key, err := appKey()
	require.NoError(t, err)
	h := tenant.Handler().(*sandboxgithub.Handler)
	h.RegisterApp(sandboxgithub.App{ID: appID, ClientID: appClientID, Slug: "weir", Key: &key.PublicKey, Permissions: may})
	text := pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})
	return h.Connection(tenant.Base) + fmt.Sprintf("auth:\n  client_id: %s\n  private_key: %q\n", appClientID, text)
}

// fixture connects as a GitHub App, which sees all there is.
func fixture() sourcetest.Fixture {
	f := withToken()
	f.Settings = asApp
	f.Scopes = map[string][]string{
		"app_grants/pats":     {"organization_personal_access_tokens"},
		"repositories/roles":  {"organization_custom_org_roles"},
		"repositories/access": {"administration"},
	}
	return f
}

// withToken connects with a classic token of an owner.
func withToken() sourcetest.Fixture {
	return sourcetest.Fixture{
		Connector: github.Connector,
		Vendor:    sandboxgithub.Vendor(),
		Scopes: map[string][]string{
			"activities":         {"read:audit_log"},
			"repositories/roles": {"admin:org"},
		},
		Recent:  "audit: {since: 1h}",
		Secrets: []string{sandboxgithub.TokenValid},
		Unjoined: map[string]string{
			"app app":        "where GitHub names no app, the kind of token stands for it",
			"target app":     "OAuth apps are told by no list",
			"target account": "an invitation to an address does not tell its account; a failed sign-in may name nobody",
		},
		Words: []string{"action", "operation_type", "programmatic_access_type"},
	}
}

func TestSuite(t *testing.T) { sourcetest.Run(t, fixture()) }

// With a token fine-grained tokens are not listed.
func TestSuiteWithToken(t *testing.T) {
	sourcetest.NotUnderRace(t)
	sourcetest.Run(t, withToken(),
		"collects the truth, and nothing the second time",
		"a scope taken away stops its stream alone, removes nobody, and comes back",
		"the truth under mixed")
}
