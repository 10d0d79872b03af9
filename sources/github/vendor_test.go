package github

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/secret"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// vendor answers as scripted.
type vendor struct {
	*httptest.Server
	clock *clockwork.FakeClock

	mu    sync.Mutex
	asked []string // "GET /path?query"
	on    map[string]http.HandlerFunc
	more  http.Handler // answers what is not scripted; nil: that is not found
}

var begin = time.Date(2024, 3, 1, 12, 0, 0, 0, time.UTC)

func newVendor(t testing.TB) *vendor {
	v := &vendor{on: map[string]http.HandlerFunc{}, clock: clockwork.NewFakeClockAt(begin)}
	v.Server = httptest.NewServer(http.HandlerFunc(v.serve))
	t.Cleanup(v.Close)
	v.json("GET /orgs/octo-corp", `{"id":6811672,"login":"octo-corp","default_repository_permission":"read","plan":{"name":"enterprise"}}`)
	return v
}

func (v *vendor) serve(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(strings.NewReader(string(body)))
	path := strings.TrimPrefix(r.URL.EscapedPath(), serverPath)
	asked := r.Method + " " + path
	if r.URL.RawQuery != "" {
		asked += "?" + r.URL.RawQuery
	}
	v.mu.Lock()
	v.asked = append(v.asked, asked)
	// The most exact script wins.
	h := v.on[r.Method+" "+path+"?"+r.URL.RawQuery]
	if h == nil {
		h = v.on[r.Method+" "+path]
	}
	if h == nil && v.more != nil {
		h = v.more.ServeHTTP
	}
	now := v.clock.Now()
	v.mu.Unlock()
	accept := "application/vnd.github+json"
	if strings.HasPrefix(path, "/scim/") {
		accept = scimType
	}
	w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	switch {
	case strings.HasSuffix(path, "/access_tokens") && h != nil: // asked for with the App's own signature
		h(w, r)
	case r.Header.Get("Authorization") != "Bearer sandbox-token" || r.Header.Get("X-GitHub-Api-Version") != "2022-11-28" || r.Header.Get("Accept") != accept:
		fail(w, 401, "Bad credentials")
	case h == nil:
		fail(w, 404, "Not Found")
	default:
		h(w, r)
	}
}

