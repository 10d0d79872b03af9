package github

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// maxBody is what a write may send: a file of some megabytes, in base64.
const maxBody = 4 << 20

// Settle is how long takes what is answered with 202.
const Settle = 20 * time.Second

// What writes need. Scopes and permissions are those of the sheet's section 9.
var (
	memberAdmin   = need{scopes: []string{"admin:org"}, perm: "members:write", owner: true}
	orgAdmin      = need{scopes: []string{"admin:org"}, perm: "organization_administration:write", owner: true, cloud: true, paid: true}
	teamAdmin     = need{scopes: []string{"admin:org"}, perm: "members:write"} // or a maintainer
	blocker       = need{scopes: []string{"admin:org"}, perm: "organization_user_blocking:write", owner: true, cloud: true}
	siteAdmin     = need{scopes: []string{"site_admin"}, server: true}
	repoWrite     = need{scopes: []string{"repo"}, perm: "administration:write", hide: true}
	contentsWrite = need{scopes: []string{"repo"}, perm: "contents:write", hide: true}
	patAdmin      = need{perm: "organization_personal_access_tokens:write", appOnly: true}
)

func (h *Handler) writes() {
	on := func(pattern string, n need, fn func(*call)) { h.mux.Handle(pattern, endpoint{n, fn}) }

	// People.
	on("PUT /orgs/{org}/memberships/{username}", memberAdmin, (*call).setMembership)
	on("DELETE /orgs/{org}/memberships/{username}", memberAdmin, (*call).removeMembership)
	on("DELETE /orgs/{org}/members/{username}", memberAdmin, (*call).removeMember)
	on("PUT /orgs/{org}/outside_collaborators/{username}", memberAdmin, (*call).convertMember)
	on("DELETE /orgs/{org}/outside_collaborators/{username}", memberAdmin, (*call).removeOutside)
	on("DELETE /orgs/{org}/invitations/{id}", memberAdmin, (*call).cancelInvitation)
	reads := blocker
	reads.perm = "organization_user_blocking:read"
	on("GET /orgs/{org}/blocks", reads, (*call).blocks)
	on("GET /orgs/{org}/blocks/{username}", reads, (*call).isBlocked)
	on("PUT /orgs/{org}/blocks/{username}", blocker, (*call).block)
	on("DELETE /orgs/{org}/blocks/{username}", blocker, (*call).unblock)
	on("PUT /users/{username}/suspended", siteAdmin, func(c *call) { c.suspend(true) })
	on("DELETE /users/{username}/suspended", siteAdmin, func(c *call) { c.suspend(false) })

	// Teams and roles.
	on("GET /orgs/{org}/teams/{team}/memberships/{username}", readOrg, (*call).teamMembership)
	on("PUT /orgs/{org}/teams/{team}/memberships/{username}", teamAdmin, (*call).setTeamMembership)
	on("DELETE /orgs/{org}/teams/{team}/memberships/{username}", teamAdmin, (*call).leaveTeam)
	on("PUT /orgs/{org}/teams/{team}/repos/{owner}/{repo}", teamAdmin, (*call).setTeamRepo)
	on("DELETE /orgs/{org}/teams/{team}/repos/{owner}/{repo}", teamAdmin, (*call).removeTeamRepo)
	on("PUT /orgs/{org}/organization-roles/users/{username}/{role}", memberAdmin, (*call).assignRole)
	on("DELETE /orgs/{org}/organization-roles/users/{username}/{role}", memberAdmin, (*call).revokeRole)

	// Repositories.
	on("PATCH /repos/{owner}/{repo}", repoWrite, (*call).patchRepo)
	on("PUT /repos/{owner}/{repo}/collaborators/{username}", repoWrite, (*call).addCollaborator)
	on("DELETE /repos/{owner}/{repo}/collaborators/{username}", repoWrite, (*call).removeCollaborator)
	on("DELETE /repos/{owner}/{repo}/invitations/{id}", repoWrite, (*call).cancelRepoInvitation)
	on("POST /repos/{owner}/{repo}/keys", repoWrite, (*call).addKey)
	on("DELETE /repos/{owner}/{repo}/keys/{id}", repoWrite, (*call).removeKey)
	on("PUT /repos/{owner}/{repo}/contents/{path...}", contentsWrite, (*call).putContents)
	on("DELETE /repos/{owner}/{repo}/contents/{path...}", contentsWrite, (*call).deleteContents)

	// Apps and grants.
	on("DELETE /orgs/{org}/credential-authorizations/{id}", orgAdmin, (*call).revokeCredential)
	on("POST /orgs/{org}/credential-authorizations/{username}/revoke", orgAdmin, func(c *call) { c.revokeCredentials(false) })
	on("POST /orgs/{org}/credential-authorizations/{username}/revoke-credential-type", orgAdmin, func(c *call) { c.revokeCredentials(true) })
	on("POST /enterprises/{enterprise}/credential-authorizations/{username}/revoke",
		need{scopes: []string{"admin:enterprise"}, owner: true, cloud: true, paid: true}, (*call).revokeInEnterprise)
	on("POST /orgs/{org}/personal-access-tokens", patAdmin, (*call).revokePATs)
	on("POST /orgs/{org}/personal-access-tokens/{id}", patAdmin, (*call).revokePAT)
	on("POST /orgs/{org}/personal-access-token-requests/{id}", need{perm: "organization_personal_access_token_requests:write", appOnly: true}, (*call).decidePATRequest)
	on("DELETE /enterprises/{enterprise}/apps/organizations/{org}/installations/{id}",
		need{perm: "enterprise_organization_installations:write", appOnly: true, cloud: true}, (*call).uninstall)

	h.scimRoutes(on)
}

