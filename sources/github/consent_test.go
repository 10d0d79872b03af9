package github_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/agent"
	"weir/internal/fault"
	"weir/internal/sandbox"
	sandboxgithub "weir/internal/sandbox/github"
	"weir/internal/sourcetest"
	"weir/sources/auth"
	"weir/sources/github"
)

// withOAuth connects with an OAuth app that somebody has yet to consent to.
func withOAuth() sourcetest.Fixture {
	f := withToken()
	f.Settings = func(_ testing.TB, tenant *sandbox.Tenant) string {
		return tenant.Handler().(*sandboxgithub.Handler).Connection(tenant.Base) +
			"auth: {client_id: " + sandboxgithub.OAuthClientID + ", client_secret: " + sandboxgithub.OAuthClientSecret + "}\nfiles: {private: true}\n"
	}
	return f
}

// consent has a browser follow the consent page's redirects, after the person
// has changed its query.
func consent(t *testing.T, site *sourcetest.Site, change func(url.Values)) (auth.Grant, error) {
	t.Helper()
	cfg := site.Config()
	env, err := agent.SessionEnv(agent.SessionOptions{Config: cfg, Instance: cfg.Instances[0], Clock: site.Clock, Wall: clockwork.NewRealClock()})
	require.NoError(t, err)
	t.Cleanup(env.HTTP.Close)
	how, err := github.Connector.Consent(env, cfg.Instances[0].Config)
	require.NoError(t, err)
	pages := make(chan string, 1)
	grant, err := auth.Connect(t.Context(), auth.ConnectOptions{
		Instance: site.Instance(), Vault: env.Vault, Consent: how, HTTP: env.HTTP, Clock: clockwork.NewRealClock(),
		Show: func(page string, _ int) {
			u, err := url.Parse(page)
			require.NoError(t, err)
			q := u.Query()
			change(q)
			u.RawQuery = q.Encode()
			go func() {
				request, err := http.NewRequest(http.MethodGet, u.String(), http.NoBody)
				if err != nil {
					pages <- err.Error()
					return
				}
				request.Header.Set("User-Agent", "browser")
				answer, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(request)
				if err != nil {
					pages <- err.Error()
					return
				}
				defer answer.Body.Close()
				body, _ := io.ReadAll(answer.Body)
				pages <- string(body)
			}()
		},
	})
	page := <-pages
	if err == nil {
		require.Contains(t, page, "Connected")
	}
	return grant, err
}

func TestConsentEndToEnd(t *testing.T) {
	t.Parallel()
	f := withOAuth()
	site := f.NewSite(t, sourcetest.SiteOptions{People: people})
	require.ErrorContains(t, site.Run(t.Context(), site.Config(), true), "weir connect", "nobody has consented yet")

	_, err := consent(t, site, func(q url.Values) { q.Set("decision", "deny") })
	require.Equal(t, fault.Auth, fault.Of(err))
	require.ErrorContains(t, err, "access_denied")

	grant, err := consent(t, site, func(url.Values) {})
	require.NoError(t, err)
	require.Empty(t, grant.Missing)
	missing := map[string]fault.Class{"repositories/roles": fault.Forbidden, "app_grants/pats": fault.Forbidden}
	probes(t, site, missing)
	err = site.Run(t.Context(), site.Config(), true)
	require.ErrorContains(t, err, "repositories/roles", "GitHub has no read-only scope for it")
	require.NotContains(t, err.Error(), site.Instance()+"/activities")
	for _, diff := range site.Compare("lake") {
		require.NotContains(t, diff, "too many", "what is collected is true")
		require.True(t, strings.HasPrefix(diff, "privileges: ") || strings.HasPrefix(diff, "app_grants: "), diff)
	}

	// Scopes may be edited on the page. What is missing shows.
	grant, err = consent(t, site, func(q url.Values) { q.Set("granted", "read:org read:user") })
	require.NoError(t, err)
	require.Equal(t, []string{"user:email", "read:audit_log", "repo"}, grant.Missing)
	missing["activities"], missing["activities/git"], missing["repositories/access"], missing["repositories/trees"] = fault.Forbidden, fault.Forbidden, fault.Forbidden, ""
	probes(t, site, missing)
	err = site.Run(t.Context(), site.Config(), true)
	require.ErrorContains(t, err, site.Instance()+"/activities")
	require.ErrorContains(t, err, "read:audit_log", "the error names what to grant")
}

// probes requires that all capabilities work but for those missing; "" may or
// may not.
func probes(t *testing.T, site *sourcetest.Site, missing map[string]fault.Class) {
	t.Helper()
	session := site.Session()
	for _, c := range github.Connector.Capabilities {
		err := session.Probe(t.Context(), c.Name)
		if class, ok := missing[c.Name]; !ok {
			require.NoError(t, err, c.Name)
		} else if class != "" {
			require.Equal(t, class, fault.Of(err), c.Name)
			require.Error(t, err, c.Name)
		}
	}
}

// A classic token with fewer scopes: probes show what is missing.
func TestTokenWithFewerScopes(t *testing.T) {
	t.Parallel()
	f := withToken()
	connect := "auth: {token: few}\n"
	f.Settings = func(_ testing.TB, tenant *sandbox.Tenant) string {
		h := tenant.Handler().(*sandboxgithub.Handler)
		h.AddToken(sandboxgithub.Token{Value: "few", Scopes: []string{"read:audit_log", "repo"}})
		return h.Connection(tenant.Base) + connect
	}
	site := f.NewSite(t, sourcetest.SiteOptions{People: people})
	forbidden := map[string]fault.Class{}
	for _, c := range github.Connector.Capabilities {
		switch c.Name {
		case "activities", "activities/git", "repositories", "repositories/trees":
		default:
			forbidden[c.Name] = fault.Forbidden
		}
	}
	probes(t, site, forbidden)
}
