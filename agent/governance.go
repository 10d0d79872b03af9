package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"weir/agent/govern"
	"weir/internal/fault"
	"weir/pipeline"
	"weir/schemas"
	"weir/sinks"
	"weir/sources"
)

// ownApp is the app of the action log's rows that belong to no instance.
const ownApp = "weir"

// newGovernance returns governance over the pipeline's state; nil when no
// instance allows an action. The pipeline has been started.
func (a *Agent) newGovernance(ctx context.Context) (*govern.Runner, error) {
	if a.Once || !govern.On(a.Config) {
		return nil, nil //nolint:nilnil // none is wanted
	}
	sessions := &governSessions{a: a, open: map[string]govern.Session{}}
	o := govern.Options{
		Config: a.Config, Clock: a.Clock, Log: a.Log, Store: a.Pipeline.State(), Open: sessions.get,
		Commit: func(ctx context.Context, app, instance string, rows []schemas.ActionLogRow, apply func(pipeline.Tx) error) error {
			if app == "" {
				app = ownApp
			}
			return a.Pipeline.Emit(ctx, app, instance, schemas.ByName(schemas.TableActionLog), &schemas.Rows{ActionLog: rows}, apply)
		},
	}
	if a.control != nil {
		o.Control = a.control
	}
	r, err := govern.New(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("governance: %w", err)
	}
	if why := r.Paused(); why != "" {
		a.Log.Warn("governance is paused: nothing is executed until weir actions resume", "reason", why)
	}
	return r, nil
}

// controlOf returns the sink whose control tables are read; nil: none.
func controlOf(opened []pipeline.SinkOptions, name string) (sinks.Control, error) {
	for _, s := range opened {
		if s.Name == name {
			c, ok := s.Sink.(sinks.Control)
			if !ok {
				return nil, fmt.Errorf("governance.control: sink %s has no control tables", name)
			}
			return c, nil
		}
	}
	return nil, nil //nolint:nilnil // none is configured
}

// governSessions keeps one session an instance open for governance.
type governSessions struct {
	a *Agent

	mu   sync.Mutex
	open map[string]govern.Session
}

func (g *governSessions) get(ctx context.Context, instance string) (govern.Session, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if s, ok := g.open[instance]; ok {
		return s, nil
	}
	for _, inst := range g.a.Config.Instances {
		if inst.Name != instance {
			continue
		}
		session, err := g.a.tryOpen(ctx, inst)
		if err != nil {
			return govern.Session{}, err
		}
		governor, ok := session.(sources.Governor)
		if !ok {
			return govern.Session{}, fault.New(fault.Permanent, "%s: the connector %s carries out no actions", instance, inst.Connector.App)
		}
		s := govern.Session{Governor: governor, Connector: inst.Connector}
		g.open[instance] = s
		return s, nil
	}
	return govern.Session{}, fault.New(fault.Permanent, "there is no instance %s", instance)
}

// ActionAnswer is what the control socket answers to a request or a decision.
type ActionAnswer struct {
	State govern.State `json:"state"`
	Note  string       `json:"note"`
}

// GovernReason is the body of POST /actions/pause and /actions/resume.
type GovernReason struct {
	Reason string `json:"reason"`
}

type peerKey struct{}

// serveActions adds what governance may be told. Who tells it is the socket's
// peer, as the kernel says.
//
//	POST /actions/submit   a schemas.ActionRow; an ActionAnswer
//	POST /actions/decide   a schemas.ApprovalRow; an ActionAnswer
//	POST /actions/pause    a GovernReason
//	POST /actions/resume   a GovernReason
func (a *Agent) serveActions(mux *http.ServeMux) {
	handle(a, mux, "submit", func(ctx context.Context, by govern.Caller, row schemas.ActionRow) (*govern.Action, error) {
		row.ReceivedAt = schemas.Time(a.Clock.Now().UnixMilli())
		return a.governance.Submit(ctx, row, by)
	})
	handle(a, mux, "decide", func(ctx context.Context, by govern.Caller, d schemas.ApprovalRow) (*govern.Action, error) {
		return a.governance.Decide(ctx, d, by)
	})
	handle(a, mux, "pause", func(ctx context.Context, by govern.Caller, d GovernReason) (*govern.Action, error) {
		return nil, a.governance.Pause(ctx, by, d.Reason)
	})
	handle(a, mux, "resume", func(ctx context.Context, by govern.Caller, d GovernReason) (*govern.Action, error) {
		return nil, a.governance.Resume(ctx, by, d.Reason)
	})
}

func handle[T any](a *Agent, mux *http.ServeMux, what string, fn func(context.Context, govern.Caller, T) (*govern.Action, error)) {
	mux.HandleFunc("POST /actions/"+what, func(w http.ResponseWriter, r *http.Request) {
		uid, ok := r.Context().Value(peerKey{}).(uint32)
		if a.governance == nil || !ok {
			http.Error(w, "governance is off: no instance allows an action", http.StatusConflict)
			return
		}
		var body T
		dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxControl))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&body); err != nil {
			http.Error(w, "the request is no "+what+": "+err.Error(), http.StatusBadRequest)
			return
		}
		action, err := fn(r.Context(), a.governance.Socket(uid), body)
		switch {
		case err != nil && fault.Of(err) != fault.BadData:
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		case err != nil:
			http.Error(w, err.Error(), http.StatusConflict)
			return
		}
		answer := ActionAnswer{}
		if action != nil {
			answer = ActionAnswer{action.State, action.Note}
		}
		data, err := json.Marshal(answer)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(data) // whoever asked is gone
	})
}

// TellActions sends a body to /actions/what of the agent that runs on a data
// directory; ErrNoAgent when none runs.
func TellActions(ctx context.Context, dataDir, what string, body any) (answer ActionAnswer, err error) {
	data, err := json.Marshal(body)
	if err != nil {
		return answer, err
	}
	got, err := ask(ctx, dataDir, "/actions/"+what, data)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(got, &answer); err != nil {
		return answer, errors.Join(errors.New("the agent's answer is none"), err)
	}
	return answer, nil
}
