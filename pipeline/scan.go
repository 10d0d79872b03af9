package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

const (
	maxRoundAge   = 24 * time.Hour      // an older round is given up: what it saw first is no longer true
	giveUpAfter   = 12                  // failures in a row of a round's last lanes
	keepRemoved   = 30 * 24 * time.Hour // how long a removed row is remembered
	maxAsks       = 200                 // rows a round asks the vendor for
	guardRows     = 20                  // removals that pass unguarded
	guardShare    = 20                  // one in so many rows removed holds the removals
	rowsPerChange = 1000                // removed or marked by one transaction
)

// scan runs the rounds of one scan stream. A round lists the lanes and reads
// each to its end; what it showed is compared with what was last delivered, row
// by row, and its end decides what is gone. Between rounds the lanes' deltas are
// read.
type scan struct {
	r      *StreamRun
	p      *Pipeline
	st     ScanState // changed by run alone, while no lane is read
	tables []*scanTable
	enc    *encoder

	page sync.Mutex // one page at a time is compared, encoded and queued

	overMu sync.Mutex
	over   map[keyHash]*onItsWay

	mu      sync.Mutex
	reading map[int64]string // lanes' ids
	changed map[int64]bool   // of a single run: lanes whose deltas it has read

	hurried atomic.Bool // roused, and has no deltas: the next round begins early
	unseen  unseen
}

// unseen counts the round's lanes of which nothing can be seen.
type unseen struct {
	mu        sync.Mutex
	lanes     int
	lane, why string // of one of them
}

func (u *unseen) note(lane, why string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.lanes++
	u.lane, u.why = lane, strings.Clone(why)
}

// take returns what was counted, and begins anew.
func (u *unseen) take() (lanes int, lane, why string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	lanes, lane, why = u.lanes, u.lane, u.why
	u.lanes, u.lane, u.why = 0, "", ""
	return lanes, lane, why
}

// scanTable is one table of a scan.
type scanTable struct {
	table   *schemas.Table
	print   *schemas.Fingerprinter
	scope   int64
	layout  int64
	layouts map[int64][]int // where each of today's columns was; -1 nowhere
	last    int64           // the highest row number used
	seen    rowSet          // rows that the open round has shown
	copied  int64           // rows that went into the open round's snapshot
	active  []string        // sinks that get changes
	syncing []string        // sinks that get every row
}

// onItsWay is a row whose change is not committed yet.
type onItsWay struct {
	Baseline
	pending int
}

func newScan(r *StreamRun) *scan {
	s := &scan{r: r, p: r.p, enc: newEncoder(r.p, r), over: map[keyHash]*onItsWay{}, reading: map[int64]string{}, changed: map[int64]bool{}}
	for _, t := range r.tables {
		if t.Entity {
			s.tables = append(s.tables, &scanTable{table: t, print: schemas.NewFingerprinter(t, r.p.seenKey)})
		}
	}
	return s
}

// every is the interval between deltas, or between rounds where there are none.
func (s *scan) every() time.Duration { return s.r.Every }

// fullEvery is how long what was read in full stands; 0: until the next round.
func (s *scan) fullEvery() time.Duration { return cmp.Or(s.r.FullEvery, s.r.Stream.Info.FullEvery) }

// roundEvery is the interval between rounds.
func (s *scan) roundEvery() time.Duration {
	if full := s.fullEvery(); full > 0 && s.r.Stream.Delta != nil {
		return full
	}
	return s.every()
}

// fails is how often a lane may fail in a row before a round goes on without it.
func (s *scan) fails() int {
	if s.r.Once {
		return onceAttempts
	}
	return giveUpAfter
}

