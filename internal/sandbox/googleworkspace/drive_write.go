package googleworkspace

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"weir/internal/sandbox/org"
)

// readBody reads what a request sends: of uploads it is content.
func (c *driveCall) readBody(upload bool) *failure {
	if c.r.Method == http.MethodGet {
		return nil
	}
	most := int64(maxBody)
	if upload {
		most = maxUpload
	}
	raw, err := io.ReadAll(io.LimitReader(c.r.Body, most+1))
	switch {
	case err != nil:
		return refuse(http.StatusBadRequest, "badRequest", "Bad Request")
	case int64(len(raw)) > most:
		return refuse(http.StatusRequestEntityTooLarge, "uploadTooLarge", "Request entity too large.")
	}
	if upload {
		c.raw = raw
	} else {
		c.body = raw
	}
	return nil
}

// fileBody is what a write of a file's metadata sends.
type fileBody struct {
	Name                         *string
	MimeType                     string
	Trashed                      *bool
	Parents                      []string
	ModifiedTime                 *time.Time
	CopyRequiresWriterPermission *bool
	InheritedPermissionsDisabled *bool
	Description                  *string
	Starred                      *bool
	ShortcutDetails              *struct{ TargetID string }
	ContentRestrictions          []struct {
		ReadOnly, OwnerRestricted bool
		Reason                    string
	}
}

// readOnlyFields are some of those that the vendor sets itself.
var readOnlyFields = strings.Fields("id kind owners permissions permissionIds driveId size md5Checksum sha1Checksum sha256Checksum headRevisionId shared version webViewLink")

// parseFile reads metadata, and refuses what cannot be written.
func (c *driveCall) parseFile(raw []byte, update bool) (in fileBody, f *failure) {
	if len(raw) == 0 {
		return in, nil
	}
	if json.Unmarshal(raw, &in) != nil {
		return in, refuse(http.StatusBadRequest, "parseError", "Parse Error")
	}
	var names map[string]json.RawMessage
	_ = json.Unmarshal(raw, &names) // it is an object: see above
	for name := range names {
		switch {
		case name == "parents" && update:
			return in, refuse(http.StatusForbidden, "fieldNotWritable", "The parents field is not directly writable in update requests. Use the addParents and removeParents parameters instead.")
		case oneFile.known[name] == nil && !oneFile.known.has(name):
			c.h.t.Violate("no such property", c.r.URL.Path+" "+name)
			return in, invalid("Invalid JSON payload received. Unknown name %q", name)
		case slices.Contains(readOnlyFields, name) && (update || name != "id"):
			return in, refuse(http.StatusForbidden, "fieldNotWritable", "The resource body includes fields which are not directly writable.")
		}
	}
	return in, nil
}

// updateFile changes metadata, moves, and puts into the trash or takes out.
func (c *driveCall) updateFile(m mask) *failure {
	n, f := c.open(c.args[0])
	if f != nil {
		return f
	}
	in, f := c.parseFile(c.body, true)
	if f != nil {
		return f
	}
	if f := c.change(n, &in); f != nil {
		return f
	}
	return c.reply(m, c.fileView(n, m))
}

// change checks all that a request asks for, and then does it.
func (c *driveCall) change(n int32, in *fileBody) *failure {
	steps := []func(n int32, in *fileBody) (func(), *failure){c.move, c.rename, c.restrict, c.closeFolder, c.trash}
	var todo []func()
	for _, step := range steps {
		do, f := step(n, in)
		if f != nil {
			return f
		}
		if do != nil {
			todo = append(todo, do)
		}
	}
	for _, do := range todo {
		do()
	}
	return nil
}

func (c *driveCall) writes(n int32) bool { return org.DocRank(c.role(n)) >= org.DocRank("writer") }

