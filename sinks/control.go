package sinks

import (
	"context"

	"weir/schemas"
)

// Control is a Sink that people also write governance's control tables in.
// Rows are read in order of (received_at, id), each page after a place. Long
// texts are cut at MaxControlText bytes, one more than any that is taken.
type Control interface {
	// Requests returns rows of the table actions after a place.
	Requests(ctx context.Context, after ControlPlace, limit int) ([]schemas.ActionRow, error)
	// Approvals returns rows of the table action_approvals after a place.
	Approvals(ctx context.Context, after ControlPlace, limit int) ([]schemas.ApprovalRow, error)
	// Ran reports whether the sink's action log has a step of an action that
	// another chain, or a later entry than seq of this one, tells of.
	Ran(ctx context.Context, action, chain string, seq int64) (bool, error)
}

// ControlPlace is a place in a control table.
type ControlPlace struct {
	ReceivedAt schemas.Time
	ID         string // all rows of ReceivedAt up to this id come before
}

// MaxControlText is where texts of control tables are cut, in bytes.
const MaxControlText = 16<<10 + 1
