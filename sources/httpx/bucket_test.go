package httpx

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
)

// vendor enforces a quota of so many requests in each window, by credential, and
// tells of it in headers as vendors do. It is a transport, so that a test's time
// costs nothing.
type vendor struct {
	limit    int
	window   time.Duration
	latency  time.Duration // at most
	atOnce   int           // requests at the same time; 0 any
	ahead    time.Duration // of the agent's clock
	truncate bool          // tells a window's end rounded down
	silent   bool          // tells nothing
	first    time.Time     // windows start here

	mu      sync.Mutex
	used    map[string]map[int64]int
	active  map[string]int
	refused int
	served  map[string]int // by path
	order   []string
}

func (v *vendor) RoundTrip(r *http.Request) (*http.Response, error) {
	half := time.Duration(rand.Int64N(int64(v.latency/2) + 1))
	time.Sleep(half)
	v.mu.Lock()
	key := r.Header.Get("Authorization")
	if v.used == nil {
		v.used, v.served, v.active = map[string]map[int64]int{}, map[string]int{}, map[string]int{}
	}
	if v.used[key] == nil {
		v.used[key] = map[int64]int{}
	}
	now := time.Now()
	w := int64(now.Sub(v.first) / v.window)
	end := v.first.Add(time.Duration(w+1) * v.window).Add(v.ahead)
	reset := end.Unix()
	if !v.truncate && end.Nanosecond() > 0 {
		reset++
	}
	h := http.Header{"Date": {now.Add(v.ahead).UTC().Format(http.TimeFormat)}}
	status := http.StatusOK
	if v.used[key][w] >= v.limit || v.atOnce > 0 && v.active[key] >= v.atOnce {
		status = http.StatusTooManyRequests
		v.refused++
	} else {
		v.used[key][w]++
		v.served[r.URL.Path]++
		v.order = append(v.order, r.URL.Path)
	}
	if !v.silent {
		h.Set("X-Remaining", strconv.Itoa(v.limit-v.used[key][w]))
		h.Set("X-Reset", strconv.FormatInt(reset, 10))
	}
	v.active[key]++
	v.mu.Unlock()
	time.Sleep(time.Duration(rand.Int64N(int64(v.latency-half) + 1)))
	v.mu.Lock()
	v.active[key]--
	v.mu.Unlock()
	return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader("[]")), ContentLength: 2, Request: r}, nil
}

func quotaOf(r *Response) Quota {
	left, err := strconv.ParseInt(r.Header.Get("X-Remaining"), 10, 64)
	if err != nil {
		return Quota{}
	}
	secs, _ := strconv.ParseInt(r.Header.Get("X-Reset"), 10, 64)
	return Quota{Known: true, Remaining: left, Reset: r.LocalTime(time.Unix(secs, 0))}
}

// testClient makes a client over a transport, in a bubble of fake time.
func testClient(t *testing.T, transport http.RoundTripper, change func(*Options, *Config)) *Client {
	t.Helper()
	o := Options{Instance: "acme", Clock: clockwork.NewRealClock(), UserAgent: "weir/test"}
	c := Config{BaseURL: "https://api.acme.example", Quota: quotaOf}
	if change != nil {
		change(&o, &c)
	}
	base, err := New(o)
	require.NoError(t, err)
	base.transport = transport
	client, err := base.Client(c)
	require.NoError(t, err)
	return client
}

func as(ctx context.Context, stream string) context.Context {
	return WithCaller(ctx, &Caller{Stream: stream})
}

// load has streams ask for as much as they get, for a time. It returns how much
// each got.
func load(t *testing.T, client *Client, streams, each int, d time.Duration) []int {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	got := make([]int, streams)
	var mu sync.Mutex
	var wg sync.WaitGroup
	for s := range streams {
		for range each {
			wg.Go(func() {
				for ctx.Err() == nil {
					_, err := client.Do(as(ctx, fmt.Sprint("stream", s)), &Request{Path: P("/s/{s}", fmt.Sprint(s))})
					switch {
					case err == nil:
						mu.Lock()
						got[s]++
						mu.Unlock()
					case ctx.Err() != nil:
					case fault.RetryAfter(err) > 0: // as a lane does
						select {
						case <-time.After(fault.RetryAfter(err)):
						case <-ctx.Done():
						}
					default:
						t.Errorf("an error without a hint: %v", err)
						return
					}
				}
			})
		}
	}
	wg.Wait()
	return got
}

