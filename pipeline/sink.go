package pipeline

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

const (
	heartbeat     = 30 * time.Second
	ownerAlive    = 2 * time.Minute // an owner whose heartbeat is younger is running
	prepareTime   = 10 * time.Second
	maxSinkWait   = time.Minute
	firstSinkWait = 250 * time.Millisecond
)

// sinkRun is one sink at work: its owner record and its deliveries.
type sinkRun struct {
	p          *Pipeline
	name       string
	sink       sinks.Sink
	batching   sinks.Batching
	tables     []*schemas.Table
	copyEvery  time.Duration // interval of snapshots of entity tables; 0: none
	deliveries []*delivery

	mu       sync.Mutex
	prepared bool
	owner    sinks.Owner
	err      error     // the last, nil when things go well
	since    time.Time // of the first of a row of errors
	ended    bool
	rows     int64
	bytes    int64
	files    int64
}

func newSinkRun(p *Pipeline, o SinkOptions) *sinkRun {
	s := &sinkRun{p: p, name: o.Name, sink: o.Sink, batching: o.Batching, copyEvery: o.SnapshotEvery, tables: slices.Clone(p.tables)}
	for _, t := range p.tables {
		if t.Entity && o.SnapshotEvery > 0 {
			s.tables = append(s.tables, t.Snapshot())
		}
	}
	for _, t := range s.tables {
		s.deliveries = append(s.deliveries, &delivery{p: p, sink: s, table: t, wake: make(chan struct{}, 1), gate: newGate(), breaker: breaker{wake: make(chan struct{}, 1)}})
	}
	return s
}

// load reads from the state what this sink is owed.
func (s *sinkRun) load(ctx context.Context) error {
	totals, err := s.p.state.PendingTotals(ctx)
	if err != nil {
		return err
	}
	for _, d := range s.deliveries {
		d.totals[0] = totals[Queue{s.name, d.table.Name, false}]
		d.totals[1] = totals[Queue{s.name, d.table.Name, true}]
		if d.last, d.n, err = s.p.state.LastPart(ctx, s.name, d.table.Name); err != nil {
			return err
		}
		open, err := s.p.state.OpenParts(ctx, s.name, d.table.Name)
		if err != nil {
			return err
		}
		d.open = len(open)
	}
	return nil
}

// prepare makes the sink's tables and claims it. Only a refusal is an error:
// whatever may pass is left to run.
func (s *sinkRun) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, prepareTime)
	defer cancel()
	err := s.tryPrepare(ctx)
	if err != nil {
		s.note(err)
		if fault.Of(err) == fault.Permanent {
			return fmt.Errorf("sink %s: %w", s.name, err)
		}
		s.p.log.Error("sink is not ready; trying again, the others go on", "sink", s.name, "error", err)
	}
	return nil
}

func (s *sinkRun) tryPrepare(ctx context.Context) error {
	if err := s.claim(ctx); err != nil {
		return err
	}
	if err := failpoint.Hit(failpoint.SinkPrepare); err != nil {
		return err
	}
	if err := s.sink.Prepare(ctx, s.tables); err != nil {
		return err
	}
	if err := s.goOn(ctx); err != nil {
		return err
	}
	s.mu.Lock()
	s.prepared = true
	s.mu.Unlock()
	return nil
}

