package org

import "slices"

// The methods below change drives and what is in them, and record the event that
// tells of it, as those of change.go do.

// Worked records what was done.
func (s *State) Worked(x *Act, v Verb, w Work) {
	e := x.event(v)
	e.Work = &w
	s.record(OfficeLog, &e)
}

// WorkAt starts the Work about an item of a drive.
func (s *State) WorkAt(d *Drive, item int) Work {
	w := Work{Site: d.Site, Drive: d.N, Item: item, Folder: d.Items[item].Folder, Mailbox: -1, Group: -1}
	w.Path, w.Name = d.where(item)
	return w
}

// noWork is Work about no item.
func noWork() Work { return Work{Site: -1, Drive: -1, Item: -1, Mailbox: -1, Group: -1} }

// Upload adds a file or folder and returns its number.
func (s *State) Upload(x *Act, d *Drive, parent int, item Item) int {
	n := len(d.Items)
	item.Parent, item.Version, item.Changed, item.Sharing = int32(parent), 1, 0, nil
	item.Created, item.Modified = x.At.Unix(), x.At.Unix()
	item.CreatedBy, item.ModifiedBy = x.by(), x.by()
	d.Items = append(d.Items, item)
	d.touched(n, false)
	v := FileUpload
	if item.Folder {
		v = FolderCreate
	}
	s.Worked(x, v, s.WorkAt(d, n))
	return n
}

// Edit gives a file new content.
func (s *State) Edit(x *Act, d *Drive, n int, size int64) {
	d.revise(n, size, "")
	s.edited(x, d, n)
}

func (s *State) edited(x *Act, d *Drive, n int) {
	i := &d.Items[n]
	i.Modified, i.ModifiedBy = x.At.Unix(), x.by()
	d.touched(n, false)
	s.Worked(x, FileEdit, s.WorkAt(d, n))
}

// Rename gives an item another name.
func (s *State) Rename(x *Act, d *Drive, n int, name string) {
	w := s.WorkAt(d, n)
	w.NewPath, w.NewName = w.Path, name
	i := &d.Items[n]
	i.Name = name
	i.Modified, i.ModifiedBy = x.At.Unix(), x.by()
	d.touched(n, false)
	s.Worked(x, FileRename, w)
}

// Move puts an item into another folder of its drive, which is not below it.
func (s *State) Move(x *Act, d *Drive, n, parent int) {
	w := s.WorkAt(d, n)
	d.Items[n].Parent = int32(parent)
	d.Items[n].Modified, d.Items[n].ModifiedBy = x.At.Unix(), x.by()
	d.touched(n, false)
	w.NewPath, w.NewName = d.where(n)
	s.Worked(x, FileMove, w)
}

// Trash puts an item into the recycle bin, with all that is in it.
func (s *State) Trash(x *Act, d *Drive, n int) {
	w := s.WorkAt(d, n)
	at := x.At.Unix()
	gone := map[int32]bool{int32(n): true}
	if d.Items[n].Folder {
		for grown := true; grown; { // a moved folder may stand before the one it is in
			grown = false
			for i := range d.Items {
				if it := &d.Items[i]; gone[it.Parent] && it.Trashed == 0 && !gone[int32(i)] {
					gone[int32(i)], grown = true, true
				}
			}
		}
	}
	b := Binned{Item: n, Folder: w.Path, At: at, By: x.by()}
	for i := range d.Items {
		if gone[int32(i)] {
			d.Items[i].Trashed = at
			d.touched(i, false)
			b.Items = append(b.Items, int32(i))
		}
	}
	d.Bin = append(d.Bin, b)
	s.Worked(x, FileTrash, w)
}

// Below tells whether an item is the other, or lies in it.
func (d *Drive) Below(n, other int) bool {
	for ; n >= 0; n = int(d.Items[n].Parent) {
		if n == other {
			return true
		}
	}
	return false
}

// Share gives somebody a right on an item, and records it by the verb.
func (s *State) Share(x *Act, d *Drive, n int, p Permission, v Verb) Permission {
	p = d.grant(n, p)
	d.touched(n, true)
	w := s.WorkAt(d, n)
	w.Grantee = p
	s.Worked(x, v, w)
	return p
}

// Unshare takes a right away that is written at the item.
func (s *State) Unshare(x *Act, d *Drive, n, permission int) {
	sh := d.Items[n].Sharing
	if sh == nil {
		return
	}
	i := slices.IndexFunc(sh.Grants, func(p Permission) bool { return p.N == permission })
	if i < 0 {
		return
	}
	w := s.WorkAt(d, n)
	w.Grantee = sh.Grants[i]
	sh.Grants = slices.Delete(slices.Clone(sh.Grants), i, i+1)
	d.touched(n, true)
	v := FileUnshare
	if w.Grantee.To == ToLink {
		v = LinkRemove
	}
	s.Worked(x, v, w)
}
