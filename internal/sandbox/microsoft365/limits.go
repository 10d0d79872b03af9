package microsoft365

import (
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"time"

	"weir/internal/sandbox/org"
)

// limiter counts what is asked of the directory and of the reports, by app.
type limiter struct {
	mu     sync.Mutex
	counts map[string]*counter
}

// counter is what an app has used of a bucket in a window.
type counter struct {
	began time.Time
	used  int
}

// take uses some of a bucket. Refused requests count too (6). It returns what is
// used, and how long the window lasts.
func (l *limiter) take(key string, now time.Time, cost int, window time.Duration) (used int, left time.Duration) {
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
	return c.used, window - now.Sub(c.began)
}

// admit counts a request against its bucket.
func (c *call) admit(rt *route) *failure {
	h, f := c.h, &c.h.facts
	faults := h.Faults()
	limit, cost, window := 0, 1, f.ReportWindow
	switch rt.bucket {
	case bucketNone:
		return nil
	case bucketFiles:
		return c.spend(rt)
	case bucketRisks:
		limit, window = f.RiskRequests, time.Second
	case bucketReports:
		if limit = f.ReportRequests; faults.Reports != 0 {
			limit = faults.Reports
		}
	case bucketDirectory:
		cost, window = c.cost(rt), f.UnitWindow
		switch n := len(c.s.Accounts[org.Microsoft365]); {
		case n < 50:
			limit = f.Units[0]
		case n <= 500:
			limit = f.Units[1]
		default:
			limit = f.Units[2]
		}
		if faults.Units != 0 {
			limit = faults.Units
		}
	}
	if limit < 0 {
		return nil
	}
	used, left := h.limits.take(rt.bucket+" "+c.who.client, c.s.Now, cost, window)
	head := c.w.Header()
	if rt.bucket == bucketDirectory {
		head.Set("x-ms-resource-unit", strconv.Itoa(cost))
		if share := float64(used) / float64(limit); share > 0.8 {
			head.Set("x-ms-throttle-limit-percentage", fmt.Sprintf("%.1f", min(share, 1.8)))
		}
	}
	if used <= limit {
		return nil
	}
	if rt.bucket == bucketRisks { // no wait is told
		return h.tooMany()
	}
	head.Set("Retry-After", h.retryAfter(left))
	if rt.bucket == bucketDirectory {
		head.Set("x-ms-throttle-scope", "Tenant_Application/ReadWrite/"+c.who.client+"/"+h.tenantID)
		head.Set("x-ms-throttle-information", "ResourceUnitLimitExceeded")
	}
	return h.tooMany()
}

// retryAfter writes a wait in seconds: with a fraction, which the vendor may do.
func (h *Handler) retryAfter(d time.Duration) string {
	d = max(d, 100*time.Millisecond)
	if !h.facts.Fractions {
		return strconv.Itoa(int((d + time.Second - 1) / time.Second))
	}
	return strconv.FormatFloat((d + time.Millisecond).Seconds(), 'f', 3, 64)
}

func (h *Handler) tooMany() *failure {
	f := refuse(h.facts.TooManyStatus, h.facts.TooManyCode, "Too many requests.")
	f.inner = strconv.Itoa(http.StatusTooManyRequests)
	return f
}
