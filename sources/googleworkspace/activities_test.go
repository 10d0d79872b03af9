package googleworkspace

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/sources"
)

// The place moves at a window's end, and not before: while the newest pages are
// read the older ones are still to come, and must come whatever happens.
func TestActivityPlaceMovesAtTheWindowsEnd(t *testing.T) {
	t.Parallel()
	f := newReports(t)
	s := f.v.open(nil)
	_, c, more := f.poll(t, s, "admin", "", toTheEnd)
	require.False(t, more)
	start := cursorOf(t, c)
	f.v.clock.Skip(30 * time.Minute)
	var want []string
	for i := range 8 {
		want = append(want, f.happen("admin", time.Duration(i+1)*time.Minute, 0))
	}
	got, first, more := f.poll(t, s, "admin", c, 1)
	require.True(t, more)
	require.Equal(t, want[:3], got, "the newest first")
	at := cursorOf(t, first)
	require.Equal(t, start.Mark, at.Mark, "the window is not read yet")
	require.Equal(t, start.Back, at.Back)

	// Another process goes on in the same window, later, and gets the rest. The
	// window's end stands: what happens meanwhile is the next one's.
	f.v.clock.Skip(10 * time.Minute)
	newer := f.happen("admin", time.Second, 0)
	f.v.requests()
	rest, end, more := f.poll(t, f.v.open(nil), "admin", first, toTheEnd)
	require.Equal(t, want[3:], rest)
	require.False(t, more)
	for _, r := range f.v.requests() {
		require.Contains(t, r, "endTime="+strings.ReplaceAll(time.UnixMilli(at.To).UTC().Format("2006-01-02T15:04:05.000Z"), ":", "%3A"))
	}
	require.InDelta(t, at.To, cursorOf(t, end).Mark, 2000, "no further than the vendor's clock")

	// Where the vendor does not take the token any more, the window is read anew,
	// all of it: were the place in its middle, these would be lost.
	f.refuses("|3")
	again, _, _ := f.poll(t, f.v.open(nil), "admin", first, 1)
	require.Subset(t, again, want[:3])
	f.refuses("")
	again, end, more = f.poll(t, f.v.open(nil), "admin", first, toTheEnd)
	require.Subset(t, append(again, got...), want)
	require.False(t, more)
	got, _, _ = f.poll(t, s, "admin", end, toTheEnd)
	require.Contains(t, got, newer)
}

// However a reading is cut short, and whichever tokens are refused, all events
// are read that show within the time that a poll looks back on.
func TestActivitiesUnderInterruptions(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		f := newReports(t)
		app, most := "admin", 55*time.Minute
		if seed%2 == 1 {
			app, most = "drive", 5*time.Hour+50*time.Minute
		}
		s := f.v.open(func(c *Config) { c.Activities.Since = 2 * day })
		want, got := map[string]bool{}, map[string]bool{}
		var c sources.Cursor
		for range 120 {
			for range r.IntN(4) {
				want[f.happen(app, time.Duration(r.IntN(60))*time.Second, time.Duration(r.Int64N(int64(most))))] = true
			}
			f.v.clock.Skip(time.Duration(r.IntN(9)) * time.Minute)
			f.refuses([]string{"", "", "|3", "|6", "A:"}[r.IntN(5)])
			pages := 1 + r.IntN(6)
			for p, err := range s.readActivities(t.Context(), sources.Lane{ID: app}, c) {
				if err != nil {
					require.Equal(t, fault.Transient, fault.Of(err), err)
					break
				}
				for _, a := range p.Rows.Activities {
					got[a.Action] = true
				}
				c = p.Next
				if pages--; pages == 0 {
					break
				}
			}
		}
		f.refuses("")
		f.v.clock.Skip(7 * time.Hour)
		for range 3 {
			var names []string
			names, c, _ = f.poll(t, s, app, c, toTheEnd)
			for _, n := range names {
				got[n] = true
			}
			f.v.clock.Skip(10 * time.Minute)
		}
		for e := range want {
			require.True(t, got[e], "seed %d: %s of %d", seed, e, len(want))
		}
	}
}

