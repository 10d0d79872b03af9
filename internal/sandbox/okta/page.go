package okta

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// limit returns how many records the request asks for. Asking for more than
// there is on a page is noted.
func (h *Handler) limit(c *call, p Page) int {
	s := c.query.Get("limit")
	if s == "" {
		return p.Default
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		h.violate("limit over the cap", c.r.URL.Path+" limit="+s)
		return p.Default
	}
	if n > p.Max {
		h.violate("limit over the cap", c.r.URL.Path+" limit="+s)
		return p.Max
	}
	return n
}

// position returns the number at which the page begins: 0, or what the after of
// an earlier page says. It answers when after is none of the vendor's.
func (h *Handler) position(c *call) (int, bool) {
	s := c.query.Get("after")
	if s == "" {
		return 0, true
	}
	n, ok := h.readCursor(c, s)
	if ok && h.t.CursorExpired(c.r) {
		h.fail(c, http.StatusBadRequest, h.facts.ErrBadRequest, "Api validation failed: after", "after: The cursor has expired.")
		return 0, false
	}
	if !ok {
		h.violate("crafted cursor", c.r.URL.Path+" after="+s)
		h.fail(c, http.StatusBadRequest, h.facts.ErrBadRequest, "Api validation failed: after", "after: The cursor is invalid.")
	}
	return n, ok
}

// cursor makes an after: the number in base 36, then a check, so that one made
// by a client is told from the vendor's. It holds for its list only.
func (h *Handler) cursor(c *call, n int) string {
	s := strconv.FormatInt(int64(n), 36)
	return check(c.seed, c.r.URL.Path, s) + s
}

func (h *Handler) readCursor(c *call, s string) (int, bool) {
	if len(s) < checkLen || check(c.seed, c.r.URL.Path, s[checkLen:]) != s[:checkLen] {
		return 0, false
	}
	n, err := strconv.ParseInt(s[checkLen:], 36, 32)
	return int(n), err == nil
}

const checkLen = 6

func check(seed uint64, list, s string) string {
	x := mix(seed ^ kindHash(kind(list)) ^ mix(kindHash(kind(s))))
	var b [checkLen]byte
	for i := range b {
		b[i] = digits[x%62]
		x /= 62
	}
	return string(b[:])
}

// link adds a Link header.
func (h *Handler) link(c *call, rel, target string) {
	line := "<" + target + ">; rel=\"" + rel + "\""
	if old := c.w.Header().Get("Link"); h.facts.OneLinkLine && old != "" {
		c.w.Header().Set("Link", old+", "+line)
		return
	}
	c.w.Header().Add("Link", line)
}

func (h *Handler) selfURL(c *call) string {
	u := h.links + c.r.URL.Path
	if c.r.URL.RawQuery != "" {
		u += "?" + c.query.Encode()
	}
	return u
}

// nextURL is the request's URL with another after.
func (h *Handler) nextURL(c *call, after string) string {
	q := url.Values{}
	for k, v := range c.query {
		q[k] = v
	}
	q.Set("after", after)
	return h.links + c.r.URL.Path + "?" + q.Encode()
}

// list answers with a page of n things, of which write appends one, or nothing
// when it is not part of the list. It pages by Link headers.
func (h *Handler) list(c *call, p Page, n int, write func(b []byte, i int) []byte) {
	at, ok := h.position(c)
	if !ok {
		return
	}
	b, next := collect(append(c.body[:0], '['), at, n, h.limit(c, p), write)
	c.set(append(b, ']'))
	h.link(c, h.facts.RelSelf, h.selfURL(c))
	if next >= 0 {
		h.link(c, h.facts.RelNext, h.nextURL(c, h.cursor(c, next)))
	}
}

// whole answers with all of n things, without paging.
func (h *Handler) whole(c *call, n int, write func(b []byte, i int) []byte) {
	b, _ := collect(append(c.body[:0], '['), 0, n, n, write)
	c.set(append(b, ']'))
}

// inBody answers with a page as IAM endpoints do: an object with the list under
// a name, and the next link in the body.
func (h *Handler) inBody(c *call, p Page, name string, n int, write func(b []byte, i int) []byte) {
	at, ok := h.position(c)
	if !ok {
		return
	}
	b := append(appendName(append(c.body[:0], '{'), name), '[')
	b, next := collect(b, at, n, h.limit(c, p), write)
	b = append(b, ']')
	b = append(appendName(b, "_links"), '{')
	switch {
	case next >= 0 && h.facts.IAMInBody:
		b = append(appendName(b, h.facts.BodyNext), '{')
		b = append(appendMember(b, "href", h.nextURL(c, h.cursor(c, next))), '}')
	case next >= 0:
		h.link(c, h.facts.RelNext, h.nextURL(c, h.cursor(c, next)))
	}
	c.set(append(b, '}', '}'))
}

// collect appends up to limit things from number at, and returns the number of
// the next thing; -1 when there is none.
func collect(b []byte, at, n, limit int, write func(b []byte, i int) []byte) (list []byte, next int) {
	count := 0
	for i := at; i < n; i++ {
		start := len(b)
		if count > 0 {
			b = append(b, ',')
		}
		with := len(b)
		if b = write(b, i); len(b) == with {
			b = b[:start]
			continue
		}
		if count == limit {
			return b[:start], i
		}
		count++
	}
	return b, -1
}

// parseTime reads the vendor's times, and those with fewer digits.
func parseTime(s string) (time.Time, bool) {
	t, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(s))
	return t.UTC(), err == nil
}
