package clickhouse

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

// Stage implements sinks.Sink. There is nothing to prepare: the spool holds the
// body.
func (s *sink) Stage(_ context.Context, p *sinks.Part) (sinks.Staged, error) {
	return &staged{s, p}, nil
}

type staged struct {
	s *sink
	p *sinks.Part
}

// Discard implements sinks.Staged.
func (st *staged) Discard() error { return nil }

// Commit implements sinks.Staged. What is not known is looked up: after a start,
// an error or an unclear answer the rows there are counted first, and nothing is
// inserted while an earlier attempt may still be running.
func (st *staged) Commit(ctx context.Context) (sinks.Receipt, error) {
	r, err := st.commit(ctx)
	return r, st.s.sure(ctx, st.p, err)
}

func (st *staged) commit(ctx context.Context) (sinks.Receipt, error) {
	s, p := st.s, st.p
	if len(p.Batches) == 0 {
		return sinks.Receipt{Repeat: true}, nil // all of it was lost with the spool
	}
	doubted := s.doubted(p.Table.Name)
	s.setDoubt(p.Table.Name, true) // until this part is there for certain
	r := sinks.Receipt{}
	if doubted {
		if err := s.endEarlier(ctx, p); err != nil {
			return r, st.wrap(err)
		}
		short, err := s.missing(ctx, p)
		if err != nil {
			return r, st.wrap(err)
		}
		switch {
		case len(short) == 0:
			s.setDoubt(p.Table.Name, false)
			r.Repeat = true
			return r, nil
		case len(short) < len(p.Batches) || short[0].have > 0:
			r.Bytes, err = s.repair(ctx, p, short)
			if err == nil {
				s.setDoubt(p.Table.Name, false)
			}
			return r, st.wrap(err)
		}
	}
	n, err := s.insert(ctx, p)
	r.Bytes = n
	if err != nil {
		return r, st.wrap(err)
	}
	short, err := s.missing(ctx, p)
	if err == nil && len(short) > 0 {
		n, err = s.repair(ctx, p, short)
		r.Bytes += n
	}
	if err == nil {
		s.setDoubt(p.Table.Name, false)
	}
	return r, st.wrap(err)
}

func (st *staged) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("part %s of %s: %w", st.p.ID, st.p.Table.ClickHouseName(), err)
}

func (s *sink) doubted(table string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.doubt[table]
}

func (s *sink) setDoubt(table string, v bool) {
	s.mu.Lock()
	s.doubt[table] = v
	s.mu.Unlock()
}

// endEarlier ends inserts of this part that the server may still be at.
func (s *sink) endEarlier(ctx context.Context, p *sinks.Part) error {
	db, err := s.db()
	if err != nil {
		return err
	}
	where := " WHERE startsWith(query_id, '" + queryID(p) + "')"
	_ = s.exec(ctx, "KILL QUERY"+where+" SYNC") // whether it helped is seen next
	var running uint64
	if err := db.QueryRow(ctx, "SELECT count() FROM system.processes"+where).Scan(&running); err != nil {
		return fmt.Errorf("looking for an insert still running: %w", err)
	}
	if running > 0 {
		return fault.New(fault.Transient, "an earlier insert of it is still running")
	}
	return nil
}

func queryID(p *sinks.Part) string { return "weir-" + p.ID }

// shortBatch is a batch of which rows are missing.
type shortBatch struct {
	batch *sinks.Batch
	have  int64
}

// missing counts the part's rows by batch. A surplus is an error: somebody else
// writes this table.
func (s *sink) missing(ctx context.Context, p *sinks.Part) (short []shortBatch, err error) {
	if err := failpoint.Hit(failpoint.PartCount); err != nil {
		return nil, err
	}
	db, err := s.db()
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(p.Batches))
	for i, b := range p.Batches {
		ids[i] = "'" + b.ID + "'"
	}
	rows, err := db.Query(ctx, fmt.Sprintf("SELECT batch_id, count() FROM %s WHERE %s BETWEEN fromUnixTimestamp64Milli(%d, 'UTC') AND fromUnixTimestamp64Milli(%d, 'UTC') AND batch_id IN (%s) GROUP BY batch_id",
		s.table(p.Table.ClickHouseName()), schemas.QuoteClickHouse(p.Table.DateColumn), int64(p.MinTime), int64(p.MaxTime), strings.Join(ids, ",")))
	if err != nil {
		return nil, fmt.Errorf("counting: %w", err)
	}
	defer rows.Close()
	have := map[string]int64{}
	for rows.Next() {
		var id string
		var n uint64
		if err := rows.Scan(&id, &n); err != nil {
			return nil, fmt.Errorf("counting: %w", err)
		}
		have[id] = int64(n)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("counting: %w", err)
	}
	for i := range p.Batches {
		b := &p.Batches[i]
		switch n := have[b.ID]; {
		case n < b.Rows:
			short = append(short, shortBatch{b, n})
		case n > b.Rows:
			return nil, fault.New(fault.Permanent, "the table holds %d rows of batch %s, which has %d: somebody else has written them, or two agents do", n, b.ID, b.Rows)
		}
	}
	return short, nil
}

