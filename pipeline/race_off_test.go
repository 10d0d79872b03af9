//go:build !race

package pipeline

import "testing"

// notUnderRace skips a test that takes the race detector minutes and shows it
// nothing new: make test runs it without.
func notUnderRace(*testing.T) {}
