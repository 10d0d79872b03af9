package httpx

import (
	"bytes"
	"errors"
	"io"
	"iter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"weir/internal/fault"
)

// lenient takes what vendors send: a member told twice and broken UTF-8 in one
// record are no reason to lose the page.
var lenient = jsontext.AllowDuplicateNames(true)

var lenientUTF8 = jsontext.AllowInvalidUTF8(true)

// Decode decodes an answer that is one JSON value. An answer that is none (a
// proxy's HTML page, a body cut short) is transient; a value of another shape
// is bad data.
func Decode(r *Response, into any) error {
	err := json.Unmarshal(r.Body, into, lenient, lenientUTF8)
	switch {
	case err == nil:
		return nil
	case !jsontext.Value(r.Body).IsValid(lenient, lenientUTF8):
		return notJSON(r)
	}
	return r.redact.err(fault.New(fault.BadData, "%s: the answer has an unexpected shape: %w", r.Endpoint, err))
}

// Elements yields the elements of an answer that is a JSON array, each as it
// was received, whatever it is: an element of a wrong shape is the connector's
// to reject. The bytes alias the answer's body.
//
// An answer that is not JSON, or cut short, is transient; JSON of another shape
// is bad data. The error, if any, comes before the first element: the whole is
// checked first.
func Elements(r *Response) iter.Seq2[jsontext.Value, error] {
	return func(yield func(jsontext.Value, error) bool) {
		d := decoder(r)
		spans, err := array(d)
		if err == nil {
			err = end(d)
		}
		r.yield(spans, err, yield)
	}
}

// ElementsAt is Elements of an array that is a member of an object, as in
// {"value": [...], "next": "..."}. null is an empty array; an object without
// the member is bad data.
func ElementsAt(r *Response, member string) iter.Seq2[jsontext.Value, error] {
	return func(yield func(jsontext.Value, error) bool) {
		spans, found, err := memberArray(decoder(r), member)
		if err == nil && !found {
			err = shapeError("want the member " + member)
		}
		r.yield(spans, err, yield)
	}
}

// ElementsIf is ElementsAt for vendors that leave the member out where the array
// is empty. That the object is the right one must show elsewhere in it.
func ElementsIf(r *Response, member string) iter.Seq2[jsontext.Value, error] {
	return func(yield func(jsontext.Value, error) bool) {
		spans, _, err := memberArray(decoder(r), member)
		r.yield(spans, err, yield)
	}
}

// span is where an element stands in the body.
type span struct{ from, to int }

func (r *Response) yield(spans []span, err error, yield func(jsontext.Value, error) bool) {
	if err != nil {
		if !errors.Is(err, errShape) || !jsontext.Value(r.Body).IsValid(lenient, lenientUTF8) {
			err = notJSON(r)
		} else {
			err = fault.New(fault.BadData, "%s: the answer has an unexpected shape: %w", r.Endpoint, err)
		}
		yield(nil, err)
		return
	}
	for _, s := range spans {
		if !yield(jsontext.Value(r.Body[s.from:s.to:s.to]), nil) {
			return
		}
	}
}

func decoder(r *Response) *jsontext.Decoder {
	return jsontext.NewDecoder(bytes.NewBuffer(r.Body), lenient, lenientUTF8)
}

// typicalPage is how many elements there is room for at first.
const typicalPage = 256

// array reads an array and returns where its elements stand.
func array(d *jsontext.Decoder) ([]span, error) {
	if kind := d.PeekKind(); kind != '[' {
		return nil, wrongShape(d, kind, "an array")
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, err
	}
	spans := make([]span, 0, typicalPage)
	for {
		if kind := d.PeekKind(); kind == ']' || kind == jsontext.KindInvalid {
			_, err := d.ReadToken()
			return spans, err
		}
		v, err := d.ReadValue()
		if err != nil {
			return nil, err
		}
		to := int(d.InputOffset())
		spans = append(spans, span{to - len(v), to})
	}
}

// memberArray reads an object, and the array that a member of it is. Told
// twice, the last one counts, as when decoding.
func memberArray(d *jsontext.Decoder, member string) (spans []span, found bool, err error) {
	if kind := d.PeekKind(); kind != '{' {
		return nil, false, wrongShape(d, kind, "an object with the member "+member)
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, false, err
	}
	for d.PeekKind() == '"' {
		name, err := d.ReadToken()
		if err != nil {
			return nil, false, err
		}
		switch {
		case name.String() != member:
			err = d.SkipValue()
		case d.PeekKind() == 'n':
			found, spans = true, nil
			err = d.SkipValue()
		default:
			found = true
			spans, err = array(d)
		}
		if err != nil {
			return nil, false, err
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, false, err
	}
	return spans, found, end(d)
}

// end wants nothing more.
func end(d *jsontext.Decoder) error {
	switch _, err := d.ReadToken(); {
	case errors.Is(err, io.EOF):
		return nil
	case err != nil:
		return err
	}
	return errors.New("more than one value")
}

var errShape = errors.New("another shape")

type shapeError string

func (e shapeError) Error() string   { return string(e) }
func (shapeError) Is(err error) bool { return err == errShape }

// wrongShape words that something else came, if it is JSON at all.
func wrongShape(d *jsontext.Decoder, kind jsontext.Kind, want string) error {
	if kind == 0 {
		_, err := d.ReadToken()
		return err
	}
	return shapeError("want " + want + ", found " + kind.String())
}

func notJSON(r *Response) error {
	return fault.New(fault.Transient, "%s: the answer of %d bytes is not JSON, or cut short (content type %.40q)", r.Endpoint, len(r.Body), r.Header.Get("Content-Type"))
}
