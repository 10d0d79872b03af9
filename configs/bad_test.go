package configs

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Each file in testdata/bad is refused with the messages in the .txt beside it.
// Lines "# env: NAME=value" at its top are the environment.
func TestBad(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/bad/*.yaml")
	require.NoError(t, err)
	require.Greater(t, len(files), 35)
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".yaml"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(name)
			require.NoError(t, err)
			var env []string
			for line := range strings.SplitSeq(string(data), "\n") {
				if e, ok := strings.CutPrefix(line, "# env: "); ok {
					env = append(env, e)
				}
			}
			cfg, err := parse("weir.yaml", data, env, fakeApps, fakeDrivers)
			require.Nil(t, cfg)
			require.IsType(t, Errors{}, err)
			got := err.Error() + "\n"
			require.NotContains(t, got, "hunter2", "a secret")
			golden := strings.TrimSuffix(name, ".yaml") + ".txt"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}
