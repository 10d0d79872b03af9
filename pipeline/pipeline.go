// Package pipeline takes pages of rows from lanes and brings them to every
// sink exactly once.
//
// A page's new rows become batches, one a table. The committer writes the
// batches of many pages into one spool segment and then, in one transaction on
// the state, moves the lanes' cursors, queues the batches for every sink and
// remembers the event ids. For each sink and table a delivery plans parts:
// lists of whole batches, made durable before anything is written, so that
// whatever happens a retry writes the same rows under the same name.
//
// The pipeline knows no vendor and no driver, only the contracts in sources
// and sinks.
package pipeline

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"weir/internal/durable"
	"weir/internal/fault"
	"weir/internal/ids"
	"weir/schemas"
	"weir/sinks"
)

// Names of small values in the state.
const (
	metaVersion  = "version"   // the highest row version used
	metaSeenKey  = "seen_key"  // key of the hash over event ids, hexadecimal
	metaTenant   = "tenant/"   // and the instance: its organization
	metaCovered  = "covered/"  // and the stream: until when it is complete, in milliseconds
	metaDecision = "decision/" // and the stream: what a person said of held removals
	metaSwept    = "swept/"    // and the stream and an age: until when windows have been read again at that age, in milliseconds
	metaHook     = "hook/"     // and the instance: the key of its hook, hexadecimal
	metaGone     = "gone/"     // and the instance: since when it is not configured, in milliseconds
)

// instanceWords begin the names of the small values of an instance: behind the
// word is the instance and, for most, "/" and the stream.
var instanceWords = []string{metaTenant, metaHook, metaGone, metaCovered, metaDecision, metaSwept, metaBegan, metaLag, metaStart, metaTrouble, metaUpkeep, metaSkew}

// Options is what a pipeline needs.
type Options struct {
	DataDir    string
	Clock      clockwork.Clock
	Rand       io.Reader // cryptographic
	Log        *slog.Logger
	Metrics    prometheus.Registerer
	Sinks      []SinkOptions
	Tables     []*schemas.Table // all that the streams may fill
	Logs       []LedgerStream   // the enabled streams of events, for what is told of days
	Instances  []string         // all in the configuration; nil: not known, and what is remembered of others is kept
	SpoolLimit int64            // sources pause while the spool holds more, in bytes
	MinFree    int64            // sources pause while the data directory's disk has less, in bytes
	// Patience is how long a step that fails is repeated before the pipeline
	// gives up: zero means for ever, as a daemon must.
	Patience time.Duration
	TakeOver bool // write to sinks that another state has written
	// DeadLimit is how much dead letters may take, in bytes; what would need one
	// more waits. 0: no limit.
	DeadLimit int64
}

// SinkOptions is one sink to deliver to.
type SinkOptions struct {
	Name     string
	Sink     sinks.Sink
	Batching sinks.Batching
	// SnapshotEvery is how often the sink gets all rows of the entity tables, in
	// tables of their own. Zero: never.
	SnapshotEvery time.Duration
	// Detached sinks are known, and get nothing. Sink is nil.
	Detached bool
}

// Pipeline is the running whole. Open it, Start it, run streams, Drain, Close.
type Pipeline struct {
	clock    clockwork.Clock
	rand     io.Reader
	log      *slog.Logger
	ids      *ids.Maker
	state    State
	spool    *spool
	dead     *deadBox
	dataDir  string
	allowed  int64    // rows of a sink's table that may be set aside a day
	runs     sync.Map // of *StreamRun, by StreamID
	room     *room
	versions *versions
	metrics  *metrics
	builders *builders
	lags     *lags
	seenKey  [16]byte
	seenRoom seenRoom
	patience time.Duration
	takeOver bool

	committer *committer
	sinks     []*sinkRun
	sinkNames []string
	tables    []*schemas.Table
	unlock    func() error
	instances []string
	logs      []LedgerStream
	hours     atomic.Int64 // that it has been running
	upkeeps   sync.Map     // what hours was at a stream's last upkeep
	tidied    time.Time
	tidyMu    sync.Mutex

	stopSinks, stopCommits context.CancelCauseFunc
	sinkGroup              errgroup.Group
	filling                atomic.Int64 // fills that have not ended
	fillWake               chan struct{}
	fillsEnded             atomic.Bool
	commitDone             chan struct{}
	failed                 context.CancelCauseFunc
	failure                context.Context //nolint:containedctx // ends when the pipeline cannot go on

	past pastBoard

	watchMu sync.Mutex
	watch   chan struct{} // closed and replaced at every change of what is waiting
}

// ErrSinkOwed refuses a configuration without a sink that is still owed rows.
var ErrSinkOwed = errors.New("put it back until they are delivered")

