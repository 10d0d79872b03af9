package schemas

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHashID(t *testing.T) {
	t.Parallel()
	require.Equal(t, HashID("a", "b"), HashID("a", "b"))
	require.Len(t, HashID(), 32)
	require.Equal(t, "3fafa1cf2f19a7c1129beb20cf0983f7", HashID("a", "bc"), "ids that were given stay")
	require.Equal(t, "x"+HashID("a", strings.Repeat("b", 1000)), string(AppendID([]byte("x"), "a", strings.Repeat("b", 1000))))
	seen := map[string]bool{}
	for _, parts := range [][]string{{}, {""}, {"", ""}, {"ab"}, {"a", "b"}, {"", "ab"}, {"ab", ""}, {"b", "a"}} {
		id := HashID(parts...)
		require.False(t, seen[id], parts)
		seen[id] = true
	}
}
