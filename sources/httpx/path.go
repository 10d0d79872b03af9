package httpx

import (
	"fmt"
	"net/url"
	"strings"
)

// Path is the path of a request below the client's base URL, escaped. The
// template stays with it, for metrics and errors.
type Path struct{ template, escaped string }

// P fills a template's {names}, in order, with ids, each escaped as one path
// segment: an id can never add a segment, a query or a fragment. A {name...}
// keeps the slashes of its value. Values that are empty, "." or ".." are
// refused when the request is made.
//
//	httpx.P("/orgs/{org}/teams/{team}/members", org, slug)
func P(template string, ids ...string) Path {
	if !strings.HasPrefix(template, "/") || strings.ContainsAny(template, "?#%\\") {
		panic(fmt.Sprintf("httpx: path %q: want / in front, and no query, fragment or escapes", template))
	}
	var b strings.Builder
	rest := template
	for _, id := range ids {
		before, after, ok := strings.Cut(rest, "{")
		name, tail, closed := strings.Cut(after, "}")
		if !ok || !closed {
			panic(fmt.Sprintf("httpx: path %q has fewer names than %d", template, len(ids)))
		}
		b.WriteString(before)
		b.WriteString(segment(id, strings.HasSuffix(name, "...")))
		rest = tail
	}
	if strings.Contains(rest, "{") {
		panic(fmt.Sprintf("httpx: path %q has more names than %d", template, len(ids)))
	}
	return Path{template: template, escaped: b.String() + rest}
}

// badSegment marks a path that must not be sent.
const badSegment = "\x00"

func segment(id string, many bool) string {
	if many {
		parts := strings.Split(id, "/")
		for i, p := range parts {
			parts[i] = segment(p, false)
		}
		return strings.Join(parts, "/")
	}
	if id == "" || id == "." || id == ".." {
		return badSegment
	}
	return url.PathEscape(id)
}

// String returns the template.
func (p Path) String() string { return p.template }

// Escaped returns the path as it is sent, below the base URL: for APIs whose
// requests hold requests.
func (p Path) Escaped() string { return p.escaped }
