//go:build failpoint

package crash

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/clickhousetest"
	"weir/internal/failpoint"
	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/internal/testclock"
	"weir/internal/vault"
	"weir/pipeline"
	"weir/sources/auth"
	"weir/sources/httpx"
)

// faulty is what the vendors do meanwhile: all of it now and then, for ever.
const faulty = `
log: {late: 0.03, late_max: 30m, out_of_order: 0.05, duplicates: 0.03, equal: 0.2}
faults:
  - {kind: storm, status: 429, share: 0.001, for: 3s}
  - {kind: status, status: 502, share: 0.004}
  - {kind: drop, share: 0.004}
  - {kind: truncate, length: wrong, share: 0.004}
  - {kind: truncate, length: right, share: 0.004}
  - {kind: html, share: 0.004}
  - {kind: expire_token, after_requests: 10, share: 0.002}
  - {kind: expire_cursor, after_requests: 10, share: 0.002}
`

// onlyParquet and onlyClickHouse are points of one kind of sink.
var (
	onlyParquet = []string{
		failpoint.OwnerWrite, failpoint.OwnerSync, failpoint.OwnerRename, failpoint.PartWrite, failpoint.PartSync, failpoint.PartRename,
		failpoint.PartMark, failpoint.MarkSync, failpoint.MarkRename, failpoint.DayWrite, failpoint.DayRename, failpoint.DayTold,
	}
	onlyClickHouse = []string{failpoint.InsertSent, failpoint.InsertDone, failpoint.PartCount, failpoint.PartRepair}
	// elsewhere are points of sinks that refuse rows, or are filled: these sites
	// have none. TestRefusalKilledAtEveryStep (pipeline) meets them.
	elsewhere = []string{failpoint.PartHalve, failpoint.PartAside, failpoint.FillPart}
	// firstly are met at the first contact only.
	firstly = []string{failpoint.TenantPin}
	// oncely are met once a start, or by rounds of their own.
	oncely = []string{
		failpoint.PastAdd, failpoint.PastBegin, failpoint.PastRead, failpoint.PastEnd, failpoint.DayWrite, failpoint.DayRename, failpoint.DayTold,
		failpoint.StateOpen, failpoint.StateCopy, failpoint.SinkOwner, failpoint.SinkClaim, failpoint.SinkPrepare, failpoint.TenantPin,
		failpoint.Decide, failpoint.DecideDone, failpoint.VaultWrite, failpoint.VaultSync, failpoint.VaultRename, failpoint.PartRepair, failpoint.DeadAdd,
	}
	// notOurs are points of the other sink that a site never meets; and those
	// that one site shows as well as the other are left to Parquet's rounds.
	notInClickHouse = slices.Concat(onlyParquet, elsewhere, []string{
		failpoint.StateCopy, failpoint.TenantPin, failpoint.Decide, failpoint.DecideDone, failpoint.VaultWrite, failpoint.VaultSync, failpoint.VaultRename,
	})
)

// A site's history is older than what its first collection reads: backfills get
// the rest, a stretch each.
const (
	history         = 48 * time.Hour
	firstSince      = 24 * time.Hour
	backfillStretch = 30 * time.Minute
	stretches       = int((history - firstSince) / backfillStretch)
)

func logOf(app string, s *site) pipeline.StreamID {
	i := slices.IndexFunc(s.tenants, func(t *sandbox.Tenant) bool { return t.App == app })
	return pipeline.StreamID{Instance: s.tenants[i].Instance(), Stream: "activities"}
}

// tally is what the rounds at one point came to.
type tally struct {
	killed, failed, missed int
	missing                int // in a row
}

// rounds drives crash rounds over a site's points.
type rounds struct {
	*site
	points    []string
	tallies   map[string]*tally
	anytime   int
	backfills int // asked for
	done      int
	checks    int
	took      time.Duration
}

