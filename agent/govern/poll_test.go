package govern_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/agent/govern"
	"weir/configs"
	"weir/schemas"
	"weir/sinks"
)

// tables pretend to be the control tables of a sink.
type tables struct {
	requests  []schemas.ActionRow
	approvals []schemas.ApprovalRow
	ran       map[string]bool
	read      int // rows
}

// after returns the first rows after a place, in order.
func after[R any](rows []R, at sinks.ControlPlace, limit int, place func(R) sinks.ControlPlace) []R {
	if order := func(a, b R) int { return place(a).Compare(place(b)) }; !slices.IsSortedFunc(rows, order) {
		slices.SortStableFunc(rows, order)
	}
	i, _ := slices.BinarySearchFunc(rows, at, func(r R, at sinks.ControlPlace) int {
		if place(r).Compare(at) <= 0 {
			return -1
		}
		return 1
	})
	return slices.Clone(rows[i:min(len(rows), i+limit)])
}

func (c *tables) Requests(_ context.Context, at sinks.ControlPlace, limit int) ([]schemas.ActionRow, error) {
	out := after(c.requests, at, limit, func(r schemas.ActionRow) sinks.ControlPlace {
		return sinks.ControlPlace{ReceivedAt: r.ReceivedAt, ID: r.ID, Row: r.RowHash}
	})
	c.read += len(out)
	return out, nil
}

func (c *tables) Approvals(_ context.Context, at sinks.ControlPlace, limit int) ([]schemas.ApprovalRow, error) {
	out := after(c.approvals, at, limit, func(r schemas.ApprovalRow) sinks.ControlPlace {
		return sinks.ControlPlace{ReceivedAt: r.ReceivedAt, ID: r.ActionID, Row: r.RowHash}
	})
	c.read += len(out)
	return out, nil
}

func (c *tables) Ran(_ context.Context, action, _ string, _ int64) (bool, error) {
	return c.ran[action], nil
}

func polled(t *testing.T) (*bench, *tables) {
	c := &tables{ran: map[string]bool{}}
	b := newBench(t, func(cfg *configs.Config) {
		cfg.Governance.Control = "warehouse"
		cfg.Instances[0].Governance.Approvals = 1
	})
	b.control = c
	b.reopen()
	return b, c
}

func (b *bench) row(id, user string, at time.Duration) schemas.ActionRow {
	return schemas.ActionRow{
		ID: id, Instance: "acme", Action: "suspend_user", TargetKind: "account", TargetID: "u1", RequestedBy: "bob",
		DBUser: user, RowHash: user, ReceivedAt: schemas.Time(b.clock.Now().Add(at).UnixMilli()),
	}
}

func TestControlTables(t *testing.T) {
	t.Parallel()
	b, c := polled(t)
	poll := func() { require.NoError(t, b.runner.Poll(t.Context())) }
	c.requests = append(c.requests, b.row("a1", "alice", 0))
	poll()
	b.tick()
	a := b.get("a1")
	require.Equal(t, "alice", a.Principal) // who inserted it, not who it says
	require.Equal(t, govern.Awaiting, a.State)

	// Another row under the id is a conflict, also when it came a little earlier.
	other := b.row("a1", "alice", -time.Minute)
	other.TargetID, other.RowHash = "u2", "u2"
	c.requests = append(c.requests, other)
	poll()
	poll()
	require.Equal(t, "u1", b.get("a1").Row.TargetID)
	require.Equal(t, 1, strings.Count(strings.Join(b.audited("a1"), " "), "conflict"))

	decide := func(user, decision string, at time.Duration) {
		c.approvals = append(c.approvals, schemas.ApprovalRow{
			ActionID: "a1", RequestHash: a.RequestHash, PlanHash: a.PlanHash, Decision: decision, DBUser: user, RowHash: user + decision, ReceivedAt: schemas.Time(b.clock.Now().Add(at).UnixMilli()),
		})
	}
	decide("alice", "approve", 0)
	decide("mallory", "approve", 0)
	poll()
	poll()
	require.Empty(t, b.get("a1").Approvals)
	require.Equal(t, 1, strings.Count(b.told("decision_ignored"), "asked for it"), "each ignored decision is told once")
	require.Equal(t, 1, strings.Count(b.told("decision_ignored"), `"mallory"`))
	b.clock.Advance(time.Second)
	decide("bob", "approve", 0)
	poll()
	require.Equal(t, govern.Verified, b.settle("a1").State)
	entries := len(b.audited(""))
	b.reopen() // a new process reads the tables again, and nothing follows
	poll()
	b.tick()
	require.Len(t, b.audited(""), entries)
	require.Equal(t, map[string]int{"half u1": 1, "whole u1": 1}, b.vendor.writes)
}