// run runs rounds and deltas until ctx ends; with Once, one complete round.
func (s *scan) run(ctx context.Context) error {
	if err := s.load(ctx); err != nil {
		return err
	}
	for failures := 0; ; {
		next, err := s.pass(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && stopsStream(err):
			return err
		case err == nil && s.r.Once && !s.st.Open && s.st.Last != nil && s.st.Last.ID == s.st.ID && !s.newcomers():
			return nil
		case err != nil && s.r.Once && (errors.Is(err, errGivenUp) || failures+1 >= onceAttempts && fault.RetryAfter(err) == 0):
			return err
		}
		wait := next.Sub(s.p.clock.Now())
		if err != nil {
			wait = min(firstLaneWait<<min(failures, 20), maxLaneWait)
			wait = max(wait/2+mathrand.N(wait), fault.RetryAfter(err))
			if fault.RetryAfter(err) == 0 { // waiting as asked is no failed attempt
				failures++
			}
			s.p.log.Error("scan failed; trying again", "instance", s.r.ID.Instance, "stream", s.r.ID.Stream, "attempt", failures, "error", err)
		} else {
			failures = 0
		}
		if wait <= 0 {
			continue
		}
		select {
		case <-s.p.clock.After(wait):
		case <-s.r.wake:
		case <-s.r.roused:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-s.p.failure.Done():
			return context.Cause(s.p.failure)
		}
	}
}

