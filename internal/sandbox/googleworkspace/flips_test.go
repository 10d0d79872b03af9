package googleworkspace

import (
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"
)

// unflipped are facts that no flip tells wrongly, with the reason.
var unflipped = map[string]string{
	"EmptyOmitted":            "an empty list says as much as none",
	"CustomerNeeded":          "a client always tells one",
	"DeletedOnly":             "who is not deleted is known from the other list",
	"LowerAssignee":           "the case is no matter",
	"SuspendedByAdmin":        "a suspended user is suspended, whatever the reason",
	"NewestFirst":             "not documented: a client must not count on it",
	"NeedsGmailWindow":        "who always tells a window does not see it",
	"Lag":                     "how late it is differs from day to day",
	"TokenLife":               "every token tells it",
	"Rotates":                 "of consents, which a collection by a service account does not need",
	"TokenType":               "there is but one",
	"DirectoryRate":           "how much of it there is; refusals are waited for",
	"ReportsRate":             "as DirectoryRate",
	"FilterRate":              "a collection needs no filters",
	"UserRateStatus":          "of refusals, which the scenarios bring",
	"UserRate":                "as UserRateStatus",
	"Reason":                  "of errors, which the scenarios bring",
	"EmptyStatus":             "both are success",
	"ReportsChannel":          "of channels, which a collection does not need",
	"DirectoryChannel":        "as ReportsChannel",
	"DirectoryChannelDefault": "as ReportsChannel",
	"ChannelToken":            "as ReportsChannel",
	"ChannelState":            "as ReportsChannel",
	"ChannelExpiration":       "as ReportsChannel",
	"ChannelID":               "as ReportsChannel",
	"ChannelResource":         "as ReportsChannel",
	"ChannelMessage":          "as ReportsChannel",
	"SyncState":               "as ReportsChannel",
	"DriveFacts":              "they have flips of their own",
}

// Every fact is flipped, each flip is one of facts.
func TestFlips(t *testing.T) {
	t.Parallel()
	flipped, names := map[string]bool{}, map[string]bool{}
	for _, flip := range directoryFlips() {
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
