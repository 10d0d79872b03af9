package microsoft365

import (
	"slices"
	"strings"
	"time"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

// atSecond is a time as the vendor tells those of its objects: to the second.
func atSecond(t time.Time) schemas.Time {
	if t.IsZero() {
		return 0
	}
	return schemas.Time(t.Truncate(time.Second).UnixMilli())
}

func (t *truth) accounts() {
	h, s := t.h, t.s
	admins := adminsOf(s)
	for _, a := range s.Accounts[org.Microsoft365] {
		if !a.Gone.IsZero() {
			continue
		}
		p := s.People[a.Person]
		row := schemas.Account{
			// choice: what else names a user, its principal name, is an alias.
			AccountID: h.accountID(a.N), AliasIDs: []string{a.Login}, Login: a.Login, Email: strings.ToLower(mailOf(p)), DisplayName: displayName(p), Status: "active", Kind: "human",
			IsAdmin: schemas.Some(admins[ref(org.AccountRef, a.N)]), CreatedAt: atSecond(a.Created), PasswordChangedAt: atSecond(a.PasswordChanged), Title: p.Title, Department: p.Department,
			External: schemas.Some(p.Outside), // choice: guests are of another organization
		}
		if row.Email == "" && !p.Outside {
			row.Email = strings.ToLower(a.Login)
		}
		row.Emails = []string{row.Email}
		switch a.Status {
		case org.Deprovisioned:
			row.Status = "deleted"
		case org.Suspended:
			row.Status = "suspended"
		case org.Invited:
			row.Status = "invited"
		default:
		}
		if p.Outside {
			row.Kind = "guest"
		}
		if registers(a) && !h.free() {
			row.MFAEnabled = schemas.Some(len(a.Factors) > 0)
		}
		if a.Status != org.Deprovisioned {
			// choice: of deleted users neither the activity nor the manager is asked for.
			if !h.free() {
				row.LastLoginAt = atSecond(lastLogin(a))
			}
			if m := managerOf(s, p); m != nil {
				row.ManagerID = h.accountID(m.N)
			}
		}
		// choice: the company, else the place in the company's own directory: no user
		// here has both.
		if row.OrgUnit = company(s, a); row.OrgUnit == "" {
			row.OrgUnit = place(s, a)
		}
		t.rows.Accounts = append(t.rows.Accounts, row)
	}
	for _, in := range s.Integrations[org.Microsoft365] {
		if !in.Gone.IsZero() {
			continue
		}
		row := schemas.Account{
			AccountID: h.servicePrincipalID(in.N), AliasIDs: []string{h.appID(in.N)}, Login: h.appID(in.N), DisplayName: in.Label, Status: "active", Kind: "service",
			IsAdmin: schemas.Some(admins[ref(org.IntegrationRef, in.N)]), CreatedAt: atSecond(in.Created), External: schemas.Some(h.owner(s, in) != h.tenantID),
		}
		if !in.Active {
			row.Status = "suspended"
		}
		t.rows.Accounts = append(t.rows.Accounts, row)
	}
}

func (t *truth) groups() {
	h, s := t.h, t.s
	for _, g := range s.Groups[org.Microsoft365] {
		if !g.Gone.IsZero() {
			continue
		}
		row := schemas.Group{
			GroupID: h.groupID(g.N), Name: g.Name, Kind: g.Kind, Email: strings.ToLower(groupMail(s, g)), Description: g.Description, CreatedAt: atSecond(g.Created),
		}
		if g.Rule != "" {
			row.Kind += "_dynamic"
		}
		t.rows.Groups = append(t.rows.Groups, row)
		for _, role := range []string{"member", "owner"} {
			for _, m := range membersOf(s, g, role) {
				id, _ := h.objectID(m)
				t.rows.GroupMembers = append(t.rows.GroupMembers, schemas.GroupMember{GroupID: row.GroupID, MemberID: id, MemberKind: memberKinds[m.Kind], Role: role})
			}
		}
	}
}

// choice: SCHEMA.md has no word for a device, nor for a contact, who is somebody
// elsewhere.
var memberKinds = map[org.RefKind]string{
	org.AccountRef: "account", org.GroupRef: "group", org.IntegrationRef: "service", org.ContactRef: "external", org.DeviceRef: "",
}

func (t *truth) privileges() {
	for _, eligible := range []bool{false, true} {
		for _, x := range instancesOf(t.s, eligible) {
			if !t.h.noPIM() || !eligible && !x.group {
				t.privilege(x, eligible)
			}
		}
	}
}

// privilege is a role as somebody holds it.
//
// choice: what stands in the list of assignments is one row, with the times that its
// instance tells; its id is the assignment's. What a member has through a group, and
// what can be activated, has the instance's.
func (t *truth) privilege(x instance, eligible bool) {
	h := t.h
	id, _ := h.objectID(x.holder)
	row := schemas.Privilege{
		PrivilegeID: h.assignmentID(x.r.N), PrincipalID: id, PrincipalKind: memberKinds[x.holder.Kind], RoleID: h.roleID(x.r.Role), RoleName: x.r.Role,
		Scope: h.scopeOf(x.r), ScopeKind: "org", Via: "direct", State: "active", AssignedAt: atSecond(x.r.Assigned), ExpiresAt: atSecond(x.r.Until),
		// choice: all roles but those of readers change something.
		Privileged: schemas.Some(!strings.HasSuffix(x.r.Role, "Reader")),
	}
	if h.noPIM() || !timed(x.r) {
		row.AssignedAt, row.ExpiresAt = 0, 0
	}
	if row.Scope != "/" {
		row.ScopeKind = "administrative_unit" // choice: scope_kind
	}
	if eligible {
		row.State, row.PrivilegeID = "eligible", h.instanceID(x)
	}
	switch {
	case x.group:
		row.Via, row.PrivilegeID = "group", h.instanceID(x)
		if !eligible { // choice: of what can be activated, no list tells which group
			row.ViaID, _ = h.objectID(x.r.Holder)
		}
	case x.holder.Kind == org.GroupRef: // all who are in it
		row.Via, row.ViaID = "group", id
	}
	t.rows.Privileges = append(t.rows.Privileges, row)
}

// publisherOf is whose an app is: who was verified, else who it says.
func publisherOf(s *org.State, in *org.Integration) string {
	if verified(s, in) {
		return in.Publisher
	}
	return publisherName(s, in)
}

func (t *truth) apps() {
	h, s := t.h, t.s
	for _, in := range s.Integrations[org.Microsoft365] {
		if !in.Gone.IsZero() {
			continue
		}
		owner := h.owner(s, in)
		row := schemas.App{
			AppID: h.servicePrincipalID(in.N), AliasIDs: []string{h.appID(in.N)}, Name: in.Label, Publisher: publisherOf(s, in), Verified: schemas.Some(verified(s, in)), OwnerTenant: owner,
			FirstParty: schemas.Some(owner == microsoftTenant), Kind: in.Kind, Status: appStatus(in), CreatedAt: atSecond(in.Created), RedirectURIs: in.RedirectURIs,
		}
		// choice: passwords before certificates.
		for _, passwords := range []bool{true, false} {
			for _, x := range h.secrets(s, in) {
				if x.password == passwords {
					row.SecretIDs, row.SecretExpiresAt = append(row.SecretIDs, x.id), append(row.SecretExpiresAt, x.to.Truncate(time.Second).Format("2006-01-02T15:04:05.000Z07:00"))
				}
			}
		}
		t.rows.Apps = append(t.rows.Apps, row)
	}
}

// choice: an app that is not enabled is disabled, as are its grants.
func appStatus(in *org.Integration) string {
	if in.Active {
		return "active"
	}
	return "disabled"
}

func (t *truth) grants() {
	h, s := t.h, t.s
	for _, g := range s.Grants[org.Microsoft365] {
		// choice: that people and groups may use an app is no grant to the app.
		if !holds(s, g) || g.Integration < 0 {
			continue
		}
		in := s.Integrations[org.Microsoft365][g.Integration]
		row := schemas.AppGrant{
			GrantID: h.grantID(g.N), Kind: "consent", AppID: h.servicePrincipalID(in.N), AppName: in.Label, Publisher: publisherOf(s, in), Scopes: g.Scopes, Status: appStatus(in),
			Resource: h.servicePrincipalID(g.Resource), // choice: the API's object id, which apps.app_id equals
		}
		switch {
		case g.Kind == org.GrantAppRole:
			row.Kind, row.Consent, row.CreatedAt = "app_role", "admin", atSecond(g.Created)
			row.PrincipalID, row.PrincipalKind = row.AppID, "app" // choice: the app acts for itself
		case g.Account >= 0:
			row.Consent, row.PrincipalID, row.PrincipalKind = "user", h.accountID(g.Account), "account"
		default:
			row.Consent, row.PrincipalKind = "admin", "anyone" // choice: for all
		}
		row.HighPrivilege = schemas.Some(highPrivilege(g))
		t.rows.AppGrants = append(t.rows.AppGrants, row)
	}
}

// highPrivilege: choice: what ends in .All reaches everything of its kind, but for
// what is told of everybody to everybody; and an app by itself reads everybody's mail.
func highPrivilege(g *org.Grant) bool {
	return slices.ContainsFunc(g.Scopes, func(s string) bool {
		return strings.HasSuffix(s, ".All") && s != "User.ReadBasic.All" || g.Kind == org.GrantAppRole && s == "Mail.Read"
	})
}
