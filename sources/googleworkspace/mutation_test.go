package googleworkspace_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	sandboxgoogle "weir/internal/sandbox/googleworkspace"
	"weir/internal/sandbox/org"
	"weir/internal/sourcetest"
)

// vendor is a Google of which other facts hold.
func vendor(f sandboxgoogle.Facts) sandbox.Vendor {
	return sandbox.Vendor{App: org.GoogleWorkspace, New: func(t *sandbox.Tenant) sandbox.Handler { return sandboxgoogle.New(t, f) }}
}

// unnoticed are facts that a collector rightly does not depend on, or whose test
// is elsewhere.
var unnoticed = map[string]string{
	"users are listed by ten":            "pages follow each other whatever their size",
	"groups are listed by two":           "as above",
	"members are listed by two":          "as above",
	"roles are listed by two":            "as above",
	"role assignments are listed by two": "as above",
	"USER is PERSON":                     "who is in the directory is an account, and an address says the rest",
	"fullName is full":                   "it is put together from its parts",
	"numbers of 64 bits are numbers":     "they are taken as they are written",
	"tokens of suspended users are 500":  "those are not asked for: see TestTokensOfTheSuspended",
}

// With pages so small that there are several, and a time so long that what is
// rare has happened.
var (
	smallPages = map[string]string{"nextPageToken is next": "users are listed by ten"}
	rare       = map[string]bool{"callerType is caller": true}
)

// renamed are members that Google would call otherwise, by the end of the path
// of whose answers.
var renamed = []struct{ path, member string }{
	{"/users", "users"},
	{"/groups", "groups"},
	{"/groups/*/members", "members"},
	{"/roles", "items"},
	{"/roleassignments", "items"},
	{"/tokens", "items"},
	{"/asps", "items"},
	{"/users", "kind"},
	{"/groups", "email"},
	{"/groups/*/members", "id"},
	{"/roleassignments", "roleAssignmentId"},
	{"/roles", "isSystemRole"},
	{"/tokens", "nativeApp"},
	{"/asps", "name"},
	{"/applications/*", "items"},
	{"/applications/*", "kind"},
	{"/applications/*", "uniqueQualifier"},
	{"/applications/*", "time"},
	{"/applications/*", "customerId"},
	{"/applications/*", "events"},
	{"/applications/*", "profileId"},
	{"/applications/*", "email"},
	{"/applications/*", "ipAddress"},
	{"/applications/*", "regionCode"},
	{"/applications/*", "ipAsn"},
	{"/applications/*", "parameters"},
	{"/applications/*", "value"},
	{"/applications/*", "boolValue"},
	{"/applications/*", "multiValue"},
}

// Every fact told wrongly is noticed.
func TestMutations(t *testing.T) {
	on := &sourcetest.Ground{Site: sourcetest.SiteOptions{History: 36 * time.Hour}}
	long := &sourcetest.Ground{Site: sourcetest.SiteOptions{History: 40 * 24 * time.Hour, Events: 0.5}}
	var mutations []sourcetest.Mutation
	excused := 0
	for _, flip := range sandboxgoogle.Flips() {
		if _, ok := unnoticed[flip.Name]; ok {
			excused++
			continue
		}
		facts, ground := sandboxgoogle.Default(), on
		flip.Apply(&facts)
		for _, other := range sandboxgoogle.Flips() {
			if other.Name == smallPages[flip.Name] {
				other.Apply(&facts)
			}
		}
		if rare[flip.Name] {
			ground = long
		}
		mutations = append(mutations, sourcetest.Mutation{Name: flip.Name, Vendor: vendor(facts), On: ground})
	}
	require.Len(t, unnoticed, excused, "an excuse for no fact")
	for _, m := range renamed {
		mutations = append(mutations, sourcetest.Mutation{Name: m.member + " of " + m.path, Wrap: sourcetest.Rename(m.path, m.member), On: on})
	}
	sourcetest.Mutate(t, fixture(), mutations)
}
