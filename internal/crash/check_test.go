//go:build failpoint

package crash

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite" // to set the format of a state

	"weir/internal/rowtest"
	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/pipeline"
	"weir/schemas"
	"weir/sinks/parquet"
	"weir/sources"
	sourceregistry "weir/sources/registry"
)

func connector(app string) *sources.Connector {
	return sourceregistry.All[slices.IndexFunc(sourceregistry.All, func(c *sources.Connector) bool { return c.App == app })]
}

// tables are those that an app fills.
func tables(app string) (out []*schemas.Table) {
	for _, t := range schemas.Tables() {
		if slices.ContainsFunc(connector(app).Streams, func(s sources.StreamInfo) bool { return slices.Contains(s.Tables, t.Name) }) {
			out = append(out, t)
		}
	}
	return out
}

// check lets the organization stand still, runs the agent without crashes until
// it is caught up, and compares what the sinks hold with what is true.
func (r *rounds) check() {
	r.t.Helper()
	r.checks++
	r.damage.Store(0)
	r.world.Freeze()
	r.backfillAll()
	r.settle()
	r.world.Thaw()
	if r.tokens.now != "" {
		require.NoError(r.t, r.child(r.rotation(), "", time.Minute).err)
		require.Zero(r.t, r.tokens.spent, "a refresh token was lost")
	}
}

// settle is what follows once nothing fails any more: the sinks come to hold
// the truth, by themselves but for held removals, which a person accepts.
func (s *site) settle() {
	s.t.Helper()
	s.world.Freeze()
	s.skip(26 * time.Hour) // all that is late has come, and a day's sweep is due
	var diff []string
	var last outcome
	for range 8 {
		last = s.child(order{Do: "once"}, "", 2*time.Minute)
		if diff = s.differences(); len(diff) == 0 && last.err == nil {
			s.sound()
			return
		}
		s.accept()
		s.skip(time.Hour)
	}
	if keep := os.Getenv("WEIR_CRASH_KEEP"); keep != "" {
		_ = os.CopyFS(keep, os.DirFS(s.dir))
	}
	s.t.Fatalf("what the sinks hold is not what is true: %v\n%s\n%s", last.err, strings.Join(diff, "\n"), last.log[max(0, len(last.log)-4000):])
}

// accept has all held removals carried out by the next round.
func (s *site) accept() {
	s.t.Helper()
	for _, id := range s.holds() {
		require.NoError(s.t, s.child(order{Do: "decide", Stream: id}, "", time.Minute).err)
	}
}

// read returns all rows of a table in the sink, by instance.
func (s *site) read(t *schemas.Table) map[string][]rowtest.Row {
	s.t.Helper()
	dir := s.lake()
	if s.clickhouse != nil {
		dir = s.export(t)
	}
	rows, err := rowtest.LakeLog(context.Background(), dir, t, "")
	require.NoError(s.t, err)
	out := map[string][]rowtest.Row{}
	for _, r := range rows {
		name := r["instance"].(string)
		out[name] = append(out[name], r)
	}
	return out
}

// export writes a table of ClickHouse as a lake: all rows, without FINAL.
func (s *site) export(t *schemas.Table) string {
	s.t.Helper()
	dir := filepath.Join(s.dir, "export")
	into := filepath.Join(dir, t.Name, "app=any", "dt=any")
	require.NoError(s.t, os.RemoveAll(filepath.Join(dir, t.Name)))
	if s.clickhouse.Query(s.t, fmt.Sprintf("SELECT count() FROM system.tables WHERE database = '%s' AND name = '%s'", s.database, t.ClickHouseName())) == "0" {
		return dir
	}
	if s.clickhouse.Query(s.t, fmt.Sprintf("SELECT count() FROM %s.%s", s.database, t.ClickHouseName())) == "0" {
		return dir
	}
	require.NoError(s.t, os.MkdirAll(into, 0o700))
	body := s.clickhouse.Query(s.t, fmt.Sprintf("SELECT * FROM %s.%s FORMAT Parquet SETTINGS output_format_parquet_string_as_string = 1", s.database, t.ClickHouseName()))
	require.NoError(s.t, os.WriteFile(filepath.Join(into, "all.parquet"), []byte(body), 0o600))
	return dir
}

