package googleworkspace

import (
	stdjson "encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/schemas"
	"weir/sources"
)

// activityItems are the items of a fixture.
func activityItems(t testing.TB, file string) (out []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	var all []stdjson.RawMessage
	require.NoError(t, stdjson.Unmarshal(b, &all))
	for _, raw := range all {
		out = append(out, string(raw))
	}
	require.NotEmpty(t, out)
	return out
}

func activityFixtures(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/activities/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	return files
}

// mappedItem maps an item that has nothing to reject.
func mappedItem(t testing.TB, raw string) []schemas.Activity {
	t.Helper()
	var rows schemas.Rows
	newActivityMapper().mapItem(raw, &rows, func(reason string) { t.Fatalf("%s: %s", reason, raw) })
	return rows.Activities
}

// Every kind of event, mapped: each column that is told, but for raw. What is
// kept of it gives the same row again.
func TestActivitiesGolden(t *testing.T) {
	t.Parallel()
	for _, file := range activityFixtures(t) {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var rows schemas.Rows
			ids := map[string]bool{}
			again, err := newRemapper(nil)
			require.NoError(t, err)
			for _, raw := range activityItems(t, file) {
				for _, a := range mappedItem(t, raw) {
					checkActivityRow(t, &a)
					require.False(t, ids[a.EventID], a.EventID)
					ids[a.EventID] = true
					rows.Activities = append(rows.Activities, a)

					var anew schemas.Rows
					require.NoError(t, again.Map(sources.MapInput{Tenant: testCustomer}, a.Raw, &anew), a.Raw)
					require.Equal(t, []schemas.Activity{a}, anew.Activities)
				}
			}
			golden(t, "activities/"+name, schemas.TableActivities, &rows)
		})
	}
}

// checkActivityRow checks what every row must keep.
func checkActivityRow(t testing.TB, a *schemas.Activity) {
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
	require.Len(t, a.EventID, 32)
	require.NotEmpty(t, a.Action)
	require.NotZero(t, a.Time)
	require.NotZero(t, a.ClassUID)
	require.NotZero(t, a.ActivityID)
	require.NotZero(t, a.SeverityID)
	require.Len(t, a.TargetNames, len(a.TargetIDs))
	require.Len(t, a.TargetKinds, len(a.TargetIDs))
	require.LessOrEqual(t, len(a.TargetIDs), schemas.MaxTargets)
	require.Len(t, a.ChangeOld, len(a.ChangeNames))
	require.Len(t, a.ChangeNew, len(a.ChangeNames))
	for _, list := range [][]string{a.ChangeNames, a.ChangeOld, a.ChangeNew} {
		for _, v := range list {
			require.LessOrEqual(t, len(v), schemas.MaxChangeBytes)
		}
	}
	require.Equal(t, strings.ToLower(a.ActorEmail), a.ActorEmail)
}

// An item's events are rows of their own, each with what the item and it say
// alone; the place of the event is a part of its id, and stands in raw.
func TestActivityOfSeveralEvents(t *testing.T) {
	t.Parallel()
	const raw = `{"id":{"time":"2026-10-01T05:58:12.123Z","uniqueQualifier":"-7","applicationName":"admin","customerId":"C1"},"events":[{"name":"A"}, {"name":"B"},{"name":"C"}],"ipAddress":"203.0.113.7"}`
	rows := mappedItem(t, raw)
	require.Len(t, rows, 3)
	for i, want := range []string{`[{"name":"A"}]`, `[null,{"name":"B"}]`, `[null,null,{"name":"C"}]`} {
		require.Equal(t, `{"id":{"time":"2026-10-01T05:58:12.123Z","uniqueQualifier":"-7","applicationName":"admin","customerId":"C1"},"events":`+want+`,"ipAddress":"203.0.113.7"}`, rows[i].Raw)
		require.Equal(t, schemas.HashID("C1", "admin", "2026-10-01T05:58:12.123Z", "-7", string(rune('0'+i))), rows[i].EventID)
	}
	one := strings.Replace(raw, `, {"name":"B"},{"name":"C"}`, "", 1)
	require.Equal(t, one, mappedItem(t, one)[0].Raw, "one event: as it was received")
}

// The qualifier may be a number, and is what the id is made of as written.
func TestActivityQualifier(t *testing.T) {
	t.Parallel()
	item := func(q string) string {
		return mappedItem(t, `{"id":{"time":"2026-10-01T05:58:12.123Z","uniqueQualifier":`+q+`,"applicationName":"login","customerId":"C1"},"events":[{"name":"logout"}]}`)[0].EventID
	}
	require.Equal(t, item(`"-12"`), item(`-12`))
	require.NotEqual(t, item(`"12"`), item(`"-12"`))
}

