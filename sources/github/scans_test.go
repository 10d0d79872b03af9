package github

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/secret"
	"weir/schemas"
	"weir/sources"
	"weir/sources/httpx"
)

// graphql scripts GraphQL's answers, by what the query asks for and after where.
func (v *vendor) graphql(answers map[string]string) {
	script := func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		body, key := string(b), ""
		switch {
		case strings.Contains(body, "samlIdentityProvider"):
			key = "saml"
		case strings.Contains(body, "membersWithRole"):
			key = "members"
		}
		if _, after, ok := strings.Cut(body, `"after":"`); ok {
			after, _, _ = strings.Cut(after, `"`)
			key += " " + after
		}
		if !strings.Contains(body, `"org":"octo-corp"`) || answers[key] == "" {
			fail(w, 400, "not scripted: "+key)
			return
		}
		_, _ = io.WriteString(w, answers[key])
	}
	v.handle("POST /graphql", script)
	v.handle("POST /api/graphql", script)
}

func member(id int, login string) string {
	return fmt.Sprintf(`{"role":"MEMBER","hasTwoFactorEnabled":true,"node":{"databaseId":%d,"login":%q,"organizationVerifiedDomainEmails":[]}}`, id, login)
}

func members(edges, cursor, errors string) string {
	if errors != "" {
		errors = `,"errors":[` + errors + `]`
	}
	return fmt.Sprintf(`{"data":{"organization":{"membersWithRole":{"pageInfo":{"hasNextPage":%t,"endCursor":%q},"edges":[%s]}}}%s}`, cursor != "", cursor, edges, errors)
}

const noSAML = `{"data":{"organization":{"samlIdentityProvider":null}}}`

func TestMembers(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.graphql(map[string]string{
		"saml": `{"data":{"organization":{"samlIdentityProvider":{"externalIdentities":{"pageInfo":{"hasNextPage":true,"endCursor":"s1"},"nodes":[
			{"guid":"g1","samlIdentity":{"nameId":"Mona@acme.example","username":"mona","emails":[]},"scimIdentity":{"username":"mona@acme.example","emails":[{"value":"mona.l@acme.example"}]},"user":{"login":"mona","databaseId":1}},
			{"guid":"g2","samlIdentity":{"nameId":"nobody@acme.example"},"scimIdentity":null,"user":null}]}}}}}`,
		"saml s1": `{"data":{"organization":{"samlIdentityProvider":{"externalIdentities":{"pageInfo":{"hasNextPage":false,"endCursor":null},"nodes":[
			{"guid":"g3","samlIdentity":{"nameId":"h@acme.example"},"scimIdentity":null,"user":{"login":"hubot","databaseId":2}}]}}}}}`,
		"members":    members(member(1, "mona"), "m1", ""),
		"members m1": members("", "m2", ""), // an empty page is not the last
		"members m2": members(member(2, "hubot")+`,{"role":"MEMBER","node":{"login":"ghost"}}`, "", ""),
	})
	s := v.open(t)
	require.Equal(t, []string{"members", "outside", "invitations", "failed_invitations"}, listLanes(t, s.accountLanes(t.Context(), "")))
	r := readLane(t, s.readAccounts, laneMembers)
	require.Len(t, r.Accounts, 2)
	require.Equal(t, []string{"mona.l@acme.example", "mona@acme.example"}, r.Accounts[0].Emails)
	require.Equal(t, "mona.l@acme.example", r.Accounts[0].Email)
	require.Equal(t, "h@acme.example", r.Accounts[1].Email)
	require.Empty(t, r.Accounts[0].NotAsked)
	require.Len(t, r.rejected, 1)
	require.NoError(t, s.Probe(t.Context(), streamAccounts))
	require.NoError(t, s.Probe(t.Context(), partSSO))
}

// What may not be asked for is named, and is no reason to lose the rest.
func TestMembersNotAsked(t *testing.T) {
	t.Parallel()
	forbidden := `{"type":"FORBIDDEN","path":["organization","membersWithRole","edges",0,"node","organizationVerifiedDomainEmails"],"message":"Resource not accessible by integration"}`
	v := newVendor(t)
	v.graphql(map[string]string{
		"saml":    `{"data":{"organization":{"samlIdentityProvider":null}},"errors":[{"type":"FORBIDDEN","path":["organization","samlIdentityProvider"],"message":"Must have admin rights"}]}`,
		"members": members(`{"role":"ADMIN","hasTwoFactorEnabled":null,"node":{"databaseId":1,"login":"mona","email":"mona@acme.example"}}`, "", forbidden),
	})
	s := v.open(t)
	r := readLane(t, s.readAccounts, laneMembers)
	require.Len(t, r.Accounts, 1)
	require.ElementsMatch(t, []string{"mfa_enabled", "email", "emails"}, r.Accounts[0].NotAsked)
	require.Equal(t, "mona@acme.example", r.Accounts[0].Email)
	require.Equal(t, fault.Forbidden, fault.Of(s.Probe(t.Context(), partSSO)))
}

