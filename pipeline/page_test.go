package pipeline

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/schemas"
	"weir/sinks"
	"weir/sources"
)

// A page that fails half-way leaves nothing behind: read again, its events are
// not taken for sent, and no file of its dead letters stays.
func TestPageFailsHalfWay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sink := newMemorySink()
	p := openOn(t, dir, clockwork.NewRealClock(), Options{DeadLimit: 1 << 20}, map[string]sinks.Sink{"lake": sink})
	files := func() int {
		left, err := os.ReadDir(filepath.Join(dir, deadDir))
		require.NoError(t, err)
		return len(left)
	}
	at := schemas.Time(time.Now().UnixMilli())
	event := func(id, raw string) schemas.Activity { return schemas.Activity{EventID: id, Time: at, Raw: raw} }
	var f fakeLanes
	run, err := p.NewStreamRun(StreamOptions{ID: testStream, App: "aws", Stream: f.stream(), Every: time.Minute, Parallel: 1, Once: true})
	require.NoError(t, err)
	enc, lane := newEncoder(p, run), sources.Lane{ID: "0", Once: true}
	big := strings.Repeat("0123456789abcdef", 4<<10)
	take := func(rows ...schemas.Activity) (pageCounts, error) {
		ch, seen, n, err := enc.encode(t.Context(), lane, &sources.Page{
			Rows: &schemas.Rows{Activities: rows}, Rejected: []sources.Reject{{Ref: "1", Reason: "no JSON", Raw: big}},
		})
		if err != nil {
			return n, err
		}
		require.NoError(t, p.do(t.Context(), ch))
		seen.committed()
		return n, nil
	}
	n, err := take(event("known", "first"))
	require.NoError(t, err)
	require.EqualValues(t, 1, n.rows)
	require.Equal(t, 1, files())

	// One file fits; the record without an id does not any more.
	events := []schemas.Activity{event("a", "1"), event("b", "1"), event("a", "2"), event("known", "second"), event("", big)}
	room := int64(1<<20) - p.dead.bytes - 1
	p.dead.add(room)
	for range 3 {
		_, err = take(append([]schemas.Activity(nil), events...)...)
		require.ErrorContains(t, err, "dead_limit")
		require.Equal(t, 1, files(), "of the page that failed, none stays")
	}
	p.dead.add(-room)
	n, err = take(events...)
	require.NoError(t, err)
	require.Equal(t, pageCounts{rows: 4, conflicts: 2, rejected: 2}, n)
	require.Equal(t, 3, files())
	for hour, h := range run.seen.hours {
		require.Zero(t, h.pins, hour)
	}
	kept, err := p.State().DeadBytes(t.Context())
	require.NoError(t, err)
	require.Equal(t, kept, p.dead.bytes)
	require.NoError(t, p.Drain(t.Context()))
	require.Equal(t, map[string]int{"known": 2, "a": 2, "b": 1}, sink.counts())
	_, err = p.ActOnDead(t.Context(), Drop, DeadFilter{Kind: DeadRow}, nil)
	require.NoError(t, err)
	require.Zero(t, files())
	require.Zero(t, p.dead.bytes)
	require.NoError(t, p.Close())
}

// What a page added is taken back, whatever became of it in memory meanwhile.
func TestSeenUndo(t *testing.T) {
	t.Parallel()
	st := testState(t)
	now := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	at := schemas.Time(now.UnixMilli())
	s := newSeenIDs(st, testStream, [16]byte{1}, &seenRoom{})
	require.Equal(t, []verdict{isNew, isNew}, judgeAll(t, st, s, now, at, [2]string{"old", "x"}, [2]string{"other", "x"}))
	page, err := s.begin(t.Context())
	require.NoError(t, err)
	judge := func(id, content string) {
		_, _, err := page.judge(t.Context(), id, content, at)
		require.NoError(t, err)
	}
	judge("old", "y")
	judge("old", "z")
	judge("taken over", "x")
	for i := range 3000 { // more than is kept unsorted
		judge(fmt.Sprint("new", i), "x")
	}
	judge("new1", "y")
	page.end()
	require.Equal(t, []verdict{isConflict}, judgeAll(t, st, s, now, at, [2]string{"taken over", "y"}))
	page.giveUp()

	require.Len(t, s.hours, 1)
	require.Equal(t, s.hours[int64(at)/hourMS].len(), s.resident)
	require.EqualValues(t, s.resident, s.room.used.Load())
	require.Less(t, s.resident, 10)
	events := [][2]string{{"old", "x"}, {"other", "x"}, {"taken over", "y"}, {"new1", "y"}, {"new2999", "x"}}
	want := []verdict{isDuplicate, isDuplicate, isDuplicate, isNew, isNew}
	require.Equal(t, want, judgeAll(t, st, s, now, at, events...))
	for hour, h := range s.hours {
		require.Zero(t, h.pins, hour)
	}
}

// A state that cannot be read fails the page, and the page alone.
func TestSeenUnreadable(t *testing.T) {
	t.Parallel()
	st := &unreadable{State: testState(t)}
	now := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	at := schemas.Time(now.UnixMilli())
	s := newSeenIDs(st, testStream, [16]byte{1}, &seenRoom{})
	e := &encoder{run: &StreamRun{seen: s}}
	rows := []schemas.Activity{{EventID: "a", Time: at, Raw: "x"}, {EventID: "b", Time: at + hourMS, Raw: "x"}}
	st.after = 1
	_, err := e.judge(t.Context(), sources.Lane{}, rows, now.Add(3*time.Hour), &pageCounts{})
	require.ErrorContains(t, err, "no state")
	st.after = 100
	var n pageCounts
	_, err = e.judge(t.Context(), sources.Lane{}, rows, now.Add(3*time.Hour), &n)
	require.NoError(t, err)
	require.Zero(t, n.duplicates)
	require.Len(t, e.index, 3, "of both attempts")
}

// unreadable is a State that tells no hour's ids after some.
type unreadable struct {
	State
	after int
}

func (u *unreadable) SeenHour(ctx ctxT, id StreamID, hour int64) ([][]byte, error) {
	if u.after--; u.after < 0 {
		return nil, errors.New("no state")
	}
	return u.State.SeenHour(ctx, id, hour)
}
