package configs

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"weir/internal/secret"
	"weir/internal/setting"
)

// decoder turns the merged values into structs and gathers every fault.
type decoder struct {
	file   string
	cfg    *Config
	values map[string]value // by dotted key, scalars and lists only
	lines  map[string]int   // of every key, sections included
	used   map[string]bool
	known  []string // keys that may be set, for suggestions
	errs   []Error
}

// value is what one key was set to.
type value struct {
	v   any    // string, int64, uint64, float64, bool, nil, []any
	env string // the variable it came from
}

type reference struct {
	key   string
	value secret.Secret
}

// names returns the entries of a map section, and reports bad names and an
// empty section.
func (d *decoder) names(section, what string) []string {
	found := map[string]bool{}
	for k := range d.lines {
		if rest, ok := strings.CutPrefix(k, section+"."); ok {
			name, _, _ := strings.Cut(rest, ".")
			found[name] = true
		}
	}
	var out []string
	for _, n := range slices.Sorted(maps.Keys(found)) {
		if !validName.MatchString(n) {
			d.fail(section+"."+n, "want "+wantName)
			d.useAll(section + "." + n)
			continue
		}
		out = append(out, n)
	}
	if len(found) == 0 {
		d.used[section] = true
		d.fail(section, "want at least one "+what)
	}
	return out
}

// choice reads the key that decides what a map entry is.
func (d *decoder) choice(at, key string, accepted []string) (string, bool) {
	k := at + "." + key
	v, ok := d.values[k]
	d.used[k] = true
	if ok {
		if s, isText := v.v.(string); isText && slices.Contains(accepted, s) {
			return s, true
		}
		found := fmt.Sprint(v.v)
		want := oneOf(accepted)
		if near := nearest(found, accepted); near != "" && len(accepted) > 1 {
			want += "; did you mean " + near + "?"
		}
		d.wrong(k, found, want)
	} else {
		d.fail(k, "is missing, want "+oneOf(accepted))
	}
	d.useAll(at)
	return "", false
}

func (d *decoder) useAll(prefix string) {
	for k := range d.values {
		if k == prefix || strings.HasPrefix(k, prefix+".") {
			d.used[k] = true
		}
	}
}

// section decodes the keys below at into the struct that ptr points to.
func (d *decoder) section(at string, ptr any) {
	if v, ok := d.values[at]; ok {
		d.used[at] = true
		if v.v != nil {
			d.wrong(at, fmt.Sprint(v.v), "a section of keys")
		}
	}
	d.structure(at, reflect.ValueOf(ptr).Elem(), false)
}

func (d *decoder) structure(at string, v reflect.Value, optional bool) {
	for _, f := range fieldsOf(v.Type()) {
		key := at + "." + f.Key
		fv := v.FieldByIndex(f.Index)
		if f.Inline {
			d.structure(at, fv, optional)
			continue
		}
		d.known = append(d.known, key)
		if f.Section {
			if val, ok := d.values[key]; ok {
				d.used[key] = true
				if val.v != nil {
					d.wrong(key, fmt.Sprint(val.v), "a section of keys")
				}
			}
			d.structure(key, fv, !f.Required && !d.has(key))
			continue
		}
		val, ok := d.values[key]
		if !ok {
			if f.Required && !optional {
				d.fail(key, "is missing, want "+want(f))
			}
			continue
		}
		d.used[key] = true
		d.scalar(key, f, val, fv)
	}
}

func (d *decoder) has(prefix string) bool {
	_, ok := d.lines[prefix]
	return ok
}

