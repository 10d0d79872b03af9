package httpx

import (
	"context"
	"sync"
	"time"
)

// maxOwn is how many buckets of single credentials are kept though they are
// idle.
const maxOwn = 1024

// shared is what the clients of one API have in common, whoever they are for.
type shared struct {
	skew skew

	mu      sync.Mutex
	buckets map[string]*bucket
	own     map[string]*bucket // of single credentials
	sizes   map[string]int     // by endpoint: bytes of its last answer's body
}

func newShared() *shared {
	return &shared{buckets: map[string]*bucket{}, own: map[string]*bucket{}, sizes: map[string]int{}}
}

// As returns a client of the same API with other credentials: those of one of
// many users, say. It shares what c knows of the API, and its buckets.
//
// name tells whose the credentials are. All clients of one name have a bucket
// besides, with that limit; it alone rests after a throttled answer that
// Config.Personal takes for the credentials' own. A client is cheap, and need
// not be kept.
func (c *Client) As(name string, a Authorizer, limit Limit) *Client {
	out := *c
	out.c.Auth = a
	out.own = c.shared.ownBucket(c, name, limit)
	return &out
}

func (s *shared) ownBucket(c *Client, name string, limit Limit) *bucket {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.own[name]
	if ok {
		return b
	}
	if len(s.own) >= maxOwn {
		for k, b := range s.own {
			if b.idle() {
				delete(s.own, k)
			}
		}
	}
	b = newBucket(c.base.o.Clock, name, limit, false)
	s.own[name] = b
	return b
}

// idle tells whether nothing is lost when the bucket is made anew.
func (b *bucket) idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.inFlight == 0 && len(b.queues) == 0 && !b.clock.Now().Before(b.parked) && b.refusals == 0
}

// turn allows one request: a ticket of each of its buckets.
type turn struct{ common, own ticket }

// acquire waits until the request may be sent, by the quota of its credentials
// and by that of all.
func (cl *call) acquire(ctx context.Context, most time.Duration) (t turn, waited time.Duration, err error) {
	own := cl.c.own
	if own != nil {
		if t.own, waited, err = own.acquire(ctx, cl.caller.Stream, cl.caller.Yields, most); err != nil {
			return turn{}, waited, err
		}
	}
	common, more, err := cl.bucket.acquire(ctx, cl.caller.Stream, cl.caller.Yields, most-waited)
	if err != nil {
		if own != nil {
			own.cancel(t.own)
		}
		return turn{}, waited + more, err
	}
	t.common = common
	return t, waited + more, nil
}

// cancel gives back a turn whose request was never sent.
func (cl *call) cancel(t turn) {
	cl.bucket.cancel(t.common)
	if cl.c.own != nil {
		cl.c.own.cancel(t.own)
	}
}

// done gives back a turn, and has the buckets learn from the answer. It returns
// how long one of them is parked from now.
func (cl *call) done(t turn, resp *Response, a answer) time.Duration {
	own, personal := cl.c.own, cl.c.c.Personal
	if own == nil {
		return cl.bucket.done(t.common, a)
	}
	if a.throttled && resp != nil && personal != nil && personal(resp) {
		// Of the others' quota it says nothing: they go on.
		cl.bucket.done(t.common, answer{good: true, quota: a.quota})
		return own.done(t.own, a)
	}
	own.done(t.own, answer{good: a.good})
	return cl.bucket.done(t.common, a)
}
