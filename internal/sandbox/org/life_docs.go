package org

import (
	"math/rand/v2"
	"strconv"
	"time"
)

// docKinds are what people do with files at Google, by how often.
var docKinds = []struct {
	verb   Verb
	weight int
}{
	{DocView, 60},
	{DocDownload, 15},
	{DocPreview, 8},
	{DocPrint, 3},
	{DocCreate, 10},
	{DocUpload, 12},
	{DocEdit, 30},
	{DocCopy, 3},
	{DocRename, 4},
	{DocMove, 4},
	{DocTrash, 4},
	{DocUntrash, 2},
	{DocDelete, 1},
	{DocAccess, 8},
	{DocVisibility, 5},
	{DocOwner, 1},
	{DocClose, 1},
	{DocOpen, 1},
	{DriveMember, 2},
}

// openEvery is how often those who are new get a My Drive.
const openEvery = 5 * time.Minute

// docsLife lets people work with files at Google. It draws from a source of its
// own, so that the other apps' life is the same without it.
type docsLife struct {
	*life
	r *rand.Rand
}

func (l *life) planDocs(r *rand.Rand, start int64, perDay float64) {
	if len(l.docUsers()) == 0 {
		return
	}
	o := &docsLife{l, r}
	n := float64(min(len(l.Accounts[GoogleWorkspace]), 4000)) // more people do not make the log longer
	mean := wakingDay / (n * perDay * officeShare)
	sum := 0
	for _, k := range docKinds {
		sum += k.weight
	}
	var again func()
	next := func() int64 { return int64(r.ExpFloat64()*mean + 1) }
	again = func() {
		x := r.IntN(sum)
		for _, k := range docKinds {
			if x -= k.weight; x < 0 {
				o.work(k.verb)
				break
			}
		}
		l.later.push(l.journal.now+next(), again)
	}
	l.later.push(start+next(), again)
	// All kinds come, in the smallest organization too.
	var round func()
	round = func() {
		for i, v := range DocVerbs {
			l.later.push(l.journal.now+int64(i+1)*47_000, func() { o.work(v) })
		}
		l.later.push(l.journal.now+roundEvery.Milliseconds(), round)
	}
	l.later.push(start+(90*time.Minute).Milliseconds(), round)
	known := len(l.Accounts[GoogleWorkspace])
	var open func()
	open = func() {
		for _, a := range l.Accounts[GoogleWorkspace][known:] {
			if l.licensed(a) {
				l.openDrive(a, l.at())
			}
		}
		known = len(l.Accounts[GoogleWorkspace])
		l.later.push(l.journal.now+openEvery.Milliseconds(), open)
	}
	l.later.push(start, open)
}

func (o *docsLife) chance(p float64) bool { return o.r.Float64() < p }

// somebody is a person who has a My Drive and is awake, mostly.
func (o *docsLife) somebody() *Account {
	list := o.Accounts[GoogleWorkspace]
	var last *Account
	for range 16 {
		a := list[o.r.IntN(len(list))]
		if !live(a) || o.Docs.Mine(a.N) == nil {
			continue
		}
		if last = a; o.r.Float64() < wakeful(o.journal.now, o.People[a.Person].UTCOffset) {
			break
		}
	}
	return last
}

func (o *docsLife) act(a *Account) *Act {
	p := o.People[a.Person]
	x := &Act{At: o.at(), Actor: acct(a), Client: &p.Home}
	if p.Phone.IP != "" && o.chance(0.2) {
		x.Client = &p.Phone
	}
	return x
}

// place is a doc that somebody may do something with, of those that are not in the
// trash and fit; -1: none was found.
func (o *docsLife) place(a *Account, role string, fits func(n int32) bool) int32 {
	d := o.Docs
	for range 12 {
		c := d.Mine(a.N)
		if o.chance(0.4) {
			c = d.Corpora[o.r.IntN(len(d.Corpora))]
		}
		if len(c.Docs) == 0 {
			continue
		}
		n := c.Docs[o.r.IntN(len(c.Docs))]
		if d.InTrash(n) || !o.There(n) || !fits(n) {
			continue
		}
		if has, _ := o.DocRole(a.N, n); DocRank(has) >= DocRank(role) {
			return n
		}
	}
	return -1
}

