package googleworkspace_test

import (
	"fmt"
	"net/url"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/sandbox"
	sandboxgoogle "weir/internal/sandbox/googleworkspace"
	"weir/internal/sourcetest"
	"weir/schemas"
	"weir/sources"
)

var (
	accountOf = regexp.MustCompile(`"client_email": ?"([^"]+)"`)
	subjectOf = regexp.MustCompile(`subject: ?"?([^",}\s]+)`)
)

// withoutKey connects as a service account for which Google signs, by the
// identity that the metadata server tells.
func withoutKey() sourcetest.Fixture {
	f := fixture()
	f.Settings = func(t testing.TB, tenant *sandbox.Tenant) string {
		given := tenant.Handler().Config(tenant.Base)
		account, subject := accountOf.FindStringSubmatch(given), subjectOf.FindStringSubmatch(given)
		require.NotNil(t, account)
		require.NotNil(t, subject)
		return fmt.Sprintf("app: google_workspace\nbase_url: %[1]q\nmetadata_base_url: %[1]q\nauth: {service_account: %[2]q, subject: %[3]q}\n", tenant.Base, account[1], subject[1])
	}
	return f
}

func TestSuiteWithoutKey(t *testing.T) {
	sourcetest.NotUnderRace(t)
	sourcetest.Run(t, withoutKey(), "collects the truth, and nothing the second time", "a scope taken away stops its stream alone, removes nobody, and comes back", "secrets stay secret")
}

// An administrator grants access in a browser: the directory and the logs are
// read, files of others are not, and that is said.
func TestConsentInABrowser(t *testing.T) {
	sourcetest.NotUnderRace(t)
	t.Parallel()
	f := fixture()
	f.Settings = func(_ testing.TB, tenant *sandbox.Tenant) string {
		return fmt.Sprintf("app: google_workspace\nbase_url: %q\nauth: {client_id: %q, client_secret: sandbox-secret}\n", tenant.Base, sandboxgoogle.OAuthClientID)
	}
	site := f.NewSite(t, sourcetest.SiteOptions{People: 60, History: time.Hour})
	err := site.Run(t.Context(), site.Config(), true)
	require.Equal(t, fault.Auth, fault.Of(err))
	require.ErrorContains(t, err, "weir connect")

	grant, err := site.Consent(site.Clock, func(url.Values) {})
	require.NoError(t, err)
	require.True(t, grant.Renews)
	require.Empty(t, grant.Missing)
	session := site.Session()
	who, err := session.Identity(t.Context())
	require.NoError(t, err)
	require.Equal(t, sources.IdentityPerson, who.Kind)
	require.NotEmpty(t, who.Roles)
	for _, name := range []string{"accounts", "groups", "privileges", "apps", "activities"} {
		require.NoError(t, session.Probe(t.Context(), name), name)
	}
	err = session.Probe(t.Context(), "files")
	require.Equal(t, fault.Forbidden, fault.Of(err), "%v", err)
	require.ErrorContains(t, err, "domain-wide delegation")

	site.Once()
	truth := site.Truth()
	require.Len(t, site.Log("lake", "accounts"), len(truth.Accounts))
	require.Len(t, site.Log("lake", schemas.TableActivities), len(truth.Activities))
	require.Empty(t, site.Sandbox.Violations())

	site.Clock.Skip(2 * time.Hour) // the access token has ended
	_, err = site.Session().Identity(t.Context())
	require.NoError(t, err)
	require.NoError(t, site.Session().Probe(t.Context(), "groups"))
}
