package googleworkspace

import (
	"context"
	"fmt"
	"io"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/sources"
)

// openChannel is a channel at the fake vendor.
type openChannel struct {
	what, address, token, subject string
	ends                          time.Time
}

// watcher is a vendor that keeps channels, which it neither lists nor renews.
type watcher struct {
	v *vendor

	mu     sync.Mutex
	open   map[string]*openChannel // by id and resource
	made   int
	life   time.Duration // that it gives at most; 0 what is asked
	untold bool          // it does not say when a channel ends
	refuse func(path string) (status int, body string)
}

func newWatcher(t *testing.T) *watcher {
	w := &watcher{open: map[string]*openChannel{}, refuse: func(string) (int, string) { return 0, "" }}
	w.v = newVendor(t, w.answer)
	return w
}

func (w *watcher) answer(r *http.Request, subject, _ string) answer {
	w.mu.Lock()
	defer w.mu.Unlock()
	var body struct {
		ID, Type, Address, Token, ResourceID string
		Expiration                           int64
	}
	b, _ := io.ReadAll(r.Body)
	if err := json.Unmarshal(b, &body, json.MatchCaseInsensitiveNames(true)); len(b) > 0 && err != nil {
		return answer{status: 400, body: badRequest}
	}
	what, watch := strings.CutSuffix(r.URL.Path, "/watch")
	switch {
	case r.URL.Path == "/drive/v3/changes/startPageToken":
		if status, text := w.refuse(r.URL.Path + "?" + subject); status != 0 {
			return answer{status: status, body: text}
		}
		return answer{body: `{"kind":"drive#startPageToken","startPageToken":"8213"}`}
	case strings.HasSuffix(r.URL.Path, "/channels/stop") && r.Method == http.MethodPost:
		key := body.ID + " " + body.ResourceID
		if w.open[key] == nil {
			return answer{status: 404, body: `{"error":{"code":404,"errors":[{"reason":"notFound"}]}}`}
		}
		delete(w.open, key)
		return answer{status: 204}
	case !watch || r.Method != http.MethodPost || body.Type != "web_hook" || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		return answer{status: 500, body: "what is that?"}
	}
	q := r.URL.Query()
	what = strings.TrimPrefix(what, "/admin/reports/v1/activity/users/all/applications/") + q.Get("event") + q.Get("driveId")
	if status, text := w.refuse(what); status != 0 {
		return answer{status: status, body: text}
	}
	ends := time.UnixMilli(body.Expiration)
	if now := w.v.clock.Now(); w.life > 0 && ends.After(now.Add(w.life)) {
		ends = now.Add(w.life)
	}
	w.made++
	resource := fmt.Sprint("res-", w.made)
	w.open[body.ID+" "+resource] = &openChannel{what, body.Address, body.Token, subject, ends}
	text := fmt.Sprintf(`{"kind":"api#channel","id":"%s","resourceId":"%s","resourceUri":"https://x.example/","token":"%s","expiration":"%d"}`, body.ID, resource, body.Token, ends.UnixMilli())
	if w.untold {
		text = fmt.Sprintf(`{"kind":"api#channel","id":"%s","resourceId":"%s"}`, body.ID, resource)
	}
	return answer{body: text}
}

// told are what channels tell of, with who opened them.
func (w *watcher) told() (out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range w.open {
		out = append(out, c.what+" "+c.subject)
	}
	slices.Sort(out)
	return out
}

