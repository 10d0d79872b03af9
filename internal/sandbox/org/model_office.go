package org

import (
	"slices"
	"time"
)

// OfficeLog is the log of what people do with files, mail, chats and the other
// workloads of Microsoft 365: apart from the log of its directory, whose app is
// Microsoft365.
const OfficeLog = "microsoft365/office"

// Office is what the organization keeps at Microsoft 365 beside its directory.
// Sites and drives are numbered by their place; accounts and groups that are
// named here are those of Microsoft365.
type Office struct {
	Sites   []*Site
	Drives  []*Drive
	driveOf map[int]int // by account: of personal drives
}

// Site is a site with libraries, or the personal one behind a OneDrive.
type Site struct {
	N        int
	Name     string
	Path     string // below the host: "sites/finance"; "" the root site
	Personal int    // account whose OneDrive it holds; -1 none
	Group    int    // whose site it is; -1 none
	Drives   []int
	Created  time.Time
	Modified time.Time
}

// Drive is a library of a site, or a OneDrive.
type Drive struct {
	N, Site int
	Name    string
	Owner   int // account; -1: the site's group, or nobody
	Locked  bool
	Created time.Time
	Items   []Item            // by number; the first is the root folder
	Log     []int32           // items in the order in which they changed; what was there from the start is not in it
	Bin     []Binned          // what was put into the recycle bin, and when
	Old     map[int][]Content // of files whose content changed: what it was, the oldest first
	Hashes  map[int]string    // of files whose content is known
	perms   int
}

// Item is a file or folder. There may be very many: times are Unix seconds.
type Item struct {
	Name              string
	Parent            int32 // -1: the root
	Folder            bool
	Type              uint8 // of FileTypes
	Size              int64
	Created, Modified int64
	CreatedBy         int32 // account, or app: see By
	ModifiedBy        int32 //
	Version           int32 // of the content
	Tag               int32 // changes with every change
	Changed           int32 // place after its last entry in the drive's Log; 0: never
	SharedChanged     bool  // that change was one of permissions alone
	Trashed           int64 // since; 0: not
	Sharing           *Sharing
}

// Sharing is what an item grants beside what it inherits.
type Sharing struct {
	Unique bool // nothing is inherited
	Grants []Permission
}

// What a permission is given to.
const (
	ToAccount   = "account"    // Account, or Email of somebody who has none
	ToGroup     = "group"      // Group
	ToSiteGroup = "site_group" // Name; a site's own group: owners, members, visitors
	ToApp       = "app"        // Name
	ToLink      = "link"
)

// Permission is one grant on an item.
type Permission struct {
	N        int // of the drive
	To       string
	Account  int // -1 none
	Group    int // -1 none
	Name     string
	Email    string
	Role     string // read write owner
	Scope    string // of a link: anonymous organization users
	People   []int  // accounts that a link of scope users is for
	Emails   []string
	Expires  time.Time // zero: never
	Password bool
}

