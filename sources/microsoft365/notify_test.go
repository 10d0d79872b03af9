package microsoft365

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/sources"
)

// subscriber is a vendor that keeps subscriptions.
type subscriber struct {
	mu     sync.Mutex
	subs   map[string]map[string]any
	made   int
	refuse func(resource string) (status int, body string)
}

func (s *subscriber) answer(r *http.Request) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	sub := map[string]any{}
	_ = json.Unmarshal(body, &sub)
	_, id, one := strings.Cut(r.URL.Path, "/v1.0/subscriptions/")
	switch {
	case r.Method == http.MethodGet && r.URL.Path == "/v1.0/subscriptions":
		list := []map[string]any{}
		for _, s := range s.subs {
			list = append(list, s)
		}
		text, _ := json.Marshal(map[string]any{"value": list})
		return answer{body: string(text)}
	case r.Method == http.MethodPost && r.URL.Path == "/v1.0/subscriptions":
		if status, text := s.refuse(sub["resource"].(string)); status != 0 {
			return answer{status: status, body: text}
		}
		s.made++
		sub["id"] = fmt.Sprint("sub-", s.made)
		if strings.HasPrefix(sub["resource"].(string), "drives/") != (r.Header.Get("Prefer") == "includesecuritywebhooks") {
			return answer{status: 400, body: `{"error":{"code":"BadRequest","message":"Prefer"}}`}
		}
		s.subs[sub["id"].(string)] = sub
		text, _ := json.Marshal(sub)
		return answer{status: 201, body: string(text)}
	case one && s.subs[id] == nil:
		return answer{status: 404, body: `{"error":{"code":"ResourceNotFound","message":"gone"}}`}
	case one && r.Method == http.MethodPatch:
		s.subs[id]["expirationDateTime"] = sub["expirationDateTime"]
		return answer{}
	case one && r.Method == http.MethodDelete:
		delete(s.subs, id)
		return answer{status: 204}
	}
	return answer{status: 500}
}

// resources are what it has subscriptions to.
func (s *subscriber) resources() (out []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.subs {
		out = append(out, sub["resource"].(string))
	}
	return out
}

func lanesNamed(names map[string][]string) func(context.Context, string) iter.Seq2[sources.Lane, error] {
	return func(_ context.Context, stream string) iter.Seq2[sources.Lane, error] {
		return func(yield func(sources.Lane, error) bool) {
			for _, id := range names[stream] {
				if !yield(sources.Lane{ID: id}, nil) {
					return
				}
			}
		}
	}
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	s := &subscriber{subs: map[string]map[string]any{}, refuse: func(string) (int, string) { return 0, "" }}
	v := newVendor(t, s.answer)
	session := v.open(nil)
	lanes := map[string][]string{"accounts": {laneUsers, laneServices}, "groups": {""}, "files": {laneSites, "b!one", "b!two"}}
	h := sources.Hook{URL: "https://weir.acme.example/hooks/0123", Secret: strings.Repeat("s", 64), Lanes: lanesNamed(lanes)}
	subscribe := func() {
		t.Helper()
		again, err := session.Subscribe(t.Context(), h)
		require.NoError(t, err)
		require.WithinDuration(t, v.clock.Now().Add(10*time.Minute), again, 5*time.Minute)
	}
	s.subs["other"] = map[string]any{"id": "other", "resource": "users", "notificationUrl": "https://another.example/", "expirationDateTime": "2026-10-02T00:00:00Z"}
	subscribe()
	require.ElementsMatch(t, []string{"users", "users", "groups", "drives/b!one/root", "drives/b!two/root"}, s.resources())
	for id, sub := range s.subs {
		if id != "other" {
			require.Equal(t, h.URL, sub["notificationUrl"])
			require.Equal(t, h.URL, sub["lifecycleNotificationUrl"])
			require.Equal(t, h.Secret, sub["clientState"])
			ends, err := time.Parse(time.RFC3339, sub["expirationDateTime"].(string))
			require.NoError(t, err)
			require.Greater(t, ends.Sub(v.clock.Now()), 28*24*time.Hour)
			require.Less(t, ends.Sub(v.clock.Now()), 30*24*time.Hour)
		}
	}
	v.requests()
	subscribe()
	require.Len(t, v.requests(), 1, "all is there: it is listed alone")

	// One ends soon, one is asked to be renewed, one is gone at the vendor, one is
	// there twice, and one drive is gone here.
	for id, sub := range s.subs {
		switch sub["resource"] {
		case "groups":
			sub["expirationDateTime"] = v.clock.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		case "users":
			if id != "other" {
				h.Renew = []string{id, "unknown"}
			}
		case "drives/b!one/root":
			delete(s.subs, id)
		}
	}
	s.subs["again"] = map[string]any{"id": "again", "resource": "groups", "notificationUrl": h.URL, "expirationDateTime": "2026-09-01T00:00:00Z"}
	lanes["files"] = []string{laneSites, "b!one"}
	subscribe()
	require.ElementsMatch(t, []string{"users", "users", "groups", "drives/b!one/root"}, s.resources())
	patched := 0
	for _, r := range v.requests() {
		if strings.HasPrefix(r, "PATCH") {
			patched++
		}
	}
	require.Equal(t, 2, patched)
	require.NotContains(t, s.subs, "again")
	require.Contains(t, s.subs, "other")
	h.Renew = nil

	// A refusal costs the others nothing, and is told; a locked drive is none.
	lanes["files"] = []string{"b!locked", "b!refused", "b!three"}
	s.refuse = func(resource string) (int, string) {
		switch {
		case strings.Contains(resource, "locked"):
			return http.StatusLocked, `{"error":{"code":"resourceLocked","message":"locked"}}`
		case strings.Contains(resource, "refused"):
			return http.StatusBadRequest, `{"error":{"code":"ValidationError","message":"Subscription validation request failed."}}`
		}
		return 0, ""
	}
	_, err := session.Subscribe(t.Context(), h)
	require.ErrorContains(t, err, "ValidationError")
	require.NotContains(t, err.Error(), h.Secret)
	require.Contains(t, s.resources(), "drives/b!three/root")
	require.NotContains(t, s.resources(), "drives/b!one/root")

	// A right that is missing is not asked for drive by drive.
	lanes["files"] = []string{"b!four", "b!five", "b!six"}
	s.refuse = func(string) (int, string) {
		return http.StatusForbidden, `{"error":{"code":"Authorization_RequestDenied","message":"Insufficient privileges to complete the operation."}}`
	}
	v.requests()
	_, err = session.Subscribe(t.Context(), h)
	require.ErrorContains(t, err, "Files.ReadWrite.All")
	require.Equal(t, fault.Forbidden, fault.Of(err))
	asked := 0
	for _, r := range v.requests() {
		if strings.HasPrefix(r, "POST") {
			asked++
		}
	}
	require.Equal(t, 1, asked)
}

