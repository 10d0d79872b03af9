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
)

// asideMark is the time of delivery of a part that was set aside: the row keeps
// the count of parts growing, and is no predecessor of any.
const asideMark = 1

// partOrBefore is a part's id; of one that was set aside, that of the part before
// it. Its first argument is asideMark.
const partOrBefore = `iif(delivered = ?1, previous, id)`

const (
	cutColumns   = `, c.seq IS NOT NULL, coalesce(c.first, 0)`
	forgetSlices = `DELETE FROM slices WHERE seq NOT IN (SELECT seq FROM batches)`
)

func scanCut(r *sql.Rows) (b Batch, err error) {
	var created int64
	err = r.Scan(&b.Seq, &b.ID, &b.Segment, &b.Offset, &b.HeadLen, &b.BodyLen, &b.CRC, &b.Table, &b.App, &b.Instance, &b.SchemaVersion, &b.Rows, &b.Plain, &b.MinTime, &b.MaxTime, &b.Late, &created, &b.Cut, &b.First)
	b.Created = time.UnixMilli(created).UTC()
	return b, err
}

const deadColumns = `d.id, d.at, d.kind, d.instance, d.stream, d.lane, d.hint, d.ref, d.class, d.reason, d.schema_version,
	coalesce(m.sink, ''), coalesce(m.tbl, ''), coalesce(m.app, ''), coalesce(m.batch, ''), coalesce(m.rows, 0), coalesce(m.min_time, 0), coalesce(m.max_time, 0),
	coalesce(m.mapping, 0), coalesce(m.weir, ''), coalesce(m.file, ''), coalesce(m.bytes, length(d.raw)), coalesce(m.proof, 0)`

const deadFrom = ` FROM dead d LEFT JOIN dead_more m ON m.id = d.id `

func scanDead(r interface{ Scan(...any) error }, more ...any) (d DeadLetter, err error) {
	var at int64
	err = r.Scan(append([]any{
		&d.ID, &at, &d.Kind, &d.Instance, &d.Stream, &d.Lane, &d.Hint, &d.Ref, &d.Class, &d.Reason, &d.SchemaVersion,
		&d.Sink, &d.Table, &d.App, &d.Batch, &d.Rows, &d.MinTime, &d.MaxTime, &d.Mapping, &d.Weir, &d.File, &d.Bytes, &d.Proof,
	}, more...)...)
	d.At = time.UnixMilli(at).UTC()
	return d, err
}

func (s *sqliteState) DeadLetters(ctx context.Context, limit int) ([]DeadLetter, error) {
	return s.FindDead(ctx, DeadFilter{Limit: limit})
}

func (s *sqliteState) DeadLetter(ctx context.Context, id string) (DeadLetter, error) {
	var raw string
	d, err := scanDead(s.read.QueryRowContext(ctx, `SELECT `+deadColumns+`, d.raw`+deadFrom+`WHERE d.id = ?`, id), &raw)
	if errors.Is(err, sql.ErrNoRows) {
		return d, decline("no dead letter has the id %q: see `weir deadletter list`", id)
	}
	d.Raw = raw
	return d, err
}

// where words the filter over the aliases d and m.
func (f DeadFilter) where(sinkColumn, tableColumn string) (string, []any) {
	words, args := []string{"1"}, []any{}
	and := func(word string, v any) {
		words, args = append(words, word), append(args, v)
	}
	if f.Instance != "" {
		and("d.instance = ?", f.Instance)
	}
	if f.Stream != "" {
		and("d.stream = ?", f.Stream)
	}
	if f.Kind != "" {
		and("d.kind = ?", f.Kind)
	}
	if f.Sink != "" {
		and(sinkColumn+" = ?", f.Sink)
	}
	if f.Table != "" {
		and(tableColumn+" = ?", f.Table)
	}
	if !f.Since.IsZero() {
		and("d.at >= ?", f.Since.UnixMilli())
	}
	if f.Proof != nil {
		and("m.proof = ?", *f.Proof)
	}
	if len(f.IDs) > 0 {
		words = append(words, "d.id IN (?"+strings.Repeat(", ?", len(f.IDs)-1)+")")
		for _, id := range f.IDs {
			args = append(args, id)
		}
	}
	limit := int64(-1)
	if f.Limit > 0 {
		limit = int64(f.Limit)
	}
	return "WHERE " + strings.Join(words, " AND ") + " ORDER BY d.id DESC LIMIT ?", append(args, limit)
}