func TestGraphQLErrors(t *testing.T) {
	t.Parallel()
	for answer, class := range map[string]fault.Class{
		`{"data":{"organization":null},"errors":[{"type":"NOT_FOUND","path":["organization"],"message":"Could not resolve to an Organization"}]}`:                                      fault.Forbidden,
		`{"data":null,"errors":[{"type":"FORBIDDEN","message":"Resource protected by organization SAML enforcement","extensions":{"saml_failure":true}}]}`:                             fault.Forbidden,
		`{"errors":[{"type":"INSUFFICIENT_SCOPES","message":"Your token has not been granted the required scopes"}]}`:                                                                  fault.Forbidden,
		`{"errors":[{"type":"RATE_LIMITED","message":"API rate limit exceeded"}]}`:                                                                                                     fault.Throttled,
		`{"data":null,"errors":[{"message":"Something went wrong while executing your query"}]}`:                                                                                       fault.Transient,
		`{"data":{"organization":{"membersWithRole":null}},"errors":[{"type":"FORBIDDEN","path":["organization","membersWithRole"],"message":"Resource not accessible"}]}`:             fault.Forbidden,
		`{"data":{"organization":{"membersWithRole":{"edges":[]}}},"errors":[{"type":"SERVICE_UNAVAILABLE","path":["organization","membersWithRole","edges",0],"message":"timeout"}]}`: fault.Transient,
		`{"data":7}`:                   fault.Transient,
		`{"data":{"organization":[]}}`: fault.BadData,
		`<html>`:                       fault.Transient,
	} {
		v := newVendor(t)
		v.graphql(map[string]string{"saml": noSAML, "members": answer})
		_, err := readAll(v.open(t).readAccounts(t.Context(), sources.Lane{ID: laneMembers}, ""))
		require.Equal(t, class, fault.Of(err), "%s: %v", answer, err)
	}
}

func TestOutsideCollaborators(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	const path = "GET /orgs/octo-corp/outside_collaborators"
	v.json(path+"?filter=2fa_disabled&per_page=100", `[{"login":"eve","id":9}]`)
	v.page(path+"?per_page=100", `[{"login":"eve","id":9,"type":"User"}]`, "/organizations/6811672/outside_collaborators?page=2")
	v.json("GET /organizations/6811672/outside_collaborators?page=2", `[{"login":"bob","id":10,"type":"User"}]`)
	s := v.open(t)
	r := readLane(t, s.readAccounts, laneOutside)
	require.Equal(t, []schemas.Opt[bool]{schemas.Some(false), schemas.Some(true)}, []schemas.Opt[bool]{r.Accounts[0].MFAEnabled, r.Accounts[1].MFAEnabled})
	// The filter is for owners.
	v.fail(path+"?filter=2fa_disabled&per_page=100", 422, "Only owners can use this filter.")
	r = readLane(t, s.readAccounts, laneOutside)
	require.Equal(t, []string{"mfa_enabled"}, r.Accounts[0].NotAsked)
	// Forbidden altogether: that lane alone fails.
	v.fail(path, 403, "Must be an organization owner")
	v.fail(path+"?per_page=100", 403, "Must be an organization owner")
	_, err := readAll(s.readAccounts(t.Context(), sources.Lane{ID: laneOutside}, ""))
	require.Equal(t, fault.Forbidden, fault.Of(err))
	require.ErrorContains(t, err, "accounts/outside")
}

func TestInvitations(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	s := v.open(t)
	read := func() (*result, error) {
		return readAll(s.readAccounts(t.Context(), sources.Lane{ID: laneInvitations}, ""))
	}
	// 404: nobody can tell whether there are none, or they may not be seen.
	_, err := read()
	require.Error(t, err)
	v.owner("repo, read:user")
	_, err = read()
	require.Equal(t, fault.Forbidden, fault.Of(err), "the scope is missing")
	v.owner("read:org, read:user")
	r, err := read()
	require.NoError(t, err, "an owner with the scope sees that there are none: managed users")
	require.True(t, r.whole)
	require.NoError(t, s.Probe(t.Context(), partInvitations))
	v.json("GET /orgs/octo-corp/invitations", `[{"id":77,"email":"new@acme.example"}]`)
	v.json("GET /orgs/octo-corp/failed_invitations", `[{"id":78,"login":"gone"}]`)
	r = readLane(t, s.readAccounts, laneInvitations)
	require.Equal(t, "invited", r.Accounts[0].Status)
	r = readLane(t, s.readAccounts, laneFailedInvitations)
	require.Equal(t, "disabled", r.Accounts[0].Status)
}