// differences compares a sink with the truth, and its logs with themselves.
func (s *site) differences() (out []string) {
	s.t.Helper()
	held := map[string]map[string][]rowtest.Row{}
	for _, tenant := range s.tenants {
		truth := s.sandbox.Truth(tenant)
		for _, t := range tables(tenant.App) {
			if held[t.Name] == nil {
				held[t.Name] = s.read(t)
			}
			want, err := rowtest.ByKey(t, truth)
			require.NoError(s.t, err, "the sandbox's truth")
			for key, row := range want {
				if tenant.App == org.Okta && row["kind"] == "consent" && row["consent"] == "user" {
					delete(want, key) // which are asked for only where the configuration says so
				}
			}
			if t.Name == schemas.TableActivities {
				want = s.remember(tenant)
			}
			got, wrong := fold(t, held[t.Name][tenant.Instance()])
			if len(wrong) > 0 {
				s.t.Fatalf("%s of %s contradicts itself, in %d places:\n%s", t.Name, tenant.Instance(), len(wrong), strings.Join(wrong[:min(len(wrong), 10)], "\n"))
			}
			for _, d := range rowtest.Diff(t, want, got, 10) {
				out = append(out, tenant.Instance()+": "+d)
			}
		}
	}
	return out
}

// remember returns all activities that a vendor has told of so far: it forgets
// some of them after a week.
func (s *site) remember(tenant *sandbox.Tenant) rowtest.Table {
	now, err := rowtest.ByKey(schemas.ByName(schemas.TableActivities), s.sandbox.Truth(tenant))
	require.NoError(s.t, err, "the sandbox's truth")
	all := s.told[tenant.Instance()]
	if all == nil {
		all = rowtest.Table{}
		s.told[tenant.Instance()] = all
	}
	maps.Copy(all, now)
	return all
}

// fold makes the present state of a table's log, and tells where the log
// contradicts itself: an event or a version that is there twice, a row that is
// added while it is there, or changed or removed while it is not.
func fold(t *schemas.Table, log []rowtest.Row) (rowtest.Table, []string) {
	out, wrong := rowtest.Table{}, []string(nil)
	slices.SortStableFunc(log, func(a, b rowtest.Row) int { return cmp.Compare(a["version"].(int64), b["version"].(int64)) })
	before := int64(-1)
	for _, row := range log {
		key := rowtest.Key(t, row)
		_, there := out[key]
		say := func(what string) {
			wrong = append(wrong, fmt.Sprintf("%q %s: %v", strings.ReplaceAll(key, "\x1f", " "), what, row["change"]))
		}
		if v := row["version"].(int64); v == before {
			say(fmt.Sprintf("has the version %d of another row", v))
		} else {
			before = v
		}
		if !t.Entity {
			if there {
				say("is there twice")
			}
			out[key] = row
			continue
		}
		switch change := row["change"].(string); {
		case change == "added" && there:
			say("is added, and was there")
		case change == "removed" && !there:
			say("is removed, and was not there")
		case change != "added" && change != "snapshot" && !there:
			say("is changed, and was not there")
		}
		if out[key] = row; row["change"] == "removed" {
			delete(out, key)
		}
	}
	return out, wrong
}

