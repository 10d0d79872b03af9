package pipeline

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

const actionColumns = `id, instance, action, kind, target, principal, state, open, due, received, started, data`

func scanAction(r *sql.Rows) (a ActionRecord, err error) {
	var due, received, started int64
	err = r.Scan(&a.ID, &a.Instance, &a.Action, &a.Kind, &a.Target, &a.Principal, &a.State, &a.Open, &due, &received, &started, &a.Data)
	a.Due, a.Received = time.UnixMilli(due).UTC(), time.UnixMilli(received).UTC()
	if started > 0 {
		a.Started = time.UnixMilli(started).UTC()
	}
	return a, err
}

func (s *sqliteState) Action(ctx context.Context, id string) (a ActionRecord, known bool, err error) {
	found, err := query(ctx, s.read, scanAction, `SELECT `+actionColumns+` FROM actions WHERE id = ?`, id)
	if err != nil || len(found) == 0 {
		return a, false, err
	}
	return found[0], true, nil
}

func (s *sqliteState) Actions(ctx context.Context, openOnly bool, limit int) ([]ActionRecord, error) {
	return query(ctx, s.read, scanAction, `SELECT `+actionColumns+` FROM actions WHERE open OR NOT ? ORDER BY received DESC, id DESC LIMIT ?`, openOnly, limit)
}

func (s *sqliteState) DueActions(ctx context.Context, instance string, now time.Time, limit int) ([]ActionRecord, error) {
	return query(ctx, s.read, scanAction, `SELECT `+actionColumns+` FROM actions WHERE id IN (
		SELECT id FROM actions WHERE open AND instance = ? AND due <= ? ORDER BY received, id LIMIT ?) ORDER BY received, id`,
		instance, now.UnixMilli(), limit)
}

func (s *sqliteState) WatchedActions(ctx context.Context, instance string, now time.Time, limit int) ([]ActionRecord, error) {
	return query(ctx, s.read, scanAction, `SELECT `+actionColumns+` FROM actions JOIN
		(SELECT id AS watched, due AS look FROM action_watches WHERE instance = ? AND due <= ? ORDER BY due LIMIT ?) ON id = watched ORDER BY look, id`,
		instance, now.UnixMilli(), limit)
}

func (s *sqliteState) ActionsOn(ctx context.Context, instance, kind, target string, since time.Time) ([]ActionRecord, error) {
	return query(ctx, s.read, scanAction, `SELECT `+actionColumns+` FROM actions WHERE instance = ? AND kind = ? AND target = ? AND (open OR received >= ?)
		ORDER BY received, id`, instance, kind, target, since.UnixMilli())
}

func (s *sqliteState) ActionsStarted(ctx context.Context, instance, principal string, now time.Time) (n StartedActions, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT count(*), count(*) FILTER (WHERE started >= ?2), count(*) FILTER (WHERE instance = ?3),
		count(*) FILTER (WHERE instance = ?3 AND started >= ?2), count(*) FILTER (WHERE principal = ?4 AND started >= ?2)
		FROM actions WHERE started > 0 AND started >= ?1`, now.Add(-24*time.Hour).UnixMilli(), now.Add(-time.Hour).UnixMilli(), instance, principal).
		Scan(&n.Day, &n.Hour, &n.InstanceDay, &n.InstanceHour, &n.PrincipalHour)
	if err != nil {
		return n, fmt.Errorf("state: %w", err)
	}
	return n, nil
}

func (s *sqliteState) AccountsActedOn(ctx context.Context, instance string, since time.Time) (n int64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT count(DISTINCT target) FROM actions WHERE started > 0 AND started >= ? AND instance = ? AND kind = 'account'`, since.UnixMilli(), instance).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("state: %w", err)
	}
	return n, nil
}

func (s *sqliteState) ActionsOpen(ctx context.Context, principal string) (n int64, err error) {
	if err = s.read.QueryRowContext(ctx, `SELECT count(*) FROM actions WHERE open AND principal = ?`, principal).Scan(&n); err != nil {
		return 0, fmt.Errorf("state: %w", err)
	}
	return n, nil
}

func scanEntry(r *sql.Rows) (e ActionEntry, err error) {
	err = r.Scan(&e.Seq, &e.ActionID, &e.Data)
	return e, err
}

