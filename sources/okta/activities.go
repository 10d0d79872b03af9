package okta

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// The System Log is polled, not asked for windows of time: only then does it
// show late events. It lists in the order in which events were stored, and
// never ends: each answer has a next link, which is the cursor once a page is
// not full.
const (
	pageEvents    = 1000
	slowEvents    = 100                 // a page's size after the vendor's query took too long
	retention     = 90 * 24 * time.Hour // older events are gone; much older a since is refused
	restartBehind = time.Hour           // before the newest event seen, when a cursor is refused
	logLateness   = time.Hour           // Okta states no bound; later events are collected all the same
)

var decodeOptions = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// logPage is the memory of one page under way.
type logPage struct {
	rows    schemas.Rows
	mapper  *mapper
	event   wireEvent
	page    sources.Page
	decoder *jsontext.Decoder
}

func newLogPage() *logPage {
	return &logPage{mapper: newMapper(), decoder: jsontext.NewDecoder(bytes.NewReader(nil))}
}

// readLog yields the System Log from a cursor on, and has the next page fetched
// and mapped while the last is at work.
func (s *session) readLog(ctx context.Context, _ sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		pages := [2]*logPage{s.logPages.Get().(*logPage), s.logPages.Get().(*logPage)}
		defer s.release(pages[0])
		defer s.release(pages[1])
		read := func(ctx context.Context) iter.Seq2[*sources.Page, error] {
			return func(yield func(*sources.Page, error) bool) {
				if err := s.eachLogPage(ctx, c, pages, yield); err != nil {
					yield(nil, err)
				}
			}
		}
		sources.Ahead(ctx, read)(yield)
	}
}

// eachLogPage yields the pages of the log, by turns in two memories.
func (s *session) eachLogPage(ctx context.Context, c sources.Cursor, pages [2]*logPage, yield func(*sources.Page, error) bool) error {
	at, err := parseCursor(c)
	if err != nil {
		return err
	}
	org, err := s.Tenant(ctx)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		page := pages[i%2]
		resp, next, err := s.fetchLog(ctx, &at, s.logSince)
		if err == nil {
			err = page.fill(resp, org)
		}
		if err != nil {
			return err
		}
		asked := at.At
		page.page.Since = 0
		if at.Time == 0 && asked == "" {
			page.page.Since = schemas.Time(s.logFrom(at).UnixMilli())
		}
		caughtUp := page.advance(resp, &at, next)
		if !caughtUp && next == asked {
			return errItself(resp)
		}
		if !yield(&page.page, nil) || caughtUp {
			return nil
		}
	}
}

// release gives a page's memory back, without what it holds on to: an answer's
// whole body.
func (s *session) release(p *logPage) {
	clear(p.rows.Activities[:cap(p.rows.Activities)])
	clear(p.mapper.strings[:cap(p.mapper.strings)])
	clear(p.mapper.targets[:cap(p.mapper.targets)])
	p.event, p.page = wireEvent{}, sources.Page{}
	p.decoder.Reset(bytes.NewReader(nil))
	s.logPages.Put(p)
}

// fetchLog gets a page of the log. Where the vendor no longer takes the cursor
// it begins again an hour before the newest event seen; what that shows twice
// is known to the pipeline by its id.
func (s *session) fetchLog(ctx context.Context, at *cursor, since func(cursor) listing) (*httpx.Response, string, error) {
	resp, next, err := s.fetch(ctx, since(*at), at.At)
	if at.At != "" && cursorRefused(err) {
		at.At = ""
		resp, next, err = s.fetch(ctx, since(*at), "")
	}
	if httpx.CodeOf(err) == "E0000009" { // the vendor's query took more than 30 s: ask for less
		l := since(*at)
		if at.At != "" {
			at.At = withLimit(at.At, slowEvents)
		} else {
			l.query.Set("limit", strconv.Itoa(slowEvents))
		}
		resp, next, err = s.fetch(ctx, l, at.At)
	}
	return resp, next, err
}

// logSince is the listing from the newest event seen, or from as far back as
// the configuration says.
func (s *session) logSince(at cursor) listing {
	return listing{path: httpx.P(pathLogs), polled: true, query: url.Values{
		"since": {formatTime(s.logFrom(at))}, "limit": {strconv.Itoa(pageEvents)}, "sortOrder": {"ASCENDING"},
	}}
}

func (s *session) logFrom(at cursor) time.Time {
	now := s.env.Clock.Now()
	since := now.Add(-s.cfg.Logs.Since)
	if at.Time != 0 {
		since = time.UnixMilli(at.Time).Add(-restartBehind)
	}
	if oldest := now.Add(-retention); since.Before(oldest) {
		since = oldest
	}
	return since
}

