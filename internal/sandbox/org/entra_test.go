package org

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The directory of Microsoft 365 has what is easily forgotten, follows who comes
// and who leaves, and lives the same in one step as in many.
func TestEntra(t *testing.T) {
	t.Parallel()
	o := Options{Name: "acme", Seed: 5, People: 60, Now: time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC), History: 48 * time.Hour}
	w, steps := New(o), New(o)
	end := o.Now.Add(40 * 24 * time.Hour)
	w.Advance(end)
	for at := o.Now; at.Before(end); {
		at = at.Add(7 * time.Hour)
		if at.After(end) {
			at = end
		}
		steps.Advance(at)
	}
	a, b := w.s.Events[Microsoft365], steps.s.Events[Microsoft365]
	require.Len(t, b, len(a))
	for i := range a {
		require.Equal(t, *a[i], *b[i])
	}

	verbs := map[Verb]int{}
	for _, e := range a {
		verbs[e.Verb]++
	}
	for _, v := range []Verb{
		SignIn, TokenRefresh, AppSignIn, AccountCreate, AccountRemove, AccountUpdate, AccountDelete, AccountSuspend, AccountUnsuspend, GroupAddMember, GroupRemoveMember, GroupCreate, GroupUpdate,
		RoleGrantVerb, GrantIssue, GrantRevoke, IntegrationAdd, IntegrationUpdate, PasswordReset, PasswordChange, PolicyUpdate,
	} {
		require.Positive(t, verbs[v], v)
	}
	s := &w.s
	for _, p := range s.People {
		m := s.AccountOf(Microsoft365, p.N)
		if m == nil || !here(m) {
			continue
		}
		if !p.Left.IsZero() && end.Sub(p.Left) > syncEvery && end.Sub(p.Left) < DeletedKept {
			require.Equal(t, Deprovisioned, m.Status, p.Email)
		}
	}
	statuses, synced, groups := map[Status]int{}, 0, map[string]int{}
	for _, m := range s.Accounts[Microsoft365] {
		statuses[m.Status]++
		if m.Synced {
			synced++
		}
	}
	for _, g := range s.Groups[Microsoft365] {
		groups[g.Kind]++
		require.Equal(t, g.Kind == Unified, hasSite(g))
		if g.Rule != "" {
			groups["dynamic"]++
		}
		for _, o := range g.Others {
			groups[string(o.Kind)]++
		}
		for _, m := range g.Members {
			require.NotEqual(t, Deprovisioned, s.Accounts[Microsoft365][m.Account].Status, "who was deleted is in no group")
		}
	}
	for _, st := range []Status{Active, Suspended, Invited, Deprovisioned} {
		require.Positive(t, statuses[st], st)
	}
	require.Positive(t, synced)
	for _, k := range []string{Unified, Security, MailSecurity, Distribution, "dynamic", "group", "integration", "device", "contact"} {
		require.Positive(t, groups[k], k)
	}
}
