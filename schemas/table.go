package schemas

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
)

// Names of the tables that other packages single out.
const (
	TableActivities     = "activities"
	TableCollectionRuns = "collection_runs"
)

// Type is the type of a column.
type Type string

// Types of columns, and how they stand in Arrow.
const (
	String Type = "string" // utf8, never null
	List   Type = "list"   // list<utf8>, never null
	Int32  Type = "int32"
	Int64  Type = "int64"
	Bool   Type = "bool"
	Millis Type = "time" // timestamp(ms, UTC)
)

// Column is one declared column.
type Column struct {
	Name       string   `json:"name"`
	Type       Type     `json:"type"`
	Doc        string   `json:"doc"`
	Enum       []string `json:"enum,omitempty"`
	Nullable   bool     `json:"nullable,omitempty"`
	Key        bool     `json:"key,omitempty"`
	LC         bool     `json:"low_cardinality,omitempty"` // few distinct values
	Volatile   bool     `json:"volatile,omitempty"`        // compared at day precision
	Uncompared bool     `json:"uncompared,omitempty"`      // alone makes no update

	offset uintptr // of the field in its row struct; the envelope's have none
}

// Table is one declared table. Columns begin with the envelope.
type Table struct {
	Name       string   `json:"name"`
	Doc        string   `json:"doc"`
	Columns    []Column `json:"columns"`
	Key        []string `json:"key"`         // instance first
	DateColumn string   `json:"date_column"` // the time column that says which day a row belongs to
	Entity     bool     `json:"entity"`      // rows of a scan, with change columns; else events
	arrow      *arrow.Schema
	head       []byte // encoded schema message
	rowSize    uintptr
	rows       int    // field of Rows
	date       int    // column, -1 for an envelope column
	copies     *Table // of an entity table: that of its snapshots
}

// Rows are rows of any tables, as a page brings them.
type Rows struct {
	Activities      []Activity
	Accounts        []Account
	Groups          []Group
	GroupMembers    []GroupMember
	Privileges      []Privilege
	Files           []File
	FilePermissions []FilePermission
	Apps            []App
	AppGrants       []AppGrant
	CollectionRuns  []CollectionRun
	ActionLog       []ActionLogRow
}

// The order is that of the fields of Rows.
var tables = []*Table{
	{Name: TableActivities, Doc: "audit trail: who did what, when, to what, from where", DateColumn: "time"},
	{Name: "accounts", Doc: "users, service identities and external collaborators", Entity: true},
	{Name: "groups", Doc: "groups of accounts", Entity: true},
	{Name: "group_members", Doc: "memberships", Entity: true},
	{Name: "privileges", Doc: "roles and rights given to principals", Entity: true},
	{Name: "files", Doc: "files, folders and their containers", Entity: true},
	{Name: "file_permissions", Doc: "grants on files, written where granted", Entity: true},
	{Name: "apps", Doc: "OAuth and integration apps registered or installed", Entity: true},
	{Name: "app_grants", Doc: "tokens, keys and consents issued", Entity: true},
	{Name: TableCollectionRuns, Doc: "what each stream collected, and which time is complete", DateColumn: "started_at"},
	{Name: TableActionLog, Doc: "governance: every step in the life of every action, hash-chained", DateColumn: "at"},
}

// envelope holds the columns that the pipeline, not the connector, fills.
var envelope = []Column{
	{Name: "app", Type: String, LC: true, Doc: "the vendor's product"},
	{Name: "instance", Type: String, LC: true, Key: true, Doc: "name of the connector instance; the same app may be connected many times"},
	{Name: "tenant", Type: String, LC: true, Doc: "the vendor's own id of the organization; pinned at first contact"},
	{Name: "observed_at", Type: Millis, Doc: "when the agent read it"},
	{Name: "version", Type: Int64, Doc: "microseconds at commit, ever growing per agent state: of two rows with one key, the higher is right"},
	{Name: "batch_id", Type: String, Doc: "UUIDv7 of the batch that carried it"},
}

// diffColumns is the number of columns that Diff heads an entity row with.
var diffColumns = reflect.TypeFor[Diff]().NumField()

func init() {
	rows := reflect.TypeFor[Rows]()
	for i, t := range tables {
		row := rows.Field(i).Type.Elem()
		t.rows, t.rowSize = i, row.Size()
		t.Columns = append(slices.Clone(envelope), columnsOf(row, 0)...)
		if t.DateColumn == "" {
			t.DateColumn = "observed_at"
		}
		t.date = -1
		for j, c := range t.Columns {
			if c.Key {
				t.Key = append(t.Key, c.Name)
			}
			if c.Name == t.DateColumn && j >= len(envelope) {
				t.date = j
			}
		}
		t.arrow = arrowSchema(t)
		t.head = encodeHead(t.arrow)
		if t.Entity {
			t.copies = t.snapshot()
		}
	}
}

