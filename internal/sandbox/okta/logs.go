package okta

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir/internal/sandbox/org"
)

// logQuery is a read request for the System Log.
type logQuery struct {
	since, until time.Time
	bounded      bool
	down         bool // newest first
	limit        int
	filter       *expr
	keywords     []string
	// Of a cursor: where the page begins.
	after bool
	made  time.Time // when the cursor was made
	at    int       // polling: the sequence number; bounded: the number of the event before the page
	when  int64     // bounded: that event's time, Unix milliseconds
}

func (h *Handler) logs(c *call) {
	q, problem := h.readLogQuery(c)
	if problem != "" {
		h.fail(c, http.StatusBadRequest, h.facts.ErrLogQuery, problem)
		return
	}
	h.link(c, h.facts.RelSelf, h.selfURL(c))
	if q.bounded {
		h.bounded(c, q)
		return
	}
	h.poll(c, q)
}

// poll serves polling: in the order in which events became visible, and
// endlessly.
func (h *Handler) poll(c *call, q *logQuery) {
	events := c.s.Events[org.Okta]
	seq := max(q.at, c.s.SeenSince(org.Okta, c.now.Add(-h.facts.Retention)))
	if !q.after {
		seq = c.s.SeenSince(org.Okta, q.since)
		if !h.facts.PollBySeen {
			for seq < len(events) && events[seq].At.Before(q.since) {
				seq++
			}
		}
	}
	b, n := h.page(q), 0
	r := renderer{f: &h.facts, s: c.s}
	for ; seq < len(events) && n < q.limit; seq++ {
		var ok bool
		if b, ok = h.event(b, &r, q, events[seq], n); ok {
			n++
		}
	}
	c.set(append(b, ']'))
	short := n < q.limit
	if short && !h.facts.PollEndless {
		return
	}
	after := h.logCursor(c, int64(seq), 0)
	h.link(c, h.facts.RelNext, h.logNext(c, after))
	h.polled(c, after, short)
}

// polled notes when a client comes back too soon after a short page.
func (h *Handler) polled(c *call, after string, short bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	used := c.query.Get("after")
	if t, ok := h.polls[used]; ok && used != "" {
		delete(h.polls, used)
		if wait := c.now.Sub(t); wait < h.facts.PollEvery {
			h.violate("log polled too soon", fmt.Sprintf("the next page was asked for %s after a short one", wait))
		}
	}
	if short && q0(c) {
		if len(h.polls) > 4096 {
			clear(h.polls)
		}
		h.polls[after] = c.now
	}
}

// q0 tells whether the request asks for any events at all.
func q0(c *call) bool { return c.query.Get("limit") != "0" }

// bounded serves queries with an end: in the order in which events happened.
func (h *Handler) bounded(c *call, q *logQuery) {
	line := c.s.Timeline[org.Okta]
	from := sort.Search(len(line), func(i int) bool { return !line[i].At.Before(q.since) })
	to := sort.Search(len(line), func(i int) bool { return !line[i].At.Before(q.until) })
	passed := func(i int) bool { // the event is not before the cursor's
		ms := line[i].At.UnixMilli()
		return ms > q.when || ms == q.when && line[i].N >= q.at
	}
	if q.after {
		at := sort.Search(len(line), passed)
		if q.down {
			to = min(to, at)
		} else {
			from = max(from, at)
			if from < to && line[from].At.UnixMilli() == q.when && line[from].N == q.at {
				from++
			}
		}
	}
	b, n := h.page(q), 0
	r := renderer{f: &h.facts, s: c.s}
	var last *org.Event
	more := false
	for i := range max(0, to-from) {
		e := line[from+i]
		if q.down {
			e = line[to-1-i]
		}
		if h.facts.BoundedOmitsLate && e.Seen.Sub(e.At) > h.facts.LateAfter {
			continue
		}
		if n == q.limit {
			more = q.limit > 0
			break
		}
		var ok bool
		if b, ok = h.event(b, &r, q, e, n); ok {
			n++
		}
		last = e
	}
	c.set(append(b, ']'))
	if last != nil && (more || !h.facts.BoundedEnds) {
		h.link(c, h.facts.RelNext, h.logNext(c, h.logCursor(c, last.At.UnixMilli(), last.N)))
	}
}

// bodies are the buffers of large pages.
var bodies sync.Pool

const largeBody = 1 << 18

