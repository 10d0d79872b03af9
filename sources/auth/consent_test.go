package auth

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"
)

// consentServer is an authorization server for a person's consent.
type consentServer struct {
	url string

	mu         sync.Mutex
	codes      map[string]url.Values // the authorize request of each unused code
	refresh    string                // the one good refresh token; "": none are given
	rotates    bool
	n          int
	life       int    // of access tokens, in seconds; 0: for ever
	scope      string // granted; "": as asked, and not said
	error200   bool   // errors come with HTTP 200
	spent      []string
	beforeSend func()
}

func newConsentServer(t *testing.T) *consentServer {
	s := &consentServer{codes: map[string]url.Values{}}
	s.url = serve(t, s.serve).URL
	return s
}

func (s *consentServer) consent() *Consent {
	return &Consent{
		AuthorizeURL: s.url + "/authorize", TokenURL: s.url + "/token", ClientID: "weir", ClientSecret: constant("hunter2"),
		Scopes: []string{"read:org", "read:audit_log"}, Params: map[string]string{"allow_signup": "false"},
	}
}

func (s *consentServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := r.URL.Query()
	switch r.URL.Path {
	case "/authorize":
		back := url.Values{"state": {q.Get("state")}}
		s.n++
		code := fmt.Sprintf("code-%d", s.n)
		s.codes[code] = q
		back.Set("code", code)
		http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
	case "/token":
		if r.FormValue("client_id") != "weir" || r.FormValue("client_secret") != "hunter2" {
			s.refuse(w, "incorrect_client_credentials", "it is not "+r.FormValue("client_secret"))
			return
		}
		switch r.FormValue("grant_type") {
		case "authorization_code":
			code := r.FormValue("code")
			asked, ok := s.codes[code]
			delete(s.codes, code)
			sum := sha256.Sum256([]byte(r.FormValue("code_verifier")))
			switch {
			case !ok:
				s.refuse(w, "bad_verification_code", "The code "+code+" passed is incorrect or expired.")
			case asked.Get("redirect_uri") != r.FormValue("redirect_uri"):
				s.refuse(w, "redirect_uri_mismatch", "")
			case asked.Get("code_challenge_method") != "S256" || asked.Get("code_challenge") != b64(sum[:]):
				s.refuse(w, "invalid_grant", "PKCE verification failed for "+r.FormValue("code_verifier"))
			default:
				s.give(w)
			}
		case "refresh_token":
			s.spent = append(s.spent, r.FormValue("refresh_token"))
			if s.refresh == "" || r.FormValue("refresh_token") != s.refresh {
				s.refuse(w, "invalid_grant", "The refresh token "+r.FormValue("refresh_token")+" is invalid.")
				return
			}
			s.give(w)
		}
	}
	if s.beforeSend != nil {
		s.beforeSend()
	}
}

func (s *consentServer) refuse(w http.ResponseWriter, code, description string) {
	status := 400
	if s.error200 {
		status = 200
	}
	refuse(w, status, code, description)
}

func (s *consentServer) give(w http.ResponseWriter) {
	s.n++
	body := object{"access_token": fmt.Sprintf("access-%d", s.n), "token_type": "bearer"}
	if s.life > 0 {
		body["expires_in"] = s.life
	}
	if s.scope != "" {
		body["scope"] = s.scope
	}
	if s.refresh != "" && (s.rotates || s.refresh == "first") {
		s.refresh = fmt.Sprintf("refresh-%d", s.n)
		body["refresh_token"] = s.refresh
	}
	reply(w, 200, body)
}