// A backlog uses what the vendor allows, and the vendor never has to refuse.
func TestQuotaIsKeptAndUsed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		vendor        *vendor
		streams, each int
		change        func(*Options, *Config)
	}{
		"a minute":                {&vendor{limit: 60, window: time.Minute, latency: 300 * time.Millisecond}, 5, 4, nil},
		"a minute, rounded down":  {&vendor{limit: 60, window: time.Minute, latency: 300 * time.Millisecond, truncate: true}, 5, 4, nil},
		"fast":                    {&vendor{limit: 1200, window: time.Minute, latency: 80 * time.Millisecond}, 8, 4, nil},
		"an hour":                 {&vendor{limit: 5000, window: time.Hour, latency: 200 * time.Millisecond}, 7, 4, nil},
		"short windows":           {&vendor{limit: 200, window: 15 * time.Second, latency: 100 * time.Millisecond}, 3, 4, nil},
		"slow answers":            {&vendor{limit: 60, window: time.Minute, latency: 9 * time.Second}, 5, 8, nil},
		"the vendor's clock fast": {&vendor{limit: 100, window: time.Minute, latency: 200 * time.Millisecond, ahead: 7 * time.Minute}, 4, 4, nil},
		"the vendor's clock slow": {&vendor{limit: 100, window: time.Minute, latency: 200 * time.Millisecond, ahead: -90 * time.Second}, 4, 4, nil},
		"limited at the same time": {&vendor{limit: 600, window: time.Minute, latency: 300 * time.Millisecond, atOnce: 4}, 4, 4, func(_ *Options, c *Config) {
			c.Buckets = map[string]Limit{"": {Concurrency: 4}}
		}},
		"parked at a tenth": {&vendor{limit: 100, window: time.Minute, latency: 200 * time.Millisecond}, 4, 4, func(_ *Options, c *Config) {
			c.Quota = func(r *Response) Quota {
				q := quotaOf(r)
				q.Park = q.Remaining <= 10
				return q
			}
		}},
		"told nothing, limited": {&vendor{limit: 120, window: time.Minute, latency: 10 * time.Millisecond, silent: true}, 4, 4, func(_ *Options, c *Config) {
			c.Buckets = map[string]Limit{"": {PerSecond: 1.9}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				v := c.vendor
				v.first = time.Now().Add(-v.window / 3).Add(-123456789)
				client := testClient(t, v, c.change)
				d := 10 * v.window
				if v.limit > 1000 {
					d = 3 * v.window // it is the same, and takes long
				}
				got := load(t, client, c.streams, c.each, d)
				require.Zero(t, v.refused, "requests refused")
				total, least, most := 0, got[0], got[0]
				for _, n := range got {
					total += n
					least, most = min(least, n), max(most, n)
				}
				allowed := float64(v.limit * len(v.used[""])) // in the windows there were, the broken ones whole
				require.Greater(t, float64(total), 0.8*allowed, "used of the allowed rate")
				// Turns are taken within a window; who comes back first for the next
				// one is chance, and by chance a stream gets a tenth more.
				if c.each > 1 {
					require.Greater(t, float64(least), 0.8*float64(most)-5, "the streams' shares: %v", got)
				}
				t.Logf("%.0f %% used, shares %v", 100*float64(total)/allowed, got)
			})
		})
	}
}

type token string

func (a token) Authorize(_ context.Context, r *http.Request) error {
	r.Header.Set("Authorization", "Bearer "+string(a))
	return nil
}

func (token) Refused(context.Context, *http.Request, *Response) (bool, error) { return false, nil }

