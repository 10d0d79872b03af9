package org

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// FilesPerPerson is how many files there are when nothing else is asked for.
const FilesPerPerson = 6

// maxDepth bounds how deep folders lie in each other.
const maxDepth = 6

// External is the domain of another company that files are shared with.
const External = "partner.example"

// Site groups, as a library's root grants them.
const (
	SiteOwners   = "Owners"
	SiteMembers  = "Members"
	SiteVisitors = "Visitors"
)

// makeOffice makes sites, drives and, about, so many files.
func (b *builder) makeOffice(files int) {
	b.Office = &Office{driveOf: map[int]int{}}
	b.sites()
	b.personalDrives()
	if files <= 0 {
		files = FilesPerPerson * b.people
	}
	b.fill(files)
}

func (b *builder) site(name, path string, group, personal int) *Site {
	s := &Site{N: len(b.Office.Sites), Name: name, Path: path, Group: group, Personal: personal, Created: b.before(b.Born)}
	s.Modified = s.Created
	b.Office.Sites = append(b.Office.Sites, s)
	return s
}

func (b *builder) drive(s *Site, name string, owner int) *Drive {
	d := &Drive{N: len(b.Office.Drives), Site: s.N, Name: name, Owner: owner, Created: s.Created}
	d.Items = append(d.Items, Item{Name: "root", Parent: -1, Folder: true, Created: d.Created.Unix(), Modified: d.Created.Unix(), CreatedBy: int32(max(owner, 0)), ModifiedBy: int32(max(owner, 0))})
	d.Items[0].Sharing = &Sharing{Unique: true}
	b.Office.Drives = append(b.Office.Drives, d)
	s.Drives = append(s.Drives, d.N)
	return d
}

// library is a drive of a site, whose groups may use it.
func (b *builder) library(s *Site, name string) {
	d := b.drive(s, name, -1)
	for _, g := range []struct{ name, role string }{{SiteOwners, "owner"}, {SiteMembers, "write"}, {SiteVisitors, "read"}} {
		d.grant(0, Permission{To: ToSiteGroup, Account: -1, Group: -1, Name: s.Name + " " + g.name, Role: g.role})
	}
	if s.Group >= 0 {
		d.grant(0, Permission{To: ToGroup, Account: -1, Group: s.Group, Role: "write"})
	}
}

// sites are the home page, one for each department, those of groups, and those of
// projects.
func (b *builder) sites() {
	b.library(b.site("Home", "", -1, -1), "Documents")
	for i := range departments {
		if i >= 2 && i > b.people/10 {
			break
		}
		s := b.site(departments[i].name, "sites/"+strings.ToLower(departments[i].name), -1, -1)
		b.library(s, "Documents")
		if i%3 == 0 {
			b.library(s, "Archive")
		}
	}
	for _, g := range b.Groups[Microsoft365] {
		if hasSite(g) {
			b.library(b.site(g.Name, "sites/group-"+strconv.Itoa(g.N), g.N, -1), "Documents")
		}
	}
	for i := range b.people / 50 {
		name := pick(b.rand, words) + "-" + strconv.Itoa(i)
		b.library(b.site(name, "sites/"+name, -1, -1), "Documents")
	}
}

// personalDrives are the OneDrives. Some people have never opened theirs, and
// some are locked.
func (b *builder) personalDrives() {
	for _, a := range b.Accounts[Microsoft365] {
		p := b.People[a.Person]
		if p.Outside || p.Service || !here(a) || a.Status == Deprovisioned || a.N%9 == 4 {
			continue
		}
		b.provision(a, b.before(a.Created)).Locked = a.N%40 == 7
	}
}

// provision makes an account's OneDrive.
func (s *State) provision(a *Account, at time.Time) *Drive {
	o := s.Office
	p := s.People[a.Person]
	path := "personal/" + strings.NewReplacer("@", "_", ".", "_", "+", "_").Replace(p.Email)
	site := &Site{N: len(o.Sites), Name: p.Given + " " + p.Family, Path: path, Group: -1, Personal: a.N, Created: at, Modified: at}
	o.Sites = append(o.Sites, site)
	d := &Drive{N: len(o.Drives), Site: site.N, Name: "OneDrive", Owner: a.N, Created: at}
	d.Items = append(d.Items, Item{Name: "root", Parent: -1, Folder: true, Created: at.Unix(), Modified: at.Unix(), CreatedBy: int32(a.N), ModifiedBy: int32(a.N), Sharing: &Sharing{Unique: true}})
	d.grant(0, Permission{To: ToAccount, Account: a.N, Group: -1, Role: "owner"})
	o.Drives = append(o.Drives, d)
	o.driveOf[a.N] = d.N
	site.Drives = append(site.Drives, d.N)
	return d
}

