package pipeline

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"weir/sources/httpx"
)

type metrics struct {
	rows, duplicates, conflicts, unproven, late, rejected, timesReplaced *prometheus.CounterVec // by instance, stream
	pages, parked, errors                                                *prometheus.CounterVec
	counts                                                               callsCollector // calls to vendors
	lag, caughtUp, lanes, held                                           *prometheus.GaugeVec
	sinkRows, sinkBytes, parts                                           *prometheus.CounterVec // by sink, table
	sinkErrors                                                           *prometheus.CounterVec // by sink, class
	partSeconds                                                          *prometheus.HistogramVec
	setAside                                                             *prometheus.CounterVec // by sink, table
	breakers                                                             *prometheus.GaugeVec   // by sink, table
	diskErrors                                                           prometheus.Counter
}

func newMetrics(r prometheus.Registerer, p *Pipeline) *metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "weir", Name: name, Help: help}, labels)
		r.MustRegister(v)
		return v
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "weir", Name: name, Help: help}, labels)
		r.MustRegister(v)
		return v
	}
	of := []string{"instance", "stream"}
	m := &metrics{
		rows:          counter("rows_total", "Rows committed for delivery.", of...),
		duplicates:    counter("duplicates_dropped_total", "Events dropped because they were already sent.", of...),
		conflicts:     counter("id_conflicts_total", "Events sent again under a known id with other content.", of...),
		unproven:      counter("unproven_total", "Events sent though older than the ids remembered.", of...),
		late:          counter("late_rows_total", "Rows of days before yesterday.", of...),
		rejected:      counter("rejected_total", "Records kept as dead letters.", of...),
		timesReplaced: counter("times_replaced_total", "Events whose time was impossible and became the time of observation.", of...),
		pages:         counter("pages_total", "Pages read.", of...),
		parked:        counter("lanes_parked_total", "Lanes parked because their object is bad.", of...),
		errors:        counter("source_errors_total", "Errors of reading, by class.", append(of, "class")...),
		lag:           gauge("lag_seconds", "Age of the time up to which the stream is complete.", of...),
		caughtUp:      gauge("caught_up_timestamp_seconds", "When the stream last had all that its vendor shows.", of...),
		lanes:         gauge("lanes", "Lanes by status.", append(of, "status")...),
		held:          gauge("removals_held", "Rows whose removal waits for weir scan accept or reject.", of...),
		sinkRows:      counter("delivered_rows_total", "Rows delivered.", "sink", "table"),
		sinkBytes:     counter("delivered_bytes_total", "Bytes sent to or stored in the sink.", "sink", "table"),
		parts:         counter("parts_total", "Parts delivered.", "sink", "table"),
		setAside:      counter("sink_rows_set_aside_total", "Rows that the sink refused, kept as dead letters.", "sink", "table"),
		breakers:      gauge("sink_breaker_open", "1 while the sink's table has stopped because of refusals.", "sink", "table"),
		sinkErrors:    counter("sink_errors_total", "Failed calls to the sink, by class.", "sink", "class"),
		partSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: "weir", Name: "part_seconds", Help: "Time to bring a staged part to the sink.", Buckets: prometheus.ExponentialBuckets(0.01, 3, 10),
		}, []string{"sink"}),
		diskErrors: prometheus.NewCounter(prometheus.CounterOpts{Namespace: "weir", Name: "disk_errors_total", Help: "Failed writes to the data directory."}),
	}
	r.MustRegister(m.partSeconds, m.diskErrors, waitingCollector{p}, &m.counts, lagsCollector{p.lags})
	return m
}

// callsCollector reports what the calls to vendors were, from where they are
// counted: *httpx.Counts by StreamID.
type callsCollector struct{ sync.Map }

