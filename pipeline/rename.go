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
// under the new one, as snapshot. No agent runs on the data directory. before
// moves what is not in the state; it may be called again after a kill.
func RenameInstance(ctx context.Context, dataDir, old, name string, before func() error) (err error) {
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
		if err := before(); err != nil {
			return err
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
	// What is left of an instance that is no more would stand in the way.
	if _, err := t.ForgetInstance(name, forgetAtOnce); err != nil {
		return err
	}
	tables, err := t.texts(`SELECT m.name FROM sqlite_master m JOIN pragma_table_info(m.name) c ON c.name = 'instance' WHERE m.type = 'table'`)
	if err != nil {
		return err
	}
	for _, table := range tables {
		if keepName[table] {
			continue
		}
		q := fmt.Sprintf(`UPDATE %q SET instance = ? WHERE instance = ?`, table)
		if table == "dead" || table == "dead_dropped" {
			q += ` AND kind <> '` + DeadPart + `'` // rows, which bear the old name
		}
		if err := t.exec(q, name, old); err != nil {
			return fmt.Errorf("renaming in %s: %w", table, err)
		}
	}
	for _, word := range instanceWords {
		if err := t.exec(`UPDATE meta SET key = ?2 || substr(key, length(?1) + 1) WHERE `+valueOf, word+old, word+name); err != nil {
			return err
		}
	}
	return errors.Join(
		t.exec(`DELETE FROM synced WHERE instance = ?`, name),
		t.exec(`DELETE FROM meta WHERE key = ?`, metaGone+name),
		t.exec(`UPDATE scans SET data = json_set(data, '$.open', json('false'), '$.started', '0001-01-01T00:00:00Z') WHERE instance = ?`, name))
}

func (t *sqliteTx) texts(q string, args ...any) ([]string, error) {
	return query(t.ctx, t.tx, func(r *sql.Rows) (string, error) {
		s, err := scanOne[sql.NullString](r)
		return s.String, err
	}, q, args...)
}
