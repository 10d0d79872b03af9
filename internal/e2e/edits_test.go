package e2e

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/agent"
	"weir/configs"
	"weir/internal/cli"
	"weir/internal/rowtest"
	"weir/internal/sandbox"
	"weir/internal/sandbox/all"
	"weir/internal/sandbox/github"
	"weir/internal/testclock"
	"weir/pipeline"
	"weir/schemas"
	sinkregistry "weir/sinks/registry"
	sourceregistry "weir/sources/registry"
)

// These tests are the table "What a config edit does" of docs/configuration.md,
// row by row.

// edits is an installation whose configuration is edited between single runs.
type edits struct {
	t       *testing.T
	clock   *testclock.Clock
	sandbox *sandbox.Server
	url     string
	dir     string
	lakes   []string // name=directory
	drain   string
	log     bytes.Buffer
}

func newEdits(t *testing.T) *edits {
	t.Parallel()
	e := &edits{t: t, clock: testclock.Fast(time.Date(2026, 10, 14, 11, 0, 0, 0, time.UTC), 300), dir: t.TempDir(), lakes: []string{"lake=lake"}, drain: "1h"}
	var err error
	e.sandbox, err = sandbox.New(sandbox.Options{Vendors: all.Vendors, Clock: e.clock, Seed: 3, People: 40, History: 24 * time.Hour, EventsPerDay: 4})
	require.NoError(t, err)
	server := httptest.NewServer(e.sandbox)
	t.Cleanup(e.sandbox.Close)
	t.Cleanup(server.Close)
	e.url = server.URL
	e.freeze("acme")
	return e
}

func (e *edits) freeze(organization string) {
	w, err := e.sandbox.World(organization)
	require.NoError(e.t, err)
	w.Freeze()
}

// live lets the organization live for a while.
func (e *edits) live(d time.Duration) {
	w, err := e.sandbox.World("acme")
	require.NoError(e.t, err)
	w.Thaw()
	e.clock.Skip(d)
	e.freeze("acme")
}

func (e *edits) tenant(app, organization string) *sandbox.Tenant {
	t, err := e.sandbox.Tenant(app, organization, e.url)
	require.NoError(e.t, err)
	return t
}

// okta and github are an instance that collects the organization's tenant, with
// more lines.
func (e *edits) okta(name string, more ...string) string {
	return e.instance(name, "okta", "acme", more...)
}

func (e *edits) instance(name, app, organization string, more ...string) string {
	t := e.tenant(app, organization)
	text := "  " + name + ":\n"
	for line := range strings.Lines(t.Handler().Config(t.Base) + strings.Join(more, "\n") + "\n") {
		text += "    " + line
	}
	return text
}

func (e *edits) config(instances ...string) string {
	text := fmt.Sprintf("agent:\n  data_dir: %q\n  listen: \"\"\n  min_free: 1MB\n  drain_timeout: %s\nsinks:\n", filepath.Join(e.dir, "data"), e.drain)
	for _, l := range e.lakes {
		name, dir, _ := strings.Cut(l, "=")
		text += fmt.Sprintf("  %s: {type: parquet, path: %q}\n", name, filepath.Join(e.dir, dir))
	}
	name := filepath.Join(e.dir, "weir.yaml")
	require.NoError(e.t, os.WriteFile(name, []byte(text+"instances:\n"+strings.Join(instances, "")), 0o600))
	return name
}

// try runs the agent once with these instances.
func (e *edits) try(instances ...string) error {
	cfg, err := configs.Load(e.config(instances...), nil, sourceregistry.All, sinkregistry.All)
	require.NoError(e.t, err)
	log := slog.New(slog.NewTextHandler(&e.log, nil))
	a, err := agent.New(e.t.Context(), agent.Options{Config: cfg, Clock: e.clock, Wall: clockwork.NewRealClock(), Log: log, Once: true})
	if err != nil {
		return err
	}
	return a.Run(e.t.Context())
}

func (e *edits) run(instances ...string) {
	e.t.Helper()
	require.NoError(e.t, e.try(instances...), e.log.String())
}

// rows returns a table's rows of an instance in a lake, all that were delivered.
func (e *edits) rows(lake, table, instance string) []rowtest.Row {
	rows, err := rowtest.LakeLog(e.t.Context(), filepath.Join(e.dir, lake), schemas.ByName(table), instance)
	require.NoError(e.t, err)
	return rows
}

