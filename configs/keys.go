package configs

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"weir/internal/setting"
)

// maxPrincipalKeys bounds the keys of a principal: the one in use, the next one, those of
// a few devices.
const maxPrincipalKeys = 8

const (
	keyPrefix  = "ed25519:"
	wantKey    = "an Ed25519 public key: ed25519: and the base64 of its 32 bytes, or PEM (openssl pkey -in KEY -pubout)"
	wantSigner = "keys of at least one principal that may request: nothing could be asked for otherwise"
)

// ParseKey reads an Ed25519 public key: "ed25519:" and base64, or PEM (PKIX).
func ParseKey(text string) (ed25519.PublicKey, error) {
	key, err := parseKey(text)
	if err == nil && weak(key) {
		err = errors.New("a key that verifies what nobody signed")
	}
	return key, err
}

func parseKey(text string) (ed25519.PublicKey, error) {
	if raw, ok := strings.CutPrefix(text, keyPrefix); ok {
		key, err := base64.StdEncoding.Strict().DecodeString(raw)
		if err != nil || len(key) != ed25519.PublicKeySize || len(raw) != base64.StdEncoding.EncodedLen(len(key)) { // line breaks are passed over
			return nil, errors.New("want " + wantKey)
		}
		return key, nil
	}
	if block, rest := pem.Decode([]byte(text)); block != nil && strings.TrimSpace(string(rest)) == "" {
		if key, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			if k, ok := key.(ed25519.PublicKey); ok {
				return k, nil
			}
		}
	}
	return nil, errors.New("want " + wantKey)
}

// weak reports whether a key is one of the few points of small order, for which
// a signature can be made without a private key: of the neutral point and zero,
// every eighth text or more is signed.
func weak(key ed25519.PublicKey) bool {
	forged := make([]byte, ed25519.SignatureSize)
	forged[0] = 1
	for i := range 256 {
		if ed25519.Verify(key, []byte{byte(i)}, forged) {
			return true
		}
	}
	return false
}

// PublicKeys returns a principal's keys. Validate has passed them.
func (p *Principal) PublicKeys() (out []ed25519.PublicKey) {
	for _, text := range p.Keys {
		if key, err := ParseKey(text); err == nil {
			out = append(out, key)
		}
	}
	return out
}

func (p *Principal) validateKeys() (errs []setting.KeyError) {
	// What stands there may be a private key by mistake: it is not shown.
	if len(p.Keys) > maxPrincipalKeys {
		errs = append(errs, setting.KeyError{Key: "keys", Accepted: fmt.Sprintf("at most %d keys", maxPrincipalKeys)})
	}
	for i, text := range p.Keys {
		if _, err := ParseKey(text); err != nil {
			errs = append(errs, setting.KeyError{Key: "keys", Accepted: fmt.Sprintf("number %d to be %s", i+1, wantKey)})
		}
	}
	return errs
}

// keys refuses a key of two principals, and a demand for signatures that nobody
// could meet.
func (d *decoder) keys(at string, g *Governance, instances []Instance) {
	of := map[string]string{}
	for _, p := range g.Principals {
		for _, key := range p.PublicKeys() {
			if other, taken := of[string(key)]; taken && other != p.Name {
				d.fail(join(at, "principals."+p.Name+".keys"), "a key is principal "+other+"'s already: one person would be two")
			}
			of[string(key)] = p.Name
		}
	}
	signs := func(p Principal) bool {
		return len(p.Keys) > 0 && slices.ContainsFunc(p.May, func(m string) bool { return strings.HasPrefix(m, "request") })
	}
	if slices.ContainsFunc(g.Principals, signs) {
		return
	}
	if g.RequireSignature {
		d.reject(join(at, "require_signature"), "true", wantSigner)
	}
	for _, inst := range instances {
		if inst.Governance.RequireSignature {
			d.reject(join("instances", inst.Name+".governance.require_signature"), "true", wantSigner)
		}
	}
}
