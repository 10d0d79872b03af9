package pipeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"weir/internal/setting"
	"weir/sources"
)

// LedgerStream is a stream of events that a ledger is to tell of.
type LedgerStream struct {
	ID    StreamID
	Info  sources.StreamInfo
	Every time.Duration // between polls
}

// StreamLedger says what of a stream is complete within a span.
type StreamLedger struct {
	StreamID
	Asked    Span
	Began    time.Time // where collection of the stream begins; zero: nothing is covered yet
	UpTo     time.Time // until when all has been collected or is a hole
	Covered  []Span
	Missing  []LedgerHole
	Open     Span // not closed yet: what happens now, or may still come
	Trouble  *Trouble
	Complete bool // nothing is missing but what is in Open
}

// LedgerHole is a span in which something may be missing, and what becomes of it.
type LedgerHole struct {
	Span
	Class  string
	Reason string
	State  HoleState
	Since  time.Time // when it was found; zero if that is not known
	Does   string    // what Weir does about it
	When   time.Time // and when; zero if at no set time
}

// Classes of missing spans that are no holes on record.
const (
	ClassBehind  = "behind"  // not collected yet, though it should be
	ClassBefore  = "before"  // before the collection began
	ClassUnknown = "unknown" // no run tells of it
)

// slack is how much later than its lateness a stream may be that works: its
// polls, runs that found nothing and are told together, what a poll itself takes.
func (s LedgerStream) slack() time.Duration { return 3*s.Every + quietRuns + 5*time.Minute }

// dueUpTo is until when a stream that works is complete.
func (s LedgerStream) dueUpTo(now time.Time) time.Time {
	return now.Add(-s.Info.Lateness - s.slack())
}

// Ledger says what of a stream is complete within a span. A zero From is where
// the stream began, a zero To is now.
func Ledger(ctx context.Context, st State, s LedgerStream, within Span, now time.Time) (l StreamLedger, err error) {
	covered, err := st.Coverage(ctx, s.ID, Span{})
	if err != nil {
		return l, err
	}
	holes, err := st.Holes(ctx, s.ID)
	if err != nil {
		return l, err
	}
	upTo, err := CoveredTo(ctx, st, s.ID)
	if err != nil {
		return l, err
	}
	trouble, err := ReadTrouble(ctx, st, s.ID)
	if err != nil {
		return l, err
	}
	start, err := startedAt(ctx, st, s.ID)
	if err != nil {
		return l, err
	}
	return ledgerOf(s, start, covered, holes, upTo, trouble, within, now), nil
}

func ledgerOf(s LedgerStream, start time.Time, covered []Span, holes []Hole, upTo time.Time, trouble *Trouble, within Span, now time.Time) StreamLedger {
	l := StreamLedger{StreamID: s.ID, UpTo: upTo, Trouble: trouble}
	for _, c := range covered {
		l.began(c.From)
		upTo = later(upTo, c.To) // a state of before the frontier was kept
	}
	for _, h := range holes {
		if h.Missing() {
			l.began(h.From)
		}
	}
	if !start.IsZero() { // what a backfill has covered before is no beginning
		l.Began = start
	}
	l.Asked = Span{From: within.From, To: within.To}
	if l.Asked.To.IsZero() || l.Asked.To.After(now) {
		l.Asked.To = now
	}
	if l.Asked.From.IsZero() {
		l.Asked.From = cmp.Or(l.Began, l.Asked.To)
	}
	l.Asked = NewSpan(l.Asked.From, l.Asked.To)
	asked := []Span{l.Asked}
	l.Covered = Intersect(covered, asked)

	// What is newer than the stream has come to is open, while that is no later
	// than it should be.
	missing := Subtract(asked, covered)
	tail := Span{From: upTo, To: now.Add(time.Millisecond)}
	if l.Began.IsZero() {
		tail.From = Beginning
	}
	behind := tail.From.Before(s.dueUpTo(now))
	for _, m := range Intersect(missing, []Span{tail}) {
		if behind {
			l.Missing = append(l.Missing, s.behind(m, trouble, l.Began.IsZero()))
		} else {
			l.Open = m
		}
	}
	missing = Subtract(missing, []Span{tail})
	for _, m := range missing {
		l.Missing = append(l.Missing, s.explain(m, l.Began, holes, now)...)
	}
	slices.SortFunc(l.Missing, func(a, b LedgerHole) int {
		return cmp.Or(a.From.Compare(b.From), a.To.Compare(b.To), strings.Compare(a.Reason, b.Reason))
	})
	l.Complete = len(l.Missing) == 0
	return l
}

