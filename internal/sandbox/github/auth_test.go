package github

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox/org"
)

func TestTokens(t *testing.T) {
	t.Parallel()
	r := small(t, nil)
	w := r.get("/user", "Authorization", "")
	require.Equal(t, 401, w.Code)
	w = r.get("/user", "Authorization", "Bearer nobody")
	require.Equal(t, 401, w.Code)
	require.Contains(t, w.Body.String(), "Bad credentials")
	w = r.ok("/user")
	require.Equal(t, "admin:org, read:audit_log, read:user, user:email, repo, workflow, admin:enterprise, scim:enterprise", w.Header().Get("X-OAuth-Scopes"))
}

// What is missing shows as GitHub shows it: refused with what is needed, or
// hidden.
func TestScopes(t *testing.T) {
	t.Parallel()
	r := small(t, nil)
	repo := decode[[]object](t, r.ok("/orgs/acme/repos?type=private"))[0]["full_name"].(string)
	f := func(scope, target string, status int, accepted string) {
		t.Helper()
		r.h.SetTrouble(Trouble{})
		r.ok(target)
		r.h.SetTrouble(Trouble{MissingScopes: []string{scope}})
		w := r.get(target)
		require.Equal(t, status, w.Code, target)
		require.Equal(t, accepted, w.Header().Get("X-Accepted-OAuth-Scopes"))
		require.NotContains(t, w.Header().Get("X-OAuth-Scopes"), scope)
	}
	f("read:audit_log", "/orgs/acme/audit-log", 403, "read:audit_log")
	f("read:org", "/orgs/acme/members", 403, "read:org")
	f("read:org", "/orgs/acme/teams", 403, "read:org")
	f("read:org", "/orgs/acme/credential-authorizations", 403, "read:org")
	f("admin:org", "/orgs/acme/organization-roles", 403, "admin:org")
	f("repo", "/repos/"+repo+"/keys", 404, "repo")
	f("read:org", "/repos/"+repo+"/collaborators", 403, "repo")
}

func TestOrganizationRefuses(t *testing.T) {
	t.Parallel()
	r := small(t, nil)
	r.h.SetTrouble(Trouble{SAML: true})
	w := r.get("/orgs/acme/members")
	require.Equal(t, 403, w.Code)
	require.Regexp(t, `^required; url=http`, w.Header().Get("X-GitHub-SSO"))
	r.ok("/user")
	w = r.request(http.MethodPost, "/graphql", body(membersQuery, object{"org": "acme"}))
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Body.String(), `"saml_failure":true`)
	r.h.SetTrouble(Trouble{IPBlocked: true})
	require.Contains(t, r.get("/orgs/acme/members").Body.String(), "IP allow list enabled")
	r.h.SetTrouble(Trouble{PartialResults: true})
	require.Regexp(t, `^partial-results; organizations=\d+$`, r.ok("/orgs/acme/members").Header().Get("X-GitHub-SSO"))
	r.h.SetTrouble(Trouble{HostileLinks: true})
	require.Contains(t, next(r.ok("/orgs/acme/members?per_page=2")), "https://attacker.example/")
}

// appKey is one for all: making one takes long.
var appKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return key
})

// app registers an App and returns how it signs assertions.
func (r *rig) app() (App, func(iat, exp time.Time, alg string) string) {
	key := appKey()
	a := App{ID: 4711, ClientID: "Iv23sandbox", Slug: "weir", Key: &key.PublicKey, Permissions: AppPermissions()}
	r.h.RegisterApp(a)
	return a, func(iat, exp time.Time, alg string) string {
		part := func(v any) string {
			b, err := json.Marshal(v)
			require.NoError(r.t, err)
			return base64.RawURLEncoding.EncodeToString(b)
		}
		text := part(object{"alg": alg, "typ": "JWT"}) + "." + part(object{"iat": iat.Unix(), "exp": exp.Unix(), "iss": a.ClientID})
		sum := sha256.Sum256([]byte(text))
		sig, err := rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:])
		require.NoError(r.t, err)
		return text + "." + base64.RawURLEncoding.EncodeToString(sig)
	}
}

func (r *rig) mint(assertion string) string {
	r.token = assertion
	id := int64(decode[object](r.t, r.ok("/orgs/acme/installation"))["id"].(float64))
	w := r.request(http.MethodPost, "/app/installations/"+itoa(id)+"/access_tokens", "")
	require.Equal(r.t, 201, w.Code, "%s", w.Body)
	return decode[object](r.t, w)["token"].(string)
}

