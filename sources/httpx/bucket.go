package httpx

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	"weir/internal/fault"
)

const (
	// resetMargin is waited after a window's end: vendors tell it in whole
	// seconds, some rounded down.
	resetMargin = time.Second
	// sameWindow is how much later another answer may tell the end of the same
	// window: clocks are compared by headers in whole seconds.
	sameWindow = 2 * time.Second
	// firstPark and maxPark bound how long a bucket is parked by throttled
	// answers that tell no time.
	firstPark = time.Second
	maxPark   = time.Minute
)

// bucket decides when a request may be sent. It knows a static limit, and what
// the vendor tells in headers: so much remains until the window ends.
//
// Of the answers of one window the one with the least remaining is the latest;
// requests in flight may or may not be counted in it. So that much, less those
// in flight, can safely be sent. After a window's end, after parking and at the
// start nothing is known: one request goes alone, on trial, and shows.
//
// Waiting requests are served in turn by stream, and in order within one. None
// waits long: it is told when to come back. Streams that yield are served when no
// other waits, and leave half of everything: of the window's quota, of the
// static rate's burst, of the requests at the same time.
type bucket struct {
	clock clockwork.Clock
	name  string
	limit Limit
	live  bool // headers tell the quota

	mu       sync.Mutex
	inFlight int
	tokens   float64   // of the static rate, as of filled
	filled   time.Time //
	known    bool      // left and reset hold
	left     int64     // remaining by the window's latest answer
	whole    int64     // the window's quota, or the most of it that was seen
	reset    time.Time // the window's end
	trial    bool      // one at a time until an answer shows the quota
	trying   bool      // the one is under way
	parked   time.Time // nothing is sent before
	refusals int       // throttled answers in a row
	queues   []*queue  // streams that wait, the next one first
	timer    clockwork.Timer
	timerAt  time.Time
}

type queue struct {
	stream  string
	yields  bool
	waiters []*waiter
}

type waiter struct {
	until time.Time // it does not wait longer
	ready chan grant
}

// grant is the end of waiting: a ticket, or an error.
type grant struct {
	ticket ticket
	err    error
}

// ticket allows one request. It goes back by done or cancel.
type ticket struct{ trial bool }

// answer is what came of a ticket's request.
type answer struct {
	good      bool // it arrived, and is neither transient nor throttled
	quota     Quota
	throttled bool
	wait      time.Duration // asked for by a throttled answer; 0 unknown
}

func newBucket(clock clockwork.Clock, name string, limit Limit, live bool) *bucket {
	limit.Burst = max(limit.Burst, 1)
	return &bucket{clock: clock, name: name, limit: limit, live: live, trial: live, tokens: float64(limit.Burst), filled: clock.Now()}
}

// acquire waits until a request may be sent, and returns how long that took. It
// fails at once, throttled, when the wait would be longer than most.
func (b *bucket) acquire(ctx context.Context, stream string, yields bool, most time.Duration) (ticket, time.Duration, error) {
	if ctx.Err() != nil {
		return ticket{}, 0, context.Cause(ctx)
	}
	b.mu.Lock()
	now := b.clock.Now()
	if !slices.ContainsFunc(b.queues, func(q *queue) bool { return yields || !q.yields }) {
		if ok, _ := b.admissible(yields, now); ok {
			t := b.admit()
			b.mu.Unlock()
			return t, 0, nil
		}
	}
	w := &waiter{until: now.Add(most), ready: make(chan grant, 1)}
	b.enqueue(stream, yields, w)
	b.evict(now)
	b.dispatch(now)
	b.mu.Unlock()

	timer := b.clock.NewTimer(most)
	defer timer.Stop()
	var g grant
	select {
	case g = <-w.ready:
	case <-timer.Chan():
		g = b.leave(w, func(now time.Time) error { return b.tooLong(max(b.estimate(yields, 0, now).Sub(now), firstPark)) })
	case <-ctx.Done():
		g = b.leave(w, func(time.Time) error { return context.Cause(ctx) })
		if g.err == nil {
			b.cancel(g.ticket)
			g.err = context.Cause(ctx)
		}
	}
	return g.ticket, b.clock.Since(now), g.err
}

// cancel gives back a ticket whose request was never sent.
func (b *bucket) cancel(t ticket) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.release(t)
	b.tokens = min(b.tokens+1, float64(b.limit.Burst))
	b.dispatch(b.clock.Now())
}

