// Package auth holds the ways in which connectors authenticate. Each is an
// httpx.Authorizer:
//
//	Static             a token that stands in the configuration
//	NewClientSecret    OAuth 2.0 client credentials with a secret
//	NewPrivateKeyJWT   OAuth 2.0 client credentials with a signed assertion, DPoP where the vendor asks for it
//	NewGitHubApp       a GitHub App's installation
//	NewDelegation      a Google service account, as itself or as users (domain-wide delegation)
//	NewMetadata        the service account that a machine at Google Cloud runs as
//	NewFederation      Google's Workload Identity Federation
//	NewConsented       what a person granted in a browser (Connect)
//
// Tokens are had when they are needed, once for all who need them, and again
// before they end. Those that must outlive the process are kept in a Vault, and
// a rotated one is durable there before it is used.
//
// Nothing here repeats a request that failed, except where the protocol itself
// asks for a second one. No error holds a secret.
package auth

import (
	"context"
	"slices"
	"strings"
	"time"

	"weir/sources/httpx"
)

// Vault keeps an instance's secrets, encrypted at rest. It is safe for
// concurrent use, also by another process.
type Vault interface {
	// Load returns the secret of a name; nil when there is none.
	Load(ctx context.Context, name string) ([]byte, error)
	// Save replaces it, and returns when that is durable.
	Save(ctx context.Context, name string, secret []byte) error
	// Update calls change with the secret of a name, nil when there is none,
	// and saves what it returns, unless that is nil. No other Save or Update of
	// the instance, in any process, runs meanwhile. An error of change's is
	// returned as it is, and nothing is saved.
	Update(ctx context.Context, name string, change func(secret []byte) ([]byte, error)) error
}

// Token is an access token and what is known of it.
type Token struct {
	Access  string
	Type    string    // scheme of the Authorization header: "Bearer", "DPoP"
	Expires time.Time // zero: it does not end by time
	// Scopes are those granted, sorted: fewer, perhaps, than asked for.
	Scopes []string
	// Permissions are what a GitHub App's installation allows, by name: "read",
	// "write" or "admin".
	Permissions map[string]string
	// Slug is a GitHub App's name in addresses: it acts as SLUG[bot]. "": not told.
	Slug string

	renew time.Time // get another one then, though this one has not ended; zero: none such
	dpop  *dpopKey  // what it is bound to; nil: it is a bearer token
}

// Has reports whether a scope was granted.
func (t Token) Has(scope string) bool {
	_, ok := slices.BinarySearch(t.Scopes, scope)
	return ok
}

// splitScopes reads a scope list: separated by spaces (RFC 6749 section 3.3),
// or by commas, as GitHub writes them.
func splitScopes(s string) []string {
	list := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' })
	slices.Sort(list)
	return slices.Compact(list)
}

// without returns the scopes of all that have does not hold, in all's order.
func without(all, have []string) (missing []string) {
	for _, s := range all {
		if !slices.Contains(have, s) {
			missing = append(missing, s)
		}
	}
	return missing
}

var (
	_ httpx.Authorizer = (*Tokens)(nil)
	_ httpx.Authorizer = (*StaticToken)(nil)
)
