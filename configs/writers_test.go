package configs

import (
	"bytes"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/secret"
	"weir/internal/setting"
	"weir/sources"
)

// The example of any declarations loads, with its lines switched on too.
func TestExampleOfAnything(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.NoError(t, WriteExample(&b, fakeApps, fakeDrivers))
	text := b.String()
	load(t, text, "CLIENT_SECRET=x")
	on := regexp.MustCompile(`(?m)^( *)#([a-z_]+:)`).ReplaceAllString(text, "$1$2")
	cfg := load(t, on)
	agent := newAgent()
	agent.Key = secret.New("${file:/etc/weir/key}") // an example: it has no default
	require.Equal(t, agent, cfg.Agent)
	require.Equal(t, "weir", cfg.Instances[0].Config.(*fakeApp).Auth.ClientID)
	for _, line := range []string{
		"      #mode: safe\n", "      #accounts: []\n", "      #settle: 2s\n", "      url: \"s3://acme/logs\"\n", "    #org: \"\"\n",
		"      # how: fast or safe\n", "      #token: \"${env:TOKEN}\"\n", "  #listen: 127.0.0.1:8480\n",
	} {
		require.Contains(t, text, line)
	}
}

func TestExampleNeedsExamples(t *testing.T) {
	t.Parallel()
	type noExample struct {
		setting.Struct
		Path string `key:"path,required"`
	}
	app := &sources.Connector{App: "x", Config: func() setting.Struct { return &noExample{} }}
	err := WriteExample(&bytes.Buffer{}, []*sources.Connector{app}, nil)
	require.EqualError(t, err, "x.path: a required key needs an example")
}

func TestReferenceEscapes(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.NoError(t, WriteMarkdown(&b, fakeApps, fakeDrivers))
	require.Contains(t, b.String(), "| `trail.since` | text |  | oldest day \\| or age; such as `90d` |\n")
	require.Contains(t, b.String(), "| `auth.client_id` | text | required | client; such as `weir` |\n")
	for line := range strings.SplitSeq(b.String(), "\n") {
		require.NotContains(t, line, "%!", line)
	}
}

func TestDeclarationsThatBreakTheRules(t *testing.T) {
	t.Parallel()
	for _, s := range []any{
		struct {
			A float64 `key:"a"`
		}{},
		struct {
			A []int `key:"a"`
		}{},
		struct {
			A *string `key:"a"`
		}{},
		struct {
			A map[string]string `key:"a"`
		}{},
		struct {
			A string `key:"a.b"`
		}{},
		struct {
			A string `key:""`
		}{},
	} {
		require.Panics(t, func() { fieldsOf(reflect.TypeOf(s)) }, "%T", s)
	}
}

func TestSplice(t *testing.T) {
	t.Parallel()
	got, err := Splice([]byte("a\n"+spliceBegin+"old\n"+spliceEnd+"z\n"), []byte("new\n"))
	require.NoError(t, err)
	require.Equal(t, "a\n"+spliceBegin+"new\n"+spliceEnd+"z\n", string(got))
	_, err = Splice([]byte("a\n"), nil)
	require.ErrorContains(t, err, "are missing")
}