func (o *docsLife) aFile(n int32) bool {
	k := o.Docs.All[n].Kind
	return k == BlobDoc || k == EditorDoc
}

func (o *docsLife) aBlob(n int32) bool   { return o.Docs.All[n].Kind == BlobDoc }
func (o *docsLife) aFolder(n int32) bool { return o.Docs.All[n].Kind == FolderDoc }
func (o *docsLife) any(int32) bool       { return true }

// manager is the role that it takes to share a doc, or to delete it.
func (o *docsLife) manages(a *Account) func(n int32) bool {
	return func(n int32) bool {
		x := &o.Docs.All[n]
		if x.Owner >= 0 {
			return int(x.Owner) == a.N
		}
		role, _ := o.DocRole(a.N, n)
		return role == "organizer"
	}
}

// work lets somebody do something of a kind. Where there is nothing to do it at,
// nothing happens.
func (o *docsLife) work(v Verb) {
	a := o.somebody()
	if a == nil {
		return
	}
	x := o.act(a)
	switch v {
	case DocView, DocDownload, DocPreview, DocPrint:
		o.look(x, a, v)
	case DocCreate, DocUpload, DocEdit, DocCopy, DocRename, DocMove:
		o.change(x, a, v)
	case DocTrash, DocUntrash, DocDelete:
		o.discard(x, a, v)
	case DriveMember:
		o.member(x, a)
	default:
		o.sharing(x, a, v)
	}
}

func (o *docsLife) look(x *Act, a *Account, v Verb) {
	n := o.place(a, "reader", o.aFile)
	if n < 0 {
		return
	}
	if v == DocView && o.chance(0.1) { // somebody with the link, whom nobody knows
		for _, h := range o.Reaching(n) {
			if h.To == ToAnyone && !h.Shut {
				x.Actor, x.Client = Ref{Kind: AnonymousRef}, &Client{IP: "198.51.100." + strconv.Itoa(1+o.r.IntN(250))}
				break
			}
		}
	}
	o.Filed(x, v, o.DocAt(n))
}

// folder is one that somebody may write to; of their own, at the worst.
func (o *docsLife) folder(a *Account) int32 {
	if n := o.place(a, "writer", o.aFolder); n >= 0 {
		return n
	}
	return o.Docs.Mine(a.N).Root
}

func (o *docsLife) change(x *Act, a *Account, v Verb) {
	d := o.Docs
	name := words[o.r.IntN(len(words))] + "-" + strconv.Itoa(len(d.All))
	switch v {
	case DocCreate:
		doc := Doc{Kind: EditorDoc, Type: uint8(o.r.IntN(len(EditorTypes))), Size: 1024}
		if o.chance(0.15) {
			doc = Doc{Kind: FolderDoc}
		}
		o.NewDoc(x, o.folder(a), name, doc, nil)
		return
	case DocUpload:
		t := o.r.IntN(len(FileTypes))
		o.NewDoc(x, o.folder(a), name+FileTypes[t].Ext, Doc{Kind: BlobDoc, Type: uint8(t), Size: blobSize(o.r)}, nil)
		return
	default:
	}
	fits := o.aFile
	if v == DocCopy {
		fits = o.aBlob
	}
	n := o.place(a, "writer", fits)
	if n < 0 || d.All[n].Lock != nil && d.All[n].Lock.ReadOnly {
		return
	}
	switch v {
	case DocEdit:
		o.EditDoc(x, n, d.All[n].Size+int64(o.r.IntN(200)), nil, d.All[n].Type, false)
	case DocCopy:
		o.copyDoc(x, a, n, "Copy of "+d.Name(n))
	case DocRename:
		o.RenameDoc(x, n, name+" renamed")
	default:
		o.move(x, a, n)
	}
}

