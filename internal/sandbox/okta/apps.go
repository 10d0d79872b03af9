package okta

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// Kinds of integrations.
const (
	openID     = "OPENID_CONNECT"
	apiService = "API_SERVICE"
)

// catalogueKey is the name of an app's template: all OpenID Connect apps that
// an organization registers itself have the same one.
func catalogueKey(in *org.Integration) string {
	if in.Kind == openID {
		return "oidc_client"
	}
	return in.Name
}

func appStatus(in *org.Integration) string {
	if in.Active && in.SuspendedAt.IsZero() {
		return "ACTIVE"
	}
	return "INACTIVE"
}

func (h *Handler) allowAppFilter(attr, op string) bool {
	return op == "eq" && slices.Contains([]string{"status", "name", "user.id", "group.id"}, attr)
}

func (h *Handler) apps(c *call) {
	list := c.s.Integrations[org.Okta]
	show := func(*org.Integration) bool { return true }
	if text := c.query.Get("filter"); text != "" {
		e, err := parseFilter(text, h.allowAppFilter)
		if err != nil {
			h.fail(c, http.StatusBadRequest, h.facts.ErrFilter, "Invalid search criteria.", err.Error())
			return
		}
		show = func(in *org.Integration) bool {
			return e.holds(func(attr string) []string {
				switch attr {
				case "status":
					return []string{appStatus(in)}
				case "name":
					return []string{catalogueKey(in)}
				}
				return nil
			})
		}
	} else if q := strings.ToLower(c.query.Get("q")); q != "" {
		show = func(in *org.Integration) bool { return strings.HasPrefix(strings.ToLower(in.Label), q) }
	}
	h.list(c, h.facts.Apps, len(list), func(b []byte, i int) []byte {
		if in := list[i]; in.Kind != apiService && in.Gone.IsZero() && show(in) {
			return h.appendApp(b, c, in)
		}
		return b
	})
}

func (h *Handler) appendApp(b []byte, c *call, in *org.Integration) []byte {
	b = appendIDMember(append(b, '{'), "id", c.seed, kindApp, in.N)
	b = appendMember(b, "name", catalogueKey(in))
	b = appendMember(b, "label", in.Label)
	b = appendMember(b, "status", appStatus(in))
	b = appendTimeMember(b, "lastUpdated", in.Modified)
	b = appendTimeMember(b, "created", in.Created)
	b = append(appendName(b, "accessibility"), `{"selfService":false}`...)
	b = append(appendName(b, "features"), '[', ']')
	b = appendMember(b, "signOnMode", in.Kind)
	if in.Kind == openID {
		b = append(appendName(b, "credentials"), `{"oauthClient":{`...)
		b = appendIDMember(b, "client_id", c.seed, kindApp, in.N)
		b = appendMember(b, "token_endpoint_auth_method", "client_secret_basic")
		b = append(b, '}', '}')
		b = append(appendName(b, "settings"), `{"oauthClient":{`...)
		b = appendStrings(appendName(b, "redirect_uris"), in.RedirectURIs)
		b = append(b, `,"response_types":["code"],"grant_types":["authorization_code","refresh_token"],"application_type":"web","consent_method":"REQUIRED","dpop_bound_access_tokens":false}}`...)
	} else {
		b = append(appendName(b, "credentials"), `{"userNameTemplate":{"template":"${source.login}","type":"BUILT_IN"}}`...)
		b = append(appendName(b, "settings"), `{"app":{}}`...)
	}
	b = append(appendName(b, "_links"), `{"users":`...)
	b = h.appendHref(b, "/api/v1/apps/", c.seed, kindApp, in.N, "/users")
	return append(b, '}', '}')
}

// appOf returns the app that a path names, or answers.
func (h *Handler) appOf(c *call) *org.Integration {
	if in := h.integration(c, c.args[0]); in != nil && in.Kind != apiService {
		return in
	}
	h.notFound(c, c.args[0]+" (AppInstance)")
	return nil
}

func (h *Handler) integration(c *call, name string) *org.Integration {
	list := c.s.Integrations[org.Okta]
	if n, ok := number(c.seed, kindApp, name); ok && n < len(list) && list[n].Gone.IsZero() {
		return list[n]
	}
	return nil
}

