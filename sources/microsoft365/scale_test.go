package microsoft365_test

import (
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	sandbox365 "weir/internal/sandbox/microsoft365"
	"weir/internal/sourcetest"
)

// TestScale also has 500,000 files.
func TestScale(t *testing.T) {
	f := fixture()
	f.Scale(t, sourcetest.SiteOptions{Vendor: sandbox365.Unlimited(), Files: 500_000})
}

// A complete round over 500,000 files that did not change writes no rows, and
// fits into 256 MiB beside the sandbox: Go's memory is limited to that, as an
// agent's can be, and what is resident is measured.
func TestFilesMemory(t *testing.T) {
	sourcetest.NotUnderRace(t)
	if os.Getenv("WEIR_SCALE") != "1" {
		t.Skip("takes minutes; set WEIR_SCALE=1")
	}
	f := fixture()
	f.Config = "streams: {accounts: {enabled: false}, groups: {enabled: false}, privileges: {enabled: false}, apps: {enabled: false}, " +
		"activities: {enabled: false}, directory_audits: {enabled: false}, sign_ins: {enabled: false}}"
	site := f.NewSite(t, sourcetest.SiteOptions{People: 200, Files: 500_000, History: time.Hour, Vendor: sandbox365.Unlimited()})
	site.Once()
	counts := func() map[string]int {
		n := map[string]int{}
		for _, table := range []string{"files", "file_permissions"} {
			for _, r := range site.Log("lake", table) {
				n[table+" "+r["change"].(string)]++
			}
		}
		return n
	}
	before := counts()
	require.Greater(t, before["files added"], 500_000)

	site.Clock.Skip(25 * time.Hour)
	debug.FreeOSMemory()
	base := resident(t)
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	const most = 256 << 20
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(int64(m.Sys-m.HeapReleased) + most*3/4)) // the rest is not Go's
	done, highest := make(chan error, 1), int64(0)
	began := time.Now()
	go func() { done <- site.Run(t.Context(), site.Config(), true) }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for running := true; running; {
		select {
		case err := <-done:
			require.NoError(t, err)
			running = false
		case <-tick.C:
			highest = max(highest, resident(t))
		}
	}
	t.Logf("a round in %s: %d MiB resident at most beside the %d of the sandbox", time.Since(began).Round(time.Second), (highest-base)>>20, base>>20)
	require.Equal(t, before, counts(), "nothing changed, so nothing is written")
	require.Less(t, highest-base, int64(most))
}

// resident is what the kernel counts of this process.
func resident(t testing.TB) int64 {
	b, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, rest, _ := strings.Cut(string(b), "VmRSS:")
	n, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	require.NoError(t, err)
	return n << 10
}
