package sinks

import (
	"context"

	"weir/schemas"
)

// Lake is a Sink whose parts can be read again: history is copied from it into
// other sinks.
type Lake interface {
	// Parts returns the ids of a table's visible parts, in their order.
	Parts(ctx context.Context, t *schemas.Table) ([]string, error)
	// ReadPart yields the rows of a visible part, a part of them at a time, with
	// their app. Chunks are released by ReadPart.
	ReadPart(ctx context.Context, t *schemas.Table, part string, yield func(app string, rows *schemas.Chunk) error) error
}

// Chained is a Sink that keeps the parts of a table in a chain, each naming the
// one before.
type Chained interface {
	// LastPart returns the id of the newest visible part of a table, whoever
	// wrote it; "" when there is none.
	LastPart(ctx context.Context, t *schemas.Table) (string, error)
}
