package sandbox_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/internal/sandbox/sandboxtest"
	"weir/schemas"
)

// toy is a vendor with two endpoints.
type toy struct {
	*http.ServeMux
	t *sandbox.Tenant
}

func newToy(t *sandbox.Tenant) sandbox.Handler {
	h := &toy{http.NewServeMux(), t}
	h.HandleFunc("GET /users", func(w http.ResponseWriter, r *http.Request) {
		if h.t.TokenExpired(r) {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if h.t.CursorExpired(r) {
			w.WriteHeader(http.StatusGone)
			return
		}
		if m := h.t.MissingScopes(r); len(m) > 0 {
			w.Header().Set("Missing", strings.Join(m, " "))
			w.WriteHeader(http.StatusForbidden)
			return
		}
		h.t.World.View(func(s *org.State) {
			for _, a := range s.Accounts[org.Okta] {
				fmt.Fprintln(w, a.Login)
			}
		})
	})
	h.HandleFunc("POST /users/{id}", func(http.ResponseWriter, *http.Request) {})
	return h
}

func (h *toy) Truth(s *org.State, rows *schemas.Rows) {
	for _, a := range s.Accounts[org.Okta] {
		rows.Accounts = append(rows.Accounts, schemas.Account{AccountID: fmt.Sprint(a.N), Login: a.Login, IsAdmin: schemas.Some(a.N == 0), CreatedAt: schemas.Time(a.Created.UnixMilli())})
	}
}

func (h *toy) Config(base string) string { return "app: toy\nbase_url: " + base + "\n" }

func (h *toy) Throttled(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Toy-Wait", "5")
	w.WriteHeader(http.StatusTooManyRequests)
}

func start(t *testing.T, scenario string) *sandboxtest.Sandbox {
	t.Helper()
	s, err := sandbox.ParseScenario("test", []byte(scenario))
	require.NoError(t, err)
	return sandboxtest.Start(t, sandbox.Options{Vendors: []sandbox.Vendor{{App: "toy", New: newToy}}, Scenario: s, Tenants: []string{"acme"}})
}

func get(t *testing.T, url string) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	req.Header.Set("User-Agent", "test")
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func TestTenants(t *testing.T) {
	t.Parallel()
	s := start(t, "doc: x")
	resp, body, err := get(t, s.URL+"/toy/acme/users")
	require.NoError(t, err)
	require.Equal(t, 200, resp.StatusCode)
	require.Contains(t, body, "@acme.example")
	_, other, err := get(t, s.URL+"/toy/beta/users")
	require.NoError(t, err)
	require.Contains(t, other, "@beta.example")
	require.Same(t, s.World("acme"), s.Tenant("toy", "acme").World)
	for _, path := range []string{"/none/acme/users", "/toy/ACME/users", "/toy/%2e%2e/users", "/toy//users", "/toy/-a/x", "/_sandbox/none", "/_sandbox/truth/none", "/_sandbox/truth/collection_runs"} {
		resp, _, err := get(t, s.URL+path)
		require.NoError(t, err)
		require.Equal(t, 404, resp.StatusCode, path)
	}
	s.NoViolations()
}

func TestTenantsAreMadeOnce(t *testing.T) {
	t.Parallel()
	s := start(t, "doc: x")
	var wg sync.WaitGroup
	found := make([]*sandbox.Tenant, 20)
	for i := range found {
		wg.Go(func() { found[i], _ = s.Server.Tenant("toy", "acme", s.URL) })
	}
	wg.Wait()
	for _, f := range found {
		require.Same(t, found[0], f)
	}
}

func TestTruth(t *testing.T) {
	t.Parallel()
	s := start(t, "doc: x")
	_, all, err := get(t, s.URL+"/_sandbox/truth/accounts")
	require.NoError(t, err)
	require.Contains(t, all, `"instance":"acme-toy"`, "a tenant of the options is there before it is asked for")
	s.Tenant("toy", "beta")
	_, body, err := get(t, s.URL+"/_sandbox/truth/accounts?app=toy&tenant=acme")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(body), "\n")
	require.Len(t, lines, len(s.Truth("toy", "acme").Accounts))
	var first map[string]any
	require.NoError(t, json.Unmarshal([]byte(lines[0]), &first))
	require.Equal(t, "toy", first["app"])
	require.Equal(t, "acme-toy", first["instance"])
	require.Equal(t, true, first["is_admin"])
	require.Nil(t, first["external"])
	require.Contains(t, first, "external")
	require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, first["created_at"])
	require.NotContains(t, first, "raw")
	require.NotContains(t, first, "change")
	_, all, err = get(t, s.URL+"/_sandbox/truth/accounts")
	require.NoError(t, err)
	require.Contains(t, all, `"instance":"beta-toy"`)
	_, one, err := get(t, s.URL+"/_sandbox/truth/accounts?instance=beta-toy")
	require.NoError(t, err)
	require.NotContains(t, one, `"instance":"acme-toy"`)
}

