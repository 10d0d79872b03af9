package pipeline

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"weir/internal/ids"
	"weir/schemas"
	"weir/sources"
)

// DeadAction is what a person wants done with dead letters.
type DeadAction string

// Actions. Each letter's is one transaction: it happens once, whenever the
// process ends.
const (
	// Replay takes a letter up again: a record is mapped anew, an object is read
	// on from where it was, rows that a sink refused are brought to that sink.
	Replay DeadAction = "replay"
	// Drop gives a letter up.
	Drop DeadAction = "drop"
	// Recollect reads the object of a letter, or of a dropped one, again from
	// its start: what was delivered of it is known by its ids, and not sent again.
	Recollect DeadAction = "recollect"
)

// DeadResult says what became of one letter.
type DeadResult struct {
	ID    string `json:"id"`
	Kind  string `json:"kind"`
	Done  string `json:"done,omitempty"`
	Error string `json:"error,omitempty"`
}

// MapRecord makes rows of a record that was refused, with today's mapping. It
// returns an error that says why it is refused again, or ErrNoMapper.
type MapRecord func(d DeadLetter, tenant string) (*schemas.Rows, error)

// ErrNoMapper says that an app's records cannot be mapped by themselves.
var ErrNoMapper = errors.New("records of this app cannot be mapped by themselves")

// ActOnDead does what a person wants with the letters that a filter chooses.
// mapRecord may be nil: then records are collected again with their object.
func (p *Pipeline) ActOnDead(ctx context.Context, action DeadAction, f DeadFilter, mapRecord MapRecord) (out []DeadResult, err error) {
	letters, err := p.state.FindDead(ctx, f)
	if err != nil {
		return nil, err
	}
	dropped := map[string]bool{}
	if action == Recollect {
		more, err := p.state.FindDropped(ctx, f)
		if err != nil {
			return nil, err
		}
		for _, d := range more {
			dropped[d.ID] = true
		}
		letters = append(letters, more...)
	}
	slices.Reverse(letters) // the oldest first
	for _, d := range letters {
		r := DeadResult{ID: d.ID, Kind: d.Kind}
		r.Done, err = p.actOn(ctx, action, d, dropped[d.ID], mapRecord)
		if err != nil {
			r.Error = err.Error()
		}
		out = append(out, r)
		if ctx.Err() != nil {
			return out, context.Cause(ctx)
		}
	}
	return out, nil
}

func (p *Pipeline) actOn(ctx context.Context, action DeadAction, d DeadLetter, dropped bool, mapRecord MapRecord) (done string, err error) {
	switch {
	case action == Drop:
		return "dropped", p.dropDead(ctx, d)
	case action == Recollect && d.Kind == DeadPart:
		return "", errors.New("its rows were collected, and are in the other sinks: `weir deadletter replay` brings them to this one; once dropped, only `weir sinks fill` into a new sink does")
	case action == Recollect:
		return "its object is read again from the start", p.reopen(ctx, d, true, dropped)
	case d.Kind == DeadPart:
		return "queued for sink " + d.Sink, p.replayPart(ctx, d.ID)
	case d.Kind == DeadRow && mapRecord != nil:
		if err := p.replayRow(ctx, d, mapRecord); !errors.Is(err, ErrNoMapper) {
			return "mapped anew", err
		}
		fallthrough
	case d.Kind == DeadRow:
		return "its object is read again from the start", p.reopen(ctx, d, true, false)
	default:
		return "its object is read on", p.reopen(ctx, d, false, false)
	}
}

// replayPart queues rows that a sink refused for that sink, and removes their
// letter, in one transaction. The rows keep their versions.
func (p *Pipeline) replayPart(ctx context.Context, id string) error {
	d, err := LoadDead(ctx, p.state, p.dataDir, id)
	if err != nil {
		return err
	}
	if !slices.Contains(p.sinkNames, d.Sink) {
		return fmt.Errorf("sink %q is not in the configuration, or is detached", d.Sink)
	}
	c, err := deadChunk(d)
	if err != nil {
		return err
	}
	defer c.Release()
	b := &Batch{
		ID: p.ids.New(), Table: d.Table, App: d.App, Instance: d.Instance, SchemaVersion: schemas.Version,
		Rows: int64(c.Len()), MinTime: d.MinTime, MaxTime: d.MaxTime, Created: p.clock.Now().UTC(),
	}
	e, err := c.Encode(b.ID, schemas.RowRange(0, c.Len()))
	if err != nil {
		return err
	}
	return p.replaced(ctx, d, &change{
		batches: []spooled{{Batch: b, Encoded: e, to: []string{d.Sink}}},
		apply:   func(tx Tx) error { return tx.RemoveDead(d.ID) },
	})
}

