package org

import (
	"fmt"
	"hash/fnv"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// printDocs is all of Google Drive, in short.
func printDocs(w *World) (out string) {
	w.View(func(s *State) {
		h, d := fnv.New64a(), s.Docs
		fmt.Fprintf(h, "%v\n", d.Log)
		for _, c := range d.Corpora {
			fmt.Fprintf(h, "%+v\n", *c)
		}
		for i := range d.All {
			x := d.All[i]
			if x.Sharing != nil {
				fmt.Fprintf(h, "%+v\n", *x.Sharing)
			}
			x.Sharing, x.Lock = nil, nil
			fmt.Fprintf(h, "%s %+v %+v\n", d.Name(int32(i)), x, d.old[int32(i)])
		}
		for _, e := range worked(s) {
			fmt.Fprintf(h, "%d %s %s %s %+v %s %+v\n", e.N, e.At, e.Seen, e.Verb, e.Actor, e.Client.IP, *e.Doc)
		}
		out = fmt.Sprintf("%x: %d corpora, %d files, %d changes, %d events", h.Sum64(), len(d.Corpora), d.Files(), len(d.Log), len(worked(s)))
	})
	return out
}

// worked are the events about files.
func worked(s *State) (list []*Event) {
	for _, e := range s.Events[GoogleWorkspace] {
		if e.Doc != nil {
			list = append(list, e)
		}
	}
	return list
}

func TestDocsAreTheSame(t *testing.T) {
	t.Parallel()
	for _, log := range []Log{{}, {Late: 0.2, LateMax: 5 * time.Hour, OutOfOrder: 0.2, Duplicates: 0.1, Equal: 0.3}} {
		o := options(60)
		o.History, o.Log = 2*day, log
		one, many := New(o), New(o)
		const span = 40 * day // what is in the trash is purged
		one.Advance(now.Add(span))
		for i := range 300 {
			many.Advance(now.Add(span * time.Duration(i+1) / 300))
		}
		require.Equal(t, printDocs(one), printDocs(many))
		t.Log(printDocs(one))
	}
	o := options(60)
	o.Seed = 2
	require.NotEqual(t, printDocs(New(options(60))), printDocs(New(o)))
}

// What is kept at Google changes nothing elsewhere.
func TestDocsChangeNothingElse(t *testing.T) {
	t.Parallel()
	o := options(60)
	a := New(o)
	o.Files = 5000
	b := New(o)
	require.Equal(t, print(a), print(b))
	require.NotEqual(t, printDocs(a), printDocs(b))
	b.View(func(s *State) { require.InDelta(t, 5000, s.Docs.Files(), 1000) })
}

// sound requires that indexes and docs agree.
func sound(t *testing.T, s *State) {
	t.Helper()
	d := s.Docs
	in, owned := 0, 0
	for _, c := range d.Corpora {
		require.True(t, slices.IsSorted(c.Docs))
		require.Equal(t, int32(-1), d.All[c.Root].Parent)
		for _, n := range c.Docs {
			x := &d.All[n]
			require.Equal(t, int32(c.N), x.Corpus)
			require.False(t, x.Gone)
			require.Equal(t, c.Shared(), x.Owner < 0)
			require.Equal(t, FolderDoc, d.All[x.Parent].Kind)
			require.True(t, d.Below(n, c.Root))
			require.False(t, d.All[x.Parent].Gone)
			if x.Owner >= 0 {
				require.Contains(t, d.Owned(int(x.Owner)), n)
			}
		}
		in += len(c.Docs)
	}
	for _, list := range d.owned {
		require.True(t, slices.IsSorted(list))
		owned += len(list)
	}
	gone, shared := 0, 0
	for i := range d.All {
		switch x := &d.All[i]; {
		case x.Gone:
			gone++
		case x.Owner < 0 && x.Parent >= 0:
			shared++
		}
	}
	require.Equal(t, len(d.All), in+gone+len(d.Corpora))
	require.Equal(t, in, owned+shared)
}

func TestDocsKinds(t *testing.T) {
	t.Parallel()
	o := options(5)
	o.History = 10 * day
	New(o).View(func(s *State) {
		seen := map[Verb]int{}
		for _, e := range worked(s) {
			seen[e.Verb]++
		}
		for _, v := range DocVerbs {
			require.Positive(t, seen[v], "%s in the smallest organization", v)
		}
		sound(t, s)
	})
	o = options(100)
	o.History = 40 * day
	New(o).View(func(s *State) {
		sound(t, s)
		d := s.Docs
		n := map[string]int{}
		for i := range d.All {
			x := &d.All[i]
			if x.Gone {
				n["gone"]++
				continue
			}
			n[s.Visibility(int32(i))]++
			if x.Trashed != 0 {
				n["trashed"]++
			}
			if x.Lock != nil {
				n["locked"]++
			}
			if x.Kind == ShortcutDoc {
				n["shortcut"]++
			}
			if x.Owner >= 0 && x.Parent >= 0 && d.All[x.Parent].Owner != x.Owner {
				n["in another's folder"]++
			}
			if sh := x.Sharing; sh != nil {
				if sh.Closed {
					n["closed"]++
				}
				for _, g := range sh.Grants {
					if g.Account >= 0 && !here(s.Accounts[GoogleWorkspace][g.Account]) {
						n["deleted grantee"]++
					}
					if g.Expires != 0 {
						n["expiring"]++
					}
				}
			}
		}
		for _, c := range d.Corpora {
			if c.Shared() && d.All[c.Root].Sharing == nil {
				n["nobody"]++
			}
		}
		for _, v := range append(visibilities, "trashed", "gone", "locked", "shortcut", "in another's folder", "closed", "deleted grantee", "expiring", "nobody") {
			require.Positive(t, n[v], v)
		}
		t.Log(n)
	})
}

func TestDocsOperations(t *testing.T) {
	t.Parallel()
	w := New(Options{Name: "acme", Seed: 1, People: 20, Now: now, EventsPerDay: -1})
	w.Change(func(s *State) {
		d, users := s.Docs, s.docUsers()
		a, b, c := users[0], users[1], users[2]
		act := func(n int) *Act { return &Act{At: s.Now, Actor: Ref{Kind: AccountRef, N: n}, Client: &Client{}} }
		x := act(a)
		outer := s.NewDoc(x, d.Mine(a).Root, "outer", Doc{Kind: FolderDoc}, nil)
		inner := s.NewDoc(x, outer, "inner", Doc{Kind: FolderDoc}, nil)
		file := s.NewDoc(x, inner, "plan.txt", Doc{Kind: BlobDoc, Type: 4}, []byte("one"))
		require.Equal(t, "outer/inner/plan.txt", d.Path(file))
		role := func(account int, n int32) string { r, _ := s.DocRole(account, n); return r }

		s.GrantDoc(x, outer, toUser(b, "commenter"))
		require.Equal(t, "commenter", role(b, file))
		at := len(d.Log)
		s.CloseDoc(x, inner, true)
		require.Empty(t, role(b, file))
		require.Equal(t, "commenter", role(b, outer))
		require.Equal(t, []DocChange{{s.Now.UnixMilli(), inner, 0}, {s.Now.UnixMilli(), inner, int32(b) + 1}}, d.Log[at:], "what is in it has no entry")
		require.True(t, d.LostLast(at+1))
		s.CloseDoc(x, inner, false)

		s.OwnDoc(x, file, b, false)
		require.Equal(t, []string{"owner", "writer"}, []string{role(b, file), role(a, file)})
		require.Equal(t, d.Mine(a).N, int(d.All[file].Corpus))
		s.OwnDoc(act(b), file, c, true)
		require.Equal(t, d.Mine(c).Root, d.All[file].Parent)
		require.Equal(t, "writer", role(b, file))

		s.TrashDoc(x, outer)
		require.True(t, d.InTrash(inner))
		s.UntrashDoc(x, outer)
		require.False(t, d.InTrash(inner))

		var drive *Corpus
		for _, k := range d.Corpora {
			if k.Shared() {
				drive = k
			}
		}
		s.GrantDoc(x, drive.Root, toUser(a, "organizer"))
		s.MoveDoc(x, outer, drive.Root)
		require.Equal(t, int32(-1), d.All[inner].Owner)
		sound(t, s)
		s.EditDoc(act(c), file, 3, []byte("two"), 4, false)
		require.Len(t, s.Revisions(file), 2)
		folder := s.HandOver(x, c, b, true, true)
		require.Equal(t, "owner", role(b, file))
		require.Equal(t, folder, d.All[file].Parent)
		s.TrashDoc(x, outer)
		sound(t, s)
	})
	w.Advance(now.Add(TrashKept + time.Hour))
	w.View(func(s *State) {
		sound(t, s)
		require.True(t, slices.ContainsFunc(s.Docs.All, func(x Doc) bool { return x.name == "inner" && x.Gone }), "purged")
	})
}

// Half a million files in thousands of drives do not weigh much.
func TestManyDocs(t *testing.T) {
	var before, after runtime.MemStats
	o := Options{Name: "acme", Seed: 1, People: 50, Now: now, EventsPerDay: -1}
	w := New(o)
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	w.Change(func(s *State) {
		b := &builder{State: s, rand: source(o, "docs"), people: 50}
		b.makeDocs(500_000)
	})
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	w.View(func(s *State) {
		require.InDelta(t, 500_000, s.Docs.Files(), 1000)
		shared := 0
		for _, c := range s.Docs.Corpora {
			if c.Shared() {
				shared++
			}
		}
		require.Equal(t, 5000, shared)
	})
	megabytes := (after.HeapAlloc - before.HeapAlloc) >> 20
	t.Logf("%d MB, %s", megabytes, took)
	require.Less(t, megabytes, uint64(120))
}
