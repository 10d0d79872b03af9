package pipeline

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/sources"
)

// Every word that a small value's name begins with, behind which an instance is,
// is known to what forgets and renames instances.
func TestInstanceWords(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	var words []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		require.NoError(t, err)
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || !strings.HasPrefix(spec.Names[0].Name, "meta") || len(spec.Values) != 1 {
				return true
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				word, err := strconv.Unquote(lit.Value)
				require.NoError(t, err)
				if strings.HasSuffix(word, "/") {
					words = append(words, word)
				}
			}
			return true
		})
	}
	require.ElementsMatch(t, words, instanceWords)
}

// instanceValues sets, of an instance, every small value there is, and a lane, a
// hole and an unreplayed letter of each kind.
func instanceValues(t *testing.T, st State, name string) {
	t.Helper()
	id := StreamID{name, "activities"}
	require.NoError(t, st.Update(t.Context(), func(tx Tx) error {
		var errs []error
		for _, word := range instanceWords {
			errs = append(errs, tx.SetMeta(word+name, "v"), tx.SetMeta(word+id.String(), "v"), tx.SetMeta(word+id.String()+"/24h", "v"))
		}
		return errors.Join(append(errs,
			tx.AddLanes(id, []sources.Lane{{ID: "lane"}}, time.Now()),
			tx.Hole(id, Hole{Span: Span{From: time.UnixMilli(1), To: time.UnixMilli(2)}}, time.Now()),
			tx.AddDeadLetter(DeadLetter{ID: name + " row", Kind: DeadRow, StreamID: id}),
			tx.AddDeadLetter(DeadLetter{ID: name + " part", Kind: DeadPart, StreamID: id}))...)
	}))
}

func values(t *testing.T, st State) map[string]string {
	t.Helper()
	keys, err := query(t.Context(), st.(*sqliteState).read, scanOne[string], `SELECT key FROM meta`)
	require.NoError(t, err)
	out := map[string]string{}
	for _, k := range keys {
		out[k], err = st.Meta(t.Context(), k)
		require.NoError(t, err)
	}
	delete(out, "generation")
	return out
}

// Whatever instances are called, renaming one, or forgetting it, touches nothing
// of another, nor of governance; and what was left of one that had the new name
// does not stand in the way.
func TestRenameTouchesNobodyElse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	st, err := OpenState(t.Context(), dir)
	require.NoError(t, err)
	names := []string{"a", "a_b", "axb", "a-b", "ab", "activities", "paused", "poll", "tenant"}
	for _, name := range names {
		instanceValues(t, st, name)
	}
	require.NoError(t, st.Update(t.Context(), func(tx Tx) error {
		return errors.Join(tx.SetMeta(MetaGovernancePaused, GovernanceResumed), tx.SetMeta("governance/poll", "{}"), tx.SetMeta(metaTrouble+"new-a_b/activities", "left"))
	}))
	want := values(t, st)
	require.NoError(t, st.Close())
	for _, old := range names {
		calls := 0
		require.NoError(t, RenameInstance(t.Context(), dir, old, "new-"+old, func() error {
			calls++
			return nil
		}))
		require.Equal(t, 1, calls)
		for _, word := range instanceWords {
			for _, rest := range []string{"", "/activities", "/activities/24h"} {
				if word != metaGone || rest != "" {
					want[word+"new-"+old+rest] = "v"
				}
				delete(want, word+old+rest)
			}
		}
		st, err := ReadState(t.Context(), dir)
		require.NoError(t, err)
		require.Equal(t, want, values(t, st), old)
		row, err := st.DeadLetter(t.Context(), old+" row")
		require.NoError(t, err)
		require.Equal(t, "new-"+old, row.Instance, "it is mapped anew")
		part, err := st.DeadLetter(t.Context(), old+" part")
		require.NoError(t, err)
		require.Equal(t, old, part.Instance, "its rows bear that name")
		require.NoError(t, st.Close())
	}
	failed := errors.New("the secrets are locked")
	require.ErrorIs(t, RenameInstance(t.Context(), dir, "new-a", "a", func() error { return failed }), failed)

	st, err = OpenState(t.Context(), dir)
	require.NoError(t, err)
	require.Equal(t, want, values(t, st), "nothing was renamed")
	require.NoError(t, st.Update(t.Context(), func(tx Tx) error {
		more, err := tx.ForgetInstance("new-a", 10)
		require.False(t, more)
		return err
	}))
	maps.DeleteFunc(want, func(key, _ string) bool {
		_, of, _ := strings.Cut(key, "/")
		return of == "new-a" || strings.HasPrefix(of, "new-a/")
	})
	require.Equal(t, want, values(t, st))
	require.NoError(t, st.Close())
}
