package pipeline

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/schemas"
	"weir/sources"
)

// A batch of late rows spreads over batchSpan at most: sinks partition by month.
const (
	batchSpan     = 24 * 30 * 24 * time.Hour // of a batch's rows, at most
	maxBatchRows  = 1 << 16
	dayMS         = 86_400_000
	rejectMissing = "the record has no event id"
)

// pageCounts is what became of a page's rows.
type pageCounts struct {
	rows, duplicates, conflicts, unproven, late, rejected, timesReplaced int64
}

// encoder turns pages of one lane at a time into batches. Not for concurrent use.
type encoder struct {
	p      *Pipeline
	run    *StreamRun
	index  []int32
	groups []group
	partly map[string]*addressed // rows for some sinks only, by the sinks that have them
	dead   []DeadLetter          // what of the page cannot be taken
	own    []OwnWrite            // of the page
}

// addressed is rows for some sinks only.
type addressed struct {
	to    []string
	index []int32
}

// group is the rows of one batch to be.
type group struct {
	late  bool
	epoch int64 // which batchSpan of time
	index []int32
}

func newEncoder(p *Pipeline, run *StreamRun) *encoder {
	return &encoder{p: p, run: run, partly: map[string]*addressed{}}
}

// encode judges a page's rows and builds its batches. The returned seenPage is
// to be told once they are committed. A page that fails leaves nothing behind:
// it will be read again.
func (e *encoder) encode(ctx context.Context, lane sources.Lane, page *sources.Page) (ch *change, seen *seenPage, n pageCounts, err error) {
	now := e.p.clock.Now()
	ch = &change{}
	e.dead, e.own = e.dead[:0], e.own[:0]
	defer func() {
		if err != nil {
			e.giveUp(seen)
			ch, seen = nil, nil
		}
	}()
	for _, r := range page.Rejected {
		if err := e.refuse(lane, r, now); err != nil {
			return nil, nil, n, err
		}
	}
	for _, t := range e.run.tables {
		rows := page.Rows.Len(t)
		if rows == 0 {
			continue
		}
		e.index = e.index[:0]
		if t.Name == schemas.TableActivities {
			if seen, err = e.judge(ctx, lane, page.Rows.Activities, now, &n); err != nil {
				return nil, nil, n, err
			}
		} else {
			for i := range rows {
				e.index = append(e.index, int32(i))
			}
		}
		n.rows += int64(len(e.index))
		batches, late, err := e.batches(t, page.Rows, now)
		if err != nil {
			return nil, seen, n, err
		}
		n.late += late
		ch.batches = append(ch.batches, batches...)
		if ch.batches, err = e.encodePartly(t, page.Rows, now, &n, ch.batches); err != nil {
			return nil, seen, n, err
		}
	}
	dead, own, packed := slices.Clone(e.dead), slices.Clone(e.own), map[int64][]byte(nil)
	if seen != nil {
		packed = seen.packed
	}
	n.rejected = int64(len(dead))
	id := e.run.ID
	ch.lazy = len(ch.batches) == 0 && len(dead) == 0
	ch.apply = func(tx Tx) error {
		for _, d := range dead {
			if err := tx.AddDeadLetter(d); err != nil {
				return err
			}
		}
		for _, w := range own {
			if err := tx.AddOwnWrite(w, now); err != nil {
				return err
			}
		}
		for hour, ids := range packed {
			if err := tx.AddSeen(id, hour, ids, now); err != nil {
				return err
			}
		}
		return nil
	}
	return ch, seen, n, nil
}

// giveUp takes back what encoding a page has left: ids remembered, the files of
// dead letters, rows for some sinks.
func (e *encoder) giveUp(seen *seenPage) {
	if seen != nil {
		seen.giveUp()
	}
	clear(e.partly)
	e.p.giveUpDead(e.dead)
	e.dead = e.dead[:0]
}

// encodePartly adds the batches of rows that some sinks have already.
func (e *encoder) encodePartly(t *schemas.Table, rows *schemas.Rows, now time.Time, n *pageCounts, out []spooled) ([]spooled, error) {
	for _, key := range slices.Sorted(maps.Keys(e.partly)) {
		a := e.partly[key]
		delete(e.partly, key)
		e.index = append(e.index[:0], a.index...)
		batches, late, err := e.batches(t, rows, now)
		if err != nil {
			return nil, err
		}
		for i := range batches {
			batches[i].to = a.to
		}
		n.late += late
		n.rows += int64(len(a.index))
		out = append(out, batches...)
	}
	return out, nil
}

// address puts a row aside for the sinks that do not have it. It reports
// whether there is any.
func (e *encoder) address(row int32, had []string) bool {
	key := strings.Join(had, "\x00")
	a, ok := e.partly[key]
	if !ok {
		a = &addressed{}
		for _, name := range e.p.sinkNames {
			if !slices.Contains(had, name) {
				a.to = append(a.to, name)
			}
		}
		if len(a.to) == 0 {
			return false
		}
		e.partly[key] = a
	}
	a.index = append(a.index, row)
	return true
}