func (s *sqliteState) FindDead(ctx context.Context, f DeadFilter) ([]DeadLetter, error) {
	where, args := f.where("m.sink", "m.tbl")
	return query(ctx, s.read, func(r *sql.Rows) (DeadLetter, error) { return scanDead(r) }, `SELECT `+deadColumns+deadFrom+where, args...)
}

func (s *sqliteState) FindDropped(ctx context.Context, f DeadFilter) ([]DeadLetter, error) {
	where, args := f.where("d.sink", "d.tbl")
	return query(ctx, s.read, func(r *sql.Rows) (d DeadLetter, err error) {
		var at int64
		err = r.Scan(&d.ID, &at, &d.Kind, &d.Instance, &d.Stream, &d.Lane, &d.Hint, &d.Ref, &d.Sink, &d.Table, &d.Reason)
		d.At = time.UnixMilli(at).UTC()
		return d, err
	}, `SELECT d.id, d.at, d.kind, d.instance, d.stream, d.lane, d.hint, d.ref, d.sink, d.tbl, d.reason FROM dead_dropped d `+where, args...)
}

func (s *sqliteState) DeadBytes(ctx context.Context) (n int64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT (SELECT coalesce(sum(length(raw) + octet_length(reason) + 200), 0) FROM dead) + (SELECT coalesce(sum(bytes), 0) FROM dead_more WHERE file <> '')`).Scan(&n)
	return n, err
}

func (s *sqliteState) DeadFiles(ctx context.Context) (map[string]bool, error) {
	names, err := query(ctx, s.read, scanOne[string], `SELECT file FROM dead_more WHERE file <> ''`)
	return setOf(names), err
}

func setOf(names []string) map[string]bool {
	out := make(map[string]bool, len(names))
	for _, n := range names {
		out[n] = true
	}
	return out
}

// scanJSON reads a row that is one JSON text.
func scanJSON[T any](r *sql.Rows) (v T, err error) {
	var data []byte
	if err = r.Scan(&data); err == nil {
		err = json.Unmarshal(data, &v)
	}
	return v, err
}

func (s *sqliteState) Refusals(ctx context.Context, sink, table string) ([]Refusals, error) {
	return query(ctx, s.read, scanJSON[Refusals], `SELECT data FROM refusals WHERE (?1 = '' OR sink = ?1) AND (?2 = '' OR tbl = ?2) ORDER BY sink, tbl`, sink, table)
}

func (s *sqliteState) SinkMark(ctx context.Context, sink string) (m SinkMark, ok bool, err error) {
	all, err := query(ctx, s.read, scanJSON[SinkMark], `SELECT data FROM sink_marks WHERE sink = ?`, sink)
	if len(all) == 1 {
		return all[0], true, nil
	}
	return m, false, err
}

func (s *sqliteState) Gaps(ctx context.Context, sink string) ([]Gap, error) {
	return query(ctx, s.read, func(r *sql.Rows) (g Gap, err error) {
		err = r.Scan(&g.Lo, &g.Hi)
		return g, err
	}, `SELECT lo, hi FROM sink_gaps WHERE sink = ? ORDER BY lo`, sink)
}

func (s *sqliteState) Fills(ctx context.Context, sink string) ([]Fill, error) {
	return query(ctx, s.read, scanJSON[Fill], `SELECT data FROM fills WHERE ?1 = '' OR sink = ?1 ORDER BY id`, sink)
}

func (s *sqliteState) FillParts(ctx context.Context, fill, table string) (map[string]bool, error) {
	parts, err := query(ctx, s.read, scanOne[string], `SELECT part FROM fill_parts WHERE fill = ? AND tbl = ?`, fill, table)
	return setOf(parts), err
}

func (s *sqliteState) OwedUpTo(ctx context.Context, sink string, tables []string, seq int64) (owed bool, err error) {
	for _, t := range tables {
		var any bool
		if err := s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM deliveries WHERE sink = ? AND tbl = ? AND seq <= ?)`, sink, t, seq).Scan(&any); err != nil {
			return true, fmt.Errorf("state: %w", err)
		}
		owed = owed || any
	}
	return owed, nil
}