// claim writes this state into the sink's owner record, if it may.
func (s *sinkRun) claim(ctx context.Context) error {
	old, err := s.sink.Owner(ctx)
	if err != nil {
		return err
	}
	known, err := s.p.state.Sinks(ctx)
	if err != nil {
		return err
	}
	had := false // written under this name before
	for _, k := range known {
		had = had || k.Name == s.name
		if k.Name == s.name && k.SinkID != old.SinkID {
			return fault.New(fault.Permanent, "this is not the sink that was written under this name before: that one's id is %s, here it is %q. Is its volume mounted? A new place needs a new name in the configuration", k.SinkID, old.SinkID)
		}
	}
	if !had {
		if err := s.p.usedPlace(ctx, s.name, old); err != nil {
			return err
		}
	}
	now := s.p.clock.Now().UTC().Truncate(time.Millisecond)
	mine := sinks.Owner{SinkID: old.SinkID, StateID: s.p.state.ID(), Generation: s.p.state.Generation(), Heartbeat: now, Parts: s.parts()}
	switch {
	case old.StateID == "":
		id, err := uuid.NewRandomFromReader(rand.Reader)
		if err != nil {
			return err
		}
		mine.SinkID = id.String()
	case old.Equal(s.ownerNow()): // ours, in this generation
	case old.StateID == mine.StateID && (old.Generation >= mine.Generation || had && old.Parts > mine.Parts):
		return fault.New(fault.Permanent, "this state is older than the sink: it is at generation %d with %d parts, the sink has been written by generation %d with %d parts of the same state; "+
			"it was restored from a copy, or a copy of it is running. Put the newest state back, or, with every agent stopped, run `weir state reconcile`, which asks the sinks for what this state has forgotten. Nothing was collected or written", mine.Generation, mine.Parts, old.Generation, old.Parts)
	case old.StateID != mine.StateID && now.Sub(old.Heartbeat) < ownerAlive:
		return fault.New(fault.Permanent, "another agent writes this sink: state %s was alive at %s. Two agents cannot share a sink; stop the other one", old.StateID, old.Heartbeat.Format(time.RFC3339))
	case old.StateID != mine.StateID && !s.p.takeOver:
		return fault.New(fault.Permanent, "this sink belongs to another state: %s wrote it until %s. Use that data_dir, or another place for this sink; "+
			"or start with --take-over to let this state go on writing it (events the other state has delivered will be delivered again)", old.StateID, old.Heartbeat.Format(time.RFC3339))
	}
	if err := failpoint.Hit(failpoint.SinkOwner); err != nil {
		return err
	}
	if err := s.sink.SetOwner(ctx, old, mine); err != nil {
		return ownerError(err)
	}
	s.mu.Lock()
	s.owner = mine
	s.mu.Unlock()
	if err := failpoint.Hit(failpoint.SinkClaim); err != nil {
		return err
	}
	return s.p.state.Update(ctx, func(tx Tx) error { return tx.AddSink(SinkState{s.name, mine.SinkID}) })
}

func ownerError(err error) error {
	if errors.Is(err, sinks.ErrOwnerChanged) {
		return fault.New(fault.Permanent, "another agent has just claimed this sink: %w; stop one of the two", err)
	}
	return err
}

func (s *sinkRun) ownerNow() sinks.Owner {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owner
}

// parts counts the parts this state has planned for the sink.
func (s *sinkRun) parts() (n int64) {
	for _, d := range s.deliveries {
		d.mu.Lock()
		n += d.n
		d.mu.Unlock()
	}
	return n
}

// beat renews the owner record.
func (s *sinkRun) beat(ctx context.Context) error {
	old := s.ownerNow()
	mine := old
	mine.Heartbeat, mine.Parts = s.p.clock.Now().UTC().Truncate(time.Millisecond), s.parts()
	if err := s.sink.SetOwner(ctx, old, mine); err != nil {
		// A record that is gone is nobody's: whoever claims the place writes one.
		if now, e := s.sink.Owner(ctx); errors.Is(err, sinks.ErrOwnerChanged) && e == nil && now.StateID == "" {
			return fault.New(fault.Transient, "its owner record is gone: is its volume mounted?")
		}
		return ownerError(err)
	}
	s.mu.Lock()
	s.owner = mine
	s.mu.Unlock()
	return nil
}

