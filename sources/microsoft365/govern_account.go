package microsoft365

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

// Paths of writes. Without /$ref the first would delete the member itself.
const (
	pathMemberRef  = "/v1.0/groups/{id}/members/{member}/$ref"
	pathMembersRef = "/v1.0/groups/{id}/members/$ref"
	pathSignOut    = "/v1.0/users/{id}/revokeSignInSessions"
	pathAssignment = "/v1.0/roleManagement/directory/roleAssignments/{id}"
)

// Ops on accounts, groups and roles.
const (
	opDisable  = "disable"
	opEnable   = "enable"
	opSignOut  = "sign_out"
	opReset    = "reset_password"
	opExpire   = "expire_password"
	opLeave    = "leave_group"
	opJoin     = "join_group"
	opUnassign = "unassign_role"
	opAssign   = "assign_role"
)

// Application permissions that writes need.
const (
	mayEnableUsers = "User.EnableDisableAccount.All"
	maySignOut     = "User.RevokeSessions.All"
	mayPassword    = "User-PasswordProfile.ReadWrite.All"
	mayMembers     = "GroupMember.ReadWrite.All"
	mayRoles       = "RoleManagement.ReadWrite.Directory"
	mayApps        = "Application.ReadWrite.All"
	mayDelegated   = "DelegatedPermissionGrant.ReadWrite.All"
	mayAppRoles    = "AppRoleAssignment.ReadWrite.All"
	mayFiles       = "Files.ReadWrite.All"
)

func accountOp(name string) *op {
	switch name {
	case opDisable:
		return &op{"block sign-in", []string{mayEnableUsers}, setEnabled(false), isEnabled(false), toggled(opEnable)}
	case opEnable:
		return &op{"allow sign-in", []string{mayEnableUsers}, setEnabled(true), isEnabled(true), toggled(opDisable)}
	case opSignOut:
		return &op{"end sessions and refresh tokens", []string{maySignOut}, signOut, changedSince(func(u *govPrincipal) string { return u.SessionsFrom }), stays("ended sessions do not come back")}
	case opReset:
		return &op{"replace the password with one that nobody knows", []string{mayPassword + adminRole}, resetPassword, changedSince(func(u *govPrincipal) string { return u.PasswordChanged }), stays("the old password does not come back")}
	case opExpire:
		return &op{"have the password changed at the next sign-in", []string{mayPassword + adminRole}, expirePassword, passwordExpired, stays("the person sets another password")}
	case opLeave:
		return &op{"remove from the group", []string{mayMembers}, leave, isMember(false), toggled(opJoin)}
	case opJoin:
		return &op{"add to the group", []string{mayMembers}, join, isMember(true), toggled(opLeave)}
	case opUnassign:
		return &op{"take the role away", []string{mayRoles}, unassign, holdsRole(false), toggled(opAssign)}
	case opAssign:
		return &op{"assign the role", []string{mayRoles}, assign, holdsRole(true), toggled(opUnassign)}
	}
	return nil
}

const adminRole = " (and the role User Administrator, or a higher one)"

// stays is the undoing of what cannot be undone.
func stays(what string) func(context.Context, *session, *args, *kept) (*args, string, error) {
	return func(context.Context, *session, *args, *kept) (*args, string, error) { return nil, what, nil }
}

func patch(path httpx.Path, body any) *httpx.Request {
	return &httpx.Request{Method: http.MethodPatch, Path: path, Body: encode(body)}
}

func post(path httpx.Path, body any) *httpx.Request {
	r := &httpx.Request{Method: http.MethodPost, Path: path}
	if body != nil {
		r.Body = encode(body)
	}
	return r
}

func remove(path httpx.Path) *httpx.Request {
	return &httpx.Request{Method: http.MethodDelete, Path: path}
}

// graphWrite makes a write at Graph whose answer holds nothing to keep.
func (s *session) graphWrite(ctx context.Context, r *httpx.Request) (sources.Receipt, error) {
	receipt, _, err := govWrite(ctx, s.graph, r)
	return receipt, err
}

// of returns the path of the step's user or service principal.
func (a *args) of(user, service string) httpx.Path {
	if a.App {
		return httpx.P(service, a.ID)
	}
	return httpx.P(user, a.ID)
}

func (s *session) principalOf(ctx context.Context, a *args) (*govPrincipal, error) {
	if a.App {
		return s.servicePrincipal(ctx, a.ID)
	}
	return s.user(ctx, a.ID)
}