func (c *driveCall) rename(n int32, in *fileBody) (func(), *failure) {
	if in.Name == nil || *in.Name == c.s.Docs.Name(n) {
		return nil, nil
	}
	if !c.writes(n) || c.s.Docs.IsRoot(n) {
		return nil, insufficientFilePermissions(c.args[0])
	}
	return func() { c.s.RenameDoc(c.act(), n, *in.Name) }, nil
}

func (c *driveCall) trash(n int32, in *fileBody) (func(), *failure) {
	if in.Trashed == nil {
		return nil, nil
	}
	explicit := c.s.Docs.All[n].Trashed != 0
	switch {
	case !c.mayTrash(n):
		return nil, insufficientFilePermissions(c.args[0])
	case *in.Trashed == c.s.Docs.InTrash(n), !*in.Trashed && !explicit:
		return nil, nil
	case *in.Trashed:
		return func() { c.s.TrashDoc(c.act(), n) }, nil
	}
	return func() { c.s.UntrashDoc(c.act(), n) }, nil
}

func (c *driveCall) closeFolder(n int32, in *fileBody) (func(), *failure) {
	on := in.InheritedPermissionsDisabled
	if on == nil {
		return nil, nil
	}
	x := &c.s.Docs.All[n]
	role := c.role(n)
	switch {
	case x.Kind != org.FolderDoc || x.Parent < 0:
		return nil, refuse(http.StatusForbidden, "inheritedPermissionsDisabledNotPermitted", "Inherited permissions can be disabled for folders only.")
	case role != "owner" && role != "organizer":
		return nil, insufficientFilePermissions(c.args[0])
	case *on == (x.Sharing != nil && x.Sharing.Closed):
		return nil, nil
	}
	return func() { c.s.CloseDoc(c.act(), n, *on) }, nil
}

// restrict forbids things about content, or allows them again.
func (c *driveCall) restrict(n int32, in *fileBody) (func(), *failure) {
	x := &c.s.Docs.All[n]
	l := org.DocLock{}
	if x.Lock != nil {
		l = *x.Lock
	}
	old := l
	for _, r := range in.ContentRestrictions {
		if (r.OwnerRestricted || l.OwnerOnly) && c.role(n) != "owner" && c.role(n) != "organizer" {
			return nil, insufficientFilePermissions(c.args[0])
		}
		l.ReadOnly, l.OwnerOnly, l.Reason = r.ReadOnly, r.OwnerRestricted && r.ReadOnly, r.Reason
		if !r.ReadOnly {
			l.Reason = ""
		}
	}
	if in.CopyRequiresWriterPermission != nil {
		l.NoCopy = *in.CopyRequiresWriterPermission
	}
	switch {
	case l == old:
		return nil, nil
	case !c.writes(n):
		return nil, insufficientFilePermissions(c.args[0])
	}
	return func() {
		if l == (org.DocLock{}) {
			c.s.LockDoc(c.act(), n, nil)
			return
		}
		c.s.LockDoc(c.act(), n, &l)
	}, nil
}

// move puts a doc into another folder: a doc has one.
func (c *driveCall) move(n int32, _ *fileBody) (func(), *failure) {
	add, remove := c.q.Get("addParents"), c.q.Get("removeParents")
	if add == "" && remove == "" {
		return nil, nil
	}
	d := c.s.Docs
	x := &d.All[n]
	if remove != "" {
		if p, ok := c.doc(remove); !ok || p != x.Parent {
			return nil, refuse(http.StatusNotFound, "notFound", "File not found: %s.", remove)
		}
	}
	if add == "" {
		return nil, refuse(http.StatusForbidden, "parentRequired", "A file must have a parent folder.")
	}
	to, f := c.open(add)
	if f != nil {
		return nil, f
	}
	switch {
	case to == x.Parent:
		return nil, nil
	case x.Parent < 0 || d.All[to].Kind != org.FolderDoc:
		return nil, refuse(http.StatusForbidden, "invalidParent", "The specified parent is not a folder.")
	case remove == "" && c.seesParent(n):
		return nil, refuse(http.StatusForbidden, "cannotAddParent", "Increasing the number of parents is not allowed")
	case d.Below(to, n):
		return nil, refuse(http.StatusForbidden, "cyclicFolder", "A folder cannot be moved into itself.")
	case !c.writes(to):
		return nil, insufficientFilePermissions(add)
	}
	from, target := c.corpus(n), c.corpus(to)
	need := "writer"
	switch {
	case from.Shared() && from == target:
		need = "fileOrganizer"
	case from.Shared():
		need = "organizer"
	case target.Shared():
		if need = "owner"; x.Kind == org.FolderDoc {
			return nil, refuse(http.StatusForbidden, "teamDrivesFolderMoveInNotSupported", "Moving folders into shared drives is not supported.")
		}
	}
	if org.DocRank(c.role(n)) < org.DocRank(need) {
		return nil, insufficientFilePermissions(c.args[0])
	}
	return func() { c.s.MoveDoc(c.act(), n, to) }, nil
}