// run prepares the sink, if that has not succeeded yet, and delivers until ctx
// ends or the sink refuses for good.
func (s *sinkRun) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	days := newDayKeeper(s)
	err := s.persevere(ctx, nil, "preparing", func() error {
		if s.isPrepared() {
			return nil
		}
		return s.tryPrepare(ctx)
	})
	if err == nil {
		for _, d := range s.deliveries {
			g.Go(func() error { return d.run(ctx) })
		}
		g.Go(func() error { return s.beats(ctx) })
		if days != nil {
			g.Go(func() error { return days.run(ctx) })
		}
		err = g.Wait()
	}
	if err != nil && !errors.Is(err, errStopped) {
		s.p.log.Error("sink stopped; what it is owed stays in the spool", "sink", s.name, "error", err)
		s.note(err)
	}
	if s.isPrepared() && (err == nil || errors.Is(err, errStopped)) {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), prepareTime)
		defer cancel()
		if err := s.beat(last); err != nil {
			s.p.log.Warn("could not renew the sink's owner record at the end", "sink", s.name, "error", err)
		}
		if days != nil { // a single run has no other time for it
			days.lookAndLog(last)
		}
	}
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.p.changed()
	return err
}

func (s *sinkRun) beats(ctx context.Context) error {
	for {
		select {
		case <-s.p.clock.After(heartbeat):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := s.beat(ctx); err != nil {
			if fault.Of(err) == fault.Permanent {
				return err
			}
			s.p.log.Warn("could not renew the sink's owner record; trying again", "sink", s.name, "error", err)
		}
	}
}

// persevere repeats a step on the sink until it succeeds, ctx ends, or the
// error is one that no retry mends. Everything else, refused credentials and
// missing tables included, may pass: the sink is red meanwhile.
func (s *sinkRun) persevere(ctx context.Context, table *schemas.Table, what string, step func() error) error {
	for wait := firstSinkWait; ; wait = min(2*wait, maxSinkWait) {
		err := step()
		if err == nil {
			s.note(nil)
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		name := ""
		if table != nil {
			name = table.Name
		}
		s.p.metrics.sinkErrors.WithLabelValues(s.name, string(fault.Of(err))).Inc()
		s.p.log.Error("sink failed; trying again", "sink", s.name, "step", what, "table", name, "error", err)
		since := s.note(err)
		// What is refused of a part is looked for, and not tried again.
		if c := fault.Of(err); c == fault.Permanent || c == fault.BadData && table != nil {
			return err
		}
		if s.p.patience > 0 && s.p.clock.Since(since) >= s.p.patience {
			return fmt.Errorf("gave up after %s: %w", s.p.patience, err)
		}
		pause := max(wait/2+mathrand.N(wait), fault.RetryAfter(err))
		select {
		case <-s.p.clock.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// note keeps the sink's condition and returns when its errors began.
func (s *sinkRun) note(err error) (since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		s.since = time.Time{}
	case s.since.IsZero():
		s.since = s.p.clock.Now()
	}
	s.err = err
	return s.since
}

func (s *sinkRun) isPrepared() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.prepared
}

func (s *sinkRun) stopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// because words the last error for a report.
func (s *sinkRun) because() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		return ""
	}
	return ": " + s.err.Error()
}

func (s *sinkRun) delivered(part *sinks.Part, r sinks.Receipt, took time.Duration) {
	s.mu.Lock()
	s.rows += part.Rows
	s.bytes += r.Bytes
	s.files += int64(r.Files)
	s.mu.Unlock()
	m := s.p.metrics
	m.sinkRows.WithLabelValues(s.name, part.Table.Name).Add(float64(part.Rows))
	m.sinkBytes.WithLabelValues(s.name, part.Table.Name).Add(float64(r.Bytes))
	m.parts.WithLabelValues(s.name, part.Table.Name).Inc()
	m.partSeconds.WithLabelValues(s.name).Observe(took.Seconds())
}

func (s *sinkRun) flush(on bool) {
	for _, d := range s.deliveries {
		d.flush(on)
	}
}

// waiting sums what the sink is owed.
func (s *sinkRun) waiting() (t Totals, parts int) {
	for _, d := range s.deliveries {
		dt, n := d.waiting()
		t.Batches += dt.Batches
		t.Rows += dt.Rows
		t.Plain += dt.Plain
		if t.Oldest.IsZero() || (!dt.Oldest.IsZero() && dt.Oldest.Before(t.Oldest)) {
			t.Oldest = dt.Oldest
		}
		parts += n
	}
	return t, parts
}
