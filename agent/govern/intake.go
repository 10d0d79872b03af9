package govern

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"weir/configs"
	"weir/internal/fault"
	"weir/pipeline"
	"weir/schemas"
	"weir/sinks"
	"weir/sources"
)

// Caller is who is proven to have made a request or a decision.
type Caller struct {
	Principal string // "" when the configuration knows none
	DBUser    string // database user, or uid:N
	Via       string // "socket", or the control sink's name
}

func (c Caller) name() string {
	if c.Principal != "" {
		return c.Principal
	}
	return c.DBUser
}

// ViaSocket marks what came over the control socket.
const ViaSocket = "socket"

// Socket returns who a peer of the control socket is.
func (r *Runner) Socket(uid uint32) Caller {
	c := Caller{DBUser: fmt.Sprintf("uid:%d", uid), Via: ViaSocket}
	if p := r.find(func(p *configs.Principal) bool { return p.UID == fmt.Sprint(uid) }); p != nil {
		c.Principal = p.Name
	}
	return c
}

func (r *Runner) dbUser(user string) Caller {
	c := Caller{DBUser: user, Via: r.config.Control}
	if p := r.find(func(p *configs.Principal) bool { return p.DBUser != "" && p.DBUser == user }); p != nil {
		c.Principal = p.Name
	}
	return c
}

func (r *Runner) find(is func(*configs.Principal) bool) *configs.Principal {
	i := slices.IndexFunc(r.config.Principals, func(p configs.Principal) bool { return is(&p) })
	if i < 0 {
		return nil
	}
	return &r.config.Principals[i]
}

func (r *Runner) principal(name string) *configs.Principal {
	return r.find(func(p *configs.Principal) bool { return name != "" && p.Name == name })
}

// Submit takes a request in: its first sight is frozen. A request that is no
// good is kept as rejected, with why; an error means that it could not be kept
// at all, or that its id is not one.
func (r *Runner) Submit(ctx context.Context, row schemas.ActionRow, by Caller) (*Action, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	row.DBUser = by.DBUser
	if !validID(row.ID) {
		err := fault.New(fault.BadData, "id: want at most %d letters, digits, - and _, the first a letter or digit", sources.MaxActionID)
		// Logged under no id: what stands there cannot be looked up.
		return nil, orError(r.commit(ctx, nil, event{Event: "rejected", Detail: err.Error(), by: by}), err)
	}
	hash := RequestHash(row, by.Via)
	if known, ok, err := r.load(ctx, row.ID); err != nil || ok {
		if err != nil {
			return nil, err
		}
		return known, r.conflict(ctx, known, hash, by)
	}
	a := &Action{Row: row, Via: by.Via, Principal: by.Principal, RequestHash: hash, State: Received, Due: r.o.Clock.Now()}
	if by.Principal == "" {
		a.Principal = by.DBUser // for the record; it may do nothing
	}
	if why := r.accept(ctx, a, by); why != nil {
		if fault.Of(why) != fault.BadData {
			return nil, why
		}
		clip(&a.Row)
		a.State, a.Note, a.Done = Rejected, why.Error(), true
		return a, r.commit(ctx, a, event{Event: "rejected", Detail: a.Note})
	}
	return a, r.commit(ctx, a, event{Event: "received"})
}

