package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStaticFollowsTheFile(t *testing.T) {
	t.Parallel()
	value := "first"
	a := Static("authorization", "SSWS ", func() (string, error) { return value, nil })
	r := authorized(t, a, "https://acme.example/")
	require.Equal(t, "SSWS first", r.Header.Get("Authorization"))
	again, err := a.Refused(t.Context(), r, refusal())
	require.NoError(t, err)
	require.False(t, again, "the same token will be refused again")
	value = "second"
	again, err = a.Refused(t.Context(), r, refusal())
	require.NoError(t, err)
	require.True(t, again)
	require.Equal(t, "SSWS second", authorized(t, a, "https://acme.example/").Header.Get("Authorization"))

	for _, bad := range []string{"", "two words", "line\nbreak", "snow☃"} {
		value = bad
		err := a.Authorize(t.Context(), r)
		requireAuth(t, err, "")
		if bad != "" {
			require.NotContains(t, err.Error(), bad)
		}
	}
}

// counter mints t1, t2, ... that last an hour, when told to go on.
type counter struct {
	minted  atomic.Int32
	gate    chan struct{} // nil: open
	err     atomic.Pointer[error]
	entered chan struct{}
	life    time.Duration
	now     func() time.Time
}

func (c *counter) mint(ctx context.Context) (Token, error) {
	if c.entered != nil {
		c.entered <- struct{}{}
	}
	if c.gate != nil {
		select {
		case <-c.gate:
		case <-ctx.Done():
			return Token{}, ctx.Err()
		}
	}
	n := c.minted.Add(1)
	if e := c.err.Load(); e != nil {
		return Token{}, *e
	}
	tok := Token{Access: fmt.Sprintf("t%d", n), Type: "Bearer"}
	if c.life > 0 {
		tok.Expires = c.now().Add(c.life)
	}
	return tok, nil
}

func (c *counter) fail(err error) { c.err.Store(&err) }

func TestTokenIsReplacedAheadOfItsEnd(t *testing.T) {
	t.Parallel()
	f := func(life, early, at time.Duration, want string) {
		t.Helper()
		clock := fakeClock()
		c := &counter{life: life, now: clock.Now}
		a := Cached(c.mint, CacheOptions{Clock: clock, Early: early})
		require.Equal(t, "Bearer t1", authorized(t, a, "https://acme.example/").Header.Get("Authorization"))
		clock.Advance(at)
		require.Equal(t, "Bearer "+want, authorized(t, a, "https://acme.example/").Header.Get("Authorization"))
	}
	f(time.Hour, 0, 54*time.Minute, "t1")
	f(time.Hour, 0, 55*time.Minute, "t2")
	f(time.Hour, 10*time.Minute, 49*time.Minute, "t1")
	f(time.Hour, 10*time.Minute, 50*time.Minute, "t2")
	f(time.Minute, 0, 53*time.Second, "t1") // a tenth of its life
	f(time.Minute, 0, 54*time.Second, "t2")
	f(0, 0, 1000*time.Hour, "t1")
}

func TestGoodTokenOutlivesFailedReplacement(t *testing.T) {
	t.Parallel()
	clock := fakeClock()
	c := &counter{life: time.Hour, now: clock.Now}
	a := Cached(c.mint, CacheOptions{Clock: clock})
	authorized(t, a, "https://acme.example/")
	c.fail(errors.New("down"))
	clock.Advance(56 * time.Minute)
	for range 3 {
		require.Equal(t, "Bearer t1", authorized(t, a, "https://acme.example/").Header.Get("Authorization"))
	}
	require.EqualValues(t, 2, c.minted.Load(), "one failed attempt, then a pause")
	clock.Advance(time.Minute)
	authorized(t, a, "https://acme.example/")
	require.EqualValues(t, 3, c.minted.Load())
	clock.Advance(3 * time.Minute)
	_, err := a.Token(t.Context())
	require.EqualError(t, err, "down")
	c.err.Store(nil)
	tok, err := a.Token(t.Context())
	require.NoError(t, err, "a failure is not remembered")
	require.Equal(t, "t5", tok.Access)
}

