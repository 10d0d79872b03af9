package googleworkspace

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

func TestAlertsGolden(t *testing.T) {
	t.Parallel()
	var rows schemas.Rows
	again, err := newRemapper(nil)
	require.NoError(t, err)
	for _, raw := range activityItems(t, "testdata/alerts.json") {
		var a schemas.Activity
		require.Empty(t, newActivityMapper().mapAlert(&a, raw, testCustomer))
		rows.Activities = append(rows.Activities, a)
		for _, stream := range []string{"", streamAlerts} {
			var anew schemas.Rows
			require.NoError(t, again.Map(sources.MapInput{Stream: stream, Tenant: testCustomer}, a.Raw, &anew))
			require.Equal(t, []schemas.Activity{a}, anew.Activities)
		}
	}
	golden(t, "alerts", schemas.TableActivities, &rows)
	for _, raw := range []string{"", "7", "{}", `{"alertId":"x"}`, `{"alertId":"x","createTime":"2026-10-01T06:30:00Z"}`, `{"alertId":"x","type":"y","createTime":"now"}`} {
		var a schemas.Activity
		require.NotEmpty(t, newActivityMapper().mapAlert(&a, raw, ""), raw)
	}
}

// alertCenter lists alerts, two a page, the newest first.
type alertCenter struct {
	v      *vendor
	mu     sync.Mutex
	alerts []time.Time
	stale  bool // tokens are not known any more
}

func (c *alertCenter) answer(r *http.Request, subject, scopes string) answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	q := r.URL.Query()
	stamp, ok := strings.CutPrefix(strings.TrimSuffix(q.Get("filter"), `"`), `createTime >= "`)
	from, err := time.Parse(time.RFC3339, stamp)
	switch {
	case strings.HasPrefix(r.URL.Path, "/admin/directory/v1/customers/"):
		return answer{body: `{"kind":"admin#directory#customer","id":"` + testCustomer + `"}`}
	case r.URL.Path != "/v1beta1/alerts" || subject != testSubject || scopes != "apps.alerts" || !ok || err != nil || q.Get("orderBy") != "create_time desc":
		return answer{status: 500, body: "what is that?"}
	}
	var items []string
	for i, at := range slices.Backward(c.alerts) {
		if !at.Before(from) {
			items = append(items, fmt.Sprintf(`{"alertId":"a%d","createTime":"%s","type":"t"}`, i, at.UTC().Format(time.RFC3339Nano)))
		}
	}
	skip := 0
	if token := q.Get("pageToken"); token != "" {
		if _, err := fmt.Sscanf(token, "p%d", &skip); err != nil || c.stale {
			return answer{status: 400, body: `{"error":{"code":400,"message":"Request contains an invalid argument.","status":"INVALID_ARGUMENT"}}`}
		}
	}
	end := min(skip+2, len(items))
	body := `{"alerts":[` + strings.Join(items[skip:end], ",") + `]`
	if end < len(items) {
		body += fmt.Sprintf(`,"nextPageToken":"p%d"`, end)
	}
	return answer{body: body + "}"}
}

// Alerts are listed from a day before the last poll, and once an hour from a
// month ago, since they are rewritten; the place moves at the list's end.
func TestAlerts(t *testing.T) {
	t.Parallel()
	c := &alertCenter{}
	c.v = newVendor(t, c.answer)
	s := c.v.open(nil)
	require.NoError(t, s.probeAlerts(t.Context()))
	for _, days := range []int{40, 29, 10, 2} {
		c.alerts = append(c.alerts, noon.Add(-time.Duration(days)*day))
	}
	poll := func(at sources.Cursor, most int) (ids []string, next sources.Cursor, last sources.Page) {
		t.Helper()
		for p, err := range s.readAlerts(t.Context(), sources.Lane{}, at) {
			require.NoError(t, err)
			for _, a := range p.Rows.Activities {
				ids = append(ids, a.EventID)
				require.Equal(t, testCustomer, a.ScopeID)
			}
			next, last = p.Next, *p
			if most--; most == 0 {
				break
			}
		}
		return ids, next, last
	}
	from := func() time.Time {
		all := c.v.requests()
		u, err := url.Parse(strings.Fields(all[len(all)-1])[1])
		require.NoError(t, err)
		at, err := time.Parse(time.RFC3339, strings.TrimSuffix(strings.TrimPrefix(u.Query().Get("filter"), `createTime >= "`), `"`))
		require.NoError(t, err)
		return at
	}
	ids, half, first := poll("", 1)
	require.Equal(t, []string{"a3", "a2"}, ids)
	require.WithinDuration(t, noon.Add(-30*day), time.UnixMilli(int64(first.Since)), time.Minute)
	require.True(t, first.More)
	require.Zero(t, first.Watermark)
	c.stale = true // the list begins anew, all of it
	ids, _, _ = poll(half, 1)
	require.Equal(t, []string{"a3", "a2"}, ids)
	c.stale = false
	ids, at, last := poll(half, toTheEnd)
	require.Equal(t, []string{"a1"}, ids)
	require.False(t, last.More)
	require.WithinDuration(t, c.v.clock.Now().Add(-day), time.UnixMilli(int64(last.Watermark)), time.Minute)
	from()

	c.v.clock.Skip(5 * time.Minute)
	ids, at, _ = poll(at, toTheEnd)
	require.Empty(t, ids)
	require.WithinDuration(t, noon.Add(-day), from(), 20*time.Second)
	c.v.clock.Skip(time.Hour)
	ids, at, _ = poll(at, toTheEnd)
	require.Equal(t, []string{"a3", "a2", "a1"}, ids, "what may have been rewritten")
	require.WithinDuration(t, c.v.clock.Now().Add(-30*day), from(), time.Minute)

	c.v.clock.Skip(60 * day)
	_, _, last = poll(at, toTheEnd)
	require.WithinDuration(t, c.v.clock.Now().Add(-30*day), time.UnixMilli(int64(last.Since)), time.Minute, "what was between is told as lost")

	for _, bad := range []sources.Cursor{"x", "{}", `{"v":2}`, `{"v":1,"from":-1}`} {
		for _, err := range s.readAlerts(t.Context(), sources.Lane{}, bad) {
			require.Equal(t, fault.Expired, fault.Of(err), bad)
		}
	}
}

func FuzzMapAlert(f *testing.F) {
	for _, raw := range activityItems(f, "testdata/alerts.json") {
		f.Add(raw)
	}
	m := newActivityMapper()
	f.Fuzz(func(t *testing.T, raw string) {
		if !validRecord(raw) {
			return
		}
		var a schemas.Activity
		m.reset()
		if m.mapAlert(&a, raw, testCustomer) == "" {
			require.NotEmpty(t, a.EventID)
			require.NotZero(t, a.Time)
		}
	})
}
