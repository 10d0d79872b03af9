package sinks

import (
	"cmp"
	"context"

	"weir/schemas"
)

// Control is a Sink that people also write governance's control tables in.
// Rows are read in order of (received_at, id, RowHash), each page after a place:
// of rows that are alike in everything one may stand for all. Long texts are cut
// at MaxControlText bytes, one more than any that is taken.
type Control interface {
	// Requests returns rows of the table actions after a place, at most limit.
	Requests(ctx context.Context, after ControlPlace, limit int) ([]schemas.ActionRow, error)
	// Approvals returns rows of the table action_approvals after a place, at most limit.
	Approvals(ctx context.Context, after ControlPlace, limit int) ([]schemas.ApprovalRow, error)
	// Ran reports whether the sink's action log has a step of an action that
	// another chain, or a later entry than seq of this one, tells of.
	Ran(ctx context.Context, action, chain string, seq int64) (bool, error)
}

// ControlPlace is a place in a control table.
type ControlPlace struct {
	ReceivedAt schemas.Time
	ID         string
	Row        string // the row's hash; "" before all rows of ReceivedAt and ID
}

// Compare tells which of two places comes first, as cmp.Compare does.
func (p ControlPlace) Compare(q ControlPlace) int {
	return cmp.Or(cmp.Compare(p.ReceivedAt, q.ReceivedAt), cmp.Compare(p.ID, q.ID), cmp.Compare(p.Row, q.Row))
}

// MaxControlText is where texts of control tables are cut, in bytes.
const MaxControlText = 16<<10 + 1
