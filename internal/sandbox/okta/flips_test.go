package okta

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// unflipped are facts that no flip tells wrongly, with the reason.
var unflipped = map[string]string{
	"LateAfter":     "of bounded queries, which BoundedOmitsLate turns off as a whole",
	"IAM":           "lists of roles and resource sets, which a collection does not need",
	"AppUsers":      "as IAM: who may use an app",
	"TokenPath":     "of the discovery document alone",
	"Limits":        "how much of it there is, a matter of the organization's plan",
	"Concurrent":    "of all clients of the organization together",
	"Retention":     "what the log no longer holds nobody can miss in it",
	"LogConcurrent": "what a client keeps to, as ClientConcurrent",
}

// Every fact is flipped, each flip is one of facts.
func TestFlips(t *testing.T) {
	t.Parallel()
	flipped := map[string]bool{}
	names := map[string]bool{}
	for _, flip := range Flips() {
		require.False(t, names[flip.Name], flip.Name)
		names[flip.Name] = true
		facts, changed := Default(), 0
		flip.Apply(&facts)
		a, b := reflect.ValueOf(Default()), reflect.ValueOf(facts)
		for i := range a.NumField() {
			if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
				flipped[a.Type().Field(i).Name] = true
				changed++
			}
		}
		require.Positive(t, changed, flip.Name)
	}
	for f := range reflect.TypeFor[Facts]().Fields() {
		_, excused := unflipped[f.Name]
		require.NotEqual(t, excused, flipped[f.Name], "%s: either flipped or excused", f.Name)
	}
}
