package github

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

// do sends a write, and requires a status.
func (r *rig) do(status int, method, target, body string) *httptest.ResponseRecorder {
	r.t.Helper()
	w := r.request(method, target, body)
	require.Equal(r.t, status, w.Code, "%s %s: %s", method, target, w.Body)
	return w
}

// later lets time pass.
func (r *rig) later(d time.Duration) {
	r.clock.Advance(d)
	r.world.Advance(r.clock.Now())
}

// writeRig is an organization in which nothing happens by itself.
func writeRig(t *testing.T, name string) *rig {
	r := newRig(t, name, 60, nil, org.Log{})
	r.world.Freeze()
	return r
}

// account returns the n-th account that fits.
func (r *rig) account(n int, fits func(*org.State, *org.Account) bool) (a *org.Account) {
	r.view(func(s *org.State) {
		for _, b := range s.Accounts[org.GitHub] {
			if fits(s, b) && !b.Owner && !s.People[b.Person].Service {
				if n--; n < 0 {
					a = b
					return
				}
			}
		}
	})
	require.NotNil(r.t, a)
	return a
}

// asApp goes on as an App with permissions.
func (r *rig) asApp(perms map[string]string) {
	_, sign := r.app()
	r.h.mu.Lock()
	r.h.apps[len(r.h.apps)-1].Permissions = perms
	r.h.mu.Unlock()
	now := r.clock.Now()
	r.token = sign(now, now.Add(9*time.Minute), "RS256")
	var login string
	r.view(func(s *org.State) { login = s.Name })
	id := int64(decode[object](r.t, r.ok("/orgs/"+login+"/installation"))["id"].(float64))
	w := r.request(http.MethodPost, "/app/installations/"+itoa(id)+"/access_tokens", "")
	r.token = decode[object](r.t, w)["token"].(string)
}

// tells requires that the audit log's newest rows begin with actions about
// somebody or something, by whom.
func (r *rig) tells(actor string, want ...string) {
	r.t.Helper()
	token := r.token
	defer func() { r.token = token }()
	r.token = TokenValid
	var login string
	r.view(func(s *org.State) { login = s.Name })
	rows := decode[[]object](r.t, r.ok("/orgs/"+login+"/audit-log?per_page=100&phrase=actor:"+actor))
	var got []string
	for _, row := range rows {
		got = append(got, str(row["action"]))
	}
	for _, action := range want {
		require.Contains(r.t, got, action)
	}
}

func (r *rig) truth() (rows schemas.Rows) {
	r.view(func(s *org.State) { r.h.Truth(s, &rows) })
	return rows
}

func (r *rig) logins(target string) (out []string) {
	all, _ := r.walk(target)
	for _, a := range all {
		out = append(out, str(a["login"]))
	}
	return out
}

func (r *rig) owner() string { return str(decode[object](r.t, r.ok("/user"))["login"]) }

func TestWriteMemberships(t *testing.T) {
	t.Parallel()
	r := writeRig(t, "acme")
	owner, a := r.owner(), r.account(3, isMember)
	path, team := "/orgs/acme/memberships/"+a.Login, ""
	r.view(func(s *org.State) {
		for _, g := range s.Groups[org.GitHub] {
			if memberRole(g, a) != "" {
				team = g.Slug
			}
		}
	})
	require.NotEmpty(t, team)
	id := decode[object](t, r.ok("/users/"+a.Login))["id"]

	r.do(200, "PUT", path, `{"role":"admin"}`)
	require.Equal(t, "admin", decode[object](t, r.ok(path))["role"])
	r.do(422, "PUT", path, `{"role":"king"}`)
	r.do(422, "PUT", path, `{"role":5}`)
	r.do(400, "PUT", path, `{`)
	r.do(200, "PUT", path, ``)
	require.Equal(t, "member", decode[object](t, r.ok(path))["role"])

	r.do(204, "DELETE", path, "")
	r.do(404, "DELETE", path, "")
	r.do(404, "GET", path, "")
	r.do(404, "DELETE", "/orgs/acme/members/"+a.Login, "")
	require.NotContains(t, r.logins("/orgs/acme/members?per_page=100"), a.Login)
	require.NotContains(t, r.logins("/orgs/acme/teams/"+team+"/members?per_page=100"), a.Login)
	r.tells(owner, "org.update_member", "org.remove_member", "team.remove_member")

	// Asked back: the same user, who has to accept.
	m := decode[object](t, r.do(200, "PUT", path, `{"role":"member"}`))
	require.Equal(t, "pending", m["state"])
	require.Equal(t, "pending", decode[object](t, r.ok(path))["state"])
	invited, _ := r.walk("/orgs/acme/invitations?per_page=100")
	i := slices.IndexFunc(invited, func(o object) bool { return o["login"] == a.Login })
	require.GreaterOrEqual(t, i, 0, "the invitation is by login")
	require.True(t, slices.ContainsFunc(r.truth().Accounts, func(row schemas.Account) bool { return row.Login == a.Login && row.Status == "invited" }))
	r.do(204, "DELETE", "/orgs/acme/invitations/"+itoa(int64(invited[i]["id"].(float64))), "")
	r.do(404, "DELETE", "/orgs/acme/invitations/"+itoa(int64(invited[i]["id"].(float64))), "")
	r.do(404, "GET", path, "")
	r.do(200, "PUT", path, `{}`)
	r.do(204, "DELETE", path, "") // cancels, too
	r.tells(owner, "org.invite_member", "org.cancel_invitation")
	r.do(200, "PUT", path, `{}`)
	r.world.Change(func(s *org.State) {
		s.SetStatus(org.GitHub, &org.Act{At: s.Now, Actor: org.Ref{Kind: org.AccountRef, N: a.N}, Client: &org.Client{}}, a, org.Active, org.AccountActivate)
	})
	require.Equal(t, "active", decode[object](t, r.ok(path))["state"])
	require.Equal(t, id, decode[object](t, r.ok("/users/"+a.Login))["id"])
	r.do(204, "DELETE", "/orgs/acme/members/"+a.Login, "")

	// Somebody must own the organization.
	for _, o := range r.logins("/orgs/acme/members?role=admin") {
		if o != owner {
			r.do(200, "PUT", "/orgs/acme/memberships/"+o, `{"role":"member"}`)
		}
	}
	r.do(403, "PUT", "/orgs/acme/memberships/"+owner, `{"role":"member"}`)
	r.do(403, "DELETE", "/orgs/acme/memberships/"+owner, "")
	r.do(403, "PUT", "/orgs/acme/outside_collaborators/"+owner, "")
	r.do(404, "PUT", "/orgs/acme/memberships/nobody-there", "")
	r.do(404, "DELETE", "/orgs/other/memberships/"+owner, "")
	require.Empty(t, r.violations)
}