var (
	ofStream        = []string{"instance", "stream"}
	requestsTotal   = prometheus.NewDesc("weir_requests_total", "Calls to the vendor.", ofStream, nil)
	retriesTotal    = prometheus.NewDesc("weir_retries_total", "Calls to the vendor that were repeated.", ofStream, nil)
	throttledTotal  = prometheus.NewDesc("weir_throttled_seconds_total", "Time calls to the vendor waited for quota.", ofStream, nil)
	bytesTotal      = prometheus.NewDesc("weir_received_bytes_total", "Bytes received from the vendor.", ofStream, nil)
	callDescription = []*prometheus.Desc{requestsTotal, retriesTotal, throttledTotal, bytesTotal}
)

// Describe implements prometheus.Collector.
func (c *callsCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range callDescription {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *callsCollector) Collect(ch chan<- prometheus.Metric) {
	c.Range(func(key, value any) bool {
		id, _ := key.(StreamID)
		n, _ := value.(*httpx.Counts)
		send := func(d *prometheus.Desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, id.Instance, id.Stream)
		}
		send(requestsTotal, float64(n.Requests.Load()))
		send(retriesTotal, float64(n.Retries.Load()))
		send(throttledTotal, float64(n.ThrottledMS.Load())/1000)
		send(bytesTotal, float64(n.Bytes.Load()))
		return true
	})
}

// waitingCollector reports what the spool holds and what each sink is owed.
type waitingCollector struct{ p *Pipeline }

var (
	spoolBytes   = prometheus.NewDesc("weir_spool_bytes", "Bytes in the spool.", nil, nil)
	spoolLimit   = prometheus.NewDesc("weir_spool_limit_bytes", "Bytes at which sources pause.", nil, nil)
	waitingRows  = prometheus.NewDesc("weir_waiting_rows", "Rows committed and not yet part of a part.", []string{"sink"}, nil)
	waitingParts = prometheus.NewDesc("weir_waiting_parts", "Parts planned and not yet delivered.", []string{"sink"}, nil)
	waitingAge   = prometheus.NewDesc("weir_waiting_seconds", "Age of the oldest batch not yet part of a part.", []string{"sink"}, nil)
	sinkUp       = prometheus.NewDesc("weir_sink_up", "1 while the sink takes what it is given.", []string{"sink"}, nil)
)

func (c waitingCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{spoolBytes, spoolLimit, waitingRows, waitingParts, waitingAge, sinkUp} {
		ch <- d
	}
}

func (c waitingCollector) Collect(ch chan<- prometheus.Metric) {
	send := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	send(spoolBytes, float64(c.p.spool.bytes.Load()))
	send(spoolLimit, float64(c.p.room.limit))
	for _, s := range c.p.SinkStatus() {
		send(waitingRows, float64(s.Waiting.Rows), s.Name)
		send(waitingParts, float64(s.OpenParts), s.Name)
		age := 0.0
		if !s.Waiting.Oldest.IsZero() {
			age = c.p.clock.Since(s.Waiting.Oldest).Seconds()
		}
		send(waitingAge, age, s.Name)
		up := 1.0
		if s.Error != nil {
			up = 0
		}
		send(sinkUp, up, s.Name)
	}
}

// SinkStatus is how one sink fares.
type SinkStatus struct {
	Name               string
	Rows, Bytes, Files int64 // delivered by this process
	Waiting            Totals
	OpenParts          int
	Prepared, Ended    bool
	Error              error
}

// SinkStatus returns how each sink fares, by name.
func (p *Pipeline) SinkStatus() []SinkStatus {
	out := make([]SinkStatus, len(p.sinks))
	for i, s := range p.sinks {
		out[i].Waiting, out[i].OpenParts = s.waiting()
		s.mu.Lock()
		out[i].Name, out[i].Error, out[i].Prepared, out[i].Ended = s.name, s.err, s.prepared, s.ended
		out[i].Rows, out[i].Bytes, out[i].Files = s.rows, s.bytes, s.files
		s.mu.Unlock()
	}
	return out
}

// SpoolBytes returns how much the spool holds.
func (p *Pipeline) SpoolBytes() int64 { return p.spool.bytes.Load() }

// Waiting says why sources wait; "" when they do not.
func (p *Pipeline) Waiting() string { return p.room.reason() }
