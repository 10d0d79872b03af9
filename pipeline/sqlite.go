package pipeline

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"weir/internal/durable"
	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/sources"
)

//go:embed sqlite_schema.sql
var sqliteSchema string

//go:embed sqlite_refuse.sql
var refuseSchema string

// stateFormat numbers the layout of the state. An older Weir refuses a newer
// state.
const stateFormat = 2

// StateFile is the name of the state within the data directory.
const StateFile = "state.db"

type sqliteState struct {
	write *sql.DB // one connection
	read  *sql.DB
	id    string
	gen   int64

	lookupOnce sync.Once
	lookup     *sql.Stmt // of baselines
	lookupErr  error
}

var _ State = (*sqliteState)(nil)

// OpenState opens the state in dir, making it when it is not there, and starts
// a new generation. The caller holds the data directory's lock.
func OpenState(ctx context.Context, dir string) (State, error) {
	file := filepath.Join(dir, StateFile)
	journal, err := os.Stat(file + "-wal")
	unclosed := err == nil && journal.Size() > 0
	s, err := openSQLite(file, "rwc")
	if err != nil {
		return nil, err
	}
	if unclosed {
		err = checkUnclosed(ctx, s.write, file)
	}
	if err == nil {
		err = s.init(ctx, file)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// ReadState opens the state in dir for reading, also while an agent runs.
func ReadState(ctx context.Context, dir string) (State, error) {
	file := filepath.Join(dir, StateFile)
	if _, err := os.Stat(file); err != nil {
		return nil, fmt.Errorf("no state in %s: has `weir run` been started with this data_dir? %w", dir, err)
	}
	s, err := openSQLite(file, "ro")
	if err != nil {
		return nil, err
	}
	if err := s.load(ctx, file); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// journalLimit bounds what the journal keeps of the disk between checkpoints.
const journalLimit = "journal_size_limit(33554432)"

func openSQLite(file, mode string) (*sqliteState, error) {
	q := url.Values{"mode": {mode}, "_txlock": {"immediate"}, "_pragma": {
		"busy_timeout(10000)", "auto_vacuum(INCREMENTAL)", "journal_mode(WAL)", journalLimit, "synchronous(FULL)", "foreign_keys(OFF)", "cache_size(-8000)",
	}}
	if mode == "ro" {
		q["_pragma"] = []string{"busy_timeout(10000)", "query_only(1)"}
	} else if err := touch(file); err != nil {
		return nil, err
	}
	dsn := "file:" + (&url.URL{Path: file}).EscapedPath() + "?" + q.Encode()
	s := &sqliteState{}
	var err error
	if s.write, err = sql.Open("sqlite", dsn); err != nil {
		return nil, fmt.Errorf("opening state %s: %w", file, err)
	}
	s.write.SetMaxOpenConns(1)
	if s.read, err = sql.Open("sqlite", strings.Replace(dsn, "cache_size%28-8000%29", "cache_size%28-2000%29", 1)); err != nil {
		return nil, errors.Join(fmt.Errorf("opening state %s: %w", file, err), s.write.Close())
	}
	s.read.SetMaxOpenConns(4)
	return s, nil
}

// checkTime bounds the look at a state that was not closed.
const checkTime = 10 * time.Second

// checkUnclosed looks for damage in a state whose last agent did not end well: its
// journal is still there. A look that takes too long is given up: damage is
// found when it is met.
func checkUnclosed(ctx context.Context, db *sql.DB, file string) error {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	var found string
	err := db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&found)
	switch {
	case ctx.Err() != nil:
		return nil //nolint:nilerr // given up
	case err != nil:
		return damaged(file, err)
	case found != "ok":
		return fault.New(fault.Permanent, "state %s is damaged: %s; "+putBack, file, found)
	}
	return nil
}

// spoolHolds reports whether there are segments in a data directory's spool.
func spoolHolds(dir string) bool {
	found, err := filepath.Glob(filepath.Join(dir, spoolDir, "*"+segmentSuffix))
	return err == nil && len(found) > 0
}

// touch makes the file with mode 0600 before SQLite would make it 0644.
func touch(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if errors.Is(err, os.ErrPermission) || errors.Is(err, unix.EROFS) {
		return fault.New(fault.Permanent, "state %s cannot be written by this user: %w; nothing is damaged: give it, and the directory, back to Weir's user, and see that the volume is not mounted read-only", file, err)
	}
	if err != nil {
		return fmt.Errorf("opening state: %w", err)
	}
	return f.Close()
}

func (s *sqliteState) init(ctx context.Context, file string) error {
	var format, tables int
	if err := s.write.QueryRowContext(ctx, "PRAGMA user_version").Scan(&format); err != nil {
		return damaged(file, err)
	}
	if err := s.write.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_master").Scan(&tables); err != nil {
		return damaged(file, err)
	}
	switch {
	case format == 0 && tables == 0 && spoolHolds(filepath.Dir(file)):
		return fault.New(fault.Permanent, "state %s is missing or empty, and the spool beside it holds rows not delivered yet: "+putBack, file)
	case format > stateFormat:
		return newer(file, format)
	case format > 0 && format < stateFormat:
		if err := s.keepCopy(ctx, file, format); err != nil {
			return err
		}
	}
	if format == stateFormat {
		// This format has been opened before: what it was raised from is not needed.
		copies, err := filepath.Glob(file + ".format*")
		for _, name := range copies {
			err = errors.Join(err, os.Remove(name))
		}
		if err != nil {
			return fmt.Errorf("removing copies of the state in older formats: %w", err)
		}
	}
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return damaged(file, err)
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, sqliteSchema+refuseSchema+ownWriteSchema); err != nil {
		return damaged(file, err)
	}
	if _, err := tx.ExecContext(ctx, "PRAGMA user_version = "+strconv.Itoa(stateFormat)); err != nil {
		return damaged(file, err)
	}
	id, err := uuid.NewRandomFromReader(rand.Reader)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, `INSERT OR IGNORE INTO meta VALUES ('state_id', ?), ('generation', '0')`, id.String()); err != nil {
		return damaged(file, err)
	}
	if _, err := tx.ExecContext(ctx, `UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'generation'`); err != nil {
		return damaged(file, err)
	}
	if err := failpoint.Hit(failpoint.StateOpen); err != nil {
		return damaged(file, err)
	}
	if err := tx.Commit(); err != nil {
		return damaged(file, err)
	}
	return s.load(ctx, file)
}

