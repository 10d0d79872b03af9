// Package setting is the vocabulary in which connectors and sinks declare
// their configuration: structs whose tags name and document the keys. Package
// configs reads them to decode YAML, to check it, and to write the JSON Schema
// and the example.
//
//	key      the key; a required key adds ",required". Of several ways to say
//	         something the key that the example shows adds ",chosen", and the
//	         keys that may not stand beside it add ",instead"
//	doc      what it is, in a sentence
//	example  a value for the example configuration
//	enum     accepted values, separated by spaces
//	lines    "true": a text may have several lines
//
// Fields are string, bool, int, int64, time.Duration, Size, []string,
// secret.Secret, nested structs, or pointers to structs for sections that may
// be absent. The value in a fresh struct is the default.
package setting

import (
	"fmt"
	"strconv"
	"strings"
)

// Struct is a pointer to a struct of settings.
type Struct interface {
	// Validate returns every fault that a single key's type cannot show.
	Validate() []KeyError
}

// KeyError is a fault of one key.
type KeyError struct {
	Key      string // dotted, below the struct: "cloudtrail.url"
	Found    string // the offending value; "" when it is secret or missing
	Accepted string // what would have been right
}

// Size is a number of bytes, written as 128MB, 2GiB or a plain number.
type Size int64

var units = []struct {
	suffix string
	bytes  int64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"B", 1},
}

// ParseSize reads a size.
func ParseSize(s string) (Size, error) {
	num, factor := strings.TrimSpace(s), int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(num, u.suffix); ok {
			num, factor = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(num, 10, 64)
	if err != nil || n < 0 || n > (1<<62)/factor {
		return 0, fmt.Errorf("%q is no size: want a number and a unit, such as 128MB or 2GiB", s)
	}
	return Size(n * factor), nil
}

// String writes the size with the largest unit that divides it.
func (s Size) String() string {
	best := strconv.FormatInt(int64(s), 10)
	for _, u := range units[:8] {
		if s > 0 && int64(s)%u.bytes == 0 {
			if t := strconv.FormatInt(int64(s)/u.bytes, 10) + u.suffix; len(t) <= len(best) {
				best = t
			}
		}
	}
	return best
}
