package schemas

import (
	"fmt"
	"io"
	"strings"
)

// ClickHouseColumn is a column as ClickHouse has it.
type ClickHouseColumn struct {
	Name, Type string
	Clause     string // what follows the type: DEFAULT, MATERIALIZED, CODEC
	Derived    bool   // not of the Arrow schema: ClickHouse fills it
}

// ClickHouseSettings are the table settings that delivery relies on: without a
// window, plain MergeTree does not deduplicate inserts at all.
var ClickHouseSettings = []struct{ Name, Value string }{
	{"non_replicated_deduplication_window", "10000"},
	{"replicated_deduplication_window", "10000"},
	{"replicated_deduplication_window_seconds", "604800"},
}

const dateTime = "DateTime64(3, 'UTC')"

// ClickHouseName is the name of the table in ClickHouse: entities are kept as
// a log of their changes.
func (t *Table) ClickHouseName() string {
	if t.Entity {
		return t.Name + "_log"
	}
	return t.Name
}

// ClickHouseColumns are the table's columns in ClickHouse.
func (t *Table) ClickHouseColumns() (out []ClickHouseColumn) {
	for _, c := range t.Columns {
		col := ClickHouseColumn{Name: c.Name, Type: c.clickHouseType()}
		if c.Name == "raw" {
			col.Clause = "CODEC(ZSTD(3))"
		}
		out = append(out, col)
	}
	out = append(out, ClickHouseColumn{"delivered_at", dateTime, "DEFAULT now64(3)", true})
	if t.Name == TableActivities {
		out = append(out, ClickHouseColumn{"src_ip6", "IPv6", "MATERIALIZED toIPv6OrDefault(src_ip)", true})
	}
	return out
}

func (c Column) clickHouseType() string {
	name := map[Type]string{String: "String", List: "Array(String)", Int32: "Int32", Int64: "Int64", Bool: "Bool", Millis: dateTime}[c.Type]
	switch {
	case c.LC && c.Type == String:
		return "LowCardinality(String)"
	case c.Nullable:
		return "Nullable(" + name + ")"
	}
	return name
}

// QuoteClickHouse writes an identifier.
func QuoteClickHouse(name string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(name) + "`"
}

// ClickHouseDDL is the statement that makes the table where it is not there.
func (t *Table) ClickHouseDDL(database string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s.%s (\n", QuoteClickHouse(database), QuoteClickHouse(t.ClickHouseName()))
	for _, c := range t.ClickHouseColumns() {
		fmt.Fprintf(&b, "    %s %s", QuoteClickHouse(c.Name), c.Type)
		if c.Clause != "" {
			b.WriteString(" " + c.Clause)
		}
		b.WriteString(",\n")
	}
	b.WriteString("    INDEX batch_id_minmax batch_id TYPE minmax GRANULARITY 1")
	if t.Name == TableActivities {
		b.WriteString(",\n    CONSTRAINT equal_targets CHECK length(target_ids) = length(target_names) AND length(target_ids) = length(target_kinds)")
		b.WriteString(",\n    CONSTRAINT equal_changes CHECK length(change_names) = length(change_old) AND length(change_names) = length(change_new)")
	}
	engine, order := t.clickHouseEngine()
	fmt.Fprintf(&b, "\n)\nENGINE = %s\nPARTITION BY toYYYYMM(%s)\nORDER BY (%s)\nSETTINGS ", engine, t.DateColumn, order)
	for i, s := range ClickHouseSettings {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s.Name + " = " + s.Value)
	}
	return b.String()
}

// clickHouseEngine returns the engine and the sorting key. That of activities
// was chosen by measurement: a day's events of one service, action and actor lie
// together, which packs raw well and serves the usual filters. Its last column
// only catches an insert repeated: nothing relies on merges to replace a row.
func (t *Table) clickHouseEngine() (engine, order string) {
	switch {
	case t.Name == TableActivities:
		return "ReplacingMergeTree(version)", "app, instance, toDate(time), service, action, actor_id, event_id"
	case t.Name == TableCollectionRuns:
		return "MergeTree", "instance, stream, started_at, run_id"
	}
	return "MergeTree", strings.Join(t.Key, ", ") + ", version"
}

// WriteClickHouse prints the statements that make all tables.
func WriteClickHouse(w io.Writer, database string) error {
	if _, err := fmt.Fprintf(w, "CREATE DATABASE IF NOT EXISTS %s;\n", QuoteClickHouse(database)); err != nil {
		return err
	}
	for _, t := range tables {
		if _, err := fmt.Fprintf(w, "\n%s;\n", t.ClickHouseDDL(database)); err != nil {
			return err
		}
	}
	for _, t := range ControlTables() {
		if _, err := fmt.Fprintf(w, "\n%s;\n", t.ClickHouseDDL(database)); err != nil {
			return err
		}
	}
	for _, v := range ClickHouseViews() {
		if _, err := fmt.Fprintf(w, "\n%s;\n", v.DDL(database)); err != nil {
			return err
		}
	}
	return nil
}