func notified(t testing.TB, s *session, h sources.Hook, body string) sources.Reaction {
	t.Helper()
	return s.Notified(h, &sources.Notification{Method: http.MethodPost, Query: url.Values{}, Body: []byte(body)})
}

func TestNotified(t *testing.T) {
	t.Parallel()
	s := newVendor(t, func(*http.Request) answer { return answer{} }).open(nil)
	h := sources.Hook{Secret: strings.Repeat("s", 64)}
	token := sources.Notification{Method: http.MethodPost, Query: url.Values{"validationToken": {"Validation: <b>&"}}}
	require.Equal(t, sources.Reaction{Status: 200, Type: "text/plain", Body: []byte("Validation: <b>&")}, s.Notified(h, &token))
	token.Query.Set("validationToken", strings.Repeat("x", maxToken+1))
	require.Equal(t, 400, s.Notified(h, &token).Status)
	token.Method = http.MethodGet
	require.Equal(t, 405, s.Notified(h, &token).Status)

	one := func(resource, secret, more string) string {
		return fmt.Sprintf(`{"subscriptionId":"sub-1","tenantId":"%s","clientState":"%s","changeType":"updated","resource":"%s"%s}`, strings.ToUpper(testTenant), secret, resource, more)
	}
	body := `{"value":[` + strings.Join([]string{
		one("drives/b!one/root", h.Secret, ""), one("Users/26be570a-1111-2222-3333-444444444444", h.Secret, ""), one("/groups", h.Secret, ""),
		one("drives/b!forged/root", "guessed", ""), one("me/messages", h.Secret, ""), one("drives//root", h.Secret, ""),
		one("drives/b!two/root", h.Secret, `,"lifecycleEvent":"missed"`), one("drives/b!three/root", h.Secret, `,"lifecycleEvent":"reauthorizationRequired"`),
		one("drives/"+strings.Repeat("x", maxResource)+"/root", h.Secret, ""),
		strings.Replace(one("drives/b!other/root", h.Secret, ""), strings.ToUpper(testTenant), testClient, 1),
	}, ",") + `]}`
	require.Equal(t, sources.Reaction{
		Status: 202, Renew: []string{"sub-1"},
		Wake: []sources.Waking{{Stream: "files", Lane: "b!one"}, {Stream: "accounts", Lane: laneUsers}, {Stream: "groups"}, {Stream: "files", Lane: "b!two"}, {Stream: "files", Lane: "b!three"}},
	}, notified(t, s, h, body))
	require.Equal(t, sources.Reaction{Status: 403}, notified(t, s, h, `{"value":[`+one("users", "", "")+`]}`))
	require.Equal(t, sources.Reaction{Status: 403}, notified(t, s, h, `{}`))
	require.Equal(t, sources.Reaction{Status: 400}, notified(t, s, h, `<html>`))
}

func FuzzNotified(f *testing.F) {
	f.Add([]byte(`{"value":[{"subscriptionId":"sub-1","tenantId":"t","clientState":"s","resource":"drives/b!one/root","lifecycleEvent":"missed"}]}`))
	f.Add([]byte(`{"value":[{"subscriptionId":1,"clientState":[],"resource":null}]}`))
	cfg := defaults()
	cfg.TenantID = testTenant
	s := &session{cfg: cfg, tenant: testTenant}
	h := sources.Hook{Secret: "s"}
	f.Fuzz(func(t *testing.T, body []byte) {
		r := notified(t, s, h, string(body))
		require.Contains(t, []int{202, 400, 403}, r.Status)
		if r.Status != 202 {
			require.Empty(t, r.Wake)
			require.Empty(t, r.Renew)
		}
		for _, w := range r.Wake {
			require.LessOrEqual(t, len(w.Lane), maxResource)
		}
	})
}
