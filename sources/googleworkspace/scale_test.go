package googleworkspace_test

import (
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/agent"
	"weir/configs"
	"weir/internal/sandbox"
	sandboxgoogle "weir/internal/sandbox/googleworkspace"
	"weir/internal/sourcetest"
	"weir/internal/testclock"
	sinkregistry "weir/sinks/registry"
	"weir/sources"
	"weir/sources/googleworkspace"
)

// unlimited is the vendor without quotas.
func unlimited() sandbox.Vendor {
	facts := sandboxgoogle.Default()
	const plenty = 1 << 30
	facts.DirectoryRate, facts.ReportsRate, facts.FilterRate = plenty, plenty, plenty
	v := sandboxgoogle.Vendor()
	v.New = func(t *sandbox.Tenant) sandbox.Handler { return sandboxgoogle.New(t, facts) }
	return v
}

func TestScale(t *testing.T) {
	f := fixture()
	f.Scale(t, sourcetest.SiteOptions{Vendor: unlimited()})
}

const (
	asAgent = "WEIR_TEST_AGENT" // directory, time and factor of the clock
	perUser = 2                 // requests
)

// A process that collects the tokens of 20,000 users, a lane each, is killed
// several times: the next one goes on with the users that are left, and in the
// end there is the truth, once.
func TestTokensAfterAKill(t *testing.T) {
	if spec := os.Getenv(asAgent); spec != "" {
		runAgent(t, spec)
		return
	}
	sourcetest.NotUnderRace(t)
	if os.Getenv("WEIR_SCALE") != "1" {
		t.Skip("takes minutes; set WEIR_SCALE=1")
	}
	f := fixture()
	f.Config = "streams: {accounts: {enabled: false}, groups: {enabled: false}, privileges: {enabled: false}, activities: {enabled: false}, files: {enabled: false}}"
	var asked atomic.Int64
	const speed = 60
	site := f.NewSite(t, sourcetest.SiteOptions{People: 20_000, Files: 100, History: time.Hour, Speed: speed, Vendor: unlimited(), Wrap: func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasSuffix(r.URL.Path, "/tokens") || strings.HasSuffix(r.URL.Path, "/asps") {
				asked.Add(1)
			}
			h.ServeHTTP(w, r)
		})
	}})
	site.Config()
	kills := 0
	for _, until := range []int64{3_000, 12_000, 25_000, -1} {
		self, err := os.Executable()
		require.NoError(t, err)
		spec := strings.Join([]string{filepath.Dir(site.Lake("lake")), strconv.FormatInt(site.Clock.Now().UnixMilli(), 10), strconv.FormatInt(time.Now().UnixMilli(), 10), strconv.Itoa(speed)}, "|")
		cmd := exec.CommandContext(t.Context(), self, "-test.run=^TestTokensAfterAKill$", "-test.timeout=20m")
		cmd.Env = append(os.Environ(), asAgent+"="+spec)
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		require.NoError(t, cmd.Start())
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		if until < 0 {
			require.NoError(t, <-done, out.String())
			break
		}
		for asked.Load() < until {
			select {
			case err := <-done:
				t.Fatalf("it ended by itself: %v\n%s", err, out.String())
			case <-time.After(10 * time.Millisecond):
			}
		}
		require.NoError(t, cmd.Process.Kill())
		<-done
		kills++
	}
	truth := site.Truth()
	require.Greater(t, len(truth.AppGrants), 10_000)
	got := site.Log("lake", "app_grants")
	require.Len(t, got, len(truth.AppGrants), "each of them, once")
	users := int64(0)
	for i := range truth.Accounts {
		if s := truth.Accounts[i].Status; s != "deleted" && s != "suspended" {
			users++
		}
	}
	t.Logf("%d users, %d requests with %d kills, %d grants", users, asked.Load(), kills, len(got))
	require.Less(t, asked.Load(), perUser*users+int64(kills)*1000, "what was read before is not read again")
	require.Empty(t, site.Sandbox.Violations())
}

// runAgent runs the agent of a site once, with a clock that it has in common
// with the vendor.
func runAgent(t *testing.T, spec string) {
	part := strings.Split(spec, "|")
	number := func(i int) int64 {
		n, err := strconv.ParseInt(part[i], 10, 64)
		require.NoError(t, err)
		return n
	}
	clock := testclock.Join(time.UnixMilli(number(1)), time.UnixMilli(number(2)), int(number(3)))
	cfg, err := configs.Load(filepath.Join(part[0], "weir.yaml"), nil, []*sources.Connector{googleworkspace.Connector}, sinkregistry.All)
	require.NoError(t, err)
	a, err := agent.New(t.Context(), agent.Options{Config: cfg, Clock: clock, Wall: clockwork.NewRealClock(), Log: slog.New(slog.DiscardHandler), Once: true})
	require.NoError(t, err)
	require.NoError(t, a.Run(t.Context()))
}
