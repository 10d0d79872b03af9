package clickhouse

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"weir/schemas"
	"weir/sinks"
)

var _ sinks.Holder = (*sink)(nil)

const (
	heldBatches = 5000 // counted by one statement
	heldGaps    = 500  // looked into by one statement
)

// Held implements sinks.Holder. Rows are told apart by their versions: a table
// does not know of parts.
func (s *sink) Held(ctx context.Context, q sinks.HeldQuery, visit func(sinks.HeldRow) error) (h sinks.Held, err error) {
	h.Batches = map[string]int64{}
	db, err := s.db()
	if err != nil {
		return h, err
	}
	var there uint64
	if err := db.QueryRow(ctx, "SELECT count() FROM system.tables WHERE database = ? AND name = ?", s.cfg.Database, q.Table.ClickHouseName()).Scan(&there); err != nil {
		return h, fmt.Errorf("looking for the table %s: %w", q.Table.ClickHouseName(), err)
	}
	if there == 0 {
		return h, nil
	}
	for ids := range slices.Chunk(q.Batches, heldBatches) {
		if err := s.countBatches(ctx, q.Table, ids, h.Batches); err != nil {
			return h, err
		}
	}
	if h.Filled, err = s.countFilled(ctx, q, h.Batches); err != nil {
		return h, err
	}
	content := "toUInt64(0)"
	if q.Table.Name == schemas.TableActivities {
		content = "if(raw = '', 0, xxHash64(raw))"
	}
	columns := []string{
		"toString(instance)", "batch_id", "version", "toUnixTimestamp64Milli(observed_at)",
		"toUnixTimestamp64Milli(" + schemas.QuoteClickHouse(q.Table.DateColumn) + ")", content,
	}
	for _, c := range q.Columns {
		columns = append(columns, "toString("+schemas.QuoteClickHouse(c)+")")
	}
	rows, err := db.Query(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE version > %d ORDER BY version", strings.Join(columns, ", "), s.table(q.Table.ClickHouseName()), q.AfterVersion))
	if err != nil {
		return h, fmt.Errorf("reading %s: %w", q.Table.ClickHouseName(), err)
	}
	defer rows.Close()
	row := sinks.HeldRow{Values: make([]string, len(q.Columns))}
	var observed, at int64
	into := []any{&row.Instance, &row.BatchID, &row.Version, &observed, &at, &row.Content}
	for i := range row.Values {
		into = append(into, &row.Values[i])
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return h, fmt.Errorf("reading %s: %w", q.Table.ClickHouseName(), err)
		}
		row.ObservedAt, row.Time = schemas.Time(observed), schemas.Time(at)
		h.MaxVersion = max(h.MaxVersion, row.Version)
		if err := visit(row); err != nil {
			return h, err
		}
	}
	if err := rows.Err(); err != nil {
		return h, fmt.Errorf("reading %s: %w", q.Table.ClickHouseName(), err)
	}
	return h, nil
}

// countBatches counts the rows there are of each batch.
func (s *sink) countBatches(ctx context.Context, t *schemas.Table, ids []string, out map[string]int64) error {
	db, err := s.db()
	if err != nil {
		return err
	}
	rows, err := db.Query(ctx, fmt.Sprintf("SELECT batch_id, count() FROM %s WHERE batch_id IN ('%s') GROUP BY batch_id", s.table(t.ClickHouseName()), strings.Join(ids, "','")))
	if err != nil {
		return fmt.Errorf("counting batches in %s: %w", t.ClickHouseName(), err)
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var n uint64
		if err := rows.Scan(&id, &n); err != nil {
			return fmt.Errorf("counting batches in %s: %w", t.ClickHouseName(), err)
		}
		out[id] = int64(n)
	}
	return rows.Err()
}

// countFilled counts the rows whose versions are in the gaps asked for, but for
// those of the batches that were counted.
func (s *sink) countFilled(ctx context.Context, q sinks.HeldQuery, counted map[string]int64) (n int64, err error) {
	db, err := s.db()
	if err != nil {
		return 0, err
	}
	count := func(more string) (n int64, err error) {
		for gaps := range slices.Chunk(q.Gaps, heldGaps) {
			words := make([]string, len(gaps))
			for i, g := range gaps {
				words[i] = fmt.Sprintf("version > %d AND version <= %d", g.Lo, g.Hi)
			}
			var some uint64
			if err := db.QueryRow(ctx, fmt.Sprintf("SELECT count() FROM %s WHERE (%s)%s", s.table(q.Table.ClickHouseName()), strings.Join(words, " OR "), more)).Scan(&some); err != nil {
				return n, fmt.Errorf("counting rows of gaps in %s: %w", q.Table.ClickHouseName(), err)
			}
			n += int64(some)
		}
		return n, nil
	}
	if n, err = count(""); err != nil || n == 0 {
		return n, err
	}
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(counted)), heldBatches) {
		some, err := count(" AND batch_id IN ('" + strings.Join(ids, "','") + "')")
		if err != nil {
			return n, err
		}
		n -= some
	}
	return n, nil
}
