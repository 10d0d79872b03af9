package googleworkspace

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// cursor is where a page begins: what a pageToken holds.
type cursor struct {
	at    int       // place in the list
	key   string    // of the last entry before; "" the list goes by places
	made  time.Time // when the chain began
	fresh bool      // it is the first page
}

// listing is a list that is answered page by page.
type listing struct {
	name         string        // which list it is
	size         Page          // of pages
	sizeName     string        // parameter that asks for a size
	life         time.Duration // of a page token, since the chain began
	chain        time.Duration // how long the chain may take before it fails with 503; 0 for ever
	unbound      []string      // parameters that may change between pages
	refuseStatus int           // of a token that is not taken
}

// Page is how many entries a page has: by default, and at most.
type Page struct{ Default, Max int }

// sized is how many entries the page has that is asked for.
func (c *call) sized(l *listing) (int, *failure) {
	n := l.size.Default
	if text := c.q.Get(l.sizeName); text != "" {
		v, err := strconv.Atoi(text)
		if err != nil || v < 1 {
			return 0, invalid("Invalid value '%s'. Values must be within the range: [1, %d]", text, l.size.Max)
		}
		n = v
	}
	return min(n, l.size.Max), nil
}

// page reads the request's page token.
func (c *call) page(l *listing) (cursor, *failure) {
	token := c.q.Get("pageToken")
	if token == "" {
		return cursor{made: c.now, fresh: true}, nil
	}
	bad := refuse(l.refuseStatus, "invalid", "Invalid value for: pageToken")
	if l.refuseStatus == 0 {
		bad = invalid("Invalid value for: pageToken")
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, "~!!~"))
	if err != nil || len(raw) < 16 || !hmac.Equal(raw[:16], c.h.seal(raw[16:])) {
		c.h.t.Violate("a page token that was made up", c.r.URL.Path)
		return cursor{}, bad
	}
	part := strings.SplitN(string(raw[16:]), "\n", 4)
	if len(part) != 4 || part[0] != c.bound(l) {
		return cursor{}, bad
	}
	at, _ := strconv.Atoi(part[1])               // our own
	made, _ := strconv.ParseInt(part[2], 10, 64) // likewise
	x := cursor{at: at, key: part[3], made: time.UnixMilli(made).UTC()}
	age := c.now.Sub(x.made)
	if c.h.t.CursorExpired(c.r) || l.life > 0 && age > l.life {
		return cursor{}, bad
	}
	if l.chain > 0 && age > l.chain {
		return cursor{}, refuse(http.StatusServiceUnavailable, "backendError", "Service unavailable. Please try again")
	}
	return x, nil
}

// next makes the token of the page after.
func (c *call) next(l *listing, x cursor) string {
	raw := []byte(strings.Join([]string{c.bound(l), itoa(x.at), itoa(x.made.UnixMilli()), x.key}, "\n"))
	return "~!!~" + base64.RawURLEncoding.EncodeToString(append(c.h.seal(raw), raw...))
}

// seal is what only this customer can make of a token.
func (h *Handler) seal(raw []byte) []byte {
	key := h.hash("page token", 0)
	mac := hmac.New(sha256.New, key[:])
	mac.Write(raw)
	return mac.Sum(nil)[:16]
}

// bound is what a token holds for: a list and its parameters.
func (c *call) bound(l *listing) string {
	q := url.Values{}
	for k, v := range c.q {
		q[k] = v
	}
	for _, k := range append([]string{"pageToken", "fields", "prettyPrint", "alt", l.sizeName}, l.unbound...) {
		q.Del(k)
	}
	return letters(sha256.Sum256([]byte(l.name+"?"+q.Encode()+"#"+c.r.URL.Path)), 12)
}

// list answers a page of entries that are put in order by key, which is unique: a
// page begins behind the last key of the one before, whatever came and went.
func list[T any](c *call, l *listing, all []T, key func(T) string, view func(T) object) (page []object, next string, f *failure) {
	n, f := c.sized(l)
	if f != nil {
		return nil, "", f
	}
	x, f := c.page(l)
	if f != nil {
		return nil, "", f
	}
	for i, v := range all {
		if !x.fresh && key(v) <= x.key {
			continue
		}
		if len(page) == n {
			x.key = key(all[i-1])
			return page, c.next(l, x), nil
		}
		page = append(page, view(v))
	}
	return page, "", nil
}