// act is who makes the request, as the log tells it: the token's user, or the
// App under its own login.
func (c *call) act() *org.Act {
	x := &org.Act{At: c.s.Now, Actor: org.Ref{Kind: org.SystemRef}, Client: &org.Client{IP: "198.51.100.20", UserAgent: c.r.UserAgent()}}
	if a := c.account(); a != nil {
		x.Actor = org.Ref{Kind: org.AccountRef, N: a.N}
	} else if c.who.app != nil {
		x.Actor.Name = c.who.app.Slug + "[bot]"
	}
	return x
}

// settle carries a change out: at once, after a while, and so much later as what
// goes wrong has it. By then something else may have happened: the change must
// look again whether there still is anything to do.
func (c *call) settle(after time.Duration, change func(x *org.Act)) {
	x := c.act()
	after += max(c.trouble.Lag, c.h.tenant.Lag(c.r))
	if after == 0 {
		change(x)
		return
	}
	c.s.Later(after, func(at time.Time) {
		x.At = at
		change(x)
	})
}

func (c *call) done() { c.status, c.b = http.StatusNoContent, nil }

// accepted answers 202 with an object.
func (c *call) accepted(fn func()) {
	c.status = http.StatusAccepted
	c.object("", fn)
}

// again answers a repetition. Where the vendor's documentation leaves open how,
// Trouble.Otherwise takes the other answer.
func (c *call) again(usual, other int) {
	if c.trouble.Otherwise {
		usual = other
	}
	switch usual {
	case http.StatusNoContent:
		c.done()
	case http.StatusUnprocessableEntity:
		c.invalid("User", "login", "unprocessable", "This has been done already.")
	default:
		c.fail(usual, http.StatusText(usual))
	}
}

// sent decodes what a write sends, or answers. No body at all is an empty
// object.
func (c *call) sent(into any) bool {
	text, err := io.ReadAll(io.LimitReader(c.r.Body, maxBody+1))
	switch {
	case err != nil || len(text) > maxBody:
		c.fail(http.StatusRequestEntityTooLarge, "The request is too large.")
		return false
	case len(text) == 0:
		return true
	}
	err = json.Unmarshal(text, into)
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		c.invalid("Body", wrong.Field, "invalid", "For 'properties/"+wrong.Field+"', the value is of the wrong type.")
		return false
	}
	if err != nil {
		c.fail(http.StatusBadRequest, "Problems parsing JSON")
		return false
	}
	return true
}

// known returns the account of a login, also of somebody who is not in the
// organization any more; nil when there is no such user.
func (c *call) known(login string) *org.Account {
	if a := c.find(login); a != nil {
		return a
	}
	for _, a := range c.s.Accounts[org.GitHub] {
		if strings.EqualFold(shown(a), login) && !a.Created.After(c.s.Now) {
			return a
		}
	}
	return nil
}

// shown is the login that the API shows.
func shown(a *org.Account) string { return firstOf(a.Alias, a.Login) }
