package schemas

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

var snake = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

func TestDeclarations(t *testing.T) {
	t.Parallel()
	rows := reflect.TypeFor[Rows]()
	require.Equal(t, len(Tables()), rows.NumField())
	words := regexp.MustCompile(`([a-z])([A-Z])`)
	for i, table := range Tables() {
		require.Equal(t, strings.ToLower(words.ReplaceAllString(rows.Field(i).Name, "${1}_$2")), table.Name, "tables and Rows go in one order")
		require.Same(t, table, ByName(table.Name))
		require.Equal(t, "instance", table.Key[0])
		require.Greater(t, len(table.Key), 1, table.Name)
		require.NotContains(t, table.Doc, "|")

		names := map[string]bool{}
		for j, c := range table.Columns {
			require.Regexp(t, snake, c.Name)
			require.False(t, names[c.Name], "%s.%s twice", table.Name, c.Name)
			names[c.Name] = true
			require.Equal(t, table.Arrow().Field(j).Name, c.Name)
			require.Equal(t, table.Arrow().Field(j).Nullable, c.Nullable)
			require.Same(t, &table.Columns[j], table.Column(c.Name))
			if j < len(envelope) {
				require.Equal(t, envelope[j].Name, c.Name)
			}
		}
		day := table.Column(table.DateColumn)
		require.NotNil(t, day)
		require.Equal(t, Millis, day.Type)
		require.False(t, day.Nullable, "a row's day is always known")
		require.Equal(t, table.Entity, names["change"] && table.Columns[len(envelope)].Name == "change")
	}
	require.Nil(t, ByName("nothing"))
	require.Nil(t, ByName("files").Column("nothing"))
}

func TestRowsTime(t *testing.T) {
	t.Parallel()
	rows := &Rows{
		Activities: []Activity{{Time: 1}, {Time: 2}}, CollectionRuns: []CollectionRun{{StartedAt: 3}},
		Files: []File{{CreatedAt: 4}},
	}
	require.EqualValues(t, 2, rows.Time(ByName(TableActivities), 1))
	require.EqualValues(t, 3, rows.Time(ByName(TableCollectionRuns), 0))
	require.EqualValues(t, 0, rows.Time(ByName("files"), 0))
	require.Panics(t, func() { rows.Time(ByName(TableActivities), 2) })

	before := &rows.Activities[0]
	rows.Reset()
	require.Zero(t, rows.Len(ByName(TableActivities)))
	rows.Activities = append(rows.Activities, Activity{})
	require.Same(t, before, &rows.Activities[0], "memory is kept")
}

// A column added, renamed or retyped shows here: raise Version with it.
func TestClickHouseGolden(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	require.NoError(t, WriteClickHouse(&got, "weir"))
	const golden = "testdata/clickhouse.sql"
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, got.Bytes(), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), got.String(), "if this is meant: go test ./schemas -update")
}

func TestQuoteClickHouse(t *testing.T) {
	t.Parallel()
	require.Equal(t, "`a b`", QuoteClickHouse("a b"))
	require.Equal(t, "`a\\`b\\\\`", QuoteClickHouse("a`b\\"))
}

func TestDocsAreUpToDate(t *testing.T) {
	t.Parallel()
	var want bytes.Buffer
	require.NoError(t, WriteMarkdown(&want))
	have, err := os.ReadFile("../docs/schema.md")
	require.NoError(t, err)
	require.Equal(t, want.String(), string(have), "run make generate")
}

func TestWriteJSON(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.NoError(t, WriteJSON(&b))
	var doc struct {
		Version int
		Tables  []Table
	}
	d := json.NewDecoder(&b)
	d.DisallowUnknownFields()
	require.NoError(t, d.Decode(&doc))
	require.ErrorIs(t, d.Decode(&doc), io.EOF)
	require.Equal(t, Version, doc.Version)
	require.Len(t, doc.Tables, len(Tables()))
	for i, table := range Tables() {
		require.Equal(t, table.Key, doc.Tables[i].Key)
		for j, c := range table.Columns {
			c.offset = 0
			require.Equal(t, c, doc.Tables[i].Columns[j])
		}
	}
}
