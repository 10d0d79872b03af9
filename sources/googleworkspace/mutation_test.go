package googleworkspace_test

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	sandboxgoogle "weir/internal/sandbox/googleworkspace"
	"weir/internal/sandbox/org"
	"weir/internal/sourcetest"
)

// vendor is a Google of which other facts hold.
func vendor(f sandboxgoogle.Facts) sandbox.Vendor {
	return sandbox.Vendor{App: org.GoogleWorkspace, New: func(t *sandbox.Tenant) sandbox.Handler { return sandboxgoogle.New(t, f) }}
}

// unnoticed are facts that a collector rightly does not depend on, or whose test
// is elsewhere.
var unnoticed = map[string]string{
	"users are listed by ten":            "pages follow each other whatever their size",
	"groups are listed by two":           "as above",
	"members are listed by two":          "as above",
	"roles are listed by two":            "as above",
	"role assignments are listed by two": "as above",
	"USER is PERSON":                     "who is in the directory is an account, and an address says the rest",
	"fullName is full":                   "it is put together from its parts",
	"numbers of 64 bits are numbers":     "they are taken as they are written",
	"tokens of suspended users are 500":  "those are not asked for: see TestTokensOfTheSuspended",

	"files are listed by ten":                                  "pages follow each other whatever their size",
	"drives are listed by two":                                 "as above",
	"tokens of files last a moment":                            "a listing whose token is refused begins anew",
	"md5Checksum is md5":                                       "rows have the SHA-256; actions compare the MD5: see TestDriveFacts",
	"items of shared drives hold their permissions":            "they are asked for all the same",
	"the token of what changes later is called startPageToken": "changes are not read by a single run: see TestDriveFacts",
	"the token of what changes later is on every page":         "a next page comes first",
	"every change is told":                                     "a change tells the item as it is now",
	"an old token of changes is 500":                           "see TestFileChanges",
	"what is inherited is forbidden":                           "no plan removes what is inherited",
	"what shared drives give is forbidden":                     "as above",
	"owners are forbidden":                                     "no plan removes the owner",
	"other domains are forbidden":                              "no plan gives a file to another organization",
	"a permission that is gone is notFound":                    "both are taken: see TestRemoveSharing",
	"a transfer without a word is 400":                         "the word is always said",
	"no Drive is 404":                                          "whatever the refusal, nothing of that user's is seen",
	"parts of uploads are 200":                                 "contents are uploaded whole",
	"a listing costs 5000 units":                               "what is throttled waits",
	"3000 units for a subject":                                 "as above",
	"channels of changes last a minute":                        "they are opened anew when they end: see the tests of notifications",
	"channels of files last a minute":                          "there are none",
	"changes are called changed":                               "any state but sync tells of a change",
}

// With pages so small that there are several, and a time so long that what is
// rare has happened.
var (
	smallPages = map[string]string{"nextPageToken is next": "users are listed by ten"}
	rare       = map[string]bool{"callerType is caller": true}
)

// renamed are members that Google would call otherwise, by the end of the path
// of whose answers.
var renamed = []struct{ path, member string }{
	{"/users", "users"},
	{"/groups", "groups"},
	{"/groups/*/members", "members"},
	{"/roles", "items"},
	{"/roleassignments", "items"},
	{"/tokens", "items"},
	{"/asps", "items"},
	{"/users", "kind"},
	{"/groups", "email"},
	{"/groups/*/members", "id"},
	{"/roleassignments", "roleAssignmentId"},
	{"/roles", "isSystemRole"},
	{"/tokens", "nativeApp"},
	{"/asps", "name"},
	{"/applications/*", "items"},
	{"/applications/*", "kind"},
	{"/applications/*", "uniqueQualifier"},
	{"/applications/*", "time"},
	{"/applications/*", "customerId"},
	{"/applications/*", "events"},
	{"/applications/*", "profileId"},
	{"/applications/*", "email"},
	{"/applications/*", "ipAddress"},
	{"/applications/*", "regionCode"},
	{"/applications/*", "ipAsn"},
	{"/applications/*", "parameters"},
	{"/applications/*", "value"},
	{"/applications/*", "boolValue"},
	{"/applications/*", "multiValue"},
}

// Every fact told wrongly is noticed.
func TestMutations(t *testing.T) {
	on := &sourcetest.Ground{Site: sourcetest.SiteOptions{History: 36 * time.Hour}}
	long := &sourcetest.Ground{Site: sourcetest.SiteOptions{History: 40 * 24 * time.Hour, Events: 0.5}}
	var mutations []sourcetest.Mutation
	known := map[string]bool{}
	for _, flip := range slices.Concat(sandboxgoogle.Flips(), sandboxgoogle.DriveFlips()) {
		known[flip.Name] = true
	}
	for name := range unnoticed {
		require.True(t, known[name], "an excuse for no fact: %s", name)
	}
	for _, flip := range sandboxgoogle.Flips() { // those of Drive's changes and writes have tests of their own
		if _, ok := unnoticed[flip.Name]; ok {
			continue
		}
		facts, ground := sandboxgoogle.Default(), on
		flip.Apply(&facts)
		for _, other := range sandboxgoogle.Flips() {
			if other.Name == smallPages[flip.Name] {
				other.Apply(&facts)
			}
		}
		if rare[flip.Name] {
			ground = long
		}
		mutations = append(mutations, sourcetest.Mutation{Name: flip.Name, Vendor: vendor(facts), On: ground})
	}
	for _, m := range renamed {
		mutations = append(mutations, sourcetest.Mutation{Name: m.member + " of " + m.path, Wrap: sourcetest.Rename(m.path, m.member), On: on})
	}
	sourcetest.Mutate(t, fixture(), mutations)
}
