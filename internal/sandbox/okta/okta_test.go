package okta

import (
	"bufio"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	stdjson "encoding/json"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
)

var start = time.Date(2026, 10, 1, 9, 0, 0, 0, time.UTC)

// rig is one organization behind a server.
type rig struct {
	*testing.T
	h      *Handler
	clock  *clockwork.FakeClock
	base   string
	client *http.Client

	mu     sync.Mutex
	broken []string
}

func newRig(t *testing.T, change func(*Facts)) *rig {
	t.Helper()
	f := Default()
	f.Limits = map[string]int{}
	if change != nil {
		change(&f)
	}
	r := &rig{T: t, clock: clockwork.NewFakeClockAt(start)}
	world := org.New(org.Options{
		Name: "acme", Seed: 7, People: 90, Now: start, History: 7 * day,
		Log: org.Log{Late: 0.05, OutOfOrder: 0.1, Duplicates: 0.02, Equal: 0.1},
	})
	tenant := &sandbox.Tenant{App: org.Okta, Name: "acme", World: world, Clock: r.clock}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		tenant.World.Advance(r.clock.Now())
		r.h.ServeHTTP(w, q)
	}))
	t.Cleanup(server.Close)
	r.client = server.Client()
	r.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	r.base, tenant.Base = server.URL, server.URL
	r.h = New(tenant, f)
	r.h.violate = func(rule, detail string) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.broken = append(r.broken, rule)
		_ = detail
	}
	return r
}

type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) list(t *testing.T) []map[string]any {
	t.Helper()
	require.Equal(t, 200, a.status, string(a.body))
	var list []map[string]any
	require.NoError(t, stdjson.Unmarshal(a.body, &list), string(a.body))
	return list
}

func (a answer) object(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	require.NoError(t, stdjson.Unmarshal(a.body, &m), string(a.body))
	return m
}

func (a answer) code(t *testing.T) string {
	t.Helper()
	c, _ := a.object(t)["errorCode"].(string)
	return c
}

var linkPattern = regexp.MustCompile(`^<([^>]+)>; rel="(\w+)"$`)

func (a answer) next() string {
	for _, l := range a.header.Values("Link") {
		if m := linkPattern.FindStringSubmatch(l); m != nil && m[2] == "next" {
			return m[1]
		}
	}
	return ""
}

// get asks for a path, or the URL of a link, with the API token.
func (r *rig) get(path string, header ...string) answer {
	r.Helper()
	return r.do(http.MethodGet, path, nil, append([]string{"Authorization", "SSWS " + TokenValid}, header...)...)
}

