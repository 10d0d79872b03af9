package org

import (
	"slices"
	"strings"
	"time"
)

// The methods below change entities and record the event that tells of it: they
// are the only way in which the organization changes once it lives.

func acct(a *Account) Ref       { return Ref{Kind: AccountRef, N: a.N} }
func groupRef(g *Group) Ref     { return Ref{Kind: GroupRef, N: g.N} }
func repoRef(r *Repo) Ref       { return Ref{Kind: RepoRef, N: r.N} }
func inst(in *Integration) Ref  { return Ref{Kind: IntegrationRef, N: in.N} }
func grantRef(g *Grant) Ref     { return Ref{Kind: GrantRef, N: g.N} }
func here(a *Account) bool      { return a != nil && a.Gone.IsZero() }
func live(a *Account) bool      { return here(a) && a.Status == Active }
func (a *Account) touch(x *Act) { a.Modified = x.At }

// SignedIn notes a sign-in.
func (s *State) SignedIn(app string, x *Act, a *Account) {
	a.LastLogin = x.At
	s.do(app, x, SignIn, acct(a))
}

// SignInFailed notes a failed sign-in of an account.
func (s *State) SignInFailed(app string, x *Act, a *Account, reason string) {
	e := x.event(SignIn)
	e.Failed, e.Reason, e.Session, e.MFA = true, reason, "", false
	s.record(app, &e, acct(a))
}

// Create adds an account of a person who has none in the app.
func (s *State) Create(app string, x *Act, p *Person, login string, status Status) *Account {
	a := s.newAccount(app, p, login, x.At)
	a.Status = status
	if status == Invited {
		a.Activated = time.Time{}
	}
	v := AccountCreate
	if app == GitHub && status == Invited {
		v = MemberInvite
	}
	s.do(app, x, v, acct(a))
	if app == Okta {
		if everyone := s.Groups[Okta][0]; everyone.Kind == "BUILT_IN" {
			everyone.join(a.N, "member", x.At)
		}
	}
	return a
}

// SetStatus moves an account to another status; the verb tells how.
func (s *State) SetStatus(app string, x *Act, a *Account, status Status, v Verb) {
	a.Status, a.StatusChanged = status, x.At
	if status == Active && a.Activated.IsZero() {
		a.Activated = x.At
	}
	a.touch(x)
	s.do(app, x, v, acct(a))
}

// Remove takes an account out of all groups, roles and repositories, ends its
// grants, and then deactivates it (Okta) or ends its membership (GitHub).
func (s *State) Remove(app string, x *Act, a *Account) {
	for _, g := range s.Groups[app] {
		if !g.Gone.IsZero() {
			continue
		}
		if g.Kind == "BUILT_IN" {
			g.leave(a.N, x.At)
			continue
		}
		s.RemoveMember(app, x, g, a)
	}
	for _, r := range s.Roles[app] {
		if r.Gone.IsZero() && r.Holder == acct(a) {
			s.RevokeRole(app, x, r)
		}
	}
	for _, g := range s.Grants[app] {
		if g.Gone.IsZero() && g.Account == a.N {
			s.RevokeGrant(app, x, g)
		}
	}
	if app == GitHub {
		for _, r := range s.Repos {
			if r.Gone.IsZero() && r.access(acct(a)) >= 0 {
				s.RemoveAccess(x, r, acct(a))
			}
		}
	}
	a.touch(x)
	v := AccountRemove
	if app == GitHub {
		if a.Outside {
			v = OutsideRemove
		}
		a.Gone, a.Owner, a.Asked = x.At, false, ""
	} else {
		a.Status, a.StatusChanged = Deprovisioned, x.At
	}
	s.do(app, x, v, acct(a))
}

// Delete deletes a deprovisioned account for good.
func (s *State) Delete(app string, x *Act, a *Account) {
	a.Gone = x.At
	s.do(app, x, AccountDelete, acct(a))
}

