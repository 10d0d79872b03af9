package govern_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/stretchr/testify/require"

	"weir/agent/govern"
	"weir/configs"
	"weir/internal/fault"
	"weir/pipeline"
	"weir/schemas"
	"weir/sources"
)

func TestAppliedAndUndone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.submit(1)
	a := b.settle("a1")
	require.Equal(t, govern.Verified, a.State, a.Note)
	require.Equal(t, "suspended", b.vendor.status["u1"])
	require.Equal(t, []string{"received", "planned", "executing", "step_begun", "step_done", "step_begun", "step_done", "succeeded", "verified"}, b.audited("a1"))

	require.Equal(t, govern.Verified, b.submit(1).State) // the same row again: nothing happens
	require.Len(t, b.audited("a1"), 9)
	b.submit(1, func(r *schemas.ActionRow) { r.TargetID = "u2" })
	require.Equal(t, "conflict", b.audited("a1")[9])
	require.Equal(t, govern.Rejected, b.submit(1, func(r *schemas.ActionRow) { r.ID = "a2" }).State) // a duplicate

	b.clock.Advance(time.Hour)
	b.submit(1, func(r *schemas.ActionRow) { r.ID = "a3" })
	require.Equal(t, "nothing was to be done: the target was so already", b.settle("a3").Note)

	b.submit(1, func(r *schemas.ActionRow) { r.ID, r.Action, r.TargetKind, r.TargetID = "undo1", "undo", "action", "a1" })
	u := b.settle("undo1")
	require.Equal(t, govern.Verified, u.State, u.Note)
	require.Equal(t, govern.Undone, b.get("a1").State)
	require.Equal(t, "active", b.vendor.status["u1"])
	require.Equal(t, map[string]int{"half u1": 2, "whole u1": 2}, b.vendor.writes)
}

func TestApprovals(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *configs.Config) { c.Instances[0].Governance.Approvals = 1 })
	b.submit(1)
	b.tick()
	require.Equal(t, govern.Awaiting, b.get("a1").State)
	require.ErrorContains(t, b.approve(1, "a1"), "asked for it and cannot approve it")
	require.ErrorContains(t, b.approve(3, "a1"), "may not approve")
	require.ErrorContains(t, b.approve(77, "a1"), "is no principal")
	_, err := b.runner.Decide(t.Context(), schemas.ApprovalRow{ActionID: "a1", RequestHash: "x", PlanHash: b.get("a1").PlanHash, Decision: "approve"}, b.runner.Socket(2))
	require.ErrorContains(t, err, "for another request")
	_, err = b.runner.Decide(t.Context(), schemas.ApprovalRow{ActionID: "a1", RequestHash: b.get("a1").RequestHash, PlanHash: "x", Decision: "approve"}, b.runner.Socket(2))
	require.ErrorContains(t, err, "for another plan")
	b.tick()
	require.Empty(t, b.vendor.writes)

	require.NoError(t, b.approve(2, "a1"))
	b.vendor.status["u1"] = "locked" // the target moves after the approval: it lapses
	b.tick()
	require.Equal(t, govern.Awaiting, b.get("a1").State)
	require.Empty(t, b.get("a1").Approvals)
	require.Empty(t, b.vendor.writes)
	require.NoError(t, b.approve(2, "a1"))
	require.Equal(t, govern.Verified, b.settle("a1").State)

	b.submit(1, func(r *schemas.ActionRow) { r.ID, r.TargetID = "a2", "u2" })
	b.tick()
	b.clock.Advance(25 * time.Hour)
	b.tick()
	require.Equal(t, govern.Expired, b.get("a2").State)
	require.ErrorContains(t, b.approve(2, "a2"), "nothing is left to decide")
	require.Contains(t, b.audited("a1"), "decision_ignored")
}