func fail(w http.ResponseWriter, status int, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"message":%q,"documentation_url":"https://docs.github.com/rest","status":"%d"}`, message, status)
}

// base is the vendor's REST API: an Enterprise Server's, which has no static
// limits that the fake clock would have to wait for.
func (v *vendor) base() string { return v.URL + serverPath }

// cloud makes the vendor GitHub.com.
func (v *vendor) cloud(c *Config) { c.BaseURL = v.URL }

// json scripts an answer.
func (v *vendor) json(request, body string) {
	v.handle(request, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
}

// page scripts an answer with a link to the next page, below the server's URL.
func (v *vendor) page(request, body, next string) {
	v.handle(request, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", fmt.Sprintf(`<%s%s>; rel="next", <%s/first>; rel="first"`, v.base(), next, v.base()))
		_, _ = io.WriteString(w, body)
	})
}

func (v *vendor) fail(request string, status int, message string) {
	v.handle(request, func(w http.ResponseWriter, _ *http.Request) { fail(w, status, message) })
}

func (v *vendor) handle(request string, h http.HandlerFunc) {
	v.mu.Lock()
	v.on[request] = h
	v.mu.Unlock()
}

// requests returns what was asked for since the last call.
func (v *vendor) requests() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := v.asked
	v.asked = nil
	return out
}

// owner scripts that the token's user is an owner with the scopes.
func (v *vendor) owner(scopes string) {
	v.handle("GET /user/memberships/orgs/octo-corp", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-OAuth-Scopes", scopes)
		_, _ = io.WriteString(w, `{"state":"active","role":"admin"}`)
	})
}

// open opens a session on the vendor.
func (v *vendor) open(t testing.TB, change ...func(*Config)) *session {
	cfg := newConfig()
	cfg.Org, cfg.BaseURL, cfg.Auth.Token = "octo-corp", v.base(), secret.New("sandbox-token")
	for _, c := range change {
		c(cfg)
	}
	require.Empty(t, cfg.Validate())
	base, err := httpx.New(httpx.Options{Instance: "acme", Clock: v.clock, UserAgent: "weir/test"})
	require.NoError(t, err)
	s, err := Connector.Open(t.Context(), sources.Env{Instance: "acme", Clock: v.clock, HTTP: base}, cfg)
	require.NoError(t, err)
	return s.(*session)
}

// result is what reading a lane gave.
type result struct {
	schemas.Rows
	cursors  []sources.Cursor
	rejected []sources.Reject
	last     sources.Page
	whole    bool // it ended with a page without More
}

// readAll reads a lane to its end.
func readAll(pages iter.Seq2[*sources.Page, error]) (r *result, err error) {
	r = &result{}
	for p, e := range pages {
		if e != nil {
			return r, e
		}
		r.Activities = append(r.Activities, p.Rows.Activities...)
		r.Accounts = append(r.Accounts, p.Rows.Accounts...)
		r.Groups = append(r.Groups, p.Rows.Groups...)
		r.GroupMembers = append(r.GroupMembers, p.Rows.GroupMembers...)
		r.Privileges = append(r.Privileges, p.Rows.Privileges...)
		r.Files = append(r.Files, p.Rows.Files...)
		r.FilePermissions = append(r.FilePermissions, p.Rows.FilePermissions...)
		r.Apps = append(r.Apps, p.Rows.Apps...)
		r.AppGrants = append(r.AppGrants, p.Rows.AppGrants...)
		r.rejected = append(r.rejected, p.Rejected...)
		r.cursors = append(r.cursors, p.Next)
		r.last = *p
		r.whole = !p.More
	}
	return r, nil
}

// listLanes lists a stream's lanes.
func listLanes(t testing.TB, pages iter.Seq2[*sources.LanePage, error]) (ids []string) {
	complete := false
	for p, err := range pages {
		require.NoError(t, err)
		for _, l := range p.Lanes {
			ids = append(ids, l.ID)
		}
		complete = p.Complete
	}
	require.True(t, complete)
	return ids
}

type reader func(context.Context, sources.Lane, sources.Cursor) iter.Seq2[*sources.Page, error]

// readLane reads a whole lane, and then again from each of its cursors: what
// follows a page follows it then too.
func readLane(t testing.TB, read reader, lane string) *result {
	t.Helper()
	l := sources.Lane{ID: lane}
	whole, err := readAll(read(t.Context(), l, ""))
	require.NoError(t, err)
	require.True(t, whole.whole)
	for i, c := range whole.cursors[:len(whole.cursors)-1] {
		require.LessOrEqual(t, len(c), sources.MaxCursor)
		rest, err := readAll(read(t.Context(), l, c))
		require.NoError(t, err, "after page %d", i)
		requireSuffix(t, &whole.Rows, &rest.Rows)
		require.Len(t, rest.cursors, len(whole.cursors)-i-1)
	}
	return whole
}

// requireSuffix checks that each table's rows of rest are the last of whole's.
func requireSuffix(t testing.TB, whole, rest *schemas.Rows) {
	t.Helper()
	left := map[string][]string{}
	for _, k := range keys(rest) {
		table, _, _ := strings.Cut(k, " ")
		left[table] = append(left[table], k)
	}
	all := keys(whole)
	for i := len(all) - 1; i >= 0; i-- {
		table, _, _ := strings.Cut(all[i], " ")
		if l := left[table]; len(l) > 0 {
			require.Equal(t, all[i], l[len(l)-1])
			left[table] = l[:len(l)-1]
		}
	}
	for _, l := range left {
		require.Empty(t, l)
	}
}

// keys are the rows' keys, table by table.
func keys(r *schemas.Rows) (out []string) {
	for _, v := range rowsOf(r) {
		k := v.Type().Name()
		for i := range v.NumField() {
			if strings.Contains(v.Type().Field(i).Tag.Get("col"), ",key") {
				k += " " + v.Field(i).String()
			}
		}
		out = append(out, k)
	}
	return out
}

func sorted(s []string) []string {
	s = slices.Clone(s)
	slices.Sort(s)
	return s
}
