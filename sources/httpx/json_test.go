package httpx

import (
	"bytes"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
)

func answerOf(body string) *Response {
	return &Response{Status: 200, Header: http.Header{"Content-Type": {"text/html"}}, Body: []byte(body), Endpoint: "GET /x"}
}

func collect(seq iter.Seq2[jsontext.Value, error]) (out []string, err error) {
	for v, e := range seq {
		if e != nil {
			return out, e
		}
		out = append(out, string(v))
	}
	return out, nil
}

func TestDecode(t *testing.T) {
	t.Parallel()
	var v struct {
		A int    `json:"a"`
		B string `json:"b"`
	}
	require.NoError(t, Decode(answerOf(` {"a":1,"a":2,"other":[],"b":"x`+"\xff"+`"} `), &v))
	require.Equal(t, 2, v.A)
	for body, class := range map[string]fault.Class{
		`<html>`: fault.Transient, ``: fault.Transient, `{"a":1`: fault.Transient, `{"a":1}x`: fault.Transient, `{"a":"x","b":`: fault.Transient,
		`{"a":"x"}`: fault.BadData, `[]`: fault.BadData, `"x"`: fault.BadData,
	} {
		err := Decode(answerOf(body), &v)
		require.Equal(t, class, fault.Of(err), "%s: %v", body, err)
		require.ErrorContains(t, err, "GET /x")
	}
}

func TestElements(t *testing.T) {
	t.Parallel()
	f := func(body string, want ...string) {
		t.Helper()
		r := answerOf(body)
		got, err := collect(Elements(r))
		require.NoError(t, err)
		require.Equal(t, want, got)
		got, err = collect(ElementsAt(answerOf(`{"a":[0],"value" : `+body+`,"b":{"value":[7]}}`), "value"))
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	f(`[]`)
	f(" [ 1 ,{\"a\": [1, 2] } , null,\"x\xff\"\n] ", "1", `{"a": [1, 2] }`, "null", "\"x\xff\"")
	f(`[{"id":1,"id":2},[],{}]`, `{"id":1,"id":2}`, `[]`, `{}`)

	for body, class := range map[string]fault.Class{
		`<html>`: fault.Transient, ``: fault.Transient, `[{},{}`: fault.Transient, `[{},]`: fault.Transient, `[{}] [`: fault.Transient, `[1] 2`: fault.Transient, `[{}]}`: fault.Transient,
		`{"message":"no"}`: fault.BadData, `null`: fault.BadData, `1`: fault.BadData, `{"message":`: fault.Transient,
	} {
		got, err := collect(Elements(answerOf(body)))
		require.Empty(t, got, "the error comes first")
		require.Equal(t, class, fault.Of(err), "%s: %v", body, err)
	}
	for body, class := range map[string]fault.Class{
		`{"value":[1,2]`: fault.Transient, `{"value":[1,2],"x":`: fault.Transient, `{"value":[1]}x`: fault.Transient, ``: fault.Transient, `{"value":[1,2}`: fault.Transient,
		`{}`: fault.BadData, `{"other":[1]}`: fault.BadData, `[]`: fault.BadData, `{"value":{}}`: fault.BadData, `{"value":"x"}`: fault.BadData, `{"value":{}`: fault.Transient,
	} {
		got, err := collect(ElementsAt(answerOf(body), "value"))
		require.Empty(t, got)
		require.Equal(t, class, fault.Of(err), "%s: %v", body, err)
	}
	got, err := collect(ElementsAt(answerOf(`{"value":[1],"value":null}`), "value"))
	require.NoError(t, err)
	require.Empty(t, got)
}

// What is yielded aliases the body, and stays.
func TestElementsAlias(t *testing.T) {
	t.Parallel()
	r := answerOf(pageOf(500))
	before := bytes.Clone(r.Body)
	var all []jsontext.Value
	for v, err := range Elements(r) {
		require.NoError(t, err)
		all = append(all, v)
		if len(all) == 400 {
			break
		}
	}
	require.Equal(t, before, r.Body)
	for i, v := range all {
		require.Contains(t, string(v), fmt.Sprintf(`"id":"%d"`, i))
	}
	all[0][0] = '!'
	require.Equal(t, byte('!'), r.Body[1])
	require.Equal(t, len(all[0]), cap(all[0]))
}

func FuzzElements(f *testing.F) {
	for _, s := range []string{`[1,{"a":2}]`, `{"value":[1,[2]],"x":null}`, `[`, `{"value":[1}`, "[\"\\ud800\"]"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for i, seq := range []iter.Seq2[jsontext.Value, error]{Elements(&Response{Body: body}), ElementsAt(&Response{Body: body}, "value")} {
			n := 0
			for v, err := range seq {
				if err != nil {
					require.Zero(t, n)
					break
				}
				require.True(t, jsontext.Value(body).IsValid(lenient, lenientUTF8), "%d", i)
				require.True(t, v.IsValid(lenient, lenientUTF8))
				n++
			}
		}
	})
}

func pageOf(n int) string {
	var b strings.Builder
	b.WriteByte('[')
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":"%d","actor":{"id":"00u1","type":"User","alternateId":"ann@acme.example"},"client":{"ip":"192.0.2.1","agent":"Mozilla/5.0 (X11)"},"outcome":{"result":"SUCCESS","reason":null},"target":[{"id":"0oa1","type":"AppInstance","displayName":"Wiki \"two\""}],"debug":%q}`, i, strings.Repeat("x", 700))
	}
	b.WriteByte(']')
	return b.String()
}

// One pass over the page, one allocation for where its elements stand.
func BenchmarkElements(b *testing.B) {
	for name, body := range map[string]string{"array": pageOf(1000), "member": `{"value":` + pageOf(1000) + `}`} {
		b.Run(name, func(b *testing.B) {
			r := answerOf(body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				n := 0
				seq := Elements(r)
				if name == "member" {
					seq = ElementsAt(r, "value")
				}
				for _, err := range seq {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				if n != 1000 {
					b.Fatal(n)
				}
			}
		})
	}
}