// Each belt refuses, or holds back, and nothing is written.
func TestBelts(t *testing.T) {
	t.Parallel()
	g := func(c *configs.Config) *configs.Governed { return &c.Instances[0].Governance }
	for name, c := range map[string]struct {
		config func(*configs.Config)
		vendor func(*vendor)
		row    func(*schemas.ActionRow)
		uid    uint32
		want   govern.State
		note   string
	}{
		"not allowed":      {config: func(c *configs.Config) { g(c).Allow = nil }, want: govern.Rejected, note: "is not allowed on acme"},
		"nobody":           {uid: 9, want: govern.Rejected, note: "is no principal"},
		"may not request":  {uid: 3, want: govern.Rejected, note: "may not request suspend_user"},
		"approver only":    {uid: 2, want: govern.Rejected, note: "may not request suspend_user"},
		"no instance":      {row: func(r *schemas.ActionRow) { r.Instance = "other" }, want: govern.Rejected, note: "there is none of this name"},
		"no action":        {row: func(r *schemas.ActionRow) { r.Action = "delete_user" }, want: govern.Rejected, note: "fake has none of this name"},
		"id with a path":   {row: func(r *schemas.ActionRow) { r.TargetID = "u1/../u2" }, want: govern.Rejected, note: "want an account's id"},
		"NUL":              {row: func(r *schemas.ActionRow) { r.TargetID = "u1\x00" }, want: govern.Rejected, note: "U+0000"},
		"look-alike":       {row: func(r *schemas.ActionRow) { r.TargetID = "u\uff11" }, want: govern.Rejected, note: "want an account's id"},
		"params":           {row: func(r *schemas.ActionRow) { r.Params = `{"a":"b"}` }, want: govern.Rejected, note: "takes no"},
		"params twice":     {row: func(r *schemas.ActionRow) { r.Params = `{"a":"b","a":"c"}` }, want: govern.Rejected, note: "want a JSON object of texts"},
		"huge":             {row: func(r *schemas.ActionRow) { r.Params = string(make([]byte, 10<<20)) }, want: govern.Rejected, note: "longer than"},
		"old":              {row: func(r *schemas.ActionRow) { r.ReceivedAt -= 25 * 3600_000 }, want: govern.Rejected, note: "older than"},
		"not after":        {row: func(r *schemas.ActionRow) { r.NotAfter = r.ReceivedAt }, want: govern.Rejected, note: "not_after has passed"},
		"no change":        {config: func(c *configs.Config) { g(c).ChangeRef = true }, want: govern.Rejected, note: "change_ref"},
		"undo of nothing":  {row: func(r *schemas.ActionRow) { r.Action, r.TargetKind = "undo", "action" }, want: govern.Rejected, note: "no action of acme"},
		"unknown target":   {row: func(r *schemas.ActionRow) { r.TargetID = "u777" }, want: govern.Rejected, note: "no such account"},
		"by id":            {config: func(c *configs.Config) { g(c).Protect = []string{"u1"} }, want: govern.Rejected, note: "protected"},
		"by login":         {config: func(c *configs.Config) { g(c).Protect = []string{"login:CEO@acme.example"} }, vendor: func(v *vendor) { v.subject.Logins = []string{"ceo@acme.example"} }, want: govern.Rejected, note: "protected"},
		"by alias":         {config: func(c *configs.Config) { g(c).Protect = []string{"id:77"} }, vendor: func(v *vendor) { v.subject.Aliases = []string{"77"} }, want: govern.Rejected, note: "protected"},
		"by email":         {config: func(c *configs.Config) { g(c).Protect = []string{"email:a@acme.example"} }, vendor: func(v *vendor) { v.subject.Emails = []string{"b@acme.example", "a@acme.example"} }, want: govern.Rejected, note: "protected"},
		"by group":         {config: func(c *configs.Config) { g(c).Protect = []string{"group:break-glass"} }, vendor: func(v *vendor) { v.subject.Groups = []string{"break-glass"} }, want: govern.Rejected, note: "protected"},
		"by role":          {config: func(c *configs.Config) { g(c).Protect = []string{"role:super_admin"} }, vendor: func(v *vendor) { v.subject.Roles = []string{"SUPER_ADMIN"} }, want: govern.Rejected, note: "protected"},
		"self":             {vendor: func(v *vendor) { v.self.ID = "u1" }, want: govern.Rejected, note: "Weir's own"},
		"self by alias":    {vendor: func(v *vendor) { v.subject.Emails = []string{"Weir@acme.example"} }, want: govern.Rejected, note: "Weir's own"},
		"own credential":   {vendor: func(v *vendor) { v.subject.Self = true }, want: govern.Rejected, note: "Weir's own"},
		"last admin":       {vendor: func(v *vendor) { v.subject.LastAdmin = true }, want: govern.Rejected, note: "last administrator"},
		"privileged":       {vendor: func(v *vendor) { v.subject.Privileged = true }, want: govern.Awaiting, note: "1 approvals are needed"},
		"dry run":          {row: func(r *schemas.ActionRow) { r.DryRun = schemas.Some(true) }, want: govern.Planned, note: "a dry run"},
		"dry instance":     {config: func(c *configs.Config) { g(c).DryRun = true }, want: govern.Planned, note: "a dry run"},
		"not before":       {row: func(r *schemas.ActionRow) { r.NotBefore = r.ReceivedAt + 3600_000 }, want: govern.Approved, note: "not_before"},
		"never":            {row: func(r *schemas.ActionRow) { r.NotBefore = r.ReceivedAt + 48*3600_000 }, want: govern.Rejected, note: "max_age"},
		"freeze":           {config: func(c *configs.Config) { g(c).Freeze = []string{"wed 11:00/wed 13:00"} }, want: govern.Approved, note: "frozen"},
		"freeze once":      {config: func(c *configs.Config) { g(c).Freeze = []string{"2026-03-01T00:00:00Z/2026-04-01T00:00:00Z"} }, want: govern.Approved, note: "frozen"},
		"cap of the hour":  {config: func(c *configs.Config) { g(c).MaxPerHour = 0 }, want: govern.Approved, note: "max_per_hour is reached"},
		"cap of the day":   {config: func(c *configs.Config) { c.Governance.MaxPerDay = 0 }, want: govern.Approved, note: "governance.max_per_day is reached"},
		"cap of alice":     {config: func(c *configs.Config) { c.Governance.MaxPerRequester = 0 }, want: govern.Approved, note: "max_per_requester is reached"},
		"queue":            {config: func(c *configs.Config) { c.Governance.MaxPending = 0 }, want: govern.Rejected, note: "open requests"},
		"plan is another":  {vendor: func(v *vendor) { v.planErr = fault.New(fault.Permanent, "a folder") }, want: govern.Failed, note: "a folder"},
		"vendor is down":   {vendor: func(v *vendor) { v.planErr = errors.New("down") }, want: govern.Received, note: "down"},
		"vendor throttles": {vendor: func(v *vendor) { v.planErr = fault.After(fault.Throttled, time.Minute, "429") }, want: govern.Received, note: "asks to wait"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			if c.config != nil {
				c.config(b.config)
			}
			if c.vendor != nil {
				c.vendor(b.vendor)
			}
			uid := max(c.uid, 1)
			if c.row == nil {
				c.row = func(*schemas.ActionRow) {}
			}
			b.submit(uid, c.row)
			b.tick()
			a := b.get("a1")
			require.Equal(t, c.want, a.State, a.Note)
			require.Contains(t, a.Note, c.note)
			require.Less(t, len(a.Note), 1000)
			require.Empty(t, b.vendor.writes)
			b.audited("a1")
		})
	}
}

