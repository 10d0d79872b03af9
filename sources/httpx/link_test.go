package httpx

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
)

func linkClient(t testing.TB) *Client {
	t.Helper()
	base, err := New(Options{Clock: clockwork.NewRealClock()})
	require.NoError(t, err)
	c, err := base.Client(Config{BaseURL: "https://acme.example/api/v1", Aliases: []string{"https://acme-admin.example", "http://127.0.0.1:8080"}})
	require.NoError(t, err)
	return c
}

func TestFollow(t *testing.T) {
	t.Parallel()
	c := linkClient(t)
	for link, want := range map[string]string{
		"https://acme.example/api/v1/logs?after=a%2Fb+c%20d&x=%7e~;y=1&&": "/logs?after=a%2Fb+c%20d&x=%7e~;y=1&&",
		"HTTPS://ACME.example:443/api/v1/logs":                            "/logs?",
		"https://acme-admin.example/api/v1/users/a%2Fb?q#fragment":        "/users/a%2Fb?q",
		"http://127.0.0.1:8080/api/v1/x":                                  "/x?",
		"//acme.example/api/v1/x":                                         "/x?",
		"/api/v1/x?y":                                                     "/x?y",
		"https://acme.example/api/v1":                                     "?",
		"https://acme.example/api/v1/a..b/...":                            "/a..b/...?",
		"https://acme.example/api/v1/x?ü=ü":                               "/x?ü=ü",
	} {
		r, err := c.Follow(link, P("/logs/{id}", "1"))
		require.NoError(t, err, link)
		require.Equal(t, want, r.Path.escaped+"?"+r.RawQuery)
		require.Equal(t, "/logs/{id}", r.Path.String())
		require.Nil(t, r.Query)
	}
	for link, says := range map[string]string{
		"https://evil.example/api/v1/x?secret=1":              "evil.example",
		"https://acme.example.evil.example/api/v1/x?secret=1": "evil.example",
		"https://acme.example@evil.example/api/v1/?secret=1":  "evil.example",
		"http://acme.example/api/v1/x?secret=1":               "http://acme.example",
		"https://acme.example:8443/api/v1/x?secret=1":         "acme.example:8443",
		"//evil.example/api/v1/x?secret=1":                    "evil.example",
		"https://user:secret@acme.example/api/v1/x":           "a user",
		"https://acme.example/api/v2/x?secret=1":              "outside",
		"https://acme.example/api/v10?secret=1":               "outside",
		"https://acme.example/api/v1/../admin?secret=1":       "outside",
		"https://acme.example/api/v1/%2e%2e/admin?secret=1":   "outside",
		"https://acme.example/api/v1/..%2fadmin?secret=1":     "outside",
		"https://acme.example/api/v1/..%5cadmin?secret=1":     "outside",
		"?after=secret":              "outside",
		"":                           "outside",
		"x?secret=1":                 "outside",
		"mailto:secret@acme.example": "no URL",
		"https://acme.example/api/v1/x?a b secret":            "no URL",
		"https://acme.example/api/v1/x?a\r\nX-Secret: secret": "no URL",
		"https://acme.example/%zz?secret":                     "no URL",
		"file:///etc/secret":                                  "file://",
		"javascript:secret":                                   "no URL",
	} {
		_, err := c.Follow(link, P("/x"))
		require.Equal(t, fault.BadData, fault.Of(err), link)
		require.ErrorContains(t, err, says)
		require.NotContains(t, strings.ToLower(err.Error()), "secret")
	}
}

func FuzzFollow(f *testing.F) {
	f.Add("https://acme.example/api/v1/logs?after=a%2Fb")
	f.Add("https://acme.example/api/v1/%2e%2e%2fx?q")
	f.Add("\\\\evil.example/api/v1")
	c := linkClient(f)
	f.Fuzz(func(t *testing.T, link string) {
		r, err := c.Follow(link, P("/x"))
		if err != nil {
			require.Equal(t, fault.BadData, fault.Of(err))
			return
		}
		cl, err := c.newCall(t.Context(), r)
		require.NoError(t, err)
		req, err := cl.request(t.Context(), "GET", cl.target)
		require.NoError(t, err)
		require.Equal(t, "acme.example", req.URL.Host)
		require.Equal(t, "https", req.URL.Scheme)
		require.True(t, req.URL.Path == "/api/v1" || strings.HasPrefix(req.URL.Path, "/api/v1/"), req.URL.Path)
		require.Nil(t, req.URL.User)
		require.Equal(t, r.RawQuery, req.URL.RawQuery)
		if r.RawQuery != "" {
			require.Contains(t, link, "?"+r.RawQuery)
		}
	})
}

