package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

const (
	maxOpenLanes  = 4096             // a listing pauses while more lanes wait to be read
	pagesInFlight = 2                // of one lane, read and not yet committed
	shortWait     = 5 * time.Second  // a round waits this long for a lane that is due soon
	onceAttempts  = 6                // of a lane, before a single run leaves it
	maxLaneWait   = 15 * time.Minute // between attempts at a failing lane
	firstLaneWait = 500 * time.Millisecond
	upkeepEvery   = time.Hour
)

// StreamOptions says what to run.
type StreamOptions struct {
	ID       StreamID
	App      string
	Tenant   func(context.Context) (string, error) // asked before each round until it is known
	Stream   sources.Stream
	Every    time.Duration
	Parallel int  // lanes read at once
	DropRaw  bool // send no raw column
	Once     bool // one complete round, retrying what fails a few times

	// OwnWrite, of a log, returns what is to be kept of an event that says that
	// Weir's own credentials have written; nil of any other. It is called for
	// each new event, and keeps nothing of it. nil: none is looked for.
	OwnWrite func(*schemas.Activity) []byte

	Sweep []time.Duration // ages at which windows of a log are read again; nil: the usual ones

	// Of scans.
	FullEvery time.Duration                                   // between complete rounds; 0: the stream's
	Identity  func(context.Context) (sources.Identity, error) // whom the vendor takes the credentials for; nil: not known
	Filter    string                                          // what the configuration leaves out: another one sees something else
}

// StreamRun is a stream at work.
type StreamRun struct {
	StreamOptions
	p      *Pipeline
	lanes  StreamID // under which its lanes are kept: its ID, but for the past's
	tenant string
	tables []*schemas.Table
	caller httpx.Caller
	seen   *seenIDs
	Stats  StreamStats
	wake   chan struct{} // look again: list, and read what is due
	roused chan struct{} // a lane is due before its time
	upkeep time.Time
	mark   atomic.Int64 // a single lane's watermark, once this round has read it to its end; 0 before
	runs   runLog
	scan   *scan // of scans, else nil

	mu      sync.Mutex
	reading map[string]bool
	again   map[string]bool     // lanes roused while they are read
	same    map[string]sameness // lanes stuck at a page
	ahead   map[string]*aheadLane
	began   *int64 // from when a reading that began anew reads, until that is covered
}

// StreamStats counts what a stream did since the process started.
type StreamStats struct {
	Rows, Duplicates, Conflicts, Unproven, Late, Rejected atomic.Int64
	Pages                                                 atomic.Int64
	*httpx.Counts                                                      // calls to the vendor; what a page tells of itself is added
	BytesOut                                              atomic.Int64 // handed to the sinks, as spooled
	LanesRead, LanesFailed, LanesParked                   atomic.Int64
	Listed                                                atomic.Int64 // lanes new in a listing
	Seen, Removed, Held, Stale                            atomic.Int64 // of scans: rows shown, removed, held at the last round's end, and older than what is known
	CoveredTo                                             atomic.Int64 // milliseconds; 0 unknown
}

// aheadLane is what a lane will be once its changes are committed.
type aheadLane struct {
	LaneState
	pending int
}

// NewStreamRun prepares a stream to run. Its instance, stream and tables name
// its rows.
func (p *Pipeline) NewStreamRun(o StreamOptions) (*StreamRun, error) {
	r := &StreamRun{
		StreamOptions: o, p: p, lanes: o.ID, seen: newSeenIDs(p.state, o.ID, p.seenKey, &p.seenRoom), wake: make(chan struct{}, 1), roused: make(chan struct{}, 1),
		reading: map[string]bool{}, again: map[string]bool{}, same: map[string]sameness{}, ahead: map[string]*aheadLane{},
	}
	r.runs.r = r
	r.caller.Stream = o.ID.Stream
	r.Stats.Counts = &r.caller.Counts
	for _, name := range o.Stream.Info.Tables {
		t := schemas.ByName(name)
		if t == nil {
			return nil, fault.New(fault.Permanent, "stream %s fills table %q, which is not declared", o.ID, name)
		}
		r.tables = append(r.tables, t)
	}
	p.metrics.counts.Store(o.ID, r.Stats.Counts)
	p.runs.Store(o.ID, r)
	if o.Stream.Info.Shape == sources.Scan {
		r.scan = newScan(r)
	}
	return r, nil
}

