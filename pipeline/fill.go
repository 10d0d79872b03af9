package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

// A fill copies rows of the log tables from a sink that can be read into another:
// those that were never meant for it (its gaps), of a span of time. It goes by
// the source's parts. A part's rows become batches of their own, with the rows'
// own versions, queued together with the note that the part is done: whenever
// the process ends, each row is queued once.
const (
	fillWait    = 10 * time.Second // between looks for parts that the source is still owed
	fillRetry   = 5 * time.Second
	maxFillWait = 10 * time.Minute
)

// FillRequest asks for a fill.
type FillRequest struct {
	Sink   string    `json:"sink"`
	Source string    `json:"source"`
	Since  time.Time `json:"since"`
	Until  time.Time `json:"until,omitzero"`
}

// StartFill makes a fill durable; it runs in the background, also after a
// restart. It is refused when rows might come twice.
func (p *Pipeline) StartFill(ctx context.Context, r FillRequest) (f Fill, err error) {
	refuse := func(format string, args ...any) (Fill, error) {
		return f, fault.New(fault.Permanent, "no fill of %s from %s: "+format, append([]any{r.Sink, r.Source}, args...)...)
	}
	for _, name := range []string{r.Sink, r.Source} {
		if !slices.Contains(p.sinkNames, name) {
			return refuse("sink %q is not in the configuration, or is detached", name)
		}
	}
	_, readable := p.sinkOf(r.Source).sink.(sinks.Lake)
	switch {
	case r.Sink == r.Source:
		return refuse("they are the same")
	case !readable:
		return refuse("%s cannot be read; a Parquet sink can", r.Source)
	case !r.Until.IsZero() && !r.Until.After(r.Since):
		return refuse("the span from %s to %s is empty", r.Since.Format(time.RFC3339), r.Until.Format(time.RFC3339))
	}
	m, _, err := p.state.SinkMark(ctx, r.Sink)
	if err != nil {
		return f, err
	}
	gaps, err := p.state.Gaps(ctx, r.Sink)
	if err != nil {
		return f, err
	}
	switch {
	case m.Used:
		return refuse("%s was written before it was configured under this name, and what it holds is not known: rows would be there twice. Give it an empty place", r.Sink)
	case m.Filled:
		return refuse("%s got rows by a fill that this state, restored from a copy, does not know of: they would be there twice. Give it an empty place and a new name", r.Sink)
	case len(gaps) == 0:
		return refuse("%s has been given everything since the state began, or since a Weir that knows of fills first ran: there is nothing to copy", r.Sink)
	}
	fills, err := p.state.Fills(ctx, r.Sink)
	if err != nil {
		return f, err
	}
	for _, old := range fills {
		if old.Ended.IsZero() {
			return refuse("fill %s of it has not ended yet", old.ID)
		}
		// What it has copied is known by the parts of its source.
		if old.Error != "" && old.Source != r.Source && (r.Until.IsZero() || old.Since.Before(r.Until)) && (old.Until.IsZero() || r.Since.Before(old.Until)) {
			return refuse("fill %s of it, from %s, was ended before its end, and only by the parts of %s is it known what it has copied: fill it from there, or give it an empty place and a new name", old.ID, old.Source, old.Source)
		}
	}
	seq, err := p.state.LastBatch(ctx)
	if err != nil {
		return f, err
	}
	f = Fill{ID: p.ids.New(), Sink: r.Sink, Source: r.Source, Since: r.Since.UTC(), Until: r.Until.UTC(), Seq: seq, Started: p.clock.Now().UTC()}
	if r.Until.IsZero() {
		f.Until = time.Time{}
	}
	if err := p.do(ctx, &change{apply: func(tx Tx) error { return tx.SetFill(f) }}); err != nil {
		return f, err
	}
	p.filling.Add(1)
	poke(p.fillWake)
	return f, nil
}