// changes counts the rows of an instance's entity tables in a lake, by change.
func (e *edits) changes(lake, instance string) map[string]int {
	n := map[string]int{}
	for _, t := range schemas.Tables() {
		if t.Entity {
			for _, r := range e.rows(lake, t.Name, instance) {
				n[r["change"].(string)]++
			}
		}
	}
	return n
}

// once requires that a lake has every event of an instance, each once.
func (e *edits) once(lake, instance, app string) {
	e.t.Helper()
	got, err := rowtest.Lake(e.t.Context(), filepath.Join(e.dir, lake), schemas.ByName(schemas.TableActivities), instance)
	require.NoError(e.t, err)
	require.Len(e.t, got, len(e.sandbox.Truth(e.tenant(app, "acme")).Activities))
}

func (e *edits) state(fn func(context.Context, pipeline.State)) {
	st, err := pipeline.ReadState(e.t.Context(), filepath.Join(e.dir, "data"))
	require.NoError(e.t, err)
	defer st.Close()
	fn(e.t.Context(), st)
}

func TestEditInstanceRenamed(t *testing.T) {
	e := newEdits(t)
	e.run(e.okta("acme-okta"))
	before, events := e.changes("lake", "acme-okta"), len(e.rows("lake", "activities", "acme-okta"))
	e.run(e.okta("okta-of-acme"))
	require.Equal(t, before["added"], e.changes("lake", "okta-of-acme")["added"], "new data")
	require.Equal(t, before, e.changes("lake", "acme-okta"), "the old stays as it was: nothing is removed")
	require.Len(t, e.rows("lake", "activities", "acme-okta"), events)
	e.once("lake", "okta-of-acme", "okta")
}

func TestEditInstanceRemoved(t *testing.T) {
	e := newEdits(t)
	github := e.instance("acme-github", "github", "acme")
	e.run(e.okta("acme-okta"), github)
	before := e.changes("lake", "acme-okta")
	e.live(6 * time.Hour)
	e.run(github)
	require.Equal(t, before, e.changes("lake", "acme-okta"), "nothing is removed")
	require.Contains(t, e.log.String(), "instance is gone from the configuration")

	e.clock.Skip(80 * 24 * time.Hour)
	e.run(github)
	e.run(e.okta("acme-okta"), github)
	e.once("lake", "acme-okta", "okta") // it went on where it was
	require.Equal(t, before["added"], e.changes("lake", "acme-okta")["added"]-e.newEntities(), "what was known is not added again")

	e.run(github)
	e.clock.Skip(91 * 24 * time.Hour)
	e.run(github)
	require.Contains(t, e.log.String(), "forgotten")
	e.state(func(ctx context.Context, st pipeline.State) {
		known, err := st.Instances(ctx)
		require.NoError(t, err)
		require.Equal(t, []string{"acme-github"}, known)
		scan, err := st.Scan(ctx, pipeline.StreamID{Instance: "acme-okta", Stream: "accounts"})
		require.NoError(t, err)
		require.Zero(t, scan.Round)
	})
	added := e.changes("lake", "acme-okta")["added"]
	e.run(e.okta("acme-okta"), github)
	require.Greater(t, e.changes("lake", "acme-okta")["added"], added+before["added"]/2, "it begins anew")
}

// newEntities counts entities that the lake has got after its first day.
func (e *edits) newEntities() (n int) {
	for _, t := range schemas.Tables() {
		if !t.Entity {
			continue
		}
		first := int64(0)
		rows := e.rows("lake", t.Name, "acme-okta")
		for _, r := range rows {
			if at := r["observed_at"].(int64); first == 0 || at < first {
				first = at
			}
		}
		for _, r := range rows {
			if r["change"] == "added" && r["observed_at"].(int64) > first+time.Hour.Milliseconds()*3 {
				n++
			}
		}
	}
	return n
}

// A sink that cannot be written leaves work open.
func (e *edits) leaveWork(instances ...string) {
	e.t.Helper()
	blocked := filepath.Join(e.dir, "lake")
	require.NoError(e.t, os.WriteFile(blocked, nil, 0o600)) // a file in the lake's place
	e.drain = "1m"
	require.Error(e.t, e.try(instances...))
	require.NoError(e.t, os.Remove(blocked))
	e.drain = "1h"
}