// keepCopy copies the state beside itself before its format is raised: an older
// Weir can go on with the copy.
func (s *sqliteState) keepCopy(ctx context.Context, file string, format int) error {
	final := fmt.Sprintf("%s.format%d", file, format)
	tmp := final + tmpSuffix
	err := os.Remove(tmp)
	if err == nil || errors.Is(err, os.ErrNotExist) {
		_, err = s.write.ExecContext(ctx, `VACUUM INTO ?`, tmp)
	}
	if err == nil {
		err = syncFile(tmp)
	}
	if err == nil {
		err = durable.Rename(tmp, final, failpoint.StateCopy)
	}
	if err != nil {
		return fmt.Errorf("copying state %s before its format is raised to %d: %w", file, stateFormat, err)
	}
	return nil
}

func syncFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Chmod(0o600), f.Sync(), f.Close())
}

func (s *sqliteState) load(ctx context.Context, file string) error {
	var format int
	if err := s.read.QueryRowContext(ctx, "PRAGMA user_version").Scan(&format); err != nil {
		return damaged(file, err)
	}
	if format > stateFormat {
		return newer(file, format)
	}
	var gen string
	err := s.read.QueryRowContext(ctx, `SELECT (SELECT value FROM meta WHERE key = 'state_id'), (SELECT value FROM meta WHERE key = 'generation')`).Scan(&s.id, &gen)
	if err != nil {
		return damaged(file, err)
	}
	if s.gen, err = strconv.ParseInt(gen, 10, 64); err != nil {
		return damaged(file, err)
	}
	return nil
}

// damaged words an error of SQLite's for a person: what it is, and what to do.
func damaged(file string, err error) error {
	var se *sqlite.Error
	if !errors.As(err, &se) {
		return fmt.Errorf("opening state %s: %w", file, err)
	}
	switch se.Code() & 0xff {
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR:
		return fault.New(fault.Permanent, "state %s is damaged: %w; "+putBack, file, err)
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		return fault.New(fault.Permanent, "state %s, or its journal %s-wal, cannot be written by this user: %w; nothing is damaged: give both, and the directory, back to Weir's user, and see that the volume is not mounted read-only", file, filepath.Base(file), err)
	case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR:
		return fault.New(fault.Transient, "state %s: the disk is full, or does not answer: %w; nothing is lost: make room, or mend the disk, and start again", file, err)
	}
	return fmt.Errorf("opening state %s: %w", file, err)
}

