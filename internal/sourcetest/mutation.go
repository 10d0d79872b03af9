package sourcetest

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
)

// Mutation is one fact of the vendor's API turned around in the sandbox. If the
// connector's tests cannot tell, they do not prove that it reads the API right.
type Mutation struct {
	Name   string
	Vendor sandbox.Vendor // a rendering with the fact flipped; zero: the fixture's
	Wrap   func(http.Handler) http.Handler
}

// leastMutations are too few to prove anything with fewer.
const leastMutations = 20

// Mutate requires that every mutation is noticed: the collection fails, what is
// collected is not the truth, or a rule of the vendor's is broken.
func Mutate(t *testing.T, f Fixture, mutations []Mutation) {
	require.GreaterOrEqual(t, len(mutations), leastMutations)
	NotUnderRace(t)
	base := f.NewSite(t, SiteOptions{People: few})
	base.Once()
	base.Equal("lake")
	base.polite()
	for _, m := range mutations {
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			site := f.NewSite(t, SiteOptions{People: few, Vendor: m.Vendor, Wrap: m.Wrap})
			err := site.Run(t.Context(), site.Config(), true)
			switch diff := site.Compare("lake"); {
			case err != nil:
				t.Logf("noticed: %.200v", err)
			case len(diff) > 0:
				t.Logf("noticed: %.200s", diff[0])
			case len(site.Sandbox.Violations()) > 0:
				t.Logf("noticed: %.200v", site.Sandbox.Violations()[0])
			default:
				t.Errorf("nobody noticed")
			}
		})
	}
}
