package httpx

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"weir/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a server on loopback and a client of it.
func serve(t *testing.T, h http.HandlerFunc, change func(*Options, *Config)) *Client {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	o := Options{Instance: "acme", Clock: clockwork.NewRealClock(), UserAgent: "weir/test"}
	c := Config{BaseURL: srv.URL + "/api"}
	if change != nil {
		change(&o, &c)
	}
	base, err := New(o)
	require.NoError(t, err)
	t.Cleanup(base.Close)
	client, err := base.Client(c)
	require.NoError(t, err)
	return client
}

// script answers one request after the other, in a bubble of fake time.
type script struct {
	mu      sync.Mutex
	answers []func(*http.Request) (*http.Response, error)
	seen    []*http.Request
	at      []time.Time
}

func (s *script) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := len(s.seen)
	s.seen, s.at = append(s.seen, r), append(s.at, time.Now())
	if i >= len(s.answers) {
		return nil, errors.New("the script is over")
	}
	return s.answers[i](r)
}

func says(status int, header ...string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		h := http.Header{}
		for i := 0; i < len(header); i += 2 {
			h.Add(header[i], header[i+1])
		}
		return &http.Response{StatusCode: status, Header: h, Body: io.NopCloser(strings.NewReader("{}")), ContentLength: -1, Request: r}, nil
	}
}

func breaks(*http.Request) (*http.Response, error) { return nil, errors.New("connection reset") }

func play(answers ...func(*http.Request) (*http.Response, error)) *script {
	return &script{answers: answers}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	var got *http.Request
	var body []byte
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("Date", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
		fmt.Fprint(w, `{"a":1}`)
	}, func(_ *Options, c *Config) {
		c.Header = http.Header{"X-Version": {"1"}, "accept": {"application/vnd.acme+json"}}
		c.Auth = token("sandbox-token")
	})
	caller := &Caller{Stream: "accounts"}
	r, err := client.Do(WithCaller(t.Context(), caller), &Request{
		Method: "POST", Path: P("/orgs/{org}/x", "a/b?c#d"), Query: url.Values{"q": {"a b"}}, RawQuery: "raw=%2f", Body: []byte(`{}`),
	})
	require.NoError(t, err)
	require.Equal(t, `{"a":1}`, string(r.Body))
	require.Equal(t, "POST /orgs/{org}/x", r.Endpoint)
	require.Equal(t, "/api/orgs/a%2Fb%3Fc%23d/x?raw=%2f&q=a+b", got.RequestURI)
	require.Equal(t, "Bearer sandbox-token", got.Header.Get("Authorization"))
	require.Equal(t, "application/vnd.acme+json", got.Header.Get("Accept"))
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
	require.Equal(t, "weir/test", got.Header.Get("User-Agent"))
	require.Equal(t, "{}", string(body))
	require.InDelta(t, time.Hour.Seconds(), r.Skew.Seconds(), 2)
	require.WithinDuration(t, time.Now(), r.LocalTime(time.Now().Add(time.Hour)), 2*time.Second)
	require.Equal(t, int64(1), caller.Counts.Requests.Load())
	require.Equal(t, int64(7), caller.Counts.Bytes.Load())

	_, err = client.Do(t.Context(), &Request{Path: P("/orgs/{org}", "..")})
	require.Equal(t, fault.BadData, fault.Of(err))
	_, err = client.Do(t.Context(), &Request{Method: "NO METHOD", Path: P("/x")})
	require.Equal(t, fault.Permanent, fault.Of(err))
}