func TestOneMintForAll(t *testing.T) {
	t.Parallel()
	clock := fakeClock()
	c := &counter{gate: make(chan struct{}), entered: make(chan struct{}, 10)}
	a := Cached(c.mint, CacheOptions{Clock: clock})
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			tok, err := a.Token(t.Context())
			if err != nil || tok.Access != "t1" {
				t.Errorf("got %q, %v", tok.Access, err)
			}
		})
	}
	<-c.entered
	close(c.gate)
	wg.Wait()
	require.EqualValues(t, 1, c.minted.Load())

	// And one for all whom the same token was refused.
	clock.Advance(time.Hour)
	r := authorized(t, a, "https://acme.example/")
	for range 50 {
		wg.Go(func() {
			again, err := a.Refused(t.Context(), r, refusal())
			if err != nil || !again {
				t.Errorf("got %v, %v", again, err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 2, c.minted.Load())
}

func TestFreshTokensThatAreRefusedEndIt(t *testing.T) {
	t.Parallel()
	clock := fakeClock()
	c := &counter{}
	a := Cached(c.mint, CacheOptions{Clock: clock})
	refused := func() bool {
		again, err := a.Refused(t.Context(), authorized(t, a, "https://acme.example/"), refusal())
		require.NoError(t, err)
		return again
	}
	require.True(t, refused())
	for range 5 {
		require.False(t, refused())
	}
	require.EqualValues(t, 2, c.minted.Load())
	clock.Advance(2 * time.Minute)
	require.True(t, refused())
	require.EqualValues(t, 3, c.minted.Load())

	c.fail(errors.New("down"))
	clock.Advance(2 * time.Minute)
	again, err := a.Refused(t.Context(), authorized(t, a, "https://acme.example/"), refusal())
	require.EqualError(t, err, "down")
	require.False(t, again)
	require.EqualError(t, a.Authorize(t.Context(), &http.Request{Header: http.Header{}}), "down", "a refused token is not used again")
}

func TestWhoLeavesStopsNobodyElse(t *testing.T) {
	t.Parallel()
	c := &counter{gate: make(chan struct{}), entered: make(chan struct{}, 10)}
	a := Cached(c.mint, CacheOptions{Clock: fakeClock()})
	first, leave := context.WithCancel(t.Context())
	left, stayed := make(chan error, 1), make(chan error, 1)
	go func() {
		_, err := a.Token(first)
		left <- err
	}()
	<-c.entered
	go func() {
		_, err := a.Token(t.Context())
		stayed <- err
	}()
	waitFor(t, func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.flight != nil && a.flight.waiters == 2 })
	leave()
	require.ErrorIs(t, <-left, context.Canceled)
	close(c.gate)
	require.NoError(t, <-stayed)
	require.EqualValues(t, 1, c.minted.Load())
}

func TestNobodyWaitsAnyMore(t *testing.T) {
	t.Parallel()
	c := &counter{gate: make(chan struct{}), entered: make(chan struct{}, 10)}
	a := Cached(c.mint, CacheOptions{Clock: fakeClock()})
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := a.Token(ctx)
		left <- err
	}()
	<-c.entered
	leave()
	require.ErrorIs(t, <-left, context.Canceled)
	require.Nil(t, a.flight, "it has ended")
	close(c.gate)
	tok, err := a.Token(t.Context())
	require.NoError(t, err)
	require.Equal(t, "t1", tok.Access)
}

// What uses up a refresh token is not cut short, but for a while only.
func TestFinish(t *testing.T) {
	t.Parallel()
	clock := fakeClock()
	c := &counter{gate: make(chan struct{}), entered: make(chan struct{}, 10)}
	a := Cached(c.mint, CacheOptions{Clock: clock, Finish: true})
	begin := func() chan error {
		ctx, leave := context.WithCancel(t.Context())
		left := make(chan error, 1)
		go func() {
			_, err := a.Token(ctx)
			left <- err
		}()
		<-c.entered
		leave()
		require.NoError(t, clock.BlockUntilContext(t.Context(), 1))
		return left
	}
	left := begin()
	clock.Advance(finishGrace)
	require.ErrorIs(t, <-left, context.Canceled)
	require.Zero(t, c.minted.Load())

	left = begin()
	c.gate <- struct{}{}
	require.ErrorIs(t, <-left, context.Canceled)
	tok, err := a.Token(t.Context())
	require.NoError(t, err)
	require.Equal(t, "t1", tok.Access, "what was minted meanwhile is used")
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	require.Eventually(t, done, 10*time.Second, time.Millisecond)
}
