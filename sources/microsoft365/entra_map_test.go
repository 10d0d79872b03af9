package microsoft365

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// entraMaps are the mappings of both logs, by the name of their fixtures.
var entraMaps = map[string]func(*entraMapper, *schemas.Activity, string, string) string{
	"audits": (*entraMapper).audit, "signins": (*entraMapper).signIn,
}

// entraRecords are the records of a fixture.
func entraRecords(t testing.TB, name string) (out []string) {
	t.Helper()
	b, err := os.ReadFile("testdata/entra/" + name + ".json")
	require.NoError(t, err)
	var all []json.RawMessage
	require.NoError(t, json.Unmarshal(b, &all))
	for _, raw := range all {
		out = append(out, string(raw))
	}
	require.NotEmpty(t, out)
	return out
}

// Every kind of record, mapped: each column that is told, but for raw.
func TestEntraGolden(t *testing.T) {
	t.Parallel()
	for name, mapOne := range entraMaps {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, rows := newEntraMapper(), schemas.Rows{}
			for _, raw := range entraRecords(t, name) {
				var a schemas.Activity
				require.Empty(t, mapOne(m, &a, raw, testTenant), raw)
				require.Equal(t, raw, a.Raw)
				checkEntra(t, &a)
				rows.Activities = append(rows.Activities, a)
			}
			golden(t, "entra/"+name, schemas.TableActivities, &rows)
		})
	}
}

// checkEntra checks what every row must keep.
func checkEntra(t testing.TB, a *schemas.Activity) {
	t.Helper()
	table := schemas.ByName(schemas.TableActivities)
	for column, v := range map[string]string{"kind": a.Kind, "access": a.Access, "outcome": a.Outcome, "actor_kind": a.ActorKind} {
		require.Contains(t, table.Column(column).Enum, v, column)
	}
	seen := map[string]bool{}
	for i, id := range a.TargetIDs {
		require.NotEmpty(t, id)
		require.Contains(t, table.Column("target_kind").Enum, a.TargetKinds[i])
		require.False(t, seen[id], "one target an object")
		seen[id] = true
	}
	require.NotEmpty(t, a.EventID)
	require.NotEmpty(t, a.Action)
	require.NotZero(t, a.ClassUID)
	require.NotZero(t, a.ActivityID)
	require.NotZero(t, a.SeverityID)
	require.Len(t, a.TargetNames, len(a.TargetIDs))
	require.Len(t, a.TargetKinds, len(a.TargetIDs))
	require.LessOrEqual(t, len(a.TargetIDs), schemas.MaxTargets)
	require.GreaterOrEqual(t, int(a.TargetCount), len(a.TargetIDs))
	require.Len(t, a.ChangeOld, len(a.ChangeNames))
	require.Len(t, a.ChangeNew, len(a.ChangeNames))
	require.LessOrEqual(t, len(a.ChangeNames), schemas.MaxChanges)
	for _, list := range [][]string{a.ChangeNames, a.ChangeOld, a.ChangeNew} {
		for _, v := range list {
			require.LessOrEqual(t, len(v), schemas.MaxChangeBytes)
		}
	}
	require.Equal(t, strings.ToLower(a.ActorEmail), a.ActorEmail)
}

