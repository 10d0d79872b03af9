package schemas

import (
	"reflect"
	"unsafe"
)

// slice returns the start of the table's rows and their number.
//
// A row struct is read through its columns' offsets: no reflection a row, and
// no generated code.
func (r *Rows) slice(t *Table) (base unsafe.Pointer, n int) {
	v := reflect.ValueOf(r).Elem().Field(t.rows)
	return v.UnsafePointer(), v.Len()
}

// Len returns how many rows of a table there are.
func (r *Rows) Len(t *Table) int {
	_, n := r.slice(t)
	return n
}

// grow appends an empty row.
func (r *Rows) grow(t *Table) {
	v := reflect.ValueOf(r).Elem().Field(t.rows)
	v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
}

// growBy appends n empty rows.
func (r *Rows) growBy(t *Table, n int) {
	v := reflect.ValueOf(r).Elem().Field(t.rows)
	from := v.Len()
	v.Grow(n)
	v.SetLen(from + n)
	v.Slice(from, from+n).Clear()
}

// Reset removes all rows and keeps their memory.
func (r *Rows) Reset() {
	v := reflect.ValueOf(r).Elem()
	for i := range v.NumField() {
		f := v.Field(i)
		f.Clear()
		f.SetLen(0)
	}
}

// DropRaw empties the column raw of all rows of a table that has one.
func (r *Rows) DropRaw(t *Table) {
	c := t.Column("raw")
	if c == nil {
		return
	}
	base, n := r.slice(t)
	for i := range n {
		*at[string](base, t.rowSize, c.offset, i) = ""
	}
}

// Time returns what a row holds in the table's DateColumn; 0, that is unknown,
// where that is an envelope column.
func (r *Rows) Time(t *Table, i int) Time {
	if t.date < 0 {
		return 0
	}
	base, n := r.slice(t)
	if i >= n {
		panic("schemas: no such row")
	}
	return *at[Time](base, t.rowSize, t.Columns[t.date].offset, i)
}

// at returns a row's field.
func at[T any](base unsafe.Pointer, size, offset uintptr, i int) *T {
	return (*T)(unsafe.Add(base, uintptr(i)*size+offset))
}
