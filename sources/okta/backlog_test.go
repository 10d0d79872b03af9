package okta_test

import (
	"net/http"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	sandboxokta "weir/internal/sandbox/okta"
	"weir/internal/sandbox/org"
	"weir/internal/sourcetest"
)

// onlyLog leaves the System Log alone.
const onlyLog = "streams: {accounts: {enabled: false}, groups: {enabled: false}, privileges: {enabled: false}, apps: {enabled: false}, app_grants: {enabled: false}}"

// backlog is an organization with some days of log to be collected at once.
func backlog(t testing.TB, people int, events float64, speed int, limit int) *sourcetest.Site {
	facts := sandboxokta.Default()
	facts.Limits["/api/v1/logs"] = limit
	f := sourcetest.Fixture{Connector: fixture().Connector, Vendor: sandbox.Vendor{
		App: org.Okta, New: func(t *sandbox.Tenant) sandbox.Handler { return sandboxokta.New(t, facts) },
	}}
	return f.NewSite(t, sourcetest.SiteOptions{People: people, Events: events, History: 3 * 24 * time.Hour, Speed: speed, Extra: onlyLog})
}

// A backlog is worked off at the rate the vendor allows, and never beyond.
func TestBacklogUsesTheRate(t *testing.T) {
	sourcetest.NotUnderRace(t)
	t.Parallel()
	const allowed = 30 // a minute: half of the organization's is one client's
	s := backlog(t, 2000, 40, 20, 2*allowed)
	type window struct {
		reset    string
		began    time.Time
		requests int
	}
	var windows []window // of the vendor, one after the other
	s.Wrap(func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			at := s.Clock.Now()
			h.ServeHTTP(w, r)
			if !strings.HasSuffix(r.URL.Path, "/api/v1/logs") {
				return
			}
			reset := w.Header().Get("X-Rate-Limit-Reset")
			if n := len(windows); n == 0 || windows[n-1].reset != reset {
				windows = append(windows, window{reset: reset, began: at})
			}
			windows[len(windows)-1].requests++
		})
	})
	s.Once()
	require.GreaterOrEqual(t, len(windows), 4, "a backlog of some minutes")
	last := windows[len(windows)-1] // is not used to its end
	n := 0
	for _, w := range windows[:len(windows)-1] {
		n += w.requests
	}
	rate := float64(n) / last.began.Sub(windows[0].began).Minutes()
	t.Logf("%d requests in %d windows: %.1f a minute of %d allowed", n, len(windows)-1, rate, allowed)
	require.Greater(t, rate, 0.8*allowed)
	require.Empty(t, s.Sandbox.Violations())
	for _, difference := range s.Compare("lake") { // nothing else was collected
		require.NotContains(t, difference, "activities:")
	}
}

// The System Log to Parquet, the sandbox's part included: what two cores do
// where the vendor sets no limit. Work is what all cores did for an event.
func BenchmarkSystemLogToParquet(b *testing.B) {
	var events int
	var took, work time.Duration
	for b.Loop() {
		b.StopTimer()
		s := backlog(b, 2000, 80, 1, 0)
		events += len(s.Truth().Activities)
		runtime.GC()
		before, began := cpuTime(b), time.Now()
		b.StartTimer()
		s.Once()
		b.StopTimer()
		took += time.Since(began)
		work += cpuTime(b) - before
		b.StartTimer()
	}
	b.ReportMetric(float64(events)/took.Seconds(), "events/s")
	b.ReportMetric(float64(work.Microseconds())/float64(events), "work-us/event")
}

// cpuTime is what this process has used of all cores.
func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
