package microsoft365

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// maxFolders bounds the folders whose paths are known at a time.
const maxFolders = 100_000

// driveRead is a drive being read: whole, or what changed in it.
type driveRead struct {
	*library
	lane   sources.Lane
	denied string // why permissions could not be asked for
	ref    driveRef
	root   string
	paths  map[string]string // of folders, by id
	rows   schemas.Rows
}

// readDrive tells a drive's items page by page. A cursor names the next page;
// the last one's is where the delta begins.
func (l *library) readDrive(ctx context.Context, lane sources.Lane, at filesPlace, changes bool, yield func(*sources.Page, error) bool) error {
	d := &driveRead{library: l, lane: lane, root: at.Root, denied: at.Denied, paths: map[string]string{}}
	if at.End {
		return fault.New(fault.Forbidden, "%s", at.Denied)
	}
	drive, raw, err := d.drive(ctx)
	if err != nil {
		return err
	}
	for first := at.Link == ""; ; first = false {
		resp, list, err := l.get(ctx, httpx.P(pathDelta, lane.ID), url.Values{"$top": {deltaItems}, "$select": {selectItem}}, at.Link, prefer)
		if err != nil {
			return driveError(err)
		}
		d.rows.Reset()
		page := &sources.Page{Rows: &d.rows}
		if first {
			var f schemas.File
			mapDrive(&f, drive, &d.ref, raw)
			d.rows.Files = append(d.rows.Files, f)
		}
		if err := d.fill(ctx, page, resp, drive, raw); err != nil {
			return err
		}
		switch {
		case list.Next != "" && list.Next == at.Link, list.Next == "" && list.Delta == "":
			return fault.New(fault.Transient, "%s: the page leads nowhere", pathDelta)
		case list.Next != "":
			page.More = true
			at = filesPlace{V: filesVersion, Link: list.Next, Root: d.root}
			if !changes {
				at.Denied = d.denied
			}
		case d.denied != "" && !changes: // a round that ends so takes no permission for gone
			page.More = true
			at = filesPlace{V: filesVersion, Denied: d.denied, End: true}
		default:
			at = filesPlace{V: filesVersion, Link: list.Delta, Root: d.root}
		}
		if page.Next, err = at.cursor(); err != nil {
			return err
		}
		if !page.More && !changes {
			page.Delta = page.Next
		}
		if !yield(page, nil) || !page.More {
			return errTurned
		}
		if at.End {
			return fault.New(fault.Forbidden, "%s", at.Denied)
		}
	}
}

// driveError is what a drive's answer means for its lane: a token that is known
// no more begins it anew, a drive that is locked or gone keeps its rows until a
// listing shows that it is gone.
func driveError(err error) error {
	switch status, code := httpx.StatusOf(err), httpx.CodeOf(err); {
	case status == http.StatusGone, code == "resyncRequired", code == "syncStateNotFound":
		return fault.New(fault.Expired, "%w", err)
	case status == http.StatusNotFound, status == http.StatusLocked:
		return fault.New(fault.Forbidden, "the drive is locked, or gone: %w", err)
	}
	return err
}

// drive asks for the drive itself.
func (d *driveRead) drive(ctx context.Context) (*wireDrive, string, error) {
	resp, err := d.s.graph.Do(ctx, &httpx.Request{Path: httpx.P(pathDrive, d.lane.ID), Query: url.Values{"$select": {selectDrive}}})
	if err != nil {
		return nil, "", driveError(err)
	}
	w := &wireDrive{}
	if err := httpx.Decode(resp, w); err != nil {
		return nil, "", err
	}
	w.ID = d.lane.ID
	d.ref = driveRef{id: w.ID, name: w.Name, site: d.lane.Hint, owner: cmp.Or(w.Owner.userID(), w.Owner.who().ID), person: w.Owner.userID(), domains: d.domains}
	if _, domain, ok := strings.Cut(w.Owner.ownerAddress(), "@"); ok && !slices.Contains(d.domains, domain) && len(d.domains) == 0 {
		d.ref.domains = []string{domain}
	}
	return w, string(resp.Body), nil
}

// ownerAddress is the address of a drive's owner, when that is a person.
func (w *wireIdentities) ownerAddress() string {
	if w == nil || w.User == nil {
		return ""
	}
	return w.User.address()
}