func TestWriteOutside(t *testing.T) {
	t.Parallel()
	r := writeRig(t, "acme")
	owner, a, guest := r.owner(), r.account(5, isMember), r.account(0, isOutside)
	path := "/orgs/acme/outside_collaborators/"
	list := "/orgs/acme/outside_collaborators?per_page=100"
	teamRepos := 0
	r.view(func(s *org.State) {
		for _, repo := range s.Repos {
			if slices.ContainsFunc(repo.Access, func(v org.Access) bool {
				return v.Holder.Kind == org.GroupRef && memberRole(s.Groups[org.GitHub][v.Holder.N], a) != ""
			}) {
				teamRepos++
			}
		}
	})
	require.Positive(t, teamRepos)

	// At once, or a while later.
	r.do(403, "PUT", path+guest.Login, "")
	r.do(404, "PUT", path+"nobody-there", "")
	require.Equal(t, "{}", r.do(202, "PUT", path+a.Login, `{"async":true}`).Body.String())
	require.NotContains(t, r.logins(list), a.Login)
	r.do(422, "DELETE", path+a.Login, "")
	r.later(Settle)
	require.Contains(t, r.logins(list), a.Login)
	r.do(403, "PUT", path+a.Login, "")
	require.NotContains(t, r.logins("/orgs/acme/members?per_page=100"), a.Login)
	has := 0
	for _, p := range r.truth().Privileges {
		if p.PrincipalID == itoa(r.h.id(kindAccount, a.N)) && p.ScopeKind == "repository" {
			has++
		}
	}
	require.GreaterOrEqual(t, has, teamRepos, "what the teams gave stays")

	// Invited into the organization, who is outside stays outside.
	r.do(200, "PUT", "/orgs/acme/memberships/"+a.Login, `{"role":"admin"}`)
	require.Equal(t, "pending", decode[object](t, r.ok("/orgs/acme/memberships/"+a.Login))["state"])
	require.Contains(t, r.logins(list), a.Login)
	require.Contains(t, r.logins("/orgs/acme/invitations?per_page=100"), a.Login)
	r.do(204, "DELETE", "/orgs/acme/memberships/"+a.Login, "")
	r.do(404, "DELETE", "/orgs/acme/memberships/"+a.Login, "")
	require.Contains(t, r.logins(list), a.Login)

	r.do(204, "DELETE", path+a.Login, "")
	require.NotContains(t, r.logins(list), a.Login)
	r.do(204, "DELETE", path+a.Login, "")
	r.h.SetTrouble(Trouble{Otherwise: true})
	r.do(404, "DELETE", path+a.Login, "")
	r.do(403, "DELETE", "/orgs/acme/members/"+a.Login, "")
	r.tells(owner, "org.remove_outside_collaborator", "repo.add_member", "org.remove_member")
}