func newRounds(s *site, without []string) *rounds {
	r := &rounds{site: s, tallies: map[string]*tally{}}
	s.instances = map[string]string{org.Okta: fmt.Sprintf("logs: {since: %s}\n", firstSince)}
	for _, p := range failpoint.All() {
		if !slices.Contains(without, p) {
			r.points = append(r.points, p)
			r.tallies[p] = &tally{}
		}
	}
	return r
}

// least is how often the least killed point was.
func (r *rounds) least() (n int) {
	n = math.MaxInt
	for _, t := range r.tallies {
		n = min(n, t.killed)
	}
	return n
}

// next picks the point of the next round: the one least killed at.
func (r *rounds) next() string {
	order := slices.Clone(r.points)
	r.rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
	score := func(p string) float64 {
		t := r.tallies[p]
		if slices.Contains(firstly, p) {
			return math.Inf(1) // its time has passed
		}
		n := float64(t.killed) + 0.3*float64(t.missed)
		if strings.HasPrefix(p, "past.") { // a comparison has all of the past read: nothing is left to
			if n /= 3; r.checks > 0 {
				return math.Inf(1)
			}
		}
		if slices.Contains(onlyClickHouse, p) {
			n /= 3
		}
		return n
	}
	return slices.MinFunc(order, func(a, b string) int { return cmp.Compare(score(a), score(b)) })
}

// run lives through n rounds, and more until every point was killed at least so
// often; then the sinks must hold the truth.
func (r *rounds) run(n, least, every int) {
	began := time.Now()
	for _, p := range firstly { // while nothing is known yet
		if _, ok := r.tallies[p]; ok {
			for range max(least, 2) {
				r.round(p)
			}
		}
	}
	r.child(order{Do: "once"}, "", time.Minute) // what rounds of their own begin with
	for (r.done < n || r.least() < least && r.done < 2*n+50) && time.Since(began) < budget(r.t) {
		r.round(r.next())
		if every > 0 && r.done%every == 0 && r.done < n {
			r.check()
		}
	}
	r.check()
	r.took = time.Since(began)
}

// round crashes the agent once at a point, or makes a step fail there.
func (r *rounds) round(point string) {
	r.t.Helper()
	r.done++
	r.skip(time.Duration(r.rand.Int64N(int64(20 * time.Minute))))
	if r.done%20 == 0 {
		for _, t := range r.tenants {
			r.remember(t)
		}
	}
	if r.clickhouse != nil {
		r.clickhouse.Query(r.t, "SYSTEM STOP MERGES") // of the tables that are there by now
	}
	t, hit := r.tallies[point], 1
	if t.missing == 0 && !slices.Contains(oncely, point) {
		hit += min(int(r.rand.ExpFloat64()*3), 20)
	}
	effect := "kill"
	if r.rand.IntN(8) == 0 && t.killed > 0 {
		effect = []string{"error", "full"}[r.rand.IntN(2)]
	}
	o := r.prepare(point)
	at := time.Now()
	out := r.child(o, fmt.Sprintf("%s=%s@%d", point, effect, hit), r.limit(o))
	switch {
	case out.killed:
		t.killed++
		t.missing = 0
	case strings.Contains(out.log, "failpoint "+point):
		t.failed++
		t.missing = 0
	default:
		t.missed++
		t.missing++
		if i := strings.Index(out.log, "failed:"); i >= 0 && os.Getenv("WEIR_CRASH_DEBUG") != "" {
			r.t.Logf("%d %s@%d: %.600s", r.done, point, hit, out.log[i:])
		}
	}
	if os.Getenv("WEIR_CRASH_DEBUG") != "" {
		r.t.Logf("%d %s@%d %s %s: %+v", r.done, point, hit, effect, time.Since(at).Round(time.Millisecond), *t)
	}
	if r.rand.IntN(20) == 0 { // and one killed whenever it is
		r.anytime++
		r.child(order{Do: "run"}, "", time.Duration(50+r.rand.IntN(700))*time.Millisecond)
	}
	if strings.Contains(out.log, "panic") {
		r.t.Fatalf("round %d, %s: %s", r.done, point, out.log)
	}
}

