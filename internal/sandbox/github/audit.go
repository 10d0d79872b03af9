package github

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/cespare/xxhash/v2"

	"weir/internal/sandbox/org"
)

// orgAuditLog is GET /orgs/{org}/audit-log.
func (c *call) orgAuditLog() {
	if c.orgIs(c.path("org")) {
		c.auditLog(c.flavour.GHES)
	}
}

// enterpriseAuditLog is GET /enterprises/{enterprise}/audit-log.
func (c *call) enterpriseAuditLog() {
	if !strings.EqualFold(c.path("enterprise"), enterprise(c.s)) {
		c.notFound()
		return
	}
	c.auditLog(c.flavour.GHES || c.query.Has("page"))
}

// search is one request to the audit log.
type search struct {
	c        *call
	phrase   phrase
	git, web bool
	desc     bool
	line     []*org.Event // all, by time
	lo, hi   int          // the part that the phrase and the retention leave
	webFrom  int64        // retention
	gitFrom  int64
}

// auditLog answers a search. Its rows are ordered by @timestamp: a row that
// appears late stands behind a cursor that has passed its time.
func (c *call) auditLog(numbered bool) {
	s, ok := c.newSearch()
	if !ok {
		return
	}
	if numbered {
		s.byNumber()
		return
	}
	if c.query.Has("page") {
		c.h.violate("audit_page", c.r.URL.RawQuery)
	}
	size := c.perPage(c.h.facts.AuditPerPage)
	after, before := c.query.Get("after"), c.query.Get("before")
	if problem := s.badCursor(after) + s.badCursor(before); problem != "" {
		c.fail(c.h.facts.InvalidCursor, problem)
		return
	}
	i, step := s.start(), s.step()
	if after != "" {
		i = s.position(after)
	}
	if before != "" {
		i, step = s.positionBefore(before), -step
	}
	if after != "" && before == "" && s.emptyPage(after, i) {
		return
	}
	var found []int
	for ; i >= s.lo && i < s.hi; i += step {
		if !s.matches(s.line[i]) {
			continue
		}
		if len(found) == size {
			break
		}
		found = append(found, i)
	}
	more := i >= s.lo && i < s.hi
	if before != "" {
		slices.Reverse(found)
		more = true // the row at the cursor, at least
	}
	c.open('[')
	for _, i := range found {
		c.auditRow(s.line[i])
	}
	c.close(']')
	if more && len(found) > 0 {
		c.auditLink(c.h.facts.NextRel, s.cursor(found[len(found)-1]), "")
	}
	if len(found) > 0 && (after != "" || before != "") {
		c.auditLink("prev", "", s.cursor(found[0]))
	}
	c.auditLink("first", "", "")
}

func (c *call) newSearch() (*search, bool) {
	f := c.h.facts
	p, err := parsePhrase(c.query.Get("phrase"), f.CreatedResolution)
	if err != nil {
		c.invalid("AuditLog", "phrase", "invalid", err.Error())
		return nil, false
	}
	s := &search{c: c, phrase: p, line: c.s.Timeline[org.GitHub]}
	switch include := c.query.Get("include"); firstOf(include, f.AuditInclude) {
	case "web":
		s.web = true
	case "git":
		s.git = true
	case "all":
		s.web, s.git = true, true
	default:
		c.invalid("AuditLog", "include", "invalid", "include is not one of web, git, all")
		return nil, false
	}
	switch order := c.query.Get("order"); firstOf(order, f.AuditOrder) {
	case "asc":
	case "desc":
		s.desc = true
	default:
		c.invalid("AuditLog", "order", "invalid", "order is not one of asc, desc")
		return nil, false
	}
	from, to := p.from, p.to
	if !p.created {
		from = c.s.Now.AddDate(0, -f.AuditWindowMonths, 0).UnixMilli()
	}
	if !c.flavour.GHES { // which keeps its log
		s.webFrom = c.s.Now.Add(-f.WebRetention).UnixMilli()
		s.gitFrom = c.s.Now.Add(-f.GitRetention).UnixMilli()
		from = max(from, min(s.webFrom, s.gitFrom))
	}
	s.lo = sort.Search(len(s.line), func(i int) bool { return s.line[i].At.UnixMilli() >= from })
	s.hi = max(s.lo, sort.Search(len(s.line), func(i int) bool { return s.line[i].At.UnixMilli() >= to }))
	return s, true
}

func firstOf(v, otherwise string) string {
	if v == "" {
		return otherwise
	}
	return v
}

// isGit tells whether an event is a git.* row.
func isGit(e *org.Event) bool {
	switch e.Verb {
	case org.GitClone, org.GitFetch:
		return true
	case org.GitPush:
		return !e.Failed // a refused one is told by the branch's protection
	default:
		return false
	}
}

func (s *search) matches(e *org.Event) bool {
	at := e.At.UnixMilli()
	if isGit(e) {
		if !s.git || at < s.gitFrom {
			return false
		}
	} else if !s.web || at < s.webFrom {
		return false
	}
	p := &s.phrase
	if len(p.actions)+len(p.not)+len(p.actor)+len(p.user)+len(p.repo)+len(p.country)+len(p.operation)+len(p.hash)+len(p.text) == 0 {
		return true // created has set the bounds
	}
	r := s.c.h.row(s.c.s, e, s.c.flavour)
	if !p.holds(&r) {
		return false
	}
	if len(p.text) == 0 {
		return true
	}
	var w writer
	w.auditRow(s.c.h, &r)
	return p.textIn(w.b)
}