// insert sends the whole part. The token makes the server drop what it has
// already stored of it.
func (s *sink) insert(ctx context.Context, p *sinks.Part) (sent int64, err error) {
	first, err := p.Batches[0].Load()
	if err != nil {
		return 0, err
	}
	columns, err := schemas.HeadColumns(first.Head)
	if err != nil {
		return 0, err
	}
	names := quoteAll(columns)
	query := fmt.Sprintf("INSERT INTO %s (%s) FORMAT ArrowStream", s.table(p.Table.ClickHouseName()), names)
	body := &partBody{batches: p.Batches, head: first.Head}
	_, err = s.post(ctx, query, body, map[string]string{
		"query_id": queryID(p), "insert_deduplicate": "1", "insert_deduplication_token": p.ID,
		"max_insert_block_size": rowLimit(p.Rows), "min_insert_block_size_rows": rowLimit(p.Rows),
	})
	return body.sent, err
}

// repair inserts the rows of the given batches that are not there, until a
// pass finds none: counting alone would wait for ever for rows that a merge has
// since replaced by newer ones.
func (s *sink) repair(ctx context.Context, p *sinks.Part, short []shortBatch) (sent int64, err error) {
	const passes = 3
	for _, b := range short {
		done := false
		for pass := 0; pass < passes && !done; pass++ {
			n, written, err := s.repairBatch(ctx, p, b.batch, pass)
			sent += n
			if err != nil {
				return sent, fmt.Errorf("inserting what is missing of batch %s: %w", b.batch.ID, err)
			}
			done = written == 0
		}
		if !done {
			return sent, fault.New(fault.Transient, "batch %s is still short after %d repairs: the server does not keep what it confirms", b.batch.ID, passes)
		}
	}
	return sent, nil
}

func (s *sink) repairBatch(ctx context.Context, p *sinks.Part, b *sinks.Batch, pass int) (sent, written int64, err error) {
	if err := failpoint.Hit(failpoint.PartRepair); err != nil {
		return 0, 0, err
	}
	e, err := b.Load()
	if err != nil {
		return 0, 0, err
	}
	columns, err := schemas.HeadColumns(e.Head)
	if err != nil {
		return 0, 0, err
	}
	structure := make([]string, len(columns))
	types := map[string]string{}
	for _, c := range p.Table.ClickHouseColumns() {
		types[c.Name] = c.Type
	}
	for i, c := range columns {
		structure[i] = schemas.QuoteClickHouse(c) + " " + types[c]
	}
	// A row's version is its own within a state, whatever the table's key.
	names, table := quoteAll(columns), s.table(p.Table.ClickHouseName())
	query := fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM input('%s') WHERE version NOT IN (SELECT version FROM %s WHERE batch_id = '%s') FORMAT ArrowStream",
		table, names, names, strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(strings.Join(structure, ", ")), table, b.ID)
	body := &partBody{batches: []sinks.Batch{*b}, head: e.Head}
	written, err = s.post(ctx, query, body, map[string]string{
		"query_id": fmt.Sprintf("%s-%s-%d", queryID(p), b.ID, pass), "insert_deduplicate": "0",
		"max_insert_block_size": rowLimit(b.Rows), "min_insert_block_size_rows": rowLimit(b.Rows),
	})
	if err == nil && written < 0 {
		// The server does not say: count.
		short, cerr := s.missing(ctx, &sinks.Part{Table: p.Table, Batches: body.batches, MinTime: p.MinTime, MaxTime: p.MaxTime})
		if written = int64(len(short)); cerr != nil {
			err = cerr
		}
	}
	return body.sent, written, err
}

func rowLimit(rows int64) string { return strconv.FormatInt(max(rows, 1)+1, 10) }

