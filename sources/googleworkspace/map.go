package googleworkspace

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/schemas"
)

// mapAccount maps a user; who finds the account of an address.
func mapAccount(a *schemas.Account, u *wireUser, who *people) {
	a.AccountID, a.Login, a.Email = string(u.ID), string(u.PrimaryEmail), lower(u.PrimaryEmail)
	a.Emails = addresses(u.PrimaryEmail, u.Aliases, u.FixedAliases)
	if guest := lower(u.Guest.Email); guest != "" && !slices.Contains(a.Emails, guest) {
		a.Emails = append(a.Emails, guest)
	}
	a.DisplayName = first(string(u.Name.Display), string(u.Name.Full), strings.TrimSpace(string(u.Name.Given)+" "+string(u.Name.Family)))
	a.LastLoginAt, a.CreatedAt = parseTime(u.LastLoginTime), parseTime(u.CreationTime)
	a.Status = accountStatus(u, a.LastLoginAt)
	a.Kind = "human"
	if u.IsGuest.on {
		a.Kind = "guest"
	}
	if a.Status != "deleted" { // of whom little is told
		a.External = schemas.Some(u.IsGuest.on)
	}
	if u.IsAdmin.known || u.IsDelegatedAdmin.known {
		a.IsAdmin = schemas.Some(u.IsAdmin.on || u.IsDelegatedAdmin.on)
	}
	if u.EnrolledIn2SV.known {
		a.MFAEnabled = schemas.Some(u.EnrolledIn2SV.on)
	}
	a.OrgUnit = string(u.OrgUnitPath)
	if i := slices.IndexFunc(u.Organizations, func(j wireJob) bool { return j.Primary.on }); len(u.Organizations) > 0 {
		job := u.Organizations[max(i, 0)]
		a.Title, a.Department = string(job.Title), string(job.Department)
	}
	for _, r := range u.Relations {
		if r.Type == "manager" {
			a.ManagerID = who.accounts[lower(r.Value)]
			break
		}
	}
}

func accountStatus(u *wireUser, lastLogin schemas.Time) string {
	switch {
	case u.DeletionTime != "":
		return "deleted"
	case u.Archived.on:
		return "deprovisioned"
	case u.Suspended.on:
		return "suspended"
	case u.AgreedToTerms.known && !u.AgreedToTerms.on && lastLogin == 0:
		return "invited"
	}
	return "active"
}

// addresses lists all of somebody's, lower-case, the primary first. Those that
// people may write into their profile are not among them: they prove nothing.
func addresses(primary text, more ...many[text]) (out []string) {
	for _, list := range append([]many[text]{{primary}}, more...) {
		for _, e := range list {
			if e := lower(e); e != "" && !slices.Contains(out, e) {
				out = append(out, e)
			}
		}
	}
	return out
}

func mapGroup(g *schemas.Group, w *wireGroup) {
	g.GroupID, g.Name, g.Email, g.Description, g.Kind = string(w.ID), string(w.Name), lower(w.Email), string(w.Description), "google_group"
}

// mapMember maps a member; who are the customer's accounts, inside its domains.
func mapMember(m *schemas.GroupMember, w *wireMember, who *people, inside domains) {
	m.MemberID, m.Role = string(w.ID), lower(w.Role)
	switch outside := inside.external(string(w.Email)); {
	case w.Type == "GROUP", w.Type == "CUSTOMER": // all of the customer's accounts, by the customer's id
		m.MemberKind = "group"
	case who.ids[m.MemberID]: // guests too, whose addresses may be another's
		m.MemberKind = "account"
	case strings.HasSuffix(lower(w.Email), serviceDomain):
		m.MemberKind = "service"
	case w.Type == "EXTERNAL", outside.Known && outside.Value:
		m.MemberKind = "external"
	default:
		m.MemberKind = "account"
	}
}

// serviceDomain is how the addresses of Google Cloud's service accounts end.
const serviceDomain = ".gserviceaccount.com"

// superAdmin is the name of the role that may do everything.
const superAdmin = "_SEED_ADMIN_ROLE"

