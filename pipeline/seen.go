package pipeline

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/cespare/xxhash/v2"
	"github.com/dchest/siphash"

	"weir/schemas"
)

// Seen ids are kept per hour of event time, 12 bytes each: 8 of the event id's
// keyed hash, 4 of the content's. An event is dropped only when both are known,
// so neither a collision nor a record rewritten under its id loses anything.
const (
	seenEntry    = 12
	hourMS       = 3_600_000
	seenResident = 1 << 19 // entries all streams hold in memory before idle hours are let go: 16 bytes each
	seenShare    = 1 << 12 // entries a stream may hold even then
	anyContent   = 0       // the content of an event known by its id alone: every content is the one sent
)

// seenRoom is the memory that the seen ids of all streams share.
type seenRoom struct{ used, streams atomic.Int64 }

// share is how many entries a stream may hold when there is no more room.
func (r *seenRoom) share() int {
	return int(max(seenShare, seenResident/max(1, r.streams.Load())))
}

// verdict says what is known of an event.
type verdict int

const (
	isNew verdict = iota
	isDuplicate
	isConflict // known id, other content: sent again
	isUnproven // older than the ids remembered: sent
	isPartial  // some sinks have it: sent to the others
)

// seenIDs is what one stream has sent.
type seenIDs struct {
	state  State
	stream StreamID
	room   *seenRoom
	k0, k1 uint64 // secret, so that nobody can make two event ids collide

	mu       sync.Mutex
	loaded   bool
	floor    int64
	hours    map[int64]*seenHour
	resident int
	tick     int64
}

type entry struct {
	id      uint64
	content uint32
}

type seenHour struct {
	sorted []entry
	partly map[uint64][]partly // events that some sinks have
	fresh  map[uint64]uint32
	pins   int // pages on their way to the state that added ids here
	used   int64
}

func newSeenIDs(state State, stream StreamID, key [16]byte, room *seenRoom) *seenIDs {
	room.streams.Add(1)
	return &seenIDs{
		state: state, stream: stream, room: room, hours: map[int64]*seenHour{},
		k0: binary.LittleEndian.Uint64(key[:8]), k1: binary.LittleEndian.Uint64(key[8:]),
	}
}

// seenPage gathers the ids one page adds.
type seenPage struct {
	ids      *seenIDs
	packed   map[int64][]byte
	replaced []replaced
}

// replaced is an id that was known with another content before a page added it.
type replaced struct {
	hour   int64
	before entry
}

// begin locks the stream's ids for one page; end releases them. In between no
// other page is judged, so that two pages in flight cannot both send an event.
func (s *seenIDs) begin(ctx context.Context) (*seenPage, error) {
	s.mu.Lock()
	if !s.loaded {
		floor, err := s.state.SeenFloor(ctx, s.stream)
		if err != nil {
			s.mu.Unlock()
			return nil, err
		}
		s.floor, s.loaded = floor, true
	}
	return &seenPage{ids: s, packed: map[int64][]byte{}}, nil
}

func (p *seenPage) end() { p.ids.mu.Unlock() }

// noTime stands for the time of an event whose own is impossible: its ids are
// kept together, whenever it is read.
const noTime = schemas.Time(0)

// judge says what is known of an event and remembers it. A partial event's sinks
// are those of had.
func (p *seenPage) judge(ctx context.Context, eventID, content string, t schemas.Time) (v verdict, had []string, err error) {
	s := p.ids
	hour := int64(t) / hourMS
	h, ok := s.hours[hour]
	if !ok {
		if h, err = s.load(ctx, hour); err != nil {
			return isNew, nil, err
		}
	}
	s.tick++
	h.used = s.tick
	id, sum := s.hash(eventID), contentSum(content)
	known, isKnown := h.find(id)
	switch {
	case isKnown && (known == sum || known == anyContent):
		return isDuplicate, nil, nil
	case len(h.partly) > 0 && h.had(id, sum) != nil:
		p.add(hour, h, id, sum, known, isKnown)
		return isPartial, h.had(id, sum), nil
	case !isKnown && hour > 0 && hour <= s.floor && h.len() == 0:
		// The hour's ids were forgotten. It is remembered again from here on.
		p.add(hour, h, id, sum, known, isKnown)
		return isUnproven, nil, nil
	}
	p.add(hour, h, id, sum, known, isKnown)
	switch {
	case isKnown || h.partly[id] != nil:
		return isConflict, nil, nil
	case hour > 0 && hour <= s.floor:
		return isUnproven, nil, nil
	}
	return isNew, nil, nil
}