// browser follows redirects as a person's does.
func browser(t *testing.T) *http.Client {
	tr := &http.Transport{DisableKeepAlives: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

func visit(t *testing.T, page string) (status int, body string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, page, nil)
	require.NoError(t, err)
	resp, err := browser(t).Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(b)
}

type connecting struct {
	page string
	port int
	done chan struct{}
	g    Grant
	err  error
}

// connect begins Connect, and returns when it waits.
func connect(t *testing.T, ctx context.Context, s *consentServer, vault Vault, clock clockwork.Clock, change func(*ConnectOptions)) *connecting { //nolint:revive // the context is not always t's
	t.Helper()
	c := &connecting{done: make(chan struct{})}
	shown := make(chan struct{})
	o := ConnectOptions{
		Instance: "acme", Vault: vault, Consent: s.consent(), HTTP: newBase(t, clock), Clock: clock,
		Show: func(page string, port int) { c.page, c.port = page, port; close(shown) },
	}
	if change != nil {
		change(&o)
	}
	go func() {
		defer close(c.done)
		c.g, c.err = Connect(ctx, o)
	}()
	select {
	case <-shown:
	case <-c.done:
	}
	return c
}

func TestConnect(t *testing.T) {
	t.Parallel()
	clock, vault, s := fakeClock(), &memory{}, newConsentServer(t)
	s.scope, s.error200 = "read:org,extra", true
	c := connect(t, t.Context(), s, vault, clock, nil)
	u, err := url.Parse(c.page)
	require.NoError(t, err)
	q := u.Query()
	require.Equal(t, []string{"weir", "code", "read:org read:audit_log", "S256", "false", fmt.Sprintf("http://127.0.0.1:%d/callback", c.port)}, []string{
		q.Get("client_id"), q.Get("response_type"), q.Get("scope"), q.Get("code_challenge_method"), q.Get("allow_signup"), q.Get("redirect_uri"),
	})
	require.NotContains(t, c.page, "hunter2")
	require.GreaterOrEqual(t, len(q.Get("state")), 26)

	status, body := visit(t, c.page)
	require.Equal(t, 200, status, body)
	require.Contains(t, body, "Connected")
	<-c.done
	require.NoError(t, c.err)
	require.Equal(t, Grant{Scopes: []string{"extra", "read:org"}, Missing: []string{"read:audit_log"}}, c.g)
	require.NotContains(t, body, "access-")

	a := consented(t, s, vault, clock)
	r := authorized(t, a, "https://acme.example/")
	require.Equal(t, "Bearer access-2", r.Header.Get("Authorization"))
	tok, err := a.Token(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"extra", "read:org"}, tok.Scopes)
	clock.Advance(10000 * time.Hour)
	require.Equal(t, "Bearer access-2", authorized(t, a, "https://acme.example/").Header.Get("Authorization"), "it has no end")
	_, err = a.Refused(t.Context(), r, refusal())
	requireAuth(t, err, "run `weir connect acme`")
}

// What does not belong to the consent is turned away, and changes nothing.
func TestStrangersAtTheCallback(t *testing.T) {
	t.Parallel()
	s, vault := newConsentServer(t), &memory{}
	c := connect(t, t.Context(), s, vault, fakeClock(), nil)
	u, err := url.Parse(c.page)
	require.NoError(t, err)
	state, redirect := u.Query().Get("state"), u.Query().Get("redirect_uri")
	f := func(method, target, host string, want int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, target, nil)
		require.NoError(t, err)
		if host != "" {
			r.Host = host
		}
		resp, err := browser(t).Do(r)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, want, resp.StatusCode)
		require.NotContains(t, string(body), "script")
		require.Contains(t, resp.Header.Get("Content-Security-Policy"), "default-src 'none'")
	}
	good := "code=x&state=" + url.QueryEscape(state)
	f("GET", redirect+"?"+good, "evil.example", 421)
	f("GET", redirect+"?"+good, fmt.Sprintf("localhost:%d", c.port), 421)
	f("POST", redirect+"?"+good, "", 404)
	f("GET", strings.Replace(redirect, "callback", "favicon.ico", 1), "", 404)
	f("GET", redirect+"?code=x&state=wrong", "", 400)
	f("GET", redirect+"?code=x", "", 400)
	f("GET", redirect+"?error=access_denied", "", 400)
	f("GET", redirect+"?state="+url.QueryEscape(state), "", 400)
	f("GET", redirect+"?error="+url.QueryEscape("<script>")+"&state=wrong", "", 400)
	select {
	case <-c.done:
		t.Fatal("it ended: ", c.err)
	default:
	}
	status, _ := visit(t, c.page)
	require.Equal(t, 200, status)
	<-c.done
	require.NoError(t, c.err)
	_, err = net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", c.port), time.Second)
	require.Error(t, err, "the door is shut")
}

