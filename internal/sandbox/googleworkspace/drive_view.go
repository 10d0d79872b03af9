package googleworkspace

import (
	"slices"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

func msTime(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }

// userView is somebody of the organization, as files name them.
func (c *driveCall) userView(account int) object {
	a := c.s.Accounts[app][account]
	p := c.s.People[a.Person]
	return object{"kind": "drive#user", "displayName": p.Given + " " + p.Family, "me": account == c.me.N, "permissionId": c.h.userPermissionID(account), "emailAddress": a.Login}
}

// corpus is that of a doc.
func (c *driveCall) corpus(n int32) *org.Corpus { return c.s.Docs.Corpora[c.s.Docs.All[n].Corpus] }

// seesParent says whether the folder of a doc may be told: it is, to who can open
// it.
func (c *driveCall) seesParent(n int32) bool {
	p := c.s.Docs.All[n].Parent
	return p >= 0 && c.s.There(p) && c.role(p) != ""
}

// fileView is a doc as the subject sees it, of which only what is wanted is made.
func (c *driveCall) fileView(n int32, want mask) object {
	s, d, h := c.s, c.s.Docs, c.h
	x := &d.All[n]
	shared := c.corpus(n).Shared()
	v := object{"kind": "drive#file", "id": h.fileID(s, n), "name": d.Name(n), "mimeType": d.Media(n)}
	put := func(name, called string, make func() any) {
		if want.has(name) {
			v[called] = make()
		}
	}
	is := func(name string, value any) { put(name, name, func() any { return value }) }
	is("starred", false)
	is("spaces", []string{"drive"})
	is("version", itoa(max(x.Version, 1)))
	is("createdTime", msTime(x.Created))
	is("modifiedTime", msTime(x.Modified))
	is("modifiedByMe", int(x.ModifiedBy) == c.me.N)
	is("inheritedPermissionsDisabled", x.Sharing != nil && x.Sharing.Closed)
	put("trashed", "trashed", func() any { return d.InTrash(n) })
	is("explicitlyTrashed", x.Trashed != 0)
	put("webViewLink", "webViewLink", func() any { return h.webLink(s, n) })
	put("lastModifyingUser", c.h.facts.ModifiedBy, func() any { return c.userView(int(x.ModifiedBy)) })
	if want.has("parents") && c.seesParent(n) {
		v[c.h.facts.Parents] = []string{h.fileID(s, x.Parent)}
	}
	if shared {
		is("driveId", h.fileID(s, c.corpus(n).Root))
		is("teamDriveId", h.fileID(s, c.corpus(n).Root))
		put("hasAugmentedPermissions", c.h.facts.Augmented, func() any { return x.Parent >= 0 && x.Sharing != nil && len(x.Sharing.Grants) > 0 })
		if at := d.TrashedSince(n); at != 0 {
			put("trashedTime", c.h.facts.TrashedTime, func() any { return msTime(at) })
			if x.Trashed != 0 {
				put("trashingUser", "trashingUser", func() any { return c.userView(int(x.TrashedBy)) })
			}
		}
	} else {
		put("owners", c.h.facts.Owners, func() any { return []object{c.userView(int(x.Owner))} })
		is("ownedByMe", int(x.Owner) == c.me.N)
		is("writersCanShare", true)
	}
	c.sharingView(n, want, v, shared)
	c.contentView(n, want, v)
	put("capabilities", "capabilities", func() any { return c.capabilities(n) })
	return v
}

// sharingView tells who may do what with a doc: of what is in My Drive all, to who
// may share it.
func (c *driveCall) sharingView(n int32, want mask, v object, shared bool) {
	if !want.has("permissions") && !want.has("permissionIds") && !want.has("shared") {
		return
	}
	perms := c.permissions(n)
	if want.has("shared") {
		v["shared"] = shared || len(perms) > 1
	}
	if want.has("permissionIds") {
		ids := make([]string, len(perms))
		for i := range perms {
			ids[i] = perms[i].id
		}
		v["permissionIds"] = ids
	}
	if want.has("permissions") && (!shared || c.h.facts.InlineShared) && org.DocRank(c.role(n)) >= org.DocRank("writer") {
		list := make([]object, len(perms))
		for i := range perms {
			list[i] = c.permissionView(n, &perms[i])
		}
		v["permissions"] = list
	}
}

// contentView tells of what is in a file: hashes of blobs only.
func (c *driveCall) contentView(n int32, want mask, v object) {
	d := c.s.Docs
	x := &d.All[n]
	as := func(name, called string, value any) {
		if want.has(name) {
			v[called] = value
		}
	}
	is := func(name string, value any) { as(name, name, value) }
	if x.Lock != nil {
		if x.Lock.ReadOnly {
			is("contentRestrictions", []object{{"readOnly": true, "ownerRestricted": x.Lock.OwnerOnly, "reason": x.Lock.Reason, "type": "globalContentRestriction", "systemRestricted": false}})
		}
	}
	is("copyRequiresWriterPermission", x.Lock != nil && x.Lock.NoCopy)
	is("quotaBytesUsed", itoa(x.Size))
	switch x.Kind {
	case org.EditorDoc:
		as("size", c.h.facts.Size, itoa(x.Size))
	case org.ShortcutDoc:
		is("shortcutDetails", object{"targetId": c.h.fileID(c.s, x.Target), "targetMimeType": d.Media(x.Target)})
	case org.BlobDoc:
		name := d.Name(n)
		as("size", c.h.facts.Size, itoa(x.Size))
		is("originalFilename", name)
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			is("fileExtension", name[i+1:])
			is("fullFileExtension", name[i+1:])
		}
		is("headRevisionId", c.h.revisionID(c.s, n, x.Content))
		is("webContentLink", "https://drive.google.com/uc?id="+c.h.fileID(c.s, n)+"&export=download")
		if slices.ContainsFunc([]string{"md5Checksum", "sha1Checksum", "sha256Checksum"}, want.has) {
			sums := checksumsOf(content(n, head(c.s, n)))
			as("md5Checksum", c.h.facts.MD5, sums.md5)
			is("sha1Checksum", sums.sha1)
			as("sha256Checksum", c.h.facts.SHA256, sums.sha256)
		}
	}
}

