package microsoft365_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox/org"
	"weir/internal/sourcetest"
	"weir/schemas"
	"weir/sources"
	"weir/sources/microsoft365"
)

type actionTarget = sourcetest.ActionTarget

// plainAccounts are people's accounts of a status that hold no role.
func plainAccounts(status string) func(*schemas.Rows) []actionTarget {
	return func(truth *schemas.Rows) (out []actionTarget) {
		for i := range truth.Accounts {
			if a := &truth.Accounts[i]; a.Status == status && a.Kind == "human" && !a.IsAdmin.Value {
				out = append(out, actionTarget{ID: a.AccountID})
			}
		}
		return out
	}
}

func statusIs(status string) func(*schemas.Rows, actionTarget) bool {
	return func(truth *schemas.Rows, t actionTarget) bool {
		return slices.ContainsFunc(truth.Accounts, func(a schemas.Account) bool { return a.AccountID == t.ID && a.Status == status })
	}
}

// members are those of groups whose members are Entra's to change.
func members(truth *schemas.Rows) (out []actionTarget) {
	plain := plainAccounts("active")(truth)
	for i := range truth.GroupMembers {
		m := &truth.GroupMembers[i]
		changeable := slices.ContainsFunc(truth.Groups, func(g schemas.Group) bool {
			return g.GroupID == m.GroupID && (g.Kind == "security" || g.Kind == "microsoft365")
		})
		if m.Role == "member" && changeable && slices.ContainsFunc(plain, func(t actionTarget) bool { return t.ID == m.MemberID }) {
			out = append(out, actionTarget{ID: m.MemberID, Params: map[string]string{"group": m.GroupID}})
		}
	}
	return out
}

func noMember(truth *schemas.Rows, t actionTarget) bool {
	return !slices.ContainsFunc(truth.GroupMembers, func(m schemas.GroupMember) bool {
		return m.MemberID == t.ID && m.GroupID == t.Params["group"] && m.Role == "member"
	})
}

func rolesHeld(truth *schemas.Rows) (out []actionTarget) {
	for i := range truth.Privileges {
		if p := &truth.Privileges[i]; p.PrincipalKind == "account" && p.Via == "direct" && p.State != "eligible" && p.RoleName != "Global Administrator" {
			out = append(out, actionTarget{ID: p.PrincipalID, Params: map[string]string{"role": p.RoleID, "scope": p.Scope}})
		}
	}
	return out
}

func noRole(truth *schemas.Rows, t actionTarget) bool {
	return !slices.ContainsFunc(truth.Privileges, func(p schemas.Privilege) bool {
		return p.PrincipalID == t.ID && p.RoleID == t.Params["role"] && p.Scope == t.Params["scope"] && p.Via == "direct" && p.State != "eligible"
	})
}

func grantsOf(kind, principal string) func(*schemas.Rows) []actionTarget {
	return func(truth *schemas.Rows) (out []actionTarget) {
		for i := range truth.AppGrants {
			g := &truth.AppGrants[i]
			if g.Kind != kind || g.PrincipalKind != principal {
				continue
			}
			t := actionTarget{ID: g.GrantID}
			if kind == "app_role" {
				t.Params = map[string]string{"app": g.AppID}
			}
			out = append(out, t)
		}
		return out
	}
}

func noGrant(truth *schemas.Rows, t actionTarget) bool {
	return !slices.ContainsFunc(truth.AppGrants, func(g schemas.AppGrant) bool { return g.GrantID == t.ID })
}

// consenters are accounts that have consented to something.
func consenters(truth *schemas.Rows) (out []actionTarget) {
	for i := range truth.AppGrants {
		if g := &truth.AppGrants[i]; g.Kind == "consent" && g.PrincipalKind == "account" {
			out = append(out, actionTarget{ID: g.PrincipalID})
		}
	}
	return out
}

func noConsents(truth *schemas.Rows, t actionTarget) bool {
	return !slices.ContainsFunc(truth.AppGrants, func(g schemas.AppGrant) bool { return g.Kind == "consent" && g.PrincipalID == t.ID })
}