type (
	doing    = func(context.Context, *session, *args) (sources.Receipt, error)
	checking = func(context.Context, *session, *args, *kept, bool) (sources.Outcome, error)
)

func setEnabled(to bool) doing {
	return func(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
		return s.graphWrite(ctx, patch(a.of(pathUser, pathService), struct {
			Enabled bool `json:"accountEnabled"`
		}{to}))
	}
}

func isEnabled(want bool) checking {
	return func(ctx context.Context, s *session, a *args, _ *kept, _ bool) (sources.Outcome, error) {
		p, err := s.principalOf(ctx, a)
		if err == nil && p.Enabled == nil {
			return sources.Unknown, nil
		}
		return doneIf(err == nil && is(p.Enabled) == want, err)
	}
}

func signOut(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	return s.graphWrite(ctx, post(httpx.P(pathSignOut, a.ID), nil))
}

// resetPassword sets a password that is made here, and that nobody keeps.
func resetPassword(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	password := rand.Text() + rand.Text() + "-aZ9" // all kinds of characters that policies ask for
	s.env.HTTP.Redact(password)
	var body struct {
		Profile struct {
			Force    bool   `json:"forceChangePasswordNextSignIn"`
			Password string `json:"password"`
		} `json:"passwordProfile"`
	}
	body.Profile.Force, body.Profile.Password = true, password
	return s.graphWrite(ctx, patch(httpx.P(pathUser, a.ID), body))
}

// passwordProfile is what is told of a user's password.
type passwordProfile struct {
	Force bool `json:"forceChangePasswordNextSignIn"`
}

func expirePassword(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	return s.graphWrite(ctx, patch(httpx.P(pathUser, a.ID), map[string]passwordProfile{"passwordProfile": {Force: true}}))
}

// passwordExpired tells whether another password has to be set, or was set since.
func passwordExpired(ctx context.Context, s *session, a *args, _ *kept, _ bool) (sources.Outcome, error) {
	u, err := s.user(ctx, a.ID)
	if err != nil || u.PasswordChanged != a.Was {
		return doneIf(err == nil, err)
	}
	return doneIf(s.mustChange(ctx, a.ID))
}

// mustChange tells whether a user has to set another password. It is told when
// it is asked for alone.
func (s *session) mustChange(ctx context.Context, id string) (bool, error) {
	var u struct {
		Profile *passwordProfile `json:"passwordProfile"`
	}
	err := govGet(ctx, s.graph, &httpx.Request{Path: httpx.P(pathUser, id), Query: url.Values{"$select": {"id,passwordProfile"}}}, &u)
	return u.Profile != nil && u.Profile.Force, naming(err, "User.Read.All")
}

// changedSince tells whether a time of the user's has moved since the plan.
func changedSince(of func(*govPrincipal) string) checking {
	return func(ctx context.Context, s *session, a *args, _ *kept, _ bool) (sources.Outcome, error) {
		u, err := s.user(ctx, a.ID)
		return doneIf(err == nil && of(u) != a.Was, err)
	}
}

func leave(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	return s.graphWrite(ctx, remove(httpx.P(pathMemberRef, a.Group, a.ID)))
}

func join(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	return s.graphWrite(ctx, post(httpx.P(pathMembersRef, a.Group), map[string]string{"@odata.id": s.hosts.graphAudience + "/v1.0/directoryObjects/" + a.ID}))
}

func isMember(want bool) checking {
	return func(ctx context.Context, s *session, a *args, _ *kept, _ bool) (sources.Outcome, error) {
		in, err := s.inGroup(ctx, a)
		return doneIf(err == nil && in == want, err)
	}
}

// inGroup tells whether an account is a direct member of a group.
func (s *session) inGroup(ctx context.Context, a *args) (bool, error) {
	groups, err := govList[govGroup](ctx, s.graph, &httpx.Request{Path: a.of(pathUserDirect, pathPrincipalDirect), Query: url.Values{"$select": {"id"}, "$top": {"999"}}})
	return slices.ContainsFunc(groups, func(g govGroup) bool { return g.ID == a.Group }), naming(err, "GroupMember.Read.All")
}

