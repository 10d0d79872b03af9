package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"weir/agent/govern"
	"weir/configs"
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
	if a.Once || a.Role == RoleCollect || !govern.On(a.Config) {
		return nil, nil //nolint:nilnil // none is wanted
	}
	o := govern.Options{
		Config: a.Config, Clock: a.Clock, Log: a.Log, Store: a.Pipeline.State(), Open: a.governor,
		Commit: func(ctx context.Context, app, instance string, rows []schemas.ActionLogRow, apply func(pipeline.Tx) error) error {
			if app == "" {
				app = ownApp
			}
			return a.Pipeline.Emit(ctx, app, instance, &schemas.Rows{ActionLog: rows}, apply)
		},
		Alert: func(ctx context.Context, app, instance string, rows []schemas.ActionLogRow, alerts []schemas.Activity, apply func(pipeline.Tx) error) error {
			return a.Pipeline.Emit(ctx, app, instance, &schemas.Rows{ActionLog: rows, Activities: alerts}, apply)
		},
	}
	shadows := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_shadow_actions_total", Help: "Writes at the vendor with Weir's own credentials that no action explains.",
	}, []string{"instance"})
	a.metrics.MustRegister(shadows)
	for _, inst := range a.Config.Instances {
		if inst.Enabled && len(inst.Governance.Allow) > 0 {
			shadows.WithLabelValues(inst.Name)
		}
	}
	o.Shadows = func(instance string, n int) { shadows.WithLabelValues(instance).Add(float64(n)) }
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
	for _, inst := range a.Config.Instances {
		if why := r.PausedOn(inst.Name); why != "" && why != r.Paused() {
			a.Log.Warn("governance is paused on an instance: nothing is executed there until weir actions resume", "instance", inst.Name, "reason", why)
		}
	}
	return r, nil
}

// watchOwn returns what looks through a stream of events for writes with the
// instance's own credentials; nil when none is to be looked for. It tries until it
// is known whose the credentials are: an event that was passed over does not come
// again. The error is that of ctx.
func (a *Agent) watchOwn(ctx context.Context, inst configs.Instance, s *StreamStatus, stream sources.Stream, session sources.Session, log *slog.Logger) (func(*schemas.Activity) []byte, error) {
	if a.governance == nil || len(inst.Governance.Allow) == 0 || stream.Info.Shape != sources.Log || !slices.Contains(stream.Info.Tables, schemas.TableActivities) {
		return nil, nil
	}
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		watch, err := a.governance.Watch(ctx, inst.Name, session)
		if err == nil {
			s.set(nil)
			return watch, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		s.set(err)
		log.Error("stream cannot begin; trying again, the others go on", "error", err)
		if !a.pause(ctx, max(wait, fault.RetryAfter(err))) {
			return nil, context.Cause(ctx)
		}
	}
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

// governor returns an instance's session for governance.
func (a *Agent) governor(ctx context.Context, instance string) (govern.Session, error) {
	i := slices.IndexFunc(a.Config.Instances, func(inst configs.Instance) bool { return inst.Name == instance })
	if i < 0 {
		return govern.Session{}, fault.New(fault.Permanent, "there is no instance %s", instance)
	}
	inst := a.Config.Instances[i]
	session, err := a.tryOpen(ctx, inst)
	if err != nil {
		return govern.Session{}, err
	}
	governor, ok := session.(sources.Governor)
	if !ok {
		return govern.Session{}, fault.New(fault.Permanent, "%s: the connector %s carries out no actions", instance, inst.Connector.App)
	}
	return govern.Session{Governor: governor, Connector: inst.Connector}, nil
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
			http.Error(w, "governance is off: no instance allows an action, or the agent runs with --role collect", http.StatusConflict)
			return
		}
		var body T
		if !told(w, r, what, &body) {
			return
		}
		action, err := fn(r.Context(), a.governance.Socket(uid), body)
		if err != nil {
			status := http.StatusInternalServerError
			if fault.Of(err) == fault.BadData {
				status = http.StatusConflict
			}
			http.Error(w, govern.Plain(err.Error()), status)
			return
		}
		answer := ActionAnswer{}
		if action != nil {
			answer = ActionAnswer{action.State, govern.Plain(action.Note)}
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
