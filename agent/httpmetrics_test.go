package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"weir/sources/httpx"
)

func TestHTTPMetrics(t *testing.T) {
	t.Parallel()
	r := prometheus.NewRegistry()
	m := newHTTPMetrics(r)
	x := httpx.Exchange{Instance: "acme", Stream: "accounts", Endpoint: "GET /x/{id}", Status: 200, Attempt: 1, Took: time.Second, BytesIn: 10, Throttled: 1500 * time.Millisecond}
	m.observe(x)
	m.observe(x)
	m.observe(httpx.Exchange{Instance: "acme", Stream: "accounts", Endpoint: "GET /x/{id}", Throttled: time.Second}) // never made
	for _, status := range []int{0, 777, 778} {
		x.Status, x.Throttled = status, 0
		m.observe(x)
	}
	require.NoError(t, testutil.GatherAndCompare(r, strings.NewReader(`
# HELP weir_http_requests_total HTTP requests to vendors; status 0: no whole answer.
# TYPE weir_http_requests_total counter
weir_http_requests_total{endpoint="GET /x/{id}",instance="acme",status="0",stream="accounts"} 1
weir_http_requests_total{endpoint="GET /x/{id}",instance="acme",status="200",stream="accounts"} 2
weir_http_requests_total{endpoint="GET /x/{id}",instance="acme",status="other",stream="accounts"} 2
# HELP weir_http_received_bytes_total Bytes of answers, as transferred.
# TYPE weir_http_received_bytes_total counter
weir_http_received_bytes_total{endpoint="GET /x/{id}",instance="acme",stream="accounts"} 50
# HELP weir_http_throttled_seconds_total Time that requests waited for quota.
# TYPE weir_http_throttled_seconds_total counter
weir_http_throttled_seconds_total{instance="acme",stream="accounts"} 4
`), "weir_http_requests_total", "weir_http_received_bytes_total", "weir_http_throttled_seconds_total"))
}