func TestEditInstanceRemovedWithWorkOpen(t *testing.T) {
	e := newEdits(t)
	e.leaveWork(e.okta("acme-okta"))
	e.run(e.instance("acme-github", "github", "acme"))
	e.once("lake", "acme-okta", "okta")
	require.NotZero(t, e.changes("lake", "acme-okta")["added"])
	require.Zero(t, e.changes("lake", "acme-okta")["removed"])
}

func TestEditStreamDisabled(t *testing.T) {
	e := newEdits(t)
	e.run(e.okta("acme-okta"))
	events := len(e.rows("lake", "activities", "acme-okta"))
	e.live(12 * time.Hour)
	e.run(e.okta("acme-okta", "streams: {activities: {enabled: false}}"))
	require.Len(t, e.rows("lake", "activities", "acme-okta"), events)
	e.run(e.okta("acme-okta"))
	require.Greater(t, len(e.rows("lake", "activities", "acme-okta")), events)
	e.once("lake", "acme-okta", "okta")
}

func TestEditOtherTenant(t *testing.T) {
	e := newEdits(t)
	e.run(e.instance("acme-github", "github", "acme"))
	before, events := e.changes("lake", "acme-github"), len(e.rows("lake", "activities", "acme-github"))
	err := e.try(e.instance("acme-github", "github", "beta"))
	require.ErrorContains(t, err, "instance acme-github belonged to organization")
	require.ErrorContains(t, err, "give the other organization an instance of its own")
	require.Equal(t, before, e.changes("lake", "acme-github"))
	require.Len(t, e.rows("lake", "activities", "acme-github"), events)
}

func TestEditCredentials(t *testing.T) {
	e := newEdits(t)
	tenant := e.tenant("github", "acme")
	var owners []string
	for _, a := range e.sandbox.Truth(tenant).Accounts {
		if a.IsAdmin.Value {
			owners = append(owners, a.Login)
		}
	}
	require.Greater(t, len(owners), 1)
	scopes := []string{"admin:org", "read:audit_log", "read:user", "user:email", "repo", "read:enterprise"}
	tenant.Handler().(*github.Handler).AddToken(github.Token{Value: "other-token", Account: owners[1], Scopes: scopes})
	instance := e.instance("acme-github", "github", "acme")
	e.run(instance)
	for months := 0; !slices.ContainsFunc(e.rows("lake", "accounts", "acme-github"), func(r rowtest.Row) bool {
		return !slices.ContainsFunc(e.sandbox.Truth(tenant).Accounts, func(a schemas.Account) bool { return a.AccountID == r["account_id"] })
	}); months++ { // until somebody has left
		require.Less(t, months, 12)
		e.live(40 * 24 * time.Hour)
	}
	other := strings.Replace(instance, "sandbox-token", "other-token", 1)
	require.NotEqual(t, instance, other)
	e.run(other)
	require.Zero(t, e.changes("lake", "acme-github")["removed"], "another sees something else, perhaps")
	e.run(other)
	require.Zero(t, e.changes("lake", "acme-github")["removed"])
	accounts := pipeline.StreamID{Instance: "acme-github", Stream: "accounts"}
	e.state(func(ctx context.Context, st pipeline.State) {
		scan, err := st.Scan(ctx, accounts)
		require.NoError(t, err)
		require.True(t, scan.Holds["accounts"].Sight, "%+v", scan)
	})
	require.NoError(t, pipeline.DecideOffline(t.Context(), filepath.Join(e.dir, "data"), accounts, pipeline.Accept))
	e.run(other)
	require.NotZero(t, e.changes("lake", "acme-github")["removed"])
}

func TestEditSinkRemovedWithWorkOpen(t *testing.T) {
	e := newEdits(t)
	instance := e.okta("acme-okta")
	e.leaveWork(instance)
	e.lakes = []string{"other=other"}
	require.ErrorIs(t, e.try(instance), pipeline.ErrSinkOwed)
	var out, errs bytes.Buffer
	require.Equal(t, 2, cli.Main([]string{"run", "--once", "-c", e.config(instance)}, &out, &errs))
	require.Regexp(t, `sink "lake" has \d+ undelivered batches and is not in the configuration: put it back`, errs.String())
	e.lakes = []string{"lake=lake"}
	e.run(instance)
	e.once("lake", "acme-okta", "okta")
}