func hookOf(lanes map[string][]sources.Lane) sources.Hook {
	return sources.Hook{
		URL: "https://weir.acme.example/hooks/0123", Secret: strings.Repeat("s", 64),
		Lanes: func(_ context.Context, stream string) iter.Seq2[sources.Lane, error] {
			return func(yield func(sources.Lane, error) bool) {
				for _, l := range lanes[stream] {
					if !yield(l, nil) {
						return
					}
				}
			}
		},
	}
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	w := newWatcher(t)
	s := w.v.open(nil)
	lanes := map[string][]sources.Lane{
		"activities": {{ID: "admin"}, {ID: "gmail"}, {ID: "login"}}, "accounts": {{}},
		"files": {{ID: "user/114511147312345678901", Hint: "ana@example.com"}, {ID: "user/2", Hint: "nodrive@example.com"}},
	}
	w.refuse = func(what string) (int, string) {
		if strings.HasSuffix(what, "nodrive@example.com") {
			return 403, `{"error":{"code":403,"message":"The domain administrators have disabled Drive apps.","errors":[{"reason":"domainPolicy"}]}}`
		}
		return 0, ""
	}
	h := hookOf(lanes)
	again, err := s.Subscribe(t.Context(), h)
	require.NoError(t, err)
	require.WithinDuration(t, w.v.clock.Now().Add(10*time.Minute), again, time.Minute)
	users := "/admin/directory/v1/users"
	want := []string{
		"/drive/v3/changes ana@example.com", users + "add " + testSubject, users + "delete " + testSubject, users + "makeAdmin " + testSubject,
		users + "undelete " + testSubject, users + "update " + testSubject, "admin " + testSubject, "login " + testSubject,
	}
	slices.Sort(want)
	require.Equal(t, want, w.told(), "gmail cannot be watched")
	for key, c := range w.open {
		id, _, _ := strings.Cut(key, " ")
		require.LessOrEqual(t, len(id), 64)
		require.Equal(t, h.URL, c.address)
		require.NotContains(t, c.token, h.Secret)
		require.NotEqual(t, h.Secret, c.token)
		require.LessOrEqual(t, len(c.token), 256)
	}
	before := maps.Clone(w.open)
	_, err = s.Subscribe(t.Context(), h)
	require.NoError(t, err)
	require.Equal(t, before, w.open, "nothing is due")

	// Before their six hours end those of the logs are replaced, and then stopped.
	w.v.clock.Skip(5 * time.Hour)
	_, err = s.Subscribe(t.Context(), h)
	require.NoError(t, err)
	require.Equal(t, want, w.told())
	replaced := 0
	for key := range before {
		if w.open[key] == nil {
			replaced++
		}
	}
	require.Equal(t, 2, replaced)

	// What is not collected any more is not watched either.
	lanes["files"], lanes["activities"] = nil, lanes["activities"][:1]
	_, err = s.Subscribe(t.Context(), h)
	require.NoError(t, err)
	require.Equal(t, []string{
		users + "add " + testSubject, users + "delete " + testSubject, users + "makeAdmin " + testSubject, users + "undelete " + testSubject,
		users + "update " + testSubject, "admin " + testSubject,
	}, w.told())

	// A session that comes later does not know them, and opens its own.
	_, err = w.v.open(nil).Subscribe(t.Context(), h)
	require.NoError(t, err)
	require.Len(t, w.open, 12)
}

// How long a channel lasts is what the vendor says.
func TestSubscribeForLess(t *testing.T) {
	t.Parallel()
	w := newWatcher(t)
	s := w.v.open(nil)
	h := hookOf(map[string][]sources.Lane{"activities": {{ID: "admin"}}})
	w.life = 8 * time.Minute
	again, err := s.Subscribe(t.Context(), h)
	require.NoError(t, err)
	require.WithinDuration(t, w.v.clock.Now().Add(6*time.Minute), again, 20*time.Second)
	w.v.clock.Skip(7 * time.Minute)
	_, err = s.Subscribe(t.Context(), h)
	require.NoError(t, err)
	require.Equal(t, 2, w.made)

	w.v.clock.Skip(time.Hour)
	w.untold = true
	_, err = s.Subscribe(t.Context(), h)
	require.NoError(t, err)
	require.Equal(t, 3, w.made)
	w.v.clock.Skip(40 * time.Minute)
	_, err = s.Subscribe(t.Context(), h)
	require.NoError(t, err)
	require.Equal(t, 3, w.made)
	w.v.clock.Skip(10 * time.Minute) // of the hour that it has where nothing is told
	_, err = s.Subscribe(t.Context(), h)
	require.NoError(t, err)
	require.Equal(t, 4, w.made)

	w.untold, w.life = false, time.Second
	w.v.clock.Skip(time.Hour)
	_, err = s.Subscribe(t.Context(), h)
	require.ErrorContains(t, err, "before it can be renewed")
}

// A refusal costs the others nothing, and is told; an application that the
// edition lacks is none.
func TestSubscribeRefused(t *testing.T) {
	t.Parallel()
	w := newWatcher(t)
	s := w.v.open(nil)
	h := hookOf(map[string][]sources.Lane{"activities": {{ID: "admin"}, {ID: "drive"}, {ID: "login"}}, "accounts": {{}}})
	w.refuse = func(what string) (int, string) {
		switch {
		case what == "drive":
			return 400, badRequest
		case strings.HasPrefix(what, "/admin/directory"):
			return 403, `{"error":{"code":403,"message":"Not Authorized to access this resource/api","errors":[{"domain":"global","reason":"forbidden"}]}}`
		}
		return 0, ""
	}
	_, err := s.Subscribe(t.Context(), h)
	require.Equal(t, fault.Forbidden, fault.Of(err), err)
	require.NotContains(t, err.Error(), h.Secret)
	require.Equal(t, []string{"admin " + testSubject, "login " + testSubject}, w.told())
	asked := 0
	for _, r := range w.v.requests() {
		if strings.Contains(r, "/users/watch") {
			asked++
		}
	}
	require.Equal(t, 1, asked, "a right that is missing is not asked for again and again")
}

