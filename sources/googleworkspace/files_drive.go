package googleworkspace

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources/httpx"
)

const (
	maxReaders      = 10 // members of a shared drive that are tried one after another
	parallelAsks    = 8  // items whose permissions are asked for at a time
	permissionsPage = "100"
)

// readerRoles are the roles in a shared drive, whose holder sees more first.
var readerRoles = []string{roleOrganizer, "fileOrganizer", "writer", "commenter", "reader"}

// loadShared reads a shared drive and its members: they are whom what was
// granted on it is granted to, and one of them reads it.
func (r *fileRead) loadShared(ctx context.Context) error {
	admin := r.as("", scopeDriveRead)
	resp, err := admin.Do(ctx, &httpx.Request{Path: httpx.P(pathDrive, r.drive), Query: url.Values{"useDomainAdminAccess": {"true"}, "fields": {"id,name,createdTime"}}})
	if err != nil {
		return err
	}
	var w wireSharedDrive
	if err := httpx.Decode(resp, &w); err != nil {
		return err
	}
	r.box = box{id: r.drive, name: w.Name, shared: true, members: sharedInternal}
	r.held = nil
	var members schemas.Rows
	var all []wireFilePermission
	into := &permissionRows{rows: &members, rejected: func(string, string, string) {}}
	l := permissionsOf(admin, r.drive)
	l.query.Set("useDomainAdminAccess", "true")
	err = r.each(ctx, l, func(raw []byte) error {
		var p wireFilePermission
		if decode(raw, &p) == nil {
			all = append(all, p)
		}
		r.box.members = max(r.box.members, into.add(r.drive, string(raw), r.dir))
		return nil
	})
	if err != nil {
		return err
	}
	r.held = members.FilePermissions
	r.own = []schemas.File{{
		FileID: r.drive, Kind: "container", Name: w.Name, ContainerID: r.drive, ContainerName: w.Name, ContainerKind: "drive",
		CreatedAt: driveTime(w.Created), Trashed: schemas.Some(false), Sharing: sharingWords[r.box.members], Raw: string(resp.Body),
	}}
	r.tree = newTree(r.drive, func(ctx context.Context, id string) (folder, error) { return r.askFolder(r.c)(ctx, id) })
	r.other, err = r.readers(ctx, all)
	return err
}

func permissionsOf(c *httpx.Client, item string) listing {
	return listing{
		client: c, path: httpx.P(pathFilePermissions, item), kind: kindPermissions, member: "permissions",
		query: url.Values{"supportsAllDrives": {"true"}, "pageSize": {permissionsPage}, "fields": {"kind,nextPageToken,permissions(" + fieldsOfPermission + ")"}},
	}
}

// fileReader is a member of a shared drive who can read it.
type fileReader struct{ address, role string }

