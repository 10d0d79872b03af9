// Package agent runs instances: it opens their sessions, supervises their
// streams so that one instance's failure touches no other, and serves health
// and metrics.
package agent

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"sync"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"weir/agent/govern"
	"weir/configs"
	"weir/internal/buildinfo"
	"weir/internal/fault"
	"weir/pipeline"
	"weir/schemas"
	"weir/sinks"
	"weir/sources"
)

const (
	firstWait = time.Second
	maxWait   = 10 * time.Minute // between attempts to bring up an instance or a stopped stream

	// A daemon's instances start one after the other: all at once, they would
	// need much memory, and poll in step ever after.
	startApart  = 200 * time.Millisecond
	startWithin = time.Minute // all have started by then
)

// Options is what an agent needs beside its configuration.
type Options struct {
	Config   *configs.Config
	Clock    clockwork.Clock
	Wall     clockwork.Clock // measures how long the network takes, where Clock is not real: nil is Clock
	Log      *slog.Logger
	Once     bool // collect until every lane says caught up, deliver, end
	TakeOver bool // write to sinks that another state has written
	Role     Role // what of it all is done
	// Past, when set, is all that is done: a stretch of one stream's past.
	Past *PastJob
	// DebugHTTP gets every HTTP exchange with a vendor, secrets removed. nil:
	// none are told.
	DebugHTTP io.Writer
}

// Role is the part of the work that an agent does, all of it but for the two
// below: collecting and governing can be two processes, with two sets of
// credentials.
type Role string

// Roles.
const (
	RoleCollect Role = "collect" // nothing is changed at a vendor, whatever is allowed
	RoleGovern  Role = "govern"  // nothing is collected
)

// checkRole returns why an agent cannot do its part.
func (o *Options) checkRole() error {
	if o.Role != RoleGovern {
		return nil
	}
	if o.single() || !govern.On(o.Config) {
		return fault.New(fault.Permanent, "the role %s is a daemon's, and needs an instance whose governance.allow names an action", o.Role)
	}
	for _, inst := range o.Config.Instances {
		if inst.Enabled && len(inst.Governance.Allow) > 0 && inst.Governance.MaxShare > 0 {
			return fault.New(fault.Permanent, "instances.%s.governance.max_share: %d %% of accounts that the role %s does not collect; set it to 0, the other caps hold", inst.Name, inst.Governance.MaxShare, o.Role)
		}
	}
	return nil
}

// Agent is a running Weir.
type Agent struct {
	Options
	Pipeline *pipeline.Pipeline
	metrics  *prometheus.Registry
	http     *httpMetrics
	streams  []*StreamStatus
	sessions map[string]*instanceSession
	hooks    *hooks // nil: none

	control    sinks.Control  // where governance's control tables are; nil: nowhere
	governance *govern.Runner // nil: off
}

// StreamStatus is how one stream fares.
type StreamStatus struct {
	ID      pipeline.StreamID
	App     string
	Started time.Time

	mu    sync.Mutex
	run   *pipeline.StreamRun
	err   error
	ended time.Time // with Once: when the stream was done
}

// Running returns the stream's run; nil until its instance is open.
func (s *StreamStatus) Running() *pipeline.StreamRun {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.run
}

// Err returns why the stream does not run; nil when it does.
func (s *StreamStatus) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Ended returns when a single run of the stream was over; zero before.
func (s *StreamStatus) Ended() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

func (s *StreamStatus) set(err error) {
	s.mu.Lock()
	s.err = err
	s.mu.Unlock()
}

