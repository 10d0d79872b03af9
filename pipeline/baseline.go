package pipeline

import (
	"encoding/binary"
)

// keyHash is what a row's key is remembered by.
type keyHash [16]byte

// rowFlags say how a row stands.
type rowFlags int64

const (
	rowRemoved rowFlags = 1 << iota // kept for a while, so that an older reading cannot bring it back
	rowHeld                         // its removal waits for a person
	rowBlind                        // whoever looks now may not see it
	rowOwed                         // it went out with columns not asked for
)

// Baseline is what is remembered of a row as it was last delivered.
type Baseline struct {
	Scope   int64
	Row     int64 // its number within the scope
	Key     keyHash
	Lane    int64 // that last showed it
	Missed  int64 // the first of the complete rounds in a row that did not show it
	Flags   rowFlags
	At      int64 // when the request that last changed it began, in milliseconds
	Mapping int
	prints
	KeyText string
}

// prints tell one version of a row from another.
type prints struct {
	Layout  int64    // the columns of Columns
	Sent    uint16   // the day it was last sent, since 1970
	Whole   [16]byte // hash of all compared columns; zero when some were not asked for
	Columns []uint16 // a fingerprint each
}

// pack makes the stored form: about two bytes a column and twenty more.
func (p *prints) pack() []byte {
	b := make([]byte, 0, 24+2*len(p.Columns))
	b = binary.AppendUvarint(b, uint64(p.Layout))
	b = binary.LittleEndian.AppendUint16(b, p.Sent)
	b = append(b, p.Whole[:]...)
	for _, c := range p.Columns {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	return b
}

// unpack reads what pack made, keeping the memory of Columns. A damaged form
// reads as that of a row of which nothing is known.
func (p *prints) unpack(b []byte) {
	layout, n := binary.Uvarint(b)
	p.Columns = p.Columns[:0]
	if n <= 0 || len(b) < n+18 {
		p.Layout, p.Sent, p.Whole = 0, 0, [16]byte{}
		return
	}
	p.Layout, p.Sent = int64(layout), binary.LittleEndian.Uint16(b[n:])
	copy(p.Whole[:], b[n+2:])
	for b = b[n+18:]; len(b) >= 2; b = b[2:] {
		p.Columns = append(p.Columns, binary.LittleEndian.Uint16(b))
	}
}

// rowSet is a set of row numbers: a bit each.
type rowSet struct {
	words []uint64
	n     int64
}

func (s *rowSet) has(row int64) bool {
	w := row >> 6
	return w < int64(len(s.words)) && s.words[w]&(1<<(row&63)) != 0
}

func (s *rowSet) add(row int64) {
	w := row >> 6
	if w >= int64(len(s.words)) {
		grown := make([]uint64, max(w+1, int64(len(s.words))*5/4))
		copy(grown, s.words)
		s.words = grown
	}
	if b := uint64(1) << (row & 63); s.words[w]&b == 0 {
		s.words[w] |= b
		s.n++
	}
}

func (s *rowSet) clear() { s.words, s.n = nil, 0 }

// packRows makes the stored form of row numbers: differences, one byte each as
// long as a listing keeps its order.
func packRows(rows []int64) []byte {
	b := make([]byte, 0, 2*len(rows)+8)
	last := int64(0)
	for _, r := range rows {
		b = binary.AppendVarint(b, r-last)
		last = r
	}
	return b
}

// addPacked adds what packRows made.
func (s *rowSet) addPacked(b []byte) {
	last := int64(0)
	for len(b) > 0 {
		d, n := binary.Varint(b)
		if n <= 0 {
			return
		}
		last += d
		if last >= 0 && last < 1<<32 {
			s.add(last)
		}
		b = b[n:]
	}
}
