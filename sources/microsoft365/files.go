package microsoft365

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// library reads sites, drives and files.
type library struct {
	s       *session
	domains []string // of the organization's own addresses, where the configuration tells
}

// laneSites is the lane of the sites' own rows. Other lanes are drives: the id
// is the drive's, the hint its site's.
const laneSites = "sites"

// prefer asks a delta for deletions, for items behind folders that may not be
// read, and for what is shared. A token is bound to it: it is sent with every
// page.
var prefer = http.Header{"Prefer": {"deltashowremovedasdeleted, deltatraversepermissiongaps, deltashowsharingchanges, hierarchicalsharing"}}

// filesBatch is the path of batches about files.
var filesBatch = httpx.P(pathFilesBatch, "$batch")

const (
	pathSites       = "/v1.0/sites/getAllSites"
	pathDrives      = "/v1.0/sites/{site}/drives"
	pathDrive       = "/v1.0/drives/{drive}"
	pathDelta       = "/v1.0/drives/{drive}/root/delta"
	pathItem        = "/v1.0/drives/{drive}/items/{item}"
	pathPermissions = "/v1.0/drives/{drive}/items/{item}/permissions"
	pathPermission  = "/v1.0/drives/{drive}/items/{item}/permissions/{permission}"
	selectDrive     = "id,name,driveType,webUrl,createdDateTime,lastModifiedDateTime,owner,quota"
	selectItem      = "id,name,size,eTag,cTag,createdDateTime,lastModifiedDateTime,createdBy,lastModifiedBy,parentReference,file,folder,package,remoteItem,shared,malware,deleted,root,sharepointIds,webUrl"
	deltaItems      = "200"
)

// filesPlace is the cursor of the listing, of a lane and of its delta.
type filesPlace struct {
	V    int    `json:"v"`
	Link string `json:"link,omitempty"` // the page's
	N    int    `json:"n,omitempty"`    // how many of its sites are done
	Root string `json:"root,omitempty"` // id of the drive's root folder
	// Denied is why permissions of some items could not be asked for; then the
	// lane fails at its End, for it has not shown all there is.
	Denied string `json:"denied,omitempty"`
	End    bool   `json:"end,omitempty"`
	// Odd is the path of a listing with a site or drive that could not be
	// understood: the listing of lanes does not complete then.
	Odd string `json:"odd,omitempty"`
}

const filesVersion = 1

func parseFilesPlace(c sources.Cursor) (p filesPlace, err error) {
	if c == "" {
		return filesPlace{V: filesVersion}, nil
	}
	if json.Unmarshal([]byte(c), &p) != nil || p.V != filesVersion {
		return p, fault.New(fault.Expired, "files cursor %.40q is not of version %d", c, filesVersion)
	}
	return p, nil
}

func (p filesPlace) cursor() (sources.Cursor, error) {
	b, err := json.Marshal(p)
	if err == nil && len(b) > sources.MaxCursor {
		err = fault.New(fault.Permanent, "%s: the vendor's link has %d bytes, more than a cursor holds", pathDelta, len(p.Link))
	}
	return sources.Cursor(b), err
}

// wireList is a page of Graph.
type wireList struct {
	Next  string `json:"@odata.nextLink"`
	Delta string `json:"@odata.deltaLink"`
}

// get asks for a page: by its link, or the first one.
func (l *library) get(ctx context.Context, path httpx.Path, query url.Values, link string, header http.Header) (*httpx.Response, wireList, error) {
	r := &httpx.Request{Path: path, Query: query}
	var list wireList
	if link != "" {
		var err error
		if r, err = l.s.graph.Follow(link, path); err != nil {
			return nil, list, err
		}
	}
	r.Header = header
	resp, err := l.s.graph.Do(ctx, r)
	if err != nil {
		return nil, list, err
	}
	err = httpx.Decode(resp, &list)
	return resp, list, err
}

// lanes implements sources.Stream.Lanes: every site's drives, 20 sites a
// request.
func (l *library) lanes(ctx context.Context, c sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		at, err := parseFilesPlace(c)
		if err != nil {
			at = filesPlace{V: filesVersion} // of another version: listed anew
		}
		if err := l.listDrives(ctx, at, yield); err != nil && !errors.Is(err, errTurned) {
			yield(nil, err)
		}
	}
}

func (l *library) listDrives(ctx context.Context, at filesPlace, yield func(*sources.LanePage, error) bool) error {
	first := at.Link == "" && at.N == 0
	for {
		resp, list, err := l.get(ctx, httpx.P(pathSites), url.Values{"$top": {"500"}, "$select": {"id"}}, at.Link, nil)
		if err != nil {
			return err
		}
		var ids []string
		for raw, err := range httpx.ElementsAt(resp, "value") {
			if err != nil {
				return err
			}
			var s wireSite
			if decode(raw, &s) != nil || s.ID == "" {
				at.Odd = pathSites
				continue
			}
			ids = append(ids, s.ID)
		}
		for from := min(at.N, len(ids)); ; {
			to := min(from+maxBatch, len(ids))
			page := &sources.LanePage{}
			if first {
				page.Lanes, first = append(page.Lanes, sources.Lane{ID: laneSites}), false
			}
			var bad bool
			if page.Lanes, bad, err = l.drivesOf(ctx, page.Lanes, ids[from:to]); err != nil {
				return err
			}
			if bad {
				at.Odd = pathDrives
			}
			last, odd := to == len(ids) && list.Next == "", at.Odd
			page.Complete = last && odd == ""
			at.N = to
			switch {
			case last && !page.Complete: // to be listed anew
				at = filesPlace{V: filesVersion}
			case to == len(ids):
				at.Link, at.N = list.Next, 0
			}
			if page.Next, err = at.cursor(); err != nil {
				return err
			}
			if !yield(page, nil) || page.Complete {
				return errTurned
			}
			if last {
				return fault.New(fault.BadData, "%s has a record that cannot be understood: what may belong to it is not taken for gone", odd)
			}
			if from = to; from == len(ids) {
				break
			}
		}
	}
}

