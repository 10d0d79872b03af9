package org

import "slices"

// The methods below are what apps do with files beside what people do.

// Verbs of apps that act on files. No life brings them about.
const (
	FileRestore      Verb = "file_restore"      // from the recycle bin
	FileCopy         Verb = "file_copy"         //
	InheritanceBreak Verb = "inheritance_break" // nothing is inherited any more
	InheritanceReset Verb = "inheritance_reset" // nothing is granted beside what is inherited
)

// by is how items name who made or changed them: accounts by their numbers, apps
// by -1 less theirs.
func (a *Act) by() int32 {
	if a.Actor.Kind == IntegrationRef {
		return int32(-1 - a.Actor.N)
	}
	return int32(a.Actor.N)
}

// By is who an item names as its maker.
func By(n int32) Ref {
	if n < 0 {
		return Ref{Kind: IntegrationRef, N: int(-1 - n)}
	}
	return Ref{Kind: AccountRef, N: int(n)}
}

// Binned is what was put into the recycle bin at once.
type Binned struct {
	Item     int     // the file, or the folder with all that was in it
	Items    []int32 // it and what was in it
	Folder   string  // where it was
	At       int64   // Unix seconds
	By       int32   // as of items
	Restored bool
}

// Content is what a file's content was before, or is. Hash "": it is made up.
type Content struct {
	N              int32
	Size, Modified int64
	By             int32
	Hash           string
}

// Current is a file's content now.
func (d *Drive) Current(n int) Content {
	i := &d.Items[n]
	return Content{N: i.Version, Size: i.Size, Modified: i.Modified, By: i.ModifiedBy, Hash: d.Hashes[n]}
}

// revise gives a file other content, and keeps what it was.
func (d *Drive) revise(n int, size int64, hash string) {
	if d.Old == nil {
		d.Old, d.Hashes = map[int][]Content{}, map[int]string{}
	}
	d.Old[n] = append(d.Old[n], d.Current(n))
	i := &d.Items[n]
	i.Size = size
	i.Version++
	if delete(d.Hashes, n); hash != "" {
		d.Hashes[n] = hash
	}
}

// Write gives a file content that the caller knows the hash of.
func (s *State) Write(x *Act, d *Drive, n int, size int64, hash string) {
	d.revise(n, size, hash)
	s.edited(x, d, n)
}

// Copy makes a copy of a file in a folder, of any drive, and returns its number.
func (s *State) Copy(x *Act, d *Drive, n int, to *Drive, parent int, name, hash string) int {
	i := d.Items[n]
	m := len(to.Items)
	at := x.At.Unix()
	to.Items = append(to.Items, Item{Name: name, Parent: int32(parent), Type: i.Type, Size: i.Size, Version: 1, Created: at, Modified: at, CreatedBy: x.by(), ModifiedBy: x.by()})
	if to.Hashes == nil {
		to.Old, to.Hashes = map[int][]Content{}, map[int]string{}
	}
	to.Hashes[m] = hash
	to.touched(m, false)
	w := s.WorkAt(d, n)
	w.NewPath, w.NewName = to.where(m)
	s.Worked(x, FileCopy, w)
	return m
}

// Recover takes what is in the recycle bin out again; false: the folder that it
// was in is not there.
func (s *State) Recover(x *Act, d *Drive, row int) bool {
	b := &d.Bin[row]
	if p := d.Items[b.Item].Parent; p >= 0 && d.Items[p].Trashed != 0 {
		return false
	}
	b.Restored = true
	for _, n := range b.Items {
		d.Items[n].Trashed = 0
		d.touched(int(n), false)
	}
	s.Worked(x, FileRestore, s.WorkAt(d, b.Item))
	return true
}

// BreakInheritance has an item inherit nothing any more. What it inherited it may
// keep as its own.
func (s *State) BreakInheritance(x *Act, d *Drive, n int, keep bool) {
	own := d.Items[n].share()
	if own.Unique {
		return
	}
	grants := slices.Clone(own.Grants)
	if keep {
		grants, _ = d.Effective(n)
	}
	d.Items[n].Sharing = &Sharing{Unique: true, Grants: grants}
	d.touched(n, true)
	s.Worked(x, InheritanceBreak, s.WorkAt(d, n))
}

// ResetInheritance ends all that an item grants beside what it inherits.
func (s *State) ResetInheritance(x *Act, d *Drive, n int) {
	d.Items[n].Sharing = nil
	d.touched(n, true)
	s.Worked(x, InheritanceReset, s.WorkAt(d, n))
}
