package auth

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/sources/httpx"
)

// appServer serves what connectors/github.md 3.2 says of installations.
type appServer struct {
	url   string
	clock clockwork.Clock

	mu        sync.Mutex
	installed int64 // id; 0: not installed
	suspended bool
	nameless  bool // does not tell of the App
	calls     []string
	minted    int
	status    int
	garbage   string
}

func (s *appServer) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w.Header().Set("Date", s.clock.Now().UTC().Format(http.TimeFormat))
	s.calls = append(s.calls, r.Method+" "+r.URL.Path)
	claims := jwt.MapClaims{}
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	_, err := jwt.ParseWithClaims(bearer, claims, func(*jwt.Token) (any, error) { return &rsaKey().PublicKey, nil },
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer("Iv1.app"), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithTimeFunc(s.clock.Now))
	if err == nil {
		exp, _ := claims.GetExpirationTime()
		iat, _ := claims.GetIssuedAt()
		if exp.Sub(s.clock.Now()) > 10*time.Minute || s.clock.Since(iat.Time) < time.Minute {
			err = fmt.Errorf("times")
		}
	}
	id := fmt.Sprint(s.installed)
	switch {
	case s.status != 0:
		w.WriteHeader(s.status)
		_, _ = w.Write([]byte(s.garbage))
	case err != nil || r.Header.Get("X-Github-Api-Version") != "2022-11-28":
		reply(w, 401, object{"message": "A JSON web token could not be decoded: " + bearer})
	case s.installed == 0:
		reply(w, 404, object{"message": "Not Found"})
	case r.Method == http.MethodGet && r.URL.Path == "/api/v3/orgs/acme/installation":
		body := object{"id": s.installed, "permissions": object{"members": "read"}, "suspended_at": nil}
		if s.suspended {
			body["suspended_at"] = "2026-01-02T03:04:05Z"
		}
		reply(w, 200, body)
	case r.Method == http.MethodGet && r.URL.Path == "/api/v3/app" && !s.nameless:
		reply(w, 200, object{"id": 7, "slug": "weir"})
	case r.Method == http.MethodPost && r.URL.Path == "/api/v3/app/installations/"+id+"/access_tokens":
		s.minted++
		reply(w, 201, object{
			"token": fmt.Sprintf("installation-%d", s.minted), "expires_at": s.clock.Now().Add(time.Hour).Format(time.RFC3339),
			"permissions": object{"members": "read", "organization_administration": "read"}, "repository_selection": "all",
		})
	default:
		reply(w, 404, object{"message": "Not Found"})
	}
}

func newApp(t *testing.T, change func(*GitHubApp)) (*appServer, *Tokens, *clockwork.FakeClock) {
	t.Helper()
	clock := fakeClock()
	s := &appServer{clock: clock, installed: 42}
	s.url = serve(t, s.serve).URL
	app := GitHubApp{
		HTTP: newBase(t, clock), Clock: clock, BaseURL: s.url + "/api/v3", ClientID: "Iv1.app", Key: constant(rsaPEM()), Organization: "acme",
		Header: http.Header{"X-Github-Api-Version": {"2022-11-28"}, "Accept": {"application/vnd.github+json"}},
	}
	if change != nil {
		change(&app)
	}
	a, err := NewGitHubApp(app)
	require.NoError(t, err)
	return s, a, clock
}

func TestGitHubApp(t *testing.T) {
	t.Parallel()
	s, a, clock := newApp(t, nil)
	r := authorized(t, a, "https://acme.example/")
	require.Equal(t, "Bearer installation-1", r.Header.Get("Authorization"))
	tok, err := a.Token(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[string]string{"members": "read", "organization_administration": "read", "repository_selection": "all"}, tok.Permissions)
	require.Equal(t, "weir", tok.Slug)
	clock.Advance(49 * time.Minute)
	require.Equal(t, "Bearer installation-1", authorized(t, a, "https://acme.example/").Header.Get("Authorization"))
	clock.Advance(time.Minute)
	r = authorized(t, a, "https://acme.example/")
	require.Equal(t, "Bearer installation-2", r.Header.Get("Authorization"))
	again, err := a.Refused(t.Context(), r, refusal())
	require.NoError(t, err)
	require.True(t, again)
	require.Equal(t, "Bearer installation-3", authorized(t, a, "https://acme.example/").Header.Get("Authorization"))
	mint := "POST /api/v3/app/installations/42/access_tokens"
	require.Equal(t, []string{"GET /api/v3/orgs/acme/installation", mint, "GET /api/v3/app", mint, mint}, s.calls)
}

func TestGitHubAppFaults(t *testing.T) {
	t.Parallel()
	s, a, _ := newApp(t, nil)
	s.installed = 0
	_, err := a.Token(t.Context())
	requireAuth(t, err, "is not installed in the organization acme")
	s.installed, s.suspended = 42, true
	_, err = a.Token(t.Context())
	requireAuth(t, err, "is suspended in the organization acme since 2026-01-02")
	s.suspended, s.nameless = false, true
	tok, tokErr := a.Token(t.Context())
	require.NoError(t, tokErr, "it was installed at last")
	require.Empty(t, tok.Slug)
	s.status, s.garbage = 200, `{"id":`
	_, a, _ = newApp(t, func(app *GitHubApp) { app.BaseURL = s.url + "/api/v3" })
	_, err = a.Token(t.Context())
	require.Equal(t, fault.Transient, fault.Of(err), err)
	s.garbage = `{}`
	_, err = a.Token(t.Context())
	require.Equal(t, fault.BadData, fault.Of(err), err)
	s.status, s.garbage = 403, `{"message":"Resource not accessible by integration"}`
	_, a, _ = newApp(t, func(app *GitHubApp) {
		app.BaseURL = s.url + "/api/v3"
		app.Classify = func(r *httpx.Response) error { return fault.New(fault.Forbidden, "a right is missing: %d", r.Status) }
	})
	_, err = a.Token(t.Context())
	require.Equal(t, fault.Forbidden, fault.Of(err), err)

	// The installation was removed, and made anew.
	s, a, clock := newApp(t, nil)
	_, err = a.Token(t.Context())
	require.NoError(t, err)
	s.installed = 43
	clock.Advance(time.Hour)
	_, err = a.Token(t.Context())
	requireAuth(t, err, "has no installation 42")
	tok, err = a.Token(t.Context())
	require.NoError(t, err)
	require.Equal(t, "installation-2", tok.Access)

	// A wrong key.
	_, a, _ = newApp(t, func(app *GitHubApp) { app.Header = nil })
	_, err = a.Token(t.Context())
	requireAuth(t, err, "GitHub refuses the App's own credentials (A JSON web token could not be decoded: ***)")

	base := newBase(t, fakeClock())
	_, err = NewGitHubApp(GitHubApp{HTTP: base, BaseURL: "https://acme.example", ClientID: "x", Key: constant(rsaPEM())})
	require.ErrorContains(t, err, "installation's id, or the organization")
	_, err = NewGitHubApp(GitHubApp{HTTP: base, BaseURL: "https://acme.example", ClientID: "x", Key: constant("hunter2"), Organization: "acme"})
	requireAuth(t, err, "the GitHub App's key: the private key: "+wantKey)
}