// limit is how long a child may live: an agent that does not end by itself is
// ended.
func (r *rounds) limit(o order) time.Duration {
	if o.Do == "run" {
		return 4 * time.Second
	}
	return time.Minute
}

// prepare sees to it that a point can be met, and says what the child is to do.
func (r *rounds) prepare(point string) order {
	r.t.Helper()
	once := order{Do: "once"}
	switch point {
	case failpoint.StateCopy:
		r.olderState()
	case failpoint.VaultWrite, failpoint.VaultSync, failpoint.VaultRename:
		return r.rotation()
	case failpoint.DeadAdd:
		r.damage.Store(2)
		r.skip(time.Hour)
	case failpoint.ScanRows:
		r.leave(3)
	case failpoint.ScanRemove:
		r.accept()
		r.leave(3)
		r.skip(time.Hour)
		r.child(once, "", time.Minute) // a first round that does not show them
		r.skip(time.Hour)
	case failpoint.PastAdd, failpoint.PastBegin, failpoint.PastRead, failpoint.PastEnd:
		return r.backfill()
	case failpoint.DayWrite, failpoint.DayRename, failpoint.DayTold:
		r.skip(25 * time.Hour) // that a day closes
		return order{Do: "run"}
	case failpoint.ScanBegin, failpoint.ScanEnd, failpoint.LanesAdd, failpoint.Listing, failpoint.RunAdd:
	case failpoint.Decide:
		return order{Do: "decide", Stream: r.hold()}
	case failpoint.DecideDone:
		require.NoError(r.t, r.child(order{Do: "decide", Stream: r.hold()}, "", time.Minute).err)
	case failpoint.PartRepair:
		r.short()
	case failpoint.StateOpen, failpoint.SinkOwner, failpoint.SinkClaim, failpoint.SinkPrepare, failpoint.TenantPin:
	default:
		r.skip(10 * time.Minute)
		if r.tallies[point].missing == 0 && r.rand.IntN(3) > 0 {
			return order{Do: "run"}
		}
	}
	return once
}

// backfill asks for another stretch of what happened before the collection began.
func (r *rounds) backfill() order {
	to := start.Add(-firstSince - time.Duration(r.backfills%stretches)*backfillStretch)
	r.backfills++
	return order{Do: "past", Stream: logOf(org.Okta, r.site), From: to.Add(-backfillStretch), To: to}
}

// backfillAll has all of it read: tasks that crashes have left, and what nobody
// has asked for yet.
func (r *rounds) backfillAll() {
	r.t.Helper()
	if r.checks > 1 && r.clock.Since(start) > 60*24*time.Hour {
		return // it has been read; and the vendor is about to forget it
	}
	id := logOf(org.Okta, r.site)
	var out outcome
	for range 10 {
		st, err := pipeline.ReadState(r.t.Context(), r.data())
		require.NoError(r.t, err)
		tasks, err := st.PastTasks(r.t.Context(), id)
		require.NoError(r.t, err)
		require.NoError(r.t, st.Close())
		for _, t := range tasks {
			if t.Status != pipeline.PastDone {
				r.child(order{Do: "past", Stream: id, Task: t.ID}, "", time.Minute)
			}
		}
		out = r.child(order{Do: "past", Stream: id, From: start.Add(-history), To: start}, "", time.Minute)
		if strings.Contains(out.log, pipeline.ErrPastHeld.Error()) {
			return
		}
	}
	r.t.Fatalf("the past was not read to its end: %v\n%s", out.err, out.log[max(0, len(out.log)-4000):])
}

// olderState gives the state a format of before.
func (r *rounds) olderState() {
	require.NoError(r.t, setFormat(r.data(), -1))
}

