package googleworkspace

import (
	"slices"
	"strings"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

// drive appends My Drives, shared drives and what is in them, by 5.8 and 8.
//
// choice: a My Drive is a container that is called by its owner's id; its root folder
// is another name of it. What somebody owns is in their container, wherever its folder
// is. A shared drive that nobody can be acted as in is a container whose
// files nobody lists.
func (t *truth) drive() {
	for _, k := range t.s.Docs.Corpora {
		if k.Shared() {
			t.sharedDrive(k)
		}
	}
	for _, a := range t.s.Accounts[app] {
		if k := t.s.Docs.Mine(a.N); k != nil && listed(a) {
			t.myDrive(a, k)
		}
	}
}

func (t *truth) myDrive(a *org.Account, k *org.Corpus) {
	id := "mydrive:" + t.h.userID(a.N)
	root := t.h.fileID(t.s, k.Root)
	t.rows.Files = append(t.rows.Files, schemas.File{
		FileID: id, AliasIDs: []string{root}, Kind: "container", Name: "My Drive", ContainerID: id, ContainerName: "My Drive", ContainerKind: "drive", OwnerID: t.h.userID(a.N),
		Sharing: "private", Trashed: schemas.Some(false),
	})
	for _, n := range t.s.Docs.Owned(a.N) {
		t.file(n, id, "My Drive")
	}
}

func (t *truth) sharedDrive(k *org.Corpus) {
	id, name := t.h.fileID(t.s, k.Root), t.s.Docs.Name(k.Root)
	t.rows.Files = append(t.rows.Files, schemas.File{
		FileID: id, Kind: "container", Name: name, ContainerID: id, ContainerName: name, ContainerKind: "drive", CreatedAt: schemas.Time(k.Created.UnixMilli()), Sharing: t.sharing(k.Root), Trashed: schemas.Some(false),
	})
	t.filePermissions(k.Root, id)
	subject := t.reader(k)
	if subject < 0 {
		return
	}
	for _, n := range k.Docs {
		if role, _ := t.s.DocRole(subject, n); role != "" {
			t.file(n, id, name)
		}
	}
}

// somebodyLists says whether a doc is in a listing that can be read.
func (t *truth) somebodyLists(n int32) bool {
	k := t.s.Docs.Corpora[t.s.Docs.All[n].Corpus]
	if !t.s.There(n) || !k.Shared() {
		return t.s.There(n)
	}
	subject := t.reader(k)
	if subject < 0 || t.s.Docs.IsRoot(n) {
		return t.s.Docs.IsRoot(n)
	}
	role, _ := t.s.DocRole(subject, n)
	return role != ""
}

// reader is who is acted as to list a shared drive: of the members who are of the
// organization and active, and have Drive, the first that may do most, those by name
// before those of groups; -1: nobody. What is closed to them nobody lists.
func (t *truth) reader(k *org.Corpus) int {
	best, rank := -1, -1
	take := func(account int, role string) {
		a := t.s.Accounts[app][account]
		if a.Status == org.Active && listed(a) && t.s.Docs.Mine(account) != nil && org.DocRank(role) > rank {
			best, rank = account, org.DocRank(role)
		}
	}
	reaching := t.s.Reaching(k.Root)
	for _, r := range reaching {
		if r.Account >= 0 {
			take(r.Account, r.Role)
		}
	}
	if best >= 0 {
		return best
	}
	for _, r := range reaching {
		if r.Group >= 0 {
			t.eachMember(r.Group, 0, func(account int) { take(account, r.Role) })
		}
	}
	return best
}

// eachMember tells the accounts in a group, and in those that are in it.
func (t *truth) eachMember(group, depth int, fn func(account int)) {
	g := t.s.Groups[app][group]
	if !g.Gone.IsZero() || depth > 8 {
		return
	}
	for _, m := range g.Members {
		fn(m.Account)
	}
	for _, o := range g.Others {
		if o.Kind == org.GroupRef {
			t.eachMember(o.N, depth+1, fn)
		}
	}
}

// file appends a doc as its owner, or a member of its drive, sees it.
func (t *truth) file(n int32, container, containerName string) {
	h, s, d := t.h, t.s, t.s.Docs
	x := &d.All[n]
	if !s.There(n) {
		return
	}
	row := schemas.File{
		FileID: h.fileID(s, n), Kind: "file", Name: d.Name(n), Path: t.path(n), ContainerID: container, ContainerName: containerName, ContainerKind: "drive",
		MimeType: d.Media(n), Revision: itoa(max(x.Version, 1)), CreatedAt: schemas.Time(x.Created), ModifiedAt: schemas.Time(x.Modified), ModifiedBy: t.maker(int(x.ModifiedBy)),
		Trashed: schemas.Some(d.InTrash(n)), Sharing: t.sharing(n), WebURL: h.webLink(s, n),
	}
	if t.tellsParent(n) {
		row.ParentID = h.fileID(s, x.Parent)
	}
	if x.Owner >= 0 {
		row.OwnerID = h.userID(int(x.Owner))
	} else if at := d.TrashedSince(n); at != 0 {
		row.TrashedAt = schemas.Time(at)
	}
	switch x.Kind {
	case org.FolderDoc:
		row.Kind = "folder"
	case org.ShortcutDoc:
		row.Kind = "shortcut"
	case org.EditorDoc:
		row.Size = schemas.Some(x.Size)
	case org.BlobDoc:
		row.Size = schemas.Some(x.Size)
		row.Hash, row.HashAlgorithm = checksumsOf(content(n, head(s, n))).sha256, "sha256"
		row.Revision = h.revisionID(s, n, x.Content)
	}
	t.rows.Files = append(t.rows.Files, row)
	t.filePermissions(n, row.FileID)
}

// maker is who changed a doc. choice: by the address, once the account is deleted.
func (t *truth) maker(account int) string {
	if a := t.s.Accounts[app][account]; !listed(a) {
		return strings.ToLower(a.Login)
	}
	return t.h.userID(account)
}

// path is the names of folders from below the root down to a doc, as far as who
// lists it can see them.
func (t *truth) path(n int32) string {
	d := t.s.Docs
	who, path := int(d.All[n].Owner), d.Name(n)
	for t.opens(who, d.All[n].Parent) {
		if n = d.All[n].Parent; d.All[n].Parent < 0 {
			break
		}
		path = d.Name(n) + "/" + path
	}
	return path
}

// tellsParent says whether a doc's folder is told to who lists it.
func (t *truth) tellsParent(n int32) bool {
	x := &t.s.Docs.All[n]
	return t.opens(int(x.Owner), x.Parent)
}

// opens says whether an account can look into a folder; -1: a member of its drive.
func (t *truth) opens(account int, n int32) bool {
	if account < 0 {
		return true
	}
	if !t.s.There(n) {
		return false
	}
	role, _ := t.s.DocRole(account, n)
	return role != ""
}

// sharing is the widest audience of all that reaches a doc: of what is in a shared
// drive the organization at least.
func (t *truth) sharing(n int32) string {
	rank := []string{"private", "internal", "external", "public"}
	widest := 0
	owner := t.s.Docs.All[n].Owner
	if owner < 0 {
		widest = 1
	}
	for _, r := range t.s.Reaching(n) {
		wide := "internal"
		switch {
		case r.Shut || r.View != "" || t.isDeleted(&r.DocGrant):
			continue
		case r.To == org.ToAnyone:
			wide = "public"
		case r.To == org.ToDomain && !t.own(r.Domain), r.Email != "" && !t.own(r.Email[strings.IndexByte(r.Email, '@')+1:]):
			wide = "external"
		case r.To == org.ToUser && r.Account >= 0 && r.Account == int(owner):
			continue
		}
		widest = max(widest, slices.Index(rank, wide))
	}
	return rank[widest]
}

func (t *truth) own(domain string) bool {
	return org.IsAudience(domain) || slices.Contains(domains(t.s), domain)
}

func (t *truth) isDeleted(g *org.DocGrant) bool {
	return g.Account >= 0 && !listed(t.s.Accounts[app][g.Account]) || g.Group >= 0 && !t.s.Groups[app][g.Group].Gone.IsZero()
}

// filePermissions appends what is granted at a doc itself: deleted grantees are
// skipped, as are views. choice: the role is the one that is written there, though
// more may be inherited.
func (t *truth) filePermissions(n int32, file string) {
	for _, r := range t.s.Reaching(n) {
		if r.At == n && r.View == "" && !t.isDeleted(&r.DocGrant) {
			t.filePermission(file, &r.DocGrant, r.Role)
		}
	}
}

func (t *truth) filePermission(file string, g *org.DocGrant, role string) {
	h, s := t.h, t.s
	row := schemas.FilePermission{FileID: file, PermissionID: h.permissionID(g), Role: role, Inherited: schemas.Some(false), ExpiresAt: schemas.Time(g.Expires)}
	switch {
	case g.To == org.ToAnyone:
		row.GranteeKind, row.GranteeID, row.LinkScope = "anyone", "anyone", "anyone"
		if !g.Findable {
			row.GranteeKind = "link"
		}
	case g.To == org.ToDomain:
		row.GranteeKind, row.GranteeID = "domain", g.Domain
		if !g.Findable {
			row.LinkScope = "organization"
		}
	case g.Account >= 0:
		row.GranteeKind, row.GranteeID, row.GranteeEmail = "account", h.userID(g.Account), strings.ToLower(s.Accounts[app][g.Account].Login)
	case g.Group >= 0:
		row.GranteeKind, row.GranteeID, row.GranteeEmail = "group", h.groupID(g.Group), strings.ToLower(groupEmail(s, s.Groups[app][g.Group]))
	default:
		row.GranteeKind, row.GranteeID, row.GranteeEmail = "account", g.Email, g.Email
		if g.To == org.ToGroup {
			row.GranteeKind = "group"
		}
	}
	t.rows.FilePermissions = append(t.rows.FilePermissions, row)
}
