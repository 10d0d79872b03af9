package googleworkspace

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/sources"
)

// A scope that was not authorized takes down what needs it alone, and is named.
func TestMissingScope(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	f.missing = []string{scopeUsersWrite}
	s := f.open()
	p := plan(t, s, onUser(sources.SuspendUser, ana))
	_, err := s.Do(t.Context(), p.Steps[0])
	require.Equal(t, fault.Forbidden, fault.Of(err), "%v", err)
	require.ErrorContains(t, err, scopeUsersWrite)
	for a, words := range map[sources.Action]string{
		sources.SuspendUser: scopeUsersWrite, sources.RemovePrivilege: scopeUsersWrite, sources.SignOutUser: "", sources.RevokeGrant: "", sources.RemoveMember: "", sources.DisableApp: "no action",
	} {
		err := s.Probe(t.Context(), sources.CapabilityActions+string(a))
		if words == "" {
			require.NoError(t, err, a)
			continue
		}
		require.ErrorContains(t, err, words)
	}
	require.Empty(t, f.writes())
}

func TestFindAccounts(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open()
	find := func(email string) []sources.Found {
		t.Helper()
		out, err := s.FindAccounts(t.Context(), email)
		require.NoError(t, err)
		return out
	}
	require.Equal(t, []sources.Found{{ID: ana, Verified: true}}, find("ana@example.com"))
	require.Equal(t, []sources.Found{{ID: ana, Verified: true}}, find("ana.alias@example.com"))
	require.Empty(t, find("ana@example.co"), "a prefix is not the address")
	require.Empty(t, find("o'brien@example.com"))
	require.Empty(t, find("ana@home.test"))
	f.change(func() {
		f.users[ben]["emails"] = []object{{"address": "Ana@example.com"}}
		f.users[ben]["aliases"] = []string{"ana@example.community"}
	})
	require.Equal(t, []sources.Found{{ID: ana, Verified: true}, {ID: ben}}, find("ana@example.com"), "what somebody typed proves nothing")
	f.change(func() {
		f.answer = func(w http.ResponseWriter, r *http.Request) bool {
			if strings.HasSuffix(r.URL.Path, "@elsewhere.test") {
				refuse(w, 403, "forbidden", "Not Authorized to access this resource/api")
				return true
			}
			return false
		}
	})
	require.Empty(t, find("eve@elsewhere.test"), "of another's domain Google tells nothing")
}

func TestTrace(t *testing.T) {
	t.Parallel()
	f := newForge(t)
	s := f.open()
	trace, err := s.Trace(t.Context())
	require.NoError(t, err)
	require.Equal(t, sources.Trace{Clients: []string{agentClient}}, trace)

	f.key = strings.Replace(f.key, agentClient, "", 1)
	s = f.open()
	trace, err = s.Trace(t.Context())
	require.NoError(t, err)
	require.Equal(t, sources.Trace{Actors: []string{weir}}, trace)
	f.change(func() { f.users[weir]["primaryEmail"] = "other@example.com" })
	_, err = s.Trace(t.Context())
	require.Error(t, err, "the subject is nobody's address")
}
