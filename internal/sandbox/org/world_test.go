package org

import (
	"fmt"
	"hash/fnv"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var now = time.Date(2026, 9, 1, 12, 0, 0, 0, time.UTC)

const day = 24 * time.Hour

func options(people int) Options {
	return Options{Name: "acme", Seed: 1, People: people, Now: now, History: 14 * day, EventsPerDay: 4}
}

// print is all of a state, in short.
func print(w *World) (out string) {
	w.View(func(s *State) {
		h := fnv.New64a()
		for _, p := range s.People {
			fmt.Fprintf(h, "%+v\n", *p)
		}
		for _, app := range []string{Okta, GitHub} {
			for _, v := range s.Accounts[app] {
				fmt.Fprintf(h, "%+v\n", *v)
			}
			for _, v := range s.Groups[app] {
				fmt.Fprintf(h, "%+v\n", *v)
			}
			for _, v := range s.Roles[app] {
				fmt.Fprintf(h, "%+v\n", *v)
			}
			for _, v := range s.Integrations[app] {
				fmt.Fprintf(h, "%+v\n", *v)
			}
			for _, v := range s.Grants[app] {
				fmt.Fprintf(h, "%+v\n", *v)
			}
			for _, v := range s.Events[app] {
				e := *v
				c := *e.Client
				e.Client = nil
				fmt.Fprintf(h, "%+v %+v\n", e, c)
			}
			for _, v := range s.Timeline[app] {
				fmt.Fprintf(h, "%d ", v.N)
			}
		}
		for _, v := range s.Repos {
			fmt.Fprintf(h, "%+v\n", *v)
		}
		for _, v := range s.Cloud.Users {
			u := *v
			u.Login = nil
			fmt.Fprintf(h, "%+v %v\n", u, v.Login != nil && v.Login.Reset)
		}
		for _, b := range s.Cloud.Buckets {
			for _, o := range b.Objects {
				for _, v := range o.Versions {
					fmt.Fprintf(h, "%s %s %+v\n", b.Name, o.Key, *v)
				}
			}
		}
		for _, e := range s.Events[AWS] {
			fmt.Fprintf(h, "%d %s %s %+v\n", e.N, e.At, e.Seen, *e.Call)
		}
		out = fmt.Sprintf("%x at %s: %d people, %d and %d events", h.Sum64(), s.Now, len(s.People), len(s.Events[Okta]), len(s.Events[GitHub]))
	})
	return out
}

func TestSameSeedSameWorld(t *testing.T) {
	t.Parallel()
	a := print(New(options(100)))
	require.Equal(t, a, print(New(options(100))))
	o := options(100)
	o.Seed = 2
	require.NotEqual(t, a, print(New(o)))
	o = options(100)
	o.Name = "beta"
	require.NotEqual(t, a, print(New(o)))
}

func TestOneStepIsManySteps(t *testing.T) {
	t.Parallel()
	for _, log := range []Log{{}, {Late: 0.2, LateMax: 5 * time.Hour, OutOfOrder: 0.2, Duplicates: 0.1, Equal: 0.3}} {
		o := options(60)
		o.History, o.Log = 2*day, log
		one, many := New(o), New(o)
		const span = 10 * day
		one.Advance(now.Add(span))
		for i := range 1000 {
			at := now.Add(span * time.Duration(i+1) / 1000)
			many.Advance(at)
			many.Advance(at.Add(-time.Hour)) // the past is no step
		}
		require.Equal(t, print(one), print(many))
		// A longer history is the same as having lived.
		o.Now, o.History = now.Add(span), 2*day+span
		require.Equal(t, print(New(o)), print(many))
	}
}

// The log's lateness changes nothing in what happens.
func TestLogChangesNothing(t *testing.T) {
	t.Parallel()
	o := options(60)
	late := o
	late.Log = Log{Late: 0.3, LateMax: 3 * time.Hour, OutOfOrder: 0.3, Duplicates: 0.2}
	a, b := New(o), New(late)
	at := now.Add(day)
	a.Advance(at)
	b.Advance(at)
	a.View(func(s *State) {
		b.View(func(l *State) {
			for _, app := range []string{Okta, GitHub} {
				seen := map[int]time.Time{}
				for _, e := range l.Events[app] {
					if !e.Again {
						seen[e.N] = e.At
					}
				}
				missing := 0
				for _, e := range s.Events[app] {
					if at, ok := seen[e.N]; ok {
						require.Equal(t, e.At, at)
					} else {
						missing++
						require.WithinDuration(t, s.Now, e.At, 3*time.Hour, "an event is seen when its lateness is over")
					}
				}
				require.Equal(t, len(s.Events[app]), len(seen)+missing)
			}
			require.Equal(t, len(s.Grants[Okta]), len(l.Grants[Okta]))
			require.Equal(t, len(s.People), len(l.People))
		})
	})
}

func TestSeen(t *testing.T) {
	t.Parallel()
	o := options(200)
	o.Log = Log{Late: 0.1, LateMax: 2 * time.Hour, OutOfOrder: 0.1, Duplicates: 0.05, Equal: 0.3}
	w := New(o)
	w.View(func(s *State) {
		for _, app := range []string{Okta, GitHub} {
			late, again, equal, backwards := 0, 0, 0, 0
			first := map[int]bool{}
			for i, e := range s.Events[app] {
				require.False(t, e.Seen.Before(e.At))
				require.False(t, e.Seen.After(s.Now))
				if i > 0 {
					last := s.Events[app][i-1]
					require.False(t, e.Seen.Before(last.Seen), "events stand in the order in which they were seen")
					if e.At.Before(last.At) {
						backwards++
					}
					if e.At.Equal(last.At) {
						equal++
					}
				}
				if e.Again {
					again++
					require.True(t, first[e.N], "a repetition comes after the event")
					continue
				}
				require.False(t, first[e.N], "an id is given once")
				first[e.N] = true
				if e.Seen.Sub(e.At) > time.Minute {
					late++
				}
			}
			n := float64(len(first))
			require.Equal(t, len(first), len(s.Timeline[app]))
			require.True(t, slices.IsSortedFunc(s.Timeline[app], func(a, b *Event) int { return a.At.Compare(b.At) }))
			require.InDelta(t, 0.1, float64(late)/n, 0.04)
			require.InDelta(t, 0.05, float64(again)/n, 0.02)
			require.Greater(t, float64(equal)/n, 0.02)
			require.Greater(t, backwards, len(first)/20)
			mid := s.Since.Add(7 * day)
			i := s.SeenSince(app, mid)
			require.True(t, !s.Events[app][i].Seen.Before(mid) && s.Events[app][i-1].Seen.Before(mid))
			i = s.HappenedSince(app, mid)
			require.True(t, !s.Timeline[app][i].At.Before(mid) && s.Timeline[app][i-1].At.Before(mid))
		}
	})
}

// What a world must be at any time, whatever has happened.
func check(t *testing.T, s *State) {
	t.Helper()
	emails := map[string]bool{}
	for i, p := range s.People {
		require.Equal(t, i, p.N)
		require.False(t, emails[p.Email], p.Email)
		emails[p.Email] = true
		require.Equal(t, strings.ToLower(p.Email), p.Email)
		require.False(t, p.Joined.Before(s.Born) || p.Joined.After(s.Now))
		up := p
		for n := 0; up.Manager >= 0; n++ {
			require.Less(t, n, 40, "managers form a tree")
			up = s.People[up.Manager]
		}
	}
	for _, app := range []string{Okta, GitHub} {
		logins := map[string]bool{}
		for i, a := range s.Accounts[app] {
			require.Equal(t, i, a.N)
			require.False(t, logins[a.Login], a.Login)
			logins[a.Login] = true
			for name, at := range map[string]time.Time{"created": a.Created, "activated": a.Activated, "changed": a.StatusChanged, "modified": a.Modified, "login": a.LastLogin, "password": a.PasswordChanged, "gone": a.Gone} {
				require.False(t, at.After(s.Now), "%s: %s", name, at)
				require.True(t, at.IsZero() || !at.Before(s.Born), "%s %s: %s", a.Login, name, at)
			}
			p := s.People[a.Person]
			require.Same(t, a, s.AccountOf(app, p.N))
			if !p.Left.IsZero() && app == Okta {
				require.Equal(t, Deprovisioned, a.Status, "leavers cannot sign in")
			}
			if !p.Left.IsZero() && app == GitHub && s.Now.Sub(p.Left) > 4*day {
				require.False(t, a.Gone.IsZero(), "leavers are no members any more")
			}
		}
		usable := func(n int, in string) *Account {
			a := s.Accounts[app][n]
			require.True(t, a.Gone.IsZero(), "%s: account %d is gone", in, n)
			require.NotEqual(t, Deprovisioned, a.Status, in)
			return a
		}
		names := map[string]bool{}
		for i, g := range s.Groups[app] {
			require.Equal(t, i, g.N)
			require.False(t, names[g.Slug], g.Slug)
			names[g.Slug] = true
			require.False(t, !g.Gone.IsZero() && len(g.Members) > 0)
			members := map[Member]bool{}
			for _, m := range g.Members {
				a := usable(m.Account, g.Name)
				require.False(t, a.Outside)
				require.False(t, m.Since.Before(g.Created) || m.Since.After(g.MembersModified), "%s %s: %s %s %s", app, g.Name, g.Created, m.Since, g.MembersModified)
				m.Since = time.Time{}
				require.False(t, members[m])
				members[m] = true
			}
			if g.Parent >= 0 && g.Gone.IsZero() {
				require.True(t, s.Groups[app][g.Parent].Gone.IsZero())
				require.NotEqual(t, "secret", g.Kind)
			}
		}
		for i, r := range s.Roles[app] {
			require.Equal(t, i, r.N)
			if !r.Gone.IsZero() {
				continue
			}
			switch r.Holder.Kind {
			case AccountRef:
				usable(r.Holder.N, r.Role)
			case GroupRef:
				require.True(t, s.Groups[app][r.Holder.N].Gone.IsZero())
			default:
				require.True(t, s.Integrations[app][r.Holder.N].Gone.IsZero())
			}
		}
		for i, g := range s.Grants[app] {
			require.Equal(t, i, g.N)
			require.False(t, g.Created.After(s.Now) || g.LastUsed.After(s.Now) || g.Created.Before(s.Born))
			require.True(t, g.LastUsed.IsZero() || !g.LastUsed.Before(g.Created), "%+v", g)
			require.True(t, g.Expires.IsZero() || !g.LastUsed.After(g.Expires), "%+v", g)
			if !g.Gone.IsZero() {
				continue
			}
			if g.Account >= 0 {
				usable(g.Account, g.Kind)
			}
			if g.Integration >= 0 {
				require.True(t, s.Integrations[app][g.Integration].Gone.IsZero())
			}
		}
	}
	names := map[string]bool{}
	keys := map[int]bool{}
	for _, r := range s.Repos {
		require.False(t, names[r.Name], r.Name)
		names[r.Name] = true
		require.True(t, slices.IsSortedFunc(r.Files, func(a, b Blob) int { return strings.Compare(a.Path, b.Path) }))
		require.False(t, r.Pushed.IsZero() && len(r.Files) > 0)
		for _, a := range r.Access {
			if a.Holder.Kind == GroupRef {
				require.True(t, s.Groups[GitHub][a.Holder.N].Gone.IsZero())
				continue
			}
			require.True(t, s.Accounts[GitHub][a.Holder.N].Gone.IsZero())
			require.Equal(t, s.Accounts[GitHub][a.Holder.N].Outside, a.Outside)
		}
		for _, k := range r.Keys {
			require.False(t, keys[k.N])
			keys[k.N] = true
		}
	}
	checkEvents(t, s)
}

// Every reference of an event names an entity that was there when it happened.
func checkEvents(t *testing.T, s *State) {
	t.Helper()
	for _, app := range []string{Okta, GitHub} {
		for _, e := range s.Timeline[app] {
			require.NotNil(t, e.Client)
			require.False(t, e.At.Before(s.Since) || e.At.After(s.Now))
			for _, r := range append([]Ref{e.Actor, e.Via}, e.Targets...) {
				var created, gone time.Time
				switch r.Kind {
				case AccountRef:
					a := s.Accounts[app][r.N]
					created, gone = a.Created, a.Gone
				case GroupRef:
					g := s.Groups[app][r.N]
					created, gone = g.Created, g.Gone
				case RoleRef:
					g := s.Roles[app][r.N]
					created, gone = g.Assigned, g.Gone
				case IntegrationRef:
					g := s.Integrations[app][r.N]
					created, gone = g.Created, g.Gone
				case GrantRef:
					g := s.Grants[app][r.N]
					created, gone = g.Created, g.Gone
				case RepoRef, KeyRef:
					g := s.Repos[r.N]
					created, gone = g.Created, g.Gone
				default:
					continue
				}
				require.False(t, e.At.Before(created), "%s %+v is older than its %+v of %s", app, e, r, created)
				blocked := e.Verb == MemberBlock || e.Verb == MemberUnblock // of whoever is no member
				require.False(t, !blocked && !gone.IsZero() && e.At.After(gone), "%s %+v is younger than its %+v, gone since %s", app, e, r, gone)
			}
		}
	}
}

func TestConsistent(t *testing.T) {
	t.Parallel()
	for n, seeds := range map[int]uint64{1: 4, 2: 4, 5: 4, 20: 4, 100: 1} {
		for seed := range seeds {
			o := options(n)
			o.Seed, o.History, o.EventsPerDay = seed, 30*day, 2
			w := New(o)
			w.View(func(s *State) { check(t, s) })
			for i := range 3 {
				w.Advance(now.Add(time.Duration(i+1) * 60 * day))
				w.View(func(s *State) { check(t, s) })
			}
		}
	}
}

// Everything there is to find is there, even in a small organization.
func TestEverythingHappens(t *testing.T) {
	t.Parallel()
	o := options(200)
	o.History = 180 * day
	w := New(o)
	w.View(func(s *State) {
		verbs := map[string]int{}
		for app, line := range s.Timeline {
			for _, e := range line {
				verbs[app+" "+string(e.Verb)]++
			}
		}
		for _, v := range []Verb{
			SignIn, AccountCreate, AccountActivate, AccountUpdate, AccountSuspend, AccountUnsuspend, AccountRemove, AccountDelete, GroupCreate, GroupUpdate, GroupDelete,
			GroupAddMember, GroupRemoveMember, RoleGrantVerb, RoleRevokeVerb, IntegrationAdd, IntegrationUpdate, IntegrationSuspend, IntegrationRemove, GrantIssue, GrantRevoke,
			SignOut, SSO, MFAVerify, MFAEnroll, PasswordChange, PasswordReset, AccountLock, AccountUnlock, AppAssign, AppUnassign, PolicyUpdate, ThreatDetected,
		} {
			require.NotZero(t, verbs["okta "+string(v)], v)
		}
		for _, v := range []Verb{
			SignIn, MemberInvite, AccountActivate, AccountRemove, MemberRole, GroupCreate, GroupAddMember, GroupRemoveMember, RepoCreate, RepoDelete, RepoVisibility, RepoArchive,
			RepoAddAccess, RepoRemoveAccess, RepoDownload, BranchProtection, KeyAdd, HookCreate, GitClone, GitFetch, GitPush, PullRequestMerge, GrantIssue, GrantRevoke, IntegrationAdd,
		} {
			require.NotZero(t, verbs["github "+string(v)], v)
		}
	})
	o = options(50)
	o.History = 0
	w = New(o)
	w.View(func(s *State) {
		statuses := map[Status]int{}
		noMFA := 0
		for _, a := range s.Accounts[Okta] {
			statuses[a.Status]++
			if a.Status == Active && len(a.Factors) == 0 && !s.People[a.Person].Service {
				noMFA++
			}
		}
		for _, st := range []Status{Active, Invited, Provisioned, Suspended, PasswordExpired, Deprovisioned} {
			require.NotZero(t, statuses[st], st)
		}
		require.NotZero(t, noMFA)
		holders := map[RefKind]int{}
		custom := 0
		for _, r := range s.Roles[Okta] {
			holders[r.Holder.Kind]++
			if r.RoleN >= 0 {
				custom++
			}
		}
		require.True(t, holders[AccountRef] >= 2 && holders[GroupRef] > 0 && holders[IntegrationRef] > 0 && custom > 0)
		kinds := map[string]int{}
		for _, g := range slices.Concat(s.Grants[Okta], s.Grants[GitHub]) {
			kinds[g.Kind]++
			if g.LastUsed.IsZero() {
				kinds["unused"]++
			}
			if !g.Expires.IsZero() && g.Expires.Before(s.Now) {
				kinds["expired"]++
			}
		}
		for _, k := range []string{GrantAPIToken, GrantConsent, GrantRefresh, GrantScope, GrantPAT, GrantCredential, "unused", "expired"} {
			require.NotZero(t, kinds[k], k)
		}
		modes := map[string]int{}
		for _, r := range s.Repos {
			modes[r.Visibility]++
			for _, a := range r.Access {
				if a.Outside {
					modes["outside"]++
				}
			}
			modes["keys"] += len(r.Keys)
			for _, f := range r.Files {
				modes[f.Mode]++
				require.Len(t, f.Hash, 40)
			}
		}
		for _, k := range []string{"public", "private", "outside", "keys", "100644", "100755", "120000", "160000"} {
			require.NotZero(t, modes[k], k)
		}
	})
}

func TestRate(t *testing.T) {
	t.Parallel()
	for _, want := range []float64{2, 8, 20} {
		o := options(400)
		o.History, o.EventsPerDay = 28*day, want
		New(o).View(func(s *State) {
			got := float64(len(s.Timeline[Okta])+len(s.Timeline[GitHub])) / 400 / 20
			t.Logf("%.0f wanted, %.2f made", want, got)
			require.InDelta(t, want, got, 0.2*want+1)
			require.Greater(t, len(s.Timeline[GitHub]), len(s.Timeline[Okta])/8)
		})
	}
	o := options(20)
	o.EventsPerDay = -1
	w := New(o)
	w.Advance(now.Add(30 * day))
	w.View(func(s *State) { require.Empty(t, s.Timeline[Okta]) })
}

func TestWorkingHours(t *testing.T) {
	t.Parallel()
	New(options(400)).View(func(s *State) {
		weekend := 0
		for _, e := range s.Timeline[GitHub] {
			if d := e.At.Weekday(); d == time.Sunday {
				weekend++
			}
		}
		require.Less(t, weekend, len(s.Timeline[GitHub])/10)
	})
}

func TestScale(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	start := time.Now()
	o := options(20_000)
	o.History, o.EventsPerDay = 7*day, 0.5
	w := New(o)
	took := time.Since(start)
	runtime.GC()
	runtime.ReadMemStats(&after)
	w.View(func(s *State) {
		n := len(s.Events[Okta]) + len(s.Events[GitHub])
		t.Logf("%d people, %d groups, %d repositories, %d events in %s, %d MiB", len(s.People), len(s.Groups[Okta]), len(s.Repos), n, took, (after.HeapAlloc-before.HeapAlloc)>>20)
		require.Greater(t, len(s.People), 20_000)
		require.InDelta(t, 20_000/12+8, len(s.Groups[Okta]), 400)
	})
	require.Less(t, took, time.Minute, "a few seconds, but on a busy machine under the race detector")
	runtime.KeepAlive(w)
}

func BenchmarkLife(b *testing.B) {
	o := options(2000)
	o.History, o.EventsPerDay = 0, 20
	w := New(o)
	at, n := now, 0
	w.View(func(s *State) { n = -len(s.Timeline[Okta]) - len(s.Timeline[GitHub]) })
	b.ReportAllocs()
	for b.Loop() {
		at = at.Add(time.Hour)
		w.Advance(at)
	}
	w.View(func(s *State) { n += len(s.Timeline[Okta]) + len(s.Timeline[GitHub]) })
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}

// TestFrozen has nothing end while life stands still, as nothing begins then:
// what is true stays so, however long a test looks.
func TestFrozen(t *testing.T) {
	w := New(options(5))
	var at time.Time
	w.View(func(s *State) { at = s.Now })
	over := func(at time.Time) (yes bool) {
		w.View(func(s *State) { yes = s.Over(at) })
		return yes
	}
	soon := at.Add(time.Hour)
	w.Freeze()
	w.Advance(at.Add(24 * time.Hour))
	require.False(t, over(soon))
	require.True(t, over(at))
	w.Freeze() // once more: it has stood still since the first time
	require.False(t, over(soon))
	w.Thaw()
	require.True(t, over(soon))
}
