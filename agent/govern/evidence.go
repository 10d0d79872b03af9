package govern

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/internal/buildinfo"
	"weir/internal/fault"
	"weir/pipeline"
)

// Evidence is all that there is of an action, and of its parts, for somebody who
// has nothing else.
type Evidence struct {
	Format   int           `json:"format"`
	Weir     string        `json:"weir"` // the version that wrote it
	Exported time.Time     `json:"exported"`
	Chain    string        `json:"chain"`
	Head     anchor        `json:"head"` // of the chain, at that time
	Actions  []ActionProof `json:"actions"`
}

// ActionProof is one action with its entries of the log: request, approvals,
// plan with the state before, receipts and verification.
type ActionProof struct {
	Action  *Action         `json:"action"`
	Before  json.RawMessage `json:"before,omitempty"` // of the plan, readable
	Diff    []string        `json:"diff,omitempty"`
	Entries []entry         `json:"entries"`
}

const (
	evidenceFormat = 1
	maxEntries     = 10_000 // of one action
)

// signed is a file of evidence. The signature is over the evidence without
// insignificant space.
type signed struct {
	Evidence  json.RawMessage `json:"evidence"`
	Signature []byte          `json:"ed25519"`
}

// Export writes the evidence of an action, and of the parts of a bundle, signed.
func Export(ctx context.Context, store Store, id string, key ed25519.PrivateKey, now time.Time) ([]byte, error) {
	ev := Evidence{Format: evidenceFormat, Weir: buildinfo.Version(), Exported: now.UTC(), Chain: store.ID()}
	ids := []string{id}
	for i := 0; i < len(ids); i++ {
		proof, err := prove(ctx, store, ids[i])
		if err != nil {
			return nil, err
		}
		ev.Actions = append(ev.Actions, proof)
		ids = append(ids, proof.Action.Parts...)
	}
	head, err := store.ActionHead(ctx) // last: an agent may be at work
	if err != nil {
		return nil, err
	}
	var e entry
	if err := json.Unmarshal(head.Data, &e); err != nil {
		return nil, fault.New(fault.Permanent, "entry %d is damaged", head.Seq)
	}
	ev.Head = anchor{instant(e.At).Format(time.RFC3339Nano), e.Chain, e.Seq, e.Hash}
	data, err := json.Marshal(ev)
	if err != nil {
		return nil, err
	}
	return json.Marshal(signed{data, ed25519.Sign(key, data)})
}

// prove reads an action and its entries, as of one moment.
func prove(ctx context.Context, store Store, id string) (p ActionProof, err error) {
	for {
		rec, ok, err := store.Action(ctx, id)
		if err != nil || !ok {
			return p, orError(err, fmt.Errorf("there is no action %q", id))
		}
		entries, err := store.ActionEntries(ctx, id, 1, maxEntries)
		if err != nil {
			return p, err
		}
		now, _, err := store.Action(ctx, id)
		if err != nil {
			return p, err
		}
		if bytes.Equal(now.Data, rec.Data) {
			return proof(rec, entries)
		}
	}
}

func proof(rec pipeline.ActionRecord, entries []pipeline.ActionEntry) (p ActionProof, err error) {
	if p.Action, err = Read(rec); err != nil {
		return p, err
	}
	if p.Action.Plan != nil {
		p.Before, p.Diff = p.Action.Plan.Before, diffLines(p.Action.Plan)
	}
	for _, e := range entries {
		var row entry
		if err := json.Unmarshal(e.Data, &row); err != nil {
			return p, fault.New(fault.Permanent, "entry %d is damaged", e.Seq)
		}
		p.Entries = append(p.Entries, row)
	}
	return p, nil
}