func TestGroups(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.page("GET /orgs/octo-corp/teams", `[{"id":41,"slug":"parent","name":"Parent"}]`, "/organizations/6811672/teams?page=2")
	v.json("GET /organizations/6811672/teams?page=2", `[{"id":42,"slug":"ops","name":"Ops"}]`)
	v.json("GET /orgs/octo-corp/teams/ops", `{"id":42,"slug":"ops","name":"Ops","privacy":"secret","parent":{"id":41},"created_at":"2020-01-01T00:00:00Z"}`)
	const list = "GET /orgs/octo-corp/teams/ops/members"
	v.page(list+"?per_page=100&role=all", `[{"id":1,"login":"mona","role":"maintainer","inherited":false}]`, "/organizations/6811672/team/42/members?page=2")
	v.json("GET /organizations/6811672/team/42/members?page=2", `[{"id":2,"login":"hubot","role":"member"},{"id":3,"login":"child","role":"member","inherited":true}]`)
	s := v.open(t)
	require.Equal(t, []string{"team/41", "team/42"}, listLanes(t, s.groupLanes(t.Context(), "")))
	r := readLane(t, s.readGroup, "team/42")
	require.Equal(t, []string{"Group 42", "GroupMember 41 42 member", "GroupMember 42 1 maintainer", "GroupMember 42 2 member"}, keys(&r.Rows))
	require.Equal(t, "group", r.GroupMembers[0].MemberKind)

	// A server that does not tell roles: a list for each.
	v.json(list+"?per_page=100&role=all", `[{"id":1},{"id":2}]`)
	v.json(list+"?per_page=100&role=maintainer", `[{"id":1}]`)
	v.json(list+"?per_page=100&role=member", `[{"id":2}]`)
	again := readLane(t, v.open(t).readGroup, "team/42") // after a restart the slug is looked up
	require.Equal(t, sorted(keys(&r.Rows)), sorted(keys(&again.Rows)))

	// Renamed since it was listed: the next attempt knows the new slug.
	v.json("GET /organizations/6811672/teams?page=2", `[{"id":42,"slug":"operations"}]`)
	v.json("GET /orgs/octo-corp/teams/operations", `{"id":42,"slug":"operations"}`)
	v.json("GET /orgs/octo-corp/teams/operations/members", `[]`)
	v.fail("GET /orgs/octo-corp/teams/ops", 404, "Not Found")
	_, err := readAll(s.readGroup(t.Context(), sources.Lane{ID: "team/42"}, ""))
	require.Equal(t, fault.Transient, fault.Of(err))
	r, err = readAll(s.readGroup(t.Context(), sources.Lane{ID: "team/42"}, ""))
	require.NoError(t, err)
	require.Equal(t, "octo-corp/operations", r.Groups[0].AliasIDs[0])

	// Deleted since it was listed: nothing of it is there.
	r, err = readAll(s.readGroup(t.Context(), sources.Lane{ID: "team/43"}, ""))
	require.NoError(t, err)
	require.True(t, r.whole)
	require.Empty(t, keys(&r.Rows))
}

// repository scripts one private repository, 12, shared as told.
func (v *vendor) repository(outside, direct, teams, invitations, deployKeys string) {
	const repo = `{"id":12,"node_id":"R_12","name":"api","full_name":"octo-corp/api","owner":{"login":"octo-corp","id":6811672},"private":true,"visibility":"private","default_branch":"main","pushed_at":"2024-02-29T12:00:00Z","html_url":"https://github.com/octo-corp/api"}`
	v.json("GET /orgs/octo-corp/repos", "["+repo+"]")
	const path = "GET /repos/octo-corp/api"
	v.json(path, repo)
	v.json(path+"/collaborators?affiliation=outside&per_page=100", outside)
	v.json(path+"/collaborators?affiliation=outside&per_page=1", outside)
	v.json(path+"/collaborators?affiliation=direct&per_page=100", direct)
	v.json(path+"/collaborators?affiliation=direct&per_page=1", direct)
	v.json(path+"/teams", teams)
	v.json(path+"/invitations", invitations)
	v.json(path+"/keys", deployKeys)
}

