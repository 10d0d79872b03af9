package microsoft365

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
)

// listener takes notifications.
type listener struct {
	*httptest.Server
	got      chan []object
	status   atomic.Int64 // of answers to notifications
	mu       sync.Mutex
	asked    int // validations
	validate func(token string) (int, string)
}

func listen(t *testing.T) *listener {
	l := &listener{got: make(chan []object, 100), validate: func(token string) (int, string) { return 200, token }}
	l.status.Store(202)
	l.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.URL.Query().Get("validationToken"); token != "" {
			l.mu.Lock()
			l.asked++
			status, text := l.validate(token)
			l.mu.Unlock()
			w.Header().Set("Content-Type", "text/plain")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, text)
			return
		}
		var in struct{ Value []object }
		if json.NewDecoder(r.Body).Decode(&in) == nil {
			l.got <- in.Value
		}
		w.WriteHeader(int(l.status.Load()))
	}))
	t.Cleanup(l.Server.Close)
	return l
}

// next waits for a notification that fits.
func (l *listener) next(t *testing.T, fits func(object) bool) object {
	t.Helper()
	for {
		select {
		case list := <-l.got:
			if i := slices.IndexFunc(list, fits); i >= 0 {
				return list[i]
			}
		case <-time.After(20 * time.Second):
			require.FailNow(t, "no such notification came")
		}
	}
}

func field(name string, value any) func(object) bool {
	return func(v object) bool { return v[name] == value }
}

func (r *rig) subscription(l *listener, resource string, life time.Duration) object {
	return object{
		"changeType": "updated", "notificationUrl": l.URL + "/notify?who=agent", "lifecycleNotificationUrl": l.URL + "/life", "resource": resource,
		"expirationDateTime": r.s.Clock.Now().Add(life).Format(time.RFC3339), "clientState": "only-we-know",
	}
}

func TestSubscribing(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{}).frozen()
	l := listen(t)
	body := r.subscription(l, "users", 24*time.Hour)
	for name, change := range map[string]object{
		"no https":     {"notificationUrl": "http://192.0.2.1/"},
		"too long":     {"expirationDateTime": r.s.Clock.Now().Add(41_762 * time.Minute).Format(time.RFC3339)},
		"past":         {"expirationDateTime": r.s.Clock.Now().Add(-time.Minute).Format(time.RFC3339)},
		"resource":     {"resource": "me/messages"},
		"change":       {"changeType": "created"},
		"client state": {"clientState": string(make([]byte, 129))},
	} {
		bad := object{}
		for _, m := range []object{body, change} {
			for k, v := range m {
				bad[k] = v
			}
		}
		require.Equal(t, 400, r.write(http.MethodPost, "subscriptions", bad).status, name)
	}
	for _, answer := range []func(string) (int, string){
		func(string) (int, string) { return 200, "another" }, func(token string) (int, string) { return 202, token },
	} {
		l.mu.Lock()
		l.validate = answer
		l.mu.Unlock()
		require.Equal(t, "ValidationError", r.write(http.MethodPost, "subscriptions", body).code())
	}
	l.mu.Lock()
	l.validate = func(token string) (int, string) { return 200, token }
	before := l.asked
	l.mu.Unlock()

	made := r.write(http.MethodPost, "subscriptions", body)
	require.Equal(t, 201, made.status, made.text)
	require.Equal(t, "only-we-know", made.body["clientState"])
	l.mu.Lock()
	require.Equal(t, before+2, l.asked, "both addresses")
	l.mu.Unlock()
	require.Equal(t, 409, r.write(http.MethodPost, "subscriptions", body).status)
	list := r.get("subscriptions").value()
	require.Len(t, list, 1)
	require.Nil(t, list[0]["clientState"])
	path := "subscriptions/" + made.body["id"].(string)
	until := r.s.Clock.Now().Add(48 * time.Hour)
	a := r.write(http.MethodPatch, path, object{"expirationDateTime": until.Format(time.RFC3339)})
	require.Equal(t, 200, a.status, a.text)
	require.Equal(t, stamp(until), a.body["expirationDateTime"])
	require.Equal(t, 204, r.write(http.MethodPost, path+"/reauthorize", nil).status)

	// Of another app nobody is told.
	r.h.AddClient(Client{ID: "other", Secret: ClientSecret})
	bearer := r.bearer
	r.state(func(s *org.State) {
		r.bearer, _ = r.h.auth.issue(r.h.auth.client("other"), "https://graph.microsoft.com", false, s.Now)
	})
	require.Empty(t, r.get("subscriptions").value())
	require.Equal(t, 404, r.write(http.MethodDelete, path, nil).status)
	r.bearer = bearer
	require.Equal(t, 204, r.write(http.MethodDelete, path, nil).status)
	require.Equal(t, 404, r.get(path).status)

	short := r.write(http.MethodPost, "subscriptions", r.subscription(l, "groups", time.Minute))
	require.Equal(t, stamp(r.s.Clock.Now().Add(45*time.Minute)), short.body["expirationDateTime"])
	r.s.Fake.Advance(46 * time.Minute)
	r.login()
	require.Equal(t, 404, r.get("subscriptions/"+short.body["id"].(string)).status, "its time is over")
	require.Empty(t, r.s.Violations())
}

