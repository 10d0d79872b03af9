package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"weir/internal/fault"
	"weir/internal/setting"
	"weir/schemas"
	"weir/sources"
)

const (
	// maxLaneHoles is how many lanes a run may leave unread and still cover
	// anything: where more fail, it is the vendor that does.
	maxLaneHoles = 200
	// keepHoles is how long closed holes are remembered.
	keepHoles = 90 * 24 * time.Hour
)

// Names of small values in the state.
const (
	metaBegan   = "began/"   // and the stream: from when a reading that began anew reads, until that is covered, in milliseconds
	metaLag     = "lag/"     // and the stream: how late its events are delivered, a histogram
	metaStart   = "start/"   // and the stream: from when it is collected, in milliseconds
	metaTrouble = "trouble/" // and the stream: why its last run failed, a Trouble
)

// Trouble is why a stream's runs fail.
type Trouble struct {
	Since time.Time   `json:"since"`
	At    time.Time   `json:"at"` // of the newest failure
	Class fault.Class `json:"class"`
	Error string      `json:"error"`
}

// Stops says whether the stream does not go on before somebody acts; it is
// tried again every few minutes all the same.
func (t Trouble) Stops() bool {
	switch t.Class {
	case fault.Auth, fault.Forbidden, fault.NotLicensed, fault.Permanent:
		return true
	default:
		return false
	}
}

// ReadTrouble returns why a stream's runs fail; nil when the last one did not.
func ReadTrouble(ctx context.Context, s State, id StreamID) (*Trouble, error) {
	v, err := s.Meta(ctx, metaTrouble+id.String())
	if err != nil || v == "" {
		return nil, err
	}
	var t Trouble
	if err := json.Unmarshal([]byte(v), &t); err != nil {
		return nil, fault.New(fault.Permanent, "state: what is known of the failures of %s is damaged: %w", id, err)
	}
	return &t, nil
}

// coverInput is what a run that covers something starts from.
type coverInput struct {
	info     sources.StreamInfo
	started  time.Time // of the run
	now      time.Time
	frontier time.Time  // until when all has been collected or is a hole; zero before the first run
	began    *time.Time // from when a reading that began anew reads
	since    time.Time  // from when a listing has shown everything; zero: the beginning
	first    time.Time  // where the stream's coverage begins so far
	to       time.Time  // the run's
	unread   []LaneState
	span     func(sources.Lane) (from, to schemas.Time)
	holes    []Hole
	covered  []Span
}

// coverPlan is what a run changes.
type coverPlan struct {
	spans    []Span // newly covered
	holes    []Hole // new, or changed
	closed   []Hole // of lanes that have been read
	frontier time.Time
	back     []Span     // covered until now, and in a hole now
	start    *time.Time // from when the stream is collected, where that is new
	scan     bool       // nothing but the frontier is kept
}

