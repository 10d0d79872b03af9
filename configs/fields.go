package configs

import (
	"reflect"
	"strings"
	"time"

	"weir/internal/secret"
)

// field is one declared setting.
type field struct {
	Key, Doc, Example string
	Enum              []string
	Required          bool
	Section           bool // a struct of further settings
	Inline            bool // a struct whose settings stand beside this one's
	Type              reflect.Type
	Index             []int
}

// fieldsOf reads the declarations of a settings struct.
func fieldsOf(t reflect.Type) (out []field) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, ok := f.Tag.Lookup("key")
		if !ok {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		fd := field{
			Key: name, Doc: f.Tag.Get("doc"), Example: f.Tag.Get("example"), Enum: strings.Fields(f.Tag.Get("enum")),
			Required: options == "required", Inline: options == "inline", Type: f.Type, Index: f.Index,
		}
		fd.Section = f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[secret.Secret]() && f.Type != reflect.TypeFor[time.Time]()
		out = append(out, fd)
	}
	return out
}
