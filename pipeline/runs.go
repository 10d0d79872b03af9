package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"weir/internal/failpoint"
	"weir/schemas"
)

// quietRuns is how long runs that found nothing are gathered into one row.
const quietRuns = 10 * time.Minute

// runLog writes a stream's collection_runs rows. Runs of a quiet stream are
// told together: their spans join.
type runLog struct {
	r *StreamRun

	mu      sync.Mutex
	sent    runTotals // counts already told
	told    time.Time
	since   time.Time // start of the first run not told
	newBad  bool      // an object was parked since the last row
	failing time.Time // since when runs fail
	builder *encoder
}

// runInfo is one round under way.
type runInfo struct {
	mode, id  string // "poll" and a new id, unless set
	started   time.Time
	complete  bool // the listing showed everything
	coveredTo schemas.Time
	since     schemas.Time // from when the listing has shown everything
}

type runTotals struct {
	lanes, failed, pages, rows, duplicates, conflicts, unproven, late, rejected, requests, retries, throttledMS, bytes int64
}

func (l *runLog) begin() *runInfo {
	now := l.r.p.clock.Now()
	l.mu.Lock()
	if l.since.IsZero() {
		l.since = now
	}
	l.mu.Unlock()
	return &runInfo{started: now}
}

// listed tells that the listing was complete, and what it covers.
func (i *runInfo) listed(since, coveredTo schemas.Time) {
	i.complete, i.since, i.coveredTo = true, since, coveredTo
}

func (l *runLog) parked() {
	l.mu.Lock()
	l.newBad = true
	l.mu.Unlock()
}

func (l *runLog) totals() runTotals {
	s := &l.r.Stats
	return runTotals{
		lanes: s.LanesRead.Load(), failed: s.LanesFailed.Load() + s.LanesParked.Load(), pages: s.Pages.Load(), rows: s.Rows.Load(),
		duplicates: s.Duplicates.Load(), conflicts: s.Conflicts.Load(), unproven: s.Unproven.Load(), late: s.Late.Load(),
		rejected: s.Rejected.Load(), requests: s.Requests.Load(),
		retries: s.Retries.Load(), throttledMS: s.ThrottledMS.Load(), bytes: s.Bytes.Load(),
	}
}

// end tells of a round, at once if it found something or failed.
//
// What the round has covered goes with its row, in the same transaction:
// covered_from is where the last covered span ended, so the spans of successful
// runs join without a gap. Lanes it left unread make holes; once they are read,
// the hole's span is covered by a row of its own. Where it was covered before, a
// row that failed takes that back.
func (l *runLog) end(ctx context.Context, run *runInfo, lanes LaneCounts, failure error) error {
	return l.endWith(ctx, run, lanes, failure, nil, nil)
}

