package httpx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
)

func TestRedactText(t *testing.T) {
	t.Parallel()
	r := newRedactor()
	r.register("registered/secret+1", "abc", "****")
	for in, want := range map[string]string{
		`Get "https://x.example/y?access_token=abc&page=2": EOF`:                  `Get "https://x.example/y?access_token=***&page=2": EOF`,
		`x?code=1&client%5Fsecret=2&X-Amz-Signature=3&sig=4&q=5`:                  `x?code=***&client%5Fsecret=***&X-Amz-Signature=***&sig=***&q=5`,
		`grant_type=refresh_token&refresh_token=r1&client_assertion=a.b.c`:        `grant_type=refresh_token&refresh_token=***&client_assertion=***`,
		`https://ann:word@x.example/`:                                             `https://***@x.example/`,
		`{"tempPassword": "a\"b", "login":"ann","resetPasswordUrl":"https://x"}`:  `{"tempPassword":"***", "login":"ann","resetPasswordUrl":"***"}`,
		`"{\"access_token\": \"abc\",\"x\":1}"`:                                   `"{\"access_token\":\"***\",\"x\":1}"`,
		`Authorization: Bearer abcdefghijklmnopqrstuvwxyz`:                        `Authorization: Bearer ***`,
		`basic authentication is off, bearer token missing`:                       `basic authentication is off, bearer token missing`,
		`-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\nx`: `***\nx`,
		"-----BEGIN PRIVATE KEY-----\nMIIE":                                       "***",
		`jwt eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.c2lnbmF0dXJl end`:                `jwt *** end`,
		`a registered/secret+1 b registered%2Fsecret%2B1 c registered%2fsecret+1`: `a *** b *** c ***`,
		`nextPageToken=abc&$skiptoken=x "next_token":"y" code "code":"E1"`:        `nextPageToken=abc&$skiptoken=x "next_token":"y" code "code":"E1"`,
		`HTTP 500 {"error":"server_error","has_token":"x"}`:                       `HTTP 500 {"error":"server_error","has_token":"***"}`,
	} {
		require.Equal(t, want, r.text(in))
	}
}

func TestRedactBodies(t *testing.T) {
	t.Parallel()
	r := newRedactor()
	form := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	require.Equal(t, "client_secret=***&scope=a+b&code=***", r.body(form, []byte(`client_secret=a"b'c d&scope=a+b&code=1`)))
	for in, want := range map[string]string{
		`{"token": {"value": "s"}, "a": [{"password": 5, "expires": 3}], "secret": null, "has_password": true}`: `{"token":"***","a":[{"password":"***","expires":3}],"secret":null,"has_password":true}`,
		`{"kty":"RSA","d":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa","k":"v","n":"1"}`:                      `{"kty":"RSA","d":"***","k":"v","n":"1"}`,
		"{\"x\":\"https://a.example?token=s\"}\n{\"api_key\":\"s\"}":                                            "{\"x\":\"https://a.example?token=***\"}\n{\"api_key\":\"***\"}\n",
		`{"token":"cut sho`:    `{"token":"***`,
		`<html>token=1</html>`: `<html>token=***</html>`,
	} {
		require.Equal(t, strings.TrimSpace(want), strings.TrimSpace(r.body(http.Header{}, []byte(in))))
	}
	for name, value := range map[string]string{
		"Authorization": removed, "Dpop": removed, "Cookie": removed, "Set-Cookie": removed, "X-Acme-Token": removed, "X-Amz-Security-Token": removed, "X-Api-Key": removed,
		"Link": "<x?a=1>", "Proxy-Authorization": removed, "Accept": "<x?a=1>",
	} {
		require.Equal(t, value, r.header(name, "<x?a=1>"), name)
	}
}

// An error that had a secret in it is still of its class, about its answer.
func TestRedactedErrors(t *testing.T) {
	t.Parallel()
	r := newRedactor()
	r.register("hush-hush")
	plain := fault.New(fault.Auth, "no")
	require.Same(t, plain, r.err(plain))
	err := r.err(fmt.Errorf("x: %w", &fault.Fault{Class: fault.Throttled, RetryAfter: 5, Err: errors.Join(&Error{Status: 429, Message: "hush-hush"}, context.Canceled)}))
	require.Equal(t, fault.Throttled, fault.Of(err))
	require.EqualValues(t, 5, fault.RetryAfter(err))
	require.Equal(t, 429, StatusOf(err))
	require.ErrorIs(t, err, context.Canceled)
	var e *Error
	require.ErrorAs(t, err, &e)
	require.NotContains(t, fmt.Sprint(err, e), "hush")
}

