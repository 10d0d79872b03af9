package auth

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"weir/internal/fault"
	"weir/sources/httpx"
)

// dpopKey is the key that a token is bound to (RFC 9449). It lives as long as
// the token, in memory.
type dpopKey struct {
	key *rsa.PrivateKey
	jwk map[string]string
	// skew is how far the vendor's clock is ahead, where that matters.
	skew time.Duration

	mu    sync.Mutex
	nonce string // the API's; "": it asks for none
}

// Okta documents RS256 for proofs (connectors/okta.md 3.2).
const dpopBits = 2048

func newDPoPKey() (*dpopKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, dpopBits)
	if err != nil {
		return nil, fault.New(fault.Permanent, "making a DPoP key: %w", err)
	}
	return &dpopKey{key: key, jwk: map[string]string{
		"kty": "RSA",
		"n":   base64.RawURLEncoding.EncodeToString(key.N.Bytes()),
		"e":   base64.RawURLEncoding.EncodeToString(big.NewInt(int64(key.E)).Bytes()),
	}}, nil
}

// tokenProof is the proof for a token request.
func (k *dpopKey) tokenProof(u *url.URL, nonce string, now time.Time) (string, error) {
	return k.sign(http.MethodPost, u, nonce, now, jwt.MapClaims{})
}

// proof is the proof for a request with the token.
func (k *dpopKey) proof(method string, u *url.URL, token string, now time.Time) (string, error) {
	hash := sha256.Sum256([]byte(token))
	k.mu.Lock()
	nonce := k.nonce
	k.mu.Unlock()
	return k.sign(method, u, nonce, now, jwt.MapClaims{"ath": base64.RawURLEncoding.EncodeToString(hash[:])})
}

func (k *dpopKey) sign(method string, u *url.URL, nonce string, now time.Time, claims jwt.MapClaims) (string, error) {
	target := *u
	target.User, target.RawQuery, target.ForceQuery, target.Fragment, target.RawFragment = nil, "", false, "", ""
	claims["htm"], claims["htu"], claims["iat"], claims["jti"] = method, target.String(), now.Add(k.skew).Unix(), uuid.NewString()
	if nonce != "" {
		claims["nonce"] = nonce
	}
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	t.Header["typ"], t.Header["jwk"] = "dpop+jwt", k.jwk
	s, err := t.SignedString(k.key)
	if err != nil {
		return "", fault.New(fault.Permanent, "signing a DPoP proof: %w", err)
	}
	return s, nil
}

// learn takes the nonce that an answer asks for (RFC 9449 section 9). It
// reports whether that is a new one.
func (k *dpopKey) learn(answer *httpx.Response) bool {
	nonce := answer.Header.Get("DPoP-Nonce")
	k.mu.Lock()
	defer k.mu.Unlock()
	if nonce == "" || nonce == k.nonce {
		return false
	}
	k.nonce = nonce
	return true
}
