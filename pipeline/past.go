package pipeline

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// A log's past is read beside its live rounds: in tasks, of windows of at most
// a day, the newest first. A window's lanes are kept under the task's own key,
// so live rounds know nothing of them; its rows go through the stream's memory
// of ids. Once all its lanes are read, one transaction covers the window in the
// ledger, tells of it in collection_runs, and forgets its lanes.
const (
	pastDay       = 24 * time.Hour
	pastShare     = 4                // of the lanes that may be read at once, the past gets one in so many
	pastLook      = time.Minute      // between looks for what is to be done
	pastSlack     = 5 * time.Minute  // by how much clocks may differ
	repairEvery   = 10 * time.Minute // between looks for holes
	firstPastWait = time.Second
	keepPast      = 30 * 24 * time.Hour // a backfill that is done is listed
	maxPastTasks  = 1000                // of a stream
)

var (
	errPastStopped = errors.New("the task was stopped")
	// ErrPastHeld refuses a backfill of which the ledger holds everything.
	ErrPastHeld = errors.New("the ledger holds all of it: there is nothing to collect")
)

// pastBoard is who reads what of the past in this process.
type pastBoard struct {
	mu      sync.Mutex
	running map[int64]context.CancelCauseFunc
	wakes   map[StreamID]chan struct{}
}

// wake is what has a stream look for tasks now.
func (b *pastBoard) wake(id StreamID) chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.wakes == nil {
		b.wakes = map[StreamID]chan struct{}{}
	}
	if b.wakes[id] == nil {
		b.wakes[id] = make(chan struct{}, 1)
	}
	return b.wakes[id]
}

func (b *pastBoard) set(id int64, stop context.CancelCauseFunc) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.running == nil {
		b.running = map[int64]context.CancelCauseFunc{}
	}
	if b.running[id] = stop; stop == nil {
		delete(b.running, id)
	}
}

func (b *pastBoard) stop(id int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if stop := b.running[id]; stop != nil {
		stop(errPastStopped)
	}
}

// pastRun reads the past of one stream.
type pastRun struct {
	r        *StreamRun
	only     int64 // a task: nothing else is done; 0: all
	once     bool  // lanes that fail are given up after some attempts
	repaired time.Time
}

