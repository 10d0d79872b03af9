package org

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What GitHub's API does leaves a world that holds, and lives on.
func TestGitHubActs(t *testing.T) {
	t.Parallel()
	w := New(options(100))
	at := now
	step := func(fn func(s *State, x *Act)) {
		at = at.Add(time.Hour)
		w.Advance(at)
		w.Change(func(s *State) {
			fn(s, &Act{At: s.Now, Actor: acct(s.Accounts[GitHub][0]), Client: &s.People[0].Home})
		})
		w.View(func(s *State) { check(t, s) })
	}
	member := func(s *State) *Account {
		for _, a := range s.Accounts[GitHub] {
			if live(a) && !a.Outside && !a.Owner && a.N > 8 && s.People[a.Person].Left.IsZero() {
				return a
			}
		}
		return nil
	}
	var a *Account
	step(func(s *State, x *Act) {
		a = member(s)
		s.Remove(GitHub, x, a)
	})
	step(func(s *State, x *Act) { s.Invite(x, a, true) })
	require.Equal(t, Invited, a.Status)
	step(func(s *State, x *Act) { s.CancelInvite(x, a) })
	step(func(s *State, x *Act) { s.Block(x, a) })
	step(func(s *State, x *Act) { s.Unblock(x, a) })
	step(func(s *State, x *Act) { s.Readmit(x, a, false) })
	require.True(t, live(a))
	step(func(s *State, x *Act) {
		for _, g := range s.Groups[GitHub][:3] {
			s.AddMember(GitHub, x, g, a, "member")
			s.SetTeamRole(x, g, a, "maintainer")
		}
	})
	step(func(s *State, x *Act) { s.Convert(x, a) })
	require.True(t, a.Outside)
	step(func(s *State, x *Act) { s.Invite(x, a, true) })
	require.True(t, a.Outside && !a.Owner, "until they accept")
	step(func(s *State, x *Act) { s.Block(x, a) })
	require.False(t, here(a))
	step(func(s *State, x *Act) {
		for _, r := range s.Repos {
			if len(r.Keys) > 0 && len(r.Access) > 0 && r.Gone.IsZero() {
				s.RemoveKey(x, r, r.Keys[0].N)
				s.SetAccess(x, r, r.Access[0].Holder, "admin")
				s.Archive(x, r)
				s.Unarchive(x, r)
				s.Commit(x, r, Blob{Path: "a/new", Mode: "100644", Hash: "1", Text: "x", Size: 1})
				s.CommitDelete(x, r, "a/new")
			}
			for _, v := range r.Access {
				if v.Invited {
					s.CancelAccess(x, r, v.Holder)
					break
				}
			}
		}
		for i, q := range s.Requests {
			s.Decide(x, q, i == 0)
		}
	})
	at = at.Add(10 * day)
	w.Advance(at)
	w.View(func(s *State) { check(t, s) })
}

// What is to happen later happens at its time, in however many steps the time
// passes, and though life stands still.
func TestLater(t *testing.T) {
	t.Parallel()
	run := func(held bool, steps int) (times []time.Time, out string) {
		o := options(40)
		o.History = 2 * day
		w := New(o)
		if held {
			w.Freeze()
		}
		w.Change(func(s *State) {
			for _, d := range []time.Duration{0, 90 * time.Minute, 20 * time.Second} {
				s.Later(d, func(at time.Time) {
					require.Equal(t, s.Now, at)
					times = append(times, at)
					s.Unblock(&Act{At: at, Actor: Ref{Kind: SystemRef}, Client: &Client{}}, s.Accounts[GitHub][0])
				})
			}
		})
		for i := range steps {
			w.Advance(now.Add(3 * time.Hour * time.Duration(i+1) / time.Duration(steps)))
		}
		w.View(func(s *State) { checkEvents(t, s) })
		return times, print(w)
	}
	want := []time.Time{now, now.Add(20 * time.Second), now.Add(90 * time.Minute)}
	times, one := run(false, 1)
	require.Equal(t, want, times)
	times, many := run(false, 50)
	require.Equal(t, want, times)
	require.Equal(t, one, many)
	times, _ = run(true, 7)
	require.Equal(t, want, times)
}
