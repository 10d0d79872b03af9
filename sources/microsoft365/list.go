package microsoft365

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// Paths of Microsoft Graph's directory.
const (
	pathUsers         = "/v1.0/users"
	pathUser          = "/v1.0/users/{id}"
	pathUsersDelta    = "/v1.0/users/delta"
	pathDeletedUsers  = "/v1.0/directory/deletedItems/microsoft.graph.user"
	pathRegistrations = "/v1.0/reports/authenticationMethods/userRegistrationDetails"
	pathServices      = "/v1.0/servicePrincipals"
	pathService       = "/v1.0/servicePrincipals/{id}"
	pathServicesDelta = "/v1.0/servicePrincipals/delta"
	pathGroups        = "/v1.0/groups"
	pathGroup         = "/v1.0/groups/{id}"
	pathGroupsDelta   = "/v1.0/groups/delta"
	pathMembers       = "/v1.0/groups/{id}/members"
	pathAllMembers    = "/v1.0/groups/{id}/transitiveMembers"
	pathOwners        = "/v1.0/groups/{id}/owners"
	pathRoles         = "/v1.0/roleManagement/directory/roleDefinitions"
	pathAssignments   = "/v1.0/roleManagement/directory/roleAssignments"
	pathActive        = "/v1.0/roleManagement/directory/roleAssignmentScheduleInstances"
	pathEligible      = "/v1.0/roleManagement/directory/roleEligibilityScheduleInstances"
	pathDelegated     = "/v1.0/oauth2PermissionGrants"
	pathAppRoles      = "/v1.0/servicePrincipals/{id}/appRoleAssignedTo"
	pathBatch         = "/v1.0/$batch"
	pathFilesBatch    = "/v1.0/{batch_of_files}" // the same, of requests to SharePoint, whose quota is another
)

const (
	cursorVersion = 1
	maxLink       = 3600 // of the links in a cursor together, so that it stays below sources.MaxCursor
	maxID         = 128  // of an element, in a cursor

	// Evolvable enumerations are sent whole to who asks for that.
	preferUnknown = "include-unknown-enum-members"
)

// cursor is a place in a scan.
type cursor struct {
	Version int    `json:"v"`
	At      string `json:"at,omitzero"`     // link to the next request, below the base URL; "" the first
	Done    string `json:"done,omitzero"`   // id of the last element of that page that is done; "" none
	Phase   string `json:"phase,omitzero"`  // which of a lane's listings; "" the first
	Delta   string `json:"delta,omitzero"`  // where the changes since the reading began are; "" there is no such place
	Within  string `json:"within,omitzero"` // link to the next page of what belongs to the element after that; "" its first page
}

func parseCursor(c sources.Cursor) (cursor, error) {
	if c == "" {
		return cursor{Version: cursorVersion}, nil
	}
	var out cursor
	err := json.Unmarshal([]byte(c), &out, json.RejectUnknownMembers(true))
	if err != nil || out.Version != cursorVersion || !goodLink(out.At) || !goodLink(out.Delta) || !goodLink(out.Within) {
		return cursor{}, fault.New(fault.Expired, "cursor %.40q is not of version %d", c, cursorVersion)
	}
	return out, nil
}

// String gives up what makes the cursor too long: the place within an element,
// which is read again from its beginning then; the place of the changes, so that
// the next reading is a complete one.
func (c cursor) String() sources.Cursor {
	c.Version = cursorVersion
	if len(c.At)+len(c.Delta)+len(c.Within) > maxLink {
		c.Within = ""
	}
	if len(c.At)+len(c.Delta) > maxLink {
		c.Delta = ""
	}
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // a struct of text and numbers
	}
	return sources.Cursor(b)
}

// listing is where a listing begins.
type listing struct {
	path  httpx.Path
	query url.Values
}

// links are those of a page, below the base URL.
type links struct{ next, delta string }

// fetch gets one page of a listing, from a link of an earlier page or from the
// beginning (""). Where a place is refused the fault is Expired: the listing
// must begin again.
func (s *session) fetch(ctx context.Context, l listing, at string) (*httpx.Response, links, error) {
	req := &httpx.Request{Path: l.path, Query: l.query}
	if at != "" {
		var err error
		if req, err = s.graph.Follow(s.hosts.graph+at, l.path); err != nil {
			return nil, links{}, fault.New(fault.Expired, "the place in the listing leads elsewhere: %w", err)
		}
	}
	req.Header = http.Header{"Prefer": {preferUnknown}}
	resp, err := s.graph.Do(ctx, req)
	if err != nil {
		if at != "" && cursorRefused(err) && !isGone(err) {
			err = fault.New(fault.Expired, "the place in the listing is refused: %w", err)
		}
		return nil, links{}, err
	}
	to, err := s.links(resp, l.path)
	if err == nil && at != "" && to.next == at {
		err = fault.New(fault.Transient, "%s: the link to the next page leads to the page itself", resp.Endpoint)
	}
	return resp, to, err
}

