package googleworkspace

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"weir/internal/sandbox/org"
)

// noFile is the answer about what is not there, or not for the subject.
func noFile(id string) *failure {
	return refuse(http.StatusNotFound, "notFound", "File not found: %s.", id)
}

func insufficientFilePermissions(id string) *failure {
	return refuse(http.StatusForbidden, "insufficientFilePermissions", "The user does not have sufficient permissions for file %s.", id)
}

// role is the most that the subject may do with a doc; "": nothing. Who is
// suspended sees no shared drives.
func (c *driveCall) role(n int32) string {
	if c.idle && c.corpus(n).Shared() {
		return ""
	}
	if int(c.s.Docs.All[n].Owner) == c.me.N {
		return "owner"
	}
	role, _ := c.s.DocRole(c.me.N, n)
	return role
}

// lists says whether a doc is in the subject's listings.
func (c *driveCall) lists(n int32) bool {
	if int(c.s.Docs.All[n].Owner) == c.me.N {
		return true
	}
	if c.idle && c.corpus(n).Shared() {
		return false
	}
	_, listed := c.s.DocRole(c.me.N, n)
	return listed
}

// doc finds what an id or alias names; false: there is no such.
func (c *driveCall) doc(id string) (int32, bool) {
	n := c.h.docN(c.s, id)
	if id == "root" && c.s.Docs.Mine(c.me.N) != nil {
		n = c.s.Docs.Mine(c.me.N).Root
	}
	return n, n >= 0 && c.s.There(n)
}

// open finds a doc that the subject may look into.
func (c *driveCall) open(id string) (int32, *failure) {
	n, ok := c.doc(id)
	switch {
	case !ok, c.narrow, c.role(n) == "":
		return -1, noFile(id)
	case c.corpus(n).Shared() && !c.flag("supportsAllDrives") && !c.anyDrive:
		return -1, noFile(id)
	}
	return n, nil
}

var filePages = listing{name: "files", sizeName: "pageSize", size: Page{100, 1000}}

// listFiles lists what the subject sees of a corpus (5.8).
func (c *driveCall) listFiles(m mask) *failure {
	candidates, f := c.candidates()
	if f != nil {
		return f
	}
	q, ok := c.parseQuery(c.q.Get("q"))
	if !ok {
		return invalid("Invalid Value")
	}
	l := filePages
	l.life, l.size.Max = c.h.facts.FileTokenLife, c.h.facts.FilesPage
	size, f := c.sized(&l)
	if f != nil {
		return f
	}
	at, f := c.page(&l)
	if f != nil {
		return f
	}
	if !at.fresh && (at.at%5 == 1 || c.h.Faults().ShortPages) {
		size = max(1, size*3/4) // a page may hold fewer
	}
	docs, from := candidates(q), at.at
	if c.q.Get("orderBy") == "" { // by number: a page begins behind the last of the one before, whatever came and went
		last, _ := strconv.Atoi(at.key) // our own; none at first
		i, _ := slices.BinarySearch(docs, int32(last)+1)
		docs = c.matching(docs[min(i, len(docs)):], q, size+1)
		from = 0
	} else if docs, f = c.ordered(c.matching(docs, q, len(docs))); f != nil {
		return f
	}
	from = min(from, len(docs))
	end := min(from+size, len(docs))
	want := m.under("files")
	files := make([]object, 0, end-from)
	for _, n := range docs[from:end] {
		files = append(files, c.fileView(n, want))
	}
	out := object{"kind": "drive#fileList", "incompleteSearch": false, "files": files}
	if end < len(docs) {
		at.at, at.key = at.at+end-from, itoa(docs[end-1])
		out["nextPageToken"] = c.next(&l, at)
	}
	return c.reply(m, out)
}

// candidates says what of the organization is looked through, given a query.
func (c *driveCall) candidates() (func(fileQuery) []int32, *failure) {
	d := c.s.Docs
	corpora, drive := c.q.Get("corpora"), c.q.Get("driveId")
	all := c.flag("includeItemsFromAllDrives")
	if spaces := c.q.Get("spaces"); spaces != "" && spaces != "drive" {
		return nil, invalid("Invalid Value for spaces: %s", spaces)
	}
	switch {
	case (corpora == "drive") != (drive != ""):
		return nil, invalid("The driveId parameter must be specified if and only if corpora is set to drive.")
	case all && !c.flag("supportsAllDrives"):
		return nil, invalid("The supportsAllDrives parameter must be true if includeItemsFromAllDrives is.")
	case (corpora == "drive" || corpora == "allDrives") && !all:
		return nil, invalid("The includeItemsFromAllDrives and supportsAllDrives parameters must be true when corpora is %s.", corpora)
	}
	if c.narrow {
		return func(fileQuery) []int32 { return nil }, nil
	}
	switch corpora {
	case "", "user":
		return func(q fileQuery) []int32 { return c.mine(q, false) }, nil
	case "allDrives":
		return func(q fileQuery) []int32 { return c.mine(q, true) }, nil
	case "drive":
		n := c.h.docN(c.s, drive)
		if n < 0 || !d.IsRoot(n) || !c.corpus(n).Shared() || c.idle || !c.lists(n) {
			return nil, refuse(http.StatusNotFound, "notFound", "Shared drive not found: %s", drive)
		}
		return func(fileQuery) []int32 { return c.corpus(n).Docs }, nil
	case "domain":
		return nil, invalid("Invalid Value") // 5.8: with a service account
	}
	return nil, invalid("Invalid Value for corpora: %s", corpora)
}

