package govern_test

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/agent/govern"
	"weir/configs"
	"weir/schemas"
	"weir/sources"
)

// Actions on several targets are carried out at the same time, those on one
// target one after the other in order of receipt, and what is allowed an hour is
// not exceeded.
func TestSeveralAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *configs.Config) {
		c.Instances[0].Parallel, c.Instances[0].Governance.MaxPerHour = 4, 7
	})
	var mu sync.Mutex
	busy, waiting, four := map[string]bool{}, 0, make(chan struct{})
	b.vendor.meet = func(a args) {
		mu.Lock()
		if busy[a.ID] {
			t.Errorf("two requests on %s at once", a.ID)
		}
		busy[a.ID] = true
		if waiting++; waiting == 4 {
			close(four)
		}
		mu.Unlock()
		select {
		case <-four:
		case <-time.After(10 * time.Second):
			t.Error("four actions are not carried out at the same time")
		}
		mu.Lock()
		busy[a.ID] = false
		mu.Unlock()
	}
	for i := range 10 {
		b.submit(1, func(r *schemas.ActionRow) { r.ID, r.TargetID = fmt.Sprintf("a%d", i), fmt.Sprintf("u%d", i) })
	}
	b.tick()
	done := 0
	for i := range 10 {
		if a := b.get(fmt.Sprintf("a%d", i)); a.State == govern.Verified {
			done++
		} else {
			require.Contains(t, a.Note, "max_per_hour is reached")
		}
	}
	require.Equal(t, 7, done)

	b.clock.Advance(61 * time.Minute)
	b.submit(1, func(r *schemas.ActionRow) { r.ID, r.TargetID = "b1", "u50" })
	b.submit(1, func(r *schemas.ActionRow) { r.ID, r.TargetID, r.Action = "b2", "u50", "unsuspend_user" })
	require.Equal(t, govern.Verified, b.settle("b2").State)
	require.Equal(t, govern.Verified, b.get("b1").State)
	require.Equal(t, "active", b.vendor.status["u50"])
	b.audited("b2")
}

// Two administrators are never judged by the same state: the second of the last
// two stays.
func TestLastAdminsAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *configs.Config) { c.Instances[0].Parallel = 4 })
	var judged atomic.Int64
	b.vendor.judge = func(p *sources.Plan) {
		judged.Add(1)
		b.vendor.mu.Lock()
		defer b.vendor.mu.Unlock()
		p.Target.Privileged = true
		p.Target.LastAdmin = p.Target.ID == "u1" && b.vendor.status["u2"] != "active" || p.Target.ID == "u2" && b.vendor.status["u1"] != "active"
	}
	for _, u := range []string{"u1", "u2"} {
		b.submit(1, func(r *schemas.ActionRow) { r.ID, r.TargetID = "a-"+u, u })
	}
	b.tick()
	require.NoError(t, b.approve(2, "a-u1"))
	require.NoError(t, b.approve(2, "a-u2"))
	judged.Store(0)
	b.vendor.meet = func(args) { // time enough for the other to be planned, if it were
		for end := time.Now().Add(200 * time.Millisecond); judged.Load() < 2 && time.Now().Before(end); {
			runtime.Gosched()
		}
	}
	require.Equal(t, govern.Verified, b.settle("a-u1").State)
	last := b.settle("a-u2")
	require.Equal(t, govern.Rejected, last.State)
	require.Contains(t, last.Note, "last administrator")
	require.Equal(t, "active", b.vendor.status["u2"])
}
