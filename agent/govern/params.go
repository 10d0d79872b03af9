package govern

import (
	"fmt"

	"github.com/go-json-experiment/json"

	"weir/sources"
)

const maxParams = 16 << 10

// strictObject reads a JSON object of texts: no name twice, no other value,
// nothing after it.
func strictObject(text string) (map[string]string, error) {
	out := map[string]string{}
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		return nil, fmt.Errorf("params: want a JSON object of texts: %w", err)
	}
	if out == nil || len(out) > sources.MaxParams {
		return nil, fmt.Errorf("params: want a JSON object of at most %d texts", sources.MaxParams)
	}
	return out, nil
}
