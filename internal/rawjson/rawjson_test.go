package rawjson

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// The walker agrees with encoding/json on every valid document, and never
// leaves its bounds on any other.
func FuzzWalker(f *testing.F) {
	for _, s := range []string{`{"a":1,"b":"x\"y\\","c":[1,{"d":null}],"e":{}}`, `{ "a" : [ ] , "b" : {"c":"}"} }`, `{"a\u0041":"\ud83d\ude00"}`, `{"a":-1.5e3}`, `{`, `"`, `{"a":"\\`, `[1,`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		walk(doc, 0)
		var want map[string]json.RawMessage
		if json.Unmarshal([]byte(doc), &want) != nil || want == nil {
			return
		}
		got := map[string]string{}
		trimmed := bytes.TrimSpace([]byte(doc))
		for m := Members(string(trimmed)); ; {
			name, v, ok := m.Next()
			if !ok {
				break
			}
			require.Equal(t, v, string(trimmed)[m.End()-len(v):m.End()])
			var key string
			require.NoError(t, json.Unmarshal([]byte(`"`+name+`"`), &key))
			got[key] = v
		}
		require.Len(t, got, len(want))
		for k, v := range want {
			require.Equal(t, string(v), got[k])
			var s string
			if json.Unmarshal(v, &s) == nil && len(v) > 0 && v[0] == '"' && json.Valid(v) && !bytes.Contains(v, []byte(`\ud`)) && !bytes.Contains(v, []byte(`\uD`)) {
				require.Equal(t, s, string([]rune(Text(got[k]))))
			}
		}
	})
}

func walk(v string, depth int) {
	if depth > 50 {
		return
	}
	for f := Members(v); ; {
		_, inner, ok := f.Next()
		if !ok {
			break
		}
		Text(inner)
		walk(inner, depth+1)
	}
	for e := Elements(v); ; {
		inner, ok := e.Next()
		if !ok {
			return
		}
		walk(inner, depth+1)
	}
}

func TestBlank(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{"a":1}`: `{"a":1}`,
		`{"x":[{"secret":[{"v":"1]"},2]},{"secret" : "s\"" }],"y":"secret"}`: `{"x":[{"secret":"[removed]"},{"secret" : "[removed]" }],"y":"secret"}`,
		`{"text":"{\"secret\":1}"}`: `{"text":"{\"secret\":1}"}`,
		`{"secret":`:                `{"secret":"[removed]"`,
		`"secret"`:                  `"secret"`,
	} {
		require.Equal(t, want, Blank(in, "secret", "[removed]"), in)
	}
}
