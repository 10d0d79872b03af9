package okta

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	// The hashes of the algorithms below.
	_ "crypto/sha512"
	"encoding/base64"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Key is a registered public key: an *rsa.PublicKey or *ecdsa.PublicKey.
type Key struct {
	ID     string
	Public crypto.PublicKey
}

// jws is a signed token (RFC 7515, compact) before its signature is checked.
type jws struct {
	header struct {
		Alg string         `json:"alg"`
		Kid string         `json:"kid"`
		Typ string         `json:"typ"`
		JWK jsontext.Value `json:"jwk"`
	}
	claims struct {
		Iss   string         `json:"iss"`
		Sub   string         `json:"sub"`
		Aud   jsontext.Value `json:"aud"`
		Exp   *float64       `json:"exp"`
		Iat   *float64       `json:"iat"`
		JTI   string         `json:"jti"`
		HTM   string         `json:"htm"`
		HTU   string         `json:"htu"`
		ATH   string         `json:"ath"`
		Nonce string         `json:"nonce"`
	}
	signed    string
	signature []byte
}

func parseJWS(s string) (*jws, error) {
	parts := strings.Split(s, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("not three parts")
	}
	j := &jws{signed: parts[0] + "." + parts[1]}
	for i, dst := range []any{&j.header, &j.claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil {
			return nil, fmt.Errorf("part %d: %w", i+1, err)
		}
		if err := json.Unmarshal(raw, dst); err != nil {
			return nil, fmt.Errorf("part %d: %w", i+1, err)
		}
	}
	var err error
	if j.signature, err = base64.RawURLEncoding.DecodeString(parts[2]); err != nil {
		return nil, fmt.Errorf("signature: %w", err)
	}
	return j, nil
}

// audience returns the only audience; "" when there are several.
func (j *jws) audience() string {
	var one string
	if json.Unmarshal(j.claims.Aud, &one) == nil {
		return one
	}
	var list []string
	if json.Unmarshal(j.claims.Aud, &list) == nil && len(list) == 1 {
		return list[0]
	}
	return ""
}

// verify checks the signature. Only asymmetric algorithms are taken.
func (j *jws) verify(key crypto.PublicKey) error {
	if len(j.header.Alg) != 5 {
		return fmt.Errorf("algorithm %q is not accepted", j.header.Alg)
	}
	hash, ok := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512}[j.header.Alg[2:]]
	if !ok {
		return fmt.Errorf("algorithm %q is not accepted", j.header.Alg)
	}
	h := hash.New()
	h.Write([]byte(j.signed))
	sum := h.Sum(nil)
	switch k := key.(type) {
	case *rsa.PublicKey:
		if j.header.Alg[:2] == "RS" {
			return rsa.VerifyPKCS1v15(k, hash, sum, j.signature)
		}
	case *ecdsa.PublicKey:
		n := (k.Curve.Params().BitSize + 7) / 8
		want := map[string]int{"ES256": 32, "ES384": 48, "ES512": 66}[j.header.Alg]
		if want == n && len(j.signature) == 2*n {
			if ecdsa.Verify(k, sum, new(big.Int).SetBytes(j.signature[:n]), new(big.Int).SetBytes(j.signature[n:])) {
				return nil
			}
			return fmt.Errorf("signature does not fit")
		}
	}
	return fmt.Errorf("algorithm %q does not fit the key", j.header.Alg)
}

type jwk struct {
	Kty string `json:"kty"`
	N   string `json:"n"`
	E   string `json:"e"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y"`
	D   string `json:"d"`
}

// publicKey reads a JWK, and returns its thumbprint (RFC 7638).
func publicKey(raw []byte) (key crypto.PublicKey, thumbprint string, err error) {
	var k jwk
	if err := json.Unmarshal(raw, &k); err != nil {
		return nil, "", err
	}
	if k.D != "" {
		return nil, "", fmt.Errorf("the key is private")
	}
	number := func(s string) *big.Int {
		b, e := base64.RawURLEncoding.DecodeString(s)
		if e != nil || len(b) == 0 {
			err = fmt.Errorf("bad number in jwk")
		}
		return new(big.Int).SetBytes(b)
	}
	var canonical string
	switch k.Kty {
	case "RSA":
		n, e := number(k.N), number(k.E)
		if err == nil && (!e.IsInt64() || e.Int64() > 1<<31-1 || n.BitLen() < 1024) {
			err = fmt.Errorf("bad RSA key")
		}
		key = &rsa.PublicKey{N: n, E: int(e.Int64())}
		canonical = fmt.Sprintf(`{"e":%q,"kty":"RSA","n":%q}`, k.E, k.N)
	case "EC":
		curve := map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}[k.Crv]
		if curve == nil {
			return nil, "", fmt.Errorf("unknown curve %q", k.Crv)
		}
		size := (curve.Params().BitSize + 7) / 8
		x, y := number(k.X), number(k.Y)
		if err == nil && max(x.BitLen(), y.BitLen()) > 8*size {
			err = fmt.Errorf("bad EC key")
		}
		if err != nil {
			return nil, "", err
		}
		point := slices.Concat([]byte{4}, x.FillBytes(make([]byte, size)), y.FillBytes(make([]byte, size)))
		if key, err = ecdsa.ParseUncompressedPublicKey(curve, point); err != nil {
			return nil, "", err
		}
		canonical = fmt.Sprintf(`{"crv":%q,"kty":"EC","x":%q,"y":%q}`, k.Crv, k.X, k.Y)
	default:
		return nil, "", fmt.Errorf("unknown kty %q", k.Kty)
	}
	sum := sha256.Sum256([]byte(canonical))
	return key, base64.RawURLEncoding.EncodeToString(sum[:]), err
}
