package org

import "time"

// The methods below are what administrators, and integrations that act for
// them, do beside what life brings about.

// EndSessions ends the sessions of an account and, if asked to, the refresh
// tokens that were issued for it.
func (s *State) EndSessions(x *Act, a *Account, tokens bool) {
	if tokens {
		for _, g := range s.Grants[Okta] {
			if g.Gone.IsZero() && g.Kind == GrantRefresh && g.Account == a.N {
				s.RevokeGrant(Okta, x, g)
			}
		}
	}
	s.do(Okta, x, SessionsClear, acct(a))
}

// LeaveGroup ends a plain membership and leaves ownership alone; false: there
// is none.
func (s *State) LeaveGroup(app string, x *Act, g *Group, a *Account) bool {
	kept := make([]Member, 0, len(g.Members))
	for _, m := range g.Members {
		if m.Account != a.N || m.Role != "member" {
			kept = append(kept, m)
		}
	}
	if len(kept) == len(g.Members) {
		return false
	}
	g.Members, g.MembersModified = kept, x.At
	if IsEntraKind(g.Kind) {
		g.Left = append(g.Left, Member{Account: a.N, Role: "member", Since: x.At})
	}
	s.do(app, x, GroupRemoveMember, acct(a), groupRef(g))
	return true
}

// AssignRole gives a role: def is the custom role's number and set the resource
// set's, both -1 with a standard role.
func (s *State) AssignRole(app string, x *Act, holder Ref, role string, def, set int) *RoleGrant {
	r := &RoleGrant{N: len(s.Roles[app]), Holder: holder, Role: role, RoleN: def, ScopeN: set, Assigned: x.At}
	if def >= 0 {
		r.Permits = s.RoleDefs[app][def].Permits
	}
	if set >= 0 {
		r.Scope = s.ResourceSets[app][set].Name
	}
	s.Roles[app] = append(s.Roles[app], r)
	s.do(app, x, RoleGrantVerb, holder, Ref{Kind: RoleRef, N: r.N})
	return r
}

// ResumeIntegration lets a suspended app work again.
func (s *State) ResumeIntegration(app string, x *Act, in *Integration) {
	in.Active, in.SuspendedAt, in.Modified = true, time.Time{}, x.At
	s.do(app, x, AppResume, inst(in))
}
