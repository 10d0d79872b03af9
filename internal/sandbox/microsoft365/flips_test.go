package microsoft365

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every fact of the directory is flipped, and each flip changes one.
func TestFlips(t *testing.T) {
	t.Parallel()
	flipped, names := map[string]bool{}, map[string]bool{}
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
		require.Equal(t, 1, changed, flip.Name)
	}
	for f := range reflect.TypeFor[Facts]().Fields() {
		if !f.Anonymous { // what else there is has tests of its own
			require.True(t, flipped[f.Name], f.Name)
		}
	}
}
