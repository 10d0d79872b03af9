package pipeline

import (
	"context"
	"database/sql"
	"time"
)

const ownWriteSchema = `
CREATE TABLE IF NOT EXISTS own_writes (instance TEXT NOT NULL, id TEXT NOT NULL, added INTEGER NOT NULL, told INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (instance, id)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS own_writes_open ON own_writes (instance) WHERE NOT told;
CREATE TABLE IF NOT EXISTS own_watches (instance TEXT PRIMARY KEY, since INTEGER NOT NULL, halted TEXT NOT NULL) WITHOUT ROWID;
`

func (s *sqliteState) OwnWrites(ctx context.Context, instance string, limit int) ([]OwnWrite, error) {
	return query(ctx, s.read, func(r *sql.Rows) (w OwnWrite, err error) {
		err = r.Scan(&w.Instance, &w.ID, &w.Data)
		return w, err
	}, `SELECT instance, id, data FROM own_writes WHERE instance = ? AND NOT told ORDER BY id LIMIT ?`, instance, limit)
}

func (s *sqliteState) OwnWatches(ctx context.Context) (map[string]OwnWatch, error) {
	out := map[string]OwnWatch{}
	_, err := query(ctx, s.read, func(r *sql.Rows) (_ struct{}, err error) {
		var instance string
		var w OwnWatch
		var since int64
		if err = r.Scan(&instance, &since, &w.Halted); since > 0 {
			w.Since = time.UnixMilli(since).UTC()
		}
		out[instance] = w
		return struct{}{}, err
	}, `SELECT instance, since, halted FROM own_watches`)
	return out, err
}

func (s *sqliteState) ActionsBegun(ctx context.Context, instance string, from, to time.Time) ([]ActionRecord, error) {
	return query(ctx, s.read, scanAction, `SELECT `+actionColumns+` FROM actions WHERE id IN (
		SELECT id FROM actions WHERE started > 0 AND started BETWEEN ? AND ? AND instance = ?) ORDER BY received, id`, from.UnixMilli(), to.UnixMilli(), instance)
}

func (t *sqliteTx) AddOwnWrite(w OwnWrite, now time.Time) error {
	return t.exec(`INSERT OR IGNORE INTO own_writes VALUES (?, ?, ?, 0, ?)`, w.Instance, w.ID, now.UnixMilli(), w.Data)
}

func (t *sqliteTx) SettleOwnWrite(instance, id string, told bool) error {
	if told {
		return t.exec(`UPDATE own_writes SET told = 1, data = x'' WHERE instance = ? AND id = ?`, instance, id)
	}
	return t.exec(`DELETE FROM own_writes WHERE instance = ? AND id = ?`, instance, id)
}

func (t *sqliteTx) DropOwnWrites(before time.Time) error {
	return t.exec(`DELETE FROM own_writes WHERE told AND added < ?`, before.UnixMilli())
}

func (t *sqliteTx) SetOwnWatch(instance string, w OwnWatch) error {
	since := int64(0)
	if !w.Since.IsZero() {
		since = w.Since.UnixMilli()
	}
	return t.exec(`INSERT INTO own_watches VALUES (?, ?, ?) ON CONFLICT (instance) DO UPDATE SET since = excluded.since, halted = excluded.halted`, instance, since, w.Halted)
}