// FileTypes are the kinds of files there are.
var FileTypes = []struct{ Ext, Media string }{
	{".docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
	{".xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
	{".pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"},
	{".pdf", "application/pdf"},
	{".txt", "text/plain"},
	{".csv", "text/csv"},
	{".png", "image/png"},
	{".zip", "application/x-zip-compressed"},
}

// Work is what an event of the office is about.
type Work struct {
	Site, Drive, Item int        // -1 none
	Path, Name        string     // of the item at that time: its folder, and its own name
	NewPath, NewName  string     // where it went, or what it is called now
	Folder            bool       //
	Mailbox           int        // account whose mailbox it is; -1 none
	Group             int        // whose team it is; -1 none
	Grantee           Permission // who was given what, or lost it
	Thing             string     // a report, flow, form, query or policy: by its name
	Params            []Change   // of a command: name and New
}

// Verbs of the office. The event's Work tells about what.
const (
	FileRead       Verb = "file_read"
	FileDownload   Verb = "file_download"
	FilePreview    Verb = "file_preview"
	FileUpload     Verb = "file_upload"
	FileEdit       Verb = "file_edit"
	FileRename     Verb = "file_rename"
	FileMove       Verb = "file_move"
	FileTrash      Verb = "file_trash"
	FolderCreate   Verb = "folder_create"
	FileShare      Verb = "file_share"       // with an account or a group
	FileUnshare    Verb = "file_unshare"     //
	LinkAnyone     Verb = "link_anyone"      // a link for everybody was made
	LinkCompany    Verb = "link_company"     // for the organization
	LinkPeople     Verb = "link_people"      // for some
	LinkRemove     Verb = "link_remove"      //
	SitePermission Verb = "site_permission"  // somebody joined a site's group
	PageView       Verb = "page_view"        // of a site
	SiteSearch     Verb = "site_search"      //
	ListView       Verb = "list_view"        //
	CommentAdd     Verb = "comment_add"      //
	MailRead       Verb = "mail_read"        //
	MailSend       Verb = "mail_send"        //
	MailDelete     Verb = "mail_delete"      //
	MailRule       Verb = "mail_rule"        // of one's own mailbox
	MailDelegate   Verb = "mail_delegate"    // an administrator lets somebody into a mailbox
	MailboxUpkeep  Verb = "mailbox_upkeep"   // by the vendor itself
	TeamSession    Verb = "team_session"     //
	TeamMessage    Verb = "team_message"     //
	TeamMemberAdd  Verb = "team_member_add"  //
	TeamPolicy     Verb = "team_policy"      // by an administrator
	ReportView     Verb = "report_view"      //
	ReportExport   Verb = "report_export"    //
	FlowCreate     Verb = "flow_create"      //
	AppLaunch      Verb = "app_launch"       //
	PlatformPolicy Verb = "platform_policy"  // by an administrator
	RecordRead     Verb = "record_read"      // of customer records
	RecordChange   Verb = "record_change"    //
	SkypeCommand   Verb = "skype_command"    // by an administrator
	CommunityPost  Verb = "community_post"   //
	OfficeOpen     Verb = "office_open"      // a desktop application
	AssistantAsk   Verb = "assistant_ask"    //
	FormView       Verb = "form_view"        //
	AlertRaised    Verb = "alert_raised"     // by the vendor
	ThreatFound    Verb = "threat_found"     // by the vendor, in a mailbox
	QuarantineFree Verb = "quarantine_free"  // by an administrator
	SearchStarted  Verb = "search_started"   // an administrator searches everybody's content
	LeakInFile     Verb = "leak_in_file"     // a policy against leaks matched
	LeakInMail     Verb = "leak_in_mail"     //
	LeakAtEndpoint Verb = "leak_at_endpoint" //
	NewWork        Verb = "new_work"         // what no documentation knows yet
)

// OfficeVerbs are all of them.
var OfficeVerbs = []Verb{
	FileRead, FileDownload, FilePreview, FileUpload, FileEdit, FileRename, FileMove, FileTrash, FolderCreate, FileShare, FileUnshare, LinkAnyone, LinkCompany, LinkPeople,
	LinkRemove, SitePermission, PageView, SiteSearch, ListView, CommentAdd, MailRead, MailSend, MailDelete, MailRule, MailDelegate, MailboxUpkeep, TeamSession, TeamMessage,
	TeamMemberAdd, TeamPolicy, ReportView, ReportExport, FlowCreate, AppLaunch, PlatformPolicy, RecordRead, RecordChange, SkypeCommand, CommunityPost, OfficeOpen, AssistantAsk,
	FormView, AlertRaised, ThreatFound, QuarantineFree, SearchStarted, LeakInFile, LeakInMail, LeakAtEndpoint, NewWork,
}

// DriveOf returns the number of an account's OneDrive; -1: it has none.
func (o *Office) DriveOf(account int) int {
	if d, ok := o.driveOf[account]; ok {
		return d
	}
	return -1
}

// Files counts what is no folder and not in the trash.
func (o *Office) Files() (n int) {
	for _, d := range o.Drives {
		for i := range d.Items {
			if !d.Items[i].Folder && d.Items[i].Trashed == 0 {
				n++
			}
		}
	}
	return n
}

// Path returns where an item is: the names of the folders from the root down,
// joined by slashes; "" at the root itself.
func (d *Drive) Path(item int) string {
	i := &d.Items[item]
	if i.Parent < 0 {
		return ""
	}
	if above := d.Path(int(i.Parent)); above != "" {
		return above + "/" + i.Name
	}
	return i.Name
}

// Effective lists what an item grants, the nearest first, with the item that
// each grant is written at.
func (d *Drive) Effective(item int) (grants []Permission, at []int) {
	for n := item; n >= 0; n = int(d.Items[n].Parent) {
		s := d.Items[n].Sharing
		if s == nil {
			continue
		}
		for _, p := range s.Grants {
			grants, at = append(grants, p), append(at, n)
		}
		if s.Unique {
			break
		}
	}
	return grants, at
}

// where returns an item's own name, and the path of the folder that it is in.
func (d *Drive) where(item int) (folder, name string) {
	i := &d.Items[item]
	if i.Parent < 0 {
		return "", i.Name
	}
	return d.Path(int(i.Parent)), i.Name
}

// touched notes that an item changed.
func (d *Drive) touched(item int, sharing bool) {
	i := &d.Items[item]
	d.Log = append(d.Log, int32(item))
	i.Changed, i.SharedChanged = int32(len(d.Log)), sharing
	i.Tag++
}

// share returns an item's own sharing, and makes it if need be.
func (i *Item) share() *Sharing {
	if i.Sharing == nil {
		i.Sharing = &Sharing{}
	}
	return i.Sharing
}

// grant adds a permission without an event.
func (d *Drive) grant(item int, p Permission) Permission {
	p.N = d.perms
	d.perms++
	s := d.Items[item].share()
	s.Grants = append(slices.Clone(s.Grants), p)
	return p
}
