package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"

	"weir/internal/fault"
)

// signingKey is a private key and how it signs.
type signingKey struct {
	key    crypto.Signer
	method jwt.SigningMethod
	id     string // of a JWK
	// thumbprint is that of its certificate; "" it has none.
	thumbprint string
}

const wantKey = "want an RSA or EC private key as PEM or JWK"

// loadKey reads a private key; alg "" is the key's own algorithm.
func loadKey(load func() (string, error), alg string) (*signingKey, error) {
	text, err := load()
	if err != nil {
		return nil, fault.New(fault.Auth, "the private key: %w", err)
	}
	k, err := parseKey(text, alg)
	if err != nil {
		return nil, fault.New(fault.Auth, "the private key: %w", err)
	}
	return k, nil
}

// parseKey reads PEM or a JWK. Its errors hold nothing of the key.
func parseKey(text, alg string) (*signingKey, error) {
	text = strings.TrimSpace(text)
	if !strings.Contains(text, "\n") {
		text = strings.ReplaceAll(text, `\n`, "\n") // as environment variables hold PEM
	}
	k := &signingKey{}
	var err error
	if strings.HasPrefix(text, "{") {
		var own string
		k.key, k.id, own, err = parseJWK(text)
		if alg == "" {
			alg = own
		}
	} else {
		k.key, err = parsePEM(text)
	}
	if err != nil {
		return nil, err
	}
	k.method, err = methodOf(k.key, alg)
	return k, err
}

// sign returns a JWT; kid "" is the JWK's, or none.
func (k *signingKey) sign(kid string, claims jwt.MapClaims) (string, error) {
	t := jwt.NewWithClaims(k.method, claims)
	if kid == "" {
		kid = k.id
	}
	if kid != "" {
		t.Header["kid"] = kid
	}
	if k.thumbprint != "" {
		t.Header["x5t#S256"] = k.thumbprint
	}
	s, err := t.SignedString(k.key)
	if err != nil {
		return "", fault.New(fault.Auth, "signing with the private key: %w", err)
	}
	return s, nil
}

func methodOf(key crypto.Signer, alg string) (jwt.SigningMethod, error) {
	var fit []jwt.SigningMethod
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < 2048 {
			return nil, fmt.Errorf("an RSA key of %d bits: want 2048 or more", k.N.BitLen())
		}
		fit = []jwt.SigningMethod{jwt.SigningMethodRS256, jwt.SigningMethodRS384, jwt.SigningMethodRS512, jwt.SigningMethodPS256}
	case *ecdsa.PrivateKey:
		for _, m := range []*jwt.SigningMethodECDSA{jwt.SigningMethodES256, jwt.SigningMethodES384, jwt.SigningMethodES512} {
			if m.CurveBits == k.Curve.Params().BitSize {
				fit = append(fit, m)
			}
		}
	}
	var names []string
	for _, m := range fit {
		if alg == "" || alg == m.Alg() {
			return m, nil
		}
		names = append(names, m.Alg())
	}
	if len(names) == 0 {
		return nil, errors.New("a key of another kind: " + wantKey + "; of EC, the curves P-256, P-384 and P-521")
	}
	return nil, fmt.Errorf("it cannot sign by the wanted algorithm: this key's are %s", strings.Join(names, ", "))
}

// loadThumbprint reads a certificate, PEM, and returns the SHA-256 hash of it by
// which a signature names it (RFC 7515 section 4.1.8). The key must be its own.
func loadThumbprint(load func() (string, error), key crypto.Signer) (string, error) {
	text, err := load()
	if err != nil {
		return "", fault.New(fault.Auth, "the certificate: %w", err)
	}
	if !strings.Contains(text, "\n") {
		text = strings.ReplaceAll(text, `\n`, "\n") // as environment variables hold PEM
	}
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return "", fault.New(fault.Auth, "the certificate: want PEM with a block CERTIFICATE")
		}
		if block.Type != "CERTIFICATE" {
			continue // the key may stand in the same file
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return "", fault.New(fault.Auth, "the certificate: the PEM block CERTIFICATE holds none")
		}
		if own, ok := cert.PublicKey.(interface{ Equal(crypto.PublicKey) bool }); !ok || !own.Equal(key.Public()) {
			return "", fault.New(fault.Auth, "the certificate is of another key than the private key")
		}
		sum := sha256.Sum256(cert.Raw)
		return base64.RawURLEncoding.EncodeToString(sum[:]), nil
	}
}