func TestConsentRefused(t *testing.T) {
	t.Parallel()
	s, vault := newConsentServer(t), &memory{}
	c := connect(t, t.Context(), s, vault, fakeClock(), nil)
	u, err := url.Parse(c.page)
	require.NoError(t, err)
	back := url.Values{"state": {u.Query().Get("state")}, "error": {"access_denied"}, "error_description": {"The user\nhas <b>denied</b>"}}
	status, body := visit(t, u.Query().Get("redirect_uri")+"?"+back.Encode())
	require.Equal(t, 502, status)
	require.NotContains(t, body, "<b>")
	<-c.done
	requireAuth(t, c.err, "refused in the browser: access_denied: The user has <b>denied</b>")
	require.Empty(t, vault.secrets)
}

func TestExchangeRefused(t *testing.T) {
	t.Parallel()
	f := func(change func(s *consentServer, authorize url.Values), o func(*ConnectOptions), want string) {
		t.Helper()
		s, vault := newConsentServer(t), &memory{}
		s.error200 = true
		c := connect(t, t.Context(), s, vault, fakeClock(), o)
		u, err := url.Parse(c.page)
		require.NoError(t, err)
		q := u.Query()
		s.codes["code-x"] = q
		change(s, q)
		status, body := visit(t, q.Get("redirect_uri")+"?code=code-x&state="+url.QueryEscape(q.Get("state")))
		require.Equal(t, 502, status)
		<-c.done
		requireAuth(t, c.err, want)
		require.Empty(t, vault.secrets)
		for _, secret := range []string{"hunter2", "swordfish", "code-x"} {
			require.NotContains(t, c.err.Error()+body, secret)
		}
	}
	nothing := func(*consentServer, url.Values) {}
	f(func(s *consentServer, _ url.Values) { delete(s.codes, "code-x") }, nil, "bad_verification_code: The code *** passed") // used before
	f(func(_ *consentServer, q url.Values) { q.Set("code_challenge", "another") }, nil, "PKCE verification failed for ***")
	f(nothing, func(o *ConnectOptions) { o.Consent.ClientSecret = constant("swordfish") }, "incorrect_client_credentials: it is not ***")
	f(nothing, func(o *ConnectOptions) {
		o.Consent.ClientSecret = func() (string, error) { return "", errors.New("no such file") }
	}, "no such file")
}

func TestConnectEnds(t *testing.T) {
	t.Parallel()
	s, vault, clock := newConsentServer(t), &memory{}, fakeClock()
	ctx, cancel := context.WithCancel(t.Context())
	c := connect(t, ctx, s, vault, clock, nil)
	cancel()
	<-c.done
	require.ErrorIs(t, c.err, context.Canceled)

	c = connect(t, t.Context(), s, vault, clock, nil)
	clock.Advance(consentWithin)
	<-c.done
	requireAuth(t, c.err, "nobody consented within 10m0s")

	vault.fail(errors.New("disk full"))
	c = connect(t, t.Context(), s, vault, clock, nil)
	status, _ := visit(t, c.page)
	require.Equal(t, 502, status)
	<-c.done
	require.EqualError(t, c.err, "disk full")
}

