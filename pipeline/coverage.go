package pipeline

import (
	"context"
	"slices"
	"time"

	"weir/internal/setting"
	"weir/sources"
)

// CoverageStore is the part of the state that knows what is complete.
type CoverageStore interface {
	// Coverage returns the spans of a stream that are complete, cut to within,
	// in order. They neither touch nor overlap. The zero Span is all of time.
	Coverage(ctx context.Context, s StreamID, within Span) ([]Span, error)
	// Holes returns what is known of spans that were missed, also of those
	// closed since, the oldest first.
	Holes(ctx context.Context, s StreamID) ([]Hole, error)
	// CoveredStreams returns the streams that have coverage or holes.
	CoveredStreams(ctx context.Context) ([]StreamID, error)
	// UnreadLanes returns lanes of a stream that are parked, failing, or of whole
	// objects and not done.
	UnreadLanes(ctx context.Context, s StreamID, limit int) ([]LaneState, error)
	// DayMarks returns what a sink was told of each day, by date, as hashes.
	DayMarks(ctx context.Context, sink string) (map[string]int64, error)
	// LastBatch is the number of the newest batch there has been.
	LastBatch(ctx context.Context) (int64, error)
	// OwedSince returns the oldest batch that a sink has not got; 0 if it has all.
	OwedSince(ctx context.Context, sink string) (int64, error)
	// DeliveredParts returns the newest part of each table that a sink has got.
	DeliveredParts(ctx context.Context, sink string) (map[string]string, error)
}

// CoverageTx changes what is complete.
type CoverageTx interface {
	// Cover records that a stream is complete within a span, however late its
	// events come. The span joins those it touches; holes that are covered
	// whole by then are closed. Holes of ClassSpool stay as they are, uncovered.
	Cover(s StreamID, span Span, now time.Time) error
	// Uncover records that a span is not complete after all.
	Uncover(s StreamID, span Span) error
	// Hole records a hole, or changes the one with its key. Since stays as it
	// was, unless the hole was closed. A hole without a key gets its span as one.
	// What is covered of it stays covered: see Uncover.
	Hole(s StreamID, h Hole, now time.Time) error
	// CloseHole closes a hole, and covers nothing. An unknown one is none.
	CloseHole(s StreamID, key, reason string, now time.Time) error
	// ForgetHoles removes holes that were closed before a time, but for those of
	// lanes that are still parked.
	ForgetHoles(closedBefore time.Time) error
	// SetDayMark records what a sink was told of a day.
	SetDayMark(sink, date string, hash int64) error
}

// Span is a half-open span of the time of events: From is in it, To is not.
// Both are UTC and whole milliseconds. From 1970-01-01 means from the beginning.
type Span struct{ From, To time.Time }

// Beginning is where spans begin that have no earlier bound.
var Beginning = time.UnixMilli(0).UTC()

// NewSpan returns the span between two times, at the precision of spans.
func NewSpan(from, to time.Time) Span {
	return Span{From: time.UnixMilli(from.UnixMilli()).UTC(), To: time.UnixMilli(to.UnixMilli()).UTC()}
}

// Empty says whether there is no time in the span.
func (s Span) Empty() bool { return !s.From.Before(s.To) }

// Duration is how long the span is.
func (s Span) Duration() time.Duration { return max(0, s.To.Sub(s.From)) }

// Holds says whether all of another span is in it.
func (s Span) Holds(o Span) bool { return !o.From.Before(s.From) && !s.To.Before(o.To) }

// Overlaps says whether two spans have time in common.
func (s Span) Overlaps(o Span) bool { return s.From.Before(o.To) && o.From.Before(s.To) }

// HoleState says what becomes of a hole.
type HoleState string

// States of holes.
const (
	HoleOpen    HoleState = "open"    // to be collected again
	HoleClosing HoleState = "closing" // being collected again
	HoleClosed  HoleState = "closed"  // nothing is missing any more
	HoleLost    HoleState = "lost"    // the vendor has it no longer
)

// Hole is a span in which something may be missing.
type Hole struct {
	Key string // unique within the stream; see LaneHole
	Span
	Class  string // of the error; or a Class constant
	Reason string // for people
	State  HoleState
	Since  time.Time // when it was found
	Tries  int       // to collect it again
	Tried  time.Time // when the last one began; zero if none has
	Closed time.Time // zero unless State is HoleClosed
}

// Classes of holes that no error stands for.
const (
	ClassExpired   = "expired"   // the place where reading went on was behind what the vendor still tells
	ClassRetention = "retention" // Weir was away for longer than the vendor keeps records
	ClassUnread    = "unread"    // a lane that was listed and not read yet
	// ClassSpool: rows were lost with the spool. They count as sent until the
	// state is reconciled; before, reading them again brings nothing.
	ClassSpool = "spool"
	ClassAgain = "spool_again" // the same, once the state has been reconciled
)