func TestRepository(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	mona := `{"id":1,"login":"mona","role_name":"admin","permissions":{"admin":true}}`
	v.repository(`[]`, "["+mona+"]", `[{"id":42,"slug":"ops","permission":"pull"}]`, `[]`, `[{"id":5,"read_only":true,"last_used":null}]`)
	s := v.open(t)
	require.Equal(t, []string{"organization", "roles", "repository/12"}, listLanes(t, s.repositoryLanes(t.Context(), "")))
	require.NotContains(t, v.requests()[0], "sort=pushed", "a push would move a repository behind the place that has been read")
	r := readLane(t, s.readRepositories, "repository/12")
	require.Equal(t, []string{"File 12:", "FilePermission 12: account:1", "FilePermission 12: group:42", "FilePermission 12: link:5", "FilePermission 12: domain:6811672"},
		append(keys(&schemas.Rows{Files: r.Files}), keys(&schemas.Rows{FilePermissions: r.FilePermissions})...))
	require.Len(t, r.Privileges, 2)
	require.Equal(t, "private", r.Files[0].Sharing)
	require.Equal(t, "read", r.FilePermissions[3].Role)

	// Somebody outside is invited.
	v.repository(`[]`, `[]`, `[]`, `[{"id":1}]`, `[]`)
	require.Equal(t, "external", readLane(t, s.readRepositories, "repository/12").Files[0].Sharing)
	v.repository("["+mona+"]", "["+mona+"]", `[]`, `[]`, `[]`)
	require.Equal(t, "external", readLane(t, s.readRepositories, "repository/12").Files[0].Sharing)
	require.NoError(t, s.Probe(t.Context(), partAccess))
}

// Who has access may not be asked for: the repository is told, and the lane
// fails, so that what is known of access stands.
func TestRepositoryAccessForbidden(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.repository(`[]`, `[]`, `[]`, `[]`, `[]`)
	v.handle("GET /repos/octo-corp/api/keys", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Accepted-GitHub-Permissions", "administration=read")
		fail(w, 403, "Resource not accessible by integration")
	})
	s := v.open(t)
	r, err := readAll(s.readRepositories(t.Context(), sources.Lane{ID: "repository/12"}, ""))
	require.Equal(t, fault.Forbidden, fault.Of(err))
	require.ErrorContains(t, err, "administration=read")
	require.Len(t, r.Files, 1)
	require.False(t, r.whole)
	require.Equal(t, []string{"sharing"}, r.Files[0].NotAsked)
	_, err = readAll(s.readRepositories(t.Context(), sources.Lane{ID: "repository/12"}, r.last.Next))
	require.ErrorContains(t, err, "administration=read", "also after a restart")
}

func TestRepositoryMoved(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.repository(`[]`, `[]`, `[]`, `[]`, `[]`)
	v.handle("GET /repos/octo-corp/api", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", v.base()+"/repositories/12")
		w.WriteHeader(http.StatusMovedPermanently)
		_, _ = io.WriteString(w, `{"message":"Moved Permanently"}`)
	})
	v.json("GET /repositories/12", `{"id":12,"name":"api2","full_name":"octo-corp/api2","visibility":"public"}`)
	s := v.open(t)
	r, err := readAll(s.readRepositories(t.Context(), sources.Lane{ID: "repository/12"}, ""))
	require.NoError(t, err)
	require.Equal(t, "octo-corp/api2", r.Files[0].ContainerName)
	// Another repository has taken the name.
	v.json("GET /repos/octo-corp/api", `{"id":13,"name":"api","full_name":"octo-corp/api"}`)
	_, err = readAll(s.readRepositories(t.Context(), sources.Lane{ID: "repository/12"}, ""))
	require.Equal(t, fault.Transient, fault.Of(err))
}

