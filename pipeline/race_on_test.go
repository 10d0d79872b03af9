//go:build race

package pipeline

import "testing"

// notUnderRace skips a test that takes the race detector minutes and shows it
// nothing new: make test runs it without.
func notUnderRace(t *testing.T) {
	t.Helper()
	t.Skip("run without the race detector, by make test too")
}
