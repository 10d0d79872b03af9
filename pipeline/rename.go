package pipeline

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"weir/internal/fault"
)

// keepName are tables whose rows tell of what has been, under the name it had.
var keepName = map[string]bool{"batches": true, "held": true}

// RenameInstance gives what is remembered of an instance another name: lanes,
// cursors, ids, baselines, coverage, the pinned organization. What is spooled or
// delivered keeps the old name, and the next complete rounds send every entity
// under the new one, as snapshot. No agent runs on the data directory.
func RenameInstance(ctx context.Context, dataDir, old, name string) (err error) {
	return onState(ctx, dataDir, func(s *sqliteState) error {
		known, err := s.Instances(ctx)
		if err != nil {
			return err
		}
		has := map[string]bool{}
		for _, k := range known {
			has[k] = true
		}
		switch {
		case !has[old]:
			return fault.New(fault.Permanent, "the state knows no instance %q; it knows %s", old, strings.Join(known, ", "))
		case has[name]:
			return fault.New(fault.Permanent, "the state knows an instance %q already: nothing was renamed", name)
		}
		return s.Update(ctx, func(tx Tx) error { return tx.RenameInstance(old, name) })
	})
}

// onState opens the state of a data directory that no agent uses.
func onState(ctx context.Context, dataDir string, do func(*sqliteState) error) (err error) {
	unlock, err := lockDir(dataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	probe, err := ReadState(ctx, dataDir)
	if err != nil {
		return err
	}
	if err := probe.Close(); err != nil {
		return err
	}
	st, err := OpenState(ctx, dataDir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	s, ok := st.(*sqliteState)
	if !ok {
		return fmt.Errorf("state of type %T", st)
	}
	return do(s)
}

func (t *sqliteTx) RenameInstance(old, name string) error {
	tables, err := t.texts(`SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c ON c.name = 'instance' WHERE m.type = 'table'`)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if keepName[table] {
			continue
		}
		if err := t.exec(fmt.Sprintf(`UPDATE %q SET instance = ? WHERE instance = ?`, table), name, old); err != nil {
			return fmt.Errorf("renaming in %s: %w", table, err)
		}
	}
	// Names of values are a word, the instance, and perhaps the stream.
	if err := t.exec(`UPDATE meta SET key = substr(key, 1, instr(key, '/')) || ?2 || substr(key, instr(key, '/') + length(?1) + 1)
		WHERE key LIKE '%/%' AND (substr(key, instr(key, '/') + 1) = ?1 OR substr(key, instr(key, '/') + 1, length(?1) + 1) = ?1 || '/')`, old, name); err != nil {
		return err
	}
	return errors.Join(
		t.exec(`DELETE FROM synced WHERE instance = ?`, name),
		t.exec(`DELETE FROM meta WHERE key = ?`, metaGone+name),
		t.exec(`UPDATE scans SET data = json_set(data, '$.open', json('false'), '$.started', '0001-01-01T00:00:00Z') WHERE instance = ?`, name))
}

func (t *sqliteTx) texts(q string, args ...any) (out []string, err error) {
	rows, err := t.tx.QueryContext(t.ctx, q, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s sql.NullString
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s.String)
	}
	return out, rows.Err()
}