func (p *Pipeline) sinkOf(name string) *sinkRun {
	i := slices.IndexFunc(p.sinks, func(s *sinkRun) bool { return s.name == name })
	if i < 0 {
		return nil
	}
	return p.sinks[i]
}

// loadFills counts the fills that have not ended.
func (p *Pipeline) loadFills(ctx context.Context) error {
	fills, err := p.state.Fills(ctx, "")
	if err != nil {
		return err
	}
	for _, f := range fills {
		if f.Ended.IsZero() {
			p.filling.Add(1)
		}
	}
	return nil
}

// runFills runs fills, one after the other, until ctx ends or a single run's
// patience does.
func (p *Pipeline) runFills(ctx context.Context) {
	defer p.changed()
	defer p.fillsEnded.Store(true)
	var since time.Time
	for wait := fillRetry; ; wait = min(2*wait, maxFillWait) {
		again, err := p.fillAll(ctx)
		var timer <-chan time.Time
		if err == nil {
			since = time.Time{}
		} else if since.IsZero() {
			since = p.clock.Now()
		}
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && p.patience > 0 && p.clock.Since(since) >= p.patience:
			p.log.Error("fill failed; it goes on at the next start", "error", err)
			return
		case err != nil:
			p.log.Error("fill failed; trying again", "error", err)
			timer = p.clock.After(wait)
		case again:
			wait = fillRetry
			timer = p.clock.After(fillWait)
		default:
			wait = fillRetry
		}
		select {
		case <-timer:
		case <-p.fillWake:
		case <-ctx.Done():
			return
		}
	}
}

// fillAll carries on every fill that has not ended, and reports whether one is
// waiting for its source.
func (p *Pipeline) fillAll(ctx context.Context) (again bool, err error) {
	fills, err := p.state.Fills(ctx, "")
	if err != nil {
		return false, err
	}
	for i, f := range fills {
		if !f.Ended.IsZero() {
			continue
		}
		ended, ferr := p.fill(ctx, &f, fills[:i])
		if ferr != nil && ctx.Err() == nil {
			f.Error = fmt.Sprintf("%.500s", ferr)
			ferr = errors.Join(ferr, p.do(ctx, &change{apply: func(tx Tx) error { return tx.SetFill(f) }}))
		}
		err = errors.Join(err, ferr)
		again = again || !ended
		if ended {
			p.filling.Add(-1)
			p.changed()
		}
	}
	return again, err
}

// fill carries on one fill. earlier are those begun before it.
func (p *Pipeline) fill(ctx context.Context, f *Fill, earlier []Fill) (ended bool, err error) {
	source := p.sinkOf(f.Source)
	if source == nil || p.sinkOf(f.Sink) == nil {
		return false, fmt.Errorf("fill %s: sink %s or %s is not in the configuration, or is detached", f.ID, f.Sink, f.Source)
	}
	lake, ok := source.sink.(sinks.Lake)
	if !ok {
		return false, fmt.Errorf("fill %s: %s cannot be read", f.ID, f.Source)
	}
	gaps, err := p.state.Gaps(ctx, f.Sink)
	if err != nil {
		return false, err
	}
	var logs []string
	for _, t := range p.tables {
		if !t.Entity {
			logs = append(logs, t.Name)
		}
	}
	// Asked before the parts are listed: what is delivered in between is listed.
	owed, err := p.state.OwedUpTo(ctx, f.Source, logs, f.Seq)
	if err != nil {
		return false, err
	}
	for _, name := range logs {
		if err := p.fillTable(ctx, f, lake, schemas.ByName(name), gaps, earlier); err != nil {
			return false, fmt.Errorf("fill %s of %s from %s: %w", f.ID, name, f.Source, err)
		}
	}
	if owed {
		return false, nil
	}
	done := *f
	done.Ended, done.Error = p.clock.Now().UTC(), ""
	if err := p.do(ctx, &change{apply: func(tx Tx) error { return tx.SetFill(done) }}); err != nil {
		return false, err
	}
	p.log.Info("fill ended", "sink", f.Sink, "source", f.Source, "parts", done.Parts, "rows", done.Rows)
	return true, nil
}

