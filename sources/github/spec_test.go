package github_test

import (
	"net/http"
	"testing"

	"weir/internal/sourcetest"
	"weir/internal/spectest"
)

// A whole collection's requests and answers are held against GitHub's own
// specification.
func TestAgainstSpec(t *testing.T) {
	sourcetest.NotUnderRace(t)
	t.Parallel()
	spec := spectest.Load(t, spectest.GitHub, []spectest.Known{
		{Operation: "POST /graphql", Detail: "no such operation", Reason: "the specification is of REST"},
		{Operation: "GET /organizations/8367656/audit-log", Detail: "no such operation", Reason: "links hold numeric ids, which the specification does not tell of"},
	})
	f := fixture()
	f.Config = "files: {trees: true}"
	site := f.NewSite(t, sourcetest.SiteOptions{People: people, Wrap: func(h http.Handler) http.Handler { return spec.Wrap("/github/acme", h) }})
	site.Once()
	spec.Report(t)
}
