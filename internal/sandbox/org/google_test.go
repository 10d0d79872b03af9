package org

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The directory of Google has what is easily forgotten, follows who comes and who
// leaves, and lives the same in one step as in many.
func TestGoogle(t *testing.T) {
	t.Parallel()
	o := Options{Name: "acme", Seed: 5, People: 150, Now: time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC), History: 48 * time.Hour}
	w, steps := New(o), New(o)
	s := &w.s
	statuses, guests := map[Status]int{}, 0
	for _, a := range s.Accounts[GoogleWorkspace] {
		if statuses[a.Status]++; a.Outside {
			guests++
		}
	}
	for _, st := range []Status{Active, Invited, Suspended, Archived, Deprovisioned} {
		require.Positive(t, statuses[st], st)
	}
	require.Positive(t, guests)
	others := map[RefKind]int{}
	for _, g := range s.Groups[GoogleWorkspace] {
		for _, r := range g.Others {
			others[r.Kind]++
		}
	}
	for _, k := range []RefKind{OrgRef, GroupRef, ContactRef} {
		require.Positive(t, others[k], k)
	}
	holders, units := map[RefKind]int{}, 0
	for _, r := range s.Roles[GoogleWorkspace] {
		if holders[r.Holder.Kind]++; r.ScopeN > 0 {
			units++
		}
	}
	require.Positive(t, units)
	for _, k := range []RefKind{AccountRef, GroupRef, IntegrationRef} {
		require.Positive(t, holders[k], k)
	}

	end := o.Now.Add(40 * 24 * time.Hour)
	w.Advance(end)
	for at := o.Now; at.Before(end); {
		at = at.Add(7 * time.Hour)
		if at.After(end) {
			at = end
		}
		steps.Advance(at)
	}
	a, b := w.s.Events[GoogleWorkspace], steps.s.Events[GoogleWorkspace]
	require.Len(t, b, len(a))
	verbs, apps := map[Verb]int{}, map[string]int{}
	for i := range a {
		require.Equal(t, *a[i], *b[i])
		if verbs[a[i].Verb]++; a[i].Report != nil {
			apps[a[i].Report.App]++
		}
	}
	for _, v := range []Verb{
		SignIn, SignOut, AccountCreate, AccountRemove, AccountUpdate, AccountDelete, AccountSuspend, AccountUnsuspend, AccountArchive, AccountUnarchive, GroupAddMember, GroupRemoveMember, GroupCreate, GroupUpdate,
		RoleGrantVerb, RoleRevokeVerb, GrantIssue, GrantRevoke, PasswordReset, PasswordChange, PasswordForce, MFAEnroll, OrgUnitMove, SessionsClear, PolicyUpdate, ThreatDetected, Reported,
	} {
		require.Positive(t, verbs[v], v)
	}
	for _, app := range []string{"token", "calendar", "chat", "meet", "saml", "groups", "takeout", "context_aware_access", "rules"} {
		require.Positive(t, apps[app], app)
	}
}