// leave ends some memberships, so that there is something to be removed, and
// begins as many.
func (r *rounds) leave(n int) {
	r.world.Change(func(s *org.State) {
		var full []*org.Group
		for _, g := range s.Groups[org.Okta] {
			if g.Gone.IsZero() && g.Kind == "OKTA_GROUP" && len(g.Members) > 0 {
				full = append(full, g)
			}
		}
		act := &org.Act{At: s.Now, Actor: org.Ref{Kind: org.AccountRef, N: s.Accounts[org.Okta][0].N}}
		for range n {
			g := full[r.rand.IntN(len(full))]
			if len(g.Members) == 0 {
				continue
			}
			a := s.Accounts[org.Okta][g.Members[r.rand.IntN(len(g.Members))].Account]
			s.RemoveMember(org.Okta, act, g, a)
			other := full[r.rand.IntN(len(full))]
			if a.Gone.IsZero() {
				s.AddMember(org.Okta, act, other, a, "member")
			}
		}
	})
}

// hold lets many leave at once, so that their removal is held, and returns the
// stream that holds it.
func (r *rounds) hold() pipeline.StreamID {
	r.t.Helper()
	for try := range 8 {
		for _, id := range r.holds() {
			return id
		}
		if try%4 == 0 {
			r.leave(300)
		}
		r.skip(2 * time.Hour)
		r.child(order{Do: "once"}, "", time.Minute)
	}
	r.t.Fatal("no removals were held")
	return pipeline.StreamID{}
}

// holds returns the streams that hold removals back.
func (s *site) holds() (out []pipeline.StreamID) {
	st, err := pipeline.ReadState(s.t.Context(), s.data())
	require.NoError(s.t, err)
	defer st.Close()
	for _, t := range s.tenants {
		for _, stream := range connector(t.App).Streams {
			id := pipeline.StreamID{Instance: t.Instance(), Stream: stream.Name}
			scan, err := st.Scan(s.t.Context(), id)
			require.NoError(s.t, err)
			if len(scan.Holds) > 0 {
				out = append(out, id)
			}
		}
	}
	return out
}

// rotation prepares a child that has its tokens replaced.
func (r *rounds) rotation() order {
	v := vault.New(r.data(), func() (string, error) { return keyOf(r.dir) }, clockwork.NewRealClock()).Of("rotating")
	r.tokens.mu.Lock()
	defer r.tokens.mu.Unlock()
	if r.tokens.now == "" {
		r.tokens.now = "refresh-0"
		record := map[string]any{"version": 1, "client_id": "weir", "token_url": r.url + "/token", "access_token": "access-0", "token_type": "Bearer", "refresh_token": r.tokens.now, "scopes": []string{}, "obtained_at": start}
		text, err := json.Marshal(record)
		require.NoError(r.t, err)
		require.NoError(r.t, v.Save(r.t.Context(), "oauth", text))
	}
	return order{Do: "rotate", Token: r.url + "/token"}
}

// rotate is what the child does: it uses the token there is, and replaces it.
func rotate(ctx context.Context, o order, clock *testclock.Clock) error {
	base, err := httpx.New(httpx.Options{Instance: "rotating", Clock: clock, Wall: clockwork.NewRealClock(), UserAgent: "weir/test"})
	if err != nil {
		return err
	}
	dir := strings.TrimSuffix(o.Data, "/data")
	tokens, err := auth.NewConsented(auth.Consented{
		Instance: "rotating", HTTP: base, Clock: clock, Consent: &auth.Consent{TokenURL: o.Token, ClientID: "weir"},
		Vault: vault.New(o.Data, func() (string, error) { return keyOf(dir) }, clock).Of("rotating"),
	})
	if err != nil {
		return err
	}
	if _, err := tokens.Renew(ctx); err != nil {
		return err
	}
	_, err = tokens.Renew(ctx)
	return err
}

func keyOf(dir string) (string, error) {
	b, err := os.ReadFile(dir + "/key")
	return string(b), err
}

