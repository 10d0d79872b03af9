package googleworkspace

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
)

// Assertions are checked in all that they say (3.1, 3.6).
func TestAssertions(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{})
	const scope = "admin.directory.user.readonly"
	admin := r.h.Subject()
	good := func(change func(object)) object {
		c := r.claims(admin, scope)
		change(c)
		return c
	}
	for name, x := range map[string]struct {
		claims object
		status int
		code   string
		says   string
	}{
		"good":              {good(func(object) {}), 200, "", ""},
		"prn":               {good(func(c object) { delete(c, "sub"); c["prn"] = admin }), 200, "", ""},
		"vendor's audience": {good(func(c object) { c["aud"] = tokenURI }), 200, "", ""},
		"another audience":  {good(func(c object) { c["aud"] = "https://elsewhere.example" }), 400, "invalid_grant", "audience"},
		"two hours":         {good(func(c object) { c["exp"] = c["iat"].(int64) + 7200 }), 400, "invalid_grant", "short-lived"},
		"over":              {good(func(c object) { c["iat"], c["exp"] = c["iat"].(int64)-7200, c["iat"].(int64)-3600 }), 400, "invalid_grant", "short-lived"},
		"ahead":             {good(func(c object) { c["iat"], c["exp"] = c["iat"].(int64)+900, c["iat"].(int64)+1800 }), 400, "invalid_grant", "short-lived"},
		"unknown subject":   {good(func(c object) { c["sub"] = "nobody@acme.example" }), 400, "invalid_grant", "Invalid email or User ID"},
		"unknown issuer":    {good(func(c object) { c["iss"] = "x@elsewhere.iam.gserviceaccount.com" }), 400, "invalid_grant", "account not found"},
		"scope too many":    {good(func(c object) { c["scope"] = c["scope"].(string) + " " + scopeURL("gmail.readonly") }), 401, "unauthorized_client", "not authorized for any of the scopes"},
		"no scope":          {good(func(c object) { c["scope"] = "" }), 400, "invalid_scope", "empty or missing scope"},
	} {
		a := r.assert(x.claims)
		require.Equal(t, x.status, a.status, "%s: %s", name, a.text)
		if x.code != "" {
			require.Equal(t, x.code, a.body["error"], name)
			require.Contains(t, a.body["error_description"], x.says, name)
		} else {
			require.EqualValues(t, 3599, a.body["expires_in"])
			require.NotContains(t, a.body, "refresh_token")
		}
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	a := r.token(url.Values{"grant_type": {r.h.facts.GrantType}, "assertion": {r.sign(key, r.claims(admin, scope))}})
	require.Equal(t, "Invalid JWT Signature.", a.body["error_description"])
	a = r.token(url.Values{"grant_type": {"assertion"}, "assertion_type": {"http://oauth.net/grant_type/jwt/1.0/bearer"}, "assertion": {r.sign(sandboxKey(), r.claims(admin, scope))}})
	require.Equal(t, 200, a.status, "the older form works too")
	r.h.SetFaults(Faults{Unauthorized: []string{scope}})
	require.Equal(t, "unauthorized_client", r.assert(r.claims(admin, scope)).body["error"])
	require.Equal(t, 200, r.assert(r.claims(admin, "admin.directory.group.readonly")).status)
	r.h.SetFaults(Faults{Restricted: []string{admin}})
	require.Equal(t, "access_denied", r.assert(r.claims(admin, scope)).body["error"])
	r.h.SetFaults(Faults{KeyDeleted: true})
	require.Equal(t, "invalid_grant", r.assert(r.claims(admin, scope)).body["error"])
	r.s.NoViolations()
}

// A suspended user can be acted as, a deleted one cannot.
func TestSubjects(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{})
	for _, a := range r.accounts(func(_ *org.State, a *org.Account) bool { return a.Gone.IsZero() }) {
		want := 200
		if a.Status == org.Deprovisioned {
			want = 400
		}
		require.Equal(t, want, r.assert(r.claims(a.Login, "drive.metadata.readonly")).status, a.Status)
	}
}

// A service account may act for itself, by the roles that it holds (3.3).
func TestServiceAccount(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{})
	c := r.claims("", "admin.directory.user.readonly", "admin.directory.group.readonly")
	r.state(func(s *org.State) { c["iss"] = r.h.serviceEmail(s, s.Integrations[app][org.GoogleHRSync]) })
	r.bearer = r.assert(c).body["access_token"].(string)
	a := r.get("users?customer=my_customer")
	require.Equal(t, 400, a.status)
	require.Equal(t, "Invalid Input", a.body["error"].(object)["message"])
	require.Equal(t, 200, r.get("users?customer="+r.h.customer).status)
	require.Equal(t, 403, r.get("groups?customer="+r.h.customer).status, "its role is of users")
	c["sub"] = r.h.Subject()
	require.Equal(t, 401, r.assert(c).status, "nothing was delegated to it")
}

// Tokens end, in the middle of a list too.
func TestTokenLife(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 40})
	r.h.SetFaults(Faults{TokenLife: time.Minute})
	r.bearer = r.as(r.h.Subject())
	a := r.get("users?customer=my_customer&maxResults=10")
	require.Equal(t, 200, a.status)
	r.s.Fake.Advance(61 * time.Second)
	next := "users?customer=my_customer&maxResults=10&pageToken=" + url.QueryEscape(a.next())
	b := r.get(next)
	require.Equal(t, 401, b.status)
	require.Equal(t, "authError", b.reason())
	r.bearer = r.as(r.h.Subject())
	require.Equal(t, 200, r.get(next).status)
	r.h.ExpireTokens()
	require.Equal(t, 401, r.get(next).status)
}

