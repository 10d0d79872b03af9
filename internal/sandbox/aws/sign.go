package aws

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// How far a request's time may be from the vendor's. That is the sandbox's clock
// and the real one, and all between: clients sign by their machine's clock, and
// by how far the vendor's last answer was from it.
const (
	skew   = 5 * time.Minute
	skewS3 = 15 * time.Minute

	algorithm  = "AWS4-HMAC-SHA256"
	timeFormat = "20060102T150405Z"
)

// signed is a request's signature, taken apart.
type signed struct {
	key, date, region, service string
	headers                    []string
	signature                  string
	at                         time.Time
}

// parseAuthorization reads the header; false: it is none of SigV4.
func parseAuthorization(v string) (s signed, ok bool) {
	rest, ok := strings.CutPrefix(v, algorithm+" ")
	if !ok {
		return s, false
	}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "Credential":
			scope := strings.Split(value, "/")
			if len(scope) != 5 || scope[4] != "aws4_request" {
				return s, false
			}
			s.key, s.date, s.region, s.service = scope[0], scope[1], scope[2], scope[3]
		case "SignedHeaders":
			s.headers = strings.Split(value, ";")
		case "Signature":
			s.signature = value
		}
	}
	return s, s.key != "" && s.signature != "" && slices.Contains(s.headers, "host") && slices.Contains(s.headers, "x-amz-date")
}

// signature is what the request's should be, with a secret.
func (c *call) signature(s *signed, secret, payload string) string {
	text := strings.Join([]string{algorithm, s.at.Format(timeFormat), s.date + "/" + s.region + "/" + s.service + "/aws4_request", digest(c.canonicalRequest(s, payload))}, "\n")
	key := []byte("AWS4" + secret)
	for _, part := range []string{s.date, s.region, s.service, "aws4_request", text} {
		m := hmac.New(sha256.New, key)
		_, _ = m.Write([]byte(part)) // never fails
		key = m.Sum(nil)
	}
	return hex.EncodeToString(key)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func (c *call) canonicalRequest(s *signed, payload string) string {
	path := c.rawPath
	if plain, err := url.PathUnescape(path); err == nil && s.service == "s3" {
		path = plain // it is encoded once, others twice
	}
	var headers strings.Builder
	for _, name := range s.headers {
		value := strings.Join(c.r.Header.Values(http.CanonicalHeaderKey(name)), ",")
		if name == "host" {
			value = c.r.Host
		}
		headers.WriteString(name + ":" + strings.Join(strings.Fields(value), " ") + "\n")
	}
	return strings.Join([]string{c.r.Method, escape(path, true), canonicalQuery(c.query), headers.String(), strings.Join(s.headers, ";"), payload}, "\n")
}

func canonicalQuery(q url.Values) string {
	var pairs []string
	for k, values := range q {
		for _, v := range values {
			pairs = append(pairs, escape(k, false)+"="+escape(v, false))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// escape encodes all but unreserved characters, and slashes of paths.
func escape(s string, path bool) string {
	const upper = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0 || path && c == '/' {
			b.WriteByte(c)
			continue
		}
		b.WriteString(string([]byte{'%', upper[c>>4], upper[c&15]}))
	}
	return b.String()
}
