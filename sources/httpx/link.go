package httpx

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"weir/internal/fault"
)

// Follow returns the request that a link of the vendor's asks for: a path and
// query on this API, whatever origin among BaseURL and Aliases it is written
// with, or none. Its query stays as it is, byte for byte.
//
// Other origins (another scheme is another origin), paths outside the base
// URL's, and links with a user in them are refused as bad data, in words that
// name the host alone.
func (c *Client) Follow(link string, like Path) (*Request, error) {
	u, err := url.Parse(link)
	if err != nil || u.Opaque != "" || strings.ContainsFunc(link, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		return nil, fault.New(fault.BadData, "%s: the vendor's link is no URL", like) // it may hold a secret
	}
	if u.Scheme == "" {
		u.Scheme = c.root.Scheme
		if u.Host == "" {
			u.Host = c.root.Host
		}
	}
	switch {
	case !c.origins[originOf(u)]:
		return nil, fault.New(fault.BadData, "%s: the vendor's link leads to %s://%.100s, which is not %s", like, u.Scheme, u.Host, c.root.Host)
	case u.User != nil:
		return nil, fault.New(fault.BadData, "%s: the vendor's link to %.100s has a user in it", like, u.Host)
	}
	base, path := c.root.EscapedPath(), u.EscapedPath()
	below, ok := strings.CutPrefix(path, base)
	if !ok || below != "" && below[0] != '/' || dotted(u.Path) {
		return nil, fault.New(fault.BadData, "%s: the vendor's link to %.100s leads outside %q", like, u.Host, base)
	}
	return &Request{Path: Path{like.template, below}, RawQuery: u.RawQuery}, nil
}

// dotted reports whether a path, unescaped, goes up or stays: servers differ in
// when they resolve that.
func dotted(path string) bool {
	return slices.ContainsFunc(strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' }), func(s string) bool {
		return s == "." || s == ".."
	})
}

// NextLink returns the URL of the Link header's rel="next" (RFC 8288); "" when
// there is none. Several header lines are one list. Malformed parts are passed
// over.
func NextLink(h http.Header) string {
	for _, line := range h.Values("Link") {
		for line != "" {
			target, params, rest := cutLink(line)
			if target != "" && isNext(params) {
				return target
			}
			line = rest
		}
	}
	return ""
}

// cutLink takes the first link off a list. A comma ends it, but not one in <>
// or quotes.
func cutLink(list string) (target, params, rest string) {
	list = strings.TrimLeft(list, " \t,")
	if t, after, ok := strings.Cut(strings.TrimPrefix(list, "<"), ">"); ok && strings.HasPrefix(list, "<") {
		target, list = strings.TrimSpace(t), after
	}
	quoted := false
	for i := 0; i < len(list); i++ {
		switch {
		case list[i] == '"':
			quoted = !quoted
		case quoted && list[i] == '\\':
			i++
		case !quoted && list[i] == ',':
			return target, list[:i], list[i+1:]
		}
	}
	return target, list, ""
}

// isNext looks for next among the relations of a link's first rel parameter. A
// link with another anchor is not about this page.
func isNext(params string) bool {
	rel, seen := "", false
	for params != "" {
		var name, value string
		name, value, params = cutParam(params)
		switch {
		case strings.EqualFold(name, "anchor"):
			return false
		case strings.EqualFold(name, "rel") && !seen:
			rel, seen = value, true
		}
	}
	return slices.ContainsFunc(strings.Fields(rel), func(r string) bool { return strings.EqualFold(r, "next") })
}

// cutParam takes the first parameter off a list of them, its value unquoted.
func cutParam(params string) (name, value, rest string) {
	params = strings.TrimLeft(params, " \t;")
	end := strings.IndexAny(params, ";=")
	if end < 0 || params[end] == ';' {
		name, rest, _ = strings.Cut(params, ";")
		return strings.TrimSpace(name), "", rest
	}
	name, params = strings.TrimSpace(params[:end]), strings.TrimLeft(params[end+1:], " \t")
	if !strings.HasPrefix(params, `"`) {
		value, rest, _ = strings.Cut(params, ";")
		return name, strings.TrimSpace(value), rest
	}
	var b strings.Builder
	for i := 1; i < len(params); i++ {
		switch {
		case params[i] == '"':
			_, rest, _ = strings.Cut(params[i+1:], ";")
			return name, b.String(), rest
		case params[i] == '\\' && i+1 < len(params):
			i++
		}
		b.WriteByte(params[i])
	}
	return name, b.String(), ""
}
