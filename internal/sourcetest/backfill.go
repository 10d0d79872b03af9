package sourcetest

import (
	"context"
	"log/slog"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/agent"
	"weir/pipeline"
	"weir/schemas"
	"weir/sources"
)

// backfills has the log begin an hour ago, and then collects what was before,
// under faults, killed in the middle again and again: afterwards what was
// collected is what is true.
func backfills(t *testing.T, f *Fixture) {
	var info sources.StreamInfo
	for _, s := range f.Connector.Streams {
		if s.Back {
			info = s
		}
	}
	if info.Name == "" {
		t.Skip("no log of it looks back")
	}
	require.NotEmpty(t, f.Recent, "how the configuration has the log begin an hour ago")
	site := f.NewSite(t, SiteOptions{People: few, Scenario: "mixed", Extra: f.Recent})
	deadline := time.Now().Add(time.Minute)
	for site.Run(t.Context(), site.Config(), true) != nil {
		require.True(t, time.Now().Before(deadline), site.tail())
	}
	recent := len(site.Log("lake", schemas.TableActivities))
	require.Less(t, recent, len(site.Truth().Activities)/2, "most is older")

	id := pipeline.StreamID{Instance: site.Instance(), Stream: info.Name}
	now := site.Clock.Now()
	job := &agent.PastJob{Of: id, New: &agent.Backfill{Instance: id.Instance, Stream: id.Stream, From: now.Add(-6 * 24 * time.Hour), To: now}}
	var task pipeline.PastTask
	kills := 0
	for left := int64(2); task.Status != pipeline.PastDone; left = left*3/2 + 1 {
		require.True(t, time.Now().Before(deadline), site.tail())
		ctx, kill := context.WithCancel(t.Context())
		var n atomic.Int64
		site.Wrap(func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) == left {
					kill()
				}
				h.ServeHTTP(w, r)
			})
		})
		job.Started = func(p pipeline.PastTask) { task = p }
		err := site.past(ctx, job)
		if ctx.Err() != nil {
			kills++
		}
		kill()
		if task.ID == 0 {
			continue // killed, or failed, before it was there
		}
		job = &agent.PastJob{Of: id, Resume: task.ID}
		task = site.task(task.ID)
		if task.Status == pipeline.PastDone {
			require.NoError(t, err)
		}
	}
	require.Positive(t, kills)
	require.Zero(t, task.Parked)
	site.Wrap(nil)
	require.Empty(t, site.Compare("lake"), site.tail())
	require.Len(t, site.Log("lake", schemas.TableActivities), len(site.Truth().Activities), "each event once")
	site.polite()

	// The ledger holds it, but for what may still come late.
	st := site.state()
	defer st.Close()
	proven := pipeline.NewSpan(task.Span.From, now.Add(-info.Lateness-time.Hour))
	held, err := st.Coverage(t.Context(), id, proven)
	require.NoError(t, err)
	require.Equal(t, []pipeline.Span{proven}, held)
}

// past runs an agent that reads a stretch of the past alone.
func (s *Site) past(ctx context.Context, job *agent.PastJob) error {
	s.t.Helper()
	log := slog.New(slog.NewJSONHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	a, err := agent.New(ctx, agent.Options{Config: s.Config(), Clock: s.Clock, Wall: clockwork.NewRealClock(), Log: log, Past: job})
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

func (s *Site) state() pipeline.State {
	s.t.Helper()
	st, err := pipeline.ReadState(s.t.Context(), filepath.Join(s.dir, "data"))
	require.NoError(s.t, err)
	return st
}

func (s *Site) task(id int64) pipeline.PastTask {
	s.t.Helper()
	st := s.state()
	defer st.Close()
	t, ok, err := st.PastTask(s.t.Context(), id)
	require.NoError(s.t, err)
	require.True(s.t, ok)
	return t
}
