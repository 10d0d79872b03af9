package okta

import (
	"strings"
	"time"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

// mfaUpTo is the number of accounts up to which each is asked for its factors.
const mfaUpTo = 5000

// Truth appends what is true now, by the sheet's section 8. Where the sheet and
// SCHEMA.md leave a choice, "choice:" says what was chosen.
func (h *Handler) Truth(s *org.State, rows *schemas.Rows) {
	t := truth{h: h, s: s, rows: rows}
	t.accounts()
	t.groups()
	t.privileges()
	t.apps()
	t.grants()
	t.activities()
}

type truth struct {
	h    *Handler
	s    *org.State
	rows *schemas.Rows
}

func (t *truth) id(k kind, n int) string { return id(seedOf(t.s), k, n) }

func ms(x time.Time) schemas.Time {
	if x.IsZero() {
		return 0
	}
	return schemas.Time(x.UnixMilli())
}

// choice: LOCKED_OUT is locked, a status that SCHEMA.md has; PASSWORD_EXPIRED
// and RECOVERY are active, as the sheet has them.
var statusWords = map[org.Status]string{
	org.Active: "active", org.PasswordExpired: "active", org.Recovery: "active", org.Locked: "locked",
	org.Suspended: "suspended", org.Invited: "invited", org.Provisioned: "invited", org.Deprovisioned: "deprovisioned",
}

func (t *truth) accounts() {
	admins := map[int]bool{}
	for _, n := range assigned(t.s) {
		admins[n] = true
	}
	there := 0
	for _, a := range t.s.Accounts[org.Okta] {
		if a.Gone.IsZero() {
			there++
		}
	}
	for _, a := range t.s.Accounts[org.Okta] {
		if !a.Gone.IsZero() {
			continue
		}
		p := t.s.People[a.Person]
		email := strings.ToLower(p.Email)
		row := schemas.Account{
			AccountID: t.id(kindUser, a.N), AliasIDs: []string{a.Login}, Login: a.Login, Email: email, Emails: []string{email},
			DisplayName: p.Given + " " + p.Family, Status: statusWords[a.Status], Kind: "human", IsAdmin: schemas.Some(admins[a.N]),
			CreatedAt: ms(a.Created), ModifiedAt: ms(a.Modified), LastLoginAt: ms(a.LastLogin),
			// choice: passwordChanged stands in the sheet's page but not in its
			// mapping; SCHEMA.md has the column.
			PasswordChangedAt: ms(a.PasswordChanged),
			Title:             p.Title, Department: p.Department,
		}
		if there <= mfaUpTo {
			// choice: asked for up to 5,000 accounts, by the sheet's default.
			row.MFAEnabled = schemas.Some(len(a.Factors) > 0)
		}
		if p.Service {
			// choice: the pattern that is configured (Config) is userType "Service".
			row.Kind = "service"
		}
		if n := managerOf(t.s, p); n >= 0 {
			row.ManagerID = t.id(kindUser, n)
		}
		if !p.Outside {
			row.OrgUnit = t.s.Domain // choice: organization, else division
		}
		t.rows.Accounts = append(t.rows.Accounts, row)
	}
}

func (t *truth) groups() {
	for _, g := range t.s.Groups[org.Okta] {
		if !g.Gone.IsZero() {
			continue
		}
		row := schemas.Group{
			GroupID: t.id(kindGroup, g.N), Name: g.Name, Kind: g.Kind, Description: g.Description,
			CreatedAt: ms(g.Created), ModifiedAt: max(ms(g.Modified), ms(g.MembersModified)),
		}
		t.rows.Groups = append(t.rows.Groups, row)
		for _, m := range g.Members {
			if !t.s.Accounts[org.Okta][m.Account].Gone.IsZero() {
				continue
			}
			t.rows.GroupMembers = append(t.rows.GroupMembers, schemas.GroupMember{
				GroupID: row.GroupID, MemberID: t.id(kindUser, m.Account), MemberKind: "account", Role: m.Role,
			})
		}
	}
}

func (t *truth) privileges() {
	for _, r := range t.s.Roles[org.Okta] {
		if !r.Gone.IsZero() {
			continue
		}
		switch r.Holder.Kind {
		case org.AccountRef:
			if t.s.Accounts[org.Okta][r.Holder.N].Gone.IsZero() {
				t.privilege(r, "account", t.id(kindUser, r.Holder.N), "")
			}
		case org.GroupRef:
			g := t.s.Groups[org.Okta][r.Holder.N]
			if !g.Gone.IsZero() {
				continue
			}
			group := t.id(kindGroup, g.N)
			t.privilege(r, "group", group, "")
			for _, m := range g.Members {
				if m.Role == "member" && t.s.Accounts[org.Okta][m.Account].Gone.IsZero() {
					t.privilege(r, "account", t.id(kindUser, m.Account), group)
				}
			}
		case org.IntegrationRef:
			if t.s.Integrations[org.Okta][r.Holder.N].Gone.IsZero() {
				t.privilege(r, "app", t.id(kindApp, r.Holder.N), "")
			}
		default:
		}
	}
}

func (t *truth) privilege(r *org.RoleGrant, kind, principal, group string) {
	row := schemas.Privilege{
		PrincipalID: principal, PrincipalKind: kind, RoleID: r.Role, RoleName: roleLabel(t.s, r),
		Scope: "org", ScopeKind: "org", // choice: the word of the sheet for both
		Via: "direct", State: "active", AssignedAt: ms(r.Assigned),
	}
	if r.RoleN >= 0 {
		row.RoleID = t.id(kindRole, r.RoleN)
		if r.ScopeN >= 0 {
			row.Scope, row.ScopeKind = t.id(kindResourceSet, r.ScopeN), "resource_set" // choice: scope_kind
		}
	}
	if group != "" {
		row.Via, row.ViaID = "group", group
	}
	// choice: an assignment's id is not unique: each member of a group has the
	// group's, and all groups have the same for a standard role. So it is a hash.
	row.PrivilegeID = schemas.HashID(row.PrincipalID, row.RoleID, row.Scope, row.Via, row.ViaID, row.Condition)
	row.Privileged = schemas.Some(privileged(t.s, r))
	t.rows.Privileges = append(t.rows.Privileges, row)
}

// privileged tells whether a role allows changes. choice: of the standard ones
// all but two do; of custom ones those that permit anything but reading.
func privileged(s *org.State, r *org.RoleGrant) bool {
	if r.RoleN < 0 {
		return r.Role != "READ_ONLY_ADMIN" && r.Role != "REPORT_ADMIN"
	}
	for _, p := range s.RoleDefs[org.Okta][r.RoleN].Permits {
		if !strings.HasSuffix(p, ".read") {
			return true
		}
	}
	return false
}

func (t *truth) apps() {
	for _, in := range t.s.Integrations[org.Okta] {
		if !in.Gone.IsZero() {
			continue
		}
		row := schemas.App{
			// choice: apps that are not active are listed too, so that their
			// status can be seen.
			AppID: t.id(kindApp, in.N), Name: in.Label, Publisher: catalogueKey(in), Kind: in.Kind,
			Status: strings.ToLower(appStatus(in)), CreatedAt: ms(in.Created),
		}
		switch in.Kind {
		case apiService:
			// choice: the sheet has no words for these; type is the template's.
			row.Publisher, row.Status = strings.ReplaceAll(in.Name, "-", "_"), "active"
		case openID:
			row.RedirectURIs = in.RedirectURIs
		}
		t.rows.Apps = append(t.rows.Apps, row)
	}
}

// Prefixes of grant ids: SCHEMA.md's kinds of grants.
const (
	prefixAPIToken     = "api_key:"
	prefixConsent      = "consent:"
	prefixRefresh      = "token:"
	prefixInstallation = "installation:"
)

// grantID is what app_grants and activities call a grant.
func (t *truth) grantID(g *org.Grant) string {
	// choice: what an admin granted an app is a consent too (an admin's), as it is
	// to the vendor.
	prefix := map[string]string{org.GrantAPIToken: prefixAPIToken, org.GrantConsent: prefixConsent, org.GrantRefresh: prefixRefresh, org.GrantScope: prefixConsent}[g.Kind]
	return prefix + t.id(grantKind(g), g.N)
}

func (t *truth) grants() {
	for _, g := range t.s.Grants[org.Okta] {
		if !live(t.s, g) || !listed(t.s, g) || ofInactiveApp(t.s, g) {
			continue
		}
		row := schemas.AppGrant{GrantID: t.grantID(g), Status: "active", CreatedAt: ms(g.Created), Scopes: g.Scopes}
		if g.Account >= 0 {
			row.PrincipalID, row.PrincipalKind = t.id(kindUser, g.Account), "account"
		}
		if g.Integration >= 0 {
			in := t.s.Integrations[org.Okta][g.Integration]
			row.AppID, row.AppName = t.id(kindApp, in.N), in.Label
			row.Resource = t.h.links // the issuer
			if g.Kind != org.GrantConsent {
				row.Publisher = catalogueKey(in) // a person's consents tell none
			}
		}
		switch g.Kind {
		case org.GrantAPIToken:
			// choice: of no app, so that its own name stands where the app's would;
			// active though it may have ended, as expires_at tells; last_used_at is
			// derived.
			row.Kind, row.Consent, row.Scopes, row.AppName = "api_key", "admin", []string{"*"}, g.Name
			row.ExpiresAt = ms(tokenExpiry(g))
			row.LastUsedAt = ms(tokenExpiry(g).Add(-tokenWindow))
		case org.GrantConsent:
			row.Kind, row.Consent, row.Scopes = "consent", "user", g.Scopes[:min(1, len(g.Scopes))]
		case org.GrantRefresh:
			row.Kind, row.Consent, row.ExpiresAt = "token", "user", ms(g.Expires)
		case org.GrantScope:
			row.Kind, row.Consent, row.Scopes = "consent", "admin", g.Scopes[:min(1, len(g.Scopes))]
			row.PrincipalID, row.PrincipalKind = row.AppID, "app" // choice: what it allows, the app itself does
		}
		row.HighPrivilege = highPrivilege(row.Scopes)
		t.rows.AppGrants = append(t.rows.AppGrants, row)
	}
	for _, in := range t.s.Integrations[org.Okta] {
		if in.Kind == apiService && in.Gone.IsZero() {
			// choice: installed by an admin; the integration acts for itself.
			app := t.id(kindApp, in.N)
			t.rows.AppGrants = append(t.rows.AppGrants, schemas.AppGrant{
				GrantID: prefixInstallation + app, Kind: "installation", AppID: app, AppName: in.Label,
				Publisher: strings.ReplaceAll(in.Name, "-", "_"), PrincipalID: app, PrincipalKind: "app", Scopes: in.Scopes,
				Consent: "admin", Status: "active", HighPrivilege: highPrivilege(in.Scopes), CreatedAt: ms(in.Created),
			})
		}
	}
}

// ofInactiveApp tells of scopes and refresh tokens that are not asked for: the
// sheet lists those of active apps (5.5).
func ofInactiveApp(s *org.State, g *org.Grant) bool {
	return (g.Kind == org.GrantScope || g.Kind == org.GrantRefresh) && appStatus(s.Integrations[org.Okta][g.Integration]) != "ACTIVE"
}

// highPrivilege: choice: to manage anything is one; "*", all that the owner may
// do, tells nothing.
func highPrivilege(scopes []string) (known schemas.Opt[bool]) {
	for _, s := range scopes {
		switch {
		case s == "*":
			return schemas.Opt[bool]{}
		case strings.HasSuffix(s, ".manage"):
			known = schemas.Some(true)
		case !known.Known:
			known = schemas.Some(false)
		}
	}
	return known
}
