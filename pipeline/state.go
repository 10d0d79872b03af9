package pipeline

import (
	"context"
	"time"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// State is what must survive: lanes and their cursors, the batches in the
// spool, what each sink has got, and the ids already seen. It lives in SQLite
// in the data directory; nothing else in this package knows that.
//
// All writes go through Update, which the committer alone calls: one durable
// transaction for everything its callers want changed.
type State interface {
	// ID identifies this state, Generation this run of it; the generation grows
	// by one at each Open.
	ID() string
	Generation() int64

	// Update runs fn in one transaction and returns when it is durable. An
	// error from fn rolls everything back.
	Update(ctx context.Context, fn func(Tx) error) error

	// Meta returns a small named value; "" when it is not there.
	Meta(ctx context.Context, key string) (string, error)
	// Instances returns the instances that anything is remembered of, but for
	// batches and dead letters.
	Instances(ctx context.Context) ([]string, error)
	// Listing returns a stream's listing cursor.
	Listing(ctx context.Context, s StreamID) (sources.Cursor, error)
	// DueLanes returns lanes to be read by now, the longest due first, and those
	// due after far.
	DueLanes(ctx context.Context, s StreamID, now, far time.Time, limit int) ([]LaneState, error)
	// LaneCounts counts a stream's lanes by status.
	LaneCounts(ctx context.Context, s StreamID) (LaneCounts, error)
	// SeenHour returns the packed segments of ids seen in one hour, oldest first.
	SeenHour(ctx context.Context, s StreamID, hour int64) ([][]byte, error)
	// SeenFloor returns the newest hour whose ids have been forgotten; 0 if none.
	SeenFloor(ctx context.Context, s StreamID) (int64, error)
	// SeenStale returns the hours without a new id since before.
	SeenStale(ctx context.Context, s StreamID, before time.Time) ([]int64, error)
	// SeenFragmented returns the hours kept in more than segments pieces.
	SeenFragmented(ctx context.Context, s StreamID, segments int) ([]int64, error)

	// Sinks returns the sinks the state knows.
	Sinks(ctx context.Context) ([]SinkState, error)
	// Pending returns the unplanned batches of a queue, in order.
	Pending(ctx context.Context, q Queue, limit int) ([]Batch, error)
	// PendingTotals sums the unplanned batches, by queue.
	PendingTotals(ctx context.Context) (map[Queue]Totals, error)
	// OpenParts returns the parts planned and not yet delivered, in order: of
	// one table, or of all if table is "".
	OpenParts(ctx context.Context, sink, table string) ([]PartState, error)
	// LastPart returns the id and number of the newest part of a sink's table.
	LastPart(ctx context.Context, sink, table string) (id string, n int64, err error)
	// PartBatches returns a part's batches, in order.
	PartBatches(ctx context.Context, part string) ([]Batch, error)
	// Segments returns the spool segments the state refers to, with their sizes.
	Segments(ctx context.Context) (map[string]int64, error)

	// DeadLetters returns the newest dead letters, without their raw bytes.
	DeadLetters(ctx context.Context, limit int) ([]DeadLetter, error)
	// DeadLetter returns one, whole.
	DeadLetter(ctx context.Context, id string) (DeadLetter, error)
	// LanesAfter returns lanes of a stream by id, after one: of a scan those that
	// its newest rounds showed, of a log those that are open. After "" are all, the
	// one without an id too, which is that of a stream without lanes.
	LanesAfter(ctx context.Context, s StreamID, after string, limit int) ([]sources.Lane, error)
	// LaneErrors returns lanes that are failing, parked or not licensed, worst first.
	LaneErrors(ctx context.Context, limit int) ([]LaneState, error)
	ScanStore
	CoverageStore
	PastStore
	RefuseStore
	ActionStore
	ReconcileStore

	// Size returns the bytes and rows of each kind of thing kept.
	Size(ctx context.Context) ([]KindSize, error)

	Close() error
}

// Tx is one transaction on the state.
type Tx interface {
	SetMeta(key, value string) error
	SetListing(s StreamID, c sources.Cursor) error
	// AddLanes records listed lanes. A known lane is left alone, unless its hint
	// changed: then it starts again.
	AddLanes(s StreamID, lanes []sources.Lane, now time.Time) error
	// RouseLanes makes lanes due, of a scan their deltas, where they wait for no
	// other reason than that they have been read to their end.
	RouseLanes(s StreamID, lanes []string, now time.Time) error
	SetLane(u LaneUpdate) error
	// ReviveLogLanes forgets the failures of a stream's open lanes.
	ReviveLogLanes(s StreamID, now time.Time) error
	// ForgetLanes removes lanes done before the given time.
	ForgetLanes(s StreamID, doneBefore time.Time) (int64, error)

	// ForgetInstance removes what is remembered of an instance, but for batches
	// and dead letters. It takes no more than limit rows, and reports whether
	// there are more.
	ForgetInstance(instance string, limit int) (more bool, err error)

	AddSegment(name string, bytes int64) error
	// AddBatch records a spooled batch and queues it for every sink. It sets
	// the batch's sequence number.
	AddBatch(b *Batch, sinks []string) error
	AddSeen(s StreamID, hour int64, packed []byte, now time.Time) error
	// MergeSeen replaces all segments of an hour by one.
	MergeSeen(s StreamID, hour int64, merge func(segments [][]byte) []byte) error
	ForgetSeen(s StreamID, hour int64) error
	AddDeadLetter(d DeadLetter) error

	ScanTx
	CoverageTx
	PastTx
	RefuseTx
	ActionTx
	ReconcileTx

	// AddSink records a sink. One whose id has changed has had nothing.
	AddSink(s SinkState) error
	// ForgetSink removes what is known of a sink, but for its open parts and dead
	// letters, and ends the fills from it.
	ForgetSink(name string, now time.Time) error
	// AddPart plans a part of the given batches.
	AddPart(p PartState, batches []Batch) error
	// FinishPart marks a part delivered and returns the spool segments that no
	// sink needs any more.
	FinishPart(id string, now time.Time) (freed []string, err error)
	// ForgetParts removes parts delivered before the given time, but never the
	// newest of a sink's table.
	ForgetParts(before time.Time) error
	// Shrink gives room that is not needed any more back to the file system.
	Shrink() error
}

// StreamID names one stream of one instance.
type StreamID struct{ Instance, Stream string }

func (s StreamID) String() string { return s.Instance + "/" + s.Stream }

// LaneStatus says whether a lane is still to be read.
type LaneStatus int

// Lane statuses, as stored.
const (
	LaneOpen   LaneStatus = 0
	LaneDone   LaneStatus = 1
	LaneParked LaneStatus = 2 // bad data: waits for another hint, or a person
)

// LaneState is a lane as the state knows it.
type LaneState struct {
	StreamID
	Lane   sources.Lane
	Cursor sources.Cursor
	Status LaneStatus
	Due    time.Time
	Fails  int
	Class  string // of Error
	Error  string
}

// NotLicensed says that the lane is a log that the vendor's plan lacks.
func (l *LaneState) NotLicensed() bool {
	return l.Status == LaneOpen && l.Class == string(fault.NotLicensed)
}

// LaneUpdate changes a lane.
type LaneUpdate = LaneState

// LaneCounts counts lanes by status. Failing lanes are open ones too.
type LaneCounts struct{ Open, Done, Parked, Failing int64 }

// Batch is one spooled batch: where it is, and what a planner must know.
type Batch struct {
	Seq              int64
	ID               string
	Segment          string
	Offset           int64
	HeadLen, BodyLen int64
	CRC              uint32
	Table            string
	App, Instance    string
	SchemaVersion    int
	Rows             int64
	Plain            int64 // bytes before compression
	MinTime, MaxTime schemas.Time
	Late             bool
	Created          time.Time
	// Cut says that it is some rows of what is spooled there, from First on.
	Cut   bool
	First int64
}

// Bytes is the batch's size in the spool.
func (b Batch) Bytes() int64 { return b.HeadLen + b.BodyLen }

// Queue is the batches one sink has still to get of one table.
type Queue struct {
	Sink, Table string
	Late        bool
}

// Totals sums batches.
type Totals struct {
	Batches, Rows, Plain int64
	Oldest               time.Time // of Batch.Created
}

// SinkState is a sink the state has delivered to.
type SinkState struct{ Name, SinkID string }

// PartState is a planned part.
type PartState struct {
	ID, Previous     string
	Sink, Table      string
	N                int64 // number of the part among those of its sink and table
	SchemaVersion    int
	Rows, Bytes      int64
	MinTime, MaxTime schemas.Time
	Created          time.Time
}

// DeadLetter is something that could not be taken, kept whole with the reason.
type DeadLetter struct {
	ID   string
	At   time.Time
	Kind string // DeadRow, DeadObject or DeadPart
	StreamID
	Lane          string
	Hint          string // of the lane, when it was found bad
	Ref           string // where in the lane
	Class, Reason string
	SchemaVersion int
	Raw           string // of a DeadPart: the rows as spooled, see packDead
	File          string // in data_dir/dead, when Raw is there
	Bytes         int64  // of Raw
	Mapping       int    // version of the stream's mapping
	Weir          string // version of Weir, and so of its connectors

	App string

	// Of a DeadPart only.
	Sink, Table      string
	Batch            string // that the rows were in
	Rows             int64
	MinTime, MaxTime schemas.Time
	Proof            Proof
}

// KindSize is how much of one kind is kept: rows, pages or files, and bytes.
type KindSize struct {
	Kind        string
	Rows, Bytes int64
}
