package microsoft365

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// unflippedOffice are facts that no flip tells wrongly, with the reason.
var unflippedOffice = map[string]string{
	"StartEvery": "what a client keeps to: a violation tells",
	"UnitsDay":   "how much of it there is, a matter of the organization's size; UnitsPerMinute is flipped",
	"DeltaUnits": "as PermitUnits",
	"ListUnits":  "as PermitUnits",
}

// Every fact is flipped, each flip is one of facts.
func TestOfficeFlips(t *testing.T) {
	t.Parallel()
	flipped, names := map[string]bool{}, map[string]bool{}
	for _, flip := range officeFlips() {
		require.False(t, names[flip.Name], flip.Name)
		names[flip.Name] = true
		facts, changed := Default(), 0
		flip.Apply(&facts)
		a, b := reflect.ValueOf(defaultOffice()), reflect.ValueOf(facts.OfficeFacts)
		for i := range a.NumField() {
			if a.Field(i).Interface() != b.Field(i).Interface() {
				flipped[a.Type().Field(i).Name] = true
				changed++
			}
		}
		require.Equal(t, 1, changed, flip.Name)
	}
	for f := range reflect.TypeFor[OfficeFacts]().Fields() {
		_, excused := unflippedOffice[f.Name]
		require.NotEqual(t, excused, flipped[f.Name], "%s: either flipped or excused", f.Name)
	}
}
