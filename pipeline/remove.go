package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// ending is what the end of a round finds out of one table.
type ending struct {
	t          *scanTable
	total      int64          // rows that exist
	held       int64          // whose removal waits for a person already
	blind      int64          // out of sight already
	candidates []int64        // absent for long enough
	children   int64          // of those, rows of lanes that are gone
	missed     []int64        // absent for the first time
	hidden     []int64        // absent since whoever looks sees less
	regained   []int64        // out of sight before, and absent now that all is in sight again
	forget     []int64        // removed long ago
	again      map[int64]bool // lanes to be read in the next round, whatever their hint
	holds      bool           // the candidates are too many to be removed unasked
}

// finish ends a complete round: it decides what is gone. Every step may be
// repeated, so being killed in between does no harm.
func (s *scan) finish(ctx context.Context, run *runInfo, lanes LaneCounts, counts ScanCounts) error {
	r, now := s.r, s.p.clock.Now().UTC()
	sight, err := s.sight(ctx)
	if err != nil {
		return err
	}
	if !sight.equal(s.st.Sight) {
		return s.giveUp(ctx, fault.New(fault.Transient, "whoever looks, or what is left out, has changed while the round went on"))
	}
	if lanes, lane, why := s.unseen.take(); lanes > 0 {
		s.p.log.Warn("nothing can be seen of some lanes; rows of theirs stand", "instance", r.ID.Instance, "stream", r.ID.Stream, "lanes", lanes, "lane", lane, "why", why)
	}
	read, err := s.p.state.ReadLanes(ctx, r.ID, s.st.Round)
	if err != nil {
		return err
	}
	whole := counts.Hidden == 0 // the round has shown every row, but for those that stand
	st := s.st
	st.Open, st.Syncing, st.Copies = false, nil, nil
	st.Holds, st.Copied = map[string]Hold{}, map[string]time.Time{}
	for sink, at := range s.st.Copied {
		st.Copied[sink] = at
	}
	for _, sink := range s.st.Copies {
		if whole {
			st.Copied[sink] = s.st.Started
		}
	}
	st.Last = &LastRound{ID: st.ID, Started: st.Started, Ended: now, Sight: st.Sight}

	// Who looked, and whether it may be told from this what is gone.
	may := removal{allowed: s.st.Last != nil && (r.Tenant == nil || r.tenant != "")}
	if counts.Passed > 0 && !r.Stream.Info.Disjoint {
		may.allowed = false // what is absent may have moved to where nobody may look
	}
	if last := s.st.Last; last != nil && !st.Sight.equal(last.Sight) {
		may.allowed, may.blind = false, !st.Sight.covers(last.Sight)
		if may.blind && st.Before == nil {
			st.Before = &last.Sight
		}
		s.p.log.Warn("whoever looks, or what is left out, has changed since the last round: nothing is removed by this one",
			"instance", r.ID.Instance, "stream", r.ID.Stream, "sees_less", may.blind)
	}
	if st.Before != nil && st.Sight.covers(*st.Before) {
		may.regained, st.Before = true, nil
	}
	tooMany, err := s.lanesGone(ctx, read)
	if err != nil {
		return err
	}
	asks := maxAsks
	var held int64
	again := map[int64]bool{}
	for _, t := range s.tables {
		here := may
		if counts.Passed > 0 && slices.Contains(r.Stream.Info.Shared, t.table.Name) {
			here.allowed = false
		}
		e, err := s.judgeTable(ctx, t, read, here, now)
		if err != nil {
			return err
		}
		maps.Copy(again, e.again)
		if tooMany {
			e.children = 0
		}
		absent := e.held + int64(len(e.candidates)) - e.children
		e.holds = absent > guardRows && absent*guardShare > e.total
		hold := Hold{Rows: e.held + e.blind + int64(len(e.hidden)), Total: e.total, Since: now, Sight: e.blind+int64(len(e.hidden)) > 0}
		if e.holds {
			hold.Rows += int64(len(e.candidates))
		}
		removed, waiting, err := s.settleTable(ctx, e, &asks)
		if err != nil {
			return err
		}
		st.Last.Rows += e.total - removed
		st.Last.Waiting += waiting
		if hold.Rows == 0 {
			continue
		}
		held += hold.Rows
		if before, ok := s.st.Holds[t.table.Name]; ok {
			hold.Since = before.Since
		}
		st.Holds[t.table.Name] = hold
		s.p.log.Error("removals are held: weir scan accept, or reject", "instance", r.ID.Instance, "stream", r.ID.Stream, "table", t.table.Name, "rows", hold.Rows, "of", e.total, "sees_less", hold.Sight)
	}
	r.Stats.Held.Store(held)
	s.p.metrics.held.WithLabelValues(r.ID.Instance, r.ID.Stream).Set(float64(held))
	return s.end(ctx, run, lanes, st, again, whole)
}

