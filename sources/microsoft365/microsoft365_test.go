package microsoft365

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/secret"
	"weir/sources"
	"weir/sources/httpx"
)

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	f := func(change func(*Config), keys ...string) {
		t.Helper()
		c := defaults()
		c.TenantID, c.Auth.ClientID, c.Auth.ClientSecret = testTenant, testClient, secret.New("sandbox-secret")
		change(c)
		var got []string
		for _, e := range c.Validate() {
			got = append(got, e.Key)
			require.NotContains(t, e.Found+e.Accepted, "sandbox-")
		}
		require.Equal(t, keys, got)
	}
	none, some := secret.Secret{}, secret.New("sandbox-key")
	f(func(*Config) {})
	f(func(c *Config) { c.Auth.ClientSecret, c.Auth.Certificate, c.Auth.PrivateKey = none, some, some })
	f(func(c *Config) { c.Auth.ClientSecret = none }, "auth")
	f(func(c *Config) { c.Auth.Certificate = some }, "auth")
	f(func(c *Config) { c.Auth.ClientSecret, c.Auth.Certificate = none, some }, "auth.private_key")
	f(func(c *Config) { c.Auth.ClientSecret, c.Auth.PrivateKey = none, some }, "auth.certificate")
	f(func(c *Config) { c.TenantID = "common" }, "tenant_id")
	f(func(c *Config) { c.Auth.ClientID = "weir" }, "auth.client_id")
	for _, bad := range []string{"graph.microsoft.com", "http://graph.microsoft.com", "https://graph.microsoft.com/", "https://graph.microsoft.com/v1.0", "https://a:b@c", "https://a?x=1", "ftp://127.0.0.1"} {
		f(func(c *Config) { c.GraphBaseURL = bad }, "graph_base_url")
	}
	for _, good := range []string{"https://graph.example", "http://127.0.0.1:8080/microsoft365/acme/graph", "http://localhost:1"} {
		f(func(c *Config) {
			c.GraphBaseURL, c.LoginBaseURL, c.ManageBaseURL, c.SharePointBaseURL = good, good, good, good
		})
	}
}

// Audiences follow the cloud, wherever requests go.
func TestHosts(t *testing.T) {
	t.Parallel()
	c := defaults()
	c.Cloud, c.GraphBaseURL, c.ManageBaseURL = "dod", "https://gateway.example", "https://gateway.example"
	require.Equal(t, hosts{
		login: "https://login.microsoftonline.us", graph: "https://gateway.example", manage: "https://gateway.example",
		graphAudience: "https://dod-graph.microsoft.us", manageAudience: "https://manage.protection.apps.mil", sharePoint: ".sharepoint-mil.us",
	}, c.hosts())
	c.Cloud = "china"
	require.Empty(t, c.hosts().manage)
	s := newVendor(t, func(*http.Request) answer { return answer{} }).open(func(c *Config) { c.Cloud = "china" })
	require.Nil(t, s.manage)
}

func TestClassify(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	f := func(status int, body string, header map[string]string, want fault.Class, code string, wait time.Duration) {
		t.Helper()
		r := &httpx.Response{Status: status, Body: []byte(body), Header: http.Header{"Request-Id": {"req7"}}, Endpoint: "GET /x", At: at}
		for k, v := range header {
			r.Header.Set(k, v)
		}
		err := classify(r)
		require.Equal(t, want, fault.Of(err), "%d %s: %v", status, body, err)
		require.Equal(t, code, httpx.CodeOf(err))
		require.Equal(t, wait, fault.RetryAfter(err))
		require.ErrorContains(t, err, "req7")
	}
	g := func(code string) string {
		return `{"error":{"code":"` + code + `","message":"m","innerError":{"code":"inner"}}}`
	}
	f(401, g("InvalidAuthenticationToken"), nil, fault.Auth, "InvalidAuthenticationToken", 0)
	f(401, "", nil, fault.Auth, "", 0)
	f(403, g("Authorization_RequestDenied"), nil, fault.Forbidden, "Authorization_RequestDenied", 0)
	f(403, g("Authentication_MSGraphPermissionMissing"), nil, fault.Forbidden, "Authentication_MSGraphPermissionMissing", 0)
	f(403, g("Authentication_RequestFromNonPremiumTenantOrB2CTenant"), nil, fault.NotLicensed, "Authentication_RequestFromNonPremiumTenantOrB2CTenant", 0)
	f(403, g("AF429"), map[string]string{"Retry-After": "2.128"}, fault.Throttled, "AF429", 2128*time.Millisecond)
	f(403, "{'error':{'code':'AF429','message':'Too many requests. Method=GetBlob, it's the tenant's'}}", nil, fault.Throttled, "AF429", 0)
	f(500, "{'error':{'code':'AF50000','message':'An internal error occurred. Retry the request.'}}", nil, fault.Transient, "AF50000", 0)
	f(403, `{"error":{"code":"AF10001","message":"x"}}`, nil, fault.Forbidden, "AF10001", 0)
	f(400, `{"error":{"code":"AF20031","message":"x"}}`, nil, fault.Expired, "AF20031", 0)
	f(400, `{"error":{"code":"","message":"Tenant 5f1e does not exist."}}`, nil, fault.Forbidden, "", 0)
	f(429, `{"error":{"code":"TooManyRequests","innerError":{"code":"429"}}}`, map[string]string{"Retry-After": "7", "RateLimit-Reset": "30"}, fault.Throttled, "TooManyRequests", 30*time.Second)
	f(503, g("serviceNotAvailable"), map[string]string{"Retry-After": "7"}, fault.Throttled, "serviceNotAvailable", 7*time.Second)
	f(503, g("serviceNotAvailable"), nil, fault.Transient, "serviceNotAvailable", 0)
	f(509, "", nil, fault.Throttled, "", 0)
	f(410, `{"error":{"code":"UnknownError","innererror":{"code":"resyncRequired","innererror":{"code":"resyncApplyDifferences"}}}}`, nil, fault.Expired, "resyncRequired", 0)
	f(404, g("Request_ResourceNotFound"), nil, fault.BadData, "Request_ResourceNotFound", 0)
	f(404, "<html>", nil, fault.Transient, "", 0) // a proxy's: proves nothing
	f(423, g("resourceLocked"), nil, fault.Transient, "resourceLocked", 0)
	f(502, "<html>", nil, fault.Transient, "", 0)
	require.NoError(t, classify(&httpx.Response{Status: 204}))
	q := quota(&httpx.Response{At: at, Header: http.Header{"Ratelimit-Limit": {"1250"}, "Ratelimit-Remaining": {"0"}, "Ratelimit-Reset": {"12"}}})
	require.Equal(t, httpx.Quota{Known: true, Limit: 1250, Reset: at.Add(12 * time.Second), Park: true}, q)
}

