package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

// A re-mapping makes these tables beside the live one, T, and swaps one in:
//
//	T_remap_<id>_src       the rows of the months in question as they were: the
//	                       live table's own parts, linked; later ones are added
//	T_remap_<id>_<month>   the same rows anew, of one month as it was
//	T_remap_<id>           what becomes the live table: all months made anew, and
//	                       the other months' parts, linked
//
// The first two are plain MergeTree: nothing in them is ever merged away, so
// that counts and sums prove them equal, row by row, to what they were made of.
// The swap is one EXCHANGE TABLES; until then the live table is not touched, and
// afterwards T_remap_<id> holds what it was, to be compared once more and dropped.
const (
	remapMark    = "_remap_"
	remapSrc     = "_src"
	remapComment = "weir remap "

	catchUps     = 8
	fewRows      = 20_000          // left to catch up with while the agent is held
	settleTime   = time.Minute     // for inserts that are still running
	swapTime     = 3 * time.Minute // the agent lets go by itself after some minutes
	remapChunk   = 48 << 20        // bytes of rows, as Arrow, of one insert
	remapTimeout = time.Hour       // of one statement
)

var (
	monthID  = regexp.MustCompile(`^\d{6}$`)
	besideRE = regexp.MustCompile(`^[0-9a-f]{8}(_src|_\d{6})?$`) // the rest of a name of ours
	engineRE = regexp.MustCompile(`^\w*MergeTree(\([^)]*\))?`)
)

// remap is one re-mapping at work.
type remap struct {
	s      *sink
	r      *sinks.Remap
	table  *schemas.Table // with delivered_at
	live   string         // names, without the database
	prefix string
	engine string // of the tables beside: plain, else as the live one's
}

var _ sinks.Remapper = (*sink)(nil)

// Remap implements sinks.Remapper.
func (s *sink) Remap(ctx context.Context, r *sinks.Remap) error {
	if r.Path != "" {
		return fault.New(fault.Permanent, "a ClickHouse sink swaps the rows in place: it takes no path")
	}
	m := &remap{s: s, r: r, table: r.Table.WithDelivered(), live: r.Table.ClickHouseName()}
	m.prefix = m.live + remapMark + r.ID
	if err := m.check(ctx); err != nil {
		return err
	}
	if r.DryRun {
		months, err := m.months(ctx, m.live)
		if err != nil {
			return err
		}
		for _, p := range months {
			if err := m.stream(ctx, m.selectRows(m.live, p), false, nil); err != nil {
				return err
			}
		}
		return nil
	}
	if err := m.tidy(ctx); err != nil {
		return err
	}
	if err := m.fillAll(ctx); err != nil {
		return err
	}
	months, err := m.months(ctx, m.live)
	switch {
	case err != nil:
		return err
	case len(months) == 0:
		return m.drop(ctx, m.src()) // there are no such rows
	}
	return m.swap(ctx)
}

