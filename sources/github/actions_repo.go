package github

import (
	"context"
	"net/http"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// repositoryByID reads a repository by what never changes of it. GitHub knows it
// by name, so that is looked up first.
func (s *session) repositoryByID(ctx context.Context, id string) (*wireRepo, error) {
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

// repositoryNames reads a repository and takes its name of now apart.
func (s *session) repositoryNames(ctx context.Context, id string) (w *wireRepo, owner, name string, err error) {
	if w, err = s.repositoryByID(ctx, id); err != nil {
		return nil, "", "", err
	}
	owner, name, ok := strings.Cut(w.FullName, "/")
	if !ok {
		return nil, "", "", fault.New(fault.BadData, "github: repository %s has no full name", id)
	}
	return w, owner, name, nil
}

func repositorySubject(w *wireRepo) sources.Subject {
	return sources.Subject{Kind: sources.TargetRepository, ID: string(w.ID), Name: w.FullName, Aliases: compact(w.FullName, w.NodeID)}
}

func (s *session) planVisibility(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	w, err := s.repositoryByID(ctx, r.Target)
	if err != nil {
		return nil, err
	}
	const to = "private"
	now := visibility(w)
	p := &sources.Plan{Target: repositorySubject(w), Before: encode(before{Visibility: now})}
	if now != to {
		p.Diff = []sources.Change{{What: "visibility of " + w.FullName, Before: now, After: to}}
		p.Steps = []sources.Step{makeStep(opVisibility, "make the repository "+to, args{Op: opVisibility, Repository: r.Target, Visibility: to, Was: now})}
	}
	return p, nil
}

func setVisibility(ctx context.Context, s *session, a *args) (*httpx.Request, error) {
	return inRepo(http.MethodPatch, pathRepository, func(a *args) any { return visibilityBody{a.Visibility} }, nil)(ctx, s, a)
}

func hasVisibility(ctx context.Context, s *session, a *args) (bool, error) {
	w, err := s.repositoryByID(ctx, a.Repository)
	return err == nil && visibility(w) == a.Visibility, err
}

// wireDeployKey is a deploy key with its public half.
type wireDeployKey struct {
	wireKey
	Key   string `json:"key"`
	Title string `json:"title"`
}

// planKey plans the deletion of a deploy key, or of a server's token.
func (s *session) planKey(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	kind, id, _ := strings.Cut(r.Target, ":")
	repo := r.Params[paramRepository]
	switch {
	case kind == "token" && repo == "":
		return s.planServerToken(ctx, r, id)
	case kind != "link" || repo == "":
		return nil, fault.New(fault.BadData, "github: %s: params.repository must say which repository's deploy key it is, and goes with no token", r.Target)
	}
	w, owner, name, err := s.repositoryNames(ctx, repo)
	if err != nil {
		return nil, err
	}
	k, err := find(ctx, s, httpx.P(pathKeys, owner, name), nil, func(k *wireDeployKey) bool { return string(k.ID) == id })
	if err != nil {
		return nil, naming(err, rightRepo)
	}
	if k == nil {
		return nil, fault.New(fault.BadData, "github: %s has no deploy key %s", w.FullName, id)
	}
	may := "reads and writes"
	if k.ReadOnly {
		may = "reads"
	}
	title := clip(k.Title)
	p := &sources.Plan{
		Target: sources.Subject{Kind: r.Kind, ID: r.Target, Name: title, Aliases: []string{id}},
		Also:   []sources.Subject{repositorySubject(w)},
		Before: encode(before{Key: k.Key, Title: k.Title, Role: may}),
		Diff:   []sources.Change{{What: "deploy key " + title + " of " + w.FullName, Before: join(may, "added by "+first(clip(k.AddedBy), "nobody known")), After: "deleted"}},
		Steps: []sources.Step{makeStep(opDeleteKey, "delete the deploy key", args{
			Op: opDeleteKey, Repository: repo, ID: id, Key: k.Key, Title: k.Title, ReadOnly: k.ReadOnly,
		})},
	}
	if k.Key == "" {
		p.NoUndo = "GitHub does not tell the key's public half"
	}
	return p, nil
}

// hasKey tells whether a repository has a key: by its public half, for one that
// is added again has another id.
func hasKey(ctx context.Context, s *session, a *args) (bool, error) {
	_, owner, name, err := s.repositoryNames(ctx, a.Repository)
	if err != nil {
		return false, err
	}
	k, err := find(ctx, s, httpx.P(pathKeys, owner, name), nil, func(k *wireDeployKey) bool {
		return string(k.ID) == a.ID || a.Key != "" && sameKey(k.Key, a.Key)
	})
	return k != nil, err
}

// sameKey compares public keys without their comments.
func sameKey(a, b string) bool {
	x, y := strings.Fields(a), strings.Fields(b)
	return len(x) >= 2 && len(y) >= 2 && x[0] == y[0] && x[1] == y[1]
}

// planUnshare plans the end of one access to a repository.
func (s *session) planUnshare(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	w, owner, name, err := s.repositoryNames(ctx, r.Target)
	if err != nil {
		return nil, err
	}
	p := &sources.Plan{Target: repositorySubject(w), Before: encode(before{})}
	switch kind, id, _ := strings.Cut(r.Params[paramPermission], ":"); kind {
	case "account":
		return p, s.planRemove(ctx, p, w, id)
	case "group":
		return p, s.planRemoveTeam(ctx, p, w, id)
	default:
		i, err := s.invitationTo(ctx, owner, name, func(i *wireRepoInvitation) bool { return string(i.ID) == id })
		if err != nil || i == nil {
			return p, err
		}
		if i.Invitee.ID == "" {
			return nil, fault.New(fault.BadData, "github: invitation %s to %s does not tell whom it invites", id, w.FullName)
		}
		u, err := s.personByID(ctx, string(i.Invitee.ID))
		if err != nil {
			return nil, err
		}
		p.Also = []sources.Subject{u.subject}
		p.Before = encode(before{Role: i.Permissions})
		p.Diff = []sources.Change{{What: "invitation of " + u.Login + " to " + w.FullName, Before: i.Permissions, After: "cancelled"}}
		p.Steps = []sources.Step{makeStep(opUninviteRepo, "cancel the invitation", args{Op: opUninviteRepo, Repository: r.Target, ID: id})}
		p.NoUndo = "a cancelled invitation does not come back: invite again"
		return p, nil
	}
}

func (s *session) planRemove(ctx context.Context, p *sources.Plan, w *wireRepo, id string) error {
	u, err := s.personByID(ctx, id)
	if err != nil {
		return err
	}
	p.Also = []sources.Subject{u.subject}
	c, err := s.collaborator(ctx, w.FullName, id)
	if err != nil || c == nil {
		return err
	}
	g, reason := collaboratorGrant(c, "")
	if reason != "" || g.role == "" {
		return fault.New(fault.BadData, "github: %s does not tell what %s may do", w.FullName, u.Login)
	}
	p.Before = encode(before{Role: g.role})
	p.Diff = []sources.Change{{What: "access of " + u.Login + " to " + w.FullName, Before: g.role, After: "none of its own"}}
	p.Steps = []sources.Step{makeStep(opRemove, "remove the collaborator", args{Op: opRemove, Repository: string(w.ID), Account: id, Login: u.Login, Role: g.role})}
	return nil
}

// collaborator finds who has access of their own to a repository.
func (s *session) collaborator(ctx context.Context, full, account string) (*wireUser, error) {
	owner, name, _ := strings.Cut(full, "/")
	l := repoListings[repoDirect]
	c, err := find(ctx, s, httpx.P(l.template, owner, name), l.query, func(u *wireUser) bool { return string(u.ID) == account })
	return c, naming(err, rightRepo)
}

func isCollaborator(ctx context.Context, s *session, a *args) (bool, error) {
	w, err := s.repositoryByID(ctx, a.Repository)
	if err != nil {
		return false, err
	}
	c, err := s.collaborator(ctx, w.FullName, a.Account)
	return c != nil, err
}

// isGivenBack tells whether a collaborator has the role again, or is invited.
func isGivenBack(ctx context.Context, s *session, a *args) (bool, error) {
	w, owner, name, err := s.repositoryNames(ctx, a.Repository)
	if err != nil {
		return false, err
	}
	c, err := s.collaborator(ctx, w.FullName, a.Account)
	if err != nil {
		return false, err
	}
	if c != nil {
		g, _ := collaboratorGrant(c, "")
		return g.role == a.Role, nil
	}
	i, err := s.invitationTo(ctx, owner, name, func(i *wireRepoInvitation) bool { return string(i.Invitee.ID) == a.Account })
	return i != nil, err
}

func onCollaborator(method string) func(context.Context, *session, *args) (*httpx.Request, error) {
	return func(ctx context.Context, s *session, a *args) (*httpx.Request, error) {
		if err := s.sameAccount(ctx, a); err != nil {
			return nil, err
		}
		r, err := inRepo(method, pathCollaborator, nil, func(a *args) []string { return []string{a.Login} })(ctx, s, a)
		if err == nil && method == http.MethodPut {
			r.Body = encode(permissionBody{permissionOf(a.Role)})
		}
		return r, err
	}
}

// permissionOf is a role in the words that writes take.
func permissionOf(role string) string {
	switch role {
	case "read":
		return "pull"
	case "write":
		return "push"
	}
	return role
}

func (s *session) planRemoveTeam(ctx context.Context, p *sources.Plan, w *wireRepo, id string) error {
	t, err := s.team(ctx, id)
	if err != nil {
		return err
	}
	p.Also = []sources.Subject{teamSubject(t, s.cfg.Org)}
	has, err := s.teamOn(ctx, w.FullName, id)
	if err != nil || has == nil {
		return err
	}
	g, _ := teamGrant(has, "")
	p.Before = encode(before{Role: g.role})
	p.Diff = []sources.Change{{What: "access of team " + t.Slug + " to " + w.FullName, Before: g.role, After: "none of its own"}}
	p.Steps = []sources.Step{makeStep(opRemoveTeam, "remove the team", args{Op: opRemoveTeam, Repository: string(w.ID), Team: id, Role: g.role})}
	return nil
}

// teamOn finds a team among those that have access to a repository.
func (s *session) teamOn(ctx context.Context, full, id string) (*wireTeam, error) {
	owner, name, _ := strings.Cut(full, "/")
	t, err := find(ctx, s, httpx.P(repoListings[repoTeams].template, owner, name), nil, func(t *wireTeam) bool { return string(t.ID) == id })
	return t, naming(err, rightRepo)
}

func hasTeam(ctx context.Context, s *session, a *args) (bool, error) {
	w, err := s.repositoryByID(ctx, a.Repository)
	if err != nil {
		return false, err
	}
	t, err := s.teamOn(ctx, w.FullName, a.Team)
	return t != nil, err
}

// hasTeamAs tells whether a team has the role on a repository again.
func hasTeamAs(ctx context.Context, s *session, a *args) (bool, error) {
	w, err := s.repositoryByID(ctx, a.Repository)
	if err != nil {
		return false, err
	}
	t, err := s.teamOn(ctx, w.FullName, a.Team)
	if err != nil || t == nil {
		return false, err
	}
	g, _ := teamGrant(t, "")
	return g.role == a.Role, nil
}

func onTeamRepo(method string) func(context.Context, *session, *args) (*httpx.Request, error) {
	return func(ctx context.Context, s *session, a *args) (*httpx.Request, error) {
		t, err := s.team(ctx, a.Team)
		if err != nil {
			return nil, err
		}
		_, owner, name, err := s.repositoryNames(ctx, a.Repository)
		if err != nil {
			return nil, err
		}
		r := &httpx.Request{Method: method, Path: httpx.P(pathTeamRepo, s.cfg.Org, t.Slug, owner, name)}
		if method == http.MethodPut {
			r.Body = encode(permissionBody{permissionOf(a.Role)})
		}
		return r, nil
	}
}

// wireRepoInvitation is an invitation to a repository.
type wireRepoInvitation struct {
	ID          scalar   `json:"id"`
	Invitee     wireUser `json:"invitee"`
	Permissions string   `json:"permissions"`
}

func (s *session) invitationTo(ctx context.Context, owner, name string, is func(*wireRepoInvitation) bool) (*wireRepoInvitation, error) {
	i, err := find(ctx, s, httpx.P(repoListings[repoInvitations].template, owner, name), nil, is)
	return i, naming(err, rightRepo)
}

func isInvitedTo(ctx context.Context, s *session, a *args) (bool, error) {
	_, owner, name, err := s.repositoryNames(ctx, a.Repository)
	if err != nil {
		return false, err
	}
	i, err := s.invitationTo(ctx, owner, name, func(i *wireRepoInvitation) bool { return string(i.ID) == a.ID })
	return i != nil, err
}
