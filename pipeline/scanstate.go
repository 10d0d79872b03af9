package pipeline

import (
	"context"
	"slices"
	"time"

	"weir/sources"
)

// ScanStore is the part of the state that scans use.
type ScanStore interface {
	// Scan returns what a scan stream remembers; the zero ScanState at first.
	Scan(ctx context.Context, s StreamID) (ScanState, error)
	// OpenLanes returns the lanes of a round that are still to be read and due
	// by now, the longest due first, but for those that failed too often.
	OpenLanes(ctx context.Context, s StreamID, round int64, now, far time.Time, fails, limit int) ([]ScanLane, error)
	// DeltaLanes returns the lanes, read in full, whose delta is due by now.
	DeltaLanes(ctx context.Context, s StreamID, round int64, now, far time.Time, limit int) ([]ScanLane, error)
	// ScanCounts counts a round's lanes.
	ScanCounts(ctx context.Context, s StreamID, round int64, fails int) (ScanCounts, error)
	// ReadLanes returns the numbers of a round's lanes: true for those that it
	// has read, false for those that stand as they are.
	ReadLanes(ctx context.Context, s StreamID, round int64) (map[int64]bool, error)
	// Layouts returns the lists of columns that fingerprints belong to.
	Layouts(ctx context.Context) (map[int64]string, error)
	// LanesKnown counts a stream's lanes, listed by the newest round or not.
	LanesKnown(ctx context.Context, s StreamID) (int64, error)
	// LastRow returns the highest row number of a scope.
	LastRow(ctx context.Context, scope int64) (int64, error)
	// Baselines looks rows up by their keys' hashes. Their key texts are left
	// out.
	Baselines(ctx context.Context, keys []keyHash) ([]Baseline, error)
	// BaselinesOf returns rows by number, whole.
	BaselinesOf(ctx context.Context, scope int64, rows []int64) ([]Baseline, error)
	// EachBaseline visits all rows of a scope, in the order of their numbers,
	// without key, data and key text.
	EachBaseline(ctx context.Context, scope int64, visit func(*Baseline)) error
	// RoundSeen returns the packed rows that the open round has shown, and how
	// many went into its snapshot.
	RoundSeen(ctx context.Context, scope int64) (packed [][]byte, copied int64, err error)
	// Synced returns the sinks that get a table's changes: true for those that
	// have had every row.
	Synced(ctx context.Context, instance, table string) (map[string]bool, error)
}

// ScanTx is the part of a transaction that scans use.
type ScanTx interface {
	SetScan(s StreamID, st ScanState) error
	// AddScanLanes records lanes that a round's listing shows. One whose hint is
	// that of its last complete reading, after fresh, stands as it is.
	AddScanLanes(s StreamID, round int64, lanes []sources.Lane, now, fresh time.Time) error
	SetScanLane(l ScanLane) error
	// ReviveLanes forgets the failures of a round's lanes.
	ReviveLanes(s StreamID, round int64, now time.Time) error
	// DueDeltas makes the deltas of all a stream's lanes due.
	DueDeltas(s StreamID, now time.Time) error
	// ForgetHint has a lane read in the next round, whatever its hint.
	ForgetHint(lane int64) error
	// ForgetScanLanes removes the lanes that a complete round did not list.
	ForgetScanLanes(s StreamID, round int64) error
	// Scope returns the number of a stream's table, making one.
	Scope(s StreamID, table string) (int64, error)
	// Layout returns the number of a list of columns, making one.
	Layout(columns string) (int64, error)
	PutBaselines(rows []Baseline) error
	// MarkBaselines sets rows' missed and flags.
	MarkBaselines(scope int64, rows []int64, missed int64, flags rowFlags) error
	ForgetBaselines(scope int64, rows []int64) error
	AddRoundSeen(scope int64, packed []byte, copied int64) error
	ForgetRoundSeen(scope int64) error
	// SetSynced says that a sink gets a table's changes, and has had every row
	// if done.
	SetSynced(sink, table, instance string, done bool) error
}

// ScanState is what a scan stream remembers beside lanes and rows.
type ScanState struct {
	Round   int64     `json:"round"` // number of the newest round, 0 before the first
	ID      string    `json:"id"`    // its id, the scan_id of its rows
	Started time.Time `json:"started"`
	Open    bool      `json:"open"`
	Listed  bool      `json:"listed"` // its listing is complete
	Sight   Sight     `json:"sight"`
	// Syncing are the sinks, by table, that get every row of the open round.
	Syncing map[string][]string `json:"syncing,omitempty"`
	// Copies are the sinks that get a snapshot of the open round's rows.
	Copies []string `json:"copies,omitempty"`

	Last   *LastRound           `json:"last,omitempty"`   // the newest complete round
	Before *Sight               `json:"before,omitempty"` // what was seen when the rows now out of sight were
	Holds  map[string]Hold      `json:"holds,omitempty"`  // by table
	Copied map[string]time.Time `json:"copied,omitempty"` // when each sink last got a snapshot
}

// LastRound is a complete round.
type LastRound struct {
	ID             string    `json:"id"`
	Started, Ended time.Time `json:"-"`
	StartedMS      int64     `json:"started"`
	EndedMS        int64     `json:"ended"`
	Rows           int64     `json:"rows"` // that exist, in all tables
	Waiting        int64     `json:"waiting"`
	Sight          Sight     `json:"sight"`
}

// Sight is who looked, and at what: what a round can see depends on it.
type Sight struct {
	Tenant  string   `json:"tenant"`
	ID      string   `json:"id"`
	Roles   []string `json:"roles,omitempty"` // sorted
	Filter  string   `json:"filter,omitempty"`
	Mapping int      `json:"mapping,omitempty"`
}

func (s Sight) equal(o Sight) bool {
	return s.covers(o) && len(s.Roles) == len(o.Roles) && s.Mapping == o.Mapping
}

// covers reports whether s sees all that o saw.
func (s Sight) covers(o Sight) bool {
	for _, r := range o.Roles {
		if _, ok := slices.BinarySearch(s.Roles, r); !ok {
			return false
		}
	}
	return s.Tenant == o.Tenant && s.ID == o.ID && s.Filter == o.Filter
}

// Hold is what must not be removed before a person says so.
type Hold struct {
	Rows  int64     `json:"rows"`  // that were absent
	Total int64     `json:"total"` // rows of the table
	Since time.Time `json:"since"`
	Sight bool      `json:"sight"` // whoever looks sees less than before
}

// Decision is what a person says of a stream's held removals.
type Decision string

// Decisions.
const (
	Accept Decision = "accept" // remove what is still absent
	Reject Decision = "reject" // keep the rows, as if they had been seen
)

// ScanLane is a scan's lane as the state knows it.
type ScanLane struct {
	StreamID
	Num      int64
	Lane     sources.Lane
	Cursor   sources.Cursor
	Due      time.Time
	Fails    int
	Class    string // of Error
	Error    string
	Done     int64 // the newest round in which it was dealt with
	Read     int64 // the newest round that read it to its end
	ReadHint string
	ReadAt   time.Time
	Delta    sources.Cursor // where its changes go on; "" for none
	DeltaDue time.Time
}

// ScanCounts counts the lanes of a round.
type ScanCounts struct {
	Listed, Open, Failing, GivenUp int64
	Passed                         int64     // passed over: the round goes on without them
	Hidden                         int64     // of those, lanes that were read once: their rows are not shown
	Next                           time.Time // when the next open lane is due
	Delta                          time.Time // when the next delta is due
}
