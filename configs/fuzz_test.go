package configs

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// No bytes make Load panic, take long, or fail without saying why.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.yaml")
	require.NoError(f, err)
	for _, name := range append(files, "testdata/good.yaml") {
		data, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(data, "")
	}
	f.Add([]byte(minimal), "WEIR_SINKS__MY_LAKE__PATH=/x")
	f.Fuzz(func(t *testing.T, data []byte, env string) {
		if len(data) > maxFile {
			return
		}
		start := time.Now()
		cfg, err := parse("weir.yaml", data, []string{env}, fakeApps, fakeDrivers)
		if took := time.Since(start); took > 10*time.Second {
			t.Fatalf("took %s", took)
		}
		if err == nil {
			require.NotEmpty(t, cfg.Sinks)
			require.NotEmpty(t, cfg.Instances)
			return
		}
		var errs Errors
		require.True(t, errors.As(err, &errs), "%v", err)
		require.NotEmpty(t, errs)
	})
}

// Shapes on which the YAML parser, left alone, takes minutes.
func TestLoadIsBounded(t *testing.T) {
	t.Parallel()
	const n = maxFile / 2
	many := func(format string) string {
		var b strings.Builder
		for i := 0; b.Len() < n-32; i++ {
			b.WriteString(strings.ReplaceAll(format, "#", strings.Repeat("x", i%7)+string(rune('a'+i%26))+strings.Repeat("y", i/26%97)))
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"brackets":      strings.Repeat("[", n),
		"braces":        strings.Repeat("{", n),
		"bracket lines": strings.Repeat("[\n", n/2),
		"dashes":        strings.Repeat("- ", n/2),
		"questions":     strings.Repeat("? ", n/2),
		"anchors":       strings.Repeat("&a ", n/3),
		"tags":          strings.Repeat("!a ", n/3),
		"aliases":       strings.Repeat("*a ", n/3),
		"merges":        strings.Repeat("<<: ", n/4),
		"colons":        strings.Repeat(": ", n/2),
		"keys in line":  strings.Repeat("a: ", n/3),
		"quotes":        strings.Repeat(`"a" `, n/4),
		"flow list":     "a: [" + strings.Repeat("b, ", n/3) + "]",
		"list lines":    "a: [" + strings.Repeat("b,\n ", n/4) + "]",
		"flow map":      "a: {" + many("#: b, ") + "}",
		"keys":          many("#: v\n"),
		"flow keys":     "a: {" + many("#: v,\n ") + "}",
		"list":          strings.Repeat("- a\n", n/4),
		"documents":     strings.Repeat("---\n", n/4),
		"comments":      strings.Repeat("#\n", n/2),
		"block":         "a: |\n" + strings.Repeat("  b\n", n/4),
		"stairs": func() string {
			var b strings.Builder
			for i := 0; b.Len() < n-2000; i++ {
				b.WriteString(strings.Repeat(" ", i) + "a:\n")
			}
			return b.String()
		}(),
		"full sections": func() string {
			var b strings.Builder
			for i := 0; b.Len() < n/4; i++ {
				b.WriteString(string(rune('a'+i)) + ":\n")
				for j := range maxKeys {
					b.WriteString("  " + string(rune('a'+j%26)) + strings.Repeat("z", j/26%7) + string(rune('a'+j/182)) + ": 1\n")
				}
			}
			return b.String()
		}(),
	} {
		t.Run(name, func(t *testing.T) {
			if len(text) > n {
				text = text[:n]
			}
			start := time.Now()
			_, err := parse("weir.yaml", []byte(text), nil, fakeApps, fakeDrivers)
			require.Error(t, err)
			took := time.Since(start)
			t.Log(took)
			require.Less(t, took, 30*time.Second)
		})
	}
}
