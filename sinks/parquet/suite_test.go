package parquet_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/rowtest"
	"weir/internal/sinktest"
	"weir/schemas"
	"weir/sinks"
	"weir/sinks/parquet"
)

type place struct{ dir string }

func (p place) Open(t testing.TB) sinks.Sink {
	c := parquet.Driver.Config().(*parquet.Config)
	c.Path = filepath.Join(p.dir, "lake")
	s, err := parquet.Driver.Open(t.Context(), sinks.Env{Name: "lake", Version: "test", Clock: clockwork.NewRealClock()}, c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func (p place) Read(t testing.TB, table *schemas.Table) []rowtest.Row {
	rows, err := rowtest.LakeLog(t.Context(), filepath.Join(p.dir, "lake"), table, "")
	require.NoError(t, err)
	return rows
}

// Break puts a file where the lake's folder is. Root may do what permissions
// forbid, so they would be no obstacle.
func (p place) Break(t testing.TB) func() {
	lake, aside := filepath.Join(p.dir, "lake"), filepath.Join(p.dir, "aside")
	_, err := os.Stat(lake)
	existed := err == nil
	if existed {
		require.NoError(t, os.Rename(lake, aside))
	}
	require.NoError(t, os.WriteFile(lake, nil, 0o600))
	return func() {
		require.NoError(t, os.Remove(lake))
		if existed {
			require.NoError(t, os.Rename(aside, lake))
		}
	}
}

func TestSuite(t *testing.T) {
	sinktest.Run(t, sinktest.Fixture{New: func(t testing.TB) sinktest.Place { return place{t.TempDir()} }})
}
