package pipeline

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/sources"
)

const (
	scopeShift = 32
	rowMask    = 1<<scopeShift - 1
	keysAtOnce = 128 // looked up by one statement
)

func baselineID(scope, row int64) int64 { return scope<<scopeShift | row }

func (s *sqliteState) Scan(ctx context.Context, id StreamID) (st ScanState, err error) {
	var data string
	err = s.read.QueryRowContext(ctx, `SELECT data FROM scans WHERE instance = ? AND stream = ?`, id.Instance, id.Stream).Scan(&data)
	if err != nil {
		return st, ignoreNoRows(err)
	}
	if err := json.Unmarshal([]byte(data), &st); err != nil {
		return st, fault.New(fault.Permanent, "state: what is known of the scan %s is damaged: %w", id, err)
	}
	if st.Last != nil {
		st.Last.Started, st.Last.Ended = time.UnixMilli(st.Last.StartedMS).UTC(), time.UnixMilli(st.Last.EndedMS).UTC()
	}
	return st, nil
}

const scanLaneColumns = `num, instance, stream, lane, hint, cursor, due, fails, class, error, done, read, read_hint, read_at, delta, delta_due`

func scanScanLane(r *sql.Rows) (l ScanLane, err error) {
	var due, readAt, deltaDue int64
	err = r.Scan(&l.Num, &l.Instance, &l.Stream, &l.Lane.ID, &l.Lane.Hint, &l.Cursor, &due, &l.Fails, &l.Class, &l.Error, &l.Done, &l.Read, &l.ReadHint, &readAt, &l.Delta, &deltaDue)
	l.Due, l.ReadAt, l.DeltaDue = time.UnixMilli(due).UTC(), time.UnixMilli(readAt).UTC(), time.UnixMilli(deltaDue).UTC()
	return l, err
}

func (s *sqliteState) OpenLanes(ctx context.Context, id StreamID, round int64, now, far time.Time, fails, limit int) ([]ScanLane, error) {
	return query(ctx, s.read, scanScanLane, `SELECT * FROM (SELECT `+scanLaneColumns+` FROM scan_lanes
		WHERE instance = ?1 AND stream = ?2 AND listed = ?3 AND done <> listed AND due <= ?4 AND fails < ?6 ORDER BY due LIMIT ?7)
		UNION ALL SELECT * FROM (SELECT `+scanLaneColumns+` FROM scan_lanes
		WHERE instance = ?1 AND stream = ?2 AND listed = ?3 AND done <> listed AND due > ?5 AND fails < ?6 ORDER BY due LIMIT ?7)`,
		id.Instance, id.Stream, round, now.UnixMilli(), far.UnixMilli(), fails, limit)
}

func (s *sqliteState) DeltaLanes(ctx context.Context, id StreamID, round int64, now, far time.Time, limit int) ([]ScanLane, error) {
	return query(ctx, s.read, scanScanLane, `SELECT * FROM (SELECT `+scanLaneColumns+` FROM scan_lanes
		WHERE instance = ?1 AND stream = ?2 AND delta <> '' AND delta_due <= ?3 AND (listed <> ?5 OR done = listed) ORDER BY delta_due LIMIT ?6)
		UNION ALL SELECT * FROM (SELECT `+scanLaneColumns+` FROM scan_lanes
		WHERE instance = ?1 AND stream = ?2 AND delta <> '' AND delta_due > ?4 AND (listed <> ?5 OR done = listed) ORDER BY delta_due LIMIT ?6)`,
		id.Instance, id.Stream, now.UnixMilli(), far.UnixMilli(), round, limit)
}

func (s *sqliteState) ScanCounts(ctx context.Context, id StreamID, round int64, fails int) (c ScanCounts, err error) {
	var next, delta sql.NullInt64
	err = s.read.QueryRowContext(ctx, `SELECT
		count(*), count(*) FILTER (WHERE done <> listed), count(*) FILTER (WHERE done <> listed AND fails > 0), count(*) FILTER (WHERE done <> listed AND fails >= ?4),
		count(*) FILTER (WHERE done = listed AND read <> listed AND fails > 0),
		count(*) FILTER (WHERE done = listed AND read <> listed AND fails > 0 AND read > 0),
		min(due) FILTER (WHERE done <> listed AND fails < ?4),
		(SELECT min(delta_due) FROM scan_lanes WHERE instance = ?1 AND stream = ?2 AND delta <> '' AND (listed <> ?3 OR done = listed))
		FROM scan_lanes WHERE instance = ?1 AND stream = ?2 AND listed = ?3`, id.Instance, id.Stream, round, fails).
		Scan(&c.Listed, &c.Open, &c.Failing, &c.GivenUp, &c.Passed, &c.Hidden, &next, &delta)
	if next.Valid {
		c.Next = time.UnixMilli(next.Int64).UTC()
	}
	if delta.Valid {
		c.Delta = time.UnixMilli(delta.Int64).UTC()
	}
	return c, err
}

