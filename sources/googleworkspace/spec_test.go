package googleworkspace_test

import (
	"net/http"
	"testing"

	"weir/internal/sourcetest"
	"weir/internal/spectest"
)

// A whole collection's requests and answers are held against Google's own
// discovery documents.
func TestAgainstSpec(t *testing.T) {
	sourcetest.NotUnderRace(t)
	t.Parallel()
	spec := spectest.LoadDiscovery(t, []spectest.Known{
		{Operation: "POST /token", Detail: "no such operation", Reason: "the token endpoint is OAuth's, and has no discovery document"},
	}, spectest.GoogleDirectory, spectest.GoogleReports, spectest.GoogleDataTransfer, spectest.GoogleDrive, spectest.GoogleAlerts)
	f := fixture()
	site := f.NewSite(t, sourcetest.SiteOptions{People: 60, Wrap: func(h http.Handler) http.Handler { return spec.Wrap("/google_workspace/acme", h) }})
	site.Once()
	spec.Report(t)
}
