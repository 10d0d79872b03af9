package failpoint

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every point has one declaration, is listed, and is met by code that is no
// test; and no code meets a name that is not declared here.
func TestPointsAreDeclaredAndMet(t *testing.T) {
	t.Parallel()
	declared := map[string]string{} // value by constant
	file, err := parser.ParseFile(token.NewFileSet(), "failpoint.go", nil, 0)
	require.NoError(t, err)
	for _, d := range file.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
			for _, s := range g.Specs {
				v := s.(*ast.ValueSpec)
				value, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
				require.NoError(t, err)
				declared[v.Names[0].Name] = value
			}
		}
	}
	var values []string
	for _, v := range declared {
		require.NotContains(t, values, v, "declared twice")
		values = append(values, v)
	}
	require.ElementsMatch(t, values, slices.Concat(All(), OfRemap(), OfActions()))

	met := map[string]bool{}
	root := filepath.Join("..", "..")
	require.NoError(t, filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (strings.HasPrefix(d.Name(), ".") && d.Name() != ".." || name == filepath.Join(root, "internal", "failpoint")) {
			if d != nil && d.IsDir() {
				return filepath.SkipDir
			}
			return err
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if p, ok := s.X.(*ast.Ident); ok && p.Name == "failpoint" {
					met[s.Sel.Name] = true
				}
			}
			if c, ok := n.(*ast.CallExpr); ok {
				if s, ok := c.Fun.(*ast.SelectorExpr); ok && s.Sel.Name == "Hit" && len(c.Args) == 1 {
					if p, ok := s.X.(*ast.Ident); ok && p.Name == "failpoint" {
						_, literal := c.Args[0].(*ast.BasicLit)
						require.False(t, literal, "%s: a fail point by a name that is not declared", name)
					}
				}
			}
			return true
		})
		return nil
	}))
	for c := range declared {
		require.True(t, met[c], "%s is declared, and no code meets it", c)
	}
	for c := range met {
		_, ok := declared[c]
		require.True(t, ok || slices.Contains([]string{"Hit", "All", "OfRemap", "OfActions"}, c), "%s is not declared", c)
	}
}
