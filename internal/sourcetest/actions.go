package sourcetest

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"weir/agent/govern"
	"weir/internal/fault"
	"weir/internal/rowtest"
	"weir/internal/sandbox"
	"weir/internal/sandbox/org"
	"weir/schemas"
	"weir/sources"
)

// ActionCase is one thing that an action can be done to.
type ActionCase struct {
	Name   string
	Action sources.Action
	Kind   sources.TargetKind
	// Candidates are targets as the truth has them; the first that can be
	// planned, with steps, is taken.
	Candidates func(truth *schemas.Rows) []ActionTarget
	// Effect reports whether the truth shows the effect. nil: the entity tables
	// have no column that does.
	Effect func(truth *schemas.Rows, t ActionTarget) bool
	Event  string // action of the activity that the vendor then logs; "" it logs none
	Scope  string // in the sandbox's words, without which it cannot be done
	// Scopes are those of steps that need another, by what their names have before
	// a colon.
	Scopes map[string]string
	// Changed are columns, by table, that undoing does not bring back.
	Changed map[string][]string
	// Back reports whether undoing has brought back what it can; nil: the truth
	// is as before.
	Back func(truth *schemas.Rows, t ActionTarget) bool
	// Prepare makes what the sandbox's organizations may lack; nil: they have it.
	Prepare func(s *org.State)
	// Again: it is never as the action would have it, so that it can be done
	// again.
	Again bool
	// Free: ids may hold nearly any text, so that what is appended to one makes
	// the id of nobody.
	Free bool
	// Foreign is how a plan for a target that is not the organization's is
	// refused; "": as bad data.
	Foreign fault.Class
}

func (c *ActionCase) scope(s sources.Step) string {
	name, _, _ := strings.Cut(s.Name, ":")
	return cmp.Or(c.Scopes[name], c.Scope)
}

// ActionTarget is a target of a case.
type ActionTarget struct {
	ID     string
	Params map[string]string
}

// RunActions holds every declared action against the sandbox: each case is
// planned, interrupted before and after the write, done, checked, done again
// and undone, and the truth must agree each time.
func RunActions(t *testing.T, f Fixture, cases []ActionCase) {
	t.Helper()
	for _, a := range f.Connector.Actions {
		require.NoError(t, a.Validate())
		for _, target := range a.Targets {
			require.True(t, slices.ContainsFunc(cases, func(c ActionCase) bool { return c.Action == a.Action && c.Kind == target.Kind }), "%s on %s has no case", a.Action, target.Kind)
		}
	}
	cut := &cutter{reads: f.Reads}
	site := f.NewSite(t, SiteOptions{People: few, Wrap: cut.wrap, Speed: f.Speed})
	session, ok := site.Session().(sources.Governor)
	require.True(t, ok, "the session carries out no actions")
	prepare := func(tenant *sandbox.Tenant) {
		for _, c := range cases {
			if c.Prepare != nil {
				tenant.World.Change(c.Prepare)
			}
		}
	}
	prepare(site.Tenant)
	var foreign []*schemas.Rows
	for _, name := range []string{"other", "another", "third"} { // not each has everything
		tenant, err := site.Sandbox.Tenant(f.Connector.App, name, site.URL)
		require.NoError(t, err)
		prepare(tenant)
		foreign = append(foreign, site.Sandbox.Truth(tenant))
	}
	tracer, ok := session.(sources.Tracer)
	require.True(t, ok, "a Governor tells how its writes show in the log")
	trace, err := tracer.Trace(t.Context())
	require.NoError(t, err)
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			x := &actionRun{t: t, f: &f, c: c, site: site, session: session, trace: &trace, cut: cut}
			x.refusesForeign(foreign)
			x.run()
			x.keepsSecrets()
		})
	}
	if !t.Failed() { // what was done is collected, as anybody's doing is
		site.Clock.Skip(f.LogLag)
		site.Once()
		site.Equal("lake")
	}
	site.polite()
}