// Open locks the data directory, opens state and spool, and sees that every
// sink the state still owes something is configured.
func Open(ctx context.Context, o Options) (_ *Pipeline, err error) {
	if err := durable.MkdirAll(o.DataDir); err != nil {
		return nil, fmt.Errorf("data_dir: %w", err)
	}
	unlock, err := lockDir(o.DataDir)
	if err != nil {
		return nil, err
	}
	p := &Pipeline{
		clock: o.Clock, rand: o.Rand, log: o.Log, ids: ids.NewMaker(o.Clock, o.Rand), unlock: unlock,
		patience: o.Patience, takeOver: o.TakeOver, tables: o.Tables, instances: o.Instances, logs: o.Logs, commitDone: make(chan struct{}), fillWake: make(chan struct{}, 1), allowed: allowedRows, watch: make(chan struct{}),
	}
	p.failure, p.failed = context.WithCancelCause(context.WithoutCancel(ctx))
	defer func() {
		if err != nil {
			err = errors.Join(err, p.closeFiles())
		}
	}()
	if p.state, err = OpenState(ctx, o.DataDir); err != nil {
		return nil, err
	}
	known, err := p.state.Segments(ctx)
	if err != nil {
		return nil, err
	}
	if p.spool, err = openSpool(filepath.Join(o.DataDir, spoolDir), known); err != nil {
		return nil, err
	}
	if p.dead, err = openDead(ctx, p.state, o.DataDir, o.DeadLimit); err != nil {
		return nil, err
	}
	p.dataDir = o.DataDir
	p.room = newRoom(p, o.DataDir, o.SpoolLimit, o.MinFree)
	p.committer = newCommitter(p)
	p.builders = newBuilders()
	p.lags = newLags(len(o.Sinks))
	p.metrics = newMetrics(o.Metrics, p)
	if err := p.loadMeta(ctx); err != nil {
		return nil, err
	}
	if err := p.addSinks(ctx, o.Sinks); err != nil {
		return nil, err
	}
	if err := p.tidy(ctx, p.state.Update); err != nil {
		return nil, err
	}
	return p, nil
}

// State gives read access to the state.
func (p *Pipeline) State() State { return p.state }

// Start claims the sinks and begins to commit and deliver. It fails when a sink
// is refused; a sink that cannot be reached is tried again for ever instead.
func (p *Pipeline) Start(ctx context.Context) error {
	base := context.WithoutCancel(ctx)
	commits, stopCommits := context.WithCancelCause(base)
	deliveries, stopSinks := context.WithCancelCause(base)
	p.stopCommits, p.stopSinks = stopCommits, stopSinks
	go func() {
		defer close(p.commitDone)
		if err := p.committer.run(commits); err != nil {
			p.failed(err)
		}
	}()
	for _, s := range p.sinks {
		if err := s.load(ctx); err != nil {
			return err
		}
	}
	if err := p.loadFills(ctx); err != nil {
		return err
	}
	var first errgroup.Group
	for _, s := range p.sinks {
		first.Go(func() error { return s.prepare(ctx) })
	}
	if err := first.Wait(); err != nil {
		return err
	}
	for _, s := range p.sinks {
		p.sinkGroup.Go(func() error { return s.run(deliveries) })
	}
	p.sinkGroup.Go(func() error { return p.countHours(deliveries) })
	p.sinkGroup.Go(func() error {
		p.runFills(deliveries)
		return nil
	})
	return nil
}

// Failure ends when the pipeline cannot go on; its cause says why.
func (p *Pipeline) Failure() context.Context { return p.failure }

// Drain makes everything committed into parts and waits until all sinks have
// them, a sink gives up, or ctx ends. The streams have stopped.
func (p *Pipeline) Drain(ctx context.Context) error {
	p.committer.flush()
	if err := p.committer.update(ctx, func(Tx) error { return nil }); err != nil {
		return err
	}
	for _, s := range p.sinks {
		s.flush(true)
	}
	for {
		changed := p.changes()
		var missing []error
		idle := true
		for _, s := range p.sinks {
			t, parts := s.waiting()
			if t.Batches == 0 && parts == 0 {
				continue
			}
			missing = append(missing, fmt.Errorf("sink %s: %d rows in %d batches and %d parts are not delivered%s", s.name, t.Rows, t.Batches, parts, s.because()))
			idle = idle && s.stopped()
		}
		// A single run sees its fills through; others go on at the next start.
		if n := p.filling.Load(); n > 0 && p.patience > 0 {
			missing = append(missing, fmt.Errorf("%d fills have not ended: see `weir sinks list`", n))
			idle = idle && p.fillsEnded.Load()
		}
		if idle {
			return errors.Join(missing...)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return errors.Join(missing...)
		case <-p.failure.Done():
			return errors.Join(append(missing, context.Cause(p.failure))...)
		}
	}
}