func orError(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

func validID(id string) bool {
	if id == "" || len(id) > sources.MaxActionID {
		return false
	}
	for i, c := range []byte(id) {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && (i == 0 || c != '-' && c != '_') {
			return false
		}
	}
	return true
}

// clip bounds what is kept of a request that is no good.
func clip(row *schemas.ActionRow) {
	for _, s := range []*string{&row.Instance, &row.Action, &row.TargetKind, &row.TargetID, &row.Params, &row.Reason, &row.ChangeRef, &row.RequestedBy, &row.DBUser} {
		if len(*s) > maxText {
			*s = (*s)[:maxText] + "..."
		}
	}
}

const maxConflicts = 16

// conflict logs another request under a known id, once each.
func (r *Runner) conflict(ctx context.Context, a *Action, hash string, by Caller) error {
	if hash == a.RequestHash || slices.Contains(a.Conflicts, hash) || len(a.Conflicts) >= maxConflicts {
		return nil
	}
	a.Conflicts = append(a.Conflicts, hash)
	return r.commit(ctx, a, event{Event: "conflict", Detail: "another request came under this id and is ignored: SHA-256 " + hash, by: by})
}

// accept judges a request as far as it can be without asking the vendor, and
// fills in a.Request. An error of class BadData rejects it.
func (r *Runner) accept(ctx context.Context, a *Action, by Caller) error {
	row := &a.Row
	bad := func(format string, args ...any) error { return fault.New(fault.BadData, format, args...) }
	for name, s := range map[string]string{
		"instance": row.Instance, "action": row.Action, "target_kind": row.TargetKind, "target_id": row.TargetID, "params": row.Params,
		"reason": row.Reason, "change_ref": row.ChangeRef, "requested_by": row.RequestedBy,
	} {
		if len(s) > maxParams {
			return bad("%s: longer than %d bytes", name, maxParams)
		}
	}
	inst := r.instance(row.Instance)
	if inst == nil {
		return bad("instance %s: there is none of this name", quoted(row.Instance))
	}
	p := r.principal(by.Principal)
	if p == nil {
		return bad("%s is no principal of the configuration", quoted(by.DBUser))
	}
	if err := r.target(ctx, a, inst); err != nil {
		return err
	}
	word := string(a.Request.Action)
	if !p.Allowed("request", word) {
		return bad("%s may not request %s", p.Name, word)
	}
	g := &inst.Governance
	if !slices.Contains(g.Allow, word) {
		return bad("%s is not allowed on %s: instances.%s.governance.allow", word, inst.Name, inst.Name)
	}
	if g.ChangeRef && row.ChangeRef == "" {
		return bad("change_ref: %s asks for one", inst.Name)
	}
	now := r.o.Clock.Now()
	if err := r.tooOld(a, now); err != nil {
		return bad("%w", err)
	}
	if row.NotBefore != 0 && row.NotAfter != 0 && row.NotBefore >= row.NotAfter {
		return bad("not_before is not before not_after")
	}
	if row.NotBefore != 0 && instant(row.NotBefore).After(received(a).Add(r.config.MaxAge)) {
		return bad("not_before is later than governance.max_age (%s) allows", r.config.MaxAge)
	}
	pending, err := r.o.Store.ActionsOpen(ctx, p.Name)
	if err != nil {
		return err
	}
	if pending >= int64(r.config.MaxPending) {
		return bad("%s has %d open requests, the most there may be", p.Name, pending)
	}
	return r.duplicate(ctx, a, g.CoolDown)
}

// target reads what is to be done to what.
func (r *Runner) target(ctx context.Context, a *Action, inst *configs.Instance) error {
	row := &a.Row
	if row.Action == UndoAction {
		of, ok, err := r.load(ctx, row.TargetID)
		switch {
		case err != nil:
			return err
		case row.TargetKind != undoKind || row.Params != "":
			return fault.New(fault.BadData, "undo takes the target_kind %s and no params", undoKind)
		case !ok || of.Row.Instance != inst.Name || of.Undoes != "":
			return fault.New(fault.BadData, "target_id %s: no action of %s that can be undone", quoted(row.TargetID), inst.Name)
		case of.Plan == nil || len(of.effect().Steps) == 0 || of.State == Undone || !of.Done:
			return fault.New(fault.BadData, "action %s has had no effect that could be undone: it is %s", of.Row.ID, of.State)
		}
		info := inst.Connector.Action(of.Request.Action)
		if info == nil || info.NoUndo != "" || of.Plan.NoUndo != "" {
			return fault.New(fault.BadData, "action %s cannot be undone", of.Row.ID)
		}
		a.Request, a.Undoes = of.Request, of.Row.ID
		return nil
	}
	info := inst.Connector.Action(sources.Action(row.Action))
	if info == nil {
		return fault.New(fault.BadData, "action %s: %s has none of this name", quoted(row.Action), inst.Connector.App)
	}
	values, err := params(row.Params)
	if err != nil {
		return fault.New(fault.BadData, "%w", err)
	}
	a.Request = sources.ActionRequest{ID: row.ID, Action: info.Action, Kind: sources.TargetKind(row.TargetKind), Target: row.TargetID, Params: values}
	return info.Check(&a.Request)
}

// tooOld returns why an action may not be begun any more, or gone on with.
func (r *Runner) tooOld(a *Action, now time.Time) error {
	if a.Row.NotAfter != 0 && !now.Before(instant(a.Row.NotAfter)) {
		return fmt.Errorf("not_after has passed")
	}
	if !now.Before(received(a).Add(r.config.MaxAge)) {
		return fmt.Errorf("it is older than governance.max_age (%s)", r.config.MaxAge)
	}
	return nil
}

// duplicate rejects a request like an earlier one that is young.
func (r *Runner) duplicate(ctx context.Context, a *Action, coolDown time.Duration) error {
	others, err := r.on(ctx, a, coolDown)
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.Row.ID == a.Row.ID || o.Request.Action != a.Request.Action || o.Undoes != a.Undoes || slices.Contains([]State{Rejected, Failed, Expired, Cancelled}, o.State) || dry(o) != dry(a) {
			continue
		}
		if instant(o.Row.ReceivedAt).Add(coolDown).After(received(a)) && sameParams(o.Request.Params, a.Request.Params) {
			return fault.New(fault.BadData, "a duplicate of %s, which is %s", o.Row.ID, o.State)
		}
	}
	return nil
}