func TestOwnersAndRoles(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.page("GET /orgs/octo-corp/members?per_page=100&role=admin", `[{"id":1,"login":"mona"}]`, "/organizations/6811672/members?page=2&role=admin")
	v.json("GET /organizations/6811672/members?page=2&role=admin", `[{"id":2,"login":"hubot"}]`)
	s := v.open(t)
	r := readLane(t, s.readRepositories, laneOrg)
	require.Len(t, r.Privileges, 3)
	require.Equal(t, "repo:read", r.Privileges[0].RoleID)
	require.Equal(t, []string{"1", "2"}, []string{r.Privileges[1].PrincipalID, r.Privileges[2].PrincipalID})

	// Roles: off, not to be seen, there.
	v.fail("GET /orgs/octo-corp/organization-roles", 422, "Validation Failed")
	require.Empty(t, keys(&readLane(t, s.readRepositories, laneRoles).Rows))
	require.Equal(t, fault.NotLicensed, fault.Of(s.Probe(t.Context(), partRoles)))
	v.fail("GET /orgs/octo-corp/organization-roles", 403, "Must have admin rights")
	_, err := readAll(s.readRepositories(t.Context(), sources.Lane{ID: laneRoles}, ""))
	require.ErrorContains(t, err, partRoles)
	v.json("GET /orgs/octo-corp/organization-roles", `{"total_count":2,"roles":[{"id":9,"name":"b"},{"id":10,"name":"a","base_role":"admin"}]}`)
	v.json("GET /orgs/octo-corp/organization-roles/9/users", `[{"id":1,"assignment":"direct"}]`)
	v.json("GET /orgs/octo-corp/organization-roles/9/teams", `[]`)
	v.page("GET /orgs/octo-corp/organization-roles/10/users", `[{"id":1,"assignment":"indirect","inherited_from":[{"id":42}]}]`, "/roles/10/users?page=2")
	v.json("GET /roles/10/users?page=2", `[{"id":3,"assignment":"direct"}]`)
	v.json("GET /orgs/octo-corp/organization-roles/10/teams", `[{"id":42,"assignment":"direct"}]`)
	r = readLane(t, s.readRepositories, laneRoles)
	var got []string
	for _, p := range r.Privileges {
		got = append(got, p.PrincipalKind+" "+p.PrincipalID+" "+p.RoleID+" "+p.Via+p.ViaID)
	}
	require.Equal(t, []string{"account 1 orgrole:10 group42", "account 3 orgrole:10 direct", "group 42 orgrole:10 direct", "account 1 orgrole:9 direct"}, got)
}

func TestAskRepository(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	s := v.open(t)
	ask := func(table string, key ...string) sources.Answer {
		a, err := s.askRepositories(t.Context(), table, key)
		require.NoError(t, err)
		return a
	}
	v.json("GET /repositories/12", `{"id":12}`)
	require.Equal(t, sources.Exists, ask("files", "12:"))
	require.Equal(t, sources.Unsure, ask("files", "13:"), "who is not an owner may have lost sight of it")
	v.owner("read:org")
	require.Equal(t, sources.Unsure, ask("files", "13:"), "so may who has lost the scope")
	v.owner("read:org, repo")
	require.Equal(t, sources.Deleted, ask("files", "13:"))
	require.Equal(t, sources.Unsure, ask("files", "12:docs/x"))
	require.Equal(t, sources.Unsure, ask("privileges", "abc"))
	require.Equal(t, sources.Unsure, ask("files", "../user:"))
}

func blob(path, sha string) string {
	return fmt.Sprintf(`{"path":%q,"mode":"100644","type":"blob","sha":%q,"size":1}`, path, sha)
}

func dir(path, sha string) string {
	return fmt.Sprintf(`{"path":%q,"mode":"040000","type":"tree","sha":%q}`, path, sha)
}

func tree(sha string, truncated bool, entries ...string) string {
	return fmt.Sprintf(`{"sha":%q,"truncated":%t,"tree":[%s]}`, sha, truncated, strings.Join(entries, ","))
}

func TestTree(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.repository(`[]`, `[]`, `[]`, `[]`, `[]`)
	const path = "GET /repos/octo-corp/api/git/trees/"
	var entries []string
	for i := range 2*treeChunk + 5 {
		entries = append(entries, blob(fmt.Sprintf("f%05d", i), "aa"))
	}
	v.json(path+"main?recursive=1", tree("r00t", false, entries...))
	v.json(path+"r00t?recursive=1", tree("r00t", false, entries...))
	s := v.open(t, func(c *Config) { c.Files.Trees = true })
	require.Equal(t, []string{"organization", "roles", "repository/12", "tree/12"}, listLanes(t, s.repositoryLanes(t.Context(), "")))
	r := readLane(t, s.readRepositories, "tree/12")
	require.Len(t, r.Files, 2*treeChunk+5)
	require.Len(t, r.cursors, 3)
	// Pushed to between two pages: the tree that was begun is told to its end.
	v.json(path+"main?recursive=1", tree("other", false))
	rest, err := readAll(s.readRepositories(t.Context(), sources.Lane{ID: "tree/12"}, r.cursors[1]))
	require.NoError(t, err)
	require.Len(t, rest.Files, 5)
	// An empty repository.
	v.fail(path+"main?recursive=1", 409, "Git Repository is empty.")
	r = readLane(t, s.readRepositories, "tree/12")
	require.Empty(t, r.Files)
	require.NoError(t, s.Probe(t.Context(), streamRepositories))
}