func (s *session) held(ctx context.Context, r *roleArgs) ([]govAssignment, error) {
	all, err := s.assignments(ctx, pathAssignments, "principalId", r.PrincipalID)
	return slices.DeleteFunc(all, func(h govAssignment) bool {
		return h.Definition != r.Definition || h.Scope != r.Scope || h.AppScope != r.AppScope
	}), naming(err, "RoleManagement.Read.Directory")
}

func holdsRole(want bool) checking {
	return func(ctx context.Context, s *session, a *args, _ *kept, _ bool) (sources.Outcome, error) {
		held, err := s.held(ctx, a.Role)
		return doneIf(err == nil && len(held) > 0 == want, err)
	}
}

// unassign removes the assignment that there is now: one that was given back has
// another id.
func unassign(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	held, err := s.held(ctx, a.Role)
	if err != nil {
		return sources.Receipt{}, err
	}
	if len(held) == 0 {
		return sources.Receipt{}, fault.New(fault.BadData, "microsoft365: the role is not assigned any more")
	}
	return s.graphWrite(ctx, remove(httpx.P(pathAssignment, held[0].ID)))
}

func assign(ctx context.Context, s *session, a *args) (sources.Receipt, error) {
	return s.graphWrite(ctx, post(httpx.P(pathAssignments), a.Role))
}

// planAccount plans what is done to a user, or to a service principal's roles
// and memberships.
func (s *session) planAccount(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	h, err := s.holder(ctx, r.Target)
	if err != nil {
		return nil, err
	}
	p := &sources.Plan{Target: h.subject, Limits: h.limits}
	switch {
	case r.Action == sources.RemoveMember:
		return p, s.planLeave(ctx, p, h, r.Params["group"])
	case r.Action == sources.RemovePrivilege:
		return p, s.planUnassign(ctx, p, h, r.Params["role"], r.Params["scope"])
	case h.app:
		return nil, fault.New(fault.Permanent, "microsoft365: %s is a service principal: disable_app blocks its sign-ins", r.Target)
	case r.Action == sources.RevokeGrant:
		return p, s.planAllGrants(ctx, p, h)
	}
	u := h.principal
	a := args{ID: u.ID}
	b := before{Enabled: u.Enabled}
	change := sources.Change{What: "sign-in of " + h.subject.Name, Before: allowed(u.Enabled)}
	switch r.Action {
	case sources.SuspendUser:
		a.Op, change.After = opDisable, "blocked"
	case sources.UnsuspendUser:
		a.Op, change.After = opEnable, "allowed"
	case sources.SignOutUser:
		a.Op, a.Was = opSignOut, u.SessionsFrom
		change = sources.Change{What: "sessions and refresh tokens of " + h.subject.Name, Before: "may exist", After: "ended"}
	case sources.ResetPassword:
		a.Op, a.Was = opReset, u.PasswordChanged
		change = sources.Change{What: "password of " + h.subject.Name, Before: "known to its person", After: "void: an administrator, or self-service, sets another"}
	case sources.ExpirePassword:
		a.Op, a.Was = opExpire, u.PasswordChanged
		change = sources.Change{What: "password of " + h.subject.Name, Before: "valid", After: "to be changed at the next sign-in"}
		must, err := s.mustChange(ctx, u.ID)
		if err != nil {
			return nil, err
		}
		if must {
			change.Before = change.After
		}
	default:
		return nil, fault.New(fault.BadData, "microsoft365 has no action %s on %s", r.Action, r.Kind)
	}
	b.Was = a.Was
	p.Before = encode(b)
	p.Limits = append(p.Limits, h.warnings()...)
	if change.Before == change.After {
		return p, nil
	}
	p.Diff = []sources.Change{change}
	p.Steps = []sources.Step{step(a.Op, a)}
	return p, nil
}

func allowed(b *bool) string {
	switch {
	case b == nil:
		return "unknown"
	case *b:
		return "allowed"
	}
	return "blocked"
}

// warnings are about what else has its say in an account.
func (h *holder) warnings() (out []string) {
	u := h.principal
	if is(u.Synced) {
		out = append(out, "This account is synchronized from Active Directory: Entra may refuse, and the next synchronization may undo it. Do it there too.")
	}
	if is(u.Restricted) {
		out = append(out, "This account is in a restricted administrative unit: Entra refuses unless the agent's app has a role in it.")
	}
	if u.UserType == "Guest" {
		out = append(out, "This account is a guest: what it does in its home tenant goes on.")
	}
	return out
}

