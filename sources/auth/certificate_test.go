package auth

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

// certificate returns a self-signed certificate of a key, PEM, and its DER.
func certificate(t *testing.T, key crypto.Signer) (text string, der []byte) {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: start, NotAfter: start.Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), der
}

// The assertion is as connectors/microsoft365.md 3.3 has it.
func TestAssertionNamesTheCertificate(t *testing.T) {
	t.Parallel()
	clock := fakeClock()
	text, der := certificate(t, rsaKey())
	sum := sha256.Sum256(der)
	asked := make(chan string, 1)
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked <- r.FormValue("client_assertion")
		reply(w, 200, object{"access_token": "token", "token_type": "Bearer", "expires_in": "3599"})
	})
	for _, certificate := range []string{text, rsaPEM() + text, strings.ReplaceAll(text, "\n", `\n`)} {
		a, err := NewPrivateKeyJWT(PrivateKeyJWT{
			HTTP: newBase(t, clock), Clock: clock, TokenURL: s.URL + "/token", ClientID: "weir",
			Key: constant(rsaPEM()), Certificate: constant(certificate), Alg: "PS256", Scopes: []string{"https://api.example/.default"},
		})
		require.NoError(t, err)
		tok, err := a.Token(t.Context())
		require.NoError(t, err)
		require.Equal(t, start.Add(3599*time.Second), tok.Expires, "numbers may be text")

		claims := jwt.MapClaims{}
		got, err := jwt.ParseWithClaims(<-asked, claims, func(*jwt.Token) (any, error) { return &rsaKey().PublicKey, nil },
			jwt.WithValidMethods([]string{"PS256"}), jwt.WithAudience(s.URL+"/token"), jwt.WithIssuer("weir"), jwt.WithSubject("weir"), jwt.WithTimeFunc(clock.Now))
		require.NoError(t, err)
		require.Equal(t, map[string]any{"alg": "PS256", "typ": "JWT", "x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}, got.Header)
		require.InDelta(t, start.Unix(), claims["nbf"], 0)
		until, err := claims.GetExpirationTime()
		require.NoError(t, err)
		require.LessOrEqual(t, until.Sub(start), 10*time.Minute)
	}
}

func TestBadCertificates(t *testing.T) {
	t.Parallel()
	other, _ := certificate(t, ecKey(elliptic.P256()))
	f := func(text, want string) {
		t.Helper()
		_, err := NewPrivateKeyJWT(PrivateKeyJWT{
			HTTP: newBase(t, fakeClock()), Clock: fakeClock(), TokenURL: "https://login.example/token", ClientID: "weir",
			Key: constant(rsaPEM()), Certificate: constant(text),
		})
		requireAuth(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
	}
	f("", "PEM")
	f("hunter2", "PEM")
	f(rsaPEM(), "PEM")
	f(pemOf("CERTIFICATE", []byte("hunter2")), "CERTIFICATE holds none")
	f(other, "key")
}

func TestRefusalOf(t *testing.T) {
	t.Parallel()
	clock := fakeClock()
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		reply(w, 401, object{"error": "invalid_client", "error_description": "AADSTS7000215: not " + r.FormValue("client_secret")})
	})
	a, err := NewClientSecret(ClientSecret{HTTP: newBase(t, clock), Clock: clock, TokenURL: s.URL + "/token", ClientID: "weir", Secret: constant("hunter2")})
	require.NoError(t, err)
	_, err = a.Token(t.Context())
	code, description := RefusalOf(err)
	require.Equal(t, [2]string{"invalid_client", "AADSTS7000215: not ***"}, [2]string{code, description})
	code, description = RefusalOf(http.ErrNoCookie)
	require.Empty(t, code+description)
}
