package cli

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"

	"weir/internal/demodata"
	"weir/internal/lakesql"
	"weir/pipeline"
	"weir/schemas"
)

// questions are files of SQL that SQLite, DuckDB and ClickHouse all understand,
// over the views of lakesql. A question's
// first line is a comment with its text; the others are not asked.
//
//go:embed questions/*.sql
var questions embed.FS

const (
	unusedFor = 30 * 24 * time.Hour // as the question about tokens says
	shownRows = 8                   // of an answer
	storyRows = 20
	cellWidth = 28
)

// demoQuestion is one of the demo's questions.
type demoQuestion struct{ name, text, sql string }

// askedQuestions returns the questions, in order.
func askedQuestions(now time.Time) (out []demoQuestion, err error) {
	files, err := questions.ReadDir("questions")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		b, err := questions.ReadFile(path.Join("questions", f.Name()))
		if err != nil {
			return nil, err
		}
		sql := strings.ReplaceAll(string(b), "{{since}}", now.Add(-unusedFor).UTC().Format(time.DateOnly))
		if text, ok := strings.CutPrefix(sql, "-- "); ok {
			text, _, _ = strings.Cut(text, "\n")
			out = append(out, demoQuestion{strings.TrimSuffix(f.Name(), ".sql"), text, sql})
		}
	}
	return out, nil
}

// demoQuestions prints the questions with their answers, and writes them to
// files that other engines can run.
func (c *console) demoQuestions(ctx context.Context, p demoPlace, lake *lakesql.DB) error {
	asked, err := askedQuestions(c.clock.Now())
	if err != nil {
		return err
	}
	if err := os.MkdirAll(p.sql, 0o700); err != nil {
		return err
	}
	for _, engine := range []string{lakesql.DuckDB, lakesql.ClickHouse} {
		views, err := lakesql.Views(engine, p.lake)
		if err == nil {
			err = os.WriteFile(filepath.Join(p.sql, engine+".sql"), []byte(views), 0o600)
		}
		if err != nil {
			return err
		}
	}
	dir := path.Join(p.given, "sql")
	for i, q := range asked {
		if err := os.WriteFile(filepath.Join(p.sql, q.name+".sql"), []byte(q.sql), 0o600); err != nil {
			return err
		}
		columns, rows, err := lake.Query(ctx, q.sql)
		if err != nil {
			return fmt.Errorf("%s: %w", q.name, err)
		}
		fmt.Fprintf(c.out, "\n%d. %s\n\n", i+1, q.text)
		c.answer(columns, rows, shownRows)
		fmt.Fprintf(c.out, "\nAsk it yourself: cat %s/{duckdb,%s}.sql | duckdb\n", dir, q.name)
	}
	_, err = fmt.Fprintf(c.out, "\nWith ClickHouse: cat %s/{clickhouse,%s}.sql | clickhouse local\n", dir, asked[0].name)
	return err
}

// answer prints the first rows of an answer.
func (c *console) answer(columns []string, rows [][]string, most int) {
	if len(rows) == 0 {
		fmt.Fprintln(c.out, " none")
		return
	}
	header := make([]any, len(columns))
	for i, name := range columns {
		header[i] = strings.ReplaceAll(name, "_", " ")
	}
	t := newTable(c.out, header...)
	for _, row := range rows[:min(len(rows), most)] {
		out := make(table.Row, len(row))
		for i, v := range row {
			out[i] = cell(v)
		}
		t.AppendRow(out)
	}
	t.Render()
	if more := len(rows) - most; more > 0 {
		fmt.Fprintf(c.out, " and %d more\n", more)
	}
}

// cell shortens a value; times are told to the minute.
func cell(v string) string {
	if t, err := time.Parse("2006-01-02 15:04:05.000", v); err == nil {
		return t.Format("2006-01-02 15:04")
	}
	if r := []rune(v); len(r) > cellWidth {
		return string(r[:cellWidth-1]) + "…"
	}
	if v == "" {
		return "-"
	}
	return v
}

// demoCollected prints how many rows each instance has of each table.
func (c *console) demoCollected(ctx context.Context, lake *lakesql.DB) error {
	var parts []string
	for _, t := range schemas.Tables() {
		parts = append(parts, fmt.Sprintf("SELECT instance, '%[1]s' AS tbl, count(*) AS n FROM %[1]s GROUP BY 1, 2", t.Name))
	}
	_, rows, err := lake.Query(ctx, strings.Join(parts, " UNION ALL ")+" ORDER BY 1")
	if err != nil {
		return err
	}
	instances, header := []string{}, []any{"table"}
	counts := map[string]map[string]string{} // by table and instance
	for _, r := range rows {
		if len(instances) == 0 || instances[len(instances)-1] != r[0] {
			instances, header = append(instances, r[0]), append(header, r[0])
		}
		if counts[r[1]] == nil {
			counts[r[1]] = map[string]string{}
		}
		counts[r[1]][r[0]] = r[2]
	}
	t := newTable(c.out, header...)
	for _, s := range schemas.Tables() {
		if counts[s.Name] == nil {
			continue
		}
		row := table.Row{s.Name}
		for _, i := range instances {
			row = append(row, counts[s.Name][i])
		}
		t.AppendRow(row)
	}
	fmt.Fprint(c.out, "\nWhat is in the lake now, rows by table and instance:\n\n")
	t.Render()
	return nil
}

// demoParked prints what could not be taken.
func (c *console) demoParked(ctx context.Context, p demoPlace) (err error) {
	st, err := pipeline.ReadState(ctx, p.data)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	dead, err := st.DeadLetters(ctx, shownRows)
	if err != nil {
		return err
	}
	for _, d := range dead {
		fmt.Fprintf(c.out, "  …%s\n  %s\n  weir deadletter show -c %s/weir.yaml %s\n", path.Base(d.Lane), d.Reason, p.given, d.ID)
	}
	return nil
}

// demoStory prints what the trail's story is about.
func (c *console) demoStory(ctx context.Context, lake *lakesql.DB, story demodata.Story) error {
	b, err := questions.ReadFile("questions/story.sql")
	if err != nil {
		return err
	}
	sql := strings.NewReplacer("{{address}}", story.IP, "{{actor}}", story.Intruder).Replace(string(b))
	columns, rows, err := lake.Query(ctx, sql)
	if err != nil {
		return fmt.Errorf("the story: %w", err)
	}
	fmt.Fprintf(c.out, "\nOne of the addresses, %s, and what %s did from it in AWS:\n\n", story.IP, story.Intruder)
	c.answer(columns, rows, storyRows)
	return nil
}