// endWith is end that always tells if more is set: further rows, and what else
// the same transaction changes.
func (l *runLog) endWith(ctx context.Context, run *runInfo, lanes LaneCounts, failure error, more []schemas.CollectionRun, apply func(Tx) error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r, now := l.r, l.r.p.clock.Now()
	total := l.totals()
	row := schemas.CollectionRun{
		Stream: r.ID.Stream, RunID: cmp.Or(run.id, r.p.ids.New()), Mode: cmp.Or(run.mode, "poll"),
		Lanes: total.lanes - l.sent.lanes, LanesFailed: total.failed - l.sent.failed, StartedAt: schemas.Time(l.since.UnixMilli()), FinishedAt: schemas.Time(now.UnixMilli()),
		Pages: total.pages - l.sent.pages, Rows: total.rows - l.sent.rows, DuplicatesDropped: total.duplicates - l.sent.duplicates,
		IDConflicts: total.conflicts - l.sent.conflicts, Unproven: total.unproven - l.sent.unproven, LateRows: total.late - l.sent.late,
		Rejected: total.rejected - l.sent.rejected, Requests: total.requests - l.sent.requests,
		Retries: total.retries - l.sent.retries, ThrottledMS: total.throttledMS - l.sent.throttledMS, Bytes: total.bytes - l.sent.bytes,
	}
	var plan *coverPlan
	if failure == nil && run.complete && run.coveredTo > 0 {
		var err error
		if plan, err = r.cover(ctx, run, lanes, now); err != nil {
			return err
		}
	}
	switch {
	case failure != nil:
		row.Outcome, row.Error = "failure", fmt.Sprintf("%.1000s", failure)
	case l.newBad || lanes.Failing > 0:
		row.Outcome = "partial"
	default:
		row.Outcome = "success"
	}
	told := []schemas.CollectionRun{row}
	if plan != nil {
		for i, s := range plan.spans {
			if i > 0 {
				told = append(told, schemas.CollectionRun{Stream: row.Stream, RunID: r.p.ids.New(), Mode: row.Mode, StartedAt: row.StartedAt, FinishedAt: row.FinishedAt, Outcome: row.Outcome})
			}
			told[i].CoveredFrom, told[i].CoveredTo = schemas.Time(s.From.UnixMilli()), schemas.Time(s.To.UnixMilli())
		}
		for _, s := range plan.back {
			told = append(told, schemas.CollectionRun{
				Stream: row.Stream, RunID: r.p.ids.New(), Mode: row.Mode, StartedAt: row.StartedAt, FinishedAt: row.FinishedAt, Outcome: "failure",
				Error: plan.reason(s), CoveredFrom: schemas.Time(s.From.UnixMilli()), CoveredTo: schemas.Time(s.To.UnixMilli()),
			})
		}
		r.Stats.CoveredTo.Store(plan.frontier.UnixMilli())
		r.p.metrics.lag.WithLabelValues(r.ID.Instance, r.ID.Stream).Set(now.Sub(plan.frontier).Seconds())
	}
	healed := failure == nil && !l.failing.IsZero()
	quiet := row.Rows == 0 && row.Rejected == 0 && row.Outcome == "success"
	if quiet && !r.Once && apply == nil && !healed && !elapsed(now, l.told, quietRuns) && (plan == nil || len(plan.holes)+len(plan.closed) == 0) {
		return nil
	}
	trouble, err := l.trouble(failure, now)
	if err != nil {
		return err
	}
	lag, err := r.p.lags.text(r.ID)
	if err != nil {
		return err
	}
	err = l.tell(ctx, append(told, more...), total, now, func(tx Tx) error {
		if apply != nil {
			if err := apply(tx); err != nil {
				return err
			}
		}
		if lag != "" {
			if err := tx.SetMeta(metaLag+r.ID.String(), lag); err != nil {
				return err
			}
		}
		if err := tx.SetMeta(metaTrouble+r.ID.String(), trouble); err != nil || plan == nil {
			return err
		}
		return plan.apply(tx, r.ID, now)
	})
	if err == nil && plan != nil {
		r.forgetBegan()
	}
	return err
}

func (l *runLog) tell(ctx context.Context, told []schemas.CollectionRun, total runTotals, now time.Time, apply func(Tx) error) error {
	r := l.r
	if l.builder == nil {
		l.builder = newEncoder(r.p, r)
	}
	rows := &schemas.Rows{CollectionRuns: told}
	table := schemas.ByName(schemas.TableCollectionRuns)
	index := make([]int32, len(told))
	for i := range index {
		index[i] = int32(i)
	}
	b, err := l.builder.batch(table, rows, index, false, now)
	if err != nil {
		return err
	}
	result := make(chan error, 1)
	r.p.committer.submit(r.p.failure, &change{
		batches: []spooled{b},
		apply: func(tx Tx) error {
			if err := failpoint.Hit(failpoint.RunAdd); err != nil {
				return err
			}
			return apply(tx)
		},
		done: func(err error) { result <- err },
	})
	select {
	case err = <-result:
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-r.p.failure.Done():
		err = context.Cause(r.p.failure)
	}
	if err != nil {
		return err
	}
	l.sent, l.told, l.since, l.newBad = total, now, time.Time{}, false
	return nil
}

// CoveredTo returns the time up to which a stream is complete; zero when that
// is not known yet.
func CoveredTo(ctx context.Context, s State, id StreamID) (time.Time, error) {
	v, err := s.Meta(ctx, coveredKey(id))
	if err != nil || v == "" {
		return time.Time{}, err
	}
	ms, err := strconv.ParseInt(v, 10, 64)
	return time.UnixMilli(ms).UTC(), err
}

func coveredKey(id StreamID) string { return metaCovered + id.String() }

func millis(t time.Time) schemas.Time {
	if t.IsZero() {
		return 0
	}
	return schemas.Time(t.UnixMilli())
}
