package microsoft365_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	sandbox365 "weir/internal/sandbox/microsoft365"
	"weir/internal/sandbox/org"
	"weir/internal/setting"
	"weir/internal/sourcetest"
	"weir/sources"
	"weir/sources/microsoft365"
)

// vendor is a Microsoft of which other facts hold.
func vendor(f sandbox365.Facts) sandbox.Vendor {
	return sandbox.Vendor{App: org.Microsoft365, New: func(t *sandbox.Tenant) sandbox.Handler { return sandbox365.New(t, f) }}
}

// some is a session that shows some of its streams: what is told of them must be
// noticed in them.
type some struct {
	sources.Session
	of func(sources.StreamInfo) bool
}

func isLog(s sources.StreamInfo) bool    { return s.Shape == sources.Log }
func isEntity(s sources.StreamInfo) bool { return s.Shape == sources.Scan }

func (s some) Streams() []sources.Stream {
	return slices.DeleteFunc(s.Session.Streams(), func(i sources.Stream) bool { return !s.of(i.Info) })
}

// only is the fixture with some of the streams.
func only(of func(sources.StreamInfo) bool) sourcetest.Fixture {
	f := fixture()
	c := *microsoft365.Connector
	c.Streams = slices.DeleteFunc(slices.Clone(c.Streams), func(s sources.StreamInfo) bool { return !of(s) })
	open := c.Open
	c.Open = func(ctx context.Context, env sources.Env, cfg setting.Struct) (sources.Session, error) {
		s, err := open(ctx, env, cfg)
		if err != nil {
			return nil, err
		}
		return some{s, of}, nil
	}
	f.Connector = &c
	return f
}

// aboutLogs are the facts that the logs depend on.
var aboutLogs = []string{
	"activityDateTime is called time",
	"a sign-in's createdDateTime is called time",
	"activityDisplayName is called activity",
	"initiatedBy is called actor",
	"targetResources is called targets",
	"result is called outcome",
	"a sign-in's status is called result",
	"signInEventTypes is called types",
	"the next page of content is in NextPageUrl",
	"content is listed an hour at a time",
	"CreationTime is called TimeGenerated",
	"Id is called RecordId",
	"a blob is an object",
}

// unnoticedInLogs are facts about logs that a collector rightly does not depend
// on, or whose test is elsewhere.
var unnoticedInLogs = map[string]string{
	"audits are listed by ten at most":              "the size of a page is not asked for, and links are followed",
	"sign-ins are listed by ten at most":            "as above",
	"content is listed by five":                     "as above",
	"logs begin with the oldest":                    "the order is always asked for",
	"all kinds of sign-ins are told without asking": "the kinds are always asked for",
	"changed values are no JSON":                    "a text without quotes is taken as it stands",
	"contentUri is called uri":                      "where a blob is follows from its id",
	"no subscription is AF20020":                    "subscriptions are listed, and started, before content is asked for",
	"logs are kept a day":                           "what is gone is not in the truth either: a gap that the ledger names",
	"gt and lt are taken":                           "they are not sent",
	"riskLevelDuringSignIn is called risk":          "a matter of chance among so few: see TestEntraGolden",
	"blobs expire after an hour":                    "a gap that the ledger names: see the feed's tests",
	"windows include their end":                     "a blob that is listed twice is read once",
	"contentCreated has no zone":                    "it is not read",
	"Entra's operations have no period":             "it is cut off where there is one",
	"too many requests for content are 503":         "waited for all the same",
	"too many requests for content are AF10001":     "limits are not reached: see the feed's tests",
	"starting again is AF20020":                     "nothing is started again",
	"a disabled subscription is AF20020":            "none is disabled: see the feed's tests",
	"a wrong window is AF20020":                     "none is asked for",
	"an expired blob is AF20020":                    "none expires: see the feed's tests",
	"an unknown blob is 500":                        "none is asked for",
	"60 requests for content a minute":              "waited for: it takes longer",
	"one request to the logs":                       "waited for: it takes longer",
	"the logs' window is a minute":                  "as above",
	"no permission for logs is Forbidden":           "the status tells",
	"no licence is Forbidden":                       "there is one: see TestRefusedSides",
}