// A tree that is too large for one answer is walked.
func TestTreeTruncated(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.repository(`[]`, `[]`, `[]`, `[]`, `[]`)
	const path = "GET /repos/octo-corp/api/git/trees/"
	v.json(path+"main?recursive=1", tree("r00t", true, blob("a", "1")))
	v.json(path+"r00t", tree("r00t", false, dir("b", "tb"), blob("a", "1"), dir("b-c", "tbc")))
	v.json(path+"tb", tree("tb", false, dir("z", "tz"), blob("x", "2")))
	v.json(path+"tz", tree("tz", false, blob("y", "3")))
	v.json(path+"tbc", tree("tbc", false, blob("q", "4")))
	s := v.open(t, func(c *Config) { c.Files.Trees = true })
	r := readLane(t, s.readRepositories, "tree/12")
	require.Equal(t, []string{"12:a", "12:b", "12:b-c", "12:b-c/q", "12:b/x", "12:b/z", "12:b/z/y"}, sorted(fileIDs(r)))
}

func fileIDs(r *result) (ids []string) {
	for i := range r.Files {
		ids = append(ids, r.Files[i].FileID)
	}
	return ids
}

func TestGrants(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	const orgs, credentials = "GET /orgs/octo-corp/installations", "GET /orgs/octo-corp/credential-authorizations"
	v.page(orgs, `{"total_count":2,"installations":[{"id":1001,"app_id":2001,"app_slug":"build"}]}`, "/organizations/6811672/installations?page=2")
	v.json("GET /organizations/6811672/installations?page=2", `{"total_count":2,"installations":[{"id":1002,"app_id":2002,"app_slug":"old"}]}`)
	v.json(credentials+"?page=1&per_page=100", `[{"login":"mona","credential_id":1,"credential_type":"SSH key"}]`)
	v.json(credentials+"?page=2&per_page=100", `[{"login":"mona","credential_id":2,"credential_type":"OAuth app token"}]`)
	v.json(credentials+"?page=3&per_page=100", `[]`)
	s := v.open(t, v.cloud)
	require.Equal(t, []string{"installations", "credentials"}, listLanes(t, s.grantLanes(t.Context(), "")), "fine-grained tokens are told to GitHub Apps only")
	r := readLane(t, s.readGrants, laneInstallations)
	require.Equal(t, []string{"App 2001", "App 2002", "AppGrant inst:1001", "AppGrant inst:1002"}, keys(&r.Rows))
	r = readLane(t, s.readGrants, laneCredentials)
	require.Equal(t, []string{"AppGrant cred:1", "AppGrant cred:2"}, keys(&r.Rows), "an empty page is the end, for there are no links")

	// No single sign-on, or it may not be seen.
	v.fail(credentials+"?page=1&per_page=100", 404, "Not Found")
	v.owner("repo")
	_, err := readAll(s.readGrants(t.Context(), sources.Lane{ID: laneCredentials}, ""))
	require.Equal(t, fault.Forbidden, fault.Of(err))
	v.owner("read:org")
	require.Empty(t, keys(&readLane(t, s.readGrants, laneCredentials).Rows))

	v.json("GET /orgs/octo-corp/personal-access-tokens", `[{"id":55,"owner":{"id":1},"token_id":98}]`)
	r = readLane(t, s.readGrants, lanePATs)
	require.Equal(t, "pat:98", r.AppGrants[0].GrantID)
}

func TestScanCursors(t *testing.T) {
	t.Parallel()
	s := newVendor(t).open(t)
	for _, c := range []sources.Cursor{"x", "{}", `{"v":2}`} {
		_, err := readAll(s.readAccounts(t.Context(), sources.Lane{ID: laneOutside}, c))
		require.Equal(t, fault.Expired, fault.Of(err), c)
	}
	for _, read := range []reader{s.readAccounts, s.readGroup, s.readRepositories, s.readGrants} {
		_, err := readAll(read(t.Context(), sources.Lane{ID: "other"}, ""))
		require.Equal(t, fault.BadData, fault.Of(err))
	}
	_, err := readAll(s.readGroup(t.Context(), sources.Lane{ID: "team/1"}, `{"v":1,"p":-7}`))
	require.Error(t, err)
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	v.handle("GET /user", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-OAuth-Scopes", "repo, read:org")
		_, _ = io.WriteString(w, `{"id":1,"login":"mona","type":"User"}`)
	})
	s := v.open(t)
	id, err := s.Identity(t.Context())
	require.NoError(t, err)
	require.Equal(t, sources.Identity{ID: "1", Name: "mona", Kind: sources.IdentityPerson, Roles: []string{"read:org", "repo"}}, id)
	v.owner("repo, read:org")
	id, err = s.Identity(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{"org:admin", "read:org", "repo"}, id.Roles)
	tenant, err := s.Tenant(t.Context())
	require.NoError(t, err)
	require.Equal(t, "6811672", tenant)
}