// load takes up what the state holds.
func (s *scan) load(ctx context.Context) (err error) {
	// What an earlier run of this stream has queued is committed first.
	s.p.committer.flush()
	if err := s.p.committer.update(ctx, func(Tx) error { return nil }); err != nil {
		return err
	}
	if s.st, err = s.p.state.Scan(ctx, s.r.ID); err != nil {
		return err
	}
	layouts, err := s.p.state.Layouts(ctx)
	if err != nil {
		return err
	}
	err = s.p.committer.update(ctx, func(tx Tx) (err error) {
		for _, t := range s.tables {
			if t.scope, err = tx.Scope(s.r.ID, t.table.Name); err != nil {
				return err
			}
			if t.layout, err = tx.Layout(strings.Join(t.print.Columns(), " ")); err != nil {
				return err
			}
		}
		if s.r.Once {
			if err := tx.DueDeltas(s.r.ID, s.p.clock.Now()); err != nil {
				return err
			}
		}
		return tx.ReviveLanes(s.r.ID, s.st.Round, s.p.clock.Now())
	})
	if err != nil {
		return err
	}
	for _, t := range s.tables {
		t.layouts = map[int64][]int{}
		for num, columns := range layouts {
			old := strings.Fields(columns)
			for _, c := range t.print.Columns() {
				t.layouts[num] = append(t.layouts[num], slices.Index(old, c))
			}
		}
		if t.last, err = s.p.state.LastRow(ctx, t.scope); err != nil {
			return err
		}
		t.seen.clear()
		if s.st.Open {
			packed, copied, err := s.p.state.RoundSeen(ctx, t.scope)
			if err != nil {
				return err
			}
			for _, b := range packed {
				t.seen.addPacked(b)
			}
			t.copied = copied
		}
		if err := s.address(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// address finds out which sinks a table's rows go to.
func (s *scan) address(ctx context.Context, t *scanTable) error {
	synced, err := s.p.state.Synced(ctx, s.r.ID.Instance, t.table.Name)
	if err != nil {
		return err
	}
	t.active, t.syncing = []string{}, []string{}
	for _, name := range s.p.sinkNames {
		if _, ok := synced[name]; ok {
			t.active = append(t.active, name)
		}
		if s.st.Open && slices.Contains(s.st.Syncing[t.table.Name], name) {
			t.syncing = append(t.syncing, name)
		}
	}
	return nil
}

// unsynced returns the sinks, by table, that have not had every row.
func (s *scan) unsynced(ctx context.Context) (map[string][]string, error) {
	out := map[string][]string{}
	for _, t := range s.tables {
		synced, err := s.p.state.Synced(ctx, s.r.ID.Instance, t.table.Name)
		if err != nil {
			return nil, err
		}
		for _, name := range s.p.sinkNames {
			if !synced[name] {
				out[t.table.Name] = append(out[t.table.Name], name)
			}
		}
	}
	return out, nil
}

// newcomers reports whether a sink waits for a first round.
func (s *scan) newcomers() bool {
	for _, t := range s.tables {
		if len(t.active) < len(s.p.sinkNames) {
			return true
		}
	}
	return false
}

// pass does what is due, and says when something is due again.
func (s *scan) pass(ctx context.Context) (next time.Time, err error) {
	r := s.r
	if r.tenant == "" && r.Tenant != nil {
		if r.tenant, err = r.Tenant(ctx); err != nil {
			return next, err
		}
	}
	if err := s.decide(ctx); err != nil {
		return next, err
	}
	if s.st.Open && elapsed(s.p.clock.Now(), s.st.Started, maxRoundAge) {
		if err := s.giveUp(ctx, fault.New(fault.Transient, "the round began %s ago: it is begun anew", s.p.clock.Since(s.st.Started).Round(time.Second))); err != nil {
			return next, err
		}
	}
	if !s.st.Open && !s.roundDue().After(s.p.clock.Now()) {
		if err := s.begin(ctx); err != nil {
			return next, err
		}
	}
	run := r.runs.begin()
	run.mode, run.id = "scan", s.st.ID
	if !s.st.Open {
		run.mode, run.id = "delta", ""
	}
	err = s.read(ctx)
	if ctx.Err() != nil {
		return next, context.Cause(ctx)
	}
	counts, cerr := s.p.state.ScanCounts(ctx, r.ID, s.st.Round, s.fails())
	if cerr != nil {
		return next, errors.Join(err, cerr)
	}
	lanes := LaneCounts{Open: counts.Open, Failing: counts.Failing + counts.Passed, Done: counts.Listed - counts.Open - counts.Passed}
	for status, n := range map[string]int64{"open": lanes.Open, "done": lanes.Done, "failing": lanes.Failing} {
		s.p.metrics.lanes.WithLabelValues(r.ID.Instance, r.ID.Stream, status).Set(float64(n))
	}
	switch {
	case err != nil:
		return next, errors.Join(err, r.runs.end(ctx, run, lanes, err))
	case !s.st.Open:
		err = r.runs.end(ctx, run, lanes, nil)
	case s.st.Listed && counts.Open == 0 && counts.Passed > 0 && counts.Passed == counts.Listed:
		why := s.passed(ctx, counts)
		if err = s.giveUp(ctx, why); err == nil && (r.Once || stopsStream(why)) {
			err = why
		}
	case s.st.Listed && counts.Open == 0:
		if err = s.finish(ctx, run, lanes, counts); err == nil && r.Once && counts.Passed > 0 {
			err = s.passed(ctx, counts)
		}
	case s.st.Listed && counts.Open == counts.GivenUp: // of a stream of one lane
		why := s.failing(ctx, counts)
		if err = s.giveUp(ctx, why); err == nil && r.Once {
			err = fmt.Errorf("%w: %w", errGivenUp, why)
		}
	}
	if err != nil {
		return next, err
	}
	next = s.roundDue()
	if s.st.Open {
		next = counts.Next
	} else if r.Once {
		return next, nil
	}
	for _, due := range []time.Time{counts.Next, counts.Delta} {
		if !r.Once && !due.IsZero() && due.Before(next) {
			next = due
		}
	}
	if now := s.p.clock.Now(); next.After(now.Add(r.far())) {
		next = now // of a clock that was ahead
	}
	if err := r.checkSkew(ctx); err != nil {
		return next, err
	}
	return next, s.p.tidy(ctx, s.p.committer.update)
}

var errGivenUp = errors.New("the round is not complete")

// failing words what a round goes without.
func (s *scan) failing(ctx context.Context, counts ScanCounts) error {
	lanes, err := s.p.state.LaneErrors(ctx, 100)
	for _, l := range lanes {
		if l.StreamID == s.r.ID {
			return errors.Join(fmt.Errorf("%d lanes could not be read, such as %q: %s", counts.GivenUp, l.Lane.ID, l.Error), err)
		}
	}
	return errors.Join(fmt.Errorf("%d lanes could not be read", counts.GivenUp), err)
}

// passed words which lanes a round goes without: the class is that of a lane
// that the credentials do not allow, if there is one.
func (s *scan) passed(ctx context.Context, counts ScanCounts) error {
	lanes, err := s.p.state.LaneErrors(ctx, 1000)
	lanes = slices.DeleteFunc(lanes, func(l LaneState) bool { return l.StreamID != s.r.ID })
	for _, l := range lanes {
		if class := fault.Class(l.Class); class == fault.Forbidden || class == fault.NotLicensed {
			return errors.Join(fault.New(class, "%d of %d lanes are refused or could not be read, such as %q: %s", counts.Passed, counts.Listed, l.Lane.ID, l.Error), err)
		}
	}
	what := fmt.Errorf("%w: %d of %d lanes could not be read", errGivenUp, counts.Passed, counts.Listed)
	if len(lanes) > 0 {
		what = fmt.Errorf("%w, such as %q: %s", what, lanes[0].Lane.ID, lanes[0].Error)
	}
	return errors.Join(what, err)
}

// hurry is the part of the interval between rounds after which the next begins
// when a scan is roused that has no deltas.
const hurry = 6

// roundDue says when the next round begins.
func (s *scan) roundDue() time.Time {
	switch {
	case s.st.Round == 0 || s.r.Once || s.st.Started.After(s.p.clock.Now()):
		return time.Time{}
	case s.newcomers():
		return s.st.Started.Add(min(s.every(), s.roundEvery()))
	case s.hurried.Load():
		return s.st.Started.Add(s.roundEvery() / hurry)
	}
	return s.st.Started.Add(s.roundEvery())
}

// sight asks who looks.
func (s *scan) sight(ctx context.Context) (Sight, error) {
	v := Sight{Tenant: s.r.tenant, Filter: s.r.Filter, Mapping: s.r.Stream.Info.Mapping}
	if s.r.Identity == nil {
		return v, nil
	}
	who, err := s.r.Identity(ctx)
	if err != nil {
		return v, fmt.Errorf("asking %s whom it takes the credentials for: %w", s.r.ID.Instance, err)
	}
	v.ID, v.Roles = who.ID, slices.Clone(who.Roles)
	slices.Sort(v.Roles)
	v.Roles = slices.Compact(v.Roles)
	return v, nil
}

// begin begins a round.
func (s *scan) begin(ctx context.Context) error {
	sight, err := s.sight(ctx)
	if err != nil {
		return err
	}
	syncing, err := s.unsynced(ctx)
	if err != nil {
		return err
	}
	s.hurried.Store(false)
	now := s.p.clock.Now().UTC()
	st := s.st
	st.Round++
	st.ID, st.Started, st.Open, st.Listed, st.Sight, st.Syncing, st.Copies = s.p.ids.New(), now, true, false, sight, syncing, nil
	for _, sink := range s.p.sinks {
		if sink.copyEvery > 0 && elapsed(now, st.Copied[sink.name], sink.copyEvery) {
			st.Copies = append(st.Copies, sink.name)
		}
	}
	err = s.p.committer.update(ctx, func(tx Tx) error {
		for _, t := range s.tables {
			if err := tx.ForgetRoundSeen(t.scope); err != nil {
				return err
			}
			for _, sink := range syncing[t.table.Name] {
				if err := tx.SetSynced(sink, t.table.Name, s.r.ID.Instance, false); err != nil {
					return err
				}
			}
		}
		if err := tx.SetListing(s.r.ID, ""); err != nil {
			return err
		}
		if err := failpoint.Hit(failpoint.ScanBegin); err != nil {
			return err
		}
		return tx.SetScan(s.r.ID, st)
	})
	if err != nil {
		return err
	}
	s.st = st
	for _, t := range s.tables {
		t.seen.clear()
		t.copied = 0
		if err := s.address(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// giveUp ends a round that is not complete: it removes nothing, and the next one
// begins anew. The error says why.
func (s *scan) giveUp(ctx context.Context, why error) error {
	st := s.st
	st.Open = false
	run := s.r.runs.begin()
	run.mode, run.id = "scan", st.ID
	err := s.r.runs.endWith(ctx, run, LaneCounts{}, why, nil, func(tx Tx) error {
		for _, t := range s.tables {
			if err := tx.ForgetRoundSeen(t.scope); err != nil {
				return err
			}
		}
		return tx.SetScan(s.r.ID, st)
	})
	if err != nil {
		return err
	}
	s.st = st
	for _, t := range s.tables {
		t.seen.clear()
		if err := s.address(ctx, t); err != nil {
			return err
		}
	}
	s.p.log.Warn("a round of a scan was given up; nothing is removed by it", "instance", s.r.ID.Instance, "stream", s.r.ID.Stream, "error", why)
	return nil
}

// fresh is the time since when a lane must have been read for its rows to stand
// while its hint does.
func (s *scan) fresh() time.Time {
	if len(s.st.Copies) > 0 {
		return farFuture // every row must be shown
	}
	for _, sinks := range s.st.Syncing {
		if len(sinks) > 0 {
			return farFuture
		}
	}
	return s.st.Started.Add(-s.fullEvery())
}

var farFuture = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// list takes up the round's listing where it was left.
func (s *scan) list(ctx context.Context, found chan struct{}) error {
	if s.st.Listed {
		return nil
	}
	add := func(page *sources.LanePage) error {
		st := s.st
		st.Listed = page.Complete
		err := s.p.committer.update(ctx, func(tx Tx) error {
			if err := tx.AddScanLanes(s.r.ID, st.Round, page.Lanes, s.p.clock.Now(), s.fresh()); err != nil {
				return err
			}
			if err := tx.SetListing(s.r.ID, page.Next); err != nil || !st.Listed {
				return err
			}
			return tx.SetScan(s.r.ID, st)
		})
		if err == nil {
			s.page.Lock()
			s.st.Listed = st.Listed
			s.page.Unlock()
		}
		return err
	}
	if s.r.Stream.Lanes == nil {
		return add(&sources.LanePage{Lanes: []sources.Lane{{}}, Complete: true})
	}
	cursor, err := s.p.state.Listing(ctx, s.r.ID)
	if err != nil {
		return err
	}
	return s.r.guard("listing", func() error {
		complete := false
		var same sameness
		for page, err := range s.r.Stream.Lanes(ctx, cursor) {
			if err == nil {
				err = failpoint.Hit(failpoint.Listing)
			}
			if fault.Of(err) == fault.Expired {
				err = errors.Join(err, s.p.committer.update(ctx, func(tx Tx) error { return tx.SetListing(s.r.ID, "") }))
			}
			if err != nil {
				s.r.countError(err)
				return fmt.Errorf("listing %s: %w", s.r.ID, err)
			}
			if err := s.r.checkLanes(page); err != nil {
				return err
			}
			if err := same.lanes(cursor, page); err != nil {
				return fmt.Errorf("listing %s: %w", s.r.ID, err)
			}
			cursor = page.Next
			s.r.Stats.Listed.Add(int64(len(page.Lanes)))
			if err := add(page); err != nil {
				return err
			}
			poke(found)
			s.r.Stats.Requests.Add(page.Requests)
			if page.Complete {
				complete = true
				break
			}
		}
		if !complete {
			return fault.New(fault.Transient, "listing %s: it ended without being complete", s.r.ID)
		}
		return nil
	})
}
