package httpx

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
)

// person authorizes by a name.
type person string

func (a person) Authorize(_ context.Context, r *http.Request) error {
	r.Header.Set("Authorization", "Bearer "+string(a))
	return nil
}

func (a person) Refused(context.Context, *http.Request, *Response) (bool, error) { return false, nil }

// One user's throttling has nobody else wait; that of all has everybody.
func TestThrottledForOne(t *testing.T) {
	t.Parallel()
	var busy atomic.Value
	busy.Store("ana")
	clock := clockwork.NewFakeClock()
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		who := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		switch busy.Load() {
		case who:
			w.WriteHeader(http.StatusTooManyRequests)
			fmt.Fprint(w, "personal")
		case "all":
			w.WriteHeader(http.StatusTooManyRequests)
		default:
			fmt.Fprint(w, who)
		}
	}, func(o *Options, c *Config) {
		o.Clock, o.Wall = clock, clockwork.NewRealClock()
		c.Personal = func(r *Response) bool { return string(r.Body) == "personal" }
	})
	get := func(name string) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		r, err := c.As(name, person(name), Limit{}).Do(ctx, &Request{Method: http.MethodPost, Path: P("/")}) // no second attempt
		if err != nil {
			return "", err
		}
		return string(r.Body), nil
	}
	_, err := get("ana")
	require.Equal(t, http.StatusTooManyRequests, StatusOf(err))
	_, err = get("ana")
	require.ErrorIs(t, err, context.DeadlineExceeded, "her bucket rests")
	who, err := get("ben")
	require.NoError(t, err)
	require.Equal(t, "ben", who)

	busy.Store("all")
	_, err = get("cyd")
	require.Equal(t, http.StatusTooManyRequests, StatusOf(err))
	_, err = get("ben")
	require.ErrorIs(t, err, context.DeadlineExceeded, "everybody's bucket rests")
	busy.Store("")
	clock.Advance(2 * time.Minute)
	for _, name := range []string{"ana", "ben"} {
		who, err := get(name)
		require.NoError(t, err)
		require.Equal(t, name, who)
	}
}

// Buckets of single credentials do not pile up.
func TestOwnBucketsAreBounded(t *testing.T) {
	t.Parallel()
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "ok") }, nil)
	for i := range 3 * maxOwn {
		c.As(fmt.Sprint(i), person("x"), Limit{PerSecond: 1})
	}
	_, err := c.As("last", person("last"), Limit{Concurrency: 1}).Do(t.Context(), &Request{Path: P("/")})
	require.NoError(t, err)
	require.LessOrEqual(t, len(c.shared.own), maxOwn)
}
