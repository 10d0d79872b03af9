package org

import (
	"slices"
	"time"
)

// Invite asks somebody to become a member: by login, and again if they were one.
// An outside collaborator stays one until they accept.
func (s *State) Invite(x *Act, a *Account, owner bool) {
	if !here(a) {
		a.Gone, a.Status, a.Outside, a.Activated = time.Time{}, Invited, false, time.Time{}
	}
	if a.Asked = "member"; owner {
		a.Asked = "admin"
	}
	a.Owner = owner && !a.Outside
	a.StatusChanged = x.At
	a.touch(x)
	s.do(GitHub, x, MemberInvite, acct(a))
}

// Readmit makes somebody a member again, without asking them.
func (s *State) Readmit(x *Act, a *Account, owner bool) {
	a.Gone, a.Outside, a.Owner = time.Time{}, false, owner
	s.SetStatus(GitHub, x, a, Active, AccountActivate)
}

// CancelInvite takes an invitation into the organization back, with what was
// prepared for who was invited.
func (s *State) CancelInvite(x *Act, a *Account) {
	a.Asked, a.Owner = "", false
	if a.Status == Invited {
		for _, g := range s.Groups[GitHub] {
			g.leave(a.N, x.At)
		}
		for _, r := range s.Repos {
			if i := r.access(acct(a)); i >= 0 {
				r.Access = slices.Delete(r.Access, i, i+1)
			}
		}
		a.Gone = x.At
	}
	a.touch(x)
	s.do(GitHub, x, InviteCancel, acct(a))
}

// Convert makes a member an outside collaborator, who keeps what their teams
// gave them in repositories.
func (s *State) Convert(x *Act, a *Account) {
	for _, r := range s.Repos {
		if !r.Gone.IsZero() || r.access(acct(a)) >= 0 {
			continue
		}
		for _, t := range slices.Clone(r.Access) {
			if t.Holder.Kind == GroupRef && s.Groups[GitHub][t.Holder.N].Has(a.N) {
				s.AddAccess(x, r, Access{Holder: acct(a), Role: t.Role, Outside: true})
			}
		}
	}
	for _, g := range s.Groups[GitHub] {
		if g.Gone.IsZero() {
			s.RemoveMember(GitHub, x, g, a)
		}
	}
	for _, r := range s.Roles[GitHub] {
		if r.Gone.IsZero() && r.Holder == acct(a) {
			s.RevokeRole(GitHub, x, r)
		}
	}
	for _, r := range s.Repos {
		if i := r.access(acct(a)); i >= 0 {
			r.Access[i].Outside = true
		}
	}
	a.touch(x)
	a.Outside, a.Owner = true, false
	s.do(GitHub, x, AccountRemove, acct(a))
}

// Has says whether an account is a member itself.
func (g *Group) Has(account int) bool {
	return slices.ContainsFunc(g.Members, func(m Member) bool { return m.Account == account })
}

// Block keeps somebody who is no member out of the organization: they lose what
// they have in repositories, and invitations.
func (s *State) Block(x *Act, a *Account) {
	if here(a) && (a.Asked != "" && a.Outside || a.Status == Invited) {
		s.CancelInvite(x, a)
	}
	if here(a) {
		s.Remove(GitHub, x, a)
	}
	a.Blocked = true
	s.do(GitHub, x, MemberBlock, acct(a))
}

// Unblock ends Block. What was lost stays lost.
func (s *State) Unblock(x *Act, a *Account) {
	a.Blocked = false
	s.do(GitHub, x, MemberUnblock, acct(a))
}

// SetTeamRole makes a member of a team its maintainer, or the reverse.
func (s *State) SetTeamRole(x *Act, g *Group, a *Account, role string) {
	for i, m := range g.Members {
		if m.Account != a.N || m.Role == role {
			continue
		}
		g.Members = slices.Clone(g.Members)
		g.Members[i].Role = role
		e := x.event(TeamRole)
		e.Changes = []Change{{Name: "role", Old: m.Role, New: role}}
		s.record(GitHub, &e, acct(a), groupRef(g))
	}
}

// SetAccess changes what an account or a team may do in a repository.
func (s *State) SetAccess(x *Act, r *Repo, h Ref, role string) {
	i := r.access(h)
	if i < 0 || r.Access[i].Role == role {
		return
	}
	e := x.event(RepoChangeAccess)
	e.Changes = []Change{{Name: "permission", Old: r.Access[i].Role, New: role}}
	r.Access[i].Role = role
	r.Modified = x.At
	s.record(GitHub, &e, repoRef(r), h)
}

// CancelAccess takes an invitation to a repository back.
func (s *State) CancelAccess(x *Act, r *Repo, h Ref) {
	i := r.access(h)
	if i < 0 || !r.Access[i].Invited {
		return
	}
	r.Access = slices.Delete(r.Access, i, i+1)
	s.do(GitHub, x, RepoCancelInvite, repoRef(r), h)
}

// RemoveKey takes a deploy key out of a repository.
func (s *State) RemoveKey(x *Act, r *Repo, n int) {
	i := slices.IndexFunc(r.Keys, func(k DeployKey) bool { return k.N == n })
	if i < 0 {
		return
	}
	title := r.Keys[i].Title
	r.Keys = slices.Delete(r.Keys, i, i+1)
	r.Modified = x.At
	s.do(GitHub, x, KeyRemove, repoRef(r), Ref{Kind: KeyRef, N: r.N, Name: title})
}

// Unarchive ends Archive.
func (s *State) Unarchive(x *Act, r *Repo) {
	r.Archived, r.Modified = false, x.At
	s.do(GitHub, x, RepoUnarchive, repoRef(r))
}

// Commit adds or replaces a file of a repository through the API, which no log
// tells.
func (s *State) Commit(x *Act, r *Repo, f Blob) {
	r.put(f)
	r.Pushed, r.Modified = x.At, x.At
}

// CommitDelete takes a file out of a repository through the API.
func (s *State) CommitDelete(x *Act, r *Repo, path string) {
	r.Files = slices.DeleteFunc(r.Files, func(f Blob) bool { return f.Path == path })
	r.Pushed, r.Modified = x.At, x.At
}

// Decide lets a token that waits for approval in, or does not.
func (s *State) Decide(x *Act, q *Request, approve bool) {
	q.Gone = x.At
	if approve {
		s.IssueGrant(GitHub, x, Grant{Kind: GrantPAT, Account: q.Account, Integration: -1, Name: q.Name, Scopes: q.Scopes, Expires: q.Expires})
		return
	}
	s.do(GitHub, x, RequestDeny, Ref{Kind: AccountRef, N: q.Account})
}
