package pipeline

import (
	"context"
	"fmt"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/sources"
)

// reading is one lane being read: in full, or its delta.
type reading struct {
	ScanLane
	delta  bool
	stands bool // a record could not be mapped, or nothing can be seen: what is not shown may exist
}

// read lists what is not listed yet, and reads lanes and deltas as they fall
// due. A listing that fails does not stop the lanes that it has shown.
func (s *scan) read(ctx context.Context) error {
	found := make(chan struct{}, 1)
	var listed atomic.Bool
	listed.Store(!s.st.Open || s.st.Listed)
	listing := make(chan error, 1)
	lctx, stop := context.WithCancel(ctx)
	defer stop()
	if listed.Load() {
		listing <- nil
	} else {
		go func() {
			err := s.list(lctx, found)
			listed.Store(true)
			listing <- err
			poke(found)
		}()
	}
	err := s.readDue(ctx, found, &listed)
	if err != nil {
		stop()
	}
	if lerr := <-listing; err == nil {
		err = lerr
	}
	return err
}

// readDue reads until the listing has ended and nothing is due soon.
func (s *scan) readDue(ctx context.Context, found <-chan struct{}, listed *atomic.Bool) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	slots := make(chan struct{}, max(1, s.r.Parallel))
	finished := make(chan struct{}, 1)
	var active atomic.Int64
	var wg sync.WaitGroup
	var failure error
	var once sync.Once
	fail := func(err error) {
		once.Do(func() { failure = err })
		cancel(err)
	}
	for ctx.Err() == nil {
		wasListed, wasIdle := listed.Load(), active.Load() == 0
		// A single run reads the deltas of lanes that are not read anew, which the
		// listing tells.
		deltas := s.r.Stream.Delta != nil && (!s.r.Once || wasListed)
		lanes, next, err := s.due(ctx, 4*cap(slots), deltas)
		if err != nil {
			fail(err)
			break
		}
		for _, l := range lanes {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				s.release(l.Num)
				continue
			}
			active.Add(1)
			wg.Go(func() {
				err := s.readLane(ctx, l)
				s.release(l.Num)
				if err == nil {
					err = s.r.rouseAgain(ctx, l.Lane.ID)
				}
				<-slots
				active.Add(-1)
				if err != nil && ctx.Err() == nil {
					fail(err)
				}
				poke(finished)
			})
		}
		if len(lanes) > 0 {
			continue
		}
		var timer <-chan time.Time
		if !next.IsZero() && next.Sub(s.p.clock.Now()) <= shortWait {
			timer = s.p.clock.After(max(next.Sub(s.p.clock.Now()), 0))
		} else if wasListed && wasIdle {
			break
		}
		select {
		case <-timer:
		case <-found:
		case <-finished:
		case <-s.r.roused:
		case <-ctx.Done():
		}
	}
	wg.Wait()
	if failure != nil {
		return failure
	}
	return context.Cause(ctx)
}

// due takes the lanes that can be read now, and says when the next one can.
func (s *scan) due(ctx context.Context, limit int, deltas bool) (out []reading, next time.Time, err error) {
	now := s.p.clock.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	limit += len(s.reading)
	take := func(lanes []ScanLane, delta bool) {
		for _, l := range lanes {
			due := l.Due
			if delta {
				due = l.DeltaDue
			}
			if due.After(now.Add(s.r.far())) {
				due = now
			}
			_, busy := s.reading[l.Num]
			switch {
			case busy:
			case delta && s.r.Once && (s.changed[l.Num] || l.Fails >= s.fails()):
				// A single run reads each once: however slow it is, it ends.
			case due.After(now):
				if next.IsZero() || due.Before(next) {
					next = due
				}
			default:
				s.reading[l.Num] = l.Lane.ID
				out = append(out, reading{ScanLane: l, delta: delta})
			}
		}
	}
	lanes, err := s.p.state.OpenLanes(ctx, s.r.ID, s.st.Round, now.Add(shortWait), now.Add(s.r.far()), s.fails(), limit)
	if err != nil {
		return nil, next, err
	}
	take(lanes, false)
	if !deltas {
		return out, next, nil
	}
	if lanes, err = s.p.state.DeltaLanes(ctx, s.r.ID, s.st.Round, now, now.Add(s.r.far()), limit); err != nil {
		return nil, next, err
	}
	take(lanes, true)
	return out, next, nil
}