func TestWriteBlocks(t *testing.T) {
	t.Parallel()
	r := writeRig(t, "acme")
	owner, a, guest := r.owner(), r.account(2, isMember), r.account(0, isOutside)
	path := "/orgs/acme/blocks/" + a.Login
	r.do(404, "GET", path, "")
	r.do(422, "PUT", path, "") // a member
	r.do(204, "DELETE", "/orgs/acme/memberships/"+a.Login, "")
	r.do(204, "PUT", path, "")
	r.do(204, "GET", path, "")
	r.do(422, "PUT", path, "")
	require.Contains(t, r.logins("/orgs/acme/blocks"), a.Login)
	r.do(422, "PUT", "/orgs/acme/memberships/"+a.Login, "")
	r.h.SetTrouble(Trouble{Otherwise: true})
	r.do(204, "PUT", path, "")
	r.h.SetTrouble(Trouble{})
	r.do(204, "DELETE", path, "")
	r.do(404, "GET", path, "")
	r.do(204, "PUT", "/orgs/acme/blocks/"+guest.Login, "")
	require.NotContains(t, r.logins("/orgs/acme/outside_collaborators?per_page=100"), guest.Login)
	r.do(404, "PUT", "/orgs/acme/blocks/nobody-there", "")
	r.tells(owner, "org.block_user", "org.unblock_user", "org.remove_outside_collaborator")
	row := decode[[]object](t, r.ok("/orgs/acme/audit-log?phrase=action:org.unblock_user"))[0]
	require.Equal(t, a.Login, row["blocked_user"])
	require.NotContains(t, row, "user")
	for _, v := range r.truth().Activities {
		if v.Action == "org.block_user" {
			require.Contains(t, []string{a.Login, guest.Login}, v.TargetID)
		}
	}

	writeRig(t, "emu-acme").do(404, "PUT", "/orgs/emu-acme/blocks/"+a.Login, "")
	ghes := writeRig(t, "ghes-acme")
	ghes.do(404, "PUT", "/api/v3/orgs/ghes-acme/blocks/"+ghes.account(0, isOutside).Login, "")
	require.Empty(t, r.violations)
}

func TestWriteSuspend(t *testing.T) {
	t.Parallel()
	r := writeRig(t, "ghes-acme")
	a := r.account(2, isMember)
	user := "/api/v3/users/" + a.Login
	owner := str(decode[object](t, r.ok("/api/v3/user"))["login"])
	r.do(204, "PUT", user+"/suspended", "")
	require.NotEmpty(t, decode[object](t, r.ok(user))["suspended_at"])
	r.do(204, "PUT", user+"/suspended", `{"reason":"lost a laptop"}`)
	r.h.AddToken(Token{Value: "theirs", Account: a.Login, Scopes: []string{"repo"}})
	r.token = "theirs"
	r.do(403, "GET", "/api/v3/orgs/ghes-acme/repos", "")
	r.token = TokenValid
	r.do(204, "DELETE", user+"/suspended", "")
	require.NotContains(t, decode[object](t, r.ok(user)), "suspended_at")
	r.do(204, "DELETE", user+"/suspended", "")
	r.do(403, "PUT", "/api/v3/users/"+owner+"/suspended", "")
	r.do(404, "PUT", "/api/v3/users/nobody-there/suspended", "")
	n := 0
	for _, row := range decode[[]object](t, r.ok("/api/v3/orgs/ghes-acme/audit-log?per_page=100&phrase=actor:"+owner)) {
		if row["action"] == "user.suspend" || row["action"] == "user.unsuspend" {
			n++
			require.Equal(t, a.Login, row["user"])
		}
	}
	require.Equal(t, 2, n, "repetitions change nothing")
	r.h.SetTrouble(Trouble{LDAPSync: true})
	r.do(403, "PUT", user+"/suspended", "")
	cloud := writeRig(t, "acme")
	cloud.h.AddToken(Token{Value: "site", Scopes: []string{"site_admin"}})
	cloud.token = "site"
	cloud.do(404, "PUT", "/users/"+cloud.account(0, isMember).Login+"/suspended", "")
}

// patch is the sheet's.
const patch = `{"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[{"op":"replace","value":{"active":false}}]}`

