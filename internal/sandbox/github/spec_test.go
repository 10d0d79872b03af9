package github

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/spectest"
)

// TestSpec holds what writing is answered with against the vendor's own
// specification.
func TestSpec(t *testing.T) {
	t.Parallel()
	spec := spectest.Load(t, spectest.GitHub, []spectest.Known{
		{Operation: "DELETE /repos/{owner}/{repo}/invitations/{invitation_id}", Detail: "status is not supported", Reason: "the specification has no answer for what is not there: 404, as elsewhere"},
		{Operation: "DELETE /repos/{owner}/{repo}/keys/{key_id}", Detail: "status is not supported", Reason: "the same"},
		{Operation: "PUT /repos/{owner}/{repo}/collaborators/{username}", Detail: "status is not supported", Reason: "the same"},
		{Operation: "GET /scim/v2/enterprises/{enterprise}/Users/{scim_user_id}", Detail: "Content-Type", Reason: "of an enterprise the specification has plain errors where that of an organization has SCIM's"},
		{Operation: "PATCH /scim/v2/enterprises/{enterprise}/Users/{scim_user_id}", Detail: "value must be a string", Reason: "the operation's own example sets active to false"},
		{Operation: "PUT /repos/{owner}/{repo}/contents/{path}", Detail: "matches more than one schema", Reason: "of the two shapes of a conflict neither requires anything: every error is both"},
		{Operation: "PUT /repos/{owner}/{repo}/contents/{path}", Detail: "download_url: Value is not nullable", Reason: "where files are read it is nullable"},
	})
	r := writeRig(t, "acme")
	handler := spec.Wrap("", http.HandlerFunc(r.h.ServeHTTP))
	send := func(method, target, body string) *httptest.ResponseRecorder {
		t.Helper()
		req := httptest.NewRequest(method, "http://sandbox"+target, strings.NewReader(body))
		for k, v := range map[string]string{"Authorization": "Bearer " + r.token, "User-Agent": "weir-test", "Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"} {
			req.Header.Set(k, v)
		}
		if body != "" {
			req.Header.Set("Content-Type", "application/json")
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, req)
		require.NotEqual(t, 403, w.Code, "%s %s: %s", method, target, w.Body)
		return w
	}
	a, b, c, guest, repo := r.account(3, isMember), r.account(5, isMember), r.account(6, isMember), r.account(0, isOutside), emuRepo(r)
	team := str(decode[[]object](t, r.ok("/orgs/acme/teams"))[0]["slug"])
	role := itoa(int64(decode[object](t, r.ok("/orgs/acme/organization-roles"))["roles"].([]any)[0].(object)["id"].(float64)))
	of := func(path string) string {
		return strings.NewReplacer("{a}", a.Login, "{b}", b.Login, "{c}", c.Login, "{guest}", guest.Login, "{repo}", repo, "{team}", team, "{role}", role).Replace(path)
	}
	const json = `{}`
	for _, c := range [][3]string{
		{"PUT", "/orgs/acme/memberships/{a}", `{"role":"admin"}`},
		{"PUT", "/orgs/acme/memberships/{a}", `{"role":"member"}`},
		{"GET", "/orgs/acme/teams/{team}/memberships/{a}", ""},
		{"PUT", "/orgs/acme/teams/{team}/memberships/{a}", `{"role":"maintainer"}`},
		{"DELETE", "/orgs/acme/teams/{team}/memberships/{a}", ""},
		{"PUT", "/orgs/acme/teams/{team}/repos/acme/{repo}", `{"permission":"push"}`},
		{"DELETE", "/orgs/acme/teams/{team}/repos/acme/{repo}", ""},
		{"PUT", "/orgs/acme/organization-roles/users/{a}/{role}", ""},
		{"PUT", "/orgs/acme/organization-roles/users/nobody/{role}", ""},
		{"DELETE", "/orgs/acme/organization-roles/users/{a}/{role}", ""},
		{"POST", "/orgs/acme/credential-authorizations/{a}/revoke", ""},
		{"POST", "/orgs/acme/credential-authorizations/{a}/revoke-credential-type", `{"credential_type":"ssh_key"}`},
		{"POST", "/enterprises/acme-enterprise/credential-authorizations/{a}/revoke", json},
		{"DELETE", "/orgs/acme/credential-authorizations/1", ""},
		{"PUT", "/orgs/acme/outside_collaborators/{b}", `{"async":true}`},
		{"DELETE", "/orgs/acme/outside_collaborators/{b}", ""},
		{"DELETE", "/orgs/acme/memberships/{a}", ""},
		{"DELETE", "/orgs/acme/memberships/{a}", ""},
		{"PUT", "/orgs/acme/memberships/{a}", json},
		{"GET", "/orgs/acme/memberships/{a}", ""},
		{"DELETE", "/orgs/acme/invitations/1", ""},
		{"DELETE", "/orgs/acme/members/{c}", ""},
		{"GET", "/orgs/acme/blocks/{guest}", ""},
		{"PUT", "/orgs/acme/blocks/{guest}", ""},
		{"PUT", "/orgs/acme/blocks/{guest}", ""},
		{"GET", "/orgs/acme/blocks/{guest}", ""},
		{"GET", "/orgs/acme/blocks", ""},
		{"DELETE", "/orgs/acme/blocks/{guest}", ""},
		{"PATCH", "/repos/acme/{repo}", `{"visibility":"internal"}`},
		{"PUT", "/repos/acme/{repo}/contents/new.txt", `{"message":"m","content":"aGk="}`},
		{"PUT", "/repos/acme/{repo}/contents/new.txt", `{"message":"m","content":"aGk="}`},
		{"PUT", "/repos/acme/{repo}/contents/new.txt", `{"message":"m","content":"aGk=","sha":"x"}`},
		{"DELETE", "/repos/acme/{repo}/contents/new.txt", `{"message":"m","sha":"32f95c0d1244a78b2be1bab8de17906fbb2a3e4c"}`},
		{"DELETE", "/repos/acme/{repo}/contents/new.txt", `{"message":"m","sha":"32f95c0d1244a78b2be1bab8de17906fbb2a3e4c"}`},
		{"PUT", "/repos/acme/{repo}/collaborators/nobody-else", `{"permission":"pull"}`},
		{"DELETE", "/repos/acme/{repo}/invitations/1", ""},
		{"DELETE", "/repos/acme/{repo}/keys/1", ""},
		{"GET", "/scim/v2/organizations/acme/Users", ""},
		{"GET", "/scim/v2/organizations/acme/Users/none", ""},
	} {
		send(c[0], of(c[1]), c[2])
	}
	r.later(Settle) // until b is outside
	require.Equal(t, 201, send("PUT", "/repos/acme/"+repo+"/collaborators/"+b.Login, `{"permission":"pull"}`).Code)
	id := str(decode[object](t, r.ok("/scim/v2/organizations/acme/Users"))["Resources"].([]any)[2].(object)["id"])
	send("GET", "/scim/v2/organizations/acme/Users/"+id, "")
	send("PATCH", "/scim/v2/organizations/acme/Users/"+id, patch)
	send("PATCH", "/scim/v2/organizations/acme/Users/"+id, patch)

	r.asApp(map[string]string{"organization_personal_access_tokens": "write", "organization_personal_access_token_requests": "write", "enterprise_organization_installations": "write"})
	pats := decode[[]object](t, r.ok("/orgs/acme/personal-access-tokens"))
	pat := func(i int) string { return itoa(int64(pats[i]["id"].(float64))) }
	request := itoa(int64(decode[[]object](t, send("GET", "/orgs/acme/personal-access-token-requests", ""))[0]["id"].(float64)))
	for _, c := range [][3]string{
		{"POST", "/orgs/acme/personal-access-tokens/" + pat(0), `{"action":"revoke"}`},
		{"POST", "/orgs/acme/personal-access-tokens/" + pat(0), `{"action":"revoke"}`},
		{"POST", "/orgs/acme/personal-access-tokens", `{"action":"revoke","pat_ids":[` + pat(1) + `]}`},
		{"POST", "/orgs/acme/personal-access-token-requests/" + request, `{"action":"deny","reason":"no"}`},
		{"DELETE", "/enterprises/acme-enterprise/apps/organizations/acme/installations/1", ""},
	} {
		send(c[0], c[1], c[2])
	}

	r = writeRig(t, "emu-acme")
	handler = spec.Wrap("", http.HandlerFunc(r.h.ServeHTTP))
	id = r.h.scimID(r.account(2, isMember))
	const users = "/scim/v2/enterprises/emu-acme-enterprise/Users"
	for _, c := range [][3]string{{"GET", users, ""}, {"GET", users + "/" + id, ""}, {"PATCH", users + "/" + id, patch}, {"GET", users + "/none", ""}} {
		send(c[0], c[1], c[2])
	}
	spec.Report(t)
}