func activeApps(truth *schemas.Rows) (out []actionTarget) {
	for i := range truth.Apps {
		if a := &truth.Apps[i]; a.Status == "active" && !a.FirstParty.Value {
			out = append(out, actionTarget{ID: a.AppID})
		}
	}
	return out
}

func inactiveApp(truth *schemas.Rows, t actionTarget) bool {
	return slices.ContainsFunc(truth.Apps, func(a schemas.App) bool { return a.AppID == t.ID && a.Status != "active" })
}

// files are those that are there, or those with a permission that some filter
// takes.
func files(with func(*schemas.FilePermission) bool) func(*schemas.Rows) []actionTarget {
	return func(truth *schemas.Rows) (out []actionTarget) {
		for i := range truth.Files {
			if f := &truth.Files[i]; f.Kind == "file" && (with == nil || permits(truth, f.FileID, with)) {
				out = append(out, actionTarget{ID: f.FileID})
			}
		}
		return out
	}
}

func permits(truth *schemas.Rows, id string, with func(*schemas.FilePermission) bool) bool {
	return slices.ContainsFunc(truth.FilePermissions, func(p schemas.FilePermission) bool { return p.FileID == id && with(&p) })
}

// shared are files that others may open, by nothing that cannot be given back:
// what the site's own groups may is not. Others may open the drive, too.
func shared(truth *schemas.Rows) (out []actionTarget) {
	lost := func(p *schemas.FilePermission) bool {
		return toOthers(p) && !slices.Contains([]string{"account", "anyone", "domain"}, p.GranteeKind)
	}
	for _, t := range files(toOthers)(truth) {
		if permits(truth, fileOf(truth, t.ID).ContainerID, toOthers) && !permits(truth, t.ID, lost) {
			out = append(out, t)
		}
	}
	return out
}

// quarantineIn is the folder that the settings name as the quarantine: the first.
func quarantineIn(truth *schemas.Rows) *schemas.File {
	i := slices.IndexFunc(truth.Files, func(f schemas.File) bool { return f.Kind == "folder" })
	return &truth.Files[i]
}

// besideQuarantine are files that are moved into the quarantine: its drive's.
func besideQuarantine(truth *schemas.Rows) (out []actionTarget) {
	q := quarantineIn(truth)
	for i := range truth.Files {
		if f := &truth.Files[i]; f.Kind == "file" && f.ContainerID == q.ContainerID && f.ParentID != q.FileID {
			out = append(out, actionTarget{ID: f.FileID, Params: map[string]string{"mode": "move"}})
		}
	}
	return out
}

func inQuarantine(truth *schemas.Rows, t actionTarget) bool {
	f := fileOf(truth, t.ID)
	return f != nil && f.ParentID == quarantineIn(truth).FileID
}

func toAnyone(p *schemas.FilePermission) bool { return p.GranteeKind == "anyone" }
func toOutsiders(p *schemas.FilePermission) bool {
	return p.GranteeKind == "account" && p.GranteeEmail != "" && !strings.HasSuffix(p.GranteeEmail, "@"+ownDomain)
}

// withOutsiders are files that people outside may open.
func withOutsiders(truth *schemas.Rows) []actionTarget {
	out := files(toOutsiders)(truth)
	for i := range out {
		out[i].Params = map[string]string{"who": "external"}
	}
	return out
}

func toOthers(p *schemas.FilePermission) bool { return !strings.Contains(p.Role, "owner") }

func none(with func(*schemas.FilePermission) bool) func(*schemas.Rows, actionTarget) bool {
	return func(truth *schemas.Rows, t actionTarget) bool { return !permits(truth, t.ID, with) }
}

func fileOf(truth *schemas.Rows, id string) *schemas.File {
	if i := slices.IndexFunc(truth.Files, func(f schemas.File) bool { return f.FileID == id }); i >= 0 {
		return &truth.Files[i]
	}
	return nil
}

func noFile(truth *schemas.Rows, t actionTarget) bool { return fileOf(truth, t.ID) == nil }

