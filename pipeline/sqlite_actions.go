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
	return query(ctx, s.read, scanAction, `SELECT `+actionColumns+` FROM actions WHERE open AND instance = ? AND due <= ? ORDER BY received, id LIMIT ?`,
		instance, now.UnixMilli(), limit)
}

func (s *sqliteState) ActionsOn(ctx context.Context, instance, kind, target string, since time.Time) ([]ActionRecord, error) {
	return query(ctx, s.read, scanAction, `SELECT `+actionColumns+` FROM actions WHERE instance = ? AND kind = ? AND target = ? AND (open OR received >= ?)
		ORDER BY received, id`, instance, kind, target, since.UnixMilli())
}

func (s *sqliteState) ActionsStarted(ctx context.Context, instance, principal string, since time.Time) (n, accounts int64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT count(*), count(DISTINCT iif(kind = 'account', instance || ' ' || target, NULL)) FROM actions
		WHERE started > 0 AND started >= ? AND (? IN ('', instance)) AND (? IN ('', principal))`, since.UnixMilli(), instance, principal).Scan(&n, &accounts)
	if err != nil {
		return 0, 0, fmt.Errorf("state: %w", err)
	}
	return n, accounts, nil
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
	return t.exec(`INSERT INTO actions (`+actionColumns+`) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET state = excluded.state, open = excluded.open, due = excluded.due, started = excluded.started, data = excluded.data`,
		a.ID, a.Instance, a.Action, a.Kind, a.Target, a.Principal, a.State, a.Open, a.Due.UnixMilli(), a.Received.UnixMilli(), started, a.Data)
}

func (t *sqliteTx) AddActionEntry(e ActionEntry) error {
	return t.exec(`INSERT INTO action_entries VALUES (?, ?, ?)`, e.Seq, e.ActionID, e.Data)
}
