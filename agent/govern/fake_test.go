package govern_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/agent/govern"
	"weir/configs"
	"weir/internal/fault"
	"weir/pipeline"
	"weir/schemas"
	"weir/sinks"
	"weir/sources"
)

// vendor pretends to be one: accounts with a status, written in two steps.
type vendor struct {
	sources.Session
	mu      sync.Mutex // over the maps
	clock   clockwork.Clock
	status  map[string]string // by account
	subject sources.Subject   // beside kind and id
	self    sources.Identity
	writes  map[string]int // effects, by step and account
	delay   time.Duration  // until an effect shows
	shown   map[string]time.Time
	do      func(step string) (effect bool, rc sources.Receipt, err error) // scripted
	check   func(step string) (sources.Outcome, error)                     // scripted; nil: the truth
	crash   func()                                                         // called within Do, after the effect
	planErr error
	judge   func(*sources.Plan)        // changes a plan
	meet    func(args)                 // called within Do, before the effect
	people  map[string][]sources.Found // by address
}

func (v *vendor) FindAccounts(_ context.Context, email string) ([]sources.Found, error) {
	return v.people[email], nil
}

type args struct{ ID, To string }

func (v *vendor) Identity(context.Context) (sources.Identity, error) { return v.self, nil }

func (v *vendor) plan(r sources.ActionRequest, to string) (*sources.Plan, error) {
	if v.planErr != nil {
		return nil, v.planErr
	}
	v.mu.Lock()
	was, ok := v.status[r.Target]
	v.mu.Unlock()
	if !ok {
		return nil, fault.New(fault.BadData, "no such account")
	}
	p := &sources.Plan{Target: v.subject, Before: []byte(`{"status":` + strconv.Quote(was) + `}`)}
	p.Target.Kind, p.Target.ID = r.Kind, r.Target
	if v.judge != nil {
		v.judge(p)
	}
	if was == to {
		return p, nil
	}
	a, _ := json.Marshal(args{r.Target, to})
	p.Diff = []sources.Change{{What: "status", Before: was, After: to}}
	p.Steps = []sources.Step{{Name: "half", Doc: "first half", Args: a}, {Name: "whole", Doc: "second half", Args: a}}
	return p, nil
}

func (v *vendor) Plan(_ context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	if r.Action == sources.SignOutUser {
		p := &sources.Plan{Target: v.subject, Before: []byte(`{"status":` + strconv.Quote(v.status[r.Target]) + `}`), NoUndo: "sessions are gone"}
		p.Target.Kind, p.Target.ID = r.Kind, r.Target
		a, _ := json.Marshal(args{r.Target, "out"})
		p.Diff, p.Steps = []sources.Change{{What: "sessions", After: "ended"}}, []sources.Step{{Name: "signout", Doc: "ends sessions", Args: a}}
		return p, nil
	}
	return v.plan(r, map[sources.Action]string{sources.SuspendUser: "suspended", sources.UnsuspendUser: "active"}[r.Action])
}

func (v *vendor) Undo(_ context.Context, e sources.Effect) (*sources.Plan, error) {
	var before struct{ Status string }
	if err := json.Unmarshal(e.Before, &before); err != nil {
		return nil, err
	}
	return v.plan(e.Request, before.Status)
}

func (v *vendor) Do(_ context.Context, s sources.Step) (sources.Receipt, error) {
	var a args
	if err := json.Unmarshal(s.Args, &a); err != nil {
		return sources.Receipt{}, err
	}
	if v.meet != nil {
		v.meet(a)
	}
	effect, rc, err := true, sources.Receipt{Ref: "r1"}, error(nil)
	if v.do != nil {
		effect, rc, err = v.do(s.Name)
	}
	if effect {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.writes[s.Name+" "+a.ID]++
		v.shown[s.Name+a.ID+a.To] = v.clock.Now().Add(v.delay)
		if s.Name == "whole" {
			v.status[a.ID] = a.To
		}
	}
	if v.crash != nil {
		v.crash()
	}
	return rc, err
}

