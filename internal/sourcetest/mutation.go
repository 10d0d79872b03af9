package sourcetest

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
)

// Mutation is one fact of the vendor's API turned around in the sandbox. If the
// connector's tests cannot tell, they do not prove that it reads the API right.
type Mutation struct {
	Name   string
	Vendor sandbox.Vendor // a rendering with the fact flipped; zero: the ground's
	Wrap   func(http.Handler) http.Handler
	On     *Ground // nil: the fixture's few people, undisturbed
}

// Ground is where a mutation is tried: as long as the fact holds, the truth is
// collected there.
type Ground struct {
	Fixture *Fixture // nil: Mutate's
	Site    SiteOptions
	// Disturb wraps the vendor, inside of the mutation's own wrapper.
	Disturb func(*Site) func(http.Handler) http.Handler
}

func (g *Ground) site(t *testing.T, f *Fixture, vendor sandbox.Vendor, wrap func(http.Handler) http.Handler) *Site {
	if g.Fixture != nil {
		f = g.Fixture
	}
	o := g.Site
	o.People = cmp.Or(o.People, few)
	if vendor.App != "" {
		o.Vendor = vendor
	}
	site := f.NewSite(t, o)
	inner := func(h http.Handler) http.Handler { return h }
	if g.Disturb != nil {
		inner = g.Disturb(site)
	}
	site.Wrap(func(h http.Handler) http.Handler {
		if h = inner(h); wrap != nil {
			h = wrap(h)
		}
		return h
	})
	return site
}

// leastMutations are too few to prove anything with fewer.
const leastMutations = 20

// Mutate requires that every mutation is noticed: the collection fails, what is
// collected is not the truth, or a rule of the vendor's is broken.
func Mutate(t *testing.T, f Fixture, mutations []Mutation) {
	require.GreaterOrEqual(t, len(mutations), leastMutations)
	NotUnderRace(t)
	plain, tried := &Ground{}, map[*Ground]bool{}
	for _, m := range mutations {
		on := cmp.Or(m.On, plain)
		if !tried[on] {
			t.Run(fmt.Sprintf("undisturbed facts %d", len(tried)), func(t *testing.T) {
				t.Parallel()
				for again := 2; ; again-- {
					site := on.site(t, &f, sandbox.Vendor{}, nil)
					diff, err := on.collect(t, site)
					require.NoError(t, err)
					require.Empty(t, diff)
					if again > 0 && len(site.Sandbox.Violations()) > 0 {
						// A request may have been underway when another's answer told that
						// nothing remains: that is chance, and not so three times.
						t.Logf("once more: %v", site.Sandbox.Violations()[0])
						continue
					}
					site.polite()
					return
				}
			})
			tried[on] = true
		}
		t.Run(m.Name, func(t *testing.T) {
			t.Parallel()
			site := on.site(t, &f, m.Vendor, m.Wrap)
			switch diff, err := on.collect(t, site); {
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

// collect collects once or, where a scenario disturbs, again as the agent would:
// a single run gives up on a lane after some attempts.
func (g *Ground) collect(t *testing.T, site *Site) (diff []string, err error) {
	for range map[bool]int{true: 1, false: 6}[g.Site.Scenario == ""] {
		err = site.Run(t.Context(), site.Config(), true)
		if diff = site.Compare("lake"); err == nil && len(diff) == 0 {
			break
		}
	}
	return diff, err
}

// Rename returns a wrapper that has the answers of paths with an end call a
// member otherwise. In the path * stands for any one segment; "" is any path.
func Rename(path, member string) func(http.Handler) http.Handler {
	end := strings.Split(strings.Trim(path, "/"), "/")
	return Answers(func(r *http.Request, v any) any {
		at := strings.Split(strings.Trim(r.URL.Path, "/"), "/")
		if path != "" && len(at) < len(end) {
			return v
		}
		for i, part := range at[max(0, len(at)-len(end)):] {
			if path != "" && end[i] != "*" && end[i] != part {
				return v
			}
		}
		Objects(v, func(o map[string]any) {
			if value, ok := o[member]; ok {
				delete(o, member)
				o[member+"_renamed"] = value
			}
		})
		return v
	})
}
