package agent

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"weir/internal/fault"
	"weir/pipeline"
	"weir/sources"
)

// Backfill is the body of POST /backfill: a stretch of a stream's past.
type Backfill struct {
	Instance string    `json:"instance"`
	Stream   string    `json:"stream"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
}

// PastOrder is the body of POST /past.
type PastOrder struct {
	Task int64             `json:"task"`
	Verb pipeline.PastVerb `json:"verb"`
}

// PastJob is what an agent is to do that reads a stretch of the past and nothing
// else: a new one, or one to be resumed.
type PastJob struct {
	Of      pipeline.StreamID
	New     *Backfill
	Resume  int64
	Started func(pipeline.PastTask) // called once the task is in the state

	task int64
}

// beginPast makes or resumes the task of the agent's job.
func (a *Agent) beginPast(ctx context.Context) (err error) {
	var t pipeline.PastTask
	if a.Past.New != nil {
		t, err = a.backfill(ctx, *a.Past.New)
	} else {
		t, err = a.Pipeline.TellPast(ctx, a.Past.Resume, pipeline.PastResume)
	}
	if err != nil {
		return err
	}
	a.Past.task = t.ID
	if a.Past.Started != nil {
		a.Past.Started(t)
	}
	return nil
}

// backfill makes a task of a stream that this agent runs.
func (a *Agent) backfill(ctx context.Context, b Backfill) (t pipeline.PastTask, err error) {
	id := pipeline.StreamID{Instance: b.Instance, Stream: b.Stream}
	for _, s := range a.streams {
		if s.ID != id {
			continue
		}
		info, err := a.streamInfo(s)
		if err != nil {
			return t, err
		}
		return a.Pipeline.AddBackfill(ctx, id, info, pipeline.NewSpan(b.From, b.To))
	}
	return t, fault.New(fault.Permanent, "no stream %s is collected: see the configuration", id)
}

// streamInfo is a stream's declaration: as its session makes it, once it is open.
func (a *Agent) streamInfo(s *StreamStatus) (info sources.StreamInfo, err error) {
	if run := s.Running(); run != nil {
		return run.Stream.Info, nil
	}
	for _, inst := range a.Config.Instances {
		if inst.Name != s.ID.Instance {
			continue
		}
		for _, info := range inst.StreamInfos() {
			if info.Name == s.ID.Stream {
				return info, nil
			}
		}
	}
	return info, fault.New(fault.Permanent, "no stream %s is configured", s.ID)
}

func (a *Agent) takeBackfill(w http.ResponseWriter, r *http.Request) {
	var b Backfill
	if !told(w, r, "backfill", &b) {
		return
	}
	t, err := a.backfill(r.Context(), b)
	a.answerPast(w, t, err, "a backfill was asked for")
}

func (a *Agent) takePastOrder(w http.ResponseWriter, r *http.Request) {
	var o PastOrder
	if !told(w, r, "order to a task", &o) {
		return
	}
	t, err := a.Pipeline.TellPast(r.Context(), o.Task, o.Verb)
	a.answerPast(w, t, err, "a task was told to "+string(o.Verb))
}

func (a *Agent) answerPast(w http.ResponseWriter, t pipeline.PastTask, err error, what string) {
	switch {
	case errors.Is(err, pipeline.ErrPastHeld):
		http.Error(w, err.Error(), http.StatusGone)
		return
	case err != nil:
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	a.Log.Info("a task of the past", "order", what, "task", t.ID, "instance", t.Instance, "stream", t.Stream, "from", t.Span.From, "to", t.Span.To)
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(t); err != nil {
		a.Log.Warn("the answer to a command could not be sent", "error", err)
	}
}

// AskBackfill has the agent of a data directory begin a backfill. Without one
// the error is ErrNoAgent, and pipeline.ErrPastHeld when there is nothing to do.
func AskBackfill(ctx context.Context, dataDir string, b Backfill) (pipeline.PastTask, error) {
	return askPast(ctx, dataDir, "/backfill", b)
}

// TellPast has the agent of a data directory stop, resume or drop a task.
// Without one the error is ErrNoAgent.
func TellPast(ctx context.Context, dataDir string, o PastOrder) (pipeline.PastTask, error) {
	return askPast(ctx, dataDir, "/past", o)
}

func askPast(ctx context.Context, dataDir, path string, v any) (t pipeline.PastTask, err error) {
	body, err := json.Marshal(v)
	if err != nil {
		return t, err
	}
	answer, err := ask(ctx, dataDir, path, body)
	if err != nil {
		return t, err
	}
	if err := json.Unmarshal(answer, &t); err != nil {
		return t, fault.New(fault.BadData, "the agent's answer does not parse: %w", err)
	}
	return t, nil
}
