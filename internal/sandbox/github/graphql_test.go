package github

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox/org"
)

const membersQuery = `query($org: String!, $c: String) {
  organization(login: $org) {
    membersWithRole(first: 10, after: $c) {
      pageInfo { hasNextPage endCursor }
      edges {
        role
        hasTwoFactorEnabled
        node { databaseId login name email company createdAt updatedAt organizationVerifiedDomainEmails(login: $org) }
      }
    }
  }
}`

const identitiesQuery = `query($org: String!, $c: String, $n: Int = 7) {
  organization(login: $org) {
    samlIdentityProvider {
      externalIdentities(first: $n, after: $c, membersOnly: true) {
        pageInfo { hasNextPage endCursor }
        nodes { guid samlIdentity { nameId username emails { value } } scimIdentity { username emails { value } } user { login databaseId } }
      }
    }
  }
}`

func body(query string, vars object) string {
	b, _ := json.Marshal(object{"query": query, "variables": vars}) // of strings and numbers
	return string(b)
}

func (r *rig) graph(query string, vars object) object {
	w := r.request(http.MethodPost, "/graphql", body(query, vars))
	require.Equal(r.t, 200, w.Code, "%s", w.Body)
	return decode[object](r.t, w)
}

// dig follows keys of objects.
func dig(v any, keys ...string) any {
	for _, k := range keys {
		o, _ := v.(object)
		v = o[k]
	}
	return v
}

func TestGraphQLMembers(t *testing.T) {
	t.Parallel()
	r := small(t, nil)
	rest, _ := r.walk("/orgs/acme/members?per_page=100")
	admins, _ := r.walk("/orgs/acme/members?per_page=100&role=admin")
	weak, _ := r.walk("/orgs/acme/members?per_page=100&filter=2fa_disabled")
	var logins, owners, unsafe []any
	vars := object{"org": "acme"}
	for {
		conn := dig(r.graph(membersQuery, vars), "data", "organization", "membersWithRole")
		for _, e := range dig(conn, "edges").([]any) {
			logins = append(logins, dig(e, "node", "login"))
			if dig(e, "role") == "ADMIN" {
				owners = append(owners, dig(e, "node", "login"))
			}
			if !yes(dig(e, "hasTwoFactorEnabled")) {
				unsafe = append(unsafe, dig(e, "node", "login"))
			}
			require.IsType(t, "", dig(e, "node", "email"))
		}
		if !yes(dig(conn, "pageInfo", "hasNextPage")) {
			break
		}
		vars["c"] = dig(conn, "pageInfo", "endCursor")
	}
	same := func(list []object, got []any) {
		t.Helper()
		var want []any
		for _, o := range list {
			want = append(want, o["login"])
		}
		require.ElementsMatch(t, want, got)
	}
	same(rest, logins)
	same(admins, owners)
	same(weak, unsafe)

	// Whether others have a second factor is for owners.
	r.h.AddToken(Token{Value: "member-token", Account: notOwner(rest, admins), Scopes: []string{"read:org"}})
	r.token = "member-token"
	edges := dig(r.graph(membersQuery, object{"org": "acme"}), "data", "organization", "membersWithRole", "edges").([]any)
	require.Nil(t, dig(edges[0], "hasTwoFactorEnabled"))
}

func notOwner(members, owners []object) string {
	have := map[any]bool{}
	for _, o := range owners {
		have[o["login"]] = true
	}
	for _, m := range members {
		if !have[m["login"]] {
			return m["login"].(string)
		}
	}
	return ""
}

func TestGraphQLIdentities(t *testing.T) {
	t.Parallel()
	r := small(t, nil)
	n := 0
	vars := object{"org": "acme", "n": 5}
	for {
		conn := dig(r.graph(identitiesQuery, vars), "data", "organization", "samlIdentityProvider", "externalIdentities")
		for _, e := range dig(conn, "nodes").([]any) {
			require.NotNil(t, dig(e, "user", "databaseId"))
			require.Contains(t, dig(e, "samlIdentity", "nameId"), "@acme.example")
			n++
		}
		if !yes(dig(conn, "pageInfo", "hasNextPage")) {
			break
		}
		vars["c"] = dig(conn, "pageInfo", "endCursor")
	}
	require.Greater(t, n, 10)
	server := newRig(t, "ghes-acme", 20, nil, org.Log{})
	w := server.request(http.MethodPost, "/api/graphql", body(identitiesQuery, object{"org": "ghes-acme"}))
	require.Nil(t, dig(decode[object](t, w), "data", "organization", "samlIdentityProvider"))
}

func TestGraphQLErrors(t *testing.T) {
	t.Parallel()
	r := small(t, nil)
	message := func(v object) string {
		errs, _ := v["errors"].([]any)
		require.NotEmpty(t, errs)
		return dig(errs[0], "message").(string)
	}
	wrong := r.graph(`{organization(login:"acme"){membersWithRole(first:1){nodes{logon}}}}`, nil)
	require.Equal(t, "Field 'logon' doesn't exist on type 'User'", message(wrong))
	require.Equal(t, "undefinedField", dig(wrong["errors"].([]any)[0], "extensions", "code"))
	require.NotContains(t, wrong, "data")
	message(r.graph(`{organization(login:"acme"`, nil))
	message(r.graph(``, nil))
	message(r.graph(membersQuery, nil)) // a variable is missing
	missing := r.graph(`{organization(login:"other"){login}}`, nil)
	require.Equal(t, "NOT_FOUND", dig(missing["errors"].([]any)[0], "type"))
	require.Nil(t, dig(missing, "data", "organization"))
	require.Contains(t, message(r.graph(`{organization(login:"acme"){membersWithRole{totalCount}}}`, nil)), "`first`")
	require.Contains(t, message(r.graph(`{organization(login:"acme"){membersWithRole(first:101){totalCount}}}`, nil)), "exceeds the `first` limit of 100")
	require.Equal(t, []string{"per_page"}, r.violations)
	r.h.SetTrouble(Trouble{MissingScopes: []string{"read:org"}})
	refused := r.graph(membersQuery, object{"org": "acme"})
	require.Equal(t, "INSUFFICIENT_SCOPES", dig(refused["errors"].([]any)[0], "type"))
	require.Equal(t, 400, r.request(http.MethodPost, "/graphql", "{").Code)
	fragments := r.graph(`query($no: Boolean = true){organization(login:"acme"){...f login @skip(if:$no)}} fragment f on Organization{__typename id}`, nil)
	require.Equal(t, "Organization", dig(fragments, "data", "organization", "__typename"))
	require.Nil(t, dig(fragments, "data", "organization", "login"))
}