func TestWriteSCIM(t *testing.T) {
	t.Parallel()
	type users struct {
		Total     int      `json:"totalResults"`
		Resources []object `json:"Resources"`
	}
	active := strings.Replace(patch, "false", "true", 1)

	// Managed users are suspended, and shown under another login.
	r := writeRig(t, "emu-acme")
	a := r.account(4, isMember)
	email := ""
	r.view(func(s *org.State) { email = s.People[a.Person].Email })
	base := "/scim/v2/enterprises/emu-acme-enterprise/Users"
	found := decode[users](t, r.ok(base+"?filter="+strings.ReplaceAll(`userName eq "`+email+`"`, " ", "%20")))
	require.Equal(t, 1, found.Total)
	one := base + "/" + str(found.Resources[0]["id"])
	require.Equal(t, true, decode[object](t, r.ok(one))["active"])
	require.Equal(t, r.h.tenant.Base+one, dig(decode[object](t, r.ok(one)), "meta", "location"))
	require.Equal(t, r.h.tenant.Base+one, dig(found.Resources[0], "meta", "location"))
	require.Equal(t, false, decode[object](t, r.do(200, "PATCH", one, patch))["active"])
	require.Equal(t, false, decode[object](t, r.do(200, "PATCH", one, patch))["active"])
	require.Equal(t, false, decode[object](t, r.ok(one))["active"])
	r.do(404, "GET", "/users/"+a.Login, "")
	require.NotContains(t, r.logins("/orgs/emu-acme/members?per_page=100"), a.Login)
	require.True(t, slices.ContainsFunc(r.truth().Accounts, func(row schemas.Account) bool {
		return row.AccountID == itoa(r.h.id(kindAccount, a.N)) && row.Login != a.Login
	}))
	r.do(200, "PATCH", one, active)
	r.ok("/users/" + a.Login)
	r.tells(r.owner(), "user.suspend", "user.unsuspend")
	all := decode[users](t, r.ok(base+"?startIndex=3&count=2"))
	require.Len(t, all.Resources, 2)
	require.Greater(t, all.Total, 10)
	w := r.do(404, "GET", base+"/none", "")
	require.Equal(t, "application/scim+json; charset=utf-8", w.Header().Get("Content-Type"))
	require.Equal(t, float64(404), decode[object](t, w)["status"])
	for _, body := range []string{`{}`, `{"Operations":[{"op":"add","value":{"active":false}}]}`, `{"Operations":[{"op":"replace","path":"userName","value":"x"}]}`} {
		require.Contains(t, decode[object](t, r.do(400, "PATCH", one, body)), "scimType")
	}
	r.do(200, "PATCH", one, `{"Operations":[{"op":"Replace","path":"active","value":true}]}`)
	r.do(404, "GET", "/scim/v2/organizations/emu-acme/Users", "")
	r.do(404, "DELETE", one, "")
	require.Equal(t, []string{"no such endpoint to write to"}, r.violations, "what may never be automated")

	// A member of an organization loses membership and identity.
	r = writeRig(t, "acme")
	list := decode[users](t, r.ok("/scim/v2/organizations/acme/Users?count=100"))
	var gone string
	one = ""
	for _, u := range list.Resources {
		r.view(func(s *org.State) {
			for _, a := range s.Accounts[org.GitHub] {
				if r.h.scimID(a) == u["id"] && !a.Owner {
					gone, one = a.Login, "/scim/v2/organizations/acme/Users/"+str(u["id"])
				}
			}
		})
	}
	r.do(200, "PATCH", one, active)
	require.Equal(t, false, decode[object](t, r.do(200, "PATCH", one, patch))["active"])
	r.do(404, "PATCH", one, patch)
	r.do(404, "GET", one, "")
	r.do(404, "GET", "/orgs/acme/memberships/"+gone, "")
	r.do(404, "GET", base, "")

	// A server has it in one of two places.
	for name, at := range map[string]string{"ghes-acme": "/api/v3/scim/v2/enterprises/ghes-acme-enterprise/Users", "ghes-old-acme": "/api/v3/scim/v2/Users"} {
		r := writeRig(t, name)
		r.ok(at)
		r.do(404, "GET", map[bool]string{true: "/api/v3/scim/v2/Users", false: "/api/v3/scim/v2/enterprises/ghes-old-acme-enterprise/Users"}[name == "ghes-acme"], "")
	}
}

// credentials returns how many credentials of each type a user has authorized.
func (r *rig) credentials(login string) map[string]int {
	out := map[string]int{}
	for _, c := range decode[[]object](r.t, r.ok("/orgs/acme/credential-authorizations?per_page=100&login="+login)) {
		out[str(c["credential_type"])]++
	}
	return out
}

func TestWriteCredentials(t *testing.T) {
	t.Parallel()
	r := writeRig(t, "acme")
	owner, a := r.owner(), r.account(4, isMember)
	issue := func(to *org.Account, kinds ...string) {
		r.world.Change(func(s *org.State) {
			for _, k := range kinds {
				x := &org.Act{At: s.Now, Actor: org.Ref{Kind: org.AccountRef, N: to.N}, Client: &org.Client{}}
				s.IssueGrant(org.GitHub, x, org.Grant{Kind: org.GrantCredential, Credential: k, Account: to.N, Integration: -1})
			}
		})
	}
	had := r.credentials(a.Login)
	for k, n := range had {
		for range n {
			for _, c := range decode[[]object](t, r.ok("/orgs/acme/credential-authorizations?login="+a.Login)) {
				if c["credential_type"] == k {
					r.do(204, "DELETE", "/orgs/acme/credential-authorizations/"+itoa(int64(c["credential_id"].(float64))), "")
				}
			}
		}
	}
	issue(a, "SSH key", "SSH key", "personal access token", "OAuth app token")
	path := "/orgs/acme/credential-authorizations/"
	first := decode[[]object](t, r.ok("/orgs/acme/credential-authorizations?login="+a.Login))[0]
	r.do(204, "DELETE", path+itoa(int64(first["credential_id"].(float64))), "")
	r.do(404, "DELETE", path+itoa(int64(first["credential_id"].(float64))), "")
	require.Equal(t, map[string]int{"SSH key": 1, "personal access token": 1, "OAuth app token": 1}, r.credentials(a.Login))

	r.do(422, "POST", path+a.Login+"/revoke-credential-type", `{"credential_type":"password"}`)
	r.do(422, "POST", path+a.Login+"/revoke-credential-type", ``)
	r.do(202, "POST", path+a.Login+"/revoke-credential-type", `{"credential_type":"oauth_app_token"}`)
	require.Equal(t, 1, r.credentials(a.Login)["OAuth app token"], "later")
	r.later(Settle)
	require.Equal(t, map[string]int{"SSH key": 1, "personal access token": 1}, r.credentials(a.Login))
	require.Contains(t, decode[object](t, r.do(202, "POST", path+a.Login+"/revoke", "")), "message")
	r.do(202, "POST", path+a.Login+"/revoke", "")
	issue(a, "SSH key") // after the request: it stays
	r.later(Settle - time.Second)
	require.Equal(t, map[string]int{"SSH key": 2, "personal access token": 1}, r.credentials(a.Login))
	r.later(time.Second)
	require.Equal(t, map[string]int{"SSH key": 1}, r.credentials(a.Login))
	r.do(404, "POST", path+"nobody-there/revoke", "")
	r.tells(owner, "org_credential_authorization.revoke")

	enterprise := "/enterprises/acme-enterprise/credential-authorizations/"
	r.do(422, "POST", enterprise+a.Login+"/revoke", `{"revoke_credentials":true}`)
	r.do(202, "POST", enterprise+a.Login+"/revoke", `{}`)
	r.later(Settle)
	require.Empty(t, r.credentials(a.Login))

	// Whoever names the token's own user, loses it.
	require.NotEmpty(t, decode[object](t, r.do(202, "POST", path+owner+"/revoke", ""))["warning"])
	r.ok("/orgs/acme/members")
	r.later(Settle)
	require.NotEmpty(t, r.do(403, "GET", "/orgs/acme/members", "").Header().Get("X-GitHub-SSO"))

	ghes := writeRig(t, "ghes-acme")
	ghes.do(404, "POST", "/api/v3/orgs/ghes-acme/credential-authorizations/"+ghes.account(0, isMember).Login+"/revoke", "")
	writeRig(t, "free-acme").do(404, "DELETE", "/orgs/free-acme/credential-authorizations/1", "")
}