// actionRun is one case at work.
type actionRun struct {
	t       *testing.T
	f       *Fixture
	c       ActionCase
	site    *Site
	session sources.Governor
	trace   *sources.Trace
	cut     *cutter
	said    []string // plans, receipts and errors
}

func (x *actionRun) info() *sources.ActionInfo { return x.f.Connector.Action(x.c.Action) }

func (x *actionRun) request(target ActionTarget) sources.ActionRequest {
	return sources.ActionRequest{ID: "a1", Action: x.c.Action, Kind: x.c.Kind, Target: target.ID, Params: maps.Clone(target.Params)}
}

func (x *actionRun) say(v any, err error) {
	text, _ := json.Marshal(v) //nolint:errchkjson // what cannot be marshalled is printed below
	x.said = append(x.said, string(text), fmt.Sprintf("%+v", v), fmt.Sprint(err))
	if r, ok := v.(*sources.Plan); ok && r != nil {
		x.said = append(x.said, string(r.Before))
		for _, s := range r.Steps {
			x.said = append(x.said, string(s.Args))
		}
	}
	if r, ok := v.(sources.Receipt); ok {
		x.said = append(x.said, string(r.Data))
	}
}

func (x *actionRun) plan(r sources.ActionRequest) (*sources.Plan, error) {
	p, err := x.session.Plan(x.t.Context(), r)
	x.say(p, err)
	return p, err
}

func (x *actionRun) do(s sources.Step) error {
	x.t.Helper()
	r, err := x.session.Do(x.t.Context(), s)
	x.say(r, err)
	return err
}

func (x *actionRun) check(s sources.Step) sources.Outcome {
	x.t.Helper()
	o, err := x.session.Check(x.t.Context(), s, sources.Receipt{})
	x.say(o, err)
	require.NoError(x.t, err)
	return o
}

// refusesForeign has ids refused that are none here: of nobody, of another
// organization, and such as would be another request.
func (x *actionRun) refusesForeign(foreign []*schemas.Rows) {
	t := x.t
	writes := x.cut.writes()
	var theirs []ActionTarget
	for _, truth := range foreign {
		theirs = append(theirs, x.c.Candidates(truth)...)
	}
	require.NotEmpty(t, theirs, "no other organization has any")
	for _, target := range theirs[:min(2, len(theirs))] {
		r := x.request(target)
		require.NoError(t, x.info().Check(&r), "it has the form of an id")
		_, err := x.plan(r)
		require.Equal(t, cmp.Or(x.c.Foreign, fault.BadData), fault.Of(err), "%s of another organization: %v", target.ID, err)
	}
	own := x.c.Candidates(x.site.Truth())
	require.NotEmpty(t, own)
	for _, bad := range []string{"/", "/lifecycle/deactivate", "?x=1", "#x", "%2f", "/../" + own[0].ID, " or true", `"`, "\x00", ";", "\u202e", "\n", "*"} {
		r := x.request(own[0])
		r.Target += bad
		err := x.info().Check(&r)
		if !x.c.Free || err != nil {
			require.Equal(t, fault.BadData, fault.Of(err), "%q", r.Target)
		}
		_, err = x.plan(r) // were it not checked before
		require.Error(t, err, "%q", r.Target)
	}
	r := x.request(own[0])
	last := r.Target[len(r.Target)-1]
	r.Target = r.Target[:len(r.Target)-1] + string(rune('0'+(last+1)%10))
	if r.Target != own[0].ID {
		_, err := x.plan(r)
		require.Equal(t, cmp.Or(x.c.Foreign, fault.BadData), fault.Of(err), "an id of nobody: %v", err)
	}
	require.Equal(t, writes, x.cut.writes(), "planning writes nothing")
}

