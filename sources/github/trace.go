package github

import (
	"context"

	"weir/sources"
	"weir/sources/auth"
)

var _ sources.Tracer = (*session)(nil)

// Trace implements sources.Tracer. The audit log tells of a token as the person
// whose it is, so that all that they do counts; of a GitHub App as its bot, by
// name.
func (s *session) Trace(ctx context.Context) (t sources.Trace, err error) {
	if tokens, ok := s.auth.(*auth.Tokens); ok && s.cfg.Auth.way() == wayApp {
		token, err := tokens.Renew(ctx)
		if err == nil && token.Slug != "" {
			t.Names = []string{token.Slug + botLogin}
		}
		return t, err
	}
	own, err := s.ownID(ctx)
	if own != "" {
		t.Actors = []string{own}
	}
	return t, err
}
