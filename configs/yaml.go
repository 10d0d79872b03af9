package configs

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// Bounds of a file's shape. Long lines, deep nesting and large sections each
// cost the parser quadratic time; aliases can multiply what they stand for.
const (
	maxNesting   = 32
	maxKeys      = 5000   // of one section
	maxLineItems = 1000   // values and signs in one line
	maxValues    = 500000 // aliases expanded
)

// number is a YAML number as it is written, so that an account id keeps its
// leading zeros.
type number string

// origin is where a key was set.
type origin struct {
	line, column int
	env          string // the variable
	section      bool   // it has keys
	empty        bool   // it has no value
}

// readYAML returns the file's content and notes where its keys stand. It
// reports false when the file's shape leaves nothing to decode.
func (d *decoder) readYAML(data []byte) (top map[string]any, ok bool) {
	defer func() {
		if v := recover(); v != nil { // the parser panics on some malformed input
			d.fileError(0, 0, "this is no YAML that can be read")
			ok = false
		}
	}()
	text := strings.ReplaceAll(strings.TrimPrefix(string(data), "\ufeff"), "\r\n", "\n")
	if !d.checkText(text) {
		return nil, false
	}
	tokens := lexer.Tokenize(text)
	if !d.checkTokens(tokens) {
		return nil, false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		var y yaml.Error
		if errors.As(err, &y) {
			p := y.GetToken().Position
			message := y.GetMessage()
			if lines := strings.Split(text, "\n"); p.Line <= len(lines) && strings.Contains(lines[p.Line-1], "${") {
				message += `; between { } and [ ] a reference needs quotes: "${env:NAME}"`
			}
			d.fileError(p.Line, p.Column, message)
		} else {
			d.fileError(0, 0, err.Error())
		}
		return nil, false
	}
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if _, directive := doc.Body.(*ast.DirectiveNode); doc.Body != nil && !directive {
			bodies = append(bodies, doc.Body)
		}
	}
	switch {
	case len(bodies) == 0:
		d.fileError(0, 0, "the file is empty, want the sections agent, sinks and instances")
		return nil, false
	case len(bodies) > 1:
		line, column := position(bodies[1])
		d.fileError(line, column, "a second YAML document starts here, want only one")
		return nil, false
	}
	r := reader{decoder: d, anchors: map[string]ast.Node{}, entered: map[string]bool{}}
	for _, n := range ast.Filter(ast.AnchorType, bodies[0]) {
		a := n.(*ast.AnchorNode)
		r.anchors[a.Name.GetToken().Value] = a.Value
	}
	v, _ := r.value("", bodies[0], 0)
	if top, ok = v.(map[string]any); !ok && len(d.errs) == 0 {
		line, column := position(bodies[0])
		d.fileError(line, column, "want the sections agent, sinks and instances, not "+kind(v))
	}
	return top, ok && !r.stopped
}

// checkText refuses characters that the parser would drop or misread.
func (d *decoder) checkText(text string) bool {
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		if !utf8.ValidString(line) {
			d.fileError(n, 0, "the file is not UTF-8")
			return false
		}
		for i, c := range line {
			if c < ' ' && c != '\t' || c == 0x7f {
				d.fileError(n, i+1, fmt.Sprintf("found the control character %U", c))
				return false
			}
		}
		if i := strings.IndexByte(strings.TrimRight(beforeComment(line), " \t"), '\t'); i >= 0 {
			d.fileError(n, i+1, "found a tab, want spaces")
			return false
		}
	}
	return true
}

func beforeComment(line string) string {
	for i := range len(line) {
		if line[i] == '#' && (i == 0 || line[i-1] == ' ' || line[i-1] == '\t') {
			return line[:i]
		}
	}
	return line
}

// checkTokens refuses shapes that would take the parser long.
func (d *decoder) checkTokens(tokens token.Tokens) bool {
	type section struct{ column, keys int }
	var open []section
	line, items, depth := 0, 0, 0
	for _, t := range tokens {
		p := t.Position
		if p.Line != line {
			line, items = p.Line, 0
		}
		items++
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		case token.MappingValueType:
			column := p.Column
			if t.Prev != nil && t.Prev.Position.Line == p.Line {
				column = t.Prev.Position.Column
			}
			for len(open) > 0 && open[len(open)-1].column > column {
				open = open[:len(open)-1]
			}
			if len(open) == 0 || open[len(open)-1].column < column {
				open = append(open, section{column: column})
			}
			open[len(open)-1].keys++
			if open[len(open)-1].keys > maxKeys {
				d.fileError(p.Line, p.Column, fmt.Sprintf("a section has more than %d keys", maxKeys))
				return false
			}
		}
		if depth > maxNesting {
			d.fileError(p.Line, p.Column, "sections are nested too deep")
			return false
		}
		if items > maxLineItems {
			d.fileError(p.Line, p.Column, "the line holds too much, want it spread over several")
			return false
		}
	}
	return true
}

// reader turns YAML nodes into plain values: map[string]any, []any, string,
// number, bool and nil.
type reader struct {
	*decoder
	anchors map[string]ast.Node
	entered map[string]bool // anchors whose value is being read
	values  int
	stopped bool
}

