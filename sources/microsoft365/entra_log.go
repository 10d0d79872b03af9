package microsoft365

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"weir/internal/fault"
	"weir/internal/rawjson"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// Entra's two logs are asked for windows of time, oldest first. A poll reads
// from a little before where the last one ended to now; every logSweep, a deep
// one, from behind the lateness on: then everything is read once more when
// nothing can come late any more, or be written anew. What is seen twice and is
// alike, the pipeline drops by its id.
//
// A window's pages hang together by links that the vendor forgets, the sooner
// the deeper they are. So a window with many pages is cut short, and one whose
// link is refused or too long for a cursor begins anew, at the newest event
// seen. That is sound only while pages come in order, which is looked at.
const (
	logOverlap  = 15 * time.Minute
	logSweep    = time.Hour
	logWindow   = time.Hour     // of windows that take several pages
	logWidest   = 8 * time.Hour // of those that do not
	logPages    = 20            // of a window, before it is cut short
	minLateness = logOverlap
	maxLateness = 7 * day // beyond it most of the log would be read every hour
)

// Names of the logs' streams, which are those of their capabilities too.
const (
	streamAudits  = "directory_audits"
	streamSignIns = "sign_ins"
)

// entraLog is what tells the logs apart.
type entraLog struct {
	info     sources.StreamInfo
	path     string
	at       string // the member that holds an event's time
	also     string // a condition beside the time's; "" none
	top      string // records a page: the most there can be
	since    time.Duration
	lateness time.Duration
	record   func(m *entraMapper, a *schemas.Activity, raw, tenant string) (reason string)
	explain  func(error) error // adds what to do about a refusal
}

// lateLog is a log's declaration with the lateness and retention of a
// configuration.
func lateLog(info sources.StreamInfo, lateness, retention time.Duration) sources.StreamInfo {
	info.Lateness = lateness + logSweep
	info.Retention = retention
	info.Keep = retention + day
	info.Back, info.ShowsLate = true, true
	return info
}

// logCursor is a place in a log. Times are seconds since 1970 by the vendor's
// clock: what its filter takes.
type logCursor struct {
	Version int   `json:"v"`
	Mark    int64 `json:"mark,omitzero"`  // everything before was read
	Final   int64 `json:"final,omitzero"` // everything before was read when nothing could come late any more
	Swept   int64 `json:"swept,omitzero"` // when the last deep poll began that came to its end

	// Of the poll under way. Began 0: none is.
	Began int64 `json:"began,omitzero"`
	Deep  bool  `json:"deep,omitzero"`
	Span  int64 `json:"span,omitzero"` // how long windows are

	// Of its window under way. To 0: none is.
	From  int64  `json:"from,omitzero"`
	To    int64  `json:"to,omitzero"`
	Last  bool   `json:"last,omitzero"`  // the poll ends with it
	Link  string `json:"link,omitzero"`  // to its next page, as the vendor wrote it, without the origin; "" the first
	Seen  int64  `json:"seen,omitzero"`  // its newest event so far
	Pages int    `json:"pages,omitzero"` // read by the link
	Loose bool   `json:"loose,omitzero"` // pages did not come in order
	Again bool   `json:"again,omitzero"` // it was begun anew because a link was refused, and no link has worked since
}

const logVersion = 1

func parseLogCursor(c sources.Cursor) (logCursor, error) {
	if c == "" {
		return logCursor{Version: logVersion}, nil
	}
	var at logCursor
	err := json.Unmarshal([]byte(c), &at, json.RejectUnknownMembers(true))
	if err != nil || at.Version != logVersion || !goodLink(at.Link) {
		return logCursor{}, fault.New(fault.Expired, "cursor %.40q is none of version %d", c, logVersion)
	}
	return at, nil
}

func (at logCursor) cursor() sources.Cursor {
	b, err := json.Marshal(at)
	if err != nil {
		panic(err) // a struct of text and numbers
	}
	return sources.Cursor(b)
}

// poll begins a poll where none is under way, and returns from when it reads
// anew: 0, where it goes on from the last one.
func (l *entraLog) poll(at *logCursor, now time.Time) (anew int64) {
	if at.Began != 0 {
		return 0
	}
	at.Began, at.Span = now.Unix(), int64(logWindow/time.Second)
	switch {
	case at.Mark == 0:
		at.Deep, anew = true, now.Add(-l.since).Unix()
		at.From, at.Final = anew, anew
	case at.Began-at.Swept >= int64(logSweep/time.Second):
		at.Deep, at.From = true, min(at.Final, at.Mark)
	default:
		at.Deep, at.From = false, at.Mark-int64(logOverlap/time.Second)
	}
	if oldest := now.Add(-l.info.Retention).Unix(); at.From < oldest {
		at.From = oldest
		if at.Final < oldest { // what was between is gone
			at.Final, anew = oldest, oldest
		}
	}
	return anew
}

