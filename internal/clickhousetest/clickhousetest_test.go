package clickhousetest

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKillAndRestart(t *testing.T) {
	s := Start(t)
	s.Query(t, "CREATE TABLE weir.t (a Int64) ENGINE = MergeTree ORDER BY a")
	s.Query(t, "INSERT INTO weir.t SELECT number FROM numbers(1000)")
	s.Kill()
	s.Restart(t)
	require.Equal(t, "1000", s.Query(t, "SELECT count() FROM weir.t"))
}