// What an attempt may come to, and what follows from it.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	down := errors.New("connection reset")
	for name, c := range map[string]struct {
		do     func(v *vendor, n int) (bool, sources.Receipt, error) // n: attempts before
		check  func(n int) (sources.Outcome, error)
		want   govern.State
		halves int // effects of the first step
		delay  time.Duration
	}{
		"good": {want: govern.Verified, halves: 1},
		"lost before": {do: func(_ *vendor, n int) (bool, sources.Receipt, error) {
			return n > 0, sources.Receipt{}, pick(n == 0, down)
		}, want: govern.Verified, halves: 1},
		"lost after": {do: func(_ *vendor, n int) (bool, sources.Receipt, error) {
			return true, sources.Receipt{}, pick(n == 0, down)
		}, want: govern.Verified, halves: 1},
		"lost after, shows late": {do: func(_ *vendor, n int) (bool, sources.Receipt, error) {
			return true, sources.Receipt{}, pick(n == 0, down)
		}, want: govern.Verified, halves: 1, delay: 20 * time.Second},
		"always lost": {do: func(*vendor, int) (bool, sources.Receipt, error) { return false, sources.Receipt{}, down }, want: govern.Failed},
		"throttled": {do: func(_ *vendor, n int) (bool, sources.Receipt, error) {
			return n > 4, sources.Receipt{}, pick(n <= 4, fault.After(fault.Throttled, time.Minute, "429"))
		}, want: govern.Verified, halves: 1},
		"refused": {do: func(*vendor, int) (bool, sources.Receipt, error) {
			return false, sources.Receipt{}, fault.New(fault.Forbidden, "403")
		}, want: govern.Failed},
		"409, done all the same": {do: func(*vendor, int) (bool, sources.Receipt, error) {
			return true, sources.Receipt{}, fault.New(fault.Permanent, "409")
		}, want: govern.Verified, halves: 1},
		"202": {do: func(*vendor, int) (bool, sources.Receipt, error) {
			return true, sources.Receipt{Ref: "job", Pending: true}, nil
		}, want: govern.Verified, halves: 1, delay: time.Minute},
		"202, never":           {do: func(*vendor, int) (bool, sources.Receipt, error) { return false, sources.Receipt{Pending: true}, nil }, want: govern.Failed},
		"accepted, not there":  {do: func(*vendor, int) (bool, sources.Receipt, error) { return false, sources.Receipt{}, nil }, want: govern.Failed},
		"cannot be read back":  {check: func(int) (sources.Outcome, error) { return sources.Unknown, nil }, want: govern.Succeeded, halves: 1},
		"lost, cannot be told": {do: func(*vendor, int) (bool, sources.Receipt, error) { return true, sources.Receipt{}, down }, check: func(int) (sources.Outcome, error) { return sources.Unknown, nil }, want: govern.Unsure, halves: 1},
		"late":                 {want: govern.Verified, halves: 1, delay: time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			b.vendor.delay = c.delay
			n, checks := map[string]int{}, 0
			if c.do != nil {
				b.vendor.do = func(step string) (bool, sources.Receipt, error) {
					defer func() { n[step]++ }()
					return c.do(b.vendor, n[step])
				}
			}
			if c.check != nil {
				b.vendor.check = func(string) (sources.Outcome, error) { checks++; return c.check(checks) }
			}
			b.submit(1)
			a := b.settle("a1")
			require.Equal(t, c.want, a.State, a.Note)
			require.True(t, a.Done)
			require.Equal(t, c.halves, b.vendor.writes["half u1"])
			b.audited("a1")
		})
	}
}