func (r *rig) do(method, path string, body io.Reader, header ...string) answer {
	r.Helper()
	if strings.HasPrefix(path, "/") {
		path = r.base + path
	}
	q, err := http.NewRequest(method, path, body)
	require.NoError(r, err)
	q.Header.Set("User-Agent", "test/1")
	q.Header.Set("Accept", "application/json")
	for i := 0; i < len(header); i += 2 {
		if q.Header.Set(header[i], header[i+1]); header[i+1] == "" {
			q.Header[header[i]] = nil
		}
	}
	res, err := r.client.Do(q)
	require.NoError(r, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(r, err)
	require.Regexp(r, "^req", res.Header.Get("X-Okta-Request-Id"))
	require.Equal(r, r.clock.Now().Format(http.TimeFormat), res.Header.Get("Date"))
	return answer{res.StatusCode, res.Header, b}
}

// walk follows next links to the end.
func (r *rig) walk(path string) (all []map[string]any, pages int) {
	r.Helper()
	for path != "" {
		a := r.get(path)
		all = append(all, a.list(r.T)...)
		pages++
		path = a.next()
		require.Less(r, pages, 1000)
	}
	return all, pages
}

func (r *rig) state(fn func(*org.State)) { r.h.t.World.View(fn) }

func q(s string) string { return url.QueryEscape(s) }

func TestIDs(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, k := range []kind{kindUser, kindGroup, kindApp, kindAssignment, kindRole} {
		for n := range 2000 {
			s := id(7, k, n)
			require.Len(t, s, 20)
			require.True(t, strings.HasPrefix(s, string(k)))
			require.False(t, seen[s])
			seen[s] = true
			back, ok := number(7, k, s)
			require.True(t, ok)
			require.Equal(t, n, back)
			_, ok = number(8, k, s)
			require.False(t, ok, "of another organization")
		}
	}
	require.Regexp(t, "^[0-9a-f]{8}-[0-9a-f]{4}-1[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$", string(appendUUID(nil, 1, 2)))
	require.Equal(t, "IFIFAX2BIRGUSTQ", groupRoleID("APP_ADMIN"))
}

func TestLists(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(f *Facts) { f.Users, f.Groups, f.GroupUsers = Page{40, 40}, Page{7, 10000}, Page{9, 1000} })
	plain, pages := r.walk("/api/v1/users")
	require.GreaterOrEqual(t, pages, 3)
	hidden, _ := r.walk("/api/v1/users?filter=" + q(`status eq "DEPROVISIONED"`))
	require.NotEmpty(t, hidden)
	seen := map[string]bool{}
	for _, u := range plain {
		require.NotEqual(t, "DEPROVISIONED", u["status"])
		seen[u["id"].(string)] = true
	}
	for _, u := range hidden {
		require.Equal(t, "DEPROVISIONED", u["status"])
		seen[u["id"].(string)] = true
	}
	r.state(func(s *org.State) {
		n := 0
		for _, a := range s.Accounts[org.Okta] {
			if a.Gone.IsZero() {
				n++
				require.True(t, seen[id(seedOf(s), kindUser, a.N)])
			}
		}
		require.Len(t, seen, n)
		require.Len(t, plain, n-len(hidden))
	})
	first := plain[0]
	require.Equal(t, first["id"], r.get("/api/v1/users/" + first["id"].(string)).object(t)["id"])
	require.Equal(t, first["id"], r.get("/api/v1/users/" + first["profile"].(map[string]any)["login"].(string)).object(t)["id"])
	require.Equal(t, 200, r.get("/api/v1/users/me").status)
	require.Equal(t, "E0000007", r.get("/api/v1/users/00u0").code(t))
	require.Equal(t, 404, r.get("/api/v1/nothing").status)
	require.Equal(t, "E0000022", r.do("DELETE", "/api/v1/users/"+first["id"].(string), nil, "Authorization", "SSWS "+TokenValid).code(t))

	groups, pages := r.walk("/api/v1/groups?limit=7")
	require.Greater(t, pages, 1)
	members := 0
	for _, g := range groups {
		users, _ := r.walk("/api/v1/groups/" + g["id"].(string) + "/users?limit=9")
		owners, _ := r.walk("/api/v1/groups/" + g["id"].(string) + "/owners")
		members += len(users) + len(owners)
	}
	r.state(func(s *org.State) {
		want := 0
		for _, g := range s.Groups[org.Okta] {
			if g.Gone.IsZero() {
				want += len(g.Members)
			}
		}
		require.Equal(t, want, members)
	})
	for _, path := range []string{
		"/api/v1/iam/roles", "/api/v1/iam/resource-sets", "/api/v1/api-tokens", "/api/v1/apps?filter=" + q(`status eq "ACTIVE"`), "/oauth2/v1/clients",
		"/integrations/api/v1/api-services", "/api/v1/meta/types/user", "/api/v1/org", "/.well-known/openid-configuration", "/oauth2/v1/keys",
	} {
		a := r.get(path)
		require.Equal(t, 200, a.status, path)
		require.True(t, stdjson.Valid(a.body), path)
	}
	require.Equal(t, []string{"no such endpoint to write to"}, r.broken, "the DELETE of a user")
}