// New opens sinks, state and spool. Nothing is collected before Run.
func New(ctx context.Context, o Options) (*Agent, error) {
	if err := o.checkRole(); err != nil {
		return nil, err
	}
	a := &Agent{Options: o, metrics: prometheus.NewRegistry(), sessions: map[string]*instanceSession{}}
	for _, inst := range o.Config.Instances {
		a.sessions[inst.Name] = &instanceSession{}
	}
	a.http = newHTTPMetrics(a.metrics)
	a.metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	cfg := o.Config
	po := pipeline.Options{
		DataDir: cfg.Agent.DataDir, Clock: o.Clock, Rand: rand.Reader, Log: o.Log, Metrics: a.metrics,
		SpoolLimit: int64(cfg.Agent.SpoolLimit), DeadLimit: int64(cfg.Agent.DeadLimit), MinFree: int64(cfg.Agent.MinFree), TakeOver: o.TakeOver,
		Instances: []string{},
	}
	collected := cfg.Instances
	if o.Role == RoleGovern {
		collected = nil
	}
	po.Tables = filledTables(collected)
	for _, inst := range cfg.Instances { // also those not collected: none is gone
		po.Instances = append(po.Instances, inst.Name)
	}
	for _, inst := range collected {
		po.Logs = append(po.Logs, LedgerStreams(inst)...)
	}
	if o.Once {
		po.Patience = cfg.Agent.DrainTimeout
	}
	for _, s := range cfg.Sinks {
		if s.Detached {
			po.Sinks = append(po.Sinks, pipeline.SinkOptions{Name: s.Name, Detached: true})
			continue
		}
		sink, err := s.Driver.Open(ctx, sinks.Env{Name: s.Name, Version: buildinfo.Version(), Clock: o.Clock}, s.Config)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("sink %s: %w", s.Name, err), closeAll(po.Sinks))
		}
		so := pipeline.SinkOptions{Name: s.Name, Sink: sink, Batching: s.Config.Batching()}
		if c, ok := s.Config.(sinks.Snapshotter); ok {
			so.SnapshotEvery = c.SnapshotEvery()
		}
		po.Sinks = append(po.Sinks, so)
	}
	p, err := pipeline.Open(ctx, po)
	if err != nil {
		return nil, errors.Join(err, closeAll(po.Sinks))
	}
	a.Pipeline = p
	if a.control, err = controlOf(po.Sinks, cfg.Governance.Control); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	for _, inst := range collected {
		if !inst.Enabled {
			continue
		}
		for _, info := range inst.Connector.Streams {
			id := pipeline.StreamID{Instance: inst.Name, Stream: info.Name}
			if inst.Streams[info.Name].Enabled && (o.Past == nil || o.Past.Of == id) {
				a.streams = append(a.streams, &StreamStatus{ID: id, App: inst.Connector.App})
			}
		}
	}
	return a, nil
}

// LedgerStreams returns the enabled streams of events of an instance.
func LedgerStreams(inst configs.Instance) (out []pipeline.LedgerStream) {
	for _, info := range inst.StreamInfos() {
		if s := inst.Streams[info.Name]; inst.Enabled && info.Shape == sources.Log && s.Enabled {
			out = append(out, pipeline.LedgerStream{ID: pipeline.StreamID{Instance: inst.Name, Stream: info.Name}, Info: info, Every: s.Every})
		}
	}
	return out
}

func closeAll(opened []pipeline.SinkOptions) error {
	var errs []error
	for _, s := range opened {
		if s.Detached {
			continue
		}
		errs = append(errs, s.Sink.Close())
	}
	return errors.Join(errs...)
}

// filledTables are the tables that the configured instances may fill, in the
// order of their declaration.
func filledTables(instances []configs.Instance) (out []*schemas.Table) {
	filled := map[string]bool{schemas.TableCollectionRuns: true, schemas.TableActionLog: true}
	for _, inst := range instances {
		for _, s := range inst.Connector.Streams {
			for _, t := range s.Tables {
				filled[t] = true
			}
		}
	}
	for _, t := range schemas.Tables() {
		if filled[t.Name] {
			out = append(out, t)
		}
	}
	return out
}

// single says that the agent ends by itself.
func (o *Options) single() bool { return o.Once || o.Past != nil }

// Streams returns how each stream fares, in the order of the configuration.
func (a *Agent) Streams() []*StreamStatus { return a.streams }