// putBack is what to do when a state is lost.
const putBack = "put back the newest copy (`weir state import`) or, if there is none, move data_dir away and begin anew; either way run `weir state reconcile` then, which asks the sinks for what is forgotten. " +
	"Only what was collected and not delivered is to be collected again"

func newer(file string, format int) error {
	return fault.New(fault.Permanent, "state %s has format %d, this Weir knows %d: run the newer version that wrote it", file, format, stateFormat)
}

func (s *sqliteState) ID() string        { return s.id }
func (s *sqliteState) Generation() int64 { return s.gen }

func (s *sqliteState) Close() error {
	var err error
	if s.lookup != nil {
		err = s.lookup.Close()
	}
	return errors.Join(err, s.write.Close(), s.read.Close())
}

// errUnclear marks a commit whose outcome SQLite could not tell.
var errUnclear = errors.New("the state's commit failed")

func (s *sqliteState) Update(ctx context.Context, fn func(Tx) error) error {
	tx, err := s.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if err := fn(&sqliteTx{ctx, tx}); err != nil {
		return errors.Join(fmt.Errorf("state: %w", err), tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		_ = tx.Rollback()
		var se *sqlite.Error
		if errors.As(err, &se) {
			switch se.Code() & 0xff {
			case sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_NOMEM:
				return fmt.Errorf("state: %w", err) // nothing was committed
			}
		}
		return fmt.Errorf("%w: %w", errUnclear, err)
	}
	return nil
}

func (s *sqliteState) Meta(ctx context.Context, key string) (string, error) {
	var v string
	err := s.read.QueryRowContext(ctx, `SELECT value FROM meta WHERE key = ?`, key).Scan(&v)
	return v, ignoreNoRows(err)
}

func (s *sqliteState) Instances(ctx context.Context) ([]string, error) {
	return query(ctx, s.read, scanOne[string], `SELECT instance FROM listings UNION SELECT instance FROM lanes UNION SELECT instance FROM scans
		UNION SELECT instance FROM scan_lanes UNION SELECT instance FROM scopes UNION SELECT instance FROM seen UNION SELECT instance FROM seen_floor UNION SELECT instance FROM past
		UNION SELECT substr(key, length(?1) + 1) FROM meta WHERE substr(key, 1, length(?1)) = ?1 ORDER BY 1`, metaTenant)
}

func (s *sqliteState) Listing(ctx context.Context, id StreamID) (sources.Cursor, error) {
	var c string
	err := s.read.QueryRowContext(ctx, `SELECT cursor FROM listings WHERE instance = ? AND stream = ?`, id.Instance, id.Stream).Scan(&c)
	return sources.Cursor(c), ignoreNoRows(err)
}

const laneColumns = `instance, stream, lane, hint, once, cursor, status, due, fails, class, error`

func scanLane(r *sql.Rows) (l LaneState, err error) {
	var due int64
	err = r.Scan(&l.Instance, &l.Stream, &l.Lane.ID, &l.Lane.Hint, &l.Lane.Once, &l.Cursor, &l.Status, &due, &l.Fails, &l.Class, &l.Error)
	l.Due = time.UnixMilli(due).UTC()
	return l, err
}

func (s *sqliteState) DueLanes(ctx context.Context, id StreamID, now, far time.Time, limit int) ([]LaneState, error) {
	return query(ctx, s.read, scanLane, `SELECT * FROM (SELECT `+laneColumns+` FROM lanes WHERE instance = ?1 AND stream = ?2 AND status = 0 AND due <= ?3 ORDER BY due LIMIT ?5)
		UNION ALL SELECT * FROM (SELECT `+laneColumns+` FROM lanes WHERE instance = ?1 AND stream = ?2 AND status = 0 AND due > max(?3, ?4) ORDER BY due LIMIT ?5)`,
		id.Instance, id.Stream, now.UnixMilli(), far.UnixMilli(), limit)
}

func (s *sqliteState) LanesAfter(ctx context.Context, id StreamID, after string, limit int) ([]sources.Lane, error) {
	return query(ctx, s.read, func(r *sql.Rows) (l sources.Lane, err error) {
		err = r.Scan(&l.ID, &l.Hint, &l.Once)
		return l, err
	}, `SELECT * FROM (SELECT lane, hint, once FROM lanes WHERE instance = ?1 AND stream = ?2 AND lane >= ?3 AND (lane > ?3 OR ?3 = '') AND status = 0 ORDER BY lane LIMIT ?4)
		UNION ALL SELECT * FROM (SELECT lane, hint, 0 FROM scan_lanes WHERE instance = ?1 AND stream = ?2 AND lane >= ?3 AND (lane > ?3 OR ?3 = '') ORDER BY lane LIMIT ?4)`,
		id.Instance, id.Stream, after, limit)
}

func (s *sqliteState) LaneErrors(ctx context.Context, limit int) ([]LaneState, error) {
	return query(ctx, s.read, scanLane, `SELECT `+laneColumns+` FROM lanes WHERE status = 2 OR (status = 0 AND (fails > 0 OR class = 'not_licensed'))
		UNION ALL SELECT instance, stream, lane, hint, 0, cursor, 0, due, fails, class, error FROM scan_lanes WHERE fails > 0 ORDER BY 7 DESC, 9 DESC LIMIT ?`, limit)
}

func (s *sqliteState) LaneCounts(ctx context.Context, id StreamID) (c LaneCounts, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT
		(SELECT count(*) FROM lanes WHERE instance = ?1 AND stream = ?2 AND status = 0) + (SELECT count(*) FROM scan_lanes WHERE instance = ?1 AND stream = ?2 AND done <> listed),
		(SELECT count(*) FROM lanes WHERE instance = ?1 AND stream = ?2 AND status = 1) + (SELECT count(*) FROM scan_lanes WHERE instance = ?1 AND stream = ?2 AND done = listed),
		(SELECT count(*) FROM lanes WHERE instance = ?1 AND stream = ?2 AND status = 2),
		(SELECT count(*) FROM lanes WHERE instance = ?1 AND stream = ?2 AND status = 0 AND fails > 0) + (SELECT count(*) FROM scan_lanes WHERE instance = ?1 AND stream = ?2 AND fails > 0)`,
		id.Instance, id.Stream).Scan(&c.Open, &c.Done, &c.Parked, &c.Failing)
	return c, err
}

func (s *sqliteState) SeenHour(ctx context.Context, id StreamID, hour int64) ([][]byte, error) {
	return query(ctx, s.read, scanOne[[]byte], `SELECT entries FROM seen WHERE instance = ? AND stream = ? AND hour = ? ORDER BY n`, id.Instance, id.Stream, hour)
}

func (s *sqliteState) SeenFloor(ctx context.Context, id StreamID) (hour int64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT hour FROM seen_floor WHERE instance = ? AND stream = ?`, id.Instance, id.Stream).Scan(&hour)
	return hour, ignoreNoRows(err)
}