// Update changes attributes of the person behind an account.
func (s *State) Update(app string, x *Act, a *Account, changes ...Change) {
	p := s.People[a.Person]
	for _, c := range changes {
		switch c.Name {
		case "title":
			p.Title = c.New
		case "department":
			p.Department = c.New
		case "familyName":
			p.Family = c.New
		}
	}
	a.touch(x)
	e := x.event(AccountUpdate)
	e.Changes = slices.Clone(changes)
	s.record(app, &e, acct(a))
	if app != Microsoft365 && app != GoogleWorkspace {
		s.mirror(x, p, e.Changes)
	}
}

// SetManager gives a person another manager.
func (s *State) SetManager(x *Act, a *Account, manager int) {
	p := s.People[a.Person]
	e := x.event(AccountUpdate)
	e.Changes = []Change{{Name: "manager", Old: s.emailOf(p.Manager), New: s.emailOf(manager)}}
	p.Manager = manager
	a.touch(x)
	s.record(Okta, &e, acct(a))
	s.mirror(x, p, e.Changes)
}

func (s *State) emailOf(person int) string {
	if person < 0 {
		return ""
	}
	return s.People[person].Email
}

// SetPassword changes or resets a password.
func (s *State) SetPassword(x *Act, a *Account, v Verb) {
	if v == PasswordReset {
		a.Status, a.StatusChanged = Recovery, x.At
	} else {
		a.PasswordChanged = x.At
		if a.Status == Recovery || a.Status == PasswordExpired {
			a.Status, a.StatusChanged = Active, x.At
		}
	}
	a.touch(x)
	s.do(Okta, x, v, acct(a))
}

// Enroll adds a second factor.
func (s *State) Enroll(x *Act, a *Account, factor string) {
	if !slices.Contains(a.Factors, factor) {
		a.Factors = append(slices.Clone(a.Factors), factor) // what it had may be shared
	}
	e := x.event(MFAEnroll)
	e.Text = factor
	s.record(Okta, &e, acct(a))
}

// CreateGroup adds an empty group.
func (s *State) CreateGroup(app string, x *Act, name, kind string, parent int) *Group {
	g := &Group{N: len(s.Groups[app]), Name: name, Slug: slug(name), Kind: kind, Parent: parent, Created: x.At, Modified: x.At, MembersModified: x.At}
	s.Groups[app] = append(s.Groups[app], g)
	s.do(app, x, GroupCreate, groupRef(g))
	return g
}

// DescribeGroup changes a group's description.
func (s *State) DescribeGroup(app string, x *Act, g *Group, description string) {
	e := x.event(GroupUpdate)
	e.Changes = []Change{{Name: "description", Old: g.Description, New: description}}
	g.Description, g.Modified = description, x.At
	s.record(app, &e, groupRef(g))
}

// DeleteGroup deletes a group, with the roles it holds and the access it gives.
// Groups below it lose their parent.
func (s *State) DeleteGroup(app string, x *Act, g *Group) {
	for _, r := range s.Roles[app] {
		if r.Gone.IsZero() && r.Holder == groupRef(g) {
			s.RevokeRole(app, x, r)
		}
	}
	if app == GitHub {
		for _, r := range s.Repos {
			if r.Gone.IsZero() && r.access(groupRef(g)) >= 0 {
				s.RemoveAccess(x, r, groupRef(g))
			}
		}
		for _, c := range s.Groups[app] {
			if c.Gone.IsZero() && c.Parent == g.N {
				c.Parent, c.Modified = g.Parent, x.At
			}
		}
	}
	g.Members, g.Gone = nil, x.At
	s.do(app, x, GroupDelete, groupRef(g))
}

// AddMember makes an account a member of a group; false: it is one already.
func (s *State) AddMember(app string, x *Act, g *Group, a *Account, role string) bool {
	if !g.join(a.N, role, x.At) {
		return false
	}
	e := x.event(GroupAddMember)
	if app == Microsoft365 || app == GoogleWorkspace {
		e.Text = role
	}
	s.record(app, &e, acct(a), groupRef(g))
	return true
}

// RemoveMember ends a membership, in every role; false: there is none.
func (s *State) RemoveMember(app string, x *Act, g *Group, a *Account) bool {
	if !g.leave(a.N, x.At) {
		return false
	}
	s.do(app, x, GroupRemoveMember, acct(a), groupRef(g))
	return true
}