// byAdmin is what somebody does.
func byAdmin(s *org.State) *org.Act {
	all := s.Accounts[org.Microsoft365]
	n := slices.IndexFunc(all, func(a *org.Account) bool { return a.Gone.IsZero() && a.Status == org.Active })
	return &org.Act{At: s.Now, Actor: org.Ref{Kind: org.AccountRef, N: all[n].N}, Client: &org.Client{IP: "198.51.100.7"}}
}

// leaveActiveDirectory has accounts be Entra's own: of others the next
// synchronization would undo what is done.
func leaveActiveDirectory(s *org.State) {
	for _, a := range s.Accounts[org.Microsoft365] {
		a.Synced = false
	}
}

// makeAdministrator gives the app the role without which it may set no passwords.
func makeAdministrator(s *org.State) {
	s.GrantEntraRole(byAdmin(s), org.Ref{Kind: org.IntegrationRef, N: org.AgentApp}, "User Administrator", -1)
}

// editedSize is that of the files that edit has changed.
const editedSize = 4321

// edit gives some files another version.
func edit(s *org.State) {
	for _, d := range s.Office.Drives {
		for n := range d.Items {
			if i := &d.Items[n]; !d.Locked && !i.Folder && i.Trashed == 0 {
				s.Edit(byAdmin(s), d, n, editedSize)
				break
			}
		}
	}
}

// edited are the files with an older version, which has one of the first numbers.
func edited(truth *schemas.Rows) (out []actionTarget) {
	for i := range truth.Files {
		for version := 1; version < 10 && truth.Files[i].Kind == "file" && truth.Files[i].Size.Value == editedSize; version++ {
			out = append(out, actionTarget{ID: truth.Files[i].FileID, Params: map[string]string{"version": fmt.Sprintf("%d.0", version)}})
		}
	}
	return out
}

func notEdited(truth *schemas.Rows, t actionTarget) bool {
	f := fileOf(truth, t.ID)
	return f != nil && f.Size.Value != editedSize
}

