package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"weir/sources/httpx"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var start = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func fakeClock() *clockwork.FakeClock { return clockwork.NewFakeClockAt(start) }

func newBase(t *testing.T, clock clockwork.Clock) *httpx.Base {
	t.Helper()
	base, err := httpx.New(httpx.Options{Instance: "acme", Clock: clock, UserAgent: "weir/test"})
	require.NoError(t, err)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	return base
}

// serve runs a handler for the test's time.
func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.Config.SetKeepAlivesEnabled(false)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

func reply(w http.ResponseWriter, status int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b)
}

type object = map[string]any

func refuse(w http.ResponseWriter, status int, code, description string) {
	reply(w, status, object{"error": code, "error_description": description})
}

// ask authorizes a request as httpx does, and returns its headers.
func authorized(t *testing.T, a httpx.Authorizer, url string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	require.NoError(t, a.Authorize(t.Context(), r))
	return r
}

func refusal(header ...string) *httpx.Response {
	h := http.Header{}
	for i := 0; i+1 < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &httpx.Response{Status: http.StatusUnauthorized, Header: h}
}

func constant(s string) func() (string, error) { return func() (string, error) { return s, nil } }

var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

func ecKey(c elliptic.Curve) *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(c, rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func rsaPEM() string { return pemOf("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey())) }

func pkcs8(t testing.TB, k crypto.PrivateKey) string {
	der, err := x509.MarshalPKCS8PrivateKey(k)
	require.NoError(t, err)
	return pemOf("PRIVATE KEY", der)
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func rsaJWK(t testing.TB, extra map[string]string) string {
	k := rsaKey()
	j := map[string]string{
		"kty": "RSA", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes()), "d": b64(k.D.Bytes()),
		"p": b64(k.Primes[0].Bytes()), "q": b64(k.Primes[1].Bytes()),
	}
	maps.Copy(j, extra)
	b, err := json.Marshal(j)
	require.NoError(t, err)
	return string(b)
}

func ecJWK(t testing.TB, k *ecdsa.PrivateKey, crv string) string {
	public, err := k.PublicKey.Bytes()
	require.NoError(t, err)
	d, err := k.Bytes()
	require.NoError(t, err)
	size := (len(public) - 1) / 2
	b, err := json.Marshal(map[string]string{"kty": "EC", "crv": crv, "x": b64(public[1 : 1+size]), "y": b64(public[1+size:]), "d": b64(d), "kid": "k1"})
	require.NoError(t, err)
	return string(b)
}

// memory is a vault in memory that can fail.
type memory struct {
	mu      sync.Mutex
	locked  sync.Mutex
	secrets map[string][]byte
	failing error // of saves
	saves   int
}

func (m *memory) Load(_ context.Context, name string) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.secrets[name]), nil
}

func (m *memory) Save(ctx context.Context, name string, secret []byte) error {
	return m.Update(ctx, name, func([]byte) ([]byte, error) { return secret, nil })
}

func (m *memory) Update(ctx context.Context, name string, change func([]byte) ([]byte, error)) error {
	m.locked.Lock()
	defer m.locked.Unlock()
	have, _ := m.Load(ctx, name)
	next, err := change(have)
	if err != nil || next == nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.failing != nil {
		return m.failing
	}
	if m.secrets == nil {
		m.secrets = map[string][]byte{}
	}
	m.secrets[name] = slices.Clone(next)
	m.saves++
	return nil
}

func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failing = err
}
