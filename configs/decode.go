package configs

import (
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"weir/internal/secret"
	"weir/internal/setting"
)

// decoder turns the merged values into settings and gathers every fault.
type decoder struct {
	file    string
	lookup  func(string) (string, bool) // of environment variables
	at      map[string]origin           // by dotted key, sections included
	faulty  map[string]bool             // keys whose value was not taken
	private map[string]bool             // keys whose value must not be shown
	written map[string]string           // what stands at a key, before it was resolved and decoded
	secrets []reference
	errs    Errors
}

// reference is a secret that was configured.
type reference struct {
	Error  // its place
	secret secret.Secret
}

// section returns the keys of a section; a section without any is one.
func (d *decoder) section(at string, v any) (map[string]any, bool) {
	m, ok := v.(map[string]any)
	switch {
	case d.faulty[at]:
		return nil, false
	case ok, v == nil:
		return m, true
	}
	d.reject(at, v, wantSection)
	return nil, false
}

// structure decodes a section into the struct v, which holds the defaults.
func (d *decoder) structure(at string, m map[string]any, v reflect.Value) {
	d.unknown(at, m, d.fields(at, m, v))
}

// fields decodes the settings of v and returns their keys. Other keys of the
// section are left to others.
func (d *decoder) fields(at string, m map[string]any, v reflect.Value) (known []string) {
	for _, f := range fieldsOf(v.Type()) {
		known = append(known, f.Key)
		key := join(at, f.Key)
		val, ok := m[f.Key]
		fv := v.FieldByIndex(f.Index)
		switch {
		case d.faulty[key]:
		case f.Section:
			if ok || f.Required {
				d.subsection(key, val, fv)
			}
		case !ok:
			if f.Required {
				d.missing(key, f.want())
			}
		default:
			if !d.value(key, f, val, fv.Addr().Interface()) {
				d.faulty[key] = true
			}
		}
	}
	return known
}

func (d *decoder) subsection(key string, val any, fv reflect.Value) {
	m, ok := d.section(key, val)
	if !ok {
		return
	}
	if fv.Kind() == reflect.Pointer {
		if fv.IsNil() {
			fv.Set(reflect.New(fv.Type().Elem()))
		}
		fv = fv.Elem()
	}
	d.structure(key, m, fv)
}

// value decodes val into target and reports whether it did.
func (d *decoder) value(key string, f field, val, target any) bool {
	switch p := target.(type) {
	case *secret.Secret:
		return d.secret(key, f, val, p)
	case *[]string:
		return d.list(key, f, val, p)
	case *string:
		s, ok := d.text(key, f, val)
		*p = s
		return ok
	}
	text, ok := plain(val)
	if ok {
		d.written[key] = text
	}
	_, isText := val.(string)
	fromEnv := d.at[key].env != ""
	switch p := target.(type) {
	case *bool:
		b, isBool := val.(bool)
		if fromEnv {
			b, isBool = text == "true", text == "true" || text == "false"
		}
		*p, ok = b, isBool
	case *int:
		n, err := strconv.Atoi(text)
		*p, ok = n, err == nil && (!isText || fromEnv)
	case *int64:
		n, err := strconv.ParseInt(text, 10, 64)
		*p, ok = n, err == nil && (!isText || fromEnv)
	case *time.Duration:
		t, err := setting.ParseDuration(text)
		*p, ok = t, ok && err == nil
	case *setting.Size:
		n, err := setting.ParseSize(text)
		*p, ok = n, ok && err == nil
	}
	if !ok {
		d.reject(key, val, f.want())
	}
	return ok
}

// secret takes a reference as it stands: it is resolved when it is used.
func (d *decoder) secret(key string, f field, val any, p *secret.Secret) bool {
	d.private[key] = true
	s, ok := plain(val)
	switch {
	case !ok, s == "" && f.Required:
		d.fail(key, "want "+f.want())
		return false
	case strings.Contains(s, "${") && !secret.IsReference(s):
		d.fail(key, "want ${env:NAME} or ${file:/path} and nothing around it")
		return false
	}
	if *p = secret.New(s); s != "" {
		d.secrets = append(d.secrets, reference{d.located(Error{Key: key}), *p})
	}
	return true
}

