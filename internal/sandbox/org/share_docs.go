package org

import (
	"slices"
	"time"
)

// The methods below change who may do what with docs, and record the event that
// tells of it.

// Direct finds the grant that is written at a doc to whom another is; -1: none.
func (d *Docs) Direct(n int32, g *DocGrant) int {
	if sh := d.All[n].Sharing; sh != nil {
		return slices.IndexFunc(sh.Grants, func(o DocGrant) bool { return o.Same(g) })
	}
	return -1
}

func (d *Docs) share(n int32) *DocSharing {
	if d.All[n].Sharing == nil {
		d.All[n].Sharing = &DocSharing{}
	}
	return d.All[n].Sharing
}

// grant writes a grant at a doc, in the place of an older one to the same.
func (d *Docs) grant(n int32, g DocGrant) (old string) {
	sh := d.share(n)
	if i := d.Direct(n, &g); i >= 0 {
		old = sh.Grants[i].Role
		sh.Grants = slices.Clone(sh.Grants)
		sh.Grants[i] = g
		return old
	}
	sh.Grants = append(slices.Clone(sh.Grants), g)
	return ""
}

func accessVerb(g *DocGrant, shared bool) Verb {
	switch {
	case shared:
		return DriveMember
	case g.To == ToUser || g.To == ToGroup:
		return DocAccess
	}
	return DocVisibility
}

// GrantDoc lets somebody do something with a doc, or makes them a member of the
// shared drive whose root it is: or changes what they may.
func (s *State) GrantDoc(x *Act, n int32, g DocGrant) {
	d := s.Docs
	w := s.DocAt(n)
	before := s.Seers(n)
	w.OldRole = d.grant(n, g)
	w.Grantee, w.NewRole = g, g.Role
	d.changed(x, n)
	s.lostBy(x, n, before)
	s.Filed(x, accessVerb(&g, d.IsRoot(n)), w)
}

// RevokeDoc ends a grant that is written at a doc; false: there is none.
func (s *State) RevokeDoc(x *Act, n int32, g DocGrant) bool {
	d := s.Docs
	i := d.Direct(n, &g)
	if i < 0 {
		return false
	}
	w := s.DocAt(n)
	before := s.Seers(n)
	sh := d.All[n].Sharing
	w.Grantee, w.OldRole = sh.Grants[i], sh.Grants[i].Role
	if sh.Grants = slices.Delete(slices.Clone(sh.Grants), i, i+1); len(sh.Grants) == 0 && !sh.Closed {
		d.All[n].Sharing = nil
	}
	d.changed(x, n)
	s.lostBy(x, n, before)
	s.Filed(x, accessVerb(&g, d.IsRoot(n)), w)
	return true
}

// OwnDoc gives a doc to another owner; who owned it may still write. To their root
// it goes, or stays where it is. What is in a folder keeps its owners.
func (s *State) OwnDoc(x *Act, n int32, account int, toRoot bool) {
	w := s.DocAt(n)
	w.NewOwner = account
	s.ownDoc(x, n, account, toRoot)
	s.Filed(x, DocOwner, w)
}

func (s *State) ownDoc(x *Act, n int32, account int, toRoot bool) {
	d := s.Docs
	f := &d.All[n]
	old := f.Owner
	before := s.Seers(n)
	d.disown(n)
	f.Owner = int32(account)
	d.own(n, f.Owner)
	if i := d.Direct(n, &DocGrant{To: ToUser, Account: account, Group: -1}); i >= 0 {
		sh := d.share(n)
		sh.Grants = slices.Delete(slices.Clone(sh.Grants), i, i+1)
	}
	d.grant(n, DocGrant{To: ToUser, Account: int(old), Group: -1, Role: "writer"})
	if to := d.Mine(account); toRoot && to != nil {
		s.moveDoc(x, n, to.Root, f.Owner)
	} else {
		d.changed(x, n)
	}
	s.lostBy(x, n, before)
}

// CloseDoc has a folder inherit no permissions any more, or again.
func (s *State) CloseDoc(x *Act, n int32, on bool) {
	w := s.DocAt(n)
	before := s.Seers(n)
	s.Docs.share(n).Closed = on
	s.Docs.changed(x, n)
	s.lostBy(x, n, before)
	v := DocOpen
	if on {
		v = DocClose
	}
	s.Filed(x, v, w)
}

// LockDoc forbids things about a file's content; nil: nothing. No event tells.
func (s *State) LockDoc(x *Act, n int32, l *DocLock) {
	s.Docs.All[n].Lock = l
	s.Docs.changed(x, n)
}

// HandOver gives what an account owns to another, in a folder that is made for it:
// as the vendor does when somebody leaves. What is private, what is shared, or both.
// It returns the folder.
func (s *State) HandOver(x *Act, from, to int, private, shared bool) int32 {
	d := s.Docs
	source, target := d.Mine(from), d.Mine(to)
	y := *x
	y.Actor = Ref{Kind: AccountRef, N: to}
	folder := s.NewDoc(&y, target.Root, s.Accounts[GoogleWorkspace][from].Login, Doc{Kind: FolderDoc}, nil)
	for _, n := range slices.Clone(d.Owned(from)) {
		if open := s.Visibility(n) != VisiblePrivate; open && !shared || !open && !private {
			continue
		}
		w := s.DocAt(n)
		w.NewOwner = to
		s.ownDoc(x, n, to, false)
		s.Filed(x, DocOwner, w)
	}
	for _, n := range slices.Clone(source.Docs) {
		if d.All[n].Parent == source.Root && int(d.All[n].Owner) == to {
			s.moveDoc(x, n, folder, int32(to))
		}
	}
	return folder
}

// purge ends what has been in the trash since a time, a month later: while life
// stands still, nothing ends of itself.
func (s *State) purge(n int32, since int64) func(at time.Time) {
	var end func(at time.Time)
	end = func(at time.Time) {
		f := &s.Docs.All[n]
		switch {
		case f.Trashed != since || f.Gone:
		case !s.Frozen.IsZero():
			s.journal.later.push(at.Add(purgeAgain).UnixMilli(), end)
		default:
			s.DeleteDoc(&Act{At: at, Actor: Ref{Kind: SystemRef}, Client: &Client{}}, n)
		}
	}
	return end
}

// purgeAgain is when to look again whether life goes on.
const purgeAgain = 10 * time.Minute