func (s *sqliteState) SeenStale(ctx context.Context, id StreamID, before time.Time) ([]int64, error) {
	return query(ctx, s.read, scanOne[int64], `SELECT hour FROM seen WHERE instance = ? AND stream = ? GROUP BY hour HAVING max(added) < ?`, id.Instance, id.Stream, before.UnixMilli())
}

func (s *sqliteState) SeenFragmented(ctx context.Context, id StreamID, segments int) ([]int64, error) {
	return query(ctx, s.read, scanOne[int64], `SELECT hour FROM seen WHERE instance = ? AND stream = ? GROUP BY hour HAVING count(*) > ?`, id.Instance, id.Stream, segments)
}

func (s *sqliteState) Sinks(ctx context.Context) ([]SinkState, error) {
	return query(ctx, s.read, func(r *sql.Rows) (v SinkState, err error) {
		err = r.Scan(&v.Name, &v.SinkID)
		return v, err
	}, `SELECT name, sink_id FROM sinks ORDER BY name`)
}

const batchColumns = `b.seq, b.id, b.segment, b.offset, b.head_len, b.body_len, b.crc, b.tbl, b.app, b.instance, b.schema_version, b.rows, b.plain, b.min_time, b.max_time, b.late, b.created`

func scanBatch(r *sql.Rows, more ...any) (b Batch, err error) {
	var created int64
	err = r.Scan(append([]any{&b.Seq, &b.ID, &b.Segment, &b.Offset, &b.HeadLen, &b.BodyLen, &b.CRC, &b.Table, &b.App, &b.Instance, &b.SchemaVersion, &b.Rows, &b.Plain, &b.MinTime, &b.MaxTime, &b.Late, &created}, more...)...)
	b.Created = time.UnixMilli(created).UTC()
	return b, err
}

