package govern

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"weir/configs"
	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// RequestText is what the signature of a request is over: all that its author
// says, and nothing that is known only once the row is there. It begins with
// what it is, so that it is no decision, and each text follows its length in
// bytes, so that none can run into the next.
func RequestText(row schemas.ActionRow) []byte {
	return signedText("weir action request 1", [][2]string{
		{"id", row.ID},
		{"instance", row.Instance},
		{"action", row.Action},
		{"target_kind", row.TargetKind},
		{"target_id", row.TargetID},
		{"params", row.Params},
		{"reason", row.Reason},
		{"change_ref", row.ChangeRef},
		{"requested_by", row.RequestedBy},
		{"not_before", signedTime(row.NotBefore)},
		{"not_after", signedTime(row.NotAfter)},
		{"dry_run", strconv.FormatBool(row.DryRun.Known && row.DryRun.Value)},
	})
}

// DecisionText is what the signature of a decision is over. Its hashes cover the
// request, with who made it, and the plan.
func DecisionText(d schemas.ApprovalRow) []byte {
	return signedText("weir action decision 1", [][2]string{
		{"action_id", d.ActionID},
		{"request_hash", d.RequestHash},
		{"plan_hash", d.PlanHash},
		{"decision", d.Decision},
		{"reason", d.Reason},
	})
}

func signedText(what string, fields [][2]string) []byte {
	var b strings.Builder
	b.WriteString(what + "\n")
	for _, f := range fields {
		fmt.Fprintf(&b, "%s %d:%s\n", f[0], len(f[1]), f[1])
	}
	return []byte(b.String())
}

func signedTime(t schemas.Time) string {
	if t == 0 {
		return ""
	}
	return instant(t).Format("2006-01-02T15:04:05.000Z")
}

// Sign signs a text, as the column signature has it.
func Sign(key ed25519.PrivateKey, text []byte) string {
	return base64.StdEncoding.EncodeToString(ed25519.Sign(key, text))
}

var signatureLength = base64.StdEncoding.EncodedLen(ed25519.SignatureSize)

// keyName tells keys apart, in the log.
func keyName(key ed25519.PublicKey) string {
	h := sha256.Sum256(key)
	return hex.EncodeToString(h[:8])
}

// verifySignature returns which of a principal's keys has signed a text; "" when
// there is no signature, and none is asked for. One that is there must be right.
// (A signature holds its key within, so that it is of no other.)
func verifySignature(p *configs.Principal, text []byte, signature string, demanded bool) (key string, err error) {
	keys := p.PublicKeys()
	switch {
	case signature == "" && demanded:
		return "", fault.New(fault.BadData, "it is not signed: a signature with a key of %s is asked for (require_signature)", p.Name)
	case signature == "":
		return "", nil
	case len(signature) != signatureLength:
		return "", fault.New(fault.BadData, "signature: %d bytes, want the %d of base64", len(signature), signatureLength)
	case len(keys) == 0:
		return "", fault.New(fault.BadData, "signature: the configuration has no keys of %s to verify it with", p.Name)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(signature)
	if err != nil || len(raw) != ed25519.SignatureSize { // line breaks are passed over
		return "", fault.New(fault.BadData, "signature: no base64 of %d bytes", ed25519.SignatureSize)
	}
	i := slices.IndexFunc(keys, func(k ed25519.PublicKey) bool { return ed25519.Verify(k, text, raw) })
	if i < 0 {
		return "", fault.New(fault.BadData, "signature: by none of the keys of %s, or of another request or decision than this one", p.Name)
	}
	return keyName(keys[i]), nil
}

// demanded reports whether requests for an action, and decisions on it, must be
// signed.
func (r *Runner) demanded(a *Action) bool {
	if r.config.RequireSignature {
		return true
	}
	if ofPerson(sources.Action(a.Row.Action)) {
		return r.strictest().RequireSignature
	}
	inst := r.instance(a.Row.Instance)
	return inst != nil && inst.Governance.RequireSignature
}

// signature verifies that of a request, by the keys that are configured now: what
// a key that was taken away has signed is not gone on with. What Weir itself
// made of a signed request has none.
func (r *Runner) signature(a *Action) (key string, err error) {
	if a.Bundle != "" || a.Reapplies != "" {
		return "", nil
	}
	p := r.principal(a.Principal)
	if p == nil {
		return "", fault.New(fault.BadData, "%s is no principal of the configuration", quoted(a.Principal))
	}
	return verifySignature(p, RequestText(a.Row), a.Row.Signature, r.demanded(a))
}

// signedBy words whose signature was found, for the log.
func signedBy(key string) string {
	if key == "" {
		return ""
	}
	return "signed with the key " + key
}