func (g *Group) leave(account int, at time.Time) bool {
	n := len(g.Members)
	for _, m := range g.Members {
		if m.Account == account && IsEntraKind(g.Kind) {
			g.Left = append(g.Left, Member{Account: account, Role: m.Role, Since: at})
		}
	}
	g.Members = slices.DeleteFunc(g.Members, func(m Member) bool { return m.Account == account })
	if len(g.Members) == n {
		return false
	}
	g.MembersModified = at
	return true
}

// GrantRole gives a role for the whole organization.
func (s *State) GrantRole(app string, x *Act, holder Ref, role string, def int) *RoleGrant {
	r := &RoleGrant{N: len(s.Roles[app]), Holder: holder, Role: role, RoleN: def, ScopeN: -1, Assigned: x.At}
	if def >= 0 {
		r.Permits = s.RoleDefs[app][def].Permits
	}
	if def >= 0 && app == Okta {
		r.ScopeN, r.Scope = 0, s.ResourceSets[app][0].Name
	}
	s.Roles[app] = append(s.Roles[app], r)
	s.do(app, x, RoleGrantVerb, holder, Ref{Kind: RoleRef, N: r.N})
	return r
}

// RevokeRole takes a role away.
func (s *State) RevokeRole(app string, x *Act, r *RoleGrant) {
	r.Gone = x.At
	s.do(app, x, RoleRevokeVerb, r.Holder, Ref{Kind: RoleRef, N: r.N})
}

// AddIntegration registers or installs an app.
func (s *State) AddIntegration(app string, x *Act, in Integration) *Integration {
	in.N, in.Active, in.Created, in.Modified = len(s.Integrations[app]), true, x.At, x.At
	s.Integrations[app] = append(s.Integrations[app], &in)
	s.do(app, x, IntegrationAdd, inst(&in))
	if app == Okta {
		for _, sc := range in.Scopes {
			s.IssueGrant(app, x, Grant{Kind: GrantScope, Account: -1, Integration: in.N, Scopes: []string{sc}})
		}
	}
	return &in
}

// SuspendIntegration stops an app.
func (s *State) SuspendIntegration(app string, x *Act, in *Integration) {
	in.Active, in.SuspendedAt, in.Modified = false, x.At, x.At
	s.do(app, x, IntegrationSuspend, inst(in))
}

// WidenIntegration gives an app one more scope.
func (s *State) WidenIntegration(app string, x *Act, in *Integration, scope string) {
	if slices.Contains(in.Scopes, scope) {
		return
	}
	e := x.event(IntegrationUpdate)
	e.Changes = []Change{{Name: "scopes", Old: strings.Join(in.Scopes, " "), New: strings.Join(append(slices.Clone(in.Scopes), scope), " ")}}
	in.Scopes, in.Modified = append(slices.Clone(in.Scopes), scope), x.At
	s.record(app, &e, inst(in))
	if app == Okta {
		s.IssueGrant(app, x, Grant{Kind: GrantScope, Account: -1, Integration: in.N, Scopes: []string{scope}})
	}
}

// RemoveIntegration removes an app with its grants and roles.
func (s *State) RemoveIntegration(app string, x *Act, in *Integration) {
	for _, g := range s.Grants[app] {
		if g.Gone.IsZero() && g.Integration == in.N {
			s.RevokeGrant(app, x, g)
		}
	}
	for _, r := range s.Roles[app] {
		if r.Gone.IsZero() && r.Holder == inst(in) {
			s.RevokeRole(app, x, r)
		}
	}
	in.Active, in.Gone, in.Modified = false, x.At, x.At
	s.do(app, x, IntegrationRemove, inst(in))
}

// IssueGrant adds a token, key or consent.
func (s *State) IssueGrant(app string, x *Act, g Grant) *Grant {
	g.N, g.Created = len(s.Grants[app]), x.At
	s.Grants[app] = append(s.Grants[app], &g)
	s.granted(app, x, GrantIssue, &g, Change{Name: grantScope, New: strings.Join(g.Scopes, " ")})
	return &g
}

