package microsoft365

import (
	"slices"
	"strings"
	"time"

	"weir/schemas"
)

// vendorTenant owns the vendor's own apps.
const vendorTenant = "f8cdef31-a31e-4b4a-93e4-5f571e91255a"

func mapUser(a *schemas.Account, u *wireUser) {
	a.AccountID, a.Login = string(u.ID), string(u.UserPrincipalName)
	if a.Login != "" {
		a.AliasIDs = []string{a.Login}
	}
	a.Email = lower(first(string(u.Mail), address(u.UserPrincipalName)))
	for _, e := range []string{a.Email, lower(address(u.UserPrincipalName))} {
		if e != "" && !slices.Contains(a.Emails, e) {
			a.Emails = append(a.Emails, e)
		}
	}
	a.DisplayName = string(u.DisplayName)
	switch {
	case u.Deleted != "":
		a.Status = "deleted"
	case u.AccountEnabled != nil && !*u.AccountEnabled:
		a.Status = "suspended"
	case u.ExternalUserState == "PendingAcceptance":
		a.Status = "invited"
	case u.AccountEnabled != nil:
		a.Status = "active"
	default:
		a.Status = "unknown"
	}
	a.Kind = "human"
	if u.UserType == "Guest" {
		a.Kind = "guest"
	}
	if u.UserType != "" {
		a.External = schemas.Some(u.UserType == "Guest")
	}
	a.CreatedAt, a.PasswordChangedAt = parseTime(u.Created), parseTime(u.PasswordChanged)
	a.Title, a.Department, a.ManagerID = string(u.JobTitle), string(u.Department), string(u.Manager.ID)
	a.OrgUnit = first(string(u.CompanyName), string(u.OnPremisesDN))
}

// address returns a sign-in name that looks like a mail address. A guest's does
// not: it is made of the address at home.
func address(login text) string {
	name, domain, ok := strings.Cut(string(login), "@")
	if !ok || name == "" || !strings.Contains(domain, ".") || strings.Contains(domain, "@") || strings.Contains(name, "#EXT#") {
		return ""
	}
	return string(login)
}

// mapServiceAccount maps a service principal as an account.
func mapServiceAccount(a *schemas.Account, p *wireService, tenant string) {
	a.AccountID, a.Login, a.DisplayName, a.CreatedAt = string(p.ID), string(p.AppID), string(p.DisplayName), parseTime(p.Created)
	if a.Login != "" {
		a.AliasIDs = []string{a.Login}
	}
	a.Kind = "service"
	if strings.Contains(lower(string(p.Kind)), "agent") {
		a.Kind = "bot"
	}
	switch status := p.status(); status {
	case "disabled":
		a.Status = "suspended"
	default:
		a.Status = status
	}
	if p.Owner != "" {
		a.External = schemas.Some(lower(string(p.Owner)) != tenant)
	}
}

// status tells whether a service principal may sign in: its tenant and the
// vendor can both forbid it.
func (p *wireService) status() string {
	switch {
	case p.AccountEnabled != nil && !*p.AccountEnabled, p.DisabledStatus != "" && p.DisabledStatus != "NotDisabled":
		return "disabled"
	case p.AccountEnabled != nil:
		return "active"
	}
	return "unknown"
}

func mapApp(a *schemas.App, p *wireService) {
	a.AppID, a.Name, a.Kind, a.Status = string(p.ID), string(p.DisplayName), string(p.Kind), p.status()
	if p.AppID != "" {
		a.AliasIDs = []string{string(p.AppID)}
	}
	verified := string(p.VerifiedPublisher.DisplayName)
	a.Publisher, a.OwnerTenant, a.CreatedAt = first(verified, string(p.PublisherName)), lower(string(p.Owner)), parseTime(p.Created)
	a.Verified = schemas.Some(verified != "")
	if a.OwnerTenant != "" {
		a.FirstParty = schemas.Some(a.OwnerTenant == vendorTenant)
	}
	for _, u := range p.ReplyURLs {
		a.RedirectURIs = append(a.RedirectURIs, string(u))
	}
	for _, c := range slices.Concat(p.Passwords, p.Keys) {
		if c.KeyID == "" {
			continue
		}
		a.SecretIDs = append(a.SecretIDs, string(c.KeyID))
		end := ""
		if t := parseTime(c.End); t != 0 {
			end = t.String()
		}
		a.SecretExpiresAt = append(a.SecretExpiresAt, end)
	}
}

func mapGroup(g *schemas.Group, w *wireGroup) {
	g.GroupID, g.Name, g.Description, g.Email = string(w.ID), string(w.DisplayName), string(w.Description), lower(string(w.Mail))
	g.CreatedAt = parseTime(w.Created)
	switch {
	case slices.Contains(w.GroupTypes, "Unified"):
		g.Kind = "microsoft365"
	case w.SecurityEnabled && w.MailEnabled:
		g.Kind = "mail_security"
	case w.SecurityEnabled:
		g.Kind = "security"
	case w.MailEnabled:
		g.Kind = "distribution"
	default:
		g.Kind = "other"
	}
	if slices.Contains(w.GroupTypes, "DynamicMembership") {
		g.Kind += "_dynamic"
	}
}

