package googleworkspace

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// customer answers as a customer of which the fixtures are.
func customer(t testing.TB) func(*http.Request, string, string) answer {
	return func(r *http.Request, _, _ string) answer {
		q := r.URL.Query()
		path := strings.TrimPrefix(r.URL.Path, directory)
		switch {
		case path == "/customers/my_customer" || path == "/customers/"+testCustomer:
			return answer{body: `{"kind":"admin#directory#customer","id":"` + testCustomer + `","customerDomain":"example.com"}`}
		case path == "/users" && q.Get("showDeleted") == "true":
			return answer{body: fixture(t, "users_deleted")}
		case path == "/users" && (q.Has("customer") || q.Has("domain")):
			return answer{body: fixture(t, "users")}
		case path == "/groups":
			return answer{body: fixture(t, "groups")}
		case path == "/groups/03abc1/members":
			return answer{body: fixture(t, "members")}
		case strings.HasSuffix(path, "/members"):
			return answer{body: `{"kind":"admin#directory#members","etag":"\"e\""}`}
		case path == "/customer/my_customer/domains":
			return answer{body: fixture(t, "domains")}
		case path == "/customer/my_customer/roles":
			return answer{body: fixture(t, "roles")}
		case path == "/customer/my_customer/roleassignments" && q.Get("userKey") == "":
			return answer{body: fixture(t, "assignments")}
		case path == "/customer/my_customer/roleassignments":
			return answer{body: `{"kind":"admin#directory#roleAssignments"}`}
		case path == "/users/114511147312345678901/tokens":
			return answer{body: fixture(t, "tokens")}
		case path == "/users/114511147312345678901/asps":
			return answer{body: fixture(t, "asps")}
		case strings.HasSuffix(path, "/tokens"):
			return answer{body: `{"kind":"admin#directory#tokenList"}`}
		case strings.HasSuffix(path, "/asps"):
			return answer{body: `{"kind":"admin#directory#aspList"}`}
		}
		return answer{status: 404, body: refusalOf(404, "notFound", "Resource Not Found: "+path)}
	}
}

func refusalOf(status int, reason, message string) string {
	return fmt.Sprintf(`{"error":{"code":%d,"message":%q,"errors":[{"domain":"global","reason":%q,"message":%q}]}}`, status, message, reason, message)
}

// Every kind of record, read through the streams and mapped.
func TestMapGolden(t *testing.T) {
	t.Parallel()
	s := newVendor(t, customer(t)).open(nil)
	for name, tables := range map[string][]string{
		"accounts": {tableAccounts}, "groups": {tableGroups, tableMembers}, "privileges": {tablePrivileges}, "apps": {tableApps, tableAppGrants},
	} {
		rows := readStream(t, s, name)
		for _, table := range tables {
			require.NotZero(t, rows.Len(schemas.ByName(table)))
			golden(t, table, table, &rows)
		}
	}
}

