package okta

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"

	"weir/internal/sandbox/org"
)

// writes are the routes of section 9: what changes the organization. Scopes are
// the specification's.
var writes = []route{
	change("POST", "/api/v1/users/*/lifecycle/suspend", "okta.users.manage", (*Handler).suspend),
	change("POST", "/api/v1/users/*/lifecycle/unsuspend", "okta.users.manage", (*Handler).unsuspend),
	change("POST", "/api/v1/users/*/lifecycle/expire_password", "okta.users.manage", (*Handler).expirePassword),
	change("POST", "/api/v1/users/*/lifecycle/reset_password", "okta.users.manage", (*Handler).resetPassword),
	change("DELETE", "/api/v1/users/*/sessions", "okta.users.manage", (*Handler).clearSessions),
	change("DELETE", "/api/v1/users/*/grants", "okta.users.manage", (*Handler).revokeUserGrants),
	change("DELETE", "/api/v1/users/*/grants/*", "okta.users.manage", (*Handler).revokeUserGrant),
	change("DELETE", "/api/v1/users/*/clients/*/tokens", "okta.users.manage", (*Handler).revokeClientTokens),
	change("DELETE", "/api/v1/users/*/roles/*", "okta.roles.manage", (*Handler).unassignRole),
	change("POST", "/api/v1/users/*/roles", "okta.roles.manage", (*Handler).assignRole),
	change("DELETE", "/api/v1/groups/*/users/*", "okta.groups.manage", (*Handler).removeMember),
	change("PUT", "/api/v1/groups/*/users/*", "okta.groups.manage", (*Handler).addMember),
	change("DELETE", "/api/v1/apps/*/grants/*", "okta.appGrants.manage", (*Handler).revokeAppGrant),
	change("POST", "/api/v1/apps/*/grants", "okta.appGrants.manage", (*Handler).grantApp),
	change("DELETE", "/api/v1/apps/*/tokens/*", "okta.apps.manage", (*Handler).revokeAppToken),
	change("POST", "/api/v1/apps/*/lifecycle/deactivate", "okta.apps.manage", (*Handler).deactivateApp),
	change("POST", "/api/v1/apps/*/lifecycle/activate", "okta.apps.manage", (*Handler).activateApp),
	change("DELETE", "/api/v1/api-tokens/*", "okta.apiTokens.manage", (*Handler).revokeAPIToken),
	change("DELETE", "/integrations/api/v1/api-services/*", "okta.oauthIntegrations.manage", (*Handler).revokeService),
}

func change(method, pattern, scope string, serve func(*Handler, *call)) route {
	return route{method: method, pattern: segments(pattern), bucket: bucketOther, scope: scope, write: true, serve: serve}
}

// Codes of section 7 that only writes meet.
const errStatus = "E0000038" // not in the user's status

// maxBody is what a write may send.
const maxBody = 64 << 10

// act is who makes the request, as the log tells it. An OAuth client that is no
// integration of the organization, which only tests register, has no name there:
// the log has the vendor's own.
func (h *Handler) act(c *call) *org.Act {
	x := &org.Act{At: c.s.Now, Actor: org.Ref{Kind: org.SystemRef}, Client: &org.Client{IP: "198.51.100.20", UserAgent: c.r.UserAgent(), Device: "Unknown"}}
	switch in := h.integration(c, c.who.client); {
	case c.who.user >= 0:
		x.Actor = org.Ref{Kind: org.AccountRef, N: c.who.user}
	case in != nil:
		x.Actor = org.Ref{Kind: org.IntegrationRef, N: in.N}
	}
	return x
}

func (h *Handler) done(c *call) { c.status = http.StatusNoContent }

func (h *Handler) empty(c *call) { c.set([]byte("{}")) }

func (h *Handler) bad(c *call, cause string) {
	h.fail(c, http.StatusBadRequest, h.facts.ErrBadRequest, "Api validation failed", cause)
}

func (h *Handler) suspend(c *call) {
	a := h.account(c, c.args[0])
	switch {
	case a == nil:
	case a.Status != org.Active:
		h.bad(c, "Cannot suspend a user that is not active")
	default:
		c.s.SetStatus(org.Okta, h.act(c), a, org.Suspended, org.AccountSuspend)
		h.empty(c)
	}
}

func (h *Handler) unsuspend(c *call) {
	a := h.account(c, c.args[0])
	switch {
	case a == nil:
	case a.Status != org.Suspended:
		h.bad(c, "Cannot unsuspend a user that is not suspended")
	default:
		c.s.SetStatus(org.Okta, h.act(c), a, org.Active, org.AccountUnsuspend)
		h.empty(c)
	}
}

