package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/configs"
	"weir/internal/secret"
	"weir/internal/setting"
	"weir/sources"
	"weir/sources/auth"
	"weir/sources/httpx"
)

type granterConfig struct {
	ClientID string `key:"client_id" doc:"client"`
	App      struct {
		Key secret.Secret `key:"key" doc:"key"`
	} `key:"app" doc:"app"`
}

func (*granterConfig) Validate() []setting.KeyError { return nil }

// granter is a connector whose access a person grants at a server.
func granter(server string) *sources.Connector {
	consent := func(sources.Env, setting.Struct) (*auth.Consent, error) {
		return &auth.Consent{
			AuthorizeURL: server + "/authorize", TokenURL: server + "/token", ClientID: "weir", Scopes: []string{"read:org", "repo"},
			Hint: "An owner of the organization must consent.",
		}, nil
	}
	return &sources.Connector{
		App: "granter", Title: "Granter", Config: func() setting.Struct { return &granterConfig{} }, Consent: consent,
		Open: func(_ context.Context, env sources.Env, cfg setting.Struct) (sources.Session, error) {
			c, err := consent(env, cfg)
			if err != nil {
				return nil, err
			}
			a, err := auth.NewConsented(auth.Consented{Instance: env.Instance, Vault: env.Vault, Consent: c, HTTP: env.HTTP, Clock: env.Clock})
			if err != nil {
				return nil, err
			}
			client, err := env.HTTP.Client(httpx.Config{BaseURL: server, Auth: a})
			return granterSession{client: client}, err
		},
	}
}

type granterSession struct {
	sources.Session
	client *httpx.Client
}

func (s granterSession) Identity(ctx context.Context) (sources.Identity, error) {
	r, err := s.client.Do(ctx, &httpx.Request{Path: httpx.P("/user")})
	if err != nil {
		return sources.Identity{}, err
	}
	return sources.Identity{ID: "7", Name: string(r.Body), Kind: sources.IdentityPerson}, nil
}

func granterServer(t *testing.T) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		switch {
		case r.URL.Path == "/authorize":
			http.Redirect(w, r, q.Get("redirect_uri")+"?code=the-code&state="+url.QueryEscape(q.Get("state")), http.StatusFound)
		case r.URL.Path == "/token" && r.FormValue("code") == "the-code":
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token":"sandbox-token","token_type":"bearer","scope":"read:org"}`)
		case r.URL.Path == "/user" && r.Header.Get("Authorization") == "Bearer sandbox-token":
			_, _ = io.WriteString(w, "ada")
		default:
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

// output is where a command speaks; it tells of each address of a page.
type output struct {
	mu    sync.Mutex
	text  bytes.Buffer
	pages chan string
}

var page = regexp.MustCompile(`  (http://\S+/authorize\S+)`)

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m := page.FindSubmatch(b); m != nil {
		o.pages <- string(m[1])
	}
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

func connectConfig(t *testing.T, c *sources.Connector) *configs.Config {
	dir := t.TempDir()
	key := filepath.Join(dir, "key")
	require.NoError(t, os.WriteFile(key, []byte(strings.Repeat("k", 40)+"\n"), 0o600))
	return &configs.Config{
		Agent:     configs.Agent{DataDir: filepath.Join(dir, "data"), Key: secret.New("${file:" + key + "}")},
		Instances: []configs.Instance{{Name: "acme", Connector: c, Config: c.Config()}},
	}
}

func TestConnect(t *testing.T) {
	t.Parallel()
	cfg := connectConfig(t, granter(granterServer(t).URL))
	out := &output{pages: make(chan string, 1)}
	c := &console{out: out, err: out, clock: clockwork.NewRealClock()}
	done := make(chan error, 1)
	go func() {
		done <- (&connectCmd{NoBrowser: true}).connect(t.Context(), c, cfg, cfg.Instances[0])
	}()
	select {
	case p := <-out.pages:
		resp, err := http.Get(p) //nolint:gosec,noctx // the test's own server
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, 200, resp.StatusCode)
	case err := <-done:
		t.Fatal(err)
	}
	require.NoError(t, <-done)
	for _, want := range []string{
		"acme (Granter)\n", "An owner of the organization must consent.\n", "Weir will ask for: read:org, repo\n", "ssh -L ", "Granted: read:org\n",
		"Not granted: repo.", "The token does not end by time.", "Connected as ada (7), a person.\n",
	} {
		require.Contains(t, out.String(), want)
	}
	require.NotContains(t, out.String(), "sandbox-token")
	require.NoError(t, filepath.WalkDir(cfg.Agent.DataDir, func(name string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			require.NotContains(t, string(b), "sandbox-token", name)
		}
		return err
	}))
}

func TestConnectInterrupted(t *testing.T) {
	t.Parallel()
	cfg := connectConfig(t, granter(granterServer(t).URL))
	out := &output{pages: make(chan string, 1)}
	c := &console{out: out, err: out, clock: clockwork.NewRealClock()}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- (&connectCmd{NoBrowser: true}).connect(ctx, c, cfg, cfg.Instances[0])
	}()
	<-out.pages
	cancel()
	require.EqualError(t, <-done, "interrupted: nothing was changed")
}

func TestConnectWithoutConsent(t *testing.T) {
	t.Parallel()
	c := &console{out: io.Discard, err: io.Discard, clock: clockwork.NewRealClock()}
	f := func(change func(*sources.Connector), want string) {
		t.Helper()
		g := granter("http://127.0.0.1:1")
		change(g)
		cfg := connectConfig(t, g)
		err := (&connectCmd{NoBrowser: true}).connect(t.Context(), c, cfg, cfg.Instances[0])
		require.ErrorContains(t, err, want)
	}
	want := "acme needs no consent: its credentials stand in the configuration, under app.key"
	f(func(g *sources.Connector) { g.Consent = nil }, want)
	f(func(g *sources.Connector) {
		g.Consent = func(sources.Env, setting.Struct) (*auth.Consent, error) { return nil, nil }
	}, want)
	f(func(g *sources.Connector) {
		g.Consent = func(sources.Env, setting.Struct) (*auth.Consent, error) { return nil, fmt.Errorf("no client_id") }
	}, "no client_id")
}
