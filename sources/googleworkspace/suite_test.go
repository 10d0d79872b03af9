package googleworkspace_test

import (
	"testing"

	"weir/internal/sourcetest"
)

func TestSuite(t *testing.T) { sourcetest.Run(t, fixture()) }