// sound requires that nothing is left over: no spool, no file without a mark or
// mark without a file, no snapshot with a row twice.
func (s *site) sound() {
	s.t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.data(), "spool"))
	require.NoError(s.t, err)
	require.Empty(s.t, entries, "the spool is empty once the sink has everything")
	if s.clickhouse != nil {
		return
	}
	files := map[string]bool{}
	require.NoError(s.t, filepath.WalkDir(s.lake(), func(name string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".parquet") {
			rel, err := filepath.Rel(s.lake(), name)
			require.NoError(s.t, err)
			files[filepath.ToSlash(rel)] = true
		}
		return err
	}))
	dirs, err := os.ReadDir(filepath.Join(s.lake(), "_weir", "parts"))
	require.NoError(s.t, err)
	for _, d := range dirs {
		marks, err := parquet.ReadMarks(s.lake(), d.Name())
		require.NoError(s.t, err)
		for _, m := range marks {
			for _, f := range m.Files {
				require.True(s.t, files[f.Path], "marked and not there: %s", f.Path)
				delete(files, f.Path)
			}
		}
	}
	require.Empty(s.t, files, "there and not marked")
	for _, t := range schemas.Tables() {
		if !t.Entity {
			continue
		}
		rows, err := rowtest.LakeLog(context.Background(), s.lake(), t.Snapshot(), "")
		require.NoError(s.t, err)
		seen := map[string]bool{}
		for _, row := range rows {
			key := fmt.Sprint(row["instance"], row["version"])
			require.False(s.t, seen[key], "%s has a row twice: %v", t.Snapshot().Name, row)
			seen[key] = true
		}
	}
}

// setFormat changes the format that a state says it has.
func setFormat(dir string, by int) error {
	db, err := sql.Open("sqlite", filepath.Join(dir, pipeline.StateFile))
	if err != nil {
		return err
	}
	defer db.Close()
	var format int
	if err := db.QueryRow("PRAGMA user_version").Scan(&format); err != nil {
		return err
	}
	_, err = db.Exec(fmt.Sprintf("PRAGMA user_version = %d", format+by))
	return err
}

// short takes rows of a part away that ClickHouse has, and of which the state
// does not know it: as when an insert was stored in part.
func (r *rounds) short() {
	r.t.Helper()
	for range 10 {
		r.skip(time.Hour)
		r.child(order{Do: "once"}, "insert.done=kill@1", time.Minute)
		if r.shorten() {
			return
		}
	}
	r.t.Fatal("no part was left open")
}

// shorten drops a row of each open part, and says whether there was one of more. A part of the server's in which there are rows of
// others, as a merge makes it, stays: the state knows those to be delivered, and
// nobody would miss them.
func (r *rounds) shorten() (short bool) {
	st, err := pipeline.ReadState(r.t.Context(), r.data())
	require.NoError(r.t, err)
	defer st.Close()
	parts, err := st.OpenParts(r.t.Context(), "warehouse", "")
	require.NoError(r.t, err)
	for _, p := range parts {
		batches, err := st.PartBatches(r.t.Context(), p.ID)
		require.NoError(r.t, err)
		ids := make([]string, len(batches))
		for i, b := range batches {
			ids[i] = "'" + b.ID + "'"
		}
		table := fmt.Sprintf("%s.%s", r.database, schemas.ByName(p.Table).ClickHouseName())
		query := fmt.Sprintf("SELECT _part, count() FROM %s GROUP BY _part HAVING countIf(batch_id IN (%s)) = count() AND count() > 1", table, strings.Join(ids, ","))
		for line := range strings.Lines(r.clickhouse.Query(r.t, query)) {
			part := strings.Fields(line)[0]
			where := fmt.Sprintf("FROM %s WHERE _part = '%s'", table, part)
			r.clickhouse.Query(r.t, fmt.Sprintf("INSERT INTO %s SELECT * %s AND version <> (SELECT min(version) %[2]s) SETTINGS insert_deduplicate = 0, optimize_on_insert = 0", table, where))
			r.clickhouse.Query(r.t, fmt.Sprintf("ALTER TABLE %s DROP PART '%s'", table, part))
			short = true
		}
	}
	return short
}
