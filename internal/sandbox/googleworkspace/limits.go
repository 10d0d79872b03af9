package googleworkspace

import (
	"sync"
	"time"
)

// limiter counts what is asked for, by bucket.
type limiter struct {
	mu     sync.Mutex
	counts map[string]*counter
}

// counter is what was used of a bucket in a window.
type counter struct {
	began time.Time
	used  int
}

// take uses some of a bucket and returns what is used of it in this window.
func (l *limiter) take(key string, now time.Time, cost int, window time.Duration) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.counts == nil {
		l.counts = map[string]*counter{}
	}
	c := l.counts[key]
	if c == nil || now.Sub(c.began) >= window || now.Before(c.began) {
		c = &counter{began: now}
		l.counts[key] = c
	}
	c.used += cost
	return c.used
}

// admit counts a request against a bucket's limit in a minute, by who asks and, if
// that is another, in whose name. Limits below 0 are none.
func (c *call) admit(bucket string, limit, cost int) *failure {
	if other, ok := c.h.Faults().Limits[bucket]; ok {
		limit = other
	}
	if limit < 0 {
		return nil
	}
	if used := c.h.limits.take(bucket+" "+c.who.client+" "+itoa(c.who.subject), c.now, cost, time.Minute); used > limit {
		return c.h.tooMany()
	}
	return nil
}
