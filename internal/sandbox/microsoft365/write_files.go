package microsoft365

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// changeFiles is the permission that lets an app change files (3.6).
var changeFiles = []string{"Files.ReadWrite.All"}

func fileWrites() []route {
	on := func(method, below string, cost int, roles []string, serve func(*call) *failure) route {
		return route{method, segments("drives/*/items/*" + below), bucketFiles, cost, roles, serve}
	}
	return []route{
		on(http.MethodDelete, "", costsList, changeFiles, (*call).deleteItem),
		on(http.MethodPatch, "", costsList, changeFiles, (*call).patchItem),
		on(http.MethodPut, "/content", costsList, changeFiles, (*call).putContent),
		on(http.MethodGet, "/versions", costsList, readAllFiles, (*call).versions),
		on(http.MethodGet, "/*", costsOne, readAllFiles, (*call).itemNamed),
		on(http.MethodPost, "/versions/*/restoreVersion", costsList, changeFiles, (*call).restoreVersion),
		on(http.MethodPost, "/copy", costsList, changeFiles, (*call).copyItem),
		on(http.MethodDelete, "/permissions/*", costsPermissions, changeFiles, (*call).deletePermission),
		on(http.MethodPost, "/invite", costsPermissions, changeFiles, (*call).invite),
		on(http.MethodPost, "/createLink", costsPermissions, changeFiles, (*call).createLink),
	}
}

// busy says whether somebody has a file open, so that it cannot be changed.
func (h *Handler) busy(n int) bool {
	f := h.Faults()
	return f.BusyFiles > 0 && n%f.BusyFiles == 0 && (f.BusyUntil.IsZero() || h.t.Clock.Now().Before(f.BusyUntil))
}

// placeToChange is as place, for what changes the item: nobody may have it open,
// and it must be as If-Match has it.
func (c *call) placeToChange() (*org.Drive, int, *failure) {
	d, n, f := c.place()
	if f != nil {
		return nil, 0, f
	}
	if c.h.busy(n) {
		return nil, 0, refuse(c.h.facts.LockedStatus, "resourceLocked", "The resource you are attempting to access is locked.")
	}
	i := &d.Items[n]
	if want := c.r.Header.Get("If-Match"); want != "" && want != "*" && want != c.h.eTag(d.N, n, i) && want != c.h.cTag(d.N, n, i) {
		return nil, 0, refuse(http.StatusPreconditionFailed, "resourceModified", "ETag does not match current item's value")
	}
	return d, n, nil
}

func (h *Handler) cTag(drive, n int, i *org.Item) string {
	return fmt.Sprintf("\"c:{%s},%d\"", strings.ToUpper(h.uniqueID(drive, n)), i.Version)
}

func invalid(format string, a ...any) *failure {
	return refuse(http.StatusBadRequest, "invalidRequest", format, a...)
}

// deleteItem puts an item into the recycle bin.
func (c *call) deleteItem() *failure {
	d, n, f := c.placeToChange()
	switch {
	case f != nil:
		return f
	case n == 0:
		return invalid("The root of a drive cannot be deleted.")
	}
	c.s.Trash(c.h.act(c.s, c.who, c.r), d, n)
	return c.done()
}

// named says whether a folder has something of a name, beside an item.
func named(d *org.Drive, parent int, name string, but int) bool {
	for i := range d.Items {
		if x := &d.Items[i]; i != but && int(x.Parent) == parent && x.Trashed == 0 && strings.EqualFold(x.Name, name) {
			return true
		}
	}
	return false
}

func nameTaken() *failure {
	return refuse(http.StatusConflict, "nameAlreadyExists", "The specified item name already exists.")
}

// goodName says whether a file can be called so.
func goodName(name string) bool {
	return name != "" && len(name) <= 400 && !strings.ContainsAny(name, `"*:<>?/\|`) && strings.TrimSpace(name) == name
}

// parentRef is where an item is to go.
type parentRef struct{ DriveID, ID string }

// folderOf returns the folder that a reference names, in a drive unless it names
// another.
func (c *call) folderOf(d *org.Drive, p parentRef) (*org.Drive, int, *failure) {
	if p.DriveID != "" {
		m := c.h.driveN(c.s, p.DriveID)
		if m < 0 {
			return nil, 0, noItem()
		}
		d = c.s.Office.Drives[m]
	}
	if p.ID == "root" {
		return nil, 0, invalid("The root of a drive is named by its id here.")
	}
	n := c.h.itemN(d, p.ID)
	switch {
	case d.Locked:
		return nil, 0, c.locked()
	case n < 0 || d.Items[n].Trashed != 0:
		return nil, 0, noItem()
	case !d.Items[n].Folder:
		return nil, 0, invalid("The parent is no folder.")
	}
	return d, n, nil
}

