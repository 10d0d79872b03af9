package govern_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/agent/govern"
	"weir/configs"
	"weir/schemas"
)

// signers are the keys of principals, and an instance, strict, that asks for
// signatures.
type signers struct {
	b                 *bench
	alice, bob, other ed25519.PrivateKey
}

func testKey(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

func publicKey(key ed25519.PrivateKey) string {
	return "ed25519:" + base64.StdEncoding.EncodeToString(key.Public().(ed25519.PublicKey))
}

func signing(b *bench) *signers {
	s := &signers{b: b, alice: testKey(1), bob: testKey(2), other: testKey(3)}
	b.config.Governance.Principals[0].Keys = []string{publicKey(testKey(4)), publicKey(s.alice)}
	b.config.Governance.Principals[1].Keys = []string{publicKey(s.bob)}
	strict := b.config.Instances[0]
	strict.Name, strict.Governance.RequireSignature = "strict", true
	b.config.Instances = append(b.config.Instances, strict)
	return s
}

func signRow(r *schemas.ActionRow, key ed25519.PrivateKey) {
	r.Signature = govern.Sign(key, govern.RequestText(*r))
}

// hostile are requests whose signature is none, or is another's.
func (s *signers) hostile() map[string]func(*schemas.ActionRow) {
	strict := func(r *schemas.ActionRow) { r.Instance = "strict"; signRow(r, s.alice) }
	altered := func(change func(*schemas.ActionRow)) func(*schemas.ActionRow) {
		return func(r *schemas.ActionRow) {
			r.Params, r.Reason, r.ChangeRef = "{}", "left", "CHG-1"
			strict(r)
			change(r)
		}
	}
	made := func(sig func(*schemas.ActionRow) string) func(*schemas.ActionRow) {
		return func(r *schemas.ActionRow) { strict(r); r.Signature = sig(r) }
	}
	decisions := func(r *schemas.ActionRow) []byte {
		return govern.DecisionText(schemas.ApprovalRow{ActionID: r.ID, RequestHash: govern.RequestHash(*r, "warehouse"), Decision: "approve"})
	}
	out := map[string]func(*schemas.ActionRow){
		"none where asked for":       func(r *schemas.ActionRow) { r.Instance = "strict" },
		"of another key":             made(func(r *schemas.ActionRow) string { return govern.Sign(s.other, govern.RequestText(*r)) }),
		"of another principal":       made(func(r *schemas.ActionRow) string { return govern.Sign(s.bob, govern.RequestText(*r)) }),
		"wrong where none is needed": func(r *schemas.ActionRow) { signRow(r, s.other) },
		"of a decision":              made(func(r *schemas.ActionRow) string { return govern.Sign(s.alice, decisions(r)) }),
		"of the hash": made(func(r *schemas.ActionRow) string {
			return govern.Sign(s.alice, []byte(govern.RequestHash(*r, "warehouse")))
		}),
		"of nothing":                  made(func(*schemas.ActionRow) string { return govern.Sign(s.alice, nil) }),
		"zero":                        made(func(*schemas.ActionRow) string { return base64.StdEncoding.EncodeToString(make([]byte, 64)) }),
		"no base64":                   made(func(*schemas.ActionRow) string { return strings.Repeat("!", 88) }),
		"other base64":                made(func(r *schemas.ActionRow) string { return strings.Repeat("_", 86) + "==" }),
		"base64 with rest":            made(func(r *schemas.ActionRow) string { return r.Signature[:85] + "/==" }),
		"base64 over lines":           made(func(r *schemas.ActionRow) string { return r.Signature[:40] + "\n" + r.Signature[40:] }),
		"base64 over lines, as long":  made(func(r *schemas.ActionRow) string { return r.Signature[:40] + "\r\n" + r.Signature[42:] }),
		"with space":                  made(func(r *schemas.ActionRow) string { return r.Signature + " " }),
		"look-alike":                  made(func(r *schemas.ActionRow) string { return "\uff21" + r.Signature[3:] }),
		"twice":                       made(func(r *schemas.ActionRow) string { return r.Signature + r.Signature }),
		"with the key's name":         made(func(r *schemas.ActionRow) string { return "ed25519:" + r.Signature }),
		"cut":                         made(func(r *schemas.ActionRow) string { return r.Signature[:87] }),
		"long":                        made(func(r *schemas.ActionRow) string { return strings.Repeat("A", 10<<20) }),
		"S beyond the order":          made(func(r *schemas.ActionRow) string { return beyondOrder(r.Signature) }),
		"under another id":            func(r *schemas.ActionRow) { id := r.ID; r.ID = "other"; strict(r); r.ID = id },
		"for another instance":        func(r *schemas.ActionRow) { r.Instance = "acme"; signRow(r, s.alice); r.Instance = "strict" },
		"another target":              altered(func(r *schemas.ActionRow) { r.TargetID = "u2" }),
		"another kind":                altered(func(r *schemas.ActionRow) { r.TargetKind = "account"; r.Reason = "account" }),
		"other params":                altered(func(r *schemas.ActionRow) { r.Params = "{ }" }),
		"another reason":              altered(func(r *schemas.ActionRow) { r.Reason = "left " }),
		"another change":              altered(func(r *schemas.ActionRow) { r.ChangeRef = "CHG-2" }),
		"another name":                altered(func(r *schemas.ActionRow) { r.RequestedBy = "the boss" }),
		"a later end":                 altered(func(r *schemas.ActionRow) { r.NotAfter = r.ReceivedAt + 1000 }),
		"an earlier beginning":        altered(func(r *schemas.ActionRow) { r.NotBefore = r.ReceivedAt + 1 }),
		"a dry run":                   altered(func(r *schemas.ActionRow) { r.DryRun = schemas.Some(true) }),
		"a field into the next":       altered(func(r *schemas.ActionRow) { r.Reason, r.ChangeRef = "left\nchange_ref 5:CHG-1", "" }),
		"inserted by another":         func(r *schemas.ActionRow) { strict(r); r.DBUser = "dave" },
		"with no keys to verify with": func(r *schemas.ActionRow) { strict(r); r.DBUser = "nokeys" },
	}
	s.b.config.Governance.Principals = append(s.b.config.Governance.Principals,
		configs.Principal{Name: "nokeys", DBUser: "nokeys", May: []string{"request"}},
		configs.Principal{Name: "dave", DBUser: "dave", May: []string{"request"}, Keys: []string{publicKey(testKey(5))}})
	named := map[string]func(*schemas.ActionRow){}
	for name, change := range out {
		named["signature: "+name] = change
	}
	return named
}

// beyondOrder adds the group's order to a signature's second half: another
// signature of the same text, were it taken.
func beyondOrder(signature string) string {
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return ""
	}
	order := []byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 31: 0x10}
	carry := 0
	for i := range order {
		n := int(raw[32+i]) + int(order[i]) + carry
		raw[32+i], carry = byte(n), n>>8
	}
	return base64.StdEncoding.EncodeToString(raw)
}

