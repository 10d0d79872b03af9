package auth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"weir/internal/fault"
	"weir/sources/httpx"
)

// endpoint is a token endpoint.
type endpoint struct {
	base   *httpx.Base
	client *httpx.Client
	url    string
	target *url.URL
	path   httpx.Path
}

func newEndpoint(base *httpx.Base, tokenURL string) (*endpoint, error) {
	u, err := url.Parse(tokenURL)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(u.Path, "{}") {
		return nil, fault.New(fault.Permanent, "the token endpoint %q: want https://host/path", tokenURL)
	}
	client, err := base.Client(httpx.Config{
		BaseURL:  u.Scheme + "://" + u.Host,
		Header:   http.Header{"Accept": {"application/json"}, "Content-Type": {"application/x-www-form-urlencoded"}},
		Classify: classifyToken,
		MaxBody:  1 << 20,
		Timeout:  30 * time.Second,
	})
	if err != nil {
		return nil, err
	}
	return &endpoint{base, client, tokenURL, u, httpx.P(u.EscapedPath())}, nil
}

// classifyToken lets through what endpoint.ask reads by itself.
func classifyToken(r *httpx.Response) error {
	if r.Status == http.StatusTooManyRequests || r.Status == http.StatusRequestTimeout || r.Status >= 500 {
		return httpx.Classify(r)
	}
	return nil
}

// answer is a token endpoint's answer (RFC 6749 section 5.1).
type answer struct {
	access, typ, refresh string
	scopes               []string // sorted; nil: the answer does not say
	life                 time.Duration
}

// endpointError is a token endpoint's refusal (section 5.2).
type endpointError struct {
	url, code, description string
	status                 int
	nonce                  string        // of DPoP
	skew                   time.Duration // of the vendor's clock
}

func (e *endpointError) Error() string {
	s := e.url + ": the vendor refuses to give a token: "
	if e.code == "" {
		return s + "HTTP " + strconv.Itoa(e.status)
	}
	if e.description != "" {
		return s + e.code + ": " + e.description
	}
	return s + e.code
}

// refusalCode is the code of a token endpoint's refusal; "" for other errors.
func refusalCode(err error) string {
	code, _ := RefusalOf(err)
	return code
}

// RefusalOf returns the code and the description of the token endpoint's refusal
// that err is about, without secrets; "" for other errors. Some vendors say only
// in the description what is wrong.
func RefusalOf(err error) (code, description string) {
	if e, ok := errors.AsType[*endpointError](err); ok {
		return e.code, e.description
	}
	return "", ""
}

// classOf classes a refusal by its code: those of section 5.2, and GitHub's
// (connectors/github.md 3.1).
func classOf(e *endpointError) fault.Class {
	switch e.code {
	case "temporarily_unavailable", "server_error":
		return fault.Transient
	case "slow_down", "too_many_requests":
		return fault.Throttled
	case "":
		switch e.status {
		case http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden:
			return fault.Auth
		}
		return fault.Permanent
	}
	return fault.Auth
}

// ask sends a token request. A refusal is an *endpointError with a class. The
// secrets, and the tokens that it gets, are kept out of it and of all that is
// said from now on.
func (e *endpoint) ask(ctx context.Context, form url.Values, header http.Header, idempotent bool, secrets []string) (answer, error) {
	e.base.Redact(secrets...)
	r, err := e.client.Do(ctx, &httpx.Request{Method: http.MethodPost, Path: e.path, Header: header, Body: []byte(form.Encode()), Idempotent: idempotent})
	if err != nil {
		return answer{}, err
	}
	var body struct {
		AccessToken      string         `json:"access_token"`
		TokenType        string         `json:"token_type"`
		RefreshToken     string         `json:"refresh_token"`
		Scope            *string        `json:"scope"`
		ExpiresIn        jsontext.Value `json:"expires_in"`
		Error            string         `json:"error"`
		ErrorDescription string         `json:"error_description"`
	}
	bad := json.Unmarshal(r.Body, &body)
	e.base.Redact(body.AccessToken, body.RefreshToken)
	if body.Error != "" || r.Status < 200 || r.Status > 299 {
		refusal := &endpointError{
			url: e.url, code: clean(e.base.Scrub(body.Error), secrets), description: clean(e.base.Scrub(body.ErrorDescription), secrets),
			status: r.Status, nonce: r.Header.Get("DPoP-Nonce"), skew: r.Skew,
		}
		return answer{}, fault.New(classOf(refusal), "%w", refusal)
	}
	if bad != nil || body.AccessToken == "" || strings.ContainsFunc(body.AccessToken, notInHeader) {
		return answer{}, fault.New(fault.Transient, "%s: the answer is no token: something other than the vendor may have answered", e.url)
	}
	a := answer{access: body.AccessToken, typ: body.TokenType, refresh: body.RefreshToken}
	if body.Scope != nil {
		a.scopes = append([]string{}, splitScopes(*body.Scope)...)
	}
	if s, err := strconv.ParseFloat(strings.Trim(string(body.ExpiresIn), `"`), 64); err == nil && s > 0 && s < 1e9 {
		a.life = time.Duration(s) * time.Second
	}
	return a, nil
}

func notInHeader(r rune) bool { return r <= ' ' || r >= 0x7f }

const maxDescription = 300

// clean makes a vendor's words fit for an error: one short line, without the
// secrets that they may repeat.
func clean(s string, secrets []string) string {
	for _, secret := range secrets {
		if secret != "" {
			s = strings.ReplaceAll(s, secret, "***")
		}
	}
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }), " ")
	if r := []rune(s); len(r) > maxDescription {
		s = string(r[:maxDescription]) + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
