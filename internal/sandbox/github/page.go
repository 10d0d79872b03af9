package github

import (
	"net/url"
	"strconv"
	"strings"
)

// perPage returns the size of pages that the client asks for, at most limit.
func (c *call) perPage(limit int) int {
	n, err := strconv.Atoi(c.query.Get("per_page"))
	if err != nil || n < 1 {
		return min(c.h.facts.DefaultPerPage, limit)
	}
	if n > limit {
		c.h.violate("per_page", c.r.URL.Path+": "+strconv.Itoa(n))
		return limit
	}
	return n
}

// page returns the part of a list that the client asks for, and tells in Link
// how to reach the rest.
func page[T any](c *call, all []T) []T {
	size := c.perPage(c.h.facts.MaxPerPage)
	first := c.h.facts.FirstPage
	n, err := strconv.Atoi(c.query.Get("page"))
	if err != nil || n < first {
		n = first
	}
	last := max(first, first+(len(all)-1)/size)
	if n > first {
		c.pageLink("prev", min(n-1, last), size)
	}
	if n < last {
		c.pageLink(c.h.facts.NextRel, n+1, size)
		c.pageLink("last", last, size)
	}
	if n > first {
		c.pageLink("first", first, size)
	}
	if n > last {
		return nil
	}
	from := (n - first) * size
	return all[from:min(from+size, len(all))]
}

func (c *call) pageLink(rel string, n, size int) {
	q := url.Values{}
	for k, v := range c.query {
		q[k] = v
	}
	if q.Has("per_page") {
		q.Set("per_page", strconv.Itoa(size))
	}
	q.Set("page", strconv.Itoa(n))
	c.addLink(rel, q.Encode())
}

func (c *call) addLink(rel, query string) {
	base := c.api()
	if c.trouble.HostileLinks {
		base = "https://attacker.example"
	}
	c.link = append(c.link, "<"+base+c.linkPath()+"?"+query+`>; rel="`+rel+`"`)
}

// linkPath returns the request's path with numeric ids for names.
func (c *call) linkPath() string {
	if !c.h.facts.NumericLinks {
		return c.numeric
	}
	part := strings.SplitN(c.numeric, "/", 4) // "", "orgs", login, rest
	if len(part) < 4 {
		return c.numeric
	}
	switch part[1] {
	case "orgs":
		rest := part[3]
		if tail, ok := strings.CutPrefix(rest, "teams/"); ok {
			slug, tail, _ := strings.Cut(tail, "/")
			if g := c.team(slug); g != nil {
				rest = "team/" + itoa(c.h.id(kindTeam, g.N)) + "/" + tail
			}
		}
		return "/organizations/" + itoa(c.orgID()) + "/" + rest
	case "enterprises":
		return "/enterprises/" + itoa(c.businessID()) + "/" + part[3]
	case "repos":
		name, tail, _ := strings.Cut(part[3], "/")
		if r := c.repo(name); r != nil {
			return "/repositories/" + itoa(c.h.id(kindRepo, r.N)) + "/" + tail
		}
	}
	return c.numeric
}
