package github_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	sandboxgithub "weir/internal/sandbox/github"
	"weir/internal/sourcetest"
	"weir/schemas"
)

// people are few: what differs between products does not take many.
const people = 60

// removed counts the rows that were told to be gone.
func removed(site *sourcetest.Site) (n int) {
	for _, t := range schemas.Tables() {
		if t.Entity {
			for _, r := range site.Log("lake", t.Name) {
				if r["change"] == "removed" {
					n++
				}
			}
		}
	}
	return n
}

// Every product and plan is collected, as a GitHub App and with a token.
func TestFlavours(t *testing.T) {
	sourcetest.NotUnderRace(t)
	t.Parallel()
	for _, tenant := range []string{"ghes-acme", "ghes-old-acme", "emu-acme"} {
		for name, f := range map[string]sourcetest.Fixture{"app": fixture(), "token": withToken()} {
			t.Run(tenant+" "+name, func(t *testing.T) {
				t.Parallel()
				site := f.NewSite(t, sourcetest.SiteOptions{People: people, Tenant: tenant})
				site.Once()
				site.Equal("lake")
				require.Empty(t, site.Sandbox.Violations())
			})
		}
	}
}

// A plan without an audit log says so, and the rest is collected.
func TestFreePlan(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]sourcetest.Fixture{"app": fixture(), "token": withToken()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			site := f.NewSite(t, sourcetest.SiteOptions{People: people, Tenant: "free-acme"})
			err := site.Run(t.Context(), site.Config(), true)
			require.ErrorContains(t, err, site.Instance()+"/activities")
			for _, s := range f.Connector.Streams {
				if s.Name != "activities" {
					require.NotContains(t, err.Error(), site.Instance()+"/"+s.Name+":")
				}
			}
			require.Equal(t, fault.NotLicensed, fault.Of(site.Session().Probe(t.Context(), "activities")))
			site.Equal("lake")
		})
	}
}

// The files of repositories, in one answer and walked directory by directory.
func TestTrees(t *testing.T) {
	sourcetest.NotUnderRace(t)
	t.Parallel()
	for name, limit := range map[string]int{"whole": 100_000, "walked": 15} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := fixture()
			facts := sandboxgithub.Default()
			facts.TreeLimit = limit
			site := f.NewSite(t, sourcetest.SiteOptions{People: people, Vendor: vendor(facts), Extra: "files: {trees: true}"})
			h := site.Tenant.Handler().(*sandboxgithub.Handler)
			h.SetFlavour(sandboxgithub.Flavour{App: true, Trees: true})
			site.Once()
			site.Equal("lake")
		})
	}
}

// Without the scope repo private repositories vanish without a word. However
// long it stays lost, nothing is taken for gone.
func TestLostScopeRemovesNothing(t *testing.T) {
	t.Parallel()
	f := withToken()
	site := f.NewSite(t, sourcetest.SiteOptions{People: people, History: 12 * time.Hour})
	site.Once()
	site.Tenant.TakeScopes("repo")
	for range 5 {
		site.Clock.Skip(25 * time.Hour)
		_ = site.Run(t.Context(), site.Config(), true) // who has access may not be asked for
		require.Zero(t, removed(site))
	}
	site.Tenant.TakeScopes()
	site.Once()
	site.Once()
	site.Equal("lake")
	require.Zero(t, removed(site))
}