// mine is what somebody has: what they own, and what is shared with them.
func (c *driveCall) mine(q fileQuery, drives bool) []int32 {
	d := c.s.Docs
	if q.owner == c.me.N {
		return d.Owned(c.me.N)
	}
	if q.parent >= 0 {
		return c.corpus(q.parent).Docs
	}
	list := slices.Clone(d.Owned(c.me.N))
	for i := range d.All {
		n := int32(i)
		x := &d.All[n]
		if x.Parent < 0 || int(x.Owner) == c.me.N || x.Gone {
			continue
		}
		if shared := c.corpus(n).Shared(); shared && drives || !shared && x.Sharing != nil && c.named(n) {
			list = append(list, n)
		}
	}
	slices.Sort(list)
	return list
}

// named says whether a grant at a doc itself is to the subject, or to a group.
func (c *driveCall) named(n int32) bool {
	return slices.ContainsFunc(c.s.Docs.All[n].Sharing.Grants, func(g org.DocGrant) bool {
		return g.To == org.ToUser && g.Account == c.me.N || g.To == org.ToGroup && g.Group >= 0 && c.s.InGroup(g.Group, c.me.N)
	})
}

// matching leaves what the subject may see and the query wants: so many at most.
func (c *driveCall) matching(docs []int32, q fileQuery, most int) (out []int32) {
	d := c.s.Docs
	for _, n := range docs {
		if !d.IsRoot(n) && c.s.There(n) && q.holds(n) && c.lists(n) && (c.h.facts.WithTrash || !d.InTrash(n)) {
			if out = append(out, n); len(out) == most {
				break
			}
		}
	}
	return out
}

// ordered puts docs in the order asked for.
func (c *driveCall) ordered(out []int32) ([]int32, *failure) {
	d := c.s.Docs
	var compare []func(a, b int32) int
	for key := range strings.SplitSeq(c.q.Get("orderBy"), ",") {
		name, way, _ := strings.Cut(strings.TrimSpace(key), " ")
		by := orders[name]
		if by == nil || way != "" && way != "desc" {
			return nil, invalid("Invalid Value for orderBy: %s", key)
		}
		sign := 1
		if way == "desc" {
			sign = -1
		}
		compare = append(compare, func(a, b int32) int { return sign * by(d, a, b) })
	}
	slices.SortStableFunc(out, func(a, b int32) int {
		for _, f := range compare {
			if x := f(a, b); x != 0 {
				return x
			}
		}
		return 0
	})
	return out, nil
}

// orders are what files can be put in order by.
var orders = map[string]func(d *org.Docs, a, b int32) int{
	"createdTime":  func(d *org.Docs, a, b int32) int { return cmp.Compare(d.All[a].Created, d.All[b].Created) },
	"modifiedTime": func(d *org.Docs, a, b int32) int { return cmp.Compare(d.All[a].Modified, d.All[b].Modified) },
	"recency":      func(d *org.Docs, a, b int32) int { return cmp.Compare(d.All[b].Modified, d.All[a].Modified) },
	"name":         func(d *org.Docs, a, b int32) int { return cmp.Compare(d.Name(a), d.Name(b)) },
	"name_natural": func(d *org.Docs, a, b int32) int {
		return cmp.Compare(strings.ToLower(d.Name(a)), strings.ToLower(d.Name(b)))
	},
	"quotaBytesUsed": func(d *org.Docs, a, b int32) int { return cmp.Compare(d.All[a].Size, d.All[b].Size) },
	"folder": func(d *org.Docs, a, b int32) int {
		rank := func(n int32) int {
			if d.All[n].Kind == org.FolderDoc {
				return 0
			}
			return 1
		}
		return rank(a) - rank(b)
	},
}

// getFile answers with a file, or with what is in it.
func (c *driveCall) getFile(m mask) *failure {
	n, f := c.open(c.args[0])
	if f != nil {
		return f
	}
	if c.q.Get("alt") == "media" {
		return c.media(n, head(c.s, n))
	}
	return c.reply(m, c.fileView(n, m))
}

// media answers with the content of a revision.
func (c *driveCall) media(n int32, r *org.Revision) *failure {
	x := &c.s.Docs.All[n]
	switch {
	case x.Kind != org.BlobDoc:
		return refuse(http.StatusForbidden, "fileNotDownloadable", "Only files with binary content can be downloaded. Use Export with Docs Editors files.")
	case x.Lock != nil && x.Lock.NoCopy && org.DocRank(c.role(n)) < org.DocRank("writer"):
		return refuse(http.StatusForbidden, "cannotDownloadFile", "This file cannot be downloaded by the user.")
	}
	data := content(n, r)
	c.w.Header().Set("Content-Type", org.FileTypes[r.Type].Media)
	c.w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = c.w.Write(data) // a client that went away is no concern of the vendor's
	return nil
}