func TestConfig(t *testing.T) {
	t.Parallel()
	s := start(t, "doc: x")
	c, err := s.Config("http://127.0.0.1:8490", "/tmp/x")
	require.NoError(t, err)
	require.Contains(t, c, "instances:\n  acme-toy:\n    app: toy\n    base_url: http://127.0.0.1:8490/toy/acme\n")
}

func TestClock(t *testing.T) {
	t.Parallel()
	s := start(t, "doc: x")
	s.Tenant("toy", "acme")
	events := func() (n int) {
		s.World("acme").View(func(st *org.State) { n = len(st.Events[org.Okta]) })
		return n
	}
	before := events()
	post := func(query string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/_sandbox/clock"+query, nil)
		require.NoError(t, err)
		resp, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		return resp.StatusCode
	}
	require.Equal(t, 200, post("?advance=1d"))
	require.Greater(t, events(), before)
	require.Equal(t, sandboxtest.Now.Add(24*time.Hour), s.Clock.Now())
	require.Equal(t, 400, post("?advance=-1h"))
	require.Equal(t, 400, post(""))
	real := sandboxtest.Start(t, sandbox.Options{Clock: clockwork.NewRealClock()})
	s.URL = real.URL
	require.Equal(t, 409, post("?advance=1h"))
}

func TestViolations(t *testing.T) {
	t.Parallel()
	s := start(t, "doc: x")
	raw := func(request string) string {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.URL, "http://"))
		require.NoError(t, err)
		defer c.Close()
		_, err = io.WriteString(c, request)
		require.NoError(t, err)
		line, err := bufio.NewReader(c).ReadString('\n')
		require.NoError(t, err)
		return line
	}
	require.Contains(t, raw("GET /toy/acme/users HTTP/1.1\r\nHost: x\r\n\r\n"), "200")
	require.Contains(t, raw("POST /toy/acme/users/1 HTTP/1.1\r\nHost: x\r\nUser-Agent: x\r\n\r\n"), "200")
	require.Contains(t, raw("POST /toy/acme/users/1 HTTP/1.1\r\nHost: x\r\nUser-Agent: x\r\nContent-Length: 0\r\n\r\n"), "200")
	var rules []string
	for _, v := range s.Violations() {
		rules = append(rules, v.Rule)
	}
	require.Equal(t, []string{"no user agent", "no content length"}, rules)
	_, body, err := get(t, s.URL+"/_sandbox/violations")
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(body, "\n"))
	_, body, err = get(t, s.URL+"/_sandbox/requests")
	require.NoError(t, err)
	require.Contains(t, body, `{"app":"toy","tenant":"acme","endpoint":"POST /users/{id}","status":200,"count":2}`)
	resp, body, err := get(t, s.URL+"/_sandbox/")
	require.NoError(t, err)
	require.Contains(t, resp.Header.Get("Content-Type"), "text/html")
	require.Contains(t, body, "/toy/acme")
}

func TestConcurrency(t *testing.T) {
	t.Parallel()
	arrived, leave := make(chan bool), make(chan bool)
	s := sandboxtest.Start(t, sandbox.Options{Vendors: []sandbox.Vendor{{App: "toy", New: func(t *sandbox.Tenant) sandbox.Handler {
		return &narrow{newToy(t), arrived, leave}
	}}}})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() { _, _, _ = get(t, s.URL+"/toy/acme/users") })
		<-arrived
	}
	close(leave)
	wg.Wait()
	require.Len(t, s.Violations(), 1)
	require.Equal(t, "too many at once", s.Violations()[0].Rule)
}

type narrow struct {
	sandbox.Handler
	arrived, leave chan bool
}

func (n *narrow) MaxConcurrent() int { return 2 }
func (n *narrow) ServeHTTP(http.ResponseWriter, *http.Request) {
	n.arrived <- true
	<-n.leave
}

// tally counts how requests ended.
func tally(t *testing.T, s *sandboxtest.Sandbox, n int) map[string]int {
	t.Helper()
	out := map[string]int{}
	for range n {
		resp, body, err := get(t, s.URL+"/toy/acme/users")
		switch {
		case err != nil && resp == nil:
			out["reset"]++
		case err != nil:
			out["unexpected end"]++
		case strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html"):
			out["html"]++
		case resp.StatusCode == 200 && !strings.HasSuffix(body, "\n"):
			out["short"]++
		default:
			out[fmt.Sprint(resp.StatusCode)]++
		}
	}
	return out
}

