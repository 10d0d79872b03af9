package googleworkspace

import (
	"weir/sources/auth"
	"weir/sources/httpx"
)

// ambient returns the credentials of this machine or workload, by whose rights
// Google signs for the service account.
func (s *session) ambient() (httpx.Authorizer, error) {
	if f := s.cfg.Auth.Federation; !f.IsZero() {
		return auth.NewFederation(auth.Federation{HTTP: s.env.HTTP, Clock: s.env.Clock, Config: f.Value})
	}
	return auth.NewMetadata(s.env.HTTP, s.env.Clock, s.cfg.MetadataBaseURL)
}