// hash is what an event's id is remembered by: of the text that sinks get.
func (s *seenIDs) hash(eventID string) uint64 {
	return siphash.Hash(s.k0, s.k1, bytesOf(validText(eventID)))
}

func validText(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return strings.ToValidUTF8(s, "\ufffd")
}

func (p *seenPage) add(hour int64, h *seenHour, id uint64, content, known uint32, isKnown bool) {
	buf, ok := p.packed[hour]
	if !ok {
		h.pins++
	}
	if isKnown {
		p.replaced = append(p.replaced, replaced{hour, entry{id, known}})
	}
	buf = binary.LittleEndian.AppendUint64(buf, id)
	p.packed[hour] = binary.LittleEndian.AppendUint32(buf, content)
	before := h.len()
	h.fresh[id] = content
	if len(h.fresh) > max(1024, len(h.sorted)/4) {
		h.merge()
	}
	p.ids.hold(h.len() - before)
}

// hold counts entries held in memory, or let go.
func (s *seenIDs) hold(n int) {
	s.resident += n
	s.room.used.Add(int64(n))
}

// contentSum is what a content is remembered by; never anyContent.
func contentSum(content string) uint32 {
	return max(1, uint32(xxhash.Sum64String(validText(content))))
}

// committed tells that the page's ids are in the state.
func (p *seenPage) committed() {
	p.ids.mu.Lock()
	defer p.ids.mu.Unlock()
	p.unpin()
}

func (p *seenPage) unpin() {
	for hour := range p.packed {
		p.ids.hours[hour].pins--
	}
	p.ids.letGo()
}

// giveUp tells that the page will not be committed.
func (p *seenPage) giveUp() {
	p.ids.mu.Lock()
	defer p.ids.mu.Unlock()
	p.undo()
}

// undo takes back what the page added: its events have not been sent. An id
// that another page has changed since is that page's.
func (p *seenPage) undo() {
	for hour, packed := range p.packed {
		h := p.ids.hours[hour]
		before := h.len()
		was := map[uint64]uint32{}
		changed := map[uint64]int{} // how often the page changed an id that was known
		for _, r := range p.replaced {
			if r.hour == hour {
				if changed[r.before.id] == 0 {
					was[r.before.id] = r.before.content
				}
				changed[r.before.id]++
			}
		}
		added := map[uint64]int{}
		last := map[uint64]uint32{}
		for _, e := range unpack([][]byte{packed}) {
			added[e.id]++
			last[e.id] = e.content
		}
		gone := map[uint64]bool{}
		for id, content := range last {
			if now, _ := h.find(id); now != content {
				continue
			}
			if changed[id] == added[id] { // it was known before the page
				h.fresh[id] = was[id]
				continue
			}
			delete(h.fresh, id)
			gone[id] = true
		}
		h.sorted = slices.DeleteFunc(h.sorted, func(e entry) bool { return gone[e.id] })
		p.ids.hold(h.len() - before)
	}
	p.unpin()
	p.packed, p.replaced = nil, nil
}

func (s *seenIDs) load(ctx context.Context, hour int64) (*seenHour, error) {
	segments, err := s.state.SeenHour(ctx, s.stream, hour)
	if err != nil {
		return nil, err
	}
	some, err := s.state.SeenPartly(ctx, s.stream, hour)
	if err != nil {
		return nil, err
	}
	h := &seenHour{sorted: unpackSeen(segments), fresh: map[uint64]uint32{}, partly: unpackPartly(some)}
	s.hours[hour] = h
	s.hold(h.len())
	return h, nil
}

// letGo drops the hours longest unused while all streams hold too much, and this
// one more than its share. Hours with ids on their way to the state stay.
func (s *seenIDs) letGo() {
	for s.room.used.Load() > seenResident && s.resident > s.room.share() {
		oldest, found := int64(0), false
		for hour, h := range s.hours {
			if h.pins == 0 && (!found || h.used < s.hours[oldest].used) {
				oldest, found = hour, true
			}
		}
		if !found || len(s.hours) == 1 {
			return
		}
		s.hold(-s.hours[oldest].len())
		delete(s.hours, oldest)
	}
}

func (h *seenHour) len() int { return len(h.sorted) + len(h.fresh) + len(h.partly) }

