package pipeline

import (
	"context"
	"fmt"
	"time"

	"weir/internal/setting"
	"weir/sources"
)

// Color says in a word how a stream fares.
type Color string

// Colors. docs/ledger.md defines them.
const (
	Green  Color = "green"
	Yellow Color = "yellow"
	Red    Color = "red"
)

// Health is how a stream fares, and why.
type Health struct {
	Color  Color
	Reason string // "" when green
}

// HealthInput is what a stream's health follows from.
type HealthInput struct {
	Info       sources.StreamInfo
	Every      time.Duration // between polls, or a scan's deltas
	FullEvery  time.Duration // of a scan: between complete rounds; 0: the stream's
	CompleteTo time.Time     // of events: until when they are complete, or in a hole; of a scan: when its last complete round ended
	Trouble    *Trouble
	Lanes      LaneCounts
	Holes      []Hole
	Held       int // tables of a scan whose removals are held
	Lag        LagStats
}

const (
	maxLearned = 24 * time.Hour     // of the lag that is learned, at most so much counts
	lostShown  = 7 * 24 * time.Hour // how long a span that is lost keeps a stream yellow
	redScans   = 3                  // intervals after which a scan is red, and lateScans after which it is yellow
	lateScans  = 2
	scanSlack  = time.Hour
)

// LateAfter returns how old what is complete may be before the stream is yellow,
// and before it is red.
func (h HealthInput) LateAfter() (yellow, red time.Duration) {
	if h.Info.Shape == sources.Scan {
		every := h.FullEvery
		if every == 0 {
			every = h.Info.FullEvery
		}
		if every == 0 {
			every = h.Every
		}
		return lateScans*every + scanSlack, redScans*every + scanSlack
	}
	s := LedgerStream{Info: h.Info, Every: h.Every}
	yellow = h.Info.Lateness + s.slack()
	return yellow, yellow + 3*h.Every + 15*time.Minute + min(h.Lag.P99, maxLearned)
}

// Judge says how a stream fares.
func (h HealthInput) Judge(now time.Time) Health {
	yellow, red := h.LateAfter()
	what := "complete up to"
	if h.Info.Shape == sources.Scan {
		what = "the last complete round ended"
	}
	age := now.Sub(h.CompleteTo)
	late := fmt.Sprintf("%s %s, %s ago", what, h.CompleteTo.UTC().Format(time.RFC3339), setting.FormatDuration(age.Truncate(time.Second)))
	because := ""
	if h.Trouble != nil {
		because = fmt.Sprintf("; failing since %s: %s", h.Trouble.Since.Format(time.RFC3339), h.Trouble.Error)
	}
	switch {
	case h.Trouble != nil && h.Trouble.Stops():
		return Health{Red, fmt.Sprintf("stopped since %s: %s", h.Trouble.Since.Format(time.RFC3339), h.Trouble.Error)}
	case !h.CompleteTo.IsZero() && age > red:
		return Health{Red, late + because}
	case h.CompleteTo.IsZero() && h.Trouble != nil && now.Sub(h.Trouble.Since) > red:
		return Health{Red, "nothing complete yet" + because}
	case h.CompleteTo.IsZero():
		return Health{Yellow, "nothing complete yet" + because}
	case h.Trouble != nil:
		return Health{Yellow, because[2:]}
	case age > yellow:
		return Health{Yellow, late}
	case h.Lanes.Parked > 0:
		return Health{Yellow, fmt.Sprintf("%d objects are parked: see weir deadletter list", h.Lanes.Parked)}
	case h.Lanes.Failing > 0:
		return Health{Yellow, fmt.Sprintf("%d lanes are failing and tried again", h.Lanes.Failing)}
	case h.Held > 0:
		return Health{Yellow, fmt.Sprintf("removals in %d tables are held: see weir scan list", h.Held)}
	}
	open, lost := 0, 0
	for _, hole := range h.Holes {
		switch {
		case hole.State == HoleOpen || hole.State == HoleClosing:
			open++
		case hole.State == HoleLost && now.Sub(hole.Since) < lostShown:
			lost++
		}
	}
	switch {
	case open > 0:
		return Health{Yellow, fmt.Sprintf("%d spans may miss events and are collected again: see weir ledger", open)}
	case lost > 0:
		return Health{Yellow, fmt.Sprintf("%d spans are lost: see weir ledger", lost)}
	}
	return Health{Color: Green}
}

// ReadHealth reads what a stream's health follows from.
func ReadHealth(ctx context.Context, st State, id StreamID, info sources.StreamInfo, every, fullEvery time.Duration) (h HealthInput, err error) {
	h = HealthInput{Info: info, Every: every, FullEvery: fullEvery}
	if h.Trouble, err = ReadTrouble(ctx, st, id); err != nil {
		return h, err
	}
	if h.Lanes, err = st.LaneCounts(ctx, id); err != nil {
		return h, err
	}
	if info.Shape == sources.Scan {
		scan, err := st.Scan(ctx, id)
		if scan.Last != nil {
			h.CompleteTo = scan.Last.Ended
		}
		h.Held = len(scan.Holds)
		return h, err
	}
	if h.CompleteTo, err = CoveredTo(ctx, st, id); err != nil {
		return h, err
	}
	if h.Holes, err = st.Holes(ctx, id); err != nil {
		return h, err
	}
	h.Lag, err = ReadLag(ctx, st, id)
	return h, err
}

// takeUpLedger reads what is known of the stream from earlier runs.
func (r *StreamRun) takeUpLedger(ctx context.Context) error {
	covered, err := CoveredTo(ctx, r.p.state, r.ID)
	if err != nil {
		return err
	}
	trouble, err := ReadTrouble(ctx, r.p.state, r.ID)
	if err != nil {
		return err
	}
	if !covered.IsZero() {
		r.Stats.CoveredTo.CompareAndSwap(0, covered.UnixMilli())
	}
	if trouble != nil {
		r.runs.mu.Lock()
		r.runs.failing = trouble.Since
		r.runs.mu.Unlock()
	}
	if r.scan != nil {
		return nil
	}
	return r.p.lags.load(ctx, r.p.state, r.ID)
}
