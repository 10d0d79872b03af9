package pipeline

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/schemas"
)

var testStream = StreamID{"trail", "activities"}

func testState(t testing.TB) State {
	t.Helper()
	st, err := OpenState(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	return st
}

// judgeAll judges events of one page and commits what is new.
func judgeAll(t testing.TB, st State, s *seenIDs, now time.Time, at schemas.Time, events ...[2]string) (out []verdict) {
	t.Helper()
	page, err := s.begin(t.Context())
	require.NoError(t, err)
	for _, e := range events {
		v, _, err := page.judge(t.Context(), e[0], e[1], at)
		require.NoError(t, err)
		out = append(out, v)
	}
	page.end()
	require.NoError(t, st.Update(t.Context(), func(tx Tx) error {
		for hour, packed := range page.packed {
			if err := tx.AddSeen(s.stream, hour, packed, now); err != nil {
				return err
			}
		}
		return nil
	}))
	page.committed()
	return out
}

func TestSeenVerdicts(t *testing.T) {
	t.Parallel()
	st := testState(t)
	now := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	at := schemas.Time(now.UnixMilli())
	fresh := func() *seenIDs { return newSeenIDs(st, testStream, [16]byte{1}, &seenRoom{}) }
	s := fresh()
	require.Equal(t, []verdict{isNew, isNew, isDuplicate, isConflict, isDuplicate},
		judgeAll(t, st, s, now, at, [2]string{"a", "x"}, [2]string{"b", "x"}, [2]string{"a", "x"}, [2]string{"a", "y"}, [2]string{"a", "y"}))
	// The same from the state alone, as after a restart.
	require.Equal(t, []verdict{isDuplicate, isConflict, isNew}, judgeAll(t, st, fresh(), now, at, [2]string{"a", "y"}, [2]string{"a", "x"}, [2]string{"c", "x"}))
	// Another hour is another bucket.
	require.Equal(t, []verdict{isNew}, judgeAll(t, st, fresh(), now, at+hourMS, [2]string{"a", "y"}))

	// Forgotten hours: what comes again is sent, and counted.
	update := func(ctx ctxT, fn func(Tx) error) error { return st.Update(ctx, fn) }
	s = fresh()
	require.NoError(t, s.maintain(t.Context(), update, now.Add(48*time.Hour), 24*time.Hour, func(int64) bool { return false }))
	require.Equal(t, []verdict{isUnproven, isUnproven, isDuplicate}, judgeAll(t, st, s, now, at, [2]string{"a", "y"}, [2]string{"z", "y"}, [2]string{"a", "y"}))
	require.Equal(t, []verdict{isNew}, judgeAll(t, st, fresh(), now, at+2*hourMS, [2]string{"a", "y"}), "newer than anything forgotten")
	require.Equal(t, []verdict{isUnproven}, judgeAll(t, st, fresh(), now, at-hourMS, [2]string{"a", "y"}), "older than something forgotten")
}

// Many small pages are merged, and big hours leave memory and come back.
func TestSeenManyPages(t *testing.T) {
	t.Parallel()
	st := testState(t)
	now := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	s := newSeenIDs(st, testStream, [16]byte{1}, &seenRoom{})
	const hours, pages, perPage = 4, 20, 300
	event := func(h, p, i int) [2]string { return [2]string{fmt.Sprintf("%d-%d-%d", h, p, i), "x"} }
	for h := range hours {
		for p := range pages {
			var events [][2]string
			for i := range perPage {
				events = append(events, event(h, p, i))
			}
			for _, v := range judgeAll(t, st, s, now, schemas.Time(now.UnixMilli())+schemas.Time(h*hourMS), events...) {
				require.Equal(t, isNew, v)
			}
		}
	}
	require.NoError(t, s.maintain(t.Context(), func(ctx ctxT, fn func(Tx) error) error { return st.Update(ctx, fn) }, now, time.Hour, func(int64) bool { return false }))
	segments, err := st.SeenHour(t.Context(), testStream, now.UnixMilli()/hourMS)
	require.NoError(t, err)
	require.Len(t, segments, 1)
	require.Len(t, segments[0], pages*perPage*seenEntry)
	s = newSeenIDs(st, testStream, [16]byte{1}, &seenRoom{})
	for h := range hours {
		require.Equal(t, []verdict{isDuplicate}, judgeAll(t, st, s, now, schemas.Time(now.UnixMilli())+schemas.Time(h*hourMS), event(h, 19, 299)))
		s.hold(seenResident + 1) // as if memory were full
		s.mu.Lock()
		s.letGo()
		s.mu.Unlock()
		require.LessOrEqual(t, len(s.hours), 1)
	}
}
