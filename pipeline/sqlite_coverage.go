package pipeline

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"
)

// bounds returns a span's ends in milliseconds; of the zero Span, all of time.
func (s Span) bounds() (from, to int64) {
	if s == (Span{}) {
		return math.MinInt64, math.MaxInt64
	}
	return s.From.UnixMilli(), s.To.UnixMilli()
}

func scanSpan(r *sql.Rows) (s Span, err error) {
	var from, to int64
	err = r.Scan(&from, &to)
	return Span{From: time.UnixMilli(from).UTC(), To: time.UnixMilli(to).UTC()}, err
}

func (s *sqliteState) Coverage(ctx context.Context, id StreamID, within Span) ([]Span, error) {
	from, to := within.bounds()
	return query(ctx, s.read, scanSpan, `SELECT max(from_ms, ?3), min(to_ms, ?4) FROM coverage
		WHERE instance = ?1 AND stream = ?2 AND to_ms > ?3 AND from_ms < ?4 ORDER BY from_ms`, id.Instance, id.Stream, from, to)
}

func (s *sqliteState) CoveredStreams(ctx context.Context) ([]StreamID, error) {
	return query(ctx, s.read, func(r *sql.Rows) (id StreamID, err error) {
		err = r.Scan(&id.Instance, &id.Stream)
		return id, err
	}, `SELECT DISTINCT instance, stream FROM coverage UNION SELECT instance, stream FROM holes ORDER BY 1, 2`)
}

func (s *sqliteState) UnreadLanes(ctx context.Context, id StreamID, limit int) ([]LaneState, error) {
	return query(ctx, s.read, scanLane, `SELECT `+laneColumns+` FROM lanes WHERE instance = ? AND stream = ? AND (status = 2 OR status = 0 AND (once OR class <> '')) LIMIT ?`,
		id.Instance, id.Stream, limit)
}

func (s *sqliteState) Holes(ctx context.Context, id StreamID) ([]Hole, error) {
	return query(ctx, s.read, func(r *sql.Rows) (h Hole, err error) {
		var from, to, since, tried, closed int64
		err = r.Scan(&h.Key, &from, &to, &h.Class, &h.Reason, &h.State, &since, &h.Tries, &tried, &closed)
		h.Span = Span{From: time.UnixMilli(from).UTC(), To: time.UnixMilli(to).UTC()}
		h.Since, h.Tried, h.Closed = timeOf(since), timeOf(tried), timeOf(closed)
		return h, err
	}, `SELECT key, from_ms, to_ms, class, reason, state, since, tries, tried, closed FROM holes WHERE instance = ? AND stream = ? ORDER BY from_ms, to_ms, key`,
		id.Instance, id.Stream)
}

// timeOf reads a time that may be unknown.
func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func (t *sqliteTx) Cover(s StreamID, span Span, now time.Time) error {
	if span.Empty() {
		return nil
	}
	from, to := span.bounds()
	err := t.tx.QueryRowContext(t.ctx, `SELECT coalesce(min(min(from_ms), ?3), ?3), coalesce(max(max(to_ms), ?4), ?4) FROM coverage
		WHERE instance = ?1 AND stream = ?2 AND from_ms <= ?4 AND to_ms >= ?3`, s.Instance, s.Stream, from, to).Scan(&from, &to)
	if err != nil {
		return err
	}
	if err := t.exec(`DELETE FROM coverage WHERE instance = ? AND stream = ? AND from_ms >= ? AND from_ms <= ?`, s.Instance, s.Stream, from, to); err != nil {
		return err
	}
	if err := t.exec(`INSERT INTO coverage VALUES (?, ?, ?, ?)`, s.Instance, s.Stream, from, to); err != nil {
		return err
	}
	err = t.exec(`UPDATE holes SET state = 'closed', closed = ? WHERE instance = ? AND stream = ? AND state <> 'closed' AND class <> ? AND from_ms >= ? AND to_ms <= ?`,
		now.UnixMilli(), s.Instance, s.Stream, ClassSpool, from, to)
	if err != nil {
		return err
	}
	return t.uncoverLost(s, from, to)
}

// uncoverLost takes out of what is covered what was lost with the spool.
func (t *sqliteTx) uncoverLost(s StreamID, from, to int64) error {
	lost, err := query(t.ctx, t.tx, scanSpan, `SELECT from_ms, to_ms FROM holes WHERE instance = ? AND stream = ? AND class = ? AND state <> 'closed' AND from_ms < ? AND to_ms > ?`,
		s.Instance, s.Stream, ClassSpool, to, from)
	if err != nil {
		return err
	}
	for _, span := range lost {
		if err := t.Uncover(s, span); err != nil {
			return err
		}
	}
	return nil
}

