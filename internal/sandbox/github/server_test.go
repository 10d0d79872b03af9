package github

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/internal/sandbox/sandboxtest"
)

// The sandbox serves it: a walk through the audit log over HTTP, while what the
// scenario says goes wrong.
func TestServed(t *testing.T) {
	t.Parallel()
	scenario, err := sandbox.ParseScenario("test", []byte(`
doc: test
faults:
  - {kind: status, status: 429, endpoint: /orgs/acme/teams, count: 1}
  - {kind: status, status: 502, endpoint: /orgs/acme/repos, count: 1}
  - {kind: missing_scope, scopes: ["read:org"], endpoint: /orgs/acme/members, count: 1}
  - {kind: expire_cursor, after_requests: 2, count: 1}
`))
	require.NoError(t, err)
	s := sandboxtest.Start(t, sandbox.Options{Vendors: []sandbox.Vendor{Vendor()}, Scenario: scenario, People: 40})
	base := s.Tenant(org.GitHub, "acme").Base
	get := func(u string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, u, nil)
		require.NoError(t, err)
		for k, v := range map[string]string{"Authorization": "Bearer sandbox-token", "User-Agent": "weir-test", "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"} {
			req.Header.Set(k, v)
		}
		res, err := s.HTTP.Client().Do(req)
		require.NoError(t, err)
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res, string(text)
	}
	f := func(path string, status int, text string) {
		t.Helper()
		res, got := get(base + path)
		require.Contains(t, []int{status, 403}, res.StatusCode)
		require.Contains(t, got, text)
		res, _ = get(base + path)
		require.Equal(t, 200, res.StatusCode)
	}
	f("/orgs/acme/teams", 429, "secondary rate limit")
	f("/orgs/acme/repos", 502, "Server Error")
	f("/orgs/acme/members", 403, "Must have admin rights")

	rows, expired, pages := 0, 0, 0
	for u := base + "/orgs/acme/audit-log?include=all&order=asc&per_page=10"; u != ""; pages++ {
		res, text := get(u)
		if res.StatusCode == 422 {
			expired++
			continue // it is known again
		}
		require.Equal(t, 200, res.StatusCode, text)
		rows += strings.Count(text, `"action":`)
		u = ""
		for _, l := range strings.Split(res.Header.Get("Link"), ", ") {
			if v, ok := strings.CutSuffix(l, `>; rel="next"`); ok {
				u = v[1:]
			}
		}
		require.Less(t, pages, 1000)
	}
	require.Equal(t, 1, expired)
	require.Len(t, s.Truth(org.GitHub, "acme").Activities, rows)
	at, err := http.ParseTime(func() string { res, _ := get(base + "/meta"); return res.Header.Get("Date") }())
	require.NoError(t, err)
	require.WithinDuration(t, sandboxtest.Now, at, time.Minute)
}

// Writes are counted by what they are, and what goes wrong hits them too: one is
// refused, one takes effect though its answer is lost, one takes effect later.
func TestServedWrites(t *testing.T) {
	t.Parallel()
	scenario, err := sandbox.ParseScenario("test", []byte(`
doc: test
faults:
  - {kind: status, status: 409, method: PUT, endpoint: /repos/acme/*/contents/**, count: 1}
  - {kind: status, status: 403, method: DELETE, endpoint: /orgs/acme/members/*, count: 1}
  - {kind: lost, method: PATCH, count: 1}
  - {kind: lag, for: 1m, endpoint: /orgs/acme/memberships/*}
`))
	require.NoError(t, err)
	s := sandboxtest.Start(t, sandbox.Options{Vendors: []sandbox.Vendor{Vendor()}, Scenario: scenario, People: 40})
	base := s.Tenant(org.GitHub, "acme").Base
	send := func(method, path, body string) (int, string, error) {
		req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
		require.NoError(t, err)
		for k, v := range map[string]string{"Authorization": "Bearer sandbox-token", "User-Agent": "weir-test", "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"} {
			req.Header.Set(k, v)
		}
		res, err := s.HTTP.Client().Do(req)
		if err != nil {
			return 0, "", err
		}
		defer res.Body.Close()
		text, err := io.ReadAll(res.Body)
		return res.StatusCode, string(text), err
	}
	f := func(status int, method, path, body string) {
		t.Helper()
		got, text, err := send(method, path, body)
		require.NoError(t, err)
		require.Equal(t, status, got, text)
	}
	var repo, login string
	s.World("acme").View(func(st *org.State) {
		for _, r := range st.Repos {
			if r.Visibility == "private" && !r.Archived && r.Gone.IsZero() {
				repo = r.Name
			}
		}
		for _, a := range st.Accounts[org.GitHub] {
			if isMember(st, a) && !a.Owner {
				login = a.Login
			}
		}
	})
	visibility := func() (v string) {
		s.World("acme").View(func(st *org.State) {
			for _, r := range st.Repos {
				if r.Name == repo {
					v = r.Visibility
				}
			}
		})
		return v
	}
	file := "/repos/acme/" + repo + "/contents/new.txt"
	f(409, "PUT", file, `{"message":"m","content":""}`)
	f(404, "GET", file, "")
	f(201, "PUT", file, `{"message":"m","content":""}`)
	f(403, "DELETE", "/orgs/acme/members/"+login, "")
	_, _, err = send("PATCH", "/repos/acme/"+repo, `{"visibility":"internal"}`)
	require.Error(t, err)
	require.Equal(t, "internal", visibility())
	f(200, "PATCH", "/repos/acme/"+repo, `{"visibility":"internal"}`)
	f(204, "DELETE", "/orgs/acme/memberships/"+login, "")
	f(200, "GET", "/orgs/acme/memberships/"+login, "")
	s.Fake.Advance(time.Minute)
	f(404, "GET", "/orgs/acme/memberships/"+login, "")

	writes := map[string]int64{}
	for _, e := range s.Requests() {
		if !strings.HasPrefix(e.Endpoint, "GET ") {
			writes[e.Endpoint] += e.Count
		}
	}
	require.Equal(t, map[string]int64{
		"PUT /repos/{owner}/{repo}/contents/{path...}":  1,
		"PUT /repos/acme/" + repo + "/contents/new.txt": 1, // refused by the scenario before it was read
		"DELETE /orgs/acme/members/" + login:            1,
		"PATCH /repos/{owner}/{repo}":                   2,
		"DELETE /orgs/{org}/memberships/{username}":     1,
	}, writes)
	s.NoViolations()
}