// Families of activities, each with the names that the vendor's list has.
func TestEntraClasses(t *testing.T) {
	t.Parallel()
	const core = "Core Directory"
	for _, c := range []struct {
		service, category, name string
		class, activity         int32
		access                  string
	}{
		{core, "UserManagement", "Add user", 3001, 1, "write"},
		{core, "UserManagement", "Update user", 3001, 99, "write"},
		{core, "UserManagement", "Enable account", 3001, 2, "write"},
		{core, "UserManagement", "Disable account", 3001, 5, "write"},
		{core, "UserManagement", "Delete user", 3001, 6, "write"},
		{core, "UserManagement", "Hard Delete user", 3001, 6, "write"},
		{core, "UserManagement", "Restore user", 3001, 2, "write"},
		{core, "UserManagement", "Change user password", 3001, 3, "write"},
		{core, "UserManagement", "Reset user password", 3001, 4, "write"},
		{core, "UserManagement", "Set force change user password", 3001, 4, "write"},
		{core, "UserManagement", "Update StsRefreshTokenValidFrom Timestamp", 3001, 99, "write"},
		{core, "UserManagement", "Change user license", 3001, 99, "write"},
		{core, "UserManagement", "Unlock user account (self-service)", 3001, 2, "write"},
		{core, "UserManagement", "Enable Strong Authentication", 3001, 10, "write"},
		{core, "UserManagement", "Disable Strong Authentication", 3001, 11, "write"},
		{"Authentication Methods", "UserManagement", "User registered security info", 3001, 10, "write"},
		{"Authentication Methods", "UserManagement", "Admin deleted security info", 3001, 11, "write"},
		{"Authentication Methods", "UserManagement", "User reviewed security info", 3001, 99, "write"},
		{"Device Registration Service", "UserManagement", "Delete FIDO2 security key(s)", 3001, 11, "write"},
		{"Self-service Password Management", "UserManagement", "Reset password (self-service)", 3001, 4, "write"},
		{"Invited Users", "UserManagement", "Invite external user", 3001, 1, "write"},
		{"Identity Protection", "Other", "ConfirmCompromised", 3001, 99, "write"},
		{core, "RoleManagement", "Add member to role", 3005, 1, "write"},
		{core, "RoleManagement", "Remove member from role", 3005, 2, "write"},
		{core, "RoleManagement", "Add eligible member to role", 3005, 1, "write"},
		{"PIM", "RoleManagement", "Add member to role completed (PIM activation)", 3005, 1, "write"},
		{"PIM", "GroupManagement", "Add member to role requested (PIM activation)", 3005, 99, "write"},
		{core, "ApplicationManagement", "Add app role assignment to service principal", 3005, 1, "write"},
		{core, "GroupManagement", "Remove app role assignment from group", 3005, 2, "write"},
		{core, "ApplicationManagement", "Consent to application", 3005, 1, "write"},
		{core, "ApplicationManagement", "Remove delegated permission grant", 3005, 2, "write"},
		{core, "ApplicationManagement", "Add OAuth2PermissionGrant", 3005, 1, "write"},
		{core, "GroupManagement", "Add member to group", 3006, 3, "write"},
		{core, "GroupManagement", "Remove member from group", 3006, 4, "write"},
		{core, "GroupManagement", "Add owner to group", 3006, 1, "write"},
		{core, "GroupManagement", "Remove owner from group", 3006, 2, "write"},
		{core, "GroupManagement", "Add group", 3006, 6, "write"},
		{core, "GroupManagement", "Delete group", 3006, 5, "write"},
		{core, "GroupManagement", "Update group", 3006, 99, "write"},
		{"Self-service Group Management", "GroupManagement", "Group_GetMembers", 3006, 99, "read"},
		{"Self-service Group Management", "GroupManagement", "Group_AddMember", 3006, 3, "write"},
		{core, "ApplicationManagement", "Add application", 6002, 1, "write"},
		{core, "ApplicationManagement", "Add service principal", 6002, 1, "write"},
		{core, "ApplicationManagement", "Remove service principal", 6002, 2, "write"},
		{core, "ApplicationManagement", "Add service principal credentials", 6002, 8, "write"},
		{core, "ApplicationManagement", "Update application – Certificates and secrets management ", 6002, 8, "write"},
		{"Conditional Access", "Policy", "Update Conditional Access policy", 3004, 3, "write"},
		{"Conditional Access", "Policy", "Delete named location", 3004, 4, "write"},
		{core, "Device", "Add device", 3004, 1, "write"},
		{core, "DirectoryManagement", "Add unverified domain", 3004, 1, "write"},
		{core, "DirectoryManagement", "Set Company Information", 3004, 3, "write"},
		{core, "AdministrativeUnit", "Add member to administrative unit", 3004, 1, "write"},
		{"Device Registration Service", "Device", "Register device", 3004, 6, "write"},
		{"Device Registration Service", "KeyManagement", "Read BitLocker key", 3004, 2, "read"},
		{"PIM", "RoleManagement", "Triggered PIM alert", 2004, 1, "read"},
		{"Azure MFA", "UserManagement", "Fraud reported - no action taken", 2004, 1, "read"},
		{"", "", "something new", 3004, 3, "write"},
	} {
		got := classifyEntra(entraActivity{c.service, c.category, c.name})
		require.Equal(t, [2]int32{c.class, c.activity}, [2]int32{got.class, got.activity}, c.name)
		require.Equal(t, c.access, got.access, c.name)
		if c.service != core {
			continue
		}
		// The Management Activity API tells of the same, without a category.
		same := classifyOperation(operationKey{"AzureActiveDirectory", c.name, typeDirectory})
		require.Equal(t, [2]int32{c.class, c.activity}, [2]int32{same.class, same.activity}, c.name)
		require.Equal(t, c.access, same.access, c.name)
	}
}

