package agent

import (
	"bytes"
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"weir/configs"
	"weir/internal/setting"
	"weir/schemas"
	sinkregistry "weir/sinks/registry"
	"weir/sources"
)

// teller is a session whose vendor tells of changes: the body names a lane, the
// header X-Secret shows who sends it.
type teller struct {
	sources.Session
	mu     sync.Mutex
	reads  map[string]int
	hooks  []sources.Hook
	again  time.Duration
	fail   error
	panics atomic.Bool
	lanes  []string // that Subscribe saw
}

func (s *teller) Tenant(context.Context) (string, error) { return "o1", nil }
func (s *teller) Identity(context.Context) (sources.Identity, error) {
	return sources.Identity{ID: "weir"}, nil
}

func (s *teller) Streams() []sources.Stream {
	return []sources.Stream{{
		Info: tellerStream,
		Lanes: func(context.Context, sources.Cursor) iter.Seq2[*sources.LanePage, error] {
			return func(yield func(*sources.LanePage, error) bool) {
				yield(&sources.LanePage{Lanes: []sources.Lane{{ID: "a"}, {ID: "b"}}, Complete: true}, nil)
			}
		},
		Read: func(_ context.Context, l sources.Lane, _ sources.Cursor) iter.Seq2[*sources.Page, error] {
			return func(yield func(*sources.Page, error) bool) {
				s.mu.Lock()
				s.reads[l.ID]++
				n := s.reads[l.ID]
				s.mu.Unlock()
				yield(&sources.Page{Rows: &schemas.Rows{}, Next: sources.Cursor(fmt.Sprint(n))}, nil)
			}
		},
	}}
}

