package microsoft365

import (
	"context"
	"encoding/json"

	"weir/internal/fault"
	"weir/sources"
)

// args are a step's: what is done, to what.
type args struct {
	Op    string `json:"op"`
	ID    string `json:"id,omitempty"`    // of the user, service principal, grant, role assignment or permission
	App   bool   `json:"app,omitempty"`   // ID is a service principal
	Group string `json:"group,omitempty"` // membership
	// Was is what tells the effect from what was there before.
	Was   string     `json:"was,omitempty"`
	Grant *grantArgs `json:"grant,omitempty"`
	Role  *roleArgs  `json:"role,omitempty"`

	Drive   string     `json:"drive,omitempty"`
	Item    string     `json:"item,omitempty"`
	Content *content   `json:"content,omitempty"` // that the plan has seen
	Text    string     `json:"text,omitempty"`    // that is put in its place
	Version string     `json:"version,omitempty"`
	Size    int64      `json:"size,omitempty"` // of that version
	Share   *share     `json:"share,omitempty"`
	Place   *place     `json:"place,omitempty"` // where it is moved or copied
	From    *place     `json:"from,omitempty"`
	Site    *sitePlace `json:"site,omitempty"`
	Bin     string     `json:"bin,omitempty"` // id in the recycle bin
}

// grantArgs are what an app was granted: the body by which it is granted again.
type grantArgs struct {
	ClientID    string `json:"clientId,omitempty"`
	ConsentType string `json:"consentType,omitempty"`
	PrincipalID string `json:"principalId,omitempty"`
	ResourceID  string `json:"resourceId,omitempty"`
	Scope       string `json:"scope,omitempty"`
	AppRoleID   string `json:"appRoleId,omitempty"`
}

// roleArgs are a directory role that was assigned.
type roleArgs struct {
	PrincipalID string `json:"principalId"`
	Definition  string `json:"roleDefinitionId"`
	Scope       string `json:"directoryScopeId,omitempty"`
	AppScope    string `json:"appScopeId,omitempty"`
}

// kept is what a receipt keeps.
type kept struct {
	ID   string `json:"id,omitempty"`   // of what was made
	CTag string `json:"ctag,omitempty"` // of the content after it
	Bin  string `json:"bin,omitempty"`
}

// op is one kind of write.
type op struct {
	doc         string
	permissions []string // application permissions that it needs
	do          func(ctx context.Context, s *session, a *args) (sources.Receipt, error)
	check       func(ctx context.Context, s *session, a *args, r *kept, pending bool) (sources.Outcome, error)
	// undo returns the step that takes it back. nil: there is none, and the
	// text says what stays.
	undo func(ctx context.Context, s *session, a *args, r *kept) (*args, string, error)
}

// opOf returns the op of a name; nil: there is none.
func opOf(name string) *op {
	for _, of := range []func(string) *op{accountOp, grantOp, fileOp, shareOp, moveOp} {
		if o := of(name); o != nil {
			return o
		}
	}
	return nil
}

// step makes a step of a plan.
func step(name string, a args) sources.Step {
	return sources.Step{Name: name, Doc: opOf(a.Op).doc, Args: encode(a)}
}

func decodeStep(st sources.Step) (*args, *op, error) {
	a := &args{}
	if err := json.Unmarshal(st.Args, a); err != nil {
		return nil, nil, fault.New(fault.Permanent, "step %q: %w", st.Name, err)
	}
	o := opOf(a.Op)
	if o == nil {
		return nil, nil, fault.New(fault.Permanent, "step %q: microsoft365 has no %q: it was planned by another version", st.Name, a.Op)
	}
	return a, o, nil
}

func decodeAnswer(r sources.Receipt) *kept {
	a := &kept{}
	if json.Unmarshal(r.Data, a) != nil { // of a lost answer there is none
		return &kept{}
	}
	return a
}

// Do implements sources.Governor.
func (s *session) Do(ctx context.Context, st sources.Step) (sources.Receipt, error) {
	a, o, err := decodeStep(st)
	if err != nil {
		return sources.Receipt{}, err
	}
	r, err := o.do(ctx, s, a)
	return r, naming(err, o.permissions...)
}

// Check implements sources.Governor.
func (s *session) Check(ctx context.Context, st sources.Step, r sources.Receipt) (sources.Outcome, error) {
	a, o, err := decodeStep(st)
	if err != nil {
		return sources.Unknown, err
	}
	out, err := o.check(ctx, s, a, decodeAnswer(r), r.Pending)
	switch {
	case isGone(err):
		return sources.Unknown, nil // what it was done to is gone, or out of sight
	case err != nil:
		return sources.Unknown, err
	}
	return out, nil
}

// doneIf is the outcome of a check that can tell.
func doneIf(done bool, err error) (sources.Outcome, error) {
	switch {
	case err != nil:
		return sources.Unknown, err
	case done:
		return sources.Done, nil
	}
	return sources.NotDone, nil
}

// toggled makes the undoing of an op whose opposite takes the same arguments.
func toggled(name string) func(context.Context, *session, *args, *kept) (*args, string, error) {
	return func(_ context.Context, _ *session, a *args, _ *kept) (*args, string, error) {
		back := *a
		back.Op = name
		return &back, "", nil
	}
}
