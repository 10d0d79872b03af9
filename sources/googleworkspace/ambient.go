package googleworkspace

import (
	"weir/internal/fault"
	"weir/sources/httpx"
)

// ambient returns the credentials of this machine or workload.
func (s *session) ambient() (httpx.Authorizer, error) {
	return nil, fault.New(fault.Permanent, "google_workspace: auth.service_account is not there yet")
}