func (s *sqliteState) ReadLanes(ctx context.Context, id StreamID, round int64) (map[int64]bool, error) {
	out := map[int64]bool{}
	_, err := query(ctx, s.read, func(r *sql.Rows) (struct{}, error) {
		var num, read int64
		err := r.Scan(&num, &read)
		out[num] = read == round
		return struct{}{}, err
	}, `SELECT num, read FROM scan_lanes WHERE instance = ? AND stream = ? AND listed = ?`, id.Instance, id.Stream, round)
	return out, err
}

func (s *sqliteState) LanesKnown(ctx context.Context, id StreamID) (n int64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT count(*) FROM scan_lanes WHERE instance = ? AND stream = ?`, id.Instance, id.Stream).Scan(&n)
	return n, err
}

func (s *sqliteState) LastRow(ctx context.Context, scope int64) (int64, error) {
	var id sql.NullInt64
	err := s.read.QueryRowContext(ctx, `SELECT max(id) FROM baselines WHERE id >= ? AND id <= ?`, baselineID(scope, 0), baselineID(scope, rowMask)).Scan(&id)
	return id.Int64 & rowMask, ignoreNoRows(err)
}

const baselineColumns = `id, key, lane, missed, flags, at, mapping, data`

func scanBaseline(r *sql.Rows, more ...any) (b Baseline, err error) {
	var id int64
	var key, data sql.RawBytes
	if err := r.Scan(append([]any{&id, &key, &b.Lane, &b.Missed, &b.Flags, &b.At, &b.Mapping, &data}, more...)...); err != nil {
		return b, err
	}
	b.Scope, b.Row = id>>scopeShift, id&rowMask
	copy(b.Key[:], key)
	b.Columns = make([]uint16, 0, max(0, len(data)-18)/2)
	b.unpack(data)
	return b, nil
}

var lookupBaselines = `SELECT ` + baselineColumns + ` FROM baselines WHERE key IN (?` + strings.Repeat(", ?", keysAtOnce-1) + `)`

func (s *sqliteState) Baselines(ctx context.Context, keys []keyHash) ([]Baseline, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	s.lookupOnce.Do(func() { s.lookup, s.lookupErr = s.read.PrepareContext(context.WithoutCancel(ctx), lookupBaselines) })
	if s.lookupErr != nil {
		return nil, fmt.Errorf("state: %w", s.lookupErr)
	}
	out := make([]Baseline, 0, len(keys))
	args := make([]any, keysAtOnce)
	for len(keys) > 0 {
		n := min(len(keys), keysAtOnce)
		for i := range args {
			args[i] = keys[min(i, n-1)][:] // the last one again, for a full statement
		}
		keys = keys[n:]
		rows, err := s.lookup.QueryContext(ctx, args...)
		if err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
		for rows.Next() {
			b, err := scanBaseline(rows)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("state: %w", err), rows.Close())
			}
			out = append(out, b)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
	}
	return out, nil
}

func (s *sqliteState) BaselinesOf(ctx context.Context, scope int64, numbers []int64) (out []Baseline, err error) {
	stmt, err := s.read.PrepareContext(ctx, `SELECT `+baselineColumns+`, keytext FROM baselines WHERE id = ?`)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	defer stmt.Close()
	for _, n := range numbers {
		rows, err := stmt.QueryContext(ctx, baselineID(scope, n))
		if err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
		for rows.Next() {
			var text string
			b, err := scanBaseline(rows, &text)
			if err != nil {
				return nil, errors.Join(fmt.Errorf("state: %w", err), rows.Close())
			}
			b.KeyText = text
			out = append(out, b)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
	}
	return out, nil
}

func (s *sqliteState) EachBaseline(ctx context.Context, scope int64, visit func(*Baseline)) error {
	rows, err := s.read.QueryContext(ctx, `SELECT id, lane, missed, flags, at FROM baselines WHERE id >= ? AND id <= ? ORDER BY id`, baselineID(scope, 0), baselineID(scope, rowMask))
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	defer rows.Close()
	b := Baseline{Scope: scope}
	var id int64
	for rows.Next() {
		if err := rows.Scan(&id, &b.Lane, &b.Missed, &b.Flags, &b.At); err != nil {
			return fmt.Errorf("state: %w", err)
		}
		b.Row = id & rowMask
		visit(&b)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

func (s *sqliteState) RoundSeen(ctx context.Context, scope int64) (packed [][]byte, copied int64, err error) {
	packed, err = query(ctx, s.read, func(r *sql.Rows) (b []byte, err error) {
		var n int64
		err = r.Scan(&b, &n)
		copied += n
		return b, err
	}, `SELECT rows, copied FROM round_seen WHERE scope = ?`, scope)
	return packed, copied, err
}

func (s *sqliteState) Synced(ctx context.Context, instance, table string) (map[string]bool, error) {
	out := map[string]bool{}
	_, err := query(ctx, s.read, func(r *sql.Rows) (struct{}, error) {
		var sink string
		var done bool
		err := r.Scan(&sink, &done)
		out[sink] = done
		return struct{}{}, err
	}, `SELECT sink, done FROM synced WHERE instance = ? AND tbl = ?`, instance, table)
	return out, err
}

func (t *sqliteTx) SetScan(s StreamID, st ScanState) error {
	if st.Last != nil {
		last := *st.Last
		last.StartedMS, last.EndedMS = last.Started.UnixMilli(), last.Ended.UnixMilli()
		st.Last = &last
	}
	data, err := json.Marshal(st)
	if err != nil {
		return err
	}
	return t.exec(`INSERT INTO scans VALUES (?, ?, ?) ON CONFLICT (instance, stream) DO UPDATE SET data = excluded.data`, s.Instance, s.Stream, string(data))
}

func (t *sqliteTx) AddScanLanes(s StreamID, round int64, lanes []sources.Lane, now, fresh time.Time) error {
	stmt, err := t.tx.PrepareContext(t.ctx, `INSERT INTO scan_lanes (instance, stream, lane, hint, cursor, due, fails, class, error, listed, done, read, read_hint, read_at, delta, delta_due)
		VALUES (?1, ?2, ?3, ?4, '', ?5, 0, '', '', ?6, 0, 0, '', 0, '', 0)
		ON CONFLICT (instance, stream, lane) DO UPDATE SET hint = excluded.hint, listed = excluded.listed,
		cursor = iif(listed = ?6, cursor, ''), due = iif(listed = ?6, due, ?5), fails = iif(listed = ?6, fails, 0),
		class = iif(listed = ?6, class, ''), error = iif(listed = ?6, error, ''),
		done = CASE WHEN listed = ?6 THEN done WHEN ?4 <> '' AND ?4 = read_hint AND read_at > ?7 AND read_at <= ?5 THEN ?6 ELSE 0 END`)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for _, l := range lanes {
		if _, err := stmt.ExecContext(t.ctx, s.Instance, s.Stream, l.ID, l.Hint, now.UnixMilli(), round, fresh.UnixMilli()); err != nil {
			return err
		}
	}
	return nil
}

func (t *sqliteTx) SetScanLane(l ScanLane) error {
	return t.exec(`UPDATE scan_lanes SET cursor = ?, due = ?, fails = ?, class = ?, error = ?, done = ?, read = ?, read_hint = ?, read_at = ?, delta = ?, delta_due = ? WHERE num = ?`,
		string(l.Cursor), l.Due.UnixMilli(), l.Fails, l.Class, l.Error, l.Done, l.Read, l.ReadHint, l.ReadAt.UnixMilli(), string(l.Delta), l.DeltaDue.UnixMilli(), l.Num)
}

func (t *sqliteTx) ReviveLanes(s StreamID, round int64, now time.Time) error {
	return t.exec(`UPDATE scan_lanes SET fails = 0, due = min(due, ?) WHERE instance = ? AND stream = ? AND listed = ? AND done <> listed AND fails > 0`, now.UnixMilli(), s.Instance, s.Stream, round)
}

func (t *sqliteTx) DueDeltas(s StreamID, now time.Time) error {
	return t.exec(`UPDATE scan_lanes SET delta_due = ?1 WHERE instance = ?2 AND stream = ?3 AND delta <> '' AND delta_due > ?1`, now.UnixMilli(), s.Instance, s.Stream)
}

func (t *sqliteTx) ForgetHint(lane int64) error {
	return t.exec(`UPDATE scan_lanes SET read_hint = '' WHERE num = ?`, lane)
}

func (t *sqliteTx) ForgetScanLanes(s StreamID, round int64) error {
	return t.exec(`DELETE FROM scan_lanes WHERE instance = ? AND stream = ? AND listed <> ?`, s.Instance, s.Stream, round)
}

func (t *sqliteTx) Scope(s StreamID, table string) (num int64, err error) {
	err = t.tx.QueryRowContext(t.ctx, `INSERT INTO scopes (instance, stream, tbl) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET tbl = excluded.tbl RETURNING num`, s.Instance, s.Stream, table).Scan(&num)
	return num, err
}

func (t *sqliteTx) Layout(columns string) (num int64, err error) {
	err = t.tx.QueryRowContext(t.ctx, `INSERT INTO layouts (columns) VALUES (?) ON CONFLICT DO UPDATE SET columns = excluded.columns RETURNING num`, columns).Scan(&num)
	return num, err
}

func (s *sqliteState) Layouts(ctx context.Context) (map[int64]string, error) {
	out := map[int64]string{}
	_, err := query(ctx, s.read, func(r *sql.Rows) (struct{}, error) {
		var num int64
		var columns string
		err := r.Scan(&num, &columns)
		out[num] = columns
		return struct{}{}, err
	}, `SELECT num, columns FROM layouts`)
	return out, err
}

func (t *sqliteTx) PutBaselines(rows []Baseline) error {
	if err := failpoint.Hit(failpoint.ScanRows); err != nil {
		return err
	}
	// The key's text never changes, and is not known of rows looked up.
	stmt, err := t.tx.PrepareContext(t.ctx, `INSERT INTO baselines (`+baselineColumns+`, keytext) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET lane = excluded.lane, missed = excluded.missed, flags = excluded.flags, at = excluded.at, mapping = excluded.mapping, data = excluded.data`)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for i := range rows {
		b := &rows[i]
		if _, err := stmt.ExecContext(t.ctx, baselineID(b.Scope, b.Row), b.Key[:], b.Lane, b.Missed, int64(b.Flags), b.At, b.Mapping, b.pack(), b.KeyText); err != nil {
			return err
		}
	}
	return nil
}

func (t *sqliteTx) each(q string, scope int64, rows []int64, args ...any) error {
	stmt, err := t.tx.PrepareContext(t.ctx, q)
	if err != nil {
		return err
	}
	defer stmt.Close()
	for _, n := range rows {
		if _, err := stmt.ExecContext(t.ctx, append([]any{baselineID(scope, n)}, args...)...); err != nil {
			return err
		}
	}
	return nil
}

func (t *sqliteTx) MarkBaselines(scope int64, rows []int64, missed int64, flags rowFlags) error {
	return t.each(`UPDATE baselines SET missed = ?2, flags = (flags & 8) | ?3 WHERE id = ?1`, scope, rows, missed, int64(flags)) // 8: rowOwed stays
}

func (t *sqliteTx) ForgetBaselines(scope int64, rows []int64) error {
	return t.each(`DELETE FROM baselines WHERE id = ?1`, scope, rows)
}

func (t *sqliteTx) AddRoundSeen(scope int64, packed []byte, copied int64) error {
	return t.exec(`INSERT INTO round_seen SELECT ?1, coalesce((SELECT max(n) FROM round_seen WHERE scope = ?1), 0) + 1, ?2, ?3`, scope, packed, copied)
}

func (t *sqliteTx) ForgetRoundSeen(scope int64) error {
	return t.exec(`DELETE FROM round_seen WHERE scope = ?`, scope)
}

func (t *sqliteTx) SetSynced(sink, table, instance string, done bool) error {
	return t.exec(`INSERT INTO synced SELECT ?1, coalesce((SELECT sink_id FROM sinks WHERE name = ?1), ''), ?2, ?3, ?4
		ON CONFLICT (sink, tbl, instance) DO UPDATE SET sink_id = excluded.sink_id, done = excluded.done`, sink, table, instance, done)
}
