package googleworkspace

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"math/rand/v2"
	"strings"
	"sync"

	"weir/internal/sandbox/org"
)

// sandboxKey is the key of all service accounts of all customers. It is made from
// nothing secret, so that a configuration that was printed once fits the next
// sandbox too: it is worth as much as the other vendors' "sandbox-token".
var sandboxKey = sync.OnceValue(func() *rsa.PrivateKey {
	r := rand.New(rand.NewPCG(0x60061e, 0x3e3e))
	e := big.NewInt(65537)
	one := big.NewInt(1)
	prime := func() *big.Int {
		for {
			b := make([]byte, 128)
			for i := range b {
				b[i] = byte(r.Uint32())
			}
			b[0] |= 0xc0
			b[127] |= 1
			p := new(big.Int).SetBytes(b)
			if new(big.Int).Mod(new(big.Int).Sub(p, one), e).Sign() != 0 && p.ProbablyPrime(10) {
				return p
			}
		}
	}
	p, q := prime(), prime()
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	k := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: 65537}, D: new(big.Int).ModInverse(e, phi), Primes: []*big.Int{p, q}}
	k.Precompute()
	if err := k.Validate(); err != nil {
		panic(err) // it is the same every time
	}
	return k
})

const keyID = "5a6db0cc000040008000000000000060061e"

// Credentials is the key file of a service account, by its number among the
// integrations, as JSON in one line. Its token_uri is below base; "": the vendor's.
func (h *Handler) Credentials(n int, base string) string {
	uri := tokenURI
	if base != "" {
		uri = base + "/token"
	}
	der, err := x509.MarshalPKCS8PrivateKey(sandboxKey())
	if err != nil {
		panic(err) // an RSA key is one
	}
	var email, project string
	h.t.World.View(func(s *org.State) {
		email, project = h.serviceEmail(s, s.Integrations[app][n]), s.Name+"-automation"
	})
	raw, err := json.Marshal(map[string]string{
		"type": "service_account", "project_id": project, "private_key_id": keyID, "private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
		"client_email": email, "client_id": h.serviceID(n), "auth_uri": "https://accounts.google.com/o/oauth2/auth", "token_uri": uri, "universe_domain": "googleapis.com",
	})
	if err != nil {
		panic(err) // texts only
	}
	return string(raw)
}

// tokenURI is the audience of assertions.
const tokenURI = "https://oauth2.googleapis.com/token"

// scopePrefix is what most scopes begin with.
const scopePrefix = "https://www.googleapis.com/auth/"

// scopeURL writes a scope in full.
func scopeURL(s string) string {
	if strings.Contains(s, ":") || s == "openid" || s == "email" || s == "profile" {
		return s
	}
	return scopePrefix + s
}

// scopeName writes a scope without what most begin with.
func scopeName(s string) string { return strings.TrimPrefix(s, scopePrefix) }