func TestNextLink(t *testing.T) {
	t.Parallel()
	f := func(want string, lines ...string) {
		t.Helper()
		require.Equal(t, want, NextLink(http.Header{"Link": lines}))
	}
	f("")
	f("https://a.example/?page=2", `<https://a.example/?page=2>; rel="next"`)
	f("https://a.example/2", `<https://a.example/1>; rel="self"`, `<https://a.example/2>; rel="next"`)
	f("/2", `</1>; rel="prev", </2>; rel="next", </9>; rel="last"`)
	f("/2?a=1,2;b", `</1?a=1,2;b>; rel="self",</2?a=1,2;b>;rel=next`)
	f("/2", `</2>; title="a, \"b\"; rel=\"self\", <c>"; REL="last NEXT"`)
	f("/2", `</2> ; type="x" ; rel = next ; x`)
	f("/2", `, ,</1>,</2>;rel="next",`)
	f("/2", `rubbish, </2>; rel=next`)
	f("", `</2>; rel="nextish"`, `</3>; rel=prev; rel=next`)
	f("", `</2>; rel="next"; anchor="/other"`)
	f("", `</2`, `<>; rel=next`, `</2>`, `</2>; next`)
	f("/2", `<broken; rel="x`, `</2>; rel="next`)
}

func FuzzNextLink(f *testing.F) {
	f.Add(`<https://a.example/?a=1,2>; rel="next", <b>; rel=last`)
	f.Add(`</2>; title="a, \"b\"; rel=\"self\""; rel="last next"`)
	f.Fuzz(func(t *testing.T, line string) {
		if got := NextLink(http.Header{"Link": {line}}); got != "" {
			require.Contains(t, line, got)
			require.Contains(t, strings.ToLower(line), "next")
		}
		// What follows on a line of its own is always found.
		require.NotEmpty(t, NextLink(http.Header{"Link": {line, `</n>; rel="next"`}}))
	})
}

func TestPath(t *testing.T) {
	t.Parallel()
	f := func(want, template string, ids ...string) {
		t.Helper()
		require.Equal(t, want, P(template, ids...).escaped)
		require.Equal(t, template, P(template, ids...).String())
	}
	f("/users", "/users")
	f("/users/a%2Fb/x", "/users/{id}/x", "a/b")
	f("/a%3Fb/c%23d", "/{x}/{y}", "a?b", "c#d")
	f("/%252e%252e", "/{x}", "%2e%2e")
	f("/contents/a/b%20c/d", "/contents/{path...}", "a/b c/d")
	for _, bad := range []string{"", ".", ".."} {
		f("/"+badSegment, "/{x}", bad)
		f("/a/"+badSegment+"/b", "/{x...}", "a/"+bad+"/b")
	}
	for _, wrong := range []func(){
		func() { P("/{x}") }, func() { P("/x", "1") }, func() { P("/{x}", "1", "2") }, func() { P("x") }, func() { P("/x?y") }, func() { P("/x#y") }, func() { P("/{x", "1") },
	} {
		require.Panics(t, wrong)
	}
}

func FuzzPath(f *testing.F) {
	for _, s := range []string{"a/b", "..", "a?b#c", "%2f", "\x00", "a\\b", "é\xff", ";x", "a b"} {
		f.Add(s)
	}
	c := linkClient(f)
	f.Fuzz(func(t *testing.T, id string) {
		cl, err := c.newCall(t.Context(), &Request{Path: P("/a/{id}/b", id)})
		if err != nil {
			require.Contains(t, []string{"", ".", ".."}, id)
			return
		}
		u, err := url.Parse(cl.target)
		require.NoError(t, err)
		require.Empty(t, u.RawQuery)
		require.False(t, u.ForceQuery)
		require.Empty(t, u.Fragment)
		parts := strings.Split(u.EscapedPath(), "/")
		require.Equal(t, []string{"", "api", "v1", "a"}, parts[:4])
		require.Len(t, parts, 6)
		back, err := url.PathUnescape(parts[4])
		require.NoError(t, err)
		require.Equal(t, id, back)
	})
}
