// Package govern carries out what people queue to be changed at vendors: it
// freezes each request as it was first seen, plans it, waits for approvals,
// executes it in steps, verifies it, and takes it back when asked to.
//
// The rules it keeps:
//
//   - What a request or a decision claims is not believed: who made it is told
//     by ClickHouse (currentUser) or by the kernel (the socket's peer), and
//     mapped to a principal by the configuration.
//   - Nothing is written at a vendor before the request, its plan with the state
//     before and all steps, and "this step begins now" are durable, in the state
//     and in the action log.
//   - A step whose outcome is not known is never repeated unless the vendor,
//     asked late enough, says that it was not done.
//   - A plan is made again right before it is carried out; when it is no longer
//     the one that was approved, the approvals lapse.
//
// Every change of an action is one transaction with its entries of the action
// log, which is a chain of hashes.
package govern

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"

	"weir/configs"
	"weir/internal/fault"
	"weir/pipeline"
	"weir/schemas"
	"weir/sinks"
	"weir/sources"
)

// Store is what governance keeps its state in.
type Store interface {
	pipeline.ActionStore
	ID() string
	Meta(ctx context.Context, key string) (string, error)
}

// Session is an instance's open connection, with what its connector declares.
type Session struct {
	sources.Governor
	Connector *sources.Connector
}

// Options is what a Runner needs.
type Options struct {
	Config *configs.Config
	Clock  clockwork.Clock
	Log    *slog.Logger
	Store  Store
	// Commit makes apply's changes durable together with rows of the action
	// log, which then reach every sink. It returns nil or the process must end.
	Commit func(ctx context.Context, app, instance string, rows []schemas.ActionLogRow, apply func(pipeline.Tx) error) error
	// Open returns an instance's session; it may keep it open.
	Open func(ctx context.Context, instance string) (Session, error)
	// Control reads the control tables; nil: there are none.
	Control sinks.Control
}

// Runner is governance at work.
type Runner struct {
	o      Options
	config *configs.Governance

	mu       sync.Mutex // over every change of an action and of the chain
	head     schemas.ActionLogRow
	paused   string // why; "" it is not
	poll     pollState
	polledAs string // poll, as last saved
}

// Names of small values in the state.
const (
	metaPaused = "governance/paused" // why, in words; "-" when a person has resumed
	metaPoll   = "governance/poll"   // pollState
)

const resumed = "-"

// New returns governance over a state. A state without a history of its own
// starts paused.
func New(ctx context.Context, o Options) (*Runner, error) {
	r := &Runner{o: o, config: &o.Config.Governance}
	head, err := o.Store.ActionHead(ctx)
	if err != nil {
		return nil, err
	}
	if head.Seq > 0 {
		if err := json.Unmarshal(head.Data, &r.head); err != nil {
			return nil, fmt.Errorf("the action log's entry %d is damaged: %w", head.Seq, err)
		}
	}
	if r.paused, err = o.Store.Meta(ctx, metaPaused); err != nil {
		return nil, err
	}
	if err := r.loadPoll(ctx); err != nil {
		return nil, err
	}
	why := ""
	switch r.paused {
	case "":
		why = "the state is new: look at weir actions list, then weir actions resume"
	case resumed:
		r.paused = ""
	}
	if ahead := r.anchorsAhead(); ahead != "" {
		why = ahead
	}
	if why != "" {
		r.paused = why
		if err := r.commit(ctx, nil, event{Event: "paused", Detail: why}, setPaused(why)); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// On reports whether any instance of a configuration allows an action.
func On(c *configs.Config) bool {
	return slices.ContainsFunc(c.Instances, func(i configs.Instance) bool { return i.Enabled && len(i.Governance.Allow) > 0 })
}

// Run works until ctx ends.
func (r *Runner) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, inst := range r.o.Config.Instances {
		if inst.Enabled && len(inst.Governance.Allow) > 0 {
			wg.Go(func() { r.runInstance(ctx, inst.Name) })
		}
	}
	wg.Go(func() { r.every(ctx, r.config.Poll, r.pollOnce) })
	wg.Go(func() {
		r.every(ctx, anchorEvery, r.writeAnchors)
		r.writeAnchors(context.WithoutCancel(ctx))
	})
	wg.Wait()
}

const (
	tickEvery   = time.Second
	anchorEvery = time.Minute
	dueAtOnce   = 100 // actions taken up in one look
)

func (r *Runner) runInstance(ctx context.Context, instance string) {
	r.every(ctx, tickEvery, func(ctx context.Context) {
		if err := r.Tick(ctx, instance); err != nil && ctx.Err() == nil {
			r.o.Log.Error("governance cannot go on for now", "instance", instance, "error", err)
		}
	})
}

// every calls fn at once and then again and again.
func (r *Runner) every(ctx context.Context, d time.Duration, fn func(context.Context)) {
	for ctx.Err() == nil {
		fn(ctx)
		select {
		case <-r.o.Clock.After(d):
		case <-ctx.Done():
		}
	}
}

// Tick takes each of an instance's due actions as far as it goes now.
func (r *Runner) Tick(ctx context.Context, instance string) error {
	due, err := r.o.Store.DueActions(ctx, instance, r.o.Clock.Now(), dueAtOnce)
	if err != nil {
		return err
	}
	for _, rec := range due {
		if ctx.Err() != nil {
			return nil
		}
		if err := r.advance(ctx, rec.ID); err != nil {
			return err
		}
	}
	return nil
}

// Paused returns why nothing is executed; "" when it is.
func (r *Runner) Paused() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pausedNow()
}

func (r *Runner) pausedNow() string {
	if r.paused == "" && r.killed() {
		return "the kill switch " + r.config.KillSwitch + " is there"
	}
	return r.paused
}

// Pause stops execution, before the next step.
func (r *Runner) Pause(ctx context.Context, by Caller, why string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if why == "" {
		why = "paused by " + by.name()
	}
	if err := r.commit(ctx, nil, event{Event: "paused", Detail: why, by: by}, setPaused(why)); err != nil {
		return err
	}
	r.paused = why
	return nil
}

// Resume lets execution go on. Only who may approve something may say so; the
// error is else of class BadData.
func (r *Runner) Resume(ctx context.Context, by Caller, why string) error {
	p := r.principal(by.Principal)
	if p == nil || !slices.ContainsFunc(p.May, func(m string) bool { return strings.HasPrefix(m, "approve") }) {
		return fault.New(fault.BadData, "%s may approve nothing, and not resume", quoted(by.name()))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.commit(ctx, nil, event{Event: "resumed", Reason: why, by: by}, setPaused(resumed)); err != nil {
		return err
	}
	r.paused = ""
	return nil
}

func setPaused(v string) func(pipeline.Tx) error {
	return func(tx pipeline.Tx) error { return tx.SetMeta(metaPaused, v) }
}

func (r *Runner) instance(name string) *configs.Instance {
	i := slices.IndexFunc(r.o.Config.Instances, func(i configs.Instance) bool { return i.Name == name && i.Enabled })
	if i < 0 {
		return nil
	}
	return &r.o.Config.Instances[i]
}
