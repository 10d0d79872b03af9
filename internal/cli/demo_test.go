package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/clickhousetest"
	"weir/internal/demodata"
	"weir/internal/lakesql"
	"weir/internal/sandbox"
	"weir/internal/testclock"
	"weir/schemas"
)

// demoTruth is what is true of the demo's organization, by app.
type demoTruth map[string]*schemas.Rows

func (d demoTruth) account(app, id string) *schemas.Account {
	for i := range d[app].Accounts {
		if a := &d[app].Accounts[i]; a.AccountID == id || a.Login == id {
			return a
		}
	}
	return &schemas.Account{}
}

func TestDemo(t *testing.T) {
	t.Parallel()
	clock := testclock.Fast(time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC), 20)
	s, err := demoSandbox(clock)
	require.NoError(t, err)
	w, err := s.World(demoOrganization)
	require.NoError(t, err)
	w.Freeze()
	dir := filepath.Join(t.TempDir(), "demo")
	out := runDemo(t, clock, dir, s)
	truth := demoTruth{}
	for _, app := range []string{"github", "google_workspace", "microsoft365", "okta"} {
		tenant, err := s.Tenant(app, demoOrganization, "")
		require.NoError(t, err)
		truth[app] = s.Truth(tenant)
	}

	lake, err := lakesql.Open(t.Context(), filepath.Join(dir, "lake"))
	require.NoError(t, err)
	defer lake.Close()
	asked, err := askedQuestions(clock.Now())
	require.NoError(t, err)
	require.Len(t, asked, 5)
	for i, want := range [][]string{truth.admins(), truth.shared(), truth.tokens(clock.Now().Add(-unusedFor)), truth.leavers(), truth.addresses()} {
		_, rows, err := lake.Query(t.Context(), asked[i].sql)
		require.NoError(t, err)
		var got []string
		for _, r := range rows {
			if r[0] == "demo-trail" {
				stats, err := demodata.Write(t.TempDir(), 1, clock.Now())
				require.NoError(t, err)
				require.Equal(t, []string{stats.Story.IP, "4", "1", stats.Story.Intruder}, r[1:5])
				continue
			}
			if i == 4 && r[0] == "acme-microsoft365" {
				continue // of its logs the last hours are collected
			}
			got = append(got, strings.Join(r, "|"))
		}
		require.NotEmpty(t, want, asked[i].text)
		slices.Sort(got)
		slices.Sort(want)
		require.Equal(t, slices.Compact(want), got, asked[i].text)
		require.Contains(t, out, asked[i].text)
	}
	for line := range strings.Lines(out) {
		require.LessOrEqual(t, len([]rune(strings.TrimRight(line, " \n"))), 120, line)
	}
	checkWithClickHouse(t, dir, lake, asked)
}

func runDemo(t *testing.T, clock *testclock.Clock, dir string, s *sandbox.Server) string {
	t.Helper()
	var out, errs bytes.Buffer
	c := &console{out: &out, err: &errs, clock: clock}
	require.NoError(t, c.demo(t.Context(), dir, s), out.String()+errs.String())
	return strings.ReplaceAll(out.String(), dir, "weir-demo")
}

// checkWithClickHouse runs the files that the demo has written.
func checkWithClickHouse(t *testing.T, dir string, lake *lakesql.DB, asked []demoQuestion) {
	server := clickhousetest.Start(t)
	views, err := os.ReadFile(filepath.Join(dir, "sql", "clickhouse.sql"))
	require.NoError(t, err)
	for _, v := range strings.SplitAfter(string(views), ";\n") {
		if v != "" {
			server.Query(t, v)
		}
	}
	for _, q := range asked {
		b, err := os.ReadFile(filepath.Join(dir, "sql", q.name+".sql"))
		require.NoError(t, err)
		out := server.Query(t, strings.TrimSuffix(string(b), ";\n")+" FORMAT JSONCompactEachRow")
		var got [][]string
		for line := range strings.Lines(out) {
			var row []any
			require.NoError(t, json.Unmarshal([]byte(line), &row))
			texts := make([]string, len(row))
			for i, v := range row {
				if list, ok := v.([]any); ok {
					v = strings.Trim(strings.ReplaceAll(fmt.Sprint(list), " ", ", "), "[]")
				} else if v == nil {
					v = ""
				}
				texts[i] = fmt.Sprint(v)
			}
			got = append(got, texts)
		}
		_, want, err := lake.Query(t.Context(), q.sql)
		require.NoError(t, err)
		require.Equal(t, want, got, q.text)
	}
}

func TestDemoLeavesOthersAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "weir.yaml"), []byte("# mine\n"), 0o600))
	var out, errs bytes.Buffer
	require.Equal(t, exitUsage, Main([]string{"demo", "--dir", dir}, &out, &errs))
	require.Contains(t, errs.String(), "choose another with --dir")
}

