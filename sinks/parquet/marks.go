package parquet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet/metadata"

	"weir/schemas"
	"weir/sinks"
)

// Mark says that a part is complete and what it holds. Marks of a table form a
// chain: a reader that follows it sees each part once, whole, in order, and can
// prove that none is missing.
type Mark struct {
	Part          string      `json:"part"`
	Previous      string      `json:"previous"` // "" for the first
	Table         string      `json:"table"`
	SchemaVersion int         `json:"schema_version"`
	Rows          int64       `json:"rows"`
	Files         []MarkFile  `json:"files"`
	Batches       []MarkBatch `json:"batches"`
}

// MarkFile is one file of a part.
type MarkFile struct {
	Path    string       `json:"path"` // relative to the sink's directory
	Rows    int64        `json:"rows"`
	Bytes   int64        `json:"bytes"`
	SHA256  string       `json:"sha256"`
	MinTime schemas.Time `json:"min_time"` // milliseconds, over the table's date column
	MaxTime schemas.Time `json:"max_time"`
}

// MarkBatch is one batch of a part, in the part's order.
type MarkBatch struct {
	ID       string `json:"id"`
	Instance string `json:"instance"`
	Rows     int64  `json:"rows"`
}

func newMark(p *sinks.Part) Mark {
	m := Mark{Part: p.ID, Previous: p.Previous, Table: p.Table.Name, SchemaVersion: p.SchemaVersion, Rows: p.Rows}
	for _, b := range p.Batches {
		m.Batches = append(m.Batches, MarkBatch{b.ID, b.Instance, b.Rows})
	}
	return m
}

func (f *MarkFile) table() string {
	t, _, _ := strings.Cut(f.Path, "/")
	return t
}

// cover widens the file's time span by a record's rows.
func (f *MarkFile) cover(t *schemas.Table, rec arrow.RecordBatch) {
	for _, v := range times(t, rec).Values() {
		f.span(schemas.Time(v), schemas.Time(v))
	}
}

func (f *MarkFile) span(lo, hi schemas.Time) {
	if f.MinTime == 0 || lo < f.MinTime {
		f.MinTime = lo
	}
	f.MaxTime = max(f.MaxTime, hi)
}

// coverStatistics does the same from a visible file's row group.
func (f *MarkFile) coverStatistics(t *schemas.Table, g *metadata.RowGroupMetaData) error {
	i := g.Schema.ColumnIndexByName(t.DateColumn)
	if i < 0 {
		return fmt.Errorf("it has no column %s", t.DateColumn)
	}
	c, err := g.ColumnChunk(i)
	if err != nil {
		return err
	}
	st, err := c.Statistics()
	if err != nil {
		return err
	}
	s, ok := st.(*metadata.Int64Statistics)
	if !ok || !s.HasMinMax() {
		return fmt.Errorf("it has no statistics of %s", t.DateColumn)
	}
	f.span(schemas.Time(s.Min()), schemas.Time(s.Max()))
	return nil
}

func readMark(name string) (m Mark, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return m, fmt.Errorf("mark %s is damaged: %w", name, err)
	}
	return m, nil
}

// ReadMarks returns the marks of a table in the directory of a Parquet sink, in
// the order of their chain, and fails when a mark is missing from it.
func ReadMarks(root, table string) ([]Mark, error) {
	dir := filepath.Join(root, weirDir, "parts", table)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	after := map[string]Mark{} // by the part before
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".json") {
			continue
		}
		m, err := readMark(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		if other, ok := after[m.Previous]; ok {
			return nil, fmt.Errorf("parts %s and %s of %s both follow %q", other.Part, m.Part, table, m.Previous)
		}
		after[m.Previous] = m
	}
	var out []Mark
	for at, ok := after[""]; ok; at, ok = after[at.Part] {
		out = append(out, at)
	}
	if len(out) != len(after) {
		return out, fmt.Errorf("%d marks of %s do not follow from the others: one is missing after part %q", len(after)-len(out), table, lastPart(out))
	}
	return out, nil
}

func lastPart(marks []Mark) string {
	if len(marks) == 0 {
		return ""
	}
	return marks[len(marks)-1].Part
}