func TestIAMPagesInBody(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(f *Facts) { f.Assignees = Page{2, 100} })
	seen := map[string]bool{}
	path := "/api/v1/iam/assignees/users?limit=2"
	pages := 0
	for path != "" {
		a := r.get(path)
		require.Empty(t, a.header.Values("Link"))
		o := a.object(t)
		for _, v := range o["value"].([]any) {
			u := v.(map[string]any)["id"].(string)
			require.False(t, seen[u])
			seen[u] = true
			roles := r.get("/api/v1/users/" + u + "/roles").list(t)
			require.NotEmpty(t, roles)
			for _, role := range roles {
				require.Contains(t, []any{"USER", "GROUP"}, role["assignmentType"])
			}
		}
		path = ""
		if n, ok := o["_links"].(map[string]any)["next"]; ok {
			path = n.(map[string]any)["href"].(string)
		}
		pages++
	}
	require.Greater(t, pages, 2)
	r.state(func(s *org.State) { require.Len(t, seen, len(assigned(s))) })
	role := r.get("/api/v1/iam/roles").object(t)["roles"].([]any)[0].(map[string]any)["id"].(string)
	require.NotEmpty(t, r.get("/api/v1/iam/roles/" + role + "/permissions").object(t)["permissions"])
	set := r.get("/api/v1/iam/resource-sets").object(t)["resource-sets"].([]any)[0].(map[string]any)["id"].(string)
	require.Contains(t, r.get("/api/v1/iam/resource-sets/"+set+"/bindings").object(t), "roles")
	require.Contains(t, r.get("/api/v1/iam/resource-sets/"+set+"/bindings/"+role+"/members").object(t), "members")
}

func TestFilters(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	bad := func(path, code string) {
		t.Helper()
		a := r.get(path)
		require.Equal(t, 400, a.status, path)
		require.Equal(t, code, a.code(t), path)
	}
	for _, x := range []string{`status ne "ACTIVE"`, `profile.title eq "x"`, `profile.login sw "a"`, `status eq`, `status`, `(status eq "ACTIVE"`, `status eq "ACTIVE" or`, `status gt "A"`, `x[y eq "z"]`} {
		bad("/api/v1/users?filter="+q(x), "E0000031")
	}
	bad("/api/v1/groups?filter="+q(`name eq "x"`), "E0000031")
	bad("/api/v1/apps?filter="+q(`label eq "x"`), "E0000031")
	for _, x := range []string{`published gt "2026-01-01T00:00:00Z"`, `eventType zz "x"`, `target[0].id eq "x"`, `debugContext.debugData.url co "x"`} {
		bad("/api/v1/logs?filter="+q(x), "E0000053")
	}
	bad("/api/v1/logs?q=a+b+c+d+e+f+g+h+i+j+k", "E0000053")
	bad("/api/v1/logs?since="+q(stamp(start.Add(-181*day))), "E0000053")
	bad("/api/v1/logs?since=yesterday", "E0000053")

	since := stamp(start.Add(-30 * day))
	list, _ := r.walk("/api/v1/users?filter=" + q(`lastUpdated gt "`+since+`" and (status eq "ACTIVE" or status eq "SUSPENDED")`))
	require.NotEmpty(t, list)
	for _, u := range list {
		require.Greater(t, u["lastUpdated"].(string), since)
		require.Contains(t, []any{"ACTIVE", "SUSPENDED"}, u["status"])
	}
	all, _ := r.walk("/api/v1/users?search=" + q(`created gt "2000-01-01T00:00:00.000Z"`))
	plain, _ := r.walk("/api/v1/users")
	require.Greater(t, len(all), len(plain))
	events := r.get("/api/v1/logs?limit=50&filter=" + q(`eventType eq "user.session.start" and outcome.result eq "FAILURE"`)).list(t)
	require.NotEmpty(t, events)
	for _, e := range events {
		require.Equal(t, "user.session.start", e["eventType"])
		require.Equal(t, "FAILURE", e["outcome"].(map[string]any)["result"])
	}
}

func TestSearchLags(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.clock.Advance(6 * time.Hour)
	r.get("/api/v1/org")
	find := func(kind string) int {
		list, _ := r.walk("/api/v1/users?" + kind + "=" + q(`lastUpdated gt "`+stamp(start)+`"`))
		return len(list)
	}
	want := find("filter")
	require.Positive(t, want)
	require.Equal(t, want, find("search"))
	r.h.SetFaults(Faults{SearchLag: 12 * time.Hour})
	require.Equal(t, want, find("filter"))
	require.Zero(t, find("search"))
}

