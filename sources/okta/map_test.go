package okta

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"weir/schemas"
	"weir/sources"
)

// Every kind of record, read through the streams and mapped.
func TestMapGolden(t *testing.T) {
	t.Parallel()
	v := newVendor(t, func(r *http.Request) answer {
		file := map[string]string{
			"/api/v1/logs": "logs_kinds", "/api/v1/groups": "groups", "/api/v1/users/00u1/roles": "roles", "/api/v1/apps": "apps",
			"/api/v1/apps/0oa5/grants": "app_scopes", "/api/v1/apps/0oa5/tokens": "tokens", "/api/v1/users/00u1/grants": "consents",
			"/api/v1/api-tokens": "api_tokens", "/integrations/api/v1/api-services": "integrations",
		}[r.URL.Path]
		switch {
		case r.URL.Path == "/api/v1/org":
			return answer{body: `{"id":"00o1"}`}
		case r.URL.Path == "/api/v1/iam/assignees/users":
			return answer{body: `{"value":[{"id":"00u1"}],"_links":{}}`}
		case r.URL.Path == "/api/v1/iam/roles/cr1/permissions":
			return answer{body: `{"permissions":[{"label":"okta.users.read"},{"label":"okta.users.lifecycle.suspend"}]}`}
		case r.URL.Path == "/api/v1/users" && r.URL.Query().Get("filter") == "":
			return answer{body: fixture(t, "users")}
		case file != "":
			return answer{body: fixture(t, file)}
		}
		return answer{}
	})
	s := v.open(func(c *Config) { c.ServiceUserTypes = []string{"service*"}; c.Grants.PerUser = true })
	all := func(name string) (rows schemas.Rows) {
		st := stream(t, s, name)
		lanes := []sources.Lane{{}}
		if st.Lanes != nil {
			lanes = nil
			for page, err := range st.Lanes(t.Context(), "") {
				require.NoError(t, err)
				lanes = append(lanes, page.Lanes...)
			}
		}
		for _, l := range lanes {
			got, last := read(t, st.Read(t.Context(), l, ""))
			require.Empty(t, last.Rejected)
			require.False(t, last.More)
			rows.Activities, rows.Accounts, rows.Groups = append(rows.Activities, got.Activities...), append(rows.Accounts, got.Accounts...), append(rows.Groups, got.Groups...)
			rows.Privileges, rows.Apps, rows.AppGrants = append(rows.Privileges, got.Privileges...), append(rows.Apps, got.Apps...), append(rows.AppGrants, got.AppGrants...)
		}
		return rows
	}
	for name, table := range map[string]string{
		"activities": "activities", "accounts": tableAccounts, "groups": tableGroups, "privileges": tablePrivileges, "apps": tableApps, "app_grants": tableAppGrants,
	} {
		rows := all(name)
		require.NotZero(t, rows.Len(schemas.ByName(table)))
		checkEnums(t, table, &rows)
		golden(t, name, table, &rows)
	}
}

// The contract's sample page, byte for byte.
func TestSamplePage(t *testing.T) {
	t.Parallel()
	body := fixture(t, "logs_page")
	v := newVendor(t, func(r *http.Request) answer {
		if r.URL.Path != pathLogs {
			return answer{body: `{"id":"00o1"}`}
		}
		return answer{body: body, next: "https://acme.okta.com/api/v1/logs?limit=2&sortOrder=ASCENDING&after=1790812800123_1"}
	})
	rows, _ := read(t, stream(t, v.open(nil), "activities").Read(t.Context(), sources.Lane{}, ""))
	golden(t, "logs_page", schemas.TableActivities, &rows)
	require.Equal(t, strings.TrimSuffix(strings.TrimPrefix(body, "["), "]"), rows.Activities[0].Raw)
}

// raw is the record as received, whatever stands around it.
func TestRaw(t *testing.T) {
	t.Parallel()
	f := func(body string, want ...string) {
		t.Helper()
		v := newVendor(t, func(r *http.Request) answer {
			if r.URL.Path != pathLogs {
				return answer{body: `{"id":"00o1"}`}
			}
			return answer{body: body}
		})
		rows, _ := read(t, stream(t, v.open(nil), "activities").Read(t.Context(), sources.Lane{}, ""))
		var got []string
		for _, a := range rows.Activities {
			got = append(got, a.Raw)
		}
		require.Equal(t, want, got)
	}
	one, two := `{"uuid":"1","eventType":"a.b", "x" : [1, {"y":"\u00e9"}] }`, "{\"uuid\":\"2\",\n\"eventType\":\"a.b\",\"uuid\":\"2\"}"
	f("["+one+"]", one)
	f(" [ \n"+one+" ,\n\t"+two+"\r\n ] \n", one, two)
	f("["+one+`,{"uuid":"3"},7,null,{"uuid":"4","actor":"no object","eventType":"a.b"},`+two+"]", one, two) // others are rejected alone
}

