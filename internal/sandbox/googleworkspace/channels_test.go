package googleworkspace

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/testclock"
)

// receiver keeps what it is told.
type receiver struct {
	*httptest.Server

	mu     sync.Mutex
	got    []http.Header
	bodies []string
	status []int // of the next answers; then 200
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		status := 200
		if len(r.status) > 0 {
			status, r.status = r.status[0], r.status[1:]
		}
		if status == 200 {
			r.got, r.bodies = append(r.got, req.Header.Clone()), append(r.bodies, string(body))
		}
		w.WriteHeader(status)
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) states() (out []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, h := range r.got {
		out = append(out, h.Get("X-Goog-Resource-State"))
	}
	return out
}

var began = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

// A channel tells of itself, then of what happens, until its time is over (10).
func TestChannels(t *testing.T) {
	t.Parallel()
	clock := testclock.Fast(began, 100)
	r := newRig(t, sandbox.Options{People: 60, Clock: clock})
	r.s.World("acme").Freeze()
	to := newReceiver(t)
	body := object{"id": "ch-1", "type": "web_hook", "address": to.URL, "token": "secret", "expiration": r.s.Clock.Now().Add(72 * time.Hour).UnixMilli()}
	x := r.send(http.MethodPost, "users/watch?customer=my_customer&event=update", body)
	require.Equal(t, 200, x.status, x.text)
	require.Equal(t, "api#channel", x.body["kind"])
	require.Less(t, x.body["expiration"], itoa(r.s.Clock.Now().Add(49*time.Hour).UnixMilli()), "two days at most")
	require.Equal(t, 400, r.send(http.MethodPost, "users/watch?customer=my_customer", body).status, "the id is taken")
	body["id"] = "ch-2"
	y := r.send(http.MethodPost, "/admin/reports/v1/activity/users/all/applications/admin/watch", body)
	require.Equal(t, 200, y.status, y.text)

	a := r.plain()
	require.Equal(t, 200, r.send(http.MethodPut, "users/"+r.h.userID(a.N), object{"suspended": true}).status)
	require.Eventually(t, func() bool { return len(to.states()) >= 4 }, 10*time.Second, 10*time.Millisecond)
	to.mu.Lock()
	seen := map[string]string{}
	for i, h := range to.got {
		seen[h.Get("X-Goog-Channel-ID")+" "+h.Get("X-Goog-Resource-State")] = to.bodies[i]
		require.Equal(t, "secret", h.Get("X-Goog-Channel-Token"))
		require.NotEmpty(t, h.Get("X-Goog-Channel-Expiration"))
		if h.Get("X-Goog-Resource-State") == "sync" {
			require.Equal(t, "1", h.Get("X-Goog-Message-Number"))
		}
	}
	to.mu.Unlock()
	require.Empty(t, seen["ch-1 sync"])
	require.Contains(t, seen["ch-1 update"], a.Login)
	require.Contains(t, seen["ch-2 SUSPEND_USER"], `"admin#reports#activity"`)

	stop := object{"id": "ch-1", "resourceId": x.body["resourceId"]}
	require.Equal(t, 204, r.send(http.MethodPost, "/admin/directory_v1/channels/stop", stop).status)
	require.Equal(t, 404, r.send(http.MethodPost, "/admin/directory_v1/channels/stop", stop).status)
	require.Equal(t, 1, r.h.Channels())
	clock.Skip(7 * time.Hour)
	require.Zero(t, r.h.Channels(), "six hours")
}

// What a receiver fails at comes again; what is asked for wrongly is refused, or
// lasts an hour.
func TestChannelsRetry(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{Clock: testclock.Fast(began, 100)})
	to := newReceiver(t)
	to.status = []int{503, 500}
	watch := func(change object) answer {
		body := object{"id": "ch", "type": "web_hook", "address": to.URL}
		for k, v := range change {
			body[k] = v
		}
		return r.send(http.MethodPost, "users/watch?customer=my_customer", body)
	}
	require.Equal(t, 400, watch(object{"address": "http://hooks.example/x"}).status)
	require.Equal(t, 400, watch(object{"id": ""}).status)
	require.Equal(t, 400, watch(object{"type": "mail"}).status)
	require.Equal(t, 200, watch(nil).status)
	require.Eventually(t, func() bool { return len(to.states()) == 1 }, 10*time.Second, 10*time.Millisecond)
	hour := itoa(r.s.Clock.Now().Add(70 * time.Minute).UnixMilli())
	require.Less(t, watch(object{"id": "seconds", "expiration": r.s.Clock.Now().Add(24 * time.Hour).Unix()}).body["expiration"], hour)
	require.Less(t, watch(object{"id": "text", "expiration": "soon"}).body["expiration"], hour)
	require.Greater(t, watch(object{"id": "ttl", "params": object{"ttl": "21600"}}).body["expiration"], hour)
	require.Equal(t, 400, r.send(http.MethodPost, "/admin/reports/v1/activity/users/all/applications/gmail/watch", object{"id": "g", "type": "web_hook", "address": to.URL}).status)
}
