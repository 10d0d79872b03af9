package googleworkspace

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/sources/httpx"
)

// The vendor's answers, as section 7 of the sheet has them.
func TestClassify(t *testing.T) {
	t.Parallel()
	of := func(domain, reason, message string) string {
		return `{"error":{"code":1,"message":"` + message + `","errors":[{"domain":"` + domain + `","reason":"` + reason + `","message":"` + message + `"}]}}`
	}
	for _, c := range []struct {
		status     int
		body       string
		class      fault.Class
		says       string
		isPersonal bool
	}{
		{401, of("global", "authError", "Invalid Credentials"), fault.Auth, "delegation", false},
		{401, `{"error":{"code":401,"message":"Request had invalid authentication credentials.","status":"UNAUTHENTICATED"}}`, fault.Auth, "invalid authentication", false},
		{401, of("global", "authError", "Access denied. You are not authorized to read activity records."), fault.Forbidden, "Reports", false},
		{401, of("global", "authError", "Active session is invalid. Error code: 4"), fault.BadData, "Active session", false},
		{403, of("global", "domainPolicy", "The domain administrators have disabled Drive apps."), fault.BadData, "disabled", false},
		{403, of("global", "insufficientPermissions", "Insufficient Permission"), fault.Forbidden, "scope", false},
		{403, `{"error":{"code":403,"message":"Request had insufficient authentication scopes.","errors":[{"domain":"global","reason":"insufficientPermissions"}],"status":"PERMISSION_DENIED","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"ACCESS_TOKEN_SCOPE_INSUFFICIENT","domain":"googleapis.com"}]}}`, fault.Forbidden, "ACCESS_TOKEN_SCOPE_INSUFFICIENT", false},
		{403, `{"error":{"code":403,"message":"Admin SDK API has not been used in project 1","errors":[{"domain":"usageLimits","reason":"accessNotConfigured","extendedHelp":"https://console.developers.google.com"}],"details":[{"reason":"SERVICE_DISABLED","metadata":{"activationUrl":"https://console.developers.google.com/apis/api/admin.googleapis.com/overview?project=1"}}]}}`, fault.Forbidden, "overview?project=1", false},
		{403, of("global", "forbidden", "Not Authorized to access this resource/api"), fault.Forbidden, "admin role", false},
		{403, of("global", "insufficientFilePermissions", "The user does not have sufficient permissions"), fault.BadData, "", false},
		{403, of("usageLimits", "userRateLimitExceeded", "User Rate Limit Exceeded"), fault.Throttled, "", true},
		{403, of("usageLimits", "rateLimitExceeded", "Rate Limit Exceeded"), fault.Throttled, "", false},
		{403, of("usageLimits", "quotaExceeded", "Quota exceeded"), fault.Throttled, "", false},
		{403, of("usageLimits", "somethingNew", "Slow down"), fault.Throttled, "", false},
		{403, of("usageLimits", "dailyLimitExceeded", "Daily Limit Exceeded"), fault.Throttled, "", false},
		{429, of("usageLimits", "rateLimitExceeded", "Too many"), fault.Throttled, "", false},
		{429, "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute' of service", fault.Throttled, "Queries", false},
		{403, "Request rate higher than configured. Slow down.", fault.Throttled, "rate higher", false},
		{503, "Quota exceeded for the current request", fault.Throttled, "", false},
		{404, of("global", "notFound", "Resource Not Found: userKey"), fault.BadData, "userKey", false},
		{404, "<html>Not found</html>", fault.Transient, "no JSON", false},
		{400, of("global", "invalid", "Invalid Input"), fault.BadData, "Invalid Input", false},
		{412, of("global", "conditionNotMet", "Precondition"), fault.BadData, "", false},
		{500, of("global", "internalError", "Internal"), fault.Transient, "", false},
		{503, of("global", "backendError", "Backend Error"), fault.Transient, "", false},
		{502, "<!DOCTYPE html><html><title>Error 502</title></html>", fault.Transient, "no JSON", false},
		{403, "", fault.Forbidden, "no JSON", false},
		{401, "", fault.Auth, "", false},
		{403, `{"error":"access_denied"}`, fault.Forbidden, "", false},
		{403, `{"error":{"errors":[]}}`, fault.Forbidden, "", false},
	} {
		r := &httpx.Response{Status: c.status, Header: http.Header{}, Body: []byte(c.body), Endpoint: "GET /x"}
		v := newVendor(t, func(*http.Request, string, string) answer { return answer{status: c.status, body: c.body} })
		_, err := v.open(nil).admin(scopeUsers).Do(t.Context(), &httpx.Request{Path: httpx.P("/x"), Method: http.MethodPost})
		require.Equal(t, c.class, fault.Of(err), "%d %s: %v", c.status, c.body, err)
		require.ErrorContains(t, err, c.says)
		require.Equal(t, c.isPersonal, personal(r), "%d %s", c.status, c.body)
		require.NoError(t, classify(&httpx.Response{Status: 204}))
	}
}