// end commits the end of a round.
func (s *scan) end(ctx context.Context, run *runInfo, lanes LaneCounts, st ScanState, again map[int64]bool, whole bool) error {
	r := s.r
	run.listed(0, schemas.Time(st.Started.UnixMilli()))
	var more []schemas.CollectionRun
	if whole && len(s.st.Copies) > 0 {
		for _, t := range s.tables {
			// A reader knows by this row that a snapshot is whole.
			more = append(more, schemas.CollectionRun{
				Stream: t.table.Name + schemas.SnapshotSuffix, RunID: st.ID, Mode: "scan", StartedAt: schemas.Time(st.Started.UnixMilli()),
				FinishedAt: schemas.Time(st.Last.Ended.UnixMilli()), Rows: t.copied, Outcome: "success",
			})
		}
	}
	err := r.runs.endWith(ctx, run, lanes, nil, more, func(tx Tx) error {
		for _, t := range s.tables {
			if err := tx.ForgetRoundSeen(t.scope); err != nil {
				return err
			}
			for _, sink := range s.st.Syncing[t.table.Name] {
				if err := tx.SetSynced(sink, t.table.Name, r.ID.Instance, whole); err != nil {
					return err
				}
			}
		}
		for lane, absent := range again {
			if !absent {
				continue
			}
			// A hint that stands would prove nothing of what is absent.
			if err := tx.ForgetHint(lane); err != nil {
				return err
			}
		}
		if err := tx.ForgetScanLanes(r.ID, st.Round); err != nil {
			return err
		}
		if err := failpoint.Hit(failpoint.ScanEnd); err != nil {
			return err
		}
		return tx.SetScan(r.ID, st)
	})
	if err != nil {
		return err
	}
	s.st = st
	r.caughtUp()
	for _, t := range s.tables {
		t.seen.clear()
		if err := s.address(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// lanesGone reports whether so many lanes are not listed any more that their
// rows must not pass the guard as those of removed parents.
func (s *scan) lanesGone(ctx context.Context, read map[int64]bool) (bool, error) {
	all, err := s.p.state.LanesKnown(ctx, s.r.ID)
	if err != nil {
		return false, err
	}
	gone := all - int64(len(read))
	return gone > guardRows && gone*guardShare > all || gone*2 > all, nil
}

// removal is what a round may conclude from a row's absence.
type removal struct {
	allowed  bool // absent rows may be removed
	blind    bool // absent rows may only be out of sight
	regained bool // rows that were out of sight would be shown again
}

// judgeTable looks at all rows of a table that the round did not show. Rows of
// lanes that were not read, because nothing changed in them, stand.
func (s *scan) judgeTable(ctx context.Context, t *scanTable, read map[int64]bool, may removal, now time.Time) (*ending, error) {
	e := &ending{t: t, again: map[int64]bool{}}
	started, old := s.st.Started.UnixMilli(), now.Add(-keepRemoved).UnixMilli()
	err := s.p.state.EachBaseline(ctx, t.scope, func(b *Baseline) {
		if b.Flags&rowRemoved != 0 {
			if b.At < old {
				e.forget = append(e.forget, b.Row)
			}
			return
		}
		e.total++
		wasRead, listed := read[b.Lane]
		if t.seen.has(b.Row) || listed && !wasRead || b.At >= started && b.At <= now.UnixMilli() {
			return
		}
		e.again[b.Lane] = e.again[b.Lane] || b.Flags&(rowHeld|rowBlind) == 0
		switch {
		case b.Flags&rowHeld != 0:
			e.held++
		case b.Flags&rowBlind != 0 && !may.regained:
			e.blind++
		case b.Flags&rowBlind != 0:
			e.regained = append(e.regained, b.Row)
		case may.blind:
			e.hidden = append(e.hidden, b.Row)
		case may.allowed && (s.r.Stream.Info.Keyset || b.Missed != 0 && b.Missed < s.st.Round):
			e.candidates = append(e.candidates, b.Row)
			if !listed {
				e.children++
			}
		case b.Missed == 0:
			e.missed = append(e.missed, b.Row)
		}
	})
	return e, err
}

// settleTable carries out what a round's end has found of a table. It returns
// how many rows it removed, and how many wait for the vendor to be asked.
func (s *scan) settleTable(ctx context.Context, e *ending, asks *int) (removed, waiting int64, err error) {
	mark := func(rows []int64, missed int64, flags rowFlags) {
		for part := range slices.Chunk(rows, rowsPerChange) {
			if err == nil {
				err = s.p.committer.update(ctx, func(tx Tx) error { return tx.MarkBaselines(e.t.scope, part, missed, flags) })
			}
		}
	}
	mark(e.missed, s.st.Round, 0)
	mark(e.regained, s.st.Round, 0)
	mark(e.hidden, 0, rowBlind)
	if e.holds {
		mark(e.candidates, s.st.Round, rowHeld)
		e.candidates = nil
	}
	for part := range slices.Chunk(e.forget, rowsPerChange) {
		if err == nil {
			err = s.p.committer.update(ctx, func(tx Tx) error { return tx.ForgetBaselines(e.t.scope, part) })
		}
	}
	if err != nil {
		return 0, 0, err
	}
	for part := range slices.Chunk(e.candidates, rowsPerChange) {
		rows, err := s.p.state.BaselinesOf(ctx, e.t.scope, part)
		if err != nil {
			return removed, waiting, err
		}
		n, left, err := s.askAndRemove(ctx, e.t, rows, asks)
		removed += n
		waiting += left
		if err != nil {
			return removed, waiting, err
		}
	}
	if waiting > 0 {
		s.p.log.Warn("not all absent rows could be asked for; the rest waits for the next round",
			"instance", s.r.ID.Instance, "stream", s.r.ID.Stream, "table", e.t.table.Name, "waiting", waiting)
	}
	return removed, waiting, nil
}

// askAndRemove removes absent rows: where the vendor can be asked, those that it
// does not know of. It returns how many it removed, and how many are left for
// another round.
func (s *scan) askAndRemove(ctx context.Context, t *scanTable, rows []Baseline, asks *int) (removed, left int64, err error) {
	var gone []Baseline
	var reasons []string
	var exist []int64
	for _, b := range rows {
		answer := sources.Unsure
		if s.r.Stream.Ask != nil {
			if *asks == 0 {
				left++
				continue
			}
			*asks--
			key, _ := t.print.SplitKey(b.KeyText)
			err := s.r.guard("asking", func() (err error) {
				answer, err = s.r.Stream.Ask(ctx, t.table.Name, key)
				return err
			})
			if ctx.Err() != nil {
				return 0, left, context.Cause(ctx)
			}
			if err != nil { // it is not known: the next round asks again
				s.r.countError(err)
				s.p.log.Warn("could not ask for an absent row", "instance", s.r.ID.Instance, "stream", s.r.ID.Stream, "table", t.table.Name, "error", err)
				if fault.Of(err) != fault.BadData {
					*asks = 0 // nor for others
				}
				left++
				continue
			}
		}
		switch answer {
		case sources.Exists:
			exist = append(exist, b.Row)
			continue
		case sources.Deleted:
			reasons = append(reasons, reasonDeleted)
		case sources.SoftDeleted:
			reasons = append(reasons, reasonSoftDeleted)
		case sources.Unsure:
			reasons = append(reasons, reasonUnknown)
		default:
			return 0, left, fault.New(fault.Permanent, "asking %s for a row of %s: the answer %q is none", s.r.ID, t.table.Name, answer)
		}
		gone = append(gone, b)
	}
	if len(exist) > 0 {
		err := s.p.committer.update(ctx, func(tx Tx) error { return tx.MarkBaselines(t.scope, exist, 0, 0) })
		if err != nil {
			return 0, left, err
		}
	}
	return int64(len(gone)), left, s.removeRows(ctx, t, gone, func(i int) string { return reasons[i] })
}

// removeRows tells the sinks that rows are gone, in one transaction.
func (s *scan) removeRows(ctx context.Context, t *scanTable, rows []Baseline, reason func(int) string) error {
	if len(rows) == 0 {
		return nil
	}
	now := s.p.clock.Now()
	c := &comparison{scan: s, now: now, ch: &change{}}
	out := &schemas.Rows{}
	for i := range rows {
		s.remove(t, out, rows[i].KeyText, reason(i))
		rows[i].Flags, rows[i].Missed, rows[i].At = rowRemoved, 0, now.UnixMilli()
	}
	if err := c.sendTo(t.table, out, nil, t.active); err != nil {
		return err
	}
	s.r.Stats.Rows.Add(c.n.rows)
	s.p.metrics.rows.WithLabelValues(s.r.ID.Instance, s.r.ID.Stream).Add(float64(c.n.rows))
	s.r.Stats.BytesOut.Add(int64(c.ch.bytes()))
	result := make(chan error, 1)
	c.ch.apply = func(tx Tx) error {
		if err := failpoint.Hit(failpoint.ScanRemove); err != nil {
			return err
		}
		return tx.PutBaselines(rows)
	}
	c.ch.done = func(err error) { result <- err }
	s.p.committer.submit(s.p.failure, c.ch)
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// decide carries out what a person has said of the held removals.
func (s *scan) decide(ctx context.Context) error {
	said, err := s.p.state.Meta(ctx, decisionKey(s.r.ID))
	if err != nil || said == "" {
		return err
	}
	decision := Decision(said)
	for _, t := range s.tables {
		var rows []int64
		blind := map[int64]bool{}
		err := s.p.state.EachBaseline(ctx, t.scope, func(b *Baseline) {
			if b.Flags&rowRemoved == 0 && (b.Flags&rowHeld != 0 || b.Flags&rowBlind != 0 && decision == Accept) {
				rows = append(rows, b.Row)
				blind[b.Row] = b.Flags&rowBlind != 0
			}
		})
		if err != nil {
			return err
		}
		for part := range slices.Chunk(rows, rowsPerChange) {
			if decision == Reject {
				err = s.p.committer.update(ctx, func(tx Tx) error { return tx.MarkBaselines(t.scope, part, 0, 0) })
			} else {
				var gone []Baseline
				if gone, err = s.p.state.BaselinesOf(ctx, t.scope, part); err == nil {
					err = s.removeRows(ctx, t, gone, func(i int) string {
						if blind[gone[i].Row] {
							return reasonAccessLost
						}
						return reasonUnknown
					})
				}
			}
			if err != nil {
				return err
			}
		}
		s.p.log.Info("held removals were decided", "instance", s.r.ID.Instance, "stream", s.r.ID.Stream, "table", t.table.Name, "decision", decision, "rows", len(rows))
	}
	next := s.st
	next.Holds = map[string]Hold{}
	for table, h := range s.st.Holds {
		if decision == Reject && h.Sight {
			next.Holds[table] = h // out of sight is not gone
		}
	}
	err = s.p.committer.update(ctx, func(tx Tx) error {
		if err := failpoint.Hit(failpoint.DecideDone); err != nil {
			return err
		}
		if err := tx.SetMeta(decisionKey(s.r.ID), ""); err != nil {
			return err
		}
		return tx.SetScan(s.r.ID, next)
	})
	if err != nil {
		return err
	}
	s.st = next
	s.r.Stats.Held.Store(0)
	s.p.metrics.held.WithLabelValues(s.r.ID.Instance, s.r.ID.Stream).Set(0)
	return nil
}

// Decide records what a person says of a stream's held removals. The stream
// carries it out when it looks next.
func (p *Pipeline) Decide(ctx context.Context, id StreamID, d Decision) error {
	return decide(ctx, p.state, p.committer.update, id, d)
}

// DecideOffline is Decide where no agent runs: on the state in dir.
func DecideOffline(ctx context.Context, dir string, id StreamID, d Decision) (err error) {
	unlock, err := lockDir(dir)
	if err != nil {
		return err
	}
	defer func() { _ = unlock() }()
	st, err := OpenState(ctx, dir)
	if err != nil {
		return err
	}
	defer func() { _ = st.Close() }()
	return decide(ctx, st, st.Update, id, d)
}

func decide(ctx context.Context, state State, update func(context.Context, func(Tx) error) error, id StreamID, d Decision) error {
	if d != Accept && d != Reject {
		return fmt.Errorf("%q is no decision: accept or reject", d)
	}
	st, err := state.Scan(ctx, id)
	if err != nil {
		return err
	}
	if len(st.Holds) == 0 {
		return fmt.Errorf("no removals of %s are held", id)
	}
	return update(ctx, func(tx Tx) error {
		if err := failpoint.Hit(failpoint.Decide); err != nil {
			return err
		}
		return tx.SetMeta(decisionKey(id), string(d))
	})
}

func decisionKey(id StreamID) string { return metaDecision + id.String() }
