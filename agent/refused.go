package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"weir/pipeline"
	"weir/schemas"
	"weir/sources"
)

// MaxDead is how many dead letters one request may be about: its answer is
// bounded, and so is its time.
const MaxDead = 50

// DeadRequest is the body of POST /deadletter.
type DeadRequest struct {
	Action pipeline.DeadAction `json:"action"`
	Filter pipeline.DeadFilter `json:"filter"`
}

// SinkCommand is the body of POST /sinks.
type SinkCommand struct {
	Do    string               `json:"do"` // resync, retry or fill
	Sink  string               `json:"sink"`
	Table string               `json:"table,omitempty"` // of resync; "" for all
	Fill  pipeline.FillRequest `json:"fill,omitzero"`
}

func (a *Agent) actOnDead(w http.ResponseWriter, r *http.Request) {
	var d DeadRequest
	if !told(w, r, "action on dead letters", &d) {
		return
	}
	switch d.Action {
	case pipeline.Replay, pipeline.Drop, pipeline.Recollect:
	default:
		http.Error(w, fmt.Sprintf("there is no action %q", d.Action), http.StatusBadRequest)
		return
	}
	if len(d.Filter.IDs) == 0 || len(d.Filter.IDs) > MaxDead {
		http.Error(w, fmt.Sprintf("%d dead letters in one request, from 1 to %d are accepted", len(d.Filter.IDs), MaxDead), http.StatusBadRequest)
		return
	}
	done, err := a.Pipeline.ActOnDead(r.Context(), d.Action, d.Filter, a.mapRecord)
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	a.Log.Info("dead letters were acted on", "action", d.Action, "letters", len(done))
	for _, s := range a.streams {
		if run := s.Running(); run != nil {
			run.Wake()
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(done) // whoever asked is gone
}

// mapRecord maps a record that was refused with today's mapping.
func (a *Agent) mapRecord(d pipeline.DeadLetter, tenant string) (*schemas.Rows, error) {
	for _, inst := range a.Config.Instances {
		if inst.Name != d.Instance {
			continue
		}
		if inst.Connector.Mapper == nil {
			return nil, pipeline.ErrNoMapper
		}
		m, err := inst.Connector.Mapper(inst.Config)
		if err != nil {
			return nil, err
		}
		rows := &schemas.Rows{}
		return rows, m.Map(sources.MapInput{Stream: d.Stream, Tenant: tenant}, d.Raw, rows)
	}
	return nil, fmt.Errorf("instance %q is not in the configuration", d.Instance)
}

func (a *Agent) commandSink(w http.ResponseWriter, r *http.Request) {
	var c SinkCommand
	if !told(w, r, "command to a sink", &c) {
		return
	}
	answer, err := "", error(nil)
	switch c.Do {
	case "resync":
		answer, err = "every row comes with the next complete round of each stream", a.Pipeline.Resync(r.Context(), c.Sink, c.Table)
	case "retry":
		var n int
		n, err = a.Pipeline.Retry(c.Sink)
		answer = fmt.Sprintf("%d tables had stopped and are tried now", n)
	case "fill":
		var f pipeline.Fill
		f, err = a.Pipeline.StartFill(r.Context(), c.Fill)
		answer = "fill " + f.ID + " has begun: see `weir sinks list`"
	default:
		err = fmt.Errorf("there is no command %q", c.Do)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	a.Log.Info("a sink was commanded", "sink", c.Sink, "do", c.Do)
	_, _ = io.WriteString(w, answer) // whoever asked is gone
}

// ActOnDead has the agent that runs on a data directory act on dead letters, at
// most MaxDead of them; ErrNoAgent when none runs.
func ActOnDead(ctx context.Context, dataDir string, d DeadRequest) (out []pipeline.DeadResult, err error) {
	body, err := json.Marshal(d)
	if err != nil {
		return nil, err
	}
	answer, err := ask(ctx, dataDir, "/deadletter", body)
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(answer, &out)
	return out, err
}

// CommandSink tells the agent that runs on a data directory what a person wants
// of a sink, and returns what it says; ErrNoAgent when none runs.
func CommandSink(ctx context.Context, dataDir string, c SinkCommand) (string, error) {
	body, err := json.Marshal(c)
	if err != nil {
		return "", err
	}
	answer, err := ask(ctx, dataDir, "/sinks", body)
	return string(answer), err
}
