package org

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Numbers of shared drives: by people, or more where many files are asked for.
const (
	maxSharedDrives = 5000
	filesPerDrive   = 100
)

// makeDocs makes My Drives, shared drives and, about, so many files.
func (b *builder) makeDocs(files int) {
	if files <= 0 {
		files = FilesPerPerson * b.people
	}
	b.Docs = &Docs{mine: map[int]int{}}
	for _, a := range b.Accounts[GoogleWorkspace] {
		if b.licensed(a) {
			b.openDrive(a, b.before(a.Created))
		}
	}
	b.sharedDrives(min(maxSharedDrives, max(12+b.people/10, files/filesPerDrive)))
	b.fillDocs(files)
}

// licensed says whether an account may use Drive. Guests, machines and some others
// may not, and who has never come has no files.
func (s *State) licensed(a *Account) bool {
	p := s.People[a.Person]
	return !a.Outside && !p.Service && a.N%17 != 5 && a.Gone.IsZero()
}

// openDrive makes an account's My Drive.
func (s *State) openDrive(a *Account, at time.Time) *Corpus {
	c := s.corpus("My Drive", a.N, at)
	s.Docs.mine[a.N] = c.N
	return c
}

func (s *State) corpus(name string, owner int, at time.Time) *Corpus {
	d := s.Docs
	c := &Corpus{N: len(d.Corpora), Name: name, Owner: owner, Created: at}
	ms := at.UnixMilli()
	by := int32(max(owner, 0))
	c.Root = d.put(Doc{name: name, Kind: FolderDoc, Parent: -1, Corpus: int32(c.N), Owner: int32(owner), Created: ms, Modified: ms, ModifiedBy: by, Version: 1})
	d.Corpora = append(d.Corpora, c)
	return c
}

// docUsers are the accounts that have a My Drive and work.
func (s *State) docUsers() (list []int) {
	for _, a := range s.Accounts[GoogleWorkspace] {
		if live(a) && s.Docs.Mine(a.N) != nil {
			list = append(list, a.N)
		}
	}
	return list
}

func toUser(account int, role string) DocGrant {
	return DocGrant{To: ToUser, Account: account, Group: -1, Role: role}
}

func toGroup(group int, role string) DocGrant {
	return DocGrant{To: ToGroup, Account: -1, Group: group, Role: role}
}

func toOutsider(email, role string) DocGrant {
	return DocGrant{To: ToUser, Account: -1, Group: -1, Email: strings.ToLower(email), Role: role}
}

// sharedDrives are those of teams and projects. Of a few nobody is a member, or a
// group alone; some have members of another company.
func (b *builder) sharedDrives(n int) {
	users, groups := b.docUsers(), b.Groups[GoogleWorkspace]
	if len(users) == 0 {
		return
	}
	var idle []int
	for _, a := range b.Accounts[GoogleWorkspace] {
		if a.Status == Suspended && b.Docs.Mine(a.N) != nil {
			idle = append(idle, a.N)
		}
	}
	for i := range n {
		name := words[i%len(words)]
		if i >= len(words) {
			name += " " + strconv.Itoa(i/len(words)+1)
		}
		c := b.corpus(strings.ToUpper(name[:1])+name[1:], -1, b.before(b.Born))
		d := b.Docs
		member := func(g DocGrant) { d.grant(c.Root, g) }
		if i%23 == 3 {
			continue // nobody is left in it
		}
		if len(idle) > 0 && i%4 == 1 { // the first that is listed cannot look any more
			member(toUser(pick(b.rand, idle), "organizer"))
		}
		if len(groups) > 0 && (i%3 == 0 || i%11 == 4) {
			role := "writer"
			if i%11 == 4 {
				role = "organizer"
			}
			member(toGroup(b.rand.IntN(len(groups)), role))
		}
		if i%11 == 4 {
			continue // no human stands in the list
		}
		if i%7 != 2 {
			member(toUser(pick(b.rand, users), "organizer"))
		}
		for range 1 + b.rand.IntN(4) {
			if a := pick(b.rand, users); d.Direct(c.Root, &DocGrant{To: ToUser, Account: a, Group: -1}) < 0 {
				member(toUser(a, DocRoles[b.rand.IntN(4)]))
			}
		}
		if i%6 == 2 {
			member(toOutsider(outsider(b.rand), DocRoles[b.rand.IntN(3)]))
		}
	}
}

