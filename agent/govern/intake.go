package govern

import (
	"context"
	"fmt"
	"slices"
	"time"

	"weir/configs"
	"weir/internal/fault"
	"weir/schemas"
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
	if dropped, err := r.o.Store.ActionDropped(ctx, row.ID); err != nil || dropped {
		return nil, orError(err, errDropped)
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
	return a, r.commit(ctx, a, event{Event: "received", Detail: signedBy(a.SignedBy)})
}

var errDropped = fault.New(fault.BadData, "the id is of an action that has been carried out or refused long ago: take another")

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
	for _, s := range []*string{&row.Instance, &row.Action, &row.TargetKind, &row.TargetID, &row.Params, &row.Reason, &row.ChangeRef, &row.RequestedBy, &row.DBUser, &row.Signature} {
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
	p := r.principal(by.Principal)
	if p == nil {
		return bad("%s is no principal of the configuration", quoted(by.DBUser))
	}
	inst := r.instance(row.Instance)
	var g configs.Governed
	var err error
	switch {
	case ofPerson(sources.Action(row.Action)):
		if err := r.person(ctx, a); err != nil {
			return err
		}
		g = r.strictest()
	case inst == nil:
		return bad("instance %s: there is none of this name", quoted(row.Instance))
	default:
		if err := r.target(ctx, a, inst); err != nil {
			return err
		}
		g = inst.Governance
	}
	word := string(a.Request.Action)
	if !p.Allowed("request", word) {
		return bad("%s may not request %s", p.Name, word)
	}
	if inst != nil && !slices.Contains(g.Allow, word) {
		return bad("%s is not allowed on %s: instances.%s.governance.allow", word, inst.Name, inst.Name)
	}
	if a.SignedBy, err = r.signature(a); err != nil {
		return err
	}
	if g.ChangeRef && row.ChangeRef == "" {
		return bad("change_ref: a number of a change is asked for")
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
	if a.Reapplies != "" {
		return nil
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
		case ok && ofPerson(of.Request.Action):
			return fault.New(fault.BadData, "action %s is undone by %s", of.Row.ID, sources.ReleaseUser)
		case !ok || of.Row.Instance != inst.Name:
			return fault.New(fault.BadData, "target_id %s: no action of %s that can be undone", quoted(row.TargetID), inst.Name)
		case of.Undoes != "":
			return fault.New(fault.BadData, "action %s undoes %s, and cannot be undone itself: ask for the action anew", of.Row.ID, of.Undoes)
		case of.State == Reverted:
			return fault.New(fault.BadData, "action %s has been reverted by somebody else: nothing is left to undo", of.Row.ID)
		case of.State == Undone:
			return fault.New(fault.BadData, "action %s has been undone by %s", of.Row.ID, of.UndoneBy)
		case of.Plan == nil || len(of.effect().Steps) == 0 || !of.Done:
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
	if v, ok := values[sources.ParamReapply]; ok {
		switch {
		case v != "yes" && v != "no":
			return fault.New(fault.BadData, "params.%s %s: want yes or no", sources.ParamReapply, quoted(v))
		case v == "yes" && inst.Governance.Watch == 0:
			return fault.New(fault.BadData, "params.%s: %s watches nothing: instances.%s.governance.watch", sources.ParamReapply, inst.Name, inst.Name)
		}
		a.Reapply = v == "yes"
		delete(values, sources.ParamReapply)
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

var errNoAction = fault.New(fault.BadData, "there is no such action")

// Decide takes a decision in. An error of class BadData says why it does not
// count; it is in the log, too, when the action is known.
func (r *Runner) Decide(ctx context.Context, d schemas.ApprovalRow, by Caller) (*Action, error) {
	return r.decideOnce(ctx, d, by, "")
}

// decideOnce takes a decision in that is known by a hash, which the action
// remembers: the next time it is passed over. Of those that do not count it
// remembers, and tells, some; any more find a state that has not changed.
func (r *Runner) decideOnce(ctx context.Context, d schemas.ApprovalRow, by Caller, hash string) (*Action, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	a, ok, err := r.load(ctx, d.ActionID)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, errNoAction
	}
	if hash != "" && slices.Contains(a.Heard, hash) {
		return a, nil
	}
	key, why := r.decide(a, d, by)
	if hash != "" && (why == nil || a.Ignored < MaxAnswers) {
		a.Heard = append(a.Heard, hash)
	}
	if why != nil {
		if a.Ignored++; a.Ignored > MaxAnswers {
			return a, why
		}
		e := event{Event: "decision_ignored", Detail: why.Error(), Reason: d.Reason, by: by}
		if a.Ignored == MaxAnswers {
			e.Detail += "; more are not told"
		}
		return a, orError(r.commit(ctx, a, e), why)
	}
	a.Decisions++
	return a, r.commit(ctx, a, event{Event: map[string]string{"approve": "approval", "reject": "rejected", "cancel": "cancelled"}[d.Decision], Detail: joined(a.Note, signedBy(key)), Reason: d.Reason, by: by})
}

// joined is two texts, either of which may be empty.
func joined(a, b string) string {
	if a != "" && b != "" {
		a += "; "
	}
	return a + b
}

// decide takes a decision, and returns the key that it is signed with.
func (r *Runner) decide(a *Action, d schemas.ApprovalRow, by Caller) (key string, err error) {
	bad := func(format string, args ...any) (string, error) { return "", fault.New(fault.BadData, format, args...) }
	p := r.principal(by.Principal)
	if p == nil {
		return bad("%s is no principal of the configuration", quoted(by.DBUser))
	}
	if key, err = verifySignature(p, DecisionText(d), d.Signature, r.demanded(a)); err != nil {
		return "", err
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
		return key, nil
	case "reject":
		if !may {
			return bad("%s may not approve %s, nor reject it", p.Name, a.Request.Action)
		}
		a.State, a.Done, a.Note = Rejected, true, "rejected by "+p.Name
		return key, nil
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
	case slices.ContainsFunc(a.Approvals, func(o Approval) bool { return o.Principal == p.Name && r.counts(a, o) }):
		return bad("%s has approved it already", p.Name)
	}
	a.Approvals = slices.DeleteFunc(a.Approvals, func(o Approval) bool { return o.Principal == p.Name }) // it has lapsed
	a.Approvals = append(a.Approvals, Approval{p.Name, a.PlanHash, r.o.Clock.Now(), d.Reason, d.Signature})
	missing := r.missing(a)
	if missing > 0 {
		a.Note = fmt.Sprintf("%d more approvals are needed", missing)
		return key, nil
	}
	a.State, a.Note, a.Due = Approved, "", r.o.Clock.Now()
	return key, nil
}

// counts reports whether an approval holds as the configuration is now.
func (r *Runner) counts(a *Action, o Approval) bool {
	p := r.principal(o.Principal)
	if p == nil || o.PlanHash != a.PlanHash || p.Name == a.Principal {
		return false
	}
	if a.Bundle != "" {
		return p.Allowed("approve", string(a.Request.Action)) || p.Allowed("approve", string(a.BundleWord))
	}
	d := schemas.ApprovalRow{ActionID: a.Row.ID, RequestHash: a.RequestHash, PlanHash: o.PlanHash, Decision: "approve", Reason: o.Reason}
	_, err := verifySignature(p, DecisionText(d), o.Signature, r.demanded(a))
	return err == nil && p.Allowed("approve", string(a.Request.Action))
}

// missing is how many approvals an action still needs.
func (r *Runner) missing(a *Action) int {
	inst, info := r.declared(a)
	need := 1
	switch {
	case ofPerson(a.Request.Action): // which addresses are whose is for a person to look at
		need = max(need, r.strictest().Approvals)
	case inst == nil:
		return 1
	default:
		need = inst.Governance.Approvals
	}
	if a.Privileged || info != nil && info.Risky || a.Reapplies != "" { // whether a person reverted it cannot be told
		need = max(need, 1)
	}
	var by []string
	for _, o := range a.Approvals {
		if r.counts(a, o) && !slices.Contains(by, o.Principal) {
			by = append(by, o.Principal)
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

func instant(t schemas.Time) time.Time { return time.UnixMilli(int64(t)).UTC() }
