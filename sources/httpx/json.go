package httpx

import (
	"iter"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"weir/internal/fault"
)

// Decode decodes an answer that is one JSON value. An answer that is none (a
// proxy's HTML page, a body cut short) is transient; a value of another shape
// is bad data.
func Decode(r *Response, into any) error {
	if !jsontext.Value(r.Body).IsValid() {
		return fault.New(fault.Transient, "%s: the answer is not JSON", r.Endpoint)
	}
	if err := json.Unmarshal(r.Body, into); err != nil {
		return fault.New(fault.BadData, "%s: the answer has an unexpected shape: %w", r.Endpoint, err)
	}
	return nil
}

// Elements yields the elements of an answer that is a JSON array, each as it
// was received. The bytes alias the answer's body. An answer that is not JSON,
// or cut short, is transient; JSON of another shape is bad data. The error, if
// any, comes before the first element: the whole is checked first.
func Elements(r *Response) iter.Seq2[jsontext.Value, error] {
	return func(yield func(jsontext.Value, error) bool) {
		var all []jsontext.Value
		if err := Decode(r, &all); err != nil {
			yield(nil, err)
			return
		}
		for _, v := range all {
			if !yield(v, nil) {
				return
			}
		}
	}
}