func actionCases() []sourcetest.ActionCase {
	account, credential, file := sources.TargetAccount, sources.TargetCredential, sources.TargetFile
	const fileScope, siteScope = "Files.ReadWrite.All", "Sites.FullControl.All"
	bySite := map[string]string{"break_inheritance": siteScope}
	moved := map[string][]string{"files": {"revision", "modified_by", "raw"}}
	reshared := map[string][]string{"file_permissions": {"permission_id", "raw"}, "files": {"revision", "raw"}}
	// What a file held, it holds in a new version.
	rewritten := map[string][]string{"file_permissions": {"permission_id", "raw"}, "files": {"revision", "modified_by", "raw"}}
	return []sourcetest.ActionCase{
		{Name: "suspend", Action: sources.SuspendUser, Kind: account, Candidates: plainAccounts("active"), Effect: statusIs("suspended"), Prepare: leaveActiveDirectory, Event: "Disable account", Scope: "User.EnableDisableAccount.All"},
		{Name: "unsuspend", Action: sources.UnsuspendUser, Kind: account, Candidates: plainAccounts("suspended"), Effect: statusIs("active"), Event: "Enable account", Scope: "User.EnableDisableAccount.All"},
		{Name: "sign out", Action: sources.SignOutUser, Kind: account, Candidates: plainAccounts("active"), Event: "Update StsRefreshTokenValidFrom Timestamp", Scope: "User.RevokeSessions.All", Again: true},
		{Name: "reset password", Action: sources.ResetPassword, Kind: account, Candidates: plainAccounts("active"), Prepare: makeAdministrator, Event: "Reset user password", Scope: "User-PasswordProfile.ReadWrite.All", Again: true, Changed: map[string][]string{"accounts": {"password_changed_at"}}},
		{Name: "expire password", Action: sources.ExpirePassword, Kind: account, Candidates: plainAccounts("active"), Prepare: makeAdministrator, Event: "Update user", Scope: "User-PasswordProfile.ReadWrite.All"},
		{Name: "leave a group", Action: sources.RemoveMember, Kind: account, Candidates: members, Effect: noMember, Event: "Remove member from group", Scope: "GroupMember.ReadWrite.All"},
		{
			Name: "a directory role", Action: sources.RemovePrivilege, Kind: account, Candidates: rolesHeld, Effect: noRole, Event: "Remove member from role", Scope: "RoleManagement.ReadWrite.Directory",
			Changed: map[string][]string{"privileges": {"privilege_id", "assigned_at", "raw"}},
		},
		{
			Name: "a consent of a person", Action: sources.RevokeGrant, Kind: credential, Candidates: grantsOf("consent", "account"), Effect: noGrant, Event: "Remove delegated permission grant",
			Scope: "DelegatedPermissionGrant.ReadWrite.All", Changed: map[string][]string{"app_grants": {"grant_id", "created_at", "raw"}},
		},
		{
			Name: "a consent for all", Action: sources.RevokeGrant, Kind: credential, Candidates: grantsOf("consent", "anyone"), Effect: noGrant, Event: "Remove delegated permission grant",
			Scope: "DelegatedPermissionGrant.ReadWrite.All", Changed: map[string][]string{"app_grants": {"grant_id", "created_at", "raw"}},
		},
		{
			Name: "an application permission", Action: sources.RevokeGrant, Kind: credential, Candidates: grantsOf("app_role", "app"), Effect: noGrant, Event: "Remove app role assignment from service principal",
			Scope: "AppRoleAssignment.ReadWrite.All", Changed: map[string][]string{"app_grants": {"grant_id", "created_at", "raw"}},
		},
		{
			Name: "all consents of a person", Action: sources.RevokeGrant, Kind: account, Candidates: consenters, Effect: noConsents, Event: "Remove delegated permission grant",
			Scope: "DelegatedPermissionGrant.ReadWrite.All", Changed: map[string][]string{"app_grants": {"grant_id", "created_at", "raw"}},
		},
		{Name: "disable an app", Action: sources.DisableApp, Kind: sources.TargetApp, Candidates: activeApps, Effect: inactiveApp, Event: "Update service principal", Scope: "Application.ReadWrite.All"},
		{Name: "quarantine", Action: sources.QuarantineFile, Kind: file, Candidates: shared, Effect: none(toOthers), Event: "FileCopied", Scope: fileScope, Scopes: bySite, Changed: rewritten},
		{Name: "quarantine in its drive", Action: sources.QuarantineFile, Kind: file, Candidates: besideQuarantine, Effect: inQuarantine, Event: "FileMoved", Scope: fileScope, Changed: rewritten},
		// What the recycle bin gives back has TestRestoreFromBin: its rows do not
		// tell which file's they are, so that an id of nobody is not refused.
		{Name: "restore a version", Action: sources.RestoreFile, Kind: file, Candidates: edited, Effect: notEdited, Prepare: edit, Event: "FileModified", Scope: fileScope, Changed: rewritten, Again: true},
		{Name: "trash", Action: sources.TrashFile, Kind: file, Candidates: files(nil), Effect: noFile, Event: "FileRecycled", Scope: siteScope, Changed: moved},
		{Name: "overwrite", Action: sources.OverwriteFile, Kind: file, Candidates: files(nil), Event: "FileModified", Scope: fileScope, Changed: rewritten, Again: true},
		{Name: "public links", Action: sources.RemoveSharing, Kind: file, Candidates: files(toAnyone), Effect: none(toAnyone), Event: "AnonymousLinkRemoved", Scope: fileScope, Changed: reshared},
		{Name: "people outside", Action: sources.RemoveSharing, Kind: file, Candidates: withOutsiders, Effect: none(toOutsiders), Event: "SharingRevoked", Scope: fileScope, Changed: reshared},
		{Name: "make private", Action: sources.MakePrivate, Kind: file, Candidates: shared, Effect: none(toOthers), Event: "SharingInheritanceBroken", Scope: fileScope, Scopes: bySite, Changed: reshared},
	}
}

func TestActionCases(t *testing.T) {
	t.Parallel()
	cases := actionCases()
	for _, a := range microsoft365.Connector.Actions {
		for _, target := range a.Targets {
			require.True(t, slices.ContainsFunc(cases, func(c sourcetest.ActionCase) bool { return c.Action == a.Action && c.Kind == target.Kind }), "%s on %s", a.Action, target.Kind)
		}
	}
}
