package okta

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// events is a page of events from..to-1, a second apart.
func events(from, to int) string {
	var b strings.Builder
	for i := from; i < to; i++ {
		fmt.Fprintf(&b, `,{"uuid":"e%d","eventType":"user.session.start","published":%q}`, i, formatTime(noon.Add(time.Duration(i-5000)*time.Second)))
	}
	return "[" + strings.TrimPrefix(b.String(), ",") + "]"
}

// logVendor serves a script of the log; the organization is always there.
func logVendor(t *testing.T, script func(r *http.Request) answer) *vendor {
	return newVendor(t, func(r *http.Request) answer {
		if r.URL.Path == pathOrg {
			return answer{body: `{"id":"00o1"}`}
		}
		return script(r)
	})
}

func logRequests(v *vendor) (out []string) {
	for _, r := range v.requests() {
		if strings.HasPrefix(r, pathLogs) {
			out = append(out, strings.TrimPrefix(r, pathLogs+" "))
		}
	}
	return out
}

// Next links are followed as they are while pages are full; the link of the
// first page that is not full is the cursor.
func TestLogPolls(t *testing.T) {
	t.Parallel()
	v := logVendor(t, func(r *http.Request) answer {
		switch r.URL.Query().Get("after") {
		case "":
			return answer{body: events(0, 1000), next: "https://acme.okta.com/api/v1/logs?sortOrder=ASCENDING&limit=2&after=a%2F1_1"}
		case "a/1_1":
			return answer{body: events(1000, 1002), next: "https://other.example/api/v1/logs?limit=2&after=a2"}
		case "a2":
			return answer{body: events(1002, 1003), next: "https://acme.okta.com/api/v1/logs?after=a3&limit=1000"}
		case "a3":
			return answer{next: "https://acme.okta.com/api/v1/logs?after=a3&limit=1000"}
		}
		return answer{status: 500}
	})
	read1 := stream(t, v.open(nil), "activities").Read
	rows, last := read(t, read1(t.Context(), sources.Lane{}, ""))
	require.Len(t, rows.Activities, 1003)
	require.False(t, last.More)
	asked := logRequests(v)
	require.Len(t, asked, 3)
	require.Regexp(t, `^limit=1000&since=2026-07-03T12:0\d:\d\d\.\d{3}Z&sortOrder=ASCENDING$`, asked[0])
	require.Equal(t, []string{"sortOrder=ASCENDING&limit=2&after=a/1_1", "limit=2&after=a2"}, asked[1:])
	require.Equal(t, `{"v":1,"at":"/api/v1/logs?after=a3&limit=1000","time":`+fmt.Sprint(noon.Add(-3998*time.Second).UnixMilli())+`}`, string(last.Next))
	require.InDelta(t, noon.Add(-time.Hour).UnixMilli(), int64(last.Watermark), float64(10*time.Minute.Milliseconds()))

	// From there on: one request a poll, also when there is nothing.
	for range 3 {
		rows, again := read(t, read1(t.Context(), sources.Lane{}, last.Next))
		require.Empty(t, rows.Activities)
		require.Equal(t, last.Next, again.Next)
		require.Equal(t, []string{"after=a3&limit=1000"}, logRequests(v))
	}
}

// Every page's cursor resumes after that page.
func TestLogResumesFromAnyPage(t *testing.T) {
	t.Parallel()
	v := logVendor(t, func(r *http.Request) answer {
		var n int
		_, _ = fmt.Sscan(r.URL.Query().Get("after"), &n)
		return answer{body: events(n, min(n+2, 7)), next: fmt.Sprintf("/api/v1/logs?limit=2&after=%d", min(n+2, 7))}
	})
	s := v.open(nil)
	start := cursor{At: "/api/v1/logs?limit=2&after=0"}.String()
	var cursors []sources.Cursor
	var seen []int
	for page, err := range s.readLog(t.Context(), sources.Lane{}, start) {
		require.NoError(t, err)
		cursors, seen = append(cursors, page.Next), append(seen, len(page.Rows.Activities))
	}
	require.Equal(t, []int{2, 2, 2, 1}, seen)
	for i, c := range cursors {
		rows, _ := read(t, s.readLog(t.Context(), sources.Lane{}, c))
		require.Len(t, rows.Activities, max(7-2*(i+1), 0))
	}
}

// A cursor that the vendor refuses costs nothing: an hour is read again.
func TestLogCursorRefused(t *testing.T) {
	t.Parallel()
	for status, code := range map[int]string{400: "E0000031", 404: "E0000007", 410: "E0000156"} {
		v := logVendor(t, func(r *http.Request) answer {
			if r.URL.Query().Get("after") == "gone" {
				return answer{status: status, body: `{"errorCode":"` + code + `","errorSummary":"bad after"}`}
			}
			return answer{body: events(0, 3), next: "/api/v1/logs?after=new&limit=1000"}
		})
		c := cursor{At: "/api/v1/logs?after=gone&limit=1000", Time: noon.UnixMilli()}.String()
		rows, last := read(t, v.open(nil).readLog(t.Context(), sources.Lane{}, c))
		require.Len(t, rows.Activities, 3)
		require.Contains(t, string(last.Next), "after=new")
		require.Equal(t, []string{"after=gone&limit=1000", "limit=1000&since=2026-10-01T11:00:00.000Z&sortOrder=ASCENDING"}, logRequests(v))
	}
}

