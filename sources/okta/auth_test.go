package okta_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	sandboxokta "weir/internal/sandbox/okta"
	"weir/internal/sourcetest"
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
	sourcetest.Run(t, withProof(), "the truth under expired_token", "secrets stay secret")
}
