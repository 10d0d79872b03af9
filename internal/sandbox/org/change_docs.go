package org

import "slices"

// Verbs of Google Drive: the event's Doc tells about what.
const (
	DocView       Verb = "doc_view"
	DocDownload   Verb = "doc_download"
	DocPreview    Verb = "doc_preview"
	DocPrint      Verb = "doc_print"
	DocCreate     Verb = "doc_create"
	DocUpload     Verb = "doc_upload" // a file with content was made
	DocEdit       Verb = "doc_edit"
	DocCopy       Verb = "doc_copy"
	DocRename     Verb = "doc_rename"
	DocMove       Verb = "doc_move"
	DocTrash      Verb = "doc_trash"
	DocUntrash    Verb = "doc_untrash"
	DocDelete     Verb = "doc_delete"     // for good
	DocAccess     Verb = "doc_access"     // a grant to a user, group or domain was made, changed or ended
	DocVisibility Verb = "doc_visibility" // the same of a link
	DocOwner      Verb = "doc_owner"
	DocClose      Verb = "doc_close"    // inherited permissions were disabled
	DocOpen       Verb = "doc_open"     // or enabled again
	DriveMember   Verb = "drive_member" // of a shared drive
)

// DocVerbs are those that life brings about.
var DocVerbs = []Verb{
	DocView, DocDownload, DocPreview, DocPrint, DocCreate, DocUpload, DocEdit, DocCopy, DocRename, DocMove, DocTrash, DocUntrash, DocDelete, DocAccess, DocVisibility, DocOwner,
	DocClose, DocOpen, DriveMember,
}

// DocWork is what an event about files at Google is about.
type DocWork struct {
	Doc           int32
	Title, Media  string // at that time
	Owner         int    // account; -1: the shared drive
	Corpus        int32
	Visibility    string // after it
	OldVisibility string // before it
	OldTitle      string // of a rename
	DriveName     string // of the shared drive; "": it is in none
	From, To      int32  // folders of a move; -1 none
	FromName      string //
	ToName        string //
	Source        int32  // of a copy; -1 none
	Grantee       DocGrant
	OldRole       string // of the grantee; "": none
	NewRole       string
	NewOwner      int // -1 none
}

// DocAt starts the DocWork about a doc.
func (s *State) DocAt(n int32) DocWork {
	d := s.Docs
	v := s.Visibility(n)
	drive := ""
	if c := d.Corpora[d.All[n].Corpus]; c.Shared() {
		drive = d.Name(c.Root)
	}
	return DocWork{
		DriveName: drive,
		Doc:       n, Title: d.Name(n), Media: d.Media(n), Owner: int(d.All[n].Owner), Corpus: d.All[n].Corpus, Visibility: v, OldVisibility: v, From: -1, To: -1, Source: -1, NewOwner: -1,
	}
}

// Filed records what was done with a doc.
func (s *State) Filed(x *Act, v Verb, w DocWork) {
	if w.Doc >= 0 {
		w.Visibility = s.Visibility(w.Doc)
	}
	e := x.event(v)
	e.Doc = &w
	s.record(GoogleWorkspace, &e)
}

// changed notes that a doc changed.
func (d *Docs) changed(x *Act, n int32) {
	d.Log = append(d.Log, DocChange{At: x.At.UnixMilli(), Doc: n})
	d.All[n].Changed = int32(len(d.Log))
	d.All[n].Version++
}

// modified notes who changed a doc itself, and when.
func (d *Docs) modified(x *Act, n int32) {
	d.All[n].Modified, d.All[n].ModifiedBy = x.At.UnixMilli(), x.by()
	d.changed(x, n)
}

// LostLast says whether an entry of the Log, of somebody who lost a doc, is the
// last such.
func (d *Docs) LostLast(at int) bool {
	c := d.Log[at]
	return d.lost[docLoss{c.Doc, c.Lost}] == int32(at)
}

func (d *Docs) lose(x *Act, n, who int32) {
	if d.lost == nil {
		d.lost = map[docLoss]int32{}
	}
	d.lost[docLoss{n, who}] = int32(len(d.Log))
	d.Log = append(d.Log, DocChange{At: x.At.UnixMilli(), Doc: n, Lost: who})
}

