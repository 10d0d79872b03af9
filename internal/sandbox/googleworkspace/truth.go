package googleworkspace

import (
	"slices"
	"strings"
	"time"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

// at is a time as it is told to the millisecond.
func at(t time.Time) schemas.Time {
	if t.IsZero() {
		return 0
	}
	return schemas.Time(t.UnixMilli())
}

func lower(list ...string) []string {
	for i := range list {
		list[i] = strings.ToLower(list[i])
	}
	return list
}

func (t *truth) accounts() {
	h, s := t.h, t.s
	for _, a := range s.Accounts[app] {
		if !a.Gone.IsZero() {
			continue
		}
		p := s.People[a.Person]
		row := schemas.Account{
			AccountID: h.userID(a.N), Login: a.Login, Email: strings.ToLower(a.Login), Emails: lower(a.Login), DisplayName: p.Given + " " + p.Family, Status: "active", Kind: "human",
			CreatedAt: at(a.Created), LastLoginAt: at(a.LastLogin), OrgUnit: s.ResourceSets[app][a.OrgUnit].Name,
		}
		if a.N%5 == 1 && !p.Service {
			row.DisplayName = p.Given + " " + p.Family[:1] + "."
		}
		if listed(a) {
			row.External = schemas.Some(a.Outside) // choice: guests are of another organization; of a deleted user nothing tells
			row.Emails = append(row.Emails, lower(slices.Clone(a.Aliases)...)...)
			if e := testAddress(s, a); e != "" {
				row.Emails = append(row.Emails, strings.ToLower(e)) // choice: what the vendor gives counts too
			}
			super, some := s.GoogleAdmin(a)
			row.IsAdmin, row.MFAEnabled = schemas.Some(super || some), schemas.Some(len(a.Factors) > 0)
			row.Title, row.Department = p.Title, p.Department
			if a.N%6 == 2 { // none is primary: the first
				row.Title, row.Department = p.Title, p.Department
			}
			if m := h.manager(s, p); m != nil {
				row.ManagerID = h.userID(m.N)
			}
		}
		if a.Outside {
			row.Kind, row.Emails = "guest", append(row.Emails, strings.ToLower(p.Email)) // choice: the address elsewhere is known
		}
		switch {
		case !listed(a):
			row.Status = "deleted"
		case a.Status == org.Archived:
			row.Status = "deprovisioned"
		case a.Status == org.Suspended:
			row.Status = "suspended"
		case a.Status == org.Invited && a.LastLogin.IsZero():
			row.Status = "invited"
		}
		t.rows.Accounts = append(t.rows.Accounts, row)
	}
}

func (t *truth) groups() {
	h, s := t.h, t.s
	for _, g := range s.Groups[app] {
		if !g.Gone.IsZero() {
			continue
		}
		id := h.groupID(g.N)
		t.rows.Groups = append(t.rows.Groups, schemas.Group{GroupID: id, Name: g.Name, Kind: "google_group", Email: strings.ToLower(groupEmail(s, g)), Description: g.Description})
		for _, m := range members(s, g) {
			t.rows.GroupMembers = append(t.rows.GroupMembers, schemas.GroupMember{GroupID: id, MemberID: h.memberID(m.ref), MemberKind: memberKinds[m.ref.Kind], Role: m.role})
		}
	}
}

// choice: everybody of the customer is a group, which SCHEMA.md has no other word for.
var memberKinds = map[org.RefKind]string{org.AccountRef: "account", org.GroupRef: "group", org.ContactRef: "external", org.OrgRef: "group"}

func (t *truth) privileges() {
	h, s := t.h, t.s
	for _, r := range s.Roles[app] {
		if !held(s, r) {
			continue
		}
		row := schemas.Privilege{
			PrivilegeID: h.assignmentID(r.N), PrincipalID: h.holderID(r.Holder), PrincipalKind: "account", RoleID: h.roleID(r.RoleN), RoleName: r.Role, Scope: "customer", ScopeKind: "customer",
			Via: "direct", State: "active", Condition: conditionOf(r), ExpiresAt: at(r.Until),
		}
		switch r.Holder.Kind {
		case org.GroupRef:
			row.PrincipalKind, row.Via, row.ViaID = "group", "group", row.PrincipalID
		case org.IntegrationRef:
			row.PrincipalKind = "service"
		default:
		}
		if r.ScopeN > 0 {
			row.Scope, row.ScopeKind = "orgunit:"+strings.TrimPrefix(h.unitID(r.ScopeN), "id:"), "org_unit" // choice: scope_kind
		}
		if r.RoleN < len(org.GoogleRoles) {
			row.Privileged = schemas.Some(true) // choice: the vendor's own roles administer; what others do is a matter of their privileges
		}
		t.rows.Privileges = append(t.rows.Privileges, row)
	}
}

// grantsTold says whether what an account has given out can be listed.
func grantsTold(a *org.Account) bool { return listed(a) && a.Status != org.Suspended }

// apps are the clients that somebody has let in: no list has them.
func (t *truth) apps() {
	h, s := t.h, t.s
	seen := map[int]bool{}
	for _, g := range s.Grants[app] {
		if !g.Gone.IsZero() || g.Kind != org.GrantConsent || !grantsTold(s.Accounts[app][g.Account]) || seen[g.Integration] {
			continue
		}
		seen[g.Integration] = true
		in := s.Integrations[app][g.Integration]
		kind := "web" // choice: what is not native
		if in.Kind == org.NativeClient {
			kind = "native"
		}
		t.rows.Apps = append(t.rows.Apps, schemas.App{AppID: h.clientID(in), Name: in.Label, Kind: kind})
	}
}

func (t *truth) grants() {
	h, s := t.h, t.s
	for _, g := range s.Grants[app] {
		a := s.Accounts[app][g.Account]
		if !g.Gone.IsZero() || !grantsTold(a) {
			continue
		}
		row := schemas.AppGrant{PrincipalID: h.userID(a.N), PrincipalKind: "account", Consent: "user", Status: "active"}
		if g.Kind == org.GrantAppPassword {
			row.AppID, row.AppName, row.Kind = "asp:"+itoa(g.N+1), g.Name, "app_password"
			row.CreatedAt = at(g.Created.Truncate(time.Second))
			row.LastUsedAt = at(g.LastUsed.Truncate(time.Second))
		} else {
			in := s.Integrations[app][g.Integration]
			row.AppID, row.AppName, row.Kind, row.Scopes = h.clientID(in), in.Label, "token", scopeURLs(g.Scopes) // choice: the vendor calls it a token
			row.HighPrivilege = schemas.Some(slices.ContainsFunc(row.Scopes, highScope))
		}
		row.GrantID = schemas.HashID(row.PrincipalID, row.AppID)
		t.rows.AppGrants = append(t.rows.AppGrants, row)
	}
}

// highScope: choice: what administers, or reads all of somebody's mail or files.
func highScope(s string) bool {
	name, ok := strings.CutPrefix(s, scopePrefix)
	return s == "https://mail.google.com/" || ok && (strings.HasPrefix(name, "admin.") ||
		slices.Contains([]string{"drive", "drive.readonly", "cloud-platform", "gmail.modify", "gmail.readonly", "apps.alerts", "ediscovery"}, name))
}