// What the token endpoint says of one user concerns that user alone; of the
// administrator, the credentials.
func TestTokenRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code, description string
		admin, other      fault.Class
		says              string
	}{
		{"unauthorized_client", "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.", fault.Forbidden, fault.Forbidden, "client id 100200300"},
		{"invalid_grant", "Invalid email or User ID", fault.Auth, fault.BadData, ""},
		{"invalid_grant", "Not a valid email or user ID.", fault.Auth, fault.BadData, ""},
		{"invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe", fault.Auth, fault.Auth, "clock"},
		{"invalid_grant", "Invalid JWT Signature.", fault.Auth, fault.Auth, "another key"},
		{"invalid_grant", "account not found", fault.Auth, fault.Auth, "deleted"},
		{"access_denied", "Account restricted", fault.Auth, fault.BadData, ""},
		{"invalid_scope", "empty or missing scope not allowed", fault.Forbidden, fault.Forbidden, scopeUsers},
		{"internal_failure", "Backend Error", fault.Transient, fault.Transient, ""},
	} {
		v := newVendor(t, func(*http.Request, string, string) answer { return answer{body: "{}"} })
		v.refuse = func(string, string) (string, string) { return c.code, c.description }
		s := v.open(nil)
		_, err := s.admin(scopeUsers).Do(t.Context(), &httpx.Request{Path: httpx.P("/x")})
		require.Equal(t, c.admin, fault.Of(err), "%s %s: %v", c.code, c.description, err)
		require.ErrorContains(t, err, c.says)
		_, err = s.as("ana@example.com", scopeUsers).Do(t.Context(), &httpx.Request{Path: httpx.P("/x")})
		require.Equal(t, c.other, fault.Of(err), "%s %s: %v", c.code, c.description, err)
		require.NotContains(t, err.Error(), "PRIVATE")
	}
}

// A token that ended or was revoked is replaced once, and the page asked for
// again.
func TestTokenEndsMidPage(t *testing.T) {
	t.Parallel()
	v := newVendor(t, nil)
	refused := 0
	base := customer(t)
	v.script = func(r *http.Request, subject, scopes string) answer {
		if r.URL.Path == pathUsers && refused == 0 {
			refused++
			return answer{status: 401, body: refusalOf(401, "authError", "Invalid Credentials")}
		}
		return base(r, subject, scopes)
	}
	// The pretended vendor gives the same text again: another token it is by its
	// time.
	s := v.open(nil)
	_, err := s.Tenant(t.Context())
	require.NoError(t, err)
	err = s.Probe(t.Context(), "accounts")
	require.Equal(t, fault.Auth, fault.Of(err), "the same token again is none")
	require.NoError(t, s.Probe(t.Context(), "accounts"))
	require.Equal(t, 3, len(v.tokens), "%v", v.tokens)
}

// What the vendor answers never makes the classification fail.
func FuzzClassify(f *testing.F) {
	f.Add(403, `{"error":{"code":403,"message":"m","errors":[{"domain":"usageLimits","reason":"userRateLimitExceeded"}],"details":[{"reason":"X","metadata":{"activationUrl":"u"}}]}}`)
	f.Add(401, `{"error":{"errors":[{"reason":1}],"details":null}}`)
	f.Add(429, "Quota exceeded \xff")
	f.Add(404, `{"error":"text"}`)
	f.Fuzz(func(t *testing.T, status int, body string) {
		r := &httpx.Response{Status: status, Header: http.Header{}, Body: []byte(body)}
		e := refusal(r)
		_, _ = personal(r), e.activation()
		if strings.HasPrefix(strings.TrimSpace(body), "<") && e.message != "no JSON" {
			t.Fatal("a page has no words")
		}
	})
}