// Rows without end neither fill the log nor the queue.
func TestFlood(t *testing.T) {
	t.Parallel()
	b, c := polled(t)
	for i := range 1500 {
		r := b.row(fmt.Sprintf("m%04d", i), "alice", 0)
		r.TargetID = fmt.Sprint("u", i)
		c.requests = append(c.requests, r)
		c.requests = append(c.requests, b.row(fmt.Sprintf("x%04d", i), "mallory", 0), b.row("../"+fmt.Sprint(i), "alice", 0))
	}
	for range 3 {
		require.NoError(t, b.runner.Poll(t.Context()))
	}
	open, err := b.state.ActionsOpen(t.Context(), "alice")
	require.NoError(t, err)
	require.EqualValues(t, 10, open) // max_pending
	require.Less(t, len(b.audited("")), 50)
	b.clock.Advance(time.Minute)
	later := b.row("later", "alice", 0)
	later.TargetID = "u99"
	c.requests = append(c.requests, later)
	_, err = b.runner.Decide(t.Context(), schemas.ApprovalRow{ActionID: "m0000", Decision: "cancel"}, b.runner.Socket(1))
	require.NoError(t, err)
	require.NoError(t, b.runner.Poll(t.Context()))
	require.Equal(t, govern.Received, b.get("later").State)
}

// More rows of one time, and of one id, than a poll reads are all read, some in
// each poll, and leave a bounded trace.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	const many = 11_000
	b, c := polled(t)
	poll := func() (entries int) {
		c.read = 0
		before := len(b.audited(""))
		require.NoError(t, b.runner.Poll(t.Context()))
		require.LessOrEqual(t, c.read, 20_000)
		return len(b.audited("")) - before
	}
	for i := range many {
		c.requests = append(c.requests, b.row(fmt.Sprintf("m%06d", i), "mallory", 0))
	}
	c.requests = append(c.requests, b.row("z1", "alice", 0))
	for i := range 500 { // none is good
		r := b.row(fmt.Sprintf("bad%03d", i), "alice", 0)
		r.Action = "no_such"
		c.requests = append(c.requests, r)
	}
	require.LessOrEqual(t, poll(), 110)
	_, known, err := b.state.Action(t.Context(), "z1")
	require.NoError(t, err)
	require.False(t, known)
	b.reopen() // what was left is gone on with in another process
	require.LessOrEqual(t, poll(), 110)
	b.tick()
	a := b.get("z1")
	require.Equal(t, govern.Awaiting, a.State)
	require.Contains(t, b.told("rejected"), "400 requests")
	for range 3 { // read again, nothing is told again
		require.Zero(t, poll())
	}

	d := schemas.ApprovalRow{RequestHash: a.RequestHash, PlanHash: a.PlanHash, Decision: "approve", DBUser: "alice", ReceivedAt: schemas.Time(b.clock.Now().UnixMilli())}
	for i := range many {
		d.RowHash = fmt.Sprintf("%06d", i)
		d.Reason = d.RowHash
		d.ActionID, d.DBUser = "none", "mallory"
		c.approvals = append(c.approvals, d)
		if i < 300 {
			d.DBUser = "bob"
			d.RowHash += "b"
			c.approvals = append(c.approvals, d)
			d.ActionID, d.DBUser = "z1", "alice"
			c.approvals = append(c.approvals, d)
		}
	}
	d.ActionID, d.DBUser, d.RowHash = "z1", "bob", "zzz"
	c.approvals = append(c.approvals, d)
	total := 0
	for range 4 {
		total += poll()
	}
	require.Equal(t, govern.Approved, b.get("z1").State)
	require.LessOrEqual(t, total, govern.MaxAnswers+10)
	require.LessOrEqual(t, len(b.get("z1").Heard), govern.MaxAnswers+1)
	for range 2 {
		require.Zero(t, poll())
	}
}

// told returns the details of the log's entries of an event.
func (b *bench) told(event string) (details string) {
	entries, err := b.state.ActionEntries(b.t.Context(), "", 1, 1000)
	require.NoError(b.t, err)
	for _, e := range entries {
		var row schemas.ActionLogRow
		require.NoError(b.t, json.Unmarshal(e.Data, &row))
		if row.Event == event {
			details += row.Detail + "\n"
		}
	}
	return details
}

// An action that the sink has seen run, and this state has not: the state is an
// old copy.
func TestTheSinkKnowsMore(t *testing.T) {
	t.Parallel()
	b, c := polled(t)
	c.requests = append(c.requests, b.row("a1", "alice", 0))
	require.NoError(t, b.runner.Poll(t.Context()))
	b.tick()
	require.NoError(t, b.approve(2, "a1"))
	c.ran["a1"] = true
	b.tick()
	require.Equal(t, govern.Rejected, b.get("a1").State)
	require.Contains(t, b.runner.Paused(), "older copy")
	require.Empty(t, b.vendor.writes)
}
