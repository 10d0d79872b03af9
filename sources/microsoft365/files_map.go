package microsoft365

import (
	"cmp"
	"slices"
	"strings"

	"weir/schemas"
)

// fileID is an item's key: item ids are unique within a drive only.
func fileID(drive, item string) string { return drive + "/" + item }

// mapSite maps a site: a container, of which its drives are parts.
func mapSite(f *schemas.File, s *wireSite, raw string) (reason string) {
	if s.ID == "" {
		return "the site has no id"
	}
	*f = schemas.File{
		FileID: s.ID, Kind: "container", Name: cmp.Or(s.DisplayName, s.Name, lastPart(s.WebURL)), ContainerID: s.ID, ContainerKind: "site",
		CreatedAt: fileTime(s.Created), ModifiedAt: fileTime(s.Modified), WebURL: s.WebURL, Trashed: schemas.Some(false), Sharing: "unknown", Raw: raw,
	}
	f.ContainerName = f.Name
	// Records of activities name the site collection, the web, or the address.
	_, ids, _ := strings.Cut(s.ID, ",")
	collection, web, _ := strings.Cut(ids, ",")
	for _, id := range [...]string{collection, web, strings.TrimSuffix(s.WebURL, "/")} {
		if id != "" && !slices.Contains(f.AliasIDs, id) {
			f.AliasIDs = append(f.AliasIDs, id)
		}
	}
	return ""
}

// driveRef is what rows of a drive's items have of the drive.
type driveRef struct {
	id, name, site string
	owner          string   // account, or the group whose site it is in
	person         string   // the owner, when that is an account
	domains        []string // of the organization's own addresses, as far as known
}

// mapDrive maps a drive: a container, which is its root folder too.
func mapDrive(f *schemas.File, d *wireDrive, ref *driveRef, raw string) {
	*f = schemas.File{
		FileID: d.ID, Kind: "container", Name: d.Name, ParentID: ref.site, ContainerID: d.ID, ContainerName: d.Name, ContainerKind: "drive",
		OwnerID: ref.owner, CreatedAt: fileTime(d.Created), ModifiedAt: fileTime(d.Modified), WebURL: d.WebURL, Trashed: schemas.Some(false), Sharing: "private", Raw: raw,
	}
	if d.Quota != nil && d.Quota.Used != nil {
		f.Size = schemas.Some(*d.Quota.Used)
	}
}

// mapRoot adds by what else its root folder, for which a drive's row stands too,
// is known.
func mapRoot(f *schemas.File, root *wireItem) {
	if f.AliasIDs = []string{fileID(f.FileID, root.ID)}; root.SharePointIDs.ListItemUniqueID != "" {
		f.AliasIDs = append(f.AliasIDs, root.SharePointIDs.ListItemUniqueID)
	}
}

// mapItem maps a file or folder. path is its folder's; "" where it is not known,
// "/" at the root.
func mapItem(f *schemas.File, i *wireItem, ref *driveRef, rootID, path, raw string) (reason string) {
	switch {
	case i.ID == "":
		return "the item has no id"
	case i.Name == "":
		return "the item has no name"
	}
	*f = schemas.File{
		FileID: fileID(ref.id, i.ID), Kind: "file", Name: i.Name, ContainerID: ref.id, ContainerName: ref.name, ContainerKind: "drive",
		OwnerID: ref.owner, Revision: i.ETag, CreatedAt: fileTime(i.Created), ModifiedAt: fileTime(i.Modified), Trashed: schemas.Some(false),
		Sharing: "private", WebURL: i.WebURL, Raw: raw,
	}
	switch {
	case present(i.Remote):
		f.Kind = "shortcut"
	case present(i.Folder):
		f.Kind = "folder"
	}
	if i.Parent.ID != "" {
		if f.ParentID = fileID(ref.id, i.Parent.ID); i.Parent.ID == rootID {
			f.ParentID = ref.id
		}
	}
	if path != "" {
		f.Path = strings.TrimPrefix(joinPath(path, i.Name), "/")
	} else {
		f.NotAsked = append(f.NotAsked, "path")
	}
	if i.Size != nil && f.Kind == "file" { // a folder's changes with all below it
		f.Size = schemas.Some(*i.Size)
	}
	if i.File != nil {
		f.MimeType = i.File.MimeType
		switch h := i.File.Hashes; {
		case h.QuickXor != "":
			f.Hash, f.HashAlgorithm = h.QuickXor, "quickxor"
		case h.SHA1 != "":
			f.Hash, f.HashAlgorithm = h.SHA1, "sha1"
		}
	}
	if id := i.SharePointIDs.ListItemUniqueID; id != "" {
		f.AliasIDs = []string{id}
	}
	if f.OwnerID == "" {
		f.OwnerID = i.CreatedBy.userID()
	}
	if i.ModifiedBy == nil { // libraries leave it out now and then
		f.NotAsked = append(f.NotAsked, "modified_by")
	} else {
		f.ModifiedBy = cmp.Or(i.ModifiedBy.userID(), i.ModifiedBy.who().Email)
	}
	return ""
}