// A poll looks back as far as events of the application usually come late, one
// that follows soon only a little.
func TestActivityOverlap(t *testing.T) {
	t.Parallel()
	f := newReports(t)
	s := f.v.open(nil)
	for app, overlap := range map[string]time.Duration{"admin": time.Hour, "drive": 6 * time.Hour, "login": 6 * time.Hour, "brandnew": 6 * time.Hour} {
		_, c, _ := f.poll(t, s, app, "", toTheEnd)
		began := func() time.Duration {
			f.v.requests()
			mark := cursorOf(t, c)
			_, c, _ = f.poll(t, s, app, c, toTheEnd)
			asked := f.v.requests()
			require.Len(t, asked, 1)
			_, query, _ := strings.Cut(asked[0], "?")
			q, err := url.ParseQuery(query)
			require.NoError(t, err)
			from, err := time.Parse(time.RFC3339, q.Get("startTime"))
			require.NoError(t, err)
			return time.UnixMilli(mark.Mark).Sub(from)
		}
		f.v.clock.Skip(5 * time.Minute)
		require.InDelta(t, overlap, began(), float64(10*time.Second), app)
		f.v.clock.Skip(time.Minute)
		require.Equal(t, 10*time.Minute, began(), app)
		f.v.clock.Skip(4 * time.Minute)
		require.InDelta(t, overlap, began(), float64(2*time.Minute), app)
	}
}

// A log of which looking back takes many pages is looked back on once an hour;
// what came late is found then.
func TestActivityHeavyLog(t *testing.T) {
	t.Parallel()
	f := newReports(t)
	s := f.v.open(nil)
	for i := range 300 {
		f.happen("drive", time.Duration(i)*time.Minute, 0)
	}
	_, c, _ := f.poll(t, s, "drive", "", toTheEnd)
	f.v.clock.Skip(5 * time.Minute)
	_, c, _ = f.poll(t, s, "drive", c, toTheEnd)
	require.True(t, cursorOf(t, c).Heavy)
	late := f.happen("drive", 2*time.Hour, 2*time.Hour)
	f.v.clock.Skip(10 * time.Minute)
	f.v.requests()
	names, c, _ := f.poll(t, s, "drive", c, toTheEnd)
	require.NotContains(t, names, late)
	require.Less(t, len(f.v.requests()), 10)
	f.v.clock.Skip(time.Hour)
	names, _, _ = f.poll(t, s, "drive", c, toTheEnd)
	require.Contains(t, names, late)
}

// The first collection goes back as far as the vendor keeps, in windows that it
// takes; after a longer outage a gap is told.
func TestActivityRetention(t *testing.T) {
	t.Parallel()
	f := newReports(t)
	s := f.v.open(func(c *Config) { c.Activities.Since = 1000 * day })
	old := f.happen("gmail", 178*day, 0)
	f.happen("gmail", 181*day, 0)
	var first *sources.Page
	var c sources.Cursor
	var names []string
	for p, err := range s.readActivities(t.Context(), sources.Lane{ID: "gmail"}, "") {
		require.NoError(t, err)
		if first == nil {
			page := *p
			first = &page
		} else {
			require.Zero(t, p.Since)
		}
		for _, a := range p.Rows.Activities {
			names = append(names, a.Action)
		}
		c = p.Next
	}
	require.Equal(t, []string{old}, names)
	require.WithinDuration(t, noon.Add(-179*day), time.UnixMilli(int64(first.Since)), time.Minute)
	require.Less(t, len(f.v.requests()), 30, "windows grow where there is little")

	f.v.clock.Skip(200 * day)
	for p, err := range s.readActivities(t.Context(), sources.Lane{ID: "gmail"}, c) {
		require.NoError(t, err)
		require.WithinDuration(t, f.v.clock.Now().Add(-179*day), time.UnixMilli(int64(p.Since)), time.Minute, "what was between is told as lost")
		break
	}
}