// Each capability has a token of its own: with one scope that nobody
// authorized, only what needs it is refused.
func TestOneScopeIsMissing(t *testing.T) {
	t.Parallel()
	for scope, refused := range map[string]string{
		"admin.directory.group.readonly":          "groups",
		"admin.directory.rolemanagement.readonly": "privileges",
		"admin.directory.user.security":           "apps",
		"admin.directory.domain.readonly":         "groups/external",
		"admin.directory.customer.readonly":       sources.CapabilityOrganization,
	} {
		v := newVendor(t, customer(t))
		v.refuse = func(_, scopes string) (string, string) {
			if slices.Contains(strings.Split(scopes, ","), scope) {
				return "unauthorized_client", "Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested."
			}
			return "", ""
		}
		s := v.open(nil)
		for _, c := range directoryCapabilities {
			err := s.Probe(t.Context(), c.Name)
			if stream, _, _ := strings.Cut(c.Name, "/"); c.Name == refused || stream == refused && refused == "privileges" {
				require.Equal(t, fault.Forbidden, fault.Of(err), "%s without %s: %v", c.Name, scope, err)
				require.ErrorContains(t, err, scopePrefix+scope)
				require.ErrorContains(t, err, "client id 100200300")
				continue
			}
			require.NoError(t, err, "%s without %s", c.Name, scope)
		}
		for _, info := range directoryInfos {
			st := stream(t, s, info.Name)
			if info.Name == refused && refused != "privileges" {
				for _, err := range st.Lanes(t.Context(), "") {
					require.Equal(t, fault.Forbidden, fault.Of(err))
				}
				continue
			}
			for _, l := range lanesOf(t, st) {
				for _, err := range st.Read(t.Context(), l, "") {
					if info.Name == refused {
						require.Equal(t, fault.Forbidden, fault.Of(err), "%s without %s: %v", info.Name, scope, err)
					} else {
						require.NoError(t, err, "%s without %s", info.Name, scope)
					}
				}
			}
		}
		id, err := s.Identity(t.Context())
		require.NoError(t, err)
		require.NotContains(t, id.Roles, scopePrefix+scope, "what may be seen has changed")
		tenant, err := s.Tenant(t.Context())
		require.NoError(t, err)
		require.Contains(t, []string{testCustomer}, tenant)
	}
}

// The vendor answers 401 for the tokens of a user who was suspended meanwhile.
// It is that user's alone, and no failure.
func TestTokensOfTheSuspended(t *testing.T) {
	t.Parallel()
	suspended, everybody := true, false
	v := newVendor(t, nil)
	base := customer(t)
	v.script = func(r *http.Request, subject, scopes string) answer {
		switch {
		case r.URL.Path == directory+"/users/3/tokens" || everybody && strings.HasSuffix(r.URL.Path, "/tokens"):
			return answer{status: 401, body: refusalOf(401, "authError", "Invalid Credentials")}
		case r.URL.Path == directory+"/users/3":
			return answer{body: fmt.Sprintf(`{"id":"3","suspended":%t}`, suspended)}
		}
		return base(r, subject, scopes)
	}
	s := v.open(nil)
	st := stream(t, s, "apps")
	var ids []string
	for _, l := range lanesOf(t, st) {
		ids = append(ids, l.ID)
	}
	require.Equal(t, []string{"user/114511147312345678901", "user/3", "user/5"}, ids, "those that are suspended are not asked")
	rows, last := read(t, st.Read(t.Context(), sources.Lane{ID: "user/3"}, ""))
	require.Zero(t, rows.Len(schemas.ByName(tableAppGrants)))
	require.False(t, last.More)
	require.Equal(t, "the user is suspended", last.Unseen)
	rows, _ = read(t, st.Read(t.Context(), sources.Lane{ID: "user/114511147312345678901"}, ""))
	require.Len(t, rows.AppGrants, 5)

	suspended = false
	_, last = read(t, st.Read(t.Context(), sources.Lane{ID: "user/3"}, ""))
	require.Contains(t, last.Unseen, "Invalid Credentials", "of another user's tokens the same credentials are good")

	suspended, everybody = false, true
	for _, err := range st.Read(t.Context(), sources.Lane{ID: "user/3"}, "") {
		require.Equal(t, fault.Auth, fault.Of(err), "nobody's tokens are shown")
	}
}

