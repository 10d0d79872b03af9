package govern_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/agent/govern"
	"weir/configs"
	"weir/schemas"
	"weir/sources"
)

func watching(c *configs.Config) { c.Instances[0].Governance.Watch = time.Hour }

// pass lets time go by, with looks at it.
func (b *bench) pass(d time.Duration) {
	for range int(d / (10 * time.Second)) {
		b.clock.Advance(10 * time.Second)
		b.tick()
	}
}

// revert has somebody else take the effect of suspending u1 back.
func (b *bench) revert() {
	b.vendor.status["u1"] = "active"
	delete(b.vendor.shown, "wholeu1suspended")
}

func TestWatch(t *testing.T) {
	t.Parallel()
	b := newBench(t, watching)
	b.submit(1)
	b.settle("a1")
	b.pass(20 * time.Minute)
	require.Equal(t, govern.Verified, b.get("a1").State)

	// One look that shows what was is no proof.
	checks := 0
	b.vendor.check = func(step string) (sources.Outcome, error) {
		if checks++; checks == 1 {
			return sources.NotDone, nil
		}
		return sources.Done, nil
	}
	b.pass(5 * time.Minute)
	require.Greater(t, checks, 4)
	require.Equal(t, govern.Verified, b.get("a1").State)
	// Nor is a vendor that does not answer.
	b.vendor.check = func(string) (sources.Outcome, error) { return sources.Unknown, errors.New("down") }
	b.pass(5 * time.Minute)
	require.Equal(t, govern.Verified, b.get("a1").State)

	b.vendor.check = nil
	b.revert()
	b.reopen()
	b.pass(15 * time.Minute)
	a := b.get("a1")
	require.Equal(t, govern.Reverted, a.State)
	require.Contains(t, b.audited("a1"), "reverted")
	require.Equal(t, map[string]int{"half u1": 1, "whole u1": 1}, b.vendor.writes) // it was not asked for
	undo := b.submit(1, func(r *schemas.ActionRow) { r.ID, r.Action, r.TargetKind, r.TargetID = "undo1", "undo", "action", "a1" })
	require.Contains(t, undo.Note, "reverted by somebody else")
}

// After the watch time nothing is looked at, and what Weir itself changes is not
// reverted by somebody else.
func TestWatchEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t, watching)
	b.submit(1)
	b.settle("a1")
	b.pass(70 * time.Minute)
	require.True(t, b.get("a1").Watch.IsZero())
	b.revert()
	b.pass(20 * time.Minute)
	require.Equal(t, govern.Verified, b.get("a1").State)

	b.submit(1, func(r *schemas.ActionRow) { r.ID = "a2" })
	require.Equal(t, govern.Verified, b.settle("a2").State)
	b.submit(1, func(r *schemas.ActionRow) { r.ID, r.Action = "a3", "unsuspend_user" })
	require.Equal(t, govern.Verified, b.settle("a3").State)
	b.revert()
	b.pass(10 * time.Minute)
	require.Equal(t, govern.Verified, b.get("a2").State)
	require.Contains(t, b.audited("a2"), "superseded")

	b.submit(1, func(r *schemas.ActionRow) { r.ID, r.Action, r.TargetKind, r.TargetID = "undo3", "undo", "action", "a3" })
	require.Equal(t, govern.Verified, b.settle("undo3").State)
	require.True(t, b.get("a3").Watch.IsZero())
}