func TestApp(t *testing.T) {
	t.Parallel()
	r := small(t, nil)
	_, sign := r.app()
	f := func(iat, exp time.Duration, alg string, status int) {
		t.Helper()
		r.token = sign(start.Add(iat), start.Add(exp), alg)
		require.Equal(t, status, r.get("/app").Code)
	}
	f(-time.Minute, 9*time.Minute, "RS256", 200)
	f(-time.Minute, 9*time.Minute, "HS256", 401)
	f(-time.Minute, 11*time.Minute, "RS256", 401)
	f(2*time.Minute, 9*time.Minute, "RS256", 401)
	f(-9*time.Minute, -time.Second, "RS256", 401)
	good := sign(start, start.Add(9*time.Minute), "RS256")
	r.token = good[:len(good)-4] + "AAAA"
	require.Equal(t, 401, r.get("/app").Code)
	r.token = good
	require.Equal(t, 403, r.get("/orgs/acme/members").Code) // an assertion is no token
	require.Equal(t, 404, r.request(http.MethodPost, "/app/installations/1/access_tokens", "").Code)

	token := r.mint(good)
	r.token = token
	r.ok("/orgs/acme/members")
	r.ok("/orgs/acme/audit-log")
	require.Equal(t, 403, r.get("/user").Code)
	require.Equal(t, 403, r.get("/enterprises/acme-enterprise/audit-log").Code)
	pats, _ := r.walk("/orgs/acme/personal-access-tokens?per_page=3")
	require.NotEmpty(t, pats)
	r.walk("/orgs/acme/personal-access-token-requests")
	r.h.SetTrouble(Trouble{MissingScopes: []string{"members"}})
	w := r.get("/orgs/acme/members")
	require.Equal(t, 403, w.Code)
	require.Equal(t, "members=read", w.Header().Get("X-Accepted-GitHub-Permissions"))
	require.Contains(t, w.Body.String(), "Resource not accessible by integration")

	// Tokens end after an hour, or when the scenario wants it.
	r.h.SetTrouble(Trouble{TokenRequests: 12})
	n := 0
	for r.get("/orgs/acme").Code == 200 {
		n++
		require.Less(t, n, 12)
	}
	require.Equal(t, 401, r.get("/orgs/acme").Code)
	r.h.SetTrouble(Trouble{})
	r.token = r.mint(good)
	r.clock.Advance(time.Hour - time.Second)
	r.ok("/orgs/acme")
	r.clock.Advance(time.Second)
	require.Equal(t, 401, r.get("/orgs/acme").Code)
}

func TestConsent(t *testing.T) {
	t.Parallel()
	r := small(t, nil)
	verifier := "a-verifier-that-is-long-enough-to-be-one-of-them"
	sum := sha256.Sum256([]byte(verifier))
	ask := func(extra url.Values) url.Values {
		q := url.Values{
			"client_id": {OAuthClientID}, "redirect_uri": {"http://127.0.0.1:9/callback"}, "scope": {"read:org read:audit_log"}, "state": {"s"},
			"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
		}
		for k, v := range extra {
			q[k] = v
		}
		w := r.get("/login/oauth/authorize?" + q.Encode())
		require.Equal(t, 302, w.Code)
		u, err := url.Parse(w.Header().Get("Location"))
		require.NoError(t, err)
		require.Equal(t, "s", u.Query().Get("state"))
		return u.Query()
	}
	exchange := func(code string, change url.Values) object {
		form := url.Values{
			"client_id": {OAuthClientID}, "client_secret": {OAuthClientSecret}, "code": {code},
			"redirect_uri": {"http://127.0.0.1:9/callback"}, "code_verifier": {verifier},
		}
		for k, v := range change {
			form[k] = v
		}
		w := r.request(http.MethodPost, "/login/oauth/access_token", form.Encode(), "Accept", "application/json", "Content-Type", "application/x-www-form-urlencoded")
		require.Equal(t, 200, w.Code) // errors, too
		return decode[object](t, w)
	}
	require.Equal(t, "access_denied", ask(url.Values{"decision": {"deny"}}).Get("error"))
	require.Equal(t, "invalid_request", ask(url.Values{"code_challenge_method": {"plain"}}).Get("error"))

	code := ask(nil).Get("code")
	got := exchange(code, nil)
	require.Equal(t, "read:audit_log,read:org", got["scope"])
	require.Equal(t, "bad_verification_code", exchange(code, nil)["error"]) // single use
	r.token = got["access_token"].(string)
	r.ok("/orgs/acme/members")
	require.Equal(t, 403, r.get("/orgs/acme/organization-roles").Code)
	r.h.SetTrouble(Trouble{OAuthBlocked: true})
	require.Contains(t, r.get("/orgs/acme/members").Body.String(), "OAuth App access restrictions")
	r.h.SetTrouble(Trouble{})

	f := func(want string, change url.Values) {
		t.Helper()
		require.Equal(t, want, exchange(ask(nil).Get("code"), change)["error"])
	}
	f("incorrect_client_credentials", url.Values{"client_secret": {"wrong"}})
	f("redirect_uri_mismatch", url.Values{"redirect_uri": {"http://127.0.0.1:9/other"}})
	f("bad_verification_code", url.Values{"code_verifier": {"another"}})
	code = ask(nil).Get("code")
	r.clock.Advance(10 * time.Minute)
	require.Equal(t, "bad_verification_code", exchange(code, nil)["error"])
	require.Equal(t, "read:org", exchange(ask(url.Values{"granted": {"read:org"}}).Get("code"), nil)["scope"])

	// The eleventh token of one user, app and scopes ends the first.
	first := r.token
	for range 9 {
		exchange(ask(nil).Get("code"), nil)
	}
	r.ok("/orgs/acme")
	exchange(ask(nil).Get("code"), nil)
	r.token = first
	require.Equal(t, 401, r.get("/orgs/acme").Code)
}