func (h *Handler) app(c *call) {
	if in := h.appOf(c); in != nil {
		c.body = h.appendApp(c.body[:0], c, in)
	}
}

// grantsOf returns the grants of a kind, of an account, of an integration: -1
// does not matter.
func grantsOf(s *org.State, kind string, account, integration int) []*org.Grant {
	var list []*org.Grant
	for _, g := range s.Grants[org.Okta] {
		if g.Kind == kind && live(s, g) && (account < 0 || g.Account == account) && (integration < 0 || g.Integration == integration) {
			list = append(list, g)
		}
	}
	return list
}

// live tells whether a grant is listed: neither it nor what it belongs to is
// gone, and it has not ended by itself.
func live(s *org.State, g *org.Grant) bool {
	switch {
	case !g.Gone.IsZero(),
		g.Integration >= 0 && !s.Integrations[org.Okta][g.Integration].Gone.IsZero(),
		g.Account >= 0 && !s.Accounts[org.Okta][g.Account].Gone.IsZero():
		return false
	}
	return true
}

// byGrant pages over grants by number.
func (h *Handler) byGrant(c *call, p Page, list []*org.Grant, write func(b []byte, c *call, g *org.Grant) []byte) {
	numbers := make([]int, len(list))
	for i, g := range list {
		numbers[i] = g.N
	}
	h.byNumber(c, p, numbers, func(b []byte, n int) []byte { return write(b, c, c.s.Grants[org.Okta][n]) })
}

func (h *Handler) appGrants(c *call) {
	in := h.appOf(c)
	if in == nil {
		return
	}
	list := grantsOf(c.s, org.GrantScope, -1, in.N)
	if h.facts.AppGrantsPaged {
		h.byGrant(c, Page{2, 200}, list, h.appendGrant)
		return
	}
	h.whole(c, len(list), func(b []byte, i int) []byte { return h.appendGrant(b, c, list[i]) })
}

func (h *Handler) appTokens(c *call) {
	if in := h.appOf(c); in != nil {
		h.byGrant(c, h.facts.Tokens, grantsOf(c.s, org.GrantRefresh, -1, in.N), h.appendRefresh)
	}
}

// appUsers lists who has a consent or token for the app: the model knows no
// other assignments.
func (h *Handler) appUsers(c *call) {
	in := h.appOf(c)
	if in == nil {
		return
	}
	var list []int
	for _, kind := range []string{org.GrantConsent, org.GrantRefresh} {
		for _, g := range grantsOf(c.s, kind, -1, in.N) {
			list = append(list, g.Account)
		}
	}
	slices.Sort(list)
	h.byNumber(c, h.facts.AppUsers, slices.Compact(list), func(b []byte, n int) []byte {
		a := c.s.Accounts[org.Okta][n]
		b = appendIDMember(append(b, '{'), "id", c.seed, kindUser, n)
		b = appendMember(b, "scope", "USER")
		b = appendMember(b, "status", "ACTIVE")
		b = appendTimeMember(b, "created", a.Created)
		b = appendTimeMember(b, "lastUpdated", a.Modified)
		b = append(appendName(b, "credentials"), '{')
		b = append(appendMember(b, "userName", a.Login), '}')
		b = append(appendName(b, "profile"), '{')
		return append(appendMember(b, "email", c.s.People[a.Person].Email), '}', '}')
	})
}

func (h *Handler) userGrants(c *call) {
	if a := h.account(c, c.args[0]); a != nil {
		h.byGrant(c, h.facts.UserGrants, grantsOf(c.s, org.GrantConsent, a.N, -1), h.appendGrant)
	}
}

func (h *Handler) userClientGrants(c *call) {
	h.ofUserAndClient(c, org.GrantConsent, h.facts.UserGrants, h.appendGrant)
}

func (h *Handler) userTokens(c *call) {
	h.ofUserAndClient(c, org.GrantRefresh, h.facts.Tokens, h.appendRefresh)
}

func (h *Handler) ofUserAndClient(c *call, kind string, p Page, write func(b []byte, c *call, g *org.Grant) []byte) {
	a := h.account(c, c.args[0])
	if a == nil {
		return
	}
	if in := h.clientOf(c, c.args[1]); in != nil {
		h.byGrant(c, p, grantsOf(c.s, kind, a.N, in.N), write)
	}
}