// A signed request and a signed decision are carried out; a decision whose
// signature is another's is not heard.
func TestSignedAction(t *testing.T) {
	t.Parallel()
	b, c := polled(t)
	s := signing(b)
	b.config.Governance.RequireSignature = true
	r := b.row("a1", "alice", 0)
	signRow(&r, s.alice)
	c.requests = append(c.requests, r)
	require.NoError(t, b.runner.Poll(t.Context()))
	b.tick()
	a := b.get("a1")
	require.Equal(t, govern.Awaiting, a.State, a.Note)
	require.Len(t, a.SignedBy, 16)

	// The same once more is the same; under another signature it is a conflict.
	again := r
	again.Signature, again.RowHash = govern.Sign(testKey(4), govern.RequestText(r)), "again"
	c.requests = append(c.requests, again)
	require.NoError(t, b.runner.Poll(t.Context()))
	require.Equal(t, 1, strings.Count(strings.Join(b.audited("a1"), " "), "conflict"))
	require.Equal(t, r.Signature, b.get("a1").Row.Signature)

	good := schemas.ApprovalRow{ActionID: "a1", RequestHash: a.RequestHash, PlanHash: a.PlanHash, Decision: "approve", Reason: "as agreed", DBUser: "bob"}
	for i, change := range []func(*schemas.ApprovalRow){
		func(d *schemas.ApprovalRow) { d.Signature = "" },
		func(d *schemas.ApprovalRow) { d.Signature = govern.Sign(s.other, govern.DecisionText(*d)) },
		func(d *schemas.ApprovalRow) { d.Signature = govern.Sign(s.alice, govern.DecisionText(*d)) },
		func(d *schemas.ApprovalRow) { d.Signature = r.Signature },
		func(d *schemas.ApprovalRow) { d.Signature = strings.Repeat("A", 1<<20) },
		func(d *schemas.ApprovalRow) { d.Reason = "another" },
		func(d *schemas.ApprovalRow) { d.Decision = "reject" },
		func(d *schemas.ApprovalRow) { d.Decision = "cancel" },
		func(d *schemas.ApprovalRow) { // of another action
			o := *d
			o.ActionID = "a2"
			d.Signature = govern.Sign(s.bob, govern.DecisionText(o))
		},
		func(d *schemas.ApprovalRow) { // of an older plan
			o := *d
			o.PlanHash = "old"
			d.Signature = govern.Sign(s.bob, govern.DecisionText(o))
		},
	} {
		d := good
		d.Signature = govern.Sign(s.bob, govern.DecisionText(d))
		change(&d)
		d.ReceivedAt, d.RowHash = schemas.Time(b.clock.Now().UnixMilli()), fmt.Sprint(i)
		c.approvals = append(c.approvals, d)
	}
	require.NoError(t, b.runner.Poll(t.Context()))
	a = b.get("a1")
	require.Equal(t, govern.Awaiting, a.State, a.Note)
	require.Empty(t, a.Approvals)
	require.Equal(t, 10, a.Ignored)

	good.Signature = govern.Sign(s.bob, govern.DecisionText(good))
	good.ReceivedAt, good.RowHash = schemas.Time(b.clock.Now().UnixMilli()), "good"
	c.approvals = append(c.approvals, good)
	require.NoError(t, b.runner.Poll(t.Context()))
	require.Equal(t, govern.Approved, b.get("a1").State)
	require.Equal(t, govern.Verified, b.settle("a1").State)
	b.audited("a1")
}

