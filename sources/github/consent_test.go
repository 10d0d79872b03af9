package github_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/sandbox"
	sandboxgithub "weir/internal/sandbox/github"
	"weir/internal/sourcetest"
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

func TestConsentEndToEnd(t *testing.T) {
	t.Parallel()
	f := withOAuth()
	site := f.NewSite(t, sourcetest.SiteOptions{People: people})
	require.ErrorContains(t, site.Run(t.Context(), site.Config(), true), "weir connect", "nobody has consented yet")

	_, err := site.Consent(clockwork.NewRealClock(), func(q url.Values) { q.Set("decision", "deny") })
	require.Equal(t, fault.Auth, fault.Of(err))
	require.ErrorContains(t, err, "access_denied")

	grant, err := site.Consent(clockwork.NewRealClock(), func(url.Values) {})
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
	grant, err = site.Consent(clockwork.NewRealClock(), func(q url.Values) { q.Set("granted", "read:org read:user") })
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
