package googleworkspace

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// maxPast is how much of the past one lane holds: gmail takes no more than 30
// days.
const maxPast = 14 * day

// pastActivities implements sources.Stream.Past: a lane for each application,
// the newest events first; that is also the vendor's order within one.
func (s *session) pastActivities(_ context.Context, from, to time.Time, _ sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		page := &sources.LanePage{Complete: true}
		for end := to; end.After(from); end = end.Add(-maxPast) {
			begin := end.Add(-maxPast)
			if begin.Before(from) {
				begin = from
			}
			for _, app := range s.cfg.Activities.Applications {
				id := fmt.Sprintf("%s%s/%d-%d", sources.PastLane, app, begin.UnixMilli(), end.UnixMilli())
				page.Lanes = append(page.Lanes, sources.Lane{ID: id, Once: true})
			}
		}
		yield(page, nil)
	}
}

// parsePastLane reads a lane's application and window, in ms.
func parsePastLane(id string) (app string, from, to int64, err error) {
	app, window, _ := strings.Cut(strings.TrimPrefix(id, sources.PastLane), "/")
	a, b, _ := strings.Cut(window, "-")
	from, errA := strconv.ParseInt(a, 10, 64)
	to, errB := strconv.ParseInt(b, 10, 64)
	if errA != nil || errB != nil || from < 0 || from >= to || !validApplication(app) {
		return "", 0, 0, fault.New(fault.Permanent, "lane %.80q is no window of a log", id)
	}
	return app, from, to, nil
}

// pastSpan implements sources.Stream.Span.
func pastSpan(l sources.Lane) (from, to schemas.Time) {
	if _, a, b, err := parsePastLane(l.ID); strings.HasPrefix(l.ID, sources.PastLane) && err == nil {
		return schemas.Time(a), schemas.Time(b)
	}
	return 0, 0
}

// eachPastActivities yields the pages of a window of the past. A log that the
// edition lacks holds nothing.
func (s *session) eachPastActivities(ctx context.Context, l sources.Lane, c sources.Cursor, pages [2]*activityPage, yield func(*sources.Page, error) bool) error {
	app, from, to, err := parsePastLane(l.ID)
	if err != nil {
		return err
	}
	at, err := parseActivityCursor(c)
	if err != nil {
		return err
	}
	if at.To == 0 {
		// Whether the vendor takes the ends for within is not told.
		seam := windowSeam.Milliseconds()
		at.From, at.To = max(from-seam, s.env.Clock.Now().Add(-activityRetention).UnixMilli()), to+seam
		if at.From >= at.To {
			return emptyPast(pages[0], yield)
		}
	}
	for i := 0; ; i++ {
		p := pages[i%2]
		resp, next, err := s.fetchActivities(ctx, app, &at)
		if err != nil {
			if err = explainActivities(app, err); fault.Of(err) == fault.NotLicensed && at.Token == "" {
				return emptyPast(p, yield)
			}
			return err
		}
		if err := p.fill(resp); err != nil {
			return err
		}
		at.Token = next
		p.page.Next, p.page.More = at.cursor(), next != ""
		if !yield(&p.page, nil) || !p.page.More {
			return nil
		}
	}
}

// emptyPast yields that a window holds nothing.
func emptyPast(p *activityPage, yield func(*sources.Page, error) bool) error {
	p.rows.Activities = p.rows.Activities[:0]
	p.page = sources.Page{Rows: &p.rows}
	yield(&p.page, nil)
	return nil
}
