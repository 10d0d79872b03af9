package microsoft365

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"weir/internal/sandbox/org"
)

// spCall is a request to SharePoint's own API, of one site.
type spCall struct {
	h    *Handler
	w    http.ResponseWriter
	r    *http.Request
	s    *org.State
	who  *access
	site *org.Site
	body []byte
}

// spError is an error as SharePoint answers it.
type spError struct {
	status        int
	code, message string
}

// Paths of SharePoint's API, below "_api/" (9).
var (
	byID      = regexp.MustCompile(`^web/Get(?:File|Folder)ById\('([^']+)'\)/recycle(?:\(\))?$`)
	byPath    = regexp.MustCompile(`^web/Get(File|Folder)ByServerRelativePath\(DecodedUrl='((?:[^']|'')+)'\)/ListItemAllFields/(breakroleinheritance|resetroleinheritance)(?:\(([^)]*)\))?$`)
	binPath   = regexp.MustCompile(`^(?:site|web)/RecycleBin$`)
	binFilter = regexp.MustCompile(`^\(?(itemState|ItemState|LeafName|DirName) eq '?(.+?)'?\)?$`)
)

// maxRestored is how many rows of the bin one request brings back.
const maxRestored = 20

// serveSharePoint answers a request to the host of a site. Only apps that proved
// themselves with a certificate are let in.
func (h *Handler) serveSharePoint(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/sharepoint"+monitorPath) {
		h.monitor(w, r)
		return
	}
	c := &spCall{h: h, w: w, r: r}
	who, f := h.auth.check(r, apiSharePoint)
	if f != nil {
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+h.tenantID+`"`)
		sendJSON(w, http.StatusUnauthorized, object{"error_description": f.message})
		return
	}
	if !who.cert {
		sendJSON(w, http.StatusUnauthorized, object{"error_description": "Unsupported app only token."})
		return
	}
	if c.who = who; !slices.Contains(h.auth.rolesNow(who, r), "Sites.FullControl.All") {
		c.fail(&spError{http.StatusForbidden, "-2147024891, System.UnauthorizedAccessException", "Access denied."})
		return
	}
	look := h.t.World.View
	if r.Method != http.MethodGet {
		if c.body, f = readBody(r); f != nil {
			c.fail(&spError{f.status, "-1, Microsoft.SharePoint.Client.InvalidClientQueryException", f.message})
			return
		}
		look = h.t.World.Change
		defer h.notices.poke()
	}
	look(func(s *org.State) {
		c.s = s
		if e := c.answer(); e != nil {
			c.fail(e)
		}
	})
}

func (c *spCall) fail(e *spError) {
	sendJSON(c.w, e.status, object{"odata.error": object{"code": e.code, "message": object{"lang": "en-US", "value": e.message}}})
}

func (c *spCall) notFound() *spError {
	return &spError{http.StatusNotFound, "-2130575338, Microsoft.SharePoint.SPException", "The file or folder does not exist. It may have been deleted or renamed by another user."}
}

func (c *spCall) invalid(message string) *spError {
	return &spError{http.StatusBadRequest, "-1, Microsoft.SharePoint.Client.InvalidClientQueryException", message}
}

// called names the request in the sandbox's books.
func (c *spCall) called(what string) { c.r.Pattern = c.r.Method + " /sharepoint/_api/" + what }

func (c *spCall) answer() *spError {
	path, what, ok := strings.Cut(strings.TrimPrefix(c.r.URL.Path, "/sharepoint/"), "_api/")
	path = strings.TrimSuffix(path, "/")
	i := slices.IndexFunc(c.s.Office.Sites, func(s *org.Site) bool { return strings.EqualFold(s.Path, path) })
	if !ok || i < 0 {
		return c.notFound()
	}
	c.site = c.s.Office.Sites[i]
	if slices.ContainsFunc(c.site.Drives, func(d int) bool { return c.s.Office.Drives[d].Locked }) {
		return &spError{c.h.facts.LockedStatus, "-2147018894, Microsoft.SharePoint.SPException", "Access to this Web site has been blocked."}
	}
	post := c.r.Method == http.MethodPost
	switch {
	case post && byID.MatchString(what):
		c.called("web/GetFileById/recycle")
		return c.recycle(byID.FindStringSubmatch(what)[1])
	case post && byPath.MatchString(what):
		m := byPath.FindStringSubmatch(what)
		c.called("web/Get" + m[1] + "ByServerRelativePath/ListItemAllFields/" + m[3])
		return c.inheritance(strings.ReplaceAll(m[2], "''", "'"), m[3], m[4])
	case c.r.Method == http.MethodGet && binPath.MatchString(what):
		c.called("site/RecycleBin")
		return c.bin()
	case post && strings.EqualFold(what, "site/RecycleBin/RestoreByIds"):
		c.called("site/RecycleBin/RestoreByIds")
		return c.restore()
	}
	if c.r.Method != http.MethodGet {
		c.h.t.Violate("no such endpoint to write to", c.r.Method+" "+c.r.URL.Path)
	}
	return &spError{http.StatusNotFound, "-1, Microsoft.SharePoint.Client.ResourceNotFoundException", "Cannot find resource for the request " + what + "."}
}

func (c *spCall) act() *org.Act { return c.h.act(c.s, c.who, c.r) }

// find returns the drive and number of the site's item that fits.
func (c *spCall) find(fits func(d *org.Drive, n int) bool) (*org.Drive, int) {
	for _, k := range c.site.Drives {
		d := c.s.Office.Drives[k]
		for n := range d.Items {
			if d.Items[n].Trashed == 0 && fits(d, n) {
				return d, n
			}
		}
	}
	return nil, 0
}

