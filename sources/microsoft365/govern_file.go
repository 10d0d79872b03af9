package microsoft365

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"weir/internal/fault"
	"weir/sources"
	"weir/sources/httpx"
)

const (
	govDrive    = "/v1.0/drives/{drive}"
	govFile     = "/v1.0/drives/{drive}/items/{item}"
	govContent  = "/v1.0/drives/{drive}/items/{item}/content"
	govVersions = "/v1.0/drives/{drive}/items/{item}/versions"
	govRevert   = "/v1.0/drives/{drive}/items/{item}/versions/{version}/restoreVersion"

	driveColumns = "id,name,driveType,webUrl,owner,sharePointIds"
	fileColumns  = "id,name,size,eTag,cTag,webUrl,file,folder,package,root,remoteItem,parentReference,sharepointIds"

	textReplaced    = "This file was replaced by Weir, at the request %s. Its former content is an older version.\n"
	textQuarantined = "This file was put into quarantine by Weir, at the request %s. Ask who administers your organization.\n"
)

// content tells one content of a file from another.
type content struct {
	CTag string `json:"ctag"`
	Size int64  `json:"size"`
	Hash string `json:"hash,omitempty"` // with its kind; "" the vendor tells none
}

// holds reports whether a file has a content, as far as can be told.
func (c *content) holds(o *content) bool {
	return c.Size == o.Size && (c.Hash == "" || o.Hash == "" || c.Hash == o.Hash)
}

// fileState is the state of a file that actions change.
type fileState struct {
	Parent  string   `json:"parent"`
	Name    string   `json:"name"`
	Content *content `json:"content"`
	Version string   `json:"version,omitempty"`
	Shares  []share  `json:"shares,omitempty"`
	Bin     string   `json:"bin,omitempty"`
}

// govItem is a file as actions read it.
type govItem struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	ETag   string `json:"eTag"`
	CTag   string `json:"cTag"`
	WebURL string `json:"webUrl"`
	File   *struct {
		Hashes struct {
			QuickXor string `json:"quickXorHash"`
			SHA1     string `json:"sha1Hash"`
			SHA256   string `json:"sha256Hash"`
		} `json:"hashes"`
	} `json:"file"`
	Folder  *struct{} `json:"folder"`
	Package *struct{} `json:"package"`
	Root    *struct{} `json:"root"`
	Remote  *struct{} `json:"remoteItem"`
	Parent  struct {
		Drive string `json:"driveId"`
		ID    string `json:"id"`
		Path  string `json:"path"`
	} `json:"parentReference"`
	IDs govSite `json:"sharepointIds"`
}

type govSite struct {
	Unique  string `json:"listItemUniqueId"`
	SiteID  string `json:"siteId"`
	SiteURL string `json:"siteUrl"`
}

func (n *govItem) content() *content {
	c := &content{CTag: first(n.CTag, n.ETag), Size: n.Size}
	if n.File != nil {
		h := n.File.Hashes
		switch {
		case h.QuickXor != "":
			c.Hash = "quickxor:" + h.QuickXor
		case h.SHA256 != "":
			c.Hash = "sha256:" + h.SHA256
		case h.SHA1 != "":
			c.Hash = "sha1:" + h.SHA1
		}
	}
	return c
}

// govLibrary is a drive as actions read it.
type govLibrary struct {
	ID     string  `json:"id"`
	Name   string  `json:"name"`
	Kind   string  `json:"driveType"`
	WebURL string  `json:"webUrl"`
	IDs    govSite `json:"sharePointIds"`
	Owner  struct {
		User  govIdentity `json:"user"`
		Group govIdentity `json:"group"`
	} `json:"owner"`
}

// govIdentity is a person, group or app as files name it.
type govIdentity struct {
	ID    string `json:"id"`
	Name  string `json:"displayName"`
	Email string `json:"email"`
	UPN   string `json:"userPrincipalName"`
	Login string `json:"loginName"`
}

func splitFile(id string) (drive, item string) {
	drive, item, _ = strings.Cut(id, "/")
	return drive, item
}

// item reads an item that is a file.
func (s *session) item(ctx context.Context, drive, item string) (*govItem, error) {
	n := &govItem{}
	if err := govGet(ctx, s.graph, &httpx.Request{Path: httpx.P(govFile, drive, item), Query: url.Values{"$select": {fileColumns}}}, n); err != nil {
		return nil, naming(err, "Files.Read.All")
	}
	switch {
	case n.ID != item || n.Parent.Drive != "" && n.Parent.Drive != drive:
		return nil, fault.New(fault.BadData, "microsoft365 returned %.80q of drive %.80q for %q of %q", n.ID, n.Parent.Drive, item, drive)
	case n.Root != nil || n.Folder != nil || n.Package != nil || n.Remote != nil || n.File == nil:
		return nil, fault.New(fault.BadData, "microsoft365: %q is no file but a folder, notebook, shortcut or root: files are acted on one by one", n.Name)
	}
	return n, nil
}

