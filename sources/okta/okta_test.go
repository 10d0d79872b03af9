package okta

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/secret"
	"weir/sources"
	"weir/sources/httpx"
)

func TestBaseURL(t *testing.T) {
	t.Parallel()
	for _, good := range []string{
		"https://acme.okta.com", "https://acme.okta-emea.com", "https://acme.oktapreview.com", "https://acme.okta-gov.com", "https://acme.okta.mil",
		"https://login.acme.example", "https://sso-admin.acme.example", "https://acme.okta.com:8443", "https://127.0.0.1:8443", "http://127.0.0.1:8080/t/acme", "http://localhost:8080", "http://[::1]:8080/okta",
	} {
		_, err := parseBaseURL(good)
		require.NoError(t, err, good)
	}
	for bad, want := range map[string]string{
		"": "https://", "acme.okta.com": "https://", "http://acme.okta.com": "https", "ftp://acme.okta.com": "https", "https://acme-admin.okta.com": "https://acme.okta.com",
		"https://acme-admin.oktapreview.com": "https://acme.oktapreview.com", "https://ACME-Admin.okta.com": "admin", "https://acme.okta.com.com": ".com.com", "https://acme.okta.com/": "slash",
		"https://acme.okta.com/api/v1": "/api/v1", "https://acme.okta.com/x": "path", "https://a:b@acme.okta.com": "https://", "https://acme.okta.com?x=1": "https://", "https://acme.okta.com#x": "https://",
		"https://x.acme.okta.com": "one name", "http://10.0.0.1": "https", "http://127.0.0.1/a/": "slash", "https://": "https://", "http://127.0.0.1/a//b": "slash", "http://127.0.0.1/a%2fb": "slash", "https://a b": "https://",
	} {
		_, err := parseBaseURL(bad)
		require.ErrorContains(t, err, want, bad)
	}
}

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	f := func(change func(*Config), keys ...string) {
		t.Helper()
		c := defaults()
		c.BaseURL = "https://acme.okta.com"
		change(c)
		var got []string
		for _, e := range c.Validate() {
			got = append(got, e.Key)
			require.NotContains(t, e.Found+e.Accepted, "sandbox-")
		}
		require.Equal(t, keys, got)
	}
	token, key := secret.New("sandbox-token"), secret.New("sandbox-key")
	f(func(c *Config) { c.Auth.Token = token })
	f(func(c *Config) { c.Auth.ClientID, c.Auth.PrivateKey, c.Auth.KeyID = "c", key, "k" })
	f(func(c *Config) { c.Auth.ClientID, c.Auth.ClientSecret = "c", token })
	f(func(*Config) {}, "auth")
	f(func(c *Config) { c.Auth.ClientID = "c" }, "auth")
	f(func(c *Config) { c.Auth.Token, c.Auth.ClientID = token, "c" }, "auth")
	f(func(c *Config) { c.Auth.Token, c.Auth.PrivateKey = token, key }, "auth")
	f(func(c *Config) { c.Auth.ClientID, c.Auth.PrivateKey, c.Auth.ClientSecret = "c", key, token }, "auth")
	f(func(c *Config) { c.Auth.PrivateKey, c.Auth.KeyID = key, "k" }, "auth.client_id")
	f(func(c *Config) { c.Auth.ClientSecret = token }, "auth.client_id")
	f(func(c *Config) { c.Auth.ClientID, c.Auth.PrivateKey = "c", key }, "auth.key_id")
	f(func(c *Config) { c.Auth.Token, c.BaseURL = token, "https://acme-admin.okta.com" }, "base_url")
	f(func(c *Config) { c.Auth.Token, c.Logs.Since = token, 0 }, "logs.since")
	f(func(c *Config) { c.Auth.Token, c.ServiceUserTypes = token, []string{""} }, "service_user_types")
	f(func(c *Config) { c.Auth.Token, c.ServiceUserTypes = token, []string{"[a"} }, "service_user_types")
}