func (p *Pipeline) fillTable(ctx context.Context, f *Fill, lake sinks.Lake, t *schemas.Table, gaps []Gap, earlier []Fill) error {
	parts, err := lake.Parts(ctx, t)
	if err != nil {
		return err
	}
	done, err := p.state.FillParts(ctx, f.ID, t.Name)
	if err != nil {
		return err
	}
	want := wanted{gaps: gaps, since: schemas.Time(f.Since.UnixMilli()), until: schemas.Time(1<<63 - 1)}
	if !f.Until.IsZero() {
		want.until = schemas.Time(f.Until.UnixMilli())
	}
	for _, e := range earlier {
		if e.Sink != f.Sink {
			continue
		}
		s := filled{since: schemas.Time(e.Since.UnixMilli()), until: schemas.Time(1<<63 - 1)}
		if !e.Until.IsZero() {
			s.until = schemas.Time(e.Until.UnixMilli())
		}
		if e.Source == f.Source {
			if s.parts, err = p.state.FillParts(ctx, e.ID, t.Name); err != nil {
				return err
			}
		}
		want.had = append(want.had, s)
	}
	for _, part := range parts {
		if done[part] {
			continue
		}
		if err := p.room.wait(ctx); err != nil {
			return err
		}
		if err := p.fillPart(ctx, f, lake, t, part, want); err != nil {
			return err
		}
	}
	return nil
}

// wanted says which rows a fill copies.
type wanted struct {
	gaps         []Gap // in order
	since, until schemas.Time
	had          []filled
}

// filled is what an earlier fill has copied: of a source, by part; of another
// source, whatever was there.
type filled struct {
	since, until schemas.Time
	parts        map[string]bool // nil: all
}

func (w wanted) row(part string, version int64, at schemas.Time) bool {
	if at < w.since || at >= w.until {
		return false
	}
	if !sinks.Within(w.gaps, version) {
		return false
	}
	return !slices.ContainsFunc(w.had, func(s filled) bool {
		return at >= s.since && at < s.until && (s.parts == nil || s.parts[part])
	})
}

// fillPart queues what is wanted of one part.
func (p *Pipeline) fillPart(ctx context.Context, f *Fill, lake sinks.Lake, t *schemas.Table, part string, want wanted) error {
	var out []spooled
	rows := int64(0)
	now := p.clock.Now().UTC()
	err := lake.ReadPart(ctx, t, part, func(app string, c *schemas.Chunk) error {
		byInstance := map[string][]int{}
		for i := range c.Len() {
			if want.row(part, c.Version(i), c.Time(i)) {
				byInstance[c.Instance(i)] = append(byInstance[c.Instance(i)], i)
			}
		}
		for instance, index := range byInstance {
			b := &Batch{
				ID: p.ids.New(), Table: t.Name, App: app, Instance: instance, SchemaVersion: schemas.Version, Rows: int64(len(index)),
				MinTime: c.Time(index[0]), MaxTime: c.Time(index[0]), Late: true, Created: now,
			}
			for _, i := range index {
				b.MinTime, b.MaxTime = min(b.MinTime, c.Time(i)), max(b.MaxTime, c.Time(i))
			}
			e, err := c.Encode(b.ID, index)
			if err != nil {
				return err
			}
			out = append(out, spooled{Batch: b, Encoded: e, to: []string{f.Sink}})
			rows += b.Rows
		}
		return nil
	})
	if err != nil {
		return err
	}
	next := *f
	next.Parts++
	next.Rows += rows
	next.Error = ""
	err = p.do(ctx, &change{batches: out, apply: func(tx Tx) error {
		if err := failpoint.Hit(failpoint.FillPart); err != nil {
			return err
		}
		return errors.Join(tx.AddFillPart(f.ID, t.Name, part), tx.SetFill(next))
	}})
	if err == nil {
		*f = next
	}
	return err
}
