package googleworkspace

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

const (
	fieldsOfGovFile = "id,name,mimeType,parents,driveId,owners(emailAddress,permissionId),ownedByMe,trashed,headRevisionId,md5Checksum,size,webViewLink,permissions(" + fieldsOfPermission + ")"

	// containerMine begins the container of a My Drive; its owner's account id
	// follows.
	containerMine = "mydrive:"
)

// govFile is a file as actions read it.
type govFile struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	MimeType string   `json:"mimeType"`
	Parents  []string `json:"parents"`
	DriveID  string   `json:"driveId"`
	Owners   []struct {
		Email        string `json:"emailAddress"`
		PermissionID string `json:"permissionId"`
	} `json:"owners"`
	OwnedByMe   *bool               `json:"ownedByMe"`
	Trashed     bool                `json:"trashed"`
	Head        string              `json:"headRevisionId"` // of files with content of their own
	MD5         string              `json:"md5Checksum"`    // of the same
	Size        string              `json:"size"`
	WebViewLink string              `json:"webViewLink"`
	Permissions []govFilePermission `json:"permissions"`
}

func (f *govFile) parent() string {
	if len(f.Parents) == 0 {
		return ""
	}
	return f.Parents[0]
}

// owner is the address of who owns the file; "" in a shared drive.
func (f *govFile) owner() string {
	if len(f.Owners) == 0 {
		return ""
	}
	return strings.ToLower(f.Owners[0].Email)
}

// fileBefore is the state of a file that actions change.
type fileBefore struct {
	Owner   string  `json:"owner,omitempty"`
	Drive   string  `json:"drive,omitempty"`
	Parent  string  `json:"parent,omitempty"`
	Trashed bool    `json:"trashed,omitempty"`
	Head    string  `json:"head,omitempty"`
	MD5     string  `json:"md5,omitempty"`
	Type    string  `json:"type,omitempty"`
	Shares  []share `json:"shares,omitempty"`
	// InEffect are steps that an undoing finds still in effect.
	InEffect []string `json:"in_effect,omitempty"`
}

// fileArgs are a step's: what is done to a file, and as whom.
type fileArgs struct {
	Op   string `json:"op"`
	As   string `json:"as"`             // who acts
	Then string `json:"then,omitempty"` // who sees the file when that one does not any more
	File string `json:"file"`
	// Was is what tells the effect from what was there before: the head revision,
	// or the parent.
	Was      string `json:"was,omitempty"`
	Parent   string `json:"parent,omitempty"` // where it is moved; "" the root
	To       string `json:"to,omitempty"`     // the new owner
	Share    *share `json:"share,omitempty"`
	Text     string `json:"text,omitempty"` // that is put in its place
	Revision string `json:"revision,omitempty"`
	MD5      string `json:"md5,omitempty"` // of that revision
	Type     string `json:"type,omitempty"`
}

// fileKept is what a receipt keeps.
type fileKept struct {
	Head string `json:"head,omitempty"` // the head revision after it
}

// foundFile is a file, and as whom it is acted on.
type foundFile struct {
	govFile
	as      string       // the owner, or who may write to the shared drive
	readers []fileReader // of the shared drive
	box     box
}

// fileAs reads a file as a user.
func (s *session) fileAs(ctx context.Context, user, id string) (*govFile, error) {
	f := &govFile{}
	err := govGet(ctx, s.as(user, scopeDrive), &httpx.Request{Path: httpx.P(pathFile, id), Query: url.Values{"supportsAllDrives": {"true"}, "fields": {fieldsOfGovFile}}}, f)
	switch {
	case err != nil:
		return nil, naming(err, scopeDrive)
	case f.ID != id:
		return nil, fault.New(fault.BadData, "google_workspace returned the file %.80q for %q", f.ID, id)
	}
	return f, nil
}

