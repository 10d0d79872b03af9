package okta_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	sandboxokta "weir/internal/sandbox/okta"
	"weir/internal/sandbox/org"
	"weir/internal/sourcetest"
)

// vendor is an Okta of which other facts hold.
func vendor(f sandboxokta.Facts) sandbox.Vendor {
	return sandbox.Vendor{App: org.Okta, New: func(t *sandbox.Tenant) sandbox.Handler { return sandboxokta.New(t, f) }}
}

// tight are the facts of an organization whose limits a collection reaches.
func tight() sandboxokta.Facts {
	f := sandboxokta.Default()
	f.Limits = maps.Clone(f.Limits)
	f.Limits["/api/v1"] = 20
	return f
}

// Where facts are told wrongly, beside the few people.
var (
	key   = withKey()
	proof = withProof()
	slow  = func() sourcetest.Fixture {
		f := fixture()
		f.Settings = func(_ testing.TB, tenant *sandbox.Tenant) string {
			h := tenant.Handler().(*sandboxokta.Handler)
			h.SetFaults(sandboxokta.Faults{LogTimeoutAbove: 100})
			return h.Config(tenant.Base)
		}
		return f
	}()

	paged    = &sourcetest.Ground{Disturb: smallPages}
	limited  = &sourcetest.Ground{Site: sourcetest.SiteOptions{Vendor: vendor(tight()), People: 20, Speed: 120, History: time.Hour}}
	asApp    = &sourcetest.Ground{Fixture: &key}
	bound    = &sourcetest.Ground{Fixture: &proof}
	slowLog  = &sourcetest.Ground{Fixture: &slow}
	lateLog  = &sourcetest.Ground{Site: sourcetest.SiteOptions{Scenario: "late"}}
	rareVerb = &sourcetest.Ground{Site: sourcetest.SiteOptions{History: 60 * 24 * time.Hour, Events: 0.5}}
)

// smallPages has lists hold five on a page, however many are asked for: but for
// the log, whose pages that are not full mean something.
func smallPages(*sourcetest.Site) func(http.Handler) http.Handler {
	return query(func(path string, q url.Values) {
		if q.Has("limit") && !strings.HasSuffix(path, "/logs") {
			q.Set("limit", "5")
		}
	})
}

// bounded asks for the log with an end, as a window of time.
var bounded = query(func(path string, q url.Values) {
	if q.Has("since") && strings.HasSuffix(path, "/logs") {
		q.Set("until", "2030-01-01T00:00:00.000Z")
	}
})

// query has the vendor see other queries than were sent.
func query(change func(path string, q url.Values)) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			change(r.URL.Path, q)
			r.URL.RawQuery = q.Encode()
			h.ServeHTTP(w, r)
		})
	}
}

// grounds are where a flip shows, for those that do not among a few people.
var grounds = map[string]*sourcetest.Ground{
	"the next page's link is called following":           paged,
	"the page's own link is called next":                 paged,
	"the next page's link in a body is called following": paged,
	"IAM lists have their links in headers":              paged,
	"access tokens are of the scheme OAuth":              asApp,
	"assertions may last a minute":                       asApp,
	"assertions are SAML":                                asApp,
	"the audience is the organization":                   asApp,
	"bound tokens are of the scheme Bound":               bound,
	"proofs last a second":                               bound,
	"htu has the query":                                  bound,
	"the nonce is in x-nonce":                            bound,
	"the limit is in X-Limit":                            limited,
	"what remains is in X-Remaining":                     limited,
	"the reset is in X-Reset":                            limited,
	"the reset is in milliseconds":                       limited,
	"E0000009 is another code":                           slowLog,
	"ALLOW is called PERMIT":                             rareVerb,
}

