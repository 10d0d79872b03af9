package org

import (
	"slices"
	"strings"
)

// The methods below are what administrators, people and apps do in Google
// Workspace beside what all vendors know.

// SuspendGoogle suspends an account, for the reason ADMIN or one of Google's own.
func (s *State) SuspendGoogle(x *Act, a *Account, reason string) {
	a.Reason = reason
	s.SetStatus(GoogleWorkspace, x, a, Suspended, AccountSuspend)
}

// UnsuspendGoogle lets a suspended account in again.
func (s *State) UnsuspendGoogle(x *Act, a *Account) {
	a.Reason = ""
	s.SetStatus(GoogleWorkspace, x, a, a.openStatus(), AccountUnsuspend)
}

// ArchiveGoogle archives an account, or ends that.
func (s *State) ArchiveGoogle(x *Act, a *Account, on bool) {
	if on {
		s.SetStatus(GoogleWorkspace, x, a, Archived, AccountArchive)
		return
	}
	s.SetStatus(GoogleWorkspace, x, a, a.openStatus(), AccountUnarchive)
}

// openStatus is that of an account that is not kept from anything: somebody who
// had not come yet still has not.
func (a *Account) openStatus() Status {
	if a.Activated.IsZero() {
		return Invited
	}
	return Active
}

// UndeleteGoogle brings a deleted account back, into a unit.
func (s *State) UndeleteGoogle(x *Act, a *Account, unit int) {
	a.OrgUnit = unit
	s.SetStatus(GoogleWorkspace, x, a, a.openStatus(), AccountRestore)
}

// SetGooglePassword gives an account another password: the person by
// PasswordChange, or somebody else by PasswordReset.
func (s *State) SetGooglePassword(x *Act, a *Account, v Verb) {
	if a.PasswordChanged = x.At; v == PasswordChange {
		a.MustChange = false
	}
	a.touch(x)
	s.do(GoogleWorkspace, x, v, acct(a))
}

// ForceGooglePassword has a person choose another password at the next sign-in, or
// not.
func (s *State) ForceGooglePassword(x *Act, a *Account, on bool) {
	if a.MustChange == on {
		return
	}
	e := x.event(PasswordForce)
	e.Changes = []Change{{Name: "changePasswordAtNextLogin", Old: word(a.MustChange), New: word(on)}}
	a.MustChange = on
	a.touch(x)
	s.record(GoogleWorkspace, &e, acct(a))
}

// EndGoogleSessions signs an account out everywhere.
func (s *State) EndGoogleSessions(x *Act, a *Account) {
	a.SessionsFrom = x.At
	s.do(GoogleWorkspace, x, SessionsClear, acct(a))
}

// EndBackupCodes voids the backup codes of an account.
func (s *State) EndBackupCodes(x *Act, a *Account) {
	a.BackupCodes = 0
	s.do(GoogleWorkspace, x, BackupCodesEnd, acct(a))
}

// EndSecondFactors takes all second factors from an account.
func (s *State) EndSecondFactors(x *Act, a *Account) {
	a.Factors, a.BackupCodes = nil, 0
	a.touch(x)
	s.do(GoogleWorkspace, x, SecondFactorsEnd, acct(a))
}

// EnrollGoogle adds a second factor.
func (s *State) EnrollGoogle(x *Act, a *Account, factor string) {
	if !slices.Contains(a.Factors, factor) {
		a.Factors = append(slices.Clone(a.Factors), factor)
	}
	e := x.event(MFAEnroll)
	e.Text = factor
	s.record(GoogleWorkspace, &e, acct(a))
}

// MoveToUnit moves an account to another organizational unit.
func (s *State) MoveToUnit(x *Act, a *Account, unit int) {
	units := s.ResourceSets[GoogleWorkspace]
	e := x.event(OrgUnitMove)
	e.Changes = []Change{{Name: "orgUnit", Old: units[a.OrgUnit].Name, New: units[unit].Name}}
	a.OrgUnit = unit
	a.touch(x)
	s.record(GoogleWorkspace, &e, acct(a))
}

// GrantGoogleRole gives a role, for one unit if unit is not less than 0.
func (s *State) GrantGoogleRole(x *Act, holder Ref, def, unit int) *RoleGrant {
	return s.AssignRole(GoogleWorkspace, x, holder, s.RoleDefs[GoogleWorkspace][def].Name, def, unit)
}

// JoinGoogle makes an account a member in one role; false: it is one already.
func (s *State) JoinGoogle(x *Act, g *Group, a *Account, role string) bool {
	return !g.Has(a.N) && s.AddMember(GoogleWorkspace, x, g, a, role)
}

// JoinOther makes a group, an address or everybody a member; false: it is one.
func (s *State) JoinOther(x *Act, g *Group, r Ref) bool {
	if slices.Contains(g.Others, r) {
		return false
	}
	g.Others = append(slices.Clone(g.Others), r)
	g.MembersModified = x.At
	e := x.event(GroupAddMember)
	e.Text = GroupMember
	s.record(GoogleWorkspace, &e, r, groupRef(g))
	return true
}

// LeaveOther ends the membership of what is no account; false: there is none.
func (s *State) LeaveOther(x *Act, g *Group, r Ref) bool {
	i := slices.Index(g.Others, r)
	if i < 0 {
		return false
	}
	g.Others = slices.Delete(slices.Clone(g.Others), i, i+1)
	g.MembersModified = x.At
	s.do(GoogleWorkspace, x, GroupRemoveMember, r, groupRef(g))
	return true
}

// LetIn lets a client act for an account: with what it may do already, and more.
func (s *State) LetIn(x *Act, a *Account, in *Integration, scopes []string) *Grant {
	if g := s.googleToken(a.N, in.N); g != nil {
		wider := slices.Clone(g.Scopes)
		for _, sc := range scopes {
			if !slices.Contains(wider, sc) {
				wider = append(wider, sc)
			}
		}
		g.Scopes, g.Modified = wider, x.At
		s.granted(GoogleWorkspace, x, GrantIssue, g, Change{Name: grantScope, New: strings.Join(scopes, " ")})
		return g
	}
	return s.IssueGrant(GoogleWorkspace, x, Grant{Kind: GrantConsent, Account: a.N, Integration: in.N, Scopes: scopes})
}

// mirrorGoogle has Google's directory take over what changed about a person
// elsewhere.
func (s *State) mirrorGoogle(x *Act, p *Person, changes []Change) {
	a := s.AccountOf(GoogleWorkspace, p.N)
	if !here(a) || a.Status == Deprovisioned {
		return
	}
	y := Act{At: x.At, Actor: inst(s.Integrations[GoogleWorkspace][GoogleHRSync]), Client: &Client{}}
	a.touch(&y)
	e := y.event(AccountUpdate)
	e.Changes = slices.Clone(changes)
	s.record(GoogleWorkspace, &e, acct(a))
}