func (l *StreamLedger) began(t time.Time) {
	if l.Began.IsZero() || t.Before(l.Began) {
		l.Began = t
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

func (s LedgerStream) behind(m Span, trouble *Trouble, never bool) LedgerHole {
	h := LedgerHole{Span: m, Class: ClassBehind, Reason: "not collected yet", State: HoleOpen, Does: "the stream goes on from there"}
	if never {
		h.Reason = "nothing has been collected to its end yet"
	}
	if trouble != nil {
		h.Reason += fmt.Sprintf(", failing since %s: %s", trouble.Since.Format(time.RFC3339), trouble.Error)
		h.Since = trouble.Since
		if trouble.Stops() {
			h.Does = "it is tried again every few minutes; somebody must mend what is wrong"
		}
	}
	return h
}

// explain says why a span is missing: the holes in it, and what none tells of.
func (s LedgerStream) explain(m Span, began time.Time, holes []Hole, now time.Time) (out []LedgerHole) {
	rest := []Span{m}
	if m.From.Before(began) {
		before := Span{From: m.From, To: began}
		if m.To.Before(began) {
			before.To = m.To
		}
		rest = Subtract(rest, []Span{before})
		out = append(out, LedgerHole{Span: before, Class: ClassBefore, Reason: "before the collection of this stream began", State: HoleOpen, Does: "nothing; see weir backfill"})
	}
	whole := slices.Clone(rest)
	for _, h := range holes {
		if !h.Missing() {
			continue
		}
		for _, part := range Intersect(whole, []Span{h.Span}) {
			does, when := s.does(h, now)
			out = append(out, LedgerHole{Span: part, Class: h.Class, Reason: h.Reason, State: h.State, Since: h.Since, Does: does, When: when})
		}
		rest = Subtract(rest, []Span{h.Span})
	}
	for _, r := range rest {
		out = append(out, LedgerHole{Span: r, Class: ClassUnknown, Reason: "no run tells of it", State: HoleOpen, Does: "nothing; see weir backfill"})
	}
	return out
}

// does says what becomes of a hole.
func (s LedgerStream) does(h Hole, now time.Time) (string, time.Time) {
	switch {
	case h.State == HoleLost:
		return "nothing can be done: the vendor has it no longer", time.Time{}
	case h.State == HoleClosing:
		return fmt.Sprintf("it is being collected again, for the %s time", ordinal(h.Tries)), h.Tried
	case h.Class == ClassSpool:
		return "it is collected again once `weir state reconcile` has found what the sinks hold", time.Time{}
	case h.OfLane() && h.Class == ClassUnread:
		return "the stream goes on trying to read it", time.Time{}
	case h.OfLane():
		return "it waits for another version of the object, or for somebody: see weir deadletter", time.Time{}
	default:
		does := "it is collected again"
		if s.Info.Retention > 0 {
			does += ", until the vendor has it no longer, " + setting.FormatDuration(s.Info.Retention) + " after it happened"
		}
		return does, later(h.DueAt(), now)
	}
}

func ordinal(n int) string {
	switch {
	case n%10 == 1 && n%100 != 11:
		return fmt.Sprint(n, "st")
	case n%10 == 2 && n%100 != 12:
		return fmt.Sprint(n, "nd")
	case n%10 == 3 && n%100 != 13:
		return fmt.Sprint(n, "rd")
	default:
		return fmt.Sprint(n, "th")
	}
}

// Day says whether a day (UTC) is complete.
type Day struct {
	Date     string                       `json:"dt"` // 2026-01-31
	Complete bool                         `json:"complete"`
	Closed   bool                         `json:"-"` // no more is awaited, but for holes
	Streams  map[string]map[string]string `json:"instances"`
}

// DayCovered is the word for a stream that is complete on a day; any other says
// what is missing.
const DayCovered = "covered"

// dayGrace is how long after its end and the lateness a day is waited for whose streams are
// behind.
const dayGrace = 24 * time.Hour

// DayLedger is a stream as Days sees it.
type DayLedger struct {
	LedgerStream
	Start   time.Time // zero: where the coverage begins
	Covered []Span
	Holes   []Hole
	UpTo    time.Time
	Trouble *Trouble
}

// ReadDayLedgers reads what Days needs.
func ReadDayLedgers(ctx context.Context, st State, streams []LedgerStream) (out []DayLedger, err error) {
	for _, s := range streams {
		d := DayLedger{LedgerStream: s}
		if d.Covered, err = st.Coverage(ctx, s.ID, Span{}); err != nil {
			return nil, err
		}
		if d.Holes, err = st.Holes(ctx, s.ID); err != nil {
			return nil, err
		}
		if d.UpTo, err = CoveredTo(ctx, st, s.ID); err != nil {
			return nil, err
		}
		if d.Start, err = startedAt(ctx, st, s.ID); err != nil {
			return nil, err
		}
		if d.Trouble, err = ReadTrouble(ctx, st, s.ID); err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

// Days says of the days that have ended, the oldest first and at most limit of
// them, whether they are complete. A day is closed when every stream has come
// past it, late events included, or dayGrace after that was due, then with what is
// missing. A stream counts from the day on which its collection began.
func Days(streams []DayLedger, now time.Time, limit int) (out []Day) {
	const day = 24 * time.Hour
	last := now.UTC().Truncate(day).Add(-day)
	first := last.Add(-time.Duration(limit-1) * day)
	began := time.Time{}
	ledgers := make([]StreamLedger, len(streams))
	for i, s := range streams {
		l := ledgerOf(s.LedgerStream, s.Start, s.Covered, s.Holes, s.UpTo, s.Trouble, Span{}, now)
		ledgers[i] = l
		if !l.Began.IsZero() && (began.IsZero() || l.Began.Before(began)) {
			began = l.Began
		}
	}
	if began.IsZero() {
		return nil
	}
	if first.Before(began) {
		first = began.UTC().Truncate(day)
	}
	for d := first; !d.After(last); d = d.Add(day) {
		whole := Span{From: d, To: d.Add(day)}
		one := Day{Date: d.Format(time.DateOnly), Complete: true, Closed: true, Streams: map[string]map[string]string{}}
		for i, s := range streams {
			l := ledgers[i]
			if l.Began.IsZero() || !l.Began.Before(whole.To) {
				continue
			}
			word := DayCovered
			if rest := Subtract([]Span{whole}, l.Covered); len(rest) > 0 {
				word = dayReason(whole, rest, l)
				one.Complete = false
				one.Closed = one.Closed && (!s.UpTo.Before(whole.To) || now.Sub(whole.To) > dayGrace+s.Info.Lateness)
			}
			if one.Streams[s.ID.Instance] == nil {
				one.Streams[s.ID.Instance] = map[string]string{}
			}
			one.Streams[s.ID.Instance][s.ID.Stream] = word
		}
		out = append(out, one)
	}
	return out
}

// dayReason words what is missing of a day.
func dayReason(whole Span, rest []Span, l StreamLedger) string {
	for _, m := range l.Missing {
		if both := Intersect(rest, []Span{m.Span}); len(both) > 0 {
			if m.Class == ClassBehind { // its reason changes at every attempt
				break
			}
			return fmt.Sprintf("%s: %s", m.State, m.Reason)
		}
	}
	if whole.From.Before(l.Began) {
		return "the collection began at " + l.Began.Format(time.RFC3339)
	}
	return "not collected yet"
}
