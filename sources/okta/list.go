package okta

import (
	"context"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// Paths of the API.
const (
	pathLogs         = "/api/v1/logs"
	pathUsers        = "/api/v1/users"
	pathUser         = "/api/v1/users/{id}"
	pathFactors      = "/api/v1/users/{id}/factors"
	pathUserRoles    = "/api/v1/users/{id}/roles"
	pathUserGrants   = "/api/v1/users/{id}/grants"
	pathGroups       = "/api/v1/groups"
	pathGroup        = "/api/v1/groups/{id}"
	pathGroupUsers   = "/api/v1/groups/{id}/users"
	pathGroupOwners  = "/api/v1/groups/{id}/owners"
	pathGroupRoles   = "/api/v1/groups/{id}/roles"
	pathAssignees    = "/api/v1/iam/assignees/users"
	pathPermissions  = "/api/v1/iam/roles/{id}/permissions"
	pathApps         = "/api/v1/apps"
	pathAppGrants    = "/api/v1/apps/{id}/grants"
	pathAppTokens    = "/api/v1/apps/{id}/tokens"
	pathAPITokens    = "/api/v1/api-tokens"
	pathOrg          = "/api/v1/org"
	pathClients      = "/oauth2/v1/clients"
	pathClientRoles  = "/oauth2/v1/clients/{id}/roles"
	pathIntegrations = "/integrations/api/v1/api-services"
)

const (
	cursorVersion = 1
	maxLink       = 3 << 10 // of a path and query, so that a cursor stays below sources.MaxCursor
	timeFormat    = "2006-01-02T15:04:05.000Z"
)

// cursor is a place in any of the streams.
type cursor struct {
	Version int    `json:"v"`
	At      string `json:"at,omitzero"`      // path and query of the next request; "" the first
	Done    string `json:"done,omitzero"`    // id of the last element of that page that is done; "" none
	Phase   string `json:"phase,omitzero"`   // accounts: which of the two listings
	Time    int64  `json:"time,omitzero"`    // ms; activities: the newest event seen; scans: when the reading began, by the vendor's clock
	Since   int64  `json:"since,omitzero"`   // ms; deltas of accounts: from when on
	Factors bool   `json:"factors,omitzero"` // accounts: whether this round asks for factors
	Strange int    `json:"strange,omitzero"` // lanes of groups: elements that are no group
}

func parseCursor(c sources.Cursor) (cursor, error) {
	if c == "" {
		return cursor{Version: cursorVersion}, nil
	}
	var out cursor
	err := json.Unmarshal([]byte(c), &out, json.RejectUnknownMembers(true))
	if err != nil || out.Version != cursorVersion || out.Time < 0 || out.Since < 0 || out.Strange < 0 || out.At != "" && !goodLink(out.At) {
		return cursor{}, fault.New(fault.Expired, "cursor %.40q is not of version %d", c, cursorVersion)
	}
	return out, nil
}

func (c cursor) String() sources.Cursor {
	c.Version = cursorVersion
	b, err := json.Marshal(c)
	if err != nil {
		panic(err) // a struct of text and numbers
	}
	return sources.Cursor(b)
}

// listing is where a listing begins.
type listing struct {
	path   httpx.Path
	query  url.Values
	inBody bool // elements and the link to the next page stand in an object, as IAM's do
	polled bool // it never ends: the link to the next page may be the page's own
}

// elements yields the elements of one page.
func (l listing) elements(r *httpx.Response) iter.Seq2[jsontext.Value, error] {
	if l.inBody {
		return httpx.ElementsAt(r, "value")
	}
	return httpx.Elements(r)
}

// fetch gets one page of a listing, from a link of an earlier page or from the
// beginning (""). It returns the link to the next page; "" at the end. Where a
// place is refused the fault is Expired: the listing must begin again.
func (s *session) fetch(ctx context.Context, l listing, at string) (*httpx.Response, string, error) {
	req := &httpx.Request{Path: l.path, Query: l.query}
	if at != "" {
		var err error
		if req, err = s.client.Follow(s.base+at, l.path); err != nil {
			return nil, "", err
		}
	}
	resp, err := s.client.Do(ctx, req)
	if err != nil {
		if at != "" && cursorRefused(err) && !isGone(err) {
			err = fault.New(fault.Expired, "the place in the listing is refused: %w", err)
		}
		return nil, "", err
	}
	link := httpx.NextLink(resp.Header)
	if l.inBody {
		var body struct {
			Links wireNext `json:"_links"`
		}
		if err := httpx.Decode(resp, &body); err != nil {
			return nil, "", err
		}
		link = string(body.Links.Next.Href)
	}
	next, err := s.reroot(link)
	if err == nil && next != "" && next == at && !l.polled {
		err = errItself(resp)
	}
	return resp, next, err
}

func errItself(r *httpx.Response) error {
	return fault.New(fault.Transient, "%s: the link to the next page leads to the page itself", r.Endpoint)
}

// reroot reduces a link to its path and query below the base URL. Its host does
// not matter: on custom domains the vendor may write another, and requests go
// to the base URL only.
func (s *session) reroot(link string) (string, error) {
	if link == "" {
		return "", nil
	}
	u, err := url.Parse(link)
	if err != nil {
		return "", fault.New(fault.BadData, "the vendor's link to the next page does not parse")
	}
	at := strings.TrimPrefix(u.EscapedPath(), s.prefix)
	if u.RawQuery != "" {
		at += "?" + u.RawQuery
	}
	if !goodLink(at) {
		return "", fault.New(fault.BadData, "the vendor's link to the next page, %.100q, is none into its API, or longer than %d bytes", at, maxLink)
	}
	return at, nil
}

// goodLink tells whether a path and query leads into the API.
func goodLink(at string) bool {
	path, _, _ := strings.Cut(at, "?")
	foreign := func(r rune) bool { return r <= ' ' || r >= 0x7f } // broken UTF-8 too
	if len(at) > maxLink || strings.ContainsFunc(at, foreign) || strings.Contains(path, "/.") || strings.Contains(path, "//") || strings.Contains(path, "%") || strings.ContainsAny(at, `#\"<>`) {
		return false
	}
	for _, root := range []string{"/api/v1/", "/oauth2/v1/", "/integrations/api/v1/"} {
		if strings.HasPrefix(path, root) {
			u, err := url.Parse(at)
			return err == nil && u.Host == "" && u.Scheme == ""
		}
	}
	return false
}

// get decodes the answer to one request, and returns it.
func (s *session) get(ctx context.Context, path httpx.Path, query url.Values, into any) (*httpx.Response, error) {
	resp, err := s.client.Do(ctx, &httpx.Request{Path: path, Query: query})
	if err != nil {
		return nil, err
	}
	return resp, httpx.Decode(resp, into)
}

// each calls f with every element of a listing, all pages of it.
func (s *session) each(ctx context.Context, l listing, f func(raw []byte) error) error {
	for at := ""; ; {
		resp, next, err := s.fetch(ctx, l, at)
		if err != nil {
			return err
		}
		for raw, err := range l.elements(resp) {
			if err == nil {
				err = f(raw)
			}
			if err != nil {
				return err
			}
		}
		if at = next; at == "" {
			return nil
		}
	}
}

// decode decodes one element of a listing.
func decode(raw []byte, into any) error {
	if err := json.Unmarshal(raw, into, decodeOptions); err != nil {
		return fault.New(fault.BadData, "a record has an unexpected shape: %w", err)
	}
	return nil
}

// formatTime writes a time as Okta's filters want it.
func formatTime(t time.Time) string { return t.UTC().Format(timeFormat) }
