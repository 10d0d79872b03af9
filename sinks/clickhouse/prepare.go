package clickhouse

import (
	"context"
	"fmt"
	"regexp"
	"slices"
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
	for _, v := range schemas.ClickHouseViews() {
		if err := s.makeView(ctx, v, tables); err != nil {
			return err
		}
	}
	return nil
}

// makeView makes a view whose tables are all there, or makes an older one of
// ours anew. What is not ours is left alone, and refused.
func (s *sink) makeView(ctx context.Context, v schemas.ClickHouseView, tables []*schemas.Table) error {
	for _, name := range v.Tables {
		if !slices.ContainsFunc(tables, func(t *schemas.Table) bool { return t.Name == name }) {
			return nil
		}
	}
	db, err := s.db()
	if err != nil {
		return err
	}
	rows, err := db.Query(ctx, "SELECT engine, comment FROM system.tables WHERE database = ? AND name = ?", s.cfg.Database, v.Name)
	if err != nil {
		return fmt.Errorf("looking for the view %s: %w", v.Name, err)
	}
	defer rows.Close()
	for rows.Next() {
		var engine, comment string
		if err := rows.Scan(&engine, &comment); err != nil {
			return fmt.Errorf("looking for the view %s: %w", v.Name, err)
		}
		if engine != "View" || !strings.HasPrefix(comment, schemas.ViewComment) {
			return fault.New(fault.Permanent, "%s is there already, with the engine %s, and Weir did not make it: Weir keeps a view of that name. Rename yours, or give this sink a database of its own", s.table(v.Name), engine)
		}
		if comment == v.Comment() {
			return nil
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("looking for the view %s: %w", v.Name, err)
	}
	if err := s.exec(ctx, v.DDL(s.cfg.Database)); err != nil {
		return fmt.Errorf("making the view %s: %w", v.Name, err)
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
