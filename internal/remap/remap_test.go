package remap_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/fault"
	"weir/internal/remap"
	"weir/internal/setting"
	"weir/schemas"
	"weir/sources"
)

// words is a mapping whose records are words: each makes a row, the first word
// is its id. "bad" is no record.
type words struct{}

func (words) Reset() {}

func (words) Map(in sources.MapInput, raw string, rows *schemas.Rows) error {
	if raw == "bad" {
		return fault.New(fault.BadData, "it is bad")
	}
	for row := range strings.SplitSeq(raw, ";") {
		f := strings.Fields(row)
		rows.Activities = append(rows.Activities, schemas.Activity{EventID: f[0], Action: f[1], ScopeID: in.Tenant, Time: march, TargetIDs: f[2:]})
	}
	return nil
}

const (
	february = schemas.Time(1_770_000_000_000)
	march    = february + 40*86_400_000
)

func TestMap(t *testing.T) {
	t.Parallel()
	c := &sources.Connector{App: "words", Mapper: func(setting.Struct) (sources.Mapper, error) { return words{}, nil }}
	m, err := remap.New(remap.Options{
		Instances: []remap.Instance{{Name: "a", Connector: c}, {Name: "none", Connector: &sources.Connector{}}},
		From:      1000, To: math.MaxInt64, Examples: 1,
	})
	require.NoError(t, err)
	type in struct{ instance, raw string }
	var env []schemas.Envelope
	rows := &schemas.Rows{}
	for i, r := range []in{
		{"a", "1 new x y"},
		{"a", "2 old"},
		{"a", "other new"},
		{"a", "8 new;3 right;9 new"},
		{"a", "8 new;9 new"},
		{"a", ""},
		{"a", "bad"},
		{"b", "7 new"},
		{"none", "8 new"},
		{"a", "9 new"},
	} {
		env = append(env, schemas.Envelope{Instance: r.instance, Tenant: "t", ObservedAt: march, Version: int64(i), BatchID: "b"})
		rows.Activities = append(rows.Activities, schemas.Activity{EventID: string(rune('1' + i)), Action: "old", ScopeID: "t", Time: march, Raw: r.raw})
	}
	rows.Activities[0].Time = february
	rows.Activities[3].EventID = "3"
	rows.Activities[9].Time = 1 // out of the span
	before := append([]schemas.Envelope{}, env...)
	require.NoError(t, m.Map(env, rows, false))
	require.Equal(t, before, env)
	f := func(i int, id, action string) {
		t.Helper()
		require.Equal(t, []string{id, action}, []string{rows.Activities[i].EventID, rows.Activities[i].Action})
	}
	f(0, "1", "new")
	require.Equal(t, []string{"x", "y"}, rows.Activities[0].TargetIDs)
	require.Equal(t, "1 new x y", rows.Activities[0].Raw)
	f(1, "2", "old")
	f(2, "3", "new") // the key stays
	f(3, "3", "right")
	for i := 4; i < 10; i++ {
		f(i, string(rune('1'+i)), "old")
	}
	require.Equal(t, &remap.Report{
		Rows: 10, Mapped: 4, Changed: 3, NewID: 1, Moved: 1,
		Carried: map[string]int64{
			remap.NotOne: 1, remap.NoRaw: 1, "its record cannot be mapped: it is bad": 1, remap.NoInstance: 1, remap.NoMapper: 1, remap.OutOfSpan: 1,
		},
		Columns: map[string]int64{"action": 3, "time": 1, "target_ids": 1},
		Samples: []remap.Sample{{Instance: "a", Key: "1", Fields: []remap.Field{
			{Column: "time", Old: february.String(), New: march.String()}, {Column: "action", Old: `"old"`, New: `"new"`}, {Column: "target_ids", Old: `[]`, New: `["x" "y"]`},
		}}},
	}, m.Report())
	require.Equal(t, "action", m.Report().TopColumns()[0])

	// What is shown again is counted once.
	require.NoError(t, m.Map(env, rows, true))
	require.EqualValues(t, 10, m.Report().Rows)
	require.Error(t, m.Map(env[:1], rows, false))
}