// capabilities are what the subject may do with a doc.
func (c *driveCall) capabilities(n int32) object {
	rank := org.DocRank(c.role(n))
	writes := rank >= org.DocRank("writer")
	trash := c.mayTrash(n)
	return object{
		"canEdit": writes, "canRename": writes, "canModifyContent": writes && !c.readOnly(n), "canComment": rank >= org.DocRank("commenter"), "canShare": c.mayShare(n, nil) == nil,
		"canTrash": trash, "canUntrash": trash, "canDelete": c.mayDelete(n), "canDownload": true, "canCopy": true, "canReadRevisions": writes,
	}
}

func (c *driveCall) readOnly(n int32) bool {
	l := c.s.Docs.All[n].Lock
	return l != nil && l.ReadOnly
}

// mayTrash says whether the subject may put a doc into the trash: its owner, and in
// a shared drive who manages its content.
func (c *driveCall) mayTrash(n int32) bool {
	x := &c.s.Docs.All[n]
	switch {
	case x.Parent < 0:
		return false
	case x.Owner >= 0:
		return int(x.Owner) == c.me.N
	}
	return org.DocRank(c.role(n)) >= org.DocRank("fileOrganizer")
}

// mayDelete says whether the subject may delete a doc for good.
func (c *driveCall) mayDelete(n int32) bool {
	x := &c.s.Docs.All[n]
	if x.Parent >= 0 && x.Owner < 0 {
		return org.DocRank(c.role(n)) >= org.DocRank("organizer")
	}
	return c.mayTrash(n)
}
