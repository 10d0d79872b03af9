package parquet

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/cespare/xxhash/v2"

	"weir/internal/durable"
	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

// remakeRows is how many rows are made anew at a time.
const remakeRows = 2048

// spoolSuffix is of a part's rows made anew, until its files are written.
const spoolSuffix = ".rows"

// remake makes a part's rows anew and writes it under its own id.
func (m *remap) remake(ctx context.Context, old Mark) (err error) {
	f, tmp, err := m.to.create(old.Part, "remap", spoolSuffix, durable.Points{Write: failpoint.RemapWrite})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.to.discard(f, tmp)) }()
	p := &sinks.Part{ID: old.Part, Previous: old.Previous, Table: m.r.Table, SchemaVersion: schemas.Version}
	var was keySum
	at := int64(0)
	for _, mf := range old.Files {
		err := m.read(ctx, mf, func(env []schemas.Envelope, rows *schemas.Rows) error {
			was.add(env, rows)
			return m.chunks(env, rows, func(_ int64, e schemas.Encoded, b sinks.Batch) error {
				offset, size := at, len(e.Body)
				b.ID = fmt.Sprintf("%s-%d", old.Part, len(p.Batches))
				b.Load = func() (schemas.Encoded, error) {
					body := make([]byte, size)
					if err := readAt(tmp, body, offset); err != nil {
						return schemas.Encoded{}, err
					}
					return schemas.Encoded{Head: e.Head, Body: body, Plain: e.Plain}, nil
				}
				p.Batches, p.Rows, at = append(p.Batches, b), p.Rows+b.Rows, at+int64(size)
				_, err := f.Write(e.Body)
				return err
			})
		})
		if err != nil {
			return err
		}
	}
	if p.Rows != old.Rows {
		return fault.New(fault.Permanent, "%d rows were read, its mark says %d", p.Rows, old.Rows)
	}
	if err := f.Flush(); err != nil {
		return err
	}
	return m.write(ctx, p, old, was)
}

// write writes the part's files, proves that they hold the rows that were read,
// and marks it.
func (m *remap) write(ctx context.Context, p *sinks.Part, old Mark, was keySum) error {
	staged, err := m.to.Stage(ctx, p)
	if err != nil {
		return err
	}
	st := staged.(*stagedPart)
	st.mark.Batches = old.Batches // the pieces here are nobody's batches
	var is keySum
	for i, f := range st.mark.Files {
		name := st.tmp[i]
		if name == "" {
			name = m.to.file(f)
		}
		if err := is.file(ctx, name, m.r.Table); err != nil {
			return errors.Join(err, st.Discard())
		}
	}
	if is != was {
		return errors.Join(fault.New(fault.Permanent, "the files hold other rows than were read: %d and %d, or other keys", is.rows, was.rows), st.Discard())
	}
	_, err = st.Commit(ctx)
	return err
}

// readAt reads from a file of this process.
func readAt(name string, into []byte, offset int64) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.ReadAt(into, offset)
	return err
}

// chunks encodes rows, those of one day together.
func (m *remap) chunks(env []schemas.Envelope, rows *schemas.Rows, each func(day int64, e schemas.Encoded, b sinks.Batch) error) error {
	days := map[int64][]int32{}
	var order []int64
	for i := range env {
		d := dayOf(rows.Time(m.r.Table, i))
		if _, ok := days[d]; !ok {
			order = append(order, d)
		}
		days[d] = append(days[d], int32(i))
	}
	for _, d := range order {
		index := days[d]
		e, err := m.builder.EncodeEach(env, rows, index)
		if err != nil {
			return err
		}
		at := rows.Time(m.r.Table, int(index[0]))
		b := sinks.Batch{App: string([]byte(env[index[0]].App)), Rows: int64(len(index)), MinTime: at, MaxTime: at}
		if err := each(d, e, b); err != nil {
			return err
		}
	}
	return nil
}

// read shows the rows of a file to Map, and hands them on.
func (m *remap) read(ctx context.Context, f MarkFile, each func([]schemas.Envelope, *schemas.Rows) error) error {
	var rows schemas.Rows
	var env []schemas.Envelope
	return m.s.readMarked(ctx, f, nil, remakeRows, func(rec arrow.RecordBatch) (err error) {
		rows.Reset()
		if env, err = m.r.Table.ReadBack(rec, &rows, env[:0]); err != nil {
			return err
		}
		if err := m.r.Map(env, &rows, false); err != nil {
			return err
		}
		return each(env, &rows)
	})
}

// keySum tells multisets of rows apart, by what of them must not change.
type keySum struct {
	rows int64
	sum  uint64
}

func (k *keySum) add(env []schemas.Envelope, rows *schemas.Rows) {
	var buf []byte
	for i := range env {
		e := &env[i]
		buf = binary.LittleEndian.AppendUint64(buf[:0], uint64(e.Version))
		buf = binary.LittleEndian.AppendUint64(buf, uint64(e.ObservedAt))
		for _, s := range [...]string{e.App, e.Instance, e.Tenant, e.BatchID, rows.Activities[i].EventID} {
			buf = binary.LittleEndian.AppendUint64(buf, uint64(len(s)))
			buf = append(buf, s...)
		}
		k.rows++
		k.sum += xxhash.Sum64(buf)
	}
}

// file adds a file's rows.
func (k *keySum) file(ctx context.Context, name string, t *schemas.Table) error {
	var rows schemas.Rows
	var env []schemas.Envelope
	return readFile(ctx, name, []string{"app", "instance", "tenant", "observed_at", "version", "batch_id", "event_id"}, remakeRows, func(rec arrow.RecordBatch) (err error) {
		rows.Reset()
		if env, err = t.ReadBack(rec, &rows, env[:0]); err == nil {
			k.add(env, &rows)
		}
		return err
	})
}