// fill maps a page's items, the last of each, then asks who has access to those
// that are shared.
func (d *driveRead) fill(ctx context.Context, page *sources.Page, resp *httpx.Response, drive *wireDrive, driveRaw string) error {
	type entry struct {
		item wireItem
		raw  string
		told bool // again below
	}
	var items []entry
	last := map[string]int{}
	for raw, err := range httpx.ElementsAt(resp, "value") {
		if err != nil {
			return err
		}
		var e entry
		if err := decode(raw, &e.item); err != nil {
			page.Rejected = append(page.Rejected, sources.Reject{Ref: e.item.ID, Reason: "the item has an unexpected shape: " + err.Error(), Raw: string(raw)})
			continue
		}
		e.raw = string(raw)
		if i, ok := last[e.item.ID]; ok {
			items[i].told = e.item.ID != ""
		}
		last[e.item.ID] = len(items)
		items = append(items, e)
	}
	var shared []sharedItem
	for i := range items {
		w := &items[i].item
		switch {
		case items[i].told:
			continue
		case present(w.Root):
			d.root = w.ID
			d.know(w.ID, "/")
			// The drive's row is its root's: who may read the root may read the drive.
			row := slices.IndexFunc(d.rows.Files, func(f schemas.File) bool { return f.FileID == d.ref.id })
			if row < 0 {
				var f schemas.File
				mapDrive(&f, drive, &d.ref, driveRaw)
				row, d.rows.Files = len(d.rows.Files), append(d.rows.Files, f)
			}
			mapRoot(&d.rows.Files[row], w)
			shared = append(shared, sharedItem{item: w.ID, file: d.ref.id, row: row})
			continue
		case present(w.Deleted):
			page.Gone = append(page.Gone, sources.Gone{Table: "files", Key: []string{fileID(d.ref.id, w.ID)}, Reason: "soft_deleted"})
			continue
		}
		dir, err := d.pathOf(ctx, w.Parent.ID)
		if err != nil {
			return err
		}
		var f schemas.File
		if reason := mapItem(&f, w, &d.ref, d.root, dir, items[i].raw); reason != "" {
			page.Rejected = append(page.Rejected, sources.Reject{Ref: w.ID, Reason: reason, Raw: items[i].raw})
			continue
		}
		if f.Kind == "folder" && f.Path != "" {
			d.know(w.ID, f.Path)
		}
		if w.sharing() {
			shared = append(shared, sharedItem{item: w.ID, file: f.FileID, row: len(d.rows.Files)})
		}
		d.rows.Files = append(d.rows.Files, f)
	}
	return d.permissions(ctx, page, shared)
}

// know keeps a folder's path. When there are too many they are forgotten, and
// asked for as they are needed.
func (d *driveRead) know(id, path string) {
	if len(d.paths) >= maxFolders {
		clear(d.paths)
		if d.root != "" {
			d.paths[d.root] = "/"
		}
	}
	d.paths[id] = path
}

// pathOf is a folder's path; "" when it cannot be had. A folder that this reading
// has not shown is asked for: alone its answer tells its whole path.
func (d *driveRead) pathOf(ctx context.Context, id string) (string, error) {
	if path, ok := d.paths[id]; ok || id == "" {
		return path, nil
	}
	if id == d.root {
		return "/", nil
	}
	resp, err := d.s.graph.Do(ctx, &httpx.Request{Path: httpx.P(pathItem, d.ref.id, id), Query: url.Values{"$select": {"id,name,root,parentReference"}}})
	if httpx.NotFound(err) || err != nil && fault.Of(err) == fault.Forbidden {
		d.know(id, "")
		return "", nil
	}
	if err != nil {
		return "", err
	}
	var w wireItem
	if err := httpx.Decode(resp, &w); err != nil {
		return "", err
	}
	path := ""
	if _, dir, ok := strings.Cut(w.Parent.Path, "root:"); ok {
		if unescaped, err := url.PathUnescape(dir); err == nil {
			dir = unescaped
		}
		path = joinPath(dir, w.Name)
	}
	if present(w.Root) {
		path = "/"
		d.root = id
	}
	d.know(id, path)
	return path, nil
}

// sharedItem is an item whose permissions are asked for.
type sharedItem struct {
	item, file string
	row        int
}

// permissions asks for the permissions of shared items, 20 at a time, and says
// how widely each is shared. What an item has from a folder above is written
// there.
func (d *driveRead) permissions(ctx context.Context, page *sources.Page, shared []sharedItem) error {
	for chunk := range slices.Chunk(shared, maxBatch) {
		asked := make([]listing, len(chunk))
		for i, one := range chunk {
			asked[i] = listing{path: httpx.P(pathPermissions, d.ref.id, one.item)}
		}
		pages, err := d.s.batch(ctx, filesBatch, asked)
		if err != nil {
			return err
		}
		for i, one := range chunk {
			f := &d.rows.Files[one.row]
			widest := sharedPrivate
			err := d.s.eachFrom(ctx, asked[i], pages[i], func(raw []byte) error {
				var w wirePermission
				var p schemas.FilePermission
				reason := "the permission has an unexpected shape"
				if decode(raw, &w) == nil {
					reason = mapPermission(&p, &w, one.file, string(raw))
				}
				if reason != "" {
					page.Rejected = append(page.Rejected, sources.Reject{Ref: one.file, Reason: reason, Raw: string(raw)})
					return nil
				}
				widest = max(widest, audience(&w, &d.ref))
				if !present(w.Inherited) {
					d.rows.FilePermissions = append(d.rows.FilePermissions, p)
				}
				return nil
			})
			switch {
			case isGone(err): // deleted since
				continue
			case denied(err), httpx.StatusOf(err) == http.StatusLocked:
				f.Sharing = "unknown"
				f.NotAsked = append(f.NotAsked, "sharing")
				d.denied = err.Error()
				continue
			case err != nil:
				return err
			}
			f.Sharing = sharingWords[widest]
		}
	}
	return nil
}