// What is no event is rejected with a reason; its neighbours are rows.
func TestActivityRejects(t *testing.T) {
	t.Parallel()
	const id = `"id":{"time":"2026-10-01T05:58:12.123Z","uniqueQualifier":"1","applicationName":"login","customerId":"C1"}`
	for raw, want := range map[string]struct {
		rows    int
		reasons []string
	}{
		`7`:  {0, []string{"the item is no JSON object"}},
		`[]`: {0, []string{"the item is no JSON object"}},
		``:   {0, []string{"the item is no JSON object"}},
		`{}`: {0, []string{"the item has no time"}},
		`{"id":{"time":"yesterday","applicationName":"login"},"events":[{"name":"x"}]}`: {0, []string{"the item has no time"}},
		`{"id":{"time":"2026-10-01T05:58:12Z"},"events":[{"name":"x"}]}`:                {0, []string{"the item names no application"}},
		`{` + id + `}`:                                        {0, []string{"the item has no events"}},
		`{` + id + `,"events":[]}`:                            {0, []string{"the item has no events"}},
		`{` + id + `,"events":{"name":"x"}}`:                  {0, []string{"the item has no events"}},
		`{` + id + `,"events":[{"type":"x"},{"name":"y"}]}`:   {1, []string{"event 0 of the item has no name"}},
		`{` + id + `,"events":[7,{"name":"y"},"z"]}`:          {1, []string{"event 0 of the item has no name", "event 2 of the item has no name"}},
		`{` + id + `,"events":[null,{"name":"y"}]}`:           {1, nil},
		`{` + id + `,"events":[{"name":"y","parameters":7}]}`: {1, nil},
	} {
		var rows schemas.Rows
		var reasons []string
		newActivityMapper().mapItem(raw, &rows, func(reason string) { reasons = append(reasons, reason) })
		require.Len(t, rows.Activities, want.rows, raw)
		require.Equal(t, want.reasons, reasons, raw)
	}
	m, err := newRemapper(nil)
	require.NoError(t, err)
	for _, raw := range []string{"", "{", "[]", "null", `"x"`, "{}", `{` + id + `,"events":[null]}`, `{` + id + `,"events":[{}]}`, "\xff\xfe"} {
		var rows schemas.Rows
		err := m.Map(sources.MapInput{}, raw, &rows)
		require.Equal(t, fault.BadData, fault.Of(err), raw)
		require.NotEmpty(t, err.Error())
		require.Empty(t, rows.Activities)
	}
}

func FuzzMapItem(f *testing.F) {
	for _, file := range activityFixtures(f) {
		for _, raw := range activityItems(f, file) {
			f.Add(raw)
		}
	}
	f.Add(`{"id":{"time":"2026-10-01T05:58:12Z","applicationName":"\u0061"},"events":[{"name":"x","parameters":[{"name":"scope","multiValue":["a",1,null,{}]}]}]}`)
	m := newActivityMapper()
	f.Fuzz(func(t *testing.T, raw string) {
		if !validRecord(raw) {
			return
		}
		var rows schemas.Rows
		rejected := 0
		m.reset()
		m.mapItem(raw, &rows, func(reason string) {
			require.NotEmpty(t, reason)
			rejected++
		})
		require.Positive(t, len(rows.Activities)+rejected)
		for i := range rows.Activities {
			a := rows.Activities[i]
			require.True(t, validRecord(a.Raw), a.Raw)
			require.LessOrEqual(t, len(a.TargetIDs), schemas.MaxTargets)
			var anew schemas.Rows
			newActivityMapper().mapItem(a.Raw, &anew, func(string) {})
			require.Len(t, anew.Activities, 1)
			require.Equal(t, a.EventID, anew.Activities[0].EventID)
		}
	})
}

// BenchmarkMap maps the fixtures' items; events a second, and allocations.
func BenchmarkMap(b *testing.B) {
	var items []string
	size := 0
	for _, file := range activityFixtures(b) {
		for _, raw := range activityItems(b, file) {
			items, size = append(items, raw), size+len(raw)
		}
	}
	m, rows := newActivityMapper(), schemas.Rows{}
	events := 0
	b.SetBytes(int64(size))
	b.ReportAllocs()
	for b.Loop() {
		m.reset()
		rows.Activities = rows.Activities[:0]
		for _, raw := range items {
			m.mapItem(raw, &rows, func(reason string) { b.Fatal(reason) })
		}
		events += len(rows.Activities)
	}
	b.ReportMetric(float64(events)/b.Elapsed().Seconds(), "events/s")
}
