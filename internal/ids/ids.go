// Package ids makes UUIDv7s that only ever grow. They are never derived from
// cursors, counters or content, so a restored state cannot repeat them.
package ids

import (
	"encoding/binary"
	"io"
	"sync"

	"github.com/google/uuid"
	"github.com/jonboulle/clockwork"
)

// Maker makes ids. It is safe for concurrent use.
type Maker struct {
	clock clockwork.Clock
	rand  io.Reader

	mu   sync.Mutex
	ms   int64
	high uint64 // 12 bits
	low  uint64 // 62 bits
}

// NewMaker returns a Maker that takes time from clock and randomness from rand.
func NewMaker(clock clockwork.Clock, rand io.Reader) *Maker {
	return &Maker{clock: clock, rand: rand}
}

// New returns the next id: 48 bits of milliseconds, 74 random bits. Within a
// millisecond, or after the clock was set back, it is the last id plus a random
// step.
func (m *Maker) New() string {
	var b [10]byte
	if _, err := io.ReadFull(m.rand, b[:]); err != nil {
		panic("ids: no randomness: " + err.Error()) // crypto/rand never fails
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := m.clock.Now().UnixMilli(); now > m.ms {
		m.ms = now
		m.high = uint64(binary.BigEndian.Uint16(b[:2])) & 0xfff
		m.low = binary.BigEndian.Uint64(b[2:]) >> 2
	} else {
		m.low += 1 + binary.BigEndian.Uint64(b[2:])>>24
		m.high += m.low >> 62
		m.low &= 1<<62 - 1
		m.ms += int64(m.high >> 12)
		m.high &= 0xfff
	}
	var u uuid.UUID
	binary.BigEndian.PutUint64(u[:8], uint64(m.ms)<<16|7<<12|m.high)
	binary.BigEndian.PutUint64(u[8:], 2<<62|m.low)
	return u.String()
}