func (d *decoder) scalar(key string, f field, val value, fv reflect.Value) {
	isSecret := fv.Type() == reflect.TypeFor[secret.Secret]()
	found := fmt.Sprint(val.v)
	bad := func() {
		switch {
		case isSecret:
			found = ""
		case val.v == nil:
			found = "nothing"
		}
		d.wrong(key, found, want(f))
	}
	s, isText := val.v.(string)
	if isText && !isSecret && strings.Contains(s, "${") {
		if !secret.IsReference(s) {
			d.wrong(key, s, "the whole value to be one ${env:NAME} or ${file:/path}")
			return
		}
		expanded, err := secret.Expand(s)
		if err != nil {
			d.fail(key, err.Error())
			return
		}
		s, found, val.env = expanded, expanded, s
	}
	switch p := fv.Addr().Interface().(type) {
	case *string:
		if isNumber(val.v) {
			s, isText = found, true // 111111111111 is an account id to its writer
		}
		if !isText || len(f.Enum) > 0 && !slices.Contains(f.Enum, s) {
			bad()
			return
		}
		*p = s
	case *secret.Secret:
		if !isText || strings.Contains(s, "${") && !secret.IsReference(s) {
			bad()
			return
		}
		*p = secret.New(s)
		d.cfg.secrets = append(d.cfg.secrets, reference{key, *p})
	case *bool:
		b, isBool := val.v.(bool)
		if !isBool && val.env != "" {
			var err error
			b, err = strconv.ParseBool(s)
			isBool = err == nil
		}
		if !isBool {
			bad()
			return
		}
		*p = b
	case *int:
		n, err := strconv.Atoi(found)
		if err != nil || isText && val.env == "" {
			bad()
			return
		}
		*p = n
	case *time.Duration:
		dur, err := parseDuration(s)
		if err != nil || !isText {
			bad()
			return
		}
		*p = dur
	case *setting.Size:
		size, err := setting.ParseSize(found)
		if err != nil {
			bad()
			return
		}
		*p = size
	case *[]string:
		list, ok := textList(val)
		if !ok {
			bad()
			return
		}
		*p = list
	default:
		panic(fmt.Sprintf("configs: %s: no setting can be a %s", key, fv.Type()))
	}
}

func isNumber(v any) bool {
	switch v.(type) {
	case int64, uint64, int:
		return true
	}
	return false
}

func textList(val value) (out []string, ok bool) {
	switch v := val.v.(type) {
	case string:
		if val.env == "" {
			return nil, false
		}
		return strings.Split(v, ","), true
	case []any:
		for _, e := range v {
			s, isText := e.(string)
			if !isText {
				return nil, false
			}
			out = append(out, s)
		}
		return out, true
	}
	return nil, false
}

// parseDuration is time.ParseDuration with days and weeks.
func parseDuration(s string) (time.Duration, error) {
	for unit, length := range map[string]time.Duration{"d": 24 * time.Hour, "w": 7 * 24 * time.Hour} {
		if n, ok := strings.CutSuffix(s, unit); ok {
			if v, err := strconv.Atoi(n); err == nil && v >= 0 && v < 36500 {
				return time.Duration(v) * length, nil
			}
		}
	}
	return time.ParseDuration(s)
}

// want words what a setting accepts.
func want(f field) string {
	switch {
	case len(f.Enum) > 0:
		return oneOf(f.Enum)
	case f.Type == reflect.TypeFor[bool]():
		return "true or false"
	case f.Type == reflect.TypeFor[int]():
		return "a whole number"
	case f.Type == reflect.TypeFor[time.Duration]():
		return "a duration such as 30s, 5m, 1h or 7d"
	case f.Type == reflect.TypeFor[setting.Size]():
		return "a size such as 128MB or 2GiB"
	case f.Type == reflect.TypeFor[[]string]():
		return "a list of texts"
	case f.Type == reflect.TypeFor[secret.Secret]():
		return "a reference such as ${env:NAME} or ${file:/path}"
	case f.Example != "":
		return "a text such as " + f.Example
	}
	return "a text"
}

// validate asks a section itself.
func (d *decoder) validate(at string, s setting.Struct) {
	for _, e := range s.Validate() {
		key := at + "." + e.Key
		if d.faulty(key) {
			continue // its value was not taken
		}
		d.wrong(key, e.Found, e.Accepted)
	}
}

func (d *decoder) faulty(key string) bool {
	return slices.ContainsFunc(d.errs, func(e Error) bool { return e.Key == key })
}

// unknown reports the keys that nothing has asked for.
func (d *decoder) unknown() {
	for _, k := range slices.Sorted(maps.Keys(d.values)) {
		if d.used[k] {
			continue
		}
		reason := "unknown key"
		parent, last := k[:max(0, strings.LastIndexByte(k, '.'))], k[strings.LastIndexByte(k, '.')+1:]
		var siblings []string
		for _, n := range slices.Concat(d.known, topLevel) {
			if i := max(0, strings.LastIndexByte(n, '.')); n[:i] == parent {
				siblings = append(siblings, n[strings.LastIndexByte(n, '.')+1:])
			}
		}
		if near := nearest(last, siblings); near != "" {
			reason += "; did you mean " + near + "?"
		} else if len(siblings) > 0 {
			slices.Sort(siblings)
			reason += ", want " + oneOf(slices.Compact(siblings))
		}
		d.fail(k, reason)
	}
}

var topLevel = []string{"agent", "sinks", "instances"}
