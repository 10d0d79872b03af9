package clickhouse

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

var _ sinks.Control = (*sink)(nil)

// proofs are the columns that say who and when, and what ClickHouse must fill
// them by: a column that a client can write proves nothing.
var proofs = map[string]string{"db_user": "currentUser()", "received_at": "now64(3)"}

// checkControl refuses control tables that were made in another way than weir
// schema ddl makes them.
func (s *sink) checkControl(ctx context.Context, db driver.Conn, table string) error {
	rows, err := db.Query(ctx, "SELECT name, default_kind, default_expression FROM system.columns WHERE database = ? AND table = ?", s.cfg.Database, table)
	if err != nil {
		return err
	}
	defer rows.Close()
	proven, have := 0, map[string]bool{}
	for rows.Next() {
		var name, kind, expression string
		if err := rows.Scan(&name, &kind, &expression); err != nil {
			return err
		}
		have[name] = true
		if want, ok := proofs[name]; ok && kind == "MATERIALIZED" && expression == want {
			proven++
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	switch {
	case len(have) == 0:
		return fault.New(fault.Permanent, "there is no table %s, or it cannot be seen: weir schema ddl and weir schema ddl --grants print what to run", s.table(table))
	case proven != len(proofs):
		return fault.New(fault.Permanent, "%s does not say by itself who inserted a row and when: db_user and received_at must be MATERIALIZED as weir schema ddl prints them", s.table(table))
	}
	return s.lacking(table, have)
}

// lacking refuses a control table without a column of today's: Weir's own user
// may not alter it.
func (s *sink) lacking(table string, have map[string]bool) error {
	for _, t := range schemas.ControlTables() {
		if t.Name != table {
			continue
		}
		if alter := t.ClickHouseAlter(s.cfg.Database, func(column string) bool { return have[column] }); alter != "" {
			return fault.New(fault.Permanent, "%s is of an older Weir. Run: %s; and, for the roles, what weir schema ddl --grants prints", s.table(table), alter)
		}
	}
	return nil
}

// control reads at most limit rows of a control table after a place, in order.
func (s *sink) control(ctx context.Context, table string, texts, others []string, after sinks.ControlPlace, limit int, scan func(driver.Rows) error) error {
	db, err := s.db()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	if err := s.checkControl(ctx, db, table); err != nil {
		return err
	}
	var columns, all []string
	for _, name := range texts {
		// Cut where none is taken any more. The place has the id as it was read.
		c := fmt.Sprintf("substring(toString(%s), 1, %d)", schemas.QuoteClickHouse(name), sinks.MaxControlText)
		columns, all = append(columns, c), append(all, c)
	}
	for _, name := range others {
		columns, all = append(columns, name), append(all, "ifNull(toString("+name+"), '-')")
	}
	id, hash := columns[0], "hex(sipHash128("+strings.Join(append(all, "toString(db_user)"), ", ")+"))"
	rows, err := db.Query(ctx, fmt.Sprintf(`SELECT %s, toString(db_user), received_at, %s AS row_hash FROM %s
		WHERE received_at >= fromUnixTimestamp64Milli(?, 'UTC') AND (received_at, %s, %s) > (fromUnixTimestamp64Milli(?, 'UTC'), unhex(?), ?)
		ORDER BY received_at, %s, row_hash LIMIT %d`, strings.Join(columns, ", "), hash, s.table(table), id, hash, id, limit),
		int64(after.ReceivedAt), int64(after.ReceivedAt), hex.EncodeToString([]byte(after.ID)), after.Row)
	if err != nil {
		return fmt.Errorf("reading %s: %w", table, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("reading %s: %w", table, err)
		}
	}
	return rows.Err()
}

// Requests implements sinks.Control.
func (s *sink) Requests(ctx context.Context, after sinks.ControlPlace, limit int) (out []schemas.ActionRow, err error) {
	texts := []string{"id", "instance", "action", "target_kind", "target_id", "params", "reason", "change_ref", "requested_by", "signature"}
	err = s.control(ctx, schemas.TableActions, texts, []string{"not_before", "not_after", "dry_run"}, after, limit, func(rows driver.Rows) error {
		var r schemas.ActionRow
		var notBefore, notAfter *time.Time
		var dryRun *bool
		var at time.Time
		if err := rows.Scan(&r.ID, &r.Instance, &r.Action, &r.TargetKind, &r.TargetID, &r.Params, &r.Reason, &r.ChangeRef, &r.RequestedBy, &r.Signature,
			&notBefore, &notAfter, &dryRun, &r.DBUser, &at, &r.RowHash); err != nil {
			return err
		}
		r.NotBefore, r.NotAfter, r.ReceivedAt = millis(notBefore), millis(notAfter), schemas.Time(at.UnixMilli())
		if dryRun != nil {
			r.DryRun = schemas.Some(*dryRun)
		}
		out = append(out, r)
		return nil
	})
	return out, err
}

// millis returns a time as rows have it. One that is there is never 0, which
// would be none.
func millis(t *time.Time) schemas.Time {
	if t == nil {
		return 0
	}
	if ms := t.UnixMilli(); ms != 0 {
		return schemas.Time(ms)
	}
	return 1
}

// Approvals implements sinks.Control.
func (s *sink) Approvals(ctx context.Context, after sinks.ControlPlace, limit int) (out []schemas.ApprovalRow, err error) {
	texts := []string{"action_id", "request_hash", "plan_hash", "decision", "reason", "signature"}
	err = s.control(ctx, schemas.TableActionApprovals, texts, nil, after, limit, func(rows driver.Rows) error {
		var r schemas.ApprovalRow
		var at time.Time
		if err := rows.Scan(&r.ActionID, &r.RequestHash, &r.PlanHash, &r.Decision, &r.Reason, &r.Signature, &r.DBUser, &at, &r.RowHash); err != nil {
			return err
		}
		r.ReceivedAt = schemas.Time(at.UnixMilli())
		out = append(out, r)
		return nil
	})
	return out, err
}

// Ran implements sinks.Control.
func (s *sink) Ran(ctx context.Context, action, chain string, seq int64) (bool, error) {
	db, err := s.db()
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	var n uint64
	err = db.QueryRow(ctx, "SELECT count() FROM "+s.table(schemas.TableActionLog)+
		" WHERE action_id = ? AND (chain <> ? OR seq > ?) AND event LIKE 'step%'", action, chain, seq).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("asking action_log: %w", err)
	}
	return n > 0, nil
}