func TestBodies(t *testing.T) {
	t.Parallel()
	big := bytes.Repeat([]byte("0123456789"), 100_000)
	var asked []string
	client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Header.Get("Accept-Encoding"))
		zip := func(b []byte) []byte {
			w.Header().Set("Content-Encoding", "gzip")
			var out bytes.Buffer
			z := gzip.NewWriter(&out)
			_, _ = z.Write(b)
			_ = z.Close()
			return out.Bytes()
		}
		switch r.URL.Path[len("/api/"):] {
		case "big":
			_, _ = w.Write(big)
		case "gzip":
			_, _ = w.Write(zip(big))
		case "bomb":
			_, _ = w.Write(zip(make([]byte, 4<<20)))
		case "chunked":
			for range 400 {
				_, _ = w.Write(big[:10_000])
			}
		case "short":
			w.Header().Set("Content-Length", "100")
			_, _ = w.Write([]byte("half"))
		case "cut":
			z := zip(big)
			_, _ = w.Write(z[:len(z)/2])
		case "strange":
			w.Header().Set("Content-Encoding", "br")
			_, _ = w.Write([]byte("?"))
		case "none":
			w.WriteHeader(http.StatusNoContent)
		}
	}, func(_ *Options, c *Config) { c.MaxBody = 2 << 20 })
	get := func(path string, limit int64) (*Response, int64, error) {
		caller := &Caller{}
		r, err := client.Do(WithCaller(t.Context(), caller), &Request{Method: "POST", Path: P("/" + path), MaxBody: limit})
		return r, caller.Counts.Bytes.Load(), err
	}
	for _, path := range []string{"big", "gzip"} {
		r, n, err := get(path, 0)
		require.NoError(t, err)
		require.Equal(t, big, r.Body)
		require.Empty(t, r.Header.Get("Content-Encoding"))
		require.Equal(t, path == "gzip", n < 10_000, "%d bytes transferred", n)
	}
	r, _, err := get("none", 0)
	require.NoError(t, err)
	require.Empty(t, r.Body)
	_, _, err = get("big", 999_999)
	require.Equal(t, fault.BadData, fault.Of(err))
	require.ErrorContains(t, err, "limit of 999999 bytes")
	_, _, err = get("big", 1_000_000)
	require.NoError(t, err)
	for path, class := range map[string]fault.Class{
		"bomb": fault.BadData, "chunked": fault.BadData, "short": fault.Transient, "cut": fault.Transient, "strange": fault.Transient,
	} {
		r, _, err := get(path, 0)
		require.Equal(t, class, fault.Of(err), "%s: %v", path, err)
		require.Nil(t, r)
	}
	require.Equal(t, "gzip", asked[0])
}