func TestClassify(t *testing.T) {
	t.Parallel()
	f := func(status int, body, challenge string, want fault.Class) {
		t.Helper()
		r := &httpx.Response{Status: status, Body: []byte(body), Header: http.Header{"X-Okta-Request-Id": {"req7"}}, Endpoint: "GET /x", At: noon}
		if challenge != "" {
			r.Header.Set("WWW-Authenticate", challenge)
		}
		err := classify(r)
		require.Error(t, err)
		require.Equal(t, want, fault.Of(err), "%d %s", status, body)
		require.ErrorContains(t, err, "req7")
	}
	for _, c := range []struct {
		status int
		code   string
		want   fault.Class
	}{
		{401, "E0000011", fault.Auth},
		{401, "E0000015", fault.NotLicensed},
		{403, "E0000006", fault.Forbidden},
		{404, "E0000007", fault.BadData},
		{400, "E0000001", fault.BadData},
		{400, "E0000003", fault.BadData},
		{400, "E0000053", fault.BadData},
		{400, "E0000031", fault.BadData},
		{403, "E0000038", fault.BadData},
		{403, "E0000017", fault.BadData},
		{405, "E0000022", fault.Permanent},
		{410, "E0000156", fault.BadData},
		{429, "E0000047", fault.Throttled},
		{500, "E0000009", fault.Transient},
		{503, "E0000010", fault.Transient},
		{403, "E9999999", fault.Forbidden},
		{418, "E1", fault.Transient},
	} {
		f(c.status, `{"errorCode":"`+c.code+`","errorSummary":"words","errorCauses":[]}`, "", c.want)
	}
	f(401, `{"error":"invalid_token","error_description":"expired"}`, "", fault.Auth)
	f(401, "", `Bearer error="invalid_token", error_description="x"`, fault.Auth)
	f(403, "", `Bearer error="insufficient_scope", error_description="x"`, fault.Forbidden)
	f(403, `{"error":"access_denied"}`, "", fault.Forbidden)
	f(400, `{"error":"consent_required"}`, "", fault.Forbidden)
	f(400, `{"error":"invalid_scope"}`, "", fault.Forbidden)
	f(400, `{"error":"invalid_dpop_proof"}`, "", fault.Auth)
	f(411, "", "", fault.Permanent)
	f(404, "<html>", "", fault.Transient) // a proxy's: proves nothing
	f(502, "<html>", "", fault.Transient)
	f(504, "", "", fault.Transient)
	require.NoError(t, classify(&httpx.Response{Status: 200}))
	gone := classify(&httpx.Response{Status: 404, Body: []byte(`{"errorCode":"E0000007"}`), Header: http.Header{}})
	require.True(t, isGone(gone))
	require.False(t, isGone(classify(&httpx.Response{Status: 404, Body: []byte(`<html>`), Header: http.Header{}})))
}

func TestQuota(t *testing.T) {
	t.Parallel()
	f := func(status int, limit, remaining string, reset time.Duration, skew time.Duration, want httpx.Quota) {
		t.Helper()
		r := &httpx.Response{Status: status, At: noon, Skew: skew, Header: http.Header{}}
		r.Header.Set("X-Rate-Limit-Limit", limit)
		r.Header.Set("X-Rate-Limit-Remaining", remaining)
		r.Header.Set("X-Rate-Limit-Reset", strconv.FormatInt(noon.Add(reset).Unix(), 10))
		require.Equal(t, want, quota(r))
	}
	f(200, "60", "59", 30*time.Second, 0, httpx.Quota{Known: true, Limit: 60, Remaining: 59, Reset: noon.Add(32 * time.Second)})
	f(200, "60", "6", 30*time.Second, 0, httpx.Quota{Known: true, Limit: 60, Remaining: 6, Reset: noon.Add(32 * time.Second), Park: true})
	f(200, "60", "7", 30*time.Second, -time.Minute, httpx.Quota{Known: true, Limit: 60, Remaining: 7, Reset: noon.Add(92 * time.Second)}) // the vendor's clock is behind
	f(429, "0", "0", 30*time.Second, 0, httpx.Quota{Known: true, Reset: noon.Add(32 * time.Second), Park: true})                          // too many at the same time
	f(429, "", "", -time.Hour, 0, httpx.Quota{Known: true, Reset: noon.Add(time.Second), Park: true})
	f(429, "60", "0", time.Hour, 0, httpx.Quota{Known: true, Limit: 60, Reset: noon.Add(2 * time.Minute), Park: true})
	f(200, "", "", 0, 0, httpx.Quota{})
	f(200, "x", "-1", 0, 0, httpx.Quota{})
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		pathLogs: "logs", pathUsers: "users", pathUser: "user", pathFactors: "other", pathUserRoles: "other", pathGroups: "groups", pathGroup: "group", pathGroupUsers: "other",
		pathApps: "apps", pathAppTokens: "apps", pathAppGrants: "apps", pathClients: "clients", pathClientRoles: "clients", pathAPITokens: "other", pathIntegrations: "integrations", pathOrg: "other",
	} {
		ids := make([]string, strings.Count(path, "{"))
		for i := range ids {
			ids[i] = "x"
		}
		got := bucketOf(&httpx.Request{Path: httpx.P(path, ids...)})
		require.Equal(t, want, got, path)
		require.Contains(t, buckets, got)
	}
}

