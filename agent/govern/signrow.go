package govern

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	"weir/schemas"
)

// requestJSON and decisionJSON are rows of the control tables as ClickHouse
// reads and writes JSONEachRow.
type requestJSON struct {
	ID          string `json:"id"`
	Instance    string `json:"instance,omitempty"`
	Action      string `json:"action"`
	TargetKind  string `json:"target_kind"`
	TargetID    string `json:"target_id"`
	Params      string `json:"params,omitempty"`
	Reason      string `json:"reason,omitempty"`
	ChangeRef   string `json:"change_ref,omitempty"`
	RequestedBy string `json:"requested_by,omitempty"`
	NotBefore   string `json:"not_before,omitempty"`
	NotAfter    string `json:"not_after,omitempty"`
	DryRun      bool   `json:"dry_run,omitzero"`
	Signature   string `json:"signature,omitempty"`
}

type decisionJSON struct {
	ActionID    string `json:"action_id"`
	RequestHash string `json:"request_hash,omitempty"`
	PlanHash    string `json:"plan_hash,omitempty"`
	Decision    string `json:"decision"`
	Reason      string `json:"reason,omitempty"`
	Signature   string `json:"signature,omitempty"`
}

// SignRow signs a row of the table actions or action_approvals, which is a JSON
// object of its columns, and returns the row to insert. Without a key it returns
// the text that is to be signed.
func SignRow(row []byte, key ed25519.PrivateKey) ([]byte, error) {
	var kind struct {
		ActionID *string `json:"action_id"`
	}
	if err := json.Unmarshal(row, &kind); err != nil {
		return nil, fmt.Errorf("want a JSON object of columns: %w", err)
	}
	if kind.ActionID != nil {
		var d decisionJSON
		if err := json.Unmarshal(row, &d, json.RejectUnknownMembers(true)); err != nil {
			return nil, fmt.Errorf("want columns of %s that people write: %w", schemas.TableActionApprovals, err)
		}
		text := DecisionText(schemas.ApprovalRow{ActionID: d.ActionID, RequestHash: d.RequestHash, PlanHash: d.PlanHash, Decision: d.Decision, Reason: d.Reason})
		if key == nil {
			return text, nil
		}
		d.Signature = Sign(key, text)
		return json.Marshal(d)
	}
	var q requestJSON
	if err := json.Unmarshal(row, &q, json.RejectUnknownMembers(true)); err != nil {
		return nil, fmt.Errorf("want columns of %s that people write: %w", schemas.TableActions, err)
	}
	r := schemas.ActionRow{
		ID: q.ID, Instance: q.Instance, Action: q.Action, TargetKind: q.TargetKind, TargetID: q.TargetID, Params: q.Params, Reason: q.Reason,
		ChangeRef: q.ChangeRef, RequestedBy: q.RequestedBy, DryRun: schemas.Some(q.DryRun),
	}
	for name, t := range map[string]struct {
		text *string
		at   *schemas.Time
	}{"not_before": {&q.NotBefore, &r.NotBefore}, "not_after": {&q.NotAfter, &r.NotAfter}} {
		if *t.text == "" {
			continue
		}
		at, err := parseTime(*t.text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		*t.at, *t.text = at, instant(at).Format(clickHouseTime)
	}
	if !validID(q.ID) {
		return nil, errors.New("id: the signature is over it, so it is needed: letters, digits, - and _")
	}
	if key == nil {
		return RequestText(r), nil
	}
	q.Signature = Sign(key, RequestText(r))
	return json.Marshal(q)
}
