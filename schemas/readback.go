package schemas

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
)

// DeliveredAt is the column that ClickHouse adds to every table: when the row
// was inserted.
const DeliveredAt = "delivered_at"

// WithDelivered returns the table with DeliveredAt behind the envelope, for rows
// that are read from ClickHouse and written back to it. It is not one of Tables.
func (t *Table) WithDelivered() *Table {
	c := *t
	c.Columns = slices.Insert(slices.Clone(t.Columns), len(envelope), Column{Name: DeliveredAt, Type: Millis, Doc: "when it was inserted"})
	if c.date >= 0 {
		c.date++
	}
	c.copies = nil
	c.arrow = arrowSchema(&c)
	c.head = encodeHead(c.arrow)
	return &c
}

// Plausible returns the time of a vendor's record, or, outside 2000-01-01 to 24
// hours after it was observed, the time at which it was.
func (t Time) Plausible(observed Time) Time {
	const first, day = 946_684_800_000, 86_400_000
	if t < first || t > observed+day {
		return observed
	}
	return t
}

// ReadBack appends a record's rows to rows, and their envelopes to env. Columns
// that the record lacks hold their defaults; others than the table's are passed
// over. The text lies in the record's memory: it must be kept as long.
func (t *Table) ReadBack(rec arrow.RecordBatch, rows *Rows, env []Envelope) ([]Envelope, error) {
	from, n := rows.Len(t), int(rec.NumRows())
	rows.growBy(t, n)
	base, _ := rows.slice(t)
	envFrom := len(env)
	env = append(env, make([]Envelope, n)...)
	for i := range t.Columns {
		c := &t.Columns[i]
		found := rec.Schema().FieldIndices(c.Name)
		if len(found) == 0 {
			continue
		}
		col := rec.Column(found[0])
		var err error
		if isEnvelope(c) {
			err = readEnvelope(c, col, env[envFrom:])
		} else {
			err = readColumn(t, c, col, base, from)
		}
		if err != nil {
			return env, fmt.Errorf("reading column %s of %s: %w", c.Name, t.Name, err)
		}
	}
	return env, nil
}

func isEnvelope(c *Column) bool {
	return c.Name == DeliveredAt || slices.ContainsFunc(envelope, func(e Column) bool { return e.Name == c.Name })
}

func errType(col arrow.Array) error { return fmt.Errorf("it is a %s", col.DataType()) }

func readEnvelope(c *Column, col arrow.Array, env []Envelope) error {
	switch col := col.(type) {
	case *array.String:
		for i := range env {
			v := col.Value(i)
			switch c.Name {
			case "app":
				env[i].App = v
			case "instance":
				env[i].Instance = v
			case "tenant":
				env[i].Tenant = v
			case "batch_id":
				env[i].BatchID = v
			}
		}
		return nil
	case *array.Timestamp:
		for i := range env {
			if c.Name == DeliveredAt {
				env[i].DeliveredAt = Time(col.Value(i))
			} else {
				env[i].ObservedAt = Time(col.Value(i))
			}
		}
		return nil
	case *array.Int64:
		for i := range env {
			env[i].Version = col.Value(i)
		}
		return nil
	}
	return errType(col)
}

func readColumn(t *Table, c *Column, col arrow.Array, base unsafe.Pointer, from int) error {
	size, n := t.rowSize, col.Len()
	switch col := col.(type) {
	case *array.String:
		if c.Type != String {
			break
		}
		for i := range n {
			*at[string](base, size, c.offset, from+i) = col.Value(i)
		}
		return nil
	case *array.List:
		items, ok := col.ListValues().(*array.String)
		if c.Type != List || !ok {
			break
		}
		for i := range n {
			lo, hi := col.ValueOffsets(i)
			list := make([]string, 0, hi-lo)
			for j := lo; j < hi; j++ {
				list = append(list, items.Value(int(j)))
			}
			*at[[]string](base, size, c.offset, from+i) = list
		}
		return nil
	case *array.Int32:
		if c.Type != Int32 {
			break
		}
		for i := range n {
			*at[int32](base, size, c.offset, from+i) = col.Value(i)
		}
		return nil
	case *array.Int64:
		switch {
		case c.Type == Int64 && c.Nullable:
			for i := range n {
				if col.IsValid(i) {
					*at[Opt[int64]](base, size, c.offset, from+i) = Some(col.Value(i))
				}
			}
			return nil
		case c.Type == Int64:
			for i := range n {
				*at[int64](base, size, c.offset, from+i) = col.Value(i)
			}
			return nil
		}
	case *array.Timestamp:
		if c.Type != Millis {
			break
		}
		for i := range n {
			if col.IsValid(i) {
				*at[Time](base, size, c.offset, from+i) = Time(col.Value(i))
			}
		}
		return nil
	case *array.Boolean:
		if c.Type != Bool {
			break
		}
		for i := range n {
			if col.IsValid(i) {
				*at[Opt[bool]](base, size, c.offset, from+i) = Some(col.Value(i))
			}
		}
		return nil
	}
	return errType(col)
}

