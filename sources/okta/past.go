package okta

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// The past is polled too: queries with an end may lack late events, and Okta
// warns of skipped and repeated ones where they follow each other. since is then
// compared with when an event was stored, which is after it happened, so a lane
// begins where its window does, and is read on until the events are logLateness
// younger than the window.

// pastLanes implements sources.Stream.Past: a window is one lane.
func pastLanes(_ context.Context, from, to time.Time, _ sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		id := fmt.Sprintf("%s%d-%d", sources.PastLane, from.UnixMilli(), to.UnixMilli())
		yield(&sources.LanePage{Lanes: []sources.Lane{{ID: id, Once: true}}, Complete: true}, nil)
	}
}

// parsePast reads a lane's window.
func parsePast(id string) (from, to time.Time, err error) {
	a, b, _ := strings.Cut(strings.TrimPrefix(id, sources.PastLane), "-")
	first, errA := strconv.ParseInt(a, 10, 64)
	last, errB := strconv.ParseInt(b, 10, 64)
	if errA != nil || errB != nil || first >= last {
		return from, to, fault.New(fault.Permanent, "lane %.80q is no window of the System Log", id)
	}
	return time.UnixMilli(first).UTC(), time.UnixMilli(last).UTC(), nil
}

// readActivities implements sources.Stream.Read.
func (s *session) readActivities(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	if strings.HasPrefix(l.ID, sources.PastLane) {
		return s.readPast(ctx, l, c)
	}
	return s.readLog(ctx, l, c)
}

// readPast yields the events of a window, from a cursor on.
func (s *session) readPast(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	return func(yield func(*sources.Page, error) bool) {
		if err := s.eachPastPage(ctx, l, c, yield); err != nil {
			yield(nil, err)
		}
	}
}

func (s *session) eachPastPage(ctx context.Context, l sources.Lane, c sources.Cursor, yield func(*sources.Page, error) bool) error {
	from, to, err := parsePast(l.ID)
	if err != nil {
		return err
	}
	at, err := parseCursor(c)
	if err != nil {
		return err
	}
	org, err := s.Tenant(ctx)
	if err != nil {
		return err
	}
	page := s.logPages.Get().(*logPage)
	defer s.release(page)
	for {
		resp, next, err := s.fetchLog(ctx, &at, func(at cursor) listing { return s.pastSince(at, from) })
		if err == nil {
			err = page.fill(resp, org)
		}
		if err != nil {
			return err
		}
		asked := at.At
		caughtUp := page.advance(resp, &at, next)
		if !caughtUp && next == asked {
			return errItself(resp)
		}
		page.page.Watermark = 0
		page.page.More = !caughtUp && at.Time < to.Add(logLateness).UnixMilli()
		// What happened later is another window's.
		page.rows.Activities = slices.DeleteFunc(page.rows.Activities, func(a schemas.Activity) bool { return int64(a.Time) >= to.UnixMilli() })
		if !yield(&page.page, nil) || !page.page.More {
			return nil
		}
	}
}

// pastSince is the listing from a window's beginning on, or from behind the
// newest event seen where a cursor was refused.
func (s *session) pastSince(at cursor, from time.Time) listing {
	if at.Time != 0 {
		if behind := time.UnixMilli(at.Time).Add(-restartBehind); behind.After(from) {
			from = behind
		}
	}
	if oldest := s.env.Clock.Now().Add(-retention); from.Before(oldest) {
		from = oldest
	}
	return listing{path: httpx.P(pathLogs), polled: true, query: url.Values{
		"since": {formatTime(from)}, "limit": {strconv.Itoa(pageEvents)}, "sortOrder": {"ASCENDING"},
	}}
}
