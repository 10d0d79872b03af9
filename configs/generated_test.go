package configs_test

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"weir/configs"
	"weir/sinks"
	sinkregistry "weir/sinks/registry"
	"weir/sources"
	sourceregistry "weir/sources/registry"
)

func TestGeneratedFilesAreUpToDate(t *testing.T) {
	t.Parallel()
	const how = "run make generate"
	require.Equal(t, string(read(t, "weir.example.yaml")), write(t, configs.WriteExample), how)
	require.Equal(t, string(read(t, "weir.schema.json")), write(t, configs.WriteJSONSchema), how)
	page := read(t, "../docs/configuration.md")
	want, err := configs.Splice(page, []byte(write(t, configs.WriteMarkdown)))
	require.NoError(t, err)
	require.Equal(t, string(page), string(want), how)
}

// The example loads as it stands, and so it does with every line switched on.
func TestExampleLoads(t *testing.T) {
	t.Parallel()
	text := write(t, configs.WriteExample)
	all := switchOn(text)
	require.NotEqual(t, text, all)
	for name, text := range map[string]string{"as it stands": text, "all on": all} {
		path := filepath.Join(t.TempDir(), "weir.yaml")
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		cfg, err := configs.Load(path, nil, sourceregistry.All, sinkregistry.All)
		require.NoError(t, err, name)
		require.Len(t, cfg.Sinks, len(sinkregistry.All))
		require.Len(t, cfg.Instances, len(sourceregistry.All))
		require.Empty(t, cfg.Literals())
	}
}

var switchedOff = regexp.MustCompile(`(?m)^( *)#([a-z_]+:)`)

func switchOn(text string) string { return switchedOff.ReplaceAllString(text, "$1$2") }

// A full disk must not stop both: the example keeps the lake off the volume
// of the state.
func TestExampleKeepsTheLakeAway(t *testing.T) {
	t.Parallel()
	text := switchOn(write(t, configs.WriteExample))
	paths := regexp.MustCompile(`(?m)^ +(?:path|data_dir): (\S+)`).FindAllStringSubmatch(text, -1)
	require.GreaterOrEqual(t, len(paths), 2)
	for i, a := range paths {
		for _, b := range paths[:i] {
			require.NotEqual(t, strings.Split(a[1], "/")[1], strings.Split(b[1], "/")[1])
		}
	}
}

func TestSchema(t *testing.T) {
	t.Parallel()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(write(t, configs.WriteJSONSchema)))
	require.NoError(t, err)
	c := jsonschema.NewCompiler()
	require.NoError(t, c.AddResource("weir.schema.json", doc))
	schema, err := c.Compile("weir.schema.json")
	require.NoError(t, err, "the schema itself")

	validate := func(text string) error {
		j, err := yaml.YAMLToJSON([]byte(text))
		require.NoError(t, err)
		v, err := jsonschema.UnmarshalJSON(bytes.NewReader(j))
		require.NoError(t, err)
		return schema.Validate(v)
	}
	example := write(t, configs.WriteExample)
	require.NoError(t, validate(example))
	require.NoError(t, validate(switchOn(example)))

	const good = `sinks: {lake: {type: parquet, path: /srv/lake, max_delay: 1d12h, target_size: 128 MB}}
instances: {acme: {app: aws, cloudtrail: {url: "file:///logs", bucket_owner: 111111111111}, streams: {activities: }}}
`
	require.NoError(t, validate(good))
	for from, to := range map[string]string{
		"sinks:":              "sink:",
		"lake:":               "Lake:",
		"type: parquet":       "type: parrot",
		"path: /srv/lake, ":   "",
		"path:":               "paths:",
		"max_delay: 1d12h":    "max_delay: 5 parsecs",
		"max_delay: 1d12h,":   "max_delay: 30,",
		"target_size: 128 MB": "target_size: 128 parrots",
		"app: aws, ":          "",
		"app: aws":            "app: gcp",
		"cloudtrail:":         "cloudtrial:",
		`url: "file:///logs"`: `url: ""`,
		"{activities: }":      "{activites: }",
		"{activities: }}":     "{activities: {every: []}}}",
		"streams:":            "enabled: yes, streams:",
		"streams: ":           "raw: maybe, streams: ",
		"instances: {acme: {": "agent: {listne: x}\ninstances: {acme: {",
		"sinks: {":            "agent: []\nsinks: {",
	} {
		bad := strings.Replace(good, from, to, 1)
		require.NotEqual(t, good, bad, from)
		require.Error(t, validate(bad), bad)
	}
}

// A connector's keys stand beside those of every instance, a driver's beside
// the sink's type.
func TestKeysDoNotCollide(t *testing.T) {
	t.Parallel()
	common := append(keys(reflect.TypeFor[configs.Common]()), "app", "streams")
	apps, types := map[string]bool{}, map[string]bool{}
	for _, a := range sourceregistry.All {
		require.False(t, apps[a.App], "two connectors are called %s", a.App)
		apps[a.App] = true
		all := append(keys(reflect.TypeOf(a.Config()).Elem()), common...)
		slices.Sort(all)
		require.Equal(t, slices.Compact(slices.Clone(all)), all, a.App)
		require.NotEmpty(t, a.Title)
		for _, s := range a.Streams {
			require.NotEmpty(t, s.Doc, "%s %s", a.App, s.Name)
			require.Positive(t, s.Every, "%s %s", a.App, s.Name)
		}
	}
	for _, d := range sinkregistry.All {
		require.False(t, types[d.Type], "two drivers are called %s", d.Type)
		types[d.Type] = true
		all := append(keys(reflect.TypeOf(d.Config()).Elem()), "type")
		slices.Sort(all)
		require.Equal(t, slices.Compact(slices.Clone(all)), all, d.Type)
		require.NotEmpty(t, d.Doc)
	}
}

func keys(t reflect.Type) (out []string) {
	for i := range t.NumField() {
		f := t.Field(i)
		key, option, _ := strings.Cut(f.Tag.Get("key"), ",")
		switch {
		case option == "inline":
			out = append(out, keys(f.Type)...)
		case key != "":
			out = append(out, key)
		}
	}
	return out
}

func write(t *testing.T, f func(io.Writer, []*sources.Connector, []*sinks.Driver) error) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, f(&b, sourceregistry.All, sinkregistry.All))
	return b.String()
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return b
}