// Every fact about the logs told wrongly is noticed.
func TestLogMutations(t *testing.T) {
	on := &sourcetest.Ground{Site: sourcetest.SiteOptions{History: 36 * time.Hour}}
	var mutations []sourcetest.Mutation
	excused, known := 0, 0
	for _, flip := range sandbox365.Flips() {
		if _, ok := unnoticedInLogs[flip.Name]; ok {
			excused++
			continue
		}
		if !slices.Contains(aboutLogs, flip.Name) {
			continue
		}
		known++
		facts := sandbox365.Default()
		flip.Apply(&facts)
		mutations = append(mutations, sourcetest.Mutation{Name: flip.Name, Vendor: vendor(facts), On: on})
	}
	require.Len(t, unnoticedInLogs, excused, "an excuse for no fact")
	require.Len(t, aboutLogs, known, "no such fact")
	for _, m := range renamedInLogs {
		mutations = append(mutations, sourcetest.Mutation{Name: m.member + " of " + m.path, Wrap: sourcetest.Rename(m.path, m.member), On: on})
	}
	sourcetest.Mutate(t, only(isLog), mutations)
}

// renamedInLogs are members that Microsoft would call otherwise, by the end of
// the path of whose answers.
var renamedInLogs = []struct{ path, member string }{
	{"/directoryAudits", "modifiedProperties"},
	{"/directoryAudits", "correlationId"},
	{"/directoryAudits", "additionalDetails"},
	{"/signIns", "deviceDetail"},
	{"/signIns", "location"},
	{"/signIns", "servicePrincipalId"},
	{"/signIns", "autonomousSystemNumber"},
	{"audit/*", "Operation"},
	{"audit/*", "UserKey"},
	{"audit/*", "ClientIPAddress"},
	{"audit/*", "ListItemUniqueId"},
	{"audit/*", "MailboxOwnerUPN"},
	{"audit/*", "Parameters"},
	{"audit/*", "AADGroupId"},
	{"audit/*", "Target"},
	{"audit/*", "Actor"},
	{"audit/*", "LogonError"},
}

// unnoticedInEntities are facts about the rest that a collector rightly does not
// depend on, or whose test is elsewhere.
var unnoticedInEntities = map[string]string{
	"an old delta token is syncStateInvalid":        "of changes, which a first collection does not ask for: see the tests of scans and files",
	"an old delta token is resyncRequired":          "as above",
	"an old delta token is 400":                     "as above",
	"delta tokens last an hour":                     "as above",
	"deltas are listed by ten":                      "as above",
	"what was removed is marked deleted":            "as above",
	"what is gone can be restored":                  "as above",
	"what can be restored is deleted":               "as above",
	"members of a delta are told one by one":        "as above",
	"changed members are called membersChanged":     "as above",
	"where to begin again is in X-Location":         "as above",
	"changes of permissions are not marked":         "as above",
	"deleted items are removed":                     "as above",
	"the next page's link is called next":           "no page is full here: see TestManyMembers, and what is collected at scale",
	"what does not expire expires in 1970":          "taken for no time, as the vendor's year 1",
	"where a permission comes from is not told":     "then what is inherited stands where it shows, and is not told from the rest",
	"a OneDrive that was never opened is forbidden": "the sites are listed, and not people's drives",
	"not found is NotFound":                         "the status tells",
	"no permission is Forbidden":                    "the status tells",
	"a bad request is invalidRequest":               "the status tells",
	"a bad token is Unauthorized":                   "the status tells",
	"a failed dependency is 409":                    "none depends on another",
	"too many requests are 503":                     "limits are not reached, and waited for all the same: see TestClassify",
	"too many requests are 403":                     "as above",
	"too many requests are tooManyRequests":         "as above",
	"too many requests for files are 503":           "as above",
	"a hundred requests about risks":                "as above",
	"waits are in whole seconds":                    "as above",
	"the units' window is five minutes":             "as above",
	"50 resource units":                             "as above",
	"30 resource units a minute":                    "as above",
	"permissions cost 50 units":                     "as above",
	"access tokens last a minute":                   "another is asked for",
	"assertions may last a minute":                  "none is made with a secret: see the tests of certificates",
	"assertions are SAML":                           "as above",
	"the last success is called lastSuccess":        "the last attempt stands in for it: see TestMapGolden",
}

// Every fact about the entities told wrongly is noticed at once.
func TestEntityMutations(t *testing.T) {
	on := &sourcetest.Ground{Site: sourcetest.SiteOptions{History: time.Hour, People: 30}}
	var mutations []sourcetest.Mutation
	excused := 0
	for _, flip := range sandbox365.Flips() {
		if _, ok := unnoticedInLogs[flip.Name]; ok || slices.Contains(aboutLogs, flip.Name) {
			continue
		}
		if _, ok := unnoticedInEntities[flip.Name]; ok {
			excused++
			continue
		}
		facts := sandbox365.Default()
		flip.Apply(&facts)
		mutations = append(mutations, sourcetest.Mutation{Name: flip.Name, Vendor: vendor(facts), On: on})
	}
	require.Len(t, unnoticedInEntities, excused, "an excuse for no fact")
	sourcetest.Mutate(t, only(isEntity), mutations)
}