// findFile reads a file as its owner, or as a member of its shared drive. The
// container says whose it is; without it the administrator must see the file.
func (s *session) findFile(ctx context.Context, id, container string) (*foundFile, error) {
	as := ""
	switch account, mine := strings.CutPrefix(container, containerMine); {
	case mine:
		u, err := s.govUser(ctx, account)
		if isGone(err) {
			return nil, fault.New(fault.BadData, "google_workspace: there is no account %q, whose file it should be: %w", account, err)
		}
		if err != nil {
			return nil, err
		}
		as = strings.ToLower(u.Email)
	case container != "":
		return s.findShared(ctx, id, container)
	}
	f, err := s.fileAs(ctx, as, id)
	if err == nil && f.DriveID != "" {
		return s.findShared(ctx, id, f.DriveID)
	}
	if err == nil && (f.OwnedByMe == nil || !*f.OwnedByMe) {
		if as = f.owner(); as == "" {
			return nil, fault.New(fault.BadData, "google_workspace: %q has no owner that can be seen", f.Name)
		}
		f, err = s.fileAs(ctx, as, id)
	}
	switch {
	case err != nil && unseen(err):
		return nil, fault.New(fault.BadData, "google_workspace: there is no file %q, or %s does not see it: name its container (files.container_id): %w", id, first(as, "the administrator"), err)
	case err != nil:
		return nil, err
	}
	return &foundFile{govFile: *f, as: first(as, f.owner()), box: box{id: container}}, nil
}

// findShared reads a file of a shared drive, as who may do most there.
func (s *session) findShared(ctx context.Context, id, drive string) (*foundFile, error) {
	d := &fileRead{library: s.library(), drive: drive}
	d.c = s.as("", scopeMetadata)
	if err := d.load(ctx); err != nil {
		if isGone(err) {
			err = fault.New(fault.BadData, "google_workspace: there is no shared drive %q: %w", drive, err)
		}
		return nil, err
	}
	var last error
	for _, reader := range d.other {
		f, err := s.fileAs(ctx, reader.address, id)
		if err == nil && f.DriveID != drive {
			return nil, fault.New(fault.BadData, "google_workspace: %q is not in the shared drive %q", f.Name, d.box.name)
		}
		if err == nil {
			f.Permissions, err = govList[govFilePermission](ctx, s, permissionsOf(s.as(reader.address, scopeDrive), id))
		}
		if err == nil {
			return &foundFile{govFile: *f, as: reader.address, readers: d.other, box: d.box}, nil
		}
		if last = err; !unfit(err) {
			return nil, err
		}
	}
	if last == nil {
		return nil, fault.New(fault.Forbidden, "google_workspace: no user of the organization is a member of the shared drive %q", d.box.name)
	}
	if fault.Of(last) == fault.BadData {
		return nil, fault.New(fault.BadData, "google_workspace: there is no file %q in the shared drive %q, or its members do not see it: %w", id, d.box.name, last)
	}
	return nil, last
}

// unseen tells that somebody does not see a file, or cannot be acted as.
func unseen(err error) bool { return unfit(err) && fault.Of(err) != fault.Forbidden }

// filePlan is a plan on a file that is being made.
type filePlan struct {
	*sources.Plan
	s      *session
	r      sources.ActionRequest
	f      *foundFile
	before fileBefore
}

func (s *session) planFile(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	f, err := s.findFile(ctx, r.Target, r.Params["container"])
	if err != nil {
		return nil, err
	}
	if f.MimeType == mimeFolder || f.MimeType == mimeShortcut {
		return nil, fault.New(fault.BadData, "google_workspace: %q is no file but a folder or shortcut: files are acted on one by one", f.Name)
	}
	p := &filePlan{Plan: &sources.Plan{}, s: s, r: r, f: f}
	p.before = fileBefore{Owner: f.owner(), Drive: f.DriveID, Parent: f.parent(), Trashed: f.Trashed, Head: f.Head, MD5: f.MD5, Type: f.MimeType}
	if err := s.fileSubjects(ctx, p.Plan, r, f); err != nil {
		return nil, err
	}
	if r.Action != sources.RestoreFile && s.inQuarantine(f) {
		return nil, fault.New(fault.Permanent, "google_workspace: %q is in the quarantine: undo that first", f.Name)
	}
	switch r.Action {
	case sources.TrashFile:
		p.trash(true)
	case sources.RestoreFile:
		err = p.restore(ctx)
	case sources.OverwriteFile:
		err = p.overwrite(ctx)
	case sources.QuarantineFile:
		err = p.quarantine(ctx)
	case sources.RemoveSharing, sources.MakePrivate:
		err = p.unshare(ctx)
	default:
		err = fault.New(fault.BadData, "google_workspace has no action %s on %s", r.Action, r.Kind)
	}
	p.Limits = sortedUnique(p.Limits)
	p.Before = encode(p.before)
	return p.Plan, err
}