func mapPrivilege(p *schemas.Privilege, a *wireAssignment, definitions map[string]wireRole) {
	p.PrivilegeID, p.PrincipalID, p.RoleID = string(a.ID), string(a.PrincipalID), string(a.RoleID)
	p.Condition, p.AssignedAt, p.ExpiresAt = string(a.Condition), parseTime(a.Start), parseTime(a.End)
	switch a.Principal.Type {
	case typeUser:
		p.PrincipalKind = "account"
	case typeGroup:
		p.PrincipalKind = "group"
	case typeService:
		p.PrincipalKind = "service"
	}
	switch {
	case a.Principal.Type == typeGroup:
		p.Via, p.ViaID = "group", p.PrincipalID
	case a.MemberType == memberOfGroup:
		p.Via = "group"
	case a.MemberType == "Inherited":
		p.Via = "inherited"
	default:
		p.Via = "direct"
	}
	scope := first(string(a.DirectoryScope), string(a.AppScope))
	switch p.Scope = scope; {
	case a.DirectoryScope == "" && a.AppScope != "":
		p.ScopeKind = "app"
	case scope == "/":
		p.ScopeKind = "org"
	case strings.HasPrefix(scope, "/administrativeUnits/"):
		p.ScopeKind = "administrative_unit"
	case scope != "":
		p.ScopeKind = "object"
	}
	role, ok := definitions[p.RoleID]
	if !ok {
		return
	}
	p.RoleName = string(role.Name)
	if role.BuiltIn != nil && *role.BuiltIn {
		// Those that only read are named so.
		p.Privileged = schemas.Some(!strings.HasSuffix(p.RoleName, "Reader") && !strings.HasSuffix(p.RoleName, "Readers"))
	}
}

// mapDelegated maps what an app may do in the name of those who are signed in.
func mapDelegated(g *schemas.AppGrant, w *wireDelegated, apps map[string]app) {
	g.GrantID, g.Kind = string(w.ID), "consent"
	of(g, string(w.ClientID), apps)
	g.Scopes = strings.Fields(string(w.Scope))
	g.Resource = string(w.ResourceID)
	switch w.ConsentType {
	case "AllPrincipals":
		g.Consent, g.PrincipalKind = "admin", "anyone"
	case "Principal":
		g.Consent, g.PrincipalKind, g.PrincipalID = "user", "account", string(w.PrincipalID)
	default:
		g.Consent = "unknown"
	}
	g.HighPrivilege = schemas.Some(slices.ContainsFunc(g.Scopes, reachesAll))
}

// mapAppRole maps what an app may do by itself.
func mapAppRole(g *schemas.AppGrant, w *wireAppRole, r resource, apps map[string]app) {
	g.GrantID, g.Kind, g.Consent = string(w.ID), "app_role", "admin"
	of(g, string(w.PrincipalID), apps)
	g.AppName = first(g.AppName, string(w.PrincipalName))
	g.PrincipalID, g.PrincipalKind = g.AppID, "app"
	g.Resource = r.id
	g.CreatedAt = parseTime(w.Created)
	if role := r.roles[string(w.RoleID)]; role != "" {
		g.Scopes = []string{role}
		g.HighPrivilege = schemas.Some(reachesAll(role) || ofEverybody(role))
	} else {
		g.Scopes = []string{string(w.RoleID)}
	}
}

// of tells of the app that a grant is to.
func of(g *schemas.AppGrant, id string, apps map[string]app) {
	a, ok := apps[id]
	g.AppID, g.AppName, g.Publisher, g.Status = id, a.name, a.publisher, a.status
	if !ok {
		g.Status = "unknown"
	}
}

// reachesAll tells whether a permission reaches everything of its kind, or all
// that a person may do.
func reachesAll(scope string) bool {
	return strings.HasSuffix(scope, ".All") && !strings.Contains(scope, ".ReadBasic.") ||
		strings.Contains(scope, "FullControl") || strings.HasPrefix(scope, "full_access_as_") || strings.HasSuffix(scope, ".AccessAsUser") ||
		strings.HasPrefix(scope, "RoleManagement.ReadWrite.") || scope == "user_impersonation"
}

// ofEverybody tells whether a permission that is no more than one's own in the
// hands of a person, is everybody's in an app's.
func ofEverybody(role string) bool {
	for _, prefix := range []string{"Mail.", "MailboxSettings.", "Calendars.", "Contacts.", "Notes.", "Chat.", "Files.", "Sites."} {
		if strings.HasPrefix(role, prefix) && !strings.Contains(role, "Selected") && !strings.Contains(role, ".ReadBasic") {
			return true
		}
	}
	return false
}

func parseTime(s text) schemas.Time {
	if s == "" {
		return 0
	}
	t, err := time.Parse(time.RFC3339, string(s))
	if err != nil || t.Year() < 1970 || t.Year() > 2200 {
		return 0
	}
	return schemas.Time(t.UnixMilli())
}

func opt(b *bool) schemas.Opt[bool] {
	if b == nil {
		return schemas.Opt[bool]{}
	}
	return schemas.Some(*b)
}