func pick(fail bool, err error) error {
	if fail {
		return err
	}
	return nil
}

func TestHalfDone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.vendor.do = func(step string) (bool, sources.Receipt, error) {
		return step == "half", sources.Receipt{}, pick(step == "whole", fault.New(fault.Forbidden, "403"))
	}
	b.submit(1)
	a := b.settle("a1")
	require.Equal(t, govern.Partial, a.State, a.Note)
	require.Equal(t, "403", a.Note)
}

// The process dies at every commit of an action's life, before it is durable
// and after, and within each write at the vendor: no step takes effect twice,
// and the action ends well.
func TestCrashAnywhere(t *testing.T) {
	t.Parallel()
	run := func(dieAt, dieIn int) (commits, dos int) {
		b := newBench(t)
		b.commits, b.dieAt = 0, dieAt
		b.vendor.crash = func() {
			if dos++; dos == dieIn {
				panic(died{})
			}
		}
		b.submitted(func() { b.submit(1) })
		for range 400 {
			b.survive(b.tick)
			rec, ok, err := b.state.Action(t.Context(), "a1")
			require.NoError(t, err)
			if !ok { // it died before the request was kept: whoever asked asks again
				b.submitted(func() { b.submit(1) })
			} else if !rec.Open {
				break
			}
			b.clock.Advance(time.Second)
		}
		a := b.get("a1")
		require.Equal(t, govern.Verified, a.State, "%s, killed at %d, %d", a.Note, dieAt, dieIn)
		require.Equal(t, map[string]int{"half u1": 1, "whole u1": 1}, b.vendor.writes, "killed at %d, %d", dieAt, dieIn)
		b.audited("a1")
		return b.commits, dos
	}
	commits, dos := run(0, 0)
	require.Equal(t, 9, commits)
	require.Equal(t, 2, dos)
	for i := 1; i <= commits; i++ {
		run(i, 0)
		run(-i, 0)
	}
	for i := 1; i <= dos; i++ {
		run(0, i)
	}
}