// runPast reads the past until ctx ends.
func (r *StreamRun) runPast(ctx context.Context) error {
	b := &pastRun{r: r}
	wake := r.p.past.wake(r.ID)
	wait := firstPastWait
	for {
		t, err := b.next(ctx)
		if err == nil && t != nil {
			if err = b.step(ctx, t); err == nil {
				wait = firstPastWait
				continue
			}
		}
		pause := pastLook
		if err != nil && ctx.Err() == nil {
			r.countError(err)
			r.p.log.Warn("the past cannot be read now; trying again, live data goes on", "instance", r.ID.Instance, "stream", r.ID.Stream, "error", err)
			pause = max(wait, fault.RetryAfter(err))
			wait = min(2*wait, maxLaneWait)
		}
		select {
		case <-r.p.clock.After(pause):
		case <-wake:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// pastOnce reads what of the past is due, but for backfills.
func (r *StreamRun) pastOnce(ctx context.Context) error {
	b := &pastRun{r: r, once: true}
	for {
		t, err := b.next(ctx)
		if err != nil || t == nil || t.Mode == PastBackfill {
			return err
		}
		if err := b.step(ctx, t); err != nil {
			return fmt.Errorf("%s of %s: %w", t.Mode, t.Span, err)
		}
	}
}

// RunPast works on one task, and on nothing else, until it is done or stopped.
// When ctx ends the task is left stopped, to be resumed.
func (r *StreamRun) RunPast(ctx context.Context, id int64) error {
	ctx = httpx.WithCaller(ctx, &r.caller)
	b := &pastRun{r: r, only: id}
	wait := firstPastWait
	for {
		t, err := b.next(ctx)
		if err == nil && t == nil {
			return nil
		}
		if err == nil {
			err = b.step(ctx, t)
		}
		switch {
		case err == nil:
			wait = firstPastWait
			continue
		case ctx.Err() != nil || stopsStream(err):
			_, serr := r.p.setPastStatus(context.WithoutCancel(ctx), id, PastStopped)
			return errors.Join(cmp.Or(context.Cause(ctx), err), serr)
		}
		r.p.log.Warn("the past cannot be read now; trying again", "instance", r.ID.Instance, "stream", r.ID.Stream, "error", err)
		select {
		case <-r.p.clock.After(max(wait, fault.RetryAfter(err))):
		case <-ctx.Done():
		}
		wait = min(2*wait, maxLaneWait)
	}
}

// next returns the most urgent task to work on; nil: none.
func (b *pastRun) next(ctx context.Context) (*PastTask, error) {
	r := b.r
	tasks, err := r.p.state.PastTasks(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	if b.only == 0 {
		added, err := b.plan(ctx, tasks)
		if err != nil {
			return nil, err
		}
		tasks = append(tasks, added...)
	}
	var best *PastTask
	for i := range tasks {
		t := &tasks[i]
		if t.Status != PastOpen || b.only != 0 && t.ID != b.only {
			continue
		}
		if best == nil || t.Mode.urgency() < best.Mode.urgency() {
			best = t
		}
	}
	return best, nil
}

// step reads one window of a task, or ends the task when none is left.
func (b *pastRun) step(ctx context.Context, t *PastTask) error {
	r := b.r
	if t.Window.Empty() {
		window, err := b.window(ctx, t)
		if err != nil {
			return err
		}
		if window.Empty() {
			return b.end(ctx, t)
		}
		t.Window, t.Since, t.Listed = window, r.p.clock.Now().UTC(), false
		err = r.p.committer.update(ctx, func(tx Tx) error {
			if err := failpoint.Hit(failpoint.PastBegin); err != nil {
				return err
			}
			return errors.Join(tx.ClearPast(*t), tx.SetPast(*t))
		})
		if err != nil {
			return err
		}
	}
	wctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	r.p.past.set(t.ID, stop)
	defer r.p.past.set(t.ID, nil)
	// It may have been stopped before it could be told so.
	if now, ok, err := r.p.state.PastTask(ctx, t.ID); err != nil || !ok || now.Status != PastOpen {
		return err
	}
	reader, began := b.reader(t), r.p.clock.Now()
	lanes, err := b.read(wctx, reader, t)
	stopped := errors.Is(context.Cause(wctx), errPastStopped)
	t.Took += r.p.clock.Since(began)
	t.Error = ""
	if err != nil && !stopped && ctx.Err() == nil {
		t.Error = fmt.Sprintf("%.500s", err)
	}
	if terr := b.tell(context.WithoutCancel(ctx), reader, t, lanes, err); terr != nil {
		return errors.Join(err, terr)
	}
	if !stopped {
		return err
	}
	_, ok, err := r.p.state.PastTask(ctx, t.ID)
	if err != nil || ok {
		return err
	}
	return r.p.committer.update(ctx, func(tx Tx) error { return tx.ClearPast(*t) }) // it was dropped meanwhile
}

// window is the next one to read: at most a day, the newest that is left. Of
// what is covered only sweeps read anything.
func (b *pastRun) window(ctx context.Context, t *PastTask) (Span, error) {
	left := []Span{{From: t.Span.From, To: t.Left}}
	if kept := b.r.Stream.Info.Retention; kept > 0 {
		left = Intersect(left, []Span{NewSpan(b.r.p.clock.Now().Add(-kept), t.Left)})
	}
	if t.Mode != PastSweep {
		covered, err := b.r.p.state.Coverage(ctx, t.StreamID, Span{From: t.Span.From, To: t.Left})
		if err != nil {
			return Span{}, err
		}
		left = Subtract(left, covered)
	}
	if len(left) == 0 {
		return Span{}, nil
	}
	return lastDay(left[len(left)-1]), nil
}

// lastDay is what of a span is in its last day (UTC).
func lastDay(s Span) Span {
	day := s.To.Add(-time.Millisecond).UTC().Truncate(pastDay)
	if day.After(s.From) {
		s.From = day
	}
	return s
}

// days counts the windows that spans are read in.
func days(spans []Span) (n int) {
	for _, s := range spans {
		for !s.Empty() {
			s.To = lastDay(s).From
			n++
		}
	}
	return n
}

// reader is a run of the stream that reads the lanes of a task, and shares what
// the live one knows of ids.
func (b *pastRun) reader(t *PastTask) *StreamRun {
	live := b.r
	pr := &StreamRun{
		StreamOptions: live.StreamOptions, p: live.p, tables: live.tables, seen: live.seen, lanes: t.lanesKey(),
		reading: map[string]bool{}, same: map[string]sameness{}, ahead: map[string]*aheadLane{},
	}
	pr.runs.r = pr
	pr.Once = b.once
	pr.Parallel = max(1, live.Parallel/pastShare)
	pr.caller.Stream, pr.caller.Yields = live.ID.Stream+"/past", true
	pr.Stats.Counts = &pr.caller.Counts
	return pr
}

// read reads a window's lanes until none is left.
func (b *pastRun) read(ctx context.Context, pr *StreamRun, t *PastTask) (lanes LaneCounts, err error) {
	ctx = httpx.WithCaller(ctx, &pr.caller)
	if pr.Tenant != nil {
		if pr.tenant, err = pr.Tenant(ctx); err != nil {
			return lanes, err
		}
	}
	for {
		err := b.pass(ctx, pr, t)
		pr.p.committer.flush()
		if serr := pr.settle(context.WithoutCancel(ctx)); serr != nil {
			return lanes, serr
		}
		if err != nil {
			return lanes, err
		}
		if lanes, err = pr.p.state.LaneCounts(ctx, pr.lanes); err != nil || lanes.Open == 0 {
			return lanes, err
		}
		if b.once {
			return lanes, pr.failing(ctx, lanes)
		}
		next, err := pr.p.state.DueLanes(ctx, pr.lanes, pr.p.clock.Now().Add(pr.far()), pr.p.clock.Now().Add(pr.far()), 1)
		if err != nil {
			return lanes, err
		}
		wait := shortWait
		if len(next) > 0 {
			wait = min(max(next[0].Due.Sub(pr.p.clock.Now()), 0), time.Minute)
		}
		select {
		case <-pr.p.clock.After(wait):
		case <-ctx.Done():
			return lanes, context.Cause(ctx)
		}
	}
}

// pass lists the window's lanes and reads those that are due.
func (b *pastRun) pass(ctx context.Context, pr *StreamRun, t *PastTask) error {
	found := make(chan struct{}, 1)
	var listed atomic.Bool
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		err := b.list(gctx, pr, t, found)
		listed.Store(true)
		poke(found)
		return err
	})
	g.Go(func() error { return pr.readDue(gctx, found, &listed) })
	err := g.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// list records the window's lanes, but for those that the live stream has read,
// or parked, as they are now.
func (b *pastRun) list(ctx context.Context, pr *StreamRun, t *PastTask, found chan struct{}) error {
	if t.Listed {
		return nil
	}
	cursor, err := pr.p.state.Listing(ctx, pr.lanes)
	if err != nil {
		return err
	}
	return pr.guard("listing the past of", func() error {
		for page, err := range pr.Stream.Past(ctx, t.Window.From, t.Window.To, cursor) {
			if err == nil {
				err = failpoint.Hit(failpoint.Listing)
			}
			if err != nil {
				pr.countError(err)
				return fmt.Errorf("listing the past of %s: %w", pr.ID, err)
			}
			if err := b.addLanes(ctx, pr, t, page); err != nil {
				return err
			}
			poke(found)
			pr.Stats.Requests.Add(page.Requests)
			if page.Complete {
				t.Listed = true
				return nil
			}
			if err := pr.roomForLanes(ctx); err != nil {
				return err
			}
		}
		return fault.New(fault.Transient, "listing the past of %s: it ended without being complete", pr.ID)
	})
}

func (b *pastRun) addLanes(ctx context.Context, pr *StreamRun, t *PastTask, page *sources.LanePage) error {
	if err := pr.checkLanes(page); err != nil {
		return err
	}
	var lanes []sources.Lane
	parked := int64(0)
	for _, l := range page.Lanes {
		own, isPast := strings.CutPrefix(l.ID, sources.PastLane)
		if !isPast || !l.Once {
			return fault.New(fault.Permanent, "listing the past of %s: lane %.80q is none of the past", pr.ID, l.ID)
		}
		status, err := pr.p.state.LaneRead(ctx, pr.ID, own, l.Hint)
		switch {
		case err != nil:
			return err
		case status == LaneParked:
			parked++
		case status != LaneDone:
			lanes = append(lanes, l)
		}
	}
	pr.Stats.Listed.Add(int64(len(lanes)))
	next := *t
	next.Listed = page.Complete
	next.Unread += parked
	err := pr.p.committer.update(ctx, func(tx Tx) error {
		return errors.Join(tx.AddLanes(pr.lanes, lanes, pr.p.clock.Now()), tx.SetListing(pr.lanes, page.Next), tx.SetPast(next))
	})
	if err == nil {
		t.Unread = next.Unread
	}
	return err
}

// tell records what became of a window: with failure nil it has been read to its
// end.
func (b *pastRun) tell(ctx context.Context, pr *StreamRun, t *PastTask, lanes LaneCounts, failure error) error {
	now, n := pr.p.clock.Now(), pr.runs.totals()
	parked := lanes.Parked + t.Unread
	row := schemas.CollectionRun{
		Stream: t.Stream, RunID: pr.p.ids.New(), Mode: t.Mode.runMode(), Lanes: n.lanes, LanesFailed: n.failed,
		StartedAt: schemas.Time(t.Since.UnixMilli()), FinishedAt: schemas.Time(now.UnixMilli()), Pages: n.pages, Rows: n.rows,
		DuplicatesDropped: n.duplicates, IDConflicts: n.conflicts, Unproven: n.unproven, LateRows: n.late, Rejected: n.rejected,
		Requests: n.requests, Retries: n.retries, ThrottledMS: n.throttledMS, Bytes: n.bytes, Outcome: "success",
	}
	t.Lanes += n.lanes
	t.Rows += n.rows
	t.Duplicates += n.duplicates
	// What may still come late is not covered.
	covered := Span{From: t.Window.From, To: t.Window.To}
	if proven := NewSpan(t.Since.Add(-max(pr.Stream.Info.Lateness, pastSlack)), t.Since).From; proven.Before(covered.To) {
		covered.To = proven
	}
	switch {
	case failure != nil:
		covered, row.Outcome = Span{}, "partial"
		if t.Error != "" {
			row.Outcome, row.Error = "failure", t.Error
		}
		if n == (runTotals{}) { // nothing to tell of
			return pr.p.committer.update(ctx, func(tx Tx) error { return tx.SetPast(*t) })
		}
	case parked > 0:
		covered, row.Outcome = Span{}, "partial"
	}
	window := t.Window
	if failure == nil {
		t.Left, t.Done, t.Parked = window.From, t.Done+1, t.Parked+parked
		t.Window, t.Listed, t.Unread = Span{}, false, 0
	}
	if !covered.Empty() {
		row.CoveredFrom, row.CoveredTo = schemas.Time(covered.From.UnixMilli()), schemas.Time(covered.To.UnixMilli())
	}
	return pr.runs.tell(ctx, []schemas.CollectionRun{row}, n, now, func(tx Tx) error {
		if err := failpoint.Hit(failpoint.PastRead); err != nil {
			return err
		}
		if failure == nil {
			if err := tx.ClearPast(*t); err != nil {
				return err
			}
		}
		if !covered.Empty() {
			if err := tx.Cover(t.StreamID, covered, now); err != nil {
				return err
			}
		}
		return tx.SetPast(*t)
	})
}

// end closes a task of which nothing is left.
func (b *pastRun) end(ctx context.Context, t *PastTask) error {
	p := b.r.p
	now := p.clock.Now().UTC()
	holes, err := p.state.Holes(ctx, t.StreamID)
	if err != nil {
		return err
	}
	t.Left, t.Ended, t.Status = t.Span.From, now, PastDone
	err = p.committer.update(ctx, func(tx Tx) error {
		if err := failpoint.Hit(failpoint.PastEnd); err != nil {
			return err
		}
		switch t.Mode {
		case PastSweep:
			if err := tx.SetMeta(sweptKey(t.StreamID, t.Age), formatMS(t.Span.To)); err != nil {
				return err
			}
		case PastRepair:
			if err := reopen(tx, t, holes, now); err != nil {
				return err
			}
		case PastBackfill:
			return tx.SetPast(*t)
		}
		return tx.DropPast(*t)
	})
	if err == nil {
		p.log.Info("the past has been read", "instance", t.Instance, "stream", t.Stream, "mode", t.Mode, "from", t.Span.From, "to", t.Span.To, "rows", t.Rows, "duplicates", t.Duplicates, "parked", t.Parked)
	}
	return err
}

// held says of which hours ids are not to be forgotten: those that tasks are
// about to read.
func (r *StreamRun) heldHours(ctx context.Context) (func(hour int64) bool, error) {
	tasks, err := r.p.state.PastTasks(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	tasks = slices.DeleteFunc(tasks, func(t PastTask) bool { return t.Status == PastDone })
	return func(hour int64) bool {
		return slices.ContainsFunc(tasks, func(t PastTask) bool {
			return hour >= t.Span.From.UnixMilli()/hourMS-1 && hour <= t.Span.To.UnixMilli()/hourMS+1
		})
	}, nil
}
