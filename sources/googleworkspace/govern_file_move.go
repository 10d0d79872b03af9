package googleworkspace

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"weir/internal/fault"
	"weir/internal/setting"
	"weir/sources"
	"weir/sources/httpx"
)

// Quarantine is where files go that nobody but governance may open.
type Quarantine struct {
	User         string `key:"user" doc:"address of the user whom quarantined files of My Drives are given to: an account that nobody but governance uses" example:"quarantine@example.com"`
	Folder       string `key:"folder" doc:"id of a folder of that user's, in which they are kept; the user's root, if none is named" example:"1AbCdEfGhIjKlMnOpQrStUvWxYz012345"`
	SharedFolder string `key:"shared_folder" doc:"where quarantined files of shared drives are kept: the id of a shared drive that nobody but governance is a member of, or of a folder in it" example:"0AKr4xYzUk9PVA"`
}

func (q *Quarantine) validate(key string) (errs []setting.KeyError) {
	if q.User != "" && !validEmail.MatchString(q.User) {
		errs = append(errs, setting.KeyError{Key: key + ".user", Found: q.User, Accepted: "an e-mail address"})
	}
	if q.Folder != "" && q.User == "" {
		errs = append(errs, setting.KeyError{Key: key + ".user", Accepted: "whose folder it is"})
	}
	for name, id := range map[string]string{"folder": q.Folder, "shared_folder": q.SharedFolder} {
		if id != "" && !validFileID.MatchString(id) {
			errs = append(errs, setting.KeyError{Key: key + "." + name, Found: id, Accepted: "the id of a folder, not its name, and not root"})
		}
	}
	slices.SortFunc(errs, func(a, b setting.KeyError) int { return strings.Compare(a.Key, b.Key) })
	return errs
}

// detach moves the file to its owner's root, where it inherits nothing.
func (p *filePlan) detach(ctx context.Context) error {
	root, err := p.s.rootOf(ctx, p.f.as)
	if err != nil {
		return err
	}
	if root == p.f.parent() {
		return fault.New(fault.Permanent, "google_workspace: %q is in its owner's root, and inherits permissions all the same", p.f.Name)
	}
	p.add(bareOp(opFileMove)+":root", fileArgs{Op: opFileMove, Was: p.f.parent(), Parent: root, Then: p.then()},
		sources.Change{What: "folder of " + p.f.Name, Before: first(p.f.parent(), "none that its owner sees"), After: "the root of the My Drive of " + p.f.owner()})
	p.Limits = append(p.Limits, "Who looks for the file in its folder does not find it there.")
	return nil
}

// then is who sees the file when all is done.
func (p *filePlan) then() string {
	if p.r.Action == sources.QuarantineFile && p.f.DriveID == "" {
		return strings.ToLower(p.s.cfg.Actions.Quarantine.User)
	}
	return ""
}

// rootOf is the id of a user's root folder.
func (s *session) rootOf(ctx context.Context, user string) (string, error) {
	var root govFile
	err := govGet(ctx, s.as(user, scopeDrive), &httpx.Request{Path: httpx.P(pathFile, "root"), Query: url.Values{"fields": {"id"}}}, &root)
	if err == nil && root.ID == "" {
		err = fault.New(fault.Transient, "the root of the My Drive of %s has no id", user)
	}
	return root.ID, naming(err, scopeDrive)
}

// quarantine plans that nobody but the quarantine has a file.
func (p *filePlan) quarantine(ctx context.Context) error {
	if p.f.DriveID != "" {
		return p.quarantineShared(ctx)
	}
	q := &p.s.cfg.Actions.Quarantine
	to := strings.ToLower(q.User)
	if to == "" {
		return fault.New(fault.Permanent, "google_workspace: set actions.quarantine.user: whom files in quarantine are given to")
	}
	folder, err := p.s.quarantineFolder(ctx, to, q.Folder, "")
	if err != nil {
		return err
	}
	own, above := p.f.shares()
	if len(above) > 0 {
		if err := p.detach(ctx); err != nil {
			return err
		}
	}
	for _, o := range own {
		if o.Email != to {
			p.drop(o, to)
		}
	}
	p.add(bareOp(opFileTransfer), fileArgs{Op: opFileTransfer, To: to, Then: to}, sources.Change{What: "owner of " + p.f.Name, Before: p.f.owner(), After: to})
	former := &share{ID: p.f.Owners[0].PermissionID, Type: typeUser, Role: roleOwner, Email: p.f.owner()}
	p.add(bareOp(opFileUnshare)+":former_owner", fileArgs{Op: opFileUnshare, As: to, Share: former},
		sources.Change{What: "permission of the former owner", Before: "writer, which the transfer leaves", After: "none"})
	if q.Folder != "" {
		p.add(bareOp(opFileMove)+":quarantine", fileArgs{Op: opFileMove, As: to, Parent: folder.ID}, sources.Change{What: "folder of " + p.f.Name, Before: "the quarantine's root", After: folder.Name})
	}
	p.Limits = append(p.Limits, "Google sends "+to+" a mail of the transfer.")
	return nil
}

// quarantineFolder reads the folder, which must be there.
func (s *session) quarantineFolder(ctx context.Context, user, id, drive string) (*govFile, error) {
	if id == "" {
		return &govFile{}, nil
	}
	f, err := s.fileAs(ctx, user, id)
	switch {
	case err != nil && unseen(err):
		return nil, fault.New(fault.Permanent, "google_workspace: the quarantine's folder %s is not there, or %s does not see it: %w", id, user, err)
	case err != nil:
		return nil, err
	case f.MimeType != mimeFolder && f.ID != f.DriveID:
		return nil, fault.New(fault.Permanent, "google_workspace: the quarantine's folder %s is no folder", id)
	case (f.DriveID != "") != (drive != ""):
		return nil, fault.New(fault.Permanent, "google_workspace: the quarantine's folder %s is in another kind of drive than it should be", id)
	}
	return f, nil
}