func (b *bench) submitted(fn func()) { b.survive(fn) }

// survive runs fn, and begins another process when it dies.
func (b *bench) survive(fn func()) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case died{}:
			b.dieAt = 0
			b.reopen()
		default:
			panic(p)
		}
	}()
	fn()
}

func TestPauseKillSwitchAndRestore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := newBench(t, func(c *configs.Config) {
		c.Governance.KillSwitch = filepath.Join(dir, "off")
		c.Governance.Anchors = []string{filepath.Join(dir, "anchor")}
	})
	require.NoError(t, os.WriteFile(filepath.Join(dir, "off"), nil, 0o600))
	b.submit(1)
	b.tick()
	require.Equal(t, govern.Approved, b.get("a1").State)
	require.Contains(t, b.get("a1").Note, "kill switch")
	require.NoError(t, os.Remove(filepath.Join(dir, "off")))
	require.NoError(t, b.runner.Pause(t.Context(), b.runner.Socket(2), ""))
	b.clock.Advance(time.Minute)
	b.tick()
	require.Contains(t, b.get("a1").Note, "paused by bob")
	b.reopen() // it stays so
	require.Equal(t, "paused by bob", b.runner.Paused())
	require.Empty(t, b.vendor.writes)

	// A state restored from a copy: the anchors know more than it does.
	report, err := govern.Audit(t.Context(), b.state, nil)
	require.NoError(t, err)
	require.NoError(t, b.runner.Resume(t.Context(), b.runner.Socket(1), ""))
	line := fmt.Sprintf(`{"at":"2026-03-04T12:00:00.000Z","chain":%q,"seq":%d,"hash":"00"}`+"\n", b.state.ID(), report.Head.Seq+5)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "anchor"), []byte(line), 0o600))
	b.reopen()
	require.Contains(t, b.runner.Paused(), "restored from a copy")
	b.clock.Advance(time.Minute)
	b.tick()
	require.Empty(t, b.vendor.writes)
	_, err = govern.Audit(t.Context(), b.state, b.config.Governance.Anchors)
	require.ErrorContains(t, err, "cut short, restored or changed")
}

// A line of an anchor that a crash cut short, or left as zeros, is passed over,
// and the next one is whole. Anything else that is no anchor is an alarm.
func TestTornAnchor(t *testing.T) {
	t.Parallel()
	for name, tail := range map[string]string{"nothing": "", "cut": `{"at":"2026-03-04T12:0`, "brace": "{", "zeros": `{"at":"2026` + "\x00\x00\x00", "all zeros": "\x00\x00"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "anchor")
			b := newBench(t, func(c *configs.Config) { c.Governance.Anchors = []string{file} })
			anchored, stop := context.WithCancel(t.Context())
			stop()
			b.runner.Run(anchored) // on ending, the head is written
			whole, err := os.ReadFile(file)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(file, append(whole, tail...), 0o600))
			b.reopen()
			require.Empty(t, b.runner.Paused())
			b.submit(1)
			require.Equal(t, govern.Verified, b.settle("a1").State)
			b.runner.Run(anchored)
			b.audited("a1")
			b.reopen()
			require.Empty(t, b.runner.Paused())
			now, err := os.ReadFile(file)
			require.NoError(t, err)
			require.Contains(t, string(now), string(whole)+tail) // only appended
			require.Equal(t, 2, strings.Count(string(now), "}\n"))

			require.NoError(t, os.WriteFile(file, append(now, "no anchor\n"...), 0o600))
			b.reopen()
			require.Contains(t, b.runner.Paused(), "is none")
		})
	}
}

