package microsoft365_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	sandbox365 "weir/internal/sandbox/microsoft365"
	"weir/internal/sourcetest"
)

// An app that proves itself with a certificate collects what one with a secret
// does, with each of its tokens.
func TestCertificate(t *testing.T) {
	sourcetest.NotUnderRace(t)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "weir"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	dir := t.TempDir()
	write := func(name, kind string, b []byte) string {
		name = filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: b}), 0o600))
		return name
	}
	certificate, keyFile := write("app.crt", "CERTIFICATE", der), write("app.pem", "PRIVATE KEY", private)

	const app = "0c9d7a34-6b1f-4e52-8f0a-7d3b5c2e9a16"
	f := fixture()
	f.Secrets = strings.Split(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), "\n")[1:5]
	f.Settings = func(t testing.TB, tenant *sandbox.Tenant) string {
		h, ok := tenant.Handler().(*sandbox365.Handler)
		require.True(t, ok)
		h.AddClient(sandbox365.Client{ID: app, Certificates: []sandbox365.Certificate{{DER: der, Public: key.Public()}}})
		settings, _, _ := strings.Cut(h.Config(tenant.Base), "auth:")
		return settings + fmt.Sprintf("auth: {client_id: %q, certificate: \"${file:%s}\", private_key: \"${file:%s}\"}\nfiles: {domains: [acme.example]}\n", app, certificate, keyFile)
	}
	sourcetest.Run(t, f, "a new sink gets the whole present state", "secrets stay secret")
}
