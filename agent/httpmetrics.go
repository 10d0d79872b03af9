package agent

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"weir/sources/httpx"
)

// httpMetrics counts the calls to vendors. Endpoints are templates and statuses
// those there are, so that the labels stay few.
type httpMetrics struct {
	requests, bytes, throttled *prometheus.CounterVec
	seconds                    *prometheus.HistogramVec
}

func newHTTPMetrics(r prometheus.Registerer) *httpMetrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "weir", Subsystem: "http", Name: name, Help: help}, labels)
		r.MustRegister(v)
		return v
	}
	m := &httpMetrics{
		requests:  counter("requests_total", "HTTP requests to vendors; status 0: no whole answer.", "instance", "stream", "endpoint", "status"),
		bytes:     counter("received_bytes_total", "Bytes of answers, as transferred.", "instance", "stream", "endpoint"),
		throttled: counter("throttled_seconds_total", "Time that requests waited for quota.", "instance", "stream"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "weir", Subsystem: "http", Name: "request_seconds", Help: "Time of HTTP requests, without waiting for quota.",
			Buckets: prometheus.ExponentialBuckets(0.02, 2.5, 9),
		}, []string{"instance", "endpoint"}),
	}
	r.MustRegister(m.seconds)
	return m
}

// observe counts an exchange.
func (m *httpMetrics) observe(x httpx.Exchange) {
	if x.Throttled > 0 {
		m.throttled.WithLabelValues(x.Instance, x.Stream).Add(x.Throttled.Seconds())
	}
	if x.Attempt == 0 {
		return // the wait was too long
	}
	status := "other"
	if x.Status == 0 || http.StatusText(x.Status) != "" {
		status = strconv.Itoa(x.Status)
	}
	m.requests.WithLabelValues(x.Instance, x.Stream, x.Endpoint, status).Inc()
	m.bytes.WithLabelValues(x.Instance, x.Stream, x.Endpoint).Add(float64(x.BytesIn))
	m.seconds.WithLabelValues(x.Instance, x.Endpoint).Observe(x.Took.Seconds())
}
