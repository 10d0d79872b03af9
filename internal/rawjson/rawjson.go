// Package rawjson walks JSON without decoding it, for mappings that look at a few
// members of many records.
//
// Its functions expect JSON whose syntax has been checked already: they look
// only as closely as it takes to find where a value ends. On other input they
// return something within bounds, and never panic.
package rawjson

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// Fields steps through the members of an object.
type Fields struct {
	s string
	i int
}

// Members returns the fields of v; none when v is not an object.
func Members(v string) Fields {
	if v == "" || v[0] != '{' {
		return Fields{}
	}
	return Fields{v, 1}
}

// Next returns the next member: its name, as written between the quotes, and
// its value, as written.
func (f *Fields) Next() (name, value string, ok bool) {
	s, i := f.s, skipSpace(f.s, f.i)
	if i < len(s) && s[i] == ',' {
		i = skipSpace(s, i+1)
	}
	if i >= len(s) || s[i] != '"' {
		return "", "", false
	}
	end := stringEnd(s, i)
	name = s[i+1 : max(end-1, i+1)]
	i = skipSpace(s, end)
	if i >= len(s) || s[i] != ':' {
		return "", "", false
	}
	i = skipSpace(s, i+1)
	end = valueEnd(s, i)
	f.i = end
	return name, s[i:end], true
}

// End returns where the value that Next has returned last ends in the object.
func (f *Fields) End() int { return f.i }

// Items steps through the elements of an array.
type Items struct {
	s string
	i int
}

// Elements returns the items of v; none when v is not an array.
func Elements(v string) Items {
	if v == "" || v[0] != '[' {
		return Items{}
	}
	return Items{v, 1}
}

// Next returns the next element, as written.
func (a *Items) Next() (value string, ok bool) {
	s, i := a.s, skipSpace(a.s, a.i)
	if i < len(s) && s[i] == ',' {
		i = skipSpace(s, i+1)
	}
	if i >= len(s) || s[i] == ']' {
		return "", false
	}
	end := valueEnd(s, i)
	if end == i {
		return "", false
	}
	a.i = end
	return s[i:end], true
}

// Rest is what follows the elements that Next has returned: "]" when there are
// no more.
func (a *Items) Rest() string {
	i := skipSpace(a.s, a.i)
	if i < len(a.s) && a.s[i] == ',' {
		i = skipSpace(a.s, i+1)
	}
	return a.s[min(i, len(a.s)):]
}

// Member returns a member's value, "" when there is none.
func Member(v, name string) string {
	for f := Members(v); ; {
		n, value, ok := f.Next()
		if !ok {
			return ""
		}
		if n == name {
			return value
		}
	}
}

// Blank replaces the values of all members of a name, wherever they stand in v,
// by a string. v itself comes back when it has none.
func Blank(v, name, by string) string {
	key := `"` + name + `"`
	var out []byte
	for from := 0; ; {
		i := strings.Index(v[from:], key)
		if i < 0 {
			if out == nil {
				return v
			}
			return string(append(out, v[from:]...))
		}
		at := skipSpace(v, from+i+len(key))
		if at < len(v) && v[at] == ':' {
			at = skipSpace(v, at+1)
			out = append(append(append(append(out, v[from:at]...), '"'), by...), '"')
			from = valueEnd(v, at)
			continue
		}
		out = append(out, v[from:at]...) // a value that reads like the name
		from = at
	}
}

// Text returns what a scalar says: a string's content, a number or bool as
// written; "" for null, objects and arrays.
func Text(v string) string {
	if v == "" {
		return ""
	}
	switch v[0] {
	case '"':
		if len(v) < 2 {
			return ""
		}
		inner := v[1 : len(v)-1]
		if strings.IndexByte(inner, '\\') < 0 {
			return inner
		}
		b, err := jsontext.AppendUnquote(nil, v)
		if err != nil && len(b) == 0 {
			return inner
		}
		return string(b)
	case '{', '[', 'n':
		return ""
	}
	return v
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\r' || s[i] == '\t') {
		i++
	}
	return i
}

// stringEnd returns the index after the string that begins at i.
func stringEnd(s string, i int) int {
	for i++; i < len(s); i++ {
		n := strings.IndexByte(s[i:], '"')
		if n < 0 {
			return len(s)
		}
		i += n
		back := 0
		for s[i-1-back] == '\\' {
			back++
		}
		if back%2 == 0 {
			return i + 1
		}
	}
	return len(s)
}

// valueEnd returns the index after the value that begins at i.
func valueEnd(s string, i int) int {
	if i >= len(s) {
		return len(s)
	}
	switch s[i] {
	case '"':
		return stringEnd(s, i)
	case '{', '[':
		depth := 0
		for i < len(s) {
			switch s[i] {
			case '"':
				i = stringEnd(s, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return len(s)
	}
	for i < len(s) && s[i] != ',' && s[i] != '}' && s[i] != ']' && s[i] > ' ' {
		i++
	}
	return i
}