func (t *sqliteTx) Hole(s StreamID, h Hole, now time.Time) error {
	if h.Empty() {
		return fmt.Errorf("a hole of %s without time in it: %s", s, h.Key)
	}
	from, to := h.bounds()
	key := cmp.Or(h.Key, fmt.Sprintf("span:%d-%d", from, to))
	since, closed := now, int64(0)
	if !h.Since.IsZero() {
		since = h.Since
	}
	if h.State == HoleClosed {
		closed = now.UnixMilli()
	}
	return t.exec(`INSERT INTO holes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (instance, stream, key) DO UPDATE SET
		from_ms = excluded.from_ms, to_ms = excluded.to_ms, class = excluded.class, reason = excluded.reason, state = excluded.state,
		since = iif(state = 'closed', excluded.since, since), tries = excluded.tries, tried = excluded.tried, closed = excluded.closed`,
		s.Instance, s.Stream, key, from, to, h.Class, h.Reason, string(cmp.Or(h.State, HoleOpen)), since.UnixMilli(), h.Tries, int64(millis(h.Tried)), closed)
}

func (t *sqliteTx) Uncover(s StreamID, span Span) error {
	from, to := span.bounds()
	err := t.exec(`INSERT OR REPLACE INTO coverage SELECT instance, stream, ?4, to_ms FROM coverage
		WHERE instance = ?1 AND stream = ?2 AND from_ms < ?4 AND to_ms > ?4 AND to_ms > ?3`, s.Instance, s.Stream, from, to)
	if err != nil {
		return err
	}
	if err := t.exec(`DELETE FROM coverage WHERE instance = ? AND stream = ? AND from_ms >= ? AND from_ms < ?`, s.Instance, s.Stream, from, to); err != nil {
		return err
	}
	return t.exec(`UPDATE coverage SET to_ms = ?3 WHERE instance = ?1 AND stream = ?2 AND from_ms < ?3 AND to_ms > ?3`, s.Instance, s.Stream, from)
}

func (t *sqliteTx) CloseHole(s StreamID, key, reason string, now time.Time) error {
	return t.exec(`UPDATE holes SET state = 'closed', closed = ?1, reason = iif(?2 = '', reason, ?2) WHERE instance = ?3 AND stream = ?4 AND key = ?5 AND state <> 'closed'`,
		now.UnixMilli(), reason, s.Instance, s.Stream, key)
}

func (t *sqliteTx) ForgetHoles(closedBefore time.Time) error {
	return t.exec(`DELETE FROM holes AS h WHERE state = 'closed' AND closed < ? AND NOT EXISTS (SELECT 1 FROM lanes l
		WHERE l.instance = h.instance AND l.stream = h.stream AND l.status = 2 AND h.key = 'lane:' || l.lane || char(10) || l.hint)`, closedBefore.UnixMilli())
}

func (s *sqliteState) DayMarks(ctx context.Context, sink string) (map[string]int64, error) {
	out := map[string]int64{}
	_, err := query(ctx, s.read, func(r *sql.Rows) (struct{}, error) {
		var date string
		var hash int64
		err := r.Scan(&date, &hash)
		out[date] = hash
		return struct{}{}, err
	}, `SELECT dt, hash FROM day_marks WHERE sink = ?`, sink)
	return out, err
}

func (s *sqliteState) LastBatch(ctx context.Context) (seq int64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT seq FROM sqlite_sequence WHERE name = 'batches'`).Scan(&seq)
	return seq, ignoreNoRows(err)
}

func (s *sqliteState) OwedSince(ctx context.Context, sink string) (seq int64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT coalesce(min(seq), 0) FROM deliveries WHERE sink = ?`, sink).Scan(&seq)
	return seq, ignoreNoRows(err)
}

func (s *sqliteState) DeliveredParts(ctx context.Context, sink string) (map[string]string, error) {
	out := map[string]string{}
	_, err := query(ctx, s.read, func(r *sql.Rows) (struct{}, error) {
		var tbl, id string
		var n int64
		err := r.Scan(&tbl, &id, &n)
		if id != "" { // else all there have been were set aside
			out[tbl] = id
		}
		return struct{}{}, err
	}, `SELECT tbl, `+partOrBefore+`, max(n) FROM parts WHERE sink = ?2 AND delivered > 0 GROUP BY tbl`, asideMark, sink)
	return out, err
}

func (t *sqliteTx) SetDayMark(sink, date string, hash int64) error {
	return t.exec(`INSERT INTO day_marks VALUES (?, ?, ?) ON CONFLICT (sink, dt) DO UPDATE SET hash = excluded.hash`, sink, date, hash)
}
