package org

import (
	"slices"
	"strconv"
	"time"
)

// Docs is what the organization keeps at Google Drive. Accounts and groups that
// are named here are those of GoogleWorkspace.
type Docs struct {
	Corpora []*Corpus
	All     []Doc       // by number: a file keeps it wherever it goes
	Log     []DocChange // what changed, in that order; what was there from the start is not in it

	mine  map[int]int // corpora by account: of My Drives
	owned [][]int32   // docs by owner, in order of their numbers
	lost  map[docLoss]int32
	old   map[int32][]Revision // of files whose content changed: all revisions, the oldest first
}

// Corpus is a My Drive, or a shared drive.
type Corpus struct {
	N       int
	Name    string
	Owner   int   // account; -1: a shared drive
	Root    int32 // its top folder
	Created time.Time
	Docs    []int32 // what is in it, without the root, in order of the numbers
	Admins  bool    // only organizers may change who is in it
}

// Kinds of docs, beside those of DocTypes.
const (
	BlobDoc   uint8 = iota // a file with content: Type is of FileTypes
	EditorDoc              // of Google's own editors: Type is of EditorTypes
	FolderDoc
	ShortcutDoc // to Target
)

// EditorTypes are the media types of Google's own editors.
var EditorTypes = []string{
	"application/vnd.google-apps.document", "application/vnd.google-apps.spreadsheet", "application/vnd.google-apps.presentation", "application/vnd.google-apps.form",
	"application/vnd.google-apps.drawing",
}

// Doc is a file, folder or shortcut. There may be very many: times are Unix
// milliseconds.
type Doc struct {
	name              string // "": it is made from Word and the number
	Sharing           *DocSharing
	Lock              *DocLock
	Created, Modified int64
	Trashed           int64 // since, by itself and not with its folder; 0: not
	Size              int64
	Parent            int32 // doc; -1: the root of a corpus
	Corpus            int32
	Owner             int32 // account; -1: in a shared drive
	ModifiedBy        int32 // as of By
	TrashedBy         int32
	Version           int32 // changes with every change
	Content           int32 // number of the revision
	Changed           int32 // place after its last entry in the Log; 0: never
	Target            int32 // of a shortcut
	Word              uint16
	Kind, Type        uint8
	Gone              bool // for good
}

// DocSharing is what a doc grants beside what it inherits.
type DocSharing struct {
	Closed bool // only organizers, the owner, and those who are let in here may look into it
	Grants []DocGrant
}

// DocLock is what is forbidden about a file's content.
type DocLock struct {
	ReadOnly, OwnerOnly bool
	Reason              string
	NoCopy              bool // for those who may not write
}

// What a grant on a doc is to.
const (
	ToUser   = "user"
	ToDomain = "domain"
	ToAnyone = "anyone"
)

// DocGrant is one grant on a doc, or a shared drive.
type DocGrant struct {
	To       string // user, group, domain or anyone
	Account  int    // -1 none
	Group    int    // -1 none
	Email    string // of somebody, or a group, of another organization
	Domain   string
	Role     string // reader commenter writer fileOrganizer organizer; owner is made from the doc's
	Findable bool   // of a domain and of anyone: without the link too
	Expires  int64  // Unix milliseconds; 0: never
	View     string // "published": of a published copy only
}

// Same says whether two grants are to the same: a doc has one of the two.
func (g *DocGrant) Same(o *DocGrant) bool {
	return g.To == o.To && g.Account == o.Account && g.Group == o.Group && g.Email == o.Email && g.Domain == o.Domain && g.View == o.View && (g.To != ToAnyone || g.Findable == o.Findable)
}

// DocChange is an entry of the Log.
type DocChange struct {
	At   int64 // Unix milliseconds
	Doc  int32
	Lost int32 // 0; who cannot see it any more: an account + 1, or less 1 a shared drive
}

// docLoss is a doc that somebody has lost.
type docLoss struct{ doc, lost int32 }

// Revision is a content that a file has or had. Data nil: it is made up.
type Revision struct {
	N       int32
	Size    int64
	At      int64 // Unix milliseconds
	By      int32
	Keep    bool
	Deleted bool
	Type    uint8
	Data    []byte
}

// Bounds on what is kept: Google's own.
const (
	TrashKept     = 30 * 24 * time.Hour
	RevisionsKept = 30 * 24 * time.Hour
	MaxRevisions  = 100
)

// DocRoles are what can be granted, the least first. owner cannot.
var DocRoles = []string{"reader", "commenter", "writer", "fileOrganizer", "organizer", "owner"}

