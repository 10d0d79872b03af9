package github

import (
	"context"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/auth"
	"weir/sources/httpx"
)

var _ sources.Governor = (*session)(nil)

// before is the state that an action changes.
type before struct {
	State       string   `json:"state,omitempty"` // of a membership or installation
	Role        string   `json:"role,omitempty"`
	Blocked     *bool    `json:"blocked,omitempty"`
	Suspended   *bool    `json:"suspended,omitempty"`
	Active      *bool    `json:"active,omitempty"` // of a SCIM identity
	Credentials []string `json:"credentials,omitempty"`
	Visibility  string   `json:"visibility,omitempty"`
	Key         string   `json:"key,omitempty"` // the public half
	Title       string   `json:"title,omitempty"`
	SHA         string   `json:"sha,omitempty"`
	Branch      string   `json:"branch,omitempty"`
	InEffect    []string `json:"in_effect,omitempty"` // steps that an undoing finds still in effect
}

// declared is the declaration of an action; nil: there is none.
func declared(a sources.Action) *sources.ActionInfo {
	i := slices.IndexFunc(actions, func(i sources.ActionInfo) bool { return i.Action == a })
	if i < 0 {
		return nil
	}
	return &actions[i]
}

// Plan implements sources.Governor.
func (s *session) Plan(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	info := declared(r.Action)
	if info == nil {
		return nil, fault.New(fault.BadData, "github has no action %q", r.Action)
	}
	if err := info.Check(&r); err != nil { // ids go into paths: they are checked here, whoever asks
		return nil, err
	}
	p, err := s.plan(ctx, r)
	if err != nil {
		return nil, err // whatever of a plan there is
	}
	return p, nil
}

func (s *session) plan(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	switch r.Action {
	case sources.SuspendUser, sources.UnsuspendUser:
		return s.planSuspend(ctx, r)
	case sources.SignOutUser:
		return s.planSignOut(ctx, r)
	case sources.RemoveMember:
		return s.planLeave(ctx, r)
	case sources.RevokeGrant:
		return s.planGrant(ctx, r)
	case sources.DisableApp:
		return s.planUninstall(ctx, r)
	case sources.RevokeKey:
		return s.planKey(ctx, r)
	case sources.OverwriteFile, sources.TrashFile:
		return s.planFile(ctx, r)
	case sources.RemoveSharing:
		return s.planUnshare(ctx, r)
	case sources.MakePrivate:
		return s.planVisibility(ctx, r)
	case sources.RemovePrivilege:
		return s.planUnassign(ctx, r)
	default:
		return nil, fault.New(fault.BadData, "github has no action %q", r.Action)
	}
}

func cutInvitation(target string) (id string, ok bool) {
	return strings.CutPrefix(target, prefixInvitation)
}

// sortChanges puts a diff in an order of its own.
func sortChanges(d []sources.Change) {
	slices.SortFunc(d, func(a, b sources.Change) int { return strings.Compare(a.What, b.What) })
}

// naming adds to a refusal what to grant.
func naming(err error, r right) error {
	if err == nil || fault.Of(err) != fault.Forbidden {
		return err
	}
	return fault.New(fault.Forbidden, "%w; it takes %s", err, r)
}

// undoSubject reads the target of an action again, and what else it hit.
func (s *session) undoSubject(ctx context.Context, p *sources.Plan, r sources.ActionRequest) error {
	switch r.Kind {
	case sources.TargetAccount:
		u, err := s.personByID(ctx, r.Target)
		if err != nil {
			return err
		}
		p.Target = u.subject
		return nil
	case sources.TargetRepository:
		w, err := s.repositoryByID(ctx, r.Target)
		if err != nil {
			return err
		}
		p.Target = repositorySubject(w)
		return nil
	default:
	}
	// Of a file or key that is gone only the repository is left to read.
	repo, _, _ := strings.Cut(r.Target, ":")
	w, err := s.repositoryByID(ctx, first(r.Params[paramRepository], repo))
	if err != nil {
		return err
	}
	p.Target = sources.Subject{Kind: r.Kind, ID: r.Target}
	p.Also = []sources.Subject{repositorySubject(w)}
	return nil
}