// The answers as they follow from what is true, without SQL.

func (d demoTruth) admins() (out []string) {
	for app, rows := range d {
		for _, p := range rows.Privileges {
			a := d.account(app, p.PrincipalID)
			if p.Privileged.Value && a.MFAEnabled.Known && !a.MFAEnabled.Value && a.Status == "active" {
				out = append(out, strings.Join([]string{app, a.Login, p.RoleName, p.ScopeKind, p.Via}, "|"))
			}
		}
	}
	return out
}

func (d demoTruth) shared() (out []string) {
	for app, g := range d {
		files := map[string]*schemas.File{}
		for i := range g.Files {
			files[g.Files[i].FileID] = &g.Files[i]
		}
		for _, p := range g.FilePermissions {
			f, a := files[p.FileID], d.account(app, p.GranteeID)
			if f == nil {
				continue
			}
			if f.Kind == "container" && f.Sharing == "public" && p.GranteeKind == "anyone" {
				out = append(out, "public repository|"+f.Name+"||"+p.Role)
			}
			if p.LinkScope == "anyone" {
				out = append(out, "link for anybody|"+f.Name+"||"+p.Role)
			}
			if p.GranteeKind == "account" && a.External.Value && slices.Contains([]string{"write", "maintain", "admin"}, p.Role) {
				out = append(out, "outside collaborator|"+f.Name+"|"+a.Login+"|"+p.Role)
			}
		}
	}
	return out
}

func (d demoTruth) tokens(since time.Time) (out []string) {
	day := schemas.Time(since.UTC().Truncate(24 * time.Hour).UnixMilli())
	for app, rows := range d {
		for _, g := range rows.AppGrants {
			if strings.HasPrefix(g.GrantID, "pat:") {
				continue // a fine-grained token: GitHub shows it to Apps only, and the demo has a token
			}
			a := d.account(app, g.PrincipalID)
			unused := g.LastUsedAt != 0 && g.LastUsedAt < day || g.LastUsedAt == 0 && app == "github"
			if unused && g.Status == "active" && (g.HighPrivilege.Value || a.IsAdmin.Value) && slices.Contains([]string{"token", "api_key", "consent"}, g.Kind) {
				used := ""
				if g.LastUsedAt != 0 {
					used = time.UnixMilli(int64(g.LastUsedAt)).UTC().Format("2006-01-02 15:04:05.000")
				}
				out = append(out, strings.Join([]string{app, g.AppName, a.Login, used, strings.Join(g.Scopes, ", ")}, "|"))
			}
		}
	}
	return out
}

func (d demoTruth) leavers() (out []string) {
	for _, o := range d["okta"].Accounts {
		if o.Status != "deprovisioned" && o.Status != "suspended" {
			continue
		}
		has := func(parts ...string) { out = append(out, o.Login+"|"+o.Status+"|"+strings.Join(parts, "|")) }
		for _, app := range []string{"github", "google_workspace", "microsoft365"} {
			for _, a := range d[app].Accounts {
				if o.Email != "" && a.Email == o.Email && a.Status == "active" {
					has("account", app, a.Login)
				}
			}
		}
		for _, g := range d["okta"].AppGrants {
			if g.PrincipalID == o.AccountID && g.Status == "active" {
				has(g.Kind, "okta", g.AppName)
			}
		}
		for _, p := range d["okta"].Privileges {
			if p.PrincipalID == o.AccountID {
				has("role", "okta", p.RoleName)
			}
		}
	}
	return out
}

func (d demoTruth) addresses() (out []string) {
	for _, app := range []string{"github", "google_workspace", "okta"} {
		rows := d[app]
		byAddress := map[string][]schemas.Activity{}
		for _, a := range rows.Activities {
			if a.Kind == "signin" && a.SrcIP != "" {
				byAddress[a.SrcIP] = append(byAddress[a.SrcIP], a)
			}
		}
		for ip, list := range byAddress {
			failures, successes, who := 0, 0, map[string]bool{}
			var last, first schemas.Time
			as := ""
			for _, a := range list {
				who[a.ActorName] = true
				switch a.Outcome {
				case "failure":
					if failures++; first == 0 || a.Time < first {
						first = a.Time
					}
				case "success":
					successes++
					last, as = max(last, a.Time), max(as, a.ActorName)
				}
			}
			if failures >= 4 && failures > successes && last > first {
				out = append(out, fmt.Sprintf("acme-%s|%s|%d|%d|%s|%s", app, ip, failures, len(who), as, time.UnixMilli(int64(last)).UTC().Format("2006-01-02 15:04:05.000")))
			}
		}
	}
	return out
}
