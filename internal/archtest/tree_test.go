package archtest

import (
	"bytes"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	sinkregistry "weir/sinks/registry"
	sourceregistry "weir/sources/registry"
)

// Every connector and every sink driver stands in its registry, under the name
// of its folder and in alphabetical order.
func TestRegistries(t *testing.T) {
	t.Parallel()
	var apps, types []string
	for _, c := range sourceregistry.All {
		apps = append(apps, strings.ReplaceAll(c.App, "_", "")) // which package names do without
	}
	for _, d := range sinkregistry.All {
		types = append(types, d.Type)
	}
	root := repository(t)
	require.Equal(t, folders(t, root, "sources"), apps, "sources/registry must list every folder of sources")
	require.Equal(t, folders(t, root, "sinks"), types, "sinks/registry must list every folder of sinks")
}

// shared are folders beside the connectors and drivers that are none.
var shared = []string{"registry", "httpx", "auth"}

// folders returns the packages directly below dir, shared ones and test suites
// apart.
func folders(t *testing.T, root, dir string) []string {
	t.Helper()
	found := map[string]bool{}
	for _, name := range files(t, root) {
		base := path.Base(path.Dir(name))
		if path.Dir(path.Dir(name)) == dir && strings.HasSuffix(name, ".go") && !slices.Contains(shared, base) && !strings.HasSuffix(base, "test") {
			found[base] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

const maxLines = 700

func TestFilesAreShort(t *testing.T) {
	t.Parallel()
	root := repository(t)
	for _, name := range files(t, root) {
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") || strings.HasPrefix(path.Base(name), "zz_gen") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		require.LessOrEqual(t, bytes.Count(data, []byte("\n")), maxLines, "%s is too long to be read from top to bottom", name)
	}
}

// foreign are the hosts of package registries and the folders of one machine,
// neither of which belong into a repository. They are written so that this
// file does not hold them.
var foreign = regexp.MustCompile(strings.NewReplacer("~", "").Replace(
	`proxy\.go~lang\.org|sum\.go~lang\.org|registry\.npm~js\.org|registry\.yarn~pkg\.com|py~pi\.org|crates~\.io|deb\.deb~ian\.org|` +
		`(^|[^\w./~-])/(wo~rk|ro~ot|ho~me/\w+|tm~p/w)/`))

// vendorPaths are the ends of vendors' paths that look like a folder of a machine.
var vendorPaths = strings.NewReplacer("/root/delta", "") // a drive's, of Microsoft Graph

func TestNothingForeign(t *testing.T) {
	t.Parallel()
	root := repository(t)
	for _, name := range files(t, root) {
		data, err := os.ReadFile(filepath.Join(root, name))
		require.NoError(t, err)
		for n, line := range bytes.Split(data, []byte("\n")) {
			if m := foreign.FindString(vendorPaths.Replace(string(line))); m != "" {
				t.Errorf("%s:%d: %q does not belong into the repository", name, n+1, m)
			}
		}
	}
}