func TestFaults(t *testing.T) {
	t.Parallel()
	f := func(scenario string, want map[string]int) {
		t.Helper()
		require.Equal(t, want, tally(t, start(t, "faults:\n  - "+scenario), 10), scenario)
	}
	f("{kind: status, status: 503, count: 4}", map[string]int{"503": 4, "200": 6})
	f("{kind: status, count: 3, after_requests: 5}", map[string]int{"429": 3, "200": 7})
	f("{kind: drop, count: 3}", map[string]int{"reset": 3, "200": 7})
	f("{kind: lost, count: 3}", map[string]int{"reset": 3, "200": 7})
	f("{kind: lag, for: 1h}", map[string]int{"200": 10})
	f("{kind: truncate, count: 3}", map[string]int{"unexpected end": 3, "200": 7})
	f("{kind: truncate, length: right, count: 3}", map[string]int{"short": 3, "200": 7})
	f("{kind: html, count: 3}", map[string]int{"html": 3, "200": 7})
	f("{kind: slow, for: 1ms}", map[string]int{"200": 10})
	f("{kind: storm, for: 1h, count: 1}", map[string]int{"429": 10})
	f("{kind: expire_token, count: 2}", map[string]int{"401": 2, "200": 8})
	f("{kind: expire_cursor, count: 2}", map[string]int{"410": 2, "200": 8})
	f("{kind: missing_scope, scopes: [a, b]}", map[string]int{"403": 10})
	f("{kind: html, app: toy, tenant: b*}", map[string]int{"200": 10})
	f("{kind: html, tenant: ac*, endpoint: /us**}", map[string]int{"200": 10})
	f("{kind: html, tenant: ac*, endpoint: /**}", map[string]int{"html": 10})
	f("{kind: html, method: POST}", map[string]int{"200": 10})
	f("{kind: html, from: 1h}", map[string]int{"200": 10})
}

func TestVendorRendersFaults(t *testing.T) {
	t.Parallel()
	s := start(t, "faults:\n  - {kind: status}\n")
	resp, _, err := get(t, s.URL+"/toy/acme/users")
	require.NoError(t, err)
	require.Equal(t, "5", resp.Header.Get("Toy-Wait"))
}

func TestFaultsInTime(t *testing.T) {
	t.Parallel()
	s := start(t, "faults:\n  - {kind: missing_scope, from: 10m, until: 1h, scopes: [x]}\n  - {kind: storm, status: 503, from: 2h, for: 1m, count: 1}")
	status := func() int {
		resp, _, err := get(t, s.URL+"/toy/acme/users")
		require.NoError(t, err)
		return resp.StatusCode
	}
	var got []int
	for _, d := range []time.Duration{0, 10 * time.Minute, 49 * time.Minute, time.Minute, time.Hour, 59 * time.Second, time.Second} {
		s.Fake.Advance(d)
		got = append(got, status())
	}
	require.Equal(t, []int{200, 403, 403, 200, 503, 503, 200}, got)
}

func TestFaultShare(t *testing.T) {
	t.Parallel()
	const n = 2000
	h := start(t, "faults:\n  - {kind: status, status: 500, share: 0.2}")
	run := func() (hits []int) {
		for i := range n {
			w := &sink{header: http.Header{}}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://x/toy/acme/users", nil)
			require.NoError(t, err)
			req.Header.Set("User-Agent", "x")
			h.ServeHTTP(w, req)
			if w.status == 500 {
				hits = append(hits, i)
			}
		}
		return hits
	}
	first := run()
	require.InDelta(t, 0.2*n, len(first), 0.04*n)
	h = start(t, "faults:\n  - {kind: status, status: 500, share: 0.2}")
	require.Equal(t, first, run(), "the same seed draws the same")
}

type sink struct {
	bytes.Buffer
	header http.Header
	status int
}

func (s *sink) Header() http.Header    { return s.header }
func (s *sink) WriteHeader(status int) { s.status = status }

func TestManyClients(t *testing.T) {
	t.Parallel()
	s := start(t, "log: {late: 0.1, duplicates: 0.1, equal: 0.2}\nfaults:\n  - {kind: status, share: 0.1}\n  - {kind: truncate, share: 0.1}")
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 20 {
				s.Fake.Advance(10 * time.Minute)
				_, _, _ = get(t, fmt.Sprintf("%s/toy/%c/users", s.URL, 'a'+i%3))
				_, _, _ = get(t, s.URL+"/_sandbox/truth/accounts")
				_, _, _ = get(t, s.URL+"/_sandbox/")
			}
		})
	}
	wg.Wait()
}
