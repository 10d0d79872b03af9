package googleworkspace

import (
	"context"
	"iter"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// The log of an application is asked for windows of time. Within one the newest
// events come first, so what has been read is known only when all of it has
// been: the place moves at a window's end, and not before. Its end is set at its
// first page, and stands while its pages are read, also by another process after
// a crash; where the vendor refuses the token of a page the window begins anew.
//
// Events show minutes to hours after they happened. A poll begins before where
// the last one ended by as much as is usual for the application; what is later
// still, the pipeline's sweeps find. What is seen twice, it drops by its id.
// Polls that follow soon, as notifications have it, look back on minutes only:
// what is late is found by the next that looks back on all.
//
// A log that is far behind is read in many windows, the oldest first, that are
// as long as their pages are few.
const (
	firstWindow = 6 * time.Hour
	minWindow   = time.Hour
	maxWindow   = 14 * day // with the overlap within the 30 days that gmail allows
	manyPages   = 20       // of a window: the next is shorter
	windowSeam  = time.Second

	lookBackEvery = 4 * time.Minute // polls between look back on nearOverlap only
	heavyEvery    = time.Hour       // the same, where looking back takes many pages
	nearOverlap   = 10 * time.Minute

	activityVersion = 1
)

// activityCursor is a place in the log of an application. Times are in ms.
type activityCursor struct {
	Version int   `json:"v"`
	Mark    int64 `json:"mark,omitzero"`  // everything before it has been read that showed then
	Back    int64 `json:"back,omitzero"`  // when a poll looked back on all that may be late, by the vendor's clock
	Heavy   bool  `json:"heavy,omitzero"` // it took many pages
	Span    int64 `json:"span,omitzero"`  // how long windows are

	// Of the window under way. To 0: none is.
	From  int64  `json:"from,omitzero"`
	To    int64  `json:"to,omitzero"`
	Asked int64  `json:"asked,omitzero"` // when its first page was had, by the vendor's clock; 0 before
	Last  bool   `json:"last,omitzero"`  // the poll ends with it
	Deep  bool   `json:"deep,omitzero"`  // it begins where the last one of Back may have missed something
	Token string `json:"token,omitzero"` // of its next page; "" the first
	Pages int    `json:"pages,omitzero"`
	Again bool   `json:"again,omitzero"` // it was begun anew because a token was refused, and none has been taken since
}

func parseActivityCursor(c sources.Cursor) (activityCursor, error) {
	if c == "" {
		return activityCursor{Version: activityVersion, Span: firstWindow.Milliseconds()}, nil
	}
	var at activityCursor
	err := json.Unmarshal([]byte(c), &at, json.RejectUnknownMembers(true))
	if err != nil || at.Version != activityVersion || !goodToken(at.Token) || at.Span < minWindow.Milliseconds() || at.Span > maxWindow.Milliseconds() ||
		at.Mark < 0 || at.From < 0 || at.To != 0 && at.To <= at.From {
		return activityCursor{}, fault.New(fault.Expired, "cursor %.40q is none of version %d", c, activityVersion)
	}
	return at, nil
}

func (at activityCursor) cursor() sources.Cursor {
	b, err := json.Marshal(at)
	if err != nil {
		panic(err) // a struct of text and numbers
	}
	return sources.Cursor(b)
}

// window sets the next window, where none is under way. It returns from when the
// log is read anew: 0, where it goes on.
func (at *activityCursor) window(now time.Time, since, overlap time.Duration) (anew int64) {
	if at.To != 0 {
		return 0
	}
	end, oldest := now.UnixMilli(), now.Add(-activityRetention).UnixMilli()
	at.Deep = true
	switch every := map[bool]time.Duration{false: lookBackEvery, true: heavyEvery}[at.Heavy]; {
	case at.Mark == 0:
		anew = max(now.Add(-since).UnixMilli(), oldest)
		at.From = anew
	case end-at.Back >= every.Milliseconds(), end < at.Back:
		at.From = min(at.Mark-windowSeam.Milliseconds(), at.Back-overlap.Milliseconds())
	default:
		at.Deep, at.From = false, at.Mark-nearOverlap.Milliseconds()
	}
	if at.From < oldest {
		at.From = oldest
		if at.Mark < oldest { // what was between is gone
			anew = oldest
		}
	}
	at.To = max(at.From, at.Mark) + at.Span
	if at.Last = at.To >= end; at.Last {
		at.To = max(end, at.From+1) // the clock may have been set back
	}
	at.Asked, at.Token, at.Pages, at.Again = 0, "", 0, false
	return anew
}

// restart begins the window under way anew: shorter, so that it may come to its
// end.
func (at *activityCursor) restart() {
	at.Span = max(at.Span/2, minWindow.Milliseconds())
	if to := max(at.From, at.Mark) + at.Span; to < at.To {
		at.To, at.Last = to, false
	}
	at.Asked, at.Token, at.Pages, at.Again = 0, "", 0, true
}

// done ends the window under way: all of it has been read.
func (at *activityCursor) done() {
	at.Mark = max(at.Mark, min(at.To, at.Asked))
	if at.Deep {
		at.Back, at.Heavy = at.Asked, at.Pages > manyPages
	}
	switch {
	case at.Pages <= 1:
		at.Span = min(2*at.Span, maxWindow.Milliseconds())
	case at.Pages > manyPages:
		at.Span = max(at.Span/2, minWindow.Milliseconds())
	}
	*at = activityCursor{Version: at.Version, Mark: at.Mark, Back: at.Back, Heavy: at.Heavy, Span: at.Span}
}

// readActivities implements sources.Stream.Read, and has the next page fetched
// and mapped while the last is at work.
func (s *session) readActivities(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		pages := [2]*activityPage{s.activity.pages.Get().(*activityPage), s.activity.pages.Get().(*activityPage)}
		defer s.releaseActivities(pages[0])
		defer s.releaseActivities(pages[1])
		each := s.eachActivityPage
		if strings.HasPrefix(l.ID, sources.PastLane) {
			each = s.eachPastActivities
		}
		sources.Ahead(ctx, func(ctx context.Context) iter.Seq2[*sources.Page, error] {
			return func(yield func(*sources.Page, error) bool) {
				if err := each(ctx, l, c, pages, yield); err != nil {
					yield(nil, err)
				}
			}
		})(yield)
	}
}

