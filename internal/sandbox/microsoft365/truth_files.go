package microsoft365

import (
	"slices"
	"strings"

	"weir/internal/sandbox/org"
	"weir/schemas"
)

// files appends sites, drives and what is in them.
//
// choice: a drive's row stands for its root folder too: what is at the root has the
// drive as its parent, and the root's permissions are the drive's. What is in the
// recycle bin no listing shows: it is not there. A locked drive cannot be read. Whose a
// personal site is, its drive tells. A container has no path in itself, and no size: that
// of a folder, or a drive, changes with all below it.
func (t *truth) files() {
	o := t.s.Office
	for _, site := range o.Sites {
		id := t.h.siteID(t.s, site.N)
		name := site.Name
		row := schemas.File{
			FileID: id, AliasIDs: []string{t.h.siteGUID(site.N), t.h.guid("web", site.N), t.h.siteURL(t.s, site.N)}, Kind: "container", Name: name, ContainerID: id, ContainerName: name,
			ContainerKind: "site", CreatedAt: atSecond(site.Created), ModifiedAt: atSecond(site.Modified), Sharing: "unknown", WebURL: t.h.siteURL(t.s, site.N), Trashed: schemas.Some(false),
		}
		t.rows.Files = append(t.rows.Files, row)
	}
	for _, d := range o.Drives {
		if !d.Locked {
			t.drive(d)
		}
	}
}

func unixTime(at int64) schemas.Time { return schemas.Time(at * 1000) }

func (t *truth) drive(d *org.Drive) {
	h, s := t.h, t.s
	id := h.driveID(d.N)
	row := schemas.File{
		FileID: id, Kind: "container", Name: d.Name, ParentID: h.siteID(s, d.Site), ContainerID: id, ContainerName: d.Name, ContainerKind: "drive",
		CreatedAt: atSecond(d.Created), WebURL: h.itemURL(s, d, "", ""), Trashed: schemas.Some(false), Sharing: t.sharing(d, 0),
		AliasIDs: []string{id + "/" + h.itemID(d.N, 0), h.uniqueID(d.N, 0)},
	}
	if d.Owner >= 0 {
		row.OwnerID = h.accountID(d.Owner)
	} else if g := s.Office.Sites[d.Site].Group; g >= 0 {
		row.OwnerID = h.groupID(g)
	}
	t.rows.Files = append(t.rows.Files, row)
	t.filePermissions(d, 0, id)
	for n := 1; n < len(d.Items); n++ {
		i := &d.Items[n]
		if i.Trashed != 0 {
			continue
		}
		f := schemas.File{
			FileID: id + "/" + h.itemID(d.N, n), AliasIDs: []string{h.uniqueID(d.N, n)}, Kind: "file", Name: i.Name, Path: d.Path(n), ParentID: id, ContainerID: id, ContainerName: d.Name,
			ContainerKind: "drive", OwnerID: row.OwnerID, CreatedAt: unixTime(i.Created), ModifiedAt: unixTime(i.Modified),
			ModifiedBy: h.maker(i.ModifiedBy), Trashed: schemas.Some(false), Sharing: t.sharing(d, n), Revision: h.eTag(d.N, n, i),
		}
		folder, name := d.Path(int(i.Parent)), i.Name
		f.WebURL = h.itemURL(s, d, folder, name)
		if i.Parent > 0 {
			f.ParentID = id + "/" + h.itemID(d.N, int(i.Parent))
		}
		if f.OwnerID == "" { // choice: of a library without an owner who made it
			f.OwnerID = h.maker(i.CreatedBy)
		}
		if i.Folder {
			f.Kind = "folder"
		} else {
			f.Size = schemas.Some(i.Size)
			f.MimeType = org.FileTypes[i.Type].Media
			f.Hash, f.HashAlgorithm = h.hashOf(d, n), "quickxor"
		}
		t.rows.Files = append(t.rows.Files, f)
		t.filePermissions(d, n, f.FileID)
	}
}

// sharing is the widest audience that an item's permissions have, where it has any
// of its own: else it is what its folder is, and itself private.
func (t *truth) sharing(d *org.Drive, n int) string {
	if d.Items[n].Sharing == nil {
		return "private"
	}
	grants, _ := d.Effective(n)
	out := "private"
	rank := []string{"private", "internal", "external", "public"}
	for i := range grants {
		p, wide := &grants[i], "internal"
		switch {
		case p.To == org.ToLink && p.Scope == "anonymous":
			wide = "public"
		case p.To == org.ToLink && p.Scope == "users":
			if wide = "internal"; len(p.Emails) > 0 || slices.ContainsFunc(p.People, t.elsewhere) {
				wide = "external"
			}
		case p.To == org.ToAccount && (p.Account < 0 || t.outside(p.Account)):
			wide = "external"
		case p.Role == "owner", p.To == org.ToAccount && p.Account == d.Owner:
			wide = "private"
		}
		if slices.Index(rank, wide) > slices.Index(rank, out) {
			out = wide
		}
	}
	return out
}

// filePermissions appends what is granted at an item. What it inherits stands where it was
// granted; where the vendor does not tell, it stands here too, as may be inherited.
func (t *truth) filePermissions(d *org.Drive, n int, file string) {
	if d.Items[n].Sharing == nil {
		return
	}
	tells := t.h.facts.tellsOrigin(d.N)
	grants, at := d.Effective(n)
	for i := range grants {
		if at[i] != n && tells {
			continue
		}
		t.filePermission(d, file, &grants[i])
	}
}

func (t *truth) filePermission(d *org.Drive, file string, p *org.Permission) {
	h, s := t.h, t.s
	// choice: that a permission comes from nowhere else, no answer tells for sure.
	row := schemas.FilePermission{FileID: file, PermissionID: h.permissionID(d.N, p), Role: p.Role, ExpiresAt: atSecond(p.Expires)}
	switch p.To {
	case org.ToLink:
		row.LinkScope = p.Scope
		row.GranteeKind = map[string]string{"anonymous": "anyone", "organization": "domain", "users": "link"}[p.Scope]
	case org.ToAccount:
		row.GranteeKind, row.GranteeEmail = "account", strings.ToLower(p.Email)
		if p.Account >= 0 {
			row.GranteeID, row.GranteeEmail = h.accountID(p.Account), strings.ToLower(s.People[s.Accounts[org.Microsoft365][p.Account].Person].Email)
		}
	case org.ToGroup:
		row.GranteeKind, row.GranteeID = "group", h.groupID(p.Group)
	case org.ToSiteGroup:
		row.GranteeKind, row.GranteeID = "group", h.siteGroupID(d, p)
	case org.ToApp:
		row.GranteeKind, row.GranteeID = "service", h.guid("backup app", 0)
	}
	t.rows.FilePermissions = append(t.rows.FilePermissions, row)
}

// elsewhere says whether an account's address is of another domain: all that a
// link tells of those it is for. A guest can have one of the organization's own.
func (t *truth) elsewhere(account int) bool {
	email := t.s.People[t.s.Accounts[org.Microsoft365][account].Person].Email
	return !strings.HasSuffix(strings.ToLower(email), "@"+t.s.Domain)
}

// outside says whether an account is of somebody who works elsewhere.
func (t *truth) outside(account int) bool {
	return t.s.People[t.s.Accounts[org.Microsoft365][account].Person].Outside
}