// Pages follow each other by tokens, with the same parameters; any page's
// cursor resumes, and a token that is refused begins anew.
func TestPages(t *testing.T) {
	t.Parallel()
	v := newVendor(t, nil)
	fail := 0
	base := customer(t)
	v.script = func(r *http.Request, subject, scopes string) answer {
		q := r.URL.Query()
		if r.URL.Path != pathUsers || q.Get("showDeleted") != "" || q.Has("fields") {
			return base(r, subject, scopes)
		}
		if q.Get("customer") != "my_customer" || q.Get("orderBy") != "email" || q.Get("maxResults") != "500" {
			return answer{status: 400, body: refusalOf(400, "invalid", "Invalid Input")}
		}
		switch q.Get("pageToken") {
		case "":
			return answer{body: `{"kind":"admin#directory#users","users":[{"id":"1"},{"id":"2"}],"nextPageToken":"~!!~AI9=_x"}`}
		case "~!!~AI9=_x":
			switch fail {
			case 400:
				return answer{status: 400, body: refusalOf(400, "invalid", "Invalid Value")}
			case 503:
				return answer{status: 503, body: refusalOf(503, "backendError", "Backend Error")}
			}
			return answer{body: `{"kind":"admin#directory#users","users":[{"id":"3"}]}`}
		}
		return answer{status: 400, body: refusalOf(400, "invalid", "Invalid Input")}
	}
	s := v.open(nil)
	st := stream(t, s, "accounts")
	rows, last := read(t, st.Read(t.Context(), sources.Lane{}, ""))
	require.Len(t, rows.Accounts, 4, "a deleted one too")
	require.False(t, last.More)
	var second sources.Cursor
	for page, err := range st.Read(t.Context(), sources.Lane{}, "") {
		require.NoError(t, err)
		second = page.Next
		break
	}
	rows, _ = read(t, st.Read(t.Context(), sources.Lane{}, second))
	require.Len(t, rows.Accounts, 2)

	class := func() fault.Class {
		for _, err := range st.Read(t.Context(), sources.Lane{}, second) {
			return fault.Of(err)
		}
		return ""
	}
	fail = 400
	require.Equal(t, fault.Expired, class())
	fail = 503
	require.Equal(t, fault.Transient, class())
	v.clock.Skip(time.Hour)
	require.Equal(t, fault.Expired, class(), "after an hour the chain has ended")
	fail = 0
	rows, _ = read(t, st.Read(t.Context(), sources.Lane{}, second))
	require.Len(t, rows.Accounts, 2)
}

// An answer of another kind is no empty list.
func TestEmptyIsNotNothing(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, `{"kind":"admin#directory#groups"}`, `[]`, `{"kind":"admin#directory#users","nextPageToken":"a b"}`, `null`} {
		v := newVendor(t, nil)
		base := customer(t)
		v.script = func(r *http.Request, subject, scopes string) answer {
			if r.URL.Path == pathUsers && !r.URL.Query().Has("fields") {
				return answer{body: body}
			}
			return base(r, subject, scopes)
		}
		for _, err := range stream(t, v.open(nil), "accounts").Read(t.Context(), sources.Lane{}, "") {
			require.Error(t, err, body)
		}
	}
}

// A super administrator by a group needs no row of its own.
func TestSuperAdmins(t *testing.T) {
	t.Parallel()
	covered := false
	v := newVendor(t, nil)
	base := customer(t)
	v.script = func(r *http.Request, subject, scopes string) answer {
		if covered && r.URL.Query().Get("userKey") == "2" {
			require.Equal(t, "true", r.URL.Query().Get("includeIndirectRoleAssignments"))
			return answer{body: `{"kind":"admin#directory#roleAssignments","items":[{"roleAssignmentId":"1","roleId":"13801188331880449","assignedTo":"03abc1","assigneeType":"group","scopeType":"CUSTOMER"}]}`}
		}
		return base(r, subject, scopes)
	}
	s := v.open(nil)
	st := stream(t, s, "privileges")
	rows, _ := read(t, st.Read(t.Context(), sources.Lane{ID: laneSuperAdmins}, ""))
	require.Len(t, rows.Privileges, 1)
	require.Equal(t, superAdmin, rows.Privileges[0].RoleName)
	covered = true
	rows, _ = read(t, st.Read(t.Context(), sources.Lane{ID: laneSuperAdmins}, ""))
	require.Empty(t, rows.Privileges)
}
