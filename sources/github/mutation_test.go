package github_test

import (
	"testing"

	"weir/internal/sandbox"
	sandboxgithub "weir/internal/sandbox/github"
	"weir/internal/sandbox/org"
	"weir/internal/sourcetest"
)

// vendor is a GitHub of which other facts hold.
func vendor(f sandboxgithub.Facts) sandbox.Vendor {
	return sandbox.Vendor{App: org.GitHub, New: func(t *sandbox.Tenant) sandbox.Handler { return sandboxgithub.New(t, f) }}
}

// unnoticed are facts that a collector rightly does not depend on.
var unnoticed = map[string]string{}

func TestMutations(t *testing.T) {
	var mutations []sourcetest.Mutation
	for _, flip := range sandboxgithub.Flips() {
		if _, ok := unnoticed[flip.Name]; ok {
			continue
		}
		facts := sandboxgithub.Default()
		flip.Apply(&facts)
		mutations = append(mutations, sourcetest.Mutation{Name: flip.Name, Vendor: vendor(facts)})
	}
	sourcetest.Mutate(t, fixture(), mutations)
}
