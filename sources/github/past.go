package github

import (
	"context"
	"fmt"
	"iter"
	"net/url"
	"strconv"
	"strings"
	"time"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// pastLanes implements sources.Stream.Past: a window is one lane, a search for
// created:A..B, which GitHub lists to its end however long it is.
func pastLanes(_ context.Context, from, to time.Time, _ sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		id := fmt.Sprintf("%s%d-%d", sources.PastLane, from.UnixMilli(), to.UnixMilli())
		yield(&sources.LanePage{Lanes: []sources.Lane{{ID: id, Once: true}}, Complete: true}, nil)
	}
}

// pastQuery is the search for a lane's window. Both ends are whole seconds, and
// within it.
func (s *session) pastQuery(id string) (url.Values, error) {
	a, b, _ := strings.Cut(strings.TrimPrefix(id, sources.PastLane), "-")
	first, errA := strconv.ParseInt(a, 10, 64)
	last, errB := strconv.ParseInt(b, 10, 64)
	if errA != nil || errB != nil || first >= last {
		return nil, fault.New(fault.Permanent, "lane %.80q is no window of the audit log", id)
	}
	stamp := func(ms int64) string { return time.UnixMilli(ms).UTC().Truncate(resolution).Format(time.RFC3339) }
	return s.auditQuery("created:" + stamp(first) + ".." + stamp(last-1)), nil
}

// readStream implements sources.Stream.Read.
func (s *session) readStream(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
	if !strings.HasPrefix(l.ID, sources.PastLane) {
		return s.readActivities(ctx, l, c)
	}
	return func(yield func(*sources.Page, error) bool) {
		if err := s.eachPastPage(ctx, l, c, yield); err != nil {
			yield(nil, err)
		}
	}
}

// eachPastPage yields the pages of a window. When a link is refused the window
// is to be read again from its beginning: what it shows twice, the pipeline
// knows.
func (s *session) eachPastPage(ctx context.Context, l sources.Lane, c sources.Cursor, yield func(*sources.Page, error) bool) error {
	query, err := s.pastQuery(l.ID)
	if err != nil {
		return err
	}
	at, err := parseAuditCursor(c)
	if err != nil {
		return err
	}
	path, m, rows := s.auditPath(), &auditMapper{}, &schemas.Rows{}
	for {
		asked := query
		if at.Link != "" {
			asked = nil
		}
		r, err := s.get(ctx, path, asked, at.Link)
		switch {
		case err == nil:
		case at.Link != "" && refusedLink(err):
			return fault.New(fault.Expired, "GitHub does not know the link to the next page any more: %w", err)
		case fault.Of(err) == fault.Expired:
			return fault.New(fault.Permanent, "GitHub refuses the question for its audit log: %w", err)
		case statusOf(err) == 404:
			return s.unlicensed(ctx, err)
		default:
			return err
		}
		elems, err := elements(r)
		if err != nil {
			return err
		}
		next := auditCursor{V: auditVersion}
		if next.Link, err = s.next(r, path); err != nil {
			return err
		}
		rows.Reset()
		page := &sources.Page{Rows: rows, More: next.Link != ""}
		m.page(elems.elements, page)
		if page.Next, err = next.cursor(); err != nil {
			return err
		}
		if !yield(page, nil) || !page.More {
			return nil
		}
		at = next
	}
}