func (s *scan) release(lane int64) {
	s.mu.Lock()
	delete(s.reading, lane)
	s.mu.Unlock()
}

// hasChanged notes that a lane, or its delta, was read to its end.
func (s *scan) hasChanged(lane int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.r.Once {
		s.changed[lane] = true
	}
}

// reads reports whether a lane is being read.
func (s *scan) reads(lane string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.reading {
		if id == lane {
			return true
		}
	}
	return false
}

// readLane reads a lane, or its delta, to its end, or to an error, which it
// records with the lane. When it returns the lane's state is committed. It
// returns only errors that concern the whole stream.
func (s *scan) readLane(ctx context.Context, l reading) error {
	r := s.r
	r.Stats.LanesRead.Add(1)
	if err := s.p.room.wait(ctx); err != nil {
		return err
	}
	read, cursor := r.Stream.Read, l.Cursor
	if l.delta {
		read, cursor = r.Stream.Delta, l.Delta
	}
	var last chan error // of the newest change
	inFlight := make(chan struct{}, pagesInFlight)
	began := s.p.clock.Now()
	rejected := int64(0)
	same := r.stuck(l.Lane.ID)
	defer func() { r.setStuck(l.Lane.ID, same) }()
	ended := false
	err := r.guard("reading", func() error {
		for page, err := range read(ctx, l.Lane, cursor) {
			if err == nil {
				err = failpoint.Hit(failpoint.Fetch)
			}
			if err != nil {
				return err
			}
			if err := s.checkPage(&l, cursor, page); err != nil {
				return err
			}
			if err := same.entities(page, s.tables); err != nil {
				return err
			}
			cursor = page.Next
			result, n, err := s.take(ctx, &l, page, began, inFlight)
			if err != nil {
				return err
			}
			last = result
			if rejected += n.rejected; rejected > maxRejected && page.More {
				return fault.New(fault.BadData, "more than %d of its records cannot be mapped: it is not what it should be", maxRejected)
			}
			if !page.More {
				ended = true
				return nil
			}
			if err := s.p.room.wait(ctx); err != nil {
				return err
			}
			began = s.p.clock.Now()
		}
		return fault.New(fault.Transient, "the connector ended without saying whether there is more")
	})
	if err != nil && ctx.Err() == nil {
		r.countError(err)
		var ferr error
		if last, ferr = s.fail(l, err); ferr != nil {
			return ferr
		}
	}
	if err != nil && ctx.Err() != nil || last == nil {
		return nil // what was queued is committed before anything later
	}
	if !ended {
		s.p.committer.flush()
	}
	select {
	case err := <-last:
		return err
	case <-s.p.failure.Done():
		return context.Cause(s.p.failure)
	}
}

func (s *scan) checkPage(l *reading, cursor sources.Cursor, page *sources.Page) error {
	switch {
	case len(page.Next) > sources.MaxCursor || len(page.Delta) > sources.MaxCursor:
		return fault.New(fault.Permanent, "a cursor of %d bytes, at most %d are allowed", max(len(page.Next), len(page.Delta)), sources.MaxCursor)
	case page.More && page.Next == cursor && cursor != "":
		return fault.New(fault.Transient, "the same page came again: the cursor does not move")
	case l.delta && page.Next == "":
		return fault.New(fault.Permanent, "a delta without a cursor to go on from")
	}
	return nil
}

