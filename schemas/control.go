package schemas

import (
	"fmt"
	"io"
	"reflect"
	"strings"
)

// Names of the governance tables. People write the first two, Weir the last.
const (
	TableActions         = "actions"
	TableActionApprovals = "action_approvals"
	TableActionLog       = "action_log"
)

// ActionRow is a row of the table actions: a request, as somebody claims it.
type ActionRow struct {
	ID          string    `col:"id" doc:"made by the requester, at most 64 letters, digits, - and _; the first row with an id is the request, others are conflicts"`
	Instance    string    `col:"instance,lc" doc:"the instance to act on; empty of contain_user and release_user, which are for all"`
	Action      string    `col:"action,lc" doc:"a word of the vocabulary, or undo, contain_user, release_user"`
	TargetKind  string    `col:"target_kind,lc" doc:"what the target is: account, file, ...; of contain_user: person; of undo and release_user: action"`
	TargetID    string    `col:"target_id" doc:"the vendor's own id of the target; of contain_user: an e-mail address; of undo and release_user: the id of the action to take back"`
	Params      string    `col:"params" doc:"JSON object of texts; empty: none"`
	Reason      string    `col:"reason" doc:"why"`
	ChangeRef   string    `col:"change_ref" doc:"number of the change or incident"`
	RequestedBy string    `col:"requested_by" doc:"who asks, for readers only: db_user is what counts"`
	NotBefore   Time      `col:"not_before" doc:"not to be carried out earlier"`
	NotAfter    Time      `col:"not_after" doc:"not to be begun later"`
	DryRun      Opt[bool] `col:"dry_run" doc:"plan only"`
	Signature   string    `col:"signature" doc:"by a key of the requester: base64; weir actions sign makes it; empty: none"`

	DBUser     string // who inserted it, by ClickHouse
	ReceivedAt Time   // when, by ClickHouse
	RowHash    string // of all columns, by ClickHouse: tells rows of one id and time apart
}

// ApprovalRow is a row of the table action_approvals: a decision, as somebody
// claims it.
type ApprovalRow struct {
	ActionID    string `col:"action_id" doc:"the action decided on"`
	RequestHash string `col:"request_hash" doc:"of the request approved: action_log.request_hash"`
	PlanHash    string `col:"plan_hash" doc:"of the plan approved: action_log.plan_hash"`
	Decision    string `col:"decision,lc" enum:"approve reject cancel" doc:"what is decided"`
	Reason      string `col:"reason" doc:"why"`
	Signature   string `col:"signature" doc:"by a key of who decides: base64; weir actions sign makes it; empty: none"`

	DBUser     string // who inserted it, by ClickHouse
	ReceivedAt Time   // when, by ClickHouse
	RowHash    string // of all columns, by ClickHouse: tells rows of one id and time apart
}

// ActionLogRow is one step in the life of an action. Rows are a chain: each
// holds the hash of the one before.
type ActionLogRow struct {
	Chain       string    `col:"chain,key,lc" doc:"the agent's state that wrote it: each has a chain of its own"`
	Seq         int64     `col:"seq,key" doc:"place in the chain, from 1, without gaps"`
	At          Time      `col:"at,notnull" doc:"when it happened, by the agent's clock"`
	ActionID    string    `col:"action_id" doc:"the action; empty: governance as a whole"`
	Event       string    `col:"event,lc" doc:"what happened"`
	State       string    `col:"state,lc" doc:"the action's state afterwards"`
	Detail      string    `col:"detail" doc:"why, in words"`
	Action      string    `col:"action,lc" doc:"what was asked for"`
	TargetKind  string    `col:"target_kind,lc" doc:"kind of the target"`
	TargetID    string    `col:"target_id" doc:"the target"`
	TargetName  string    `col:"target_name" doc:"its name, as the vendor returned it"`
	Step        string    `col:"step" doc:"the step of the plan"`
	Ref         string    `col:"ref" doc:"the vendor's request or job id"`
	Principal   string    `col:"principal,lc" doc:"who asked or decided, as the configuration knows them"`
	DBUser      string    `col:"db_user,lc" doc:"database user, or uid:N of the control socket"`
	Via         string    `col:"via,lc" doc:"how it came: the sink's name, or socket"`
	RequestHash string    `col:"request_hash" doc:"SHA-256 over the request"`
	PlanHash    string    `col:"plan_hash" doc:"SHA-256 over the plan"`
	Diff        []string  `col:"diff" doc:"what the plan changes, a line each"`
	Limits      []string  `col:"limits" doc:"what it does not do, and why it cannot be undone"`
	DryRun      Opt[bool] `col:"dry_run" doc:"nothing is written at the vendor"`
	Reason      string    `col:"reason" doc:"the requester's or approver's reason"`
	ChangeRef   string    `col:"change_ref" doc:"number of the change or incident"`
	PrevHash    string    `col:"prev_hash" doc:"hash of the row before; empty in the first"`
	Hash        string    `col:"hash" doc:"SHA-256 over prev_hash, instance and the columns from chain to change_ref"`
}

