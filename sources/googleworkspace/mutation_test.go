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
var unnoticed = map[string]string{}

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
}

// Every fact told wrongly is noticed.
func TestMutations(t *testing.T) {
	on := &sourcetest.Ground{Site: sourcetest.SiteOptions{History: 36 * time.Hour}}
	var mutations []sourcetest.Mutation
	excused := 0
	for _, flip := range sandboxgoogle.Flips() {
		if _, ok := unnoticed[flip.Name]; ok {
			excused++
			continue
		}
		facts := sandboxgoogle.Default()
		flip.Apply(&facts)
		mutations = append(mutations, sourcetest.Mutation{Name: flip.Name, Vendor: vendor(facts), On: on})
	}
	require.Len(t, unnoticed, excused, "an excuse for no fact")
	for _, m := range renamed {
		mutations = append(mutations, sourcetest.Mutation{Name: m.member + " of " + m.path, Wrap: sourcetest.Rename(m.path, m.member), On: on})
	}
	sourcetest.Mutate(t, fixture(), mutations)
}
