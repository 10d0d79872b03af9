// Package remap makes delivered rows anew from the records they carry, with
// today's mapping and without calling a vendor (`weir remap`).
//
// A row's envelope, its version included, and its key stay as they are, so that
// everything that refers to it holds: what the agent remembers as sent, and what
// it counts by batch. The sinks do the reading, writing and swapping
// (sinks.Remapper).
package remap

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"weir/internal/setting"
	"weir/schemas"
	"weir/sources"
)

// Instance is an instance of the configuration.
type Instance struct {
	Name      string
	Connector *sources.Connector
	Config    setting.Struct
}

// Options says which rows are made anew.
type Options struct {
	Instances []Instance
	Only      string       // this instance's rows; "": all
	From, To  schemas.Time // To is not included
	Examples  int          // changed rows that are kept to be shown
}

// Reasons for which a row is carried over unchanged.
const (
	OutOfSpan    = "it is outside of the span"
	OtherOne     = "it is of another instance"
	NoRaw        = "it carries no record (raw: drop)"
	NoInstance   = "its instance is not in the configuration"
	NoMapper     = "the connector's rows cannot be made anew"
	NotOne       = "its record makes several rows, none with its id"
	maxReasons   = 50 // others count as one
	otherReasons = "for other reasons"
)

// Report is what became of the rows.
type Report struct {
	Rows    int64
	Mapped  int64            // made anew
	Changed int64            // of these, the ones that differ
	NewID   int64            // of these, the ones for which the mapping gives another key: they keep theirs
	Moved   int64            // of these, the ones of another month
	Carried map[string]int64 // left as they were, by reason
	Columns map[string]int64 // rows that differ, by column
	Samples []Sample
}

// Sample is a changed row.
type Sample struct {
	Instance, Key string
	Fields        []Field
}

// Field is a column that differs.
type Field struct{ Column, Old, New string }

// TopColumns are the columns that differ, those of the most rows first.
func (r *Report) TopColumns() []string {
	return top(r.Columns)
}

// Reasons are the reasons for which rows were carried over, the most frequent
// first.
func (r *Report) Reasons() []string { return top(r.Carried) }

func top(m map[string]int64) []string {
	return slices.SortedFunc(maps.Keys(m), func(a, b string) int { return cmp.Or(cmp.Compare(m[b], m[a]), cmp.Compare(a, b)) })
}

// Mapping maps delivered rows anew. Not for concurrent use.
type Mapping struct {
	o       Options
	table   *schemas.Table
	mappers map[string]mapper
	rows    schemas.Rows // made by the mappers
	report  Report
}

// mapper is an instance's; without one, why says why.
type mapper struct {
	sources.Mapper
	why string
}

// New returns a mapping.
func New(o Options) (*Mapping, error) {
	m := &Mapping{o: o, table: schemas.ByName(schemas.TableActivities), mappers: map[string]mapper{}}
	m.report = Report{Carried: map[string]int64{}, Columns: map[string]int64{}}
	for _, i := range o.Instances {
		mp := mapper{why: NoMapper}
		if i.Connector.Mapper != nil {
			one, err := i.Connector.Mapper(i.Config)
			if err != nil {
				return nil, fmt.Errorf("instance %s: %w", i.Name, err)
			}
			mp = mapper{Mapper: one}
		}
		m.mappers[i.Name] = mp
	}
	return m, nil
}

// Report returns what became of the rows so far.
func (m *Mapping) Report() *Report { return &m.report }

// Map is what a sink calls (sinks.Remap.Map).
func (m *Mapping) Map(env []schemas.Envelope, rows *schemas.Rows, again bool) error {
	m.reset()
	r := &m.report
	if again {
		r = &Report{Carried: map[string]int64{}, Columns: map[string]int64{}, Samples: m.report.Samples}
	}
	if len(env) != len(rows.Activities) {
		return fmt.Errorf("%d envelopes of %d rows", len(env), len(rows.Activities))
	}
	for i := range rows.Activities {
		r.Rows++
		if why := m.row(r, &env[i], rows, i); why != "" {
			if _, known := r.Carried[why]; !known && len(r.Carried) >= maxReasons {
				why = otherReasons
			}
			r.Carried[why]++
		}
	}
	return nil
}

func (m *Mapping) reset() {
	m.rows.Activities = m.rows.Activities[:0]
	for _, mp := range m.mappers {
		if mp.Mapper != nil {
			mp.Reset()
		}
	}
}

// row makes one row anew. why tells why it was carried over instead.
func (m *Mapping) row(r *Report, env *schemas.Envelope, rows *schemas.Rows, i int) (why string) {
	old := &rows.Activities[i]
	switch {
	case old.Time < m.o.From || old.Time >= m.o.To:
		return OutOfSpan
	case m.o.Only != "" && env.Instance != m.o.Only:
		return OtherOne
	case old.Raw == "":
		return NoRaw
	}
	mp, ok := m.mappers[env.Instance]
	switch {
	case !ok:
		return NoInstance
	case mp.Mapper == nil:
		return mp.why
	}
	from := len(m.rows.Activities)
	if err := mp.Map(sources.MapInput{Tenant: env.Tenant}, old.Raw, &m.rows); err != nil {
		m.rows.Activities = m.rows.Activities[:from]
		return "its record cannot be mapped: " + cut(err.Error())
	}
	k := m.choose(from, old.EventID)
	if k < 0 {
		return NotOne
	}
	a := &m.rows.Activities[k]
	r.Mapped++
	if a.EventID != old.EventID {
		r.NewID++
		a.EventID = old.EventID
	}
	a.Time = a.Time.Plausible(env.ObservedAt)
	a.Raw = old.Raw
	changed := false
	m.table.Differences(rows, i, &m.rows, k, func(c *schemas.Column) {
		changed = true
		r.Columns[c.Name]++
	})
	if !changed {
		return ""
	}
	r.Changed++
	if a.Time != old.Time && month(a.Time) != month(old.Time) {
		r.Moved++
	}
	if len(r.Samples) < m.o.Examples {
		r.Samples = append(r.Samples, m.sample(env, rows, i, k))
	}
	*old = *a
	return ""
}

// choose returns the row that a record makes in place of the one with an id; -1
// when there is none.
func (m *Mapping) choose(from int, id string) int {
	made := m.rows.Activities[from:]
	for k := range made {
		if made[k].EventID == id {
			return from + k
		}
	}
	if len(made) == 1 {
		return from
	}
	return -1
}

func (m *Mapping) sample(env *schemas.Envelope, rows *schemas.Rows, i, k int) Sample {
	s := Sample{Instance: strings.Clone(env.Instance), Key: strings.Clone(rows.Activities[i].EventID)}
	m.table.Differences(rows, i, &m.rows, k, func(c *schemas.Column) {
		s.Fields = append(s.Fields, Field{c.Name, m.table.Text(rows, i, c), m.table.Text(&m.rows, k, c)})
	})
	return s
}

func month(t schemas.Time) string { return t.String()[:7] }

// cut bounds a reason: it may quote the record.
func cut(s string) string {
	if len(s) > 160 {
		return s[:160] + "..."
	}
	return s
}
