package okta

import (
	"sync"
	"time"
)

// limiter counts requests: a bucket's for the organization and for each client,
// in windows that begin with the first request, and those that are being
// answered.
type limiter struct {
	f Facts

	mu      sync.Mutex
	windows map[windowKey]*window
	active  map[string]int // by client
	logs    map[string]int // of these, on the System Log
	total   int
}

type windowKey struct{ client, bucket string } // client "": the organization

type window struct {
	used  int
	reset time.Time
	told  bool // the client has been answered that nothing remains
}

// verdict is what take decided.
type verdict struct {
	ok, limited      bool
	limit, remaining int
	reset            time.Time
	broken           []string // rules that the client broke
	w                *window
}

func newLimiter(f Facts) *limiter {
	return &limiter{f: f, windows: map[windowKey]*window{}, active: map[string]int{}, logs: map[string]int{}}
}

// take counts a request. done must follow.
func (l *limiter) take(client, bucket string, now time.Time, other map[string]int) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total++
	l.active[client]++
	if bucket == bucketLogs {
		l.logs[client]++
	}
	v := verdict{ok: true}
	if l.active[client] > l.f.ClientConcurrent {
		v.broken = append(v.broken, "too many at once by one client")
	}
	if l.logs[client] > l.f.LogConcurrent {
		v.broken = append(v.broken, "two log requests at once")
	}
	all, ok := other[bucket]
	if !ok {
		all = l.f.Limits[bucket]
	}
	if l.f.Concurrent > 0 && l.total > l.f.Concurrent {
		v.ok, v.limited, v.reset = false, true, now.Add(l.f.Window)
		return v
	}
	if all <= 0 {
		return v
	}
	share := max(1, all*l.f.ClientShare/100)
	org, own := l.window("", bucket, now), l.window(client, bucket, now)
	v.limited, v.limit, v.reset, v.w = true, share, own.reset, own
	v.ok = own.used < share && org.used < all
	if !v.ok {
		if own.told {
			v.broken = append(v.broken, "over the rate limit")
		}
		own.told = true
		if own.used < share {
			v.reset = org.reset
		}
		return v
	}
	own.used++
	org.used++
	v.remaining = min(share-own.used, all-org.used)
	return v
}

// done ends a request: its answer has told the client what remains.
func (l *limiter) done(client, bucket string, v verdict) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total--
	l.active[client]--
	if bucket == bucketLogs {
		l.logs[client]--
	}
	if v.w != nil && v.limited && v.remaining == 0 {
		v.w.told = true
	}
}

func (l *limiter) window(client, bucket string, now time.Time) *window {
	k := windowKey{client, bucket}
	w := l.windows[k]
	if w == nil || !now.Before(w.reset) {
		w = &window{reset: now.Truncate(time.Second).Add(l.f.Window)}
		l.windows[k] = w
	}
	return w
}
