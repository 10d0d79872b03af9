package googleworkspace

import (
	"context"
	"slices"
	"strings"

	"weir/internal/rawjson"
	"weir/schemas"
)

const (
	mimeFolder   = "application/vnd.google-apps.folder"
	mimeShortcut = "application/vnd.google-apps.shortcut"

	// An audience is an organization's own choice of people, though it looks like
	// a domain.
	audienceSuffix = ".audience.googledomains.com"
)

// Kinds of grantees, in Drive's words.
const (
	typeUser   = "user"
	typeGroup  = "group"
	typeDomain = "domain"
	typeAnyone = "anyone"
)

const (
	roleOwner     = "owner"
	roleOrganizer = "organizer"
)

// Audiences, the wider the higher.
const (
	sharedPrivate = iota
	sharedInternal
	sharedExternal
	sharedPublic
)

var sharingWords = [...]string{sharedPrivate: "private", sharedInternal: "internal", sharedExternal: "external", sharedPublic: "public"}

// box is the container whose items are mapped: a My Drive or a shared drive.
type box struct {
	id, name string
	owner    string // account id; "" of a shared drive
	shared   bool   // a shared drive
	members  int    // the audience of all that is in it
}

// whose tells whom addresses are of, and which are the organization's own.
type whose struct {
	people  *people
	domains domains
	blind   bool // groups are not known: their ids were not asked for
}

// whose reads who has which address.
func (l *library) whose(ctx context.Context) (*whose, error) {
	p, err := l.people(ctx)
	if err != nil {
		return nil, err
	}
	w := &whose{people: p, blind: p.groups == nil}
	if len(l.cfg.Domains) == 0 {
		w.domains, err = l.domains(ctx)
		return w, err
	}
	w.domains = domains{}
	for _, d := range l.cfg.Domains {
		w.domains[strings.ToLower(d)] = true
	}
	return w, nil
}

// id is the account's or group's with an address.
func (w *whose) id(address string) (id string, ok bool) {
	if id, ok = w.people.accounts[address]; !ok {
		id, ok = w.people.groups[address]
	}
	return id, ok
}

// outside tells whether an address, or a domain, is not the organization's own.
// Where its domains are not known, what is in the directory is within.
func (w *whose) outside(address string) bool {
	if w.domains == nil {
		_, known := w.id(address)
		return !known
	}
	out := w.domains.external(address)
	return !out.Known || out.Value
}

// mapFile maps an item; path is its place in its container, "" unknown. How
// widely it is shared, and what was granted on it, permissions tell.
func mapFile(f *schemas.File, w *wireFile, b *box, dir *whose, path, raw string) (reason string) {
	switch {
	case w.ID == "":
		return "the file has no id"
	case w.Name == "" && w.MimeType == "":
		return "the file has neither name nor type"
	}
	*f = schemas.File{
		FileID: w.ID, Kind: "file", Name: w.Name, Path: path, ContainerID: b.id, ContainerName: b.name, ContainerKind: "drive", OwnerID: b.owner,
		MimeType: w.MimeType, Size: driveNumber(w.Size), Revision: w.Head, CreatedAt: driveTime(w.Created), ModifiedAt: driveTime(w.Modified),
		TrashedAt: driveTime(w.TrashedTime), WebURL: w.WebViewLink, Raw: raw,
	}
	switch w.MimeType {
	case mimeFolder:
		f.Kind = "folder"
	case mimeShortcut:
		f.Kind = "shortcut"
	}
	if f.Revision == "" {
		f.Revision = w.Version
	}
	if len(w.Parents) > 0 {
		f.ParentID = w.Parents[0]
	}
	if !b.shared && len(w.Owners) > 0 {
		if owner, ok := dir.id(strings.ToLower(w.Owners[0].Email)); ok {
			f.OwnerID = owner
		}
	}
	switch {
	case w.SHA256 != "":
		f.Hash, f.HashAlgorithm = w.SHA256, "sha256"
	case w.SHA1 != "":
		f.Hash, f.HashAlgorithm = w.SHA1, "sha1"
	case w.MD5 != "":
		f.Hash, f.HashAlgorithm = w.MD5, "md5"
	}
	if w.ModifiedBy != nil {
		f.ModifiedBy = strings.ToLower(w.ModifiedBy.Email)
		if by, ok := dir.id(f.ModifiedBy); ok {
			f.ModifiedBy = by
		}
	}
	if w.Trashed != nil {
		f.Trashed = schemas.Some(*w.Trashed)
	}
	return ""
}