// planCover decides what a run has covered: from where the last one ended, or
// where the reading began, to what the run says; but for the holes, the lanes
// that it left unread among them.
func planCover(in coverInput) coverPlan {
	out, vendor := coverPlan{frontier: in.to}, in.now
	if in.started.Sub(in.to) > in.info.Lateness+distrust {
		// A clock far ahead of the vendor's would take for lost what it still has.
		// Where nothing has happened for long, the next event tells.
		in.started, vendor = in.to, in.to
	}
	from := in.frontier
	wholeFor := cmp.Or(in.info.WholeFor, in.info.Retention)
	switch {
	case in.frontier.IsZero():
		from = in.since
		if in.began != nil {
			from = *in.began
		}
		if from.IsZero() {
			from = Beginning
		}
		// What the vendor had dropped before there was a Weir is no hole.
		if oldest := in.started.Add(-wholeFor); in.info.WholeFor > 0 && from.Before(oldest) {
			from = oldest
		}
		start := NewSpan(from, from).From
		out.start = &start
	default:
		if in.began != nil && in.began.After(from) {
			out.hole(Hole{Span: NewSpan(from, *in.began), Class: ClassExpired, Reason: "the vendor no longer knew the place where reading went on, and it began again later", State: HoleOpen})
			from = *in.began
		}
		if oldest := in.started.Add(-wholeFor); wholeFor > 0 && from.Before(oldest) {
			reason := "Weir did not collect for longer than the vendor keeps records, " + setting.FormatDuration(wholeFor)
			if in.info.WholeFor > 0 {
				reason += " for a part of them"
			}
			out.hole(Hole{Span: NewSpan(from, oldest), Class: ClassRetention, Reason: reason, State: HoleLost})
			from = oldest
		}
	}
	// Where collecting begins after what could be complete, what is between the
	// two was not collected.
	if out.frontier.Before(from) {
		out.frontier = NewSpan(from, from).From
	}
	reach := []Span{NewSpan(from, in.to)}
	if !in.frontier.IsZero() && in.began == nil && !in.since.IsZero() && in.since.Before(in.first) {
		out.start = &in.since
		reach = append(reach, NewSpan(in.since, in.first)) // the configuration asks for more than before
	}

	var fresh []Span // of holes that are new
	for _, h := range out.holes {
		fresh = append(fresh, h.Span)
	}
	known, unread := map[string]Hole{}, map[string]bool{}
	for _, h := range in.holes {
		known[h.Key] = h
	}
	for _, l := range in.unread {
		key := LaneHole(l.Lane)
		unread[key] = true
		h, ok := known[key]
		class, reason := cmp.Or(l.Class, ClassUnread), l.Error
		switch l.Status {
		case LaneParked:
			reason = "parked: " + reason
		default:
			class = ClassUnread
			reason = "not read yet" + map[bool]string{true: ": " + reason}[reason != ""]
		}
		switch {
		case !ok || !h.Missing() && l.Status != LaneParked:
			if h = (Hole{Key: key, Span: NewSpan(from, in.now), State: HoleOpen}); in.span != nil {
				if lo, hi := in.span(l.Lane); lo > 0 && hi > lo {
					h.Span = Span{From: time.UnixMilli(int64(lo)).UTC(), To: time.UnixMilli(int64(hi)).UTC()}
				}
			}
			fresh = append(fresh, h.Span)
		case !h.Missing():
			continue // read in another way, or dropped
		case l.Lane.Once && h.Class == class && h.Reason == laneReason(l, reason):
			continue
		}
		if !l.Lane.Once {
			fresh = append(fresh, NewSpan(h.To, in.now))
			h.To = NewSpan(in.now, in.now).To
		}
		h.Class, h.Reason = class, laneReason(l, reason)
		if !h.Empty() {
			out.holes = append(out.holes, h)
		}
	}

	var missing []Span
	changed := map[string]bool{}
	for _, h := range out.holes {
		missing, changed[h.Key] = append(missing, h.Span), true
	}
	var open []Hole
	for _, h := range in.holes {
		switch {
		case !h.Missing() || changed[h.Key]:
		case h.OfLane() && !unread[h.Key]:
			h.State, h.Reason = HoleClosed, "it was read: "+h.Reason
			out.closed = append(out.closed, h)
			reach = append(reach, Intersect([]Span{h.Span}, []Span{{From: Beginning, To: out.frontier}})...)
		default:
			missing = append(missing, h.Span)
			open = append(open, h)
		}
	}
	out.holes = append(out.holes, lostHoles(open, in.info.Retention, vendor)...)
	out.spans = Subtract(reach, missing)
	out.back = Intersect(in.covered, fresh)
	return out
}

func laneReason(l LaneState, reason string) string {
	return fmt.Sprintf("%.200s %.500s", l.Lane.ID, reason)
}

func (p *coverPlan) hole(h Hole) {
	if !h.Empty() {
		h.Key = fmt.Sprintf("%s:%d", h.Class, h.From.UnixMilli())
		p.holes = append(p.holes, h)
	}
}

// reason is that of a hole in a span.
func (p *coverPlan) reason(s Span) string {
	for _, h := range p.holes {
		if h.Overlaps(s) {
			return h.Reason
		}
	}
	return "incomplete"
}

// apply records a plan.
func (p *coverPlan) apply(tx Tx, id StreamID, now time.Time) error {
	if p.scan {
		return tx.SetMeta(coveredKey(id), strconv.FormatInt(p.frontier.UnixMilli(), 10))
	}
	for _, h := range p.closed {
		if err := tx.CloseHole(id, h.Key, h.Reason, now); err != nil {
			return err
		}
	}
	for _, h := range p.holes {
		if err := tx.Hole(id, h, now); err != nil {
			return err
		}
	}
	for _, s := range p.back {
		if err := tx.Uncover(id, s); err != nil {
			return err
		}
	}
	for _, s := range p.spans {
		if err := tx.Cover(id, s, now); err != nil {
			return err
		}
	}
	if p.start != nil {
		if err := tx.SetMeta(metaStart+id.String(), strconv.FormatInt(p.start.UnixMilli(), 10)); err != nil {
			return err
		}
	}
	if err := tx.SetMeta(metaBegan+id.String(), ""); err != nil {
		return err
	}
	return tx.SetMeta(coveredKey(id), strconv.FormatInt(p.frontier.UnixMilli(), 10))
}