func TestWriteTokensAndApps(t *testing.T) {
	t.Parallel()
	r := writeRig(t, "acme")
	path, requests := "/orgs/acme/personal-access-tokens", "/orgs/acme/personal-access-token-requests"
	r.do(403, "POST", path+"/1", `{"action":"revoke"}`)
	r.do(403, "POST", requests+"/1", `{"action":"deny"}`)
	before := len(r.truth().AppGrants)
	r.asApp(map[string]string{"organization_personal_access_tokens": "read", "organization_personal_access_token_requests": "write", "enterprise_organization_installations": "write", "organization_administration": "read"})
	ids := func(path string) (out []string) {
		all, _ := r.walk(path + "?per_page=100")
		for _, o := range all {
			out = append(out, itoa(int64(o["id"].(float64))))
		}
		return out
	}
	tokens := ids(path)
	require.Greater(t, len(tokens), 3)
	require.Equal(t, "organization_personal_access_tokens=write", r.do(403, "POST", path+"/"+tokens[0], `{"action":"revoke"}`).Header().Get("X-Accepted-GitHub-Permissions"))

	waiting := ids(requests)
	require.Len(t, waiting, 2)
	r.do(422, "POST", requests+"/"+waiting[0], `{"action":"revoke"}`)
	r.do(204, "POST", requests+"/"+waiting[0], `{"action":"deny","reason":""}`)
	r.do(404, "POST", requests+"/"+waiting[0], `{"action":"deny","reason":null}`)
	r.do(204, "POST", requests+"/"+waiting[1], `{"action":"approve"}`)
	require.Empty(t, ids(requests))
	require.Len(t, ids(path), len(tokens)+1)

	apps := decode[object](t, r.ok("/orgs/acme/installations?per_page=100"))["installations"].([]any)
	in := "/enterprises/acme-enterprise/apps/organizations/acme/installations/" + itoa(int64(apps[0].(object)["id"].(float64)))
	r.do(204, "DELETE", in, "")
	r.do(404, "DELETE", in, "")
	require.Len(t, decode[object](t, r.ok("/orgs/acme/installations?per_page=100"))["installations"], len(apps)-1)

	r.asApp(map[string]string{"organization_personal_access_tokens": "write"})
	r.do(403, "DELETE", in, "")
	r.do(422, "POST", path+"/"+tokens[0], `{"action":"keep"}`)
	r.do(204, "POST", path+"/"+tokens[0], `{"action":"revoke"}`)
	r.do(404, "POST", path+"/"+tokens[0], `{"action":"revoke"}`)
	r.do(422, "POST", path, `{"action":"revoke","pat_ids":[]}`)
	r.do(422, "POST", path, `{"action":"revoke","pat_ids":[1]}`)
	r.do(202, "POST", path, `{"action":"revoke","pat_ids":[`+tokens[1]+`,`+tokens[2]+`]}`)
	require.Len(t, ids(path), len(tokens))
	r.later(Settle)
	require.Len(t, ids(path), len(tokens)-2)
	require.Less(t, len(r.truth().AppGrants), before+len(tokens))
	r.tells("weir[bot]", "personal_access_token.access_revoked", "personal_access_token.request_denied", "personal_access_token.access_granted", "integration_installation.destroy")
	r.token = TokenValid
	r.do(403, "DELETE", in, "")
}

