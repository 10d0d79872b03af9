package okta_test

import (
	"context"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/agent"
	"weir/agent/govern"
	"weir/configs"
	"weir/internal/rowtest"
	"weir/internal/sourcetest"
	"weir/pipeline"
	"weir/schemas"
	"weir/sources"
)

// What Weir does by its journal raises no alert. The same done with its
// credentials beside the journal does, once, and nothing is carried out until a
// person says so.
func TestShadowAction(t *testing.T) {
	t.Parallel()
	f := fixture()
	f.Config += "\ngovernance: {allow: [suspend_user], approvals: 0, max_share: 0, watch: 0s}\nstreams: {activities: {every: 30s}, accounts: {enabled: false}, groups: {enabled: false}, privileges: {enabled: false}, apps: {enabled: false}, app_grants: {enabled: false}}"
	site := f.NewSite(t, sourcetest.SiteOptions{People: 20, Speed: 60})
	config := site.Config()
	config.Governance.Principals = []configs.Principal{{Name: "ops", UID: strconv.Itoa(os.Getuid()), May: []string{"request", "approve"}}}
	dir := config.Agent.DataDir
	start := func() (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- site.Run(ctx, config, false) }()
		return func() {
			cancel()
			require.NoError(t, <-ended)
		}
	}
	tell := func(what string, body any) {
		t.Helper()
		require.Eventually(t, func() bool {
			_, err := agent.TellActions(t.Context(), dir, what, body)
			return err == nil
		}, time.Minute, 10*time.Millisecond)
	}
	stop := start()
	tell("resume", agent.GovernReason{Reason: "begin"})
	st, err := pipeline.ReadState(t.Context(), dir)
	require.NoError(t, err)
	defer st.Close()
	people := plainAccounts(site.Truth())
	state := func(id string) string {
		a, _, err := st.Action(t.Context(), id)
		require.NoError(t, err)
		return a.State
	}
	submit := func(id string, who int) {
		tell("submit", schemas.ActionRow{ID: id, Instance: site.Instance(), Action: "suspend_user", TargetKind: "account", TargetID: people[who].ID, Reason: "drill"})
	}
	halted := func() string {
		watches, err := st.OwnWatches(t.Context())
		require.NoError(t, err)
		require.False(t, watches[site.Instance()].Since.IsZero())
		return watches[site.Instance()].Halted
	}
	settled := func() bool {
		own, err := st.OwnWrites(t.Context(), site.Instance(), 10)
		require.NoError(t, err)
		return len(own) == 0
	}
	collected := func() int { // suspensions whose record is on its way to the lake
		n := 0
		for _, row := range site.Log("lake", schemas.TableActivities) {
			if row["action"] == "user.lifecycle.suspend" {
				n++
			}
		}
		return n
	}

	submit("s1", 0)
	require.Eventually(t, func() bool { return state("s1") == string(govern.Verified) }, time.Minute, 20*time.Millisecond)
	before := collected()
	require.Eventually(t, func() bool { return collected() > before && settled() }, 3*time.Minute, 100*time.Millisecond, "the record of it is collected")
	require.Empty(t, halted(), "an action of the journal explains it")

	session := site.Session().(sources.Governor)
	p, err := session.Plan(t.Context(), sources.ActionRequest{ID: "x", Action: sources.SuspendUser, Kind: sources.TargetAccount, Target: people[1].ID})
	require.NoError(t, err)
	for _, s := range p.Steps {
		_, err := session.Do(t.Context(), s)
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return halted() != "" }, time.Minute, 20*time.Millisecond)
	require.Contains(t, halted(), "user.lifecycle.suspend")

	submit("s2", 2)
	stop() // it is known after a restart, too
	stop = start()
	require.Never(t, func() bool { return state("s2") == string(govern.Verified) }, time.Second, 100*time.Millisecond, "nothing is carried out")
	tell("resume", agent.GovernReason{Reason: "it was a test"})
	require.Eventually(t, func() bool { return state("s2") == string(govern.Verified) }, time.Minute, 20*time.Millisecond)
	require.Empty(t, halted())
	stop()

	alerts := slices.DeleteFunc(site.Log("lake", schemas.TableActivities), func(r rowtest.Row) bool { return r["action"] != govern.ShadowAction })
	require.Len(t, alerts, 1)
	require.Equal(t, "alert", alerts[0]["kind"])
	require.Equal(t, people[1].ID, alerts[0]["target_id"])
	require.Contains(t, alerts[0]["reason"], "user.lifecycle.suspend")
}
