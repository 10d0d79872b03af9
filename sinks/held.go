package sinks

import (
	"cmp"
	"context"
	"slices"

	"weir/schemas"
)

// Holder is a Sink that can be asked what it holds, as a state that was restored
// from a copy must: the sink knows what the state has forgotten.
type Holder interface {
	// Held visits the rows that a table got since a point, in the order of their
	// versions as far as it is known, and sums them up. A table that is not
	// there holds nothing. The row is valid during the visit only.
	Held(ctx context.Context, q HeldQuery, visit func(HeldRow) error) (Held, error)
}

// HeldQuery asks for what a table got. Each sink uses the point it has: more
// rows than asked for may be visited, fewer never are.
type HeldQuery struct {
	Table *schemas.Table
	// AfterPart is a part that the asker knows to be delivered; "" for none. A
	// sink that keeps its parts apart visits the ones that follow it.
	AfterPart string
	// AfterVersion is a row version below which the asker knows all rows.
	AfterVersion int64
	// Columns are the names of the table's text columns to be told.
	Columns []string
	// Batches are ids of batches whose rows are to be counted.
	Batches []string
	// Gaps are versions of rows that were never meant for the table, in order.
	Gaps []Versions
}

// Versions is a range of row versions: above Lo, up to Hi.
type Versions struct{ Lo, Hi int64 }

// Within reports whether a version is in one of the ranges, which are in order.
func Within(ranges []Versions, version int64) bool {
	i, _ := slices.BinarySearchFunc(ranges, version, func(r Versions, v int64) int { return cmp.Compare(r.Hi, v) })
	return i < len(ranges) && version > ranges[i].Lo
}

// HeldRow is one row of a sink.
type HeldRow struct {
	Instance, BatchID string
	Version           int64
	Time              schemas.Time // of the table's date column
	ObservedAt        schemas.Time
	// Content is the xxHash64 of the column raw; 0 when the sink has none, or
	// does not keep it.
	Content uint64
	Values  []string // of HeldQuery.Columns
}

// Held sums up what a table holds.
type Held struct {
	LastPart string // the newest part; "" when there is none, or they are not kept
	Parts    int64  // parts after AfterPart
	// After are the ids of those parts, if the sink keeps them.
	After      []string
	MaxVersion int64            // of all rows visited
	Batches    map[string]int64 // rows of each batch asked for that is there
	// Filled are rows whose versions are in HeldQuery.Gaps, and that are of no
	// batch asked for: of the parts after AfterPart, or of the whole table where
	// parts are not kept apart.
	Filled int64
}