// replaced commits what takes a letter's place, and gives its file up.
func (p *Pipeline) replaced(ctx context.Context, d DeadLetter, ch *change) error {
	after := ch.done
	ch.done = func(err error) {
		if err == nil {
			p.giveUpDead([]DeadLetter{d})
		}
		if after != nil {
			after(err)
		}
	}
	return p.do(ctx, ch)
}

// do commits a change and waits for it: through the committer, where it runs. The
// change's done is called with its outcome, also where ctx ends before that.
func (p *Pipeline) do(ctx context.Context, ch *change) error {
	if p.stopCommits == nil { // not started: this is the only writer
		err := p.committer.try(ctx, []*change{ch}, ch.batches)
		if ch.done != nil {
			ch.done(err)
		}
		return err
	}
	result := make(chan error, 1)
	after := ch.done
	ch.done = func(err error) {
		if after != nil {
			after(err)
		}
		result <- err
	}
	p.committer.submit(p.failure, ch)
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.failure.Done():
		return context.Cause(p.failure)
	}
}

// reopen has a letter's object read again.
func (p *Pipeline) reopen(ctx context.Context, d DeadLetter, fromStart, dropped bool) error {
	return p.replaced(ctx, d, &change{apply: func(tx Tx) error {
		if err := tx.ReopenLane(d, fromStart, p.clock.Now()); err != nil {
			return err
		}
		if dropped {
			return tx.ForgetDropped(d.ID)
		}
		return tx.RemoveDead(d.ID)
	}})
}

// replayRow maps a record anew; its rows are judged like those of a page.
func (p *Pipeline) replayRow(ctx context.Context, d DeadLetter, mapRecord MapRecord) error {
	run := p.runOf(d.StreamID)
	if run == nil {
		return fmt.Errorf("stream %s does not run: its instance is not in the configuration, or not open yet", d.StreamID)
	}
	whole, err := LoadDead(ctx, p.state, p.dataDir, d.ID)
	if err != nil {
		return err
	}
	tenant, err := p.state.Meta(ctx, metaTenant+d.Instance)
	if err != nil {
		return err
	}
	rows, err := mapRecord(whole, tenant)
	if errors.Is(err, ErrNoMapper) {
		return err
	}
	if err != nil {
		return fmt.Errorf("it is refused again: %w", err)
	}
	for i := range rows.Activities {
		if rows.Activities[i].EventID == "" { // before any other row of it is taken for sent
			return errors.New("it is refused again: " + rejectMissing)
		}
	}
	// Shares with the run what it remembers, and nothing that it changes.
	beside := &StreamRun{StreamOptions: run.StreamOptions, p: p, seen: run.seen, tables: run.tables, tenant: tenant}
	ch, seen, _, err := newEncoder(p, beside).encode(ctx, sources.Lane{ID: d.Lane, Hint: d.Hint}, &sources.Page{Rows: rows})
	if err != nil {
		return err
	}
	inner := ch.apply
	ch.lazy = false
	ch.apply = func(tx Tx) error { return errors.Join(inner(tx), tx.RemoveDead(d.ID)) }
	ch.done = func(err error) {
		switch {
		case seen == nil:
		case err == nil:
			seen.committed()
		default:
			seen.giveUp()
		}
	}
	return p.replaced(ctx, d, ch)
}

