package aws

import (
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/sources"
)

// The past lists the files that may hold a span's events, whatever `since` says;
// cut short after any page it goes on where it was.
func TestPast(t *testing.T) {
	t.Parallel()
	m := &memStore{}
	s := openMem(t, m, clockwork.NewFakeClockAt(listNow), "7d")
	day := listNow.AddDate(0, 0, -100).Truncate(24 * time.Hour)
	at := func(d time.Duration, suffix string) string {
		when := day.Add(d)
		key := logKey(when, when, suffix)
		m.put(key, when)
		return key
	}
	want := []string{at(0, "a"), at(12*time.Hour, "b"), at(23*time.Hour+55*time.Minute, "c"), at(24*time.Hour+5*time.Minute, "nextday")}
	for i := range 30 {
		want = append(want, at(13*time.Hour+time.Duration(i)*time.Minute, "more"))
	}
	at(-5*time.Hour, "before")
	at(26*time.Hour, "after")
	m.put(logs+day.Format(dayLayout)+"/notes.txt", day)
	copied := logs + day.Format(dayLayout) + "/copied.json"
	m.put(copied, listNow)
	want = append(want, copied)
	m.page = 7

	list := func(c sources.Cursor, pages int) (keys []string, next sources.Cursor, complete bool) {
		for p, err := range s.past(t.Context(), day, day.Add(24*time.Hour), c) {
			require.NoError(t, err)
			for _, l := range p.Lanes {
				require.True(t, strings.HasPrefix(l.ID, sources.PastLane) && l.Once && l.Hint != "")
				keys = append(keys, keyOf(l))
			}
			next = p.Next
			if complete = p.Complete; complete {
				break
			}
			if pages--; pages == 0 {
				break
			}
		}
		return keys, next, complete
	}
	all, _, complete := list("", -1)
	require.True(t, complete)
	require.ElementsMatch(t, want, all)
	require.Equal(t, want[3], all[0], "the newest day first")

	var got []string
	for c, done := sources.Cursor(""), false; !done; {
		var keys []string
		keys, c, done = list(c, 1)
		got = append(got, keys...)
	}
	require.Equal(t, all, got)

	// A folder called past is none of the past.
	live := sources.Lane{ID: laneID("past/2026/01/01/x.json")}
	require.False(t, strings.HasPrefix(live.ID, sources.PastLane))
	require.Equal(t, "past/2026/01/01/x.json", keyOf(live))
	require.Equal(t, "past/2026/01/01/x.json", keyOf(sources.Lane{ID: sources.PastLane + live.ID}))
}