// mapAssignment maps an assignment of one of the roles.
func mapAssignment(p *schemas.Privilege, w *wireAssignment, roles map[string]role, who *people) {
	p.PrivilegeID, p.PrincipalID, p.RoleID = string(w.ID), string(w.AssignedTo), string(w.RoleID)
	p.PrincipalKind, p.Via = "account", "direct"
	switch {
	case strings.EqualFold(string(w.AssigneeType), "group"):
		p.PrincipalKind, p.Via, p.ViaID = "group", "group", p.PrincipalID
	case who.asked && !who.ids[p.PrincipalID]:
		p.PrincipalKind = "service" // no user has that id
	}
	p.Scope, p.ScopeKind = "customer", "customer"
	if w.ScopeType == "ORG_UNIT" {
		p.Scope, p.ScopeKind = "orgunit:"+string(w.OrgUnitID), "org_unit"
	}
	p.State, p.Condition, p.ExpiresAt = "active", string(w.Condition), parseTime(w.Expiration.Time)
	r := roles[p.RoleID]
	p.RoleName = r.name
	if r.super || r.system {
		p.Privileged = schemas.Some(true)
	}
}

// mapSuperAdmin maps a super administrator whom no assignment covers.
func mapSuperAdmin(p *schemas.Privilege, user, roleID, roleName string) {
	p.PrincipalID, p.PrincipalKind, p.RoleID, p.RoleName = user, "account", roleID, roleName
	p.Scope, p.ScopeKind, p.Via, p.State = "customer", "customer", "direct", "active"
	p.Privileged = schemas.Some(true)
	p.PrivilegeID = schemas.HashID(p.PrincipalID, p.RoleID, p.Scope, p.Via, p.ViaID, p.Condition)
}

// grantID is the grant_id of what a user allowed an app, which the vendor has no
// id for.
func grantID(user, client string) string { return schemas.HashID(user, client) }

// mapToken maps what a user allowed an app.
func mapToken(g *schemas.AppGrant, w *wireToken, user string) {
	g.Kind, g.PrincipalID, g.PrincipalKind = "token", first(string(w.UserKey), user), "account"
	g.GrantID = grantID(g.PrincipalID, string(w.ClientID))
	g.AppID, g.AppName = string(w.ClientID), string(w.Name)
	for _, s := range w.Scopes {
		g.Scopes = append(g.Scopes, string(s))
	}
	g.Consent, g.Status, g.HighPrivilege = "user", "active", highPrivilege(g.Scopes)
}

// mapPassword maps an app password.
func mapPassword(g *schemas.AppGrant, w *wirePassword, user string) {
	g.Kind, g.PrincipalID, g.PrincipalKind = "app_password", first(string(w.UserKey), user), "account"
	g.AppID, g.AppName = passwordPrefix+string(w.CodeID), string(w.Name)
	g.GrantID = grantID(g.PrincipalID, g.AppID)
	g.Consent, g.Status = "user", "active"
	g.CreatedAt, g.LastUsedAt = seconds(w.CreationTime), seconds(w.LastTimeUsed)
}

// passwordPrefix makes an app's id of an app password's number.
const passwordPrefix = "asp:"

// mapApp maps the app that a token is for.
func mapApp(a *schemas.App, w *wireToken) {
	a.AppID, a.Name, a.Kind = string(w.ClientID), string(w.Name), "web"
	if w.Native.on {
		a.Kind = "native"
	}
}

// wideScopes reach all of somebody's mail or files, or an organization's
// projects, alerts or legal holds.
var wideScopes = map[string]bool{
	"drive": true, "drive.readonly": true, "cloud-platform": true, "gmail.modify": true, "gmail.readonly": true, "apps.alerts": true, "ediscovery": true,
}

// highPrivilege tells whether scopes allow administration or reading everything;
// unknown where they are not told.
func highPrivilege(scopes []string) schemas.Opt[bool] {
	if len(scopes) == 0 {
		return schemas.Opt[bool]{}
	}
	return schemas.Some(slices.ContainsFunc(scopes, func(s string) bool {
		name, google := strings.CutPrefix(s, scopePrefix)
		return s == "https://mail.google.com/" || google && (wideScopes[name] || strings.HasPrefix(name, "admin."))
	}))
}

// parseTime reads a time; 0, unknown, when it is none or one of those that stand
// for none: 1970 is never.
func parseTime(s text) schemas.Time {
	if s == "" {
		return 0
	}
	t, err := time.Parse(time.RFC3339, string(s))
	if err != nil || t.Year() < 1971 || t.Year() > 2200 {
		return 0
	}
	return schemas.Time(t.UnixMilli())
}

// seconds reads a time in seconds; 0, unknown, when it is none or 0.
func seconds(s text) schemas.Time {
	n, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil || n <= 0 || n > 7_000_000_000 {
		return 0
	}
	return schemas.Time(n * 1000)
}

func lower[S ~string](s S) string { return strings.ToLower(string(s)) }

func first(s ...string) string {
	for _, v := range s {
		if v != "" {
			return v
		}
	}
	return ""
}