// DocRank compares roles; -1: there is no such role.
func DocRank(role string) int { return slices.Index(DocRoles, role) }

// Name is what a doc is called.
func (d *Docs) Name(n int32) string {
	x := &d.All[n]
	switch {
	case x.name != "":
		return x.name
	case x.Kind == BlobDoc:
		return words[x.Word] + "-" + strconv.Itoa(int(n)) + FileTypes[x.Type].Ext
	}
	return words[x.Word] + " " + strconv.Itoa(int(n))
}

// Media is a doc's media type.
func (d *Docs) Media(n int32) string {
	switch x := &d.All[n]; x.Kind {
	case EditorDoc:
		return EditorTypes[x.Type]
	case FolderDoc:
		return "application/vnd.google-apps.folder"
	case ShortcutDoc:
		return "application/vnd.google-apps.shortcut"
	default:
		return FileTypes[x.Type].Media
	}
}

// Mine returns an account's My Drive; nil: it has none, for want of a licence.
func (d *Docs) Mine(account int) *Corpus {
	if n, ok := d.mine[account]; ok {
		return d.Corpora[n]
	}
	return nil
}

// Owned are the docs that an account owns, without its root, in order of their
// numbers. What is gone may be among them.
func (d *Docs) Owned(account int) []int32 {
	if account < 0 || account >= len(d.owned) {
		return nil
	}
	return d.owned[account]
}

// Shared says whether a corpus is a shared drive.
func (c *Corpus) Shared() bool { return c.Owner < 0 }

// IsRoot says whether a doc is the top of its corpus.
func (d *Docs) IsRoot(n int32) bool { return d.All[n].Parent < 0 }

// InTrash says whether a doc is in the trash, by itself or with a folder.
func (d *Docs) InTrash(n int32) bool {
	for ; n >= 0; n = d.All[n].Parent {
		if d.All[n].Trashed != 0 {
			return true
		}
	}
	return false
}

// TrashedSince is when a doc came into the trash, with a folder perhaps; 0: it is
// not there.
func (d *Docs) TrashedSince(n int32) (at int64) {
	for ; n >= 0; n = d.All[n].Parent {
		if t := d.All[n].Trashed; t != 0 && (at == 0 || t < at) {
			at = t
		}
	}
	return at
}

// Below tells whether a doc is the other, or lies in it.
func (d *Docs) Below(n, other int32) bool {
	for ; n >= 0; n = d.All[n].Parent {
		if n == other {
			return true
		}
	}
	return false
}

// Path returns where a doc is: the names of the folders from below the root, and
// its own, joined by slashes; "" of a root.
func (d *Docs) Path(n int32) string {
	p := d.All[n].Parent
	if p < 0 {
		return ""
	}
	if above := d.Path(p); above != "" {
		return above + "/" + d.Name(n)
	}
	return d.Name(n)
}

// There says whether a doc exists, for Google's API: what somebody owned whose
// account is deleted does not.
func (s *State) There(n int32) bool {
	x := &s.Docs.All[n]
	return !x.Gone && (x.Owner < 0 || here(s.Accounts[GoogleWorkspace][x.Owner]) && s.Accounts[GoogleWorkspace][x.Owner].Status != Deprovisioned)
}

// Files counts what is no folder and not gone.
func (d *Docs) Files() (n int) {
	for i := range d.All {
		if x := &d.All[i]; x.Kind != FolderDoc && !x.Gone {
			n++
		}
	}
	return n
}

// Revisions are those that a file has, the oldest first, but for what is purged.
// The last is the current one.
func (s *State) Revisions(n int32) []Revision {
	x := &s.Docs.All[n]
	all, ok := s.Docs.old[n]
	if !ok {
		return []Revision{{N: x.Content, Size: x.Size, At: x.Modified, By: x.ModifiedBy, Type: x.Type}}
	}
	var kept []Revision
	for i := range all {
		r := &all[i]
		current := i == len(all)-1
		switch {
		case r.Deleted:
		case current, r.Keep:
			kept = append(kept, *r)
		case len(all)-i > MaxRevisions, all[i+1].At+RevisionsKept.Milliseconds() <= s.docsNow():
		default:
			kept = append(kept, *r)
		}
	}
	return kept
}

// sortedInsert puts a number into an ordered list.
func sortedInsert(list []int32, n int32) []int32 {
	i, found := slices.BinarySearch(list, n)
	if found {
		return list
	}
	return slices.Insert(list, i, n)
}

func sortedRemove(list []int32, n int32) []int32 {
	if i, found := slices.BinarySearch(list, n); found {
		return slices.Delete(list, i, i+1)
	}
	return list
}