// Other refusals are not the cursor's: it stays.
func TestLogErrors(t *testing.T) {
	t.Parallel()
	f := func(a answer, want fault.Class) {
		t.Helper()
		v := logVendor(t, func(*http.Request) answer { return a })
		c := cursor{At: "/api/v1/logs?after=x&limit=1000", Time: noon.UnixMilli()}.String()
		var got error
		for _, err := range v.open(nil).readLog(t.Context(), sources.Lane{}, c) {
			got = err
		}
		require.Error(t, got)
		require.Equal(t, want, fault.Of(got), got)
		require.NotContains(t, got.Error(), "sandbox-token")
		for _, r := range logRequests(v) {
			require.Equal(t, "after=x&limit=1000", r)
		}
	}
	f(answer{status: 401, body: `{"errorCode":"E0000011"}`}, fault.Auth)
	f(answer{status: 403, body: `{"errorCode":"E0000006"}`}, fault.Forbidden)
	f(answer{status: 429, body: `{"errorCode":"E0000047"}`, header: map[string]string{"X-Rate-Limit-Limit": "0", "X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": fmt.Sprint(noon.Add(time.Hour).Unix())}}, fault.Throttled)
	f(answer{status: 503, body: `{"errorCode":"E0000010"}`}, fault.Transient)
	f(answer{body: `<html>proxy</html>`}, fault.Transient)
	f(answer{body: `[{"uuid":"1","eventType":"a"},{"uu`}, fault.Transient)
	f(answer{body: `{"a":1}`}, fault.BadData)
	f(answer{body: `[] []`}, fault.Transient)
	f(answer{next: "/login?x=1"}, fault.BadData)
	f(answer{body: events(0, 1000), next: "/api/v1/logs?after=x&limit=1000"}, fault.Transient) // the same page again
}

// A query that takes the vendor too long is made smaller until caught up.
func TestLogSlowQuery(t *testing.T) {
	t.Parallel()
	v := logVendor(t, func(r *http.Request) answer {
		q := r.URL.Query()
		if q.Get("limit") == "1000" && q.Get("after") != "b" {
			return answer{status: 500, body: `{"errorCode":"E0000009"}`}
		}
		if q.Get("after") == "" {
			return answer{body: events(0, 100), next: "/api/v1/logs?after=a&limit=100"}
		}
		return answer{body: events(100, 103), next: "/api/v1/logs?after=b&limit=100"}
	})
	rows, last := read(t, v.open(nil).readLog(t.Context(), sources.Lane{}, ""))
	require.Len(t, rows.Activities, 103)
	require.Contains(t, string(last.Next), `"/api/v1/logs?after=b&limit=1000"`)
}

func TestLogSince(t *testing.T) {
	t.Parallel()
	v := logVendor(t, func(*http.Request) answer { return answer{next: "/api/v1/logs?after=1&limit=1000"} })
	f := func(since time.Duration, want string) {
		t.Helper()
		read(t, v.open(func(c *Config) { c.Logs.Since = since }).readLog(t.Context(), sources.Lane{}, ""))
		require.Contains(t, logRequests(v)[0], want)
	}
	f(400*day, "since=2026-07-03T12:")
	f(7*day, "since=2026-09-24T12:")
}

// Times ahead of the vendor's clock do not move the place of a restart.
func TestLogFutureTime(t *testing.T) {
	t.Parallel()
	v := logVendor(t, func(*http.Request) answer {
		return answer{body: `[{"uuid":"1","eventType":"a","published":"2199-01-01T00:00:00.000Z"}]`, next: "/api/v1/logs?after=1&limit=1000"}
	})
	_, last := read(t, v.open(nil).readLog(t.Context(), sources.Lane{}, ""))
	c, err := parseCursor(last.Next)
	require.NoError(t, err)
	require.InDelta(t, noon.UnixMilli(), c.Time, float64(time.Hour.Milliseconds()))
}

// Without the right to read the organization the log is collected all the same.
func TestLogWithoutOrganization(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(r *http.Request) answer {
		if r.URL.Path == pathOrg {
			return answer{status: 403, body: `{"errorCode":"E0000006"}`}
		}
		return answer{body: events(0, 1)}
	})
	rows, last := read(t, v.open(nil).readLog(t.Context(), sources.Lane{}, ""))
	require.Empty(t, rows.Activities[0].ScopeID)
	require.False(t, last.More) // no next link at all: begin again an hour back
	require.NotContains(t, string(last.Next), `"at"`)
}

func FuzzFill(f *testing.F) {
	f.Add([]byte(fixture(f, "logs_page")))
	f.Add([]byte(events(0, 3)))
	f.Add([]byte(`[{"uuid":"1"},7,{"actor":[]}] x`))
	f.Fuzz(func(t *testing.T, body []byte) {
		r := benchPage()
		r.Body = body
		p := newLogPage()
		if p.fill(r, "") != nil {
			return
		}
		checkEnums(t, schemas.TableActivities, &p.rows)
		n := 0
		for _, a := range p.rows.Activities {
			require.True(t, strings.HasPrefix(a.Raw, "{") && strings.HasSuffix(a.Raw, "}"), a.Raw)
			n += len(a.Raw)
		}
		require.LessOrEqual(t, n, len(body))
	})
}