// cover plans what a run that has listed and read all it could has covered; nil
// if nothing can be said.
func (r *StreamRun) cover(ctx context.Context, run *runInfo, lanes LaneCounts, now time.Time) (*coverPlan, error) {
	to := time.UnixMilli(int64(run.coveredTo)).UTC()
	frontier, err := CoveredTo(ctx, r.p.state, r.ID)
	if err != nil {
		return nil, err
	}
	if r.scan != nil {
		// What exists is shown by a whole round, or not.
		if lanes.Failing > 0 {
			return nil, nil
		}
		return &coverPlan{scan: true, spans: []Span{{From: cmp.Or(frontier, Beginning), To: to}}, frontier: to}, nil
	}
	unread, err := r.unread(ctx)
	if err != nil || len(unread) > maxLaneHoles {
		return nil, err
	}
	in := coverInput{
		info: r.Stream.Info, started: run.started, now: now, frontier: frontier, to: to, since: timeOf(int64(run.since)),
		unread: unread, span: r.Stream.Span,
	}
	if in.began, err = r.readBegan(ctx); err != nil {
		return nil, err
	}
	if in.holes, err = r.p.state.Holes(ctx, r.ID); err != nil {
		return nil, err
	}
	if in.covered, err = r.p.state.Coverage(ctx, r.ID, Span{}); err != nil {
		return nil, err
	}
	if !in.since.IsZero() {
		if in.first, err = startedAt(ctx, r.p.state, r.ID); err != nil {
			return nil, err
		}
	}
	plan := planCover(in)
	return &plan, nil
}

// startedAt returns from when a stream is collected; zero if that is not known.
func startedAt(ctx context.Context, s State, id StreamID) (time.Time, error) {
	v, err := s.Meta(ctx, metaStart+id.String())
	if err != nil || v == "" {
		return time.Time{}, err
	}
	ms, err := strconv.ParseInt(v, 10, 64)
	return time.UnixMilli(ms).UTC(), err
}

// unread returns the lanes that a run which has ended left unread: those of
// whole objects that are not done, and the others that failed last time, but
// for logs that the vendor's plan lacks.
func (r *StreamRun) unread(ctx context.Context) ([]LaneState, error) {
	// What is on its way to the state is newer than what is read there, and is
	// looked at first, that nothing falls between the two.
	r.mu.Lock()
	ahead := make(map[string]LaneState, len(r.ahead))
	for id, a := range r.ahead {
		ahead[id] = a.LaneState
	}
	r.mu.Unlock()
	known, err := r.p.state.UnreadLanes(ctx, r.ID, maxLaneHoles+1+len(ahead))
	if err != nil {
		return nil, err
	}
	for i, l := range known {
		if a, ok := ahead[l.Lane.ID]; ok && a.Lane.Hint == l.Lane.Hint {
			known[i] = a
		}
		delete(ahead, l.Lane.ID)
	}
	known = append(known, slices.Collect(maps.Values(ahead))...)
	return slices.DeleteFunc(known, func(l LaneState) bool {
		return l.Status == LaneDone || l.Status == LaneOpen && !l.Lane.Once && (l.Class == "" || l.NotLicensed())
	}), nil
}

// began notes that a lane is read anew, from a time on.
func (r *StreamRun) beganAt(since schemas.Time) func(Tx) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.began == nil || r.Stream.Lanes == nil || *r.began < int64(since) {
		v := int64(since)
		r.began = &v
	}
	v := strconv.FormatInt(*r.began, 10)
	return func(tx Tx) error { return tx.SetMeta(metaBegan+r.ID.String(), v) }
}

// readBegan returns from when a reading that began anew reads, as noted by this
// process, or by one before.
func (r *StreamRun) readBegan(ctx context.Context) (*time.Time, error) {
	r.mu.Lock()
	ms := r.began
	r.mu.Unlock()
	if ms == nil {
		v, err := r.p.state.Meta(ctx, metaBegan+r.ID.String())
		if err != nil || v == "" {
			return nil, err
		}
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil {
			return nil, fault.New(fault.Permanent, "state: where the reading of %s began is no number: %w", r.ID, err)
		}
		ms = &n
	}
	at := time.UnixMilli(*ms).UTC()
	return &at, nil
}

func (r *StreamRun) forgetBegan() {
	r.mu.Lock()
	r.began = nil
	r.mu.Unlock()
}

// trouble returns what is to be kept of a run's failure; "" of its success.
func (l *runLog) trouble(failure error, now time.Time) (string, error) {
	if failure == nil {
		l.failing = time.Time{}
		return "", nil
	}
	if l.failing.IsZero() {
		l.failing = now
	}
	b, err := json.Marshal(Trouble{Since: l.failing.UTC(), At: now.UTC(), Class: fault.Of(failure), Error: fmt.Sprintf("%.1000s", failure)})
	return string(b), err
}
