package pipeline

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"weir/internal/failpoint"
	"weir/sources"
)

type sqliteTx struct {
	ctx context.Context //nolint:containedctx // lives as long as the transaction
	tx  *sql.Tx
}

func (t *sqliteTx) exec(q string, args ...any) error {
	_, err := t.tx.ExecContext(t.ctx, q, args...)
	return err
}

func (t *sqliteTx) SetMeta(key, value string) error {
	return t.exec(`INSERT INTO meta VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value`, key, value)
}

func (t *sqliteTx) SetListing(s StreamID, c sources.Cursor) error {
	return t.exec(`INSERT INTO listings VALUES (?, ?, ?) ON CONFLICT (instance, stream) DO UPDATE SET cursor = excluded.cursor`,
		s.Instance, s.Stream, string(c))
}

func (t *sqliteTx) AddLanes(s StreamID, lanes []sources.Lane, now time.Time) error {
	if err := failpoint.Hit(failpoint.LanesAdd); err != nil {
		return err
	}
	stmt, err := t.tx.PrepareContext(t.ctx, `INSERT INTO lanes (`+laneColumns+`, changed) VALUES (?, ?, ?, ?, ?, '', 0, ?, 0, '', '', ?)
		ON CONFLICT (instance, stream, lane) DO UPDATE SET hint = excluded.hint, cursor = '', status = 0, due = excluded.due, fails = 0,
		class = '', error = '', changed = excluded.changed
		WHERE hint <> excluded.hint AND once`)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for _, l := range lanes {
		if _, err := stmt.ExecContext(t.ctx, s.Instance, s.Stream, l.ID, l.Hint, l.Once, now.UnixMilli(), now.UnixMilli()); err != nil {
			return err
		}
	}
	return nil
}

func (t *sqliteTx) ReviveLogLanes(s StreamID, now time.Time) error {
	return t.exec(`UPDATE lanes SET fails = 0, due = min(due, ?) WHERE instance = ? AND stream = ? AND status = 0 AND fails > 0`, now.UnixMilli(), s.Instance, s.Stream)
}

func (t *sqliteTx) RouseLanes(s StreamID, lanes []string, now time.Time) error {
	for _, lane := range lanes {
		if err := t.exec(`UPDATE lanes SET due = ?1 WHERE instance = ?2 AND stream = ?3 AND lane = ?4 AND status = 0 AND class = '' AND due > ?1`, now.UnixMilli(), s.Instance, s.Stream, lane); err != nil {
			return err
		}
		if err := t.exec(`UPDATE scan_lanes SET delta_due = ?1 WHERE instance = ?2 AND stream = ?3 AND lane = ?4 AND delta <> '' AND class = '' AND delta_due > ?1`, now.UnixMilli(), s.Instance, s.Stream, lane); err != nil {
			return err
		}
	}
	return nil
}

func (t *sqliteTx) SetLane(u LaneUpdate) error {
	// A lane listed anew under another hint since it was read is left to start
	// again.
	return t.exec(`UPDATE lanes SET cursor = ?, status = ?, due = ?, fails = ?, class = ?, error = ?, changed = max(changed, ?)
		WHERE instance = ? AND stream = ? AND lane = ? AND hint = ?`,
		string(u.Cursor), u.Status, u.Due.UnixMilli(), u.Fails, u.Class, u.Error, u.Due.UnixMilli(), u.Instance, u.Stream, u.Lane.ID, u.Lane.Hint)
}

