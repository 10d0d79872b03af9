package schemas

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

// ClickHouseView is a view that Weir makes in ClickHouse.
type ClickHouseView struct {
	Name   string
	Doc    string
	Tables []string // that it reads, by Table.Name
	query  func(database string) string
}

// ClickHouseViews are the views: the current rows of each entity table, under
// the table's own name, and what joins them.
//
// A current view reads the log itself: its keys newest first, in the order of the
// log, for the newest version of each, then the rows that have those. It is right
// by construction: whatever is inserted again, late or after a removal, there is
// no second table that could differ from the log. Measured in seconds of CPU, over
// 1,210,000 changes of a million accounts: the newest versions 0.7 (max by key:
// 3.1), the whole view 6.6 (one LIMIT BY over whole rows: 8.9; argMax of
// three columns alone: 5.8).
func ClickHouseViews() (out []ClickHouseView) {
	for _, t := range tables {
		if t.Entity {
			out = append(out, ClickHouseView{
				Name: t.Name, Doc: "current rows of " + t.ClickHouseName(), Tables: []string{t.Name},
				query: t.currentQuery,
			})
		}
	}
	return append(out, joinedViews...)
}

// currentQuery selects the newest row of each key that is not removed. Columns
// not asked for keep the newest value that was: few rows have such, and only
// theirs are looked up.
func (t *Table) currentQuery(database string) string {
	log := QuoteClickHouse(database) + "." + QuoteClickHouse(t.ClickHouseName())
	var b, older strings.Builder
	b.WriteString("SELECT")
	for i, c := range t.ClickHouseColumns() {
		if i > 0 {
			b.WriteString(",")
		}
		name := QuoteClickHouse(c.Name)
		if i < len(envelope)+diffColumns || slices.Contains(t.Key, c.Name) || c.Derived {
			fmt.Fprintf(&b, "\n    r.%s AS %s", name, name)
			continue
		}
		fmt.Fprintf(&b, "\n    if(has(r.not_asked, '%s'), o.%s, r.%s) AS %s", c.Name, name, name, name)
		// In a tuple, for argMax passes over NULL.
		fmt.Fprintf(&older, ",\n        argMaxIf(tuple(l.%s), l.version, NOT has(l.not_asked, '%s')).1 AS %s", name, c.Name, name)
	}
	keys, same := make([]string, len(t.Key)), make([]string, len(t.Key))
	for i, k := range t.Key {
		keys[i], same[i] = QuoteClickHouse(k), fmt.Sprintf("r.%s = o.%s", QuoteClickHouse(k), QuoteClickHouse(k))
	}
	key := strings.Join(keys, ", ")
	fmt.Fprintf(&b, `
FROM
(
    SELECT * FROM %[1]s
    WHERE (version, sipHash64(%[3]s)) IN
    (
        SELECT version, sipHash64(%[3]s) FROM
        (
            SELECT %[3]s, version, change FROM %[1]s
            ORDER BY %[2]s DESC, version DESC
            LIMIT 1 BY %[3]s
        )
        WHERE change <> 'removed'
    )
    LIMIT 1 BY %[3]s
) AS r
LEFT ANY JOIN
(
    SELECT %[3]s%[4]s
    FROM %[1]s AS l
    WHERE l.change <> 'removed' AND (%[3]s) IN (SELECT %[3]s FROM %[1]s WHERE notEmpty(not_asked))
    GROUP BY %[3]s
) AS o ON %[5]s`, log, strings.Join(keys, " DESC, "), key, older.String(), strings.Join(same, " AND "))
	return b.String()
}

// people finds an account by any of its names: how is id, alias or email. A name
// that several accounts bear finds none.
const people = `(
    SELECT instance, name, argMin(id, rank) AS account_id, argMin(way, rank) AS how FROM
    (
        SELECT instance, account_id AS id, names.1 AS name, names.2 AS way, names.2 <> 'id' AS rank
        FROM {db}.accounts
        ARRAY JOIN arrayConcat([(account_id, 'id')], arrayMap(x -> (x, 'alias'), alias_ids), arrayMap(x -> (x, 'email'), arrayDistinct(arrayConcat([email], emails)))) AS names
        WHERE names.1 <> ''
    )
    GROUP BY instance, name HAVING uniqExact(id) = 1 OR min(rank) = 0
)`