// Every declared capability can be probed, and no other.
func TestProbeKnowsAll(t *testing.T) {
	t.Parallel()
	v := newVendor(t)
	s := v.open(t)
	streams := map[string]bool{}
	for _, c := range Connector.Capabilities {
		stream, _, part := strings.Cut(c.Name, "/")
		if !part {
			streams[c.Name] = true
		}
		require.True(t, streams[stream], "%s stands behind its stream", c.Name)
		require.NotEmpty(t, c.Doc)
		require.NotEmpty(t, c.Scopes)
		require.NotEmpty(t, c.Where)
		err := s.Probe(t.Context(), c.Name)
		require.Error(t, err, c.Name)
		require.NotContains(t, err.Error(), "no capability")
		require.NotEqual(t, fault.Permanent, fault.Of(err), c.Name)
	}
	for i := range Connector.Streams {
		require.True(t, streams[Connector.Streams[i].Name])
	}
	require.ErrorContains(t, s.Probe(t.Context(), "other"), "no capability")
}

func TestClassify(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status  int
		header  map[string]string
		message string
		class   fault.Class
		wait    time.Duration
		says    string
	}{
		"not GitHub's":           {404, nil, "", fault.Forbidden, 0, "scope"},
		"primary limit":          {403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "5000", "X-RateLimit-Reset": fmt.Sprint(begin.Add(10 * time.Minute).Unix())}, "API rate limit exceeded for user ID 1.", fault.Throttled, 10 * time.Minute, ""},
		"secondary, with time":   {403, map[string]string{"Retry-After": "600"}, "You have exceeded a secondary rate limit", fault.Throttled, 10 * time.Minute, ""},
		"secondary, without":     {429, nil, "You have exceeded a secondary rate limit", fault.Throttled, time.Minute, ""},
		"App permission":         {403, map[string]string{"X-Accepted-GitHub-Permissions": "members=read"}, "Resource not accessible by integration", fault.Forbidden, 0, "members=read"},
		"scope":                  {404, map[string]string{"X-Accepted-OAuth-Scopes": "admin:org, read:org", "X-OAuth-Scopes": "repo"}, "Not Found", fault.Forbidden, 0, "granted are: repo"},
		"SAML":                   {403, map[string]string{"X-GitHub-SSO": "required; url=https://github.com/orgs/octo-corp/sso?authorization_request=A"}, "Resource protected by organization SAML enforcement.", fault.Forbidden, 0, "orgs/octo-corp/sso"},
		"IP allow list":          {403, nil, "Although you appear to have the correct authorization credentials, the `octo-corp` organization has an IP allow list enabled, and your IP address is not permitted to access this resource.", fault.Auth, 0, "allow list"},
		"OAuth app restrictions": {403, nil, "Although you appear to have the correct authorization credentials, the `octo-corp` organization has enabled OAuth App access restrictions", fault.Forbidden, 0, "approve"},
		"conflict":               {409, nil, "Conflict", fault.BadData, 0, ""},
		"legal":                  {451, nil, "Unavailable", fault.BadData, 0, ""},
		"partial":                {200, map[string]string{"X-GitHub-SSO": "partial-results; organizations=1,2"}, "", fault.Forbidden, 0, "organizations=1,2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &httpx.Response{Status: c.status, Header: http.Header{}, Endpoint: "GET /orgs/{org}/teams", At: begin, Body: []byte(fmt.Sprintf(`{"message":%q,"status":"%d"}`, c.message, c.status))}
			for k, v := range c.header {
				r.Header.Set(k, v)
			}
			err := classify(r)
			require.Equal(t, c.class, fault.Of(err), err)
			require.ErrorContains(t, err, c.says)
			require.GreaterOrEqual(t, fault.RetryAfter(err), c.wait)
			require.LessOrEqual(t, fault.RetryAfter(err), c.wait+2*time.Second)
		})
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	token, key := secret.New("sandbox-token"), secret.New("${file:/etc/weir/github.pem}")
	good := func(change func(*Config)) *Config {
		c := newConfig()
		c.Org, c.Auth.Token = "octo-corp", token
		change(c)
		return c
	}
	for accepted, change := range map[string]func(*Config){
		"":                             func(*Config) {},
		"exactly one of":               func(c *Config) { c.Auth.Token = secret.Secret{} },
		"exactly one of:":              func(c *Config) { c.Auth.PrivateKey = key },
		"one of app_id and client_id":  func(c *Config) { c.Auth = Auth{PrivateKey: key} },
		"client_id and nothing else":   func(c *Config) { c.Auth = Auth{ClientSecret: token} },
		"nothing else beside token":    func(c *Config) { c.Auth.ClientID = "x" },
		"a number":                     func(c *Config) { c.Auth = Auth{PrivateKey: key, AppID: "x"} },
		"GitHub Apps cannot read":      func(c *Config) { c.Auth = Auth{PrivateKey: key, AppID: "1"}; c.Enterprise = "octo" },
		"an organization's login name": func(c *Config) { c.Org = "a/b" },
		"an enterprise's slug":         func(c *Config) { c.Enterprise = ".." },
		"http only for this machine":   func(c *Config) { c.BaseURL = "http://github.acme.example/api/v3" },
		"https://host":                 func(c *Config) { c.WebURL = "github.com" },
		"https://host, and a path":     func(c *Config) { c.GraphQLURL = "https://user:x@github.com" },
		"a duration from 1h to 3650d":  func(c *Config) { c.Audit.Since = 0 },
		"a duration from 0s to 24h":    func(c *Config) { c.Audit.Overlap, c.Audit.Lateness = 25*time.Hour, 25*time.Hour },
		"from audit.overlap to 5d":     func(c *Config) { c.Audit.Lateness = time.Minute },
	} {
		errs := good(change).Validate()
		if accepted == "" {
			require.Empty(t, errs)
			continue
		}
		require.Len(t, errs, 1, accepted)
		require.Contains(t, errs[0].Accepted, accepted)
	}
	require.Empty(t, good(func(c *Config) { c.BaseURL = "http://127.0.0.1:8080/github/acme" }).Validate())
	require.Empty(t, good(func(c *Config) { c.Auth = Auth{PrivateKey: key, ClientID: "Iv1.0"} }).Validate())
	require.Empty(t, good(func(c *Config) { c.Auth = Auth{ClientSecret: token, ClientID: "Iv1.0"} }).Validate())
}