func TestWriteRepositories(t *testing.T) {
	t.Parallel()
	r := writeRig(t, "acme")
	owner := r.owner()
	var repo *org.Repo
	var team *org.Group
	var member *org.Account
	r.world.Change(func(s *org.State) {
		x := &org.Act{At: s.Now, Actor: org.Ref{Kind: org.AccountRef}, Client: &org.Client{}}
		for _, v := range s.Repos {
			if !v.Archived && v.Gone.IsZero() && len(v.Keys) > 0 {
				repo = v
			}
		}
		for _, a := range s.Accounts[org.GitHub] {
			if isMember(s, a) && !a.Owner && a.Status == org.Active {
				member = a
			}
		}
		team = s.Groups[org.GitHub][0]
		for _, h := range []org.Ref{{Kind: org.AccountRef, N: member.N}, {Kind: org.GroupRef, N: team.N}} {
			if !s.AddAccess(x, repo, org.Access{Holder: h, Role: "read"}) {
				s.SetAccess(x, repo, h, "read")
			}
		}
	})
	path := "/repos/acme/" + repo.Name
	show := func() object { return decode[object](t, r.ok(path)) }

	for _, v := range []string{"internal", "public", "private"} {
		require.Equal(t, v, decode[object](t, r.do(200, "PATCH", path, `{"visibility":"`+v+`"}`))["visibility"])
		require.Equal(t, v, show()["visibility"])
		r.do(200, "PATCH", path, `{"visibility":"`+v+`"}`)
	}
	r.do(422, "PATCH", path, `{"visibility":"hidden"}`)
	r.do(422, "PATCH", path, `{"archived":"yes"}`)
	require.Equal(t, true, decode[object](t, r.do(200, "PATCH", path, `{"archived":true}`))["archived"])
	r.do(200, "PATCH", path, `{"archived":true}`)
	r.do(403, "PATCH", path, `{"visibility":"public"}`)
	r.do(403, "PUT", path+"/contents/x", `{"message":"m","content":""}`)
	require.Equal(t, true, show()["archived"])
	r.do(200, "PATCH", path, `{"archived":false}`)
	require.Equal(t, false, show()["archived"])

	access := path + "/collaborators"
	r.do(204, "DELETE", access+"/"+member.Login, "")
	r.do(204, "DELETE", access+"/"+member.Login, "")
	require.NotContains(t, r.logins(access+"?affiliation=direct"), member.Login)
	r.do(204, "PUT", access+"/"+member.Login, `{"permission":"push"}`)
	r.do(204, "PUT", access+"/"+member.Login, `{"permission":"maintain"}`)
	require.Contains(t, r.logins(access+"?affiliation=direct"), member.Login)
	r.do(422, "PUT", access+"/"+member.Login, `{"permission":"rule"}`)
	var guest *org.Account
	r.view(func(s *org.State) {
		for _, a := range s.Accounts[org.GitHub] {
			if isOutside(s, a) && !slices.ContainsFunc(repo.Access, func(v org.Access) bool { return v.Holder == org.Ref{Kind: org.AccountRef, N: a.N} }) {
				guest = a
			}
		}
	})
	id := itoa(int64(decode[object](t, r.do(201, "PUT", access+"/"+guest.Login, ""))["id"].(float64)))
	require.NotContains(t, r.logins(access+"?affiliation=outside"), guest.Login)
	r.do(204, "DELETE", path+"/invitations/"+id, "")
	r.do(404, "DELETE", path+"/invitations/"+id, "")

	teams := "/orgs/acme/teams/" + team.Slug + "/repos/acme/" + repo.Name
	r.do(204, "DELETE", teams, "")
	r.do(204, "DELETE", teams, "")
	r.h.SetTrouble(Trouble{Otherwise: true})
	r.do(404, "DELETE", teams, "")
	r.h.SetTrouble(Trouble{})
	r.do(204, "PUT", teams, `{"permission":"triage"}`)
	r.do(204, "PUT", teams, `{"permission":"admin"}`)
	r.do(422, "PUT", teams, `{"permission":"all"}`)
	listed, _ := r.walk(path + "/teams")
	require.True(t, slices.ContainsFunc(listed, func(o object) bool { return o["slug"] == team.Slug && o["permission"] == "admin" }))

	keys, _ := r.walk(path + "/keys")
	key := path + "/keys/" + itoa(int64(keys[0]["id"].(float64)))
	r.do(204, "DELETE", key, "")
	r.do(404, "DELETE", key, "")
	left, _ := r.walk(path + "/keys")
	require.Len(t, left, len(keys)-1)
	r.tells(owner, "repo.access", "repo.archived", "repo.unarchived", "repo.remove_member", "repo.add_member", "repo.update_member", "repository_invitation.cancel",
		"team.remove_repository", "team.add_repository", "team.update_repository_permission", "public_key.delete")

	// Whose right it is.
	r.h.AddToken(Token{Value: "reader", Account: member.Login, Scopes: []string{"repo"}})
	r.do(204, "PUT", access+"/"+member.Login, `{"permission":"pull"}`)
	r.do(204, "DELETE", teams, "")
	r.token = "reader"
	r.do(403, "PATCH", path, `{"visibility":"public"}`)
	r.do(403, "DELETE", access+"/"+member.Login, "")
	r.token = TokenValid
	r.do(204, "PUT", access+"/"+member.Login, `{"permission":"admin"}`)
	r.token = "reader"
	r.do(200, "PATCH", path, `{"visibility":"private"}`)
	r.h.AddToken(Token{Value: "blind", Scopes: []string{"read:org"}})
	r.token = "blind"
	r.do(404, "PATCH", path, `{"visibility":"public"}`)
	r.h.AddToken(Token{Value: "fine", Fine: map[string]string{"administration": "read", "metadata": "read"}})
	r.token = "fine"
	r.do(404, "PATCH", path, `{"visibility":"public"}`)
	require.Equal(t, "private", repo.Visibility)
	emu := writeRig(t, "emu-acme")
	emu.do(422, "PATCH", "/repos/emu-acme/"+emuRepo(emu), `{"visibility":"public"}`)
}

