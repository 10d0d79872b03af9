package okta

import (
	"context"
	"errors"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

var _ sources.Governor = (*session)(nil)

// before is the state that an action changes.
type before struct {
	Status          string   `json:"status,omitempty"`
	PasswordChanged string   `json:"password_changed,omitempty"`
	Groups          []string `json:"groups,omitempty"` // of those the action is about
	Roles           []string `json:"roles,omitempty"`
	Grants          []string `json:"grants,omitempty"`
	InEffect        []string `json:"in_effect,omitempty"` // steps that an undoing finds still in effect
}

// Plan implements sources.Governor.
func (s *session) Plan(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	p, err := s.plan(ctx, r)
	if err != nil {
		return nil, err
	}
	return p, s.mayWrite(ctx, p)
}

func (s *session) plan(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	switch {
	case r.Kind == sources.TargetApp && r.Action == sources.DisableApp:
		return s.planApp(ctx, r)
	case r.Kind == sources.TargetCredential && r.Action == sources.RevokeKey:
		return s.planAPIToken(ctx, r)
	case r.Kind == sources.TargetCredential && r.Action == sources.RevokeGrant:
		return s.planGrant(ctx, r)
	case r.Kind != sources.TargetAccount:
		return nil, fault.New(fault.BadData, "okta: %s takes no %s", r.Action, r.Kind)
	}
	h, err := s.holder(ctx, r.Target)
	if err != nil {
		return nil, err
	}
	p := &sources.Plan{Target: h.subject}
	switch r.Action {
	case sources.SuspendUser:
		return p, h.toStatus(p, opSuspend, "SUSPENDED", "ACTIVE")
	case sources.UnsuspendUser:
		return p, h.toStatus(p, opUnsuspend, "ACTIVE", "SUSPENDED")
	case sources.ExpirePassword:
		return p, h.toStatus(p, opExpire, "PASSWORD_EXPIRED", "ACTIVE")
	case sources.ResetPassword:
		return p, h.toStatus(p, opReset, "RECOVERY", "ACTIVE", "PASSWORD_EXPIRED")
	case sources.SignOutUser:
		last, err := s.lastSignOut(ctx, r.Target)
		if err != nil {
			return nil, err
		}
		p.Before = encode(before{Status: string(h.user.Status)})
		p.Diff = []sources.Change{{What: "sessions, tokens and remembered devices of " + h.subject.Name, Before: "may exist", After: "ended"}}
		p.Steps = []sources.Step{step(opSignOut, "end sessions and tokens", args{Op: opSignOut, User: r.Target, Was: last})}
		return p, nil
	case sources.RemoveMember:
		return p, s.planLeave(ctx, p, h, r.Params["group"])
	case sources.RemovePrivilege:
		return p, planUnassign(p, h, r.Params["role"], r.Params["resource_set"])
	case sources.RevokeGrant:
		return p, s.planAllGrants(ctx, p, h)
	default:
		return nil, fault.New(fault.BadData, "okta has no action %s on %s", r.Action, r.Kind)
	}
}

// mayWrite tells which scope the token lacks for a plan. What an API token may
// do shows when it is tried.
func (s *session) mayWrite(ctx context.Context, p *sources.Plan) error {
	var scopes []string
	for _, st := range p.Steps {
		_, o, err := decodeStep(st)
		if err != nil {
			return err
		}
		scopes = append(scopes, o.scope)
	}
	return s.granted(ctx, scopes)
}

func (s *session) granted(ctx context.Context, scopes []string) error {
	if s.tokens == nil || len(scopes) == 0 {
		return nil
	}
	token, err := s.tokens.Token(ctx)
	if err != nil {
		return err
	}
	var missing []string
	for _, scope := range scopes {
		if !slices.Contains(token.Scopes, scope) && !slices.Contains(missing, scope) {
			missing = append(missing, scope)
		}
	}
	if len(missing) > 0 {
		return fault.New(fault.Forbidden, "okta: the token lacks the scope %s: grant it to the app, and set auth.manage", strings.Join(missing, " and "))
	}
	return nil
}

// toStatus plans a move to another status, from those that allow it.
func (h *holder) toStatus(p *sources.Plan, name, to string, from ...text) error {
	u := &h.user
	p.Before = encode(before{Status: string(u.Status), PasswordChanged: string(u.PasswordChanged)})
	switch {
	case string(u.Status) == to:
		return nil
	case !slices.Contains(from, u.Status):
		return fault.New(fault.Permanent, "okta: the user's status is %s: %s needs %s", u.Status, name, join(from))
	}
	a := args{Op: name, User: string(u.ID)}
	if name == opExpire || name == opReset {
		a.Was = string(u.PasswordChanged)
		if provider := u.Credentials.Provider.Type; provider != "" && provider != "OKTA" {
			p.Limits = append(p.Limits, "This account's password is mastered by "+string(provider)+".")
		}
	}
	p.Diff = []sources.Change{{What: "status of " + h.subject.Name, Before: string(u.Status), After: to}}
	p.Steps = []sources.Step{step(name, strings.ReplaceAll(name, "_", " ")+" of the user", a)}
	return nil
}

func join(list []text) string {
	out := make([]string, len(list))
	for i, t := range list {
		out[i] = string(t)
	}
	return strings.Join(out, " or ")
}

func (s *session) planLeave(ctx context.Context, p *sources.Plan, h *holder, id string) error {
	var g wireGroup
	if _, err := s.get(ctx, httpx.P(pathGroup, id), nil, &g); err != nil {
		return naming(err, "okta.groups.read")
	}
	if string(g.ID) != id {
		return fault.New(fault.BadData, "okta returned group %q for %q", g.ID, id)
	}
	if g.Type != "OKTA_GROUP" {
		return fault.New(fault.Permanent, "okta: group %q is of type %s: its members are not Okta's to remove", g.Profile.Name, g.Type)
	}
	name := string(g.Profile.Name)
	p.Also = []sources.Subject{{Kind: sources.TargetGroup, ID: id, Name: name}}
	if !slices.ContainsFunc(h.groups, func(in wireGroup) bool { return string(in.ID) == id }) {
		p.Before = encode(before{})
		return nil
	}
	p.Before = encode(before{Groups: []string{id}})
	p.Diff = []sources.Change{{What: "membership of " + h.subject.Name + " in " + name, Before: "member", After: "none"}}
	p.Steps = []sources.Step{step(opLeave, "remove from the group", args{Op: opLeave, User: h.subject.ID, Group: id})}
	return nil
}

func planUnassign(p *sources.Plan, h *holder, role, set string) error {
	var b before
	through := ""
	for _, r := range h.roles {
		w := &r.wire
		id := string(w.Type)
		if w.Type == "CUSTOM" {
			id = string(w.Role)
		}
		if id != role || set != "" && string(w.ResourceSet) != set {
			continue
		}
		if !isDirect(w) {
			through = lastSegment(string(w.Links.Assignee.Href))
			continue
		}
		if len(w.Embedded.Targets.Groups)+len(w.Embedded.Targets.Catalog.Apps) > 0 {
			p.NoUndo = "the role is limited to some groups or apps, and could not be given back so"
		}
		b.Roles = append(b.Roles, string(w.ID))
		p.Diff = append(p.Diff, sources.Change{What: "role of " + h.subject.Name + " " + string(w.ID), Before: first(string(w.Label), id), After: "none"})
		p.Steps = append(p.Steps, step(opUnassign+":"+string(w.ID), "take the role away", args{
			Op: opUnassign, User: h.subject.ID, ID: string(w.ID), Type: string(w.Type), Role: string(w.Role), ResourceSet: string(w.ResourceSet),
		}))
	}
	if len(p.Steps) == 0 && through != "" {
		return fault.New(fault.Permanent, "okta: the role is held through group %s: take the user out of that", through)
	}
	sorted(p)
	slices.Sort(b.Roles)
	p.Before = encode(b)
	return nil
}

func lastSegment(link string) string { return link[strings.LastIndexByte(link, '/')+1:] }

// sorted puts steps and diff in an order of their own.
func sorted(p *sources.Plan) {
	slices.SortFunc(p.Steps, func(a, b sources.Step) int { return strings.Compare(a.Name, b.Name) })
	slices.SortFunc(p.Diff, func(a, b sources.Change) int { return strings.Compare(a.What, b.What) })
}

// planAllGrants plans the end of a user's consents and refresh tokens.
func (s *session) planAllGrants(ctx context.Context, p *sources.Plan, h *holder) error {
	user := h.subject.ID
	consents, err := s.grantsAt(ctx, httpx.P(pathUserGrants, user))
	if err != nil {
		return err
	}
	var b before
	for _, g := range consents {
		b.Grants = append(b.Grants, grantID(grantConsent, string(g.ID)))
		p.Diff = append(p.Diff, sources.Change{What: grantID(grantConsent, string(g.ID)), Before: string(g.ScopeID) + " for " + first(string(g.Links.Client.Title), string(g.ClientID)), After: "revoked"})
	}
	if len(consents) > 0 {
		p.Steps = append(p.Steps, step(opConsents, "revoke all consents", args{Op: opConsents, User: user}))
	}
	err = s.each(ctx, listing{path: httpx.P(pathUserClients, user)}, func(raw []byte) error {
		var client struct {
			ID   text `json:"client_id"`
			Name text `json:"client_name"`
		}
		if err := decode(raw, &client); err != nil {
			return err
		}
		tokens, err := s.grantsAt(ctx, httpx.P(pathUserTokens, user, string(client.ID)))
		if err != nil || len(tokens) == 0 {
			return err
		}
		for _, g := range tokens {
			b.Grants = append(b.Grants, grantID(grantToken, string(g.ID)))
			p.Diff = append(p.Diff, sources.Change{What: grantID(grantToken, string(g.ID)), Before: "refresh token of " + first(string(client.Name), string(client.ID)), After: "revoked"})
		}
		p.Steps = append(p.Steps, step(opTokens+":"+string(client.ID), "revoke the refresh tokens of an app", args{Op: opTokens, User: user, App: string(client.ID)}))
		return nil
	})
	sorted(p)
	slices.Sort(b.Grants)
	p.Before, p.NoUndo = encode(b), noRegrant
	return err
}

const noRegrant = "consents, tokens and integrations need a person to come back"

// planGrant plans the end of one consent, scope, refresh token or integration.
func (s *session) planGrant(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	kind, id, _ := strings.Cut(r.Target, ":")
	app, account := r.Params["app"], r.Params["account"]
	a := args{App: app, User: account, ID: id}
	var path httpx.Path
	switch {
	case kind == grantInstallation:
		a, path = args{Op: opIntegration, App: id}, httpx.P(pathIntegrations)
	case kind == grantToken && app != "":
		a.Op, path = opToken, httpx.P(pathAppTokens, app)
	case kind == grantConsent && account != "":
		a.Op, path = opConsent, httpx.P(pathUserGrants, account)
	case kind == grantConsent && app != "":
		a.Op, path = opScope, httpx.P(pathAppGrants, app)
	default:
		return nil, fault.New(fault.BadData, "okta: %s: params.app or params.account must say whose it is", r.Target)
	}
	grants, err := s.grantsAt(ctx, path)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(grants, func(g wireGrant) bool { return string(g.ID) == id })
	if i < 0 {
		return nil, fault.New(fault.BadData, "okta: there is no %s", r.Target)
	}
	g := &grants[i]
	scopes := list(append(slices.Clone(g.Scopes), g.GrantedScopes...))
	if g.ScopeID != "" {
		scopes = []string{string(g.ScopeID)}
	}
	slices.Sort(scopes)
	p := &sources.Plan{
		Target: sources.Subject{Kind: r.Kind, ID: r.Target, Name: first(string(g.Links.Client.Title), string(g.Name)), Aliases: []string{id}},
		Before: encode(before{Grants: append([]string{r.Target}, scopes...)}),
		Diff:   []sources.Change{{What: r.Target, Before: strings.Join(scopes, " "), After: "revoked"}},
	}
	if owner := first(string(g.UserID), account); owner != "" && kind != grantInstallation {
		h, err := s.holder(ctx, owner)
		if err != nil {
			return nil, err
		}
		p.Also = append(p.Also, h.subject)
	}
	if client := first(app, string(g.ClientID), a.App); client != "" {
		p.Also = append(p.Also, sources.Subject{Kind: sources.TargetApp, ID: client, Name: p.Target.Name, Self: client == s.cfg.Auth.ClientID})
	}
	if a.Op == opScope {
		a.User, a.Scope, a.Was = "", string(g.ScopeID), string(g.Issuer)
	} else {
		p.NoUndo = noRegrant
	}
	p.Steps = []sources.Step{step(a.Op, strings.ReplaceAll(a.Op, "_", " "), a)}
	return p, nil
}

func (s *session) planAPIToken(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	id := strings.TrimPrefix(r.Target, grantAPIKey+":")
	tokens, err := s.grantsAt(ctx, httpx.P(pathAPITokens))
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(tokens, func(g wireGrant) bool { return string(g.ID) == id })
	if i < 0 {
		return nil, fault.New(fault.BadData, "okta: there is no API token %s", id)
	}
	g := &tokens[i]
	h, err := s.holder(ctx, string(g.UserID))
	if err != nil {
		return nil, err
	}
	// The vendor does not tell which token a request came with: any of the owner
	// of the agent's own may be it.
	return &sources.Plan{
		Target: sources.Subject{Kind: r.Kind, ID: r.Target, Name: string(g.Name), Aliases: []string{id}, Self: h.subject.Self},
		Also:   []sources.Subject{h.subject},
		Before: encode(before{Grants: []string{r.Target}}),
		Diff:   []sources.Change{{What: "API token " + string(g.Name) + " of " + h.subject.Name, Before: id, After: "deleted"}},
		Steps:  []sources.Step{step(opAPIToken, "delete the API token", args{Op: opAPIToken, ID: id})},
	}, nil
}

func (s *session) planApp(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	w, err := s.app(ctx, r.Target)
	if err != nil {
		return nil, err
	}
	client := string(w.Credentials.OAuthClient.ClientID)
	p := &sources.Plan{
		Target: sources.Subject{Kind: r.Kind, ID: string(w.ID), Name: string(w.Label), Self: s.cfg.Auth.ClientID != "" && (client == s.cfg.Auth.ClientID || string(w.ID) == s.cfg.Auth.ClientID)},
		Before: encode(before{Status: string(w.Status)}),
	}
	if client != "" {
		p.Target.Aliases = []string{client}
		roles, err := s.roles(ctx, pathClientRoles, client, false)
		if err != nil && !isGone(err) {
			return nil, naming(err, "okta.roles.read")
		}
		p.Target.Roles = roleNames(roles)
		p.Target.Privileged = len(roles) > 0
	}
	switch w.Status {
	case "INACTIVE":
		return p, nil
	case "ACTIVE":
	default:
		return nil, fault.New(fault.Permanent, "okta: the app's status is %s: only an active one is deactivated", w.Status)
	}
	p.Diff = []sources.Change{{What: "status of " + p.Target.Name, Before: "ACTIVE", After: "INACTIVE"}}
	p.Steps = []sources.Step{step(opDeactivate, "deactivate the app", args{Op: opDeactivate, App: r.Target})}
	return p, nil
}

// Undo implements sources.Governor. Each step that took effect is taken back,
// the last one first, unless somebody has done that already.
func (s *session) Undo(ctx context.Context, e sources.Effect) (*sources.Plan, error) {
	r := e.Request
	if i := slices.IndexFunc(actions, func(i sources.ActionInfo) bool { return i.Action == r.Action }); i < 0 || actions[i].NoUndo != "" {
		return nil, fault.New(fault.Permanent, "okta: %s cannot be undone", r.Action)
	}
	p := &sources.Plan{}
	if err := s.undoSubject(ctx, p, r); err != nil {
		return nil, err
	}
	var b before
	for _, done := range slices.Backward(e.Steps) {
		a, o, err := decodeStep(done.Step)
		if err != nil {
			return nil, err
		}
		if o.inverse == "" {
			return nil, fault.New(fault.Permanent, "okta: %s cannot be undone: %s", a.Op, noRegrant)
		}
		back := *a
		back.Op = o.inverse
		if a.Op == opSuspend || a.Op == opUnsuspend {
			// Somebody may have reset, locked or deactivated the account.
			u, err := s.user(ctx, a.User)
			if err != nil {
				return nil, err
			}
			if b.Status = string(u.Status); u.Status != "ACTIVE" && u.Status != "SUSPENDED" {
				return nil, fault.New(fault.Permanent, "okta: the user's status is %s by now: it is left alone", u.Status)
			}
		}
		already, err := opOf(back.Op).check(ctx, s, &back)
		if err != nil {
			return nil, err
		}
		if already {
			continue
		}
		b.InEffect = append(b.InEffect, done.Step.Name)
		p.Diff = append(p.Diff, sources.Change{What: strings.ReplaceAll(back.Op, "_", " ") + " " + first(back.Group, back.Scope, back.Role, back.Type, p.Target.Name), Before: "", After: "as before " + string(r.Action)})
		p.Steps = append(p.Steps, step("undo:"+done.Step.Name, strings.ReplaceAll(back.Op, "_", " "), back))
	}
	p.Before = encode(b)
	return p, s.mayWrite(ctx, p)
}

// undoSubject reads the target again. Of a credential that is revoked nothing is
// left to read: its app is.
func (s *session) undoSubject(ctx context.Context, p *sources.Plan, r sources.ActionRequest) error {
	switch r.Kind {
	case sources.TargetAccount:
		h, err := s.holder(ctx, r.Target)
		if err != nil {
			return err
		}
		p.Target = h.subject
	case sources.TargetApp:
		w, err := s.app(ctx, r.Target)
		if err != nil {
			return err
		}
		p.Target = sources.Subject{Kind: r.Kind, ID: string(w.ID), Name: string(w.Label)}
	default:
		p.Target = sources.Subject{Kind: r.Kind, ID: r.Target}
		if id := r.Params["app"]; id != "" {
			w, err := s.app(ctx, id)
			if err != nil {
				return err
			}
			p.Also = []sources.Subject{{Kind: sources.TargetApp, ID: string(w.ID), Name: string(w.Label)}}
		}
	}
	return nil
}

// holder is an account with all that a rule of protection may name it by.
type holder struct {
	user    govUser
	subject sources.Subject
	groups  []wireGroup
	roles   []heldRole
}

// govUser is a user as actions read it.
type govUser struct {
	wireUser
	Credentials struct {
		Provider struct {
			Type text `json:"type"`
		} `json:"provider"`
	} `json:"credentials"`
}

// user reads a user by id. The vendor takes logins, too: another id is refused.
func (s *session) user(ctx context.Context, id string) (*govUser, error) {
	u := &govUser{}
	if _, err := s.get(ctx, httpx.P(pathUser, id), nil, u); err != nil {
		return nil, naming(err, "okta.users.read")
	}
	if string(u.ID) != id {
		return nil, fault.New(fault.BadData, "okta returned user %q for %q", u.ID, id)
	}
	return u, nil
}

func (s *session) app(ctx context.Context, id string) (*wireApp, error) {
	w := &wireApp{}
	if _, err := s.get(ctx, httpx.P(pathApp, id), nil, w); err != nil {
		return nil, naming(err, "okta.apps.read")
	}
	if string(w.ID) != id {
		return nil, fault.New(fault.BadData, "okta returned app %q for %q", w.ID, id)
	}
	return w, nil
}

func (s *session) holder(ctx context.Context, id string) (*holder, error) {
	u, err := s.user(ctx, id)
	if err != nil {
		return nil, err
	}
	h := &holder{user: *u}
	if h.groups, err = s.groupsOf(ctx, id); err != nil {
		return nil, err
	}
	if h.roles, err = s.roles(ctx, pathUserRoles, id, true); err != nil {
		return nil, naming(err, "okta.roles.read")
	}
	owner, err := s.owner(ctx)
	if err != nil {
		return nil, err
	}
	var row accountNames
	row.fill(&u.wireUser)
	h.subject = sources.Subject{
		Kind: sources.TargetAccount, ID: id, Name: row.name, Aliases: row.aliases, Logins: row.logins, Emails: row.emails,
		Roles: roleNames(h.roles), Privileged: len(h.roles) > 0, Self: id == owner,
	}
	for _, g := range h.groups {
		h.subject.Groups = append(h.subject.Groups, string(g.ID), string(g.Profile.Name))
	}
	slices.Sort(h.subject.Groups)
	if slices.ContainsFunc(h.roles, func(r heldRole) bool { return r.wire.Type == superAdmin }) {
		h.subject.LastAdmin, err = s.lastAdmin(ctx, id)
	}
	return h, err
}

const superAdmin = "SUPER_ADMIN"

// accountNames are what a user is called.
type accountNames struct {
	name                    string
	aliases, logins, emails []string
}

func (n *accountNames) fill(u *wireUser) {
	p := &u.Profile
	login := string(p.Login)
	n.name = first(login, strings.TrimSpace(string(p.FirstName)+" "+string(p.LastName)), string(u.ID))
	if login != "" {
		n.logins, n.aliases = []string{login}, []string{login}
	}
	for _, e := range []string{strings.ToLower(string(p.Email)), email(p.Login)} {
		if e != "" && !slices.Contains(n.emails, e) {
			n.emails = append(n.emails, e)
		}
	}
}

// roleNames are types, ids and labels of roles.
func roleNames(roles []heldRole) (out []string) {
	for _, r := range roles {
		for _, n := range []text{r.wire.Type, r.wire.Role, r.wire.Label} {
			if n != "" {
				out = append(out, string(n))
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (s *session) groupsOf(ctx context.Context, user string) (groups []wireGroup, err error) {
	err = s.each(ctx, listing{path: httpx.P(pathUserGroups, user)}, func(raw []byte) error {
		var g wireGroup
		if err := decode(raw, &g); err != nil {
			return err
		}
		if g.ID == "" {
			return fault.New(fault.BadData, "a group of user %s has no id", user)
		}
		groups = append(groups, g)
		return nil
	})
	return groups, naming(err, "okta.users.read")
}

// lastAdmin tells whether no other active user is a super administrator.
func (s *session) lastAdmin(ctx context.Context, id string) (bool, error) {
	err := s.each(ctx, assignees, func(raw []byte) error {
		other := strings.Clone(elementID(raw))
		if other == "" || other == id {
			return nil
		}
		roles, err := s.rolesOnce(ctx, pathUserRoles, other, nil)
		if isGone(err) {
			return nil
		}
		if err != nil || !slices.ContainsFunc(roles, func(r heldRole) bool { return r.wire.Type == superAdmin }) {
			return err
		}
		u, err := s.user(ctx, other)
		if err == nil && u.Status == "ACTIVE" {
			return errStop
		}
		if isGone(err) {
			err = nil
		}
		return err
	})
	if errors.Is(err, errStop) {
		return false, nil
	}
	return true, naming(err, "okta.roles.read")
}

// owner is the user that the credentials belong to; "" a service app's belong
// to none. It does not change: it is asked once a session.
func (s *session) owner(ctx context.Context) (string, error) {
	if s.tokens != nil && s.cfg.Auth.ClientSecret.IsZero() {
		return "", nil
	}
	if id := s.own.Load(); id != nil {
		return *id, nil
	}
	var u wireUser
	if _, err := s.get(ctx, httpx.P(pathUser, "me"), nil, &u); err != nil {
		return "", fault.New(fault.Of(err), "whose the agent's own credentials are: %w", err)
	}
	if u.ID == "" {
		return "", fault.New(fault.Transient, "GET %s: the answer holds no id", pathUser)
	}
	id := string(u.ID)
	s.own.Store(&id)
	return id, nil
}

// grantsAt lists grants, tokens or integrations.
func (s *session) grantsAt(ctx context.Context, path httpx.Path) (out []wireGrant, err error) {
	err = s.each(ctx, listing{path: path}, func(raw []byte) error {
		var g wireGrant
		if err := decode(raw, &g); err != nil {
			return err
		}
		out = append(out, g)
		return nil
	})
	return out, naming(err, readScope(path.String()))
}

func readScope(path string) string {
	switch path {
	case pathAppGrants:
		return "okta.appGrants.read"
	case pathAppTokens:
		return "okta.apps.read"
	case pathAPITokens:
		return "okta.apiTokens.read"
	case pathIntegrations:
		return "okta.oauthIntegrations.read"
	}
	return "okta.users.read"
}

// probeAction tells whether an action can be expected to work: a token that was
// granted its scope, and reading what plans read. Nothing is written, so that
// whether a role allows it is not known before.
func (s *session) probeAction(ctx context.Context, a sources.Action) error {
	scopes, ok := actionScopes[a]
	if !ok {
		return fault.New(fault.Permanent, "okta has no action %q", a)
	}
	if err := s.granted(ctx, scopes); err != nil {
		return err
	}
	return s.Probe(ctx, "privileges")
}

// actionScopes are the scopes that an action's writes need.
var actionScopes = map[sources.Action][]string{
	sources.SuspendUser: {manageUsers}, sources.UnsuspendUser: {manageUsers}, sources.SignOutUser: {manageUsers, "okta.logs.read"},
	sources.ResetPassword: {manageUsers}, sources.ExpirePassword: {manageUsers}, sources.RemoveMember: {manageGroups},
	sources.RevokeGrant: {manageUsers, manageApps, manageAppGrants, manageIntegrations}, sources.DisableApp: {manageApps},
	sources.RevokeKey: {manageAPITokens}, sources.RemovePrivilege: {manageRoles},
}