func TestLogsPolling(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	since := start.Add(-3 * day)
	path := "/api/v1/logs?since=" + q(stamp(since)) + "&limit=200&sortOrder=ASCENDING"
	var all []map[string]any
	poll := func() {
		for {
			a := r.get(path)
			links := a.header.Values("Link")
			require.Len(t, links, 2, "self and next, a line each")
			page := a.list(t)
			all = append(all, page...)
			require.NotContains(t, a.next(), "since=")
			path = a.next()
			if len(page) < 200 {
				return
			}
		}
	}
	poll()
	r.clock.Advance(2 * time.Hour)
	poll()
	r.clock.Advance(10 * time.Second)
	poll()
	a := r.get("/api/v1/logs?limit=0")
	require.Equal(t, "[]", string(a.body))
	require.NotEmpty(t, a.next())

	backwards, twice := 0, 0
	ids := map[string]bool{}
	for i, e := range all {
		if ids[e["uuid"].(string)] {
			twice++
		}
		ids[e["uuid"].(string)] = true
		if i > 0 && e["published"].(string) < all[i-1]["published"].(string) {
			backwards++
		}
	}
	require.Positive(t, backwards, "late events come behind")
	require.Positive(t, twice, "some come twice")
	r.state(func(s *org.State) {
		for _, e := range s.Events[org.Okta] {
			if !e.Seen.Before(since) {
				require.True(t, ids[string(appendUUID(nil, seedOf(s), e.N))])
			}
		}
	})
	require.Empty(t, r.broken)

	// Bounded: ordered, with an end, without those that were late.
	bounded, _ := r.walk("/api/v1/logs?since=" + q(stamp(since)) + "&until=" + q(stamp(start)) + "&limit=100")
	got := map[string]bool{}
	for i, e := range bounded {
		require.False(t, got[e["uuid"].(string)])
		got[e["uuid"].(string)] = true
		require.True(t, i == 0 || e["published"].(string) >= bounded[i-1]["published"].(string))
	}
	r.state(func(s *org.State) {
		late := 0
		for _, e := range s.Timeline[org.Okta] {
			if e.At.Before(since) || !e.At.Before(start) {
				continue
			}
			isLate := e.Seen.Sub(e.At) > 2*time.Minute
			require.Equal(t, !isLate, got[string(appendUUID(nil, seedOf(s), e.N))])
			if isLate {
				late++
			}
		}
		require.Positive(t, late)
	})
	down, _ := r.walk("/api/v1/logs?sortOrder=DESCENDING&since=" + q(stamp(since)) + "&until=" + q(stamp(start)) + "&limit=100")
	require.Len(t, down, len(bounded))
	require.Equal(t, bounded[0]["uuid"], down[len(down)-1]["uuid"])
}

func TestLogsRules(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	a := r.get("/api/v1/logs?since=" + q(stamp(start.Add(-time.Hour))) + "&limit=1000")
	next := a.next()
	r.get(next)
	require.Equal(t, []string{"log polled too soon"}, r.broken)
	r.broken = nil
	require.Equal(t, 400, r.get("/api/v1/logs?after=1790812800123_1").status)
	require.Equal(t, []string{"crafted cursor"}, r.broken)
	r.broken = nil
	r.h.SetFaults(Faults{RefuseAfter: 1})
	require.Equal(t, "E0000053", r.get(next).code(t))
	require.Equal(t, 200, r.get(next).status)
	r.h.SetFaults(Faults{LogTimeoutAbove: 500})
	require.Equal(t, "E0000009", r.get("/api/v1/logs?limit=1000").code(t))
	require.Equal(t, 200, r.get("/api/v1/logs?limit=500").status)
	require.Equal(t, 400, r.get("/api/v1/users?after=abc").status)
	r.get("/api/v1/logs?limit=2000")
	r.do("GET", "/api/v1/org", nil, "Authorization", "SSWS "+TokenValid, "User-Agent", "Go-http-client/1.1", "Accept", "")
	require.Subset(t, r.broken, []string{"crafted cursor", "limit over the cap", "no user agent of its own", "no accept"})

	r.h.SetLinks("https://login.example.com")
	require.True(t, strings.HasPrefix(r.get("/api/v1/logs").next(), "https://login.example.com/api/v1/logs?"))
}

