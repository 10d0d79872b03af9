package clickhouse

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"weir/internal/clickhousetest"
	"weir/internal/fault"
	"weir/schemas"
)

// The current views tell what the log does, whatever order it came in.
func TestCurrentViews(t *testing.T) {
	server := clickhousetest.Start(t)
	s := openSink(t, config(server, "now"))
	require.NoError(t, s.Prepare(t.Context(), schemas.Tables()))
	require.NoError(t, s.Prepare(t.Context(), schemas.Tables()), "again")
	row := func(version int, change, id, login, admin, notAsked string) {
		server.Query(t, fmt.Sprintf("INSERT INTO now.accounts_log (app, instance, observed_at, version, change, account_id, login, email, alias_ids, is_admin, not_asked) VALUES ('okta', 'acme', '2026-0%d-01 00:00:00', %d, '%s', '%s', '%s', '%s@acme.example', ['%s-alias'], %s, %s)",
			1+version%9, version, change, id, login, login, id, admin, notAsked))
	}
	is := func(want string) {
		t.Helper()
		require.Equal(t, want, server.Query(t, "SELECT account_id, login, is_admin, version FROM now.accounts ORDER BY account_id FORMAT TSV"))
	}
	row(1, "added", "a", "one", "true", "[]")
	row(1, "added", "a", "one", "true", "[]") // inserted twice
	row(2, "added", "b", "two", "false", "[]")
	is("a\tone\ttrue\t1\nb\ttwo\tfalse\t2")
	row(4, "updated", "a", "uno", "NULL", "['is_admin']")
	is("a\tuno\ttrue\t4\nb\ttwo\tfalse\t2")
	row(3, "updated", "a", "late", "false", "[]") // out of order
	is("a\tuno\tfalse\t4\nb\ttwo\tfalse\t2")
	row(5, "removed", "b", "", "NULL", "[]")
	is("a\tuno\tfalse\t4")
	row(6, "added", "b", "back", "NULL", "[]")
	row(7, "snapshot", "a", "uno", "NULL", "[]") // asked, and not known
	is("a\tuno\t\\N\t7\nb\tback\t\\N\t6")
	require.Equal(t, "uno", server.Query(t, "SELECT login FROM now.accounts WHERE instance = 'acme' AND account_id = 'a'"))

	server.Query(t, "INSERT INTO now.activities (app, instance, time, version, event_id, actor_id, actor_email) VALUES ('okta', 'acme', now(), 1, '1', 'a', ''), ('okta', 'acme', now(), 2, '2', 'b-alias', ''), ('okta', 'acme', now(), 3, '3', 'x', 'uno@acme.example'), ('okta', 'acme', now(), 4, '4', 'nobody', '')")
	require.Equal(t, "1\ta\tid\tuno\n2\tb\talias\tback\n3\ta\temail\tuno\n4\t\t\t", server.Query(t, "SELECT event_id, actor_account_id, actor_joined_by, actor_login FROM now.activities_resolved ORDER BY event_id FORMAT TSV"))

	server.Query(t, "INSERT INTO now.group_members_log (app, instance, observed_at, version, change, group_id, member_id, member_kind) VALUES ('okta', 'acme', now(), 10, 'added', 'outer', 'inner', 'group'), ('okta', 'acme', now(), 11, 'added', 'inner', 'b', 'account'), ('okta', 'acme', now(), 12, 'added', 'inner', 'outer', 'group')")
	server.Query(t, "INSERT INTO now.privileges_log (app, instance, observed_at, version, change, privilege_id, principal_id, principal_kind, role_name) VALUES ('okta', 'acme', now(), 20, 'added', 'p1', 'a', 'account', 'admin'), ('okta', 'acme', now(), 21, 'added', 'p2', 'outer', 'group', 'reader')")
	require.Equal(t, "p1\ta\t\tuno\np2\tb\touter\tback", server.Query(t, "SELECT privilege_id, account_id, via_group_id, login FROM now.effective_privileges ORDER BY privilege_id FORMAT TSV"))
	server.Query(t, "INSERT INTO now.files_log (app, instance, observed_at, version, change, file_id, name) VALUES ('okta', 'acme', now(), 30, 'added', 'f', 'plan')")
	server.Query(t, "INSERT INTO now.file_permissions_log (app, instance, observed_at, version, change, file_id, permission_id, grantee_id, grantee_kind, grantee_email, role) VALUES ('okta', 'acme', now(), 31, 'added', 'f', '1', 'inner', 'group', '', 'read'), ('okta', 'acme', now(), 32, 'added', 'f', '2', '', 'account', 'uno@acme.example', 'write'), ('okta', 'acme', now(), 33, 'added', 'f', '3', '', 'anyone', '', 'read')")
	require.Equal(t, "plan\t1\tb\tinner\nplan\t2\ta\t\nplan\t3\t\t", server.Query(t, "SELECT name, permission_id, account_id, via_group_id FROM now.file_access ORDER BY permission_id FORMAT TSV"))

	// A grant on a folder, drive or site reaches all below it, once each, and
	// nothing beside it.
	server.Query(t, `INSERT INTO now.files_log (app, instance, observed_at, version, change, file_id, kind, name, parent_id) VALUES
		('m', 'm365', now(), 50, 'added', 'site', 'container', 'Sales', ''), ('m', 'm365', now(), 51, 'added', 'drive', 'container', 'Documents', 'site'),
		('m', 'm365', now(), 52, 'added', 'outer', 'folder', 'outer', 'drive'), ('m', 'm365', now(), 53, 'added', 'inner', 'folder', 'inner', 'outer'),
		('m', 'm365', now(), 54, 'added', 'deep', 'file', 'deep.txt', 'inner'), ('m', 'm365', now(), 55, 'added', 'flat', 'file', 'flat.txt', 'drive'),
		('m', 'm365', now(), 56, 'added', 'loop', 'folder', 'loop', 'loop'), ('m', 'm365', now(), 57, 'added', 'gone', 'file', 'gone.txt', 'inner'),
		('m', 'm365', now(), 58, 'removed', 'gone', 'file', '', ''), ('m', 'other', now(), 59, 'added', 'deep', 'file', 'another instance', 'inner')`)
	server.Query(t, `INSERT INTO now.file_permissions_log (app, instance, observed_at, version, change, file_id, permission_id, grantee_id, grantee_kind, role) VALUES
		('m', 'm365', now(), 60, 'added', 'drive', 'p-drive', '', 'anyone', 'read'), ('m', 'm365', now(), 61, 'added', 'outer', 'p-outer', '', 'domain', 'write'),
		('m', 'm365', now(), 62, 'added', 'deep', 'p-deep', '', 'link', 'read'), ('m', 'm365', now(), 63, 'added', 'loop', 'p-loop', '', 'anyone', 'read')`)
	require.Equal(t, "deep\tp-deep\tdeep\t\\N\ndeep\tp-drive\tdrive\ttrue\ndeep\tp-outer\touter\ttrue\ndrive\tp-drive\tdrive\t\\N\nflat\tp-drive\tdrive\ttrue\n"+
		"inner\tp-drive\tdrive\ttrue\ninner\tp-outer\touter\ttrue\nloop\tp-loop\tloop\t\\N\nouter\tp-drive\tdrive\ttrue\nouter\tp-outer\touter\t\\N",
		server.Query(t, "SELECT file_id, permission_id, granted_on, inherited FROM now.file_access WHERE instance = 'm365' ORDER BY file_id, permission_id FORMAT TSV"))

	// An older view of ours is made anew; what is not ours is refused.
	server.Query(t, "CREATE OR REPLACE VIEW now.accounts AS SELECT 1 AS one COMMENT 'Weir: an older one'")
	require.NoError(t, s.Prepare(t.Context(), schemas.Tables()))
	require.Equal(t, "2", server.Query(t, "SELECT count() FROM now.accounts"))
	server.Query(t, "DROP VIEW now.groups")
	server.Query(t, "CREATE TABLE now.groups (x Int8) ENGINE = MergeTree ORDER BY x")
	err := s.Prepare(t.Context(), schemas.Tables())
	require.Equal(t, fault.Permanent, fault.Of(err))
	require.ErrorContains(t, err, "`now`.`groups` is there already, with the engine MergeTree, and Weir did not make it")
}