func (t *sqliteTx) ForgetLanes(s StreamID, doneBefore time.Time) (int64, error) {
	r, err := t.tx.ExecContext(t.ctx, `DELETE FROM lanes WHERE instance = ? AND stream = ? AND status = 1 AND changed < ?`, s.Instance, s.Stream, doneBefore.UnixMilli())
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (t *sqliteTx) ForgetInstance(instance string, limit int) (more bool, err error) {
	const scopes = `(SELECT num FROM scopes WHERE instance = ?1)`
	r, err := t.tx.ExecContext(t.ctx, fmt.Sprintf(`DELETE FROM baselines WHERE id IN (SELECT b.id FROM scopes s JOIN baselines b
		ON b.id BETWEEN s.num << %[1]d AND (s.num << %[1]d) + %[2]d WHERE s.instance = ?1 LIMIT ?2)`, scopeShift, int64(rowMask)), instance, limit)
	if err != nil {
		return false, err
	}
	if n, err := r.RowsAffected(); err != nil || n == int64(limit) {
		return true, err
	}
	for _, q := range []string{
		`DELETE FROM round_seen WHERE scope IN ` + scopes,
		`DELETE FROM scopes WHERE instance = ?1`,
		`DELETE FROM scans WHERE instance = ?1`,
		`DELETE FROM scan_lanes WHERE instance = ?1`,
		`DELETE FROM listings WHERE instance = ?1`,
		`DELETE FROM lanes WHERE instance = ?1`,
		`DELETE FROM seen WHERE instance = ?1`,
		`DELETE FROM seen_floor WHERE instance = ?1`,
		`DELETE FROM seen_partly WHERE instance = ?1`,
		`DELETE FROM synced WHERE instance = ?1`,
		`DELETE FROM coverage WHERE instance = ?1`,
		`DELETE FROM holes WHERE instance = ?1`,
		`DELETE FROM past WHERE instance = ?1`,
		`DELETE FROM own_writes WHERE instance = ?1`,
		`DELETE FROM own_watches WHERE instance = ?1`,
	} {
		if err := t.exec(q, instance); err != nil {
			return false, err
		}
	}
	for _, word := range instanceWords {
		if err := t.exec(`DELETE FROM meta WHERE `+valueOf, word+instance); err != nil {
			return false, err
		}
	}
	return false, nil
}

// valueOf chooses the values whose name is one, or that one, "/" and more.
const valueOf = `(key = ?1 OR substr(key, 1, length(?1) + 1) = ?1 || '/')`

func (t *sqliteTx) AddSegment(name string, bytes int64) error {
	return t.exec(`INSERT INTO segments VALUES (?, ?)`, name, bytes)
}

func (t *sqliteTx) AddBatch(b *Batch, sinks []string) error {
	r, err := t.tx.ExecContext(t.ctx, `INSERT INTO batches (id, segment, offset, head_len, body_len, crc, tbl, app, instance, schema_version, rows, plain, min_time, max_time, late, created)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		b.ID, b.Segment, b.Offset, b.HeadLen, b.BodyLen, b.CRC, b.Table, b.App, b.Instance, b.SchemaVersion, b.Rows, b.Plain, b.MinTime, b.MaxTime, b.Late, b.Created.UnixMilli())
	if err != nil {
		return err
	}
	if b.Seq, err = r.LastInsertId(); err != nil {
		return err
	}
	for _, s := range sinks {
		if err := t.exec(`INSERT INTO deliveries VALUES (?, ?, ?, '', ?)`, s, b.Table, b.Late, b.Seq); err != nil {
			return err
		}
	}
	return nil
}

func (t *sqliteTx) AddSeen(s StreamID, hour int64, packed []byte, now time.Time) error {
	if err := failpoint.Hit(failpoint.SeenAdd); err != nil {
		return err
	}
	return t.exec(`INSERT INTO seen SELECT ?1, ?2, ?3, coalesce((SELECT max(n) FROM seen WHERE instance = ?1 AND stream = ?2 AND hour = ?3), 0) + 1, ?4, ?5`,
		s.Instance, s.Stream, hour, packed, now.UnixMilli())
}

func (t *sqliteTx) MergeSeen(s StreamID, hour int64, merge func([][]byte) []byte) error {
	rows, err := t.tx.QueryContext(t.ctx, `SELECT entries, added FROM seen WHERE instance = ? AND stream = ? AND hour = ? ORDER BY n`, s.Instance, s.Stream, hour)
	if err != nil {
		return err
	}
	defer rows.Close()
	var segments [][]byte
	var newest int64
	for rows.Next() {
		var b []byte
		var added int64
		if err := rows.Scan(&b, &added); err != nil {
			return err
		}
		segments, newest = append(segments, b), max(newest, added)
	}
	if err := rows.Err(); err != nil || len(segments) == 0 {
		return err
	}
	if err := t.exec(`DELETE FROM seen WHERE instance = ? AND stream = ? AND hour = ?`, s.Instance, s.Stream, hour); err != nil {
		return err
	}
	return t.exec(`INSERT INTO seen VALUES (?, ?, ?, 1, ?, ?)`, s.Instance, s.Stream, hour, merge(segments), newest)
}

func (t *sqliteTx) ForgetSeen(s StreamID, hour int64) error {
	for _, q := range []string{`DELETE FROM seen WHERE instance = ? AND stream = ? AND hour = ?`, `DELETE FROM seen_partly WHERE instance = ? AND stream = ? AND hour = ?`} {
		if err := t.exec(q, s.Instance, s.Stream, hour); err != nil {
			return err
		}
	}
	return t.exec(`INSERT INTO seen_floor VALUES (?, ?, ?) ON CONFLICT (instance, stream) DO UPDATE SET hour = max(hour, excluded.hour)`, s.Instance, s.Stream, hour)
}

func (t *sqliteTx) AddSink(s SinkState) error {
	return errors.Join(
		t.exec(`INSERT INTO sinks VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET sink_id = excluded.sink_id`, s.Name, s.SinkID),
		t.exec(`DELETE FROM synced WHERE sink = ? AND sink_id NOT IN ('', ?)`, s.Name, s.SinkID))
}

func (t *sqliteTx) ForgetSink(name string, now time.Time) error {
	return errors.Join(
		t.exec(`DELETE FROM sinks WHERE name = ?`, name),
		t.exec(`DELETE FROM synced WHERE sink = ?`, name),
		t.exec(`DELETE FROM day_marks WHERE sink = ?`, name),
		t.exec(`DELETE FROM parts WHERE sink = ? AND delivered > 0`, name),
		t.forgetMarks(name, now))
}

func (t *sqliteTx) AddPart(p PartState, batches []Batch) error {
	err := t.exec(`INSERT INTO parts (id, previous, sink, tbl, n, schema_version, rows, bytes, min_time, max_time, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		p.ID, p.Previous, p.Sink, p.Table, p.N, p.SchemaVersion, p.Rows, p.Bytes, p.MinTime, p.MaxTime, p.Created.UnixMilli())
	if err != nil {
		return err
	}
	for _, b := range batches {
		r, err := t.tx.ExecContext(t.ctx, `UPDATE deliveries SET part = ? WHERE sink = ? AND tbl = ? AND late = ? AND part = '' AND seq = ?`, p.ID, p.Sink, p.Table, b.Late, b.Seq)
		if err != nil {
			return err
		}
		if n, err := r.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("planning part %s: batch %s is not waiting for sink %s (%w)", p.ID, b.ID, p.Sink, err)
		}
	}
	return nil
}

func (t *sqliteTx) FinishPart(id string, now time.Time) ([]string, error) {
	r, err := t.tx.ExecContext(t.ctx, `UPDATE parts SET delivered = ? WHERE id = ? AND delivered = 0`, now.UnixMilli(), id)
	if err != nil {
		return nil, err
	}
	if n, err := r.RowsAffected(); err != nil || n != 1 {
		return nil, fmt.Errorf("finishing part %s: it is not open (%w)", id, err)
	}
	const mine = `SELECT seq FROM deliveries WHERE part = ?1`
	const unneeded = `SELECT seq FROM batches b WHERE seq IN (` + mine + `) AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = b.seq AND d.part <> ?1)`
	freed, err := t.freeBatches(mine, unneeded, id)
	return freed, errors.Join(err, t.exec(`DELETE FROM deliveries WHERE part = ?`, id), t.exec(forgetSlices))
}

// freeBatches removes those of a queue's batches that no other needs, and returns
// the segments that hold no batch another queue still needs.
func (t *sqliteTx) freeBatches(mine, unneeded string, args ...any) (freed []string, err error) {
	freed, err = t.texts(`SELECT DISTINCT segment FROM batches WHERE seq IN (`+unneeded+`)
		EXCEPT SELECT segment FROM batches WHERE segment IN (SELECT segment FROM batches WHERE seq IN (`+mine+`)) AND seq NOT IN (`+unneeded+`)`, args...)
	if err != nil {
		return nil, err
	}
	if err := t.exec(`DELETE FROM batches WHERE seq IN (`+unneeded+`)`, args...); err != nil {
		return nil, err
	}
	for _, s := range freed {
		if err := t.exec(`DELETE FROM segments WHERE name = ?`, s); err != nil {
			return nil, err
		}
	}
	return freed, nil
}

func (t *sqliteTx) ForgetParts(before time.Time) error {
	if err := failpoint.Hit(failpoint.Upkeep); err != nil {
		return err
	}
	return t.exec(`DELETE FROM parts AS p WHERE delivered > 0 AND delivered < ? AND n < (SELECT max(n) FROM parts q WHERE q.sink = p.sink AND q.tbl = p.tbl)`, before.UnixMilli())
}