func checkEnums(t *testing.T, table string, rows *schemas.Rows) {
	t.Helper()
	allowed := func(column, value string) {
		c := schemas.ByName(table).Column(column)
		require.NotNil(t, c, column)
		require.Contains(t, append(c.Enum, ""), value, column)
	}
	for _, a := range rows.Activities {
		allowed("kind", a.Kind)
		allowed("access", a.Access)
		allowed("outcome", a.Outcome)
		allowed("actor_kind", a.ActorKind)
		for _, k := range a.TargetKinds {
			allowed("target_kind", k)
		}
		require.Len(t, a.TargetNames, len(a.TargetIDs))
		require.Len(t, a.TargetKinds, len(a.TargetIDs))
		require.Len(t, a.ChangeOld, len(a.ChangeNames))
		require.Len(t, a.ChangeNew, len(a.ChangeNames))
		require.LessOrEqual(t, len(a.TargetIDs), maxTargets)
		require.LessOrEqual(t, len(a.ChangeNames), maxChanges)
	}
	for _, a := range rows.Accounts {
		allowed("status", a.Status)
		allowed("kind", a.Kind)
	}
	for _, p := range rows.Privileges {
		allowed("principal_kind", p.PrincipalKind)
		allowed("via", p.Via)
		allowed("state", p.State)
		require.NotEmpty(t, p.PrivilegeID)
	}
	for _, g := range rows.AppGrants {
		allowed("kind", g.Kind)
		allowed("consent", g.Consent)
		allowed("principal_kind", g.PrincipalKind)
	}
}

func TestSecretsAreRemoved(t *testing.T) {
	t.Parallel()
	f := func(in, want string) {
		t.Helper()
		require.Equal(t, want, string(withoutSecret([]byte(in))))
	}
	f(`{"id":"1"}`, `{"id":"1"}`)
	f(`{"credentials":{"oauthClient":{"client_id":"c","client_secret":"s","x":1}}}`, `{"credentials":{"oauthClient":{"client_id":"c","client_secret":"[removed]","x":1}}}`)
	f(`{"credentials":{"oauthClient":{"client_secret" : "s\"}" }}}`, `{"credentials":{"oauthClient":{"client_secret":"[removed]" }}}`)
	f(`{"credentials":{"oauthClient":{"client_secret":{"v":"s"}}},"client_secret":1}`, `{"credentials":{"oauthClient":{"client_secret":"[removed]"}},"client_secret":1}`)
	f(`{"token_endpoint_auth_method":"client_secret_basic"}`, `{"token_endpoint_auth_method":"client_secret_basic"}`)
}

