package lakesql_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jonboulle/clockwork"
	"github.com/stretchr/testify/require"

	"weir/internal/clickhousetest"
	"weir/pipeline"
	"weir/schemas"
	"weir/sinks"
	"weir/sinks/parquet"
)

// The query that docs/ledger.md gives answers as the state does: from the table
// in ClickHouse, and from the files of a Parquet lake.
func TestLedgerBySQL(t *testing.T) {
	t.Parallel()
	server := clickhousetest.Start(t)
	st, err := pipeline.OpenState(t.Context(), t.TempDir())
	require.NoError(t, err)
	defer st.Close()
	base := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	minute := func(m int64) time.Time { return base.Add(time.Duration(m) * time.Minute) }
	const length = 300
	r := rand.New(rand.NewPCG(7, 8))
	ids := []pipeline.StreamID{{Instance: "a", Stream: "activities"}, {Instance: "a", Stream: "other"}, {Instance: "b", Stream: "activities"}}
	runs := map[string][]schemas.CollectionRun{}
	for i := range 240 {
		id := ids[i%len(ids)]
		from := r.Int64N(length)
		span := pipeline.Span{From: minute(from), To: minute(from + 1 + r.Int64N(25))}
		if i < len(ids) {
			span.From = pipeline.Beginning
		}
		run := schemas.CollectionRun{
			Stream: id.Stream, RunID: fmt.Sprintf("%06d", i), Mode: "poll", Outcome: "success", StartedAt: schemas.Time(minute(int64(i)).UnixMilli()), FinishedAt: schemas.Time(minute(int64(i) / 2).UnixMilli()),
			CoveredFrom: schemas.Time(span.From.UnixMilli()), CoveredTo: schemas.Time(span.To.UnixMilli()),
		}
		require.NoError(t, st.Update(t.Context(), func(tx pipeline.Tx) error {
			switch {
			case i >= len(ids) && r.IntN(5) == 0: // taken back
				run.Outcome = "failure"
				return tx.Uncover(id, span)
			case r.IntN(6) == 0: // an ordinary failure, and a scan: they say nothing of spans
				run.Outcome, run.CoveredFrom, run.CoveredTo = "failure", 0, 0
				return nil
			case r.IntN(6) == 0:
				run.Mode = "scan"
				return nil
			}
			return tx.Cover(id, span, base)
		}))
		runs[id.Instance] = append(runs[id.Instance], run)
	}

	table := schemas.ByName(schemas.TableCollectionRuns)
	server.Query(t, table.ClickHouseDDL("weir"))
	lake := t.TempDir()
	cfg := parquet.Driver.Config()
	cfg.(*parquet.Config).Path = lake
	sink, err := parquet.Driver.Open(t.Context(), sinks.Env{Name: "lake", Version: "test", Clock: clockwork.NewRealClock()}, cfg)
	require.NoError(t, err)
	defer sink.Close()
	require.NoError(t, sink.Prepare(t.Context(), []*schemas.Table{table}))
	builder := schemas.NewBuilder(table)
	previous := ""
	for n, instance := range []string{"a", "b"} {
		e, err := builder.Encode(schemas.Envelope{App: "aws", Instance: instance, ObservedAt: 1, Version: int64(1 + 1000*n), BatchID: instance}, &schemas.Rows{CollectionRuns: runs[instance]}, nil)
		require.NoError(t, err)
		e = schemas.Encoded{Head: slices.Clone(e.Head), Body: slices.Clone(e.Body), Plain: e.Plain}
		insert(t, server, "INSERT INTO weir.collection_runs ("+columns(t, e.Head)+") FORMAT ArrowStream", slices.Concat(e.Head, e.Body, schemas.EOS))
		part := &sinks.Part{
			ID: fmt.Sprintf("019c0000-0000-7000-8000-00000000000%d", n), Previous: previous, Table: table, SchemaVersion: schemas.Version, Rows: int64(len(runs[instance])),
			MinTime: schemas.Time(base.UnixMilli()), MaxTime: schemas.Time(minute(240).UnixMilli()),
			Batches: []sinks.Batch{{ID: instance, App: "aws", Instance: instance, Rows: int64(len(runs[instance])), Load: func() (schemas.Encoded, error) { return e, nil }}},
		}
		staged, err := sink.Stage(t.Context(), part)
		require.NoError(t, err)
		_, err = staged.Commit(t.Context())
		require.NoError(t, err)
		previous = part.ID
	}

	query := documented(t)
	files := "file('" + filepath.Join(lake, "collection_runs", "*", "*", "*.parquet") + "', Parquet)"
	require.Equal(t, "240", server.Query(t, "SELECT count() FROM "+files))
	found := 0
	for range 3 {
		asked := pipeline.Span{From: minute(r.Int64N(length))}
		asked.To = asked.From.Add(time.Duration(1+r.Int64N(length)) * time.Minute)
		for from, text := range map[string]string{"weir.collection_runs": query, files: strings.Replace(query, "weir.collection_runs", files, 1)} {
			text = strings.Replace(text, "'2026-03-01 00:00:00'", "'"+asked.From.Format(time.DateTime)+"'", 1)
			text = strings.Replace(text, "'2026-03-02 00:00:00'", "'"+asked.To.Format(time.DateTime)+"'", 1)
			missing := map[string][]pipeline.Span{}
			for line := range strings.Lines(server.Query(t, text+" FORMAT TSV")) {
				f := strings.Split(strings.TrimSpace(line), "\t")
				if len(f) != 4 {
					continue
				}
				missing[f[0]+"/"+f[1]] = append(missing[f[0]+"/"+f[1]], pipeline.Span{From: parse(t, f[2]), To: parse(t, f[3])})
			}
			for _, id := range ids {
				covered, err := st.Coverage(t.Context(), id, pipeline.Span{})
				require.NoError(t, err)
				want := pipeline.Subtract([]pipeline.Span{asked}, covered)
				require.Equal(t, want, pipeline.Union(missing[id.String()]), "%s of %s in %v", from, id, asked)
				found += len(want)
			}
		}
	}
	require.Positive(t, found)
}

// documented is the query of docs/ledger.md.
func documented(t *testing.T) string {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "ledger.md"))
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(b), "```sql\n")
	require.True(t, ok)
	query, _, _ := strings.Cut(rest, "```")
	return query
}

func parse(t *testing.T, s string) time.Time {
	at, err := time.Parse("2006-01-02 15:04:05.000", s)
	require.NoError(t, err)
	return at
}

func columns(t *testing.T, head []byte) string {
	c, err := schemas.HeadColumns(head)
	require.NoError(t, err)
	return strings.Join(c, ", ")
}

func insert(t *testing.T, server *clickhousetest.Server, sql string, body []byte) {
	t.Helper()
	query := url.Values{"query": {sql}, "async_insert": {"0"}, "wait_end_of_query": {"1"}}
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