// What was approved is not carried out when the configuration forbids it
// meanwhile, and not gone on with.
func TestSwitchedOffMeanwhile(t *testing.T) {
	t.Parallel()
	for name, off := range map[string]func(*configs.Governed){
		"dry run":     func(g *configs.Governed) { g.DryRun = true },
		"not allowed": func(g *configs.Governed) { g.Allow = []string{"revoke_key"} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, func(c *configs.Config) { c.Instances[0].Governance.Approvals = 1 })
			b.submit(1)
			b.submit(1, func(r *schemas.ActionRow) { r.ID, r.TargetID = "a2", "u2" })
			b.tick()
			require.NoError(t, b.approve(2, "a2"))
			g := &b.config.Instances[0].Governance
			was := *g
			off(g)
			a := b.settle("a2")
			require.Contains(t, []govern.State{govern.Planned, govern.Failed}, a.State, a.Note)
			require.Empty(t, b.vendor.writes)

			*g = was
			require.NoError(t, b.approve(2, "a1"))
			b.vendor.crash = func() { off(g) } // between the steps
			a = b.settle("a1")
			require.Equal(t, govern.Partial, a.State, a.Note)
			require.Equal(t, map[string]int{"half u1": 1}, b.vendor.writes)
		})
	}
}

// What has been undone, and undoing itself, cannot be undone: the answer says so.
func TestUndoOfUndo(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.submit(1)
	b.settle("a1")
	undo := func(id, of string) *govern.Action {
		b.clock.Advance(time.Hour)
		return b.submit(1, func(r *schemas.ActionRow) { r.ID, r.Action, r.TargetKind, r.TargetID = id, "undo", "action", of })
	}
	undo("undo1", "a1")
	undo("undo2", "a1") // before undo1 has begun
	require.Equal(t, govern.Verified, b.settle("undo1").State)
	a := b.settle("undo2")
	require.Equal(t, govern.Failed, a.State)
	require.Contains(t, a.Note, "has been undone by undo1")
	require.Contains(t, undo("undo3", "a1").Note, "has been undone by undo1")
	require.Contains(t, undo("undo4", "undo1").Note, "undoes a1, and cannot be undone itself")
	require.Equal(t, map[string]int{"half u1": 2, "whole u1": 2}, b.vendor.writes)
}

// What a vendor, or whoever names things there, wrote reaches the log without
// characters that a reader cannot see.
func TestTextsOfOthers(t *testing.T) {
	t.Parallel()
	const evil = "A\x1b[31mn\u202en\u200b\u2028\u009b2J\U000e0041\n"
	b := newBench(t)
	b.vendor.subject.Name = evil
	b.vendor.status["u1"] = evil
	b.vendor.do = func(string) (bool, sources.Receipt, error) {
		return false, sources.Receipt{Ref: evil}, fault.New(fault.Forbidden, "%s", evil)
	}
	b.submit(1, func(r *schemas.ActionRow) { r.Reason = evil })
	b.settle("a1")
	entries, err := b.state.ActionEntries(t.Context(), "a1", 1, 1000)
	require.NoError(t, err)
	require.NotEmpty(t, entries)
	for _, e := range entries {
		var row schemas.ActionLogRow
		require.NoError(t, json.Unmarshal(e.Data, &row))
		for _, s := range append([]string{row.Detail, row.TargetName, row.Ref, row.Reason, row.Step}, row.Diff...) {
			require.NotContains(t, s, "\x1b")
			for _, c := range s {
				require.False(t, unicode.In(c, unicode.Cc, unicode.Cf, unicode.Zl), "%q", s)
			}
		}
	}
	require.Equal(t, "A [31mnn  2J ", govern.Plain(evil))
	b.audited("a1")
}

