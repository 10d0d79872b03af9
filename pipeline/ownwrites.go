package pipeline

import (
	"context"
	"time"
)

// OwnWrite is an event of a vendor's log that says: Weir's own credentials have
// written. It is kept in the transaction that delivers the event, until
// governance has found what explains it, or has told of it.
type OwnWrite struct {
	Instance, ID string // the event's id
	Data         []byte // governance's
}

// OwnWatch is what is known of an instance whose log is looked through for own
// writes.
type OwnWatch struct {
	Since  time.Time // when it began to be; zero: not yet, or not since the state was put back
	Halted string    // why nothing is carried out there; "" it is
}

// OwnWriteStore reads what is kept of own writes.
type OwnWriteStore interface {
	// OwnWrites returns those of an instance that nothing has been decided about.
	OwnWrites(ctx context.Context, instance string, limit int) ([]OwnWrite, error)
	// OwnWatches returns what is known of each instance.
	OwnWatches(ctx context.Context) (map[string]OwnWatch, error)
	// ActionsBegun returns an instance's actions that have begun to write from one
	// time to another.
	ActionsBegun(ctx context.Context, instance string, from, to time.Time) ([]ActionRecord, error)
}

// OwnWriteTx writes what is kept of own writes.
type OwnWriteTx interface {
	// AddOwnWrite keeps one, unless it is known.
	AddOwnWrite(w OwnWrite, now time.Time) error
	// SettleOwnWrite forgets one that is explained; one that was told of it
	// remembers, so that it is not told of again.
	SettleOwnWrite(instance, id string, told bool) error
	// DropOwnWrites forgets those told of that were added before a time.
	DropOwnWrites(before time.Time) error
	SetOwnWatch(instance string, w OwnWatch) error
}