func dry(a *Action) bool { return a.Row.DryRun.Known && a.Row.DryRun.Value }

func sameParams(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || w != v {
			return false
		}
	}
	return true
}

// on returns the actions on an action's target, in order of receipt.
func (r *Runner) on(ctx context.Context, a *Action, since time.Duration) (out []*Action, err error) {
	records, err := r.o.Store.ActionsOn(ctx, a.Row.Instance, string(a.Request.Kind), a.Request.Target, received(a).Add(-since))
	if err != nil {
		return nil, err
	}
	for _, rec := range records {
		o, err := Read(rec)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func (r *Runner) load(ctx context.Context, id string) (*Action, bool, error) {
	rec, ok, err := r.o.Store.Action(ctx, id)
	if err != nil || !ok {
		return nil, false, err
	}
	a, err := Read(rec)
	return a, err == nil, err
}

// Decide takes a decision in. An error of class BadData says why it does not
// count; it is in the log, too.
func (r *Runner) Decide(ctx context.Context, d schemas.ApprovalRow, by Caller) (*Action, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok, err := r.load(ctx, d.ActionID)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.New(fault.BadData, "there is no action %s", quoted(d.ActionID))
	}
	why := r.decide(a, d, by)
	if why != nil {
		return a, orError(r.commit(ctx, a, event{Event: "decision_ignored", Detail: why.Error(), Reason: d.Reason, by: by}), why)
	}
	a.Decisions++
	return a, r.commit(ctx, a, event{Event: map[string]string{"approve": "approval", "reject": "rejected", "cancel": "cancelled"}[d.Decision], Detail: a.Note, Reason: d.Reason, by: by})
}

func (r *Runner) decide(a *Action, d schemas.ApprovalRow, by Caller) error {
	bad := func(format string, args ...any) error { return fault.New(fault.BadData, format, args...) }
	p := r.principal(by.Principal)
	if p == nil {
		return bad("%s is no principal of the configuration", quoted(by.DBUser))
	}
	may := p.Allowed("approve", string(a.Request.Action))
	if a.Done || len(a.Steps) > 0 {
		return bad("action %s is %s: nothing is left to decide", a.Row.ID, a.State)
	}
	switch d.Decision {
	case "cancel":
		if !may && p.Name != a.Principal {
			return bad("%s may not cancel it: only who asked and those who may approve it", p.Name)
		}
		a.State, a.Done, a.Note = Cancelled, true, "cancelled by "+p.Name
		return nil
	case "reject":
		if !may {
			return bad("%s may not approve %s, nor reject it", p.Name, a.Request.Action)
		}
		a.State, a.Done, a.Note = Rejected, true, "rejected by "+p.Name
		return nil
	case "approve":
	default:
		return bad("decision %s: want approve, reject or cancel", quoted(d.Decision))
	}
	switch {
	case !may:
		return bad("%s may not approve %s", p.Name, a.Request.Action)
	case p.Name == a.Principal:
		return bad("%s asked for it and cannot approve it", p.Name)
	case a.Plan == nil:
		return bad("action %s has no plan yet", a.Row.ID)
	case d.RequestHash != a.RequestHash:
		return bad("the approval is for another request: its hash is %s", a.RequestHash)
	case d.PlanHash != a.PlanHash:
		return bad("the approval is for another plan: its hash is now %s", a.PlanHash)
	case slices.ContainsFunc(a.Approvals, func(o Approval) bool { return o.Principal == p.Name }):
		return bad("%s has approved it already", p.Name)
	}
	a.Approvals = append(a.Approvals, Approval{p.Name, a.PlanHash, r.o.Clock.Now()})
	missing := r.missing(a)
	if missing > 0 {
		a.Note = fmt.Sprintf("%d more approvals are needed", missing)
		return nil
	}
	a.State, a.Note, a.Due = Approved, "", r.o.Clock.Now()
	return nil
}

// missing is how many approvals an action still needs.
func (r *Runner) missing(a *Action) int {
	inst, info := r.declared(a)
	if inst == nil {
		return 1
	}
	need := inst.Governance.Approvals
	if a.Privileged || info.Risky {
		need = max(need, 1)
	}
	var by []string
	for _, o := range a.Approvals {
		p := r.principal(o.Principal)
		if o.PlanHash == a.PlanHash && p != nil && p.Allowed("approve", string(a.Request.Action)) && p.Name != a.Principal && !slices.Contains(by, p.Name) {
			by = append(by, p.Name)
		}
	}
	return max(need-len(by), 0)
}

// declared returns an action's instance and what its connector declares; nil
// when the configuration has them no more.
func (r *Runner) declared(a *Action) (*configs.Instance, *sources.ActionInfo) {
	inst := r.instance(a.Row.Instance)
	if inst == nil {
		return nil, nil
	}
	info := inst.Connector.Action(a.Request.Action)
	if info == nil {
		return nil, nil
	}
	return inst, info
}

func quoted(s string) string {
	if len(s) > 100 {
		return fmt.Sprintf("%+q... (%d bytes)", s[:100], len(s))
	}
	return fmt.Sprintf("%+q", s)
}

// pollState is how far the control tables have been read.
type pollState struct {
	Requests, Approvals schemas.Time            // the newest received_at seen
	Full                map[string]schemas.Time // by reason and principal: what came up to then was rejected in one row
	Seen                map[string]schemas.Time // decisions taken in, by hash
}

const (
	lookBack  = 5 * time.Minute
	pollPage  = 1000
	pollPages = 20 // of one poll: the rest comes with the next
)

func (r *Runner) loadPoll(ctx context.Context) error {
	text, err := r.o.Store.Meta(ctx, metaPoll)
	if err != nil {
		return err
	}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &r.poll); err != nil {
			return fmt.Errorf("the state's place in the control tables is damaged: %w", err)
		}
	}
	if r.poll.Full == nil {
		r.poll.Full = map[string]schemas.Time{}
	}
	if r.poll.Seen == nil {
		r.poll.Seen = map[string]schemas.Time{}
	}
	return nil
}

