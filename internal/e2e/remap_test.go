package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io/fs"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/agent"
	"weir/configs"
	"weir/internal/clickhousetest"
	"weir/internal/remap"
	"weir/internal/setting"
	"weir/internal/shareddata"
	"weir/schemas"
	"weir/sinks"
	sinkregistry "weir/sinks/registry"
	"weir/sources"
	"weir/sources/aws"
)

// oldMapping is the AWS connector as an earlier version might have been: other
// actions, targets lost, and times months off.
func oldMapping() *sources.Connector {
	c := *aws.Connector
	c.Open = func(ctx context.Context, env sources.Env, cfg setting.Struct) (sources.Session, error) {
		s, err := aws.Connector.Open(ctx, env, cfg)
		return oldSession{s}, err
	}
	return &c
}

type oldSession struct{ sources.Session }

func (o oldSession) Streams() []sources.Stream {
	streams := o.Session.Streams()
	read := streams[0].Read
	streams[0].Read = func(ctx context.Context, l sources.Lane, c sources.Cursor) iter.Seq2[*sources.Page, error] {
		return func(yield func(*sources.Page, error) bool) {
			for p, err := range read(ctx, l, c) {
				if p != nil {
					for i := range p.Rows.Activities {
						age(&p.Rows.Activities[i])
					}
				}
				if !yield(p, err) {
					return
				}
			}
		}
	}
	return streams
}

// age makes a row what an older mapping made of the record.
func age(a *schemas.Activity) {
	switch n := crc32.ChecksumIEEE([]byte(a.EventID)); n % 4 {
	case 0:
		a.Action, a.Service = "old."+a.Action, ""
		a.Time -= schemas.Time(n%5) * 31 * 86_400_000 // another month, most of them
	case 1:
		a.TargetID, a.TargetIDs, a.TargetNames, a.TargetKinds = "", nil, nil, nil
	case 2:
		a.MFA, a.ActorID = schemas.Some(true), "somebody"
		a.Time += schemas.Time(n%3) * 40 * 86_400_000
	}
}

// world is an agent with the old mapping, and real records for it.
type world struct {
	*site
	config string
	left   []string // files not yet among the logs
	source string
}

func newWorld(t testing.TB, server *clickhousetest.Server) *world {
	w := &world{site: newSite(t), source: shareddata.Dir(t, "cloudtrail")}
	w.clickhouse = server
	w.config = w.site.config()
	b, err := os.ReadFile(w.config)
	require.NoError(t, err)
	text := strings.NewReplacer("target_size: 1MiB", "target_size: 1MiB, max_delay: 20ms, late_delay: 20ms").Replace(string(b)) + "    streams: {activities: {every: 1s}}\n"
	require.NoError(t, os.WriteFile(w.config, []byte(text), 0o600))
	require.NoError(t, filepath.WalkDir(w.source, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			w.left = append(w.left, p)
		}
		return err
	}))
	return w
}

// add puts n more files among the logs.
func (w *world) add(n int) {
	for _, from := range w.left[:min(n, len(w.left))] {
		rel, err := filepath.Rel(w.source, from)
		require.NoError(w.t, err)
		// Of today, or the agent would find the later ones at its daily sweep.
		to := filepath.Join(w.logs, strings.Replace(rel, "2023/07/10", time.Now().UTC().Format("2006/01/02"), 1))
		require.NoError(w.t, os.MkdirAll(filepath.Dir(to), 0o755))
		b, err := os.ReadFile(from)
		require.NoError(w.t, err)
		require.NoError(w.t, os.WriteFile(to, b, 0o600))
		for id, raw := range recordsOf(w.t, from) {
			w.truth[id] = raw
		}
	}
	w.left = w.left[min(n, len(w.left)):]
}

func (w *world) load(apps ...*sources.Connector) *configs.Config {
	cfg, err := configs.Load(w.config, nil, apps, sinkregistry.All)
	require.NoError(w.t, err)
	return cfg
}

