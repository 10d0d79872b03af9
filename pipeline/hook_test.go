package pipeline

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/sources"
)

// A hook is told of all lanes, and of the one that a stream without lanes has.
func TestLanesOfHooks(t *testing.T) {
	t.Parallel()
	p := &Pipeline{state: testState(t)}
	now := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	whole := []sources.Lane{{}}
	var many []sources.Lane
	for i := range 2*lanesAtOnce + 1 {
		many = append(many, sources.Lane{ID: fmt.Sprintf("l%05d", i), Hint: "h"})
	}
	for name, want := range map[string][]sources.Lane{"none": nil, "whole": whole, "many": many, "exact": many[:lanesAtOnce]} {
		log, scan := StreamID{"acme", name + "_log"}, StreamID{"acme", name + "_scan"}
		require.NoError(t, p.state.Update(t.Context(), func(tx Tx) error {
			return errors.Join(tx.AddLanes(log, want, now), tx.AddScanLanes(scan, 1, want, now, now))
		}))
		for _, id := range []StreamID{log, scan} {
			var got []sources.Lane
			for l, err := range p.Lanes(t.Context(), id) {
				require.NoError(t, err)
				got = append(got, l)
			}
			require.Equal(t, want, got, id)
		}
	}
}