func quoteAll(names []string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = schemas.QuoteClickHouse(n)
	}
	return strings.Join(out, ", ")
}

// post sends an insert and returns the rows the server says it wrote, -1 when it
// does not say. Only a complete answer without an exception is a success.
func (s *sink) post(ctx context.Context, query string, body io.Reader, settings map[string]string) (written int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	q := url.Values{
		"query": {query}, "wait_end_of_query": {"1"}, "async_insert": {"0"}, "optimize_on_insert": {"0"},
		"input_format_skip_unknown_fields": {"0"},
		"input_format_null_as_default":     {"0"}, "min_insert_block_size_bytes": {"10000000000"}, "max_partitions_per_insert_block": {"0"},
		"input_format_parallel_parsing": {"0"}, "max_query_size": {"10000000"},
	}
	for k, v := range settings {
		q.Set(k, v)
	}
	u := *s.base
	u.Path, u.RawQuery = strings.TrimSuffix(u.Path, "/")+"/", q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), body)
	if err != nil {
		return -1, err
	}
	req.Header.Set("Content-Encoding", "zstd")
	req.Header.Set("User-Agent", "weir/"+s.env.Version)
	req.Header.Set("X-ClickHouse-User", s.cfg.Username)
	if !s.cfg.Password.IsZero() {
		password, err := s.cfg.Password.Value()
		if err != nil {
			return -1, fault.New(fault.Auth, "password: %w", err)
		}
		req.Header.Set("X-ClickHouse-Key", password)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		return -1, hideQuery(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return -1, fmt.Errorf("reading the answer: %w", err)
	}
	if err := failpoint.Hit(failpoint.InsertDone); err != nil {
		return -1, err
	}
	if resp.StatusCode >= 300 && resp.StatusCode < 400 {
		return -1, errRedirect // one with a body is not even tried
	}
	if code := resp.Header.Get("X-ClickHouse-Exception-Code"); resp.StatusCode != http.StatusOK || code != "" || len(bytes.TrimSpace(answer)) > 0 {
		line, _, _ := strings.Cut(string(answer), "\n")
		return -1, answerError(resp.StatusCode, code, line)
	}
	var summary struct {
		WrittenRows string `json:"written_rows"`
	}
	if err := json.Unmarshal([]byte(resp.Header.Get("X-ClickHouse-Summary")), &summary); err != nil {
		return -1, nil
	}
	if written, err = strconv.ParseInt(summary.WrittenRows, 10, 64); err != nil {
		return -1, nil
	}
	return written, nil
}

// hideQuery takes the long URL out of a transport's error.
func hideQuery(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return fmt.Errorf("POST: %w", u.Err)
	}
	return err
}

// partBody is the stream of a part: head, batches, end. It holds one batch.
type partBody struct {
	batches []sinks.Batch
	head    []byte
	next    int
	chunk   []byte
	ended   bool
	sent    int64
}

func (b *partBody) Read(p []byte) (int, error) {
	for len(b.chunk) == 0 {
		switch {
		case b.sent == 0:
			b.chunk = b.head
		case b.next < len(b.batches):
			if err := failpoint.Hit(failpoint.PartWrite); err != nil {
				return 0, err
			}
			e, err := b.batches[b.next].Load()
			if err != nil {
				return 0, err
			}
			if err := b.sameColumns(e.Head); err != nil {
				return 0, err
			}
			b.chunk = e.Body
			b.next++
		case !b.ended:
			b.chunk, b.ended = schemas.EOS, true
		default:
			if err := failpoint.Hit(failpoint.InsertSent); err != nil {
				return 0, err
			}
			return 0, io.EOF
		}
	}
	n := copy(p, b.chunk)
	b.chunk = b.chunk[n:]
	b.sent += int64(n)
	return n, nil
}

// sameColumns checks that a batch may follow under the part's head. Equal heads
// may differ in their bytes: those are compressed.
func (b *partBody) sameColumns(head []byte) error {
	if bytes.Equal(head, b.head) {
		return nil
	}
	first, err := schemas.HeadColumns(b.head)
	if err != nil {
		return err
	}
	mine, err := schemas.HeadColumns(head)
	if err != nil {
		return err
	}
	if !slices.Equal(first, mine) {
		return fault.New(fault.Permanent, "batch %s has other columns than the part's first", b.batches[b.next].ID)
	}
	return nil
}
