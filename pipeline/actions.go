package pipeline

import (
	"context"
	"slices"
	"time"

	"weir/schemas"
)

// MetaGovernancePaused names the small value that says why nothing is carried
// out at vendors until a person says otherwise: "" in a state that is new,
// GovernanceResumed when a person has.
const (
	MetaGovernancePaused = "governance/paused"
	GovernanceResumed    = "-"
)

// ActionStore reads what governance keeps. What Data holds is governance's.
type ActionStore interface {
	OwnWriteStore
	// Action returns one action; false when it is not known.
	Action(ctx context.Context, id string) (ActionRecord, bool, error)
	// Actions returns actions, the newest first.
	Actions(ctx context.Context, openOnly bool, limit int) ([]ActionRecord, error)
	// DueActions returns an instance's open actions that are due, in order of
	// receipt.
	DueActions(ctx context.Context, instance string, now time.Time, limit int) ([]ActionRecord, error)
	// WatchedActions returns an instance's actions that are to be looked at again
	// by now, the longest due first.
	WatchedActions(ctx context.Context, instance string, now time.Time, limit int) ([]ActionRecord, error)
	// ActionsOn returns the actions on one target received since, and those
	// still open, in order of receipt.
	ActionsOn(ctx context.Context, instance, kind, target string, since time.Time) ([]ActionRecord, error)
	// ActionsStarted counts the actions that have begun to write within a day:
	// all of them, those of an instance and those of a principal.
	ActionsStarted(ctx context.Context, instance, principal string, now time.Time) (StartedActions, error)
	// AccountsActedOn counts an instance's accounts that actions have begun to
	// write to since.
	AccountsActedOn(ctx context.Context, instance string, since time.Time) (int64, error)
	// ActionsOpen counts a principal's open actions.
	ActionsOpen(ctx context.Context, principal string) (int64, error)
	// ActionEntries returns entries of the action log from a number on; of one
	// action, or of all ("").
	ActionEntries(ctx context.Context, action string, from int64, limit int) ([]ActionEntry, error)
	// ActionHead returns the newest entry; the zero one when there is none.
	ActionHead(ctx context.Context) (ActionEntry, error)
	// ActionDropped reports whether an id is of an action that was dropped.
	ActionDropped(ctx context.Context, id string) (bool, error)
	// OldActions returns ids of actions received before, the oldest first, which
	// are neither open nor looked at any more.
	OldActions(ctx context.Context, before time.Time, limit int) ([]string, error)
	// OldestEntry returns the number of the first entry of any action that is
	// known; 0 when there is none.
	OldestEntry(ctx context.Context) (int64, error)
	// EntityRows counts the rows known of an entity table.
	EntityRows(ctx context.Context, instance, table string) (int64, error)
}

// ActionTx writes what governance keeps.
type ActionTx interface {
	OwnWriteTx
	PutAction(a ActionRecord) error
	// AddActionEntry adds an entry whose number must be new.
	AddActionEntry(e ActionEntry) error
	// PauseGovernance stops it until a person resumes it. Why it was stopped
	// before, if it was, stays. What was written until now, the state does not
	// know of: logs are looked through from when governance goes on.
	PauseGovernance(why string) error
	// DropAction forgets an action, but not that its id was used.
	DropAction(id string) error
	// DropActionEntries forgets the entries up to a number.
	DropActionEntries(upTo int64) error
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
	Watch                              time.Time // when it is looked at again though it is final; zero never. Written, and not read back
	Data                               []byte
}

// StartedActions counts actions that have begun to write.
type StartedActions struct {
	Hour, Day                 int64 // within the last hour, and day
	InstanceHour, InstanceDay int64
	PrincipalHour             int64
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
func (p *Pipeline) Emit(ctx context.Context, app, instance string, rows *schemas.Rows, apply func(Tx) error) error {
	tenant, err := p.state.Meta(ctx, metaTenant+instance)
	if err != nil {
		return err
	}
	e := newEncoder(p, &StreamRun{StreamOptions: StreamOptions{ID: StreamID{Instance: instance}, App: app}, p: p, tenant: tenant})
	ch := &change{apply: apply}
	for _, table := range schemas.Tables() {
		index := make([]int32, rows.Len(table))
		for i := range index {
			index[i] = int32(i)
		}
		for part := range slices.Chunk(index, maxBatchRows) {
			b, err := e.batch(table, rows, part, false, p.clock.Now())
			if err != nil {
				return err
			}
			ch.batches = append(ch.batches, b)
		}
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