func outsider(r *rand.Rand) string {
	return pick(r, givenNames).plain + "." + pick(r, familyNames).plain + "@" + External
}

// fillDocs shares files out: two fifths to My Drives, the rest to shared drives.
func (b *builder) fillDocs(files int) {
	corpora := b.Docs.Corpora
	shared := len(corpora) - len(b.Docs.mine)
	share := func(c *Corpus) int {
		if c.Shared() {
			return files * 3 / 5 / shared
		}
		return files * 2 / 5 / len(b.Docs.mine)
	}
	all := make([]Doc, 0, len(b.Docs.All)+files+files/10+3*len(corpora)+1024)
	b.Docs.All = append(all, b.Docs.All...)
	b.Docs.owned = make([][]int32, len(b.Accounts[GoogleWorkspace]))
	users := b.docUsers()
	given := 0
	for i, c := range corpora {
		n := share(c)
		if i == len(corpora)-1 {
			n = files - given
		}
		given += n
		b.fillCorpus(c, n, users)
	}
}

func (b *builder) fillCorpus(c *Corpus, n int, users []int) {
	d := b.Docs
	folders := n/12 + min(n, 2)
	c.Docs = make([]int32, 0, folders+n)
	authors := []int32{int32(c.Owner)}
	if c.Shared() {
		if authors = authors[:0]; len(users) == 0 {
			return
		}
		for range 4 {
			authors = append(authors, int32(pick(b.rand, users)))
		}
	} else {
		d.owned[c.Owner] = slices.Grow(d.owned[c.Owner], folders+n)
	}
	first := int32(len(d.All))
	depth := make([]uint8, 1, 1+folders)
	for i := range folders + n {
		k := b.rand.IntN(1 + min(i, folders))
		if i < folders && depth[k] >= maxDepth {
			k = 0
		}
		parent := c.Root
		if k > 0 {
			parent = first + int32(k-1)
		}
		at := b.before(c.Created)
		x := Doc{
			Parent: parent, Corpus: int32(c.N), Owner: int32(c.Owner), Created: at.UnixMilli(), Modified: at.UnixMilli(), ModifiedBy: pick(b.rand, authors), Version: 1, Content: 1,
			Word: uint16(b.rand.IntN(len(words))), Kind: FolderDoc,
		}
		if i < folders {
			depth = append(depth, depth[k]+1)
		} else {
			b.content(&x, first, int32(i))
			if b.rand.IntN(3) == 0 {
				x.Content += int32(b.rand.IntN(5))
				x.Version, x.ModifiedBy, x.Modified = x.Content, pick(b.rand, authors), b.before(at).UnixMilli()
			}
		}
		m := d.put(x)
		b.unusual(m, users)
	}
}

// content makes a file of a kind.
func (b *builder) content(x *Doc, first, i int32) {
	switch k := b.rand.IntN(20); {
	case k < 8:
		x.Kind, x.Type, x.Size = EditorDoc, uint8(b.rand.IntN(len(EditorTypes))), int64(1024+b.rand.IntN(4096))
	case k == 8 && i > 0:
		x.Kind, x.Target = ShortcutDoc, first+int32(b.rand.IntN(int(i)))
	default:
		x.Kind, x.Type, x.Size = BlobDoc, uint8(b.rand.IntN(len(FileTypes))), blobSize(b.rand)
	}
}

// blobSize is small, mostly: hashes are made from what is in files.
func blobSize(r *rand.Rand) int64 {
	if r.IntN(300) == 0 {
		return int64(20_000 + r.IntN(60_000))
	}
	return int64(r.ExpFloat64() * 400)
}