// Scopes and privileges that are missing are told apart (7).
func TestForbidden(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 60})
	r.bearer = r.as(r.h.Subject(), "admin.directory.group.readonly")
	a := r.get("users?customer=my_customer")
	require.Equal(t, 403, a.status)
	require.Equal(t, "insufficientPermissions", a.reason())
	require.Contains(t, a.text, "ACCESS_TOKEN_SCOPE_INSUFFICIENT")
	require.Contains(t, a.head.Get("WWW-Authenticate"), "insufficient_scope")

	r.bearer = r.as(r.plain().Login)
	for _, path := range []string{"users?customer=my_customer", "groups?customer=my_customer", "customer/my_customer/roles", "customer/my_customer/orgunits?type=all"} {
		a = r.get(path)
		require.Equal(t, 403, a.status, path)
		require.Equal(t, "forbidden", a.reason(), path)
	}
	a = r.get("/admin/reports/v1/activity/users/all/applications/login")
	require.Equal(t, 401, a.status)
	require.Contains(t, a.text, "not authorized to read activity records")

	r.bearer = r.as(r.h.Subject())
	r.h.SetFaults(Faults{Disabled: []string{"admin"}})
	a = r.get("users?customer=my_customer")
	require.Equal(t, 403, a.status)
	require.Equal(t, "accessNotConfigured", a.reason())
	r.h.SetFaults(Faults{})
	r.h.t.TakeScopes(scopeURL("admin.directory.user.readonly"), "admin.directory.user")
	require.Equal(t, 403, r.get("users?customer=my_customer").status, "also for tokens that exist")
	require.Equal(t, 401, r.assert(r.claims(r.h.Subject(), "admin.directory.user")).status)
	r.h.t.TakeScopes()
	require.Equal(t, 200, r.get("users?customer=my_customer").status)
}

// Keyless: the vendor signs for a workload that may have that done (3.2).
func TestSignJwt(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{})
	c := r.claims(r.h.Subject(), "admin.directory.user.readonly")
	payload, err := json.Marshal(c)
	require.NoError(t, err)
	path := "/v1/projects/-/serviceAccounts/" + c["iss"].(string) + ":signJwt"
	require.Equal(t, 401, r.send(http.MethodPost, path, object{"payload": string(payload)}).status)
	r.bearer = AmbientToken
	a := r.send(http.MethodPost, path, object{"payload": string(payload), "delegates": []string{}})
	require.Equal(t, 200, a.status, a.text)
	a = r.token(url.Values{"grant_type": {r.h.facts.GrantType}, "assertion": {a.body["signedJwt"].(string)}})
	require.Equal(t, 200, a.status, a.text)
	require.Equal(t, 403, r.send(http.MethodPost, "/v1/projects/-/serviceAccounts/x@y.iam.gserviceaccount.com:signJwt", object{"payload": "{}"}).status)
}

// A person consents once; the refresh token stays, until it dies (3.4).
func TestConsent(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{})
	verifier := strings.Repeat("v", 50)
	sum := sha256.Sum256([]byte(verifier))
	q := url.Values{
		"response_type": {"code"}, "client_id": {OAuthClientID}, "redirect_uri": {"http://127.0.0.1:9/cb"}, "scope": {scopeURL("admin.directory.user.readonly")}, "access_type": {"offline"},
		"prompt": {"consent"}, "state": {"s"}, "code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	consent := func() url.Values {
		a := r.get("/o/oauth2/v2/auth?" + q.Encode())
		require.Equal(t, 302, a.status)
		u, err := url.Parse(a.head.Get("Location"))
		require.NoError(t, err)
		require.Equal(t, "s", u.Query().Get("state"))
		return u.Query()
	}
	form := url.Values{"grant_type": {"authorization_code"}, "client_id": {OAuthClientID}, "client_secret": {OAuthClientSecret}, "redirect_uri": q["redirect_uri"], "code_verifier": {verifier}}
	form.Set("code", consent().Get("code"))
	a := r.token(form)
	require.Equal(t, 200, a.status, a.text)
	require.Equal(t, scopeURL("admin.directory.user.readonly"), a.body["scope"])
	require.Equal(t, 400, r.token(form).status, "a code is good for once")
	again := url.Values{"grant_type": {"refresh_token"}, "client_id": {OAuthClientID}, "client_secret": {OAuthClientSecret}, "refresh_token": {a.body["refresh_token"].(string)}}
	for range 2 {
		b := r.token(again)
		require.Equal(t, 200, b.status)
		require.NotContains(t, b.body, "refresh_token")
		r.bearer = b.body["access_token"].(string)
		require.Equal(t, 200, r.get("users?customer=my_customer").status)
	}
	r.h.SetFaults(Faults{Rapt: true})
	require.Contains(t, r.token(again).text, "invalid_rapt")
	r.h.SetFaults(Faults{})
	require.Equal(t, 200, r.do(http.MethodPost, r.base+"/revoke", strings.NewReader("token="+url.QueryEscape(again.Get("refresh_token"))), "Content-Type", "application/x-www-form-urlencoded").status)
	b := r.token(again)
	require.Equal(t, 400, b.status)
	require.Equal(t, "invalid_grant", b.body["error"])
	again.Set("client_secret", "wrong")
	require.Equal(t, "invalid_client", r.token(again).body["error"])
	q.Set("decision", "deny")
	require.Equal(t, "access_denied", consent().Get("error"))
	r.s.NoViolations()
}