func present(v []byte) bool { return len(v) > 0 && v[0] != 'n' }

func joinPath(dir, name string) string {
	return strings.TrimSuffix(dir, "/") + "/" + name
}

func (w *wireIdentities) userID() string {
	if w == nil || w.User == nil {
		return ""
	}
	return w.User.ID
}

// who is the one identity there is, the directory's before the site's own.
func (w *wireIdentities) who() wireIdentity {
	if w != nil {
		for _, i := range [...]*wireIdentity{w.User, w.Group, w.Application, w.SiteUser, w.SiteGroup} {
			if i != nil {
				return *i
			}
		}
	}
	return wireIdentity{}
}

// address is what an identity is reached by.
func (i *wireIdentity) address() string {
	for _, s := range [...]string{i.Email, i.UPN, i.LoginName} {
		if s = s[strings.LastIndexByte(s, '|')+1:]; isAddress(s) { // i:0#.f|membership|ada@contoso.com
			return strings.ToLower(s)
		}
	}
	return ""
}

// mapPermission maps a grant. That it comes from nowhere above, no answer tells:
// some drives leave inheritedFrom out.
func mapPermission(p *schemas.FilePermission, w *wirePermission, file, raw string) (reason string) {
	if w.ID == "" {
		return "the permission has no id"
	}
	granted := w.GrantedTo
	if granted == nil {
		granted = w.OldGrantees
	}
	who := granted.who()
	*p = schemas.FilePermission{
		FileID: file, PermissionID: w.ID, GranteeID: who.ID, GranteeEmail: who.address(), ExpiresAt: fileTime(w.Expires), Raw: raw,
	}
	if len(w.Roles) > 0 {
		p.Role = w.Roles[0]
	}
	if w.Invitation != nil && w.Invitation.Email != "" {
		p.GranteeEmail = cmp.Or(p.GranteeEmail, strings.ToLower(w.Invitation.Email))
	}
	switch {
	case w.Link != nil:
		p.GranteeKind, p.LinkScope = "link", w.Link.Scope
		switch w.Link.Scope {
		case "anonymous":
			p.GranteeKind = "anyone"
		case "organization":
			p.GranteeKind = "domain"
		}
	case granted != nil && (granted.User != nil || granted.SiteUser != nil && granted.Group == nil):
		p.GranteeKind = "account"
	case granted != nil && (granted.Group != nil || granted.SiteGroup != nil):
		p.GranteeKind = "group"
	case granted != nil && granted.Application != nil:
		p.GranteeKind = "service"
	default:
		p.GranteeKind = "account" // invited, and not come yet
	}
	return ""
}

// Audiences, the wider the higher.
const (
	sharedPrivate = iota
	sharedInternal
	sharedExternal
	sharedPublic
)

var sharingWords = [...]string{sharedPrivate: "private", sharedInternal: "internal", sharedExternal: "external", sharedPublic: "public"}

// audience says how far a grant goes.
func audience(w *wirePermission, ref *driveRef) int {
	if w.Link != nil {
		switch w.Link.Scope {
		case "anonymous":
			return sharedPublic
		case "organization":
			return sharedInternal
		}
	}
	granted := w.GrantedTo
	if granted == nil {
		granted = w.OldGrantees
	}
	widest := sharedPrivate
	for _, one := range append(slices.Clip(w.Identities), deref(granted)) {
		who := one.who()
		switch {
		case who == (wireIdentity{}):
		case outside(&who, ref), one.User != nil && (one.User.stranger() || one.SiteUser != nil && outside(one.SiteUser, ref)):
			return sharedExternal
		case who.ID == "" || who.ID != ref.person:
			widest = sharedInternal
		}
	}
	if w.Invitation != nil && w.Invitation.Email != "" {
		if outside(&wireIdentity{Email: w.Invitation.Email}, ref) {
			return sharedExternal
		}
		widest = sharedInternal
	}
	if w.Link != nil {
		widest = max(widest, sharedInternal)
	}
	return widest
}

// stranger says that a person has an address, but is not in the directory.
func (i *wireIdentity) stranger() bool { return i.ID == "" && i.address() != "" }

func deref(w *wireIdentities) wireIdentities {
	if w == nil {
		return wireIdentities{}
	}
	return *w
}

// outside says that an identity is a guest's, or of an address that is not the
// organization's own.
func outside(who *wireIdentity, ref *driveRef) bool {
	for _, s := range [...]string{who.Email, who.UPN, who.LoginName, who.ID} {
		if l := strings.ToLower(s); strings.Contains(l, "#ext#") || strings.Contains(l, "urn:spo:guest") {
			return true
		}
	}
	_, domain, ok := strings.Cut(who.address(), "@")
	return ok && len(ref.domains) > 0 && !slices.Contains(ref.domains, domain)
}