// partly is an event as a sink has it that others have not.
type partly struct {
	sink    string
	content uint32
}

func unpackPartly(bySink map[string][][]byte) map[uint64][]partly {
	out := map[uint64][]partly{}
	for _, sink := range slices.Sorted(maps.Keys(bySink)) {
		for _, e := range unpackPairs(bySink[sink]) {
			out[e.id] = append(out[e.id], partly{sink, e.content})
		}
	}
	return out
}

// had returns the sinks that have an event in this content; nil for none.
func (h *seenHour) had(id uint64, content uint32) (sinks []string) {
	for _, s := range h.partly[id] {
		if s.content == content || s.content == anyContent {
			sinks = append(sinks, s.sink)
		}
	}
	return slices.Compact(sinks)
}

func (h *seenHour) find(id uint64) (uint32, bool) {
	if c, ok := h.fresh[id]; ok {
		return c, true
	}
	i, ok := slices.BinarySearchFunc(h.sorted, id, func(e entry, id uint64) int { return cmp.Compare(e.id, id) })
	if !ok {
		return 0, false
	}
	return h.sorted[i].content, true
}

func (h *seenHour) merge() {
	for id, c := range h.fresh {
		h.sorted = append(h.sorted, entry{id, c})
	}
	clear(h.fresh)
	h.sorted = sortLast(h.sorted)
}

// sortLast sorts entries by id and keeps, of those with one id, the last.
func sortLast(e []entry) []entry {
	slices.SortStableFunc(e, func(a, b entry) int { return cmp.Compare(a.id, b.id) })
	out := e[:0]
	for i, v := range e {
		if i+1 < len(e) && e[i+1].id == v.id {
			continue
		}
		out = append(out, v)
	}
	return out
}

func unpackSeen(segments [][]byte) []entry { return sortLast(unpack(segments)) }

// unpackPairs keeps the different contents of an id.
func unpackPairs(segments [][]byte) []entry {
	out := unpack(segments)
	slices.SortFunc(out, func(a, b entry) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.content, b.content)) })
	return slices.Compact(out)
}

func unpack(segments [][]byte) []entry {
	n := 0
	for _, b := range segments {
		n += len(b) / seenEntry
	}
	out := make([]entry, 0, n)
	for _, b := range segments {
		for ; len(b) >= seenEntry; b = b[seenEntry:] {
			out = append(out, entry{binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint32(b[8:])})
		}
	}
	return out
}

func packSeen(e []entry) []byte {
	out := make([]byte, 0, len(e)*seenEntry)
	for _, v := range e {
		out = binary.LittleEndian.AppendUint64(out, v.id)
		out = binary.LittleEndian.AppendUint32(out, v.content)
	}
	return out
}

// maintain merges hours kept in many pieces and forgets hours that got no new
// id for keep, unless they are held.
func (s *seenIDs) maintain(ctx context.Context, update func(context.Context, func(Tx) error) error, now time.Time, keep time.Duration, held func(hour int64) bool) error {
	const pieces = 16
	stale, err := s.state.SeenStale(ctx, s.stream, now.Add(-keep))
	if err != nil {
		return err
	}
	stale = slices.DeleteFunc(stale, held)
	fragmented, err := s.state.SeenFragmented(ctx, s.stream, pieces)
	if err != nil {
		return err
	}
	var errs []error
	for _, hour := range fragmented {
		if slices.Contains(stale, hour) {
			continue
		}
		errs = append(errs, update(ctx, func(tx Tx) error {
			return tx.MergeSeen(s.stream, hour, func(segments [][]byte) []byte { return packSeen(unpackSeen(segments)) })
		}))
	}
	for _, hour := range stale {
		errs = append(errs, s.forget(ctx, update, hour))
	}
	return errors.Join(errs...)
}

func (s *seenIDs) forget(ctx context.Context, update func(context.Context, func(Tx) error) error, hour int64) error {
	s.mu.Lock()
	h, ok := s.hours[hour]
	if ok && h.pins > 0 {
		s.mu.Unlock()
		return nil // it has just become fresh again
	}
	if ok {
		s.hold(-h.len())
		delete(s.hours, hour)
	}
	s.floor = max(s.floor, hour)
	s.mu.Unlock()
	return update(ctx, func(tx Tx) error { return tx.ForgetSeen(s.stream, hour) })
}

// bytesOf views a string as bytes, which must not be written to.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