func TestURLs(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]urls{
		"":                                  {api: "https://api.github.com", graphql: "https://api.github.com/graphql", web: "https://github.com"},
		"https://api.github.com/":           {api: "https://api.github.com", graphql: "https://api.github.com/graphql", web: "https://github.com"},
		"https://api.acme.ghe.com":          {api: "https://api.acme.ghe.com", graphql: "https://api.acme.ghe.com/graphql", web: "https://acme.ghe.com", residency: true},
		"https://git.acme.example/api/v3":   {api: "https://git.acme.example/api/v3", graphql: "https://git.acme.example/api/graphql", web: "https://git.acme.example", server: true},
		"http://127.0.0.1:8080/github/acme": {api: "http://127.0.0.1:8080/github/acme", graphql: "http://127.0.0.1:8080/github/acme/graphql", web: "http://127.0.0.1:8080/github/acme"},
	} {
		require.Equal(t, want, (&Config{BaseURL: base}).urls(), base)
	}
	require.Equal(t, urls{api: "https://a", graphql: "https://b/g", web: "https://c"}, (&Config{BaseURL: "https://a", GraphQLURL: "https://b/g", WebURL: "https://c/"}).urls())
}

func TestConsent(t *testing.T) {
	t.Parallel()
	cfg := newConfig()
	cfg.Org, cfg.Auth = "octo-corp", Auth{ClientID: "Iv1.0", ClientSecret: secret.New("sandbox-secret")}
	c, err := Connector.Consent(sources.Env{}, cfg)
	require.NoError(t, err)
	require.Equal(t, "https://github.com/login/oauth/authorize", c.AuthorizeURL)
	require.Equal(t, "https://github.com/login/oauth/access_token", c.TokenURL)
	require.Equal(t, []string{"read:org", "read:user", "user:email", "read:audit_log"}, c.Scopes)
	require.Contains(t, c.Hint, "https://github.com/orgs/octo-corp/sso")
	cfg.Files.Private = true
	c, err = Connector.Consent(sources.Env{}, cfg)
	require.NoError(t, err)
	require.Contains(t, c.Scopes, "repo")
	cfg.Auth = Auth{Token: secret.New("sandbox-token")}
	c, err = Connector.Consent(sources.Env{}, cfg)
	require.NoError(t, err)
	require.Nil(t, c)
}
