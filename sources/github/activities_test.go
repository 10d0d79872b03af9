package github

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

func event(id string, at time.Time) string {
	return fmt.Sprintf(`{"@timestamp":%d,"_document_id":%q,"action":"team.create","actor":"mona","actor_id":7}`, at.UnixMilli(), id)
}

func eventIDs(r *result) (ids []string) {
	for i := range r.Activities {
		ids = append(ids, r.Activities[i].EventID)
	}
	return ids
}

// since is the time that a request's phrase begins at.
func sinceOf(t *testing.T, request string) time.Time {
	t.Helper()
	_, query, ok := strings.Cut(request, "?")
	require.True(t, ok, request)
	q, err := url.ParseQuery(query)
	require.NoError(t, err)
	require.Equal(t, []string{"asc", "all", "100"}, []string{q.Get("order"), q.Get("include"), q.Get("per_page")})
	require.False(t, q.Has("page"))
	at, err := time.Parse("created:>="+time.RFC3339, q.Get("phrase"))
	require.NoError(t, err)
	return at
}

const (
	auditLog = "GET /orgs/octo-corp/audit-log"
	// GitHub's own, with an odd encoding that must stay.
	nextPage = "/organizations/6811672/audit-log?after=MS43%2BMDk%3D&phrase=created:%3E%3D2024&before="
)

// The contract sheet's sample page, byte for byte, and the pages behind it:
// by their links, verbatim, through an empty one, until there is no link.
func TestAuditPages(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	sheet, err := os.ReadFile("testdata/sheet/audit.json")
	require.NoError(t, err)
	v.page(auditLog, string(sheet), nextPage)
	v.page("GET "+nextPage, `[]`, nextPage+"2")
	v.page("GET "+nextPage+"2", "["+event("c", begin.Add(-time.Hour))+"]", nextPage+"3")
	v.json("GET "+nextPage+"3", "["+event("d", begin.Add(-time.Minute))+","+`{"_document_id":"e"}`+"]")
	s := v.open(t)
	r, err := readAll(s.readActivities(t.Context(), sources.Lane{}, ""))
	require.NoError(t, err)
	require.Equal(t, []string{"xJJFlFOhQ6b-5vaAFy9Rjw", "YYYYXXXXZZZZ", "c", "d"}, eventIDs(r))
	require.Len(t, r.rejected, 1)
	require.Equal(t, "e", r.rejected[0].Ref)
	asked := v.requests()
	require.Equal(t, []string{"GET " + nextPage, "GET " + nextPage + "2", "GET " + nextPage + "3"}, asked[1:], "links verbatim, one request a page")
	require.Equal(t, begin.Add(-webKept), sinceOf(t, asked[0]))
	require.Equal(t, schemas.Time(begin.Add(-2*sweepEvery-time.Second).UnixMilli()), r.last.Watermark)

	// From the cursor of any page the rest follows.
	for i, c := range r.cursors[:3] {
		rest, err := readAll(s.readActivities(t.Context(), sources.Lane{}, c))
		require.NoError(t, err)
		require.Len(t, rest.cursors, 3-i)
		require.Equal(t, asked[i+1:], v.requests())
	}
	// The page before the last proves no more than its newest event.
	for p, err := range s.readActivities(t.Context(), sources.Lane{}, r.cursors[1]) {
		require.NoError(t, err)
		require.True(t, p.More)
		require.Equal(t, schemas.Time(begin.Add(-2*sweepEvery-time.Hour).UnixMilli()), p.Watermark)
		break
	}
}

