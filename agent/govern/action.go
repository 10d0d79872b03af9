package govern

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/pipeline"
	"weir/schemas"
	"weir/sources"
)

// State is where in its life an action is.
type State string

// States. Those from Succeeded on are final, but for what watching, settling and
// undoing make of them.
const (
	Received      State = "received"
	Planned       State = "planned" // of a dry run: final
	Awaiting      State = "awaiting_approval"
	Approved      State = "approved" // or no approval was needed: waits for its time, a cap, another action
	Executing     State = "executing"
	PendingVendor State = "pending_vendor" // accepted, under way at the vendor
	Succeeded     State = "succeeded"      // every step accepted; the effect is being, or cannot be, read back
	Verified      State = "verified"       // the vendor shows the effect
	Partial       State = "partial"        // some steps took effect, others did not
	Unsure        State = "unknown"        // whether a step took effect cannot be told
	Failed        State = "failed"         // nothing took effect
	Undone        State = "undone"
	Rejected      State = "rejected"
	Expired       State = "expired"
	Cancelled     State = "cancelled"
	Reverted      State = "reverted" // somebody else took the effect back, within the watch time
)

// UndoAction is the word that asks to take an action back: its target is the
// action's id.
const (
	UndoAction = "undo"
	undoKind   = "action"
)

// Action is all that is known of one request.
type Action struct {
	Row         schemas.ActionRow // as first seen, and frozen
	Via         string            // "socket", or the control sink's name
	Principal   string
	RequestHash string
	SignedBy    string `json:",omitempty"` // the key that the request was signed with
	State       State
	Note        string // why it is there
	Done        bool   // final
	Due         time.Time
	Request     sources.ActionRequest // what is carried out; of an undo the undone action's
	Privileged  bool                  // needs an approval whatever is configured
	Plan        *sources.Plan
	PlanHash    string
	PlannedAt   time.Time
	Approvals   []Approval
	Decisions   int        // that counted: whoever holds an older copy must not write it
	Heard       []string   // hashes of decisions from the control table: read again, they are passed over
	Ignored     int        // decisions that did not count
	Steps       []Progress // as of Plan.Steps, from the start of the execution on
	Started     time.Time  // of the first write
	Finished    time.Time  // of the last one
	Fails       int        // in a row, of what can be repeated
	Conflicts   []string   // hashes of other requests under this id
	Undoes      string     // the action that this one takes back
	UndoneBy    string
	Watch       time.Time // when it is looked at again though it is final; zero: never
	Doubts      int       // looks in a row that did not show the effect
	Reapply     bool      // asked for: what is reverted is planned anew
	Reapplies   string    // the action whose reverted effect this one is to give back
	Round       int       // how often, with this one, that is

	Parts      []string       // of a bundle that has begun: the actions it is made of
	Bundle     string         // of a part: the bundle
	BundleWord sources.Action // and its action
	Part       int            // and its place there
}

// Approval is a decision that counts.
type Approval struct {
	Principal, PlanHash string
	At                  time.Time
	Reason, Signature   string `json:",omitempty"` // what is signed, beside the hashes
}

// Phase is how far a step is.
type Phase string

// Phases of a step.
const (
	Waiting Phase = ""
	Begun   Phase = "begun"   // about to be, or being, sent: after a crash the outcome is not known
	Unclear Phase = "unclear" // sent; the outcome is not known
	Held    Phase = "held"    // the vendor asked to come back: not taken
	Sent    Phase = "sent"    // accepted, under way
	Made    Phase = "made"    // in effect, as far as the vendor said
	Denied  Phase = "denied"  // the vendor refused it; it is asked whether it is done all the same
	Refused Phase = "refused" // not done, and not tried again
)

// Progress is how far one step is.
type Progress struct {
	Phase   Phase
	Tries   int
	At      time.Time // of the last attempt
	Receipt sources.Receipt
	Error   string
}

// sum hashes texts, each preceded by its length, so that none can run into the
// next.
func sum(parts ...string) string {
	h := sha256.New()
	var n [8]byte
	for _, p := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(p)))
		h.Write(n[:])
		h.Write([]byte(p))
	}
	return hex.EncodeToString(h.Sum(nil))
}

// RequestHash is what a request is approved by: SHA-256 over all its fields and
// who made it.
func RequestHash(row schemas.ActionRow, via string) string {
	dry := "null"
	if row.DryRun.Known {
		dry = strconv.FormatBool(row.DryRun.Value)
	}
	parts := []string{
		"weir action request 1", row.ID, row.Instance, row.Action, row.TargetKind, row.TargetID, row.Params, row.Reason, row.ChangeRef,
		row.RequestedBy, strconv.FormatInt(int64(row.NotBefore), 10), strconv.FormatInt(int64(row.NotAfter), 10), dry, row.DBUser, via,
	}
	if row.Signature != "" {
		parts = append(parts, row.Signature)
	}
	return sum(parts...)
}