func TestRetries(t *testing.T) {
	t.Parallel()
	type answers = []func(*http.Request) (*http.Response, error)
	html := func(r *http.Request) (*http.Response, error) { return says(503)(r) }
	for name, c := range map[string]struct {
		answers  answers
		request  Request
		requests int
		class    fault.Class // "" for success
		after    time.Duration
		took     [2]time.Duration
	}{
		"at once":               {answers{says(200)}, Request{}, 1, "", 0, [2]time.Duration{0, 0}},
		"the fourth":            {answers{says(500), breaks, html, says(200)}, Request{}, 4, "", 0, [2]time.Duration{1, 7 * time.Second}},
		"not a fifth":           {answers{says(500), says(502), says(504), says(500), says(200)}, Request{}, 4, fault.Transient, 0, [2]time.Duration{1, 7 * time.Second}},
		"as asked":              {answers{says(503, "Retry-After", "20"), says(200)}, Request{}, 2, "", 0, [2]time.Duration{20 * time.Second, 20 * time.Second}},
		"asked for too much":    {answers{says(503, "Retry-After", "61"), says(200)}, Request{}, 1, fault.Transient, 61 * time.Second, [2]time.Duration{0, 0}},
		"a minute in all":       {answers{says(503, "Retry-After", "25"), says(503, "Retry-After", "25"), says(503, "Retry-After", "25")}, Request{}, 3, fault.Transient, 25 * time.Second, [2]time.Duration{50 * time.Second, 50 * time.Second}},
		"throttled":             {answers{says(429, "Retry-After", "20"), says(200)}, Request{}, 2, "", 0, [2]time.Duration{20 * time.Second, 20 * time.Second}},
		"throttled for long":    {answers{says(429, "Retry-After", "3600"), says(200)}, Request{}, 1, fault.Throttled, time.Hour, [2]time.Duration{0, 0}},
		"throttled for ever":    {answers{says(429, "Retry-After", "1e12")}, Request{}, 1, fault.Throttled, 65 * time.Minute, [2]time.Duration{0, 0}},
		"throttled, no hint":    {answers{says(429), says(429), says(200)}, Request{}, 3, "", 0, [2]time.Duration{1500 * time.Millisecond, 3 * time.Second}},
		"a change":              {answers{says(500), says(200)}, Request{Method: "POST"}, 1, fault.Transient, 0, [2]time.Duration{0, 0}},
		"a throttled change":    {answers{says(429, "Retry-After", "7"), says(200)}, Request{Method: "PATCH"}, 1, fault.Throttled, 7 * time.Second, [2]time.Duration{0, 0}},
		"an idempotent change":  {answers{says(500), says(200)}, Request{Method: "POST", Idempotent: true}, 2, "", 0, [2]time.Duration{1, time.Second}},
		"put":                   {answers{says(500), says(200)}, Request{Method: "PUT"}, 2, "", 0, [2]time.Duration{1, time.Second}},
		"a put sent once":       {answers{says(500), says(200)}, Request{Method: "PUT", Once: true}, 1, fault.Transient, 0, [2]time.Duration{0, 0}},
		"delete":                {answers{breaks, says(204)}, Request{Method: "DELETE"}, 2, "", 0, [2]time.Duration{1, time.Second}},
		"what is not there":     {answers{says(404), says(200)}, Request{}, 1, fault.BadData, 0, [2]time.Duration{0, 0}},
		"what is not allowed":   {answers{says(403), says(200)}, Request{}, 1, fault.Forbidden, 0, [2]time.Duration{0, 0}},
		"nothing but timeouts":  {answers{hangs, hangs, hangs, hangs}, Request{}, 2, fault.Transient, 0, [2]time.Duration{80 * time.Second, 82 * time.Second}},
		"what makes no sense":   {answers{says(400)}, Request{}, 1, fault.Permanent, 0, [2]time.Duration{0, 0}},
		"a date to wait for":    {answers{says(503, "Retry-After", "Sat, 01 Jan 2000 01:00:10 GMT", "Date", "Sat, 01 Jan 2000 01:00:00 GMT"), says(200)}, Request{}, 2, "", 0, [2]time.Duration{10 * time.Second, 10 * time.Second}},
		"a hint of nonsense":    {answers{says(503, "Retry-After", "soon"), says(200)}, Request{}, 2, "", 0, [2]time.Duration{1, time.Second}},
		"a date that is passed": {answers{says(503, "Retry-After", "Sat, 01 Jan 1999 01:00:10 GMT"), says(200)}, Request{}, 2, "", 0, [2]time.Duration{1, time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := play(c.answers...)
				var seen []Exchange
				client := testClient(t, s, func(o *Options, c *Config) {
					o.Observe = func(x Exchange) { seen = append(seen, x) }
					c.Quota, c.Timeout = nil, 40*time.Second
				})
				c.request.Path = P("/x/{id}", "1")
				started, caller := time.Now(), &Caller{Stream: "s"}
				_, err := client.Do(WithCaller(t.Context(), caller), &c.request)
				took := time.Since(started)
				if c.class == "" {
					require.NoError(t, err)
				} else {
					require.Error(t, err)
					require.Equal(t, c.class, fault.Of(err), "%v", err)
					require.Equal(t, c.after, fault.RetryAfter(err))
				}
				require.Len(t, s.seen, c.requests)
				require.GreaterOrEqual(t, took, c.took[0])
				require.LessOrEqual(t, took, c.took[1])
				require.Equal(t, int64(c.requests), caller.Counts.Requests.Load())
				require.Equal(t, int64(c.requests-1), caller.Counts.Retries.Load())
				var attempts []Exchange
				for _, x := range seen {
					require.Equal(t, []string{"acme", "s"}, []string{x.Instance, x.Stream})
					require.True(t, strings.HasSuffix(x.Endpoint, " /x/{id}"))
					if x.Attempt > 0 {
						attempts = append(attempts, x)
					}
				}
				require.Len(t, attempts, c.requests)
				require.Equal(t, c.requests, attempts[c.requests-1].Attempt)
			})
		})
	}
}