// RevokeGrant ends a grant.
func (s *State) RevokeGrant(app string, x *Act, g *Grant) {
	g.Gone = x.At
	s.granted(app, x, GrantRevoke, g, Change{Name: grantScope, Old: strings.Join(g.Scopes, " ")})
}

// granted records what was done with a grant. What it allowed at that time is in
// the logs of Microsoft 365 and Google.
func (s *State) granted(app string, x *Act, v Verb, g *Grant, c Change) {
	e := x.event(v)
	if app == Microsoft365 || app == GoogleWorkspace {
		e.Changes = []Change{c}
	}
	s.record(app, &e, grantRef(g), g.of())
}

// of returns the group, the integration or else the account of a grant.
func (g *Grant) of() Ref {
	if g.Holder.Kind != "" {
		return g.Holder
	}
	if g.Integration >= 0 {
		return Ref{Kind: IntegrationRef, N: g.Integration}
	}
	return Ref{Kind: AccountRef, N: g.Account}
}

// SetVisibility changes who can see a repository.
func (s *State) SetVisibility(x *Act, r *Repo, visibility string) {
	e := x.event(RepoVisibility)
	e.Changes = []Change{{Name: "visibility", Old: r.Visibility, New: visibility}}
	r.Visibility, r.Modified = visibility, x.At
	s.record(GitHub, &e, repoRef(r))
}

// Archive makes a repository read-only.
func (s *State) Archive(x *Act, r *Repo) {
	r.Archived, r.Modified = true, x.At
	s.do(GitHub, x, RepoArchive, repoRef(r))
}

// DeleteRepo deletes a repository.
func (s *State) DeleteRepo(x *Act, r *Repo) {
	r.Gone = x.At
	r.Access, r.Keys, r.Files = nil, nil, nil
	s.do(GitHub, x, RepoDelete, repoRef(r))
}

// AddAccess lets an account or a team into a repository; false: it is in.
func (s *State) AddAccess(x *Act, r *Repo, a Access) bool {
	if a.Since = x.At; a.Invited {
		a.N = s.journal.invitations
	}
	if !r.let(a) {
		return false
	}
	if a.Invited {
		s.journal.invitations++
	}
	e := x.event(RepoAddAccess)
	e.Changes = []Change{{Name: "permission", New: a.Role}}
	r.Modified = x.At
	s.record(GitHub, &e, repoRef(r), a.Holder)
	return true
}

// Accept turns an invitation to a repository into access. GitHub's log has the
// invitation alone.
func (s *State) Accept(x *Act, r *Repo, a *Account) {
	if i := r.access(acct(a)); i >= 0 && r.Access[i].Invited {
		r.Access[i].Invited, r.Access[i].Since = false, x.At
	}
}

// RemoveAccess takes an account's or a team's access to a repository away.
func (s *State) RemoveAccess(x *Act, r *Repo, h Ref) {
	i := r.access(h)
	if i < 0 {
		return
	}
	r.Access = slices.Delete(r.Access, i, i+1)
	r.Modified = x.At
	s.do(GitHub, x, RepoRemoveAccess, repoRef(r), h)
}

// AddKey gives a repository a deploy key.
func (s *State) AddKey(x *Act, r *Repo, title string, readOnly bool, by *Account) {
	s.addKey(r, DeployKey{Title: title, ReadOnly: readOnly, AddedBy: by.N, Created: x.At})
	r.Modified = x.At
	s.do(GitHub, x, KeyAdd, repoRef(r), Ref{Kind: KeyRef, N: r.N, Name: title})
}

// Push changes files of a repository.
func (s *State) Push(x *Act, r *Repo, files ...Blob) {
	for _, f := range files {
		r.put(f)
	}
	r.Pushed = x.At
	s.do(GitHub, x, GitPush, repoRef(r))
}

// SetOwner makes a member an owner, or an owner a member.
func (s *State) SetOwner(x *Act, a *Account, owner bool) {
	e := x.event(MemberRole)
	names := map[bool]string{false: "member", true: "admin"}
	e.Changes = []Change{{Name: "role", Old: names[a.Owner], New: names[owner]}}
	a.Owner = owner
	a.touch(x)
	s.record(GitHub, &e, acct(a))
}
