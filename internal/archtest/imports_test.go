package archtest

import (
	"cmp"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "weir"

// helpers are the packages under internal that anybody may use: they know no
// other package of Weir but each other.
var helpers = []string{"internal/fault", "internal/setting", "internal/secret", "internal/durable", "internal/failpoint", "internal/ids", "internal/buildinfo"}

// Libraries that only some may know.
var (
	arrow      = []string{"github.com/apache/arrow-go"}
	warehouses = []string{"github.com/ClickHouse", "github.com/parquet-go"}
	vendors    = []string{"github.com/aws", "cloud.google.com", "google.golang.org/api", "github.com/Azure"}
	terminals  = []string{"github.com/alecthomas/kong", "github.com/jedib0t", "github.com/vbauerster"}
	settings   = []string{"github.com/knadh/koanf", "github.com/goccy/go-yaml"}
	metrics    = []string{"github.com/prometheus"}
	logs       = []string{"log"} // and log/slog
	databases  = []string{"database/sql", "modernc.org/sqlite"}
)

// rule says what packages may import, tests apart. Patterns are those of
// path.Match; the first rule that fits a package holds.
type rule struct {
	packages string     // patterns, separated by spaces
	weir     []string   // patterns of our own packages they may import
	never    [][]string // prefixes of others they may not import
}

var rules = []rule{
	{"schemas", []string{"internal/fault"}, [][]string{warehouses, vendors, terminals, settings, metrics, logs, databases}},
	{"sources", []string{"schemas", "sources/httpx", "sources/auth", "internal/setting", "internal/fault"}, [][]string{arrow, warehouses, vendors, terminals, settings, metrics, logs, databases}},
	{"sources/registry", []string{"sources", "sources/*"}, [][]string{arrow, warehouses}},
	{"sources/httpx", []string{"internal/fault"}, [][]string{arrow, warehouses, vendors, terminals, settings, metrics, logs, databases}},
	{"sources/auth", []string{"sources/httpx", "internal/fault", "internal/secret"}, [][]string{arrow, warehouses, vendors, terminals, settings, metrics, logs, databases}},
	{"sources/*", []string{"schemas", "sources", "sources/httpx", "sources/auth", "internal/fault", "internal/setting", "internal/secret", "internal/rawjson"}, [][]string{arrow, warehouses, terminals, settings, metrics, logs, databases}},
	{"sinks", []string{"schemas", "internal/setting"}, [][]string{arrow, warehouses, vendors, terminals, settings, metrics, logs, databases}},
	{"sinks/registry", []string{"sinks", "sinks/*"}, [][]string{vendors}},
	{"sinks/*", []string{"schemas", "sinks", "internal/fault", "internal/setting", "internal/secret", "internal/durable", "internal/failpoint", "internal/ids"}, [][]string{terminals, settings, metrics, logs}},
	{"pipeline", append([]string{"schemas", "sources", "sources/httpx", "sinks"}, helpers...), [][]string{arrow, warehouses, vendors, terminals, settings}},
	{"configs", []string{"sources", "sinks", "internal/fault", "internal/setting", "internal/secret"}, [][]string{arrow, warehouses, vendors, terminals, metrics, databases}},
	{"agent/govern", append([]string{"schemas", "sources", "sinks", "pipeline", "configs"}, helpers...), [][]string{arrow, warehouses, vendors, terminals, settings, databases}},
	{"agent", append([]string{"schemas", "sources", "sources/httpx", "sources/auth", "sinks", "pipeline", "configs", "agent/govern", "internal/vault"}, helpers...), [][]string{arrow, warehouses, vendors, terminals, settings, databases}},
	{".", []string{"internal/cli"}, [][]string{arrow, warehouses, vendors, terminals, settings, metrics, databases}},
	{"internal/fault", helpers, others},
	{"internal/rawjson", helpers, others},
	{"internal/setting", helpers, others},
	{"internal/secret", helpers, [][]string{arrow, warehouses, vendors, terminals, metrics, databases}}, // it hides itself from log/slog
	{"internal/durable", helpers, others},
	{"internal/failpoint", helpers, others},
	{"internal/ids", helpers, others},
	{"internal/buildinfo", helpers, others},
	{"internal/vault", helpers, others},
	// The sandbox knows no connector: it is written from the vendors' documentation.
	{"internal/sandbox/org", helpers, others},
	{"internal/sandbox", append([]string{"schemas", "internal/sandbox/org"}, helpers...), [][]string{arrow, warehouses, vendors, terminals, metrics, logs, databases}},
	{"internal/sandbox/all internal/sandbox/sandboxtest", []string{"schemas", "internal/sandbox", "internal/sandbox/*"}, others},
	{"internal/sandbox/*", append([]string{"schemas", "internal/sandbox", "internal/sandbox/org"}, helpers...), others},
	// The command line, test tools, generators and benchmarks may know everything.
	{"internal/* bench", []string{"*", "*/*", "*/*/*"}, nil},
}

var others = [][]string{arrow, warehouses, vendors, terminals, metrics, logs, databases}

func TestImports(t *testing.T) {
	t.Parallel()
	root := repository(t)
	for file, imports := range imports(t, root) {
		pkg := path.Dir(file)
		i := slices.IndexFunc(rules, func(r rule) bool { return match(r.packages, pkg) })
		if i < 0 {
			t.Errorf("%s: package %s has no place in the architecture: give it a rule in internal/archtest", file, pkg)
			continue
		}
		r := rules[i]
		for _, imp := range imports {
			if own, ok := strings.CutPrefix(imp, module+"/"); ok {
				if own != pkg && !slices.ContainsFunc(r.weir, func(p string) bool { return match(p, own) }) {
					t.Errorf("%s imports %s: %s may import only %s", file, imp, pkg, cmp.Or(strings.Join(r.weir, ", "), "nothing of Weir"))
				}
				continue
			}
			for _, never := range r.never {
				for _, p := range never {
					if imp == p || strings.HasPrefix(imp, p+"/") {
						t.Errorf("%s imports %s, which %s must not know", file, imp, pkg)
					}
				}
			}
		}
	}
}

// A rule that fits nothing, or that an earlier one hides, is a mistake.
func TestRulesAreUsed(t *testing.T) {
	t.Parallel()
	used := make([]bool, len(rules))
	for file := range imports(t, repository(t)) {
		if i := slices.IndexFunc(rules, func(r rule) bool { return match(r.packages, path.Dir(file)) }); i >= 0 {
			used[i] = true
		}
	}
	for i, r := range rules {
		require.True(t, used[i], "no package fits the rule of %q", r.packages)
	}
}

func match(patterns, pkg string) bool {
	for p := range strings.FieldsSeq(patterns) {
		if ok, err := path.Match(p, pkg); err == nil && ok {
			return true
		}
	}
	return false
}

// imports returns the imports of every Go file but tests, whatever its build
// tags, by path from the root.
func imports(t *testing.T, root string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	for _, name := range files(t, root) {
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, name), nil, parser.ImportsOnly)
		require.NoError(t, err)
		list := []string{}
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			require.NoError(t, err)
			list = append(list, p)
		}
		out[name] = list
	}
	return out
}

// repository returns the root of the tree.
func repository(t *testing.T) string {
	t.Helper()
	root, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	require.FileExists(t, filepath.Join(root, "go.mod"))
	return root
}

// files returns the tree's files with slashes, but for those below the folders
// that .gitignore names.
func files(t *testing.T, root string) (names []string) {
	t.Helper()
	skip := []string{".git"}
	ignored, err := os.ReadFile(filepath.Join(root, ".gitignore"))
	require.NoError(t, err)
	for line := range strings.Lines(string(ignored)) {
		if dir, ok := strings.CutPrefix(strings.TrimSpace(line), "/"); ok {
			skip = append(skip, strings.TrimSuffix(dir, "/"))
		}
	}
	require.NoError(t, fs.WalkDir(os.DirFS(root), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(skip, name):
			return fs.SkipDir
		case d.Type().IsRegular():
			names = append(names, name)
		}
		return nil
	}))
	return names
}
