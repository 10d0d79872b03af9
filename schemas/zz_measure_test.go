package schemas_test

import (
	"os"
	"testing"
	"time"
	"strings"

	"weir/internal/clickhousetest"
	"weir/schemas"
)

func TestMeasure(t *testing.T) {
	if os.Getenv("MEASURE") == "" { t.Skip() }
	s := clickhousetest.Start(t)
	tb := schemas.ByName("accounts")
	s.Query(t, tb.ClickHouseDDL("weir"))
	ins := func(n, mod, ver string, change string) {
		s.Query(t, "INSERT INTO weir.accounts_log (app, instance, tenant, observed_at, version, batch_id, change, account_id, alias_ids, login, email, emails, display_name, status, kind, is_admin, created_at, last_login_at, raw) SELECT 'okta','acme','t', now64(3), "+ver+"+number, 'b', '"+change+"', concat('00u', leftPad(toString(cityHash64(number)), 20, '0')), [toString(number)], concat('login', toString(number),'@acme.example'), concat('login', toString(number),'@acme.example'), [concat('login', toString(number),'@acme.example')], concat('Person ', toString(number)), 'active','human', number % 100 = 0, now64(3), now64(3), repeat(hex(cityHash64(number)), 8) FROM numbers_mt("+n+") WHERE number % "+mod+" = 0")
	}
	ins("1000000", "1", "1000000", "added")
	ins("1000000", "5", "9000000", "updated")
	ins("1000000", "100", "19000000", "removed")
	keys := "instance, account_id"
	var cols, plain []string
	for _, c := range tb.Columns {
		if c.Key || strings.HasPrefix(c.Name, "change") || c.Name == "not_asked" || c.Name=="removed_reason" || c.Name == "version" { continue }
		cols = append(cols, "argMaxIf(l."+c.Name+", l.version, NOT has(l.not_asked, '"+c.Name+"')) AS "+c.Name)
		plain = append(plain, c.Name)
	}
	_ = cols
	log := "weir.accounts_log"
	three := "instance, account_id, argMaxIf(tuple(l.login), l.version, NOT has(l.not_asked, 'login')).1 AS login, argMaxIf(tuple(l.is_admin), l.version, NOT has(l.not_asked, 'is_admin')).1 AS is_admin, argMaxIf(tuple(l.last_login_at), l.version, NOT has(l.not_asked, 'last_login_at')).1 AS last_login_at"
	defs := map[string]string{
		"v1": "SELECT "+three+" FROM weir.accounts_log AS l GROUP BY "+keys+" HAVING argMax(l.change, l.version) <> 'removed'",
		"v2": "SELECT "+three+" FROM weir.accounts_log AS l GROUP BY "+keys+" HAVING argMax(l.change, l.version) <> 'removed' SETTINGS optimize_aggregation_in_order = 1",
		"v3": "SELECT "+keys+", version, "+strings.Join(plain, ", ")+" FROM (SELECT * FROM weir.accounts_log ORDER BY instance DESC, account_id DESC, version DESC LIMIT 1 BY instance, account_id) WHERE change <> 'removed'",
		"v6": "SELECT "+keys+", version, "+strings.Join(plain, ", ")+" FROM "+log+" WHERE change <> 'removed' AND (version, sipHash64(instance, account_id)) IN (SELECT max(version), sipHash64(instance, account_id) FROM "+log+" GROUP BY instance, account_id)",
		"v7": "SELECT "+keys+", version, "+strings.Join(plain, ", ")+" FROM "+log+" WHERE change <> 'removed' AND (version, sipHash64(instance, account_id)) IN (SELECT max(version), sipHash64(instance, account_id) FROM "+log+" GROUP BY instance, account_id SETTINGS optimize_aggregation_in_order = 1)",
		"v8": "SELECT "+keys+", version, "+strings.Join(plain, ", ")+" FROM "+log+" WHERE change <> 'removed' AND (version, sipHash64(instance, account_id)) IN (SELECT max(version), sipHash64(instance, account_id) AS h FROM "+log+" GROUP BY h)",
	}
	for _, v := range []string{"v8","v6","v7","v3","v1","v2"} {
		s.Query(t, "CREATE VIEW weir."+v+" AS "+defs[v])
		for _, q := range []string{"SELECT count() FROM weir."+v, "SELECT count(), sum(length(login)), sum(is_admin), max(last_login_at) FROM weir."+v, "SELECT count(), sum(length(login)) FROM weir.accounts_log", "SELECT * EXCEPT raw FROM weir."+v+" FORMAT Null", "SELECT login FROM weir."+v+" WHERE account_id = '00u00000000000000000123'", "SELECT login FROM weir."+v+" WHERE instance='acme' AND account_id = concat('00u', leftPad(toString(cityHash64(77)), 20, '0'))"} {
			at := time.Now()
			out := s.Query(t, q)
			os.Stderr.WriteString(time.Since(at).String()+" "+v+" "+q+"\n"); t.Logf("%s %-6.3fs %s -> %s", v, time.Since(at).Seconds(), q, out)
		}
		s.Query(t, "SYSTEM FLUSH LOGS")
	}
}
