package github

import (
	"context"
	"net/http"
	"net/url"
	"slices"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// planSuspend plans who is shut out, or let in again: by a server's
// administrator, by SCIM where that is configured, else by a block.
func (s *session) planSuspend(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	u, err := s.personByID(ctx, r.Target)
	if err != nil {
		return nil, err
	}
	switch {
	case s.cfg.Actions.SCIM:
		return s.planIdentity(ctx, r, u)
	case s.urls.server:
		return s.planServer(ctx, r, u)
	}
	return s.planBlock(ctx, r, u)
}

func (s *session) planBlock(ctx context.Context, r sources.ActionRequest, u *person) (*sources.Plan, error) {
	if s.urls.residency {
		return nil, fault.New(fault.Permanent, "github: with data residency all accounts are the enterprise's own, and cannot be blocked: suspend them at the identity provider, or set actions.scim")
	}
	a := args{Op: opBlock, Account: r.Target, Login: u.Login}
	blocked, err := isBlocked(ctx, s, &a)
	if err != nil {
		return nil, naming(err, rightBlocks)
	}
	p := &sources.Plan{Target: u.subject, Before: encode(before{Blocked: &blocked})}
	block := r.Action == sources.SuspendUser
	if !blocked { // who is blocked is in no list
		if err := s.ofOrganization(ctx, u); err != nil {
			return nil, err
		}
	}
	if block == blocked {
		return p, nil
	}
	if block && u.state != "" {
		return nil, fault.New(fault.Permanent, "github: %s is a member, or invited, and GitHub blocks others only: remove_member takes the account out of the organization", u.Login)
	}
	now, then := "not blocked", "blocked"
	if !block {
		a.Op, now, then = opUnblock, then, now
	}
	p.Diff = []sources.Change{{What: u.Login + " in " + s.cfg.Org, Before: now, After: then}}
	p.Steps = []sources.Step{makeStep(a.Op, words(a.Op)+" the account", a)}
	return p, nil
}

func isBlocked(ctx context.Context, s *session, a *args) (bool, error) {
	if err := s.sameAccount(ctx, a); err != nil {
		return false, err
	}
	_, err := s.rest.Do(ctx, &httpx.Request{Path: httpx.P(pathBlock, s.cfg.Org, a.Login)})
	if statusOf(err) == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

// planServer plans the suspension of an account on an Enterprise Server.
func (s *session) planServer(ctx context.Context, r sources.ActionRequest, u *person) (*sources.Plan, error) {
	if err := s.ofOrganization(ctx, u); err != nil {
		return nil, err
	}
	now, err := suspended(&u.wireProfile)
	told := err == nil
	p := &sources.Plan{Target: u.subject, Before: encode(before{})}
	suspend := r.Action == sources.SuspendUser
	switch {
	case !told:
		p.Limits = []string{"The server does not tell whether the account is suspended: the effect cannot be read back."}
	case suspend == now:
		p.Before = encode(before{Suspended: &now})
		return p, nil
	default:
		p.Before = encode(before{Suspended: &now})
	}
	a := args{Op: opSuspend, Account: r.Target, Login: u.Login, Request: r.ID}
	change := sources.Change{What: u.Login + " on the server", Before: "active", After: "suspended"}
	if !suspend {
		a.Op, change.Before, change.After = opUnsuspend, change.After, change.Before
	}
	if !told {
		change.Before = "not told"
	}
	p.Diff = []sources.Change{change}
	p.Steps = []sources.Step{makeStep(a.Op, words(a.Op)+" the account", a)}
	return p, nil
}

// errNotTold: versions of the server differ in whether they tell, and whom.
var errNotTold = fault.New(fault.BadData, "github: the server does not tell whether the account is suspended")

// suspended reads whether a server's account is suspended.
func suspended(u *wireProfile) (bool, error) {
	if u.SuspendedAt == nil {
		return false, errNotTold
	}
	return u.SuspendedAt.Kind() == '"', nil
}

func isSuspended(ctx context.Context, s *session, a *args) (bool, error) {
	u, err := s.profile(ctx, httpx.P(pathUserByID, a.Account))
	if err != nil {
		return false, err
	}
	return suspended(u)
}

func onServer(method string) func(context.Context, *session, *args) (*httpx.Request, error) {
	return func(ctx context.Context, s *session, a *args) (*httpx.Request, error) {
		if err := s.sameAccount(ctx, a); err != nil {
			return nil, err
		}
		return &httpx.Request{Method: method, Path: httpx.P(pathSuspended, a.Login), Body: encode(reasonBody{"Weir, request " + a.Request})}, nil
	}
}

// planSignOut plans the end of all that a member has authorized for single
// sign-on.
func (s *session) planSignOut(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	if s.urls.server {
		return nil, fault.New(fault.Permanent, "github: an Enterprise Server's credentials are not authorized for single sign-on: nothing ends them together")
	}
	u, err := s.personByID(ctx, r.Target)
	if err != nil {
		return nil, err
	}
	if err := s.ofOrganization(ctx, u); err != nil {
		return nil, err
	}
	a := args{Op: opRevokeAll, Account: r.Target, Login: u.Login}
	p := &sources.Plan{Target: u.subject}
	err = s.credentials(ctx, u.Login, func(c *wireCredential) bool {
		a.IDs = append(a.IDs, string(c.CredentialID))
		p.Diff = append(p.Diff, sources.Change{What: clip(credentialName(c)) + " " + string(c.CredentialID) + " of " + u.Login, Before: "authorized", After: "revoked"})
		return false
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(a.IDs)
	sortChanges(p.Diff)
	p.Before = encode(before{Credentials: a.IDs})
	if len(a.IDs) > maxCredentials {
		return nil, fault.New(fault.Permanent, "github: %s has authorized %d credentials: more than %d are not revoked at once", u.Login, len(a.IDs), maxCredentials)
	}
	if len(a.IDs) > 0 {
		p.Steps = []sources.Step{makeStep(a.Op, "revoke all authorized credentials", a)}
	}
	return p, nil
}

// maxCredentials bounds a step: each must be named in it, so that those that
// are authorized later do not look like an effect that failed.
const maxCredentials = 500

// planLeave plans the end of a membership: of the organization or a team.
func (s *session) planLeave(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	group := r.Params[paramGroup]
	if id, ok := cutInvitation(r.Target); ok {
		if group != "" {
			return nil, fault.New(fault.BadData, "github: who is only invited is in no team: leave params.group out")
		}
		return s.planUninvite(ctx, r, id)
	}
	u, err := s.personByID(ctx, r.Target)
	if err != nil {
		return nil, err
	}
	p := &sources.Plan{Target: u.subject}
	if group != "" {
		return p, s.planLeaveTeam(ctx, p, u, group)
	}
	a := args{Op: opLeave, Account: r.Target, Login: u.Login, Role: u.role}
	what := sources.Change{What: "membership of " + u.Login + " in " + s.cfg.Org, Before: first(u.role, "outside collaborator"), After: "none"}
	switch {
	case u.state == "pending":
		p.NoUndo = "a cancelled invitation does not come back: invite again"
		what.Before, a.Role = "invited as "+u.role, ""
	case u.state == "":
		if err := s.ofOrganization(ctx, u); err != nil {
			return nil, err
		}
		a.Op, a.Role = opLeaveOutside, ""
		p.NoUndo = "an outside collaborator comes back by an invitation to each repository"
	}
	p.Before = encode(before{State: first(u.state, "outside"), Role: u.role})
	p.Diff = []sources.Change{what}
	p.Steps = []sources.Step{makeStep(a.Op, words(a.Op), a)}
	return p, nil
}

func isMember(ctx context.Context, s *session, a *args) (bool, error) {
	if err := s.sameAccount(ctx, a); err != nil {
		return false, err
	}
	m, err := s.membershipOf(ctx, a.Login)
	return m.State != "", err
}

func isOutside(ctx context.Context, s *session, a *args) (bool, error) {
	return s.outside(ctx, a.Account)
}

// planUninvite plans the end of an invitation to the organization.
func (s *session) planUninvite(ctx context.Context, r sources.ActionRequest, id string) (*sources.Plan, error) {
	i, err := s.invitation(ctx, id)
	if err != nil {
		return nil, err
	}
	if i == nil {
		return nil, fault.New(fault.BadData, "github: the organization has no pending invitation %s", id)
	}
	return &sources.Plan{
		Target: sources.Subject{
			Kind: sources.TargetAccount, ID: r.Target, Name: first(i.Login, i.Email), Aliases: compact(id, i.Login, i.NodeID), Logins: compact(i.Login), Emails: addresses(i.Email),
			Roles: compact(i.Role), Privileged: i.Role == "admin",
		},
		Before: encode(before{State: "pending", Role: i.Role}),
		Diff:   []sources.Change{{What: "invitation of " + first(i.Login, i.Email) + " to " + s.cfg.Org, Before: "pending as " + i.Role, After: "cancelled"}},
		Steps:  []sources.Step{makeStep(opUninvite, "cancel the invitation", args{Op: opUninvite, ID: id})},
		NoUndo: "a cancelled invitation does not come back: invite again",
	}, nil
}

func (s *session) invitation(ctx context.Context, id string) (*wireInvitation, error) {
	return find(ctx, s, httpx.P("/orgs/{org}/invitations", s.cfg.Org), nil, func(i *wireInvitation) bool { return string(i.ID) == id })
}

func isInvited(ctx context.Context, s *session, a *args) (bool, error) {
	i, err := s.invitation(ctx, a.ID)
	return i != nil, err
}

func (s *session) planLeaveTeam(ctx context.Context, p *sources.Plan, u *person, id string) error {
	t, err := s.team(ctx, id)
	if err != nil {
		return err
	}
	if err := s.ofOrganization(ctx, u); err != nil {
		return err
	}
	p.Also = []sources.Subject{teamSubject(t, s.cfg.Org)}
	m, inherited, err := s.teamMember(ctx, t.Slug, string(u.ID))
	switch {
	case err != nil:
		return err
	case m == nil && inherited:
		return fault.New(fault.Permanent, "github: %s is in team %s through a child team: take the account out of that", u.Login, t.Slug)
	case m == nil:
		p.Before = encode(before{})
		return nil
	}
	role := first(m.Role, "member") // older servers do not tell
	p.Before = encode(before{State: "active", Role: role})
	p.Diff = []sources.Change{{What: "membership of " + u.Login + " in team " + t.Slug, Before: role, After: "none"}}
	p.Steps = []sources.Step{makeStep(opLeaveTeam, "remove from the team", args{Op: opLeaveTeam, Account: string(u.ID), Login: u.Login, Team: id, Role: role})}
	return nil
}

// teamMember finds a team's own member; inherited: the account is one of a child
// team's.
func (s *session) teamMember(ctx context.Context, slug, account string) (m *wireUser, inherited bool, err error) {
	m, err = find(ctx, s, httpx.P(pathTeamMembers, s.cfg.Org, slug), url.Values{"role": {"all"}}, func(u *wireUser) bool {
		if string(u.ID) != account {
			return false
		}
		inherited = inherited || u.Inherited
		return !u.Inherited
	})
	return m, inherited, err
}

func inTeam(ctx context.Context, s *session, a *args) (bool, error) {
	t, err := s.team(ctx, a.Team)
	if err != nil {
		return false, err
	}
	m, _, err := s.teamMember(ctx, t.Slug, a.Account)
	return m != nil, err
}

func onTeam(method string) func(context.Context, *session, *args) (*httpx.Request, error) {
	return func(ctx context.Context, s *session, a *args) (*httpx.Request, error) {
		t, err := s.team(ctx, a.Team)
		if err == nil {
			err = s.sameAccount(ctx, a)
		}
		if err != nil {
			return nil, err
		}
		r := &httpx.Request{Method: method, Path: httpx.P(pathTeamMembership, s.cfg.Org, t.Slug, a.Login)}
		if method == http.MethodPut {
			m, err := s.membershipOf(ctx, a.Login)
			if err != nil {
				return nil, err
			}
			if m.State != "active" { // it would be an invitation to the organization
				return nil, fault.New(fault.Permanent, "github: %s is no member of the organization any more", a.Login)
			}
			r.Body = encode(roleBody{a.Role})
		}
		return r, nil
	}
}

// planUnassign plans the end of an organization role that an account holds.
func (s *session) planUnassign(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	u, err := s.personByID(ctx, r.Target)
	if err != nil {
		return nil, err
	}
	if u.state != "active" {
		return nil, fault.New(fault.BadData, "github: account %s (%s) is no member of the organization", u.ID, u.Login)
	}
	id := r.Params[paramRole][len(prefixRole):]
	p := &sources.Plan{Target: u.subject, Before: encode(before{})}
	i := slices.IndexFunc(u.roles, func(h heldRole) bool { return string(h.ID) == id })
	if i < 0 {
		return p, nil
	}
	h := &u.roles[i]
	p.Also = []sources.Subject{{Kind: sources.TargetRole, ID: prefixRole + id, Name: h.Name, Aliases: []string{id}}}
	if !h.direct() {
		return nil, fault.New(fault.Permanent, "github: %s holds the role %s through a team: take the account out of that", u.Login, h.Name)
	}
	p.Before = encode(before{Role: id})
	p.Diff = []sources.Change{{What: "organization role of " + u.Login, Before: h.Name, After: "none"}}
	p.Steps = []sources.Step{makeStep(opUnassign, "take the role away", args{Op: opUnassign, Account: r.Target, Login: u.Login, ID: id, Title: h.Name})}
	if h.assignment == "mixed" {
		p.Limits = []string{"The account holds the role through a team, too, and goes on holding it so."}
	}
	return p, nil
}

func holdsRole(ctx context.Context, s *session, a *args) (bool, error) {
	u, err := s.roleUser(ctx, a.ID, a.Account)
	return u != nil && u.Assignment != "indirect", err
}

func onRole(method string) func(context.Context, *session, *args) (*httpx.Request, error) {
	return func(ctx context.Context, s *session, a *args) (*httpx.Request, error) {
		if err := s.sameAccount(ctx, a); err != nil {
			return nil, err
		}
		return &httpx.Request{Method: method, Path: httpx.P(pathUserRole, s.cfg.Org, a.Login, a.ID)}, nil
	}
}