// window sets the next window of a poll, where none is under way.
func (at *logCursor) window(now time.Time) {
	if at.To != 0 {
		return
	}
	at.To, at.Last = at.From+at.Span, false
	if end := now.Unix(); at.To >= end {
		at.To, at.Last = end, true
	}
	at.Seen, at.Pages, at.Loose = at.From, 0, false
}

// again begins the window under way anew: at its newest event, where pages came
// in order, else at its beginning.
func (at *logCursor) again() {
	if !at.Loose {
		at.From = max(at.From, at.Seen)
	}
	at.Link, at.Seen, at.Pages, at.Loose = "", at.From, 0, false
}

// done ends the window under way; lateness is the log's.
func (at *logCursor) done(lateness time.Duration) {
	at.Mark = max(at.Mark, at.To)
	if at.Deep {
		at.Final = max(at.Final, min(at.To, at.Began-int64(lateness/time.Second)))
	}
	at.Span = int64(logWindow / time.Second)
	if at.Pages <= 1 { // there is little: ask for more at once
		at.Span = min(2*(at.To-at.From), int64(logWidest/time.Second))
	}
	at.Span = max(at.Span, int64(logWindow/time.Second))
	at.From, at.To, at.Link = at.To, 0, ""
	if at.Last {
		if at.Deep {
			at.Swept = at.Began
		}
		at.Began, at.Deep, at.From, at.Last, at.Span = 0, false, 0, false, 0
	}
	at.Seen, at.Pages, at.Loose, at.Again = 0, 0, false, false
}

// readEntra returns what implements sources.Stream.Read.
func (s *session) readEntra(l *entraLog) func(context.Context, sources.Lane, sources.Cursor) iter.Seq2[*sources.Page, error] {
	return func(ctx context.Context, lane sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
		return func(yield func(*sources.Page, error) bool) {
			read := s.eachPollPage
			if strings.HasPrefix(lane.ID, sources.PastLane) {
				read = s.eachPastPage
			}
			if err := read(ctx, l, lane, c, yield); err != nil {
				yield(nil, l.explain(err))
			}
		}
	}
}

// eachPollPage yields the pages of a poll.
func (s *session) eachPollPage(ctx context.Context, l *entraLog, _ sources.Lane, c sources.Cursor, yield func(*sources.Page, error) bool) error {
	at, err := parseLogCursor(c)
	if err != nil {
		return err
	}
	p := newEntraPage(l)
	for resumed := true; ; resumed = false {
		now := s.env.Clock.Now()
		anew := l.poll(&at, now)
		at.window(now)
		if at.From >= at.To { // the clock stands, or was set back
			at.To = at.From
		}
		ended, err := s.entraPage(ctx, p, &at, resumed)
		if err != nil {
			return err
		}
		if ended {
			at.done(l.lateness)
		}
		p.page.Since, p.page.Watermark = schemas.Time(anew*1000), schemas.Time(at.Final*1000)
		p.page.Next, p.page.More = at.cursor(), at.Began != 0
		if !yield(&p.page, nil) || !p.page.More {
			return nil
		}
	}
}

// entraPage gets and maps the next page of the window under way, and tells
// whether it was its last.
func (s *session) entraPage(ctx context.Context, p *entraLogPage, at *logCursor, resumed bool) (ended bool, err error) {
	tenant, err := s.Tenant(ctx)
	if err != nil {
		return false, err
	}
	resp, err := s.fetchEntra(ctx, p.log, at)
	switch {
	case err == nil:
		at.Again = at.Again && at.Link == ""
	case at.Link != "" && ctx.Err() == nil && (resumed && linkMayFail(err) || !at.Again && linkRefused(err)):
		// A link that fails at the beginning of a reading may have failed before:
		// the vendor has forgotten it, or takes too long that deep. One that is
		// refused twice in a row is left to the next reading.
		at.again()
		at.Again = true
		resp, err = s.fetchEntra(ctx, p.log, at)
	}
	if err != nil {
		if fault.Of(err) == fault.Expired { // the place in the log is a time, which stays good
			err = fault.New(fault.Transient, "the log is refused: %w", err)
		}
		return false, err
	}
	if at.Pages == 0 {
		// Nothing is complete up to a time that the vendor's clock has not come to.
		vendor := min(resp.At.Unix(), resp.At.Add(resp.Skew).Unix()) - 1
		if at.Began = min(at.Began, vendor); vendor < at.To {
			at.To, at.Last = max(at.From, vendor), true
		}
	}
	if err := p.fill(resp, tenant); err != nil {
		return false, err
	}
	at.Pages++
	at.Loose = at.Loose || !p.ordered || p.oldest != 0 && p.oldest < at.Seen
	at.Seen = max(at.Seen, p.newest)
	next, err := s.nextEntra(resp, p.log)
	if err != nil {
		return false, err
	}
	moved := !at.Loose && at.Seen > at.From
	switch {
	case next == "":
		return true, nil
	case next == at.Link:
		return false, fault.New(fault.Transient, "%s: the link to the next page leads to the page itself", resp.Endpoint)
	case moved && (at.Pages >= logPages || !goodLink(next)):
		at.again()
	case !goodLink(next):
		return false, fault.New(fault.Permanent, "%s: the link to the next page has %d bytes, of which a cursor holds %d, and the window cannot begin anew within one second", resp.Endpoint, len(next), maxLink)
	default:
		at.Link = next
	}
	return false, nil
}