// hasPassword tells whether the password of an account in this status can be
// voided, or answers.
func (h *Handler) hasPassword(c *call, a *org.Account) bool {
	if slices.Contains([]org.Status{org.Active, org.PasswordExpired, org.Recovery, org.Locked}, a.Status) {
		return true
	}
	h.fail(c, http.StatusForbidden, errStatus, "This operation is not allowed in the user's current status.")
	return false
}

func (h *Handler) expirePassword(c *call) {
	a := h.account(c, c.args[0])
	if a == nil || !h.hasPassword(c, a) {
		return
	}
	c.s.SetStatus(org.Okta, h.act(c), a, org.PasswordExpired, org.PasswordExpire)
	c.body = h.appendUser(c.body[:0], c, a, false)
}

// LinkSecret is in every link for setting a password: nobody may keep one.
const LinkSecret = "sandbox-reset-secret"

func (h *Handler) resetPassword(c *call) {
	a := h.account(c, c.args[0])
	switch {
	case a == nil:
		return
	case !slices.Contains([]string{"true", "false"}, c.query.Get("sendEmail")):
		h.bad(c, "sendEmail is required")
		return
	case !h.hasPassword(c, a):
		return
	}
	c.s.SetPassword(h.act(c), a, org.PasswordReset)
	if c.query.Get("sendEmail") == "false" {
		c.set(append(appendMember([]byte{'{'}, "resetPasswordUrl", h.links+"/reset_password/"+LinkSecret), '}'))
		return
	}
	h.empty(c)
}

func (h *Handler) clearSessions(c *call) {
	if a := h.account(c, c.args[0]); a != nil {
		c.s.EndSessions(h.act(c), a, c.query.Get("oauthTokens") == "true")
		h.done(c)
	}
}

// revoke ends grants, and answers.
func (h *Handler) revoke(c *call, list []*org.Grant) {
	x := h.act(c)
	for _, g := range list {
		c.s.RevokeGrant(org.Okta, x, g)
	}
	h.done(c)
}

// grantOf returns the one of some grants that a path names, or answers.
func (h *Handler) grantOf(c *call, list []*org.Grant, k kind, name string) []*org.Grant {
	for _, g := range list {
		if id(c.seed, k, g.N) == name {
			return []*org.Grant{g}
		}
	}
	h.notFound(c, name)
	return nil
}

func (h *Handler) revokeUserGrants(c *call) {
	if a := h.account(c, c.args[0]); a != nil {
		h.revoke(c, grantsOf(c.s, org.GrantConsent, a.N, -1))
	}
}

func (h *Handler) revokeUserGrant(c *call) {
	if a := h.account(c, c.args[0]); a != nil {
		if g := h.grantOf(c, grantsOf(c.s, org.GrantConsent, a.N, -1), kindGrant, c.args[1]); g != nil {
			h.revoke(c, g)
		}
	}
}

func (h *Handler) revokeClientTokens(c *call) {
	a := h.account(c, c.args[0])
	if a == nil {
		return
	}
	if in := h.clientOf(c, c.args[1]); in != nil {
		h.revoke(c, grantsOf(c.s, org.GrantRefresh, a.N, in.N))
	}
}

func (h *Handler) revokeAppGrant(c *call) {
	if in := h.appOf(c); in != nil {
		if g := h.grantOf(c, grantsOf(c.s, org.GrantScope, -1, in.N), kindGrant, c.args[1]); g != nil {
			h.revoke(c, g)
		}
	}
}

func (h *Handler) revokeAppToken(c *call) {
	if in := h.appOf(c); in != nil {
		if g := h.grantOf(c, grantsOf(c.s, org.GrantRefresh, -1, in.N), kindRefresh, c.args[1]); g != nil {
			h.revoke(c, g)
		}
	}
}

func (h *Handler) revokeAPIToken(c *call) {
	if g := h.grantOf(c, grantsOf(c.s, org.GrantAPIToken, -1, -1), kindAPIToken, c.args[0]); g != nil {
		h.revoke(c, g)
	}
}

func (h *Handler) revokeService(c *call) {
	in := h.integration(c, c.args[0])
	if in == nil || in.Kind != apiService {
		h.notFound(c, c.args[0])
		return
	}
	c.s.RemoveIntegration(org.Okta, h.act(c), in)
	h.done(c)
}

// sent decodes what a write sends, or answers.
func (h *Handler) sent(c *call, into any) bool {
	body, err := io.ReadAll(io.LimitReader(c.r.Body, maxBody))
	if err == nil {
		err = json.Unmarshal(body, into)
	}
	if err != nil {
		h.fail(c, http.StatusBadRequest, "E0000003", "The request body was not well-formed.")
	}
	return err == nil
}