func (s *teller) Subscribe(ctx context.Context, h sources.Hook) (time.Time, error) {
	var lanes []string
	for l, err := range h.Lanes(ctx, "activities") {
		if err != nil {
			return time.Time{}, err
		}
		lanes = append(lanes, l.ID)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks, s.lanes = append(s.hooks, h), lanes
	return time.Now().Add(s.again), s.fail
}

func (s *teller) Notified(h sources.Hook, n *sources.Notification) sources.Reaction {
	switch {
	case s.panics.Load():
		panic("bad notification")
	case n.Query.Get("validationToken") != "":
		return sources.Reaction{Status: http.StatusOK, Type: "text/plain", Body: []byte(n.Query.Get("validationToken"))}
	case subtle.ConstantTimeCompare([]byte(n.Header.Get("X-Secret")), []byte(h.Secret)) == 0:
		return sources.Reaction{Status: http.StatusForbidden, Wake: []sources.Waking{{Stream: "activities", Lane: "b"}}}
	case string(n.Body) == "renew":
		return sources.Reaction{Status: http.StatusAccepted, Renew: []string{"s2", "s1"}}
	}
	return sources.Reaction{Status: http.StatusAccepted, Wake: []sources.Waking{{Stream: "activities", Lane: string(n.Body)}, {Stream: "none", Lane: "a"}}}
}

func (s *teller) count(lane string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads[lane]
}

func (s *teller) subscribed() []sources.Hook {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.hooks
}

var tellerStream = sources.StreamInfo{Name: "activities", Shape: sources.Log, Tables: []string{schemas.TableActivities}, Every: 24 * time.Hour, Doc: "events"}

// telling starts an agent with a hook, whose public address is its own; more is
// put into the hooks section.
func telling(t *testing.T, s *teller, scheme, more string) *Agent {
	t.Helper()
	s.reads = map[string]int{}
	dir := t.TempDir()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	addr := l.Addr().String()
	require.NoError(t, l.Close())
	fake := &sources.Connector{
		App: "fake", Title: "Fake", Config: func() setting.Struct { return &noSettings{} }, Notifies: "changes",
		Open:    func(context.Context, sources.Env, setting.Struct) (sources.Session, error) { return s, nil },
		Streams: []sources.StreamInfo{tellerStream},
	}
	file := filepath.Join(dir, "weir.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
agent: {data_dir: `+filepath.Join(dir, "d")+`, listen: "", min_free: 0B}
hooks: {listen: "`+addr+`", public_url: "`+scheme+`://`+addr+`/weir/"`+more+`}
sinks: {lake: {type: parquet, path: `+filepath.Join(dir, "lake")+`}}
instances: {acme: {app: fake, hooks: true}}
`), 0o600))
	cfg, err := configs.Load(file, nil, []*sources.Connector{fake}, sinkregistry.All)
	require.NoError(t, err)
	a, err := New(t.Context(), Options{Config: cfg, Clock: clockwork.NewRealClock(), Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
	})
	require.Eventually(t, func() bool { return len(s.subscribed()) > 0 && s.count("a") == 1 && s.count("b") == 1 }, 20*time.Second, time.Millisecond)
	return a
}

// send sends a notification and returns the answer.
func send(t *testing.T, client *http.Client, method, url, secret string, body io.Reader) (status int, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, body)
	require.NoError(t, err)
	r.Header.Set("X-Secret", secret)
	answer, err := client.Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	require.Equal(t, "nosniff", answer.Header.Get("X-Content-Type-Options"))
	return answer.StatusCode, string(got)
}

func TestHooks(t *testing.T) {
	t.Parallel()
	s := &teller{again: time.Hour}
	a := telling(t, s, "http", "")
	hook := s.subscribed()[0]
	client := &http.Client{Timeout: 20 * time.Second}
	post := func(url, secret, body string) int {
		t.Helper()
		status, _ := send(t, client, http.MethodPost, url, secret, strings.NewReader(body))
		return status
	}
	status, text := send(t, client, http.MethodPost, hook.URL+"?validationToken=a%20b", "", nil)
	require.Equal(t, "200 a b", fmt.Sprint(status, " ", text))

	sent := time.Now()
	require.Equal(t, http.StatusAccepted, post(hook.URL, hook.Secret, "a"))
	require.Eventually(t, func() bool { return s.count("a") == 2 }, 20*time.Second, time.Millisecond)
	t.Logf("a notification was read after %s", time.Since(sent))
	for range 50 { // what comes together is read once
		require.Equal(t, http.StatusAccepted, post(hook.URL, hook.Secret, "a"))
	}
	require.Eventually(t, func() bool { return s.count("a") >= 3 }, 20*time.Second, time.Millisecond)
	require.Less(t, s.count("a"), 10)

	// What is not the vendor's changes nothing.
	require.Equal(t, http.StatusForbidden, post(hook.URL, "guessed", "b"))
	require.Equal(t, http.StatusNotFound, post(hook.URL[:len(hook.URL)-1]+"x", hook.Secret, "b"))
	require.Equal(t, http.StatusNotFound, post(hook.URL+"/b", hook.Secret, "b"))
	require.Equal(t, http.StatusRequestEntityTooLarge, post(hook.URL, hook.Secret, strings.Repeat("b", sources.MaxNotification+1)))
	status, _ = send(t, client, http.MethodDelete, hook.URL, hook.Secret, nil)
	require.Equal(t, http.StatusMethodNotAllowed, status)
	require.Equal(t, http.StatusAccepted, post(hook.URL, hook.Secret, "no such lane"))
	s.panics.Store(true)
	require.Equal(t, http.StatusBadRequest, post(hook.URL, hook.Secret, "b"))
	s.panics.Store(false)

	require.Equal(t, http.StatusAccepted, post(hook.URL, hook.Secret, "a")) // what came before has been dealt with
	was := s.count("a")
	require.Eventually(t, func() bool { return s.count("a") > was }, 20*time.Second, time.Millisecond)
	require.Equal(t, 1, s.count("b"))

	require.Equal(t, http.StatusAccepted, post(hook.URL, hook.Secret, "renew"))
	require.Eventually(t, func() bool { return len(s.subscribed()) == 2 }, 20*time.Second, time.Millisecond)
	require.Equal(t, []string{"a", "b"}, s.lanes)
	require.Equal(t, hook.URL, s.subscribed()[1].URL)
	require.Equal(t, []string{"s1", "s2"}, s.subscribed()[1].Renew)
	require.NotContains(t, hook.URL, hook.Secret)
	require.Len(t, hook.Secret, 64)

	for refused := 0; refused == 0; {
		if post(hook.URL, "guessed", "") == http.StatusTooManyRequests {
			refused++
		}
	}
	require.Positive(t, testutil.ToFloat64(a.hooks.requests.WithLabelValues("acme", "429")))
	require.Positive(t, testutil.ToFloat64(a.hooks.requests.WithLabelValues("", "404")))
}

// A vendor that cannot be asked is asked again; the streams go on.
func TestHookWithoutSubscription(t *testing.T) {
	t.Parallel()
	s := &teller{fail: errors.New("no")}
	a := telling(t, s, "http", "")
	require.Eventually(t, func() bool {
		return testutil.ToFloat64(a.hooks.failed.WithLabelValues("acme")) == 1
	}, 20*time.Second, time.Millisecond)
	require.NoError(t, a.Streams()[0].Err())
}

// The certificate is read anew when it changes; one that is broken leaves the
// one before.
func TestHookCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "c.pem"), filepath.Join(dir, "k.pem")
	writePair(t, cert, key, "one.example", time.Now().Add(-time.Hour))
	s := &teller{again: time.Hour}
	telling(t, s, "https", `, cert: "`+cert+`", key: "`+key+`"`)
	hook := s.subscribed()[0]
	var name atomic.Value
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
		InsecureSkipVerify: true, // the name is looked at here
		VerifyConnection: func(c tls.ConnectionState) error {
			name.Store(c.PeerCertificates[0].Subject.CommonName)
			return nil
		},
	}}}
	is := func(want string) {
		t.Helper()
		status, _ := send(t, client, http.MethodPost, hook.URL, hook.Secret, bytes.NewReader([]byte("a")))
		require.Equal(t, http.StatusAccepted, status)
		require.Equal(t, want, name.Load())
	}
	is("one.example")
	writePair(t, cert, key, "two.example", time.Now())
	is("two.example")
	require.NoError(t, os.WriteFile(cert, []byte("broken"), 0o600))
	is("two.example")
}