// mapFilePermission maps what was granted on a file. No row ("", false) makes
// what is inherited, which stands where it was granted, and what gives nobody
// access.
func mapFilePermission(p *schemas.FilePermission, w *wireFilePermission, file string, dir *whose, raw string) (reason string, row bool) {
	switch {
	case w.ID == "":
		return "the permission has no id", false
	case w.void() || w.inherited():
		return "", false
	}
	*p = schemas.FilePermission{FileID: file, PermissionID: w.ID, Role: w.directRole(), ExpiresAt: driveTime(w.Expires), Raw: raw}
	if len(w.Details) > 0 {
		p.Inherited = schemas.Some(false)
	}
	hidden := w.Discoverable != nil && !*w.Discoverable
	switch w.Type {
	case typeUser, typeGroup:
		p.GranteeKind, p.GranteeEmail = "account", strings.ToLower(w.Email)
		if w.Type == typeGroup {
			p.GranteeKind = "group"
		}
		p.GranteeID = p.GranteeEmail
		if id, ok := dir.id(p.GranteeEmail); ok {
			p.GranteeID = id
		} else if dir.blind && w.Type == typeGroup {
			p.NotAsked = append(p.NotAsked, "grantee_id")
		}
	case typeDomain:
		p.GranteeKind, p.GranteeID = "domain", strings.ToLower(w.Domain)
		if hidden {
			p.LinkScope = "organization"
		}
	case typeAnyone:
		p.GranteeKind, p.GranteeID, p.LinkScope = "anyone", typeAnyone, typeAnyone
		if hidden {
			p.GranteeKind = "link"
		}
	default:
		return "the permission is of an unknown type", false
	}
	return "", true
}

// void tells that it gives nobody access: its account is deleted, or it belongs
// to a view of the file.
func (w *wireFilePermission) void() bool { return w.Deleted || w.View != "" }

// inherited tells that no part of it was granted here.
func (w *wireFilePermission) inherited() bool {
	return len(w.Details) > 0 && !slices.ContainsFunc(w.Details, direct)
}

func direct(d wirePermissionDetail) bool { return d.Inherited == nil || !*d.Inherited }

// directRole is what was granted here, where something wider may be inherited.
func (w *wireFilePermission) directRole() string {
	if i := slices.IndexFunc(w.Details, direct); i >= 0 && w.Details[i].Role != "" {
		return w.Details[i].Role
	}
	return w.Role
}

// audience says how far it goes.
func (w *wireFilePermission) audience(dir *whose) int {
	switch {
	case w.void():
		return sharedPrivate
	case w.Type == typeAnyone:
		return sharedPublic
	case w.Type == typeDomain:
		if d := strings.ToLower(w.Domain); dir.outside(d) && !strings.HasSuffix(d, audienceSuffix) {
			return sharedExternal
		}
		return sharedInternal
	case w.Role == roleOwner:
		return sharedPrivate
	}
	if dir.outside(strings.ToLower(w.Email)) {
		return sharedExternal
	}
	return sharedInternal
}

// inline maps the permissions that stand in an item's record. ok: it has them.
func (p *permissionRows) inline(file, raw string, dir *whose) (widest int, ok bool) {
	list := rawjson.Member(raw, "permissions")
	if list == "" || list[0] != '[' {
		return 0, false
	}
	for all := rawjson.Elements(list); ; {
		one, more := all.Next()
		if !more {
			return widest, true
		}
		widest = max(widest, p.add(file, one, dir))
	}
}

// permissionRows gathers rows of permissions, and what could not be mapped.
type permissionRows struct {
	rows     *schemas.Rows
	rejected func(file, reason, raw string)
}

// add takes one permission, and says how far it goes.
func (p *permissionRows) add(file, raw string, dir *whose) int {
	var w wireFilePermission
	if err := decode([]byte(raw), &w); err != nil {
		p.rejected(file, err.Error(), raw)
		return sharedPrivate
	}
	var row schemas.FilePermission
	reason, ok := mapFilePermission(&row, &w, file, dir, raw)
	if reason != "" {
		p.rejected(file, reason, raw)
		return sharedPrivate
	}
	if ok {
		p.rows.FilePermissions = append(p.rows.FilePermissions, row)
	}
	return w.audience(dir)
}
