package pipeline

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
)

// pastKey names a task's lanes among those of an instance.
func pastKey(s StreamID, id int64) StreamID {
	return StreamID{Instance: s.Instance, Stream: s.Stream + "/past/" + strconv.FormatInt(id, 10)}
}

const pastColumns = `id, instance, stream, status, data`

func scanPast(r interface{ Scan(...any) error }) (t PastTask, err error) {
	var id int64
	var instance, stream, status string
	var data []byte
	if err := r.Scan(&id, &instance, &stream, &status, &data); err != nil {
		return t, err
	}
	if err := json.Unmarshal(data, &t); err != nil {
		return t, fmt.Errorf("task %d of the past: %w", id, err)
	}
	t.ID, t.StreamID, t.Status = id, StreamID{Instance: instance, Stream: stream}, PastStatus(status)
	return t, nil
}

func (s *sqliteState) PastTasks(ctx context.Context, id StreamID) ([]PastTask, error) {
	return query(ctx, s.read, func(r *sql.Rows) (PastTask, error) { return scanPast(r) },
		`SELECT `+pastColumns+` FROM past WHERE ?1 = '' OR (instance = ?1 AND stream = ?2) ORDER BY id`, id.Instance, id.Stream)
}

func (s *sqliteState) PastTask(ctx context.Context, id int64) (PastTask, bool, error) {
	t, err := scanPast(s.read.QueryRowContext(ctx, `SELECT `+pastColumns+` FROM past WHERE id = ?`, id))
	if errors.Is(err, sql.ErrNoRows) {
		return t, false, nil
	}
	return t, err == nil, err
}

func (s *sqliteState) LaneRead(ctx context.Context, id StreamID, lane, hint string) (status LaneStatus, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT status FROM lanes WHERE instance = ? AND stream = ? AND lane = ? AND hint = ? AND once`,
		id.Instance, id.Stream, lane, hint).Scan(&status)
	return status, ignoreNoRows(err)
}

func (t *sqliteTx) AddPast(p *PastTask) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	r, err := t.tx.ExecContext(t.ctx, `INSERT INTO past (instance, stream, status, data) VALUES (?, ?, ?, ?)`, p.Instance, p.Stream, p.Status, data)
	if err != nil {
		return err
	}
	p.ID, err = r.LastInsertId()
	return err
}

func (t *sqliteTx) SetPast(p PastTask) error {
	data, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return t.exec(`UPDATE past SET data = ?1, status = CASE WHEN ?2 = 'done' THEN 'done' ELSE status END WHERE id = ?3`, data, p.Status, p.ID)
}

func (t *sqliteTx) SetPastStatus(id int64, to PastStatus) (bool, error) {
	r, err := t.tx.ExecContext(t.ctx, `UPDATE past SET status = ? WHERE id = ? AND status <> 'done'`, to, id)
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n > 0, err
}

func (t *sqliteTx) ClearPast(p PastTask) error {
	k := p.lanesKey()
	return errors.Join(
		t.exec(`DELETE FROM lanes WHERE instance = ? AND stream = ?`, k.Instance, k.Stream),
		t.exec(`DELETE FROM listings WHERE instance = ? AND stream = ?`, k.Instance, k.Stream))
}

func (t *sqliteTx) DropPast(p PastTask) error {
	return errors.Join(t.ClearPast(p), t.exec(`DELETE FROM past WHERE id = ?`, p.ID))
}
