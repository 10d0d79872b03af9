package github

import (
	"mime"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

// truth writes what is true now, in the terms of the schema, by the mapping of
// GitHub's sheet. Where sheet and schema leave a choice, a comment says which
// was taken.
//
// choice: accounts.last_login_at stays empty: only the audit log tells.
type truth struct {
	h       *Handler
	s       *org.State
	rows    *schemas.Rows
	flavour Flavour
}

func millis(t time.Time) schemas.Time {
	if t.IsZero() {
		return 0
	}
	return schemas.Time(t.UnixMilli())
}

// seconds is millis of what the API shows without fractions.
func seconds(t time.Time) schemas.Time { return millis(t.Truncate(time.Second)) }

func (t truth) accountID(n int) string { return itoa(t.h.id(kindAccount, n)) }
func (t truth) teamID(n int) string    { return itoa(t.h.id(kindTeam, n)) }

func (t truth) accounts() {
	for _, a := range t.s.Accounts[org.GitHub] {
		switch {
		case isInvited(t.s, a):
			t.invited(a)
		case isMember(t.s, a), isOutside(t.s, a):
			t.account(a)
			if asked(t.s, a) { // choice: the invitation of somebody who is outside is a row of its own
				t.invited(a)
			}
		}
	}
}

// account of a member or outside collaborator. choice: of the latter the listing
// tells the simple user alone; that an account is suspended, no listing does.
func (t truth) account(a *org.Account) {
	p := t.s.People[a.Person]
	id := t.h.id(kindAccount, a.N)
	row := schemas.Account{
		AccountID: itoa(id), AliasIDs: []string{shown(a), t.h.nodeID(userPrefix(userType(a)), id)}, Login: shown(a), Status: "active", Kind: "human",
		// choice: members belong to the organization, outside collaborators do not.
		External:   schemas.Some(a.Outside),
		IsAdmin:    schemas.Some(a.Owner && !a.Outside),
		MFAEnabled: schemas.Some(len(a.Factors) > 0), // choice: of outside collaborators by filter=2fa_disabled
	}
	switch {
	case userType(a) == "Bot":
		row.Kind = "bot"
	case a.Outside:
		row.Kind = "guest"
	}
	if a.Outside {
		t.rows.Accounts = append(t.rows.Accounts, row)
		return
	}
	row.DisplayName, row.OrgUnit = name(p), company(t.s, a)
	row.CreatedAt, row.ModifiedAt = seconds(a.Created), seconds(a.Modified)
	// choice: all addresses that any answer tells, in the sheet's order: SCIM and
	// SAML, verified domain, public profile.
	var emails []string
	add := func(e string) {
		if e = strings.ToLower(e); e != "" && !slices.Contains(emails, e) {
			emails = append(emails, e)
		}
	}
	if !t.flavour.GHES && !t.flavour.Free && linked(a, p) {
		add(samlName(p))
	}
	add(verifiedEmail(t.s, a))
	add(publicEmail(t.s, a))
	if len(emails) > 0 {
		row.Email, row.Emails = emails[0], emails
	}
	t.rows.Accounts = append(t.rows.Accounts, row)
}

// invited: choice: the API tells no account's id, so the invitation's stands for
// it; nobody who is invited is an administrator yet.
func (t truth) invited(a *org.Account) {
	if t.flavour.EMU {
		return
	}
	row := schemas.Account{
		AccountID: "invitation:" + itoa(t.h.id(kindInvitation, a.N)), Status: "invited", Kind: "human", IsAdmin: schemas.Some(false),
		CreatedAt: seconds(invitedAt(a)), // choice: created_at is the invitation's
	}
	if t.h.expired(t.s, a) {
		row.Status = "disabled"
	}
	if invitedByEmail(a) {
		e := t.s.People[a.Person].Email
		row.Email, row.Emails = e, []string{e}
	} else {
		row.Login, row.AliasIDs = shown(a), []string{shown(a)}
	}
	t.rows.Accounts = append(t.rows.Accounts, row)
}

func (t truth) groups() {
	for _, g := range t.s.Groups[org.GitHub] {
		if !alive(g.Created, g.Gone, t.s) {
			continue
		}
		id := t.teamID(g.N)
		t.rows.Groups = append(t.rows.Groups, schemas.Group{
			GroupID: id,
			// choice: audit rows name teams "org/slug" and have no id: the alias joins them.
			AliasIDs:    []string{t.s.Name + "/" + g.Slug, g.Slug, t.h.nodeID("T", t.h.id(kindTeam, g.N))},
			Name:        g.Name,
			Kind:        "team:" + privacy(g),
			Description: g.Description,
			CreatedAt:   seconds(g.Created),
			ModifiedAt:  seconds(g.Modified),
		})
		// choice: memberships are written where they were granted; what a team
		// inherits from teams below it follows from the nesting.
		for _, m := range t.members(g) {
			t.rows.GroupMembers = append(t.rows.GroupMembers, schemas.GroupMember{GroupID: id, MemberID: t.accountID(m.account.N), MemberKind: "account", Role: m.role})
		}
		if p := parentOf(t.s, g); p != nil {
			// choice: the nested team is a member of its parent.
			t.rows.GroupMembers = append(t.rows.GroupMembers, schemas.GroupMember{GroupID: t.teamID(p.N), MemberID: id, MemberKind: "group", Role: "member"})
		}
	}
}

// members of a team itself. choice: a server that does not tell who is inherited
// has the members of the teams below it among them.
func (t truth) members(g *org.Group) []belongs {
	c := &call{h: t.h, s: t.s, flavour: t.flavour}
	all := c.effective(g)
	for i := range all {
		if all[i].role == t.h.facts.Maintainer {
			all[i].role = "maintainer"
		}
	}
	if t.flavour.OldGHES {
		return all
	}
	return slices.DeleteFunc(all, func(b belongs) bool { return b.inherited })
}

func (t truth) privileges() {
	add := func(p schemas.Privilege) {
		p.State = "active"
		p.PrivilegeID = schemas.HashID(p.PrincipalID, p.RoleID, p.Scope, p.Via, p.ViaID, p.Condition)
		t.rows.Privileges = append(t.rows.Privileges, p)
	}
	if role := t.h.facts.BasePermission; role != "none" {
		// choice: the organization stands for all its members. Its role is no part
		// of the id: there is one base permission, and only owners are told which.
		p := schemas.Privilege{PrincipalID: itoa(t.h.id(kindAccount, orgNumber)), PrincipalKind: "group", Scope: t.s.Name, ScopeKind: "org", Via: "direct", State: "active"}
		p.PrivilegeID = schemas.HashID(p.PrincipalID, "", p.Scope, p.Via, "", "")
		p.RoleID, p.RoleName, p.Privileged = "repo:"+role, role, schemas.Some(role == "admin")
		t.rows.Privileges = append(t.rows.Privileges, p)
	}
	for _, a := range t.s.Accounts[org.GitHub] {
		if a.Owner && isMember(t.s, a) {
			// choice: owners alone; that a member is a member, accounts tell.
			add(schemas.Privilege{
				PrincipalID: t.accountID(a.N), PrincipalKind: "account", RoleID: "org:admin", RoleName: "admin",
				Scope: t.s.Name, ScopeKind: "org", Via: "direct", Privileged: schemas.Some(true),
			})
		}
	}
	c := &call{h: t.h, s: t.s, flavour: t.flavour}
	if !t.flavour.Free {
		for _, r := range orgRoles(t.s) {
			t.orgRole(c, r, add)
		}
	}
	for _, r := range t.s.Repos {
		if !alive(r.Created, r.Gone, t.s) {
			continue
		}
		for _, a := range r.Access {
			p := schemas.Privilege{RoleID: "repo:" + a.Role, RoleName: a.Role, Scope: t.s.Name + "/" + r.Name, ScopeKind: "repository", Via: "direct", Privileged: schemas.Some(a.Role == "admin")}
			switch a.Holder.Kind {
			case org.AccountRef:
				// choice: an invitation gives nothing before it is accepted.
				account := t.s.Accounts[org.GitHub][a.Holder.N]
				if a.Invited || !here(account, t.s) || account.Status == org.Invited {
					continue
				}
				p.PrincipalID, p.PrincipalKind = t.accountID(a.Holder.N), "account"
			case org.GroupRef:
				if teamOf(t.s, a.Holder.N) == nil {
					continue
				}
				// choice: the team holds it, directly; a team's "push" is the role "write".
				p.PrincipalID, p.PrincipalKind = t.teamID(a.Holder.N), "group"
			default:
				continue
			}
			add(p)
		}
	}
}

// orgRole: choice: a row for each way in which somebody holds a role: direct,
// and one for each team that gives it (mixed is both). Teams hold it directly.
func (t truth) orgRole(c *call, r orgRole, add func(schemas.Privilege)) {
	base := schemas.Privilege{RoleID: "orgrole:" + itoa(t.h.id(kindRole, r.n)), RoleName: r.name, Scope: t.s.Name, ScopeKind: "org", Via: "direct"}
	// choice: a role that changes anything is privileged.
	base.Privileged = schemas.Some(slices.ContainsFunc(r.permits, func(p string) bool { return hasAny(p, "write_", "manage_", "delete_") }))
	for _, h := range c.holders(r.n) {
		p := base
		p.PrincipalID, p.PrincipalKind = t.accountID(h.account.N), "account"
		if h.direct {
			add(p)
		}
		for _, g := range h.teams {
			p.Via, p.ViaID = "group", t.teamID(g.N)
			add(p)
		}
	}
	seen := map[int]bool{}
	for _, g := range t.s.Roles[org.GitHub] {
		if roleNumber(g) == r.n && g.Holder.Kind == org.GroupRef && alive(g.Assigned, g.Gone, t.s) && teamOf(t.s, g.Holder.N) != nil && !seen[g.Holder.N] {
			seen[g.Holder.N] = true
			p := base
			p.PrincipalID, p.PrincipalKind = t.teamID(g.Holder.N), "group"
			add(p)
		}
	}
}

func (t truth) files() {
	for _, r := range t.s.Repos {
		if alive(r.Created, r.Gone, t.s) {
			t.repository(r)
			t.permissions(r)
		}
	}
}

func (t truth) repoFile(r *org.Repo) string { return itoa(t.h.id(kindRepo, r.N)) + ":" }

func (t truth) repository(r *org.Repo) {
	full := t.s.Name + "/" + r.Name
	web := t.h.tenant.Base + "/" + full
	id := t.repoFile(r)
	owner := itoa(t.h.id(kindAccount, orgNumber))
	sharing := r.Visibility
	if sharing != "public" && slices.ContainsFunc(r.Access, t.outside) {
		sharing = "external" // choice: wider than the enterprise, too
	}
	base := schemas.File{
		// choice: container_id is the container's own file_id.
		ContainerID: id, ContainerName: full, ContainerKind: "repository", OwnerID: owner,
		Trashed: schemas.Some(false), Sharing: sharing, ModifiedAt: seconds(r.Pushed),
	}
	c := base
	c.FileID, c.Kind, c.Name, c.Path, c.WebURL, c.CreatedAt = id, "container", r.Name, full, web, seconds(r.Created)
	// choice: audit rows name repositories by repo_id, or by full name alone.
	c.AliasIDs = []string{strings.TrimSuffix(id, ":"), full, t.h.nodeID("R", t.h.id(kindRepo, r.N))}
	t.rows.Files = append(t.rows.Files, c)
	if !t.flavour.Trees || r.Pushed.IsZero() {
		return
	}
	for _, e := range t.h.treeEntries(r) {
		f := base
		f.FileID, f.Path, f.Name, f.Kind = id+e.path, e.path, path.Base(e.path), "file"
		f.ParentID = id
		if d := path.Dir(e.path); d != "." {
			f.ParentID = id + d
		}
		f.WebURL = web + "/blob/" + (&url.URL{Path: branch(r) + "/" + e.path}).EscapedPath()
		switch {
		case e.kind == "tree":
			f.Kind = "folder"
			f.WebURL = strings.Replace(f.WebURL, web+"/blob/", web+"/tree/", 1) // choice: where a folder's page is
		case e.mode == "120000" || e.kind == "commit":
			f.Kind = "shortcut" // choice: links and submodules point elsewhere
		default:
			f.MimeType, _, _ = strings.Cut(mime.TypeByExtension(path.Ext(e.path)), ";")
		}
		switch e.kind {
		case "blob":
			f.Size, f.Hash, f.HashAlgorithm = schemas.Some(e.size), e.hash, "git_blob"
		case "commit":
			f.Hash, f.HashAlgorithm = e.hash, "git_commit"
		}
		t.rows.Files = append(t.rows.Files, f)
	}
}

// outside tells whether access reaches beyond the organization, or would when an
// invitation is accepted.
func (t truth) outside(a org.Access) bool {
	if a.Holder.Kind != org.AccountRef {
		return false
	}
	account := t.s.Accounts[org.GitHub][a.Holder.N]
	return a.Invited || isOutside(t.s, account)
}

// permissions of a repository. choice: permission_id is the grantee's kind and
// id; the organization's base permission is inherited, all else granted here.
func (t truth) permissions(r *org.Repo) {
	add := func(p schemas.FilePermission) {
		p.FileID = t.repoFile(r)
		p.Inherited = schemas.Some(p.GranteeKind == "domain")
		t.rows.FilePermissions = append(t.rows.FilePermissions, p)
	}
	for _, a := range r.Access {
		switch a.Holder.Kind {
		case org.AccountRef:
			account := t.s.Accounts[org.GitHub][a.Holder.N]
			if id := t.accountID(a.Holder.N); !a.Invited && here(account, t.s) && account.Status != org.Invited {
				add(schemas.FilePermission{PermissionID: "account:" + id, GranteeID: id, GranteeKind: "account", Role: a.Role})
			}
		case org.GroupRef:
			if id := t.teamID(a.Holder.N); teamOf(t.s, a.Holder.N) != nil {
				add(schemas.FilePermission{PermissionID: "group:" + id, GranteeID: id, GranteeKind: "group", Role: a.Role})
			}
		default:
		}
	}
	orgID := itoa(t.h.id(kindAccount, orgNumber))
	if role := t.h.facts.BasePermission; role != "none" {
		add(schemas.FilePermission{PermissionID: "domain:" + orgID, GranteeID: orgID, GranteeKind: "domain", Role: role})
	}
	if r.Visibility == "public" {
		add(schemas.FilePermission{PermissionID: "anyone", GranteeKind: "anyone", Role: "read"})
	}
	for _, k := range r.Keys {
		role := "write"
		if k.ReadOnly {
			role = "read"
		}
		id := itoa(t.h.keyID(&k))
		add(schemas.FilePermission{PermissionID: "link:" + id, GranteeID: id, GranteeKind: "link", Role: role, LinkScope: "deploy_key", LastUsedAt: seconds(k.LastUsed)})
	}
}

func (t truth) apps() {
	for _, v := range t.h.installedApps(t.s) {
		t.rows.Apps = append(t.rows.Apps, schemas.App{
			// choice: audit rows have the slug, or the login under which the App acts.
			AppID: itoa(v.appID), AliasIDs: []string{v.slug, v.clientID, v.slug + "[bot]"}, Name: v.slug, Kind: "github_app", Status: installedStatus(v),
			// choice: when the App was registered is not told.
		})
	}
}

func installedStatus(v installed) string {
	if !v.suspended.IsZero() {
		return "suspended"
	}
	return "active"
}

func (t truth) grants() {
	for _, v := range t.h.installedApps(t.s) {
		resource := "all"
		if v.selected {
			resource = "selected"
		}
		t.rows.AppGrants = append(t.rows.AppGrants, schemas.AppGrant{
			GrantID: "inst:" + itoa(v.id), Kind: "installation", AppID: itoa(v.appID), AppName: v.slug,
			// choice: an installation is held by the app itself.
			PrincipalID: itoa(v.appID), PrincipalKind: "app", Scopes: levels(v.perms), Resource: resource,
			Consent: "admin", Status: installedStatus(v), HighPrivilege: schemas.Some(mighty(levels(v.perms))), CreatedAt: seconds(v.created),
		})
	}
	if !t.flavour.GHES && !t.flavour.Free {
		for _, g := range liveGrants(t.s, org.GrantCredential) {
			t.credential(g)
		}
	}
	for _, g := range liveGrants(t.s, org.GrantPAT) {
		if !t.flavour.App && t.h.facts.PATsAppOnly {
			break
		}
		inOrg, inRepo := split(g.Scopes)
		t.rows.AppGrants = append(t.rows.AppGrants, schemas.AppGrant{
			// choice: the token's id, by which audit rows name it, not the grant's.
			GrantID: "pat:" + itoa(t.h.id(kindToken, g.N)), Kind: "token",
			AppName:     g.Name, // choice: token_name, as credentials have their note
			PrincipalID: t.accountID(g.Account), PrincipalKind: "account",
			// choice: the organization's permissions, then the repositories', each by name.
			Scopes: append(levels(inOrg), levels(inRepo)...), Resource: "all",
			Consent: "user", // choice: its owner made it
			Status:  grantStatus(t.s, g), HighPrivilege: schemas.Some(mighty(g.Scopes)), CreatedAt: seconds(g.Created), LastUsedAt: seconds(g.LastUsed), ExpiresAt: seconds(g.Expires),
		})
	}
}

// credential: choice: a token is named by its own id, by which audit rows name
// it; a key, which they do not, by the authorization's.
func (t truth) credential(g *org.Grant) {
	row := schemas.AppGrant{
		GrantID: "token:" + itoa(t.h.id(kindToken, g.N)), Kind: "token", AppName: firstOf(g.Name, g.Credential),
		// choice: the record has the login, an alias of the account.
		PrincipalID: shown(t.s.Accounts[org.GitHub][g.Account]), PrincipalKind: "account", Scopes: g.Scopes, Resource: t.s.Name, Consent: "user",
		Status: grantStatus(t.s, g), HighPrivilege: schemas.Some(mighty(g.Scopes)), CreatedAt: seconds(g.Created), LastUsedAt: seconds(g.LastUsed), ExpiresAt: seconds(g.Expires),
	}
	switch g.Credential {
	case "SSH key":
		row.GrantID, row.HighPrivilege = "cred:"+itoa(t.h.id(kindCredential, g.N)), schemas.Opt[bool]{} // choice: a key has no scopes
		row.Kind, row.Scopes, row.ExpiresAt, row.Status = "ssh_key", nil, 0, "active"
	case "OAuth app token":
		row.Kind = "consent" // choice: its owner let an OAuth app act for them
	}
	t.rows.AppGrants = append(t.rows.AppGrants, row)
}

// mighty tells whether scopes or permissions allow administration, or reading
// or changing all code.
func mighty(scopes []string) bool {
	return slices.ContainsFunc(scopes, func(s string) bool {
		name, level, fine := strings.Cut(s, ":")
		switch {
		case fine && (level == "read" || level == "org_hook" && name != "admin"):
			return false
		case strings.HasSuffix(s, ":admin"):
			return true
		case level == "write":
			return slices.Contains([]string{
				"administration", "organization_administration", "members", "contents", "workflows", "organization_user_blocking", "organization_hooks",
				"organization_custom_org_roles", "organization_personal_access_tokens",
			}, name)
		}
		return slices.Contains([]string{
			"repo", "delete_repo", "workflow", "site_admin", "admin:org", "write:org", "admin:enterprise", "admin:org_hook", "admin:repo_hook", "scim:enterprise",
		}, s)
	})
}

func grantStatus(s *org.State, g *org.Grant) string {
	if expiredGrant(s, g) {
		return "expired"
	}
	return "active"
}

// levels lists permissions as "key:level".
func levels(m map[string]string) []string {
	var out []string
	for _, k := range sortedKeys(m) {
		out = append(out, k+":"+m[k])
	}
	return out
}