// Close stops everything, keeping what is not delivered for the next start.
func (p *Pipeline) Close() error {
	if p.stopSinks != nil {
		p.stopSinks(errStopped)
		err := p.sinkGroup.Wait()
		p.stopCommits(errStopped)
		<-p.commitDone
		if err != nil && !errors.Is(err, errStopped) {
			p.log.Debug("a sink had stopped before", "error", err)
		}
	}
	return p.closeFiles()
}

var errStopped = errors.New("stopped")

func (p *Pipeline) closeFiles() error {
	var errs []error
	for _, s := range p.sinks {
		errs = append(errs, s.sink.Close())
	}
	if p.state != nil {
		errs = append(errs, p.state.Close())
	}
	return errors.Join(append(errs, p.unlock())...)
}

func (p *Pipeline) loadMeta(ctx context.Context) error {
	high, err := p.state.Meta(ctx, metaVersion)
	if err != nil {
		return err
	}
	p.versions = &versions{clock: p.clock}
	if high != "" {
		if p.versions.last, err = strconv.ParseInt(high, 10, 64); err != nil {
			return fault.New(fault.Permanent, "state: row version %q is no number: %w", high, err)
		}
	}
	key, err := p.state.Meta(ctx, metaSeenKey)
	if err != nil {
		return err
	}
	if key == "" {
		if _, err := io.ReadFull(p.rand, p.seenKey[:]); err != nil {
			return err
		}
		return p.state.Update(ctx, func(tx Tx) error { return tx.SetMeta(metaSeenKey, hex.EncodeToString(p.seenKey[:])) })
	}
	if n, err := hex.Decode(p.seenKey[:], []byte(key)); err != nil || n != len(p.seenKey) {
		return fault.New(fault.Permanent, "state: the key of the seen ids is damaged")
	}
	return nil
}

// addSinks registers the configured sinks and refuses to go on while a sink is
// gone from the configuration that is still owed rows.
func (p *Pipeline) addSinks(ctx context.Context, options []SinkOptions) error {
	known, err := p.state.Sinks(ctx)
	if err != nil {
		return err
	}
	totals, err := p.state.PendingTotals(ctx)
	if err != nil {
		return err
	}
	if err := p.markSinks(ctx, options, known); err != nil {
		return err
	}
	configured := map[string]bool{}
	for _, o := range options {
		configured[o.Name] = true
		if o.Detached {
			continue
		}
		p.sinks = append(p.sinks, newSinkRun(p, o))
		p.sinkNames = append(p.sinkNames, o.Name)
	}
	for q := range totals { // one that was never reached is owed rows as well
		if !slices.ContainsFunc(known, func(s SinkState) bool { return s.Name == q.Sink }) {
			known = append(known, SinkState{Name: q.Sink})
		}
	}
	for _, s := range known {
		if configured[s.Name] {
			continue
		}
		var owed int64
		for q, t := range totals {
			if q.Sink == s.Name {
				owed += t.Batches
			}
		}
		parts, err := p.state.OpenParts(ctx, s.Name, "")
		if err != nil {
			return err
		}
		owed += int64(len(parts))
		if owed > 0 {
			return fault.New(fault.Permanent, "sink %q has %d undelivered batches and is not in the configuration: %w, with `detached: true` if it is to get nothing more, or give them up with `weir sinks forget %s`", s.Name, owed, ErrSinkOwed, s.Name)
		}
		p.log.Info("sink is gone from the configuration and was owed nothing: forgotten", "sink", s.Name)
		if err := p.state.Update(ctx, func(tx Tx) error { return tx.ForgetSink(s.Name, p.clock.Now()) }); err != nil {
			return err
		}
	}
	return nil
}

// deliverable hands newly committed batches to the deliveries.
func (p *Pipeline) deliverable(batches []spooled) {
	for _, s := range p.sinks {
		for _, d := range s.deliveries {
			d.add(batches)
		}
	}
}

// changes returns a channel that is closed at the next change of what is
// waiting to be delivered.
func (p *Pipeline) changes() <-chan struct{} {
	p.watchMu.Lock()
	defer p.watchMu.Unlock()
	return p.watch
}

func (p *Pipeline) changed() {
	p.watchMu.Lock()
	defer p.watchMu.Unlock()
	close(p.watch)
	p.watch = make(chan struct{})
}

// versions hands out row versions: microseconds, ever growing.
type versions struct {
	clock clockwork.Clock
	mu    sync.Mutex
	last  int64
}

// take reserves n consecutive versions and returns the first.
func (v *versions) take(n int64) int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	first := max(v.clock.Now().UnixMicro(), v.last+1)
	v.last = first + n - 1
	return first
}

func (v *versions) high() int64 {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.last
}
