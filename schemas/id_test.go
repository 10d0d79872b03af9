package schemas

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHashID(t *testing.T) {
	t.Parallel()
	require.Equal(t, HashID("a", "b"), HashID("a", "b"))
	require.Len(t, HashID(), 32)
	seen := map[string]bool{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"", "ab"}, {"ab", ""}, {"b", "a"}} {
		id := HashID(parts...)
		require.False(t, seen[id], parts)
		seen[id] = true
	}
}
