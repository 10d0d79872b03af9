package pipeline

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"weir/sources"
	"weir/sources/httpx"
)

// What a stream's calls cost is counted below it, told in its runs and metrics.
func TestCallsAreCounted(t *testing.T) {
	t.Parallel()
	asked := 0
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked == 1 {
			w.Header().Set("Retry-After", "0.05")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		fmt.Fprint(w, "[1,2,3]")
	}))
	defer vendor.Close()
	base, err := httpx.New(httpx.Options{Instance: testStream.Instance, Clock: clockwork.NewRealClock()})
	require.NoError(t, err)
	defer base.Close()
	client, err := base.Client(httpx.Config{BaseURL: vendor.URL})
	require.NoError(t, err)

	s := fakeLanes{lanes: 1, pages: 1, rows: 3}.stream()
	read := s.Read
	s.Read = func(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
		return func(yield func(*sources.Page, error) bool) {
			if _, err := client.Do(ctx, &httpx.Request{Path: httpx.P("/x")}); err != nil {
				yield(nil, err)
				return
			}
			for page, err := range read(ctx, l, c) {
				page.Requests, page.Bytes = 2, 10 // of an SDK, say
				if !yield(page, err) {
					return
				}
			}
		}
	}
	p := startPipeline(t, t.TempDir(), Options{}, map[string]*memorySink{"a": newMemorySink()})
	run, err := runOnce(t, p, s)
	require.NoError(t, err)
	told := run.runs.sent
	require.Equal(t, []int64{2 + 2, 1, 7 + 10}, []int64{told.requests, told.retries, told.bytes})
	require.GreaterOrEqual(t, told.throttledMS, int64(50))
	require.Equal(t, told.requests, run.Stats.Requests.Load())

	metrics := prometheus.NewRegistry()
	metrics.MustRegister(&p.metrics.counts)
	of := fmt.Sprintf(`{instance=%q,stream=%q}`, testStream.Instance, testStream.Stream)
	require.NoError(t, testutil.GatherAndCompare(metrics, strings.NewReader(strings.ReplaceAll(`
# HELP weir_requests_total Calls to the vendor.
# TYPE weir_requests_total counter
weir_requests_total{} 4
# HELP weir_retries_total Calls to the vendor that were repeated.
# TYPE weir_retries_total counter
weir_retries_total{} 1
# HELP weir_received_bytes_total Bytes received from the vendor.
# TYPE weir_received_bytes_total counter
weir_received_bytes_total{} 17
`, "{}", of)), "weir_requests_total", "weir_retries_total", "weir_received_bytes_total"))
	require.NoError(t, p.Drain(t.Context()))
	require.NoError(t, p.Close())
}