func TestOpposites(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *configs.Config) { c.Instances[0].Governance.Approvals = 1 })
	b.submit(1)
	b.clock.Advance(time.Second)
	b.submit(1, func(r *schemas.ActionRow) { r.ID, r.Action = "a2", "unsuspend_user" })
	b.tick()
	// a2's target is awake: nothing to do, but it waits its turn all the same.
	require.NoError(t, b.approve(2, "a2"))
	b.tick()
	require.Contains(t, b.get("a2").Note, "waits for a1")
	require.NoError(t, b.approve(2, "a1"))
	require.Equal(t, govern.Verified, b.settle("a1").State)
	b.clock.Advance(time.Minute)
	b.tick()
	require.Equal(t, govern.Awaiting, b.get("a2").State) // its target has moved
	require.NoError(t, b.approve(2, "a2"))
	require.Equal(t, govern.Verified, b.settle("a2").State)
	require.Equal(t, "active", b.vendor.status["u1"])
}

func TestCapsCountEffects(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *configs.Config) { c.Instances[0].Governance.MaxPerHour = 3 })
	for i := range 6 {
		b.submit(1, func(r *schemas.ActionRow) { r.ID, r.TargetID = fmt.Sprint("a", i), fmt.Sprint("u", i) })
	}
	for range 60 {
		b.tick()
		b.clock.Advance(30 * time.Second)
	}
	require.Len(t, b.vendor.writes, 2*3)
	for range 100 {
		b.tick()
		b.clock.Advance(time.Minute)
	}
	require.Len(t, b.vendor.writes, 2*6)
}

// An entry that is changed, taken out or cut off is found.
func TestAuditFindsTampering(t *testing.T) {
	t.Parallel()
	rows := func() []schemas.ActionLogRow {
		var out []schemas.ActionLogRow
		prev := ""
		for i := range 5 {
			e := schemas.ActionLogRow{Chain: "c", Seq: int64(i + 1), At: schemas.Time(i + 1), Event: "e", Diff: []string{"a", "b"}, PrevHash: prev}
			e.Hash = govern.EntryHash("acme", &e)
			prev = e.Hash
			out = append(out, e)
		}
		return out
	}
	verify := func(rows []schemas.ActionLogRow, instance string) error {
		var v govern.Verifier
		for i := range rows {
			if err := v.Next(instance, &rows[i]); err != nil {
				return err
			}
		}
		return nil
	}
	require.NoError(t, verify(rows(), "acme"))
	require.Error(t, verify(rows(), "other"))
	for name, change := range map[string]func([]schemas.ActionLogRow) []schemas.ActionLogRow{
		"changed": func(r []schemas.ActionLogRow) []schemas.ActionLogRow { r[2].Principal = "eve"; return r },
		"shifted": func(r []schemas.ActionLogRow) []schemas.ActionLogRow { r[2].Diff = []string{"ab"}; return r },
		"removed": func(r []schemas.ActionLogRow) []schemas.ActionLogRow { return append(r[:2], r[3:]...) },
		"rewritten": func(r []schemas.ActionLogRow) []schemas.ActionLogRow {
			r[2].Event = "x"
			r[2].Hash = govern.EntryHash("acme", &r[2])
			return r
		},
	} {
		require.Error(t, verify(change(rows()), "acme"), name)
	}
}

// Whatever a row holds, it is kept or refused in words, and nothing happens.
func FuzzRequest(f *testing.F) {
	f.Add("a1", "acme", "suspend_user", "account", "u1", `{}`, "x")
	f.Add("a/1", "acme", "undo", "action", "a1", `{"a":1}`, "\x00")
	f.Fuzz(func(t *testing.T, id, instance, action, kind, target, params, reason string) {
		b := newBench(t, func(c *configs.Config) { c.Instances[0].Governance.Approvals = 1 })
		row := schemas.ActionRow{
			ID: id, Instance: instance, Action: action, TargetKind: kind, TargetID: target, Params: params, Reason: reason,
			ReceivedAt: schemas.Time(b.clock.Now().UnixMilli()),
		}
		_, err := b.runner.Submit(t.Context(), row, b.runner.Socket(1))
		if err != nil {
			require.Equal(t, fault.BadData, fault.Of(err))
		}
		b.tick()
		require.Empty(t, b.vendor.writes)
		b.audited("")
	})
}

var _ govern.Store = pipeline.State(nil)