func (h *Handler) grantApp(c *call) {
	in := h.appOf(c)
	var body struct{ ScopeID, Issuer string }
	if in == nil || !h.sent(c, &body) {
		return
	}
	if body.ScopeID == "" || body.Issuer != h.links || in.Kind != openID {
		h.bad(c, "scopeId and the organization's issuer are required, of an OAuth client")
		return
	}
	for _, g := range grantsOf(c.s, org.GrantScope, -1, in.N) {
		if slices.Contains(g.Scopes, body.ScopeID) {
			h.bad(c, "the scope is granted already")
			return
		}
	}
	g := c.s.IssueGrant(org.Okta, h.act(c), org.Grant{Kind: org.GrantScope, Account: -1, Integration: in.N, Scopes: []string{body.ScopeID}})
	c.status, c.body = http.StatusCreated, h.appendGrant(c.body[:0], c, g)
}

func (h *Handler) unassignRole(c *call) {
	a := h.account(c, c.args[0])
	if a == nil {
		return
	}
	for _, r := range rolesOf(c.s, a.N) {
		if r.group < 0 && assignmentID(c.seed, r.grant) == c.args[1] {
			c.s.RevokeRole(org.Okta, h.act(c), r.grant)
			h.done(c)
			return
		}
	}
	h.notFound(c, c.args[1]+" (Role)")
}

func (h *Handler) assignRole(c *call) {
	a := h.account(c, c.args[0])
	var body struct {
		Type, Role  string
		ResourceSet string `json:"resource-set"`
	}
	if a == nil || !h.sent(c, &body) {
		return
	}
	def, set := -1, -1
	if body.Type == custom {
		var isRole, isSet bool
		def, isRole = number(c.seed, kindRole, body.Role)
		set, isSet = number(c.seed, kindResourceSet, body.ResourceSet)
		if !isRole || !isSet || def >= len(c.s.RoleDefs[org.Okta]) || set >= len(c.s.ResourceSets[org.Okta]) {
			h.bad(c, "no such role or resource set")
			return
		}
	} else if roleLabels[body.Type] == "" {
		h.bad(c, "no such role type")
		return
	}
	for _, r := range rolesOf(c.s, a.N) {
		if r.group < 0 && r.grant.Role == body.Type && r.grant.RoleN == def && r.grant.ScopeN == set {
			h.bad(c, "the role is assigned already")
			return
		}
	}
	r := c.s.AssignRole(org.Okta, h.act(c), org.Ref{Kind: org.AccountRef, N: a.N}, body.Type, def, set)
	c.status, c.body = http.StatusCreated, h.appendRole(c.body[:0], c, held{r, -1})
}

// memberOf returns the group and account that a path names, of a group whose
// members are not somebody else's to decide, or answers.
func (h *Handler) memberOf(c *call) (*org.Group, *org.Account) {
	g := h.groupOf(c)
	if g == nil {
		return nil, nil
	}
	a := h.account(c, c.args[1])
	if a == nil {
		return nil, nil
	}
	if h.groupKind(g) != "OKTA_GROUP" {
		// The sheet has no word on how it refuses.
		h.fail(c, h.facts.StatusDenied, h.facts.ErrDenied, "You do not have permission to perform the requested action")
		return nil, nil
	}
	return g, a
}

func (h *Handler) removeMember(c *call) {
	g, a := h.memberOf(c)
	switch {
	case g == nil:
	case !c.s.LeaveGroup(org.Okta, h.act(c), g, a):
		h.notFound(c, c.args[1]+" (GroupMember)")
	default:
		h.done(c)
	}
}

func (h *Handler) addMember(c *call) {
	if g, a := h.memberOf(c); g != nil {
		c.s.AddMember(org.Okta, h.act(c), g, a, "member") // one who is a member stays one
		h.done(c)
	}
}

func (h *Handler) deactivateApp(c *call) {
	if in := h.appOf(c); in != nil {
		if appStatus(in) == "ACTIVE" {
			c.s.SuspendIntegration(org.Okta, h.act(c), in)
		}
		h.empty(c)
	}
}

func (h *Handler) activateApp(c *call) {
	if in := h.appOf(c); in != nil {
		if appStatus(in) != "ACTIVE" {
			c.s.ResumeIntegration(org.Okta, h.act(c), in)
		}
		h.empty(c)
	}
}

// userGroups lists the groups that somebody is a member of.
func (h *Handler) userGroups(c *call) {
	a := h.account(c, c.args[0])
	if a == nil {
		return
	}
	var list []*org.Group
	for _, g := range c.s.Groups[org.Okta] {
		if g.Gone.IsZero() && isMember(g, a.N) {
			list = append(list, g)
		}
	}
	h.whole(c, len(list), func(b []byte, i int) []byte { return h.appendGroup(b, c, list[i]) })
}