// Fifty instances, each with its own quota, share the process.
func TestFiftyClients(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &vendor{limit: 60, window: time.Minute, latency: 400 * time.Millisecond, first: time.Now().Add(-17 * time.Second)}
		var wg sync.WaitGroup
		totals := make([]int, 50)
		for i := range totals {
			client := testClient(t, v, func(_ *Options, c *Config) { c.Auth = token(fmt.Sprint("sandbox-", i)) })
			wg.Go(func() {
				for _, n := range load(t, client, 4, 2, 4*time.Minute) {
					totals[i] += n
				}
			})
		}
		wg.Wait()
		require.Zero(t, v.refused)
		for i, n := range totals {
			require.Greater(t, n, 4*60*8/10, "client %d", i)
		}
	})
}

// One stream with a great backlog does not keep another one waiting.
func TestStreamsTakeTurns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		v := &vendor{limit: 1000, window: time.Hour, latency: 10 * time.Millisecond, first: time.Now()}
		client := testClient(t, v, func(_ *Options, c *Config) { c.Buckets = map[string]Limit{"": {PerSecond: 1}} })
		var wg sync.WaitGroup
		ask := func(stream, n string) {
			wg.Go(func() {
				_, err := client.Do(as(t.Context(), stream), &Request{Path: P("/{s}/{n}", stream, n)})
				require.NoError(t, err)
			})
			synctest.Wait()
		}
		for i := range 20 {
			ask("busy", fmt.Sprint(i))
		}
		ask("calm", "0")
		ask("calm", "1")
		ask("third", "0")
		wg.Wait()
		require.Equal(t, []string{"/busy/0", "/busy/1", "/calm/0", "/third/0", "/busy/2", "/calm/1", "/busy/3", "/busy/4"}, v.order[:8])
		require.Equal(t, "/busy/19", v.order[len(v.order)-1])
	})
}

// A wait that is too long holds nobody: all are told when to come back.
func TestLongWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := make(chan int, 10)
		client := testClient(t, roundTrip(func(r *http.Request) (*http.Response, error) {
			h := http.Header{}
			status := <-answers
			if status == http.StatusTooManyRequests {
				h.Set("Retry-After", "600")
			}
			return &http.Response{StatusCode: status, Header: h, Body: http.NoBody, Request: r}, nil
		}), nil)
		started := time.Now()
		errs := make(chan error, 10)
		counts := &Caller{Stream: "a"}
		for range 5 {
			go func() {
				_, err := client.Do(WithCaller(t.Context(), counts), &Request{Path: P("/x")})
				errs <- err
			}()
		}
		synctest.Wait() // one on trial, four wait
		time.Sleep(5 * time.Second)
		answers <- http.StatusTooManyRequests
		for range 5 {
			err := <-errs
			require.Equal(t, fault.Throttled, fault.Of(err), "%v", err)
			require.Equal(t, 10*time.Minute, fault.RetryAfter(err))
		}
		require.Equal(t, 5*time.Second, time.Since(started), "told at once")
		require.Equal(t, int64(20_000), counts.Counts.ThrottledMS.Load())
		require.Equal(t, int64(1), counts.Counts.Requests.Load())

		_, err := client.Do(t.Context(), &Request{Path: P("/x")})
		require.Equal(t, fault.Throttled, fault.Of(err))
		require.Equal(t, 5*time.Second, time.Since(started), "and so is who comes later")

		// Afterwards one goes first, and the others when it came back.
		time.Sleep(10*time.Minute + time.Second)
		for range 3 {
			go func() {
				_, err := client.Do(WithCaller(t.Context(), counts), &Request{Path: P("/x")})
				errs <- err
			}()
		}
		synctest.Wait()
		require.Equal(t, 1, client.bucket(&Request{}).inFlight)
		answers <- http.StatusOK
		require.NoError(t, <-errs)
		synctest.Wait()
		require.Equal(t, 2, client.bucket(&Request{}).inFlight)
		answers <- http.StatusOK
		answers <- http.StatusOK
		require.NoError(t, <-errs)
		require.NoError(t, <-errs)
	})
}

