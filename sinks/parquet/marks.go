package parquet

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet/metadata"

	"weir/internal/fault"
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
	m.Batches = make([]MarkBatch, len(p.Batches))
	for i, b := range p.Batches {
		m.Batches[i] = MarkBatch{b.ID, b.Instance, b.Rows}
	}
	return m
}

// samePart reports whether two marks are of one part with the same content.
func (m Mark) samePart(o Mark) bool {
	return m.Part == o.Part && m.Previous == o.Previous && m.Table == o.Table && m.Rows == o.Rows && slices.Equal(m.Batches, o.Batches)
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
func (f *MarkFile) coverStatistics(g *metadata.RowGroupMetaData) error {
	name, _, _ := strings.Cut(f.Path, "/")
	t := schemas.ByName(name)
	if t == nil {
		return fmt.Errorf("there is no table %q", name)
	}
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

// readMark reads one mark. Whatever it returns without an error is whole:
// marks appear by a rename.
func readMark(name string) (m Mark, err error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return m, err
	}
	if m, err = parseMark(b); err != nil {
		return m, fault.New(fault.Permanent, "mark %s is damaged: %w", name, err)
	}
	return m, nil
}

func parseMark(b []byte) (m Mark, err error) {
	if err := json.Unmarshal(b, &m); err != nil {
		return m, err
	}
	var inFiles, inBatches int64
	for _, f := range m.Files {
		inFiles += f.Rows
	}
	for _, b := range m.Batches {
		inBatches += b.Rows
	}
	switch {
	case m.Part == "" || m.Table == "" || m.Part == m.Previous:
		return m, fmt.Errorf("part %q of table %q after %q", m.Part, m.Table, m.Previous)
	case inFiles != m.Rows || inBatches != m.Rows:
		return m, fmt.Errorf("%d rows, %d in its files, %d in its batches", m.Rows, inFiles, inBatches)
	}
	return m, nil
}

// ReadMarks returns the marks of a table in the directory of a Parquet sink, in
// the order of their chain, and fails when a mark is missing from it. Earlier
// versions began a new chain where another state took the sink over; chains are
// ordered by when they began. It may be called while the sink is being written.
func ReadMarks(root, table string) ([]Mark, error) {
	dir := filepath.Join(root, weirDir, "parts", table)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var parts []string
	for _, e := range entries {
		if part, ok := strings.CutSuffix(e.Name(), markSuffix); ok {
			parts = append(parts, part)
		}
	}
	marks := map[string]Mark{}
	for len(parts) > 0 {
		m, err := readMark(filepath.Join(dir, parts[0]+markSuffix))
		if err != nil {
			return nil, err
		}
		if m.Part != parts[0] || m.Table != table {
			return nil, fmt.Errorf("mark %s is of part %s of %s", filepath.Join(dir, parts[0]+markSuffix), m.Part, m.Table)
		}
		marks[m.Part] = m
		if parts = parts[1:]; len(parts) > 0 {
			continue
		}
		// A listing made while marks are added may have a later one and not
		// an earlier one: an absence is proved by name.
		for _, m := range marks {
			if _, ok := marks[m.Previous]; !ok && m.Previous != "" {
				if _, err := os.Stat(filepath.Join(dir, m.Previous+markSuffix)); errors.Is(err, fs.ErrNotExist) {
					return nil, fmt.Errorf("the mark of part %s of %s is missing: part %s follows it", m.Previous, table, m.Part)
				}
				parts = append(parts, m.Previous)
			}
		}
	}
	return chain(marks, table)
}

// chain puts marks that have their predecessors into order.
func chain(marks map[string]Mark, table string) ([]Mark, error) {
	var first []Mark
	after := map[string]Mark{}
	for _, m := range marks {
		if m.Previous == "" {
			first = append(first, m)
			continue
		}
		if other, ok := after[m.Previous]; ok {
			return nil, fmt.Errorf("parts %s and %s of %s both follow part %s", min(other.Part, m.Part), max(other.Part, m.Part), table, m.Previous)
		}
		after[m.Previous] = m
	}
	slices.SortFunc(first, func(a, b Mark) int { return strings.Compare(a.Part, b.Part) })
	out := make([]Mark, 0, len(marks))
	for _, m := range first {
		for ok := true; ok; m, ok = after[m.Part] {
			out = append(out, m)
		}
	}
	if len(out) < len(marks) {
		return nil, fmt.Errorf("%d marks of %s follow one another in a circle", len(marks)-len(out), table)
	}
	return out, nil
}