// ControlTable is a table that people write and Weir reads: plain inserts,
// nothing updated.
type ControlTable struct {
	Name, Doc string
	Columns   []Column
	Key       string // sorting key
}

// ControlTables returns the governance tables that people write.
func ControlTables() []ControlTable {
	return []ControlTable{
		{TableActions, "requests to change something at a vendor; see docs/governance.md", columnsOf(reflect.TypeFor[ActionRow](), 0), "received_at, id"},
		{TableActionApprovals, "decisions on requests", columnsOf(reflect.TypeFor[ApprovalRow](), 0), "received_at, action_id"},
	}
}

// proven are the columns that ClickHouse fills, and a client cannot.
var proven = []ClickHouseColumn{
	{"db_user", "LowCardinality(String)", "MATERIALIZED currentUser()", true},
	{"received_at", dateTime, "MATERIALIZED now64(3)", true},
}

// ClickHouseDDL is the statement that makes the table where it is not there.
func (t ControlTable) ClickHouseDDL(database string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE IF NOT EXISTS %s.%s (\n", QuoteClickHouse(database), QuoteClickHouse(t.Name))
	for _, c := range t.Columns {
		fmt.Fprintf(&b, "    %s %s,\n", QuoteClickHouse(c.Name), c.clickHouseType())
	}
	for i, c := range proven {
		fmt.Fprintf(&b, "    %s %s %s", QuoteClickHouse(c.Name), c.Type, c.Clause)
		if i < len(proven)-1 {
			b.WriteString(",\n")
		}
	}
	fmt.Fprintf(&b, "\n)\nENGINE = MergeTree\nPARTITION BY toYYYYMM(received_at)\nORDER BY (%s)", t.Key)
	return b.String()
}

// ClickHouseAlter is the statement that adds the columns which an older table
// lacks; "" when it has all.
func (t ControlTable) ClickHouseAlter(database string, has func(column string) bool) string {
	var add []string
	for _, c := range t.Columns {
		if !has(c.Name) {
			add = append(add, fmt.Sprintf("ADD COLUMN %s %s", QuoteClickHouse(c.Name), c.clickHouseType()))
		}
	}
	if len(add) == 0 {
		return ""
	}
	return fmt.Sprintf("ALTER TABLE %s.%s %s", QuoteClickHouse(database), QuoteClickHouse(t.Name), strings.Join(add, ", "))
}

// Roles of ClickHouse that governance needs.
const (
	RoleRequester = "weir_requester"
	RoleApprover  = "weir_approver"
	RoleAgent     = "weir_agent"
	RoleReader    = "weir_reader"
)

// WriteClickHouseGrants prints the statements that make the roles and what they
// may do. None may alter or delete; only a requester inserts requests, only an
// approver decisions, only the agent anything else.
func WriteClickHouseGrants(w io.Writer, database string) error {
	db := QuoteClickHouse(database)
	on := func(table string) string { return db + "." + QuoteClickHouse(table) }
	var b strings.Builder
	for _, r := range []string{RoleRequester, RoleApprover, RoleAgent, RoleReader} {
		fmt.Fprintf(&b, "CREATE ROLE IF NOT EXISTS %s;\n", r)
	}
	b.WriteByte('\n')
	control := map[string]string{TableActions: RoleRequester, TableActionApprovals: RoleApprover}
	for _, t := range ControlTables() {
		var names []string
		for _, c := range t.Columns {
			names = append(names, QuoteClickHouse(c.Name))
		}
		fmt.Fprintf(&b, "GRANT INSERT(%s) ON %s TO %s;\n", strings.Join(names, ", "), on(t.Name), control[t.Name])
		fmt.Fprintf(&b, "GRANT SELECT ON %s TO %s, %s;\n", on(t.Name), RoleAgent, RoleReader)
	}
	fmt.Fprintf(&b, "GRANT SELECT ON %s TO %s, %s;\n", on(TableActionLog), RoleRequester, RoleApprover)
	for _, t := range tables {
		fmt.Fprintf(&b, "GRANT SELECT, INSERT ON %s TO %s;\n", on(t.ClickHouseName()), RoleAgent)
		fmt.Fprintf(&b, "GRANT SELECT ON %s TO %s;\n", on(t.ClickHouseName()), RoleReader)
	}
	for _, v := range ClickHouseViews() {
		fmt.Fprintf(&b, "GRANT SELECT ON %s TO %s, %s;\n", on(v.Name), RoleAgent, RoleReader)
	}
	fmt.Fprintf(&b, "GRANT SELECT, INSERT ON %s TO %s;\n", on("weir_owner"), RoleAgent)
	fmt.Fprintf(&b, "GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW, SHOW TABLES, SHOW COLUMNS ON %s.* TO %s;\n", db, RoleAgent)
	fmt.Fprintf(&b, "GRANT KILL QUERY ON *.* TO %s;\n", RoleAgent)
	fmt.Fprintf(&b, "GRANT SELECT ON system.* TO %s;\n", RoleAgent)
	_, err := io.WriteString(w, b.String())
	return err
}