// check refuses a table that could not be swapped as a whole.
func (m *remap) check(ctx context.Context) error {
	name := m.s.table(m.live)
	rows, err := m.s.ask(ctx, "SELECT engine, engine_full, partition_key, (SELECT engine FROM system.databases WHERE name = %[1]s) FROM system.tables WHERE database = %[1]s AND name = %[2]s", m.db(), literal(m.live))
	if err != nil {
		return fmt.Errorf("looking at %s: %w", name, err)
	}
	if len(rows) == 0 {
		return fault.New(fault.Permanent, "%s is not there: nothing has been delivered to it", name)
	}
	engine, full, partition, database := rows[0][0], rows[0][1], rows[0][2], rows[0][3]
	switch {
	case !strings.HasSuffix(engine, "MergeTree"), strings.HasPrefix(engine, "Replicated"), strings.HasPrefix(engine, "Shared"):
		return fault.New(fault.Permanent, "%s has the engine %s: tables are swapped on one server only, so that replicated and shared ones cannot be re-mapped", name, engine)
	case database != "Atomic":
		return fault.New(fault.Permanent, "database %s has the engine %s, in which tables cannot be swapped in one step: only in Atomic, the default", m.s.cfg.Database, database)
	case partition != "toYYYYMM("+m.r.Table.DateColumn+")":
		return fault.New(fault.Permanent, "%s is partitioned by %s, not by toYYYYMM(%s) as Weir makes it", name, partition, m.r.Table.DateColumn)
	}
	m.engine = engineRE.ReplaceAllString(full, "MergeTree")
	columns, err := m.s.texts(ctx, "SELECT name FROM system.columns WHERE database = %s AND table = %s AND default_kind NOT IN ('MATERIALIZED', 'ALIAS')", m.db(), literal(m.live))
	if err != nil {
		return err
	}
	extra := slices.DeleteFunc(columns, func(c string) bool { return slices.Contains(m.columns(), c) })
	if len(extra) > 0 {
		return fault.New(fault.Permanent, "%s has columns that are not Weir's, whose values would be lost: %s", name, strings.Join(extra, ", "))
	}
	return nil
}

// db is the database's name as a text of SQL.
func (m *remap) db() string { return literal(m.s.cfg.Database) }

func (m *remap) columns() (out []string) {
	for _, c := range m.table.Columns {
		out = append(out, c.Name)
	}
	return out
}

func (m *remap) src() string             { return m.prefix + remapSrc }
func (m *remap) made(p string) string    { return m.prefix + "_" + p }
func (m *remap) full(t string) string    { return m.s.table(t) }
func (m *remap) point(name string) error { return failpoint.Hit(name) }