func emuRepo(r *rig) (name string) {
	r.view(func(s *org.State) {
		for _, v := range s.Repos {
			if !v.Archived && v.Visibility == "private" {
				name = v.Name
			}
		}
	})
	return name
}

func TestWriteTeamsAndRoles(t *testing.T) {
	t.Parallel()
	r := writeRig(t, "acme")
	owner, a, guest := r.owner(), r.account(6, isMember), r.account(0, isOutside)
	team := "" // with nobody of a's, nor below it
	r.view(func(s *org.State) {
		c := &call{h: r.h, s: s}
		for _, g := range s.Groups[org.GitHub] {
			if !slices.ContainsFunc(c.effective(g), func(b belongs) bool { return b.account == a }) {
				team = g.Slug
			}
		}
	})
	path := "/orgs/acme/teams/" + team + "/memberships/" + a.Login
	r.do(404, "DELETE", path, "")
	r.do(404, "GET", path, "")
	require.Equal(t, "active", decode[object](t, r.do(200, "PUT", path, ""))["state"])
	require.Equal(t, "maintainer", decode[object](t, r.do(200, "PUT", path, `{"role":"maintainer"}`))["role"])
	require.Equal(t, "maintainer", decode[object](t, r.ok(path))["role"])
	r.do(422, "PUT", path, `{"role":"captain"}`)
	r.do(404, "PUT", "/orgs/acme/teams/"+team+"/memberships/"+guest.Login, "")

	// A maintainer may, a member may not.
	r.h.AddToken(Token{Value: "theirs", Account: a.Login, Scopes: []string{"admin:org"}})
	other := r.account(1, isMember)
	r.token = "theirs"
	r.do(200, "PUT", "/orgs/acme/teams/"+team+"/memberships/"+other.Login, "")
	r.do(200, "PUT", path, `{"role":"member"}`)
	r.do(403, "DELETE", "/orgs/acme/teams/"+team+"/memberships/"+other.Login, "")
	r.token = TokenValid
	r.h.SetTrouble(Trouble{TeamSync: true})
	r.do(403, "DELETE", path, "")
	r.h.SetTrouble(Trouble{})
	r.do(204, "DELETE", path, "")
	r.do(404, "DELETE", path, "")
	r.do(404, "DELETE", "/orgs/acme/teams/no-such-team/memberships/"+a.Login, "")
	r.tells(owner, "team.add_member", "team.promote_maintainer", "team.remove_member")
	r.tells(a.Login, "team.demote_maintainer")

	roles := decode[object](t, r.ok("/orgs/acme/organization-roles"))["roles"].([]any)
	id := itoa(int64(roles[0].(object)["id"].(float64)))
	at := "/orgs/acme/organization-roles/users/" + a.Login + "/" + id
	holders := "/orgs/acme/organization-roles/" + id + "/users?per_page=100"
	r.do(204, "PUT", at, "")
	r.do(204, "PUT", at, "")
	require.Contains(t, r.logins(holders), a.Login)
	r.do(204, "DELETE", at, "")
	r.do(204, "DELETE", at, "")
	require.NotContains(t, r.logins(holders), a.Login)
	r.do(422, "PUT", "/orgs/acme/organization-roles/users/"+guest.Login+"/"+id, "")
	r.do(404, "DELETE", "/orgs/acme/organization-roles/users/"+a.Login+"/1", "")
	r.tells(owner, "organization_role.assign", "organization_role.revoke")
	writeRig(t, "free-acme").do(422, "DELETE", "/orgs/free-acme/organization-roles/users/"+a.Login+"/"+id, "")
}

func TestWriteContents(t *testing.T) {
	t.Parallel()
	r := writeRig(t, "acme")
	repo, at := emuRepo(r), ""
	r.view(func(s *org.State) {
		for _, v := range s.Repos {
			for _, f := range v.Files {
				if v.Name == repo && f.Mode == "100644" && f.Size > 100 && f.Size < 2000 {
					at = f.Path
				}
			}
		}
	})
	path := "/repos/acme/" + repo + "/contents/" + at
	tree := func() string { return r.ok("/repos/acme/" + repo + "/git/trees/main?recursive=1").Body.String() }
	body := func(v object) string {
		b, err := json.Marshal(v)
		require.NoError(t, err)
		return string(b)
	}
	was, before := decode[object](t, r.ok(path)), tree()
	sha, old := str(was["sha"]), str(was["content"])
	text := base64.StdEncoding.EncodeToString([]byte("removed\n"))
	const removed = "3a4f74f4c4ac8ad0bbbd9f1d9a01d9dff1d97bb4"
	for _, f := range []struct {
		status int
		body   object
	}{
		{422, object{"content": text, "sha": sha}},
		{422, object{"message": "m", "sha": sha}},
		{422, object{"message": "m", "content": "no base64!", "sha": sha}},
		{422, object{"message": "m", "content": text}},
		{409, object{"message": "m", "content": text, "sha": removed}},
		{404, object{"message": "m", "content": text, "sha": sha, "branch": "no-such-branch"}},
	} {
		r.do(f.status, "PUT", path, body(f.body))
	}
	require.Equal(t, before, tree())
	w := decode[object](t, r.do(200, "PUT", path, body(object{"message": "m", "content": text, "sha": sha})))
	require.NotEqual(t, sha, dig(w, "content", "sha"))
	require.NotEmpty(t, dig(w, "commit", "sha"))
	now := decode[object](t, r.ok(path))
	require.Equal(t, text, now["content"])
	require.Equal(t, dig(w, "content", "sha"), now["sha"])
	require.NotEqual(t, before, tree())
	r.do(409, "PUT", path, body(object{"message": "m", "content": text, "sha": sha}))
	r.do(409, "DELETE", path, body(object{"message": "m", "sha": sha}))

	// The old bytes are the old file.
	r.do(200, "PUT", path, body(object{"message": "undo", "content": old, "sha": now["sha"]}))
	require.Equal(t, sha, decode[object](t, r.ok(path))["sha"])
	require.Equal(t, before, tree())
	r.do(422, "DELETE", path, body(object{"message": "m"}))
	r.do(422, "DELETE", path, body(object{"sha": sha}))
	require.Nil(t, decode[object](t, r.do(200, "DELETE", path, body(object{"message": "m", "sha": sha})))["content"])
	r.do(404, "GET", path, "")
	r.do(404, "DELETE", path, body(object{"message": "m", "sha": sha}))
	r.do(201, "PUT", path, body(object{"message": "undo", "content": old}))
	require.Equal(t, before, tree())
	r.do(422, "PUT", path+"/below", body(object{"message": "m", "content": text}))
	workflow := "/repos/acme/" + repo + "/contents/.github/workflows/ci.yml"
	r.do(201, "PUT", workflow, body(object{"message": "m", "content": text}))
	r.h.AddToken(Token{Value: "repo", Scopes: []string{"repo"}})
	r.token = "repo"
	r.do(403, "PUT", workflow, body(object{"message": "m", "content": text}))
	require.Empty(t, r.violations)
}