// value reports false, after noting the fault, when there is no value.
func (r *reader) value(at string, n ast.Node, depth int) (any, bool) {
	if !r.within(at, n, depth) {
		return nil, false
	}
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return r.section(at, n, depth), true
	case *ast.SequenceNode:
		list := make([]any, 0, len(n.Values))
		for _, e := range n.Values {
			if v, ok := r.value(at, e, depth+1); ok {
				list = append(list, v)
			}
		}
		return list, true
	case *ast.AnchorNode, *ast.AliasNode:
		name, target, ok := r.enter(at, n)
		if !ok {
			return nil, false
		}
		defer delete(r.entered, name)
		return r.value(at, target, depth+1)
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return number(n.GetToken().Value), true
	case *ast.BoolNode:
		return n.Value, true
	case *ast.NullNode, nil:
		return nil, true
	case *ast.TagNode:
		r.nodeError(at, n, "YAML tags are not supported")
		return nil, false
	}
	r.nodeError(at, n, "want a text, a number, true, false, a list or a section")
	return nil, false
}

func (r *reader) section(at string, n ast.Node, depth int) map[string]any {
	out := map[string]any{}
	for _, m := range r.members(at, n, depth) {
		name := m.Key.GetToken().Value
		key := join(at, name)
		switch m.Key.(type) {
		case *ast.StringNode, *ast.IntegerNode, *ast.BoolNode, *ast.NullNode, *ast.FloatNode:
		default:
			r.nodeError(at, m.Key, "want a plain key")
			continue
		}
		if name == "" || strings.ContainsFunc(name, unicode.IsControl) {
			r.nodeError(at, m.Key, "want a plain key")
			continue
		}
		if strings.Contains(name, ".") {
			r.nodeError(key, m.Key, "want a key without dots")
			continue
		}
		if _, twice := out[name]; twice {
			r.nodeError(key, m.Key, fmt.Sprintf("stands here again, first in line %d", r.at[key].line))
			continue
		}
		o := origin{}
		o.line, o.column = position(m.Key)
		r.at[key] = o
		v, ok := r.value(key, m.Value, depth+1)
		if !ok {
			r.faulty[key] = true
		}
		_, o.section = v.(map[string]any)
		o.empty = v == nil
		r.at[key] = o
		out[name] = v
	}
	return out
}

// members returns a section's own keys, then those that its merge keys add.
func (r *reader) members(at string, n ast.Node, depth int) (own []*ast.MappingValueNode) {
	var all []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		all = n.Values
	case *ast.MappingValueNode:
		all = []*ast.MappingValueNode{n}
	}
	var merged []*ast.MappingValueNode
	named := map[string]bool{}
	for _, m := range all {
		if _, ok := m.Key.(*ast.MergeKeyNode); ok {
			merged = append(merged, r.merged(at, m.Value, depth+1)...)
			continue
		}
		own = append(own, m)
		named[m.Key.GetToken().Value] = true
	}
	for _, m := range merged {
		if name := m.Key.GetToken().Value; !named[name] {
			own = append(own, m)
			named[name] = true
		}
	}
	return own
}

func (r *reader) merged(at string, n ast.Node, depth int) (out []*ast.MappingValueNode) {
	if !r.within(at, n, depth) {
		return nil
	}
	switch n := n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		out = r.members(at, n, depth)
		r.values += len(out)
		return out
	case *ast.SequenceNode:
		for _, e := range n.Values {
			out = append(out, r.merged(at, e, depth+1)...)
		}
		return out
	case *ast.AnchorNode, *ast.AliasNode:
		name, target, ok := r.enter(at, n)
		if !ok {
			return nil
		}
		defer delete(r.entered, name)
		return r.merged(at, target, depth+1)
	}
	r.nodeError(at, n, "want a section to merge")
	return nil
}

// enter returns what an anchor or alias stands for, and notes that its value is
// being read, in which the same name must not stand again.
func (r *reader) enter(at string, n ast.Node) (name string, target ast.Node, ok bool) {
	switch n := n.(type) {
	case *ast.AnchorNode:
		name = n.Name.GetToken().Value
		target = n.Value
	case *ast.AliasNode:
		name = n.Value.GetToken().Value
		if target, ok = r.anchors[name]; !ok {
			r.nodeError(at, n, fmt.Sprintf("there is no anchor &%s", name))
			return name, nil, false
		}
	}
	if r.entered[name] {
		r.nodeError(at, n, fmt.Sprintf("&%s holds itself", name))
		return name, nil, false
	}
	r.entered[name] = true
	return name, target, true
}

// within counts a value and reports whether it may be read.
func (r *reader) within(at string, n ast.Node, depth int) bool {
	r.values++
	switch {
	case r.stopped:
	case r.values > maxValues:
		r.stopped = true
		r.nodeError(at, n, "aliases stand for too many values")
	case depth > maxNesting:
		r.stopped = true
		r.nodeError(at, n, "sections are nested too deep")
	}
	return !r.stopped
}

func (r *reader) nodeError(at string, n ast.Node, message string) {
	line, column := position(n)
	r.errs = append(r.errs, Error{File: r.file, Line: line, Column: column, Key: at, Message: message})
}

func position(n ast.Node) (line, column int) {
	if n == nil || n.GetToken() == nil || n.GetToken().Position == nil {
		return 0, 0
	}
	switch m := n.(type) { // its token is the first colon
	case *ast.MappingNode:
		if !m.IsFlowStyle && len(m.Values) > 0 {
			return position(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return position(m.Key)
	}
	p := n.GetToken().Position
	return p.Line, p.Column
}

func join(at, key string) string {
	if at == "" {
		return key
	}
	return at + "." + key
}
