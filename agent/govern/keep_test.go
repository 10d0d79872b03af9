package govern_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/agent/govern"
	"weir/pipeline"
	"weir/schemas"
)

// What is old and final is dropped; the chain goes on and can be audited, what
// is open keeps its log, and no id is used twice.
func TestPrune(t *testing.T) {
	t.Parallel()
	b, c := polled(t)
	g := &b.config.Instances[0].Governance
	g.Approvals = 0
	b.config.Governance.Anchors = []string{filepath.Join(t.TempDir(), "anchor")}
	for i := range 3 {
		b.submit(1, func(r *schemas.ActionRow) { r.ID, r.TargetID = fmt.Sprint("a", i), fmt.Sprint("u", i) })
		b.settle(fmt.Sprint("a", i))
	}
	b.anchor()
	require.NoError(t, b.runner.Prune(t.Context()))
	before := len(b.audited(""))

	b.clock.Advance(60 * 24 * time.Hour)
	b.submit(1, func(r *schemas.ActionRow) { r.ID, r.TargetID = "b1", "u50" })
	b.settle("b1")
	b.anchor()
	require.NoError(t, b.runner.Prune(t.Context()))
	require.Greater(t, len(b.audited("")), before)

	b.clock.Advance(40 * 24 * time.Hour) // a0 to a2 are 100 days old
	require.NoError(t, b.runner.Prune(t.Context()))
	require.NoError(t, b.runner.Prune(t.Context())) // the log follows its actions
	_, known, err := b.state.Action(t.Context(), "a0")
	require.NoError(t, err)
	require.False(t, known)
	require.Len(t, b.audited("b1"), 9)
	require.Less(t, len(b.audited("")), 15)
	b.reopen()
	require.Empty(t, b.runner.Paused())
	b.audited("")
	rep, err := govern.Audit(t.Context(), b.state, b.config.Governance.Anchors)
	require.NoError(t, err)
	require.Greater(t, rep.From, int64(20))

	_, err = b.runner.Submit(t.Context(), b.row("a0", "alice", 0), b.runner.Socket(1))
	require.ErrorContains(t, err, "take another")
	c.requests = append(c.requests, b.row("a0", "alice", 0))
	for range 3 {
		require.NoError(t, b.runner.Poll(t.Context()))
	}
	require.Equal(t, 1, strings.Count(b.told("rejected"), "used long ago"))
	b.submit(1, func(r *schemas.ActionRow) { r.ID = "a9" })
	require.Equal(t, govern.Verified, b.settle("a9").State)
	b.audited("a9")

	// A log whose beginning is cut off otherwise is found.
	require.NoError(t, b.state.Update(t.Context(), func(tx pipeline.Tx) error { return tx.DropActionEntries(rep.From + 3) }))
	_, err = govern.Audit(t.Context(), b.state, nil)
	require.ErrorContains(t, err, "missing")
}

// An action that is not final keeps itself and its log, however old.
func TestPruneKeepsWhatIsOpen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.submit(1)
	b.clock.Advance(100 * 24 * time.Hour)
	for range 3 {
		require.NoError(t, b.runner.Prune(t.Context()))
	}
	require.Equal(t, govern.Received, b.get("a1").State)
	require.Equal(t, []string{"received"}, b.audited("a1"))
}

// anchor has the head of the log written to the anchors.
func (b *bench) anchor() {
	ctx, stop := context.WithCancel(b.t.Context())
	stop()
	b.runner.Run(ctx)
}
