package googleworkspace

import (
	"unsafe"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// decodeOptions take what a vendor sends, who is not strict everywhere.
var decodeOptions = json.JoinOptions(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))

// text is a JSON string. It aliases the answer's body where the string has no
// escapes. Numbers and bools are taken as written: 64-bit numbers are strings,
// and smaller ones are not. Everything else is "".
type text string

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (t *text) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	v, err := d.ReadValue()
	if err != nil {
		return err
	}
	*t = ""
	switch v.Kind() {
	case '"':
		in := v[1 : len(v)-1]
		for _, c := range in {
			if c == '\\' {
				b, err := jsontext.AppendUnquote(nil, v)
				*t = text(b)
				return err
			}
		}
		*t = text(alias(in))
	case '0', 't', 'f':
		*t = text(alias(v))
	default:
	}
	return nil
}

// flag is a JSON bool; everything else is unknown.
type flag struct{ known, on bool }

// UnmarshalJSONFrom implements json.UnmarshalerFrom.
func (f *flag) UnmarshalJSONFrom(d *jsontext.Decoder) error {
	v, err := d.ReadValue()
	*f = flag{}
	if err == nil && (v.Kind() == 't' || v.Kind() == 'f') {
		*f = flag{true, v.Kind() == 't'}
	}
	return err
}

// alias returns bytes that will not change any more as a string.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
