// Package sinks is the contract between the pipeline and what it delivers to.
//
// A sink writes parts. A part's content is decided, and durable in the state,
// before a sink hears of it: writing it again, after a crash or an unclear
// answer, writes the same rows under the same id, and the sink sees to it that
// they are there once.
package sinks

import (
	"context"
	"errors"
	"time"

	"github.com/jonboulle/clockwork"

	"weir/internal/setting"
	"weir/schemas"
)

// ErrOwnerChanged is returned by SetOwner when somebody else wrote the record.
var ErrOwnerChanged = errors.New("the sink's owner record was changed by another writer")

// Driver is what Weir knows of one type of sink without its settings.
type Driver struct {
	Type   string // value of `type:` in the configuration
	Doc    string
	Config func() Config // new, holding the defaults
	Open   func(ctx context.Context, env Env, cfg Config) (Sink, error)
}

// Config is a sink's part of the configuration.
type Config interface {
	setting.Struct
	Batching() Batching
}

// Snapshotter is a Config of a sink that wants all rows of the entity tables now
// and then, in tables of their own (schemas.Table.Snapshot).
type Snapshotter interface {
	SnapshotEvery() time.Duration // 0: never
}

// Batching says when parts close. Drivers embed it in their config and set
// their own defaults.
type Batching struct {
	TargetSize setting.Size  `key:"target_size" doc:"close a part when its rows take this much, as Arrow, uncompressed"`
	MaxDelay   time.Duration `key:"max_delay" doc:"close a part when its oldest batch is this old"`
	LateDelay  time.Duration `key:"late_delay" doc:"the same for rows of days before yesterday, so that stragglers make few files"`
}

// Validate returns the faults of the settings.
func (b Batching) Validate() (errs []setting.KeyError) {
	if b.TargetSize < 1<<20 || b.TargetSize > 1<<30 {
		errs = append(errs, setting.KeyError{Key: "target_size", Found: b.TargetSize.String(), Accepted: "a size from 1MiB to 1GiB"})
	}
	if b.MaxDelay < 10*time.Millisecond || b.MaxDelay > 24*time.Hour {
		errs = append(errs, setting.KeyError{Key: "max_delay", Found: b.MaxDelay.String(), Accepted: "a duration from 10ms to 24h"})
	}
	if b.LateDelay < b.MaxDelay || b.LateDelay > 7*24*time.Hour {
		errs = append(errs, setting.KeyError{Key: "late_delay", Found: b.LateDelay.String(), Accepted: "a duration from max_delay to 7d"})
	}
	return errs
}

// Env is what a sink gets from the agent.
type Env struct {
	Name    string // of the sink, in the configuration
	Version string // of Weir
	Clock   clockwork.Clock
}

// Sink is one configured destination. Its methods are called by one goroutine
// per table at a time, and by several for different tables. Errors carry a
// class (package fault); the default, transient, is retried for ever.
type Sink interface {
	// Prepare makes, or checks, what the tables need. It is called once the sink
	// has been claimed (Owner, SetOwner), before any part, and again after
	// errors; it must be cheap to repeat.
	Prepare(ctx context.Context, tables []*schemas.Table) error

	// Owner returns who writes this sink; the zero Owner when nobody does.
	Owner(ctx context.Context) (Owner, error)

	// SetOwner replaces the record old, as read, by new; ErrOwnerChanged when
	// the record is no longer old.
	SetOwner(ctx context.Context, old, new Owner) error

	// Stage prepares a part without making any of it visible. The next part
	// of a table may be staged while the one before is being committed.
	Stage(ctx context.Context, p *Part) (Staged, error)

	Close() error
}

// DayMarker is a Sink that tells its readers which days are complete. One whose
// readers can ask collection_runs need not be.
type DayMarker interface {
	// MarkDay records a day, atomically, in place of what was recorded of it. It
	// is called when the sink has every row that the record speaks for.
	MarkDay(ctx context.Context, d DayMark) error
}

// DayMark says whether a day (UTC) is complete.
type DayMark struct {
	Date      string                       `json:"dt"`        // 2026-01-31
	ClosedAt  time.Time                    `json:"closed_at"` // UTC; when this was decided
	Complete  bool                         `json:"complete"`
	Instances map[string]map[string]string `json:"instances"` // by instance and stream: "covered", or what is missing
	LastParts map[string]string            `json:"last_part"` // by table: with this part and those before it the day is whole
}

// Staged is a part ready to become visible.
type Staged interface {
	// Commit makes the part visible and durable, once, whatever happened to
	// earlier attempts at the same part. Parts of a table are committed in
	// order, each only after the one before has succeeded.
	//
	// An error of class BadData, here or from Stage, says that the part's rows are
	// refused for what they hold, not for the state of the place, and that of no
	// batch of it some rows are visible and others not. The pipeline then looks
	// for the rows that are meant, in parts of fewer batches and of batches that
	// were cut, with ids of their own.
	Commit(ctx context.Context) (Receipt, error)
	// Discard forgets what Stage prepared. The part will be staged again.
	Discard() error
}

// Receipt says what a commit did.
type Receipt struct {
	Bytes  int64 // sent or stored
	Files  int   // made, if the sink makes files
	Repeat bool  // the part was already there, whole
}

// Owner says which state writes a sink. The pipeline refuses to write to a sink
// of another living state, or of the same state at a later generation.
type Owner struct {
	SinkID     string    `json:"sink_id"`    // UUID made when the sink is first used: a new place under an old name is a new sink
	StateID    string    `json:"state_id"`   // UUID of the state
	Generation int64     `json:"generation"` // grows by one at each start of an agent on that state
	Heartbeat  time.Time `json:"heartbeat"`  // UTC, milliseconds
	Parts      int64     `json:"parts"`      // planned for this sink by that state, as of Heartbeat
}

// Equal reports whether two records are the same.
func (o Owner) Equal(p Owner) bool {
	return o.SinkID == p.SinkID && o.StateID == p.StateID && o.Generation == p.Generation && o.Parts == p.Parts && o.Heartbeat.Equal(p.Heartbeat)
}

// Part is an ordered list of whole batches of one table and one schema version.
type Part struct {
	ID            string // UUIDv7
	Previous      string // id of the part of this sink and table before it; "" for the first
	Table         *schemas.Table
	SchemaVersion int
	Batches       []Batch
	Rows          int64
	MinTime       schemas.Time // over Table.DateColumn
	MaxTime       schemas.Time
}

// Batch is the rows of one table from one page.
type Batch struct {
	ID               string
	App, Instance    string
	Rows             int64
	Bytes            int64 // in the spool
	MinTime, MaxTime schemas.Time
	// Load reads the batch from the spool and verifies its checksum. It may
	// be called more than once, and from several goroutines.
	Load func() (schemas.Encoded, error)
}