// fileSubjects names the file, its shared drive and who owns it.
func (s *session) fileSubjects(ctx context.Context, p *sources.Plan, r sources.ActionRequest, f *foundFile) error {
	p.Target = sources.Subject{Kind: r.Kind, ID: r.Target}
	if f == nil {
		return nil
	}
	p.Target.Name, p.Target.Aliases = f.Name, nonEmpty(f.WebViewLink)
	if f.DriveID != "" {
		p.Also = append(p.Also, sources.Subject{Kind: sources.TargetBucket, ID: f.DriveID, Name: f.box.name})
		return nil
	}
	return s.ownerSubject(ctx, p, f.owner())
}

func (s *session) ownerSubject(ctx context.Context, p *sources.Plan, owner string) error {
	who, err := s.subjectOf(ctx, owner)
	if err != nil {
		return err
	}
	who.LastAdmin, who.Self = false, false // the account itself is not touched
	p.Also = append(p.Also, who)
	return nil
}

// inQuarantine tells whether a file is kept there.
func (s *session) inQuarantine(f *foundFile) bool {
	q := &s.cfg.Actions.Quarantine
	if f.DriveID == "" {
		return q.User != "" && strings.EqualFold(f.owner(), q.User)
	}
	return q.SharedFolder != "" && f.parent() == q.SharedFolder
}

// add adds a step as who acts on the file.
func (p *filePlan) add(name string, a fileArgs, c sources.Change) {
	a.File = p.f.ID
	if a.As == "" {
		a.As = p.f.as
	}
	p.Steps = append(p.Steps, fileStep(name, a))
	p.Diff = append(p.Diff, sources.Change{What: govCut(c.What, maxWords), Before: govCut(c.Before, maxWords), After: govCut(c.After, maxWords)})
}

const maxWords = 500 // of a diff's text, in bytes

func (p *filePlan) place() string {
	if p.f.DriveID != "" {
		return "in the shared drive " + p.f.box.name
	}
	return "in the My Drive of " + p.f.owner()
}

func (p *filePlan) trash(into bool) {
	if p.f.Trashed == into {
		return
	}
	name, from, to := opFileTrash, p.place(), "in the trash"
	if !into {
		name, from, to = opFileUntrash, to, from
	}
	p.add(bareOp(name), fileArgs{Op: name}, sources.Change{What: "file " + p.f.Name, Before: from, After: to})
}

// restore plans the way back from the trash, or to an older revision.
func (p *filePlan) restore(ctx context.Context) error {
	version := p.r.Params["version"]
	p.trash(false)
	if version == "" || version == p.f.Head {
		return nil
	}
	all, err := p.s.revisions(ctx, p.f.as, p.f.ID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(v govRevision) bool { return v.ID == version })
	switch {
	case i < 0:
		return fault.New(fault.BadData, "google_workspace: %q has no revision %s", p.f.Name, version)
	case all[i].MD5 == "" || p.f.Head == "":
		return fault.New(fault.BadData, "google_workspace: %q is a document of Google's editors, whose revisions people restore there", p.f.Name)
	case all[i].MD5 == p.f.MD5:
		return nil
	}
	if err := all[i].fits(); err != nil {
		return err
	}
	if err := p.keep(ctx); err != nil {
		return err
	}
	p.add(bareOp(opFileRevert), fileArgs{Op: opFileRevert, Was: p.f.Head, Revision: version, MD5: all[i].MD5, Type: first(all[i].Type, p.f.MimeType)},
		sources.Change{What: "content of " + p.f.Name, Before: "revision " + p.f.Head, After: "that of revision " + version})
	return nil
}

// seen reads a step's file as who acts, or as who sees it afterwards.
func (s *session) seen(ctx context.Context, a *fileArgs) (*govFile, error) {
	f, err := s.fileAs(ctx, a.As, a.File)
	if err != nil && unseen(err) && a.Then != "" {
		return s.fileAs(ctx, a.Then, a.File)
	}
	return f, err
}

func sortedUnique(in []string) []string {
	slices.Sort(in)
	return slices.Compact(in)
}
