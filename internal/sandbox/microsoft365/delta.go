package microsoft365

import (
	"net/http"
	"net/url"
	"strings"
	"time"
)

// changes are what a delta tells of: n objects, by number.
type changes struct {
	n    int
	at   func(i int) time.Time // of the last change
	id   func(i int) string
	gone func(i int) string // why it is not there; "": it is
	// rows are what is told of an object: all of it, or what has changed since a
	// time. There may be several.
	rows func(i int, since time.Time) []object
}

// deltaPlace is what a token of a delta's holds.
type deltaPlace struct {
	Since   int64  // Unix milliseconds; 0: all is told
	Began   int64  // of the round
	At, Row int    // object and row where the page begins
	Pages   int    // before this one
	Select  string // by the first request of all
	Filter  string
}

// shortPage is how many objects the first page of a round has at most: small
// tenants too have several pages.
const shortPage = 25

// changed answers with a page of what has changed (5.0). Some pages are empty, and
// some tell an object again: both is usual.
func (c *call) changed(ch *changes) *failure {
	h, f := c.h, &c.h.facts
	for _, no := range []string{"$top", "$expand", "$orderby"} {
		if c.q.Has(no) {
			return refuse(http.StatusBadRequest, f.BadRequest, "The query parameter '%s' is not supported by a delta.", no)
		}
	}
	pl := deltaPlace{Began: c.s.Now.UnixMilli(), Select: c.q.Get("$select"), Filter: c.q.Get("$filter")}
	if strings.Contains(c.q.Get("$select"), "signInActivity") {
		return refuse(http.StatusBadRequest, f.BadRequest, "signInActivity cannot be selected in a delta.")
	}
	keep, bad := c.idFilter("$filter")
	if bad != nil {
		return bad
	}
	token, deltaToken := c.q.Get("$skiptoken"), c.q.Get("$deltatoken")
	switch {
	case deltaToken == "latest":
		c.deltaPage(nil, pl, true)
		return nil
	case token != "" || deltaToken != "":
		old := pl
		if !h.unseal(c.path, token+deltaToken, &pl) {
			return c.crafted(token + deltaToken)
		}
		if h.t.CursorExpired(c.r) || c.s.Now.Sub(time.UnixMilli(pl.Began)) > f.DeltaLife {
			q := url.Values{}
			if h.Faults().PlainStale {
				return refuse(http.StatusBadRequest, f.GoneCode, "The sync state generation is not found. The delta token is expired and data must be synchronized again.")
			}
			if pl.Select != "" {
				q.Set("$select", pl.Select)
			}
			c.w.Header().Set(f.FreshLink, c.url(q))
			return refuse(f.GoneStatus, f.GoneCode, "The delta token has expired: begin again.")
		}
		if deltaToken != "" { // a new round begins
			pl.Since, pl.Began, pl.At, pl.Row, pl.Pages = pl.Began, old.Began, 0, 0, 0
		}
		if c.q.Set("$filter", pl.Filter); pl.Filter != "" {
			if keep, bad = c.idFilter("$filter"); bad != nil {
				return bad
			}
		}
	}
	since := time.UnixMilli(pl.Since)
	selected := strings.Split(pl.Select, ",")
	if pl.Select == "" {
		selected = nil
	}
	if pl.Pages == 1 { // with nothing in it
		pl.Pages++
		c.deltaPage(nil, pl, false)
		return nil
	}
	most := f.DeltaPage
	if pl.Pages == 0 {
		most = min(most, shortPage)
	}
	value := []object{}
	for ; pl.At < ch.n; pl.At, pl.Row = pl.At+1, 0 {
		if pl.Since > 0 && ch.at(pl.At).Before(since) || keep != nil && !keep[ch.id(pl.At)] {
			continue
		}
		if why := ch.gone(pl.At); why != "" {
			if pl.Since == 0 {
				continue
			}
			if len(value) >= most {
				break
			}
			value = append(value, object{f.ID: ch.id(pl.At), f.Removed: object{"reason": why}})
			continue
		}
		rows := ch.rows(pl.At, since)
		for ; pl.Row < len(rows) && len(value) < most; pl.Row++ {
			value = append(value, c.chosen(rows[pl.Row], selected))
		}
		if pl.Row < len(rows) {
			break
		}
	}
	end := pl.At >= ch.n
	if end && len(value) > 1 && pl.Pages == 0 {
		value = append(value, value[0]) // told again
	}
	pl.Pages++
	c.deltaPage(value, pl, end)
	return nil
}

// deltaPage answers with a page, and the link to the next or to what changes
// later.
func (c *call) deltaPage(value []object, pl deltaPlace, end bool) {
	if value == nil {
		value = []object{}
	}
	c.page(value, func(out object) {
		name, link := "$skiptoken", c.h.facts.NextLink
		if end {
			name, link = "$deltatoken", c.h.facts.DeltaLink
			pl.Since, pl.At, pl.Row, pl.Pages = 0, 0, 0, 0
		}
		out[link] = c.url(url.Values{name: {c.h.seal(c.path, pl)}})
	})
}