// done gives back a ticket and learns from the answer. It returns how long the
// bucket is parked from now.
func (b *bucket) done(t ticket, a answer) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock.Now()
	b.release(t)
	b.learn(a, now)
	switch {
	case a.throttled:
		b.refusals++
		b.park(b.throttledUntil(a, now), now)
	case a.quota.Known && a.quota.Park && a.quota.Reset.After(now):
		b.park(a.quota.Reset.Add(resetMargin), now)
	case a.quota.Known && a.quota.Remaining <= 0 && a.quota.Reset.IsZero():
		b.park(now.Add(firstPark), now)
	case a.good:
		b.refusals = 0
		if t.trial {
			b.trial = false
		}
	}
	b.dispatch(now)
	return max(b.parked.Sub(now), 0)
}

func (b *bucket) release(t ticket) {
	b.inFlight--
	if t.trial {
		b.trying = false
	}
}

// learn takes in what an answer says of the window.
func (b *bucket) learn(a answer, now time.Time) {
	q := a.quota
	q.Reset = earlier(q.Reset, now.Add(maxHint))
	b.expire(now)
	switch {
	case !q.Known:
		if b.known {
			b.left-- // it may have been counted
		}
	case !q.Reset.After(now): // of a window that is over, or without an end
	case !b.known || q.Reset.After(b.reset.Add(sameWindow)):
		b.known, b.left, b.reset = true, q.Remaining, q.Reset
		b.whole = max(q.Limit, q.Remaining)
	default: // of this window, or a late one of the window before: then the end comes early, and a trial shows
		b.left, b.reset = min(b.left, q.Remaining), earlier(b.reset, q.Reset)
	}
}

// expire forgets a window that is over.
func (b *bucket) expire(now time.Time) {
	if b.known && !now.Before(b.reset.Add(resetMargin)) {
		b.known, b.trial = false, true
	}
}

// throttledUntil returns when a request may be tried after a throttled answer:
// when it says, else after a pause that doubles.
func (b *bucket) throttledUntil(a answer, now time.Time) time.Time {
	switch {
	case a.wait > 0:
		return now.Add(min(a.wait, maxHint))
	case a.quota.Known && a.quota.Remaining <= 0 && a.quota.Reset.After(now):
		return earlier(a.quota.Reset, now.Add(maxHint)).Add(resetMargin)
	}
	pause := min(firstPark<<min(b.refusals-1, 10), maxPark)
	return now.Add(pause/2 + rand.N(pause/2+1))
}

// park has nothing sent before a time, and one request alone after it.
func (b *bucket) park(until, now time.Time) {
	b.trial = true
	if until.After(b.parked) {
		b.parked = until
		b.evict(now)
	}
}

// admissible says whether a request may be sent now; if not, from when on time
// alone allows it. Zero: an answer must come first.
func (b *bucket) admissible(yields bool, now time.Time) (ok bool, at time.Time) {
	b.expire(now)
	b.fill(now)
	keep := b.reserve(yields)
	switch {
	case now.Before(b.parked):
		return false, b.parked
	case b.limit.Concurrency > 0 && b.inFlight >= b.limit.Concurrency-keep.concurrency, b.trial && b.trying:
		return false, time.Time{}
	case b.known && b.left-keep.left <= int64(b.inFlight):
		return false, b.reset.Add(resetMargin)
	case b.limit.PerSecond > 0 && b.tokens < 1+keep.tokens:
		return false, now.Add(b.earn(1 + keep.tokens - b.tokens))
	}
	return true, now
}

// reserved is what is not for a request.
type reserved struct {
	concurrency int
	left        int64
	tokens      float64
}

// reserve is what who yields leaves to others.
func (b *bucket) reserve(yields bool) reserved {
	if !yields {
		return reserved{}
	}
	return reserved{concurrency: b.limit.Concurrency / 2, left: b.whole / 2, tokens: float64(b.limit.Burst / 2)}
}

// fill adds the tokens earned since it was last called.
func (b *bucket) fill(now time.Time) {
	if d := now.Sub(b.filled); d > 0 {
		b.tokens = min(b.tokens+d.Seconds()*b.limit.PerSecond, float64(b.limit.Burst))
	}
	b.filled = now
}

