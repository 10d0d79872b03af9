package org

import (
	"slices"
	"strings"
	"time"
)

// The methods below are what administrators, and apps that act for them, do in
// Microsoft 365's directory beside what life brings about.

// Enable lets an account be used. Somebody who had not accepted an invitation
// still has not.
func (s *State) Enable(x *Act, a *Account) {
	status := Active
	if a.Activated.IsZero() {
		status = Invited
	}
	s.SetStatus(Microsoft365, x, a, status, AccountUnsuspend)
}

// Disable keeps an account from being used. What comes from the company's own
// directory is as it is there again after the next synchronization.
func (s *State) Disable(x *Act, a *Account) {
	s.SetStatus(Microsoft365, x, a, Suspended, AccountSuspend)
	if !a.Synced {
		return
	}
	since := a.StatusChanged
	s.Later(syncEvery, func(at time.Time) {
		if here(a) && a.Status == Suspended && a.StatusChanged.Equal(since) {
			s.Enable(&Act{At: at, Actor: inst(s.Integrations[Microsoft365][DirectorySync]), Client: &Client{}}, a)
		}
	})
}

// EndEntraSessions voids the refresh tokens of an account.
func (s *State) EndEntraSessions(x *Act, a *Account) {
	e := x.event(SessionsClear)
	e.Changes = []Change{{Name: "StsRefreshTokensValidFrom", Old: later(a.SessionsFrom, a.PasswordChanged).Format(time.RFC3339), New: x.At.Format(time.RFC3339)}}
	a.SessionsFrom = x.At
	a.touch(x)
	s.record(Microsoft365, &e, acct(a))
}

// ForcePasswordChange has a person choose another password at the next sign-in.
func (s *State) ForcePasswordChange(x *Act, a *Account) {
	if a.PasswordForced {
		return
	}
	a.PasswordForced = true
	s.Update(Microsoft365, x, a, Change{Name: "ForceChangePassword", Old: "false", New: "true"})
}

// GrantEntraRole gives a role, in an administrative unit if scope is not less than
// 0.
func (s *State) GrantEntraRole(x *Act, holder Ref, role string, scope int) *RoleGrant {
	r := s.GrantRole(Microsoft365, x, holder, role, -1)
	if r.ScopeN = scope; scope >= 0 {
		r.Scope = "administrative unit"
	}
	return r
}

// SetGrantScopes changes what a delegated grant allows.
func (s *State) SetGrantScopes(x *Act, g *Grant, scopes []string) {
	e := x.event(GrantIssue)
	e.Changes = []Change{{Name: grantScope, Old: strings.Join(g.Scopes, " "), New: strings.Join(scopes, " ")}}
	g.Scopes, g.Modified = slices.Clone(scopes), x.At
	s.record(Microsoft365, &e, grantRef(g), g.of())
}

// grantScope is the change that an event about a grant tells of: what the grant
// allows may be another thing later.
const grantScope = "scope"

// DeleteIntegration deletes an app for now: what it was granted holds no more, and
// holds again if the app is restored.
func (s *State) DeleteIntegration(x *Act, in *Integration) {
	in.Gone, in.Modified = x.At, x.At
	s.do(Microsoft365, x, IntegrationRemove, inst(in))
}

// RestoreIntegration brings a deleted app back.
func (s *State) RestoreIntegration(x *Act, in *Integration) {
	in.Gone, in.Modified = time.Time{}, x.At
	for _, g := range s.Grants[Microsoft365] {
		if g.Integration == in.N || g.Resource == in.N {
			g.Modified = x.At
		}
	}
	s.do(Microsoft365, x, IntegrationRestore, inst(in))
}

// IntegrationRestore is what RestoreIntegration does.
const IntegrationRestore Verb = "integration_restore" // integration
