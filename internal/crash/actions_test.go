//go:build failpoint

package crash

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/agent"
	"weir/agent/govern"
	"weir/internal/clickhousetest"
	"weir/internal/failpoint"
	"weir/internal/rowtest"
	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/pipeline"
	"weir/schemas"
	"weir/sources"
)

// faultyWrites is what the vendor does while Weir changes something: writes get
// no answer, or an error; so do reads.
const faultyWrites = `
faults:
  - {kind: lost, method: POST, endpoint: "/**", share: 0.05}
  - {kind: drop, method: POST, endpoint: "/**", share: 0.05}
  - {kind: status, method: POST, status: 503, endpoint: "/**", share: 0.03}
  - {kind: storm, status: 429, share: 0.002, for: 3s}
  - {kind: status, status: 502, share: 0.004}
  - {kind: truncate, length: wrong, share: 0.004}
`

// durable are the steps of the state and the spool that an action meets too.
var durable = []string{
	failpoint.SpoolWrite, failpoint.SpoolSync, failpoint.SpoolRename, failpoint.StateCommit, failpoint.StateDone, failpoint.StateOpen,
	failpoint.PartPlan, failpoint.PartWrite, failpoint.PartRename, failpoint.PartAck,
}

// effects are the actions tried, with the event that each effect leaves in the
// vendor's log, and the action that takes it back.
var effects = map[sources.Action]struct {
	event string
	back  sources.Action
}{
	sources.SuspendUser:   {"user.lifecycle.suspend", sources.UnsuspendUser},
	sources.UnsuspendUser: {"user.lifecycle.unsuspend", sources.SuspendUser},
	sources.SignOutUser:   {"user.session.clear", sources.SignOutUser},
}

// actionRounds drives crash rounds of governance.
type actionRounds struct {
	*site
	points  []string
	tallies map[string]*tally
	people  []string                  // accounts acted on
	last    map[string]sources.Action // asked for, by account
	asked   []schemas.ActionRow       // in order
	unheard []schemas.ActionRow       // those of which the agent has not said that it has them
	before  map[string]int            // effects in the vendor's log, before all
	anytime int
	done    int
}

func newActionRounds(t *testing.T, seed uint64) *actionRounds {
	s := newSite(t, siteOptions{scenario: faultyWrites, seed: seed, speed: 120, people: 40, history: time.Hour})
	s.tenants = slices.DeleteFunc(s.tenants, func(t *sandbox.Tenant) bool { return t.App != org.Okta })
	s.world.Freeze() // whatever happens is Weir's doing
	s.sections = fmt.Sprintf("governance:\n  max_per_hour: 1000000\n  max_per_day: 1000000\n  max_per_requester: 1000000\n  max_age: 30d\n  anchors: [%q]\n  principals:\n    ops: {uid: \"%d\", may: [request, approve]}\n",
		filepath.Join(s.dir, "anchor"), os.Getuid())
	s.instances = map[string]string{org.Okta: onlyLog + "governance: {allow: [suspend_user, unsuspend_user, sign_out_user], approvals: 0, max_per_hour: 1000000, max_per_day: 1000000, max_share: 0, cool_down: 1ms, watch: 0s}\n"}
	r := &actionRounds{site: s, points: slices.Concat(failpoint.OfActions(), durable), tallies: map[string]*tally{}, last: map[string]sources.Action{}}
	for _, p := range r.points {
		r.tallies[p] = &tally{}
	}
	r.people = plainPeople(s, 12)
	r.before = r.effects()
	return r
}

// onlyLog leaves the System Log alone.
const onlyLog = "streams: {accounts: {enabled: false}, groups: {enabled: false}, privileges: {enabled: false}, apps: {enabled: false}, app_grants: {enabled: false}}\n"

// effects counts what took effect at the vendor, by account and action.
func (r *actionRounds) effects() map[string]int {
	n := map[string]int{}
	for _, a := range r.sandbox.Truth(r.tenants[0]).Activities {
		for action, e := range effects {
			if a.Action == e.event && a.Outcome == "success" {
				n[a.TargetID+" "+string(action)]++
			}
		}
	}
	return n
}