// A registered secret is in no error and in no dump, wherever the vendor or the
// network repeats it.
func FuzzSecretsStayHidden(f *testing.F) {
	for _, s := range []string{"sandbox-token", "a b&c=d", "p%2fq/r+s", `quo"ted\`, "line\nbreak", "***a", "ünïcode", "<html>", "{}[]", "=&=&", "aaaa", "\"\"\"\""} {
		f.Add(s, 200)
		f.Add(s, 400)
		f.Add(s, 0)
	}
	f.Fuzz(func(t *testing.T, secret string, status int) {
		if len(secret) < minSecret || strings.Trim(secret, "*") == "" || strings.ContainsRune(secret, 0xfffd) {
			return
		}
		const another = "Kx7Qz9Wv3"
		said, usual := allThatIsSaid(t, secret, status), allThatIsSaid(t, another, status)
		require.NotContains(t, usual, another)
		for _, s := range []string{secret, url.QueryEscape(secret)} {
			if !strings.Contains(usual, s) { // what is said with any secret tells nothing
				require.NotContains(t, said, s)
			}
		}
	})
}

// allThatIsSaid has a vendor repeat a secret everywhere, and returns errors and
// dump.
func allThatIsSaid(t *testing.T, secret string, status int) string {
	var dump bytes.Buffer
	base, err := New(Options{Instance: "i", Clock: clockwork.NewFakeClock(), Dump: &dump})
	require.NoError(t, err)
	base.Redact(secret)
	quoted, err := json.Marshal(secret, lenientUTF8)
	require.NoError(t, err)
	where := secret + " " + url.QueryEscape(secret) + " " + string(quoted)
	base.transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		if status < 200 || status > 599 {
			return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: errors.New(where)}
		}
		h := http.Header{"X-Echo": {where}, "X-Request-Id": {secret}, "Content-Type": {"text/plain"}}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader(`{"said":` + string(quoted) + `} ` + where)), ContentLength: -1}, nil
	})
	client, err := base.Client(Config{BaseURL: "https://acme.example", Auth: token(secret), Classify: func(r *Response) error {
		if r.Status == 200 {
			return nil
		}
		return Fail(r, fault.Permanent, secret, string(r.Body))
	}})
	require.NoError(t, err)
	resp, err := client.Do(t.Context(), &Request{Method: "POST", Path: P("/{x}", secret), Query: url.Values{"q": {secret}}, Header: http.Header{"X-Mine": {secret}}, Body: []byte(where)})
	said := dump.String() + "\n" + fmt.Sprintf("%v %+v", err, err)
	var e *Error
	if errors.As(err, &e) {
		said += fmt.Sprintf("\n%+v", *e)
	}
	if resp != nil && status == 200 {
		said += "\n" + fmt.Sprint(Decode(resp, new(int)))
	}
	return said
}

func TestDump(t *testing.T) {
	t.Parallel()
	var dump bytes.Buffer
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "session=1")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"sandbox-2","name":"ann","filler":%q}`, strings.Repeat("x", 100_000))
	}, func(o *Options, c *Config) {
		o.Dump = &dump
		c.Auth = token("sandbox-1")
	})
	_, err := client.Do(as(t.Context(), "accounts"), &Request{Method: "POST", Path: P("/token"), Query: url.Values{"page": {"2"}, "sig": {"abc"}}, Body: []byte(`{"password":"sandbox-3","user":"ann"}`)})
	require.NoError(t, err)
	text := dump.String()
	for _, has := range []string{"acme accounts #1 POST " + client.root.String() + "/token?page=2&sig=***\n", "> Authorization: ***\n", `{"password":"***","user":"ann"}`, "< 200 in ", "< Set-Cookie: ***\n", `{"access_token":"***","name":"ann","filler":"xxx`, " more bytes)"} {
		require.Contains(t, text, has)
	}
	require.NotContains(t, text, "sandbox-")
	require.Less(t, len(text), maxDumped+2000)
	dump.Reset()
	client.base.transport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("broken token=abc") })
	_, err = client.Do(t.Context(), &Request{Method: "POST", Path: P("/x")})
	require.NotContains(t, err.Error(), "abc")
	require.Contains(t, dump.String(), "broken token=***")
}

// What a request is sent with is secret from then on, without anybody having
// registered it; of the tokens of years the last ones are.
func TestCredentialsAreRegistered(t *testing.T) {
	t.Parallel()
	r := newRedactor()
	r.register("kept-secret")
	for i := range 2000 {
		r.sent(http.Header{"Authorization": {fmt.Sprintf("Bearer token-%04d", i)}, "Dpop": {"proof"}, "X-Own-Key": {"own-key"}, "Accept": {"text/plain"}}, http.Header{"X-Own-Key": {"own-key"}})
		r.register("kept-secret")
	}
	require.Len(t, r.values, maxSecrets)
	require.Equal(t, "*** *** own-key text/plain proof", r.registered("token-1999 kept-secret own-key text/plain proof"))
	require.Equal(t, "token-0001", r.registered("token-0001"))
}