// Run collects until ctx ends; with Once, for one complete round. An error of
// class Auth, Forbidden or Permanent stops the stream; others never leave Run
// unless Once gave up on them.
func (r *StreamRun) Run(ctx context.Context) error {
	ctx = httpx.WithCaller(ctx, &r.caller)
	if err := r.takeUpLedger(ctx); err != nil {
		return err
	}
	if r.scan != nil {
		return r.scan.run(ctx)
	}
	if r.Stream.Past != nil && !r.Once {
		var past sync.WaitGroup
		pctx, stop := context.WithCancel(ctx)
		past.Go(func() { _ = r.runPast(pctx) }) // which ends with its context alone
		defer past.Wait()
		defer stop()
	}
	for {
		started := r.p.clock.Now()
		err := r.round(ctx)
		if err == nil && r.Once && r.Stream.Past != nil {
			err = r.pastOnce(ctx)
		}
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case r.Once || (err != nil && stopsStream(err)):
			return err
		case err != nil:
			r.p.log.Error("stream failed; trying again", "instance", r.ID.Instance, "stream", r.ID.Stream, "error", err)
		}
		wait := min(max(r.Every-r.p.clock.Since(started), fault.RetryAfter(err)), r.far())
		select {
		case <-r.p.clock.After(wait):
		case <-r.wake:
		case <-r.roused:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Wake has the stream look again now: what is not due yet stays so.
func (r *StreamRun) Wake() { poke(r.wake) }

// Rouse has lanes read now, of a scan their deltas, whenever they are due. One
// that is being read is read once more. Lanes that are not known, done or
// parked are passed over. Of a scan that has no deltas the next round begins
// early.
func (r *StreamRun) Rouse(ctx context.Context, lanes []string) error {
	if r.scan != nil && r.Stream.Delta == nil {
		r.scan.hurried.Store(true)
		poke(r.roused)
		return nil
	}
	r.mu.Lock()
	for _, id := range lanes {
		if r.reading[id] || r.scan != nil && r.scan.reads(id) {
			r.again[id] = true
		}
	}
	r.mu.Unlock()
	// Behind what has been submitted of these lanes.
	r.p.committer.flush()
	now := r.p.clock.Now()
	if err := r.p.committer.update(ctx, func(tx Tx) error { return tx.RouseLanes(r.ID, lanes, now) }); err != nil {
		return err
	}
	poke(r.roused)
	return nil
}

// nextDue is when a lane that has been read to its end is due again.
func (r *StreamRun) nextDue(lane string, now time.Time, every time.Duration) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.again[lane] {
		delete(r.again, lane)
		return now
	}
	return now.Add(every)
}

// rouseAgain rouses a lane that was roused while it was read, after it had been
// decided when it is due. What was decided is on its way to the state, and the
// lane is not being read any more.
func (r *StreamRun) rouseAgain(ctx context.Context, lane string) error {
	r.mu.Lock()
	again := r.again[lane]
	delete(r.again, lane)
	r.mu.Unlock()
	if !again || ctx.Err() != nil {
		return nil
	}
	return r.Rouse(ctx, []string{lane})
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func stopsStream(err error) bool {
	switch fault.Of(err) {
	case fault.Auth, fault.Forbidden, fault.NotLicensed, fault.Permanent:
		return true
	default:
		return false
	}
}

// round lists the lanes and reads those that are due. Listing and reading go on
// at the same time.
func (r *StreamRun) round(ctx context.Context) (err error) {
	if r.tenant == "" && r.Tenant != nil {
		if r.tenant, err = r.Tenant(ctx); err != nil {
			return err
		}
	}
	if r.Once {
		// What an earlier run has given up on is tried again.
		if err := r.p.committer.update(ctx, func(tx Tx) error { return tx.ReviveLogLanes(r.ID, r.p.clock.Now()) }); err != nil {
			return err
		}
	}
	run := r.runs.begin()
	r.mark.Store(0)
	found := make(chan struct{}, 1)
	var listed atomic.Bool
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := r.list(gctx, found, run)
		listed.Store(true)
		poke(found)
		return err
	})
	g.Go(func() error { return r.readDue(gctx, found, &listed) })
	err = g.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err == nil {
		err = r.checkSkew(ctx)
	}
	if r.Once {
		r.p.committer.flush()
		if err := r.settle(ctx); err != nil {
			return err
		}
	}
	counts, cerr := r.p.state.LaneCounts(ctx, r.ID)
	if cerr != nil {
		return errors.Join(err, cerr)
	}
	if err == nil && r.Once && counts.Open > 0 && counts.Failing > 0 {
		err = r.failing(ctx, counts)
	}
	if r.Stream.Lanes == nil {
		run.coveredTo = schemas.Time(r.mark.Load())
	}
	if e := r.runs.end(ctx, run, counts, err); e != nil {
		err = errors.Join(err, e)
	}
	if err == nil && counts.Failing == 0 {
		r.caughtUp()
	}
	for status, n := range map[string]int64{"open": counts.Open, "done": counts.Done, "parked": counts.Parked, "failing": counts.Failing} {
		r.p.metrics.lanes.WithLabelValues(r.ID.Instance, r.ID.Stream, status).Set(float64(n))
	}
	if err != nil {
		return err // what a listing not finished may show again is not forgotten
	}
	return r.maintain(ctx)
}

