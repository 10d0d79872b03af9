package github

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// pageSize is the most that GitHub gives on a page.
const pageSize = "100"

// place is where a scan goes on: the cursor of every lane but the audit log's.
// A scan's cursor lives for one round only.
type place struct {
	V     int      `json:"v"`
	Phase int      `json:"p,omitempty"` // which of the lane's listings
	ID    string   `json:"i,omitempty"` // of what within the phase: a role, a tree
	Link  string   `json:"l,omitempty"` // path and query of the next page, as GitHub wrote them; or GraphQL's cursor
	N     int      `json:"n,omitempty"` // page number, or rows to skip
	Flag  bool     `json:"f,omitempty"` // what earlier phases found
	Skip  []string `json:"s,omitempty"` // columns that could not be asked for
}

const placeVersion = 1

func (p place) cursor() sources.Cursor {
	p.V = placeVersion
	b, err := json.Marshal(p)
	if err != nil {
		panic("github: a place that does not marshal: " + err.Error()) // strings, ints and bools
	}
	return sources.Cursor(b)
}

func parsePlace(c sources.Cursor) (p place, err error) {
	if c == "" {
		return place{}, nil
	}
	if err := json.Unmarshal([]byte(c), &p); err != nil || p.V != placeVersion {
		return place{}, fault.New(fault.Expired, "the scan's place is of another version of Weir: the lane is read anew")
	}
	return p, nil
}

// get asks for one page of a listing: the first, or the one a link points at.
func (s *session) get(ctx context.Context, path httpx.Path, query url.Values, link string) (*httpx.Response, error) {
	if link == "" {
		return s.rest.Do(ctx, &httpx.Request{Path: path, Query: query})
	}
	r, err := s.rest.Follow(link, path)
	if err != nil {
		return nil, err
	}
	return s.rest.Do(ctx, r)
}

// next returns the path and query of the page that follows an answer, byte for
// byte as GitHub wrote them, "" when it is the last. A link to another host is
// refused.
func (s *session) next(r *httpx.Response, path httpx.Path) (string, error) {
	link := httpx.NextLink(r.Header)
	if link == "" {
		return "", nil
	}
	if _, err := s.rest.Follow(link, path); err != nil {
		return "", err
	}
	_, rest, _ := strings.Cut(link, "://")
	i := strings.IndexByte(rest, '/')
	if i < 0 {
		return "", fault.New(fault.BadData, "%s: the next page's link has no path", r.Endpoint)
	}
	return rest[i:], nil
}

// list is a page of a listing, taken apart.
type list struct {
	elements []jsontext.Value
	link     string // of the next page
	strange  int    // elements that are not understood
}

// page asks for one page of a listing that is a bare array.
func (s *session) page(ctx context.Context, path httpx.Path, query url.Values, link string) (list, error) {
	r, err := s.get(ctx, path, withSize(query), link)
	if err != nil {
		return list{}, err
	}
	l, err := elements(r)
	if err != nil {
		return list{}, err
	}
	l.link, err = s.next(r, path)
	return l, err
}

func withSize(q url.Values) url.Values {
	out := url.Values{"per_page": {pageSize}}
	for k, v := range q {
		out[k] = v
	}
	return out
}

func elements(r *httpx.Response) (l list, err error) {
	for v, err := range httpx.Elements(r) {
		if err != nil {
			return list{}, err
		}
		l.elements = append(l.elements, v)
	}
	return l, nil
}

// decode maps an element; what does not fit is rejected by the caller.
func decode(v jsontext.Value, into any) error {
	return json.Unmarshal(v, into, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
}

// each decodes the elements of a page and hands them to add; those that cannot
// be mapped are rejected.
func each[T any](l list, page *sources.Page, what string, add func(v *T, raw string) (reason string)) {
	for i, e := range l.elements {
		var v T
		reason := "not the shape of " + what
		if decode(e, &v) == nil {
			reason = add(&v, string(e))
		}
		if reason != "" {
			page.Rejected = append(page.Rejected, sources.Reject{Ref: what + " " + itoa(i), Reason: reason, Raw: string(e)})
		}
	}
}

// part names the part of a stream that an error is about.
func part(name string, err error) error { return fmt.Errorf("%s: %w", name, err) }

// absent reports whether an answer of 404 to a listing means that the
// organization has no such thing, not that a right is missing. kind is what the
// listing needs.
func (s *session) absent(ctx context.Context, err error, needs ...string) (bool, error) {
	if statusOf(err) != 404 {
		return false, nil
	}
	sees, askErr := s.mayOwn(ctx, needs...)
	if askErr != nil {
		return false, errors.Join(err, askErr)
	}
	return sees, nil
}
