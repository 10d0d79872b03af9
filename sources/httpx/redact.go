package httpx

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"weir/internal/fault"
)

const (
	removed   = "***"
	minSecret = 4 // bytes; shorter ones would hide everything else
)

// maxSecrets bounds the registered values. An agent runs for years, and gets
// new tokens every hour: of more, those go that were used the longest ago.
const maxSecrets = 256

// redactor removes what is secret: registered values wherever they stand, and
// by their name or form those that nobody registered. It is the one place that
// knows what is secret in errors and dumps. A nil one knows no values.
type redactor struct {
	mu       sync.RWMutex
	values   []string // registered, the last used at the end
	replacer *strings.Replacer
}

func newRedactor() *redactor { return &redactor{} }

// register adds values, and the ways in which they are escaped.
func (r *redactor) register(values ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := false
	for _, v := range values {
		if len(v) < minSecret || strings.Trim(v, "*") == "" {
			continue
		}
		if i := slices.Index(r.values, v); i >= 0 {
			r.values = slices.Delete(r.values, i, i+1)
		} else {
			changed = true
		}
		r.values = append(r.values, strings.Clone(v)) // it may be a part of a whole answer
	}
	if !changed {
		return
	}
	r.values = slices.Delete(r.values, 0, max(0, len(r.values)-maxSecrets))
	var all []string
	for _, v := range r.values {
		all = append(all, spellings(v)...)
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) }) // the longest first
	all = slices.Compact(all)
	pairs := make([]string, 0, 2*len(all))
	for _, v := range all {
		pairs = append(pairs, v, removed)
	}
	r.replacer = strings.NewReplacer(pairs...)
}

// sent registers the credentials that a request was given beside its own headers.
func (r *redactor) sent(h, own http.Header) {
	for name, values := range h {
		if _, ok := own[name]; ok || !secretHeader(name) || name == "Dpop" { // a proof is good once, and known by its form
			continue
		}
		for _, v := range values {
			if _, credentials, ok := strings.Cut(v, " "); ok {
				v = credentials
			}
			r.register(v)
		}
	}
}

func spellings(v string) []string {
	out := []string{
		v, url.QueryEscape(v), url.PathEscape(v), lowerHex(url.QueryEscape(v)), lowerHex(url.PathEscape(v)),
		base64.StdEncoding.EncodeToString([]byte(v)), base64.RawURLEncoding.EncodeToString([]byte(v)),
	}
	for _, html := range []bool{false, true} {
		if quoted, err := json.Marshal(v, jsontext.EscapeForHTML(html), lenientUTF8); err == nil {
			out = append(out, string(quoted[1:len(quoted)-1]))
		}
	}
	return out
}

var percent = regexp.MustCompile(`%[0-9A-F]{2}`)

func lowerHex(s string) string { return percent.ReplaceAllStringFunc(s, strings.ToLower) }

// registered replaces the registered values.
func (r *redactor) registered(s string) string {
	if r == nil {
		return s
	}
	r.mu.RLock()
	defer r.mu.RUnlock()
	if r.replacer == nil {
		return s
	}
	// What is left around a removed value may be one again.
	for range 8 {
		clean := r.replacer.Replace(s)
		if clean == s {
			return s
		}
		s = clean
	}
	return removed
}

// The forms of secrets in text.
var (
	privateKey = regexp.MustCompile(`(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)`)
	webToken   = regexp.MustCompile(`\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]*){0,3}`)
	scheme     = regexp.MustCompile(`(?i)\b(bearer|basic|dpop|ssws) +[A-Za-z0-9._~+/=-]{16,}`)
	userinfo   = regexp.MustCompile(`(://)[^/?#@\s"'<>]+@`)
	pair       = regexp.MustCompile(`([A-Za-z0-9_.$%-]+)=([^&;\s"'<>]+)`)
	member     = regexp.MustCompile(`"([A-Za-z0-9_.$-]+)"(\s*:\s*)"(?:[^"\\]|\\.)*`)
	embedded   = regexp.MustCompile(`\\"([A-Za-z0-9_.$-]+)\\"(\s*:\s*)\\"[^"\\]+`) // JSON in a JSON text
)

// text removes secrets from any text.
func (r *redactor) text(s string) string {
	s = r.registered(s)
	s = privateKey.ReplaceAllString(s, removed)
	s = webToken.ReplaceAllString(s, removed)
	s = scheme.ReplaceAllString(s, "$1 "+removed)
	s = userinfo.ReplaceAllString(s, "$1"+removed+"@")
	s = named(s, pair, secretField, "%s="+removed)
	s = named(s, member, secretMember, `"%s":"`+removed)
	s = named(s, embedded, secretMember, `\"%s\":\"`+removed)
	return r.registered(s)
}

// named replaces the matches of re whose first group is the name of a secret.
func named(s string, re *regexp.Regexp, secret func(string) bool, with string) string {
	return re.ReplaceAllStringFunc(s, func(m string) string {
		name := re.FindStringSubmatch(m)[1]
		if !secret(name) {
			return m
		}
		return strings.Replace(with, "%s", name, 1)
	})
}