// earn returns how long it takes to earn tokens.
func (b *bucket) earn(tokens float64) time.Duration {
	return time.Duration(tokens/b.limit.PerSecond*float64(time.Second)) + 1
}

func (b *bucket) admit() ticket {
	t := ticket{trial: b.trial}
	b.inFlight++
	b.tokens--
	b.trying = b.trying || t.trial
	return t
}

func (b *bucket) enqueue(stream string, yields bool, w *waiter) {
	for _, q := range b.queues {
		if q.stream == stream && q.yields == yields {
			q.waiters = append(q.waiters, w)
			return
		}
	}
	b.queues = append(b.queues, &queue{stream: stream, yields: yields, waiters: []*waiter{w}})
}

// dispatch lets go who may, one of each stream in turn, and sets the timer for
// the next.
func (b *bucket) dispatch(now time.Time) {
	var at time.Time
	for len(b.queues) > 0 {
		first := max(0, slices.IndexFunc(b.queues, func(q *queue) bool { return !q.yields }))
		q := b.queues[first]
		ok, when := b.admissible(q.yields, now)
		if !ok {
			at = when
			break
		}
		b.queues = slices.Delete(b.queues, first, first+1)
		q.waiters[0].ready <- grant{ticket: b.admit()}
		if q.waiters = q.waiters[1:]; len(q.waiters) > 0 {
			b.queues = append(b.queues, q)
		}
	}
	if at.Equal(b.timerAt) {
		return
	}
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	b.timerAt = at
	if !at.IsZero() {
		b.timer = b.clock.AfterFunc(at.Sub(now), b.wake)
	}
}

func (b *bucket) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer, b.timerAt = nil, time.Time{}
	b.dispatch(b.clock.Now())
}

// leave takes a waiter out of its queue, and makes its error; but a grant that
// it was given meanwhile holds.
func (b *bucket) leave(w *waiter, why func(now time.Time) error) grant {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case g := <-w.ready:
		return g
	default:
	}
	now := b.clock.Now()
	b.keep(func(x *waiter, _ bool, _ int) bool { return x != w })
	b.dispatch(now)
	return grant{err: why(now)}
}

// evict sends away everybody whose turn will come too late.
func (b *bucket) evict(now time.Time) {
	b.expire(now)
	b.fill(now)
	b.keep(func(w *waiter, yields bool, ahead int) bool {
		at := b.estimate(yields, ahead, now)
		if !at.After(w.until) {
			return true
		}
		w.ready <- grant{err: b.tooLong(at.Sub(now))}
		return false
	})
}

// keep drops the waiters of which wanted says no. ahead is how many are served
// before.
func (b *bucket) keep(wanted func(w *waiter, yields bool, ahead int) bool) {
	sizes := make([]int, len(b.queues))
	for i, q := range b.queues {
		sizes[i] = len(q.waiters)
	}
	queues := b.queues[:0:0]
	for i, q := range b.queues {
		waiters := q.waiters[:0:0]
		for n, w := range q.waiters {
			ahead := n
			for j, size := range sizes {
				switch other := b.queues[j].yields; {
				case other && !q.yields:
				case !other && q.yields:
					ahead += size
				case j < i:
					ahead += min(size, n+1)
				case j > i:
					ahead += min(size, n)
				}
			}
			if wanted(w, q.yields, ahead) {
				waiters = append(waiters, w)
			}
		}
		if q.waiters = waiters; len(waiters) > 0 {
			queues = append(queues, q)
		}
	}
	b.queues = queues
}

// estimate returns when, at the earliest, the turn comes of one with so many
// ahead.
func (b *bucket) estimate(yields bool, ahead int, now time.Time) time.Time {
	at, keep := now, b.reserve(yields)
	if b.parked.After(at) {
		at = b.parked
	} else if b.known && b.left-keep.left-int64(b.inFlight) <= int64(ahead) {
		at = b.reset.Add(resetMargin)
	}
	if need := float64(ahead+1) + keep.tokens - b.tokens; b.limit.PerSecond > 0 && need > 0 {
		if paced := now.Add(b.earn(need)); paced.After(at) {
			at = paced
		}
	}
	return at
}

func (b *bucket) tooLong(wait time.Duration) error {
	name := b.name
	if name == "" {
		name = "the API"
	}
	return fault.After(fault.Throttled, max(wait, minHint), "quota of %s: the next request can be sent in %s", name, wait.Round(time.Millisecond))
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
