package sinks

import (
	"context"

	"weir/schemas"
)

// Remapper is a sink whose rows can be made anew from the records they carry.
//
// Whenever it is ended, by an error, a kill or ctx, what readers see is whole:
// the rows as they were, or as they shall be. The next call of the same Remap
// goes on where it was, or begins again; that of another removes what is left.
type Remapper interface {
	Remap(ctx context.Context, r *Remap) error
}

// Remap says which rows are made anew, and how.
type Remap struct {
	Table *schemas.Table
	// ID names what is done: the span, the mapping, the version. What a call
	// with another ID left behind is not gone on with.
	ID string
	// From and To bound the work: rows whose date column is outside, To
	// included, need not be shown to Map and stay as they are.
	From, To schemas.Time
	// DryRun: every row is shown to Map, and nothing is written.
	DryRun bool
	// Path is where a sink of files writes; others refuse one.
	Path string

	// Map changes rows in place, each with its envelope. It changes no
	// envelope, no key and not their number. The rows are valid until the next
	// call. Of rows that are shown twice, because something had to be done
	// again, again is true.
	Map func(env []schemas.Envelope, rows *schemas.Rows, again bool) error
	// Hold keeps the agent that writes this sink from writing the table, until
	// release is called or ctx ends. Nothing of it is on its way meanwhile.
	Hold func(ctx context.Context) (release func(), err error)
	// Alone keeps agents from starting; an error says that one runs.
	Alone func() (release func(), err error)
	// Log tells a person what goes on.
	Log func(format string, args ...any)
}
