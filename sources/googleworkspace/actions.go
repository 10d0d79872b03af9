package googleworkspace

import (
	"context"

	"weir/internal/fault"
	"weir/internal/setting"
	"weir/sources"
)

// Actions is what actions need to know.
type Actions struct{}

func defaultActions() Actions { return Actions{} }

func (a *Actions) validate() []setting.KeyError { return nil }

var actions []sources.ActionInfo

// governing is what actions keep in a session.
type governing struct{}

func (g *governing) init() {}

// probeAction tells whether an action can be expected to work.
func (s *session) probeAction(_ context.Context, action sources.Action) error {
	return fault.New(fault.Permanent, "google_workspace has no action %q", action)
}