func (s *search) step() int {
	if s.desc {
		return -1
	}
	return 1
}

func (s *search) start() int {
	if s.desc {
		return s.hi - 1
	}
	return s.lo
}

// byNumber answers with page numbers instead of cursors.
func (s *search) byNumber() {
	c := s.c
	var all []*org.Event
	for i := s.start(); i >= s.lo && i < s.hi; i += s.step() {
		if e := s.line[i]; s.matches(e) {
			all = append(all, e)
		}
	}
	c.open('[')
	for _, e := range page(c, all) {
		c.auditRow(e)
	}
	c.close(']')
}

// Cursors are base64 of the time, as a float with an exponent, and the document
// id of the row they stand at. Two marks that are no document ids stand before
// and after all rows of a time.
const (
	markBefore = ""
	markAfter  = "~"
)

func (s *search) cursor(i int) string {
	e := s.line[i]
	id := s.c.h.docID(e.N)
	return s.c.h.issue(e.At.UnixMilli(), string(id[:]))
}

func (h *Handler) issue(at int64, id string) string {
	cur := base64.StdEncoding.EncodeToString([]byte(strconv.FormatFloat(float64(at), 'e', 12, 64) + "|" + id))
	h.mu.Lock()
	h.cursors[xxhash.Sum64String(cur)] = struct{}{}
	h.mu.Unlock()
	return cur
}

func readCursor(cur string) (at int64, id string, ok bool) {
	b, err := base64.StdEncoding.DecodeString(cur)
	if err != nil {
		return 0, "", false
	}
	number, id, found := strings.Cut(string(b), "|")
	f, err := strconv.ParseFloat(number, 64)
	return int64(f), id, found && err == nil && f >= 0 && f < 1e16
}

// badCursor returns what is wrong with a cursor, and records one that did not
// come from a Link.
func (s *search) badCursor(cur string) string {
	h := s.c.h
	if cur == "" {
		return ""
	}
	h.mu.Lock()
	_, issued := h.cursors[xxhash.Sum64String(cur)]
	h.mu.Unlock()
	if !issued {
		h.violate("cursor", cur)
	}
	if _, _, ok := readCursor(cur); !ok || s.c.trouble.CursorsExpired {
		return "Invalid cursor"
	}
	return ""
}

// position returns where to go on after a cursor.
func (s *search) position(cur string) int {
	at, id, _ := readCursor(cur) // checked
	first := sort.Search(len(s.line), func(i int) bool { return s.line[i].At.UnixMilli() >= at })
	i := first
	for ; i < len(s.line) && s.line[i].At.UnixMilli() == at; i++ {
		if doc := s.c.h.docID(s.line[i].N); string(doc[:]) == id {
			if s.c.h.facts.AfterInclusive {
				return s.clamp(i)
			}
			return s.clamp(i + s.step())
		}
	}
	switch { // i is now behind the rows of this time
	case s.desc && id == markAfter:
		return s.clamp(i - 1)
	case s.desc:
		return s.clamp(first - 1)
	case id == markAfter:
		return s.clamp(i)
	default:
		return s.clamp(first)
	}
}

// positionBefore returns the last place before a cursor, in the order of the
// listing.
func (s *search) positionBefore(cur string) int {
	i := s.position(cur)
	if s.c.h.facts.AfterInclusive {
		return s.clamp(i - s.step())
	}
	return s.clamp(i - 2*s.step())
}

// clamp keeps a place within the part searched: at its start, or just outside.
func (s *search) clamp(i int) int {
	if s.desc {
		return max(min(i, s.hi-1), s.lo-1)
	}
	return min(max(i, s.lo), s.hi)
}

// emptyPage answers now and then with an empty page though rows follow: its
// next leads right before them.
func (s *search) emptyPage(after string, i int) bool {
	c := s.c
	every := uint64(c.h.facts.EmptyPageEvery)
	if every == 0 || (xxhash.Sum64String(after)^c.h.seed)%every != 0 {
		return false
	}
	at, id, _ := readCursor(after)
	if id == markBefore || id == markAfter || i < s.lo || i >= s.hi || s.line[i].At.UnixMilli() == at {
		return false
	}
	mark := markBefore
	if s.desc {
		mark = markAfter
	}
	c.b = append(c.b, "[]"...)
	c.auditLink(c.h.facts.NextRel, c.h.issue(s.line[i].At.UnixMilli(), mark), "")
	c.auditLink("first", "", "")
	return true
}

// auditLink adds a link with the request's parameters as they came, and cursors.
func (c *call) auditLink(rel, after, before string) {
	var b strings.Builder
	for part := range strings.SplitSeq(c.r.URL.RawQuery, "&") {
		name, _, _ := strings.Cut(part, "=")
		if part == "" || name == "after" || name == "before" || name == "page" {
			continue
		}
		b.WriteString(part)
		b.WriteByte('&')
	}
	c.addLink(rel, b.String()+"after="+url.QueryEscape(after)+"&before="+url.QueryEscape(before))
}

func (c *call) auditRow(e *org.Event) {
	r := c.h.row(c.s, e, c.flavour)
	c.writer.auditRow(c.h, &r)
}

// noID tells whether a row lacks its document id.
func (h *Handler) noID(n int) bool {
	return h.facts.NoIDEvery > 0 && n%h.facts.NoIDEvery == h.facts.NoIDEvery-1
}

// millis returns a time in the unit of the audit log.
func (h *Handler) millis(at int64) int64 { return at / int64(h.facts.AuditTimeUnit/time.Millisecond) }

var _ http.Handler = (*Handler)(nil)
