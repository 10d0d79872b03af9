// Package lakesql asks SQL of a Parquet lake, for `weir demo`: it reads the
// delivered files into an SQLite in memory, as a small lake allows. Views makes
// the same tables for the engines that a user has.
package lakesql

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	pq "github.com/parquet-go/parquet-go"
	_ "modernc.org/sqlite" // the driver

	"weir/schemas"
)

// timeFormat is how times are kept: texts that are in the order of the times.
const timeFormat = "2006-01-02 15:04:05.000"

// files are a table's, below the lake's directory.
func files(dir, table string) string { return filepath.Join(dir, table, "*", "*", "*.parquet") }

// Engines whose views Views can make.
const (
	DuckDB     = "duckdb"
	ClickHouse = "clickhouse"
)

// Views returns SQL that makes a view of each of the tables in a lake that has
// files: what is true now of entities, all of events.
func Views(engine, dir string) (string, error) {
	var b strings.Builder
	for _, t := range schemas.Tables() {
		found, err := filepath.Glob(files(dir, t.Name))
		if err != nil {
			return "", err
		}
		if len(found) == 0 {
			continue
		}
		from := "'" + strings.ReplaceAll(files(dir, t.Name), "'", "''") + "'"
		if engine == ClickHouse {
			from = "file(" + from + ", Parquet)"
		}
		b.WriteString(view(t, from))
	}
	return b.String(), nil
}

// view folds the log of an entity table: of the rows with one key the newest
// holds, and one that says the entity is gone holds nothing.
func view(t *schemas.Table, from string) string {
	if !t.Entity {
		return fmt.Sprintf("CREATE VIEW %s AS SELECT * FROM %s;\n", t.Name, from)
	}
	return fmt.Sprintf("CREATE VIEW %s AS SELECT * FROM (\n  SELECT *, row_number() OVER (PARTITION BY %s ORDER BY version DESC) AS nth FROM %s\n) WHERE nth = 1 AND change <> 'removed';\n",
		t.Name, strings.Join(t.Key, ", "), from)
}

// DB is a lake that was read.
type DB struct{ sql *sql.DB }

// Open reads a lake, but for its raw columns. The tables are those of the
// schema, empty where nothing was delivered. Lists are texts, their items
// separated by ", "; bools are 0 or 1.
func Open(ctx context.Context, dir string) (_ *DB, err error) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	db.SetMaxOpenConns(1) // each connection has a memory of its own
	for _, t := range schemas.Tables() {
		if err := load(ctx, db, dir, t); err != nil {
			return nil, fmt.Errorf("reading %s back: %w", t.Name, err)
		}
	}
	return &DB{db}, nil
}

// Close forgets the lake.
func (d *DB) Close() error { return d.sql.Close() }

// Query returns the names of the answer's columns, and its rows as texts:
// unknown is "".
func (d *DB) Query(ctx context.Context, query string) (columns []string, out [][]string, err error) {
	rows, err := d.sql.QueryContext(ctx, query)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	if columns, err = rows.Columns(); err != nil {
		return nil, nil, err
	}
	for rows.Next() {
		values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, nil, err
		}
		row := make([]string, len(columns))
		for i, v := range values {
			row[i] = v.String
		}
		out = append(out, row)
	}
	return columns, out, rows.Err()
}

// load makes one table and its view.
func load(ctx context.Context, db *sql.DB, dir string, t *schemas.Table) error {
	at := map[string]int{} // place of a column
	var names []string
	for i := range t.Columns {
		if name := t.Columns[i].Name; name != "raw" {
			at[name] = len(names)
			names = append(names, name)
		}
	}
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("CREATE TABLE %s_log (%s)", t.Name, strings.Join(names, ", "))); err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, view(t, t.Name+"_log")); err != nil {
		return err
	}
	insert, err := tx.PrepareContext(ctx, fmt.Sprintf("INSERT INTO %s_log VALUES (?%s)", t.Name, strings.Repeat(", ?", len(names)-1)))
	if err != nil {
		return err
	}
	defer insert.Close()
	found, err := filepath.Glob(files(dir, t.Name))
	if err != nil {
		return err
	}
	for _, name := range found {
		err := each(name, t, at, func(row []any) error {
			_, err := insert.ExecContext(ctx, row...)
			return err
		})
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return tx.Commit()
}

// each calls fn with every row of a file. The row is used again.
func each(name string, t *schemas.Table, at map[string]int, fn func([]any) error) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	file, err := pq.OpenFile(f, info.Size())
	if err != nil {
		return err
	}
	leaves := file.Schema().Columns()
	r := pq.NewReader(file)
	defer r.Close()
	row, page := make([]any, len(at)), make([]pq.Row, 256)
	for {
		n, err := r.ReadRows(page)
		for _, p := range page[:n] {
			clear(row)
			for leaf, values := range p.Range {
				if i, ok := at[leaves[leaf][0]]; ok {
					row[i] = cell(values, t.Column(leaves[leaf][0]))
				}
			}
			if err := fn(row); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// cell is a column of one row.
func cell(values []pq.Value, c *schemas.Column) any {
	if c.Type != schemas.List {
		return value(values[0], c)
	}
	var items []string
	for _, v := range values {
		if !v.IsNull() {
			items = append(items, string(v.ByteArray()))
		}
	}
	return strings.Join(items, ", ")
}

// value is a Parquet value as SQLite takes it; nil is unknown.
func value(v pq.Value, c *schemas.Column) any {
	switch {
	case v.IsNull():
		return nil
	case c.Type == schemas.Millis:
		return time.UnixMilli(v.Int64()).UTC().Format(timeFormat)
	case v.Kind() == pq.Boolean:
		return v.Boolean()
	case v.Kind() == pq.Int32 || v.Kind() == pq.Int64:
		return v.Int64()
	}
	return string(v.ByteArray())
}