func TestRedirectURL(t *testing.T) {
	t.Parallel()
	s := newConsentServer(t)
	f := func(redirect string, want func(port int) string) {
		t.Helper()
		vault := &memory{}
		c := connect(t, t.Context(), s, vault, fakeClock(), func(o *ConnectOptions) { o.Consent.RedirectURL = redirect })
		u, err := url.Parse(c.page)
		require.NoError(t, err)
		require.Equal(t, want(c.port), u.Query().Get("redirect_uri"))
		status, body := visit(t, c.page)
		require.Equal(t, 200, status, body)
		<-c.done
		require.NoError(t, c.err)
	}
	f("http://localhost", func(p int) string { return fmt.Sprintf("http://localhost:%d", p) })
	f("http://localhost/weir/back", func(p int) string { return fmt.Sprintf("http://localhost:%d/weir/back", p) })

	l, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	c := connect(t, t.Context(), s, &memory{}, fakeClock(), func(o *ConnectOptions) { o.Port = port })
	<-c.done
	require.ErrorContains(t, c.err, "--redirect-port")
	require.NoError(t, l.Close())
	f(fmt.Sprintf("http://127.0.0.1:%d/callback", port), func(int) string { return fmt.Sprintf("http://127.0.0.1:%d/callback", port) })

	for _, bad := range []string{"https://127.0.0.1/callback", "http://acme.example/callback", "http://127.0.0.1/callback?x=1", "http://0.0.0.0:1/"} {
		c := connect(t, t.Context(), s, &memory{}, fakeClock(), func(o *ConnectOptions) { o.Consent.RedirectURL = bad })
		<-c.done
		require.ErrorContains(t, c.err, "redirect URL")
	}
}

func consented(t *testing.T, s *consentServer, vault Vault, clock clockwork.Clock) *Tokens {
	t.Helper()
	a, err := NewConsented(Consented{Instance: "acme", Vault: vault, Consent: s.consent(), HTTP: newBase(t, clock), Clock: clock})
	require.NoError(t, err)
	return a
}

func stored(t *testing.T, vault *memory) granted {
	t.Helper()
	var g granted
	b, err := vault.Load(t.Context(), tokensName)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, &g))
	return g
}

// granting connects with hourly tokens that are refreshed.
func granting(t *testing.T, rotates bool) (*consentServer, *memory, *clockwork.FakeClock) {
	t.Helper()
	s, vault, clock := newConsentServer(t), &memory{}, fakeClock()
	s.refresh, s.rotates, s.life = "first", rotates, 3600
	c := connect(t, t.Context(), s, vault, clock, nil)
	visit(t, c.page)
	<-c.done
	require.NoError(t, c.err)
	require.True(t, c.g.Renews)
	require.Equal(t, start.Add(time.Hour), c.g.Expires)
	return s, vault, clock
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	s, vault, clock := granting(t, true)
	a := consented(t, s, vault, clock)
	require.Equal(t, "Bearer access-2", authorized(t, a, "https://acme.example/").Header.Get("Authorization"))
	clock.Advance(55 * time.Minute)
	// The new pair is durable before it is used.
	require.Equal(t, "Bearer access-3", authorized(t, a, "https://acme.example/").Header.Get("Authorization"))
	g := stored(t, vault)
	require.Equal(t, []string{"access-3", "refresh-3"}, []string{g.Access, g.Refresh})
	require.Equal(t, []string{"read:audit_log", "read:org"}, g.Scopes)

	// A crash between save and use: another process goes on with the new pair.
	a = consented(t, s, vault, clock)
	require.Equal(t, "Bearer access-3", authorized(t, a, "https://acme.example/").Header.Get("Authorization"))
	clock.Advance(time.Hour)
	r := authorized(t, a, "https://acme.example/")
	require.Equal(t, "Bearer access-4", r.Header.Get("Authorization"))
	again, err := a.Refused(t.Context(), r, refusal())
	require.NoError(t, err)
	require.True(t, again)
	require.Equal(t, []string{"refresh-2", "refresh-3", "refresh-4"}, s.spent)

	// Taken away.
	s.refresh = "another"
	clock.Advance(time.Hour)
	_, err = a.Token(t.Context())
	requireAuth(t, err, "run `weir connect acme`")
	require.NotContains(t, err.Error(), "refresh-5")

	// Granted again while the agent runs.
	s.refresh = "first"
	c := connect(t, t.Context(), s, vault, clock, nil)
	visit(t, c.page)
	<-c.done
	require.NoError(t, c.err)
	_, err = a.Token(t.Context())
	require.NoError(t, err)
}