// fill shares files out among the drives: libraries hold more than OneDrives.
func (b *builder) fill(files int) {
	drives := b.Office.Drives
	weight := func(d *Drive) int {
		if d.Owner >= 0 {
			return 1
		}
		return 8
	}
	sum := 0
	for _, d := range drives {
		sum += weight(d)
	}
	given := 0
	for i, d := range drives {
		n := files * weight(d) / sum
		if i == len(drives)-1 {
			n = files - given
		}
		given += n
		b.fillDrive(d, n)
	}
}

func (b *builder) fillDrive(d *Drive, n int) {
	folders := n/12 + min(n, 2)
	items := make([]Item, 0, 1+folders+n)
	d.Items = append(items, d.Items...)
	depth := make([]uint8, 1, 1+folders)
	authors := []int32{int32(max(d.Owner, 0))}
	if d.Owner < 0 {
		authors = authors[:0]
		for range 4 {
			authors = append(authors, int32(b.rand.IntN(len(b.Accounts[Microsoft365]))))
		}
	}
	for i := range folders + n {
		folder := i < folders
		parent := b.rand.IntN(1 + min(i, folders))
		if folder && depth[parent] >= maxDepth {
			parent = 0
		}
		at := b.before(d.Created).Unix()
		item := Item{Parent: int32(parent), Folder: folder, Created: at, Modified: at, CreatedBy: pick(b.rand, authors), Version: 1, Tag: 1}
		item.ModifiedBy = item.CreatedBy
		word := words[b.rand.IntN(len(words))]
		if folder {
			depth = append(depth, depth[parent]+1)
			item.Name = word + " " + strconv.Itoa(i)
		} else {
			item.Type = uint8(b.rand.IntN(len(FileTypes)))
			item.Name = word + "-" + strconv.Itoa(i) + FileTypes[item.Type].Ext
			item.Size = int64(b.rand.ExpFloat64() * 200_000)
			if b.rand.IntN(3) == 0 {
				item.Version += int32(b.rand.IntN(5))
				item.Tag, item.ModifiedBy = item.Version, pick(b.rand, authors)
				item.Modified = b.before(time.Unix(at, 0).UTC()).Unix()
			}
		}
		d.Items = append(d.Items, item)
		if x := b.rand.IntN(100); x < 4 || folder && x < 8 {
			b.shareItem(d, len(d.Items)-1)
		}
	}
}

// shareItem shares an item with somebody, or everybody.
func (b *builder) shareItem(d *Drive, n int) {
	d.grant(n, b.someGrant(b.rand, b.rand.IntN(9)))
	if s := d.Items[n].Sharing; b.rand.IntN(4) == 0 { // inheritance is broken: what it held is copied
		root := d.Items[0].Sharing.Grants
		for _, p := range root {
			d.grant(n, p)
		}
		s.Unique = true
	}
}

// someGrant is a new permission: by its kind a link for everybody, for the
// organization or for some, or for an outsider, a group, an account or an app.
func (s *State) someGrant(r *rand.Rand, kind int) Permission {
	p := Permission{Account: -1, Group: -1, Role: "read"}
	accounts := s.Accounts[Microsoft365]
	if r.IntN(3) == 0 {
		p.Role = "write"
	}
	if r.IntN(4) == 0 {
		p.Expires = s.Since.Add(time.Duration(90+r.IntN(90)) * 24 * time.Hour).Truncate(time.Second)
	}
	someone := func() int { return r.IntN(len(accounts)) }
	outsider := func() string {
		return pick(r, givenNames).plain + "." + pick(r, familyNames).plain + "@" + External
	}
	switch kind {
	case 0, 1:
		p.To, p.Scope, p.Password = ToLink, "anonymous", r.IntN(3) == 0
	case 2, 3:
		p.To, p.Scope = ToLink, "organization"
	case 4:
		p.To, p.Scope, p.People = ToLink, "users", []int{someone()}
		if r.IntN(2) == 0 {
			p.Emails = []string{strings.ToLower(outsider())}
		}
	case 5: // invited, not yet an account
		p.To, p.Email = ToAccount, strings.ToLower(outsider())
	case 6:
		if groups := s.Groups[Microsoft365]; len(groups) > 0 {
			p.To, p.Group = ToGroup, r.IntN(len(groups))
			return p
		}
		fallthrough
	case 7:
		p.To, p.Account = ToAccount, someone()
	default:
		p.To, p.Name = ToApp, "Backup Service"
	}
	return p
}
