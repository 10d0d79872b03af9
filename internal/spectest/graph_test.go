package spectest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestGraph has what is not Graph's noticed, in requests, answers and batches.
func TestGraph(t *testing.T) {
	s := LoadGraph(t, nil)
	for _, c := range []struct {
		name, method, target, body, answer string
		want                               string // in the deviation; "" none
	}{
		{name: "as it is", target: "/v1.0/users?$select=id&$top=5", answer: `{"@odata.context":"x","value":[{"id":"1","displayName":null,"accountEnabled":true}]}`},
		{name: "a type derived", target: "/v1.0/groups/1/members", answer: `{"value":[{"@odata.type":"#microsoft.graph.user","userPrincipalName":"a@acme.example"}]}`},
		{name: "by its path", target: "/v1.0/drives/1/root:/a%20b.txt:/content", answer: `{}`, want: "no such operation"},
		{name: "an item by its path", target: "/v1.0/drives/1/items/2:/a%20b.txt", answer: `{"name":"a b.txt"}`},
		{name: "no such path", target: "/v1.0/user", answer: `{}`, want: "no such operation"},
		{name: "no such parameter", target: "/v1.0/users?$limit=5", answer: `{"value":[]}`, want: `no query parameter "$limit"`},
		{name: "no such method", method: http.MethodPut, target: "/v1.0/users/1", answer: `{}`, want: "no such operation"},
		{name: "no such member", target: "/v1.0/users", answer: `{"value":[{"login":"a"}]}`, want: "login"},
		{name: "another type", target: "/v1.0/users", answer: `{"value":[{"accountEnabled":"yes"}]}`, want: "accountEnabled"},
		{name: "deep within", target: "/v1.0/auditLogs/signIns", answer: `{"value":[{"location":{"town":"a"}}]}`, want: "town"},
		{name: "no page", target: "/v1.0/users", answer: `[]`, want: "object"},
		{name: "in a body", method: http.MethodPatch, target: "/v1.0/users/1", body: `{"enabled":false}`, answer: `{}`, want: "enabled"},
		{name: "of a delta", target: "/v1.0/users/delta?$deltatoken=1", answer: `{"value":[{"id":"1","@removed":{"reason":"changed"}}]}`},
		{name: "no such member of a delta", target: "/v1.0/users/delta", answer: `{"value":[{"login":"a"}]}`, want: "login"},
		{
			name: "in a batch", method: http.MethodPost, target: "/v1.0/$batch", body: `{"requests":[{"id":"1","method":"GET","url":"/users?$top=1"}]}`,
			answer: `{"responses":[{"id":"1","status":200,"body":{"value":[{"login":"a"}]}}]}`, want: "login",
		},
		{name: "beta", target: "/beta/users", answer: `{"value":[{"login":"a"}]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			clear(s.found)
			h := s.WrapGraph("/graph", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, c.answer)
			}))
			method := c.method
			if method == "" {
				method = http.MethodGet
			}
			r := httptest.NewRequest(method, "http://sandbox/graph"+c.target, strings.NewReader(c.body))
			r.Header.Set("Content-Type", "application/json")
			h.ServeHTTP(httptest.NewRecorder(), r)
			var found []string
			for d := range s.found {
				found = append(found, d.String())
			}
			if c.want == "" {
				require.Empty(t, found)
				return
			}
			require.Len(t, found, 1)
			require.Contains(t, found[0], c.want)
		})
	}
}
