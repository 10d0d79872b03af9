package remap

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jonboulle/clockwork"

	"weir/agent"
	"weir/configs"
	"weir/internal/buildinfo"
	"weir/internal/fault"
	"weir/pipeline"
	"weir/schemas"
	"weir/sinks"
)

// ErrUsage is a Job that the configuration does not fit.
var ErrUsage = errors.New("weir remap")

// Job is one call of `weir remap`.
type Job struct {
	Config   *configs.Config
	Clock    clockwork.Clock
	Sink     string    // its name; "": the only one
	Only     string    // instance; "": all
	From, To time.Time // zero: unbounded
	Path     string    // new root of a Parquet sink
	DryRun   bool
	Examples int
	Log      func(format string, args ...any)
}

// Run makes a sink's rows anew. The report holds what was done, also where it
// ended with an error.
func Run(ctx context.Context, j Job) (_ *Report, err error) {
	target, err := j.target()
	if err != nil {
		return nil, err
	}
	r, m, err := j.Remap()
	if err != nil {
		return nil, err
	}
	sink, err := target.Driver.Open(ctx, sinks.Env{Name: target.Name, Version: buildinfo.Version(), Clock: j.Clock}, target.Config)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := sink.Close(); err == nil {
			err = e
		}
	}()
	remapper, ok := sink.(sinks.Remapper)
	if !ok {
		return nil, fault.New(fault.Permanent, "sinks of type %s cannot be re-mapped", target.Driver.Type)
	}
	r.Hold = func(ctx context.Context) (func(), error) {
		release, err := agent.HoldSink(ctx, j.Clock, j.Config.Agent.DataDir, agent.Hold{Sink: target.Name, Table: r.Table.Name})
		if err != nil {
			return nil, fmt.Errorf("holding the agent of %s: %w", j.Config.Agent.DataDir, err)
		}
		if err := pipeline.CheckHeld(ctx, j.Config.Agent.DataDir, sink, j.Clock.Now()); err != nil {
			release()
			return nil, err
		}
		return release, nil
	}
	r.Alone = func() (func(), error) {
		unlock, err := pipeline.HoldOffline(j.Config.Agent.DataDir)
		return func() { _ = unlock() }, err
	}
	err = remapper.Remap(ctx, r)
	return m.Report(), err
}

// Remap returns what a sink is asked to do, and the mapping behind it.
func (j *Job) Remap() (*sinks.Remap, *Mapping, error) {
	o := Options{Only: j.Only, From: math.MinInt64, To: math.MaxInt64, Examples: j.Examples}
	if !j.From.IsZero() {
		o.From = schemas.Time(j.From.UnixMilli())
	}
	if !j.To.IsZero() {
		o.To = schemas.Time(j.To.UnixMilli())
	}
	for _, i := range j.Config.Instances {
		o.Instances = append(o.Instances, Instance{i.Name, i.Connector, i.Config})
	}
	if j.Only != "" && !slices.ContainsFunc(o.Instances, func(i Instance) bool { return i.Name == j.Only }) {
		return nil, nil, fmt.Errorf("%w: no instance %s is configured", ErrUsage, j.Only)
	}
	m, err := New(o)
	if err != nil {
		return nil, nil, err
	}
	// Another configuration or version may map otherwise.
	sum := sha256.Sum256(fmt.Appendf(nil, "%s|%s|%s|%d|%d", buildinfo.Version(), j.Config.SHA256, j.Only, o.From, o.To))
	return &sinks.Remap{
		Table: m.table, ID: hex.EncodeToString(sum[:4]), From: o.From, To: o.To, DryRun: j.DryRun, Path: j.Path, Map: m.Map, Log: j.Log,
	}, m, nil
}

func (j *Job) target() (configs.Sink, error) {
	var names []string
	for _, s := range j.Config.Sinks {
		if s.Name == j.Sink || j.Sink == "" && len(j.Config.Sinks) == 1 {
			return s, nil
		}
		names = append(names, s.Name)
	}
	if j.Sink == "" {
		return configs.Sink{}, fmt.Errorf("%w: which sink? --sink is one of %v", ErrUsage, names)
	}
	return configs.Sink{}, fmt.Errorf("%w: no sink %s is configured: there are %v", ErrUsage, j.Sink, names)
}