func (h *Handler) userClients(c *call) {
	a := h.account(c, c.args[0])
	if a == nil {
		return
	}
	var list []int
	for _, g := range grantsOf(c.s, org.GrantRefresh, a.N, -1) {
		list = append(list, g.Integration)
	}
	slices.Sort(list)
	list = slices.Compact(list)
	h.whole(c, len(list), func(b []byte, i int) []byte {
		in := c.s.Integrations[org.Okta][list[i]]
		b = appendIDMember(append(b, '{'), "client_id", c.seed, kindApp, in.N)
		return append(appendMember(b, "client_name", in.Label), '}')
	})
}

// appendGrant appends a consent, a person's or an admin's.
func (h *Handler) appendGrant(b []byte, c *call, g *org.Grant) []byte {
	f := &h.facts
	b = appendIDMember(append(b, '{'), "id", c.seed, kindGrant, g.N)
	b = appendMember(b, "status", "ACTIVE")
	b = appendTimeMember(b, "created", g.Created)
	b = appendTimeMember(b, "lastUpdated", g.Created)
	b = appendMember(b, "issuer", h.links)
	b = appendIDMember(b, f.ClientID, c.seed, kindApp, g.Integration)
	if g.Account >= 0 {
		b = appendIDMember(b, "userId", c.seed, kindUser, g.Account)
	}
	scope := ""
	if len(g.Scopes) > 0 {
		scope = g.Scopes[0]
	}
	b = appendMember(b, f.ScopeID, scope)
	source := f.EndUser
	if g.Kind == org.GrantScope {
		source = f.Admin
	}
	b = appendMember(b, "source", source)
	return append(h.appendClientLinks(b, c, g.Integration), '}')
}

func (h *Handler) appendRefresh(b []byte, c *call, g *org.Grant) []byte {
	f := &h.facts
	b = appendIDMember(append(b, '{'), "id", c.seed, kindRefresh, g.N)
	b = appendMember(b, "status", "ACTIVE")
	b = appendTimeMember(b, "created", g.Created)
	b = appendTimeMember(b, "lastUpdated", g.Created)
	if !g.Expires.IsZero() {
		b = appendTimeMember(b, f.ExpiresAt, g.Expires)
	}
	b = appendMember(b, "issuer", h.links)
	b = appendIDMember(b, f.ClientID, c.seed, kindApp, g.Integration)
	b = appendIDMember(b, "userId", c.seed, kindUser, g.Account)
	b = appendStrings(appendName(b, "scopes"), g.Scopes)
	return append(h.appendClientLinks(b, c, g.Integration), '}')
}

func (h *Handler) appendClientLinks(b []byte, c *call, integration int) []byte {
	b = append(appendName(b, "_links"), `{"client":{`...)
	b = append(append(append(b, `"href":"`...), h.links...), "/oauth2/v1/clients/"...)
	b = append(appendID(b, c.seed, kindApp, integration), '"')
	b = appendMember(b, "title", c.s.Integrations[org.Okta][integration].Label)
	return append(b, '}', '}')
}

// tokenWindow is how long an API token works without being used.
const tokenWindow = 30 * day

// tokenExpiry is when an API token ends if nobody uses it.
func tokenExpiry(g *org.Grant) time.Time {
	if !g.Expires.IsZero() {
		return g.Expires
	}
	if g.LastUsed.After(g.Created) {
		return g.LastUsed.Add(tokenWindow)
	}
	return g.Created.Add(tokenWindow)
}

func (h *Handler) apiTokens(c *call) {
	list := grantsOf(c.s, org.GrantAPIToken, -1, -1)
	if h.facts.APITokensPaged {
		h.byGrant(c, Page{2, 200}, list, h.appendAPIToken)
		return
	}
	h.whole(c, len(list), func(b []byte, i int) []byte { return h.appendAPIToken(b, c, list[i]) })
}

