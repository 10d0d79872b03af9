package googleworkspace_test

import (
	"slices"
	"testing"
	"time"

	"weir/internal/sourcetest"
)

// actionCases are those on accounts and, with the files, those on files.
func actionCases() []sourcetest.ActionCase { return slices.Concat(accountCases(), fileCases()) }

// logLag is how long the audit logs may take to show what was done: a couple of
// minutes, and of drives and tokens hours.
const logLag = 6 * time.Hour

func TestActions(t *testing.T) {
	t.Parallel()
	f := fixture()
	f.Settings, f.LogLag = withQuarantine, logLag
	sourcetest.RunActions(t, f, actionCases())
}
