package googleworkspace

import (
	"context"

	"weir/internal/fault"
	"weir/sources"
)

// fileActions are what can be done to files.
var fileActions []sources.ActionInfo

func (s *session) planFile(_ context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	return nil, fault.New(fault.BadData, "google_workspace has no action %s on files", r.Action)
}

func (s *session) doFile(_ context.Context, st sources.Step) (sources.Receipt, error) {
	return sources.Receipt{}, fault.New(fault.Permanent, "google_workspace has no step %q", st.Name)
}

func (s *session) checkFile(_ context.Context, st sources.Step, _ sources.Receipt) (sources.Outcome, error) {
	return sources.Unknown, fault.New(fault.Permanent, "google_workspace has no step %q", st.Name)
}

func (s *session) undoFile(_ context.Context, e sources.Effect) (*sources.Plan, error) {
	return nil, fault.New(fault.Permanent, "google_workspace: %s cannot be undone", e.Request.Action)
}

func (s *session) probeFileAction(_ context.Context, a sources.Action) error {
	return fault.New(fault.Permanent, "google_workspace has no action %q", a)
}
