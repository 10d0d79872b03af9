package github

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/auth"
	"weir/sources/httpx"
)

// actions are what can be changed at GitHub (connectors/github.md 9).
var actions = []sources.ActionInfo{
	{
		Action: sources.MakePrivate, Doc: "makes a public or internal repository private",
		Targets: []sources.ActionTarget{{Kind: sources.TargetRepository, ID: `[1-9][0-9]{0,18}`, Doc: "the repository's numeric id: files.file_id of a container, without the colon"}},
		Scopes:  []string{"OAuth or classic token scope repo, of an owner", "App permission administration:write"},
		Limits: []string{
			"Forks of a public repository stay public, as repositories of their own.",
			"Stars and watchers that are lost do not come back when it is made public again.",
			"What was public has been copied, maybe: treat secrets in it as known.",
		},
	},
}

var _ sources.Governor = (*session)(nil)

const opVisibility = "visibility"

// args are a step's.
type args struct {
	Op         string `json:"op"`
	Repository string `json:"repository"` // numeric id
	Visibility string `json:"visibility"`
}

type before struct {
	Visibility string `json:"visibility"`
}

func encode(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("github: " + err.Error()) // structs of texts
	}
	return b
}

// Plan implements sources.Governor.
func (s *session) Plan(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	if r.Action != sources.MakePrivate || r.Kind != sources.TargetRepository {
		return nil, fault.New(fault.BadData, "github has no action %s on %s", r.Action, r.Kind)
	}
	return s.planVisibility(ctx, r.Target, "private")
}

func (s *session) planVisibility(ctx context.Context, id, to string) (*sources.Plan, error) {
	w, err := s.repositoryByID(ctx, id)
	if err != nil {
		return nil, err
	}
	now := visibility(w)
	p := &sources.Plan{
		Target: sources.Subject{Kind: sources.TargetRepository, ID: string(w.ID), Name: w.FullName, Aliases: []string{w.FullName, w.NodeID}},
		Before: encode(before{now}),
	}
	if now != to {
		p.Diff = []sources.Change{{What: "visibility of " + w.FullName, Before: now, After: to}}
		p.Steps = []sources.Step{{Name: opVisibility, Doc: "make the repository " + to, Args: encode(args{opVisibility, id, to})}}
	}
	return p, nil
}

// repositoryByID reads a repository by what never changes of it. GitHub knows it
// by name, so that is looked up first.
func (s *session) repositoryByID(ctx context.Context, id string) (*wireRepo, error) {
	if !digits.MatchString(id) {
		return nil, fault.New(fault.BadData, "github: %q is no repository's id", id)
	}
	full, owner, name, err := s.repoName(ctx, id)
	if err != nil {
		return nil, err
	}
	if full == "" {
		return nil, fault.New(fault.BadData, "github: the organization has no repository %s", id)
	}
	w, _, err := s.repository(ctx, id, owner, name)
	return w, err
}

func decodeStep(st sources.Step) (a args, err error) {
	err = json.Unmarshal(st.Args, &a)
	if err != nil || a.Op != opVisibility || !slices.Contains([]string{"private", "internal", "public"}, a.Visibility) {
		return a, fault.New(fault.Permanent, "github: step %q was planned by another version", st.Name)
	}
	return a, nil
}

// Do implements sources.Governor.
func (s *session) Do(ctx context.Context, st sources.Step) (sources.Receipt, error) {
	a, err := decodeStep(st)
	if err != nil {
		return sources.Receipt{}, err
	}
	// By the name of now: the id is compared right before.
	w, err := s.repositoryByID(ctx, a.Repository)
	if err != nil {
		return sources.Receipt{}, err
	}
	owner, name, _ := strings.Cut(w.FullName, "/")
	body := struct {
		Visibility string `json:"visibility"`
	}{a.Visibility}
	r, err := s.rest.Do(ctx, &httpx.Request{
		Method: http.MethodPatch, Path: httpx.P("/repos/{owner}/{repo}", owner, name), Body: encode(body), Once: true,
	})
	if err != nil {
		if fault.Of(err) == fault.Forbidden {
			err = fault.New(fault.Forbidden, "%w; it takes an owner's token with the scope repo, or the App permission administration:write", err)
		}
		return sources.Receipt{}, err
	}
	return sources.Receipt{Ref: clip(r.Header.Get("X-Github-Request-Id"))}, nil
}

// Check implements sources.Governor.
func (s *session) Check(ctx context.Context, st sources.Step, _ sources.Receipt) (sources.Outcome, error) {
	a, err := decodeStep(st)
	if err != nil {
		return sources.Unknown, err
	}
	w, err := s.repositoryByID(ctx, a.Repository)
	switch {
	case fault.Of(err) == fault.BadData: // it is gone
		return sources.Unknown, nil
	case err != nil:
		return sources.Unknown, err
	case visibility(w) == a.Visibility:
		return sources.Done, nil
	}
	return sources.NotDone, nil
}

// Undo implements sources.Governor: the visibility of before is given back, if
// nobody has chosen another since.
func (s *session) Undo(ctx context.Context, e sources.Effect) (*sources.Plan, error) {
	var b before
	if err := json.Unmarshal(e.Before, &b); err != nil || e.Request.Action != sources.MakePrivate {
		return nil, fault.New(fault.Permanent, "github: %s cannot be undone", e.Request.Action)
	}
	p, err := s.planVisibility(ctx, e.Request.Target, b.Visibility)
	if err != nil || len(p.Steps) == 0 {
		return p, err
	}
	if now := p.Diff[0].Before; now != "private" {
		return nil, fault.New(fault.Permanent, "github: somebody has made the repository %s since: it is left alone", now)
	}
	return p, nil
}

// probeAction tells whether the credentials were granted what an action needs.
func (s *session) probeAction(ctx context.Context, a sources.Action) error {
	if !slices.ContainsFunc(actions, func(i sources.ActionInfo) bool { return i.Action == a }) {
		return fault.New(fault.Permanent, "github has no action %q", a)
	}
	if tokens, ok := s.auth.(*auth.Tokens); ok && s.cfg.Auth.way() == wayApp {
		t, err := tokens.Token(ctx)
		if err != nil {
			return err
		}
		if p := t.Permissions["administration"]; p != "write" && p != "admin" {
			return fault.New(fault.Forbidden, "github: the App lacks the permission administration:write")
		}
		return nil
	}
	may, err := s.mayOwn(ctx, "repo")
	if err == nil && !may {
		err = fault.New(fault.Forbidden, "github: it takes an owner's token with the scope repo")
	}
	return err
}