func TestEditSinkRemoved(t *testing.T) {
	e := newEdits(t)
	e.lakes = []string{"lake=lake", "other=other"}
	e.run(e.okta("acme-okta"))
	e.lakes = e.lakes[:1]
	e.run(e.okta("acme-okta"))
	require.Contains(t, e.log.String(), "sink is gone from the configuration and was owed nothing: forgotten")
	e.state(func(ctx context.Context, st pipeline.State) {
		known, err := st.Sinks(ctx)
		require.NoError(t, err)
		require.Len(t, known, 1)
	})
	before := e.changes("lake", "acme-okta")["added"]
	e.lakes = append(e.lakes, "other=other")
	e.run(e.okta("acme-okta"))
	require.Equal(t, before, e.changes("other", "acme-okta")["snapshot"], "put back, it is a new sink")
}

func TestEditSinkRenamed(t *testing.T) {
	e := newEdits(t)
	e.run(e.okta("acme-okta"))
	before := e.changes("lake", "acme-okta")
	e.live(6 * time.Hour)
	e.lakes = []string{"lakehouse=lake"}
	e.run(e.okta("acme-okta"))
	e.once("lake", "acme-okta", "okta")
	require.GreaterOrEqual(t, e.changes("lake", "acme-okta")["snapshot"], before["added"]*9/10, "the new name gets the present state")
}

func TestEditSinkMoved(t *testing.T) {
	e := newEdits(t)
	e.run(e.okta("acme-okta"))
	e.lakes = []string{"lake=elsewhere"}
	require.ErrorContains(t, e.try(e.okta("acme-okta")), "A new place needs a new name in the configuration")
}

func TestEditSinkAdded(t *testing.T) {
	e := newEdits(t)
	e.run(e.okta("acme-okta"))
	events := len(e.rows("lake", "activities", "acme-okta"))
	e.live(6 * time.Hour)
	e.lakes = append(e.lakes, "other=other")
	e.run(e.okta("acme-okta"))
	require.Len(t, e.rows("other", "activities", "acme-okta"), len(e.rows("lake", "activities", "acme-okta"))-events, "activities from then on")
	for _, name := range []string{"accounts", "groups", "group_members", "privileges", "apps", "app_grants"} {
		s := schemas.ByName(name)
		want, err := rowtest.Lake(t.Context(), filepath.Join(e.dir, "lake"), s, "acme-okta")
		require.NoError(t, err)
		got, err := rowtest.Lake(t.Context(), filepath.Join(e.dir, "other"), s, "acme-okta")
		require.NoError(t, err)
		require.NotEmpty(t, want)
		require.Empty(t, rowtest.Diff(s, want, got, 5))
	}
	require.NotZero(t, e.changes("other", "acme-okta")["snapshot"])
}

func TestEditRaw(t *testing.T) {
	e := newEdits(t)
	e.run(e.okta("acme-okta"))
	before := e.changes("lake", "acme-okta")
	old := e.rows("lake", "activities", "acme-okta")
	require.False(t, slices.ContainsFunc(old, func(r rowtest.Row) bool { return r["raw"] == "" }))
	e.run(e.okta("acme-okta", "raw: drop"))
	require.Equal(t, before, e.changes("lake", "acme-okta"), "no row is sent again for it")
	e.live(6 * time.Hour)
	e.run(e.okta("acme-okta", "raw: drop"))
	empty := 0
	for _, r := range e.rows("lake", "activities", "acme-okta") {
		if r["raw"] == "" {
			empty++
		}
	}
	require.Equal(t, len(e.rows("lake", "activities", "acme-okta"))-len(old), empty, "new rows have none, old ones keep theirs")
	require.NotZero(t, empty)
}

func TestEditEvery(t *testing.T) {
	e := newEdits(t)
	e.run(e.okta("acme-okta"))
	before := e.changes("lake", "acme-okta")
	e.run(e.okta("acme-okta", "streams: {accounts: {every: 2h, full_every: 12h}}"))
	require.Equal(t, before, e.changes("lake", "acme-okta"))
	e.once("lake", "acme-okta", "okta")
}
