package googleworkspace

import (
	"net/http"

	"weir/internal/sandbox/org"
)

var revisionPages = listing{name: "revisions", sizeName: "pageSize", size: Page{200, 1000}}

// revised opens a file whose revisions are asked for: by who may edit it.
func (c *driveCall) revised() (int32, *failure) {
	n, f := c.open(c.args[0])
	switch k := c.s.Docs.All; {
	case f != nil:
		return -1, f
	case k[n].Kind != org.BlobDoc && k[n].Kind != org.EditorDoc:
		return -1, refuse(http.StatusForbidden, "revisionsNotSupported", "The file does not support revisions.")
	case org.DocRank(c.role(n)) < org.DocRank("writer"):
		return -1, insufficientFilePermissions(c.args[0])
	}
	return n, nil
}

func (c *driveCall) revisionView(n int32, r *org.Revision) object {
	v := object{"kind": "drive#revision", "id": c.h.revisionID(c.s, n, r.N), "modifiedTime": msTime(r.At), "mimeType": c.s.Docs.Media(n), "lastModifyingUser": c.userView(int(r.By))}
	if c.s.Docs.All[n].Kind == org.BlobDoc {
		v["mimeType"], v["size"], v["keepForever"], v["originalFilename"] = org.FileTypes[r.Type].Media, itoa(r.Size), r.Keep, c.s.Docs.Name(n)
		v[c.h.facts.MD5] = checksumsOf(content(n, r)).md5
	} else {
		v["published"] = false
	}
	return v
}

func (c *driveCall) listRevisions(m mask) *failure {
	n, f := c.revised()
	if f != nil {
		return f
	}
	all := c.s.Revisions(n)
	l := revisionPages
	page, next, f := paged(c.call, &l, len(all), func(i int) object { return c.revisionView(n, &all[i]) })
	if f != nil {
		return f
	}
	out := object{"kind": "drive#revisionList", "revisions": page}
	if next != "" {
		out["nextPageToken"] = next
	}
	return c.reply(m, out)
}

// theRevision finds the one that a path names: "head" is the current one.
func (c *driveCall) theRevision() (n int32, all []org.Revision, at int, f *failure) {
	if n, f = c.revised(); f != nil {
		return
	}
	all = c.s.Revisions(n)
	for at = range all {
		if c.h.revisionID(c.s, n, all[at].N) == c.args[1] || c.args[1] == "head" && at == len(all)-1 {
			return n, all, at, nil
		}
	}
	return n, nil, 0, refuse(http.StatusNotFound, "notFound", "Revision not found: %s.", c.args[1])
}

func (c *driveCall) getRevision(m mask) *failure {
	n, all, at, f := c.theRevision()
	if f != nil {
		return f
	}
	if c.q.Get("alt") == "media" {
		return c.media(n, &all[at])
	}
	return c.reply(m, c.revisionView(n, &all[at]))
}

// maxPinned is how many revisions of a file may be kept for ever (9).
const maxPinned = 200

func (c *driveCall) updateRevision(m mask) *failure {
	n, all, at, f := c.theRevision()
	if f != nil {
		return f
	}
	var in struct{ KeepForever *bool }
	if f := c.read(&in); f != nil {
		return f
	}
	pinned := 0
	for i := range all {
		if all[i].Keep {
			pinned++
		}
	}
	switch {
	case in.KeepForever != nil && c.s.Docs.All[n].Kind != org.BlobDoc:
		return refuse(http.StatusForbidden, "keepForeverNotSupported", "Only files with binary content can keep a revision for ever.")
	case in.KeepForever != nil && *in.KeepForever && !all[at].Keep && pinned >= maxPinned:
		return refuse(http.StatusForbidden, "tooManyPinnedRevisions", "Too many revisions are kept for ever.")
	case in.KeepForever != nil && *in.KeepForever != all[at].Keep:
		all[at].Keep = *in.KeepForever
		c.s.SetRevision(c.act(), n, all[at].N, func(r *org.Revision) { r.Keep = *in.KeepForever })
	}
	return c.reply(m, c.revisionView(n, &all[at]))
}

func (c *driveCall) deleteRevision(mask) *failure {
	n, all, at, f := c.theRevision()
	switch {
	case f != nil:
		return f
	case c.s.Docs.All[n].Kind != org.BlobDoc:
		return refuse(http.StatusForbidden, "revisionDeletionNotSupported", "Revisions of this file cannot be deleted.")
	case at == len(all)-1:
		return refuse(http.StatusForbidden, "cannotDeleteOnlyRevision", "The last revision of a file cannot be deleted.")
	}
	c.s.SetRevision(c.act(), n, all[at].N, func(r *org.Revision) { r.Deleted = true })
	return c.nothing()
}
