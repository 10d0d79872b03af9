package govern

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"weir/schemas"
)

// exported is a row of a sink's action_log, as ClickHouse writes JSONEachRow and
// most tools write Parquet rows.
type exported struct {
	Instance    string      `json:"instance"`
	Chain       string      `json:"chain"`
	Seq         json.Number `json:"seq"` // 64-bit numbers may be quoted
	At          string      `json:"at"`
	ActionID    string      `json:"action_id"`
	Event       string      `json:"event"`
	State       string      `json:"state"`
	Detail      string      `json:"detail"`
	Action      string      `json:"action"`
	TargetKind  string      `json:"target_kind"`
	TargetID    string      `json:"target_id"`
	TargetName  string      `json:"target_name"`
	Step        string      `json:"step"`
	Ref         string      `json:"ref"`
	Principal   string      `json:"principal"`
	DBUser      string      `json:"db_user"`
	Via         string      `json:"via"`
	RequestHash string      `json:"request_hash"`
	PlanHash    string      `json:"plan_hash"`
	Diff        []string    `json:"diff"`
	Limits      []string    `json:"limits"`
	DryRun      *bool       `json:"dry_run"`
	Reason      string      `json:"reason"`
	ChangeRef   string      `json:"change_ref"`
	PrevHash    string      `json:"prev_hash"`
	Hash        string      `json:"hash"`
}

const (
	maxExportLine  = 8 << 20
	clickHouseTime = "2006-01-02 15:04:05.000"
)

// AuditExport verifies rows of one chain, one JSON object a line, in the order
// of seq. It returns how many there are, their chain, and the last one's hash.
func AuditExport(in io.Reader) (n int64, chain, head string, err error) {
	var v Verifier
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxExportLine)
	for lines.Scan() {
		if len(lines.Bytes()) == 0 {
			continue
		}
		var x exported
		if err := json.Unmarshal(lines.Bytes(), &x); err != nil {
			return n, chain, head, fmt.Errorf("line %d is no row of action_log: %w", n+1, err)
		}
		seq, err := x.Seq.Int64()
		if err != nil {
			return n, chain, head, fmt.Errorf("line %d: seq: %w", n+1, err)
		}
		at, err := parseTime(x.At)
		if err != nil {
			return n, chain, head, fmt.Errorf("line %d: at: %w", n+1, err)
		}
		row := schemas.ActionLogRow{
			Chain: x.Chain, Seq: seq, At: at, ActionID: x.ActionID, Event: x.Event, State: x.State, Detail: x.Detail, Action: x.Action,
			TargetKind: x.TargetKind, TargetID: x.TargetID, TargetName: x.TargetName, Step: x.Step, Ref: x.Ref, Principal: x.Principal,
			DBUser: x.DBUser, Via: x.Via, RequestHash: x.RequestHash, PlanHash: x.PlanHash, Diff: x.Diff, Limits: x.Limits,
			Reason: x.Reason, ChangeRef: x.ChangeRef, PrevHash: x.PrevHash, Hash: x.Hash,
		}
		if x.DryRun != nil {
			row.DryRun = schemas.Some(*x.DryRun)
		}
		if n == 0 && seq != 1 {
			return n, chain, head, fmt.Errorf("the export begins with entry %d: those before are missing", seq)
		}
		if n > 0 && x.Chain != chain {
			return n, chain, head, fmt.Errorf("line %d belongs to chain %s: export one chain at a time", n+1, x.Chain)
		}
		if err := v.Next(x.Instance, &row); err != nil {
			return n, chain, head, err
		}
		n, chain, head = n+1, x.Chain, row.Hash
	}
	return n, chain, head, lines.Err()
}

// parseTime reads a time in UTC, as ClickHouse or RFC 3339 writes it.
func parseTime(s string) (schemas.Time, error) {
	for _, layout := range []string{clickHouseTime, time.DateTime, time.RFC3339Nano} {
		if t, err := time.Parse(layout, s); err == nil {
			return schemas.Time(t.UnixMilli()), nil
		}
	}
	return 0, fmt.Errorf("%q is no time: want %s in UTC, or RFC 3339", s, clickHouseTime)
}
