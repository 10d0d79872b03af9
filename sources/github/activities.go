package github

import (
	"context"
	"iter"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// The audit log is read in windows: "everything since T", oldest first, by
// GitHub's own links to the last page. The next window begins where the newest
// event stood, less the overlap; once a day, a sweep, it begins earlier by the
// lateness and a day. So events that GitHub adds late, behind a place that has
// been read, are found: one that shows up between two sweeps is in the second's
// window. What is seen twice, the pipeline drops by its id.

const (
	sweepEvery  = 24 * time.Hour
	maxLateness = 5 * 24 * time.Hour // with the sweep's day, within the ids that are remembered
)

// auditCursor is where reading goes on. Times are in ms.
type auditCursor struct {
	V     int    `json:"v"`
	Link  string `json:"link,omitempty"`  // the window's next page: path and query, as GitHub wrote them; "": a new window begins
	Mark  int64  `json:"mark,omitempty"`  // the newest event seen
	Swept int64  `json:"swept,omitempty"` // start of the last complete sweep
	Sweep int64  `json:"sweep,omitempty"` // start of the sweep that this window is; 0: it is none
	Again bool   `json:"again,omitempty"` // the window was begun because a link was refused
}

const auditVersion = 1

func parseAuditCursor(c sources.Cursor) (a auditCursor, err error) {
	if c == "" {
		return auditCursor{V: auditVersion}, nil
	}
	if err := json.Unmarshal([]byte(c), &a); err != nil || a.V != auditVersion {
		return a, fault.New(fault.Expired, "the place in the audit log was written by another version of Weir, or is damaged")
	}
	return a, nil
}

func (a auditCursor) cursor() (sources.Cursor, error) {
	b, err := json.Marshal(a)
	if err != nil || len(b) > sources.MaxCursor {
		return "", fault.New(fault.Permanent, "the audit log's next page has an address of %d bytes: too long to keep", len(a.Link))
	}
	return sources.Cursor(b), nil
}

// readActivities implements sources.Stream.Read.
func (s *session) readActivities(ctx context.Context, _ sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		at, err := parseAuditCursor(c)
		if err != nil {
			yield(nil, err)
			return
		}
		m := &auditMapper{}
		var rows schemas.Rows
		for {
			page, next, err := s.auditPage(ctx, at, m, &rows)
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(page, nil) || !page.More {
				return
			}
			at = next
		}
	}
}

// auditPage reads one page. A link that is refused is dropped, and the window
// begins anew at the newest event seen.
func (s *session) auditPage(ctx context.Context, at auditCursor, m *auditMapper, rows *schemas.Rows) (*sources.Page, auditCursor, error) {
	path := s.auditPath()
	var query url.Values
	again := false // a link has been refused twice in a row
	began := at.Link == ""
	if at.Link == "" {
		at, query = s.window(at)
	}
	r, err := s.get(ctx, path, query, at.Link)
	if err != nil && at.Link != "" && refusedLink(err) {
		again = at.Again
		at, query = s.window(auditCursor{V: auditVersion, Mark: at.Mark, Swept: at.Swept})
		at.Again, began = true, true
		r, err = s.get(ctx, path, query, "")
	} else if at.Link != "" {
		at.Again = false
	}
	switch {
	case err != nil && fault.Of(err) == fault.Expired:
		return nil, at, fault.New(fault.Permanent, "GitHub refuses the question for its audit log: %w", err)
	case err != nil && statusOf(err) == 404:
		return nil, at, s.unlicensed(ctx, err)
	case err != nil:
		return nil, at, err
	}
	l, err := elements(r)
	if err != nil {
		return nil, at, err
	}
	next := at
	if next.Link, err = s.next(r, path); err != nil {
		return nil, at, err
	}
	rows.Reset()
	page := &sources.Page{Rows: rows}
	newest := m.page(l.elements, page)
	// A vendor's clock that is wrong must not make us skip what is to come.
	next.Mark = max(at.Mark, min(newest, r.At.Add(r.Skew).UnixMilli()))
	complete := next.Mark
	if next.Link == "" { // there is no newer event
		complete = max(complete, earlier(r.At, r.At.Add(r.Skew)).Add(-resolution).UnixMilli())
		if next.Sweep != 0 {
			next.Swept, next.Sweep = next.Sweep, 0
		}
		next.Again = false
	}
	// What comes late is found by a sweep.
	page.Watermark = schemas.Time(max(0, complete-s.cfg.Audit.lateness().Milliseconds()))
	if at.Mark == 0 && began {
		page.Since = schemas.Time(s.env.Clock.Now().Add(-s.since()).UnixMilli())
	}
	page.More = next.Link != "" && !again // a link that is refused again and again is tried at the next poll
	page.Next, err = next.cursor()
	return page, next, err
}

// resolution is that of created: in a search phrase.
const resolution = time.Second

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// refusedLink tells whether an answer means that a stored link is not known any
// more: 422, or the redirect-to-nowhere and bad-request kin of it. A link that
// is not on this API, after a change of base_url, counts too.
func refusedLink(err error) bool {
	switch fault.Of(err) {
	case fault.Expired, fault.BadData:
		return true
	default:
		return statusOf(err) == 400
	}
}

func (s *session) auditPath() httpx.Path {
	if s.cfg.Enterprise != "" {
		return httpx.P("/enterprises/{enterprise}/audit-log", s.cfg.Enterprise)
	}
	return httpx.P("/orgs/{org}/audit-log", s.cfg.Org)
}

// lateness is how long after it happened an event may be collected at the
// latest: as late as GitHub may add it, and until the next sweep.
func (a Audit) lateness() time.Duration { return a.Lateness + sweepEvery }

// window begins a window: where, and whether it is a sweep.
func (s *session) window(at auditCursor) (auditCursor, url.Values) {
	now := s.env.Clock.Now()
	at.V, at.Sweep = auditVersion, 0
	var from time.Time
	switch {
	case at.Mark == 0:
		from, at.Sweep = now.Add(-s.since()), now.UnixMilli()
	case now.Sub(time.UnixMilli(at.Swept)) >= sweepEvery:
		from, at.Sweep = earlier(time.UnixMilli(at.Mark), now).Add(-s.cfg.Audit.lateness()), now.UnixMilli()
	default:
		from = time.UnixMilli(at.Mark).Add(-s.cfg.Audit.Overlap)
	}
	return at, s.auditQuery("created:>=" + from.UTC().Truncate(resolution).Format(time.RFC3339))
}

// auditQuery asks for events, oldest first.
func (s *session) auditQuery(phrase string) url.Values {
	return url.Values{
		"phrase": {phrase}, "include": {s.cfg.Audit.Include}, "order": {"asc"}, "per_page": {pageSize},
	}
}

// since is how far back the first window goes.
func (s *session) since() time.Duration {
	if s.cfg.Audit.Include == "git" {
		return min(s.cfg.Audit.Since, gitKept)
	}
	return s.cfg.Audit.Since
}
