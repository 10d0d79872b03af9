package registry_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/sources"
	"weir/sources/registry"
)

// Every action is declared as the contract asks, once, in the vocabulary's
// order.
func TestActionsAreDeclared(t *testing.T) {
	t.Parallel()
	place := map[sources.Action]int{}
	for i, w := range sources.ActionWords() {
		require.NotEmpty(t, w.Doc)
		place[w.Action] = i
	}
	for _, c := range registry.All {
		last := -1
		for i := range c.Actions {
			a := &c.Actions[i]
			require.NoError(t, a.Validate(), c.App)
			require.Greater(t, place[a.Action], last, "%s: %s is out of order, or twice", c.App, a.Action)
			last = place[a.Action]
		}
	}
}