// members are the accounts in each group, also through groups in it.
const members = `(
    WITH RECURSIVE inside AS
    (
        SELECT instance, group_id, member_id, member_kind, 1 AS depth FROM {db}.group_members
        UNION ALL
        SELECT i.instance, i.group_id, m.member_id, m.member_kind, i.depth + 1
        FROM inside AS i INNER JOIN {db}.group_members AS m ON m.instance = i.instance AND m.group_id = i.member_id
        WHERE i.member_kind = 'group' AND i.depth < 10
    )
    SELECT DISTINCT instance, group_id, member_id AS account_id FROM inside WHERE member_kind <> 'group'
)`

// reach is what a grant on a file, folder, drive or site lets one get at: that
// itself, and all below it. Folders and containers are walked down, level by
// level; what else lies in them is added at the end, so that the walk has few
// rows, however many files there are. A folder has one parent: a circle can be met
// only at the grant itself, which ends it.
const reach = `(
    WITH RECURSIVE holders AS
    (
        SELECT instance, file_id, parent_id FROM {db}.files WHERE kind IN ('folder', 'container') AND parent_id <> ''
    ),
    inside AS
    (
        SELECT DISTINCT instance, file_id AS granted_on, file_id AS holder, 0 AS depth FROM {db}.file_permissions
        UNION ALL
        SELECT i.instance, i.granted_on, h.file_id, i.depth + 1
        FROM inside AS i INNER JOIN holders AS h ON h.instance = i.instance AND h.parent_id = i.holder
        WHERE i.depth < 100 AND h.file_id <> i.granted_on
    )
    SELECT DISTINCT i.instance AS instance, i.granted_on AS granted_on, arrayJoin(arrayPushBack(c.files, i.holder)) AS file_id
    FROM inside AS i
    LEFT ANY JOIN
    (
        SELECT instance, parent_id, groupArray(file_id) AS files FROM {db}.files
        WHERE kind NOT IN ('folder', 'container') AND parent_id <> '' GROUP BY instance, parent_id
    ) AS c ON c.instance = i.instance AND c.parent_id = i.holder
)`