// quarantineShared plans the move of a file to the quarantine's shared drive, as
// an organizer of both.
func (p *filePlan) quarantineShared(ctx context.Context) error {
	id := p.s.cfg.Actions.Quarantine.SharedFolder
	if id == "" {
		return fault.New(fault.Permanent, "google_workspace: set actions.quarantine.shared_folder: where files of shared drives are kept in quarantine")
	}
	folder, as, err := p.both(ctx, id)
	if err != nil {
		return err
	}
	p.f.as = as
	p.add(bareOp(opFileMove)+":quarantine", fileArgs{Op: opFileMove, Was: p.f.parent(), Parent: id}, sources.Change{What: "place of " + p.f.Name, Before: p.place(), After: "in the quarantine " + folder.Name})
	own, _ := p.f.shares()
	for _, o := range own {
		p.drop(o, "")
	}
	return nil
}

// both finds an organizer of the file's shared drive who is one of the
// quarantine's, too.
func (p *filePlan) both(ctx context.Context, id string) (*govFile, string, error) {
	var last error
	for _, r := range p.f.readers {
		if r.role != roleOrganizer {
			continue
		}
		folder, err := p.s.quarantineFolder(ctx, r.address, id, p.f.DriveID)
		if err == nil {
			return folder, r.address, nil
		}
		if last = err; fault.Of(err) != fault.Permanent && !unfit(err) {
			return nil, "", err
		}
	}
	if last == nil {
		return nil, "", fault.New(fault.Permanent, "google_workspace: the shared drive %q has no organizer who can act: add one who is organizer of the quarantine's, too", p.f.box.name)
	}
	return nil, "", fault.New(fault.Permanent, "google_workspace: no organizer of the shared drive %q is one of the quarantine's, too: %w", p.f.box.name, last)
}

// moveFile moves from wherever the file is.
func moveFile(ctx context.Context, s *session, a *fileArgs) (sources.Receipt, error) {
	f, err := s.fileAs(ctx, a.As, a.File)
	if err != nil {
		return sources.Receipt{}, err
	}
	if f.parent() == a.Parent {
		return sources.Receipt{Note: "it was there already"}, nil
	}
	if a.Was != "" && f.parent() != a.Was {
		return sources.Receipt{}, fault.New(fault.Permanent, "google_workspace: %q was moved meanwhile: it is left alone", f.Name)
	}
	query := url.Values{"addParents": {a.Parent}}
	if at := f.parent(); at != "" {
		query.Set("removeParents", at)
	}
	return s.fileWrite(ctx, a, http.MethodPatch, httpx.P(pathFile, a.File), query, struct{}{})
}

func isMoved(ctx context.Context, s *session, a *fileArgs, _ *fileKept) (sources.Outcome, error) {
	f, err := s.seen(ctx, a)
	switch {
	case err != nil:
		return sources.Unknown, err
	case f.parent() == a.Parent:
		return sources.Done, nil
	case a.Then != "" && f.owner() == a.Then:
		return sources.Done, nil // it went on from there, with its new owner
	}
	return sources.NotDone, nil
}

func undoMove(_ context.Context, u *fileUndo, a *fileArgs, _ *fileKept) ([]fileArgs, error) {
	switch {
	case u.back || u.was.Drive == "" && a.As != u.was.Owner:
		return nil, nil // the transfer back takes it out of the quarantine
	case a.Was == "":
		u.limit(limitPlace)
		return nil, nil
	}
	back := *a
	back.Parent, back.Was, back.Then = a.Was, "", ""
	return []fileArgs{back}, nil
}

const limitPlace = "Where the file was its owner could not see: it stays in the root of the My Drive."

// transferFile makes somebody else the owner; the former one becomes a writer.
// Google insists on a mail to the new one.
func transferFile(ctx context.Context, s *session, a *fileArgs) (sources.Receipt, error) {
	query := url.Values{"transferOwnership": {"true"}, "moveToNewOwnersRoot": {"true"}}
	return s.fileWrite(ctx, a, http.MethodPost, httpx.P(pathFilePermissions, a.File), query, map[string]string{"type": typeUser, "role": roleOwner, "emailAddress": a.To})
}

// isTransferred asks the new owner first: the other may see the file no more.
func isTransferred(ctx context.Context, s *session, a *fileArgs, _ *fileKept) (sources.Outcome, error) {
	f, err := s.fileAs(ctx, a.To, a.File)
	if err != nil && unseen(err) {
		f, err = s.fileAs(ctx, a.As, a.File)
	}
	return doneIf(err == nil && f.owner() == a.To, err)
}

// undoTransfer gives the file back: the quarantine keeps nothing, and the file
// is where it was. What is given back comes to its owner's root.
func undoTransfer(ctx context.Context, u *fileUndo, a *fileArgs, _ *fileKept) ([]fileArgs, error) {
	back := []fileArgs{
		{Op: opFileTransfer, As: a.To, File: a.File, To: u.was.Owner},
		{Op: opFileUnshare, As: u.was.Owner, File: a.File, Share: &share{Type: typeUser, Role: "writer", Email: a.To}},
	}
	if u.was.Parent == "" {
		u.limit(limitPlace)
		return back, nil
	}
	u.back = true
	root, err := u.s.rootOf(ctx, u.was.Owner)
	if err != nil || root == u.was.Parent {
		return back, err
	}
	return append(back, fileArgs{Op: opFileMove, As: u.was.Owner, File: a.File, Parent: u.was.Parent}), nil
}
