package okta_test

import (
	"context"
	"log/slog"
	"slices"
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

// bench is governance over one instance of a sandbox.
type bench struct {
	t          *testing.T
	site       *sourcetest.Site
	session    sources.Governor
	state      pipeline.State
	clock      *clockwork.FakeClock
	runner     *govern.Runner
	alice, bob govern.Caller
}

func newBench(t *testing.T, allow string) *bench {
	f := fixture()
	f.Config += "\ngovernance: {allow: [" + allow + "], max_share: 0, cool_down: 1s}"
	b := &bench{t: t, site: f.NewSite(t, sourcetest.SiteOptions{People: 20})}
	config := b.site.Config()
	config.Governance.Principals = []configs.Principal{
		{Name: "alice", UID: "1", May: []string{"request"}},
		{Name: "bob", UID: "2", May: []string{"approve"}},
	}
	var err error
	b.state, err = pipeline.OpenState(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = b.state.Close() })
	b.session = b.site.Session().(sources.Governor)
	b.clock = clockwork.NewFakeClockAt(b.site.Clock.Now())
	b.runner, err = govern.New(t.Context(), govern.Options{
		Config: config, Clock: b.clock, Log: slog.New(slog.DiscardHandler), Store: b.state,
		Commit: func(ctx context.Context, _, _ string, _ []schemas.ActionLogRow, apply func(pipeline.Tx) error) error {
			return b.state.Update(ctx, apply)
		},
		Open: func(context.Context, string) (govern.Session, error) {
			return govern.Session{Governor: b.session, Connector: okta.Connector}, nil
		},
	})
	require.NoError(t, err)
	b.alice, b.bob = b.runner.Socket(1), b.runner.Socket(2)
	require.NoError(t, b.runner.Resume(t.Context(), b.bob, "begin"))
	return b
}

// carryOut has alice ask for an action and bob approve it, until it is final.
func (b *bench) carryOut(row schemas.ActionRow) *govern.Action {
	b.t.Helper()
	t := b.t
	row.ReceivedAt = schemas.Time(b.clock.Now().UnixMilli())
	_, err := b.runner.Submit(t.Context(), row, b.alice)
	require.NoError(t, err)
	var a *govern.Action
	for range 600 {
		for _, instance := range []string{"", b.site.Instance()} {
			require.NoError(t, b.runner.Tick(t.Context(), instance))
		}
		rec, ok, err := b.state.Action(t.Context(), row.ID)
		require.NoError(t, err)
		require.True(t, ok)
		a, err = govern.Read(rec)
		require.NoError(t, err)
		if a.State == govern.Awaiting {
			d := schemas.ApprovalRow{ActionID: row.ID, RequestHash: a.RequestHash, PlanHash: a.PlanHash, Decision: "approve"}
			_, err = b.runner.Decide(t.Context(), d, b.alice)
			require.Error(t, err, "nobody approves what they asked for")
			_, err = b.runner.Decide(t.Context(), d, b.bob)
			require.NoError(t, err)
		}
		if a.Done {
			break
		}
		b.clock.Advance(time.Second)
	}
	t.Log(row.ID, a.State, a.Note)
	return a
}

// TestGoverned has an account suspended and let in again through governance:
// asked for by one, approved by another, verified at the vendor.
func TestGoverned(t *testing.T) {
	t.Parallel()
	b := newBench(t, "suspend_user")
	site, session := b.site, b.session
	carryOut := func(row schemas.ActionRow) govern.State {
		t.Helper()
		row.Instance = site.Instance()
		return b.carryOut(row).State
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

// TestContained has a person contained by their address and released: the
// account is found, suspended, signed out, and let in again.
func TestContained(t *testing.T) {
	t.Parallel()
	b := newBench(t, "suspend_user, sign_out_user, revoke_grant")
	truth := b.site.Truth()
	plain := plainAccounts(truth)
	w := slices.IndexFunc(plain, func(t actionTarget) bool { // who has refresh tokens, which signing out ends
		return slices.ContainsFunc(truth.AppGrants, func(g schemas.AppGrant) bool { return g.Kind == "token" && g.PrincipalID == t.ID })
	})
	require.GreaterOrEqual(t, w, 0)
	who := plain[w]
	i := slices.IndexFunc(truth.Accounts, func(a schemas.Account) bool { return a.AccountID == who.ID })
	login := truth.Accounts[i].Login
	a := b.carryOut(schemas.ActionRow{ID: "c1", Action: "contain_user", TargetKind: "person", TargetID: login, Reason: "phished"})
	require.Contains(t, []govern.State{govern.Verified, govern.Succeeded}, a.State, a.Note)
	require.Len(t, a.Parts, 3)
	require.True(t, statusIs("suspended")(b.site.Truth(), who))
	a = b.carryOut(schemas.ActionRow{ID: "r1", Action: "release_user", TargetKind: "action", TargetID: "c1", Reason: "cleaned"})
	require.Equal(t, govern.Verified, a.State, a.Note)
	require.True(t, statusIs("active")(b.site.Truth(), who))
	a = b.carryOut(schemas.ActionRow{ID: "c2", Action: "contain_user", TargetKind: "person", TargetID: "nobody@example.com", Reason: "r"})
	require.Equal(t, govern.Rejected, a.State)
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
