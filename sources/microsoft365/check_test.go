package microsoft365

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/sources/httpx"
)

// Where a permission is missing, the answer says that and nothing else.
func TestProbesAreCheap(t *testing.T) {
	t.Parallel()
	for _, c := range capabilities {
		v := newVendor(t, func(*http.Request) answer { return answer{} })
		require.NoError(t, v.open(nil).Probe(t.Context(), c.Name), c.Name)
		require.Len(t, v.requests(), 1, "%s: the cheapest that shows it", c.Name)

		v = newVendor(t, func(*http.Request) answer {
			return answer{status: 403, body: `{"error":{"code":"Authorization_RequestDenied","message":"Insufficient privileges to complete the operation.","innerError":{"request-id":"r"}}}`}
		})
		require.Equal(t, fault.Forbidden, fault.Of(v.open(nil).Probe(t.Context(), c.Name)), c.Name)
	}
	v := newVendor(t, func(*http.Request) answer { return answer{} })
	require.ErrorContains(t, v.open(nil).Probe(t.Context(), "mail"), "no capability")
	require.Empty(t, v.requests())
}

// A token without the Management Activity API's right is good for the rest.
func TestMissingRightIsNoBadToken(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 403} {
		for _, body := range []string{
			`{"error":{"code":"AF10001","message":"The permission set () sent in the request did not include the expected permission ActivityFeed.Read."}}`,
			`{'error':{'code':'AF10001','message':'The permission set isn't enough.'}}`,
		} {
			err := classify(&httpx.Response{Status: status, Body: []byte(body)})
			require.Equal(t, fault.Forbidden, fault.Of(err), "%d %s", status, body)
			require.ErrorContains(t, err, "grant the app")
		}
	}
}