func hangs(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// Whoever does not want the answer any more gets back at once, wherever it
// waits.
func TestCancel(t *testing.T) {
	t.Parallel()
	stop := errors.New("stopped")
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"between attempts": says(503, "Retry-After", "50"),
		"for quota":        says(429, "Retry-After", "50"),
		"for an answer":    hangs,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := testClient(t, play(answer), nil)
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(10*time.Second, func() { cancel(stop) })
				started := time.Now()
				_, err := client.Do(ctx, &Request{Path: P("/x")})
				require.ErrorIs(t, err, stop)
				require.Equal(t, 10*time.Second, time.Since(started))
				_, err = client.Do(ctx, &Request{Path: P("/x")})
				require.ErrorIs(t, err, stop)
			})
		})
	}
}

func TestTimeoutOfTheBody(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `[1,`)
		w.(http.Flusher).Flush()
		<-release
	}, func(_ *Options, c *Config) { c.Timeout = 50 * time.Millisecond })
	defer close(release)
	_, err := client.Do(t.Context(), &Request{Method: "POST", Path: P("/x")})
	require.Equal(t, fault.Transient, fault.Of(err))
	require.ErrorIs(t, err, errTimeout)
}

// login refuses a number of tokens before one is good.
type login struct {
	asked   atomic.Int64
	renews  bool
	err     error
	current atomic.Int64
}

func (l *login) Authorize(_ context.Context, r *http.Request) error {
	r.Header.Set("Authorization", fmt.Sprint("token-", l.current.Load()))
	return nil
}

func (l *login) Refused(_ context.Context, r *http.Request, answer *Response) (bool, error) {
	if r.Header.Get("Authorization") == "" || answer.Status != http.StatusUnauthorized {
		return false, errors.New("asked about something else")
	}
	l.asked.Add(1)
	l.current.Add(1)
	return l.renews, l.err
}

func TestRefusedCredentials(t *testing.T) {
	t.Parallel()
	type answers = []func(*http.Request) (*http.Response, error)
	for name, c := range map[string]struct {
		answers  answers
		login    *login
		requests int
		class    fault.Class
	}{
		"renewed":                {answers{says(401), says(200)}, &login{renews: true}, 2, ""},
		"not renewed":            {answers{says(401), says(200)}, &login{}, 1, fault.Auth},
		"renewed in vain":        {answers{says(401), says(401), says(200)}, &login{renews: true}, 2, fault.Auth},
		"renewing fails":         {answers{says(401), says(200)}, &login{err: fault.New(fault.Forbidden, "no")}, 1, fault.Forbidden},
		"not of the retries":     {answers{says(500), says(401), says(500), says(500), says(200)}, &login{renews: true}, 5, ""},
		"once a request":         {answers{says(401), says(500), says(401)}, &login{renews: true}, 3, fault.Auth},
		"of a change too":        {answers{says(401), says(200)}, &login{renews: true}, 2, ""},
		"refused by a redirect":  {answers{says(302, "Location", "/y"), says(401), says(302, "Location", "/y"), says(200)}, &login{renews: true}, 4, ""},
		"nothing to be renewed":  {answers{says(403)}, &login{renews: true}, 1, fault.Forbidden},
		"without any credential": {answers{says(401)}, nil, 1, fault.Auth},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := play(c.answers...)
				client := testClient(t, s, func(_ *Options, cfg *Config) {
					if c.login != nil {
						cfg.Auth = c.login
					}
				})
				r := &Request{Path: P("/x")}
				if name == "of a change too" {
					r.Method, r.Body = "POST", []byte("{}")
				}
				_, err := client.Do(t.Context(), r)
				if c.class == "" {
					require.NoError(t, err)
				} else {
					require.Error(t, err)
					require.Equal(t, c.class, fault.Of(err), "%v", err)
				}
				require.Len(t, s.seen, c.requests)
				if c.login != nil {
					require.LessOrEqual(t, c.login.asked.Load(), int64(1))
				}
				if r.Body != nil {
					again, err := io.ReadAll(s.seen[1].Body)
					require.NoError(t, err)
					require.Equal(t, "{}", string(again))
				}
			})
		})
	}
}

type failing struct{ err error }

