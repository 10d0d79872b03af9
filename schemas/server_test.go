package schemas_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/internal/clickhousetest"
	"weir/schemas"
)

// A real ClickHouse makes every table, and reads an encoded stream as it is.
func TestClickHouseReads(t *testing.T) {
	t.Parallel()
	server := clickhousetest.Start(t)
	const at = schemas.Time(1_700_000_000_123)
	rows := &schemas.Rows{
		Activities: []schemas.Activity{
			{EventID: "a", Time: at, MFA: schemas.Some(true), ASN: schemas.Some(int64(64500)), SrcIP: "2001:db8::1", TargetIDs: []string{"x", ""}, TargetNames: []string{"", "y"}, TargetKinds: []string{"file", "user"}, Raw: "{\"text\": \"\u00e9\xff\"}"},
			{EventID: "b", Time: at + 1},
		},
		Accounts:        []schemas.Account{{AccountID: "a", CreatedAt: at, IsAdmin: schemas.Some(false)}, {AccountID: "b"}},
		Groups:          make([]schemas.Group, 2),
		GroupMembers:    make([]schemas.GroupMember, 2),
		Privileges:      make([]schemas.Privilege, 2),
		Files:           make([]schemas.File, 2),
		FilePermissions: make([]schemas.FilePermission, 2),
		Apps:            make([]schemas.App, 2),
		AppGrants:       make([]schemas.AppGrant, 2),
		CollectionRuns:  []schemas.CollectionRun{{RunID: "1", StartedAt: at, FinishedAt: at}, {RunID: "2", StartedAt: at, FinishedAt: at, CoveredTo: at}},
		ActionLog:       []schemas.ActionLogRow{{Seq: 1, At: at}, {Seq: 2, At: at, Diff: []string{"status"}}},
	}
	for _, table := range schemas.Tables() {
		ddl := table.ClickHouseDDL("weir")
		server.Query(t, ddl)
		server.Query(t, ddl) // it is there already

		builder := schemas.NewBuilder(table)
		env := schemas.Envelope{App: "aws", Instance: "trail", Tenant: "t", ObservedAt: at, Version: 7, BatchID: "batch"}
		var head []byte
		var stream [][]byte
		for range 2 { // two batches under one head
			e, err := builder.Encode(env, rows, nil)
			require.NoError(t, err)
			head = e.Head
			stream = append(stream, e.Body)
			env.Version += 2
		}
		body := slices.Concat(head, slices.Concat(stream...), schemas.EOS)
		columns, err := schemas.HeadColumns(head)
		require.NoError(t, err)
		name := "weir." + table.ClickHouseName()
		insert(t, server, fmt.Sprintf("INSERT INTO %s (%s) FORMAT ArrowStream", name, strings.Join(columns, ", ")), body)
		require.Equal(t, "4\t7\t10", server.Query(t, "SELECT count(), min(version), max(version) FROM "+name+" WHERE observed_at = '2023-11-14 22:13:20.123' AND delivered_at > observed_at"), table.Name)
	}
	got := server.Query(t, "SELECT event_id, time, mfa, asn, src_ip, src_ip6, target_ids, target_names, change_names, raw FROM weir.activities WHERE version < 9 ORDER BY event_id FORMAT TSV")
	require.Equal(t, "a\t2023-11-14 22:13:20.123\ttrue\t64500\t2001:db8::1\t2001:db8::1\t['x','']\t['','y']\t[]\t{\"text\": \"\u00e9\ufffd\"}\n"+
		"b\t2023-11-14 22:13:20.124\t\\N\t\\N\t\t::\t[]\t[]\t[]\t", got)
	got = server.Query(t, "SELECT account_id, created_at, last_login_at, is_admin, mfa_enabled FROM weir.accounts_log WHERE version < 9 ORDER BY account_id FORMAT TSV")
	require.Equal(t, "a\t2023-11-14 22:13:20.123\t\\N\tfalse\t\\N\nb\t\\N\t\\N\t\\N\t\\N", got)
}

func insert(t *testing.T, server *clickhousetest.Server, sql string, body []byte) {
	t.Helper()
	query := url.Values{
		"query": {sql}, "async_insert": {"0"}, "optimize_on_insert": {"0"}, "wait_end_of_query": {"1"},
		"input_format_skip_unknown_fields": {"0"}, "input_format_null_as_default": {"0"},
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL()+"/?"+query.Encode(), bytes.NewReader(body))
	require.NoError(t, err)
	req.Header.Set("Content-Encoding", "zstd")
	client := http.Client{Timeout: time.Minute}
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode, string(answer))
}