// caughtUp tells that the stream has all that its vendor shows.
func (r *StreamRun) caughtUp() {
	r.p.metrics.caughtUp.WithLabelValues(r.ID.Instance, r.ID.Stream).Set(float64(r.p.clock.Now().UnixMilli()) / 1000)
}

// failing words what a single run leaves unread.
func (r *StreamRun) failing(ctx context.Context, counts LaneCounts) error {
	err := fmt.Errorf("%d lanes could not be read", counts.Failing)
	lanes, lerr := r.p.state.LaneErrors(ctx, 100)
	for _, l := range lanes {
		if l.StreamID == r.lanes && l.Status == LaneOpen && l.Fails > 0 {
			return errors.Join(fmt.Errorf("%w, such as %s: %s", err, l.Lane.ID, l.Error), lerr)
		}
	}
	return errors.Join(err, lerr)
}

// list takes up the listing where it was left and records the lanes it shows.
func (r *StreamRun) list(ctx context.Context, found chan struct{}, run *runInfo) error {
	if r.Stream.Lanes == nil {
		run.listed(0, 0)
		return r.p.committer.update(ctx, func(tx Tx) error {
			return tx.AddLanes(r.ID, []sources.Lane{{}}, r.p.clock.Now())
		})
	}
	for {
		err := r.listOn(ctx, found, run)
		if !r.Once || fault.Of(err) != fault.Throttled {
			return err
		}
		select { // a single run waits as asked, as it does with lanes
		case <-r.p.clock.After(min(max(fault.RetryAfter(err), firstLaneWait), r.far())):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// listOn goes on with the listing, to its end or an error.
func (r *StreamRun) listOn(ctx context.Context, found chan struct{}, run *runInfo) error {
	cursor, err := r.p.state.Listing(ctx, r.ID)
	if err != nil {
		return err
	}
	return r.guard("listing", func() error {
		for page, err := range r.Stream.Lanes(ctx, cursor) {
			if err == nil {
				err = failpoint.Hit(failpoint.Listing)
			}
			if err != nil {
				r.countError(err)
				return fmt.Errorf("listing %s: %w", r.ID, err)
			}
			if err := r.addLanes(ctx, page); err != nil {
				return err
			}
			poke(found)
			r.Stats.Requests.Add(page.Requests)
			if page.Complete {
				run.listed(page.Since, page.CoveredTo)
				return nil
			}
			if err := r.roomForLanes(ctx); err != nil {
				return err
			}
		}
		return nil
	})
}

func (r *StreamRun) addLanes(ctx context.Context, page *sources.LanePage) error {
	if err := r.checkLanes(page); err != nil {
		return err
	}
	r.Stats.Listed.Add(int64(len(page.Lanes)))
	now := r.p.clock.Now()
	return r.p.committer.update(ctx, func(tx Tx) error {
		if err := tx.AddLanes(r.ID, page.Lanes, now); err != nil {
			return err
		}
		return tx.SetListing(r.ID, page.Next)
	})
}

// checkLanes refuses a page of a listing that the state would not take.
func (r *StreamRun) checkLanes(page *sources.LanePage) error {
	if len(page.Next) > sources.MaxCursor {
		return fault.New(fault.Permanent, "listing %s: a cursor of %d bytes, at most %d are allowed", r.ID, len(page.Next), sources.MaxCursor)
	}
	for _, l := range page.Lanes {
		if len(l.ID) > sources.MaxLaneID || len(l.Hint) > sources.MaxHint {
			return fault.New(fault.Permanent, "listing %s: lane %.80q: its id or hint is too long", r.ID, l.ID)
		}
	}
	return nil
}

// roomForLanes waits while many lanes are still to be read.
func (r *StreamRun) roomForLanes(ctx context.Context) error {
	for {
		counts, err := r.p.state.LaneCounts(ctx, r.lanes)
		if err != nil || counts.Open-counts.Failing < maxOpenLanes {
			return err
		}
		select {
		case <-r.p.clock.After(roomWait):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// readDue reads lanes as they fall due until the listing has ended and none is
// due soon.
func (r *StreamRun) readDue(ctx context.Context, found <-chan struct{}, listed *atomic.Bool) error {
	g, gctx := errgroup.WithContext(ctx)
	slots := make(chan *encoder, max(1, r.Parallel))
	for range cap(slots) {
		slots <- newEncoder(r.p, r)
	}
	finished := make(chan struct{}, cap(slots))
	var active atomic.Int64
	for {
		// Looked at before the lanes are: what ends meanwhile is seen next time.
		wasListed, wasIdle := listed.Load(), active.Load() == 0
		lanes, next, err := r.due(gctx)
		if err != nil {
			break
		}
		for _, l := range lanes {
			var enc *encoder
			select {
			case enc = <-slots:
			case <-gctx.Done():
				r.release(l.Lane.ID)
				continue
			}
			active.Add(1)
			g.Go(func() error {
				defer func() {
					slots <- enc
					active.Add(-1)
					poke(finished)
				}()
				err := r.readLane(gctx, l, enc)
				r.release(l.Lane.ID)
				if err == nil {
					err = r.rouseAgain(gctx, l.Lane.ID)
				}
				return err
			})
		}
		if gctx.Err() != nil {
			break
		}
		if len(lanes) > 0 {
			continue
		}
		var timer <-chan time.Time
		if !next.IsZero() {
			wait := next.Sub(r.p.clock.Now())
			if wait > shortWait && !r.Once {
				next = time.Time{}
			} else {
				timer = r.p.clock.After(max(wait, 0))
			}
		}
		if wasListed && wasIdle && next.IsZero() {
			break
		}
		select {
		case <-timer:
		case <-found:
		case <-finished:
		case <-r.roused:
		case <-gctx.Done():
		}
	}
	return g.Wait()
}

// due takes the lanes that can be read now, and says when the next one can.
func (r *StreamRun) due(ctx context.Context) (lanes []LaneState, next time.Time, err error) {
	now := r.p.clock.Now()
	horizon := now.Add(shortWait)
	if r.Once {
		horizon = now.Add(maxLaneWait)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	known, err := r.p.state.DueLanes(ctx, r.lanes, horizon, now.Add(r.far()), 4*max(1, r.Parallel)+len(r.ahead)+len(r.reading))
	if err != nil {
		return nil, next, err
	}
	for _, l := range known {
		if a, ok := r.ahead[l.Lane.ID]; ok && a.Lane.Hint == l.Lane.Hint {
			l = a.LaneState
		}
		if l.Due.After(now.Add(r.far())) {
			l.Due = now
		}
		switch {
		case r.reading[l.Lane.ID] || l.Status != LaneOpen:
		case r.Once && l.Fails >= onceAttempts:
		case !l.Lane.Once && l.Fails == 0 && (l.Class == "" || l.NotLicensed()) && l.Due.After(now):
			// Caught up in this round, or nothing to read. One that waits as the vendor asked is not.
		case l.Due.After(now):
			if next.IsZero() || l.Due.Before(next) {
				next = l.Due
			}
		default:
			r.reading[l.Lane.ID] = true
			lanes = append(lanes, l)
		}
	}
	return lanes, next, nil
}

func (r *StreamRun) release(lane string) {
	r.mu.Lock()
	delete(r.reading, lane)
	r.mu.Unlock()
}

// settle waits until all changes of lanes are committed.
func (r *StreamRun) settle(ctx context.Context) error {
	for {
		changed := r.p.changes()
		r.mu.Lock()
		n := len(r.ahead)
		r.mu.Unlock()
		if n == 0 {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-r.p.failure.Done():
			return context.Cause(r.p.failure)
		}
	}
}

// guard turns a connector's panic into an error.
func (r *StreamRun) guard(what string, fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fault.New(fault.BadData, "%s %s: the connector panicked: %v", what, r.ID, v)
			r.p.log.Error("panic in a connector", "instance", r.ID.Instance, "stream", r.ID.Stream, "panic", v, "stack", stack())
		}
	}()
	return fn()
}

func (r *StreamRun) countError(err error) {
	r.p.metrics.errors.WithLabelValues(r.ID.Instance, r.ID.Stream, string(fault.Of(err))).Inc()
}

// maintain forgets what need not be remembered any more, now and then.
func (r *StreamRun) maintain(ctx context.Context) error {
	now := r.p.clock.Now()
	if !elapsed(now, r.upkeep, upkeepEvery) {
		return nil
	}
	r.upkeep = now
	by, kept := now, func(Tx) error { return nil }
	if !r.Once { // runs of their own come apart as they like
		var err error
		if by, kept, err = r.p.forgetBy(ctx, r.ID.String(), r.Every); err != nil {
			return err
		}
	}
	keep := r.Stream.Info.Keep
	held, err := r.heldHours(ctx)
	if err != nil {
		return err
	}
	err = r.p.committer.update(ctx, func(tx Tx) error {
		if _, err := tx.ForgetLanes(r.ID, by.Add(-keep)); err != nil {
			return err
		}
		return kept(tx)
	})
	return errors.Join(err, r.p.tidy(ctx, r.p.committer.update), r.seen.maintain(ctx, r.p.committer.update, by, keep, held))
}