// ask asks for some actions more, and again for those of which nothing was
// heard, until the agent is gone.
func (r *actionRounds) ask(n int, gone <-chan struct{}) {
	for range n {
		who := r.people[r.rand.IntN(len(r.people))]
		what := sources.SignOutUser
		if r.rand.IntN(4) > 0 {
			if what = sources.SuspendUser; r.last[who] == sources.SuspendUser {
				what = sources.UnsuspendUser
			}
			r.last[who] = what
		}
		row := schemas.ActionRow{
			ID: fmt.Sprintf("a-%d", len(r.asked)), Instance: r.tenants[0].Instance(), Action: string(what), TargetKind: string(sources.TargetAccount), TargetID: who, Reason: "crash rounds",
		}
		r.asked, r.unheard = append(r.asked, row), append(r.unheard, row)
	}
	for len(r.unheard) > 0 {
		_, err := agent.TellActions(r.t.Context(), r.data(), "submit", r.unheard[0])
		if err == nil {
			r.unheard = r.unheard[1:]
			continue
		}
		select {
		case <-gone:
			return
		case <-time.After(10 * time.Millisecond): // its socket is not there yet
		}
	}
}

// Requests inserted into ClickHouse are carried out and verified within seconds.
func TestActionLatency(t *testing.T) {
	s := newSite(t, siteOptions{scenario: "doc: nothing fails\n", seed: 11, speed: 1, people: 60, history: time.Hour, clickhouse: clickhousetest.Start(t), database: "actions"})
	s.tenants = slices.DeleteFunc(s.tenants, func(t *sandbox.Tenant) bool { return t.App != org.Okta })
	s.world.Freeze()
	s.clickhouse.Query(t, "CREATE DATABASE actions")
	for _, table := range schemas.ControlTables() {
		s.clickhouse.Query(t, table.ClickHouseDDL("actions"))
	}
	s.skip(time.Since(start)) // ClickHouse tells when a request came, by its own clock
	s.sections = fmt.Sprintf("governance:\n  control: warehouse\n  poll: 1s\n  principals:\n    soar: {db_user: default, uid: \"%d\", may: [request, approve]}\n", os.Getuid())
	s.instances = map[string]string{org.Okta: onlyLog + "governance: {allow: [suspend_user], approvals: 0, max_share: 0, max_per_hour: 1000}\n"}
	log, stop := s.agent(false)
	require.Eventually(t, func() bool {
		_, err := agent.TellActions(t.Context(), s.data(), "resume", agent.GovernReason{Reason: "begin"})
		return err == nil
	}, time.Minute, 10*time.Millisecond, log.tail)
	var took []time.Duration
	for i, who := range plainPeople(s, 12) {
		id := fmt.Sprintf("l-%d", i)
		began := time.Now()
		s.clickhouse.Query(t, fmt.Sprintf("INSERT INTO actions.actions (id, instance, action, target_kind, target_id, reason) VALUES ('%s', '%s', 'suspend_user', 'account', '%s', 'drill')", id, s.tenants[0].Instance(), who))
		require.Eventually(t, func() bool {
			return s.clickhouse.Query(t, fmt.Sprintf("SELECT count() FROM actions.action_log WHERE action_id = '%s' AND event = 'verified'", id)) == "1"
		}, time.Minute, 50*time.Millisecond, log.tail)
		took = append(took, time.Since(began))
	}
	require.NoError(t, stop(), log.tail())
	slices.Sort(took)
	t.Logf("%d actions, from INSERT to when the log in ClickHouse has them verified: p50 %s, most %s", len(took), took[len(took)/2].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	require.Less(t, took[len(took)/2], 5*time.Second)
}

// plainPeople are some accounts of people who administer nothing.
func plainPeople(s *site, most int) (out []string) {
	for _, a := range s.sandbox.Truth(s.tenants[0]).Accounts {
		if a.Status == "active" && a.Kind == "human" && !a.IsAdmin.Value && len(out) < most {
			out = append(out, a.AccountID)
		}
	}
	require.NotEmpty(s.t, out)
	return out
}

// resume lets governance begin: with a new state it is paused.
func (r *actionRounds) resume() {
	r.t.Helper()
	ended := make(chan outcome, 1)
	go func() { ended <- r.child(order{Do: "run"}, "", 3*time.Second) }()
	for {
		_, err := agent.TellActions(r.t.Context(), r.data(), "resume", agent.GovernReason{Reason: "begin"})
		if err == nil {
			<-ended
			return
		}
		select {
		case out := <-ended:
			r.t.Fatalf("the agent was not there to resume: %v\n%s", err, out.log)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// round has the agent killed at a point, or whenever it is, while it carries
// out what it is asked for.
func (r *actionRounds) round() {
	r.t.Helper()
	r.done++
	point := slices.MinFunc(r.points, func(a, b string) int {
		return cmp.Compare(r.tallies[a].killed+r.tallies[a].missed/3, r.tallies[b].killed+r.tallies[b].missed/3)
	})
	effect, hit := "kill", 1+min(int(r.rand.ExpFloat64()*4), 20)
	if slices.Contains(oncely, point) {
		hit = 1
	}
	if r.rand.IntN(8) == 0 && r.tallies[point].killed > 0 {
		effect = []string{"error", "full"}[r.rand.IntN(2)]
	}
	out := r.live(fmt.Sprintf("%s=%s@%d", point, effect, hit), 1+r.rand.IntN(3), time.Duration(500+r.rand.IntN(2000))*time.Millisecond)
	switch t := r.tallies[point]; {
	case out.killed:
		t.killed++
	case strings.Contains(out.log, "failpoint "+point):
		t.failed++
	default:
		t.missed++
		r.anytime++ // it was killed when its time was up
	}
	require.NotContains(r.t, out.log, "panic", "round %d, %s", r.done, point)
}

// live runs the agent for so long, or until it dies, and asks for n actions.
func (r *actionRounds) live(rule string, n int, limit time.Duration) outcome {
	ended, gone := make(chan outcome, 1), make(chan struct{})
	go func() {
		defer close(gone)
		ended <- r.child(order{Do: "run"}, rule, limit)
	}()
	r.ask(n, gone)
	return <-ended
}

// settle has all that was asked for come to its end.
func (r *actionRounds) settle() []*govern.Action {
	r.t.Helper()
	var out outcome
	var open []pipeline.ActionRecord
	for i := range 20 {
		out = r.live("", 0, time.Duration(3+i)*time.Second) // a busy machine takes longer
		st, err := pipeline.ReadState(r.t.Context(), r.data())
		require.NoError(r.t, err)
		records, err := st.Actions(r.t.Context(), false, len(r.asked)+1)
		require.NoError(r.t, err)
		require.NoError(r.t, st.Close())
		open = slices.DeleteFunc(slices.Clone(records), func(a pipeline.ActionRecord) bool { return !a.Open })
		if len(open)+len(r.unheard) > 0 {
			continue
		}
		require.NoError(r.t, r.child(order{Do: "once"}, "", time.Minute).err)
		var all []*govern.Action
		for _, rec := range records {
			a, err := govern.Read(rec)
			require.NoError(r.t, err)
			all = append(all, a)
		}
		return all
	}
	for _, rec := range open {
		r.t.Logf("%s %s %s due %s, now %s: %s", rec.ID, rec.Action, rec.State, rec.Due, r.clock.Now(), rec.Data)
	}
	r.t.Fatalf("round %d: actions do not come to an end, %d are unheard of: %v\n%s", r.done, len(r.unheard), out.err, out.log[max(0, len(out.log)-4000):])
	return nil
}

// check compares what actions say became of them with what the vendor's log
// says, and what the sink holds with both.
func (r *actionRounds) check() map[govern.State]int {
	r.t.Helper()
	all := r.settle()
	require.Len(r.t, all, len(r.asked), "each action that was asked for is there, and no other")
	least, most, states := map[string]int{}, map[string]int{}, map[govern.State]int{}
	for _, a := range all {
		states[a.State]++
		key := a.Row.TargetID + " " + a.Row.Action
		switch {
		case a.State == govern.Unsure:
			most[key]++
		case len(a.Steps) > 0 && (a.State == govern.Verified || a.State == govern.Succeeded):
			least[key]++
			most[key]++
		case a.State != govern.Verified && a.State != govern.Failed && a.State != govern.Rejected:
			r.t.Errorf("action %s ended as %s: %s", a.Row.ID, a.State, a.Note)
		}
	}
	now := r.effects()
	for _, who := range r.people {
		for what := range effects {
			key := who + " " + string(what)
			n := now[key] - r.before[key]
			require.GreaterOrEqual(r.t, n, least[key], "%s: less took effect than actions say", key)
			require.LessOrEqual(r.t, n, most[key], "%s: more took effect than actions say", key)
		}
	}
	r.logged()
	r.collected()
	return states
}

// logged requires that the chain is whole, in the state and in the sink, each
// entry once.
func (r *actionRounds) logged() {
	r.t.Helper()
	st, err := pipeline.ReadState(r.t.Context(), r.data())
	require.NoError(r.t, err)
	defer st.Close()
	report, err := govern.Audit(r.t.Context(), st, []string{filepath.Join(r.dir, "anchor")})
	require.NoError(r.t, err)
	rows, err := rowtest.LakeLog(r.t.Context(), r.lake(), schemas.ByName(schemas.TableActionLog), "")
	require.NoError(r.t, err)
	require.Len(r.t, rows, int(report.Entries), "the sink has the log's entries")
	slices.SortFunc(rows, func(a, b rowtest.Row) int { return cmp.Compare(a["seq"].(int64), b["seq"].(int64)) })
	for i, row := range rows {
		require.EqualValues(r.t, i+1, row["seq"])
		if i > 0 {
			require.Equal(r.t, rows[i-1]["hash"], row["prev_hash"])
		}
	}
	require.Equal(r.t, report.Head.Hash, rows[len(rows)-1]["hash"])
}

// collected requires that the vendor's record of each effect is in the sink,
// once.
func (r *actionRounds) collected() {
	r.t.Helper()
	held := map[string]int{}
	for _, row := range r.read(schemas.ByName(schemas.TableActivities))[r.tenants[0].Instance()] {
		held[row["event_id"].(string)]++
	}
	for _, a := range r.sandbox.Truth(r.tenants[0]).Activities {
		require.Equal(r.t, 1, held[a.EventID], "%s of %s at %d", a.Action, a.TargetID, a.Time)
	}
}

// Rounds of crash and restart while actions are carried out at a vendor that
// fails: none is lost, none is carried out twice, and what became of each is
// said truly.
func TestActionRounds(t *testing.T) {
	n := wanted(t, "WEIR_CRASH_ACTIONS", 25)
	if n == 0 {
		t.Skip("no rounds are wanted")
	}
	r := newActionRounds(t, seed(t))
	began := time.Now()
	r.resume()
	for r.done < n && time.Since(began) < budget(t) {
		if r.round(); r.done%100 == 0 && r.done < n {
			r.check()
		}
	}
	states := r.check()
	var b strings.Builder
	fmt.Fprintf(&b, "%-14s %7s %7s %7s\n", "point", "killed", "failed", "missed")
	for _, p := range r.points {
		fmt.Fprintf(&b, "%-14s %7d %7d %7d\n", p, r.tallies[p].killed, r.tallies[p].failed, r.tallies[p].missed)
	}
	fmt.Fprintf(&b, "%d rounds, %d more killed at any time, %d actions %v in %s\n", r.done, r.anytime, len(r.asked), states, time.Since(began).Round(time.Second))
	told(t, "Actions", b.String())
	require.Positive(t, states[govern.Verified])
	if n >= 100 {
		for _, p := range r.points {
			require.GreaterOrEqual(t, r.tallies[p].killed, 5, p)
		}
	}
}
