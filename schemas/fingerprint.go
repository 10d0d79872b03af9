package schemas

import (
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/cespare/xxhash/v2"
	"github.com/dchest/siphash"
)

// Weight says what a change of a column alone is worth.
type Weight int

// Weights.
const (
	Compared Weight = iota // an update
	Daily                  // an update, at most one a day
	Ignored                // nothing: it goes out with the next update
)

// Fingerprinter tells rows of one entity table apart, column by column. It
// keeps its buffers and is not for concurrent use.
type Fingerprinter struct {
	t       *Table
	k0, k1  uint64
	keys    []*Column // after instance
	columns []*Column // fingerprinted, in the order of the declaration
	names   []string
	weights []Weight
	buf     []byte
	list    []string
}

// NewFingerprinter returns a Fingerprinter of an entity table. The secret keeps
// anybody from making two rows look the same.
func NewFingerprinter(t *Table, secret [16]byte) *Fingerprinter {
	f := &Fingerprinter{t: t, k0: binary.LittleEndian.Uint64(secret[:8]), k1: binary.LittleEndian.Uint64(secret[8:])}
	for i := range t.Columns {
		c := &t.Columns[i]
		switch {
		case i < len(envelope)+diffColumns:
		case c.Key:
			f.keys = append(f.keys, c)
		default:
			f.columns = append(f.columns, c)
			f.names = append(f.names, c.Name)
			f.weights = append(f.weights, c.weight())
		}
	}
	return f
}

// weight: a time that is volatile is compared by its day, so that it changes
// once a day by itself.
func (c *Column) weight() Weight {
	switch {
	case c.Name == "raw", c.Volatile && c.Type != Millis:
		return Daily
	case c.Uncompared:
		return Ignored
	}
	return Compared
}

// Columns names the fingerprinted columns: all but the envelope, the change and
// the key.
func (f *Fingerprinter) Columns() []string { return f.names }

// Weights says what a change of each of Columns is worth.
func (f *Fingerprinter) Weights() []Weight { return f.weights }

// Row returns a hash of all columns of weight Compared, and appends to fp one
// fingerprint for each of Columns: 0 for a value that is empty or unknown.
// Lists are sets.
func (f *Fingerprinter) Row(rows *Rows, i int, fp []uint16) (hash [16]byte, _ []uint16) {
	base, size := f.row(rows, i), f.t.rowSize
	f.buf = f.buf[:0]
	for k, c := range f.columns {
		if c.Type == String && f.weights[k] != Compared { // raw may be long: it is not copied
			fp = append(fp, fingerprint(bytesOf(*at[string](base, size, c.offset, i))))
			continue
		}
		from := len(f.buf)
		f.value(base, c, i)
		fp = append(fp, fingerprint(f.buf[from:]))
		if f.weights[k] != Compared {
			f.buf = f.buf[:from]
			continue
		}
		f.buf = binary.AppendUvarint(f.buf, uint64(len(f.buf)-from)) // no value can shift into the next
	}
	lo, hi := siphash.Hash128(f.k0, f.k1, f.buf)
	binary.LittleEndian.PutUint64(hash[:8], lo)
	binary.LittleEndian.PutUint64(hash[8:], hi)
	return hash, fp
}

// value appends a column's canonical bytes, none for what is empty or unknown.
func (f *Fingerprinter) value(base unsafe.Pointer, c *Column, i int) {
	size := f.t.rowSize
	number := func(v int64) { f.buf = binary.LittleEndian.AppendUint64(f.buf, uint64(v)) }
	switch c.Type {
	case String:
		f.buf = append(f.buf, *at[string](base, size, c.offset, i)...)
	case List:
		f.list = append(f.list[:0], *at[[]string](base, size, c.offset, i)...)
		slices.Sort(f.list)
		for _, v := range slices.Compact(f.list) {
			f.buf = append(binary.AppendUvarint(f.buf, uint64(len(v))), v...)
		}
	case Int32:
		number(int64(*at[int32](base, size, c.offset, i)))
	case Int64:
		if !c.Nullable {
			number(*at[int64](base, size, c.offset, i))
		} else if v := at[Opt[int64]](base, size, c.offset, i); v.Known {
			number(v.Value)
		}
	case Millis:
		v := *at[Time](base, size, c.offset, i)
		if v != 0 && c.Volatile {
			v = v/86_400_000 + 1
		}
		if v != 0 {
			number(int64(v))
		}
	case Bool:
		if v := at[Opt[bool]](base, size, c.offset, i); v.Known {
			b := byte(1)
			if v.Value {
				b = 2
			}
			f.buf = append(f.buf, b)
		}
	}
}

