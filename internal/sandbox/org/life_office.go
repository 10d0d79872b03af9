package org

import (
	"math/rand/v2"
	"strconv"
	"time"
)

// officeShare is how many of a person's events are of the office, for each
// that they make elsewhere.
const officeShare = 0.5

// roundEvery is how often each kind of work is done at least once.
const roundEvery = 12 * time.Hour

// officeKinds are what people do, by how often.
var officeKinds = []struct {
	verb   Verb
	weight int
}{
	{FileRead, 60},
	{FileDownload, 15},
	{FilePreview, 10},
	{FileUpload, 15},
	{FileEdit, 30},
	{FileRename, 4},
	{FileMove, 2},
	{FileTrash, 3},
	{FolderCreate, 2},
	{FileShare, 3},
	{FileUnshare, 2},
	{LinkAnyone, 2},
	{LinkCompany, 3},
	{LinkPeople, 3},
	{LinkRemove, 2},
	{SitePermission, 1},
	{PageView, 30},
	{SiteSearch, 8},
	{ListView, 6},
	{CommentAdd, 3},
	{MailRead, 40},
	{MailSend, 20},
	{MailDelete, 10},
	{MailRule, 1},
	{MailDelegate, 1},
	{MailboxUpkeep, 20},
	{TeamSession, 20},
	{TeamMessage, 40},
	{TeamMemberAdd, 2},
	{TeamPolicy, 1},
	{ReportView, 8},
	{ReportExport, 1},
	{FlowCreate, 1},
	{AppLaunch, 4},
	{PlatformPolicy, 1},
	{RecordRead, 8},
	{RecordChange, 4},
	{SkypeCommand, 1},
	{CommunityPost, 3},
	{OfficeOpen, 8},
	{AssistantAsk, 6},
	{FormView, 3},
	{AlertRaised, 1},
	{ThreatFound, 1},
	{QuarantineFree, 1},
	{SearchStarted, 1},
	{LeakInFile, 1},
	{LeakInMail, 1},
	{LeakAtEndpoint, 1},
	{NewWork, 1},
}

// office lets people work with files, mail and so on. It draws from a source of
// its own, so that the other apps' life is the same without it.
type office struct {
	*life
	rand *rand.Rand
}

