package okta_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/agent"
	"weir/agent/govern"
	"weir/configs"
	"weir/internal/sourcetest"
	"weir/pipeline"
	"weir/schemas"
)

var aUser = regexp.MustCompile(`/api/v1/users/[^/?]+`)

// Actions queued by the thousand are carried out at the vendor's quota, and
// what is collected meanwhile is on time. WEIR_DRAIN is how many.
func TestQueueDrains(t *testing.T) {
	sourcetest.NotUnderRace(t)
	n, speed := 60, 5 // so that a busy machine keeps up
	if v := os.Getenv("WEIR_DRAIN"); v != "" {
		var err error
		n, err = strconv.Atoi(v)
		require.NoError(t, err)
		speed = 10
	} else {
		t.Parallel()
	}
	const logEvery, scanEvery = time.Minute, 10 * time.Minute
	f := fixture()
	f.Config += fmt.Sprintf("\ngovernance: {allow: [suspend_user, unsuspend_user], approvals: 0, max_per_hour: 1000000, max_per_day: 1000000, max_share: 0, cool_down: 1ms, watch: 0s}\n"+
		"streams: {activities: {every: %s}, accounts: {every: %s}, groups: {enabled: false}, privileges: {enabled: false}, apps: {enabled: false}, app_grants: {enabled: false}}", logEvery, scanEvery)
	site := f.NewSite(t, sourcetest.SiteOptions{People: 500, Speed: speed})
	config := site.Config()
	g := &config.Governance
	g.MaxPerHour, g.MaxPerDay, g.MaxPerRequester, g.MaxPending, g.MaxAge = 1_000_000, 1_000_000, 1_000_000, 1_000_000, 30*24*time.Hour
	g.Principals = []configs.Principal{{Name: "ops", UID: strconv.Itoa(os.Getuid()), May: []string{"request", "approve"}}}
	dir := config.Agent.DataDir

	var mu sync.Mutex
	var logs, scans []time.Time
	users := map[int64]int{} // requests on one user, by minute
	site.Wrap(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			now := site.Clock.Now()
			mu.Lock()
			switch {
			case strings.HasSuffix(r.URL.Path, "/api/v1/logs"):
				logs = append(logs, now)
			case strings.HasSuffix(r.URL.Path, "/api/v1/users") && !r.URL.Query().Has("after"):
				scans = append(scans, now)
			case aUser.MatchString(r.URL.Path):
				users[now.Unix()/60]++
			}
			mu.Unlock()
			h.ServeHTTP(w, r)
		})
	})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- site.Run(ctx, config, false) }()
	tell := func(what string, body any) {
		t.Helper()
		require.Eventually(t, func() bool {
			_, err := agent.TellActions(ctx, dir, what, body)
			return err == nil
		}, time.Minute, 10*time.Millisecond)
	}
	truth := site.Truth()
	people := plainAccounts(truth)
	before := len(truth.Activities)
	for i := range n {
		what := []string{"suspend_user", "unsuspend_user"}[i/len(people)%2]
		tell("submit", schemas.ActionRow{
			ID: fmt.Sprintf("d-%d", i), Instance: site.Instance(), Action: what, TargetKind: "account", TargetID: people[i%len(people)].ID, Reason: "drill",
		})
	}
	began := site.Clock.Now()
	tell("resume", agent.GovernReason{Reason: "begin"})

	st, err := pipeline.ReadState(t.Context(), dir)
	require.NoError(t, err)
	defer st.Close()
	require.Eventually(t, func() bool {
		open, err := st.Actions(t.Context(), true, 1)
		require.NoError(t, err)
		return len(open) == 0
	}, 30*time.Minute, 200*time.Millisecond)
	took := site.Clock.Since(began)
	verified := 0
	records, err := st.Actions(t.Context(), false, n+1)
	require.NoError(t, err)
	for _, r := range records {
		if r.State == string(govern.Verified) {
			verified++
			continue
		}
		// People go on living: of one whose password has expired meanwhile, it is
		// right to say so.
		var a govern.Action
		require.NoError(t, json.Unmarshal(r.Data, &a))
		require.Equal(t, string(govern.Failed), r.State, a.Note)
		require.Regexp(t, "the user's status is [A-Z_]+: (un)?suspend needs", a.Note)
	}
	stop()
	require.NoError(t, <-ended)
	require.Len(t, records, n)
	require.GreaterOrEqual(t, verified, n*95/100)
	require.Empty(t, site.Sandbox.Violations())

	most := 0
	for _, n := range users {
		most = max(most, n)
	}
	t.Logf("%d actions, %d verified, in %s of the vendor's time: %.0f a minute; %d requests on users in the busiest minute; the log was polled every %s at most, accounts were listed %d times",
		n, verified, took.Round(time.Second), float64(n)/took.Minutes(), most, gap(logs, began, began.Add(took)).Round(time.Second), len(scans))
	require.LessOrEqual(t, gap(logs, began, began.Add(took)), 2*logEvery+10*time.Second, "the log waits for actions")
	require.LessOrEqual(t, gap(scans, began, began.Add(took)), 2*scanEvery, "accounts wait for actions")

	site.Once() // what is left to be delivered
	require.GreaterOrEqual(t, len(site.Truth().Activities)-before, verified)
	require.Len(t, site.Log("lake", schemas.TableActivities), len(site.Truth().Activities), "the vendor's record of each action is collected")
}

// gap is the longest time without any of some moments.
func gap(moments []time.Time, from, to time.Time) (longest time.Duration) {
	slices.SortFunc(moments, time.Time.Compare)
	last := from
	for _, m := range append(moments, to) {
		if m.After(from) && !m.After(to) {
			longest = max(longest, m.Sub(last))
			last = m
		}
	}
	return longest
}
