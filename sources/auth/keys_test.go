package auth

import (
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
)

func requireAuth(t *testing.T, err error, text string) {
	t.Helper()
	require.ErrorContains(t, err, text)
	require.Equal(t, fault.Auth, fault.Of(err))
}

func TestKeys(t *testing.T) {
	t.Parallel()
	f := func(text, alg, want, kid string) {
		t.Helper()
		k, err := parseKey(text, alg)
		require.NoError(t, err)
		s, err := k.sign("", jwt.MapClaims{"sub": "weir"})
		require.NoError(t, err)
		parsed, err := jwt.Parse(s, func(tok *jwt.Token) (any, error) { return k.key.Public(), nil }, jwt.WithValidMethods([]string{want}))
		require.NoError(t, err)
		got, _ := parsed.Header["kid"].(string)
		require.Equal(t, kid, got)
	}
	f(rsaPEM(), "", "RS256", "")
	f("# comment\n"+rsaPEM(), "RS384", "RS384", "")
	f(strings.ReplaceAll(rsaPEM(), "\n", `\n`), "RS512", "RS512", "")
	f(pkcs8(t, rsaKey()), "", "RS256", "")
	f(rsaJWK(t, map[string]string{"kid": "k9", "alg": "RS384"}), "", "RS384", "k9")
	f(rsaJWK(t, map[string]string{"alg": "RS384"}), "RS256", "RS256", "")
	for name, c := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()} {
		k := ecKey(c)
		want := map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[name]
		der, err := x509.MarshalECPrivateKey(k)
		require.NoError(t, err)
		f(pemOf("EC PRIVATE KEY", der), "", want, "")
		f(pkcs8(t, k), want, want, "")
		f(ecJWK(t, k, name), "", want, "k1")
	}
}

func TestBadKeys(t *testing.T) {
	t.Parallel()
	f := func(text, alg, want string) {
		t.Helper()
		_, err := loadKey(constant(text), alg)
		requireAuth(t, err, want)
		require.NotContains(t, err.Error(), "hunter2")
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	ec, other := ecKey(elliptic.P256()), ecKey(elliptic.P256())
	f("", "", wantKey)
	f("hunter2", "", wantKey)
	f(pemOf("RSA PRIVATE KEY", []byte("hunter2")), "", "no PKCS #1 key")
	f(pemOf("EC PRIVATE KEY", []byte("hunter2")), "", "no SEC 1 key")
	f(pemOf("PRIVATE KEY", []byte("hunter2")), "", "no PKCS #8 key")
	f(pemOf("ENCRYPTED PRIVATE KEY", []byte("hunter2")), "", "passphrase")
	f(pemOf("CERTIFICATE", []byte("hunter2")), "", wantKey)
	f(pkcs8(t, small), "", "1024 bits")
	f(pkcs8(t, ed), "", "another kind")
	f(pkcs8(t, ecKey(elliptic.P224())), "", "another kind")
	f(rsaPEM(), "ES256", "RS256, RS384, RS512, PS256")
	f(rsaPEM(), "HS256", "RS256, RS384, RS512, PS256")
	f(pkcs8(t, ec), "ES384", "ES256")
	f(`{"kty":"RSA","d":"hunter2"`, "", "is none")
	f(`{"kty":"RSA","n":"AQAB","e":"AQAB"}`, "", "d is missing")
	f(`{"kty":"oct","d":"hunter2"}`, "", "kty RSA or EC")
	f(rsaJWK(t, map[string]string{"p": "Aw"}), "", "do not fit")
	f(rsaJWK(t, map[string]string{"q": ""}), "", "not whole")
	f(`{"kty":"EC","crv":"P-000","d":"hunter2"}`, "", "another curve")
	mixed, theirs := map[string]string{}, map[string]string{}
	require.NoError(t, json.Unmarshal([]byte(ecJWK(t, ec, "P-256")), &mixed))
	require.NoError(t, json.Unmarshal([]byte(ecJWK(t, other, "P-256")), &theirs))
	mixed["x"] = theirs["x"]
	text, err := json.Marshal(mixed)
	require.NoError(t, err)
	f(string(text), "", "not those of its d")
	f(`{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ","d":"AQ"}`, "", "not those of its d")
	f(`{"kty":"EC","crv":"P-256","x":"AQ","y":"AQ","d":"AA"}`, "", "no EC key")
}

func FuzzKey(f *testing.F) {
	f.Add(rsaPEM())
	f.Add(rsaJWK(f, nil))
	f.Add(ecJWK(f, ecKey(elliptic.P256()), "P-256"))
	f.Add(pkcs8(f, ecKey(elliptic.P521())))
	f.Fuzz(func(t *testing.T, text string) {
		k, err := parseKey(text, "")
		if (k == nil || k.key == nil || k.method == nil) && err == nil {
			t.Fatal("no key and no error")
		}
	})
}
