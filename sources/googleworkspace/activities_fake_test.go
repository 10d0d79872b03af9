package googleworkspace

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/sources"
)

// fakeEvent is an event of a fake log: when it happened, and when it shows.
type fakeEvent struct {
	id        int
	at, shown time.Time
}

// fakeReports answers as the Reports API does: newest first, by tokens that are
// bound to their window, and of what shows already.
type fakeReports struct {
	v     *vendor
	size  int      // of a page
	lacks []string // applications

	mu     sync.Mutex
	refuse string // a token with this in it is not known any more
	logs   map[string][]fakeEvent
	chains map[string][]fakeEvent // what a listing showed when it began, by its window
	made   int
}

func newReports(t *testing.T) *fakeReports {
	f := &fakeReports{size: 3, logs: map[string][]fakeEvent{}, chains: map[string][]fakeEvent{}}
	f.v = newVendor(t, f.answer)
	return f
}

const badRequest = `{"error":{"code":400,"message":"Invalid Value","errors":[{"domain":"global","reason":"invalid","message":"Invalid Value"}]}}`

func (f *fakeReports) answer(r *http.Request, subject, scopes string) answer {
	f.mu.Lock()
	defer f.mu.Unlock()
	app, ok := strings.CutPrefix(r.URL.Path, "/admin/reports/v1/activity/users/all/applications/")
	q := r.URL.Query()
	from, errFrom := time.Parse(time.RFC3339, q.Get("startTime"))
	to, errTo := time.Parse(time.RFC3339, q.Get("endTime"))
	now := f.v.clock.Now()
	switch {
	case !ok || subject != testSubject || scopes != "admin.reports.audit.readonly" || errFrom != nil || errTo != nil || q.Get("maxResults") == "":
		return answer{status: 500, body: "what is that?"}
	case slices.Contains(f.lacks, app), !from.Before(to), !from.Before(now), from.Before(now.Add(-180 * day)), app == "gmail" && to.Sub(from) > 30*day:
		return answer{status: 400, body: badRequest}
	}
	token, window := q.Get("pageToken"), app+q.Get("startTime")+q.Get("endTime")
	var all []fakeEvent
	skip := 0
	if token == "" {
		for _, e := range f.logs[app] {
			if !e.at.Before(from) && !e.at.After(to) && !e.shown.After(now) {
				all = append(all, e)
			}
		}
		slices.SortFunc(all, func(a, b fakeEvent) int { return b.at.Compare(a.at) })
		f.chains[window] = all
	} else {
		chain, n, _ := strings.Cut(token, "|")
		var err error
		if skip, err = strconv.Atoi(n); err != nil || chain != "A:"+strings.ReplaceAll(window, ":", "") || f.refuse != "" && strings.Contains(token, f.refuse) {
			return answer{status: 400, body: badRequest}
		}
		if all, ok = f.chains[window]; !ok {
			return answer{status: 400, body: badRequest}
		}
	}
	end := min(skip+f.size, len(all))
	var items []string
	for _, e := range all[skip:end] {
		items = append(items, fmt.Sprintf(`{"id":{"time":"%s","uniqueQualifier":"%d","applicationName":"%s","customerId":"C1"},"events":[{"type":"x","name":"e%d"}]}`,
			e.at.UTC().Format("2006-01-02T15:04:05.000Z"), -e.id, app, e.id))
	}
	body := `{"kind":"admin#reports#activities","etag":"\"x\""`
	if len(items) > 0 {
		body += `,"items":[` + strings.Join(items, ",") + `]`
	}
	if end < len(all) {
		body += `,"nextPageToken":"A:` + strings.ReplaceAll(window, ":", "") + "|" + strconv.Itoa(end) + `"`
	}
	return answer{body: body + "}"}
}

// refuses has tokens refused, or none: "".
func (f *fakeReports) refuses(token string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refuse = token
}

// happen adds an event that happened some time ago and shows late.
func (f *fakeReports) happen(app string, ago, late time.Duration) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made++
	at := f.v.clock.Now().Add(-ago)
	f.logs[app] = append(f.logs[app], fakeEvent{f.made, at, at.Add(late)})
	return "e" + strconv.Itoa(f.made)
}

// poll reads a lane from a cursor, at most some pages, and returns the events'
// names and where to go on.
func (f *fakeReports) poll(t *testing.T, s *session, lane string, c sources.Cursor, most int) (names []string, next sources.Cursor, more bool) {
	t.Helper()
	next, more = c, true
	for p, err := range s.readActivities(t.Context(), sources.Lane{ID: lane}, c) {
		require.NoError(t, err)
		for _, a := range p.Rows.Activities {
			names = append(names, a.Action)
		}
		require.LessOrEqual(t, len(p.Next), sources.MaxCursor)
		next, more = p.Next, p.More
		if most--; most == 0 {
			break
		}
	}
	return names, next, more
}

const toTheEnd = -1

func cursorOf(t *testing.T, c sources.Cursor) activityCursor {
	t.Helper()
	at, err := parseActivityCursor(c)
	require.NoError(t, err)
	return at
}
