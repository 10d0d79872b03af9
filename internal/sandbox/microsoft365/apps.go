package microsoft365

import (
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// owner is the tenant that registered an app.
func (h *Handler) owner(s *org.State, in *org.Integration) string {
	switch in.Publisher {
	case "Microsoft":
		return microsoftTenant
	case s.Domain:
		return h.tenantID
	}
	return h.guid("publisher "+in.Publisher, 0)
}

// verified says whether an app's publisher has been verified.
func verified(s *org.State, in *org.Integration) bool {
	return in.Publisher != "Microsoft" && in.Publisher != s.Domain && in.N%3 != 1
}

// publisherName is what an app says of its publisher.
func publisherName(s *org.State, in *org.Integration) string {
	if in.Publisher == "Microsoft" {
		return "Microsoft Services"
	}
	if in.Publisher == s.Domain {
		return s.Name
	}
	return in.Publisher
}

// secret of an app: a password, or else a certificate.
type secret struct {
	id       string
	password bool
	from, to time.Time
}

// secrets are what an app of the tenant's own proves itself with.
func (h *Handler) secrets(s *org.State, in *org.Integration) (list []secret) {
	if in.Publisher != s.Domain {
		return nil
	}
	if in.Kind == h.facts.ManagedIdentity || in.N%3 == 0 {
		list = append(list, secret{h.guid("certificate", in.N), false, in.Created, in.Created.AddDate(3, 0, 0)})
	}
	if in.Kind != h.facts.ManagedIdentity {
		list = append(list, secret{h.guid("secret", in.N), true, in.Created, in.Created.AddDate(2, 0, 0)})
	}
	return list
}

// appView is a service principal.
func (c *call) appView(in *org.Integration) object {
	h, f := c.h, &c.h.facts
	passwords, keys := []object{}, []object{}
	for _, x := range h.secrets(c.s, in) {
		v := object{"keyId": x.id, "displayName": "made by hand", "startDateTime": stamp(x.from), "endDateTime": stamp(x.to)}
		if x.password {
			v["hint"], v["secretText"] = "abc", nil
			passwords = append(passwords, v)
			continue
		}
		v["type"], v["usage"], v["key"] = "AsymmetricX509Cert", "Verify", nil
		keys = append(keys, v)
	}
	publisher := object{"displayName": nil, "verifiedPublisherId": nil, "addedDateTime": nil}
	if verified(c.s, in) {
		publisher = object{"displayName": in.Publisher, "verifiedPublisherId": h.guid("publisher id "+in.Publisher, 0)[:8], "addedDateTime": stamp(in.Created)}
	}
	roles := []object{}
	for _, value := range org.AppRoles[in.N] {
		roles = append(roles, object{"id": h.appRoleID(in.N, value), "value": value, "displayName": value, "description": value, "isEnabled": true, "allowedMemberTypes": []string{"Application"}, "origin": "Application"})
	}
	replies, tags := in.RedirectURIs, []string{}
	if replies == nil {
		replies = []string{}
	}
	if in.Kind == "Application" && in.N > org.ManagementAPI {
		tags = append(tags, "WindowsAzureActiveDirectoryIntegratedApp")
	}
	return object{
		f.ID: h.servicePrincipalID(in.N), f.AppID: h.appID(in.N), "displayName": in.Label, "appDisplayName": in.Label, "servicePrincipalType": h.kindOf(in), f.Enabled: in.Active,
		f.OwnerTenant: h.owner(c.s, in), "createdDateTime": stamp(in.Created), "deletedDateTime": nil, "tags": tags, f.Verified: publisher, "publisherName": publisherName(c.s, in),
		"replyUrls": replies, "passwordCredentials": passwords, "keyCredentials": keys, "disabledByMicrosoftStatus": nil, "appRoles": roles, "appRoleAssignmentRequired": false,
		"servicePrincipalNames": []string{h.appID(in.N)}, "alternativeNames": []string{}, "signInAudience": "AzureADMultipleOrgs", "oauth2PermissionScopes": []object{},
	}
}

// kindOf is an app's type, by the vendor's words.
func (h *Handler) kindOf(in *org.Integration) string {
	if in.Kind == "ManagedIdentity" {
		return h.facts.ManagedIdentity
	}
	return in.Kind
}

// noRole stands for the right to use an app at all.
const noRole = "00000000-0000-0000-0000-000000000000"

func (h *Handler) appRoleID(resource int, value string) string {
	return h.guid("app role "+value, resource)
}

func (c *call) servicePrincipals() *failure {
	keep, f := c.idFilter("$filter")
	if f != nil {
		return f
	}
	apps := c.s.Integrations[org.Microsoft365]
	return c.list(c.h.facts.Apps, len(apps), func(i int) object {
		if !apps[i].Gone.IsZero() || keep != nil && !keep[c.h.servicePrincipalID(i)] {
			return nil
		}
		return c.appView(apps[i])
	})
}

func (c *call) servicePrincipalsDelta() *failure {
	apps := c.s.Integrations[org.Microsoft365]
	return c.changed(&changes{
		n: len(apps), id: c.h.servicePrincipalID,
		at: func(i int) time.Time { return latest(apps[i].Modified, apps[i].Gone) },
		gone: func(i int) string {
			switch in := apps[i]; {
			case in.Gone.IsZero():
				return ""
			case c.s.Now.Sub(in.Gone) < org.DeletedKept:
				return c.h.facts.SoftDeleted
			}
			return c.h.facts.HardDeleted
		},
		rows: func(i int, _ time.Time) []object { return []object{c.appView(apps[i])} },
	})
}

// appOf returns the service principal that the path names, by its id or its app's.
func (c *call) appOf() (*org.Integration, *failure) {
	apps := c.s.Integrations[org.Microsoft365]
	if n := c.h.servicePrincipalN(c.s, c.args[0]); n >= 0 && apps[n].Gone.IsZero() {
		return apps[n], nil
	}
	return nil, c.notFound(c.args[0])
}

func (c *call) servicePrincipal() *failure {
	in, f := c.appOf()
	if f != nil {
		return f
	}
	return c.one(c.appView(in))
}

// applications are the registrations of the tenant's own apps.
func (c *call) applications() *failure {
	apps := c.s.Integrations[org.Microsoft365]
	return c.list(c.h.facts.Apps, len(apps), func(i int) object {
		in := apps[i]
		if !in.Gone.IsZero() || in.Publisher != c.s.Domain || in.Kind == c.h.facts.ManagedIdentity {
			return nil
		}
		v := c.appView(in)
		return object{
			c.h.facts.ID: c.h.guid("application", i), c.h.facts.AppID: c.h.appID(i), "displayName": in.Label, "createdDateTime": stamp(in.Created), "publisherDomain": c.s.Domain,
			"passwordCredentials": v["passwordCredentials"], "keyCredentials": v["keyCredentials"], "signInAudience": "AzureADMyOrg", "web": object{"redirectUris": v["replyUrls"]},
		}
	})
}

// holds says whether a grant is there, and all that it names.
func holds(s *org.State, g *org.Grant) bool {
	if !g.Gone.IsZero() || !there(s, ref(org.IntegrationRef, g.Resource)) {
		return false
	}
	return (g.Integration < 0 || there(s, ref(org.IntegrationRef, g.Integration))) &&
		(g.Account < 0 || there(s, ref(org.AccountRef, g.Account))) && (g.Holder.Kind == "" || there(s, g.Holder))
}

// grantView is a delegated grant: the client acts for one person, or for all.
func (c *call) grantView(g *org.Grant) object {
	h, f := c.h, &c.h.facts
	v := object{
		f.ID: h.grantID(g.N), f.Client: h.servicePrincipalID(g.Integration), "resourceId": h.servicePrincipalID(g.Resource),
		"scope": strings.Join(g.Scopes, " "),
	}
	if g.N%2 == 0 {
		v["scope"] = " " + strings.Join(g.Scopes, " ") // as it often is
	}
	v[f.GrantFor], v[f.ConsentType] = nil, f.AllPrincipals
	if g.Account >= 0 {
		v[f.GrantFor], v[f.ConsentType] = h.accountID(g.Account), "Principal"
	}
	return v
}

// listedGrant says whether the list has a delegated grant yet: it lags.
func (c *call) listedGrant(g *org.Grant) bool {
	return g.Kind == org.GrantConsent && holds(c.s, g) && !g.Created.After(c.s.Now.Add(-c.h.Faults().GrantLag))
}

func (c *call) permissionGrants() *failure {
	keep, f := c.eqFilter(c.h.facts.Client, c.h.facts.GrantFor)
	if f != nil {
		return f
	}
	grants := c.s.Grants[org.Microsoft365]
	return c.list(c.h.facts.Grants, len(grants), func(i int) object {
		if !c.listedGrant(grants[i]) {
			return nil
		}
		if v := c.grantView(grants[i]); keep(v) {
			return v
		}
		return nil
	})
}

func (c *call) permissionGrant() *failure {
	grants := c.s.Grants[org.Microsoft365]
	n := c.h.number("grant", c.args[0], len(grants), c.h.grantID)
	if n < 0 || grants[n].Kind != org.GrantConsent || !holds(c.s, grants[n]) {
		return c.notFound(c.args[0])
	}
	return c.one(c.grantView(grants[n]))
}

func (c *call) permissionGrantsDelta() *failure {
	grants := c.s.Grants[org.Microsoft365]
	return c.changed(&changes{
		n: len(grants), id: c.h.grantID,
		at: func(i int) time.Time { return latest(grants[i].Created, grants[i].Modified, c.endOf(grants[i])) },
		gone: func(i int) string {
			if g := grants[i]; g.Kind == org.GrantConsent && !holds(c.s, g) {
				return c.h.facts.HardDeleted
			}
			return ""
		},
		rows: func(i int, _ time.Time) []object {
			if grants[i].Kind != org.GrantConsent {
				return nil
			}
			return []object{c.grantView(grants[i])}
		},
	})
}

// endOf is when a grant ended, by itself or with what it names.
func (c *call) endOf(g *org.Grant) time.Time {
	t := latest(g.Gone, c.goneAt(ref(org.IntegrationRef, g.Resource)))
	if g.Integration >= 0 {
		t = latest(t, c.goneAt(ref(org.IntegrationRef, g.Integration)))
	}
	if g.Account >= 0 {
		if a := c.s.Accounts[org.Microsoft365][g.Account]; !present(a) {
			t = latest(t, a.StatusChanged, a.Gone)
		}
	}
	return t
}

// appRoleAssignedTo lists who holds a role of an app: other apps, people, groups.
func (c *call) appRoleAssignedTo() *failure {
	return c.appRoles(func(in *org.Integration, g *org.Grant) bool { return g.Resource == in.N })
}

// appRoleAssignments lists the roles of apps that an app holds.
func (c *call) appRoleAssignments() *failure {
	return c.appRoles(func(in *org.Integration, g *org.Grant) bool { return g.Integration == in.N })
}

// appRoles lists the roles of apps that fit the app of the path.
func (c *call) appRoles(fits func(*org.Integration, *org.Grant) bool) *failure {
	in, f := c.appOf()
	if f != nil {
		return f
	}
	grants := c.s.Grants[org.Microsoft365]
	return c.list(c.h.facts.Grants, len(grants), func(i int) object {
		g := grants[i]
		if g.Kind != org.GrantAppRole || !fits(in, g) || !holds(c.s, g) {
			return nil
		}
		return c.appRoleView(c.s.Integrations[org.Microsoft365][g.Resource], g)
	})
}

// appRoleView is a role of an app that somebody holds.
func (c *call) appRoleView(in *org.Integration, g *org.Grant) object {
	holder := g.Holder
	switch {
	case g.Integration >= 0:
		holder = ref(org.IntegrationRef, g.Integration)
	case g.Account >= 0:
		holder = ref(org.AccountRef, g.Account)
	}
	principal := c.objectView(holder)
	kind := strings.TrimPrefix(principal["@odata.type"].(string), c.h.facts.TypePrefix)
	v := object{
		c.h.facts.ID: c.h.grantID(g.N), c.h.facts.AppRole: noRole, "createdDateTime": stamp(g.Created), "deletedDateTime": nil, "principalId": principal[c.h.facts.ID],
		"principalType": strings.ToUpper(kind[:1]) + kind[1:], "principalDisplayName": principal["displayName"], "resourceId": c.h.servicePrincipalID(in.N), "resourceDisplayName": in.Label,
	}
	if len(g.Scopes) > 0 {
		v[c.h.facts.AppRole] = c.h.appRoleID(in.N, g.Scopes[0])
	}
	return v
}

func (c *call) organization() *failure {
	c.page([]object{{
		c.h.facts.ID: c.h.tenantID, "displayName": c.s.Name, "createdDateTime": stamp(c.s.Born), "tenantType": "AAD",
		"verifiedDomains": []object{{"name": c.s.Domain, "isDefault": true, "isInitial": false}, {"name": c.s.Name + ".onmicrosoft.example", "isDefault": false, "isInitial": true}},
	}}, func(object) {})
	return nil
}