func (c *spCall) busy() *spError {
	return &spError{c.h.facts.LockedStatus, "-2147018894, Microsoft.SharePoint.SPFileLockException", "The file is locked for shared use."}
}

// recycle puts a file into the bin, and answers with the bin's row.
func (c *spCall) recycle(id string) *spError {
	d, n := c.find(func(d *org.Drive, n int) bool { return n > 0 && strings.EqualFold(c.h.uniqueID(d.N, n), id) })
	switch {
	case d == nil:
		return c.notFound()
	case c.h.busy(n):
		return c.busy()
	}
	c.s.Trash(c.act(), d, n)
	sendJSON(c.w, http.StatusOK, object{"value": c.h.binID(d.N, len(d.Bin)-1)})
	return nil
}

// binID is the id of a row of the recycle bin, which is not the item's.
func (h *Handler) binID(drive, row int) string { return h.guid("bin "+h.guid("drive", drive), row) }

// inheritance has an item inherit nothing, or nothing but what it inherits.
func (c *spCall) inheritance(relative, what, args string) *spError {
	want := strings.TrimSuffix(relative, "/")
	d, n := c.find(func(d *org.Drive, n int) bool {
		return n > 0 && strings.EqualFold(c.h.serverRelative(c.s, d, d.Path(n)), want)
	})
	if d == nil {
		return c.notFound()
	}
	keep, _, _ := strings.Cut(args, ",")
	if _, value, named := strings.Cut(keep, "="); named {
		keep = value
	}
	if what == "breakroleinheritance" {
		c.s.BreakInheritance(c.act(), d, n, keep != "false")
	} else {
		c.s.ResetInheritance(c.act(), d, n)
	}
	sendJSON(c.w, http.StatusOK, object{"odata.null": true})
	return nil
}

// serverRelative is a path below the host.
func (h *Handler) serverRelative(s *org.State, d *org.Drive, path string) string {
	below := relative(d, path)
	if site := s.Office.Sites[d.Site].Path; site != "" {
		below = site + "/" + below
	}
	return "/" + below
}

// rows calls fn for what is in the site's bin.
func (c *spCall) rows(fn func(d *org.Drive, row int)) {
	for _, k := range c.site.Drives {
		d := c.s.Office.Drives[k]
		for row := range d.Bin {
			if b := &d.Bin[row]; !b.Restored && c.s.Now.Unix()-b.At < int64(binKept.Seconds()) {
				fn(d, row)
			}
		}
	}
}

// binKept is how long the bin keeps what is in it.
const binKept = 93 * day

// bin lists what is in it, the newest first.
func (c *spCall) bin() *spError {
	q, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return c.invalid("The query could not be read.")
	}
	keep := map[string]string{}
	if f := q.Get("$filter"); f != "" {
		for part := range strings.SplitSeq(f, " and ") {
			m := binFilter.FindStringSubmatch(strings.TrimSpace(part))
			if m == nil {
				return c.invalid("The sandbox filters the bin by ItemState, LeafName and DirName.")
			}
			keep[strings.ToUpper(m[1][:1])+m[1][1:]] = m[2]
		}
	}
	value := []object{}
	c.rows(func(d *org.Drive, row int) {
		b := &d.Bin[row]
		i := &d.Items[b.Item]
		dir := strings.TrimPrefix(c.h.serverRelative(c.s, d, b.Folder), "/")
		if name := keep["LeafName"]; name != "" && name != i.Name || keep["DirName"] != "" && keep["DirName"] != dir || keep["ItemState"] == "2" {
			return
		}
		kind := 1
		if i.Folder {
			kind = 5
		}
		by := "System Account"
		if r := org.By(b.By); r.Kind == org.AccountRef {
			by = nameOf(c.s, c.s.Accounts[org.Microsoft365][r.N])
		}
		value = append(value, object{
			"Id": c.h.binID(d.N, row), "Title": i.Name, "LeafName": i.Name, "DirName": dir, "DeletedDate": stampOf(b.At), "ItemType": kind, "ItemState": 1, "Size": i.Size, "DeletedByName": by,
		})
	})
	slices.SortStableFunc(value, func(a, b object) int {
		return strings.Compare(b["DeletedDate"].(string), a["DeletedDate"].(string))
	})
	sendJSON(c.w, http.StatusOK, object{"value": value})
	return nil
}

// restore takes rows out of the bin, until one cannot be.
func (c *spCall) restore() *spError {
	var in struct {
		IDs []string
	}
	switch err := json.Unmarshal(c.body, &in); {
	case err != nil || len(in.IDs) == 0:
		return c.invalid("ids are required.")
	case len(in.IDs) > maxRestored:
		return c.invalid("Too many ids.")
	}
	type place struct {
		d   *org.Drive
		row int
	}
	found := map[string]place{}
	c.rows(func(d *org.Drive, row int) { found[c.h.binID(d.N, row)] = place{d, row} })
	for _, id := range in.IDs {
		p, ok := found[strings.ToLower(id)]
		if !ok {
			return &spError{http.StatusBadRequest, "-2147024809, System.ArgumentException", "Value does not fall within the expected range."}
		}
		if i := &p.d.Items[p.d.Bin[p.row].Item]; named(p.d, int(i.Parent), i.Name, -1) {
			return &spError{http.StatusBadRequest, "-2130575257, Microsoft.SharePoint.SPException", "A file or folder with the name " + i.Name + " already exists."}
		}
	}
	for _, id := range in.IDs {
		p := found[strings.ToLower(id)]
		if !c.s.Recover(c.act(), p.d, p.row) {
			return &spError{http.StatusBadRequest, "-2147024893, System.IO.DirectoryNotFoundException", "The folder that the item was in is not there: restore it first."}
		}
	}
	sendJSON(c.w, http.StatusOK, object{"odata.null": true})
	return nil
}