func (r *Runner) pollOnce(ctx context.Context) {
	if r.o.Control == nil {
		return
	}
	if err := r.Poll(ctx); err != nil && ctx.Err() == nil {
		r.o.Log.Error("the control tables cannot be read; trying again", "sink", r.config.Control, "error", err)
	}
}

// Poll reads what is new in the control tables.
func (r *Runner) Poll(ctx context.Context) error {
	if err := r.pollRequests(ctx); err != nil {
		return err
	}
	return r.pollApprovals(ctx)
}

// from is where a poll begins: never before what max_age lets run.
func (r *Runner) from(newest schemas.Time) sinks.ControlPlace {
	oldest := schemas.Time(r.o.Clock.Now().Add(-r.config.MaxAge).UnixMilli())
	return sinks.ControlPlace{ReceivedAt: max(oldest, newest-schemas.Time(lookBack.Milliseconds()))}
}

func (r *Runner) pollRequests(ctx context.Context) error {
	place := r.from(r.poll.Requests)
	for range pollPages {
		rows, err := r.o.Control.Requests(ctx, place, pollPage)
		if err != nil {
			return err
		}
		overflow := map[string]int{}
		for _, row := range rows {
			if err := r.takeIn(ctx, row, overflow); err != nil {
				return err
			}
		}
		if len(rows) > 0 {
			last := rows[len(rows)-1]
			place = sinks.ControlPlace{ReceivedAt: last.ReceivedAt, ID: last.ID}
			if err := r.polled(ctx, last.ReceivedAt, 0, overflow); err != nil {
				return err
			}
		}
		if len(rows) < pollPage {
			return nil
		}
	}
	return nil
}