// LaneHole is the key of the hole that a lane makes which cannot be read.
func LaneHole(l sources.Lane) string { return laneHolePrefix + l.ID + "\n" + l.Hint }

const laneHolePrefix = "lane:"

// OfLane says whether a hole stands for a lane that could not be read; the
// stream itself tries that lane again, unless it is parked.
func (h Hole) OfLane() bool {
	return len(h.Key) > len(laneHolePrefix) && h.Key[:len(laneHolePrefix)] == laneHolePrefix
}

// Missing says whether the hole is still one.
func (h Hole) Missing() bool { return h.State != HoleClosed }

// Union returns the time that is in any of the spans, in order, without spans
// that touch. All functions of spans take them in any order.
func Union(spans ...[]Span) []Span {
	var all []Span
	for _, s := range spans {
		for _, v := range s {
			if !v.Empty() {
				all = append(all, v)
			}
		}
	}
	slices.SortFunc(all, func(a, b Span) int { return a.From.Compare(b.From) })
	out := all[:0]
	for _, s := range all {
		if n := len(out); n > 0 && !s.From.After(out[n-1].To) {
			if out[n-1].To.Before(s.To) {
				out[n-1].To = s.To
			}
			continue
		}
		out = append(out, s)
	}
	return out
}

// Subtract returns the time that is in a and not in b.
func Subtract(a, b []Span) (out []Span) {
	cuts := Union(b)
	for _, s := range Union(a) {
		for len(cuts) > 0 && !cuts[0].To.After(s.From) {
			cuts = cuts[1:]
		}
		for _, c := range cuts {
			if !c.From.Before(s.To) {
				break
			}
			if s.From.Before(c.From) {
				out = append(out, Span{From: s.From, To: c.From})
			}
			if s.From = c.To; s.Empty() {
				break
			}
		}
		if !s.Empty() {
			out = append(out, s)
		}
	}
	return out
}

// Intersect returns the time that is in a and in b.
func Intersect(a, b []Span) (out []Span) {
	a, b = Union(a), Union(b)
	for len(a) > 0 && len(b) > 0 {
		from, to := a[0].From, a[0].To
		if from.Before(b[0].From) {
			from = b[0].From
		}
		if b[0].To.Before(to) {
			to = b[0].To
		}
		if from.Before(to) {
			out = append(out, Span{From: from, To: to})
		}
		if a[0].To.Before(b[0].To) {
			a = a[1:]
		} else {
			b = b[1:]
		}
	}
	return out
}

// How long a hole waits until it is collected again: doubled at each try.
const (
	firstHoleWait = 5 * time.Minute
	maxHoleWait   = 12 * time.Hour
)

// DueAt is when a hole is to be collected again; zero if never.
func (h Hole) DueAt() time.Time {
	switch {
	case h.State == HoleClosed || h.State == HoleLost:
		return time.Time{}
	case h.OfLane() && h.Class == ClassUnread:
		return time.Time{} // the stream itself reads it
	case h.Class == ClassSpool:
		return time.Time{}
	case h.Tries == 0:
		return h.Since.Add(firstHoleWait)
	default:
		return h.Tried.Add(min(firstHoleWait<<min(h.Tries, 20), maxHoleWait))
	}
}

// Owed returns the spans of a stream that are to be collected again now, the
// newest first: what of its holes is not covered, that the vendor still has
// (retention; 0: for ever), and has waited long enough. What is newer than where the stream is now is
// the stream's own work.
func Owed(ctx context.Context, st CoverageStore, s StreamID, retention time.Duration, now time.Time) ([]Span, error) {
	covered, err := st.Coverage(ctx, s, Span{})
	if err != nil {
		return nil, err
	}
	holes, err := st.Holes(ctx, s)
	if err != nil {
		return nil, err
	}
	return owed(covered, holes, retention, now), nil
}

func owed(covered []Span, holes []Hole, retention time.Duration, now time.Time) []Span {
	var missing, waiting []Span
	for _, h := range holes {
		if !h.Missing() {
			continue
		}
		missing = append(missing, h.Span)
		if due := h.DueAt(); due.IsZero() || due.After(now) && !due.After(now.Add(leastFar+maxHoleWait)) {
			waiting = append(waiting, h.Span)
		}
	}
	out := Subtract(Subtract(missing, covered), waiting)
	if retention > 0 {
		out = Intersect(out, []Span{{From: now.Add(-retention), To: now}})
	}
	slices.Reverse(out)
	return out
}

// lostHoles returns the open holes that the vendor has nothing of any more, as
// they are to be recorded.
func lostHoles(holes []Hole, retention time.Duration, now time.Time) (out []Hole) {
	if retention <= 0 {
		return nil
	}
	for _, h := range holes {
		// What is being collected again is not judged before that has ended.
		if h.State != HoleOpen || h.To.After(now.Add(-retention)) {
			continue
		}
		h.State = HoleLost
		h.Reason += "; the vendor keeps records for " + setting.FormatDuration(retention)
		out = append(out, h)
	}
	return out
}