// EncodeEach is Encode of all rows, each with an envelope of its own.
func (b *Builder) EncodeEach(env []Envelope, rows *Rows, index []int32) (Encoded, error) {
	return b.encode(rows, index, func(c int, s *columnScratch, index []int32) (*array.Data, bool) {
		col := &b.t.Columns[c]
		if !isEnvelope(col) {
			return nil, false
		}
		switch col.Name {
		case "observed_at", "version", DeliveredAt:
			for _, i := range index {
				v := int64(env[i].ObservedAt)
				switch col.Name {
				case "version":
					v = env[i].Version
				case DeliveredAt:
					v = int64(env[i].DeliveredAt)
				}
				s.int64(v)
			}
			return s.fixed(col, len(index)), true
		}
		s.inner = append(s.inner, 0)
		for _, i := range index {
			var v string
			switch e := &env[i]; col.Name {
			case "app":
				v = e.App
			case "instance":
				v = e.Instance
			case "tenant":
				v = e.Tenant
			case "batch_id":
				v = e.BatchID
			}
			s.data = append(s.data, v...)
			s.inner = append(s.inner, int32(len(s.data)))
		}
		return s.strings(len(index)), true
	})
}

// Differences calls each with every column in which two rows of a table would
// be delivered differently, envelopes apart.
func (t *Table) Differences(a *Rows, i int, b *Rows, j int, each func(c *Column)) {
	left, _ := a.slice(t)
	right, _ := b.slice(t)
	for k := range t.Columns {
		c := &t.Columns[k]
		if isEnvelope(c) {
			continue
		}
		if !sameValue(c, unsafe.Add(left, uintptr(i)*t.rowSize+c.offset), unsafe.Add(right, uintptr(j)*t.rowSize+c.offset)) {
			each(c)
		}
	}
}

func sameValue(c *Column, a, b unsafe.Pointer) bool {
	switch c.Type {
	case String:
		return sameText(*(*string)(a), *(*string)(b))
	case List:
		return slices.EqualFunc(*(*[]string)(a), *(*[]string)(b), sameText)
	case Int32:
		return *(*int32)(a) == *(*int32)(b)
	case Int64:
		if c.Nullable {
			return sameOpt(*(*Opt[int64])(a), *(*Opt[int64])(b))
		}
		return *(*int64)(a) == *(*int64)(b)
	case Millis:
		return *(*Time)(a) == *(*Time)(b)
	case Bool:
		return sameOpt(*(*Opt[bool])(a), *(*Opt[bool])(b))
	}
	return false
}

func sameOpt[T bool | int64](a, b Opt[T]) bool {
	return a.Known == b.Known && (!a.Known || a.Value == b.Value)
}

// sameText compares as delivered: what is no UTF-8 is replaced then.
func sameText(a, b string) bool {
	if a == b {
		return true
	}
	if utf8.ValidString(a) && utf8.ValidString(b) {
		return false
	}
	return strings.ToValidUTF8(a, "\ufffd") == strings.ToValidUTF8(b, "\ufffd")
}

// Text writes a row's value of a column for people: lists as JSON-like text,
// what is unknown as "unknown".
func (t *Table) Text(rows *Rows, i int, c *Column) string {
	base, _ := rows.slice(t)
	p := unsafe.Add(base, uintptr(i)*t.rowSize+c.offset)
	switch c.Type {
	case String:
		return fmt.Sprintf("%q", *(*string)(p))
	case List:
		return fmt.Sprintf("%q", *(*[]string)(p))
	case Int32:
		return fmt.Sprint(*(*int32)(p))
	case Int64:
		if !c.Nullable {
			return fmt.Sprint(*(*int64)(p))
		}
		if v := *(*Opt[int64])(p); v.Known {
			return fmt.Sprint(v.Value)
		}
	case Millis:
		if v := *(*Time)(p); v != 0 {
			return v.String()
		}
	case Bool:
		if v := *(*Opt[bool])(p); v.Known {
			return fmt.Sprint(v.Value)
		}
	}
	return "unknown"
}