func TestHomeAddress(t *testing.T) {
	t.Parallel()
	for upn, want := range map[string]string{
		"":                          "",
		"ada":                       "",
		"@x":                        "",
		"ada@":                      "",
		"ada@contoso.com":           "ada@contoso.com",
		"ada_fabrikam.com#EXT#@c.e": "ada@fabrikam.com",
		"a_b_fabrikam.com#ext#@c.e": "a_b@fabrikam.com",
		"fabrikam.com#EXT#@c.e":     "",
		"#EXT#@c.e":                 "",
	} {
		require.Equal(t, want, homeAddress(upn), upn)
	}
}

func TestInnerValue(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`"\"x\""`: "x", `"\"\""`: "", `"\"\\\"x\\\"\""`: `"x"`, `null`: "", `"[false]"`: "false", `"\""`: `"`, `7`: "7",
	} {
		require.Equal(t, want, innerValue(in), in)
	}
}

func TestInnerText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "", "null": "", "[]": "", "[ ]": "", "[true]": "true", "[\r\n  \"x\"\r\n]": "x", `"x"`: "x", `"\"x\""`: `"x"`, `"`: `"`, `"x`: `"x`,
		`["a","b"]`: `["a","b"]`, `{"a":1}`: `{"a":1}`, `[{"a":1}]`: `[{"a":1}]`, "[": "[", `["x`: `["x`, "plain": "plain", "[null]": "",
	} {
		require.Equal(t, want, innerText(in), in)
	}
}

// A record without what a row must have is refused, with the reason.
func TestEntraRefuses(t *testing.T) {
	t.Parallel()
	for name, mapOne := range entraMaps {
		for _, raw := range []string{"", "[]", `"x"`, "7", "null", "{}", `{"id":null}`, `{"id":{}}`} {
			require.NotEmpty(t, mapOne(newEntraMapper(), &schemas.Activity{}, raw, ""), "%s: %s", name, raw)
		}
	}
	require.NotEmpty(t, newEntraMapper().audit(&schemas.Activity{}, `{"id":"1"}`, ""))
}

// Of more targets than a row holds, all are counted; changes and their values
// are cut.
func TestEntraBounds(t *testing.T) {
	t.Parallel()
	var targets, changes []string
	for i := range 2 * schemas.MaxTargets {
		targets = append(targets, `{"id":"`+strings.Repeat("x", i+1)+`","type":"User"}`)
		changes = append(changes, `{"displayName":"P","newValue":"`+strings.Repeat("é", schemas.MaxChangeBytes)+`"}`)
	}
	targets[0] = `{"id":"x","type":"User","modifiedProperties":[` + strings.Join(changes, ",") + `]}`
	var a schemas.Activity
	require.Empty(t, newEntraMapper().audit(&a, `{"id":"1","activityDisplayName":"Update user","targetResources":[`+strings.Join(targets, ",")+`]}`, ""))
	checkEntra(t, &a)
	require.Equal(t, int32(2*schemas.MaxTargets), a.TargetCount)
	require.Len(t, a.TargetIDs, schemas.MaxTargets)
	require.Len(t, a.ChangeNames, schemas.MaxChanges)
}

