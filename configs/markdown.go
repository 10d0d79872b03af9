package configs

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"strings"

	"weir/sinks"
	"weir/sources"
)

// WriteMarkdown writes the reference of all keys.
func WriteMarkdown(w io.Writer, apps []*sources.Connector, drivers []*sinks.Driver) error {
	var b bytes.Buffer
	b.WriteString("### agent\n\n")
	table(&b, row{}, reflect.ValueOf(newAgent()))
	b.WriteString("\n### governance\n\n")
	table(&b, row{}, reflect.ValueOf(newGovernance()))
	rows(&b, "principals.<name>", reflect.ValueOf(Principal{}))
	b.WriteString("\n### hooks\n\n")
	table(&b, row{}, reflect.ValueOf(Hooks{}))
	for _, d := range drivers {
		fmt.Fprintf(&b, "\n### sinks: `type: %s`\n\n%s.\n\n", d.Type, capital(d.Doc))
		table(&b, row{"type", "text", "required", "`" + d.Type + "`"}, defaultsOf(d.Config()))
		rows(&b, "", reflect.ValueOf(SinkCommon{}))
	}
	b.WriteString("\n### instances: keys of every app\n\n")
	table(&b, row{"app", "text", "required", "the app's name, below"}, reflect.ValueOf(newCommon()))
	for _, f := range fieldsOf(reflect.TypeFor[StreamSettings]()) {
		r := row{"streams.<stream>." + f.Key, f.typeName(), "the stream's", cell(f.Doc)}
		if f.Key == "enabled" {
			r.value = "`true`"
		}
		writeRow(&b, r)
	}
	for _, c := range apps {
		fmt.Fprintf(&b, "\n### instances: `app: %s`\n\n%s.\n\n", c.App, c.Title)
		table(&b, row{}, defaultsOf(c.Config()))
		b.WriteString("\n| stream | polled every | what |\n|---|---|---|\n")
		for _, s := range c.Streams {
			fmt.Fprintf(&b, "| `%s` | `%s` | %s |\n", s.Name, field{}.text(reflect.ValueOf(s.Every)), cell(s.Doc))
		}
	}
	_, err := b.WriteTo(w)
	return err
}

// WriteConnectorKeys writes the reference of the keys of one app's instances.
func WriteConnectorKeys(w io.Writer, c *sources.Connector) error {
	var b bytes.Buffer
	table(&b, row{}, defaultsOf(c.Config()))
	_, err := b.WriteTo(w)
	return err
}

type row struct{ key, typ, value, doc string }

func table(b *bytes.Buffer, first row, v reflect.Value) {
	b.WriteString("| key | type | default | what |\n|---|---|---|---|\n")
	if first.key != "" {
		writeRow(b, first)
	}
	rows(b, "", v)
}

func rows(b *bytes.Buffer, at string, v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		key := join(at, f.Key)
		r := row{key: key, typ: f.typeName(), doc: cell(f.Doc)}
		if f.Required {
			r.value = "required"
		} else if !f.Section {
			if text := f.text(v.FieldByIndex(f.Index)); text != "" {
				r.value = "`" + text + "`"
			}
		}
		if f.Example != "" {
			r.doc += "; such as `" + cell(f.Example) + "`"
		}
		writeRow(b, r)
		if f.Section {
			rows(b, key, f.below(v))
		}
	}
}

func writeRow(b *bytes.Buffer, r row) {
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", r.key, r.typ, r.value, r.doc)
}

// cell keeps a text from ending its cell, and its <words> from being markup.
func cell(s string) string {
	return strings.NewReplacer("|", `\|`, "<", "&lt;", "\n", " ").Replace(s)
}

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

const (
	spliceBegin = "<!-- generated: make generate -->\n"
	spliceEnd   = "<!-- end of generated -->\n"
)

// Splice returns page with what is between its two marks replaced.
func Splice(page, generated []byte) ([]byte, error) {
	before, rest, ok := bytes.Cut(page, []byte(spliceBegin))
	_, after, ok2 := bytes.Cut(rest, []byte(spliceEnd))
	if !ok || !ok2 {
		return nil, fmt.Errorf("the marks %q and %q are missing", spliceBegin, spliceEnd)
	}
	return bytes.Join([][]byte{before, []byte(spliceBegin), generated, []byte(spliceEnd), after}, nil), nil
}
