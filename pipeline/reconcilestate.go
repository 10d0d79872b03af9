package pipeline

import "context"

// ReconcileStore is the part of the state that reconciling with sinks uses.
type ReconcileStore interface {
	// OwedBatches returns the batches a sink has still to get, planned or not, in order.
	OwedBatches(ctx context.Context, sink string) ([]OwedBatch, error)
	// LastDelivered returns the newest delivered part of a sink's table.
	LastDelivered(ctx context.Context, sink, table string) (string, error)
	// HeldHours returns what AddHeld has put aside.
	HeldHours(ctx context.Context) ([]HeldHour, error)
	// HeldIDs returns one hour's ids put aside, by sink.
	HeldIDs(ctx context.Context, h HeldHour) (map[string][][]byte, error)
	// SeenPartly returns the ids of an hour that some sinks have and others do
	// not, by sink that has them.
	SeenPartly(ctx context.Context, s StreamID, hour int64) (map[string][][]byte, error)
	// LostBatches returns the batches of events that were lost with the spool
	// since the state was last reconciled: instances and times.
	LostBatches(ctx context.Context) ([]Batch, error)
	// Streams returns an instance's streams that have lanes or seen ids.
	Streams(ctx context.Context, instance string) ([]string, error)
}

// ReconcileTx is the part of a transaction that reconciling uses.
type ReconcileTx interface {
	// AddHeld puts ids aside that a sink holds; ForgetHeld forgets them all.
	AddHeld(sink string, h HeldHour, packed []byte) error
	ForgetHeld() error
	// ForgetHour forgets the ids seen of an hour, in all streams of an instance.
	ForgetHour(h HeldHour) error
	// AddSeenPartly remembers ids that a sink has and others have not.
	AddSeenPartly(s StreamID, hour int64, sink string, packed []byte) error
	// LoseBatch takes a batch that the spool does not hold any more out of a
	// planned part, and keeps a dead letter that names its rows.
	LoseBatch(sink, part string, b Batch, dead DeadLetter) error
	// RenameInstance gives what is remembered of an instance another name.
	RenameInstance(old, name string) error
	// Reconcile takes over what the sinks hold. It returns the spool segments
	// that no sink needs any more.
	Reconcile(r reconciliation) (freed []string, err error)
}

// OwedBatch is a batch, and the part it is planned in; "" for none.
type OwedBatch struct {
	Batch
	Part string
}

// HeldHour names an hour of an instance's events.
type HeldHour struct {
	Instance string
	Hour     int64
}

// reconciliation is what the sinks told of themselves.
type reconciliation struct {
	generation, version int64
	parts               []PartState        // the newest part of each sink and table, where the sink is ahead
	finished            []string           // parts planned that are delivered
	dissolved           []string           // parts planned whose place in the chain is taken: their batches wait again
	delivered           map[string][]int64 // batches, in no part or in one that is dissolved, that a sink has, by sink
	filled              []string           // sinks that got rows by a fill that the state has forgotten
	now                 int64              // milliseconds
}