// collect runs the agent with the old mapping, once, or until stop.
func (w *world) collect(once bool) (stop func()) {
	a, err := agent.New(w.t.Context(), agent.Options{Config: w.load(oldMapping()), Clock: clockwork.NewRealClock(), Log: slog.New(slog.DiscardHandler), Once: once})
	require.NoError(w.t, err)
	if once {
		require.NoError(w.t, a.Run(w.t.Context()))
		return nil
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return func() {
		cancel()
		require.NoError(w.t, <-done)
	}
}

func (w *world) job(sink string) remap.Job {
	return remap.Job{Config: w.load(aws.Connector), Clock: clockwork.NewRealClock(), Sink: sink, Examples: 3, Log: w.t.Logf}
}

// want are the rows that today's mapping makes of the records.
func (w *world) want() map[string]wanted {
	m, err := aws.Connector.Mapper(aws.Connector.Config())
	require.NoError(w.t, err)
	out := map[string]wanted{}
	for id, raw := range w.truth {
		var rows schemas.Rows
		require.NoError(w.t, m.Map(sources.MapInput{}, raw, &rows))
		a := &rows.Activities[0]
		out[id] = wanted{a.Action, a.Service, a.ActorID, a.TargetID, int64(a.Time), slices.Clone(a.TargetIDs), a.MFA.Known, a.Raw}
	}
	return out
}

// wanted is what of a row is compared.
type wanted struct {
	Action, Service, ActorID, TargetID string
	Time                               int64
	TargetIDs                          []string
	MFA                                bool
	Raw                                string
}

// checkRemapped compares the warehouse with the truth, without FINAL.
func (w *world) checkRemapped() {
	w.t.Helper()
	out := w.clickhouse.Query(w.t, "SELECT event_id, action, service, actor_id, target_id, toUnixTimestamp64Milli(time), target_ids, mfa IS NOT NULL, raw FROM weir.activities SETTINGS output_format_json_quote_64bit_integers = 0 FORMAT JSONCompactEachRow")
	want, seen := w.want(), map[string]bool{}
	d := json.NewDecoder(strings.NewReader(out))
	for d.More() {
		var id string
		var v wanted
		var mfa int
		row := []any{&id, &v.Action, &v.Service, &v.ActorID, &v.TargetID, &v.Time, &v.TargetIDs, &mfa, &v.Raw}
		require.NoError(w.t, d.Decode(&row))
		v.MFA = mfa == 1
		require.False(w.t, seen[id], "%s is there twice", id)
		seen[id] = true
		expect := want[id]
		require.ElementsMatch(w.t, expect.TargetIDs, v.TargetIDs)
		expect.TargetIDs, v.TargetIDs = nil, nil
		require.Equal(w.t, expect, v, id)
	}
	require.Len(w.t, seen, len(want))
	require.Equal(w.t, "activities", w.clickhouse.Query(w.t, "SELECT arrayStringConcat(groupArray(name), ' ') FROM system.tables WHERE database = 'weir' AND name LIKE 'activities%' AND engine LIKE '%MergeTree'"), "nothing is left behind")
	require.Empty(w.t, w.clickhouse.Query(w.t, "SELECT comment FROM system.tables WHERE database = 'weir' AND name = 'activities'"))
}

func (w *world) delivered() int {
	return atoi(w.clickhouse.Query(w.t, "SELECT sum(total_rows) FROM system.tables WHERE database = 'weir' AND name = 'activities'"))
}

func atoi(s string) (n int) {
	_, _ = fmt.Sscan(s, &n)
	return n
}

// A mapping that changed, real records, and an agent that goes on delivering:
// before, during and after the swap.
func TestRemapWhileDelivering(t *testing.T) {
	w := newWorld(t, clickhousetest.Start(t))
	w.add(20)
	stop := w.collect(false)
	all := func(total int) {
		t.Helper()
		require.Eventually(t, func() bool { return w.delivered() == total }, 30*time.Second, 20*time.Millisecond)
	}
	all(len(w.truth))
	before := w.clickhouse.Query(t, "SELECT sum(cityHash64(instance, event_id, version, batch_id, delivered_at, observed_at)) FROM weir.activities")
	require.NotEqual(t, "1", w.clickhouse.Query(t, "SELECT uniqExact(toYYYYMM(time)) FROM weir.activities"))

	j := w.job("warehouse")
	r, m, err := j.Remap()
	require.NoError(t, err)
	target := j.Config.Sinks[slices.IndexFunc(j.Config.Sinks, func(s configs.Sink) bool { return s.Name == "warehouse" })]
	sink := openRemapper(t, target)
	var calls atomic.Int64
	mapRows := r.Map
	r.Map = func(env []schemas.Envelope, rows *schemas.Rows, again bool) error {
		if n := calls.Add(1); n == 1 || n == 4 {
			w.add(8) // delivered while the months are made anew
			all(len(w.truth))
		}
		return mapRows(env, rows, again)
	}
	held := false
	r.Hold = func(ctx context.Context) (func(), error) {
		w.add(6) // being delivered when the agent is held
		release, err := agent.HoldSink(ctx, j.Clock, j.Config.Agent.DataDir, agent.Hold{Sink: "warehouse", Table: "activities"})
		held = err == nil
		w.add(6) // collected, and not delivered while it is held
		return release, err
	}
	require.NoError(t, sink.Remap(t.Context(), r))
	require.True(t, held)
	w.add(len(w.left))
	all(len(w.truth))
	stop()
	require.Equal(t, 2900, len(w.truth))

	// What came after the swap was made by the agent's old mapping.
	report, err := remap.Run(t.Context(), w.job("warehouse"))
	require.NoError(t, err)
	require.Positive(t, report.Changed)
	require.Less(t, report.Changed, m.Report().Changed)
	require.Positive(t, m.Report().Moved)
	w.checkRemapped()
	require.NotEmpty(t, before)

	again, err := remap.Run(t.Context(), w.job("warehouse"))
	require.NoError(t, err)
	require.Zero(t, again.Changed, "what was made anew is made anew no more: %v", again.Columns)
	require.EqualValues(t, 2900, again.Mapped)
	w.checkRemapped()
	// The agent goes on: it takes everything for delivered.
	w.collect(true)
	w.checkRemapped()
}

func openRemapper(t testing.TB, s configs.Sink) sinks.Remapper {
	sink, err := s.Driver.Open(t.Context(), sinks.Env{Name: s.Name, Version: "test", Clock: clockwork.NewRealClock()}, s.Config)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, sink.Close()) })
	return sink.(sinks.Remapper)
}