func (s *sqliteState) Pending(ctx context.Context, q Queue, limit int) ([]Batch, error) {
	return query(ctx, s.read, func(r *sql.Rows) (Batch, error) { return scanBatch(r) }, `SELECT `+batchColumns+` FROM deliveries d JOIN batches b ON b.seq = d.seq
		WHERE d.sink = ? AND d.tbl = ? AND d.late = ? AND d.part = '' ORDER BY d.seq LIMIT ?`, q.Sink, q.Table, q.Late, limit)
}

func (s *sqliteState) PartBatches(ctx context.Context, part string) ([]Batch, error) {
	return query(ctx, s.read, scanCut, `SELECT `+batchColumns+cutColumns+` FROM deliveries d JOIN batches b ON b.seq = d.seq LEFT JOIN slices c ON c.seq = b.seq WHERE d.part = ? ORDER BY d.seq`, part)
}

func (s *sqliteState) PendingTotals(ctx context.Context) (map[Queue]Totals, error) {
	out := map[Queue]Totals{}
	_, err := query(ctx, s.read, func(r *sql.Rows) (struct{}, error) {
		var q Queue
		var t Totals
		var oldest int64
		err := r.Scan(&q.Sink, &q.Table, &q.Late, &t.Batches, &t.Rows, &t.Plain, &oldest)
		t.Oldest = time.UnixMilli(oldest).UTC()
		out[q] = t
		return struct{}{}, err
	}, `SELECT d.sink, d.tbl, d.late, count(*), sum(b.rows), sum(b.plain), min(b.created)
		FROM deliveries d JOIN batches b ON b.seq = d.seq WHERE d.part = '' GROUP BY 1, 2, 3`)
	return out, err
}

func (s *sqliteState) OpenParts(ctx context.Context, sink, table string) ([]PartState, error) {
	return query(ctx, s.read, func(r *sql.Rows) (p PartState, err error) {
		var created int64
		err = r.Scan(&p.ID, &p.Previous, &p.Sink, &p.Table, &p.N, &p.SchemaVersion, &p.Rows, &p.Bytes, &p.MinTime, &p.MaxTime, &created)
		p.Created = time.UnixMilli(created).UTC()
		return p, err
	}, `SELECT id, previous, sink, tbl, n, schema_version, rows, bytes, min_time, max_time, created FROM parts
		WHERE sink = ?1 AND (?2 = '' OR tbl = ?2) AND delivered = 0 ORDER BY n`, sink, table)
}

func (s *sqliteState) LastPart(ctx context.Context, sink, table string) (id string, n int64, err error) {
	err = s.read.QueryRowContext(ctx, `SELECT `+partOrBefore+`, n FROM parts WHERE sink = ?2 AND tbl = ?3 ORDER BY n DESC LIMIT 1`, asideMark, sink, table).Scan(&id, &n)
	return id, n, ignoreNoRows(err)
}

func (s *sqliteState) Segments(ctx context.Context) (map[string]int64, error) {
	out := map[string]int64{}
	_, err := query(ctx, s.read, func(r *sql.Rows) (struct{}, error) {
		var name string
		var n int64
		err := r.Scan(&name, &n)
		out[name] = n
		return struct{}{}, err
	}, `SELECT name, bytes FROM segments`)
	return out, err
}

func scanOne[T any](r *sql.Rows) (v T, err error) {
	err = r.Scan(&v)
	return v, err
}

// querier is a database, or a transaction.
type querier interface {
	QueryContext(ctx context.Context, q string, args ...any) (*sql.Rows, error)
}

func query[T any](ctx context.Context, db querier, scan func(*sql.Rows) (T, error), q string, args ...any) ([]T, error) {
	rows, err := db.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	defer rows.Close()
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
		out = append(out, v)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	return out, nil
}

func ignoreNoRows(err error) error {
	if err == nil || errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return fmt.Errorf("state: %w", err)
}
