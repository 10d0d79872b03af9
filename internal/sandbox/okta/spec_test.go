package okta

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/spectest"
)

// TestSpec holds the answers against the vendor's own specification.
func TestSpec(t *testing.T) {
	t.Parallel()
	const logs = "GET /api/v1/logs"
	spec := spectest.Load(t, spectest.Okta, []spectest.Known{
		{Operation: logs, Detail: "Value is not nullable", Reason: "the specification knows no null in a log event; the log's own sample page is full of them"},
		{Operation: logs, Detail: "postalCode: value must be a string", Reason: "real events have numbers too"},
		{Operation: logs, Detail: "status is not supported", Reason: "the specification has no 400 for bad parameters"},
		{Detail: "tokenWindow: string doesn't match", Reason: "the pattern's (?:$) after P lets nothing follow: P30D, which the documentation shows, is not matched"},
	})
	r := newRig(t, nil)
	server := httptest.NewServer(spec.Wrap("", http.HandlerFunc(r.h.ServeHTTP)))
	t.Cleanup(server.Close)
	r.client, r.base = server.Client(), server.URL

	ids := func(path string) (list []string) {
		for _, x := range r.get(path).list(t) {
			for _, k := range []string{"id", "client_id"} {
				if s, ok := x[k].(string); ok {
					list = append(list, s)
				}
			}
		}
		require.NotEmpty(t, list, path)
		return list
	}
	for _, u := range ids("/api/v1/users?limit=20") {
		for _, p := range []string{"", "/factors", "/roles", "/grants", "/clients"} {
			r.get("/api/v1/users/" + u + p)
		}
	}
	r.get("/api/v1/users?filter=" + q(`status eq "DEPROVISIONED"`))
	for _, g := range ids("/api/v1/groups") {
		for _, p := range []string{"", "/users", "/owners", "/roles"} {
			r.get("/api/v1/groups/" + g + p)
		}
	}
	for _, a := range ids("/api/v1/apps") {
		for _, p := range []string{"", "/grants", "/tokens", "/users"} {
			r.get("/api/v1/apps/" + a + p)
		}
	}
	for _, p := range []string{"/api/v1/iam/assignees/users", "/api/v1/iam/roles", "/api/v1/iam/resource-sets", "/api/v1/org", "/api/v1/meta/types/user"} {
		require.Equal(t, 200, r.get(p).status)
	}
	for _, c := range ids("/integrations/api/v1/api-services") {
		r.get("/integrations/api/v1/api-services/" + c)
	}
	for _, c := range ids("/api/v1/api-tokens") {
		r.get("/api/v1/api-tokens/" + c)
	}
	r.get("/api/v1/logs?limit=1000")
	r.get("/api/v1/logs?sortOrder=ASCENDING&filter=" + q(`eventType zz "x"`))
	r.get("/api/v1/users/none")
	spec.Report(t)
}
