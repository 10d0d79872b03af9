package okta

import (
	"fmt"
	"strings"
	"time"
)

// expr is a parsed SCIM filter (RFC 7644, 3.4.2.2, without value paths).
type expr struct {
	op          string // and or not, or a comparison
	attr, value string
	left, right *expr // not: left
}

// maxDepth bounds the nesting of parentheses.
const maxDepth = 32

// parseFilter parses a filter. allow says whether an attribute may be compared
// in a way.
func parseFilter(s string, allow func(attr, op string) bool) (*expr, error) {
	p := &filterParser{allow: allow}
	if err := p.split(s); err != nil {
		return nil, err
	}
	e, err := p.or(0)
	if err == nil && p.at < len(p.tokens) {
		err = fmt.Errorf("unexpected %s", p.tokens[p.at])
	}
	return e, err
}

// value returns how an attribute of a record compares: its values.
type values func(attr string) []string

// holds evaluates the filter.
func (e *expr) holds(v values) bool {
	switch e.op {
	case "and":
		return e.left.holds(v) && e.right.holds(v)
	case "or":
		return e.left.holds(v) || e.right.holds(v)
	case "not":
		return !e.left.holds(v)
	case "ne":
		for _, x := range v(e.attr) {
			if equal(x, e.value) {
				return false
			}
		}
		return true
	}
	for _, x := range v(e.attr) {
		if compare(e.op, x, e.value) {
			return true
		}
	}
	return false
}

func compare(op, x, want string) bool {
	switch op {
	case "pr":
		return x != ""
	case "eq":
		return equal(x, want)
	case "co":
		return strings.Contains(strings.ToLower(x), strings.ToLower(want))
	case "sw":
		return strings.HasPrefix(strings.ToLower(x), strings.ToLower(want))
	case "ew":
		return strings.HasSuffix(strings.ToLower(x), strings.ToLower(want))
	}
	order := strings.Compare(x, want)
	if a, ok := parseTime(x); ok {
		b, ok := parseTime(want)
		if !ok {
			return false
		}
		order = a.Compare(b)
	}
	switch op {
	case "gt":
		return order > 0
	case "ge":
		return order >= 0
	case "lt":
		return order < 0
	default: // le
		return order <= 0
	}
}

func equal(x, want string) bool { return strings.EqualFold(x, want) }

type filterParser struct {
	allow  func(attr, op string) bool
	tokens []string // quoted texts keep their first quote
	at     int
}

func (p *filterParser) split(s string) error {
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == ' ':
			i++
		case c == '(' || c == ')':
			p.tokens = append(p.tokens, string(c))
			i++
		case c == '"':
			var text strings.Builder
			text.WriteByte('"')
			j := i + 1
			for ; j < len(s) && s[j] != '"'; j++ {
				if s[j] == '\\' && j+1 < len(s) {
					j++
				}
				text.WriteByte(s[j])
			}
			if j >= len(s) {
				return fmt.Errorf("text without end at %d", i)
			}
			p.tokens = append(p.tokens, text.String())
			i = j + 1
		case c == '[' || c == ']':
			return fmt.Errorf("%c is not supported", c)
		default:
			j := i
			for j < len(s) && !strings.ContainsRune(` ()"[]`, rune(s[j])) {
				j++
			}
			p.tokens = append(p.tokens, s[i:j])
			i = j
		}
	}
	return nil
}

func (p *filterParser) or(depth int) (*expr, error) {
	left, err := p.and(depth)
	for err == nil && p.word("or") {
		var right *expr
		right, err = p.and(depth)
		left = &expr{op: "or", left: left, right: right}
	}
	return left, err
}

func (p *filterParser) and(depth int) (*expr, error) {
	left, err := p.term(depth)
	for err == nil && p.word("and") {
		var right *expr
		right, err = p.term(depth)
		left = &expr{op: "and", left: left, right: right}
	}
	return left, err
}

func (p *filterParser) term(depth int) (*expr, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested too deep")
	}
	if p.word("not") {
		if p.at >= len(p.tokens) || p.tokens[p.at] != "(" {
			return nil, fmt.Errorf("not without (")
		}
		e, err := p.term(depth + 1)
		return &expr{op: "not", left: e}, err
	}
	if p.word("(") {
		e, err := p.or(depth + 1)
		if err == nil && !p.word(")") {
			err = fmt.Errorf("missing )")
		}
		return e, err
	}
	attr, op := p.next(), strings.ToLower(p.next())
	if attr == "" || op == "" || attr[0] == '"' {
		return nil, fmt.Errorf("an attribute and an operator are expected")
	}
	e := &expr{attr: attr, op: op}
	switch op {
	case "pr":
	case "eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le":
		v := p.next()
		if v == "" || v == ")" || v == "(" {
			return nil, fmt.Errorf("%s %s needs a value", attr, op)
		}
		e.value = strings.TrimPrefix(v, `"`)
	default:
		return nil, fmt.Errorf("unknown operator %s", op)
	}
	if !p.allow(attr, op) {
		return nil, fmt.Errorf("%s %s is not supported", attr, op)
	}
	return e, nil
}

func (p *filterParser) word(w string) bool {
	if p.at < len(p.tokens) && strings.EqualFold(p.tokens[p.at], w) {
		p.at++
		return true
	}
	return false
}

func (p *filterParser) next() string {
	if p.at >= len(p.tokens) {
		return ""
	}
	p.at++
	return p.tokens[p.at-1]
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return string(appendTime(nil, t))
}