// What a key signed that has been taken away is not begun: neither the request
// nor the approval.
func TestSignedByKeyTakenAway(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]int{"requester": 0, "approver": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			s := signing(b)
			b.config.Instances[0].Governance.RequireSignature = true
			b.config.Instances[0].Governance.Approvals = 1
			a := b.submit(1, func(r *schemas.ActionRow) { signRow(r, s.alice) })
			require.Equal(t, govern.Received, a.State, a.Note)
			b.tick()
			a = b.get("a1")
			decide := func(key ed25519.PrivateKey) (*govern.Action, error) {
				d := schemas.ApprovalRow{ActionID: "a1", RequestHash: a.RequestHash, PlanHash: a.PlanHash, Decision: "approve"}
				d.Signature = govern.Sign(key, govern.DecisionText(d))
				return b.runner.Decide(t.Context(), d, b.runner.Socket(2))
			}
			_, err := decide(s.bob)
			require.NoError(t, err)
			b.config.Governance.Principals[take].Keys = []string{publicKey(s.other)}
			b.tick()
			require.Empty(t, b.vendor.writes)
			if a = b.get("a1"); take == 0 {
				require.Equal(t, govern.Failed, a.State)
				require.Contains(t, a.Note, "by none of the keys of alice")
				return
			}
			require.Equal(t, govern.Awaiting, a.State)
			_, err = decide(s.bob)
			require.ErrorContains(t, err, "by none of the keys of bob")
			_, err = decide(s.other)
			require.NoError(t, err)
			require.Equal(t, govern.Verified, b.settle("a1").State)
			require.Len(t, b.get("a1").Approvals, 1)
		})
	}
}

// The parts of a signed bundle are Weir's own, and need no signature.
func TestSignedBundle(t *testing.T) {
	t.Parallel()
	b := people(t)
	s := signing(b)
	b.config.Instances = b.config.Instances[:2]
	b.config.Instances[1].Governance.RequireSignature = true // asked for by one is asked for all
	a := b.submit(1, contain)
	require.Equal(t, govern.Rejected, a.State)
	require.Contains(t, a.Note, "it is not signed")
	a = b.submit(1, contain, func(r *schemas.ActionRow) { r.ID = "c2"; signRow(r, s.alice) })
	require.Equal(t, govern.Received, a.State, a.Note)
	b.run(2 * time.Second)
	require.ErrorContains(t, b.approve(2, "c2"), "it is not signed")
	a = b.get("c2")
	d := schemas.ApprovalRow{ActionID: "c2", RequestHash: a.RequestHash, PlanHash: a.PlanHash, Decision: "approve"}
	d.Signature = govern.Sign(s.bob, govern.DecisionText(d))
	_, err := b.runner.Decide(t.Context(), d, b.runner.Socket(2))
	require.NoError(t, err)
	b.run(time.Minute)
	require.Equal(t, govern.Verified, b.get("c2").State, b.get("c2").Note)
	for _, id := range b.get("c2").Parts {
		require.Empty(t, b.get(id).Row.Signature)
	}
	b.audited("c2")
}

// What is signed does not change: keys outside Weir sign it, too.
func TestSignedTexts(t *testing.T) {
	t.Parallel()
	row := schemas.ActionRow{ID: "a1", Instance: "acme", Action: "suspend_user", TargetKind: "account", TargetID: "u1", Reason: "ü", NotBefore: 1772625600001}
	require.Equal(t, "weir action request 1\nid 2:a1\ninstance 4:acme\naction 12:suspend_user\ntarget_kind 7:account\ntarget_id 2:u1\nparams 0:\nreason 2:ü\nchange_ref 0:\n"+
		"requested_by 0:\nnot_before 24:2026-03-04T12:00:00.001Z\nnot_after 0:\ndry_run 5:false\n", string(govern.RequestText(row)))
	require.Equal(t, "weir action decision 1\naction_id 2:a1\nrequest_hash 1:r\nplan_hash 1:p\ndecision 7:approve\nreason 0:\n",
		string(govern.DecisionText(schemas.ApprovalRow{ActionID: "a1", RequestHash: "r", PlanHash: "p", Decision: "approve"})))
}
