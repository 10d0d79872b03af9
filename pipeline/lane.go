package pipeline

import (
	"context"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"runtime/debug"

	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/sources"
)

// maxRejected is how many dead letters one reading of a lane may make: a file
// of nothing else would fill the state.
const maxRejected = 10_000

// readLane reads a lane to its end, or to an error, which it records with the
// lane. It returns only errors that concern the whole stream.
func (r *StreamRun) readLane(ctx context.Context, l LaneState, enc *encoder) error {
	r.Stats.LanesRead.Add(1)
	if err := r.p.room.wait(ctx); err != nil {
		return err
	}
	inFlight := make(chan struct{}, pagesInFlight)
	rejected := int64(0)
	same := r.stuck(l.Lane.ID)
	defer func() { r.setStuck(l.Lane.ID, same) }()
	err := r.guard("reading", func() error {
		for page, err := range r.Stream.Read(ctx, l.Lane, l.Cursor) {
			if err == nil {
				err = failpoint.Hit(failpoint.Fetch)
			}
			if err != nil {
				return err
			}
			if err := same.events(page); err != nil {
				return err
			}
			n, err := r.take(ctx, &l, page, enc, inFlight)
			if err != nil {
				return err
			}
			if rejected += n.rejected; rejected > maxRejected && page.More {
				return fault.New(fault.BadData, "more than %d of its records cannot be mapped: it is not what it should be", maxRejected)
			}
			if !page.More {
				return nil
			}
			if err := r.p.room.wait(ctx); err != nil {
				return err
			}
		}
		return fault.New(fault.Transient, "the connector ended without saying whether there is more")
	})
	if err == nil || ctx.Err() != nil {
		return nil
	}
	r.countError(err)
	return r.fail(ctx, l, err)
}

// take turns a page into a change and submits it. l becomes the lane after it.
func (r *StreamRun) take(ctx context.Context, l *LaneState, page *sources.Page, enc *encoder, inFlight chan struct{}) (n pageCounts, err error) {
	if len(page.Next) > sources.MaxCursor {
		return n, fault.New(fault.Permanent, "a cursor of %d bytes, at most %d are allowed", len(page.Next), sources.MaxCursor)
	}
	if page.More && page.Next == l.Cursor && l.Cursor != "" {
		return n, fault.New(fault.Transient, "the same page came again: the cursor does not move")
	}
	// Before the page is judged: what has been judged must be submitted.
	select {
	case inFlight <- struct{}{}:
	case <-ctx.Done():
		return n, context.Cause(ctx)
	case <-r.p.failure.Done():
		return n, context.Cause(r.p.failure)
	}
	ch, seen, n, err := enc.encode(ctx, l.Lane, page)
	if err != nil {
		<-inFlight
		return n, err
	}
	if !l.Lane.Once && (l.Cursor == "" || page.Since != 0) {
		ch.also(r.beganAt(page.Since))
	}
	now := r.p.clock.Now()
	l.Cursor, l.Due, l.Fails, l.Class, l.Error = page.Next, now, 0, "", ""
	switch {
	case !page.More && l.Lane.Once:
		l.Status = LaneDone
	case !page.More:
		l.Due = r.nextDue(l.Lane.ID, now, r.Every)
		if r.Stream.Lanes == nil {
			r.mark.Store(int64(page.Watermark))
		}
	}
	r.count(page, n)
	r.Stats.BytesOut.Add(int64(ch.bytes()))
	lazy := ch.lazy
	if lazy {
		<-inFlight // it may wait long for company
	}
	r.submit(ch, *l, func(err error) {
		if !lazy {
			<-inFlight
		}
		if err == nil && seen != nil {
			seen.committed()
		}
	})
	return n, nil
}

// submit commits a change together with the lane's new state. It is not bound
// to the stream's context: what has been judged new must reach the state, or
// the process must end.
func (r *StreamRun) submit(ch *change, l LaneState, done func(error)) {
	r.mu.Lock()
	a, ok := r.ahead[l.Lane.ID]
	if !ok {
		a = &aheadLane{}
		r.ahead[l.Lane.ID] = a
	}
	a.LaneState = l
	a.pending++
	r.mu.Unlock()

	inner := ch.apply
	ch.apply = func(tx Tx) error {
		if inner != nil {
			if err := inner(tx); err != nil {
				return err
			}
		}
		return tx.SetLane(l)
	}
	ch.done = func(err error) {
		r.mu.Lock()
		if a.pending--; a.pending == 0 {
			delete(r.ahead, l.Lane.ID)
		}
		r.mu.Unlock()
		if done != nil {
			done(err)
		}
		r.p.changed()
	}
	r.p.committer.submit(r.p.failure, ch)
}