// tidy finishes a swap that was made, and removes what a re-mapping of another
// ID, or of a table that has changed since, left behind.
func (m *remap) tidy(ctx context.Context) error {
	if err := m.finish(ctx); err != nil {
		return err
	}
	left, err := m.left(ctx, m.live+remapMark)
	if err != nil {
		return err
	}
	keep, err := m.resumable(ctx)
	if err != nil {
		return err
	}
	for _, name := range left {
		if mine := strings.HasPrefix(name, m.prefix+"_"); mine && keep {
			continue
		}
		m.r.Log("removing %s, which an earlier re-mapping left", name)
		if err := m.drop(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// left are the tables of re-mappings whose names begin so, and no others.
func (m *remap) left(ctx context.Context, prefix string) ([]string, error) {
	names, err := m.s.texts(ctx, "SELECT name FROM system.tables WHERE database = %s AND startsWith(name, %s) ORDER BY name", m.db(), literal(prefix))
	return slices.DeleteFunc(names, func(n string) bool {
		rest, ok := strings.CutPrefix(n, m.live+remapMark)
		return !ok || !besideRE.MatchString(rest)
	}), err
}

// resumable says whether what this re-mapping has made so far can be gone on
// with: the live table has got rows since, and nothing else has happened to it.
func (m *remap) resumable(ctx context.Context) (bool, error) {
	columns := func(table string) string {
		return fmt.Sprintf("(SELECT groupArray((name, type)) FROM (SELECT name, type FROM system.columns WHERE database = %s AND table = %s ORDER BY position))", m.db(), literal(table))
	}
	same, err := m.s.number(ctx, "SELECT %s = %s", columns(m.live), columns(m.src()))
	if err != nil || same == 0 {
		return false, err
	}
	changed, err := m.changed(ctx)
	return changed == "" && err == nil, err
}

// began is when the re-mapping was begun, by the server's clock.
func (m *remap) began() string {
	return fmt.Sprintf("(SELECT metadata_modification_time FROM system.tables WHERE database = %s AND name = %s)", m.db(), literal(m.src()))
}

// changed says what others have done to the live table's rows since the
// re-mapping began: the swap would undo it. "": nothing.
func (m *remap) changed(ctx context.Context) (string, error) {
	mutations, err := m.s.number(ctx, "SELECT count() FROM system.mutations WHERE database = %s AND table = %s AND create_time >= %s", m.db(), literal(m.live), m.began())
	if err != nil {
		return "", err
	}
	if mutations > 0 {
		return "rows were changed or deleted (ALTER UPDATE, DELETE)", nil
	}
	gone, err := m.s.texts(ctx, "SELECT DISTINCT _partition_id FROM %s WHERE _partition_id NOT IN (SELECT DISTINCT _partition_id FROM %s)", m.full(m.src()), m.full(m.live))
	if err != nil || len(gone) == 0 {
		return "", err
	}
	return "the months " + strings.Join(gone, ", ") + " were removed", nil
}

// months are the partitions of a table that the span touches.
func (m *remap) months(ctx context.Context, table string) ([]string, error) {
	out, err := m.s.texts(ctx, "SELECT DISTINCT _partition_id FROM %[1]s WHERE %[2]s >= fromUnixTimestamp64Milli(%[3]d, 'UTC') AND %[2]s < fromUnixTimestamp64Milli(%[4]d, 'UTC') ORDER BY 1",
		m.full(table), schemas.QuoteClickHouse(m.r.Table.DateColumn), int64(m.r.From), int64(m.r.To))
	for _, p := range out {
		if !monthID.MatchString(p) {
			return nil, fault.New(fault.Permanent, "%s has the partition %q, which is no month", m.full(table), p)
		}
	}
	return out, err
}

// fillAll makes all rows of the span anew, catching up with those that arrive
// meanwhile until few are left.
func (m *remap) fillAll(ctx context.Context) error {
	if err := m.make(ctx, m.src(), m.engine); err != nil {
		return err
	}
	for i := range catchUps {
		added, err := m.catchUp(ctx)
		if err != nil {
			return err
		}
		if i > 0 && added <= fewRows {
			return nil
		}
	}
	return fault.New(fault.Transient, "rows arrive faster than they can be made anew: %d times more came meanwhile. What was made is kept; call again when there is less to deliver", catchUps)
}

// catchUp brings what the live table has and the copies do not into them.
func (m *remap) catchUp(ctx context.Context) (added int64, err error) {
	months, err := m.months(ctx, m.live)
	if err != nil {
		return 0, err
	}
	for _, p := range months {
		n, err := m.copyMonth(ctx, p)
		if err != nil {
			return 0, fmt.Errorf("copying month %s: %w", p, err)
		}
		if err := m.fillMonth(ctx, p); err != nil {
			return 0, fmt.Errorf("making month %s anew: %w", p, err)
		}
		added += n
	}
	return added, nil
}

// copyMonth links a month's parts into src, or adds the rows that came since.
func (m *remap) copyMonth(ctx context.Context, p string) (added int64, err error) {
	have, err := m.count(ctx, m.src(), p)
	if err != nil {
		return 0, err
	}
	if have == 0 {
		if err := m.point(failpoint.RemapCopy); err != nil {
			return 0, err
		}
		if err := m.exec(ctx, fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION ID '%s' FROM %s", m.full(m.src()), p, m.full(m.live))); err != nil {
			return 0, err
		}
		return m.count(ctx, m.src(), p)
	}
	names := quoteAll(m.columns())
	err = m.exec(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s WHERE %s", m.full(m.src()), names, names, m.full(m.live), m.absent(m.live, m.src(), p)))
	if err != nil {
		return 0, err
	}
	now, err := m.count(ctx, m.src(), p)
	return now - have, err
}

// absent is the condition of rows of a month in one table that another has not.
// Batches of which as many rows are there are not looked into.
func (m *remap) absent(from, in, p string) string {
	short := fmt.Sprintf("SELECT batch_id FROM (SELECT batch_id, count() AS f FROM %s WHERE _partition_id = '%s' GROUP BY batch_id) AS a LEFT JOIN (SELECT batch_id, count() AS i FROM %s%s GROUP BY batch_id) AS b USING batch_id WHERE f > i",
		m.full(from), p, m.full(in), m.only(in, p))
	return fmt.Sprintf("_partition_id = '%s' AND batch_id IN (%s) AND (batch_id, version) NOT IN (SELECT batch_id, version FROM %s WHERE batch_id IN (%s)%s)",
		p, short, m.full(in), short, strings.Replace(m.only(in, p), "WHERE", "AND", 1))
}

// only limits a table to a month; the tables of one month's rows anew hold them
// wherever they belong now.
func (m *remap) only(table, p string) string {
	if table == m.made(p) {
		return ""
	}
	return fmt.Sprintf(" WHERE _partition_id = '%s'", p)
}

// fillMonth makes a month's rows anew, those that are not yet, and proves that
// none is missing and none too much.
func (m *remap) fillMonth(ctx context.Context, p string) error {
	if err := m.make(ctx, m.made(p), m.engine); err != nil {
		return err
	}
	equal, err := m.equal(ctx, p)
	if err != nil || equal {
		return err
	}
	if err := m.fill(ctx, p); err != nil {
		return err
	}
	if equal, err = m.equal(ctx, p); err != nil || equal {
		return err
	}
	// A kill in an insert, or rows that are there twice: all anew.
	m.r.Log("month %s is made anew once more: it was not the same rows", p)
	if err := m.exec(ctx, "TRUNCATE TABLE "+m.full(m.made(p))); err != nil {
		return err
	}
	if err := m.stream(ctx, m.selectRows(m.src(), p), true, m.inserter(p)); err != nil {
		return err
	}
	if equal, err = m.equal(ctx, p); err != nil || equal {
		return err
	}
	return fault.New(fault.Permanent, "the rows made anew are not the rows that were there: count or sum of their keys differ. Nothing was changed")
}

func (m *remap) fill(ctx context.Context, p string) error {
	return m.stream(ctx, m.selectNames()+" FROM "+m.full(m.src())+" WHERE "+m.absent(m.src(), m.made(p), p)+m.order(), false, m.inserter(p))
}

// equal says whether a month's rows and those made of them are the same by
// envelope and key: their number, and sums of two hashes.
func (m *remap) equal(ctx context.Context, p string) (bool, error) {
	sums := func(table string) string {
		key := append([]string{"app", "instance", "tenant", "observed_at", "version", "batch_id", schemas.DeliveredAt}, m.r.Table.Key[1:]...)
		return fmt.Sprintf("SELECT count(), sum(cityHash64(%[1]s)), groupBitXor(sipHash64(%[1]s)) FROM %[2]s%[3]s", quoteAll(key), m.full(table), m.only(table, p))
	}
	same, err := m.s.number(ctx, "SELECT (%s) = (%s)", sums(m.src()), sums(m.made(p)))
	return same == 1, err
}

func (m *remap) count(ctx context.Context, table, p string) (int64, error) {
	return m.s.number(ctx, "SELECT count() FROM %s WHERE _partition_id = '%s'", m.full(table), p)
}

// make makes a table with the columns of the live one.
func (m *remap) make(ctx context.Context, name, engine string) error {
	if err := m.point(failpoint.RemapTable); err != nil {
		return err
	}
	return m.exec(ctx, fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s AS %s ENGINE = %s", m.full(name), m.full(m.live), engine))
}

func (m *remap) drop(ctx context.Context, name string) error {
	if err := m.point(failpoint.RemapDrop); err != nil {
		return err
	}
	return m.exec(ctx, "DROP TABLE IF EXISTS "+m.full(name)+" SYNC SETTINGS max_table_size_to_drop = 0")
}

// swap lets the new rows take the old ones' place, with the agent held.
func (m *remap) swap(ctx context.Context) (err error) {
	release, err := m.r.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	held, cancel := context.WithTimeout(ctx, swapTime)
	defer cancel()
	if err := m.exchange(held); err != nil {
		if ctx.Err() == nil && errors.Is(held.Err(), context.DeadlineExceeded) {
			return fault.New(fault.Transient, "swapping took longer than %s, for which the agent can be held; what was made is kept, call again: %w", swapTime, err)
		}
		return err
	}
	return m.finish(held)
}

func (m *remap) exchange(ctx context.Context) error {
	if err := m.settle(ctx); err != nil {
		return err
	}
	if _, err := m.catchUp(ctx); err != nil {
		return err
	}
	changed, err := m.changed(ctx)
	if err != nil {
		return err
	}
	if changed != "" {
		return fault.New(fault.Transient, "since the re-mapping began %s: it begins anew at the next call", changed)
	}
	if err := m.assemble(ctx); err != nil {
		return err
	}
	if err := m.point(failpoint.RemapSwap); err != nil {
		return err
	}
	m.r.Log("swapping")
	return m.exec(ctx, fmt.Sprintf("EXCHANGE TABLES %s AND %s", m.full(m.live), m.full(m.prefix)))
}

// settle waits until no insert of an agent is running on the server: one that
// was cut off may be.
func (m *remap) settle(ctx context.Context) error {
	deadline := m.s.env.Clock.Now().Add(settleTime)
	for {
		running, err := m.s.number(ctx, "SELECT count() FROM system.processes WHERE query_kind = 'Insert' AND startsWith(query_id, 'weir-')")
		if err != nil {
			return fmt.Errorf("looking for inserts still running: %w", err)
		}
		if running == 0 {
			return nil
		}
		if m.s.env.Clock.Now().After(deadline) {
			return fault.New(fault.Transient, "an insert has been running on the server for more than %s, though no agent waits for it; call again later", settleTime)
		}
		select {
		case <-m.s.env.Clock.After(200 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// assemble makes the table that is to be the live one: of linked parts.
func (m *remap) assemble(ctx context.Context) error {
	if err := m.drop(ctx, m.prefix); err != nil {
		return err
	}
	for _, statement := range []string{
		fmt.Sprintf("CREATE TABLE %s AS %s", m.full(m.prefix), m.full(m.live)),
		fmt.Sprintf("ALTER TABLE %s MODIFY COMMENT %s", m.full(m.prefix), literal(remapComment+m.r.ID)),
	} {
		if err := m.exec(ctx, statement); err != nil {
			return err
		}
	}
	mine, err := m.s.texts(ctx, "SELECT DISTINCT _partition_id FROM %s ORDER BY 1", m.full(m.src()))
	if err != nil {
		return err
	}
	var want int64
	attach := func(from, p string) error {
		if err := m.point(failpoint.RemapAttach); err != nil {
			return err
		}
		n, err := m.count(ctx, from, p)
		if err != nil {
			return err
		}
		want += n
		return m.exec(ctx, fmt.Sprintf("ALTER TABLE %s ATTACH PARTITION ID '%s' FROM %s", m.full(m.prefix), p, m.full(from)))
	}
	ours := map[string]bool{}
	for _, p := range mine {
		ours[p] = true
		to, err := m.s.texts(ctx, "SELECT DISTINCT _partition_id FROM %s ORDER BY 1", m.full(m.made(p)))
		if err != nil {
			return err
		}
		for _, q := range to {
			if err := attach(m.made(p), q); err != nil {
				return err
			}
		}
	}
	all, err := m.s.texts(ctx, "SELECT DISTINCT _partition_id FROM %s ORDER BY 1", m.full(m.live))
	if err != nil {
		return err
	}
	for _, p := range all {
		if !ours[p] {
			if err := attach(m.live, p); err != nil {
				return err
			}
		}
	}
	return m.complete(ctx, want)
}

// complete checks the assembled table's rows. A merge may already have dropped
// older versions of an event that now lie beside newer ones.
func (m *remap) complete(ctx context.Context, want int64) error {
	have, err := m.s.number(ctx, "SELECT count() FROM %s", m.full(m.prefix))
	if err != nil || have == want {
		return err
	}
	// Merges keep one row of each: no event may be missing.
	key := quoteAll(m.r.Table.Key)
	lost, err := m.s.number(ctx, "SELECT count() FROM %s WHERE (%s) NOT IN (SELECT %s FROM %s)", m.full(m.src()), key, key, m.full(m.prefix))
	if err != nil {
		return err
	}
	if have > want || lost > 0 {
		return fault.New(fault.Permanent, "the new table holds %d rows, not %d, and %d events are missing: nothing was swapped", have, want, lost)
	}
	return nil
}

// finish looks, after a swap, for rows that somebody has written to the old
// table at the last moment, brings them over, and removes what is left. Without
// a swap it does nothing.
func (m *remap) finish(ctx context.Context) error {
	comment, err := m.comment(ctx, m.live)
	if err != nil {
		return err
	}
	id, swapped := strings.CutPrefix(comment, remapComment)
	if !swapped {
		return nil
	}
	done := *m
	done.prefix = m.live + remapMark + id
	return done.cleanUp(ctx)
}

func (m *remap) comment(ctx context.Context, table string) (string, error) {
	c, err := m.s.texts(ctx, "SELECT comment FROM system.tables WHERE database = %s AND name = %s", m.db(), literal(table))
	return strings.Join(c, ""), err
}

func (m *remap) cleanUp(ctx context.Context) error {
	tables, err := m.left(ctx, m.prefix)
	if err != nil {
		return err
	}
	old := slices.Contains(tables, m.prefix)
	if old && slices.Contains(tables, m.src()) {
		if err := m.stragglers(ctx); err != nil {
			return err
		}
	}
	comment := ""
	if old {
		if comment, err = m.comment(ctx, m.prefix); err != nil {
			return err
		}
	}
	// The old rows go last: while they are there, nothing is beyond repair.
	for _, name := range tables {
		if name != m.prefix {
			if err := m.drop(ctx, name); err != nil {
				return err
			}
		}
	}
	if err := m.point(failpoint.RemapDone); err != nil {
		return err
	}
	if err := m.exec(ctx, fmt.Sprintf("ALTER TABLE %s MODIFY COMMENT %s", m.full(m.live), literal(comment))); err != nil {
		return err
	}
	return m.drop(ctx, m.prefix)
}

// stragglers brings over rows that the old table has got since the re-mapping
// began and the new one lacks: of a writer that nobody could hold. A row that
// the new one has in a newer version is not lacking.
func (m *remap) stragglers(ctx context.Context) error {
	since := fmt.Sprintf("%s >= %s - INTERVAL 1 HOUR", schemas.DeliveredAt, m.began())
	names, key := quoteAll(m.columns()), quoteAll(m.r.Table.Key)
	from := fmt.Sprintf("FROM %[1]s AS o LEFT JOIN (SELECT %[2]s, max(version) AS weir_newest FROM %[3]s WHERE %[4]s GROUP BY %[2]s) AS n USING (%[2]s) "+
		"WHERE %[4]s AND (batch_id, version) NOT IN (SELECT batch_id, version FROM %[3]s WHERE %[4]s) AND version > weir_newest", m.full(m.prefix), key, m.full(m.live), since)
	n, err := m.s.number(ctx, "SELECT count() %s", from)
	if err != nil || n == 0 {
		return err
	}
	m.r.Log("%d rows were written to the old table at the last moment: they are brought over as they are", n)
	return m.exec(ctx, fmt.Sprintf("INSERT INTO %s (%s) SELECT %s %s", m.full(m.live), names, names, from))
}
