package configs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Error is one fault of a configuration.
type Error struct {
	File   string
	Line   int    // 0: none, as for environment variables
	Env    string // the variable, for a fault of the environment
	Key    string
	Reason string // what was found, and what is accepted
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
		return where + ": " + e.Reason
	}
	return where + ": " + e.Key + ": " + e.Reason
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

func (d *decoder) sorted() Errors {
	slices.SortStableFunc(d.errs, func(a, b Error) int {
		return cmp.Or(strings.Compare(a.Env, b.Env), cmp.Compare(a.Line, b.Line), strings.Compare(a.Key, b.Key))
	})
	return slices.CompactFunc(d.errs, func(a, b Error) bool { return a == b })
}

// fail records a fault at a key: at its own line, or that of the nearest key
// above it that is there.
func (d *decoder) fail(key, reason string) {
	e := Error{File: d.file, Key: key, Reason: reason}
	for k := key; ; {
		if v, ok := d.values[k]; ok && v.env != "" {
			e.Env = v.env
			break
		}
		if line, ok := d.lines[k]; ok {
			e.Line = line
			break
		}
		i := strings.LastIndexByte(k, '.')
		if i < 0 {
			break
		}
		k = k[:i]
	}
	d.errs = append(d.errs, e)
}

func (d *decoder) wrong(key, found, want string) {
	if found == "" {
		d.fail(key, "want "+want)
		return
	}
	if len(found) > 200 {
		found = found[:200] + "..."
	}
	d.fail(key, fmt.Sprintf("found %q, want %s", found, want))
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
	for _, n := range names {
		if d := distance(s, n); d < least && d < max(len(s), len(n))/2+1 {
			best, least = n, d
		}
	}
	return best
}

// distance is the number of letters to change between two words.
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
