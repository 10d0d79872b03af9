package pipeline

import (
	"context"
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// Of several logs one that the vendor's plan lacks is named, and costs the
// others nothing: no failure, no hole. Once it is licensed it is read.
func TestUnlicensedLaneIsAlone(t *testing.T) {
	t.Parallel()
	licensed := false
	lanes := fakeLanes{lanes: 3, pages: 2, rows: 2, fault: func(lane, _ int) error {
		if lane == 1 && !licensed {
			return fault.New(fault.NotLicensed, "the edition has no such log")
		}
		return nil
	}}.stream()
	list := lanes.Lanes
	lanes.Lanes = func(ctx context.Context, c sources.Cursor) iter.Seq2[*sources.LanePage, error] {
		return func(yield func(*sources.LanePage, error) bool) {
			for p, err := range list(ctx, c) {
				for i := range p.Lanes {
					p.Lanes[i].Once = false
				}
				p.CoveredTo = schemas.Time(time.Now().Add(-time.Hour).UnixMilli())
				yield(p, err)
			}
		}
	}
	read := lanes.Read
	lanes.Read = func(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
		if c != "2" {
			return read(ctx, l, c)
		}
		return func(yield func(*sources.Page, error) bool) { yield(&sources.Page{Rows: &schemas.Rows{}, Next: c}, nil) }
	}
	sink := newMemorySink()
	p := startPipeline(t, t.TempDir(), Options{}, map[string]*memorySink{"lake": sink})
	runOnce := func() *StreamRun {
		run, err := p.NewStreamRun(StreamOptions{ID: testStream, App: "aws", Stream: lanes, Every: time.Second, Parallel: 4, Once: true})
		require.NoError(t, err)
		require.NoError(t, run.Run(t.Context()))
		return run
	}
	run := runOnce()
	require.Zero(t, run.Stats.LanesFailed.Load())
	counts, err := p.State().LaneCounts(t.Context(), testStream)
	require.NoError(t, err)
	require.Zero(t, counts.Failing)
	named, err := p.State().LaneErrors(t.Context(), 10)
	require.NoError(t, err)
	require.Len(t, named, 1)
	require.Equal(t, "1", named[0].Lane.ID)
	require.True(t, named[0].NotLicensed())
	require.Contains(t, named[0].Error, "no such log")
	holes, err := p.State().Holes(t.Context(), testStream)
	require.NoError(t, err)
	require.Empty(t, holes)
	covered, err := p.State().Coverage(t.Context(), testStream, Span{})
	require.NoError(t, err)
	require.Len(t, covered, 1)

	licensed = true
	time.Sleep(time.Second) // until it is due
	runOnce()
	named, err = p.State().LaneErrors(t.Context(), 10)
	require.NoError(t, err)
	require.Empty(t, named)
	require.NoError(t, p.Drain(t.Context()))
	require.NoError(t, p.Close())
	requireExact(t, sink, 3*2*2)
}
