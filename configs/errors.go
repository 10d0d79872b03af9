package configs

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// Error is one fault of a configuration.
type Error struct {
	File         string
	Line, Column int    // from 1; 0: nowhere in the file
	Env          string // the variable at fault, instead of a place in the file
	Key          string // dotted
	Found        string // "" where there is nothing, or a secret
	Accepted     string
	Message      string // what is wrong, in words, Found and Accepted included
}

func (e Error) Error() string {
	where := e.File
	switch {
	case e.Env != "":
		where = e.Env
	case e.Line > 0:
		where = fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	if e.Key == "" {
		return where + ": " + e.Message
	}
	return where + ": " + e.Key + ": " + e.Message
}

// Errors are all faults of a configuration, in the order of the file.
type Errors []Error

func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, func(a, b Error) int {
		return cmp.Or(strings.Compare(a.Env, b.Env), cmp.Compare(a.Line, b.Line), strings.Compare(a.Key, b.Key))
	})
	return slices.CompactFunc(e, func(a, b Error) bool { return a.Error() == b.Error() })
}

func (d *decoder) fileError(line, column int, message string) {
	d.errs = append(d.errs, Error{File: d.file, Line: line, Column: column, Message: message})
}

// fail records a fault at a key: at its own place, or at that of the nearest
// section around it that has one.
func (d *decoder) fail(key, message string) {
	d.errs = append(d.errs, d.located(Error{Key: key, Message: message}))
}

func (d *decoder) missing(key, accepted string) {
	d.errs = append(d.errs, d.located(Error{Key: key, Accepted: accepted, Message: "is missing, want " + accepted}))
}

// wrong records a value that is not accepted. Values of secrets must not come
// here.
func (d *decoder) wrong(key string, found any, accepted string) {
	e := Error{Key: key, Accepted: accepted}
	switch v := found.(type) {
	case string:
		e.Found = printable(v)
	case number:
		e.Found = printable(string(v))
	case bool:
		e.Found = fmt.Sprint(v)
	default:
		e.Message = fmt.Sprintf("found %s, want %s", kind(found), accepted)
		d.errs = append(d.errs, d.located(e))
		return
	}
	e.Message = fmt.Sprintf("found %q, want %s", e.Found, accepted)
	d.errs = append(d.errs, d.located(e))
}

func (d *decoder) located(e Error) Error {
	e.File = d.file
	for at := e.Key; ; {
		if o, ok := d.at[at]; ok {
			e.Line, e.Column, e.Env = o.line, o.column, o.env
			return e
		}
		i := strings.LastIndexByte(at, '.')
		if i < 0 {
			return e
		}
		at = at[:i]
	}
}

const maxFound = 200 // bytes of a value that are shown

var userInfo = regexp.MustCompile(`://[^/@\s]*@`)

// printable shortens a value, and removes a password from a URL.
func printable(s string) string {
	s = userInfo.ReplaceAllString(s, "://***@")
	if len(s) <= maxFound {
		return s
	}
	end := maxFound
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "..."
}

// kind words a value that cannot be shown.
func kind(v any) string {
	switch v.(type) {
	case nil:
		return "nothing"
	case map[string]any:
		return "a section"
	case []any:
		return "a list"
	}
	return "a single value"
}

// oneOf words a choice.
func oneOf(names []string) string {
	if len(names) == 0 {
		return "nothing"
	}
	if len(names) == 1 {
		return names[0]
	}
	return strings.Join(names[:len(names)-1], ", ") + " or " + names[len(names)-1]
}

// nearest returns the name that s may have been meant to be, or "".
func nearest(s string, names []string) string {
	best, least := "", 3
	if len(s) > 64 {
		return ""
	}
	for _, n := range names {
		if d := distance(s, n); d < least && d < max(len(s), len(n))/2+1 {
			best, least = n, d
		}
	}
	return best
}

// distance is the number of letters to change, add or remove between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], cost
		}
	}
	return row[len(b)]
}