func (v *vendor) Check(_ context.Context, s sources.Step, _ sources.Receipt) (sources.Outcome, error) {
	if v.check != nil {
		return v.check(s.Name)
	}
	var a args
	if err := json.Unmarshal(s.Args, &a); err != nil {
		return sources.Unknown, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if at, ok := v.shown[s.Name+a.ID+a.To]; ok && !v.clock.Now().Before(at) {
		return sources.Done, nil
	}
	return sources.NotDone, nil
}

var connector = &sources.Connector{
	App: "fake", Title: "Fake",
	Actions: []sources.ActionInfo{
		{
			Action: sources.SuspendUser, Doc: "suspends", Scopes: []string{"all"}, Delay: time.Second,
			Targets: []sources.ActionTarget{{Kind: sources.TargetAccount, ID: `u[0-9]+`, Doc: "an account's id"}},
		},
		{
			Action: sources.UnsuspendUser, Doc: "wakes", Scopes: []string{"all"},
			Targets: []sources.ActionTarget{{Kind: sources.TargetAccount, ID: `u[0-9]+`, Doc: "an account's id"}},
		},
		{
			Action: sources.SignOutUser, Doc: "signs out", Scopes: []string{"all"}, NoUndo: "sessions are gone",
			Targets: []sources.ActionTarget{{Kind: sources.TargetAccount, ID: `u[0-9]+`, Doc: "an account's id"}},
		},
		{
			Action: sources.RevokeKey, Doc: "revokes", Scopes: []string{"all"}, Risky: true, NoUndo: "keys are gone",
			Targets: []sources.ActionTarget{{Kind: sources.TargetCredential, ID: `k[0-9]+`, Doc: "a key's id"}},
		},
	},
}

// bench is governance over a state on disk that can be closed and opened again.
type bench struct {
	t       *testing.T
	dir     string
	clock   *clockwork.FakeClock
	vendor  *vendor
	config  *configs.Config
	state   pipeline.State
	runner  *govern.Runner
	control sinks.Control
	commits int
	dieAt   int // the commit, counted, at which the process dies: before it is durable, or, when negative, after
}

type died struct{}

func newBench(t *testing.T, change ...func(*configs.Config)) *bench {
	clock := clockwork.NewFakeClockAt(time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)) // a Wednesday
	b := &bench{
		t: t, dir: t.TempDir(), clock: clock,
		vendor: &vendor{
			clock: clock, status: map[string]string{}, writes: map[string]int{}, shown: map[string]time.Time{},
			self: sources.Identity{ID: "u999", Name: "weir@acme.example"},
		},
		config: &configs.Config{
			Governance: configs.Governance{
				Poll: time.Second, MaxAge: 24 * time.Hour, MaxPerHour: 50, MaxPerDay: 200, MaxPerRequester: 20, MaxPending: 10, Keep: 90 * 24 * time.Hour,
				Principals: []configs.Principal{
					{Name: "alice", UID: "1", DBUser: "alice", May: []string{"request", "approve"}},
					{Name: "bob", UID: "2", DBUser: "bob", May: []string{"approve"}},
					{Name: "carol", UID: "3", May: []string{"request/revoke_key"}},
				},
			},
			Instances: []configs.Instance{{Name: "acme", Connector: connector, Common: configs.Common{Enabled: true, Governance: configs.Governed{
				Allow: []string{"suspend_user", "unsuspend_user", "revoke_key"}, MaxPerHour: 10, MaxPerDay: 50, CoolDown: 10 * time.Minute,
			}}}},
		},
	}
	for i := range 100 {
		b.vendor.status["u"+strconv.Itoa(i)] = "active"
	}
	for _, fn := range change {
		fn(b.config)
	}
	b.open()
	t.Cleanup(func() { _ = b.state.Close() })
	require.Equal(t, "the state is new: look at weir actions list, then weir actions resume", b.runner.Paused())
	require.NoError(t, b.runner.Resume(t.Context(), b.runner.Socket(1), "begin"))
	return b
}

// open begins a process on the state.
func (b *bench) open() {
	var err error
	b.state, err = pipeline.OpenState(b.t.Context(), b.dir)
	require.NoError(b.t, err)
	b.runner, err = govern.New(b.t.Context(), govern.Options{
		Config: b.config, Clock: b.clock, Log: slog.New(slog.DiscardHandler), Store: b.state, Control: b.control,
		Commit: func(ctx context.Context, _, _ string, _ []schemas.ActionLogRow, apply func(pipeline.Tx) error) error {
			b.commits++
			if b.commits == b.dieAt {
				panic(died{})
			}
			err := b.state.Update(ctx, apply)
			if b.commits == -b.dieAt {
				panic(died{})
			}
			return err
		},
		Open: func(context.Context, string) (govern.Session, error) {
			return govern.Session{Governor: b.vendor, Connector: connector}, nil
		},
	})
	require.NoError(b.t, err)
}

// reopen begins another process after the one before has died.
func (b *bench) reopen() {
	require.NoError(b.t, b.state.Close())
	b.open()
}

func (b *bench) submit(uid uint32, change ...func(*schemas.ActionRow)) *govern.Action {
	row := schemas.ActionRow{
		ID: "a1", Instance: "acme", Action: "suspend_user", TargetKind: "account", TargetID: "u1", Reason: "left the firm",
		ReceivedAt: schemas.Time(b.clock.Now().UnixMilli()),
	}
	for _, fn := range change {
		fn(&row)
	}
	a, err := b.runner.Submit(b.t.Context(), row, b.runner.Socket(uid))
	require.NoError(b.t, err)
	return a
}

func (b *bench) get(id string) *govern.Action {
	rec, ok, err := b.state.Action(b.t.Context(), id)
	require.NoError(b.t, err)
	require.True(b.t, ok, id)
	a, err := govern.Read(rec)
	require.NoError(b.t, err)
	return a
}

func (b *bench) tick() { require.NoError(b.t, b.runner.Tick(b.t.Context(), "acme")) }

// settle ticks until an action is final, or for an hour.
func (b *bench) settle(id string) *govern.Action {
	for range 3600 {
		b.tick()
		if a := b.get(id); a.Done {
			return a
		}
		b.clock.Advance(time.Second)
	}
	return b.get(id)
}

func (b *bench) approve(uid uint32, id string) error {
	a := b.get(id)
	_, err := b.runner.Decide(b.t.Context(), schemas.ApprovalRow{ActionID: id, RequestHash: a.RequestHash, PlanHash: a.PlanHash, Decision: "approve"}, b.runner.Socket(uid))
	return err
}

// audited verifies the chain and returns its events of an action.
func (b *bench) audited(id string) (events []string) {
	_, err := govern.Audit(b.t.Context(), b.state, b.config.Governance.Anchors)
	require.NoError(b.t, err)
	entries, err := b.state.ActionEntries(b.t.Context(), id, 1, 1000)
	require.NoError(b.t, err)
	for _, e := range entries {
		var row schemas.ActionLogRow
		require.NoError(b.t, json.Unmarshal(e.Data, &row))
		events = append(events, row.Event)
	}
	return events
}
