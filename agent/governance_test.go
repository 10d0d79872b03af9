package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/agent/govern"
	"weir/configs"
	"weir/internal/setting"
	"weir/pipeline"
	"weir/schemas"
	sinkregistry "weir/sinks/registry"
	"weir/sources"
)

// actor is a connector's session that can do one thing.
type actor struct {
	sources.Session
	writes *atomic.Int64
}

func (a actor) Tenant(context.Context) (string, error) { return "o1", nil }

func (a actor) Identity(context.Context) (sources.Identity, error) {
	return sources.Identity{ID: "weir"}, nil
}

func (a actor) Plan(_ context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	return &sources.Plan{
		Target: sources.Subject{Kind: r.Kind, ID: r.Target, Name: "Ann"}, Before: []byte(`{}`),
		Steps: []sources.Step{{Name: "suspend", Doc: "suspends"}}, Diff: []sources.Change{{What: "status", Before: "active", After: "suspended"}},
	}, nil
}

func (a actor) Do(context.Context, sources.Step) (sources.Receipt, error) {
	a.writes.Add(1)
	return sources.Receipt{}, nil
}

func (a actor) Check(context.Context, sources.Step, sources.Receipt) (sources.Outcome, error) {
	return sources.Done, nil
}

func (a actor) Undo(context.Context, sources.Effect) (*sources.Plan, error) {
	return nil, errors.New("not asked for here")
}

type noSettings struct{}

func (*noSettings) Validate() []setting.KeyError { return nil }

func (a actor) Streams() []sources.Stream { return nil }

// governed returns the configuration of an agent over a lake whose only instance
// can do one thing; writes counts how often it did.
func governed(t *testing.T) (cfg *configs.Config, writes *atomic.Int64) {
	t.Helper()
	return governedBy(t, `{principals: {me: {uid: "`+strconv.Itoa(os.Getuid())+`", may: [request, approve]}}}`, "")
}

