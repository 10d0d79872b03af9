package configs

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/v2"
)

// maxNesting bounds how deep sections go.
const maxNesting = 16

// read merges the file and the environment's overrides into d.values. It
// reports false when the file's shape leaves nothing to decode.
func (d *decoder) read(data []byte, env []string) (ok bool) {
	d.values, d.lines, d.used = map[string]value{}, map[string]int{}, map[string]bool{}
	defer func() {
		if v := recover(); v != nil { // the YAML parser panics on some malformed input
			d.errs, ok = append(d.errs, Error{File: d.file, Reason: fmt.Sprintf("this is no YAML: %v", v)}), false
		}
	}()
	file, err := parser.ParseBytes(data, 0)
	if err != nil {
		d.errs = append(d.errs, syntaxError(d.file, err))
		return false
	}
	var docs []ast.Node
	for _, doc := range file.Docs {
		if doc.Body != nil {
			docs = append(docs, doc.Body)
		}
	}
	if len(docs) != 1 {
		reason := "the file is empty, want agent, sinks and instances"
		if len(docs) > 1 {
			reason = "more than one YAML document, want one"
		}
		d.errs = append(d.errs, Error{File: d.file, Reason: reason})
		return false
	}
	top := map[string]any{}
	if _, isMap := members(docs[0]); !isMap {
		d.errs = append(d.errs, Error{File: d.file, Line: line(docs[0]), Reason: "want the sections agent, sinks and instances"})
		return false
	}
	d.walk("", docs[0], top, 0)
	if len(d.errs) > 0 {
		return false
	}

	// koanf merges the layers: the environment over the file.
	k := koanf.New(".")
	if err := k.Load(confmap.Provider(top, "."), nil); err != nil {
		d.errs = append(d.errs, Error{File: d.file, Reason: err.Error()})
		return false
	}
	overrides, names := d.overrides(env)
	if err := k.Load(confmap.Provider(overrides, "."), nil); err != nil {
		d.errs = append(d.errs, Error{File: d.file, Reason: err.Error()})
		return false
	}
	for key, v := range k.All() {
		if m, isMap := v.(map[string]any); isMap && len(m) == 0 {
			v = nil
		}
		d.values[key] = value{v: v, env: names[key]}
		if _, ok := d.lines[key]; !ok {
			d.lines[key] = 0
		}
	}
	return true
}

var yamlPosition = regexp.MustCompile(`^\[(\d+):\d+\] `)

func syntaxError(file string, err error) Error {
	text := err.Error()
	var y yaml.Error
	if errors.As(err, &y) {
		return Error{File: file, Line: y.GetToken().Position.Line, Reason: y.GetMessage()}
	}
	e := Error{File: file, Reason: strings.SplitN(text, "\n", 2)[0]}
	if m := yamlPosition.FindStringSubmatch(text); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Reason = strings.TrimPrefix(e.Reason, m[0])
	}
	return e
}

func line(n ast.Node) int {
	if t := n.GetToken(); t != nil && t.Position != nil {
		return t.Position.Line
	}
	return 0
}

func members(n ast.Node) ([]*ast.MappingValueNode, bool) {
	switch m := n.(type) {
	case *ast.MappingNode:
		return m.Values, true
	case *ast.MappingValueNode:
		return []*ast.MappingValueNode{m}, true
	}
	return nil, false
}

// walk copies a section into out and notes the line of every key.
func (d *decoder) walk(at string, n ast.Node, out map[string]any, depth int) {
	values, _ := members(n)
	for _, m := range values {
		name := m.Key.GetToken().Value
		key := name
		if at != "" {
			key = at + "." + name
		}
		report := func(n ast.Node, reason string) {
			d.errs = append(d.errs, Error{File: d.file, Line: line(n), Key: key, Reason: reason})
		}
		if _, ok := m.Key.(*ast.MergeKeyNode); ok {
			report(m.Key, "merge keys are not supported: write the values out")
			continue
		}
		if name == "" || strings.Contains(name, ".") {
			report(m.Key, "want a name without dots")
			continue
		}
		if _, twice := d.lines[key]; twice {
			report(m.Key, fmt.Sprintf("stands here again, first in line %d", d.lines[key]))
			continue
		}
		d.lines[key] = line(m.Key)
		if depth > maxNesting {
			report(m.Value, "sections are nested too deep")
			continue
		}
		if _, isMap := members(m.Value); isMap {
			inner := map[string]any{}
			d.walk(key, m.Value, inner, depth+1)
			out[name] = inner
			continue
		}
		v, err := scalar(m.Value)
		if err != nil {
			report(m.Value, err.Error())
			continue
		}
		out[name] = v
	}
}

func scalar(n ast.Node) (any, error) {
	switch v := n.(type) {
	case *ast.StringNode:
		return v.Value, nil
	case *ast.LiteralNode:
		return v.Value.Value, nil
	case *ast.IntegerNode:
		return v.Value, nil
	case *ast.FloatNode:
		return v.Value, nil
	case *ast.BoolNode:
		return v.Value, nil
	case *ast.NullNode:
		return nil, nil
	case *ast.SequenceNode:
		out := make([]any, 0, len(v.Values))
		for _, e := range v.Values {
			s, err := scalar(e)
			if err != nil {
				return nil, err
			}
			out = append(out, s)
		}
		return out, nil
	case *ast.AnchorNode, *ast.AliasNode:
		return nil, errors.New("anchors and aliases are not supported: write the value out")
	case *ast.TagNode:
		return nil, errors.New("tags are not supported")
	}
	return nil, fmt.Errorf("want a text, number, true, false or a list, not %s", n.Type())
}

const envPrefix = "WEIR_"

// overrides reads the WEIR_A__B variables: two underscores stand for a dot, and
// in the names of sinks and instances an underscore may stand for a hyphen.
func (d *decoder) overrides(env []string) (map[string]any, map[string]string) {
	values, names := map[string]any{}, map[string]string{}
	for _, e := range slices.Sorted(slices.Values(env)) {
		variable, v, _ := strings.Cut(e, "=")
		path, ok := strings.CutPrefix(variable, envPrefix)
		if !ok || !strings.Contains(path, "__") {
			continue
		}
		parts := strings.Split(strings.ToLower(path), "__")
		if len(parts) > 1 && (parts[0] == "sinks" || parts[0] == "instances") {
			found := d.entries(parts[0], parts[1])
			switch len(found) {
			case 1:
				parts[1] = found[0]
			case 0:
				d.errs = append(d.errs, Error{Env: variable, Reason: fmt.Sprintf("%s has no entry %q in %s", parts[0], parts[1], d.file)})
				continue
			default:
				d.errs = append(d.errs, Error{Env: variable, Reason: fmt.Sprintf("may mean %s of %s: rename one of them", oneOf(found), parts[0])})
				continue
			}
		}
		key := strings.Join(parts, ".")
		values[key], names[key] = v, variable
	}
	return values, names
}

// entries returns the entries of a section that a variable's part may mean.
func (d *decoder) entries(section, part string) (out []string) {
	found := map[string]bool{}
	for k := range d.lines {
		if rest, ok := strings.CutPrefix(k, section+"."); ok {
			name, _, _ := strings.Cut(rest, ".")
			if strings.ReplaceAll(strings.ToLower(name), "-", "_") == part {
				found[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}
