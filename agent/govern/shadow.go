package govern

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"weir/internal/fault"
	"weir/pipeline"
	"weir/schemas"
	"weir/sources"
)

// What Weir writes at a vendor stands in its journal before, and in the vendor's
// own log afterwards. A write in the log by Weir's credentials that the journal
// does not explain was made by somebody else who has them, or by a program that
// is not what it should be: a shadow.

const (
	// ShadowAction is activities.action of the alert.
	ShadowAction = "weir.shadow_action"

	traceEvery  = time.Hour       // how often it is asked whose the credentials are: they can be rotated
	clockSkew   = 5 * time.Minute // between the vendor's clock and ours
	ownAtOnce   = 100
	maxShadowed = 10 // named in one entry of the log
)

// watched is an instance whose log is looked through.
type watched struct {
	trace atomic.Pointer[sources.Trace]
	asked time.Time
}

// ownEvent is what is kept of an event until it is explained.
type ownEvent struct {
	Time      schemas.Time
	Action    string
	ActorID   string
	ActorName string `json:",omitempty"`
	ActorKind string `json:",omitempty"`

	EffectiveID, EffectiveName, CredentialID, ClientAppID, ClientAppName string `json:",omitempty"`
	SrcIP, UserAgent, SessionID, RequestID, Service, Region, ScopeID     string `json:",omitempty"`
	TargetIDs, TargetNames, TargetKinds                                  []string
}

