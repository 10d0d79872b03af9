package clickhouse

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/clickhousetest"
	"weir/schemas"
	"weir/sinks"
)

// Two real users: one may ask, the other approve, neither the other's part,
// and neither can say who they are or when it was.
func TestControlTables(t *testing.T) {
	t.Parallel()
	var ddl, grants bytes.Buffer
	require.NoError(t, schemas.WriteClickHouse(&ddl, "weir"))
	require.NoError(t, schemas.WriteClickHouseGrants(&grants, "weir"))
	// The embedded server cannot store roles: each user gets what its role is
	// granted.
	users := map[string]string{schemas.RoleRequester: "alice", schemas.RoleApprover: "bob", schemas.RoleAgent: "agent", schemas.RoleReader: "rita"}
	granted := map[string][]string{}
	for line := range strings.SplitSeq(grants.String(), ";\n") {
		grant, roles, ok := strings.Cut(line, " TO ")
		if !ok {
			continue
		}
		for role := range strings.SplitSeq(roles, ", ") {
			require.Contains(t, users, role)
			granted[users[role]] = append(granted[users[role]], grant)
		}
	}
	server := clickhousetest.StartWithUsers(t, granted)
	for statement := range strings.SplitSeq(ddl.String(), ";\n") {
		if strings.TrimSpace(statement) != "" {
			server.Query(t, statement)
		}
	}
	as := func(user, sql string) string {
		resp, err := http.Post(server.URL()+"/?"+url.Values{"user": {user}}.Encode(), "text/plain", strings.NewReader(sql))
		require.NoError(t, err)
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		return string(body)
	}
	request := "INSERT INTO weir.actions (id, instance, action, target_kind, target_id, requested_by) VALUES ('a1', 'acme', 'suspend_user', 'account', 'u1', 'the boss')"
	require.Empty(t, as("alice", request))
	require.Empty(t, as("bob", "INSERT INTO weir.action_approvals (action_id, request_hash, plan_hash, decision) VALUES ('a1', 'r', 'p', 'approve')"))
	for user, statements := range map[string][]string{
		"alice": {
			"INSERT INTO weir.action_approvals (action_id, decision) VALUES ('a1', 'approve')",
			"INSERT INTO weir.action_log (action_id) VALUES ('a1')",
			"SELECT * FROM weir.actions", "ALTER TABLE weir.actions DELETE WHERE 1", "TRUNCATE TABLE weir.actions", "DROP TABLE weir.actions",
		},
		"bob":   {request, "INSERT INTO weir.action_log (action_id) VALUES ('a1')", "ALTER TABLE weir.action_approvals DELETE WHERE 1"},
		"agent": {request, "INSERT INTO weir.action_approvals (action_id, decision) VALUES ('a1', 'approve')", "ALTER TABLE weir.action_log DELETE WHERE 1", "DROP TABLE weir.action_log"},
		"rita":  {request, "INSERT INTO weir.action_log (action_id) VALUES ('a1')"},
	} {
		for _, s := range statements {
			require.Contains(t, as(user, s), "ACCESS_DENIED", "%s: %s", user, s)
		}
	}
	for _, forged := range []string{"db_user", "received_at"} {
		require.NotEmpty(t, as("alice", "INSERT INTO weir.actions (id, "+forged+") VALUES ('forged', '2020-01-01 00:00:00')"), forged)
		require.Contains(t, server.Query(t, "SELECT count() FROM weir.actions WHERE id = 'forged'"), "0")
	}
	server.Query(t, "INSERT INTO weir.action_log (chain, seq, action_id, event) VALUES ('old', 7, 'a9', 'step_begun'), ('mine', 8, 'a8', 'step_begun'), ('old', 9, 'a7', 'received')")

	c := config(server, "weir")
	c.Username = "agent"
	control, ok := openSink(t, c).(sinks.Control)
	require.True(t, ok)
	rows, err := control.Requests(t.Context(), sinks.ControlPlace{}, 10)
	require.NoError(t, err)
	require.Len(t, rows, 1)
	require.Equal(t, "alice", rows[0].DBUser)
	require.Equal(t, "the boss", rows[0].RequestedBy)
	require.Positive(t, rows[0].ReceivedAt)
	rows, err = control.Requests(t.Context(), sinks.ControlPlace{ReceivedAt: rows[0].ReceivedAt, ID: "a1", Row: rows[0].RowHash}, 10)
	require.NoError(t, err)
	require.Empty(t, rows)
	approvals, err := control.Approvals(t.Context(), sinks.ControlPlace{}, 10)
	require.NoError(t, err)
	require.Equal(t, "bob", approvals[0].DBUser)
	require.Equal(t, "approve", approvals[0].Decision)
	for id, want := range map[string]bool{"a9": true, "a8": false, "a7": false, "a1": false} {
		ran, err := control.Ran(t.Context(), id, "mine", 8)
		require.NoError(t, err)
		require.Equal(t, want, ran, id)
	}
	ran, err := control.Ran(t.Context(), "a8", "mine", 7) // this state is older than the sink
	require.NoError(t, err)
	require.True(t, ran)

	// Long texts are cut, pages join, and a table that proves nothing is refused.
	require.Empty(t, as("alice", "INSERT INTO weir.actions (id, params) SELECT concat('b', leftPad(toString(number), 4, '0')), repeat('x', if(number = 0, 1000000, 1)) FROM numbers(25)"))
	read := func(limit int) (ids map[string]int) {
		ids = map[string]int{}
		for place := (sinks.ControlPlace{}); ; {
			rows, err := control.Requests(t.Context(), place, limit)
			require.NoError(t, err)
			require.LessOrEqual(t, len(rows), limit)
			for _, r := range rows {
				require.LessOrEqual(t, len(r.Params), sinks.MaxControlText)
				ids[r.ID]++
				next := sinks.ControlPlace{ReceivedAt: r.ReceivedAt, ID: r.ID, Row: r.RowHash}
				require.Negative(t, place.Compare(next))
				place = next
			}
			if len(rows) < limit {
				return ids
			}
		}
	}
	require.Len(t, read(7), 26)

	// One id at one time, a row that differs in what may be null, an id that no
	// query could hold as it is: all are read, and no page holds more than asked.
	require.Empty(t, as("alice", "INSERT INTO weir.actions (id, reason, dry_run) SELECT 'same', toString(number DIV 2), if(number % 2, true, NULL) FROM numbers(40)"))
	require.Empty(t, as("alice", `INSERT INTO weir.actions (id) SELECT concat('\\\'?\0\xff', repeat('y', 100000)) FROM numbers(1)`))
	ids := read(7)
	require.Len(t, ids, 28)
	require.Equal(t, 40, ids["same"])
	require.Empty(t, as("bob", "INSERT INTO weir.action_approvals (action_id, decision, reason) SELECT 'same', 'approve', toString(number) FROM numbers(40)"))
	heard := map[string]bool{}
	for place := (sinks.ControlPlace{}); ; {
		rows, err := control.Approvals(t.Context(), place, 7)
		require.NoError(t, err)
		require.LessOrEqual(t, len(rows), 7)
		for _, r := range rows {
			heard[r.Reason] = true
			place = sinks.ControlPlace{ReceivedAt: r.ReceivedAt, ID: r.ActionID, Row: r.RowHash}
		}
		if len(rows) < 7 {
			break
		}
	}
	require.Len(t, heard, 41) // one without a reason from before
	server.Query(t, "ALTER TABLE weir.actions DROP COLUMN signature")
	_, err = control.Requests(t.Context(), sinks.ControlPlace{}, 10)
	_, alter, _ := strings.Cut(err.Error(), "Run: ")
	alter, _, _ = strings.Cut(alter, ";")
	server.Query(t, alter)
	_, err = control.Requests(t.Context(), sinks.ControlPlace{}, 10)
	require.NoError(t, err)
	server.Query(t, "ALTER TABLE weir.actions MODIFY COLUMN db_user LowCardinality(String) DEFAULT currentUser()")
	_, err = control.Requests(t.Context(), sinks.ControlPlace{}, 10)
	require.ErrorContains(t, err, "must be MATERIALIZED")
}