// readers lists who may read the shared drive, who sees more first: users of the
// organization, then those that are members through a group. One who is
// suspended is refused, and another is tried.
func (r *fileRead) readers(ctx context.Context, members []wireFilePermission) ([]fileReader, error) {
	slices.SortStableFunc(members, func(a, b wireFilePermission) int { return cmp.Compare(rank(a.Role), rank(b.Role)) })
	var out []fileReader
	add := func(address, role string) {
		address = strings.ToLower(address)
		known := slices.ContainsFunc(out, func(o fileReader) bool { return o.address == address })
		if _, ok := r.dir.people.accounts[address]; ok && len(out) < maxReaders && !known {
			out = append(out, fileReader{address, role})
		}
	}
	for i := range members {
		if m := &members[i]; m.Type == typeUser && !m.void() {
			add(m.Email, m.Role)
		}
	}
	for i := range members {
		m := &members[i]
		if len(out) >= maxReaders || m.Type != typeGroup || m.void() {
			continue
		}
		group, ok := r.dir.people.groups[strings.ToLower(m.Email)]
		if !ok {
			continue
		}
		if err := r.ofGroup(ctx, group, func(address string) { add(address, m.Role) }); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func rank(role string) int {
	if i := slices.Index(readerRoles, role); i >= 0 {
		return i
	}
	return len(readerRoles)
}

// ofGroup adds members of a group, and of the groups in it.
func (l *library) ofGroup(ctx context.Context, group string, add func(address string)) error {
	resp, _, err := l.fetch(ctx, listing{
		client: l.admin(scopeGroups), path: httpx.P(pathMembers, group), kind: "admin#directory#members", member: "members",
		query: url.Values{"maxResults": {"200"}, "includeDerivedMembership": {"true"}, "fields": {"kind,members(email,type)"}},
	}, "", l.env.Clock.Now())
	if denied(err) || isGone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for raw, err := range httpx.ElementsIf(resp, "members") {
		var w struct {
			Email string `json:"email"`
			Type  string `json:"type"`
		}
		if err != nil {
			return err
		}
		if decode(raw, &w) == nil && strings.EqualFold(w.Type, typeUser) {
			add(w.Email)
		}
	}
	return nil
}

// askedItem is an item whose permissions are asked for.
type askedItem struct {
	row  int // of Files
	id   string
	base int // how far what is above it reaches
	raw  []string
	err  error // why they cannot be had
}

// permissions asks for the permissions of items that have some of their own, and
// says how widely each is shared.
func (r *fileRead) permissions(ctx context.Context) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelAsks)
	for i := range r.ask {
		one := &r.ask[i]
		g.Go(func() error {
			err := r.each(gctx, permissionsOf(r.c, one.id), func(raw []byte) error {
				one.raw = append(one.raw, string(raw))
				return nil
			})
			if invisible(err) {
				one.raw, one.err, err = nil, err, nil
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	into := r.permissionRows()
	for i := range r.ask {
		one := &r.ask[i]
		f := &r.rows.Files[one.row]
		if one.err != nil {
			f.Sharing = "unknown"
			f.NotAsked = append(f.NotAsked, "sharing")
			if !isGone(one.err) { // else it is deleted since
				r.at.Denied = one.err.Error()
			}
			continue
		}
		widest := one.base
		for _, raw := range one.raw {
			widest = max(widest, into.add(one.id, raw, r.dir))
		}
		f.Sharing = sharingWords[widest]
	}
	return nil
}

// reaches tells how far what a folder of a shared drive, and all above it, grant
// goes: its items are shared as widely.
func (r *fileRead) reaches(ctx context.Context, id string, depth int) (int, error) {
	if id == "" || id == r.drive || depth > maxDepth {
		return r.box.members, nil
	}
	if widest, ok := r.reach[id]; ok {
		return widest, nil
	}
	f, err := r.tree.folder(ctx, id)
	if err != nil {
		return 0, err
	}
	widest := sharedInternal
	if !f.cut {
		if widest, err = r.reaches(ctx, f.parent, depth+1); err != nil {
			return 0, err
		}
	}
	if f.granted {
		err := r.each(ctx, permissionsOf(r.c, id), func(raw []byte) error {
			var p wireFilePermission
			if decode(raw, &p) == nil { // else it is told of with the folder itself
				widest = max(widest, p.audience(r.dir))
			}
			return nil
		})
		if err != nil && !invisible(err) {
			return 0, err
		}
	}
	if r.reach == nil || len(r.reach) >= maxFolders {
		r.reach = map[string]int{}
	}
	r.reach[id] = widest
	return widest, nil
}

// readChanges tells what changed in a drive since a place in its log.
func (r *fileRead) readChanges(ctx context.Context, yield yielding) error {
	if r.at.Token == "" || r.c == nil {
		return fault.New(fault.Expired, "there is no place to read changes from")
	}
	for {
		r.newPage()
		next, start, err := r.changes(ctx)
		if tooLarge(err) && r.size() > 1 {
			r.at.Size = max(r.size()/fewerBy, 1)
			r.newPage()
			next, start, err = r.changes(ctx)
		}
		if err != nil {
			return err
		}
		switch {
		case next == "" && start == "":
			return fault.New(fault.Transient, "%s: the page leads nowhere", pathChanges)
		case next != "":
			r.at.Token, r.page.More = next, true
		default:
			r.at = filePlace{V: filesVersion, Token: start, As: r.at.As}
		}
		if r.page.Next, err = r.at.cursor(); err != nil {
			return err
		}
		if !yield(r.page, nil) || !r.page.More {
			return errTurned
		}
	}
}

// changesError has a token that is refused begin the drive anew: with another
// reader, where this one may not read it any more.
func (r *fileRead) changesError(err error) error {
	switch httpx.StatusOf(err) {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusGone:
		return fault.New(fault.Expired, "the change log does not go on: %w", err)
	}
	if r.drive != "" && unfit(err) {
		return fault.New(fault.Expired, "%s may not read the shared drive any more: %w", r.at.As, err)
	}
	return err
}
