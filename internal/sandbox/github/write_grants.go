package github

import (
	"net/http"
	"slices"
	"strings"

	"weir/internal/sandbox/org"
)

// grantID returns the live grant of a kind that the path's id names; nil after
// it has answered.
func (c *call) grantID(kind string, k kind, id string) *org.Grant {
	for _, g := range liveGrants(c.s, kind) {
		if itoa(c.h.id(k, g.N)) == id {
			return g
		}
	}
	return nil
}

// end revokes grants, after a while if need be.
func (c *call) end(list []*org.Grant) func(x *org.Act) {
	return func(x *org.Act) {
		for _, g := range list {
			if g.Gone.IsZero() {
				c.s.RevokeGrant(org.GitHub, x, g)
			}
		}
	}
}

// revokeCredential is DELETE /orgs/{org}/credential-authorizations/{id}.
func (c *call) revokeCredential() {
	if !c.orgIs(c.path("org")) {
		return
	}
	g := c.grantID(org.GrantCredential, kindCredential, c.path("id"))
	if g == nil {
		c.notFound()
		return
	}
	c.settle(0, c.end([]*org.Grant{g}))
	c.done()
}

// credentialTypes are the types that can be revoked by themselves, and what the
// list calls them.
var credentialTypes = map[string]string{"classic_pat": "personal access token", "ssh_key": "SSH key", "oauth_app_token": "OAuth app token", "fine_grained_pat": ""}

// revokeCredentials is POST /orgs/{org}/credential-authorizations/{username}/revoke,
// or revoke-credential-type: what is authorized at the time of the answer ends a
// while later.
func (c *call) revokeCredentials(one bool) {
	var body struct {
		Type string `json:"credential_type"`
	}
	if !c.orgIs(c.path("org")) || one && !c.sent(&body) {
		return
	}
	kind, known := credentialTypes[body.Type]
	if one && !known {
		c.fail(http.StatusUnprocessableEntity, "The `credential_type` parameter is required and must be one of: classic_pat, fine_grained_pat, ssh_key, oauth_app_token.")
		return
	}
	a := c.find(c.path("username"))
	if a == nil {
		c.notFound()
		return
	}
	source := org.GrantCredential
	if body.Type == "fine_grained_pat" {
		source = org.GrantPAT
	}
	var list []*org.Grant
	for _, g := range liveGrants(c.s, source) {
		if g.Account == a.N && (kind == "" || g.Credential == kind) {
			list = append(list, g)
		}
	}
	c.revokeLater(a, list, !one || body.Type == "classic_pat")
}

// revokeLater queues a revocation. own: the token of the request is among what
// ends, if it is the user's.
func (c *call) revokeLater(a *org.Account, list []*org.Grant, own bool) {
	own = own && a == c.account()
	who, end := c.token, c.end(list)
	c.settle(Settle, func(x *org.Act) {
		end(x)
		if own {
			c.h.mu.Lock()
			who.cut = true
			c.h.mu.Unlock()
		}
	})
	c.accepted(func() {
		c.str("message", "The credential authorizations of "+shown(a)+" are being revoked.")
		if own {
			c.str("warning", "The token used for this request may be revoked.")
		} else {
			c.str("warning", "")
		}
	})
}

// revokeInEnterprise is POST
// /enterprises/{enterprise}/credential-authorizations/{username}/revoke. With
// revoke_credentials the tokens and keys of a managed user are destroyed.
func (c *call) revokeInEnterprise() {
	var body struct {
		Destroy bool `json:"revoke_credentials"`
	}
	if !c.enterpriseIs(c.path("enterprise")) || !c.sent(&body) {
		return
	}
	a := c.find(c.path("username"))
	switch {
	case a == nil:
		c.notFound()
		return
	case body.Destroy && !c.flavour.EMU:
		c.fail(http.StatusUnprocessableEntity, "The `revoke_credentials` option is only available for Enterprise Managed User (EMU) enterprises.")
		return
	}
	list := liveGrants(c.s, org.GrantCredential)
	if body.Destroy {
		list = append(list, liveGrants(c.s, org.GrantPAT)...)
	}
	list = slices.DeleteFunc(list, func(g *org.Grant) bool { return g.Account != a.N })
	c.revokeLater(a, list, true)
}

func (c *call) enterpriseIs(slug string) bool {
	if strings.EqualFold(slug, enterprise(c.s)) {
		return true
	}
	c.notFound()
	return false
}

// patBody is what the endpoints of fine-grained tokens are sent.
type patBody struct {
	Action string
	Reason *string
	IDs    []int64 `json:"pat_ids"`
}