func TestLimits(t *testing.T) {
	t.Parallel()
	change := func(f *Facts) { f.CorePerHour, f.AuditPerHour, f.GraphQLPerHour = 5, 3, 2 }
	f := func(limit int, bucket string, ask func(r *rig) (int, http.Header, string)) {
		t.Helper()
		r := newRig(t, "acme", 20, change, org.Log{})
		for i := range limit {
			code, head, _ := ask(r)
			require.Equal(t, 200, code)
			require.Equal(t, strconv.Itoa(limit), head.Get("X-RateLimit-Limit"))
			require.Equal(t, strconv.Itoa(limit-i-1), head.Get("X-RateLimit-Remaining"))
			require.Equal(t, strconv.Itoa(i+1), head.Get("X-RateLimit-Used"))
			require.Equal(t, bucket, head.Get("X-RateLimit-Resource"))
			require.Equal(t, itoa(start.Add(time.Hour).Unix()), head.Get("X-RateLimit-Reset"))
		}
		require.Empty(t, r.violations)
		code, head, text := ask(r)
		require.Contains(t, []int{403, 429}, code)
		require.Equal(t, "0", head.Get("X-RateLimit-Remaining"))
		require.Contains(t, text, "API rate limit exceeded for user ID ")
		require.Equal(t, []string{"rate_limit"}, r.violations)
		r.ok("/rate_limit") // is free
		r.clock.Advance(time.Hour)
		code, _, _ = ask(r)
		require.Equal(t, 200, code)
	}
	get := func(target string) func(r *rig) (int, http.Header, string) {
		return func(r *rig) (int, http.Header, string) {
			w := r.get(target)
			return w.Code, w.Header(), w.Body.String()
		}
	}
	f(5, "core", get("/orgs/acme"))
	f(3, "audit_log", get("/orgs/acme/audit-log"))
	f(2, "graphql", func(r *rig) (int, http.Header, string) {
		w := r.request(http.MethodPost, "/graphql", body("{viewer{login}}", nil))
		return w.Code, w.Header(), w.Body.String()
	})
}

func TestSecondaryLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t, "acme", 20, func(f *Facts) { f.SecondaryPerMinute = 3 }, org.Log{})
	for range 3 {
		r.ok("/orgs/acme")
	}
	w := r.get("/orgs/acme")
	require.Equal(t, 403, w.Code)
	require.Contains(t, w.Body.String(), "secondary rate limit")
	require.Equal(t, "60", w.Header().Get("Retry-After"))
	require.Equal(t, []string{"secondary_limit"}, r.violations)
	r.clock.Advance(59 * time.Second)
	require.Equal(t, 403, r.get("/orgs/acme").Code)
	require.Equal(t, []string{"secondary_limit", "retry_after"}, r.violations)
	r.clock.Advance(time.Second)
	r.ok("/orgs/acme")

	// On demand, it is no fault of the client's.
	storm := newRig(t, "acme", 20, nil, org.Log{})
	storm.h.SetTrouble(Trouble{SecondaryEvery: 2, SecondaryMute: true})
	storm.ok("/orgs/acme")
	w = storm.get("/orgs/acme")
	require.Equal(t, 403, w.Code)
	require.Empty(t, w.Header().Get("Retry-After"))
	require.Empty(t, storm.violations)
}
