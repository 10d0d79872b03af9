package github

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/stretchr/testify/require"

	"weir/schemas"
	"weir/sources"
)

var update = flag.Bool("update", false, "write the golden files anew")

// mapOne maps one record of a kind, as the stream does.
func mapOne(t testing.TB, kind string, raw jsontext.Value) (*schemas.Rows, string) {
	rows, page := &schemas.Rows{}, &sources.Page{}
	page.Rows = rows
	l := list{elements: []jsontext.Value{raw}}
	ref := &repoRef{ID: "12", FullName: "octo-corp/api"}
	switch kind {
	case "audit":
		(&auditMapper{}).page(l.elements, page)
	case "member":
		each(l, page, kind, func(w *wireMember, raw string) string {
			var a schemas.Account
			reason := mapMember(&a, w, identity{emails: []string{"sso@acme.example"}}, raw)
			rows.Accounts = append(rows.Accounts, a)
			return reason
		})
	case "outside":
		each(l, page, kind, func(w *wireUser, raw string) string {
			var a schemas.Account
			reason := mapOutside(&a, w, raw)
			rows.Accounts = append(rows.Accounts, a)
			return reason
		})
	case "invitation":
		each(l, page, kind, func(w *wireInvitation, raw string) string {
			var a schemas.Account
			reason := mapInvitation(&a, w, "invited", raw)
			rows.Accounts = append(rows.Accounts, a)
			return reason
		})
	case "team":
		each(l, page, kind, func(w *wireTeam, raw string) string {
			var g schemas.Group
			reason := mapTeam(&g, w, "octo-corp", raw)
			rows.Groups = append(rows.Groups, g)
			return reason
		})
	case "teammember":
		each(l, page, kind, func(w *wireUser, _ string) string {
			var m schemas.GroupMember
			reason := mapTeamMember(&m, w, "42", "")
			rows.GroupMembers = append(rows.GroupMembers, m)
			return reason
		})
	case "owner":
		each(l, page, kind, func(w *wireUser, raw string) string {
			rows.Privileges = append(rows.Privileges, ownerPrivilege(w, "octo-corp", raw))
			return ""
		})
	case "org":
		each(l, page, kind, func(w *wireOrg, raw string) string {
			if p, ok := basePrivilege(w, raw); ok {
				rows.Privileges = append(rows.Privileges, p)
			}
			rows.FilePermissions = append(rows.FilePermissions, audience(&wireRepo{ID: "12", Visibility: "public"}, w)...)
			return ""
		})
	case "role":
		role := &wireRole{ID: "8132", Name: "auditor", Permissions: []string{"read_audit_logs"}}
		each(l, page, kind, func(w *wireUser, raw string) string {
			rows.Privileges = rolePrivileges(role, "octo-corp", string(w.ID), "account", w.Assignment, w.InheritedFrom, raw)
			return ""
		})
	case "repo":
		each(l, page, kind, func(w *wireRepo, raw string) string {
			for _, external := range []bool{false, true} {
				var f schemas.File
				if reason := mapRepo(&f, w, external, raw); reason != "" {
					return reason
				}
				rows.Files = append(rows.Files, f)
			}
			return ""
		})
	case "collaborator":
		addAccess(page, ref, repoDirect, l)
	case "repoteam":
		addAccess(page, ref, repoTeams, l)
	case "key":
		addAccess(page, ref, repoKeys, l)
	case "entry":
		repo := &wireRepo{ID: "12", FullName: "octo-corp/api", Owner: wireUser{ID: "6811672"}, Visibility: "private", HTMLURL: "https://github.com/octo-corp/api", DefaultBranch: "main", PushedAt: "2024-02-29T12:00:00Z"}
		each(l, page, kind, func(w *wireEntry, raw string) string {
			var f schemas.File
			reason := mapEntry(&f, w, repo, false, w.Path, raw)
			rows.Files = append(rows.Files, f)
			return reason
		})
	case "installation":
		each(l, page, kind, func(w *wireInstallation, raw string) string { return mapInstallation(rows, w, raw) })
	case "credential":
		each(l, page, kind, func(w *wireCredential, raw string) string {
			var g schemas.AppGrant
			reason := mapCredential(&g, w, "octo-corp", when("2024-03-01T00:00:00Z"), raw)
			rows.AppGrants = append(rows.AppGrants, g)
			return reason
		})
	case "pat":
		each(l, page, kind, func(w *wirePAT, raw string) string {
			var g schemas.AppGrant
			reason := mapPAT(&g, w, raw)
			rows.AppGrants = append(rows.AppGrants, g)
			return reason
		})
	default:
		t.Fatalf("no mapping of %s", kind)
	}
	if len(page.Rejected) > 0 {
		return rows, page.Rejected[0].Reason
	}
	return rows, ""
}