// patAction reads it, and checks the action.
func (c *call) patAction(allowed ...string) (body patBody, ok bool) {
	if !c.orgIs(c.path("org")) || !c.sent(&body) {
		return body, false
	}
	if !slices.Contains(allowed, body.Action) {
		c.invalid("PersonalAccessToken", "action", "invalid", "action is not one of "+strings.Join(allowed, ", "))
		return body, false
	}
	return body, true
}

// revokePAT is POST /orgs/{org}/personal-access-tokens/{id}.
func (c *call) revokePAT() {
	if _, ok := c.patAction("revoke"); !ok {
		return
	}
	g := c.grantID(org.GrantPAT, kindPAT, c.path("id"))
	if g == nil {
		c.notFound()
		return
	}
	c.settle(0, c.end([]*org.Grant{g}))
	c.done()
}

// revokePATs is POST /orgs/{org}/personal-access-tokens.
func (c *call) revokePATs() {
	body, ok := c.patAction("revoke")
	if !ok {
		return
	}
	if n := len(body.IDs); n < 1 || n > 100 {
		c.invalid("PersonalAccessToken", "pat_ids", "invalid", "pat_ids must hold 1 to 100 ids")
		return
	}
	var list []*org.Grant
	for _, id := range body.IDs {
		g := c.grantID(org.GrantPAT, kindPAT, itoa(id))
		if g == nil {
			c.invalid("PersonalAccessToken", "pat_ids", "invalid", "there is no token "+itoa(id))
			return
		}
		list = append(list, g)
	}
	c.settle(Settle, c.end(list))
	c.accepted(func() {})
}

// waiting returns the tokens that wait for approval.
func waiting(s *org.State) []*org.Request {
	var all []*org.Request
	for _, q := range s.Requests {
		if alive(q.Created, q.Gone, s) && here(s.Accounts[org.GitHub][q.Account], s) {
			all = append(all, q)
		}
	}
	return all
}

// decidePATRequest is POST /orgs/{org}/personal-access-token-requests/{id}.
func (c *call) decidePATRequest() {
	body, ok := c.patAction("approve", "deny")
	switch {
	case !ok:
		return
	case body.Reason != nil && len(*body.Reason) > 1024:
		c.invalid("PersonalAccessTokenRequest", "reason", "invalid", "reason is too long (maximum is 1024 characters)")
		return
	}
	for _, q := range waiting(c.s) {
		if itoa(c.h.id(kindRequest, q.N)) == c.path("id") {
			c.settle(0, func(x *org.Act) {
				if slices.Contains(waiting(c.s), q) {
					c.s.Decide(x, q, body.Action == "approve")
				}
			})
			c.done()
			return
		}
	}
	c.notFound()
}

// patRequests is GET /orgs/{org}/personal-access-token-requests.
func (c *call) patRequests() {
	if !c.orgIs(c.path("org")) {
		return
	}
	c.open('[')
	for _, q := range page(c, waiting(c.s)) {
		c.object0(func() {
			id := c.h.id(kindRequest, q.N)
			c.int("id", id)
			c.str("reason", q.Reason)
			c.object("owner", func() { c.user(c.s.Accounts[org.GitHub][q.Account]) })
			c.str("repository_selection", "all")
			c.str("repositories_url", c.api()+"/organizations/"+itoa(c.orgID())+"/personal-access-token-requests/"+itoa(id)+"/repositories")
			c.patPermissions(q.Scopes)
			c.time("created_at", q.Created)
			c.int("token_id", c.h.id(kindRequest, q.N))
			c.str("token_name", q.Name)
			c.bool("token_expired", c.s.Over(q.Expires))
			c.time("token_expires_at", q.Expires)
			c.null("token_last_used_at")
		})
	}
	c.close(']')
}

// uninstall is DELETE
// /enterprises/{enterprise}/apps/organizations/{org}/installations/{id}, for an
// App that is installed on the enterprise.
func (c *call) uninstall() {
	if !c.enterpriseIs(c.path("enterprise")) || !c.orgIs(c.path("org")) {
		return
	}
	for _, in := range c.s.Integrations[org.GitHub] {
		if in.Kind == "github_app" && alive(in.Created, in.Gone, c.s) && itoa(c.h.id(kindInstallation, in.N)) == c.path("id") {
			c.settle(0, func(x *org.Act) {
				if alive(in.Created, in.Gone, c.s) {
					c.s.RemoveIntegration(org.GitHub, x, in)
				}
			})
			c.done()
			return
		}
	}
	c.notFound()
}
