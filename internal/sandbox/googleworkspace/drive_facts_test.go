package googleworkspace

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// unflippedDrive are facts that no flip tells wrongly, with the reason.
var unflippedDrive = map[string]string{
	"GetUnits":       "as ListUnits",
	"DownloadUnits":  "as ListUnits",
	"EditUnits":      "as ListUnits",
	"OtherUnits":     "as ListUnits",
	"ProjectUnits":   "how much of it there is, a matter of the project; UserUnits is flipped",
	"DayUnits":       "as ProjectUnits",
	"ChannelDefault": "of who asks for no time",
}

// Every fact is flipped, each flip is one of facts.
func TestDriveFlips(t *testing.T) {
	t.Parallel()
	flipped, names := map[string]bool{}, map[string]bool{}
	for _, flip := range append(driveFlips(), DriveFlips()...) {
		require.False(t, names[flip.Name], flip.Name)
		names[flip.Name] = true
		facts, changed := Default(), 0
		flip.Apply(&facts)
		a, b := reflect.ValueOf(defaultDrive()), reflect.ValueOf(facts.DriveFacts)
		for i := range a.NumField() {
			if a.Field(i).Interface() != b.Field(i).Interface() {
				flipped[a.Type().Field(i).Name] = true
				changed++
			}
		}
		require.Equal(t, 1, changed, flip.Name)
	}
	for f := range reflect.TypeFor[DriveFacts]().Fields() {
		_, excused := unflippedDrive[f.Name]
		require.NotEqual(t, excused, flipped[f.Name], "%s: either flipped or excused", f.Name)
	}
}