var secretNames = func() map[string]bool {
	names := map[string]bool{}
	for n := range strings.FieldsSeq(`accesstoken refreshtoken idtoken token clientsecret clientassertion assertion password passwd
		passphrase secret sig signature apikey accesskey secretkey privatekey codeverifier devicecode usercode jwt sessiontoken statetoken
		samlresponse subjecttoken actortoken temppassword resetpasswordurl activationurl authorization cookie xamzsignature
		xamzsecuritytoken xamzcredential otp passcode pem credentials`) {
		names[n] = true
	}
	return names
}()

// secretMember reports whether a JSON member of a name is secret. "code" is not:
// there it is what vendors call their errors.
func secretMember(name string) bool {
	n := strings.ToLower(strings.NewReplacer("_", "", "-", "", ".", "").Replace(name))
	if secretNames[n] {
		return true
	}
	for _, end := range []string{"token", "secret", "password", "signature", "privatekey"} {
		if strings.HasSuffix(n, end) {
			return !cursorToken(n)
		}
	}
	return false
}

// cursorToken tells places in a listing from secrets.
func cursorToken(n string) bool {
	for _, part := range []string{"page", "next", "continuation", "sync", "delta", "skip"} {
		if strings.Contains(n, part) {
			return true
		}
	}
	return false
}

// secretField reports whether a query's or form's field of a name is secret.
func secretField(name string) bool {
	if plain, err := url.QueryUnescape(name); err == nil {
		name = plain
	}
	return strings.EqualFold(name, "code") || secretMember(name)
}

func secretHeader(name string) bool {
	switch n := strings.ToLower(name); n {
	case "authorization", "proxy-authorization", "dpop", "cookie", "set-cookie":
		return true
	default:
		return secretMember(n) || strings.HasSuffix(n, "-key")
	}
}

// header returns a header's value for a dump.
func (r *redactor) header(name, value string) string {
	if secretHeader(name) {
		return removed
	}
	return r.text(value)
}

// query removes secrets from a query or form, whatever stands in its values.
func (r *redactor) query(q string) string {
	fields := strings.Split(q, "&")
	for i, f := range fields {
		if name, _, ok := strings.Cut(f, "="); ok && secretField(name) {
			fields[i] = name + "=" + removed
		}
	}
	return r.text(strings.Join(fields, "&"))
}

// url returns a URL for a dump.
func (r *redactor) url(u *url.URL) string {
	s := u.Scheme + "://" + u.Host + r.text(u.EscapedPath())
	if u.RawQuery != "" {
		s += "?" + r.query(u.RawQuery)
	}
	return r.registered(s)
}

// body returns a body for a dump.
func (r *redactor) body(h http.Header, body []byte) string {
	if strings.HasPrefix(h.Get("Content-Type"), "application/x-www-form-urlencoded") {
		return r.query(string(body))
	}
	if clean, err := redactJSON(body); err == nil {
		body = clean
	}
	return r.text(string(body))
}

// redactJSON removes secret members, whatever their values are.
func redactJSON(body []byte) ([]byte, error) {
	var out bytes.Buffer
	d := jsontext.NewDecoder(bytes.NewReader(body), lenient, lenientUTF8)
	e := jsontext.NewEncoder(&out, lenient, lenientUTF8, jsontext.PreserveRawStrings(true))
	for {
		kind, n := d.StackIndex(d.StackDepth())
		isName := kind == '{' && n%2 == 0 && d.PeekKind() == '"'
		t, err := d.ReadToken()
		switch {
		case errors.Is(err, io.EOF):
			return out.Bytes(), nil
		case err != nil:
			return nil, err
		}
		name := ""
		if isName {
			name = t.String()
		}
		if err := e.WriteToken(t); err != nil {
			return nil, err
		}
		next := d.PeekKind()
		if !isName || next == 'n' || next == 't' || next == 'f' || !secretMember(name) && !secretKeyPart(name) {
			continue
		}
		v, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		if secretMember(name) || len(v) > 30 {
			v = jsontext.Value(`"` + removed + `"`)
		}
		if err := e.WriteValue(v); err != nil {
			return nil, err
		}
	}
}

// secretKeyPart reports whether a member of a name is, where it is long, part
// of a private key in a JSON web key (RFC 7518, 6.2.2, 6.3.2 and 6.4.1).
func secretKeyPart(name string) bool {
	switch name {
	case "d", "p", "q", "dp", "dq", "qi", "k", "oth":
		return true
	}
	return false
}

// err returns err, or, where its text has a secret in it, another error without
// it: of the same class, about the same answer.
func (r *redactor) err(err error) error {
	text := err.Error()
	clean := r.text(text)
	if clean == text {
		return err
	}
	s := &scrubbed{text: clean}
	if e, ok := errors.AsType[*Error](err); ok {
		copied := *e
		copied.Code, copied.Message, copied.RequestID = r.text(e.Code), r.text(e.Message), r.text(e.RequestID)
		s.kept = append(s.kept, &copied)
	}
	for _, is := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, is) {
			s.kept = append(s.kept, is)
		}
	}
	return &fault.Fault{Class: fault.Of(err), RetryAfter: fault.RetryAfter(err), Err: s}
}

// scrubbed is what may be told of an error.
type scrubbed struct {
	text string
	kept []error
}

func (s *scrubbed) Error() string   { return s.text }
func (s *scrubbed) Unwrap() []error { return s.kept }