// rights are what an action may take; one of them is enough to try it.
func (s *session) rights(a sources.Action) []right {
	switch a {
	case sources.SuspendUser, sources.UnsuspendUser:
		switch {
		case s.cfg.Actions.SCIM:
			return []right{rightSCIM}
		case s.urls.server:
			return []right{rightSite}
		}
		return []right{rightBlocks}
	case sources.SignOutUser:
		return []right{rightOrg}
	case sources.RemoveMember:
		return []right{rightMembers}
	case sources.RevokeGrant:
		return []right{rightOrg, rightPATs}
	case sources.RevokeKey:
		if s.urls.server {
			return []right{rightRepo, rightSite}
		}
		return []right{rightRepo}
	case sources.OverwriteFile, sources.TrashFile:
		return []right{rightContents}
	case sources.RemovePrivilege:
		return []right{rightRoles}
	default:
		return []right{rightRepo}
	}
}

// probeAction tells whether the credentials were granted what an action takes.
// Nothing is written.
func (s *session) probeAction(ctx context.Context, a sources.Action) error {
	switch {
	case declared(a) == nil:
		return fault.New(fault.Permanent, "github has no action %q", a)
	case a == sources.DisableApp && s.enterprise == nil:
		return fault.New(fault.Forbidden, "%w", errNoEnterprise)
	case a == sources.DisableApp:
		return s.probeEnterprise(ctx)
	case a == sources.SignOutUser && s.urls.server:
		return fault.New(fault.NotLicensed, "github: an Enterprise Server's credentials are not authorized for single sign-on: nothing ends them together")
	case a == sources.UnsuspendUser && s.cfg.Actions.SCIM:
		return fault.New(fault.NotLicensed, "github: what SCIM has suspended is let in again by undoing, or by the identity provider")
	}
	var missing error
	for _, r := range s.rights(a) {
		if missing = s.mayWrite(ctx, r); missing == nil || fault.Of(missing) != fault.Forbidden {
			return missing
		}
	}
	return missing
}

// mayWrite tells whether the credentials were granted a right.
func (s *session) mayWrite(ctx context.Context, r right) error {
	if tokens, ok := s.auth.(*auth.Tokens); ok && s.cfg.Auth.way() == wayApp {
		return permitted(ctx, tokens, r)
	}
	if r.scope == "" {
		return fault.New(fault.Forbidden, "github: it takes %s: configure auth.private_key", r)
	}
	ok, err := false, error(nil)
	switch r {
	case rightSite, rightSCIM: // not the organization's owners': a site administrator's, the setup user's
		resp, askErr := s.rest.Do(ctx, &httpx.Request{Path: httpx.P("/user")})
		ok, err = askErr == nil && slices.Contains(scopesOf(resp), r.scope), askErr
	default:
		ok, err = s.mayOwn(ctx, r.scope)
	}
	if err == nil && !ok {
		err = fault.New(fault.Forbidden, "github: it takes %s", r)
	}
	return err
}

// permitted tells whether an App's installation has a permission.
func permitted(ctx context.Context, tokens *auth.Tokens, r right) error {
	t, err := tokens.Token(ctx)
	if err != nil {
		return err
	}
	name, _, _ := strings.Cut(r.permission, ":")
	if p := t.Permissions[name]; name == "" || p != "write" && p != "admin" {
		return fault.New(fault.Forbidden, "github: the App lacks what it takes: %s", r)
	}
	return nil
}

// probeEnterprise tells whether the App may uninstall others.
func (s *session) probeEnterprise(ctx context.Context) error {
	tokens, ok := s.enterpriseAuth.(*auth.Tokens)
	if !ok {
		return errNoEnterprise
	}
	return permitted(ctx, tokens, rightUninstall)
}
