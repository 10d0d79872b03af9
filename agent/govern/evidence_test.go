package govern_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/agent/govern"
)

// Evidence of an action, and of a bundle, can be verified by who has nothing but
// a public key; whatever is changed in it is found, also by who can sign.
func TestEvidence(t *testing.T) {
	t.Parallel()
	b := people(t)
	b.submit(1, contain)
	b.run(2 * time.Second)
	require.NoError(t, b.approve(2, "c1"))
	b.run(time.Minute)
	b.config.Instances[0].Governance.Approvals = 1
	b.submit(1) // rejected: a duplicate of a part
	require.Equal(t, govern.Rejected, b.get("a1").State)

	_, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	public := key.Public().(ed25519.PublicKey)
	for _, id := range []string{"a1", b.get("c1").Parts[0]} {
		file, err := govern.Export(t.Context(), b.state, id, key, b.clock.Now())
		require.NoError(t, err)
		_, err = govern.Verify(file, public)
		require.NoError(t, err)
	}
	file, err := govern.Export(t.Context(), b.state, "c1", key, b.clock.Now())
	require.NoError(t, err)
	ev, err := govern.Verify(file, public)
	require.NoError(t, err)
	require.Len(t, ev.Actions, 1+len(b.get("c1").Parts))
	require.Contains(t, string(file), "signout")
	require.Contains(t, string(file), `"before":{"status":"active"}`)
	var indented bytes.Buffer
	require.NoError(t, json.Indent(&indented, file, "", "  "))
	_, err = govern.Verify(indented.Bytes(), public)
	require.NoError(t, err)

	other, _, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	_, err = govern.Verify(file, other)
	require.ErrorContains(t, err, "not by this key")
	_, err = govern.Export(t.Context(), b.state, "nope", key, b.clock.Now())
	require.ErrorContains(t, err, "no action")
	for name, change := range map[string][2]string{
		"who approved":   {`"Principal":"bob"`, `"Principal":"eve"`},
		"what was asked": {"ann@acme.example", "bea@acme.example"},
		"how it ended":   {`"State":"verified"`, `"State":"failed"`},
		"state before":   {`"before":{"status":"active"}`, `"before":{"status":"locked"}`},
		"when":           {`"Event":"approval"`, `"Event":"received"`},
	} {
		forged := strings.Replace(string(file), change[0], change[1], 1)
		require.NotEqual(t, string(file), forged, name)
		_, err = govern.Verify([]byte(forged), public)
		require.ErrorContains(t, err, "not as it was signed", name)
		// Signed again, it does not agree with itself.
		var s struct {
			Evidence  json.RawMessage `json:"evidence"`
			Signature []byte          `json:"ed25519"`
		}
		require.NoError(t, json.Unmarshal([]byte(forged), &s))
		s.Signature = ed25519.Sign(key, s.Evidence)
		forgedAgain, err := json.Marshal(s)
		require.NoError(t, err)
		_, err = govern.Verify(forgedAgain, public)
		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "signature", name)
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	public, key, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	got, err := govern.SigningKey(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	require.NoError(t, err)
	require.True(t, key.Equal(got))
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	verifying, err := govern.VerifyingKey(text)
	require.NoError(t, err)
	require.True(t, public.Equal(verifying))
	_, err = govern.SigningKey(text)
	require.ErrorContains(t, err, "want an Ed25519 private key")
	_, err = govern.VerifyingKey("-----BEGIN")
	require.ErrorContains(t, err, "want an Ed25519 public key")
}