func (l *life) planOffice(r *rand.Rand, start int64, perDay float64) {
	if len(l.Accounts[Microsoft365]) == 0 {
		return
	}
	o := &office{l, r}
	n := float64(min(len(l.Accounts[Microsoft365]), 4000)) // more people do not make the logs longer
	mean := wakingDay / (n * perDay * officeShare)
	sum := 0
	for _, k := range officeKinds {
		sum += k.weight
	}
	var again func()
	next := func() int64 { return int64(r.ExpFloat64()*mean + 1) }
	again = func() {
		x := r.IntN(sum)
		for _, k := range officeKinds {
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
		for i, v := range OfficeVerbs {
			l.later.push(l.journal.now+int64(i+1)*45_000, func() { o.work(v) })
		}
		l.later.push(l.journal.now+roundEvery.Milliseconds(), round)
	}
	l.later.push(start+time.Hour.Milliseconds(), round)
}

func (o *office) chance(p float64) bool { return o.rand.Float64() < p }

// somebody is a person who is there and awake, mostly.
func (o *office) somebody() *Account {
	list := o.Accounts[Microsoft365]
	var last *Account
	for range 16 {
		a := list[o.rand.IntN(len(list))]
		p := o.People[a.Person]
		if !live(a) || p.Service || p.Outside || !p.Left.IsZero() {
			continue
		}
		if last = a; o.rand.Float64() < wakeful(o.journal.now, p.UTCOffset) {
			break
		}
	}
	return last
}

func (o *office) act(a *Account) *Act {
	p := o.People[a.Person]
	x := &Act{At: o.at(), Actor: acct(a), Client: &p.Home, Session: strconv.FormatUint(o.rand.Uint64(), 36)}
	if p.Phone.IP != "" && o.chance(0.2) {
		x.Client = &p.Phone
	}
	return x
}

func (o *office) system() *Act {
	return &Act{At: o.at(), Actor: Ref{Kind: SystemRef}, Client: &Client{}}
}

// place is a drive that somebody works in, and an item of it that is there.
func (o *office) place(a *Account, fits func(*Item) bool) (*Drive, int) {
	of := o.Office
	for range 12 {
		d := of.Drives[o.rand.IntN(len(of.Drives))]
		if n := of.DriveOf(a.N); n >= 0 && o.chance(0.6) {
			d = of.Drives[n]
		}
		if d.Owner >= 0 && d.Owner != a.N || d.Locked || len(d.Items) < 2 {
			continue
		}
		n := 1 + o.rand.IntN(len(d.Items)-1)
		if i := &d.Items[n]; i.Trashed == 0 && fits(i) {
			return d, n
		}
	}
	return nil, -1
}

func aFile(i *Item) bool { return !i.Folder }
func anItem(*Item) bool  { return true }

// folder of a drive that is there; 0, the root, at the worst.
func (o *office) folder(d *Drive) int {
	for range 8 {
		n := o.rand.IntN(len(d.Items))
		if i := &d.Items[n]; i.Folder && i.Trashed == 0 {
			return n
		}
	}
	return 0
}

// work lets somebody do something of a kind. Where there is nothing to do it at,
// nothing happens.
func (o *office) work(v Verb) {
	a := o.somebody()
	if a == nil {
		return
	}
	x := o.act(a)
	switch v {
	case FileRead, FileDownload, FilePreview, CommentAdd:
		if d, n := o.place(a, aFile); d != nil {
			o.Worked(x, v, o.WorkAt(d, n))
		}
	case FileUpload, FileEdit, FileRename, FileMove, FileTrash, FolderCreate:
		o.change(x, a, v)
	case FileShare, FileUnshare, LinkAnyone, LinkCompany, LinkPeople, LinkRemove:
		o.sharing(x, a, v)
	case SitePermission, PageView, SiteSearch, ListView:
		o.atSite(x, a, v)
	case MailRead, MailSend, MailDelete, MailRule, MailDelegate, MailboxUpkeep, ThreatFound, LeakInMail:
		o.mail(x, a, v)
	case LeakInFile:
		if d, n := o.place(a, aFile); d != nil {
			w := o.WorkAt(d, n)
			w.Thing = "Card numbers"
			o.Worked(x, v, w)
		}
	default:
		o.elsewhere(x, v)
	}
}

func (o *office) change(x *Act, a *Account, v Verb) {
	fits := aFile
	if v == FileMove || v == FileTrash && o.chance(0.05) {
		fits = anItem
	}
	d, n := o.place(a, fits)
	if d == nil {
		return
	}
	word := words[o.rand.IntN(len(words))] + "-" + strconv.Itoa(len(d.Items))
	i := &d.Items[n]
	switch v {
	case FileUpload:
		t := o.rand.IntN(len(FileTypes))
		o.Upload(x, d, o.folder(d), Item{Name: word + FileTypes[t].Ext, Type: uint8(t), Size: int64(o.rand.ExpFloat64() * 200_000)})
	case FolderCreate:
		o.Upload(x, d, o.folder(d), Item{Name: word, Folder: true})
	case FileEdit:
		o.Edit(x, d, n, i.Size+int64(o.rand.IntN(5000)))
	case FileRename:
		o.Rename(x, d, n, word+"-renamed"+FileTypes[i.Type].Ext)
	case FileMove:
		if to := o.folder(d); to != int(i.Parent) && !d.Below(to, n) {
			o.Move(x, d, n, to)
		}
	default:
		o.Trash(x, d, n)
	}
}

func (o *office) sharing(x *Act, a *Account, v Verb) {
	if v == FileUnshare || v == LinkRemove {
		d, n := o.place(a, func(i *Item) bool { return i.Sharing != nil && len(i.Sharing.Grants) > 0 })
		if d == nil {
			return
		}
		for _, p := range d.Items[n].Sharing.Grants {
			if (p.To == ToLink) == (v == LinkRemove) && p.To != ToSiteGroup && p.Role != "owner" {
				o.Unshare(x, d, n, p.N)
				return
			}
		}
		return
	}
	d, n := o.place(a, anItem)
	if d == nil {
		return
	}
	kind := map[Verb]int{LinkAnyone: 0, LinkCompany: 2, LinkPeople: 4, FileShare: 5 + o.rand.IntN(3)}[v]
	o.Share(x, d, n, o.someGrant(o.rand, kind), v)
}

func (o *office) atSite(x *Act, a *Account, v Verb) {
	w := noWork()
	for range 8 {
		s := o.Office.Sites[o.rand.IntN(len(o.Office.Sites))]
		if s.Personal < 0 || s.Personal == a.N {
			w.Site = s.N
			break
		}
	}
	if w.Site < 0 {
		w.Site = 0
	}
	if v == SitePermission {
		list := o.Accounts[Microsoft365]
		w.Grantee = Permission{To: ToAccount, Account: list[o.rand.IntN(len(list))].N, Group: -1, Name: o.Office.Sites[w.Site].Name + " " + SiteMembers}
	}
	o.Worked(x, v, w)
}

func (o *office) mail(x *Act, a *Account, v Verb) {
	w := noWork()
	w.Mailbox = a.N
	switch v {
	case MailRead:
		if o.chance(0.1) { // somebody else's, who let them in
			if b := o.somebody(); b != nil {
				w.Mailbox = b.N
			}
		}
	case MailRule:
		w.Thing = "Rule " + strconv.Itoa(o.rand.IntN(1000))
		w.Params = []Change{{Name: "Name", New: w.Thing}, {Name: "ForwardTo", New: words[o.rand.IntN(len(words))] + "@" + External}, {Name: "StopProcessingRules", New: "True"}}
	case MailDelegate:
		b := o.somebody()
		if b == nil || b == a {
			return
		}
		w.Mailbox = b.N
		w.Params = []Change{{Name: "Identity", New: o.Accounts[Microsoft365][b.N].Login}, {Name: "User", New: a.Login}, {Name: "AccessRights", New: "FullAccess"}}
	case MailboxUpkeep:
		x = o.system()
		w.Params = []Change{{Name: "Identity", New: a.Login}, {Name: "RecoverableItemsQuota", New: "30 GB (32,212,254,720 bytes)"}}
	case ThreatFound:
		x = o.system()
		w.Thing = "Phish"
	case LeakInMail:
		w.Thing = "Card numbers"
	default:
		w.Thing = "Re: " + words[o.rand.IntN(len(words))]
	}
	o.Worked(x, v, w)
}

// elsewhere is what has neither a file nor a mailbox.
func (o *office) elsewhere(x *Act, v Verb) {
	w := noWork()
	w.Thing = words[o.rand.IntN(len(words))] + " " + strconv.Itoa(o.rand.IntN(100))
	switch v {
	case TeamSession, TeamMessage, TeamMemberAdd:
		if groups := o.Groups[Microsoft365]; len(groups) > 0 {
			g := groups[o.rand.IntN(len(groups))]
			w.Group, w.Thing = g.N, g.Name
		}
		if b := o.somebody(); b != nil && v == TeamMemberAdd {
			w.Grantee = Permission{To: ToAccount, Account: b.N, Group: -1, Role: "member"}
		}
	case TeamPolicy:
		w.Params = []Change{{Name: "AllowGuestUser", Old: "False", New: "True"}}
	case SkypeCommand:
		w.Params = []Change{{Name: "Identity", New: "Global"}, {Name: "AllowFederatedUsers", New: "True"}}
	case PlatformPolicy:
		w.Params = []Change{{Name: "policyDisplayName", New: w.Thing}}
	case AlertRaised:
		x = o.system()
		w.Thing = "Unusual volume of file deletion"
	case LeakAtEndpoint:
		w.Thing = "Card numbers"
	default:
	}
	o.Worked(x, v, w)
}
