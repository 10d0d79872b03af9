package microsoft365_test

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/sandbox"
	sandbox365 "weir/internal/sandbox/microsoft365"
	"weir/internal/sandbox/org"
	"weir/internal/sourcetest"
	"weir/schemas"
	"weir/sources"
)

// ownDomain is that of the tenant acme.
const ownDomain = "acme.example"

// certified are settings with a certificate, which SharePoint's own API asks for,
// with a quarantine, which is a folder that the
// tenant has, and with its own domain.
func certified(t testing.TB, tenant *sandbox.Tenant) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	require.NoError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	h := tenant.Handler().(*sandbox365.Handler)
	h.AddClient(sandbox365.Client{ID: sandbox365.ClientID, Secret: sandbox365.ClientSecret, Certificates: []sandbox365.Certificate{{DER: der, Public: key.Public()}}})
	text := func(kind string, der []byte) string {
		return strings.ReplaceAll(string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})), "\n", "\\n")
	}
	config, _, ok := strings.Cut(h.Config(tenant.Base), "auth:")
	require.True(t, ok)
	config += fmt.Sprintf("auth: {client_id: %q, certificate: \"%s\", private_key: \"%s\"}\n", sandbox365.ClientID, text("CERTIFICATE", der), text("PRIVATE KEY", raw))
	var truth schemas.Rows
	tenant.World.View(func(s *org.State) { h.Truth(s, &truth) })
	drive, folder, _ := strings.Cut(quarantineIn(&truth).FileID, "/")
	return config + fmt.Sprintf("actions: {quarantine: {drive: %q, folder: %q}}\nfiles: {domains: [%s]}\n", drive, folder, ownDomain)
}

// batches: connectors read by them.
func batches(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/$batch") }

// feedLag is how long the Management Activity API may take to show what was done.
const feedLag = 2 * time.Hour

func TestActions(t *testing.T) {
	t.Parallel()
	f := fixture()
	f.Settings, f.LogLag = certified, feedLag
	f.Reads = batches
	sourcetest.RunActions(t, f, actionCases())
}

// TestRestoreFromBin has a file taken out of the recycle bin, whose rows do not
// tell which item a file was: its name does.
func TestRestoreFromBin(t *testing.T) {
	t.Parallel()
	f := fixture()
	f.Settings = certified
	site := f.NewSite(t, sourcetest.SiteOptions{People: 20})
	session := site.Session().(sources.Governor)
	before := site.Truth()
	target := besideQuarantine(before)[0].ID
	request := func(action sources.Action, params map[string]string) sources.ActionRequest {
		return sources.ActionRequest{ID: "a1", Action: action, Kind: sources.TargetFile, Target: target, Params: params}
	}
	do := func(p *sources.Plan, err error) sources.Effect {
		require.NoError(t, err)
		require.Len(t, p.Steps, 1)
		receipt, err := session.Do(t.Context(), p.Steps[0])
		require.NoError(t, err)
		out, err := session.Check(t.Context(), p.Steps[0], receipt)
		require.NoError(t, err)
		require.Equal(t, sources.Done, out)
		return sources.Effect{Before: p.Before, Steps: []sources.StepDone{{Step: p.Steps[0], Receipt: receipt}}}
	}
	do(session.Plan(t.Context(), request(sources.TrashFile, nil)))
	require.Nil(t, fileOf(site.Truth(), target))
	_, err := session.Plan(t.Context(), request(sources.RestoreFile, nil))
	require.Equal(t, fault.BadData, fault.Of(err), "which row it is must be said: %v", err)
	_, err = session.Plan(t.Context(), request(sources.RestoreFile, map[string]string{"name": "no such file"}))
	require.Equal(t, fault.BadData, fault.Of(err), "%v", err)
	r := request(sources.RestoreFile, map[string]string{"name": fileOf(before, target).Name})
	e := do(session.Plan(t.Context(), r))
	require.NotNil(t, fileOf(site.Truth(), target), "it is back")
	e.Request = r
	do(session.Undo(t.Context(), e))
	require.Nil(t, fileOf(site.Truth(), target))
}