func parsePEM(text string) (crypto.Signer, error) {
	for rest := []byte(text); ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return nil, errors.New(wantKey)
		}
		switch block.Type {
		case "RSA PRIVATE KEY":
			if block.Headers["DEK-Info"] != "" {
				return nil, errors.New("it is encrypted with a passphrase: " + wantKey + " without one")
			}
			k, err := x509.ParsePKCS1PrivateKey(block.Bytes)
			if err != nil {
				return nil, errors.New("the PEM block RSA PRIVATE KEY holds no PKCS #1 key")
			}
			return k, nil
		case "EC PRIVATE KEY":
			k, err := x509.ParseECPrivateKey(block.Bytes)
			if err != nil {
				return nil, errors.New("the PEM block EC PRIVATE KEY holds no SEC 1 key")
			}
			return k, nil
		case "PRIVATE KEY":
			k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, errors.New("the PEM block PRIVATE KEY holds no PKCS #8 key")
			}
			if s, ok := k.(crypto.Signer); ok {
				return s, nil
			}
			return nil, errors.New(wantKey)
		case "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("it is encrypted with a passphrase: " + wantKey + " without one")
		}
	}
}

// parseJWK reads a private JWK (RFC 7517, RFC 7518 section 6).
func parseJWK(text string) (key crypto.Signer, kid, alg string, err error) {
	var j struct {
		Kty string `json:"kty"`
		Kid string `json:"kid"`
		Alg string `json:"alg"`
		Crv string `json:"crv"`
		N   string `json:"n"`
		E   string `json:"e"`
		D   string `json:"d"`
		P   string `json:"p"`
		Q   string `json:"q"`
		X   string `json:"x"`
		Y   string `json:"y"`
	}
	if json.Unmarshal([]byte(text), &j) != nil {
		return nil, "", "", errors.New("it begins as a JWK, but is none") // the decoder's words may quote it
	}
	if j.D == "" {
		return nil, "", "", errors.New("the JWK holds no private key: d is missing")
	}
	switch j.Kty {
	case "RSA":
		key, err = rsaOf(j.N, j.E, j.D, j.P, j.Q)
	case "EC":
		key, err = ecOf(j.Crv, j.X, j.Y, j.D)
	default:
		err = errors.New("a JWK of another kind: want kty RSA or EC")
	}
	return key, j.Kid, j.Alg, err
}

func rsaOf(n, e, d, p, q string) (crypto.Signer, error) {
	var num [5]*big.Int
	for i, s := range []string{n, e, d, p, q} {
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
		if err != nil || len(b) == 0 || len(b) > 2048 {
			return nil, errors.New("the JWK is not whole: want n, e, d, p and q")
		}
		num[i] = new(big.Int).SetBytes(b)
	}
	if !num[1].IsInt64() || num[1].Int64() > 1<<31-1 {
		return nil, errors.New("the JWK holds no RSA key")
	}
	k := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: num[0], E: int(num[1].Int64())}, D: num[2], Primes: []*big.Int{num[3], num[4]}}
	if err := k.Validate(); err != nil {
		return nil, errors.New("the JWK holds no RSA key: its numbers do not fit")
	}
	k.Precompute()
	return k, nil
}

func ecOf(crv, x, y, d string) (crypto.Signer, error) {
	curve, ok := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[crv]
	if !ok {
		return nil, errors.New("a JWK on another curve: want P-256, P-384 or P-521")
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(d, "="))
	size := (curve.Params().BitSize + 7) / 8
	if err != nil || len(raw) > size {
		return nil, errors.New("the JWK holds no EC key")
	}
	k, err := ecdsa.ParseRawPrivateKey(curve, append(make([]byte, size-len(raw)), raw...))
	if err != nil {
		return nil, errors.New("the JWK holds no EC key")
	}
	public, err := k.PublicKey.Bytes()
	if err != nil {
		return nil, errors.New("the JWK holds no EC key")
	}
	for i, s := range []string{x, y} {
		b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
		half := public[1+i*size : 1+(i+1)*size]
		if err != nil || new(big.Int).SetBytes(b).Cmp(new(big.Int).SetBytes(half)) != 0 {
			return nil, errors.New("the JWK's x and y are not those of its d")
		}
	}
	return k, nil
}