// An application that the edition lacks concerns its lane alone; a missing
// privilege, or scope, the stream.
func TestActivityRefusals(t *testing.T) {
	t.Parallel()
	const noPrivilege = `{"error":{"code":401,"message":"Access denied. You are not authorized to read activity records.","errors":[{"domain":"global","reason":"authError","message":"Access denied. You are not authorized to read activity records.","locationType":"header","location":"Authorization"}]}}`
	f := newReports(t)
	f.lacks = []string{"vault", "login"}
	s := f.v.open(nil)
	failure := func(s *session, lane string) error {
		for _, err := range s.readActivities(t.Context(), sources.Lane{ID: lane}, "") {
			return err
		}
		return nil
	}
	err := failure(s, "vault")
	require.Equal(t, fault.NotLicensed, fault.Of(err))
	require.ErrorContains(t, err, "no log of vault")
	require.Equal(t, fault.Permanent, fault.Of(failure(s, "login")), "every edition has it")
	require.NoError(t, failure(s, "drive"))
	ok, err := s.probeActivities(t.Context(), streamActivities)
	require.True(t, ok)
	require.NoError(t, err)
	ok, _ = s.probeActivities(t.Context(), "files")
	require.False(t, ok)

	v := newVendor(t, func(*http.Request, string, string) answer { return answer{status: 401, body: noPrivilege} })
	err = failure(v.open(nil), "drive")
	require.Equal(t, fault.Forbidden, fault.Of(err), err)
	require.ErrorContains(t, err, "privilege Reports")
	ok, err = v.open(nil).probeActivities(t.Context(), streamActivities)
	require.True(t, ok)
	require.Equal(t, fault.Forbidden, fault.Of(err), err)

	for body, class := range map[string]fault.Class{
		`<html>`: fault.Transient, `[]`: fault.BadData, `{"kind":"else"}`: fault.Transient, `{"kind":"admin#reports#activities","items":7}`: fault.BadData,
		`{"kind":"admin#reports#activities","nextPageToken":"\u0001"}`: fault.BadData,
	} {
		v := newVendor(t, func(*http.Request, string, string) answer { return answer{body: body} })
		require.Equal(t, class, fault.Of(failure(v.open(nil), "drive")), body)
	}
}

// A token that is refused again and again is left to another reading, which
// begins the window anew.
func TestActivityTokensNeverTaken(t *testing.T) {
	t.Parallel()
	f := newReports(t)
	s := f.v.open(nil)
	for i := range 9 {
		f.happen("admin", time.Duration(i)*time.Minute, 0)
	}
	f.refuses("|")
	var c sources.Cursor
	for range 3 {
		n := 0
		var last error
		for p, err := range s.readActivities(t.Context(), sources.Lane{ID: "admin"}, c) {
			if n++; err != nil {
				last = err
				break
			}
			c = p.Next
			require.Less(t, n, 100)
		}
		require.Equal(t, fault.Transient, fault.Of(last))
	}
	f.refuses("")
	clear(f.chains) // nor are the tokens known later on
	names, _, more := f.poll(t, s, "admin", c, toTheEnd)
	require.False(t, more)
	require.Subset(t, names, []string{"e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8", "e9"})
}

// The past is a lane an application, in windows that all of them take; one that
// the edition lacks holds nothing.
func TestActivitiesPast(t *testing.T) {
	t.Parallel()
	f := newReports(t)
	f.lacks = []string{"vault"}
	s := f.v.open(func(c *Config) { c.Activities.Applications = []string{"admin", "gmail", "vault"} })
	st := stream(t, s, streamActivities)
	var want []string
	for i := range 7 {
		want = append(want, f.happen("gmail", 40*day+time.Duration(i)*time.Hour, 0))
	}
	f.happen("gmail", 20*day, 0)
	from, to := noon.Add(-60*day), noon.Add(-30*day)
	var got []string
	lanes := map[string]bool{}
	for page, err := range st.Past(t.Context(), from, to, "") {
		require.NoError(t, err)
		require.True(t, page.Complete)
		for _, l := range page.Lanes {
			require.True(t, l.Once)
			require.True(t, strings.HasPrefix(l.ID, sources.PastLane))
			a, b := st.Span(l)
			require.False(t, int64(a) < from.UnixMilli() || int64(b) > to.UnixMilli() || a >= b)
			lanes[l.ID] = true
			var c sources.Cursor
			for more := true; more; { // a new reading for each page
				var names []string
				names, c, more = f.poll(t, s, l.ID, c, 1)
				got = append(got, names...)
			}
		}
	}
	require.Len(t, lanes, 3*3)
	require.Equal(t, want, got)
	a, b := st.Span(sources.Lane{ID: "admin"})
	require.Zero(t, a+b)

	for _, lane := range []string{"past/", "past/admin", "past/admin/5-3", "past/../1-2", "past/admin/x-y", "past/admin/-1-2"} {
		for _, err := range s.readActivities(t.Context(), sources.Lane{ID: lane, Once: true}, "") {
			require.Equal(t, fault.Permanent, fault.Of(err), lane)
		}
	}
	// A token that is not known any more has the window read anew.
	lane := sources.Lane{ID: fmt.Sprintf("past/gmail/%d-%d", from.UnixMilli(), from.Add(28*day).UnixMilli()), Once: true}
	_, c, more := f.poll(t, s, lane.ID, "", 1)
	require.True(t, more)
	f.refuses("|3")
	for _, err := range s.readActivities(t.Context(), lane, c) {
		require.Equal(t, fault.Expired, fault.Of(err))
	}
	// What the vendor keeps no longer is not asked for.
	f.v.requests()
	names, _, more := f.poll(t, s, "past/admin/1-2", "", toTheEnd)
	require.Empty(t, names)
	require.False(t, more)
	require.Empty(t, f.v.requests())
}

