package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox/org"
)

func TestBuiltinScenarios(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"cursor_expiry", "cut", "duplicates", "expired_token", "html", "late", "missing_scope", "mixed", "none", "storm429", "storm5xx"}, Builtin())
	doc, err := os.ReadFile(filepath.Join("..", "..", "docs", "sandbox.md"))
	require.NoError(t, err)
	for _, name := range Builtin() {
		s, err := LoadScenario(name)
		require.NoError(t, err)
		require.NotEmpty(t, s.Doc, name)
		require.Contains(t, string(doc), "| `"+name+"` |")
		for _, f := range s.Faults {
			require.True(t, f.Count > 0 || f.Until > 0, "%s must come to an end, so that all is collected at last", name)
		}
	}
	for _, k := range kinds {
		require.Contains(t, string(doc), "| `"+string(k)+"` |")
	}
}

func TestParseScenario(t *testing.T) {
	t.Parallel()
	s, err := ParseScenario("f", []byte(`
doc: x
log: {late: 0.1, late_max: 1d, duplicates: 1}
faults:
  - kind: storm
    app: okta
    endpoint: /api/v1/**
    until: 1d
    share: 0.5
`))
	require.NoError(t, err)
	require.Equal(t, &Scenario{
		Name: "f", Doc: "x", Log: org.Log{Late: 0.1, LateMax: 24 * time.Hour, Duplicates: 1},
		Faults: []Fault{{Kind: Storm, App: "okta", Endpoint: "/api/v1/**", Until: 24 * time.Hour, Share: 0.5, Status: 429, For: 30 * time.Second}},
	}, s)
}

func TestScenarioErrors(t *testing.T) {
	t.Parallel()
	f := func(text string, want ...string) {
		t.Helper()
		_, err := ParseScenario("file.yaml", []byte(text))
		require.Error(t, err, text)
		for _, w := range want {
			require.Contains(t, err.Error(), w)
		}
	}
	fault := func(text string, want ...string) {
		t.Helper()
		f("doc: x\nfaults:\n  - {kind: html}\n  - "+text, append(want, "file.yaml:4: ")...)
	}
	f("doc: x\nfautls: []", "file.yaml:2: ", "fautls")
	f("doc: [", "file.yaml:1: ")
	f("faults: 3", "file.yaml:1: ")
	f("log:\n  late: 2", "file.yaml:2: log.late: want a share")
	f("log:\n  late: .nan", "want a share")
	f("log:\n  equal: 1", "stand still")
	f("log: {late: 0.6, out_of_order: 0.6}", "more than 1 together")
	f("a: &x 1\nb: *x", "file")
	f("doc: a\n---\ndoc: b", "several documents")
	fault("{kind: none}", "faults[1].kind", "want one of status storm")
	fault("{kind: html, share: 0}", "faults[1].share")
	fault("{kind: html, share: 1.5}", "faults[1].share")
	fault("{kind: html, statsu: 500}", "statsu")
	fault("{kind: html, from: 1x}", "faults[1].from", "is no duration")
	fault("{kind: html, from: 2h, until: 1h}", "not later")
	fault("{kind: html, status: 500}", "does not belong to html")
	fault("{kind: status, status: 200}", "want a status")
	fault("{kind: lost, for: 1s}", "does not belong to lost")
	fault("{kind: truncate, length: odd}", "right or wrong")
	fault("{kind: missing_scope}", "want scopes")
	fault("{kind: html, endpoint: 'users'}", "want a path")
	fault("{kind: html, endpoint: '/['}", "no pattern")
	fault("{kind: html, method: get}", "want GET")
	fault("{kind: html, count: -1}", "less than 0")
	_, err := LoadScenario("nowhere")
	require.ErrorContains(t, err, "storm429")
	s := &Scenario{Name: "f", Faults: []Fault{{Kind: HTML, App: "none"}}}
	require.ErrorContains(t, s.Check([]Vendor{{App: "okta"}}), "faults[0].app")
	require.NoError(t, s.Check([]Vendor{{App: "none"}}))
}

func TestMatchPath(t *testing.T) {
	t.Parallel()
	f := func(pattern, path string, want bool) {
		t.Helper()
		require.Equal(t, want, matchPath(pattern, path), "%s %s", pattern, path)
	}
	f("/api/v1/users", "/api/v1/users", true)
	f("/api/v1/users", "/api/v1/users/1", false)
	f("/api/v1/users/*", "/api/v1/users/1", true)
	f("/api/v1/users/*", "/api/v1/users/1/roles", false)
	f("/api/v1/**", "/api/v1/users/1/roles", true)
	f("/api/v1/**", "/api/v1", false)
	f("/*/v1/**", "/api/v1/x", true)
	f("**", "/api/v1", true)
}

func FuzzParseScenario(f *testing.F) {
	for _, name := range Builtin() {
		data, err := builtin.ReadFile("scenarios/" + name + ".yaml")
		require.NoError(f, err)
		f.Add(string(data))
	}
	f.Add("faults:\n  - {kind: truncate, length: right}\n")
	f.Add("? [a]\n: b")
	f.Add("a: &a [*a]")
	f.Add("faults: [{kind: html, endpoint: '['}]")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseScenario("fuzz", []byte(text))
		if err != nil {
			require.Nil(t, s)
			return
		}
		for _, fault := range s.Faults {
			require.Contains(t, kinds, fault.Kind)
			require.True(t, fault.Share > 0 && fault.Share <= 1)
			require.False(t, strings.HasPrefix(fault.Endpoint, "users"))
		}
	})
}
