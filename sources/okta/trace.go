package okta

import (
	"context"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

const tokenRevoked = "app.oauth2.token.revoke"

var _ sources.Tracer = (*session)(nil)

// Trace implements sources.Tracer. The System Log tells of a service app as
// actor and as client, of a consented app as client, and of a token's owner as
// actor. The tokens of that owner, where they may be listed, tell what is done
// with a token from what the owner does in the console.
func (s *session) Trace(ctx context.Context) (sources.Trace, error) {
	t := sources.Trace{
		// A token's end names the token and its app, not whose it was.
		Beside:   map[sources.Action][]string{sources.SignOutUser: {tokenRevoked}, sources.RevokeGrant: {tokenRevoked}},
		Harmless: []string{"app.oauth2.token.grant", "app.oauth2.as.token.grant"},
	}
	if s.tokens != nil {
		t.Clients = []string{s.cfg.Auth.ClientID}
		if s.cfg.Auth.ClientSecret.IsZero() {
			t.Actors = t.Clients
		}
		return t, nil
	}
	owner, err := s.owner(ctx)
	if err != nil {
		return t, err
	}
	err = s.each(ctx, listing{path: httpx.P(pathAPITokens)}, func(raw []byte) error {
		var g wireGrant
		if err := decode(raw, &g); err != nil {
			return err
		}
		if string(g.UserID) == owner && g.ID != "" {
			t.Credentials = append(t.Credentials, grantID(grantAPIKey, string(g.ID)))
		}
		return nil
	})
	if c := fault.Of(err); err != nil && c != fault.Forbidden && c != fault.NotLicensed {
		return t, err
	}
	if len(t.Credentials) == 0 {
		t.Actors = []string{owner}
	}
	return t, nil
}