// linkRefused tells that the vendor does not know a link any more.
func linkRefused(err error) bool {
	switch httpx.StatusOf(err) {
	case http.StatusBadRequest, http.StatusNotFound, http.StatusGone:
		return true
	}
	return false
}

// linkMayFail tells errors that may be a link's own.
func linkMayFail(err error) bool {
	switch fault.Of(err) {
	case fault.Throttled, fault.Auth, fault.Forbidden, fault.NotLicensed:
		return false
	default:
		return true
	}
}

// fetchEntra gets a page: the window's first, or the one that its link leads to.
func (s *session) fetchEntra(ctx context.Context, l *entraLog, at *logCursor) (*httpx.Response, error) {
	path := httpx.P(l.path)
	req := &httpx.Request{Path: path, Query: l.query(at.From, at.To)}
	if at.Link != "" {
		var err error
		if req, err = s.graph.Follow(at.Link, path); err != nil {
			return nil, fault.New(fault.Expired, "the link to the next page leads elsewhere: %w", err)
		}
	}
	req.Header = http.Header{"Prefer": {preferUnknown}}
	return s.graph.Do(ctx, req)
}

// query asks for the events of a window, oldest first. The vendor's filter knows
// ge, le and eq alone: both ends are within.
func (l *entraLog) query(from, to int64) url.Values {
	stamp := func(s int64) string { return time.Unix(s, 0).UTC().Format(time.RFC3339) }
	filter := l.at + " ge " + stamp(from) + " and " + l.at + " le " + stamp(to)
	if l.also != "" {
		filter = l.also + " and " + filter
	}
	return url.Values{"$filter": {filter}, "$orderby": {l.at}, "$top": {l.top}}
}

// nextEntra returns the link to the next page, without its origin; "" none.
func (s *session) nextEntra(resp *httpx.Response, l *entraLog) (string, error) {
	link := rawjson.Text(rawjson.Member(alias(resp.Body), "@odata.nextLink"))
	if link == "" {
		return "", nil
	}
	if _, err := s.graph.Follow(link, httpx.P(l.path)); err != nil {
		return "", err
	}
	if _, rest, ok := strings.Cut(link, "://"); ok {
		_, rest, _ = strings.Cut(rest, "/")
		link = "/" + rest
	}
	return strings.Clone(link), nil
}

// entraLogPage is the memory of one page.
type entraLogPage struct {
	log    *entraLog
	mapper *entraMapper
	rows   schemas.Rows
	page   sources.Page

	oldest, newest int64 // times of its events, in seconds; 0 none
	ordered        bool
}

func newEntraPage(l *entraLog) *entraLogPage {
	return &entraLogPage{log: l, mapper: newEntraMapper()}
}

// fill maps an answer's events, whose strings alias the answer's body.
func (p *entraLogPage) fill(r *httpx.Response, tenant string) error {
	p.mapper.reset()
	p.rows.Activities = p.rows.Activities[:0]
	p.page = sources.Page{Rows: &p.rows, Rejected: p.page.Rejected[:0]}
	p.oldest, p.newest, p.ordered = 0, 0, true
	var last schemas.Time
	for raw, err := range httpx.ElementsAt(r, "value") {
		if err != nil {
			return err
		}
		p.rows.Activities = append(p.rows.Activities, schemas.Activity{})
		a := &p.rows.Activities[len(p.rows.Activities)-1]
		if reason := p.log.record(p.mapper, a, alias(raw), tenant); reason != "" {
			p.rows.Activities = p.rows.Activities[:len(p.rows.Activities)-1]
			p.page.Rejected = append(p.page.Rejected, sources.Reject{
				Ref: fmt.Sprintf("record %d of %s", len(p.rows.Activities)+len(p.page.Rejected)+1, r.Endpoint), Reason: reason, Raw: string(raw),
			})
			continue
		}
		if a.Time == 0 {
			continue
		}
		p.ordered = p.ordered && a.Time >= last
		last = a.Time
		second := int64(a.Time) / 1000
		if p.oldest == 0 || second < p.oldest {
			p.oldest = second
		}
		p.newest = max(p.newest, second)
	}
	return nil
}
