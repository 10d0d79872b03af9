package configs

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"weir/sinks"
	"weir/sources"
)

const exampleHead = `# yaml-language-server: $schema=weir.schema.json
#
# Weir's configuration: every key there is. Copy it and keep what you need.
#
# A # right before a key switches the line off: it shows the default, or an
# example where there is none. To use one, remove the # and those of the
# sections around it.
#
# Durations: 30s, 5m, 1h30m, 7d, 2w. Sizes: 128MB, 2GiB.
# Secrets: "${env:NAME}" or "${file:/path}", read when they are used.
# Each key has an environment variable, with __ between levels and _ for -:
# WEIR_AGENT__DATA_DIR, WEIR_INSTANCES__ACME_AWS__RAW.
#
# Written from the code; make generate writes it anew.

`

// exampleWidth is where comments are wrapped.
const exampleWidth = 90

// exampleNames are names that say what a sink is for; others are called after
// their type.
var exampleNames = map[string]string{"parquet": "lake", "clickhouse": "warehouse"}

// WriteExample writes an example configuration that shows every key of the
// given connectors and sinks, and that loads as it stands.
func WriteExample(w io.Writer, apps []*sources.Connector, drivers []*sinks.Driver) error {
	e := &example{}
	e.WriteString(exampleHead)
	agent := newAgent()
	e.line(0, "agent:", false)
	e.fields("agent", 1, reflect.ValueOf(agent), false)

	e.line(0, "\nsinks:", false)
	for i, d := range drivers {
		if i > 0 {
			e.line(0, "", false)
		}
		name := exampleNames[d.Type]
		if name == "" {
			name = d.Type
		}
		e.comment(1, d.Doc)
		e.line(1, name+":", false)
		e.line(2, "type: "+d.Type, false)
		e.fields(d.Type, 2, defaultsOf(d.Config()), false)
		e.fields(d.Type, 2, reflect.ValueOf(SinkCommon{}), false)
	}

	e.line(0, "\ninstances:", false)
	for i, c := range apps {
		if i > 0 {
			e.line(0, "", false)
		}
		e.comment(1, c.Title)
		e.line(1, "acme-"+c.App+":", false)
		e.line(2, "app: "+c.App, false)
		e.fields(c.App, 2, defaultsOf(c.Config()), false)
		common := newCommon()
		if len(c.Actions) > 0 {
			common.Governance.Allow = []string{string(c.Actions[0].Action)}
		}
		e.fields(c.App, 2, reflect.ValueOf(common), false)
		e.line(2, "streams:", true)
		for _, s := range c.Streams {
			e.comment(3, s.Doc)
			e.line(3, s.Name+":", true)
			e.fields(c.App, 4, reflect.ValueOf(StreamSettings{Enabled: true, Every: s.Every, FullEvery: s.FullEvery}), true)
		}
	}
	e.line(0, "", false)
	e.comment(0, "where apps tell of changes, of instances with hooks: true; see docs/hooks.md")
	e.line(0, "#hooks:", false)
	e.fields("hooks", 1, reflect.ValueOf(Hooks{}), true)
	e.line(0, "", false)
	e.comment(0, "what may be changed at the vendors, by whom; see docs/governance.md")
	e.line(0, "#governance:", false)
	e.fields("governance", 1, reflect.ValueOf(newGovernance()), true)
	e.line(1, "#principals:", false)
	e.line(2, "#alice:", false)
	e.fields("principal", 3, reflect.ValueOf(Principal{}), true)
	if e.err != nil {
		return e.err
	}
	_, err := e.WriteTo(w)
	return err
}

type example struct {
	bytes.Buffer
	err error
}

func (e *example) fields(at string, indent int, v reflect.Value, off bool) {
	for _, f := range fieldsOf(v.Type()) {
		key := at + "." + f.Key
		doc := f.Doc
		if len(f.Enum) > 0 {
			doc += ": " + oneOf(f.Enum)
		}
		e.comment(indent, doc)
		off := off || !f.Required && !f.Chosen
		if f.Section {
			e.line(indent, f.Key+":", off)
			e.fields(key, indent+1, f.below(v), off)
			continue
		}
		if f.Required && f.Example == "" && e.err == nil {
			e.err = fmt.Errorf("%s: a required key needs an example", key)
		}
		text := f.Key + ": " + f.shown(v.FieldByIndex(f.Index))
		if f.Instead { // switched on beside the chosen way it would be wrong
			text, off = "# instead: "+text, false
		}
		e.line(indent, text, off)
	}
}

// shown is the default, or else the example, or else something of the type.
func (f field) shown(v reflect.Value) string {
	text := f.text(v)
	if text == "" || f.Required {
		text = f.Example
	}
	switch {
	case f.Type == typeList && text == "":
		return "[]"
	case f.Type == typeList:
		return "[" + strings.Trim(text, "[]") + "]"
	case f.Type == typeSecret && text == "":
		text = "${env:" + strings.ToUpper(f.Key) + "}"
	case f.Type == typeString || f.Type == typeSecret:
	default:
		return text
	}
	if plainText.MatchString(text) && !slices.Contains(notTexts, text) {
		return text
	}
	return strconv.Quote(text)
}

// plainText matches texts that need no quotes in YAML, but for notTexts.
var (
	plainText = regexp.MustCompile(`^(?:[A-Za-z/][A-Za-z0-9_/.-]*|[0-9.]+:[0-9]+|[0-9]+[a-z])$`)
	notTexts  = []string{"true", "false", "null", "yes", "no", "on", "off"}
)

func (e *example) line(indent int, text string, off bool) {
	if off {
		text = "#" + text
	}
	if text != "" {
		e.WriteString(strings.Repeat("  ", indent))
	}
	e.WriteString(text)
	e.WriteByte('\n')
}

func (e *example) comment(indent int, text string) {
	width := exampleWidth - 2*indent - 2
	var line string
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			e.line(indent, "# "+line, false)
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	if line != "" {
		e.line(indent, "# "+line, false)
	}
}