// PlanHash is what a plan is approved by: what is done to what, in which state.
func PlanHash(p *sources.Plan) string {
	parts := []string{"weir action plan 1", string(p.Target.Kind), p.Target.ID, string(p.Before), p.NoUndo, strconv.Itoa(len(p.Also))}
	for _, s := range p.Also {
		parts = append(parts, string(s.Kind), s.ID)
	}
	parts = append(parts, strconv.Itoa(len(p.Steps)))
	for _, s := range p.Steps {
		parts = append(parts, s.Name, s.Doc, string(s.Args))
	}
	for _, c := range p.Diff {
		parts = append(parts, c.What, c.Before, c.After)
	}
	return sum(parts...)
}

// moved reports whether a plan is another than the one that was approved. Of a
// part of a bundle, what the parts before it do may have changed the state
// before, and made steps needless: what is left must have been approved.
func moved(a *Action, p *sources.Plan) bool {
	if a.Bundle == "" {
		return PlanHash(p) != a.PlanHash
	}
	approved := a.Plan
	return p.NoUndo != approved.NoUndo && p.NoUndo != "" ||
		slices.ContainsFunc(p.Steps, func(s sources.Step) bool {
			return !slices.ContainsFunc(approved.Steps, func(o sources.Step) bool { return o.Name == s.Name && bytes.Equal(o.Args, s.Args) })
		}) ||
		slices.ContainsFunc(p.Also, func(s sources.Subject) bool {
			return !slices.ContainsFunc(approved.Also, func(o sources.Subject) bool { return o.Kind == s.Kind && o.ID == s.ID })
		})
}

// record is how the state keeps an action.
func (a *Action) record() (pipeline.ActionRecord, error) {
	data, err := json.Marshal(a)
	if err != nil {
		return pipeline.ActionRecord{}, fmt.Errorf("action %s: %w", a.Row.ID, err)
	}
	kind, target := string(a.Request.Kind), a.Request.Target
	if target == "" { // rejected before it was understood
		kind, target = a.Row.TargetKind, a.Row.TargetID
	}
	return pipeline.ActionRecord{
		ID: a.Row.ID, Instance: a.Row.Instance, Action: a.Row.Action, Kind: kind, Target: target, Principal: a.Principal, State: string(a.State),
		Open: !a.Done, Due: a.Due, Received: received(a), Started: a.Started, Watch: a.Watch, Data: data,
	}, nil
}

func received(a *Action) time.Time { return time.UnixMilli(int64(a.Row.ReceivedAt)).UTC() }

// Read decodes an action of the state.
func Read(rec pipeline.ActionRecord) (*Action, error) {
	a := &Action{}
	if err := json.Unmarshal(rec.Data, a); err != nil {
		return nil, fmt.Errorf("action %s is damaged in the state: %w", rec.ID, err)
	}
	return a, nil
}

// wrote reports whether any step may have taken effect.
func (a *Action) wrote() bool {
	return slices.ContainsFunc(a.Steps, func(p Progress) bool {
		return p.Phase == Made || p.Phase == Sent || p.Phase == Unclear || p.Phase == Begun
	})
}

// effect is what there is to undo.
func (a *Action) effect() sources.Effect {
	e := sources.Effect{Request: a.Request, Before: a.Plan.Before}
	for i, p := range a.Steps {
		if p.Phase == Made {
			e.Steps = append(e.Steps, sources.StepDone{Step: a.Plan.Steps[i], Receipt: p.Receipt})
		}
	}
	return e
}

// diffLines words a plan for people.
func diffLines(p *sources.Plan) (out []string) {
	for _, c := range p.Diff {
		out = append(out, fmt.Sprintf("%s: %s -> %s", c.What, orNone(c.Before), orNone(c.After)))
	}
	return out
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// limits words what a plan does not do.
func limits(info *sources.ActionInfo, p *sources.Plan) (out []string) {
	why := info.NoUndo
	if p.NoUndo != "" {
		why = p.NoUndo
	}
	if why != "" {
		out = append(out, "cannot be undone: "+why)
	}
	return append(append(out, info.Limits...), p.Limits...)
}

// params reads the column params: a JSON object of texts.
func params(text string) (map[string]string, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	if len(text) > maxParams {
		return nil, fmt.Errorf("params: %d bytes or more, at most %d are taken", len(text), maxParams)
	}
	return strictObject(text)
}