func notice(id, token, resource, state string) *sources.Notification {
	h := http.Header{}
	h.Set("X-Goog-Channel-ID", id)
	h.Set("X-Goog-Channel-Token", token)
	h.Set("X-Goog-Resource-ID", resource)
	h.Set("X-Goog-Resource-State", state)
	h.Set("X-Goog-Message-Number", "7")
	return &sources.Notification{Method: http.MethodPost, Header: h, Body: []byte(`{"kind":"drive#changes"`)}
}

func TestNotified(t *testing.T) {
	t.Parallel()
	w := newWatcher(t)
	s := w.v.open(nil)
	h := hookOf(map[string][]sources.Lane{
		"activities": {{ID: "context_aware_access"}}, "accounts": {{}},
		"files": {{ID: "user/114511147312345678901", Hint: "ana@example.com"}},
	})
	_, err := s.Subscribe(t.Context(), h)
	require.NoError(t, err)
	want := map[string]sources.Waking{
		"context_aware_access": {Stream: "activities", Lane: "context_aware_access"}, "/admin/directory/v1/usersadd": {Stream: "accounts"},
		"/drive/v3/changes": {Stream: "files", Lane: "user/114511147312345678901"},
	}
	later := w.v.open(nil) // a session that has opened none of them
	seen := 0
	for key, c := range w.open {
		id, resource, _ := strings.Cut(key, " ")
		require.Equal(t, sources.Reaction{Status: 200}, s.Notified(h, notice(id, c.token, resource, "sync")))
		for _, session := range []*session{s, later} {
			got := session.Notified(h, notice(id, c.token, resource, "change"))
			require.Equal(t, 200, got.Status)
			if wake, ok := want[c.what]; ok {
				seen++
				require.Equal(t, []sources.Waking{wake}, got.Wake)
			}
		}
		require.Equal(t, 403, s.Notified(h, notice(id, c.token, "another", "change")).Status)
		require.Equal(t, 403, s.Notified(h, notice(id, "", resource, "change")).Status)
		require.Equal(t, 403, s.Notified(h, notice(id, h.Secret, resource, "change")).Status)
		require.Equal(t, 403, s.Notified(h, notice(id+"x", c.token, resource, "change")).Status, "a token is of one channel")
		require.Equal(t, 403, s.Notified(sources.Hook{Secret: strings.Repeat("t", 64)}, notice(id, c.token, resource, "change")).Status)
		get := notice(id, c.token, resource, "change")
		get.Method = http.MethodGet
		require.Equal(t, 405, s.Notified(h, get).Status)
	}
	require.Equal(t, 6, seen)
	require.Equal(t, 403, s.Notified(h, &sources.Notification{Method: http.MethodPost, Header: http.Header{}}).Status)
	// What is not collected is not woken, whoever asks.
	id := "a" + strings.Repeat("0", 16) + "telepathy"
	require.Equal(t, sources.Reaction{Status: 200}, s.Notified(h, notice(id, channelToken(h.Secret, id), "", "change")))
}

// FuzzNotified: whatever comes wakes nothing that is not the channel's own.
func FuzzNotified(f *testing.F) {
	secret := strings.Repeat("s", 64)
	id := "a" + strings.Repeat("0", 16) + "login"
	f.Add(id, channelToken(secret, id), "r", "view", true)
	f.Add("a", "", "", "sync", false)
	f.Add("s"+strings.Repeat("0", 16)+"0AKr4xYzUk9PVA", "", "x", "change", true)
	s := &session{cfg: defaults()}
	h := sources.Hook{Secret: secret}
	f.Fuzz(func(t *testing.T, id, token, resource, state string, signed bool) {
		if signed {
			token = channelToken(secret, id)
		}
		got := s.Notified(h, notice(id, token, resource, state))
		if token != channelToken(secret, id) || len(id) < 17 || len(id) > 64 {
			require.Equal(t, 403, got.Status)
			require.Empty(t, got.Wake)
			return
		}
		require.Equal(t, 200, got.Status)
		for _, w := range got.Wake {
			require.NotEqual(t, "sync", state)
			require.True(t, w.Lane == "" || strings.HasSuffix(w.Lane, id[17:]))
		}
	})
}
