package pipeline

import (
	"context"
	"encoding/json"
	"math/bits"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"weir/schemas"
)

// How late events are is counted in lagBuckets buckets, two to each doubling,
// from under 2 ms to about three months. Counts are halved when there are
// lagMemory, so that what was long ago weighs less.
const (
	lagBuckets = 66
	lagMemory  = 1 << 17
	// maxLagPending bounds the batches whose rows are counted when they are
	// delivered; of those before, and of those a restart finds, nothing is learned.
	maxLagPending = 4096
)

// lagCounts are how many rows were how late.
type lagCounts [lagBuckets]uint32

// lagBucket is the bucket of a lag in milliseconds.
func lagBucket(ms int64) int {
	if ms < 2 {
		return 0
	}
	n := bits.Len64(uint64(ms)) - 1 // ms is in [2^n, 2^(n+1))
	return min(2*n-1+int(ms>>(n-1)&1), lagBuckets-1)
}

// lagTop is the upper end of a bucket, in milliseconds.
func lagTop(bucket int) int64 {
	if bucket == 0 {
		return 2
	}
	n := (bucket + 1) / 2
	if bucket%2 == 1 {
		return 3 << (n - 1)
	}
	return 1 << (n + 1)
}

// add counts a row.
func (c *lagCounts) add(ms int64) { c[lagBucket(ms)]++ }

// LagStats is how late a stream's events are delivered, from when they happened.
type LagStats struct {
	Rows     int64 // it is learned from
	P50, P99 time.Duration
}

func (c *lagCounts) stats() (s LagStats) {
	for _, n := range c {
		s.Rows += int64(n)
	}
	quantile := func(q float64) time.Duration {
		left := int64(float64(s.Rows)*q + 0.999999)
		for i, n := range c {
			if left -= int64(n); left <= 0 {
				return time.Duration(lagTop(i)) * time.Millisecond
			}
		}
		return 0
	}
	if s.Rows > 0 {
		s.P50, s.P99 = quantile(0.50), quantile(0.99)
	}
	return s
}

// lags learns how late the events of all streams are delivered.
type lags struct {
	mu      sync.Mutex
	streams map[StreamID]*lagCounts
	pending map[string]lagPending // by batch
	sinks   int
}

type lagPending struct {
	stream  StreamID
	counts  *lagCounts // rows by age when they were collected
	created time.Time
	left    int // sinks that have not got it
}

func newLags(sinks int) *lags {
	return &lags{streams: map[StreamID]*lagCounts{}, pending: map[string]lagPending{}, sinks: sinks}
}

// collected notes a batch whose rows are to be counted when it is delivered.
func (l *lags) collected(b *Batch, s StreamID, counts *lagCounts) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.pending) >= maxLagPending { // a sink gets nothing
		clear(l.pending)
	}
	if l.sinks > 0 {
		l.pending[b.ID] = lagPending{s, counts, b.Created, l.sinks}
	}
}

// delivered counts the rows of a batch that a sink has got.
func (l *lags) delivered(batch string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p, ok := l.pending[batch]
	if !ok {
		return
	}
	of := l.of(p.stream)
	waited := max(0, now.Sub(p.created).Milliseconds())
	total := uint32(0)
	for i, n := range p.counts {
		if n > 0 {
			// The middle of the bucket stands for its rows.
			of[lagBucket(lagTop(i)*5/6+waited)] += n
		}
	}
	for _, n := range of {
		total += n
	}
	if total > lagMemory {
		for i := range of {
			of[i] /= 2
		}
	}
	if p.left--; p.left == 0 {
		delete(l.pending, batch)
	} else {
		l.pending[batch] = p
	}
}

func (l *lags) of(s StreamID) *lagCounts {
	c, ok := l.streams[s]
	if !ok {
		c = &lagCounts{}
		l.streams[s] = c
	}
	return c
}

// load takes up what an earlier process has learned of a stream.
func (l *lags) load(ctx context.Context, st State, s StreamID) error {
	c, err := readLag(ctx, st, s)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.streams[s]; !ok {
		l.streams[s] = &c
	}
	return nil
}

// text is what is kept of a stream in the state.
func (l *lags) text(s StreamID) (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.streams[s]
	if !ok {
		return "", nil
	}
	b, err := json.Marshal(c)
	return string(b), err
}

// stats returns what has been learned of a stream.
func (l *lags) stats(s StreamID) LagStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.of(s).stats()
}

func readLag(ctx context.Context, st State, s StreamID) (c lagCounts, err error) {
	v, err := st.Meta(ctx, metaLag+s.String())
	if err != nil || v == "" {
		return c, err
	}
	if json.Unmarshal([]byte(v), &c) != nil {
		c = lagCounts{} // learned anew
	}
	return c, nil
}

// ReadLag returns how late a stream's events are delivered, as last kept.
func ReadLag(ctx context.Context, st State, s StreamID) (LagStats, error) {
	c, err := readLag(ctx, st, s)
	return c.stats(), err
}

// lagsCollector reports what has been learned.
type lagsCollector struct{ l *lags }

var streamLag = prometheus.NewDesc("weir_stream_lag_seconds", "Time from an event to its delivery, as learned.", append(ofStream, "quantile"), nil)

// Describe implements prometheus.Collector.
func (c lagsCollector) Describe(ch chan<- *prometheus.Desc) { ch <- streamLag }

// Collect implements prometheus.Collector.
func (c lagsCollector) Collect(ch chan<- prometheus.Metric) {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	for id, counts := range c.l.streams {
		if s := counts.stats(); s.Rows > 0 {
			ch <- prometheus.MustNewConstMetric(streamLag, prometheus.GaugeValue, s.P50.Seconds(), id.Instance, id.Stream, "0.5")
			ch <- prometheus.MustNewConstMetric(streamLag, prometheus.GaugeValue, s.P99.Seconds(), id.Instance, id.Stream, "0.99")
		}
	}
}

// learn notes how old a batch's rows are, of a stream that has caught up once:
// what it collects of the time before says nothing of how late events come.
func (e *encoder) learn(b *Batch, t *schemas.Table, rows *schemas.Rows, index []int32, observed schemas.Time) {
	since := e.run.Stats.CoveredTo.Load()
	if t.Name != schemas.TableActivities || since == 0 {
		return
	}
	oldest := schemas.Time(since - e.run.Stream.Info.Lateness.Milliseconds())
	counts := &lagCounts{}
	n := 0
	for _, i := range index {
		if at := rows.Activities[i].Time; at >= oldest {
			counts.add(int64(observed - at))
			n++
		}
	}
	if n > 0 {
		e.p.lags.collected(b, e.run.ID, counts)
	}
}