// Ids of contents are git's.
func TestBlobID(t *testing.T) {
	t.Parallel()
	r := fixtureRig(t)
	require.Equal(t, "8deec41a3a4f47b86eeeedf429d5a462bb819e08", r.h.blobID(fixture().Repos[0].Files[0]), "printf 001122334455 | git hash-object --stdin")
	require.Equal(t, "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", r.h.blobID(org.Blob{Path: "empty", Mode: "100644", Hash: "1"}))
}

// Contents are written one after the other.
func TestWriteContentsAtOnce(t *testing.T) {
	t.Parallel()
	r := writeRig(t, "acme")
	path := "/repos/acme/" + emuRepo(r) + "/contents/"
	crowded, held := make(chan struct{}), make(chan struct{})
	r.h.violate = func(rule, _ string) {
		require.Equal(t, "parallel_contents", rule)
		close(crowded)
	}
	first := httptest.NewRequest(http.MethodPut, "http://sandbox"+path+"a", readerFunc(func() {
		close(held)
		<-crowded
	}))
	for k, v := range map[string]string{"Authorization": "Bearer " + r.token, "User-Agent": "weir-test", "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"} {
		first.Header.Set(k, v)
	}
	done := make(chan int)
	go func() {
		w := httptest.NewRecorder()
		r.h.ServeHTTP(w, first)
		done <- w.Code
	}()
	<-held
	second := make(chan int)
	go func() { second <- r.request(http.MethodPut, path+"b", `{"message":"m","content":""}`).Code }()
	require.Equal(t, 201, <-done)
	require.Equal(t, 409, <-second)
}

// readerFunc is a body that comes after something else.
type readerFunc func()

func (f readerFunc) Read(p []byte) (int, error) {
	f()
	return copy(p, `{"message":"m","content":""}`), io.EOF
}

// What takes effect later is not there yet, and comes once.
func TestWriteLag(t *testing.T) {
	t.Parallel()
	r := writeRig(t, "acme")
	owner, a := r.owner(), r.account(3, isMember)
	path := "/orgs/acme/memberships/" + a.Login
	r.h.SetTrouble(Trouble{Lag: time.Minute})
	r.do(204, "DELETE", path, "")
	r.do(204, "DELETE", path, "")
	require.Equal(t, "active", decode[object](t, r.ok(path))["state"])
	require.Equal(t, "public", decode[object](t, r.do(200, "PATCH", "/repos/acme/"+emuRepo(r), `{"visibility":"public"}`))["visibility"])
	require.Equal(t, "private", decode[object](t, r.ok("/repos/acme/"+emuRepo(r)))["visibility"])
	r.later(time.Minute)
	r.do(404, "GET", path, "")
	n := 0
	for _, row := range decode[[]object](t, r.ok("/orgs/acme/audit-log?per_page=100&phrase=action:org.remove_member+actor:"+owner)) {
		if row["user"] == a.Login {
			n++
		}
	}
	require.Equal(t, 1, n)
}

// Rows of the audit log stay as they are, whatever becomes of whom they name.
func TestWritesLeaveRowsAlone(t *testing.T) {
	t.Parallel()
	r := writeRig(t, "acme")
	path := "/orgs/acme/audit-log?include=all&order=asc&per_page=100"
	before, _ := r.walk(path)
	for i := range 8 {
		r.do(204, "PUT", "/orgs/acme/outside_collaborators/"+r.account(i, isMember).Login, "")
	}
	after, _ := r.walk(path)
	require.Greater(t, len(after), len(before))
	require.Equal(t, before, after[:len(before)])
}
