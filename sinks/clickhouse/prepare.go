package clickhouse

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"weir/internal/fault"
	"weir/schemas"
)

// Prepare implements sinks.Sink: it makes database and tables, adds missing
// columns, and refuses tables whose rows it could harm, saying what to run.
func (s *sink) Prepare(ctx context.Context, tables []*schemas.Table) error {
	if err := s.exec(ctx, "CREATE DATABASE IF NOT EXISTS "+schemas.QuoteClickHouse(s.cfg.Database)); err != nil {
		return fmt.Errorf("making database %s: %w", s.cfg.Database, err)
	}
	for _, t := range tables {
		if err := s.exec(ctx, t.ClickHouseDDL(s.cfg.Database)); err != nil {
			return fmt.Errorf("making table %s: %w", t.ClickHouseName(), err)
		}
		if err := s.checkTable(ctx, t); err != nil {
			return err
		}
		if err := s.checkColumns(ctx, t); err != nil {
			return err
		}
		s.setDoubt(t.Name, true)
	}
	return nil
}

var windowSetting = regexp.MustCompile(`\bnon_replicated_deduplication_window = (\d+)`)

func (s *sink) checkTable(ctx context.Context, t *schemas.Table) error {
	db, err := s.db()
	if err != nil {
		return err
	}
	var engine, full string
	row := db.QueryRow(ctx, "SELECT engine, engine_full FROM system.tables WHERE database = ? AND name = ?", s.cfg.Database, t.ClickHouseName())
	if err := row.Scan(&engine, &full); err != nil {
		return fmt.Errorf("reading table %s back: %w", t.ClickHouseName(), err)
	}
	name := s.table(t.ClickHouseName())
	if !strings.HasSuffix(engine, "MergeTree") {
		return fault.New(fault.Permanent, "%s has the engine %s, which cannot tell a repeated insert: rename it, and Weir makes its own table; or point the sink at the MergeTree table behind it", name, engine)
	}
	if strings.HasPrefix(engine, "Replicated") || strings.HasPrefix(engine, "Shared") {
		return nil // these remember inserts by default
	}
	window := 0
	if m := windowSetting.FindStringSubmatch(full); m != nil {
		window, _ = strconv.Atoi(m[1])
	}
	if window < leastWindow {
		return fault.New(fault.Permanent, "%s remembers %d inserts, so that a repeated one would be stored twice. Run: ALTER TABLE %s MODIFY SETTING non_replicated_deduplication_window = 10000", name, window, name)
	}
	return nil
}

func (s *sink) checkColumns(ctx context.Context, t *schemas.Table) error {
	db, err := s.db()
	if err != nil {
		return err
	}
	rows, err := db.Query(ctx, "SELECT name, type FROM system.columns WHERE database = ? AND table = ?", s.cfg.Database, t.ClickHouseName())
	if err != nil {
		return fmt.Errorf("reading the columns of %s: %w", t.ClickHouseName(), err)
	}
	defer rows.Close()
	have := map[string]string{}
	for rows.Next() {
		var name, typ string
		if err := rows.Scan(&name, &typ); err != nil {
			return fmt.Errorf("reading the columns of %s: %w", t.ClickHouseName(), err)
		}
		have[name] = typ
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading the columns of %s: %w", t.ClickHouseName(), err)
	}
	name := s.table(t.ClickHouseName())
	var wrong []string
	for _, c := range t.ClickHouseColumns() {
		typ, ok := have[c.Name]
		switch {
		case !ok:
			statement := strings.TrimSpace(fmt.Sprintf("ALTER TABLE %s ADD COLUMN IF NOT EXISTS %s %s %s", name, schemas.QuoteClickHouse(c.Name), c.Type, c.Clause))
			if err := s.exec(ctx, statement); err != nil {
				return fmt.Errorf("adding column %s to %s: %w", c.Name, name, err)
			}
		case !holds(typ, c.Type):
			wrong = append(wrong, fmt.Sprintf("column %s is %s, not %s. Run: ALTER TABLE %s MODIFY COLUMN %s %s", c.Name, typ, c.Type, name, schemas.QuoteClickHouse(c.Name), c.Type))
		}
	}
	if len(wrong) > 0 {
		return fault.New(fault.Permanent, "%s could not hold the rows unchanged: %s", name, strings.Join(wrong, "; "))
	}
	return nil
}

// holds says whether a column of type have keeps every value of type want.
func holds(have, want string) bool {
	plain := func(t string) string {
		if inner, ok := strings.CutPrefix(t, "LowCardinality("); ok {
			return strings.TrimSuffix(inner, ")")
		}
		return t
	}
	have, want = plain(have), plain(want)
	return have == want || have == "Nullable("+want+")"
}