// governedBy is governed under a governance section, with one more sink, in YAML.
func governedBy(t *testing.T, governance, sink string) (cfg *configs.Config, writes *atomic.Int64) {
	t.Helper()
	writes = &atomic.Int64{}
	dir, err := os.MkdirTemp("", "weir") //nolint:usetesting // a socket's path must be short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	fake := &sources.Connector{
		App: "fake", Title: "Fake", Config: func() setting.Struct { return &noSettings{} },
		Open: func(context.Context, sources.Env, setting.Struct) (sources.Session, error) {
			return actor{writes: writes}, nil
		},
		Streams: []sources.StreamInfo{{Name: "activities", Shape: sources.Log, Tables: []string{schemas.TableActivities}, Every: time.Minute, Doc: "events"}},
		Actions: []sources.ActionInfo{{
			Action: sources.SuspendUser, Doc: "suspends", Scopes: []string{"all"},
			Targets: []sources.ActionTarget{{Kind: sources.TargetAccount, ID: `u[0-9]+`, Doc: "an account's id"}},
		}},
	}
	file := filepath.Join(dir, "weir.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
agent: {data_dir: `+filepath.Join(dir, "d")+`, listen: "", min_free: 0B}
governance: `+governance+`
sinks: {lake: {type: parquet, path: `+filepath.Join(dir, "lake")+`}`+sink+`}
instances: {acme: {app: fake, governance: {allow: [suspend_user], approvals: 0, max_share: 0}}}
`), 0o600))
	cfg, err = configs.Load(file, nil, []*sources.Connector{fake}, sinkregistry.All)
	require.NoError(t, err)
	return cfg, writes
}

// acts is an agent that runs until stop is called.
type acts struct {
	*Agent
	t    *testing.T
	stop func()
}

func startActing(t *testing.T, cfg *configs.Config, role Role) *acts {
	t.Helper()
	a, err := New(t.Context(), Options{Config: cfg, Clock: clockwork.NewRealClock(), Log: slog.New(slog.DiscardHandler), Role: role})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return &acts{Agent: a, t: t, stop: func() {
		cancel()
		require.NoError(t, <-done)
	}}
}

// tell tells the agent something once it listens.
func (a *acts) tell(what string, body any) (answer ActionAnswer, err error) {
	a.t.Helper()
	require.Eventually(a.t, func() bool {
		answer, err = TellActions(a.t.Context(), a.Config.Agent.DataDir, what, body)
		return !errors.Is(err, ErrNoAgent)
	}, 10*time.Second, 10*time.Millisecond)
	return answer, err
}

// comesTo waits until an action is in a state, with a note.
func (a *acts) comesTo(id string, state govern.State, note string) {
	a.t.Helper()
	require.Eventually(a.t, func() bool {
		rec, _, err := a.Pipeline.State().Action(a.t.Context(), id)
		return err == nil && rec.State == string(state) && strings.Contains(string(rec.Data), note)
	}, 60*time.Second, 20*time.Millisecond)
}

var suspend = schemas.ActionRow{ID: "a1", Instance: "acme", Action: "suspend_user", TargetKind: "account", TargetID: "u1"}

// Who only collects changes nothing, and says so; who only governs collects
// nothing.
func TestRoles(t *testing.T) {
	t.Parallel()
	start := func(cfg *configs.Config, role Role) (*Agent, error) {
		return New(t.Context(), Options{Config: cfg, Clock: clockwork.NewRealClock(), Log: slog.New(slog.DiscardHandler), Role: role})
	}
	cfg, writes := governed(t)
	collector, err := start(cfg, RoleCollect)
	require.NoError(t, err)
	require.Len(t, collector.Streams(), 1)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- collector.Run(ctx) }()
	require.Eventually(t, func() bool {
		_, err = TellActions(t.Context(), cfg.Agent.DataDir, "submit", schemas.ActionRow{ID: "a1"})
		return !errors.Is(err, ErrNoAgent)
	}, 10*time.Second, 10*time.Millisecond)
	require.ErrorContains(t, err, "--role collect")
	stop()
	require.NoError(t, <-done)
	require.Zero(t, writes.Load())

	cfg, _ = governed(t)
	governor, err := start(cfg, RoleGovern)
	require.NoError(t, err)
	require.Empty(t, governor.Streams())
	require.NoError(t, governor.Pipeline.Close())
	cfg.Instances[0].Governance.MaxShare = 5
	_, err = start(cfg, RoleGovern)
	require.ErrorContains(t, err, "max_share")
	cfg.Instances[0].Governance.Allow = nil
	_, err = start(cfg, RoleGovern)
	require.ErrorContains(t, err, "needs an instance")
}

// An action asked for over the control socket is carried out, and every step of
// it is delivered to the sink.
func TestActionsOverTheSocket(t *testing.T) {
	t.Parallel()
	cfg, writes := governed(t)
	a := startActing(t, cfg, RoleGovern)
	answer, err := a.tell("submit", suspend)
	require.NoError(t, err)
	require.Equal(t, govern.Received, answer.State)
	_, err = a.tell("submit", map[string]string{"id": "a2", "who": "me"})
	require.ErrorContains(t, err, "no submit")
	_, err = a.tell("decide", schemas.ApprovalRow{ActionID: "a1", Decision: "approve"})
	require.ErrorContains(t, err, "cannot approve it")
	_, err = a.tell("resume", GovernReason{Reason: "begin"})
	require.NoError(t, err)
	a.comesTo("a1", govern.Verified, "")
	require.EqualValues(t, 1, writes.Load())
	a.stop()

	st, err := pipeline.ReadState(t.Context(), cfg.Agent.DataDir)
	require.NoError(t, err)
	t.Cleanup(func() { _ = st.Close() })
	rep, err := govern.Audit(t.Context(), st, nil)
	require.NoError(t, err)
	require.GreaterOrEqual(t, rep.Entries, int64(10))
	pending, err := st.PendingTotals(t.Context())
	require.NoError(t, err)
	require.Empty(t, pending) // every row is in the lake
	found, err := filepath.Glob(filepath.Join(filepath.Dir(cfg.Agent.DataDir), "lake", schemas.TableActionLog, "*", "*", "*.parquet"))
	require.NoError(t, err)
	require.NotEmpty(t, found)
}

// A state in which a person had resumed governance is reconciled, as after it was
// put back: nothing is carried out before a person resumes it again.
func TestReconciledStateActsOnNothing(t *testing.T) {
	t.Parallel()
	cfg, writes := governed(t)
	a := startActing(t, cfg, "")
	_, err := a.tell("resume", GovernReason{Reason: "begin"})
	require.NoError(t, err)
	a.stop()

	once, err := New(t.Context(), Options{Config: cfg, Clock: clockwork.NewRealClock(), Log: slog.New(slog.DiscardHandler), Once: true})
	require.NoError(t, err)
	_, err = once.Pipeline.Reconcile(t.Context(), nil, true)
	require.NoError(t, err)
	require.NoError(t, once.Pipeline.Close())

	a = startActing(t, cfg, "")
	_, err = a.tell("submit", suspend)
	require.NoError(t, err)
	a.comesTo("a1", govern.Approved, "governance is paused: the state was restored")
	require.Zero(t, writes.Load())
	_, err = a.tell("resume", GovernReason{Reason: "looked at"})
	require.NoError(t, err)
	a.comesTo("a1", govern.Verified, "")
	require.EqualValues(t, 1, writes.Load())
	a.stop()
}
