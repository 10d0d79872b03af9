package govern_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/agent/govern"
	"weir/configs"
	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// people has Ann with an account at each of two instances, which this vendor
// serves both, and another's account that claims her address.
func people(t *testing.T, change ...func(*configs.Config)) *bench {
	change = append([]func(*configs.Config){func(c *configs.Config) {
		c.Instances[0].Governance.Allow, c.Instances[0].Governance.Approvals = []string{"suspend_user", "sign_out_user"}, 1
		second := c.Instances[0]
		second.Name, second.Governance.Allow = "beta", []string{"suspend_user"}
		c.Instances = append(c.Instances, second)
	}}, change...)
	b := newBench(t, change...)
	b.vendor.people = map[string][]sources.Found{"ann@acme.example": {{ID: "u2", Verified: true}, {ID: "u1", Verified: true}, {ID: "u7"}}}
	return b
}

func (b *bench) run(d time.Duration) {
	for range int(d / time.Second) {
		for _, instance := range []string{"", "acme", "beta"} {
			require.NoError(b.t, b.runner.Tick(b.t.Context(), instance))
		}
		b.clock.Advance(time.Second)
	}
}

func contain(r *schemas.ActionRow) {
	r.ID, r.Instance, r.Action, r.TargetKind, r.TargetID = "c1", "", "contain_user", "person", "Ann@acme.example"
}

func release(r *schemas.ActionRow) {
	r.ID, r.Instance, r.Action, r.TargetKind, r.TargetID = "r1", "", "release_user", "action", "c1"
}

func TestContainAndRelease(t *testing.T) {
	t.Parallel()
	b := people(t)
	b.vendor.status["u2"] = "suspended" // already: only signed out
	require.Equal(t, govern.Received, b.submit(1, contain).State)
	b.run(2 * time.Second)
	a := b.get("c1")
	require.Equal(t, govern.Awaiting, a.State, a.Note)
	require.Empty(t, b.vendor.writes)
	var steps []string
	for _, s := range a.Plan.Steps {
		steps = append(steps, s.Name)
	}
	require.Equal(t, []string{
		"acme: suspend_user of account u1", "acme: sign_out_user of account u1", "acme: sign_out_user of account u2", "beta: suspend_user of account u1",
	}, steps)
	limits := strings.Join(a.Plan.Limits, "\n")
	require.Contains(t, limits, "account u7 has the address, which is not known to be verified")
	require.Contains(t, limits, "acme: suspend_user of u2: it is so already")
	require.Contains(t, limits, "beta: sign_out_user is not allowed")
	require.ErrorContains(t, b.approve(1, "c1"), "cannot approve it")

	require.NoError(t, b.approve(2, "c1"))
	b.reopen()
	b.run(time.Minute)
	a = b.get("c1")
	require.Equal(t, govern.Verified, a.State, a.Note)
	require.Equal(t, "4 actions: 4 verified", a.Note)
	require.Equal(t, map[string]int{"half u1": 1, "whole u1": 1, "signout u1": 1, "signout u2": 1}, b.vendor.writes) // at beta it was so, by then
	require.Len(t, a.Parts, 4)
	require.False(t, b.get(a.Parts[0]).Finished.After(b.get(a.Parts[1]).Started), "in order")
	require.Equal(t, []string{"received", "planned", "decision_ignored", "approval", "executing", "verified"}, b.audited("c1"))

	require.Contains(t, b.submit(1, func(r *schemas.ActionRow) { release(r); r.Action = "undo"; r.Instance = "acme" }).Note, "is undone by release_user")
	require.Equal(t, govern.Received, b.submit(1, func(r *schemas.ActionRow) { release(r); r.ID = "r2" }).State)
	b.run(2 * time.Second)
	r := b.get("r2")
	require.Equal(t, govern.Awaiting, r.State, r.Note)
	require.Len(t, r.Plan.Steps, 1)
	require.Contains(t, strings.Join(r.Plan.Limits, "\n"), "cannot be undone: sessions are gone")
	require.NoError(t, b.approve(2, "r2"))
	b.run(time.Minute)
	require.Equal(t, govern.Verified, b.get("r2").State, b.get("r2").Note)
	require.Equal(t, "active", b.vendor.status["u1"])
	require.Equal(t, govern.Undone, b.get("c1").State)
	b.clock.Advance(time.Hour)
	require.Contains(t, b.submit(1, func(r *schemas.ActionRow) { release(r); r.ID = "r3" }).Note, "has been undone by r2")
}

// TestContainFirst has an action go first that the vendor could not do to an
// account that is suspended.
func TestContainFirst(t *testing.T) {
	t.Parallel()
	other := *connector
	other.Actions = slices.Clone(connector.Actions)
	other.Action(sources.SignOutUser).First = true
	b := people(t, func(c *configs.Config) { c.Instances[0].Connector = &other })
	b.vendor.people = map[string][]sources.Found{"ann@acme.example": {{ID: "u1", Verified: true}}}
	b.submit(1, contain)
	b.run(2 * time.Second)
	var steps []string
	for _, s := range b.get("c1").Plan.Steps {
		steps = append(steps, s.Name)
	}
	require.Equal(t, []string{"acme: sign_out_user of account u1", "acme: suspend_user of account u1", "beta: suspend_user of account u1"}, steps)
}

func TestContainIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		row    func(*schemas.ActionRow)
		config func(*configs.Config)
		vendor func(*vendor)
		uid    uint32
		state  govern.State
		note   string
	}{
		"with an instance": {row: func(r *schemas.ActionRow) { r.Instance = "acme" }, state: govern.Rejected, note: "takes no instance"},
		"no address":       {row: func(r *schemas.ActionRow) { r.TargetID = `a" or 1 eq 1@acme.example` }, state: govern.Rejected, note: "e-mail address"},
		"look-alike":       {row: func(r *schemas.ActionRow) { r.TargetID = "\u0430nn@acme.example" }, state: govern.Rejected, note: "e-mail address"},
		"of an account":    {row: func(r *schemas.ActionRow) { r.TargetKind = "account" }, state: govern.Rejected, note: "e-mail address"},
		"may not":          {uid: 3, state: govern.Rejected, note: "may not request contain_user"},
		"nobody":           {row: func(r *schemas.ActionRow) { r.TargetID = "bea@acme.example" }, state: govern.Rejected, note: "nothing can be done"},
		"not verified":     {vendor: func(v *vendor) { v.people["ann@acme.example"] = []sources.Found{{ID: "u1"}} }, state: govern.Rejected, note: "not known to be verified"},
		"protected":        {config: func(c *configs.Config) { c.Instances[1].Governance.Protect = []string{"id:u1"} }, state: govern.Rejected, note: "beta: protected"},
		"last admin":       {vendor: func(v *vendor) { v.subject.LastAdmin = true }, state: govern.Rejected, note: "last administrator"},
		"Weir":             {vendor: func(v *vendor) { v.self.ID = "u1" }, state: govern.Rejected, note: "Weir's own"},
		"change":           {config: func(c *configs.Config) { c.Instances[1].Governance.ChangeRef = true }, state: govern.Rejected, note: "change_ref"},
		"dry run":          {row: func(r *schemas.ActionRow) { r.DryRun = schemas.Some(true) }, state: govern.Planned, note: "a dry run"},
		"dry instances": {config: func(c *configs.Config) {
			c.Instances[0].Governance.DryRun, c.Instances[1].Governance.DryRun = true, true
		}, state: govern.Rejected, note: "beta: dry_run"},
		"down":           {vendor: func(v *vendor) { v.planErr = fault.New(fault.Transient, "down") }, state: govern.Received, note: "down"},
		"no such bundle": {row: release, state: govern.Rejected, note: "the id of a contain_user"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := people(t)
			if c.config != nil {
				c.config(b.config)
			}
			if c.vendor != nil {
				c.vendor(b.vendor)
			}
			a := b.submit(max(c.uid, 1), func(r *schemas.ActionRow) {
				contain(r)
				if c.row != nil {
					c.row(r)
				}
			})
			b.run(2 * time.Second)
			a = b.get(a.Row.ID)
			require.Equal(t, c.state, a.State, a.Note)
			require.Contains(t, a.Note, c.note)
			require.Empty(t, b.vendor.writes)
			b.audited("")
		})
	}
}

// What a bundle hits may move after the approval: before it begins that lapses
// the whole approval, afterwards the part's. One part that fails does not keep
// the others from being carried out, and is told.
func TestContainedMeanwhile(t *testing.T) {
	t.Parallel()
	b := people(t)
	b.submit(1, contain)
	b.run(2 * time.Second)
	require.NoError(t, b.approve(2, "c1"))
	b.vendor.people["ann@acme.example"] = append(b.vendor.people["ann@acme.example"], sources.Found{ID: "u3", Verified: true})
	b.run(2 * time.Second)
	require.Equal(t, govern.Awaiting, b.get("c1").State)
	require.Empty(t, b.vendor.writes)
	require.NoError(t, b.approve(2, "c1"))
	b.vendor.do = func(step string) (bool, sources.Receipt, error) {
		if step == "signout" {
			return false, sources.Receipt{}, fault.New(fault.Forbidden, "403")
		}
		return true, sources.Receipt{}, nil
	}
	b.run(5 * time.Minute)
	a := b.get("c1")
	require.Equal(t, govern.Partial, a.State, a.Note)
	require.Equal(t, "9 actions: 3 failed, 6 verified", a.Note)
}

// The process dies at every commit of a bundle's life: no step takes effect
// twice, and none is forgotten.
func TestBundleCrashAnywhere(t *testing.T) {
	t.Parallel()
	run := func(dieAt int) int {
		b := people(t, func(c *configs.Config) { c.Instances[1].Enabled = false })
		b.commits, b.dieAt = 0, dieAt
		b.survive(func() { b.submit(1, contain) })
	life:
		for range 60 {
			for _, instance := range []string{"", "acme"} {
				b.survive(func() { require.NoError(t, b.runner.Tick(t.Context(), instance)) })
			}
			rec, ok, err := b.state.Action(t.Context(), "c1")
			require.NoError(t, err)
			switch {
			case !ok:
				b.survive(func() { b.submit(1, contain) })
			case rec.State == string(govern.Awaiting):
				b.survive(func() { _ = b.approve(2, "c1") })
			case !rec.Open:
				break life
			}
			b.clock.Advance(time.Second)
		}
		require.Equal(t, govern.Verified, b.get("c1").State, "killed at %d: %s", dieAt, b.get("c1").Note)
		require.Equal(t, map[string]int{"half u1": 1, "whole u1": 1, "half u2": 1, "whole u2": 1, "signout u1": 1, "signout u2": 1}, b.vendor.writes, "killed at %d", dieAt)
		b.audited("")
		return b.commits
	}
	commits := run(0)
	for i := 1; i <= commits; i++ {
		run(i - 2*i*(i%2)) // before it is durable, or after: what is between two is Weir's own
	}
}
