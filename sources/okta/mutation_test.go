package okta_test

import (
	"maps"
	"net/http"
	"strings"
	"testing"

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
	f.Limits["/api/v1"] = 200
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

	many      = &sourcetest.Ground{People: 260} // more than stand on a page
	limited   = &sourcetest.Ground{Vendor: vendor(tight())}
	asApp     = &sourcetest.Ground{Fixture: &key}
	expiring  = &sourcetest.Ground{Fixture: &key, Scenario: "expired_token"}
	bound     = &sourcetest.Ground{Fixture: &proof}
	throttled = &sourcetest.Ground{Scenario: "storm429"}
	slowLog   = &sourcetest.Ground{Fixture: &slow}
	lateLog   = &sourcetest.Ground{Scenario: "late"}
)

// grounds are where a flip shows, for those that do not among a few people.
var grounds = map[string]*sourcetest.Ground{
	"the next page's link is called following":           many,
	"the page's own link is called next":                 many,
	"the next page's link in a body is called following": many,
	"IAM lists have their links in headers":              many,
	"access tokens are of the scheme OAuth":              asApp,
	"bound tokens are bearer tokens":                     bound,
	"access tokens last a minute":                        asApp,
	"assertions may last a minute":                       asApp,
	"assertions are SAML":                                asApp,
	"an assertion may be used again":                     asApp,
	"the audience is the organization":                   asApp,
	"proofs last a second":                               bound,
	"htu has the query":                                  bound,
	"the nonce is in x-nonce":                            bound,
	"nonces last an hour":                                bound,
	"a client may use a quarter of a bucket":             limited,
	"windows last five minutes":                          limited,
	"the limit is in X-Limit":                            limited,
	"what remains is in X-Remaining":                     limited,
	"the reset is in X-Reset":                            limited,
	"the reset is in milliseconds":                       limited,
	"too many requests are 503":                          throttled,
	"too many requests are 403":                          throttled,
	"an ended token is 403":                              expiring,
	"E0000011 is another code":                           expiring,
	"E0000047 is another code":                           throttled,
	"E0000009 is another code":                           slowLog,
	"polling begins at the time of events":               lateLog,
}

// unnoticed are facts that a collector rightly does not depend on, or whose test
// is elsewhere.
var unnoticed = map[string]string{}

// renamed are members that Okta would call otherwise, by the end of the path of
// whose answers.
var renamed = []struct{ path, member string }{
	{"/users", "status"},
}

// bounded asks for the log with an end, as a window of time.
func bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if q := r.URL.Query(); strings.HasSuffix(r.URL.Path, "/api/v1/logs") && q.Has("since") {
			q.Set("until", "2030-01-01T00:00:00.000Z")
			r.URL.RawQuery = q.Encode()
		}
		h.ServeHTTP(w, r)
	})
}

func TestMutations(t *testing.T) {
	mutations := []sourcetest.Mutation{
		{Name: "the log is asked for a window of time", Wrap: bounded, On: lateLog},
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
