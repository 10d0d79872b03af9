package googleworkspace

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/internal/sandbox/sandboxtest"
)

// The vendor within the sandbox, under its faults.
func TestServed(t *testing.T) {
	t.Parallel()
	scenario, err := sandbox.ParseScenario("test", []byte(`
faults:
  - {kind: expire_token, app: google_workspace, endpoint: /admin/directory/v1/users, after_requests: 1, count: 1}
  - {kind: expire_cursor, app: google_workspace, endpoint: /admin/directory/v1/groups, count: 1}
  - {kind: status, app: google_workspace, endpoint: /admin/directory/v1/customer/**, count: 1, status: 502}
  - {kind: status, app: google_workspace, endpoint: /admin/directory/v1/customer/**, count: 12, after_requests: 1, status: 429}
`))
	require.NoError(t, err)
	r := newRig(t, sandbox.Options{Scenario: scenario, People: 60})
	a := r.get("users?customer=my_customer&maxResults=10")
	require.Equal(t, 200, a.status)
	next := "users?customer=my_customer&maxResults=10&pageToken=" + url.QueryEscape(a.next())
	require.Equal(t, 401, r.get(next).status, "in the middle of the listing")
	require.Equal(t, 401, r.get(next).status, "and for good")
	r.bearer = r.as(r.h.Subject())
	require.Equal(t, 200, r.get(next).status)

	a = r.get("groups?customer=my_customer&maxResults=3")
	next = "groups?customer=my_customer&maxResults=3&pageToken=" + url.QueryEscape(a.next())
	require.Equal(t, 400, r.get(next).status)
	require.Equal(t, 200, r.get(next).status)

	a = r.get("customer/my_customer/roles")
	require.Equal(t, 502, a.status)
	require.Contains(t, a.head.Get("Content-Type"), "text/html")
	kinds := map[string]bool{}
	for range 12 {
		a = r.get("customer/my_customer/roles")
		kinds[strings.TrimSpace(a.reason())] = true
		require.Contains(t, []int{403, 429, 503}, a.status)
		require.Empty(t, a.head.Get("Retry-After"))
	}
	for _, what := range []string{"userRateLimitExceeded", "rateLimitExceeded", "quotaExceeded", "Request rate higher than configured.", "Quota exceeded for the current request"} {
		require.True(t, kinds[what], "%s of %v", what, kinds)
	}
	r.s.NoViolations()

	var config map[string]any
	require.NoError(t, yaml.Unmarshal([]byte(r.h.Config(r.base)), &config))
	require.Equal(t, "google_workspace", config["app"])
	require.Equal(t, r.base, config["base_url"])
	require.Contains(t, config["auth"].(map[string]any)["credentials"], "service_account")
}

// Requests are counted by subject and minute (6).
func TestLimits(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{})
	r.h.SetFaults(Faults{Limits: map[string]int{"directory": 3}})
	for range 3 {
		require.Equal(t, 200, r.get("customer/my_customer/domains").status)
	}
	require.NotEqual(t, 200, r.get("customer/my_customer/domains").status)
	r.s.Fake.Advance(time.Minute)
	require.Equal(t, 200, r.get("customer/my_customer/domains").status)
}

// What a client does not send is noted.
func TestManners(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{})
	r.get("customer/my_customer/domains", "User-Agent", "plain/1")
	r.get("customer/my_customer/domains", "User-Agent", "Go-http-client/1.1")
	require.Len(t, r.s.Violations(), 2)
}

// The same seed gives the same truth, another one another.
func TestSameTruth(t *testing.T) {
	t.Parallel()
	a, b := newRig(t, sandbox.Options{People: 60}), newRig(t, sandbox.Options{People: 60})
	require.Equal(t, a.s.Truth(org.GoogleWorkspace, "acme"), b.s.Truth(org.GoogleWorkspace, "acme"))
	c := newRig(t, sandbox.Options{People: 60, Seed: 2})
	require.NotEqual(t, a.h.customer, c.h.customer)
}

// BenchmarkReports serves pages of 1,000 activities.
func BenchmarkReports(b *testing.B) {
	s := sandboxtest.Start(b, sandbox.Options{Vendors: []sandbox.Vendor{Vendor()}, People: 2000, History: 5 * day})
	h := s.Tenant(org.GoogleWorkspace, "acme").Handler().(*Handler)
	b.ResetTimer()
	for range b.N {
		h.t.World.View(func(s *org.State) {
			for _, x := range h.log(s, "login")[:1000] {
				_ = h.activityView(s, x, h.items(s, x.e)[x.n])
			}
		})
	}
}
