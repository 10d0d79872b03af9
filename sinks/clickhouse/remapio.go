package clickhouse

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow/ipc"

	"weir/internal/failpoint"
	"weir/internal/fault"
	"weir/schemas"
	"weir/sinks"
)

// Bounds of the blocks that rows are read in.
const (
	readRows  = "4096"
	readBytes = "8000000"
)

// ask runs a query and returns its rows as texts. Unlike the driver it has
// hours for it.
func (s *sink) ask(ctx context.Context, format string, args ...any) (out [][]string, err error) {
	answer, err := s.request(ctx, fmt.Sprintf(format, args...)+" FORMAT JSONCompactStringsEachRow", nil, nil)
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(strings.NewReader(answer))
	for d.More() {
		var row []string
		if err := d.Decode(&row); err != nil {
			return nil, fmt.Errorf("reading the answer: %w", err)
		}
		out = append(out, row)
	}
	return out, nil
}

// texts returns the first column of an answer.
func (s *sink) texts(ctx context.Context, format string, args ...any) (out []string, err error) {
	rows, err := s.ask(ctx, format, args...)
	for _, r := range rows {
		out = append(out, r[0])
	}
	return out, err
}

// number returns the one number of an answer.
func (s *sink) number(ctx context.Context, format string, args ...any) (int64, error) {
	rows, err := s.ask(ctx, format, args...)
	if err != nil {
		return 0, err
	}
	if len(rows) != 1 {
		return 0, fmt.Errorf("reading the answer: %d rows, not one", len(rows))
	}
	return strconv.ParseInt(rows[0][0], 10, 64)
}

// literal writes a text in SQL.
func literal(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}

// exec runs a statement that may take long.
func (m *remap) exec(ctx context.Context, statement string) error {
	_, err := m.s.request(ctx, statement, nil, nil)
	return err
}

// request posts a statement, or one with a body, and returns the answer's.
func (s *sink) request(ctx context.Context, query string, settings map[string]string, each func(io.Reader) error) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, remapTimeout)
	defer cancel()
	q := url.Values{
		"max_execution_time": {"0"}, "max_partitions_per_insert_block": {"0"}, "optimize_on_insert": {"0"}, "async_insert": {"0"},
		"max_query_size": {"10000000"}, "insert_deduplicate": {"0"},
	}
	if each == nil {
		q.Set("wait_end_of_query", "1")
	}
	for k, v := range settings {
		q.Set(k, v)
	}
	u := *s.base
	u.Path, u.RawQuery = strings.TrimSuffix(u.Path, "/")+"/", q.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), strings.NewReader(query))
	if err != nil {
		return "", err
	}
	req.Header.Set("User-Agent", "weir/"+s.env.Version)
	req.Header.Set("X-ClickHouse-User", s.cfg.Username)
	if !s.cfg.Password.IsZero() {
		password, err := s.cfg.Password.Value()
		if err != nil {
			return "", fault.New(fault.Auth, "password: %w", err)
		}
		req.Header.Set("X-ClickHouse-Key", password)
	}
	client := *s.http
	transport := s.transport()
	transport.ResponseHeaderTimeout = 0 // the statement's own time is bound
	defer transport.CloseIdleConnections()
	client.Transport = transport
	resp, err := client.Do(req)
	if err != nil {
		return "", hideQuery(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("X-ClickHouse-Exception-Code") != "" || each == nil {
		answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
		if err != nil {
			return "", fmt.Errorf("reading the answer: %w", err)
		}
		if resp.StatusCode != http.StatusOK || resp.Header.Get("X-ClickHouse-Exception-Code") != "" {
			line, _, _ := strings.Cut(string(answer), "\n")
			return "", fmt.Errorf("HTTP %d: %.500s", resp.StatusCode, line)
		}
		return string(answer), nil
	}
	return "", each(resp.Body)
}

func (m *remap) selectNames() string { return "SELECT " + quoteAll(m.columns()) }

// selectRows selects all rows of a month.
func (m *remap) selectRows(table, p string) string {
	return m.selectNames() + " FROM " + m.full(table) + " WHERE _partition_id = '" + p + "'" + m.order()
}

// order leaves rows as they lie: sorting a month needs memory.
func (m *remap) order() string { return " FORMAT ArrowStream" }

// stream shows the rows of a query to Map, and hands them on.
func (m *remap) stream(ctx context.Context, query string, again bool, out *inserter) error {
	settings := map[string]string{
		"max_block_size": readRows, "preferred_block_size_bytes": readBytes, "max_threads": "2",
		"output_format_arrow_string_as_string": "1", "output_format_arrow_low_cardinality_as_dictionary": "0", "output_format_arrow_compression_method": "lz4_frame",
	}
	_, err := m.s.request(ctx, query, settings, func(body io.Reader) error {
		end := &endReader{r: body}
		r, err := ipc.NewReader(end)
		if err != nil {
			return fmt.Errorf("reading rows: %w", err)
		}
		defer r.Release()
		var rows schemas.Rows
		var env []schemas.Envelope
		for r.Next() {
			rows.Reset()
			if env, err = m.table.ReadBack(r.RecordBatch(), &rows, env[:0]); err != nil {
				return err
			}
			if err := m.r.Map(env, &rows, again); err != nil {
				return err
			}
			if out == nil {
				continue
			}
			if err := out.add(ctx, env, &rows); err != nil {
				return err
			}
		}
		if err := r.Err(); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading rows: %w", err)
		}
		return end.whole()
	})
	if err == nil && out != nil {
		err = out.flush(ctx)
	}
	return err
}