// Throttled without a word about how long: the pauses grow, and end.
func TestThrottledWithoutHint(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(clockwork.NewRealClock(), "b", Limit{}, false)
		last := time.Duration(0)
		for i := range 12 {
			tk, _, err := b.acquire(t.Context(), "", false, time.Hour)
			require.NoError(t, err)
			wait := b.done(tk, answer{throttled: true})
			require.LessOrEqual(t, wait, maxPark)
			require.GreaterOrEqual(t, wait, min(firstPark<<i, maxPark)/2)
			last = wait
		}
		require.Greater(t, last, maxPark/3)
		tk, _, err := b.acquire(t.Context(), "", false, time.Hour)
		require.NoError(t, err)
		b.done(tk, answer{good: true})
		tk, _, err = b.acquire(t.Context(), "", false, 0)
		require.NoError(t, err)
		require.LessOrEqual(t, b.done(tk, answer{throttled: true}), firstPark)
	})
}

// Whoever stops waiting takes nothing with him.
func TestGivingUpWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBucket(clockwork.NewRealClock(), "b", Limit{Concurrency: 1}, false)
		held, _, err := b.acquire(t.Context(), "", false, time.Hour)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				_, waited, err := b.acquire(ctx, fmt.Sprint(i%3), false, time.Hour)
				require.ErrorIs(t, err, context.Canceled)
				require.Equal(t, time.Second, waited)
			})
		}
		time.Sleep(time.Second)
		cancel()
		wg.Wait()
		require.Empty(t, b.queues)
		_, waited, err := b.acquire(t.Context(), "", false, time.Minute)
		require.Equal(t, fault.Throttled, fault.Of(err), "nobody can tell how long an answer takes")
		require.Positive(t, fault.RetryAfter(err))
		require.Equal(t, time.Minute, waited)
		b.cancel(held)
		_, waited, err = b.acquire(t.Context(), "", false, 0)
		require.NoError(t, err)
		require.Zero(t, waited)
		require.Equal(t, 1, b.inFlight)
	})
}

// Who yields takes half of a vendor's quota, and no more than one answer's time
// from a poll: a backfill that always has work does not delay live data.
func TestWhoYieldsDelaysNobody(t *testing.T) {
	t.Parallel()
	const latency, window, quota = 200 * time.Millisecond, time.Minute, 100
	limits := map[string]Limit{"by headers": {}, "by rate": {PerSecond: 1, Burst: 60, Concurrency: 1}, "both": {PerSecond: 2, Burst: 40, Concurrency: 4}}
	for name, limit := range limits {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				clock := clockwork.NewRealClock()
				b := newBucket(clock, "b", limit, name != "by rate")
				ends, left := clock.Now().Add(window), int64(quota)
				var mu sync.Mutex
				send := func(tk ticket) {
					time.Sleep(latency)
					mu.Lock()
					now := clock.Now()
					if !now.Before(ends) {
						ends, left = now.Add(window), quota
					}
					left--
					a := answer{good: true, throttled: left < 0}
					if b.live {
						a.quota = Quota{Known: true, Limit: quota, Remaining: max(left, 0), Reset: ends}
					}
					mu.Unlock()
					if b.live {
						require.False(t, a.throttled)
					}
					b.done(tk, a)
				}
				ctx, cancel := context.WithCancel(t.Context())
				var past atomic.Int64
				var wg sync.WaitGroup
				for range 6 {
					wg.Go(func() {
						for ctx.Err() == nil {
							tk, _, err := b.acquire(ctx, "activities/past", true, time.Minute)
							if err != nil {
								select {
								case <-clock.After(fault.RetryAfter(err)):
								case <-ctx.Done():
								}
								continue
							}
							send(tk)
							past.Add(1)
						}
					})
				}
				const polls = 100
				most := time.Duration(0)
				for range polls {
					time.Sleep(6 * time.Second)
					tk, waited, err := b.acquire(t.Context(), "activities", false, time.Minute)
					require.NoError(t, err)
					most = max(most, waited)
					send(tk)
				}
				cancel()
				wg.Wait()
				require.LessOrEqual(t, most, 2*latency, "a poll waits for the answer under way, or for the one on trial")
				require.Greater(t, past.Load(), int64(10*quota/2*9/10), "and the past gets on")
			})
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
