package microsoft365

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
)

// seal makes an opaque token of a value, for one list; unseal reads it back, and
// says whether it is one of the tenant's.
func (h *Handler) seal(list string, v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err) // plain values only
	}
	return h.sign(list, raw) + base64.RawURLEncoding.EncodeToString(raw)
}

const signLen = 8

func (h *Handler) sign(list string, raw []byte) string {
	const digits = "0123456789abcdefghijklmnopqrstuv"
	x := mix(h.seed ^ hashOf(list) ^ mix(hashOf(string(raw))))
	var b [signLen]byte
	for i := range b {
		b[i] = digits[x&31]
		x >>= 5
	}
	return string(b[:])
}

func (h *Handler) unseal(list, token string, v any) bool {
	if len(token) < signLen {
		return false
	}
	raw, err := base64.RawURLEncoding.DecodeString(token[signLen:])
	return err == nil && h.sign(list, raw) == token[:signLen] && json.Unmarshal(raw, v) == nil
}

// url of the request's path, with a query.
func (c *call) url(q url.Values) string {
	version := "v1.0"
	if c.beta {
		version = "beta"
	}
	return c.h.graphBase() + "/" + version + "/" + c.path + "?" + q.Encode()
}

// link is the request's own with a token in it.
func (c *call) link(token string) string {
	q := url.Values{}
	for k, v := range c.q {
		q[k] = v
	}
	q.Set("$skiptoken", token)
	return c.url(q)
}

// top returns how many records the request asks for. More than there can be are
// clamped, and noted.
func (c *call) top(p Page) (int, *failure) {
	s := c.q.Get("$top")
	if s == "" {
		return p.Default, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, refuse(http.StatusBadRequest, c.h.facts.BadRequest, "Invalid page size specified: '%s'. Must be between 1 and %d inclusive.", s, p.Max)
	}
	if n > p.Max {
		c.h.t.Violate("$top over the cap", c.path+" $top="+s)
		n = p.Max
	}
	return n, nil
}

// crafted answers to a token that is none of the tenant's.
func (c *call) crafted(token string) *failure {
	c.h.t.Violate("crafted token", c.path+" "+token)
	return refuse(http.StatusBadRequest, "Directory_ExpiredPageToken", "The specified page token value is invalid or has expired.")
}

// position returns the number at which the page begins.
func (c *call) position() (int, *failure) {
	at, s := 0, c.q.Get("$skiptoken")
	if s == "" {
		return 0, nil
	}
	if !c.h.unseal(c.path, s, &at) || at < 0 {
		return 0, c.crafted(s)
	}
	if c.h.t.CursorExpired(c.r) {
		return 0, refuse(http.StatusBadRequest, "Directory_ExpiredPageToken", "The specified page token value has expired and can no longer be included in your request.")
	}
	return at, nil
}

// list answers with a page of n things; those of which view returns nil are not of
// the list. Some properties are shown though they are not selected.
func (c *call) list(p Page, n int, view func(i int) object, always ...string) *failure {
	top, f := c.top(p)
	if f != nil {
		return f
	}
	at, f := c.position()
	if f != nil {
		return f
	}
	if c.q.Get("$count") == "true" && c.r.Header.Get("ConsistencyLevel") != "eventual" {
		return refuse(http.StatusBadRequest, c.h.facts.BadRequest, "$count is not currently supported without ConsistencyLevel: eventual.")
	}
	selected := c.option("$select")
	if len(selected) > 0 {
		selected = append(selected, always...)
	}
	value, next := []object{}, -1
	for i := at; i < n; i++ {
		v := view(i)
		if v == nil {
			continue
		}
		if len(value) == top {
			next = i
			break
		}
		value = append(value, c.chosen(v, selected))
	}
	c.page(value, func(out object) {
		if next >= 0 {
			out[c.h.facts.NextLink] = c.link(c.h.seal(c.path, next))
		}
	})
	return nil
}

// page answers with records, and what links add.
func (c *call) page(value []object, links func(object)) {
	out := object{"@odata.context": c.h.graphBase() + "/v1.0/$metadata#" + c.path, "value": value}
	links(out)
	c.send(out)
}

// notFound is the answer when there is no such object.
func (c *call) notFound(id string) *failure {
	return refuse(http.StatusNotFound, c.h.facts.NoResource, "Resource '%s' does not exist or one of its queried reference-property objects are not present.", id)
}

// one answers with an object.
func (c *call) one(v object) *failure {
	out := c.chosen(v, c.option("$select"))
	out["@odata.context"] = c.h.graphBase() + "/v1.0/$metadata#" + c.path + "/$entity"
	c.send(out)
	return nil
}
