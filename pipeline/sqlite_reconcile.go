package pipeline

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"
)

func (s *sqliteState) OwedBatches(ctx context.Context, sink string) ([]OwedBatch, error) {
	return query(ctx, s.read, func(r *sql.Rows) (b OwedBatch, err error) {
		b.Batch, err = scanBatch(r, &b.Part)
		return b, err
	}, `SELECT `+batchColumns+`, d.part FROM deliveries d JOIN batches b ON b.seq = d.seq WHERE d.sink = ? ORDER BY d.seq`, sink)
}

func (s *sqliteState) LastDelivered(ctx context.Context, sink, table string) (id string, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT `+partOrBefore+` FROM parts WHERE sink = ?2 AND tbl = ?3 AND delivered > 0 ORDER BY n DESC LIMIT 1`, asideMark, sink, table).Scan(&id)
	return id, ignoreNoRows(err)
}

func (s *sqliteState) HeldHours(ctx context.Context) ([]HeldHour, error) {
	return query(ctx, s.read, func(r *sql.Rows) (h HeldHour, err error) {
		err = r.Scan(&h.Instance, &h.Hour)
		return h, err
	}, `SELECT DISTINCT instance, hour FROM held ORDER BY 1, 2`)
}

func (s *sqliteState) HeldIDs(ctx context.Context, h HeldHour) (map[string][][]byte, error) {
	return s.bySink(ctx, `SELECT sink, entries FROM held WHERE instance = ? AND hour = ? ORDER BY n`, h.Instance, h.Hour)
}

func (s *sqliteState) SeenPartly(ctx context.Context, id StreamID, hour int64) (map[string][][]byte, error) {
	return s.bySink(ctx, `SELECT sink, entries FROM seen_partly WHERE instance = ? AND stream = ? AND hour = ?`, id.Instance, id.Stream, hour)
}

func (s *sqliteState) bySink(ctx context.Context, q string, args ...any) (map[string][][]byte, error) {
	out := map[string][][]byte{}
	_, err := query(ctx, s.read, func(r *sql.Rows) (struct{}, error) {
		var sink string
		var b []byte
		err := r.Scan(&sink, &b)
		out[sink] = append(out[sink], b)
		return struct{}{}, err
	}, q, args...)
	return out, err
}

func (s *sqliteState) Streams(ctx context.Context, instance string) ([]string, error) {
	return query(ctx, s.read, scanOne[string], `SELECT stream FROM lanes WHERE instance = ?1 UNION SELECT stream FROM seen WHERE instance = ?1 ORDER BY 1`, instance)
}

func (t *sqliteTx) AddHeld(sink string, h HeldHour, packed []byte) error {
	return t.exec(`INSERT INTO held (sink, instance, hour, entries) VALUES (?, ?, ?, ?)`, sink, h.Instance, h.Hour, packed)
}

func (s *sqliteState) LostBatches(ctx context.Context) ([]Batch, error) {
	return query(ctx, s.read, func(r *sql.Rows) (b Batch, err error) {
		var span string
		if err := r.Scan(&b.Instance, &span); err != nil {
			return b, err
		}
		if _, err := fmt.Sscanf(span, lostSpan, &b.MinTime, &b.MaxTime); err != nil {
			return b, fmt.Errorf("the times of a lost batch, %q: %w", span, err)
		}
		return b, nil
	}, `SELECT instance, hint FROM dead WHERE kind = ? AND ref = 'activities' AND hint <> ''`, kindBatch)
}

func (t *sqliteTx) ForgetHour(h HeldHour) error {
	return errors.Join(
		t.exec(`DELETE FROM seen WHERE instance = ? AND hour = ?`, h.Instance, h.Hour),
		t.exec(`DELETE FROM seen_partly WHERE instance = ? AND hour = ?`, h.Instance, h.Hour))
}

func (t *sqliteTx) ForgetHeld() error { return t.exec(`DELETE FROM held`) }

func (t *sqliteTx) AddSeenPartly(s StreamID, hour int64, sink string, packed []byte) error {
	return t.exec(`INSERT INTO seen_partly VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET entries = excluded.entries`, s.Instance, s.Stream, hour, sink, packed)
}

// endedFill is the error of a fill that was under way when the state was restored:
// what it has copied since then is not known.
const endedFill = "the state was restored from a copy while the fill was under way; `weir sinks fill` goes on with it, where that is possible"

func (t *sqliteTx) Reconcile(r reconciliation) (freed []string, err error) {
	for _, id := range r.finished {
		if err := errors.Join(
			t.exec(`UPDATE parts SET delivered = ? WHERE id = ?`, r.now, id),
			t.exec(`DELETE FROM deliveries WHERE part = ?`, id)); err != nil {
			return nil, err
		}
	}
	for _, id := range r.dissolved {
		if err := errors.Join(
			t.exec(`UPDATE deliveries SET part = '' WHERE part = ?`, id),
			t.exec(`DELETE FROM parts WHERE id = ?`, id)); err != nil {
			return nil, err
		}
	}
	for sink, batches := range r.delivered {
		for _, seq := range batches {
			if err := t.exec(`DELETE FROM deliveries WHERE sink = ? AND seq = ? AND part = ''`, sink, seq); err != nil {
				return nil, err
			}
		}
	}
	for _, p := range r.parts {
		if err := t.exec(`INSERT INTO parts (id, previous, sink, tbl, n, schema_version, rows, bytes, min_time, max_time, created, delivered)
			VALUES (?1, '', ?2, ?3, ?4, 0, 0, 0, 0, 0, ?5, ?5) ON CONFLICT (id) DO UPDATE SET n = excluded.n, delivered = excluded.delivered`, p.ID, p.Sink, p.Table, p.N, r.now); err != nil {
			return nil, err
		}
	}
	for _, sink := range r.filled {
		if err := t.exec(`UPDATE sink_marks SET data = json_set(data, '$.filled', json('true')) WHERE sink = ?`, sink); err != nil {
			return nil, err
		}
	}
	if err := t.exec(`UPDATE fills SET data = json_set(data, '$.ended', ?, '$.error', ?) WHERE json_extract(data, '$.ended') IS NULL`,
		time.UnixMilli(r.now).UTC().Format(time.RFC3339), endedFill); err != nil {
		return nil, err
	}
	if freed, err = t.freeUnowed(); err != nil {
		return nil, err
	}
	// What was lost with the spool can be collected again from here on.
	if err := errors.Join(
		t.exec(`UPDATE dead SET hint = '' WHERE kind = ?`, kindBatch),
		t.exec(`UPDATE holes SET class = ? WHERE class = ?`, ClassAgain, ClassSpool)); err != nil {
		return nil, err
	}
	for _, q := range []string{`DELETE FROM held`, `DELETE FROM synced`, `DELETE FROM round_seen`} {
		if err := t.exec(q); err != nil {
			return nil, err
		}
	}
	// Every scan begins anew, at once.
	if err := t.exec(`UPDATE scans SET data = json_set(data, '$.open', json('false'), '$.started', ?)`, time.Time{}.Format(time.RFC3339)); err != nil {
		return nil, err
	}
	for key, value := range map[string]string{
		metaVersion: strconv.FormatInt(r.version, 10), "generation": strconv.FormatInt(r.generation, 10),
	} {
		if err := t.SetMeta(key, value); err != nil {
			return nil, err
		}
	}
	return freed, t.PauseGovernance("the state was restored from a copy, and reconciled with its sinks: look at weir actions list, then weir actions resume")
}

// freeUnowed removes the batches that no sink is owed, and returns the segments
// that hold nothing else.
func (t *sqliteTx) freeUnowed() (freed []string, err error) {
	if err := t.exec(`DELETE FROM batches WHERE NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = batches.seq)`); err != nil {
		return nil, err
	}
	if freed, err = t.texts(`DELETE FROM segments WHERE name NOT IN (SELECT segment FROM batches) RETURNING name`); err != nil {
		return nil, fmt.Errorf("freeing segments: %w", err)
	}
	return freed, t.exec(forgetSlices)
}
