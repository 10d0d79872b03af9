package microsoft365

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
)

func ids(list []object) (out []string) {
	for _, v := range list {
		out = append(out, v["id"].(string))
	}
	slices.Sort(out)
	return out
}

// What a holder is in is what the groups have as members, from the other side.
func TestMemberships(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 60})
	r.unlimited()
	in := map[string][2][]string{} // by member: groups that it is in itself, and through others too
	groups, _ := r.all("groups")
	for _, g := range groups {
		for i, list := range []string{"members", "transitiveMembers"} {
			members, _ := r.all("groups/" + g["id"].(string) + "/" + list)
			for _, m := range ids(members) {
				both := in[m]
				both[i] = append(both[i], g["id"].(string))
				in[m] = both
			}
		}
	}
	nested := 0
	for _, kind := range []string{"users", "servicePrincipals"} {
		all, _ := r.all(kind)
		for _, id := range ids(all) {
			direct, _ := r.all(kind + "/" + id + "/memberOf")
			through, _ := r.all(kind + "/" + id + "/transitiveMemberOf")
			want := in[id]
			slices.Sort(want[0])
			slices.Sort(want[1])
			require.Equal(t, want[0], ids(direct), id)
			require.Equal(t, want[1], ids(through), id)
			nested += len(through) - len(direct)
		}
	}
	require.Positive(t, nested)
}

// The roles that apps hold are those that apps have given; grants are found by
// who gave them.
func TestGrantsOfOne(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{})
	r.unlimited()
	held, given := 0, 0
	apps, _ := r.all("servicePrincipals")
	for _, id := range ids(apps) {
		roles, _ := r.all("servicePrincipals/" + id + "/appRoleAssignments")
		for _, v := range roles {
			require.Equal(t, id, v["principalId"])
		}
		held += len(roles)
		to, _ := r.all("servicePrincipals/" + id + "/appRoleAssignedTo")
		for _, v := range to {
			if v["principalType"] == "ServicePrincipal" {
				given++
			}
		}
	}
	require.Positive(t, held)
	require.Equal(t, given, held)

	var person string
	r.state(func(s *org.State) {
		for _, g := range s.Grants[org.Microsoft365] {
			if g.Kind == org.GrantConsent && g.Account >= 0 && holds(s, g) {
				person = r.h.accountID(g.Account)
			}
		}
	})
	grants, _ := r.all("oauth2PermissionGrants?$filter=principalId eq '" + person + "'")
	require.NotEmpty(t, grants)
	for _, v := range grants {
		require.Equal(t, person, v["principalId"])
	}
	require.Equal(t, 400, r.get("oauth2PermissionGrants?$filter=scope eq 'User.Read'").status)
}
