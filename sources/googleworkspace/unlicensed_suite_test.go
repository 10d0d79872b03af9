package googleworkspace_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/sourcetest"
)

// Logs that an edition lacks cost the others nothing: a single run succeeds, and
// what there is is the truth.
func TestLogsThatTheEditionLacks(t *testing.T) {
	sourcetest.NotUnderRace(t)
	f := fixture()
	site := f.NewSite(t, sourcetest.SiteOptions{People: 20, Tenant: "starter-acme"})
	lacks := 0
	for _, s := range site.Session().Streams() {
		if s.Info.Name != "activities" {
			continue
		}
		for page, err := range s.Lanes(t.Context(), "") {
			require.NoError(t, err)
			for _, l := range page.Lanes {
				for _, err := range s.Read(t.Context(), l, "") {
					if err != nil {
						require.Equal(t, fault.NotLicensed, fault.Of(err), l.ID)
						lacks++
					}
					break
				}
			}
		}
	}
	require.Positive(t, lacks)
	require.NoError(t, site.Run(t.Context(), site.Config(), true))
	require.Empty(t, site.Compare("lake"))
}