func TestLimits(t *testing.T) {
	t.Parallel()
	r := newRig(t, func(f *Facts) { f.Limits = map[string]int{bucketLogs: 6, bucketOther: 100} })
	for i := range 3 {
		a := r.get("/api/v1/logs?limit=1")
		require.Equal(t, "3", a.header.Get("X-Rate-Limit-Limit"))
		require.Equal(t, fmt.Sprint(2-i), a.header.Get("X-Rate-Limit-Remaining"))
		require.Equal(t, fmt.Sprint(start.Unix()+60), a.header.Get("X-Rate-Limit-Reset"))
	}
	require.Empty(t, r.broken)
	a := r.get("/api/v1/logs?limit=1")
	require.Equal(t, 429, a.status)
	require.Equal(t, "E0000047", a.code(t))
	require.Empty(t, a.header.Get("Retry-After"))
	require.Equal(t, []string{"over the rate limit"}, r.broken)
	require.Equal(t, 200, r.get("/api/v1/org").status, "another bucket")
	r.clock.Advance(time.Minute)
	require.Equal(t, 200, r.get("/api/v1/logs?limit=1").status)

	l := newLimiter(Default())
	var last verdict
	for range 76 {
		last = l.take("a", bucketOther, start, nil)
	}
	require.False(t, last.ok)
	require.Zero(t, last.limit)
	require.Zero(t, last.remaining)
	require.Contains(t, last.broken, "too many at once by one client")
	l.take("b", bucketLogs, start, nil)
	require.Contains(t, l.take("b", bucketLogs, start, nil).broken, "two log requests at once")
}

func TestLengthRequired(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	f := func(header string, status string) {
		t.Helper()
		c, err := net.Dial("tcp", strings.TrimPrefix(r.base, "http://"))
		require.NoError(t, err)
		defer c.Close()
		_, err = fmt.Fprintf(c, "POST /api/v1/users/x/lifecycle/suspend HTTP/1.1\r\nHost: x\r\nUser-Agent: x\r\n%sConnection: close\r\n\r\n", header)
		require.NoError(t, err)
		line, err := bufio.NewReader(c).ReadString('\n')
		require.NoError(t, err)
		require.Contains(t, line, status)
	}
	f("", "411")
	f("Content-Length: 0\r\n", "401") // it has a length, and no credentials
}

func TestAPIToken(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, x := range []string{"SSWS " + TokenExpired, "SSWS " + TokenZone, "SSWS x", "", "Basic x", "Bearer " + TokenValid} {
		a := r.get("/api/v1/org", "Authorization", x)
		require.Equal(t, 401, a.status)
		require.Equal(t, "E0000011", a.code(t))
	}
	r.h.SetFaults(Faults{MissingRoles: []string{"okta.logs.read"}})
	require.Equal(t, "E0000006", r.get("/api/v1/logs").code(t))
	require.Equal(t, 200, r.get("/api/v1/users").status)
}

// signer signs tokens with an EC or RSA key.
type signer struct {
	key crypto.Signer
	kid string
}