// advance sets the lane to what it is after a page.
func (s *scan) advance(l *reading, page *sources.Page, now time.Time) {
	l.Fails, l.Class, l.Error = 0, "", ""
	switch {
	case l.delta:
		l.Delta, l.DeltaDue = page.Next, now
		if !page.More {
			l.DeltaDue = s.r.nextDue(l.Lane.ID, now, s.every())
			s.hasChanged(l.Num)
		}
	case page.More:
		l.Cursor, l.Due = page.Next, now
	default:
		l.Cursor, l.Due, l.Done = "", now, s.st.Round
		l.Delta, l.DeltaDue = page.Delta, s.r.nextDue(l.Lane.ID, now, s.every())
		l.ReadHint, l.ReadAt = l.Lane.Hint, now
		s.hasChanged(l.Num)
		switch {
		case l.stands:
			l.ReadHint = "" // all its rows stand
		case s.st.Open:
			l.Read = s.st.Round
		default:
			l.ReadHint = "" // read anew between rounds: what it did not show is still to be judged
		}
	}
}

// fail records a lane's error. Errors of the whole stream are returned.
func (s *scan) fail(l reading, err error) (chan error, error) {
	r, now := s.r, s.p.clock.Now()
	class := fault.Of(err)
	l.Class, l.Error = string(class), fmt.Sprintf("%.1000s", err)
	due := &l.Due
	if l.delta {
		due = &l.DeltaDue
	}
	switch class {
	case fault.Forbidden, fault.NotLicensed:
		if r.Stream.Lanes == nil {
			return nil, fmt.Errorf("reading %s, lane %q: %w", r.ID, l.Lane.ID, err)
		}
		// One part of the stream is refused: the round goes on without it, its
		// rows stand, and the next round asks again.
		r.Stats.LanesFailed.Add(1)
		l.Fails++
		if l.delta {
			l.DeltaDue = now.Add(maxLaneWait)
		} else {
			l.Cursor, l.ReadHint, l.Done = "", "", s.st.Round
		}
		s.p.log.Warn("lane is refused; the others go on", "instance", r.ID.Instance, "stream", r.ID.Stream, "lane", l.Lane.ID, "error", err)
		return s.submitLane(l), nil
	case fault.Auth, fault.Permanent:
		return nil, fmt.Errorf("reading %s, lane %q: %w", r.ID, l.Lane.ID, err)
	case fault.Expired:
		if l.delta { // read it anew, now
			l.Delta, l.Done, l.Cursor, l.Due, l.Fails = "", 0, "", now, 0
			l.ReadHint = "" // its rows do not stand
			return s.submitLane(l), nil
		}
		l.Cursor = ""
	case fault.Throttled:
		*due = now.Add(min(max(fault.RetryAfter(err), firstLaneWait), r.far()))
		return s.submitLane(l), nil
	case fault.Transient, fault.BadData:
	}
	r.Stats.LanesFailed.Add(1)
	wait := min(firstLaneWait<<min(l.Fails, 20), maxLaneWait)
	if asked := fault.RetryAfter(err); asked > 0 {
		wait = min(asked, r.far()) // waiting as asked is no failed attempt
	} else {
		l.Fails++
		wait = wait/2 + mathrand.N(wait)
		if r.Stream.Lanes != nil && !l.delta && l.Fails >= s.fails() {
			// The round goes on without it too: one bad lane must not hold up the
			// others' removals.
			l.Cursor, l.ReadHint, l.Done = "", "", s.st.Round
			s.p.log.Warn("lane is passed over until the next round; its rows stand", "instance", r.ID.Instance, "stream", r.ID.Stream, "lane", l.Lane.ID, "attempt", l.Fails, "error", err)
			return s.submitLane(l), nil
		}
		s.p.log.Warn("lane failed; trying again", "instance", r.ID.Instance, "stream", r.ID.Stream, "lane", l.Lane.ID, "attempt", l.Fails, "error", err)
	}
	*due = now.Add(wait)
	return s.submitLane(l), nil
}

func (s *scan) submitLane(l reading) chan error {
	result := make(chan error, 1)
	s.p.committer.submit(s.p.failure, &change{
		apply: func(tx Tx) error { return tx.SetScanLane(l.ScanLane) },
		done:  func(err error) { result <- err },
	})
	return result
}
