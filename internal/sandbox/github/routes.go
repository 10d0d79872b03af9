package github

import (
	"maps"
	"net/http"
	"slices"
)

// endpoint is one operation of the REST API. It is called with the state
// locked, and appends its answer to the call.
type endpoint struct {
	need need
	fn   func(*call)
}

// ServeHTTP implements http.Handler; the mux hands the call through.
func (e endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := w.(*call)
	c.values = r.PathValue
	c.r.Pattern = r.Pattern // by which requests are counted
	c.accepts = e.need
	if c.allow(e.need) {
		e.fn(c)
	}
}

// What endpoints need. Scopes are those of the sheet's table of capabilities.
var (
	readOrg   = need{scopes: []string{"read:org"}, perm: "members:read"}
	adminOrg  = need{scopes: []string{"admin:org"}, perm: "organization_custom_org_roles:read", owner: true}
	metadata  = need{perm: "metadata:read"}
	repoAdmin = need{scopes: []string{"repo"}, perm: "administration:read", hide: true}
	contents  = need{perm: "contents:read", hide: true}
)

func (h *Handler) routes() {
	h.mux = http.NewServeMux()
	get := func(path string, n need, fn func(*call)) { h.mux.Handle("GET "+path, endpoint{n, fn}) }

	get("/meta", need{anybody: true}, (*call).meta)
	get("/rate_limit", need{anybody: true}, (*call).rateLimit)

	// Who and what.
	get("/user", need{personal: true}, (*call).self)
	get("/user/memberships/orgs/{org}", need{scopes: []string{"read:org"}, personal: true}, (*call).ownMembership)
	get("/users/{username}", metadata, func(c *call) { c.userDetail(c.known(c.path("username"))) })
	get("/user/{id}", metadata, func(c *call) { c.userDetail(c.byID(c.path("id"))) })
	get("/orgs/{org}", need{perm: "metadata:read"}, (*call).orgDetail)

	// Audit log.
	get("/orgs/{org}/audit-log", need{scopes: []string{"read:audit_log"}, perm: "organization_administration:read", owner: true, paid: true}, (*call).orgAuditLog)
	// Not enabled for Apps.
	get("/enterprises/{enterprise}/audit-log", need{scopes: []string{"read:audit_log"}, owner: true, paid: true}, (*call).enterpriseAuditLog)

	// Accounts.
	get("/orgs/{org}/members", readOrg, (*call).members)
	get("/orgs/{org}/outside_collaborators", readOrg, (*call).outsideCollaborators)
	get("/orgs/{org}/invitations", readOrg, func(c *call) { c.invitations(false) })
	get("/orgs/{org}/failed_invitations", readOrg, func(c *call) { c.invitations(true) })
	get("/orgs/{org}/memberships/{username}", readOrg, (*call).membership)

	// Groups.
	get("/orgs/{org}/teams", readOrg, (*call).teams)
	get("/orgs/{org}/teams/{team}", readOrg, (*call).teamDetail)
	get("/orgs/{org}/teams/{team}/members", readOrg, (*call).teamMembers)
	get("/orgs/{org}/teams/{team}/invitations", readOrg, (*call).teamInvitations)

	// Privileges.
	get("/orgs/{org}/organization-roles", adminOrg, (*call).roles)
	get("/orgs/{org}/organization-roles/{role}/users", adminOrg, (*call).roleUsers)
	get("/orgs/{org}/organization-roles/{role}/teams", adminOrg, (*call).roleTeams)
	get("/orgs/{org}/custom-repository-roles", need{scopes: []string{"admin:org"}, perm: "organization_custom_roles:read", owner: true}, (*call).customRepoRoles)

	// Repositories.
	get("/orgs/{org}/repos", metadata, (*call).repos)
	get("/repos/{owner}/{repo}", metadata, (*call).repoDetail)
	get("/repos/{owner}/{repo}/collaborators", need{scopes: []string{"repo"}, perm: "metadata:read", hide: true}, (*call).collaborators)
	get("/repos/{owner}/{repo}/teams", repoAdmin, (*call).repoTeams)
	get("/repos/{owner}/{repo}/invitations", repoAdmin, (*call).repoInvitations)
	get("/repos/{owner}/{repo}/keys", repoAdmin, (*call).deployKeys)
	get("/repos/{owner}/{repo}/git/trees/{tree...}", contents, (*call).tree)
	get("/repos/{owner}/{repo}/git/blobs/{sha}", contents, (*call).blob)
	get("/repos/{owner}/{repo}/contents", contents, (*call).contents)
	get("/repos/{owner}/{repo}/contents/{path...}", contents, (*call).contents)

	// Apps and grants.
	get("/orgs/{org}/installations", need{scopes: []string{"admin:read", "read:org"}, perm: "organization_administration:read", owner: true}, (*call).installations)
	get("/orgs/{org}/credential-authorizations", need{scopes: []string{"read:org"}, perm: "organization_administration:read", owner: true, cloud: true, paid: true}, (*call).credentials)
	get("/orgs/{org}/personal-access-tokens", need{perm: "organization_personal_access_tokens:read", appOnly: true}, (*call).pats)
	get("/orgs/{org}/personal-access-token-requests", need{perm: "organization_personal_access_token_requests:read", appOnly: true}, (*call).patRequests)

	// A GitHub App about itself.
	get("/app", need{jwt: true}, (*call).app)
	get("/orgs/{org}/installation", need{jwt: true}, (*call).appInstallation)
	h.mux.Handle("POST /app/installations/{id}/access_tokens", endpoint{need{jwt: true}, (*call).mint})

	h.writes()

	// All else.
	h.mux.Handle("/", endpoint{need{anybody: true}, (*call).unknown})
}

// unknown is what there is no endpoint for: what may never be automated is among
// it.
func (c *call) unknown() {
	if c.r.Method != http.MethodGet && c.r.Method != http.MethodHead {
		c.h.violate("no such endpoint to write to", c.r.Method+" "+c.r.URL.Path)
	}
	c.notFound()
}

func (c *call) path(name string) string { return c.values(name) }

// meta is GET /meta.
func (c *call) meta() {
	c.object("", func() {
		c.bool("verifiable_password_authentication", false)
		c.strs("hooks", []string{"192.0.2.0/24"})
		if c.flavour.GHES {
			c.str("installed_version", "3.19.0")
		}
	})
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
