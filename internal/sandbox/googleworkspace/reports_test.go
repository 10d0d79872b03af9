package googleworkspace

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/schemas"
)

const login = "/admin/reports/v1/activity/users/all/applications/login"

// The newest comes first; pages are bound to their window (5.7).
func TestReports(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 100, History: 5 * day})
	all := r.report("login", 5*day)
	require.Greater(t, len(all), 100)
	negative, several := 0, 0
	ids := map[string]bool{}
	for i, it := range all {
		id := it["id"].(object)
		if i > 0 {
			require.GreaterOrEqual(t, all[i-1]["id"].(object)["time"], id["time"])
		}
		key := fmt.Sprint(id["time"], id["uniqueQualifier"])
		require.False(t, ids[key], key)
		ids[key] = true
		require.Regexp(t, `^-?\d+$`, id["uniqueQualifier"])
		if strings.HasPrefix(id["uniqueQualifier"].(string), "-") {
			negative++
		}
		if len(it["events"].([]any)) > 1 {
			several++
		}
		require.Equal(t, r.h.customer, id["customerId"])
	}
	require.Positive(t, negative)
	require.Positive(t, several)

	window := "?startTime=" + url.QueryEscape(stamp(r.s.Clock.Now().Add(-2*day))) + "&endTime=" + url.QueryEscape(stamp(r.s.Clock.Now()))
	a := r.get(login + window + "&maxResults=5")
	require.Len(t, a.list("items"), 5)
	next := "&pageToken=" + url.QueryEscape(a.next())
	require.Equal(t, 200, r.get(login+window+"&maxResults=5"+next).status)
	other := strings.Replace(window, "&endTime", "&x=1&endTime", 1)
	require.Equal(t, 400, r.get(login+other+"&maxResults=5"+next).status)
	require.Equal(t, len(r.all(login+window, "items")), len(r.all(login+window+"&maxResults=7", "items")))
	require.NotContains(t, r.get(login+"?startTime="+url.QueryEscape(stamp(r.s.Clock.Now().Add(-time.Millisecond)))).body, "items")
}

// What cannot be asked for is 400, by whom it may not be 401.
func TestReportErrors(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{})
	since := func(d time.Duration) string { return "?startTime=" + url.QueryEscape(stamp(r.s.Clock.Now().Add(-d))) }
	require.Equal(t, 200, r.get(login+since(179*day)).status)
	a := r.get(login + since(181*day))
	require.Equal(t, 400, a.status)
	require.Equal(t, "invalid", a.reason())
	for _, path := range []string{
		login + "?startTime=yesterday", login + "?maxResults=1001", login + "?maxResults=0", login + "?filters=x", strings.Replace(login, "login", "zzz", 1), strings.Replace(login, "login", "gmail", 1) + since(day),
		strings.Replace(login, "login", "gmail", 1) + since(40*day) + "&endTime=" + url.QueryEscape(stamp(r.s.Clock.Now())), strings.Replace(login, "all", "nobody@acme.example", 1),
	} {
		require.Equal(t, 400, r.get(path).status, path)
	}
	require.Equal(t, 200, r.get(strings.Replace(login, "login", "gmail", 1)+since(20*day)+"&endTime="+url.QueryEscape(stamp(r.s.Clock.Now()))).status)
	r.h.SetFaults(Faults{Unlicensed: []string{"vault"}, NoPrivilege: []string{"REPORTS_ACCESS"}})
	a = r.get(login)
	require.Equal(t, 401, a.status)
	require.Contains(t, a.text, "not authorized to read activity records")
	r.h.SetFaults(Faults{Unlicensed: []string{"vault"}})
	require.Equal(t, 400, r.get(strings.Replace(login, "login", "vault", 1)).status)
}

// Filters draw on a quota of their own.
func TestFilters(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 100, History: 5 * day})
	for _, it := range r.all(login+"?eventName=login_failure", "items") {
		require.Contains(t, fmt.Sprint(it["events"]), "login_failure")
	}
	found := r.all(login+"?filters="+url.QueryEscape("login_failure_type==login_failure_invalid_password"), "items")
	require.NotEmpty(t, found)
	refused := 0
	for range 260 {
		if a := r.get(login + "?eventName=logout"); a.status != 200 {
			refused++
		}
	}
	require.Positive(t, refused)
	require.Equal(t, 200, r.get(login).status)
	r.s.Fake.Advance(time.Minute)
	require.Equal(t, 200, r.get(login+"?eventName=logout").status)
}