func TestReroot(t *testing.T) {
	t.Parallel()
	s := &session{base: "http://127.0.0.1:1/t/acme", prefix: "/t/acme"}
	for in, want := range map[string]string{
		"": "", "https://acme.okta.com/api/v1/users?after=a%2Fb&limit=200": "/api/v1/users?after=a%2Fb&limit=200", "http://127.0.0.1:1/t/acme/api/v1/logs?after=1": "/api/v1/logs?after=1",
		"https://evil.example/api/v1/logs?after=1": "/api/v1/logs?after=1", "/api/v1/iam/assignees/users?after=x": "/api/v1/iam/assignees/users?after=x", "/integrations/api/v1/api-services?after=1": "/integrations/api/v1/api-services?after=1",
		"/oauth2/v1/clients?after=1": "/oauth2/v1/clients?after=1",
	} {
		got, err := s.reroot(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got)
	}
	for _, bad := range []string{
		"https://acme.okta.com/login", "https://acme.okta.com/", "/api/v1/../../admin", "/api/v1/./users", "/api/v1//evil.example/", "/api/v1/users%2f..", "//evil.example", "://", "/api/v1/x\n", "/api/v1/" + strings.Repeat("x", maxLink), "/api/v1/us\\ers", "api/v1/users", "/api/v1/users?after=\xff", "/api/v1/users?after=é",
	} {
		_, err := s.reroot(bad)
		require.Error(t, err, bad)
	}
}

func TestCursors(t *testing.T) {
	t.Parallel()
	for _, bad := range []sources.Cursor{"x", "{}", `{"v":2}`, `{"v":1,"x":1}`, `{"v":1,"at":"/evil"}`, `{"v":1,"at":"http://evil.example/api/v1/users"}`, `{"v":1,"time":-1}`, `{"v":1} ` + "x", "[]", "null"} {
		_, err := parseCursor(bad)
		require.Equal(t, fault.Expired, fault.Of(err), bad)
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(`{"v":1,"at":"/api/v1/logs?after=1","phase":"deprovisioned","time":1,"factors":true}`)
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		c, err := parseCursor(sources.Cursor(s))
		if err != nil {
			require.Equal(t, fault.Expired, fault.Of(err))
			return
		}
		again, err := parseCursor(c.String())
		require.NoError(t, err)
		require.Equal(t, c, again)
	})
}

func FuzzLink(f *testing.F) {
	f.Add("https://acme.okta.com/api/v1/logs?after=1")
	f.Add("//evil.example/api/v1/x")
	f.Fuzz(func(t *testing.T, link string) {
		s := &session{prefix: "/t/acme"}
		at, err := s.reroot(link)
		if err != nil || at == "" {
			return
		}
		require.True(t, goodLink(at))
		require.LessOrEqual(t, len(cursor{At: at, Phase: phaseDeprovisioned, Time: 1 << 62, Factors: true}.String()), sources.MaxCursor)
	})
}
