package okta

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// The helpers below append JSON. Names of fields are written by those who know
// them; member begins with a comma unless it is the object's first.

func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[start:i]...), "\uFFFD"...)
				i++
				start = i
				continue
			}
			i += n
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		default:
			b = append(b, '\\', 'u', '0', '0', "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		}
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

func appendName(b []byte, name string) []byte {
	if last := b[len(b)-1]; last != '{' {
		b = append(b, ',')
	}
	return append(append(append(b, '"'), name...), '"', ':')
}

func appendMember(b []byte, name, value string) []byte {
	return appendString(appendName(b, name), value)
}

func appendMemberOrNull(b []byte, name, value string) []byte {
	b = appendName(b, name)
	if value == "" {
		return append(b, "null"...)
	}
	return appendString(b, value)
}

func appendIDMember(b []byte, name string, seed uint64, k kind, n int) []byte {
	b = append(appendName(b, name), '"')
	return append(appendID(b, seed, k, n), '"')
}

// appendTimeMember appends a time, or null.
func appendTimeMember(b []byte, name string, t time.Time) []byte {
	b = appendName(b, name)
	if t.IsZero() {
		return append(b, "null"...)
	}
	b = append(b, '"')
	return append(appendTime(b, t), '"')
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// appendTime appends 2006-01-02T15:04:05.000Z.
func appendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	y, mo, d := t.Date()
	h, mi, s := t.Clock()
	b = append(b, byte('0'+y/1000%10), byte('0'+y/100%10), byte('0'+y/10%10), byte('0'+y%10), '-')
	b = append(two(b, int(mo)), '-')
	b = append(two(b, d), 'T')
	b = append(two(b, h), ':')
	b = append(two(b, mi), ':')
	b = append(two(b, s), '.')
	ms := t.Nanosecond() / 1e6
	return append(b, byte('0'+ms/100), byte('0'+ms/10%10), byte('0'+ms%10), 'Z')
}

func two(b []byte, n int) []byte { return append(b, byte('0'+n/10), byte('0'+n%10)) }

func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }
