package configs

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"weir/internal/secret"
	"weir/internal/setting"
)

// field is one declared setting.
type field struct {
	Key, Doc, Example string
	Enum              []string
	Required          bool
	Chosen, Instead   bool         // of several ways, the one that the example shows; a key of another
	Section           bool         // a struct of further settings
	Lines             bool         // its texts may have several lines
	Type              reflect.Type // of a section that may be absent: without the pointer
	Index             []int
}

var (
	typeString   = reflect.TypeFor[string]()
	typeBool     = reflect.TypeFor[bool]()
	typeInt      = reflect.TypeFor[int]()
	typeInt64    = reflect.TypeFor[int64]()
	typeDuration = reflect.TypeFor[time.Duration]()
	typeSize     = reflect.TypeFor[setting.Size]()
	typeList     = reflect.TypeFor[[]string]()
	typeSecret   = reflect.TypeFor[secret.Secret]()
)

var scalarTypes = []reflect.Type{typeString, typeBool, typeInt, typeInt64, typeDuration, typeSize, typeList, typeSecret}

// fieldsOf reads the declarations of a settings struct. It panics on one that
// breaks the rules of package setting.
func fieldsOf(t reflect.Type) (out []field) {
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, ok := sf.Tag.Lookup("key")
		if !ok {
			continue
		}
		name, option, _ := strings.Cut(tag, ",")
		if option == "inline" {
			for _, f := range fieldsOf(sf.Type) {
				f.Index = append([]int{i}, f.Index...)
				out = append(out, f)
			}
			continue
		}
		f := field{
			Key: name, Doc: sf.Tag.Get("doc"), Example: sf.Tag.Get("example"), Enum: strings.Fields(sf.Tag.Get("enum")),
			Required: option == "required", Chosen: option == "chosen", Instead: option == "instead", Lines: sf.Tag.Get("lines") == "true", Type: sf.Type, Index: []int{i},
		}
		if f.Type.Kind() == reflect.Pointer {
			f.Type = f.Type.Elem()
		}
		f.Section = !slices.Contains(scalarTypes, f.Type)
		if f.Section && f.Type.Kind() != reflect.Struct || !f.Section && sf.Type.Kind() == reflect.Pointer || name == "" || strings.ContainsAny(name, ".-") {
			panic(fmt.Sprintf("configs: %s.%s: no setting can be a %s with the tag %q", t, sf.Name, sf.Type, tag))
		}
		out = append(out, f)
	}
	return out
}

// want words what a setting accepts.
func (f field) want() string {
	switch {
	case f.Section:
		return wantSection
	case len(f.Enum) > 0:
		return oneOf(f.Enum)
	}
	switch f.Type {
	case typeBool:
		return "true or false"
	case typeInt, typeInt64:
		return "a whole number"
	case typeDuration:
		return "a duration such as 30s, 5m, 1h or 7d"
	case typeSize:
		return "a size such as 128MB or 2GiB"
	case typeList:
		return "a list of texts"
	case typeSecret:
		return "a text or, better, ${env:NAME} or ${file:/path}"
	}
	if f.Example != "" {
		return "a text such as " + f.Example
	}
	return "a text"
}

const wantSection = "a section of keys"

// typeName words a setting's type for the reference.
func (f field) typeName() string {
	switch {
	case f.Section:
		return "section"
	case len(f.Enum) > 0:
		return oneOf(f.Enum)
	}
	switch f.Type {
	case typeBool:
		return "true or false"
	case typeInt, typeInt64:
		return "whole number"
	case typeDuration:
		return "duration"
	case typeSize:
		return "size"
	case typeList:
		return "list of texts"
	case typeSecret:
		return "secret"
	}
	return "text"
}

// text words a value of the setting as YAML has it; "" for none.
func (f field) text(v reflect.Value) string {
	switch p := v.Interface().(type) {
	case string:
		return p
	case time.Duration:
		return setting.FormatDuration(p)
	case setting.Size:
		return p.String()
	case bool, int, int64:
		return fmt.Sprint(p)
	case []string:
		if len(p) > 0 {
			return "[" + strings.Join(p, ", ") + "]"
		}
	}
	return ""
}

// below returns a section's struct in its parent, made if it is absent.
func (f field) below(parent reflect.Value) reflect.Value {
	v := parent.FieldByIndex(f.Index)
	if v.Kind() != reflect.Pointer {
		return v
	}
	if v.IsNil() {
		return reflect.New(f.Type).Elem()
	}
	return v.Elem()
}

// defaultsOf returns the struct of settings that s points to.
func defaultsOf(s any) reflect.Value { return reflect.ValueOf(s).Elem() }

// SecretKeys returns the keys of s that take secrets, dotted.
func SecretKeys(s setting.Struct) []string { return secretKeys("", defaultsOf(s).Type()) }

func secretKeys(at string, t reflect.Type) (keys []string) {
	for _, f := range fieldsOf(t) {
		key := f.Key
		if at != "" {
			key = join(at, key)
		}
		switch {
		case f.Section:
			keys = append(keys, secretKeys(key, f.Type)...)
		case f.Type == typeSecret:
			keys = append(keys, key)
		}
	}
	return keys
}