// dropDead gives a letter up, and says so in collection_runs.
func (p *Pipeline) dropDead(ctx context.Context, d DeadLetter) error {
	now := p.clock.Now()
	stream, what := d.Stream, "dead letter dropped: "+d.Kind+" "+d.Ref
	if d.Kind == DeadPart {
		stream, what = d.Table, fmt.Sprintf("dead letter dropped: %d rows of %s that sink %s refused", d.Rows, d.Table, d.Sink)
	} else if d.Lane != "" {
		what += " of " + d.Lane
	}
	at := schemas.Time(now.UnixMilli())
	rows := &schemas.Rows{CollectionRuns: []schemas.CollectionRun{{
		Stream: stream, RunID: p.ids.New(), Mode: "drop", StartedAt: at, FinishedAt: at, Outcome: "partial", Rejected: max(d.Rows, 1),
		Error: fmt.Sprintf("%.1000s", what+": "+d.Reason),
	}}}
	app := d.App
	if run := p.runOf(d.StreamID); run != nil {
		app = run.App
	}
	if app == "" {
		app = "weir"
	}
	b, err := p.ownBatch(schemas.ByName(schemas.TableCollectionRuns), rows, app, d.Instance, now)
	if err != nil {
		return err
	}
	return p.replaced(ctx, d, &change{batches: []spooled{b}, apply: func(tx Tx) error {
		return errors.Join(tx.ForgetDroppedBefore(now.Add(-keepDropped)), tx.DropDead(d, now))
	}})
}

// ownBatch makes a batch of rows that are not of a running stream.
func (p *Pipeline) ownBatch(t *schemas.Table, rows *schemas.Rows, app, instance string, now time.Time) (spooled, error) {
	n := int64(rows.Len(t))
	at := schemas.Time(now.UnixMilli())
	b := &Batch{ID: p.ids.New(), Table: t.Name, App: app, Instance: instance, SchemaVersion: schemas.Version, Rows: n, MinTime: at, MaxTime: at, Created: now.UTC()}
	e, err := schemas.NewBuilder(t).Encode(schemas.Envelope{App: app, Instance: instance, ObservedAt: at, Version: p.versions.take(n), BatchID: b.ID}, rows, nil)
	if err != nil {
		return spooled{}, fmt.Errorf("encoding a batch of %s: %w", t.Name, err)
	}
	return spooled{Batch: b, Encoded: e}, nil
}

// runOf returns the run of a stream; nil when there is none.
func (p *Pipeline) runOf(id StreamID) *StreamRun {
	if v, ok := p.runs.Load(id); ok {
		return v.(*StreamRun) //nolint:forcetypeassert // nothing else is stored
	}
	return nil
}

// ActOnDeadOffline is ActOnDead for a data directory on which no agent runs.
func ActOnDeadOffline(ctx context.Context, o Options, action DeadAction, f DeadFilter, sinkNames []string) (out []DeadResult, err error) {
	err = offline(ctx, o, func(p *Pipeline) error {
		p.sinkNames = sinkNames
		out, err = p.ActOnDead(ctx, action, f, nil)
		return err
	})
	return out, err
}

// offline runs fn on the state and the spool of a data directory on which no
// agent runs, without sinks.
func offline(ctx context.Context, o Options, fn func(*Pipeline) error) (err error) {
	unlock, err := lockDir(o.DataDir)
	if err != nil {
		return err
	}
	p := &Pipeline{
		clock: o.Clock, rand: o.Rand, log: o.Log, ids: ids.NewMaker(o.Clock, o.Rand), unlock: unlock, dataDir: o.DataDir,
		tables: schemas.Tables(), watch: make(chan struct{}),
	}
	p.failure, p.failed = context.WithCancelCause(context.WithoutCancel(ctx))
	defer func() { err = errors.Join(err, p.closeFiles()) }()
	if p.state, err = OpenState(ctx, o.DataDir); err != nil {
		return err
	}
	known, err := p.state.Segments(ctx)
	if err != nil {
		return err
	}
	if p.spool, err = openSpool(filepath.Join(o.DataDir, spoolDir), known); err != nil {
		return err
	}
	if p.dead, err = openDead(ctx, p.state, o.DataDir, o.DeadLimit); err != nil {
		return err
	}
	p.committer = newCommitter(p)
	if err := p.loadMeta(ctx); err != nil {
		return err
	}
	return fn(p)
}

// Describe words a letter's place for a person.
func (d DeadLetter) Describe() string {
	switch d.Kind {
	case DeadPart:
		return fmt.Sprintf("%d rows of %s for sink %s", d.Rows, d.Table, d.Sink)
	case DeadRow:
		return strings.TrimSpace(d.Lane + " " + d.Ref)
	default:
		return d.Lane
	}
}