func (x *actionRun) run() {
	t := x.t
	truth := x.site.Truth()
	var target ActionTarget
	var r sources.ActionRequest
	var p *sources.Plan
	var err error
	for _, candidate := range x.c.Candidates(truth) {
		r = x.request(candidate)
		require.NoError(t, x.info().Check(&r))
		if p, err = x.plan(r); err == nil && len(p.Steps) > 0 && !p.Target.Self && !p.Target.LastAdmin {
			target = candidate
			break
		}
	}
	require.NotEmpty(t, target.ID, "no candidate can be planned; the last: %v", err)
	require.NoError(t, p.Validate(r))
	require.NotEmpty(t, p.Before)
	again, err := x.plan(r)
	require.NoError(t, err)
	require.Equal(t, p, again, "two plans of one state are equal")
	require.False(t, x.shows(truth, target), "not yet in effect")

	before := x.events(truth)
	x.site.Clock.Skip(4 * time.Second) // logs tell seconds
	began := x.site.Clock.Now().Add(-2 * time.Second)
	for _, s := range p.Steps {
		x.step(s)
	}
	x.site.Clock.Skip(x.f.LogLag)
	done := x.site.Truth()
	if x.c.Effect != nil {
		require.True(t, x.c.Effect(done, target), "the truth shows the effect")
	}
	x.traced(done, began, r, p)
	if x.c.Event != "" {
		require.Greater(t, x.events(done), before, "the vendor logs %s", x.c.Event)
	}
	x.repeat(p, r)

	e := sources.Effect{Request: r, Before: p.Before}
	for _, s := range p.Steps {
		e.Steps = append(e.Steps, sources.StepDone{Step: s})
	}
	if x.info().NoUndo != "" || p.NoUndo != "" {
		_, err := x.session.Undo(t.Context(), e)
		require.Error(t, err)
		return
	}
	x.undo(e, truth, target)
}

func (x *actionRun) shows(truth *schemas.Rows, target ActionTarget) bool {
	return x.c.Effect != nil && x.c.Effect(truth, target)
}

func (x *actionRun) events(truth *schemas.Rows) (n int) {
	for i := range truth.Activities {
		if truth.Activities[i].Action == x.c.Event {
			n++
		}
	}
	return n
}

// step takes one step, which at first is refused, then gets lost on its way,
// then loses its answer. Each time the check tells the truth.
func (x *actionRun) step(s sources.Step) {
	t := x.t
	require.Equal(t, sources.NotDone, x.check(s))
	if scope := x.c.scope(s); scope != "" {
		x.site.Tenant.TakeScopes(scope)
		err := x.do(s)
		x.site.Tenant.TakeScopes()
		require.Equal(t, fault.Forbidden, fault.Of(err), "without the scope: %v", err)
		require.ErrorContains(t, err, scope)
		require.Equal(t, sources.NotDone, x.check(s), "without the scope")
	}
	for _, lost := range []string{lostRequest, lostAnswer} {
		writes := x.cut.writes()
		x.cut.next(lost)
		err := x.do(s)
		require.Equal(t, fault.Transient, fault.Of(err), "%s: %v", lost, err)
		require.Equal(t, writes+1, x.cut.writes(), "%s: the write is sent once", lost)
		want := sources.NotDone
		if lost == lostAnswer {
			want = sources.Done
			x.site.Clock.Skip(x.info().Delay) // as governance waits, before it asks
		}
		require.Equal(t, want, x.check(s), lost)
	}
}

// traced requires that the session knows its writes in the vendor's log, and that
// the plan explains them.
func (x *actionRun) traced(truth *schemas.Rows, since time.Time, r sources.ActionRequest, p *sources.Plan) {
	t := x.t
	trace := x.trace
	if x.c.Event == "" {
		return
	}
	require.True(t, trace.Knows(), "the session does not know its own writes")
	own := 0
	for i := range truth.Activities {
		a := &truth.Activities[i]
		if int64(a.Time) < since.UnixMilli() || !trace.Own(a) {
			continue
		}
		own++
		require.True(t, govern.Explains(trace, r, p, false, a.Action, a.TargetIDs, a.TargetNames), "no action explains %s on %v %v", a.Action, a.TargetIDs, a.TargetNames)
	}
	require.Positive(t, own, "its own write is not known in the log")
}