// page starts a page with room for its events.
func (h *Handler) page(q *logQuery) []byte {
	if size := 1024 + q.limit*2048; size < largeBody {
		return append(make([]byte, 0, size), '[')
	}
	b, ok := bodies.Get().(*[]byte)
	if !ok {
		b = new(make([]byte, 0, 1024+h.facts.Logs.Max*2048))
	}
	return append((*b)[:0], '[')
}

// event appends an event that the query asks for.
func (h *Handler) event(b []byte, r *renderer, q *logQuery, e *org.Event, n int) ([]byte, bool) {
	if q.filter != nil && !q.filter.holds(func(attr string) []string { return r.values(e, attr) }) {
		return b, false
	}
	start := len(b)
	if n > 0 {
		b = append(b, ',')
	}
	b = r.append(b, e)
	if len(q.keywords) > 0 {
		text := bytes.ToLower(b[start:])
		for _, k := range q.keywords {
			if !bytes.Contains(text, []byte(k)) {
				return b[:start], false
			}
		}
	}
	return b, true
}

// readLogQuery reads the parameters, or tells what is wrong with them.
func (h *Handler) readLogQuery(c *call) (*logQuery, string) {
	f, v := &h.facts, c.query
	q := &logQuery{until: c.now, limit: h.limit(c, f.Logs)}
	switch v.Get("sortOrder") {
	case "", "ASCENDING":
	case "DESCENDING":
		q.down = true
	default:
		return nil, "Invalid value for the sortOrder parameter."
	}
	q.bounded = q.down || v.Get("until") != ""
	if s := v.Get("until"); s != "" {
		t, ok := parseTime(s)
		if !ok {
			return nil, "Invalid value for the until parameter."
		}
		q.until = t
	}
	q.since = q.until.Add(-f.SinceDefault)
	if s := v.Get("since"); s != "" {
		t, ok := parseTime(s)
		if !ok {
			return nil, "Invalid value for the since parameter."
		}
		if c.now.Sub(t) > f.SinceLimit {
			return nil, "The since parameter is over 180 days prior to the current day."
		}
		q.since = t
	}
	if oldest := c.now.Add(-f.Retention); q.since.Before(oldest) {
		q.since = oldest
	}
	if q.since.After(q.until) && q.bounded {
		return nil, "The since parameter is after the until parameter."
	}
	if s := v.Get("after"); s != "" {
		if problem := h.readLogCursor(c, q, s); problem != "" {
			return nil, problem
		}
	}
	if s := v.Get("q"); s != "" {
		q.keywords = strings.Fields(strings.ToLower(s))
		if len(q.keywords) > 10 {
			return nil, "The q parameter has more than 10 keywords."
		}
		for _, k := range q.keywords {
			if len(k) > 40 {
				return nil, "A keyword of the q parameter is longer than 40 characters."
			}
		}
	}
	if s := v.Get("filter"); s != "" {
		var err error
		if q.filter, err = parseFilter(s, allowLogFilter); err != nil {
			return nil, "Invalid filter: " + err.Error()
		}
	}
	return q, ""
}

// logCursor makes an after of the form of the vendor's: when it was made, then
// the place, then a check.
func (h *Handler) logCursor(c *call, a int64, n int) string {
	s := fmt.Sprintf("%d_%d", c.now.UnixMilli(), a)
	if n > 0 || c.query.Get("until") != "" || c.query.Get("sortOrder") == "DESCENDING" {
		s += "_" + strconv.Itoa(n)
	}
	return s + "_" + check(c.seed, c.r.URL.Path, s)
}

func (h *Handler) readLogCursor(c *call, q *logQuery, s string) string {
	const refused = "The after parameter is not valid."
	i := strings.LastIndexByte(s, '_')
	if i < 0 || check(c.seed, c.r.URL.Path, s[:i]) != s[i+1:] {
		h.violate("crafted cursor", c.r.URL.Path+" after="+s)
		return refused
	}
	parts := strings.Split(s[:i], "_")
	made, err := strconv.ParseInt(parts[0], 10, 64)
	if err != nil || len(parts) != map[bool]int{false: 2, true: 3}[q.bounded] {
		return refused
	}
	if !q.bounded && c.query.Get("since") != "" {
		h.violate("crafted cursor", "after with since")
		return "The after parameter cannot be combined with since."
	}
	place, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil {
		return refused
	}
	q.after, q.made = true, time.UnixMilli(made)
	if q.bounded {
		q.when = place
		q.at, err = strconv.Atoi(parts[2])
	} else {
		q.at = int(place)
	}
	if err != nil || h.refuseCursor(c.now.Sub(q.made)) || h.t.CursorExpired(c.r) {
		return refused
	}
	return ""
}