func (s signer) jwk() map[string]any {
	b64 := base64.RawURLEncoding.EncodeToString
	switch k := s.key.Public().(type) {
	case *rsa.PublicKey:
		return map[string]any{"kty": "RSA", "n": b64(k.N.Bytes()), "e": b64(big.NewInt(int64(k.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		if err != nil {
			panic(err)
		}
		return map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
	}
	panic("no such key")
}

func (s signer) sign(t *testing.T, header, claims map[string]any) string {
	t.Helper()
	header["alg"] = map[bool]string{true: "RS256", false: "ES256"}[s.isRSA()]
	var parts []string
	for _, m := range []any{header, claims} {
		raw, err := stdjson.Marshal(m)
		require.NoError(t, err)
		parts = append(parts, base64.RawURLEncoding.EncodeToString(raw))
	}
	text := strings.Join(parts, ".")
	sum := sha256.Sum256([]byte(text))
	var sig []byte
	if s.isRSA() {
		var err error
		sig, err = s.key.Sign(rand.Reader, sum[:], crypto.SHA256)
		require.NoError(t, err)
	} else {
		a, b, err := ecdsa.Sign(rand.Reader, s.key.(*ecdsa.PrivateKey), sum[:])
		require.NoError(t, err)
		sig = append(a.FillBytes(make([]byte, 32)), b.FillBytes(make([]byte, 32))...)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

func (s signer) isRSA() bool { _, ok := s.key.(*rsa.PrivateKey); return ok }

func newSigners(t *testing.T) (rsaKey, ecKey signer) {
	t.Helper()
	a, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	b, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return signer{a, "rsa"}, signer{b, "ec"}
}

var serial struct {
	sync.Mutex
	n int
}

func jti() string {
	serial.Lock()
	defer serial.Unlock()
	serial.n++
	return fmt.Sprintf("jti-%d", serial.n)
}

func (r *rig) assertion(s signer, change func(c map[string]any)) string {
	c := map[string]any{"iss": "svc", "sub": "svc", "aud": r.base + "/oauth2/v1/token", "exp": r.clock.Now().Add(5 * time.Minute).Unix(), "iat": r.clock.Now().Unix(), "jti": jti()}
	if change != nil {
		change(c)
	}
	return s.sign(r.T, map[string]any{"kid": s.kid}, c)
}

func (r *rig) token(assertion, scope string, header ...string) answer {
	r.Helper()
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {scope}, "client_assertion": {assertion},
		"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
	}
	return r.post(form, header...)
}

func (r *rig) post(form url.Values, header ...string) answer {
	r.Helper()
	return r.do("POST", "/oauth2/v1/token", strings.NewReader(form.Encode()), append([]string{"Content-Type", "application/x-www-form-urlencoded"}, header...)...)
}

func TestClientCredentials(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	rk, ek := newSigners(t)
	other, _ := newSigners(t)
	r.h.AddClient(Client{ID: "svc", Keys: []Key{{"rsa", rk.key.Public()}, {"ec", ek.key.Public()}}, Scopes: []string{"okta.users.read", "okta.logs.read"}})
	for _, s := range []signer{rk, ek} {
		a := r.token(r.assertion(s, nil), "okta.users.read")
		require.Equal(t, 200, a.status, string(a.body))
		o := a.object(t)
		require.Equal(t, "Bearer", o["token_type"])
		require.EqualValues(t, 3600, o["expires_in"])
		require.NotContains(t, o, "refresh_token")
	}
	refused := func(assertion string) {
		t.Helper()
		a := r.token(assertion, "okta.users.read")
		require.Equal(t, 401, a.status, string(a.body))
		require.Equal(t, "invalid_client", a.object(t)["error"])
	}
	once := r.assertion(rk, nil)
	require.Equal(t, 200, r.token(once, "okta.users.read").status)
	refused(once)
	refused(r.assertion(other, nil))
	refused(r.assertion(rk, func(c map[string]any) { c["aud"] = r.base }))
	refused(r.assertion(rk, func(c map[string]any) { c["aud"] = r.base + "/oauth2/v1/token/" }))
	refused(r.assertion(rk, func(c map[string]any) { c["exp"] = r.clock.Now().Add(61 * time.Minute).Unix() }))
	refused(r.assertion(rk, func(c map[string]any) { c["exp"] = r.clock.Now().Unix() }))
	refused(r.assertion(rk, func(c map[string]any) { c["iat"] = r.clock.Now().Add(time.Minute).Unix() }))
	refused(r.assertion(rk, func(c map[string]any) { c["sub"] = "x" }))
	refused("a.b.c")
	a := r.post(url.Values{"grant_type": {"client_credentials"}, "client_id": {"svc"}, "client_secret": {"x"}, "scope": {"okta.users.read"}})
	require.Equal(t, "invalid_client", a.object(t)["error"])

	wrong := func(scope, code string) {
		t.Helper()
		a := r.token(r.assertion(rk, nil), scope)
		require.Equal(t, 400, a.status)
		require.Equal(t, code, a.object(t)["error"])
	}
	wrong("okta.nothing.read", "invalid_scope")
	wrong("okta.groups.read", "consent_required")
	wrong("okta.groups.read okta.users.read", "invalid_scope")

	bearer := func() string {
		return "Bearer " + r.token(r.assertion(rk, nil), "okta.users.read okta.logs.read").object(t)["access_token"].(string)
	}
	tok := bearer()
	require.Equal(t, 200, r.get("/api/v1/users?limit=1", "Authorization", tok).status)
	a = r.get("/api/v1/groups", "Authorization", tok)
	require.Equal(t, 403, a.status)
	require.Contains(t, a.header.Get("WWW-Authenticate"), "insufficient_scope")
	r.clock.Advance(time.Hour)
	a = r.get("/api/v1/users", "Authorization", tok)
	require.Equal(t, 401, a.status)
	require.Contains(t, a.header.Get("WWW-Authenticate"), "invalid_token")
	tok = bearer()
	r.h.ExpireTokens()
	require.Equal(t, "E0000011", r.get("/api/v1/users", "Authorization", tok).code(t))
	tok = bearer()
	r.h.SetFaults(Faults{MissingScopes: []string{"okta.logs.read"}})
	require.Equal(t, 403, r.get("/api/v1/logs", "Authorization", tok).status)
	require.Equal(t, 200, r.get("/api/v1/users", "Authorization", tok).status)
	wrong("okta.logs.read", "consent_required")
}

func TestDPoP(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	rk, ek := newSigners(t)
	r.h.AddClient(Client{ID: "svc", Keys: []Key{{"rsa", rk.key.Public()}}, Scopes: []string{"okta.users.read"}, DPoP: true})
	proof := func(method, path string, change func(c map[string]any)) string {
		c := map[string]any{"htm": method, "htu": r.base + path, "iat": r.clock.Now().Unix(), "jti": jti()}
		if change != nil {
			change(c)
		}
		return ek.sign(t, map[string]any{"typ": "dpop+jwt", "jwk": ek.jwk()}, c)
	}
	fails := func(a answer, code string) {
		t.Helper()
		require.Equal(t, 400, a.status, string(a.body))
		require.Equal(t, code, a.object(t)["error"], string(a.body))
	}
	fails(r.token(r.assertion(rk, nil), "okta.users.read"), "invalid_dpop_proof")
	first := r.assertion(rk, nil)
	a := r.token(first, "okta.users.read", "DPoP", proof("POST", "/oauth2/v1/token", nil))
	fails(a, "use_dpop_nonce")
	nonce := a.header.Get("dpop-nonce")
	withNonce := func(c map[string]any) { c["nonce"] = nonce }
	require.Equal(t, 401, r.token(first, "okta.users.read", "DPoP", proof("POST", "/oauth2/v1/token", withNonce)).status, "the assertion has been used")
	a = r.token(r.assertion(rk, nil), "okta.users.read", "DPoP", proof("POST", "/oauth2/v1/token", withNonce))
	require.Equal(t, 200, a.status, string(a.body))
	require.Equal(t, "DPoP", a.object(t)["token_type"])
	tok := a.object(t)["access_token"].(string)
	sum := sha256.Sum256([]byte(tok))
	ath := func(c map[string]any) { c["ath"] = base64.RawURLEncoding.EncodeToString(sum[:]) }
	use := func(p string) answer {
		return r.get("/api/v1/users?limit=1", "Authorization", "DPoP "+tok, "DPoP", p)
	}
	good := proof("GET", "/api/v1/users", ath)
	require.Equal(t, 200, use(good).status)
	fails(use(good), "invalid_dpop_proof")
	fails(use(proof("GET", "/api/v1/users?limit=1", ath)), "invalid_dpop_proof")
	fails(use(proof("POST", "/api/v1/users", ath)), "invalid_dpop_proof")
	fails(use(proof("GET", "/api/v1/users", nil)), "invalid_dpop_proof")
	fails(use(proof("GET", "/api/v1/users", func(c map[string]any) { ath(c); c["iat"] = r.clock.Now().Add(-6 * time.Minute).Unix() })), "invalid_dpop_proof")
	fails(r.get("/api/v1/users", "Authorization", "Bearer "+tok), "invalid_request")
	r.clock.Advance(2 * day)
	require.Equal(t, 200, r.token(r.assertion(rk, nil), "okta.users.read", "DPoP", proof("POST", "/oauth2/v1/token", withNonce)).status, "an old nonce works three days")
	r.clock.Advance(3 * day)
	fails(r.token(r.assertion(rk, nil), "okta.users.read", "DPoP", proof("POST", "/oauth2/v1/token", withNonce)), "use_dpop_nonce")
}

func TestAuthorizationCode(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	r.h.AddClient(Client{ID: "web", Secret: "sandbox-secret", Scopes: []string{"okta.users.read"}, RedirectURIs: []string{"http://127.0.0.1:1/cb"}, Rotate: true})
	verifier := strings.Repeat("v", 43)
	sum := sha256.Sum256([]byte(verifier))
	v := url.Values{
		"client_id": {"web"}, "response_type": {"code"}, "scope": {"offline_access okta.users.read"}, "redirect_uri": {"http://127.0.0.1:1/cb"}, "state": {"s"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(sum[:])}, "code_challenge_method": {"S256"},
	}
	consent := func() url.Values {
		a := r.do("GET", "/oauth2/v1/authorize?"+v.Encode(), nil)
		require.Equal(t, 302, a.status)
		u, err := url.Parse(a.header.Get("Location"))
		require.NoError(t, err)
		return u.Query()
	}
	back := consent()
	require.Equal(t, "s", back.Get("state"))
	form := url.Values{"grant_type": {"authorization_code"}, "code": {back.Get("code")}, "redirect_uri": {"http://127.0.0.1:1/cb"}, "code_verifier": {verifier}, "client_id": {"web"}, "client_secret": {"sandbox-secret"}}
	a := r.post(form)
	require.Equal(t, 200, a.status, string(a.body))
	first := a.object(t)["refresh_token"].(string)
	require.Equal(t, "invalid_grant", r.post(form).object(t)["error"], "a code is good once")
	refresh := func(token string) answer {
		return r.post(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {"web"}, "client_secret": {"sandbox-secret"}})
	}
	second := refresh(first).object(t)["refresh_token"].(string)
	require.NotEqual(t, first, second)
	require.Equal(t, 200, refresh(first).status, "within the leeway")
	r.clock.Advance(31 * time.Second)
	require.Equal(t, 400, refresh(first).status)
	require.Equal(t, 400, refresh(second).status, "the whole family is refused")
	v.Del("state")
	require.Equal(t, "invalid_request", consent().Get("error"))
}

func FuzzFilter(f *testing.F) {
	f.Add(`status eq "ACTIVE" and (a pr or not (b gt "x"))`)
	f.Add(`((`)
	f.Fuzz(func(t *testing.T, s string) {
		e, err := parseFilter(s, func(string, string) bool { return true })
		if err == nil {
			e.holds(func(a string) []string { return []string{a} })
		}
	})
}

func FuzzJWS(f *testing.F) {
	f.Add("e30.e30.AA")
	f.Fuzz(func(t *testing.T, s string) {
		if j, err := parseJWS(s); err == nil {
			_ = j.audience()
			if key, _, err := publicKey(j.header.JWK); err == nil {
				_ = j.verify(key)
			}
		}
	})
}

// Two organizations of one sandbox have no id in common: an agent must be able
// to tell that it reaches another one.
func TestOrganizationsHaveIDsOfTheirOwn(t *testing.T) {
	t.Parallel()
	acme, globex := org.State{Name: "acme", Seed: 7}, org.State{Name: "globex", Seed: 7}
	for _, k := range []kind{kindOrg, kindUser, kindGroup, kindApp} {
		require.NotEqual(t, id(seedOf(&acme), k, 0), id(seedOf(&globex), k, 0))
		_, ok := number(seedOf(&globex), k, id(seedOf(&acme), k, 0))
		require.False(t, ok)
	}
	require.NotEqual(t, appendUUID(nil, seedOf(&acme), 1), appendUUID(nil, seedOf(&globex), 1))
}