// eachActivityPage yields the pages of an application's log up to now, by turns
// in two memories.
func (s *session) eachActivityPage(ctx context.Context, l sources.Lane, c sources.Cursor, pages [2]*activityPage, yield func(*sources.Page, error) bool) error {
	at, err := parseActivityCursor(c)
	if err != nil {
		return err
	}
	for i := 0; ; i++ {
		p := pages[i%2]
		anew := at.window(s.env.Clock.Now(), s.cfg.Activities.Since, overlapOf(l.ID))
		ended, err := s.activityPage(ctx, l.ID, p, &at, i == 0)
		if err != nil {
			return err
		}
		last := at.Last
		if ended {
			at.done()
		}
		p.page.Since = schemas.Time(anew)
		p.page.Next, p.page.More = at.cursor(), !ended || !last
		if !yield(&p.page, nil) || !p.page.More {
			return nil
		}
	}
}

// activityPage gets and maps the next page of the window under way, and tells
// whether it was its last. resumed: a reading begins with it.
func (s *session) activityPage(ctx context.Context, app string, p *activityPage, at *activityCursor, resumed bool) (ended bool, err error) {
	resp, next, err := s.fetchActivities(ctx, app, at)
	switch {
	case at.Token == "":
	case err == nil:
		at.Again = false
	case fault.Of(err) == fault.Expired && (resumed || !at.Again):
		at.restart()
		resp, next, err = s.fetchActivities(ctx, app, at)
	case fault.Of(err) == fault.Expired: // twice in a row: it is left to another reading
		return false, fault.New(fault.Transient, "%w", err)
	}
	if err != nil {
		return false, explainActivities(app, err)
	}
	if at.Pages == 0 {
		// Nothing is complete up to a time that the vendor's clock has not come to.
		at.Asked = min(resp.At.UnixMilli(), resp.At.Add(resp.Skew).UnixMilli())
	}
	if err := p.fill(resp); err != nil {
		return false, err
	}
	at.Pages++
	at.Token = next
	return next == "", nil
}

// fetchActivities gets a page of the window under way, by its token.
func (s *session) fetchActivities(ctx context.Context, app string, at *activityCursor) (*httpx.Response, string, error) {
	return s.fetch(ctx, s.activityListing(app, at.From, at.To), at.Token, s.env.Clock.Now())
}