// What is reverted is given back when the request says so, each time with an
// approval, three times at most, and not twice when the process dies.
func TestReapply(t *testing.T) {
	t.Parallel()
	b := newBench(t, watching)
	require.Equal(t, govern.Rejected, b.submit(1, func(r *schemas.ActionRow) { r.ID, r.Params = "bad", `{"reapply":"maybe"}` }).State)
	b.submit(1, func(r *schemas.ActionRow) { r.Params = `{"reapply":"yes"}` })
	id := "a1"
	require.Equal(t, govern.Verified, b.settle(id).State)
	for round := 1; round <= 3; round++ {
		b.revert()
		before := b.vendor.writes["whole u1"]
		if round == 2 { // dies after the new request is durable, before the old one is reverted
			b.dieAt = -(b.commits + 2)
		}
		for range 30 {
			b.clock.Advance(10 * time.Second)
			b.survive(b.tick)
		}
		require.Equal(t, govern.Reverted, b.get(id).State)
		require.Equal(t, before, b.vendor.writes["whole u1"], "not without an approval")
		records, err := b.state.Actions(t.Context(), true, 10)
		require.NoError(t, err)
		require.Len(t, records, 1)
		id = records[0].ID
		a := b.get(id)
		require.Equal(t, govern.Awaiting, a.State)
		require.Equal(t, "a1", a.Reapplies)
		require.Equal(t, round, a.Round)
		require.ErrorContains(t, b.approve(1, id), "asked for it and cannot approve it")
		require.NoError(t, b.approve(2, id))
		require.Equal(t, govern.Verified, b.settle(id).State)
		require.Equal(t, before+1, b.vendor.writes["whole u1"])
	}
	b.revert()
	b.pass(5 * time.Minute)
	require.Contains(t, b.get(id).Note, "re-applied 3 times, and is not again")
	open, err := b.state.Actions(t.Context(), true, 10)
	require.NoError(t, err)
	require.Empty(t, open)

	// A revert of what may not be asked for any more is told, and stays.
	b.submit(1, func(r *schemas.ActionRow) { r.ID, r.TargetID, r.Params = "b1", "u1", `{"reapply":"yes"}` })
	require.Equal(t, govern.Rejected, b.get("b1").State) // cool-down
	b.clock.Advance(time.Hour)
	b.submit(1, func(r *schemas.ActionRow) { r.ID, r.Params = "b2", `{"reapply":"yes"}` })
	require.Equal(t, govern.Verified, b.settle("b2").State)
	b.config.Governance.Principals[0].May = nil
	b.revert()
	b.pass(5 * time.Minute)
	require.Equal(t, govern.Reverted, b.get("b2").State)
	open, err = b.state.Actions(t.Context(), true, 10)
	require.NoError(t, err)
	require.Empty(t, open)
}

// What ended unknown is asked for later, and nothing is carried out again.
func TestUnknownIsSettled(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		steps map[string]sources.Outcome
		want  govern.State
	}{
		"all":     {map[string]sources.Outcome{"half": sources.Done}, govern.Partial}, // the second has not begun
		"nothing": {map[string]sources.Outcome{"half": sources.NotDone}, govern.Failed},
		"never":   {map[string]sources.Outcome{"half": sources.Unknown}, govern.Unsure},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, watching)
			b.vendor.do = func(string) (bool, sources.Receipt, error) {
				return true, sources.Receipt{}, errors.New("connection reset")
			}
			b.vendor.check = func(string) (sources.Outcome, error) { return sources.Unknown, nil }
			b.submit(1)
			require.Equal(t, govern.Unsure, b.settle("a1").State)
			b.reopen()
			b.pass(10 * time.Minute)
			require.Equal(t, govern.Unsure, b.get("a1").State)
			b.vendor.check = func(step string) (sources.Outcome, error) { return c.steps[step], nil }
			b.pass(20 * time.Minute)
			require.Equal(t, c.want, b.get("a1").State, b.get("a1").Note)
			b.clock.Advance(25 * time.Hour)
			b.pass(time.Minute)
			require.True(t, b.get("a1").Watch.IsZero())
			require.Equal(t, map[string]int{"half u1": 1}, b.vendor.writes)
		})
	}
	t.Run("the last step", func(t *testing.T) {
		t.Parallel()
		b := newBench(t, watching)
		b.vendor.do = func(step string) (bool, sources.Receipt, error) {
			return true, sources.Receipt{}, pick(step == "whole", errors.New("connection reset"))
		}
		b.vendor.check = func(step string) (sources.Outcome, error) { return sources.Unknown, nil }
		b.submit(1)
		require.Equal(t, govern.Unsure, b.settle("a1").State)
		b.vendor.check = nil
		b.pass(10 * time.Minute)
		require.Equal(t, govern.Verified, b.get("a1").State)
		require.True(t, slices.Contains(b.audited("a1"), "verified"))
		b.revert() // and it is watched as any other
		b.pass(10 * time.Minute)
		require.Equal(t, govern.Reverted, b.get("a1").State)
	})
}
