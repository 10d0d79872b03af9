package googleworkspace

import (
	"context"
	"iter"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// Paths of the Directory API.
const (
	directory       = "/admin/directory/v1"
	pathUsers       = directory + "/users"
	pathUser        = directory + "/users/{userKey}"
	pathTokens      = directory + "/users/{userKey}/tokens"
	pathPasswords   = directory + "/users/{userKey}/asps"
	pathGroups      = directory + "/groups"
	pathGroup       = directory + "/groups/{groupKey}"
	pathMembers     = directory + "/groups/{groupKey}/members"
	pathRoles       = directory + "/customer/{customer}/roles"
	pathAssignments = directory + "/customer/{customer}/roleassignments"
	pathAssignment  = directory + "/customer/{customer}/roleassignments/{roleAssignmentId}"
	pathOrgUnits    = directory + "/customer/{customerId}/orgunits"
	pathDomains     = directory + "/customer/{customer}/domains"
	pathCustomer    = directory + "/customers/{customerKey}"
)

const (
	cursorVersion = 1
	maxPageToken  = 3 << 10 // so that a cursor stays below sources.MaxCursor
	maxID         = 128     // of an element, in a cursor

	// chainLife is how old a chain of pages may grow before its failures are
	// taken for its end: after about an hour the vendor answers 503.
	chainLife = 50 * time.Minute
)

// cursor is a place in a scan of the directory.
type cursor struct {
	Version int    `json:"v"`
	At      string `json:"at,omitzero"`      // token of the page; "" the first
	Done    string `json:"done,omitzero"`    // id of the last element of that page that is done; "" none
	Phase   string `json:"phase,omitzero"`   // which of a lane's listings; "" the first
	Began   int64  `json:"began,omitzero"`   // ms; when the chain of pages began
	Strange int    `json:"strange,omitzero"` // listings of lanes: elements that are none
}

func parseCursor(c sources.Cursor) (cursor, error) {
	if c == "" {
		return cursor{Version: cursorVersion}, nil
	}
	var out cursor
	err := json.Unmarshal([]byte(c), &out, json.RejectUnknownMembers(true))
	if err != nil || out.Version != cursorVersion || !goodToken(out.At) || out.Began < 0 || out.Strange < 0 {
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

// goodToken tells whether a page token, "" too, can stand in a cursor.
func goodToken(t string) bool {
	return len(t) <= maxPageToken && !strings.ContainsFunc(t, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '"' || r == '\\' })
}

// listing is where a listing begins. Its answers are objects of that kind, which
// leave out the member with the elements where there are none.
type listing struct {
	client       *httpx.Client
	path         httpx.Path
	query        url.Values
	kind, member string
}

// fetch gets one page of a listing, by the token that an earlier page gave or
// from the beginning (""). It returns the token of the next page; "" at the
// end. Where a token is refused, or its chain has grown old, the fault is
// Expired: the listing must begin again.
func (s *session) fetch(ctx context.Context, l listing, token string, began time.Time) (*httpx.Response, string, error) {
	query := l.query
	if token != "" {
		query = url.Values{"pageToken": {token}}
		for k, v := range l.query {
			query[k] = v
		}
	}
	resp, err := l.client.Do(ctx, &httpx.Request{Path: l.path, Query: query})
	if err != nil {
		switch old := s.env.Clock.Since(began) > chainLife; {
		case token == "":
		case fault.Of(err) == fault.BadData && !isGone(err), old && fault.Of(err) == fault.Transient && ctx.Err() == nil:
			err = fault.New(fault.Expired, "the place in the listing is refused: %w", err)
		}
		return nil, "", err
	}
	var body struct {
		Kind text `json:"kind"`
		Next text `json:"nextPageToken"`
	}
	if err := httpx.Decode(resp, &body); err != nil {
		return nil, "", err
	}
	next := strings.Clone(string(body.Next))
	switch {
	case string(body.Kind) != l.kind:
		err = fault.New(fault.Transient, "%s: the answer is no %s: something other than the vendor may have answered", resp.Endpoint, l.kind)
	case !goodToken(next):
		err = fault.New(fault.BadData, "%s: the token of the next page holds what none does, or is longer than %d bytes", resp.Endpoint, maxPageToken)
	case next != "" && next == token:
		err = fault.New(fault.Transient, "%s: the token of the next page is the page's own", resp.Endpoint)
	}
	return resp, next, err
}

// each calls f with every element of a listing, all pages of it.
func (s *session) each(ctx context.Context, l listing, f func(raw []byte) error) error {
	began := s.env.Clock.Now()
	for token := ""; ; {
		resp, next, err := s.fetch(ctx, l, token, began)
		if err != nil {
			return err
		}
		for raw, err := range httpx.ElementsIf(resp, l.member) {
			if err == nil {
				err = f(raw)
			}
			if err != nil {
				return err
			}
		}
		if token = next; token == "" {
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
func (s *session) ask(ctx context.Context, client *httpx.Client, path httpx.Path) (sources.Answer, error) {
	switch _, err := client.Do(ctx, &httpx.Request{Path: path}); {
	case err == nil:
		return sources.Exists, nil
	case isGone(err):
		return sources.Deleted, nil
	default:
		return sources.Unsure, err
	}
}