func (o *docsLife) copyDoc(x *Act, a *Account, n int32, name string) {
	f := o.Docs.All[n]
	m := o.addDoc(x, o.Docs.Mine(a.N).Root, name, Doc{Kind: f.Kind, Type: f.Type, Size: f.Size}, nil)
	w := o.DocAt(m)
	w.Source = n
	o.Filed(x, DocCopy, w)
}

// move puts a doc elsewhere: mostly within its corpus, sometimes into a shared
// drive.
func (o *docsLife) move(x *Act, a *Account, n int32) {
	d := o.Docs
	to := o.folder(a)
	f := &d.All[n]
	same := d.All[to].Corpus == f.Corpus
	if to == f.Parent || d.Below(to, n) || !o.There(to) || !same && (f.Owner >= 0 && int(f.Owner) != a.N || f.Owner < 0 || !d.Corpora[d.All[to].Corpus].Shared()) {
		return
	}
	o.MoveDoc(x, n, to)
}

func (o *docsLife) discard(x *Act, a *Account, v Verb) {
	d := o.Docs
	if v == DocTrash {
		fits := o.aFile
		if o.chance(0.1) {
			fits = o.any
		}
		mine := o.manages(a)
		if n := o.place(a, "writer", func(n int32) bool { return fits(n) && mine(n) }); n >= 0 {
			o.TrashDoc(x, n)
		}
		return
	}
	for _, n := range d.Owned(a.N) {
		if f := &d.All[n]; f.Trashed != 0 && (f.Parent < 0 || !d.InTrash(f.Parent)) {
			if v == DocUntrash {
				o.UntrashDoc(x, n)
			} else {
				o.DeleteDoc(x, n)
			}
			return
		}
	}
}

// member changes who is in a shared drive.
func (o *docsLife) member(x *Act, a *Account) {
	d := o.Docs
	for range 30 {
		c := d.Corpora[o.r.IntN(len(d.Corpora))]
		if role, _ := o.DocRole(a.N, c.Root); !c.Shared() || role != "organizer" {
			continue
		}
		grants := d.share(c.Root).Grants
		if g := grants[o.r.IntN(len(grants))]; o.chance(0.4) && g.Role != "organizer" {
			o.RevokeDoc(x, c.Root, g)
			return
		}
		if b := o.somebody(); b != nil {
			if g := toUser(b.N, DocRoles[o.r.IntN(4)]); o.wanted(c.Root, &g) {
				o.GrantDoc(x, c.Root, g)
			}
		}
		return
	}
}

func (o *docsLife) sharing(x *Act, a *Account, v Verb) {
	fits := o.any
	if v == DocClose || v == DocOpen {
		fits = o.aFolder
	}
	mine := o.manages(a)
	n := o.place(a, "writer", func(n int32) bool { return fits(n) && mine(n) })
	if n < 0 {
		return
	}
	sh := o.Docs.All[n].Sharing
	switch {
	case v == DocOwner:
		if b := o.somebody(); b != nil && b != a && o.Docs.All[n].Owner >= 0 {
			o.OwnDoc(x, n, b.N, o.chance(0.5))
		}
		return
	case v == DocClose || v == DocOpen:
		if closed := sh != nil && sh.Closed; closed == (v == DocOpen) {
			o.CloseDoc(x, n, !closed)
		}
		return
	case sh != nil && len(sh.Grants) > 0 && o.chance(0.5):
		o.RevokeDoc(x, n, sh.Grants[o.r.IntN(len(sh.Grants))])
		return
	}
	kind := o.r.IntN(6)
	if v == DocAccess {
		kind = 7 + o.r.IntN(5)
	}
	if g := o.someDocGrant(o.r, kind); o.wanted(n, &g) {
		o.GrantDoc(x, n, g)
	}
}