// unusual has some docs shared, in the trash, closed, locked, or somebody else's.
func (b *builder) unusual(n int32, users []int) {
	d := b.Docs
	x := &d.All[n]
	folder := x.Kind == FolderDoc
	switch k := b.rand.IntN(1000); {
	case k < 70 || folder && k < 110:
		b.shareDoc(n)
		if b.rand.IntN(4) == 0 {
			b.shareDoc(n)
		}
	case k < 130 && k >= 110:
		x.Trashed, x.TrashedBy = b.recent(time.UnixMilli(x.Modified), 25*24*time.Hour).UnixMilli(), x.ModifiedBy
		x.Version++
		b.journal.later.push(x.Trashed+TrashKept.Milliseconds(), b.purge(n, x.Trashed))
	case k < 140 && folder && k >= 130 && (x.Owner >= 0 || b.organized(x.Corpus)):
		d.share(n).Closed = true
		if len(users) > 0 {
			d.grant(n, toUser(pick(b.rand, users), "writer"))
		}
	case k < 150 && k >= 140 && x.Kind == BlobDoc:
		x.Lock = &DocLock{ReadOnly: k%2 == 0, OwnerOnly: k%4 == 0, Reason: "final", NoCopy: k%2 == 1}
	case k < 160 && k >= 150 && x.Owner >= 0 && !folder && len(users) > 0: // made by another in a folder that was shared
		if p := &d.All[x.Parent]; p.Parent >= 0 {
			other := pick(b.rand, users)
			if d.disown(n); int32(other) != p.Owner {
				d.grant(x.Parent, toUser(other, "writer"))
			}
			x.Owner = int32(other)
			d.own(n, x.Owner)
		}
	}
}

// organized says whether a shared drive has an organizer by name who works: without
// one, nobody could look into what is closed.
func (s *State) organized(corpus int32) bool {
	sh := s.Docs.All[s.Docs.Corpora[corpus].Root].Sharing
	return sh != nil && slices.ContainsFunc(sh.Grants, func(g DocGrant) bool {
		return g.Account >= 0 && g.Role == "organizer" && live(s.Accounts[GoogleWorkspace][g.Account])
	})
}

// shareDoc shares a doc with somebody, or everybody.
func (b *builder) shareDoc(n int32) {
	g := b.someDocGrant(b.rand, b.rand.IntN(12))
	if b.wanted(n, &g) {
		b.Docs.grant(n, g)
	}
}

// wanted says whether a grant gives anything that is not there already.
func (s *State) wanted(n int32, g *DocGrant) bool {
	if g.Account >= 0 && g.Account == int(s.Docs.All[n].Owner) {
		return false
	}
	for _, h := range s.Reaching(n) {
		if h.Same(g) {
			return false
		}
	}
	return true
}

// someDocGrant is a new grant: by its kind to all who have the link, to everybody,
// to the domain, its audience, another domain, an outsider, a group, or an account.
func (s *State) someDocGrant(r *rand.Rand, kind int) DocGrant {
	g := DocGrant{Account: -1, Group: -1, Role: DocRoles[r.IntN(3)]}
	switch kind {
	case 0, 1:
		g.To = ToAnyone
	case 2:
		g.To, g.Findable, g.Role = ToAnyone, true, "reader"
	case 3:
		g.To, g.Domain = ToDomain, s.Domain
	case 4:
		g.To, g.Domain, g.Findable = ToDomain, s.Domain, true
	case 5:
		g.To, g.Domain = ToDomain, s.Audience()
	case 6:
		g.To, g.Domain, g.Findable = ToDomain, External, true
	case 7, 8:
		g = toOutsider(outsider(r), g.Role)
		if r.IntN(3) == 0 {
			g.Expires = s.Since.AddDate(0, 3+r.IntN(6), 0).Truncate(time.Hour).UnixMilli()
		}
	case 9:
		if groups := s.Groups[GoogleWorkspace]; len(groups) > 0 {
			return toGroup(r.IntN(len(groups)), g.Role)
		}
		fallthrough
	default: // an account that is deleted is among them
		a := s.Accounts[GoogleWorkspace][r.IntN(len(s.Accounts[GoogleWorkspace]))]
		g = toUser(a.N, g.Role)
	}
	return g
}
