package pipeline

import (
	"context"
	"iter"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/schemas"
	"weir/sources"
)

// endless shows lane "stuck" the same page for ever, under ever new cursors.
func endless(reads *int) func(context.Context, sources.Lane, sources.Cursor) iter.Seq2[*sources.Page, error] {
	return func(_ context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
		return func(yield func(*sources.Page, error) bool) {
			at := schemas.Time(time.Now().UnixMilli())
			if l.ID != "stuck" {
				rows := &schemas.Rows{Activities: []schemas.Activity{{EventID: "good", Time: at}}, Accounts: []schemas.Account{{AccountID: "good"}}}
				yield(&sources.Page{Rows: rows, Next: "end"}, nil)
				return
			}
			n, _ := strconv.Atoi(string(c))
			for more := true; more; {
				n++
				*reads++
				rows := &schemas.Rows{Activities: []schemas.Activity{{EventID: "a", Time: at}, {EventID: "b", Time: at}}, Accounts: []schemas.Account{{AccountID: "a"}}}
				more = yield(&sources.Page{Rows: rows, Next: sources.Cursor(strconv.Itoa(n)), More: true}, nil)
			}
		}
	}
}

func twoLanes(context.Context, sources.Cursor) iter.Seq2[*sources.LanePage, error] {
	return func(yield func(*sources.LanePage, error) bool) {
		yield(&sources.LanePage{Lanes: []sources.Lane{{ID: "stuck"}, {ID: "good"}}, Complete: true, CoveredTo: 1}, nil)
	}
}

// A vendor that shows the same page for ever fails that lane, in words, after a
// few pages; its rows are sent once, and the other lanes go on.
func TestEndlessPages(t *testing.T) {
	t.Parallel()
	const says = "the same page came 4 times in a row, each time under another cursor"
	t.Run("log", func(t *testing.T) {
		t.Parallel()
		reads, sink := 0, newMemorySink()
		p := startPipeline(t, t.TempDir(), Options{}, map[string]*memorySink{"lake": sink})
		s := sources.Stream{Info: sources.StreamInfo{Name: "activities", Tables: []string{"activities"}, Keep: time.Hour}, Lanes: twoLanes, Read: endless(&reads)}
		run, err := p.NewStreamRun(StreamOptions{ID: testStream, App: "aws", Stream: s, Every: time.Hour, Parallel: 2})
		require.NoError(t, err)
		require.NoError(t, run.round(t.Context()))
		p.committer.flush()
		require.NoError(t, run.settle(t.Context()))
		failing, err := p.state.LaneErrors(t.Context(), 10)
		require.NoError(t, err)
		require.Len(t, failing, 1)
		require.Equal(t, "stuck", failing[0].Lane.ID)
		require.Contains(t, failing[0].Error, says)
		require.Greater(t, failing[0].Fails, 1, "further attempts count, and wait longer")
		require.Less(t, reads, 20)
		require.NoError(t, p.Drain(t.Context()))
		require.NoError(t, p.Close())
		require.Equal(t, map[string]int{"a": 1, "b": 1, "good": 1}, sink.counts())
	})
	t.Run("scan", func(t *testing.T) {
		t.Parallel()
		reads, site := 0, newScanSite(t, "one")
		s := sources.Stream{Info: sources.StreamInfo{Name: "accounts", Shape: sources.Scan, Tables: []string{"accounts"}}, Lanes: twoLanes, Read: endless(&reads)}
		_, err := site.once(s)
		require.ErrorContains(t, err, says)
		require.Less(t, reads, 50)
		require.Len(t, site.sinks["one"].fold(), 2)
	})
}

// A window of the past that shows the same page for ever fails its lane, too.
func TestEndlessPast(t *testing.T) {
	t.Parallel()
	reads := 0
	p := startPipeline(t, t.TempDir(), Options{}, map[string]*memorySink{"lake": newMemorySink()})
	s := sources.Stream{Info: sources.StreamInfo{Name: "activities", Tables: []string{"activities"}, Keep: time.Hour}, Lanes: twoLanes, Read: endless(&reads)}
	live, err := p.NewStreamRun(StreamOptions{ID: testStream, App: "aws", Stream: s, Every: time.Hour, Parallel: 2})
	require.NoError(t, err)
	run := (&pastRun{r: live}).reader(&PastTask{StreamID: testStream, ID: 1})
	require.NoError(t, run.readLane(t.Context(), LaneState{StreamID: run.lanes, Lane: sources.Lane{ID: "stuck"}}, newEncoder(p, run)))
	require.EqualValues(t, 1, run.Stats.LanesFailed.Load())
	require.NoError(t, p.Close())
}
