package org

import (
	"fmt"
	"hash/fnv"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// printOffice is all of the office, in short.
func printOffice(w *World) (out string) {
	w.View(func(s *State) {
		h := fnv.New64a()
		for _, d := range s.Office.Drives {
			fmt.Fprintf(h, "%d %s %v\n", d.N, d.Name, d.Log)
			for i := range d.Items {
				item := d.Items[i]
				if item.Sharing != nil {
					fmt.Fprintf(h, "%+v\n", *item.Sharing)
					item.Sharing = nil
				}
				fmt.Fprintf(h, "%+v\n", item)
			}
		}
		for _, e := range s.Events[OfficeLog] {
			fmt.Fprintf(h, "%d %s %s %s %+v %s %+v\n", e.N, e.At, e.Seen, e.Verb, e.Actor, e.Client.IP, *e.Work)
		}
		out = fmt.Sprintf("%x: %d drives, %d files, %d events", h.Sum64(), len(s.Office.Drives), s.Office.Files(), len(s.Events[OfficeLog]))
	})
	return out
}

func TestOfficeIsTheSame(t *testing.T) {
	t.Parallel()
	for _, log := range []Log{{}, {Late: 0.2, LateMax: 5 * time.Hour, OutOfOrder: 0.2, Duplicates: 0.1, Equal: 0.3}} {
		o := options(60)
		o.History, o.Log = 2*day, log
		one, many := New(o), New(o)
		const span = 3 * day
		one.Advance(now.Add(span))
		for i := range 300 {
			many.Advance(now.Add(span * time.Duration(i+1) / 300))
		}
		require.Equal(t, printOffice(one), printOffice(many))
	}
	o := options(60)
	o.Seed = 2
	require.NotEqual(t, printOffice(New(options(60))), printOffice(New(o)))
}

// What the office is, and does, changes nothing elsewhere.
func TestOfficeChangesNothingElse(t *testing.T) {
	t.Parallel()
	o := options(60)
	a := New(o)
	o.Files = 5000
	b := New(o)
	require.Equal(t, print(a), print(b))
	require.NotEqual(t, printOffice(a), printOffice(b))
	b.View(func(s *State) { require.InDelta(t, 5000, s.Office.Files(), 300) })
}

func TestOfficeKinds(t *testing.T) {
	t.Parallel()
	New(options(5)).View(func(s *State) {
		seen := map[Verb]int{}
		for _, e := range s.Events[OfficeLog] {
			seen[e.Verb]++
		}
		for _, v := range OfficeVerbs {
			require.Positive(t, seen[v], "%s in the smallest organization", v)
		}
	})
	New(options(100)).View(func(s *State) {
		var unique, locked, personal, shared, trashed int
		for _, d := range s.Office.Drives {
			if d.Locked {
				locked++
			}
			if d.Owner >= 0 {
				personal++
				require.Equal(t, d.N, s.Office.DriveOf(d.Owner))
			}
			for i := range d.Items {
				item := &d.Items[i]
				require.Less(t, int(item.Parent), len(d.Items))
				if item.Trashed != 0 {
					trashed++
				} else if item.Parent >= 0 {
					require.Zero(t, d.Items[item.Parent].Trashed, "what is there is in a folder that is")
					require.True(t, d.Items[item.Parent].Folder)
				}
				if item.Sharing != nil && item.Parent >= 0 {
					shared++
					if item.Sharing.Unique {
						unique++
					}
				}
			}
			for at, n := range d.Log {
				require.LessOrEqual(t, at+1, int(d.Items[n].Changed))
			}
		}
		for name, n := range map[string]int{"unique": unique, "locked": locked, "personal": personal, "shared": shared, "trashed": trashed} {
			require.Positive(t, n, name)
		}
	})
}

func TestTrashTakesAll(t *testing.T) {
	t.Parallel()
	w := New(Options{Name: "acme", Seed: 1, People: 5, Now: now, EventsPerDay: -1})
	w.Change(func(s *State) {
		d := s.Office.Drives[0]
		x := &Act{At: s.Now, Actor: Ref{Kind: AccountRef}, Client: &Client{}}
		outer := s.Upload(x, d, 0, Item{Name: "outer", Folder: true})
		late := s.Upload(x, d, 0, Item{Name: "late.txt"})
		inner := s.Upload(x, d, outer, Item{Name: "inner", Folder: true})
		s.Move(x, d, late, inner)
		require.Equal(t, "outer/inner/late.txt", d.Path(late))
		require.True(t, d.Below(late, outer))
		s.Trash(x, d, outer)
		for _, n := range []int{outer, inner, late} {
			require.NotZero(t, d.Items[n].Trashed)
			require.Equal(t, int32(n), d.Log[d.Items[n].Changed-1])
		}
	})
}

// Half a million files are made at once and do not weigh much.
func TestManyFiles(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	w := New(Options{Name: "acme", Seed: 1, People: 50, Now: now, EventsPerDay: -1, Files: 500_000})
	took := time.Since(began)
	runtime.GC()
	runtime.ReadMemStats(&after)
	w.View(func(s *State) { require.InDelta(t, 500_000, s.Office.Files(), 1000) })
	megabytes := (after.HeapAlloc - before.HeapAlloc) >> 20
	t.Logf("%d MB, %s", megabytes, took)
	require.Less(t, megabytes, uint64(160))
}
