package okta_test

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/agent/govern"
	"weir/configs"
	"weir/internal/fault"
	"weir/internal/sandbox"
	sandboxokta "weir/internal/sandbox/okta"
	"weir/internal/sandbox/org"
	"weir/internal/sourcetest"
	"weir/pipeline"
	"weir/schemas"
	"weir/sources"
	"weir/sources/okta"
)

// TestGoverned has an account suspended and let in again through governance:
// asked for by one, approved by another, verified at the vendor.
func TestGoverned(t *testing.T) {
	t.Parallel()
	f := fixture()
	f.Config += "\ngovernance: {allow: [suspend_user], max_share: 0, cool_down: 1s}"
	site := f.NewSite(t, sourcetest.SiteOptions{People: 20})
	config := site.Config()
	config.Governance.Principals = []configs.Principal{
		{Name: "alice", UID: "1", May: []string{"request"}},
		{Name: "bob", UID: "2", May: []string{"approve"}},
	}
	state, err := pipeline.OpenState(t.Context(), t.TempDir())
	require.NoError(t, err)
	defer state.Close()
	session := site.Session().(sources.Governor)
	clock := clockwork.NewFakeClockAt(site.Clock.Now())
	runner, err := govern.New(t.Context(), govern.Options{
		Config: config, Clock: clock, Log: slog.New(slog.DiscardHandler), Store: state,
		Commit: func(ctx context.Context, _, _ string, _ []schemas.ActionLogRow, apply func(pipeline.Tx) error) error {
			return state.Update(ctx, apply)
		},
		Open: func(context.Context, string) (govern.Session, error) {
			return govern.Session{Governor: session, Connector: okta.Connector}, nil
		},
	})
	require.NoError(t, err)
	alice, bob := runner.Socket(1), runner.Socket(2)
	require.NoError(t, runner.Resume(t.Context(), bob, "begin"))

	carryOut := func(row schemas.ActionRow) govern.State {
		t.Helper()
		row.Instance, row.ReceivedAt = site.Instance(), schemas.Time(clock.Now().UnixMilli())
		_, err := runner.Submit(t.Context(), row, alice)
		require.NoError(t, err)
		var a *govern.Action
		for range 600 {
			require.NoError(t, runner.Tick(t.Context(), site.Instance()))
			rec, ok, err := state.Action(t.Context(), row.ID)
			require.NoError(t, err)
			require.True(t, ok)
			a, err = govern.Read(rec)
			require.NoError(t, err)
			if a.State == govern.Awaiting {
				d := schemas.ApprovalRow{ActionID: row.ID, RequestHash: a.RequestHash, PlanHash: a.PlanHash, Decision: "approve"}
				_, err = runner.Decide(t.Context(), d, alice)
				require.Error(t, err, "nobody approves what they asked for")
				_, err = runner.Decide(t.Context(), d, bob)
				require.NoError(t, err)
			}
			if a.Done {
				break
			}
			clock.Advance(time.Second)
		}
		t.Log(row.ID, a.State, a.Note)
		return a.State
	}
	who := plainAccounts(site.Truth())[0]
	require.Equal(t, govern.Verified, carryOut(schemas.ActionRow{ID: "s1", Action: "suspend_user", TargetKind: "account", TargetID: who.ID, Reason: "left the firm"}))
	require.True(t, statusIs("suspended")(site.Truth(), who))
	require.Equal(t, govern.Verified, carryOut(schemas.ActionRow{ID: "s2", Action: govern.UndoAction, TargetKind: "action", TargetID: "s1", Reason: "wrong person"}))
	require.True(t, statusIs("active")(site.Truth(), who))

	// The agent's own account, and the organization's last administrator, never.
	own, err := session.Identity(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, own.ID)
	n := 0
	for _, a := range site.Truth().Accounts {
		r := sources.ActionRequest{ID: "x", Action: sources.SuspendUser, Kind: sources.TargetAccount, Target: a.AccountID}
		if p, err := session.Plan(t.Context(), r); err == nil && p.Target.Self {
			n++
			require.Equal(t, govern.Rejected, carryOut(schemas.ActionRow{ID: "own-" + strconv.Itoa(n), Action: "suspend_user", TargetKind: "account", TargetID: a.AccountID, Reason: "r"}))
		}
	}
	require.Equal(t, 1, n, "one account is the agent's")
}