// takeIn submits a row, unless it belongs to those of a full queue that are
// rejected together.
func (r *Runner) takeIn(ctx context.Context, row schemas.ActionRow, overflow map[string]int) error {
	by := r.dbUser(row.DBUser)
	_, known, err := r.o.Store.Action(ctx, row.ID)
	if err != nil {
		return err
	}
	if !known {
		why, err := r.unanswered(ctx, row, by)
		if err != nil {
			return err
		}
		if why != "" {
			group := why + ": " + quoted(by.name())
			if row.ReceivedAt > r.poll.Full[group] {
				overflow[group]++
			}
			return nil
		}
		if row.ReceivedAt <= r.poll.Full[fullQueue+": "+quoted(by.name())] {
			return nil // rejected when the queue was full
		}
	}
	_, err = r.Submit(ctx, row, by)
	if err != nil && fault.Of(err) == fault.BadData {
		return nil // it is in the log
	}
	return err
}

const fullQueue = "too many open requests"

// unanswered says why a new row gets no row of its own in the log, which it
// could fill; "" when it does.
func (r *Runner) unanswered(ctx context.Context, row schemas.ActionRow, by Caller) (string, error) {
	switch {
	case by.Principal == "":
		return "no principal of the configuration", nil
	case !validID(row.ID):
		return "an id that is none", nil
	}
	open, err := r.o.Store.ActionsOpen(ctx, by.name())
	if err == nil && open >= int64(r.config.MaxPending) {
		return fullQueue, nil
	}
	return "", err
}

// polled remembers how far the control tables have been read, and tells of the
// rows rejected together.
func (r *Runner) polled(ctx context.Context, requests, approvals schemas.Time, overflow map[string]int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.poll.Requests, r.poll.Approvals = max(r.poll.Requests, requests), max(r.poll.Approvals, approvals)
	for group := range overflow {
		r.poll.Full[group] = requests
	}
	for group, at := range r.poll.Full {
		if instant(at).Add(r.config.MaxAge).Before(r.o.Clock.Now()) {
			delete(r.poll.Full, group) // older rows are not read any more
		}
	}
	old := r.poll.Approvals - schemas.Time(2*lookBack.Milliseconds())
	for hash, at := range r.poll.Seen {
		if at < old {
			delete(r.poll.Seen, hash)
		}
	}
	for group, n := range overflow {
		e := event{Event: "rejected", by: Caller{Via: r.config.Control}}
		e.Detail = fmt.Sprintf("%d requests up to %s: %s", n, instant(requests).Format(time.RFC3339Nano), group)
		if err := r.commit(ctx, nil, e); err != nil {
			return err
		}
	}
	data, err := json.Marshal(r.poll)
	if err != nil || string(data) == r.polledAs {
		return err
	}
	if err := r.o.Commit(ctx, "", "", nil, func(tx pipeline.Tx) error { return tx.SetMeta(metaPoll, string(data)) }); err != nil {
		return err
	}
	r.polledAs = string(data)
	return nil
}

func (r *Runner) pollApprovals(ctx context.Context) error {
	place := r.from(r.poll.Approvals)
	for range pollPages {
		rows, err := r.o.Control.Approvals(ctx, place, pollPage)
		if err != nil {
			return err
		}
		for _, d := range rows {
			hash := sum("weir action decision 1", d.ActionID, d.RequestHash, d.PlanHash, d.Decision, d.Reason, d.DBUser, fmt.Sprint(d.ReceivedAt))
			if _, seen := r.poll.Seen[hash]; seen {
				continue
			}
			if _, err := r.Decide(ctx, d, r.dbUser(d.DBUser)); err != nil && fault.Of(err) != fault.BadData {
				return err
			}
			r.poll.Seen[hash] = d.ReceivedAt
		}
		if len(rows) > 0 {
			last := rows[len(rows)-1]
			place = sinks.ControlPlace{ReceivedAt: last.ReceivedAt, ID: last.ActionID}
			if err := r.polled(ctx, 0, last.ReceivedAt, nil); err != nil {
				return err
			}
		}
		if len(rows) < pollPage {
			return nil
		}
	}
	return nil
}

func instant(t schemas.Time) time.Time { return time.UnixMilli(int64(t)).UTC() }