func (s *session) planLeave(ctx context.Context, p *sources.Plan, h *holder, id string) error {
	g := &govGroup{}
	if err := govGet(ctx, s.graph, &httpx.Request{Path: httpx.P(pathGroup, id), Query: url.Values{"$select": {groupColumns}}}, g); err != nil {
		return naming(err, "GroupMember.Read.All")
	}
	switch {
	case g.ID != id:
		return fault.New(fault.BadData, "microsoft365 returned group %.80q for %q", g.ID, id)
	case slices.Contains(g.Kinds, "DynamicMembership"):
		return fault.New(fault.Permanent, "microsoft365: the members of group %q follow from a rule: change the rule, or what it goes by", g.Name)
	case is(g.Synced):
		return fault.New(fault.Permanent, "microsoft365: group %q is synchronized from Active Directory: its members are changed there", g.Name)
	case g.MailOn && !slices.Contains(g.Kinds, "Unified"):
		return fault.New(fault.Permanent, "microsoft365: group %q is a distribution list or mail-enabled security group: its members are changed in Exchange", g.Name)
	}
	p.Also = []sources.Subject{{Kind: sources.TargetGroup, ID: id, Name: g.Name, Emails: nonEmpty(lower(g.Mail)), Privileged: is(g.Assignable)}}
	a := args{Op: opLeave, ID: h.principal.ID, App: h.app, Group: id}
	in, err := s.inGroup(ctx, &a)
	if err != nil {
		return err
	}
	if !in {
		p.Before = encode(before{})
		if slices.Contains(h.subject.Groups, id) {
			return fault.New(fault.Permanent, "microsoft365: the account is in %q through another group: take it out of that", g.Name)
		}
		return nil
	}
	if is(g.Assignable) {
		p.Limits = append(p.Limits, "Of a group that holds directory roles, members are changed with "+mayRoles+".")
	}
	p.Before = encode(before{Groups: []string{id}})
	p.Diff = []sources.Change{{What: "membership of " + h.subject.Name + " in " + g.Name, Before: "member", After: "none"}}
	p.Steps = []sources.Step{step(opLeave, a)}
	return nil
}

func (s *session) planUnassign(ctx context.Context, p *sources.Plan, h *holder, role, scope string) error {
	var b before
	through := ""
	active, err := s.assignments(ctx, pathActive, "principalId", h.principal.ID)
	switch class := fault.Of(unlicensed(err)); {
	case err == nil || class == fault.NotLicensed:
	case class == fault.Forbidden:
		p.Limits = append(p.Limits, "Whether the assignment ends at a time (Privileged Identity Management) could not be read: it would be given back without an end.")
	default:
		return err
	}
	for _, held := range h.roles {
		if held.Definition != role || scope != "" && first(held.Scope, held.AppScope) != scope {
			continue
		}
		if held.Principal != h.principal.ID {
			through = held.Principal
			continue
		}
		if held.Condition != "" {
			p.NoUndo = "the assignment has a condition, and could not be given back with it"
		}
		if slices.ContainsFunc(active, func(i govAssignment) bool {
			return i.Definition == role && i.Scope == held.Scope && i.Ends != nil && *i.Ends != ""
		}) {
			p.NoUndo = "the assignment ends at a time (Privileged Identity Management), and would be given back without an end"
		}
		at := first(held.Scope, held.AppScope)
		b.Roles = append(b.Roles, role+" "+at)
		p.Diff = append(p.Diff, sources.Change{What: "role of " + h.subject.Name + " at " + at, Before: role, After: "none"})
		p.Steps = append(p.Steps, step(opUnassign+":"+at, args{Op: opUnassign, ID: held.ID, Role: &roleArgs{PrincipalID: held.Principal, Definition: held.Definition, Scope: held.Scope, AppScope: held.AppScope}}))
	}
	if len(p.Steps) == 0 && through != "" {
		return fault.New(fault.Permanent, "microsoft365: the role is held through group %s: take the account out of that", through)
	}
	if len(p.Steps) > 0 {
		p.Limits = append(p.Limits, "Who is eligible for the role may activate it again. A role that is given back has another assignment id.")
	}
	sorted(p)
	slices.Sort(b.Roles)
	p.Before = encode(b)
	return nil
}

// sorted puts steps and diff in an order of their own.
func sorted(p *sources.Plan) {
	slices.SortFunc(p.Steps, func(a, b sources.Step) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(p.Diff, func(a, b sources.Change) int { return strings.Compare(a.What, b.What) })
}
