package googleworkspace

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// args are a step's: what is done, to what.
type args struct {
	Op     string         `json:"op"`
	User   string         `json:"user,omitempty"` // id
	Email  string         `json:"email,omitempty"`
	Group  string         `json:"group,omitempty"`
	Member *govMember     `json:"member,omitempty"`
	Role   *govAssignment `json:"role,omitempty"`
	Client string         `json:"client,omitempty"` // of a token
	Code   string         `json:"code,omitempty"`   // of an app password
	// Was is what tells the effect from what was there before.
	Was string `json:"was,omitempty"`
}

// op is one kind of write.
type op struct {
	doc   string
	scope string // that it needs
	do    func(ctx context.Context, s *session, a *args) (sources.Receipt, error)
	check func(ctx context.Context, s *session, a *args) (sources.Outcome, error)
	// undo returns the step that takes it back, of an account as it is now; or
	// why it is left alone. nil: nothing takes it back.
	undo func(ctx context.Context, s *session, a *args, h *holder) (*args, error)
}

// opOf returns the op of a name; nil: there is none.
func opOf(name string) *op {
	for _, of := range []func(string) *op{userOp, memberOp, roleOp, grantOp} {
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

// fileOps begins the ops on files.
const fileOps = "file."

func isFileStep(st sources.Step) bool {
	var a struct {
		Op string `json:"op"`
	}
	return json.Unmarshal(st.Args, &a) == nil && strings.HasPrefix(a.Op, fileOps)
}

func decodeStep(st sources.Step) (*args, *op, error) {
	a := &args{}
	if err := json.Unmarshal(st.Args, a); err != nil {
		return nil, nil, fault.New(fault.Permanent, "step %q: %w", st.Name, err)
	}
	o := opOf(a.Op)
	if o == nil {
		return nil, nil, fault.New(fault.Permanent, "step %q: google_workspace has no %q: it was planned by another version", st.Name, a.Op)
	}
	return a, o, nil
}

// encode writes a connector's own part of a plan.
func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // structs of texts
	}
	return b
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

// govGet reads one object.
func govGet(ctx context.Context, c *httpx.Client, r *httpx.Request, into any) error {
	resp, err := c.Do(ctx, r)
	if err != nil {
		return err
	}
	return httpx.Decode(resp, into)
}

// govList decodes every element of a listing, all pages of it.
func govList[T any](ctx context.Context, s *session, l listing) (out []T, err error) {
	err = s.each(ctx, l, func(raw []byte) error {
		var v T
		if err := decode(raw, &v); err != nil {
			return err
		}
		out = append(out, v)
		return nil
	})
	return out, err
}

// govWrite makes a request of an action, once.
func govWrite(ctx context.Context, c *httpx.Client, r *httpx.Request) (sources.Receipt, error) {
	r.Once = true
	_, err := c.Do(ctx, r)
	return sources.Receipt{}, err
}

// govRemove deletes; what is gone already needs no deleting.
func govRemove(ctx context.Context, c *httpx.Client, path httpx.Path) (sources.Receipt, error) {
	r, err := govWrite(ctx, c, &httpx.Request{Method: http.MethodDelete, Path: path})
	if isGone(err) {
		return sources.Receipt{Note: "it was gone already"}, nil
	}
	return r, err
}

func put(path httpx.Path, body any) *httpx.Request {
	return &httpx.Request{Method: http.MethodPut, Path: path, Body: encode(body)}
}

func post(path httpx.Path, body any) *httpx.Request {
	r := &httpx.Request{Method: http.MethodPost, Path: path}
	if body != nil {
		r.Body = encode(body)
	}
	return r
}

// naming adds to a refusal what to grant.
func naming(err error, scope string) error {
	if fault.Of(err) != fault.Forbidden {
		return err
	}
	return fault.New(fault.Forbidden, "%w; it takes the scope %s", err, scope)
}

// refusedWrite classes what a write alone is refused with.
func refusedWrite(err error, scope string) error {
	switch status := httpx.StatusOf(err); {
	case err == nil:
		return nil
	case httpx.CodeOf(err) == "adminCannotUnsuspend":
		return fault.New(fault.Permanent, "Google itself has suspended the account, and does not let an administrator take that back: %w", err)
	case status == http.StatusPreconditionFailed, status == http.StatusConflict:
		return fault.New(fault.BadData, "it conflicts with what is there: %w", err)
	case fault.Of(err) == fault.Forbidden:
		return fault.New(fault.Forbidden, "%w; it takes the scope %s, and to act on an administrator a super administrator as subject", err, scope)
	}
	return err
}