// unnoticed are facts that a collector rightly does not depend on, or whose test
// is elsewhere.
var unnoticed = map[string]string{
	"owners are listed one by one":              "the size of a page is not asked for, and links are followed",
	"integrations are listed one by one":        "as above",
	"links are in one header line":              "the header is a list (RFC 8288): both are read",
	"an app's scopes are listed by pages":       "links are followed where there are any",
	"API tokens are listed by pages":            "as above",
	"polling ends":                              "without a link an hour is read again, and what comes again is dropped: see TestLogWithoutOrganization",
	"polling begins at the time of events":      "the first request lies before them, later ones are links",
	"a bounded query does not end":              "the log is polled: see the log that is asked for a window of time",
	"a bounded query has late events":           "as above",
	"since is an hour ago by default":           "always asked for",
	"the log may be polled every hour":          "a collection polls once; the suite's long ones keep to the vendor's ten seconds",
	"the plain list has deprovisioned users":    "they are told twice, the same",
	"USER is called DIRECT":                     "what is not by a group is direct",
	"no zone is none":                           "zones are not collected",
	"access tokens last a minute":               "a new one is had: see TestTokensEndInTheMiddle",
	"an ended token is 403":                     "see TestTokensEndInTheMiddle",
	"denied is 401":                             "see the suite's scope taken away",
	"an assertion may be used again":            "none is",
	"nonces last an hour":                       "a new one is learned",
	"a refresh token is good for a second more": "of consent: see TestConsentEndToEnd",
	"a client may use a quarter of a bucket":    "headers tell the quota: it takes longer",
	"windows last five minutes":                 "as above",
	"one request at a time":                     "a matter of chance among so few",
	"too many requests are 503":                 "waited for all the same",
	"too many requests are 403":                 "limits are not reached; see TestClassify",
	"E0000011 is another code":                  "the status tells",
	"E0000006 is another code":                  "as above",
	"E0000047 is another code":                  "as above",
	"E0000007 is another code":                  "nothing goes meanwhile: see TestAsk",
	"E0000022 is another code":                  "nothing is asked by another method",
	"E0000053 is another code":                  "the status tells that a place is refused: see TestLogCursorRefused",
	"E0000031 is another code":                  "as above",
	"E0000001 is another code":                  "as above",
	"E0000010 is another code":                  "the status tells",
}

// renamed are members that Okta would call otherwise, by the end of the path of
// whose answers.
var renamed = []struct{ path, member string }{
	{"/users", "login"},
	{"/users", "email"},
	{"/users", "department"},
	{"/users", "userType"},
	{"/factors", "factorType"},
	{"/factors", "status"},
	{"/groups", "type"},
	{"/users", "value"},
	{"/roles", "type"},
	{"/roles", "label"},
	{"/roles", "created"},
	{"/roles", "assignee"},
	{"/permissions", "permissions"},
	{"/clients", "client_id"},
	{"/apps", "status"},
	{"/apps", "signOnMode"},
	{"/apps", "redirect_uris"},
	{"/grants", "source"},
	{"/grants", "issuer"},
	{"/tokens", "scopes"},
	{"/logs", "severity"},
	{"/logs", "alternateId"},
	{"/logs", "ipChain"},
	{"/logs", "rawUserAgent"},
	{"/logs", "externalSessionId"},
}

func TestMutations(t *testing.T) {
	mutations := []sourcetest.Mutation{
		{Name: "the log is asked for a window of time", Wrap: bounded, On: lateLog},
		{Name: "changeDetails of /logs", Wrap: sourcetest.Rename("/logs", "changeDetails"), On: rareVerb},
	}
	excused, placed := 0, 0
	for _, flip := range sandboxokta.Flips() {
		if _, ok := unnoticed[flip.Name]; ok {
			excused++
			continue
		}
		on := grounds[flip.Name]
		if on != nil {
			placed++
		}
		facts := sandboxokta.Default()
		if on == limited {
			facts = tight()
		}
		flip.Apply(&facts)
		mutations = append(mutations, sourcetest.Mutation{Name: flip.Name, Vendor: vendor(facts), On: on})
	}
	require.Len(t, unnoticed, excused, "an excuse for no fact")
	require.Len(t, grounds, placed, "a ground for no fact")
	for _, m := range renamed {
		mutations = append(mutations, sourcetest.Mutation{Name: m.member + " of " + m.path, Wrap: sourcetest.Rename(m.path, m.member)})
	}
	sourcetest.Mutate(t, fixture(), mutations)
}