// What a change names is one target, whichever of its two ids stands elsewhere.
func TestEntraRelated(t *testing.T) {
	t.Parallel()
	for targets, want := range map[string][]string{
		``:                                 {"u", "template"},
		`,{"id":"object","type":"Role"}`:   {"u", "template"},
		`,{"id":"template","type":"Role"}`: {"u", "template"},
		`,{"id":"template","type":"Role"},{"id":"object","type":"Role"}`: {"u", "template", "object"},
	} {
		var a schemas.Activity
		require.Empty(t, newEntraMapper().audit(&a, `{"id":"1","activityDisplayName":"Add member to role","targetResources":[{"id":"u","type":"User","modifiedProperties":[`+
			`{"displayName":"Role.ObjectID","newValue":"\"object\""},{"displayName":"Role.TemplateId","newValue":"\"template\""},{"displayName":"Role.DisplayName","newValue":"\"Reader\""},`+
			`{"displayName":"Group.DisplayName","newValue":"\"no id\""}]}`+targets+`]}`, ""))
		checkEntra(t, &a)
		require.Equal(t, want, a.TargetIDs, targets)
		require.Equal(t, "Reader", a.TargetNames[1])
	}
}

// A record that was kept becomes the row that it was, whether its stream is known
// or not; a damaged one becomes none.
func TestEntraMapper(t *testing.T) {
	t.Parallel()
	m, err := newRemapper(defaults())
	require.NoError(t, err)
	for name, stream := range map[string]string{"audits": streamAudits, "signins": streamSignIns} {
		for _, raw := range entraRecords(t, name) {
			var want schemas.Activity
			require.Empty(t, entraMaps[name](newEntraMapper(), &want, raw, testTenant))
			for _, in := range []sources.MapInput{{Stream: stream, Tenant: testTenant}, {Tenant: testTenant}} {
				var rows schemas.Rows
				require.NoError(t, m.Map(in, raw, &rows))
				require.Equal(t, []schemas.Activity{want}, rows.Activities)
			}
			m.Reset()
			var rows schemas.Rows
			err := m.Map(sources.MapInput{Stream: stream}, raw[:len(raw)/2], &rows)
			require.Error(t, err)
			require.Equal(t, fault.BadData, fault.Of(err))
			require.Empty(t, rows.Activities)
		}
	}
	for _, in := range []sources.MapInput{{}, {Stream: "accounts"}, {Stream: streamAudits}} {
		err := m.Map(in, `{"x":1}`, &schemas.Rows{})
		require.Error(t, err)
		require.Equal(t, fault.BadData, fault.Of(err))
	}
}

func fuzzEntra(f *testing.F, name string) {
	for _, raw := range entraRecords(f, name) {
		f.Add([]byte(raw))
	}
	mapOne := entraMaps[name]
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !jsontext.Value(raw).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
			return
		}
		m := newEntraMapper()
		for range 2 { // its memory shows no trace of the record before
			var a, again schemas.Activity
			reason := mapOne(m, &a, string(raw), testTenant)
			require.Equal(t, reason, mapOne(m, &again, string(raw), testTenant))
			if reason != "" {
				return
			}
			checkEntra(t, &a)
			require.Equal(t, a, again)
			m.reset()
		}
	})
}

func FuzzAudit(f *testing.F)  { fuzzEntra(f, "audits") }
func FuzzSignIn(f *testing.F) { fuzzEntra(f, "signins") }

// A record is mapped without garbage.
func TestEntraAllocates(t *testing.T) {
	for name, mapOne := range entraMaps {
		m, records := newEntraMapper(), entraRecords(t, name)
		var a schemas.Activity
		got := testing.AllocsPerRun(100, func() {
			m.reset()
			for _, raw := range records {
				mapOne(m, &a, raw, testTenant)
			}
		})
		require.LessOrEqual(t, got/float64(len(records)), 2.0, "%s: allocations a record", name)
	}
}

func benchmarkEntra(b *testing.B, name string) {
	m, records, n := newEntraMapper(), entraRecords(b, name), 0
	for _, raw := range records {
		n += len(raw)
	}
	var a schemas.Activity
	b.ReportAllocs()
	b.SetBytes(int64(n))
	for b.Loop() {
		m.reset()
		for _, raw := range records {
			entraMaps[name](m, &a, raw, testTenant)
		}
	}
	b.ReportMetric(float64(len(records))*float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkAudit(b *testing.B)  { benchmarkEntra(b, "audits") }
func BenchmarkSignIn(b *testing.B) { benchmarkEntra(b, "signins") }