func TestRefreshTokenThatStays(t *testing.T) {
	t.Parallel()
	s, vault, clock := granting(t, false)
	a := consented(t, s, vault, clock)
	for range 3 {
		clock.Advance(time.Hour)
		authorized(t, a, "https://acme.example/")
	}
	require.Equal(t, []string{"refresh-2", "refresh-2", "refresh-2"}, s.spent)
}

// A pair that the vault did not take is neither used nor lost.
func TestRotationThatCannotBeKept(t *testing.T) {
	t.Parallel()
	s, vault, clock := granting(t, true)
	a := consented(t, s, vault, clock)
	clock.Advance(time.Hour)
	vault.fail(errors.New("disk full"))
	for range 2 {
		_, err := a.Token(t.Context())
		require.EqualError(t, err, "disk full")
	}
	require.Equal(t, []string{"refresh-2"}, s.spent, "it is spent once")
	vault.fail(nil)
	require.Equal(t, "Bearer access-3", authorized(t, a, "https://acme.example/").Header.Get("Authorization"))
	require.Equal(t, "refresh-3", stored(t, vault).Refresh)
	clock.Advance(time.Hour)
	require.Equal(t, "Bearer access-4", authorized(t, a, "https://acme.example/").Header.Get("Authorization"))
}

// Processes that share a vault spend a refresh token once.
func TestProcessesShareAVault(t *testing.T) {
	t.Parallel()
	s, vault, clock := granting(t, true)
	var all []*Tokens
	for range 4 {
		all = append(all, consented(t, s, vault, clock))
		authorized(t, all[len(all)-1], "https://acme.example/")
	}
	for round := range 3 {
		clock.Advance(time.Hour)
		var wg sync.WaitGroup
		got := make([]string, 40)
		for i := range got {
			wg.Go(func() {
				tok, err := all[i%len(all)].Token(t.Context())
				if err != nil {
					t.Error(err)
				}
				got[i] = tok.Access
			})
		}
		wg.Wait()
		require.Len(t, slices.Compact(got), 1)
		require.Len(t, s.spent, round+1)
	}
}

func TestShutdownDoesNotLoseARotation(t *testing.T) {
	t.Parallel()
	s, vault, clock := granting(t, true)
	a := consented(t, s, vault, clock)
	clock.Advance(time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	s.beforeSend = cancel
	_, err := a.Token(ctx)
	require.True(t, err == nil || errors.Is(err, context.Canceled), err)
	require.Equal(t, "refresh-3", stored(t, vault).Refresh)
}

func TestVaultsContent(t *testing.T) {
	t.Parallel()
	s, clock := newConsentServer(t), fakeClock()
	f := func(record any, want string) {
		t.Helper()
		vault := &memory{}
		switch r := record.(type) {
		case nil:
		case string:
			vault.secrets = map[string][]byte{tokensName: []byte(r)}
		default:
			b, err := json.Marshal(r)
			require.NoError(t, err)
			vault.secrets = map[string][]byte{tokensName: b}
		}
		_, err := consented(t, s, vault, clock).Token(t.Context())
		requireAuth(t, err, want)
		require.Contains(t, err.Error(), "run `weir connect acme`")
		require.NotContains(t, err.Error(), "secret-token")
	}
	good := granted{Version: 1, ClientID: "weir", TokenURL: s.url + "/token", Access: "secret-token", Type: "Bearer"}
	f(nil, "nobody has granted access yet")
	f(`secret-token`, "no version that this Weir knows")
	f(`{}`, "no version that this Weir knows")
	g := good
	g.ClientID = "other"
	f(g, "another client")
	g = good
	g.TokenURL = "https://acme.example/token"
	f(g, "another client, or by another vendor's host")
	g = good
	g.Obtained, g.Expires = start.Add(-time.Hour), start
	f(g, "there is no refresh token")
}
