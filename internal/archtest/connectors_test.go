package archtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What a connector must not name, by import path: it never sleeps, retries,
// measures or opens connections of its own. Whoever runs it does.
var notInConnectors = map[string][]string{
	"time":                        {"Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker", "Now", "Since", "Until"},
	"net/http":                    {"Client", "DefaultClient", "Transport", "DefaultTransport", "Get", "Head", "Post", "PostForm", "NewRequest", "NewRequestWithContext"},
	"net":                         {"Dial", "DialTimeout", "Dialer", "Listen"},
	"os/exec":                     {"*"},
	"os/signal":                   {"*"},
	"github.com/cenkalti/backoff": {"*"},
	"golang.org/x/time/rate":      {"*"},
}

// ownTransport are connectors whose vendor's SDK brings its own protocol work
// (request signing): they set it up themselves.
var ownTransport = map[string]string{
	"sources/aws": "the AWS SDK signs requests; its retries are off",
}

func TestConnectorsOnlyConnect(t *testing.T) {
	t.Parallel()
	root := repository(t)
	seen := 0
	for _, name := range files(t, root) {
		dir := path.Dir(name)
		connector := match("sources/*", dir) && !match("sources/registry sources/httpx sources/auth", dir)
		if !connector || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			continue
		}
		seen++
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, filepath.Join(root, name), nil, 0)
		require.NoError(t, err)
		local := map[string]string{} // import path by the name it has in this file
		for _, i := range f.Imports {
			p := strings.Trim(i.Path.Value, `"`)
			as := path.Base(p)
			if i.Name != nil {
				as = i.Name.Name
			}
			local[as] = p
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s: a connector starts no goroutine", set.Position(g.Pos()))
			}
			s, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			x, ok := s.X.(*ast.Ident)
			if !ok {
				return true
			}
			for pkg, names := range notInConnectors {
				if imp := local[x.Name]; imp != pkg && !strings.HasPrefix(imp, pkg+"/v") {
					continue
				}
				if _, own := ownTransport[dir]; own && (pkg == "net/http" || pkg == "net") {
					continue
				}
				for _, never := range names {
					if never == "*" || never == s.Sel.Name {
						t.Errorf("%s: a connector does not use %s.%s", set.Position(s.Pos()), pkg, s.Sel.Name)
					}
				}
			}
			return true
		})
	}
	require.Positive(t, seen)
}