// logNext is the URL of the next page: since stays only in bounded queries.
func (h *Handler) logNext(c *call, after string) string {
	q := url.Values{}
	for k, v := range c.query {
		if k != "since" || c.query.Get("until") != "" || c.query.Get("sortOrder") == "DESCENDING" {
			q[k] = v
		}
	}
	q.Set("after", after)
	return h.links + c.r.URL.Path + "?" + q.Encode()
}

// allowLogFilter: published is for since and until, and changes cannot be
// searched.
func allowLogFilter(attr, op string) bool {
	switch {
	case attr == "published", strings.Contains(attr, "changeDetails"):
		return false
	case attr == "debugContext.debugData.url", attr == "debugContext.debugData.requestUri":
		return op != "co"
	}
	for _, a := range logAttributes {
		if a == attr {
			return true
		}
	}
	return false
}

var logAttributes = []string{
	"uuid", "eventType", "severity", "displayMessage", "legacyEventType", "actor.id", "actor.type", "actor.alternateId", "actor.displayName",
	"outcome.result", "outcome.reason", "client.ipAddress", "client.id", "client.userAgent.rawUserAgent", "transaction.id", "transaction.type",
	"authenticationContext.externalSessionId", "target.id", "target.type", "target.displayName", "target.alternateId",
	"debugContext.debugData.url", "debugContext.debugData.requestUri",
}

// values returns an attribute's values in an event.
func (r *renderer) values(e *org.Event, attr string) []string {
	s := r.s
	first, rest, _ := strings.Cut(attr, ".")
	switch first {
	case "uuid":
		return []string{string(appendUUID(nil, seedOf(s), e.N))}
	case "eventType":
		return []string{verbOf(s, e).event}
	case "severity":
		return []string{severity(verbOf(s, e), e)}
	case "displayMessage":
		return []string{verbOf(s, e).message}
	case "legacyEventType":
		return []string{verbOf(s, e).legacy}
	case "outcome":
		if rest == "reason" {
			return []string{reason(e)}
		}
		return []string{result(r.f, e)}
	case "actor":
		return r.actorValues(e, rest)
	case "client":
		c := visible(e)
		switch {
		case c == nil:
			return nil
		case rest == "ipAddress":
			return []string{c.IP}
		case rest == "id":
			if n := clientApp(e); n >= 0 {
				return []string{id(seedOf(s), kindApp, n)}
			}
			return nil
		}
		return []string{c.UserAgent}
	case "transaction":
		if rest == "id" {
			return []string{id(seedOf(s), kindTransaction, e.N)}
		}
		if e.Actor.Kind == org.SystemRef {
			return []string{"JOB"}
		}
		return []string{"WEB"}
	case "authenticationContext":
		return []string{e.Session}
	case "target":
		var list []string
		for _, t := range appendTargets(nil, s, e) {
			list = append(list, map[string]string{"id": string(t.appendID(nil, seedOf(s))), "type": t.typ, "displayName": t.name, "alternateId": t.alt}[rest])
		}
		return list
	}
	return nil
}

func (r *renderer) actorValues(e *org.Event, what string) []string {
	s := r.s
	v := map[string]string{"id": "system", "type": r.f.SystemActor, "alternateId": "system@okta.com", "displayName": "Okta System"}
	switch e.Actor.Kind {
	case org.AccountRef:
		a := s.Accounts[org.Okta][e.Actor.N]
		v = map[string]string{"id": id(seedOf(s), kindUser, a.N), "type": typeUser, "alternateId": a.Login, "displayName": fullName(s.People[a.Person])}
	case org.IntegrationRef:
		n := id(seedOf(s), kindApp, e.Actor.N)
		v = map[string]string{"id": n, "type": typeClient, "alternateId": n, "displayName": s.Integrations[org.Okta][e.Actor.N].Label}
	case org.AnonymousRef:
		v = map[string]string{"id": "unknown", "type": typeUser, "alternateId": e.Text, "displayName": "unknown"}
	default:
	}
	return []string{v[what]}
}