// fail records a lane's error. Errors of the whole stream are returned.
func (r *StreamRun) fail(ctx context.Context, l LaneState, err error) error {
	class := fault.Of(err)
	now := r.p.clock.Now()
	known := l.Class == string(class)
	l.Class, l.Error = string(class), fmt.Sprintf("%.1000s", err)
	ch := &change{}
	switch class {
	case fault.NotLicensed:
		if r.Stream.Lanes == nil || l.Lane.Once {
			return fmt.Errorf("reading %s, lane %q: %w", r.ID, l.Lane.ID, err)
		}
		// The vendor's plan lacks one of several logs: it has nothing to tell, so
		// nothing fails, and nothing is missing.
		if !known {
			r.p.log.Warn("lane is not licensed; the others go on", "instance", r.ID.Instance, "stream", r.ID.Stream, "lane", l.Lane.ID, "error", err)
		}
		l.Fails, l.Due = 0, r.nextDue(l.Lane.ID, now, r.Every)
		r.submit(ch, l, nil)
		return nil
	case fault.Auth, fault.Forbidden:
		return fmt.Errorf("reading %s, lane %q: %w", r.ID, l.Lane.ID, err)
	case fault.BadData, fault.Permanent:
		if !l.Lane.Once {
			if class == fault.Permanent {
				return fmt.Errorf("reading %s, lane %q: %w", r.ID, l.Lane.ID, err)
			}
			break
		}
		dead := DeadLetter{
			ID: r.p.ids.New(), At: now.UTC(), Kind: DeadObject, StreamID: r.ID, App: r.App, Lane: l.Lane.ID, Hint: l.Lane.Hint,
			Ref: string(l.Cursor), Class: l.Class, Reason: l.Error, Mapping: r.Stream.Info.Mapping,
		}
		if full := r.p.dead.keep(&dead); full != nil { // the lane waits, like any that fails
			l.Class, l.Error = string(fault.Transient), fmt.Sprintf("%.1000s", errors.Join(full, err))
			break
		}
		l.Status, l.Due = LaneParked, now
		r.Stats.LanesParked.Add(1)
		r.runs.parked()
		r.p.metrics.parked.WithLabelValues(r.ID.Instance, r.ID.Stream).Inc()
		r.p.log.Warn("object parked, the rest goes on; see `weir deadletter list`", "instance", r.ID.Instance, "stream", r.ID.Stream, "object", l.Lane.ID, "error", err)
		ch.apply = func(tx Tx) error { return tx.AddDeadLetter(dead) }
		r.submit(ch, l, nil)
		return nil
	case fault.Expired:
		l.Cursor = ""
	case fault.Throttled:
		l.Due = now.Add(min(max(fault.RetryAfter(err), firstLaneWait), r.far()))
		r.submit(ch, l, nil)
		return nil
	case fault.Transient:
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.Stats.LanesFailed.Add(1)
	wait := min(firstLaneWait<<min(l.Fails, 20), maxLaneWait)
	// Waiting as asked is no failed attempt.
	if asked := fault.RetryAfter(err); asked > 0 {
		wait = min(asked, r.far())
	} else {
		l.Fails++
		wait = wait/2 + mathrand.N(wait)
		r.p.log.Warn("lane failed; trying again", "instance", r.ID.Instance, "stream", r.ID.Stream, "lane", l.Lane.ID, "attempt", l.Fails, "error", err)
	}
	if r.Once && l.Fails >= onceAttempts {
		wait = 2 * maxLaneWait // out of this run's sight
	}
	l.Due = now.Add(wait)
	r.submit(ch, l, nil)
	return nil
}

func (r *StreamRun) count(page *sources.Page, n pageCounts) {
	s, m, of := &r.Stats, r.p.metrics, []string{r.ID.Instance, r.ID.Stream}
	s.Pages.Add(1)
	s.Requests.Add(page.Requests)
	s.Bytes.Add(page.Bytes)
	s.Rows.Add(n.rows)
	s.Duplicates.Add(n.duplicates)
	s.Conflicts.Add(n.conflicts)
	s.Unproven.Add(n.unproven)
	s.Late.Add(n.late)
	s.Rejected.Add(n.rejected)
	m.pages.WithLabelValues(of...).Inc()
	m.rows.WithLabelValues(of...).Add(float64(n.rows))
	m.duplicates.WithLabelValues(of...).Add(float64(n.duplicates))
	m.conflicts.WithLabelValues(of...).Add(float64(n.conflicts))
	m.unproven.WithLabelValues(of...).Add(float64(n.unproven))
	m.late.WithLabelValues(of...).Add(float64(n.late))
	m.rejected.WithLabelValues(of...).Add(float64(n.rejected))
	m.timesReplaced.WithLabelValues(of...).Add(float64(n.timesReplaced))
}

func stack() string { return string(debug.Stack()) }