// repeat does it all once more, which does no harm or is refused.
func (x *actionRun) repeat(p *sources.Plan, r sources.ActionRequest) {
	t := x.t
	truth := x.site.Truth()
	for _, s := range p.Steps {
		if err := x.do(s); err != nil {
			require.Contains(t, []fault.Class{fault.BadData, fault.Permanent}, fault.Of(err), "%v", err)
		}
		require.Equal(t, sources.Done, x.check(s))
	}
	require.Empty(t, x.differ(truth, x.site.Truth()), "a repeat changes nothing")
	if x.c.Again {
		return
	}
	again, err := x.plan(r)
	if err != nil {
		require.Contains(t, []fault.Class{fault.BadData, fault.Permanent}, fault.Of(err), "what is gone cannot be planned: %v", err)
		return
	}
	require.Empty(t, again.Steps, "nothing is left to do")
}

func (x *actionRun) undo(e sources.Effect, truth *schemas.Rows, target ActionTarget) {
	t := x.t
	p, err := x.session.Undo(t.Context(), e)
	x.say(p, err)
	require.NoError(t, err)
	require.NoError(t, p.Validate(e.Request))
	require.NotEmpty(t, p.Steps)
	for _, s := range p.Steps {
		require.Equal(t, sources.NotDone, x.check(s))
		require.NoError(t, x.do(s))
		x.site.Clock.Skip(x.info().Delay)
		require.Equal(t, sources.Done, x.check(s))
	}
	if now := x.site.Truth(); x.c.Back != nil {
		require.True(t, x.c.Back(now, target), "what can be is given back")
	} else {
		require.Empty(t, x.differ(truth, now), "it is as before")
	}
	p, err = x.session.Undo(t.Context(), e)
	x.say(p, err)
	require.NoError(t, err)
	require.Empty(t, p.Steps, "what is undone is not undone again")
}

// differ compares two truths but for the log, and for when things changed.
func (x *actionRun) differ(want, got *schemas.Rows) (out []string) {
	for _, table := range x.f.tables() {
		if !table.Entity {
			continue
		}
		w, g := x.rows(table, want), x.rows(table, got)
		out = append(out, rowtest.Diff(table, w, g, 10)...)
	}
	return out
}

func (x *actionRun) rows(table *schemas.Table, rows *schemas.Rows) rowtest.Table {
	list := rowtest.Table{}
	for _, row := range rowtest.List(table, rows) {
		delete(row, "modified_at")
		key, changed := rowtest.Key(table, row), x.c.Changed[table.Name]
		for _, c := range changed {
			delete(row, c)
		}
		if slices.ContainsFunc(changed, func(c string) bool { return slices.Contains(table.Key, c) }) {
			key = fmt.Sprint(row) // which is in the order of the columns' names
		}
		list[key] = row
	}
	return list
}

func (x *actionRun) keepsSecrets() {
	for _, secret := range x.f.Secrets {
		for _, text := range x.said {
			require.NotContains(x.t, text, secret)
		}
	}
}

// What becomes of the next write.
const (
	lostRequest = "the request is lost"
	lostAnswer  = "the answer is lost"
)

// cutter counts writes, and cuts connections.
type cutter struct {
	reads func(*http.Request) bool
	mu    sync.Mutex
	mode  string
	count int
}

func (c *cutter) next(mode string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mode = mode
}

func (c *cutter) writes() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

func (c *cutter) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	mode := c.mode
	c.count++
	c.mode = ""
	return mode
}

func (c *cutter) wrap(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mode := ""
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead || strings.HasSuffix(r.URL.Path, "/token") || strings.HasSuffix(r.URL.Path, "/graphql") || strings.HasSuffix(r.URL.Path, "/access_tokens")
		if !reads && (c.reads == nil || !c.reads(r)) {
			mode = c.take()
		}
		switch mode {
		case lostAnswer:
			h.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		case lostRequest:
			panic(http.ErrAbortHandler)
		default:
			h.ServeHTTP(w, r)
		}
	})
}
