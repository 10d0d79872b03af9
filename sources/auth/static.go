package auth

import (
	"context"
	"net/http"
	"strings"

	"weir/internal/fault"
	"weir/sources/httpx"
)

// StaticToken is a token that stands in the configuration, or where that points.
type StaticToken struct {
	header, prefix string
	secret         func() (string, error)
}

// Static returns an authorizer that sets a header to prefix and the secret:
//
//	auth.Static("Authorization", "Bearer ", cfg.Token.Value)
//	auth.Static("Authorization", "SSWS ", cfg.APIToken.Value)
//
// The secret is resolved at each use, so that a rotated file is picked up.
func Static(header, prefix string, secret func() (string, error)) *StaticToken {
	return &StaticToken{http.CanonicalHeaderKey(header), prefix, secret}
}

// Authorize implements httpx.Authorizer.
func (s *StaticToken) Authorize(_ context.Context, r *http.Request) error {
	v, err := s.value()
	if err == nil {
		r.Header.Set(s.header, v)
	}
	return err
}

// Refused implements httpx.Authorizer: another attempt is of use when the
// secret has changed since.
func (s *StaticToken) Refused(_ context.Context, r *http.Request, _ *httpx.Response) (bool, error) {
	v, err := s.value()
	return err == nil && v != r.Header.Get(s.header), err
}

func (s *StaticToken) value() (string, error) {
	v, err := s.secret()
	if err != nil {
		return "", fault.New(fault.Auth, "the token: %w", err)
	}
	if v == "" || strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "", fault.New(fault.Auth, "the token is empty, or holds characters that no token has: spaces, line breaks or others outside ASCII")
	}
	return s.prefix + v, nil
}