// links returns a page's links, below the base URL: requests go there alone,
// though the vendor writes its own host behind a gateway too.
func (s *session) links(resp *httpx.Response, like httpx.Path) (to links, err error) {
	var body wireLinks
	if err := httpx.Decode(resp, &body); err != nil {
		return links{}, err
	}
	for _, l := range []struct {
		from text
		to   *string
	}{{body.Next, &to.next}, {body.Delta, &to.delta}} {
		if l.from == "" {
			continue
		}
		req, err := s.graph.Follow(string(l.from), like)
		if err != nil {
			return links{}, err
		}
		at := req.Path.Escaped()
		if req.RawQuery != "" {
			at += "?" + req.RawQuery
		}
		if !goodLink(at) {
			return links{}, fault.New(fault.BadData, "%s: the vendor's link to the next page holds what no link does, or is longer than %d bytes", resp.Endpoint, maxLink)
		}
		*l.to = strings.Clone(at)
	}
	return to, nil
}

// goodLink tells whether a link, "" too, can stand in a cursor.
func goodLink(at string) bool {
	foreign := func(r rune) bool { return r <= ' ' || r >= 0x7f } // broken UTF-8 too
	return at == "" || at[0] == '/' && len(at) <= maxLink && !strings.ContainsFunc(at, foreign) && !strings.ContainsAny(at, `"\`)
}

// elements yields the elements of one page.
func elements(r *httpx.Response) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for raw, err := range httpx.ElementsAt(r, "value") {
			if !yield(raw, err) {
				return
			}
		}
	}
}

// each calls f with every element of a listing, all pages of it.
func (s *session) each(ctx context.Context, l listing, f func(raw []byte) error) error {
	return s.eachFrom(ctx, l, nil, f)
}

// eachFrom is each of a listing whose first page may be here already.
func (s *session) eachFrom(ctx context.Context, l listing, page *httpx.Response, f func(raw []byte) error) error {
	page, to, err := s.first(ctx, l, page)
	for err == nil {
		if err = eachOf(page, f); err != nil || to.next == "" {
			break
		}
		page, to, err = s.fetch(ctx, l, to.next)
	}
	return err
}

// first is the first page of a listing, which may be here already.
func (s *session) first(ctx context.Context, l listing, page *httpx.Response) (*httpx.Response, links, error) {
	if page == nil {
		return s.fetch(ctx, l, "")
	}
	to, err := s.links(page, l.path)
	return page, to, err
}

// eachOf calls f with every element of a page.
func eachOf(page *httpx.Response, f func(raw []byte) error) error {
	for raw, err := range elements(page) {
		if err == nil {
			err = f(raw)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// now returns the place in a delta from which changes are shown from now on; ""
// where the vendor has none.
func (s *session) now(ctx context.Context, path, selected string) (string, error) {
	l, at := listing{path: httpx.P(path), query: url.Values{"$select": {selected}, "$deltatoken": {"latest"}}}, ""
	for {
		_, to, err := s.fetch(ctx, l, at)
		switch {
		case fault.Of(err) == fault.BadData:
			return "", nil
		case err != nil:
			return "", err
		case to.next == "":
			return to.delta, nil
		}
		at = to.next
	}
}

// decode decodes one element of a listing.
func decode(raw []byte, into any) error {
	if err := json.Unmarshal(raw, into, decodeOptions); err != nil {
		return fault.New(fault.BadData, "a record has an unexpected shape: %w", err)
	}
	return nil
}

// elementID is by what an element of any listing is told from others; "" when it
// has no short id.
func elementID(raw []byte) string {
	var e wireObject
	if decode(raw, &e) != nil || len(e.ID) > maxID || !utf8.ValidString(string(e.ID)) {
		return ""
	}
	return string(e.ID)
}

// lanes lists lanes that do not change.
func lanes(ids ...string) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		page := &sources.LanePage{Complete: true}
		for _, id := range ids {
			page.Lanes = append(page.Lanes, sources.Lane{ID: id})
		}
		yield(page, nil)
	}
}

func failed(err error) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) { yield(nil, err) }
}

// ask tells whether an object can be read by its id.
func (s *session) ask(ctx context.Context, path httpx.Path) (sources.Answer, error) {
	switch _, err := s.graph.Do(ctx, &httpx.Request{Path: path, Query: url.Values{"$select": {"id"}}}); {
	case err == nil:
		return sources.Exists, nil
	case isGone(err):
		return sources.Deleted, nil
	default:
		return sources.Unsure, err
	}
}
