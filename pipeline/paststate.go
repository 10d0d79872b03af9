package pipeline

import (
	"context"
	"time"
)

// PastStore is the part of the state that knows what of the past is to be read.
type PastStore interface {
	// PastTasks returns the tasks of a stream, or of all streams for the zero
	// StreamID, the oldest first.
	PastTasks(ctx context.Context, s StreamID) ([]PastTask, error)
	// PastTask returns one task. ok is false when there is none.
	PastTask(ctx context.Context, id int64) (t PastTask, ok bool, err error)
	// LaneRead returns the status of a Once lane under a hint: LaneOpen also
	// when there is none.
	LaneRead(ctx context.Context, s StreamID, lane, hint string) (LaneStatus, error)
}

// PastTx changes tasks.
type PastTx interface {
	// AddPast records a new task and sets its ID.
	AddPast(t *PastTask) error
	// SetPast records a task's progress. Its status changes only to done: what a
	// person has said meanwhile stands.
	SetPast(t PastTask) error
	// SetPastStatus stops or resumes a task; of one that is done, or not there,
	// it returns false.
	SetPastStatus(id int64, to PastStatus) (bool, error)
	// ClearPast forgets the lanes of a task's window.
	ClearPast(t PastTask) error
	// DropPast forgets a task and its lanes.
	DropPast(t PastTask) error
}

// PastMode says why a stretch of the past is read.
type PastMode string

// Modes, the most urgent first.
const (
	PastSweep    PastMode = "sweep"    // windows read again for what has come late
	PastRepair   PastMode = "repair"   // holes of the ledger
	PastBackfill PastMode = "backfill" // asked for by a person
)

// urgency orders modes.
func (m PastMode) urgency() int {
	switch m {
	case PastSweep:
		return 0
	case PastRepair:
		return 1
	case PastBackfill:
	}
	return 2
}

// runMode is the mode of the collection_runs rows of a task's windows.
func (m PastMode) runMode() string {
	if m == PastSweep {
		return "sweep"
	}
	return "backfill"
}

// PastStatus says whether a task is being worked on.
type PastStatus string

// Statuses of tasks.
const (
	PastOpen    PastStatus = "open"
	PastStopped PastStatus = "stopped" // by a person, and until one resumes it
	PastDone    PastStatus = "done"
)

// PastTask is a stretch of a stream's past that is to be read, window by
// window, the newest first.
type PastTask struct {
	ID       int64 `json:"id"`
	StreamID `json:"of"`
	Mode     PastMode   `json:"mode"`
	Status   PastStatus `json:"status"`
	Span     Span       `json:"span"` // what was asked for
	Left     time.Time  `json:"left"` // of the span, what is before this is still to be read

	Created time.Time     `json:"created"`
	Ended   time.Time     `json:"ended,omitzero"`
	Windows int           `json:"windows"` // to be read, as was known when the task was made
	Done    int           `json:"done"`    // windows read
	Took    time.Duration `json:"took"`    // at work on them

	Lanes      int64  `json:"lanes"`
	Rows       int64  `json:"rows"`
	Duplicates int64  `json:"duplicates"` // events that had been sent before
	Parked     int64  `json:"parked"`     // lanes that could not be read; their windows stay open in the ledger
	Error      string `json:"error"`      // why it does not get on; "" when it does

	Age    time.Duration `json:"age"`            // of sweeps: how old windows are when they are read again
	Window Span          `json:"window"`         // under way; empty: none
	Since  time.Time     `json:"since,omitzero"` // when its reading began
	Listed bool          `json:"listed"`         // its lanes are all known
	Unread int64         `json:"unread"`         // of its lanes, those that the live stream has parked
}

// ETA is how long the rest will take at the pace so far; 0: not known.
func (t PastTask) ETA() time.Duration {
	if t.Done == 0 || t.Windows <= t.Done {
		return 0
	}
	return t.Took / time.Duration(t.Done) * time.Duration(t.Windows-t.Done)
}

// lanesKey is where the task keeps its listing and lanes: apart from the live
// stream's, whose name has no slash.
func (t PastTask) lanesKey() StreamID { return pastKey(t.StreamID, t.ID) }