func (s *sqliteState) ActionEntries(ctx context.Context, action string, from int64, limit int) ([]ActionEntry, error) {
	if action != "" {
		return query(ctx, s.read, scanEntry, `SELECT seq, action_id, data FROM action_entries WHERE action_id = ? AND seq >= ? ORDER BY seq LIMIT ?`, action, from, limit)
	}
	return query(ctx, s.read, scanEntry, `SELECT seq, action_id, data FROM action_entries WHERE seq >= ? ORDER BY seq LIMIT ?`, from, limit)
}

func (s *sqliteState) ActionHead(ctx context.Context) (e ActionEntry, err error) {
	found, err := query(ctx, s.read, scanEntry, `SELECT seq, action_id, data FROM action_entries ORDER BY seq DESC LIMIT 1`)
	if err != nil || len(found) == 0 {
		return e, err
	}
	return found[0], nil
}

func (s *sqliteState) ActionDropped(ctx context.Context, id string) (dropped bool, err error) {
	if err = s.read.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM actions_dropped WHERE id = ?)`, id).Scan(&dropped); err != nil {
		return false, fmt.Errorf("state: %w", err)
	}
	return dropped, nil
}

func (s *sqliteState) OldActions(ctx context.Context, before time.Time, limit int) ([]string, error) {
	id := func(r *sql.Rows) (id string, err error) {
		err = r.Scan(&id)
		return id, err
	}
	return query(ctx, s.read, id, `SELECT id FROM actions WHERE received < ? AND NOT open AND id NOT IN (SELECT id FROM action_watches WHERE due >= ?)
		ORDER BY received, id LIMIT ?`, before.UnixMilli(), before.UnixMilli(), limit)
}

func (s *sqliteState) OldestEntry(ctx context.Context) (seq int64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT coalesce(min((SELECT min(seq) FROM action_entries WHERE action_id = actions.id)), 0) FROM actions`).Scan(&seq)
	if err != nil {
		return 0, fmt.Errorf("state: %w", err)
	}
	return seq, nil
}

func (s *sqliteState) EntityRows(ctx context.Context, instance, table string) (n int64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT coalesce(sum((SELECT count(*) FROM baselines WHERE id >= (num << 32) AND id < ((num + 1) << 32))), 0)
		FROM scopes WHERE instance = ? AND tbl = ?`, instance, table).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("state: %w", err)
	}
	return n, nil
}

func (t *sqliteTx) PutAction(a ActionRecord) error {
	started := int64(0)
	if !a.Started.IsZero() {
		started = a.Started.UnixMilli()
	}
	err := t.exec(`INSERT INTO actions (`+actionColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, open = excluded.open, due = excluded.due, started = excluded.started, data = excluded.data`,
		a.ID, a.Instance, a.Action, a.Kind, a.Target, a.Principal, a.State, a.Open, a.Due.UnixMilli(), a.Received.UnixMilli(), started, a.Data)
	switch {
	case err != nil:
		return err
	case a.Watch.IsZero():
		return t.exec(`DELETE FROM action_watches WHERE id = ?`, a.ID)
	}
	return t.exec(`INSERT INTO action_watches VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET due = excluded.due`, a.ID, a.Instance, a.Watch.UnixMilli())
}

func (t *sqliteTx) AddActionEntry(e ActionEntry) error {
	return t.exec(`INSERT INTO action_entries VALUES (?, ?, ?)`, e.Seq, e.ActionID, e.Data)
}

func (t *sqliteTx) PauseGovernance(why string) error {
	if err := t.exec(`UPDATE own_watches SET since = 0`); err != nil {
		return err
	}
	return t.exec(`INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value WHERE value IN ('', ?3)`,
		MetaGovernancePaused, why, GovernanceResumed)
}

func (t *sqliteTx) DropAction(id string) error {
	if err := t.exec(`INSERT OR IGNORE INTO actions_dropped VALUES (?)`, id); err != nil {
		return err
	}
	if err := t.exec(`DELETE FROM action_watches WHERE id = ?`, id); err != nil {
		return err
	}
	return t.exec(`DELETE FROM actions WHERE id = ?`, id)
}

func (t *sqliteTx) DropActionEntries(upTo int64) error {
	return t.exec(`DELETE FROM action_entries WHERE seq <= ?`, upTo)
}