func TestFamilies(t *testing.T) {
	t.Parallel()
	f := func(name, kind string, class, activity int32, access string) {
		t.Helper()
		got := classifyType(name)
		require.Equal(t, []any{kind, class, activity, access}, []any{got.kind, got.class, got.activity, got.access}, name)
	}
	f("user.session.start", "signin", 3002, 1, "read")
	f("user.session.end", "signin", 3002, 2, "read")
	f("user.session.expire", "signin", 3002, 2, "read")
	f("user.session.clear", "admin", 3002, 2, "write")
	f("user.session.access_admin_app", "signin", 3002, 1, "read")
	f("user.authentication.auth_via_mfa", "signin", 3002, 1, "read")
	f("user.authentication.universal_logout", "signin", 3002, 2, "write")
	f("policy.evaluate_sign_on", "signin", 3002, 99, "read")
	f("user.lifecycle.create", "admin", 3001, 1, "write")
	f("user.lifecycle.suspend", "admin", 3001, 5, "write")
	f("user.lifecycle.delete.initiated", "admin", 3001, 6, "write")
	f("user.account.update_password", "admin", 3001, 3, "write")
	f("user.account.reset_password", "admin", 3001, 4, "write")
	f("user.account.lock", "admin", 3001, 9, "write")
	f("user.account.unlock", "admin", 3001, 99, "write")
	f("user.mfa.factor.deactivate", "admin", 3001, 11, "write")
	f("user.credential.enroll", "admin", 3001, 10, "write")
	f("user.account.privilege.grant", "admin", 3005, 1, "write")
	f("app.oauth2.client.privilege.revoke", "admin", 3005, 2, "write")
	f("iam.role.create", "admin", 3005, 1, "write")
	f("group.user_membership.add", "admin", 3006, 3, "write")
	f("group.user_membership.remove", "admin", 3006, 4, "write")
	f("group.lifecycle.delete", "admin", 3006, 5, "write")
	f("group.privilege.grant", "admin", 3006, 1, "write")
	f("application.user_membership.remove", "admin", 3005, 2, "write")
	f("group.application_assignment.add", "admin", 3005, 1, "write")
	f("application.lifecycle.create", "admin", 6002, 1, "write")
	f("app.oauth2.client.lifecycle.deactivate", "admin", 6002, 7, "write")
	f("app.oauth2.token.grant.refresh_token", "user", 6003, 1, "write")
	f("app.oauth2.as.token.revoke", "admin", 6003, 4, "write")
	f("app.oauth2.as.consent.grant", "user", 6003, 1, "write")
	f("system.api_token.create", "admin", 6003, 1, "write")
	f("policy.rule.update", "admin", 3004, 3, "write")
	f("zone.create", "admin", 3004, 1, "write")
	f("event_hook.activated", "admin", 3004, 99, "write")
	f("system.log_stream.lifecycle.delete", "admin", 3004, 4, "write")
	f("security.trusted_origin.add", "admin", 3004, 1, "write")
	f("system.org.rate_limit.violation", "admin", 6003, 99, "read")
	f("core.expression.eval.failure", "admin", 6003, 99, "unknown")
	f("user.import.password", "admin", 6003, 99, "write")
	f("security.threat.detected", "alert", 2004, 1, "read")
	f("security.request.blocked", "alert", 2004, 1, "read")
	f("user.risk.detect", "alert", 2004, 1, "read")
	f("user.account.report_suspicious_activity_by_enduser", "alert", 2004, 1, "read")
	f("user.authentication.sso", "signin", 3002, 1, "read")
	f("group.profile.update", "admin", 3006, 99, "write")
	f("integration.api_service.lifecycle.authorize", "admin", 6002, 1, "write")
	f("integration.api_service.lifecycle.revoke", "admin", 6002, 2, "write")
	f("app.oauth2.admin.consent.grant", "admin", 6003, 1, "write")
	f("app.oauth2.admin.consent.revoke", "admin", 6003, 4, "write")
	f("user.registration.create", "user", 6003, 1, "write")
	f("brand.new.thing", "admin", 6003, 99, "unknown")
	f("", "admin", 6003, 99, "unknown")
}

func TestSmallParsers(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]int64{"P30D": 30 * 86400, "PT1H": 3600, "P1DT2H3M4S": 93784, "": 0, "P": 0, "30D": 0, "P30": 0, "PD": 0, "PT": 0, "P1M": 0, "P99999D": 0, "P-1D": 0, "P1.5D": 0} {
		require.Equal(t, want, int64(duration(in).Seconds()), in)
	}
	for in, want := range map[text]int64{"2026-10-01T00:00:20.353Z": 1790812820353, "2026-10-01T02:00:20.353+02:00": 1790812820353, "": 0, "null": 0, "9999-12-31T00:00:00.000Z": 0, "0001-01-01T00:00:00Z": 0, "1601-01-01T00:00:00Z": 0} {
		require.Equal(t, want, int64(parseTime(in)), in)
	}
	for in, want := range map[string]string{"203.0.113.7": "203.0.113.7", "2001:DB8::1": "2001:db8::1", "::ffff:192.0.2.1": "192.0.2.1", "fe80::1%eth0": "fe80::1", "": "", "unknown": "", "face": ""} {
		got, _ := schemas.CanonicalIP(in)
		require.Equal(t, want, got, in)
	}
	for in, want := range map[text]string{"Ada@Acme.example": "ada@acme.example", "unknown": "", "@x": "", "x@": "", "": "", "a b@c": ""} {
		require.Equal(t, want, email(in))
	}
	for in, want := range map[text]int64{"394089": 394089, "": -1, "-1": -1, "1.5": -1, "1234567890123456789": -1} {
		if got := number(in); want >= 0 {
			require.Equal(t, schemas.Some(want), got)
		} else {
			require.False(t, got.Known)
		}
	}
}

// Any record maps to a row within the schema's bounds, or is refused.
func FuzzMap(f *testing.F) {
	var events []jsontext.Value
	require.NoError(f, json.Unmarshal([]byte(fixture(f, "logs_kinds")), &events))
	for _, e := range events {
		f.Add([]byte(e))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		var e wireEvent
		if json.Unmarshal(raw, &e, decodeOptions) != nil {
			return
		}
		rows := schemas.Rows{Activities: make([]schemas.Activity, 1)}
		if newMapper().event(&rows.Activities[0], &e, "", string(raw)) == "" {
			checkEnums(t, schemas.TableActivities, &rows)
		}
	})
}