// An application's log shows things later than they happened, in no order; what was
// there before the tenant was is all there.
func TestLate(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 100, EventsPerDay: 40})
	r.h.SetFaults(Faults{Late: map[string]time.Duration{"calendar": 72 * time.Hour}})
	r.s.Fake.Advance(3 * time.Hour)
	r.s.World("acme").Advance(r.s.Clock.Now())
	r.s.World("acme").Freeze()
	r.bearer = r.as(r.h.Subject())
	old := map[string]bool{}
	key := func(it object) string { return fmt.Sprint(it["id"]) }
	for _, it := range r.report("calendar", day) {
		old[key(it)] = true
	}
	before := len(r.s.Truth(org.GoogleWorkspace, "acme").Activities)
	r.s.Fake.Advance(80 * time.Hour)
	r.bearer = r.as(r.h.Subject())
	late := 0
	for _, it := range r.report("calendar", 4*day) {
		if !old[key(it)] {
			late++
		}
	}
	require.Positive(t, late)
	require.Greater(t, len(r.s.Truth(org.GoogleWorkspace, "acme").Activities), before)
}

// Duplicates are shown twice, and are one in truth.
func TestDuplicates(t *testing.T) {
	t.Parallel()
	scenario, err := sandbox.ParseScenario("test", []byte("log: {duplicates: 0.2}\n"))
	require.NoError(t, err)
	r := newRig(t, sandbox.Options{People: 100, History: 5 * day, Scenario: scenario})
	seen, twice := map[string]bool{}, 0
	for _, it := range r.report("login", 5*day) {
		key := fmt.Sprint(it["id"])
		if seen[key] {
			twice++
		}
		seen[key] = true
	}
	require.Positive(t, twice)
	keys := map[string]bool{}
	for _, a := range r.s.Truth(org.GoogleWorkspace, "acme").Activities {
		require.False(t, keys[a.EventID])
		keys[a.EventID] = true
	}
}

// Every application that the organization's life fills is told of, and truth has an
// activity for each event of it.
func TestTruthOfReports(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 100, History: 20 * day, EventsPerDay: 4})
	r.unlimited()
	truth := map[string]schemas.Activity{}
	for _, a := range r.s.Truth(org.GoogleWorkspace, "acme").Activities {
		truth[a.EventID] = a
	}
	filled, n := map[string]int{}, 0
	for _, name := range applications {
		path := "/admin/reports/v1/activity/users/all/applications/" + name + "?startTime=" + url.QueryEscape(stamp(r.s.Clock.Now().Add(-20*day))) + "&endTime=" + url.QueryEscape(stamp(r.s.Clock.Now()))
		for _, it := range r.all(path, "items") {
			id := it["id"].(object)
			for i, e := range it["events"].([]any) {
				a, ok := truth[schemas.HashID(r.h.customer, name, id["time"].(string), id["uniqueQualifier"].(string), itoa(i))]
				require.True(t, ok)
				require.Equal(t, e.(object)["name"], a.Action)
				n++
			}
			filled[name]++
		}
	}
	require.Len(t, truth, n)
	for _, name := range strings.Fields("admin calendar chat context_aware_access drive gmail groups keep login meet rules saml takeout token user_accounts") {
		require.Positive(t, filled[name], name)
	}
}

// The Alert Center tells of some things again when they change (5.10).
func TestAlerts(t *testing.T) {
	t.Parallel()
	r := newRig(t, sandbox.Options{People: 100, History: 20 * day})
	require.Equal(t, 200, r.get("/v1beta1/alerts").status)
	require.Empty(t, r.get("/v1beta1/alerts").list("alerts"), "not at every customer")
	r.h.SetFaults(Faults{Alerts: true})
	all := r.all("/v1beta1/alerts?pageSize=2&orderBy="+url.QueryEscape("create_time desc"), "alerts")
	require.NotEmpty(t, all)
	for i, x := range all {
		require.NotContains(t, x["customerId"], "C")
		if i > 0 {
			require.GreaterOrEqual(t, all[i-1]["createTime"], x["createTime"])
		}
		require.Equal(t, x["alertId"], r.get("/v1beta1/alerts/" + x["alertId"].(string)).body["alertId"])
	}
	since := all[len(all)/2]["createTime"].(string)
	for _, x := range r.all("/v1beta1/alerts?filter="+url.QueryEscape(`createTime >= "`+since+`"`), "alerts") {
		require.GreaterOrEqual(t, x["createTime"], since)
	}
	require.Equal(t, 400, r.get("/v1beta1/alerts?filter=zzz").status)
	r.bearer = r.as(r.h.Subject(), "admin.reports.audit.readonly")
	require.Equal(t, 403, r.get("/v1beta1/alerts").status)
}

// Of a life that stands still the log has nothing more to tell.
func TestStill(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		r := newRig(t, sandbox.Options{People: 100, History: 3 * day, Seed: seed + 1})
		r.s.World("acme").Freeze()
		before := map[string]bool{}
		for _, a := range r.s.Truth(org.GoogleWorkspace, "acme").Activities {
			before[a.EventID] = true
		}
		r.s.Fake.Advance(3 * day)
		for _, a := range r.s.Truth(org.GoogleWorkspace, "acme").Activities {
			require.True(t, before[a.EventID], "%d %s %s %s", seed, a.Service, a.Action, a.Time)
		}
	}
}
