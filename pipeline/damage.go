package pipeline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

// kindBatch is the kind of a dead letter that names rows lost with the spool.
const kindBatch = "batch"

// lostSpan is how the hint of such a dead letter tells the rows' times, in
// milliseconds, until the state is reconciled.
const lostSpan = "%d %d"

// damagedBatch says that the spool does not hold a batch whole.
type damagedBatch struct {
	batch Batch
	err   error
}

func (d *damagedBatch) Error() string { return d.err.Error() }
func (d *damagedBatch) Unwrap() error { return d.err }

func newDamage(b *Batch, name string, err error) error {
	return &damagedBatch{*b, fault.New(fault.Permanent, "reading spool: batch %s in %s is damaged: %w", b.ID, name, err)}
}

var (
	errMissing  = errors.New("the file is missing")
	errShort    = errors.New("the file is cut short")
	errChecksum = errors.New("its checksum does not match")
)

// whole repeats a step on a part, without the batches that turn out to be
// damaged: each becomes a dead letter that names its rows, and the rest goes on.
// The part that is left may be empty; it keeps its id and its place.
func (d *delivery) whole(ctx context.Context, part *sinks.Part, step func(*sinks.Part) error) (*sinks.Part, error) {
	for {
		err := step(part)
		var bad *damagedBatch
		if !errors.As(err, &bad) {
			return part, err
		}
		left, err := d.lose(ctx, part, bad)
		if err != nil {
			return part, err
		}
		part = left
		d.sink.note(nil)
	}
}

// lose takes a damaged batch out of a planned part.
func (d *delivery) lose(ctx context.Context, part *sinks.Part, bad *damagedBatch) (*sinks.Part, error) {
	b := bad.batch
	what := lost(b)
	d.p.log.Error("rows are lost with the spool, and must be collected again: see `weir deadletter list`", "sink", d.sink.name, "rows", what, "error", bad.err)
	dead := DeadLetter{
		ID: b.ID, At: d.p.clock.Now().UTC(), Kind: kindBatch, StreamID: StreamID{Instance: b.Instance}, Hint: fmt.Sprintf(lostSpan, b.MinTime, b.MaxTime), Ref: b.Table, Class: string(fault.BadData), SchemaVersion: schemas.Version,
		Reason: fmt.Sprintf("%s did not reach sink %s: %s; run `weir state reconcile`: then it is collected again", what, d.sink.name, bad.err),
	}
	err := d.p.committer.update(ctx, func(tx Tx) error {
		return errors.Join(tx.LoseBatch(d.sink.name, part.ID, b, dead), d.p.askAgain(tx, d.sink.name, b, dead))
	})
	if err != nil {
		return part, err
	}
	open, err := d.p.state.OpenParts(ctx, d.sink.name, d.table.Name)
	if err != nil {
		return part, err
	}
	for _, ps := range open {
		if ps.ID == part.ID {
			return d.part(ctx, ps)
		}
	}
	return part, fault.New(fault.Permanent, "part %s is not planned any more: the state is damaged", part.ID)
}

// askAgain has what is lost with the spool told again: of events, it opens a
// hole in what was complete; of entities, the next complete round brings the
// sink every row. A removal is brought by reconciling alone.
func (p *Pipeline) askAgain(tx Tx, sink string, b Batch, dead DeadLetter) error {
	if b.Table != schemas.TableActivities {
		return tx.ForgetSynced(sink, b.Table)
	}
	span := NewSpan(time.UnixMilli(int64(b.MinTime)), time.UnixMilli(int64(b.MaxTime)+1))
	for _, s := range p.logs { // which of the instance's it came from is not known
		if s.ID.Instance != b.Instance {
			continue
		}
		h := Hole{Key: "spool:" + b.ID, Span: span, Class: ClassSpool, Reason: dead.Reason, State: HoleOpen}
		if err := errors.Join(tx.Uncover(s.ID, span), tx.Hole(s.ID, h, dead.At)); err != nil {
			return err
		}
	}
	return nil
}

func (t *sqliteTx) LoseBatch(sink, part string, b Batch, dead DeadLetter) error {
	return errors.Join(
		t.exec(`UPDATE parts SET rows = rows - ?, bytes = bytes - ? WHERE id = ? AND EXISTS (SELECT 1 FROM deliveries WHERE sink = ? AND part = ? AND seq = ?)`, b.Rows, b.Plain, part, sink, part, b.Seq),
		t.exec(`DELETE FROM deliveries WHERE sink = ? AND part = ? AND seq = ?`, sink, part, b.Seq),
		// The first sink that finds it tells; the others add their names.
		t.exec(`INSERT INTO dead VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET reason = dead.reason || '; nor sink ' || ?`,
			dead.ID, dead.At.UnixMilli(), dead.Kind, dead.Instance, dead.Stream, dead.Lane, dead.Hint, dead.Ref, dead.Class, dead.Reason, dead.SchemaVersion, []byte(dead.Raw), sink),
		t.exec(`DELETE FROM batches WHERE seq = ?1 AND NOT EXISTS (SELECT 1 FROM deliveries WHERE seq = ?1)`, b.Seq),
		t.exec(`DELETE FROM segments WHERE name = ?1 AND NOT EXISTS (SELECT 1 FROM batches WHERE segment = ?1)`, b.Segment))
}