// Verify checks evidence: that it is signed by the owner of a key, and that it
// agrees with itself. What it says of the chain can be compared with the
// anchors and with a sink's action_log.
func Verify(file []byte, key ed25519.PublicKey) (*Evidence, error) {
	var s signed
	if err := json.Unmarshal(file, &s); err != nil {
		return nil, fmt.Errorf("it is no evidence: %w", err)
	}
	var plain bytes.Buffer
	if err := json.Compact(&plain, s.Evidence); err != nil {
		return nil, fmt.Errorf("it is no evidence: %w", err)
	}
	if !ed25519.Verify(key, plain.Bytes(), s.Signature) {
		return nil, errors.New("the signature is not by this key, or the evidence is not as it was signed")
	}
	var ev Evidence
	if err := json.Unmarshal(plain.Bytes(), &ev); err != nil {
		return nil, fmt.Errorf("it is no evidence: %w", err)
	}
	if ev.Format != evidenceFormat || len(ev.Actions) == 0 {
		return nil, fmt.Errorf("evidence of format %d: this Weir knows %d", ev.Format, evidenceFormat)
	}
	for _, p := range ev.Actions {
		if err := p.check(&ev); err != nil {
			return nil, err
		}
	}
	return &ev, nil
}

func (p *ActionProof) check(ev *Evidence) error {
	a := p.Action
	if a == nil || a.Plan != nil && !bytes.Equal(bytes.TrimSpace(p.Before), bytes.TrimSpace(a.Plan.Before)) {
		return errors.New("an action's state before is another than its plan's")
	}
	bad := func(what string) error { return fmt.Errorf("action %s: %s", a.Row.ID, what) }
	switch {
	case RequestHash(a.Row, a.Via) != a.RequestHash && a.State != Rejected: // what was refused is kept cut short
		return bad("its request is not the one that was approved")
	case a.Plan != nil && (a.Plan.Target.ID != a.Request.Target || a.Undoes == "" && !strings.EqualFold(a.Request.Target, a.Row.TargetID)):
		return bad("its target is not the one that was asked for")
	case a.Plan != nil && a.Bundle == "" && PlanHash(a.Plan) != a.PlanHash:
		return bad("its plan is not the one that was approved")
	}
	last := int64(0)
	for i := range p.Entries {
		e := &p.Entries[i]
		switch {
		case e.ActionID != a.Row.ID || e.Chain != ev.Chain || e.Seq <= last || e.Seq > ev.Head.Seq || e.RequestHash != a.RequestHash:
			return bad(fmt.Sprintf("entry %d is not of its log", e.Seq))
		case EntryHash(e.Instance, &e.ActionLogRow) != e.Hash:
			return bad(fmt.Sprintf("entry %d is not as it was written", e.Seq))
		case e.Seq == ev.Head.Seq && e.Hash != ev.Head.Hash:
			return bad(fmt.Sprintf("entry %d is not the head of the chain", e.Seq))
		}
		last = e.Seq
	}
	if n := len(p.Entries); n > 0 && p.Entries[n-1].State != string(a.State) {
		return bad("its state is not the one of its last entry")
	}
	for _, o := range a.Approvals {
		if a.Bundle == "" && !slices.ContainsFunc(p.Entries, func(e entry) bool {
			return e.Event == "approval" && e.Principal == o.Principal && e.PlanHash == o.PlanHash
		}) {
			return bad("the approval by " + o.Principal + " is not in its log")
		}
	}
	return nil
}

// SigningKey reads an Ed25519 private key: PEM, PKCS #8.
func SigningKey(text string) (ed25519.PrivateKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block != nil {
		if key, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if k, ok := key.(ed25519.PrivateKey); ok {
				return k, nil
			}
		}
	}
	return nil, errors.New("want an Ed25519 private key in PEM (openssl genpkey -algorithm ed25519)")
}

// VerifyingKey reads an Ed25519 public key: PEM, PKIX.
func VerifyingKey(text string) (ed25519.PublicKey, error) {
	block, _ := pem.Decode([]byte(text))
	if block != nil {
		if key, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			if k, ok := key.(ed25519.PublicKey); ok {
				return k, nil
			}
		}
	}
	return nil, errors.New("want an Ed25519 public key in PEM (openssl pkey -in KEY -pubout)")
}