func TestActivityLanes(t *testing.T) {
	t.Parallel()
	f := newReports(t)
	s := f.v.open(nil)
	st := stream(t, s, streamActivities)
	require.Len(t, lanesOf(t, st), 42)
	for page, err := range st.Lanes(t.Context(), "") {
		require.NoError(t, err)
		require.WithinDuration(t, noon.Add(-72*time.Hour), time.UnixMilli(int64(page.CoveredTo)), time.Minute)
		require.Zero(t, page.Since)
	}
	require.Equal(t, 72*time.Hour, st.Info.Lateness)
	s = f.v.open(func(c *Config) { c.Activities.Lateness = 24 * time.Hour })
	info := stream(t, s, streamActivities).Info
	require.Equal(t, 24*time.Hour, info.Lateness)
	require.Equal(t, info, adjust(s.cfg, activityInfos[0]))
	require.Equal(t, infoAccounts, adjust(s.cfg, infoAccounts))
}

func TestActivitySettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*ActivitySettings)
		key    string
	}{
		"none":     {func(a *ActivitySettings) { a.Applications = nil }, "activities.applications"},
		"no name":  {func(a *ActivitySettings) { a.Applications = []string{"login", "../x"} }, "activities.applications"},
		"twice":    {func(a *ActivitySettings) { a.Applications = []string{"login", "login"} }, "activities.applications"},
		"since":    {func(a *ActivitySettings) { a.Since = 0 }, "activities.since"},
		"prompt":   {func(a *ActivitySettings) { a.Lateness = time.Hour }, "activities.lateness"},
		"too late": {func(a *ActivitySettings) { a.Lateness = 30 * day }, "activities.lateness"},
	} {
		a := defaultActivities()
		require.Empty(t, a.validate())
		c.change(&a)
		errs := a.validate()
		require.Len(t, errs, 1, name)
		require.Equal(t, c.key, errs[0].Key, name)
	}
}

// A reading ends at once when its context does, and leaves nothing behind.
func TestActivitiesCancelled(t *testing.T) {
	t.Parallel()
	f := newReports(t)
	for i := range 30 {
		f.happen("admin", time.Duration(i)*time.Minute, 0)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	pages := 0
	var last error
	for _, err := range f.v.open(nil).readActivities(ctx, sources.Lane{ID: "admin"}, "") {
		cancel()
		last = err
		if pages++; pages > 5 {
			break
		}
	}
	require.ErrorIs(t, last, context.Canceled)
}

func FuzzActivityCursor(f *testing.F) {
	f.Add(`{"v":1,"mark":1790000000000,"back":1790000000000,"span":21600000,"from":1,"to":2,"asked":3,"last":true,"deep":true,"token":"A:1","pages":3,"again":true}`)
	f.Add(`{"v":1,"span":3600000,"to":-1}`)
	f.Add(`{"v":2}`)
	now := noon
	f.Fuzz(func(t *testing.T, c string) {
		at, err := parseActivityCursor(sources.Cursor(c))
		if err != nil {
			require.Equal(t, fault.Expired, fault.Of(err))
			return
		}
		at.window(now, day, time.Hour)
		require.Less(t, at.From, at.To)
		require.LessOrEqual(t, len(at.cursor()), sources.MaxCursor)
		again, err := parseActivityCursor(at.cursor())
		require.NoError(t, err)
		require.Equal(t, at, again)
		at.restart()
		require.Less(t, at.From, at.To)
		at.Asked = now.UnixMilli()
		at.done()
		require.Zero(t, at.To)
	})
}