func (s *session) library(ctx context.Context, id string) (*govLibrary, error) {
	d := &govLibrary{}
	if err := govGet(ctx, s.graph, &httpx.Request{Path: httpx.P(govDrive, id), Query: url.Values{"$select": {driveColumns}}}, d); err != nil {
		return nil, naming(err, "Files.Read.All")
	}
	if d.ID != id {
		return nil, fault.New(fault.BadData, "microsoft365 returned drive %.80q for %q", d.ID, id)
	}
	return d, nil
}

// subjects names the file, its drive and who owns that.
func (s *session) fileSubjects(ctx context.Context, p *sources.Plan, d *govLibrary, n *govItem) error {
	if n != nil {
		p.Target.Name = n.Name
		p.Target.Aliases = nonEmpty(n.IDs.Unique, n.WebURL)
	}
	p.Also = append(p.Also, sources.Subject{Kind: sources.TargetBucket, ID: d.ID, Name: d.Name, Aliases: nonEmpty(d.IDs.SiteID, d.IDs.SiteURL, d.WebURL), Emails: nonEmpty(lower(d.Owner.Group.Email))})
	if g := d.Owner.Group; g.ID != "" {
		p.Also = append(p.Also, sources.Subject{Kind: sources.TargetGroup, ID: g.ID, Name: g.Name})
	}
	u := d.Owner.User
	if u.ID == "" {
		return nil
	}
	h, err := s.holder(ctx, u.ID)
	if isGone(err) { // the drive outlives its person
		p.Also = append(p.Also, sources.Subject{Kind: sources.TargetAccount, ID: u.ID, Name: u.Name, Emails: nonEmpty(lower(u.Email))})
		return nil
	}
	if err != nil {
		return err
	}
	h.subject.LastAdmin, h.subject.Self = false, false // the account itself is not touched
	p.Also = append(p.Also, h.subject)
	return nil
}

// govVersion is a content that a file has, or had.
type govVersion struct {
	ID   string `json:"id"`
	Size int64  `json:"size"`
}

// versions lists a file's versions, the current one first.
func (s *session) versions(ctx context.Context, drive, item string) ([]govVersion, error) {
	all, err := govList[govVersion](ctx, s.graph, &httpx.Request{Path: httpx.P(govVersions, drive, item)})
	slices.SortStableFunc(all, func(a, b govVersion) int {
		x, errX := strconv.ParseFloat(a.ID, 64)
		y, errY := strconv.ParseFloat(b.ID, 64)
		if errX != nil || errY != nil || x == y {
			return 0
		}
		if x > y {
			return -1
		}
		return 1
	})
	return all, naming(err, "Files.Read.All")
}

// filePlan is a plan on a file that is being made.
type filePlan struct {
	*sources.Plan
	s     *session
	r     sources.ActionRequest
	d     *govLibrary
	n     *govItem
	state *fileState
}

func (s *session) planFile(ctx context.Context, r sources.ActionRequest) (*sources.Plan, error) {
	drive, item := splitFile(r.Target)
	p := &filePlan{Plan: &sources.Plan{Target: sources.Subject{Kind: r.Kind, ID: r.Target}}, s: s, r: r, state: &fileState{}}
	var err error
	if p.d, err = s.library(ctx, drive); isGone(err) {
		return nil, fault.New(fault.BadData, "microsoft365: there is no drive %q: %w", drive, err)
	} else if err != nil {
		return nil, err
	}
	p.n, err = s.item(ctx, drive, item)
	if isGone(err) && r.Action == sources.RestoreFile {
		p.n, err = nil, nil
	}
	if err == nil {
		err = s.fileSubjects(ctx, p.Plan, p.d, p.n)
	}
	if err != nil {
		return nil, err
	}
	if n := p.n; n != nil {
		p.state.Parent, p.state.Name, p.state.Content = n.Parent.ID, n.Name, n.content()
		if q := s.cfg.Actions.Quarantine; q.Drive == drive && q.Folder == n.Parent.ID && r.Action != sources.RestoreFile {
			return nil, fault.New(fault.Permanent, "microsoft365: %q is in the quarantine: act on the file by its own id", n.Name)
		}
	}
	switch r.Action {
	case sources.TrashFile:
		p.trash()
	case sources.RestoreFile:
		err = p.restore(ctx)
	case sources.OverwriteFile:
		err = p.overwriteAlone(ctx)
	case sources.QuarantineFile:
		err = p.quarantine(ctx)
	case sources.RemoveSharing, sources.MakePrivate:
		err = p.unshare(ctx)
	default:
		err = fault.New(fault.BadData, "microsoft365 has no action %s on %s", r.Action, r.Kind)
	}
	p.Before = encode(before{File: p.state})
	return p.Plan, err
}