// Run collects and delivers until ctx ends, then drains within the configured
// time. With Once it ends by itself; its error says what is missing.
func (a *Agent) Run(ctx context.Context) error {
	err := a.Pipeline.Start(ctx)
	if err != nil {
		return errors.Join(err, a.Pipeline.Close())
	}
	if a.governance, err = a.newGovernance(ctx); err != nil {
		return errors.Join(err, a.Pipeline.Close())
	}
	stopAdmin, err := a.serveAdmin()
	if err != nil {
		return errors.Join(err, a.Pipeline.Close())
	}
	stopControl, err := a.serveControl()
	if err != nil {
		return errors.Join(err, stopAdmin(), a.Pipeline.Close())
	}
	stopHooks, err := a.receiveHooks(ctx)
	if err != nil {
		return errors.Join(err, stopControl(), stopAdmin(), a.Pipeline.Close())
	}
	stopServers := func() error { return errors.Join(stopHooks(), stopControl(), stopAdmin()) }
	if a.Past != nil {
		if err := a.beginPast(ctx); err != nil {
			return errors.Join(err, stopServers(), a.Pipeline.Close())
		}
	}
	collect, stop := context.WithCancelCause(ctx)
	defer context.AfterFunc(a.Pipeline.Failure(), func() { stop(context.Cause(a.Pipeline.Failure())) })()
	var wg sync.WaitGroup
	if a.governance != nil {
		wg.Go(func() { a.governance.Run(collect) })
	}
	for i, inst := range a.Config.Instances {
		if inst.Enabled {
			wg.Go(func() {
				if a.single() || a.pause(collect, time.Duration(i)*min(startApart, startWithin/time.Duration(len(a.Config.Instances)))) {
					a.runInstance(collect, inst)
				}
			})
		}
	}
	wg.Wait()

	// What was collected is delivered, also after SIGTERM, but not for ever. A
	// single run is patient with each sink instead.
	drain, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	if ctx.Err() != nil {
		timer := a.Clock.AfterFunc(a.Config.Agent.DrainTimeout, cancel)
		defer timer.Stop()
	}
	err = a.Pipeline.Drain(drain)
	if a.single() {
		for _, s := range a.streams {
			if e := s.Err(); e != nil {
				err = errors.Join(err, fmt.Errorf("%s: %w", s.ID, e))
			}
		}
		if ctx.Err() != nil && a.Once {
			err = errors.Join(err, errors.New("interrupted before every lane was caught up"))
		}
	} else if err != nil {
		a.Log.Warn("stopped with work left; it goes on at the next start", "error", err)
		err = nil
	}
	if f := context.Cause(a.Pipeline.Failure()); f != nil {
		err = errors.Join(err, f)
	}
	return errors.Join(err, stopServers(), a.Pipeline.Close())
}

// runInstance brings an instance up and keeps its streams running.
func (a *Agent) runInstance(ctx context.Context, inst configs.Instance) {
	log := a.Log.With("instance", inst.Name)
	mine := a.streamsOf(inst.Name)
	if len(mine) == 0 {
		return
	}
	session, err := a.open(ctx, inst, mine, log)
	if err != nil {
		for _, s := range mine {
			s.end(err, a.Clock.Now())
		}
		return
	}
	tenant := func(ctx context.Context) (string, error) { return a.tenant(ctx, inst.Name, session) }
	var wg sync.WaitGroup
	wg.Go(func() { a.hooks.run(ctx, inst.Name, session, log) })
	for _, stream := range session.Streams() {
		for _, s := range mine {
			if s.ID.Stream == stream.Info.Name {
				wg.Go(func() { a.runStream(ctx, inst, s, stream, session, tenant, log.With("stream", s.ID.Stream)) })
			}
		}
	}
	wg.Wait()
}

func (a *Agent) streamsOf(instance string) (out []*StreamStatus) {
	for _, s := range a.streams {
		if s.ID.Instance == instance {
			out = append(out, s)
		}
	}
	return out
}

