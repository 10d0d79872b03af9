package sourcetest

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Scale collects an organization of 20,000 people, undisturbed and under a bit
// of everything: only with WEIR_SCALE=1, for it takes minutes. The vendor has no
// quota. Time runs slowly, since what expires between a reading and the
// comparison differs.
func (f *Fixture) Scale(t *testing.T, o SiteOptions) {
	NotUnderRace(t)
	for _, scenario := range []string{"none", "mixed"} {
		t.Run(scenario, func(t *testing.T) {
			if os.Getenv("WEIR_SCALE") != "1" {
				t.Skip("takes minutes; set WEIR_SCALE=1")
			}
			o.People, o.Scenario, o.Speed, o.History = 20_000, scenario, 20, 24*time.Hour
			site := f.NewSite(t, o)
			began := time.Now()
			for attempt := 1; ; attempt++ {
				err := site.Run(t.Context(), site.Config(), true)
				var diff []string
				if err == nil {
					if diff = site.Compare("lake"); len(diff) == 0 {
						break
					}
				}
				require.Less(t, attempt, 10, "%v %s", err, diff)
				t.Logf("attempt %d: %.300v %.300s", attempt, err, diff)
			}
			took := time.Since(began)
			var n int64
			for _, e := range site.Sandbox.Requests() {
				n += e.Count
			}
			var usage syscall.Rusage
			require.NoError(t, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
			t.Logf("%s, %d requests, with the sandbox at most %d MiB resident", took.Round(time.Second), n, usage.Maxrss>>10)
			require.Empty(t, site.Sandbox.Violations())
		})
	}
}
