package okta

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/sandboxtest"
)

// TestServed runs the vendor within the sandbox, under its faults.
func TestServed(t *testing.T) {
	t.Parallel()
	rk, _ := newSigners(t)
	var h *Handler
	vendor := sandbox.Vendor{App: "okta", New: func(tenant *sandbox.Tenant) sandbox.Handler {
		h = New(tenant, Default())
		h.AddClient(Client{ID: "svc", Keys: []Key{{"rsa", rk.key.Public()}}, Scopes: []string{"okta.users.read", "okta.groups.read"}})
		return h
	}}
	scenario, err := sandbox.ParseScenario("test", []byte(`
faults:
  - {kind: expire_token, app: okta, endpoint: /api/v1/users, after_requests: 2, count: 1}
  - {kind: expire_cursor, app: okta, endpoint: /api/v1/groups, count: 1}
  - {kind: missing_scope, app: okta, endpoint: /api/v1/groups/**, scopes: [okta.groups.read]}
  - {kind: status, app: okta, endpoint: /api/v1/org, count: 1}
  - {kind: status, app: okta, endpoint: /api/v1/org, count: 1, after_requests: 1, status: 503}
`))
	require.NoError(t, err)
	s := sandboxtest.Start(t, sandbox.Options{Vendors: []sandbox.Vendor{vendor}, Scenario: scenario, People: 60, Tenants: []string{"acme"}})
	tenant := s.Tenant("okta", "acme")
	r := &rig{T: t, h: h, base: tenant.Base, client: s.HTTP.Client(), clock: s.Fake}

	bearer := func() []string {
		return []string{"Authorization", "Bearer " + r.token(r.assertion(rk, nil), "okta.users.read okta.groups.read").object(t)["access_token"].(string)}
	}
	auth := bearer()
	a := r.get("/api/v1/users?limit=10", auth...)
	require.Equal(t, 200, a.status)
	require.True(t, strings.HasPrefix(a.next(), tenant.Base+"/api/v1/users?"))
	a = r.get(a.next(), auth...)
	require.Equal(t, 200, a.status)
	page := a.next()
	require.Equal(t, 401, r.get(page, auth...).status, "in the middle of the listing")
	require.Equal(t, 401, r.get(page, auth...).status, "and for good")
	require.Equal(t, 200, r.get(page, bearer()...).status)

	a = r.get("/api/v1/groups?limit=3", bearer()...)
	require.Equal(t, 400, r.get(a.next(), bearer()...).status)
	require.Equal(t, 200, r.get(a.next(), bearer()...).status)
	require.Equal(t, 403, r.get("/api/v1/groups/"+a.list(t)[0]["id"].(string)+"/users", bearer()...).status)

	a = r.get("/api/v1/org")
	require.Equal(t, 429, a.status)
	require.Equal(t, "E0000047", a.code(t))
	require.Equal(t, "0", a.header.Get("X-Rate-Limit-Remaining"))
	a = r.get("/api/v1/org")
	require.Equal(t, 503, a.status)
	require.Equal(t, "E0000010", a.code(t))
	require.Equal(t, 200, r.get("/api/v1/org").status)

	require.NotEmpty(t, s.Truth("okta", "acme").Activities)
	s.NoViolations()
	r.get("/api/v1/users?limit=201")
	require.Len(t, s.Violations(), 1)

	var config map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(h.Config(tenant.Base)), &config))
	require.Equal(t, "okta", config["app"])
	require.Equal(t, tenant.Base, config["base_url"])
}

// BenchmarkPages serves pages of 1,000 events.
func BenchmarkPages(b *testing.B) {
	s := sandboxtest.Start(b, sandbox.Options{Vendors: []sandbox.Vendor{Vendor()}, People: 2000, History: 5 * day})
	tenant := s.Tenant("okta", "acme")
	f := Default()
	f.Limits, f.PollEvery = nil, 0
	h := New(tenant, f)
	first := "/api/v1/logs?limit=1000&since=2026-08-01T00:00:00Z"
	target := first
	b.ReportAllocs()
	n, bytes := 0, 0
	for b.Loop() {
		q := httptest.NewRequest(http.MethodGet, target, http.NoBody)
		q.Header.Set("Authorization", "SSWS "+TokenValid)
		w := &discard{header: http.Header{}}
		h.ServeHTTP(w, q)
		n += 1000
		bytes += w.n
		next := answer{header: w.header}.next()
		if target = strings.TrimPrefix(next, tenant.Base); w.n < 1<<20 {
			target = first
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(bytes)/float64(n), "B/event")
}

type discard struct {
	header http.Header
	n      int
}

func (d *discard) Header() http.Header { return d.header }
func (d *discard) WriteHeader(int)     {}
func (d *discard) Write(p []byte) (int, error) {
	d.n += len(p)
	return len(p), nil
}
