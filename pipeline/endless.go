package pipeline

import (
	"hash/maphash"

	"weir/internal/fault"
	"weir/sources"
)

// A vendor may show the same page for ever, under ever new cursors. What shows
// nothing new is bounded, and fails as what it is.
const (
	maxSamePages  = 4      // pages in a row with the same rows
	maxEmptyPages = 10_000 // pages in a row without rows; the next attempt goes on behind them
)

var pageSeed = maphash.MakeSeed()

// sameness counts pages in a row that show the same.
type sameness struct {
	last        uint64
	same, empty int
}

// take takes in the hash of a page that is not the last, 0 of an empty one; an
// error says that reading on is no use.
func (s *sameness) take(what string, sum uint64) error {
	switch {
	case sum == 0:
		s.empty++
	case sum == s.last:
		s.same++
	default:
		s.last, s.same, s.empty = sum, 1, 0
	}
	switch {
	case s.same >= maxSamePages:
		return fault.New(fault.Transient, "the same page%s came %d times in a row, each time under another cursor", what, s.same)
	case s.empty >= maxEmptyPages:
		s.empty = 0
		return fault.New(fault.Transient, "%d pages%s in a row were empty", maxEmptyPages, what)
	}
	return nil
}

// lanes takes in a page of a listing.
func (s *sameness) lanes(before sources.Cursor, page *sources.LanePage) error {
	if page.Complete {
		return nil
	}
	if page.Next == before && before != "" {
		return fault.New(fault.Transient, "the same page of lanes came again: the cursor does not move")
	}
	if len(page.Lanes) == 0 {
		return s.take(" of lanes", 0)
	}
	var h maphash.Hash
	h.SetSeed(pageSeed)
	for _, l := range page.Lanes {
		_, _ = h.WriteString(l.ID)
		_ = h.WriteByte(0)
		_, _ = h.WriteString(l.Hint)
		_ = h.WriteByte(0)
	}
	return s.take(" of lanes", max(1, h.Sum64()))
}

// events takes in a page of events.
func (s *sameness) events(page *sources.Page) error {
	if !page.More || page.Rows == nil {
		return nil
	}
	var h maphash.Hash
	h.SetSeed(pageSeed)
	for i := range page.Rows.Activities {
		_, _ = h.WriteString(page.Rows.Activities[i].EventID)
		_ = h.WriteByte(0)
	}
	if len(page.Rows.Activities) == 0 {
		return s.take("", 0)
	}
	return s.take("", max(1, h.Sum64()))
}

// entities takes in a page of a scan.
func (s *sameness) entities(page *sources.Page, tables []*scanTable) error {
	if !page.More || page.Rows == nil {
		return nil
	}
	var h maphash.Hash
	h.SetSeed(pageSeed)
	var key []byte
	n := 0
	for _, t := range tables {
		for i := range page.Rows.Len(t.table) {
			key, _ = t.print.AppendKey(key[:0], page.Rows, i)
			_, _ = h.Write(key)
			_ = h.WriteByte(0)
			n++
		}
	}
	if n == 0 {
		return s.take("", 0)
	}
	return s.take("", max(1, h.Sum64()))
}

// stuck remembers, of lanes that failed because one page came again and again,
// which: the next attempt fails at its first page, and waits longer.
func (r *StreamRun) stuck(lane string) sameness {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.same[lane]
}

func (r *StreamRun) setStuck(lane string, s sameness) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s.same < maxSamePages {
		delete(r.same, lane)
		return
	}
	s.same = maxSamePages - 1
	r.same[lane] = s
}