// advance moves the cursor past a page that was filled from an answer.
func (p *logPage) advance(resp *httpx.Response, at *cursor, next string) (caughtUp bool) {
	n := len(p.rows.Activities) + len(p.page.Rejected)
	caughtUp = next == "" || n < limitOf(resp.URL.Query())
	now := vendorNow(resp)
	for i := range p.rows.Activities {
		// A time ahead of the vendor's own clock must not move a restart there.
		at.Time = max(at.Time, min(int64(p.rows.Activities[i].Time), now.UnixMilli()))
	}
	if at.At = next; caughtUp && next != "" {
		at.At = withLimit(next, pageEvents)
	}
	p.page.Next, p.page.More = at.String(), !caughtUp
	// What is stored later may have happened earlier, but for the lateness.
	complete := at.Time
	if caughtUp {
		complete = max(complete, now.UnixMilli())
	}
	if p.page.Watermark = 0; complete > 0 {
		p.page.Watermark = schemas.Time(complete - logLateness.Milliseconds())
	}
	return caughtUp
}

// limitOf returns the size of a page that a request asked for.
func limitOf(q url.Values) int {
	if n, err := strconv.Atoi(q.Get("limit")); err == nil && n > 0 {
		return n
	}
	return 1 // a link without one: a page with anything in it may be full
}

// withLimit returns a link with another page size, the one parameter that is
// ours and not the vendor's. It stays as it is when it has that size already.
func withLimit(at string, limit int) string {
	u, err := url.Parse(at)
	if err != nil || limitOf(u.Query()) == limit {
		return at
	}
	q := u.Query()
	q.Set("limit", strconv.Itoa(limit))
	u.RawQuery = q.Encode()
	return u.String()
}

// fill maps an answer's events. They are decoded once; their strings alias the
// answer's body.
func (p *logPage) fill(r *httpx.Response, org string) error {
	p.reset()
	d := p.decoder
	d.Reset(bytes.NewBuffer(r.Body), decodeOptions)
	if t, err := d.ReadToken(); err != nil || t.Kind() != '[' {
		return p.fillOneByOne(r, org)
	}
	for d.PeekKind() != ']' {
		from := d.InputOffset()
		if err := p.decodeNext(d); err != nil {
			return p.fillOneByOne(r, org)
		}
		p.add(element(r.Body[from:d.InputOffset()]), org)
	}
	if _, err := d.ReadToken(); err != nil || len(bytes.TrimSpace(r.Body[d.InputOffset():])) > 0 {
		return p.fillOneByOne(r, org)
	}
	return nil
}

// decodeNext decodes the next event into p.event, whose slices it reuses.
func (p *logPage) decodeNext(d *jsontext.Decoder) error {
	p.event.reset()
	return json.UnmarshalDecode(d, &p.event)
}

// fillOneByOne does what fill does for a page with a record of an unexpected
// shape, which is rejected alone, or for what is no page at all.
func (p *logPage) fillOneByOne(r *httpx.Response, org string) error {
	p.reset()
	for raw, err := range httpx.Elements(r) {
		if err != nil {
			return err
		}
		p.event = wireEvent{}
		if err := json.Unmarshal(raw, &p.event, decodeOptions); err != nil {
			p.reject(string(raw), "it has an unexpected shape: "+err.Error())
			continue
		}
		p.add(raw, org)
	}
	return nil
}

func (p *logPage) add(raw []byte, org string) {
	n := len(p.rows.Activities)
	if n < cap(p.rows.Activities) {
		p.rows.Activities = p.rows.Activities[:n+1]
	} else {
		p.rows.Activities = append(p.rows.Activities, schemas.Activity{})
	}
	a := &p.rows.Activities[n]
	if reason := p.mapper.event(a, &p.event, org, alias(raw)); reason != "" {
		p.rows.Activities = p.rows.Activities[:n]
		p.reject(string(raw), reason)
	}
}

func (p *logPage) reject(raw, reason string) {
	p.page.Rejected = append(p.page.Rejected, sources.Reject{
		Ref: fmt.Sprintf("event %d of its page", len(p.rows.Activities)+len(p.page.Rejected)+1), Reason: reason, Raw: raw,
	})
}

func (p *logPage) reset() {
	p.rows.Activities = p.rows.Activities[:0]
	p.mapper.reset()
	p.page = sources.Page{Rows: &p.rows, Rejected: p.page.Rejected[:0]}
}

// element returns a value without what stands before it in its array.
func element(b []byte) []byte { return bytes.TrimLeft(b, ", \t\r\n") }
