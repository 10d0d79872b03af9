// Package auth holds the ways in which connectors authenticate: static tokens,
// OAuth 2.0 in its forms, signed assertions, GitHub Apps, DPoP. Each is an
// httpx.Authorizer. Tokens that must outlive the process are kept in a Vault,
// and a rotated one is durable there before it is used.
package auth

import "context"

// Vault keeps an instance's secrets, encrypted at rest. It is safe for
// concurrent use, also by another process.
type Vault interface {
	// Load returns the secret of a name; nil when there is none.
	Load(ctx context.Context, name string) ([]byte, error)
	// Save replaces it, and returns when that is durable.
	Save(ctx context.Context, name string, secret []byte) error
}

// Consent is how a person grants access in a browser: OAuth 2.0 authorization
// code with PKCE (RFC 7636).
type Consent struct {
	AuthorizeURL string
	TokenURL     string
	ClientID     string
	ClientSecret func() (string, error) // nil: a public client
	Scopes       []string
	Params       map[string]string // further parameters of the authorize request
	// Hint is what the person should know before consenting, in a sentence or
	// two: who must do it, and signed in where.
	Hint string
}
