package pipeline

import (
	"context"
	"slices"
	"time"

	"weir/schemas"
)

// ActionStore reads what governance keeps. What Data holds is governance's.
type ActionStore interface {
	// Action returns one action; false when it is not known.
	Action(ctx context.Context, id string) (ActionRecord, bool, error)
	// Actions returns actions, the newest first.
	Actions(ctx context.Context, openOnly bool, limit int) ([]ActionRecord, error)
	// DueActions returns an instance's open actions that are due, in order of
	// receipt.
	DueActions(ctx context.Context, instance string, now time.Time, limit int) ([]ActionRecord, error)
	// ActionsOn returns the actions on one target received since, and those
	// still open, in order of receipt.
	ActionsOn(ctx context.Context, instance, kind, target string, since time.Time) ([]ActionRecord, error)
	// ActionsStarted counts the actions that have begun to write since, and the
	// different targets of kind account among them, of an instance and a
	// principal ("": all).
	ActionsStarted(ctx context.Context, instance, principal string, since time.Time) (n, accounts int64, err error)
	// ActionsOpen counts a principal's open actions.
	ActionsOpen(ctx context.Context, principal string) (int64, error)
	// ActionEntries returns entries of the action log from a number on; of one
	// action, or of all ("").
	ActionEntries(ctx context.Context, action string, from int64, limit int) ([]ActionEntry, error)
	// ActionHead returns the newest entry; the zero one when there is none.
	ActionHead(ctx context.Context) (ActionEntry, error)
	// EntityRows counts the rows known of an entity table.
	EntityRows(ctx context.Context, instance, table string) (int64, error)
}

// ActionTx writes what governance keeps.
type ActionTx interface {
	PutAction(a ActionRecord) error
	// AddActionEntry adds an entry whose number must be new.
	AddActionEntry(e ActionEntry) error
}

// ActionRecord is an action and what it is looked up by.
type ActionRecord struct {
	ID, Instance, Action, Kind, Target string
	Principal                          string
	State                              string
	Open                               bool
	Due                                time.Time
	Received                           time.Time
	Started                            time.Time // of its first write; zero before
	Data                               []byte
}

// ActionEntry is an entry of the action log.
type ActionEntry struct {
	Seq      int64
	ActionID string
	Data     []byte
}

// Emit delivers rows that are no connector's, in one transaction with apply: they
// reach every sink exactly when apply's changes stand. It returns when both are
// durable, or when the pipeline has failed; the end of ctx does not end it, so
// that its outcome is always known.
func (p *Pipeline) Emit(ctx context.Context, app, instance string, table *schemas.Table, rows *schemas.Rows, apply func(Tx) error) error {
	e := newEncoder(p, &StreamRun{StreamOptions: StreamOptions{ID: StreamID{Instance: instance}, App: app}, p: p})
	index := make([]int32, rows.Len(table))
	for i := range index {
		index[i] = int32(i)
	}
	ch := &change{apply: apply}
	for part := range slices.Chunk(index, maxBatchRows) {
		b, err := e.batch(table, rows, part, false, p.clock.Now())
		if err != nil {
			return err
		}
		ch.batches = append(ch.batches, b)
	}
	result := make(chan error, 1)
	ch.done = func(err error) { result <- err }
	p.committer.submit(context.WithoutCancel(ctx), ch)
	select {
	case err := <-result:
		return err
	case <-p.failure.Done():
		return context.Cause(p.failure)
	}
}