// text returns a text, numbers as they are written, and resolves a reference.
func (d *decoder) text(key string, f field, val any) (string, bool) {
	s, ok := plain(val)
	if !ok {
		d.reject(key, val, f.want())
		return "", false
	}
	d.written[key] = s
	if strings.Contains(s, "${") {
		if !secret.IsReference(s) {
			d.reject(key, val, "the whole value to be one ${env:NAME} or ${file:/path}, or none in it")
			return "", false
		}
		expanded, err := secret.Expand(s, d.lookup)
		if err != nil {
			d.fail(key, err.Error())
			return "", false
		}
		s = expanded
	}
	switch {
	case len(f.Enum) > 0 && !slices.Contains(f.Enum, s):
		accepted := f.want()
		if near := nearest(s, f.Enum); near != "" && len(f.Enum) > 1 {
			accepted += "; did you mean " + near + "?"
		}
		d.reject(key, s, accepted)
		return "", false
	case s == "" && f.Required:
		d.reject(key, s, f.want())
		return "", false
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) && !(f.Lines && r == '\n') }):
		d.reject(key, s, "a text without line breaks and control characters")
		return "", false
	}
	return s, true
}

func (d *decoder) list(key string, f field, val any, p *[]string) bool {
	values, ok := val.([]any)
	if s, isText := val.(string); isText && d.at[key].env != "" {
		ok = true
		for e := range strings.SplitSeq(s, ",") {
			if e = strings.TrimSpace(e); e != "" {
				values = append(values, e)
			}
		}
	}
	if !ok {
		d.reject(key, val, f.want())
		return false
	}
	element := field{Type: typeString, Enum: f.Enum, Example: f.Example, Lines: f.Lines}
	out := make([]string, 0, len(values))
	written := make([]string, 0, len(values))
	for _, v := range values {
		delete(d.written, key)
		s, ok := d.text(key, element, v)
		if !ok {
			return false
		}
		out, written = append(out, s), append(written, d.written[key])
	}
	*p, d.written[key] = out, strings.Join(written, ", ")
	return true
}

// plain returns the text of a text or number.
func plain(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case number:
		return string(v), true
	}
	return "", false
}

// reject records a value that is not accepted. It shows what is written, never
// what that leads to, and of a secret nothing.
func (d *decoder) reject(key string, found any, accepted string) {
	d.faulty[key] = true
	if d.private[key] {
		d.fail(key, "want "+accepted)
		return
	}
	if text, ok := d.written[key]; ok {
		found = text
	}
	d.wrong(key, found, accepted)
}

// validate asks a section itself.
func (d *decoder) validate(at string, s setting.Struct) {
	for _, e := range s.Validate() {
		key := strings.TrimSuffix(join(at, e.Key), ".")
		switch {
		case d.inFault(key): // its values were not all taken
		case e.Found == "":
			d.errs = append(d.errs, d.located(Error{Key: key, Accepted: e.Accepted, Message: "want " + e.Accepted}))
		default:
			d.reject(key, e.Found, e.Accepted)
		}
	}
}

// inFault reports whether a fault was found at a key, or below or above it.
func (d *decoder) inFault(key string) bool {
	return slices.ContainsFunc(d.errs, func(e Error) bool {
		return e.Key == key || strings.HasPrefix(e.Key, key+".") || e.Key != "" && strings.HasPrefix(key, e.Key+".")
	})
}

// unknown reports the keys of a section that nothing has asked for. Their
// values are not shown: they may be secrets under a misspelled key.
func (d *decoder) unknown(at string, m map[string]any, known []string) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if slices.Contains(known, key) {
			continue
		}
		accepted := oneOf(slices.Sorted(slices.Values(known)))
		message := "unknown key, want " + accepted
		if near := nearest(key, known); near != "" {
			message = "unknown key; did you mean " + near + "?"
		}
		d.errs = append(d.errs, d.located(Error{Key: join(at, key), Accepted: accepted, Message: message}))
	}
}

// choice reads the key that decides what an entry is.
func (d *decoder) choice(at, key string, m map[string]any, accepted []string) (string, bool) {
	val, ok := m[key]
	if !ok {
		d.missing(join(at, key), oneOf(accepted))
		return "", false
	}
	if d.faulty[join(at, key)] {
		return "", false
	}
	return d.text(join(at, key), field{Type: typeString, Enum: accepted}, val)
}