func (s *sqliteState) Owed(ctx context.Context, sink string) ([]OwedRows, error) {
	return query(ctx, s.read, func(r *sql.Rows) (o OwedRows, err error) {
		var from, to int64
		err = r.Scan(&o.Instance, &o.Table, &o.Batches, &o.Rows, &from, &to)
		o.From, o.To = time.UnixMilli(from).UTC(), time.UnixMilli(to).UTC()
		return o, err
	}, `SELECT b.instance, b.tbl, count(*), sum(b.rows), min(b.min_time), max(b.max_time) FROM deliveries d JOIN batches b ON b.seq = d.seq WHERE d.sink = ? GROUP BY 1, 2 ORDER BY 1, 2`, sink)
}

func (s *sqliteState) Unplanned(ctx context.Context, sink string) ([]Batch, error) {
	return query(ctx, s.read, func(r *sql.Rows) (Batch, error) { return scanBatch(r) }, `SELECT `+batchColumns+` FROM deliveries d JOIN batches b ON b.seq = d.seq WHERE d.sink = ? AND d.part = '' ORDER BY d.seq`, sink)
}

func (s *sqliteState) SyncedTables(ctx context.Context, sink string) (done, all int64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT coalesce(sum(done), 0), count(*) FROM synced WHERE sink = ?`, sink).Scan(&done, &all)
	return done, all, err
}

func (t *sqliteTx) AddDeadLetter(d DeadLetter) error {
	if err := failpoint.Hit(failpoint.DeadAdd); err != nil {
		return err
	}
	return errors.Join(
		t.exec(`INSERT INTO dead VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			d.ID, d.At.UnixMilli(), d.Kind, d.Instance, d.Stream, d.Lane, d.Hint, d.Ref, d.Class, d.Reason, d.SchemaVersion, []byte(d.Raw)),
		t.exec(`INSERT INTO dead_more VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			d.ID, d.Sink, d.Table, d.App, d.Batch, d.Rows, d.MinTime, d.MaxTime, d.Mapping, d.Weir, d.File, max(d.Bytes, int64(len(d.Raw))), d.Proof))
}

// one runs a statement that must change one row.
func (t *sqliteTx) one(what, q string, args ...any) error {
	r, err := t.tx.ExecContext(t.ctx, q, args...)
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err == nil && n != 1 {
		err = decline("%s is not there any more", what)
	}
	return err
}

func (t *sqliteTx) RemoveDead(id string) error {
	if err := t.one("dead letter "+id, `DELETE FROM dead WHERE id = ?`, id); err != nil {
		return err
	}
	return t.exec(`DELETE FROM dead_more WHERE id = ?`, id)
}

func (t *sqliteTx) DropDead(d DeadLetter, now time.Time) error {
	if err := t.RemoveDead(d.ID); err != nil {
		return err
	}
	return t.exec(`INSERT INTO dead_dropped VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		d.ID, now.UnixMilli(), d.At.UnixMilli(), d.Kind, d.Instance, d.Stream, d.Lane, d.Hint, d.Ref, d.Sink, d.Table, d.Reason)
}

func (t *sqliteTx) ForgetDropped(id string) error {
	return t.one("dropped letter "+id, `DELETE FROM dead_dropped WHERE id = ?`, id)
}

func (t *sqliteTx) ForgetDroppedBefore(at time.Time) error {
	return t.exec(`DELETE FROM dead_dropped WHERE dropped < ?`, at.UnixMilli())
}