// patchItem renames an item, or moves it within its drive.
func (c *call) patchItem() *failure {
	d, n, f := c.placeToChange()
	if f != nil {
		return f
	}
	var in struct {
		Name            *string
		ParentReference *parentRef
	}
	if f := c.sent(&in); f != nil {
		return f
	}
	i := &d.Items[n]
	name, parent := i.Name, int(i.Parent)
	switch {
	case n == 0:
		return invalid("The root of a drive cannot be changed.")
	case in.Name == nil && in.ParentReference == nil:
		c.h.t.Violate("no such property to write", c.path)
		return invalid("The sandbox changes name and parentReference of an item.")
	case in.Name != nil && !goodName(*in.Name):
		return invalid("The provided name cannot contain these characters, or is empty.")
	case in.Name != nil:
		name = *in.Name
	}
	if p := in.ParentReference; p != nil {
		to, m, f := c.folderOf(d, *p)
		switch {
		case f != nil:
			return f
		case to != d:
			return invalid("Cannot move an item to another drive: copy and delete it.")
		case d.Below(m, n):
			return invalid("Cannot move a folder into itself.")
		}
		parent = m
	}
	if named(d, parent, name, n) {
		return nameTaken()
	}
	x := c.h.act(c.s, c.who, c.r)
	if parent != int(i.Parent) {
		c.s.Move(x, d, n, parent)
	}
	if name != i.Name {
		c.s.Rename(x, d, n, name)
	}
	return c.one(c.itemView(d, n, prefers(c.r), false))
}

// fileToChange is as placeToChange, for a file.
func (c *call) fileToChange() (*org.Drive, int, *failure) {
	d, n, f := c.placeToChange()
	if f == nil && d.Items[n].Folder {
		f = invalid("The item is no file.")
	}
	return d, n, f
}

// putContent gives a file a new version.
func (c *call) putContent() *failure {
	d, n, f := c.fileToChange()
	if f != nil {
		return f
	}
	c.s.Write(c.h.act(c.s, c.who, c.r), d, n, int64(len(c.body)), quickXorHash(c.body))
	return c.one(c.itemView(d, n, prefers(c.r), false))
}

// versionID is a version's name.
func versionID(n int32) string { return strconv.Itoa(int(n)) + ".0" }

// versions lists those that are kept, the newest first. What was before the
// sandbox began to look is not.
func (c *call) versions() *failure {
	d, n, f := c.place()
	if f != nil {
		return f
	}
	list := append(slices.Clone(d.Old[n]), d.Current(n))
	slices.Reverse(list)
	return c.list(Page{200, 200}, len(list), func(i int) object {
		v := list[i]
		return object{"id": versionID(v.N), "size": v.Size, "lastModifiedDateTime": stampOf(v.Modified), "lastModifiedBy": c.byView(v.By)}
	})
}

func (c *call) restoreVersion() *failure {
	d, n, f := c.fileToChange()
	if f != nil {
		return f
	}
	i := slices.IndexFunc(d.Old[n], func(v org.Content) bool { return versionID(v.N) == c.args[2] })
	switch {
	case c.args[2] == versionID(d.Items[n].Version):
		return invalid("The current version cannot be restored.")
	case i < 0:
		return noItem()
	}
	v := d.Old[n][i]
	c.s.Write(c.h.act(c.s, c.who, c.r), d, n, v.Size, c.h.contentHash(d, n, v))
	return c.done()
}

// contentHash is the hash of what a file's content was.
func (h *Handler) contentHash(d *org.Drive, n int, v org.Content) string {
	if v.Hash != "" {
		return v.Hash
	}
	return h.quickXor(d.N, n, &org.Item{Version: v.N})
}

// CopyTakes is how long a copy takes.
const CopyTakes = 4 * time.Second

// copyItem begins to copy a file. What the answer names tells how far it is.
func (c *call) copyItem() *failure {
	d, n, f := c.place()
	if f != nil {
		return f
	}
	var in struct {
		Name            string
		ParentReference *parentRef
	}
	if f := c.sent(&in); f != nil {
		return f
	}
	if d.Items[n].Folder {
		return invalid("The sandbox copies files, no folders.")
	}
	to, parent := d, int(d.Items[n].Parent)
	if p := in.ParentReference; p != nil {
		if to, parent, f = c.folderOf(d, *p); f != nil {
			return f
		}
	}
	if in.Name == "" {
		in.Name = d.Items[n].Name
	}
	switch {
	case !goodName(in.Name):
		return invalid("The provided name cannot contain these characters, or is empty.")
	case named(to, parent, in.Name, -1):
		return nameTaken()
	}
	id := c.h.jobs.begin(c.h)
	hash := c.h.hashOf(d, n)
	x := c.h.act(c.s, c.who, c.r)
	s := c.s
	s.Later(CopyTakes, func(at time.Time) {
		x.At = at
		if d.Items[n].Trashed != 0 || to.Items[parent].Trashed != 0 || named(to, parent, in.Name, -1) {
			c.h.jobs.end(id, "")
			return
		}
		c.h.jobs.end(id, c.h.itemID(to.N, s.Copy(x, d, n, to, parent, in.Name, hash)))
	})
	c.w.Header().Set("Location", c.h.t.Base+"/sharepoint"+monitorPath+id)
	c.w.WriteHeader(http.StatusAccepted)
	return nil
}