func fingerprint(b []byte) uint16 {
	if len(b) == 0 {
		return 0
	}
	h := xxhash.Sum64(b)
	return max(uint16(h^h>>16^h>>32^h>>48), 1)
}

// AppendKey appends a row's key, its columns after instance, in a form that
// SplitKey reads. ok is false for a row without a key: a column of it that is
// no mere kind is empty.
func (f *Fingerprinter) AppendKey(b []byte, rows *Rows, i int) (_ []byte, ok bool) {
	base := f.row(rows, i)
	for _, c := range f.keys {
		v := *at[string](base, f.t.rowSize, c.offset, i)
		if v == "" && !c.LC {
			return b, false
		}
		b = appendKeyColumn(b, v)
	}
	return b, true
}

// JoinKey is AppendKey for key columns that somebody names.
func (f *Fingerprinter) JoinKey(b []byte, key []string) (_ []byte, ok bool) {
	if len(key) != len(f.keys) {
		return b, false
	}
	for k, v := range key {
		if v == "" && !f.keys[k].LC {
			return b, false
		}
		b = appendKeyColumn(b, v)
	}
	return b, true
}

// appendKeyColumn writes what the sinks get: text in UTF-8.
func appendKeyColumn(b []byte, v string) []byte {
	if !utf8.ValidString(v) {
		v = strings.ToValidUTF8(v, "\ufffd")
	}
	return append(binary.AppendUvarint(b, uint64(len(v))), v...)
}

// SplitKey returns the key columns that AppendKey has joined.
func (f *Fingerprinter) SplitKey(key string) (out []string, ok bool) {
	for range f.keys {
		n, w := binary.Uvarint(bytesOf(key))
		if w <= 0 || n > uint64(len(key)-w) {
			return nil, false
		}
		out, key = append(out, key[w:w+int(n)]), key[w+int(n):]
	}
	return out, key == ""
}

// KeyHash returns the hash by which a key of a scope is remembered.
func (f *Fingerprinter) KeyHash(scope int64, key []byte) (hash [16]byte) {
	f.buf = append(binary.LittleEndian.AppendUint64(f.buf[:0], uint64(scope)), key...)
	lo, hi := siphash.Hash128(f.k0, f.k1, f.buf)
	binary.LittleEndian.PutUint64(hash[:8], lo)
	binary.LittleEndian.PutUint64(hash[8:], hi)
	return hash
}

func (f *Fingerprinter) row(rows *Rows, i int) unsafe.Pointer {
	base, n := rows.slice(f.t)
	if i < 0 || i >= n {
		panic("schemas: no such row")
	}
	return base
}

// Diff returns the change columns of a row of an entity table.
func (r *Rows) Diff(t *Table, i int) *Diff {
	base, n := r.slice(t)
	if !t.Entity || i < 0 || i >= n {
		panic("schemas: no such row")
	}
	return at[Diff](base, t.rowSize, t.Columns[len(envelope)].offset, i)
}

// AddKey appends a row of an entity table that holds its key only: the key
// columns after instance, in the table's order.
func (r *Rows) AddKey(t *Table, key []string) {
	r.grow(t)
	base, n := r.slice(t)
	for _, c := range t.Columns[len(envelope):] {
		if c.Key && len(key) > 0 {
			*at[string](base, t.rowSize, c.offset, n-1) = key[0]
			key = key[1:]
		}
	}
}

func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