// Every kind of record that GitHub's API gives, mapped.
func TestMapGolden(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/map/*/*.json")
	require.NoError(t, err)
	require.Greater(t, len(files), 50)
	for _, f := range files {
		kind := filepath.Base(filepath.Dir(f))
		t.Run(kind+"/"+strings.TrimSuffix(filepath.Base(f), ".json"), func(t *testing.T) {
			t.Parallel()
			raw, err := os.ReadFile(f)
			require.NoError(t, err)
			rows, reason := mapOne(t, kind, jsontext.Value(strings.TrimSpace(string(raw))))
			require.Empty(t, reason)
			golden(t, strings.TrimSuffix(f, ".json")+".golden", rows)
		})
	}
}

// The contract sheet's sample page, byte for byte.
func TestSheetAuditPage(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("testdata/sheet/audit.json")
	require.NoError(t, err)
	var events []jsontext.Value
	require.NoError(t, decode(raw, &events))
	rows := &schemas.Rows{}
	page := &sources.Page{Rows: rows}
	newest := (&auditMapper{}).page(events, page)
	require.Empty(t, page.Rejected)
	require.Equal(t, int64(1709251203511), newest)
	golden(t, "testdata/sheet/audit.golden", rows)
}

// golden compares rows, but for raw, which must be there, with a file.
func golden(t *testing.T, name string, rows *schemas.Rows) {
	t.Helper()
	var b strings.Builder
	for _, v := range rowsOf(rows) {
		checkEnums(t, v)
		b.WriteString(v.Type().Name() + " ")
		out := map[string]any{}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Anonymous { // Diff: only NotAsked is a connector's
				if n := v.FieldByName("NotAsked"); n.Len() > 0 {
					out["NotAsked"] = n.Interface()
				}
				continue
			}
			if f.Name != "Raw" && !v.Field(i).IsZero() {
				out[f.Name] = v.Field(i).Interface()
			}
		}
		j, err := json.MarshalIndent(out, "", " ")
		require.NoError(t, err)
		b.Write(j)
		b.WriteByte('\n')
	}
	if *update {
		require.NoError(t, os.WriteFile(name, []byte(b.String()), 0o644))
	}
	want, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String())
}

// rowsOf returns all rows, as structs.
func rowsOf(rows *schemas.Rows) (out []reflect.Value) {
	v := reflect.ValueOf(rows).Elem()
	for i := range v.NumField() {
		for j := range v.Field(i).Len() {
			out = append(out, v.Field(i).Index(j))
		}
	}
	return out
}

// checkEnums checks a row's enum columns, and lists that belong together.
func checkEnums(t *testing.T, v reflect.Value) {
	t.Helper()
	for i := range v.NumField() {
		f := v.Type().Field(i)
		enum, ok := f.Tag.Lookup("enum")
		if s := v.Field(i); ok && s.Kind() == reflect.String && s.String() != "" {
			require.Contains(t, strings.Fields(enum), s.String(), f.Name)
		}
		if strings.Contains(f.Tag.Get("col"), ",key") && f.Name != "Role" {
			require.NotEmpty(t, v.Field(i).String(), f.Name)
		}
	}
	if a, ok := v.Interface().(schemas.Activity); ok {
		require.Len(t, a.TargetNames, len(a.TargetIDs))
		require.Len(t, a.TargetKinds, len(a.TargetIDs))
		require.NotZero(t, a.ClassUID)
		require.NotZero(t, a.ActivityID)
		require.NotEmpty(t, a.Raw)
		for _, k := range a.TargetKinds {
			require.True(t, slices.Contains(targetKinds, k), k)
		}
	}
}

var targetKinds = func() []string {
	f, _ := reflect.TypeFor[schemas.Activity]().FieldByName("TargetKind")
	return strings.Fields(f.Tag.Get("enum"))
}()

func TestMapRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ kind, raw, reason string }{
		{"audit", `[]`, "no JSON object"},
		{"audit", `"x"`, "no JSON object"},
		{"audit", `{}`, "no action"},
		{"audit", `{"data":7,"action":"x"}`, "unexpected shape"},
		{"member", `{}`, "without databaseId"},
		{"member", `{"node":[]}`, "not the shape"},
		{"outside", `{"login":"x"}`, "without id"},
		{"invitation", `{}`, "without id"},
		{"team", `{"slug":"x"}`, "without id"},
		{"teammember", `{"id":null}`, "without id"},
		{"repo", `{"id":{}}`, "without id"},
		{"collaborator", `{}`, "without id"},
		{"repoteam", `{}`, "without id"},
		{"key", `{}`, "without id"},
		{"entry", `{"path":"x"}`, "without path or sha"},
		{"installation", `{"id":1}`, "without id or app_id"},
		{"credential", `{"login":"x"}`, "without credential_id"},
		{"pat", `{}`, "without id"},
	} {
		_, reason := mapOne(t, c.kind, jsontext.Value(c.raw))
		require.Contains(t, reason, c.reason, "%s %s", c.kind, c.raw)
	}
}

// Every action that the contract sheet's OCSF table names has the class that it
// says.
func TestOCSFClasses(t *testing.T) {
	t.Parallel()
	for class, actions := range map[int32]string{
		schemas.ClassAuthentication:       "org.sso_response business.sso_response user.login user.failed_login user.two_factor_challenge_success",
		schemas.ClassAccountChange:        "user.create user.suspend external_identity.provision org.add_member org.remove_member two_factor_authentication.enabled",
		schemas.ClassUserAccess:           "org.update_member role.create organization_role.assign repo.add_member repo.update_member repo.remove_member business.add_admin",
		schemas.ClassGroupManagement:      "team.create team.add_member team.destroy",
		schemas.ClassEntityManagement:     "org.update_default_repository_permission repo.create repo.destroy repo.rename repo.transfer repo.access repo.archived hook.create protected_branch.create repository_ruleset.update public_key.create",
		schemas.ClassApplicationLifecycle: "integration_installation.create oauth_application.create oauth_authorization.create org.oauth_app_access_approved personal_access_token.access_granted org_credential_authorization.revoke",
		schemas.ClassFileHosting:          "git.clone git.push git.fetch repo.download_zip",
		schemas.ClassAPIActivity:          "api.request pull_request.merge pull_request_review.submit workflows.created codespaces.create packages.package_published",
	} {
		for action := range strings.FieldsSeq(actions) {
			rows, reason := mapOne(t, "audit", jsontext.Value(`{"@timestamp":1709251200000,"action":"`+action+`"}`))
			require.Empty(t, reason)
			require.Equal(t, class, rows.Activities[0].ClassUID, action)
		}
	}
	for action, id := range map[string]int32{
		"git.clone": 2, "git.push": 1, "team.add_member": 3, "team.remove_member": 4, "team.create": 6, "team.destroy": 5, "org.add_member": 1,
		"org.remove_member": 6, "user.suspend": 5, "user.unsuspend": 2, "repo.create": 1, "repo.destroy": 4, "repo.transfer": 5, "repo.access": 3,
		"organization_role.assign": 1, "organization_role.revoke": 2, "integration_installation.create": 1, "integration_installation.destroy": 2,
		"two_factor_authentication.disabled": 11, "two_factor_authentication.enabled": 10, "user.login": 1,
	} {
		rows, _ := mapOne(t, "audit", jsontext.Value(`{"@timestamp":1709251200000,"action":"`+action+`"}`))
		require.Equal(t, id, rows.Activities[0].ActivityID, action)
	}
}

// An event without an id of GitHub's gets one of what it says, whatever the
// order of its members.
func TestEventWithoutID(t *testing.T) {
	t.Parallel()
	id := func(raw string) string {
		rows, reason := mapOne(t, "audit", jsontext.Value(raw))
		require.Empty(t, reason)
		return rows.Activities[0].EventID
	}
	a := id(`{"@timestamp":1709251203511,"action":"git.push","actor_id":7,"repo":"octo-corp/api"}`)
	require.Equal(t, a, id(`{"repo":"octo-corp/api","actor_id":"7","action":"git.push","@timestamp":1709251203511,"extra":1}`))
	require.NotEqual(t, a, id(`{"@timestamp":1709251203511,"action":"git.push","actor_id":8,"repo":"octo-corp/api"}`))
	require.Len(t, a, 32)
}

// A row's raw is the record, byte for byte.
func TestRawIsVerbatim(t *testing.T) {
	t.Parallel()
	raw := `{ "action" : "team.create", "@timestamp":1709251200000 , "e":1.0e3, "s":"\u00e4" }`
	rows, reason := mapOne(t, "audit", jsontext.Value(raw))
	require.Empty(t, reason)
	require.Equal(t, raw, rows.Activities[0].Raw)
}

func FuzzAuditEvent(f *testing.F) {
	files, err := filepath.Glob("testdata/map/audit/*.json")
	require.NoError(f, err)
	for _, name := range files {
		raw, err := os.ReadFile(name)
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		v := jsontext.Value(raw)
		if !v.IsValid() {
			return // httpx has refused the page
		}
		rows, page := &schemas.Rows{}, &sources.Page{}
		page.Rows = rows
		newest := (&auditMapper{}).page([]jsontext.Value{v}, page)
		require.GreaterOrEqual(t, newest, int64(0))
		require.Equal(t, 1, len(rows.Activities)+len(page.Rejected))
		for _, r := range rowsOf(rows) {
			checkEnums(t, r)
		}
	})
}

func FuzzScans(f *testing.F) {
	kinds := []string{"member", "outside", "invitation", "team", "teammember", "repo", "collaborator", "repoteam", "key", "entry", "installation", "credential", "pat"}
	for i, kind := range kinds {
		files, err := filepath.Glob("testdata/map/" + kind + "/*.json")
		require.NoError(f, err)
		for _, name := range files {
			raw, err := os.ReadFile(name)
			require.NoError(f, err)
			f.Add(uint8(i), raw)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, raw []byte) {
		if v := jsontext.Value(raw); v.IsValid() {
			rows, reason := mapOne(t, kinds[int(kind)%len(kinds)], v)
			if reason == "" {
				for _, r := range rowsOf(rows) {
					checkEnums(t, r)
				}
			}
		}
	})
}

func BenchmarkMapAudit(b *testing.B) {
	raw, err := os.ReadFile("testdata/sheet/audit.json")
	require.NoError(b, err)
	var two, events []jsontext.Value
	require.NoError(b, decode(raw, &two))
	for range 50 {
		events = append(events, two...)
	}
	rows, m := &schemas.Rows{}, &auditMapper{}
	b.ReportAllocs()
	for b.Loop() {
		rows.Reset()
		page := &sources.Page{Rows: rows}
		m.page(events, page)
		if len(page.Rejected) > 0 {
			b.Fatal(page.Rejected[0].Reason)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
}