func (t *sqliteTx) SetProof(sink, table string, from, to Proof) (int64, error) {
	r, err := t.tx.ExecContext(t.ctx, `UPDATE dead_more SET proof = ? WHERE sink = ? AND tbl = ? AND proof = ?`, to, sink, table, from)
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (t *sqliteTx) ReopenLane(d DeadLetter, fromStart bool, now time.Time) error {
	var status LaneStatus
	err := t.tx.QueryRowContext(t.ctx, `SELECT status FROM lanes WHERE instance = ? AND stream = ? AND lane = ? AND once`, d.Instance, d.Stream, d.Lane).Scan(&status)
	known := err == nil
	switch {
	case err != nil && !errors.Is(err, sql.ErrNoRows):
		return err
	case !known && d.Kind != DeadObject:
		return decline("the object %q that the record was in is no longer known, or is no file that can be read again: `weir backfill` collects its time again", d.Lane)
	case !known:
		cursor := d.Ref
		if fromStart {
			cursor = ""
		}
		return t.exec(`INSERT INTO lanes (`+laneColumns+`, changed) VALUES (?, ?, ?, ?, 1, ?, 0, ?, 0, '', '', ?)`,
			d.Instance, d.Stream, d.Lane, d.Hint, cursor, now.UnixMilli(), now.UnixMilli())
	case status == LaneOpen && fromStart:
		return decline("the object %q is being read now: try again when it has been", d.Lane)
	case status != LaneParked && !fromStart:
		return nil // it changed at the vendor's, and is, or was, read again
	}
	return t.exec(`UPDATE lanes SET status = 0, due = ?1, fails = 0, class = '', error = '', changed = max(changed, ?1), cursor = iif(?2, '', cursor)
		WHERE instance = ?3 AND stream = ?4 AND lane = ?5`, now.UnixMilli(), fromStart, d.Instance, d.Stream, d.Lane)
}

func (t *sqliteTx) putJSON(q string, v any, args ...any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return t.exec(q, append(args, string(data))...)
}

func (t *sqliteTx) SetRefusals(r Refusals) error {
	return t.putJSON(`INSERT INTO refusals VALUES (?, ?, ?) ON CONFLICT (sink, tbl) DO UPDATE SET data = excluded.data`, r, r.Sink, r.Table)
}

func (t *sqliteTx) SplitPart(old PartState, halves [2]PartState, batches [2][]Batch) error {
	for _, step := range []struct {
		q    string
		args []any
	}{
		{`UPDATE parts SET n = -(n + 1) WHERE sink = ? AND tbl = ? AND delivered = 0 AND n > ?`, []any{old.Sink, old.Table, old.N}},
		{`UPDATE parts SET n = -n WHERE sink = ? AND tbl = ? AND n < 0`, []any{old.Sink, old.Table}},
		{`UPDATE parts SET previous = ? WHERE sink = ? AND tbl = ? AND previous = ?`, []any{halves[1].ID, old.Sink, old.Table, old.ID}},
	} {
		if err := t.exec(step.q, step.args...); err != nil {
			return err
		}
	}
	if err := t.one("part "+old.ID, `DELETE FROM parts WHERE id = ? AND delivered = 0`, old.ID); err != nil {
		return err
	}
	for i, p := range halves {
		if err := t.AddPart(p, nil); err != nil {
			return err
		}
		for k := range batches[i] {
			if err := t.move(old, p, &batches[i][k]); err != nil {
				return err
			}
		}
	}
	if err := t.exec(`DELETE FROM batches WHERE seq IN (SELECT seq FROM deliveries WHERE part = ?1) AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = batches.seq AND d.part <> ?1)`, old.ID); err != nil {
		return err
	}
	return errors.Join(t.exec(`DELETE FROM deliveries WHERE part = ?`, old.ID), t.exec(forgetSlices))
}

// move brings a batch from one part to another; one that is cut from it is made.
func (t *sqliteTx) move(from, to PartState, b *Batch) error {
	if b.Seq != 0 {
		return t.one("batch "+b.ID+" of part "+from.ID, `UPDATE deliveries SET part = ? WHERE part = ? AND seq = ?`, to.ID, from.ID, b.Seq)
	}
	if err := t.AddBatch(b, nil); err != nil {
		return err
	}
	return errors.Join(
		t.exec(`INSERT INTO slices VALUES (?, ?)`, b.Seq, b.First),
		t.exec(`INSERT INTO deliveries VALUES (?, ?, ?, ?, ?)`, to.Sink, to.Table, b.Late, to.ID, b.Seq))
}

func (t *sqliteTx) SetAside(p PartState) ([]string, error) {
	freed, err := t.FinishPart(p.ID, time.UnixMilli(asideMark))
	if err != nil {
		return nil, err
	}
	return freed, t.exec(`UPDATE parts SET previous = ? WHERE sink = ? AND tbl = ? AND previous = ?`, p.Previous, p.Sink, p.Table, p.ID)
}

func (t *sqliteTx) SetSinkMark(sink string, m SinkMark) error {
	return t.putJSON(`INSERT INTO sink_marks VALUES (?, ?) ON CONFLICT (sink) DO UPDATE SET data = excluded.data`, m, sink)
}

func (t *sqliteTx) AddGap(sink string, g Gap) error {
	return t.exec(`INSERT INTO sink_gaps VALUES (?, ?, ?) ON CONFLICT (sink, lo) DO UPDATE SET hi = max(hi, excluded.hi)`, sink, g.Lo, g.Hi)
}

func (t *sqliteTx) CloseGaps(sink string, hi int64) error {
	return errors.Join(
		t.exec(`UPDATE sink_gaps SET hi = ? WHERE sink = ? AND hi = ?`, hi, sink, int64(OpenGap)),
		t.exec(`DELETE FROM sink_gaps WHERE sink = ? AND hi <= lo`, sink))
}

func (t *sqliteTx) ForgetSynced(sink, table string) error {
	return t.exec(`DELETE FROM synced WHERE sink = ?1 AND (?2 = '' OR tbl = ?2)`, sink, table)
}

func (t *sqliteTx) Unqueue(sink string, planned bool) ([]string, error) {
	const mine = `SELECT seq FROM deliveries WHERE sink = ?1 AND (?2 OR part = '')`
	const unneeded = `SELECT m.seq FROM deliveries m WHERE m.sink = ?1 AND (?2 OR m.part = '') AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.seq = m.seq AND NOT (d.sink = ?1 AND (?2 OR d.part = '')))`
	freed, err := t.freeBatches(mine, unneeded, sink, planned)
	return freed, errors.Join(err, t.exec(`DELETE FROM deliveries WHERE sink = ?1 AND (?2 OR part = '')`, sink, planned), t.exec(forgetSlices))
}

func (t *sqliteTx) SetFill(f Fill) error {
	return t.putJSON(`INSERT INTO fills VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET data = excluded.data`, f, f.ID, f.Sink)
}

func (t *sqliteTx) AddFillPart(fill, table, part string) error {
	return t.exec(`INSERT INTO fill_parts VALUES (?, ?, ?)`, fill, table, part)
}

func (t *sqliteTx) ForgetSinkWhole(sink string, now time.Time) error {
	return errors.Join(
		t.ForgetSink(sink, now),
		t.exec(`DELETE FROM parts WHERE sink = ?`, sink),
		t.exec(`DELETE FROM dead WHERE id IN (SELECT id FROM dead_more WHERE sink = ?)`, sink),
		t.exec(`DELETE FROM dead_more WHERE sink = ?`, sink))
}

// forgetMarks removes what is known of a sink, but for its dead letters, and ends
// fills from it.
func (t *sqliteTx) forgetMarks(sink string, now time.Time) error {
	var errs []error
	for _, q := range []string{
		`DELETE FROM refusals WHERE sink = ?`,
		`DELETE FROM sink_marks WHERE sink = ?`,
		`DELETE FROM sink_gaps WHERE sink = ?`,
		`DELETE FROM seen_partly WHERE sink = ?`,
		`DELETE FROM fill_parts WHERE fill IN (SELECT id FROM fills WHERE sink = ?)`,
		`DELETE FROM fills WHERE sink = ?`,
	} {
		errs = append(errs, t.exec(q, sink))
	}
	return errors.Join(append(errs, t.exec(`UPDATE fills SET data = json_set(data, '$.ended', ?, '$.error', 'its source was forgotten') WHERE json_extract(data, '$.source') = ? AND json_extract(data, '$.ended') IS NULL`,
		now.UTC().Format(time.RFC3339), sink))...)
}
