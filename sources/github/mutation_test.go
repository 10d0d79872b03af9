package github_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/sandbox"
	sandboxgithub "weir/internal/sandbox/github"
	"weir/internal/sandbox/org"
	"weir/internal/sourcetest"
)

// vendor is a GitHub of which other facts hold.
func vendor(f sandboxgithub.Facts) sandbox.Vendor {
	return sandbox.Vendor{App: org.GitHub, New: func(t *sandbox.Tenant) sandbox.Handler { return sandboxgithub.New(t, f) }}
}

// unnoticed are facts that a collector rightly does not depend on, or whose
// test is elsewhere.
var unnoticed = map[string]string{
	"pages hold ten where nothing is asked":          "the size is always asked for",
	"links hold logins":                              "links are followed as they are",
	"the audit log includes all by default":          "always asked for",
	"the audit log is in ascending order by default": "always asked for",
	"a search without created: covers two weeks":     "created is always asked for",
	"web rows are kept for two days":                 "what is not shown any more cannot be collected",
	"git rows are kept for two days":                 "as web rows",
	"created: is compared by the hour":               "windows overlap, and what comes again is dropped",
	"git rows have created_at":                       "@timestamp comes first",
	"the row at a cursor comes again":                "what comes again is dropped",
	"an invalid cursor is a bad request":             "400 begins a new window as 422 does; see the suite's expired cursors",
	"a plan without audit log is forbidden":          "see TestFreePlan",
	"every second page is empty":                     "only a missing link ends a listing",
	"every third row has no id":                      "the hash of a row's fields takes its place",
	"invitations last a day":                         "GitHub tells which have failed",
	"managed users' invitations are forbidden":       "not this flavour; refused is refused",
	"outside collaborators are members":              "GraphQL lists members; REST is asked for owners alone",
	"teams list their own members alone":             "inherited members are left out",
	"the list of teams has times":                    "the team itself has them",
	"role_name is called role":                       "the permissions tell, as on older servers",
	"the base permission is none":                    "a fact of the organization, which the truth follows",
	"recursive=0 is not recursive":                   "1 is asked",
	"credentials have a Link":                        "pages are counted to the empty one",
	"people may list fine-grained tokens":            "they are asked for as an App",
	"installation tokens last a minute":              "a new one is minted",
	"clocks may differ by an hour":                   "ours do not",
	"codes last a second":                            "of consent: see TestConsentEndToEnd",
	"a user has one token of an app":                 "of consent",
	"OAuth errors are 400":                           "of consent",
	"granted scopes are separated by spaces":         "of consent: both are read",
	"bad credentials are 403":                        "see the suite's refused credentials",
	"100 requests an hour":                           "headers tell the quota: it takes longer",
	"100 audit pages an hour":                        "as above",
	"100 GraphQL points an hour":                     "as above",
	"the secondary limit lasts an hour":              "it is not reached",
	"too many requests are 503":                      "limits are not reached",
	"9 points a minute":                              "not in headers: it would take hours of refusals",
	"one request at a time":                          "zero at a time: it would never end",
	"an empty repository's tree is not found":        "none is empty among so few; see TestTree",
	"trees are cut after three entries":              "a cut tree is walked: see TestTrees",
}

// renamed are members that GitHub would call otherwise, by the end of the path
// of whose answers; "" any.
var renamed = []struct{ path, member string }{
	{"/graphql", "databaseId"},
	{"/graphql", "login"},
	{"/graphql", "name"},
	{"/graphql", "company"},
	{"/graphql", "createdAt"},
	{"/graphql", "hasTwoFactorEnabled"},
	{"/graphql", "organizationVerifiedDomainEmails"},
	{"/outside_collaborators", "login"},
	{"/outside_collaborators", "node_id"},
	{"/teams/*", "parent"},
	{"/teams/*", "privacy"},
	{"/teams/*", "created_at"},
	{"/repos/*/*", "visibility"},
	{"/repos/*/*", "pushed_at"},
	{"/repos/*/*", "html_url"},
	{"/keys", "read_only"},
	{"/keys", "last_used"},
	{"/organization-roles", "permissions"},
	{"/users", "inherited_from"},
	{"/installations", "app_id"},
	{"/installations", "client_id"},
	{"/installations", "repository_selection"},
	{"/credential-authorizations", "authorized_credential_id"},
	{"/credential-authorizations", "scopes"},
	{"/credential-authorizations", "credential_authorized_at"},
	{"/personal-access-tokens", "token_id"},
	{"/personal-access-tokens", "access_granted_at"},
	{"/audit-log", "action"},
	{"/audit-log", "org"},
	{"/audit-log", "user_id"},
	{"/audit-log", "repo_id"},
	{"/audit-log", "user_agent"},
	{"/audit-log", "token_id"},
	{"/audit-log", "programmatic_access_type"},
	{"/audit-log", "external_identity_nameid"},
}

func TestMutations(t *testing.T) {
	var mutations []sourcetest.Mutation
	excused := 0
	for _, flip := range sandboxgithub.Flips() {
		if _, ok := unnoticed[flip.Name]; ok {
			excused++
			continue
		}
		facts := sandboxgithub.Default()
		flip.Apply(&facts)
		mutations = append(mutations, sourcetest.Mutation{Name: flip.Name, Vendor: vendor(facts)})
	}
	require.Len(t, unnoticed, excused, "an excuse for no fact")
	for _, m := range renamed {
		mutations = append(mutations, sourcetest.Mutation{Name: m.member + " of " + m.path, Wrap: sourcetest.Rename(m.path, m.member)})
	}
	f := fixture()
	f.Config = "files: {trees: true}"
	connect := f.Settings
	f.Settings = func(t testing.TB, tenant *sandbox.Tenant) string {
		settings := connect(t, tenant)
		tenant.Handler().(*sandboxgithub.Handler).SetFlavour(sandboxgithub.Flavour{App: true, Trees: true})
		return settings
	}
	sourcetest.Mutate(t, f, mutations)
}