// lostBy notes who had a doc in their listings before, and has not now.
func (s *State) lostBy(x *Act, n int32, before map[int]bool) {
	after := s.Seers(n)
	if s.Docs.All[n].Gone {
		after = nil
	}
	for _, a := range sortedKeys(before) {
		if !after[a] {
			s.Docs.lose(x, n, int32(a)+1)
		}
	}
}

func sortedKeys(m map[int]bool) []int {
	list := make([]int, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	slices.Sort(list)
	return list
}

// Within lists what is in a folder, however deep, in order of the numbers.
func (d *Docs) Within(n int32) (list []int32) {
	if d.All[n].Kind != FolderDoc {
		return nil
	}
	for _, m := range d.Corpora[d.All[n].Corpus].Docs {
		if m != n && d.Below(m, n) {
			list = append(list, m)
		}
	}
	return list
}

// put adds a doc without an event.
func (d *Docs) put(x Doc) int32 {
	n := int32(len(d.All))
	d.All = append(d.All, x)
	if x.Parent >= 0 {
		c := d.Corpora[x.Corpus]
		c.Docs = append(c.Docs, n)
		d.own(n, x.Owner)
	}
	return n
}

func (d *Docs) own(n, account int32) {
	if account < 0 {
		return
	}
	for int(account) >= len(d.owned) {
		d.owned = append(d.owned, nil)
	}
	d.owned[account] = sortedInsert(d.owned[account], n)
}

// NewDoc makes a doc in a folder and returns its number. Data, if any, is its
// content.
func (s *State) NewDoc(x *Act, parent int32, name string, doc Doc, data []byte) int32 {
	n := s.addDoc(x, parent, name, doc, data)
	v := DocCreate
	if doc.Kind == BlobDoc {
		v = DocUpload
	}
	s.Filed(x, v, s.DocAt(n))
	return n
}

func (s *State) addDoc(x *Act, parent int32, name string, doc Doc, data []byte) int32 {
	d := s.Docs
	at := x.At.UnixMilli()
	doc.name, doc.Parent, doc.Corpus, doc.Created, doc.Modified, doc.ModifiedBy, doc.Content = name, parent, d.All[parent].Corpus, at, at, x.by(), 1
	if doc.Owner = -1; !d.Corpora[doc.Corpus].Shared() {
		doc.Owner = x.by()
	}
	n := d.put(doc)
	if data != nil {
		d.setOld(n, []Revision{{N: 1, Size: int64(len(data)), At: at, By: x.by(), Type: doc.Type, Data: data}})
	}
	d.changed(x, n)
	return n
}

func (d *Docs) setOld(n int32, list []Revision) {
	if d.old == nil {
		d.old = map[int32][]Revision{}
	}
	d.old[n] = list
}

// EditDoc gives a file other content: data, or if that is nil some of that size.
// pin keeps the new revision for ever.
func (s *State) EditDoc(x *Act, n int32, size int64, data []byte, media uint8, pin bool) {
	d := s.Docs
	f := &d.All[n]
	list := d.old[n]
	if list == nil {
		list = []Revision{{N: f.Content, Size: f.Size, At: f.Modified, By: f.ModifiedBy, Type: f.Type}}
	}
	f.Content++
	f.Size, f.Type = size, media
	d.setOld(n, append(list, Revision{N: f.Content, Size: size, At: x.At.UnixMilli(), By: x.by(), Type: media, Data: data, Keep: pin}))
	d.modified(x, n)
	s.Filed(x, DocEdit, s.DocAt(n))
}

// SetRevision pins a revision, or ends that, or deletes it.
func (s *State) SetRevision(x *Act, n, revision int32, change func(*Revision)) {
	d := s.Docs
	if d.old[n] == nil {
		d.setOld(n, s.Revisions(n))
	}
	for i := range d.old[n] {
		if d.old[n][i].N == revision {
			change(&d.old[n][i])
		}
	}
	d.changed(x, n)
}

// RenameDoc gives a doc another name.
func (s *State) RenameDoc(x *Act, n int32, name string) {
	w := s.DocAt(n)
	w.OldTitle, w.Title = w.Title, name
	s.Docs.All[n].name = name
	s.Docs.modified(x, n)
	s.Filed(x, DocRename, w)
}

// MoveDoc puts a doc into another folder, that is not below it, of any corpus. What
// comes out of a shared drive belongs to who moves it.
func (s *State) MoveDoc(x *Act, n, parent int32) {
	w := s.DocAt(n)
	w.From, w.To = s.Docs.All[n].Parent, parent
	w.FromName, w.ToName = s.Docs.Name(w.From), s.Docs.Name(w.To)
	s.moveDoc(x, n, parent, x.by())
	now := s.DocAt(n)
	w.Owner, w.Corpus, w.DriveName = now.Owner, now.Corpus, now.DriveName
	s.Filed(x, DocMove, w)
}

// moveDoc moves without an event. What leaves a shared drive is the owner's.
func (s *State) moveDoc(x *Act, n, parent, owner int32) {
	d := s.Docs
	f := &d.All[n]
	from, to := d.Corpora[f.Corpus], d.Corpora[d.All[parent].Corpus]
	if from == to {
		before := s.Seers(n)
		f.Parent = parent
		d.changed(x, n)
		s.lostBy(x, n, before)
		return
	}
	all := append([]int32{n}, d.Within(n)...)
	before := make([]map[int]bool, len(all))
	for i, m := range all {
		before[i] = s.Seers(m)
	}
	f.Parent = parent
	for i, m := range all {
		g := &d.All[m]
		from.Docs, to.Docs = sortedRemove(from.Docs, m), sortedInsert(to.Docs, m)
		g.Corpus = int32(to.N)
		switch {
		case to.Shared():
			d.disown(m)
			g.Owner = -1
		case from.Shared():
			g.Owner = owner
			d.own(m, owner)
		}
		d.changed(x, m)
		if s.lostBy(x, m, before[i]); to.Shared() { // it is in nobody's My Drive any more
			for _, a := range sortedKeys(before[i]) {
				if d.lost[docLoss{m, int32(a) + 1}] < d.All[m].Changed {
					d.lose(x, m, int32(a)+1)
				}
			}
		}
		if from.Shared() {
			d.lose(x, m, -int32(from.N)-1)
		}
	}
}

func (d *Docs) disown(n int32) {
	if o := d.All[n].Owner; o >= 0 {
		d.owned[o] = sortedRemove(d.owned[o], n)
	}
}

// TrashDoc puts a doc into the trash, with all that is in it. After a month it is
// gone.
func (s *State) TrashDoc(x *Act, n int32) {
	d := s.Docs
	at := x.At.UnixMilli()
	d.All[n].Trashed, d.All[n].TrashedBy = at, x.by()
	d.changedAll(x, n)
	s.Filed(x, DocTrash, s.DocAt(n))
	s.journal.later.push(x.At.Add(TrashKept).UnixMilli(), s.purge(n, at))
}

// changedAll notes that a doc changed, with all that is in it.
func (d *Docs) changedAll(x *Act, n int32) {
	d.changed(x, n)
	for _, m := range d.Within(n) {
		d.changed(x, m)
	}
}

// UntrashDoc takes a doc out of the trash that is there by itself.
func (s *State) UntrashDoc(x *Act, n int32) {
	s.Docs.All[n].Trashed = 0
	s.Docs.changedAll(x, n)
	s.Filed(x, DocUntrash, s.DocAt(n))
}

// DeleteDoc ends a doc for good, with all that is in it.
func (s *State) DeleteDoc(x *Act, n int32) {
	w := s.DocAt(n)
	s.endDoc(x, n)
	s.Filed(x, DocDelete, w)
}

func (s *State) endDoc(x *Act, n int32) {
	d := s.Docs
	for _, m := range append(d.Within(n), n) {
		if d.All[m].Gone {
			continue
		}
		before := s.Seers(m)
		d.All[m].Gone = true
		s.lostBy(x, m, before)
		c := d.Corpora[d.All[m].Corpus]
		if c.Shared() {
			d.lose(x, m, -int32(c.N)-1)
		}
		c.Docs = sortedRemove(c.Docs, m)
		d.disown(m)
		delete(d.old, m)
	}
}