// at are the arguments of a step on the plan's file.
func (p *filePlan) at(op string) args {
	drive, item := splitFile(p.r.Target)
	return args{Op: op, Drive: drive, Item: item}
}

func (p *filePlan) add(name string, a args, c sources.Change) {
	p.Steps = append(p.Steps, step(name, a))
	p.Diff = append(p.Diff, sources.Change{What: cut(c.What), Before: cut(c.Before), After: cut(c.After)})
}

func (p *filePlan) trash() {
	a := p.at(opTrash)
	a.Content, a.Site = p.state.Content, p.site()
	if !p.s.certified() || a.Site == nil {
		p.NoUndo = "only SharePoint's REST API reaches the recycle bin, with a certificate: a person restores the file there"
	}
	p.add(opTrash, a, sources.Change{What: "file " + p.n.Name, Before: "in " + first(p.n.Parent.Path, p.d.Name), After: "in the site's recycle bin"})
}

// overwriteAlone plans a note over a file, whose content stays an older version.
func (p *filePlan) overwriteAlone(ctx context.Context) error {
	all, err := p.s.versions(ctx, p.d.ID, p.n.ID)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fault.New(fault.Permanent, "microsoft365: the versions of %q cannot be listed: its content would be lost", p.n.Name)
	}
	if len(all) == 1 {
		// Whether the library keeps versions does not show: a copy is kept first.
		if p.s.cfg.Actions.Quarantine.Drive == "" {
			return fault.New(fault.Permanent, "microsoft365: %q has one version, so that it cannot be told whether its library keeps more: set actions.quarantine, where a copy is then kept first", p.n.Name)
		}
		if err := p.copyAway(ctx); err != nil {
			return err
		}
	}
	return p.overwrite(all[0].ID, fmt.Sprintf(textReplaced, p.r.ID))
}

// overwrite adds a note over the file.
func (p *filePlan) overwrite(version, text string) error {
	if version == "" {
		return fault.New(fault.Transient, "microsoft365: the current version of %q came without an id", p.n.Name)
	}
	p.state.Version = version
	a := p.at(opOverwrite)
	a.Content, a.Text, a.Version = p.state.Content, text, version
	if n := len(p.Steps); n > 0 { // the copy that must be in place
		copied, _, err := decodeStep(p.Steps[n-1])
		if err != nil {
			return err
		}
		a.Place = copied.Place
	}
	p.add(opOverwrite, a, sources.Change{What: "content of " + p.n.Name, Before: fmt.Sprintf("%d bytes, version %s", p.n.Size, version), After: "a note; the version stays"})
	p.Limits = append(p.Limits, "Who may open the file may open its older versions, the former content among them.")
	return nil
}

// restore plans the way back from the trash, or to an older version.
func (p *filePlan) restore(ctx context.Context) error {
	version := p.r.Params["version"]
	if p.n == nil {
		if version != "" {
			return fault.New(fault.BadData, "microsoft365: %s is not there: restore it from the trash first", p.r.Target)
		}
		return p.fromBin(ctx)
	}
	if version == "" {
		return nil // it is where it was
	}
	all, err := p.s.versions(ctx, p.d.ID, p.n.ID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(v govVersion) bool { return v.ID == version })
	switch {
	case i < 0:
		return fault.New(fault.BadData, "microsoft365: %q has no version %s", p.n.Name, version)
	case i == 0:
		return nil // the current one
	}
	a := p.at(opRevert)
	a.Content, a.Version, a.Size, a.Was = p.state.Content, version, all[i].Size, all[0].ID
	p.state.Version = all[0].ID
	p.add(opRevert, a, sources.Change{What: "content of " + p.n.Name, Before: fmt.Sprintf("%d bytes, version %s", p.n.Size, all[0].ID), After: fmt.Sprintf("%d bytes, as version %s", all[i].Size, version)})
	return nil
}

// undoFile names the file of an effect, which may be in the trash.
func (s *session) undoFile(ctx context.Context, p *sources.Plan, e sources.Effect) error {
	drive, item := splitFile(e.Request.Target)
	d, err := s.library(ctx, drive)
	if err != nil {
		return err
	}
	n, err := s.item(ctx, drive, item)
	if isGone(err) {
		n, err = nil, nil
	}
	if err == nil {
		err = s.fileSubjects(ctx, p, d, n)
	}
	return err
}

func put(path httpx.Path, etag, text string) *httpx.Request {
	r := &httpx.Request{Method: http.MethodPut, Path: path, Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte(text)}
	if etag != "" {
		r.Header.Set("If-Match", etag)
	}
	return r
}