// Watch returns what looks for an instance's own writes, in each new event of its
// log; nil when the vendor's log cannot tell them.
func (r *Runner) Watch(ctx context.Context, instance string, session sources.Session) (func(*schemas.Activity) []byte, error) {
	tracer, ok := session.(sources.Tracer)
	if !ok {
		return nil, nil
	}
	trace, err := tracer.Trace(ctx)
	switch fault.Of(err) {
	case fault.Forbidden, fault.NotLicensed, fault.Permanent, fault.BadData: // asking again would not help, and the log is collected all the same
	default:
		if err != nil {
			return nil, fmt.Errorf("asking how what Weir does shows in the log: %w", err)
		}
	}
	if err != nil || !trace.Knows() {
		r.o.Log.Warn("it is not known how the vendor's log tells of these credentials: writes that no action explains are not noticed", "instance", instance, "error", err)
		return nil, nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	own := r.own[instance]
	if own.Since.IsZero() { // what was before, no journal could explain
		own.Since = r.o.Clock.Now()
		if err := r.o.Commit(ctx, "", "", nil, func(tx pipeline.Tx) error { return tx.SetOwnWatch(instance, own) }); err != nil {
			return nil, err
		}
		r.own[instance] = own
	}
	w := r.watches[instance]
	if w == nil {
		w = &watched{}
		r.watches[instance] = w
	}
	w.trace.Store(&trace)
	w.asked = r.o.Clock.Now()
	since := schemas.Time(own.Since.UnixMilli())
	return func(a *schemas.Activity) []byte {
		if a.Time < since || !w.trace.Load().Own(a) {
			return nil
		}
		return keep(a)
	}, nil
}

func keep(a *schemas.Activity) []byte {
	const most = 8
	data, err := json.Marshal(ownEvent{
		Time: a.Time, Action: text(a.Action), ActorID: text(a.ActorID), ActorName: text(a.ActorName), ActorKind: a.ActorKind,
		EffectiveID: text(a.EffectiveID), EffectiveName: text(a.EffectiveName), CredentialID: text(a.CredentialID), ClientAppID: text(a.ClientAppID),
		ClientAppName: text(a.ClientAppName), SrcIP: a.SrcIP, UserAgent: text(a.UserAgent), SessionID: text(a.SessionID), RequestID: text(a.RequestID),
		Service: text(a.Service), Region: text(a.Region), ScopeID: text(a.ScopeID),
		TargetIDs:   texts(slices.Clone(a.TargetIDs[:min(most, len(a.TargetIDs))])),
		TargetNames: texts(slices.Clone(a.TargetNames[:min(most, len(a.TargetNames))])),
		TargetKinds: texts(slices.Clone(a.TargetKinds[:min(most, len(a.TargetKinds))])),
	})
	if err != nil {
		panic("govern: " + err.Error()) // texts
	}
	return data
}

// shadows decides on the own writes of an instance that its log has shown.
func (r *Runner) shadows(ctx context.Context, instance string) error {
	now := r.o.Clock.Now()
	r.mu.Lock()
	w := r.watches[instance]
	stale := w != nil && !now.Before(w.asked.Add(traceEvery))
	if stale {
		w.asked = now
	}
	r.mu.Unlock()
	if w == nil {
		return nil
	}
	if stale {
		r.retrace(ctx, instance, w)
	}
	own, err := r.o.Store.OwnWrites(ctx, instance, ownAtOnce)
	if err != nil || len(own) == 0 {
		return err
	}
	events := make([]ownEvent, len(own))
	for i := range own {
		if err := json.Unmarshal(own[i].Data, &events[i]); err != nil {
			return fmt.Errorf("an event of Weir's own is damaged in the state: %w", err)
		}
	}
	actions, err := r.around(ctx, instance, events)
	if err != nil {
		return err
	}
	var explained, told []string
	var alerts []schemas.Activity
	var words []string
	for i := range events {
		id, e := own[i].ID, &events[i]
		if r.explained(actions, w.trace.Load(), e) {
			explained = append(explained, id)
			continue
		}
		told, alerts = append(told, id), append(alerts, r.alert(instance, id, e))
		words = append(words, e.words())
	}
	settle := func(tx pipeline.Tx) error {
		for _, id := range explained {
			if err := tx.SettleOwnWrite(instance, id, false); err != nil {
				return err
			}
		}
		for _, id := range told {
			if err := tx.SettleOwnWrite(instance, id, true); err != nil {
				return err
			}
		}
		return nil
	}
	if len(told) == 0 {
		return r.o.Commit(ctx, "", "", nil, settle)
	}
	return r.halt(ctx, instance, alerts, words, settle)
}

// retrace asks anew whose the credentials are. What they were stays, for what the
// log has not shown yet.
func (r *Runner) retrace(ctx context.Context, instance string, w *watched) {
	limited, cancel := r.limited(ctx)
	defer cancel()
	s, err := r.o.Open(limited, instance)
	if err != nil {
		return // whoever governs or collects tells
	}
	tracer, ok := s.Governor.(sources.Tracer)
	if !ok {
		return
	}
	t, err := tracer.Trace(limited)
	if err != nil {
		r.o.Log.Warn("it cannot be asked how what Weir does shows in the log; what was known stays", "instance", instance, "error", text(err.Error()))
		return
	}
	old := w.trace.Load()
	with := func(a, b []string) []string { return slices.Compact(slices.Sorted(slices.Values(slices.Concat(a, b)))) }
	t.Actors, t.Clients = with(old.Actors, t.Actors), with(old.Clients, t.Clients)
	t.Names = with(old.Names, t.Names)
	t.Credentials, t.Roles = with(old.Credentials, t.Credentials), with(old.Roles, t.Roles)
	w.trace.Store(&t)
}

// longest is how long after an action has begun it may still write: as long as
// its age allows, and a vendor's job then.
func (r *Runner) longest() time.Duration { return r.config.MaxAge + maxPending + clockSkew }

// around returns the actions that may explain some events.
func (r *Runner) around(ctx context.Context, instance string, events []ownEvent) (out []*Action, err error) {
	first, last := events[0].Time, events[0].Time
	for _, e := range events {
		first, last = min(first, e.Time), max(last, e.Time)
	}
	records, err := r.o.Store.ActionsBegun(ctx, instance, instant(first).Add(-r.longest()), instant(last).Add(clockSkew))
	if err != nil {
		return nil, err
	}
	for _, rec := range records {
		a, err := Read(rec)
		if err != nil {
			return nil, err
		}
		out = append(out, a)
	}
	return out, nil
}

// explained reports whether an action explains an own write: one that was
// writing at that time, to that target, what shows as such an event. (The
// journal has a step before it is made, so that an event cannot be here first.)
// What is older than what the journal keeps is not asked about.
func (r *Runner) explained(actions []*Action, trace *sources.Trace, e *ownEvent) bool {
	at := instant(e.Time)
	return at.Add(-r.longest()).Before(r.o.Clock.Now().Add(-r.config.Keep)) || slices.ContainsFunc(actions, func(a *Action) bool {
		return r.wroteAt(a, at) && Explains(trace, a.Request, a.Plan, a.Undoes != "", e.Action, e.TargetIDs, e.TargetNames)
	})
}

// wroteAt reports whether an action may have been writing at a time.
func (r *Runner) wroteAt(a *Action, at time.Time) bool {
	var last time.Time
	pending := false
	for _, p := range a.Steps {
		if p.Tries > 0 || p.Phase != Waiting {
			last = later(last, p.At)
			pending = pending || p.Receipt.Pending
		}
	}
	if last.IsZero() {
		return false
	}
	after := clockSkew + doTime
	if _, info := r.declared(a); info != nil {
		after += info.Delay
	}
	if pending {
		after += maxPending
	}
	return !at.Before(a.Started.Add(-clockSkew)) && !at.After(last.Add(after))
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// Explains reports whether what an action was to do may show as an event: one
// of those that its steps show as, about what it is done to. An event that names
// nothing may be about anything.
func Explains(t *sources.Trace, r sources.ActionRequest, p *sources.Plan, undoes bool, action string, ids, names []string) bool {
	of := t.Writes
	if undoes {
		of = t.Undoes
	}
	if slices.Contains(t.Beside[r.Action], action) {
		return p != nil
	}
	events, ok := of[r.Action]
	return p != nil && (!ok || slices.Contains(events, action)) && hits(r, p, ids, names)
}

// hits reports whether an event is about what an action is done to. A name that
// is none of one thing alone, as a login is, proves nothing.
func hits(r sources.ActionRequest, p *sources.Plan, ids, names []string) bool {
	if len(ids)+len(names) == 0 {
		return true
	}
	among := func(s string, list []string) bool {
		return s != "" && slices.ContainsFunc(list, func(t string) bool { return sameThing(t, s) })
	}
	is := func(s string) bool { return among(s, ids) || among(s, names) }
	for _, s := range append([]sources.Subject{p.Target}, p.Also...) {
		if is(s.ID) || among(s.Name, ids) || slices.ContainsFunc(s.Aliases, is) || slices.ContainsFunc(s.Logins, is) {
			return true
		}
	}
	for _, v := range r.Params {
		if is(v) {
			return true
		}
	}
	return is(r.Target)
}

// sameThing compares ids, which may have more of the vendor's path before them:
// "arn:aws:iam::111111111111:user/ann" is ann.
func sameThing(event, known string) bool {
	if strings.EqualFold(event, known) {
		return true
	}
	head, ok := strings.CutSuffix(strings.ToLower(event), strings.ToLower(known))
	if ok && (strings.HasSuffix(head, "/") || strings.HasSuffix(head, ":")) {
		return true
	}
	head, ok = strings.CutSuffix(strings.ToLower(known), strings.ToLower(event))
	return ok && event != "" && (strings.HasSuffix(head, "/") || strings.HasSuffix(head, ":"))
}

func (e *ownEvent) words() string {
	on := ""
	if len(e.TargetIDs) > 0 {
		on = " on " + quoted(e.TargetIDs[0])
	}
	return fmt.Sprintf("%s%s at %s", quoted(e.Action), on, instant(e.Time).Format(time.RFC3339))
}

// alert is the row that tells of a shadow.
func (r *Runner) alert(instance, id string, e *ownEvent) schemas.Activity {
	a := schemas.Activity{
		EventID: "weir-shadow-" + sum("weir shadow action 1", instance, id)[:32], Time: schemas.Time(r.o.Clock.Now().UnixMilli()),
		Kind: "alert", Action: ShadowAction, Access: "unknown", Outcome: "success",
		Reason:  "with Weir's own credentials, and by no action of its journal: " + e.words() + ", event " + id,
		ActorID: e.ActorID, ActorName: e.ActorName, ActorKind: e.ActorKind, EffectiveID: e.EffectiveID, EffectiveName: e.EffectiveName,
		CredentialID: e.CredentialID, ClientAppID: e.ClientAppID, ClientAppName: e.ClientAppName, SrcIP: e.SrcIP, UserAgent: e.UserAgent,
		SessionID: e.SessionID, RequestID: e.RequestID, Service: e.Service, Region: e.Region, ScopeID: e.ScopeID,
		TargetIDs: e.TargetIDs, TargetNames: e.TargetNames, TargetKinds: e.TargetKinds, TargetCount: int32(len(e.TargetIDs)),
		ClassUID: schemas.ClassDetectionFinding, ActivityID: 1, SeverityID: schemas.SeverityCritical, StatusID: schemas.StatusSuccess,
	}
	if e.SrcIP != "" {
		a.IPs = []string{e.SrcIP}
	}
	if len(e.TargetIDs) > 0 {
		a.TargetID, a.TargetName, a.TargetKind = e.TargetIDs[0], e.TargetNames[0], e.TargetKinds[0]
	}
	return a
}

// halt tells of shadows, and carries nothing out on an instance until a person
// resumes: in one transaction, so that none is told of twice, or not at all.
func (r *Runner) halt(ctx context.Context, instance string, alerts []schemas.Activity, words []string, settle func(pipeline.Tx) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.own[instance]
	if now.Halted == "" {
		now.Halted = fmt.Sprintf("with Weir's own credentials, and by no action of its journal: %s: see activities of action %s", words[0], ShadowAction)
	}
	detail := strings.Join(words[:min(len(words), maxShadowed)], "; ")
	if more := len(words) - maxShadowed; more > 0 {
		detail += fmt.Sprintf("; and %d more", more)
	}
	e := event{Event: "shadow_action", Instance: instance, Detail: fmt.Sprintf("%d writes with Weir's own credentials that no action explains; nothing is carried out on %s until weir actions resume: %s", len(words), instance, detail), alerts: alerts}
	err := r.commit(context.WithoutCancel(ctx), nil, e, settle, func(tx pipeline.Tx) error { return tx.SetOwnWatch(instance, now) })
	if err != nil {
		return err
	}
	r.own[instance] = now
	r.o.Log.Error("somebody has written with Weir's own credentials: nothing is carried out on the instance until weir actions resume", "instance", instance, "writes", len(words), "what", detail)
	if r.o.Shadows != nil {
		r.o.Shadows(instance, len(words))
	}
	return nil
}

// resumed is every instance that was halted, as it is when it goes on. The caller
// holds r.mu.
func (r *Runner) resumed() map[string]pipeline.OwnWatch {
	out := map[string]pipeline.OwnWatch{}
	for name, w := range r.own {
		if w.Halted != "" {
			w.Halted = ""
			out[name] = w
		}
	}
	return out
}