// open opens a session and pins its tenant, trying again until ctx ends. A
// single run tries a few times.
func (a *Agent) open(ctx context.Context, inst configs.Instance, mine []*StreamStatus, log *slog.Logger) (sources.Session, error) {
	for attempt, wait := 1, firstWait; ; attempt, wait = attempt+1, min(2*wait, maxWait) {
		session, err := a.tryOpen(ctx, inst)
		if err == nil {
			for _, s := range mine {
				s.set(nil)
			}
			return session, nil
		}
		for _, s := range mine {
			s.set(err)
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if a.single() && (attempt >= 3 || fault.Of(err) != fault.Transient) {
			return nil, err
		}
		log.Error("instance cannot be opened; trying again, the others go on", "error", err)
		if !a.pause(ctx, max(wait/2+mathrand.N(wait), fault.RetryAfter(err))) {
			return nil, context.Cause(ctx)
		}
	}
}

// tryOpen returns the instance's session, opened and its tenant pinned. There is
// one: what collects and what governs share the vendor's quota and the tokens.
func (a *Agent) tryOpen(ctx context.Context, inst configs.Instance) (sources.Session, error) {
	mine := a.sessions[inst.Name]
	mine.mu.Lock()
	defer mine.mu.Unlock()
	if mine.open != nil {
		return mine.open, nil
	}
	session, err := OpenSession(ctx, SessionOptions{Config: a.Config, Instance: inst, Clock: a.Clock, Wall: a.Wall, Observe: a.http.observe, Dump: a.DebugHTTP, Redact: a.hooks.of(inst.Name).redacted()})
	if err != nil {
		return nil, err
	}
	if _, err := a.tenant(ctx, inst.Name, session); err != nil {
		return nil, err
	}
	mine.open = session
	return session, nil
}

// instanceSession is an instance's session, once it is open.
type instanceSession struct {
	mu   sync.Mutex
	open sources.Session
}

// tenant asks for the instance's organization and pins it.
func (a *Agent) tenant(ctx context.Context, instance string, session sources.Session) (string, error) {
	tenant, err := session.Tenant(ctx)
	if err != nil {
		return "", fmt.Errorf("asking %s for its organization: %w", instance, err)
	}
	return a.Pipeline.PinTenant(ctx, instance, tenant)
}

// runStream runs a stream for as long as ctx lasts. One that stopped, for a
// missing right say, is tried again slowly.
func (a *Agent) runStream(ctx context.Context, inst configs.Instance, s *StreamStatus, stream sources.Stream, session sources.Session, tenant func(context.Context) (string, error), log *slog.Logger) {
	filter := ""
	if f, ok := inst.Config.(interface{ Filter() string }); ok {
		filter = f.Filter()
	}
	own, err := a.watchOwn(ctx, inst, s, stream, session, log)
	if err != nil {
		s.end(err, a.Clock.Now())
		return
	}
	run, err := a.Pipeline.NewStreamRun(pipeline.StreamOptions{
		OwnWrite:  own,
		FullEvery: inst.Streams[s.ID.Stream].FullEvery, Identity: session.Identity, Filter: filter,
		ID: s.ID, App: s.App, Tenant: tenant, Stream: stream, Every: inst.Streams[s.ID.Stream].Every,
		Parallel: inst.Parallel, DropRaw: inst.Raw == "drop", Once: a.Once,
		Sweep: inst.Streams[s.ID.Stream].SweepAges(),
	})
	if err != nil {
		s.end(err, a.Clock.Now())
		return
	}
	s.mu.Lock()
	s.run, s.Started = run, a.Clock.Now()
	s.mu.Unlock()
	if a.Past != nil {
		s.end(run.RunPast(ctx, a.Past.task), a.Clock.Now())
		return
	}
	for wait := firstWait; ; wait = min(2*wait, maxWait) {
		err := run.Run(ctx)
		if a.Once || ctx.Err() != nil {
			if ctx.Err() != nil && a.Once {
				err = context.Cause(ctx)
			}
			s.end(err, a.Clock.Now())
			return
		}
		s.set(err)
		log.Error("stream stopped; trying again slowly, the others go on", "error", err)
		if !a.pause(ctx, wait) {
			return
		}
		s.set(nil)
	}
}

func (s *StreamStatus) end(err error, now time.Time) {
	s.mu.Lock()
	s.err, s.ended = err, now
	s.mu.Unlock()
}

// pause waits, and reports whether ctx still lasts.
func (a *Agent) pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-a.Clock.After(d):
		return true
	case <-ctx.Done():
		return false
	}
}
