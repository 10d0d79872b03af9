package googleworkspace_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/sourcetest"
	"weir/sources"
	"weir/sources/googleworkspace"
)

// actionCases are those on accounts and, with the files, those on files.
func actionCases() []sourcetest.ActionCase { return slices.Concat(accountCases(), fileCases()) }

// logLag is how long the audit logs may take to show what was done: a couple of
// minutes, and of drives and tokens hours.
const logLag = 6 * time.Hour

func TestActions(t *testing.T) {
	t.Parallel()
	f := fixture()
	f.Settings, f.LogLag = withQuarantine, logLag
	sourcetest.RunActions(t, f, actionCases())
}

// Whether actions can be expected to work is tried without writing.
func TestProbesOfActions(t *testing.T) {
	t.Parallel()
	f := fixture()
	f.Settings = withQuarantine
	site := f.NewSite(t, sourcetest.SiteOptions{People: 20})
	session := site.Session()
	for _, a := range googleworkspace.Connector.Actions {
		require.NoError(t, session.Probe(t.Context(), sources.CapabilityActions+string(a.Action)), a.Action)
	}
	before := site.Truth()
	site.Tenant.TakeScopes(scopes+"admin.directory.user", scopes+"drive")
	for a, missing := range map[sources.Action]string{
		sources.SuspendUser: scopes + "admin.directory.user", sources.TrashFile: scopes + "drive", sources.RevokeGrant: "",
	} {
		err := session.Probe(t.Context(), sources.CapabilityActions+string(a))
		if missing == "" {
			require.NoError(t, err, a)
			continue
		}
		require.Equal(t, fault.Forbidden, fault.Of(err), "%s: %v", a, err)
		require.ErrorContains(t, err, missing)
	}
	require.Len(t, site.Truth().Activities, len(before.Activities), "nothing was written")
}
