package microsoft365_test

import (
	"net/http"
	"testing"

	"weir/internal/sourcetest"
	"weir/internal/spectest"
)

// A whole collection's requests and answers are held against Microsoft's own
// types and SDK.
func TestAgainstSpec(t *testing.T) {
	sourcetest.NotUnderRace(t)
	t.Parallel()
	f, report := specced(t)
	f.NewSite(t, sourcetest.SiteOptions{People: 60}).Once()
	report()
}

// specced is the fixture, held against the specification.
func specced(t *testing.T, known ...spectest.Known) (f sourcetest.Fixture, report func()) {
	const beyond = "not in the types of version 1.0, which real answers go beyond"
	spec := spectest.LoadGraph(t, append(known,
		spectest.Known{Detail: `property "publisherName" is unsupported`, Reason: beyond},
		spectest.Known{Operation: "GET /servicePrincipals", Detail: `property "createdDateTime" is unsupported`, Reason: beyond},
		spectest.Known{Operation: "GET /drives/{drive_id}/items/{driveItem_id}/permissions", Detail: `siteUser: property "email" is unsupported`, Reason: beyond},
	))
	f = fixture()
	f.Wrap = func(h http.Handler) http.Handler { return spec.WrapGraph("/microsoft365/acme/graph", h) }
	return f, func() { spec.Report(t) }
}

// The same of every action.
func TestActionsAgainstSpec(t *testing.T) {
	sourcetest.NotUnderRace(t)
	t.Parallel()
	f, report := specced(t, spectest.Known{
		Operation: "POST /drives/{drive_id}/items/{driveItem_id}/copy", Detail: "@microsoft.graph.conflictBehavior",
		Reason: "an annotation, which the reference of copy has as a parameter of the query",
	})
	f.Settings, f.LogLag = certified, feedLag
	f.Reads = batches
	sourcetest.RunActions(t, f, actionCases())
	report()
}