// deleteFile ends a file for good.
func (c *driveCall) deleteFile(mask) *failure {
	n, f := c.open(c.args[0])
	switch {
	case f != nil:
		return f
	case !c.mayDelete(n):
		return insufficientFilePermissions(c.args[0])
	}
	c.s.DeleteDoc(c.act(), n)
	return c.nothing()
}

// createFile makes a file without content, a folder, or a shortcut.
func (c *driveCall) createFile(m mask) *failure { return c.makeFile(m, c.body, nil, "") }

// makeFile makes a file of metadata, with content if there is any.
func (c *driveCall) makeFile(m mask, meta, data []byte, media string) *failure {
	in, f := c.parseFile(meta, false)
	if f != nil {
		return f
	}
	parent := c.s.Docs.Mine(c.me.N).Root
	if len(in.Parents) > 1 {
		return refuse(http.StatusForbidden, "multipleParentsNotSupported", "A file has one parent.")
	}
	for _, p := range in.Parents {
		if parent, f = c.open(p); f != nil {
			return f
		}
		if !c.writes(parent) || c.s.Docs.All[parent].Kind != org.FolderDoc {
			return insufficientFilePermissions(p)
		}
	}
	name := "Untitled"
	if in.Name != nil {
		name = *in.Name
	}
	doc, f := c.docOf(&in, data, media)
	if f != nil {
		return f
	}
	if data == nil && doc.Kind == org.BlobDoc {
		data = []byte{}
	}
	n := c.s.NewDoc(c.act(), parent, name, doc, data)
	return c.reply(m, c.fileView(n, m))
}

// docOf is what kind of doc a request makes.
func (c *driveCall) docOf(in *fileBody, data []byte, media string) (org.Doc, *failure) {
	kind := in.MimeType
	if kind == "" {
		kind = media
	}
	switch {
	case kind == "application/vnd.google-apps.folder":
		return org.Doc{Kind: org.FolderDoc}, nil
	case kind == "application/vnd.google-apps.shortcut":
		if in.ShortcutDetails == nil {
			return org.Doc{}, invalid("shortcutDetails.targetId is missing.")
		}
		target, f := c.open(in.ShortcutDetails.TargetID)
		return org.Doc{Kind: org.ShortcutDoc, Target: target}, f
	}
	for i, t := range org.EditorTypes {
		if t == kind {
			return org.Doc{Kind: org.EditorDoc, Type: uint8(i), Size: int64(len(data))}, nil
		}
	}
	return org.Doc{Kind: org.BlobDoc, Type: mediaType(kind), Size: int64(len(data))}, nil
}

// mediaType is the number of a media type: plain text, if it is none that the
// sandbox knows.
func mediaType(media string) uint8 {
	media, _, _ = strings.Cut(media, ";")
	text := 0
	for i, t := range org.FileTypes {
		if strings.TrimSpace(media) == t.Media {
			return uint8(i)
		}
		if t.Media == "text/plain" {
			text = i
		}
	}
	return uint8(text)
}