// matrix words what the rounds came to.
func (r *rounds) matrix() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-14s %7s %7s %7s\n", "point", "killed", "failed", "missed")
	killed, failed, missed := r.anytime, 0, 0
	for _, p := range r.points {
		t := r.tallies[p]
		fmt.Fprintf(&b, "%-14s %7d %7d %7d\n", p, t.killed, t.failed, t.missed)
		killed, failed, missed = killed+t.killed, failed+t.failed, missed+t.missed
	}
	fmt.Fprintf(&b, "%-14s %7d\n", "(any time)", r.anytime)
	fmt.Fprintf(&b, "%-14s %7d %7d %7d   %d rounds and %d comparisons in %s, %s of the agent's time\n", "all", killed, failed, missed, r.done, r.checks, r.took.Round(time.Second), r.clock.Since(start).Round(time.Hour))
	return b.String()
}

// wanted is the number of rounds: of the environment, or few.
func wanted(t *testing.T, name string, few int) int {
	v := os.Getenv(name)
	if v == "" {
		return few
	}
	n, err := strconv.Atoi(v)
	require.NoError(t, err, name)
	return n
}

// budget is how long rounds may go on: WEIR_CRASH_TIME, or for ever.
func budget(t testing.TB) time.Duration {
	v := os.Getenv("WEIR_CRASH_TIME")
	if v == "" {
		return math.MaxInt64
	}
	d, err := time.ParseDuration(v)
	require.NoError(t, err, "WEIR_CRASH_TIME")
	return d
}

// crowd is how many people an organization has.
func crowd(large bool) int {
	if large {
		return 200
	}
	return 50
}

func seed(t *testing.T) uint64 {
	v := cmp.Or(os.Getenv("WEIR_CRASH_SEED"), "1")
	n, err := strconv.ParseUint(v, 10, 64)
	require.NoError(t, err)
	return n
}

// told writes the matrix where WEIR_CRASH_MATRIX says, beside the test's log.
func told(t *testing.T, title, text string) {
	text = title + "\n" + text
	t.Log("\n" + text)
	if name := os.Getenv("WEIR_CRASH_MATRIX"); name != "" {
		f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		require.NoError(t, err)
		_, err = f.WriteString(text + "\n")
		require.NoError(t, err)
		require.NoError(t, f.Close())
	}
}

// Rounds of crash and restart into Parquet, while the vendors fail: nothing is
// lost, nothing is there twice.
func TestCrashRounds(t *testing.T) {
	n := wanted(t, "WEIR_CRASH_ROUNDS", 60)
	if n == 0 {
		t.Skip("no rounds are wanted")
	}
	s := newSite(t, siteOptions{scenario: faulty, seed: seed(t), people: crowd(n >= 200)})
	r := newRounds(s, slices.Concat(onlyClickHouse, elsewhere))
	defer func() { told(t, "Parquet", r.matrix()) }()
	least := 1
	if n >= 1000 {
		least = 5
	}
	r.run(n, least, 250)
	if r.done >= n { // and not out of time
		require.GreaterOrEqual(t, r.least(), least, "every point was killed at")
	}
}

// The same into a real ClickHouse, whose merges are off, so that a row that is
// there twice shows.
func TestCrashRoundsClickHouse(t *testing.T) {
	n := wanted(t, "WEIR_CRASH_CLICKHOUSE", 10)
	if n == 0 {
		t.Skip("no rounds are wanted")
	}
	s := newSite(t, siteOptions{scenario: faulty, seed: seed(t) + 1, people: crowd(n >= 50), clickhouse: clickhousetest.Start(t), database: "crash"})
	r := newRounds(s, notInClickHouse)
	defer func() { told(t, "ClickHouse", r.matrix()) }()
	r.run(n, 0, 0)
	if n >= 100 && r.done >= n {
		for _, p := range onlyClickHouse {
			require.GreaterOrEqual(t, r.tallies[p].killed, 5, p)
		}
	}
}