var joinedViews = []ClickHouseView{
	{
		Name: "activities_resolved", Doc: "activities with the accounts, groups, files, apps and grants they name, joined by id, alias or e-mail",
		Tables: []string{TableActivities, "accounts", "apps", "app_grants"},
		query: joined(`SELECT a.*,
    if(byid.account_id <> '', byid.account_id, bymail.account_id) AS actor_account_id,
    if(byid.account_id <> '', byid.how, bymail.how) AS actor_joined_by,
    who.login AS actor_login, who.display_name AS actor_display_name, who.status AS actor_status, who.is_admin AS actor_is_admin, who.external AS actor_external,
    target.account_id AS target_account_id,
    app.app_id AS app_id, app.name AS app_name, app.publisher AS app_publisher,
    cred.kind AS credential_kind, cred.principal_id AS credential_principal_id
FROM {db}.activities AS a
LEFT ANY JOIN ` + people + ` AS byid ON byid.instance = a.instance AND byid.name = a.actor_id
LEFT ANY JOIN ` + people + ` AS bymail ON bymail.instance = a.instance AND bymail.name = a.actor_email
LEFT ANY JOIN {db}.accounts AS who ON who.instance = a.instance AND who.account_id = if(byid.account_id <> '', byid.account_id, bymail.account_id)
LEFT ANY JOIN ` + people + ` AS target ON target.instance = a.instance AND target.name = a.target_id
LEFT ANY JOIN
(
    SELECT instance, names AS id, app_id, name, publisher
    FROM {db}.apps ARRAY JOIN arrayDistinct(arrayConcat([app_id], alias_ids)) AS names WHERE names <> ''
) AS app ON app.instance = a.instance AND app.id = a.client_app_id
LEFT ANY JOIN {db}.app_grants AS cred ON cred.instance = a.instance AND cred.grant_id = a.credential_id`),
	},
	{
		Name: "file_access", Doc: "who can reach which file, folder or container by a grant on it or on what it lies in, groups resolved to their members",
		Tables: []string{"accounts", "group_members", "files", "file_permissions"},
		query: joined(`SELECT p.instance AS instance, p.app AS app, r.file_id AS file_id, f.kind AS kind, f.name AS name, f.path AS path,
    f.container_id AS container_id, f.container_name AS container_name, f.sharing AS sharing, f.owner_id AS owner_id,
    p.permission_id AS permission_id, p.role AS role, if(r.file_id <> p.file_id, true, p.inherited) AS inherited, p.file_id AS granted_on, p.link_scope AS link_scope, p.expires_at AS expires_at,
    p.grantee_kind AS grantee_kind, p.grantee_id AS grantee_id, p.grantee_email AS grantee_email,
    multiIf(p.grantee_kind = 'group', m.account_id, byid.account_id <> '', byid.account_id, bymail.account_id) AS account_id,
    if(p.grantee_kind = 'group', p.grantee_id, '') AS via_group_id,
    who.login AS login, who.email AS email, who.status AS status, who.external AS external
FROM ` + reach + ` AS r
INNER JOIN {db}.file_permissions AS p ON p.instance = r.instance AND p.file_id = r.granted_on
LEFT ANY JOIN {db}.files AS f ON f.instance = r.instance AND f.file_id = r.file_id
LEFT JOIN ` + members + ` AS m ON m.instance = p.instance AND m.group_id = if(p.grantee_kind = 'group', p.grantee_id, '')
LEFT ANY JOIN ` + people + ` AS byid ON byid.instance = p.instance AND byid.name = p.grantee_id
LEFT ANY JOIN ` + people + ` AS bymail ON bymail.instance = p.instance AND bymail.name = p.grantee_email
LEFT ANY JOIN {db}.accounts AS who ON who.instance = p.instance
    AND who.account_id = multiIf(p.grantee_kind = 'group', m.account_id, byid.account_id <> '', byid.account_id, bymail.account_id)`),
	},
	{
		Name: "effective_privileges", Doc: "which account holds which privilege, itself or through groups",
		Tables: []string{"accounts", "group_members", "privileges"},
		query: joined(`SELECT p.instance AS instance, p.app AS app, p.privilege_id AS privilege_id, p.role_id AS role_id, p.role_name AS role_name,
    p.scope AS scope, p.scope_kind AS scope_kind, p.state AS state, p.privileged AS privileged, p.expires_at AS expires_at,
    p.principal_kind AS principal_kind, p.principal_id AS principal_id,
    if(p.principal_kind = 'group', m.account_id, byid.account_id) AS account_id,
    if(p.principal_kind = 'group', p.principal_id, '') AS via_group_id,
    who.login AS login, who.email AS email, who.status AS status, who.kind AS kind, who.mfa_enabled AS mfa_enabled, who.external AS external
FROM {db}.privileges AS p
LEFT JOIN ` + members + ` AS m ON m.instance = p.instance AND m.group_id = if(p.principal_kind = 'group', p.principal_id, '')
LEFT ANY JOIN ` + people + ` AS byid ON byid.instance = p.instance AND byid.name = p.principal_id
LEFT ANY JOIN {db}.accounts AS who ON who.instance = p.instance AND who.account_id = if(p.principal_kind = 'group', m.account_id, byid.account_id)`),
	},
}

func joined(query string) func(string) string {
	return func(database string) string {
		return strings.ReplaceAll(query, "{db}", QuoteClickHouse(database))
	}
}

// ViewComment begins the comment by which Weir knows its own views.
const ViewComment = "Weir: "

// Comment is the view's comment: it tells definitions apart.
func (v ClickHouseView) Comment() string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(v.query("")))
	return fmt.Sprintf("%s%s (%016x)", ViewComment, v.Doc, h.Sum64())
}

// DDL is the statement that makes the view, or makes it anew.
func (v ClickHouseView) DDL(database string) string {
	return fmt.Sprintf("CREATE OR REPLACE VIEW %s.%s AS\n%s\nCOMMENT '%s'", QuoteClickHouse(database), QuoteClickHouse(v.Name), v.query(database), v.Comment())
}
