package googleworkspace_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/agent/govern"
	"weir/configs"
	"weir/internal/sourcetest"
	"weir/pipeline"
	"weir/schemas"
	"weir/sources"
	"weir/sources/googleworkspace"
)

// A person is contained by an alias, and released: what was granted ends before
// the account is suspended, of which the vendor then tells no more.
func TestContain(t *testing.T) {
	t.Parallel()
	f := fixture()
	f.Config += "\ngovernance: {allow: [suspend_user, sign_out_user, revoke_grant], max_share: 0, cool_down: 1s, watch: 1h}"
	site := f.NewSite(t, sourcetest.SiteOptions{People: 40})
	session := site.Session().(sources.Governor)
	clock := clockwork.NewFakeClockAt(site.Clock.Now())
	config := site.Config()
	config.Governance.Principals = []configs.Principal{{Name: "alice", UID: "1", May: []string{"request"}}, {Name: "bob", UID: "2", May: []string{"approve"}}}
	state, err := pipeline.OpenState(t.Context(), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() { _ = state.Close() })
	runner, err := govern.New(t.Context(), govern.Options{
		Config: config, Clock: clock, Log: slog.New(slog.DiscardHandler), Store: state,
		Commit: func(ctx context.Context, _, _ string, _ []schemas.ActionLogRow, apply func(pipeline.Tx) error) error {
			return state.Update(ctx, apply)
		},
		Open: func(context.Context, string) (govern.Session, error) {
			return govern.Session{Governor: session, Connector: googleworkspace.Connector}, nil
		},
	})
	require.NoError(t, err)
	alice, bob := runner.Socket(1), runner.Socket(2)
	require.NoError(t, runner.Resume(t.Context(), bob, "begin"))
	get := func(id string) *govern.Action {
		rec, ok, err := state.Action(t.Context(), id)
		require.NoError(t, err)
		require.True(t, ok)
		a, err := govern.Read(rec)
		require.NoError(t, err)
		return a
	}
	carryOut := func(row schemas.ActionRow) *govern.Action {
		row.ReceivedAt = schemas.Time(clock.Now().UnixMilli())
		_, err := runner.Submit(t.Context(), row, alice)
		require.NoError(t, err)
		for range 1000 {
			for _, instance := range []string{"", site.Instance()} {
				require.NoError(t, runner.Tick(t.Context(), instance))
			}
			a := get(row.ID)
			if a.State == govern.Awaiting {
				_, err = runner.Decide(t.Context(), schemas.ApprovalRow{ActionID: row.ID, RequestHash: a.RequestHash, PlanHash: a.PlanHash, Decision: "approve"}, bob)
				require.NoError(t, err)
			}
			if a.Done {
				return a
			}
			clock.Advance(5 * time.Second)
			site.Clock.Skip(5 * time.Second)
		}
		t.Fatalf("%s does not end: %s", row.ID, get(row.ID).Note)
		return nil
	}

	truth := site.Truth()
	who, address := "", ""
	for _, g := range granters(truth) {
		for i := range truth.Accounts {
			if a := &truth.Accounts[i]; a.AccountID == g.ID && a.Status == "active" && !a.IsAdmin.Value && len(a.Emails) > 2 && who == "" {
				who, address = a.AccountID, a.Emails[1] // the last is one of Google's own
			}
		}
	}
	require.NotEmpty(t, who, "nobody with an alias has granted anything")
	a := carryOut(schemas.ActionRow{ID: "c1", Action: "contain_user", TargetKind: "person", TargetID: strings.ToUpper(address[:1]) + address[1:], Reason: "phished"})
	require.Equal(t, govern.Verified, a.State, a.Note)
	require.Len(t, a.Parts, 3)
	for i, word := range []sources.Action{sources.RevokeGrant, sources.SuspendUser, sources.SignOutUser} {
		require.Equal(t, word, get(a.Parts[i]).Request.Action)
	}
	require.True(t, statusIs("suspended")(site.Truth(), actionTarget{ID: who}))

	for range 60 { // what cannot be seen of a suspended account is not taken for reverted
		require.NoError(t, runner.Tick(t.Context(), site.Instance()))
		clock.Advance(time.Minute)
		site.Clock.Skip(time.Minute)
	}
	require.Equal(t, govern.Verified, get(a.Parts[0]).State, get(a.Parts[0]).Note)

	r := carryOut(schemas.ActionRow{ID: "r1", Action: "release_user", TargetKind: "action", TargetID: "c1", Reason: "cleaned"})
	require.Equal(t, govern.Verified, r.State, r.Note)
	require.True(t, statusIs("active")(site.Truth(), actionTarget{ID: who}))
	require.True(t, noGrants(site.Truth(), actionTarget{ID: who}), "what was granted needs its person to come back")
}