// drivesOf appends the lanes of some sites' drives. A site that is gone or
// locked has none; one that may not be read keeps the listing from ending, for
// its files would read as gone, as those of a drive that is not understood: odd.
func (l *library) drivesOf(ctx context.Context, lanes []sources.Lane, sites []string) (all []sources.Lane, odd bool, err error) {
	if len(sites) == 0 {
		return lanes, false, nil
	}
	asked := make([]listing, len(sites))
	for i, site := range sites {
		asked[i] = listing{path: httpx.P(pathDrives, site), query: url.Values{"$top": {"200"}, "$select": {"id"}}}
	}
	pages, err := l.s.batch(ctx, filesBatch, asked)
	if err != nil {
		return nil, false, err
	}
	for i, site := range sites {
		err := l.s.eachFrom(ctx, asked[i], pages[i], func(raw []byte) error {
			var d wireDrive
			if decode(raw, &d) != nil || d.ID == "" {
				odd = true
				return nil
			}
			if len(d.ID) > sources.MaxLaneID || len(site) > sources.MaxHint {
				return fault.New(fault.BadData, "%s: a drive's id has %d bytes", pathDrives, len(d.ID))
			}
			lanes = append(lanes, sources.Lane{ID: d.ID, Hint: site})
			return nil
		})
		if err != nil && !isGone(err) && httpx.StatusOf(err) != http.StatusLocked {
			return nil, false, err
		}
	}
	return lanes, odd, nil
}

// read implements sources.Stream.Read.
func (l *library) read(ctx context.Context, lane sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		at, err := parseFilesPlace(c)
		switch {
		case err != nil:
		case lane.ID == laneSites:
			err = l.readSites(ctx, at, yield)
		default:
			err = l.readDrive(ctx, lane, at, false, yield)
		}
		if err != nil && !errors.Is(err, errTurned) {
			yield(nil, err)
		}
	}
}

// delta implements sources.Stream.Delta.
func (l *library) delta(ctx context.Context, lane sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		at, err := parseFilesPlace(c)
		switch {
		case err != nil:
		case lane.ID == laneSites: // a few pages, read anew
			err = l.readSites(ctx, at, yield)
		default:
			err = l.readDrive(ctx, lane, at, true, yield)
		}
		if err != nil && !errors.Is(err, errTurned) {
			yield(nil, err)
		}
	}
}

// readSites tells every site.
func (l *library) readSites(ctx context.Context, at filesPlace, yield func(*sources.Page, error) bool) error {
	var rows schemas.Rows
	for {
		resp, list, err := l.get(ctx, httpx.P(pathSites), url.Values{"$top": {"500"}}, at.Link, nil)
		if err != nil {
			return err
		}
		rows.Reset()
		page := &sources.Page{Rows: &rows, More: list.Next != ""}
		for raw, err := range httpx.ElementsAt(resp, "value") {
			if err != nil {
				return err
			}
			var s wireSite
			var f schemas.File
			reason := "the site has an unexpected shape"
			if decode(raw, &s) == nil {
				reason = mapSite(&f, &s, string(raw))
			}
			if reason != "" {
				page.Rejected = append(page.Rejected, sources.Reject{Ref: s.ID, Reason: reason, Raw: string(raw)})
				continue
			}
			rows.Files = append(rows.Files, f)
		}
		at = filesPlace{V: filesVersion, Link: list.Next}
		if page.Next, err = at.cursor(); err != nil {
			return err
		}
		page.Delta = page.Next
		if !yield(page, nil) || !page.More {
			return errTurned
		}
	}
}

// ask implements sources.Stream.Ask.
func (l *library) ask(ctx context.Context, table string, key []string) (sources.Answer, error) {
	drive, item, isItem := strings.Cut(key[0], "/")
	var path httpx.Path
	switch {
	case table == "files" && isItem:
		path = httpx.P(pathItem, drive, item)
	case table == "files" && strings.Contains(drive, ","):
		path = httpx.P("/v1.0/sites/{site}", drive)
	case table == "files":
		path = httpx.P(pathDrive, drive)
	case isItem:
		path = httpx.P(pathPermission, drive, item, key[1])
	default:
		return sources.Unsure, nil
	}
	_, err := l.s.graph.Do(ctx, &httpx.Request{Path: path, Query: url.Values{"$select": {"id"}}})
	switch {
	case err == nil:
		return sources.Exists, nil
	case httpx.NotFound(err):
		return sources.Deleted, nil
	}
	return sources.Unsure, err
}
