package github

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// writer appends JSON. Commas come by themselves.
type writer struct{ b []byte }

func (w *writer) comma() {
	if n := len(w.b); n > 0 {
		switch w.b[n-1] {
		case '{', '[', ':':
		default:
			w.b = append(w.b, ',')
		}
	}
}

// key starts a member; names are ours and need no escaping.
func (w *writer) key(name string) {
	w.comma()
	w.b = append(w.b, '"')
	w.b = append(w.b, name...)
	w.b = append(w.b, '"', ':')
}

func (w *writer) open(c byte) {
	w.comma()
	w.b = append(w.b, c)
}

func (w *writer) close(c byte) { w.b = append(w.b, c) }

// quote appends a string, escaped where it must be.
func (w *writer) quote(s string) {
	w.comma()
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c > '~' {
			b, err := jsontext.AppendQuote(w.b, s)
			if err != nil {
				b, _ = jsontext.AppendQuote(w.b, strconv.QuoteToASCII(s)) // invalid UTF-8
			}
			w.b = b
			return
		}
	}
	w.b = append(w.b, '"')
	w.b = append(w.b, s...)
	w.b = append(w.b, '"')
}

func (w *writer) str(name, v string) {
	w.key(name)
	w.quote(v)
}

// cat is str of a value in two parts.
func (w *writer) cat(name, a, b string) {
	w.key(name)
	w.b = append(w.b, '"')
	w.b = append(w.b, a...)
	w.b = append(w.b, b...)
	w.b = append(w.b, '"')
}

// text is str, with null for the empty string.
func (w *writer) text(name, v string) {
	if v == "" {
		w.null(name)
		return
	}
	w.str(name, v)
}

func (w *writer) int(name string, v int64) {
	w.key(name)
	w.b = strconv.AppendInt(w.b, v, 10)
}

func (w *writer) bool(name string, v bool) {
	w.key(name)
	w.b = strconv.AppendBool(w.b, v)
}

func (w *writer) null(name string) {
	w.key(name)
	w.b = append(w.b, "null"...)
}

// time appends a time in seconds; null for the zero time.
func (w *writer) time(name string, t time.Time) {
	if t.IsZero() {
		w.null(name)
		return
	}
	w.key(name)
	w.b = append(w.b, '"')
	w.b = t.UTC().Truncate(time.Second).AppendFormat(w.b, time.RFC3339)
	w.b = append(w.b, '"')
}

func (w *writer) strs(name string, v []string) {
	w.key(name)
	w.open('[')
	for _, s := range v {
		w.quote(s)
	}
	w.close(']')
}

func (w *writer) list(name string, fn func()) {
	w.key(name)
	w.open('[')
	fn()
	w.close(']')
}

func (w *writer) object(name string, fn func()) {
	if name != "" {
		w.key(name)
	}
	w.open('{')
	fn()
	w.close('}')
}

// object0 appends an object that is an element of a list.
func (w *writer) object0(fn func()) {
	w.open('{')
	fn()
	w.close('}')
}
