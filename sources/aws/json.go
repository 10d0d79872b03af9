package aws

import (
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// The functions here walk JSON whose syntax has been checked already: they look
// only as closely as it takes to find where a value ends. On other input they
// return something within bounds, and never panic.

// fields steps through the members of an object.
type fields struct {
	s string
	i int
}

// members returns the fields of v; none when v is not an object.
func members(v string) fields {
	if v == "" || v[0] != '{' {
		return fields{}
	}
	return fields{v, 1}
}

// next returns the next member: its name, as written between the quotes, and
// its value, as written.
func (f *fields) next() (name, value string, ok bool) {
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

// items steps through the elements of an array.
type items struct {
	s string
	i int
}

// elements returns the items of v; none when v is not an array.
func elements(v string) items {
	if v == "" || v[0] != '[' {
		return items{}
	}
	return items{v, 1}
}

func (a *items) next() (value string, ok bool) {
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

// member returns a member's value, "" when there is none.
func member(v, name string) string {
	for f := members(v); ; {
		n, value, ok := f.next()
		if !ok {
			return ""
		}
		if n == name {
			return value
		}
	}
}

// text returns what a scalar says: a string's content, a number or bool as
// written; "" for null, objects and arrays.
func text(v string) string {
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