func (f failing) Authorize(context.Context, *http.Request) error { return f.err }
func (failing) Refused(context.Context, *http.Request, *Response) (bool, error) {
	return false, nil
}

func TestAuthorizeFails(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		why := fault.After(fault.Transient, time.Second, "the token's endpoint is down")
		s := play()
		client := testClient(t, s, func(_ *Options, c *Config) { c.Auth = failing{why} })
		_, err := client.Do(t.Context(), &Request{Path: P("/x")})
		require.Equal(t, why, err, "as it is: whoever got the token has tried again")
		require.Empty(t, s.seen)
		require.Zero(t, client.bucket(&Request{}).inFlight)
	})
}

func TestRedirects(t *testing.T) {
	t.Parallel()
	type answers = []func(*http.Request) (*http.Response, error)
	here := "https://api.acme.example/v1"
	for name, c := range map[string]struct {
		method   string
		answers  answers
		requests int
		last     string // method and URL of the last request
		class    fault.Class
	}{
		"moved":                   {"GET", answers{says(301, "Location", here+"/y?z=%2f"), says(200)}, 2, "GET " + here + "/y?z=%2f", ""},
		"without an origin":       {"GET", answers{says(302, "Location", "/v1/y"), says(200)}, 2, "GET " + here + "/y", ""},
		"see other":               {"HEAD", answers{says(303, "Location", here+"/y"), says(200)}, 2, "HEAD " + here + "/y", ""},
		"an alias":                {"GET", answers{says(308, "Location", "https://acme.example/v1/y"), says(200)}, 2, "GET " + here + "/y", ""},
		"a change keeps":          {"PUT", answers{says(307, "Location", here+"/y"), says(200)}, 2, "PUT " + here + "/y", ""},
		"a change does not turn":  {"POST", answers{says(302, "Location", here+"/y"), says(200)}, 1, "POST " + here + "/x", fault.Permanent},
		"another host":            {"GET", answers{says(302, "Location", "https://evil.example/v1/y?token=abc"), says(200)}, 1, "GET " + here + "/x", fault.Permanent},
		"downgraded":              {"GET", answers{says(302, "Location", "http://api.acme.example/v1/y"), says(200)}, 1, "GET " + here + "/x", fault.Permanent},
		"outside the API's path":  {"GET", answers{says(302, "Location", "/login"), says(200)}, 1, "GET " + here + "/x", fault.Permanent},
		"nowhere":                 {"GET", answers{says(302), says(200)}, 1, "GET " + here + "/x", fault.Permanent},
		"round in circles":        {"GET", answers{to(here), to(here), to(here), to(here), to(here), to(here), to(here)}, 6, "GET " + here + "/y", fault.Permanent},
		"five times":              {"GET", answers{to(here), to(here), to(here), to(here), to(here), says(200)}, 6, "GET " + here + "/y", ""},
		"an answer not modified":  {"GET", answers{says(304)}, 1, "GET " + here + "/x", ""},
		"a choice is none of use": {"GET", answers{says(300, "Location", here+"/y")}, 1, "GET " + here + "/x", fault.Permanent},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := play(c.answers...)
				client := testClient(t, s, func(_ *Options, cfg *Config) {
					cfg.BaseURL, cfg.Aliases, cfg.Auth = here, []string{"https://acme.example"}, token("sandbox-token")
				})
				caller := &Caller{}
				_, err := client.Do(WithCaller(t.Context(), caller), &Request{Method: c.method, Path: P("/x"), Body: []byte("{}")})
				if c.class == "" {
					require.NoError(t, err)
				} else {
					require.Equal(t, c.class, fault.Of(err), "%v", err)
					require.NotContains(t, err.Error(), "abc")
				}
				require.Len(t, s.seen, c.requests)
				last := s.seen[c.requests-1]
				require.Equal(t, c.last, last.Method+" "+last.URL.String())
				require.Equal(t, "Bearer sandbox-token", last.Header.Get("Authorization"))
				require.Zero(t, caller.Counts.Retries.Load())
			})
		})
	}
}

func to(here string) func(*http.Request) (*http.Response, error) {
	return says(302, "Location", here+"/y")
}

