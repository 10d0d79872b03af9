package okta

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// tryRead reads as far as it goes.
func tryRead(seq func(func(*sources.Page, error) bool)) (rows schemas.Rows, last sources.Page, err error) {
	for page, e := range seq {
		if e != nil {
			return rows, last, e
		}
		rows.Accounts = append(rows.Accounts, page.Rows.Accounts...)
		rows.Privileges = append(rows.Privileges, page.Rows.Privileges...)
		rows.AppGrants = append(rows.AppGrants, page.Rows.AppGrants...)
		last = *page
	}
	return rows, last, nil
}

// What was asked for before an error stands, and is not asked for again.
func TestWalkKeepsProgress(t *testing.T) {
	t.Parallel()
	broken := true
	v := newVendor(t, func(r *http.Request) answer {
		switch {
		case r.URL.Path == pathGroups && r.URL.Query().Get("after") == "":
			return answer{body: `[{"id":"00g1"},{"id":"00g2"}]`, next: "/api/v1/groups?after=2"}
		case r.URL.Path == pathGroups:
			return answer{body: `[{"id":"00g3"},{"id":"00g4"},{"id":"00g5"}]`}
		case strings.Contains(r.URL.Path, "00g4") && broken:
			return answer{status: 503}
		}
		return answer{body: `[{"id":"ra1","type":"USER_ADMIN"}]`}
	})
	st := stream(t, v.open(nil), "privileges")
	rows, last, err := tryRead(st.Read(t.Context(), sources.Lane{ID: laneRoleGroups}, ""))
	require.Equal(t, fault.Transient, fault.Of(err))
	require.Len(t, rows.Privileges, 3)
	require.True(t, last.More)
	v.requests()
	broken = false
	rows, last, err = tryRead(st.Read(t.Context(), sources.Lane{ID: laneRoleGroups}, last.Next))
	require.NoError(t, err)
	require.Len(t, rows.Privileges, 2)
	require.False(t, last.More)
	require.Equal(t, []string{"/api/v1/groups after=2", "/api/v1/groups/00g4/roles expand=targets/groups", "/api/v1/groups/00g5/roles expand=targets/groups"}, v.requests())
}

// Where the element that was last is not on its page any more, all of the page
// is done again.
func TestWalkPlaceMoved(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(r *http.Request) answer {
		if r.URL.Path == pathGroups {
			return answer{body: `[{"id":"00g1"},{"id":"00g2"}]`}
		}
		return answer{body: `[{"id":"ra1","type":"USER_ADMIN"}]`}
	})
	rows, _, err := tryRead(stream(t, v.open(nil), "privileges").Read(t.Context(), sources.Lane{ID: laneRoleGroups}, cursor{Done: "00g9"}.String()))
	require.NoError(t, err)
	require.Len(t, rows.Privileges, 2)
}

// A delta that was cut short goes on from the same time.
func TestWalkDeltaKeepsSince(t *testing.T) {
	t.Parallel()
	broken := true
	v := newVendor(t, func(r *http.Request) answer {
		switch {
		case r.URL.Path == pathAssignees:
			return answer{body: `{"value":[]}`}
		case strings.Contains(r.URL.Path, "00u2") && broken:
			return answer{status: 503}
		case strings.HasSuffix(r.URL.Path, "/factors"):
			return answer{}
		}
		return answer{body: userBody(1, 2)}
	})
	st := stream(t, v.open(func(c *Config) { c.Accounts.Factors = "on" }), "accounts")
	start := cursor{Time: noon.Add(-day).UnixMilli(), Factors: true}
	rows, last, err := tryRead(st.Delta(t.Context(), sources.Lane{}, start.String()))
	require.Error(t, err)
	require.Len(t, rows.Accounts, 1)
	at, err := parseCursor(last.Next)
	require.NoError(t, err)
	require.Equal(t, start.Time, at.Since)
	require.Greater(t, at.Time, start.Time)
	broken = false
	v.requests()
	rows, last, err = tryRead(st.Delta(t.Context(), sources.Lane{}, last.Next))
	require.NoError(t, err)
	require.Len(t, rows.Accounts, 1)
	require.Contains(t, v.requests()[1], `lastUpdated gt "2026-09-30T11:55:00.000Z"`)
	next, err := parseCursor(last.Next)
	require.NoError(t, err)
	require.Equal(t, cursor{Version: 1, Time: at.Time, Factors: true}, next)
}

// Much below one parent is yielded in parts.
func TestWalkBoundsPages(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(r *http.Request) answer {
		if r.URL.Path == pathApps {
			return answer{body: `[{"id":"0oa1","signOnMode":"OPENID_CONNECT"},{"id":"0oa2","signOnMode":"OPENID_CONNECT"}]`}
		}
		var page int
		_, _ = fmt.Sscan(r.URL.Query().Get("after"), &page)
		var b []string
		for i := range 700 {
			b = append(b, fmt.Sprintf(`{"id":"oar-%s-%d-%d"}`, strings.Split(r.URL.Path, "/")[4], page, i))
		}
		a := answer{body: "[" + strings.Join(b, ",") + "]"}
		if page < 4 {
			a.next = fmt.Sprintf("%s?after=%d", r.URL.Path, page+1)
		}
		return a
	})
	st := stream(t, v.open(nil), "app_grants")
	ids, pages := map[string]bool{}, 0
	for page, err := range st.Read(t.Context(), sources.Lane{ID: laneTokens}, "") {
		require.NoError(t, err)
		require.LessOrEqual(t, len(page.Rows.AppGrants), maxRows)
		for _, g := range page.Rows.AppGrants {
			ids[g.GrantID] = true
		}
		pages++
	}
	require.Len(t, ids, 2*5*700)
	require.Equal(t, 4, pages)
	for _, err := range st.Read(t.Context(), sources.Lane{ID: laneTokens}, "") { // a reader that stops
		require.NoError(t, err)
		break
	}
}

func TestElementID(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"id":"00u1"}`: "00u1", `{"client_id":"0oa1"}`: "0oa1", `{"id":7}`: "7", `{"id":null}`: "", `[]`: "", "{\"id\":\"\xff\"}": "", `{"id":"` + strings.Repeat("x", 129) + `"}`: "",
	} {
		require.Equal(t, want, elementID([]byte(in)), in)
	}
}
