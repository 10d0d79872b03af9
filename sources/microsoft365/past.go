package microsoft365

import (
	"context"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"weir/internal/fault"
	"weir/sources"
)

// pastSpan is how much of the past one lane holds.
const pastSpan = 6 * time.Hour

// entraPast implements sources.Stream.Past: lanes of pastSpan, the newest first.
func entraPast(_ context.Context, from, to time.Time, _ sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		page := &sources.LanePage{Complete: true}
		for end := to; end.After(from); end = end.Add(-pastSpan) {
			begin := end.Add(-pastSpan)
			if begin.Before(from) {
				begin = from
			}
			id := fmt.Sprintf("%s%d-%d", sources.PastLane, begin.UnixMilli(), end.UnixMilli())
			page.Lanes = append(page.Lanes, sources.Lane{ID: id, Once: true})
		}
		yield(page, nil)
	}
}

// parsePast reads a lane's window, in milliseconds.
func parsePast(id string) (from, to int64, err error) {
	a, b, _ := strings.Cut(strings.TrimPrefix(id, sources.PastLane), "-")
	from, errA := strconv.ParseInt(a, 10, 64)
	to, errB := strconv.ParseInt(b, 10, 64)
	if errA != nil || errB != nil || from >= to {
		return 0, 0, fault.New(fault.Permanent, "lane %.80q is no window of time", id)
	}
	return from, to, nil
}

// eachPastPage yields the pages of a window of the past.
func (s *session) eachPastPage(ctx context.Context, l *entraLog, lane sources.Lane, c sources.Cursor, yield func(*sources.Page, error) bool) error {
	from, to, err := parsePast(lane.ID)
	if err != nil {
		return err
	}
	at, err := parseLogCursor(c)
	if err != nil {
		return err
	}
	end := (to + 999) / 1000 // a second that has begun is asked for whole
	if at.Began == 0 {
		at.Began, at.From, at.Span = end, from/1000, int64(logWindow/time.Second)
	}
	p := newEntraPage(l)
	for resumed := true; ; resumed = false {
		at.window(time.Unix(end, 0))
		ended, err := s.entraPage(ctx, p, &at, resumed)
		if err != nil {
			return err
		}
		if ended {
			at.done(0)
		}
		p.page.Next, p.page.More = at.cursor(), at.Began != 0
		if !yield(&p.page, nil) || !p.page.More {
			return nil
		}
	}
}