func TestBaseURLs(t *testing.T) {
	t.Parallel()
	base, err := New(Options{Clock: clockwork.NewRealClock()})
	require.NoError(t, err)
	for _, u := range []string{"", "api.acme.example", "ftp://acme.example", "https://u:p@acme.example", "https://acme.example?x=1", "https://acme.example/#x", "https://", "https://acme.example/../x", "http://%zz"} {
		_, err := base.Client(Config{BaseURL: u})
		require.Equal(t, fault.Permanent, fault.Of(err), u)
		_, err = base.Client(Config{BaseURL: "https://acme.example", Aliases: []string{u}})
		require.Error(t, err, u)
	}
	_, err = base.Client(Config{BaseURL: "https://acme.example/api/v3/", Aliases: []string{"https://api.acme.example/"}})
	require.NoError(t, err)
}

func TestProxyAndCA(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"proxy:3128", "http://u:p@proxy:3128", "gopher://proxy", "http://proxy/path", "http://", "http://%zz"} {
		_, err := New(Options{Clock: clockwork.NewRealClock(), Proxy: bad})
		require.Equal(t, fault.Permanent, fault.Of(err), bad)
		require.NotContains(t, err.Error(), "u:p")
	}

	vendor := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "{}") }))
	defer vendor.Close()
	vendor.Config.ErrorLog = log.New(io.Discard, "", 0)
	var through []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		through = append(through, r.Method+" "+r.Host+" "+r.Header.Get("Proxy-Authorization"))
		conn, err := (&net.Dialer{}).DialContext(r.Context(), "tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		mine, buf, _ := w.(http.Hijacker).Hijack()
		_, _ = mine.Write([]byte("HTTP/1.1 200 OK\r\n\r\n"))
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = io.Copy(conn, buf); _ = conn.Close() })
		wg.Go(func() { _, _ = io.Copy(mine, conn); _ = mine.Close() })
		wg.Wait()
	}))
	defer proxy.Close()

	ca := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: vendor.Certificate().Raw}), 0o600))
	get := func(o Options) error {
		o.Clock = clockwork.NewRealClock()
		base, err := New(o)
		require.NoError(t, err)
		defer base.Close()
		client, err := base.Client(Config{BaseURL: vendor.URL})
		require.NoError(t, err)
		_, err = client.Do(t.Context(), &Request{Method: "POST", Path: P("/x")})
		return err
	}
	require.ErrorContains(t, get(Options{}), "certificate", "an authority nobody knows")
	require.NoError(t, get(Options{CAFile: ca}))
	require.Empty(t, through)
	require.NoError(t, get(Options{CAFile: ca, Proxy: proxy.URL, ProxyAuth: func() (string, error) { return "ann:sandbox-word", nil }}))
	require.Equal(t, []string{"CONNECT " + vendor.Listener.Addr().String() + " Basic YW5uOnNhbmRib3gtd29yZA=="}, through)
	err := get(Options{CAFile: ca, Proxy: proxy.URL, ProxyAuth: func() (string, error) { return "", errors.New("no such file") }})
	require.Equal(t, fault.Auth, fault.Of(err))

	_, err = New(Options{CAFile: filepath.Join(t.TempDir(), "none")})
	require.Equal(t, fault.Permanent, fault.Of(err))
	require.NoError(t, os.WriteFile(ca, []byte("nothing"), 0o600))
	_, err = New(Options{CAFile: ca})
	require.ErrorContains(t, err, "no certificate")
}

// Times of answers are the clock's, not the network's.
func TestAnswersHaveTheClocksTime(t *testing.T) {
	t.Parallel()
	now := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", now.Format(http.TimeFormat))
		_, _ = io.WriteString(w, "{}")
	}, func(o *Options, _ *Config) { o.Clock, o.Wall = clockwork.NewFakeClockAt(now), clockwork.NewRealClock() })
	r, err := c.Do(t.Context(), &Request{Path: P("/x")})
	require.NoError(t, err)
	require.Equal(t, now, r.At)
	require.Less(t, r.Skew.Abs(), 2*time.Second)
}