// Each window begins the overlap before the newest event; once a day as much
// earlier as events may be late, and a day. So late events are found.
func TestAuditWindows(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	var log []string
	v.handle(auditLog, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "["+strings.Join(log, ",")+"]") })
	s := v.open(t)
	poll := func(c sources.Cursor) (sources.Cursor, time.Time) {
		r, err := readAll(s.readActivities(t.Context(), sources.Lane{}, c))
		require.NoError(t, err)
		require.True(t, r.whole)
		asked := v.requests()
		require.Len(t, asked, 1)
		return r.last.Next, sinceOf(t, asked[0])
	}
	// Nothing yet: the first window goes on being the first.
	c, since := poll("")
	require.Equal(t, begin.Add(-webKept), since)
	v.clock.Advance(time.Hour)
	newest := begin.Add(50*time.Minute + 300*time.Millisecond)
	log = []string{event("a", newest)}
	c, since = poll(c)
	require.Equal(t, begin.Add(time.Hour-webKept), since)
	// The first window was a sweep.
	c, since = poll(c)
	require.Equal(t, newest.Add(-30*time.Minute).Truncate(time.Second), since)
	v.clock.Advance(23*time.Hour + 59*time.Minute)
	c, since = poll(c)
	require.Equal(t, newest.Add(-30*time.Minute).Truncate(time.Second), since)
	v.clock.Advance(time.Minute)
	c, since = poll(c)
	require.Equal(t, newest.Add(-48*time.Hour).Truncate(time.Second), since)
	c, since = poll(c)
	require.Equal(t, newest.Add(-30*time.Minute).Truncate(time.Second), since)
	// An event from the future moves nothing ahead of the vendor's clock.
	log = append(log, event("b", begin.Add(1000*time.Hour)))
	c, _ = poll(c)
	_, since = poll(c)
	require.Equal(t, v.clock.Now().Add(-30*time.Minute).Truncate(time.Second), since)
}

// A sweep that is cut short counts only when it is complete.
func TestAuditSweepCutShort(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.page(auditLog, "["+event("a", begin.Add(-48*time.Hour))+"]", nextPage)
	v.json("GET "+nextPage, "["+event("b", begin.Add(-47*time.Hour))+"]")
	s := v.open(t)
	var c sources.Cursor
	for p, err := range s.readActivities(t.Context(), sources.Lane{}, "") {
		require.NoError(t, err)
		c = p.Next
		break
	}
	a, err := parseAuditCursor(c)
	require.NoError(t, err)
	require.Zero(t, a.Swept)
	require.NotZero(t, a.Sweep)
	r, err := readAll(s.readActivities(t.Context(), sources.Lane{}, c))
	require.NoError(t, err)
	a, err = parseAuditCursor(r.last.Next)
	require.NoError(t, err)
	require.Equal(t, begin.UnixMilli(), a.Swept)
	require.Zero(t, a.Sweep)
}

// A link that GitHub does not know any more loses nothing: the window begins
// anew before the newest event.
func TestAuditRefusedLink(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.page(auditLog, "["+event("a", begin.Add(-48*time.Hour))+"]", nextPage)
	v.fail("GET "+nextPage, 422, "Validation Failed")
	s := v.open(t)
	n := 0
	r, err := readAll(func(yield func(*sources.Page, error) bool) {
		for p, err := range s.readActivities(t.Context(), sources.Lane{}, "") {
			if n++; !yield(p, err) || n > 10 {
				return
			}
		}
	})
	require.NoError(t, err)
	require.True(t, r.whole, "a link that is refused again and again waits for the next poll")
	asked := v.requests()
	require.Len(t, asked, 5)
	require.Equal(t, begin.Add(-48*time.Hour-48*time.Hour), sinceOf(t, asked[2]), "the first sweep was not completed: another")

	// The next poll comes through.
	v.json("GET "+nextPage, "["+event("b", begin.Add(-47*time.Hour))+"]")
	r, err = readAll(s.readActivities(t.Context(), sources.Lane{}, r.last.Next))
	require.NoError(t, err)
	require.Equal(t, []string{"b"}, eventIDs(r))
	require.True(t, r.whole)
}

func TestAuditErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script func(v *vendor)
		class  fault.Class
		says   string
	}{
		"phrase refused": {func(v *vendor) { v.fail(auditLog, 422, "Validation Failed") }, fault.Permanent, "refuses the question"},
		"no scope":       {func(v *vendor) { v.fail(auditLog, 403, "Must have admin rights to Repository.") }, fault.Forbidden, "Must have admin rights"},
		"no plan": {func(v *vendor) {
			v.json("GET /orgs/octo-corp", `{"id":1,"login":"octo-corp","plan":{"name":"team"}}`)
		}, fault.NotLicensed, "plan, team"},
		"404 with the plan": {func(*vendor) {}, fault.Forbidden, "scope, role or plan"},
		"another host": {func(v *vendor) {
			v.handle(auditLog, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Link", `<https://evil.example/organizations/1/audit-log?after=x>; rel="next"`)
				_, _ = io.WriteString(w, `[]`)
			})
		}, fault.BadData, "evil.example"},
		"proxy's page": {func(v *vendor) { v.json(auditLog, `<html>login</html>`) }, fault.Transient, "not JSON"},
		"revoked":      {func(v *vendor) { v.fail(auditLog, 401, "Bad credentials") }, fault.Auth, "Bad credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := newVendor(t)
			c.script(v)
			_, err := readAll(v.open(t).readActivities(t.Context(), sources.Lane{}, ""))
			require.ErrorContains(t, err, c.says)
			require.Equal(t, c.class, fault.Of(err), err)
			require.NotContains(t, err.Error(), "sandbox-token")
		})
	}
}

func TestAuditCursorVersions(t *testing.T) {
	t.Parallel()
	s := newVendor(t).open(t)
	for _, c := range []sources.Cursor{"x", "{}", `{"v":2}`, `[1]`} {
		_, err := readAll(s.readActivities(t.Context(), sources.Lane{}, c))
		require.Equal(t, fault.Expired, fault.Of(err), c)
	}
}

// With an enterprise its audit log is read, of Git events the seven days kept.
func TestEnterpriseGit(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.json("GET /enterprises/octo/audit-log", `[]`)
	_, err := readAll(v.open(t, func(c *Config) { c.Enterprise, c.Audit.Include = "octo", "git" }).readActivities(t.Context(), sources.Lane{}, ""))
	require.NoError(t, err)
	require.Contains(t, v.requests()[0], "created%3A%3E%3D2024-02-23T12%3A00%3A00Z")
}

func FuzzAuditCursor(f *testing.F) {
	f.Add(`{"v":1,"link":"/organizations/1/audit-log?after=MS43","mark":1709251200000,"swept":1,"sweep":2,"again":true}`)
	f.Add(`{"v":1,"link":"//evil.example/x"}`)
	f.Add(`{"v":1,"link":"https://evil.example/x","mark":-1}`)
	v := newVendor(f)
	v.json(auditLog, `[]`)
	s := v.open(f)
	f.Fuzz(func(t *testing.T, c string) {
		a, err := parseAuditCursor(sources.Cursor(c))
		if err != nil {
			require.Equal(t, fault.Expired, fault.Of(err))
			return
		}
		if a.Link != "" {
			if r, err := s.rest.Follow(a.Link, s.auditPath()); err == nil {
				require.NotNil(t, r)
			}
			a.Link = ""
		}
		next, q := s.window(a)
		require.NotEmpty(t, q.Get("phrase"))
		if b, err := next.cursor(); err == nil {
			again, err := parseAuditCursor(b)
			require.NoError(t, err)
			require.Equal(t, next, again)
		}
	})
}

// Whenever an event shows up, within the lateness, a window that begins later
// reaches back to it.
func TestAuditLateEventsAreFoundByASweep(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	var log []time.Time
	v.handle(auditLog, func(w http.ResponseWriter, r *http.Request) {
		since, err := time.Parse(time.RFC3339, strings.TrimPrefix(r.URL.Query().Get("phrase"), "created:>="))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var shown []string
		for n, at := range log {
			if !at.Before(since) {
				shown = append(shown, event(strconv.Itoa(n), at))
			}
		}
		_, _ = io.WriteString(w, "["+strings.Join(shown, ",")+"]")
	})
	s := v.open(t)
	found := map[string]bool{}
	var c sources.Cursor
	for range 24 * 4 {
		v.clock.Advance(time.Hour)
		log = append(log, v.clock.Now(), v.clock.Now().Add(-23*time.Hour)) // one at once, one late
		r, err := readAll(s.readActivities(t.Context(), sources.Lane{}, c))
		require.NoError(t, err)
		c = r.last.Next
		for _, id := range eventIDs(r) {
			found[id] = true
		}
	}
	for n := range 2 * 24 * 2 {
		require.True(t, found[strconv.Itoa(n)], "event %d", n)
	}
}
