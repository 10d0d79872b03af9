package googleworkspace

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
)

// claims are those of an assertion (3.1).
type claims struct {
	Iss   string   `json:"iss"`
	Sub   string   `json:"sub"`
	Prn   string   `json:"prn"`
	Scope string   `json:"scope"`
	Aud   string   `json:"aud"`
	Iat   *float64 `json:"iat"`
	Exp   *float64 `json:"exp"`
}

// parseJWT reads an assertion and checks its signature by the sandbox's key.
func parseJWT(text string) (c claims, signed bool, err error) {
	part := strings.Split(text, ".")
	if len(part) != 3 {
		return c, false, errors.New("not three parts")
	}
	var head struct {
		Alg string `json:"alg"`
		Kid string `json:"kid"`
	}
	for i, dst := range []any{&head, &c} {
		raw, err := base64.RawURLEncoding.DecodeString(part[i])
		if err != nil {
			return c, false, err
		}
		if err := json.Unmarshal(raw, dst); err != nil {
			return c, false, err
		}
	}
	signature, err := base64.RawURLEncoding.DecodeString(part[2])
	if err != nil {
		return c, false, err
	}
	sum := sha256.Sum256([]byte(part[0] + "." + part[1]))
	signed = head.Alg == "RS256" && (head.Kid == "" || head.Kid == keyID) && rsa.VerifyPKCS1v15(&sandboxKey().PublicKey, crypto.SHA256, sum[:], signature) == nil
	return c, signed, nil
}

// signJWT signs claims as the vendor does for who may have it do so.
func signJWT(payload string) (string, error) {
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"`+keyID+`","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	sum := sha256.Sum256([]byte(text))
	signature, err := rsa.SignPKCS1v15(rand.Reader, sandboxKey(), crypto.SHA256, sum[:])
	if err != nil {
		return "", err
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(signature), nil
}