func TestNotifications(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{}).frozen()
	l := listen(t)
	d, n := r.aFile()
	drive := "drives/" + r.h.driveID(d.N) + "/root"
	for _, resource := range []string{"users", "groups", drive} {
		a := r.write(http.MethodPost, "subscriptions", r.subscription(l, resource, 10*24*time.Hour))
		require.Equal(t, 201, a.status, a.text)
	}
	id, num := r.user(plainUser)
	require.Equal(t, 204, r.write(http.MethodPatch, "users/"+id, object{"accountEnabled": false}).status)
	v := l.next(t, field("resource", "Users/"+id))
	require.Equal(t, "updated", v["changeType"])
	require.Equal(t, "only-we-know", v["clientState"])
	require.Equal(t, r.h.tenantID, v["tenantId"])
	require.Equal(t, id, v["resourceData"].(object)["id"])
	// Again in the same instant, and it is told all the same.
	require.Equal(t, 204, r.write(http.MethodPatch, "users/"+id, object{"accountEnabled": true}).status)
	l.next(t, field("resource", "Users/"+id))

	require.Equal(t, 200, r.write(http.MethodPut, r.itemPath(d, n)+"/content", "gone").status)
	require.Equal(t, "updated", l.next(t, field("resource", drive))["changeType"])

	// What life brings is told too, and what is not taken comes again.
	l.status.Store(503)
	r.h.t.World.Change(func(s *org.State) {
		s.AddMember(org.Microsoft365, &org.Act{At: s.Now.Add(time.Millisecond), Actor: ref(org.AccountRef, 0), Client: &org.Client{}}, s.Groups[org.Microsoft365][3], s.Accounts[org.Microsoft365][num], "owner")
	})
	r.s.Fake.Advance(2 * time.Second)
	group := field("resource", "Groups/"+r.h.groupID(3))
	l.next(t, group)
	l.status.Store(202)
	advance(t, r, l, group)

	// Those who let a subscription grow old are told.
	r.s.Fake.Advance(9*24*time.Hour + time.Hour)
	l.next(t, field("lifecycleEvent", "reauthorizationRequired"))
	r.h.RemoveSubscriptions()
	l.next(t, field("lifecycleEvent", "subscriptionRemoved"))
	require.Empty(t, r.s.Violations())
}

// advance lets time pass until a notification comes.
func advance(t *testing.T, r *rig, l *listener, fits func(object) bool) {
	t.Helper()
	for range 100 {
		r.s.Fake.Advance(time.Minute)
		select {
		case list := <-l.got:
			if slices.ContainsFunc(list, fits) {
				return
			}
		case <-time.After(20 * time.Millisecond):
		}
	}
	require.FailNow(t, "no such notification came")
}

// Notifications that nobody takes are given up after four hours, of which the
// receiver is told; an address that is slow is left alone.
func TestReceiving(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{}).frozen()
	h, now := r.h, r.s.Clock.Now()
	x := &notice{id: "1", url: "http://127.0.0.1:1/", lifecycle: "http://127.0.0.1:1/life"}
	h.notices.subs = append(h.notices.subs, x)
	h.tell(x, now, "updated", "users", object{})
	q := h.notices.receivers[x.url]
	q.busy = true
	h.deliver(t.Context(), x.url, q, now.Add(5*time.Hour))
	require.Len(t, q.queue, 1, "it is on its way")
	q.busy = false
	h.deliver(t.Context(), x.url, q, now.Add(5*time.Hour))
	require.Empty(t, q.queue)
	require.True(t, x.missed)

	q.done(0, false, false, now)
	require.Equal(t, now.Add(10*time.Second), q.next)
	q.done(0, false, false, now)
	require.Equal(t, now.Add(20*time.Second), q.next)
	q.done(0, true, true, now)
	require.Equal(t, now.Add(10*time.Minute), q.dropUntil)
	h.tell(x, now, "updated", "users", object{})
	h.deliver(t.Context(), x.url, q, now.Add(time.Minute))
	require.Empty(t, q.queue, "dropped")
}

// Nothing goes on after the server has ended.
func TestNotificationsEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{}).frozen()
	l := listen(t)
	require.Equal(t, 201, r.write(http.MethodPost, "subscriptions", r.subscription(l, "users", time.Hour)).status)
	r.s.Close()
	id, _ := r.user(plainUser)
	require.Equal(t, 204, r.write(http.MethodPatch, "users/"+id, object{"accountEnabled": false}).status)
	r.s.Fake.Advance(time.Minute)
	require.Empty(t, l.got)
}
