package configs

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeys(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(nil)
	require.NoError(t, err)
	der, err := x509.MarshalPKIXPublicKey(public)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "alice.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600))
	text := "ed25519:" + base64.StdEncoding.EncodeToString(public)
	cfg, err := parse("weir.yaml", []byte(`
sinks: {lake: {type: files, path: /srv/lake}}
governance: {require_signature: true, principals: {alice: {uid: "1", may: [request], keys: ["`+text+`", "${file:`+file+`}"]}}}
instances: {acme: {app: fake, trail: {url: "s3://acme/logs"}}}
`), nil, fakeApps, fakeDrivers)
	require.NoError(t, err)
	require.Equal(t, []ed25519.PublicKey{public, public}, cfg.Governance.Principals[0].PublicKeys())

	secret, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	bad := []string{
		"", "ed25519:", text[8:], text + "\n", text[:20] + "\n" + text[20:], "ED25519:" + text[8:], text + text, "ed25519:" + hex.EncodeToString(public),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})) + "more",
	}
	// Points of small order, in every encoding there is: for these a signature is
	// made without a key.
	for _, point := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000", "0000000000000000000000000000000000000000000000000000000000000080",
		"0100000000000000000000000000000000000000000000000000000000000000", "0100000000000000000000000000000000000000000000000000000000000080",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	} {
		raw, err := hex.DecodeString(point)
		require.NoError(t, err)
		bad = append(bad, "ed25519:"+base64.StdEncoding.EncodeToString(raw))
	}
	for _, b := range bad {
		_, err := ParseKey(b)
		require.Error(t, err, b)
	}
}