// judge drops the events already sent, mends impossible times, and leaves the
// rest in e.index.
func (e *encoder) judge(ctx context.Context, lane sources.Lane, rows []schemas.Activity, now time.Time, n *pageCounts) (_ *seenPage, err error) {
	page, err := e.run.seen.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil { // before another page takes its events for sent
			page.undo()
		}
		page.end()
	}()
	observed := schemas.Time(now.UnixMilli())
	for i := range rows {
		r := &rows[i]
		if r.EventID == "" {
			if err := e.refuse(lane, sources.Reject{Ref: strconv.Itoa(i), Reason: rejectMissing, Raw: r.Raw}, now); err != nil {
				return nil, err
			}
			continue
		}
		at := r.Time
		if t := r.Time.Plausible(observed); t != r.Time {
			r.Time, at = t, noTime
			n.timesReplaced++
		}
		v, had, err := page.judge(ctx, r.EventID, r.Raw, at)
		if err != nil {
			return nil, err
		}
		switch v {
		case isDuplicate:
			n.duplicates++
			continue
		case isConflict:
			n.conflicts++
		case isUnproven:
			n.unproven++
		case isNew, isPartial:
		}
		if e.run.OwnWrite != nil {
			if data := e.run.OwnWrite(r); data != nil {
				e.own = append(e.own, OwnWrite{Instance: e.run.ID.Instance, ID: strings.Clone(r.EventID), Data: data})
			}
		}
		if e.run.DropRaw {
			r.Raw = ""
		}
		if v == isPartial {
			if !e.address(int32(i), had) {
				n.duplicates++
			}
			continue
		}
		e.index = append(e.index, int32(i))
	}
	return page, nil
}

// batches encodes the rows in e.index: those of days before yesterday apart
// from the others, rows of one day together, no batch wider than batchSpan.
func (e *encoder) batches(t *schemas.Table, rows *schemas.Rows, now time.Time) (out []spooled, late int64, err error) {
	yesterday := schemas.Time(now.UTC().Truncate(24*time.Hour).AddDate(0, 0, -1).UnixMilli())
	e.groups = e.groups[:0]
	for _, i := range e.index {
		at := rows.Time(t, int(i))
		if at == 0 {
			at = schemas.Time(now.UnixMilli())
		}
		isLate, epoch := at < yesterday, int64(0)
		if isLate {
			late++
			epoch = int64(at) / batchSpan.Milliseconds()
		}
		e.group(isLate, epoch, i)
	}
	for _, g := range e.groups {
		slices.SortStableFunc(g.index, func(a, b int32) int {
			return int(int64(rows.Time(t, int(a)))/dayMS - int64(rows.Time(t, int(b)))/dayMS)
		})
		for part := range slices.Chunk(g.index, maxBatchRows) {
			b, err := e.batch(t, rows, part, g.late, now)
			if err != nil {
				return nil, 0, err
			}
			out = append(out, b)
		}
	}
	return out, late, nil
}

func (e *encoder) group(late bool, epoch int64, row int32) {
	for i := range e.groups {
		if g := &e.groups[i]; g.late == late && g.epoch == epoch {
			g.index = append(g.index, row)
			return
		}
	}
	if len(e.groups) < cap(e.groups) { // reuse the index of an earlier page
		e.groups = e.groups[:len(e.groups)+1]
	} else {
		e.groups = append(e.groups, group{})
	}
	g := &e.groups[len(e.groups)-1]
	g.late, g.epoch, g.index = late, epoch, append(g.index[:0], row)
}

func (e *encoder) batch(t *schemas.Table, rows *schemas.Rows, index []int32, late bool, now time.Time) (spooled, error) {
	observed := schemas.Time(now.UnixMilli())
	b := &Batch{
		ID: e.p.ids.New(), Table: t.Name, App: e.run.App, Instance: e.run.ID.Instance,
		SchemaVersion: schemas.Version, Rows: int64(len(index)), Late: late, Created: now.UTC(),
	}
	for k, i := range index {
		at := rows.Time(t, int(i))
		if at == 0 {
			at = observed
		}
		if k == 0 || at < b.MinTime {
			b.MinTime = at
		}
		b.MaxTime = max(b.MaxTime, at)
	}
	e.learn(b, t, rows, index, observed)
	encoded, err := e.p.builders.encode(t, schemas.Envelope{
		App: b.App, Instance: b.Instance, Tenant: e.run.tenant, ObservedAt: observed,
		Version: e.p.versions.take(int64(len(index))), BatchID: b.ID,
	}, rows, index)
	if err != nil {
		return spooled{}, fmt.Errorf("encoding a batch of %s: %w", t.Name, err)
	}
	return spooled{Batch: b, Encoded: encoded}, nil
}

// refuse keeps a record of the page that cannot be taken.
func (e *encoder) refuse(lane sources.Lane, r sources.Reject, now time.Time) error {
	d, err := e.deadRow(lane, r, now)
	if err == nil {
		e.dead = append(e.dead, d)
	}
	return err
}

// deadRow keeps a record that cannot be taken.
func (e *encoder) deadRow(lane sources.Lane, r sources.Reject, now time.Time) (DeadLetter, error) {
	d := DeadLetter{
		ID: e.p.ids.New(), At: now.UTC(), Kind: DeadRow, StreamID: e.run.ID, App: e.run.App, Lane: lane.ID, Hint: lane.Hint, Mapping: e.run.Stream.Info.Mapping,
		Ref: r.Ref, Class: "bad_data", Reason: r.Reason, Raw: string(bytesOf(r.Raw)),
	}
	err := e.p.dead.keep(&d)
	return d, err
}
