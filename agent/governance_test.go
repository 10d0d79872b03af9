package agent

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
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

// An action asked for over the control socket is carried out, and every step of
// it is delivered to the sink.
func TestActionsOverTheSocket(t *testing.T) {
	t.Parallel()
	dir, err := os.MkdirTemp("", "weir") //nolint:usetesting // a socket's path must be short
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	var writes atomic.Int64
	fake := &sources.Connector{
		App: "fake", Title: "Fake", Config: func() setting.Struct { return &noSettings{} },
		Open: func(context.Context, sources.Env, setting.Struct) (sources.Session, error) {
			return actor{writes: &writes}, nil
		},
		Actions: []sources.ActionInfo{{
			Action: sources.SuspendUser, Doc: "suspends", Scopes: []string{"all"},
			Targets: []sources.ActionTarget{{Kind: sources.TargetAccount, ID: `u[0-9]+`, Doc: "an account's id"}},
		}},
	}
	data, lake := filepath.Join(dir, "d"), filepath.Join(dir, "lake")
	file := filepath.Join(dir, "weir.yaml")
	require.NoError(t, os.WriteFile(file, []byte(`
agent: {data_dir: `+data+`, listen: "", min_free: 0B}
governance: {principals: {me: {uid: "`+strconv.Itoa(os.Getuid())+`", may: [request, approve]}}}
sinks: {lake: {type: parquet, path: `+lake+`}}
instances: {acme: {app: fake, governance: {allow: [suspend_user], approvals: 0, max_share: 0}}}
`), 0o600))
	cfg, err := configs.Load(file, nil, []*sources.Connector{fake}, sinkregistry.All)
	require.NoError(t, err)
	a, err := New(t.Context(), Options{Config: cfg, Clock: clockwork.NewRealClock(), Log: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	tell := func(what string, body any) (answer ActionAnswer, err error) {
		require.Eventually(t, func() bool {
			answer, err = TellActions(t.Context(), data, what, body)
			return !errors.Is(err, ErrNoAgent)
		}, 10*time.Second, 10*time.Millisecond)
		return answer, err
	}
	answer, err := tell("submit", schemas.ActionRow{ID: "a1", Instance: "acme", Action: "suspend_user", TargetKind: "account", TargetID: "u1"})
	require.NoError(t, err)
	require.Equal(t, govern.Received, answer.State)
	_, err = tell("submit", map[string]string{"id": "a2", "who": "me"})
	require.ErrorContains(t, err, "no submit")
	_, err = tell("decide", schemas.ApprovalRow{ActionID: "a1", Decision: "approve"})
	require.ErrorContains(t, err, "cannot approve it")
	_, err = tell("resume", GovernReason{Reason: "begin"})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		rec, _, err := a.Pipeline.State().Action(t.Context(), "a1")
		return err == nil && rec.State == string(govern.Verified)
	}, 60*time.Second, 20*time.Millisecond)
	require.EqualValues(t, 1, writes.Load())
	stop()
	require.NoError(t, <-done)

	st, err := pipeline.ReadState(t.Context(), data)
	require.NoError(t, err)
	t.Cleanup(func() { _ = st.Close() })
	rep, err := govern.Audit(t.Context(), st, nil)
	require.NoError(t, err)
	require.GreaterOrEqual(t, rep.Entries, int64(10))
	pending, err := st.PendingTotals(t.Context())
	require.NoError(t, err)
	require.Empty(t, pending) // every row is in the lake
	found, err := filepath.Glob(filepath.Join(lake, schemas.TableActionLog, "*", "*", "*.parquet"))
	require.NoError(t, err)
	require.NotEmpty(t, found)
}