// TestLastAdmin tells the only super administrator from one of several, and an
// administrator from anybody else.
func TestLastAdmin(t *testing.T) {
	t.Parallel()
	f := fixture()
	site := f.NewSite(t, sourcetest.SiteOptions{People: 20})
	session := site.Session().(sources.Governor)
	plan := func(n int) *sources.Plan {
		t.Helper()
		id := site.Truth().Accounts[n].AccountID
		p, err := session.Plan(t.Context(), sources.ActionRequest{ID: "x", Action: sources.SuspendUser, Kind: sources.TargetAccount, Target: id})
		require.NoError(t, err)
		return p
	}
	var admins []int
	act := func(s *org.State) *org.Act { return &org.Act{At: s.Now, Client: &org.Client{}} }
	site.Tenant.World.Change(func(s *org.State) {
		for _, r := range s.Roles[org.Okta] {
			if r.Gone.IsZero() && r.Role == superAdmin && r.Holder.Kind == org.AccountRef && r.Holder.N != 0 {
				s.RevokeRole(org.Okta, act(s), r)
			}
		}
	})
	p := plan(0)
	require.True(t, p.Target.LastAdmin)
	require.True(t, p.Target.Privileged)
	require.Contains(t, p.Target.Roles, superAdmin)
	require.Contains(t, p.Target.Groups, "Everyone")
	require.NotEmpty(t, p.Target.Emails)
	site.Tenant.World.Change(func(s *org.State) {
		for _, a := range s.Accounts[org.Okta][1:] {
			if a.Status == org.Active && a.Gone.IsZero() {
				s.GrantRole(org.Okta, act(s), org.Ref{Kind: org.AccountRef, N: a.N}, superAdmin, -1)
				admins = append(admins, a.N)
				return
			}
		}
	})
	require.NotEmpty(t, admins)
	require.False(t, plan(0).Target.LastAdmin, "there is another")
}

const superAdmin = "SUPER_ADMIN"

// TestActionScopes has a service app do what its scopes allow, and nothing to
// itself.
func TestActionScopes(t *testing.T) {
	t.Parallel()
	f := fixture()
	f.Settings = asService(sandboxokta.Client{Scopes: append([]string{"okta.users.manage"}, allScopes...)})
	site := f.NewSite(t, sourcetest.SiteOptions{People: 20})
	target := plainAccounts(site.Truth())[0]
	suspend := sources.ActionRequest{ID: "x", Action: sources.SuspendUser, Kind: sources.TargetAccount, Target: target.ID}

	reader := site.Session().(sources.Governor) // without auth.manage
	_, err := reader.Plan(t.Context(), suspend)
	require.Equal(t, fault.Forbidden, fault.Of(err), "%v", err)
	require.ErrorContains(t, err, "okta.users.manage")
	require.Equal(t, fault.Forbidden, fault.Of(reader.Probe(t.Context(), "actions/suspend_user")))

	settings := f.Settings
	f.Settings = func(t testing.TB, tenant *sandbox.Tenant) string {
		return strings.Replace(settings(t, tenant), "auth: {", "auth: {manage: true, ", 1)
	}
	site = f.NewSite(t, sourcetest.SiteOptions{People: 20})
	session := site.Session().(sources.Governor)
	p, err := session.Plan(t.Context(), suspend)
	require.NoError(t, err)
	_, err = session.Do(t.Context(), p.Steps[0])
	require.NoError(t, err)
	require.True(t, statusIs("suspended")(site.Truth(), target))
	require.NoError(t, session.Probe(t.Context(), "actions/suspend_user"))
	err = session.Probe(t.Context(), "actions/revoke_key")
	require.Equal(t, fault.Forbidden, fault.Of(err), "%v", err)
	require.ErrorContains(t, err, "okta.apiTokens.manage")
	require.Error(t, session.Probe(t.Context(), "actions/none"))
}