// SnapshotSuffix is what the table of an entity table's snapshots is named by.
const SnapshotSuffix = "_snapshot"

// Snapshot returns the table that holds, for sinks of files, all of an entity
// table's rows now and then: the same columns under another name. It is nil for
// other tables, and not one of Tables.
func (t *Table) Snapshot() *Table { return t.copies }

func (t *Table) snapshot() *Table {
	c := *t
	c.Name += SnapshotSuffix
	c.Doc = "all rows of " + t.Name + " at one time"
	c.arrow = arrowSchema(&c)
	c.head = encodeHead(c.arrow)
	return &c
}

// columnsOf reads the declaration of a row struct.
func columnsOf(row reflect.Type, base uintptr) (out []Column) {
	for i := range row.NumField() {
		f := row.Field(i)
		if f.Anonymous {
			out = append(out, columnsOf(f.Type, base+f.Offset)...)
			continue
		}
		tag, ok := f.Tag.Lookup("col")
		if !ok {
			continue // of control rows: what ClickHouse fills
		}
		name, options, _ := strings.Cut(tag, ",")
		c := Column{Name: name, Doc: f.Tag.Get("doc"), offset: base + f.Offset}
		if e := f.Tag.Get("enum"); e != "" {
			c.Enum = strings.Fields(e)
		}
		notNull := false
		for o := range strings.SplitSeq(options, ",") {
			switch o {
			case "key":
				c.Key = true
			case "lc":
				c.LC = true
			case "volatile":
				c.Volatile = true
			case "uncompared":
				c.Uncompared = true
			case "notnull":
				notNull = true
			case "":
			default:
				panic(fmt.Sprintf("schemas: %s.%s: unknown option %q", row.Name(), f.Name, o))
			}
		}
		switch f.Type {
		case reflect.TypeFor[string]():
			c.Type = String
		case reflect.TypeFor[[]string]():
			c.Type = List
		case reflect.TypeFor[int32]():
			c.Type = Int32
		case reflect.TypeFor[int64]():
			c.Type = Int64
		case reflect.TypeFor[Time]():
			c.Type, c.Nullable = Millis, !notNull
		case reflect.TypeFor[Opt[bool]]():
			c.Type, c.Nullable = Bool, true
		case reflect.TypeFor[Opt[int64]]():
			c.Type, c.Nullable = Int64, true
		default:
			panic(fmt.Sprintf("schemas: %s.%s: no column can hold a %s", row.Name(), f.Name, f.Type))
		}
		if name == "" || c.Doc == "" {
			panic(fmt.Sprintf("schemas: %s.%s: no name or no doc", row.Name(), f.Name))
		}
		out = append(out, c)
	}
	return out
}

// Tables returns all tables, in the order of the reference.
func Tables() []*Table { return tables }

// ByName returns a table, or a table of snapshots, or nil.
func ByName(name string) *Table {
	for _, t := range tables {
		switch {
		case t.Name == name:
			return t
		case t.copies != nil && t.copies.Name == name:
			return t.copies
		}
	}
	return nil
}

// Arrow returns today's Arrow schema of the table.
func (t *Table) Arrow() *arrow.Schema { return t.arrow }

// Column returns a column by name, or nil.
func (t *Table) Column(name string) *Column {
	for i := range t.Columns {
		if t.Columns[i].Name == name {
			return &t.Columns[i]
		}
	}
	return nil
}

// Names of the metadata in an Arrow schema.
const (
	metaTable   = "weir.table"
	metaVersion = "weir.version"
)

var timestampMS = &arrow.TimestampType{Unit: arrow.Millisecond, TimeZone: "UTC"}

func (ty Type) arrow() arrow.DataType {
	switch ty {
	case String:
		return arrow.BinaryTypes.String
	case List:
		return arrow.ListOfNonNullable(arrow.BinaryTypes.String)
	case Int32:
		return arrow.PrimitiveTypes.Int32
	case Int64:
		return arrow.PrimitiveTypes.Int64
	case Bool:
		return arrow.FixedWidthTypes.Boolean
	case Millis:
		return timestampMS
	}
	panic("schemas: unknown type " + string(ty))
}

func arrowSchema(t *Table) *arrow.Schema {
	fields := make([]arrow.Field, len(t.Columns))
	for i, c := range t.Columns {
		fields[i] = arrow.Field{Name: c.Name, Type: c.Type.arrow(), Nullable: c.Nullable}
	}
	meta := arrow.NewMetadata([]string{metaTable, metaVersion}, []string{t.Name, fmt.Sprint(Version)})
	return arrow.NewSchema(fields, &meta)
}
