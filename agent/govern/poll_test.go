package govern_test

import (
	"cmp"
	"context"
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
	reads     int
}

func (c *tables) Requests(_ context.Context, after sinks.ControlPlace, limit int) (out []schemas.ActionRow, err error) {
	c.reads++
	slices.SortStableFunc(c.requests, func(a, b schemas.ActionRow) int {
		return cmp.Or(cmp.Compare(a.ReceivedAt, b.ReceivedAt), cmp.Compare(a.ID, b.ID))
	})
	for _, r := range c.requests {
		if r.ReceivedAt > after.ReceivedAt || r.ReceivedAt == after.ReceivedAt && r.ID > after.ID {
			if len(out) >= limit && (r.ReceivedAt != out[len(out)-1].ReceivedAt || r.ID != out[len(out)-1].ID) {
				break
			}
			out = append(out, r)
		}
	}
	return out, nil
}

func (c *tables) Approvals(_ context.Context, after sinks.ControlPlace, _ int) (out []schemas.ApprovalRow, err error) {
	for _, r := range c.approvals {
		if r.ReceivedAt > after.ReceivedAt || r.ReceivedAt == after.ReceivedAt && r.ActionID > after.ID {
			out = append(out, r)
		}
	}
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
		DBUser: user, ReceivedAt: schemas.Time(b.clock.Now().Add(at).UnixMilli()),
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
	other.TargetID = "u2"
	c.requests = append(c.requests, other)
	poll()
	poll()
	require.Equal(t, "u1", b.get("a1").Row.TargetID)
	require.Equal(t, 1, strings.Count(strings.Join(b.audited("a1"), " "), "conflict"))

	decide := func(user, decision string, at time.Duration) {
		c.approvals = append(c.approvals, schemas.ApprovalRow{
			ActionID: "a1", RequestHash: a.RequestHash, PlanHash: a.PlanHash, Decision: decision, DBUser: user, ReceivedAt: schemas.Time(b.clock.Now().Add(at).UnixMilli()),
		})
	}
	decide("alice", "approve", 0)
	decide("mallory", "approve", 0)
	poll()
	poll()
	require.Empty(t, b.get("a1").Approvals)
	require.Equal(t, 2, strings.Count(strings.Join(b.audited("a1"), " "), "decision_ignored"), "each ignored decision is told once")
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
