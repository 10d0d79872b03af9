package sourcetest

import (
	"io"
	"net/http"
	"net/url"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/agent"
	"weir/sources"
	"weir/sources/auth"
)

// Consent runs weir connect: a browser follows the consent page's redirects,
// after the person has changed its query. clock is that of the tokens' ends.
func (s *Site) Consent(clock clockwork.Clock, change func(url.Values)) (auth.Grant, error) {
	s.t.Helper()
	env := s.Env()
	how, err := s.f.Connector.Consent(env, s.Config().Instances[0].Config)
	require.NoError(s.t, err)
	pages := make(chan string, 1)
	grant, err := auth.Connect(s.t.Context(), auth.ConnectOptions{
		Instance: s.Instance(), Vault: env.Vault, Consent: how, HTTP: env.HTTP, Clock: clock,
		Show: func(page string, _ int) {
			u, err := url.Parse(page)
			require.NoError(s.t, err)
			q := u.Query()
			change(q)
			u.RawQuery = q.Encode()
			go func() { pages <- browse(u.String()) }()
		},
	})
	page := <-pages
	if err == nil {
		require.Contains(s.t, page, "Connected")
	}
	return grant, err
}

// browse returns the page that a browser ends on, or why it did not.
func browse(page string) string {
	request, err := http.NewRequest(http.MethodGet, page, http.NoBody)
	if err != nil {
		return err.Error()
	}
	request.Header.Set("User-Agent", "browser")
	answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
	if err != nil {
		return err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}

// Env is what the agent gives the connector.
func (s *Site) Env() sources.Env {
	s.t.Helper()
	cfg := s.Config()
	env, err := agent.SessionEnv(agent.SessionOptions{Config: cfg, Instance: cfg.Instances[0], Clock: s.Clock, Wall: clockwork.NewRealClock()})
	require.NoError(s.t, err)
	s.t.Cleanup(env.HTTP.Close)
	return env
}