func TestBuckets(t *testing.T) {
	t.Parallel()
	for p, want := range map[string]string{
		pathUsers: bucketDirectory, pathMembers: bucketDirectory, pathBatch: bucketBatches, pathRegistrations: bucketReports, pathFilesBatch: bucketFiles,
		"/v1.0/auditLogs/signIns": bucketReports, "/beta/auditLogs/signIns": bucketReports, "/v1.0/sites/{id}/drives": bucketFiles, "/v1.0/drives/{id}/root/delta": bucketFiles, "/v1.0/users/{id}/drive": bucketFiles,
	} {
		var ids []string
		if strings.Contains(p, "{") {
			ids = []string{"x"}
		}
		require.Equal(t, want, bucketOf(&httpx.Request{Path: httpx.P(p, ids...)}), p)
	}
}

// The tenant is the configured one; a token for another is refused.
func TestTenant(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(*http.Request) answer { return answer{} })
	s := v.open(nil)
	id, err := s.Tenant(t.Context())
	require.NoError(t, err)
	require.Equal(t, testTenant, id)
	who, err := s.Identity(t.Context())
	require.NoError(t, err)
	require.Equal(t, sources.Identity{ID: testClient, Kind: sources.IdentityApp, Roles: []string{"Group.Read.All", "User.Read.All"}}, who)
	v.tid = "11111111-2222-3333-4444-555555555555"
	_, err = v.open(nil).Tenant(t.Context())
	require.Equal(t, fault.Auth, fault.Of(err))
	require.ErrorContains(t, err, v.tid)
}

func TestConsent(t *testing.T) {
	t.Parallel()
	s := newVendor(t, func(*http.Request) answer { return answer{} }).open(nil)
	c, err := Connector.Consent(s.env, s.cfg)
	require.NoError(t, err)
	require.Equal(t, s.hosts.login+"/"+testTenant+"/v2.0/adminconsent", c.AuthorizeURL)
	require.Equal(t, []string{"https://graph.microsoft.com/.default"}, c.Scopes)
	grant, err := c.Admin(t.Context(), url.Values{"tenant": {testTenant}, "admin_consent": {"True"}})
	require.NoError(t, err)
	require.Equal(t, []string{"Group.Read.All", "User.Read.All"}, grant.Scopes)
	_, err = c.Admin(t.Context(), url.Values{"tenant": {"other"}, "admin_consent": {"True"}})
	require.Equal(t, fault.Auth, fault.Of(err))
}

func TestCursor(t *testing.T) {
	t.Parallel()
	c := cursor{Version: cursorVersion, At: "/v1.0/users?$skiptoken=a%2Fb&x=1", Done: "u1", Phase: phaseDeleted, Delta: "/v1.0/users/delta?$deltatoken=z"}
	got, err := parseCursor(c.String())
	require.NoError(t, err)
	require.Equal(t, c, got)
	for _, bad := range []sources.Cursor{"x", `{"v":2}`, `{"v":1,"at":"https://evil.example/"}`, `{"v":1,"new":1}`} {
		_, err := parseCursor(bad)
		require.Equal(t, fault.Expired, fault.Of(err), bad)
	}
	c.At = "/" + strings.Repeat("a", maxLink-1)
	require.LessOrEqual(t, len(c.String()), sources.MaxCursor)
	got, err = parseCursor(c.String())
	require.NoError(t, err)
	require.Empty(t, got.Delta, "the next reading is a complete one")
}

func FuzzRefusal(f *testing.F) {
	f.Add([]byte(`{"error":{"code":"x","innerError":{"code":"y"}}}`))
	f.Add([]byte("{'error':{'code':'AF429','message':'it's'}}"))
	f.Add([]byte(`{"odata.error":{"code":"-1","message":{"lang":"en","value":"m"}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		require.Error(t, classify(&httpx.Response{Status: 400, Body: body, Header: http.Header{}}))
	})
}

func FuzzCursor(f *testing.F) {
	f.Add(`{"v":1,"at":"/v1.0/users?$skiptoken=x"}`)
	f.Fuzz(func(t *testing.T, c string) {
		got, err := parseCursor(sources.Cursor(c))
		if err != nil {
			require.Equal(t, fault.Expired, fault.Of(err))
			return
		}
		_, err = parseCursor(got.String())
		require.NoError(t, err)
	})
}

func FuzzClaims(f *testing.F) {
	f.Add("a.eyJ0aWQiOiJ4In0.b")
	f.Fuzz(func(t *testing.T, token string) {
		c, err := readClaims(token, testTenant)
		require.True(t, err == nil || fault.Of(err) == fault.Auth)
		require.True(t, err != nil || c.Tenant == "" || lower(c.Tenant) == testTenant)
	})
}
