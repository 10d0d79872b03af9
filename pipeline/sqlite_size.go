package pipeline

import (
	"context"
	"database/sql"
	"fmt"
)

// stateKinds names what the tables keep; tables of one name are counted
// together, by the rows of the first.
var stateKinds = []struct{ table, kind string }{
	{"lanes", "lanes"},
	{"scan_lanes", "scan lanes"},
	{"baselines", "baselines"},
	{"round_seen", "rows of open rounds"},
	{"seen", "seen ids"},
	{"seen_partly", "seen ids of some sinks"},
	{"batches", "batches"},
	{"deliveries", "deliveries"},
	{"parts", "parts"},
	{"coverage", "coverage"},
	{"holes", "holes"},
	{"day_marks", "days"},
	{"past", "tasks of the past"},
	{"dead", "dead letters"},
	{"dead_more", "dead letters"},
	{"dead_dropped", "dropped letters"},
	{"actions", "actions"},
	{"action_watches", "actions"},
	{"actions_dropped", "actions"},
	{"action_entries", "action log"},
	{"own_writes", "own writes"},
}

// Size returns what the state holds, with its indexes, by kind; the kinds' bytes
// make up the file.
func (s *sqliteState) Size(ctx context.Context) ([]KindSize, error) {
	bytes := map[string]int64{}
	_, err := query(ctx, s.read, func(r *sql.Rows) (struct{}, error) {
		var table string
		var n int64
		err := r.Scan(&table, &n)
		bytes[table] += n
		return struct{}{}, err
	}, `SELECT coalesce(m.tbl_name, s.name), sum(s.pgsize) FROM dbstat s LEFT JOIN sqlite_schema m ON m.name = s.name WHERE s.aggregate = 1 GROUP BY 1`)
	if err != nil {
		return nil, err
	}
	var out []KindSize
	for _, k := range stateKinds {
		n := bytes[k.table]
		delete(bytes, k.table)
		if last := len(out) - 1; last >= 0 && out[last].Kind == k.kind {
			out[last].Bytes += n
			continue
		}
		rows := "count(*)"
		if k.table == "seen" {
			rows = fmt.Sprintf("coalesce(sum(length(entries)), 0) / %d", seenEntry)
		}
		size := KindSize{Kind: k.kind, Bytes: n}
		if err := s.read.QueryRowContext(ctx, "SELECT "+rows+" FROM "+k.table).Scan(&size.Rows); err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
		out = append(out, size)
	}
	rest := KindSize{Kind: "the rest"}
	for _, n := range bytes {
		rest.Bytes += n
	}
	free := KindSize{Kind: "free"}
	if err := s.read.QueryRowContext(ctx, `SELECT freelist_count, freelist_count * page_size FROM pragma_freelist_count(), pragma_page_size()`).Scan(&free.Rows, &free.Bytes); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	files := KindSize{Kind: "dead letters in files"}
	if err := s.read.QueryRowContext(ctx, `SELECT count(*), coalesce(sum(bytes), 0) FROM dead_more WHERE file <> ''`).Scan(&files.Rows, &files.Bytes); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	return append(out, rest, free, files), nil
}

// Pages of the file that hold nothing are given back to the file system when
// they are more than a share of it, some at a time: they would be needed again.
const (
	freeShare  = 4 // a quarter
	freeAtOnce = 4096
)

// Shrink gives unused pages back to the file system.
func (t *sqliteTx) Shrink() error {
	var pages, free int64
	if err := t.tx.QueryRowContext(t.ctx, `SELECT page_count, freelist_count FROM pragma_page_count(), pragma_freelist_count()`).Scan(&pages, &free); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	spare := min(free-pages/freeShare, freeAtOnce)
	if spare <= 0 {
		return nil
	}
	// A query, which takes all its steps; each frees a page.
	_, err := query(t.ctx, t.tx, func(*sql.Rows) (struct{}, error) { return struct{}{}, nil }, fmt.Sprintf("PRAGMA incremental_vacuum(%d)", spare))
	return err
}
