package googleworkspace

import "strings"

// mask is what fields= selects; nil: all.
type mask map[string]mask

// parseFields reads a selection: a,b(c,d/e),f/g,*.
func parseFields(text string) (mask, bool) {
	if text == "" {
		return nil, true
	}
	m, rest, ok := parseList(strings.ReplaceAll(text, " ", ""))
	return m, ok && rest == ""
}

func parseList(text string) (m mask, rest string, ok bool) {
	m = mask{}
	for {
		i := strings.IndexAny(text, ",()/")
		name := text
		if i >= 0 {
			name = text[:i]
		}
		if name == "" {
			return nil, text, false
		}
		var below mask
		text = text[len(name):]
		switch {
		case strings.HasPrefix(text, "("):
			if below, text, ok = parseList(text[1:]); !ok || !strings.HasPrefix(text, ")") {
				return nil, text, false
			}
			text = text[1:]
		case strings.HasPrefix(text, "/"):
			if below, text, ok = parsePath(text[1:]); !ok {
				return nil, text, false
			}
		}
		m.add(name, below)
		if !strings.HasPrefix(text, ",") {
			return m, text, true
		}
		text = text[1:]
	}
}

// parsePath reads one name with what is below it: the d/e of a(b,d/e).
func parsePath(text string) (m mask, rest string, ok bool) {
	i := strings.IndexAny(text, ",()/")
	if i < 0 {
		i = len(text)
	}
	if i == 0 {
		return nil, text, false
	}
	var below mask
	name := text[:i]
	switch text = text[i:]; {
	case strings.HasPrefix(text, "("):
		if below, text, ok = parseList(text[1:]); !ok || !strings.HasPrefix(text, ")") {
			return nil, text, false
		}
		text = text[1:]
	case strings.HasPrefix(text, "/"):
		if below, text, ok = parsePath(text[1:]); !ok {
			return nil, text, false
		}
	}
	m = mask{}
	m.add(name, below)
	return m, text, true
}

// add selects a name: all of it, if nothing below is.
func (m mask) add(name string, below mask) {
	old, there := m[name]
	switch {
	case below == nil || there && old == nil:
		m[name] = nil
	case !there:
		m[name] = below
	default:
		for k, v := range below {
			old.add(k, v)
		}
	}
}

// of returns what is selected of a value.
func (m mask) of(v any) any {
	if m == nil {
		return v
	}
	switch v := v.(type) {
	case object:
		out := object{}
		for k, x := range v {
			if below, ok := m[k]; ok {
				out[k] = below.of(x)
			} else if below, ok := m["*"]; ok {
				out[k] = below.of(x)
			}
		}
		return out
	case []object:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = m.of(x)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = m.of(x)
		}
		return out
	}
	return v
}
