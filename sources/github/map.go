package github

import (
	"maps"
	"mime"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/schemas"
)

func itoa(i int) string { return strconv.Itoa(i) }

// when reads an RFC 3339 time; 0 when it is none.
func when(s string) schemas.Time {
	if s == "" {
		return 0
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.Year() < 1970 {
		return 0
	}
	return schemas.Time(t.UnixMilli())
}

// compact is a list of the values that are not empty, each once, in order.
func compact(values ...string) []string {
	out := make([]string, 0, len(values))
	for _, v := range values {
		if v != "" && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// addresses is the list of known e-mail addresses: lower-case, each once.
func addresses(values ...string) []string {
	out := make([]string, 0, len(values))
	for _, v := range values {
		if v = strings.ToLower(strings.TrimSpace(v)); isAddress(v) && !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

func isAddress(s string) bool {
	i := strings.IndexByte(s, '@')
	return i > 0 && i < len(s)-1 && !strings.ContainsAny(s, " \t\r\n<>")
}

func setAddresses(a *schemas.Account, values ...string) {
	if a.Emails = addresses(values...); len(a.Emails) > 0 {
		a.Email = a.Emails[0]
	}
}

// botLogin is the end of the logins of GitHub Apps.
const botLogin = "[bot]"

// accountKind tells bots by type or login (accounts.kind).
func accountKind(login, typ, otherwise string) string {
	if typ == "Bot" || strings.HasSuffix(login, botLogin) {
		return "bot"
	}
	return otherwise
}

// identity is what single sign-on tells of a member.
type identity struct{ emails []string }

// identityOf reads an external identity: its addresses, SCIM's first.
func identityOf(w *wireIdentity) (user string, id identity) {
	if w.User == nil {
		return "", identity{}
	}
	var all []string
	if w.SCIM != nil {
		for _, e := range w.SCIM.Emails {
			all = append(all, e.Value)
		}
		all = append(all, w.SCIM.Username)
	}
	if w.SAML != nil {
		for _, e := range w.SAML.Emails {
			all = append(all, e.Value)
		}
		all = append(all, w.SAML.Username, w.SAML.NameID)
	}
	return string(w.User.DatabaseID), identity{emails: addresses(all...)}
}

func mapMember(a *schemas.Account, w *wireMember, id identity, raw string) (reason string) {
	n := &w.Node
	if n.DatabaseID == "" {
		return "a member without databaseId"
	}
	*a = schemas.Account{
		AccountID: string(n.DatabaseID), AliasIDs: compact(n.Login, n.ID), Login: n.Login, DisplayName: n.Name, OrgUnit: n.Company,
		Status: "active", Kind: accountKind(n.Login, "", "human"), External: schemas.Some(false),
		CreatedAt: when(n.CreatedAt), ModifiedAt: when(n.UpdatedAt), Raw: raw,
	}
	switch w.Role {
	case "ADMIN":
		a.IsAdmin = schemas.Some(true)
	case "MEMBER":
		a.IsAdmin = schemas.Some(false)
	}
	if w.HasTwoFactor != nil {
		a.MFAEnabled = schemas.Some(*w.HasTwoFactor)
	} else {
		a.NotAsked = append(a.NotAsked, "mfa_enabled") // GitHub tells owners only
	}
	setAddresses(a, append(append(slices.Clone(id.emails), n.VerifiedEmails...), n.Email)...)
	return ""
}

func mapOutside(a *schemas.Account, w *wireUser, raw string) (reason string) {
	if w.ID == "" {
		return "a collaborator without id"
	}
	*a = schemas.Account{
		AccountID: string(w.ID), AliasIDs: compact(w.Login, w.NodeID), Login: w.Login, Status: "active",
		Kind: accountKind(w.Login, w.Type, "guest"), IsAdmin: schemas.Some(false), External: schemas.Some(true), Raw: raw,
	}
	return ""
}

// mapInvitation maps an invitation: there is no account in the organization
// yet, so the row's id is the invitation's.
func mapInvitation(a *schemas.Account, w *wireInvitation, status, raw string) (reason string) {
	if w.ID == "" {
		return "an invitation without id"
	}
	*a = schemas.Account{
		AccountID: "invitation:" + string(w.ID), AliasIDs: compact(w.Login), Login: w.Login, Status: status, Kind: accountKind(w.Login, "", "human"),
		IsAdmin: schemas.Some(false), CreatedAt: when(w.CreatedAt), Raw: raw,
	}
	setAddresses(a, w.Email)
	return ""
}

func mapTeam(g *schemas.Group, w *wireTeam, org, raw string) (reason string) {
	if w.ID == "" {
		return "a team without id"
	}
	*g = schemas.Group{
		GroupID: string(w.ID), AliasIDs: compact(org+"/"+w.Slug, w.Slug, w.NodeID), Name: w.Name, Kind: "team:" + w.Privacy,
		Description: w.Description, CreatedAt: when(w.CreatedAt), ModifiedAt: when(w.UpdatedAt), Raw: raw,
	}
	return ""
}

// mapTeamMember maps a team's member. Without a role, the list's is taken.
func mapTeamMember(m *schemas.GroupMember, w *wireUser, team, listRole string) (reason string) {
	if w.ID == "" {
		return "a member without id"
	}
	*m = schemas.GroupMember{GroupID: team, MemberID: string(w.ID), MemberKind: "account", Role: w.Role}
	if m.Role == "" {
		m.Role = listRole
	}
	return ""
}

// privilegeID is the key of a privilege: a hash of what it is.
func privilegeID(p *schemas.Privilege) string {
	return schemas.HashID(p.PrincipalID, p.RoleID, p.Scope, p.Via, p.ViaID, p.Condition)
}

func privilege(p schemas.Privilege) schemas.Privilege {
	p.State = "active"
	if p.Via == "" {
		p.Via = "direct"
	}
	p.PrivilegeID = privilegeID(&p)
	return p
}

const (
	scopeOrg  = "org"
	scopeRepo = "repository"
)

func ownerPrivilege(w *wireUser, org, raw string) schemas.Privilege {
	return privilege(schemas.Privilege{
		PrincipalID: string(w.ID), PrincipalKind: "account", RoleID: "org:admin", RoleName: "admin",
		Scope: org, ScopeKind: scopeOrg, Privileged: schemas.Some(true), Raw: raw,
	})
}

// basePrivilege is what every member may do in every repository: its principal
// is the organization itself. The role is no part of its id: there is one base
// permission, and only owners are told which.
func basePrivilege(o *wireOrg, raw string) (schemas.Privilege, bool) {
	role := repoRole(o.BasePermission)
	if role == "none" {
		return schemas.Privilege{}, false
	}
	p := privilege(schemas.Privilege{PrincipalID: string(o.ID), PrincipalKind: "group", Scope: o.Login, ScopeKind: scopeOrg, Raw: raw})
	if role == "" {
		p.NotAsked = []string{"role_id", "role_name", "privileged"}
		return p, true
	}
	p.RoleID, p.RoleName, p.Privileged = "repo:"+role, role, schemas.Some(role == "admin")
	return p, true
}

// rolePrivileges are what an organization role gives a user or team: directly,
// through teams, or both.
func rolePrivileges(role *wireRole, org, principal, kind, assignment string, from []wireTeam, raw string) (out []schemas.Privilege) {
	p := schemas.Privilege{
		PrincipalID: principal, PrincipalKind: kind, RoleID: "orgrole:" + string(role.ID), RoleName: role.Name,
		Scope: org, ScopeKind: scopeOrg, Privileged: schemas.Some(role.BaseRole == "admin" || slices.ContainsFunc(role.Permissions, writes)), Raw: raw,
	}
	if assignment != "indirect" {
		out = append(out, privilege(p))
	}
	if assignment == "direct" || assignment == "" {
		return out
	}
	p.Via = "group"
	for i := range from {
		p.ViaID = string(from[i].ID)
		out = append(out, privilege(p))
	}
	if len(from) == 0 && assignment == "indirect" {
		out = append(out, privilege(p))
	}
	return out
}

func writes(permission string) bool {
	return strings.HasPrefix(permission, "write_") || strings.HasPrefix(permission, "manage_") || strings.HasPrefix(permission, "delete_")
}

// repoRole is one word for one role: teams' lists still say pull and push.
func repoRole(s string) string {
	switch s {
	case "pull":
		return "read"
	case "push":
		return "write"
	}
	return s
}

// grant is one right to a repository: a row of privileges and one of
// file_permissions.
type grant struct {
	id, kind string // of the grantee; kind as in file_permissions
	role     string
	admin    bool
	raw      string
}

func addGrant(rows *schemas.Rows, repo *repoRef, g grant) {
	rows.Privileges = append(rows.Privileges, privilege(schemas.Privilege{
		PrincipalID: g.id, PrincipalKind: g.kind, RoleID: "repo:" + g.role, RoleName: g.role,
		Scope: repo.FullName, ScopeKind: scopeRepo, Privileged: schemas.Some(g.admin), Raw: g.raw,
	}))
	rows.FilePermissions = append(rows.FilePermissions, schemas.FilePermission{
		FileID: repo.fileID(), PermissionID: g.kind + ":" + g.id, GranteeID: g.id, GranteeKind: g.kind, Role: g.role,
		Inherited: schemas.Some(false), Raw: g.raw,
	})
}

func collaboratorGrant(w *wireUser, raw string) (g grant, reason string) {
	if w.ID == "" {
		return g, "a collaborator without id"
	}
	g = grant{id: string(w.ID), kind: "account", role: repoRole(w.RoleName), admin: w.Permissions["admin"] == "true", raw: raw}
	if g.role == "" {
		g.role = strongest(w.Permissions)
	}
	return g, ""
}

// strongest is the role that a set of permissions stands for, where an older
// server names none.
func strongest(permissions map[string]scalar) string {
	for _, r := range []string{"admin", "maintain", "push", "triage", "pull"} {
		if permissions[r] == "true" {
			return repoRole(r)
		}
	}
	return ""
}

func teamGrant(w *wireTeam, raw string) (g grant, reason string) {
	if w.ID == "" {
		return g, "a team without id"
	}
	role := repoRole(w.RoleName)
	if role == "" {
		role = repoRole(w.Permission)
	}
	return grant{id: string(w.ID), kind: "group", role: role, admin: role == "admin", raw: raw}, ""
}

func mapDeployKey(p *schemas.FilePermission, w *wireKey, repo *repoRef, raw string) (reason string) {
	if w.ID == "" {
		return "a deploy key without id"
	}
	*p = schemas.FilePermission{
		FileID: repo.fileID(), PermissionID: "link:" + string(w.ID), GranteeID: string(w.ID), GranteeKind: "link", Role: "write", LinkScope: "deploy_key",
		Inherited: schemas.Some(false), LastUsedAt: when(w.LastUsed), Raw: raw,
	}
	if w.ReadOnly {
		p.Role = "read"
	}
	return ""
}

// repoRef is what a repository's lane needs to know of it.
type repoRef struct{ ID, FullName string }

// fileID is the repository's own row in files. A file's is this and its path.
func (r *repoRef) fileID() string { return r.ID + ":" }

// mapRepo maps a repository to its row in files. external: outside
// collaborators have access, or are invited.
func mapRepo(f *schemas.File, w *wireRepo, external bool, raw string) (reason string) {
	if w.ID == "" {
		return "a repository without id"
	}
	*f = schemas.File{
		FileID: string(w.ID) + ":", AliasIDs: compact(string(w.ID), w.FullName, w.NodeID), Kind: "container", Name: w.Name, Path: w.FullName,
		ContainerID: string(w.ID) + ":", ContainerName: w.FullName, ContainerKind: "repository", OwnerID: string(w.Owner.ID),
		CreatedAt: when(w.CreatedAt), ModifiedAt: when(w.PushedAt), Trashed: schemas.Some(false), WebURL: w.HTMLURL,
		Sharing: sharing(w, external), Raw: raw,
	}
	return ""
}

func sharing(w *wireRepo, external bool) string {
	switch v := visibility(w); {
	case v == "public":
		return "public"
	case external:
		return "external"
	case v == "internal", v == "private":
		return v
	}
	return "unknown"
}

func visibility(w *wireRepo) string {
	if w.Visibility != "" {
		return w.Visibility
	}
	if w.Private {
		return "private"
	}
	return "public"
}

// audience are the grants that a repository has by its visibility and by the
// organization's base permission.
func audience(w *wireRepo, o *wireOrg) (out []schemas.FilePermission) {
	file := string(w.ID) + ":"
	if role := repoRole(o.BasePermission); role != "none" {
		p := schemas.FilePermission{FileID: file, PermissionID: "domain:" + string(o.ID), GranteeID: string(o.ID), GranteeKind: "domain", Role: role, Inherited: schemas.Some(true)}
		if role == "" { // told to owners only
			p.NotAsked = []string{"role"}
		}
		out = append(out, p)
	}
	if visibility(w) == "public" {
		out = append(out, schemas.FilePermission{FileID: file, PermissionID: "anyone", GranteeKind: "anyone", Role: "read", Inherited: schemas.Some(false)})
	}
	return out
}

// Modes of Git tree entries.
const (
	modeLink      = "120000"
	modeSubmodule = "160000"
)

// mapEntry maps an entry of a repository's tree; full is its path.
func mapEntry(f *schemas.File, w *wireEntry, repo *wireRepo, external bool, full, raw string) (reason string) {
	if w.Path == "" || w.SHA == "" {
		return "a tree entry without path or sha"
	}
	dir := path.Dir(full)
	if dir == "." {
		dir = ""
	}
	id := string(repo.ID)
	*f = schemas.File{
		FileID: id + ":" + full, Kind: "file", Name: path.Base(full), Path: full, ParentID: id + ":" + dir,
		ContainerID: id + ":", ContainerName: repo.FullName, ContainerKind: "repository", OwnerID: string(repo.Owner.ID),
		ModifiedAt: when(repo.PushedAt), Trashed: schemas.Some(false), Sharing: sharing(repo, external), Raw: raw,
		WebURL: repo.HTMLURL + "/blob/" + escapePath(repo.DefaultBranch) + "/" + escapePath(full),
	}
	switch {
	case w.Type == "tree":
		f.Kind = "folder"
		f.WebURL = repo.HTMLURL + "/tree/" + escapePath(repo.DefaultBranch) + "/" + escapePath(full)
		return ""
	case w.Type == "commit", w.Mode == modeSubmodule, w.Mode == modeLink:
		f.Kind = "shortcut"
	default:
		f.MimeType, _, _ = strings.Cut(mime.TypeByExtension(path.Ext(full)), ";")
	}
	if w.Size != nil {
		f.Size = schemas.Some(*w.Size)
	}
	f.Hash, f.HashAlgorithm = w.SHA, "git_blob"
	if w.Type == "commit" {
		f.HashAlgorithm = "git_commit"
	}
	return ""
}

func mapInstallation(rows *schemas.Rows, w *wireInstallation, raw string) (reason string) {
	if w.ID == "" || w.AppID == "" {
		return "an installation without id or app_id"
	}
	status := "active"
	if w.SuspendedAt != "" {
		status = "suspended"
	}
	alias := compact(w.AppSlug, w.ClientID)
	if w.AppSlug != "" {
		alias = append(alias, w.AppSlug+botLogin) // the login under which it acts
	}
	rows.Apps = append(rows.Apps, schemas.App{
		AppID: string(w.AppID), AliasIDs: alias, Name: w.AppSlug, Kind: "github_app", Status: status, Raw: raw,
	})
	scopes := levels(w.Permissions)
	rows.AppGrants = append(rows.AppGrants, schemas.AppGrant{
		GrantID: "inst:" + string(w.ID), Kind: "installation", AppID: string(w.AppID), AppName: w.AppSlug, PrincipalID: string(w.AppID), PrincipalKind: "app",
		Scopes: scopes, Resource: w.Selection, Consent: "admin", Status: status, HighPrivilege: schemas.Some(powerful(scopes)), CreatedAt: when(w.CreatedAt), Raw: raw,
	})
	return ""
}

// levels writes permissions as "key:level", sorted.
func levels(permissions map[string]scalar) []string {
	out := make([]string, 0, len(permissions))
	for _, k := range slices.Sorted(maps.Keys(permissions)) {
		if level := string(permissions[k]); level != "" {
			out = append(out, k+":"+level)
		}
	}
	return out
}

// credentialKinds are GitHub's types of authorized credentials.
var credentialKinds = map[string]string{
	"personal access token": "token", "SSH key": "ssh_key", "OAuth app token": "consent", "GitHub app token": "token",
}

// credentialGrant is the grant_id of a credential: the token's own id, by which
// the audit log names it. A key's is that of its authorization.
func credentialGrant(w *wireCredential) string {
	if credentialKinds[w.Type] != "ssh_key" && w.AuthorizedID != "" {
		return "token:" + string(w.AuthorizedID)
	}
	return "cred:" + string(w.CredentialID)
}

func mapCredential(g *schemas.AppGrant, w *wireCredential, org string, now schemas.Time, raw string) (reason string) {
	if w.CredentialID == "" {
		return "a credential without credential_id"
	}
	*g = schemas.AppGrant{
		GrantID: credentialGrant(w), Kind: credentialKinds[w.Type], AppName: first(w.Title, w.Note, w.Type),
		PrincipalID: w.Login, PrincipalKind: "account", Scopes: w.Scopes, Resource: org, Consent: "user", Status: "active",
		CreatedAt: when(w.AuthorizedAt), LastUsedAt: when(w.AccessedAt), ExpiresAt: when(w.ExpiresAt), Raw: raw,
	}
	if g.Kind == "" {
		g.Kind = "token" // a type that GitHub has added since
	}
	if g.Kind != "ssh_key" {
		g.HighPrivilege = schemas.Some(powerful(w.Scopes))
	}
	if g.ExpiresAt != 0 && g.ExpiresAt <= now {
		g.Status = "expired"
	}
	return ""
}

// patGrant is the grant_id of a fine-grained token.
func patGrant(w *wirePAT) string {
	return "pat:" + first(string(w.TokenID), "grant:"+string(w.ID))
}

func mapPAT(g *schemas.AppGrant, w *wirePAT, raw string) (reason string) {
	if w.ID == "" {
		return "a token without id"
	}
	scopes := []string{}
	for _, group := range slices.Sorted(maps.Keys(w.Permissions)) {
		scopes = append(scopes, levels(w.Permissions[group])...)
	}
	*g = schemas.AppGrant{
		GrantID: patGrant(w), Kind: "token", AppName: w.TokenName, PrincipalID: string(w.Owner.ID), PrincipalKind: "account",
		Scopes: scopes, Resource: w.Selection, Consent: "user", Status: "active", HighPrivilege: schemas.Some(powerful(scopes)),
		CreatedAt: when(w.GrantedAt), LastUsedAt: when(w.LastUsedAt), ExpiresAt: when(w.ExpiresAt), Raw: raw,
	}
	if w.Expired {
		g.Status = "expired"
	}
	return ""
}

// powerfulScopes allow administration, or reading or changing all code.
var powerfulScopes = map[string]bool{
	"repo": true, "delete_repo": true, "workflow": true, "site_admin": true,
	"admin:org": true, "write:org": true, "admin:enterprise": true, "admin:org_hook": true, "admin:repo_hook": true, "scim:enterprise": true,
	"administration:write": true, "organization_administration:write": true, "members:write": true, "contents:write": true, "workflows:write": true,
	"organization_user_blocking:write": true, "organization_hooks:write": true, "organization_custom_org_roles:write": true,
	"organization_personal_access_tokens:write": true,
}

func powerful(scopes []string) bool {
	return slices.ContainsFunc(scopes, func(s string) bool { return powerfulScopes[s] || strings.HasSuffix(s, ":admin") })
}

func first(s ...string) string {
	for _, v := range s {
		if v != "" {
			return v
		}
	}
	return ""
}

// escapePath escapes a path for an address, slashes kept.
func escapePath(p string) string { return (&url.URL{Path: p}).EscapedPath() }
