package aws

import (
	"context"

	"weir/sources"
)

var _ sources.Tracer = (*session)(nil)

// Trace implements sources.Tracer. CloudTrail tells of a user by its unique id,
// of a role by its own and the session's name, and in other accounts of the role
// that is assumed there.
func (s *session) Trace(ctx context.Context) (sources.Trace, error) {
	id, err := s.Identity(ctx)
	if err != nil || id.Kind == sources.IdentityUnknown {
		return sources.Trace{}, err
	}
	t := sources.Trace{Actors: []string{id.ID}}
	if s.cfg.Actions.Role != "" {
		t.Roles = []string{s.cfg.Actions.Role}
	}
	return t, nil
}
