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
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
	"golang.org/x/sync/errgroup"

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
	// Alert is Commit with rows of activities, too; nil: they reach no sink.
	Alert func(ctx context.Context, app, instance string, rows []schemas.ActionLogRow, alerts []schemas.Activity, apply func(pipeline.Tx) error) error
	// Shadows counts writes that no action explains; nil: nobody does.
	Shadows func(instance string, n int)
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

	own     map[string]pipeline.OwnWatch // by instance
	watches map[string]*watched          // those whose log is looked through

	anchored schemas.ActionLogRow // the head that every anchor has
}

// Names of small values in the state.
const (
	metaPoll = "governance/tables" // pollState
	metaBase = "governance/base"   // base: where the log that is kept begins
)

// New returns governance over a state. A state without a history of its own
// starts paused.
func New(ctx context.Context, o Options) (*Runner, error) {
	r := &Runner{o: o, config: &o.Config.Governance, watches: map[string]*watched{}}
	head, err := o.Store.ActionHead(ctx)
	if err != nil {
		return nil, err
	}
	if head.Seq > 0 {
		if err := json.Unmarshal(head.Data, &r.head); err != nil {
			return nil, fmt.Errorf("the action log's entry %d is damaged: %w", head.Seq, err)
		}
	}
	if r.paused, err = o.Store.Meta(ctx, pipeline.MetaGovernancePaused); err != nil {
		return nil, err
	}
	if r.own, err = o.Store.OwnWatches(ctx); err != nil {
		return nil, err
	}
	if err := r.loadPoll(ctx); err != nil {
		return nil, err
	}
	why := ""
	switch r.paused {
	case "":
		why = "the state is new: look at weir actions list, then weir actions resume"
	case pipeline.GovernanceResumed:
		r.paused = ""
	}
	ahead := r.anchorsAhead()
	if ahead != "" {
		why = ahead
		for name, w := range r.own { // what was written since the copy, its journal does not explain
			w.Since = time.Time{}
			r.own[name] = w
		}
	}
	if why != "" {
		r.paused = why
		if err := r.commit(ctx, nil, event{Event: "paused", Detail: why}, setPaused(why), r.setOwn(r.own)); err != nil {
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
	wg.Go(func() { r.runInstance(ctx, everywhere) })
	wg.Go(func() { r.every(ctx, r.config.Poll, r.pollOnce) })
	wg.Go(func() { r.every(ctx, pruneEvery, r.pruneOnce) })
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
	looksAtOnce = 10  // at most, before watched actions have their turn
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
	for range looksAtOnce {
		due, err := r.o.Store.DueActions(ctx, instance, r.o.Clock.Now(), dueAtOnce)
		if err != nil {
			return err
		}
		if err := r.advanceAll(ctx, instance, due); err != nil {
			return err
		}
		if len(due) < dueAtOnce {
			break
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	if err := r.shadows(ctx, instance); err != nil {
		return err
	}
	return r.watchAll(ctx, instance)
}

// advanceAll takes actions as far as they go, several at the same time: those on
// one target one after the other, in order of receipt; and those on
// administrators alone, so that no two can take the last ones together.
func (r *Runner) advanceAll(ctx context.Context, instance string, due []pipeline.ActionRecord) error {
	most := r.parallel(instance)
	targets := map[[2]string][]string{}
	var order [][2]string
	var alone []string
	for _, rec := range due {
		a, err := Read(rec)
		if err != nil {
			return err
		}
		if a.Privileged || most == 1 {
			alone = append(alone, rec.ID)
			continue
		}
		target := [2]string{rec.Kind, rec.Target}
		if targets[target] == nil {
			order = append(order, target)
		}
		targets[target] = append(targets[target], rec.ID)
	}
	several, sctx := errgroup.WithContext(ctx)
	several.SetLimit(most)
	for _, target := range order {
		several.Go(func() error { return r.advanceEach(sctx, targets[target]) })
	}
	if err := several.Wait(); err != nil {
		return err
	}
	return r.advanceEach(ctx, alone)
}

func (r *Runner) advanceEach(ctx context.Context, actions []string) error {
	for _, id := range actions {
		if ctx.Err() != nil {
			return nil
		}
		if err := r.advance(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// parallel is how many actions of an instance are carried out at the same time:
// of bundles, which only begin others, one.
func (r *Runner) parallel(instance string) int {
	if inst := r.instance(instance); inst != nil {
		return max(1, inst.Parallel)
	}
	return 1
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

// PausedOn returns why nothing is executed on an instance; "" when it is.
func (r *Runner) PausedOn(instance string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pausedOn(instance)
}

func (r *Runner) pausedOn(instance string) string {
	if why := r.pausedNow(); why != "" {
		return why
	}
	return r.own[instance].Halted
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

// Resume lets execution go on, on every instance. Only who may approve something
// may say so; the error is else of class BadData.
func (r *Runner) Resume(ctx context.Context, by Caller, why string) error {
	p := r.principal(by.Principal)
	if p == nil || !slices.ContainsFunc(p.May, func(m string) bool { return strings.HasPrefix(m, "approve") }) {
		return fault.New(fault.BadData, "%s may approve nothing, and not resume", quoted(by.name()))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	halted := r.resumed()
	e := event{Event: "resumed", Reason: why, by: by}
	if len(halted) > 0 {
		e.Detail = "with the instances that were paused: " + strings.Join(slices.Sorted(maps.Keys(halted)), ", ")
	}
	if err := r.commit(ctx, nil, e, setPaused(pipeline.GovernanceResumed), r.setOwn(halted)); err != nil {
		return err
	}
	r.paused = ""
	maps.Copy(r.own, halted)
	return nil
}

func (r *Runner) setOwn(watches map[string]pipeline.OwnWatch) func(pipeline.Tx) error {
	return func(tx pipeline.Tx) error {
		for name, w := range watches {
			if err := tx.SetOwnWatch(name, w); err != nil {
				return err
			}
		}
		return nil
	}
}

func setPaused(v string) func(pipeline.Tx) error {
	return func(tx pipeline.Tx) error { return tx.SetMeta(pipeline.MetaGovernancePaused, v) }
}

func (r *Runner) instance(name string) *configs.Instance {
	i := slices.IndexFunc(r.o.Config.Instances, func(i configs.Instance) bool { return i.Name == name && i.Enabled })
	if i < 0 {
		return nil
	}
	return &r.o.Config.Instances[i]
}