func (h *Handler) apiToken(c *call) {
	list := c.s.Grants[org.Okta]
	n, ok := number(c.seed, kindAPIToken, c.args[0])
	if !ok || n >= len(list) || list[n].Kind != org.GrantAPIToken || !live(c.s, list[n]) {
		h.notFound(c, c.args[0]+" (ApiToken)")
		return
	}
	c.body = h.appendAPIToken(c.body[:0], c, list[n])
}

func (h *Handler) appendAPIToken(b []byte, c *call, g *org.Grant) []byte {
	f := &h.facts
	b = appendMember(append(b, '{'), "name", g.Name)
	b = appendIDMember(b, "userId", c.seed, kindUser, g.Account)
	b = appendMember(b, f.TokenWindow, "P30D")
	b = append(appendName(b, "network"), `{"connection":"ANYWHERE"}`...)
	b = appendIDMember(b, "id", c.seed, kindAPIToken, g.N)
	b = appendMember(b, "clientName", "Okta API")
	b = appendTimeMember(b, f.ExpiresAt, tokenExpiry(g))
	b = appendTimeMember(b, "created", g.Created)
	b = appendTimeMember(b, "lastUpdated", g.Created)
	return append(b, '}')
}

func (h *Handler) services(c *call) {
	list := c.s.Integrations[org.Okta]
	h.list(c, h.facts.Services, len(list), func(b []byte, i int) []byte {
		if in := list[i]; in.Kind == apiService && in.Gone.IsZero() {
			return h.appendService(b, c, in)
		}
		return b
	})
}

func (h *Handler) service(c *call) {
	in := h.integration(c, c.args[0])
	if in == nil || in.Kind != apiService {
		h.notFound(c, c.args[0])
		return
	}
	c.body = h.appendService(c.body[:0], c, in)
}

func (h *Handler) appendService(b []byte, c *call, in *org.Integration) []byte {
	b = appendIDMember(append(b, '{'), "id", c.seed, kindApp, in.N)
	b = appendMember(b, "type", strings.ReplaceAll(in.Name, "-", "_"))
	b = appendMember(b, "name", in.Label)
	b = appendTimeMember(b, "createdAt", in.Created)
	b = appendIDMember(b, "createdBy", c.seed, kindUser, 0)
	b = appendStrings(appendName(b, h.facts.GrantedScopes), in.Scopes)
	b = append(appendName(b, "_links"), `{"self":`...)
	return append(h.appendHref(b, "/integrations/api/v1/api-services/", c.seed, kindApp, in.N, ""), '}', '}')
}

// isClient tells whether an integration is an OAuth client.
func isClient(in *org.Integration) bool {
	return (in.Kind == openID || in.Kind == apiService) && in.Gone.IsZero()
}

func (h *Handler) clientOf(c *call, name string) *org.Integration {
	if in := h.integration(c, name); in != nil && isClient(in) {
		return in
	}
	h.notFound(c, name+" (PublicClientApp)")
	return nil
}

func (h *Handler) clients(c *call) {
	list := c.s.Integrations[org.Okta]
	h.list(c, h.facts.Clients, len(list), func(b []byte, i int) []byte {
		if in := list[i]; isClient(in) {
			return h.appendClient(b, c, in)
		}
		return b
	})
}

func (h *Handler) client(c *call) {
	if in := h.clientOf(c, c.args[0]); in != nil {
		c.body = h.appendClient(c.body[:0], c, in)
	}
}

func (h *Handler) appendClient(b []byte, c *call, in *org.Integration) []byte {
	b = appendIDMember(append(b, '{'), "client_id", c.seed, kindApp, in.N)
	b = appendMember(b, "client_name", in.Label)
	b = appendInt(appendName(b, "client_id_issued_at"), in.Created.Unix())
	if in.Kind == apiService {
		b = appendMember(b, "application_type", "service")
		b = append(appendName(b, "grant_types"), `["client_credentials"]`...)
		b = appendMember(b, "token_endpoint_auth_method", "private_key_jwt")
	} else {
		b = appendMember(b, "application_type", "web")
		b = append(appendName(b, "grant_types"), `["authorization_code","refresh_token"]`...)
		b = appendStrings(appendName(b, "redirect_uris"), in.RedirectURIs)
		b = appendMember(b, "token_endpoint_auth_method", "client_secret_basic")
	}
	return append(b, '}')
}
