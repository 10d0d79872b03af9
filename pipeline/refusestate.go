package pipeline

import (
	"context"
	"math"
	"time"

	"weir/sinks"
)

// Kinds of dead letters.
const (
	DeadRow    = "row"    // a record that the mapping refused
	DeadObject = "object" // a lane's file that could not be read
	DeadPart   = "part"   // rows that a sink refused
)

// Proof says how sure it is that a sink's refusal is for good.
type Proof int

// Proofs, as stored.
const (
	Proved   Proof = 0 // other parts of the table were taken after it was refused
	Unproved Proof = 1 // none was yet
	Again    Proof = 2 // to be brought to the sink once more: it had stopped meanwhile
)

// RefuseStore is the part of the state that dead letters and sinks that come
// and go use.
type RefuseStore interface {
	// FindDead returns dead letters, the newest first, without their bytes.
	FindDead(ctx context.Context, f DeadFilter) ([]DeadLetter, error)
	// FindDropped returns what was dropped, the newest first.
	FindDropped(ctx context.Context, f DeadFilter) ([]DeadLetter, error)
	// DeadBytes sums what dead letters take.
	DeadBytes(ctx context.Context) (int64, error)
	// DeadFiles returns the files that dead letters are in.
	DeadFiles(ctx context.Context) (map[string]bool, error)
	// Refusals returns how a table's refusals stand; all of a sink if table is "",
	// of all sinks if that is, too.
	Refusals(ctx context.Context, sink, table string) ([]Refusals, error)
	// SinkMark returns what is known of a sink, and whether anything is.
	SinkMark(ctx context.Context, sink string) (SinkMark, bool, error)
	// Gaps returns the versions of rows not meant for a sink, in order.
	Gaps(ctx context.Context, sink string) ([]Gap, error)
	// Fills returns the fills of a sink, the oldest first; of all if it is "".
	Fills(ctx context.Context, sink string) ([]Fill, error)
	// FillParts returns the parts of a table that a fill is done with.
	FillParts(ctx context.Context, fill, table string) (map[string]bool, error)
	// OwedUpTo reports whether a sink is still owed batches of the given tables
	// up to a number.
	OwedUpTo(ctx context.Context, sink string, tables []string, seq int64) (bool, error)
	// Owed sums what a sink is owed, planned or not, by instance and table.
	Owed(ctx context.Context, sink string) ([]OwedRows, error)
	// Unplanned returns the batches of a sink that are in no part, in order.
	Unplanned(ctx context.Context, sink string) ([]Batch, error)
	// SyncedTables returns how many of a sink's tables, by instance, are synced.
	SyncedTables(ctx context.Context, sink string) (done, all int64, err error)
}

// RefuseTx is the part of a transaction that they use.
type RefuseTx interface {
	// RemoveDead removes a dead letter; an error when it is not there any more.
	RemoveDead(id string) error
	// DropDead is RemoveDead that remembers the letter among the dropped.
	DropDead(d DeadLetter, now time.Time) error
	ForgetDropped(id string) error
	ForgetDroppedBefore(t time.Time) error
	// SetProof gives the letters of a sink's table that have the proof from
	// another, and returns how many.
	SetProof(sink, table string, from, to Proof) (int64, error)
	// ReopenLane has a lane read again: from where it was, or from the start.
	ReopenLane(d DeadLetter, fromStart bool, now time.Time) error

	SetRefusals(r Refusals) error
	// SplitPart replaces an open part by two that follow one another. Batches
	// without a number are cut from the part's only batch and get one.
	SplitPart(old PartState, halves [2]PartState, batches [2][]Batch) error
	// SetAside ends an open part without its rows: what followed it follows the
	// part before. It returns the segments no longer needed.
	SetAside(part PartState) (freed []string, err error)

	SetSinkMark(sink string, m SinkMark) error
	AddGap(sink string, g Gap) error
	CloseGaps(sink string, hi int64) error
	// ForgetSynced has a sink get every row again: of a table, or of all.
	ForgetSynced(sink, table string) error
	// Unqueue takes from a sink what it is owed: what is in no part, or all. It
	// returns the segments no longer needed.
	Unqueue(sink string, planned bool) (freed []string, err error)
	SetFill(f Fill) error
	AddFillPart(fill, table, part string) error
	// ForgetSinkWhole is ForgetSink that takes the sink's open parts, gaps and
	// dead letters, too.
	ForgetSinkWhole(sink string, now time.Time) error
}

// DeadFilter chooses dead letters; zero values choose all.
type DeadFilter struct {
	IDs      []string  `json:"ids,omitempty"`
	Instance string    `json:"instance,omitempty"`
	Stream   string    `json:"stream,omitempty"`
	Sink     string    `json:"sink,omitempty"`
	Table    string    `json:"table,omitempty"`
	Kind     string    `json:"kind,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Proof    *Proof    `json:"-"`
	Limit    int       `json:"limit,omitempty"`
}

// Refusals is how the refusals of one sink's table stand. Its breaker is open
// while Opened is set: nothing more is set aside but slowly, or nothing at all.
type Refusals struct {
	Sink   string `json:"sink"`
	Table  string `json:"table"`
	Day    string `json:"day"`    // UTC
	Parked int64  `json:"parked"` // rows set aside that day
	Taken  int64  `json:"taken"`  // rows delivered that day, as far as counted

	Unproved int64     `json:"unproved"` // rows set aside since a part was taken last
	Opened   time.Time `json:"opened,omitzero"`
	Reason   string    `json:"reason,omitempty"`
}

// SinkMark is what is known of a sink since it was first configured.
type SinkMark struct {
	Created  time.Time `json:"created"`
	Version  int64     `json:"version"`            // the highest row version given then
	Seq      int64     `json:"seq"`                // the highest batch number given then
	Used     bool      `json:"used,omitempty"`     // its place had been written before
	Filled   bool      `json:"filled,omitempty"`   // it holds rows of a fill that the state, restored from a copy, has forgotten
	Detached time.Time `json:"detached,omitzero"`  // since when it gets nothing
	Known    bool      `json:"upgraded,omitempty"` // it was there before this was kept: what it has not got is not known
}

// Gap is versions of rows that were not meant for a sink: above Lo, up to Hi.
type Gap = sinks.Versions

// OpenGap is the Hi of a gap that has not ended.
const OpenGap = math.MaxInt64

// Fill copies history from one sink into another.
type Fill struct {
	ID      string    `json:"id"`
	Sink    string    `json:"sink"`
	Source  string    `json:"source"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until,omitzero"` // zero: no end
	Seq     int64     `json:"seq"`            // batches up to it are waited for in the source
	Started time.Time `json:"started"`
	Ended   time.Time `json:"ended,omitzero"`
	Parts   int64     `json:"parts"`
	Rows    int64     `json:"rows"`
	Error   string    `json:"error,omitempty"` // once it has ended: why before its end
}

// OwedRows is what a sink is owed of one instance's table.
type OwedRows struct {
	Instance, Table string
	Batches, Rows   int64
	From, To        time.Time
}