// endReader remembers a stream's last bytes: one that does not end as Arrow's
// do was cut off, or has an error's text behind it.
type endReader struct {
	r    io.Reader
	last [8]byte
}

func (e *endReader) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	if n >= len(e.last) {
		copy(e.last[:], p[n-len(e.last):n])
	} else {
		copy(e.last[:], e.last[n:])
		copy(e.last[len(e.last)-n:], p[:n])
	}
	return n, err
}

func (e *endReader) whole() error {
	rest, err := io.Copy(io.Discard, e)
	if err != nil {
		return fmt.Errorf("reading rows: %w", err)
	}
	_ = rest
	if e.last != [8]byte{0xff, 0xff, 0xff, 0xff} {
		return fault.New(fault.Transient, "the server's answer was cut off")
	}
	return nil
}

// inserter writes rows to the table of a month's rows anew.
type inserter struct {
	m       *remap
	table   string
	builder *schemas.Builder
	batches []sinks.Batch
	plain   int64
	rows    int64
}

func (m *remap) inserter(p string) *inserter {
	return &inserter{m: m, table: m.made(p), builder: schemas.NewBuilder(m.table)}
}

func (i *inserter) add(ctx context.Context, env []schemas.Envelope, rows *schemas.Rows) error {
	e, err := i.builder.EncodeEach(env, rows, nil)
	if err != nil {
		return err
	}
	i.batches = append(i.batches, sinks.Batch{Rows: int64(len(env)), Load: func() (schemas.Encoded, error) { return e, nil }})
	i.rows += int64(len(env))
	if i.plain += e.Plain; i.plain < remapChunk {
		return nil
	}
	return i.flush(ctx)
}

func (i *inserter) flush(ctx context.Context) error {
	if len(i.batches) == 0 {
		return nil
	}
	if err := failpoint.Hit(failpoint.RemapWrite); err != nil {
		return err
	}
	first, err := i.batches[0].Load()
	if err != nil {
		return err
	}
	query := fmt.Sprintf("INSERT INTO %s (%s) FORMAT ArrowStream", i.m.full(i.table), quoteAll(i.m.columns()))
	written, err := i.m.s.post(ctx, query, &partBody{batches: i.batches, head: first.Head}, map[string]string{
		"insert_deduplicate": "0", "max_insert_block_size": rowLimit(i.rows), "min_insert_block_size_rows": rowLimit(i.rows),
	})
	if err != nil {
		return fmt.Errorf("writing rows: %w", err)
	}
	if written >= 0 && written != i.rows {
		return fault.New(fault.Transient, "the server says it wrote %d of %d rows", written, i.rows)
	}
	i.batches, i.rows, i.plain = i.batches[:0], 0, 0
	return nil
}
