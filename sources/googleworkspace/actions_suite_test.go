package googleworkspace_test

import (
	"slices"
	"testing"
	"time"

	"weir/internal/sourcetest"
)

// actionCases are those on accounts and, with the files, those on files.
func actionCases() []sourcetest.ActionCase { return slices.Concat(accountCases()) }

// logLag is how long the audit log may take to show what was done.
const logLag = time.Hour

func TestActions(t *testing.T) {
	t.Parallel()
	f := fixture()
	f.LogLag = logLag
	sourcetest.RunActions(t, f, actionCases())
}
